#include "repo/verify_part.h"

#include <string.h>

#include "base/bytes.h"
#include "stream/digest.h"

bool verify_part_number(const struct verify_part *p, uint64_t number)
{
    return p->parts <= 1 || number % p->parts == p->part - 1;
}

bool verify_part_name(const struct verify_part *p, const char *name)
{
    uint8_t digest[DIGEST_STRONG];

    if (p->parts <= 1)
        return true;
    digest_strong(digest, (const uint8_t *)name, strlen(name));
    return verify_part_number(p, get_u32(digest));
}

bool verify_part_rest(const struct verify_part *p)
{
    return p->part <= 1;
}

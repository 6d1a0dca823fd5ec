#include "repo/pages.h"

#include <string.h>

#include "base/bytes.h"
#include "base/zeros.h"

void pages_judge_init(struct pages_judge *j, const uint8_t *write_key, const uint8_t repo_id[16])
{
    secret_page_hash(&j->hash, write_key, repo_id);
    j->crc = crc32c_best();
    j->zero_page = j->crc(0, zeros(), PAGES_SIZE);
    for (unsigned lane = 0; lane < 4; lane++)
        for (uint32_t byte = 0; byte < 256; byte++)
            j->shift[lane][byte] = crc32c_combine(byte << 8 * lane, 0, PAGES_SIZE);
}

struct pages_facts pages_judge_page(const struct pages_judge *j, const uint8_t *page, size_t len)
{
    struct pages_facts f = {page_hash(&j->hash, page, len), j->crc(0, page, len)};

    return f;
}

uint32_t pages_crc_add(const struct pages_judge *j, uint32_t crc, uint32_t page_crc, size_t len)
{
    if (len != PAGES_SIZE)
        return crc32c_combine(crc, page_crc, len);
    return j->shift[0][crc & 0xff] ^ j->shift[1][crc >> 8 & 0xff] ^ j->shift[2][crc >> 16 & 0xff] ^
           j->shift[3][crc >> 24] ^ page_crc;
}

/* Pages that hold something show it in their first bytes, so this is quick where it is asked most.
 */
bool pages_is_zero(const uint8_t *bytes, size_t len)
{
    if (len < 8)
        return memcmp(bytes, zeros(), len) == 0;
    return get_u64(bytes) == 0 && memcmp(bytes, bytes + 8, len - 8) == 0;
}

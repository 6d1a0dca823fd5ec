#include "pg/walpage.h"

#include "base/bytes.h"

void walpage_read(const uint8_t *p, struct walpage *out)
{
    out->magic = get_u16(p);
    out->info = get_u16(p + 2);
    out->tli = get_u32(p + 4);
    out->addr = get_u64(p + 8);
    out->rem_len = get_u32(p + 16);
}

void walpage_read_long(const uint8_t *p, struct walpage_long *out)
{
    out->sysid = get_u64(p + 24);
    out->segsize = get_u32(p + 32);
    out->blcksz = get_u32(p + 36);
}

bool walpage_is_zero(const uint8_t *p, size_t n)
{
    /* Words, not memcmp: a C library made for size compares byte by byte. */
    for (; n >= 32; p += 32, n -= 32)
        if ((get_u64(p) | get_u64(p + 8) | get_u64(p + 16) | get_u64(p + 24)) != 0)
            return false;
    for (; n > 0; p++, n--)
        if (*p != 0)
            return false;
    return true;
}

#include "pg/walname.h"

#include <stdio.h>
#include <string.h>

bool walname_is_segsize(uint64_t n)
{
    return n >= WALNAME_SEGSIZE_MIN && n <= WALNAME_SEGSIZE_MAX && (n & (n - 1)) == 0;
}

/* Eight upper-case digits at s, which stops earlier only at a closing 0. */
static bool hex8(const char *s, uint32_t *out)
{
    uint32_t v = 0;

    for (int i = 0; i < 8; i++) {
        if (s[i] >= '0' && s[i] <= '9')
            v = v << 4 | (uint32_t)(s[i] - '0');
        else if (s[i] >= 'A' && s[i] <= 'F')
            v = v << 4 | (uint32_t)(s[i] - 'A' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

bool walname_parse(const char *s, struct walname *out)
{
    struct walname n = {.kind = WALNAME_SEGMENT};

    if (!hex8(s, &n.tli) || n.tli == 0)
        return false;
    if (strcmp(s + 8, ".history") == 0) {
        n.kind = WALNAME_HISTORY;
    } else {
        if (!hex8(s + 8, &n.hi) || !hex8(s + 16, &n.lo))
            return false;
        s += WALNAME_SEGMENT_LEN;
        if (strcmp(s, ".partial") == 0)
            n.kind = WALNAME_PARTIAL;
        else if (s[0] == '.' && hex8(s + 1, &n.offset) && strcmp(s + 9, ".backup") == 0)
            n.kind = WALNAME_BACKUP;
        else if (s[0] != '\0')
            return false;
    }
    *out = n;
    return true;
}

static uint64_t per_id(uint32_t segsize)
{
    return UINT64_C(0x100000000) / segsize;
}

bool walname_segno(const struct walname *n, uint32_t segsize, uint64_t *segno)
{
    if (n->lo >= per_id(segsize))
        return false;
    *segno = n->hi * per_id(segsize) + n->lo;
    return true;
}

lsn_t walname_start(uint64_t segno, uint32_t segsize)
{
    return segno * segsize;
}

uint64_t walname_segno_of(lsn_t lsn, uint32_t segsize)
{
    return lsn / segsize;
}

uint64_t walname_segno_before(lsn_t lsn, uint32_t segsize)
{
    return lsn == 0 ? 0 : (lsn - 1) / segsize;
}

static void put_name(char out[WALNAME_MAX], tli_t tli, uint64_t segno, uint32_t segsize,
                     const char *suffix)
{
    (void)snprintf(out, WALNAME_MAX, "%08X%08X%08X%s", tli, (uint32_t)(segno / per_id(segsize)),
                   (uint32_t)(segno % per_id(segsize)), suffix);
}

void walname_segment(char out[WALNAME_MAX], tli_t tli, uint64_t segno, uint32_t segsize)
{
    put_name(out, tli, segno, segsize, "");
}

void walname_partial(char out[WALNAME_MAX], tli_t tli, uint64_t segno, uint32_t segsize)
{
    put_name(out, tli, segno, segsize, ".partial");
}

void walname_backup(char out[WALNAME_MAX], tli_t tli, lsn_t start, uint32_t segsize)
{
    char suffix[WALNAME_MAX - WALNAME_SEGMENT_LEN];

    (void)snprintf(suffix, sizeof suffix, ".%08X.backup", (uint32_t)(start % segsize));
    put_name(out, tli, start / segsize, segsize, suffix);
}

void walname_history(char out[WALNAME_MAX], tli_t tli)
{
    (void)snprintf(out, WALNAME_MAX, "%08X.history", tli);
}

/*
 * Feeds arbitrary bytes to everything that reads PostgreSQL's files or a segment summary.  The
 * first byte chooses the reader; for the walker the next ones choose the piece size and whether
 * checksums are set right first, so that the inside of records is reached too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "pg/control.h"
#include "pg/history.h"
#include "pg/join.h"
#include "pg/label.h"
#include "pg/metaread.h"

enum { SEG = 1 << 20, PAGES = 6 };

static struct walwalk walk;
static struct join join;
static struct meta_item item;
static struct history history;
static struct label label;
static struct control control;
static uint8_t segment[SEG];

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void read_meta(const uint8_t *p, size_t n, lsn_t start)
{
    struct metaread r;

    metaread_open(&r, p, n, start);
    while (metaread_next(&r, &item) == 0)
        ;
}

/* Page headers and checksums as they must be, wherever the bytes in between allow it. */
static void mend(uint16_t magic, size_t used)
{
    for (size_t page = 0; page < used; page += WALPAGE_SIZE) {
        uint8_t *h = segment + page;
        size_t pos = page == 0 ? WALPAGE_LONG : WALPAGE_SHORT;

        put_u16(h, magic);
        put_u16(h + 2, (uint16_t)((get_u16(h + 2) & 9) | (page == 0 ? 2 : 0)));
        put_u32(h + 4, 1);
        put_u64(h + 8, (uint64_t)SEG * 7 + page);
        if (page == 0) {
            put_u32(h + 32, SEG);
            put_u32(h + 36, WALPAGE_SIZE);
        }
        while (pos + WALRECORD_HEADER <= WALPAGE_SIZE) {
            uint8_t *r = h + pos;
            uint32_t tot = get_u32(r) & 0x3ff;

            if (tot < WALRECORD_HEADER || pos + tot > WALPAGE_SIZE)
                break;
            put_u32(r, tot);
            put_u32(r + 20, crc32c_extend(crc32c_extend(0, r + 24, tot - 24), r, 20));
            pos = (pos + tot + 7) & ~(size_t)7;
        }
    }
}

static void fuzz_walk(const uint8_t *p, size_t n)
{
    static const uint16_t magics[] = {0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};
    struct walname name = {WALNAME_SEGMENT, 1, 0, 7, 0};
    struct wal_summary s;
    struct facts back;
    struct err e = {0};
    uint8_t public[FACTS_BYTES_MAX];
    size_t chunk;
    size_t len;

    if (n < 3)
        return;
    chunk = (size_t)p[0] * 97 + 1;
    if ((p[1] & 0x80) != 0)
        name.kind = WALNAME_PARTIAL;
    len = n - 3 < (size_t)PAGES * WALPAGE_SIZE ? n - 3 : (size_t)PAGES * WALPAGE_SIZE;
    memset(segment, 0, (size_t)PAGES * WALPAGE_SIZE);
    memcpy(segment, p + 3, len);
    if ((p[1] & 0x40) == 0)
        mend(magics[p[1] % 6], (len + WALPAGE_SIZE - 1) / WALPAGE_SIZE * WALPAGE_SIZE);
    if (walwalk_init(&walk, &name, SEG, 0, &e) != 0)
        abort();
    for (size_t at = 0; at < (size_t)PAGES * WALPAGE_SIZE; at += chunk) {
        size_t left = (size_t)PAGES * WALPAGE_SIZE - at;

        if (walwalk_feed(&walk, segment + at, left < chunk ? left : chunk, &e) != 0)
            return;
    }
    if (walwalk_feed(&walk, segment + (size_t)PAGES * WALPAGE_SIZE,
                     SEG - (size_t)PAGES * WALPAGE_SIZE, &e) != 0)
        return;
    check(walwalk_finish(&walk, &s, &e) == 0);

    /* What was collected must be decodable and the same again. */
    len = walwalk_public(&s, public);
    check(facts_decode(public, len, &back, &e) == 0);
    check(memcmp(&back, &s.facts, sizeof back) == 0);
    check(s.meta_len <= META_BYTES_MAX && s.data_len <= WALWALK_DATA_MAX);
    {
        struct metaread r;
        int rc;

        metaread_open(&r, s.meta, s.meta_len, back.start);
        while ((rc = metaread_next(&r, &item)) == 0)
            ;
        check(rc == 1);
    }
    join_init(&join);
    check(join_step(&join, &s) == JOIN_FIRST);
    s.facts.start += SEG;
    check(join_step(&join, &s) != JOIN_GARBLED);
}

/* Two summaries from outside, joined. */
static void fuzz_join(const uint8_t *p, size_t n)
{
    struct cur c = cur_of(p, n);
    struct wal_summary s;
    struct err e = {0};

    join_init(&join);
    for (int i = 0; i < 4; i++) {
        uint8_t a;
        uint8_t b;
        uint8_t d;
        const uint8_t *public;

        if (!cur_u8(&c, &a) || !cur_u8(&c, &b) || !cur_u8(&c, &d) || !cur_bytes(&c, a, &public) ||
            !cur_bytes(&c, b, &s.meta) || !cur_bytes(&c, d, &s.data) ||
            facts_decode(public, a, &s.facts, &e) != 0)
            return;
        s.meta_len = b;
        s.data_len = d;
        (void)join_step(&join, &s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct err e = {0};
    struct facts f;
    struct walname name;
    char text[64];

    if (n == 0)
        return 0;
    switch (p[0] % 8) {
    case 0:
    case 1:
        fuzz_walk(p + 1, n - 1);
        break;
    case 2:
        if (facts_decode(p + 1, n - 1, &f, &e) == 0) {
            uint8_t b[FACTS_BYTES_MAX];
            struct facts again;

            check(facts_decode(b, facts_encode(&f, b), &again, &e) == 0);
        }
        break;
    case 3:
        read_meta(p + 1, n - 1, UINT64_C(7) << 20);
        break;
    case 4:
        fuzz_join(p + 1, n - 1);
        break;
    case 5:
        if (history_parse((const char *)p + 1, n - 1, 12, &history, &e) == 0)
            check(history.n > 0 && history_tli_at(&history, 0) <= 12);
        break;
    case 6:
        if (label_parse((const char *)p + 1, n - 1, &label, &e) == 0)
            check(label.start_tli != 0);
        break;
    default:
        if (control_parse(p + 1, n - 1, &control, &e) == 0)
            check(!control.is_known || walname_is_segsize(control.segsize));
        if (n - 1 < sizeof text) {
            memcpy(text, p + 1, n - 1);
            text[n - 1] = '\0';
            (void)walname_parse(text, &name); /* any answer will do */
        }
    }
    return 0;
}

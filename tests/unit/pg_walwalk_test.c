#include "pg/walwalk.h"

#include "pg/metaread.h"
#include "pg_wal_maker.h"
#include "tap.h"

static struct walwalk walk;
static struct wal_summary sum;
static struct err err;
static struct meta_item item;

/* The nth item of a kind in sum's metadata, or NULL. */
static const struct meta_item *nth(enum meta_tag tag, unsigned n)
{
    struct metaread r;

    metaread_open(&r, sum.meta, sum.meta_len, sum.facts.start);
    while (metaread_next(&r, &item) == 0)
        if (item.tag == tag && n-- == 0)
            return &item;
    return NULL;
}

static void test_plain(unsigned major)
{
    struct maker m;
    lsn_t first;
    lsn_t last;
    uint64_t records = 0;

    make_init(&m, major);
    first = make_filler(&m, 10);
    for (records = 1; m.pos < 700000; records++)
        (void)make_filler(&m, (size_t)(records * 37 % 9000));
    last = make_end(&m, WALXACT_COMMIT, 900, 1000, NULL, 0, NULL, 0);
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 262144, false, &sum, &err) == 0, "%u: a segment is accepted", major);
    OK(sum.facts.damages == 0 && sum.facts.records == records + 2, "%u: all records, no damage",
       major);
    OK(sum.facts.first_rec == first && sum.facts.first_prev == m.base - 64, "%u: the first record",
       major);
    OK(sum.facts.last_rec == m.prev && (sum.facts.flags & FACTS_SWITCHED) != 0,
       "%u: the last one is the switch", major);
    OK(sum.facts.commits == 1 && sum.facts.last_commit == last &&
           sum.facts.commit_times.greatest == 1000,
       "%u: the commit", major);
    OK(sum.facts.magic == m.v->magic && sum.facts.sysid == MAKE_SYSID, "%u: version and cluster",
       major);
    make_fini(&m);
}

static void test_pieces(void)
{
    static const size_t sizes[] = {8192, 1, 777, 8191, 8193, 65536, MAKE_SEG};
    struct maker m;
    struct facts want = {0};
    bool same = true;

    make_init(&m, 17);
    for (uint32_t i = 0; m.pos < 900000; i++)
        (void)make_filler(&m, (i * 91) % 20000);
    make_switch(&m);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        OK(make_walk(&m, &walk, 0, sizes[i], false, &sum, &err) == 0, "pieces of %zu bytes",
           sizes[i]);
        if (i == 0)
            want = sum.facts;
        same = same && memcmp(&want, &sum.facts, sizeof want) == 0;
    }
    OK(same, "pieces of any size give the same facts");
    make_fini(&m);
}

static void refused(struct maker *m, const char *text)
{
    OK(make_walk(m, &walk, 0, 65536, false, &sum, &err) == -1 && err.code == ERR_REFUSED &&
           strstr(err.msg, text) != NULL,
       "refused: %s", text);
}

/* Sets bytes of a good segment, expects a refusal, and puts them back. */
static void refused_with(struct maker *m, size_t at, const void *bytes, size_t n, const char *text)
{
    uint8_t old[16];

    memcpy(old, m->p + at, n);
    memcpy(m->p + at, bytes, n);
    refused(m, text);
    memcpy(m->p + at, old, n);
}

static void test_refusals(void)
{
    struct maker m;
    struct walname n = {WALNAME_SEGMENT, 1, 0, MAKE_SEGNO, 0};
    uint8_t *good;

    make_init(&m, 15);
    (void)make_filler(&m, 100);
    make_switch(&m);
    good = m.p;
    OK(make_walk(&m, &walk, 0, 8192, false, &sum, &err) == 0, "the segment itself is good");
    refused_with(&m, 0, "\x34\x12", 2, "page magic 1234");
    refused_with(&m, 0, "\xd1\x10", 2, "big-endian");
    refused_with(&m, 2, "\0", 1, "first page");
    refused_with(&m, 4, "\2", 1, "timeline 2");
    refused_with(&m, 4, "\0", 1, "timeline 0");
    refused_with(&m, 10, "\x80", 1, "content is that of LSN 0/800000");
    refused_with(&m, 24, "\1", 1, "system identifier");
    refused_with(&m, 34, "\x20", 1, "the segment says");
    refused_with(&m, 37, "\x40", 1, "WAL pages of 16384 bytes");

    m.p = calloc(1, MAKE_BYTES);
    refused(&m, "all zero");
    free(m.p);
    m.p = good;

    err_clear(&err);
    OK(walwalk_init(&walk, &n, MAKE_SEG, 0, &err) == 0 &&
           walwalk_feed(&walk, m.p, MAKE_SEG - 1, &err) == 0 &&
           walwalk_finish(&walk, &sum, &err) == -1 && err.code == ERR_REFUSED,
       "refused: one byte short");
    err_clear(&err);
    OK(walwalk_init(&walk, &n, MAKE_SEG, 0, &err) == 0 &&
           walwalk_feed(&walk, m.p, MAKE_SEG, &err) == 0 &&
           walwalk_feed(&walk, m.p, 1, &err) == 0 && walwalk_finish(&walk, &sum, &err) == -1,
       "refused: one byte more");
    err_clear(&err);
    OK(walwalk_init(&walk, &n, MAKE_SEG, 0, &err) == 0 &&
           walwalk_feed(&walk, m.p, MAKE_SEG, &err) == 0 &&
           walwalk_feed(&walk, m.p, 8192, &err) == -1,
       "refused: one page more");
    n.lo = 4096;
    err_clear(&err);
    OK(walwalk_init(&walk, &n, MAKE_SEG, 0, &err) == -1, "refused: a name beyond the segment size");
    n.lo = MAKE_SEGNO;
    err_clear(&err);
    OK(walwalk_init(&walk, &n, 3 << 20, 0, &err) == -1, "refused: no segment size");
    make_fini(&m);
}

/* Some records over `pages` pages, the last of them at *last. */
static void make_body(struct maker *m, lsn_t *middle, lsn_t *last)
{
    *middle = 0;
    for (uint32_t i = 0; m->pos < 20 * WALPAGE_SIZE; i++) {
        lsn_t lsn = make_filler(m, 40 + (i * 53) % 700);

        if (m->pos > 10 * WALPAGE_SIZE && *middle == 0)
            *middle = lsn;
        *last = lsn;
    }
}

static void damaged(struct maker *m, enum facts_damage reason, lsn_t lsn, const char *what)
{
    int rc = make_walk(m, &walk, 0, 65536, false, &sum, &err);

    if (!OK(rc == 0 && sum.facts.damages == 1 && sum.facts.damage[0].reason == reason &&
                sum.facts.damage[0].lsn == lsn,
            "damage: %s", what))
        for (uint32_t i = 0; i < sum.facts.damages && i < FACTS_DAMAGE_MAX; i++)
            printf("# reason %u at %llx, not %llx\n", sum.facts.damage[i].reason,
                   (unsigned long long)sum.facts.damage[i].lsn, (unsigned long long)lsn);
}

/* Walks as who cuts off what is behind a SWITCH; the number of damages, -1 for an error. */
static int walk_cutting(const struct maker *m)
{
    struct walname n = {WALNAME_SEGMENT, m->tli, 0, MAKE_SEGNO, 0};

    if (walwalk_init(&walk, &n, MAKE_SEG, MAKE_SYSID, &err) != 0)
        return -1;
    walk.cuts = true;
    if (walwalk_feed(&walk, m->p, MAKE_SEG, &err) != 0 || walwalk_finish(&walk, &sum, &err) != 0)
        return -1;
    return (int)sum.facts.damages;
}

/* The header of a SWITCH record may be cut in two by the end of a page. */
static void test_split_switch(size_t room)
{
    uint8_t filler[256] = {0};
    struct maker m;
    size_t left;

    make_init(&m, 18);
    while ((left = WALPAGE_SIZE - m.pos % WALPAGE_SIZE) > 400 + room)
        (void)make_record(&m, WALRECORD_XLOG, 0x20, 0, filler, 70);
    (void)make_record(&m, WALRECORD_XLOG, 0x20, 0, filler, 102);
    left = WALPAGE_SIZE - m.pos % WALPAGE_SIZE;
    (void)make_record(&m, WALRECORD_XLOG, 0x20, 0, filler, left - room - 26);
    OK(WALPAGE_SIZE - m.pos % WALPAGE_SIZE == room, "%zu bytes are left of the page", room);
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0,
       "a switch that begins there is sound");
    OK(sum.facts.end == m.base + WALPAGE_SIZE + (room < 24 ? 24 - room + 24 : 24 - room),
       "its end is told");
    m.p[MAKE_SEG - 5] = 1;
    OK(walk_cutting(&m) == 0 && walwalk_kept(&walk) == sum.facts.end - m.base,
       "and what is behind it can be cut off");
    make_fini(&m);
}

static void test_damage(void)
{
    struct maker m;
    lsn_t middle;
    lsn_t last;
    uint8_t *p;
    size_t page = 12 * WALPAGE_SIZE;
    uint64_t records;
    uint8_t old[WALPAGE_SIZE];

    make_init(&m, 16);
    make_body(&m, &middle, &last);
    (void)make_end(&m, WALXACT_COMMIT, 5, 77, NULL, 0, NULL, 0);
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0,
       "nothing is wrong before");
    records = sum.facts.records;
    p = m.p + (middle - m.base);

    p[30] ^= 1;
    damaged(&m, FACTS_BAD_CRC, middle, "a bit of a record's data");
    OK(sum.facts.records == records - 1 && sum.facts.commits == 1, "all other records are read");
    p[30] ^= 1;

    p[20] ^= 1;
    damaged(&m, FACTS_BAD_CRC, middle, "a bit of a record's checksum");
    p[20] ^= 1;

    p[0] ^= 8;
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages >= 1 &&
           sum.facts.damage[0].lsn == middle && sum.facts.commits == 1 &&
           sum.facts.records > records / 2,
       "damage: a bit of a record's length; later pages are read");
    p[0] ^= 8;

    p[3] ^= 0x80;
    damaged(&m, FACTS_BAD_LENGTH, middle, "an impossible length");
    OK(sum.facts.commits == 1 && sum.facts.records > records / 2, "later pages are read");
    p[3] ^= 0x80;

    memcpy(old, m.p + page, sizeof old);
    m.p[page] ^= 1;
    damaged(&m, FACTS_BAD_PAGE, m.base + page, "a page's magic");
    OK(sum.facts.commits == 1, "later pages are read");
    memcpy(m.p + page, old, sizeof old);
    m.p[page + 9] ^= 1;
    damaged(&m, FACTS_BAD_PAGE, m.base + page, "a page's address");
    memcpy(m.p + page, old, sizeof old);
    m.p[page + 4] = 9;
    damaged(&m, FACTS_BAD_PAGE, m.base + page, "a page of a later timeline");
    memcpy(m.p + page, old, sizeof old);
    memset(m.p + page, 0, WALPAGE_SIZE);
    damaged(&m, FACTS_ENDS_EARLY, m.base + page, "a page of zeros");
    OK(sum.facts.commits == 1, "later pages are read");
    memcpy(m.p + page, old, sizeof old);

    m.p[MAKE_SEG - 5] = 1;
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 1 &&
           sum.facts.damage[0].reason == FACTS_AFTER_SWITCH,
       "damage: something behind the switch");
    OK(walwalk_kept(&walk) == MAKE_SEG, "all of it counts");
    OK(walk_cutting(&m) == 0, "none where that is cut off");
    OK(walwalk_kept(&walk) == ((sum.facts.end + 7) & ~UINT64_C(7)) - m.base &&
           walwalk_sound(&walk) == MAKE_SEG,
       "from the end of the switch on");
    p[20] ^= 1;
    OK(walk_cutting(&m) == 2, "not behind a bad record");
    OK(walwalk_kept(&walk) == MAKE_SEG, "then all of it counts");
    p[20] ^= 1;
    m.p[MAKE_SEG - 5] = 0;
    make_fini(&m);
}

static void test_ends_early(void)
{
    struct maker m;
    lsn_t middle;
    lsn_t last;

    make_init(&m, 13);
    make_body(&m, &middle, &last);
    damaged(&m, FACTS_ENDS_EARLY, m.base + m.pos, "zeros instead of a record");
    OK((sum.facts.flags & FACTS_OPEN_END) != 0 && sum.facts.last_rec == last, "its end is told");
    OK(walwalk_sound(&walk) == m.pos, "nothing is behind it");
    OK(make_walk(&m, &walk, 0, 65536, true, &sum, &err) == 0 && sum.facts.damages == 0 &&
           sum.facts.last_rec == last,
       "in a .partial that is no damage");
    /* What a recycled segment leaves: pages of another place, whole records in them. */
    memcpy(m.p + 21 * WALPAGE_SIZE, m.p + 3 * WALPAGE_SIZE, 5 * WALPAGE_SIZE);
    memset(m.p + m.pos, 0x5a, 100);
    OK(make_walk(&m, &walk, 0, 65536, true, &sum, &err) == 0 && sum.facts.damages == 0 &&
           sum.facts.last_rec == last,
       "nor are old pages behind it");
    OK(walwalk_sound(&walk) == m.pos, "which are nobody's WAL");
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages > 0,
       "in a whole segment they are");
    OK(walwalk_sound(&walk) == m.pos, "and nobody's WAL, too");
    /* A page of this segment, though: a disk lost what was before it. */
    memcpy(m.p + 40 * WALPAGE_SIZE, m.p + 3 * WALPAGE_SIZE, WALPAGE_SIZE);
    put_u64(m.p + 40 * WALPAGE_SIZE + 8, m.base + 40 * WALPAGE_SIZE);
    for (int partial = 0; partial < 2; partial++)
        OK(make_walk(&m, &walk, 0, 65536, partial, &sum, &err) == 0 &&
               walwalk_sound(&walk) == MAKE_SEG,
           "a page of this segment behind it: all of it counts");
    make_fini(&m);
}

static void test_overwrite(void)
{
    uint8_t body[3000] = {0};
    uint8_t main[16] = {0};
    struct maker m;
    size_t page;

    make_init(&m, 18);
    make_fill_to(&m, MAKE_SEG - 5 * WALPAGE_SIZE + 200);
    /* A record whose second half was never written; the server goes on on the next page. */
    body[0] = 254;
    put_u32(body + 1, sizeof body - 5);
    (void)make_raw(&m, WALRECORD_XLOG, 0x20, 0, body, sizeof body, 200);
    page = (m.pos + WALPAGE_SIZE - 1) / WALPAGE_SIZE * WALPAGE_SIZE;
    m.pos = page;
    make_ready(&m, m.v->page_overwrite, 0);
    (void)make_record(&m, WALRECORD_XLOG, 0xd0, 0, main, sizeof main);
    (void)make_end(&m, WALXACT_COMMIT, 5, 77, NULL, 0, NULL, 0);
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0 &&
           sum.facts.commits == 1,
       "a record given up after a crash is no damage");
    make_fini(&m);
}

static void test_rows(void)
{
    struct maker m;
    const uint32_t subs[] = {101, 102};
    lsn_t lsn;
    const struct meta_item *i;

    make_init(&m, 15);
    for (int k = 0; k < 100; k++)
        (void)make_row(&m, 0x10, 100, 20000, 0);
    for (int k = 0; k < 30; k++)
        (void)make_row(&m, 0x10, k % 2 == 0 ? 101 : 102, 20000, 0);
    for (int k = 0; k < 50; k++) {
        (void)make_row(&m, 0x10, 103, 20000, 0);    /* a savepoint that is rolled back */
        (void)make_row(&m, 0x10, 100, 20000, 0x08); /* speculative */
        (void)make_row(&m, 0x10, 100, 20000, 0x10); /* moved to another partition */
        (void)make_row(&m, 0x10, 100, 1259, 0);     /* a catalog */
    }
    (void)make_end(&m, WALXACT_ABORT, 103, 5, NULL, 0, NULL, 0);
    for (int k = 0; k < 70; k++)
        (void)make_row(&m, k % 2 == 0 ? 0x20 : 0x40, 100, 20001, 0);
    for (int k = 0; k < 63; k++)
        (void)make_row(&m, 0x20, 100, 20002, 0);
    lsn = make_end(&m, WALXACT_COMMIT, 100, 10, subs, 2, NULL, 0);
    for (int k = 0; k < 64; k++)
        (void)make_row(&m, 0x10, 200, 20003, 0); /* not ended here */
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0,
       "row changes are read");
    i = nth(META_CHANGE, 0);
    OK(i != NULL && i->u.change.lsn == lsn && i->u.change.time == 10 && i->u.change.xid == 100,
       "mass change: its commit");
    OK(i != NULL && i->u.change.updates + i->u.change.deletes != 0 && nth(META_CHANGE, 1) != NULL &&
           nth(META_CHANGE, 2) == NULL,
       "mass change: two relations, the one of 63 rows is not told");
    for (unsigned k = 0; k < 2; k++) {
        i = nth(META_CHANGE, k);
        if (i != NULL && i->u.change.rel.rel == 20000)
            OK(i->u.change.deletes == 130 && i->u.change.updates == 0,
               "130 rows: savepoints in, rolled back, speculative, moved out");
        else
            OK(i != NULL && i->u.change.rel.rel == 20001 && i->u.change.updates == 70,
               "70 rows updated, hot or not");
    }
    i = nth(META_OPEN, 0);
    OK(i != NULL && i->u.open.xid == 200 && i->u.open.counts_n == 1 &&
           i->u.open.counts[0].deletes == 64,
       "what is open at the end is told");
    OK(sum.facts.lost == 0, "nothing was lost");
    make_fini(&m);
}

static void make_created(struct maker *m, uint32_t xid, uint32_t rel)
{
    uint8_t b[16];

    put_u32(b, 1663);
    put_u32(b + 4, 5);
    put_u32(b + 8, rel);
    put_u32(b + 12, 0);
    (void)make_record(m, WALRECORD_SMGR, 0x10, xid, b, sizeof b);
}

static void test_events(void)
{
    struct maker m;
    const uint32_t rels[] = {30000, 30003};
    uint8_t lock[16] = {1, 0, 0, 0, 44, 1, 0, 0, 5, 0, 0, 0};
    uint8_t point[72] = {0};
    lsn_t lsn;
    lsn_t locked;
    const struct meta_item *i;

    make_init(&m, 14);
    put_u32(lock + 12, 29000);
    locked = make_record(&m, WALRECORD_STANDBY, 0x00, 300, lock, sizeof lock);
    make_created(&m, 300, 31000);
    lsn = make_end(&m, WALXACT_COMMIT, 300, 12, NULL, 0, rels, 2);
    make_created(&m, 301, 31001);
    (void)make_end(&m, WALXACT_ABORT, 301, 13, NULL, 0, rels, 1);
    put_u64(point, 14);
    memcpy(point + 8, "here", 4);
    (void)make_record(&m, WALRECORD_XLOG, 0x70, 0, point, sizeof point);
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0,
       "events are read");
    i = nth(META_EVENT, 0);
    OK(i != NULL && i->u.event.lsn == lsn && i->u.event.time == 12 && i->u.event.lock == locked,
       "event: its commit and its lock");
    OK(i != NULL && i->u.event.dropped.n == 2 && i->u.event.dropped.v[1].rel == 30003 &&
           i->u.event.db == 5,
       "event: dropped files");
    OK(i != NULL && i->u.event.created.n == 1 && i->u.event.created.v[0] == 31000 &&
           i->u.event.locked.n == 1 && i->u.event.locked.v[0] == 29000,
       "event: files made, relations locked");
    OK(nth(META_EVENT, 1) == NULL, "a rolled-back one is no event");
    i = nth(META_RESTORE_POINT, 0);
    OK(i != NULL && strcmp(i->u.restore_point.name, "here") == 0 && i->u.restore_point.time == 14,
       "a restore point");
    i = nth(META_OUTCOME, 0);
    OK(i != NULL && i->u.outcome.xid == 300 && i->u.outcome.lsn == lsn, "how a transaction ended");
    i = nth(META_OUTCOME, 1);
    OK(i != NULL && i->u.outcome.xid == 301 && (i->u.outcome.flags & META_ABORTED) != 0,
       "and another");
    make_fini(&m);
}

/* More of everything than there is room for: bounded, marked, still decodable. */
static void test_floods(void)
{
    struct maker m;
    const uint32_t rels[] = {40000};
    unsigned changes = 0;

    make_init(&m, 17);
    for (uint32_t x = 1000; m.pos < 900000; x++) {
        for (int k = 0; k < 3; k++)
            (void)make_row(&m, 0x10, x, 50000 + x % 7, 0);
        if (x % 40 == 0)
            (void)make_end(&m, WALXACT_COMMIT, x, x, NULL, 0, rels, 1);
    }
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0,
       "thousands of open transactions");
    OK((sum.facts.lost & FACTS_LOST_COUNTS) != 0, "are marked as incomplete");
    make_fini(&m);

    make_init(&m, 17);
    for (uint32_t x = 1000; m.pos < 1000000; x++) {
        make_created(&m, x, 60000 + x);
        (void)make_end(&m, WALXACT_COMMIT, x, x, NULL, 0, rels, 1);
    }
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0 &&
           (sum.facts.lost & FACTS_LOST_EVENTS) != 0 && sum.meta_len <= META_BYTES_MAX,
       "thousands of events are cut and marked");
    OK((sum.facts.lost & FACTS_LOST_OUTCOMES) == 0, "outcomes of old transactions are not crowded");
    make_fini(&m);

    make_init(&m, 17);
    for (uint32_t r = 0; r < 300; r++)
        for (int k = 0; k < 64; k++)
            if (m.pos < 1000000)
                (void)make_row(&m, 0x10, 7000 + r, 70000 + r, 0);
    make_switch(&m);
    OK(make_walk(&m, &walk, 0, 65536, false, &sum, &err) == 0 && sum.facts.damages == 0,
       "hundreds of open mass deletes");
    while (nth(META_OPEN, changes) != NULL)
        changes++;
    OK(changes == WALEVENT_OPEN && (sum.facts.lost & FACTS_LOST_OPEN) != 0,
       "as many as there is room for, and a mark");
    make_fini(&m);
}

int main(void)
{
    for (unsigned major = 13; major <= 18; major++)
        test_plain(major);
    test_pieces();
    test_refusals();
    for (size_t room = 8; room <= 24; room += 8)
        test_split_switch(room);
    test_damage();
    test_ends_early();
    test_overwrite();
    test_rows();
    test_events();
    test_floods();
    return tap_done();
}

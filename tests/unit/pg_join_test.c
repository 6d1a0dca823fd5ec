#include "pg/join.h"

#include "pg/metaread.h"
#include "pg_wal_maker.h"
#include "tap.h"

static struct walwalk walk;
static struct err err;

struct part {
    struct wal_summary s;
    uint8_t meta[META_BYTES_MAX];
    uint8_t data[WALWALK_DATA_MAX];
};

static struct part part[MAKE_SEGMENTS];

/* Walks segments 0 to n-1 and keeps their summaries. */
static bool walk_all(struct maker *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct part *p = &part[i];

        if (make_walk(m, &walk, i, 65536, false, &p->s, &err) != 0) {
            printf("# segment %u: %s\n", i, err.msg);
            return false;
        }
        memcpy(p->meta, p->s.meta, p->s.meta_len);
        memcpy(p->data, p->s.data, p->s.data_len);
        p->s.meta = p->meta;
        p->s.data = p->data;
    }
    return true;
}

/* A record of `len` bytes that starts `left` bytes before the end of segment 0, and some more. */
static lsn_t across(struct maker *m, size_t left, size_t len)
{
    uint8_t *body = calloc(1, len);
    lsn_t lsn;

    if (body == NULL)
        abort();
    make_init(m, 15);
    (void)make_filler(m, 50);
    make_fill_to(m, left);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(i * 7);
    body[0] = 254;
    put_u32(body + 1, (uint32_t)(len - WALRECORD_HEADER - 5));
    lsn = make_raw(m, WALRECORD_XLOG, 0x20, 0, body, len - WALRECORD_HEADER, SIZE_MAX);
    (void)make_filler(m, 20);
    make_switch(m);
    free(body);
    return lsn;
}

static void test_cuts(void)
{
    static const size_t lefts[] = {8, 16, 24, 32, 40, 1000};

    for (size_t i = 0; i < sizeof lefts / sizeof lefts[0]; i++) {
        struct maker m;
        struct join j;
        lsn_t lsn = across(&m, lefts[i], 5000);

        OK(lsn == m.base + MAKE_SEG - lefts[i] && walk_all(&m, 2) && part[0].s.facts.damages == 0 &&
               part[1].s.facts.damages == 0 && part[0].s.facts.tail == lsn,
           "a record that starts %zu bytes before the end", lefts[i]);
        join_init(&j);
        OK(join_step(&j, &part[0].s) == JOIN_FIRST, "cut %zu: the first", lefts[i]);
        OK(join_step(&j, &part[1].s) == JOIN_OK && j.proved && j.record_lsn == lsn &&
               j.record_tot == 5000,
           "cut %zu: joins, and the checksum holds", lefts[i]);

        part[1].s.meta_len = 0;
        part[1].s.data_len = 0;
        join_init(&j);
        (void)join_step(&j, &part[0].s);
        OK(join_step(&j, &part[1].s) == JOIN_OK && !j.proved, "cut %zu: without metadata, unproved",
           lefts[i]);

        /* One bit of the record, behind the boundary: only the checksum can tell. */
        m.p[MAKE_SEG + WALPAGE_LONG + 900] ^= 1;
        (void)walk_all(&m, 2);
        join_init(&j);
        (void)join_step(&j, &part[0].s);
        OK(join_step(&j, &part[1].s) == JOIN_CRC && j.proved, "cut %zu: a flipped bit is seen",
           lefts[i]);
        make_fini(&m);
    }
}

static void test_long(void)
{
    struct maker m;
    struct join j;
    lsn_t lsn = across(&m, 8, 3 * MAKE_SEG - 100000);
    bool ok = walk_all(&m, 4);

    OK(ok && part[1].s.facts.records == 0 && part[2].s.facts.records == 0,
       "segments in which no record starts");
    join_init(&j);
    ok = join_step(&j, &part[0].s) == JOIN_FIRST && join_step(&j, &part[1].s) == JOIN_OK &&
         join_step(&j, &part[2].s) == JOIN_OK && j.record_lsn == 0;
    OK(ok && join_step(&j, &part[3].s) == JOIN_OK && j.proved && j.record_lsn == lsn,
       "a record over four segments joins, its checksum holds");
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    (void)join_step(&j, &part[1].s);
    OK(join_step(&j, &part[3].s) == JOIN_GAP, "a missing segment is a gap");
    join_init(&j);
    OK(join_step(&j, &part[1].s) == JOIN_FIRST && join_step(&j, &part[2].s) == JOIN_OK &&
           join_step(&j, &part[3].s) == JOIN_OK && !j.proved,
       "starting inside a record is no complaint");
    part[2].s.facts.head_rem--;
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    (void)join_step(&j, &part[1].s);
    OK(join_step(&j, &part[2].s) == JOIN_LENGTH, "another length is seen");
    make_fini(&m);
}

static void test_chain(void)
{
    struct maker m;
    struct join j;
    lsn_t prev;

    make_init(&m, 13);
    (void)make_filler(&m, 10);
    make_switch(&m);
    prev = m.prev;
    (void)make_filler(&m, 10);
    make_switch(&m);
    OK(walk_all(&m, 2), "two switched segments");
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    OK(join_step(&j, &part[1].s) == JOIN_OK && part[1].s.facts.first_prev == prev, "they join");
    part[1].s.facts.first_prev -= 8;
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    OK(join_step(&j, &part[1].s) == JOIN_PREV, "another last record is seen");
    part[1].s.facts.first_prev += 8;
    part[1].s.facts.sysid++;
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    OK(join_step(&j, &part[1].s) == JOIN_FOREIGN, "another cluster is seen");
    part[1].s.facts.sysid--;
    part[1].s.facts.first_tli = 1;
    part[0].s.facts.last_tli = 2;
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    OK(join_step(&j, &part[1].s) == JOIN_FOREIGN, "an older timeline is seen");
    part[1].s.meta = (const uint8_t *)"\x20\x05";
    part[1].s.meta_len = 2;
    OK(join_step(&j, &part[1].s) == JOIN_GARBLED, "metadata cut off is seen");
    make_fini(&m);
}

/* A commit across the boundary comes out as a record that the collector can read. */
static void test_commit_across(void)
{
    static struct walevent ev;
    static uint8_t meta[META_BYTES_MAX];
    uint32_t rels[40];
    struct maker m;
    struct join j;
    struct facts f = {0};
    lsn_t lsn;

    for (uint32_t i = 0; i < 40; i++)
        rels[i] = 20000 + i;
    make_init(&m, 18);
    make_fill_to(&m, 104);
    lsn = make_end(&m, WALXACT_COMMIT, 77, 4242, NULL, 0, rels, 40);
    make_switch(&m);
    OK(walk_all(&m, 2) && part[0].s.facts.commits == 0 && part[1].s.facts.commits == 0,
       "a commit across the boundary is in neither segment");
    join_init(&j);
    (void)join_step(&j, &part[0].s);
    OK(join_step(&j, &part[1].s) == JOIN_OK && j.proved && j.record_len == j.record_tot,
       "it is joined whole");
    f.start = m.base;
    f.segsize = MAKE_SEG;
    walevent_init(&ev, m.v, &f, meta);
    OK(walevent_record(&ev, j.record, j.record_len, j.record_lsn) == 0 && f.commits == 1 &&
           f.commit_times.first == 4242 && f.first_commit == lsn,
       "its time is read");
    walevent_finish(&ev);
    {
        static struct meta_item item;
        struct metaread r;

        metaread_open(&r, meta, ev.meta.len, f.start);
        OK(metaread_next(&r, &item) == 0 && item.tag == META_EVENT &&
               item.u.event.dropped.total == 40 && item.u.event.dropped.v[39].rel == 20039,
           "and what it dropped");
    }
    make_fini(&m);
}

int main(void)
{
    test_cuts();
    test_long();
    test_chain();
    test_commit_across();
    return tap_done();
}

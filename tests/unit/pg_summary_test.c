#include <stdlib.h>

#include "pg/facts.h"
#include "pg/metaread.h"
#include "pg/walxids.h"
#include "tap.h"

static struct facts full_facts(void)
{
    struct facts f = {.magic = 0xD118,
                      .flags = FACTS_HEAD_ENDS,
                      .lost = FACTS_LOST_OPEN,
                      .segsize = 16 << 20,
                      .sysid = UINT64_C(7710141693391441438),
                      .tli = 12,
                      .first_tli = 11,
                      .last_tli = 12,
                      .start = UINT64_C(0x123456) << 24,
                      .records = 240000,
                      .commits = 1000,
                      .aborts = 3,
                      .prepares = 2,
                      .xact_times = {-5, 9000, -7, 9900},
                      .commit_times = {10, 9000, 0, 9900},
                      .checkpoints = 2,
                      .switches = 6,
                      .levels = 1,
                      .head_rem = 100000,
                      .head_present = 99000,
                      .tail_len = 1 << 30,
                      .tail_present = 5000,
                      .damages = 100};

    f.first_rec = f.start + 40;
    f.first_prev = f.start - 5000;
    f.last_rec = f.start + 999992;
    f.end = f.start + f.segsize;
    f.first_commit = f.start + 80;
    f.last_commit = f.start + 1000000;
    f.last_checkpoint = f.start + 512;
    f.last_redo = f.start - (UINT64_C(1) << 33);
    f.tail = f.start + 16000000;
    for (uint32_t i = 0; i < FACTS_CHANGES_MAX; i++) {
        f.tli_switch[i].lsn = f.start + 100 * i;
        f.tli_switch[i].from = i;
        f.tli_switch[i].to = i + 1;
    }
    f.wal_level[0].lsn = f.start + 8;
    f.wal_level[0].level = 2;
    for (uint32_t i = 0; i < FACTS_DAMAGE_MAX; i++) {
        f.damage[i].lsn = f.start + f.segsize - 1 - i;
        f.damage[i].reason = FACTS_BAD_CRC + i % 8;
    }
    return f;
}

static void test_facts(void)
{
    uint8_t b[FACTS_BYTES_MAX + 8];
    struct facts f = full_facts();
    struct facts back;
    struct err e = {0};
    size_t n = facts_encode(&f, b);
    bool refused = true;

    OK(n < FACTS_BYTES_MAX / 2, "the fullest facts need %zu bytes", n);
    OK(facts_decode(b, n, &back, &e) == 0 && memcmp(&f, &back, sizeof f) == 0,
       "facts come back as they were");
    for (size_t cut = 0; cut < n; cut++) {
        err_clear(&e);
        if (facts_decode(b, cut, &back, &e) == 0 && memcmp(&f, &back, sizeof f) == 0)
            refused = false;
    }
    OK(refused, "cut anywhere they are refused, or less");
    b[n] = 0x7f;
    b[n + 1] = 2;
    b[n + 2] = b[n + 3] = 9;
    err_clear(&e);
    OK(facts_decode(b, n + 4, &back, &e) == 0 && memcmp(&f, &back, sizeof f) == 0,
       "an item of a later version is passed over");
    memcpy(b + n, b, 40);
    err_clear(&e);
    OK(facts_decode(b, n + 40, &back, &e) == -1 && e.code == ERR_DAMAGED,
       "an item that is there twice is refused");

    memset(&f, 0, sizeof f);
    f.magic = 0xD106;
    f.segsize = 16 << 20;
    f.sysid = UINT64_MAX;
    f.tli = f.first_tli = f.last_tli = 1;
    f.start = UINT64_C(0xFFFFFF) << 24;
    f.records = 3;
    f.first_rec = f.start + 40;
    f.first_prev = f.start - 200;
    f.last_rec = f.start + 300;
    f.end = f.start + 324;
    f.checkpoints = 1;
    f.last_checkpoint = f.start + 150;
    f.last_redo = f.start + 40;
    n = facts_encode(&f, b);
    OK(n <= 120, "an idle segment needs %zu bytes", n);
    err_clear(&e);
    OK(facts_decode(b, n, &back, &e) == 0 && memcmp(&f, &back, sizeof f) == 0,
       "and comes back as it was");
}

static void test_times(void)
{
    struct facts_times t = {0};

    facts_time(&t, 50, false);
    facts_time(&t, 40, true);
    facts_time(&t, 70, true);
    facts_time(&t, 60, true);
    OK(t.first == 50 && t.last == 60 && t.least == 40 && t.greatest == 70,
       "first, last, least and greatest time");
    OK(strcmp(facts_damage_text(FACTS_BAD_CRC), facts_damage_text(999)) != 0 &&
           strstr(facts_damage_text(999), "does not know") != NULL,
       "a damage of a later version has a text");
}

static struct meta_item item;
static struct meta_event event;

static void test_meta(void)
{
    const lsn_t start = UINT64_C(5) << 30;
    uint8_t b[8192];
    struct tlv_out o;
    struct meta_base base = {0};
    struct metaread r;
    struct meta_outcome oc = {start + 500, 1000000, 4000000000u, META_ABORTED, {0}};
    struct meta_tablespace ts = {start + 1, 9, META_CREATED, 16400, "/srv/space"};
    struct meta_head head = {{1, 2, 3}, {0, 5, 6}};
    bool refused = true;
    int n = 0;

    event.lsn = start + 77;
    event.time = -3;
    event.xid = 800;
    event.db = 5;
    event.volume = UINT64_C(1) << 40;
    event.dropped.total = 500;
    event.dropped.n = 2;
    event.dropped.v[0] = (struct relnode){1663, 5, 20000};
    event.dropped.v[1] = (struct relnode){16400, 5, 19000};
    for (uint32_t i = 0; i < 300; i++)
        meta_list_add(&event.created, 100000 - i % 200);
    tlv_init(&o, b, sizeof b);
    OK(meta_put_event(&o, start, &event) && meta_put_outcome(&o, start, &base, &oc), "written");
    oc.xid = 3;
    oc.lsn += 40;
    oc.time -= 7;
    meta_list_add(&oc.subs, 4);
    OK(meta_put_outcome(&o, start, &base, &oc) && meta_put_tablespace(&o, start, &ts) &&
           meta_put_head(&o, &head),
       "written");

    metaread_open(&r, b, o.len, start);
    OK(metaread_next(&r, &item) == 0 && item.tag == META_EVENT &&
           memcmp(&item.u.event, &event, sizeof event) == 0,
       "an event comes back as it was");
    OK(item.u.event.created.total == 200 && item.u.event.created.n == META_LIST_MAX,
       "a list keeps what fits and counts the rest, equal values once");
    OK(metaread_next(&r, &item) == 0 && item.u.outcome.xid == 4000000000u &&
           item.u.outcome.lsn == start + 500 && item.u.outcome.time == 1000000,
       "the first outcome");
    OK(metaread_next(&r, &item) == 0 && memcmp(&item.u.outcome, &oc, sizeof oc) == 0,
       "the second, relative to it");
    OK(metaread_next(&r, &item) == 0 && memcmp(&item.u.tablespace, &ts, sizeof ts) == 0,
       "a tablespace");
    OK(metaread_next(&r, &item) == 0 && memcmp(&item.u.head, &head, sizeof head) == 0,
       "the checksums of a head");
    OK(metaread_next(&r, &item) == 1, "the end");

    for (uint32_t cut = 1; cut < o.len; cut++) {
        int rc;

        metaread_open(&r, b, cut, start);
        for (n = 0; (rc = metaread_next(&r, &item)) == 0; n++)
            ;
        refused = refused && (rc == -1 || n < 5);
    }
    OK(refused, "cut anywhere, less comes out or an error");
}

static void test_room(void)
{
    uint8_t b[64];
    struct tlv_out o;
    uint32_t before;

    tlv_init(&o, b, sizeof b);
    memset(&event, 0, sizeof event);
    for (uint32_t i = 0; i < 100; i++)
        meta_list_add(&event.stats, i * 1000);
    tlv_begin(&o, 1);
    tlv_u8(&o, 7);
    OK(tlv_end(&o) && o.len == 3, "a small item fits");
    before = o.len;
    OK(!meta_put_event(&o, 0, &event) && o.len == before, "a large one is left out whole");
    tlv_begin(&o, 2);
    OK(tlv_end(&o) && o.len == before + 2, "and the next one fits again");
}

static void test_xids(void)
{
    static struct walxids t;
    const struct relnode rel = {1663, 5, 20000};
    struct walxids_xact *x;
    bool all = true;

    walxids_init(&t);
    for (uint32_t i = 1; i <= WALXIDS_XACTS; i++)
        walxids_rows(&t, i, &rel, 1, 0);
    for (uint32_t i = 1; i <= WALXIDS_XACTS; i++)
        all = all && walxids_find(&t, i) != NULL;
    OK(all && !t.lost, "as many transactions as there are places");
    walxids_rows(&t, 1, &rel, 100, 0);
    for (uint32_t i = 0; i < 500; i++)
        walxids_rows(&t, 5000 + i, &rel, 1, 0);
    x = walxids_find(&t, 1);
    OK(t.lost && x != NULL && t.count[x->counts].c.deletes == 101,
       "when it is full the light ones give way, and it says so");

    walxids_init(&t);
    for (uint32_t i = 0; i < 3; i++)
        walxids_rows(&t, 10 + i, &rel, 2, i);
    walxids_note(&t, 11, WALXIDS_CREATED, 99);
    walxids_note(&t, 11, WALXIDS_CREATED, 99);
    (void)walxids_fold(&t, 10, 11);
    x = walxids_fold(&t, 10, 12);
    OK(x != NULL && x->xid == 10 && t.count[x->counts].c.deletes == 6 &&
           t.count[x->counts].c.updates == 3 && x->n_counts == 1,
       "savepoints fold into their transaction");
    OK(t.creating == 1 && x->creates && walxids_made(&t, x, 99) && x->n_notes == 1,
       "with the files they made");
    OK(walxids_find(&t, 11) == NULL && walxids_find(&t, 12) == NULL, "and are gone");
    walxids_drop(&t, x);
    OK(t.creating == 0 && walxids_find(&t, 10) == NULL, "until it ends");
    walxids_rows(&t, 20, &rel, 5, 0);
    x = walxids_fold(&t, 21, 20);
    OK(x != NULL && x->xid == 21 && walxids_find(&t, 21) == x && walxids_find(&t, 20) == NULL,
       "one that the parent knew nothing of is renamed");

    walxids_init(&t);
    for (uint32_t i = 0; i < 2 * WALXIDS_EACH; i++) {
        struct relnode other = {1663, 5, 30000 + i};

        walxids_rows(&t, 7, &other, 1, 0);
        walxids_note(&t, 7, WALXIDS_LOCKED, i);
    }
    x = walxids_find(&t, 7);
    OK(x != NULL && x->n_counts == WALXIDS_EACH && x->n_notes == WALXIDS_EACH && t.lost &&
           (x->flags & META_APPROXIMATE) != 0,
       "one transaction cannot take it all");
}

/* Subtransactions that must give way go into their parent. */
static void test_xids_pressure(void)
{
    static struct walxids t;
    const struct relnode rel = {1663, 5, 20000};
    struct walxids_xact *x;
    uint64_t sum = 0;

    walxids_init(&t);
    walxids_rows(&t, 1, &rel, 1000000, 0);
    for (uint32_t i = 0; i < 10000; i++) {
        walxids_rows(&t, 100 + i, &rel, 1, 0);
        walxids_get(&t, 100 + i)->top = 1;
    }
    for (uint32_t i = 0; i < t.xact_used; i++)
        if (t.xact[i].in_use)
            sum += t.count[t.xact[i].counts].c.deletes;
    x = walxids_find(&t, 1);
    OK(x != NULL && sum == 1010000 && t.count[x->counts].c.deletes > 1000000 &&
           (x->flags & META_APPROXIMATE) != 0,
       "no row of 10000 savepoints is forgotten");
}

int main(void)
{
    test_facts();
    test_times();
    test_meta();
    test_room();
    test_xids();
    test_xids_pressure();
    return tap_done();
}

/* Verification records: their bytes, what several say together, and what is kept of them. */
#include "repo/verified.h"

#include <stdio.h>
#include <string.h>

#include "pages_kit.h"
#include "tap.h"

static struct kit kit;

static const char *mode(bool sealed)
{
    return sealed ? "sealed" : "plain";
}

static void fill(struct verified *v, uint32_t part, uint32_t parts, int64_t end)
{
    verified_init(v);
    v->part = part;
    v->parts = parts;
    v->start = end - 10;
    v->end = end;
    v->level = VERIFIED_CONTENT;
}

static void name_backup(struct verified *v, const char *label, uint8_t level, bool damaged)
{
    struct err e = {0};
    struct verified_backup *b = verified_backups_add(&v->backups, &e);

    (void)snprintf(b->label, sizeof b->label, "%s", label);
    b->level = level;
    b->damaged = damaged;
    b->part = v->parts > 1;
}

static struct verified *add(struct verified_list *l, uint32_t part, uint32_t parts, int64_t end)
{
    struct err e = {0};
    struct verified *v = verified_records_add(&l->records, &e);

    fill(v, part, parts, end);
    return v;
}

static void test_bytes(void)
{
    struct verified v;
    struct verified back;
    struct verified_wal w = {
        .tli = 3, .from = 5, .to = 99, .segments = 7, .level = 3, .damaged = true, .part = true};
    struct err e = {0};
    struct buf part;
    unsigned accepted = 0;

    fill(&v, 2, 7, 1000);
    v.head.sequence = 12;
    v.head.wal_lsn = 77;
    v.objects = 300;
    v.bytes = UINT64_C(1) << 40;
    v.damaged = 2;
    name_backup(&v, "00000001-0000000002000028-abcdef", VERIFIED_RECORDS, true);
    OK(verified_wals_push(&v.wal, w, &e) == 0, "a timeline");
    buf_init(&part, 4096);
    verified_init(&back);
    OK(verified_encode(&part, &v, &e) == 0 && verified_decode(&back, part.p, part.len, &e) == 0,
       "a record as bytes and back: %s", e.msg);
    OK(back.part == 2 && back.parts == 7 && back.start == 990 && back.end == 1000 &&
           back.level == VERIFIED_CONTENT && back.objects == 300 && back.bytes == v.bytes &&
           back.damaged == 2 && back.head.sequence == 12 && back.head.wal_lsn == 77 && !back.cut,
       "the run");
    OK(back.backups.n == 1 && strcmp(back.backups.v[0].label, v.backups.v[0].label) == 0 &&
           back.backups.v[0].level == 3 && back.backups.v[0].damaged && back.backups.v[0].part,
       "the backup");
    OK(back.wal.n == 1 && back.wal.v[0].tli == 3 && back.wal.v[0].from == 5 &&
           back.wal.v[0].to == 99 && back.wal.v[0].segments == 7 && back.wal.v[0].damaged &&
           back.wal.v[0].part,
       "the timeline");
    verified_fini(&back);
    for (size_t n = 0; n < part.len; n++) {
        verified_init(&back);
        accepted += verified_decode(&back, part.p, n, &e) == 0;
        verified_fini(&back);
    }
    /* A cut between two of the last items leaves a shorter record; the signature proves the end. */
    OK(accepted == 2, "cut anywhere in its run, it is damaged (%u)", accepted);
    for (unsigned i = 0; i < 1500; i++)
        name_backup(&v, i < 500 ? "old" : "new", 1, false);
    buf_clear(&part);
    part.max = 200 * 1024;
    verified_init(&back);
    OK(verified_encode(&part, &v, &e) == 0 && verified_decode(&back, part.p, part.len, &e) == 0 &&
           back.cut && back.backups.n == VERIFIED_BACKUPS_MAX &&
           strcmp(back.backups.v[0].label, "new") == 0,
       "of too many backups the newest are named, and the record says so");
    verified_fini(&back);
    verified_fini(&v);
    buf_fini(&part);
}

static void test_together(void)
{
    struct verified_list l = {.unreadable = 0};
    struct verified_verdict v;
    int64_t time;
    uint8_t level;

    verified_records_init(&l.records, 100);
    OK(verified_due(&l, 3) == 1 && !verified_sweep(&l, &time, &level) &&
           verified_of(&l, "a").level == VERIFIED_NONE,
       "without a record nothing is verified, and part 1 is due");
    name_backup(add(&l, 1, 3, 100), "a", 3, false);
    name_backup(add(&l, 2, 3, 200), "a", 1, false);
    OK(verified_due(&l, 3) == 3 && verified_due(&l, 2) == 1 && !verified_sweep(&l, &time, &level),
       "part 3 is due; another division begins anew");
    OK(verified_of(&l, "a").level == VERIFIED_NONE, "two parts of three prove no backup");
    name_backup(add(&l, 3, 3, 300), "a", 2, false);
    v = verified_of(&l, "a");
    OK(v.level == 1 && v.time == 100 && !v.damaged, "three do: the least level, the oldest time");
    OK(verified_sweep(&l, &time, &level) && time == 100 && verified_due(&l, 3) == 1,
       "and so was everything; part 1 is due again");
    name_backup(add(&l, 2, 3, 400), "a", 1, true);
    v = verified_of(&l, "a");
    OK(v.damaged && v.damage == 400 && v.level == VERIFIED_NONE,
       "damage in one part takes the proof away");
    name_backup(add(&l, 3, 3, 500), "a", 3, false);
    OK(verified_of(&l, "a").damaged, "another part found sound does not mend it");
    name_backup(add(&l, 2, 3, 600), "a", 3, false);
    OK(!verified_of(&l, "a").damaged && verified_of(&l, "a").time == 100, "the same part does");
    name_backup(add(&l, 1, 1, 700), "a", 3, false);
    v = verified_of(&l, "a");
    OK(v.level == 3 && v.time == 700, "a whole run is newer than all of them");
    name_backup(add(&l, 1, 1, 800), "a", 3, true);
    v = verified_of(&l, "a");
    OK(v.damaged && v.damage == 800 && v.level == 3 && v.time == 700,
       "damage found later is said beside what was known before");
    name_backup(add(&l, 1, 3, 900), "a", 3, false);
    OK(verified_of(&l, "a").damaged, "and one part does not mend what a whole run found");
    OK(verified_of(&l, "b").level == VERIFIED_NONE, "of another backup nothing is known");
    verified_list_fini(&l);
}

static void test_store(bool sealed)
{
    static char names[100][48];
    struct verified v;
    struct verified_list l;
    struct err e = {0};
    char path[160];
    uint8_t *bytes;
    size_t len;
    unsigned bad = 0;

    kit_open(&kit, sealed);
    /* The kit goes without a marker; writers of plain objects look whether it is the same still. */
    kit_spit(&kit, "walden-repo", (const uint8_t *)"x", 1);
    OK(store_marker_stamp(&kit.repo.store, "walden-repo", &kit.repo.marker_stamp, &e) == 0,
       "%s: a marker", mode(sealed));
    for (unsigned i = 1; i <= VERIFIED_KEEP + 6; i++) {
        fill(&v, 1, 1, 1000 * (int64_t)i);
        bad += verified_put(&v, &kit.repo, "host", &e) != 0 || v.head.sequence != i;
        verified_fini(&v);
    }
    OK(bad == 0, "%s: many records: %s", mode(sealed), e.msg);
    OK(kit_list(&kit, "verify", names, 100) == VERIFIED_KEEP, "%s: the newest %d stay",
       mode(sealed), VERIFIED_KEEP);
    OK(verified_read(&l, &kit.repo, kit.scratch, &e) == 0 && l.records.n == VERIFIED_KEEP &&
           l.records.v[0].head.sequence == 7 && l.unreadable == 0,
       "%s: and can be read, oldest first", mode(sealed));
    verified_list_fini(&l);
    if (!sealed) {
        fill(&v, 1, 1, 5);
        OK(verified_put(&v, &kit.repo, "another", &e) == 0 && v.head.sequence == 1 &&
               kit_list(&kit, "verify", names, 100) == VERIFIED_KEEP + 1,
           "another host counts for itself");
        verified_fini(&v);
    }
    (void)kit_list(&kit, "verify", names, 100);
    kit_path(path, "verify", names[3]);
    bytes = kit_slurp(&kit, path, &len);
    bytes[len - 40] ^= 1;
    kit_spit(&kit, path, bytes, len);
    bytes[len - 40] ^= 1;
    kit_path(path, "verify", "0123456789abcdef-00000001");
    kit_spit(&kit, path, bytes, len);
    OK(verified_read(&l, &kit.repo, kit.scratch, &e) == 0 && l.unreadable == 2,
       "%s: a damaged record and a misnamed one are not believed", mode(sealed));
    verified_list_fini(&l);
    free(bytes);
    kit_close(&kit);
}

int main(void)
{
    test_bytes();
    test_together();
    test_store(false);
    test_store(true);
    return tap_done();
}

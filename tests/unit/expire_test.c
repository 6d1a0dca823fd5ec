/*
 * Goal: expire on a real repository, plain and sealed, day after day by a clock of the test's: what
 * the rules ask for stays, chains of records stay whole although records go, a clock that was set
 * back stops it until a person accepts it, pins and leases that come at the last moment hold, what
 * came back goes again, and records of any size are read back as they were written.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/parse.h"
#include "pages_kit.h"
#include "repo/condemned.h"
#include "repo/expire.h"
#include "repo/manifest_chain.h"
#include "repo/manifest_write.h"

#define DAY_US (INT64_C(86400) * USEC_PER_SEC)
#define EPOCH  (INT64_C(1750000000) * USEC_PER_SEC)

static struct kit kit;
static unsigned taken;

static const char *mode(bool sealed)
{
    return sealed ? "sealed" : "plain";
}

/* A backup without files that carries its WAL. */
static int take(char label[MANIFEST_LABEL_MAX], int64_t time, const char *host, struct err *e)
{
    static struct manifest_writer m;
    struct manifest_public p = {.start_timeline = 1,
                                .stop_timeline = 1,
                                .start_time = time,
                                .stop_time = time,
                                .wal_inside = true,
                                .server_version = 170000};
    struct manifest_seen seen = {.sequence = 0};
    const uint8_t random[3] = {1, 2, (uint8_t)taken};
    int rc = -1;

    memset(&m, 0, sizeof m);
    p.start_lsn = p.checkpoint_lsn = (uint64_t)++taken << 24;
    p.stop_lsn = p.start_lsn + 1000;
    manifest_label(label, 1, p.start_lsn, random);
    if (manifest_chain_next(&p.head, &kit.repo, host, kit.dir, kit.scratch, e) == 0 &&
        manifest_begin(&m, &kit.repo, label, 1, p.start_lsn, e) == 0)
        rc = manifest_finish(&m, &p, e);
    if (rc == 0) {
        memcpy(seen.writer, p.head.writer, sizeof seen.writer);
        memcpy(seen.digest, m.digest, sizeof seen.digest);
        seen.sequence = p.head.sequence;
        manifest_seen_here(&seen, &kit.repo);
        rc = manifest_heads_keep(kit.dir, &seen, e);
    }
    manifest_fini(&m);
    return rc;
}

static struct settings settings;
static struct expire x;
static char problem[ERR_MSG_MAX];

static void warn(void *arg, const struct err *why)
{
    (void)arg;
    (void)snprintf(problem, sizeof problem, "%s", why->msg);
}

static struct expire_how how = {
    .settings = &settings, .host = "host", .state_dir = kit.dir, .wait = kit_no_wait, .warn = warn};

static int run(int64_t now, bool accept, struct err *e)
{
    int rc;

    how.now = now;
    how.accept_clock = accept;
    rc = expire_look(&x, &kit.repo, &how, kit.scratch, e);
    if (rc == 0)
        rc = expire_do(&x, e);
    expire_close(&x);
    return rc;
}

static unsigned there(const char *sub)
{
    char names[64][48];

    return kit_list(&kit, sub, names, 64);
}

static bool has(const char *label)
{
    char names[64][48];
    unsigned n = kit_list(&kit, "backup", names, 64);

    for (unsigned i = 0; i < n; i++)
        if (strcmp(names[i], label) == 0)
            return true;
    return false;
}

/* Does the host miss a record? */
static bool is_rolled_back(void)
{
    struct manifest_heads known;
    struct manifest_heads found;
    struct err e = {0};
    bool back = true;

    if (manifest_heads_load(&known, kit.dir, &e) == 0) {
        if (manifest_heads_scan(&found, &kit.repo, kit.scratch, &e) == 0) {
            back = false;
            for (size_t i = 0; i < known.n; i++)
                back = back || manifest_heads_missing(&known, &found) != NULL;
        }
        manifest_heads_fini(&found);
    }
    manifest_heads_fini(&known);
    return back;
}

static void begin(bool sealed)
{
    taken = 0;
    memset(&settings, 0, sizeof settings);
    kit_open(&kit, sealed);
    kit_secret(&kit, false);
}

/* --- day after day --- */

static void test_days(bool sealed)
{
    char labels[40][MANIFEST_LABEL_MAX];
    struct err e = {0};
    bool right = true;

    begin(sealed);
    settings.keep_backups.rule.daily = 3;
    settings.keep_backups.rule.weekly = 2;
    for (unsigned day = 0; right && day < 40; day++) {
        right = take(labels[day], EPOCH + day * DAY_US, "host", &e) == 0 &&
                run(EPOCH + day * DAY_US + DAY_US / 2, false, &e) == 0 && !is_rolled_back() &&
                has(labels[day]);
    }
    OK(right && problem[0] == '\0', "%s: forty days, a backup and a run each: %s %s", mode(sealed),
       e.msg, problem);
    OK(there("backup") == 4 && has(labels[39]) && has(labels[38]) && has(labels[37]),
       "%s: three days and one more week are left", mode(sealed));
    OK(there("lease") == 0, "%s: no mark is left", mode(sealed));
    kit_close(&kit);
}

/* --- chains --- */

static void test_chains(bool sealed)
{
    char other[MANIFEST_LABEL_MAX];
    char label[MANIFEST_LABEL_MAX];
    uint8_t digest[MANIFEST_DIGEST];
    struct store_name name = {.kind = KIND_MANIFEST, .name = other};
    struct manifest_head next;
    struct err e = {0};
    char names[64][48];
    char path[160];

    begin(sealed);
    settings.keep_backups.rule.last = 1;
    OK(take(other, EPOCH, "other", &e) == 0 && take(label, EPOCH + DAY_US, "host", &e) == 0 &&
           take(label, EPOCH + 2 * DAY_US, "host", &e) == 0 &&
           manifest_chain_digest(&kit.repo, &name, digest, &e) == 0,
       "%s: two hosts take backups: %s", mode(sealed), e.msg);
    OK(run(EPOCH + 3 * DAY_US, false, &e) == 0 && !has(other) && there("backup") == 2,
       "%s: the only one of the other host goes: %s", mode(sealed), e.msg);
    OK(!is_rolled_back(), "%s: nobody misses it, for it is on record", mode(sealed));
    OK(manifest_chain_next(&next, &kit.repo, "other", NULL, kit.scratch, &e) == 0 &&
           (sealed || (next.sequence == 2 && memcmp(next.previous, digest, sizeof digest) == 0)),
       "%s: its next record goes on behind the one that is gone: %s", mode(sealed), e.msg);
    for (unsigned i = 0; i < kit_list(&kit, "expire", names, 64); i++) {
        kit_path(path, "expire", names[i]);
        kit_unlink(&kit, path);
    }
    OK(is_rolled_back(), "%s: without the expire record it is missed", mode(sealed));
    kit_close(&kit);
}

/* --- clocks --- */

static void test_clock(bool sealed)
{
    char label[5][MANIFEST_LABEL_MAX];
    const int64_t later = EPOCH + 5 * 365 * DAY_US;
    struct err e = {0};
    unsigned records;

    begin(sealed);
    settings.keep_backups.rule.last = 1;
    (void)!take(label[0], EPOCH, "host", &e);
    (void)!take(label[1], EPOCH + DAY_US, "host", &e);
    (void)!take(label[2], later, "host", &e);
    (void)!take(label[3], EPOCH + 3 * DAY_US, "host", &e);
    OK(run(EPOCH + 4 * DAY_US, false, &e) != 0 && e.code == ERR_REFUSED && there("backup") == 4,
       "%s: with an entry from the future nothing goes: %s", mode(sealed), e.msg);
    err_clear(&e);
    OK(run(EPOCH + 4 * DAY_US, true, &e) == 0 && there("backup") == 2 && has(label[3]) &&
           has(label[2]),
       "%s: when the clock is accepted the rules decide: %s", mode(sealed), e.msg);
    records = there("expire");
    OK(run(EPOCH + 5 * DAY_US, false, &e) == 0 && there("expire") == records,
       "%s: that is remembered: %s", mode(sealed), e.msg);
    OK(run(EPOCH - 40 * DAY_US, false, &e) != 0 && e.code == ERR_REFUSED,
       "%s: a host whose clock was set back is stopped: %s", mode(sealed), e.msg);
    err_clear(&e);
    (void)!take(label[4], later + DAY_US, "host", &e);
    OK(run(EPOCH + 6 * DAY_US, false, &e) != 0 && e.code == ERR_REFUSED && there("backup") == 3,
       "%s: another entry from the future is a new question", mode(sealed));
    kit_close(&kit);
}

/* --- at the last moment --- */

static void test_holds(bool sealed)
{
    char label[6][MANIFEST_LABEL_MAX];
    struct pages_lease lease;
    struct pin pin = {.kind = KIND_MANIFEST, .made = EPOCH, .until = EPOCH + 20 * DAY_US};
    struct err e = {0};
    unsigned spared = 0;
    int rc;

    begin(sealed);
    settings.keep_backups.rule.last = 2;
    for (unsigned i = 0; i < 6; i++)
        (void)!take(label[i], EPOCH + i * DAY_US, "host", &e);
    how.now = EPOCH + 7 * DAY_US;
    how.accept_clock = false;
    rc = expire_look(&x, &kit.repo, &how, kit.scratch, &e);
    /* Between the decision and the removal. */
    memcpy(pin.label, label[1], sizeof label[1]);
    (void)snprintf(pin.reason, sizeof pin.reason, "audit");
    if (rc == 0)
        rc = pin_put(&pin, &kit.repo, &e);
    if (rc == 0)
        rc = pages_lease_take(&lease, &kit.repo, KIND_LEASE, label[2], "test", &e);
    if (rc == 0)
        rc = expire_do(&x, &e);
    spared = x.done.spared;
    expire_close(&x);
    OK(rc == 0 && spared == 2 && has(label[1]) && has(label[2]) && !has(label[0]) && !has(label[3]),
       "%s: who takes hold at the last moment keeps it: %s", mode(sealed), e.msg);
    pages_lease_drop(&lease);
    OK(run(EPOCH + 8 * DAY_US, false, &e) == 0 && has(label[1]) && !has(label[2]),
       "%s: when the lease is dropped the rules decide: %s", mode(sealed), e.msg);
    OK(run(EPOCH + 21 * DAY_US, false, &e) == 0 && !has(label[1]) && there("backup") == 2,
       "%s: and when the pin is over: %s", mode(sealed), e.msg);
    OK(there("pin") == 1 && pin_release(&pin, &kit.repo, &e) == 0 && there("pin") == 0,
       "%s: a pin is released", mode(sealed));
    kit_close(&kit);
}

/* --- what came back, and what was cut off --- */

static void test_back(bool sealed)
{
    char label[3][MANIFEST_LABEL_MAX];
    struct plan_input in;
    struct plan_backup b = {.label = ""};
    struct expired what;
    struct expire_lists lists;
    struct err e = {0};
    uint8_t *bytes;
    size_t len;
    char path[160];
    unsigned records;
    unsigned n;

    begin(sealed);
    settings.keep_backups.rule.last = 1;
    for (unsigned i = 0; i < 3; i++)
        (void)!take(label[i], EPOCH + i * DAY_US, "host", &e);
    kit_path(path, "backup", label[0]);
    bytes = kit_slurp(&kit, path, &len);
    (void)!run(EPOCH + 3 * DAY_US, false, &e);
    kit_spit(&kit, path, bytes, len);
    free(bytes);
    records = there("expire");
    plan_input_init(&in, 1 << 20);
    (void)snprintf(b.label, sizeof b.label, "%s", label[0]);
    (void)!plan_backups_push(&in.backups, b, &e);
    (void)snprintf(b.label, sizeof b.label, "%s", label[2]);
    (void)!plan_backups_push(&in.backups, b, &e);
    OK(has(label[0]) && condemned_mark(&in, &kit.repo, kit.scratch, &e) == 0 &&
           in.backups.v[0].damaged && !in.backups.v[1].damaged,
       "%s: what came back is of no use to a restore: %s", mode(sealed), e.msg);
    OK(run(EPOCH + 4 * DAY_US, false, &e) == 0 && !has(label[0]) && there("expire") == records,
       "%s: and goes again without a new record: %s", mode(sealed), e.msg);

    /* A run that was cut off behind its list. */
    expired_init(&what);
    expire_lists_init(&lists, 100);
    n = there("expire");
    OK(expire_record_gone(&what, KIND_MANIFEST, label[2], "test", &e) == 0 &&
           expire_record_condemn(&what, &kit.repo, &lists, &e) == 0 && lists.n == 1,
       "%s: a list condemns one: %s", mode(sealed), e.msg);
    in.backups.v[1].damaged = false;
    OK(condemned_mark(&in, &kit.repo, kit.scratch, &e) == 0 && in.backups.v[1].damaged,
       "%s: a restore leaves it alone: %s", mode(sealed), e.msg);
    OK(run(EPOCH + 5 * DAY_US, false, &e) == 0 && has(label[2]) && there("expire") == n,
       "%s: the next run keeps it and drops the list: %s", mode(sealed), e.msg);
    expired_fini(&what);
    expire_lists_fini(&lists);
    plan_input_fini(&in);
    kit_close(&kit);
}

/* --- much --- */

static void test_much(bool sealed)
{
    enum { OBJECTS = 3000, RANGES = 5000 };
    const struct expire_writing writing = {.host = "host", .state_dir = kit.dir, .now = EPOCH};
    struct expired what;
    struct expired found;
    struct err e = {0};
    char name[EXPIRED_NAME_MAX];
    unsigned count = 0;
    bool right = true;
    int rc = 0;

    begin(sealed);
    expired_init(&what);
    expired_init(&found);
    for (unsigned i = 0; rc == 0 && i < OBJECTS; i++) {
        (void)snprintf(name, sizeof name, "some-job-with-a-long-name-%060u/20260101T000000Z-%u", i,
                       i);
        rc = expire_record_gone(&what, KIND_DUMP, name, "by\nthe rule", &e);
    }
    for (unsigned i = 0; rc == 0 && i < RANGES; i++)
        rc = expired_ranges_push(
            &what.ranges,
            (struct expired_range){1 + i % 3, (lsn_t)i << 24, ((lsn_t)i << 24) + (1 << 20)}, &e);
    rc = rc == 0 ? expire_record_put(&what, &kit.repo, &writing, kit.scratch, &count, &e) : rc;
    OK(rc == 0 && count > 3 && there("expire") == count, "%s: much makes %u records: %s",
       mode(sealed), count, e.msg);
    rc = expired_read(&found, &kit.repo, NULL, kit.scratch, &e);
    for (unsigned i = 0; i < OBJECTS; i++)
        right = right && expired_find(&found, KIND_DUMP, what.objects.v[i].name) != NULL;
    for (unsigned i = 0; i < RANGES; i++)
        right = right && expired_segment(&found, 1 + i % 3, (uint64_t)i << 4, 1 << 20) &&
                !expired_segment(&found, 1 + i % 3, ((uint64_t)i << 4) + 1, 1 << 20);
    OK(rc == 0 && right && found.unreadable == 0 && found.objects.n == OBJECTS &&
           found.ranges.n == RANGES && found.run == EPOCH,
       "%s: all of it is read back: %s", mode(sealed), e.msg);
    OK(!is_rolled_back(), "%s: and they are a chain", mode(sealed));
    expired_fini(&what);
    expired_fini(&found);
    kit_close(&kit);
}

int main(void)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        test_days(sealed != 0);
        test_chains(sealed != 0);
        test_clock(sealed != 0);
        test_holds(sealed != 0);
        test_back(sealed != 0);
        test_much(sealed != 0);
    }
    return tap_done();
}

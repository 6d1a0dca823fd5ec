/* Verdicts from facts: each question at and around its limits, and what is said when it cannot be
 * answered. */
#include "repo/judge.h"

#include <string.h>

#include "tap.h"

#define IS_INT(got, want, ...) OK((got) == (int)(want), __VA_ARGS__)
#define LIKE(got, part, ...)   OK(strstr((got), (part)) != NULL, __VA_ARGS__)

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct judge_facts f;
static struct judge_limits l;
static struct judge_verdicts v;

/* All is well, at day 1000. */
static void reset(void)
{
    memset(&f, 0, sizeof f);
    judge_limits_init(&l);
    f.now = 1000 * DAY;
    (void)strcpy(f.repo.path, "/repo");
    f.repo.space = (struct judge_space){.known = true, .total = 1000000, .free = 500000};
    f.archive = (struct judge_archive){.read = true,
                                       .segments = 10,
                                       .timeline = 1,
                                       .end = 0x5000000,
                                       .segment_size = 0x1000000,
                                       .arrived = f.now - MINUTE,
                                       .last_commit = f.now - MINUTE,
                                       .backups = 2,
                                       .restorable = 2,
                                       .backup_time = f.now - DAY};
    f.proof = (struct judge_proof){.known = true,
                                   .verified = f.now - DAY,
                                   .swept = f.now - DAY,
                                   .content = true,
                                   .drilled = f.now - DAY,
                                   .drill_failed = JUDGE_NEVER,
                                   .since = f.now - 30 * DAY,
                                   .key_here = true};
    f.dumps = (struct judge_dumps){.known = true, .newest = JUDGE_NEVER};
    f.pg.state = JUDGE_SERVER_OK;
    f.pg.fsync = f.pg.full_page_writes = f.pg.archives = true;
    (void)strcpy(f.pg.archive_command, "walden-archive %p");
    f.pg.command_is_ours = true;
    f.pg.archive_timeout = 60 * (uint64_t)SECOND;
    f.pg.lsn = 0x5000100;
    f.pg.stats = true;
    f.pg.last_archived = f.now - MINUTE;
    f.pg.last_failed = JUDGE_NEVER;
    f.pg.ready_known = true;
    f.pg.oldest_ready = JUDGE_NEVER;
    f.pg.wal_known = true;
    f.pg.wal_bytes = 32 << 20;
    f.pg.wal_space = f.repo.space;
    f.pg.slots_known = true;
}

/* The verdict on one question; -1 when it was not asked. */
static int on(const char *name)
{
    struct err e = {0};
    int state = -1;

    judge_verdicts_fini(&v);
    if (judge_all(&f, &l, &v, &e) != 0)
        return -2;
    for (size_t i = 0; i < v.n; i++)
        if (strcmp(v.v[i].name, name) == 0)
            state = (int)v.v[i].state;
    return state;
}

static const char *text(const char *name)
{
    for (size_t i = 0; i < v.n; i++)
        if (strcmp(v.v[i].name, name) == 0)
            return v.v[i].text;
    return "";
}

static void test_good(void)
{
    reset();
    (void)on("wal");
    IS_INT(judge_worst(&v), JUDGE_OK, "all is well");
    for (size_t i = 0; i < v.n; i++)
        OK(v.v[i].next[0] == '\0', "%s: nothing to type where all is well", v.v[i].name);
}

/* Each bad fact makes its question, and only it, red. */
static void test_each(void)
{
    reset();
    f.archive.holes = 1;
    IS_INT(on("holes"), JUDGE_CRITICAL, "a hole");
    IS_INT(judge_worst(&v), JUDGE_CRITICAL, "is the worst there is");
    reset();
    f.archive.damaged = 1;
    IS_INT(on("damage"), JUDGE_CRITICAL, "a damaged object");
    reset();
    f.proof.findings = 1;
    IS_INT(on("damage"), JUDGE_CRITICAL, "what verify found and nobody mended");
    reset();
    f.archive.restorable = 1;
    IS_INT(on("backups"), JUDGE_WARNING, "one of two backups cannot be restored");
    reset();
    f.archive.restorable = 0;
    IS_INT(on("backups"), JUDGE_CRITICAL, "none of them can");
    reset();
    f.archive.backups = f.archive.restorable = 0;
    IS_INT(on("backups"), JUDGE_CRITICAL, "there is none");
    reset();
    f.archive.timeline = 0;
    IS_INT(on("wal"), JUDGE_CRITICAL, "no WAL at all");
    reset();
    (void)strcpy(f.archive.rolled_back, "record 7");
    IS_INT(on("rollback"), JUDGE_CRITICAL, "a repository that is older than known");
    reset();
    f.archive.read = false;
    IS_INT(on("contents"), JUDGE_UNKNOWN, "a repository that cannot be read");
    IS_INT(on("holes"), -1, "says nothing about holes");
    reset();
    f.repo.state = JUDGE_REPO_AWAY;
    IS_INT(on("repository"), JUDGE_CRITICAL, "no repository");
    IS_INT(on("wal"), -1, "says nothing about WAL");
    reset();
    f.repo.inside_pgdata = true;
    IS_INT(on("placement"), JUDGE_CRITICAL, "inside the data directory");
    reset();
    f.repo.same_device = true;
    IS_INT(on("placement"), JUDGE_WARNING, "on the same disk");
    reset();
    (void)strcpy(f.repo.git, "/home");
    IS_INT(on("placement"), JUDGE_WARNING, "in a git tree");
    reset();
    f.proof.drilled = f.now - 36 * DAY;
    IS_INT(on("drills"), JUDGE_WARNING, "a drill that is long ago");
    f.proof.drill_failed = f.now;
    IS_INT(on("drills"), JUDGE_CRITICAL, "a drill that failed");
    reset();
    f.proof.drilled = f.proof.verified = JUDGE_NEVER;
    IS_INT(on("drills"), JUDGE_OK, "no drill, while the first backup is young");
    f.proof.since = f.now - 40 * DAY;
    IS_INT(on("drills"), JUDGE_WARNING, "no drill of a backup that is old");
    f.proof.key_here = false;
    (void)on("drills");
    OK(strstr(text("drills"), "no secret key is here") != NULL, "nor a key to make one with");
    f.proof.since = JUDGE_NEVER;
    IS_INT(on("drills"), JUDGE_OK, "nothing that could be drilled");
    IS_INT(on("verified"), JUDGE_WARNING, "no verification");
    reset();
    l.drill_age = l.verify_age = 0;
    f.proof.drilled = f.proof.verified = JUDGE_NEVER;
    IS_INT(on("drills") + on("verified"), JUDGE_OK, "which may be switched off");
    reset();
    f.host.dropped = 1;
    IS_INT(on("dropped"), JUDGE_CRITICAL, "a dropped segment");
    f.host.dropped = 0;
    (void)snprintf(f.host.dropped_history, sizeof f.host.dropped_history, "00000002.history");
    IS_INT(on("dropped"), JUDGE_CRITICAL, "a dropped history");
    reset();
    (void)strcpy(f.host.config_error, "x");
    IS_INT(on("configuration"), JUDGE_WARNING, "a mistake in a section");
}

static void test_settings(void)
{
    reset();
    f.pg.fsync = false;
    IS_INT(on("settings"), JUDGE_CRITICAL, "fsync off");
    reset();
    f.pg.full_page_writes = false;
    IS_INT(on("settings"), JUDGE_CRITICAL, "full_page_writes off");
    reset();
    f.pg.wal_minimal = true;
    IS_INT(on("settings"), JUDGE_CRITICAL, "wal_level minimal");
    reset();
    f.pg.archives = false;
    IS_INT(on("settings"), JUDGE_CRITICAL, "archive_mode off");
    reset();
    f.pg.archives = false;
    f.pg.pending_restart = true;
    IS_INT(on("settings"), JUDGE_CRITICAL, "archive_mode waits for a restart");
    LIKE(text("settings"), "restart", "and the text says so");
    reset();
    f.pg.command_is_ours = false;
    (void)strcpy(f.pg.archive_command, "cp %p /x");
    IS_INT(on("settings"), JUDGE_CRITICAL, "another program's archive_command");
    reset();
    f.pg.archive_command[0] = '\0';
    IS_INT(on("settings"), JUDGE_CRITICAL, "no archive_command");
    reset();
    (void)strcpy(f.pg.archive_library, "basic_archive");
    IS_INT(on("settings"), JUDGE_CRITICAL, "an archive_library");
    reset();
    f.pg.archive_timeout = 0;
    IS_INT(on("settings"), JUDGE_WARNING, "no archive_timeout");
    reset();
    (void)on("settings");
    LIKE(text("settings"), "checksums are off", "checksums that are off are told, no more");
    reset();
    f.pg.in_recovery = true;
    IS_INT(on("settings"), JUDGE_OK, "a standby that does not archive");
    IS_INT(on("archiver"), -1, "has no archiver to be judged");
}

static void test_ages(void)
{
    /* 15 minutes for WAL: a warning beyond it, critical beyond twice that. */
    static const struct {
        int64_t age;
        int want;
    } steps[] = {{15 * MINUTE, JUDGE_OK},
                 {15 * MINUTE + 1, JUDGE_WARNING},
                 {30 * MINUTE, JUDGE_WARNING},
                 {30 * MINUTE + 1, JUDGE_CRITICAL}};

    for (size_t i = 0; i < 4; i++) {
        reset();
        f.pg.lsn = 0x6000000;
        f.archive.arrived = f.now - steps[i].age;
        IS_INT(on("wal"), steps[i].want, "WAL that exists on the server only for %lld us",
               (long long)steps[i].age);
        reset();
        f.pg.state = JUDGE_SERVER_NONE;
        f.pg.ready_known = false;
        f.archive.arrived = f.now - steps[i].age;
        IS_INT(on("wal"), steps[i].want, "the same without the server");
    }
    reset();
    f.archive.arrived = f.now - DAY;
    IS_INT(on("wal"), JUDGE_OK, "old WAL of a server that wrote nothing since");
    reset();
    f.pg.state = JUDGE_SERVER_NONE;
    f.archive.arrived = f.now - DAY;
    IS_INT(on("wal"), JUDGE_OK, "and of one of which the data directory shows that nothing waits");
    reset();
    f.archive.arrived = f.now + DAY;
    f.pg.lsn = 0x6000000;
    IS_INT(on("wal"), JUDGE_OK, "a clock that was set back makes nothing old");
    reset();
    f.archive.backup_time = f.now - 8 * DAY;
    IS_INT(on("backups"), JUDGE_OK, "a backup of 8 days");
    f.archive.backup_time--;
    IS_INT(on("backups"), JUDGE_WARNING, "is just not too old");
    f.archive.backup_time = f.now - 17 * DAY;
    IS_INT(on("backups"), JUDGE_CRITICAL, "one of 17 is");
    reset();
    f.proof.verified = f.now - 100 * DAY;
    IS_INT(on("verified"), JUDGE_WARNING, "an old verification is a warning, however old");
    reset();
    f.archive.backup_time = JUDGE_NEVER + 1;
    l.backup_age = 0;
    IS_INT(on("backups"), JUDGE_OK, "a limit of 0 judges no age");
}

static void test_archiver(void)
{
    reset();
    f.pg.ready = 3;
    f.pg.oldest_ready = f.now - 7 * MINUTE;
    IS_INT(on("archiver"), JUDGE_OK, "files that wait for 7 minutes");
    f.pg.oldest_ready = f.now - 8 * MINUTE;
    IS_INT(on("archiver"), JUDGE_WARNING, "for 8 minutes, with no failure counted");
    LIKE(text("archiver"), "127", "the text names what is not counted");
    f.pg.oldest_ready = f.now - 16 * MINUTE;
    IS_INT(on("archiver"), JUDGE_CRITICAL, "for 16 minutes");
    reset();
    f.pg.failed = 4;
    f.pg.last_failed = f.now;
    f.pg.ready = 1;
    f.pg.oldest_ready = f.now - SECOND;
    IS_INT(on("archiver"), JUDGE_WARNING, "a failure that is counted is a warning at once");
    f.pg.oldest_ready = f.now - HOUR;
    IS_INT(on("archiver"), JUDGE_CRITICAL, "and critical when it lasts");
    reset();
    f.pg.failed = 4;
    f.pg.last_failed = f.now - HOUR;
    IS_INT(on("archiver"), JUDGE_OK, "a failure that is past is none");
    reset();
    f.pg.ready_known = false;
    IS_INT(on("archiver"), JUDGE_UNKNOWN, "without the right to look nothing is said to be well");
}

static void test_space(void)
{
    static const struct {
        uint64_t free;
        int want;
    } steps[] = {{100001, JUDGE_OK},
                 {99990, JUDGE_WARNING},
                 {50005, JUDGE_WARNING},
                 {49990, JUDGE_CRITICAL}};

    for (size_t i = 0; i < 4; i++) {
        reset();
        f.repo.space.total = 999900;
        f.repo.space.free = steps[i].free;
        IS_INT(on("space"), steps[i].want, "%llu of 999900 free",
               (unsigned long long)steps[i].free);
    }
    reset();
    f.repo.space.free = 480000;
    f.repo.space.grows = 24 * 10000;
    IS_INT(on("space"), JUDGE_OK, "full in 48 hours");
    f.repo.space.free = 470000;
    IS_INT(on("space"), JUDGE_WARNING, "in 47");
    LIKE(text("space"), "full in about 47 h", "and says when");
    f.repo.space.grows = 24 * 100000;
    IS_INT(on("space"), JUDGE_CRITICAL, "in 4");
    reset();
    f.repo.space.known = false;
    IS_INT(on("space"), JUDGE_UNKNOWN, "an unknown disk");
    reset();
    f.pg.wal_rate = 24 * 100000;
    f.pg.ready = 10;
    f.pg.oldest_ready = f.now - SECOND;
    IS_INT(on("pg_wal"), JUDGE_CRITICAL, "a pg_wal that fills up while files wait");
    f.pg.ready = 0;
    IS_INT(on("pg_wal"), JUDGE_OK, "WAL that is recycled does not fill it");
}

static void test_others(void)
{
    uint64_t loss;

    reset();
    f.pg.slots = 1;
    f.pg.slot[0] = (struct judge_slot){.name = "s", .active = true, .retained = UINT64_C(9) << 30};
    IS_INT(on("slots"), JUDGE_OK, "a slot in use");
    f.pg.slot[0].active = false;
    IS_INT(on("slots"), JUDGE_WARNING, "an idle one that keeps 9 GB");
    f.pg.slot[0].retained = 1 << 20;
    IS_INT(on("slots"), JUDGE_OK, "one that keeps little");
    f.pg.slot[0].lost = true;
    IS_INT(on("slots"), JUDGE_WARNING, "one that lost WAL");
    reset();
    f.host.keys = 1;
    f.host.key[0].others = true;
    IS_INT(on("keys"), JUDGE_CRITICAL, "a key that others can read");
    reset();
    f.host.keys = 1;
    f.host.key[0].missing = true;
    IS_INT(on("keys"), JUDGE_CRITICAL, "a key that is not there");
    reset();
    f.host.keys = 1;
    f.host.key[0].secret = true;
    f.host.is_database_host = true;
    IS_INT(on("keys"), JUDGE_WARNING, "the secret key on the database host");
    f.host.is_database_host = false;
    IS_INT(on("keys"), JUDGE_OK, "on another host it may be");
    reset();
    f.pg.state = JUDGE_SERVER_AWAY;
    IS_INT(on("server"), JUDGE_UNKNOWN, "a server that does not answer");

    reset();
    f.dumps_only = true;
    f.pg.archives = false;
    IS_INT(on("settings"), JUDGE_OK, "without archiving: no complaint about it");
    IS_INT(on("dumps"), JUDGE_CRITICAL, "but a dump there must be");
    OK(on("wal") == -1 && on("backups") == -1 && on("archiver") == -1, "nor about WAL");
    f.dumps.dumps = f.dumps.jobs = 1;
    f.dumps.newest = f.now - 26 * HOUR;
    f.archive.restorable = 0;
    IS_INT(on("dumps"), JUDGE_OK, "a dump of 26 hours");
    LIKE(text("dumps"), "would be lost", "the loss is told");
    OK(judge_loss(&f, &loss) && loss == 26 * (uint64_t)HOUR, "and reckoned from the dump");
    f.dumps.newest--;
    IS_INT(on("dumps"), JUDGE_WARNING, "an older one");
    reset();
    OK(judge_loss(&f, &loss) && loss == (uint64_t)MINUTE, "with WAL the loss is a minute");
    f.archive.restorable = 0;
    OK(!judge_loss(&f, &loss), "without a backup WAL is worth nothing");
}

static void test_words(void)
{
    char out[JUDGE_AGE_MAX];

    judge_age(out, 119 * (uint64_t)SECOND);
    IS_STR(out, "119 s", "seconds");
    judge_age(out, 120 * (uint64_t)SECOND);
    IS_STR(out, "2 min", "minutes");
    judge_age(out, 47 * (uint64_t)HOUR);
    IS_STR(out, "47 h", "hours");
    judge_age(out, 48 * (uint64_t)HOUR);
    IS_STR(out, "2 days", "days");
    judge_bytes(out, 1536 * 1024);
    IS_STR(out, "1.5 MB", "bytes");
}

int main(void)
{
    test_good();
    test_each();
    test_settings();
    test_ages();
    test_archiver();
    test_space();
    test_others();
    test_words();
    judge_verdicts_fini(&v);
    return tap_done();
}

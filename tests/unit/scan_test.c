/*
 * Goal: a scan sees what is there and every thing that is wrong with it, object by object, and goes
 * on; neighbours are joined, also across a fork; reading back notices what headers and summaries
 * cannot tell.  On a real repository in a scratch directory, with WAL as a server would write it.
 */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/root.h"
#include "pg/join.h"
#include "pg_wal_maker.h"
#include "repo/repo.h"
#include "repo/scan.h"
#include "repo/verify.h"

static char base[] = "/tmp/scan_test.XXXXXX";
static struct settings settings;
static struct repo repo;
static struct object_writer writer;
static struct object_reader reader;
static struct store_put put;
static struct walwalk walk;
static struct verify verify;

/* --- a repository --- */

static int make_repository(struct err *e)
{
    struct marker m = {.id = "scan test's id."};
    struct lineage l = {.system_id = MAKE_SYSID, .major = 17, .segment_size = MAKE_SEG};
    struct store store;
    struct store_writer w = {.store = &store};
    struct store_lineage where = {"main", MAKE_SYSID};
    struct buf b;
    int rc = -1;

    memcpy(l.repo_id, m.id, sizeof l.repo_id);
    snprintf(l.cluster, sizeof l.cluster, "main");
    buf_init(&b, 64 * 1024);
    if (store_open(&store, base, e) == 0) {
        if (marker_write(&b, &m, NULL, e) == 0 &&
            store_put_text(&w, NULL, MARKER_FILE, b.p, b.len, false, e) == 0) {
            buf_clear(&b);
            if (lineage_write(&b, &l, e) == 0)
                rc = store_put_text(&w, &where, LINEAGE_FILE, b.p, b.len, false, e);
        }
        store_close(&store);
    }
    buf_fini(&b);
    return rc;
}

static int open_repository(struct err *e)
{
    char variable[64];
    char config[] = "WALDEN_CONFIG=/dev/null";
    char *env[] = {config, variable, NULL};

    snprintf(variable, sizeof variable, "WALDEN_REPO=%s", base);
    settings_init(&settings);
    if (settings_load(&settings, env, SETTINGS_HOOK, e) != 0)
        return -1;
    return repo_open(&repo, &settings, REPO_READ | REPO_ANY_LINEAGE, e) == 0
               ? repo_use_lineage(&repo, &settings, "main", MAKE_SYSID, e)
               : -1;
}

/* What to change on the way in. */
struct lie {
    uint64_t system_id;
    tli_t header_tli;
    uint64_t more_commits;
    int64_t lsn_off;
    bool no_summary;
    bool garbled_meta;
};

static int store_bytes(const struct store_name *n, struct frame_head *head, const uint8_t *p,
                       size_t len, const struct object_parts *parts, struct err *e)
{
    int rc = -1;

    snprintf(head->name, sizeof head->name, "%s", n->name);
    head->kind = n->kind;
    head->segment_size = MAKE_SEG;
    memcpy(head->repo_id, repo.marker.id, sizeof head->repo_id);
    if (store_put_begin(&repo.writer, &repo.where, n, &put, e) == 0 &&
        object_writer_begin(&writer, head, true, NULL, &put.sink, e) == 0 &&
        object_writer_write(&writer, p, len, e) == 0 &&
        object_writer_finish(&writer, parts, e) == 0)
        rc = store_put_commit(&put, e);
    store_put_abort(&put);
    return rc;
}

static int put_segment(const struct maker *m, tli_t tli, unsigned i, const struct lie *lie)
{
    static uint8_t public_part[FACTS_BYTES_MAX];
    struct walname name = {WALNAME_SEGMENT, tli, 0, MAKE_SEGNO + i, 0};
    const uint8_t *bytes = m->p + (size_t)i * MAKE_SEG;
    struct frame_head head = {.system_id = MAKE_SYSID, .timeline = tli, .place = "main"};
    struct wal_summary s;
    struct object_parts parts = {0};
    struct err e = {0};
    char leaf[WALNAME_MAX];
    struct store_name at = {.kind = KIND_SEGMENT, .timeline = tli, .name = leaf};

    walname_segment(leaf, tli, MAKE_SEGNO + i, MAKE_SEG);
    head.lsn = walname_start(MAKE_SEGNO + i, MAKE_SEG);
    if (walwalk_init(&walk, &name, MAKE_SEG, MAKE_SYSID, &e) != 0 ||
        walwalk_feed(&walk, bytes, MAKE_SEG, &e) != 0 || walwalk_finish(&walk, &s, &e) != 0) {
        printf("# %s\n", e.msg);
        return -1;
    }
    head.lsn += (uint64_t)lie->lsn_off;
    head.timeline = lie->header_tli != 0 ? lie->header_tli : head.timeline;
    head.system_id = lie->system_id != 0 ? lie->system_id : head.system_id;
    s.facts.commits += lie->more_commits;
    parts =
        (struct object_parts){.public_part = public_part,
                              .public_len = lie->no_summary ? 0 : walwalk_public(&s, public_part),
                              .metadata_part = s.meta,
                              .metadata_len = lie->garbled_meta ? 1 : s.meta_len,
                              .data_part = s.data,
                              .data_len = s.data_len,
                              .damaged = s.facts.damages > 0};
    if (store_bytes(&at, &head, bytes, MAKE_SEG, &parts, &e) == 0)
        return 0;
    printf("# %s\n", e.msg);
    return -1;
}

/* A history whose file and public part may differ. */
static int put_history(tli_t tli, tli_t parent, lsn_t end, lsn_t said)
{
    struct wal_branch v = {parent, said};
    struct wal_branches b = {.v = &v, .n = 1};
    struct frame_head head = {.system_id = MAKE_SYSID, .timeline = tli, .place = "main"};
    struct object_parts parts = {0};
    struct buf public_part;
    struct err e = {0};
    char leaf[WALNAME_MAX];
    char text[80];
    struct store_name at = {.kind = KIND_HISTORY, .timeline = tli, .name = leaf};
    int rc;

    walname_history(leaf, tli);
    snprintf(text, sizeof text, "%u\t%X/%X\tno recovery target\n", (unsigned)parent,
             (unsigned)(end >> 32), (unsigned)end);
    buf_init(&public_part, 1024);
    rc = wal_branches_encode(&b, &public_part, &e);
    parts.public_part = public_part.p;
    parts.public_len = public_part.len;
    if (rc == 0)
        rc = store_bytes(&at, &head, (const uint8_t *)text, strlen(text), &parts, &e);
    buf_fini(&public_part);
    return rc;
}

static void path_of(char out[256], tli_t tli, unsigned i)
{
    snprintf(out, 256, "%s/main/%u/wal/%08X/%08X/%08X%08X%08X", base, MAKE_SYSID, (unsigned)tli, 0U,
             (unsigned)tli, 0U, MAKE_SEGNO + i);
}

static void drop(tli_t tli, unsigned i)
{
    char path[256];

    path_of(path, tli, i);
    OK(unlink(path) == 0, "a segment is taken away");
}

/* The index forgets that anything was there. */
static void forget(void)
{
    struct os_root root = OS_ROOT_INIT;
    char path[64];
    struct err e = {0};

    snprintf(path, sizeof path, "main/%u/index", MAKE_SYSID);
    OK(os_root_open(&root, base, &e) == 0 && os_tree_remove(&root, path, &e) == 0,
       "the index is removed");
    os_root_close(&root);
}

/* --- scanning --- */

static bool scan(struct scan *s, bool deep, tli_t timeline)
{
    struct scan_how how = {
        .timeline = timeline, .deep = deep ? verify_object : NULL, .arg = &verify};
    struct err e = {0};
    int rc;

    scan_init(s);
    verify_init(&verify, MAKE_SYSID);
    rc = scan_lineage(s, &repo, &how, &reader, &e);
    if (rc != 0)
        printf("# %s\n", e.msg);
    for (size_t i = 0; i < s->problems.list.n; i++)
        printf("# %s %s: %s\n", problem_word(s->problems.list.v[i].kind),
               s->problems.list.v[i].name, s->problems.list.v[i].what);
    return rc == 0;
}

/* Scans; exactly these kinds of problem must be found, in this order. */
static void expect(const char *what, bool deep, const char *kinds)
{
    struct scan s;
    char found[512] = "";
    size_t len = 0;

    OK(scan(&s, deep, 0), "%s: scanned", what);
    for (size_t i = 0; i < s.problems.list.n && len < sizeof found; i++)
        len += (size_t)snprintf(found + len, sizeof found - len, "%s%s", i > 0 ? " " : "",
                                problem_word(s.problems.list.v[i].kind));
    IS_STR(found, kinds, "%s: %s", what, kinds[0] == '\0' ? "nothing is wrong" : kinds);
    scan_fini(&s);
    verify_fini(&verify);
}

static const struct lie honest;

static void fill_wal(struct maker *m, unsigned major, size_t filler)
{
    make_init(m, major);
    while (m->pos < (size_t)(MAKE_SEGMENTS - 1) * MAKE_SEG + MAKE_SEG / 2) {
        (void)make_filler(m, filler);
        (void)make_end(m, 0x00, 700, INT64_C(800000000000000) + (int64_t)m->pos, NULL, 0, NULL, 0);
    }
    make_switch(m);
}

static void test_whole(const struct maker *m)
{
    struct scan s;
    const struct coverage_timeline *t;

    for (unsigned i = 0; i < MAKE_SEGMENTS; i++)
        OK(put_segment(m, 1, i, &honest) == 0, "segment %u is stored", i);
    expect("a whole archive", false, "");
    expect("the same, read back", true, "");
    OK(scan(&s, true, 0), "once more");
    t = coverage_find(&s.cover, 1);
    OK(t != NULL && t->rows == MAKE_SEGMENTS && t->holes == 0, "its rows");
    OK(s.objects == MAKE_SEGMENTS && verify.content == MAKE_SEGMENTS && s.stored > 0,
       "its objects");
    OK(t != NULL && t->first_time > INT64_C(800000000000000) + INT64_C(946684800000000) &&
           t->first_time < t->last_time,
       "its times are of this epoch");
    for (size_t i = 1; i < s.cover.rows.n; i++)
        OK(s.cover.rows.v[i].join == JOIN_OK, "segment %zu joins the one before it", i);
    scan_fini(&s);
    verify_fini(&verify);
}

static void put_back(const struct maker *m, unsigned i)
{
    drop(1, i);
    OK(put_segment(m, 1, i, &honest) == 0, "and put back");
}

static void test_lies(const struct maker *m, const struct maker *other)
{
    const struct {
        const char *what;
        struct lie lie;
        const char *shallow;
        const char *deep;
    } lies[] = {
        {"another cluster's segment", {.system_id = 5}, "refused", "refused"},
        {"a header with another timeline", {.header_tli = 9}, "damaged", "damaged"},
        {"a header with another place", {.lsn_off = MAKE_SEG}, "damaged", "damaged"},
        {"no summary", {.no_summary = true}, "damaged", "damaged"},
        {"a summary with another count", {.more_commits = 1}, "", "wrong-summary"},
        {"metadata cut off", {.garbled_meta = true}, "wrong-summary", "wrong-summary"},
    };

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        drop(1, 2);
        OK(put_segment(m, 1, 2, &lies[i].lie) == 0, "%s is stored", lies[i].what);
        expect(lies[i].what, false, lies[i].shallow);
        expect(lies[i].what, true, lies[i].deep);
    }
    drop(1, 2);
    expect("a missing segment", false, "hole");
    OK(put_segment(other, 1, 2, &honest) == 0, "a segment of another history is stored");
    expect("a segment that does not follow", false, "broken-chain broken-chain");
    expect("the same, read back", true, "broken-chain broken-chain");
    put_back(m, 2);
    expect("all is well again", true, "");
}

/* A byte changed anywhere: the ends show at once, the middle when it is read. */
static void test_flips(void)
{
    char path[256];
    struct stat st;
    unsigned missed = 0;
    unsigned tried = 0;
    int fd;

    path_of(path, 1, 3);
    fd = open(path, O_RDWR);
    OK(fd >= 0 && fstat(fd, &st) == 0, "an object is opened");
    for (off_t at = 0; at < st.st_size; at += st.st_size / 23) {
        struct scan s;
        uint8_t byte;

        if (pread(fd, &byte, 1, at) != 1)
            break;
        byte ^= 0x10;
        if (pwrite(fd, &byte, 1, at) != 1)
            break;
        tried++;
        if (!scan(&s, true, 0) || problems_count(&s.problems) != 1 ||
            s.problems.list.v[0].first != MAKE_SEGNO + 3)
            missed++;
        scan_fini(&s);
        verify_fini(&verify);
        byte ^= 0x10;
        if (pwrite(fd, &byte, 1, at) != 1)
            break;
    }
    OK(tried >= 20 && missed == 0, "%u flipped bytes are found, %u not", tried, missed);
    close(fd);
    expect("put right again", true, "");
}

/* Timeline 2 leaves 1 in the fourth segment; its first segment has the start of 1's. */
static void test_fork(const struct maker *m, const struct maker *other)
{
    lsn_t start = (lsn_t)(MAKE_SEGNO + 3) * MAKE_SEG;
    char path[256];

    OK(put_segment(m, 2, 3, &honest) == 0, "a segment of timeline 2");
    expect("without a history", false, "missing-history");
    OK(put_history(2, 1, start + 4096, start + 4096) == 0, "its history");
    expect("a fork", true, "");
    drop(1, 2);
    expect("the last segment before a fork", false, "hole");
    OK(put_segment(other, 1, 2, &honest) == 0, "another one");
    expect("a fork that does not follow", false, "broken-chain broken-chain broken-chain");
    put_back(m, 2);
    OK(put_segment(m, 2, 1, &honest) == 0, "a segment before the birth of its timeline");
    expect("what nobody reads", false, "misplaced");
    drop(2, 1);
    forget();

    snprintf(path, sizeof path, "%s/main/%u/wal/00000002/00000002.history", base, MAKE_SYSID);
    OK(unlink(path) == 0, "the history is taken away");
    OK(put_history(2, 1, start + 4096, start + 8192) == 0, "one whose summary lies");
    expect("a history's summary", false, "");
    expect("a history's summary, read back", true, "wrong-summary");
    OK(unlink(path) == 0 && put_history(2, 2, start, start) == 0, "one that cannot be");
    expect("a history that cannot be", false, "damaged");
    OK(unlink(path) == 0 && put_history(2, 1, start + 4096, start + 4096) == 0, "the right one");
    expect("all is well again", true, "");
}

static void test_timeline(void)
{
    struct scan s;

    OK(scan(&s, true, 2), "one timeline alone");
    OK(problems_count(&s.problems) == 0 && s.objects == 2 && verify.content == 2,
       "its history and its segment are read (%u objects)", (unsigned)s.objects);
    OK(s.cover.rows.n == MAKE_SEGMENTS + 1 && s.cover.rows.v[0].state == COVERAGE_UNSEEN,
       "the others are only listed");
    scan_fini(&s);
    verify_fini(&verify);
}

static void touch(const char *rel)
{
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/main/%u/wal/%s", base, MAKE_SYSID, rel);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    OK(fd >= 0, "%s is made", rel);
    close(fd);
}

static void test_strays(void)
{
    touch("00000001/00000000/.tmp.3.000000010000000000000007");
    expect("a dead writer's file", false, "temp");
    touch("readme");
    touch("00000001/readme");
    touch("00000001/00000000/readme");
    touch("00000001/00000000/000000020000000000000007"); /* another timeline's */
    touch("00000001/00000000/00000001000000010000000A"); /* another group's */
    touch("00000001/000000010000000000000007");          /* too high */
    touch("00000001/00000003.history");
    touch("00000001/00000000/000000010000000000001000"); /* no such segment of 1 MB */
    expect("files that belong elsewhere", false,
           "misplaced misplaced misplaced misplaced misplaced misplaced misplaced misplaced temp");
}

int main(void)
{
    struct os_root root = OS_ROOT_INIT;
    struct maker m;
    struct maker other;
    struct err e = {0};

    if (mkdtemp(base) == NULL || secret_start(&e) != 0)
        return 1;
    if (!OK(make_repository(&e) == 0 && open_repository(&e) == 0, "a repository: %s", e.msg))
        return tap_done();
    fill_wal(&m, 17, 1000);
    fill_wal(&other, 17, 1016);
    test_whole(&m);
    test_lies(&m, &other);
    test_flips();
    test_fork(&m, &other);
    test_timeline();
    test_strays();
    make_fini(&m);
    make_fini(&other);
    repo_close(&repo);
    settings_fini(&settings);
    err_clear(&e);
    OK(os_root_open(&root, base, &e) == 0 && os_tree_remove(&root, "main", &e) == 0 &&
           os_root_unlink(&root, MARKER_FILE, 0, &e) == 0 && rmdir(base) == 0,
       "all cleaned up");
    os_root_close(&root);
    return tap_done();
}

/*
 * Goal: a backup made by the library's own writers, plain and sealed, comes back as files: content,
 * modes, tablespaces (also elsewhere), empty directories, texts, with pg_control last; a second run
 * over a half-done or changed copy writes only what differs and removes what does not belong; a
 * damaged pack or manifest, and hostile names, are refused; nothing is written outside.
 *
 * when: full
 */
#include "tap.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/sys.h"
#include "pages_kit.h"
#include "repo/pages_put.h"
#include "repo/unpack.h"

static struct kit kit;
static char target[300];
static char space[300];
static char label[MANIFEST_LABEL_MAX];

static void must(bool ok, const char *what, const struct err *e)
{
    if (ok)
        return;
    printf("Bail out! %s: %s\n", what, e == NULL ? "" : e->msg);
    exit(1);
}

/* --- a backup --- */

struct maker {
    struct prior prior;
    struct pages_put put;
    struct manifest_writer manifest;
    struct pack_set set;
};

/* What is added to the manifest by hand. */
struct odd {
    const char *file; /* one more file of this name, */
    unsigned flags;   /* with these flags */
    const char *dir;  /* one more directory */
    const char *link; /* one more link, */
    const char *to;   /* leading there */
    bool no_label;
    bool label_is_file;
};

static int put_one(struct maker *m, const char *path, unsigned flags, uint32_t mode,
                   const uint8_t *bytes, size_t len, struct err *e)
{
    uint64_t size;
    uint32_t crc;

    return pages_put_file(&m->put, path, flags, mode, 1000, e) == 0 &&
                   pages_put_write(&m->put, bytes, len, e) == 0 &&
                   pages_put_end(&m->put, &size, &crc, e) == 0
               ? 0
               : -1;
}

static int fill(struct maker *m, const struct kit_cluster *c, const struct odd *odd, struct err *e)
{
    static const uint8_t text[] = "START WAL LOCATION\n";

    if (manifest_tablespace(&m->manifest, 16500, space, e) != 0 ||
        manifest_dir(&m->manifest, 0700, "base", e) != 0 ||
        manifest_dir(&m->manifest, 0700, "base/5", e) != 0 ||
        manifest_dir(&m->manifest, 0700, "global", e) != 0 ||
        manifest_dir(&m->manifest, 0700, "pg_wal", e) != 0 ||
        manifest_dir(&m->manifest, 0700, "pg_wal/archive_status", e) != 0 ||
        manifest_dir(&m->manifest, 0700, "pg_tblspc", e) != 0 ||
        manifest_dir(&m->manifest, 0700, "pg_tblspc/16500/PG_17", e) != 0 ||
        manifest_link(&m->manifest, "pg_tblspc/16500", space, e) != 0)
        return -1;
    for (unsigned i = 0; i < c->n; i++)
        if (!c->file[i].gone && put_one(m, c->file[i].path, 0, i == 0 ? 0640 : 0600,
                                        c->file[i].bytes, c->file[i].len, e) != 0)
            return -1;
    if (odd->dir != NULL && manifest_dir(&m->manifest, 0700, odd->dir, e) != 0)
        return -1;
    if (odd->link != NULL && manifest_link(&m->manifest, odd->link, odd->to, e) != 0)
        return -1;
    if (odd->file != NULL && put_one(m, odd->file, odd->flags, 0600, text, sizeof text, e) != 0)
        return -1;
    if (odd->label_is_file && put_one(m, "backup_label", 0, 0600, text, sizeof text - 1, e) != 0)
        return -1;
    if (!odd->no_label &&
        manifest_text(&m->manifest, MANIFEST_LABEL, text, sizeof text - 1, e) != 0)
        return -1;
    return manifest_text(&m->manifest, MANIFEST_SERVER, "{}\n", 3, e);
}

static int make(const struct kit_cluster *c, const struct odd *odd, struct err *e)
{
    static struct maker m;
    struct pack_how how = {&kit.repo, true, kit.limits, NULL, NULL};
    struct manifest_public public = {.start_timeline = 1, .stop_timeline = 1};
    uint8_t random[3];
    int rc = -1;

    memset(&m, 0, sizeof m);
    kit.backups++;
    public.start_lsn = public.checkpoint_lsn = (uint64_t)kit.backups << 24;
    public.stop_lsn = public.start_lsn + 1000;
    public.server_version = 170000;
    secret_random(random, sizeof random);
    manifest_label(label, 1, public.start_lsn, random);
    if (pack_set_load(&m.set, &kit.repo, kit.scratch, e) != 0)
        return -1;
    pages_put_init(&m.put, &how, &m.manifest, &m.prior);
    if (prior_open(&m.prior, &kit.repo, &m.set, kit.dir, kit.scratch, e) != 0)
        goto out;
    prior_ready(&m.prior);
    if (manifest_begin(&m.manifest, &kit.repo, label, 1, public.start_lsn, e) == 0 &&
        fill(&m, c, odd, e) == 0 && pages_put_finish(&m.put, e) == 0)
        rc = manifest_finish(&m.manifest, &public, e);
out:
    manifest_fini(&m.manifest);
    pages_put_fini(&m.put);
    prior_close(&m.prior);
    pack_set_fini(&m.set);
    return rc;
}

/* --- bringing it back --- */

struct way {
    bool existing;
    unsigned jobs;
    const char *mapped; /* where the tablespace goes; NULL: where it was */
    bool no_finish;
    uint64_t stop_after; /* bytes */
    const char *outside;
};

struct tell {
    uint64_t stop_after;
};

static int told(void *arg, uint64_t bytes, struct err *e)
{
    const struct tell *t = arg;

    if (t->stop_after != 0 && bytes >= t->stop_after)
        return err_set(e, ERR_INTERRUPTED, "stopped by the test");
    return 0;
}

static int bring(struct way way, struct err *e)
{
    static struct unpack u;
    struct tell t = {way.stop_after};
    struct unpack_how how = {.dir = target,
                             .outside = way.outside,
                             .jobs = way.jobs,
                             .existing = way.existing,
                             .keep = "mark",
                             .progress = told,
                             .arg = &t};
    int rc = -1;

    if (unpack_open(&u, &kit.repo, label, NULL, NULL, e) != 0)
        return -1;
    if ((way.mapped == NULL || unpack_map(&u, space, way.mapped, e) == 0) &&
        unpack_begin(&u, &how, e) == 0 && (!way.existing || unpack_disarm(&u, e) == 0) &&
        unpack_files(&u, e) == 0)
        rc = way.no_finish ? 0 : unpack_finish(&u, e);
    unpack_close(&u);
    return rc;
}

static bool slurp(const char *path, uint8_t **bytes, size_t *len)
{
    struct stat st;
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return false;
    must(fstat(fileno(f), &st) == 0, path, NULL);
    *len = (size_t)st.st_size;
    *bytes = malloc(*len + 1);
    must(*bytes != NULL && fread(*bytes, 1, *len, f) == *len, path, NULL);
    fclose(f);
    return true;
}

static bool same_file(const struct kit_file *f)
{
    char path[600];
    uint8_t *bytes;
    size_t len;
    bool same;

    snprintf(path, sizeof path, "%s/%s", target, f->path);
    if (!slurp(path, &bytes, &len))
        return false;
    same = len == f->len && memcmp(bytes, f->bytes, len) == 0;
    if (!same)
        printf("# %s differs\n", f->path);
    free(bytes);
    return same;
}

static bool is_back(const struct kit_cluster *c)
{
    bool all = true;

    for (unsigned i = 0; i < c->n; i++)
        all = (c->file[i].gone || same_file(&c->file[i])) && all;
    return all;
}

static bool exists(const char *rel)
{
    char path[600];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", target, rel);
    return lstat(path, &st) == 0;
}

static unsigned mode_of(const char *rel)
{
    char path[600];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", target, rel);
    return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void write_text(const char *rel, const char *text)
{
    char path[600];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", target, rel);
    f = fopen(path, "w");
    must(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, path, NULL);
}

static void forget(const char *path)
{
    char command[700];

    snprintf(command, sizeof command, "rm -rf '%s'", path);
    must(system(command) == 0, command, NULL);
}

static void fresh(void)
{
    forget(target);
    forget(space);
}

static void fill_cluster(struct kit_cluster *c)
{
    c->n = 0;
    (void)kit_file_add(c, "base/5/1", 3 * 1024 * 1024 + 100);
    (void)kit_file_add(c, "base/5/2", 0);
    (void)kit_file_add(c, "base/5/3", 8192);
    (void)kit_file_add(c, "base/5/4", 8193);
    (void)kit_file_add(c, "base/5/5", 70000);
    (void)kit_file_add(c, "global/pg_control", 8192);
    (void)kit_file_add(c, "PG_VERSION", 3);
    (void)kit_file_add(c, "base/5/odd = \nname", 20);
    (void)kit_file_add(c, "pg_tblspc/16500/PG_17/1", 500000);
    (void)kit_file_add(c, "base/5/6", 40 * 1024 * 1024);
}

static void test_whole(const char *kind)
{
    const struct odd none = {0};
    struct kit_cluster c;
    struct err e = {0};
    char link[400];
    char path[600];
    ssize_t n;

    fill_cluster(&c);
    must(make(&c, &none, &e) == 0, "backup", &e);
    for (unsigned jobs = 1; jobs <= 4; jobs += 3) {
        fresh();
        err_clear(&e);
        OK(bring((struct way){.jobs = jobs}, &e) == 0 && is_back(&c),
           "%s, %u threads: everything is back%s%s", kind, jobs, e.msg[0] ? ": " : "", e.msg);
    }
    OK(exists("pg_wal/archive_status") && exists("backup_label") && exists("backup_manifest"),
       "%s: empty directories and texts", kind);
    OK(mode_of("base/5/1") == 0640 && mode_of("base/5/3") == 0600 && mode_of("base") == 0700 &&
           mode_of(".") == 0700,
       "%s: modes", kind);
    snprintf(path, sizeof path, "%s/pg_tblspc/16500", target);
    n = readlink(path, link, sizeof link - 1);
    link[n > 0 ? n : 0] = '\0';
    IS_STR(link, space, "the tablespace's link");
    fresh();
    err_clear(&e);
    OK(bring((struct way){.jobs = 2, .no_finish = true}, &e) == 0 && exists("base/5/6") &&
           !exists("global/pg_control"),
       "%s: pg_control comes last", kind);
    err_clear(&e);
    OK(bring((struct way){.jobs = 2}, &e) != 0, "%s: files that are there are not overwritten",
       kind);
    kit_cluster_free(&c);
}

/* When its content was written: inode numbers are used again. */
static int64_t changed(const char *rel)
{
    char path[600];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", target, rel);
    return lstat(path, &st) == 0 ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
}

static void test_delta(void)
{
    const struct odd none = {0};
    struct kit_cluster c;
    struct err e = {0};
    char path[600];
    int64_t same;
    int64_t other;

    fresh();
    fill_cluster(&c);
    must(make(&c, &none, &e) == 0 && bring((struct way){.jobs = 2}, &e) == 0, "backup", &e);
    same = changed("base/5/6");
    other = changed("base/5/5");
    kit_touch(&c.file[4], 2);
    must(make(&c, &none, &e) == 0, "second backup", &e);
    write_text("base/5/9999", "left over");
    write_text("mark", "ours");
    write_text("postmaster.pid", "1");
    snprintf(path, sizeof path, "%s/base/77", target);
    must(mkdir(path, 0700) == 0, path, NULL);
    write_text("base/77/1", "a dropped database");
    snprintf(path, sizeof path, "%s/PG_16", space);
    must(mkdir(path, 0700) == 0, path, NULL);
    snprintf(path, sizeof path, "%s/base/5/3", target);
    must(unlink(path) == 0 && symlink("/etc/passwd", path) == 0, path, NULL);
    snprintf(path, sizeof path, "%s/PG_VERSION", target);
    must(unlink(path) == 0 && mkdir(path, 0700) == 0, path, NULL);
    OK(bring((struct way){.jobs = 2, .existing = true}, &e) == 0 && is_back(&c),
       "an older copy becomes the new one%s%s", e.msg[0] ? ": " : "", e.msg);
    OK(changed("base/5/6") == same && changed("base/5/5") != other,
       "what is the same is not written again");
    OK(!exists("base/5/9999") && !exists("base/77") && !exists("postmaster.pid") && exists("mark"),
       "what does not belong there is gone, the caller's file is not");
    snprintf(path, sizeof path, "%s/PG_16", space);
    OK(access(path, F_OK) == 0, "a tablespace's other version stays");
    for (unsigned round = 0; round < 6; round++) {
        int rc;

        fresh();
        err_clear(&e);
        rc = bring((struct way){.jobs = 1 + round % 3, .stop_after = 1 + round * 8000000}, &e);
        err_clear(&e);
        if (rc != 0 && exists("global/pg_control"))
            OK(false, "a half-done copy could start");
        OK(bring((struct way){.jobs = 2, .existing = true}, &e) == 0 && is_back(&c),
           "a copy that was %s is completed%s%s", rc == 0 ? "whole" : "stopped",
           e.msg[0] ? ": " : "", e.msg);
    }
    kit_cluster_free(&c);
}

static void test_map(void)
{
    const struct odd none = {0};
    struct kit_cluster c;
    struct err e = {0};
    char other[320];
    char path[600];

    fresh();
    fill_cluster(&c);
    must(make(&c, &none, &e) == 0, "backup", &e);
    snprintf(other, sizeof other, "%s-moved/deep", space);
    OK(bring((struct way){.jobs = 2, .mapped = other}, &e) == 0 && is_back(&c),
       "a tablespace goes elsewhere%s%s", e.msg[0] ? ": " : "", e.msg);
    snprintf(path, sizeof path, "%s/PG_17/1", other);
    OK(access(path, F_OK) == 0 && access(space, F_OK) != 0, "there, and not where it was");
    snprintf(other, sizeof other, "%s-moved", space);
    forget(other);
    kit_cluster_free(&c);
}

static void test_hostile(void)
{
    static const struct {
        struct odd odd;
        const char *what;
    } cases[] = {
        {{.link = "base/5/x", .to = "/etc"}, "a link that no cluster has"},
        {{.link = "pg_tblspc/016501", .to = "/tmp/x"}, "a link with a spelled-out number"},
        {{.link = "pg_tblspc/16501", .to = "../../etc"}, "a link to a relative place"},
        {{.link = "pg_tblspc/16501", .to = "/tmp/../etc"}, "a link that goes up"},
        {{.link = "pg_tblspc/16500", .to = "/tmp/y"}, "a second place for a tablespace"},
        {{.file = "base/5/1"}, "a file that comes twice"},
        {{.file = "base"}, "a file in a directory's place"},
        {{.file = "pg_tblspc/16500/x/../y"}, "a name that goes up"},
        {{.file = "pg_wal/evil", .flags = MANIFEST_WAL}, "a WAL file of no WAL name"},
        {{.no_label = true}, "a backup without its label"},
    };
    struct kit_cluster c = {.n = 0};

    (void)kit_file_add(&c, "base/5/1", 10000);
    (void)kit_file_add(&c, "global/pg_control", 8192);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        int rc;

        fresh();
        if (make(&c, &cases[i].odd, &e) != 0) {
            OK(true, "refused when written: %s", cases[i].what);
            continue;
        }
        rc = bring((struct way){.jobs = 2}, &e);
        OK(rc != 0 && !exists("global/pg_control"), "refused: %s (%s)", cases[i].what, e.msg);
    }
    kit_cluster_free(&c);
}

static void test_extra(void)
{
    const struct odd wal = {.file = "0000000100000000000000AB", .flags = MANIFEST_WAL};
    const struct odd outside = {.file = "/etc/postgresql/17/main/postgresql.conf",
                                .flags = MANIFEST_OUTSIDE};
    const struct odd twice = {.label_is_file = true};
    struct kit_cluster c = {.n = 0};
    struct err e = {0};
    char path[600];

    (void)kit_file_add(&c, "base/5/1", 10000);
    (void)kit_file_add(&c, "global/pg_control", 8192);
    fresh();
    must(make(&c, &wal, &e) == 0, "backup", &e);
    OK(bring((struct way){.jobs = 1}, &e) == 0 && exists("pg_wal/0000000100000000000000AB"),
       "WAL that is kept in the backup goes to pg_wal");
    fresh();
    must(make(&c, &outside, &e) == 0, "backup", &e);
    OK(bring((struct way){.jobs = 1}, &e) == 0 && !exists("etc"),
       "files from outside are left out");
    fresh();
    snprintf(path, sizeof path, "%s-outside", target);
    OK(bring((struct way){.jobs = 1, .outside = path}, &e) == 0, "or go where the caller says");
    snprintf(path, sizeof path, "%s-outside/etc/postgresql/17/main/postgresql.conf", target);
    OK(access(path, F_OK) == 0, "under their own paths");
    snprintf(path, sizeof path, "%s-outside", target);
    forget(path);
    fresh();
    must(make(&c, &twice, &e) == 0, "backup", &e);
    OK(bring((struct way){.jobs = 1}, &e) == 0, "a label among the files and as a text is one");
    kit_cluster_free(&c);
}

/* One byte of each object changes: the copy is refused, or whole; never wrong. */
static void test_damage(const char *kind)
{
    const struct odd none = {0};
    struct kit_cluster c = {.n = 0};
    char names[8][48];
    unsigned refused = 0;
    unsigned wrong = 0;
    unsigned whole = 0;

    (void)kit_file_add(&c, "base/5/1", 60000);
    (void)kit_file_add(&c, "base/5/2", 9000);
    (void)kit_file_add(&c, "global/pg_control", 8192);
    for (unsigned which = 0; which < 2; which++) {
        const char *sub = which == 0 ? "pack" : "backup";
        struct err e = {0};
        char rel[160];
        uint8_t *bytes;
        size_t len;

        kit_close(&kit);
        kit_open(&kit, strcmp(kind, "sealed") == 0);
        must(make(&c, &none, &e) == 0 && kit_list(&kit, sub, names, 8) == 1, "backup", &e);
        kit_path(rel, sub, names[0]);
        bytes = kit_slurp(&kit, rel, &len);
        for (size_t at = 0; at < len; at += 1 + len / 150) {
            bytes[at] ^= 0x40;
            kit_spit(&kit, rel, bytes, len);
            bytes[at] ^= 0x40;
            fresh();
            err_clear(&e);
            if (bring((struct way){.jobs = 2}, &e) != 0)
                refused++;
            else if (is_back(&c))
                whole++;
            else
                wrong++;
        }
        free(bytes);
    }
    OK(wrong == 0 && refused > 100, "%s: damaged bytes: %u refused, %u harmless, %u wrong", kind,
       refused, whole, wrong);
    kit_cluster_free(&c);
}

/* A thousand copies need not survive a power cut. */
static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

int main(void)
{
    static struct os_sys quick;
    static const char *const kinds[] = {"plain", "sealed"};
    const char *tmp = getenv("TMPDIR");

    quick = os_sys_real;
    quick.fsync = no_sync;
    os_sys = &quick;
    snprintf(target, sizeof target, "%.150s/walden-unpack.%d/data", tmp != NULL ? tmp : "/tmp",
             (int)getpid());
    snprintf(space, sizeof space, "%.150s/walden-unpack.%d/space", tmp != NULL ? tmp : "/tmp",
             (int)getpid());
    for (unsigned i = 0; i < 2; i++) {
        kit_open(&kit, i == 1);
        test_whole(kinds[i]);
        test_delta();
        if (i == 0) {
            test_map();
            test_hostile();
            test_extra();
        }
        test_damage(kinds[i]);
        kit_close(&kit);
    }
    *strrchr(target, '/') = '\0';
    forget(target);
    return tap_done();
}

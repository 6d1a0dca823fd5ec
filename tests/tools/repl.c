/*
 * repl: drives lib/pgconn, stream/tar and pg/manifest against a real server, for tests.
 *
 *     repl identify CONNINFO                  repl show CONNINFO SETTING
 *     repl history CONNINFO TIMELINE          repl slot CONNINFO NAME
 *     repl backup [OPTION...] CONNINFO DIR    a plain data directory
 *     repl wal CONNINFO DIR TIMELINE START STOP [SLOT]
 *     repl manifest FILE                      reads it and writes it again, to standard output
 *
 * Options of backup: -f fast checkpoint, -l LABEL, -r KB_PER_S, -s ask for sizes, -t tablespace
 * map, -n no checksums, -i MANIFEST incremental, -m OLD=NEW tablespace elsewhere (repeatable).
 * What is found out is printed as KEY=VALUE; errors go to standard error, then the hint.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/parse.h"
#include "base/text.h"
#include "os/signal.h"
#include "pg/manifest.h"
#include "pgconn/basebackup.h"
#include "pgconn/replication.h"
#include "pgconn/walstream.h"
#include "stream/tar.h"

enum { MAPS_MAX = 8, PATH_CAP = PATH_MAX + 256 };

struct repl {
    const char *dir;
    const char *maps[MAPS_MAX];
    size_t n_maps;
    bool has_end;
    struct tar tar;
    bool in_tar;
    char root[PATH_MAX]; /* of the archive in hand */
    const struct tar_member *member;
    int fd;
    uint64_t files, links, dirs, progress, manifest_bytes;
    int manifest_fd;
    struct manifest_in manifest;
    lsn_t stop;
};

static int failed(const char *what, const char *name, struct err *e)
{
    return err_sys(e, errno, "could not %s \"%s\"", what, name);
}

static int write_all(int fd, const uint8_t *p, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done <= 0)
            return err_sys(e, errno, "could not write");
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static void make_path(char out[PATH_CAP], const char *dir, const char *name)
{
    (void)snprintf(out, PATH_CAP, "%s/%s", dir, name);
}

/* Where a tablespace goes: elsewhere, or where it was. */
static const char *mapped(const struct repl *r, const char *location)
{
    for (size_t i = 0; i < r->n_maps; i++) {
        const char *eq = r->maps[i];
        size_t n = strlen(location);

        if (strncmp(eq, location, n) == 0 && eq[n] == '=')
            return eq + n + 1;
    }
    return location;
}

/* ---- the tree ---- */

static int member_begin(void *arg, const struct tar_member *m, struct err *e)
{
    struct repl *r = arg;
    char path[PATH_CAP];

    r->member = m;
    make_path(path, r->root, m->path);
    if (m->type == TAR_DIR) {
        r->dirs++;
        return mkdir(path, m->mode) == 0 || errno == EEXIST ? 0 : failed("make", path, e);
    }
    if (m->type == TAR_LINK) {
        r->links++;
        return symlink(mapped(r, m->target), path) == 0 ? 0 : failed("link", path, e);
    }
    r->files++;
    r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, m->mode);
    return r->fd >= 0 ? 0 : failed("make", path, e);
}

static int member_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
    return write_all(((struct repl *)arg)->fd, p, n, e);
}

static int member_end(void *arg, struct err *e)
{
    struct repl *r = arg;
    int fd = r->fd;

    r->fd = -1;
    return fd < 0 || close(fd) == 0 ? 0 : err_sys(e, errno, "could not close");
}

static int tar_over(void *arg, struct err *e)
{
    (void)arg, (void)e;
    return 0;
}

static const struct tar_events tar_events = {member_begin, member_data, member_end, tar_over, NULL};

/* ---- the backup ---- */

static void print_lsn(const char *key, lsn_t lsn)
{
    char text[TEXT_LSN_MAX];

    text_lsn(text, lsn);
    printf("%s=%s\n", key, text);
}

static int start(void *arg, const struct basebackup_start *s, struct err *e)
{
    (void)arg, (void)e;
    print_lsn("start", s->lsn);
    printf("start_tli=%" PRIu32 "\n", s->tli);
    for (size_t i = 0; i < s->n; i++)
        printf("space=%" PRIu32 ":%d:%" PRIu64 ":%s\n", s->spaces[i].oid, s->spaces[i].has_size,
               s->spaces[i].size, s->spaces[i].location);
    fflush(stdout);
    return 0;
}

static int archive_begin(void *arg, const struct basebackup_space *s, struct err *e)
{
    struct repl *r = arg;
    const char *root = s->oid == 0 ? r->dir : mapped(r, s->location);

    if (mkdir(root, 0700) != 0 && errno != EEXIST)
        return failed("make", root, e);
    (void)snprintf(r->root, sizeof r->root, "%s", root);
    tar_init(&r->tar, &tar_events, r,
             (s->oid == 0 ? TAR_LINKS : 0u) | (r->has_end ? 0u : TAR_NO_END), PHASE_PLAIN);
    r->in_tar = true;
    return 0;
}

static int archive_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
    return sink_write(&((struct repl *)arg)->tar.sink, p, n, e);
}

static int archive_end(void *arg, struct err *e)
{
    struct repl *r = arg;

    r->in_tar = false;
    return sink_finish(&r->tar.sink, e);
}

static int manifest_begin(void *arg, struct err *e)
{
    struct repl *r = arg;
    char path[PATH_CAP];

    make_path(path, r->dir, "backup_manifest");
    r->manifest_fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return r->manifest_fd >= 0 ? 0 : failed("make", path, e);
}

static int manifest_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
    struct repl *r = arg;

    r->manifest_bytes += n;
    return write_all(r->manifest_fd, p, n, e) != 0 ? -1 : manifest_in_feed(&r->manifest, p, n, e);
}

static int manifest_end(void *arg, struct err *e)
{
    struct repl *r = arg;

    if (close(r->manifest_fd) != 0)
        return err_sys(e, errno, "could not close");
    return manifest_in_finish(&r->manifest, e);
}

static int progress(void *arg, uint64_t bytes, struct err *e)
{
    (void)e;
    ((struct repl *)arg)->progress = bytes;
    return 0;
}

static void warning(void *arg, const char *text)
{
    (void)arg;
    printf("warning=%s\n", text);
}

static const struct basebackup_events backup_events = {start,        archive_begin,  archive_data,
                                                       archive_end,  manifest_begin, manifest_data,
                                                       manifest_end, progress,       warning};

static int read_fd(void *arg, uint8_t *p, size_t cap, size_t *got, struct err *e)
{
    ssize_t n = read(*(int *)arg, p, cap);

    if (n < 0)
        return err_sys(e, errno, "could not read the manifest");
    *got = (size_t)n;
    return 0;
}

static int upload(struct pgconn *c, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY);
    int rc;

    if (fd < 0)
        return failed("open", path, e);
    rc = basebackup_upload(c, read_fd, &fd, e);
    close(fd);
    return rc;
}

static int take_backup(struct repl *r, const char *conninfo, const struct basebackup_opts *o,
                       const char *prior, struct err *e)
{
    const struct manifest_events nothing = {NULL, NULL, NULL};
    const struct pgconn_opts where = {.dsn = conninfo};
    struct basebackup_end end;
    struct pgconn *c;
    int rc;

    if (replication_open(&c, &where, REPLICATION_PHYSICAL, e) != 0)
        return -1;
    r->has_end = basebackup_has_end(c);
    manifest_in_init(&r->manifest, &nothing, NULL, true);
    rc = prior == NULL ? 0 : upload(c, prior, e);
    if (rc == 0)
        rc = basebackup_run(c, o, &backup_events, r, &end, e);
    if (rc != 0)
        printf("sqlstate=%s\n", pgconn_sqlstate(c));
    if (r->in_tar)
        sink_abort(&r->tar.sink);
    pgconn_close(c);
    if (rc == 0) {
        print_lsn("end", end.lsn);
        printf("end_tli=%" PRIu32 "\nfiles=%" PRIu64 "\nlinks=%" PRIu64 "\ndirs=%" PRIu64 "\n",
               end.tli, r->files, r->links, r->dirs);
        printf("bytes=%" PRIu64 "\nmanifest_files=%" PRIu64 "\nmanifest_version=%u\n", r->progress,
               r->manifest.files, r->manifest.version);
    }
    manifest_in_fini(&r->manifest);
    return rc;
}

static int backup(int argc, char **argv, struct err *e)
{
    struct repl r = {.fd = -1, .manifest_fd = -1};
    struct basebackup_opts o = {.label = "repl"};
    const char *prior = NULL;
    int opt;

    while ((opt = getopt(argc, argv, "fl:r:stni:m:S:")) != -1) {
        uint32_t n = 0;

        if ((opt == 'r' || opt == 'S') && parse_u32(optarg, 0, UINT32_MAX, &n, e) != 0)
            return -1;
        switch (opt) {
        case 'f':
            o.fast = true;
            break;
        case 'l':
            o.label = optarg;
            break;
        case 'r':
            o.max_rate = n;
            break;
        case 'S':
            o.silence = n;
            break;
        case 's':
            o.sizes = true;
            break;
        case 't':
            o.tablespace_map = true;
            break;
        case 'n':
            o.skip_checksums = true;
            break;
        case 'i':
            prior = optarg;
            o.incremental = true;
            break;
        case 'm':
            if (r.n_maps < MAPS_MAX)
                r.maps[r.n_maps++] = optarg;
            break;
        default:
            return err_set(e, ERR_USAGE, "wrong option");
        }
    }
    if (argc - optind != 2)
        return err_set(e, ERR_USAGE, "backup wants CONNINFO and DIR");
    r.dir = argv[optind + 1];
    return take_backup(&r, argv[optind], &o, prior, e);
}

/* ---- WAL ---- */

static int segment_begin(void *arg, tli_t tli, uint64_t segno, struct err *e)
{
    struct repl *r = arg;
    char name[WALNAME_MAX];
    char path[PATH_CAP];

    walname_segment(name, tli, segno, (uint32_t)r->files);
    make_path(path, r->dir, name);
    r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    printf("segment=%s\n", name);
    return r->fd >= 0 ? 0 : failed("make", path, e);
}

static int segment_end(void *arg, bool whole, struct err *e)
{
    printf("whole=%d\n", whole);
    return member_end(arg, e);
}

static int take_history(void *arg, tli_t tli, const char *text, size_t n, struct err *e)
{
    char name[WALNAME_MAX];
    char path[PATH_CAP];
    int fd;
    int rc;

    walname_history(name, tli);
    make_path(path, ((struct repl *)arg)->dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return failed("make", path, e);
    rc = write_all(fd, (const uint8_t *)text, n, e);
    close(fd);
    printf("history=%s\n", name);
    return rc;
}

static lsn_t stop(void *arg)
{
    return ((struct repl *)arg)->stop;
}

static int wal(int argc, char **argv, struct err *e)
{
    static const struct walstream_events events = {segment_begin, member_data, segment_end,
                                                   take_history,  stop,        NULL};
    struct repl r = {.fd = -1};
    struct walstream_opts o = {.slot = NULL};
    struct walstream_end end;
    struct pgconn_opts where = {.dsn = NULL};
    struct pgconn *c;
    int rc;

    if (argc < 6)
        return err_set(e, ERR_USAGE, "wal wants CONNINFO DIR TIMELINE START STOP [SLOT]");
    where.dsn = argv[1];
    r.dir = argv[2];
    if (parse_u32(argv[3], 1, UINT32_MAX, &o.tli, e) != 0 || parse_lsn(argv[4], &o.start, e) != 0 ||
        parse_lsn(argv[5], &r.stop, e) != 0 ||
        replication_open(&c, &where, REPLICATION_PHYSICAL, e) != 0)
        return -1;
    rc = replication_segsize(c, &o.segsize, e);
    r.files = o.segsize;
    if (rc == 0 && argc > 6) {
        o.slot = argv[6];
        rc = replication_temporary_slot(c, o.slot, e);
    }
    if (rc == 0)
        rc = walstream_run(c, &o, &events, &r, &end, e);
    pgconn_close(c);
    if (rc == 0) {
        print_lsn("end", end.lsn);
        printf("end_tli=%" PRIu32 "\n", end.tli);
    }
    return rc;
}

/* ---- the small commands ---- */

static int small(int argc, char **argv, struct err *e)
{
    struct pgconn_opts where = {.dsn = NULL};
    struct replication_system sys;
    struct buf text;
    struct pgconn *c;
    char value[256];
    uint32_t n = 0;
    int rc = -1;

    if (argc < (strcmp(argv[0], "identify") == 0 ? 2 : 3))
        return err_set(e, ERR_USAGE, "%s wants more", argv[0]);
    where.dsn = argv[1];
    if (replication_open(&c, &where, REPLICATION_PHYSICAL, e) != 0)
        return -1;
    buf_init(&text, 4096);
    if (strcmp(argv[0], "identify") == 0) {
        rc = replication_identify(c, &sys, e);
        if (rc == 0) {
            printf("system_id=%" PRIu64 "\ntli=%" PRIu32 "\n", sys.system_id, sys.tli);
            print_lsn("lsn", sys.lsn);
            rc = replication_segsize(c, &n, e);
            printf("segsize=%" PRIu32 "\n", n);
        }
        if (rc == 0)
            rc = replication_dir_mode(c, &n, e);
        printf("mode=%" PRIo32 "\n", n);
    } else if (strcmp(argv[0], "show") == 0) {
        rc = replication_show(c, argv[2], value, sizeof value, e);
        printf("value=%s\n", rc == 0 ? value : "");
    } else if (strcmp(argv[0], "slot") == 0) {
        rc = replication_temporary_slot(c, argv[2], e);
    } else if (parse_u32(argv[2], 1, UINT32_MAX, &n, e) == 0) {
        rc = replication_history(c, n, &text, e);
        printf("%s", rc == 0 ? buf_text(&text) : rc > 0 ? "none\n" : "");
        rc = rc > 0 ? 0 : rc;
    }
    buf_fini(&text);
    pgconn_close(c);
    return rc;
}

/* ---- manifests ---- */

struct rewrite {
    struct manifest_out out;
};

static int out_bytes(void *arg, const void *p, size_t n, struct err *e)
{
    (void)arg;
    return fwrite(p, 1, n, stdout) == n ? 0 : err_sys(e, errno, "could not write");
}

static int copy_head(void *arg, unsigned version, uint64_t id, struct err *e)
{
    return manifest_out_begin(&((struct rewrite *)arg)->out, version, id, out_bytes, NULL, e);
}

static int copy_file(void *arg, const struct manifest_file *f, struct err *e)
{
    return manifest_out_file(&((struct rewrite *)arg)->out, f, e);
}

static int copy_range(void *arg, const struct manifest_range *r, struct err *e)
{
    return manifest_out_range(&((struct rewrite *)arg)->out, r, e);
}

static int manifest(int argc, char **argv, struct err *e)
{
    static const struct manifest_events events = {copy_head, copy_file, copy_range};
    struct rewrite w = {.out = {.write = NULL}};
    struct manifest_in in;
    uint8_t piece[1000];
    size_t got;
    FILE *f = argc < 2 ? NULL : fopen(argv[1], "r");
    int rc = 0;

    if (f == NULL)
        return err_set(e, ERR_USAGE, "manifest wants a FILE");
    manifest_in_init(&in, &events, &w, true);
    while (rc == 0 && (got = fread(piece, 1, sizeof piece, f)) > 0)
        rc = manifest_in_feed(&in, piece, got, e);
    if (rc == 0)
        rc = manifest_in_finish(&in, e);
    if (rc == 0)
        rc = manifest_out_end(&w.out, e);
    manifest_out_fini(&w.out);
    manifest_in_fini(&in);
    fclose(f);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv, struct err *e);
    } commands[] = {{"identify", small}, {"show", small}, {"history", small},    {"slot", small},
                    {"backup", backup},  {"wal", wal},    {"manifest", manifest}};
    struct err e = {0};
    int rc = err_set(&e, ERR_USAGE, "no such command");

    umask(0);
    os_signal_catch(OS_SIGNAL_ALL);
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            err_clear(&e);
            rc = commands[i].run(argc - 1, argv + 1, &e);
        }
    }
    fflush(stdout);
    if (rc == 0)
        return 0;
    fprintf(stderr, "error %d: %s\n", (int)e.code, e.msg);
    if (e.hint[0] != '\0')
        fprintf(stderr, "hint: %s\n", e.hint);
    return 1;
}

/*
 * unpack: reads a base backup back, file by file, straight through the page store's readers; for
 * tests, which so have a way to look at a backup that is not the product's own restore.
 *
 *     unpack [SETTING...] LABEL DIR     LABEL may be "newest"; SETTINGs as of every program
 *
 * Writes the data directory into DIR (tablespaces below DIR/pg_tblspc as plain directories, unless
 * DIR.OID exists: then there, with a link), files from outside into DIR.outside, backup_manifest,
 * and the relation map as text into DIR.relations.  Every file's size and CRC-32C are compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/text.h"
#include "object/secret.h"
#include "repo/manifest_read.h"
#include "repo/pages_get.h"
#include "repo/repo.h"

enum { PATH_CAP = 8192, SPACES_MAX = 8192, MAP_MAX = 64 * 1024 * 1024 };

struct unpack {
    const char *dir;
    struct pages_get get;
    struct pack_set set;
    uint8_t (*packs)[PACK_ID];
    uint32_t n_packs;
    struct sink sink;
    FILE *out;
    uint32_t crc;
    uint64_t size;
    uint64_t left;
    char path[PATH_CAP];
    struct manifest_file file;
    int manifest_fd;
    struct buf map;
    uint64_t files, dirs, links, wal, outside;
    /* runs of the file in hand: its size is known only at its end */
    struct pages_run *runs;
    size_t n_runs, cap_runs;
    struct {
        uint32_t oid;
        char *path;
    } spaces[SPACES_MAX];
    size_t n_spaces;
};

static int sys(const char *what, const char *name, struct err *e)
{
    return err_sys(e, errno, "could not %s \"%s\"", what, name);
}

static void parents(char *path)
{
    for (char *p = path + 1; *p != '\0'; p++)
        if (*p == '/') {
            *p = '\0';
            (void)!mkdir(path, 0700);
            *p = '/';
        }
}

static void make_path(const struct unpack *u, const char *path, unsigned flags, char out[PATH_CAP])
{
    char other[PATH_CAP];
    unsigned oid;
    int n = 0;

    (void)snprintf(out, PATH_CAP, "%s%s/%s", u->dir, flags & MANIFEST_OUTSIDE ? ".outside" : "",
                   path);
    if ((flags & MANIFEST_OUTSIDE) == 0 && sscanf(path, "pg_tblspc/%u/%n", &oid, &n) == 1 &&
        n > 0) {
        struct stat st;

        (void)snprintf(other, PATH_CAP, "%s.%u", u->dir, oid);
        if (stat(other, &st) == 0)
            (void)snprintf(out, PATH_CAP, "%.4000s/%.4000s", other, path + n);
    }
}

static int on_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    struct unpack *u = arg;

    u->packs = realloc(u->packs, (size_t)index * PACK_ID);
    if (u->packs == NULL)
        return err_set(e, ERR_NOMEM, "memory");
    memcpy(u->packs[index - 1], id, PACK_ID);
    u->n_packs = index;
    return 0;
}

static int on_space(void *arg, uint32_t oid, const char *path, struct err *e)
{
    struct unpack *u = arg;

    if (u->n_spaces == SPACES_MAX)
        return err_set(e, ERR_NOMEM, "too many tablespaces");
    u->spaces[u->n_spaces].oid = oid;
    u->spaces[u->n_spaces++].path = strdup(path);
    return 0;
}

static int on_dir(void *arg, uint32_t mode, const char *path, struct err *e)
{
    struct unpack *u = arg;
    char full[PATH_CAP];

    make_path(u, path, 0, full);
    parents(full);
    if (mkdir(full, 0700) != 0 && errno != EEXIST)
        return sys("make", full, e);
    u->dirs++;
    return chmod(full, mode) == 0 ? 0 : sys("change", full, e);
}

/* Makes the link of a tablespace, if it went elsewhere. */
static int make_link(const struct unpack *u, const char *oid, struct err *e)
{
    char full[PATH_CAP];
    char other[PATH_CAP];
    struct stat st;

    (void)snprintf(full, sizeof full, "%s/pg_tblspc/%s", u->dir, oid);
    (void)snprintf(other, sizeof other, "%s.%s", u->dir, oid);
    if (stat(other, &st) != 0)
        return 0; /* a plain directory stands there */
    parents(full);
    return symlink(other, full) == 0 || errno == EEXIST ? 0 : sys("link", full, e);
}

static int on_link(void *arg, const char *path, const char *target, struct err *e)
{
    struct unpack *u = arg;

    (void)target;
    u->links++;
    return make_link(u, strrchr(path, '/') + 1, e);
}

static int on_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                   struct err *e)
{
    struct unpack *u = arg;
    char full[PATH_CAP];

    if (type == MANIFEST_RELATIONS)
        return buf_add(&u->map, bytes, len, e);
    if (type != MANIFEST_SERVER)
        return 0;
    if (u->manifest_fd < 0) {
        (void)snprintf(full, sizeof full, "%s/backup_manifest", u->dir);
        u->manifest_fd = open(full, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (u->manifest_fd < 0)
            return sys("make", full, e);
    }
    return write(u->manifest_fd, bytes, len) == (ssize_t)len ? 0 : sys("write", "manifest", e);
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;
    int fd;

    make_path(u, f->path, f->flags, u->path);
    parents(u->path);
    fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL, f->mode);
    if (fd < 0 || fchmod(fd, f->mode) != 0)
        return sys("make", u->path, e);
    u->out = fdopen(fd, "w");
    u->crc = 0;
    u->size = 0;
    u->n_runs = 0;
    u->files++;
    u->wal += (f->flags & MANIFEST_WAL) != 0;
    u->outside += (f->flags & MANIFEST_OUTSIDE) != 0;
    return 0;
}

static int on_run(void *arg, const struct pages_run *run, struct err *e)
{
    struct unpack *u = arg;

    if (u->n_runs == u->cap_runs) {
        u->cap_runs = u->cap_runs * 2 + 64;
        u->runs = realloc(u->runs, u->cap_runs * sizeof *u->runs);
        if (u->runs == NULL)
            return err_set(e, ERR_NOMEM, "memory");
    }
    u->runs[u->n_runs++] = *run;
    return 0;
}

static int take(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct unpack *u = (struct unpack *)((char *)s - offsetof(struct unpack, sink));

    if (len > u->left)
        len = (size_t)u->left; /* zeros come as whole pages */
    u->left -= len;
    u->crc = crc32c_extend(u->crc, bytes, len);
    u->size += len;
    return fwrite(bytes, 1, len, u->out) == len ? 0 : sys("write", u->path, e);
}

static const struct sink_ops ops = {"file", take, NULL, NULL};

static int on_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;

    u->left = f->size;
    for (size_t i = 0; i < u->n_runs; i++)
        if (pages_get_run(&u->get, u->runs[i].pack == 0 ? NULL : u->packs[u->runs[i].pack - 1],
                          &u->runs[i], &u->sink, e) != 0)
            return err_context(e, "%s", f->path);
    if (fclose(u->out) != 0)
        return sys("close", u->path, e);
    u->out = NULL;
    if (u->size != f->size || u->crc != f->crc)
        return err_set(e, ERR_DAMAGED,
                       "%s: %" PRIu64 " bytes with CRC %08x, wanted %" PRIu64 " with %08x", f->path,
                       u->size, u->crc, f->size, f->crc);
    return 0;
}

/* One line per relation: database, schema.name, OID, filenode, tablespace, kind. */
static int print_map(const struct unpack *u, struct err *e)
{
    struct cur c = cur_of(u->map.p, u->map.len);
    char path[PATH_CAP];
    char database[256] = "";
    FILE *f;
    uint8_t item;

    (void)snprintf(path, sizeof path, "%s.relations", u->dir);
    f = fopen(path, "w");
    if (f == NULL)
        return sys("make", path, e);
    while (cur_u8(&c, &item)) {
        uint64_t v[3] = {0};
        const uint8_t *name[2];
        uint64_t len[2] = {0};
        uint8_t kind = 0;
        bool ok = cur_varint(&c, &v[0]);

        if (item == 2)
            ok = ok && cur_varint(&c, &v[1]) && cur_varint(&c, &v[2]) && cur_u8(&c, &kind);
        for (int i = 0; ok && i < item; i++)
            ok = cur_varint(&c, &len[i]) && cur_bytes(&c, (size_t)len[i], &name[i]);
        if (!ok || item < 1 || item > 2) {
            (void)fclose(f);
            return err_set(e, ERR_DAMAGED, "the relation map cannot be read");
        }
        if (item == 1)
            (void)snprintf(database, sizeof database, "%.*s", (int)len[0], name[0]);
        else
            (void)fprintf(f, "%s|%.*s.%.*s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%c\n", database,
                          (int)len[0], name[0], (int)len[1], name[1], v[0], v[1], v[2], kind);
    }
    return fclose(f) == 0 ? 0 : sys("close", path, e);
}

static int newest(void *arg, const char *label, const struct manifest_public *p,
                  const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    (void)part, (void)len, (void)why, (void)e;
    if (p != NULL)
        (void)snprintf(arg, MANIFEST_LABEL_MAX, "%s", label);
    return 0;
}

static int unpack(struct unpack *u, struct repo *repo, char *label, struct object_reader *scratch,
                  struct object_reader *other, struct err *e)
{
    static const struct manifest_events events = {.pack = on_pack,
                                                  .tablespace = on_space,
                                                  .dir = on_dir,
                                                  .link = on_link,
                                                  .text = on_text,
                                                  .file = on_file,
                                                  .run = on_run,
                                                  .file_end = on_file_end};
    struct manifest_public p = {0};
    char lsn[2][TEXT_LSN_MAX];

    if (strcmp(label, "newest") == 0 && manifest_each(repo, newest, label, scratch, e) != 0)
        return -1;
    if (pack_set_load(&u->set, repo, scratch, e) != 0)
        return -1;
    pages_get_init(&u->get, &u->set, other);
    sink_init(&u->sink, &ops, PHASE_DELIVER);
    if (manifest_read(repo, label, &events, u, &p, scratch, e) != 0)
        return e->code == ERR_NONE ? err_set(e, ERR_HOLE, "no backup %s", label) : -1;
    for (size_t i = 0; i < u->n_spaces; i++) {
        char oid[16];

        (void)snprintf(oid, sizeof oid, "%" PRIu32, u->spaces[i].oid);
        if (make_link(u, oid, e) != 0)
            return -1;
    }
    text_lsn(lsn[0], p.start_lsn);
    text_lsn(lsn[1], p.stop_lsn);
    printf("label=%s\nfiles=%" PRIu64 "\ndirs=%" PRIu64 "\nlinks=%" PRIu64 "\nwal=%" PRIu64
           "\noutside=%" PRIu64 "\nspaces=%zu\nstart=%s\nstop=%s\nwal_inside=%d\nstandby=%d\n"
           "checksums=%d\ntag=%s\nstored=%" PRIu64 "\nsequence=%" PRIu64 "\n",
           label, u->files, u->dirs, u->links, u->wal, u->outside, u->n_spaces, lsn[0], lsn[1],
           p.wal_inside, p.from_standby, p.data_checksums, p.tag, p.stored, p.head.sequence);
    return print_map(u, e);
}

int main(int argc, char **argv)
{
    static const struct opt_program program = {.name = "unpack",
                                               .operands = "LABEL DIR",
                                               .summary = "read a base backup back",
                                               .examples = "",
                                               .exits = "",
                                               .args_min = 2,
                                               .args_max = 2};
    static struct settings settings;
    static struct repo repo;
    static struct object_reader scratch[2];
    static struct unpack u = {.manifest_fd = -1};
    struct opt_set set;
    struct opt_args args;
    struct err e = {0};
    char label[MANIFEST_LABEL_MAX];

    settings_init(&settings);
    set = settings_options(&settings);
    buf_init(&u.map, MAP_MAX);
    if (opt_parse(&program, &set, 1, argc, argv, &args, &e) != 0 ||
        settings_load(&settings, environ, SETTINGS_PROGRAM, &e) != 0 || secret_start(&e) != 0 ||
        repo_open(&repo, &settings, REPO_READ, &e) != 0)
        goto failed;
    (void)snprintf(label, sizeof label, "%s", args.v[0]);
    u.dir = args.v[1];
    if (mkdir(u.dir, 0700) != 0 && errno != EEXIST) {
        (void)sys("make", u.dir, &e);
        goto failed;
    }
    if (unpack(&u, &repo, label, &scratch[0], &scratch[1], &e) == 0)
        return 0;
failed:
    fprintf(stderr, "unpack: error: %s\n", e.msg);
    return 1;
}

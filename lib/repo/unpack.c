#include "repo/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/publish.h"
#include "os/signal.h"
#include "os/time.h"
#include "pg/tsmap.h"

enum { TELL_US = 200 * 1000 };

static int damaged(struct err *e, const char *what, const char *name)
{
    return err_set(e, ERR_DAMAGED, "the backup %s \"%s\"", what, name);
}

int unpack_tell(struct unpack *u, struct err *e)
{
    int64_t now = os_mono_us();
    uint64_t files;
    uint64_t bytes;

    if (now - u->told < TELL_US)
        return 0;
    u->told = now;
    if (os_signal_check(e) != 0)
        return -1;
    if (u->how.progress == NULL)
        return 0;
    unpack_pool_done(&u->pool, &files, &bytes);
    return u->how.progress(u->how.arg, bytes, e);
}

int unpack_read(struct unpack *u, const struct manifest_events *events, struct err *e)
{
    int rc = manifest_read(u->repo, u->label, events, u, &u->public, u->scratch, e);

    if (rc == STORE_ABSENT)
        return err_set(e, ERR_HOLE, "there is no backup \"%s\" in the repository", u->label);
    return rc == 0 ? 0 : err_context(e, "backup \"%s\"", u->label);
}

/* What stood in the way of writing is no fault of the manifest that was read meanwhile. */
static int noted(struct unpack *u, int rc, const struct err *e)
{
    if (rc < 0 && u->cause.code == ERR_NONE)
        u->cause = *e;
    return rc;
}

/* --- the first look --- */

static int tell_name(struct unpack *u, enum unpack_kind kind, const char *path, const char *target,
                     uint64_t size, struct err *e)
{
    return u->each == NULL ? 0 : u->each(u->each_arg, kind, path, target, size, e);
}

static char *copy(const char *text, struct err *e)
{
    size_t len = strlen(text) + 1;
    char *out = malloc(len);

    if (out == NULL)
        (void)err_set(e, ERR_NOMEM, "no memory for a path");
    else
        memcpy(out, text, len);
    return out;
}

/* A tablespace's path: absolute, without anything that leads elsewhere, and fit for its map. */
static bool is_target(const char *path)
{
    return manifest_path_ok(path, MANIFEST_OUTSIDE);
}

static int add_space(struct unpack *u, uint32_t oid, const char *path, struct err *e)
{
    struct unpack_space s = {.oid = oid};
    size_t at;

    if (!is_target(path))
        return damaged(e, "has a tablespace at an impossible place,", path);
    if (unpack_space(u, oid) != NULL)
        return strcmp(unpack_space(u, oid)->path, path) == 0
                   ? 0
                   : damaged(e, "has two places for one tablespace; one is", path);
    s.path = copy(path, e);
    s.target = copy(path, e);
    if (s.path == NULL || s.target == NULL || unpack_spaces_push(&u->spaces, s, e) != 0) {
        free(s.path);
        free(s.target);
        return -1;
    }
    for (at = u->spaces.n - 1; at > 0 && u->spaces.v[at - 1].oid > oid; at--)
        u->spaces.v[at] = u->spaces.v[at - 1];
    u->spaces.v[at] = s;
    return 0;
}

static int look_space(void *arg, uint32_t oid, const char *path, struct err *e)
{
    /* A tablespace inside the data directory has a relative path or none, and no link. */
    return path[0] == '/' ? add_space(arg, oid, path, e) : 0;
}

static int look_link(void *arg, const char *path, const char *target, struct err *e)
{
    struct unpack *u = arg;
    char again[32];
    uint64_t oid = 0;
    const char *digits = path + strlen("pg_tblspc/");

    if (strncmp(path, "pg_tblspc/", strlen("pg_tblspc/")) == 0)
        for (; *digits >= '0' && *digits <= '9' && oid <= UINT32_MAX; digits++)
            oid = 10 * oid + (uint64_t)(*digits - '0');
    (void)snprintf(again, sizeof again, "pg_tblspc/%llu", (unsigned long long)oid);
    if (oid == 0 || oid > UINT32_MAX || strcmp(again, path) != 0)
        return damaged(e, "has a link that no cluster has,", path);
    return add_space(u, (uint32_t)oid, target, e);
}

static int look_dir(void *arg, uint32_t mode, const char *path, struct err *e)
{
    struct unpack *u = arg;

    u->totals.dirs++;
    /* One of the server's own; a user's directory may have whatever mode. */
    if (strcmp(path, "global") == 0 && (mode & 050) != 0)
        u->totals.group = true;
    return tell_name(u, UNPACK_IS_DIR, path, NULL, 0, e);
}

static int look_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                     struct err *e)
{
    struct unpack *u = arg;

    (void)bytes, (void)len, (void)e;
    u->totals.has_label = u->totals.has_label || type == MANIFEST_LABEL;
    u->totals.has_map = u->totals.has_map || type == MANIFEST_MAP;
    return 0;
}

static int name_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;
    char wal[64];
    const char *path = unpack_tree_wal(f->path, wal);

    if ((f->flags & MANIFEST_OUTSIDE) != 0)
        return tell_name(u, UNPACK_IS_OUTSIDE, f->path, NULL, f->size, e);
    if ((f->flags & MANIFEST_WAL) == 0)
        return tell_name(u, UNPACK_IS_FILE, f->path, NULL, f->size, e);
    if (path == NULL)
        return damaged(e, "keeps a WAL file of an impossible name,", f->path);
    return tell_name(u, UNPACK_IS_WAL, path, NULL, f->size, e);
}

static int look_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;
    const char *path = f->path;

    if ((f->flags & MANIFEST_OUTSIDE) != 0) {
        u->totals.outside++;
    } else if ((f->flags & MANIFEST_WAL) != 0) {
        u->totals.wal++;
    } else {
        u->totals.has_label = u->totals.has_label || strcmp(path, UNPACK_LABEL) == 0;
        u->totals.has_map = u->totals.has_map || strcmp(path, UNPACK_MAP) == 0;
        u->totals.has_control = u->totals.has_control || strcmp(path, UNPACK_CONTROL) == 0;
        u->totals.has_conf = u->totals.has_conf || strcmp(path, "postgresql.conf") == 0;
    }
    if ((f->flags & MANIFEST_OUTSIDE) == 0) {
        u->totals.files++;
        u->totals.bytes += f->size;
    }
    return name_file(u, f, e);
}

static int name_dir(void *arg, uint32_t mode, const char *path, struct err *e)
{
    (void)mode;
    return tell_name(arg, UNPACK_IS_DIR, path, NULL, 0, e);
}

static int name_links(struct unpack *u, struct err *e)
{
    for (size_t i = 0; i < u->spaces.n; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "pg_tblspc/%u", (unsigned)u->spaces.v[i].oid);
        if (tell_name(u, UNPACK_IS_LINK, name, u->spaces.v[i].target, 0, e) != 0)
            return -1;
    }
    return 0;
}

int unpack_names(struct unpack *u, unpack_name_fn each, void *arg, struct err *e)
{
    static const struct manifest_events events = {.dir = name_dir, .file_end = name_file};

    u->each = each;
    u->each_arg = arg;
    return unpack_read(u, &events, e) != 0 ? -1 : name_links(u, e);
}

static int look_through(struct unpack *u, struct err *e)
{
    static const struct manifest_events events = {.tablespace = look_space,
                                                  .dir = look_dir,
                                                  .link = look_link,
                                                  .text = look_text,
                                                  .file_end = look_file};

    if (unpack_read(u, &events, e) != 0)
        return -1;
    /* Without its label a server would start from the wrong place, and be broken in silence. */
    if (!u->totals.has_label)
        return damaged(e, "has no", UNPACK_LABEL);
    if (!u->totals.has_control)
        return damaged(e, "has no", UNPACK_CONTROL);
    return name_links(u, e);
}

int unpack_open(struct unpack *u, struct repo *repo, const char *label, unpack_name_fn each,
                void *arg, struct err *e)
{
    memset(u, 0, sizeof *u);
    u->repo = repo;
    u->tree.dir = u->tree.outside = u->tree.space = (struct os_root)OS_ROOT_INIT;
    u->manifest_fd = -1;
    u->each = each;
    u->each_arg = arg;
    (void)snprintf(u->label, sizeof u->label, "%s", label);
    unpack_spaces_init(&u->spaces, UNPACK_SPACES_MAX);
    unpack_hashes_init(&u->known, UNPACK_FILES_MAX);
    unpack_bits_init(&u->same, UNPACK_FILES_MAX);
    buf_init(&u->label_text, UNPACK_TEXT_MAX);
    buf_init(&u->map_text, UNPACK_TEXT_MAX);
    u->scratch = calloc(1, sizeof *u->scratch);
    if (u->scratch == NULL)
        return err_set(e, ERR_NOMEM, "no memory to unpack with");
    if (look_through(u, e) == 0)
        return 0;
    unpack_close(u);
    return -1;
}

void unpack_close(struct unpack *u)
{
    if (u->scratch == NULL)
        return;
    if (u->file != NULL)
        unpack_pool_drop(&u->pool, u->file);
    u->file = NULL;
    free(u->job);
    u->job = NULL;
    unpack_pool_stop(&u->pool);
    os_drop(&u->manifest_fd);
    unpack_tree_close(u);
    for (size_t i = 0; i < u->spaces.n; i++) {
        free(u->spaces.v[i].path);
        free(u->spaces.v[i].target);
    }
    unpack_spaces_fini(&u->spaces);
    unpack_hashes_fini(&u->known);
    unpack_bits_fini(&u->same);
    buf_fini(&u->label_text);
    buf_fini(&u->map_text);
    if (u->has_set)
        pack_set_fini(&u->set);
    free(u->scratch);
    u->scratch = NULL;
}

int unpack_map(struct unpack *u, const char *path, const char *target, struct err *e)
{
    for (size_t i = 0; i < u->spaces.n; i++) {
        struct unpack_space *s = &u->spaces.v[i];
        char *new;

        if (strcmp(s->path, path) != 0)
            continue;
        if (!is_target(target))
            return err_set(e, ERR_USAGE, "\"%s\" is no place for a tablespace", target);
        new = copy(target, e);
        if (new == NULL)
            return -1;
        free(s->target);
        s->target = new;
        s->moved = strcmp(s->path, target) != 0;
        return 0;
    }
    (void)err_set(e, ERR_USAGE, "the backup has no tablespace at \"%s\"", path);
    if (u->spaces.n > 0)
        return err_hint(e, "One of its tablespaces is at \"%s\".", u->spaces.v[0].path);
    return err_hint(e, "It has none that needs a place.");
}

/* --- writing --- */

int unpack_begin(struct unpack *u, const struct unpack_how *how, struct err *e)
{
    mode_t mode = u->totals.group ? 0750 : 0700;

    u->how = *how;
    if (unpack_tree_open(&u->tree.dir, how->dir, mode, u, e) != 0 ||
        os_chmod(u->tree.dir.fd, mode, how->dir, e) != 0)
        return -1;
    if (how->outside != NULL && unpack_tree_open(&u->tree.outside, how->outside, 0700, u, e) != 0)
        return -1;
    for (size_t i = 0; i < u->spaces.n; i++) {
        struct os_root root = OS_ROOT_INIT;
        int rc = unpack_tree_open(&root, u->spaces.v[i].target, mode, u, e);

        os_root_close(&root);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int unpack_disarm(struct unpack *u, struct err *e)
{
    struct stat st;
    int fd = -1;
    int rc = os_root_stat(&u->tree.dir, UNPACK_CONTROL, &st, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    /* After a crash here nothing starts, and the caller's mark says what is being done. */
    if (os_root_unlink(&u->tree.dir, UNPACK_CONTROL, 0, e) < 0 ||
        os_root_dir(&u->tree.dir, "global", &fd, e) != 0)
        return -1;
    rc = os_sync_dir(fd, "global", e);
    os_drop(&fd);
    return rc < 0 ? -1 : 0;
}

static int put_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    struct unpack *u = arg;

    (void)index;
    return unpack_pool_pack(&u->pool, id, e);
}

static int put_dir(void *arg, uint32_t mode, const char *path, struct err *e)
{
    struct unpack *u = arg;

    return noted(u, unpack_tree_dir(u, path, mode, e), e) == 0 ? unpack_tell(u, e) : -1;
}

static int put_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                    struct err *e)
{
    struct unpack *u = arg;
    uint32_t mode = u->totals.group ? 0640 : 0600;

    if (type == MANIFEST_LABEL)
        return buf_add(&u->label_text, bytes, len, e);
    if (type == MANIFEST_MAP)
        return buf_add(&u->map_text, bytes, len, e);
    if (type != MANIFEST_SERVER)
        return 0;
    if (u->manifest_fd < 0 &&
        noted(u, unpack_tree_file(u, &u->tree.dir, UNPACK_MANIFEST, mode, &u->manifest_fd, e), e) !=
            0)
        return -1;
    return noted(u, os_write_full(u->manifest_fd, bytes, len, UNPACK_MANIFEST, e), e);
}

bool unpack_is_kept(const struct unpack *u, const struct manifest_file *f)
{
    return u->how.keep != NULL && f->flags == 0 && strcmp(f->path, u->how.keep) == 0;
}

static bool is_same(const struct unpack *u)
{
    return u->number / 8 < u->same.n && (u->same.v[u->number / 8] >> (u->number % 8) & 1) != 0;
}

static int put_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;
    struct os_root *root;
    const char *path = f->path;
    const char *rel;
    char wal[64];
    int fd = -1;

    u->at = 0;
    u->is_control = f->flags == 0 && strcmp(path, UNPACK_CONTROL) == 0;
    if ((f->flags & MANIFEST_WAL) != 0)
        path = unpack_tree_wal(f->path, wal);
    if (path == NULL)
        return damaged(e, "keeps a WAL file of an impossible name,", f->path);
    if (noted(u, unpack_tree_find(u, path, f->flags & MANIFEST_OUTSIDE, &root, &rel, &u->skip, e),
              e) != 0)
        return -1;
    if (u->is_control) {
        u->control_runs = 0;
        u->control_mode = f->mode;
    }
    if (f->flags == 0) {
        u->wrote_label = u->wrote_label || strcmp(path, UNPACK_LABEL) == 0;
        u->wrote_map = u->wrote_map || strcmp(path, UNPACK_MAP) == 0;
    }
    u->skip = u->skip || u->is_control || unpack_is_kept(u, f) || is_same(u);
    if (u->skip)
        return 0;
    if (noted(u, unpack_tree_file(u, root, rel, f->mode, &fd, e), e) != 0) {
        os_drop(&fd);
        return -1;
    }
    u->file = unpack_pool_file(fd, path, e);
    if (u->file == NULL)
        os_drop(&fd);
    return u->file == NULL ? -1 : 0;
}

static int hand_over(struct unpack *u, struct err *e)
{
    struct unpack_job *job = u->job;

    if (job == NULL)
        return 0;
    if (unpack_pool_piece(&u->pool, u->file, &job->piece, e) != 0)
        return -1;
    u->job = NULL;
    u->at += job->pages * PAGES_SIZE;
    unpack_pool_put(&u->pool, job);
    return unpack_tell(u, e);
}

static int keep_control(struct unpack *u, const struct pages_run *run, struct err *e)
{
    if (u->control_runs == PAGES_ENTRY || run->count > PAGES_ENTRY)
        return damaged(e, "has an impossible", UNPACK_CONTROL);
    u->control[u->control_runs++] = *run;
    return 0;
}

static int put_run(void *arg, const struct pages_run *whole, struct err *e)
{
    struct unpack *u = arg;
    struct pages_run run = *whole;

    if (u->is_control)
        return keep_control(u, whole, e);
    while (!u->skip && run.count > 0) {
        struct pages_run *part;

        if (u->job == NULL) {
            u->job = unpack_pool_job(&u->pool, e);
            if (u->job == NULL)
                return noted(u, -1, e);
            u->job->file = u->file;
            u->job->at = u->at;
        }
        part = &u->job->run[u->job->n++];
        *part = run;
        if (part->count > UNPACK_PIECE - u->job->pages)
            part->count = (uint32_t)(UNPACK_PIECE - u->job->pages);
        u->job->pages += part->count;
        run.count -= part->count;
        run.page += part->count;
        if ((u->job->pages == UNPACK_PIECE || u->job->n == UNPACK_RUNS) && hand_over(u, e) != 0)
            return -1;
    }
    return 0;
}

static int put_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;
    struct unpack_file *file = u->file;

    u->number++;
    if (u->is_control) {
        u->control_size = f->size;
        u->control_crc = f->crc;
    }
    if (u->skip)
        return 0;
    if (hand_over(u, e) != 0)
        return -1;
    u->file = NULL;
    if (noted(u, unpack_pool_end(&u->pool, file, f->size, f->crc, e), e) != 0)
        return -1;
    return unpack_tell(u, e);
}

/* A text of the backup as a file, unless it was among the files. */
static int write_text(struct unpack *u, const char *name, const struct buf *text, bool written,
                      struct err *e)
{
    uint32_t mode = u->totals.group ? 0640 : 0600;
    int fd = -1;
    int rc = 0;

    if (written || text->len == 0)
        return 0;
    if (unpack_tree_file(u, &u->tree.dir, name, mode, &fd, e) != 0 ||
        os_write_full(fd, text->p, text->len, name, e) != 0)
        rc = -1;
    if (rc == 0)
        rc = os_close(&fd, name, e);
    os_drop(&fd);
    return rc;
}

static int map_line(void *arg, uint32_t oid, const char *path, struct err *e)
{
    struct unpack *u = arg;
    const struct unpack_space *s = unpack_space(u, oid);

    return tsmap_add(&u->label_text, oid, s == NULL ? path : s->target, e);
}

/* A server makes its links anew from the map, so the map must follow a tablespace that moved. */
static int move_map(struct unpack *u, struct err *e)
{
    bool moved = false;
    int rc;

    for (size_t i = 0; i < u->spaces.n; i++)
        moved = moved || u->spaces.v[i].moved;
    if (!moved || u->map_text.len == 0)
        return write_text(u, UNPACK_MAP, &u->map_text, u->wrote_map, e);
    buf_clear(&u->label_text);
    if (tsmap_parse(buf_text(&u->map_text), u->map_text.len, map_line, u, e) != 0)
        return err_context(e, UNPACK_MAP);
    rc = os_root_unlink(&u->tree.dir, UNPACK_MAP, 0, e);
    return rc < 0 ? -1 : write_text(u, UNPACK_MAP, &u->label_text, false, e);
}

static int write_rest(struct unpack *u, struct err *e)
{
    if (u->manifest_fd >= 0 && os_close(&u->manifest_fd, UNPACK_MANIFEST, e) != 0)
        return -1;
    if (write_text(u, UNPACK_LABEL, &u->label_text, u->wrote_label, e) != 0 || move_map(u, e) != 0)
        return -1;
    for (size_t i = 0; i < u->spaces.n; i++)
        if (unpack_tree_link(u, &u->spaces.v[i], e) != 0)
            return -1;
    return 0;
}

/* Directories that were there may be root's, made for this; a server wants its own. */
static int give_roots(struct unpack *u, struct err *e)
{
    if (!u->how.own)
        return 0;
    if (os_chown(u->tree.dir.fd, u->how.uid, u->how.gid, u->how.dir, e) != 0)
        return -1;
    for (size_t i = 0; i < u->spaces.n; i++) {
        struct os_root root = OS_ROOT_INIT;
        const char *target = u->spaces.v[i].target;
        int rc = os_root_open(&root, target, e);

        if (rc == 0)
            rc = os_chown(root.fd, u->how.uid, u->how.gid, target, e);
        else if (rc > 0)
            rc = err_set(e, ERR_IO, "tablespace directory \"%s\" is gone", target);
        os_root_close(&root);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int unpack_files(struct unpack *u, struct err *e)
{
    static const struct manifest_events events = {.pack = put_pack,
                                                  .dir = put_dir,
                                                  .text = put_text,
                                                  .file = put_file,
                                                  .run = put_run,
                                                  .file_end = put_file_end};
    int rc;

    if (give_roots(u, e) != 0)
        return -1;
    if (!u->has_set && pack_set_load(&u->set, u->repo, u->scratch, e) != 0)
        return -1;
    u->has_set = true;
    if (unpack_pool_start(&u->pool, &u->set, u->how.jobs == 0 ? 1 : u->how.jobs, e) != 0)
        return -1;
    if (u->how.existing && unpack_clean(u, e) != 0)
        return -1;
    u->number = 0;
    rc = unpack_read(u, &events, e);
    if (rc != 0 && u->cause.code != ERR_NONE)
        *e = u->cause;
    /* A worker's failure tells more than what it led to. */
    if (rc != 0 && e->code == ERR_INTERRUPTED && u->pool.err.code != ERR_NONE)
        *e = u->pool.err;
    while (rc == 0 && (rc = unpack_pool_wait(&u->pool, TELL_US, e)) == 1)
        rc = unpack_tell(u, e);
    if (rc == 0)
        rc = write_rest(u, e);
    return rc;
}

/* --- the end --- */

struct memory {
    struct sink sink;
    uint8_t bytes[PAGES_ENTRY_BYTES];
    size_t len;
};

static int memory_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct memory *m = (struct memory *)s;

    if (len > sizeof m->bytes - m->len)
        return damaged(e, "has an impossible", UNPACK_CONTROL);
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
    return 0;
}

static const struct sink_ops memory_ops = {"memory", memory_write, sink_finish_next,
                                           sink_abort_next};

static int read_control(struct unpack *u, struct memory *m, struct err *e)
{
    struct pages_get *get = calloc(1, sizeof *get);
    int rc = 0;

    if (get == NULL)
        return err_set(e, ERR_NOMEM, "no memory to unpack with");
    sink_init(&m->sink, &memory_ops, PHASE_DELIVER);
    m->len = 0;
    pages_get_init(get, &u->set, u->scratch);
    for (unsigned i = 0; rc == 0 && i < u->control_runs; i++) {
        const struct pages_run *run = &u->control[i];

        rc = pages_get_run(
            get, run->pack == 0 ? NULL : u->pool.ids.v + (size_t)(run->pack - 1) * PACK_ID, run,
            &m->sink, e);
    }
    pages_get_fini(get);
    free(get);
    if (rc == 0 && (m->len < u->control_size ||
                    crc32c_extend(0, m->bytes, (size_t)u->control_size) != u->control_crc))
        rc = damaged(e, "has a damaged", UNPACK_CONTROL);
    return rc;
}

static int sync_all(struct unpack *u, struct err *e)
{
    if (os_tree_sync(&u->tree.dir, ".", e) != 0 ||
        (u->how.outside != NULL && os_tree_sync(&u->tree.outside, ".", e) != 0))
        return -1;
    for (size_t i = 0; i < u->spaces.n; i++) {
        struct os_root root = OS_ROOT_INIT;
        int rc = os_root_open(&root, u->spaces.v[i].target, e);

        if (rc > 0)
            rc = err_set(e, ERR_IO, "tablespace directory \"%s\" is gone", u->spaces.v[i].target);
        if (rc == 0)
            rc = os_tree_sync(&root, ".", e);
        os_root_close(&root);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int unpack_finish(struct unpack *u, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE, .mode = u->control_mode & 0777};
    struct publish p = PUBLISH_INIT;
    struct memory *m = malloc(sizeof *m);
    int rc = -1;

    if (m == NULL)
        return err_set(e, ERR_NOMEM, "no memory to unpack with");
    /* A crash anywhere before the rename leaves a directory that no server starts. */
    if (read_control(u, m, e) == 0 && sync_all(u, e) == 0 &&
        publish_begin(&p, &u->tree.dir, "global", "pg_control", &how, e) == 0 &&
        publish_write(&p, m->bytes, (size_t)u->control_size, e) == 0 &&
        (!u->how.own || os_chown(publish_fd(&p), u->how.uid, u->how.gid, UNPACK_CONTROL, e) == 0))
        rc = publish_commit(&p, e);
    publish_abort(&p);
    free(m);
    return rc;
}

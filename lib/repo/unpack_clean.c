/* An older or half-done copy: what may stay, what must go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/signal.h"
#include "repo/unpack.h"

enum { PENDING_MAX = 1 << 22 };

static uint64_t hash_of(const struct unpack *u, const char *path, size_t len)
{
    return secret_table_hash(u->key, (const uint8_t *)path, len);
}

/* Directories are known with a slash behind them, so that one is not taken for a file. */
static int know_parents(struct unpack *u, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    if (len == 0 || (strlen(u->parent) == len && memcmp(u->parent, path, len) == 0))
        return 0;
    memcpy(u->parent, path, len);
    u->parent[len] = '\0';
    for (size_t i = 1; i <= len; i++)
        if (path[i] == '/' && unpack_hashes_push(&u->known, hash_of(u, path, i + 1), e) != 0)
            return -1;
    return 0;
}

static int know(struct unpack *u, const char *path, struct err *e)
{
    if (unpack_hashes_push(&u->known, hash_of(u, path, strlen(path)), e) != 0)
        return -1;
    return know_parents(u, path, e);
}

static int know_dir(struct unpack *u, const char *path, struct err *e)
{
    char name[PAGES_PATH_MAX + 2];

    (void)snprintf(name, sizeof name, "%s/", path);
    return know(u, name, e);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool is_known(const struct unpack *u, const char *path, enum os_dir_type type)
{
    char name[PAGES_PATH_MAX + 2];
    int len = snprintf(name, sizeof name, "%s%s", path, type == OS_TYPE_DIR ? "/" : "");
    uint64_t h;

    if (len < 0 || len >= (int)sizeof name)
        return false;
    h = hash_of(u, name, (size_t)len);

    return bsearch(&h, u->known.v, u->known.n, sizeof h, by_value) != NULL;
}

/* --- comparing --- */

static void is_same(void *arg, uint64_t number)
{
    struct unpack *u = arg;

    if (number / 8 >= u->same.n)
        return; /* more files than were there a moment ago: written again */
    u->same.v[number / 8] = (uint8_t)(u->same.v[number / 8] | 1u << (number % 8));
}

static int on_dir(void *arg, uint32_t mode, const char *path, struct err *e)
{
    (void)mode;
    return know_dir(arg, path, e);
}

static int on_link(void *arg, const char *path, const char *target, struct err *e)
{
    (void)target;
    return know(arg, path, e);
}

/* A bit per file, before any worker sets one: the array must not move then. */
static int make_bits(struct unpack *u, struct err *e)
{
    uint64_t files = u->totals.files + u->totals.outside;

    u->same.n = 0;
    while (u->same.n <= files / 8)
        if (unpack_bits_push(&u->same, 0, e) != 0)
            return -1;
    return 0;
}

/* What cannot be opened, or lies where no directory is (a link leads there, say), is not the file
 * of the backup: it goes, and the file is written. */
static int not_there(struct err *e)
{
    switch (e->sys) {
    case EACCES:
    case ELOOP:
    case ENOTDIR:
    case EXDEV:
        err_clear(e);
        return 0;
    default:
        return -1;
    }
}

/* Hands a file that is there to a worker. */
static int compare(struct unpack *u, struct os_root *root, const char *rel,
                   const struct manifest_file *f, struct err *e)
{
    struct unpack_file *file;
    struct unpack_job *job;
    struct stat st;
    int fd = -1;
    int rc = os_root_stat(root, rel, &st, e);

    if (rc != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size || st.st_nlink != 1)
        return rc < 0 ? not_there(e) : 0;
    /* Only for reading: its owner may be forbidden to write it, like a key with mode 0400. */
    rc = os_root_at(root, rel, O_RDONLY, 0, &fd, e);
    if (rc != 0)
        return rc < 0 ? not_there(e) : 0;
    if (os_chmod(fd, f->mode & 0777, rel, e) != 0 ||
        (u->how.own && os_chown(fd, u->how.uid, u->how.gid, rel, e) != 0)) {
        os_drop(&fd);
        return -1;
    }
    file = unpack_pool_file(fd, rel, e);
    if (file == NULL) {
        os_drop(&fd);
        return -1;
    }
    job = unpack_pool_job(&u->pool, e);
    if (job == NULL) {
        unpack_pool_drop(&u->pool, file);
        return -1;
    }
    file->left = 1;
    file->ended = true;
    file->size = f->size;
    file->crc = f->crc;
    job->file = file;
    job->compare = true;
    job->number = u->number;
    unpack_pool_put(&u->pool, job);
    return 0;
}

static int on_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct unpack *u = arg;
    struct os_root *root;
    const char *path = f->path;
    const char *rel;
    char wal[64];
    bool skip;
    int rc = 0;

    if (rc == 0 && (f->flags & MANIFEST_WAL) != 0)
        path = unpack_tree_wal(f->path, wal);
    if (rc == 0 && path != NULL && (f->flags & MANIFEST_OUTSIDE) == 0)
        rc = know(u, path, e);
    if (rc == 0 && path != NULL && strcmp(path, UNPACK_CONTROL) != 0) {
        rc = unpack_tree_find(u, path, f->flags & MANIFEST_OUTSIDE, &root, &rel, &skip, e);
        if (rc == 0 && !skip && !unpack_is_kept(u, f))
            rc = compare(u, root, rel, f, e);
    }
    u->number++;
    return rc == 0 ? unpack_tell(u, e) : -1;
}

/* --- removing --- */

VEC_DECLARE(pending_paths, char *);

struct visit {
    struct unpack *u;
    struct pending_paths *todo;
    const char *path; /* of the directory in the manifest; "" for the data directory */
    int fd;
    struct os_root *root;
    const char *rel; /* of it beneath root */
    bool keep;       /* what is unknown stays: a tablespace may be shared by versions */
};

static char *join(const char *dir, const char *name, struct err *e)
{
    size_t len = strlen(dir) + strlen(name) + 2;
    char *path = malloc(len);

    if (path == NULL)
        (void)err_set(e, ERR_NOMEM, "no memory for a path");
    else if (*dir == '\0')
        memcpy(path, name, strlen(name) + 1);
    else {
        memcpy(path, dir, strlen(dir));
        path[strlen(dir)] = '/';
        memcpy(path + strlen(dir) + 1, name, strlen(name) + 1);
    }
    return path;
}

static int visit_entry(void *arg, const char *name, enum os_dir_type type, struct err *e)
{
    struct visit *v = arg;
    char *path = join(v->path, name, e);
    char *rel;
    int rc = 0;

    if (path == NULL)
        return -1;
    if (*v->path == '\0' && v->u->how.keep != NULL && strcmp(name, v->u->how.keep) == 0)
        goto out;
    if (is_known(v->u, path, type) &&
        (type != OS_TYPE_LINK || unpack_space_of(v->u, path) != NULL)) {
        if (type == OS_TYPE_DIR || type == OS_TYPE_LINK) {
            rc = pending_paths_push(v->todo, path, e);
            if (rc == 0)
                return 0;
        }
        goto out;
    }
    if (v->keep)
        goto out;
    rel = join(strcmp(v->rel, ".") == 0 ? "" : v->rel, name, e);
    if (rel == NULL)
        rc = -1;
    else /* a crash in the middle leaves some; the next run removes them */
        rc = os_tree_remove(v->root, rel, e) < 0 ? -1 : 0;
    free(rel);
out:
    free(path);
    return rc;
}

static int visit_dir(struct unpack *u, struct pending_paths *todo, const char *path, struct err *e)
{
    struct visit v = {
        .u = u, .todo = todo, .path = path, .fd = -1, .root = &u->tree.dir, .rel = "."};
    bool skip = false;
    int rc = 0;

    if (*path != '\0')
        rc = unpack_tree_find(u, path, 0, &v.root, &v.rel, &skip, e);
    if (rc == 0 && skip) { /* a tablespace's link: its directory itself */
        char below[PAGES_PATH_MAX + 3];

        memcpy(below, path, strlen(path));
        memcpy(below + strlen(path), "/.", 3);
        rc = unpack_tree_find(u, below, 0, &v.root, &v.rel, &skip, e);
        v.rel = ".";
        v.keep = true;
    }
    if (rc == 0)
        rc = os_root_at(v.root, v.rel, O_RDONLY | O_DIRECTORY, 0, &v.fd, e);
    if (rc == 0)
        rc = os_dir_each(v.fd, visit_entry, &v, path, e);
    os_drop(&v.fd);
    return rc < 0 ? -1 : 0;
}

static int remove_unknown(struct unpack *u, struct err *e)
{
    struct pending_paths todo;
    int rc;

    pending_paths_init(&todo, PENDING_MAX);
    rc = visit_dir(u, &todo, "", e);
    while (rc == 0 && todo.n > 0) {
        char *path = todo.v[--todo.n];

        rc = os_signal_check(e);
        if (rc == 0)
            rc = visit_dir(u, &todo, path, e);
        free(path);
    }
    while (todo.n > 0)
        free(todo.v[--todo.n]);
    pending_paths_fini(&todo);
    return rc;
}

int unpack_clean(struct unpack *u, struct err *e)
{
    static const struct manifest_events events = {
        .dir = on_dir, .link = on_link, .file_end = on_file_end};
    static const char *const own[] = {UNPACK_CONTROL, UNPACK_LABEL, UNPACK_MAP};
    uint64_t files;
    int rc = 0;

    u->known.n = 0;
    u->number = 0;
    u->parent[0] = '\0';
    secret_random(u->key, sizeof u->key);
    u->pool.same = is_same;
    u->pool.arg = u;
    rc = make_bits(u, e);
    for (size_t i = 0; rc == 0 && i < sizeof own / sizeof own[0]; i++)
        rc = know(u, own[i], e);
    for (size_t i = 0; rc == 0 && i < u->spaces.n; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "pg_tblspc/%u", (unsigned)u->spaces.v[i].oid);
        rc = know(u, name, e);
    }
    if (rc == 0)
        rc = unpack_read(u, &events, e);
    while (rc == 0 && (rc = unpack_pool_wait(&u->pool, 100 * 1000, e)) == 1)
        rc = unpack_tell(u, e);
    if (rc != 0)
        return -1;
    unpack_pool_done(&u->pool, &files, &u->compared);
    qsort(u->known.v, u->known.n, sizeof *u->known.v, by_value);
    rc = remove_unknown(u, e);
    unpack_hashes_fini(&u->known);
    return rc;
}

/*
 * The directory driver.  Every path below the repository is made here.
 */
#include "repo/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/lock.h"

enum { NAMES_MAX = 1 << 24, HINT_EVERY = 4 * STORE_BUFFER };

int store_open(struct store *s, const char *path, struct err *e)
{
    int rc;

    s->root = (struct os_root)OS_ROOT_INIT;
    rc = os_root_open(&s->root, path, e);
    if (rc < 0 && e->code == ERR_IO)
        e->code = ERR_UNREACHABLE;
    if (rc > 0) {
        (void)err_set(e, ERR_UNREACHABLE, "repository \"%s\" does not exist", path);
        (void)err_hint(e,
                       "If it is on a disk of its own, mount it; to make a new repository, run "
                       "\"walden init --repo %s\".",
                       path);
    }
    if (rc == 0 && os_root_give(&s->root, e) != 0) {
        os_root_close(&s->root);
        return -1;
    }
    return rc == 0 ? 0 : -1;
}

void store_close(struct store *s)
{
    os_root_close(&s->root);
}

static int lineage_dir(const struct store_lineage *l, char out[STORE_PATH_MAX])
{
    return snprintf(out, STORE_PATH_MAX, "%s/%llu", l->cluster, (unsigned long long)l->system_id);
}

/* The directory of an object.  Names were checked where they came in; lengths always fit. */
static void object_dir(const struct store_lineage *l, const struct store_name *n,
                       char out[STORE_PATH_MAX])
{
    static const char *const places[] = {
        [KIND_MANIFEST] = "backup", [KIND_PACK] = "pack",        [KIND_EXPIRE] = "expire",
        [KIND_INTENT] = "lease",    [KIND_CONDEMNED] = "expire", [KIND_LEASE] = "lease",
        [KIND_VERIFIED] = "verify", [KIND_PIN] = "pin",
    };
    char lineage[STORE_PATH_MAX];
    const char *cluster = l->cluster;

    (void)lineage_dir(l, lineage);
    switch (n->kind) {
    case KIND_SEGMENT:
    case KIND_PARTIAL:
    case KIND_BACKUP_HISTORY:
        (void)snprintf(out, STORE_PATH_MAX, "%.96s/wal/%08X/%.8s", lineage, (unsigned)n->timeline,
                       n->name + 8);
        break;
    case KIND_HISTORY:
        (void)snprintf(out, STORE_PATH_MAX, "%.96s/wal/%08X", lineage, (unsigned)n->timeline);
        break;
    case KIND_DUMP:
        (void)snprintf(out, STORE_PATH_MAX, "%.64s/dump/%.64s", cluster, n->job);
        break;
    case KIND_DRILL:
        (void)snprintf(out, STORE_PATH_MAX, "%.64s/drill", cluster);
        break;
    case KIND_SEALED_FROM:
        (void)snprintf(out, STORE_PATH_MAX, "%.96s", lineage);
        break;
    case KIND_MANIFEST:
    case KIND_PACK:
    case KIND_EXPIRE:
    case KIND_CONDEMNED:
    case KIND_INTENT:
    case KIND_LEASE:
    case KIND_VERIFIED:
    case KIND_PIN:
        (void)snprintf(out, STORE_PATH_MAX, "%.96s/%s", lineage, places[n->kind]);
        break;
    }
}

void store_show(const struct store_lineage *l, const struct store_name *n, char out[STORE_PATH_MAX])
{
    size_t len;

    object_dir(l, n, out);
    len = strlen(out);
    (void)snprintf(out + len, STORE_PATH_MAX - len, "/%.64s", n->name);
}

static uint64_t stamp_of(const struct stat *st)
{
    return (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec;
}

/* Opens a file for reading, with its size.  A pipe that somebody put in its place must not hold us
 * up. */
static int open_file(struct store *s, const char *path, int *fd, uint64_t *size, struct err *e)
{
    int rc = os_root_at(&s->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, fd, e);

    if (rc == 0 && os_size(*fd, size, path, e) != 0) {
        os_drop(fd);
        rc = -1;
    }
    return rc;
}

static int read_source(void *arg, uint64_t at, void *buf, size_t len, struct err *e)
{
    const struct store_object *o = arg;

    return os_pread_exact(o->fd, buf, len, at, o->shown, e);
}

int store_get(struct store *s, const struct store_lineage *l, const struct store_name *n,
              struct store_object *o, struct err *e)
{
    struct stat st;
    int rc;

    store_show(l, n, o->shown);
    o->fd = -1;
    rc = open_file(s, o->shown, &o->fd, &o->source.size, e);
    if (rc == 0 && os_stat_fd(o->fd, &st, o->shown, e) != 0) {
        os_drop(&o->fd);
        rc = -1;
    }
    if (rc == 0)
        o->stamp = stamp_of(&st);
    o->source.read = read_source;
    o->source.arg = o;
    o->source.name = o->shown;
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

void store_release(struct store_object *o)
{
    os_drop(&o->fd);
}

int store_has(struct store *s, const struct store_lineage *l, const struct store_name *n,
              struct err *e)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    int rc;

    store_show(l, n, path);
    rc = os_root_stat(&s->root, path, &st, e);
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

int store_stored_at(struct store *s, const struct store_lineage *l, const struct store_name *n,
                    int64_t *time, struct err *e)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    int rc;

    store_show(l, n, path);
    rc = os_root_stat(&s->root, path, &st, e);
    if (rc == 0)
        *time = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

static void text_dir(const struct store_lineage *l, char out[STORE_PATH_MAX])
{
    if (l == NULL)
        (void)snprintf(out, STORE_PATH_MAX, ".");
    else
        (void)lineage_dir(l, out);
}

int store_get_text(struct store *s, const struct store_lineage *l, const char *file, char **text,
                   size_t *len, struct err *e)
{
    char path[STORE_PATH_MAX];
    uint64_t size;
    size_t n = 0;
    int fd = -1;
    int rc;

    *text = NULL;
    if (l != NULL)
        n = (size_t)lineage_dir(l, path);
    (void)snprintf(path + n, sizeof path - n, "%s%s", l == NULL ? "" : "/", file);
    rc = open_file(s, path, &fd, &size, e);
    if (rc == 0)
        rc = os_read_sized_fd(fd, size, STORE_TEXT_MAX, text, len, path, e);
    os_drop(&fd);
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

int store_marker_stamp(struct store *s, const char *file, uint64_t *stamp, struct err *e)
{
    struct stat st;
    int rc = os_root_stat(&s->root, file, &st, e);

    if (rc == 0) /* inode numbers are used again; with the time they are not, in practice */
        *stamp = (uint64_t)st.st_ino * 1000003 ^ (uint64_t)st.st_mtim.tv_sec * 1000000007 ^
                 (uint64_t)st.st_mtim.tv_nsec;
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

/* A directory's names, sorted, or nothing when it does not exist. */
static int list(struct store *s, const char *path, struct os_names *names, struct err *e)
{
    int fd = -1;
    int rc = os_root_at(&s->root, path, O_RDONLY | O_DIRECTORY, 0, &fd, e);

    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = os_dir_names(fd, names, NAMES_MAX, path, e);
    os_drop(&fd);
    return rc;
}

/* A timeline's or a group's directory. */
static bool is_number(const char *name)
{
    return strlen(name) == 8 && strspn(name, "0123456789ABCDEF") == 8;
}

struct numbers {
    store_number_fn fn;
    void *arg;
};

/* Directories whose name is eight upper-case hex digits; others are none of ours. */
static int each_number(void *arg, const char *name, struct err *e)
{
    const struct numbers *n = arg;
    struct err quiet = {0};
    uint64_t number = 0;

    if (!is_number(name) || parse_hex(name, UINT32_MAX, &number, &quiet) != 0)
        return 0;
    return n->fn(n->arg, (uint32_t)number, e);
}

static int each_name(struct store *s, const char *path, bool dirs, store_each_fn fn, void *arg,
                     struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    int rc = list(s, path, &names, e);

    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        const char *name = os_name_at(&names, i);
        bool is_dir = names.list[i].type == OS_TYPE_DIR;

        /* Passed over, it would say that nothing is in it. */
        if (fn == each_number && !is_dir && is_number(name))
            rc = err_set(e, ERR_IO, "\"%s/%s/%s\" is not a directory that can be read",
                         s->root.path, path, name);
        else if (is_dir == dirs && !publish_is_temp(name))
            rc = fn(arg, name, e);
    }
    os_names_fini(&names);
    return rc;
}

int store_each_cluster(struct store *s, store_each_fn fn, void *arg, struct err *e)
{
    return each_name(s, ".", true, fn, arg, e);
}

int store_each_lineage(struct store *s, const char *cluster, store_each_fn fn, void *arg,
                       struct err *e)
{
    return each_name(s, cluster, true, fn, arg, e);
}

int store_each_timeline(struct store *s, const struct store_lineage *l, store_number_fn fn,
                        void *arg, struct err *e)
{
    struct numbers n = {fn, arg};
    char path[STORE_PATH_MAX];
    size_t len = (size_t)lineage_dir(l, path);

    (void)snprintf(path + len, sizeof path - len, "/wal");
    return each_name(s, path, true, each_number, &n, e);
}

static int stop_at_first(void *arg, uint32_t number, struct err *e)
{
    (void)arg, (void)number, (void)e;
    return 1;
}

int store_wal_is_bare(struct store *s, const struct store_lineage *l, struct err *e)
{
    char path[STORE_PATH_MAX];
    size_t len = (size_t)lineage_dir(l, path);
    struct stat st;
    int rc = store_each_timeline(s, l, stop_at_first, NULL, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    (void)snprintf(path + len, sizeof path - len, "/wal");
    rc = os_root_stat(&s->root, path, &st, e);
    return rc < 0 ? -1 : rc == 0;
}

int store_each_group(struct store *s, const struct store_lineage *l, uint32_t timeline,
                     store_number_fn fn, void *arg, struct err *e)
{
    struct numbers n = {fn, arg};
    char path[STORE_PATH_MAX];
    size_t len = (size_t)lineage_dir(l, path);

    (void)snprintf(path + len, sizeof path - len, "/wal/%08X", (unsigned)timeline);
    return each_name(s, path, true, each_number, &n, e);
}

int store_each_wal(struct store *s, const struct store_lineage *l, uint32_t timeline,
                   uint32_t group, store_each_fn fn, void *arg, struct err *e)
{
    char path[STORE_PATH_MAX];
    size_t len = (size_t)lineage_dir(l, path);

    (void)snprintf(path + len, sizeof path - len, "/wal/%08X/%08X", (unsigned)timeline,
                   (unsigned)group);
    return each_name(s, path, false, fn, arg, e);
}

int store_look(struct store *s, const struct store_lineage *l, const struct store_name *n,
               struct store_seen *seen, struct err *e)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    int rc;

    store_show(l, n, path);
    rc = os_root_stat(&s->root, path, &st, e);
    if (rc == 0)
        *seen = (struct store_seen){n->name, (uint64_t)st.st_size, stamp_of(&st)};
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

/* After the listing: a change before it shows in the directory's own stamp.  (Its time of
 * modification would do as well, but a copy of the tree may have the old one.)  Names are made and
 * stamped one after the other, so the last of them may be a moment older than the directory. */
static int is_still(int fd, uint64_t since, const char *path, bool *still, struct err *e)
{
    enum { A_MOMENT = 100000000 };
    struct stat st;

    *still = false;
    if (since == 0)
        return 0;
    if (os_stat_fd(fd, &st, path, e) != 0)
        return -1;
    *still = stamp_of(&st) <= since + A_MOMENT;
    return 0;
}

int store_each_wal_seen(struct store *s, const struct store_lineage *l, uint32_t timeline,
                        uint32_t group, uint64_t still, store_seen_fn fn, void *arg, struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    char path[STORE_PATH_MAX];
    size_t len = (size_t)lineage_dir(l, path);
    bool names_do = false;
    int fd = -1;
    int rc;

    (void)snprintf(path + len, sizeof path - len, "/wal/%08X/%08X", (unsigned)timeline,
                   (unsigned)group);
    rc = os_root_at(&s->root, path, O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = os_dir_names(fd, &names, NAMES_MAX, path, e);
    if (rc == 0)
        rc = is_still(fd, still, path, &names_do, e);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        struct store_seen seen = {.name = os_name_at(&names, i)};
        struct stat st;

        if (names.list[i].type == OS_TYPE_DIR || publish_is_temp(seen.name))
            continue;
        if (names_do) {
            rc = fn(arg, &seen, e);
            continue;
        }
        rc = os_dir_stat(fd, seen.name, &st, path, e);
        if (rc == 0) {
            seen.size = (uint64_t)st.st_size;
            seen.stamp = stamp_of(&st);
            rc = fn(arg, &seen, e);
        } else if (rc == OS_ABSENT) { /* removed since it was listed */
            rc = 0;
        }
    }
    os_names_fini(&names);
    os_drop(&fd);
    return rc;
}

int store_each_object(struct store *s, const struct store_lineage *l, enum object_kind kind,
                      store_each_fn fn, void *arg, struct err *e)
{
    struct store_name n = {.kind = kind};
    char path[STORE_PATH_MAX];

    object_dir(l, &n, path);
    return each_name(s, path, false, fn, arg, e);
}

int store_each_job(struct store *s, const struct store_lineage *l, store_each_fn fn, void *arg,
                   struct err *e)
{
    char path[STORE_PATH_MAX];

    (void)snprintf(path, sizeof path, "%.64s/dump", l->cluster);
    return each_name(s, path, true, fn, arg, e);
}

int store_each_dump(struct store *s, const struct store_lineage *l, const char *job,
                    store_each_fn fn, void *arg, struct err *e)
{
    struct store_name n = {.kind = KIND_DUMP, .job = job};
    char path[STORE_PATH_MAX];

    object_dir(l, &n, path);
    return each_name(s, path, false, fn, arg, e);
}

/* Small pieces are gathered: an SD card and a system call both like large writes.  The kernel is
 * asked to start writing at once, so that the disk works while the next piece is compressed. */
static int put_flush(struct store_put *put, struct err *e)
{
    size_t held = put->held;

    put->held = 0;
    if (held == 0)
        return 0;
    if (publish_write(&put->publish, put->buffer, held, e) != 0)
        return -1;
    put->flushed += held;
    if (put->flushed % HINT_EVERY == 0)
        os_hint_writeback(publish_fd(&put->publish), put->flushed - HINT_EVERY, HINT_EVERY);
    return 0;
}

static int put_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct store_put *put = (struct store_put *)s;

    put->total += len;
    while (len > 0) {
        size_t take = put->gather - put->held;

        if (take > len)
            take = len;
        memcpy(put->buffer + put->held, bytes, take);
        put->held += take;
        bytes += take;
        len -= take;
        if (put->held == put->gather && put_flush(put, e) != 0)
            return -1;
    }
    return 0;
}

static int put_finish(struct sink *s, struct err *e)
{
    return put_flush((struct store_put *)s, e);
}

static void put_abort(struct sink *s)
{
    store_put_abort((struct store_put *)s);
}

static const struct sink_ops put_ops = {"store", put_write, put_finish, put_abort};

static struct publish_opts modes(const struct store_writer *w, unsigned flags)
{
    return (struct publish_opts){
        .flags = flags, .mode = w->group ? 0640 : 0600, .dir_mode = w->group ? 0750 : 0700};
}

int store_put_begin(struct store_writer *w, const struct store_lineage *l,
                    const struct store_name *n, struct store_put *put, struct err *e)
{
    struct publish_opts how = modes(w, PUBLISH_MKDIRS);

    sink_init(&put->sink, &put_ops, PHASE_STORE);
    put->publish = (struct publish)PUBLISH_INIT;
    put->total = 0;
    put->flushed = 0;
    put->held = 0;
    put->gather = n->kind == KIND_PACK ? STORE_PACK_BUFFER : STORE_BUFFER;
    object_dir(l, n, put->dir);
    store_show(l, n, put->shown);
    return publish_begin(&put->publish, &w->store->root, put->dir, n->name, &how, e);
}

int store_put_commit(struct store_put *put, struct err *e)
{
    int rc;

    if (put_flush(put, e) != 0)
        return -1;
    rc = publish_commit(&put->publish, e);
    return rc == PUBLISH_EXISTS ? (int)STORE_EXISTS : rc;
}

static int read_put(void *arg, uint64_t at, void *buf, size_t len, struct err *e)
{
    const struct store_put *put = arg;

    return os_pread_exact(publish_fd(&put->publish), buf, len, at, put->shown, e);
}

int store_put_read(struct store_put *put, struct object_source *source, struct err *e)
{
    *source = (struct object_source){read_put, put, put->total, put->shown};
    return put_flush(put, e);
}

bool store_put_seen(const struct store_put *put, struct store_seen *seen)
{
    const struct stat *st = &put->publish.seen;

    if (!put->publish.has_seen)
        return false;
    *seen = (struct store_seen){put->publish.name, (uint64_t)st->st_size, stamp_of(st)};
    return true;
}

void store_put_abort(struct store_put *put)
{
    if (put->sink.ops != NULL)
        publish_abort(&put->publish);
}

int store_confirm(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                  struct err *e)
{
    char dir[STORE_PATH_MAX];
    int rc;

    object_dir(l, n, dir);
    rc = publish_make_durable(&w->store->root, dir, n->name, e);
    if (rc > 0)
        return err_set(e, ERR_UNREACHABLE, "\"%s/%s\" vanished while it was looked at", dir,
                       n->name);
    return rc;
}

int store_remove(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                 struct err *e)
{
    char path[STORE_PATH_MAX];
    int rc;

    store_show(l, n, path);
    rc = os_root_unlink(&w->store->root, path, 0, e);
    return rc == OS_ABSENT ? (int)STORE_ABSENT : rc;
}

struct removing {
    int fd;
    const char *dir;
    store_each_fn take;
    void *arg;
    uint64_t *removed;
    uint64_t left; /* names that stay, temps among them */
};

static int remove_name(struct removing *r, const struct os_names *names, size_t i, struct err *e)
{
    const char *name = os_name_at(names, i);
    int rc = 0;

    if (names->list[i].type != OS_TYPE_DIR && !publish_is_temp(name))
        rc = r->take(r->arg, name, e);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        r->left++;
        return 0;
    }
    /* A crash here leaves the rest, which is on record: the next run removes it. */
    rc = os_dir_unlink(r->fd, name, r->dir, e);
    *r->removed += rc == 0 ? 1 : 0;
    return rc < 0 ? -1 : 0;
}

int store_remove_wal(struct store_writer *w, const struct store_lineage *l, uint32_t timeline,
                     uint32_t group, bool drop_empty, store_each_fn take, void *arg,
                     uint64_t *removed, struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    char path[STORE_PATH_MAX];
    uint64_t before = *removed;
    struct removing r = {.fd = -1, .dir = path, .take = take, .arg = arg, .removed = removed};
    size_t len = (size_t)lineage_dir(l, path);
    int rc;

    (void)snprintf(path + len, sizeof path - len, "/wal/%08X/%08X", (unsigned)timeline,
                   (unsigned)group);
    rc = os_root_at(&w->store->root, path, O_RDONLY | O_DIRECTORY, 0, &r.fd, e);
    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = os_dir_names(r.fd, &names, NAMES_MAX, path, e);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        rc = remove_name(&r, &names, i, e);
    /* Before this a power cut may bring some back. */
    if (rc == 0 && *removed > before && os_sync_dir(r.fd, path, e) < 0)
        rc = -1;
    if (rc == 0 && r.left == 0 && drop_empty) {
        struct err quiet = {0};

        /* Who put something in meanwhile keeps it; an empty directory that stays harms nobody. */
        (void)!os_root_unlink(&w->store->root, path, AT_REMOVEDIR, &quiet);
    }
    os_drop(&r.fd);
    os_names_fini(&names);
    return rc;
}

int store_flush(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                struct err *e)
{
    char path[STORE_PATH_MAX];
    int fd = -1;
    int rc;

    object_dir(l, n, path);
    rc = os_root_at(&w->store->root, path, O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0 && os_sync_dir(fd, path, e) < 0)
        rc = -1;
    os_drop(&fd);
    return rc;
}

int store_lock_kind(struct store_writer *w, const struct store_lineage *l, enum object_kind kind,
                    int *fd, struct err *e)
{
    struct store_name n = {.kind = kind};
    char path[STORE_PATH_MAX];
    int rc;

    object_dir(l, &n, path);
    if (os_root_mkdirs(&w->store->root, path, w->group ? 0750 : 0700, fd, e) != 0)
        return -1;
    rc = os_lock(*fd, OS_LOCK_EXCLUSIVE, false, path, e);
    if (rc != 0 && rc != OS_UNSUPPORTED)
        os_drop(fd);
    return rc == OS_BUSY ? 1 : rc < 0 ? -1 : 0;
}

static int sweep(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                 struct err *e)
{
    struct publish_swept swept;
    char path[STORE_PATH_MAX];
    int rc;

    object_dir(l, n, path);
    rc = os_sweep_temps(&w->store->root, path, &swept, e);
    return rc == OS_ABSENT ? 0 : rc;
}

int store_sweep(struct store_writer *w, const struct store_lineage *l, enum object_kind kind,
                struct err *e)
{
    struct store_name n = {.kind = kind};

    return sweep(w, l, &n, e);
}

int store_sweep_dumps(struct store_writer *w, const struct store_lineage *l, const char *job,
                      struct err *e)
{
    struct store_name n = {.kind = KIND_DUMP, .job = job};

    return sweep(w, l, &n, e);
}

int store_put_text(struct store_writer *w, const struct store_lineage *l, const char *file,
                   const void *text, size_t len, bool replace, struct err *e)
{
    struct publish_opts how = modes(w, PUBLISH_MKDIRS | (replace ? PUBLISH_REPLACE : 0U));
    struct publish p = PUBLISH_INIT;
    char dir[STORE_PATH_MAX];
    int rc = -1;

    text_dir(l, dir);
    if (publish_begin(&p, &w->store->root, dir, file, &how, e) == 0 &&
        publish_write(&p, text, len, e) == 0)
        rc = publish_commit(&p, e);
    publish_abort(&p);
    return rc == PUBLISH_EXISTS ? (int)STORE_EXISTS : rc;
}

int store_lock(struct store_writer *w, const struct store_lineage *l, int *fd, struct err *e)
{
    char dir[STORE_PATH_MAX];
    int rc;

    text_dir(l, dir);
    if (os_root_mkdirs(&w->store->root, dir, w->group ? 0750 : 0700, fd, e) != 0)
        return -1;
    rc = os_lock(*fd, OS_LOCK_EXCLUSIVE, true, dir, e);
    if (rc < 0)
        os_drop(fd);
    return rc < 0 ? -1 : 0; /* without locks on this filesystem the rename still keeps it whole */
}

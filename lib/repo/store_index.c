#include "repo/store_index.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"

enum { HOSTS_MAX = 4096, LINEAGE_DIR_MAX = 96 };

/* The lineage's directory and, in it, that of the index. */
static void index_dir(const struct store_lineage *l, char lineage[LINEAGE_DIR_MAX],
                      char dir[STORE_PATH_MAX])
{
    (void)snprintf(lineage, LINEAGE_DIR_MAX, "%.64s/%llu", l->cluster,
                   (unsigned long long)l->system_id);
    (void)snprintf(dir, STORE_PATH_MAX, "%s/index", lineage);
}

static void index_path(const struct store_lineage *l, const char *file, char path[STORE_PATH_MAX])
{
    char lineage[LINEAGE_DIR_MAX];
    char dir[STORE_PATH_MAX];

    index_dir(l, lineage, dir);
    (void)snprintf(path, STORE_PATH_MAX, "%.128s/%.64s", dir, file);
}

int store_each_index(struct store *s, const struct store_lineage *l, store_each_fn fn, void *arg,
                     struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    char lineage[LINEAGE_DIR_MAX];
    char dir[STORE_PATH_MAX];
    int fd = -1;
    int rc;

    index_dir(l, lineage, dir);
    rc = os_root_at(&s->root, dir, O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = os_dir_names(fd, &names, HOSTS_MAX, dir, e);
    os_drop(&fd);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        if (names.list[i].type == OS_TYPE_FILE && !publish_is_temp(os_name_at(&names, i)))
            rc = fn(arg, os_name_at(&names, i), e);
    os_names_fini(&names);
    return rc;
}

int store_index_load(struct store *s, const struct store_lineage *l, const char *file, size_t most,
                     uint8_t **bytes, size_t *len, struct err *e)
{
    char path[STORE_PATH_MAX];
    uint64_t size = 0;
    int fd = -1;
    int rc;

    *bytes = NULL;
    *len = 0;
    index_path(l, file, path);
    rc = os_root_at(&s->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, e);
    if (rc == OS_ABSENT)
        return STORE_ABSENT;
    if (rc == 0)
        rc = os_size(fd, &size, path, e);
    if (rc == 0 && (size > STORE_INDEX_MAX || size > most))
        rc = err_set(e, ERR_DAMAGED, "\"%s\" is too large", path);
    if (rc == 0) {
        *bytes = malloc((size_t)size + 1);
        if (*bytes == NULL)
            rc = err_set(e, ERR_NOMEM, "no memory for \"%s\"", path);
        else
            rc = os_pread_full(fd, *bytes, (size_t)size, 0, len, path, e);
    }
    os_drop(&fd);
    return rc;
}

/* What root makes must not be in the way of the server's own archiver. */
static int give_away(struct store *s, const char *lineage, int fd, struct err *e)
{
    struct stat st;
    int rc;

    if (os_uid() != 0)
        return 0;
    rc = os_root_stat(&s->root, lineage, &st, e);
    return rc == 0 ? os_chown(fd, st.st_uid, st.st_gid, lineage, e) : rc;
}

static int make_file(struct store_writer *w, const struct store_lineage *l, const char *path,
                     int *fd, struct err *e)
{
    char lineage[LINEAGE_DIR_MAX];
    char dir[STORE_PATH_MAX];
    mode_t mode = w->group ? 0640 : 0600;
    struct err none = {0};
    int dirfd = -1;
    int rc;

    index_dir(l, lineage, dir);
    rc = os_root_mkdirs(&w->store->root, dir, w->group ? 0750 : 0700, &dirfd, e);
    if (rc == 0)
        rc = give_away(w->store, lineage, dirfd, e);
    os_drop(&dirfd);
    if (rc == 0)
        rc = os_root_at(&w->store->root, path, O_RDWR | O_CREAT, mode, fd, e);
    if (rc == 0) /* whatever the umask; where modes are fixed (exFAT) it stays as it is */
        (void)os_chmod(*fd, mode, path, &none);
    if (rc == 0)
        rc = give_away(w->store, lineage, *fd, e);
    return rc;
}

int store_index_open(struct store_writer *w, const struct store_lineage *l, const char *file,
                     int *fd, struct err *e)
{
    char path[STORE_PATH_MAX];
    int rc;

    index_path(l, file, path);
    rc = os_root_at(&w->store->root, path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0, fd, e);
    if (rc == OS_ABSENT)
        rc = make_file(w, l, path, fd, e);
    if (rc == 0)
        rc = os_lock(*fd, OS_LOCK_EXCLUSIVE, false, path, e);
    if (rc == 0 || rc == OS_UNSUPPORTED) /* two at once without locks: damage, and made again */
        return 0;
    os_drop(fd);
    return rc < 0 ? -1 : (int)STORE_EXISTS;
}

int store_index_replace(struct store_writer *w, const struct store_lineage *l, const char *file,
                        const void *bytes, size_t len, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE, .mode = w->group ? 0640 : 0600};
    struct publish p = PUBLISH_INIT;
    char lineage[LINEAGE_DIR_MAX];
    char dir[STORE_PATH_MAX];
    int rc = -1;

    index_dir(l, lineage, dir);
    if (publish_begin(&p, &w->store->root, dir, file, &how, e) == 0 &&
        publish_write(&p, bytes, len, e) == 0 &&
        give_away(w->store, lineage, publish_fd(&p), e) == 0)
        rc = publish_commit(&p, e); /* a crash before it leaves the old file and a dead temp */
    publish_abort(&p);
    return rc;
}

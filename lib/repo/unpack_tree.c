/* Names of the manifest become files: the only place where unpack makes anything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/dir.h"
#include "os/file.h"
#include "pg/walname.h"
#include "repo/unpack.h"

#define SPACES "pg_tblspc/"

enum { MODE_BITS = 0777, PATH_BYTES = 4096 };

struct unpack_space *unpack_space(const struct unpack *u, uint32_t oid)
{
    size_t low = 0;
    size_t high = u->spaces.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (u->spaces.v[middle].oid == oid)
            return &u->spaces.v[middle];
        if (u->spaces.v[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct unpack_space *unpack_space_of(const struct unpack *u, const char *path)
{
    char digits[12];
    struct err quiet = {0};
    uint32_t oid;
    size_t len;

    if (strncmp(path, SPACES, strlen(SPACES)) != 0)
        return NULL;
    path += strlen(SPACES);
    len = strcspn(path, "/");
    if (len == 0 || len >= sizeof digits || path[0] == '0')
        return NULL;
    memcpy(digits, path, len);
    digits[len] = '\0';
    if (parse_u32(digits, 1, UINT32_MAX, &oid, &quiet) != 0)
        return NULL;
    return unpack_space(u, oid);
}

const char *unpack_tree_wal(const char *path, char out[64])
{
    const char *slash = strrchr(path, '/');
    const char *leaf = slash == NULL ? path : slash + 1;
    struct walname n;

    if (!walname_parse(leaf, &n) || (n.kind != WALNAME_SEGMENT && n.kind != WALNAME_HISTORY))
        return NULL;
    (void)snprintf(out, 64, "pg_wal/%s", leaf);
    return out;
}

static int give(const struct unpack *u, int fd, const char *what, struct err *e)
{
    return u->how.own ? os_chown(fd, u->how.uid, u->how.gid, what, e) : 0;
}

int unpack_tree_open(struct os_root *root, const char *path, mode_t mode, struct unpack *u,
                     struct err *e)
{
    struct os_root above = OS_ROOT_INIT;
    char parent[PATH_BYTES];
    size_t len = strlen(path);
    int fd = -1;
    int rc = os_root_open(root, path, e);

    if (rc != OS_ABSENT)
        return rc;
    if (len >= sizeof parent)
        return err_set(e, ERR_USAGE, "path \"%.100s...\" is too long", path);
    memcpy(parent, path, len + 1);
    /* The nearest directory that is there; a link on the way to it is the user's own. */
    do {
        while (len > 1 && parent[len - 1] != '/')
            len--;
        parent[len > 1 ? len - 1 : 1] = '\0';
        rc = os_root_open(&above, parent, e);
        if (len > 1)
            len--;
    } while (rc == OS_ABSENT && len > 1);
    if (rc == 0) {
        const char *rest = path + strlen(parent);

        while (*rest == '/')
            rest++;
        rc = os_root_mkdirs(&above, rest, mode, &fd, e);
    } else if (rc > 0) {
        rc = err_set(e, ERR_IO, "could not open \"%s\"", parent);
    }
    if (rc == 0)
        rc = give(u, fd, path, e);
    os_drop(&fd);
    os_root_close(&above);
    if (rc != 0)
        return -1;
    rc = os_root_open(root, path, e);
    return rc == 0 ? 0 : -1;
}

int unpack_tree_find(struct unpack *u, const char *path, unsigned flags, struct os_root **root,
                     const char **rel, bool *skip, struct err *e)
{
    const struct unpack_space *s;

    *skip = false;
    *root = &u->tree.dir;
    *rel = path;
    if ((flags & MANIFEST_OUTSIDE) != 0) {
        *skip = u->how.outside == NULL;
        *root = &u->tree.outside;
        *rel = path + 1;
        return 0;
    }
    s = unpack_space_of(u, path);
    if (s == NULL)
        return 0;
    *rel = strchr(path + strlen(SPACES), '/');
    if (*rel == NULL) {
        *skip = true; /* the place of the link itself */
        return 0;
    }
    (*rel)++;
    *root = &u->tree.space;
    if (u->tree.oid == s->oid)
        return 0;
    os_root_close(&u->tree.space);
    u->tree.oid = 0;
    if (os_root_open(&u->tree.space, s->target, e) != 0)
        return err_set(e, ERR_IO, "tablespace directory \"%s\" is gone", s->target);
    u->tree.oid = s->oid;
    return 0;
}

int unpack_tree_dir(struct unpack *u, const char *path, uint32_t mode, struct err *e)
{
    struct os_root *root;
    const char *rel;
    bool skip;
    int fd = -1;
    int rc;

    if (unpack_tree_find(u, path, 0, &root, &rel, &skip, e) != 0)
        return -1;
    if (skip)
        return 0;
    rc = os_root_mkdirs(root, rel, mode & MODE_BITS, &fd, e);
    if (rc == 0)
        rc = os_chmod(fd, mode & MODE_BITS, path, e);
    if (rc == 0)
        rc = give(u, fd, path, e);
    os_drop(&fd);
    return rc;
}

int unpack_tree_link(struct unpack *u, const struct unpack_space *s, struct err *e)
{
    char name[32];
    char now[PATH_BYTES];
    int rc;

    (void)snprintf(name, sizeof name, SPACES "%u", (unsigned)s->oid);
    if (u->how.existing) {
        struct stat st;

        rc = os_root_stat(&u->tree.dir, name, &st, e);
        if (rc < 0)
            return -1;
        if (rc == 0 && S_ISLNK(st.st_mode) &&
            os_root_readlink(&u->tree.dir, name, now, sizeof now, e) == 0 &&
            strcmp(now, s->target) == 0)
            return 0;
        if (rc == 0 && os_tree_remove(&u->tree.dir, name, e) < 0)
            return -1;
    }
    return os_root_symlink(&u->tree.dir, name, s->target, e);
}

/* The directory above a file is in the manifest before it, as a rule; if not it is made. */
static int make_parent(struct unpack *u, struct os_root *root, const char *rel, struct err *e)
{
    char parent[PAGES_PATH_MAX + 1];
    const char *slash = strrchr(rel, '/');
    mode_t mode = u->totals.group ? 0750 : 0700;
    int fd = -1;
    int rc;

    if (slash == NULL)
        return err_set(e, ERR_INTERNAL, "\"%s\" cannot be made", rel);
    memcpy(parent, rel, (size_t)(slash - rel));
    parent[slash - rel] = '\0';
    rc = os_root_mkdirs(root, parent, mode, &fd, e);
    if (rc == 0)
        rc = give(u, fd, parent, e);
    os_drop(&fd);
    return rc;
}

int unpack_tree_file(struct unpack *u, struct os_root *root, const char *rel, uint32_t mode,
                     int *fd, struct err *e)
{
    int rc;

    if (u->how.existing && os_tree_remove(root, rel, e) < 0)
        return -1;
    rc = os_root_at(root, rel, O_WRONLY | O_CREAT | O_EXCL, 0600, fd, e);
    if (rc == OS_ABSENT && make_parent(u, root, rel, e) == 0)
        rc = os_root_at(root, rel, O_WRONLY | O_CREAT | O_EXCL, 0600, fd, e);
    if (rc != 0) {
        if (e->code == ERR_NONE)
            (void)err_set(e, ERR_IO, "could not make \"%s\"", rel);
        else if (e->sys == EEXIST)
            (void)err_context(e, "the backup names a file twice, or it was there before");
        return -1;
    }
    if ((mode & MODE_BITS) != 0600 && os_chmod(*fd, mode & MODE_BITS, rel, e) != 0)
        return -1;
    return give(u, *fd, rel, e);
}

void unpack_tree_close(struct unpack *u)
{
    os_root_close(&u->tree.dir);
    os_root_close(&u->tree.outside);
    os_root_close(&u->tree.space);
    u->tree.oid = 0;
}

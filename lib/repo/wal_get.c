#include "repo/wal_get.h"

#include <stdio.h>
#include <string.h>

#include "os/file.h"
#include "repo/absence.h"
#include "repo/wal.h"

/* The end of the chain: the temp. */
struct file_sink {
    struct sink sink;
    struct publish *file;
    void (*begun)(void); /* not yet called; else NULL */
};

static int file_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct file_sink *f = (struct file_sink *)s;

    if (f->begun != NULL)
        f->begun();
    f->begun = NULL;
    return publish_write(f->file, bytes, len, e);
}

static const struct sink_ops file_ops = {"file", file_write, sink_finish_next, sink_abort_next};

/* Splits a destination into its directory (opened) and its last component. */
static int open_dir(const char *dest, char dir[4096], const char **leaf, struct os_root *root,
                    struct err *e)
{
    const char *slash = strrchr(dest, '/');
    size_t len = slash == NULL ? 1 : (size_t)(slash - dest);
    int rc;

    if (len >= 4096)
        return err_set(e, ERR_USAGE, "path \"%s\" is too long", dest);
    memcpy(dir, slash == NULL ? "." : dest, len == 0 ? 1 : len);
    dir[len == 0 ? 1 : len] = '\0';
    *leaf = slash == NULL ? dest : slash + 1;
    if (**leaf == '\0')
        return err_set(e, ERR_USAGE, "destination \"%s\" is a directory", dest);
    rc = os_root_open(root, dir, e);
    return rc > 0 ? err_set(e, ERR_USAGE, "directory \"%s\" does not exist", dir) : rc;
}

/*
 * A cluster that its group may read (initdb -g) keeps its WAL so, too.  As for the server, the data
 * directory tells: pg_wal may be a link to a disk whose directory has another mode.
 */
static int choose_mode(const struct os_root *root, const char *dir, mode_t *mode, struct err *e)
{
    const char *slash = strrchr(dir, '/');
    const char *last = slash == NULL ? dir : slash + 1;
    struct stat st;
    char data[4096];

    (void)snprintf(data, sizeof data, "%.*s.", (int)(last - dir), dir);
    if ((strcmp(last, "pg_wal") == 0 ? os_stat(data, &st, e)
                                     : os_stat_fd(root->fd, &st, root->path, e)) != 0)
        return -1;
    *mode = (st.st_mode & 0777) == 0750 ? 0640 : 0600;
    return 0;
}

static int deliver(struct wal_get *w, const char *dest, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_NO_FLUSH | PUBLISH_REPLACE};
    struct os_root root = OS_ROOT_INIT;
    struct file_sink out = {.file = &w->file, .begun = w->begun};
    char dir[4096];
    const char *leaf;
    int rc = -1;

    sink_init(&out.sink, &file_ops, PHASE_DELIVER);
    if (open_dir(dest, dir, &leaf, &root, e) != 0 || choose_mode(&root, dir, &how.mode, e) != 0 ||
        publish_begin(&w->file, &root, ".", leaf, &how, e) != 0 ||
        object_content(&w->reader, &out.sink, e) != 0)
        goto out;
    /* The server recycles the file for WAL of its own, so the zero tail is allocated, not a gap. */
    if (w->reader.tail.kept_size < w->reader.tail.plain_size &&
        os_extend(publish_fd(&w->file), w->reader.tail.plain_size, dest, e) != 0)
        goto out;
    /* A crash before this leaves a temp that the next call removes; after it the whole file. */
    rc = publish_commit(&w->file, e);
out:
    publish_abort(&w->file);
    os_root_close(&root);
    return rc;
}

int wal_get(struct wal_get *w, struct repo *r, const char *name, const char *dest, struct err *e)
{
    struct walname parsed;
    struct store_name object;
    struct store_object o;
    struct err again = {0};
    int rc;

    w->file = (struct publish)PUBLISH_INIT;
    if (!wal_object_name(name, &parsed, &object))
        return err_set(e, ERR_USAGE, "\"%s\" is not the name of a WAL file", name);
    rc = repo_get(r, &object, &o, &w->reader, e);
    if (rc == STORE_ABSENT) {
        rc = absence_judge(r, &parsed, &w->reader, e);
        if (rc == ABSENCE_NORMAL)
            return WAL_GET_ABSENT;
        /* It, and what is behind it, may have been published between the two looks. */
        if (rc == ABSENCE_HOLE)
            rc = repo_get(r, &object, &o, &w->reader, &again);
        if (rc != 0)
            return err_context(e, "could not get \"%s\"", name);
        err_clear(e);
    }
    if (rc == 0) {
        rc = wal_check_object(&w->reader, &parsed, r->lineage.segment_size, e);
        if (rc == 0)
            rc = deliver(w, dest, e);
        object_close(&w->reader);
        store_release(&o);
    }
    return rc == 0 ? 0 : err_context(e, "could not get \"%s\"", name);
}

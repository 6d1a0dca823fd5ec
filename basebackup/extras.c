#include "basebackup/extras.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "os/file.h"
#include "pgconn/catalog_count.h"
#include "pgconn/catalog_map.h"

enum {
    PIECE = 16 * 1024,
    ITEM_DATABASE = 1,
    ITEM_RELATION = 2,
    IO = 32 * 1024,
    CONFIG_BYTES_MAX = 16 * 1024 * 1024,
    PATH_CAP = 1024
};

/* Is it the backup that fails, and not what was asked for besides? */
static bool is_ours(const struct err *why)
{
    return why->code == ERR_NOMEM || why->code == ERR_INTERRUPTED || why->code == ERR_INTERNAL;
}

/* ---- the relation map ---- */

struct map {
    struct extras *x;
    struct buf text;
    struct err err; /* of the manifest */
};

static int flush(struct map *m, size_t above, struct err *e)
{
    int rc = 0;

    if (m->text.len > above) {
        rc = manifest_text(m->x->manifest, MANIFEST_RELATIONS, m->text.p, m->text.len, e);
        buf_clear(&m->text);
    }
    if (rc != 0)
        m->err = *e;
    return rc;
}

static int add_name(struct buf *b, const char *name, struct err *e)
{
    size_t len = strlen(name);

    return buf_varint(b, len, e) != 0 ? -1 : buf_add(b, name, len, e);
}

static int on_database(void *arg, uint32_t oid, const char *name, struct err *e)
{
    struct map *m = arg;

    m->x->databases++;
    if (buf_u8(&m->text, ITEM_DATABASE, e) != 0 || buf_varint(&m->text, oid, e) != 0 ||
        add_name(&m->text, name, e) != 0)
        return -1;
    return flush(m, PIECE, e);
}

static int on_relation(void *arg, const struct catalog_relation *r, struct err *e)
{
    struct map *m = arg;

    m->x->relations++;
    if (buf_u8(&m->text, ITEM_RELATION, e) != 0 || buf_varint(&m->text, r->oid, e) != 0 ||
        buf_varint(&m->text, r->filenode, e) != 0 || buf_varint(&m->text, r->tablespace, e) != 0 ||
        buf_u8(&m->text, (uint8_t)r->kind, e) != 0 || add_name(&m->text, r->schema, e) != 0 ||
        add_name(&m->text, r->name, e) != 0)
        return -1;
    return flush(m, PIECE, e);
}

static void on_skipped(void *arg, const char *name, const struct err *why)
{
    const struct map *m = arg;

    m->x->skipped++;
    msg_note(m->x->msg, "the relations of database \"%s\" are not in the backup's map: %s", name,
             why->msg);
}

/* A server makes a process for each connection, so one serves for all. */
static int open_conn(struct extras *x, const struct pgconn_opts *o, struct err *e)
{
    return x->conn != NULL ? 0 : pgconn_open(&x->conn, o, e);
}

void extras_close(struct extras *x)
{
    pgconn_close(x->conn);
    x->conn = NULL;
}

int extras_map(struct extras *x, const struct pgconn_opts *o, struct err *e)
{
    static const struct catalog_map_events events = {on_database, on_relation, on_skipped};
    struct map m = {.x = x};
    struct err why = {0};
    int rc;

    if (!x->names)
        return 0;
    buf_init(&m.text, (size_t)2 * PIECE);
    rc = open_conn(x, o, &why);
    if (rc == 0)
        rc = catalog_map_read(x->conn, &events, &m, &why);
    if (flush(&m, 0, e) != 0 || m.err.code != ERR_NONE || (rc != 0 && is_ours(&why))) {
        if (e->code == ERR_NONE)
            *e = m.err.code != ERR_NONE ? m.err : why;
        rc = -1;
    } else if (rc != 0) {
        msg_note(x->msg,
                 "the backup has no map of all relation names, which \"walden find\" uses: %s",
                 why.msg);
        rc = 0;
    }
    buf_fini(&m.text);
    return rc;
}

/* ---- configuration outside the data directory ---- */

struct config {
    struct extras *x;
    char directory[PATH_CAP];
    bool here; /* the server's files are on this machine */
    struct err err;
};

static int on_directory(void *arg, const char *path, struct err *e)
{
    struct config *c = arg;
    uint64_t system_id = 0;
    struct err quiet = {0};

    (void)e;
    (void)snprintf(c->directory, sizeof c->directory, "%s", path);
    c->here = repo_local_system_id(path, &system_id, &quiet) == 0 && system_id == c->x->system_id;
    return 0;
}

static bool is_inside(const char *path, const char *directory)
{
    size_t n = strlen(directory);

    while (n > 0 && directory[n - 1] == '/')
        n--;
    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* Stores an open file; its size may change while it is read. */
static int store(struct extras *x, int fd, const char *path, struct err *e)
{
    uint8_t bytes[IO];
    uint64_t total = 0;
    struct stat st;
    uint64_t size;
    uint32_t crc;
    size_t got;

    if (os_stat_fd(fd, &st, path, e) != 0 ||
        pages_put_file(x->put, path, MANIFEST_OUTSIDE, (uint32_t)st.st_mode & 07777,
                       (int64_t)st.st_mtime, e) != 0)
        return -1;
    do {
        if (os_read(fd, bytes, sizeof bytes, &got, path, e) != 0 ||
            pages_put_write(x->put, bytes, got, e) != 0)
            return -1;
        total += got;
    } while (got > 0 && total < CONFIG_BYTES_MAX);
    return pages_put_end(x->put, &size, &crc, e);
}

static int on_config(void *arg, const char *path, struct err *e)
{
    struct config *c = arg;
    struct extras *x = c->x;
    struct err why = {0};
    struct stat st;
    int fd = -1;
    int rc;

    if (is_inside(path, c->directory))
        return 0;
    x->config_outside = true;
    if (c->here && manifest_path_ok(path, MANIFEST_OUTSIDE) &&
        os_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, &why) == 0 &&
        os_stat_fd(fd, &st, path, &why) == 0 && S_ISREG(st.st_mode)) {
        rc = store(x, fd, path, e);
        os_drop(&fd);
        if (rc != 0)
            c->err = *e;
        x->config_files += rc == 0 ? 1 : 0;
        return rc;
    }
    os_drop(&fd);
    x->config_missing = true;
    if (c->here)
        msg_note(x->msg, "the configuration file \"%s\" is not in the backup: %s", path,
                 why.code == ERR_NONE ? "it is no regular file" : why.msg);
    return 0;
}

int extras_config(struct extras *x, const struct pgconn_opts *o, struct err *e)
{
    static const struct catalog_files_events events = {on_directory, on_config};
    struct config c = {.x = x};
    struct err why = {0};
    int rc;

    if (!x->names)
        return 0;
    rc = open_conn(x, o, &why);
    if (rc == 0)
        rc = catalog_files_read(x->conn, &events, &c, &why);
    if (rc != 0 && (c.err.code != ERR_NONE || is_ours(&why))) {
        *e = c.err.code != ERR_NONE ? c.err : why;
        return -1;
    }
    if (rc != 0 && !x->conf_inside) {
        x->config_missing = true;
        msg_note(x->msg,
                 "if the server's configuration is outside the data directory, it is not in the "
                 "backup: %s",
                 why.msg);
    } else if (x->config_missing && !c.here) {
        msg_note(x->msg, "the server's configuration is outside its data directory and on another "
                         "machine: it is not in the backup");
    }
    return 0;
}

/* ---- row counts ---- */

static int on_count(void *arg, const struct catalog_count *c, struct err *e)
{
    struct extras *x = arg;
    struct counts_row row = {.rows = c->rows, .time = c->time, .lsn = c->lsn};

    (void)snprintf(row.database, sizeof row.database, "%s", c->database);
    (void)snprintf(row.schema, sizeof row.schema, "%s", c->schema);
    (void)snprintf(row.table, sizeof row.table, "%s", c->table);
    x->counted++;
    return manifest_count(x->manifest, &row, e);
}

static void on_uncounted(void *arg, const char *name, const struct err *why)
{
    struct extras *x = arg;

    x->not_counted++;
    msg_warn(x->msg, "the rows of %s were not counted: %s", name, why->msg);
}

int extras_count(struct extras *x, const struct pgconn_opts *o, struct err *e)
{
    static const struct catalog_count_events events = {on_count, on_uncounted};
    struct err why = {0};

    if (x->count_tables == NULL || catalog_count_read(o, x->count_tables, &events, x, &why) == 0)
        return 0;
    if (is_ours(&why)) {
        *e = why;
        return -1;
    }
    x->not_counted++;
    msg_warn(x->msg, "not all rows of count_tables were counted: %s", why.msg);
    return 0;
}

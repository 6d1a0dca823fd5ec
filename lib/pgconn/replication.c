#include "pgconn/replication.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "os/time.h"
#include "pgconn/inside.h"

enum { ANSWER_SECONDS = 60, COMMAND_MAX = 160 };

int replication_open(struct pgconn **c, const struct pgconn_opts *o, enum replication_mode mode,
                     struct err *e)
{
    int major;

    if (pgconn_connect(c, o, mode == REPLICATION_DATABASE ? "database" : "true", e) != 0)
        return -1;
    major = pgconn_version(*c) / 10000;
    if (major >= 13)
        return 0;
    pgconn_close(*c);
    *c = NULL;
    return err_set(e, ERR_REFUSED, "the server is PostgreSQL %d, older than 13", major);
}

static int64_t soon(void)
{
    return os_mono_us() + ANSWER_SECONDS * USEC_PER_SEC;
}

static int strange(const char *command, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the server's answer to %s makes no sense", command);
}

/* Runs a command whose answer has one row. */
static int one_row(struct pgconn *c, const char *command, struct pgconn_rows **r, struct err *e)
{
    if (pgconn_query(c, command, soon(), r, e) != 0)
        return -1;
    if (pgconn_rows_count(*r) == 1)
        return 0;
    pgconn_rows_free(*r);
    *r = NULL;
    return strange(command, e);
}

int replication_identify(struct pgconn *c, struct replication_system *out, struct err *e)
{
    static const char command[] = "IDENTIFY_SYSTEM";
    struct err ignored = {0};
    struct pgconn_rows *r;
    const char *id;
    const char *tli;
    const char *lsn;
    int rc = 0;

    if (one_row(c, command, &r, e) != 0)
        return -1;
    id = pgconn_value(r, 0, 0);
    tli = pgconn_value(r, 0, 1);
    lsn = pgconn_value(r, 0, 2);
    if (id == NULL || tli == NULL || lsn == NULL ||
        parse_u64(id, 1, UINT64_MAX, &out->system_id, &ignored) != 0 ||
        parse_u32(tli, 1, UINT32_MAX, &out->tli, &ignored) != 0 ||
        parse_lsn(lsn, &out->lsn, &ignored) != 0)
        rc = strange(command, e);
    pgconn_rows_free(r);
    return rc;
}

int replication_show(struct pgconn *c, const char *name, char *out, size_t cap, struct err *e)
{
    char command[COMMAND_MAX];
    struct pgconn_rows *r;
    const char *value;
    size_t n;
    int rc = 0;

    (void)snprintf(command, sizeof command, "SHOW %s", name);
    if (one_row(c, command, &r, e) != 0)
        return -1;
    value = pgconn_value(r, 0, 0);
    n = value == NULL ? cap : strlen(value);
    if (n < cap)
        memcpy(out, value, n + 1);
    else
        rc = strange(command, e);
    pgconn_rows_free(r);
    return rc;
}

int replication_segsize(struct pgconn *c, uint32_t *segsize, struct err *e)
{
    struct err ignored = {0};
    char text[32];
    uint64_t size;

    if (replication_show(c, "wal_segment_size", text, sizeof text, e) != 0)
        return -1;
    if (parse_size(text, WALNAME_SEGSIZE_MIN, WALNAME_SEGSIZE_MAX, &size, &ignored) != 0 ||
        !walname_is_segsize(size))
        return strange("SHOW wal_segment_size", e);
    *segsize = (uint32_t)size;
    return 0;
}

int replication_relation_pages(struct pgconn *c, uint32_t *pages, struct err *e)
{
    enum { PAGE = 8192 };
    struct err ignored = {0};
    char text[32];
    uint64_t size;

    if (replication_show(c, "segment_size", text, sizeof text, e) != 0)
        return -1;
    if (parse_size(text, PAGE, (uint64_t)PAGE * UINT32_MAX, &size, &ignored) != 0)
        return strange("SHOW segment_size", e);
    *pages = (uint32_t)(size / PAGE);
    return 0;
}

int replication_dir_mode(struct pgconn *c, uint32_t *mode, struct err *e)
{
    char text[16];

    if (replication_show(c, "data_directory_mode", text, sizeof text, e) != 0)
        return -1;
    if (strcmp(text, "0700") != 0 && strcmp(text, "0750") != 0)
        return strange("SHOW data_directory_mode", e);
    *mode = text[2] == '5' ? 0750 : 0700;
    return 0;
}

int replication_history(struct pgconn *c, tli_t tli, struct buf *out, struct err *e)
{
    char command[COMMAND_MAX];
    char name[WALNAME_MAX];
    struct pgconn_rows *r;
    const char *said;
    const char *content;
    int rc;

    (void)snprintf(command, sizeof command, "TIMELINE_HISTORY %u", tli);
    if (one_row(c, command, &r, e) != 0) {
        if (strcmp(pgconn_sqlstate(c), "58P01") != 0) /* a file that is not there */
            return -1;
        err_clear(e);
        return 1;
    }
    walname_history(name, tli);
    said = pgconn_value(r, 0, 0);
    content = pgconn_value(r, 0, 1); /* as it stands in the file, whatever type it claims to be */
    if (said == NULL || content == NULL || strcmp(said, name) != 0 ||
        strlen(content) > REPLICATION_HISTORY_MAX)
        rc = strange(command, e);
    else
        rc = buf_str(out, content, e);
    pgconn_rows_free(r);
    return rc;
}

int replication_temporary_slot(struct pgconn *c, const char *name, struct err *e)
{
    char command[COMMAND_MAX];
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    if (n == 0 || name[n] != '\0' || n >= REPLICATION_SLOT_MAX)
        return err_set(e, ERR_CONFIG, "no replication slot can be called \"%s\"", name);
    (void)snprintf(command, sizeof command,
                   "CREATE_REPLICATION_SLOT \"%s\" TEMPORARY PHYSICAL RESERVE_WAL", name);
    return pgconn_query(c, command, soon(), NULL, e);
}

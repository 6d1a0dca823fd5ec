#include "init_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/file.h"
#include "os/time.h"
#include "pg/control.h"
#include "pg/version.h"
#include "pg/walname.h"

enum { QUERY_SECONDS = 30, READS = 10, READ_AGAIN_US = 20000, COMMAND_MAX = 16 * 1024 };

static int64_t soon(void)
{
    return os_mono_us() + QUERY_SECONDS * USEC_PER_SEC;
}

/* ---- offline ---- */

/* pg_control of a running server may be caught half written. */
static int read_control(const char *path, struct control *control, struct err *e)
{
    uint8_t bytes[CONTROL_SIZE];
    size_t got = 0;
    int rc = -1;

    for (int i = 0; i < READS; i++) {
        int fd = -1;

        err_clear(e);
        rc = os_open(path, O_RDONLY, 0, &fd, e);
        if (rc != 0)
            return rc;
        rc = os_read_full(fd, bytes, sizeof bytes, &got, path, e);
        os_drop(&fd);
        if (rc == 0)
            rc = control_parse(bytes, got, control, e);
        if (rc == 0 || e->code != ERR_DAMAGED)
            break;
        os_sleep_us(READ_AGAIN_US);
    }
    return rc == 0 ? 0 : err_context(e, "\"%s\"", path);
}

int init_server_offline(struct init_server *s, const char *pgdata, struct err *e)
{
    struct control control;
    char path[PLACE_MAX + 32];
    int rc;

    if (place_absolute(s->data_dir, pgdata, e) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/global/pg_control", s->data_dir);
    rc = read_control(path, &control, e);
    if (rc > 0) {
        (void)err_set(e, ERR_CONFIG, "\"%s\" is not a data directory: it has no global/pg_control",
                      s->data_dir);
        rc = -1;
    }
    if (rc != 0)
        return -1;
    if (control.major == 0 || !control.is_known)
        return err_set(e, ERR_REFUSED,
                       "\"%s\" is of a PostgreSQL that this version does not know (catalog %lu)",
                       s->data_dir, (unsigned long)control.catalog);
    s->system_id = control.sysid;
    s->major = control.major;
    s->segment_size = control.segsize;
    s->checksums = control.checksums != 0;
    s->wal_minimal = control.wal_level == 0;
    /* Of a server that runs or crashed, this only says where its last checkpoint was. */
    s->has_position =
        control.state == CONTROL_SHUT_DOWN || control.state == CONTROL_SHUT_DOWN_IN_RECOVERY;
    s->timeline = control.tli;
    s->position = control.checkpoint;
    if (control.min_recovery > s->position) {
        s->position = control.min_recovery;
        s->timeline = control.min_recovery_tli;
    }
    return 0;
}

/* ---- from the server ---- */

static const char facts_sql[] =
    "select (select system_identifier from pg_catalog.pg_control_system()),"
    " (select bytes_per_wal_segment from pg_catalog.pg_control_init()),"
    " (select data_page_checksum_version from pg_catalog.pg_control_init()) <> 0,"
    " pg_catalog.pg_is_in_recovery(),"
    " (select setting from pg_catalog.pg_settings where name = 'data_directory')";

/* A standby's position is what it has received; it may be on a later timeline than its last
 * restartpoint. */
static const char where_sql[] =
    "select case when pg_catalog.pg_is_in_recovery() then"
    " greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())"
    " else pg_catalog.pg_current_wal_insert_lsn() end,"
    " case when pg_catalog.pg_is_in_recovery() then (select"
    " greatest(r.min_recovery_end_timeline, c.timeline_id)::text from"
    " pg_catalog.pg_control_recovery() r, pg_catalog.pg_control_checkpoint() c)"
    " else ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()),"
    " 1, 8))::bit(32)::int8::text end";

static const char settings_sql[] =
    "select name, setting, source from pg_catalog.pg_settings where name in"
    " ('archive_mode', 'archive_command', 'archive_library', 'archive_timeout', 'wal_level')";

static int column_number(const struct pgconn_rows *r, size_t column, uint64_t max, uint64_t *out,
                         struct err *e)
{
    const char *text = pgconn_value(r, 0, column);

    if (text != NULL && parse_u64(text, 1, max, out, e) == 0)
        return 0;
    err_clear(e);
    return err_set(e, ERR_REFUSED,
                   "the server does not tell its system identifier or segment size");
}

/* The server's data directory, if that is a directory of this host. */
static void find_data_dir(struct init_server *s, const char *path)
{
    struct init_server *seen;
    struct err none = {0};

    if (path == NULL || s->data_dir[0] != '\0' || !pgconn_is_local(s->c))
        return;
    seen = calloc(1, sizeof *seen);
    if (seen != NULL && init_server_offline(seen, path, &none) == 0 &&
        seen->system_id == s->system_id)
        memcpy(s->data_dir, seen->data_dir, sizeof s->data_dir);
    free(seen);
}

static bool is_true(const char *text)
{
    return text != NULL && *text == 't';
}

static int take_facts(struct init_server *s, const struct pgconn_rows *r, struct err *e)
{
    uint64_t system_id;
    uint64_t segment_size;
    unsigned major = (unsigned)pgconn_version(s->c) / 10000;

    if (column_number(r, 0, UINT64_MAX, &system_id, e) != 0 ||
        column_number(r, 1, WALNAME_SEGSIZE_MAX, &segment_size, e) != 0)
        return -1;
    if (s->system_id != 0 && s->system_id != system_id) {
        (void)err_set(e, ERR_REFUSED, "\"%s\" is not the data directory of the server that answers",
                      s->data_dir);
        return err_hint(e, "Check --pgdata against -h and -p.");
    }
    if (version_by_major(major) == NULL)
        return err_set(e, ERR_REFUSED, "PostgreSQL %u is not supported", major);
    s->system_id = system_id;
    s->segment_size = (uint32_t)segment_size;
    s->major = major;
    s->checksums = is_true(pgconn_value(r, 0, 2));
    s->in_recovery = is_true(pgconn_value(r, 0, 3));
    find_data_dir(s, pgconn_value(r, 0, 4));
    return 0;
}

/* Unlike other commands this one can do without. */
static int no_server(struct err *e)
{
    size_t len = strlen(e->hint);

    (void)snprintf(e->hint + len, sizeof e->hint - len, "%s --pgdata to work without the server.",
                   len > 0 ? " Or give" : "Give");
    return -1;
}

int init_server_connect(struct init_server *s, const struct pgconn_opts *o, struct err *e)
{
    struct pgconn_rows *r = NULL;
    int rc;

    if (pgconn_open(&s->c, o, e) != 0)
        return no_server(e);
    rc = pgconn_query(s->c, facts_sql, soon(), &r, e);
    if (rc == 0)
        rc = take_facts(s, r, e);
    pgconn_rows_free(r);
    if (rc == 0)
        rc = pgconn_query(s->c, settings_sql, soon(), &s->settings, e);
    return rc;
}

int init_server_where(struct init_server *s, const struct pgconn_opts *o, struct err *e)
{
    struct pgconn_rows *r = NULL;
    const char *lsn;
    uint64_t timeline = 0;
    int rc;

    if (s->c == NULL && s->has_position)
        return 0;
    if (s->c == NULL && init_server_connect(s, o, e) != 0)
        return -1;
    rc = pgconn_query(s->c, where_sql, soon(), &r, e);
    if (rc == 0)
        rc = column_number(r, 1, UINT32_MAX, &timeline, e);
    if (rc == 0) {
        lsn = pgconn_value(r, 0, 0);
        rc = lsn == NULL ? err_set(e, ERR_REFUSED, "the server does not tell where its WAL ends")
                         : parse_lsn(lsn, &s->position, e);
    }
    pgconn_rows_free(r);
    if (rc == 0) {
        s->timeline = (uint32_t)timeline;
        s->has_position = true;
    }
    return rc;
}

void init_server_close(struct init_server *s)
{
    pgconn_rows_free(s->settings);
    pgconn_close(s->c);
    s->settings = NULL;
    s->c = NULL;
}

/* ---- settings ---- */

static const char *setting_column(const struct init_server *s, const char *name, size_t column)
{
    for (size_t i = 0; s->settings != NULL && i < pgconn_rows_count(s->settings); i++) {
        const char *found = pgconn_value(s->settings, i, 0);

        if (found != NULL && strcmp(found, name) == 0)
            return pgconn_value(s->settings, i, column);
    }
    return NULL;
}

const char *init_server_setting(const struct init_server *s, const char *name)
{
    return setting_column(s, name, 1);
}

/* The path of a program as a word of the shell inside a setting, where % begins a placeholder. */
static int add_word(struct buf *b, const char *word, struct err *e)
{
    struct buf quoted;
    int rc;

    buf_init(&quoted, COMMAND_MAX);
    rc = place_shell_word(&quoted, word, e);
    for (const char *c = buf_text(&quoted); rc == 0 && *c != '\0'; c++) {
        rc = buf_add(b, c, 1, e);
        if (rc == 0 && *c == '%')
            rc = buf_add(b, c, 1, e);
    }
    buf_fini(&quoted);
    return rc;
}

static int make_command(struct buf *b, const char *program, const char *config, const char *rest,
                        const struct msg *m, struct err *e)
{
    char path[PLACE_MAX];

    buf_init(b, COMMAND_MAX);
    if (!place_program(path, program))
        msg_warn(m,
                 "%s is neither beside this program nor in PATH; the command names it without "
                 "a path",
                 program);
    if (add_word(b, path, e) != 0)
        return -1;
    if (config != NULL && (buf_str(b, " --config ", e) != 0 || add_word(b, config, e) != 0))
        return -1;
    return buf_str(b, rest, e);
}

int init_server_commands(struct init_commands *c, const char *config, const struct msg *m,
                         struct err *e)
{
    if (make_command(&c->archive, "walden-archive", config, " %p", m, e) != 0)
        return -1;
    return make_command(&c->restore, "walden-restore", config, " %f \"%p\"", m, e);
}

void init_server_commands_fini(struct init_commands *c)
{
    buf_fini(&c->archive);
    buf_fini(&c->restore);
}

static bool is_setting(const struct init_server *s, const char *name, const char *a, const char *b)
{
    const char *value = init_server_setting(s, name);

    return value != NULL && (strcmp(value, a) == 0 || strcmp(value, b) == 0);
}

size_t init_server_changes(const struct init_server *s, const struct init_commands *c,
                           struct init_change out[INIT_CHANGES_MAX])
{
    const char *command = buf_text(&c->archive);
    const char *source = setting_column(s, "archive_timeout", 2);
    size_t n = 0;

    if (s->c != NULL ? !is_setting(s, "wal_level", "replica", "logical") : s->wal_minimal)
        out[n++] = (struct init_change){"wal_level", "replica", true};
    if (!is_setting(s, "archive_mode", "on", "always"))
        out[n++] = (struct init_change){"archive_mode", "on", true};
    if (!is_setting(s, "archive_command", command, command))
        out[n++] = (struct init_change){"archive_command", command, false};
    /* Without it a quiet server hands nothing over for hours; who set it knows better. */
    if (source == NULL || strcmp(source, "default") == 0)
        out[n++] = (struct init_change){"archive_timeout", "5min", false};
    return n;
}

int init_server_sql(const struct init_change *change, struct buf *out, struct err *e)
{
    if (buf_fmt(out, e, "ALTER SYSTEM SET %s = '", change->name) != 0)
        return -1;
    for (const char *c = change->value; *c != '\0'; c++)
        if ((*c == '\'' ? buf_str(out, "''", e) : buf_add(out, c, 1, e)) != 0)
            return -1;
    return buf_str(out, "';", e);
}

/* Something else archives already: whether to stop it is not for us to decide. */
static int check_archiver(const struct init_server *s, const struct init_change *changes, size_t n,
                          struct err *e)
{
    const char *library = init_server_setting(s, "archive_library");
    const char *command = init_server_setting(s, "archive_command");
    const char *name = "archive_library";

    if (library == NULL || *library == '\0') {
        name = "archive_command";
        library = NULL;
        for (size_t i = 0; i < n; i++)
            if (strcmp(changes[i].name, name) == 0 && command != NULL && *command != '\0' &&
                strcmp(command, "(disabled)") != 0 && strstr(command, "walden-archive") == NULL)
                library = command;
    }
    if (library == NULL)
        return 0;
    (void)err_set(e, ERR_REFUSED, "the server archives with another program: %s is \"%s\"", name,
                  library);
    return err_hint(e,
                    "If Walden shall take its place, run ALTER SYSTEM RESET %s (or remove it from "
                    "postgresql.conf), reload, then repeat this command.",
                    name);
}

int init_server_apply(struct init_server *s, const struct init_change *changes, size_t n,
                      struct err *e)
{
    struct buf sql;
    int rc = check_archiver(s, changes, n, e);

    buf_init(&sql, COMMAND_MAX);
    /* One statement each: ALTER SYSTEM cannot stand in a transaction.  A crash between them leaves
     * some set; the next run sets the rest. */
    for (size_t i = 0; rc == 0 && i < n; i++) {
        buf_clear(&sql);
        rc = init_server_sql(&changes[i], &sql, e);
        if (rc == 0)
            rc = pgconn_query(s->c, buf_text(&sql), soon(), NULL, e);
        if (rc != 0)
            (void)err_context(e, "could not set %s", changes[i].name);
    }
    if (rc == 0)
        rc = pgconn_query(s->c, "select pg_catalog.pg_reload_conf()", soon(), NULL, e);
    buf_fini(&sql);
    return rc;
}

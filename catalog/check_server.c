/* What the server says, and what its data directory shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "check.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/space.h"
#include "os/time.h"
#include "pgconn/pgconn.h"

enum { PATIENCE_US = 10 * 1000 * 1000, NAMES_MAX = 10 * 1000 * 1000, RATE_MIN_US = 60 * 1000000 };

/* A statement that this role may not run, or this version does not have, answers nothing. */
static struct pgconn_rows *ask(struct pgconn *c, const char *sql)
{
    struct pgconn_rows *r = NULL;
    struct err quiet = {0};

    if (pgconn_query(c, sql, os_mono_us() + PATIENCE_US, &r, &quiet) != 0) {
        pgconn_rows_free(r);
        return NULL;
    }
    return r;
}

static bool number(const struct pgconn_rows *r, size_t row, size_t column, uint64_t *out)
{
    const char *text = r == NULL ? NULL : pgconn_value(r, row, column);
    struct err quiet = {0};

    return text != NULL && parse_u64(text, 0, UINT64_MAX, out, &quiet) == 0;
}

/* Microseconds since 1970, as bigint; JUDGE_NEVER for NULL. */
static int64_t moment(const struct pgconn_rows *r, size_t row, size_t column)
{
    uint64_t us;

    return number(r, row, column, &us) && us <= INT64_MAX ? (int64_t)us : JUDGE_NEVER;
}

static bool is_true(const char *text)
{
    return text != NULL && (*text == 't' || strcmp(text, "on") == 0);
}

static void copy(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text == NULL ? "" : text);
}

/* --- settings --- */

static const char settings_sql[] =
    "select name, setting, pending_restart from pg_catalog.pg_settings where name in ('fsync',"
    " 'full_page_writes', 'wal_level', 'archive_mode', 'archive_command', 'archive_library',"
    " 'archive_timeout', 'data_checksums', 'data_directory', 'max_slot_wal_keep_size')";

static void take_setting(struct check *c, const char *name, const char *value, bool pending)
{
    struct judge_pg *pg = &c->facts.pg;
    struct err quiet = {0};
    uint64_t seconds;

    if (strcmp(name, "fsync") == 0) {
        pg->fsync = is_true(value);
    } else if (strcmp(name, "full_page_writes") == 0) {
        pg->full_page_writes = is_true(value);
    } else if (strcmp(name, "wal_level") == 0) {
        pg->wal_minimal = strcmp(value, "minimal") == 0;
        pg->pending_restart = pg->pending_restart || pending;
    } else if (strcmp(name, "archive_mode") == 0) {
        pg->archives = strcmp(value, "off") != 0;
        pg->archive_standby = strcmp(value, "always") == 0;
        pg->pending_restart = pg->pending_restart || pending;
    } else if (strcmp(name, "archive_command") == 0) {
        copy(pg->archive_command, sizeof pg->archive_command,
             strcmp(value, "(disabled)") == 0 ? "" : value);
        pg->command_is_ours = strstr(value, "walden-archive") != NULL;
    } else if (strcmp(name, "archive_library") == 0) {
        copy(pg->archive_library, sizeof pg->archive_library, value);
    } else if (strcmp(name, "archive_timeout") == 0) {
        if (parse_u64(value, 0, UINT32_MAX, &seconds, &quiet) == 0)
            pg->archive_timeout = seconds * 1000000;
    } else if (strcmp(name, "data_checksums") == 0) {
        pg->checksums = is_true(value);
    } else if (strcmp(name, "max_slot_wal_keep_size") == 0) {
        pg->slot_limit = strcmp(value, "-1") != 0;
    }
}

static void take_settings(struct check *c, struct pgconn *conn)
{
    struct pgconn_rows *r = ask(conn, settings_sql);
    struct err quiet = {0};
    uint64_t id;

    for (size_t i = 0; r != NULL && i < pgconn_rows_count(r); i++) {
        const char *name = pgconn_value(r, i, 0);
        const char *value = pgconn_value(r, i, 1);

        if (name == NULL || value == NULL)
            continue;
        take_setting(c, name, value, is_true(pgconn_value(r, i, 2)));
        if (strcmp(name, "data_directory") == 0 && pgconn_is_local(conn) &&
            repo_local_system_id(value, &id, &quiet) == 0 && id == c->system_id)
            copy(c->data_dir, sizeof c->data_dir, value);
    }
    pgconn_rows_free(r);
}

/* --- where it stands --- */

static const char place_sql[] =
    "select (select system_identifier from pg_catalog.pg_control_system()),"
    " pg_catalog.pg_is_in_recovery(),"
    " pg_catalog.pg_wal_lsn_diff(case when pg_catalog.pg_is_in_recovery()"
    "   then pg_catalog.pg_last_wal_replay_lsn() else pg_catalog.pg_current_wal_lsn() end,"
    "   '0/0')::text";

static const char archiver_sql[] =
    "select archived_count, failed_count,"
    " (extract(epoch from last_archived_time) * 1000000)::bigint,"
    " (extract(epoch from last_failed_time) * 1000000)::bigint, last_failed_wal"
    " from pg_catalog.pg_stat_archiver";

static const char ready_sql[] =
    "select count(*), (extract(epoch from min(modification)) * 1000000)::bigint"
    " from pg_catalog.pg_ls_archive_statusdir() where name like '%.ready'";

static const char wal_sql[] = "select sum(size)::bigint from pg_catalog.pg_ls_waldir()";

static const char slots_sql[] =
    "select slot_name, active, coalesce(wal_status in ('unreserved', 'lost'), false),"
    " greatest(pg_catalog.pg_wal_lsn_diff(case when pg_catalog.pg_is_in_recovery()"
    "   then pg_catalog.pg_last_wal_replay_lsn() else pg_catalog.pg_current_wal_lsn() end,"
    "   restart_lsn), 0)::bigint"
    " from pg_catalog.pg_replication_slots where not temporary";

static void take_archiver(struct judge_pg *pg, struct pgconn *conn)
{
    struct pgconn_rows *r = ask(conn, archiver_sql);

    if (number(r, 0, 0, &pg->archived) && number(r, 0, 1, &pg->failed)) {
        pg->stats = true;
        pg->last_archived = moment(r, 0, 2);
        pg->last_failed = moment(r, 0, 3);
        copy(pg->last_failed_wal, sizeof pg->last_failed_wal, pgconn_value(r, 0, 4));
    }
    pgconn_rows_free(r);
    r = ask(conn, ready_sql);
    if (number(r, 0, 0, &pg->ready)) {
        pg->ready_known = true;
        pg->oldest_ready = moment(r, 0, 1);
    }
    pgconn_rows_free(r);
    r = ask(conn, wal_sql);
    pg->wal_known = number(r, 0, 0, &pg->wal_bytes);
    pgconn_rows_free(r);
}

static void take_slots(struct judge_pg *pg, struct pgconn *conn)
{
    struct pgconn_rows *r = ask(conn, slots_sql);

    pg->slots_known = r != NULL;
    for (size_t i = 0; r != NULL && i < pgconn_rows_count(r) && pg->slots < JUDGE_SLOTS_MAX; i++) {
        struct judge_slot *s = &pg->slot[pg->slots++];

        copy(s->name, sizeof s->name, pgconn_value(r, i, 0));
        s->active = is_true(pgconn_value(r, i, 1));
        s->lost = is_true(pgconn_value(r, i, 2));
        (void)number(r, i, 3, &s->retained); /* NULL: it keeps nothing */
    }
    pgconn_rows_free(r);
}

static void ask_server(struct check *c)
{
    struct judge_pg *pg = &c->facts.pg;
    struct pgconn_opts to = pgconn_flags_to(&c->connect, c->settings->dsn);
    struct pgconn *conn = NULL;
    struct pgconn_rows *r;
    struct err why = {0};

    if (pgconn_open(&conn, &to, &why) != 0) {
        pg->state = JUDGE_SERVER_AWAY;
        copy(pg->why, sizeof pg->why, why.msg);
        return;
    }
    pg->state = JUDGE_SERVER_OK;
    r = ask(conn, place_sql);
    (void)number(r, 0, 0, &c->system_id); /* stays what the configuration says */
    pg->in_recovery = r != NULL && is_true(pgconn_value(r, 0, 1));
    (void)number(r, 0, 2, &pg->lsn);
    pgconn_rows_free(r);
    take_settings(c, conn);
    take_archiver(pg, conn);
    take_slots(pg, conn);
    c->facts.host.is_database_host = pgconn_is_local(conn);
    pgconn_close(conn);
}

/* --- the data directory --- */

struct seen {
    uint64_t count;
    uint64_t bytes;
    int64_t oldest;
};

/* Counts the files of a directory below the data directory whose names end so. */
static bool look(struct os_root *root, const char *dir, const char *ending, struct seen *seen)
{
    struct os_names names = OS_NAMES_INIT;
    struct err quiet = {0};
    int fd = -1;
    int rc = os_root_at(root, dir, O_RDONLY | O_DIRECTORY, 0, &fd, &quiet);

    *seen = (struct seen){.oldest = JUDGE_NEVER};
    if (rc == 0)
        rc = os_dir_names(fd, &names, NAMES_MAX, dir, &quiet);
    os_drop(&fd);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        const char *name = os_name_at(&names, i);
        size_t len = strlen(name);
        char path[PLACE_MAX];
        struct stat st;
        int64_t time;

        if (len < strlen(ending) || strcmp(name + len - strlen(ending), ending) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, name);
        if (os_root_stat(root, path, &st, &quiet) != 0 || !S_ISREG(st.st_mode))
            continue;
        time = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
        seen->count++;
        seen->bytes += (uint64_t)st.st_size;
        if (seen->oldest == JUDGE_NEVER || time < seen->oldest)
            seen->oldest = time;
    }
    os_names_fini(&names);
    return rc == 0;
}

void check_space(struct judge_space *s, const char *dir)
{
    struct os_space space;
    struct err quiet = {0};
    int fd = -1;

    if (os_open(dir, O_RDONLY | O_DIRECTORY, 0, &fd, &quiet) == 0 &&
        os_space(fd, &space, dir, &quiet) == 0) {
        s->known = true;
        s->total = space.total;
        s->free = space.free;
    }
    os_drop(&fd);
}

static void look_inside(struct check *c)
{
    struct judge_pg *pg = &c->facts.pg;
    struct os_root wal = OS_ROOT_INIT;
    struct err quiet = {0};
    char path[PLACE_MAX + 16];
    struct seen seen;

    (void)snprintf(path, sizeof path, "%s/pg_wal", c->data_dir);
    check_space(&pg->wal_space, path);
    /* pg_wal may be a link to another disk: it is opened as the server would. */
    if (os_root_open(&wal, path, &quiet) == 0) {
        if (!pg->ready_known && look(&wal, "archive_status", ".ready", &seen)) {
            pg->ready_known = true;
            pg->ready = seen.count;
            pg->oldest_ready = seen.oldest;
        }
        if (!pg->wal_known && look(&wal, ".", "", &seen)) {
            pg->wal_known = true;
            pg->wal_bytes = seen.bytes;
        }
    }
    os_root_close(&wal);
}

/* How fast WAL is written: since the last check, or by what waits. */
static void measure(struct check *c)
{
    struct judge_pg *pg = &c->facts.pg;
    const struct check_memory *b = &c->before;
    int64_t span = c->facts.now - b->time;

    if (b->known && pg->lsn > b->lsn && b->lsn > 0 && span >= RATE_MIN_US) {
        pg->wal_rate = (pg->lsn - b->lsn) / ((uint64_t)span / 1000000 + 1) * 86400;
        return;
    }
    span = pg->oldest_ready == JUDGE_NEVER ? 0 : c->facts.now - pg->oldest_ready;
    if (pg->ready > 2 && pg->lsn > 0 && c->facts.archive.segment_size > 0 && span >= RATE_MIN_US)
        pg->wal_rate =
            pg->ready * c->facts.archive.segment_size / ((uint64_t)span / 1000000 + 1) * 86400;
}

void check_server(struct check *c)
{
    struct judge_pg *pg = &c->facts.pg;
    const char *pgdata = c->settings->pgdata;
    struct err quiet = {0};
    uint64_t id;

    pg->last_archived = pg->last_failed = pg->oldest_ready = JUDGE_NEVER;
    pg->fsync = pg->full_page_writes = pg->archives = true; /* until something else is seen */
    if (pgdata != NULL && repo_local_system_id(pgdata, &id, &quiet) == 0) {
        if (c->system_id == 0)
            c->system_id = id;
        if (c->system_id == id)
            copy(c->data_dir, sizeof c->data_dir, pgdata);
    }
    if (!c->no_server)
        ask_server(c);
    if (c->data_dir[0] != '\0') {
        c->facts.host.is_database_host = true;
        look_inside(c);
    }
    measure(c);
}

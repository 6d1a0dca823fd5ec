/* What has to be right before anything is changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/tty.h"
#include "undump.h"

enum { LIST_MAX = 300, GLOBALS_MAX = 64 * 1024 * 1024 };

const char *undump_fact(const struct undump *u, const char *key)
{
    const char *value = dump_fact(&u->dump.get.meta, u->stream, key, NULL);

    return value == NULL ? "" : value;
}

/* Is there such a row? */
static int exists(struct undump *u, const char *query, const char *name, bool *found, struct err *e)
{
    struct sqlrows *rows;
    struct buf sql;
    int rc = -1;

    buf_init(&sql, 4096);
    if (buf_str(&sql, query, e) == 0 && sql_text(&sql, name, e) == 0)
        rc = sqlrun_query(u->sql, buf_text(&sql), &rows, e);
    buf_fini(&sql);
    if (rc != 0)
        return -1;
    *found = sqlrun_count(rows) > 0;
    sqlrun_free(rows);
    return 0;
}

bool undump_has_database(struct undump *u, const char *name, struct err *e)
{
    bool found = false;

    return exists(u, "select 1 from pg_catalog.pg_database where datname = ", name, &found, e) ==
               0 &&
           found;
}

/* --- versions --- */

static int check_versions(struct undump *u, struct err *e)
{
    uint32_t server = sqlrun_version(u->sql);
    uint32_t from = u->dump.get.public.server_version;
    uint32_t client = u->dump.get.public.client_version;
    bool plain = u->dump.get.meta.streams.v[u->stream].format == DUMPFILE_PLAIN;

    if (from / 10000 > server / 10000)
        msg_warn(u->msg,
                 "the dump is of PostgreSQL %u, the server is %u: what is new in it may not work",
                 (unsigned)(from / 10000), (unsigned)(server / 10000));
    if (pgtool_find(&u->tool, &u->job.runner, u->settings->pg_bin, plain ? "psql" : "pg_restore",
                    client / 10000 > server / 10000 ? client : server, e) != 0)
        return err_hint(e, "The dump was made by pg_dump %u; pg_restore must not be older.",
                        (unsigned)(client / 10000));
    return 0;
}

/* --- extensions and roles --- */

struct missing {
    char text[LIST_MAX];
    size_t len;
    size_t n;
};

static void note_missing(struct missing *m, const char *name)
{
    m->n++;
    if (m->len + strlen(name) + 8 < sizeof m->text)
        m->len += (size_t)snprintf(m->text + m->len, sizeof m->text - m->len, "%s%.80s",
                                   m->len == 0 ? "" : ", ", name);
    else if (m->len + 4 < sizeof m->text && m->text[m->len - 1] != '.')
        m->len += (size_t)snprintf(m->text + m->len, sizeof m->text - m->len, "...");
}

static int check_extensions(struct undump *u, struct err *e)
{
    struct missing missing = {.n = 0};
    const char *name;
    size_t from = 0;

    while ((name = dump_fact(&u->dump.get.meta, u->stream, "extension", &from)) != NULL) {
        bool found;

        if (exists(u, "select 1 from pg_catalog.pg_available_extensions where name = ", name,
                   &found, e) != 0)
            return -1;
        if (!found)
            note_missing(&missing, name);
    }
    if (missing.n == 0)
        return 0;
    (void)err_set(e, ERR_REFUSED, "the server lacks %zu extension%s of the dump: %s", missing.n,
                  missing.n == 1 ? "" : "s", missing.text);
    return err_hint(e, "Install the packages that bring them on the server's host.");
}

/* A sink into memory, for the globals. */
struct memory {
    struct sink sink;
    struct buf text;
};

static int memory_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    return buf_add(&((struct memory *)s)->text, bytes, len, e);
}

static int memory_finish(struct sink *s, struct err *e)
{
    (void)s, (void)e;
    return 0;
}

static void memory_abort(struct sink *s)
{
    (void)s; /* the caller frees */
}

static const struct sink_ops memory_ops = {"memory", memory_write, memory_finish, memory_abort};

const char *undump_name_at(const char *p, char *out, size_t cap)
{
    size_t n = 0;
    bool quoted = *p == '"';

    p += quoted ? 1 : 0;
    for (; *p != '\0' && n + 1 < cap; p++) {
        if (quoted && *p == '"' && *++p != '"')
            break;
        if (!quoted && (*p == ' ' || *p == ';'))
            break;
        out[n++] = *p;
    }
    out[n] = '\0';
    return p;
}

static bool is_in(const struct sqlrows *had, const char *role)
{
    for (size_t i = 0; i < sqlrun_count(had); i++)
        if (strcmp(sqlrun_value(had, i, 0), role) == 0)
            return true;
    return false;
}

/* A line of the globals that is about a role which was not there: those that were are not touched.
 */
static bool is_wanted(const char *line, const struct sqlrows *had)
{
    static const char *const about[] = {"CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "};
    char role[256];
    const char *to;

    for (size_t i = 0; i < sizeof about / sizeof about[0]; i++)
        if (strncmp(line, about[i], strlen(about[i])) == 0) {
            (void)undump_name_at(line + strlen(about[i]), role, sizeof role);
            return !is_in(had, role);
        }
    if (strncmp(line, "GRANT ", 6) != 0)
        return false;
    to = undump_name_at(line + 6, role, sizeof role);
    if (strncmp(to, " TO ", 4) != 0)
        return false;
    if (!is_in(had, role))
        return true;
    (void)undump_name_at(to + 4, role, sizeof role);
    return !is_in(had, role);
}

int undump_each_global(struct undump *u, undump_global_fn *take, void *arg, struct err *e)
{
    struct memory m;
    uint32_t stream = 0;
    char *next = NULL;
    int rc = -1;

    sink_init(&m.sink, &memory_ops, PHASE_DELIVER);
    buf_init(&m.text, GLOBALS_MAX);
    if (dump_find_stream(&u->dump.get.meta, "globals", &stream, e) == 0 &&
        dump_get_stream(&u->dump.get, stream, &m.sink, e) == 0 && buf_u8(&m.text, 0, e) == 0) {
        rc = 0;
        next = (char *)m.text.p;
    }
    while (rc == 0 && next != NULL) {
        char *line = next;

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        rc = take(arg, line, e);
    }
    buf_fini(&m.text);
    return rc;
}

struct making {
    struct undump *u;
    struct sqlrows *had;
};

static int make_role(void *arg, const char *line, struct err *e)
{
    const struct making *m = arg;

    if (!is_wanted(line, m->had) || sqlrun_query(m->u->sql, line, NULL, e) == 0)
        return 0;
    return err_context(e, "could not make the roles");
}

static int make_roles(struct undump *u, struct err *e)
{
    struct making m = {u, NULL};
    int rc = sqlrun_query(u->sql, "select rolname from pg_catalog.pg_roles", &m.had, e);

    if (rc == 0)
        rc = sqlrun_query(u->sql, "begin", NULL, e);
    if (rc == 0)
        rc = undump_each_global(u, make_role, &m, e);
    if (rc == 0)
        rc = sqlrun_query(u->sql, "commit", NULL, e);
    sqlrun_free(m.had);
    return rc;
}

static int find_missing_roles(struct undump *u, struct missing *missing, struct err *e)
{
    static const char query[] = "select 1 from pg_catalog.pg_roles where rolname = ";
    const char *name = undump_fact(u, "owner");
    size_t from = 0;

    *missing = (struct missing){.n = 0};
    for (; name != NULL; name = dump_fact(&u->dump.get.meta, u->stream, "role", &from)) {
        bool found = true;

        if (*name != '\0' && exists(u, query, name, &found, e) != 0)
            return -1;
        if (!found && strstr(missing->text, name) == NULL)
            note_missing(missing, name);
    }
    return 0;
}

static int check_roles(struct undump *u, struct err *e)
{
    struct missing missing;

    if (u->o->no_owner)
        return 0;
    if (find_missing_roles(u, &missing, e) != 0)
        return -1;
    if (missing.n > 0 && u->o->globals) {
        if (make_roles(u, e) != 0 || find_missing_roles(u, &missing, e) != 0)
            return -1;
    }
    if (missing.n == 0)
        return 0;
    (void)err_set(e, ERR_REFUSED,
                  "the server lacks %zu role%s that own%s things in the dump or may "
                  "use them: %s",
                  missing.n, missing.n == 1 ? "" : "s", missing.n == 1 ? "s" : "", missing.text);
    return err_hint(e,
                    "Give --globals to make them from the dump (with their passwords, where it has "
                    "them), or --no-owner to do without.");
}

int undump_check(struct undump *u, struct err *e)
{
    if (check_versions(u, e) != 0 || check_extensions(u, e) != 0)
        return -1;
    return check_roles(u, e);
}

/* --- the word of a person --- */

int undump_confirm(const struct undump *u, const char *what, const char *name, struct err *e)
{
    char line[256] = "";
    size_t got = 0;

    if (u->o->yes)
        return 0;
    if (!os_tty_is(STDIN_FILENO)) {
        (void)err_set(e, ERR_REFUSED, "%s \"%s\" would be replaced", what, name);
        return err_hint(e, "Say --yes when that is meant.");
    }
    fprintf(stderr,
            "%s \"%s\" will be replaced, and sessions in it end. Type its name to go on: ", what,
            name);
    fflush(stderr);
    if (os_read(STDIN_FILENO, line, sizeof line - 1, &got, "the terminal", e) != 0)
        return -1;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, name) == 0)
        return 0;
    return err_set(e, ERR_REFUSED, "not confirmed; nothing was changed");
}

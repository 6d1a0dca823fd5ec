/* A dump as a drill. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "drill.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/dump_list.h"

enum { MAJORS = 20 };

/* --- a server of its own --- */

/* The oldest one here that can take the dump. */
static int find_server(struct drill_run *d, uint32_t from, char initdb[PLACE_MAX], struct err *e)
{
    struct err why = {0};
    char dir[PLACE_MAX];

    for (uint32_t major = from; major < from + MAJORS; major++) {
        err_clear(&why);
        if (restore_programs(d->s, "initdb", major, major, dir, &why) != 0 ||
            restore_programs(d->s, "postgres", major, major, d->server.bin, &why) != 0)
            continue;
        d->server.major = major;
        if (major != from)
            msg_note(d->m, "there is no PostgreSQL %u here; the drill is made with %u",
                     (unsigned)from, (unsigned)major);
        return place_join(initdb, dir, "initdb", e);
    }
    (void)err_set(e, ERR_CONFIG, "there is no server of PostgreSQL %u or later here",
                  (unsigned)from);
    return err_hint(e, "Install it, set pg_bin to its folder, or restore into a new database of a "
                       "server that runs: --on-server.");
}

static int run_initdb(struct drill_run *d, const char *initdb, const char *admin, struct err *e)
{
    const char *const args[] = {initdb, "-D", d->scratch.data, "-U",
                                admin,  "-A", "trust",         "-N",
                                "-k",   "-E", "UTF8",          "--locale=C"};
    struct pgtool_args a = {.n = 0, .as = &d->owner};
    char *said = calloc(1, PGTOOL_SAID_MAX);
    int rc = said == NULL ? err_set(e, ERR_NOMEM, "no memory to run initdb with") : 0;

    for (size_t i = 0; rc == 0 && i < sizeof args / sizeof args[0]; i++)
        rc = pgtool_arg(&a, args[i], e);
    if (rc == 0)
        rc = pgtool_capture(&a, "initdb", said, PGTOOL_SAID_MAX, e);
    free(said);
    return rc == 0 ? 0 : -1;
}

/* Tablespaces that the dump's tables lie in, each in a place of its own. */
static int make_space(void *arg, const char *line, struct err *e)
{
    static const char create[] = "CREATE TABLESPACE ";
    struct drill_run *d = arg;
    char name[UNDUMP_NAME_MAX];
    char quoted[SQL_NAME_MAX];
    char place[32];
    struct buf sql;
    int rc;

    if (strncmp(line, create, sizeof create - 1) != 0)
        return 0;
    (void)undump_name_at(line + sizeof create - 1, name, sizeof name);
    (void)snprintf(place, sizeof place, "space/%u", d->spaces++);
    buf_init(&sql, 3 * PLACE_MAX);
    rc = scratch_dir(&d->scratch, place, &d->owner, e);
    if (rc == 0)
        rc = buf_fmt(&sql, e, "create tablespace %s location ", sql_quoted(quoted, name));
    if (rc == 0) {
        char path[PLACE_MAX];

        rc = place_join(path, d->scratch.path, place, e) == 0 ? sql_text(&sql, path, e) : -1;
    }
    if (rc == 0)
        rc = sqlrun_query(d->u->sql, buf_text(&sql), NULL, e);
    buf_fini(&sql);
    return rc;
}

static int start_server(struct drill_run *d, struct err *e)
{
    const char *admin = dump_fact(&d->u->dump.get.meta, d->u->stream, "admin", NULL);
    char initdb[PLACE_MAX];

    if (admin == NULL || *admin == '\0')
        admin = "postgres";
    if (find_server(d, d->u->dump.get.public.server_version / 10000, initdb, e) != 0 ||
        scratch_make(&d->scratch, "drill", e) != 0 ||
        scratch_dir(&d->scratch, "data", &d->owner, e) != 0 ||
        scratch_own_run(&d->scratch, &d->owner, e) != 0 || run_initdb(d, initdb, admin, e) != 0)
        return -1;
    d->server.m = d->m;
    d->server.settings = d->s;
    d->server.ours = true;
    d->server.owner = d->owner;
    memcpy(d->server.data, d->scratch.data, sizeof d->server.data);
    memcpy(d->server.dir, d->scratch.run, sizeof d->server.dir);
    if (restore_server_run(&d->server, e) != 0 || restore_server_wait(&d->server, e) != 0)
        return -1;
    d->user = admin;
    d->writable = true;
    d->how.connect = (struct pgconn_opts){
        .host = d->server.dir, .port = RESTORE_PORT, .user = d->user, .dbname = "postgres"};
    dump_job_init(&d->u->job, d->record.job);
    d->u->how = d->how;
    (void)snprintf(d->record.server, sizeof d->record.server, "a scratch server of PostgreSQL %u",
                   (unsigned)d->server.major);
    if (sqlrun_open(&d->u->sql, &d->u->how, "postgres", e) != 0 || drill_isolated(d, e) != 0)
        return -1;
    return d->u->dump.get.public.globals ? undump_each_global(d->u, make_space, d, e) : 0;
}

/* --- a server that is there --- */

static int use_server(struct drill_run *d, char mark[DRILL_MARK_MAX], struct err *e)
{
    uint64_t super = 0;

    if (undump_connect(d->u, e) != 0 || drill_left(d, mark, e) != 0 ||
        sqlrun_number(d->u->sql,
                      "select pg_catalog.count(*) from pg_catalog.pg_roles"
                      " where rolname = current_user and rolsuper",
                      &super, e) != 0)
        return -1;
    d->undump.no_owner = super == 0; /* others cannot give things away */
    d->how = d->u->how;
    (void)snprintf(d->record.server, sizeof d->record.server,
                   "a new database of a running server of PostgreSQL %u",
                   (unsigned)(sqlrun_version(d->u->sql) / 10000));
    return 0;
}

/* --- the databases of the dump --- */

static int tell_table(void *arg, const struct undump_table *t, struct err *e)
{
    struct drill_run *d = arg;
    bool same = t->why == NULL && t->rows == t->found;
    char name[DRILL_NAME_MAX];
    char asked[32];
    char found[32];
    struct drill_check *c;

    (void)snprintf(name, sizeof name, "rows %.60s.%.60s.%.60s",
                   d->u->dump.get.meta.streams.v[d->u->stream].name, t->schema, t->name);
    (void)snprintf(asked, sizeof asked, "%llu", (unsigned long long)t->rows);
    (void)snprintf(found, sizeof found, "%llu", (unsigned long long)t->found);
    c = drill_add(&d->record, same ? DRILL_PASSED : DRILL_FAILED, name, asked,
                  t->why == NULL ? found : t->why, e);
    if (c == NULL)
        return -1;
    (void)snprintf(c->note, sizeof c->note, "as in the dump");
    return 0;
}

static int tell_fact(void *arg, const char *name, const char *want, const char *found,
                     struct err *e)
{
    struct drill_run *d = arg;
    struct drill_check *c = drill_add(
        &d->record, strcmp(want, found) == 0 ? DRILL_PASSED : DRILL_FAILED, name, want, found, e);

    if (c == NULL)
        return -1;
    (void)snprintf(c->note, sizeof c->note, "as in the dump");
    return 0;
}

/* The name in the copy. */
static int name_database(struct drill_run *d, const char *mark, unsigned n, struct err *e)
{
    struct undump *u = d->u;
    const char *was = u->dump.get.meta.streams.v[u->stream].name;
    struct drill_base base;
    struct err why = {0};

    if (strlen(was) >= UNDUMP_NAME_MAX)
        return err_set(e, ERR_DAMAGED, "the dump's database has an impossible name");
    (void)snprintf(u->final, sizeof u->final, "%.63s", was);
    if (*mark != '\0')
        (void)snprintf(u->target, sizeof u->target, "%.40s%s%.0u", mark, n == 0 ? "" : "_", n);
    else if (!undump_has_database(u, was, &why) && why.code == ERR_NONE)
        memcpy(u->target, u->final, sizeof u->target);
    else if (undump_new_name(u, "drill", u->target, e) != 0)
        return -1;
    memcpy(base.was, u->final, sizeof base.was);
    memcpy(base.now, u->target, sizeof base.now);
    return drill_bases_push(&d->bases, base, e);
}

static int fill(struct drill_run *d, struct err *e)
{
    struct undump *u = d->u;
    struct err why = {0};
    int64_t began = os_mono_us();
    int rc;

    if (undump_create(u, e) != 0)
        return -1;
    rc = undump_load(u, e);
    d->record.unpack_us += (uint64_t)(os_mono_us() - began);
    if (rc != 0)
        return -1;
    rc = undump_compare(u, NULL, &why);
    if (rc != 0 && u->differ == 0) {
        *e = why;
        return -1;
    }
    u->differ = 0; /* it is on record, and the other questions are asked all the same */
    return undump_properties(u, e);
}

/* Roles are not made on a server that is there: where some are missing, owners are left out. */
static int check(struct drill_run *d, struct err *e)
{
    if (undump_check(d->u, e) == 0)
        return 0;
    if (e->code != ERR_REFUSED || !d->o->server || d->undump.no_owner)
        return -1;
    msg_note(d->m, "owners and rights are left out: %s", e->msg);
    err_clear(e);
    d->undump.no_owner = true;
    return undump_check(d->u, e);
}

static int fill_all(struct drill_run *d, const char *mark, struct err *e)
{
    const struct dump_streams *streams = &d->u->dump.get.meta.streams;
    unsigned n = 0;

    for (uint32_t i = 0; i < streams->n; i++) {
        if (streams->v[i].kind != DUMP_DATABASE)
            continue;
        d->u->stream = i;
        if (name_database(d, mark, n++, e) != 0 || check(d, e) != 0)
            return -1;
        d->begun = true;
        if (fill(d, e) != 0)
            return -1;
    }
    return n > 0 ? 0 : err_set(e, ERR_DAMAGED, "there is no database in the dump");
}

/* What was made on a server that is there goes again, also after a failure. */
static void drop_all(struct drill_run *d)
{
    for (size_t i = 0; i < d->bases.n; i++) {
        struct err why = {0};

        if (undump_has_database(d->u, d->bases.v[i].now, &why) &&
            undump_drop(d->u, d->bases.v[i].now, &why) != 0)
            msg_warn_err(d->m, &why);
    }
}

/* --- all --- */

static int open_dump(struct drill_run *d, struct err *e)
{
    char label[DRILL_JOB_MAX + DRILL_LABEL_MAX + 1];
    struct undump *u = d->u;

    (void)snprintf(label, sizeof label, "%s/%s", d->record.job, d->record.what);
    if (dump_open(&u->dump, d->s, label, NULL, d->o->passphrase_file, e) != 0)
        return -1;
    d->repo = &u->dump.repo;
    d->record.system_id = d->repo->where.system_id;
    d->record.server_version = u->dump.get.public.server_version;
    d->record.bytes = u->dump.get.public.bytes;
    (void)snprintf(d->record.target, sizeof d->record.target, "the whole dump");
    if (object_can_read(u->dump.get.reader) && u->dump.get.has_meta)
        return 0;
    (void)err_set(e, ERR_KEY,
                  "the dump is sealed, and no secret key is here: nothing in it can be "
                  "restored on this host");
    return err_hint(e, "Run the drill on a host that has the recovery key (--secret-key).");
}

int drill_dump(struct drill_run *d, struct err *e)
{
    char mark[DRILL_MARK_MAX] = "";
    int rc = -1;

    d->undump = (struct undump_options){
        .connection = d->o->connection, .runner = d->o->runner, .globals = !d->o->server};
    d->u = undump_new(d->m, d->s, &d->undump, e);
    if (d->u == NULL)
        return -1;
    d->u->told = tell_table;
    d->u->told_fact = tell_fact;
    d->u->arg = d;
    if (open_dump(d, e) != 0)
        return -1;
    if ((d->o->server ? use_server(d, mark, e) : start_server(d, e)) == 0 &&
        fill_all(d, mark, e) == 0)
        rc = drill_ask(d, e);
    if (d->o->server && d->u->sql != NULL) {
        os_signal_forget(); /* also who is interrupted cleans up */
        drop_all(d);
    }
    return rc;
}

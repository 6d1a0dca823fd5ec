/*
 * walden undump: a dump back into a server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "object/secret.h"
#include "os/signal.h"
#include "os/time.h"
#include "survey.h"
#include "undump.h"

#define AT(field) offsetof(struct undump_options, field)

static const struct opt options[] = {
    {.name = "database",
     .kind = OPT_TEXT,
     .arg = "NAME",
     .offset = AT(database),
     .help =
         "the database to make (default: NAME_restored_TIME); with --schema: the one to change"},
    {.name = "stream",
     .kind = OPT_TEXT,
     .arg = "NAME",
     .offset = AT(stream),
     .help = "which database of the dump, when it holds several"},
    {.name = "replace",
     .kind = OPT_FLAG,
     .offset = AT(replace),
     .help = "put it in the place of the original: restored beside it and compared first, then "
             "sessions are ended, names exchanged, the old one dropped"},
    {.name = "switch",
     .kind = OPT_FLAG,
     .offset = AT(swap),
     .help = "like --replace, but keep the old one under another name"},
    {.name = "drop_first",
     .kind = OPT_FLAG,
     .offset = AT(drop_first),
     .help = "with --replace, where there is no room for both: drop the old one before"},
    {.name = "schema",
     .kind = OPT_TEXT,
     .arg = "NAME",
     .offset = AT(schema),
     .help = "replace this schema only, in one transaction, after a dump of what is there"},
    {.name = "globals",
     .kind = OPT_FLAG,
     .offset = AT(globals),
     .help = "make roles that the dump needs and the server lacks"},
    {.name = "no_owner",
     .kind = OPT_FLAG,
     .offset = AT(no_owner),
     .help = "all belongs to the role that connects; no rights are granted"},
    {.name = "keep_failed",
     .kind = OPT_FLAG,
     .offset = AT(keep_failed),
     .help = "leave a half-restored database for a look"},
    {.name = "runner",
     .kind = OPT_TEXT,
     .arg = "COMMAND",
     .offset = AT(runner),
     .help = "what stands in front of pg_restore and psql (default: that of the dump's job)"},
    {.name = "at",
     .kind = OPT_TEXT,
     .arg = "TIME",
     .offset = AT(at),
     .help = "the newest dump of the job that was taken at that time or before it; without an "
             "offset, the time of this host"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = AT(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
    {.name = "accept_empty",
     .kind = OPT_FLAG,
     .offset = AT(accept_empty),
     .help = "replace something by a dump that holds no row at all"},
    {.name = "yes",
     .kind = OPT_FLAG,
     .offset = AT(yes),
     .help = "do not ask before something is replaced"},
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = AT(json),
     .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden undump",
    .operands = "LABEL",
    .summary = "restore a dump, by default into a new database, and compare every table's rows",
    .examples =
        "walden undump shop                       the newest dump, as shop_restored_TIME\n"
        "walden undump 20260221T030000Z-17 --database shop_test\n"
        "walden undump shop --at '2026-02-21 03:00'\n"
        "walden undump shop --switch             and keep the old database aside\n"
        "walden undump shop --replace --yes\n"
        "walden undump shop --schema app --database shop\n"
        "With [hook undump] in the configuration, whatever replaces something that is in use\n"
        "does so between pre (stop the application), gate (migrate, test) and post (start it).\n"
        "A gate finds the restored database in HOOK_DATABASE, its schema in HOOK_SCHEMA_VERSION.\n",
    .exits = "0    restored, and every table has the rows of the dump\n"
             "1    it failed, or rows differ; what was there before is untouched\n"
             "2    wrong command line or configuration, no such dump\n"
             "3    cannot tell: repository or server unreachable\n"
             "4    refused for safety: not confirmed, the database exists, roles are missing;\n"
             "     root, told by a file that others can write what to run (chown root it)\n"
             "130  interrupted\n",
    .args_min = 1,
    .args_max = 1,
};

/* --- what is meant --- */

static int check_options(const struct undump_options *o, struct err *e)
{
    if (o->schema != NULL && (o->replace || o->swap || o->drop_first))
        return err_set(e, ERR_USAGE, "--schema cannot be combined with --replace or --switch");
    if (o->replace && o->swap)
        return err_set(e, ERR_USAGE,
                       "--replace drops the old database and --switch keeps it: choose "
                       "one");
    if (o->drop_first && !o->replace)
        return err_set(e, ERR_USAGE, "--drop-first belongs to --replace");
    if ((o->database != NULL && strlen(o->database) >= UNDUMP_NAME_MAX) ||
        (o->schema != NULL && strlen(o->schema) >= UNDUMP_NAME_MAX))
        return err_set(e, ERR_USAGE, "a name has at most %d bytes", UNDUMP_NAME_MAX - 1);
    return 0;
}

/* Needs the server, which may have a database of that name. */
static int choose_names(struct undump *u, struct err *e)
{
    const char *was = u->dump.get.meta.streams.v[u->stream].name;
    bool exchange = u->o->replace || u->o->swap;

    if (strlen(was) >= UNDUMP_NAME_MAX)
        return err_set(e, ERR_DAMAGED, "the dump's database has an impossible name");
    (void)snprintf(u->final, sizeof u->final, "%.63s",
                   u->o->database != NULL ? u->o->database : was);
    if (u->o->schema != NULL || u->o->drop_first || (u->o->database != NULL && !exchange))
        memcpy(u->target, u->final, sizeof u->target);
    else if (undump_new_name(u, "restored", u->target, e) != 0)
        return -1;
    if (!exchange && u->o->schema == NULL)
        memcpy(u->final, u->target, sizeof u->final);
    return 0;
}

static int open_session(const struct undump *u, struct sqlrun **s, struct err *e)
{
    const char *name = u->o->connection.dbname;

    return sqlrun_open(s, &u->how, name == NULL || strchr(name, '=') != NULL ? "postgres" : name,
                       e);
}

void undump_session_again(struct undump *u)
{
    struct err none = {0};
    struct sqlrun *s = NULL;

    os_signal_forget();
    if (open_session(u, &s, &none) != 0)
        return;
    sqlrun_close(u->sql);
    u->sql = s;
}

int undump_connect(struct undump *u, struct err *e)
{
    const struct pgconn_flags *c = &u->o->connection;

    dump_job_init(&u->job, u->dump.item.job);
    if (dump_job_load(&u->job, u->settings, e) < 0)
        return -1;
    if (u->o->runner != NULL && dump_job_set(&u->job, "runner", u->o->runner, e) != 0)
        return err_context(e, "--runner");
    if (dump_job_may_run(&u->job, u->settings, false, u->o->runner != NULL, e) != 0)
        return -1;
    u->how.runner = &u->job.runner;
    u->how.connect = (struct pgconn_opts){
        .dsn = u->job.dsn != NULL || u->job.runner.n > 0 ? u->job.dsn : u->settings->dsn,
        .host = c->host,
        .port = c->port,
        .user = c->user,
        .wait = c->wait};
    if (c->dbname != NULL && strchr(c->dbname, '=') != NULL)
        u->how.connect.dsn = c->dbname;
    return open_session(u, &u->sql, e);
}

const struct place_owner *undump_psql_as(struct undump *u)
{
    const struct os_root *root = &u->dump.repo.store.root;

    u->psql_as = (struct place_owner){
        .change = root->give && u->job.runner.n == 0, .uid = root->uid, .gid = root->gid};
    return &u->psql_as;
}

/* --- doing it --- */

/* A dump that was taken of an emptied database must not take the place of one that is in use. */
static int check_empty(const struct undump *u, struct err *e)
{
    const struct dump_meta *m = &u->dump.get.meta;
    const struct undump_options *o = u->o;
    bool tables = false;

    if (o->accept_empty || (!o->replace && !o->swap && o->schema == NULL))
        return 0;
    for (size_t i = 0; i < m->tables.n; i++) {
        const struct dump_table *t = &m->tables.v[i];

        if (t->stream != u->stream ||
            (o->schema != NULL && strcmp(dump_text(m, t->schema), o->schema) != 0))
            continue;
        if (t->rows > 0) /* or not known */
            return 0;
        tables = true;
    }
    /* A schema may be one of functions only, and a dump of it was taken as such.  And the way back
     * is one, however empty it was there. */
    if (o->schema != NULL && (!tables || strcmp(u->dump.get.public.tag, UNDUMP_SAFETY_TAG) == 0))
        return 0;
    (void)err_set(e, ERR_REFUSED,
                  tables ? "no table in the dump has a row" : "the dump holds no table");
    return err_hint(e, "\"walden list\" shows the dumps and their rows. If it shall be empty, say "
                       "--accept-empty.");
}

static int check_place(struct undump *u, struct err *e)
{
    struct err why = {0};
    bool exchange = u->o->replace || u->o->swap;
    bool there = undump_has_database(u, u->final, &why);

    if (why.code != ERR_NONE) {
        *e = why;
        return -1;
    }
    if (check_empty(u, e) != 0)
        return -1;
    if (u->o->schema != NULL)
        return there ? 0 : err_set(e, ERR_USAGE, "there is no database \"%s\"", u->final);
    if (!there)
        return 0;
    if (exchange)
        return undump_tell_version(u, e) == 0 ? undump_confirm(u, "database", u->final, e) : -1;
    (void)err_set(e, ERR_REFUSED, "database \"%s\" exists", u->final);
    return err_hint(e, "Give another name with --database, or say --switch or --replace.");
}

static int restore(struct undump *u, struct err *e)
{
    struct err none = {0};

    if ((u->o->replace || u->o->swap) && undump_pre(u, e) != 0)
        return -1;
    if (u->o->drop_first && undump_has_database(u, u->target, &none)) {
        if (undump_drop(u, u->target, e) != 0) {
            undump_reopen(u, u->target, e);
            return -1;
        }
        u->changed = true;
    }
    if (undump_fill(u, e) != 0)
        return -1;
    if (u->o->drop_first) /* there is no other one any more */
        u->created = false;
    if (undump_gate(u, e) != 0)
        return -1;
    if ((u->o->replace && !u->o->drop_first) || u->o->swap)
        return undump_switch(u, e);
    u->created = false;
    return 0;
}

static int run(struct undump *u, const char *label, struct err *e)
{
    int rc;

    if (check_options(u->o, e) != 0 || command_settings(u->settings, u->msg, e) != 0 ||
        secret_start(e) != 0 ||
        dump_open(&u->dump, u->settings, label, u->o->at, u->o->passphrase_file, e) != 0 ||
        dump_open_stream(&u->dump, u->o->stream, &u->stream, e) != 0)
        return -1;
    if (u->dump.get.meta.streams.v[u->stream].kind != DUMP_DATABASE)
        return err_set(e, ERR_USAGE, "stream \"%s\" is no database", u->o->stream);
    if (!object_can_read(u->dump.get.reader)) {
        (void)err_set(e, ERR_KEY, "the dump is sealed, and no secret key is here");
        return err_hint(e, "Give --secret-key with the recovery key.");
    }
    if (undump_connect(u, e) != 0 || choose_names(u, e) != 0 || check_place(u, e) != 0 ||
        undump_check(u, e) != 0)
        return -1;
    u->began = os_mono_us();
    rc = u->o->schema != NULL ? undump_schema(u, e) : restore(u, e);
    u->took = os_mono_us() - u->began;
    if (rc != 0)
        undump_drop_failed(u);
    return undump_post(u, rc, e);
}

/* --- the result --- */

static int print_text(const struct undump *u, struct err *e)
{
    const char *was = u->dump.get.meta.streams.v[u->stream].name;
    char final[SQL_NAME_MAX];
    char old[SQL_NAME_MAX];
    char away[SQL_NAME_MAX];
    char name[UNDUMP_NAME_MAX + 8];
    struct buf b;
    int rc;

    buf_init(&b, 64 * 1024);
    rc = buf_fmt(&b, e,
                 "dump %s/%s (%s) is restored into %s \"%s\" in %lld.%lld s\n"
                 "%llu tables compared, %llu rows: all as in the dump\n",
                 u->dump.item.job, u->dump.item.label, was,
                 u->o->schema != NULL ? "schema" : "database",
                 u->o->schema != NULL ? u->o->schema : u->target,
                 (long long)(u->took / USEC_PER_SEC), (long long)(u->took / 100000 % 10),
                 (unsigned long long)u->tables, (unsigned long long)u->rows);
    if (rc == 0 && *undump_fact(u, "schema_version") != '\0')
        rc = buf_fmt(&b, e, "schema version %s\n", undump_fact(u, "schema_version"));
    if (rc == 0 && u->ignored > 0)
        rc = buf_fmt(&b, e, "%llu harmless error%s of pg_restore\n", (unsigned long long)u->ignored,
                     u->ignored == 1 ? "" : "s");
    if (rc == 0 && u->safety[0] != '\0')
        rc = buf_fmt(&b, e, "the way back: walden undump %s --schema %s --database %s\n", u->safety,
                     u->o->schema, u->target);
    if (rc == 0 && u->old[0] != '\0') {
        (void)snprintf(name, sizeof name, "%.50s_new", u->final);
        rc = buf_fmt(&b, e,
                     "the old database is \"%s\"; the way back, when nobody is connected:\n"
                     "  ALTER DATABASE %s RENAME TO %s;\n  ALTER DATABASE %s RENAME TO %s;\n"
                     "when it is not needed any more:\n  DROP DATABASE %s;\n",
                     u->old, sql_quoted(final, u->final), sql_quoted(away, name),
                     sql_quoted(old, u->old), final, old);
    }
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static int print_json(const struct undump *u, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, 64 * 1024);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    json_str(&j, "label", u->dump.item.label);
    json_str(&j, "job", u->dump.item.job);
    json_str(&j, "stream", u->dump.get.meta.streams.v[u->stream].name);
    json_str(&j, "database", u->target);
    json_str(&j, "restored_schema", u->o->schema);
    json_str(&j, "old_database", u->old[0] == '\0' ? NULL : u->old);
    json_str(&j, "safety_dump", u->safety[0] == '\0' ? NULL : u->safety);
    json_num(&j, "duration_ms", (uint64_t)(u->took / 1000));
    json_num(&j, "tables", u->tables);
    json_num(&j, "rows", u->rows);
    json_num(&j, "ignored_errors", u->ignored);
    json_str(&j, "schema_version",
             *undump_fact(u, "schema_version") == '\0' ? NULL : undump_fact(u, "schema_version"));
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

struct undump *undump_new(const struct msg *m, struct settings *s, const struct undump_options *o,
                          struct err *e)
{
    struct undump *u = calloc(1, sizeof *u);

    if (u == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to restore a dump with");
        return NULL;
    }
    u->msg = m;
    u->settings = s;
    u->o = o;
    u->restore.proc = (struct os_proc)OS_PROC_INIT;
    u->psql.proc = (struct os_proc)OS_PROC_INIT;
    return u;
}

void undump_free(struct undump *u)
{
    if (u == NULL)
        return;
    pgtool_fini(&u->restore);
    pgtool_fini(&u->psql);
    sqlrun_close(u->sql);
    dump_close(&u->dump);
    free(u);
}

int cmd_undump(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings settings;
    struct undump_options mine = {.database = NULL};
    struct opt_set sets[3];
    struct opt_args args;
    struct err e = {0};
    int status;

    settings_init(&settings);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = pgconn_flags_set(&mine.connection);
    sets[2] = settings_options(&settings);
    if (command_parse(&program, sets, 3, argc, argv, &args, &status) == 0) {
        struct undump *u = undump_new(&m, &settings, &mine, &e);

        status = STATUS_OK;
        if (u == NULL || run(u, args.v[0], &e) != 0 ||
            (mine.json ? print_json(u, &e) : print_text(u, &e)) != 0)
            status = command_fail(&m, &e);
        undump_free(u);
    }
    settings_fini(&settings);
    return status;
}

/*
 * walden dump: a logical dump into the repository.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "dump.h"
#include "object/secret.h"
#include "os/tty.h"
#include "pgconn/pgconn_flags.h"
#include "survey.h"

enum { SHOWN_MAX = 20 };

struct options {
    struct pgconn_flags connection;
    const char *tag;
    const char *format;
    const char *runner;
    const char *counts;
    bool accept;
    bool json;
    struct buf *schemas;
    struct buf *tables;
    struct buf *exclude;
};

/* Options that may come often gather a list as the configuration writes it. */
static int take_list(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct buf **list = (struct buf **)((char *)into + o->offset);

    return buf_fmt(*list, e, "%s%s", (*list)->len == 0 ? "" : " ", text);
}

#define AT(field) offsetof(struct options, field)

static const struct opt options[] = {
    {.name = "tag",
     .kind = OPT_TEXT,
     .arg = "WORD",
     .offset = AT(tag),
     .help = "mark the dump, like pre-migration; tagged dumps are kept apart from the others"},
    {.name = "schema",
     .letter = 'n',
     .kind = OPT_CALL,
     .arg = "PATTERN",
     .call = take_list,
     .offset = AT(schemas),
     .help = "only these schemas; may come often"},
    {.name = "table",
     .letter = 't',
     .kind = OPT_CALL,
     .arg = "PATTERN",
     .call = take_list,
     .offset = AT(tables),
     .help = "only these tables; may come often"},
    {.name = "exclude_table",
     .letter = 'T',
     .kind = OPT_CALL,
     .arg = "PATTERN",
     .call = take_list,
     .offset = AT(exclude),
     .help = "leave these tables out; may come often"},
    {.name = "format",
     .letter = 'F',
     .kind = OPT_TEXT,
     .arg = "FORMAT",
     .offset = AT(format),
     .help = "custom (default) or plain; \"custom zstd\" where pg_dump shall compress"},
    {.name = "runner",
     .kind = OPT_TEXT,
     .arg = "COMMAND",
     .offset = AT(runner),
     .help = "what stands in front of pg_dump, like \"docker compose exec -T db\""},
    {.name = "counts",
     .kind = OPT_TEXT,
     .arg = "TABLES",
     .offset = AT(counts),
     .help = "count the rows of these tables (or all) in the dump's snapshot and compare"},
    {.name = "accept",
     .kind = OPT_FLAG,
     .offset = AT(accept),
     .help = "store the dump also when the guard finds it too small"},
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = AT(json),
     .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden dump",
    .operands = "[JOB]",
    .summary = "dump databases with pg_dump into the repository, checked while they are written",
    .examples = "walden dump shop                       the job [dump shop] of the configuration\n"
                "walden dump -d shop                    one database, without a section\n"
                "walden dump shop --tag pre-migration && migrate\n"
                "walden dump shop --runner \"docker compose exec -T db\" -d user=shop\n"
                "The configuration:\n"
                "  [dump shop]\n"
                "  databases = shop           or all\n"
                "  schemas, tables, exclude   patterns, as the options\n"
                "  dsn = user=shop            how to connect\n"
                "  runner = docker compose exec -T db\n"
                "  counts = app.orders        rows that are counted in the snapshot\n"
                "  schema_version = select max(version) from schema_migrations\n"
                "  guard = min_size=1MB shrink=50%   when a dump is not believable; or off\n"
                "  pre = timeout=5min docker compose stop app\n"
                "  post = docker compose start app\n",
    .exits = "0    the dump is stored, whole and durable\n"
             "1    it failed; nothing was stored, the last good dump is untouched\n"
             "2    wrong command line or configuration, or clients older than the server\n"
             "3    cannot tell: repository or server unreachable\n"
             "4    refused for safety: the dump is empty or much smaller than the last one;\n"
             "     root, told by a file that others can write what to run (chown root it)\n"
             "130  interrupted; nothing was stored\n",
    .args_max = 1,
};

/* --- which job --- */

static int no_section(const struct settings *s, const char *name, struct err *e)
{
    struct text_closest near;
    const char *job;

    text_closest_init(&near, name);
    for (size_t i = 0; (job = dump_job_name(s, i)) != NULL; i++)
        text_closest_try(&near, job);
    (void)err_set(e, ERR_USAGE, "the configuration has no section [dump %s]", name);
    if (near.best != NULL)
        return err_hint(e, "Did you mean %s?", near.best);
    return err_hint(e, "Add one, or name a database: walden dump %s -d DATABASE", name);
}

/* The database's name makes the job's, where no job is named. */
static int name_of(const struct options *o, const struct opt_args *args, const char **name,
                   struct err *e)
{
    *name = args->n > 0 ? args->v[0] : o->connection.dbname;
    if (*name == NULL) {
        (void)err_set(e, ERR_USAGE, "which job?");
        return err_hint(e,
                        "Name a section [dump JOB] of the configuration, or a database with -d.");
    }
    if (parse_name(*name, e) != 0)
        return args->n > 0 ? -1 : err_hint(e, "Name the job: walden dump JOB -d %.100s", *name);
    return 0;
}

static int set_flag(struct dump_job *j, const char *key, const char *value, struct err *e)
{
    if (value == NULL || *value == '\0' || dump_job_set(j, key, value, e) == 0)
        return 0;
    if (e->code == ERR_CONFIG)
        e->code = ERR_USAGE;
    return err_context(e, "--%s", key);
}

static bool is_uri(const char *text)
{
    return strncmp(text, "postgres://", 11) == 0 || strncmp(text, "postgresql://", 13) == 0;
}

static bool is_conninfo(const char *text)
{
    return strchr(text, '=') != NULL || is_uri(text);
}

/* A connection string may say only how to connect. */
static bool names_database(const char *text)
{
    return strchr(text, '=') == NULL || strstr(text, "dbname") != NULL || is_uri(text);
}

static int choose_job(struct dump_run *r, const struct options *o, const struct opt_args *args,
                      struct err *e)
{
    const struct pgconn_flags *c = &o->connection;
    const char *name;
    int rc;

    if (name_of(o, args, &name, e) != 0)
        return -1;
    dump_job_init(&r->job, name);
    rc = dump_job_load(&r->job, r->settings, e);
    if (rc < 0)
        return -1;
    if (rc > 0 && c->dbname == NULL)
        return no_section(r->settings, name, e);
    if (set_flag(&r->job, "format", o->format, e) != 0 ||
        set_flag(&r->job, "runner", o->runner, e) != 0 ||
        set_flag(&r->job, "counts", o->counts, e) != 0 ||
        set_flag(&r->job, "schemas", buf_text(o->schemas), e) != 0 ||
        set_flag(&r->job, "tables", buf_text(o->tables), e) != 0 ||
        set_flag(&r->job, "exclude", buf_text(o->exclude), e) != 0)
        return -1;
    if (dump_job_may_run(&r->job, r->settings, true, o->runner != NULL, e) != 0)
        return -1;
    if (c->dbname != NULL && names_database(c->dbname)) { /* whatever the section says */
        r->job.all = false;
        r->job.databases.n = 0;
    }
    r->how.runner = &r->job.runner;
    r->how.connect = (struct pgconn_opts){
        .dsn = r->job.dsn != NULL || r->job.runner.n > 0 ? r->job.dsn : r->settings->dsn,
        .host = c->host,
        .port = c->port,
        .user = c->user,
        .dbname = c->dbname,
        .wait = c->wait};
    if (c->dbname != NULL && is_conninfo(c->dbname)) {
        r->how.connect.dsn = c->dbname;
        r->how.connect.dbname = NULL;
    }
    return 0;
}

/* --- the result --- */

static void version_text(char out[24], uint32_t version)
{
    (void)snprintf(out, 24, "%u.%u", (unsigned)(version / 10000), (unsigned)(version % 10000));
}

static int show_tables(const struct dump_meta *m, struct buf *out, struct err *e)
{
    size_t shown = 0;

    for (size_t i = 0; i < m->tables.n; i++) {
        const struct dump_table *t = &m->tables.v[i];
        char name[160];

        if (!t->counted || shown++ >= SHOWN_MAX)
            continue;
        (void)text_visible(name, sizeof name, dump_text(m, t->name), strlen(dump_text(m, t->name)));
        if (buf_fmt(out, e, "  %-40s %12llu rows, counted\n", name, (unsigned long long)t->rows) !=
            0)
            return -1;
    }
    return shown <= SHOWN_MAX ? 0 : buf_fmt(out, e, "  and %zu more\n", shown - SHOWN_MAX);
}

static int show_versions(const struct dump_meta *m, struct buf *out, struct err *e)
{
    for (uint32_t i = 0; i < m->streams.n; i++) {
        const char *version = dump_fact(m, i, "schema_version", NULL);
        char shown[160];

        if (version == NULL)
            continue;
        (void)text_visible(shown, sizeof shown, version, strlen(version));
        if (buf_fmt(out, e, "  schema version of %s: %s\n", m->streams.v[i].name, shown) != 0)
            return -1;
    }
    return 0;
}

static int print_text(const struct dump_run *r, struct err *e)
{
    const struct dump_public *p = &r->put.public;
    char size[SURVEY_SIZE_MAX];
    char stored[SURVEY_SIZE_MAX];
    struct buf b;
    int rc;

    survey_size(size, p->bytes);
    survey_size(stored, r->put.stored);
    buf_init(&b, 1024 * 1024);
    rc =
        buf_fmt(&b, e, "dump %s/%s is stored: %u database%s, %llu table%s, %llu rows, %s as %s%s\n",
                r->job.name, r->put.label, (unsigned)p->databases, p->databases == 1 ? "" : "s",
                (unsigned long long)p->tables, p->tables == 1 ? "" : "s",
                (unsigned long long)p->rows, size, stored, r->repo.marker.sealed ? ", sealed" : "");
    if (rc == 0)
        rc = show_versions(&r->put.meta, &b, e);
    if (rc == 0)
        rc = show_tables(&r->put.meta, &b, e);
    if (rc == 0)
        rc =
            buf_str(&b,
                    p->level == DUMP_LEVEL_WHOLE
                        ? "every byte of it was decoded while it was written\n"
                        : "its table of contents and blocks were checked; what zstd compressed was "
                          "not expanded\n",
                    e);
    if (rc == 0 && !p->passwords)
        rc = buf_str(&b,
                     "note: the role may not read passwords, so the dump has the roles "
                     "without them\n",
                     e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static void json_tables(struct json_out *j, const struct dump_meta *m, uint32_t stream)
{
    json_array(j, "tables");
    for (size_t i = 0; i < m->tables.n; i++) {
        const struct dump_table *t = &m->tables.v[i];

        if (t->stream != stream)
            continue;
        json_object(j, NULL);
        json_str(j, "schema", dump_text(m, t->schema));
        json_str(j, "name", dump_text(m, t->name));
        if (t->rows == DUMP_NO_ROWS)
            json_null(j, "rows");
        else
            json_num(j, "rows", t->rows);
        json_bool(j, "counted", t->counted);
        json_object_end(j);
    }
    json_array_end(j);
}

static int print_json(const struct dump_run *r, struct err *e)
{
    const struct dump_public *p = &r->put.public;
    const struct dump_meta *m = &r->put.meta;
    char version[24];
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    json_str(&j, "label", r->put.label);
    json_str(&j, "job", r->job.name);
    json_str(&j, "cluster", r->repo.where.cluster);
    json_str(&j, "tag", p->tag[0] == '\0' ? NULL : p->tag);
    survey_json_time(&j, "started", p->start);
    survey_json_time(&j, "stopped", p->stop);
    version_text(version, p->server_version);
    json_str(&j, "server_version", version);
    version_text(version, p->client_version);
    json_str(&j, "pg_dump_version", version);
    json_str(&j, "format", p->format == DUMPFILE_CUSTOM ? "custom" : "plain");
    json_num(&j, "bytes", p->bytes);
    json_num(&j, "stored_bytes", r->put.stored);
    json_num(&j, "rows", p->rows);
    json_str(&j, "checked", p->level == DUMP_LEVEL_WHOLE ? "whole" : "shape");
    json_bool(&j, "counted", p->counted);
    json_bool(&j, "role_passwords", p->passwords);
    json_array(&j, "databases");
    for (uint32_t i = 0; i < m->streams.n; i++) {
        if (m->streams.v[i].kind != DUMP_DATABASE)
            continue;
        json_object(&j, NULL);
        json_str(&j, "name", m->streams.v[i].name);
        json_num(&j, "bytes", m->streams.v[i].size);
        json_str(&j, "schema_version", dump_fact(m, i, "schema_version", NULL));
        json_tables(&j, m, i);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

/* --- all --- */

static int run(struct dump_run *r, const struct options *o, const struct opt_args *args,
               struct err *e)
{
    if (o->tag != NULL && strlen(o->tag) > MANIFEST_TAG_MAX)
        return err_set(e, ERR_USAGE, "--tag: at most %d bytes", MANIFEST_TAG_MAX);
    r->tag = o->tag;
    r->accept = o->accept;
    r->progress = os_tty_is(STDERR_FILENO) && !o->json;
    if (command_settings(r->settings, r->msg, e) != 0 ||
        settings_need(r->settings, "repo", e) != 0 || choose_job(r, o, args, e) != 0 ||
        secret_start(e) != 0 || dump_run(r, e) != 0)
        return -1;
    return o->json ? print_json(r, e) : print_text(r, e);
}

int cmd_dump(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings settings;
    struct buf lists[3];
    struct options mine = {.schemas = &lists[0], .tables = &lists[1], .exclude = &lists[2]};
    struct opt_set sets[3];
    struct opt_args args;
    struct err e = {0};
    int status;

    for (size_t i = 0; i < 3; i++)
        buf_init(&lists[i], WORDS_TEXT_MAX);
    settings_init(&settings);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = pgconn_flags_set(&mine.connection);
    sets[2] = settings_options(&settings);
    if (command_parse(&program, sets, 3, argc, argv, &args, &status) == 0) {
        struct dump_run *r = dump_run_new(&e);

        status = STATUS_OK;
        if (r != NULL) {
            r->msg = &m;
            r->settings = &settings;
        }
        if (r == NULL || run(r, &mine, &args, &e) != 0)
            status = command_fail(&m, &e);
        dump_run_free(r);
    }
    for (size_t i = 0; i < 3; i++)
        buf_fini(&lists[i]);
    settings_fini(&settings);
    return status;
}

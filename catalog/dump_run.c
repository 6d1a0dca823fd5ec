/*
 * A dump from its first to its last step.  Nothing of it can be seen before dump_put_finish;
 * whatever goes wrong before leaves a temporary file that nobody lists.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "dump.h"
#include "os/file.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/hook_run.h"
#include "survey.h"

enum { PATIENCE_US = 2 * 1000 * 1000, EVERY_US = 200 * 1000 };

struct dump_run *dump_run_new(struct err *e)
{
    struct dump_run *r = calloc(1, sizeof *r);

    if (r == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to dump with");
        return NULL;
    }
    dump_names_init(&r->databases, DUMP_DATABASES_MAX);
    dump_counts_init(&r->counts, DUMP_TABLES_MAX);
    dump_list_init(&r->list, DUMP_LIST_MAX);
    buf_init(&r->globals, DUMP_GLOBALS_MAX);
    r->child.proc = (struct os_proc)OS_PROC_INIT;
    return r;
}

void dump_run_free(struct dump_run *r)
{
    if (r == NULL)
        return;
    pgtool_fini(&r->child);
    if (r->putting)
        dump_put_fini(&r->put);
    if (r->repo_open)
        repo_close(&r->repo);
    for (size_t i = 0; i < r->databases.n; i++)
        free(r->databases.v[i]);
    dump_names_fini(&r->databases);
    dump_counts_fini(&r->counts);
    dump_list_fini(&r->list);
    buf_fini(&r->globals);
    free(r);
}

/* --- progress --- */

static void show_progress(struct dump_run *r)
{
    const struct dumpfile *f = &r->put.check.file;
    const struct dumpfile_entry *en = dumpfile_current(f);
    int64_t now = os_mono_us();
    char size[SURVEY_SIZE_MAX];
    char name[80] = "";

    if (!r->progress || now < r->next_progress)
        return;
    r->next_progress = now + EVERY_US;
    r->shown_progress = true;
    survey_size(size, r->put.public.bytes);
    if (en != NULL)
        (void)text_visible(name, 40, dumpfile_name(f, en->name),
                           strlen(dumpfile_name(f, en->name)));
    if (f->format == DUMPFILE_CUSTOM && f->entries.n > 0)
        fprintf(stderr, "\r\033[Kwalden dump: %.20s, %s, %zu of %zu: %s", r->database, size,
                f->current < f->entries.n ? f->current + 1 : 0, f->entries.n, name);
    else
        fprintf(stderr, "\r\033[Kwalden dump: %.20s, %s", r->database, size);
}

static void end_progress(struct dump_run *r)
{
    if (r->shown_progress)
        fprintf(stderr, "\r\033[K");
    r->shown_progress = false;
}

/* --- hooks --- */

/* how NULL: before. */
static int run_hook(struct dump_run *r, const struct hook *h, const struct err *how, struct err *e)
{
    struct hook_facts f = {.n = 0};

    (void)hook_fact(&f, "HOOK_WHEN", how == NULL ? "pre" : "post");
    (void)hook_fact(&f, "HOOK_COMMAND", "dump");
    (void)hook_fact(&f, "HOOK_JOB", r->job.name);
    (void)hook_fact(&f, "HOOK_TAG", r->tag);
    if (how != NULL) {
        (void)hook_fact(&f, "HOOK_RESULT", hook_outcome(how));
        (void)hook_fact(&f, "HOOK_ERROR", how->msg);
        (void)hook_fact(&f, "HOOK_LABEL", r->done ? r->put.label : "");
    }
    return hook_run(h, how == NULL ? "the pre hook" : "the post hook", &f, NULL, e);
}

/* --- pg_dump --- */

static int add_each(struct pgtool_args *a, const char *option, const struct words *w, struct err *e)
{
    for (size_t i = 0; i < w->n; i++)
        if (pgtool_arg(a, option, e) != 0 || pgtool_arg(a, w->v[i], e) != 0)
            return -1;
    return 0;
}

/* What pg_dump compresses with; before 16 it knows gzip by its level only. */
static int compress_option(const struct dump_run *r, char out[40], struct err *e)
{
    const char *c = r->job.compress;

    if (c[0] == '\0') {
        (void)snprintf(out, 40, "--compress=0");
    } else if (r->tool.version >= 160000) {
        (void)snprintf(out, 40, "--compress=%s", c);
    } else if (strncmp(c, "gzip", 4) == 0) {
        (void)snprintf(out, 40, "--compress=%s", c[4] == ':' ? c + 5 : "6");
    } else {
        return err_set(e, ERR_CONFIG, "pg_dump %s cannot compress with %s", r->tool.version_text,
                       c);
    }
    return 0;
}

static int dump_args(const struct dump_run *r, struct pgtool_args *a, const char *conninfo,
                     char snapshot[128], char compress[40], struct err *e)
{
    const struct dump_job *j = &r->job;

    if (compress_option(r, compress, e) != 0 || pgtool_begin(a, &r->tool, "pg_dump", e) != 0 ||
        pgtool_arg(a, j->format == DUMPFILE_CUSTOM ? "--format=custom" : "--format=plain", e) !=
            0 ||
        pgtool_arg(a, compress, e) != 0 || pgtool_arg(a, "--no-password", e) != 0 ||
        pgtool_arg(a, "--lock-wait-timeout=300000", e) != 0)
        return -1;
    if (snapshot[0] != '\0' && pgtool_arg(a, snapshot, e) != 0)
        return -1;
    if (add_each(a, "-n", &j->schemas, e) != 0 || add_each(a, "-t", &j->tables, e) != 0 ||
        add_each(a, "-T", &j->exclude, e) != 0)
        return -1;
    return pgtool_arg(a, "-d", e) == 0 ? pgtool_arg(a, conninfo, e) : -1;
}

static int take_dump(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct dump_run *r = arg;

    show_progress(r);
    return dump_put_write(&r->put, bytes, len, e);
}

/* The program's own words are worth more than that its output is cut. */
static int read_child(struct dump_run *r, struct err *e)
{
    struct err why = {0};
    struct err ended = {0};
    int rc = pgtool_read(&r->child, take_dump, r, &why);

    if (rc == 0 || why.code == ERR_DAMAGED) {
        if (rc != 0)
            os_proc_kill(&r->child.proc, SIGTERM);
        if (pgtool_end(&r->child, rc == 0 ? 0 : os_mono_us() + USEC_PER_SEC, &ended) == 0 &&
            rc == 0)
            return 0;
        if (rc == 0)
            why = ended;
    }
    *e = why;
    return -1;
}

static int run_pg_dump(struct dump_run *r, struct sqlrun *s, const char *snapshot, struct err *e)
{
    static struct pgtool_args a;
    struct buf conninfo;
    char snapshot_arg[128] = "";
    char compress[40];
    int rc = -1;

    buf_init(&conninfo, 16 * 1024);
    if (snapshot[0] != '\0')
        (void)snprintf(snapshot_arg, sizeof snapshot_arg, "--snapshot=%.100s", snapshot);
    if (sqlrun_conninfo(s, &r->how, r->database, &conninfo, e) == 0 &&
        dump_args(r, &a, buf_text(&conninfo), snapshot_arg, compress, e) == 0 &&
        pgtool_start(&r->child, &a, "pg_dump", OS_PROC_NULL, OS_PROC_PIPE, e) == 0)
        rc = read_child(r, e);
    pgtool_fini(&r->child);
    buf_fini(&conninfo);
    return rc;
}

static int dump_database(struct dump_run *r, const char *name, struct err *e)
{
    struct sqlrun *s = NULL;
    size_t first_table = r->put.meta.tables.n;
    char snapshot[100];
    int rc = -1;

    r->database = name;
    if (dump_put_stream(&r->put, DUMP_DATABASE, name, e) == 0 &&
        sqlrun_open(&s, &r->how, name, e) == 0 &&
        dump_snapshot(r, s, snapshot, sizeof snapshot, e) == 0 &&
        run_pg_dump(r, s, snapshot, e) == 0 && dump_put_stream_end(&r->put, e) == 0 &&
        (snapshot[0] == '\0' || dump_compare_counts(r, s, first_table, e) == 0))
        rc = 0;
    sqlrun_close(s);
    return rc == 0 ? 0 : err_context(e, "database \"%s\"", name);
}

/* --- globals --- */

static int take_globals(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    return buf_add(arg, bytes, len, e);
}

/* They are few and come into memory first, so that what is wrong with them is known before hours of
 * data. */
static int fetch_globals(struct dump_run *r, struct err *e)
{
    static struct pgtool_args a;
    struct buf conninfo;
    int rc = -1;

    buf_init(&conninfo, 16 * 1024);
    if (pgtool_begin(&a, &r->tool, "pg_dumpall", e) != 0 ||
        pgtool_arg(&a, "--globals-only", e) != 0 || pgtool_arg(&a, "--no-password", e) != 0 ||
        (!r->may_read_passwords && pgtool_arg(&a, "--no-role-passwords", e) != 0) ||
        sqlrun_conninfo(NULL, &r->how, r->databases.v[0], &conninfo, e) != 0 ||
        pgtool_arg(&a, "-d", e) != 0 || pgtool_arg(&a, buf_text(&conninfo), e) != 0 ||
        pgtool_start(&r->child, &a, "pg_dumpall", OS_PROC_NULL, OS_PROC_PIPE, e) != 0)
        goto out;
    rc = pgtool_read(&r->child, take_globals, &r->globals, e);
    if (rc == 0)
        rc = pgtool_end(&r->child, 0, e) == 0 ? 0 : -1;
out:
    pgtool_fini(&r->child);
    buf_fini(&conninfo);
    if (rc != 0)
        (void)err_context(e, "roles and tablespaces");
    return rc;
}

static int put_globals(struct dump_run *r, struct err *e)
{
    r->database = "globals";
    r->put.public.passwords = r->may_read_passwords;
    if (dump_put_stream(&r->put, DUMP_GLOBALS, "globals", e) != 0 ||
        dump_put_write(&r->put, r->globals.p, r->globals.len, e) != 0)
        return -1;
    return dump_put_stream_end(&r->put, e);
}

/* --- the repository --- */

static int open_repo(struct dump_run *r, struct err *e)
{
    const struct settings *s = r->settings;
    char number[24];

    if (r->system_id != 0) {
        if (settings_is_explicit(s, "system_id") && s->system_id != r->system_id)
            return err_set(e, ERR_REFUSED,
                           "the server has the system identifier %llu, and --system-id says %llu",
                           (unsigned long long)r->system_id, (unsigned long long)s->system_id);
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)r->system_id);
        if (command_set(r->settings, "system_id", number, e) != 0)
            return -1;
    }
    if (repo_open(&r->repo, s, REPO_WRITE, e) != 0)
        return -1;
    r->repo_open = true;
    return dump_list_read(&r->list, &r->repo, NULL, &r->reader, e);
}

/* The newest of this job with the same tag, else without one: what the guard compares with. */
static void find_prior(struct dump_run *r)
{
    const char *tag = r->tag == NULL ? "" : r->tag;

    for (size_t i = 0; i < r->list.n; i++) {
        const struct dump_item *d = &r->list.v[i];

        if (!d->readable || strcmp(d->job, r->job.name) != 0 ||
            (d->public.tag[0] != '\0' && strcmp(d->public.tag, tag) != 0))
            continue;
        r->prior = *d;
        r->has_prior = true;
    }
}

static int begin(struct dump_run *r, struct err *e)
{
    bool compress = r->settings->compression == SETTINGS_LZ4 && r->job.compress[0] == '\0';

    find_prior(r);
    if (dump_room(r, e) != 0)
        return -1;
    dump_warn_compression(r);
    r->putting = true;
    if (dump_put_begin(&r->put, &r->repo, r->job.name, &r->list, compress, e) != 0)
        return -1;
    r->put.public.server_version = r->server_version;
    r->put.public.client_version = r->tool.version;
    (void)snprintf(r->put.public.tag, sizeof r->put.public.tag, "%s", r->tag == NULL ? "" : r->tag);
    return 0;
}

/* A backup, an expiry or another dump of this host at the same time must not take the same number:
 * the lineage's lock is held. */
static int publish(struct dump_run *r, struct err *e)
{
    const char *state_dir = r->settings->state_dir;
    char host[OS_HOSTNAME_MAX + 1];
    struct err why = {0};
    int lock = -1;
    int rc = -1;

    os_hostname(host, sizeof host);
    if (store_lock(&r->repo.writer, &r->repo.where, &lock, e) != 0)
        return -1;
    if (manifest_chain_next(&r->put.public.head, &r->repo, host, state_dir, &r->reader, e) == 0 &&
        os_signal_check(e) == 0)
        rc = dump_put_finish(&r->put, e);
    if (rc == 0 && state_dir != NULL) {
        manifest_seen_here(&r->put.seen, &r->repo);
        if (manifest_heads_keep(state_dir, &r->put.seen, &why) != 0)
            msg_warn_err(r->msg, &why);
    }
    os_drop(&lock);
    return rc;
}

static int finish(struct dump_run *r, struct err *e)
{
    if (dump_guard(r, e) != 0 || publish(r, e) != 0)
        return -1;
    r->done = true;
    return 0;
}

static int dump(struct dump_run *r, struct err *e)
{
    if (dump_look(r, e) != 0 ||
        pgtool_find(&r->tool, &r->job.runner, r->settings->pg_bin, "pg_dump", r->server_version,
                    e) != 0 ||
        open_repo(r, e) != 0 || fetch_globals(r, e) != 0 || begin(r, e) != 0)
        return -1;
    for (size_t i = 0; i < r->databases.n; i++)
        if (dump_database(r, r->databases.v[i], e) != 0)
            return -1;
    if (put_globals(r, e) != 0)
        return -1;
    return finish(r, e);
}

int dump_run(struct dump_run *r, struct err *e)
{
    struct err why = {0};
    int rc;

    r->next_progress = os_mono_us() + PATIENCE_US;
    if (run_hook(r, &r->job.pre, NULL, e) != 0)
        return -1;
    rc = dump(r, e);
    end_progress(r);
    /* What the first hook stopped must start again, whatever became of the dump. */
    if (rc != 0)
        os_signal_forget();
    if (run_hook(r, &r->job.post, e, &why) != 0) {
        if (rc != 0) {
            msg_warn_err(r->msg, &why);
        } else {
            *e = why;
            (void)err_context(e, "dump %s is stored, but", r->put.label);
            rc = -1;
        }
    }
    return rc;
}

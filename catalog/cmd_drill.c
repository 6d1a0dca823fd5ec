/*
 * walden drill: a restore, rehearsed for real, asked, measured, recorded, and thrown away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "drill.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/verified.h"

#define MINE(field) .offset = offsetof(struct drill_options, field)
#define WHEN(field) .offset = offsetof(struct restore_options, field)

static const struct opt options[] = {
    {.name = "latest",
     .kind = OPT_FLAG,
     MINE(latest),
     .help = "a base backup, and WAL up to the end of the archive"},
    {.name = "random",
     .kind = OPT_FLAG,
     MINE(random),
     .help = "a moment by chance, of all that can be restored"},
    {.name = "dump",
     .kind = OPT_TEXT,
     .arg = "JOB",
     MINE(dump),
     .help = "the newest dump of this job"},
    {.name = "on_server",
     .kind = OPT_FLAG,
     MINE(server),
     .help =
         "a dump: not into a scratch server but into a new database, which is dropped again, of "
         "the job's server or that of -h, -p, -U, -d"},
    {.name = "runner",
     .kind = OPT_TEXT,
     .arg = "COMMAND",
     MINE(runner),
     .help = "what stands in front of pg_restore and psql on that server (default: that of the "
             "dump's job)"},
    {.name = "amcheck",
     .kind = OPT_FLAG,
     .flags = OPT_NO,
     MINE(amcheck),
     .help =
         "check tables and indexes of the copy with pg_amcheck, where it is here (default: on)"},
    {.name = "scratch",
     .kind = OPT_TEXT,
     .arg = "DIR",
     MINE(scratch),
     .help = "a directory with room for the copy, for a while (default: state_dir, else TMPDIR, "
             "else /tmp)"},
    {.name = "log",
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(log),
     .help = "append the evidence to this file, too, as a block of Markdown"},
    {.name = "show",
     .kind = OPT_TEXT,
     .arg = "DRILL",
     MINE(show),
     .help = "drill nothing, but show the evidence of an earlier drill (walden list names them)"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
    {.name = "line",
     .kind = OPT_FLAG,
     MINE(line),
     .help = "print one line of key=value instead of text"},
    {.name = "json", .kind = OPT_FLAG, MINE(json), .help = "print one JSON object instead of text"},
};

static const struct opt moments[] = {
    {.name = "target_time",
     .kind = OPT_TEXT,
     .arg = "TIME",
     WHEN(time),
     .help = "a base backup, and WAL up to this moment"},
    {.name = "before_drop",
     .kind = OPT_CALL,
     .arg = "TABLE",
     .call = restore_take_before,
     .help = "up to just before this table, or the database of this name, was dropped"},
    {.name = "before_truncate",
     .kind = OPT_CALL,
     .arg = "TABLE",
     .call = restore_take_before,
     .help = "the same before it was truncated"},
    {.name = "before_deletes",
     .kind = OPT_CALL,
     .arg = "TABLE",
     .call = restore_take_before,
     .help = "the same before many of its rows were deleted or updated at once"},
    {.name = "database",
     .kind = OPT_TEXT,
     .arg = "NAME",
     WHEN(database),
     .help = "the database that the table was in, where more than one has such a table"},
    {.name = "owner",
     .kind = OPT_TEXT,
     .arg = "USER",
     WHEN(owner),
     .help = "as root: who runs the server (default: the repository's owner)"},
    {.name = "accept_older",
     .kind = OPT_FLAG,
     WHEN(accept_older),
     .help = "go on although the repository is in an older state than this host has seen"},
};

static const struct opt_program program = {
    .name = "walden drill",
    .operands = "[LABEL]",
    .summary = "rehearse a restore on a scratch server, check the copy, record what was found",
    .examples = "walden drill                            what was drilled the longest ago\n"
                "walden drill --latest --log DRILLS.md   the newest backup and all WAL\n"
                "walden drill --random                   any moment\n"
                "walden drill --before-drop orders\n"
                "walden drill --dump shop                the newest dump of a job\n"
                "walden drill 20260221T030000Z-17        this dump; or the label of a backup\n"
                "walden drill --show 20261120T041500Z-3  the evidence of an earlier one\n"
                "Sections [drill NAME] of the configuration hold questions for the copy:\n"
                "  sql = select count(*) from app.jobs   expect = >= 1   of = backup\n"
                "  command = /usr/local/bin/app-health   expect = contains ok\n",
    .exits =
        "0    restored, and every check passed\n"
        "1    the restore failed or a check did; the evidence says which\n"
        "2    wrong command line or configuration, programs are missing\n"
        "3    cannot tell: the repository or the server is not there, or no secret key is here\n"
        "4    refused for safety: the copy could reach the original, no room\n"
        "130  interrupted; nothing is left\n",
    .args_max = 1,
};

/* --- what is asked for --- */

static int check_options(struct drill_run *d, struct err *e)
{
    struct drill_options *o = d->o;
    const struct pgconn_flags *c = &o->connection;
    unsigned n = (o->latest ? 1U : 0) + (o->random ? 1U : 0) + (o->dump != NULL ? 1U : 0) +
                 (d->named != NULL ? 1U : 0) + (o->restore.time != NULL ? 1U : 0) +
                 (o->restore.before_table != NULL ? 1U : 0) + (o->show != NULL ? 1U : 0);

    if (n > 1)
        return err_set(e, ERR_USAGE, "only one thing can be drilled at a time");
    if (o->json && o->line)
        return err_set(e, ERR_USAGE, "--json and --line exclude each other");
    if (c->host != NULL || c->port != NULL || c->user != NULL || c->dbname != NULL ||
        o->runner != NULL)
        o->server = true;
    return drill_ask_check(d, e);
}

/* --- the evidence --- */

static int put_log(const struct drill_run *d, struct err *e)
{
    char path[PLACE_MAX];
    struct buf b;
    int fd = -1;
    int rc;

    buf_init(&b, 16 * 1024 * 1024);
    rc = place_absolute(path, d->o->log, e);
    if (rc == 0)
        rc = drill_markdown(d, &b, e);
    if (rc == 0)
        rc = buf_str(&b, "\n`", e);
    if (rc == 0) {
        struct buf line;

        buf_init(&line, 16 * 1024 * 1024);
        rc = drill_line(d, &line, e);
        if (rc == 0)
            rc = buf_fmt(&b, e, "%s`\n\n", buf_text(&line));
        buf_fini(&line);
    }
    if (rc == 0)
        rc = os_open(path, O_WRONLY | O_APPEND | O_CREAT, 0644, &fd, e);
    if (rc > 0)
        rc = err_set(e, ERR_IO, "the directory of \"%s\" does not exist", path);
    /* One write, so that two drills do not mix; a crash leaves the block or a part of it. */
    if (rc == 0)
        rc = os_write_full(fd, b.p, b.len, path, e);
    if (rc == 0)
        rc = os_sync(fd, path, e);
    os_drop(&fd);
    buf_fini(&b);
    return rc;
}

static int print(const struct drill_run *d, struct err *e)
{
    struct buf b;
    int rc;

    if (d->o->json)
        return drill_json(d, e);
    buf_init(&b, 16 * 1024 * 1024);
    rc = d->o->line ? drill_line(d, &b, e) : drill_text(d, &b, e);
    if (rc == 0 && d->o->line)
        rc = buf_str(&b, "\n", e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static void record(struct drill_run *d)
{
    struct object_reader *reader = calloc(1, sizeof *reader);
    const char *why = reader == NULL ? "no memory" : verified_may_not(d->repo);
    struct err e = {0};

    if (why == NULL && drill_put(&d->record, d->repo, reader, &e) == 0)
        d->recorded = true;
    else
        (void)snprintf(d->unrecorded, sizeof d->unrecorded, "%s", why != NULL ? why : e.msg);
    free(reader);
}

/* --- the drill --- */

/* What tells something about the backup, when it comes behind the beginning. */
static bool is_result(const struct err *e)
{
    return e->code == ERR_DAMAGED || e->code == ERR_HOLE || e->code == ERR_IO ||
           e->code == ERR_UNREACHABLE || e->code == ERR_TIMEOUT;
}

/* Everything goes but the evidence. */
static int clean(struct drill_run *d, struct err *e)
{
    os_signal_forget(); /* also who is interrupted cleans up */
    sqlrun_close(d->u == NULL ? NULL : d->u->sql);
    if (d->u != NULL)
        d->u->sql = NULL;
    restore_server_stop(&d->server);
    restore_server_fini(&d->server);
    return scratch_remove(&d->scratch, e);
}

static int drill(struct drill_run *d, struct err *e)
{
    struct err why = {0};
    int64_t began = os_mono_us();
    int rc;

    os_hostname(d->record.host, sizeof d->record.host);
    d->record.start = os_real_us();
    rc = d->record.kind == DRILL_BACKUP ? drill_backup(d, e) : drill_dump(d, e);
    d->record.end = os_real_us();
    d->record.total_us = (uint64_t)(os_mono_us() - began);
    if (clean(d, &why) != 0)
        msg_warn_err(d->m, &why);
    if (rc != 0 && (!d->begun || !is_result(e)))
        return -1;
    if (rc != 0)
        (void)snprintf(d->record.why, sizeof d->record.why, "%.*s", DRILL_TEXT_MAX - 1, e->msg);
    d->record.failed = rc != 0 || d->record.failures > 0;
    record(d);
    err_clear(&why);
    if (print(d, &why) != 0 || (d->o->log != NULL && put_log(d, &why) != 0)) {
        *e = why;
        return -1;
    }
    if (rc != 0) { /* the evidence has it; who reads the messages only shall see it, too */
        msg_error(d->m, e);
        err_clear(e);
    }
    return d->record.failed ? STATUS_PROBLEM : STATUS_OK;
}

/* --- an earlier one --- */

static int show(struct drill_run *d, struct err *e)
{
    struct repo *repo = calloc(1, sizeof *repo);
    struct object_reader *reader = calloc(1, sizeof *reader);
    int rc = -1;

    if (repo == NULL || reader == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to read a record with");
    } else if (cmd_key_repo(repo, d->s, REPO_READ, d->o->passphrase_file, e) == 0) {
        rc = drill_read(&d->record, repo, d->o->show, reader, e);
        if (rc > 0) {
            rc = err_set(e, ERR_USAGE, "there is no drill \"%s\"", d->o->show);
            (void)err_hint(e, "\"walden list\" shows the labels.");
        }
        d->recorded = true;
        if (rc == 0 && !d->record.has_details)
            msg_note(d->m, "no key that opens its details is here");
        if (rc == 0)
            rc = print(d, e);
        if (rc == 0 && d->o->log != NULL)
            rc = put_log(d, e);
        repo_close(repo);
    }
    free(reader);
    free(repo);
    return rc;
}

/* Root stays root, for keys and logs that are root's; but no server runs as root, nor do the
 * commands that are asked: they run as --owner, else as the repository's owner. */
static int choose_owner(struct drill_run *d, struct err *e)
{
    struct restore_options *o = &d->o->restore;
    char marker[PLACE_MAX];
    struct stat st;
    int rc;

    if (os_uid() != 0)
        return 0;
    d->owner.change = true;
    if (o->owner != NULL) {
        rc = restore_find_user(o->owner, &d->owner.uid, &d->owner.gid, e);
    } else {
        rc = place_join(marker, d->s->repo, MARKER_FILE, e);
        if (rc == 0)
            rc = os_stat(marker, &st, e);
        if (rc > 0) /* whoever opens it says so */
            return 0;
        d->owner.uid = rc == 0 ? st.st_uid : 0;
        d->owner.gid = rc == 0 ? st.st_gid : 0;
    }
    if (rc == 0 && d->owner.uid == 0 && !d->o->server) {
        (void)err_set(e, ERR_USAGE, "PostgreSQL refuses to run as root");
        return err_hint(e, "Say who shall run the scratch server: --owner postgres.");
    }
    d->owner.change = d->owner.uid != 0;
    o->owner_default = d->owner;
    return rc;
}

/* The exit status, or -1. */
static int run(struct drill_run *d, struct err *e)
{
    if (command_settings(d->s, d->m, e) != 0 || settings_need(d->s, "repo", e) != 0 ||
        check_options(d, e) != 0 || secret_start(e) != 0)
        return -1;
    if (d->o->show != NULL)
        return show(d, e);
    if (choose_owner(d, e) != 0 || drill_choose(d, e) != 0 ||
        scratch_open(&d->scratch, d->o->scratch, d->s, e) != 0)
        return -1;
    if (d->record.kind == DRILL_BACKUP && d->o->server)
        return err_set(e, ERR_USAGE,
                       "a base backup brings its own server: --on-server, -h and the "
                       "like are for dumps");
    return drill(d, e);
}

static void end(struct drill_run *d)
{
    if (d->r != NULL)
        restore_free(d->r);
    undump_free(d->u);
    scratch_fini(&d->scratch);
    drill_bases_fini(&d->bases);
    drill_fini(&d->record);
    free(d);
}

static int with_options(const struct msg *m, struct settings *s, struct drill_options *o,
                        const char *named, struct err *e)
{
    struct drill_run *d = calloc(1, sizeof *d);
    int status;

    if (d == NULL)
        return err_set(e, ERR_NOMEM, "no memory to drill with");
    d->m = m;
    d->s = s;
    d->o = o;
    d->named = named;
    drill_init(&d->record);
    drill_bases_init(&d->bases, DUMP_STREAMS_MAX);
    scratch_init(&d->scratch, m);
    restore_server_init(&d->server);
    status = run(d, e);
    if (status < 0 && e->code == ERR_KEY && !d->begun) { /* nothing can be told on this host */
        msg_fail(m, e);
        err_clear(e);
        status = STATUS_CANNOT_TELL;
    }
    end(d);
    return status;
}

int cmd_drill(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings settings;
    struct drill_options mine = {.amcheck = true};
    struct opt_set sets[4];
    struct opt_args args;
    struct err e = {0};
    int status;

    settings_init(&settings);
    restore_maps_init(&mine.restore.maps, RESTORE_MAPS_MAX);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = (struct opt_set){"Moment of a backup", moments, sizeof moments / sizeof moments[0],
                               &mine.restore,        NULL,    NULL};
    sets[2] = pgconn_flags_set(&mine.connection);
    sets[3] = settings_options(&settings);
    if (command_parse(&program, sets, 4, argc, argv, &args, &status) == 0) {
        status = with_options(&m, &settings, &mine, args.n > 0 ? args.v[0] : NULL, &e);
        if (status < 0)
            status = command_fail(&m, &e);
    }
    settings_fini(&settings);
    return status;
}

#include "basebackup/basebackup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/answer.h"
#include "basebackup/backup.h"
#include "basebackup/report.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/host.h"
#include "os/proc.h"
#include "os/signal.h"
#include "repo/hook.h"
#include "repo/hook_run.h"
#include "repo/repo.h"

#define AT(field) offsetof(struct backup_options, field)

enum { WAL_TIMEOUT_US = 900 * 1000 * 1000 };

static const struct parse_word wals[] = {{"auto", BACKUP_WAL_AUTO},
                                         {"archive", BACKUP_WAL_ARCHIVE},
                                         {"stream", BACKUP_WAL_STREAM},
                                         {NULL, 0}};

static const struct parse_word incrementals[] = {{"auto", BACKUP_INCREMENTAL_AUTO},
                                                 {"never", BACKUP_INCREMENTAL_NEVER},
                                                 {"always", BACKUP_INCREMENTAL_ALWAYS},
                                                 {NULL, 0}};

static const struct opt options[] = {
    {.name = "fast",
     .kind = OPT_FLAG,
     .offset = AT(fast),
     .help = "let the server do its checkpoint at once, at the cost of its other work"},
    {.name = "spread",
     .kind = OPT_FLAG,
     .offset = AT(spread),
     .help = "let it take its time, which may be minutes (the default)"},
    {.name = "wal",
     .kind = OPT_WORD,
     .arg = "HOW",
     .words = wals,
     .offset = AT(wal),
     .help = "archive: wait until all WAL that the backup needs is in the archive; stream: keep it "
             "in the backup; auto: archive where the server archives into this repository "
             "(default: auto)"},
    {.name = "wal_timeout",
     .kind = OPT_DURATION,
     .arg = "TIME",
     .min = 1000000,
     .max = 604800000000,
     .offset = AT(wal_timeout),
     .help = "longest time to wait for the archive (default: 15min)"},
    {.name = "incremental",
     .kind = OPT_WORD,
     .arg = "HOW",
     .words = incrementals,
     .offset = AT(incremental),
     .help = "auto: let the server send only what changed since the backup before, where it can "
             "(PostgreSQL 17 with summarize_wal on); never; always: fail where it cannot.  The "
             "backup is a full one in any case (default: auto)"},
    {.name = "tag",
     .kind = OPT_NAME,
     .arg = "NAME",
     .offset = AT(tag),
     .help = "a word of your own for this backup"},
    {.name = "whole",
     .kind = OPT_FLAG,
     .offset = AT(whole),
     .help = "store everything anew, whatever the repository holds"},
    {.name = "no_relation_map",
     .kind = OPT_FLAG,
     .offset = AT(no_relation_map),
     .help = "open no SQL connection for relation names and configuration files"},
    {.name = "progress",
     .kind = OPT_FLAG,
     .offset = AT(progress),
     .help = "report progress also where standard error is no terminal"},
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = AT(json),
     .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden-basebackup",
    .operands = "",
    .summary = "take a base backup of a running server into the repository",
    .examples = "walden-basebackup                         the local server, as libpq finds it\n"
                "walden-basebackup --fast --tag before-upgrade\n"
                "walden-basebackup -h db1 -U backup --max-rate 20MB\n"
                "walden-basebackup --wal=stream --json     a server that archives nowhere\n"
                "In the configuration, what surrounds each backup:\n"
                "  [hook backup]\n"
                "  pre = timeout=5min /usr/local/bin/quiet    a gate: when it fails, no backup\n"
                "  post = /usr/local/bin/loud                 whatever became of it\n",
    .exits = "0    the backup is whole and on stable storage\n"
             "1    it failed; nothing of it is visible\n"
             "2    wrong command line or configuration\n"
             "3    repository or server unreachable\n"
             "4    refused: another cluster or repository, or taken for dead by another program;\n"
             "     root, told by a file that others can write what to run (chown root it)\n"
             "130  interrupted\n",
    .args_min = 0,
    .args_max = 0,
};

enum { STATUS_FAILED = 1, STATUS_USAGE, STATUS_UNREACHABLE, STATUS_REFUSED, STATUS_STOPPED = 130 };

static int status_of(const struct err *e)
{
    switch (e->code) {
    case ERR_USAGE:
    case ERR_CONFIG:
        return STATUS_USAGE;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
        return STATUS_UNREACHABLE;
    case ERR_REFUSED:
        return STATUS_REFUSED;
    case ERR_INTERRUPTED:
        return STATUS_STOPPED;
    case ERR_NONE:
    case ERR_IO:
    case ERR_NOMEM:
    case ERR_DAMAGED:
    case ERR_KEY:
    case ERR_HOLE:
    case ERR_INTERNAL:
        break;
    }
    return STATUS_FAILED;
}

/* What root writes, the server's hooks could not read: root becomes the repository's owner. */
static int leave_root(const struct settings *s, const struct msg *m, struct err *e)
{
    int rc = repo_become_owner(s->repo, e); /* that it is not there is said later */

    if (rc > 0)
        msg_detail(m, "working as the user who owns the repository");
    return rc < 0 ? -1 : 0;
}

/* how NULL: before. */
static int run_hook(const char *text, const struct backup_options *o,
                    const struct backup_result *done, const struct err *how, struct err *e)
{
    struct hook_facts f = {.n = 0};

    (void)hook_fact(&f, "HOOK_WHEN", how == NULL ? "pre" : "post");
    (void)hook_fact(&f, "HOOK_COMMAND", "backup");
    (void)hook_fact(&f, "HOOK_TAG", o->tag);
    if (how != NULL) {
        (void)hook_fact(&f, "HOOK_RESULT", hook_outcome(how));
        (void)hook_fact(&f, "HOOK_ERROR", how->msg);
        (void)hook_fact(&f, "HOOK_LABEL", how->code == ERR_NONE ? done->label : "");
    }
    return hook_run_text(text, how == NULL ? "the pre hook" : "the post hook", &f, e);
}

/* What the first hook stopped must start again, whatever became of the backup. */
static int between_hooks(struct settings *s, const struct backup_options *mine, const struct msg *m,
                         struct backup_result *result, struct err *e)
{
    struct hook_set hooks;
    struct err why = {0};
    int rc;

    if (hook_set_load(&hooks, s, "backup", e) != 0 ||
        hook_set_may_run(&hooks, s, "backup", e) != 0 ||
        run_hook(hooks.pre, mine, result, NULL, e) != 0)
        return -1;
    rc = backup_run(s, mine, m, result, e);
    if (rc != 0)
        os_signal_forget();
    if (run_hook(hooks.post, mine, result, e, &why) == 0)
        return rc;
    if (rc == 0) {
        *e = why;
        return err_context(e, "backup %s is stored, but", result->label);
    }
    msg_warn_err(m, &why);
    return rc;
}

static int backup(struct settings *s, const struct backup_options *mine, const struct msg *m,
                  struct err *e)
{
    struct backup_result result;

    if (mine->fast && mine->spread)
        return err_set(e, ERR_USAGE, "--fast and --spread exclude each other");
    if (mine->whole && mine->incremental == BACKUP_INCREMENTAL_ALWAYS)
        return err_set(e, ERR_USAGE, "--whole and --incremental=always exclude each other");
    if (settings_load(s, environ, SETTINGS_PROGRAM, e) != 0 || settings_need(s, "repo", e) != 0)
        return -1;
    for (size_t i = 0; i < s->warnings.n; i++)
        msg_warn(m, "%s", s->warnings.v[i]);
    if (leave_root(s, m, e) != 0 || secret_start(e) != 0 ||
        between_hooks(s, mine, m, &result, e) != 0)
        return -1;
    return mine->json ? report_json(&result, e) : report_text(&result, e);
}

int basebackup_main(int argc, char **argv)
{
    struct opt_program called = program;
    struct msg m = {program.name, MSG_NORMAL, opt_is_given(argc, argv, "json")};
    struct backup_options mine = {.wal_timeout = WAL_TIMEOUT_US};
    struct settings settings;
    struct opt_set sets[3];
    struct opt_args args;
    struct err e = {0};
    int rc;

    if (argc > 0 && strcmp(argv[0], "backup") == 0)
        called.name = m.program = "walden backup";
    settings_init(&settings);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = pgconn_flags_set(&mine.connection);
    sets[2] = settings_options(&settings);
    rc = opt_parse(&called, sets, 3, argc, argv, &args, &e);
    if (rc > 0)
        return answer(&called, sets, 3, rc);
    if (rc == 0)
        rc = backup(&settings, &mine, &m, &e);
    settings_fini(&settings);
    if (rc == 0)
        return 0;
    msg_fail(&m, &e);
    return status_of(&e);
}

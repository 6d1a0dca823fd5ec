/*
 * walden check: is all well now?  Gathers what can be seen from here, has it judged (repo/judge),
 * and says it: to a person, a monitoring system, or whoever notify_command reaches.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "command.h"
#include "os/time.h"

struct options {
    bool json;
    bool nagios;
    bool strict;
    bool no_server;
    const char *prometheus;
    struct judge_limits limits;
};

#define AT(field) offsetof(struct options, field)
#define AGE(flag, field, text)                                                                     \
    {                                                                                              \
        .name = flag, .kind = OPT_DURATION, .arg = "TIME", .offset = AT(limits.field),             \
        .min = 1000000, .max = UINT64_C(3650) * 86400 * 1000000, .flags = OPT_ZERO, .help = text   \
    }

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = AT(json),
     .help = "print one JSON object instead of text"},
    {.name = "nagios",
     .kind = OPT_FLAG,
     .offset = AT(nagios),
     .help = "print one line with performance data; exit status 0, 1, 2, 3 for ok, warning, "
             "critical, unknown"},
    {.name = "prometheus",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = AT(prometheus),
     .help = "write the facts for a textfile collector, too; FILE is replaced as a whole"},
    {.name = "strict",
     .kind = OPT_FLAG,
     .offset = AT(strict),
     .help = "exit with 1 for warnings, too"},
    {.name = "no_server",
     .kind = OPT_FLAG,
     .offset = AT(no_server),
     .help = "do not ask the server: for hosts that cannot reach it"},
    AGE("wal_max_age", wal_age,
        "WAL that is not archived for longer is a warning, for twice as long critical; 0: never "
        "(default: 15min)"),
    AGE("backup_max_age", backup_age, "the same for the newest base backup (default: 8d)"),
    AGE("dump_max_age", dump_age, "the same for the newest dump of each job (default: 26h)"),
    AGE("verify_max_age", verify_age,
        "a warning when nothing was read back for so long (default: 35d)"),
    AGE("drill_max_age", drill_age,
        "a warning when no restore was rehearsed for so long, or, without any drill, when the "
        "oldest "
        "backup is older; 0 means never (default: 35d)"),
    AGE("full_within", full_within,
        "a warning when a disk will be full sooner, critical in a sixth of it (default: 2d)"),
    {.name = "min_free",
     .kind = OPT_U64,
     .arg = "PERCENT",
     .offset = AT(limits.space_percent),
     .max = 99,
     .help = "free space below this is a warning, below half of it critical (default: 10)"},
};

static const struct opt_program program = {
    .name = "walden check",
    .operands = "",
    .summary = "say whether all is well, what is not, and what to type next",
    .examples = "walden check\n"
                "walden check --nagios --backup-max-age 26h\n"
                "walden check --prometheus /var/lib/node_exporter/walden.prom\n"
                "walden check --no-server --json       on the host that keeps the repository\n",
    .exits = "0    nothing critical (with --strict: no warning either)\n"
             "1    something is critical\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: something could not be seen, and nothing else is critical\n"
             "130  interrupted\n"
             "With --nagios: 0 ok, 1 warning, 2 critical, 3 unknown.\n",
};

enum { TEXT_MAX = 256 * 1024, NAGIOS_UNKNOWN = 3 };

static void gather_config(struct check *c, const struct err *mistake)
{
    struct judge_host *h = &c->facts.host;

    if (mistake->code == ERR_NONE)
        return;
    (void)snprintf(h->config_error, sizeof h->config_error, "%s", mistake->msg);
    (void)snprintf(h->config_hint, sizeof h->config_hint, "%.*s", JUDGE_NEXT_MAX - 1,
                   mistake->hint);
}

/* A server that does not archive, and of which nothing was ever archived, is judged by its dumps.
 */
static bool is_dumps_only(const struct judge_facts *f)
{
    bool archived = f->archive.read && (f->archive.segments > 0 || f->archive.backups > 0);
    bool archives = f->pg.state == JUDGE_SERVER_OK && f->pg.archives && !f->pg.wal_minimal;

    return f->archive.read && !archived && !archives &&
           (f->dumps.dumps > 0 || f->pg.state == JUDGE_SERVER_OK);
}

static int gather(struct check *c, struct err *e)
{
    c->facts.now = os_real_us();
    (void)snprintf(c->cluster, sizeof c->cluster, "%s", c->settings->cluster);
    c->system_id = c->settings->system_id;
    check_remember(c);
    check_server(c);
    if (check_repo(c, e) != 0 || check_host(c, e) != 0 || check_duties(c, e) != 0)
        return -1;
    c->facts.dumps_only = is_dumps_only(&c->facts);
    if (judge_all(&c->facts, &c->limits, &c->verdicts, e) != 0)
        return -1;
    c->worst = judge_worst(&c->verdicts);
    return 0;
}

/* --- saying it --- */

static int put_prometheus(const struct check *c, const char *file, struct err *e)
{
    const struct place_owner owner = {.change = false};
    char path[PLACE_MAX];
    struct buf b;
    int rc;

    buf_init(&b, TEXT_MAX);
    rc = check_prometheus(c, &b, e);
    if (rc == 0)
        rc = place_absolute(path, file, e);
    /* Readable for the collector, which is another user; there is no name or row in it. */
    if (rc == 0)
        rc = place_put(path, b.p, b.len, 0644, true, &owner, e) < 0 ? -1 : 0;
    buf_fini(&b);
    return rc;
}

static int say(const struct check *c, const struct options *mine, const struct msg *m,
               struct err *e)
{
    struct buf text;
    struct buf line;
    int rc;

    buf_init(&text, TEXT_MAX);
    buf_init(&line, TEXT_MAX);
    rc = check_text(c, &text, e);
    if (rc == 0 && mine->json)
        rc = check_json(c, e);
    else if (rc == 0 && mine->nagios)
        rc = check_nagios(c, &line, e) == 0 ? command_print(buf_text(&line), line.len, e) : -1;
    else if (rc == 0)
        rc = command_print(buf_text(&text), text.len, e);
    if (mine->prometheus != NULL && rc == 0)
        rc = put_prometheus(c, mine->prometheus, e);
    if (rc == 0)
        check_notify(c, buf_text(&text), m);
    buf_fini(&line);
    buf_fini(&text);
    return rc;
}

static int status_of(const struct check *c, const struct options *mine)
{
    static const int nagios[] = {[JUDGE_OK] = 0,
                                 [JUDGE_WARNING] = 1,
                                 [JUDGE_CRITICAL] = 2,
                                 [JUDGE_UNKNOWN] = NAGIOS_UNKNOWN};
    bool unknown = false;

    if (mine->nagios)
        return nagios[c->worst];
    if (c->worst == JUDGE_CRITICAL || (c->worst == JUDGE_WARNING && mine->strict))
        return STATUS_PROBLEM;
    for (size_t i = 0; i < c->verdicts.n; i++)
        unknown = unknown || c->verdicts.v[i].state == JUDGE_UNKNOWN;
    return unknown ? STATUS_CANNOT_TELL : STATUS_OK;
}

/* The exit status, or -1 with *e. */
static int check(const struct settings *s, const struct options *mine,
                 const struct pgconn_flags *to, const struct err *mistake, const struct msg *m,
                 struct err *e)
{
    struct check *c = calloc(1, sizeof *c);
    int rc = -1;

    if (c == NULL)
        return err_set(e, ERR_NOMEM, "no memory to check with");
    c->settings = s;
    c->connect = *to;
    c->no_server = mine->no_server;
    c->limits = mine->limits;
    gather_config(c, mistake);
    if (gather(c, e) == 0 && say(c, mine, m, e) == 0) {
        check_keep(c, m);
        rc = status_of(c, mine);
    }
    judge_verdicts_fini(&c->verdicts);
    check_repo_close(c);
    free(c);
    return rc;
}

/* The command line into fresh settings: 0, or *status as of command_parse. */
static int parse(struct settings *s, struct options *mine, struct pgconn_flags *to, int argc,
                 char **argv, int *status)
{
    struct opt_set sets[3];
    struct opt_args args;

    *mine = (struct options){.json = false};
    *to = (struct pgconn_flags){.host = NULL};
    settings_init(s);
    judge_limits_init(&mine->limits);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], mine, NULL, NULL};
    sets[1] = pgconn_flags_set(to);
    sets[2] = settings_options(s);
    return command_parse(&program, sets, 3, argc, argv, &args, status);
}

/* Nothing is left to tell when that cannot be written, either. */
static void nagios_failed(const struct err *why)
{
    struct err quiet = {0};
    struct buf line;

    buf_init(&line, TEXT_MAX);
    if (check_nagios_failed(why, &line, &quiet) != 0 ||
        command_print(buf_text(&line), line.len, &quiet) != 0)
        err_clear(&quiet);
    buf_fini(&line);
}

int cmd_check(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings settings;
    struct options mine;
    struct pgconn_flags to;
    struct err mistake = {0};
    struct err e = {0};
    bool judged = false;
    int status;
    int rc = parse(&settings, &mine, &to, argc, argv, &status);

    if (rc == 0 && settings_load(&settings, environ, SETTINGS_PROGRAM, &mistake) != 0) {
        /* A mistake in a section stops no hook, so it must not stop the check either: it becomes
           one of its verdicts. */
        settings_fini(&settings);
        rc = parse(&settings, &mine, &to, argc, argv, &status);
        if (rc == 0 && (mistake.code != ERR_CONFIG ||
                        settings_load(&settings, environ, SETTINGS_HOOK, &e) != 0)) {
            status = command_fail(&m, &mistake);
            rc = 1;
        }
    }
    if (rc == 0) {
        status = settings_need(&settings, "repo", &e);
        if (status == 0)
            status = check(&settings, &mine, &to, &mistake, &m, &e);
        judged = status >= 0;
        if (status < 0)
            status = command_fail(&m, &e);
    }
    /* Nagios knows no other word for "could not even look", and shows what is on standard output.
     */
    if (mine.nagios && !judged && status != STATUS_OK) {
        nagios_failed(e.code != ERR_NONE ? &e : &mistake);
        status = NAGIOS_UNKNOWN;
    }
    settings_fini(&settings);
    return status;
}

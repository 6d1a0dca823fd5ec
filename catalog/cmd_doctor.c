/*
 * walden doctor: proves the whole loop with a real segment, and says what is wrong where it breaks:
 * which setting, user, mode, mount or program, and how to mend it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "doctor.h"
#include "os/file.h"
#include "os/time.h"

struct options {
    bool json;
    uint64_t patience;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "print one JSON object instead of text"},
    {.name = "wait",
     .kind = OPT_DURATION,
     .arg = "TIME",
     .min = 1000000,
     .max = UINT64_C(3600) * 1000000,
     .offset = offsetof(struct options, patience),
     .help = "how long the server may take to archive one segment; it tries again once a minute "
             "(default: 75s)"},
};

static const struct opt_program program = {
    .name = "walden doctor",
    .operands = "",
    .summary = "prove that WAL is archived and comes back, and say what is wrong if not",
    .examples =
        "walden doctor                         on the server's host, as its user or as root\n"
        "walden doctor -h db.example.org -U monitor\n"
        "walden doctor --secret-key /mnt/stick/recovery.key    opens the sealed copy, too\n",
    .exits = "0    the loop is proven, as far as could be seen\n"
             "1    something is wrong\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the server or something else could not be seen\n"
             "130  interrupted\n",
};

enum { TEXT_MAX = 256 * 1024, SCHEMA = 1 };

void doctor_say(struct doctor *d, const char *name, enum judge_state state, const char *next,
                const char *fmt, ...)
{
    struct err e = {0};
    struct judge_verdict *v = judge_verdicts_add(&d->out, &e);
    va_list ap;

    if (v == NULL) {
        d->failed = true;
        return;
    }
    v->name = name;
    v->state = state;
    (void)snprintf(v->next, sizeof v->next, "%s", next == NULL ? "" : next);
    va_start(ap, fmt);
    (void)vsnprintf(v->text, sizeof v->text, fmt, ap);
    va_end(ap);
}

/* What check knows as well: the questions that are about the set-up. */
static void take_over(struct doctor *d, const char *const *names)
{
    const struct judge_verdicts *all = &d->check->verdicts;

    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; names[k] != NULL; k++)
            if (strcmp(all->v[i].name, names[k]) == 0)
                doctor_say(d, all->v[i].name, all->v[i].state, all->v[i].next, "%s",
                           all->v[i].text);
}

static int look_around(struct doctor *d, struct err *e)
{
    static const char *const first[] = {"server", "settings", "repository", "space", NULL};
    static const char *const later[] = {"placement", "keys", "configuration", NULL};
    struct check *c = d->check;
    struct stat st;
    struct err quiet = {0};

    c->facts.now = os_real_us();
    (void)snprintf(c->cluster, sizeof c->cluster, "%s", c->settings->cluster);
    c->system_id = c->settings->system_id;
    check_server(c);
    if (check_repo_open(c, e) != 0 || check_host(c, e) != 0 ||
        judge_all(&c->facts, &c->limits, &c->verdicts, e) != 0)
        return -1;
    if (c->data_dir[0] != '\0' && os_stat(c->data_dir, &st, &quiet) == 0) {
        d->owner_known = true;
        d->uid = st.st_uid;
        d->gid = st.st_gid;
    }
    take_over(d, first);
    if (doctor_command_parse(&d->command, c->facts.pg.archive_command, e) != 0)
        return -1;
    doctor_look_at_command(d);
    doctor_look_at_place(d);
    take_over(d, later);
    return 0;
}

/* The loop can only be tried where the server archives with us, into this repository. */
static bool can_try(const struct doctor *d)
{
    const struct judge_facts *f = &d->check->facts;

    return f->pg.state == JUDGE_SERVER_OK && f->pg.archives && f->pg.command_is_ours &&
           f->pg.archive_library[0] == '\0' && f->repo.state == JUDGE_REPO_OK;
}

static int examine(struct doctor *d, struct err *e)
{
    struct pgconn_opts to = pgconn_flags_to(&d->check->connect, d->check->settings->dsn);

    if (look_around(d, e) != 0)
        return -1;
    if (!can_try(d)) {
        /* A repository that this program cannot use is one that the hook cannot use either: let it
           say so in its own words. */
        doctor_say(d, "loop", JUDGE_UNKNOWN, "mend what is wrong above, then walden doctor",
                   "the loop was not tried");
        return 0;
    }
    if (pgconn_open(&d->conn, &to, e) != 0)
        return -1;
    return doctor_loop(d, e);
}

/* --- saying it --- */

static int print_text(const struct doctor *d, enum judge_state worst, struct err *e)
{
    static const char *const ends[] = {
        [JUDGE_OK] = "the loop is proven\n",
        [JUDGE_WARNING] = "the loop is proven; see the warnings\n",
        [JUDGE_CRITICAL] = "something is wrong: WAL is not archived as it should be\n",
        [JUDGE_UNKNOWN] = "not all could be seen\n",
    };
    struct buf b;
    int rc = 0;

    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; rc == 0 && i < d->out.n; i++)
        rc = check_verdict(&d->out.v[i], &b, e);
    if (rc == 0)
        rc = buf_fmt(&b, e, "\n%s", ends[worst]);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static int print_json(const struct doctor *d, enum judge_state worst, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SCHEMA);
    json_str(&j, "cluster", d->check->cluster);
    json_str(&j, "state", judge_word(worst));
    json_str(&j, "segment", d->segment[0] == '\0' ? NULL : d->segment);
    check_json_verdicts(&d->out, &j, "findings");
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

/* The exit status, or -1 with *e. */
static int doctor(const struct settings *s, const struct options *mine,
                  const struct pgconn_flags *to, struct err *e)
{
    struct doctor *d = calloc(1, sizeof *d);
    struct check *c = calloc(1, sizeof *c);
    enum judge_state worst;
    int rc = -1;

    if (d == NULL || c == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to look around");
        goto out;
    }
    d->check = c;
    d->patience = (int64_t)mine->patience;
    judge_verdicts_init(&d->out, JUDGE_VERDICTS_MAX);
    c->settings = s;
    c->connect = *to;
    judge_limits_init(&c->limits);
    rc = examine(d, e);
    if (rc == 0 && d->failed)
        rc = err_set(e, ERR_NOMEM, "no memory for a finding");
    worst = judge_worst(&d->out);
    if (rc == 0)
        rc = mine->json ? print_json(d, worst, e) : print_text(d, worst, e);
    if (rc == 0 && worst == JUDGE_CRITICAL)
        rc = STATUS_PROBLEM;
    for (size_t i = 0; rc == 0 && i < d->out.n; i++)
        rc = d->out.v[i].state == JUDGE_UNKNOWN ? STATUS_CANNOT_TELL : 0;
    judge_verdicts_fini(&d->out);
    judge_verdicts_fini(&c->verdicts);
    doctor_command_free(&d->command);
    pgconn_close(d->conn);
    check_repo_close(c);
out:
    free(c);
    free(d);
    return rc;
}

struct line {
    struct options mine; /* first: what a body gets */
    struct pgconn_flags to;
};

static int body(const struct command_call *c, struct err *e)
{
    const struct line *l = c->mine;

    if (settings_need(c->s, "repo", e) != 0)
        return -1;
    return doctor(c->s, &l->mine, &l->to, e);
}

int cmd_doctor(int argc, char **argv)
{
    struct line l = {.mine.patience = UINT64_C(75) * 1000000};
    const struct opt_set own[] = {
        {"Options", options, sizeof options / sizeof options[0], &l, NULL, NULL},
        pgconn_flags_set(&l.to)};

    return command_run(&program, own, 2, body, argc, argv);
}

/*
 * walden window: until when can I go back, and what is in between?
 */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "command.h"
#include "object/secret.h"
#include "os/host.h"
#include "os/tty.h"
#include "window.h"

struct options {
    bool json;
    bool ascii;
    bool offline;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "print one JSON object instead of text"},
    {.name = "ascii",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, ascii),
     .help = "draw with ASCII characters only"},
    {.name = "offline",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, offline),
     .help = "do not ask the server how far it is"},
};

static const struct opt_program program = {
    .name = "walden window",
    .operands = "",
    .summary = "show to which moments you can go back, with every gap and what it costs",
    .examples = "walden window                      of all clusters\n"
                "walden window --cluster main       of one of them\n"
                "walden window --json | jq '.windows[-1].end_time'\n",
    .exits = "0    something can be restored, and nothing is missing or damaged\n"
             "1    nothing can be restored, or a hole, damage or another problem was found\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety\n"
             "130  interrupted\n",
};

VEC_DECLARE(window_lineages, struct window_lineage);

bool window_is_trouble(const struct window_gap *g)
{
    return g->why != PLAN_ENDS && g->why != PLAN_EXPIRED;
}

/* --- JSON --- */

static void json_lineage(struct json_out *j, const struct window_lineage *x)
{
    json_str(j, "cluster", x->l->cluster);
    json_fmt(j, "system_id", "%llu", (unsigned long long)x->l->system_id);
}

static void json_way_end(struct json_out *j, const struct window_lineage *x, enum plan_why why,
                         tli_t tli, uint64_t segno)
{
    char name[WALNAME_MAX];

    json_str(j, "ends", window_why_word(why));
    if (why == PLAN_ENDS) {
        json_null(j, "segment");
        return;
    }
    walname_segment(name, tli, segno, x->l->segment_size);
    json_str(j, "segment", name);
}

static void json_window(struct json_out *j, const struct window_lineage *x, const struct window *w)
{
    json_object(j, NULL);
    json_lineage(j, x);
    json_num(j, "timeline", w->tli);
    survey_json_lsn(j, "start_lsn", w->start);
    survey_json_lsn(j, "end_lsn", w->end);
    survey_json_time(j, "start_time", w->start_time);
    survey_json_time(j, "end_time", w->end_time);
    json_array(j, "backups");
    for (size_t i = w->backup; i < w->backup + w->backups; i++)
        json_str(j, NULL, x->v.in.backups.v[x->w.backups.v[i]].label);
    json_array_end(j);
    json_way_end(j, x, w->why, w->at_tli, w->at_segno);
    json_bool(j, "newest", w == windows_newest(&x->w));
    json_object_end(j);
}

static void json_gap(struct json_out *j, const struct window_lineage *x, const struct window_gap *g)
{
    json_object(j, NULL);
    json_lineage(j, x);
    json_num(j, "timeline", g->tli);
    survey_json_lsn(j, "from_lsn", g->from);
    survey_json_lsn(j, "to_lsn", g->to);
    survey_json_time(j, "from_time", g->from_time);
    survey_json_time(j, "to_time", g->to_time);
    json_bool(j, "open", g->is_open);
    json_way_end(j, x, g->why, g->at_tli, g->at_segno);
    json_object_end(j);
}

static void json_loss(struct json_out *j, const struct window_lineage *x)
{
    const struct window_loss *s = &x->loss;

    json_object(j, NULL);
    json_lineage(j, x);
    survey_json_time(j, "now", s->now);
    survey_json_time(j, "newest_commit", s->is_known ? s->newest : COVERAGE_NO_TIME);
    if (s->is_known && s->now >= s->newest)
        json_num(j, "seconds", (uint64_t)((s->now - s->newest) / USEC_PER_SEC));
    else
        json_null(j, "seconds");
    if (s->has_server) {
        survey_json_lsn(j, "server_lsn", s->server_lsn);
        json_num(j, "wal_bytes", s->server_lsn > s->archived ? s->server_lsn - s->archived : 0);
    } else {
        json_null(j, "server_lsn");
        json_null(j, "wal_bytes");
    }
    json_object_end(j);
}

static int print_json(const struct survey *s, const struct window_lineages *all, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    survey_json_repo(s, &j);
    json_array(&j, "windows");
    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < all->v[i].w.list.n; k++)
            json_window(&j, &all->v[i], &all->v[i].w.list.v[k]);
    json_array_end(&j);
    json_array(&j, "gaps");
    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < all->v[i].w.gaps.n; k++)
            json_gap(&j, &all->v[i], &all->v[i].w.gaps.v[k]);
    json_array_end(&j);
    json_array(&j, "loss");
    for (size_t i = 0; i < all->n; i++)
        json_loss(&j, &all->v[i]);
    json_array_end(&j);
    survey_json_problems(s, &j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

/* --- text --- */

/* Does the terminal's character set have more than ASCII? */
static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = os_env(names[i]);

        if (value != NULL)
            return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL;
    }
    return false;
}

static int print_text(const struct survey *s, const struct window_lineages *all, bool ascii,
                      struct err *e)
{
    const char *term = os_env("TERM");
    const struct window_look look = {.ascii = ascii || !is_utf8(),
                                     .colour = os_tty_is(1) && os_env("NO_COLOR") == NULL &&
                                               term != NULL && strcmp(term, "dumb") != 0,
                                     .width = command_width()};
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    rc = survey_show_repo(s, &b, e);
    if (rc == 0 && all->n == 0)
        rc = buf_str(&b, "\nno cluster archives here yet: \"walden init\" adds one\n", e);
    for (size_t i = 0; rc == 0 && i < all->n; i++)
        rc = window_show(&all->v[i], &look, &b, e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

/* --- all --- */

static bool is_well(const struct survey *s, const struct window_lineages *all)
{
    bool any = false;

    for (size_t i = 0; i < all->n; i++) {
        any = any || windows_newest(&all->v[i].w) != NULL;
        for (size_t k = 0; k < all->v[i].w.gaps.n; k++)
            if (window_is_trouble(&all->v[i].w.gaps.v[k]))
                return false;
    }
    return any && survey_problems(s) == 0;
}

static int look_at(struct survey *s, const struct settings *settings, struct window_lineages *all,
                   const struct options *mine, struct err *e)
{
    for (size_t i = 0; i < s->lineages.n; i++) {
        struct window_lineage *x = window_lineages_add(all, e);

        if (x == NULL)
            return -1;
        x->l = &s->lineages.v[i];
        windows_init(&x->w);
        if (survey_inventory(s, settings, x->l, &x->v, e) != 0 ||
            windows_make(&x->w, &x->v.in, e) != 0 || survey_verified(s, x->l, e) != 0)
            return -1;
        window_ask(x, settings->dsn, mine->offline);
    }
    return 0;
}

/* The exit status, or -1 with *e. */
static int run(const struct settings *settings, const struct options *mine, struct err *e)
{
    struct survey *s = calloc(1, sizeof *s);
    struct window_lineages all;
    int rc;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the repository with");
    if (secret_start(e) != 0 || survey_open(s, settings, e) != 0) {
        free(s);
        return -1;
    }
    window_lineages_init(&all, SURVEY_MAX);
    rc = look_at(s, settings, &all, mine, e);
    if (rc == 0)
        rc = mine->json ? print_json(s, &all, e) : print_text(s, &all, mine->ascii, e);
    if (rc == 0)
        rc = is_well(s, &all) ? STATUS_OK : STATUS_PROBLEM;
    for (size_t i = 0; i < all.n; i++) {
        windows_fini(&all.v[i].w);
        inventory_fini(&all.v[i].v);
    }
    window_lineages_fini(&all);
    survey_close(s);
    free(s);
    return rc;
}

static int body(const struct command_call *c, struct err *e)
{
    return run(c->s, c->mine, e);
}

int cmd_window(int argc, char **argv)
{
    struct options mine = {0};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}

/*
 * walden list: what the repository holds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "object/secret.h"
#include "survey.h"

struct options {
    bool json;
    bool heads;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "print one JSON object instead of text"},
    {.name = "heads",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, heads),
     .help = "print only the newest record of each writer: kept elsewhere, it shows later whether "
             "the repository is still in its newest state"},
};

static const struct opt_program program = {
    .name = "walden list",
    .operands = "",
    .summary =
        "show what the repository holds: base backups, dumps, drills, and WAL with every hole and "
        "damage",
    .examples = "walden list                        all clusters\n"
                "walden list --cluster main         one of them\n"
                "walden list --heads                what to keep elsewhere, to notice a rollback\n"
                "walden list --json | jq '.backups[-1].label'\n",
    .exits = "0    done; nothing is missing or damaged, as far as headers, summaries and the last\n"
             "     verifications tell\n"
             "1    a hole, damage or another problem was found\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety\n"
             "130  interrupted\n",
};

/* --- text --- */

static int show_times(const struct coverage_timeline *t, struct buf *out, struct err *e)
{
    char first[SURVEY_TIME_MAX];
    char last[SURVEY_TIME_MAX];

    if (t->first_time == COVERAGE_NO_TIME)
        return buf_str(out, "      commits  none\n", e);
    survey_time(first, t->first_time);
    survey_time(last, t->last_time);
    return buf_fmt(out, e, "      commits  %s\n           to  %s\n", first, last);
}

static int show_extras(const struct survey_lineage *l, tli_t tli, size_t *at, struct buf *out,
                       struct err *e)
{
    const struct scan_extras *x = &l->scan.extras;
    char name[WALNAME_MAX];
    char end[TEXT_LSN_MAX];
    size_t backups = 0;

    for (; *at < x->n && x->v[*at].tli == tli; (*at)++) {
        backups += x->v[*at].partial ? 0 : 1;
        if (!x->v[*at].partial)
            continue;
        walname_partial(name, tli, x->v[*at].segno, l->segment_size);
        text_lsn(end, x->v[*at].end);
        if (buf_fmt(out, e, "      partial  %s, up to %s; no recovery uses it by itself\n", name,
                    end) != 0)
            return -1;
    }
    return backups == 0 ? 0 : buf_fmt(out, e, "      backup histories  %zu\n", backups);
}

static int show_expired(const struct survey_lineage *l, tli_t tli, struct buf *out, struct err *e)
{
    const struct expired_ranges *x = &l->scan.expired.ranges;
    char a[TEXT_LSN_MAX];
    char b[TEXT_LSN_MAX];

    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].tli != tli)
            continue;
        text_lsn(a, x->v[i].from);
        text_lsn(b, x->v[i].to);
        if (buf_fmt(out, e, "      expired  %s to %s\n", a, b) != 0)
            return -1;
    }
    return 0;
}

static int show_timeline(const struct coverage_timeline *t, struct buf *out, struct err *e)
{
    char a[TEXT_LSN_MAX];
    char b[TEXT_LSN_MAX];
    char size[SURVEY_SIZE_MAX];

    text_lsn(a, t->birth);
    if (buf_fmt(out, e, "  timeline %u", (unsigned)t->tli) != 0 ||
        (t->parent != 0 &&
         buf_fmt(out, e, ", left timeline %u at %s", (unsigned)t->parent, a) != 0) ||
        buf_str(out, "\n", e) != 0)
        return -1;
    if (t->rows == 0)
        return buf_str(out, "      WAL      no whole segment\n", e);
    text_lsn(a, t->start);
    text_lsn(b, t->end);
    survey_size(size, t->stored);
    if (buf_fmt(out, e, "      WAL      %s to %s, %zu segment%s, %s stored\n", a, b, t->rows,
                t->rows == 1 ? "" : "s", size) != 0)
        return -1;
    return show_times(t, out, e);
}

static int show(const struct survey *s, struct buf *out, struct err *e)
{
    size_t problems = survey_problems(s);
    size_t things = 0;

    if (survey_show_repo(s, out, e) != 0)
        return -1;
    for (size_t i = 0; i < s->lineages.n; i++) {
        const struct survey_lineage *l = &s->lineages.v[i];
        const struct coverage_timelines *t = &l->scan.cover.timelines;
        size_t extra = 0;

        if (survey_show_lineage(l, out, e) != 0 || survey_show_backups(l, out, e) != 0 ||
            survey_show_dumps(l, out, e) != 0 || survey_show_drills(l, out, e) != 0)
            return -1;
        for (size_t k = 0; k < t->n; k++)
            if (show_timeline(&t->v[k], out, e) != 0 || show_expired(l, t->v[k].tli, out, e) != 0 ||
                show_extras(l, t->v[k].tli, &extra, out, e) != 0)
                return -1;
        if (survey_show_problems(l, out, e) != 0)
            return -1;
        things += t->n + l->backups.items.n + l->dumps.n;
    }
    if (problems > 0)
        return buf_fmt(out, e, "\n%zu problem%s\n", problems, problems == 1 ? "" : "s");
    return buf_str(out,
                   things == 0 ? "\nnothing is archived here yet\n"
                               : "\nnothing is missing, no damage is known; \"walden verify\" "
                                 "reads all of it back\n",
                   e);
}

/* --- JSON --- */

static void json_hole(struct json_out *j, const struct survey_lineage *l,
                      const struct coverage_hole *h)
{
    char name[WALNAME_MAX];

    json_object(j, NULL);
    survey_json_lsn(j, "start", walname_start(h->first, l->segment_size));
    survey_json_lsn(j, "end", walname_start(h->end, l->segment_size));
    walname_segment(name, h->tli, h->first, l->segment_size);
    json_str(j, "first", name);
    walname_segment(name, h->tli, h->end - 1, l->segment_size);
    json_str(j, "last", name);
    json_num(j, "segments", h->end - h->first);
    json_num(j, "needed_by", h->needed_by);
    survey_json_time(j, "last_commit", h->seen);
    json_object_end(j);
}

static void json_expired(struct json_out *j, const struct survey_lineage *l, tli_t tli)
{
    const struct expired_ranges *x = &l->scan.expired.ranges;

    json_array(j, "expired");
    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].tli != tli)
            continue;
        json_object(j, NULL);
        survey_json_lsn(j, "start", x->v[i].from);
        survey_json_lsn(j, "end", x->v[i].to);
        json_object_end(j);
    }
    json_array_end(j);
}

/* The problems are sorted by timeline, so *at goes through them once. */
static void json_damaged(struct json_out *j, const struct survey_lineage *l, tli_t tli, size_t *at)
{
    const struct problem_list *p = &l->scan.problems.list;

    json_array(j, "damaged");
    while (*at < p->n && p->v[*at].tli < tli)
        (*at)++;
    for (; *at < p->n && p->v[*at].tli == tli; (*at)++) {
        const struct problem *one = &p->v[*at];

        if (!problem_is_damage(one))
            continue;
        json_object(j, NULL);
        json_str(j, "segment", one->name);
        survey_json_lsn(j, "start", walname_start(one->first, l->segment_size));
        survey_json_lsn(j, "end", walname_start(one->end, l->segment_size));
        json_str(j, "kind", problem_word(one->kind));
        if (one->at == 0)
            json_null(j, "lsn");
        else
            survey_json_lsn(j, "lsn", one->at);
        survey_json_time(j, "last_commit", one->at == 0 ? COVERAGE_NO_TIME : one->seen);
        json_str(j, "what", one->what);
        json_str(j, "consequence", one->consequence);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_extras(struct json_out *j, const struct survey_lineage *l, tli_t tli, size_t *at)
{
    const struct scan_extras *x = &l->scan.extras;
    char name[WALNAME_MAX];
    uint64_t backups = 0;

    json_array(j, "partials");
    for (; *at < x->n && x->v[*at].tli == tli; (*at)++) {
        const struct scan_extra *one = &x->v[*at];

        if (!one->partial) {
            backups++;
            continue;
        }
        json_object(j, NULL);
        walname_partial(name, tli, one->segno, l->segment_size);
        json_str(j, "name", name);
        survey_json_lsn(j, "start", walname_start(one->segno, l->segment_size));
        if (one->end == 0)
            json_null(j, "end");
        else
            survey_json_lsn(j, "end", one->end);
        survey_json_time(j, "last_commit", one->last_time);
        json_object_end(j);
    }
    json_array_end(j);
    json_num(j, "backup_histories", backups);
}

static void json_timeline(struct json_out *j, const struct survey_lineage *l,
                          const struct coverage_timeline *t, size_t *problem, size_t *extra)
{
    static const char *const history[] = {
        [COVERAGE_NO_HISTORY] = "missing",
        [COVERAGE_HISTORY] = "present",
        [COVERAGE_HISTORY_LOST] = "damaged",
    };

    json_object(j, NULL);
    json_str(j, "cluster", l->cluster);
    json_fmt(j, "system_id", "%llu", (unsigned long long)l->system_id);
    json_num(j, "timeline", t->tli);
    if (t->parent == 0) {
        json_null(j, "parent");
        json_null(j, "switch");
    } else {
        json_num(j, "parent", t->parent);
        survey_json_lsn(j, "switch", t->birth);
    }
    json_str(j, "history", t->tli == 1 ? "none" : history[t->history]);
    survey_json_lsn(j, "start", t->start);
    survey_json_lsn(j, "end", t->end);
    survey_json_time(j, "first_commit", t->first_time);
    survey_json_time(j, "last_commit", t->last_time);
    json_num(j, "segments", t->rows);
    json_num(j, "stored_bytes", t->stored);
    json_array(j, "holes");
    for (size_t i = t->hole; i < t->hole + t->holes; i++)
        json_hole(j, l, &l->scan.cover.holes.v[i]);
    json_array_end(j);
    json_expired(j, l, t->tli);
    json_damaged(j, l, t->tli, problem);
    json_extras(j, l, t->tli, extra);
    json_object_end(j);
}

static int print_json(const struct survey *s, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc = 0;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    survey_json_repo(s, &j);
    json_array(&j, "backups");
    for (size_t i = 0; rc == 0 && i < s->lineages.n; i++)
        rc = survey_json_backups(&s->lineages.v[i], &j, e);
    json_array_end(&j);
    json_array(&j, "dumps");
    for (size_t i = 0; i < s->lineages.n; i++)
        survey_json_dumps(&s->lineages.v[i], &j);
    json_array_end(&j);
    json_array(&j, "drills");
    for (size_t i = 0; i < s->lineages.n; i++)
        survey_json_drills(&s->lineages.v[i], &j);
    json_array_end(&j);
    json_array(&j, "wal");
    for (size_t i = 0; i < s->lineages.n; i++) {
        const struct survey_lineage *l = &s->lineages.v[i];
        size_t problem = 0;
        size_t extra = 0;

        for (size_t k = 0; k < l->scan.cover.timelines.n; k++)
            json_timeline(&j, l, &l->scan.cover.timelines.v[k], &problem, &extra);
    }
    json_array_end(&j);
    survey_json_problems(s, &j);
    json_object_end(&j);
    if (rc == 0)
        rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

static int print_text(const struct survey *s, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    rc = show(s, &b, e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

/* The newest record of each writer, as a host keeps them: one line each. */
static int take_heads(struct survey *s, struct survey_lineage *l, struct buf *out, struct err *e)
{
    char writer[2 * MANIFEST_WRITER + 1];
    char digest[2 * MANIFEST_DIGEST + 1];

    for (size_t i = 0; i < l->heads.found.n; i++) {
        struct manifest_seen *seen = &l->heads.found.v[i];
        struct store_name name = {.kind = seen->kind, .name = seen->label, .job = seen->job};

        manifest_seen_here(seen, &s->repo);
        if (seen->label[0] != '\0' && manifest_chain_digest(&s->repo, &name, seen->digest, e) != 0)
            return -1;
        text_hex(writer, seen->writer, MANIFEST_WRITER);
        text_hex(digest, seen->digest, MANIFEST_DIGEST);
        if (buf_fmt(out, e, "%s %llu %s %s\n", writer, (unsigned long long)seen->sequence, digest,
                    seen->where) != 0)
            return -1;
    }
    return 0;
}

/* The exit status, or -1 with *e. */
static int list(const struct settings *settings, const struct options *mine, struct err *e)
{
    struct buf heads;
    struct survey *s = calloc(1, sizeof *s);
    const struct scan_how how = {0};
    int rc = 0;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the repository with");
    if (secret_start(e) != 0 || survey_open(s, settings, e) != 0) {
        free(s);
        return -1;
    }
    buf_init(&heads, SURVEY_TEXT_MAX);
    for (size_t i = 0; rc == 0 && i < s->lineages.n; i++) {
        rc = survey_scan(s, settings, &s->lineages.v[i], &how, e);
        if (rc == 0 && !mine->heads)
            rc = survey_verified(s, &s->lineages.v[i], e);
        if (rc == 0 && mine->heads)
            rc = take_heads(s, &s->lineages.v[i], &heads, e);
    }
    if (rc == 0 && mine->heads)
        rc = command_print(buf_text(&heads), heads.len, e);
    else if (rc == 0)
        rc = mine->json ? print_json(s, e) : print_text(s, e);
    buf_fini(&heads);
    if (rc == 0)
        rc = survey_problems(s) == 0 ? STATUS_OK : STATUS_PROBLEM;
    survey_close(s);
    free(s);
    return rc;
}

static int body(const struct command_call *c, struct err *e)
{
    return list(c->s, c->mine, e);
}

int cmd_list(int argc, char **argv)
{
    struct options mine = {0};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}

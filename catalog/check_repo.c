/* What the repository holds. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "object/secret.h"
#include "repo/heads.h"
#include "repo/verified.h"

/* From PostgreSQL's days: what is looked at to tell how fast the repository grows. */
static const int64_t GROWTH_US = INT64_C(7) * 86400 * 1000000;
static const int64_t DAY_US = INT64_C(86400) * 1000000;

static bool ends_check(const struct err *e)
{
    return e->code == ERR_NOMEM || e->code == ERR_INTERRUPTED || e->code == ERR_INTERNAL;
}

static void copy(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%.*s", (int)cap - 1, text == NULL ? "" : text);
}

static void cannot_use(struct check *c, const struct err *e)
{
    struct judge_repo *r = &c->facts.repo;

    r->state = e->code == ERR_UNREACHABLE ? JUDGE_REPO_AWAY
               : e->code == ERR_REFUSED   ? JUDGE_REPO_WRONG
                                          : JUDGE_REPO_ERROR;
    copy(r->why, sizeof r->why, e->msg);
    copy(r->hint, sizeof r->hint, e->hint);
}

/* --- the archive --- */

/* The newest segment that can be read. */
static void newest(struct check *c, const struct coverage *cover)
{
    struct judge_archive *a = &c->facts.archive;
    struct store_name at = {.kind = KIND_SEGMENT};
    struct repo *repo = &c->survey.repo;
    char name[WALNAME_MAX];
    struct err quiet = {0};

    for (size_t i = 0; i < cover->timelines.n; i++) {
        const struct coverage_timeline *t = &cover->timelines.v[i];

        a->stored += t->stored;
        a->segments += t->rows;
        if (t->rows == 0)
            continue;
        a->timeline = t->tli;
        a->end = t->end;
        if (t->last_time != COVERAGE_NO_TIME)
            a->last_commit = t->last_time;
        walname_segment(name, t->tli, cover->rows.v[t->row + t->rows - 1].segno, cover->segsize);
    }
    if (a->timeline == 0)
        return;
    at.timeline = a->timeline;
    at.name = name;
    if (store_stored_at(&repo->store, &repo->where, &at, &a->arrived, &quiet) != 0)
        a->arrived = a->last_commit; /* it is gone again: its commits tell something */
}

static void take_problems(struct judge_archive *a, const struct problems *p)
{
    for (size_t i = 0; i < p->list.n; i++) {
        const struct problem *one = &p->list.v[i];
        bool hole = one->kind == PROBLEM_HOLE;

        if (problem_is_note(one))
            continue;
        if (one->kind == PROBLEM_HEAD) { /* a question of its own */
            copy(a->rolled_back, sizeof a->rolled_back, one->what);
            continue;
        }
        if (hole && a->holes++ == 0) {
            copy(a->hole, sizeof a->hole, one->name);
            copy(a->hole_then, sizeof a->hole_then, one->consequence);
        } else if (!hole && a->damaged++ == 0) {
            copy(a->damage, sizeof a->damage, one->name);
            (void)snprintf(a->damage_then, sizeof a->damage_then, "%.240s%s%.240s", one->what,
                           one->consequence == NULL ? "" : "; ",
                           one->consequence == NULL ? "" : one->consequence);
        }
    }
    a->damaged += p->omitted;
}

static void take_backups(struct judge_archive *a, const struct backup_list *l)
{
    a->backups = l->items.n + l->unreadable;
    a->backup_time = JUDGE_NEVER;
    for (size_t i = 0; i < l->items.n; i++) {
        const struct backup_item *b = &l->items.v[i];

        if (!b->restorable)
            continue;
        a->restorable++;
        if (b->public.stop_time > a->backup_time) {
            a->backup_time = b->public.stop_time;
            copy(a->backup, sizeof a->backup, b->label);
        }
    }
}

/* Bytes per day over the last week, when there is a day at least to go by. */
static uint64_t growth(const struct check *c, const struct survey_lineage *l)
{
    const struct coverage_rows *rows = &l->scan.cover.rows;
    int64_t from = c->facts.now - GROWTH_US;
    int64_t first = c->facts.now;
    uint64_t bytes = 0;

    for (size_t i = 0; i < rows->n; i++) {
        if (rows->v[i].last_time == COVERAGE_NO_TIME || rows->v[i].last_time < from)
            continue;
        bytes += rows->v[i].stored;
        first = rows->v[i].last_time < first ? rows->v[i].last_time : first;
    }
    for (size_t i = 0; i < l->backups.items.n; i++) {
        const struct manifest_public *p = &l->backups.items.v[i].public;

        /* The first of all is no growth: it comes once. */
        if (i == 0 || p->stop_time < from || p->stop_time > c->facts.now)
            continue;
        bytes += p->stored;
        first = p->stop_time < first ? p->stop_time : first;
    }
    return c->facts.now - first < DAY_US
               ? 0
               : bytes / (uint64_t)((c->facts.now - first) / 1000000) * 86400;
}

/* --- proof --- */

/* The newest drill of the backups, and of each job, is what counts. */
static void take_drills(struct judge_proof *p, const struct survey_lineage *l)
{
    p->drilled = p->drill_failed = JUDGE_NEVER;
    for (size_t i = 0; i < l->drills.all.n; i++) {
        const struct drill *d = &l->drills.all.v[i];
        const char *job = d->kind == DRILL_DUMP ? d->job : NULL;

        if (!d->readable || (d->kind == DRILL_BACKUP && d->system_id != l->system_id))
            continue;
        if (!d->failed && d->end > p->drilled) {
            p->drilled = d->end;
            p->drill_us = d->total_us;
        }
        if (!d->failed || drill_newest(&l->drills, l->system_id, job) != d)
            continue;
        p->drill_failed = d->end;
        (void)snprintf(p->drill_what, sizeof p->drill_what, "%s %s%s%s",
                       job == NULL ? "backup" : "dump", d->job, job == NULL ? "" : "/", d->what);
        copy(p->drill_label, sizeof p->drill_label, d->label);
    }
}

/* Since when there is something to drill. */
static void take_since(struct judge_proof *p, const struct survey_lineage *l)
{
    p->since = JUDGE_NEVER;
    for (size_t i = 0; i < l->backups.items.n; i++) {
        const struct backup_item *b = &l->backups.items.v[i];

        if (b->restorable && (p->since == JUDGE_NEVER || b->public.stop_time < p->since))
            p->since = b->public.stop_time;
    }
    for (size_t i = 0; i < l->dumps.n; i++) {
        const struct dump_item *d = &l->dumps.v[i];

        if (d->readable && (p->since == JUDGE_NEVER || d->public.stop < p->since))
            p->since = d->public.stop;
    }
}

static void take_proof(struct check *c, const struct survey_lineage *l,
                       const struct verified_list *v)
{
    struct judge_proof *p = &c->facts.proof;
    const struct verified *last = v->records.n == 0 ? NULL : &v->records.v[v->records.n - 1];
    uint8_t level;

    p->known = true;
    p->verified = last == NULL ? JUDGE_NEVER : last->end;
    p->content = last != NULL && last->level >= VERIFIED_CONTENT;
    if (!verified_sweep(v, &p->swept, &level))
        p->swept = JUDGE_NEVER;
    /* What a whole run found is open until one finds nothing; of parts, each for itself. */
    p->findings = verified_open(v);
    for (size_t i = 0; i < l->backups.items.n; i++) {
        struct verified_verdict one = verified_of(v, l->backups.items.v[i].label);

        p->bad_backups += one.damaged ? 1 : 0;
        p->good_backups += !one.damaged && one.level != VERIFIED_NONE ? 1 : 0;
    }
    p->key_here = !c->survey.repo.marker.sealed || c->survey.repo.has_secret;
    take_drills(p, l);
    take_since(p, l);
}

static int read_proof(struct check *c, const struct survey_lineage *l, struct err *e)
{
    struct verified_list v;
    int rc = verified_read(&v, &c->survey.repo, &c->survey.reader, e);

    if (rc == 0)
        take_proof(c, l, &v);
    verified_list_fini(&v);
    return rc;
}

/* --- all --- */

/* The lineage of this server: by its identifier, else the only one. */
static struct survey_lineage *choose(struct check *c)
{
    struct survey_lineages *all = &c->survey.lineages;
    struct survey_lineage *found = NULL;
    struct judge_repo *r = &c->facts.repo;
    unsigned n = 0;

    for (size_t i = 0; i < all->n; i++) {
        if (strcmp(all->v[i].cluster, c->cluster) != 0)
            continue;
        n++;
        if (c->system_id == 0 || all->v[i].system_id == c->system_id)
            found = &all->v[i];
    }
    if (found != NULL && (c->system_id != 0 || n == 1))
        return found;
    r->state = JUDGE_REPO_WRONG;
    if (c->system_id == 0)
        (void)snprintf(
            r->why, sizeof r->why,
            "cluster \"%s\" has %u system identifiers, and which one is meant is not known",
            c->cluster, n);
    else
        (void)snprintf(r->why, sizeof r->why, "it knows no server %llu in cluster \"%s\"",
                       (unsigned long long)c->system_id, c->cluster);
    copy(r->hint, sizeof r->hint,
         c->system_id == 0 ? "give --system-id, or --pgdata, or let check ask the server"
                           : "walden init (after an upgrade, say), or correct cluster");
    return NULL;
}

/* The newest good dump of each job counts; the job that is furthest behind is the verdict. */
static void take_dumps(struct judge_dumps *d, const struct dump_list *list)
{
    d->known = true;
    for (size_t i = 0; i < list->n; i++) {
        const struct dump_item *one = &list->v[i];
        bool is_newest = one->readable;

        d->dumps += one->readable ? 1 : 0;
        for (size_t k = i + 1; is_newest && k < list->n; k++)
            is_newest = !list->v[k].readable || strcmp(list->v[k].job, one->job) != 0;
        if (!is_newest)
            continue;
        d->jobs++;
        if (d->jobs > 1 && one->public.stop >= d->newest)
            continue;
        d->newest = one->public.stop;
        copy(d->job, sizeof d->job, one->job);
    }
}

static int read_lineage(struct check *c, struct survey_lineage *l, struct err *e)
{
    struct judge_archive *a = &c->facts.archive;
    struct scan_how how = {.timeline = 0};

    c->system_id = l->system_id;
    if (survey_scan(&c->survey, c->settings, l, &how, e) != 0)
        return -1;
    a->segment_size = l->segment_size;
    take_problems(a, &l->scan.problems);
    if (l->major == 0) {
        copy(a->why, sizeof a->why, a->damage_then);
        return 0;
    }
    newest(c, &l->scan.cover);
    take_backups(a, &l->backups);
    c->facts.repo.space.grows = growth(c, l);
    take_dumps(&c->facts.dumps, &l->dumps);
    a->host_forgets = l->heads.state == HEADS_FORGETS;
    if (read_proof(c, l, e) != 0)
        return -1;
    c->lineage = l;
    a->read = true;
    return 0;
}

static int open_repo(struct check *c, struct survey_lineage **l, struct err *e)
{
    struct judge_repo *r = &c->facts.repo;

    *l = NULL;
    copy(r->path, sizeof r->path, c->settings->repo);
    c->facts.archive.arrived = c->facts.archive.last_commit = JUDGE_NEVER;
    c->facts.archive.backup_time = c->facts.dumps.newest = JUDGE_NEVER;
    c->facts.proof.verified = c->facts.proof.swept = JUDGE_NEVER;
    if (secret_start(e) != 0)
        return -1;
    if (survey_open(&c->survey, c->settings, e) != 0) {
        if (ends_check(e))
            return -1;
        cannot_use(c, e);
        err_clear(e);
        return 0;
    }
    c->survey_open = true;
    r->sealed = c->survey.repo.marker.sealed;
    check_space(&r->space, c->settings->repo);
    *l = choose(c);
    return 0;
}

int check_repo_open(struct check *c, struct err *e)
{
    struct survey_lineage *l;

    if (open_repo(c, &l, e) != 0)
        return -1;
    if (l == NULL)
        return 0;
    c->system_id = l->system_id;
    if (repo_use_lineage(&c->survey.repo, c->settings, l->cluster, l->system_id, e) != 0) {
        if (ends_check(e))
            return -1;
        cannot_use(c, e);
        err_clear(e);
    }
    return 0;
}

int check_repo(struct check *c, struct err *e)
{
    struct survey_lineage *l;

    if (open_repo(c, &l, e) != 0)
        return -1;
    if (l == NULL || read_lineage(c, l, e) == 0)
        return 0;
    if (ends_check(e))
        return -1;
    copy(c->facts.archive.why, sizeof c->facts.archive.why, e->msg);
    err_clear(e);
    return 0;
}

void check_repo_close(struct check *c)
{
    if (c->survey_open)
        survey_close(&c->survey);
    c->survey_open = false;
}

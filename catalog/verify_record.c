/* What walden verify puts on record about a lineage. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "object/secret.h"
#include "os/host.h"
#include "os/time.h"
#include "verify.h"

int verify_choose(struct verify_run *run, struct survey *s, uint32_t parts, struct err *e)
{
    struct verified_list list;
    const char *why;
    uint8_t chance[4];

    run->record.parts = parts;
    run->record.part = 1;
    if (parts == 1)
        return 0;
    if (verified_read(&list, &s->repo, &s->reader, e) != 0) {
        verified_list_fini(&list);
        return -1;
    }
    run->record.part = verified_due(&list, parts);
    verified_list_fini(&list);
    /* Where no run is ever recorded the first part would be read again and again. */
    why = verified_may_not(&s->repo);
    if (why != NULL) {
        secret_random(chance, sizeof chance);
        run->record.part = get_u32(chance) % parts + 1;
        run->by_chance = true;
    }
    return 0;
}

/* Holes and damage of a timeline; findings without one (a lost lineage) are nobody's. */
static bool has_problem(const struct problems *p, tli_t tli)
{
    for (size_t i = 0; i < p->list.n; i++)
        if (p->list.v[i].tli == tli && !problem_is_note(&p->list.v[i]))
            return true;
    return false;
}

/* That the repository was rolled back is no finding about what was read. */
static size_t count_heads(const struct problems *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->list.n; i++)
        n += p->list.v[i].kind == PROBLEM_HEAD ? 1 : 0;
    return n;
}

/* Damage of objects: unlike a hole, a look at headers may not show it. */
static bool is_spoiled(const struct problems *p, tli_t tli)
{
    for (size_t i = 0; i < p->list.n; i++) {
        enum problem_kind kind = p->list.v[i].kind;

        if (p->list.v[i].tli == tli &&
            (kind == PROBLEM_DAMAGED || kind == PROBLEM_BROKEN_CHAIN || kind == PROBLEM_SUMMARY))
            return true;
    }
    return false;
}

static int add_timelines(struct verified *v, const struct survey_lineage *l,
                         const struct verified_wals *read, struct err *e)
{
    const struct coverage *c = &l->scan.cover;

    for (size_t i = 0; i < c->timelines.n; i++) {
        const struct coverage_timeline *t = &c->timelines.v[i];
        struct verified_wal w = {.tli = t->tli, .from = t->start, .to = t->end};

        if (t->rows == 0)
            continue;
        for (size_t k = 0; k < read->n; k++)
            if (read->v[k].tli == t->tli) {
                w.segments = read->v[k].segments;
                w.level = read->v[k].level;
            }
        w.part = v->parts > 1;
        w.damaged = t->holes > 0 || has_problem(&l->scan.problems, t->tli);
        w.spoiled = is_spoiled(&l->scan.problems, t->tli);
        v->head.wal_timeline = t->tli;
        v->head.wal_lsn = t->end;
        if (verified_wals_push(&v->wal, w, e) != 0)
            return -1;
    }
    return 0;
}

int verify_record(struct verify_run *run, struct survey *s, struct survey_lineage *l,
                  const struct verify_count *before, const struct verify_result *r, struct err *e)
{
    struct verified *v = &run->record;
    struct verify_count now = verify_counted(r);
    bool stored = now.stored > before->stored;
    const char *why = verified_may_not(&s->repo);
    char host[OS_HOSTNAME_MAX + 1];
    struct err failed = {0};

    v->end = os_real_us();
    v->objects = now.stored + now.content - before->stored - before->content;
    v->bytes = now.bytes - before->bytes;
    v->damaged = problems_count(&l->scan.problems) - count_heads(&l->scan.problems);
    v->level = VERIFIED_NONE;
    if (v->objects > 0)
        v->level = stored ? VERIFIED_STORED : VERIFIED_RECORDS;
    if (add_timelines(v, l, &r->wal.wal, e) != 0)
        return -1;
    os_hostname(host, sizeof host);
    if (why == NULL && verified_put(v, &s->repo, host, &failed) == 0)
        run->recorded = true;
    else if (failed.code == ERR_INTERRUPTED || failed.code == ERR_NOMEM)
        goto fail;
    else
        (void)snprintf(run->unrecorded, sizeof run->unrecorded, "%s",
                       why != NULL ? why : failed.msg);
    return 0;
fail:
    *e = failed;
    return -1;
}

#include "repo/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/time.h"
#include "pg/join.h"

void problems_init(struct problems *p)
{
    problem_list_init(&p->list, PROBLEMS_MAX);
    p->omitted = 0;
    p->notes = 0;
}

void problems_fini(struct problems *p)
{
    for (size_t i = 0; i < p->list.n; i++) {
        free(p->list.v[i].name);
        free(p->list.v[i].what);
        free(p->list.v[i].consequence);
    }
    problem_list_fini(&p->list);
}

bool problem_is_note(const struct problem *p)
{
    return p->kind == PROBLEM_TEMP || p->kind == PROBLEM_LATER;
}

bool problem_is_damage(const struct problem *p)
{
    switch (p->kind) {
    case PROBLEM_DAMAGED_WAL:
    case PROBLEM_DAMAGED:
    case PROBLEM_REFUSED:
    case PROBLEM_KEY:
    case PROBLEM_BROKEN_CHAIN:
    case PROBLEM_SUMMARY:
        return p->end > p->first;
    case PROBLEM_HOLE:
    case PROBLEM_NO_HISTORY:
    case PROBLEM_MISPLACED:
    case PROBLEM_LINEAGE:
    case PROBLEM_NO_PACK:
    case PROBLEM_GONE:
    case PROBLEM_HEAD:
    case PROBLEM_BACKUP:
    case PROBLEM_RECIPIENT:
    case PROBLEM_LATER:
    case PROBLEM_DUMP:
    case PROBLEM_TEMP:
    case PROBLEM_KINDS:
        break;
    }
    return false;
}

const char *problem_word(enum problem_kind kind)
{
    static const char *const words[PROBLEM_KINDS] = {
        [PROBLEM_HOLE] = "hole",
        [PROBLEM_NO_HISTORY] = "missing-history",
        [PROBLEM_DAMAGED_WAL] = "damaged-wal",
        [PROBLEM_DAMAGED] = "damaged",
        [PROBLEM_REFUSED] = "refused",
        [PROBLEM_KEY] = "key",
        [PROBLEM_BROKEN_CHAIN] = "broken-chain",
        [PROBLEM_SUMMARY] = "wrong-summary",
        [PROBLEM_MISPLACED] = "misplaced",
        [PROBLEM_LINEAGE] = "lineage",
        [PROBLEM_NO_PACK] = "missing-pack",
        [PROBLEM_GONE] = "gone",
        [PROBLEM_HEAD] = "rolled-back",
        [PROBLEM_BACKUP] = "backup",
        [PROBLEM_RECIPIENT] = "recipient",
        [PROBLEM_LATER] = "later-recipient",
        [PROBLEM_DUMP] = "dump",
        [PROBLEM_TEMP] = "temp",
    };

    return words[kind];
}

size_t problems_count(const struct problems *p)
{
    return p->list.n - p->notes + p->omitted;
}

static char *copy(const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = malloc(n);

    return p == NULL ? NULL : memcpy(p, text, n);
}

static int add(struct problems *p, const struct problem *one, size_t most, struct err *e)
{
    struct problem *slot;

    if (p->list.n >= most) {
        p->omitted += problem_is_note(one) ? 0 : 1;
        return 0;
    }
    slot = problem_list_add(&p->list, e);
    if (slot == NULL)
        return -1;
    *slot = *one;
    slot->name = copy(one->name);
    slot->what = copy(one->what);
    slot->consequence = one->consequence == NULL ? NULL : copy(one->consequence);
    p->notes += problem_is_note(one) ? 1 : 0;
    if (slot->name == NULL || slot->what == NULL ||
        (one->consequence != NULL && slot->consequence == NULL))
        return err_set(e, ERR_NOMEM, "no memory for a problem's text");
    return 0;
}

int problems_add(struct problems *p, const struct problem *one, struct err *e)
{
    return add(p, one, PROBLEMS_FOUND_MAX, e);
}

int problems_tell(struct problems *p, const struct problem *one, struct err *e)
{
    return add(p, one, PROBLEMS_MAX, e);
}

/* --- what the whole picture shows --- */

struct derive {
    struct problems *problems;
    const struct coverage *c;
    char name[PROBLEM_PATH_MAX];
    char what[PROBLEM_TEXT_MAX];
};

static int put(struct derive *d, struct problem *one, struct err *e)
{
    one->name = d->name;
    one->what = d->what;
    return add(d->problems, one, PROBLEMS_MAX, e);
}

/* The name of a segment, or of the first and last of several. */
static void name_segments(struct derive *d, tli_t tli, uint64_t first, uint64_t end)
{
    char a[WALNAME_MAX];
    char b[WALNAME_MAX];

    walname_segment(a, tli, first, d->c->segsize);
    walname_segment(b, tli, end - 1, d->c->segsize);
    (void)snprintf(d->name, sizeof d->name, end - first == 1 ? "%s" : "%s to %s", a, b);
}

static int put_hole(struct derive *d, const struct coverage_hole *h, struct err *e)
{
    struct problem one = {.kind = PROBLEM_HOLE,
                          .tli = h->tli,
                          .first = h->first,
                          .end = h->end,
                          .at = walname_start(h->first, d->c->segsize),
                          .seen = h->seen};
    char history[WALNAME_MAX];

    name_segments(d, h->tli, h->first, h->end);
    walname_history(history, h->needed_by);
    if (h->needed_by == h->tli)
        (void)snprintf(d->what, sizeof d->what, "%llu %s missing, though later ones are there",
                       (unsigned long long)(h->end - h->first),
                       h->end - h->first == 1 ? "segment is" : "segments are");
    else
        (void)snprintf(d->what, sizeof d->what,
                       "%llu %s missing, though timeline %u needs %s (see \"%s\")",
                       (unsigned long long)(h->end - h->first),
                       h->end - h->first == 1 ? "segment is" : "segments are",
                       (unsigned)h->needed_by, h->end - h->first == 1 ? "it" : "them", history);
    return put(d, &one, e);
}

/*
 * A standby that archives (archive_mode = always) and follows another one over to its new timeline
 * archives what it has of the old one's last segment: records up to the switch point, then whatever
 * was in the file before.  Nobody is to read on there, so nothing is missing.
 */
static bool was_left_there(const struct coverage *c, const struct coverage_timeline *t, size_t i)
{
    const struct coverage_row *r = &c->rows.v[i];

    if (i + 1 != t->row + t->rows)
        return false;
    for (size_t k = 0; k < c->timelines.n; k++) {
        const struct coverage_timeline *child = &c->timelines.v[k];

        if (child->parent == t->tli && child->birth >= r->end && child->birth <= r->at)
            return true;
    }
    return false;
}

static int put_row(struct derive *d, const struct coverage_timeline *t, size_t i, struct err *e)
{
    const struct coverage_row *r = &d->c->rows.v[i];
    struct problem one = {.tli = t->tli, .first = r->segno, .end = r->segno + 1};
    char at[TEXT_LSN_MAX];

    name_segments(d, t->tli, one.first, one.end);
    /* Where the row itself stops recovery, its commits do not count as reached. */
    one.seen = i > t->row + t->early ? d->c->rows.v[i - 1].seen : t->seen;
    if (i < t->row + t->early) {
        one.kind = PROBLEM_MISPLACED;
        text_lsn(at, t->birth);
        (void)snprintf(d->what, sizeof d->what, "timeline %u began at %s, behind this segment",
                       (unsigned)t->tli, at);
        return put(d, &one, e);
    }
    if (r->state == COVERAGE_DAMAGED && !was_left_there(d->c, t, i)) {
        one.kind = PROBLEM_DAMAGED_WAL;
        one.at = r->at;
        text_lsn(at, r->at);
        (void)snprintf(d->what, sizeof d->what,
                       "its WAL was damaged already when it was archived: at %s, %s", at,
                       facts_damage_text(r->reason));
        if (put(d, &one, e) != 0)
            return -1;
    }
    switch ((enum join_result)r->join) {
    case JOIN_OK:
    case JOIN_FIRST:
    case JOIN_GAP:
    case JOIN_UNPROVEN:
        return 0;
    case JOIN_FOREIGN:
    case JOIN_PREV:
    case JOIN_LENGTH:
    case JOIN_CRC:
        break;
    case JOIN_GARBLED:
        one.kind = PROBLEM_SUMMARY;
        (void)snprintf(d->what, sizeof d->what, "%s", join_text(JOIN_GARBLED));
        return put(d, &one, e);
    }
    one.kind = PROBLEM_BROKEN_CHAIN;
    one.at = walname_start(r->segno, d->c->segsize);
    (void)snprintf(d->what, sizeof d->what,
                   "it does not go on where the segment before it ends: %s",
                   join_text((enum join_result)r->join));
    return put(d, &one, e);
}

static int put_timeline(struct derive *d, const struct coverage_timeline *t, struct err *e)
{
    for (size_t i = t->hole; i < t->hole + t->holes; i++)
        if (put_hole(d, &d->c->holes.v[i], e) != 0)
            return -1;
    for (size_t i = t->row; i < t->row + t->rows; i++)
        if (put_row(d, t, i, e) != 0)
            return -1;
    return 0;
}

static int put_no_history(struct derive *d, tli_t first, tli_t last, struct err *e)
{
    struct problem one = {.kind = PROBLEM_NO_HISTORY, .tli = first};
    char a[WALNAME_MAX];
    char b[WALNAME_MAX];

    walname_history(a, first);
    walname_history(b, last);
    (void)snprintf(d->name, sizeof d->name, first == last ? "%s" : "%s to %s", a, b);
    (void)snprintf(d->what, sizeof d->what, "%s missing, though %s is there",
                   first == last ? "it is" : "they are",
                   first == last ? "this or a later timeline" : "a later timeline");
    return put(d, &one, e);
}

/* Every history up to the newest timeline that is there (repo/absence): the server looks for them
 * one by one and stops at the first that it does not get. */
static int put_histories(struct derive *d, tli_t only, struct err *e)
{
    const struct coverage_timelines *t = &d->c->timelines;
    tli_t next = 2; /* the lowest whose history was not seen yet */

    for (size_t i = 0; i < t->n; i++) {
        const struct coverage_timeline *x = &t->v[i];
        bool present = x->history != COVERAGE_NO_HISTORY;

        if (x->tli < 2 || (!present && x->rows == 0))
            continue;
        if (present && x->tli > next && (only == 0 || (only >= next && only < x->tli)) &&
            put_no_history(d, next, x->tli - 1, e) != 0)
            return -1;
        if (!present && (only == 0 || (only >= next && only <= x->tli)) &&
            put_no_history(d, next, x->tli, e) != 0)
            return -1;
        next = x->tli + 1;
    }
    return 0;
}

/* --- consequences --- */

static void when(char *out, size_t cap, int64_t seen)
{
    char local[OS_LOCAL_TIME_MAX];

    if (seen == COVERAGE_NO_TIME) {
        (void)snprintf(out, cap, "no commit before it is known");
        return;
    }
    os_local_time(seen, 1, local, sizeof local);
    (void)snprintf(out, cap, "last commit %s", local);
}

/* Of objects that are no segments. */
static void explain_other(const struct problem *p, char out[PROBLEM_TEXT_MAX])
{
    struct walname n;

    if (!walname_parse(p->name, &n))
        return;
    if (n.kind == WALNAME_HISTORY)
        (void)snprintf(out, PROBLEM_TEXT_MAX,
                       "recovery cannot follow timeline %u, nor any that left it; archive the file "
                       "again from pg_wal of any server of that timeline",
                       (unsigned)p->tli);
    else if (n.kind == WALNAME_PARTIAL)
        (void)snprintf(out, PROBLEM_TEXT_MAX,
                       "no recovery uses a partial segment; the end of the timeline that was left "
                       "is lost with it");
    else if (n.kind == WALNAME_BACKUP)
        (void)snprintf(out, PROBLEM_TEXT_MAX, "no recovery needs it");
}

static void explain(const struct problem *p, const struct coverage *c, char out[PROBLEM_TEXT_MAX])
{
    char at[TEXT_LSN_MAX];
    char behind[TEXT_LSN_MAX];
    char moment[OS_LOCAL_TIME_MAX + 32];

    out[0] = '\0';
    text_lsn(at, p->at);
    when(moment, sizeof moment, p->seen);
    switch (p->kind) {
    case PROBLEM_HOLE:
    case PROBLEM_DAMAGED_WAL:
    case PROBLEM_DAMAGED:
    case PROBLEM_REFUSED:
    case PROBLEM_KEY:
    case PROBLEM_BROKEN_CHAIN:
        if (p->end == p->first)
            break;
        text_lsn(behind, walname_start(p->end, c->segsize));
        (void)snprintf(out, PROBLEM_TEXT_MAX,
                       "recovery cannot go past %s on timeline %u (%s); only a base backup that "
                       "starts at %s or later is not affected",
                       at, (unsigned)p->tli, moment, behind);
        return;
    case PROBLEM_NO_HISTORY:
        (void)snprintf(out, PROBLEM_TEXT_MAX,
                       "recovery finds no way to this timeline or to later ones; archive the file "
                       "again from pg_wal of any server of that timeline");
        return;
    case PROBLEM_SUMMARY:
        (void)snprintf(out, PROBLEM_TEXT_MAX,
                       "recovery reads the WAL itself and is not affected, but what is shown and "
                       "planned for this segment may be wrong");
        return;
    case PROBLEM_LINEAGE:
        (void)snprintf(out, PROBLEM_TEXT_MAX, "nothing of this cluster can be restored from here");
        return;
    case PROBLEM_MISPLACED:
        (void)snprintf(out, PROBLEM_TEXT_MAX, "no recovery uses it");
        return;
    case PROBLEM_TEMP:
        (void)snprintf(out, PROBLEM_TEXT_MAX,
                       "harmless: its writer ended before it was complete, and never said that it "
                       "was stored");
        return;
    case PROBLEM_NO_PACK: /* told with their consequence */
    case PROBLEM_GONE:
    case PROBLEM_HEAD:
    case PROBLEM_BACKUP:
    case PROBLEM_RECIPIENT:
    case PROBLEM_LATER:
    case PROBLEM_DUMP:
    case PROBLEM_KINDS:
        break;
    }
    explain_other(p, out);
}

static int by_place(const void *a, const void *b)
{
    const struct problem *x = a;
    const struct problem *y = b;

    if (problem_is_note(x) != problem_is_note(y))
        return problem_is_note(x) ? 1 : -1;
    if (x->tli != y->tli)
        return x->tli < y->tli ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->name, y->name);
}

void problems_sort(struct problems *p)
{
    if (p->list.n > 0)
        qsort(p->list.v, p->list.n, sizeof *p->list.v, by_place);
}

/* What the scan met about a segment stops recovery at that segment. */
static void place(struct problem *p, const struct coverage *c)
{
    const struct coverage_timeline *t = coverage_find(c, p->tli);
    const struct coverage_row *r;

    if (p->end == p->first || p->at != 0 || p->kind == PROBLEM_SUMMARY || t == NULL ||
        p->kind == PROBLEM_MISPLACED || p->kind == PROBLEM_RECIPIENT || p->kind == PROBLEM_LATER)
        return;
    p->at = walname_start(p->first, c->segsize);
    r = coverage_row(c, t, p->first);
    p->seen = r == NULL || r <= c->rows.v + t->row + t->early ? t->seen : r[-1].seen;
}

int problems_derive(struct problems *p, const struct coverage *c, tli_t tli, struct err *e)
{
    struct derive d = {.problems = p, .c = c};
    char text[PROBLEM_TEXT_MAX];

    for (size_t i = 0; i < p->list.n; i++)
        place(&p->list.v[i], c);
    for (size_t i = 0; i < c->timelines.n; i++)
        if ((tli == 0 || c->timelines.v[i].tli == tli) &&
            put_timeline(&d, &c->timelines.v[i], e) != 0)
            return -1;
    if (put_histories(&d, tli, e) != 0)
        return -1;
    problems_sort(p);
    for (size_t i = 0; i < p->list.n; i++) {
        if (p->list.v[i].consequence != NULL)
            continue;
        explain(&p->list.v[i], c, text);
        if (text[0] == '\0')
            continue;
        p->list.v[i].consequence = copy(text);
        if (p->list.v[i].consequence == NULL)
            return err_set(e, ERR_NOMEM, "no memory for a problem's text");
    }
    return 0;
}

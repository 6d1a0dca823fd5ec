#include "retention_model.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "plan_sim.h"

/* --- the model --- */

static int64_t model_time(const struct situation *s, const struct retention_item *x)
{
    for (size_t i = 0; i < s->r.doubts.n; i++)
        if (s->r.doubts.v[i].kind == x->kind && strcmp(s->r.doubts.v[i].name, x->name) == 0)
            return s->r.doubts.v[i].propose;
    return x->time;
}

static bool newer(const struct retention_item *a, const struct retention_item *b)
{
    if (a->stop_tli != b->stop_tli)
        return a->stop_tli > b->stop_tli;
    if (a->stop != b->stop)
        return a->stop > b->stop;
    if (a->kind == KIND_DUMP && a->time != b->time)
        return a->time > b->time;
    return strcmp(a->name, b->name) > 0;
}

static const struct settings_rule *model_rule(const struct situation *s,
                                              const struct retention_item *x, bool *own)
{
    const struct settings_keep *k = x->kind == KIND_DUMP ? &s->in.keep_dumps : &s->in.keep_backups;

    *own = k->n > 0 && strcmp(k->named[0].name, x->group) == 0;
    return *own ? &k->named[0].rule : &k->rule;
}

/* Do they share the places of one rule? */
static bool same_group(const struct situation *s, const struct retention_item *a,
                       const struct retention_item *b)
{
    bool own_a;
    bool own_b;

    if (a->kind != b->kind || b->removed || !b->readable)
        return false;
    (void)model_rule(s, a, &own_a);
    (void)model_rule(s, b, &own_b);
    if (a->kind == KIND_DUMP || own_a)
        return strcmp(a->group, b->group) == 0;
    return !own_b;
}

enum unit { UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_YEAR };

static void period(char out[32], int64_t us, enum unit unit)
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;

    (void)gmtime_r(&t, &tm);
    if (unit == UNIT_DAY)
        (void)strftime(out, 32, "%Y-%m-%d", &tm);
    else if (unit == UNIT_WEEK)
        (void)strftime(out, 32, "%G-%V", &tm);
    else if (unit == UNIT_MONTH)
        (void)strftime(out, 32, "%Y-%m", &tm);
    else
        (void)strftime(out, 32, "%Y", &tm);
}

/* Is x the newest of its period, and in one of the n newest periods, among those it shares with? */
static bool has_place(const struct situation *s, const struct retention_item *x, uint32_t n,
                      enum unit unit)
{
    char seen[64][32];
    unsigned periods = 0;
    char mine[32];

    period(mine, model_time(s, x), unit);
    for (size_t i = 0; i < s->in.items.n; i++) {
        const struct retention_item *y = &s->in.items.v[i];
        char other[32];
        bool known = false;

        if (!same_group(s, x, y) || !newer(y, x) || (x->good && !y->good))
            continue;
        period(other, model_time(s, y), unit);
        if (strcmp(other, mine) == 0)
            return false;
        for (unsigned k = 0; k < periods; k++)
            known = known || strcmp(seen[k], other) == 0;
        if (!known)
            memcpy(seen[periods++], other, sizeof other);
    }
    return periods < n;
}

static bool by_rule(const struct situation *s, const struct retention_item *x)
{
    static const struct settings_rule none;
    bool own;
    const struct settings_rule *r = model_rule(s, x, &own);
    int64_t limit = s->in.now - (int64_t)r->within;
    unsigned before = 0;
    bool next_is_older = true; /* nobody older than `limit` is newer than x */

    if (x->removed || !x->readable)
        return false;
    if (memcmp(r, &none, sizeof none) == 0)
        return true;
    for (size_t i = 0; i < s->in.items.n; i++) {
        const struct retention_item *y = &s->in.items.v[i];

        if (!same_group(s, x, y) || !newer(y, x) || (x->good && !y->good))
            continue;
        before++;
        if (model_time(s, y) < limit)
            next_is_older = false;
    }
    if (before < r->last)
        return true;
    if (r->within != 0 &&
        (model_time(s, x) >= limit || (x->kind == KIND_MANIFEST && next_is_older)))
        return true;
    return has_place(s, x, r->daily, UNIT_DAY) || has_place(s, x, r->weekly, UNIT_WEEK) ||
           has_place(s, x, r->monthly, UNIT_MONTH) || has_place(s, x, r->yearly, UNIT_YEAR);
}

/* Can a recovery from x go on to that timeline? */
static bool leads(const struct retention_item *x, tli_t tli)
{
    lsn_t end = UINT64_MAX;

    for (; tli != 0; tli = sim_line[tli].parent) {
        if (tli == x->stop_tli)
            return x->stop <= end;
        end = sim_line[tli].birth;
    }
    return false;
}

/* The floor among those that `tli` (0: all) is reached from. */
static bool on_floor(const struct situation *s, const struct retention_item *x, tli_t tli)
{
    bool others = false;
    bool verified = false; /* one that is newer, or x itself */
    bool any_verified = false;
    unsigned before = 0;

    if (!x->good || !x->readable || (tli != 0 && !leads(x, tli)))
        return false;
    for (size_t i = 0; i < s->in.items.n; i++) {
        const struct retention_item *y = &s->in.items.v[i];

        if (y->kind != x->kind || !y->good || !y->readable || (tli != 0 && !leads(y, tli)) ||
            (x->kind == KIND_DUMP && strcmp(x->group, y->group) != 0))
            continue;
        others = others || !y->removed;
        if (y->removed != x->removed)
            continue;
        any_verified = any_verified || y->verified > 0;
        if (!newer(y, x))
            continue;
        before++;
        verified = verified || y->verified > 0;
    }
    if (x->removed && others)
        return false;
    return before == 0 || (x->verified > 0 && !verified) || (!any_verified && before < 2);
}

static bool no_good_backup(const struct situation *s)
{
    for (size_t i = 0; i < s->in.items.n; i++)
        if (s->in.items.v[i].kind == KIND_MANIFEST && s->in.items.v[i].good &&
            s->in.items.v[i].readable)
            return false;
    return true;
}

bool model_keeps(const struct situation *s, const struct retention_item *x)
{
    if (!x->readable || x->held || (x->pinned && !x->removed) || by_rule(s, x) || on_floor(s, x, 0))
        return true;
    if (x->kind == KIND_DUMP)
        return false;
    return on_floor(s, x, sim_lines) || (no_good_backup(s) && !x->removed);
}

/* --- WAL --- */

static bool kept(const struct situation *s, size_t i)
{
    return s->r.verdicts.v[i].keep && s->in.items.v[i].kind == KIND_MANIFEST;
}

/* The file that a recovery to `tli` reads for a segment. */
static tli_t owner(tli_t tli, uint64_t segno)
{
    while (sim_line[tli].parent != 0 && sim_segno(sim_line[tli].birth) > segno)
        tli = sim_line[tli].parent;
    return tli;
}

/* The first young segment on the way to a timeline. */
static uint64_t model_cut(const struct situation *s, tli_t tli)
{
    int64_t limit = s->in.now - (int64_t)s->in.wal_within;

    for (uint64_t n = 0; n < SIM_SEGS; n++) {
        const struct plan_segment *g = plan_segment(&s->wal, owner(tli, n), n);

        if (g != NULL && g->greatest != COVERAGE_NO_TIME && g->greatest >= limit &&
            g->greatest <= s->in.now + RETENTION_AHEAD)
            return n;
    }
    return UINT64_MAX;
}

/* Does a kept backup need the file, on the way to some timeline? */
bool model_needs(const struct situation *s, tli_t file, uint64_t segno)
{
    bool latest_has_base = false;

    for (size_t i = 0; i < s->in.items.n; i++)
        if (kept(s, i) && s->in.items.v[i].readable && leads(&s->in.items.v[i], sim_lines))
            latest_has_base = true;
    if (!latest_has_base && file == sim_lines)
        return true;
    for (tli_t tli = 1; tli <= sim_lines; tli++) {
        bool on_way = owner(tli, segno) == file;
        uint64_t from = UINT64_MAX; /* WAL for moments begins with this one */
        uint64_t oldest = UINT64_MAX;
        lsn_t best = 0;

        /* The parents' files of the segment with the switch. */
        for (tli_t up = tli; up != 0; up = sim_line[up].parent)
            if (sim_line[up].parent == file && sim_segno(sim_line[up].birth) == segno)
                on_way = true;
        if (!on_way)
            continue;
        for (size_t i = 0; i < s->in.items.n; i++) {
            const struct retention_item *x = &s->in.items.v[i];
            uint64_t start = sim_segno(x->start);

            if (!kept(s, i) || !x->readable || !leads(x, tli))
                continue;
            if (s->in.wal_within == 0 || x->held)
                from = start < from ? start : from;
            if (x->good && start < oldest)
                oldest = start;
            if (segno >= start && segno <= sim_segno(x->stop - 1))
                return true;
        }
        if (s->in.wal_within != 0 && oldest != UINT64_MAX) {
            uint64_t cut = model_cut(s, tli);
            uint64_t base = oldest;

            for (size_t i = 0; i < s->in.items.n; i++) {
                const struct retention_item *x = &s->in.items.v[i];

                if (kept(s, i) && x->readable && x->good && leads(x, tli) &&
                    sim_segno(x->stop - 1) < cut && x->stop > best) {
                    best = x->stop;
                    base = sim_segno(x->start);
                }
            }
            from = base < from ? base : from;
        } else if (s->in.wal_within != 0) {
            for (size_t i = 0; i < s->in.items.n; i++)
                if (kept(s, i) && s->in.items.v[i].readable && leads(&s->in.items.v[i], tli) &&
                    sim_segno(s->in.items.v[i].start) < from)
                    from = sim_segno(s->in.items.v[i].start);
        }
        if (segno >= from)
            return true;
    }
    for (size_t i = 0; i < s->in.items.n; i++)
        if (kept(s, i) && !s->in.items.v[i].readable && file >= s->in.items.v[i].start_tli &&
            segno >= sim_segno(s->in.items.v[i].start))
            return true;
    return false;
}

bool model_may_remove(const struct situation *s)
{
    static const struct settings_rule none;
    const struct settings_keep *k = &s->in.keep_backups;
    bool good = false;

    for (size_t i = 0; i < s->in.items.n; i++)
        good = good || (kept(s, i) && s->in.items.v[i].readable && s->in.items.v[i].good);
    return good && s->in.intents == 0 &&
           (s->in.wal_within != 0 || memcmp(&k->rule, &none, sizeof none) != 0 ||
            (k->n > 0 && memcmp(&k->named[0].rule, &none, sizeof none) != 0));
}

/* The archive after the removal, as the planner sees it. */
/* --- clocks --- */

/* Tries all sets of one timeline's backups: is there a largest one whose times never go back, such
 * that no other backup is far from its neighbours in it? */
static bool is_calm(const struct situation *s, tli_t tli)
{
    const struct retention_item *row[SIM_BACKUPS];
    unsigned n = 0;
    unsigned largest = 0;
    bool calm = true;

    for (size_t i = 0; i < s->in.items.n; i++) {
        const struct retention_item *x = &s->in.items.v[i];
        unsigned at = n;

        if (x->kind != KIND_MANIFEST || !x->readable || x->stop_tli != tli)
            continue;
        for (; at > 0 && newer(row[at - 1], x); at--)
            row[at] = row[at - 1];
        row[at] = x;
        n++;
    }
    for (unsigned set = 0; set < 1U << n; set++) {
        const struct retention_item *last = NULL;
        unsigned size = 0;
        bool rises = true;
        bool near = true;

        for (unsigned i = 0; i < n; i++)
            if (set >> i & 1) {
                rises = rises && (last == NULL || last->time <= row[i]->time);
                last = row[i];
                size++;
            }
        for (unsigned i = 0; i < n; i++) {
            unsigned low = i;
            unsigned high = i;

            while (low > 0 && !(set >> low & 1))
                low--;
            while (high + 1 < n && !(set >> high & 1))
                high++;
            if ((set >> low & 1) && row[i]->time < row[low]->time - RETENTION_BACK)
                near = false;
            if ((set >> high & 1) && row[i]->time > row[high]->time + RETENTION_BACK)
                near = false;
        }
        if (!rises || size < largest)
            continue;
        calm = size > largest ? near : calm || near;
        largest = size;
    }
    return calm;
}

bool model_doubts(const struct situation *s)
{
    const struct retention_items *items = &s->in.items;
    bool inverted = false;
    bool calm = true;

    for (size_t i = 0; i < items->n; i++) {
        const struct retention_item *x = &items->v[i];
        bool told = false;

        for (size_t k = 0; k < s->r.doubts.n; k++)
            told = told || (s->r.doubts.v[k].kind == x->kind &&
                            strcmp(s->r.doubts.v[k].name, x->name) == 0);
        if (x->readable && x->time > s->in.now + RETENTION_AHEAD && !told)
            return false;
        for (size_t k = 0; k < items->n && x->kind == KIND_MANIFEST && x->readable; k++) {
            const struct retention_item *y = &items->v[k];

            inverted =
                inverted || (y->kind == KIND_MANIFEST && y->readable && newer(y, x) &&
                             y->stop_tli == x->stop_tli && y->time < x->time - RETENTION_BACK);
        }
    }
    for (tli_t tli = 1; tli <= sim_lines; tli++)
        calm = calm && is_calm(s, tli);
    for (size_t k = 0; k < s->r.doubts.n; k++)
        if (s->r.doubts.v[k].time <= s->in.now + RETENTION_AHEAD && !inverted)
            return false;
    return s->r.doubts.n > 0 || calm;
}

#include "repo/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "repo/plan_walk.h"

static const int64_t DAY = INT64_C(24) * 3600 * USEC_PER_SEC;

void retention_input_init(struct retention_input *in)
{
    memset(in, 0, sizeof *in);
    retention_items_init(&in->items, RETENTION_ITEMS_MAX);
    retention_marks_init(&in->marks, RETENTION_ITEMS_MAX);
}

void retention_input_fini(struct retention_input *in)
{
    retention_items_fini(&in->items);
    retention_marks_fini(&in->marks);
}

void retention_init(struct retention *r)
{
    memset(r, 0, sizeof *r);
    retention_doubts_init(&r->doubts, RETENTION_ITEMS_MAX);
    retention_verdicts_init(&r->verdicts, RETENTION_ITEMS_MAX);
    retention_ranges_init(&r->ranges, COVERAGE_ROWS_MAX);
    retention_losses_init(&r->losses, COVERAGE_ROWS_MAX);
}

void retention_fini(struct retention *r)
{
    retention_doubts_fini(&r->doubts);
    retention_verdicts_fini(&r->verdicts);
    retention_ranges_fini(&r->ranges);
    retention_losses_fini(&r->losses);
}

bool retention_leads(const struct plan_parts *parts, const struct retention_item *item)
{
    const struct plan_part *part = plan_part_of(parts, item->stop_tli);

    return part != NULL && item->stop <= part->end && plan_part_of(parts, item->start_tli) != NULL;
}

/* --- order --- */

/* Items of one kind, newest first.  Dumps have no LSN. */
static int newest_first(const void *a, const void *b)
{
    const struct retention_item *x = *(const struct retention_item *const *)a;
    const struct retention_item *y = *(const struct retention_item *const *)b;

    if (x->stop_tli != y->stop_tli)
        return x->stop_tli < y->stop_tli ? 1 : -1;
    if (x->stop != y->stop)
        return x->stop < y->stop ? 1 : -1;
    if (x->kind == KIND_DUMP && x->time != y->time)
        return x->time < y->time ? 1 : -1;
    return strcmp(y->name, x->name);
}

struct deciding {
    const struct retention_input *in;
    struct retention *r;
    const struct retention_item **all; /* room for all items */
    size_t n;
    struct plan_parts latest; /* the way to the latest timeline; empty: not known */
};

static struct retention_verdict *verdict_of(const struct deciding *d,
                                            const struct retention_item *item)
{
    return &d->r->verdicts.v[item - d->in->items.v];
}

/* Fills d->all with what the filter takes, newest first. */
static void gather(struct deciding *d, enum object_kind kind,
                   bool (*take)(const struct retention_item *item, const void *arg),
                   const void *arg)
{
    d->n = 0;
    for (size_t i = 0; i < d->in->items.n; i++) {
        const struct retention_item *item = &d->in->items.v[i];

        if (item->kind == kind && take(item, arg))
            d->all[d->n++] = item;
    }
    if (d->n > 1)
        qsort(d->all, d->n, sizeof(*d->all), newest_first);
}

/* --- clocks --- */

static int doubt(struct deciding *d, enum object_kind kind, const char *name, int64_t time,
                 int64_t propose, const char *after, struct err *e)
{
    struct retention_doubt *one = retention_doubts_add(&d->r->doubts, e);

    if (one == NULL)
        return -1;
    one->kind = kind;
    one->time = time;
    one->propose = propose;
    (void)snprintf(one->name, sizeof one->name, "%s", name);
    (void)snprintf(one->after, sizeof one->after, "%s", after);
    return 0;
}

static bool is_readable(const struct retention_item *item, const void *arg)
{
    (void)arg;
    return item->readable;
}

static bool in_future(const struct deciding *d, const struct retention_item *item)
{
    return !item->believed && item->time > d->in->now + RETENTION_AHEAD;
}

/* Of the backups of one timeline, oldest first, the longest row whose times do not go back. */
static int find_row(const struct deciding *d, const struct retention_item **row, size_t n,
                    bool *is_in, struct err *e)
{
    /* Of the longest row that ends in each: its length, and the one before. */
    size_t *length = calloc(n, 2 * sizeof *length);
    size_t *before = length == NULL ? NULL : length + n;
    size_t best = n;

    if (length == NULL)
        return err_set(e, ERR_NOMEM, "no memory to compare clocks");
    for (size_t i = 0; i < n; i++) {
        before[i] = n;
        length[i] = in_future(d, row[i]) ? 0 : 1;
        for (size_t k = 0; k < i && length[i] > 0; k++)
            if (length[k] >= length[i] && row[k]->time <= row[i]->time) {
                length[i] = length[k] + 1;
                before[i] = k;
            }
        if (length[i] > 0 && (best == n || length[i] >= length[best]))
            best = i;
    }
    for (; best != n; best = before[best])
        is_in[best] = true;
    free(length);
    return 0;
}

/* One that is not in the row is in doubt when it is far from its neighbours there. */
static int judge_one(struct deciding *d, const struct retention_item **row, size_t n,
                     const bool *is_in, size_t i, struct err *e)
{
    const struct retention_item *low = NULL;
    const struct retention_item *high = NULL;
    const struct retention_item *beside;
    bool far = false;

    for (size_t k = i; k > 0 && low == NULL; k--)
        low = is_in[k - 1] ? row[k - 1] : NULL;
    for (size_t k = i + 1; k < n && high == NULL; k++)
        high = is_in[k] ? row[k] : NULL;
    far = (low != NULL && row[i]->time < low->time - RETENTION_BACK) ||
          (high != NULL && row[i]->time > high->time + RETENTION_BACK);
    if (!far && !in_future(d, row[i]))
        return 0;
    beside = low != NULL ? low : high;
    return doubt(d, row[i]->kind, row[i]->name, row[i]->time,
                 beside != NULL ? beside->time : d->in->now,
                 in_future(d, row[i]) || beside == NULL ? "" : beside->name, e);
}

static int judge_row(struct deciding *d, const struct retention_item **row, size_t n, struct err *e)
{
    bool *is_in = calloc(n, sizeof *is_in);
    int rc;

    if (is_in == NULL)
        return err_set(e, ERR_NOMEM, "no memory to compare clocks");
    rc = find_row(d, row, n, is_in, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!is_in[i] && !row[i]->believed)
            rc = judge_one(d, row, n, is_in, i, e);
    free(is_in);
    return rc;
}

static int judge_clocks(struct deciding *d, struct err *e)
{
    const struct retention_input *in = d->in;
    size_t at = 0;

    gather(d, KIND_MANIFEST, is_readable, NULL);
    for (size_t i = 0; i + 1 < d->n - i; i++) { /* oldest first */
        const struct retention_item *swap = d->all[i];

        d->all[i] = d->all[d->n - 1 - i];
        d->all[d->n - 1 - i] = swap;
    }
    while (at < d->n) {
        size_t behind = at;

        while (behind < d->n && d->all[behind]->stop_tli == d->all[at]->stop_tli)
            behind++;
        if (judge_row(d, d->all + at, behind - at, e) != 0)
            return -1;
        at = behind;
    }
    gather(d, KIND_DUMP, is_readable, NULL);
    for (size_t i = 0; i < d->n; i++)
        if (in_future(d, d->all[i]) &&
            doubt(d, KIND_DUMP, d->all[i]->name, d->all[i]->time, in->now, "", e) != 0)
            return -1;
    for (size_t i = 0; i < in->marks.n; i++)
        if (in->marks.v[i].time > in->now + RETENTION_AHEAD &&
            doubt(d, in->marks.v[i].kind, in->marks.v[i].name, in->marks.v[i].time, in->now, "",
                  e) != 0)
            return -1;
    return 0;
}

/* --- rules --- */

enum { PERIODS = 4 };

struct period {
    enum retention_why why;
    const char *word;
    uint32_t want;
    int64_t (*key)(int64_t time);
};

/* Rounded down, before 1970 as well. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

static int64_t day_key(int64_t time)
{
    return floor_div(time, DAY);
}

/* 1970-01-01 was a Thursday; weeks begin on Monday. */
static int64_t week_key(int64_t time)
{
    return floor_div(day_key(time) + 3, 7);
}

/* The first digits of the date, up to a month or a year. */
static int64_t date_key(int64_t time, size_t digits)
{
    char text[TEXT_TIME_MAX];
    int64_t key = 0;

    text_time(text, time, 0);
    for (size_t i = 0; i < digits; i++)
        key = text[i] == '-' ? key : key * 10 + (text[i] - '0');
    return key;
}

static int64_t month_key(int64_t time)
{
    return date_key(time, 7);
}

static int64_t year_key(int64_t time)
{
    return date_key(time, 4);
}

/* Is the key among the n first found? */
static bool has_key(const int64_t *found, size_t n, int64_t key)
{
    for (size_t i = n; i > 0; i--)
        if (found[i - 1] == key)
            return true;
    return false;
}

static const char *const period_words[] = {"daily", "weekly", "monthly", "yearly"};

/* Applies one rule to d->all (newest first): sets reasons on those that `mark` takes. */
static int apply(struct deciding *d, const struct settings_rule *rule, bool good_only,
                 struct err *e)
{
    static const struct settings_rule all;
    const struct period periods[PERIODS] = {
        {RETENTION_DAILY, period_words[0], rule->daily, day_key},
        {RETENTION_WEEKLY, period_words[1], rule->weekly, week_key},
        {RETENTION_MONTHLY, period_words[2], rule->monthly, month_key},
        {RETENTION_YEARLY, period_words[3], rule->yearly, year_key}};
    int64_t *found = calloc(d->n + 1, sizeof *found);
    bool has_base = false;
    bool is_all = memcmp(rule, &all, sizeof all) == 0;

    if (found == NULL)
        return err_set(e, ERR_NOMEM, "no memory for retention");
    for (size_t p = 0; p < PERIODS; p++) {
        size_t n = 0;

        for (size_t i = 0; i < d->n && n < periods[p].want; i++) {
            struct retention_verdict *v = verdict_of(d, d->all[i]);
            int64_t key = periods[p].key(v->time);

            if (has_key(found, n, key))
                continue;
            found[n++] = key;
            if (good_only || !d->all[i]->good)
                v->why |= periods[p].why;
        }
    }
    free(found);
    for (size_t i = 0; i < d->n; i++) {
        struct retention_verdict *v = verdict_of(d, d->all[i]);
        int64_t limit = d->in->now - (int64_t)rule->within;
        unsigned why = is_all ? RETENTION_ALL : 0;

        if (i < rule->last)
            why |= RETENTION_LAST;
        if (rule->within != 0 && v->time >= limit)
            why |= RETENTION_WITHIN;
        if (rule->within != 0 && v->time < limit && !has_base && d->all[i]->kind == KIND_MANIFEST) {
            has_base = true;
            why |= RETENTION_BASE;
        }
        if (good_only || !d->all[i]->good)
            v->why |= why;
    }
    return 0;
}

struct group {
    const struct settings_keep *keep;
    const char *name; /* of the rule, or of the job; NULL: those without a rule of their own */
    bool good_only;
};

static const struct settings_rule *rule_of(const struct settings_keep *keep, const char *name)
{
    for (unsigned i = 0; i < keep->n; i++)
        if (strcmp(keep->named[i].name, name) == 0)
            return &keep->named[i].rule;
    return NULL;
}

static bool is_in_group(const struct retention_item *item, const void *arg)
{
    const struct group *g = arg;

    if (item->removed || !item->readable || (g->good_only && !item->good))
        return false;
    if (g->name != NULL)
        return strcmp(item->group, g->name) == 0;
    return rule_of(g->keep, item->group) == NULL;
}

static int apply_group(struct deciding *d, enum object_kind kind, const struct settings_keep *keep,
                       const char *name, const struct settings_rule *rule, struct err *e)
{
    struct group g = {keep, name, true};

    /* What is good takes the places; what is not is kept where it would have one. */
    gather(d, kind, is_in_group, &g);
    if (apply(d, rule, true, e) != 0)
        return -1;
    g.good_only = false;
    gather(d, kind, is_in_group, &g);
    return apply(d, rule, false, e);
}

/* --- the floor --- */

struct floor {
    const char *job;                /* dumps */
    const struct plan_parts *parts; /* backups: those that lead there; NULL: all */
    bool removed;                   /* those on record as removed, when there are no others */
};

static bool may_stand(const struct retention_item *item, const void *arg)
{
    const struct floor *f = arg;

    return item->good && item->readable && item->removed == f->removed &&
           (f->job == NULL || strcmp(item->group, f->job) == 0) &&
           (f->parts == NULL || retention_leads(f->parts, item));
}

/* True when there is anything good to stand on. */
static bool hold_floor(struct deciding *d, enum object_kind kind, struct floor *f)
{
    size_t verified;

    f->removed = false;
    gather(d, kind, may_stand, f);
    if (d->n == 0) {
        f->removed = true;
        gather(d, kind, may_stand, f);
    }
    for (verified = 0; verified < d->n && d->all[verified]->verified == 0; verified++)
        continue;
    for (size_t i = 0; i < d->n; i++)
        if (i == 0 || i == verified || (verified == d->n && i == 1))
            verdict_of(d, d->all[i])->why |= RETENTION_FLOOR;
    return d->n > 0;
}

static bool is_not_removed(const struct retention_item *item, const void *arg)
{
    (void)arg;
    return !item->removed;
}

static int backups_floor(struct deciding *d)
{
    struct floor f = {.job = NULL};

    if (!hold_floor(d, KIND_MANIFEST, &f)) {
        gather(d, KIND_MANIFEST, is_not_removed, NULL);
        for (size_t i = 0; i < d->n; i++)
            verdict_of(d, d->all[i])->why |= RETENTION_FLOOR;
    }
    f.parts = &d->latest;
    if (d->latest.n > 0)
        (void)hold_floor(d, KIND_MANIFEST, &f);
    return 0;
}

/* --- dumps --- */

/* Calls for each job once. */
static int dumps(struct deciding *d, struct err *e)
{
    const struct retention_items *items = &d->in->items;

    for (size_t i = 0; i < items->n; i++) {
        const char *job = items->v[i].group;
        const struct settings_rule *own = rule_of(&d->in->keep_dumps, job);
        struct floor f = {.job = job};
        bool is_first = items->v[i].kind == KIND_DUMP;

        for (size_t k = 0; k < i && is_first; k++)
            is_first = items->v[k].kind != KIND_DUMP || strcmp(items->v[k].group, job) != 0;
        if (!is_first)
            continue;
        if (apply_group(d, KIND_DUMP, &d->in->keep_dumps, job,
                        own != NULL ? own : &d->in->keep_dumps.rule, e) != 0)
            return -1;
        (void)hold_floor(d, KIND_DUMP, &f);
    }
    return 0;
}

/* --- words --- */

static void say(char *out, const char *text)
{
    size_t len = strlen(out);

    (void)snprintf(out + len, RETENTION_REASON_MAX - len, "%s%s", len == 0 ? "" : "; ", text);
}

static void rule_text(char out[RETENTION_REASON_MAX], const struct settings_rule *r)
{
    char age[TEXT_SIZE_MAX];
    const struct {
        const char *word;
        uint32_t n;
    } counts[] = {{"last", r->last},
                  {period_words[0], r->daily},
                  {period_words[1], r->weekly},
                  {period_words[2], r->monthly},
                  {period_words[3], r->yearly}};
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].n > 0)
            len += (size_t)snprintf(out + len, RETENTION_REASON_MAX - len, "%s%s=%u",
                                    len == 0 ? "" : " ", counts[i].word, (unsigned)counts[i].n);
    text_duration(age, r->within);
    if (r->within > 0)
        (void)snprintf(out + len, RETENTION_REASON_MAX - len, "%swithin=%s", len == 0 ? "" : " ",
                       age);
}

static void keep_reason(const struct retention_item *item, struct retention_verdict *v)
{
    static const struct {
        enum retention_why why;
        const char *text;
    } texts[] = {{RETENTION_ALL, "everything is kept"},
                 {RETENTION_LAST, "last"},
                 {RETENTION_DAILY, "daily"},
                 {RETENTION_WEEKLY, "weekly"},
                 {RETENTION_MONTHLY, "monthly"},
                 {RETENTION_YEARLY, "yearly"},
                 {RETENTION_WITHIN, "within"},
                 {RETENTION_BASE, "the oldest moments of \"within\" are reached from it"}};
    unsigned by_rule = RETENTION_ALL | RETENTION_LAST | RETENTION_DAILY | RETENTION_WEEKLY |
                       RETENTION_MONTHLY | RETENTION_YEARLY | RETENTION_WITHIN | RETENTION_BASE;

    if (v->why & RETENTION_UNREADABLE)
        say(v->reason, "it cannot be read, so nothing is decided about it");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (v->why & texts[i].why)
            say(v->reason, texts[i].text);
    if (!item->good && item->readable)
        say(v->reason, "it cannot be restored and takes no place of a good one");
    if ((v->why & RETENTION_FLOOR) && !item->good)
        say(v->reason, "nothing goes while no backup is known to be good");
    else if ((v->why & RETENTION_FLOOR) && !(v->why & by_rule))
        say(v->reason, item->verified > 0 ? "it is the newest that was verified"
                                          : "the newest good ones are always kept");
    if (v->why & RETENTION_HELD)
        say(v->reason, item->note);
    else if (v->why & RETENTION_PINNED)
        say(v->reason, item->note);
}

static void remove_reason(const struct retention_item *item, const struct settings_keep *keep,
                          struct retention_verdict *v)
{
    const struct settings_rule *own = rule_of(keep, item->group);
    char rule[RETENTION_REASON_MAX];

    if (item->removed) {
        say(v->reason, "it was removed before: a run was cut off, or a power cut brought it back");
        return;
    }
    rule_text(rule, own != NULL ? own : &keep->rule);
    (void)snprintf(v->reason, sizeof v->reason, "%s%.70s%s%.120s does not ask for it",
                   item->good ? "" : "it cannot be restored, and ", own != NULL ? item->group : "",
                   own != NULL ? ": " : "", rule);
}

/* The first copy that must have it and has not; NULL: all have. */
static const struct copied *uncopied(const struct retention_input *in,
                                     const struct retention_item *item)
{
    const char *place = item->kind == KIND_DUMP ? in->cluster : in->place;

    for (size_t i = 0; i < in->n_copies; i++)
        if (!copied_has_object(&in->copies[i], item->kind, place, item->name))
            return &in->copies[i];
    return NULL;
}

/* Nothing else keeps it; what is on record as removed is gone for every reader. */
static void wait_for_copies(const struct retention_input *in, const struct retention_item *item,
                            struct retention_verdict *v)
{
    const struct copied *lacks = item->removed ? NULL : uncopied(in, item);

    if (lacks == NULL)
        return;
    v->keep = true;
    v->why |= RETENTION_UNCOPIED;
    (void)snprintf(v->reason, sizeof v->reason,
                   "no rule asks for it, but copy %.64s does not have it yet", lacks->name);
}

static void conclude(struct deciding *d)
{
    for (size_t i = 0; i < d->in->items.n; i++) {
        const struct retention_item *item = &d->in->items.v[i];
        struct retention_verdict *v = &d->r->verdicts.v[i];
        bool is_backup = item->kind == KIND_MANIFEST;

        if (!item->readable)
            v->why |= RETENTION_UNREADABLE;
        if (item->held)
            v->why |= RETENTION_HELD;
        if (item->pinned && !item->removed)
            v->why |= RETENTION_PINNED;
        v->keep = v->why != 0;
        if (v->keep)
            keep_reason(item, v);
        else
            remove_reason(item, is_backup ? &d->in->keep_backups : &d->in->keep_dumps, v);
        if (!v->keep)
            wait_for_copies(d->in, item, v);
    }
}

/* --- all --- */

/* The times that count: what is in doubt gets the proposed one. */
static int take_times(struct deciding *d, struct err *e)
{
    for (size_t i = 0; i < d->in->items.n; i++) {
        const struct retention_item *item = &d->in->items.v[i];
        struct retention_verdict *v = retention_verdicts_add(&d->r->verdicts, e);

        if (v == NULL)
            return -1;
        v->time = item->time;
        for (size_t k = 0; k < d->r->doubts.n; k++)
            if (d->r->doubts.v[k].kind == item->kind &&
                strcmp(d->r->doubts.v[k].name, item->name) == 0)
                v->time = d->r->doubts.v[k].propose;
    }
    return 0;
}

/* The way to the latest timeline, if all of it is known. */
static int find_latest(struct deciding *d, struct err *e)
{
    const struct plan_lines *lines = &d->in->wal->lines;
    tli_t missing;
    int rc;

    if (lines->n == 0)
        return 0;
    rc = plan_path(d->in->wal, lines->v[lines->n - 1].tli, &d->latest, &missing, e);
    if (rc > 0)
        d->latest.n = 0;
    return rc < 0 ? -1 : 0;
}

static int backups(struct deciding *d, struct err *e)
{
    const struct settings_keep *keep = &d->in->keep_backups;

    if (apply_group(d, KIND_MANIFEST, keep, NULL, &keep->rule, e) != 0)
        return -1;
    for (unsigned i = 0; i < keep->n; i++)
        if (apply_group(d, KIND_MANIFEST, keep, keep->named[i].name, &keep->named[i].rule, e) != 0)
            return -1;
    return backups_floor(d);
}

int retention_decide(struct retention *r, const struct retention_input *in, struct err *e)
{
    struct deciding d = {.in = in, .r = r};
    int rc = -1;

    r->doubts.n = r->verdicts.n = r->ranges.n = r->losses.n = 0;
    r->wal[0] = '\0';
    plan_parts_init(&d.latest, COVERAGE_TIMELINES_MAX);
    d.all = calloc(in->items.n + 1, sizeof(*d.all));
    if (d.all == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory for retention");
        goto out;
    }
    if (judge_clocks(&d, e) != 0)
        goto out;
    rc = 0;
    if (retention_is_blocked(r, in))
        goto out;
    rc = -1;
    if (take_times(&d, e) != 0 || find_latest(&d, e) != 0 || backups(&d, e) != 0 ||
        dumps(&d, e) != 0)
        goto out;
    conclude(&d);
    rc = retention_wal(r, in, e);
out:
    plan_parts_fini(&d.latest);
    free(d.all);
    return rc;
}

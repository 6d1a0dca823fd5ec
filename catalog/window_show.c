#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/time.h"
#include "window.h"

enum { AGO_MAX = 32, MOMENT_MAX = OS_LOCAL_TIME_MAX };

/* "21 s", "5 min", "3 h", "12 days". */
static void span(char out[AGO_MAX], int64_t us)
{
    int64_t s = us < 0 ? 0 : us / USEC_PER_SEC;

    if (s < 120)
        (void)snprintf(out, AGO_MAX, "%lld s", (long long)s);
    else if (s < 7200)
        (void)snprintf(out, AGO_MAX, "%lld min", (long long)(s / 60));
    else if (s < 2 * 86400)
        (void)snprintf(out, AGO_MAX, "%lld h", (long long)(s / 3600));
    else
        (void)snprintf(out, AGO_MAX, "%lld days", (long long)(s / 86400));
}

static void local(char out[MOMENT_MAX], int64_t time)
{
    if (time == COVERAGE_NO_TIME)
        (void)snprintf(out, MOMENT_MAX, "an unknown moment");
    else
        os_local_time(time, 0, out, MOMENT_MAX);
}

/* --- what is in the way --- */

static void obstacle(const struct window_lineage *x, enum plan_why why, tli_t tli, uint64_t segno,
                     char *out, size_t cap)
{
    char name[WALNAME_MAX];

    walname_segment(name, tli == 0 ? 1 : tli, segno, x->l->segment_size);
    switch (why) {
    case PLAN_HOLE:
    case PLAN_DIVERGES:
        (void)snprintf(out, cap, "segment %s is missing", name);
        return;
    case PLAN_EXPIRED:
        (void)snprintf(out, cap, "the WAL from segment %s on was expired", name);
        return;
    case PLAN_LOST:
        (void)snprintf(out, cap, "segment %s cannot be read", name);
        return;
    case PLAN_DAMAGE:
        (void)snprintf(out, cap, "the WAL in segment %s is broken", name);
        return;
    case PLAN_JOIN:
        (void)snprintf(out, cap, "segment %s does not go on where the one before it ends", name);
        return;
    case PLAN_MINIMAL:
        (void)snprintf(out, cap, "wal_level was minimal in segment %s", name);
        return;
    case PLAN_ENDS:
        (void)snprintf(out, cap, "no WAL is archived from segment %s on", name);
        return;
    case PLAN_CHOSEN:
    case PLAN_OLDER:
    case PLAN_UNWANTED:
    case PLAN_UNUSABLE:
    case PLAN_OTHER_BRANCH:
    case PLAN_TOO_NEW:
    case PLAN_NOT_FOUND:
    case PLAN_UNSURE:
        break;
    }
    (void)snprintf(out, cap, "%s", plan_why_text(why));
}

static int show_gap(const struct window_lineage *x, const struct window_gap *g, struct buf *out,
                    struct err *e)
{
    char from[MOMENT_MAX];
    char to[MOMENT_MAX];
    char lsn[2][TEXT_LSN_MAX];
    char why[160];

    local(from, g->from_time);
    local(to, g->to_time);
    text_lsn(lsn[0], g->from);
    text_lsn(lsn[1], g->to);
    obstacle(x, g->why, g->at_tli, g->at_segno, why, sizeof why);
    if (buf_fmt(out, e, "    %s\n", window_is_trouble(g) ? "NOT RESTORABLE" : "not restorable") !=
        0)
        return -1;
    if (!g->is_open)
        return buf_fmt(out, e,
                       "      between  %s   at %s\n"
                       "          and  %s   at %s\n"
                       "      because %s\n",
                       from, lsn[0], to, lsn[1], why);
    return buf_fmt(out, e,
                   "      after    %s   at %s\n"
                   "      because %s;\n"
                   "      only a new base backup (\"walden backup\") ends this\n",
                   from, lsn[0], why);
}

static int show_window(const struct window_lineage *x, const struct window *w, struct buf *out,
                       struct err *e)
{
    const char *first = x->v.in.backups.v[x->w.backups.v[w->backup]].label;
    char from[SURVEY_TIME_MAX];
    char to[SURVEY_TIME_MAX];
    char lsn[2][TEXT_LSN_MAX];

    text_lsn(lsn[0], w->start);
    text_lsn(lsn[1], w->end);
    if (w->start_time == COVERAGE_NO_TIME)
        (void)snprintf(from, sizeof from, "an unknown moment");
    else
        survey_time(from, w->start_time);
    if (w->end_time == COVERAGE_NO_TIME || w->end_time < w->start_time)
        (void)snprintf(to, sizeof to, "its end; no transaction was committed in it");
    else
        survey_time(to, w->end_time);
    if (buf_fmt(out, e,
                "    from  %s\n"
                "      to  %s\n"
                "          WAL %s to %s\n",
                from, to, lsn[0], lsn[1]) != 0)
        return -1;
    if (w->backups == 1)
        return buf_fmt(out, e, "          from backup %s\n", first);
    return buf_fmt(out, e, "          from %zu backups, the oldest is %s\n", w->backups, first);
}

static int show_timeline(const struct window_lineage *x, tli_t tli, struct buf *out, struct err *e)
{
    const struct window_list *list = &x->w.list;
    const struct window_gaps *gaps = &x->w.gaps;
    const struct coverage_timeline *t = coverage_find(&x->l->scan.cover, tli);
    bool any = false;
    size_t gap = 0;
    char at[TEXT_LSN_MAX];

    if (t == NULL || t->rows == 0)
        return 0;
    text_lsn(at, t->birth);
    if (buf_fmt(out, e, "  timeline %u%s%s%s%s\n", (unsigned)tli,
                t->parent == 0 ? "" : ", which left its parent at ", t->parent == 0 ? "" : at,
                tli == x->w.latest ? ", the latest" : "", "") != 0)
        return -1;
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i].tli != tli)
            continue;
        any = true;
        if (show_window(x, &list->v[i], out, e) != 0)
            return -1;
        while (gap < gaps->n && (gaps->v[gap].tli != tli || gaps->v[gap].from < list->v[i].end))
            gap++;
        if (gap < gaps->n && gaps->v[gap].tli == tli && gaps->v[gap].from == list->v[i].end &&
            show_gap(x, &gaps->v[gap], out, e) != 0)
            return -1;
    }
    return any ? 0
               : buf_str(out,
                         "    nothing of it can be restored: no usable base backup leads there\n",
                         e);
}

/* --- what would be lost --- */

static int show_loss(const struct window_lineage *x, struct buf *out, struct err *e)
{
    const struct window_loss *s = &x->loss;
    char moment[MOMENT_MAX];
    char ago[AGO_MAX];
    char size[SURVEY_SIZE_MAX];
    char line[MOMENT_MAX + AGO_MAX + 64];

    if (!s->is_known)
        return 0;
    local(moment, s->newest);
    span(ago, s->now - s->newest);
    if (s->now < s->newest) {
        if (buf_fmt(out, e,
                    "If the server were lost now: what came after %s.\n"
                    "That lies ahead of the clock here, so one of the clocks is wrong.\n",
                    moment) != 0)
            return -1;
    } else {
        (void)snprintf(line, sizeof line, "If the server were lost now: what came after %s, %s.",
                       moment, ago);
        if (command_wrap(out, 0, line, e) != 0)
            return -1;
    }
    if (!s->has_server)
        return buf_fmt(out, e, "(%s, so WAL that is not archived yet does not count here.)\n",
                       s->asked ? "The server could not be asked" : "The server was not asked");
    if (s->server_lsn <= s->archived)
        return buf_str(out, "The server has written nothing that is not archived.\n", e);
    survey_size(size, s->server_lsn - s->archived);
    return buf_fmt(out, e, "The server has written %s of WAL that is not archived yet.\n", size);
}

/* --- all --- */

/* The range that most people ask for: along the way to the latest timeline. */
static int show_verdict(const struct window_lineage *x, struct buf *out, struct err *e)
{
    const struct window *newest = windows_newest(&x->w);
    const struct window *first = NULL;
    char from[MOMENT_MAX];
    char to[MOMENT_MAX];
    size_t gaps = 0;

    if (newest == NULL && x->v.in.backups.n == 0)
        return buf_str(out,
                       "NOTHING CAN BE RESTORED: there is no base backup.\n"
                       "Take one with \"walden backup\".\n",
                       e);
    if (newest == NULL)
        return buf_str(out,
                       "NOTHING OF THE LATEST TIMELINE CAN BE RESTORED: see below why, and take a "
                       "new\nbase backup with \"walden backup\".\n",
                       e);
    for (size_t i = 0; i < x->w.list.n; i++)
        if (first == NULL || x->w.list.v[i].start_time < first->start_time)
            first = &x->w.list.v[i];
    for (size_t i = 0; i < x->w.gaps.n; i++)
        gaps += window_is_trouble(&x->w.gaps.v[i]) ? 1 : 0;
    local(from, first->start_time);
    if (newest->end_time == COVERAGE_NO_TIME || newest->end_time < first->start_time)
        return buf_fmt(out, e, "You can go back to %s, the end of a base backup.\n", from);
    local(to, newest->end_time);
    if (buf_fmt(out, e, "You can go back to any moment\n  from  %s\n    to  %s\n", from, to) != 0)
        return -1;
    if (gaps == 0)
        return 0;
    return buf_fmt(out, e, "EXCEPT %zu gap%s, see NOT RESTORABLE below.\n", gaps,
                   gaps == 1 ? "" : "s");
}

/* The next command, ready to be changed. */
static int show_next(const struct window_lineage *x, struct buf *out, struct err *e)
{
    const struct window *newest = windows_newest(&x->w);
    char time[TEXT_TIME_MAX];

    if (newest == NULL || newest->end_time == COVERAGE_NO_TIME ||
        newest->end_time <= newest->start_time)
        return 0;
    text_time(time, newest->start_time + (newest->end_time - newest->start_time) / 2, 0);
    return buf_fmt(out, e, "next:  walden restore -D DIR --target-time %s --dry-run\n", time);
}

int window_show(const struct window_lineage *x, const struct window_look *look, struct buf *out,
                struct err *e)
{
    if (survey_show_lineage(x->l, out, e) != 0)
        return -1;
    if (x->l->major != 0) {
        if (buf_str(out, "\n", e) != 0 || show_verdict(x, out, e) != 0)
            return -1;
        if (look->width >= WINDOW_NARROW && window_picture(x, look, out, e) != 0)
            return -1;
        if (buf_str(out, "\n", e) != 0)
            return -1;
        for (size_t i = 0; i < x->v.in.lines.n; i++)
            if (show_timeline(x, x->v.in.lines.v[i].tli, out, e) != 0)
                return -1;
    }
    if (survey_show_problems(x->l, out, e) != 0)
        return -1;
    if (x->l->major == 0)
        return 0;
    return buf_str(out, "\n", e) != 0 || show_loss(x, out, e) != 0 || show_next(x, out, e) != 0 ? -1
                                                                                                : 0;
}

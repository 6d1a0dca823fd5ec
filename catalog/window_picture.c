/*
 * The picture of the windows: time from left to right, a bar per timeline.  Whatever is in the way
 * of a restore takes a column of its own, however short it was.
 */
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "os/time.h"
#include "window.h"

enum { LABEL = 8, MARGIN = 6, BAR_MAX = COMMAND_WIDTH, BARS_MAX = 16 };

enum cell { CELL_NONE, CELL_GOOD, CELL_GAP, CELL_BROKEN, CELL_BACKUP, CELL_BAD_BACKUP };

struct axis {
    int64_t from;
    int64_t to;
    unsigned columns;
};

static unsigned column(const struct axis *a, int64_t time)
{
    uint64_t at;
    uint64_t span;

    if (time <= a->from || a->to <= a->from)
        return 0;
    at = (uint64_t)time - (uint64_t)a->from;
    span = (uint64_t)a->to - (uint64_t)a->from;
    /* Thousands of years: coarser, so that the product fits. */
    if (span > UINT64_MAX / BAR_MAX) {
        at /= BAR_MAX;
        span /= BAR_MAX;
    }
    if (at >= span)
        return a->columns - 1;
    return (unsigned)(at * a->columns / span);
}

static void fill(uint8_t *row, const struct axis *a, int64_t from, int64_t to, enum cell cell)
{
    unsigned last = column(a, to);

    for (unsigned i = column(a, from); i <= last; i++)
        if (row[i] < cell)
            row[i] = (uint8_t)cell;
}

static void stretch(struct axis *a, int64_t time)
{
    if (time == COVERAGE_NO_TIME)
        return;
    if (a->from == COVERAGE_NO_TIME || time < a->from)
        a->from = time;
    if (a->to == COVERAGE_NO_TIME || time > a->to)
        a->to = time;
}

static bool make_axis(struct axis *a, const struct window_lineage *x, unsigned columns)
{
    *a = (struct axis){COVERAGE_NO_TIME, COVERAGE_NO_TIME, columns};
    for (size_t i = 0; i < x->w.list.n; i++) {
        stretch(a, x->w.list.v[i].start_time);
        stretch(a, x->w.list.v[i].end_time);
    }
    for (size_t i = 0; i < x->w.gaps.n; i++)
        stretch(a, x->w.gaps.v[i].to_time);
    return a->from != COVERAGE_NO_TIME && a->to > a->from;
}

/* One row of cells as text; runs of one colour are wrapped once. */
static int put_row(const char *label, const uint8_t *row, const struct axis *a,
                   const struct window_look *look, const char *end, struct buf *out, struct err *e)
{
    static const char *const plain[] = {" ", "#", ".", "!", "F", "x"};
    static const char *const wide[] = {" ", "\u2588", "\u00b7", "!", "F", "x"};
    static const char *const colour[] = {"", "\033[32m", "", "\033[31m", "\033[1m", "\033[31m"};
    const char *const *text = look->ascii ? plain : wide;

    if (buf_fmt(out, e, "  %-*.*s", LABEL - 2, LABEL - 2, label) != 0)
        return -1;
    for (unsigned i = 0; i < a->columns; i++) {
        bool starts = look->colour && (i == 0 || row[i] != row[i - 1]) && *colour[row[i]] != '\0';
        bool stops = look->colour && *colour[row[i]] != '\0' &&
                     (i + 1 == a->columns || row[i] != row[i + 1]);

        if (buf_fmt(out, e, "%s%s%s", starts ? colour[row[i]] : "", text[row[i]],
                    stops ? "\033[0m" : "") != 0)
            return -1;
    }
    while (out->len > 0 && *end == '\0' && out->p[out->len - 1] == ' ')
        out->len--;
    return buf_fmt(out, e, "%s\n", end);
}

/* The first and the last day, or, within two days, hour and minute. */
static int put_scale(const struct axis *a, struct buf *out, struct err *e)
{
    char from[OS_LOCAL_TIME_MAX];
    char to[OS_LOCAL_TIME_MAX];
    int pad;

    os_local_time(a->from, 0, from, sizeof from);
    os_local_time(a->to, 0, to, sizeof to);
    from[16] = to[16] = '\0'; /* 2026-03-01 14:05 */
    pad = (int)a->columns - 16;
    return buf_fmt(out, e, "\n%*s%s%*s\n", LABEL, "", from, pad, to);
}

/* 1: the timeline has no window and is left out. */
static int put_timeline(const struct window_lineage *x, tli_t tli, const struct axis *a,
                        const struct window_look *look, struct buf *out, struct err *e)
{
    uint8_t row[BAR_MAX] = {CELL_NONE};
    char label[16];
    bool any = false;

    for (size_t k = 0; k < x->w.list.n; k++) {
        const struct window *w = &x->w.list.v[k];

        if (w->tli != tli)
            continue;
        any = true;
        fill(row, a, w->start_time, w->end_time > w->start_time ? w->end_time : w->start_time,
             CELL_GOOD);
    }
    for (size_t k = 0; k < x->w.gaps.n; k++) {
        const struct window_gap *g = &x->w.gaps.v[k];

        if (g->tli == tli && g->from_time != COVERAGE_NO_TIME)
            fill(row, a, g->from_time, g->is_open ? a->to : g->to_time,
                 window_is_trouble(g) ? CELL_BROKEN : CELL_GAP);
    }
    if (!any)
        return 1;
    (void)snprintf(label, sizeof label, "TL %u", (unsigned)tli);
    return put_row(label, row, a, look, tli == x->w.latest ? "> now" : "", out, e);
}

static int put_backups(const struct window_lineage *x, const struct axis *a,
                       const struct window_look *look, struct buf *out, struct err *e)
{
    uint8_t row[BAR_MAX] = {CELL_NONE};

    for (size_t k = 0; k < x->v.in.backups.n; k++) {
        const struct plan_backup *b = &x->v.in.backups.v[k];

        if (b->stop_time >= a->from)
            fill(row, a, b->stop_time, b->stop_time, b->damaged ? CELL_BAD_BACKUP : CELL_BACKUP);
    }
    return put_row("full", row, a, look, "", out, e);
}

int window_picture(const struct window_lineage *x, const struct window_look *look, struct buf *out,
                   struct err *e)
{
    const struct plan_lines *lines = &x->v.in.lines;
    struct axis a;

    if (!make_axis(&a, x, look->width - LABEL - MARGIN))
        return 0;
    if (put_scale(&a, out, e) != 0)
        return -1;
    /* Of very many timelines the newest. */
    for (size_t i = lines->n > BARS_MAX ? lines->n - BARS_MAX : 0; i < lines->n; i++)
        if (put_timeline(x, lines->v[i].tli, &a, look, out, e) < 0)
            return -1;
    if (put_backups(x, &a, look, out, e) != 0)
        return -1;
    return buf_fmt(out, e, "%*s%s restorable   ! not restorable   F backup   x unusable\n", LABEL,
                   "", look->ascii ? "#" : "\u2588");
}

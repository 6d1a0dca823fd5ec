#include "repo/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/inventory_peek.h"
#include "repo/inventory_wal.h"

/* --- segments --- */

static int take_segment(void *arg, const struct facts *f, struct err *e)
{
    struct inventory *v = arg;
    struct plan_segment *s = plan_segments_add(&v->in.segments, e);

    if (s == NULL)
        return -1;
    inventory_facts(s, f);
    return 0;
}

/* Gives the segments what only the scan knows, and adds those that could not be opened. */
static int merge_rows(struct inventory *v, struct err *e)
{
    const struct coverage_rows *rows = &v->scan.cover.rows;
    struct plan_segments all;
    size_t at = 0;

    plan_segments_init(&all, COVERAGE_ROWS_MAX);
    for (size_t i = 0; i < rows->n; i++) {
        const struct coverage_row *row = &rows->v[i];
        struct plan_segment s = {.tli = row->tli,
                                 .segno = row->segno,
                                 .last_time = COVERAGE_NO_TIME,
                                 .least = COVERAGE_NO_TIME,
                                 .greatest = COVERAGE_NO_TIME,
                                 .last_commit = COVERAGE_NO_TIME};

        while (at < v->in.segments.n &&
               (v->in.segments.v[at].tli < row->tli ||
                (v->in.segments.v[at].tli == row->tli && v->in.segments.v[at].segno < row->segno)))
            at++;
        if (at < v->in.segments.n && v->in.segments.v[at].tli == row->tli &&
            v->in.segments.v[at].segno == row->segno)
            s = v->in.segments.v[at];
        s.state = row->state;
        s.join = row->join;
        s.stored = row->stored;
        if (plan_segments_push(&all, s, e) != 0) {
            plan_segments_fini(&all);
            return -1;
        }
    }
    plan_segments_fini(&v->in.segments);
    v->in.segments = all;
    return 0;
}

static int take_lines(struct inventory *v, struct err *e)
{
    const struct coverage_timelines *t = &v->scan.cover.timelines;

    for (size_t i = 0; i < t->n; i++) {
        struct plan_line line = {.tli = t->v[i].tli,
                                 .parent = t->v[i].parent,
                                 .birth = t->v[i].birth,
                                 .known = t->v[i].tli == 1 || t->v[i].history == COVERAGE_HISTORY};

        if (plan_lines_push(&v->in.lines, line, e) != 0)
            return -1;
    }
    return 0;
}

/* A backup that holds its own WAL holds the history of its timeline, too. */
static int take_lines_inside(struct inventory *v, struct err *e)
{
    for (size_t i = 0; i < v->in.backups.n; i++) {
        const struct plan_backup *b = &v->in.backups.v[i];
        struct plan_line line = {.tli = b->start_tli, .inside = true};
        size_t at = v->in.lines.n;

        if (!b->inside || b->start_tli != b->stop_tli || plan_line(&v->in, line.tli) != NULL)
            continue;
        if (plan_lines_push(&v->in.lines, line, e) != 0)
            return -1;
        for (; at > 0 && v->in.lines.v[at - 1].tli > line.tli; at--)
            v->in.lines.v[at] = v->in.lines.v[at - 1];
        v->in.lines.v[at] = line;
    }
    return 0;
}

/* --- backups --- */

/* What is wrong with a backup itself; NULL: nothing.  (Its WAL is the plan's matter.) */
static const struct problem *find_problem(const struct inventory *v, const char *label)
{
    const struct problem_list *all = &v->scan.problems.list;

    for (size_t i = 0; i < all->n; i++)
        if (strncmp(all->v[i].name, "backup/", 7) == 0 && strcmp(all->v[i].name + 7, label) == 0)
            return &all->v[i];
    return NULL;
}

static int add_backup(struct inventory *v, const struct backup_item *item, struct err *e)
{
    const struct manifest_public *p = &item->public;
    const struct problem *wrong = item->restorable ? NULL : find_problem(v, item->label);
    struct plan_backup *b = plan_backups_add(&v->in.backups, e);

    if (b == NULL)
        return -1;
    (void)snprintf(b->label, sizeof b->label, "%s", item->label);
    b->damaged = !item->restorable;
    if (b->damaged)
        (void)snprintf(b->why, sizeof b->why, "%.250s", wrong == NULL ? "" : wrong->what);
    b->start_tli = p->start_timeline;
    b->stop_tli = p->stop_timeline;
    b->start = p->start_lsn;
    b->stop = p->stop_lsn;
    b->start_time = p->start_time;
    b->stop_time = p->stop_time;
    b->bytes = p->bytes;
    b->files = p->files;
    b->version = p->server_version;
    b->inside = p->wal_inside;
    b->last_record = p->last_record;
    return 0;
}

/* Those that only a problem tells of count as damaged ones. */
static int add_unreadable(struct inventory *v, struct err *e)
{
    const struct problem_list *all = &v->scan.problems.list;

    for (size_t i = 0; i < all->n; i++) {
        struct backup_item item = {.restorable = false};
        const char *label = all->v[i].name + 7;

        if (strncmp(all->v[i].name, "backup/", 7) != 0 || !backup_list_is_label(label) ||
            problem_is_note(&all->v[i]) || inventory_backup(v, label) < v->in.backups.n)
            continue;
        (void)snprintf(item.label, sizeof item.label, "%s", label);
        if (add_backup(v, &item, e) != 0)
            return -1;
    }
    return 0;
}

/* Before the WAL is scanned: see repo/backup_list. */
static int take_backups(struct inventory *v, struct repo *r, struct object_reader *scratch,
                        struct err *e)
{
    if (backup_list_read(&v->list, r, true, &v->scan.problems, scratch, e) != 0)
        return -1;
    for (size_t i = 0; i < v->list.items.n; i++)
        if (add_backup(v, &v->list.items.v[i], e) != 0)
            return -1;
    return add_unreadable(v, e);
}

/* --- all --- */

int inventory_read(struct inventory *v, struct repo *r, bool quick, struct object_reader *scratch,
                   struct err *e)
{
    struct scan_how how = {.quick = quick, .facts = take_segment, .arg = v};

    memset(v, 0, sizeof *v);
    plan_input_init(&v->in, r->lineage.segment_size);
    scan_init(&v->scan);
    backup_list_init(&v->list);
    if (take_backups(v, r, scratch, e) != 0 || scan_lineage(&v->scan, r, &how, scratch, e) != 0 ||
        merge_rows(v, e) != 0 || take_lines(v, e) != 0 || take_lines_inside(v, e) != 0)
        return -1;
    v->in.expired = &v->scan.expired;
    return backup_list_judge(&v->list, &v->scan.cover, &v->scan.problems, e);
}

void inventory_fini(struct inventory *v)
{
    plan_input_fini(&v->in);
    scan_fini(&v->scan);
    backup_list_fini(&v->list);
}

/* --- what a plan asks for --- */

static int read_segment(struct inventory *v, struct repo *r, struct plan_segment *s,
                        struct object_reader *scratch, struct err *e)
{
    char leaf[WALNAME_MAX];
    struct store_name name = {.kind = KIND_SEGMENT, .timeline = s->tli, .name = leaf};
    struct inventory_wal *w;
    struct store_object o;
    int rc;

    walname_segment(leaf, s->tli, s->segno, v->in.segsize);
    rc = repo_get(r, &name, &o, scratch, e);
    if (rc != 0)
        return rc > 0 ? err_set(e, ERR_HOLE, "\"%s\" is gone", leaf) : -1;
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        rc = err_set(e, ERR_NOMEM, "no memory to read \"%s\"", leaf);
    } else if (!object_can_read(scratch)) {
        rc = err_set(e, ERR_KEY, "\"%s\" is sealed", leaf);
    } else {
        s->detail_at = v->in.ends.n;
        inventory_wal_init(w, &v->in.ends, walname_start(s->segno, v->in.segsize), s->damage,
                           s->minimal);
        rc = object_content(scratch, &w->sink, e);
        s->detail_n = v->in.ends.n - s->detail_at;
        s->detail_last = w->last;
    }
    free(w);
    object_close(scratch);
    store_release(&o);
    return rc;
}

/* Reads the records of the segment that a plan asks for. */
static int read_detail(struct inventory *v, struct repo *r, struct plan_segment *s,
                       struct object_reader *scratch, struct err *e)
{
    struct err why = {0};

    if (s->detail != PLAN_UNREAD)
        return err_set(e, ERR_INTERNAL, "a plan asks for the same segment twice");
    v->asked++;
    s->detail = PLAN_READ;
    if (read_segment(v, r, s, scratch, &why) == 0)
        return 0;
    if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED) {
        *e = why;
        return -1;
    }
    /* Damage that the scan could not see stops a recovery; a missing key hides only details. */
    v->in.ends.n = s->detail_at < v->in.ends.n ? s->detail_at : v->in.ends.n;
    s->detail_n = 0;
    s->detail = PLAN_UNREADABLE;
    if (why.code != ERR_KEY)
        s->state = COVERAGE_LOST;
    return 0;
}

/* The metadata on the way of a plan that would do: *n segments were read, so that it must be made
 * again. */
static int peek_way(struct inventory *v, struct repo *r, const struct plan *p, uint64_t *n,
                    struct object_reader *scratch, struct err *e)
{
    for (size_t i = 0; i < p->parts.n; i++) {
        const struct plan_part *part = &p->parts.v[i];
        size_t first;
        size_t end;

        if (part->first == part->behind)
            continue;
        first = plan_place(&v->in, part->tli, part->first);
        end = plan_place(&v->in, part->tli, part->behind);
        if (inventory_peek(v, r, first, end, n, scratch, e) != 0)
            return -1;
    }
    return 0;
}

/* May a restore point have come over from the segment before?  The facts do not count it there. */
static bool may_cross(const struct inventory *v, size_t i)
{
    size_t before = v->in.segments.n;

    if ((v->in.segments.v[i].flags & FACTS_HEAD_ENDS) != 0)
        before = inventory_before(v, i);
    return before < v->in.segments.n && v->in.segments.v[before].cut_point;
}

/* The metadata of the segments in which something has a name. */
static int peek_names(struct inventory *v, struct repo *r, struct object_reader *scratch,
                      struct err *e)
{
    for (size_t i = 0; i < v->in.segments.n; i++)
        if ((v->in.segments.v[i].named || may_cross(v, i)) &&
            inventory_peek(v, r, i, i + 1, NULL, scratch, e) != 0)
            return -1;
    return 0;
}

int inventory_plan(struct inventory *v, struct repo *r, const struct plan_target *t, struct plan *p,
                   struct object_reader *scratch, struct err *e)
{
    uint64_t n = 0;

    if (t->kind == PLAN_NAME && peek_names(v, r, scratch, e) != 0)
        return -1;
    for (;;) {
        if (plan_make(p, &v->in, t, e) != 0)
            return -1;
        n = 0;
        if (p->verdict == PLAN_DETAIL && p->peek == 0) {
            if (read_detail(v, r, &v->in.segments.v[p->detail], scratch, e) != 0)
                return -1;
            continue;
        }
        if (p->verdict == PLAN_DETAIL) {
            size_t left = v->in.segments.n - p->detail;

            if (inventory_peek(v, r, p->detail, p->detail + (p->peek < left ? p->peek : left), &n,
                               scratch, e) != 0)
                return -1;
            if (n == 0)
                return err_set(e, ERR_INTERNAL, "a plan asks for the same metadata twice");
            continue;
        }
        if (p->verdict == PLAN_YES && peek_way(v, r, p, &n, scratch, e) != 0)
            return -1;
        if (n == 0)
            return 0;
    }
}

size_t inventory_backup(const struct inventory *v, const char *label)
{
    for (size_t i = 0; i < v->in.backups.n; i++)
        if (strcmp(v->in.backups.v[i].label, label) == 0)
            return i;
    return v->in.backups.n;
}

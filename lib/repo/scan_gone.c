#include "repo/scan_gone.h"

#include <stdio.h>

#include "base/text.h"
#include "os/time.h"

/* --- base backups --- */

struct backups {
    struct index *index;
    struct repo *repo;
    struct object_reader *reader;
};

/* Only what can be proven is remembered: a file that somebody left there is not missed later. */
static int see_backup(void *arg, const char *label, struct err *e)
{
    const struct backups *b = arg;
    struct store_name name = {.kind = KIND_MANIFEST, .name = label};
    struct object_want want = {
        .kind = KIND_MANIFEST, .name = label, .system_id = b->repo->where.system_id};
    struct index_record record = {.kind = KIND_MANIFEST, .name = label, .name_len = strlen(label)};
    struct store_object o = {.fd = -1};
    struct store_seen seen;
    struct err quiet = {0};
    int rc;

    if (strlen(label) > FRAME_NAME_MAX ||
        store_look(&b->repo->store, &b->repo->where, &name, &seen, &quiet) != 0 ||
        index_find(b->index, KIND_MANIFEST, label, seen.size, seen.stamp) != NULL ||
        store_get(&b->repo->store, &b->repo->where, &name, &o, &quiet) != 0)
        return 0;
    rc = object_open(b->reader, &o.source, &b->repo->trust, &want, &quiet);
    if (rc == 0) {
        object_close(b->reader);
        record.size = o.source.size;
        record.stamp = o.stamp;
        rc = index_add(b->index, &record, e);
    } else {
        rc = 0; /* the list of backups says what is wrong with it */
    }
    store_release(&o);
    return rc;
}

int scan_gone_backups(struct index *x, struct repo *r, struct object_reader *reader, struct err *e)
{
    struct backups b = {x, r, reader};

    return store_each_object(&r->store, &r->where, KIND_MANIFEST, see_backup, &b, e);
}

/* --- what is gone --- */

/* Consecutive segments. */
struct range {
    tli_t tli;
    uint64_t first;
    uint64_t end;
    int64_t first_time; /* of their commits */
    int64_t last_time;
};

struct gone {
    struct scan *scan;
    tli_t only;
    const char *where; /* the lineage's path */
    struct range range;
};

static bool is_in_hole(const struct coverage *c, const struct coverage_timeline *t, uint64_t segno)
{
    for (size_t i = t->hole; i < t->hole + t->holes; i++)
        if (segno >= c->holes.v[i].first && segno < c->holes.v[i].end)
            return true;
    return false;
}

static void forget_text(const struct gone *g, char *out, size_t cap)
{
    (void)snprintf(out, cap,
                   "put it back from a copy; if it was removed on purpose, remove the directory "
                   "\"%s/index\" as well and it is forgotten",
                   g->where);
}

/* Segments before what is left, or behind it. */
static int put_range(struct gone *g, struct err *e)
{
    const struct coverage *c = &g->scan->cover;
    const struct range *r = &g->range;
    const struct coverage_timeline *t = coverage_find(c, r->tli);
    const struct coverage_row *last = NULL;
    char name[2 * WALNAME_MAX + 8];
    char what[PROBLEM_TEXT_MAX];
    char text[PROBLEM_TEXT_MAX];
    char at[TEXT_LSN_MAX];
    char moment[OS_LOCAL_TIME_MAX] = "";
    char forget[512];
    struct problem one = {.kind = PROBLEM_GONE,
                          .tli = r->tli,
                          .first = r->first,
                          .end = r->end,
                          .name = name,
                          .what = what,
                          .consequence = text};

    if (r->tli == 0)
        return 0;
    walname_segment(name, r->tli, r->first, c->segsize);
    if (r->end - r->first > 1) {
        size_t n = strlen(name);

        n += (size_t)snprintf(name + n, sizeof name - n, " to ");
        walname_segment(name + n, r->tli, r->end - 1, c->segsize);
    }
    (void)snprintf(what, sizeof what,
                   "%llu segment%s archived and then vanished, and no expire record says why",
                   (unsigned long long)(r->end - r->first),
                   r->end - r->first == 1 ? " was" : "s were");
    if (t != NULL && t->rows > 0)
        last = &c->rows.v[t->row + t->rows - 1];
    forget_text(g, forget, sizeof forget);
    if (last != NULL && last->segno > r->first) {
        text_lsn(at, walname_start(r->end, c->segsize));
        (void)snprintf(text, sizeof text,
                       "a base backup that starts before %s has lost its WAL; %s", at, forget);
        return problems_add(&g->scan->problems, &one, e);
    }
    one.at = walname_start(r->first, c->segsize);
    one.seen = last != NULL ? last->seen : t != NULL ? t->seen : COVERAGE_NO_TIME;
    text_lsn(at, one.at);
    if (r->last_time != COVERAGE_NO_TIME)
        os_local_time(r->last_time, 1, moment, sizeof moment);
    (void)snprintf(
        text, sizeof text, "recovery ends at %s on timeline %u%s%s%s; %s", at, (unsigned)r->tli,
        *moment == '\0' ? "" : ", though commits had been archived up to ", moment, "", forget);
    return problems_add(&g->scan->problems, &one, e);
}

static void take_times(struct range *r, const struct index_entry *entry)
{
    static const int64_t epoch_2000 = INT64_C(946684800) * 1000000;
    struct err quiet = {0};
    struct facts f;

    if (facts_decode(entry->part, entry->part_len, &f, &quiet) != 0 || f.commits == 0)
        return;
    if (r->first_time == COVERAGE_NO_TIME)
        r->first_time = f.commit_times.first + epoch_2000;
    r->last_time = f.commit_times.last + epoch_2000;
}

static int take_segment(struct gone *g, const struct index_entry *entry, tli_t tli, uint64_t segno,
                        struct err *e)
{
    const struct coverage_timeline *t = coverage_find(&g->scan->cover, tli);

    if (expired_segment(&g->scan->expired, tli, segno, g->scan->cover.segsize) ||
        (t != NULL && (segno < coverage_birth(&g->scan->cover, t) || /* it was in nobody's way */
                       is_in_hole(&g->scan->cover, t, segno))))
        return 0;
    if (g->range.tli == tli && segno + 1 == g->range.end) { /* another record of the same name */
        take_times(&g->range, entry);
        return 0;
    }
    if (g->range.tli != tli || segno != g->range.end) {
        if (put_range(g, e) != 0)
            return -1;
        g->range = (struct range){tli, segno, segno, COVERAGE_NO_TIME, COVERAGE_NO_TIME};
    }
    g->range.end = segno + 1;
    take_times(&g->range, entry);
    return 0;
}

/* A missing history that anything needs is told by the histories themselves. */
static bool is_told(const struct coverage *c, tli_t tli)
{
    for (size_t i = 0; i < c->timelines.n; i++) {
        const struct coverage_timeline *t = &c->timelines.v[i];

        if (t->tli >= tli && (t->rows > 0 || t->history != COVERAGE_NO_HISTORY))
            return true;
    }
    return false;
}

static int put_object(struct gone *g, tli_t tli, const char *shown, const char *cost, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char text[PROBLEM_TEXT_MAX];
    char forget[512];
    char what[] = "it was stored and then vanished, and no expire record says why";
    struct problem one = {
        .kind = PROBLEM_GONE, .tli = tli, .name = name, .what = what, .consequence = text};

    (void)snprintf(name, sizeof name, "%s", shown);
    forget_text(g, forget, sizeof forget);
    (void)snprintf(text, sizeof text, "%s; %s", cost, forget);
    return problems_add(&g->scan->problems, &one, e);
}

static int take_wal(struct gone *g, const struct index_entry *entry, const char *name,
                    struct err *e)
{
    struct walname n;
    uint64_t segno = 0;

    if (!walname_parse(name, &n) || (g->only != 0 && n.tli != g->only))
        return 0;
    if (n.kind == WALNAME_HISTORY)
        return is_told(&g->scan->cover, n.tli)
                   ? 0
                   : put_object(g, n.tli, name, "nothing shows that this timeline exists", e);
    if (n.kind == WALNAME_BACKUP || !walname_segno(&n, g->scan->cover.segsize, &segno))
        return 0; /* nothing needs it */
    if (n.kind == WALNAME_SEGMENT)
        return take_segment(g, entry, n.tli, segno, e);
    if (expired_segment(&g->scan->expired, n.tli, segno, g->scan->cover.segsize))
        return 0;
    return put_object(g, n.tli, name, "the end of the timeline that was left is lost with it", e);
}

static bool same_name(const struct index_entry *a, const struct index_entry *b)
{
    return a->kind == b->kind && a->name_len == b->name_len &&
           memcmp(a->name, b->name, a->name_len) == 0;
}

int scan_gone(struct scan *s, const struct index *x, struct repo *r, tli_t tli, struct err *e)
{
    char where[STORE_PATH_MAX];
    struct gone g = {.scan = s, .only = tli, .where = where};

    (void)snprintf(where, sizeof where, "%.64s/%llu", r->where.cluster,
                   (unsigned long long)r->where.system_id);
    for (size_t i = 0; i < x->entries.n; i++) {
        const struct index_entry *entry = &x->entries.v[i];
        char name[FRAME_NAME_MAX + 1];
        int rc = 0;

        if (entry->seen || (i > 0 && entry->kind != KIND_SEGMENT && same_name(entry, entry - 1)))
            continue;
        memcpy(name, entry->name, entry->name_len);
        name[entry->name_len] = '\0';
        if (entry->kind == KIND_MANIFEST) {
            char shown[FRAME_NAME_MAX + 16];

            (void)snprintf(shown, sizeof shown, "backup %s", name);
            if (expired_find(&s->expired, KIND_MANIFEST, name) == NULL)
                rc = put_object(&g, 0, shown, "nothing can be restored from it any more", e);
        } else if (entry->kind <= KIND_BACKUP_HISTORY) {
            rc = take_wal(&g, entry, name, e);
        }
        if (rc != 0)
            return -1;
    }
    return put_range(&g, e);
}

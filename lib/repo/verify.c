#include "repo/verify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/zeros.h"
#include "pg/history.h"
#include "pg/metaread.h"
#include "repo/wal_put.h"

void verify_init(struct verify *v, uint64_t system_id)
{
    memset(v, 0, offsetof(struct verify, text));
    v->system_id = system_id;
    v->part = (struct verify_part){1, 1};
    verified_wals_init(&v->wal, COVERAGE_TIMELINES_MAX);
    buf_init(&v->text, WAL_PUT_TEXT_MAX);
}

void verify_fini(struct verify *v)
{
    buf_fini(&v->text);
    verified_wals_fini(&v->wal);
}

/* --- the end of a chain that walks, and of one that gathers a text --- */

struct walk_sink {
    struct sink sink;
    struct walwalk *walk;
};

static int walk_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    return walwalk_feed(((struct walk_sink *)s)->walk, bytes, len, e);
}

static const struct sink_ops walk_ops = {"walk", walk_write, sink_finish_next, sink_abort_next};

struct text_sink {
    struct sink sink;
    struct buf *text;
};

static int text_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    if (buf_add(((struct text_sink *)s)->text, bytes, len, e) == 0)
        return 0;
    if (e->code == ERR_NOMEM) /* more than such a file may have */
        e->code = ERR_DAMAGED;
    return -1;
}

static const struct sink_ops text_ops = {"text", text_write, sink_finish_next, sink_abort_next};

/* --- segments --- */

static int feed_zeros(struct walwalk *w, uint64_t left, struct err *e)
{

    while (left > 0) {
        size_t take = left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES;

        if (walwalk_feed(w, zeros(), take, e) != 0)
            return -1;
        left -= take;
    }
    return 0;
}

static int differs(const struct scan_object *o, const char *what, uint64_t said, uint64_t found,
                   bool lsn, struct err *e)
{
    char a[TEXT_LSN_MAX];
    char b[TEXT_LSN_MAX];

    if (lsn) {
        text_lsn(a, said);
        text_lsn(b, found);
        (void)err_set(e, ERR_DAMAGED, "\"%s\": its summary says that %s %s, but it is %s",
                      o->reader->source->name, what, a, b);
    } else {
        (void)err_set(e, ERR_DAMAGED, "\"%s\": its summary says that %s %llu, but it is %llu",
                      o->reader->source->name, what, (unsigned long long)said,
                      (unsigned long long)found);
    }
    return SCAN_DIFFERS;
}

/* Compares what windows, plans and joins are made of.  Encodings are not compared: a later version
 * may write more. */
static int compare_facts(const struct scan_object *o, const struct facts *a, const struct facts *b,
                         struct err *e)
{
    const struct {
        const char *what;
        uint64_t said;
        uint64_t found;
        bool lsn;
    } parts[] = {
        {"its first record is at", a->first_rec, b->first_rec, true},
        {"the record before its first is at", a->first_prev, b->first_prev, true},
        {"its last record is at", a->last_rec, b->last_rec, true},
        {"its valid data end at", a->end, b->end, true},
        {"its number of records is", a->records, b->records, false},
        {"its number of commits is", a->commits, b->commits, false},
        {"its number of aborts is", a->aborts, b->aborts, false},
        {"its number of prepared transactions is", a->prepares, b->prepares, false},
        {"its first commit is at", a->first_commit, b->first_commit, true},
        {"its last commit is at", a->last_commit, b->last_commit, true},
        {"the time of its first commit is", (uint64_t)a->commit_times.first,
         (uint64_t)b->commit_times.first, false},
        {"the time of its last commit is", (uint64_t)a->commit_times.last,
         (uint64_t)b->commit_times.last, false},
        {"its least time is", (uint64_t)a->xact_times.least, (uint64_t)b->xact_times.least, false},
        {"its greatest time is", (uint64_t)a->xact_times.greatest, (uint64_t)b->xact_times.greatest,
         false},
        {"its number of checkpoints is", a->checkpoints, b->checkpoints, false},
        {"its number of damaged places is", a->damages, b->damages, false},
        {"its first damage is at", a->damage[0].lsn, b->damage[0].lsn, true},
        {"its continued record lacked", a->head_rem, b->head_rem, false},
        {"its cut record is at", a->tail, b->tail, true},
        {"the length of its cut record is", a->tail_len, b->tail_len, false},
        {"its flags are", a->flags, b->flags, false},
        {"its last timeline is", a->last_tli, b->last_tli, false},
    };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].said != parts[i].found)
            return differs(o, parts[i].what, parts[i].said, parts[i].found, parts[i].lsn, e);
    return 0;
}

/* Can the stored metadata be read to its end? */
static int check_metadata(struct verify *v, const struct scan_object *o,
                          const struct wal_summary *stored, struct err *e)
{
    struct metaread r;
    int rc;

    metaread_open(&r, stored->meta, stored->meta_len, stored->facts.start);
    do {
        rc = metaread_next(&r, &v->item);
    } while (rc == 0);
    if (rc > 0)
        return 0;
    (void)err_set(e, ERR_DAMAGED, "\"%s\": the list of events in its summary cannot be decoded",
                  o->reader->source->name);
    return SCAN_DIFFERS;
}

/* The WAL is read with lib/pg's walker, as when it was archived.  What it refuses now it did not
 * refuse then, so the object does not hold what was archived. */
static int read_wal(struct verify *v, const struct scan_object *o, struct wal_summary *found,
                    uint64_t *bytes, struct err *e)
{
    const struct frame_tail *t = &o->reader->tail;
    struct walk_sink end = {.walk = &v->walk};
    struct wal_summary now;
    int rc;

    sink_init(&end.sink, &walk_ops, PHASE_DELIVER);
    if (walwalk_init(&v->walk, o->name, o->reader->head.segment_size, v->system_id, e) != 0 ||
        object_content(o->reader, &end.sink, e) != 0 ||
        feed_zeros(&v->walk, t->plain_size - t->kept_size, e) != 0 ||
        walwalk_finish(&v->walk, &now, e) != 0) {
        if (e->code == ERR_REFUSED)
            e->code = ERR_DAMAGED;
        return -1;
    }
    *bytes = t->plain_size;
    rc = compare_facts(o, o->facts, &now.facts, e);
    if (rc == 0)
        rc = check_metadata(v, o, found, e);
    *found = now;
    return rc;
}

/* --- histories and backup histories --- */

static int compare_history(struct verify *v, const struct scan_object *o, struct err *e)
{
    struct history *h = malloc(sizeof *h);
    const struct wal_branches *b = o->branches;
    bool same;
    int rc;

    if (h == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a history");
    rc = history_parse(buf_text(&v->text), v->text.len, o->name->tli, h, e);
    if (rc != 0) {
        if (e->code == ERR_REFUSED)
            e->code = ERR_DAMAGED;
        (void)err_context(e, "\"%s\"", o->reader->source->name);
    } else {
        same = h->n == b->n;
        for (size_t i = 0; same && i < b->n; i++)
            same = h->entry[i].tli == b->v[i].parent && h->entry[i].end == b->v[i].end;
        if (!same) {
            (void)err_set(e, ERR_DAMAGED, "\"%s\": its summary names other branches than the file",
                          o->reader->source->name);
            rc = SCAN_DIFFERS;
        }
    }
    free(h);
    return rc;
}

static int read_text(struct verify *v, const struct scan_object *o, uint64_t *bytes, struct err *e)
{
    struct text_sink end = {.text = &v->text};

    buf_clear(&v->text);
    sink_init(&end.sink, &text_ops, PHASE_DELIVER);
    if (object_content(o->reader, &end.sink, e) != 0)
        return -1;
    *bytes = v->text.len;
    return o->name->kind == WALNAME_HISTORY ? compare_history(v, o, e) : 0;
}

int verify_read(struct verify *v, const struct scan_object *o, struct wal_summary *found,
                uint64_t *bytes, struct err *e)
{
    *bytes = o->reader->source->size;
    if (!object_can_read(o->reader))
        return object_check_stored(o->reader, e);
    return o->facts != NULL ? read_wal(v, o, found, bytes, e) : read_text(v, o, bytes, e);
}

/* --- what counts --- */

static bool is_due(const struct verify *v, const struct scan_object *o)
{
    uint64_t segno;

    if (o->name->kind == WALNAME_SEGMENT &&
        walname_segno(o->name, o->reader->head.segment_size, &segno))
        return verify_part_number(&v->part, segno);
    return verify_part_rest(&v->part);
}

static int count(struct verify *v, const struct scan_object *o, uint64_t bytes, struct err *e)
{
    bool content = object_can_read(o->reader);
    uint8_t level = content ? VERIFIED_RECORDS : VERIFIED_STORED;
    struct verified_wal *w = v->wal.n == 0 ? NULL : &v->wal.v[v->wal.n - 1];

    v->content += content ? 1 : 0;
    v->only_stored += content ? 0 : 1;
    v->bytes += bytes;
    if (o->name->kind != WALNAME_SEGMENT)
        return 0;
    if (w == NULL || w->tli != o->name->tli) { /* they come by timeline */
        w = verified_wals_add(&v->wal, e);
        if (w == NULL)
            return -1;
        w->tli = o->name->tli;
        w->level = level;
    }
    w->level = level < w->level ? level : w->level;
    w->segments++;
    return 0;
}

int verify_object(void *arg, const struct scan_object *o, struct wal_summary *found, struct err *e)
{
    struct verify *v = arg;
    const char *name = o->reader->head.name;
    uint64_t bytes;
    int rc;

    if (!is_due(v, o))
        return 0;
    if (verify_log_has(v->log, 'w', name, &bytes)) {
        v->resumed++;
        return count(v, o, bytes, e);
    }
    rc = v->ahead == NULL ? VERIFY_AHEAD_NOT
                          : verify_ahead_take(v->ahead, o->name, found, &bytes, e);
    if (rc == VERIFY_AHEAD_NOT)
        rc = verify_read(v, o, found, &bytes, e);
    if (rc == 0)
        verify_log_add(v->log, 'w', name, bytes);
    return rc < 0 || count(v, o, bytes, e) == 0 ? rc : -1;
}

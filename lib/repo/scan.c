#include "repo/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/signal.h"
#include "pg/join.h"
#include "repo/recipients.h"
#include "repo/scan_gone.h"
#include "repo/scan_list.h"
#include "repo/store_stray.h"

/* From PostgreSQL's epoch to ours. */
static const int64_t EPOCH_2000 = INT64_C(946684800) * USEC_PER_SEC;

/* Segments in a row that the same recipients lack. */
struct addressed {
    enum recipients to; /* RECIPIENTS_ALL: none */
    char who[RECIPIENTS_WHO];
    tli_t tli;
    uint64_t first;
    uint64_t end;
};

/* A scan on its way. */
struct run {
    struct scan *scan;
    struct repo *repo;
    const struct scan_how *how;
    struct object_reader *reader;
    struct index index;
    struct join join;
    struct wal_summary summary;
    struct addressed addressed;
    struct frame_keys boxes; /* ids of the last entry of the index, */
    bool all_there;          /* among which were all recipients */
    char who[RECIPIENTS_WHO];
    uint32_t tli; /* being listed */
    uint64_t done;
    uint64_t total;
};

void scan_init(struct scan *s)
{
    memset(s, 0, sizeof *s);
    coverage_init(&s->cover, 0);
    problems_init(&s->problems);
    scan_extras_init(&s->extras, SCAN_EXTRAS_MAX);
    expired_init(&s->expired);
}

void scan_fini(struct scan *s)
{
    coverage_fini(&s->cover);
    problems_fini(&s->problems);
    scan_extras_fini(&s->extras);
    expired_fini(&s->expired);
}

static bool is_chosen(const struct run *run, tli_t tli)
{
    return run->how->timeline == 0 || run->how->timeline == tli;
}

/* --- names --- */

/* The number of the entry of what was listed, counted from 1; 0: it must be opened.  *stored: its
 * size. */
static uint32_t known(struct run *run, const struct store_seen *seen, enum object_kind kind,
                      uint64_t *stored)
{
    const struct index_entry *entry =
        index_find(&run->index, kind, seen->name, seen->size, seen->stamp);

    *stored = entry == NULL ? seen->size : entry->size;
    return entry == NULL ? 0 : (uint32_t)(entry - run->index.entries.v) + 1;
}

static uint64_t known_until(void *arg, uint32_t timeline, uint32_t group)
{
    const struct run *run = arg;

    return index_newest(&run->index, timeline, group);
}

static int list_name(void *arg, const struct store_seen *seen, struct err *e)
{
    struct run *run = arg;
    struct scan *s = run->scan;
    struct scan_extra extra;
    struct walname n;
    uint64_t segno;

    /* Names that do not belong here are found by the search for strays. */
    if (!walname_parse(seen->name, &n) || n.kind == WALNAME_HISTORY || n.tli != run->tli ||
        !walname_segno(&n, s->cover.segsize, &segno))
        return 0;
    run->total += is_chosen(run, n.tli) ? 1 : 0;
    if (n.kind == WALNAME_SEGMENT) {
        struct coverage_row row = {.segno = segno,
                                   .tli = n.tli,
                                   .first_time = COVERAGE_NO_TIME,
                                   .last_time = COVERAGE_NO_TIME,
                                   .join = JOIN_FIRST};

        row.known = known(run, seen, KIND_SEGMENT, &row.stored);
        return coverage_add(&s->cover, &row, e);
    }
    extra = (struct scan_extra){.segno = segno,
                                .tli = n.tli,
                                .offset = n.offset,
                                .last_time = COVERAGE_NO_TIME,
                                .partial = n.kind == WALNAME_PARTIAL};
    extra.known =
        known(run, seen, extra.partial ? KIND_PARTIAL : KIND_BACKUP_HISTORY, &extra.stored);
    return scan_extras_push(&s->extras, extra, e);
}

static int list_timeline(void *arg, uint32_t timeline, struct err *e)
{
    struct run *run = arg;

    if (timeline == 0)
        return 0;
    run->tli = timeline;
    run->total += timeline > 1 ? 1 : 0;
    if (coverage_timeline(&run->scan->cover, timeline, e) == NULL)
        return -1;
    return scan_list(run->repo, timeline, run->how->quick ? known_until : NULL, list_name, run, e);
}

static int stray(void *arg, enum store_stray what, const char *path, struct err *e)
{
    struct run *run = arg;
    char name[PROBLEM_PATH_MAX];
    char text[] = "an unfinished file whose writer is gone";
    char misplaced[] = "no file or directory of this name belongs here";
    struct problem one = {.name = name};

    (void)snprintf(name, sizeof name, "%s", path);
    one.kind = what == STORE_STRAY_TEMP ? PROBLEM_TEMP : PROBLEM_MISPLACED;
    one.what = what == STORE_STRAY_TEMP ? text : misplaced;
    return problems_add(&run->scan->problems, &one, e);
}

/* --- one object --- */

/* Is the failure about this object, so that the next one may be looked at? */
static bool is_about_object(const struct err *e)
{
    switch (e->code) {
    case ERR_DAMAGED:
    case ERR_REFUSED:
    case ERR_KEY:
    case ERR_IO:
        return true;
    case ERR_NONE:
    case ERR_USAGE:
    case ERR_CONFIG:
    case ERR_NOMEM:
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
    case ERR_HOLE:
    case ERR_INTERRUPTED:
    case ERR_INTERNAL:
        break;
    }
    return false;
}

/* Turns the failure in *e into a problem of the object; -1 when it is not about the object. */
static int complain(struct run *run, const struct walname *name, const char *leaf, bool differs,
                    struct err *e)
{
    char text[WALNAME_MAX];
    struct problem one = {.tli = name->tli, .name = text, .what = e->msg};

    if (!differs && !is_about_object(e))
        return -1;
    (void)snprintf(text, sizeof text, "%s", leaf);
    if (differs)
        one.kind = PROBLEM_SUMMARY;
    else if (e->code == ERR_REFUSED)
        one.kind = PROBLEM_REFUSED;
    else
        one.kind = e->code == ERR_KEY ? PROBLEM_KEY : PROBLEM_DAMAGED;
    if (name->kind == WALNAME_SEGMENT && walname_segno(name, run->scan->cover.segsize, &one.first))
        one.end = one.first + 1;
    if (problems_add(&run->scan->problems, &one, e) != 0)
        return -1;
    err_clear(e);
    return 0;
}

/* Opens the object with whatever keys are here.  Only reading back insists on it: without metadata
 * the join compares less, which is no fault of the object. */
static int unlock(struct run *run, struct err *e)
{
    struct repo *r = run->repo;
    struct err quiet = {0};

    if (run->how->deep != NULL && r->has_secret)
        return object_unlock(run->reader, &r->secret, e);
    if (r->has_host && object_unlock_metadata(run->reader, &r->host, &quiet) == 0)
        return 0;
    err_clear(&quiet);
    if (r->has_secret && object_unlock(run->reader, &r->secret, &quiet) != 0)
        run->reader->has_metadata = false;
    return 0;
}

/* Does the header say what the name says? */
static int check_place(const struct run *run, const struct walname *n, struct err *e)
{
    const struct frame_head *h = &run->reader->head;
    const struct facts *f = &run->summary.facts;

    if (wal_check_object(run->reader, n, run->scan->cover.segsize, e) != 0)
        return -1;
    if (n->kind != WALNAME_SEGMENT && n->kind != WALNAME_PARTIAL)
        return 0;
    if (f->start != h->lsn || f->tli != n->tli || f->segsize != h->segment_size ||
        f->sysid != h->system_id)
        return err_set(e, ERR_DAMAGED, "\"%s\": its summary is of another segment",
                       run->reader->source->name);
    return 0;
}

/* What the trailer tells.  The metadata is freed by the caller. */
static int read_summary(struct run *run, const struct walname *n, uint8_t **meta,
                        struct wal_branches *branches, struct err *e)
{
    const struct frame_tail *t = &run->reader->tail;
    struct wal_summary *s = &run->summary;

    memset(s, 0, sizeof *s);
    if (n->kind == WALNAME_HISTORY) {
        if (wal_branches_decode(branches, t->public_part, t->public_len, e) == 0)
            return 0;
        return err_context(e, "\"%s\"", run->reader->source->name);
    }
    if (n->kind == WALNAME_BACKUP)
        return 0;
    if (facts_decode(t->public_part, t->public_len, &s->facts, e) != 0)
        return err_context(e, "\"%s\"", run->reader->source->name);
    if (run->reader->head.sealed && !run->reader->has_metadata)
        return 0;
    if (object_metadata(run->reader, meta, &s->meta_len, e) != 0)
        return -1;
    s->meta = *meta;
    return 0;
}

/* Tells of the segments that were gathered. */
static int flush_addressed(struct run *run, struct err *e)
{
    struct addressed *a = &run->addressed;
    uint32_t segsize = run->scan->cover.segsize;
    char text[2 * WALNAME_MAX + 8];
    struct recipients_text said;
    struct problem one = {.tli = a->tli, .first = a->first, .end = a->end, .name = text};

    if (a->to == RECIPIENTS_ALL)
        return 0;
    walname_segment(text, a->tli, a->first, segsize);
    if (a->end > a->first + 1) {
        size_t len = strlen(text);

        memcpy(text + len, " to ", 5);
        walname_segment(text + len + 4, a->tli, a->end - 1, segsize);
    }
    recipients_describe(&one, &said, a->to, a->who);
    a->to = RECIPIENTS_ALL;
    return problems_add(&run->scan->problems, &one, e);
}

/* Notes to whom an object is sealed; ERR_KEY when that is none of the recipients. */
static int check_addressed(struct run *run, const struct walname *n, const char *leaf,
                           const struct frame_head *head, const struct frame_keys *keys,
                           struct err *e)
{
    struct addressed *a = &run->addressed;
    struct problem one = {.tli = n->tli};
    struct recipients_text said;
    char who[RECIPIENTS_WHO];
    char text[WALNAME_MAX];
    uint64_t segno;
    enum recipients to;

    if (!is_chosen(run, n->tli)) /* looked at for another's sake */
        return 0;
    to = recipients_check(run->repo, head, keys, who);
    if (to == RECIPIENTS_NONE)
        return recipients_refuse(leaf, e);
    if (to == RECIPIENTS_ALL)
        return 0;
    if (n->kind != WALNAME_SEGMENT || !walname_segno(n, run->scan->cover.segsize, &segno)) {
        (void)snprintf(text, sizeof text, "%s", leaf);
        one.name = text;
        recipients_describe(&one, &said, to, who);
        return problems_add(&run->scan->problems, &one, e);
    }
    if (a->to == to && a->tli == n->tli && a->end == segno && strcmp(a->who, who) == 0) {
        a->end++;
        return 0;
    }
    if (flush_addressed(run, e) != 0)
        return -1;
    *a = (struct addressed){.to = to, .tli = n->tli, .first = segno, .end = segno + 1};
    memcpy(a->who, who, sizeof who);
    return 0;
}

/* Does the index go on saying what the object says?  `sound`: it was opened and says this. */
static int remember(struct run *run, const struct store_name *at, const struct store_object *o,
                    bool sound, struct err *e)
{
    const struct frame_tail *t = &run->reader->tail;
    struct index_record record = {.kind = at->kind,
                                  .flags = sound ? 0 : INDEX_REVOKED,
                                  .name = at->name,
                                  .name_len = strlen(at->name),
                                  .size = o->source.size,
                                  .stamp = o->stamp};
    bool has = index_find(&run->index, at->kind, at->name, o->source.size, o->stamp) != NULL;

    if (has == sound || run->index.revoked)
        return 0;
    if (sound) {
        record.part = t->public_part;
        record.part_len = t->public_len;
        record.boxes = run->reader->keys.recipient[0];
        record.n_boxes = run->reader->head.sealed ? run->reader->keys.count : 0;
    }
    return index_add(&run->index, &record, e);
}

/* Answers of look. */
enum { LOOK_GONE = 1, LOOK_LOST = 2 };

/* The object is open. */
static int look_inside(struct run *run, const struct walname *name, const struct store_name *at,
                       const struct store_object *o, uint8_t **meta, struct wal_branches *branches,
                       struct err *e)
{
    struct scan_object object = {.name = name, .reader = run->reader, .branches = branches};
    int rc = check_addressed(run, name, at->name, &run->reader->head, &run->reader->keys, e);

    if (rc == 0)
        rc = unlock(run, e);
    if (rc == 0)
        rc = read_summary(run, name, meta, branches, e);
    if (rc == 0)
        rc = check_place(run, name, e);
    if (at->kind == KIND_SEGMENT || at->kind == KIND_PARTIAL)
        object.facts = &run->summary.facts;
    if (rc == 0 && run->how->deep != NULL && is_chosen(run, name->tli))
        rc = run->how->deep(run->how->arg, &object, &run->summary, e);
    return rc == 0 ? remember(run, at, o, true, e) : rc;
}

/*
 * Opens an object, reads its summary and, with `deep`, its content.  0: run->summary is filled,
 * with metadata in *meta (freed by the caller); LOOK_GONE; LOOK_LOST: a problem was noted; -1.
 */
static int look(struct run *run, const char *leaf, uint64_t *stored, uint8_t **meta,
                struct wal_branches *branches, struct err *e)
{
    struct object_want want = {.name = leaf, .system_id = run->repo->where.system_id};
    struct store_name at;
    struct walname name;
    struct store_object o;
    struct err quiet = {0};
    int rc;

    *meta = NULL;
    if (!wal_object_name(leaf, &name, &at))
        return err_set(e, ERR_INTERNAL, "\"%s\" is not the name of a WAL file", leaf);
    if (os_signal_check(e) != 0)
        return -1;
    want.kind = at.kind;
    rc = store_get(&run->repo->store, &run->repo->where, &at, &o, e);
    if (rc == STORE_ABSENT)
        return LOOK_GONE;
    if (rc != 0)
        return complain(run, &name, leaf, false, e) == 0 ? LOOK_LOST : -1;
    *stored = o.source.size;
    run->scan->opened++;
    (void)index_find(&run->index, at.kind, leaf, o.source.size, o.stamp); /* it is there */
    rc = object_open(run->reader, &o.source, &run->repo->trust, &want, e);
    if (rc == 0) {
        rc = look_inside(run, &name, &at, &o, meta, branches, e);
        object_close(run->reader);
    }
    if (rc != 0 && run->how->deep != NULL && e->code == ERR_DAMAGED &&
        remember(run, &at, &o, false, &quiet) != 0)
        err_clear(&quiet); /* no memory for what merely speeds up the next one */
    store_release(&o);
    if (rc == SCAN_DIFFERS)
        return complain(run, &name, leaf, true, e);
    if (rc < 0)
        return complain(run, &name, leaf, false, e) == 0 ? LOOK_LOST : -1;
    return 0;
}

static void step(struct run *run, int outcome, uint64_t stored)
{
    run->scan->objects += outcome == LOOK_GONE ? 0 : 1;
    run->scan->stored += stored;
    run->done++;
    if (run->how->progress != NULL)
        run->how->progress(run->how->progress_arg, run->done, run->total);
}

/* --- histories --- */

static int read_history(struct run *run, tli_t tli, struct err *e)
{
    struct coverage_timeline *t;
    struct wal_branches b;
    char leaf[WALNAME_MAX];
    uint8_t *meta = NULL;
    uint64_t stored = 0;
    int rc;

    walname_history(leaf, tli);
    wal_branches_init(&b, WAL_BRANCHES_MAX);
    rc = look(run, leaf, &stored, &meta, &b, e);
    free(meta);
    if (rc == 0 && coverage_branches(&run->scan->cover, tli, &b, e) != 0) {
        struct walname name = {.kind = WALNAME_HISTORY, .tli = tli};

        rc = complain(run, &name, leaf, false, e) == 0 ? (int)LOOK_LOST : -1;
    }
    if (rc == LOOK_LOST) {
        t = coverage_timeline(&run->scan->cover, tli, e);
        if (t == NULL)
            rc = -1;
        else
            t->history = COVERAGE_HISTORY_LOST;
    }
    wal_branches_fini(&b);
    step(run, rc, stored);
    return rc < 0 ? -1 : 0;
}

static int read_histories(struct run *run, struct err *e)
{
    const struct coverage_timelines *known = &run->scan->cover.timelines;

    /* By number: a history may add ancestors, lower ones of which nothing is there. */
    for (size_t i = 0; i < known->n;) {
        tli_t tli = known->v[i].tli;

        if (tli > 1 && read_history(run, tli, e) != 0)
            return -1;
        while (i < known->n && known->v[i].tli <= tli)
            i++;
    }
    return 0;
}

/* --- segments --- */

static void fill_row(struct coverage_row *row, const struct facts *f)
{
    row->state = COVERAGE_GOOD;
    row->end = f->end;
    if (f->commits > 0) {
        row->first_time = f->commit_times.first + EPOCH_2000;
        row->last_time = f->commit_times.last + EPOCH_2000;
    }
    if (f->damages == 0)
        return;
    row->state = COVERAGE_DAMAGED;
    row->at = f->damage[0].lsn;
    row->reason = f->damage[0].reason > 255 ? 255 : (uint8_t)f->damage[0].reason;
}

/* To whom an object of the index is addressed; most are to the same as the one before. */
static int recall_addressed(struct run *run, const struct index_entry *entry, tli_t tli,
                            struct err *e)
{
    struct frame_head head = {.sealed = entry->n_boxes > 0};
    size_t len = KEY_ID * (size_t)entry->n_boxes;
    struct frame_keys *k = &run->boxes;
    char leaf[WALNAME_MAX];
    struct walname n;

    if (entry->n_boxes == k->count && run->all_there &&
        memcmp(k->recipient, entry->boxes, len) == 0)
        return 0;
    k->count = entry->n_boxes;
    memcpy(k->recipient, entry->boxes, len);
    run->all_there =
        recipients_check(run->repo, &head, k, run->who) == RECIPIENTS_ALL && is_chosen(run, tli);
    if (run->all_there)
        return 0;
    (void)snprintf(leaf, sizeof leaf, "%.*s", (int)entry->name_len, entry->name);
    if (!walname_parse(leaf, &n))
        return err_set(e, ERR_INTERNAL, "the index names no WAL file");
    return check_addressed(run, &n, leaf, &head, k, e);
}

/* What the index knows, in run->summary: 0; 1: it must be opened after all; -1. */
static int recall(struct run *run, uint32_t known_as, tli_t tli, uint64_t segno, struct err *e)
{
    const struct index_entry *entry;
    struct facts *f = &run->summary.facts;
    struct err quiet = {0};

    if (known_as == 0 || run->how->deep != NULL)
        return 1;
    entry = &run->index.entries.v[known_as - 1];
    memset(&run->summary, 0, sizeof run->summary);
    if (entry->kind != KIND_BACKUP_HISTORY &&
        (facts_decode(entry->part, entry->part_len, f, &quiet) != 0 || f->tli != tli ||
         f->segsize != run->scan->cover.segsize || f->start != walname_start(segno, f->segsize) ||
         f->sysid != run->repo->where.system_id))
        return 1;
    if (recall_addressed(run, entry, tli, &quiet) == 0)
        return 0;
    if (quiet.code == ERR_KEY) /* opening it says the same, as a problem */
        return 1;
    *e = quiet;
    return -1;
}

static int read_segment(struct run *run, struct coverage_row *row, struct err *e)
{
    char leaf[WALNAME_MAX];
    uint8_t *meta = NULL;
    int rc;

    rc = recall(run, row->known, row->tli, row->segno, e);
    if (rc > 0) {
        walname_segment(leaf, row->tli, row->segno, run->scan->cover.segsize);
        rc = look(run, leaf, &row->stored, &meta, NULL, e);
    }
    if (rc == 0) {
        fill_row(row, &run->summary.facts);
        row->join = (uint8_t)join_step(&run->join, &run->summary);
        if (run->how->facts != NULL)
            rc = run->how->facts(run->how->arg, &run->summary.facts, e);
    } else {
        row->state = rc == LOOK_GONE ? COVERAGE_GONE : COVERAGE_LOST;
        join_init(&run->join);
    }
    free(meta);
    step(run, rc, row->stored);
    return rc < 0 ? -1 : 0;
}

/* The first segment of a timeline goes on where one of an ancestor ends. */
static int seed_join(struct run *run, const struct coverage_timeline *t,
                     const struct coverage_row *first, struct err *e)
{
    struct scan_how shallow = {.timeline = UINT32_MAX};
    const struct scan_how *how = run->how;
    const struct coverage_row *before = NULL;
    char leaf[WALNAME_MAX];
    uint64_t stored;
    uint8_t *meta = NULL;
    int rc;

    join_init(&run->join);
    if (first->segno == coverage_birth(&run->scan->cover, t))
        before = coverage_before_birth(&run->scan->cover, t);
    if (before == NULL || before->state == COVERAGE_LOST || before->state == COVERAGE_GONE)
        return 0;
    walname_segment(leaf, before->tli, before->segno, run->scan->cover.segsize);
    run->how = &shallow;
    rc = recall(run, before->known, before->tli, before->segno, e);
    if (rc > 0)
        rc = look(run, leaf, &stored, &meta, NULL, e);
    run->how = how;
    if (rc == 0)
        (void)join_step(&run->join, &run->summary); /* the first of a path has nothing to join */
    free(meta);
    return rc < 0 ? -1 : 0;
}

static int read_segments(struct run *run, struct err *e)
{
    struct coverage *c = &run->scan->cover;

    if (run->how->begin != NULL && run->how->begin(run->how->arg, c, e) != 0)
        return -1;
    for (size_t k = 0; k < c->timelines.n; k++) {
        const struct coverage_timeline *t = &c->timelines.v[k];

        if (t->rows == 0 || !is_chosen(run, t->tli))
            continue;
        if (seed_join(run, t, &c->rows.v[t->row], e) != 0)
            return -1;
        for (size_t i = t->row; i < t->row + t->rows; i++)
            if (read_segment(run, &c->rows.v[i], e) != 0)
                return -1;
    }
    return run->how->begin == NULL ? 0 : run->how->begin(run->how->arg, NULL, e);
}

/* --- partials and backup histories --- */

static int read_extra(struct run *run, struct scan_extra *x, struct err *e)
{
    uint32_t segsize = run->scan->cover.segsize;
    char leaf[WALNAME_MAX];
    uint8_t *meta = NULL;
    int rc;

    if (x->partial)
        walname_partial(leaf, x->tli, x->segno, segsize);
    else
        walname_backup(leaf, x->tli, walname_start(x->segno, segsize) + x->offset, segsize);
    rc = recall(run, x->known, x->tli, x->segno, e);
    if (rc > 0)
        rc = look(run, leaf, &x->stored, &meta, NULL, e);
    free(meta);
    if (rc == 0 && x->partial) {
        x->end = run->summary.facts.end;
        if (run->summary.facts.commits > 0)
            x->last_time = run->summary.facts.commit_times.last + EPOCH_2000;
    }
    step(run, rc, x->stored);
    return rc < 0 ? -1 : 0;
}

static int look_at_all(struct run *run, struct err *e)
{
    struct scan *s = run->scan;
    struct repo *r = run->repo;

    if (store_each_timeline(&r->store, &r->where, list_timeline, run, e) != 0 ||
        scan_gone_backups(&run->index, r, run->reader, e) != 0 ||
        store_each_stray(&r->store, &r->where, s->cover.segsize, stray, run, e) != 0)
        return -1;
    /* After the listing: who removes something writes first that he will. */
    if (expired_read(&s->expired, r, &s->problems, run->reader, e) != 0 ||
        read_histories(run, e) != 0)
        return -1;
    /* Gives each timeline its rows and its place in the tree, for the joins. */
    if (coverage_finish(&s->cover, e) != 0 || read_segments(run, e) != 0 ||
        flush_addressed(run, e) != 0)
        return -1;
    for (size_t i = 0; i < s->extras.n; i++)
        if (is_chosen(run, s->extras.v[i].tli) && read_extra(run, &s->extras.v[i], e) != 0)
            return -1;
    return coverage_finish(&s->cover, e) != 0 ||
                   scan_gone(s, &run->index, r, run->how->timeline, e) != 0
               ? -1
               : 0;
}

int scan_lineage(struct scan *s, struct repo *r, const struct scan_how *how,
                 struct object_reader *reader, struct err *e)
{
    struct run *run = calloc(1, sizeof *run);
    int rc = -1;

    if (run == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the archive");
    *run = (struct run){.scan = s, .repo = r, .how = how, .reader = reader};
    s->cover.segsize = r->lineage.segment_size;
    s->cover.why = &s->expired;
    /* The index first: what it knows was there before the listing began. */
    if (index_load(&run->index, r, e) == 0) {
        s->index_damaged = run->index.damaged;
        rc = look_at_all(run, e);
        if (rc == 0)
            index_keep(&run->index, r);
    }
    index_fini(&run->index);
    free(run);
    return rc == 0 ? problems_derive(&s->problems, &s->cover, how->timeline, e) : -1;
}

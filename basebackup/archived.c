#include "basebackup/archived.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/signal.h"
#include "os/time.h"
#include "pg/history.h"
#include "pg/join.h"
#include "repo/wal.h"
#include "repo/wal_put.h"

enum { LOOK_FIRST_US = 20 * 1000, LOOK_US = 320 * 1000, TELL_US = 500 * 1000 };

struct wait {
    struct repo *repo;
    const struct archived_range *range;
    uint32_t segsize;
    int64_t begun;
    int64_t deadline;
    archived_waits *tell;
    void *arg;
    struct object_reader *scratch;
    struct wal_branches branches; /* of stop_tli, when it is not start_tli */
    struct join *join;
};

/* ---- one segment ---- */

static int prove(struct wait *w, const struct walname *name, struct err *e)
{
    const struct object_reader *r = w->scratch;
    struct wal_summary s = {.meta = NULL};
    enum join_result joined;
    char at[TEXT_LSN_MAX];

    if (wal_check_object(r, name, w->segsize, e) != 0 || object_check_stored(w->scratch, e) != 0)
        return -1;
    if (facts_decode(r->tail.public_part, r->tail.public_len, &s.facts, e) != 0)
        return err_context(e, "\"%s\"", r->source->name);
    if (s.facts.damages > 0) {
        text_lsn(at, s.facts.damage[0].lsn);
        (void)err_set(e, ERR_DAMAGED, "\"%s\": the WAL was damaged at %s when it was archived: %s",
                      r->source->name, at, facts_damage_text(s.facts.damage[0].reason));
        return err_hint(e, "No recovery could go past it: look at this server's disk and memory, "
                           "then take the backup again.");
    }
    joined = join_step(w->join, &s);
    if (joined == JOIN_OK || joined == JOIN_FIRST || joined == JOIN_UNPROVEN)
        return 0;
    return err_set(e, ERR_DAMAGED, "\"%s\" does not follow the segment before it: %s",
                   r->source->name, join_text(joined));
}

/* 0; STORE_ABSENT; -1. */
static int look(struct wait *w, const char *segment, struct err *e)
{
    struct store_object o = {.fd = -1};
    struct store_name where;
    struct walname name;
    int rc;

    if (!wal_object_name(segment, &name, &where))
        return err_set(e, ERR_INTERNAL, "\"%s\" is no segment", segment);
    rc = repo_get(w->repo, &where, &o, w->scratch, e);
    if (rc != 0)
        return rc;
    rc = prove(w, &name, e);
    object_close(w->scratch);
    store_release(&o);
    return rc;
}

static int wait_for(struct wait *w, const char *segment, struct err *e)
{
    int64_t pause = LOOK_FIRST_US;
    int64_t told = 0;

    for (;;) {
        int64_t now = os_mono_us();
        int rc = look(w, segment, e);

        if (rc <= 0)
            return rc;
        if (os_signal_check(e) != 0)
            return -1;
        if (now >= w->deadline)
            return err_set(e, ERR_TIMEOUT,
                           "WAL segment %s, which the backup needs, was not archived within %lld s",
                           segment, (long long)((now - w->begun) / USEC_PER_SEC));
        if (now - told >= TELL_US) {
            told = now;
            if (w->tell(w->arg, segment, now - w->begun, e) != 0)
                return -1;
        }
        os_sleep_us(pause);
        pause = pause < LOOK_US ? 2 * pause : (int64_t)LOOK_US;
    }
}

/* ---- the range ---- */

/* On which timeline a segment is: the newest one that begins in it or before it. */
static tli_t timeline_of(const struct wait *w, uint64_t segno)
{
    lsn_t end = walname_start(segno + 1, w->segsize);
    tli_t tli = w->range->stop_tli;

    /* The ends of ancestors ascend: the first one that lasts beyond the segment has it. */
    for (size_t i = 0; i < w->branches.n; i++)
        if (w->branches.v[i].end >= end)
            return w->branches.v[i].parent;
    return tli;
}

static int load_branches(struct wait *w, struct err *e)
{
    char name[WALNAME_MAX];
    int rc;

    walname_history(name, w->range->stop_tli);
    for (;;) {
        rc = wal_branches_load(w->repo, w->range->stop_tli, w->scratch, &w->branches, e);
        if (rc <= 0)
            return rc;
        if (os_mono_us() >= w->deadline)
            return err_set(e, ERR_TIMEOUT, "\"%s\", which the backup needs, was not archived",
                           name);
        if (w->tell(w->arg, name, os_mono_us() - w->begun, e) != 0 || os_signal_check(e) != 0)
            return -1;
        os_sleep_us(LOOK_US);
    }
}

static int wait_all(struct wait *w, struct err *e)
{
    uint64_t last = walname_segno_before(w->range->stop, w->segsize);
    char name[WALNAME_MAX];

    if (w->range->start_tli != w->range->stop_tli && load_branches(w, e) != 0)
        return -1;
    for (uint64_t s = walname_segno_of(w->range->start, w->segsize); s <= last; s++) {
        walname_segment(name, timeline_of(w, s), s, w->segsize);
        if (wait_for(w, name, e) != 0)
            return -1;
    }
    return 0;
}

int archived_wait(struct repo *repo, const struct archived_range *range, int64_t deadline_us,
                  archived_waits *tell, void *arg, struct object_reader *scratch, struct err *e)
{
    struct wait w = {.repo = repo,
                     .range = range,
                     .segsize = repo->lineage.segment_size,
                     .begun = os_mono_us(),
                     .deadline = deadline_us,
                     .tell = tell,
                     .arg = arg,
                     .scratch = scratch,
                     .join = calloc(1, sizeof *w.join)};
    int rc;

    if (w.join == NULL)
        return err_set(e, ERR_NOMEM, "no memory to check the WAL with");
    join_init(w.join);
    wal_branches_init(&w.branches, WAL_BRANCHES_MAX);
    rc = wait_all(&w, e);
    wal_branches_fini(&w.branches);
    free(w.join);
    return rc;
}

static bool same_branch(const struct history *h, const struct wal_branches *b)
{
    bool same = h->n == b->n;

    for (uint32_t i = 0; same && i < h->n; i++)
        same = h->entry[i].tli == b->v[i].parent && h->entry[i].end == b->v[i].end;
    return same;
}

int archived_same_branch(struct repo *repo, struct pgconn *c, tli_t tli, struct err *e)
{
    struct history *h = calloc(1, sizeof *h);
    struct object_reader *scratch = calloc(1, sizeof *scratch);
    struct wal_branches known;
    struct err why = {0};
    struct buf text;
    int rc = 1;

    wal_branches_init(&known, WAL_BRANCHES_MAX);
    buf_init(&text, REPLICATION_HISTORY_MAX);
    if (h == NULL || scratch == NULL)
        rc = err_set(e, ERR_NOMEM, "no memory for the history of a timeline");
    /* One that cannot be read is a matter of "walden verify". */
    else if (tli > 1 && wal_branches_load(repo, tli, scratch, &known, &why) == 0)
        rc = replication_history(c, tli, &text, e);
    if (rc == 0)
        rc = history_parse(buf_text(&text), text.len, tli, h, e);
    if (rc == 0 && !same_branch(h, &known)) {
        rc = err_set(e, ERR_REFUSED,
                     "timeline %" PRIu32 " of this server is not the one of that number in the "
                     "repository: they left their parents at different places",
                     tli);
        (void)err_hint(e, "A copy that was opened elsewhere is a server of its own: give it "
                          "another cluster (\"walden init --cluster NAME\").");
    }
    buf_fini(&text);
    wal_branches_fini(&known);
    free(scratch);
    free(h);
    return rc < 0 ? -1 : 0;
}

/* Puts one history into the archive, unless it is there: 1 when it was put, 0, -1. */
static int offer(struct repo *repo, struct pgconn *c, tli_t tli, bool compress, struct wal_put *put,
                 struct history *found, struct err *e)
{
    struct wal_put_report report;
    char name[WALNAME_MAX];
    struct store_name where = {.kind = KIND_HISTORY, .timeline = tli, .name = name};
    struct buf text;
    int rc;

    walname_history(name, tli);
    rc = store_has(&repo->store, &repo->where, &where, e);
    if (rc <= 0)
        return rc;
    buf_init(&text, REPLICATION_HISTORY_MAX);
    rc = replication_history(c, tli, &text, e);
    if (rc > 0) /* lost: what was before this timeline is nobody's matter here */
        rc = 0;
    else if (rc == 0 &&
             (found == NULL || history_parse(buf_text(&text), text.len, tli, found, e) == 0))
        rc = wal_put_history(put, repo, tli, buf_text(&text), text.len, compress, &report, e) < 0
                 ? -1
                 : 1;
    else
        rc = -1;
    buf_fini(&text);
    return rc;
}

int archived_history(struct repo *repo, struct pgconn *c, tli_t tli, bool compress, struct err *e)
{
    struct history *h = calloc(1, sizeof *h);
    struct wal_put *put = NULL;
    int rc = 0;

    if (tli > 1)
        put = calloc(1, sizeof *put);
    if (h == NULL || (tli > 1 && put == NULL))
        rc = err_set(e, ERR_NOMEM, "no memory for the history of a timeline");
    else if (tli > 1)
        rc = offer(repo, c, tli, compress, put, h, e);
    for (uint32_t i = 0; rc > 0 && i < h->n; i++)
        if (h->entry[i].tli > 1 && offer(repo, c, h->entry[i].tli, compress, put, NULL, e) < 0)
            rc = -1;
    free(h);
    free(put);
    return rc;
}

/* ---- what is there ---- */

struct newest {
    uint32_t timeline;
    uint32_t group;
    char segment[WALNAME_MAX];
};

static int note_timeline(void *arg, uint32_t number, struct err *e)
{
    struct newest *n = arg;

    (void)e;
    n->timeline = number;
    return 0;
}

static int note_group(void *arg, uint32_t number, struct err *e)
{
    struct newest *n = arg;

    (void)e;
    n->group = number;
    return 0;
}

static int note_segment(void *arg, const char *name, struct err *e)
{
    struct newest *n = arg;
    struct walname parts;

    (void)e;
    if (walname_parse(name, &parts) && parts.kind == WALNAME_SEGMENT)
        (void)snprintf(n->segment, sizeof n->segment, "%s", name);
    return 0;
}

int archived_newest(struct repo *repo, tli_t *tli, lsn_t *end, struct err *e)
{
    struct store *s = &repo->store;
    const struct store_lineage *l = &repo->where;
    uint32_t segsize = repo->lineage.segment_size;
    struct newest n = {.timeline = 0};
    struct walname parts;
    uint64_t segno;

    *tli = 0;
    *end = 0;
    if (store_each_timeline(s, l, note_timeline, &n, e) != 0 ||
        store_each_group(s, l, n.timeline, note_group, &n, e) != 0 ||
        store_each_wal(s, l, n.timeline, n.group, note_segment, &n, e) != 0)
        return -1;
    if (n.segment[0] == '\0' || !walname_parse(n.segment, &parts) ||
        !walname_segno(&parts, segsize, &segno))
        return 0;
    *tli = parts.tli;
    *end = walname_start(segno + 1, segsize);
    return 0;
}

int archived_has(struct repo *repo, tli_t tli, lsn_t lsn, struct err *e)
{
    uint32_t segsize = repo->lineage.segment_size;
    uint64_t segno = walname_segno_of(lsn, segsize);
    struct store_name where = {.kind = KIND_SEGMENT, .timeline = tli};
    char name[WALNAME_MAX];
    int rc;

    if (segno == 0)
        return 0;
    walname_segment(name, tli, segno - 1, segsize);
    where.name = name;
    rc = store_has(&repo->store, &repo->where, &where, e);
    return rc < 0 ? -1 : rc == 0;
}

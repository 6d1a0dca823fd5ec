#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "init_seal.h"
#include "os/signal.h"
#include "pg/walname.h"
#include "repo/wal.h"

enum { PIECE = 64 * 1024, HASHED_MAX = 1000000, LABEL_LSN = 9, ASKS_MAX = 16 };

/* Kinds of a lineage that lie in a directory of their own; condemned lists beside expire records.
 * Marks of backups and restores under way are not kept. */
static const enum object_kind listed[] = {KIND_PACK, KIND_MANIFEST, KIND_EXPIRE, KIND_VERIFIED,
                                          KIND_PIN};

/* ---- which lineage holds something ---- */

struct looking {
    struct seal_holders *holders;
    struct init *i;
    const char *cluster;
    bool holds;   /* the lineage that is looked at */
    bool counted; /* a lineage of this cluster was */
};

static int any_number(void *arg, uint32_t number, struct err *e)
{
    (void)arg, (void)number, (void)e;
    return 1;
}

static int any_name(void *arg, const char *name, struct err *e)
{
    (void)arg, (void)name, (void)e;
    return 1;
}

static void count(struct seal_holders *h, const char *cluster, uint64_t system_id)
{
    size_t len = strlen(h->all);

    (void)snprintf(h->all + len, sizeof h->all - len, "%s%s/%llu", h->count == 0 ? "" : ", ",
                   cluster, (unsigned long long)system_id);
    (void)snprintf(h->name, sizeof h->name, "%s", cluster);
    h->system_id = system_id;
    h->count++;
}

static int look_at_lineage(void *arg, const char *name, struct err *e)
{
    struct looking *l = arg;
    struct store *store = &l->i->store;
    struct store_lineage where = {l->cluster, 0};
    struct err quiet = {0};
    int rc;

    if (parse_u64(name, 1, UINT64_MAX, &where.system_id, &quiet) != 0)
        return 0;
    rc = store_each_timeline(store, &where, any_number, NULL, e);
    for (size_t k = 0; rc == 0 && k < sizeof listed / sizeof listed[0]; k++)
        rc = store_each_object(store, &where, listed[k], any_name, NULL, e);
    if (rc <= 0)
        return rc;
    count(l->holders, l->cluster, where.system_id);
    l->counted = true;
    return 0;
}

/* 1 when this job has a dump. */
static int look_at_job(void *arg, const char *job, struct err *e)
{
    struct looking *l = arg;
    struct store_lineage where = {l->cluster, 0};
    struct err quiet = {0};

    if (parse_name(job, &quiet) != 0)
        return 0;
    return store_each_dump(&l->i->store, &where, job, any_name, NULL, e);
}

/* Dumps and drills belong to no lineage.  Where none holds anything, that of the server is taken.
 */
static int look_at_cluster(void *arg, const char *name, struct err *e)
{
    struct looking *l = arg;
    struct store_lineage where = {name, 0};
    struct err quiet = {0};
    int rc;

    if (parse_name(name, &quiet) != 0)
        return 0;
    l->cluster = name;
    l->counted = false;
    if (store_each_lineage(&l->i->store, name, look_at_lineage, l, e) < 0)
        return -1;
    if (l->counted)
        return 0;
    rc = store_each_job(&l->i->store, &where, look_at_job, l, e);
    if (rc == 0)
        rc = store_each_object(&l->i->store, &where, KIND_DRILL, any_name, NULL, e);
    if (rc > 0)
        count(l->holders, name, strcmp(name, l->i->s.cluster) == 0 ? l->i->server.system_id : 0);
    return rc < 0 ? -1 : 0;
}

int seal_holders_find(struct seal_holders *h, struct init *i, struct err *e)
{
    struct looking l = {.holders = h, .i = i};

    memset(h, 0, sizeof *h);
    return store_each_cluster(&i->store, look_at_cluster, &l, e) < 0 ? -1 : 0;
}

/* ---- what it holds ---- */

void seal_scan_init(struct seal_scan *s)
{
    memset(s, 0, sizeof *s);
    sealed_from_init(&s->found);
    sealed_from_objects_init(&s->hashed, HASHED_MAX);
}

void seal_scan_fini(struct seal_scan *s)
{
    sealed_from_fini(&s->found);
    sealed_from_objects_fini(&s->hashed);
    free(s->reader);
    s->reader = NULL;
}

/* Is it this server's lineage, whose end of WAL is known? */
static bool can_judge(const struct seal_scan *s)
{
    return s->where.system_id == s->i->server.system_id && s->i->server.has_position;
}

static bool is_reached(const struct seal_scan *s, uint32_t timeline, uint64_t end)
{
    const struct init_server *server = &s->i->server;
    uint64_t size = s->segment_size;

    return timeline <= server->timeline && end <= (server->position + size - 1) / size * size;
}

/* Notes an object of WAL that ends at `end` on `timeline` when the server has not come so far.  On
 * older timelines another server may have gone further than where this one left them. */
static bool is_beyond(struct seal_scan *s, const char *name, uint32_t timeline, uint64_t end)
{
    struct err none = {0};

    if (!can_judge(s) || is_reached(s, timeline, end))
        return false;
    /* It may have come there since the walk began. */
    if (s->beyond < ASKS_MAX && s->i->server.c != NULL &&
        init_server_where(&s->i->server, &s->i->connect, &none) == 0 &&
        is_reached(s, timeline, end))
        return false;
    if (s->beyond++ == 0)
        (void)snprintf(s->first, sizeof s->first, "%s", name);
    return true;
}

/* 1 when this is a whole plain object of that name (left open in s->reader), 0 when not, -1.  What
 * merely has such a name must not count: it is believed from now on. */
static int open_plain(struct seal_scan *s, const struct store_name *n, struct store_object *o,
                      struct err *e)
{
    struct object_want want = {.kind = n->kind, .name = n->name, .system_id = s->where.system_id};
    struct err why = {0};
    struct trust t;
    int rc = store_get(&s->i->store, &s->where, n, o, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (n->kind == KIND_DUMP || n->kind == KIND_DRILL)
        want.system_id = 0;
    trust_plain(&t, s->i->marker.id);
    if (object_open(s->reader, &o->source, &t, &want, &why) == 0)
        return 1;
    store_release(o);
    if (why.code != ERR_DAMAGED && why.code != ERR_REFUSED && why.code != ERR_KEY) {
        *e = why;
        return -1;
    }
    if (why.code != ERR_KEY) /* sealed, that is: a writer was faster */
        msg_warn(&s->i->msg, "not taken for a %s from before encryption: %s",
                 frame_kind_name(n->kind), why.msg);
    return 0;
}

static int digest_file(struct store_object *o, uint8_t out[DIGEST_STRONG], struct err *e)
{
    uint8_t piece[PIECE];
    struct digest d;
    int rc = 0;

    digest_init_strong(&d, PHASE_LOADED);
    for (uint64_t at = 0; rc == 0 && at < o->source.size;) {
        size_t len = o->source.size - at < PIECE ? (size_t)(o->source.size - at) : (size_t)PIECE;

        rc = os_signal_check(e) != 0 ? -1 : o->source.read(o->source.arg, at, piece, len, e);
        if (rc == 0)
            rc = sink_write(&d.sink, piece, len, e);
        at += len;
    }
    digest_get_strong(&d, out);
    return rc;
}

/* A pack may be a gigabyte, and everything is listed more than once.  An old digest does no harm: a
 * file that was changed since does not match it. */
static const struct sealed_from_object *known(const struct seal_scan *s, uint32_t kind,
                                              const char *name)
{
    for (size_t k = 0; k < s->hashed.n; k++)
        if (s->hashed.v[k].kind == kind && strcmp(s->hashed.v[k].name, name) == 0)
            return &s->hashed.v[k];
    return NULL;
}

static int add_object(struct seal_scan *s, enum object_kind kind, const char *name, struct err *e)
{
    const struct store_name n = {
        .kind = kind, .timeline = s->timeline, .name = name, .job = s->job};
    struct sealed_from_object found = {.kind = (uint32_t)kind};
    const struct sealed_from_object *old;
    struct store_object o;
    int rc;

    if (strlen(name) > FRAME_NAME_MAX)
        return 0;
    (void)snprintf(found.name, sizeof found.name, "%s%s%s", s->job == NULL ? "" : s->job,
                   s->job == NULL ? "" : "/", name);
    old = known(s, found.kind, found.name);
    if (old != NULL)
        return sealed_from_objects_push(&s->found.objects, *old, e);
    rc = open_plain(s, &n, &o, e);
    if (rc <= 0)
        return rc; /* absent: no history on timeline 1, say */
    object_close(s->reader);
    rc = digest_file(&o, found.digest, e);
    store_release(&o);
    if (rc == 0)
        rc = sealed_from_objects_push(&s->hashed, found, e);
    return rc == 0 ? sealed_from_objects_push(&s->found.objects, found, e) : -1;
}

/* 1 when it is a segment of its name. */
static int is_segment(struct seal_scan *s, const char *name, const struct walname *n, struct err *e)
{
    const struct store_name at = {.kind = KIND_SEGMENT, .timeline = s->timeline, .name = name};
    struct store_object o;
    struct err why = {0};
    int rc = open_plain(s, &at, &o, e);

    if (rc <= 0)
        return rc;
    if (wal_check_object(s->reader, n, s->segment_size, &why) != 0) {
        msg_warn(&s->i->msg, "not taken for a %s from before encryption: %s",
                 frame_kind_name(KIND_SEGMENT), why.msg);
        rc = 0;
    }
    object_close(s->reader);
    store_release(&o);
    return rc;
}

static int scan_name(void *arg, const char *name, struct err *e)
{
    struct seal_scan *s = arg;
    struct walname n;
    uint64_t number;
    uint64_t end;
    int rc;

    if (!walname_parse(name, &n) || n.tli != s->timeline ||
        !walname_segno(&n, s->segment_size, &number))
        return 0; /* none of ours */
    end = walname_start(number + 1, s->segment_size);
    if (n.kind == WALNAME_PARTIAL || n.kind == WALNAME_BACKUP) {
        if (is_beyond(s, name, n.tli, end))
            return 0;
        return add_object(s, n.kind == WALNAME_PARTIAL ? KIND_PARTIAL : KIND_BACKUP_HISTORY, name,
                          e);
    }
    if (n.kind != WALNAME_SEGMENT || end <= s->next)
        return 0;
    rc = is_segment(s, name, &n, e);
    if (rc > 0 && !is_beyond(s, name, n.tli, end))
        s->next = end;
    return rc < 0 ? -1 : 0;
}

static int scan_group(void *arg, uint32_t group, struct err *e)
{
    struct seal_scan *s = arg;

    if (os_signal_check(e) != 0)
        return -1;
    return store_each_wal(&s->i->store, &s->where, s->timeline, group, scan_name, s, e);
}

static int scan_timeline(void *arg, uint32_t timeline, struct err *e)
{
    struct seal_scan *s = arg;
    const struct store_name at = {.kind = KIND_HISTORY, .timeline = timeline};
    struct store_name n = at;
    char history[WALNAME_MAX];
    int rc;

    s->timeline = timeline;
    s->next = 0;
    walname_history(history, timeline);
    n.name = history;
    rc = store_has(&s->i->store, &s->where, &n, e);
    if (rc == 0 && !is_beyond(s, history, timeline, 0))
        rc = add_object(s, KIND_HISTORY, history, e);
    if (rc < 0 || store_each_group(&s->i->store, &s->where, timeline, scan_group, s, e) != 0)
        return -1;
    if (s->next == 0)
        return 0;
    return sealed_from_timelines_push(&s->found.timelines,
                                      (struct sealed_from_timeline){timeline, s->next}, e);
}

/* A backup's label begins with timeline and LSN; one from the future would be the newest. */
static bool is_future(struct seal_scan *s, const char *label)
{
    struct err none = {0};
    uint64_t timeline = 0;
    uint64_t lsn = 0;
    char part[FRAME_NAME_MAX + 1];

    (void)snprintf(part, sizeof part, "%s", label);
    if (strlen(part) < LABEL_LSN + 16)
        return false;
    part[LABEL_LSN - 1] = '\0';
    part[LABEL_LSN + 16] = '\0';
    return parse_hex(part, UINT32_MAX, &timeline, &none) == 0 &&
           parse_hex(part + LABEL_LSN, UINT64_MAX, &lsn, &none) == 0 &&
           is_beyond(s, label, (uint32_t)timeline, lsn);
}

static int scan_listed(void *arg, const char *name, struct err *e)
{
    struct seal_scan *s = arg;
    enum object_kind kind = s->kind;

    if (kind == KIND_EXPIRE && strncmp(name, "condemned-", strlen("condemned-")) == 0)
        kind = KIND_CONDEMNED;
    if (kind == KIND_MANIFEST && is_future(s, name))
        return 0;
    return add_object(s, kind, name, e);
}

static int scan_kind(struct seal_scan *s, enum object_kind kind, struct err *e)
{
    s->kind = kind;
    return store_each_object(&s->i->store, &s->where, kind, scan_listed, s, e);
}

static int scan_job(void *arg, const char *job, struct err *e)
{
    struct seal_scan *s = arg;
    struct err quiet = {0};
    int rc;

    if (parse_name(job, &quiet) != 0)
        return 0;
    s->kind = KIND_DUMP;
    s->job = job;
    rc = store_each_dump(&s->i->store, &s->where, job, scan_listed, s, e);
    s->job = NULL;
    return rc;
}

/* What to do about objects behind the server's WAL. */
static int judge_beyond(struct seal_scan *s, struct err *e)
{
    char at[TEXT_LSN_MAX];

    if (s->beyond == 0)
        return 0;
    text_lsn(at, s->i->server.position);
    if (s->begun) {
        msg_warn(&s->i->msg,
                 "\"%s\" came while encryption was switched on, and lies behind the "
                 "server's own WAL: it is not believed",
                 s->first);
        return 0;
    }
    (void)err_set(e, ERR_REFUSED,
                  "\"%s\" and %u more cannot be this server's: its WAL ends at %s on timeline %u",
                  s->first, s->beyond - 1, at, (unsigned)s->i->server.timeline);
    return err_hint(e,
                    "Somebody may have planted them, to have them believed later.  If they are of "
                    "another copy of this cluster that was promoted, repeat with "
                    "--accept-beyond; if not, move them out of the repository.");
}

/* Once: later ones only ask again when something lies behind it. */
static int learn_position(struct seal_scan *s, struct err *e)
{
    struct init *i = s->i;

    if (i->accept_beyond || s->where.system_id != i->server.system_id) {
        i->server.has_position = false; /* nothing is judged by it */
        return 0;
    }
    if (init_server_where(&i->server, &i->connect, e) == 0)
        return 0;
    e->hint[0] = '\0'; /* this says more than how to connect */
    (void)err_context(e, "where the server's WAL ends is not known");
    return err_hint(e, "It says which objects can be its own: start the server and give -h and -p, "
                       "or shut it down cleanly.");
}

int seal_scan_all(struct seal_scan *s, struct err *e)
{
    sealed_from_fini(&s->found);
    sealed_from_init(&s->found);
    s->beyond = 0;
    s->timeline = 0;
    if (!s->begun && learn_position(s, e) != 0)
        return -1;
    if (store_each_timeline(&s->i->store, &s->where, scan_timeline, s, e) != 0)
        return -1;
    s->timeline = 0;
    for (size_t k = 0; k < sizeof listed / sizeof listed[0]; k++)
        if (scan_kind(s, listed[k], e) != 0)
            return -1;
    if (scan_kind(s, KIND_DRILL, e) != 0 ||
        store_each_job(&s->i->store, &s->where, scan_job, s, e) != 0)
        return -1;
    return judge_beyond(s, e);
}

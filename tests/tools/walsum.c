/*
 * walsum: prints what the WAL reader makes of segment files, for tests.
 *
 *     walsum [-c CHUNK] FILE...
 *
 * The files are walked in the order given, in pieces of CHUNK bytes (262144), with the segment
 * size and system identifier of the first.  Each summary is encoded and decoded again, and what
 * is printed comes from the decoded form.  One line per finding, `KIND KEY=VALUE...`; one
 * `segment` line and one `join` line per file, and a `total` line at the end, which includes what
 * the joined records between the segments hold.  Exit status 1 when a file was refused.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "base/text.h"
#include "pg/join.h"
#include "pg/metaread.h"

struct total {
    uint64_t records, commits, aborts, prepares, damages, joined, proved, breaks;
    struct facts_times times;
    bool any;
};

struct walsum {
    struct walwalk walk;
    struct join join;
    struct meta_item item;
    struct walevent joined;
    uint8_t joined_meta[META_BYTES_MAX];
    struct total total;
    uint32_t segsize;
    uint64_t sysid;
};

static const char *lsn_text(lsn_t lsn, char out[TEXT_LSN_MAX])
{
    text_lsn(out, lsn);
    return out;
}

static void print_lsn(const char *key, lsn_t lsn)
{
    char t[TEXT_LSN_MAX];

    printf(" %s=%s", key, lsn_text(lsn, t));
}

static void print_time(const char *key, int64_t time)
{
    char t[TEXT_TIME_MAX];

    text_time(t, time + 10957 * USEC_PER_DAY, 6);
    printf(" %s=%s", key, t);
}

static void print_list(const char *key, const struct meta_list *l)
{
    printf(" %s=%" PRIu32 ":", key, l->total);
    for (uint32_t i = 0; i < l->n; i++)
        printf("%s%" PRIu32, i > 0 ? "," : "", l->v[i]);
}

static void print_node(const struct relnode *n)
{
    printf("%" PRIu32 "/%" PRIu32 "/%" PRIu32, n->spc, n->db, n->rel);
}

static void print_event(const struct meta_event *ev)
{
    printf("event xid=%" PRIu32 " db=%" PRIu32 " flags=%u", ev->xid, ev->db, ev->flags);
    print_lsn("lsn", ev->lsn);
    print_time("time", ev->time);
    print_lsn("lock", ev->lock);
    printf(" volume=%" PRIu64 " dropped=%" PRIu32 ":", ev->volume, ev->dropped.total);
    for (uint32_t i = 0; i < ev->dropped.n; i++) {
        printf("%s", i > 0 ? "," : "");
        print_node(&ev->dropped.v[i]);
    }
    print_list("created", &ev->created);
    print_list("stats", &ev->stats);
    print_list("invals", &ev->invals);
    print_list("locked", &ev->locked);
    print_list("truncated", &ev->truncated);
    printf("\n");
}

static void print_open(const struct meta_open *x)
{
    printf("open xid=%" PRIu32 " top=%" PRIu32 " flags=%u", x->xid, x->top, x->flags);
    print_lsn("lock", x->lock);
    printf(" volume=%" PRIu64 " counts=%" PRIu32 ":", x->volume, x->counts_total);
    for (uint32_t i = 0; i < x->counts_n; i++) {
        printf("%s", i > 0 ? "," : "");
        print_node(&x->counts[i].rel);
        printf("-%" PRIu32 "+%" PRIu32, x->counts[i].deletes, x->counts[i].updates);
    }
    print_list("created", &x->created);
    print_list("locked", &x->locked);
    print_list("truncated", &x->truncated);
    printf("\n");
}

static void print_small(const struct meta_item *m)
{
    switch (m->tag) {
    case META_RESTORE_POINT:
        printf("point name=%s", m->u.restore_point.name);
        print_lsn("lsn", m->u.restore_point.lsn);
        print_time("time", m->u.restore_point.time);
        break;
    case META_CHANGE:
        printf("change xid=%" PRIu32 " flags=%u rel=", m->u.change.xid, m->u.change.flags);
        print_node(&m->u.change.rel);
        printf(" deletes=%" PRIu32 " updates=%" PRIu32, m->u.change.deletes, m->u.change.updates);
        print_lsn("lsn", m->u.change.lsn);
        print_time("time", m->u.change.time);
        break;
    case META_DATABASE:
        printf("database op=%s db=%" PRIu32 " spc=%" PRIu32 " source=%" PRIu32 " xid=%" PRIu32,
               (m->u.database.flags & META_CREATED) != 0 ? "create" : "drop", m->u.database.db,
               m->u.database.spc, m->u.database.source, m->u.database.xid);
        print_lsn("lsn", m->u.database.lsn);
        break;
    case META_TABLESPACE:
        printf("tablespace op=%s spc=%" PRIu32 " xid=%" PRIu32 " path=%s",
               (m->u.tablespace.flags & META_CREATED) != 0 ? "create" : "drop", m->u.tablespace.spc,
               m->u.tablespace.xid, m->u.tablespace.path);
        print_lsn("lsn", m->u.tablespace.lsn);
        break;
    case META_OUTCOME:
        printf("outcome op=%s xid=%" PRIu32,
               (m->u.outcome.flags & META_ABORTED) != 0 ? "abort" : "commit", m->u.outcome.xid);
        print_lsn("lsn", m->u.outcome.lsn);
        print_time("time", m->u.outcome.time);
        print_list("subs", &m->u.outcome.subs);
        break;
    case META_RUNNING:
        printf("running next=%" PRIu32 " oldest=%" PRIu32, m->u.running.next, m->u.running.oldest);
        print_lsn("lsn", m->u.running.lsn);
        break;
    default:
        return;
    }
    printf("\n");
}

/* 0; -1 when the metadata cannot be decoded. */
static int print_meta(struct meta_item *item, const void *p, size_t n, lsn_t start)
{
    struct metaread r;
    int rc;

    metaread_open(&r, p, n, start);
    while ((rc = metaread_next(&r, item)) == 0) {
        if (item->tag == META_EVENT)
            print_event(&item->u.event);
        else if (item->tag == META_OPEN)
            print_open(&item->u.open);
        else
            print_small(item);
    }
    return rc == 1 ? 0 : -1;
}

static void print_facts(const char *name, const struct facts *f, size_t public, size_t meta,
                        size_t data)
{
    printf("segment name=%s major=%u sysid=%" PRIu64, name, version_by_magic(f->magic)->major,
           f->sysid);
    print_lsn("start", f->start);
    print_lsn("end", f->end);
    print_lsn("first", f->first_rec);
    print_lsn("prev", f->first_prev);
    print_lsn("last", f->last_rec);
    printf(" tli=%" PRIu32 ":%" PRIu32 ":%" PRIu32 " flags=%x lost=%x records=%" PRIu64
           " commits=%" PRIu64 " aborts=%" PRIu64 " prepares=%" PRIu64 " head=%" PRIu32 ":%" PRIu32
           " tail=%" PRIu32 ":%" PRIu32 " checkpoints=%" PRIu64 " damages=%" PRIu64
           " public=%zu metadata=%zu data=%zu\n",
           f->tli, f->first_tli, f->last_tli, f->flags, f->lost, f->records, f->commits, f->aborts,
           f->prepares, f->head_rem, f->head_present, f->tail_len, f->tail_present, f->checkpoints,
           f->damages, public, meta, data);
    if (f->commits > 0) {
        printf("times");
        print_lsn("first_lsn", f->first_commit);
        print_time("first", f->commit_times.first);
        print_lsn("last_lsn", f->last_commit);
        print_time("last", f->commit_times.last);
        print_time("least", f->commit_times.least);
        print_time("greatest", f->commit_times.greatest);
        printf("\n");
    }
    for (uint32_t i = 0; i < f->switches && i < FACTS_CHANGES_MAX; i++) {
        printf("timeline from=%" PRIu32 " to=%" PRIu32, f->tli_switch[i].from, f->tli_switch[i].to);
        print_lsn("lsn", f->tli_switch[i].lsn);
        printf("\n");
    }
    for (uint32_t i = 0; i < f->levels && i < FACTS_CHANGES_MAX; i++) {
        printf("wal_level value=%" PRIu32, f->wal_level[i].level);
        print_lsn("lsn", f->wal_level[i].lsn);
        printf("\n");
    }
    for (uint32_t i = 0; i < f->damages && i < FACTS_DAMAGE_MAX; i++) {
        printf("damage reason=%" PRIu32, f->damage[i].reason);
        print_lsn("lsn", f->damage[i].lsn);
        printf(" text=%s\n", facts_damage_text(f->damage[i].reason));
    }
}

static void add_facts(struct total *t, const struct facts *f)
{
    t->records += f->records;
    t->commits += f->commits;
    t->aborts += f->aborts;
    t->prepares += f->prepares;
    t->damages += f->damages;
    if (f->commits > 0) {
        facts_time(&t->times, f->commit_times.least, t->any);
        facts_time(&t->times, f->commit_times.greatest, true);
        t->any = true;
    }
}

/* The record that the last join completed, collected by itself. */
static void add_joined(struct walsum *s, const struct facts *at)
{
    struct facts f = {.segsize = at->segsize, .start = at->start - at->segsize};
    const struct join *j = &s->join;

    s->total.joined++;
    if (j->record_len < WALRECORD_HEADER)
        return;
    walevent_init(&s->joined, version_by_magic(at->magic), &f, s->joined_meta);
    s->joined.rows_min = 1;
    if (walevent_want(&s->joined, j->record[17], j->record[16]) == 0)
        return;
    if (walevent_record(&s->joined, j->record, j->record_len, j->record_lsn) != 0)
        printf("joined-record-contradicts-itself\n");
    walevent_finish(&s->joined);
    add_facts(&s->total, &f);
    if (print_meta(&s->item, s->joined_meta, s->joined.meta.len, f.start) != 0)
        printf("joined-metadata-garbled\n");
}

static int report(struct walsum *s, const char *name, struct wal_summary *w, struct err *e)
{
    uint8_t public[FACTS_BYTES_MAX];
    struct facts decoded;
    size_t n = walwalk_public(w, public);
    enum join_result r;

    if (facts_decode(public, n, &decoded, e) != 0)
        return -1;
    if (memcmp(&decoded, &w->facts, sizeof decoded) != 0)
        printf("decoded-facts-differ name=%s\n", name);
    w->facts = decoded;
    print_facts(name, &decoded, n, w->meta_len, w->data_len);
    if (print_meta(&s->item, w->meta, w->meta_len, decoded.start) != 0)
        return err_set(e, ERR_DAMAGED, "the metadata cannot be decoded");
    r = join_step(&s->join, w);
    printf("join result=%d proved=%d text=%s\n", (int)r, s->join.proved, join_text(r));
    s->total.proved += s->join.proved;
    if (r > JOIN_FIRST)
        s->total.breaks++;
    add_facts(&s->total, &decoded);
    if (s->join.record_lsn != 0)
        add_joined(s, &decoded);
    return 0;
}

static int walk_file(struct walsum *s, const char *path, uint8_t *chunk, size_t size, struct err *e)
{
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    struct walname n;
    struct wal_summary w;
    FILE *f = NULL;
    size_t got;
    int rc = -1;

    if (!walname_parse(name, &n))
        return err_set(e, ERR_USAGE, "not a name of WAL");
    f = fopen(path, "rb");
    if (f == NULL)
        return err_set(e, ERR_IO, "could not open it");
    if (s->segsize == 0) {
        uint8_t header[WALPAGE_LONG];
        struct walpage_long l;

        if (fread(header, 1, sizeof header, f) != sizeof header || fseek(f, 0, SEEK_SET) != 0) {
            (void)err_set(e, ERR_IO, "could not read its header");
            goto out;
        }
        walpage_read_long(header, &l);
        s->segsize = l.segsize;
        s->sysid = l.sysid;
    }
    if (walwalk_init(&s->walk, &n, s->segsize, s->sysid, e) != 0)
        goto out;
    while ((got = fread(chunk, 1, size, f)) > 0)
        if (walwalk_feed(&s->walk, chunk, got, e) != 0)
            goto out;
    if (walwalk_finish(&s->walk, &w, e) != 0)
        goto out;
    rc = report(s, name, &w, e);
out:
    (void)fclose(f); /* only read */
    return rc;
}

int main(int argc, char **argv)
{
    struct walsum *s = calloc(1, sizeof *s);
    struct err e = {0};
    uint64_t size = 262144;
    uint8_t *chunk = NULL;
    int rc = 0;
    int i = 1;

    if (argc > 2 && strcmp(argv[1], "-c") == 0) {
        if (parse_u64(argv[2], 1, 1 << 24, &size, &e) != 0) {
            fprintf(stderr, "walsum: %s\n", e.msg);
            free(s);
            return 2;
        }
        i = 3;
    }
    chunk = malloc((size_t)size);
    if (s == NULL || chunk == NULL)
        rc = 2;
    for (; rc != 2 && i < argc; i++) {
        err_clear(&e);
        if (walk_file(s, argv[i], chunk, (size_t)size, &e) != 0) {
            printf("refused file=%s text=%s\n", argv[i], e.msg);
            rc = 1;
        }
    }
    if (rc != 2) {
        const struct total *t = &s->total;

        printf("total records=%" PRIu64 " commits=%" PRIu64 " aborts=%" PRIu64 " prepares=%" PRIu64
               " damages=%" PRIu64 " joined=%" PRIu64 " proved=%" PRIu64 " breaks=%" PRIu64,
               t->records, t->commits, t->aborts, t->prepares, t->damages, t->joined, t->proved,
               t->breaks);
        print_time("least", t->any ? t->times.least : 0);
        print_time("greatest", t->any ? t->times.greatest : 0);
        printf("\n");
    }
    free(chunk);
    free(s);
    return rc;
}

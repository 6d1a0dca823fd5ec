#include "repo/inventory_wal.h"

#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "pg/walevent.h"
#include "pg/walrecord.h"
#include "pg/walxact.h"

enum { ALIGN = 8 };

/* From PostgreSQL's epoch to ours. */
static const int64_t EPOCH_2000 = INT64_C(946684800) * USEC_PER_SEC;

bool inventory_wal_end(const struct version *v, const uint8_t *record, size_t len, lsn_t lsn,
                       struct plan_end *out)
{
    struct walrecord r;
    struct walxact x;

    if (len < WALRECORD_HEADER)
        return false;
    walrecord_header(record, lsn, &r);
    if (r.rmid != WALRECORD_XACT || r.tot_len < len)
        return false;
    switch (r.info & WALXACT_OP) {
    case WALXACT_COMMIT:
    case WALXACT_ABORT:
    case WALXACT_COMMIT_PREPARED:
    case WALXACT_ABORT_PREPARED:
        break;
    default:
        return false;
    }
    if (walrecord_parse(v, record, len, lsn, &r) != 0 || walxact_parse(v, &r, &x) != 0)
        return false;
    *out = (struct plan_end){lsn, x.time + EPOCH_2000, x.xid, !x.commit};
    return true;
}

/* A whole record. */
static int take_record(struct inventory_wal *w, struct err *e)
{
    size_t len = w->tot < sizeof w->record ? w->tot : sizeof w->record;
    struct plan_end end;

    w->in_record = false;
    if (w->stop != 0 && w->lsn >= w->stop) {
        w->over = true;
        return 0;
    }
    if (w->last_to == 0 || w->lsn < w->last_to)
        w->last = w->lsn;
    if (walevent_is_switch(w->record))
        w->over = true;
    if (w->each != NULL)
        w->each(w->each_arg, w->version, w->record, len, w->lsn);
    if (inventory_wal_end(w->version, w->record, len, w->lsn, &end))
        return plan_ends_push(w->ends, end, e);
    return 0;
}

/* Bytes of a page behind its header; at: their place in the segment.  Answers how many it took. */
static size_t take_bytes(struct inventory_wal *w, const uint8_t *p, size_t n)
{
    size_t take;

    if (w->skip > 0) {
        take = w->skip < n ? (size_t)w->skip : n;
        w->skip -= take;
        return take;
    }
    if (!w->in_record) {
        size_t pad = (size_t)(-w->at & (ALIGN - 1));

        if (pad > 0)
            return pad < n ? pad : n;
        w->in_record = true;
        w->lsn = w->start + w->at;
        w->tot = 0;
        w->got = 0;
    }
    if (w->got < 4) { /* the length is never cut in two by a page, but by our pieces */
        take = 4 - w->got < n ? 4 - w->got : n;
        memcpy(w->record + w->got, p, take);
        w->got += (uint32_t)take;
        if (w->got == 4)
            w->tot = get_u32(w->record);
        if (w->got == 4 && (w->tot < WALRECORD_HEADER || w->tot > WALRECORD_MAX))
            w->over = true;
        return take;
    }
    take = w->tot - w->got < n ? w->tot - w->got : n;
    if (w->got < sizeof w->record) {
        size_t room = sizeof w->record - w->got;

        memcpy(w->record + w->got, p, take < room ? take : room);
    }
    w->got += (uint32_t)take;
    return take;
}

/* Header bytes; the last one says what to expect. */
static size_t take_header(struct inventory_wal *w, const uint8_t *p, size_t n)
{
    size_t in_page = w->at % WALPAGE_SIZE;
    size_t len = w->at < WALPAGE_SIZE ? WALPAGE_LONG : WALPAGE_SHORT;
    size_t take = len - in_page < n ? len - in_page : n;
    struct walpage page;

    memcpy(w->header + in_page, p, take);
    if (in_page + take < len)
        return take;
    walpage_read(w->header, &page);
    if (w->at < WALPAGE_SIZE) {
        w->version = version_by_magic(page.magic);
        w->over = w->version == NULL;
        w->skip = (page.info & WALPAGE_CONTRECORD) != 0 ? page.rem_len : 0;
    } else if (w->version == NULL || page.magic != w->version->magic) {
        w->over = true; /* the archive ends here, or is broken */
    } else if (w->in_record && (page.info & WALPAGE_CONTRECORD) == 0) {
        w->in_record = false; /* it was given up, and another one comes in its place */
    }
    return take;
}

static int wal_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct inventory_wal *w = (struct inventory_wal *)s;

    while (len > 0 && !w->over) {
        size_t in_page = w->at % WALPAGE_SIZE;
        size_t header = w->at < WALPAGE_SIZE ? WALPAGE_LONG : WALPAGE_SHORT;
        size_t take;

        if (in_page < header) {
            take = take_header(w, bytes, len);
        } else {
            size_t room = WALPAGE_SIZE - in_page;

            take = take_bytes(w, bytes, room < len ? room : len);
        }
        w->at += take;
        bytes += take;
        len -= take;
        if (w->in_record && w->got >= 4 && w->got == w->tot && take_record(w, e) != 0)
            return -1;
    }
    return 0;
}

static const struct sink_ops wal_ops = {"transactions", wal_write, sink_finish_next,
                                        sink_abort_next};

void inventory_wal_init(struct inventory_wal *w, struct plan_ends *ends, lsn_t start, lsn_t stop,
                        lsn_t last_to)
{
    memset(w, 0, sizeof *w);
    sink_init(&w->sink, &wal_ops, PHASE_DELIVER);
    w->ends = ends;
    w->start = start;
    w->stop = stop;
    w->last_to = last_to;
}

/*
 * pg_wal_maker: writes WAL as a server would, for the tests of the reader.
 *
 * A maker holds a few segments of 1 MB in memory.  make_record appends a record, with page headers
 * and continuations as needed; make_switch ends a segment; make_seal sets page headers that the
 * last record did not reach.  Then tests break what they like.
 */
#ifndef TESTS_UNIT_PG_WAL_MAKER_H
#define TESTS_UNIT_PG_WAL_MAKER_H

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "pg/version.h"
#include "pg/walpage.h"
#include "pg/walrecord.h"
#include "pg/walwalk.h"

enum {
    MAKE_SEG = 1 << 20,
    MAKE_SEGMENTS = 6,
    MAKE_BYTES = MAKE_SEG * MAKE_SEGMENTS,
    MAKE_SEGNO = 7, /* of the first segment */
    MAKE_SYSID = 4711
};

struct maker {
    const struct version *v;
    uint32_t tli;
    lsn_t base;
    lsn_t prev;
    size_t pos; /* next byte, relative to base */
    uint8_t *p;
};

static inline void make_page(struct maker *m, size_t pos, uint16_t info, uint32_t rem)
{
    uint8_t *h = m->p + pos;
    bool is_first = pos % MAKE_SEG == 0;

    put_u16(h, m->v->magic);
    put_u16(h + 2, (uint16_t)(info | (is_first ? WALPAGE_IS_LONG : 0)));
    put_u32(h + 4, m->tli);
    put_u64(h + 8, m->base + pos);
    put_u32(h + 16, rem);
    if (is_first) {
        put_u64(h + 24, MAKE_SYSID);
        put_u32(h + 32, MAKE_SEG);
        put_u32(h + 36, WALPAGE_SIZE);
    }
}

static inline size_t make_header_len(size_t pos)
{
    return pos % MAKE_SEG == 0 ? WALPAGE_LONG : WALPAGE_SHORT;
}

/* Makes sure that a page header stands at a page's start. */
static inline void make_ready(struct maker *m, uint16_t info, uint32_t rem)
{
    if (m->pos % WALPAGE_SIZE == 0) {
        make_page(m, m->pos, info, rem);
        m->pos += make_header_len(m->pos);
    }
}

static inline void make_init(struct maker *m, unsigned major)
{
    m->v = version_by_major(major);
    m->tli = 1;
    m->base = (lsn_t)MAKE_SEGNO * MAKE_SEG;
    m->prev = m->base - 64;
    m->pos = 0;
    m->p = calloc(1, MAKE_BYTES + WALPAGE_SIZE);
    if (m->p == NULL)
        abort();
}

static inline void make_fini(struct maker *m)
{
    free(m->p);
}

/* Copies bytes of a record across pages.  Stops at `stop` bytes when that is smaller than n, as a
 * crash does. */
static inline void make_bytes(struct maker *m, const uint8_t *r, size_t n, size_t stop)
{
    size_t done = 0;

    while (done < n && done < stop) {
        size_t room;

        make_ready(m, done > 0 ? WALPAGE_CONTRECORD : 0, done > 0 ? (uint32_t)(n - done) : 0);
        room = WALPAGE_SIZE - m->pos % WALPAGE_SIZE;
        if (room > n - done)
            room = n - done;
        if (room > stop - done)
            room = stop - done;
        memcpy(m->p + m->pos, r + done, room);
        m->pos += room;
        done += room;
    }
    m->pos = (m->pos + 7) & ~(size_t)7;
}

/* A whole record from what stands behind its header; returns its LSN. */
static inline lsn_t make_raw(struct maker *m, uint8_t rmid, uint8_t info, uint32_t xid,
                             const uint8_t *body, size_t n, size_t stop)
{
    uint8_t *r = calloc(1, n + WALRECORD_HEADER);
    lsn_t lsn;

    if (r == NULL)
        abort();
    make_ready(m, 0, 0);
    lsn = m->base + m->pos;
    put_u32(r, (uint32_t)(n + WALRECORD_HEADER));
    put_u32(r + 4, xid);
    put_u64(r + 8, m->prev);
    r[16] = info;
    r[17] = rmid;
    if (n > 0)
        memcpy(r + WALRECORD_HEADER, body, n);
    put_u32(r + 20, crc32c_extend(crc32c_extend(0, r + WALRECORD_HEADER, n), r, 20));
    make_bytes(m, r, n + WALRECORD_HEADER, stop);
    if (stop >= n + WALRECORD_HEADER)
        m->prev = lsn;
    free(r);
    return lsn;
}

/* A record with main data only. */
static inline lsn_t make_record(struct maker *m, uint8_t rmid, uint8_t info, uint32_t xid,
                                const uint8_t *main, size_t n)
{
    uint8_t *body = calloc(1, n + 5);
    size_t head = 0;
    lsn_t lsn;

    if (body == NULL)
        abort();
    if (n > 255) {
        body[0] = 254;
        put_u32(body + 1, (uint32_t)n);
        head = 5;
    } else if (n > 0) {
        body[0] = 255;
        body[1] = (uint8_t)n;
        head = 2;
    }
    if (n > 0)
        memcpy(body + head, main, n);
    lsn = make_raw(m, rmid, info, xid, body, head + n, SIZE_MAX);
    free(body);
    return lsn;
}

/* A record of no interest (a NOOP), n bytes long. */
static inline lsn_t make_filler(struct maker *m, size_t n)
{
    uint8_t *main = calloc(1, n + 1);
    lsn_t lsn;

    if (main == NULL)
        abort();
    memset(main, 'f', n);
    lsn = make_record(m, WALRECORD_XLOG, 0x20, 0, main, n);
    free(main);
    return lsn;
}

/* Fillers up to `left` bytes before the end of the current segment. */
static inline void make_fill_to(struct maker *m, size_t left)
{
    size_t end = (m->pos / MAKE_SEG + 1) * MAKE_SEG;

    while (end - m->pos > left) {
        size_t room = WALPAGE_SIZE - m->pos % WALPAGE_SIZE;

        if (m->pos % WALPAGE_SIZE == 0) {
            make_ready(m, 0, 0);
            continue;
        }
        if (end - m->pos - left < room)
            room = end - m->pos - left;
        (void)make_filler(m, room >= 320 ? 264 : room > 26 ? room - 26 : 0);
    }
}

/* A row change: DELETE or UPDATE of heap relation 1663/5/rel. */
static inline lsn_t make_row(struct maker *m, uint8_t op, uint32_t xid, uint32_t rel, uint8_t flags)
{
    uint8_t b[64] = {0};
    size_t main_len = op == 0x10 ? 8 : 14;
    size_t n = 0;

    b[n++] = 0;        /* block 0, */
    b[n++] = 0;        /* main fork, no image, */
    put_u16(b + n, 0); /* no data */
    put_u32(b + n + 2, 1663);
    put_u32(b + n + 6, 5);
    put_u32(b + n + 10, rel);
    n += 18;
    b[n++] = 255;
    b[n++] = (uint8_t)main_len;
    if (op == 0x10)
        b[n + 7] = flags;
    n += main_len;
    return make_raw(m, WALRECORD_HEAP, op, xid, b, n, SIZE_MAX);
}

/* The end of a transaction with subtransactions and dropped files. */
static inline lsn_t make_end(struct maker *m, uint8_t op, uint32_t xid, int64_t time,
                             const uint32_t *subs, uint32_t n_subs, const uint32_t *rels,
                             uint32_t n_rels)
{
    uint8_t b[4096];
    size_t n = 12;

    put_u64(b, (uint64_t)time);
    put_u32(b + 8, (n_subs > 0 ? 0x02u : 0) | (n_rels > 0 ? 0x04u : 0));
    if (n_subs > 0) {
        put_u32(b + n, n_subs);
        n += 4;
        for (uint32_t i = 0; i < n_subs; i++, n += 4)
            put_u32(b + n, subs[i]);
    }
    if (n_rels > 0) {
        put_u32(b + n, n_rels);
        n += 4;
        for (uint32_t i = 0; i < n_rels; i++, n += 12) {
            put_u32(b + n, 1663);
            put_u32(b + n + 4, 5);
            put_u32(b + n + 8, rels[i]);
        }
    }
    return make_record(m, WALRECORD_XACT, op | 0x80, xid, b, n);
}

static inline void make_switch(struct maker *m)
{
    (void)make_record(m, WALRECORD_XLOG, 0x40, 0, NULL, 0);
    m->pos = (m->pos + MAKE_SEG - 1) / MAKE_SEG * MAKE_SEG;
}

/* Walks segment i of the maker in pieces of `chunk` bytes.  0, or -1 with *e. */
static inline int make_walk(struct maker *m, struct walwalk *w, unsigned i, size_t chunk,
                            bool partial, struct wal_summary *s, struct err *e)
{
    struct walname n = {partial ? WALNAME_PARTIAL : WALNAME_SEGMENT, m->tli, 0, MAKE_SEGNO + i, 0};
    const uint8_t *p = m->p + (size_t)i * MAKE_SEG;

    err_clear(e);
    if (walwalk_init(w, &n, MAKE_SEG, MAKE_SYSID, e) != 0)
        return -1;
    for (size_t at = 0; at < MAKE_SEG; at += chunk)
        if (walwalk_feed(w, p + at, MAKE_SEG - at < chunk ? MAKE_SEG - at : chunk, e) != 0)
            return -1;
    return walwalk_finish(w, s, e);
}

#endif

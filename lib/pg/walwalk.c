#include "pg/walwalk.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

_Static_assert(sizeof(struct walwalk) <= WALWALK_BYTES_MAX, "the walker must stay small");

int walwalk_init(struct walwalk *w, const struct walname *name, uint32_t segsize, uint64_t sysid,
                 struct err *e)
{
    uint64_t segno;

    if (name->kind != WALNAME_SEGMENT && name->kind != WALNAME_PARTIAL)
        return err_set(e, ERR_REFUSED, "not the name of a WAL segment");
    if (!walname_is_segsize(segsize) || !walname_segno(name, segsize, &segno))
        return err_set(e, ERR_REFUSED, "no segment of %" PRIu32 " bytes has this name", segsize);

    w->v = NULL;
    w->crc = crc32c_best();
    w->sysid = sysid;
    w->segsize = segsize;
    w->state = WALWALK_RECORDS;
    w->partial = name->kind == WALNAME_PARTIAL;
    w->cuts = false;
    w->later = false;
    w->knows_prev = false;
    w->suspect = false;
    w->prev = 0;
    w->fed = 0;
    w->page_fill = 0;
    memset(&w->facts, 0, sizeof w->facts);
    w->facts.tli = name->tli;
    w->facts.segsize = segsize;
    w->facts.start = walname_start(segno, segsize);
    w->facts.flags = w->partial ? FACTS_PARTIAL : 0;
    memset(&w->pending, 0, sizeof w->pending);
    w->head_kept = 0;
    w->data_len = 0;
    return 0;
}

/* Records damage.  In a .partial it is where the old pages begin, which is no damage at all. */
static void damage(struct walwalk *w, enum facts_damage reason, lsn_t lsn)
{
    struct facts *f = &w->facts;

    if (w->partial) {
        w->state = WALWALK_QUIET;
        return;
    }
    if (f->damages < FACTS_DAMAGE_MAX) {
        f->damage[f->damages].lsn = lsn;
        f->damage[f->damages].reason = reason;
    }
    f->damages++;
}

/* Damage after which the place of the next record is not known. */
static void lose_place(struct walwalk *w, enum facts_damage reason, lsn_t lsn)
{
    w->state = WALWALK_RESYNC;
    w->knows_prev = false;
    w->suspect = false;
    w->pending.active = false;
    damage(w, reason, lsn);
}

/* Whether a record at lsn may point back to prev; false when its place is not to be believed. */
static bool check_prev(struct walwalk *w, lsn_t lsn, lsn_t prev)
{
    if (w->knows_prev ? prev == w->prev : prev < lsn)
        return true;
    if (w->suspect) {
        w->state = WALWALK_RESYNC;
        w->knows_prev = false;
        w->suspect = false;
        return false;
    }
    damage(w, FACTS_BAD_PREV, lsn);
    return w->state == WALWALK_RECORDS;
}

/* A whole record; p holds its first avail bytes, it ends at `end` (page headers in it counted), and
 * crc is what all of it adds up to. */
static void end_record(struct walwalk *w, const uint8_t *p, size_t avail, lsn_t lsn, lsn_t end,
                       uint32_t crc)
{
    struct facts *f = &w->facts;

    w->suspect = crc != get_u32(p + 20);
    if (w->suspect)
        damage(w, FACTS_BAD_CRC, lsn);
    if (w->state == WALWALK_QUIET)
        return;
    /* A bad record still has its place in the chain. */
    w->knows_prev = true;
    w->prev = lsn;
    f->last_rec = lsn;
    if (w->suspect)
        return;
    f->records++;
    if (f->first_rec == 0) {
        f->first_rec = lsn;
        f->first_prev = get_u64(p + 8);
    }
    f->end = end;
    w->behind = end;
    if (walevent_want(&w->event, p[17], p[16]) != 0 &&
        walevent_record(&w->event, p, avail, lsn) != 0)
        damage(w, FACTS_BAD_RECORD, lsn);
    if (walevent_is_switch(p)) {
        f->flags |= FACTS_SWITCHED;
        w->state = WALWALK_SWITCHED;
    }
}

/* The 24 header bytes of a pending record are complete.  False when it is not believed. */
static bool pending_header(struct walwalk *w)
{
    struct walwalk_pending *d = &w->pending;

    d->kept = WALRECORD_HEADER;
    d->want = walevent_want(&w->event, w->rec[17], w->rec[16]);
    return check_prev(w, d->lsn, get_u64(w->rec + 8));
}

/* The next n bytes of the pending record, which is not longer.  False when it turns out to be no
 * record at all. */
static bool pending_take(struct walwalk *w, const uint8_t *p, uint32_t n)
{
    struct walwalk_pending *d = &w->pending;

    if (!d->foreign && d->got < WALRECORD_HEADER) {
        uint32_t part = WALRECORD_HEADER - d->got < n ? WALRECORD_HEADER - d->got : n;

        memcpy(w->rec + d->got, p, part);
        d->got += part;
        p += part;
        n -= part;
        if (d->got == WALRECORD_HEADER && !pending_header(w))
            return false;
    }
    d->crc = w->crc(d->crc, p, n);
    d->got += n;
    if (d->kept < d->want) {
        uint32_t part = d->want - d->kept < n ? d->want - d->kept : n;

        memcpy((d->foreign ? w->head_raw : w->rec) + d->kept, p, part);
        d->kept += part;
    }
    return true;
}

/* Notes how far a foreign record got, when that is final. */
static void end_head(struct walwalk *w)
{
    w->facts.head_present = w->pending.got;
    w->head.crc[0] = w->pending.crc;
    w->head_kept = w->pending.kept;
}

static void end_pending(struct walwalk *w, lsn_t end)
{
    struct walwalk_pending *d = &w->pending;

    d->active = false;
    if (d->foreign) {
        end_head(w);
        w->behind = end;
        w->facts.flags |= FACTS_HEAD_ENDS;
        return;
    }
    end_record(w, w->rec, d->kept, d->lsn, end, w->crc(d->crc, w->rec, 20));
}

/* A record that starts at r and does not end within the `room` bytes of its page. */
static void start_pending(struct walwalk *w, const uint8_t *r, uint32_t room, lsn_t lsn)
{
    w->pending = (struct walwalk_pending){.lsn = lsn, .tot = get_u32(r), .active = true};
    if (!pending_take(w, r, room))
        w->pending.active = false;
}

/* No record can be here.  Zeros up to the end of the page mean that nothing was written. */
static void no_record(struct walwalk *w, const uint8_t *r, uint32_t room, lsn_t lsn)
{
    bool zero = walpage_is_zero(r, room);

    /* Behind a bad record this place is a guess; one damage is told once. */
    if (w->suspect && !zero) {
        w->state = WALWALK_RESYNC;
        w->knows_prev = false;
        w->suspect = false;
        return;
    }
    lose_place(w, zero ? FACTS_ENDS_EARLY : FACTS_BAD_LENGTH, lsn);
    if (zero && w->state == WALWALK_RESYNC)
        w->state = WALWALK_ENDED;
}

static void walk_records(struct walwalk *w, const uint8_t *page, lsn_t addr, uint32_t pos)
{
    while (pos < WALPAGE_SIZE && w->state == WALWALK_RECORDS) {
        const uint8_t *r = page + pos;
        uint32_t room = WALPAGE_SIZE - pos;
        uint32_t tot = get_u32(r);
        lsn_t lsn = addr + pos;

        if (tot < WALRECORD_HEADER || tot > WALRECORD_MAX) {
            no_record(w, r, room, lsn);
            return;
        }
        if (tot > room) {
            start_pending(w, r, room, lsn);
            return;
        }
        if (!check_prev(w, lsn, get_u64(r + 8)))
            return;
        end_record(w, r, tot, lsn, lsn + tot, w->crc(w->crc(0, r + 24, tot - 24), r, 20));
        pos = (pos + tot + 7) & ~UINT32_C(7);
    }
}

/* Where the first record of a page starts when the one before it is of no interest: behind what
 * the page says remains of it.  The page's size when that fills it. */
static uint32_t skip_rest(const struct walpage *h, uint32_t head)
{
    uint32_t room = WALPAGE_SIZE - head;

    if ((h->info & WALPAGE_CONTRECORD) == 0)
        return head;
    return h->rem_len >= room ? WALPAGE_SIZE : (head + h->rem_len + 7) & ~UINT32_C(7);
}

static void resync(struct walwalk *w, const struct walpage *h, const uint8_t *page, uint32_t head)
{
    uint32_t pos = skip_rest(h, head);
    bool more = (h->info & WALPAGE_CONTRECORD) != 0 && h->rem_len > WALPAGE_SIZE - head;

    w->knows_prev = false;
    w->suspect = false;
    w->state = more ? WALWALK_RESYNC : WALWALK_RECORDS;
    walk_records(w, page, h->addr, pos);
}

/* The pending record goes on on this page, or it does not. */
static void continue_pending(struct walwalk *w, const struct walpage *h, const uint8_t *page,
                             uint32_t head)
{
    struct walwalk_pending *d = &w->pending;
    uint32_t left = d->tot - d->got;
    uint32_t room = WALPAGE_SIZE - head;
    uint32_t n = left < room ? left : room;

    if ((h->info & w->v->page_overwrite) != 0) {
        /* A crash cut that record short, and the server gave it up. */
        d->active = false;
        if (d->foreign) {
            end_head(w);
            w->facts.flags |= FACTS_HEAD_DROPPED;
        }
        walk_records(w, page, h->addr, head);
        return;
    }
    if ((h->info & WALPAGE_CONTRECORD) == 0 || h->rem_len != left) {
        if (d->foreign)
            end_head(w);
        lose_place(w, FACTS_BAD_CONTRECORD, d->lsn);
        if (w->state == WALWALK_RESYNC)
            resync(w, h, page, head);
        return;
    }
    if (!pending_take(w, page + head, n)) {
        d->active = false;
        if (w->state == WALWALK_RESYNC)
            resync(w, h, page, head);
        return;
    }
    if (d->got < d->tot)
        return;
    end_pending(w, h->addr + head + n);
    walk_records(w, page, h->addr, (head + n + 7) & ~UINT32_C(7));
}

/* Whether this is a first page of the right segment; the error says why not. */
static int check_first(struct walwalk *w, const struct walpage *h, const struct walpage_long *l,
                       struct err *e)
{
    const struct facts *f = &w->facts;
    char want[TEXT_LSN_MAX];
    char got[TEXT_LSN_MAX];

    if (version_is_swapped(h->magic))
        return err_set(e, ERR_REFUSED,
                       "the WAL was written on a big-endian machine, which is not supported");
    w->v = version_by_magic(h->magic);
    if (w->v == NULL)
        return err_set(e, ERR_REFUSED,
                       "not WAL of a supported PostgreSQL version: page magic %04X "
                       "(versions 13 to 18 are known)",
                       h->magic);
    if ((h->info & WALPAGE_IS_LONG) == 0 || (h->info & ~w->v->page_known) != 0)
        return err_set(e, ERR_REFUSED, "the first page is not that of a segment (flags %04X)",
                       h->info);
    if (l->blcksz != WALPAGE_SIZE)
        return err_set(e, ERR_REFUSED, "WAL pages of %" PRIu32 " bytes are not supported",
                       l->blcksz);
    if (l->segsize != w->segsize)
        return err_set(e, ERR_REFUSED, "the segment says it has %" PRIu32 " bytes, not %" PRIu32,
                       l->segsize, w->segsize);
    if (w->sysid != 0 && l->sysid != w->sysid) {
        (void)err_set(e, ERR_REFUSED,
                      "the segment is of system identifier %" PRIu64 ", not of %" PRIu64, l->sysid,
                      w->sysid);
        return err_hint(e, "Another server's WAL is where this one's should "
                           "be: was a disk mounted, or pg_wal linked, in the wrong place?");
    }
    if (h->addr != f->start) {
        text_lsn(want, f->start);
        text_lsn(got, h->addr);
        return err_set(e, ERR_REFUSED, "the content is that of LSN %s, the name that of %s", got,
                       want);
    }
    if (h->tli == 0 || h->tli > f->tli)
        return err_set(e, ERR_REFUSED,
                       "the content is of timeline %" PRIu32 ", the name of timeline %" PRIu32,
                       h->tli, f->tli);
    return 0;
}

static int first_page(struct walwalk *w, const uint8_t *page, struct err *e)
{
    struct walpage h;
    struct walpage_long l;
    struct facts *f = &w->facts;

    if (walpage_is_zero(page, WALPAGE_SIZE))
        return err_set(e, ERR_REFUSED, "the first page is empty (all zero)");
    walpage_read(page, &h);
    walpage_read_long(page, &l);
    if (check_first(w, &h, &l, e) != 0)
        return -1;
    f->magic = h.magic;
    f->sysid = l.sysid;
    f->first_tli = f->last_tli = h.tli;
    f->end = w->behind = f->start;
    walevent_init(&w->event, w->v, f, w->meta);

    if ((h.info & w->v->page_overwrite) != 0)
        f->flags |= FACTS_OVERWRITE;
    if ((h.info & WALPAGE_CONTRECORD) != 0 && h.rem_len > 0) {
        f->head_rem = h.rem_len;
        w->pending = (struct walwalk_pending){.lsn = f->start,
                                              .tot = h.rem_len,
                                              .want = WALWALK_HEAD_RAW,
                                              .active = true,
                                              .foreign = true};
        continue_pending(w, &h, page, WALPAGE_LONG);
        return 0;
    }
    if ((h.info & WALPAGE_CONTRECORD) != 0)
        damage(w, FACTS_BAD_CONTRECORD, f->start);
    walk_records(w, page, h.addr, WALPAGE_LONG);
    return 0;
}

static bool is_good_page(const struct walwalk *w, const struct walpage *h, lsn_t addr)
{
    return h->magic == w->v->magic && h->addr == addr && (h->info & ~w->v->page_known) == 0 &&
           (h->info & WALPAGE_IS_LONG) == 0 && h->tli >= w->facts.last_tli &&
           h->tli <= w->facts.tli;
}

static void bad_page(struct walwalk *w, const uint8_t *page, lsn_t addr)
{
    bool zero = walpage_is_zero(page, WALPAGE_SIZE);

    if (w->state == WALWALK_ENDED && zero)
        return;
    if (w->pending.active && w->pending.foreign)
        end_head(w);
    lose_place(w, zero ? FACTS_ENDS_EARLY : FACTS_BAD_PAGE, addr);
    if (zero && w->state == WALWALK_RESYNC)
        w->state = WALWALK_ENDED;
}

/* Is the SWITCH record proven, and what is behind it nobody's business? */
static bool cuts_tail(const struct walwalk *w)
{
    return w->cuts && w->facts.damages == 0 && (w->facts.flags & FACTS_SWITCHED) != 0;
}

static uint64_t behind_last_record(const struct walwalk *w)
{
    return (w->behind - w->facts.start + 7) & ~UINT64_C(7);
}

uint64_t walwalk_kept(const struct walwalk *w)
{
    return cuts_tail(w) ? behind_last_record(w) : w->segsize;
}

uint64_t walwalk_sound(const struct walwalk *w)
{
    bool ends = w->state == WALWALK_QUIET || (w->facts.flags & FACTS_OPEN_END) != 0;

    return ends && !w->later ? behind_last_record(w) : w->segsize;
}

static void next_page(struct walwalk *w, const uint8_t *page, lsn_t addr)
{
    struct walpage h;

    walpage_read(page, &h);
    if ((w->state == WALWALK_QUIET || w->facts.damages > 0) && is_good_page(w, &h, addr))
        w->later = true;
    if (w->state == WALWALK_QUIET)
        return;
    if (w->state == WALWALK_SWITCHED) {
        if (!cuts_tail(w) && !walpage_is_zero(page, WALPAGE_SIZE)) {
            damage(w, FACTS_AFTER_SWITCH, addr);
            w->state = WALWALK_QUIET;
        }
        return;
    }
    if (!is_good_page(w, &h, addr)) {
        bad_page(w, page, addr);
        return;
    }
    w->facts.last_tli = h.tli;
    if (w->state != WALWALK_RECORDS) {
        resync(w, &h, page, WALPAGE_SHORT);
    } else if (w->pending.active) {
        continue_pending(w, &h, page, WALPAGE_SHORT);
    } else if ((h.info & WALPAGE_CONTRECORD) != 0) {
        lose_place(w, FACTS_BAD_CONTRECORD, addr);
        if (w->state == WALWALK_RESYNC)
            resync(w, &h, page, WALPAGE_SHORT);
    } else {
        walk_records(w, page, addr, WALPAGE_SHORT);
    }
}

/* The zeros that belong to the page of the SWITCH record itself. */
static void check_switch_page(struct walwalk *w, const uint8_t *page, lsn_t addr)
{
    uint32_t pos = (uint32_t)((w->behind - addr + 7) & ~UINT64_C(7));

    if (!cuts_tail(w) && pos < WALPAGE_SIZE && !walpage_is_zero(page + pos, WALPAGE_SIZE - pos)) {
        damage(w, FACTS_AFTER_SWITCH, addr + pos);
        w->state = WALWALK_QUIET;
    }
}

static int walk_page(struct walwalk *w, const uint8_t *page, struct err *e)
{
    lsn_t addr = w->facts.start + w->fed;
    enum walwalk_state before = w->state;

    if (w->fed == w->segsize)
        return err_set(e, ERR_REFUSED, "the file is larger than %" PRIu32 " bytes", w->segsize);
    if (w->fed == 0) {
        if (first_page(w, page, e) != 0)
            return -1;
    } else {
        next_page(w, page, addr);
    }
    if (w->state == WALWALK_SWITCHED && before != WALWALK_SWITCHED)
        check_switch_page(w, page, addr);
    w->fed += WALPAGE_SIZE;
    return 0;
}

int walwalk_feed(struct walwalk *w, const uint8_t *p, size_t n, struct err *e)
{
    while (n > 0) {
        if (w->page_fill == 0 && n >= WALPAGE_SIZE) {
            if (walk_page(w, p, e) != 0)
                return -1;
            p += WALPAGE_SIZE;
            n -= WALPAGE_SIZE;
        } else {
            size_t part = WALPAGE_SIZE - w->page_fill < n ? WALPAGE_SIZE - w->page_fill : n;

            memcpy(w->page + w->page_fill, p, part);
            w->page_fill += (uint32_t)part;
            p += part;
            n -= part;
            if (w->page_fill == WALPAGE_SIZE) {
                w->page_fill = 0;
                if (walk_page(w, w->page, e) != 0)
                    return -1;
            }
        }
    }
    return 0;
}

/* The checksums of the head piece without its first 8 or 16 bytes, for a header cut in two. */
static void put_head(struct walwalk *w, struct tlv_out *data)
{
    struct facts *f = &w->facts;

    for (uint32_t i = 1; i < 3; i++) {
        uint32_t skip = 8 * i;

        w->head.crc[i] = w->head.mix[i] = 0;
        if (f->head_present < skip)
            continue;
        w->head.crc[i] =
            crc32c_combine(w->crc(0, w->head_raw, skip), w->head.crc[0], f->head_present - skip);
        w->head.mix[i] = w->crc(0, w->head_raw, skip - 4) ^ get_u32(w->head_raw + skip - 4);
    }
    if (!meta_put_head(&w->event.meta, &w->head))
        f->lost |= FACTS_LOST_EVENTS;
    tlv_begin(data, WALWALK_HEAD_BYTES);
    tlv_bytes(data, w->head_raw, w->head_kept);
    (void)tlv_end(data); /* WALWALK_DATA_MAX is larger than both items */
}

static void put_tail(struct walwalk *w, struct tlv_out *data)
{
    struct walwalk_pending *d = &w->pending;
    struct facts *f = &w->facts;
    struct meta_tail tail = {.crc = d->crc};

    tail.header_len = (uint8_t)(d->got < WALRECORD_HEADER ? d->got : WALRECORD_HEADER);
    memcpy(tail.header, w->rec, tail.header_len);
    f->tail = d->lsn;
    f->tail_len = d->tot;
    f->tail_present = d->got;
    f->records++;
    if (f->first_rec == 0) {
        f->first_rec = d->lsn;
        f->first_prev = tail.header_len >= 16 ? get_u64(w->rec + 8) : 0;
    }
    if (!meta_put_tail(&w->event.meta, &tail))
        f->lost |= FACTS_LOST_EVENTS;
    if (d->want > 0 || d->got < WALRECORD_HEADER) {
        uint32_t n = d->got < WALRECORD_HEADER ? d->got : d->kept;

        tlv_begin(data, WALWALK_TAIL_BYTES);
        tlv_bytes(data, w->rec, n < WALWALK_TAIL_RAW ? n : WALWALK_TAIL_RAW);
        (void)tlv_end(data); /* see put_head */
    }
}

int walwalk_finish(struct walwalk *w, struct wal_summary *out, struct err *e)
{
    struct facts *f = &w->facts;
    struct tlv_out data;
    uint64_t size = w->fed + w->page_fill;

    if (size != w->segsize)
        return err_set(e, ERR_REFUSED, "the file has %s%" PRIu64 " bytes, a segment has %" PRIu32,
                       w->page_fill > 0 ? "" : "only ", size, w->segsize);
    if (w->pending.active && w->pending.foreign)
        end_head(w);
    if (w->state == WALWALK_RECORDS)
        f->end = f->start + w->segsize;
    else if (w->state != WALWALK_SWITCHED && (f->flags & FACTS_SWITCHED) == 0)
        f->flags |= FACTS_OPEN_END;

    tlv_init(&data, w->data, sizeof w->data);
    walevent_finish(&w->event);
    if (f->head_rem > 0)
        put_head(w, &data);
    if (w->state == WALWALK_RECORDS && w->pending.active && !w->pending.foreign)
        put_tail(w, &data);
    w->data_len = data.len;
    out->facts = *f;
    out->meta = w->meta;
    out->meta_len = w->event.meta.len;
    out->data = w->data;
    out->data_len = w->data_len;
    return 0;
}

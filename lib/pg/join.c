#include "pg/join.h"

#include <string.h>

#include "base/bytes.h"
#include "pg/metaread.h"

/* The two ends of a segment as its metadata and data parts tell them. */
struct ends {
    bool has_head;
    bool has_tail;
    struct meta_head head;
    struct meta_tail tail;
    struct cur head_raw;
    struct cur tail_raw;
};

void join_init(struct join *j)
{
    memset(j, 0, sizeof *j);
}

const char *join_text(enum join_result r)
{
    static const char *const text[] = {
        [JOIN_OK] = "joins the segment before it",
        [JOIN_FIRST] = "is the first one",
        [JOIN_GAP] = "does not start where the one before it ends",
        [JOIN_FOREIGN] = "is of another cluster, version, segment size or an older timeline",
        [JOIN_PREV] = "its first record does not follow the last one before it",
        [JOIN_LENGTH] = "the record across the boundary has two different lengths",
        [JOIN_CRC] = "the record across the boundary has a wrong checksum",
        [JOIN_UNPROVEN] = "damage hides whether it joins the one before it",
        [JOIN_GARBLED] = "its summary cannot be decoded",
    };

    return text[r];
}

static bool read_data(const struct wal_summary *s, struct ends *out)
{
    struct cur c = cur_of(s->data, s->data_len);
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (tag == WALWALK_HEAD_BYTES && item.left <= WALWALK_HEAD_RAW)
            out->head_raw = item;
        else if (tag == WALWALK_TAIL_BYTES && item.left <= WALWALK_TAIL_RAW)
            out->tail_raw = item;
    }
    return rc == 1;
}

/* The items of metadata are large when decoded and only two matter, so the rest is passed over. */
static bool read_meta(const struct wal_summary *s, struct ends *out)
{
    struct cur c = cur_of(s->meta, s->meta_len);
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (tag == META_HEAD) {
            if (!metaread_head(&item, &out->head))
                return false;
            out->has_head = true;
        } else if (tag == META_TAIL) {
            if (!metaread_tail(&item, &out->tail))
                return false;
            out->has_tail = true;
        }
    }
    return rc == 1;
}

static bool same_line(const struct facts *a, const struct facts *b)
{
    return a->sysid == b->sysid && a->segsize == b->segsize && a->magic == b->magic &&
           a->tli <= b->tli && a->last_tli <= b->first_tli;
}

/* Adds the piece at the start of the segment to the pending record's checksum.  false when the
 * metadata does not fit together. */
static void add_head_crc(struct join *j, const struct facts *f, const struct ends *e)
{
    uint32_t missing = WALRECORD_HEADER - j->header_len; /* header bytes in this piece: 0, 8, 16 */

    if (!j->has_crc || !e->has_head) {
        j->has_crc = false;
        return;
    }
    if (j->got >= WALRECORD_HEADER)
        missing = 0;
    if (missing > f->head_present) {
        j->has_crc = false;
        return;
    }
    j->crc = crc32c_combine(j->crc, e->head.crc[missing / 8], f->head_present - missing);
    if (missing > 0)
        j->mix = e->head.mix[missing / 8];
}

/* Whether the complete record has the checksum that its header says. */
static bool crc_is_right(const struct join *j)
{
    uint32_t before = j->header_len < 20 ? j->header_len : 20;
    uint32_t crc = crc32c_extend(j->crc, j->header, before);

    if (j->header_len == WALRECORD_HEADER)
        return crc == get_u32(j->header + 20);
    return crc32c_combine(crc, j->mix, 20 - before) == 0;
}

static void add_head_raw(struct join *j, const struct facts *f, const struct ends *e)
{
    size_t n = e->head_raw.left;

    if (j->raw_ends || j->raw_len + n > sizeof j->raw)
        n = 0;
    memcpy(j->raw + j->raw_len, e->head_raw.p, n);
    j->raw_len += (uint32_t)n;
    if (n < f->head_present)
        j->raw_ends = true;
}

static enum join_result step_pending(struct join *j, const struct facts *f, const struct ends *e)
{
    if ((f->flags & FACTS_OVERWRITE) != 0) {
        j->pending = false;
        return JOIN_OK;
    }
    if (f->head_rem != j->tot - j->got) {
        j->pending = false;
        return JOIN_LENGTH;
    }
    add_head_crc(j, f, e);
    if (e->head_raw.left > 0)
        add_head_raw(j, f, e);
    else
        j->raw_ends = true;
    j->got += f->head_present;
    if (j->got < j->tot) {
        if ((f->flags & FACTS_HEAD_DROPPED) != 0)
            j->pending = false;
        return JOIN_OK;
    }
    j->pending = false;
    j->last_rec = j->lsn;
    j->proved = j->has_crc;
    if (j->has_crc && !crc_is_right(j))
        return JOIN_CRC;
    j->record_lsn = j->lsn;
    j->record_tot = j->tot;
    j->record_len = j->raw_len;
    memcpy(j->record, j->raw, j->raw_len);
    return JOIN_OK;
}

static enum join_result compare(struct join *j, const struct facts *f, const struct ends *e)
{
    enum join_result r = JOIN_OK;

    if (!j->started)
        return JOIN_FIRST;
    if (j->last.start + j->last.segsize != f->start)
        return JOIN_GAP;
    if (!same_line(&j->last, f))
        return JOIN_FOREIGN;
    if ((j->last.flags & FACTS_OPEN_END) != 0)
        return JOIN_UNPROVEN;
    if (j->pending)
        r = step_pending(j, f, e);
    else if (f->head_rem > 0 && j->last_rec != 0)
        r = JOIN_LENGTH;
    if (r != JOIN_OK)
        return r;
    if (f->first_rec != 0 && f->first_prev != 0 && j->last_rec != 0 && f->first_prev != j->last_rec)
        return JOIN_PREV;
    return JOIN_OK;
}

/* What this segment leaves for the next one. */
static void carry(struct join *j, const struct facts *f, const struct ends *e)
{
    if (f->last_rec != 0)
        j->last_rec = f->last_rec;
    if (f->tail == 0)
        return;
    j->pending = true;
    j->lsn = f->tail;
    j->tot = f->tail_len;
    j->got = f->tail_present;
    j->has_crc = e->has_tail;
    j->crc = e->tail.crc;
    j->mix = 0;
    j->header_len = e->tail.header_len;
    memcpy(j->header, e->tail.header, sizeof j->header);
    j->raw_len = (uint32_t)e->tail_raw.left;
    if (j->raw_len > 0)
        memcpy(j->raw, e->tail_raw.p, j->raw_len);
    j->raw_ends = j->raw_len < f->tail_present;
}

enum join_result join_step(struct join *j, const struct wal_summary *s)
{
    const struct facts *f = &s->facts;
    struct ends e;
    enum join_result r;

    memset(&e, 0, sizeof e);
    j->proved = false;
    j->record_lsn = 0;
    if (!read_meta(s, &e) || !read_data(s, &e)) {
        join_init(j);
        return JOIN_GARBLED;
    }
    r = compare(j, f, &e);
    if (r != JOIN_OK) {
        /* One break is told once: go on as if nothing were known of what came before. */
        bool damaged = f->damages > 0 || j->last.damages > 0;

        if (r != JOIN_FIRST && r != JOIN_GAP && r != JOIN_FOREIGN && damaged)
            r = JOIN_UNPROVEN;
        j->pending = false;
        j->last_rec = 0;
    }
    carry(j, f, &e);
    j->last = *f;
    j->started = true;
    return r;
}

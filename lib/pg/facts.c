#include "pg/facts.h"

#include <string.h>

#include "pg/tlv.h"
#include "pg/walrecord.h"

/* Tags of the public part; lib/FORMAT.md lists them. */
enum {
    TAG_SEGMENT = 0x01,
    TAG_CHAIN = 0x02,
    TAG_COUNTS = 0x03,
    TAG_TIMES = 0x04,
    TAG_CHECKPOINTS = 0x05,
    TAG_SWITCHES = 0x06,
    TAG_LEVELS = 0x07,
    TAG_HEAD = 0x08,
    TAG_TAIL = 0x09,
    TAG_DAMAGE = 0x0A,
    TAG_NAMED = 0x0B
};

void facts_time(struct facts_times *t, int64_t time, bool any)
{
    if (!any)
        *t = (struct facts_times){time, time, time, time};
    t->last = time;
    if (time < t->least)
        t->least = time;
    if (time > t->greatest)
        t->greatest = time;
}

const char *facts_damage_text(uint32_t reason)
{
    static const char *const text[] = {
        [FACTS_BAD_CRC] = "a record's checksum is wrong",
        [FACTS_BAD_PREV] = "a record does not follow the one before it",
        [FACTS_BAD_PAGE] = "a page header is wrong",
        [FACTS_BAD_LENGTH] = "a record's length is impossible",
        [FACTS_BAD_CONTRECORD] = "a record that crosses a page is not continued",
        [FACTS_AFTER_SWITCH] = "the rest behind a segment switch is not empty",
        [FACTS_ENDS_EARLY] = "the records end before the segment does",
        [FACTS_BAD_RECORD] = "a record contradicts itself",
    };

    if (reason >= sizeof text / sizeof text[0] || text[reason] == NULL)
        return "damage of a kind this version does not know";
    return text[reason];
}

/* LSNs in the segment: 0 for none, else 1 + distance from its start. */
static void put_lsn(struct tlv_out *o, const struct facts *f, lsn_t lsn)
{
    tlv_varint(o, lsn == 0 ? 0 : lsn - f->start + 1);
}

static void put_times(struct tlv_out *o, const struct facts_times *t, int64_t base)
{
    tlv_signed(o, t->first - base);
    tlv_signed(o, t->last - base);
    tlv_signed(o, t->least - base);
    tlv_signed(o, t->greatest - base);
}

static void put_xacts(struct tlv_out *o, const struct facts *f)
{
    if (f->commits + f->aborts + f->prepares > 0) {
        tlv_begin(o, TAG_COUNTS);
        tlv_varint(o, f->commits);
        tlv_varint(o, f->aborts);
        tlv_varint(o, f->prepares);
        (void)tlv_end(o); /* the sum of all items is below FACTS_BYTES_MAX */
    }
    if (f->commits + f->aborts > 0) {
        tlv_begin(o, TAG_TIMES);
        tlv_u64(o, (uint64_t)f->xact_times.first);
        put_times(o, &f->xact_times, f->xact_times.first);
        if (f->commits > 0) {
            put_times(o, &f->commit_times, f->xact_times.first);
            put_lsn(o, f, f->first_commit);
            put_lsn(o, f, f->last_commit);
        }
        (void)tlv_end(o); /* see above */
    }
}

static void put_changes(struct tlv_out *o, const struct facts *f)
{
    if (f->switches > 0) {
        tlv_begin(o, TAG_SWITCHES);
        tlv_varint(o, f->switches);
        for (uint32_t i = 0; i < f->switches && i < FACTS_CHANGES_MAX; i++) {
            put_lsn(o, f, f->tli_switch[i].lsn);
            tlv_varint(o, f->tli_switch[i].from);
            tlv_varint(o, f->tli_switch[i].to);
        }
        (void)tlv_end(o); /* see above */
    }
    if (f->levels > 0) {
        tlv_begin(o, TAG_LEVELS);
        tlv_varint(o, f->levels);
        for (uint32_t i = 0; i < f->levels && i < FACTS_CHANGES_MAX; i++) {
            put_lsn(o, f, f->wal_level[i].lsn);
            tlv_varint(o, f->wal_level[i].level);
        }
        (void)tlv_end(o); /* see above */
    }
}

static void put_ends(struct tlv_out *o, const struct facts *f)
{
    if (f->head_rem > 0) {
        tlv_begin(o, TAG_HEAD);
        tlv_varint(o, f->head_rem);
        tlv_varint(o, f->head_present);
        (void)tlv_end(o); /* see above */
    }
    if (f->tail != 0) {
        tlv_begin(o, TAG_TAIL);
        put_lsn(o, f, f->tail);
        tlv_varint(o, f->tail_len);
        tlv_varint(o, f->tail_present);
        (void)tlv_end(o); /* see above */
    }
    if (f->damages > 0) {
        tlv_begin(o, TAG_DAMAGE);
        tlv_varint(o, f->damages);
        for (uint32_t i = 0; i < f->damages && i < FACTS_DAMAGE_MAX; i++) {
            put_lsn(o, f, f->damage[i].lsn);
            tlv_varint(o, f->damage[i].reason);
        }
        (void)tlv_end(o); /* see above */
    }
}

size_t facts_encode(const struct facts *f, uint8_t out[FACTS_BYTES_MAX])
{
    struct tlv_out o;

    tlv_init(&o, out, FACTS_BYTES_MAX);
    tlv_begin(&o, TAG_SEGMENT);
    tlv_u8(&o, (uint8_t)(f->magic & 0xff));
    tlv_u8(&o, (uint8_t)(f->magic >> 8));
    tlv_u8(&o, (uint8_t)__builtin_ctz(f->segsize));
    tlv_u8(&o, f->flags);
    tlv_u8(&o, f->lost);
    tlv_u64(&o, f->sysid);
    tlv_varint(&o, f->tli);
    tlv_varint(&o, f->first_tli);
    tlv_varint(&o, f->last_tli);
    tlv_varint(&o, f->start / f->segsize);
    (void)tlv_end(&o); /* see put_xacts */

    tlv_begin(&o, TAG_CHAIN);
    tlv_varint(&o, f->records);
    put_lsn(&o, f, f->first_rec);
    tlv_signed(&o, (int64_t)(f->start - f->first_prev));
    put_lsn(&o, f, f->last_rec);
    put_lsn(&o, f, f->end);
    (void)tlv_end(&o); /* see put_xacts */

    put_xacts(&o, f);
    if (f->checkpoints > 0) {
        tlv_begin(&o, TAG_CHECKPOINTS);
        tlv_varint(&o, f->checkpoints);
        put_lsn(&o, f, f->last_checkpoint);
        tlv_signed(&o, (int64_t)(f->start - f->last_redo));
        (void)tlv_end(&o); /* see put_xacts */
    }
    put_changes(&o, f);
    put_ends(&o, f);
    if (f->points + f->spaces > 0) {
        tlv_begin(&o, TAG_NAMED);
        tlv_varint(&o, f->points);
        tlv_varint(&o, f->spaces);
        (void)tlv_end(&o); /* see put_xacts */
    }
    return o.len;
}

/* An LSN of this segment; its very end is allowed. */
static bool get_lsn(struct cur *c, const struct facts *f, lsn_t *lsn)
{
    uint64_t v;

    if (!cur_varint(c, &v) || v > (uint64_t)f->segsize + 1)
        return false;
    *lsn = v == 0 ? 0 : f->start + v - 1;
    return true;
}

static bool get_back(struct cur *c, const struct facts *f, lsn_t *lsn)
{
    int64_t back;

    if (!tlv_get_signed(c, &back))
        return false;
    *lsn = f->start - (uint64_t)back;
    return true;
}

static bool get_times(struct cur *c, struct facts_times *t, int64_t base)
{
    int64_t v[4];

    for (int i = 0; i < 4; i++)
        if (!tlv_get_signed(c, &v[i]) || __builtin_add_overflow(base, v[i], &v[i]))
            return false;
    *t = (struct facts_times){v[0], v[1], v[2], v[3]};
    return true;
}

static bool get_segment(struct cur *c, struct facts *f)
{
    uint8_t log2;
    uint64_t segno;

    if (!cur_u16(c, &f->magic) || !cur_u8(c, &log2) || !cur_u8(c, &f->flags) ||
        !cur_u8(c, &f->lost) || !cur_u64(c, &f->sysid) || !tlv_get_u32(c, &f->tli) ||
        !tlv_get_u32(c, &f->first_tli) || !tlv_get_u32(c, &f->last_tli) || !cur_varint(c, &segno))
        return false;
    if (log2 < 20 || log2 > 30 || segno >= UINT64_MAX >> log2 || f->tli == 0)
        return false;
    f->segsize = UINT32_C(1) << log2;
    f->start = segno << log2;
    return true;
}

static bool get_xacts(struct cur *c, struct facts *f)
{
    uint64_t base;

    if (!cur_u64(c, &base) || !get_times(c, &f->xact_times, (int64_t)base))
        return false;
    if (c->left == 0)
        return f->commits == 0;
    return get_times(c, &f->commit_times, (int64_t)base) && get_lsn(c, f, &f->first_commit) &&
           get_lsn(c, f, &f->last_commit);
}

static bool get_switches(struct cur *c, struct facts *f)
{
    if (!tlv_get_u32(c, &f->switches))
        return false;
    for (uint32_t i = 0; i < f->switches && i < FACTS_CHANGES_MAX; i++)
        if (!get_lsn(c, f, &f->tli_switch[i].lsn) || !tlv_get_u32(c, &f->tli_switch[i].from) ||
            !tlv_get_u32(c, &f->tli_switch[i].to))
            return false;
    return true;
}

static bool get_levels(struct cur *c, struct facts *f)
{
    if (!tlv_get_u32(c, &f->levels))
        return false;
    for (uint32_t i = 0; i < f->levels && i < FACTS_CHANGES_MAX; i++)
        if (!get_lsn(c, f, &f->wal_level[i].lsn) || !tlv_get_u32(c, &f->wal_level[i].level))
            return false;
    return true;
}

static bool get_damage(struct cur *c, struct facts *f)
{
    if (!cur_varint(c, &f->damages))
        return false;
    for (uint32_t i = 0; i < f->damages && i < FACTS_DAMAGE_MAX; i++)
        if (!get_lsn(c, f, &f->damage[i].lsn) || !tlv_get_u32(c, &f->damage[i].reason))
            return false;
    return true;
}

static bool get_item(uint8_t tag, struct cur *c, struct facts *f)
{
    switch (tag) {
    case TAG_CHAIN:
        return cur_varint(c, &f->records) && get_lsn(c, f, &f->first_rec) &&
               get_back(c, f, &f->first_prev) && get_lsn(c, f, &f->last_rec) &&
               get_lsn(c, f, &f->end);
    case TAG_COUNTS:
        return cur_varint(c, &f->commits) && cur_varint(c, &f->aborts) &&
               cur_varint(c, &f->prepares);
    case TAG_TIMES:
        return get_xacts(c, f);
    case TAG_CHECKPOINTS:
        return cur_varint(c, &f->checkpoints) && get_lsn(c, f, &f->last_checkpoint) &&
               get_back(c, f, &f->last_redo);
    case TAG_SWITCHES:
        return get_switches(c, f);
    case TAG_LEVELS:
        return get_levels(c, f);
    case TAG_HEAD:
        return tlv_get_u32(c, &f->head_rem) && tlv_get_u32(c, &f->head_present) &&
               f->head_present <= f->head_rem && f->head_present <= f->segsize;
    case TAG_TAIL:
        return get_lsn(c, f, &f->tail) && tlv_get_u32(c, &f->tail_len) &&
               tlv_get_u32(c, &f->tail_present) && f->tail != 0 &&
               f->tail_len >= WALRECORD_HEADER && f->tail_present < f->tail_len &&
               f->tail_present <= f->segsize;
    case TAG_DAMAGE:
        return get_damage(c, f);
    case TAG_NAMED:
        return cur_varint(c, &f->points) && cur_varint(c, &f->spaces);
    default:
        return true;
    }
}

int facts_decode(const void *p, size_t n, struct facts *out, struct err *e)
{
    struct cur c = cur_of(p, n);
    struct cur item;
    uint32_t seen = 0;
    uint8_t tag;
    int rc;

    memset(out, 0, sizeof *out);
    /* The first item says where the segment is, which the others are relative to. */
    if (n > FACTS_BYTES_MAX || tlv_next(&c, &tag, &item) != 0 || tag != TAG_SEGMENT ||
        !get_segment(&item, out))
        return err_set(e, ERR_DAMAGED, "the segment summary does not say which segment it is of");
    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (tag < 32 && (seen & UINT32_C(1) << tag) != 0)
            return err_set(e, ERR_DAMAGED, "item %u of the segment summary is there twice", tag);
        if (tag < 32)
            seen |= UINT32_C(1) << tag;
        if (tag == TAG_SEGMENT || !get_item(tag, &item, out))
            return err_set(e, ERR_DAMAGED, "item %u of the segment summary makes no sense", tag);
    }
    if (rc < 0)
        return err_set(e, ERR_DAMAGED, "the segment summary is cut off");
    return 0;
}

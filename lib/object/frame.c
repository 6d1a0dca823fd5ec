#include "object/frame.h"

#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crc32c.h"

static const uint32_t MAGIC_HEAD = 0x184D2A57U;
static const uint32_t MAGIC_KEYS = 0x184D2A58U;
static const uint32_t MAGIC_TAIL = 0x184D2A59U;

enum { VERSION = 1, FLAG_SEALED = 1, FLAG_METADATA_BODY = 2, TAIL_DAMAGED = 1, SKIPPABLE = 8 };

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "object is damaged: %s", what);
}

/* Appends the checksum of out[8..len) and fills in the skippable frame's head. */
static size_t close_frame(uint8_t *out, size_t len, uint32_t magic)
{
    put_u32(out + len, crc32c_extend(0, out + SKIPPABLE, len - SKIPPABLE));
    len += 4;
    put_u32(out, magic);
    put_u32(out + 4, (uint32_t)(len - SKIPPABLE));
    return len;
}

/* Finds a frame with a closing checksum at the start of c; *frame_len is its whole length. */
static int open_frame(struct cur *c, uint32_t magic, size_t limit, const char *what,
                      size_t *frame_len, struct err *e)
{
    uint32_t found;
    uint32_t payload;
    struct cur whole = *c;

    if (!cur_u32(c, &found) || !cur_u32(c, &payload) || found != magic)
        return err_set(e, ERR_DAMAGED, "object is damaged: no %s where it must be", what);
    if (payload < 4 || payload > limit - SKIPPABLE || payload > c->left)
        return err_set(e, ERR_DAMAGED, "object is damaged: impossible length of its %s", what);
    *frame_len = SKIPPABLE + (size_t)payload;
    c->left = payload - 4;
    if (crc32c_extend(0, c->p, c->left) != get_u32(whole.p + *frame_len - 4))
        return err_set(e, ERR_DAMAGED, "object is damaged: checksum of its %s does not match",
                       what);
    return 0;
}

size_t frame_head_encode(const struct frame_head *h, uint8_t out[FRAME_HEAD_MAX])
{
    uint8_t *p = out + SKIPPABLE;
    size_t n = strlen(h->name);
    size_t k = strlen(h->place);
    uint8_t *s = p + 56 + n + k;

    memcpy(p, "WALDENo1", 8);
    put_u16(p + 8, VERSION);
    p[10] = (uint8_t)h->kind;
    p[11] = (uint8_t)((h->sealed ? FLAG_SEALED : 0) | (h->metadata_body ? FLAG_METADATA_BODY : 0));
    p[12] = h->codec;
    p[13] = (uint8_t)n;
    p[14] = (uint8_t)k;
    p[15] = 0;
    put_u64(p + 16, h->system_id);
    put_u32(p + 24, h->timeline);
    put_u32(p + 28, h->segment_size);
    put_u64(p + 32, h->lsn);
    memcpy(p + 40, h->repo_id, 16);
    memcpy(p + 56, h->name, n);
    memcpy(p + 56 + n, h->place, k);
    if (h->sealed) {
        memcpy(s, h->signer, 16);
        memcpy(s + 16, h->write_id, 8);
        memcpy(s + 24, h->commitment, 32);
        memcpy(s + 56, h->wrapped, 48);
        memcpy(s + 104, h->stream, 24);
        s += FRAME_SEALED_PART;
    }
    return close_frame(out, (size_t)(s - out), MAGIC_HEAD);
}

static bool decode_sealed_part(struct frame_head *h, struct cur *c)
{
    return cur_copy(c, h->signer, 16) && cur_copy(c, h->write_id, 8) &&
           cur_copy(c, h->commitment, 32) && cur_copy(c, h->wrapped, 48) &&
           cur_copy(c, h->stream, 24);
}

/* The bytes behind magic and version, as they are. */
static bool decode_fields(struct frame_head *h, struct cur *c, uint8_t *flags)
{
    uint8_t kind;
    uint8_t name_len;
    uint8_t place_len;
    uint8_t zero;

    if (!cur_u8(c, &kind) || !cur_u8(c, flags) || !cur_u8(c, &h->codec) || !cur_u8(c, &name_len) ||
        !cur_u8(c, &place_len) || !cur_u8(c, &zero) || !cur_u64(c, &h->system_id) ||
        !cur_u32(c, &h->timeline) || !cur_u32(c, &h->segment_size) || !cur_u64(c, &h->lsn) ||
        !cur_copy(c, h->repo_id, 16) || name_len > FRAME_NAME_MAX ||
        !cur_copy(c, h->name, name_len) || zero != 0 || place_len > FRAME_PLACE_MAX ||
        !cur_copy(c, h->place, place_len))
        return false;
    h->kind = (enum object_kind)kind;
    return name_len > 0 && strlen(h->name) == name_len && place_len > 0 &&
           strlen(h->place) == place_len;
}

static bool is_known(const struct frame_head *h, uint8_t flags)
{
    return h->kind >= KIND_SEGMENT && h->kind <= KIND_LAST &&
           (flags & ~(FLAG_SEALED | FLAG_METADATA_BODY)) == 0 &&
           (h->codec == CODEC_LZ4 || h->codec == CODEC_PACK);
}

int frame_head_decode(struct frame_head *h, const uint8_t *bytes, size_t len, size_t *frame_len,
                      struct err *e)
{
    struct cur c = cur_of(bytes, len);
    const uint8_t *magic;
    uint16_t version;
    uint8_t flags;

    memset(h, 0, sizeof *h);
    if (open_frame(&c, MAGIC_HEAD, FRAME_HEAD_MAX, "header", frame_len, e) != 0)
        return -1;
    if (!cur_bytes(&c, 8, &magic) || memcmp(magic, "WALDENo1", 8) != 0 || !cur_u16(&c, &version))
        return damaged(e, "not a Walden object");
    if (version != VERSION) {
        (void)err_set(e, ERR_REFUSED, "object has format version %u, this program reads %d",
                      (unsigned)version, VERSION);
        return err_hint(e, "Use a newer version of Walden.");
    }
    if (!decode_fields(h, &c, &flags))
        return damaged(e, "header is incomplete");
    if (!is_known(h, flags))
        return damaged(e, "header has an unknown kind, flag or codec");
    h->sealed = (flags & FLAG_SEALED) != 0;
    h->metadata_body = (flags & FLAG_METADATA_BODY) != 0;
    if ((h->sealed && !decode_sealed_part(h, &c)) || c.left != 0)
        return damaged(e, "header has the wrong length");
    return 0;
}

size_t frame_keys_encode(const struct frame_keys *k, uint8_t out[FRAME_KEYS_MAX])
{
    uint8_t *p = out + SKIPPABLE;

    put_u16(p, (uint16_t)k->count);
    put_u16(p + 2, 0);
    p += 4;
    for (unsigned i = 0; i < k->count; i++, p += KEY_ID + FRAME_BOX) {
        memcpy(p, k->recipient[i], KEY_ID);
        memcpy(p + KEY_ID, k->box[i], FRAME_BOX);
    }
    return close_frame(out, (size_t)(p - out), MAGIC_KEYS);
}

int frame_keys_decode(struct frame_keys *k, const uint8_t *bytes, size_t len, size_t *frame_len,
                      struct err *e)
{
    struct cur c = cur_of(bytes, len);
    uint16_t count, zero;

    memset(k, 0, sizeof *k);
    if (open_frame(&c, MAGIC_KEYS, FRAME_KEYS_MAX, "key boxes", frame_len, e) != 0)
        return -1;
    if (!cur_u16(&c, &count) || !cur_u16(&c, &zero) || count < 1 || count > FRAME_BOXES_MAX ||
        zero != 0 || c.left != (size_t)count * (KEY_ID + FRAME_BOX))
        return damaged(e, "impossible number of key boxes");
    k->count = count;
    for (unsigned i = 0; i < k->count; i++)
        if (!cur_copy(&c, k->recipient[i], KEY_ID) || !cur_copy(&c, k->box[i], FRAME_BOX))
            return damaged(e, "key boxes are incomplete");
    return 0;
}

size_t frame_tail_size(const struct frame_tail *t, bool sealed)
{
    return (size_t)SKIPPABLE + FRAME_TAIL_FIXED + t->public_len + t->metadata_len + t->data_len +
           (sealed ? FRAME_SIGNATURE : 0) + FRAME_TAIL_END;
}

static uint8_t *put_part(uint8_t *p, const uint8_t *part, uint32_t len)
{
    if (len > 0)
        memcpy(p, part, len);
    return p + len;
}

size_t frame_tail_begin(const struct frame_tail *t, bool sealed, uint8_t *out)
{
    uint8_t *p = out + SKIPPABLE;

    put_u32(out, MAGIC_TAIL);
    put_u32(out + 4, (uint32_t)(frame_tail_size(t, sealed) - SKIPPABLE));
    memcpy(p, "WALDENt1", 8);
    put_u64(p + 8, t->plain_size);
    put_u64(p + 16, t->kept_size);
    put_u64(p + 24, t->body_size);
    memcpy(p + 32, t->body_digest, 32);
    memcpy(p + 64, t->plain_digest, 16);
    put_u32(p + 80, t->public_len);
    put_u32(p + 84, t->metadata_len);
    put_u32(p + 88, t->data_len);
    put_u16(p + 92, sealed ? FRAME_SIGNATURE : 0);
    p[94] = t->damaged ? TAIL_DAMAGED : 0;
    p[95] = 0;
    p = put_part(p + FRAME_TAIL_FIXED, t->public_part, t->public_len);
    p = put_part(p, t->metadata_part, t->metadata_len);
    p = put_part(p, t->data_part, t->data_len);
    return (size_t)(p - out);
}

size_t frame_tail_end(uint8_t *out, size_t begun, const uint8_t *signature)
{
    uint8_t *p = out + begun;

    if (signature != NULL)
        p = put_part(p, signature, FRAME_SIGNATURE);
    put_u32(p, (uint32_t)(p + FRAME_TAIL_END - out));
    put_u32(p + 4, crc32c_extend(0, out + SKIPPABLE, (size_t)(p + 4 - out) - SKIPPABLE));
    memcpy(p + 8, "waldenE1", 8);
    return (size_t)(p + FRAME_TAIL_END - out);
}

int frame_tail_length(const uint8_t *end, size_t len, size_t limit, size_t *frame_len,
                      struct err *e)
{
    const uint8_t *p = end + len - FRAME_TAIL_END;

    if (len < FRAME_TAIL_END || memcmp(p + 8, "waldenE1", 8) != 0)
        return damaged(e, "its end is missing or overwritten");
    *frame_len = get_u32(p);
    if (*frame_len < (size_t)SKIPPABLE + FRAME_TAIL_FIXED + FRAME_TAIL_END || *frame_len > limit)
        return damaged(e, "impossible length of its trailer");
    return 0;
}

int frame_tail_decode(struct frame_tail *t, bool sealed, const uint8_t *bytes, size_t len,
                      size_t *signed_len, struct err *e)
{
    const uint8_t *p = bytes + SKIPPABLE;
    const uint8_t *last;
    uint16_t signature_len;
    size_t parts;

    memset(t, 0, sizeof *t);
    if (len < (size_t)SKIPPABLE + FRAME_TAIL_FIXED + FRAME_TAIL_END ||
        get_u32(bytes) != MAGIC_TAIL || get_u32(bytes + 4) != len - SKIPPABLE)
        return damaged(e, "no trailer where it must be");
    last = bytes + len - FRAME_TAIL_END;
    if (get_u32(last) != len || memcmp(last + 8, "waldenE1", 8) != 0 ||
        crc32c_extend(0, p, len - SKIPPABLE - 12) != get_u32(last + 4))
        return damaged(e, "checksum of its trailer does not match");
    if (memcmp(p, "WALDENt1", 8) != 0)
        return damaged(e, "trailer has an unknown form");
    t->plain_size = get_u64(p + 8);
    t->kept_size = get_u64(p + 16);
    t->body_size = get_u64(p + 24);
    memcpy(t->body_digest, p + 32, 32);
    memcpy(t->plain_digest, p + 64, 16);
    t->public_len = get_u32(p + 80);
    t->metadata_len = get_u32(p + 84);
    t->data_len = get_u32(p + 88);
    signature_len = get_u16(p + 92);
    t->damaged = (p[94] & TAIL_DAMAGED) != 0;
    if ((p[94] & ~TAIL_DAMAGED) != 0 || p[95] != 0 || t->kept_size > t->plain_size ||
        signature_len != (sealed ? FRAME_SIGNATURE : 0))
        return damaged(e, "trailer has an unknown flag or impossible sizes");
    parts = (size_t)(last - (p + FRAME_TAIL_FIXED));
    if (t->public_len > parts || t->metadata_len > parts || t->data_len > parts ||
        (uint64_t)t->public_len + t->metadata_len + t->data_len + signature_len != parts)
        return damaged(e, "trailer has impossible lengths");
    t->public_part = p + FRAME_TAIL_FIXED;
    t->metadata_part = t->public_part + t->public_len;
    t->data_part = t->metadata_part + t->metadata_len;
    t->signature = sealed ? t->data_part + t->data_len : NULL;
    *signed_len = (size_t)(t->data_part + t->data_len - bytes);
    return 0;
}

size_t frame_tail_limit(enum object_kind kind)
{
    return kind == KIND_MANIFEST || kind == KIND_PACK || kind == KIND_DUMP ? FRAME_TAIL_LARGE
                                                                           : FRAME_TAIL_SMALL;
}

const char *frame_kind_name(enum object_kind kind)
{
    static const char *const names[] = {
        [KIND_SEGMENT] = "WAL segment",
        [KIND_PARTIAL] = "partial WAL segment",
        [KIND_HISTORY] = "timeline history",
        [KIND_BACKUP_HISTORY] = "backup history",
        [KIND_MANIFEST] = "backup manifest",
        [KIND_PACK] = "pack",
        [KIND_DUMP] = "dump",
        [KIND_DRILL] = "drill record",
        [KIND_EXPIRE] = "expire record",
        [KIND_CONDEMNED] = "condemned list",
        [KIND_INTENT] = "intent",
        [KIND_LEASE] = "lease",
        [KIND_SEALED_FROM] = "sealed-from record",
        [KIND_VERIFIED] = "verification record",
        [KIND_PIN] = "pin",
    };

    return kind >= KIND_SEGMENT && kind <= KIND_LAST ? names[kind] : "object of an unknown kind";
}

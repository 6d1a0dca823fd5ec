#include "pg/walrecord.h"

#include "base/buf.h"
#include "base/bytes.h"

enum {
    ID_BLOCK_MAX = 32,
    ID_TOP_XID = 252,
    ID_ORIGIN = 253,
    ID_MAIN_LONG = 254,
    ID_MAIN_SHORT = 255,
    FORK_HAS_IMAGE = 0x10,
    FORK_SAME_REL = 0x80,
    IMAGE_HAS_HOLE = 0x01
};

void walrecord_header(const uint8_t *p, lsn_t lsn, struct walrecord *out)
{
    *out = (struct walrecord){
        .lsn = lsn,
        .tot_len = get_u32(p),
        .xid = get_u32(p + 4),
        .prev = get_u64(p + 8),
        .info = p[16],
        .rmid = p[17],
        .crc = get_u32(p + 20),
    };
}

/* One block reference behind its id; adds its payload to *payload. */
static bool block_ref(const struct version *v, struct cur *c, uint64_t *payload,
                      struct relnode *rel, bool *has_rel)
{
    uint8_t fork;
    uint16_t data_len;
    const uint8_t *p;

    if (!cur_u8(c, &fork) || !cur_u16(c, &data_len))
        return false;
    *payload += data_len;
    if ((fork & FORK_HAS_IMAGE) != 0) {
        if (!cur_bytes(c, 5, &p))
            return false;
        *payload += get_u16(p);
        if ((p[4] & v->image_compressed) != 0 && (p[4] & IMAGE_HAS_HOLE) != 0 &&
            !cur_bytes(c, 2, &p))
            return false;
    }
    *has_rel = (fork & FORK_SAME_REL) == 0;
    if (*has_rel) {
        if (!cur_bytes(c, 12, &p))
            return false;
        *rel = (struct relnode){get_u32(p), get_u32(p + 4), get_u32(p + 8)};
    }
    return cur_bytes(c, 4, &p);
}

/* One fragment header, its id taken already.  False when it is cut off or its id is not known. */
static bool fragment(const struct version *v, uint8_t id, struct cur *c, uint64_t *payload,
                     struct walrecord *r)
{
    struct relnode rel;
    bool has_rel;
    const uint8_t *p;
    uint8_t len8;

    switch (id) {
    case ID_TOP_XID:
        return cur_u32(c, &r->top_xid);
    case ID_ORIGIN:
        return cur_bytes(c, 2, &p);
    case ID_MAIN_SHORT:
        if (!cur_u8(c, &len8))
            return false;
        r->main_len = len8;
        return true;
    case ID_MAIN_LONG:
        return cur_u32(c, &r->main_len);
    default:
        if (id > ID_BLOCK_MAX || !block_ref(v, c, payload, &rel, &has_rel))
            return false;
        if (id == 0 && has_rel) {
            r->rel = rel;
            r->has_block = true;
        }
        return true;
    }
}

int walrecord_parse(const struct version *v, const uint8_t *p, size_t avail, lsn_t lsn,
                    struct walrecord *out)
{
    struct cur c = cur_of(p + WALRECORD_HEADER, avail - WALRECORD_HEADER);
    uint64_t payload = 0;
    size_t cut;

    walrecord_header(p, lsn, out);
    if (avail > out->tot_len)
        return 1;
    cut = out->tot_len - avail;

    /* The headers end where exactly the announced payload is left, or with the main data's. */
    while (c.left + cut > payload) {
        uint8_t id;

        if (!cur_u8(&c, &id) || !fragment(v, id, &c, &payload, out))
            return 1;
        if (id == ID_MAIN_SHORT || id == ID_MAIN_LONG)
            break;
    }
    if (payload + out->main_len != c.left + cut)
        return 1;
    if (payload <= c.left) {
        out->main = c.p + payload;
        out->main_avail = (uint32_t)(c.left - payload);
    }
    return 0;
}

bool walrecord_relation(const struct version *v, const uint8_t *p, size_t avail,
                        struct relnode *out)
{
    size_t at = WALRECORD_HEADER + 4;
    uint8_t fork;

    if (avail < at || p[WALRECORD_HEADER] != 0)
        return false;
    fork = p[WALRECORD_HEADER + 1];
    if ((fork & FORK_HAS_IMAGE) != 0) {
        if (avail < at + 5)
            return false;
        at += (p[at + 4] & v->image_compressed) != 0 && (p[at + 4] & IMAGE_HAS_HOLE) != 0 ? 7 : 5;
    }
    if ((fork & FORK_SAME_REL) != 0 || avail < at + 12)
        return false;
    *out = (struct relnode){get_u32(p + at), get_u32(p + at + 4), get_u32(p + at + 8)};
    return true;
}

#include "repo/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/root.h"
#include "pg/tlv.h"

enum {
    TAG_HEAD = 64,
    TAG_RANGE = 65,
    TAG_TIMES = 66,
    TAG_SIZES = 67,
    TAG_SERVER = 68,
    TAG_IN_USE = 69,
    TAG_TAG = 70,
    TAG_LAST_RECORD = 72,
    ITEM_MAX = 256,
    SEEN_NEEDED = 1 << (TAG_HEAD - 64) | 1 << (TAG_RANGE - 64) | 1 << (TAG_TIMES - 64) |
                  1 << (TAG_SIZES - 64) | 1 << (TAG_SERVER - 64)
};

void manifest_label(char out[MANIFEST_LABEL_MAX], uint32_t timeline, uint64_t lsn,
                    const uint8_t random[3])
{
    (void)snprintf(out, MANIFEST_LABEL_MAX, "%08X-%016llX-%02x%02x%02x", (unsigned)timeline,
                   (unsigned long long)lsn, random[0], random[1], random[2]);
}

bool manifest_path_ok(const char *path, unsigned flags)
{
    if (strlen(path) > PAGES_PATH_MAX)
        return false;
    if ((flags & MANIFEST_OUTSIDE) == 0)
        return strcmp(path, ".") != 0 && os_root_path_ok(path);
    return path[0] == '/' && strcmp(path + 1, ".") != 0 && os_root_path_ok(path + 1);
}

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "backup manifest is damaged: %s", what);
}

static int put_item(struct buf *part, struct tlv_out *o, const uint8_t *bytes, struct err *e)
{
    if (!tlv_end(o))
        return err_set(e, ERR_INTERNAL, "an item of a manifest's public part is too long");
    return buf_add(part, bytes, o->len, e);
}

static void range_item(struct tlv_out *o, const struct manifest_public *p)
{
    tlv_begin(o, TAG_RANGE);
    tlv_u32(o, p->start_timeline);
    tlv_u64(o, p->start_lsn);
    tlv_u64(o, p->checkpoint_lsn);
    tlv_u32(o, p->stop_timeline);
    tlv_u64(o, p->stop_lsn);
}

void manifest_head_put(struct tlv_out *o, const struct manifest_head *h)
{
    tlv_bytes(o, h->writer, sizeof h->writer);
    tlv_u64(o, h->sequence);
    tlv_bytes(o, h->previous, sizeof h->previous);
    tlv_u32(o, h->wal_timeline);
    tlv_u64(o, h->wal_lsn);
}

int manifest_head_write(struct buf *part, const struct manifest_head *h, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_HEAD);
    manifest_head_put(&o, h);
    return put_item(part, &o, bytes, e);
}

int manifest_public_write(struct buf *part, const struct manifest_public *p, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    if (manifest_head_write(part, &p->head, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    range_item(&o, p);
    if (put_item(part, &o, bytes, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_TIMES);
    tlv_u64(&o, (uint64_t)p->start_time);
    tlv_u64(&o, (uint64_t)p->stop_time);
    if (put_item(part, &o, bytes, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_SIZES);
    tlv_varint(&o, p->bytes);
    tlv_varint(&o, p->stored);
    tlv_varint(&o, p->files);
    if (put_item(part, &o, bytes, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_SERVER);
    tlv_u32(&o, p->server_version);
    tlv_u8(&o, p->from_standby);
    tlv_u8(&o, p->data_checksums);
    tlv_u8(&o, p->wal_inside);
    if (put_item(part, &o, bytes, e) != 0)
        return -1;
    if (p->last_record != 0) {
        tlv_init(&o, bytes, sizeof bytes);
        tlv_begin(&o, TAG_LAST_RECORD);
        tlv_u64(&o, p->last_record);
        if (put_item(part, &o, bytes, e) != 0)
            return -1;
    }
    if (p->tag[0] == '\0')
        return 0;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_TAG);
    tlv_bytes(&o, p->tag, strlen(p->tag));
    return put_item(part, &o, bytes, e);
}

static bool get_time(struct cur *c, int64_t *t)
{
    uint64_t v;

    if (!cur_u64(c, &v))
        return false;
    *t = (int64_t)v;
    return true;
}

static bool get_bool(struct cur *c, bool *b)
{
    uint8_t v;

    if (!cur_u8(c, &v) || v > 1)
        return false;
    *b = v != 0;
    return true;
}

static bool get_tag(struct manifest_public *p, struct cur *c)
{
    size_t n = c->left;

    return n <= MANIFEST_TAG_MAX && memchr(c->p, '\0', n) == NULL && cur_copy(c, p->tag, n);
}

bool manifest_head_get(struct cur *c, struct manifest_head *h)
{
    return cur_copy(c, h->writer, sizeof h->writer) && cur_u64(c, &h->sequence) &&
           cur_copy(c, h->previous, sizeof h->previous) && cur_u32(c, &h->wal_timeline) &&
           cur_u64(c, &h->wal_lsn);
}

bool manifest_head_read(struct manifest_head *h, const uint8_t *part, size_t len)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    uint8_t tag;

    while (tlv_next(&c, &tag, &item) == 0)
        if (tag == TAG_HEAD)
            return manifest_head_get(&item, h) && item.left == 0;
    return false;
}

static bool read_item(struct manifest_public *p, uint8_t tag, struct cur *c)
{
    switch (tag) {
    case TAG_HEAD:
        return manifest_head_get(c, &p->head);
    case TAG_RANGE:
        return cur_u32(c, &p->start_timeline) && cur_u64(c, &p->start_lsn) &&
               cur_u64(c, &p->checkpoint_lsn) && cur_u32(c, &p->stop_timeline) &&
               cur_u64(c, &p->stop_lsn);
    case TAG_TIMES:
        return get_time(c, &p->start_time) && get_time(c, &p->stop_time);
    case TAG_SIZES:
        return cur_varint(c, &p->bytes) && cur_varint(c, &p->stored) && cur_varint(c, &p->files);
    case TAG_SERVER:
        return cur_u32(c, &p->server_version) && get_bool(c, &p->from_standby) &&
               get_bool(c, &p->data_checksums) && get_bool(c, &p->wal_inside);
    case TAG_TAG:
        return get_tag(p, c);
    case TAG_LAST_RECORD:
        return cur_u64(c, &p->last_record);
    default:
        c->left = 0; /* not for us */
        return true;
    }
}

int manifest_public_read(struct manifest_public *p, const uint8_t *part, size_t len, struct err *e)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    unsigned seen = 0;
    uint8_t tag;
    int rc;

    memset(p, 0, sizeof *p);
    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (!read_item(p, tag, &item) || item.left != 0)
            return damaged(e, "impossible item in its public part");
        if (tag >= TAG_HEAD && tag <= TAG_TAG)
            seen |= 1U << (tag - TAG_HEAD);
    }
    if (rc < 0)
        return damaged(e, "its public part is no list of items");
    if ((seen & SEEN_NEEDED) != SEEN_NEEDED)
        return damaged(e, "its public part is incomplete");
    return 0;
}

int manifest_in_use_next(struct cur *part, struct manifest_in_use *u, struct err *e)
{
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(part, &tag, &item)) == 0) {
        if (tag != TAG_IN_USE)
            continue;
        if (!cur_copy(&item, u->pack, PACK_ID))
            return damaged(e, "impossible list of pages in use");
        u->ranges = item;
        return 0;
    }
    return rc > 0 ? 1 : damaged(e, "its public part is no list of items");
}

int manifest_bits_set(struct manifest_bits *b, uint32_t page, uint32_t count, struct err *e)
{
    uint32_t end = page + count;

    if (page > PACK_PAGES_MAX || count > PACK_PAGES_MAX || end > PACK_PAGES_MAX)
        return err_set(e, ERR_DAMAGED, "page %u is beyond what a pack may hold", (unsigned)page);
    if (end > b->pages) {
        uint32_t room = (end + 8191) / 8192 * 8192;
        uint8_t *grown = realloc(b->bits, room / 8);

        if (grown == NULL)
            return err_set(e, ERR_NOMEM, "no memory for a list of %u pages", (unsigned)room);
        memset(grown + b->pages / 8, 0, (room - b->pages) / 8);
        b->bits = grown;
        b->pages = room;
    }
    for (; page < end && (page % 8 != 0 || end - page < 8); page++)
        b->bits[page / 8] |= (uint8_t)(1U << page % 8);
    for (; end - page >= 8; page += 8)
        b->bits[page / 8] = 0xff;
    for (; page < end; page++)
        b->bits[page / 8] |= (uint8_t)(1U << page % 8);
    return 0;
}

static bool bit(const struct manifest_bits *b, uint32_t page)
{
    return (b->bits[page / 8] >> page % 8 & 1) != 0;
}

bool manifest_bits_any(const struct manifest_bits *b, uint32_t page, uint32_t count)
{
    for (uint32_t end = page + count; page < end && page < b->pages; page++)
        if (bit(b, page))
            return true;
    return false;
}

void manifest_bits_fini(struct manifest_bits *b)
{
    free(b->bits);
    b->bits = NULL;
    b->pages = 0;
}

/* The first page from `page` on whose bit is `set`, or b->pages. */
static uint32_t seek(const struct manifest_bits *b, uint32_t page, bool set)
{
    while (page < b->pages && bit(b, page) != set) {
        if (page % 8 == 0 && b->bits[page / 8] == (set ? 0x00 : 0xff))
            page += 8;
        else
            page++;
    }
    return page;
}

int manifest_bits_write(struct buf *part, const uint8_t pack[PACK_ID],
                        const struct manifest_bits *b, uint32_t min_gap, struct err *e)
{
    uint32_t first = seek(b, 0, true);
    uint32_t pos = 0;
    struct buf item;
    int rc = -1;

    if (first == b->pages)
        return 0;
    buf_init(&item, MANIFEST_PUBLIC_MAX);
    if (buf_add(&item, pack, PACK_ID, e) != 0)
        goto out;
    while (first < b->pages) {
        uint32_t end = seek(b, first, false);
        uint32_t next = seek(b, end, true);

        while (next < b->pages && next - end < min_gap) {
            end = seek(b, next, false);
            next = seek(b, end, true);
        }
        if (buf_varint(&item, first - pos, e) != 0 || buf_varint(&item, end - first, e) != 0)
            goto out;
        pos = end;
        first = next;
    }
    rc = pack_item(part, TAG_IN_USE, &item, e);
out:
    buf_fini(&item);
    return rc;
}

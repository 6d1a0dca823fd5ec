#include "repo/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/tlv.h"

enum { TAG_ENTRIES = 80, TAG_SOURCE = 81, TAG_GENERATION = 82, TAG_PAGES = 84, TAG_ORIGIN = 85 };

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "pack is damaged: %s", what);
}

void pack_name(char out[PACK_NAME_MAX], const uint8_t id[PACK_ID], bool compacted)
{
    text_hex(out, id, PACK_ID);
    memcpy(out + 2 * (size_t)PACK_ID, compacted ? ".c" : "", compacted ? 3 : 1);
}

bool pack_name_read(const char *name, uint8_t id[PACK_ID], bool *compacted)
{
    char hex[2 * PACK_ID + 1] = "";
    size_t len = strlen(name);
    struct err quiet = {0};

    if (len != 2 * (size_t)PACK_ID &&
        (len != 2 * (size_t)PACK_ID + 2 || memcmp(name + len - 2, ".c", 2) != 0))
        return false;
    memcpy(hex, name, 2 * (size_t)PACK_ID);
    *compacted = len > 2 * (size_t)PACK_ID;
    return strspn(hex, "0123456789abcdef") == 2 * (size_t)PACK_ID &&
           parse_bytes(hex, id, PACK_ID, &quiet) == 0;
}

int pack_table_add(struct buf *item, const struct pack_row *row, struct err *e)
{
    if (buf_varint(item, row->len, e) != 0 || buf_varint(item, row->plain_len, e) != 0 ||
        buf_u8(item, row->codec, e) != 0)
        return -1;
    return buf_u32(item, row->crc, e);
}

int pack_item(struct buf *part, uint8_t tag, const struct buf *payload, struct err *e)
{
    if (buf_u8(part, tag, e) != 0 || buf_varint(part, payload->len, e) != 0)
        return -1;
    return buf_add(part, payload->p, payload->len, e);
}

/* The first item with that tag. */
static int find_item(const uint8_t *part, size_t len, uint8_t want, struct cur *item)
{
    struct cur c = cur_of(part, len);
    uint8_t tag;
    int rc;

    do
        rc = tlv_next(&c, &tag, item);
    while (rc == 0 && tag != want);
    return rc;
}

static bool row_fits(const struct pack_row *r, uint64_t stored, uint64_t plain, bool sealed)
{
    uint64_t extra = sealed ? SECRET_PART_EXTRA : 0;

    if (plain < 1 || plain > PAGES_ENTRY_BYTES || stored <= extra || stored > plain + extra)
        return false;
    return r->codec == PACK_AS_IS ? stored == plain + extra
                                  : r->codec == PACK_LZ4 && stored < plain + extra;
}

static int read_rows(struct pack_table *t, struct cur *item, bool sealed, struct err *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct pack_row *r = &t->row[i];
        uint64_t stored;
        uint64_t plain;

        if (!cur_varint(item, &stored) || !cur_varint(item, &plain) || !cur_u8(item, &r->codec) ||
            !cur_u32(item, &r->crc) || !row_fits(r, stored, plain, sealed))
            return damaged(e, "impossible entry in its table");
        r->at = (uint32_t)t->body;
        r->len = (uint32_t)stored;
        r->plain_len = (uint32_t)plain;
        r->page = t->pages;
        t->body += stored;
        t->pages += pack_row_pages(r);
        if (t->body > PACK_BODY_MAX || t->pages > PACK_PAGES_MAX)
            return damaged(e, "its table holds more than a pack may");
    }
    return item->left == 0 ? 0 : damaged(e, "its table is longer than it says");
}

int pack_table_read(struct pack_table *t, const uint8_t *part, size_t len, bool sealed,
                    struct err *e)
{
    struct cur item;
    uint64_t count;

    memset(t, 0, sizeof *t);
    if (find_item(part, len, TAG_ENTRIES, &item) != 0 || !cur_varint(&item, &count) ||
        count > PACK_PAGES_MAX || count > item.left / 7)
        return damaged(e, "no table of its entries");
    t->count = (uint32_t)count;
    t->row = calloc(t->count + 1, sizeof *t->row);
    if (t->row == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a table of %u entries", (unsigned)t->count);
    if (read_rows(t, &item, sealed, e) == 0)
        return 0;
    pack_table_fini(t);
    return -1;
}

void pack_table_fini(struct pack_table *t)
{
    free(t->row);
    memset(t, 0, sizeof *t);
}

uint32_t pack_table_find(const struct pack_table *t, uint32_t page)
{
    uint32_t low = 0;
    uint32_t high = t->count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (t->row[middle].page <= page)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int pack_source_add(struct buf *part, const struct pack_source *s, struct err *e)
{
    struct buf item;
    int rc = -1;

    buf_init(&item, PACK_PART_MAX);
    if (buf_add(&item, s->id, PACK_ID, e) == 0 && buf_varint(&item, s->at, e) == 0 &&
        buf_varint(&item, s->head_len, e) == 0 && buf_varint(&item, s->tail_len, e) == 0 &&
        buf_varint(&item, s->size, e) == 0 && buf_add(&item, s->taken.p, s->taken.left, e) == 0)
        rc = pack_item(part, TAG_SOURCE, &item, e);
    buf_fini(&item);
    return rc;
}

static bool take_source(struct cur *c, struct pack_source *s)
{
    uint64_t head_len;
    uint64_t tail_len;

    if (!cur_copy(c, s->id, PACK_ID) || !cur_varint(c, &s->at) || !cur_varint(c, &head_len) ||
        !cur_varint(c, &tail_len) || !cur_varint(c, &s->size))
        return false;
    if (head_len > FRAME_HEAD_MAX + FRAME_KEYS_MAX || tail_len > FRAME_TAIL_LARGE ||
        s->at > PACK_BODY_MAX || s->size < head_len + tail_len)
        return false;
    s->head_len = (uint32_t)head_len;
    s->tail_len = (uint32_t)tail_len;
    s->taken = *c;
    return true;
}

int pack_source_next(struct cur *part, struct pack_source *s, uint32_t *generation, struct err *e)
{
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(part, &tag, &item)) == 0) {
        if (tag == TAG_GENERATION && !tlv_get_u32(&item, generation))
            return damaged(e, "its generation is no number");
        if (tag != TAG_SOURCE)
            continue;
        return take_source(&item, s) ? 0 : damaged(e, "impossible source");
    }
    return rc > 0 ? 1 : damaged(e, "its public part is no list of items");
}

bool pack_range_next(struct cur *ranges, uint64_t *pos, uint64_t *first, uint64_t *count)
{
    uint64_t gap;

    if (!cur_varint(ranges, &gap) || !cur_varint(ranges, count) || gap > PACK_PAGES_MAX ||
        *count < 1 || *count > PACK_PAGES_MAX || *pos + gap + *count > PACK_PAGES_MAX)
        return false;
    *first = *pos + gap;
    *pos = *first + *count;
    return true;
}

int pack_table_move(struct pack_table *t, const struct pack_source *s, struct err *e)
{
    uint64_t at = s->at + s->head_len + s->tail_len;
    struct cur taken = s->taken;
    uint64_t pos = 0;
    uint64_t first;
    uint64_t count;

    for (uint32_t i = 0; i < t->count; i++)
        t->row[i].at = PACK_ELSEWHERE;
    while (taken.left > 0) {
        if (!pack_range_next(&taken, &pos, &first, &count) || pos > t->count)
            return damaged(e, "impossible range of entries taken");
        for (uint64_t i = first; i < pos; i++) {
            t->row[i].at = (uint32_t)at;
            at += t->row[i].len;
            if (at > PACK_BODY_MAX)
                return damaged(e, "entries taken reach beyond its end");
        }
    }
    return 0;
}

int pack_facts_find(const uint8_t *part, size_t len, uint32_t pages, const uint8_t **facts,
                    struct err *e)
{
    struct cur item;

    if (find_item(part, len, TAG_PAGES, &item) != 0 || item.left != (size_t)pages * PACK_FACTS)
        return damaged(e, "no facts of its pages");
    *facts = item.p;
    return 0;
}

int pack_origin_open(struct pack_origin *o, const uint8_t *part, size_t len, struct err *e)
{
    memset(o, 0, sizeof *o);
    return find_item(part, len, TAG_ORIGIN, &o->item) == 0 ? 0
                                                           : damaged(e, "no origins of its pages");
}

int pack_origin_file(struct pack_origin *o, struct err *e)
{
    uint64_t pages;
    uint64_t shared;
    uint64_t rest;

    if (o->item.left == 0)
        return 1;
    if (!cur_varint(&o->item, &pages) || !cur_varint(&o->item, &shared) ||
        !cur_varint(&o->item, &rest) || pages < 1 || pages > PACK_PAGES_MAX ||
        shared > o->path_len || rest > PAGES_PATH_MAX - shared ||
        !cur_copy(&o->item, o->path + shared, (size_t)rest))
        return damaged(e, "impossible origin of its pages");
    o->path_len = (size_t)(shared + rest);
    o->path[o->path_len] = '\0';
    o->left = (uint32_t)pages;
    o->next = 0;
    return 0;
}

int pack_origin_run(struct pack_origin *o, uint64_t *file_page, uint32_t *count, struct err *e)
{
    uint64_t gap;
    uint64_t n;

    if (o->left == 0)
        return 1;
    if (!cur_varint(&o->item, &gap) || !cur_varint(&o->item, &n) || n < 1 || n > o->left ||
        gap > UINT32_MAX || o->next > UINT64_MAX / 4 || o->page > PACK_PAGES_MAX)
        return damaged(e, "impossible origin of its pages");
    *file_page = o->next + gap;
    *count = (uint32_t)n;
    o->next = *file_page + n;
    o->left -= *count;
    o->page += *count;
    return 0;
}

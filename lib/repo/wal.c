#include "repo/wal.h"

#include <stdio.h>

#include "base/buf.h"
#include "pg/tlv.h"
#include "repo/wal_put.h"

bool wal_object_name(const char *leaf, struct walname *name, struct store_name *object)
{
    static const enum object_kind kinds[] = {
        [WALNAME_SEGMENT] = KIND_SEGMENT,
        [WALNAME_PARTIAL] = KIND_PARTIAL,
        [WALNAME_BACKUP] = KIND_BACKUP_HISTORY,
        [WALNAME_HISTORY] = KIND_HISTORY,
    };

    if (!walname_parse(leaf, name))
        return false;
    *object = (struct store_name){.kind = kinds[name->kind], .timeline = name->tli, .name = leaf};
    return true;
}

int wal_check_object(const struct object_reader *r, const struct walname *name,
                     uint32_t segment_size, struct err *e)
{
    const struct frame_head *h = &r->head;
    uint64_t size = r->tail.plain_size;
    uint64_t segno = 0;

    if (h->codec != CODEC_LZ4 || h->timeline != name->tli || h->segment_size != segment_size)
        return err_set(e, ERR_DAMAGED, "\"%s\": its header is of another timeline or segment size",
                       r->source->name);
    if (name->kind != WALNAME_SEGMENT && name->kind != WALNAME_PARTIAL) {
        if (size == 0 || size > WAL_PUT_TEXT_MAX)
            return err_set(e, ERR_DAMAGED, "\"%s\": %llu bytes are no size for such a file",
                           r->source->name, (unsigned long long)size);
        return 0;
    }
    if (!walname_segno(name, segment_size, &segno) ||
        h->lsn != walname_start(segno, segment_size) || size != segment_size)
        return err_set(e, ERR_DAMAGED, "\"%s\": its header or size is of another segment",
                       r->source->name);
    return 0;
}

int wal_branches_encode(const struct wal_branches *b, struct buf *out, struct err *e)
{
    if (b->n == 0)
        return 0;
    if (buf_u8(out, WAL_BRANCH_TAG, e) != 0 || buf_varint(out, b->n * WAL_BRANCH_BYTES, e) != 0)
        return -1;
    for (size_t i = 0; i < b->n; i++)
        if (buf_u32(out, b->v[i].parent, e) != 0 || buf_u64(out, b->v[i].end, e) != 0)
            return -1;
    return 0;
}

int wal_branches_decode(struct wal_branches *b, const uint8_t *part, size_t len, struct err *e)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (tag != WAL_BRANCH_TAG)
            continue;
        while (item.left > 0) {
            struct wal_branch *branch = wal_branches_add(b, e);

            if (branch == NULL)
                return -1;
            if (!cur_u32(&item, &branch->parent) || !cur_u64(&item, &branch->end))
                return err_set(e, ERR_DAMAGED, "the branches of a history object are cut short");
        }
    }
    return rc > 0 ? 0 : err_set(e, ERR_DAMAGED, "the public part of a history object is damaged");
}

int wal_branches_load(struct repo *r, tli_t timeline, struct object_reader *scratch,
                      struct wal_branches *b, struct err *e)
{
    struct store_name name = {.kind = KIND_HISTORY, .timeline = timeline};
    struct object_want want = {.kind = KIND_HISTORY, .system_id = r->where.system_id};
    struct store_object o;
    char leaf[WALNAME_MAX];
    int rc;

    if (timeline == 1)
        return 0;
    walname_history(leaf, timeline);
    name.name = leaf;
    want.name = leaf;
    rc = store_get(&r->store, &r->where, &name, &o, e);
    if (rc != 0)
        return rc;
    rc = object_open(scratch, &o.source, &r->trust, &want, e);
    if (rc == 0) {
        rc = wal_branches_decode(b, scratch->tail.public_part, scratch->tail.public_len, e);
        object_close(scratch);
    }
    store_release(&o);
    return rc;
}

bool wal_branch_end(const struct wal_branches *b, tli_t parent, lsn_t *end)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].parent == parent) {
            *end = b->v[i].end;
            return true;
        }
    return false;
}

#include "repo/counts.h"

#include <string.h>

#include "pg/tlv.h"

enum { TAG_COUNT = 71, ITEM_MAX = 3 * COUNTS_NAME_MAX + 64 };

static void put_name(struct tlv_out *o, const char *name)
{
    size_t len = strlen(name);

    tlv_varint(o, len);
    tlv_bytes(o, name, len);
}

int counts_add(struct buf *part, const struct counts_row *row, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_COUNT);
    put_name(&o, row->database);
    put_name(&o, row->schema);
    put_name(&o, row->table);
    tlv_varint(&o, row->rows);
    tlv_u64(&o, (uint64_t)row->time);
    tlv_u64(&o, row->lsn);
    if (!tlv_end(&o))
        return err_set(e, ERR_INTERNAL, "a row count is too long");
    return buf_add(part, bytes, o.len, e);
}

static bool get_name(struct cur *c, char out[COUNTS_NAME_MAX])
{
    uint64_t len;

    if (!cur_varint(c, &len) || len >= COUNTS_NAME_MAX || !cur_copy(c, out, (size_t)len))
        return false;
    out[len] = '\0';
    return strlen(out) == len;
}

int counts_next(struct cur *part, struct counts_row *row, struct err *e)
{
    struct cur item;
    uint64_t time = 0;
    uint8_t tag;
    int rc;

    do {
        rc = tlv_next(part, &tag, &item);
    } while (rc == 0 && tag != TAG_COUNT);
    if (rc > 0)
        return 1;
    if (rc < 0 || !get_name(&item, row->database) || !get_name(&item, row->schema) ||
        !get_name(&item, row->table) || !cur_varint(&item, &row->rows) || !cur_u64(&item, &time) ||
        !cur_u64(&item, &row->lsn))
        return err_set(e, ERR_DAMAGED, "backup manifest is damaged: its row counts");
    row->time = (int64_t)time;
    return 0;
}

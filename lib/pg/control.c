#include "pg/control.h"

#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

/* Where the fields are that moved between versions. */
struct layout {
    uint32_t version;
    uint16_t min_recovery;
    uint16_t wal_level; /* followed by the five limits */
    uint16_t float_format;
    uint16_t segment_size;
    uint16_t checksums;
    uint16_t crc;
};

static const struct layout layouts[] = {
    {1300, 136, 172, 208, 228, 252, 288}, /* 13 to 16 */
    {1700, 136, 172, 208, 228, 252, 288}, /* 17 */
    {1800, 136, 172, 208, 228, 252, 292}, /* 18 */
};

static const struct {
    uint32_t catalog;
    uint32_t major;
} majors[] = {
    {202007201, 13}, {202107181, 14}, {202209061, 15},
    {202307071, 16}, {202406281, 17}, {202506291, 18},
};

enum { STABLE = 56 }; /* bytes whose meaning never changed */

int control_system_id(const uint8_t *bytes, size_t len, uint64_t *system_id, struct err *e)
{
    if (len < STABLE)
        return err_set(e, ERR_DAMAGED, "control file is cut short: %zu bytes", len);
    *system_id = get_u64(bytes);
    if (*system_id == 0)
        return err_set(e, ERR_DAMAGED, "control file holds no system identifier");
    return 0;
}

static const struct layout *find_layout(uint32_t version)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].version == version)
            return &layouts[i];
    return NULL;
}

static uint32_t find_major(uint32_t catalog)
{
    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++)
        if (majors[i].catalog == catalog)
            return majors[i].major;
    return 0;
}

int control_read(const uint8_t *bytes, size_t len, struct control *out, struct err *e)
{
    /* 1234567.0 as the server writes it, to tell a foreign machine from damage */
    static const uint8_t float_format[8] = {0, 0, 0, 0, 0x87, 0xd6, 0x32, 0x41};
    const struct layout *l;
    const uint8_t *limits;

    memset(out, 0, sizeof *out);
    if (control_system_id(bytes, len, &out->system_id, e) != 0)
        return -1;
    if (len != CONTROL_SIZE)
        return err_set(e, ERR_DAMAGED, "control file has %zu bytes, not %d", len, CONTROL_SIZE);
    out->version = get_u32(bytes + 8);
    out->catalog = get_u32(bytes + 12);
    l = find_layout(out->version);
    if (l == NULL) {
        (void)err_set(e, ERR_REFUSED, "control file has version %u, which is not known here",
                      (unsigned)out->version);
        return err_hint(e, "Walden reads PostgreSQL 13 to 18.");
    }
    if (crc32c_extend(0, bytes, l->crc) != get_u32(bytes + l->crc))
        return err_set(e, ERR_DAMAGED, "checksum of the control file does not match");
    if (memcmp(bytes + l->float_format, float_format, sizeof float_format) != 0)
        return err_set(e, ERR_REFUSED, "control file was written by another kind of machine");
    limits = bytes + l->wal_level + 4;
    out->major = find_major(out->catalog);
    out->state = get_u32(bytes + 16);
    out->checkpoint = get_u64(bytes + 32);
    out->redo = get_u64(bytes + 40);
    out->tli = get_u32(bytes + 48);
    out->min_recovery = get_u64(bytes + l->min_recovery);
    out->wal_level = get_u32(bytes + l->wal_level);
    out->segment_size = get_u32(bytes + l->segment_size);
    out->checksums = get_u32(bytes + l->checksums) != 0;
    if (!walname_is_segsize(out->segment_size))
        return err_set(e, ERR_DAMAGED, "control file names an impossible segment size: %u",
                       (unsigned)out->segment_size);
    /* wal_level, wal_log_hints (one byte, padded), then the limits */
    out->max_connections = (int32_t)get_u32(limits + 4);
    out->max_worker_processes = (int32_t)get_u32(limits + 8);
    out->max_wal_senders = (int32_t)get_u32(limits + 12);
    out->max_prepared_xacts = (int32_t)get_u32(limits + 16);
    out->max_locks_per_xact = (int32_t)get_u32(limits + 20);
    return 0;
}

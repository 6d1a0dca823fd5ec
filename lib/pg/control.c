#include "pg/control.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

/* Where the fields are that have moved; all others between 128 and 252 have not, so far. */
struct layout {
    uint32_t version;
    uint32_t checksums;
    uint32_t crc;
};

static const struct layout layouts[] = {
    {1300, 252, 288}, /* 13 to 16 */
    {1700, 252, 288},
    {1800, 252, 292},
};

struct catalog {
    uint32_t catalog;
    uint32_t major;
};

static const struct catalog catalogs[] = {
    {202007201, 13}, {202107181, 14}, {202209061, 15},
    {202307071, 16}, {202406281, 17}, {202506291, 18},
};

static void read_stable(const uint8_t *p, struct control *out)
{
    memset(out, 0, sizeof *out);
    out->sysid = get_u64(p);
    out->version = get_u32(p + 8);
    out->catalog = get_u32(p + 12);
    out->state = get_u32(p + 16);
    out->time = get_i64(p + 24);
    out->checkpoint = get_u64(p + 32);
    out->redo = get_u64(p + 40);
    out->tli = get_u32(p + 48);
    out->prev_tli = get_u32(p + 52);
    for (size_t i = 0; i < sizeof catalogs / sizeof catalogs[0]; i++)
        if (catalogs[i].catalog == out->catalog)
            out->major = catalogs[i].major;
}

static void read_rest(const uint8_t *p, const struct layout *l, struct control *out)
{
    out->min_recovery = get_u64(p + 136);
    out->min_recovery_tli = get_u32(p + 144);
    out->backup_start = get_u64(p + 152);
    out->backup_end = get_u64(p + 160);
    out->backup_end_required = p[168] != 0;
    out->wal_level = get_u32(p + 172);
    out->max_connections = get_u32(p + 180);
    out->max_worker_processes = get_u32(p + 184);
    out->max_wal_senders = get_u32(p + 188);
    out->max_prepared_xacts = get_u32(p + 192);
    out->max_locks_per_xact = get_u32(p + 196);
    out->block_size = get_u32(p + 216);
    out->relation_segment = get_u32(p + 220);
    out->wal_block_size = get_u32(p + 224);
    out->segsize = get_u32(p + 228);
    out->checksums = get_u32(p + l->checksums);
    out->is_known = true;
}

int control_parse(const uint8_t *p, size_t n, struct control *out, struct err *e)
{
    const struct layout *l = NULL;
    uint32_t version;

    if (n != CONTROL_SIZE)
        return err_set(e, ERR_DAMAGED, "the control file has %zu bytes instead of %d", n,
                       CONTROL_SIZE);
    version = get_u32(p + 8);
    if (version != 0 && (version & 0xffff) == 0)
        return err_set(e, ERR_DAMAGED,
                       "the control file was written on a big-endian machine, which is not "
                       "supported");
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (layouts[i].version == version)
            l = &layouts[i];
    read_stable(p, out);
    if (l == NULL)
        return 0;
    if (crc32c_extend(0, p, l->crc) != get_u32(p + l->crc))
        return err_set(e, ERR_DAMAGED, "the control file has a wrong checksum");
    read_rest(p, l, out);
    if (!walname_is_segsize(out->segsize))
        return err_set(e, ERR_DAMAGED, "the control file has a segment size of %" PRIu32,
                       out->segsize);
    return 0;
}

int control_system_id(const uint8_t *p, size_t n, uint64_t *sysid, struct err *e)
{
    if (n != CONTROL_SIZE)
        return err_set(e, ERR_DAMAGED, "the control file has %zu bytes instead of %d", n,
                       CONTROL_SIZE);
    *sysid = get_u64(p);
    if (*sysid == 0)
        return err_set(e, ERR_DAMAGED, "the control file holds no system identifier");
    return 0;
}

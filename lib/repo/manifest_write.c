#include "repo/manifest_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

int manifest_begin(struct manifest_writer *m, struct repo *repo, const char *label,
                   uint32_t timeline, uint64_t lsn, struct err *e)
{
    struct frame_head head = {.kind = KIND_MANIFEST,
                              .metadata_body = true,
                              .system_id = repo->where.system_id,
                              .timeline = timeline,
                              .segment_size = repo->lineage.segment_size,
                              .lsn = lsn};
    struct store_name name = {.kind = KIND_MANIFEST, .name = label};

    memset(m, 0, sizeof *m);
    m->repo = repo;
    manifest_packs_init(&m->packs, MANIFEST_PACKS_MAX);
    buf_init(&m->record, (size_t)2 * MANIFEST_RECORD_MAX);
    buf_init(&m->runs, MANIFEST_RECORD_MAX);
    buf_init(&m->metadata, COUNTS_MAX);
    m->put = calloc(1, sizeof *m->put);
    m->object = calloc(1, sizeof *m->object);
    if (m->put == NULL || m->object == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a manifest");
    (void)snprintf(head.name, sizeof head.name, "%s", label);
    repo_fill_head(repo, &head);
    if (store_put_begin(&repo->writer, &repo->where, &name, m->put, e) != 0)
        return -1;
    digest_init_strong(&m->whole, PHASE_STORED);
    if (sink_link(&m->whole.sink, &m->put->sink, e) != 0)
        return -1;
    return object_writer_begin(m->object, &head, true, repo_seal(repo), &m->whole.sink, e);
}

/* Writes m->record as the payload of a record. */
static int put_record(struct manifest_writer *m, enum manifest_type type, struct err *e)
{
    uint8_t head[1 + VARINT_MAX];
    struct buf b = {.p = NULL};
    int rc = -1;

    buf_init(&b, sizeof head);
    if (m->record.len > MANIFEST_RECORD_MAX)
        return err_set(e, ERR_INTERNAL, "record of %zu bytes", m->record.len);
    if (buf_u8(&b, (uint8_t)type, e) == 0 && buf_varint(&b, m->record.len, e) == 0 &&
        object_writer_write(m->object, b.p, b.len, e) == 0 &&
        (m->record.len == 0 || object_writer_write(m->object, m->record.p, m->record.len, e) == 0))
        rc = 0;
    buf_fini(&b);
    buf_clear(&m->record);
    return rc;
}

int manifest_pack(struct manifest_writer *m, const uint8_t id[PACK_ID], uint32_t *index,
                  struct err *e)
{
    struct manifest_pack *pack;

    /* Few packs, and mostly the same one as before. */
    *index = m->last_pack;
    if (*index > 0 && memcmp(m->packs.v[*index - 1].id, id, PACK_ID) == 0)
        return 0;
    for (size_t i = m->packs.n; i > 0; i--)
        if (memcmp(m->packs.v[i - 1].id, id, PACK_ID) == 0) {
            *index = m->last_pack = (uint32_t)i;
            return 0;
        }
    pack = manifest_packs_add(&m->packs, e);
    if (pack == NULL)
        return -1;
    memcpy(pack->id, id, PACK_ID);
    *index = m->last_pack = (uint32_t)m->packs.n;
    buf_clear(&m->record);
    return buf_add(&m->record, id, PACK_ID, e) == 0 ? put_record(m, MANIFEST_PACK, e) : -1;
}

static int bad_path(const char *path, struct err *e)
{
    return err_set(e, ERR_REFUSED, "path \"%.200s\" cannot be in a backup", path);
}

int manifest_tablespace(struct manifest_writer *m, uint32_t oid, const char *path, struct err *e)
{
    buf_clear(&m->record);
    if (strlen(path) > PAGES_PATH_MAX)
        return bad_path(path, e);
    if (buf_u32(&m->record, oid, e) != 0 || buf_str(&m->record, path, e) != 0)
        return -1;
    return put_record(m, MANIFEST_TABLESPACE, e);
}

int manifest_dir(struct manifest_writer *m, uint32_t mode, const char *path, struct err *e)
{
    buf_clear(&m->record);
    if (!manifest_path_ok(path, 0))
        return bad_path(path, e);
    if (buf_varint(&m->record, mode, e) != 0 || buf_str(&m->record, path, e) != 0)
        return -1;
    return put_record(m, MANIFEST_DIR, e);
}

int manifest_link(struct manifest_writer *m, const char *path, const char *target, struct err *e)
{
    buf_clear(&m->record);
    if (!manifest_path_ok(path, 0) || strlen(target) > PAGES_PATH_MAX)
        return bad_path(path, e);
    if (buf_str(&m->record, path, e) != 0 || buf_u8(&m->record, 0, e) != 0 ||
        buf_str(&m->record, target, e) != 0)
        return -1;
    return put_record(m, MANIFEST_LINK, e);
}

int manifest_text(struct manifest_writer *m, enum manifest_type type, const void *bytes, size_t len,
                  struct err *e)
{
    const uint8_t *p = bytes;

    if (m->in_file || type < MANIFEST_SERVER || type > MANIFEST_COUNTS)
        return err_set(e, ERR_INTERNAL, "a manifest's text is out of place");
    while (len > 0) {
        size_t take = len < MANIFEST_PIECE ? len : (size_t)MANIFEST_PIECE;

        buf_clear(&m->record);
        if (buf_add(&m->record, p, take, e) != 0 || put_record(m, type, e) != 0)
            return -1;
        p += take;
        len -= take;
    }
    return 0;
}

int manifest_count(struct manifest_writer *m, const struct counts_row *row, struct err *e)
{
    return counts_add(&m->metadata, row, e);
}

int manifest_file(struct manifest_writer *m, const char *path, unsigned flags, uint32_t mode,
                  int64_t mtime, struct err *e)
{
    buf_clear(&m->record);
    buf_clear(&m->runs);
    m->run.count = 0;
    if (m->in_file)
        return err_set(e, ERR_INTERNAL, "a manifest's file is not ended");
    if (!manifest_path_ok(path, flags))
        return bad_path(path, e);
    m->in_file = true;
    if (buf_varint(&m->record, flags, e) != 0 || buf_varint(&m->record, mode, e) != 0 ||
        buf_varint(&m->record, zigzag(mtime), e) != 0 || buf_str(&m->record, path, e) != 0)
        return -1;
    return put_record(m, MANIFEST_FILE, e);
}

/* Writes the growing run down. */
static int end_run(struct manifest_writer *m, struct err *e)
{
    const struct pages_run *r = &m->run;
    struct manifest_pack *pack;

    if (r->count == 0)
        return 0;
    if (buf_varint(&m->runs, r->pack, e) != 0)
        return -1;
    if (r->pack > 0) {
        pack = &m->packs.v[r->pack - 1];
        if (buf_varint(&m->runs, zigzag((int64_t)r->page - (int64_t)pack->next), e) != 0 ||
            manifest_bits_set(&pack->used, r->page, r->count, e) != 0)
            return -1;
        pack->next = r->page + r->count;
    }
    if (buf_varint(&m->runs, r->count, e) != 0)
        return -1;
    m->run.count = 0;
    if (m->runs.len < MANIFEST_PIECE)
        return 0;
    buf_clear(&m->record);
    if (buf_add(&m->record, m->runs.p, m->runs.len, e) != 0)
        return -1;
    buf_clear(&m->runs);
    return put_record(m, MANIFEST_RUNS, e);
}

int manifest_run(struct manifest_writer *m, const struct pages_run *run, struct err *e)
{
    struct pages_run *r = &m->run;

    if (!m->in_file || run->pack > m->packs.n)
        return err_set(e, ERR_INTERNAL, "a manifest's run is out of place");
    if (r->count > 0 && r->pack == run->pack && r->count < UINT32_MAX / 2 &&
        (run->pack == 0 || r->page + r->count == run->page)) {
        r->count += run->count;
        return 0;
    }
    if (end_run(m, e) != 0)
        return -1;
    *r = *run;
    return 0;
}

int manifest_file_end(struct manifest_writer *m, uint64_t size, uint32_t crc, uint64_t spread,
                      struct err *e)
{
    if (!m->in_file)
        return err_set(e, ERR_INTERNAL, "a manifest's file was not begun");
    if (end_run(m, e) != 0)
        return -1;
    buf_clear(&m->record);
    m->in_file = false;
    m->files++;
    m->bytes += size;
    if (buf_varint(&m->record, size, e) != 0 || buf_u32(&m->record, crc, e) != 0 ||
        buf_varint(&m->record, spread, e) != 0 ||
        buf_add(&m->record, m->runs.p, m->runs.len, e) != 0)
        return -1;
    return put_record(m, MANIFEST_FILE_END, e);
}

/* The lists of pages in use.  They are kept short by naming more than is in use, when need be. */
static int write_in_use(struct manifest_writer *m, struct buf *part, struct err *e)
{
    size_t start = part->len;

    for (uint32_t gap = 1;; gap *= 4) {
        part->len = start;
        for (size_t i = 0; i < m->packs.n; i++)
            if (manifest_bits_write(part, m->packs.v[i].id, &m->packs.v[i].used, gap, e) != 0)
                return -1;
        if (part->len - start <= MANIFEST_IN_USE_SMALL || gap > PACK_PAGES_MAX)
            return 0;
    }
}

int manifest_finish(struct manifest_writer *m, struct manifest_public *p, struct err *e)
{
    struct object_parts parts = {0};
    struct buf part;
    int rc = -1;

    buf_init(&part, MANIFEST_PUBLIC_MAX);
    p->files = m->files;
    if (p->bytes == 0)
        p->bytes = m->bytes;
    buf_clear(&m->record);
    if (m->in_file) {
        (void)err_set(e, ERR_INTERNAL, "a manifest's file is not ended");
        goto out;
    }
    /* The last byte is not zero: an object's zero tail is cut off. */
    if (buf_varint(&m->record, m->files, e) != 0 || buf_u8(&m->record, 1, e) != 0 ||
        put_record(m, MANIFEST_END, e) != 0 || manifest_public_write(&part, p, e) != 0 ||
        write_in_use(m, &part, e) != 0)
        goto out;
    parts.public_part = part.p;
    parts.public_len = part.len;
    parts.metadata_part = m->metadata.p;
    parts.metadata_len = m->metadata.len;
    if (object_writer_finish(m->object, &parts, e) != 0)
        goto out;
    digest_get_strong(&m->whole, m->digest);
    rc = store_put_commit(m->put, e);
    if (rc > 0)
        rc = err_set(e, ERR_REFUSED, "\"%s\" exists already", m->put->shown);
    m->finished = rc == 0;
out:
    buf_fini(&part);
    return rc;
}

void manifest_fini(struct manifest_writer *m)
{
    for (size_t i = 0; i < m->packs.n; i++)
        manifest_bits_fini(&m->packs.v[i].used);
    manifest_packs_fini(&m->packs);
    if (m->put != NULL)
        store_put_abort(m->put);
    if (m->object != NULL)
        object_writer_wipe(m->object);
    free(m->put);
    free(m->object);
    m->put = NULL;
    m->object = NULL;
    buf_fini(&m->record);
    buf_fini(&m->runs);
    buf_fini(&m->metadata);
}

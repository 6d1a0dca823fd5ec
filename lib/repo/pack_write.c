#include "repo/pack_write.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_ENTRIES = 80, TAG_PAGES = 84, TAG_ORIGIN = 85, ORIGIN_FULL = 1024 * 1024 };

int pack_commit(void *arg, struct store_put *put, struct err *e)
{
    int rc = store_put_commit(put, e);

    (void)arg;
    if (rc > 0)
        rc = err_set(e, ERR_INTERNAL, "\"%s\" exists already", put->shown);
    store_put_abort(put);
    free(put);
    return rc;
}

void pack_writer_init(struct pack_writer *w, const struct pack_how *how)
{
    memset(w, 0, sizeof *w);
    w->how = *how;
    if (w->how.done == NULL)
        w->how.done = pack_commit;
    buf_init(&w->table, PACK_PART_MAX);
    buf_init(&w->facts, PACK_PART_MAX);
    buf_init(&w->origin, PACK_PART_MAX);
    buf_init(&w->runs, PACK_PART_MAX);
}

/* Forgets the open pack's rows, not the totals. */
static void start_over(struct pack_writer *w)
{
    buf_clear(&w->table);
    buf_clear(&w->facts);
    buf_clear(&w->origin);
    buf_clear(&w->runs);
    w->body = 0;
    w->plain = 0;
    w->entries = 0;
    w->pages = 0;
    w->row_pages = 0;
    w->last_len = 0;
}

static int open_pack(struct pack_writer *w, struct err *e)
{
    struct repo *repo = w->how.repo;
    const struct object_seal *with = repo_seal(repo);
    struct frame_head head = {
        .kind = KIND_PACK, .codec = CODEC_PACK, .system_id = repo->where.system_id};
    struct store_name name = {.kind = KIND_PACK, .name = head.name};
    uint8_t frame[FRAME_HEAD_MAX + FRAME_KEYS_MAX];
    struct frame_keys keys;
    size_t len;

    secret_random(w->id, sizeof w->id);
    pack_name(head.name, w->id, false);
    repo_fill_head(repo, &head);
    head.sealed = with != NULL;
    if (with != NULL) {
        if (object_seal_head(&w->content, with, &head, &keys, e) != 0)
            return -1;
        secret_entry_key(w->key, w->content.key);
    }
    len = frame_head_encode(&head, frame);
    digest_strong(w->head_digest, frame + 8, len - 8);
    if (with != NULL)
        len += frame_keys_encode(&keys, frame + len);
    w->put = calloc(1, sizeof *w->put);
    if (w->put == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a pack's buffer");
    if (store_put_begin(&repo->writer, &repo->where, &name, w->put, e) != 0)
        return -1;
    return sink_write(&w->put->sink, frame, len, e);
}

/* Ends the growing run of the current origin row. */
static int end_run(struct pack_writer *w, struct err *e)
{
    if (w->row_run == 0)
        return 0;
    if (buf_varint(&w->runs, w->row_gap, e) != 0 || buf_varint(&w->runs, w->row_run, e) != 0)
        return -1;
    w->row_run = 0;
    return 0;
}

/* Ends the row of the file whose pages came last. */
static int end_row(struct pack_writer *w, struct err *e)
{
    size_t shared = 0;

    if (w->row_pages == 0)
        return 0;
    while (shared < w->path_len && shared < w->last_len && w->path[shared] == w->last[shared])
        shared++;
    if (end_run(w, e) != 0 || buf_varint(&w->origin, w->row_pages, e) != 0 ||
        buf_varint(&w->origin, shared, e) != 0 ||
        buf_varint(&w->origin, w->path_len - shared, e) != 0 ||
        buf_add(&w->origin, w->path + shared, w->path_len - shared, e) != 0 ||
        buf_add(&w->origin, w->runs.p, w->runs.len, e) != 0)
        return -1;
    memcpy(w->last, w->path, w->path_len);
    w->last_len = w->path_len;
    w->row_pages = 0;
    buf_clear(&w->runs);
    return 0;
}

static int add_origin(struct pack_writer *w, const struct pack_chunk *chunk, struct err *e)
{
    size_t len = strlen(chunk->path);

    if (len > PAGES_PATH_MAX)
        return err_set(e, ERR_INTERNAL, "path of %zu bytes", len);
    if (w->row_pages > 0 &&
        (len != w->path_len || memcmp(chunk->path, w->path, len) != 0 ||
         chunk->file_page[0] < w->row_next) &&
        end_row(w, e) != 0)
        return -1;
    if (w->row_pages == 0) {
        memcpy(w->path, chunk->path, len);
        w->path_len = len;
        w->row_next = 0;
        w->row_run = 0;
    }
    for (unsigned i = 0; i < chunk->pages; i++) {
        if (w->row_run == 0 || chunk->file_page[i] != w->row_next) {
            uint64_t gap = chunk->file_page[i] - w->row_next;

            if (end_run(w, e) != 0)
                return -1;
            w->row_gap = gap;
        }
        w->row_run++;
        w->row_next = chunk->file_page[i] + 1;
    }
    w->row_pages += chunk->pages;
    return 0;
}

static int add_facts(struct pack_writer *w, const struct pack_chunk *chunk, struct err *e)
{
    for (unsigned i = 0; i < chunk->pages; i++)
        if (buf_u64(&w->facts, chunk->facts[i].hash, e) != 0 ||
            buf_u32(&w->facts, chunk->facts[i].crc, e) != 0)
            return -1;
    return 0;
}

static int add_entry(struct pack_writer *w, const struct pack_chunk *chunk, struct err *e)
{
    struct pack_row row = {.plain_len = (uint32_t)chunk->len, .codec = PACK_AS_IS};
    const uint8_t *bytes = chunk->bytes;
    size_t len = 0;

    if (w->how.compress)
        len = lz4_block_pack(w->lz4, chunk->bytes, chunk->len, w->packed);
    if (len > 0) {
        row.codec = PACK_LZ4;
        bytes = w->packed;
    } else {
        len = chunk->len;
    }
    if (repo_seal(w->how.repo) != NULL) {
        struct secret_entry at = {w->how.repo->where.system_id, w->id, w->entries, row.plain_len};

        secret_entry_seal(w->sealed, bytes, len, w->key, &at);
        bytes = w->sealed;
        len += SECRET_PART_EXTRA;
    }
    row.len = (uint32_t)len;
    row.crc = crc32c_extend(0, bytes, len);
    if (sink_write(&w->put->sink, bytes, len, e) != 0 || pack_table_add(&w->table, &row, e) != 0 ||
        add_facts(w, chunk, e) != 0 || add_origin(w, chunk, e) != 0)
        return -1;
    w->entries++;
    w->pages += chunk->pages;
    w->body += len;
    w->plain += chunk->len;
    return 0;
}

int pack_writer_add(struct pack_writer *w, const struct pack_chunk *chunk, struct err *e)
{
    int rc = add_entry(w, chunk, e);

    w->broken = w->broken || rc != 0;
    return rc;
}

/* Moves what was gathered into an item of a part; two copies of a full pack's facts are enough. */
static int move_item(struct buf *part, uint8_t tag, struct buf *payload, struct err *e)
{
    int rc = pack_item(part, tag, payload, e);

    buf_fini(payload);
    return rc;
}

/* Frame T of the open pack.  -1 loses it. */
static int write_tail(struct pack_writer *w, struct err *e)
{
    struct frame_tail tail = {.plain_size = w->plain, .kept_size = w->plain, .body_size = w->body};
    struct object_parts parts = {0};
    struct buf table;
    struct buf item;
    struct buf metadata;
    int rc = -1;

    buf_init(&table, PACK_PART_MAX);
    buf_init(&item, PACK_PART_MAX);
    buf_init(&metadata, PACK_PART_MAX);
    w->broken = true;
    if (end_row(w, e) != 0 || buf_varint(&item, w->entries, e) != 0 ||
        buf_add(&item, w->table.p, w->table.len, e) != 0)
        goto out;
    buf_fini(&w->table);
    if (move_item(&table, TAG_ENTRIES, &item, e) != 0 ||
        move_item(&metadata, TAG_PAGES, &w->facts, e) != 0 ||
        move_item(&metadata, TAG_ORIGIN, &w->origin, e) != 0)
        goto out;
    parts.public_part = table.p;
    parts.public_len = table.len;
    parts.metadata_part = metadata.p;
    parts.metadata_len = metadata.len;
    rc = object_write_tail(&tail, &parts, repo_seal(w->how.repo), &w->content, w->head_digest,
                           &w->put->sink, e);
    w->broken = rc != 0;
out:
    buf_fini(&table);
    buf_fini(&item);
    buf_fini(&metadata);
    return rc;
}

int pack_writer_finish(struct pack_writer *w, struct err *e)
{
    struct store_put *put = w->put;

    if (put == NULL)
        return 0;
    if (w->entries == 0 || w->broken) {
        store_put_abort(put);
        free(put);
        w->put = NULL;
        return 0;
    }
    if (write_tail(w, e) != 0)
        return -1;
    w->put = NULL;
    w->stored_bytes += put->total;
    w->packs++;
    secret_wipe(&w->content, sizeof w->content);
    secret_wipe(w->key, sizeof w->key);
    start_over(w);
    return w->how.done(w->how.done_arg, put, e);
}

int pack_writer_room(struct pack_writer *w, struct err *e)
{
    const struct pack_limits *limits = &w->how.limits;

    if (w->put != NULL &&
        (w->body + sizeof w->sealed > limits->body || w->pages + PAGES_ENTRY > limits->pages ||
         w->origin.len + w->runs.len > ORIGIN_FULL) &&
        pack_writer_finish(w, e) != 0)
        return -1;
    return w->put == NULL ? open_pack(w, e) : 0;
}

void pack_writer_fini(struct pack_writer *w)
{
    if (w->put != NULL)
        store_put_abort(w->put);
    free(w->put);
    w->put = NULL;
    secret_wipe(&w->content, sizeof w->content);
    secret_wipe(w->key, sizeof w->key);
    buf_fini(&w->table);
    buf_fini(&w->facts);
    buf_fini(&w->origin);
    buf_fini(&w->runs);
}

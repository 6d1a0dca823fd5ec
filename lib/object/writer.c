#include "object/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Length without the zero bytes at the end. */
static size_t without_zeros(const uint8_t *bytes, size_t len)
{
    while (len % 8 != 0 && bytes[len - 1] == 0)
        len--;
    if (len % 8 != 0)
        return len;
    while (len > 0 && get_u64(bytes + len - 8) == 0)
        len -= 8;
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return len;
}

/* Hands on zeros up to an offset. */
static int zeros_until(struct object_kept *k, struct sink *next, uint64_t end, struct err *e)
{
    static uint8_t zeros[8192]; /* not const: then the file does not hold them */

    while (k->sent < end) {
        uint64_t left = end - k->sent;
        size_t take = left < sizeof zeros ? (size_t)left : sizeof zeros;

        if (sink_write(next, zeros, take, e) != 0)
            return -1;
        k->sent += take;
    }
    return 0;
}

/* Where the kept bytes end, as far as it is known. */
static uint64_t kept_end(const struct object_kept *k)
{
    uint64_t end = (k->used + OBJECT_KEPT_UNIT - 1) / OBJECT_KEPT_UNIT * OBJECT_KEPT_UNIT;

    return end < k->seen ? end : k->seen;
}

int object_kept_write(struct object_kept *k, struct sink *next, const uint8_t *bytes, size_t len,
                      struct err *e)
{
    uint64_t start = k->seen;
    size_t used = without_zeros(bytes, len);
    size_t take;

    k->seen += len;
    if (used == 0)
        return 0;
    k->used = start + used;
    if (zeros_until(k, next, start, e) != 0)
        return -1;
    take = (size_t)(kept_end(k) - start);
    k->sent += take;
    return sink_write(next, bytes, take, e);
}

int object_kept_finish(struct object_kept *k, struct sink *next, uint64_t *kept, struct err *e)
{
    *kept = kept_end(k);
    return zeros_until(k, next, *kept, e);
}

static int gate_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    return sink_write(s->next, bytes, len, e);
}

static int gate_finish(struct sink *s, struct err *e)
{
    (void)s, (void)e;
    return 0;
}

static void gate_abort(struct sink *s)
{
    (void)s;
}

static const struct sink_ops gate_ops = {"store", gate_write, gate_finish, gate_abort};

int object_seal_head(struct secret_content *content, const struct object_seal *with,
                     struct frame_head *head, struct frame_keys *keys, struct err *e)
{
    memset(keys, 0, sizeof *keys);
    if (with->count < 1 || with->count > FRAME_BOXES_MAX)
        return err_set(e, ERR_CONFIG, "objects can be sealed to 1 to %d recipients, not %u",
                       FRAME_BOXES_MAX, with->count);
    secret_content_new(content);
    memcpy(head->signer, with->host->id, KEY_ID);
    memcpy(head->write_id, with->host->write_id, sizeof head->write_id);
    memcpy(head->commitment, content->commitment, sizeof head->commitment);
    secret_wrap(head->wrapped, content, with->host->write);
    keys->count = with->count;
    for (unsigned i = 0; i < with->count; i++) {
        secret_key_id(keys->recipient[i], with->recipient[i]);
        if (secret_box_seal(keys->box[i], content->key, with->recipient[i], e) != 0)
            return -1;
    }
    return 0;
}

/* Starts the cipher; its header goes into the object's. */
static void start_seal(struct object_writer *w, struct frame_head *head)
{
    uint8_t body_key[SECRET_KEY];

    if (head->metadata_body)
        secret_metadata_body(body_key, w->content.metadata);
    else
        memcpy(body_key, w->content.key, SECRET_KEY);
    seal_push_init(&w->seal, body_key, head->stream);
    secret_wipe(body_key, sizeof body_key);
}

/* Links plain digest, compressor, cipher and body digest to the store. */
static int link_chain(struct object_writer *w, bool compress, struct err *e)
{
    struct sink *after_pack = &w->body.sink;
    uint8_t key[DIGEST_FAST_KEY];

    sink_init(&w->gate, &gate_ops, PHASE_STORE);
    w->gate.next = w->out;
    lz4_pack_init(&w->pack, compress);
    w->in = &w->pack.sink;
    if (w->with != NULL) {
        digest_init_strong(&w->body, PHASE_STORED);
        secret_write_digest_key(key, w->with->host->write, w->repo_id);
        digest_init_fast(&w->plain, key, PHASE_PLAIN);
        after_pack = &w->seal.sink;
        w->in = &w->plain.sink;
        if (sink_link(&w->plain.sink, &w->pack.sink, e) != 0 ||
            sink_link(&w->seal.sink, &w->body.sink, e) != 0)
            return -1;
    } else {
        secret_plain_digest_key(key, w->repo_id);
        digest_init_fast(&w->body, key, PHASE_STORED);
    }
    secret_wipe(key, sizeof key);
    if (sink_link(&w->pack.sink, after_pack, e) != 0)
        return -1;
    return sink_link(&w->body.sink, &w->gate, e);
}

int object_writer_begin(struct object_writer *w, struct frame_head *head, bool compress,
                        const struct object_seal *with, struct sink *out, struct err *e)
{
    uint8_t frame[FRAME_HEAD_MAX + FRAME_KEYS_MAX];
    struct frame_keys keys;
    size_t len;

    w->with = with;
    w->out = out;
    w->kept = (struct object_kept){0};
    memcpy(w->repo_id, head->repo_id, 16);
    head->sealed = with != NULL;
    head->codec = CODEC_LZ4;
    if (with != NULL) {
        if (object_seal_head(&w->content, with, head, &keys, e) != 0)
            return -1;
        start_seal(w, head);
    }
    if (link_chain(w, compress, e) != 0)
        return -1;
    len = frame_head_encode(head, frame);
    digest_strong(w->head_digest, frame + 8, len - 8);
    if (with != NULL) {
        seal_bind(&w->seal, w->head_digest);
        len += frame_keys_encode(&keys, frame + len);
    }
    return sink_write(out, frame, len, e);
}

int object_writer_write(struct object_writer *w, const uint8_t *bytes, size_t len, struct err *e)
{
    return object_kept_write(&w->kept, w->in, bytes, len, e);
}

/* The stored form of a part of the trailer: as it is, or sealed into `room`, which moves on. */
static const uint8_t *store_part(const uint8_t *part, size_t len, const uint8_t *key,
                                 const uint8_t *head_digest, uint8_t **room, uint32_t *stored)
{
    uint8_t *out = *room;

    *stored = (uint32_t)len;
    if (key == NULL || len == 0)
        return part;
    *stored += SECRET_PART_EXTRA;
    secret_part_seal(out, part, len, key, head_digest);
    *room += *stored;
    return out;
}

int object_write_tail(struct frame_tail *tail, const struct object_parts *parts,
                      const struct object_seal *with, const struct secret_content *content,
                      const uint8_t head_digest[DIGEST_STRONG], struct sink *out, struct err *e)
{
    bool sealed = with != NULL;
    size_t sealed_len = parts->metadata_len + parts->data_len + 2 * (size_t)SECRET_PART_EXTRA;
    uint8_t *memory = malloc(2 * sealed_len + parts->public_len + FRAME_TAIL_FIXED + 256);
    uint8_t *room = memory;
    uint8_t signature[FRAME_SIGNATURE];
    size_t len;
    int rc;

    if (memory == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a trailer of %zu bytes", sealed_len);
    tail->damaged = parts->damaged;
    tail->public_part = parts->public_part;
    tail->public_len = (uint32_t)parts->public_len;
    tail->metadata_part =
        store_part(parts->metadata_part, parts->metadata_len, sealed ? content->metadata : NULL,
                   head_digest, &room, &tail->metadata_len);
    tail->data_part = store_part(parts->data_part, parts->data_len, sealed ? content->data : NULL,
                                 head_digest, &room, &tail->data_len);
    len = frame_tail_begin(tail, sealed, room);
    if (sealed)
        secret_object_sign(signature, head_digest, room + 8, len - 8, with->host->sign_secret);
    len = frame_tail_end(room, len, sealed ? signature : NULL);
    rc = sink_write(out, room, len, e);
    free(memory);
    return rc;
}

int object_writer_finish(struct object_writer *w, const struct object_parts *parts, struct err *e)
{
    memset(&w->tail, 0, sizeof w->tail);
    if (object_kept_finish(&w->kept, w->in, &w->tail.kept_size, e) != 0 ||
        sink_finish(w->in, e) != 0)
        return -1;
    w->tail.plain_size = w->kept.seen;
    w->tail.body_size = w->body.bytes;
    if (w->with != NULL) {
        digest_get_strong(&w->body, w->tail.body_digest);
        digest_get_fast(&w->plain, w->tail.plain_size, w->tail.kept_size, w->tail.plain_digest);
    } else {
        digest_get_fast(&w->body, w->body.bytes, 0, w->tail.body_digest);
    }
    return object_write_tail(&w->tail, parts, w->with, &w->content, w->head_digest, w->out, e);
}

void object_writer_wipe(struct object_writer *w)
{
    if (w->with == NULL)
        return;
    secret_wipe(&w->content, sizeof w->content);
    secret_wipe(&w->plain, sizeof w->plain);
    seal_wipe(&w->seal);
}

#include "object/reader.h"

#include <stdlib.h>
#include <string.h>

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "object is damaged: %s", what);
}

/* Header and key boxes from the first bytes of the file. */
static int read_first(struct object_reader *r, struct err *e)
{
    uint8_t first[OBJECT_FIRST];
    size_t len = r->source->size < sizeof first ? (size_t)r->source->size : sizeof first;
    size_t head_len = 0;
    size_t keys_len = 0;

    if (len == 0)
        return damaged(e, "the file is empty");
    if (r->source->read(r->source->arg, 0, first, len, e) != 0 ||
        frame_head_decode(&r->head, first, len, &head_len, e) != 0)
        return -1;
    digest_strong(r->head_digest, first + 8, head_len - 8);
    if (r->head.sealed &&
        frame_keys_decode(&r->keys, first + head_len, len - head_len, &keys_len, e) != 0)
        return -1;
    r->body_at = head_len + keys_len;
    return 0;
}

/* Trailer from the last bytes; a second read only when it is longer than usual. */
static int read_last(struct object_reader *r, size_t *signed_len, struct err *e)
{
    uint64_t size = r->source->size;
    size_t last = size < OBJECT_LAST ? (size_t)size : (size_t)OBJECT_LAST;
    size_t tail_len = 0;
    uint8_t end[OBJECT_LAST];

    if (r->source->read(r->source->arg, size - last, end, last, e) != 0 ||
        frame_tail_length(end, last, frame_tail_limit(r->head.kind), &tail_len, e) != 0)
        return -1;
    if (tail_len > size - r->body_at)
        return damaged(e, "impossible length of its trailer");
    r->tail_memory = malloc(tail_len);
    if (r->tail_memory == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a trailer of %zu bytes", tail_len);
    if (tail_len <= last)
        memcpy(r->tail_memory, end + last - tail_len, tail_len);
    else if (r->source->read(r->source->arg, size - tail_len, r->tail_memory, tail_len, e) != 0)
        return -1;
    if (frame_tail_decode(&r->tail, r->head.sealed, r->tail_memory, tail_len, signed_len, e) != 0)
        return -1;
    if (r->tail.body_size != size - r->body_at - tail_len)
        return damaged(e, "its size is not what its trailer says");
    return 0;
}

static int check_identity(const struct object_reader *r, const struct trust *trust,
                          const struct object_want *want, struct err *e)
{
    const struct frame_head *h = &r->head;

    if (memcmp(h->repo_id, trust->repo_id, sizeof h->repo_id) != 0)
        return err_set(e, ERR_REFUSED, "it was written into another repository");
    if (want->kind != 0 && h->kind != want->kind)
        return err_set(e, ERR_REFUSED, "it is a %s, not a %s", frame_kind_name(h->kind),
                       frame_kind_name(want->kind));
    if (want->place != NULL ? strcmp(h->place, want->place) != 0
                            : trust->cluster != NULL && strcmp(h->place, trust->cluster) != 0)
        return err_set(e, ERR_REFUSED, "it belongs to \"%s\", another cluster or job", h->place);
    if (want->name != NULL && strcmp(h->name, want->name) != 0)
        return err_set(e, ERR_REFUSED, "it is \"%s\" under another name", h->name);
    if (want->system_id != 0 && h->system_id != want->system_id)
        return err_set(e, ERR_REFUSED, "it belongs to the cluster with system identifier %llu",
                       (unsigned long long)h->system_id);
    return 0;
}

/* Pushes a range of the file into a chain and finishes it. */
static int pump(struct object_reader *r, uint64_t at, uint64_t left, struct sink *into,
                struct err *e)
{
    while (left > 0) {
        size_t take = left < OBJECT_IO ? (size_t)left : (size_t)OBJECT_IO;

        if (r->source->read(r->source->arg, at, r->io, take, e) != 0 ||
            sink_write(into, r->io, take, e) != 0)
            return -1;
        at += take;
        left -= take;
    }
    return sink_finish(into, e);
}

/* The whole file's digest, for plain objects that a sealed-from record lists. */
static int check_whole(struct object_reader *r, const uint8_t want[DIGEST_STRONG], struct err *e)
{
    uint8_t found[DIGEST_STRONG];

    digest_init_strong(&r->digest, PHASE_LOADED);
    if (pump(r, 0, r->source->size, &r->digest.sink, e) != 0)
        return -1;
    digest_get_strong(&r->digest, found);
    return memcmp(found, want, sizeof found) == 0 ? 0 : damaged(e, "it was changed");
}

static int check_plain(struct object_reader *r, const struct trust *trust, struct err *e)
{
    uint8_t digest[DIGEST_STRONG];
    enum trust_covered covered = TRUST_NOT_COVERED;

    if (!trust->sealed)
        return 0;
    if (trust->covers != NULL)
        covered = trust->covers(trust->covers_arg, &r->head, digest);
    if (covered == TRUST_COVERED)
        return 0;
    if (covered == TRUST_BY_DIGEST)
        return check_whole(r, digest, e);
    (void)err_set(e, ERR_REFUSED, "it is not sealed, but this repository is");
    return err_hint(e, "Somebody may have put it there: only objects that were there when "
                       "encryption was switched on may be plain.");
}

static int check_sealed(const struct object_reader *r, const struct trust *trust, size_t signed_len,
                        struct err *e)
{
    const uint8_t *key;

    if (!trust->sealed) {
        (void)err_set(e, ERR_KEY, "it is sealed, and no keys are configured here");
        return err_hint(e, "Set host_key or secret_key in the configuration.");
    }
    key = trust_find(trust, r->head.signer);
    if (key == NULL)
        return err_set(e, ERR_REFUSED, "it is signed by a host that the owner did not certify");
    if (!secret_object_verify(r->tail.signature, r->head_digest, r->tail_memory + 8, signed_len - 8,
                              key))
        return damaged(e, "its signature does not match");
    return 0;
}

int object_open(struct object_reader *r, const struct object_source *source,
                const struct trust *trust, const struct object_want *want, struct err *e)
{
    size_t signed_len = 0;

    r->source = source;
    r->tail_memory = NULL;
    r->has_metadata = false;
    r->has_content = false;
    if (read_first(r, e) != 0 || read_last(r, &signed_len, e) != 0 ||
        check_identity(r, trust, want, e) != 0 ||
        (r->head.sealed ? check_sealed(r, trust, signed_len, e) : check_plain(r, trust, e)) != 0) {
        (void)err_context(e, "\"%s\"", source->name);
        object_close(r);
        return -1;
    }
    return 0;
}

int object_unlock(struct object_reader *r, const struct key_recovery *key, struct err *e)
{
    uint8_t content[SECRET_KEY];

    if (!r->head.sealed)
        return 0;
    for (unsigned i = 0; i < r->keys.count; i++) {
        if (memcmp(r->keys.recipient[i], key->id, KEY_ID) != 0)
            continue;
        if (secret_box_open(content, r->keys.box[i], key->box_public, key->secret, e) != 0 ||
            secret_content_check(&r->content, content, r->head.commitment, e) != 0)
            return err_context(e, "\"%s\"", r->source->name);
        secret_wipe(content, sizeof content);
        r->has_content = true;
        r->has_metadata = true;
        return 0;
    }
    (void)err_set(e, ERR_KEY, "\"%s\" is not sealed to the key \"%s\"", r->source->name, key->name);
    return err_hint(e, "Use the recovery key that belongs to this repository.");
}

int object_unlock_metadata(struct object_reader *r, const struct key_host *key, struct err *e)
{
    if (!r->head.sealed || r->has_metadata)
        return 0;
    if (memcmp(r->head.write_id, key->write_id, sizeof key->write_id) != 0)
        return err_set(e, ERR_KEY, "\"%s\" was written under another write key than \"%s\" holds",
                       r->source->name, key->name);
    if (secret_unwrap(r->content.metadata, r->head.wrapped, r->head.commitment, key->write, e) != 0)
        return -1;
    r->has_metadata = true;
    return 0;
}

bool object_can_read(const struct object_reader *r)
{
    return !r->head.sealed || (r->head.metadata_body ? r->has_metadata : r->has_content);
}

static void start_digest(struct object_reader *r)
{
    uint8_t key[DIGEST_FAST_KEY];

    if (r->head.sealed) {
        digest_init_strong(&r->digest, PHASE_LOADED);
        return;
    }
    secret_plain_digest_key(key, r->head.repo_id);
    digest_init_fast(&r->digest, key, PHASE_LOADED);
}

static int check_digest(struct object_reader *r, struct err *e)
{
    uint8_t found[DIGEST_STRONG] = {0};

    if (r->head.sealed)
        digest_get_strong(&r->digest, found);
    else
        digest_get_fast(&r->digest, r->tail.body_size, 0, found);
    if (memcmp(found, r->tail.body_digest, sizeof found) != 0)
        return damaged(e, "its content is not what its trailer says");
    return 0;
}

int object_check_stored(struct object_reader *r, struct err *e)
{
    if (r->head.codec != CODEC_LZ4)
        return err_set(e, ERR_INTERNAL, "\"%s\" is checked entry by entry", r->source->name);
    start_digest(r);
    if (pump(r, r->body_at, r->tail.body_size, &r->digest.sink, e) != 0 || check_digest(r, e) != 0)
        return err_context(e, "\"%s\"", r->source->name);
    return 0;
}

/* The cipher authenticates every piece under a key that the signed header commits to, so a sealed
 * body needs no second pass for its digest. */
static int link_chain(struct object_reader *r, struct sink *out, struct sink **first, struct err *e)
{
    uint8_t key[SECRET_KEY];
    int rc;

    lz4_unpack_init(&r->unpack, r->tail.kept_size);
    if (sink_link(&r->unpack.sink, out, e) != 0)
        return -1;
    if (!r->head.sealed) {
        start_digest(r);
        *first = &r->digest.sink;
        return sink_link(&r->digest.sink, &r->unpack.sink, e);
    }
    if (r->head.metadata_body)
        secret_metadata_body(key, r->content.metadata);
    else
        memcpy(key, r->content.key, SECRET_KEY);
    rc = seal_pull_init(&r->seal, key, r->head.stream, r->head_digest, e);
    secret_wipe(key, sizeof key);
    *first = &r->seal.sink;
    return rc == 0 ? sink_link(&r->seal.sink, &r->unpack.sink, e) : -1;
}

int object_content(struct object_reader *r, struct sink *out, struct err *e)
{
    struct sink *first = NULL;

    if (!object_can_read(r)) {
        (void)err_set(e, ERR_KEY, "\"%s\" is sealed, and no secret key is here", r->source->name);
        return err_hint(e, "Set secret_key to the recovery key.");
    }
    if (r->head.codec != CODEC_LZ4)
        return err_set(e, ERR_INTERNAL, "\"%s\" has no content of its own", r->source->name);
    if (link_chain(r, out, &first, e) != 0 || pump(r, r->body_at, r->tail.body_size, first, e) != 0)
        return err_context(e, "\"%s\"", r->source->name);
    if (r->unpack.made != r->tail.kept_size)
        (void)damaged(e, "its content is shorter than its trailer says");
    else if (r->head.sealed || check_digest(r, e) == 0)
        return 0;
    return err_context(e, "\"%s\"", r->source->name);
}

static int part(const struct object_reader *r, const uint8_t *stored, size_t stored_len,
                const uint8_t *key, uint8_t **out, size_t *len, struct err *e)
{
    *out = NULL;
    *len = 0;
    if (stored_len == 0)
        return 0;
    if (r->head.sealed && stored_len < SECRET_PART_EXTRA)
        return damaged(e, "a sealed part of its trailer is too short");
    *out = malloc(stored_len);
    if (*out == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu bytes of a trailer", stored_len);
    *len = stored_len - (r->head.sealed ? SECRET_PART_EXTRA : 0);
    if (!r->head.sealed) {
        memcpy(*out, stored, stored_len);
    } else if (secret_part_open(*out, stored, stored_len, key, r->head_digest, e) != 0) {
        free(*out);
        *out = NULL;
        return err_context(e, "\"%s\"", r->source->name);
    }
    return 0;
}

int object_metadata(struct object_reader *r, uint8_t **out, size_t *len, struct err *e)
{
    if (r->head.sealed && !r->has_metadata)
        return err_set(e, ERR_KEY, "\"%s\": its metadata needs the host key or a secret key",
                       r->source->name);
    return part(r, r->tail.metadata_part, r->tail.metadata_len, r->content.metadata, out, len, e);
}

int object_data(struct object_reader *r, uint8_t **out, size_t *len, struct err *e)
{
    if (r->head.sealed && !r->has_content)
        return err_set(e, ERR_KEY, "\"%s\": this part needs a secret key", r->source->name);
    return part(r, r->tail.data_part, r->tail.data_len, r->content.data, out, len, e);
}

void object_close(struct object_reader *r)
{
    free(r->tail_memory);
    r->tail_memory = NULL;
    r->has_metadata = false;
    r->has_content = false;
    secret_wipe(&r->content, sizeof r->content);
}

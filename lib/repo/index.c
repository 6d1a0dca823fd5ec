#include "repo/index.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "os/host.h"
#include "stream/digest.h"

enum { END_BYTES = 8 };

static const uint8_t magic[4] = {0xb5, 'W', 'x', '1'};
static const char seed_text[] = "walden index 1\n";

void index_seed_make(struct index_seed *seed, const uint8_t repo_id[16],
                     const struct store_lineage *where)
{
    size_t n = sizeof seed_text - 1;
    size_t name = strlen(where->cluster);

    memcpy(seed->bytes, seed_text, n);
    memcpy(seed->bytes + n, repo_id, 16);
    put_u64(seed->bytes + n + 16, where->system_id);
    n += 24;
    if (name > sizeof seed->bytes - n)
        name = sizeof seed->bytes - n;
    memcpy(seed->bytes + n, where->cluster, name);
    seed->len = n + name;
    seed->crc = crc32c_extend(0, seed->bytes, seed->len);
    digest_strong(seed->chain, seed->bytes, seed->len);
}

void index_file(char out[FRAME_NAME_MAX + 1], const struct repo *r)
{
    char host[OS_HOSTNAME_MAX];

    if (r->has_host)
        (void)snprintf(host, sizeof host, "%.60s", r->host.name);
    else
        os_hostname(host, sizeof host);
    (void)snprintf(out, FRAME_NAME_MAX + 1, "%.60s", host);
    for (char *c = out; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              *c == '-' || *c == '_' || (*c == '.' && c != out)))
            *c = '_';
}

/* The chain goes on over the bytes of a record up to its own chain. */
static void chain_on(uint8_t chain[INDEX_CHAIN], const uint8_t *bytes, size_t len)
{
    uint8_t joined[INDEX_CHAIN + INDEX_RECORD_MAX];

    memcpy(joined, chain, INDEX_CHAIN);
    memcpy(joined + INDEX_CHAIN, bytes, len);
    digest_strong(chain, joined, INDEX_CHAIN + len);
}

static size_t message(uint8_t out[INDEX_SEED_MAX + INDEX_CHAIN], const struct index_seed *seed,
                      const uint8_t chain[INDEX_CHAIN])
{
    memcpy(out, seed->bytes, seed->len);
    memcpy(out + seed->len, chain, INDEX_CHAIN);
    return seed->len + INDEX_CHAIN;
}

size_t index_encode(uint8_t out[INDEX_RECORD_MAX], const struct index_seed *seed,
                    const struct index_record *r, uint8_t *chain, const struct key_host *signer)
{
    uint8_t text[INDEX_SEED_MAX + INDEX_CHAIN];
    size_t n = INDEX_HEAD + r->name_len;
    size_t len;

    if (r->name_len == 0 || r->name_len > FRAME_NAME_MAX || r->part_len > INDEX_PART_MAX ||
        r->n_boxes > FRAME_BOXES_MAX)
        return 0;
    len = n + 2 + r->part_len + 1 + KEY_ID * (size_t)r->n_boxes + END_BYTES;
    if (chain != NULL)
        len += signer == NULL ? (size_t)INDEX_CHAIN : (size_t)INDEX_SIGNED;
    memcpy(out, magic, sizeof magic);
    put_u16(out + 4, (uint16_t)len);
    out[6] = (uint8_t)r->kind;
    out[7] = (uint8_t)((r->flags & INDEX_REVOKED) | (chain != NULL ? INDEX_CHAINED : 0U) |
                       (chain != NULL && signer != NULL ? INDEX_IS_SIGNED : 0U));
    put_u64(out + 8, r->size);
    put_u64(out + 16, r->stamp);
    out[24] = (uint8_t)r->name_len;
    memcpy(out + INDEX_HEAD, r->name, r->name_len);
    put_u16(out + n, (uint16_t)r->part_len);
    if (r->part_len > 0)
        memcpy(out + n + 2, r->part, r->part_len);
    n += 2 + r->part_len;
    out[n++] = (uint8_t)r->n_boxes;
    if (r->n_boxes > 0)
        memcpy(out + n, r->boxes, KEY_ID * (size_t)r->n_boxes);
    n += KEY_ID * (size_t)r->n_boxes;
    if (chain != NULL) {
        chain_on(chain, out, n);
        memcpy(out + n, chain, INDEX_CHAIN);
        n += INDEX_CHAIN;
    }
    if (chain != NULL && signer != NULL) {
        memcpy(out + n, signer->id, KEY_ID);
        secret_sign(out + n + KEY_ID, text, message(text, seed, chain), signer->sign_secret);
        n += KEY_ID + FRAME_SIGNATURE;
    }
    put_u16(out + n, (uint16_t)len);
    put_u16(out + n + 2, 0);
    put_u32(out + n + 4, crc32c_extend(seed->crc, out, n + 4));
    return len;
}

/* A whole record, by its frame: its length, or 0. */
static size_t frame_length(const struct index_seed *seed, const uint8_t *p, size_t left)
{
    size_t len;

    if (left < INDEX_HEAD + 3 + END_BYTES || memcmp(p, magic, sizeof magic) != 0)
        return 0;
    len = get_u16(p + 4);
    if (len > left || len > INDEX_RECORD_MAX || len < INDEX_HEAD + 3 + END_BYTES ||
        get_u16(p + len - END_BYTES) != len ||
        get_u32(p + len - 4) != crc32c_extend(seed->crc, p, len - 4))
        return 0;
    return len;
}

static bool is_sensible(enum object_kind kind, unsigned flags)
{
    return kind >= KIND_SEGMENT && kind <= KIND_LAST &&
           (flags & ~(unsigned)(INDEX_CHAINED | INDEX_IS_SIGNED | INDEX_REVOKED)) == 0 &&
           (flags & (INDEX_CHAINED | INDEX_IS_SIGNED)) != INDEX_IS_SIGNED;
}

bool index_decode(struct index_record *r, const struct index_seed *seed, const uint8_t *p,
                  size_t left)
{
    size_t len = frame_length(seed, p, left);
    size_t n = INDEX_HEAD;

    if (len == 0)
        return false;
    *r = (struct index_record){.kind = (enum object_kind)p[6], .flags = p[7], .len = len};
    if (!is_sensible(r->kind, r->flags))
        return false;
    r->size = get_u64(p + 8);
    r->stamp = get_u64(p + 16);
    r->name_len = p[24];
    r->name = (const char *)p + n;
    n += r->name_len;
    if (r->name_len == 0 || r->name_len > FRAME_NAME_MAX || n + 3 + END_BYTES > len)
        return false;
    r->part_len = get_u16(p + n);
    r->part = p + n + 2;
    n += 2 + r->part_len;
    if (n + 1 + END_BYTES > len || p[n] > FRAME_BOXES_MAX)
        return false;
    r->n_boxes = p[n];
    r->boxes = p + n + 1;
    n += 1 + KEY_ID * (size_t)r->n_boxes;
    r->hashed = n;
    if ((r->flags & INDEX_CHAINED) != 0 && n + INDEX_CHAIN <= len) {
        r->chain = p + n;
        n += INDEX_CHAIN;
    }
    if ((r->flags & INDEX_IS_SIGNED) != 0 && n + KEY_ID + FRAME_SIGNATURE <= len) {
        r->signer = p + n;
        r->signature = p + n + KEY_ID;
        n += KEY_ID + FRAME_SIGNATURE;
    }
    return n + END_BYTES == len;
}

bool index_decode_last(struct index_record *r, const struct index_seed *seed, const uint8_t *p,
                       size_t len)
{
    size_t n = len < END_BYTES ? 0 : get_u16(p + len - END_BYTES);

    return n > 0 && n <= len && index_decode(r, seed, p + len - n, n) && r->len == n;
}

bool index_chain(uint8_t chain[INDEX_CHAIN], const struct index_record *r, const uint8_t *bytes)
{
    if (r->chain == NULL)
        return false;
    chain_on(chain, bytes, r->hashed);
    return memcmp(chain, r->chain, INDEX_CHAIN) == 0;
}

bool index_is_signed_by(const struct index_record *r, const struct index_seed *seed,
                        const uint8_t public_key[SECRET_KEY])
{
    uint8_t text[INDEX_SEED_MAX + INDEX_CHAIN];

    return r->signature != NULL &&
           secret_verify(r->signature, text, message(text, seed, r->chain), public_key);
}

#include "object/passphrase.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "object/record.h"

/* What this version writes, and the most that it accepts from a file. */
enum { SALT = 16, SECRETS = 64, SEALED = SECRETS + SECRET_PART_EXTRA };
#define OPS_WRITTEN    UINT64_C(2)
#define MEMORY_WRITTEN (UINT64_C(64) << 20)
#define OPS_MAX        UINT64_C(16)
#define MEMORY_MAX     (UINT64_C(1) << 30)

_Static_assert(SALT == crypto_pwhash_argon2id_SALTBYTES, "salt of Argon2id");

struct protected
{
    struct key_public known;
    uint64_t ops;
    uint64_t memory;
    uint8_t salt[SALT];
    uint8_t sealed[SEALED];
    size_t bound; /* bytes of the file that the cipher binds: all lines before `sealed` */
};

static int derive(uint8_t key[SECRET_KEY], const struct protected *p, const char *pass, size_t len,
                  struct err *e)
{
    if (crypto_pwhash_argon2id(key, SECRET_KEY, pass, len, p->salt, p->ops, (size_t)p->memory,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0)
        return 0;
    return err_set(e, ERR_NOMEM, "no memory to work the passphrase (%llu MB are needed)",
                   (unsigned long long)(p->memory >> 20));
}

static int write_head(struct buf *b, const struct key_recovery *k, const struct protected *p,
                      struct err *e)
{
    char salt[2 * SALT + 1];

    text_hex(salt, p->salt, SALT);
    if (record_begin(b, "protected-key", e) != 0 ||
        record_hex(b, "repo", k->repo_id, 16, "", e) != 0 ||
        buf_fmt(b, e, "name %s\n", k->name) != 0 ||
        record_hex(b, "public", k->box_public, SECRET_KEY, "", e) != 0 ||
        record_hex(b, "owner", k->owner, SECRET_KEY, "", e) != 0)
        return -1;
    return buf_fmt(b, e, "argon2id %llu %llu %s\n", (unsigned long long)p->ops,
                   (unsigned long long)p->memory, salt);
}

int passphrase_protect(struct buf *out, const struct key_recovery *k, const char *pass, size_t len,
                       struct err *e)
{
    static const uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
    struct protected p = {.ops = OPS_WRITTEN, .memory = MEMORY_WRITTEN};
    uint8_t secrets[SECRETS];
    uint8_t key[SECRET_KEY];
    struct buf b;
    int rc = -1;

    if (len < PASSPHRASE_MIN || len > PASSPHRASE_MAX)
        return err_set(e, ERR_USAGE, "a passphrase has %d to %d bytes", PASSPHRASE_MIN,
                       PASSPHRASE_MAX);
    buf_init(&b, KEY_FILE_MAX);
    secret_random(p.salt, SALT);
    memcpy(secrets, k->secret, SECRET_KEY);
    memset(secrets + SECRET_KEY, 0, SECRET_KEY);
    if (k->is_owner)
        memcpy(secrets + SECRET_KEY, k->owner_seed, SECRET_KEY);
    if (write_head(&b, k, &p, e) != 0 || derive(key, &p, pass, len, e) != 0)
        goto out;
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(p.sealed, NULL, secrets, SECRETS, b.p, b.len,
                                                     NULL, nonce, key); /* cannot fail */
    if (record_hex(&b, "sealed", p.sealed, SEALED, "", e) == 0 && record_end(&b, e) == 0)
        rc = buf_add(out, b.p, b.len, e);
out:
    secret_wipe(secrets, sizeof secrets);
    secret_wipe(key, sizeof key);
    buf_fini(&b);
    return rc;
}

static int read_argon(struct protected *p, const struct record *r, const struct record_line *l,
                      struct err *e)
{
    struct err bad = {0};

    if (record_expect(r, l, 4, e) != 0)
        return -1;
    if (parse_u64(l->word[1], crypto_pwhash_argon2id_OPSLIMIT_MIN, OPS_MAX, &p->ops, &bad) != 0 ||
        parse_u64(l->word[2], crypto_pwhash_argon2id_MEMLIMIT_MIN, MEMORY_MAX, &p->memory, &bad) !=
            0)
        return record_bad(r, "it asks for an impossible amount of work", e);
    return record_bytes(r, l, 3, p->salt, SALT, e);
}

/* The lines come in one order only: what the cipher binds is all before the last. */
static int read_line(struct protected *p, const struct record *r, const struct record_line *l,
                     unsigned n, struct err *e)
{
    static const char *const words[] = {"repo", "name", "public", "owner", "argon2id", "sealed"};
    struct err bad = {0};

    if (n >= sizeof words / sizeof words[0] || strcmp(l->word[0], words[n]) != 0)
        return record_bad(r, "its lines are not those of a protected key", e);
    if (n == 4)
        return read_argon(p, r, l, e);
    if (record_expect(r, l, 2, e) != 0)
        return -1;
    switch (n) {
    case 0:
        return record_bytes(r, l, 1, p->known.repo_id, 16, e);
    case 1:
        if (parse_name(l->word[1], &bad) != 0)
            return record_bad(r, "its name is not a valid name", e);
        (void)snprintf(p->known.name, sizeof p->known.name, "%s", l->word[1]);
        return 0;
    case 2:
        return record_bytes(r, l, 1, p->known.box_public, SECRET_KEY, e);
    case 3:
        return record_bytes(r, l, 1, p->known.owner, SECRET_KEY, e);
    default:
        return record_bytes(r, l, 1, p->sealed, SEALED, e);
    }
}

static int read_file(struct protected *p, const char *text, size_t len, const char *what,
                     struct err *e)
{
    struct record r;
    struct record_line l;
    unsigned n = 0;
    int rc;

    memset(p, 0, sizeof *p);
    if (record_open(&r, "protected-key", text, len, what, e) != 0)
        return -1;
    for (;;) {
        size_t at = (size_t)(r.at - text);

        rc = record_next(&r, &l, e);
        if (rc != 1)
            break;
        if (read_line(p, &r, &l, n, e) != 0)
            return -1;
        p->bound = at;
        n++;
    }
    if (rc == 0 && n != 6)
        rc = record_bad(&r, "a line is missing", e);
    secret_key_id(p->known.id, p->known.box_public);
    return rc;
}

int passphrase_public(struct key_public *k, const char *text, size_t text_len, const char *what,
                      struct err *e)
{
    struct protected p;

    if (read_file(&p, text, text_len, what, e) != 0)
        return -1;
    *k = p.known;
    return 0;
}

/* The opened secrets as a key, which must be the one that the file names. */
static int make_key(struct key_recovery *k, const struct protected *p,
                    const uint8_t secrets[SECRETS], const char *what, struct err *e)
{
    static const uint8_t none[SECRET_KEY];
    uint8_t owner[SECRET_KEY];
    uint8_t sign[SECRET_SIGN];
    bool same = true;

    memset(k, 0, sizeof *k);
    memcpy(k->repo_id, p->known.repo_id, 16);
    memcpy(k->name, p->known.name, sizeof k->name);
    memcpy(k->owner, p->known.owner, SECRET_KEY);
    memcpy(k->secret, secrets, SECRET_KEY);
    secret_box_public(k->box_public, k->secret);
    secret_key_id(k->id, k->box_public);
    k->is_owner = !secret_equal(secrets + SECRET_KEY, none, SECRET_KEY);
    if (k->is_owner) {
        memcpy(k->owner_seed, secrets + SECRET_KEY, SECRET_KEY);
        secret_sign_pair(owner, sign, k->owner_seed);
        secret_wipe(sign, sizeof sign);
        same = memcmp(owner, k->owner, SECRET_KEY) == 0;
    }
    if (same && memcmp(k->box_public, p->known.box_public, SECRET_KEY) == 0)
        return 0;
    key_recovery_wipe(k);
    return err_set(e, ERR_DAMAGED, "file \"%s\" is damaged: its public and secret keys differ",
                   what);
}

int passphrase_open(struct key_recovery *k, const char *text, size_t text_len, const char *what,
                    const char *pass, size_t len, struct err *e)
{
    static const uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
    struct protected p;
    uint8_t secrets[SECRETS];
    uint8_t key[SECRET_KEY];
    int rc;

    if (read_file(&p, text, text_len, what, e) != 0 || derive(key, &p, pass, len, e) != 0)
        return -1;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(secrets, NULL, NULL, p.sealed, SEALED,
                                                   (const uint8_t *)text, p.bound, nonce, key) != 0)
        rc = err_set(e, ERR_KEY, "the passphrase does not open \"%s\"", what);
    else
        rc = make_key(k, &p, secrets, what, e);
    secret_wipe(key, sizeof key);
    secret_wipe(secrets, sizeof secrets);
    return rc;
}

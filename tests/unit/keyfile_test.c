/* Goal: key files read back as written, and nothing else is taken for one: every byte flipped,
 * every truncation and every wrong passphrase is noticed, and no secret is read from a file of
 * another kind. */
#include <stdlib.h>

#include "object/key.h"
#include "object/passphrase.h"
#include "object/record.h"
#include "unit/tap.h"

static const uint8_t repo_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct key_recovery owner;
static struct key_host host;

typedef int read_fn(const char *text, size_t len, struct err *e);

static int read_host(const char *text, size_t len, struct err *e)
{
    struct key_host k;

    return key_host_read(&k, text, len, "file", e);
}

static int read_recovery(const char *text, size_t len, struct err *e)
{
    struct key_recovery k;

    return key_recovery_read(&k, text, len, "file", e);
}

static int read_public(const char *text, size_t len, struct err *e)
{
    struct key_public k;

    return key_public_read(&k, text, len, "file", e);
}

static int read_protected(const char *text, size_t len, struct err *e)
{
    struct key_public k;

    return passphrase_public(&k, text, len, "file", e);
}

/* No change of one bit and no truncation is accepted. */
static void test_damage(const char *what, const struct buf *b, read_fn *read)
{
    char *text = malloc(b->len + 1);
    unsigned accepted = 0;
    struct err e = {0};

    memcpy(text, b->p, b->len);
    OK(read(text, b->len, &e) == 0, "%s: reads back: %s", what, e.msg);
    for (size_t i = 0; i < b->len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct err none = {0};

            text[i] = (char)(b->p[i] ^ 1U << bit);
            accepted += read(text, b->len, &none) == 0;
            text[i] = (char)b->p[i];
        }
    OK(accepted == 0, "%s: %u flipped bits are accepted", what, accepted);
    for (size_t n = 0; n < b->len; n++) {
        char *cut = malloc(n + 1); /* exact, so that the sanitizer sees a read behind it */
        struct err none = {0};

        memcpy(cut, b->p, n);
        accepted += read(cut, n, &none) == 0;
        free(cut);
    }
    OK(accepted == 0, "%s: %u truncations are accepted", what, accepted);
    free(text);
}

static void test_round_trip(void)
{
    struct key_host h;
    struct key_recovery r;
    struct key_recovery other;
    struct key_public p;
    struct key_public q;
    struct err e = {0};
    struct buf b;

    buf_init(&b, KEY_FILE_MAX);
    OK(key_host_write(&b, &host, &e) == 0 &&
           key_host_read(&h, buf_text(&b), b.len, "host.key", &e) == 0 &&
           memcmp(&h, &host, sizeof h) == 0,
       "a host key, derived parts included: %s", e.msg);
    test_damage("host key", &b, read_host);
    OK(read_recovery(buf_text(&b), b.len, &e) < 0 && e.code == ERR_REFUSED,
       "it is not taken for a recovery key: %s", e.msg);

    buf_clear(&b);
    err_clear(&e);
    OK(key_recovery_write(&b, &owner, &e) == 0 &&
           key_recovery_read(&r, buf_text(&b), b.len, "recovery.key", &e) == 0 && r.is_owner &&
           memcmp(&r, &owner, sizeof r) == 0,
       "the owner's recovery key: %s", e.msg);
    test_damage("recovery key", &b, read_recovery);

    buf_clear(&b);
    key_recovery_new(&other, repo_id, "alice", owner.owner);
    OK(key_recovery_write(&b, &other, &e) == 0 &&
           key_recovery_read(&r, buf_text(&b), b.len, "alice.key", &e) == 0 && !r.is_owner &&
           memcmp(r.owner, owner.owner, SECRET_KEY) == 0,
       "a further one holds no signing key: %s", e.msg);
    OK(strstr(buf_text(&b), "\nsign ") == NULL, "not even a line of it");

    buf_clear(&b);
    key_recovery_public(&p, &owner);
    OK(key_public_write(&b, &p, &e) == 0 &&
           key_public_read(&q, buf_text(&b), b.len, "recovery.pub", &e) == 0 &&
           memcmp(&p, &q, sizeof p) == 0,
       "the public half: %s", e.msg);
    test_damage("public key", &b, read_public);
    buf_fini(&b);
}

/* A host's key has to be one key for the write level, and differ in the signing one. */
static void test_hosts(void)
{
    struct key_host second;

    key_host_new(&second, repo_id, "second", owner.owner, host.write);
    OK(memcmp(second.write_id, host.write_id, sizeof host.write_id) == 0,
       "a second host has the same write key");
    OK(memcmp(second.sign_public, host.sign_public, SECRET_KEY) != 0, "and signs with its own");
}

static void test_passphrase(void)
{
    static const char pass[] = "correct horse";
    struct key_recovery k;
    struct err e = {0};
    struct buf b;

    buf_init(&b, KEY_FILE_MAX);
    OK(passphrase_protect(&b, &owner, "short", 5, &e) != 0 && e.code == ERR_USAGE,
       "a short passphrase: %s", e.msg);
    err_clear(&e);
    OK(passphrase_protect(&b, &owner, pass, strlen(pass), &e) == 0, "protect: %s", e.msg);
    OK(key_recovery_read(&k, buf_text(&b), b.len, "locked", &e) == KEY_PROTECTED,
       "it is recognised");
    OK(passphrase_open(&k, buf_text(&b), b.len, "locked", pass, strlen(pass), &e) == 0 &&
           memcmp(&k, &owner, sizeof k) == 0,
       "open gives the same key: %s", e.msg);
    OK(passphrase_open(&k, buf_text(&b), b.len, "locked", "wrong horse", 11, &e) != 0 &&
           e.code == ERR_KEY,
       "a wrong passphrase: %s", e.msg);
    test_damage("protected key", &b, read_protected);
    buf_fini(&b);
}

/* A file whose checksum is right but whose lines were exchanged by somebody who knows the format.
 */
static void test_forged(void)
{
    static const char pass[] = "correct horse";
    static const char many[] = "argon2id 4294967296 ";
    struct key_recovery k;
    struct err e = {0};
    struct buf b;
    struct buf forged;
    char *owner_line;
    char *crc;

    buf_init(&b, KEY_FILE_MAX);
    buf_init(&forged, KEY_FILE_MAX);
    OK(passphrase_protect(&b, &owner, pass, strlen(pass), &e) == 0, "protect: %s", e.msg);
    owner_line = strstr((char *)b.p, "\nowner ");
    owner_line[7] = owner_line[7] == '0' ? '1' : '0';
    crc = strstr((char *)b.p, "\ncrc ");
    OK(buf_add(&forged, b.p, (size_t)(crc - (char *)b.p) + 1, &e) == 0 &&
           record_end(&forged, &e) == 0 &&
           passphrase_open(&k, buf_text(&forged), forged.len, "forged", pass, strlen(pass), &e) !=
               0 &&
           e.code == ERR_KEY,
       "another owner, with a new checksum: %s", e.msg);

    buf_clear(&forged);
    err_clear(&e);
    owner_line = strstr((char *)b.p, "argon2id ");
    OK(buf_add(&forged, b.p, (size_t)(owner_line - (char *)b.p), &e) == 0 &&
           buf_str(&forged, many, &e) == 0 &&
           buf_add(&forged, owner_line + 11, (size_t)(crc - owner_line) - 10, &e) == 0 &&
           record_end(&forged, &e) == 0 &&
           passphrase_open(&k, buf_text(&forged), forged.len, "forged", pass, strlen(pass), &e) !=
               0 &&
           e.code == ERR_DAMAGED,
       "work for years is refused: %s", e.msg);
    buf_fini(&b);
    buf_fini(&forged);
}

int main(void)
{
    struct err e = {0};

    OK(secret_start(&e) == 0, "libsodium starts");
    key_recovery_new(&owner, repo_id, "recovery", NULL);
    key_host_new(&host, repo_id, "pi", owner.owner, NULL);
    test_round_trip();
    test_hosts();
    test_passphrase();
    test_forged();
    return tap_done();
}

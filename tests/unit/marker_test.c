/* Goal: a marker reads back as written and in no other form: no flipped bit, no truncation, no
 * missing line, and, when it is sealed, no word that the owner has not signed. */
#include <stdlib.h>

#include "object/record.h"
#include "repo/marker.h"
#include "unit/tap.h"

static struct key_recovery owner;
static uint8_t owner_secret[SECRET_SIGN];

static void make(struct marker *m, unsigned recipients)
{
    memset(m, 0, sizeof *m);
    for (uint8_t i = 0; i < 16; i++)
        m->id[i] = i;
    m->sealed = recipients > 0;
    if (m->sealed)
        memcpy(m->owner, owner.owner, SECRET_KEY);
    m->count = recipients;
    for (unsigned i = 0; i < recipients; i++) {
        memset(m->recipient[i], (int)i + 1, SECRET_KEY);
        (void)snprintf(m->name[i], sizeof m->name[i], "key-%u", i);
    }
}

static void test_form(const char *what, const struct marker *m)
{
    struct marker back;
    struct err e = {0};
    struct buf b;
    unsigned accepted = 0;

    buf_init(&b, RECORD_MAX);
    OK(marker_write(&b, m, owner_secret, &e) == 0, "%s: is written: %s", what, e.msg);
    OK(marker_read(&back, buf_text(&b), b.len, "marker", &e) == 0 &&
           memcmp(&back, m, sizeof back) == 0,
       "%s: reads back: %s", what, e.msg);
    for (size_t i = 0; i < b.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct err none = {0};

            b.p[i] ^= (uint8_t)(1U << bit);
            accepted += marker_read(&back, buf_text(&b), b.len, "marker", &none) == 0;
            b.p[i] ^= (uint8_t)(1U << bit);
        }
    OK(accepted == 0, "%s: %u flipped bits are accepted", what, accepted);
    for (size_t n = 0; n < b.len; n++) {
        char *cut = malloc(n + 1);
        struct err none = {0};

        memcpy(cut, b.p, n);
        accepted += marker_read(&back, cut, n, "marker", &none) == 0;
        free(cut);
    }
    OK(accepted == 0, "%s: %u truncations are accepted", what, accepted);
    buf_fini(&b);
}

/* Text with a right checksum, as anybody can make it. */
static int read_text(const char *lines, enum err_code *code)
{
    struct marker m;
    struct err e = {0};
    struct buf b;
    int rc;

    buf_init(&b, RECORD_MAX);
    rc = buf_str(&b, lines, &e) == 0 && record_end(&b, &e) == 0
             ? marker_read(&m, buf_text(&b), b.len, "marker", &e)
             : -2;
    *code = e.code;
    buf_fini(&b);
    return rc;
}

#define ID  "id 000102030405060708090a0b0c0d0e0f\n"
#define KEY "1111111111111111111111111111111111111111111111111111111111111111"

static void test_lines(void)
{
    static const char *const bad[] = {
        "walden-repo 1\n" ID,
        "walden-repo 1\nmode private\n",
        "walden-repo 1\n" ID "mode public\n",
        "walden-repo 1\n" ID "mode private\nfuture x\n",
        "walden-repo 1\n" ID "mode private more\n",
        "walden-repo 1\n" ID "mode  private\n",
        "walden-repo 1\n" ID "\nmode private\n",
        "walden-repo 1\nid 00\nmode private\n",
        "walden-repo 1\n" ID "mode private\nowner " KEY "\n",
        "walden-repo 1\n" ID "mode private\nrecipient " KEY " x\n",
        "walden-repo 1\n" ID "mode private\nowner " KEY "\nrecipient " KEY " x\n",
        "walden-repo 1\n" ID "mode private\nowner " KEY "\nrecipient " KEY " ../x\n",
    };
    enum err_code code;

    OK(read_text("walden-repo 1\n" ID "mode private\n", &code) == 0, "the shortest marker");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(read_text(bad[i], &code) == -1 && code == ERR_DAMAGED, "bad lines %zu", i);
    OK(read_text("walden-repo 2\n" ID "mode private\n", &code) == -1 && code == ERR_REFUSED,
       "a later version is refused");
}

/* The storage names another owner and signs with its own key: the marker is in itself right, and it
 * is repo/repo that compares the owner.  But it cannot keep the owner's name. */
static void test_forged(void)
{
    struct key_recovery stranger;
    uint8_t public_key[SECRET_KEY];
    uint8_t secret[SECRET_SIGN];
    struct marker m;
    struct err e = {0};
    struct buf b;

    buf_init(&b, RECORD_MAX);
    key_recovery_new(&stranger, owner.repo_id, "stranger", NULL);
    secret_sign_pair(public_key, secret, stranger.owner_seed);
    make(&m, 1);
    OK(marker_write(&b, &m, secret, &e) == 0 &&
           marker_read(&m, buf_text(&b), b.len, "marker", &e) != 0 && e.code == ERR_DAMAGED,
       "signed by another than it names: %s", e.msg);
    buf_fini(&b);
}

int main(void)
{
    static const uint8_t id[16] = {7};
    uint8_t public_key[SECRET_KEY];
    struct marker m;
    struct err e = {0};

    OK(secret_start(&e) == 0, "libsodium starts");
    key_recovery_new(&owner, id, "recovery", NULL);
    secret_sign_pair(public_key, owner_secret, owner.owner_seed);
    make(&m, 0);
    test_form("plain", &m);
    m.group = true;
    test_form("group", &m);
    make(&m, 1);
    test_form("sealed", &m);
    make(&m, MARKER_RECIPIENTS_MAX);
    test_form("sealed to many", &m);
    test_lines();
    test_forged();
    return tap_done();
}

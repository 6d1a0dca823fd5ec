/*
 * Goal: what an object holds comes back exactly; every changed byte, every cut and every swapped
 * part is noticed, plain and sealed; who may not read it cannot.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/buf.h"
#include "object/reader.h"
#include "object/writer.h"

static struct object_writer writer;
static struct object_reader reader;
static struct key_host host;
static struct key_host stranger;
static struct key_recovery recovery;
static struct key_recovery second;
static struct key_recovery outsider;
static const uint8_t repo_id[16] = "0123456789abcde";

/* --- a store in memory --- */

struct memory {
    struct sink sink;
    uint8_t *p;
    size_t len;
    size_t cap;
};

static int memory_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct memory *m = (struct memory *)s;

    (void)e;
    if (m->len + len > m->cap) {
        m->cap = 2 * (m->len + len);
        m->p = realloc(m->p, m->cap);
    }
    memcpy(m->p + m->len, bytes, len);
    m->len += len;
    return 0;
}

static const struct sink_ops memory_ops = {"memory", memory_write, sink_finish_next,
                                           sink_abort_next};

static void memory_init(struct memory *m, enum sink_phase phase)
{
    sink_init(&m->sink, &memory_ops, phase);
    m->len = 0;
}

static int memory_read(void *arg, uint64_t at, void *buf, size_t len, struct err *e)
{
    const struct memory *m = arg;

    if (at + len > m->len)
        return err_set(e, ERR_DAMAGED, "read past the end");
    memcpy(buf, m->p + at, len);
    return 0;
}

/* --- making and opening --- */

static struct object_seal seal_to_two(void)
{
    struct object_seal s = {.host = &host, .count = 2};

    memcpy(s.recipient[0], recovery.box_public, SECRET_KEY);
    memcpy(s.recipient[1], second.box_public, SECRET_KEY);
    return s;
}

struct spec {
    const struct object_seal *seal;
    const char *name;
    bool compress;
    size_t piece; /* bytes per write */
};

static int make(struct memory *out, const uint8_t *content, size_t len, const struct spec *spec,
                struct err *e)
{
    struct frame_head head = {.kind = KIND_SEGMENT,
                              .system_id = 42,
                              .timeline = 3,
                              .segment_size = 1 << 20,
                              .lsn = 7 << 20};
    struct object_parts parts = {.public_part = (const uint8_t *)"public",
                                 .public_len = 6,
                                 .metadata_part = (const uint8_t *)"metadata",
                                 .metadata_len = 8,
                                 .data_part = (const uint8_t *)"data",
                                 .data_len = 4};

    snprintf(head.name, sizeof head.name, "%s", spec->name);
    snprintf(head.place, sizeof head.place, "main");
    memcpy(head.repo_id, repo_id, 16);
    memory_init(out, PHASE_STORE);
    if (object_writer_begin(&writer, &head, spec->compress, spec->seal, &out->sink, e) != 0)
        return -1;
    for (size_t at = 0; at < len; at += spec->piece) {
        size_t n = len - at < spec->piece ? len - at : spec->piece;

        if (object_writer_write(&writer, content + at, n, e) != 0)
            return -1;
    }
    return object_writer_finish(&writer, &parts, e);
}

static struct trust trust_for(bool sealed)
{
    struct trust t;

    if (!sealed) {
        trust_plain(&t, repo_id);
        return t;
    }
    trust_sealed(&t, repo_id, recovery.owner);
    trust_add_own(&t, host.sign_public);
    return t;
}

/* Opens, unlocks with `key` when given, reads everything.  0 when all of it is proven. */
static int take(struct memory *m, const struct trust *trust, const char *name,
                const struct key_recovery *key, struct memory *content, struct err *e)
{
    struct object_source source = {memory_read, m, m->len, "object"};
    struct object_want want = {.kind = KIND_SEGMENT, .name = name, .system_id = 42};
    int rc = -1;

    memory_init(content, PHASE_DELIVER);
    if (object_open(&reader, &source, trust, &want, e) != 0)
        return -1;
    if ((key == NULL || object_unlock(&reader, key, e) == 0) &&
        object_content(&reader, &content->sink, e) == 0)
        rc = 0;
    object_close(&reader);
    return rc;
}

static bool same(const struct memory *got, const uint8_t *content, size_t len)
{
    for (size_t i = got->len; i < len; i++)
        if (content[i] != 0)
            return false;
    return got->len == 0 || (got->len <= len && memcmp(got->p, content, got->len) == 0);
}

static uint8_t *pattern(size_t len, unsigned kind)
{
    uint8_t *p = calloc(1, len + 1);
    uint32_t x = 12345;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        if (kind == 1)
            p[i] = (uint8_t)(x >> 24);
        else if (kind == 2)
            p[i] = (uint8_t)((i / 300) * 7);
        else if (kind == 3 && i < len / 3)
            p[i] = (uint8_t)(x >> 28);
        else if (kind == 4 && (i / 50000) % 2 == 1)
            p[i] = (uint8_t)(i % 13);
    }
    return p;
}

static void test_round_trips(const struct object_seal *seal)
{
    static const size_t sizes[] = {0,     1,      511,    512,    513,    8192,    65535,  65536,
                                   65537, 262143, 262144, 262145, 524288, 1000000, 1048576};
    static const size_t pieces[] = {1000, 65536, 262144, 1 << 20};
    struct memory object = {0};
    struct memory content = {0};
    struct trust trust = trust_for(seal != NULL);
    unsigned bad = 0;
    unsigned tried = 0;

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (unsigned kind = 0; kind < 5; kind++)
            for (size_t p = 0; p < 4; p++) {
                struct spec spec = {seal, "x", p % 2 == 0, pieces[p]};
                uint8_t *in = pattern(sizes[s], kind);
                struct err e = {0};

                tried++;
                if (make(&object, in, sizes[s], &spec, &e) != 0 ||
                    take(&object, &trust, "x", seal ? &second : NULL, &content, &e) != 0 ||
                    !same(&content, in, sizes[s])) {
                    bad++;
                    printf("# size %zu kind %u piece %zu: %s\n", sizes[s], kind, pieces[p], e.msg);
                }
                free(in);
            }
    OK(bad == 0, "%s: %u contents of all shapes come back", seal ? "sealed" : "plain", tried);
    free(object.p);
    free(content.p);
}

static void test_every_damage(const struct object_seal *seal)
{
    struct spec spec = {seal, "x", true, 4096};
    struct memory object = {0};
    struct memory content = {0};
    struct trust trust = trust_for(seal != NULL);
    uint8_t *in = pattern(3000, 3);
    struct err e = {0};
    unsigned missed = 0;
    size_t len;

    OK(make(&object, in, 3000, &spec, &e) == 0, "an object to damage");
    for (size_t i = 0; i < object.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct err ignored = {0};

            object.p[i] ^= (uint8_t)(1U << bit);
            missed += take(&object, &trust, "x", seal ? &recovery : NULL, &content, &ignored) == 0;
            object.p[i] ^= (uint8_t)(1U << bit);
        }
    OK(missed == 0, "%s: every bit flipped is noticed", seal ? "sealed" : "plain");
    missed = 0;
    len = object.len;
    for (object.len = 0; object.len < len; object.len++) {
        struct err ignored = {0};

        missed += take(&object, &trust, "x", seal ? &recovery : NULL, &content, &ignored) == 0;
    }
    OK(missed == 0, "%s: every cut is noticed", seal ? "sealed" : "plain");
    memory_write(&object.sink, (const uint8_t *)"", 1, &e);
    OK(take(&object, &trust, "x", seal ? &recovery : NULL, &content, &e) != 0,
       "%s: a byte more is noticed", seal ? "sealed" : "plain");
    free(in);
    free(object.p);
    free(content.p);
}

static void test_identity(const struct object_seal *seal)
{
    struct spec spec = {seal, "x", true, 4096};
    struct memory plain = {0};
    struct memory sealed = {0};
    struct memory content = {0};
    struct trust t_plain = trust_for(false);
    struct trust t_sealed = trust_for(true);
    struct trust other = t_plain;
    uint8_t *in = pattern(3000, 1);
    struct err e[8] = {0};

    make(&sealed, in, 3000, &spec, &e[0]);
    spec.seal = NULL;
    make(&plain, in, 3000, &spec, &e[0]);
    OK(take(&plain, &t_plain, "y", NULL, &content, &e[1]) != 0 && e[1].code == ERR_REFUSED,
       "an object under another name is refused: %s", e[1].msg);
    other.cluster = "copy";
    OK(take(&plain, &other, "x", NULL, &content, &e[7]) != 0 && e[7].code == ERR_REFUSED,
       "an object of another cluster is refused: %s", e[7].msg);
    other.cluster = NULL;
    other.repo_id[0] ^= 1;
    OK(take(&plain, &other, "x", NULL, &content, &e[2]) != 0 && e[2].code == ERR_REFUSED,
       "an object of another repository is refused: %s", e[2].msg);
    OK(take(&plain, &t_sealed, "x", NULL, &content, &e[3]) != 0 && e[3].code == ERR_REFUSED,
       "a plain object in a sealed repository is refused: %s", e[3].msg);
    OK(take(&sealed, &t_plain, "x", NULL, &content, &e[4]) != 0 && e[4].code == ERR_KEY,
       "a sealed object without any key: %s", e[4].msg);
    OK(take(&sealed, &t_sealed, "x", NULL, &content, &e[5]) != 0 && e[5].code == ERR_KEY,
       "a sealed object without a secret key: %s", e[5].msg);
    OK(take(&sealed, &t_sealed, "x", &outsider, &content, &e[6]) != 0 && e[6].code == ERR_KEY,
       "a secret key that is not a recipient's: %s", e[6].msg);
    free(in);
    free(plain.p);
    free(sealed.p);
    free(content.p);
}

static void test_forgery(void)
{
    struct object_seal forged = seal_to_two();
    struct spec spec = {&forged, "x", true, 4096};
    struct memory object = {0};
    struct memory content = {0};
    struct trust trust = trust_for(true);
    struct trust_certificate c = {.system_id = 42, .cluster = "main", .host = "stranger"};
    struct err e[3] = {0};
    uint8_t *in = pattern(3000, 1);

    forged.host = &stranger;
    make(&object, in, 3000, &spec, &e[0]);
    OK(take(&object, &trust, "x", &recovery, &content, &e[0]) != 0 && e[0].code == ERR_REFUSED,
       "signed by a host nobody certified: %s", e[0].msg);
    memcpy(c.sign, stranger.sign_public, SECRET_KEY);
    trust_certify(&c, repo_id, stranger.sign_public, stranger.sign_secret);
    OK(!trust_add(&trust, &c), "a certificate it issued itself changes nothing");
    trust_certify(&c, repo_id, host.sign_public, host.sign_secret);
    c.system_id = 43;
    OK(!trust_add(&trust, &c), "a certificate for another cluster changes nothing");
    c.system_id = 42;
    OK(trust_add(&trust, &c) && !trust_add(&trust, &c), "a trusted host's certificate is accepted");
    OK(take(&object, &trust, "x", &recovery, &content, &e[1]) == 0, "then its objects are, too");
    free(in);
    free(object.p);
    free(content.p);
}

/* The two halves of two sealed objects do not fit together. */
static void test_swap(const struct object_seal *seal)
{
    struct spec spec = {seal, "x", true, 4096};
    struct memory a = {0};
    struct memory b = {0};
    struct memory content = {0};
    struct trust trust = trust_for(true);
    uint8_t *in = pattern(3000, 1);
    struct err e = {0};
    size_t head;

    make(&a, in, 3000, &spec, &e);
    make(&b, in, 3000, &spec, &e);
    OK(a.len == b.len && memcmp(a.p, b.p, a.len) != 0, "the same content is never sealed alike");
    head = 8 + get_u32(a.p + 4);
    memcpy(a.p, b.p, head);
    OK(take(&a, &trust, "x", &recovery, &content, &e) != 0, "a header of another object: %s",
       e.msg);
    free(in);
    free(a.p);
    free(b.p);
    free(content.p);
}

static void test_without_secret(const struct object_seal *seal)
{
    struct spec spec = {seal, "x", true, 4096};
    struct memory object = {0};
    struct trust trust = trust_for(true);
    struct object_want want = {.name = "x"};
    struct object_source source = {memory_read, &object, 0, "object"};
    uint8_t *in = pattern(300000, 3);
    uint8_t digest[16];
    uint8_t *part;
    size_t len;
    struct err e = {0};

    make(&object, in, 300000, &spec, &e);
    source.size = object.len;
    OK(object_open(&reader, &source, &trust, &want, &e) == 0 && reader.tail.public_len == 6 &&
           memcmp(reader.tail.public_part, "public", 6) == 0,
       "the public part needs no key");
    OK(object_check_stored(&reader, &e) == 0, "nor does the check of the stored bytes");
    OK(object_metadata(&reader, &part, &len, &e) != 0 && e.code == ERR_KEY, "metadata does");
    err_clear(&e);
    OK(object_unlock_metadata(&reader, &host, &e) == 0 &&
           object_metadata(&reader, &part, &len, &e) == 0 && len == 8 &&
           memcmp(part, "metadata", 8) == 0,
       "the host key opens metadata");
    free(part);
    OK(object_data(&reader, &part, &len, &e) != 0 && !object_can_read(&reader),
       "and neither data nor content");
    memcpy(digest, reader.tail.plain_digest, sizeof digest);
    object_close(&reader);
    err_clear(&e);
    object.p[object.len / 2] ^= 1;
    OK(object_open(&reader, &source, &trust, &want, &e) == 0 &&
           object_check_stored(&reader, &e) != 0,
       "damage in the body is found without a key: %s", e.msg);
    object_close(&reader);
    err_clear(&e);
    spec.compress = false;
    spec.piece = 77;
    make(&object, in, 300000, &spec, &e);
    OK(memcmp(writer.tail.plain_digest, digest, 16) == 0,
       "the plaintext digest does not depend on codec or pieces");
    in[0] ^= 1;
    make(&object, in, 300000, &spec, &e);
    OK(memcmp(writer.tail.plain_digest, digest, 16) != 0, "but on every byte");
    free(in);
    free(object.p);
}

int main(void)
{
    struct err e = {0};
    struct object_seal seal;

    if (secret_start(&e) != 0)
        return 99;
    key_recovery_new(&recovery, repo_id, "owner", NULL);
    key_recovery_new(&second, repo_id, "second", recovery.owner);
    key_recovery_new(&outsider, repo_id, "outsider", recovery.owner);
    key_host_new(&host, repo_id, "db1", recovery.owner, NULL);
    key_host_new(&stranger, repo_id, "stranger", recovery.owner, host.write);
    seal = seal_to_two();

    test_round_trips(NULL);
    test_round_trips(&seal);
    test_every_damage(NULL);
    test_every_damage(&seal);
    test_identity(&seal);
    test_forgery();
    test_swap(&seal);
    test_without_secret(&seal);
    return tap_done();
}

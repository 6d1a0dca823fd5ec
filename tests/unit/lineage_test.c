/* Goal: the lineage and its sealed-from record read back as written and in no other form,
 * certificates prove exactly the hosts that lead to the owner, also in a lineage that took them
 * over, and the record covers what it names and nothing else. */
#include <stdlib.h>

#include "object/record.h"
#include "repo/lineage.h"
#include "unit/tap.h"

static const uint8_t repo_id[16] = {9, 8, 7};
static struct key_recovery owner;
static uint8_t owner_secret[SECRET_SIGN];
static struct key_host hosts[12];

static void make(struct lineage *l, uint64_t system_id)
{
    memset(l, 0, sizeof *l);
    memcpy(l->repo_id, repo_id, 16);
    (void)snprintf(l->cluster, sizeof l->cluster, "main");
    l->system_id = system_id;
    l->major = 17;
    l->segment_size = 16 << 20;
}

static void trust_of(struct trust *t, const struct lineage *l)
{
    trust_sealed(t, repo_id, owner.owner);
    lineage_trust(l, t);
}

static bool trusts(const struct lineage *l, const struct key_host *h)
{
    struct trust t;

    trust_of(&t, l);
    return trust_find(&t, h->id) != NULL;
}

static int by_owner(struct lineage *l, const struct key_host *h, struct err *e)
{
    return lineage_certify(l, h->sign_public, h->name, owner.owner, owner_secret, e);
}

static int by_host(struct lineage *l, const struct key_host *h, const struct key_host *issuer,
                   struct err *e)
{
    return lineage_certify(l, h->sign_public, h->name, issuer->sign_public, issuer->sign_secret, e);
}

static void test_form(const char *what, const struct lineage *l)
{
    struct lineage back;
    struct err e = {0};
    struct buf b;
    unsigned accepted = 0;

    buf_init(&b, RECORD_MAX);
    OK(lineage_write(&b, l, &e) == 0 &&
           lineage_read(&back, buf_text(&b), b.len, "cluster", &e) == 0 &&
           memcmp(&back, l, sizeof back) == 0,
       "%s: reads back: %s", what, e.msg);
    for (size_t i = 0; i < b.len; i++) {
        struct err none = {0};

        b.p[i] ^= 1;
        accepted += lineage_read(&back, buf_text(&b), b.len, "cluster", &none) == 0;
        b.p[i] ^= 1;
        accepted += lineage_read(&back, buf_text(&b), i, "cluster", &none) == 0;
    }
    OK(accepted == 0, "%s: %u changed or cut files are accepted", what, accepted);
    buf_fini(&b);
}

static void test_certificates(void)
{
    struct lineage l;
    struct lineage mixed;
    struct trust t;
    struct err e = {0};

    make(&l, 42);
    OK(!trusts(&l, &hosts[0]), "nobody is trusted without a certificate");
    OK(by_owner(&l, &hosts[0], &e) == 0 && trusts(&l, &hosts[0]), "the owner's word counts");
    OK(by_owner(&l, &hosts[0], &e) == 1 && l.count == 1, "a second certificate is not made");
    OK(by_host(&l, &hosts[1], &hosts[0], &e) == 0 && trusts(&l, &hosts[1]),
       "and that of a host that it certified");
    OK(by_host(&l, &hosts[3], &hosts[2], &e) == 0 && !trusts(&l, &hosts[3]), "but no stranger's");
    OK(by_host(&l, &hosts[2], &hosts[3], &e) == 0 && !trusts(&l, &hosts[2]) &&
           !trusts(&l, &hosts[3]),
       "nor that of two strangers who vouch for each other");
    test_form("with hosts", &l);

    mixed = l;
    mixed.host[0] = l.host[1];
    mixed.host[1] = l.host[0];
    OK(trusts(&mixed, &hosts[1]), "the order of the lines does not matter");
    mixed = l;
    memcpy(mixed.host[0].sign, hosts[5].sign_public, SECRET_KEY);
    OK(!trusts(&mixed, &hosts[5]), "a certificate with another key in it proves nothing");
    mixed = l;
    (void)snprintf(mixed.cluster, sizeof mixed.cluster, "other");
    OK(!trusts(&mixed, &hosts[0]), "nor does one of another cluster");
    mixed = l;
    mixed.repo_id[0] ^= 1;
    trust_sealed(&t, mixed.repo_id, owner.owner);
    lineage_trust(&mixed, &t);
    OK(trust_find(&t, hosts[0].id) == NULL, "or of another repository");
}

static void test_chain(void)
{
    struct lineage l;
    struct err e = {0};
    unsigned trusted = 0;

    make(&l, 42);
    (void)by_owner(&l, &hosts[0], &e);
    for (unsigned i = 1; i < 12; i++)
        (void)by_host(&l, &hosts[i], &hosts[i - 1], &e);
    for (unsigned i = 0; i < 12; i++)
        trusted += trusts(&l, &hosts[i]);
    OK(trusted == TRUST_CHAIN_MAX, "a chain ends after %u certificates", trusted);
}

/* After an upgrade the new lineage takes over what the old one can prove. */
static void test_adopt(void)
{
    struct lineage old;
    struct lineage new;
    struct trust t;
    struct err e = {0};

    make(&old, 42);
    (void)by_owner(&old, &hosts[0], &e);
    (void)by_host(&old, &hosts[1], &hosts[0], &e);
    (void)by_host(&old, &hosts[3], &hosts[2], &e);
    make(&new, 43);
    trust_of(&t, &old);
    OK(lineage_adopt(&new, &old, &t, &e) == 0 && new.count == 2,
       "two of three lines are taken over");
    OK(trusts(&new, &hosts[0]) && trusts(&new, &hosts[1]) && !trusts(&new, &hosts[3]),
       "and prove the same hosts there");
    OK(lineage_adopt(&new, &old, &t, &e) == 0 && new.count == 2, "once");
}

#define HEAD "walden-cluster 1\nrepo 09080700000000000000000000000000\n"

static void test_lines(void)
{
    static const char *const bad[] = {
        HEAD "cluster main\nsystem-id 42\nmajor 17\n",
        HEAD "cluster main\nsystem-id 42\nsegment-size 16777216\n",
        HEAD "cluster main\nmajor 17\nsegment-size 16777216\n",
        HEAD "system-id 42\nmajor 17\nsegment-size 16777216\n",
        HEAD "cluster ../x\nsystem-id 42\nmajor 17\nsegment-size 16777216\n",
        HEAD "cluster main\nsystem-id 0\nmajor 17\nsegment-size 16777216\n",
        HEAD "cluster main\nsystem-id -1\nmajor 17\nsegment-size 16777216\n",
        HEAD "cluster main\nsystem-id 42\nmajor 17\nsegment-size 16777217\n",
        HEAD "cluster main\nsystem-id 42\nmajor 17\nsegment-size 16777216\nfuture x\n",
        HEAD "cluster main\nsystem-id 42\nmajor 17\nsegment-size 16777216\nhost 00 11 22 x\n",
    };
    struct lineage l;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        struct buf b;

        buf_init(&b, RECORD_MAX);
        OK(buf_str(&b, bad[i], &e) == 0 && record_end(&b, &e) == 0 &&
               lineage_read(&l, buf_text(&b), b.len, "cluster", &e) != 0 && e.code == ERR_DAMAGED,
           "bad lines %zu: %s", i, e.msg);
        buf_fini(&b);
    }
}

static enum trust_covered asks(const struct sealed_from *s, enum object_kind kind, const char *name,
                               uint32_t timeline, uint64_t lsn)
{
    struct frame_head h = {.kind = kind, .timeline = timeline, .lsn = lsn};
    uint8_t digest[DIGEST_STRONG];

    (void)snprintf(h.name, sizeof h.name, "%s", name);
    return sealed_from_covers(s, &h, digest);
}

static void fill(struct sealed_from *s, struct err *e)
{
    struct sealed_from_object o = {.kind = KIND_HISTORY, .name = "00000002.history"};
    struct sealed_from_object nightly = {.kind = KIND_DUMP, .name = "nightly/20261120"};
    struct sealed_from_object weekly = {.kind = KIND_DUMP, .name = "weekly/20261120"};

    sealed_from_init(s);
    memset(o.digest, 5, sizeof o.digest);
    memset(nightly.digest, 6, sizeof nightly.digest);
    memset(weekly.digest, 7, sizeof weekly.digest);
    OK(sealed_from_timelines_push(&s->timelines, (struct sealed_from_timeline){1, 0x3000000}, e) ==
               0 &&
           sealed_from_timelines_push(&s->timelines, (struct sealed_from_timeline){2, 0x5000000},
                                      e) == 0 &&
           sealed_from_objects_push(&s->objects, o, e) == 0 &&
           sealed_from_objects_push(&s->objects, nightly, e) == 0 &&
           sealed_from_objects_push(&s->objects, weekly, e) == 0,
       "a record is made");
}

/* Jobs may have dumps of one name; the place, which the reader compares, tells them apart. */
static void test_dump(const struct sealed_from *s)
{
    struct frame_head h = {.kind = KIND_DUMP, .name = "20261120", .place = "main/dump/nightly"};
    uint8_t digest[DIGEST_STRONG] = {0};

    OK(sealed_from_covers(s, &h, digest) == TRUST_BY_DIGEST && digest[0] == 6, "a named dump");
    (void)snprintf(h.place, sizeof h.place, "main/dump/weekly");
    OK(sealed_from_covers(s, &h, digest) == TRUST_BY_DIGEST && digest[0] == 7,
       "that of another job has a digest of its own");
    (void)snprintf(h.place, sizeof h.place, "main/dump/other");
    OK(sealed_from_covers(s, &h, digest) == TRUST_NOT_COVERED, "no other job's");
    h.kind = KIND_PACK;
    (void)snprintf(h.name, sizeof h.name, "nightly/20261120");
    OK(sealed_from_covers(s, &h, digest) == TRUST_NOT_COVERED, "nor another kind");
}

/* With segments of 16 MB. */
#define OLD "000000010000000000000002"
#define NEW "000000010000000000000003"

static void test_sealed_from(void)
{
    struct sealed_from s;
    struct sealed_from back;
    struct lineage l;
    struct lineage other;
    struct trust t;
    struct err e = {0};
    struct buf b;
    unsigned accepted = 0;

    make(&l, 42);
    make(&other, 43);
    (void)by_owner(&l, &hosts[0], &e);
    trust_of(&t, &l);
    fill(&s, &e);
    sealed_from_init(&back);
    buf_init(&b, RECORD_MAX);
    OK(sealed_from_write(&b, &s, &l, &hosts[0], &e) == 0 &&
           sealed_from_read(&back, &l, &t, buf_text(&b), b.len, "sealed", &e) == 0 &&
           back.timelines.n == 2 && back.objects.n == 3,
       "the record reads back: %s", e.msg);
    OK(asks(&back, KIND_SEGMENT, OLD, 1, 0x2000000) == TRUST_COVERED, "a segment before it");
    OK(asks(&back, KIND_SEGMENT, NEW, 1, 0x3000000) == TRUST_NOT_COVERED, "not the one at it");
    OK(asks(&back, KIND_SEGMENT, "000000030000000000000001", 3, 0x1000000) == TRUST_NOT_COVERED,
       "nor another timeline's");
    OK(asks(&back, KIND_SEGMENT, NEW, 1, 0x2000000) == TRUST_NOT_COVERED,
       "nor one whose header lies about its place");
    OK(asks(&back, KIND_SEGMENT, NEW, 2, 0x3000000) == TRUST_NOT_COVERED, "or about its timeline");
    OK(asks(&back, KIND_SEGMENT, "x", 1, 0x2000000) == TRUST_NOT_COVERED, "nor without a name");
    OK(asks(&back, KIND_PARTIAL, OLD ".partial", 1, 0x2000000) == TRUST_NOT_COVERED,
       "a partial must be named");
    OK(asks(&back, KIND_HISTORY, "00000002.history", 2, 0) == TRUST_BY_DIGEST, "a named history");
    OK(asks(&back, KIND_HISTORY, "00000003.history", 3, 0) == TRUST_NOT_COVERED, "no other one");
    OK(asks(&back, KIND_MANIFEST, "00000002.history", 2, 0) == TRUST_NOT_COVERED,
       "nor another kind of that name");
    test_dump(&back);
    OK(sealed_from_read(&back, &other, &t, buf_text(&b), b.len, "sealed", &e) != 0,
       "it is not that of another lineage: %s", e.msg);
    l.segment_size *= 2;
    sealed_from_fini(&back);
    sealed_from_init(&back);
    OK(sealed_from_read(&back, &l, &t, buf_text(&b), b.len, "sealed", &e) != 0,
       "nor of one with another segment size, by which names would be other LSNs: %s", e.msg);
    l.segment_size /= 2;
    for (size_t i = 0; i < b.len; i++) {
        struct err none = {0};

        sealed_from_fini(&back);
        sealed_from_init(&back);
        b.p[i] ^= 1;
        accepted += sealed_from_read(&back, &l, &t, buf_text(&b), b.len, "sealed", &none) == 0;
        b.p[i] ^= 1;
    }
    OK(accepted == 0, "%u changed records are accepted", accepted);
    buf_clear(&b);
    err_clear(&e);
    OK(sealed_from_write(&b, &s, &l, &hosts[1], &e) == 0 &&
           sealed_from_read(&back, &l, &t, buf_text(&b), b.len, "sealed", &e) != 0,
       "one that a stranger signed is refused: %s", e.msg);
    sealed_from_fini(&back);
    sealed_from_fini(&s);
    buf_fini(&b);
}

int main(void)
{
    uint8_t public_key[SECRET_KEY];
    struct lineage l;
    struct err e = {0};

    OK(secret_start(&e) == 0, "libsodium starts");
    key_recovery_new(&owner, repo_id, "recovery", NULL);
    secret_sign_pair(public_key, owner_secret, owner.owner_seed);
    for (unsigned i = 0; i < 12; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "host%u", i);
        key_host_new(&hosts[i], repo_id, name, owner.owner, NULL);
    }
    make(&l, 18446744073709551615U);
    test_form("without hosts", &l);
    test_certificates();
    test_chain();
    test_adopt();
    test_lines();
    test_sealed_from();
    return tap_done();
}

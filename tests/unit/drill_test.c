/* Drills: records as bytes and in a repository, what they say together, and what is expected of an
 * answer. */
#include "repo/drill.h"

#include <stdio.h>
#include <string.h>

#include "pages_kit.h"
#include "repo/drill_ask.h"
#include "tap.h"

static struct kit kit;

static void fill(struct drill *d, enum drill_kind kind, const char *job, int64_t end)
{
    drill_init(d);
    d->kind = (uint8_t)kind;
    d->start = end - 10;
    d->end = end;
    d->system_id = kit.repo.where.system_id;
    d->unpack_us = 2000 * 1000;
    d->replay_us = 500 * 1000;
    d->total_us = 3000 * 1000;
    d->bytes = 20 << 20;
    d->wal = 16 << 20;
    d->server_version = 170006;
    (void)snprintf(d->job, sizeof d->job, "%s", job);
    (void)snprintf(d->what, sizeof d->what, "00000001-0000000002000028-abcdef");
    (void)snprintf(d->host, sizeof d->host, "here");
    (void)snprintf(d->target, sizeof d->target, "the end of the archive");
}

static void test_bytes(void)
{
    struct drill d;
    struct drill back;
    struct buf part;
    struct buf details;
    struct err e = {0};
    unsigned accepted = 0;
    unsigned bad = 0;

    fill(&d, DRILL_BACKUP, "", 1000);
    d.failed = true;
    d.head.sequence = 7;
    OK(drill_add(&d, DRILL_FAILED, "queued", ">= 1", "0", &e) != NULL, "a check that failed");
    OK(drill_add(&d, DRILL_SKIPPED, "amcheck", "none", "not checked", &e) != NULL,
       "one that was not");
    buf_init(&part, 8192);
    buf_init(&details, 96 * 1024);
    drill_init(&back);
    OK(drill_encode(&d, &part, &details, &e) == 0 &&
           drill_decode(&back, part.p, part.len, &e) == 0 &&
           drill_decode_details(&back, details.p, details.len, &e) == 0,
       "a record as bytes and back: %s", e.msg);
    OK(back.kind == DRILL_BACKUP && back.failed && !back.cut && back.start == 990 &&
           back.end == 1000 && back.system_id == d.system_id && back.unpack_us == d.unpack_us &&
           back.replay_us == d.replay_us && back.total_us == d.total_us && back.bytes == d.bytes &&
           back.wal == d.wal && back.server_version == 170006 && back.passed == 0 &&
           back.failures == 1 && back.skipped == 1 && back.head.sequence == 7,
       "the drill");
    IS_STR(back.what, d.what, "what was drilled");
    IS_STR(back.host, "here", "where");
    IS_STR(back.target, d.target, "what was asked for");
    OK(back.checks.n == 2 && back.checks.v[0].state == DRILL_FAILED &&
           strcmp(back.checks.v[0].name, "queued") == 0 &&
           strcmp(back.checks.v[0].asked, ">= 1") == 0 && strcmp(back.checks.v[0].found, "0") == 0,
       "the checks");
    drill_fini(&back);
    for (size_t n = 0; n < part.len; n++) {
        drill_init(&back);
        accepted += drill_decode(&back, part.p, n, &e) == 0;
        drill_fini(&back);
    }
    OK(accepted == 1, "cut anywhere but before its last item, it is damaged (%u)", accepted);
    /* More checks than there is room for: the ones that failed stay. */
    for (unsigned i = 0; i < 3000; i++)
        bad += drill_add(&d, DRILL_PASSED, "rows", "1000000000", "1000000000", &e) == NULL;
    OK(bad == 0, "many more that passed");
    OK(drill_add(&d, DRILL_FAILED, "last", "t", "f", &e) != NULL, "and one that failed");
    buf_clear(&part);
    buf_clear(&details);
    drill_init(&back);
    OK(drill_encode(&d, &part, &details, &e) == 0 &&
           drill_decode(&back, part.p, part.len, &e) == 0 &&
           drill_decode_details(&back, details.p, details.len, &e) == 0,
       "many checks: %s", e.msg);
    OK(back.cut && back.checks.n < d.checks.n && details.len < 96 * 1024, "not all are named");
    IS_STR(back.checks.v[back.checks.n - 1].name, "last", "but the one that failed");
    drill_fini(&back);
    drill_fini(&d);
    buf_fini(&part);
    buf_fini(&details);
}

static void put(struct drill *d)
{
    struct err e = {0};

    OK(drill_put(d, &kit.repo, kit.scratch, &e) == 0, "published: %s", e.msg);
}

static void test_records(bool sealed)
{
    const char *mode = sealed ? "sealed" : "plain";
    struct drill_list l;
    struct drill d;
    struct drill back;
    struct err e = {0};
    uint64_t copy;
    uint64_t replay;

    kit_open(&kit, sealed);
    /* The kit goes without a marker; writers of plain objects look whether it is the same still. */
    kit_spit(&kit, "walden-repo", (const uint8_t *)"x", 1);
    OK(store_marker_stamp(&kit.repo.store, "walden-repo", &kit.repo.marker_stamp, &e) == 0,
       "%s: a marker", mode);
    fill(&d, DRILL_BACKUP, "", 1000);
    put(&d);
    drill_fini(&d);
    fill(&d, DRILL_DUMP, "shop", 2000);
    put(&d);
    drill_fini(&d);
    fill(&d, DRILL_BACKUP, "", 3000);
    d.failed = true;
    (void)drill_add(&d, DRILL_FAILED, "queued", ">= 1", "0", &e);
    put(&d);
    OK(drill_list_read(&l, &kit.repo, kit.scratch, &e) == 0 && l.all.n == 3,
       "%s: three are listed: %s", mode, e.msg);
    OK(l.all.v[0].head.sequence == 1 && l.all.v[2].head.sequence == 3, "%s: numbered", mode);
    OK(memcmp(l.all.v[1].head.previous, l.all.v[2].head.previous, MANIFEST_DIGEST) != 0,
       "%s: and chained", mode);
    OK(drill_newest(&l, kit.repo.where.system_id, NULL) == &l.all.v[2], "%s: of the backups", mode);
    OK(drill_newest(&l, kit.repo.where.system_id, "shop") == &l.all.v[1], "%s: of the dumps", mode);
    OK(drill_newest(&l, kit.repo.where.system_id, "other") == NULL, "%s: of another job", mode);
    OK(drill_newest(&l, kit.repo.where.system_id + 1, NULL) == NULL, "%s: of another server", mode);
    OK(drill_rates(&l, kit.repo.where.system_id, &copy, &replay) == &l.all.v[0] &&
           copy == (10 << 20) / 1000 * 1000 && replay == (32 << 20) / 1000 * 1000,
       "%s: rates are those of the last that went well (%llu, %llu)", mode,
       (unsigned long long)copy, (unsigned long long)replay);
    drill_init(&back);
    OK(drill_read(&back, &kit.repo, d.label, kit.scratch, &e) == 0 && back.has_details &&
           back.checks.n == 1,
       "%s: with its answers: %s", mode, e.msg);
    drill_fini(&back);
    drill_list_fini(&l);
    drill_fini(&d);
    kit_close(&kit);
}

static void test_expect(void)
{
    static const struct {
        const char *expect;
        const char *found;
        bool yes;
    } cases[] = {
        {NULL, "t", true},
        {NULL, "f", false},
        {NULL, "", false},
        {"5", "5", true},
        {"5", "5.0", true},
        {"= 5", "05", true},
        {"=5", "6", false},
        {">= 1", "0", false},
        {">= 1", "1", true},
        {">= 1", "123456789012345678901234567890", true},
        {"< 123456789012345678901234567890", "99", true},
        {"> -2", "-1.5", true},
        {"> -2", "-2.5", false},
        {"<= 0.30", "0.3", true},
        {"< 0.30", "0.3", false},
        {"= -0", "0", true},
        {"!= 3", "3.000", false},
        {"<> a", "b", true},
        {"> 3", "none", false},
        {"> 3", "", false},
        {"contains \"db\":\"ok\"", "{\"db\":\"ok\"}", true},
        {"contains ok", "no", false},
        {"shop_owner", "shop_owner", true},
        {"=", "", true},
    };
    struct err e = {0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        OK(drill_expect(cases[i].expect, cases[i].found) == cases[i].yes, "expect %s, found \"%s\"",
           cases[i].expect == NULL ? "nothing" : cases[i].expect, cases[i].found);
    OK(drill_expect_check(">= 1", &e) == 0 && drill_expect_check("t", &e) == 0 &&
           drill_expect_check("contains x", &e) == 0,
       "what may be written");
    OK(drill_expect_check(">= many", &e) != 0, "%s", e.msg);
    err_clear(&e);
    OK(drill_expect_check(">", &e) != 0, "%s", e.msg);
}

int main(void)
{
    test_bytes();
    test_records(false);
    test_records(true);
    test_expect();
    return tap_done();
}

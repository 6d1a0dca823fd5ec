/*
 * Goal: what a dump says about itself comes back as it was written; labels order dumps; a job's
 * section is read strictly, and a runner that would spoil a dump is refused; words are split as the
 * configuration promises.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/words.h"
#include "repo/dump.h"
#include "repo/dump_job.h"

static void test_words(void)
{
    static struct words w;
    struct err e = {0};

    OK(words_split(&w, "  docker  compose exec\t-T 'my db' \"a \\\"b\" c\\ d ''", WORDS_COMMAND,
                   &e) == 0 &&
           w.n == 8,
       "a command is split");
    IS_STR(w.v[4], "my db", "quotes hold blanks and are taken off");
    IS_STR(w.v[5], "a \"b", "a backslash takes the next character");
    IS_STR(w.v[6], "c d", "also a blank");
    IS_STR(w.v[7], "", "an empty word is one");
    OK(w.v[8] == NULL, "the list ends in NULL");
    OK(words_split(&w, "app.orders \"We ird\".\"T\"", WORDS_NAMES, &e) == 0 && w.n == 2,
       "a list of names is split");
    IS_STR(w.v[1], "\"We ird\".\"T\"", "and keeps its quotes");
    OK(words_split(&w, NULL, WORDS_NAMES, &e) == 0 && w.n == 0, "nothing is an empty list");
    OK(words_split(&w, "sh -c 'x", WORDS_COMMAND, &e) != 0,
       "a quote that is not closed is refused");
}

static void test_labels(void)
{
    char label[DUMP_LABEL_MAX];
    uint32_t n = 0;

    dump_label(label, INT64_C(1771642800000000), 17);
    IS_STR(label, "20260221T030000Z-17", "a label");
    OK(dump_label_counter(label, &n) && n == 17, "has a counter");
    OK(!dump_label_counter("20260221T030000Z-", &n) && !dump_label_counter("latest", &n) &&
           !dump_label_counter("20260221T030000Z-1x", &n) &&
           !dump_label_counter("20260221T03000Z-17", &n),
       "other names are none");
}

static void test_public(void)
{
    struct dump_public p = {.start = 5,
                            .stop = 7,
                            .bytes = 1000,
                            .databases = 2,
                            .tables = 30,
                            .rows = 400,
                            .format = 1,
                            .codec = 2,
                            .level = 2,
                            .globals = true,
                            .counted = true,
                            .server_version = 170006,
                            .client_version = 180001,
                            .tag = "pre-migration"};
    struct dump_public q;
    struct err e = {0};
    struct buf b;
    bool cut = true;

    buf_init(&b, 4096);
    p.head.sequence = 9;
    OK(dump_public_write(&b, &p, &e) == 0 && dump_public_read(&q, b.p, b.len, &e) == 0 &&
           q.start == 5 && q.stop == 7 && q.bytes == 1000 && q.databases == 2 && q.tables == 30 &&
           q.rows == 400 && q.codec == 2 && q.globals && !q.passwords && q.counted &&
           q.server_version == 170006 && q.head.sequence == 9 && strcmp(q.tag, p.tag) == 0,
       "the public part comes back");
    for (size_t n = 0; n + 16 < b.len; n++)
        cut = cut && dump_public_read(&q, b.p, n, &e) != 0;
    OK(cut, "cut, it is refused");
    buf_fini(&b);
}

static void test_meta(void)
{
    struct dump_meta m;
    struct dump_meta n;
    struct err e = {0};
    struct buf b;
    uint32_t stream = 9;
    size_t from = 0;

    dump_meta_init(&m);
    dump_meta_init(&n);
    buf_init(&b, DUMP_PART_MAX);
    OK(dump_meta_stream(&m, DUMP_DATABASE, "shop", &e) == 0 &&
           dump_meta_fact(&m, "owner", "me", &e) == 0 && dump_meta_fact(&m, "role", "a", &e) == 0 &&
           dump_meta_fact(&m, "role", "b", &e) == 0 &&
           dump_meta_table(&m, "app", "o\"rders", 12, 99, &e) == 0 &&
           dump_meta_table(&m, "app", "unknown", DUMP_NO_ROWS, 1, &e) == 0 &&
           dump_meta_stream(&m, DUMP_GLOBALS, "globals", &e) == 0,
       "metadata are gathered");
    m.streams.v[0].size = 1000;
    m.streams.v[1].size = 20;
    OK(dump_meta_write(&b, &m, &e) == 0 && dump_meta_read(&n, b.p, b.len, &e) == 0,
       "and come back");
    OK(n.streams.n == 2 && n.streams.v[1].offset == 1000 && n.streams.v[1].size == 20,
       "streams with their places");
    OK(n.tables.n == 2 && n.tables.v[0].rows == 12 && n.tables.v[1].rows == DUMP_NO_ROWS,
       "tables with their rows");
    IS_STR(dump_text(&n, n.tables.v[0].name), "o\"rders", "and names");
    IS_STR(dump_fact(&n, 0, "owner", NULL), "me", "a fact");
    (void)dump_fact(&n, 0, "role", &from);
    IS_STR(dump_fact(&n, 0, "role", &from), "b", "one that comes often");
    OK(dump_fact(&n, 0, "role", &from) == NULL && dump_fact(&n, 1, "owner", NULL) == NULL,
       "and no more of them");
    OK(dump_find_stream(&n, NULL, &stream, &e) == 0 && stream == 0, "the only database");
    OK(dump_find_stream(&n, "globals", &stream, &e) == 0 && stream == 1, "a stream by name");
    OK(dump_find_stream(&n, "other", &stream, &e) != 0 && strstr(e.hint, "shop, globals") != NULL,
       "an unknown one is told what there is");
    buf_fini(&b);
    dump_meta_fini(&m);
    dump_meta_fini(&n);
}

static bool sets(const char *key, const char *value, const char *why)
{
    static struct dump_job j;
    struct err e = {0};
    int rc;

    dump_job_init(&j, "x");
    rc = dump_job_set(&j, key, value, &e);
    if (why == NULL)
        return rc == 0;
    return rc != 0 && (strstr(e.msg, why) != NULL || strstr(e.hint, why) != NULL);
}

static void test_job(void)
{
    OK(sets("format", "custom", NULL) && sets("format", "custom zstd:3", NULL) &&
           sets("format", "plain", NULL),
       "formats");
    OK(sets("format", "custom brotli", "compression") && sets("format", "plain gzip", "format") &&
           sets("format", "custom gzip:x", "compression"),
       "and what is none");
    OK(sets("format", "directory", "cannot be streamed") && sets("format", "tar", "custom"),
       "directory and tar are refused with the reason");
    OK(sets("guard", "min_size=1MB shrink=20%", NULL) && sets("guard", "off", NULL) &&
           sets("guard", "shrink=20", "guard") && sets("guard", "shrink=%", "guard"),
       "guards");
    OK(sets("pre", "timeout=5min sh -c 'x y'", NULL) &&
           sets("dsn", "user=x password=y", "password"),
       "hooks, no password");
    OK(sets("databse", "x", "databases"), "a mistyped key is told its name");
    OK(sets("runner", "docker compose exec -T db", NULL) &&
           sets("runner", "docker-compose exec -T db", NULL) &&
           sets("runner", "docker exec -i db", NULL) &&
           sets("runner", "kubectl exec -i pod --", NULL) &&
           sets("runner", "ssh db.example.org", NULL) &&
           sets("runner", "docker exec -i -upostgres db", NULL),
       "runners");
    OK(sets("runner", "docker exec -it db", "terminal") &&
           sets("runner", "ssh -t host", "terminal") &&
           sets("runner", "docker exec --tty -i db", "terminal") &&
           sets("runner", "docker compose exec db", "exec -T") &&
           sets("runner", "docker exec db", "exec -i"),
       "and those that would spoil a dump");
}

int main(void)
{
    test_words();
    test_labels();
    test_public();
    test_meta();
    test_job();
    return tap_done();
}

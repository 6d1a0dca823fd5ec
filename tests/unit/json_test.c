/* base/json: what is written is JSON, what is read is JSON and nothing else, however it is cut. */
#include "base/json.h"

#include <stdlib.h>

#include "unit/tap.h"

static void test_write(void)
{
    struct json_out j;
    struct err e = {0};
    struct buf b;

    buf_init(&b, 4096);
    json_begin(&j, &b, NULL, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", UINT64_MAX);
    json_int(&j, "least", INT64_MIN);
    json_str(&j, "s", "a\"b\\c\n\x7f\xc3\xa4\xff\xc2\x9b");
    json_strn(&j, "nul", "a\0b", 3);
    json_str(&j, "none", NULL);
    json_fmt(&j, "lsn", "%X/%X", 1, 255);
    json_array(&j, "list");
    json_bool(&j, NULL, true);
    json_null(&j, NULL);
    json_array(&j, NULL);
    json_array_end(&j);
    json_object(&j, NULL);
    json_object_end(&j);
    json_array_end(&j);
    json_bool(&j, "last", false);
    json_object_end(&j);
    OK(json_end(&j, &e) == 0, "a document is written");
    IS_STR(buf_text(&b),
           "{\"schema\":18446744073709551615,\"least\":-9223372036854775808,"
           "\"s\":\"a\\\"b\\\\c\\u000a\\u007f\xc3\xa4\xef\xbf\xbd\\u009b\",\"nul\":\"a\\u0000b\","
           "\"none\":null,\"lsn\":\"1/FF\",\"list\":[true,null,[],{}],\"last\":false}\n",
           "as expected");
    buf_fini(&b);
}

/* Writes by number, so that each misuse starts from a fresh document. */
static int misuse(int which, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, which == 0 ? 16 : 4096);
    json_begin(&j, &b, NULL, NULL);
    json_object(&j, NULL);
    if (which == 0)
        json_str(&j, "key", "more than sixteen bytes");
    if (which == 1)
        json_num(&j, NULL, 1);
    if (which == 2)
        json_array_end(&j);
    if (which != 3)
        json_object_end(&j);
    if (which == 4)
        json_null(&j, NULL);
    if (which == 5)
        json_object_end(&j);
    if (which == 6) {
        for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
            json_array(&j, NULL);
    }
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

static void test_misuse(void)
{
    struct err e = {0};

    OK(misuse(0, &e) == -1 && e.code == ERR_NOMEM, "a full buffer is reported at the end");
    for (int i = 1; i <= 6; i++) {
        err_clear(&e);
        OK(misuse(i, &e) == -1 && e.code == ERR_INTERNAL, "misuse %d is reported at the end", i);
    }
}

struct flushed {
    size_t total;
    size_t largest;
    int calls;
    bool fail;
};

static int count_flush(void *arg, const void *p, size_t n, struct err *e)
{
    struct flushed *f = arg;

    (void)p;
    if (f->fail)
        return err_set(e, ERR_IO, "disk full");
    f->total += n;
    f->largest = n > f->largest ? n : f->largest;
    f->calls++;
    return 0;
}

static void test_flush(void)
{
    struct flushed f = {0};
    struct json_out j;
    struct err e = {0};
    struct buf b;

    buf_init(&b, (size_t)2 * JSON_FLUSH_AT);
    json_begin(&j, &b, count_flush, &f);
    json_array(&j, NULL);
    for (uint64_t i = 0; i < 100000; i++)
        json_num(&j, NULL, 1000000 + i);
    json_array_end(&j);
    OK(json_end(&j, &e) == 0 && f.total == 100000 * 8 + 2, "a long list passes a small buffer");
    OK(f.calls > 10 && f.largest <= (size_t)2 * JSON_FLUSH_AT, "in pieces");
    f.fail = true;
    json_begin(&j, &b, count_flush, &f);
    json_null(&j, NULL);
    OK(json_end(&j, &e) == -1 && e.code == ERR_IO, "a flush that fails is reported");
    buf_fini(&b);
}

/* Reads a document in pieces of `step` bytes and writes the tokens down: "{k:name s:x n:1 }". */
static int spell(const char *doc, size_t len, size_t step, char *out, size_t cap, struct err *e)
{
    static const char *const names[] = {
        "{", "}", "[", "]", "k:", "s:", "n:", "true", "false", "null", "."};
    struct json_in j;
    struct json_token t;
    size_t at = 0;
    size_t n = 0;
    int rc;

    out[0] = '\0';
    json_in_init(&j, 1000);
    json_feed(&j, doc, 0, len == 0);
    for (;;) {
        rc = json_next(&j, &t, e);
        if (rc == JSON_MORE) {
            size_t piece = len - at < step ? len - at : step;

            json_feed(&j, doc + at, piece, at + piece == len);
            at += piece;
            continue;
        }
        if (rc < 0)
            break;
        n += (size_t)snprintf(out + n, cap - n, "%s%u%s%s ", names[t.type], t.depth,
                              t.len > 0 ? "=" : "", t.text);
        if (t.type == JSON_END)
            break;
    }
    json_in_fini(&j);
    return rc;
}

static void test_read(void)
{
    static const struct {
        const char *doc;
        const char *want;
    } cases[] = {
        {"{}", "{0 }0 .0 "},
        {" [ ] ", "[0 ]0 .0 "},
        {"1", "n:0=1 .0 "},
        {"-0.5e+10", "n:0=-0.5e+10 .0 "},
        {"true\n", "true0=true .0 "},
        {"\"\"", "s:0 .0 "},
        {"{\"a\":1,\"b\":[true,false,null,{}],\"c\":\"x\"}",
         "{0 k:1=a n:1=1 k:1=b [1 true2=true false2=false null2=null {2 }2 ]1 k:1=c s:1=x }0 .0 "},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\xe2\x82\xac\"",
         "s:0=\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80\xe2\x82\xac .0 "},
        {"[18446744073709551615,12345678901234567890123456789]",
         "[0 n:1=18446744073709551615 n:1=12345678901234567890123456789 ]0 .0 "},
    };
    char out[512];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step < 4; step++) {
            size_t len = strlen(cases[i].doc);
            struct err e = {0};

            OK(spell(cases[i].doc, len, step == 3 ? len : step, out, sizeof out, &e) == 0,
               "document %zu is read (pieces %zu)", i, step);
            IS_STR(out, cases[i].want, "document %zu has its tokens", i);
        }
    }
}

static void test_refuse(void)
{
    static const char *const cases[] = {"",
                                        " ",
                                        "{",
                                        "[",
                                        "[1",
                                        "[1,",
                                        "[1,]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{a:1}",
                                        "{1:1}",
                                        "[1 2]",
                                        "1 2",
                                        "{} {}",
                                        "]",
                                        "}",
                                        "[}",
                                        "{]",
                                        ",",
                                        ":",
                                        "[:]",
                                        "nul",
                                        "nulll",
                                        "True",
                                        "01",
                                        "-",
                                        "1.",
                                        ".5",
                                        "1e",
                                        "+1",
                                        "1e+",
                                        "-01",
                                        "0x1",
                                        "NaN",
                                        "Infinity",
                                        "'a'",
                                        "\"a",
                                        "\"\\",
                                        "\"\\x\"",
                                        "\"\\u12\"",
                                        "\"\\u000g\"",
                                        "\"\n\"",
                                        "\"\\u0000\"",
                                        "\"\\ud800\"",
                                        "\"\\udc00\"",
                                        "\"\\ud800x\"",
                                        "\"\\ud800\\n\"",
                                        "\"\\ud800\\ud800\"",
                                        "\"\xff\"",
                                        "\"\xc3\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xc0\x80\"",
                                        "// c\n1",
                                        "[1]/**/",
                                        "\xef\xbb\xbf 1",
                                        "{\"a\" 1}",
                                        "{\"a\":1 \"b\":2}",
                                        "{,}",
                                        "[,1]",
                                        "{\"a\":1,,}",
                                        "\x01"};
    char out[512];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        size_t len = strlen(cases[i]);

        OK(spell(cases[i], len, len + 1, out, sizeof out, &e) == -1 && e.code == ERR_DAMAGED,
           "document %zu is refused", i);
        err_clear(&e);
        OK(spell(cases[i], len, 1, out, sizeof out, &e) == -1 && e.code == ERR_DAMAGED,
           "byte by byte too");
    }
}

static void test_limits(void)
{
    char doc[2200];
    char out[4096];
    struct err e = {0};

    memset(doc, '[', sizeof doc);
    memset(doc + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    OK(spell(doc, (size_t)2 * JSON_DEPTH_MAX, 7, out, sizeof out, &e) == 0, "the deepest document");
    memset(doc, '[', sizeof doc);
    OK(spell(doc, JSON_DEPTH_MAX + 1, 7, out, sizeof out, &e) == -1, "one level more is refused");
    IS_STR(e.msg, "invalid JSON at byte 65: nested too deeply", "with its place");
    err_clear(&e);
    memset(doc, 'x', sizeof doc);
    doc[0] = '"';
    doc[1001] = '"';
    OK(spell(doc, 1002, 64, out, sizeof out, &e) == 0, "the longest string");
    doc[1001] = 'x';
    doc[1002] = '"';
    OK(spell(doc, 1003, 64, out, sizeof out, &e) == -1 && e.code == ERR_NOMEM, "one byte more");
    err_clear(&e);
    memset(doc, '1', sizeof doc);
    OK(spell(doc, 1001, 64, out, sizeof out, &e) == -1, "a number that is too long");
}

static void test_skip(void)
{
    static const char doc[] = "{\"a\":{\"x\":[1,{\"y\":2}]},\"b\":3,\"c\":[],\"d\":\"s\",\"e\":4}";
    struct json_in j;
    struct json_token t;
    struct err e = {0};
    char keys[16] = "";
    uint64_t v = 0;
    int numbers = 0;
    size_t at = 0;
    int rc;

    json_in_init(&j, 100);
    json_feed(&j, doc, 0, false);
    while ((rc = json_next(&j, &t, &e)) >= 0 && (rc == JSON_MORE || t.type != JSON_END)) {
        if (rc == JSON_MORE) {
            json_feed(&j, doc + at, 1, at + 1 == strlen(doc));
            at++;
        } else if (t.type == JSON_KEY) {
            keys[strlen(keys)] = t.text[0];
            if (!json_is(&t, "b"))
                json_skip(&j);
        } else if (t.type == JSON_NUMBER) {
            numbers++;
            OK(json_u64(&t, 3, &v, &e) == 0 && v == 3, "the number that was not skipped");
        }
    }
    OK(rc == 0 && numbers == 1, "everything else was skipped, byte by byte");
    IS_STR(keys, "abcde", "and every key was seen");
    json_in_fini(&j);
}

static void test_u64(void)
{
    struct json_token t = {JSON_NUMBER, "18446744073709551615", 20, 0};
    static const char *const bad[] = {"-1", "1.0", "1e3", "18446744073709551616", "-0"};
    struct err e = {0};
    uint64_t v = 0;

    OK(json_u64(&t, UINT64_MAX, &v, &e) == 0 && v == UINT64_MAX, "the greatest number is exact");
    OK(json_u64(&t, UINT64_MAX - 1, &v, &e) == -1 && e.code == ERR_DAMAGED, "above max is refused");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_clear(&e);
        t.text = bad[i];
        OK(json_u64(&t, UINT64_MAX, &v, &e) == -1 && e.code == ERR_DAMAGED, "refused: %s", bad[i]);
    }
    err_clear(&e);
    t.type = JSON_STRING;
    t.text = "1";
    OK(json_u64(&t, UINT64_MAX, &v, &e) == -1, "a string is no number");
}

int main(void)
{
    test_write();
    test_misuse();
    test_flush();
    test_read();
    test_refuse();
    test_limits();
    test_skip();
    test_u64();
    return tap_done();
}

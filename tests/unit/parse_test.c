/* base/parse and base/text: what is a value, what is not, and that both directions agree. */
#include "base/parse.h"
#include "base/text.h"

#include "unit/tap.h"

static void test_numbers(void)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "0x10",
                                      "1e3",
                                      "1.0",
                                      "1a",
                                      "a",
                                      "\n1",
                                      "--1",
                                      "-",
                                      "18446744073709551616",
                                      "99999999999999999999999999999999999"};
    uint64_t v = 0;
    uint32_t w = 0;
    int64_t i = 0;
    struct err e = {0};

    OK(parse_u64("0", 0, 0, &v, &e) == 0 && v == 0, "u64: 0");
    OK(parse_u64("18446744073709551615", 0, UINT64_MAX, &v, &e) == 0 && v == UINT64_MAX,
       "u64: the greatest");
    OK(parse_u64("007", 7, 7, &v, &e) == 0 && v == 7, "u64: leading zeros");
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        err_clear(&e);
        v = 5;
        OK(parse_u64(bad[k], 0, UINT64_MAX, &v, &e) == -1 && e.code == ERR_USAGE && v == 5,
           "u64 refuses \"%.20s\"", k == 12 ? "(line end)1" : bad[k]);
    }
    err_clear(&e);
    OK(parse_u64("65", 1, 64, &v, &e) == -1, "u64: above the range");
    IS_STR(e.msg, "65 is outside the valid range (1 .. 64)", "u64: the range is named");
    err_clear(&e);
    OK(parse_u64("0", 1, 64, &v, &e) == -1, "u64: below the range");
    err_clear(&e);
    OK(parse_u32("4294967295", 0, UINT32_MAX, &w, &e) == 0 && w == UINT32_MAX, "u32: the greatest");
    OK(parse_u32("4294967296", 0, UINT32_MAX, &w, &e) == -1, "u32: one more");
    err_clear(&e);
    OK(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i, &e) == 0 && i == INT64_MIN,
       "i64: the least");
    OK(parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &i, &e) == 0 && i == INT64_MAX,
       "i64: the greatest");
    OK(parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i, &e) == -1, "i64: one more");
    err_clear(&e);
    OK(parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &i, &e) == -1, "i64: one less");
    err_clear(&e);
    OK(parse_i64("-", INT64_MIN, INT64_MAX, &i, &e) == -1, "i64: a lone sign");
    err_clear(&e);
    OK(parse_i64("-5", -4, 4, &i, &e) == -1, "i64: below the range");
}

static void test_hex(void)
{
    struct err e = {0};
    uint64_t v = 0;
    uint8_t raw[3] = {0};
    char text[7];

    OK(parse_hex("fFfFfFfFfFfFfFfF", UINT64_MAX, &v, &e) == 0 && v == UINT64_MAX, "hex: 16 digits");
    OK(parse_hex("10", 15, &v, &e) == -1, "hex: above max");
    err_clear(&e);
    OK(parse_hex("", 15, &v, &e) == -1 && parse_hex("0x1", 15, &v, &e) == -1 &&
           parse_hex("00000000000000001", 15, &v, &e) == -1 && parse_hex("g", 15, &v, &e) == -1,
       "hex: empty, prefix, 17 digits, no digit");
    err_clear(&e);
    OK(parse_bytes("00aBff", raw, 3, &e) == 0 && memcmp(raw, "\x00\xab\xff", 3) == 0, "bytes");
    text_hex(text, raw, 3);
    IS_STR(text, "00abff", "bytes back to text");
    OK(parse_bytes("00abf", raw, 3, &e) == -1, "bytes: a digit is missing");
    err_clear(&e);
    OK(parse_bytes("00abff0", raw, 3, &e) == -1, "bytes: a digit too many");
    err_clear(&e);
    OK(parse_bytes("00abfg", raw, 3, &e) == -1, "bytes: no digit");
}

static void test_size(void)
{
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = {{"0", 0},
                {"17", 17},
                {"17B", 17},
                {"1kB", 1024},
                {"16 MB", 16 << 20},
                {"3GB", UINT64_C(3) << 30},
                {"2TB", UINT64_C(2) << 40},
                {"16777215TB", UINT64_C(16777215) << 40}};
    static const char *const bad[] = {"",
                                      "MB",
                                      "1mb",
                                      "1 ",
                                      "1M",
                                      "-1kB",
                                      "1.5GB",
                                      "1kB ",
                                      "1kBx",
                                      " 1kB",
                                      "16777216TB",
                                      "1PB",
                                      "18446744073709551616",
                                      "1KB"};
    struct err e = {0};
    uint64_t v;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[TEXT_SIZE_MAX];
        uint64_t back = 1;

        v = 1;
        OK(parse_size(good[i].text, 0, UINT64_MAX, &v, &e) == 0 && v == good[i].v, "size %s",
           good[i].text);
        text_size(text, v);
        OK(parse_size(text, 0, UINT64_MAX, &back, &e) == 0 && back == v, "size %s and back (%s)",
           good[i].text, text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_clear(&e);
        OK(parse_size(bad[i], 0, UINT64_MAX, &v, &e) == -1 && e.code == ERR_USAGE,
           "size refuses \"%s\"", bad[i]);
    }
    err_clear(&e);
    OK(parse_size("16mb", 0, UINT64_MAX, &v, &e) == -1, "size: wrong case");
    IS_STR(e.hint, "Did you mean \"16MB\"? The case matters.", "size: the right case is proposed");
    IS_STR(e.msg, "\"16mb\" has an unknown unit; valid units are B, kB, MB, GB or TB",
           "size: the units are listed");
    err_clear(&e);
    OK(parse_size("31kB", 32768, 1 << 30, &v, &e) == -1, "size: below the range");
    IS_STR(e.msg, "31kB is outside the valid range (32kB .. 1GB)", "size: the range in its units");
}

static void test_duration(void)
{
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = {{"0", 0},
                {"0s", 0},
                {"7us", 7},
                {"5ms", 5000},
                {"30s", 30000000},
                {"30 s", 30000000},
                {"90min", 5400000000},
                {"2h", 7200000000},
                {"14d", 1209600000000}};
    static const char *const bad[] = {"",    "30",   "30sec", "s",          "30S", "1w",
                                      "-1s", "1.5h", "30s ",  "213503983d", "30 ", "0 "};
    struct err e = {0};
    uint64_t v;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[TEXT_SIZE_MAX];
        uint64_t back = 1;

        v = 1;
        OK(parse_duration(good[i].text, 0, UINT64_MAX, &v, &e) == 0 && v == good[i].v,
           "duration %s", good[i].text);
        text_duration(text, v);
        OK(parse_duration(text, 0, UINT64_MAX, &back, &e) == 0 && back == v,
           "duration %s and back (%s)", good[i].text, text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_clear(&e);
        OK(parse_duration(bad[i], 0, UINT64_MAX, &v, &e) == -1 && e.code == ERR_USAGE,
           "duration refuses \"%s\"", bad[i]);
    }
    err_clear(&e);
    OK(parse_duration("30", 0, UINT64_MAX, &v, &e) == -1, "duration: no unit");
    IS_STR(e.msg, "\"30\" has no unit; write us, ms, s, min, h or d behind it",
           "duration: the units are listed");
}

static void test_words(void)
{
    static const struct parse_word words[] = {{"lz4", 3}, {"none", 4}, {NULL, 0}};
    static const char *const on[] = {"on", "true", "yes", "1", "ON", "True"};
    static const char *const off[] = {"off", "false", "no", "0", "No"};
    static const char *const bad[] = {"", "o", "onn", "2", "y", "t", " on"};
    struct err e = {0};
    bool b = false;
    int v = 0;

    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++)
        OK(parse_bool(on[i], &b, &e) == 0 && b, "bool %s", on[i]);
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        OK(parse_bool(off[i], &b, &e) == 0 && !b, "bool %s", off[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(parse_bool(bad[i], &b, &e) == -1, "bool refuses \"%s\"", bad[i]);
    err_clear(&e);
    OK(parse_word("none", words, &v, &e) == 0 && v == 4, "a word of the table");
    OK(parse_word("nome", words, &v, &e) == -1 && v == 4, "a word that is not in the table");
    IS_STR(e.msg, "\"nome\" is not one of lz4 or none", "the words are listed");
    IS_STR(e.hint, "Did you mean \"none\"?", "the closest is proposed");
    err_clear(&e);
    OK(parse_word("", words, &v, &e) == -1 && e.hint[0] == '\0', "nothing is proposed for nothing");
}

static void test_lsn(void)
{
    static const char *const bad[] = {"",     "0",           "/",           "0/",    "/0",
                                      "0/0 ", "123456789/0", "0/123456789", "0x1/0", "g/0",
                                      "0/g",  "0//0",        "-1/0"};
    struct err e = {0};
    uint64_t v = 0;
    char text[TEXT_LSN_MAX];

    OK(parse_lsn("16/B374D848", &v, &e) == 0 && v == UINT64_C(0x16B374D848), "LSN");
    OK(parse_lsn("ffffffff/FFFFFFFF", &v, &e) == 0 && v == UINT64_MAX, "LSN: the greatest");
    text_lsn(text, v);
    IS_STR(text, "FFFFFFFF/FFFFFFFF", "LSN: the greatest as text");
    text_lsn(text, UINT64_C(0x1600000028));
    IS_STR(text, "16/28", "LSN: no leading zeros");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_clear(&e);
        OK(parse_lsn(bad[i], &v, &e) == -1 && e.code == ERR_USAGE, "LSN refuses \"%s\"", bad[i]);
    }
}

/* Expected values from date(1). */
static void test_time(void)
{
    static const struct {
        const char *text;
        int64_t us;
        bool zoned;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0, true},
        {"2026-11-20 06:21:45.123456+01", INT64_C(1795152105123456), true},
        {"2026-11-20T05:21:45.123456Z", INT64_C(1795152105123456), true},
        {"2026-11-20t05:21:45z", INT64_C(1795152105000000), true},
        {"2026-11-20 05:21:45", INT64_C(1795152105000000), false},
        {"2026-11-20 05:21", INT64_C(1795152060000000), false},
        {"2026-11-20 05:21:45 UTC", INT64_C(1795152105000000), true},
        {"2026-11-20 05:21:45.5 GMT", INT64_C(1795152105500000), true},
        {"2026-11-20 10:51:45+0530", INT64_C(1795152105000000), true},
        {"2026-11-20 10:51:45 +05:30", INT64_C(1795152105000000), true},
        {"2026-11-19 21:21:45-08:00", INT64_C(1795152105000000), true},
        {"2026-11-20 05:21:45.123456789Z", INT64_C(1795152105123456), true},
        {"2000-02-29 12:00:00Z", INT64_C(951825600000000), true},
        {"2038-01-19 03:14:08Z", INT64_C(2147483648000000), true},
        {"2016-12-31 23:59:60Z", INT64_C(1483228800000000), true},
        {"9999-12-31T23:59:59.999999Z", PARSE_TIME_MAX, true},
    };
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-20",
                                      "2026-11-20T",
                                      "2026-11-20 5:21:45",
                                      "2026-11-20 24:00:00",
                                      "2026-11-20 05:60:00",
                                      "2026-11-20 05:21:61",
                                      "2026-13-20 05:21:45",
                                      "2026-00-20 05:21:45",
                                      "2026-02-29 05:21:45",
                                      "2100-02-29 05:21:45",
                                      "2026-04-31 05:21:45",
                                      "2026-11-00 05:21:45",
                                      "1969-12-31 23:59:59Z",
                                      "1970-01-01 00:00:00+01",
                                      "1969-12-31 23:30:00-01",
                                      "9999-12-31 23:59:59-01",
                                      "10000-01-01 00:00:00",
                                      "2026-11-20 05:21:45 CET",
                                      "2026-11-20 05:21:45+1",
                                      "2026-11-20 05:21:45+16",
                                      "2026-11-20 05:21:45+01:60",
                                      "2026-11-20 05:21:45+01:",
                                      "2026-11-20 05:21:45.Z",
                                      "2026-11-20 05:21:45.1234567890Z",
                                      "2026-11-20 05:21:45Z ",
                                      "2026-11-20  05:21:45",
                                      "2026-11-20_05:21:45",
                                      " 2026-11-20 05:21:45",
                                      "2026-11-20 05:21:45+01:00:00",
                                      "20261120 052145",
                                      "2026-11-20 05:21:45  Z",
                                      "now"};
    struct err e = {0};
    int64_t us;
    bool zoned;
    char text[TEXT_TIME_MAX];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        err_clear(&e);
        us = -1;
        OK(parse_time(good[i].text, &us, &zoned, &e) == 0 && us == good[i].us &&
               zoned == good[i].zoned,
           "time %s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_clear(&e);
        OK(parse_time(bad[i], &us, &zoned, &e) == -1 && e.code == ERR_USAGE, "time refuses \"%s\"",
           bad[i]);
    }
    text_time(text, INT64_C(1795152105123456), 6);
    IS_STR(text, "2026-11-20T05:21:45.123456Z", "time as text, microseconds");
    text_time(text, INT64_C(1795152105003999), 3);
    IS_STR(text, "2026-11-20T05:21:45.003Z", "time as text, milliseconds");
    text_time(text, INT64_C(1795152105123456), 0);
    IS_STR(text, "2026-11-20T05:21:45Z", "time as text, seconds");
    text_time(text, -1, 6);
    IS_STR(text, "1969-12-31T23:59:59.999999Z", "time as text, before 1970");
    text_time(text, INT64_MAX, 6);
    IS_STR(text, "9999-12-31T23:59:59.999999Z", "time as text, beyond all years");
    text_time(text, INT64_MIN, 6);
    IS_STR(text, "0001-01-01T00:00:00.000000Z", "time as text, before all years");
}

/* Every day of eight centuries, counted by the calendar itself, against both directions. */
static void test_calendar(void)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = 0;
    bool ok = true;

    for (unsigned y = 1970; y < 2770; y++) {
        bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

        for (unsigned m = 1; m <= 12; m++) {
            unsigned n = m == 2 && leap ? 29 : lengths[m - 1];

            for (unsigned d = 1; d <= n; d++, day++) {
                char want[48];
                char got[TEXT_TIME_MAX];

                (void)snprintf(want, sizeof want, "%04u-%02u-%02uT00:00:00Z", y, m, d);
                text_time(got, day * USEC_PER_DAY, 0);
                ok = ok && parse_days(y, m, d) == day && strcmp(want, got) == 0;
            }
        }
    }
    OK(ok && day == 292194, "the calendar agrees with itself for 800 years");
}

static void test_names(void)
{
    static const char *const good[] = {
        "main", "a", "A-1_b.c", "0",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"};
    static const char *const bad[] = {
        "",
        ".",
        "..",
        ".x",
        "-x",
        "a/b",
        "a b",
        "a\nb",
        "\xc3\xa4",
        "a*",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345"};
    struct err e = {0};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        OK(parse_name(good[i], &e) == 0, "name %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_clear(&e);
        OK(parse_name(bad[i], &e) == -1 && e.code == ERR_USAGE, "name refused (%zu)", i);
    }
}

static void test_closest(void)
{
    static const char *const keys[] = {"repo", "repo_id", "cluster", "jobs", "keep_backups"};
    static const struct {
        const char *word;
        const char *want;
    } cases[] = {{"rpeo", "repo"},
                 {"REPO", "repo"},
                 {"repo-id", "repo_id"},
                 {"clutser", "cluster"},
                 {"job", "jobs"},
                 {"keep_backup", "keep_backups"},
                 {"keepbackups", "keep_backups"},
                 {"port", NULL},
                 {"", NULL},
                 {"x", NULL},
                 {"password", NULL},
                 {"a_word_that_is_much_too_long_for_anybody_to_have_meant_it", NULL}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text_closest c;

        text_closest_init(&c, cases[i].word);
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            text_closest_try(&c, keys[k]);
        IS_STR(c.best == NULL ? "(none)" : c.best, cases[i].want == NULL ? "(none)" : cases[i].want,
               "closest to \"%s\"", cases[i].word);
    }
}

static void test_visible(void)
{
    static const struct {
        const char *in;
        const char *want;
    } cases[] = {{"plain \xc3\xa4\xe2\x82\xac", "plain \xc3\xa4\xe2\x82\xac"},
                 {"a\nb\tc\r", "a\\nb\\tc\\r"},
                 {"\x1b[31m", "\\u{1B}[31m"},
                 {"\x7f", "\\u{7F}"},
                 {"\xc2\x9b", "\\u{9B}"},
                 {"\xe2\x80\xae", "\\u{202E}"},
                 {"\xff\xc3", "\\xFF\\xC3"},
                 {"\xc0\x80", "\\xC0\\x80"},
                 {"\xed\xa0\x80", "\\xED\\xA0\\x80"},
                 {"\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"}};
    char out[64];
    char tight[8];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)text_visible(out, sizeof out, cases[i].in, strlen(cases[i].in));
        IS_STR(out, cases[i].want, "visible %zu", i);
    }
    OK(text_visible(out, sizeof out, "a\0b", 3) == 7, "a 0 byte is shown");
    IS_STR(out, "a\\u{0}b", "as its code");
    OK(text_visible(tight, sizeof tight, "1234567", 7) == 7, "what fits exactly is whole");
    (void)text_visible(tight, sizeof tight, "12345678", 8);
    IS_STR(tight, "1234...", "what does not fit is cut");
    (void)text_visible(tight, sizeof tight,
                       "123\x1b"
                       "4567",
                       8);
    IS_STR(tight, "123...", "an escape is not cut in half");
    (void)text_visible(tight, 4, "\x1b\x1b", 2);
    IS_STR(tight, "...", "the smallest room holds the dots");
}

int main(void)
{
    test_numbers();
    test_hex();
    test_size();
    test_duration();
    test_words();
    test_lsn();
    test_time();
    test_calendar();
    test_names();
    test_closest();
    test_visible();
    return tap_done();
}

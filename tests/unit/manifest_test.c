/*
 * Goal: a backup_manifest is read as PostgreSQL reads it, fed in any pieces; whatever
 * pg_verifybackup refuses is refused, with its reason; what is written is what a server writes.
 */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"
#include "pg/manifest.h"

static struct buf doc;
static struct buf seen;
static struct err none;

/* ---- what the reader calls ---- */

static int on_head(void *arg, unsigned version, uint64_t id, struct err *e)
{
    (void)arg;
    return buf_fmt(&seen, e, "v%u %llu;", version, (unsigned long long)id);
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    char hex[2 * MANIFEST_SUM_MAX + 1];

    (void)arg;
    text_hex(hex, f->sum, manifest_sum_size(f->algorithm));
    return buf_fmt(&seen, e, "%s %llu %lld %d %s;", f->path, (unsigned long long)f->size,
                   f->has_mtime ? (long long)f->mtime : -99, (int)f->algorithm, hex);
}

static int on_range(void *arg, const struct manifest_range *r, struct err *e)
{
    (void)arg;
    return buf_fmt(&seen, e, "%u %llx %llx;", r->tli, (unsigned long long)r->start,
                   (unsigned long long)r->end);
}

static const struct manifest_events events = {on_head, on_file, on_range};

static int read_pieces(const void *p, size_t n, size_t piece, struct err *e)
{
    struct manifest_in m;
    const uint8_t *at = p;
    int rc = 0;

    err_clear(e);
    buf_clear(&seen);
    manifest_in_init(&m, &events, NULL, true);
    for (size_t i = 0; rc == 0 && i < n; i += piece)
        rc = manifest_in_feed(&m, at + i, n - i < piece ? n - i : piece, e);
    if (rc == 0)
        rc = manifest_in_finish(&m, e);
    manifest_in_fini(&m);
    return rc;
}

static int read_all(struct err *e)
{
    return read_pieces(doc.p, doc.len, doc.len > 0 ? doc.len : 1, e);
}

/* Makes doc: the text, and the last line that its checksum asks for. */
static void sealed(const char *text)
{
    struct digest_sha256 d;
    uint8_t sum[DIGEST_SHA256];
    char hex[2 * DIGEST_SHA256 + 1];

    digest_sha256_init(&d);
    digest_sha256_add(&d, text, strlen(text));
    digest_sha256_get(&d, sum);
    text_hex(hex, sum, sizeof sum);
    buf_clear(&doc);
    (void)!buf_fmt(&doc, &none, "%s\"Manifest-Checksum\": \"%s\"}\n", text, hex);
}

static void plain(const char *text)
{
    buf_clear(&doc);
    (void)!buf_str(&doc, text, &none);
}

/* ---- right ones ---- */

static const char good[] =
    "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n"
    "\"System-Identifier\": 7574382931145229834,\n"
    "\"Files\": [\n"
    "{ \"Path\": \"backup_label\", \"Size\": 227, \"Last-Modified\": \"2026-11-20 07:28:34 GMT\", "
    "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"93513075\" },\n"
    "{ \"Encoded-Path\": \"6e6fff\", \"Size\": 0, \"Last-Modified\": \"1969-12-31 23:59:59 GMT\", "
    "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00000000\" },\n"
    "{ \"Path\": \"a \\\"b\\\\c\\n\\t\\u0001\xc3\xa4\", \"Size\": 8589934592, \"Last-Modified\": "
    "\"2000-02-29 00:00:00 GMT\" }\n"
    "],\n"
    "\"WAL-Ranges\": [\n"
    "{ \"Timeline\": 2, \"Start-LSN\": \"1/2000060\", \"End-LSN\": \"1/3000000\" },\n"
    "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"1/2000060\" }\n"
    "],\n";

static const char good_seen[] =
    "v2 7574382931145229834;backup_label 227 1795159714 1 93513075;no\xff 0 -1 1 00000000;"
    "a \"b\\c\n\t\x01\xc3\xa4 8589934592 951782400 0 ;2 102000060 103000000;1 2000028 102000060;";

static void test_good(void)
{
    struct manifest_file f = {.algorithm = MANIFEST_CRC32C, .sum = {0x93, 0x51, 0x30, 0x75}};
    struct err e = {0};
    size_t wrong = 0;

    sealed(good);
    OK(read_all(&e) == 0, "a manifest of version 2");
    IS_STR(e.msg, "", "without an error");
    IS_STR(buf_text(&seen), good_seen, "all of it");
    for (size_t piece = 1; piece < 200; piece++)
        if (read_pieces(doc.p, doc.len, piece, &e) != 0 || strcmp(buf_text(&seen), good_seen) != 0)
            wrong++;
    OK(wrong == 0, "the same in pieces of any size");
    OK(manifest_crc(&f) == 0x75305193, "a CRC is printed as it lies in memory");

    sealed("{\"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [],\"WAL-Ranges\":[],\n");
    OK(read_all(&e) == 0, "an empty one of version 1");
    IS_STR(buf_text(&seen), "v1 0;", "all of it");
    sealed("{\"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [{\"Path\":\"x\",\"Size\":1,"
           "\"Last-Modified\":\"10001-01-01 00:00:00 GMT\",\"Checksum-Algorithm\":\"sha224\","
           "\"Checksum\":\"00112233445566778899aabbccddeeff00112233445566778899AABB\"}],"
           "\"WAL-Ranges\":[],\n");
    OK(read_all(&e) == 0, "a year of five digits, an algorithm in small letters");
    IS_STR(buf_text(&seen),
           "v1 0;x 1 -99 2 00112233445566778899aabbccddeeff00112233445566778899aabb;",
           "are read, and no time is known");
}

static void test_bytes(void)
{
    struct err e = {0};
    size_t passed = 0;

    sealed(good);
    for (size_t i = 0; i < doc.len; i++) {
        doc.p[i] ^= 1;
        if (read_all(&e) == 0)
            passed++;
        doc.p[i] ^= 1;
    }
    OK(passed == 0, "every changed byte is noticed");
    for (size_t n = 0; n < doc.len; n++)
        if (read_pieces(doc.p, n, 4096, &e) == 0)
            passed++;
    OK(passed == 0, "every cut is noticed");
}

/* ---- wrong ones: those of PostgreSQL's own tests, and more ---- */

#define V1    "{\"PostgreSQL-Backup-Manifest-Version\": 1,\n"
#define V2    "{\"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 1,\n"
#define F(s)  V1 "\"Files\": [{" s "}],\"WAL-Ranges\":[],\n"
#define R(s)  V1 "\"Files\": [],\"WAL-Ranges\": [{" s "}],\n"
#define RANGE "\"Timeline\":1,\"Start-LSN\":\"0/0\",\"End-LSN\":\"0/0\""

struct wrong {
    const char *what;
    const char *text;
    const char *says;
};

/* Whole but for the content: the checksum is right. */
static const struct wrong sealed_cases[] = {
    {"another first field", "{\"not-expected\": 1,\n", "does not begin with its version"},
    {"a version that is a text", "{\"PostgreSQL-Backup-Manifest-Version\": \"phooey\",\n",
     "version"},
    {"a version that is quoted", "{\"PostgreSQL-Backup-Manifest-Version\": \"1\",\n", "version"},
    {"a version to come", "{\"PostgreSQL-Backup-Manifest-Version\": 9876599,\n", "9876599"},
    {"version 0", "{\"PostgreSQL-Backup-Manifest-Version\": 0,\n", "version 0"},
    {"files that are no list", V1 "\"Files\": true,\n", "not a list"},
    {"files in an object", V1 "\"Files\": {},\n", "not a list"},
    {"ranges that are no list", V1 "\"Files\":[],\"WAL-Ranges\": 1,\n", "not a list"},
    {"a field at the top that nobody knows", V1 "\"Oops\": 1,\n", "unknown field \"Oops\""},
    {"a file that is a number", V1 "\"Files\": [1],\n", "makes no sense"},
    {"a file that is a list", V1 "\"Files\": [[]],\n", "makes no sense"},
    {"a file without a path", F(""), "without a path"},
    {"a file with two paths", F("\"Path\":\"x\",\"Encoded-Path\":\"78\",\"Size\":1"), "both"},
    {"the same the other way round", F("\"Encoded-Path\":\"78\",\"Path\":\"x\",\"Size\":1"),
     "both"},
    {"a field of a file that nobody knows", F("\"Oops\":1"), "unknown field \"Oops\""},
    {"a file without a size", F("\"Path\":\"x\""), "no size for \"x\""},
    {"a size that is a text", F("\"Path\":\"x\",\"Size\":\"Oops\""), "size"},
    {"a negative size", F("\"Path\":\"x\",\"Size\":-1"), "size"},
    {"a size with a fraction", F("\"Path\":\"x\",\"Size\":1.5"), "size"},
    {"a size of more than 63 bits", F("\"Path\":\"x\",\"Size\":9223372036854775808"), "size"},
    {"an encoded path of odd length", F("\"Encoded-Path\":\"123\",\"Size\":1"), "not hexadecimal"},
    {"an encoded path of other letters", F("\"Encoded-Path\":\"zz\",\"Size\":1"),
     "not hexadecimal"},
    {"an encoded path with a zero byte", F("\"Encoded-Path\":\"7800\",\"Size\":1"), "elsewhere"},
    {"a path that is a number", F("\"Path\":1,\"Size\":1"), "\"Path\""},
    {"an empty path", F("\"Path\":\"\",\"Size\":1"), "elsewhere"},
    {"an absolute path", F("\"Path\":\"/x\",\"Size\":1"), "elsewhere"},
    {"a path that climbs", F("\"Path\":\"a/../../x\",\"Size\":1"), "elsewhere"},
    {"the directory itself", F("\"Path\":\".\",\"Size\":1"), "elsewhere"},
    {"a checksum without an algorithm", F("\"Path\":\"x\",\"Size\":1,\"Checksum\":\"Oops\""),
     "without its algorithm"},
    {"an algorithm that nobody knows",
     F("\"Path\":\"x\",\"Size\":1,\"Checksum-Algorithm\":\"Oops\",\"Checksum\":\"00\""),
     "\"Oops\""},
    {"a checksum that is no number",
     F("\"Path\":\"x\",\"Size\":1,\"Checksum-Algorithm\":\"CRC32C\",\"Checksum\":\"Coconut?\""),
     "invalid checksum"},
    {"a checksum of odd length",
     F("\"Path\":\"x\",\"Size\":1,\"Checksum-Algorithm\":\"CRC32C\",\"Checksum\":\"1234567\""),
     "invalid checksum"},
    {"a checksum of another algorithm's length",
     F("\"Path\":\"x\",\"Size\":1,\"Checksum-Algorithm\":\"SHA256\",\"Checksum\":\"12345678\""),
     "invalid checksum"},
    {"an algorithm without a checksum",
     F("\"Path\":\"x\",\"Size\":1,\"Checksum-Algorithm\":\"CRC32C\""), "invalid checksum"},
    {"a field of a file twice", F("\"Path\":\"x\",\"Size\":1,\"Size\":2"), "\"Size\" twice"},
    {"a range without a timeline", R("\"Start-LSN\":\"0/0\",\"End-LSN\":\"0/0\""),
     "no \"Timeline\""},
    {"a range without a start", R("\"Timeline\":1,\"End-LSN\":\"0/0\""), "no \"Start-LSN\""},
    {"a range without an end", R("\"Timeline\":1,\"Start-LSN\":\"0/0\""), "no \"End-LSN\""},
    {"an empty range", R(""), "no \"Timeline\""},
    {"a field of a range that nobody knows", R(RANGE ",\"Oops\":1"), "unknown field \"Oops\""},
    {"a timeline that is a text", R("\"Timeline\":\"Oops\""), "timeline"},
    {"timeline 0", R("\"Timeline\":0"), "timeline"},
    {"a timeline of more than 32 bits", R("\"Timeline\":4294967296"), "timeline"},
    {"a start that is no LSN", R("\"Timeline\":1,\"Start-LSN\":\"Oops\""), "\"Start-LSN\""},
    {"a start that is a number", R("\"Timeline\":1,\"Start-LSN\":1"), "\"Start-LSN\""},
    {"an end that is no LSN", R("\"Timeline\":1,\"End-LSN\":\"0/\""), "\"End-LSN\""},
    {"a range that runs backwards", R("\"Timeline\":1,\"Start-LSN\":\"0/2\",\"End-LSN\":\"0/1\""),
     "ends before"},
    {"a file twice",
     V1 "\"Files\": [{\"Path\":\"x\",\"Size\":1},{\"Path\":\"y\",\"Size\":1},"
        "{\"Encoded-Path\":\"78\",\"Size\":1}],\"WAL-Ranges\":[],\n",
     "twice"},
    {"two lists of files", V1 "\"Files\":[],\"Files\":[],\n", "\"Files\" twice"},
    {"no list of files", V1 "\"WAL-Ranges\":[],\n", "no \"Files\""},
    {"no list of ranges", V1 "\"Files\":[],\n", "no \"WAL-Ranges\""},
    {"a system identifier in version 1", V1 "\"System-Identifier\": 1,\n", "unknown field"},
    {"no system identifier in version 2",
     "{\"PostgreSQL-Backup-Manifest-Version\": 2,\n\"Files\":[],\n", "no \"System-Identifier\""},
    {"a system identifier that is a text",
     "{\"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\":\"1\",\n",
     "system identifier"},
    {"a system identifier of more than 64 bits",
     "{\"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\":18446744073709551616,\n",
     "system identifier"},
    {"a system identifier behind the files", V2 "\"Files\":[],\"System-Identifier\": 1,\n",
     "twice"},
};

/* As they stand. */
static const struct wrong plain_cases[] = {
    {"nothing", "", "cut off"},
    {"an object that is cut off", "{", "cut off"},
    {"an empty object", "{}", ""},
    {"an array", "[]", "makes no sense"},
    {"a number", "1\n", "makes no sense"},
    {"no JSON", "not a manifest\n", "cannot be read"},
    {"no checksum", V1 "\"Files\":[],\"WAL-Ranges\":[]}\n", "no \"Manifest-Checksum\""},
    {"a checksum that is none",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": \"oops\"}\n",
     "64 hexadecimal digits"},
    {"a checksum of other letters",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": "
        "\"x7af33d1bb56dcc1d3a20cf1d7ee1e72ecd5a8c8be8a2a1a4f1e15f4d8ef3fd1\"}\n",
     "64 hexadecimal digits"},
    {"a checksum that is a number",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": 1}\n", "64 hexadecimal digits"},
    {"another checksum",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": "
        "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}\n",
     "not have its checksum"},
    {"one line",
     "{\"PostgreSQL-Backup-Manifest-Version\":1,\"Files\":[],\"WAL-Ranges\":[],"
     "\"Manifest-Checksum\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}"
     "\n",
     "less than two lines"},
    {"a last line without its end",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": "
        "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
     "newline"},
    {"a checksum before the last line",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": "
        "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n}\n",
     "in its last line"},
    {"two documents",
     V1 "\"Files\":[],\"WAL-Ranges\":[],\n\"Manifest-Checksum\": "
        "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}{}\n",
     "cannot be read"},
};

static void refuse(const struct wrong *w)
{
    struct err e = {0};
    int rc = read_pieces(doc.p, doc.len, 7, &e);

    OK(rc != 0 && e.code == ERR_DAMAGED && strstr(e.msg, w->says) != NULL, "%s", w->what);
    if (rc == 0 || strstr(e.msg, w->says) == NULL)
        printf("# %s\n", e.msg);
}

static void test_wrong(void)
{
    struct wrong far = {"a path of 1024 bytes", NULL, "more than 1023"};
    struct buf text;

    for (size_t i = 0; i < sizeof sealed_cases / sizeof sealed_cases[0]; i++) {
        sealed(sealed_cases[i].text);
        refuse(&sealed_cases[i]);
    }
    for (size_t i = 0; i < sizeof plain_cases / sizeof plain_cases[0]; i++) {
        plain(plain_cases[i].text);
        refuse(&plain_cases[i]);
    }
    buf_init(&text, 8192);
    (void)!buf_fmt(&text, &none, V1 "\"Files\": [{\"Path\":\"%01024d", 0);
    (void)!buf_str(&text, "\",\"Size\":1}],\"WAL-Ranges\":[],\n", &none);
    sealed(buf_text(&text));
    refuse(&far);
    buf_fini(&text);
}

/* ---- writing ---- */

static int to_doc(void *arg, const void *p, size_t n, struct err *e)
{
    (void)arg;
    return buf_add(&doc, p, n, e);
}

static void test_write(void)
{
    static const struct manifest_file files[] = {
        {.path = "backup_label",
         .size = 227,
         .mtime = 1795159714,
         .algorithm = MANIFEST_CRC32C,
         .sum = {0x93, 0x51, 0x30, 0x75}},
        {.path = "no\xff", .mtime = -1, .algorithm = MANIFEST_CRC32C},
        {.path = "a \"b\\c\n\t\x01\xc3\xa4", .size = UINT64_C(8589934592), .mtime = 951782400},
    };
    static const struct manifest_range ranges[] = {{2, 0x102000060, 0x103000000},
                                                   {1, 0x2000028, 0x102000060}};
    struct manifest_out out;
    struct err e = {0};
    struct buf want;
    int rc;

    sealed(good);
    buf_init(&want, 1 << 20);
    (void)!buf_add(&want, doc.p, doc.len, &e);
    buf_clear(&doc);
    rc = manifest_out_begin(&out, 2, UINT64_C(7574382931145229834), to_doc, NULL, &e);
    for (size_t i = 0; rc == 0 && i < 3; i++)
        rc = manifest_out_file(&out, &files[i], &e);
    for (size_t i = 0; rc == 0 && i < 2; i++)
        rc = manifest_out_range(&out, &ranges[i], &e);
    OK(rc == 0 && manifest_out_end(&out, &e) == 0, "a manifest is written");
    manifest_out_fini(&out);
    IS_STR(buf_text(&doc), buf_text(&want), "with the bytes of a server");
    buf_fini(&want);

    buf_clear(&doc);
    rc = manifest_out_begin(&out, 1, 0, to_doc, NULL, &e);
    OK(rc == 0 && manifest_out_end(&out, &e) == 0, "an empty one");
    manifest_out_fini(&out);
    OK(read_all(&e) == 0, "can be read");
    IS_STR(buf_text(&seen), "v1 0;", "as it was written");
}

/* Times of every kind come back. */
static void test_times(void)
{
    static const int64_t times[] = {0,
                                    -1,
                                    86399,
                                    86400,
                                    951782399,
                                    1709164800,
                                    4102444800,
                                    -2208988800,
                                    -62135596800,
                                    253402300799,
                                    INT64_C(-86400) * 365};
    struct manifest_out out;
    struct manifest_file f = {.path = "x"};
    struct err e = {0};
    char want[128];

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        buf_clear(&doc);
        f.mtime = times[i];
        OK(manifest_out_begin(&out, 1, 0, to_doc, NULL, &e) == 0 &&
               manifest_out_file(&out, &f, &e) == 0 && manifest_out_end(&out, &e) == 0 &&
               read_all(&e) == 0,
           "a file of time %lld", (long long)times[i]);
        manifest_out_fini(&out);
        (void)snprintf(want, sizeof want, "v1 0;x 0 %lld 0 ;", (long long)times[i]);
        IS_STR(buf_text(&seen), want, "keeps it");
    }
    f.mtime = INT64_MIN;
    buf_clear(&doc);
    OK(manifest_out_begin(&out, 1, 0, to_doc, NULL, &e) == 0 &&
           manifest_out_file(&out, &f, &e) == 0 && manifest_out_end(&out, &e) == 0 &&
           read_all(&e) == 0,
       "a time that cannot be is written as the nearest that can");
    manifest_out_fini(&out);
}

int main(void)
{
    buf_init(&doc, 1 << 20);
    buf_init(&seen, 1 << 20);
    test_good();
    test_bytes();
    test_wrong();
    test_write();
    test_times();
    buf_fini(&doc);
    buf_fini(&seen);
    return tap_done();
}

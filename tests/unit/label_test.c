/*
 * Goal: backup_label and .backup files of all majors are read, tablespace_map too, with every
 * character a path may have; what no server writes is refused.
 */
#include "tap.h"

#include <stdlib.h>

#include "pg/label.h"
#include "pg/tsmap.h"

static struct label l;

static int parse(const char *text, struct err *e)
{
    err_clear(e);
    return label_parse(text, strlen(text), &l, e);
}

#define HEAD                                                                                       \
    "START WAL LOCATION: 1/A000028 (file 00000002000000010000000A)\n"                              \
    "CHECKPOINT LOCATION: 1/A000080\nBACKUP METHOD: streamed\n"
#define TAIL "START TIME: 2026-11-20 07:28:34 CET\nLABEL: it's a = label\nSTART TIMELINE: 2\n"

static void test_labels(void)
{
    struct err e = {0};

    OK(parse(HEAD "BACKUP FROM: master\n" TAIL, &e) == 0, "a label of 13");
    OK(l.start == 0x10a000028 && l.checkpoint == 0x10a000080 && l.start_tli == 2, "its numbers");
    IS_STR(l.start_file, "00000002000000010000000A", "its file");
    IS_STR(l.label, "it's a = label", "its label");
    IS_STR(l.start_time, "2026-11-20 07:28:34 CET", "its time");
    OK(!l.from_standby && !l.has_stop && l.incremental_lsn == 0, "and nothing else");
    OK(parse(HEAD "BACKUP FROM: standby\n" TAIL "INCREMENTAL FROM LSN: 0/C000028\n"
                  "INCREMENTAL FROM TLI: 1\n",
             &e) == 0,
       "an incremental one of 17 from a standby");
    OK(l.from_standby && l.incremental_lsn == 0xc000028 && l.incremental_tli == 1, "its facts");
    OK(parse("START WAL LOCATION: 1/0A000028 (file 00000002000000010000000A)\n"
             "STOP WAL LOCATION: 1/0B000100 (file 00000002000000010000000B)\n"
             "CHECKPOINT LOCATION: 1/0A000080\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n" TAIL
             "STOP TIME: 2026-11-20 07:29:00 CET\nSTOP TIMELINE: 2\n",
             &e) == 0,
       "a .backup file, with LSNs of eight digits");
    OK(l.has_stop && l.stop == 0x10b000100 && l.stop_tli == 2 && l.start == 0x10a000028,
       "its facts");
    IS_STR(l.stop_file, "00000002000000010000000B", "its last file");
}

static void test_make_full(void)
{
    char text[] = HEAD "BACKUP FROM: primary\n" TAIL "INCREMENTAL FROM LSN: 0/C000028\n"
                       "INCREMENTAL FROM TLI: 1\n";
    char other[] = HEAD "LABEL: INCREMENTAL FROM LSN: 0/1\nINCREMENTAL FROM: x\n" TAIL;
    size_t n = label_make_full(text, sizeof text - 1);

    text[n] = '\0';
    IS_STR(text, HEAD "BACKUP FROM: primary\n" TAIL, "the lines of an increment are taken out");
    n = label_make_full(other, sizeof other - 1);
    OK(n == sizeof other - 1, "lines that only look like them stay");
}

static void test_bad_labels(void)
{
    static const struct {
        const char *what;
        const char *text;
    } bad[] = {
        {"nothing", ""},
        {"a last line without its end", HEAD TAIL "START"},
        {"no start", "CHECKPOINT LOCATION: 0/1\n" TAIL},
        {"no checkpoint", "START WAL LOCATION: 1/A000028 (file 00000002000000010000000A)\n" TAIL},
        {"no timeline", HEAD "LABEL: x\n"},
        {"a label that speaks for the server", HEAD "LABEL: x\nSTART TIMELINE: 7\n" TAIL},
        {"a start that is no LSN",
         "START WAL LOCATION: x (file 00000002000000010000000A)\nCHECKPOINT LOCATION: 0/1\n" TAIL},
        {"a file that is no segment",
         "START WAL LOCATION: 0/1 (file 0000000200000001000000)\nCHECKPOINT LOCATION: 0/1\n" TAIL},
        {"timeline 0", HEAD "START TIMELINE: 0\n"},
    };
    struct err e = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(parse(bad[i].text, &e) != 0 && e.code == ERR_DAMAGED, "%s", bad[i].what);
}

/* ---- tablespace_map ---- */

static int take_line(void *arg, uint32_t oid, const char *path, struct err *e)
{
    return buf_fmt(arg, e, "%u=%s;", oid, path);
}

static int map(const char *text, size_t n, struct buf *out, struct err *e)
{
    err_clear(e);
    buf_clear(out);
    return tsmap_parse(text, n, take_line, out, e);
}

static void test_map(void)
{
    static const char text[] = "16384 /srv/a b=c\n4294967295 /x\\\ny\\\\z\\\r\n";
    static const char *const bad[] = {
        "16384\n",  "16384 \n",     "16384 relative\n", "0 /x\n",
        "x /x\n",   "-1 /x\n",      "16384  /x\n",      "4294967296 /x\n",
        "16384 /x", "16384 /x\\",   "16384 /x\\\n",     " /x\n",
        "\n",       "16384 /x\n\n", "16384 /x\n1",      "00000016384 /x\n",
    };
    struct err e = {0};
    struct buf out;
    struct buf again;
    char *far = malloc(4096);
    size_t accepted = 0;

    buf_init(&out, 1 << 16);
    buf_init(&again, 1 << 16);
    OK(map(text, sizeof text - 1, &out, &e) == 0, "a tablespace map");
    IS_STR(buf_text(&out), "16384=/srv/a b=c;4294967295=/x\ny\\z\r;", "with every kind of path");
    OK(tsmap_add(&again, 16384, "/srv/a b=c", &e) == 0 &&
           tsmap_add(&again, UINT32_MAX, "/x\ny\\z\r", &e) == 0,
       "is written");
    IS_STR(buf_text(&again), text, "as a server writes it");
    OK(map("", 0, &out, &e) == 0 && out.len == 0, "an empty one");
    OK(map("16384 /x\0y\n", 11, &out, &e) != 0, "no path with a zero byte");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (map(bad[i], strlen(bad[i]), &out, &e) == 0) {
            accepted++;
            printf("# %zu: %s\n", i, bad[i]);
        }
    }
    OK(accepted == 0, "what no server writes is refused");
    if (far == NULL)
        return;
    memset(far, '/', 4096);
    memcpy(far, "1 ", 2);
    far[4095] = '\n';
    OK(map(far, 4096, &out, &e) != 0, "no path longer than a path may be");
    free(far);
    buf_fini(&out);
    buf_fini(&again);
}

int main(void)
{
    test_labels();
    test_make_full();
    test_bad_labels();
    test_map();
    return tap_done();
}

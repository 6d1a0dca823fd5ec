/* The side files: timeline history, backup label, control file. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "pg/control.h"
#include "pg/history.h"
#include "pg/label.h"
#include "tap.h"

static struct history hist;
static struct label lab;
static struct control ctl;
static struct err err;

static int history(const char *text, tli_t tli)
{
    err_clear(&err);
    return history_parse(text, strlen(text), tli, &hist, &err);
}

static void test_history(void)
{
    lsn_t end;

    OK(history("1\t0/80000A0\tno recovery target specified\n", 2) == 0 && hist.n == 1 &&
           hist.entry[0].tli == 1 && hist.entry[0].end == 0x80000a0,
       "one parent");
    OK(history("# from somewhere\n1\t0/80000A0\twhy\n\n2\t1/0000FFFF\tafter 2 x\n  \n11 1/1FFFF\n",
               12) == 0 &&
           hist.n == 3 && hist.entry[2].tli == 11,
       "three, with comments and blank lines");
    OK(history_tli_at(&hist, 0x80000a0 - 1) == 1 && history_tli_at(&hist, 0x80000a0) == 2 &&
           history_tli_at(&hist, UINT64_C(0x10000ffff)) == 11 &&
           history_tli_at(&hist, UINT64_C(0x200000000)) == 12,
       "which timeline an LSN belongs to");
    OK(history_end_of(&hist, 2, &end) && end == UINT64_C(0x10000ffff) &&
           !history_end_of(&hist, 12, &end) && !history_end_of(&hist, 3, &end),
       "where a timeline was left");
    OK(history("", 2) == -1 && history("\n\n", 2) == -1, "refused: no parent");
    OK(history("1\t0/80000A0\tno reco", 2) == -1 && strstr(err.msg, "cut off") != NULL,
       "refused: cut off");
    OK(history("2\t0/80000A0\tx\n", 2) == -1 && history("3\t0/80000A0\tx\n", 2) == -1,
       "refused: its own parent");
    OK(history("1\t0/2\tx\n1\t0/3\tx\n", 5) == -1, "refused: twice the same");
    OK(history("1\t0/5\tx\n2\t0/3\tx\n", 3) == 0 && hist.n == 1 && hist.entry[0].tli == 1 &&
           hist.entry[0].end == 3 && history_tli_at(&hist, 2) == 1 && history_tli_at(&hist, 4) == 3,
       "restored to before the target timeline began: it has nothing of that one");
    OK(history("1\t0/5\tx\n2\t0/8\tx\n3\t0/5\tx\n4\t0/9\tx\n", 5) == 0 && hist.n == 2 &&
           hist.entry[0].end == 5 && hist.entry[1].tli == 4 && hist.entry[1].end == 9,
       "to where it began, and on from there");
    OK(history("1\t0/5\tx\n2\t0/8\tx\n3\t0/6\tx\n", 5) == 0 && hist.n == 2 &&
           hist.entry[1].tli == 2 && hist.entry[1].end == 6,
       "to before the one in the middle began");
    OK(history("1\t0/5\tx\n3\t0/3\tx\n2\t0/8\tx\n", 5) == -1, "refused: timelines that fall");
    OK(history("x\t0/3\tx\n", 5) == -1 && history("1\t0-3\tx\n", 5) == -1 &&
           history("1\n", 5) == -1 && history("0\t0/3\tx\n", 5) == -1,
       "refused: no number, no LSN");
    err_clear(&err);
    OK(history_parse("1\t0/3\tx\0\n", 9, 5, &hist, &err) == -1, "refused: not text");
}

static int label(const char *text)
{
    err_clear(&err);
    return label_parse(text, strlen(text), &lab, &err);
}

#define LABEL_START                                                                                \
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"                              \
    "CHECKPOINT LOCATION: 0/2000060\n"                                                             \
    "BACKUP METHOD: streamed\n"                                                                    \
    "BACKUP FROM: standby\n"                                                                       \
    "START TIME: 2026-11-20 06:21:45 UTC\n"                                                        \
    "LABEL: pg_basebackup base backup\n"                                                           \
    "START TIMELINE: 3\n"

#define NOTE(name)                                                                                 \
    "START WAL LOCATION: 0/02000028 (file 000000030000000000000002)\n"                             \
    "STOP WAL LOCATION: 0/20001F8 (file 000000030000000000000002)\n"                               \
    "CHECKPOINT LOCATION: 0/02000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n"             \
    "START TIME: x\nLABEL: " name "\nSTART TIMELINE: 3\nSTOP TIME: y\nSTOP TIMELINE: 3\n"

static int note(const char *text)
{
    char file[WALNAME_SEGMENT_LEN + 1] = "";
    lsn_t start = 0;

    err_clear(&err);
    if (label_check_note(text, strlen(text), &start, file, &err) != 0)
        return -1;
    return start == 0x2000028 && strcmp(file, "000000030000000000000002") == 0 ? 0 : 1;
}

static void test_note(void)
{
    OK(note(NOTE("nightly")) == 0, "a note to be kept");
    OK(note(NOTE("a\nSTART TIMELINE: 7\nSTART WAL LOCATION: 0/5 (file x)")) == 0,
       "whatever the backup is called");
    OK(note(NOTE("x") "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n") == 0,
       "of an increment");
    OK(note(NOTE("x") "STOP") == -1 && note("STOP TIMELINE: 3\n") == -1 && note("\n") == -1 &&
           note("x" NOTE("x")) == -1,
       "refused: no begin, no end");
    OK(note("START WAL LOCATION: 0/02000028 (file 000000030000000000000002)\n") == -1,
       "refused: cut at the end of a line");
}

static void test_label(void)
{
    OK(label(LABEL_START) == 0 && lab.start == 0x2000028 && lab.checkpoint == 0x2000060 &&
           lab.start_tli == 3 && lab.from_standby && !lab.has_stop,
       "a backup label");
    IS_STR(lab.label, "pg_basebackup base backup", "its name");
    IS_STR(lab.start_file, "000000010000000000000002", "its segment");
    IS_STR(lab.start_time, "2026-11-20 06:21:45 UTC", "its time");
    OK(label(LABEL_START "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 2\n") == 0 &&
           lab.incremental_lsn == 0x1000028 && lab.incremental_tli == 2,
       "an incremental one");
    OK(label("START WAL LOCATION: 0/02000028 (file 000000010000000000000002)\n"
             "STOP WAL LOCATION: 0/20001F8 (file 000000010000000000000002)\n"
             "CHECKPOINT LOCATION: 0/02000060\nBACKUP METHOD: streamed\nBACKUP FROM: master\n"
             "START TIME: x\nLABEL: \nSTART TIMELINE: 1\nSTOP TIME: y\nSTOP TIMELINE: 1\n") == 0 &&
           lab.has_stop && lab.stop == 0x20001f8 && lab.stop_tli == 1 && !lab.from_standby,
       "a backup history file");
    OK(label(LABEL_START "SOMETHING NEW: 5\n") == 0, "a key of a later version is passed over");
    OK(label(LABEL_START "START TIMELINE: 9\n") == -1 && strstr(err.msg, "twice") != NULL,
       "refused: a key twice");
    OK(label("CHECKPOINT LOCATION: 0/2000060\nSTART TIMELINE: 1\n") == -1, "refused: no start");
    OK(label("START WAL LOCATION: 0/2000028 (file 00000001)\n") == -1, "refused: no segment");
    OK(label(LABEL_START "LABEL") == -1, "refused: cut off");
}

static void control_make(uint8_t *p, uint32_t version, uint32_t crc_at)
{
    memset(p, 0, CONTROL_SIZE);
    put_u64(p, 4711);
    put_u32(p + 8, version);
    put_u32(p + 12, version == 1800 ? 202506291 : 202209061);
    put_u32(p + 16, CONTROL_RUNNING);
    put_u64(p + 32, 0x2000060);
    put_u64(p + 40, 0x2000028);
    put_u32(p + 48, 7);
    put_u32(p + 172, 1);
    put_u32(p + 180, 100);
    put_u32(p + 228, 16 << 20);
    put_u32(p + 252, 1);
    put_u32(p + crc_at, crc32c_extend(0, p, crc_at));
}

static int control(const uint8_t *p, size_t n)
{
    err_clear(&err);
    return control_parse(p, n, &ctl, &err);
}

static void test_control(void)
{
    static const struct {
        uint32_t version;
        uint32_t crc_at;
        uint32_t major;
    } known[] = {{1300, 288, 15}, {1700, 288, 15}, {1800, 292, 18}};
    uint8_t p[CONTROL_SIZE + 1];
    bool seen = true;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        control_make(p, known[i].version, known[i].crc_at);
        OK(control(p, CONTROL_SIZE) == 0 && ctl.is_known && ctl.sysid == 4711 &&
               ctl.major == known[i].major && ctl.checkpoint == 0x2000060 && ctl.tli == 7 &&
               ctl.segsize == 16 << 20 && ctl.checksums == 1 && ctl.max_connections == 100 &&
               ctl.wal_level == 1 && ctl.state == CONTROL_RUNNING,
           "control version %u", known[i].version);
        for (uint32_t at = 12; at < known[i].crc_at + 4; at++) {
            p[at] ^= 0x10;
            seen = seen && control(p, CONTROL_SIZE) == -1 && err.code == ERR_DAMAGED;
            p[at] ^= 0x10;
        }
    }
    OK(seen, "a flipped bit anywhere is seen");
    OK(control(p, CONTROL_SIZE - 1) == -1 && control(p, 0) == -1, "refused: another size");
    control_make(p, 9900, 300);
    OK(control(p, CONTROL_SIZE) == 0 && !ctl.is_known && ctl.sysid == 4711 && ctl.tli == 7,
       "of an unknown version the first fields");
    control_make(p, 1800, 292);
    put_u32(p + 228, 3 << 20);
    put_u32(p + 292, crc32c_extend(0, p, 292));
    OK(control(p, CONTROL_SIZE) == -1, "refused: a segment size that cannot be");
    control_make(p, 1300, 288);
    put_u32(p + 8, 0x14050000);
    OK(control(p, CONTROL_SIZE) == -1 && strstr(err.msg, "big-endian") != NULL,
       "refused: big-endian");
}

int main(void)
{
    test_history();
    test_label();
    test_note();
    test_control();
    return tap_done();
}

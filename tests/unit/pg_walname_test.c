#include "pg/walname.h"

#include "tap.h"

static void test_parse(void)
{
    static const char *const bad[] = {"",
                                      "0000000100000000000000",
                                      "00000001000000000000000G",
                                      "00000001000000000000000a",
                                      "000000000000000000000001",
                                      "000000010000000000000001.",
                                      "000000010000000000000001.part",
                                      "000000010000000000000001.partial2",
                                      "0000000100000000000000011",
                                      "000000010000000000000001.0000028.backup",
                                      "000000010000000000000001.00000028.backu",
                                      "000000010000000000000001.00000028",
                                      "00000000.history",
                                      "00000002.histor",
                                      "00000002.history ",
                                      "0000002.history",
                                      " 000000010000000000000001",
                                      "../00000001000000000001"};
    struct walname n;
    bool refused = true;

    OK(walname_parse("0000000A00000012000000FF", &n) && n.kind == WALNAME_SEGMENT && n.tli == 10 &&
           n.hi == 0x12 && n.lo == 0xff,
       "a segment");
    OK(walname_parse("000000010000000000000005.partial", &n) && n.kind == WALNAME_PARTIAL,
       "a partial");
    OK(walname_parse("000000010000000000000005.00ABCDEF.backup", &n) && n.kind == WALNAME_BACKUP &&
           n.offset == 0xabcdef,
       "a backup note");
    OK(walname_parse("FFFFFFFF.history", &n) && n.kind == WALNAME_HISTORY && n.tli == UINT32_MAX,
       "a history");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (walname_parse(bad[i], &n)) {
            printf("# accepted \"%s\"\n", bad[i]);
            refused = false;
        }
    }
    OK(refused, "everything else is refused");
}

static void test_arithmetic(void)
{
    static const struct {
        uint32_t segsize;
        uint32_t last;
    } sizes[] = {{1 << 20, 0xfff}, {16 << 20, 0xff}, {64 << 20, 0x3f}, {1 << 30, 3}};
    struct walname n = {WALNAME_SEGMENT, 1, 1, 0, 0};
    uint64_t segno;
    char name[WALNAME_MAX];

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t size = sizes[i].segsize;

        n.lo = sizes[i].last;
        OK(walname_segno(&n, size, &segno) && walname_start(segno, size) + size == UINT64_C(2)
                                                                                       << 32,
           "%u MB: the last segment below 2/0", size >> 20);
        n.lo++;
        OK(!walname_segno(&n, size, &segno), "%u MB: a third field too large", size >> 20);
        OK(walname_segno_of(UINT64_C(2) << 32, size) ==
               walname_segno_before(UINT64_C(2) << 32, size) + 1,
           "%u MB: a boundary", size >> 20);
    }
    walname_segment(name, 1, walname_segno_of(0xffffffff, 1 << 20), 1 << 20);
    IS_STR(name, "000000010000000000000FFF", "the name of 0/FFFFFFFF at 1 MB");
    walname_segment(name, 1, walname_segno_of(UINT64_C(0x100000001), 1 << 20), 1 << 20);
    IS_STR(name, "000000010000000100000000", "the name of 1/1 at 1 MB");
    walname_partial(name, 0x1f, 5, 16 << 20);
    IS_STR(name, "0000001F0000000000000005.partial", "a partial's name");
    walname_backup(name, 1, UINT64_C(0x2000028), 16 << 20);
    IS_STR(name, "000000010000000000000002.00000028.backup", "a backup note's name");
    walname_history(name, 12);
    IS_STR(name, "0000000C.history", "a history's name");
    OK(walname_segno_before(0, 1 << 20) == 0, "nothing lies before 0/0");
    OK(walname_is_segsize(1 << 20) && walname_is_segsize(1 << 30) && !walname_is_segsize(0) &&
           !walname_is_segsize(1 << 19) && !walname_is_segsize(UINT64_C(1) << 31) &&
           !walname_is_segsize(3 << 20),
       "segment sizes");
}

int main(void)
{
    test_parse();
    test_arithmetic();
    return tap_done();
}

/* base/buf and base/vec: growth, ceilings, the checked cursor. */
#include "base/buf.h"
#include "base/vec.h"

#include "unit/tap.h"

VEC_DECLARE(number_vec, uint32_t);

static void test_append(void)
{
    struct err e = {0};
    struct buf b;

    buf_init(&b, 1000);
    IS_STR(buf_text(&b), "", "an empty buffer reads as the empty string");
    OK(buf_add(&b, NULL, 0, &e) == 0 && b.len == 0, "nothing may be added");
    OK(buf_str(&b, "ab", &e) == 0 && buf_fmt(&b, &e, "%d-%s", 7, "x") == 0, "text is added");
    IS_STR(buf_text(&b), "ab7-x", "text is in order and ends in 0");
    buf_clear(&b);
    IS_STR(buf_text(&b), "", "a cleared buffer is empty");
    OK(buf_u8(&b, 1, &e) == 0 && buf_u16(&b, 0x0302, &e) == 0 && buf_u32(&b, 0x07060504, &e) == 0 &&
           buf_u64(&b, UINT64_C(0x0f0e0d0c0b0a0908), &e) == 0,
       "numbers are added");
    OK(b.len == 15 && memcmp(b.p, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 15) == 0,
       "numbers are little-endian");
    buf_fini(&b);
    OK(b.p == NULL && b.len == 0, "a finished buffer is empty");
    OK(buf_str(&b, "again", &e) == 0, "a finished buffer can be used again");
    buf_fini(&b);
}

static void test_ceiling(void)
{
    struct err e = {0};
    struct buf b;
    size_t len = 0;
    uint8_t *taken;
    bool ok = true;

    buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        ok = ok && buf_u8(&b, (uint8_t)i, &e) == 0;
    OK(ok && b.len == 100 && b.cap <= 100, "a buffer fills up to its ceiling and not beyond");
    OK(buf_u8(&b, 1, &e) == -1 && e.code == ERR_NOMEM && b.len == 100,
       "the byte above the ceiling is refused and nothing changes");
    err_clear(&e);
    OK(buf_fmt(&b, &e, "x") == -1 && e.code == ERR_NOMEM, "formatted text meets the ceiling too");
    err_clear(&e);
    OK(buf_reserve(&b, SIZE_MAX, &e) == -1 && e.code == ERR_NOMEM, "a wrapping size is refused");
    err_clear(&e);
    taken = buf_take(&b, &len, &e);
    OK(taken != NULL && len == 100 && taken[99] == 99 && taken[100] == 0 && b.p == NULL,
       "take hands over the bytes and a closing 0");
    free(taken);
    taken = buf_take(&b, NULL, &e);
    OK(taken != NULL && taken[0] == 0, "take of an empty buffer is an empty string");
    free(taken);
    buf_init(&b, 0);
    OK(buf_add(&b, "", 0, &e) == 0 && buf_u8(&b, 0, &e) == -1, "a ceiling of 0 holds 0 bytes");
    buf_fini(&b);
}

static void test_varint(void)
{
    static const struct {
        uint64_t v;
        size_t len;
    } good[] = {{0, 1},
                {1, 1},
                {127, 1},
                {128, 2},
                {16383, 2},
                {16384, 3},
                {UINT32_MAX, 5},
                {UINT64_MAX, 10},
                {UINT64_MAX / 2, 9},
                {UINT64_C(1) << 63, 10}};
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } bad[] = {{"", 0, "empty"},
               {"\x80", 1, "cut off"},
               {"\x80\x00", 2, "longer than needed"},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, "above 64 bits"},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, "eleven bytes"},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, "cut off before the tenth byte"}};
    struct err e = {0};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct buf b;
        struct cur c;
        uint64_t v = 1;

        buf_init(&b, 32);
        OK(buf_varint(&b, good[i].v, &e) == 0 && b.len == good[i].len, "varint %zu has its length",
           i);
        c = cur_of(b.p, b.len);
        OK(cur_varint(&c, &v) && v == good[i].v && c.left == 0, "varint %zu comes back", i);
        buf_fini(&b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cur c = cur_of(bad[i].bytes, bad[i].n);
        uint64_t v;

        OK(!cur_varint(&c, &v) && c.left == bad[i].n, "varint refused: %s", bad[i].why);
    }
}

static void test_cursor(void)
{
    static const uint8_t raw[] = {1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 8};
    struct cur c = cur_of(raw, sizeof raw);
    struct cur part;
    const uint8_t *p = NULL;
    uint8_t a = 0;
    uint16_t b = 0;
    uint32_t d = 0;
    uint64_t f = 0;
    char two[2];

    OK(cur_u8(&c, &a) && cur_u16(&c, &b) && cur_u32(&c, &d) && cur_u64(&c, &f), "numbers are read");
    OK(a == 1 && b == 2 && d == 3 && f == 4 && c.left == 2, "each with its value");
    OK(!cur_u32(&c, &d) && !cur_u64(&c, &f) && !cur_bytes(&c, 3, &p) && c.left == 2,
       "what is not there is not taken");
    OK(!cur_split(&c, SIZE_MAX, &part) && c.left == 2, "nor the greatest length");
    OK(cur_split(&c, 1, &part) && part.left == 1 && *part.p == 9 && c.left == 1,
       "a part splits off");
    OK(!cur_copy(&c, two, 2) && cur_copy(&c, two, 1) && two[0] == 8, "bytes are copied");
    OK(cur_bytes(&c, 0, &p) && !cur_u8(&c, &a) && !cur_u16(&c, &b), "the end is the end");
    c = cur_of(NULL, 0);
    OK(cur_copy(&c, two, 0) && !cur_u8(&c, &a), "an empty cursor may stand on NULL");
}

static void test_vec(void)
{
    struct err e = {0};
    struct number_vec v;
    bool ok = true;
    uint32_t *slot;

    number_vec_init(&v, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        ok = ok && number_vec_push(&v, i, &e) == 0;
    OK(ok && v.n == 1000 && v.v[0] == 0 && v.v[999] == 999, "items keep their order");
    OK(number_vec_push(&v, 1, &e) == -1 && e.code == ERR_NOMEM && v.n == 1000,
       "the item above the ceiling is refused");
    OK(number_vec_add(&v, &e) == NULL, "and so is a new empty one");
    number_vec_fini(&v);
    err_clear(&e);
    slot = number_vec_add(&v, &e);
    OK(slot != NULL && *slot == 0 && v.n == 1, "a finished list can be used again");
    number_vec_fini(&v);
    number_vec_init(&v, SIZE_MAX);
    err_clear(&e);
    v.cap = SIZE_MAX / 2;
    OK(vec_grow(NULL, &v.cap, SIZE_MAX / 2 + 1, SIZE_MAX, 4, &e) == NULL && e.code == ERR_NOMEM,
       "a size that would wrap is refused");
}

int main(void)
{
    test_append();
    test_ceiling();
    test_varint();
    test_cursor();
    test_vec();
    return tap_done();
}

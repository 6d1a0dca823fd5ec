#include "base/crc32c.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "tap.h"

enum { SIZE = 16384 };

/* The definition, one bit at a time. */
static uint32_t crc_by_bits(uint32_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void test_known_values(void)
{
    static const uint8_t digits[] = "123456789";
    uint8_t same[32];

    OK(crc32c_extend(0, digits, 9) == 0xe3069283u, "check value of the digits 1 to 9");
    OK(crc32c_tables(0, digits, 9) == 0xe3069283u, "the same from the tables");
    OK(crc32c_extend(0, digits, 0) == 0, "no bytes give 0");
    memset(same, 0, sizeof same);
    OK(crc32c_extend(0, same, 32) == 0x8a9136aau, "32 zero bytes (RFC 3720)");
    memset(same, 0xff, sizeof same);
    OK(crc32c_extend(0, same, 32) == 0x62a8ab43u, "32 bytes of ones (RFC 3720)");
}

static void test_every_length(const uint8_t *p)
{
    bool tables = true;
    bool best = true;
    crc32c_fn *fn = crc32c_best();

    for (size_t n = 0; n < 3500; n++) {
        uint32_t want = crc_by_bits((uint32_t)n, p + n % 9, n);

        tables = tables && crc32c_tables((uint32_t)n, p + n % 9, n) == want;
        best = best && fn((uint32_t)n, p + n % 9, n) == want;
    }
    OK(tables, "tables: lengths 0 to 3499 at every alignment");
    OK(best, "best: lengths 0 to 3499 at every alignment");
    OK(fn(0, p, SIZE) == crc_by_bits(0, p, SIZE), "best: 16 kB");
}

static void test_pieces(const uint8_t *p)
{
    bool joined = true;
    bool combined = true;
    uint32_t whole = crc32c_extend(0, p, 8192);

    for (size_t cut = 0; cut <= 8192; cut += 61) {
        uint32_t a = crc32c_extend(0, p, cut);
        uint32_t b = crc32c_extend(0, p + cut, 8192 - cut);

        joined = joined && crc32c_extend(a, p + cut, 8192 - cut) == whole;
        combined = combined && crc32c_combine(a, b, 8192 - cut) == whole;
    }
    OK(joined, "a value continues over the next piece");
    OK(combined, "combine joins two pieces at every cut");
}

static void test_combine_far(void)
{
    static const uint8_t zeros[4096];
    uint32_t far = 0x12345678u;

    for (int i = 0; i < 5000; i++)
        far = crc32c_extend(far, zeros, sizeof zeros);
    OK(crc32c_combine(0x12345678u, crc32c_combine(0, crc32c_extend(0, zeros, 1), 0), 1) ==
           crc32c_extend(0x12345678u, zeros, 1),
       "combine with one byte");
    {
        uint32_t z = 0;

        for (int i = 0; i < 5000; i++)
            z = crc32c_extend(z, zeros, sizeof zeros);
        OK(crc32c_combine(0x12345678u, z, (uint64_t)5000 * sizeof zeros) == far,
           "combine across 20 MB");
    }
}

int main(void)
{
    uint8_t *p = malloc(SIZE + 16);
    uint32_t x = 1;

    if (p == NULL)
        return 1;
    for (size_t i = 0; i < SIZE + 16; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
    printf("# hardware: %s\n", crc32c_is_hardware() ? "yes" : "no");
    test_known_values();
    test_every_length(p);
    test_pieces(p);
    test_combine_far();
    free(p);
    return tap_done();
}

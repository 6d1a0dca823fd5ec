#include "base/crc32c.h"

#include <string.h>

#include "base/bytes.h"
#include "base/crc32c_table.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HAVE_CRC_INSTRUCTION 1
#define CRC_TARGET           __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#define HAVE_CRC_INSTRUCTION 1
#define CRC_TARGET
#else
#define HAVE_CRC_INSTRUCTION 0
#endif

uint32_t crc32c_tables(uint32_t crc, const uint8_t *p, size_t n)
{
    uint32_t c = ~crc;

    for (; n >= 8; p += 8, n -= 8) {
        uint32_t lo = c ^ get_u32(p);
        uint32_t hi = get_u32(p + 4);

        c = slice[7][lo & 0xff] ^ slice[6][lo >> 8 & 0xff] ^ slice[5][lo >> 16 & 0xff] ^
            slice[4][lo >> 24] ^ slice[3][hi & 0xff] ^ slice[2][hi >> 8 & 0xff] ^
            slice[1][hi >> 16 & 0xff] ^ slice[0][hi >> 24];
    }
    for (; n > 0; p++, n--)
        c = slice[0][(c ^ *p) & 0xff] ^ c >> 8;
    return ~c;
}

#if HAVE_CRC_INSTRUCTION

#if defined(__x86_64__)
CRC_TARGET static inline uint32_t step_u64(uint32_t c, uint64_t v)
{
    return (uint32_t)_mm_crc32_u64(c, v);
}

CRC_TARGET static inline uint32_t step_u32(uint32_t c, uint32_t v)
{
    return _mm_crc32_u32(c, v);
}

CRC_TARGET static inline uint32_t step_u8(uint32_t c, uint8_t v)
{
    return _mm_crc32_u8(c, v);
}
#else
/* Assembler text, because compilers disagree on how to enable the extension for one function. */
static inline uint32_t step_u64(uint32_t c, uint64_t v)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(c) : "r"(v));
    return c;
}

static inline uint32_t step_u32(uint32_t c, uint32_t v)
{
    __asm__(".arch_extension crc\n\tcrc32cw %w0, %w0, %w1" : "+r"(c) : "r"(v));
    return c;
}

static inline uint32_t step_u8(uint32_t c, uint8_t v)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(c) : "r"((uint32_t)v));
    return c;
}
#endif

static inline uint32_t shift(const uint32_t table[8][16], uint32_t c)
{
    return table[0][c & 15] ^ table[1][c >> 4 & 15] ^ table[2][c >> 8 & 15] ^
           table[3][c >> 12 & 15] ^ table[4][c >> 16 & 15] ^ table[5][c >> 20 & 15] ^
           table[6][c >> 24 & 15] ^ table[7][c >> 28];
}

/* The instruction takes three cycles but one can start in each, hence three streams of `block`
 * bytes side by side, joined by shifting the first ones across what follows them. */
CRC_TARGET static inline uint32_t three_streams(uint32_t c, const uint8_t *p, size_t block,
                                                const uint32_t table[8][16])
{
    uint32_t c1 = 0;
    uint32_t c2 = 0;

    for (size_t i = 0; i < block; i += 8) {
        c = step_u64(c, get_u64(p + i));
        c1 = step_u64(c1, get_u64(p + block + i));
        c2 = step_u64(c2, get_u64(p + 2 * block + i));
    }
    return shift(table, shift(table, c) ^ c1) ^ c2;
}

CRC_TARGET static uint32_t crc_instruction(uint32_t crc, const uint8_t *p, size_t n)
{
    uint32_t c = ~crc;

    if (n >= 3 * (size_t)CRC32C_SHORT) {
        for (; n >= 3 * (size_t)CRC32C_LONG; p += 3 * CRC32C_LONG, n -= 3 * (size_t)CRC32C_LONG)
            c = three_streams(c, p, CRC32C_LONG, shift_long);
        for (; n >= 3 * (size_t)CRC32C_SHORT; p += 3 * CRC32C_SHORT, n -= 3 * (size_t)CRC32C_SHORT)
            c = three_streams(c, p, CRC32C_SHORT, shift_short);
    }
    for (; n >= 8; p += 8, n -= 8)
        c = step_u64(c, get_u64(p));
    if ((n & 4) != 0) {
        c = step_u32(c, get_u32(p));
        p += 4;
    }
    for (n &= 3; n > 0; p++, n--)
        c = step_u8(c, *p);
    return ~c;
}

bool crc32c_is_hardware(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2") != 0;
#else
    enum { AARCH64_HWCAP_CRC32 = 1 << 7 };
    return (getauxval(AT_HWCAP) & AARCH64_HWCAP_CRC32) != 0;
#endif
}

crc32c_fn *crc32c_best(void)
{
    return crc32c_is_hardware() ? crc_instruction : crc32c_tables;
}

#else

bool crc32c_is_hardware(void)
{
    return false;
}

crc32c_fn *crc32c_best(void)
{
    return crc32c_tables;
}

#endif

uint32_t crc32c_extend(uint32_t crc, const uint8_t *p, size_t n)
{
    return crc32c_best()(crc, p, n);
}

/* a * b modulo the polynomial, in the reflected form: bit 31 stands for x^0. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
        if ((a & bit) != 0)
            product ^= b;
        b = (b & 1) != 0 ? b >> 1 ^ 0x82f63b78u : b >> 1;
    }
    return product;
}

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
    uint32_t power = 0x00800000u; /* x^8: one zero byte */

    for (; len_b > 0; len_b >>= 1) {
        if ((len_b & 1) != 0)
            crc_a = multiply(crc_a, power);
        power = multiply(power, power);
    }
    return crc_a ^ crc_b;
}

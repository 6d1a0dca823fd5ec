#include "stream/poly1305.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "base/bytes.h"

#define WIDE __attribute__((target("avx2")))
/* The inner steps must end up in registers: inlined, and their loops over limbs written out. */
#define WIDE_STEP       WIDE __attribute__((always_inline)) static inline
#define EACH_LIMB(what) (what(0), what(1), what(2), what(3), what(4))

__extension__ typedef unsigned __int128 u128;

static const uint64_t MASK44 = (1ULL << 44) - 1;
static const uint64_t MASK42 = (1ULL << 42) - 1;
static const uint64_t MASK26 = (1ULL << 26) - 1;

enum { LIMBS = 5, LANES = 4, STEP = 2 * LANES * POLY1305_BLOCK };

/* Where the powers stand in struct poly1305. */
enum { R1, R2, R3, R4, R8 };

bool poly1305_is_fast(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

/* ---- one number ---- */

/* 2^130 is 5 modulo the prime, so what overflows the last limb comes back five-fold. */
static void settle(struct poly1305_number *n, u128 d0, u128 d1, u128 d2)
{
    uint64_t carry;

    d1 += (uint64_t)(d0 >> 44);
    d2 += (uint64_t)(d1 >> 44);
    n->limb[2] = (uint64_t)d2 & MASK42;
    carry = ((uint64_t)d0 & MASK44) + (uint64_t)(d2 >> 42) * 5;
    n->limb[0] = carry & MASK44;
    carry = ((uint64_t)d1 & MASK44) + (carry >> 44);
    n->limb[1] = carry & MASK44;
    n->limb[2] += carry >> 44;
}

static void multiply(struct poly1305_number *a, const struct poly1305_number *by)
{
    const uint64_t *h = a->limb;
    const uint64_t *r = by->limb;
    uint64_t s1 = r[1] * 20; /* 5, and the limbs overlap by two bits */
    uint64_t s2 = r[2] * 20;

    settle(a, (u128)h[0] * r[0] + (u128)h[1] * s2 + (u128)h[2] * s1,
           (u128)h[0] * r[1] + (u128)h[1] * r[0] + (u128)h[2] * s2,
           (u128)h[0] * r[2] + (u128)h[1] * r[1] + (u128)h[2] * r[0]);
}

/* h = (h + block) * r.  The mark is the bit behind the message's last byte in this block. */
static void absorb(struct poly1305 *p, const uint8_t block[POLY1305_BLOCK], uint64_t mark)
{
    uint64_t lo = get_u64(block);
    uint64_t hi = get_u64(block + 8);

    p->h.limb[0] += lo & MASK44;
    p->h.limb[1] += (lo >> 44 | hi << 20) & MASK44;
    p->h.limb[2] += hi >> 24 | mark << 40;
    multiply(&p->h, &p->power[R1]);
}

void poly1305_init(struct poly1305 *p, const uint8_t key[POLY1305_KEY])
{
    uint64_t lo = get_u64(key) & 0x0ffffffc0fffffffULL;
    uint64_t hi = get_u64(key + 8) & 0x0ffffffc0ffffffcULL;

    memset(p, 0, sizeof *p);
    p->power[R1] =
        (struct poly1305_number){{lo & MASK44, (lo >> 44 | hi << 20) & MASK44, hi >> 24}};
    for (int i = R2; i <= R4; i++) {
        p->power[i] = p->power[i - 1];
        multiply(&p->power[i], &p->power[R1]);
    }
    p->power[R8] = p->power[R4];
    multiply(&p->power[R8], &p->power[R4]);
    p->pad[0] = get_u64(key + 16);
    p->pad[1] = get_u64(key + 24);
}

/* ---- four numbers side by side, in limbs of 26 bits ---- */

struct wide {
    __m256i limb[LIMBS];
};

/* A factor, and five times it for the limbs that wrap around. */
struct factor {
    __m256i r[LIMBS];
    __m256i s[LIMBS];
};

static void to_26(uint64_t out[LIMBS], const struct poly1305_number *n)
{
    out[0] = n->limb[0] & MASK26;
    out[1] = (n->limb[0] >> 26 | n->limb[1] << 18) & MASK26;
    out[2] = n->limb[1] >> 8 & MASK26;
    out[3] = (n->limb[1] >> 34 | n->limb[2] << 10) & MASK26;
    out[4] = n->limb[2] >> 16;
}

/* One power per lane. */
WIDE static void make_factor(struct factor *f, const struct poly1305_number *a,
                             const struct poly1305_number *b, const struct poly1305_number *c,
                             const struct poly1305_number *d)
{
    const struct poly1305_number *lane[LANES] = {a, b, c, d};
    uint64_t limb[LANES][LIMBS];

    for (int k = 0; k < LANES; k++)
        to_26(limb[k], lane[k]);
    for (int i = 0; i < LIMBS; i++) {
        f->r[i] = _mm256_set_epi64x((int64_t)limb[3][i], (int64_t)limb[2][i], (int64_t)limb[1][i],
                                    (int64_t)limb[0][i]);
        f->s[i] = _mm256_add_epi64(f->r[i], _mm256_slli_epi64(f->r[i], 2));
    }
}

/* Four blocks; lanes are blocks 0, 2, 1, 3. */
WIDE_STEP void load(struct wide *w, const uint8_t *bytes)
{
    const __m256i mask = _mm256_set1_epi64x((int64_t)MASK26);
    const __m256i mark = _mm256_set1_epi64x(1 << 24);
    __m256i a = _mm256_loadu_si256((const void *)bytes);
    __m256i b = _mm256_loadu_si256((const void *)(bytes + 32));
    __m256i lo = _mm256_unpacklo_epi64(a, b);
    __m256i hi = _mm256_unpackhi_epi64(a, b);

    w->limb[0] = _mm256_and_si256(lo, mask);
    w->limb[1] = _mm256_and_si256(_mm256_srli_epi64(lo, 26), mask);
    w->limb[2] = _mm256_and_si256(
        _mm256_or_si256(_mm256_srli_epi64(lo, 52), _mm256_slli_epi64(hi, 12)), mask);
    w->limb[3] = _mm256_and_si256(_mm256_srli_epi64(hi, 14), mask);
    w->limb[4] = _mm256_or_si256(_mm256_srli_epi64(hi, 40), mark);
}

/* sum += a * f, limb by limb and not yet carried: at most 10 products of 26 and 29 bits each. */
WIDE_STEP void add_product(__m256i sum[LIMBS], const struct wide *a, const struct factor *f)
{
#define TERM(i, j)                                                                                 \
    sum[i] = _mm256_add_epi64(                                                                     \
        sum[i],                                                                                    \
        _mm256_mul_epu32(a->limb[j], (j) <= (i) ? f->r[(i) - (j)] : f->s[LIMBS + (i) - (j)]))
#define COLUMN(j) TERM(0, j), TERM(1, j), TERM(2, j), TERM(3, j), TERM(4, j)
    EACH_LIMB(COLUMN);
#undef COLUMN
#undef TERM
}

/* Back to limbs of 26 bits and a little; two chains at once. */
WIDE_STEP void carry(struct wide *w, __m256i d[LIMBS])
{
    const __m256i mask = _mm256_set1_epi64x((int64_t)MASK26);
    __m256i c;

#define CARRY(from, to)                                                                            \
    c = _mm256_srli_epi64(d[from], 26), d[from] = _mm256_and_si256(d[from], mask),                 \
    d[to] = _mm256_add_epi64(d[to], c)
    CARRY(0, 1);
    CARRY(3, 4);
    CARRY(1, 2);
    c = _mm256_srli_epi64(d[4], 26);
    d[4] = _mm256_and_si256(d[4], mask);
    d[0] = _mm256_add_epi64(d[0], _mm256_add_epi64(c, _mm256_slli_epi64(c, 2)));
    CARRY(2, 3);
    CARRY(0, 1);
    CARRY(3, 4);
#undef CARRY
#define KEEP(i) w->limb[i] = d[i]
    EACH_LIMB(KEEP);
#undef KEEP
}

WIDE static uint64_t sum_lanes(__m256i v)
{
    uint64_t lane[LANES];

    _mm256_storeu_si256((void *)lane, v);
    return lane[0] + lane[1] + lane[2] + lane[3];
}

/* The lanes' sum as one number again. */
WIDE static void join(struct poly1305_number *n, const struct wide *w)
{
    uint64_t l[LIMBS];
    u128 low;

    for (int i = 0; i < LIMBS; i++)
        l[i] = sum_lanes(w->limb[i]);
    low = l[0] + ((u128)l[1] << 26) + ((u128)l[2] << 52);
    settle(n, (uint64_t)low & MASK44, ((uint64_t)(low >> 44)) + ((u128)l[3] << 34),
           (u128)l[4] << 16);
}

/*
 * len is a multiple of STEP, at least one.  Lane k sees every fourth block, so per step of eight
 * blocks it is  h = h * r^8 + first * r^4 + second;  at the end the lanes are brought to their
 * places by r^4, r^2, r^3 and r (their order is that of load), and added.
 */
WIDE static void absorb_wide(struct poly1305 *p, const uint8_t *bytes, size_t len)
{
    const struct poly1305_number *r = p->power;
    const __m256i zero = _mm256_setzero_si256();
    struct factor by4;
    struct factor by8;
    struct wide h;
    struct wide start;
    uint64_t limb[LIMBS];

    make_factor(&by4, &r[R4], &r[R4], &r[R4], &r[R4]);
    make_factor(&by8, &r[R8], &r[R8], &r[R8], &r[R8]);
    to_26(limb, &p->h);
    for (int i = 0; i < LIMBS; i++) {
        h.limb[i] = zero;
        start.limb[i] = _mm256_set_epi64x(0, 0, 0, (int64_t)limb[i]);
    }
    for (const uint8_t *end = bytes + len; bytes < end; bytes += STEP) {
        struct wide first;
        struct wide second;
        __m256i d[LIMBS];

        load(&first, bytes);
        load(&second, bytes + STEP / 2);
#define TAKE(i)                                                                                    \
    first.limb[i] = _mm256_add_epi64(first.limb[i], start.limb[i]), start.limb[i] = zero,          \
    d[i] = second.limb[i]
        EACH_LIMB(TAKE); /* what was before goes in with the very first block */
#undef TAKE
        add_product(d, &first, &by4);
        add_product(d, &h, &by8);
        carry(&h, d);
    }
    make_factor(&by4, &r[R4], &r[R2], &r[R3], &r[R1]);
    {
        __m256i d[LIMBS] = {zero, zero, zero, zero, zero};

        add_product(d, &h, &by4);
        carry(&h, d);
    }
    join(&p->h, &h);
}

/* ---- any length ---- */

void poly1305_update(struct poly1305 *p, const uint8_t *bytes, size_t len)
{
    size_t take;

    if (p->held > 0) {
        take = POLY1305_BLOCK - p->held < len ? POLY1305_BLOCK - p->held : len;
        memcpy(p->part + p->held, bytes, take);
        p->held += take;
        bytes += take;
        len -= take;
        if (p->held < POLY1305_BLOCK)
            return;
        absorb(p, p->part, 1);
        p->held = 0;
    }
    take = len / STEP * STEP;
    if (take > 0) {
        absorb_wide(p, bytes, take);
        bytes += take;
        len -= take;
    }
    for (; len >= POLY1305_BLOCK; bytes += POLY1305_BLOCK, len -= POLY1305_BLOCK)
        absorb(p, bytes, 1);
    memcpy(p->part, bytes, len);
    p->held = len;
}

void poly1305_final(struct poly1305 *p, uint8_t out[POLY1305_BYTES])
{
    struct poly1305_number *h = &p->h;
    uint64_t g[3];
    uint64_t keep;
    u128 sum;

    if (p->held > 0) { /* the mark is a byte of its own here */
        p->part[p->held] = 1;
        memset(p->part + p->held + 1, 0, POLY1305_BLOCK - p->held - 1);
        absorb(p, p->part, 0);
    }
    settle(h, h->limb[0], h->limb[1], h->limb[2]);
    /* h - (2^130 - 5), if that is not below zero */
    g[0] = h->limb[0] + 5;
    g[1] = h->limb[1] + (g[0] >> 44);
    g[2] = h->limb[2] + (g[1] >> 44);
    keep = (g[2] >> 42) - 1; /* all ones when it is */
    for (int i = 0; i < 3; i++)
        h->limb[i] = (h->limb[i] & keep) | (g[i] & (i < 2 ? MASK44 : MASK42) & ~keep);
    sum = (u128)(h->limb[0] | h->limb[1] << 44) + p->pad[0];
    put_u64(out, (uint64_t)sum);
    sum = (u128)(h->limb[1] >> 20 | h->limb[2] << 24) + p->pad[1] + (uint64_t)(sum >> 64);
    put_u64(out + 8, (uint64_t)sum);
}

#else

bool poly1305_is_fast(void)
{
    return false;
}

/* Not called. */
void poly1305_init(struct poly1305 *p, const uint8_t key[POLY1305_KEY])
{
    (void)p, (void)key;
}

void poly1305_update(struct poly1305 *p, const uint8_t *bytes, size_t len)
{
    (void)p, (void)bytes, (void)len;
}

void poly1305_final(struct poly1305 *p, uint8_t out[POLY1305_BYTES])
{
    (void)p, (void)out;
}

#endif

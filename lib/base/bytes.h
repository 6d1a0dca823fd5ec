/*
 * bytes: little-endian loads and stores, and arithmetic on sizes that cannot wrap.
 *
 * Data from a file or a wire is never overlaid with a struct; it is read with these, so that
 * alignment is right on every machine and no length is assumed.  Each becomes one instruction where
 * the machine allows it.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The host is little-endian (asserted in os/sys.h), so a copy is the value.  Always inlined: in
 * code that is optimised for size a call would cost more than the load. */
#define BYTES_INLINE __attribute__((always_inline)) static inline

BYTES_INLINE uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

BYTES_INLINE uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

BYTES_INLINE uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

BYTES_INLINE int64_t get_i64(const uint8_t *p)
{
    return (int64_t)get_u64(p);
}

BYTES_INLINE void put_u16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

BYTES_INLINE void put_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

BYTES_INLINE void put_u64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

/* Big-endian loads, for the replication protocol and tar base-256 numbers. */
static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

static inline uint64_t get_be64(const uint8_t *p)
{
    return (uint64_t)get_be32(p) << 32 | (uint64_t)get_be32(p + 4);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    put_be32(p, (uint32_t)(v >> 32));
    put_be32(p + 4, (uint32_t)v);
}

/* *out = a + b or a * b; false when the result does not fit. */
static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

#endif

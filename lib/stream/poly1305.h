/*
 * poly1305: the authenticator of RFC 8439 over long input, four blocks side by side.
 *
 * The fast digest sees every byte of every segment, which makes it the dearest step of sealing one
 * after compression; libsodium's code uses half the width of today's registers.  Where there is
 * AVX2 this takes half its time; elsewhere poly1305_is_fast is false and libsodium does the work.
 * Both give the same value (tests/unit/digest_test).  Timing does not depend on the bytes.
 */
#ifndef STREAM_POLY1305_H
#define STREAM_POLY1305_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POLY1305_KEY = 32, POLY1305_BYTES = 16, POLY1305_BLOCK = 16 };

/* A number below 2^130 and a little, in limbs of 44, 44 and 42 bits. */
struct poly1305_number {
    uint64_t limb[3];
};

struct poly1305 {
    struct poly1305_number h;        /* of the whole blocks so far */
    struct poly1305_number power[5]; /* r, r^2, r^3, r^4, r^8 */
    uint64_t pad[2];
    size_t held;
    uint8_t part[POLY1305_BLOCK];
};

/* May the others be called?  Cheap. */
bool poly1305_is_fast(void);

void poly1305_init(struct poly1305 *p, const uint8_t key[POLY1305_KEY]);
void poly1305_update(struct poly1305 *p, const uint8_t *bytes, size_t len);
void poly1305_final(struct poly1305 *p, uint8_t out[POLY1305_BYTES]); /* once */

#endif

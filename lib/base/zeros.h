/*
 * zeros: a stretch of zero bytes to write out, feed or compare with.
 *
 * A constant array of zeros would lie in the program's file; this one takes no room there, and no
 * memory before it is read.
 */
#ifndef BASE_ZEROS_H
#define BASE_ZEROS_H

#include <stdint.h>

enum { ZEROS_BYTES = 64 * 1024 };

const uint8_t *zeros(void); /* ZEROS_BYTES of them */

#endif

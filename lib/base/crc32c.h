/*
 * crc32c: the CRC-32C (Castagnoli) of PostgreSQL's WAL records, control file and manifests.
 *
 * Values are in the finished form: the CRC of no bytes is 0, and the CRC of "123456789" is
 * 0xe3069283.  The same value continues a computation, so pieces can be added as they come.
 * Processors with a CRC instruction (x86-64 with SSE4.2, ARMv8 with the CRC extension) are
 * recognised at run time and work on three streams at once; all others use eight tables.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Continues crc over n bytes at p and returns the new value. */
typedef uint32_t crc32c_fn(uint32_t crc, const uint8_t *p, size_t n);

/* The best function for this processor.  Inner loops fetch it once and keep it. */
crc32c_fn *crc32c_best(void);

/* One call of the best function. */
uint32_t crc32c_extend(uint32_t crc, const uint8_t *p, size_t n);

/* The portable function, the same values everywhere. */
uint32_t crc32c_tables(uint32_t crc, const uint8_t *p, size_t n);

/* Whether crc32c_best uses the processor's instruction. */
bool crc32c_is_hardware(void);

/* The CRC of A followed by B, from crc(A), crc(B) and B's length. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

#endif

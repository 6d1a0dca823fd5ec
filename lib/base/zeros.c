#include "base/zeros.h"

const uint8_t *zeros(void)
{
    static uint8_t bytes[ZEROS_BYTES]; /* not const: see the header */

    return bytes;
}

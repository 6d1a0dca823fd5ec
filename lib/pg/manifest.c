#include "pg/manifest.h"

#include "base/bytes.h"

size_t manifest_sum_size(enum manifest_algorithm a)
{
    static const uint8_t sizes[] = {0, 4, 28, 32, 48, 64};

    return sizes[a];
}

uint32_t manifest_crc(const struct manifest_file *f)
{
    return get_u32(f->sum); /* the server prints the number as it lies in memory */
}

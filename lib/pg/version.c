#include "pg/version.h"

#include <stddef.h>

static const struct version versions[] = {
    {0xD106, 13, 0x02, 0, 0x10, 0x10, 0x0008, 0x000F},
    {0xD10D, 14, 0x02, 0, 0x10, 0x10, 0x0008, 0x000F},
    {0xD110, 15, 0x1C, 12, 0x20, 0x10, 0x0008, 0x000F},
    {0xD113, 16, 0x1C, 12, 0x20, 0x10, 0x0008, 0x000F},
    {0xD116, 17, 0x1C, 12, 0x20, 0x10, 0x0008, 0x000F},
    {0xD118, 18, 0x1C, 16, 0x20, 0x10, 0x0008, 0x000F},
};

const struct version *version_by_magic(uint16_t magic)
{
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (versions[i].magic == magic)
            return &versions[i];
    return NULL;
}

const struct version *version_by_major(unsigned major)
{
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (versions[i].major == major)
            return &versions[i];
    return NULL;
}

bool version_is_swapped(uint16_t magic)
{
    return version_by_magic((uint16_t)(magic >> 8 | magic << 8)) != NULL;
}

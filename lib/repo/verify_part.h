/*
 * verify_part: which objects a run of verify reads: everything, or one part of n (FORMAT.md
 * section 10).  Pure.  The parts do not depend on what is there, so n runs over n parts read
 * everything that was there at the first of them.
 */
#ifndef REPO_VERIFY_PART_H
#define REPO_VERIFY_PART_H

#include <stdbool.h>
#include <stdint.h>

struct verify_part {
    uint32_t part;  /* 1..parts */
    uint32_t parts; /* 0 or 1: everything */
};

bool verify_part_number(const struct verify_part *p, uint64_t number); /* segments */
bool verify_part_name(const struct verify_part *p, const char *name);  /* packs, backups */
bool verify_part_rest(const struct verify_part *p);                    /* all else */

#endif

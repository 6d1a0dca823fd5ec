#include "base/vec.h"

#include "base/bytes.h"

enum { VEC_FIRST = 8 };

void *vec_grow(void *old, size_t *cap, size_t need, size_t max, size_t size, struct err *e)
{
    size_t want = *cap < VEC_FIRST ? VEC_FIRST : *cap;
    size_t bytes;
    void *p;

    if (need > max) {
        (void)err_set(e, ERR_NOMEM, "list would grow beyond its limit of %zu entries", max);
        return NULL;
    }
    while (want < need)
        want = want > max / 2 ? max : want * 2;
    if (want > max)
        want = max;
    if (!size_mul(want, size, &bytes) || (p = realloc(old, bytes)) == NULL) {
        (void)err_set(e, ERR_NOMEM, "out of memory (%zu entries of %zu bytes)", want, size);
        return NULL;
    }
    *cap = want;
    return p;
}

/*
 * vec: typed growable arrays with a ceiling, declared by one macro.
 *
 *     VEC_DECLARE(lsn_vec, lsn_t);
 *
 * gives `struct lsn_vec { lsn_t *v; size_t n; ... }` and
 *
 *     void  lsn_vec_init(struct lsn_vec *x, size_t max)            empty, never more than max items
 *     void  lsn_vec_fini(struct lsn_vec *x)                        frees; items own what they own
 *     int   lsn_vec_push(struct lsn_vec *x, lsn_t item, struct err *e)     0, or -1 (ERR_NOMEM)
 *     lsn_t *lsn_vec_add(struct lsn_vec *x, struct err *e)  a new zeroed item, or NULL (ERR_NOMEM)
 *
 * Items are read as x.v[i] for i < x.n.  Pointers to items are valid until the next push or add.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Grows `old` (cap items of size bytes) to hold need items.  Returns the array and the new *cap;
 * NULL with ERR_NOMEM when need is above max or memory is refused: `old` is then still valid. */
void *vec_grow(void *old, size_t *cap, size_t need, size_t max, size_t size, struct err *e);

#define VEC_FN __attribute__((unused)) static inline

#define VEC_DECLARE(name, type)                                                                    \
    struct name {                                                                                  \
        type *v;                                                                                   \
        size_t n;                                                                                  \
        size_t cap;                                                                                \
        size_t max;                                                                                \
    };                                                                                             \
    VEC_FN void name##_init(struct name *x, size_t max)                                            \
    {                                                                                              \
        x->v = NULL;                                                                               \
        x->n = 0;                                                                                  \
        x->cap = 0;                                                                                \
        x->max = max;                                                                              \
    }                                                                                              \
    VEC_FN void name##_fini(struct name *x)                                                        \
    {                                                                                              \
        free(x->v);                                                                                \
        name##_init(x, x->max);                                                                    \
    }                                                                                              \
    __attribute__((warn_unused_result)) VEC_FN type *name##_add(struct name *x, struct err *e)     \
    {                                                                                              \
        if (x->n == x->cap) {                                                                      \
            type *grown = vec_grow(x->v, &x->cap, x->n + 1, x->max, sizeof *x->v, e);              \
                                                                                                   \
            if (grown == NULL)                                                                     \
                return NULL;                                                                       \
            x->v = grown;                                                                          \
        }                                                                                          \
        memset(&x->v[x->n], 0, sizeof *x->v);                                                      \
        return &x->v[x->n++];                                                                      \
    }                                                                                              \
    __attribute__((warn_unused_result))                                                            \
    VEC_FN int name##_push(struct name *x, type item, struct err *e)                               \
    {                                                                                              \
        type *slot = name##_add(x, e);                                                             \
                                                                                                   \
        if (slot == NULL)                                                                          \
            return -1;                                                                             \
        *slot = item;                                                                              \
        return 0;                                                                                  \
    }                                                                                              \
    struct name

#endif

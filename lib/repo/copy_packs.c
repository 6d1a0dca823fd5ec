/*
 * Which packs a copy needs.  It has a retention of its own, so it need not have all: only those
 * with entries that a backup needs which the copy has or is about to get, and that no file of the
 * copy holds, be it a compacted one of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backup_list.h"
#include "repo/copy.h"
#include "repo/manifest_read.h"
#include "repo/pack_read.h"
#include "repo/pack_use.h"

enum { IDS_MAX = 4 * 1024 * 1024 };

struct id {
    uint8_t id[PACK_ID];
};
VEC_DECLARE(ids, struct id);

struct work {
    struct copy *copy;
    struct pack_use use;
    struct pack_set from;
    struct pack_set to;
    struct ids bad; /* packs of which the copy lacks something, sorted */
};

/* The backups that will be in the copy. */
static bool takes(void *arg, const char *label)
{
    const struct copy *c = arg;

    return backup_list_is_label(label) &&
           expired_find(&c->gone_from, KIND_MANIFEST, label) == NULL &&
           expired_find(&c->gone_to, KIND_MANIFEST, label) == NULL;
}

/* What the copy holds of a birth pack. */
static int held(struct work *w, const uint8_t id[PACK_ID], struct manifest_bits *bits,
                struct err *e)
{
    size_t n;
    const struct pack_place *places = pack_set_places(&w->to, id, &n);

    for (size_t i = 0; i < n; i++) {
        struct pack *p = NULL;
        struct err why = {0};
        int rc = 0;

        if (pack_open_at(&p, &w->to, id, &places[i], PACK_RAW, w->copy->reader, &why) != 0)
            continue;
        for (uint32_t k = 0; rc == 0 && k < p->table.count; k++)
            if (pack_has(p, k))
                rc = manifest_bits_set(bits, k, 1, e);
        pack_close(p);
        if (rc != 0)
            return -1;
    }
    return 0;
}

/* 1: this file has an entry of that birth pack which the copy lacks and needs; 0; -1. */
static int lacks(struct work *w, const uint8_t id[PACK_ID], const struct pack_place *place,
                 struct err *e)
{
    const struct manifest_bits *used = pack_use_of(&w->use, id);
    struct manifest_bits there = {NULL, 0};
    struct pack *p = NULL;
    struct err why = {0};
    int rc = 0;

    if (used == NULL || pack_set_direct(&w->to, id) != NULL)
        return 0;
    if (held(w, id, &there, e) != 0)
        rc = -1;
    /* Copying it tells what is wrong with it. */
    else if (pack_open_at(&p, &w->from, id, place, PACK_RAW, w->copy->reader, &why) != 0)
        rc = 1;
    for (uint32_t i = 0; rc == 0 && p != NULL && i < p->table.count; i++) {
        const struct pack_row *row = &p->table.row[i];

        if (pack_has(p, i) && manifest_bits_any(used, row->page, pack_row_pages(row)) &&
            !manifest_bits_any(&there, i, 1))
            rc = 1;
    }
    pack_close(p);
    manifest_bits_fini(&there);
    return rc;
}

static int lacks_file(struct work *w, uint32_t holder, struct err *e)
{
    const struct pack_holder *h = &w->from.holders.v[holder];

    if (!h->compacted)
        return lacks(w, h->id, NULL, e);
    for (size_t i = 0; i < w->from.places.n; i++) {
        const struct pack_place *p = &w->from.places.v[i];
        int rc = p->holder == holder ? lacks(w, p->source.id, p, e) : 0;

        if (rc != 0)
            return rc;
    }
    return h->lost ? 1 : 0;
}

static int add_bad(struct work *w, const uint8_t id[PACK_ID], struct err *e)
{
    struct id *one = ids_add(&w->bad, e);

    if (one == NULL)
        return -1;
    memcpy(one->id, id, PACK_ID);
    return 0;
}

/* A file that could not be copied, or of which the copy holds what it must not. */
static int add_bad_file(struct work *w, uint32_t holder, struct err *e)
{
    const struct pack_holder *h = &w->from.holders.v[holder];

    if (!h->compacted)
        return add_bad(w, h->id, e);
    for (size_t i = 0; i < w->from.places.n; i++)
        if (w->from.places.v[i].holder == holder &&
            add_bad(w, w->from.places.v[i].source.id, e) != 0)
            return -1;
    return 0;
}

static int copy_file(struct work *w, uint32_t holder, struct err *e)
{
    struct copy *c = w->copy;
    const struct pack_holder *h = &w->from.holders.v[holder];
    char name[PACK_NAME_MAX];
    const struct store_name n = {.kind = KIND_PACK, .name = name};
    uint64_t problems = c->done.problems;
    int rc;

    pack_name(name, h->id, h->compacted);
    rc = store_has(&c->to->store, &c->to->where, &n, e);
    if (rc == STORE_ABSENT) {
        rc = lacks_file(w, holder, e);
        if (rc <= 0)
            return rc;
    }
    if (rc < 0 || copy_object(c, &n, e) < 0)
        return -1;
    return c->done.problems > problems ? add_bad_file(w, holder, e) : 0;
}

/* --- what the copy lacks after that --- */

/* Has the copy each entry of the pack that a backup needs? */
static int is_whole(struct work *w, const struct pack_used *u, bool *whole, struct err *e)
{
    struct manifest_bits there = {NULL, 0};
    struct pack *p = NULL;
    struct err why = {0};
    size_t n;
    const struct pack_place *places = pack_set_places(&w->to, u->id, &n);

    *whole = pack_set_direct(&w->to, u->id) != NULL;
    if (*whole || n == 0)
        return 0;
    if (held(w, u->id, &there, e) != 0)
        return -1;
    for (size_t i = 0; i < n && p == NULL; i++)
        if (pack_open_at(&p, &w->to, u->id, &places[i], PACK_RAW, w->copy->reader, &why) != 0)
            p = NULL;
    *whole = p != NULL;
    for (uint32_t i = 0; *whole && i < p->table.count; i++) {
        const struct pack_row *row = &p->table.row[i];

        *whole = !manifest_bits_any(&u->pages, row->page, pack_row_pages(row)) ||
                 manifest_bits_any(&there, i, 1);
    }
    pack_close(p);
    manifest_bits_fini(&there);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, PACK_ID);
}

static int note_short(void *arg, const char *label, const struct manifest_public *p,
                      const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    struct work *w = arg;
    struct cur c = cur_of(part, len);
    struct manifest_in_use in_use;
    struct copy_label l;

    (void)why;
    if (p == NULL || !takes(w->copy, label)) /* copying the former tells what is wrong with it */
        return 0;
    while (manifest_in_use_next(&c, &in_use, e) == 0) {
        if (bsearch(in_use.pack, w->bad.v, w->bad.n, sizeof *w->bad.v, by_id) == NULL)
            continue;
        (void)snprintf(l.text, sizeof l.text, "%s", label);
        return copy_labels_push(&w->copy->short_of, l, e);
    }
    return 0;
}

/* Notes the backups that would not be whole: because of what could not be copied, was removed under
 * way, or is in the repository no more. */
static int find_short(struct work *w, struct err *e)
{
    for (size_t i = 0; i < w->use.packs.n; i++) {
        bool whole;

        if (is_whole(w, &w->use.packs.v[i], &whole, e) != 0 ||
            (!whole && add_bad(w, w->use.packs.v[i].id, e) != 0))
            return -1;
    }
    if (w->bad.n == 0)
        return 0;
    qsort(w->bad.v, w->bad.n, sizeof *w->bad.v, by_id);
    return manifest_each(w->copy->from, note_short, w, w->copy->reader, e);
}

int copy_packs(struct copy *c, struct err *e)
{
    struct work w = {.copy = c};
    int rc = -1;

    ids_init(&w.bad, IDS_MAX);
    if (pack_use_load_some(&w.use, c->from, takes, c, c->reader, e) != 0)
        return -1;
    if (pack_set_load(&w.from, c->from, c->reader, e) != 0)
        goto out_use;
    if (pack_set_load(&w.to, c->to, c->reader, e) != 0)
        goto out_from;
    rc = 0;
    for (uint32_t i = 0; rc == 0 && i < w.from.holders.n; i++)
        rc = copy_file(&w, i, e);
    pack_set_fini(&w.to);
    if (rc == 0)
        rc = pack_set_load(&w.to, c->to, c->reader, e);
    if (rc == 0) {
        rc = find_short(&w, e);
        pack_set_fini(&w.to);
    }
out_from:
    pack_set_fini(&w.from);
out_use:
    pack_use_fini(&w.use);
    ids_fini(&w.bad);
    return rc;
}

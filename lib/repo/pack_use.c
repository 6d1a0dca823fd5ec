#include "repo/pack_use.h"

#include <stdlib.h>
#include <string.h>

#include "repo/manifest_read.h"
#include "repo/pack_read.h"

/* Where a pack is, or would be, in the sorted list. */
static size_t place_of(const struct pack_use *u, const uint8_t id[PACK_ID], bool *there)
{
    size_t low = 0;
    size_t high = u->packs.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(u->packs.v[middle].id, id, PACK_ID) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *there = low < u->packs.n && memcmp(u->packs.v[low].id, id, PACK_ID) == 0;
    return low;
}

static struct pack_used *get(struct pack_use *u, const uint8_t id[PACK_ID], struct err *e)
{
    bool there;
    size_t at = place_of(u, id, &there);

    if (there)
        return &u->packs.v[at];
    if (pack_uses_add(&u->packs, e) == NULL)
        return NULL;
    memmove(&u->packs.v[at + 1], &u->packs.v[at], (u->packs.n - 1 - at) * sizeof *u->packs.v);
    u->packs.v[at] = (struct pack_used){.pages = {NULL, 0}};
    memcpy(u->packs.v[at].id, id, PACK_ID);
    return &u->packs.v[at];
}

struct loading {
    struct pack_use *use;
    pack_use_fn takes; /* NULL: all */
    void *arg;
};

static int add_manifest(void *arg, const char *label, const struct manifest_public *p,
                        const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    const struct loading *l = arg;
    struct pack_use *u = l->use;
    struct cur c = cur_of(part, len);
    struct manifest_in_use in_use;
    int rc;

    if (l->takes != NULL && !l->takes(l->arg, label))
        return 0;
    if (p == NULL && l->takes != NULL)
        return 0;
    if (p == NULL) {
        *e = *why;
        (void)err_context(e, "backup %s", label);
        return err_hint(e, "Nothing can be cleaned up while a backup cannot be read; see \"walden "
                           "verify\".");
    }
    u->manifests++;
    while ((rc = manifest_in_use_next(&c, &in_use, e)) == 0) {
        struct pack_used *pack = get(u, in_use.pack, e);
        uint64_t pos = 0;
        uint64_t first;
        uint64_t count;

        if (pack == NULL)
            return -1;
        while (in_use.ranges.left > 0) {
            if (!pack_range_next(&in_use.ranges, &pos, &first, &count))
                return err_set(e, ERR_DAMAGED, "backup %s: impossible list of pages in use", label);
            if (manifest_bits_set(&pack->pages, (uint32_t)first, (uint32_t)count, e) != 0)
                return -1;
        }
    }
    return rc < 0 ? -1 : 0;
}

int pack_use_load_some(struct pack_use *u, struct repo *repo, pack_use_fn takes, void *arg,
                       struct object_reader *scratch, struct err *e)
{
    struct loading l = {u, takes, arg};

    memset(u, 0, sizeof *u);
    pack_uses_init(&u->packs, MANIFEST_PACKS_MAX);
    if (manifest_each(repo, add_manifest, &l, scratch, e) == 0)
        return 0;
    pack_use_fini(u);
    return -1;
}

int pack_use_load(struct pack_use *u, struct repo *repo, struct object_reader *scratch,
                  struct err *e)
{
    return pack_use_load_some(u, repo, NULL, NULL, scratch, e);
}

void pack_use_fini(struct pack_use *u)
{
    for (size_t i = 0; i < u->packs.n; i++)
        manifest_bits_fini(&u->packs.v[i].pages);
    pack_uses_fini(&u->packs);
}

const struct manifest_bits *pack_use_of(const struct pack_use *u, const uint8_t id[PACK_ID])
{
    bool there;
    size_t at = place_of(u, id, &there);

    return there ? &u->packs.v[at].pages : NULL;
}

bool pack_use_outranks(const struct pack_holder *a, const struct pack_holder *b)
{
    if (a->generation != b->generation)
        return a->generation > b->generation;
    return memcmp(a->id, b->id, PACK_ID) > 0;
}

/* The ordinals of a birth pack that files of higher rank hold, as far as they can be opened. */
static int covered(const struct pack_set *set, const uint8_t id[PACK_ID], uint32_t holder,
                   struct manifest_bits *bits, struct object_reader *scratch, struct err *e)
{
    size_t n;
    const struct pack_place *places = pack_set_places(set, id, &n);
    const struct pack_holder *own = &set->holders.v[holder];

    for (size_t i = 0; i < n; i++) {
        const struct pack_holder *h = &set->holders.v[places[i].holder];
        struct pack *p = NULL;
        struct err why = {0};

        if (h->excluded || !pack_use_outranks(h, own) ||
            pack_open_at(&p, set, id, &places[i], PACK_RAW, scratch, &why) != 0)
            continue;
        for (uint32_t k = 0; k < p->table.count; k++)
            if (pack_has(p, k) && manifest_bits_set(bits, k, 1, e) != 0) {
                pack_close(p);
                return -1;
            }
        pack_close(p);
    }
    return 0;
}

/* Adds up what a file holds of one birth pack (place NULL: it is that pack). */
static int judge_birth(const struct pack_use *u, const struct pack_set *set, uint32_t holder,
                       const uint8_t id[PACK_ID], const struct pack_place *place,
                       struct pack_worth *worth, struct object_reader *scratch, struct err *e)
{
    const struct manifest_bits *used = pack_use_of(u, id);
    struct manifest_bits elsewhere = {NULL, 0};
    struct pack *p = NULL;
    struct err why = {0};
    int rc = 0;

    if (used == NULL && place == NULL)
        worth->unused = true;
    if (used != NULL)
        rc = covered(set, id, holder, &elsewhere, scratch, e);
    if (rc == 0 && pack_open_at(&p, set, id, place, PACK_RAW, scratch, &why) != 0)
        worth->unknown = used != NULL;
    for (uint32_t i = 0; p != NULL && i < p->table.count; i++) {
        const struct pack_row *row = &p->table.row[i];

        if (!pack_has(p, i))
            continue;
        worth->size += row->len;
        if (used == NULL || !manifest_bits_any(used, row->page, pack_row_pages(row)))
            continue;
        worth->live += row->len;
        if (!manifest_bits_any(&elsewhere, i, 1))
            worth->needed += row->len;
    }
    pack_close(p);
    manifest_bits_fini(&elsewhere);
    return rc;
}

int pack_use_judge(const struct pack_use *u, const struct pack_set *set, uint32_t holder,
                   struct pack_worth *worth, struct object_reader *scratch, struct err *e)
{
    const struct pack_holder *h = &set->holders.v[holder];

    memset(worth, 0, sizeof *worth);
    if (!h->compacted)
        return judge_birth(u, set, holder, h->id, NULL, worth, scratch, e);
    worth->unknown = h->lost;
    for (size_t i = 0; i < set->places.n; i++)
        if (set->places.v[i].holder == holder &&
            judge_birth(u, set, holder, set->places.v[i].source.id, &set->places.v[i], worth,
                        scratch, e) != 0)
            return -1;
    return 0;
}

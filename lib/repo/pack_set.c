#include "repo/pack_set.h"

#include <stdlib.h>
#include <string.h>

static int add_holder(void *arg, const char *name, struct err *e)
{
    struct pack_set *s = arg;
    struct pack_holder h = {0};

    if (!pack_name_read(name, h.id, &h.compacted))
        return 0; /* none of ours; verify tells of it */
    return pack_holders_push(&s->holders, h, e);
}

/* Notes the sources that a compacted pack's public part lists. */
static int add_places(struct pack_set *s, uint32_t holder, const struct frame_tail *tail,
                      struct err *e)
{
    struct cur part = cur_of(tail->public_part, tail->public_len);
    struct pack_holder *h = &s->holders.v[holder];
    struct pack_place place = {.holder = holder};
    int rc;

    while ((rc = pack_source_next(&part, &place.source, &h->generation, e)) == 0) {
        const struct pack_source *source = &place.source;

        if (source->at + source->head_len + source->tail_len > tail->body_size)
            return err_set(e, ERR_DAMAGED, "pack is damaged: a source lies beyond its end");
        place.taken_at = s->pool.len;
        if (buf_add(&s->pool, source->taken.p, source->taken.left, e) != 0 ||
            pack_places_push(&s->places, place, e) != 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

static int read_compacted(struct pack_set *s, uint32_t i, struct object_reader *scratch,
                          struct err *e)
{
    struct pack_holder *h = &s->holders.v[i];
    struct repo *repo = s->repo;
    struct store_object o = {.fd = -1};
    char text[PACK_NAME_MAX];
    struct store_name name = {.kind = KIND_PACK, .name = text};
    struct object_want want = {.kind = KIND_PACK, .name = text, .system_id = repo->where.system_id};
    size_t places = s->places.n;
    size_t pool = s->pool.len;
    int rc;

    pack_name(text, h->id, true);
    rc = store_get(&repo->store, &repo->where, &name, &o, e);
    if (rc == 0)
        rc = object_open(scratch, &o.source, &repo->trust, &want, e);
    if (rc == 0) {
        h->body_at = scratch->body_at;
        h->plain = !scratch->head.sealed;
        rc = add_places(s, i, &scratch->tail, e);
        object_close(scratch);
    }
    store_release(&o);
    if (rc == 0)
        return 0;
    s->places.n = places;
    s->pool.len = pool;
    h->lost = true;
    if (rc > 0)
        return 0;
    s->lost++;
    return e->code == ERR_NOMEM ? -1 : 0;
}

static int by_birth(const void *a, const void *b)
{
    const struct pack_place *x = a;
    const struct pack_place *y = b;
    int order = memcmp(x->source.id, y->source.id, PACK_ID);

    return order != 0 ? order : (x->holder > y->holder) - (x->holder < y->holder);
}

int pack_set_load(struct pack_set *s, struct repo *repo, struct object_reader *scratch,
                  struct err *e)
{
    memset(s, 0, sizeof *s);
    s->repo = repo;
    pack_holders_init(&s->holders, PACK_HOLDERS_MAX);
    pack_places_init(&s->places, PACK_HOLDERS_MAX);
    buf_init(&s->pool, PACK_PART_MAX);
    if (store_each_object(&repo->store, &repo->where, KIND_PACK, add_holder, s, e) != 0)
        goto fail;
    for (uint32_t i = 0; i < s->holders.n; i++) {
        struct err quiet = {0};

        if (s->holders.v[i].compacted && read_compacted(s, i, scratch, &quiet) != 0) {
            *e = quiet;
            goto fail;
        }
    }
    for (size_t i = 0; i < s->places.n; i++)
        s->places.v[i].source.taken.p = s->pool.p + s->places.v[i].taken_at;
    if (s->places.n > 1)
        qsort(s->places.v, s->places.n, sizeof *s->places.v, by_birth);
    return 0;
fail:
    pack_set_fini(s);
    return -1;
}

void pack_set_fini(struct pack_set *s)
{
    pack_holders_fini(&s->holders);
    pack_places_fini(&s->places);
    buf_fini(&s->pool);
}

/* Names sort like ids, and ".c" behind the same id without it. */
static struct pack_holder *find(const struct pack_set *s, const uint8_t id[PACK_ID], bool compacted)
{
    size_t low = 0;
    size_t high = s->holders.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct pack_holder *h = &s->holders.v[middle];
        int order = memcmp(h->id, id, PACK_ID);

        if (order == 0)
            order = h->compacted - compacted;
        if (order == 0)
            return h;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void pack_set_exclude(struct pack_set *s, const char *name)
{
    uint8_t id[PACK_ID];
    bool compacted;
    struct pack_holder *h;

    if (!pack_name_read(name, id, &compacted))
        return;
    h = find(s, id, compacted);
    if (h != NULL)
        h->excluded = true;
}

const struct pack_holder *pack_set_direct(const struct pack_set *s, const uint8_t id[PACK_ID])
{
    const struct pack_holder *h = find(s, id, false);

    return h != NULL && !h->excluded ? h : NULL;
}

const struct pack_place *pack_set_places(const struct pack_set *s, const uint8_t id[PACK_ID],
                                         size_t *n)
{
    size_t low = 0;
    size_t high = s->places.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(s->places.v[middle].source.id, id, PACK_ID) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *n = 0;
    while (low + *n < s->places.n && memcmp(s->places.v[low + *n].source.id, id, PACK_ID) == 0)
        (*n)++;
    return s->places.v + low;
}

/* Filling: from a manifest, from orphan packs; and looking at packs when they are first needed. */
#include <stdlib.h>
#include <string.h>

#include "repo/pack_read.h"
#include "repo/prior.h"

static int add_slot(struct prior *p, const uint8_t id[PACK_ID], bool orphan, uint32_t *slot,
                    struct err *e)
{
    struct prior_slot *s = prior_slots_add(&p->slots, e);

    if (s == NULL)
        return -1;
    memcpy(s->id, id, PACK_ID);
    s->orphan = orphan;
    *slot = (uint32_t)(p->slots.n - 1);
    return 0;
}

/* --- packs --- */

/* Would all of today's recipients be able to open it? */
static int check_sealing(const struct prior *p, const struct pack *pack, struct err *e)
{
    const struct object_seal *with = repo_seal(p->repo);

    if (with == NULL)
        return 0;
    if (!pack->sealed)
        return err_set(e, ERR_REFUSED, "\"%s\" is not sealed", pack->file.shown);
    for (unsigned i = 0; i < with->count; i++) {
        uint8_t id[KEY_ID];
        bool found = false;

        secret_key_id(id, with->recipient[i]);
        for (unsigned k = 0; k < pack->keys.count; k++)
            found = found || memcmp(pack->keys.recipient[k], id, KEY_ID) == 0;
        if (!found)
            return err_set(e, ERR_REFUSED, "\"%s\" is not sealed to every recipient of today",
                           pack->file.shown);
    }
    return 0;
}

static int note_entries(struct prior_slot *s, const struct pack *pack, const struct pack_bad *bad,
                        size_t bads, struct err *e)
{
    const struct pack_table *t = &pack->table;

    s->starts = calloc(t->pages / 8 + 1, 1);
    if (s->starts == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a pack's table");
    for (uint32_t i = 0; i < t->count; i++) {
        const struct pack_row *row = &t->row[i];

        s->starts[row->page / 8] |= (uint8_t)(1U << row->page % 8);
        if (!pack_has(pack, i) &&
            manifest_bits_set(&s->bad, row->page, pack_row_pages(row), e) != 0)
            return -1;
    }
    for (size_t i = 0; i < bads && bad[i].ordinal < t->count; i++) {
        const struct pack_row *row = &t->row[bad[i].ordinal];

        s->damaged = true;
        if (manifest_bits_set(&s->bad, row->page, pack_row_pages(row), e) != 0)
            return -1;
    }
    s->pages = t->pages;
    return 0;
}

/* A pack that was opened for the first time: its facts go to the temporary file. */
static int take_pack(struct prior *p, uint32_t slot, const struct pack *pack, struct err *e)
{
    struct prior_slot *s = &p->slots.v[slot];
    size_t bads;
    const struct pack_bad *bad = pack_damage_of(&p->damage, s->id, &bads);

    s->facts_at = p->facts.len;
    if (note_entries(s, pack, bad, bads, e) != 0)
        return -1;
    s->state = PRIOR_GOOD;
    return pages_spool_add(&p->facts, pack->facts, (size_t)PACK_FACTS * pack->table.pages, e);
}

/* A pack that cannot be leaned on is no failure of the backup. */
static int lose_pack(struct prior *p, uint32_t slot, const struct err *why, struct err *e)
{
    if (why->code == ERR_NOMEM || why->code == ERR_INTERRUPTED) {
        *e = *why;
        return -1;
    }
    p->slots.v[slot].state = PRIOR_BAD;
    if (p->packs_lost++ == 0)
        p->first_loss = *why;
    return 0;
}

int prior_touch(struct prior *p, uint32_t slot, struct err *e)
{
    struct pack *pack = NULL;
    struct err why = {0};
    int rc = -1;

    if (pack_open(&pack, p->set, p->slots.v[slot].id, PACK_META, p->scratch, &why) != 0 ||
        check_sealing(p, pack, &why) != 0)
        rc = lose_pack(p, slot, &why, e);
    else
        rc = take_pack(p, slot, pack, e);
    pack_close(pack);
    return rc;
}

/* A damaged entry that this backup does not use is none of its matter. */
int prior_is_whole(struct prior *p, bool *whole, struct err *e)
{
    bool damaged = false;

    *whole = true;
    for (uint32_t i = 1; i < p->slots.n && *whole; i++) {
        const struct prior_slot *s = &p->slots.v[i];

        if (s->orphan)
            continue;
        if (s->state == PRIOR_UNSEEN && prior_touch(p, i, e) != 0)
            return -1;
        *whole = s->state == PRIOR_GOOD;
        damaged = damaged || s->damaged;
    }
    if (!*whole || !damaged)
        return 0;
    if (prior_is_bad(p, &damaged, e) != 0)
        return -1;
    *whole = !damaged;
    return 0;
}

/* --- a manifest --- */

static int on_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    struct prior *p = arg;
    uint32_t slot;

    (void)index; /* they come in order */
    return add_slot(p, id, false, &slot, e) == 0 ? prior_map_push(&p->map, slot, e) : -1;
}

static int on_run(void *arg, const struct pages_run *run, struct err *e)
{
    struct prior *p = arg;
    struct pages_run moved = *run;

    if (run->pack > 0)
        moved.pack = p->map.v[run->pack - 1];
    return prior_record_run(p, &moved, e);
}

static int on_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct prior *p = arg;

    p->files++;
    p->pages += (f->size + PAGES_SIZE - 1) / PAGES_SIZE;
    p->spread += f->spread;
    return prior_record_end(p, f->path, f->size, f->spread, false, e);
}

static int on_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                   struct err *e)
{
    struct prior *p = arg;

    if (type != MANIFEST_SERVER || p->server == NULL)
        return 0;
    return pages_spool_add(p->server, bytes, len, e);
}

int prior_add_manifest(struct prior *p, const char *label, struct manifest_public *public,
                       struct err *e)
{
    static const struct manifest_events events = {
        .pack = on_pack, .run = on_run, .file_end = on_file_end, .text = on_text};
    size_t index = p->index.n;
    size_t slots = p->slots.n;
    int rc;

    p->map.n = 0;
    p->record_at = p->records.len;
    rc = manifest_read(p->repo, label, &events, p, public, p->scratch, e);
    if (rc != 0) { /* nothing of it may be believed */
        p->index.n = index;
        p->slots.n = slots;
        p->files = 0;
        p->pages = 0;
        p->spread = 0;
        if (p->server != NULL)
            pages_spool_empty(p->server);
        p->record_at = p->records.len;
    }
    return rc;
}

/* --- packs that no manifest names --- */

struct named {
    struct prior_named {
        uint8_t id[PACK_ID];
    } * v;
    size_t n;
    size_t cap;
};

static int note_named(void *arg, const char *label, const struct manifest_public *public,
                      const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    struct named *named = arg;
    struct cur c = cur_of(part, len);
    struct manifest_in_use u;
    int rc;

    (void)label, (void)why;
    if (public == NULL)
        return 0; /* its packs look like orphans; leaning on them is as good */
    while ((rc = manifest_in_use_next(&c, &u, e)) == 0) {
        if (named->n == named->cap) {
            void *grown = vec_grow(named->v, &named->cap, named->n + 1, PACK_HOLDERS_MAX,
                                   sizeof *named->v, e);

            if (grown == NULL)
                return -1;
            named->v = grown;
        }
        memcpy(named->v[named->n++].id, u.pack, PACK_ID);
    }
    return rc < 0 ? -1 : 0;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, PACK_ID);
}

/* The pages of one file that an orphan holds. */
static int add_origin(struct prior *p, uint32_t slot, struct pack_origin *o, uint32_t pages,
                      struct err *e)
{
    uint64_t next = 0;
    uint64_t at;
    uint32_t count;
    int rc;

    while ((rc = pack_origin_run(o, &at, &count, e)) == 0) {
        struct pages_run run = {slot, o->page - count, count};

        if (o->page > pages)
            return err_set(e, ERR_DAMAGED, "pack is damaged: origins of more pages than it has");
        if ((at > next && prior_record_gap(p, at - next, e) != 0) ||
            prior_record_run(p, &run, e) != 0)
            return -1;
        next = at + count;
    }
    return rc < 0 ? -1 : prior_record_end(p, o->path, 0, 0, true, e);
}

static int add_origins(struct prior *p, uint32_t slot, const struct pack *pack, struct err *e)
{
    struct pack_origin o;
    int rc;

    p->record_at = p->records.len;
    if (pack_origin_open(&o, pack->metadata, pack->metadata_len, e) != 0)
        return -1;
    while ((rc = pack_origin_file(&o, e)) == 0)
        if (add_origin(p, slot, &o, pack->table.pages, e) != 0)
            return -1;
    return rc < 0 ? -1 : 0;
}

static int add_orphan(struct prior *p, const uint8_t id[PACK_ID], struct err *e)
{
    struct pack *pack = NULL;
    struct err why = {0};
    size_t index = p->index.n;
    uint32_t slot;
    int rc = -1;

    if (add_slot(p, id, true, &slot, e) != 0)
        return -1;
    if (pack_open(&pack, p->set, id, PACK_META, p->scratch, &why) != 0 ||
        check_sealing(p, pack, &why) != 0 || add_origins(p, slot, pack, &why) != 0) {
        p->index.n = index;
        rc = lose_pack(p, slot, &why, e);
    } else {
        p->orphans++;
        rc = take_pack(p, slot, pack, e);
    }
    pack_close(pack);
    return rc;
}

int prior_add_orphans(struct prior *p, struct err *e)
{
    struct named named = {NULL, 0, 0};
    int rc = manifest_each(p->repo, note_named, &named, p->scratch, e);

    if (named.n > 1)
        qsort(named.v, named.n, sizeof *named.v, by_id);
    for (size_t i = 0; rc == 0 && i < p->set->holders.n; i++) {
        const struct pack_holder *h = &p->set->holders.v[i];

        if (h->compacted || h->excluded ||
            (named.n > 0 && bsearch(h->id, named.v, named.n, sizeof *named.v, by_id) != NULL))
            continue;
        rc = add_orphan(p, h->id, e);
    }
    free(named.v);
    return rc;
}

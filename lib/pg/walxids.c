#include "pg/walxids.h"

#include <string.h>

enum { NOTE_WEIGHT = 1000, CLOCK_LOOKS = 16 };

void walxids_init(struct walxids *t)
{
    memset(t->bucket, 0xff, sizeof t->bucket);
    memset(t->count_hint, 0xff, sizeof t->count_hint);
    memset(t->note_hint, 0xff, sizeof t->note_hint);
    t->lost = false;
    t->last = WALXIDS_NONE;
    t->clock = 0;
    t->creating = 0;
    t->xact_used = t->count_used = t->note_used = 0;
    t->xact_free = t->count_free = t->note_free = WALXIDS_NONE;
}

static uint16_t *bucket_of(struct walxids *t, uint32_t xid)
{
    return &t->bucket[xid % WALXIDS_XACTS];
}

struct walxids_xact *walxids_find(struct walxids *t, uint32_t xid)
{
    uint16_t i = t->last;

    if (i != WALXIDS_NONE && t->xact[i].xid == xid)
        return &t->xact[i];
    for (i = *bucket_of(t, xid); i != WALXIDS_NONE; i = t->xact[i].next) {
        if (t->xact[i].xid == xid) {
            t->last = i;
            return &t->xact[i];
        }
    }
    return NULL;
}

static void unlink_xact(struct walxids *t, const struct walxids_xact *x)
{
    uint16_t self = (uint16_t)(x - t->xact);
    uint16_t *link = bucket_of(t, x->xid);

    while (*link != self)
        link = &t->xact[*link].next;
    *link = x->next;
    if (t->last == self)
        t->last = WALXIDS_NONE;
}

static void free_count(struct walxids *t, uint16_t i)
{
    t->count[i].owner = 0;
    t->count[i].next = t->count_free;
    t->count_free = i;
}

static void free_note(struct walxids *t, uint16_t i)
{
    t->note[i].owner = 0;
    t->note[i].next = t->note_free;
    t->note_free = i;
}

void walxids_drop(struct walxids *t, struct walxids_xact *x)
{
    uint16_t i;

    unlink_xact(t, x);
    while ((i = x->counts) != WALXIDS_NONE) {
        x->counts = t->count[i].next;
        free_count(t, i);
    }
    while ((i = x->notes) != WALXIDS_NONE) {
        x->notes = t->note[i].next;
        free_note(t, i);
    }
    if (x->creates)
        t->creating--;
    x->in_use = false;
    x->next = t->xact_free;
    t->xact_free = (uint16_t)(x - t->xact);
}

/* Makes room: of a few entries the lightest one goes, but never `keep`. */
static void evict(struct walxids *t, const struct walxids_xact *keep)
{
    struct walxids_xact *least = NULL;

    t->lost = true;
    for (int looks = 0; least == NULL || looks < CLOCK_LOOKS; looks++) {
        struct walxids_xact *x = &t->xact[t->clock];

        t->clock = (uint16_t)((t->clock + 1) % t->xact_used);
        if (x->in_use && x != keep && (least == NULL || x->weight < least->weight))
            least = x;
        if (looks > 2 * WALXIDS_XACTS)
            return; /* nothing but `keep` is left */
    }
    if (least->top != 0 && least->top != least->xid && walxids_find(t, least->top) != NULL)
        walxids_fold(t, least->top, least->xid)->flags |= META_APPROXIMATE;
    else
        walxids_drop(t, least);
}

struct walxids_xact *walxids_get(struct walxids *t, uint32_t xid)
{
    struct walxids_xact *x = walxids_find(t, xid);
    uint16_t *bucket = bucket_of(t, xid);
    uint16_t i;

    if (x != NULL)
        return x;
    if (t->xact_free == WALXIDS_NONE && t->xact_used == WALXIDS_XACTS)
        evict(t, NULL);
    if (t->xact_free != WALXIDS_NONE) {
        i = t->xact_free;
        t->xact_free = t->xact[i].next;
    } else {
        i = t->xact_used++;
    }
    t->xact[i] = (struct walxids_xact){
        .xid = xid, .next = *bucket, .counts = WALXIDS_NONE, .notes = WALXIDS_NONE, .in_use = true};
    *bucket = i;
    t->last = i;
    return &t->xact[i];
}

/* A free count for x, or WALXIDS_NONE when x alone holds all of them. */
static uint16_t new_count(struct walxids *t, const struct walxids_xact *x)
{
    uint16_t i;

    if (t->count_free == WALXIDS_NONE && t->count_used < WALXIDS_COUNTS)
        return t->count_used++;
    for (int tries = 0; t->count_free == WALXIDS_NONE && tries < WALXIDS_XACTS; tries++)
        evict(t, x);
    i = t->count_free;
    if (i != WALXIDS_NONE)
        t->count_free = t->count[i].next;
    return i;
}

static uint16_t new_note(struct walxids *t)
{
    uint16_t i;

    if (t->note_free == WALXIDS_NONE && t->note_used < WALXIDS_NOTES)
        return t->note_used++;
    i = t->note_free;
    if (i != WALXIDS_NONE)
        t->note_free = t->note[i].next;
    return i;
}

static void add_sat(uint32_t *to, uint32_t n)
{
    if (__builtin_add_overflow(*to, n, to))
        *to = UINT32_MAX;
}

/* Places of hints; neighbours in number lie apart. */
static uint16_t *hint_of(uint16_t hint[WALXIDS_HINTS], uint32_t xid, uint32_t rel)
{
    return &hint[(xid * 31 + rel) % WALXIDS_HINTS];
}

static bool is_count_of(const struct walxids_count *n, const struct walxids_xact *x,
                        const struct relnode *rel)
{
    return n->owner == x->xid && n->c.rel.rel == rel->rel && n->c.rel.db == rel->db &&
           n->c.rel.spc == rel->spc;
}

/* A transaction that holds as much as it may is not searched: it is marked as approximate, and
 * searching it for every row would cost more than all else. */
static struct meta_count *find_count(struct walxids *t, const struct walxids_xact *x,
                                     const struct relnode *rel)
{
    uint16_t *hint = hint_of(t->count_hint, x->xid, rel->rel);

    if (*hint != WALXIDS_NONE && is_count_of(&t->count[*hint], x, rel))
        return &t->count[*hint].c;
    if (x->n_counts == WALXIDS_EACH)
        return NULL;
    for (uint16_t i = x->counts; i != WALXIDS_NONE; i = t->count[i].next) {
        if (is_count_of(&t->count[i], x, rel)) {
            *hint = i;
            return &t->count[i].c;
        }
    }
    return NULL;
}

static void add_rows(struct walxids *t, struct walxids_xact *x, const struct meta_count *add)
{
    struct meta_count *c = find_count(t, x, &add->rel);
    uint16_t i;

    add_sat(&x->weight, add->deletes);
    add_sat(&x->weight, add->updates);
    if (c != NULL) {
        add_sat(&c->deletes, add->deletes);
        add_sat(&c->updates, add->updates);
        return;
    }
    i = x->n_counts < WALXIDS_EACH ? new_count(t, x) : WALXIDS_NONE;
    if (i == WALXIDS_NONE) {
        x->flags |= META_APPROXIMATE;
        t->lost = true;
        return;
    }
    t->count[i] = (struct walxids_count){*add, x->xid, x->counts};
    *hint_of(t->count_hint, x->xid, add->rel.rel) = i;
    x->counts = i;
    x->n_counts++;
}

void walxids_rows(struct walxids *t, uint32_t xid, const struct relnode *rel, uint32_t deletes,
                  uint32_t updates)
{
    struct meta_count add = {*rel, deletes, updates};

    add_rows(t, walxids_get(t, xid), &add);
}

static bool has_note(const struct walxids *t, const struct walxids_xact *x, uint8_t kind,
                     uint32_t value)
{
    for (uint16_t i = x->notes; i != WALXIDS_NONE; i = t->note[i].next)
        if (t->note[i].value == value && t->note[i].kind == kind)
            return true;
    return false;
}

void walxids_note(struct walxids *t, uint32_t xid, enum walxids_kind kind, uint32_t value)
{
    struct walxids_xact *x = walxids_get(t, xid);
    uint16_t i;

    if (x->n_notes < WALXIDS_EACH && has_note(t, x, (uint8_t)kind, value))
        return;
    i = x->n_notes < WALXIDS_EACH ? new_note(t) : WALXIDS_NONE;
    if (i == WALXIDS_NONE) {
        x->flags |= META_APPROXIMATE;
        t->lost = true;
        return;
    }
    x->n_notes++;
    t->note[i] = (struct walxids_note){value, x->xid, x->notes, (uint8_t)kind};
    x->notes = i;
    add_sat(&x->weight, NOTE_WEIGHT);
    if (kind != WALXIDS_CREATED)
        return;
    if (!x->creates) {
        x->creates = true;
        t->creating++;
        x->made_lo = x->made_hi = value;
    }
    x->made_lo = value < x->made_lo ? value : x->made_lo;
    x->made_hi = value > x->made_hi ? value : x->made_hi;
}

void walxids_notes(const struct walxids *t, const struct walxids_xact *x, enum walxids_kind kind,
                   struct meta_list *out)
{
    for (uint16_t i = x->notes; i != WALXIDS_NONE; i = t->note[i].next)
        if (t->note[i].kind == (uint8_t)kind)
            meta_list_add(out, t->note[i].value);
}

bool walxids_made(struct walxids *t, const struct walxids_xact *x, uint32_t rel)
{
    uint16_t *hint = hint_of(t->note_hint, x->xid, rel);
    const struct walxids_note *n = *hint == WALXIDS_NONE ? NULL : &t->note[*hint];

    if (n != NULL && n->owner == x->xid && n->value == rel && n->kind == WALXIDS_CREATED)
        return true;
    if (rel < x->made_lo || rel > x->made_hi || x->n_notes == WALXIDS_EACH)
        return false;
    for (uint16_t i = x->notes; i != WALXIDS_NONE; i = t->note[i].next) {
        if (t->note[i].value == rel && t->note[i].kind == WALXIDS_CREATED) {
            *hint = i;
            return true;
        }
    }
    return false;
}

static void fold_counts(struct walxids *t, struct walxids_xact *to, struct walxids_xact *from)
{
    while (from->counts != WALXIDS_NONE) {
        uint16_t i = from->counts;
        struct meta_count c = t->count[i].c;

        /* Freed before it is added, so that adding never needs room. */
        from->counts = t->count[i].next;
        free_count(t, i);
        add_rows(t, to, &c);
    }
}

static void fold_notes(struct walxids *t, struct walxids_xact *to, struct walxids_xact *from)
{
    while (from->notes != WALXIDS_NONE) {
        uint16_t i = from->notes;
        struct walxids_note *n = &t->note[i];

        from->notes = n->next;
        if (to->n_notes >= WALXIDS_EACH || has_note(t, to, n->kind, n->value)) {
            free_note(t, i);
        } else {
            n->owner = to->xid;
            n->next = to->notes;
            to->notes = i;
            to->n_notes++;
            add_sat(&to->weight, NOTE_WEIGHT);
        }
    }
}

struct walxids_xact *walxids_fold(struct walxids *t, uint32_t into, uint32_t from)
{
    struct walxids_xact *x = walxids_find(t, from);
    struct walxids_xact *to = walxids_find(t, into);

    if (x == NULL || x == to)
        return to;
    if (to == NULL) {
        unlink_xact(t, x);
        x->xid = into;
        x->top = 0;
        for (uint16_t i = x->counts; i != WALXIDS_NONE; i = t->count[i].next)
            t->count[i].owner = into;
        for (uint16_t i = x->notes; i != WALXIDS_NONE; i = t->note[i].next)
            t->note[i].owner = into;
        x->next = *bucket_of(t, into);
        *bucket_of(t, into) = (uint16_t)(x - t->xact);
        return x;
    }
    if (x->n_notes + to->n_notes > WALXIDS_EACH)
        x->flags |= META_APPROXIMATE;
    fold_counts(t, to, x);
    fold_notes(t, to, x);
    if (x->creates && !to->creates) {
        to->creates = true;
        t->creating++;
        to->made_lo = x->made_lo;
        to->made_hi = x->made_hi;
    }
    if (x->creates) {
        to->made_lo = x->made_lo < to->made_lo ? x->made_lo : to->made_lo;
        to->made_hi = x->made_hi > to->made_hi ? x->made_hi : to->made_hi;
    }
    to->volume += x->volume;
    to->flags |= x->flags;
    to->must_tell = to->must_tell || x->must_tell;
    if (to->lock == 0 || (x->lock != 0 && x->lock < to->lock))
        to->lock = x->lock;
    if (to->db == 0)
        to->db = x->db;
    walxids_drop(t, x);
    return to;
}

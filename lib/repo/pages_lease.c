/* An object's name is `<kind>-<id, 16 hex>-<counter, 8 hex>`; looking reads names only. */
#include "repo/pages_lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/tlv.h"
#include "repo/pack.h"
#include "repo/pages_note.h"

enum { TAG_USE = 94, TAG_HOLDER = 95 };

static const char *word_of(enum object_kind kind)
{
    return kind == KIND_INTENT ? "intent" : "lease";
}

static void name_of(char out[PAGES_LEASE_NAME_MAX], enum object_kind kind,
                    const uint8_t id[PAGES_LEASE_ID], uint32_t counter)
{
    char hex[2 * PAGES_LEASE_ID + 1];

    text_hex(hex, id, PAGES_LEASE_ID);
    (void)snprintf(out, PAGES_LEASE_NAME_MAX, "%s-%s-%08x", word_of(kind), hex, (unsigned)counter);
}

static int put(const struct pages_lease *l, struct err *e)
{
    char name[PAGES_LEASE_NAME_MAX];
    struct buf part;
    struct buf item;
    int rc = -1;

    buf_init(&part, 1024);
    buf_init(&item, 512);
    name_of(name, l->kind, l->id, l->counter);
    if (buf_varint(&item, l->counter, e) != 0 || buf_str(&item, l->label, e) != 0 ||
        pack_item(&part, TAG_USE, &item, e) != 0)
        goto out;
    buf_clear(&item);
    if (buf_str(&item, l->holder, e) == 0 && pack_item(&part, TAG_HOLDER, &item, e) == 0)
        rc = pages_note_put(l->repo, l->kind, name, &part, e);
out:
    buf_fini(&part);
    buf_fini(&item);
    return rc;
}

static int take_away(struct repo *repo, enum object_kind kind, const uint8_t id[PAGES_LEASE_ID],
                     uint32_t counter, struct err *e)
{
    char name[PAGES_LEASE_NAME_MAX];
    struct store_name where = {.kind = kind, .name = name};

    name_of(name, kind, id, counter);
    return store_remove(&repo->writer, &repo->where, &where, e);
}

int pages_lease_take(struct pages_lease *l, struct repo *repo, enum object_kind kind,
                     const char *label, const char *holder, struct err *e)
{
    memset(l, 0, sizeof *l);
    l->repo = repo;
    l->kind = kind;
    l->counter = 1;
    secret_random(l->id, sizeof l->id);
    (void)snprintf(l->label, sizeof l->label, "%s", label);
    (void)snprintf(l->holder, sizeof l->holder, "%s", holder);
    if (put(l, e) != 0)
        return -1;
    l->held = true;
    return 0;
}

static int lost(struct pages_lease *l, struct err *e)
{
    l->held = false;
    (void)err_set(e, ERR_REFUSED, "this %s was taken for dead by another program",
                  l->kind == KIND_INTENT ? "backup" : "restore");
    return err_hint(e, "The machine may have slept; start it again.");
}

/* A crash between the two steps leaves two marks of one holder: the higher counts. */
int pages_lease_beat(struct pages_lease *l, struct err *e)
{
    int rc;

    l->counter++;
    if (put(l, e) != 0) {
        l->counter--;
        return -1;
    }
    rc = take_away(l->repo, l->kind, l->id, l->counter - 1, e);
    if (rc <= 0)
        return rc;
    (void)take_away(l->repo, l->kind, l->id, l->counter, e); /* we have lost already */
    return lost(l, e);
}

int pages_lease_check(struct pages_lease *l, struct err *e)
{
    char name[PAGES_LEASE_NAME_MAX];
    struct store_name where = {.kind = l->kind, .name = name};
    struct store_object o = {.fd = -1};
    int rc;

    name_of(name, l->kind, l->id, l->counter);
    rc = store_get(&l->repo->store, &l->repo->where, &where, &o, e);
    store_release(&o);
    return rc <= 0 ? rc : lost(l, e);
}

void pages_lease_drop(struct pages_lease *l)
{
    struct err quiet = {0};

    if (l->held)
        (void)take_away(l->repo, l->kind, l->id, l->counter, &quiet); /* is dead soon anyway */
    l->held = false;
}

/* --- the observer --- */

enum { HOLDERS_MAX = 100 * 1000 };

/* Notes one name; of one holder's marks the highest. */
static int note(void *arg, const char *name, struct err *e)
{
    struct pages_holders *list = arg;
    struct pages_holder s = {.kind = name[0] == 'i' ? KIND_INTENT : KIND_LEASE};
    const char *rest = name + strlen(word_of(s.kind));
    char hex[2 * PAGES_LEASE_ID + 1] = "";
    struct err quiet = {0};
    uint64_t counter;

    if (strncmp(name, word_of(s.kind), strlen(word_of(s.kind))) != 0 ||
        strlen(rest) != 2 * (size_t)PAGES_LEASE_ID + 10 || rest[0] != '-' ||
        rest[2 * PAGES_LEASE_ID + 1] != '-')
        return 0;
    memcpy(hex, rest + 1, 2 * (size_t)PAGES_LEASE_ID);
    if (parse_bytes(hex, s.id, PAGES_LEASE_ID, &quiet) != 0 ||
        parse_hex(rest + 2 * (size_t)PAGES_LEASE_ID + 2, UINT32_MAX, &counter, &quiet) != 0)
        return 0;
    s.counter = (uint32_t)counter;
    for (size_t i = 0; i < list->n; i++) {
        struct pages_holder *old = &list->v[i];

        if (old->kind == s.kind && memcmp(old->id, s.id, PAGES_LEASE_ID) == 0) {
            old->counter = old->counter > s.counter ? old->counter : s.counter;
            return 0;
        }
    }
    return pages_holders_push(list, s, e);
}

static int list_marks(struct pages_holders *list, struct repo *repo, struct err *e)
{
    return store_each_object(&repo->store, &repo->where, KIND_LEASE, note, list, e);
}

/* Is the mark of `before` still the same? */
static bool stood_still(const struct pages_holders *before, const struct pages_holder *now)
{
    for (size_t i = 0; i < before->n; i++) {
        const struct pages_holder *s = &before->v[i];

        if (s->kind == now->kind && s->counter == now->counter &&
            memcmp(s->id, now->id, PAGES_LEASE_ID) == 0)
            return true;
    }
    return false;
}

/* 1: the holder moved, or vanished by itself; 0: it is dead, and its mark is gone. */
static int bury(struct repo *repo, const struct pages_holders *before,
                const struct pages_holder *now, struct err *e)
{
    int rc;

    if (!stood_still(before, now))
        return 1;
    rc = take_away(repo, now->kind, now->id, now->counter, e);
    return rc > 0 ? 1 : rc; /* gone: it beat just now, so it lives */
}

/* Looks again and again until nobody stands still. */
static int watch(const struct pages_holders *before, struct pages_holders *after, struct repo *repo,
                 pages_wait_fn pause, void *arg, struct err *e)
{
    for (unsigned waited = 0; waited < PAGES_LOOK_S; waited += PAGES_STEP_S) {
        bool still = false;

        after->n = 0;
        if (pause(arg, e) != 0 || list_marks(after, repo, e) != 0)
            return -1;
        for (size_t i = 0; i < after->n; i++)
            still = still || stood_still(before, &after->v[i]);
        if (!still)
            return 0;
    }
    return 0;
}

int pages_lease_look(struct repo *repo, pages_wait_fn pause, void *arg, unsigned *alive,
                     struct err *e)
{
    struct pages_holders before;
    struct pages_holders after;
    int rc;

    *alive = 0;
    pages_holders_init(&before, HOLDERS_MAX);
    pages_holders_init(&after, HOLDERS_MAX);
    rc = list_marks(&before, repo, e);
    if (rc != 0 || before.n == 0)
        goto out;
    rc = watch(&before, &after, repo, pause, arg, e);
    for (size_t i = 0; rc == 0 && i < after.n; i++) {
        int lives = bury(repo, &before, &after.v[i], e);

        if (lives < 0)
            rc = -1;
        *alive += lives > 0 ? 1 : 0;
    }
out:
    pages_holders_fini(&before);
    pages_holders_fini(&after);
    return rc;
}

/* What a mark says; one that is gone already, or cannot be read, says nothing. */
static int read_mark(struct pages_holder *h, struct repo *repo, struct object_reader *scratch,
                     struct err *e)
{
    char name[PAGES_LEASE_NAME_MAX];
    struct store_name where = {.kind = h->kind, .name = name};
    struct object_want want = {.kind = h->kind, .name = name, .system_id = repo->where.system_id};
    struct store_object o = {.fd = -1};
    struct err quiet = {0};
    struct cur part;
    struct cur item;
    uint64_t counter;
    uint8_t tag;
    int rc;

    name_of(name, h->kind, h->id, h->counter);
    rc = store_get(&repo->store, &repo->where, &where, &o, e);
    if (rc != 0)
        return rc > 0 ? 0 : -1;
    if (object_open(scratch, &o.source, &repo->trust, &want, &quiet) == 0) {
        part = cur_of(scratch->tail.public_part, scratch->tail.public_len);
        while (tlv_next(&part, &tag, &item) == 0) {
            if (tag == TAG_USE && cur_varint(&item, &counter))
                (void)text_visible(h->label, sizeof h->label, (const char *)item.p, item.left);
            else if (tag == TAG_HOLDER)
                (void)text_visible(h->holder, sizeof h->holder, (const char *)item.p, item.left);
        }
        object_close(scratch);
    }
    store_release(&o);
    return 0;
}

int pages_lease_holders(struct pages_holders *list, struct repo *repo,
                        struct object_reader *scratch, struct err *e)
{
    if (list_marks(list, repo, e) != 0)
        return -1;
    for (size_t i = 0; i < list->n; i++)
        if (read_mark(&list->v[i], repo, scratch, e) != 0)
            return -1;
    return 0;
}

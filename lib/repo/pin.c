#include "repo/pin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pg/tlv.h"
#include "repo/pack.h"
#include "repo/pages_note.h"

enum { TAG_PIN = 98 };

static const char prefix[] = "pin-";

struct reading {
    struct pins *list;
    struct repo *repo;
    struct object_reader *scratch;
};

static int take(struct pin *p, const uint8_t *part, size_t len, struct err *e)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    const uint8_t *label;
    uint64_t made;
    uint64_t until;
    uint64_t n;
    uint8_t kind;
    uint8_t tag;

    while (tlv_next(&c, &tag, &item) == 0) {
        if (tag != TAG_PIN)
            continue;
        if (!cur_u8(&item, &kind) || !cur_u64(&item, &made) || !cur_u64(&item, &until) ||
            !cur_varint(&item, &n) || n >= sizeof p->label ||
            !cur_bytes(&item, (size_t)n, &label) || memchr(label, '\0', (size_t)n) != NULL)
            break;
        p->kind = (enum object_kind)kind;
        p->made = (int64_t)made;
        p->until = (int64_t)until;
        memcpy(p->label, label, (size_t)n);
        p->label[n] = '\0';
        (void)text_visible(p->reason, sizeof p->reason, (const char *)item.p, item.left);
        return 0;
    }
    return err_set(e, ERR_DAMAGED, "pin is damaged");
}

static int read_one(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct store_name where = {.kind = KIND_PIN, .name = name};
    struct object_want want = {
        .kind = KIND_PIN, .name = name, .system_id = r->repo->where.system_id};
    struct store_object o = {.fd = -1};
    struct pin p = {.made = 0};
    int rc;

    if (!pin_is_name(name))
        return 0;
    rc = store_get(&r->repo->store, &r->repo->where, &where, &o, e);
    if (rc != 0)
        return rc > 0 ? 0 : -1;
    (void)snprintf(p.name, sizeof p.name, "%s", name);
    rc = object_open(r->scratch, &o.source, &r->repo->trust, &want, e);
    if (rc == 0) {
        rc = take(&p, r->scratch->tail.public_part, r->scratch->tail.public_len, e);
        if (rc != 0)
            (void)err_context(e, "\"%s\"", o.shown);
        object_close(r->scratch);
    }
    store_release(&o);
    if (rc != 0)
        return err_hint(e,
                        "Nothing expires while nobody can tell what a pin keeps. \"walden keep "
                        "--release %s\" removes it; then pin again what it was for.",
                        name);
    return pins_push(r->list, p, e);
}

static int by_age(const void *a, const void *b)
{
    const struct pin *x = a;
    const struct pin *y = b;

    if (x->made != y->made)
        return x->made < y->made ? -1 : 1;
    return strcmp(x->name, y->name);
}

int pins_read(struct pins *list, struct repo *repo, struct object_reader *scratch, struct err *e)
{
    struct reading r = {list, repo, scratch};

    if (store_each_object(&repo->store, &repo->where, KIND_PIN, read_one, &r, e) != 0)
        return -1;
    if (list->n > 1)
        qsort(list->v, list->n, sizeof *list->v, by_age);
    return 0;
}

int pin_put(struct pin *p, struct repo *repo, struct err *e)
{
    char hex[17];
    uint8_t random[8];
    struct buf part;
    struct buf item;
    int rc = -1;

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(p->name, sizeof p->name, "%s%s", prefix, hex);
    buf_init(&part, 4096);
    buf_init(&item, 2048);
    if (buf_u8(&item, (uint8_t)p->kind, e) == 0 && buf_u64(&item, (uint64_t)p->made, e) == 0 &&
        buf_u64(&item, (uint64_t)p->until, e) == 0 && buf_varint(&item, strlen(p->label), e) == 0 &&
        buf_str(&item, p->label, e) == 0 && buf_str(&item, p->reason, e) == 0 &&
        pack_item(&part, TAG_PIN, &item, e) == 0 && repo_still_plain(repo, e) == 0)
        rc = pages_note_put(repo, KIND_PIN, p->name, &part, e);
    buf_fini(&part);
    buf_fini(&item);
    return rc;
}

bool pin_is_name(const char *text)
{
    struct pin p;

    return strncmp(text, prefix, strlen(prefix)) == 0 && strlen(text) < sizeof p.name;
}

int pin_release(const struct pin *p, struct repo *repo, struct err *e)
{
    const struct store_name where = {.kind = KIND_PIN, .name = p->name};
    int rc = store_remove(&repo->writer, &repo->where, &where, e);

    /* Before the flush a power cut may bring it back, and something is kept longer. */
    return rc != 0 ? rc : store_flush(&repo->writer, &repo->where, &where, e);
}

const struct pin *pins_find(const struct pins *list, enum object_kind kind, const char *label,
                            int64_t now)
{
    const struct pin *best = NULL;

    for (size_t i = 0; i < list->n; i++) {
        const struct pin *p = &list->v[i];

        if (p->kind != kind || strcmp(p->label, label) != 0 || (p->until != 0 && p->until <= now))
            continue;
        if (best == NULL || (best->until != 0 && (p->until == 0 || p->until > best->until)))
            best = p;
    }
    return best;
}

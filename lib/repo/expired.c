#include "repo/expired.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "pg/tlv.h"

void expired_init(struct expired *x)
{
    expired_ranges_init(&x->ranges, EXPIRED_MAX);
    expired_objects_init(&x->objects, EXPIRED_MAX);
    expired_heads_init(&x->heads, EXPIRED_MAX);
    x->unreadable = 0;
    x->clock = INT64_MIN;
}

void expired_fini(struct expired *x)
{
    expired_ranges_fini(&x->ranges);
    expired_objects_fini(&x->objects);
    expired_heads_fini(&x->heads);
}

/* --- one record --- */

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "expire record is damaged: %s", what);
}

/* `kind name reason`, without its end. */
static int take_line(struct expired *x, const char *line, size_t len, struct err *e)
{
    const char *name = memchr(line, ' ', len);
    const char *reason = NULL;
    struct expired_object *o;
    struct err quiet = {0};
    char number[4];
    uint32_t kind;

    if (name != NULL)
        reason = memchr(name + 1, ' ', len - (size_t)(name + 1 - line));
    if (name == NULL || reason == NULL || memchr(line, '\0', len) != NULL ||
        (size_t)(name - line) >= sizeof number || (size_t)(reason - name - 1) > FRAME_NAME_MAX)
        return damaged(e, "a line of it is incomplete");
    (void)snprintf(number, sizeof number, "%.*s", (int)(name - line), line);
    if (parse_u32(number, 1, KIND_LAST, &kind, &quiet) != 0)
        return damaged(e, "a line of it names no kind of object");
    o = expired_objects_add(&x->objects, e);
    if (o == NULL)
        return -1;
    o->kind = (enum object_kind)kind;
    memcpy(o->name, name + 1, (size_t)(reason - name - 1));
    reason++;
    (void)snprintf(o->reason, sizeof o->reason, "%.*s", (int)(line + len - reason), reason);
    return 0;
}

static int take_text(struct expired *x, const struct cur *item, struct err *e)
{
    const char *at = (const char *)item->p;
    size_t left = item->left;

    while (left > 0) {
        const char *end = memchr(at, '\n', left);

        if (end == NULL)
            return damaged(e, "its last line has no end");
        if (take_line(x, at, (size_t)(end - at), e) != 0)
            return -1;
        left -= (size_t)(end + 1 - at);
        at = end + 1;
    }
    return 0;
}

static int take_item(struct expired *x, uint8_t tag, struct cur *item, struct err *e)
{
    struct expired_range range;
    uint64_t clock;

    switch (tag) {
    case EXPIRED_TAG_REMOVED:
        return take_text(x, item, e);
    case EXPIRED_TAG_WAL:
        if (!cur_u32(item, &range.tli) || !cur_u64(item, &range.from) ||
            !cur_u64(item, &range.to) || range.tli == 0 || range.from >= range.to)
            return damaged(e, "impossible range of WAL");
        return expired_ranges_push(&x->ranges, range, e);
    case EXPIRED_TAG_CLOCK:
        if (!cur_u64(item, &clock))
            return damaged(e, "impossible moment");
        if ((int64_t)clock > x->clock)
            x->clock = (int64_t)clock;
        return 0;
    default:
        return 0;
    }
}

int expired_decode(struct expired *x, const char *label, const uint8_t *part, size_t len,
                   struct err *e)
{
    struct expired_head head = {.label = ""};
    struct cur c = cur_of(part, len);
    size_t ranges = x->ranges.n;
    size_t objects = x->objects.n;
    struct cur item;
    uint8_t tag;
    int rc;

    (void)snprintf(head.label, sizeof head.label, "%s", label);
    rc = manifest_head_read(&head.head, part, len) ? 0 : damaged(e, "nobody stands for it");
    while (rc == 0 && (rc = tlv_next(&c, &tag, &item)) == 0)
        rc = take_item(x, tag, &item, e);
    if (rc == 1) /* the end */
        return expired_heads_push(&x->heads, head, e);
    /* A record counts as a whole or not at all. */
    x->ranges.n = ranges;
    x->objects.n = objects;
    return e->code != ERR_NONE ? -1 : damaged(e, "it is no list of items");
}

/* --- all of them --- */

struct reading {
    struct expired *x;
    struct repo *repo;
    struct problems *problems;
    struct object_reader *scratch;
};

static int complain(const struct reading *g, const char *label, struct err *why, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char consequence[] = "what it says was expired is shown as missing";
    struct problem one = {.kind = PROBLEM_DAMAGED, .name = name, .what = why->msg};

    if (why->code != ERR_DAMAGED && why->code != ERR_REFUSED && why->code != ERR_KEY &&
        why->code != ERR_IO) {
        *e = *why;
        return -1;
    }
    g->x->unreadable++;
    if (g->problems == NULL)
        return 0;
    (void)snprintf(name, sizeof name, "expire/%s", label);
    one.consequence = consequence;
    if (why->code == ERR_REFUSED)
        one.kind = PROBLEM_REFUSED;
    else if (why->code == ERR_KEY)
        one.kind = PROBLEM_KEY;
    return problems_add(g->problems, &one, e);
}

static int read_one(void *arg, const char *label, struct err *e)
{
    static const char condemned[] = "condemned-";
    const struct reading *g = arg;
    struct store_name name = {.kind = KIND_EXPIRE, .name = label};
    struct object_want want = {
        .kind = KIND_EXPIRE, .name = label, .system_id = g->repo->where.system_id};
    struct store_object o = {.fd = -1};
    struct err why = {0};
    int rc;

    /* Lists of condemned packs live beside them. */
    if (strncmp(label, condemned, sizeof condemned - 1) == 0 || strlen(label) > FRAME_NAME_MAX)
        return 0;
    rc = store_get(&g->repo->store, &g->repo->where, &name, &o, &why);
    if (rc > 0)
        return 0;
    if (rc == 0)
        rc = object_open(g->scratch, &o.source, &g->repo->trust, &want, &why);
    if (rc == 0) {
        const struct frame_tail *t = &g->scratch->tail;

        rc = expired_decode(g->x, label, t->public_part, t->public_len, &why);
        object_close(g->scratch);
    }
    store_release(&o);
    return rc == 0 ? 0 : complain(g, label, &why, e);
}

int expired_read(struct expired *x, struct repo *r, struct problems *p,
                 struct object_reader *scratch, struct err *e)
{
    struct reading g = {x, r, p, scratch};

    if (store_each_object(&r->store, &r->where, KIND_EXPIRE, read_one, &g, e) != 0)
        return -1;
    expired_finish(x);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct expired_range *x = a;
    const struct expired_range *y = b;

    if (x->tli != y->tli)
        return x->tli < y->tli ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

static int by_name(const void *a, const void *b)
{
    const struct expired_object *x = a;
    const struct expired_object *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->name, y->name);
}

void expired_finish(struct expired *x)
{
    size_t kept = 0;

    if (x->ranges.n > 0)
        qsort(x->ranges.v, x->ranges.n, sizeof *x->ranges.v, by_place);
    if (x->objects.n > 0)
        qsort(x->objects.v, x->objects.n, sizeof *x->objects.v, by_name);
    for (size_t i = 0; i < x->ranges.n; i++) {
        struct expired_range *r = &x->ranges.v[i];
        struct expired_range *last = kept == 0 ? NULL : &x->ranges.v[kept - 1];

        if (last == NULL || last->tli != r->tli || r->from > last->to)
            x->ranges.v[kept++] = *r;
        else if (r->to > last->to)
            last->to = r->to;
    }
    x->ranges.n = kept;
}

/* The first range of the timeline that ends behind lsn, or NULL. */
static const struct expired_range *range_of(const struct expired *x, tli_t tli, lsn_t lsn)
{
    size_t low = 0;
    size_t high = x->ranges.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct expired_range *r = &x->ranges.v[middle];

        if (r->tli < tli || (r->tli == tli && r->to <= lsn))
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->ranges.n && x->ranges.v[low].tli == tli ? &x->ranges.v[low] : NULL;
}

bool expired_segment(const struct expired *x, tli_t tli, uint64_t segno, uint32_t segsize)
{
    const struct expired_range *r = range_of(x, tli, walname_start(segno, segsize));

    return r != NULL && r->from <= walname_start(segno, segsize) &&
           r->to >= walname_start(segno + 1, segsize);
}

uint64_t expired_until(const struct expired *x, tli_t tli, uint64_t segno, uint32_t segsize)
{
    lsn_t at = walname_start(segno, segsize);
    const struct expired_range *r = range_of(x, tli, at);

    if (r == NULL)
        return UINT64_MAX;
    if (r->from > at) /* the first whole segment inside the range, if it has one */
        return walname_segno_of(r->from + segsize - 1, segsize);
    if (r->to >= walname_start(segno + 1, segsize))
        return walname_segno_of(r->to, segsize);
    return segno + 1;
}

const struct expired_object *expired_find(const struct expired *x, enum object_kind kind,
                                          const char *name)
{
    struct expired_object key = {.kind = kind};

    if (strlen(name) > FRAME_NAME_MAX || x->objects.n == 0)
        return NULL;
    (void)snprintf(key.name, sizeof key.name, "%s", name);
    return bsearch(&key, x->objects.v, x->objects.n, sizeof key, by_name);
}

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
    expired_beliefs_init(&x->beliefs, EXPIRED_MAX);
    expired_lasts_init(&x->lasts, EXPIRED_MAX);
    x->unreadable = 0;
    x->clock = INT64_MIN;
    x->run = INT64_MIN;
    x->run_label[0] = '\0';
}

void expired_fini(struct expired *x)
{
    expired_ranges_fini(&x->ranges);
    expired_objects_fini(&x->objects);
    expired_heads_fini(&x->heads);
    expired_beliefs_fini(&x->beliefs);
    expired_lasts_fini(&x->lasts);
}

/* --- one record --- */

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "expire record is damaged: %s", what);
}

/* `kind name rest`, without its end. */
struct line {
    enum object_kind kind;
    char name[EXPIRED_NAME_MAX];
    const char *rest;
    size_t len; /* of the rest */
};

static int split(struct line *out, const char *line, size_t len, struct err *e)
{
    const char *name = memchr(line, ' ', len);
    const char *rest = NULL;
    struct err quiet = {0};
    char number[4];
    uint32_t kind;

    if (name != NULL)
        rest = memchr(name + 1, ' ', len - (size_t)(name + 1 - line));
    if (name == NULL || rest == NULL || memchr(line, '\0', len) != NULL ||
        (size_t)(name - line) >= sizeof number || (size_t)(rest - name - 1) >= EXPIRED_NAME_MAX)
        return damaged(e, "a line of it is incomplete");
    (void)snprintf(number, sizeof number, "%.*s", (int)(name - line), line);
    if (parse_u32(number, 1, KIND_LAST, &kind, &quiet) != 0)
        return damaged(e, "a line of it names no kind of object");
    out->kind = (enum object_kind)kind;
    (void)snprintf(out->name, sizeof out->name, "%.*s", (int)(rest - name - 1), name + 1);
    out->rest = rest + 1;
    out->len = (size_t)(line + len - out->rest);
    return 0;
}

static int take_object(struct expired *x, const struct line *line, struct err *e)
{
    struct expired_object *o = expired_objects_add(&x->objects, e);

    if (o == NULL)
        return -1;
    o->kind = line->kind;
    memcpy(o->name, line->name, sizeof o->name);
    (void)snprintf(o->reason, sizeof o->reason, "%.*s", (int)line->len, line->rest);
    return 0;
}

static int take_belief(struct expired *x, const struct line *line, struct err *e)
{
    struct expired_belief *b = expired_beliefs_add(&x->beliefs, e);
    struct err quiet = {0};
    char number[24];

    if (b == NULL)
        return -1;
    b->kind = line->kind;
    memcpy(b->name, line->name, sizeof b->name);
    if (line->len >= sizeof number)
        return damaged(e, "impossible moment");
    (void)snprintf(number, sizeof number, "%.*s", (int)line->len, line->rest);
    if (parse_i64(number, INT64_MIN + 1, INT64_MAX, &b->time, &quiet) != 0)
        return damaged(e, "impossible moment");
    return 0;
}

static int take_text(struct expired *x, const struct cur *item,
                     int (*take)(struct expired *, const struct line *, struct err *),
                     struct err *e)
{
    const char *at = (const char *)item->p;
    size_t left = item->left;

    while (left > 0) {
        const char *end = memchr(at, '\n', left);
        struct line line;

        if (end == NULL)
            return damaged(e, "its last line has no end");
        if (split(&line, at, (size_t)(end - at), e) != 0 || take(x, &line, e) != 0)
            return -1;
        left -= (size_t)(end + 1 - at);
        at = end + 1;
    }
    return 0;
}

static int take_last(struct expired *x, struct cur *item, struct err *e)
{
    struct expired_last last;

    if (!cur_copy(item, last.writer, sizeof last.writer) || !cur_u64(item, &last.sequence) ||
        !cur_copy(item, last.digest, sizeof last.digest))
        return damaged(e, "impossible place in a chain");
    return expired_lasts_push(&x->lasts, last, e);
}

static int take_item(struct expired *x, const char *label, uint8_t tag, struct cur *item,
                     struct err *e)
{
    struct expired_range range;
    uint64_t clock;

    switch (tag) {
    case EXPIRED_TAG_REMOVED:
        return take_text(x, item, take_object, e);
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
        return take_text(x, item, take_belief, e);
    case EXPIRED_TAG_LAST:
        return take_last(x, item, e);
    case EXPIRED_TAG_RUN:
        if (!cur_u64(item, &clock))
            return damaged(e, "impossible moment");
        if ((int64_t)clock > x->run) {
            x->run = (int64_t)clock;
            (void)snprintf(x->run_label, sizeof x->run_label, "%s", label);
        }
        return 0;
    default:
        return 0;
    }
}

/* All items.  They count as a whole or not at all. */
static int take_part(struct expired *x, const char *label, const uint8_t *part, size_t len,
                     struct err *e)
{
    const struct expired before = *x; /* the numbers of it */
    struct cur c = cur_of(part, len);
    struct cur item;
    uint8_t tag;
    int rc = 0;

    while (rc == 0 && (rc = tlv_next(&c, &tag, &item)) == 0)
        rc = take_item(x, label, tag, &item, e);
    if (rc == 1) /* the end */
        return 0;
    x->ranges.n = before.ranges.n;
    x->objects.n = before.objects.n;
    x->beliefs.n = before.beliefs.n;
    x->lasts.n = before.lasts.n;
    x->clock = before.clock;
    x->run = before.run;
    memcpy(x->run_label, before.run_label, sizeof x->run_label);
    return e->code != ERR_NONE ? -1 : damaged(e, "it is no list of items");
}

int expired_decode(struct expired *x, const char *label, const uint8_t *part, size_t len,
                   struct err *e)
{
    struct expired_head head = {.label = ""};

    (void)snprintf(head.label, sizeof head.label, "%s", label);
    if (!manifest_head_read(&head.head, part, len))
        return damaged(e, "nobody stands for it");
    if (take_part(x, label, part, len, e) != 0)
        return -1;
    return expired_heads_push(&x->heads, head, e);
}

/* --- all of them --- */

struct reading {
    struct expired *x;
    struct expired *theirs; /* what the repository's records say, in a copy; else x */
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

        rc = expired_decode(expired_is_own(g->repo, t->public_part, t->public_len) ? g->x
                                                                                   : g->theirs,
                            label, t->public_part, t->public_len, &why);
        object_close(g->scratch);
    }
    store_release(&o);
    return rc == 0 ? 0 : complain(g, label, &why, e);
}

static int read_condemned(void *arg, const char *label, struct err *e)
{
    static const char condemned[] = "condemned-";
    const struct reading *g = arg;
    struct store_name name = {.kind = KIND_CONDEMNED, .name = label};
    struct object_want want = {
        .kind = KIND_CONDEMNED, .name = label, .system_id = g->repo->where.system_id};
    struct store_object o = {.fd = -1};
    int rc;

    if (strncmp(label, condemned, sizeof condemned - 1) != 0 || strlen(label) > FRAME_NAME_MAX)
        return 0;
    rc = store_get(&g->repo->store, &g->repo->where, &name, &o, e);
    if (rc != 0)
        return rc > 0 ? 0 : -1;
    rc = object_open(g->scratch, &o.source, &g->repo->trust, &want, e);
    if (rc == 0) {
        rc = take_part(g->x, label, g->scratch->tail.public_part, g->scratch->tail.public_len, e);
        object_close(g->scratch);
    }
    store_release(&o);
    return rc;
}

int expired_read_condemned(struct expired *x, struct repo *r, struct object_reader *scratch,
                           struct err *e)
{
    struct reading g = {x, x, r, NULL, scratch};

    if (store_each_object(&r->store, &r->where, KIND_CONDEMNED, read_condemned, &g, e) != 0)
        return -1;
    expired_finish(x);
    return 0;
}

int expired_read(struct expired *x, struct repo *r, struct problems *p,
                 struct object_reader *scratch, struct err *e)
{
    struct expired theirs;
    struct reading g = {x, r->copy.there ? &theirs : x, r, p, scratch};
    int rc;

    expired_init(&theirs);
    rc = store_each_object(&r->store, &r->where, KIND_EXPIRE, read_one, &g, e);
    expired_finish(&theirs);
    if (rc == 0 && r->copy.there)
        rc = expired_explain(x, &theirs, r, e);
    expired_fini(&theirs);
    expired_finish(x);
    return rc != 0 ? -1 : 0;
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

    if (strlen(name) >= sizeof key.name || x->objects.n == 0)
        return NULL;
    (void)snprintf(key.name, sizeof key.name, "%s", name);
    return bsearch(&key, x->objects.v, x->objects.n, sizeof key, by_name);
}

bool expired_belief(const struct expired *x, enum object_kind kind, const char *name, int64_t *time)
{
    for (size_t i = x->beliefs.n; i > 0; i--)
        if (x->beliefs.v[i - 1].kind == kind && strcmp(x->beliefs.v[i - 1].name, name) == 0) {
            *time = x->beliefs.v[i - 1].time;
            return true;
        }
    return false;
}

#include "repo/expire_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/file.h"
#include "repo/manifest_chain.h"
#include "repo/pack.h"
#include "repo/pages_note.h"

enum {
    PART_MAX = 120 * 1024,  /* below the limit of frame T, */
    TEXT_ENOUGH = 80 * 1024 /* so an item ends here, and the next record goes on */
};

int expire_record_gone(struct expired *what, enum object_kind kind, const char *name,
                       const char *reason, struct err *e)
{
    struct expired_object *o;

    if (strlen(name) >= sizeof o->name)
        return err_set(e, ERR_INTERNAL, "\"%s\" is too long for a name", name);
    o = expired_objects_add(&what->objects, e);
    if (o == NULL)
        return -1;
    o->kind = kind;
    memcpy(o->name, name, strlen(name) + 1);
    (void)text_visible(o->reason, sizeof o->reason, reason, strlen(reason));
    return 0;
}

/* How far the records of one run have come. */
struct place {
    size_t gone;
    size_t range;
    size_t clock;
    size_t last;
    bool said_clock;
};

static int put_gone(const struct expired *r, struct place *at, struct buf *item, struct err *e)
{
    for (; at->gone < r->objects.n && item->len < TEXT_ENOUGH; at->gone++)
        if (buf_fmt(item, e, "%d %s %s\n", (int)r->objects.v[at->gone].kind,
                    r->objects.v[at->gone].name, r->objects.v[at->gone].reason) != 0)
            return -1;
    return 0;
}

static int put_clock(const struct expired *r, struct place *at, struct buf *item, struct err *e)
{
    if (r->clock == INT64_MIN || (at->said_clock && at->clock == r->beliefs.n))
        return 0;
    at->said_clock = true;
    if (buf_u64(item, (uint64_t)r->clock, e) != 0)
        return -1;
    for (; at->clock < r->beliefs.n && item->len < TEXT_ENOUGH; at->clock++)
        if (buf_fmt(item, e, "%d %s %lld\n", (int)r->beliefs.v[at->clock].kind,
                    r->beliefs.v[at->clock].name, (long long)r->beliefs.v[at->clock].time) != 0)
            return -1;
    return 0;
}

/* Items of a fixed size: the ranges and the heads. */
static int put_fixed(const struct expired *r, struct place *at, struct buf *part, struct buf *item,
                     struct err *e)
{
    for (; at->range < r->ranges.n && part->len < TEXT_ENOUGH; at->range++) {
        const struct expired_range *one = &r->ranges.v[at->range];

        buf_clear(item);
        if (buf_u32(item, one->tli, e) != 0 || buf_u64(item, one->from, e) != 0 ||
            buf_u64(item, one->to, e) != 0 || pack_item(part, EXPIRED_TAG_WAL, item, e) != 0)
            return -1;
    }
    for (; at->last < r->lasts.n && part->len < TEXT_ENOUGH; at->last++) {
        const struct expired_last *one = &r->lasts.v[at->last];

        buf_clear(item);
        if (buf_add(item, one->writer, sizeof one->writer, e) != 0 ||
            buf_u64(item, one->sequence, e) != 0 ||
            buf_add(item, one->digest, sizeof one->digest, e) != 0 ||
            pack_item(part, EXPIRED_TAG_LAST, item, e) != 0)
            return -1;
    }
    return 0;
}

/* Fills one record with what fits; how NULL: a condemned list. */
static int fill(const struct expired *r, struct place *at, const struct expire_writing *how,
                struct buf *part, struct err *e)
{
    struct buf item;
    int rc = -1;

    buf_init(&item, PART_MAX);
    if (how != NULL &&
        (buf_u64(&item, (uint64_t)how->now, e) != 0 || buf_str(&item, how->host, e) != 0 ||
         pack_item(part, EXPIRED_TAG_RUN, &item, e) != 0))
        goto out;
    buf_clear(&item);
    if (how != NULL && how->copy != NULL &&
        (buf_add(&item, how->copy, COPY_ID, e) != 0 ||
         pack_item(part, EXPIRED_TAG_COPY, &item, e) != 0))
        goto out;
    buf_clear(&item);
    if (put_clock(r, at, &item, e) != 0 ||
        (item.len > 0 && pack_item(part, EXPIRED_TAG_CLOCK, &item, e) != 0))
        goto out;
    buf_clear(&item);
    if (part->len < TEXT_ENOUGH / 4 &&
        (put_gone(r, at, &item, e) != 0 ||
         (item.len > 0 && pack_item(part, EXPIRED_TAG_REMOVED, &item, e) != 0)))
        goto out;
    rc = put_fixed(r, at, part, &item, e);
out:
    buf_fini(&item);
    return rc;
}

int expire_record_condemn(const struct expired *what, struct repo *repo, struct expire_lists *lists,
                          struct err *e)
{
    struct place at = {0};
    struct buf part;
    int rc = 0;

    buf_init(&part, PART_MAX);
    while (rc == 0 && (at.gone < what->objects.n || at.range < what->ranges.n)) {
        struct expire_list *list = expire_lists_add(lists, e);
        char hex[17];
        uint8_t random[8];

        rc = -1;
        if (list == NULL)
            break;
        secret_random(random, sizeof random);
        text_hex(hex, random, sizeof random);
        (void)snprintf(list->name, sizeof list->name, "condemned-%s", hex);
        buf_clear(&part);
        if (fill(what, &at, NULL, &part, e) == 0)
            rc = pages_note_put(repo, KIND_CONDEMNED, list->name, &part, e);
    }
    buf_fini(&part);
    return rc;
}

static bool is_all(const struct expired *r, const struct place *at)
{
    return at->gone == r->objects.n && at->range == r->ranges.n && at->last == r->lasts.n &&
           at->clock == r->beliefs.n && (r->clock == INT64_MIN || at->said_clock);
}

/* Under the lineage's lock: two programs of one host must not take the same number. */
static int put_one(const struct expired *r, struct place *at, struct repo *repo,
                   const struct expire_writing *how, struct object_reader *scratch, struct err *e)
{
    char name[FRAME_NAME_MAX + 1];
    const struct store_name where = {.kind = KIND_EXPIRE, .name = name};
    char hex[17];
    uint8_t random[8];
    struct manifest_head head;
    struct buf part;
    int rc = -1;

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(name, sizeof name, "expire-%s", hex);
    buf_init(&part, PART_MAX);
    if (manifest_chain_next(&head, repo, how->host, how->state_dir, scratch, e) != 0)
        goto out;
    head.wal_timeline = how->wal_tli;
    head.wal_lsn = how->wal_lsn;
    if (manifest_head_write(&part, &head, e) == 0 && fill(r, at, how, &part, e) == 0 &&
        repo_still_plain(repo, e) == 0 && pages_note_put(repo, KIND_EXPIRE, name, &part, e) == 0)
        rc = manifest_chain_published(&head, repo, &where, how->state_dir, e);
out:
    buf_fini(&part);
    return rc;
}

int expire_record_put(const struct expired *what, struct repo *repo,
                      const struct expire_writing *how, struct object_reader *scratch,
                      unsigned *count, struct err *e)
{
    struct place at = {0};
    int lock = -1;
    int rc = 0;

    *count = 0;
    if (is_all(what, &at))
        return 0;
    if (store_lock(&repo->writer, &repo->where, &lock, e) != 0)
        return -1;
    /* A crash between two records leaves a part of the decision on record: the next run decides
     * about the rest anew. */
    while (rc == 0 && !is_all(what, &at)) {
        rc = put_one(what, &at, repo, how, scratch, e);
        *count += rc == 0 ? 1 : 0;
    }
    os_drop(&lock);
    return rc;
}

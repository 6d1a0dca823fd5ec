#include "repo/drill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "pg/tlv.h"
#include "repo/dump.h"
#include "repo/manifest_chain.h"
#include "repo/pages_note.h"

enum {
    TAG_HEAD = 64,
    TAG_DRILL = 104,
    TAG_WHAT = 105,
    TAG_HOST = 106,
    TAG_TEXT = 107,
    TAG_CHECK = 108,
    FLAG_FAILED = 1,
    FLAG_CUT = 2,
    TEXT_TARGET = 1,
    TEXT_REACHED = 2,
    TEXT_SERVER = 3,
    TEXT_WHY = 4,
    ITEM_MAX = 2048,
    PUBLIC_MAX = 8 * 1024,
    DETAILS_MAX = 96 * 1024, /* frame T has room for 128 kB */
    PASSED_MAX = 64 * 1024,  /* of these, for checks that passed */
    SEEN_ALL = 7
};

void drill_init(struct drill *d)
{
    memset(d, 0, sizeof *d);
    drill_checks_init(&d->checks, DRILL_CHECKS_MAX);
}

void drill_fini(struct drill *d)
{
    drill_checks_fini(&d->checks);
}

const char *drill_word(unsigned state)
{
    return state == DRILL_PASSED ? "passed" : state == DRILL_FAILED ? "failed" : "skipped";
}

struct drill_check *drill_add(struct drill *d, enum drill_state state, const char *name,
                              const char *asked, const char *found, struct err *e)
{
    struct drill_check *c = drill_checks_add(&d->checks, e);

    if (c == NULL)
        return NULL;
    c->state = (uint8_t)state;
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    (void)snprintf(c->asked, sizeof c->asked, "%s", asked);
    (void)snprintf(c->found, sizeof c->found, "%s", found);
    d->passed += state == DRILL_PASSED ? 1 : 0;
    d->failures += state == DRILL_FAILED ? 1 : 0;
    d->skipped += state == DRILL_SKIPPED ? 1 : 0;
    return c;
}

/* --- as bytes --- */

static int put_item(struct buf *part, struct tlv_out *o, struct err *e)
{
    if (!tlv_end(o))
        return err_set(e, ERR_INTERNAL, "an item of a drill record is too long");
    return buf_add(part, o->p, o->len, e);
}

static void put_text(struct tlv_out *o, const char *text)
{
    size_t len = strlen(text);

    tlv_varint(o, len);
    tlv_bytes(o, text, len);
}

static int put_public(const struct drill *d, struct buf *part, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    if (manifest_head_write(part, &d->head, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_DRILL);
    tlv_u8(&o, d->kind);
    tlv_u8(&o, (uint8_t)((d->failed ? FLAG_FAILED : 0) | (d->cut ? FLAG_CUT : 0)));
    tlv_u64(&o, (uint64_t)d->start);
    tlv_u64(&o, (uint64_t)d->end);
    tlv_u64(&o, d->system_id);
    tlv_u32(&o, d->server_version);
    tlv_varint(&o, d->unpack_us);
    tlv_varint(&o, d->replay_us);
    tlv_varint(&o, d->total_us);
    tlv_varint(&o, d->bytes);
    tlv_varint(&o, d->wal);
    tlv_varint(&o, d->passed);
    tlv_varint(&o, d->failures);
    tlv_varint(&o, d->skipped);
    if (put_item(part, &o, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_WHAT);
    put_text(&o, d->job);
    put_text(&o, d->what);
    if (put_item(part, &o, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_HOST);
    tlv_bytes(&o, d->host, strlen(d->host));
    return put_item(part, &o, e);
}

static int put_detail(struct buf *part, uint8_t which, const char *text, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    if (*text == '\0')
        return 0;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_TEXT);
    tlv_u8(&o, which);
    tlv_bytes(&o, text, strlen(text));
    return put_item(part, &o, e);
}

static int put_check(struct buf *part, const struct drill_check *c, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_CHECK);
    tlv_u8(&o, c->state);
    put_text(&o, c->name);
    put_text(&o, c->asked);
    put_text(&o, c->found);
    put_text(&o, c->note);
    return put_item(part, &o, e);
}

int drill_encode(const struct drill *d, struct buf *public_part, struct buf *metadata,
                 struct err *e)
{
    struct drill shown = *d;

    if (put_detail(metadata, TEXT_TARGET, d->target, e) != 0 ||
        put_detail(metadata, TEXT_REACHED, d->reached, e) != 0 ||
        put_detail(metadata, TEXT_SERVER, d->server, e) != 0 ||
        put_detail(metadata, TEXT_WHY, d->why, e) != 0)
        return -1;
    for (size_t i = 0; i < d->checks.n; i++) {
        const struct drill_check *c = &d->checks.v[i];

        /* What failed goes on record before what did not. */
        if (metadata->len > (c->state == DRILL_PASSED ? PASSED_MAX : DETAILS_MAX) - ITEM_MAX)
            shown.cut = true;
        else if (put_check(metadata, c, e) != 0)
            return -1;
    }
    return put_public(&shown, public_part, e);
}

static bool get_text(struct cur *c, char *out, size_t cap)
{
    uint64_t len;

    if (!cur_varint(c, &len) || len >= cap || !cur_copy(c, out, (size_t)len))
        return false;
    out[len] = '\0';
    return strlen(out) == len;
}

static bool get_rest(struct cur *c, char *out, size_t cap)
{
    size_t len = c->left;

    if (len >= cap || !cur_copy(c, out, len))
        return false;
    out[len] = '\0';
    return strlen(out) == len;
}

static bool get_drill(struct drill *d, struct cur *c)
{
    uint64_t start;
    uint64_t end;
    uint8_t flags;

    if (!cur_u8(c, &d->kind) || d->kind < DRILL_BACKUP || d->kind > DRILL_DUMP ||
        !cur_u8(c, &flags) || !cur_u64(c, &start) || !cur_u64(c, &end) ||
        !cur_u64(c, &d->system_id) || !cur_u32(c, &d->server_version) ||
        !cur_varint(c, &d->unpack_us) || !cur_varint(c, &d->replay_us) ||
        !cur_varint(c, &d->total_us) || !cur_varint(c, &d->bytes) || !cur_varint(c, &d->wal))
        return false;
    d->failed = (flags & FLAG_FAILED) != 0;
    d->cut = (flags & FLAG_CUT) != 0;
    d->start = (int64_t)start;
    d->end = (int64_t)end;
    return tlv_get_u32(c, &d->passed) && tlv_get_u32(c, &d->failures) &&
           tlv_get_u32(c, &d->skipped);
}

static int damaged(struct err *e)
{
    return err_set(e, ERR_DAMAGED, "a drill record is damaged");
}

int drill_decode(struct drill *d, const uint8_t *part, size_t len, struct err *e)
{
    struct cur items = cur_of(part, len);
    struct cur item;
    unsigned seen = 0;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&items, &tag, &item)) == 0) {
        bool fits = true;

        if (tag == TAG_HEAD) {
            fits = manifest_head_get(&item, &d->head);
            seen |= 1;
        } else if (tag == TAG_DRILL) {
            fits = get_drill(d, &item);
            seen |= 2;
        } else if (tag == TAG_WHAT) {
            fits =
                get_text(&item, d->job, sizeof d->job) && get_text(&item, d->what, sizeof d->what);
            seen |= 4;
        } else if (tag == TAG_HOST) {
            fits = get_rest(&item, d->host, sizeof d->host);
        }
        if (!fits)
            return damaged(e);
    }
    return rc < 0 || seen != SEEN_ALL ? damaged(e) : 0;
}

/* 1: fits, 0: does not, -1: no memory. */
static int get_check(struct drill *d, struct cur *c, struct err *e)
{
    struct drill_check *one = drill_checks_add(&d->checks, e);

    if (one == NULL)
        return -1;
    return cur_u8(c, &one->state) && one->state >= DRILL_PASSED && one->state <= DRILL_SKIPPED &&
           get_text(c, one->name, sizeof one->name) && get_text(c, one->asked, sizeof one->asked) &&
           get_text(c, one->found, sizeof one->found) && get_text(c, one->note, sizeof one->note);
}

static bool get_detail(struct drill *d, struct cur *c)
{
    uint8_t which;

    if (!cur_u8(c, &which))
        return false;
    switch (which) {
    case TEXT_TARGET:
        return get_rest(c, d->target, sizeof d->target);
    case TEXT_REACHED:
        return get_rest(c, d->reached, sizeof d->reached);
    case TEXT_SERVER:
        return get_rest(c, d->server, sizeof d->server);
    case TEXT_WHY:
        return get_rest(c, d->why, sizeof d->why);
    default: /* of a later version */
        return true;
    }
}

int drill_decode_details(struct drill *d, const uint8_t *part, size_t len, struct err *e)
{
    struct cur items = cur_of(part, len);
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&items, &tag, &item)) == 0) {
        int fits = 1;

        if (tag == TAG_TEXT)
            fits = get_detail(d, &item) ? 1 : 0;
        else if (tag == TAG_CHECK)
            fits = get_check(d, &item, e);
        if (fits <= 0)
            return fits < 0 ? -1 : damaged(e);
    }
    d->has_details = rc > 0;
    return rc < 0 ? damaged(e) : 0;
}

/* --- reading --- */

struct reading {
    struct drill_list *list;
    struct repo *repo;
    struct object_reader *scratch;
};

static int read_details(struct drill *d, struct object_reader *reader, struct err *e)
{
    uint8_t *part = NULL;
    size_t len = 0;
    int rc = object_metadata(reader, &part, &len, e);

    if (rc == 0)
        rc = drill_decode_details(d, part, len, e);
    free(part);
    return rc;
}

static int open_one(struct drill *d, struct repo *repo, const char *label, bool details,
                    struct object_reader *scratch, struct err *e)
{
    const struct store_name where = {.kind = KIND_DRILL, .name = label};
    struct store_object o = {.fd = -1};
    int rc = repo_get(repo, &where, &o, scratch, e);

    if (rc != 0)
        return rc;
    (void)snprintf(d->label, sizeof d->label, "%s", label);
    rc = drill_decode(d, scratch->tail.public_part, scratch->tail.public_len, e);
    if (rc == 0 && details && (!scratch->head.sealed || scratch->has_metadata))
        rc = read_details(d, scratch, e);
    object_close(scratch);
    store_release(&o);
    return rc;
}

int drill_read(struct drill *d, struct repo *repo, const char *label, struct object_reader *scratch,
               struct err *e)
{
    return open_one(d, repo, label, true, scratch, e);
}

static int read_one(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct err why = {0};
    uint32_t number;
    struct drill *d;
    int rc;

    if (strlen(name) >= DRILL_LABEL_MAX || !dump_label_counter(name, &number))
        return 0;
    d = drills_add(&r->list->all, e);
    if (d == NULL)
        return -1;
    drill_init(d);
    rc = open_one(d, r->repo, name, false, r->scratch, &why);
    d->readable = rc == 0;
    if (rc == 0)
        return 0;
    drill_fini(d);
    drill_init(d);
    (void)snprintf(d->label, sizeof d->label, "%s", name);
    if (rc > 0) /* pruned since it was listed */
        r->list->all.n--;
    if (why.code != ERR_NOMEM && why.code != ERR_UNREACHABLE && why.code != ERR_INTERRUPTED)
        return 0;
    *e = why;
    return -1;
}

static uint32_t number_of(const struct drill *d)
{
    uint32_t number = 0;

    return dump_label_counter(d->label, &number) ? number : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct drill *x = a;
    const struct drill *y = b;
    uint32_t m = number_of(x);
    uint32_t n = number_of(y);

    return m != n ? (m < n ? -1 : 1) : strcmp(x->label, y->label);
}

int drill_list_read(struct drill_list *l, struct repo *repo, struct object_reader *scratch,
                    struct err *e)
{
    struct reading r = {l, repo, scratch};
    int rc;

    drills_init(&l->all, DRILL_LIST_MAX);
    rc = store_each_object(&repo->store, &repo->where, KIND_DRILL, read_one, &r, e);
    if (l->all.n > 1)
        qsort(l->all.v, l->all.n, sizeof *l->all.v, by_number);
    return rc;
}

void drill_list_fini(struct drill_list *l)
{
    for (size_t i = 0; i < l->all.n; i++)
        drill_fini(&l->all.v[i]);
    drills_fini(&l->all);
}

/* --- what they say together --- */

const struct drill *drill_newest(const struct drill_list *l, uint64_t system_id, const char *job)
{
    for (size_t i = l->all.n; i > 0; i--) {
        const struct drill *d = &l->all.v[i - 1];

        if (job == NULL ? d->kind == DRILL_BACKUP && d->system_id == system_id
                        : d->kind == DRILL_DUMP && strcmp(d->job, job) == 0)
            return d;
    }
    return NULL;
}

const struct drill *drill_rates(const struct drill_list *l, uint64_t system_id, uint64_t *copy,
                                uint64_t *replay)
{
    /* What was over so soon was not measured. */
    enum { LEAST_US = 200 * 1000 };

    *copy = *replay = 0;
    for (size_t i = l->all.n; i > 0; i--) {
        const struct drill *d = &l->all.v[i - 1];

        if (d->kind != DRILL_BACKUP || d->system_id != system_id || d->failed ||
            d->unpack_us < LEAST_US)
            continue;
        *copy = d->bytes / (d->unpack_us / 1000) * 1000;
        if (d->replay_us >= LEAST_US && d->wal > 0)
            *replay = d->wal / (d->replay_us / 1000) * 1000;
        return d;
    }
    return NULL;
}

/* --- writing --- */

/* The writer's newest records stay.  What a crash leaves behind goes with the next record. */
static void prune(struct repo *repo, const struct drill_list *l, const struct manifest_head *h)
{
    struct err quiet = {0};
    unsigned kept = 1; /* the one that was just published */

    for (size_t i = l->all.n; i > 0; i--) {
        const struct drill *d = &l->all.v[i - 1];
        struct store_name where = {.kind = KIND_DRILL, .name = d->label};

        if (memcmp(d->head.writer, h->writer, sizeof h->writer) != 0 || ++kept <= DRILL_KEEP)
            continue;
        if (store_remove(&repo->writer, &repo->where, &where, &quiet) < 0)
            return;
    }
}

/* Number, and place in the writer's chain. */
static int fill_in(struct drill *d, struct repo *repo, const struct drill_list *l, struct err *e)
{
    const struct drill *last = NULL;
    uint32_t number = l->all.n == 0 ? 0 : number_of(&l->all.v[l->all.n - 1]);
    struct store_name where = {.kind = KIND_DRILL};

    memset(&d->head, 0, sizeof d->head);
    manifest_chain_id(d->head.writer, repo, "driller", d->host);
    for (size_t i = 0; i < l->all.n; i++) {
        const struct drill *one = &l->all.v[i];

        if (memcmp(one->head.writer, d->head.writer, sizeof d->head.writer) == 0 &&
            (last == NULL || one->head.sequence > last->head.sequence))
            last = one;
    }
    if (number >= UINT32_MAX - 1)
        return err_set(e, ERR_REFUSED, "no number is left for drill records");
    dump_label(d->label, d->end, number + 1);
    d->head.sequence = last == NULL ? 1 : last->head.sequence + 1;
    if (last == NULL)
        return 0;
    where.name = last->label;
    return manifest_chain_digest(repo, &where, d->head.previous, e);
}

static int publish(struct drill *d, struct repo *repo, struct err *e)
{
    struct object_parts parts = {0};
    struct buf public_part;
    struct buf metadata;
    int rc;

    buf_init(&public_part, PUBLIC_MAX);
    buf_init(&metadata, DETAILS_MAX);
    rc = drill_encode(d, &public_part, &metadata, e);
    parts.public_part = public_part.p;
    parts.public_len = public_part.len;
    parts.metadata_part = metadata.p;
    parts.metadata_len = metadata.len;
    /* A crash before the rename in it leaves what there was. */
    if (rc == 0)
        rc = repo_still_plain(repo, e);
    if (rc == 0)
        rc = pages_note_put_parts(repo, KIND_DRILL, d->label, &parts, e);
    buf_fini(&public_part);
    buf_fini(&metadata);
    return rc;
}

int drill_put(struct drill *d, struct repo *repo, struct object_reader *scratch, struct err *e)
{
    struct drill_list list;
    struct err quiet = {0};
    int lock = -1;
    int rc = -1;

    /* Two drills of one host must not take the same number. */
    if (store_lock(&repo->writer, &repo->where, &lock, e) != 0)
        return -1;
    if (drill_list_read(&list, repo, scratch, e) == 0 && fill_in(d, repo, &list, e) == 0 &&
        publish(d, repo, e) == 0) {
        rc = 0;
        prune(repo, &list, &d->head);
        /* Half-written files of drills that were killed; the next one tries again. */
        (void)!store_sweep(&repo->writer, &repo->where, KIND_DRILL, &quiet);
    }
    drill_list_fini(&list);
    os_drop(&lock);
    return rc;
}

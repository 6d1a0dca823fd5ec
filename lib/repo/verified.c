#include "repo/verified.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "pg/tlv.h"
#include "repo/manifest_chain.h"
#include "repo/pages_note.h"

enum {
    TAG_HEAD = 64,
    TAG_RUN = 100,
    TAG_TOTALS = 101,
    TAG_BACKUP = 102,
    TAG_WAL = 103,
    TAG_DUMP = 104,
    FLAG_DAMAGED = 1,
    FLAG_PART = 2,
    FLAG_SPOILED = 4,
    RUN_CUT = 1,
    ITEM_MAX = 128,
    PART_MAX = 120 * 1024,
    ITEMS_MAX = 1 << 20,
    SEEN_ALL = 7
};

void verified_init(struct verified *v)
{
    memset(v, 0, sizeof *v);
    v->part = 1;
    v->parts = 1;
    verified_backups_init(&v->backups, ITEMS_MAX);
    verified_backups_init(&v->dumps, ITEMS_MAX);
    verified_wals_init(&v->wal, ITEMS_MAX);
}

void verified_fini(struct verified *v)
{
    verified_backups_fini(&v->backups);
    verified_backups_fini(&v->dumps);
    verified_wals_fini(&v->wal);
}

const char *verified_word(unsigned level)
{
    static const char *const words[] = {
        [VERIFIED_NONE] = "none",
        [VERIFIED_STORED] = "stored",
        [VERIFIED_CONTENT] = "content",
        [VERIFIED_RECORDS] = "records",
    };

    return level <= VERIFIED_RECORDS ? words[level] : words[VERIFIED_NONE];
}

/* --- as bytes --- */

static int put_item(struct buf *part, struct tlv_out *o, struct err *e)
{
    if (!tlv_end(o))
        return err_set(e, ERR_INTERNAL, "an item of a verification record is too long");
    return buf_add(part, o->p, o->len, e);
}

static int put_run(struct buf *part, const struct verified *v, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_RUN);
    tlv_u64(&o, (uint64_t)v->start);
    tlv_u64(&o, (uint64_t)v->end);
    tlv_u8(&o, v->level);
    tlv_u8(&o, v->cut ? RUN_CUT : 0);
    tlv_varint(&o, v->part);
    tlv_varint(&o, v->parts);
    if (put_item(part, &o, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_TOTALS);
    tlv_varint(&o, v->objects);
    tlv_varint(&o, v->bytes);
    tlv_varint(&o, v->damaged);
    return put_item(part, &o, e);
}

static uint8_t flags_of(bool damaged, bool part)
{
    return (uint8_t)((damaged ? FLAG_DAMAGED : 0) | (part ? FLAG_PART : 0));
}

/* A backup or a dump. */
static int put_backup(struct buf *part, uint8_t tag, const struct verified_backup *b, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, tag);
    tlv_u8(&o, b->level);
    tlv_u8(&o, flags_of(b->damaged, b->part));
    tlv_bytes(&o, b->label, strlen(b->label));
    return put_item(part, &o, e);
}

static int put_wal(struct buf *part, const struct verified_wal *w, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_WAL);
    tlv_u32(&o, w->tli);
    tlv_u64(&o, w->from);
    tlv_u64(&o, w->to);
    tlv_u8(&o, w->level);
    tlv_u8(&o, (uint8_t)(flags_of(w->damaged, w->part) | (w->spoiled ? FLAG_SPOILED : 0)));
    tlv_varint(&o, w->segments);
    return put_item(part, &o, e);
}

int verified_encode(struct buf *part, const struct verified *v, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct verified run = *v;
    struct tlv_out o;
    size_t from_backup =
        v->backups.n > VERIFIED_BACKUPS_MAX ? v->backups.n - VERIFIED_BACKUPS_MAX : 0;
    size_t from_wal = v->wal.n > VERIFIED_WAL_MAX ? v->wal.n - VERIFIED_WAL_MAX : 0;
    size_t from_dump = v->dumps.n > VERIFIED_DUMPS_MAX ? v->dumps.n - VERIFIED_DUMPS_MAX : 0;

    run.cut = v->cut || from_backup > 0 || from_wal > 0 || from_dump > 0;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_HEAD);
    manifest_head_put(&o, &v->head);
    if (put_item(part, &o, e) != 0 || put_run(part, &run, e) != 0)
        return -1;
    for (size_t i = from_backup; i < v->backups.n; i++)
        if (put_backup(part, TAG_BACKUP, &v->backups.v[i], e) != 0)
            return -1;
    for (size_t i = from_wal; i < v->wal.n; i++)
        if (put_wal(part, &v->wal.v[i], e) != 0)
            return -1;
    for (size_t i = from_dump; i < v->dumps.n; i++)
        if (put_backup(part, TAG_DUMP, &v->dumps.v[i], e) != 0)
            return -1;
    return 0;
}

static bool get_flags(struct cur *c, uint8_t *level, bool *damaged, bool *part, bool *spoiled)
{
    uint8_t flags;

    if (!cur_u8(c, level) || *level > VERIFIED_RECORDS || !cur_u8(c, &flags))
        return false;
    *damaged = (flags & FLAG_DAMAGED) != 0;
    *part = (flags & FLAG_PART) != 0;
    *spoiled = (flags & FLAG_SPOILED) != 0;
    return true;
}

static bool get_run(struct verified *v, struct cur *c)
{
    uint64_t start;
    uint64_t end;
    uint8_t flags;

    if (!cur_u64(c, &start) || !cur_u64(c, &end) || !cur_u8(c, &v->level) ||
        v->level > VERIFIED_RECORDS || !cur_u8(c, &flags) || !tlv_get_u32(c, &v->part) ||
        !tlv_get_u32(c, &v->parts))
        return false;
    v->start = (int64_t)start;
    v->end = (int64_t)end;
    v->cut = (flags & RUN_CUT) != 0;
    return v->parts >= 1 && v->parts <= VERIFIED_PARTS_MAX && v->part >= 1 && v->part <= v->parts;
}

/* 1: fits, 0: does not, -1: no memory. */
static int get_backup(struct verified_backups *list, struct cur *c, struct err *e)
{
    struct verified_backup b = {.level = 0};
    bool spoiled; /* of WAL */

    if (!get_flags(c, &b.level, &b.damaged, &b.part, &spoiled) || c->left == 0 ||
        c->left >= sizeof b.label || memchr(c->p, '\0', c->left) != NULL ||
        !cur_copy(c, b.label, c->left))
        return 0;
    return verified_backups_push(list, b, e) == 0 ? 1 : -1;
}

static int get_wal(struct verified *v, struct cur *c, struct err *e)
{
    struct verified_wal w = {.tli = 0};

    if (!cur_u32(c, &w.tli) || !cur_u64(c, &w.from) || !cur_u64(c, &w.to) ||
        !get_flags(c, &w.level, &w.damaged, &w.part, &w.spoiled) || !cur_varint(c, &w.segments))
        return 0;
    return verified_wals_push(&v->wal, w, e) == 0 ? 1 : -1;
}

static int get_item(struct verified *v, uint8_t tag, struct cur *c, unsigned *seen, struct err *e)
{
    switch (tag) {
    case TAG_HEAD:
        *seen |= 1;
        return manifest_head_get(c, &v->head);
    case TAG_RUN:
        *seen |= 2;
        return get_run(v, c);
    case TAG_TOTALS:
        *seen |= 4;
        return cur_varint(c, &v->objects) && cur_varint(c, &v->bytes) && cur_varint(c, &v->damaged);
    case TAG_BACKUP:
        return get_backup(&v->backups, c, e);
    case TAG_DUMP:
        return get_backup(&v->dumps, c, e);
    case TAG_WAL:
        return get_wal(v, c, e);
    default:
        return 1;
    }
}

int verified_decode(struct verified *v, const uint8_t *part, size_t len, struct err *e)
{
    struct cur items = cur_of(part, len);
    struct cur item;
    unsigned seen = 0;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&items, &tag, &item)) == 0) {
        rc = get_item(v, tag, &item, &seen, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            return err_set(e, ERR_DAMAGED, "a verification record is damaged: item %u does not fit",
                           (unsigned)tag);
    }
    if (rc < 0 || seen != SEEN_ALL)
        return err_set(e, ERR_DAMAGED, "a verification record is damaged: it is not complete");
    return 0;
}

/* --- names: "<writer, 16 hex>-<sequence, 8 hex>" --- */

enum { NAME_WRITER = 8 };

static void name_of(char out[VERIFIED_NAME_MAX], const uint8_t *writer, uint64_t sequence)
{
    char hex[2 * NAME_WRITER + 1];

    text_hex(hex, writer, NAME_WRITER);
    (void)snprintf(out, VERIFIED_NAME_MAX, "%s-%08llx", hex, (unsigned long long)sequence);
}

/* The sequence number in a name of this writer's; 0: it is another's, or no such name. */
static uint64_t sequence_of(const char *name, const uint8_t *writer)
{
    char hex[2 * NAME_WRITER + 1];
    struct err quiet = {0};
    uint64_t sequence;

    text_hex(hex, writer, NAME_WRITER);
    if (strlen(name) != sizeof hex - 1 + 9 || strncmp(name, hex, sizeof hex - 1) != 0 ||
        name[sizeof hex - 1] != '-' ||
        parse_hex(name + sizeof hex, UINT32_MAX, &sequence, &quiet) != 0)
        return 0;
    return sequence;
}

/* --- writing --- */

const char *verified_may_not(struct repo *repo)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    struct err quiet = {0};

    if (repo->marker.sealed && !repo->has_host)
        return "no host key is here";
    (void)snprintf(path, sizeof path, "%.64s/%llu", repo->where.cluster,
                   (unsigned long long)repo->where.system_id);
    if (os_root_stat(&repo->store.root, path, &st, &quiet) != 0)
        return "the cluster's directory cannot be read";
    /* What root makes is given to the repository's owner (os_root_give). */
    if (st.st_uid == os_uid() || (repo->store.root.give && repo->store.root.uid == st.st_uid))
        return NULL;
    return "the repository belongs to another user";
}

VEC_DECLARE(sequences, uint64_t);

struct mine {
    const uint8_t *writer;
    struct sequences list;
};

static int note_mine(void *arg, const char *name, struct err *e)
{
    struct mine *m = arg;
    uint64_t sequence = sequence_of(name, m->writer);

    return sequence == 0 ? 0 : sequences_push(&m->list, sequence, e);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

/* Older than the newest VERIFIED_KEEP go.  What a crash or a failure leaves behind goes with the
 * next record; what a power cut brings back, likewise. */
static void prune(struct repo *repo, const struct mine *m)
{
    struct err quiet = {0};

    for (size_t i = 0; i + VERIFIED_KEEP <= m->list.n; i++) {
        char name[VERIFIED_NAME_MAX];
        struct store_name where = {.kind = KIND_VERIFIED, .name = name};

        name_of(name, m->writer, m->list.v[i]);
        if (store_remove(&repo->writer, &repo->where, &where, &quiet) < 0)
            return;
    }
}

static int put_locked(struct verified *v, struct repo *repo, struct mine *m, struct err *e)
{
    uint64_t last = m->list.n == 0 ? 0 : m->list.v[m->list.n - 1];
    char name[VERIFIED_NAME_MAX];
    struct store_name where = {.kind = KIND_VERIFIED, .name = name};
    struct buf part;
    int rc;

    if (last >= UINT32_MAX)
        return err_set(e, ERR_REFUSED, "no number is left for verification records");
    name_of(name, m->writer, last);
    rc = last == 0 ? 0 : manifest_chain_digest(repo, &where, v->head.previous, e);
    v->head.sequence = last + 1;
    name_of(name, m->writer, v->head.sequence);
    buf_init(&part, PART_MAX);
    if (rc == 0)
        rc = verified_encode(&part, v, e);
    /* A crash before the rename in it leaves what there was. */
    if (rc == 0)
        rc = pages_note_put(repo, KIND_VERIFIED, name, &part, e);
    buf_fini(&part);
    return rc;
}

int verified_put(struct verified *v, struct repo *repo, const char *host, struct err *e)
{
    struct mine m = {.writer = v->head.writer};
    int lock = -1;
    int rc = -1;

    manifest_chain_id(v->head.writer, repo, "verifier", host);
    sequences_init(&m.list, VERIFIED_LIST_MAX);
    /* Two runs of one host must not take the same number. */
    if (store_lock(&repo->writer, &repo->where, &lock, e) != 0)
        goto out;
    if (store_each_object(&repo->store, &repo->where, KIND_VERIFIED, note_mine, &m, e) != 0)
        goto out;
    if (m.list.n > 1)
        qsort(m.list.v, m.list.n, sizeof *m.list.v, by_number);
    if (repo_still_plain(repo, e) != 0 || put_locked(v, repo, &m, e) != 0)
        goto out;
    rc = 0;
    prune(repo, &m);
out:
    os_drop(&lock);
    sequences_fini(&m.list);
    return rc;
}

/* --- reading --- */

struct reading {
    struct verified_list *list;
    struct repo *repo;
    struct object_reader *scratch;
};

static int take(struct reading *r, const struct frame_tail *t, const char *name, struct err *e)
{
    struct verified *v = verified_records_add(&r->list->records, e);
    char want[VERIFIED_NAME_MAX];
    struct err why = {0};

    if (v == NULL)
        return -1;
    verified_init(v);
    if (verified_decode(v, t->public_part, t->public_len, &why) == 0) {
        /* The name is what order and pruning go by. */
        name_of(want, v->head.writer, v->head.sequence);
        if (strcmp(name, want) == 0)
            return 0;
        (void)err_set(&why, ERR_DAMAGED, "a verification record is not what its name says");
    }
    verified_fini(v);
    r->list->records.n--;
    if (why.code != ERR_NOMEM) {
        r->list->unreadable++;
        return 0;
    }
    *e = why;
    return -1;
}

static int read_one(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct store_name where = {.kind = KIND_VERIFIED, .name = name};
    struct object_want want = {
        .kind = KIND_VERIFIED, .name = name, .system_id = r->repo->where.system_id};
    struct store_object o = {.fd = -1};
    struct err why = {0};
    int rc;

    if (strlen(name) > FRAME_NAME_MAX)
        return 0;
    rc = store_get(&r->repo->store, &r->repo->where, &where, &o, &why);
    if (rc > 0)
        return 0; /* pruned since it was listed */
    if (rc == 0)
        rc = object_open(r->scratch, &o.source, &r->repo->trust, &want, &why);
    if (rc == 0) {
        rc = take(r, &r->scratch->tail, name, e);
        object_close(r->scratch);
    } else if (why.code == ERR_NOMEM || why.code == ERR_UNREACHABLE ||
               why.code == ERR_INTERRUPTED) {
        *e = why;
    } else {
        r->list->unreadable++;
        rc = 0;
    }
    store_release(&o);
    return rc;
}

static int by_end(const void *a, const void *b)
{
    const struct verified *x = a;
    const struct verified *y = b;

    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return (x->head.sequence > y->head.sequence) - (x->head.sequence < y->head.sequence);
}

int verified_read(struct verified_list *l, struct repo *repo, struct object_reader *scratch,
                  struct err *e)
{
    struct reading r = {l, repo, scratch};
    int rc;

    verified_records_init(&l->records, VERIFIED_LIST_MAX);
    l->unreadable = 0;
    rc = store_each_object(&repo->store, &repo->where, KIND_VERIFIED, read_one, &r, e);
    if (l->records.n > 1)
        qsort(l->records.v, l->records.n, sizeof *l->records.v, by_end);
    return rc;
}

void verified_list_fini(struct verified_list *l)
{
    for (size_t i = 0; i < l->records.n; i++)
        verified_fini(&l->records.v[i]);
    verified_records_fini(&l->records);
}

/* --- what the records say together --- */

/* The newest record over that part; NULL: none. */
static const struct verified *newest_part(const struct verified_list *l, uint32_t part,
                                          uint32_t parts)
{
    for (size_t i = l->records.n; i > 0; i--)
        if (l->records.v[i - 1].parts == parts && l->records.v[i - 1].part == part)
            return &l->records.v[i - 1];
    return NULL;
}

static const struct verified_backup *backup_in(const struct verified *v, const char *label)
{
    for (size_t i = v == NULL ? 0 : v->backups.n; i > 0; i--)
        if (strcmp(v->backups.v[i - 1].label, label) == 0)
            return &v->backups.v[i - 1];
    return NULL;
}

/* Was this already looked up, as a division into so many parts, by a newer record? */
static bool seen_division(const struct verified_list *l, size_t i)
{
    for (size_t k = i + 1; k < l->records.n; k++)
        if (l->records.v[k].parts == l->records.v[i].parts)
            return true;
    return false;
}

/* Takes in what is newer, or as new and deeper. */
static void better(struct verified_verdict *v, uint8_t level, int64_t time)
{
    if (level == VERIFIED_NONE)
        return;
    if (v->level == VERIFIED_NONE || time > v->time || (time == v->time && level > v->level)) {
        v->level = level;
        v->time = time;
    }
}

/* A backup by the newest runs over all parts of one division: 0 parts missing makes a verdict. */
static void join_parts(const struct verified_list *l, uint32_t parts, const char *label,
                       struct verified_verdict *out)
{
    uint8_t level = VERIFIED_RECORDS;
    int64_t time = INT64_MAX;

    for (uint32_t part = 1; part <= parts; part++) {
        const struct verified *v = newest_part(l, part, parts);
        const struct verified_backup *b = backup_in(v, label);

        if (b == NULL || b->damaged)
            return;
        level = b->level < level ? b->level : level;
        time = v->end < time ? v->end : time;
    }
    better(out, level, time);
}

/* Damage stays until the same part, or everything, was read again and found sound. */
static bool healed(const struct verified_list *l, size_t i, const char *label)
{
    const struct verified *bad = &l->records.v[i];
    bool whole = !backup_in(bad, label)->part;

    for (size_t k = i + 1; k < l->records.n; k++) {
        const struct verified *v = &l->records.v[k];
        const struct verified_backup *b = backup_in(v, label);

        if (b == NULL || b->damaged)
            continue;
        if (!b->part || (!whole && v->parts == bad->parts && v->part == bad->part))
            return true;
    }
    return false;
}

struct verified_verdict verified_of(const struct verified_list *l, const char *label)
{
    struct verified_verdict out = {.level = VERIFIED_NONE};

    for (size_t i = l->records.n; i > 0; i--) {
        const struct verified *v = &l->records.v[i - 1];
        const struct verified_backup *b = backup_in(v, label);

        if (b == NULL)
            continue;
        if (b->damaged) {
            if (!out.damaged && !healed(l, i - 1, label)) {
                out.damaged = true;
                out.damage = v->end;
            }
            continue;
        }
        if (!b->part)
            better(&out, b->level, v->end);
        else if (!seen_division(l, i - 1))
            join_parts(l, v->parts, label, &out);
    }
    return out;
}

/* A dump is read whole, so what was said of it last counts. */
struct verified_verdict verified_dump(const struct verified_list *l, const char *label)
{
    struct verified_verdict out = {.level = VERIFIED_NONE};

    for (size_t i = l->records.n; i > 0; i--) {
        const struct verified *v = &l->records.v[i - 1];

        for (size_t k = 0; k < v->dumps.n; k++) {
            const struct verified_backup *d = &v->dumps.v[k];

            if (strcmp(d->label, label) != 0)
                continue;
            out.damaged = d->damaged;
            if (d->damaged)
                out.damage = v->end;
            else
                better(&out, d->level, v->end);
            return out;
        }
    }
    return out;
}

static const struct verified_wal *wal_in(const struct verified *v, uint32_t tli)
{
    for (size_t i = 0; i < v->wal.n; i++)
        if (v->wal.v[i].tli == tli)
            return &v->wal.v[i];
    return NULL;
}

struct verified_verdict verified_wal(const struct verified_list *l, uint32_t tli, uint64_t start)
{
    struct verified_verdict out = {.level = VERIFIED_NONE};

    for (size_t i = l->records.n; i > 0; i--) {
        const struct verified *v = &l->records.v[i - 1];
        const struct verified_wal *w = wal_in(v, tli);

        /* A later run over the same part, or everything, had the last word. */
        if (w != NULL && w->spoiled && w->to > start && v == newest_part(l, v->part, v->parts)) {
            out.damaged = true;
            out.damage = v->end;
            break;
        }
        if (v->parts == 1 && w != NULL)
            break;
    }
    return out;
}

bool verified_sweep(const struct verified_list *l, int64_t *time, uint8_t *level)
{
    struct verified_verdict best = {.level = VERIFIED_NONE};
    bool found = false;

    for (size_t i = l->records.n; i > 0; i--) {
        uint32_t parts = l->records.v[i - 1].parts;
        uint8_t least = VERIFIED_RECORDS;
        int64_t oldest = INT64_MAX;
        bool all = true;

        if (seen_division(l, i - 1))
            continue;
        for (uint32_t part = 1; all && part <= parts; part++) {
            const struct verified *v = newest_part(l, part, parts);

            all = v != NULL;
            if (all) {
                least = v->level < least ? v->level : least;
                oldest = v->end < oldest ? v->end : oldest;
            }
        }
        if (all && (!found || oldest > best.time)) {
            found = true;
            best.level = least;
            best.time = oldest;
        }
    }
    *time = best.time;
    *level = best.level;
    return found;
}

uint64_t verified_open(const struct verified_list *l)
{
    uint64_t open = 0;

    for (size_t i = l->records.n; i > 0; i--) {
        const struct verified *v = &l->records.v[i - 1];

        /* A later run over the same part, or everything, had the last word. */
        if (v == newest_part(l, v->part, v->parts))
            open += v->damaged;
        if (v->parts == 1)
            break;
    }
    return open;
}

uint32_t verified_due(const struct verified_list *l, uint32_t parts)
{
    uint32_t due = 1;
    int64_t oldest = INT64_MAX;

    for (uint32_t part = 1; part <= parts; part++) {
        const struct verified *v = newest_part(l, part, parts);

        if (v == NULL)
            return part;
        if (v->end < oldest) {
            oldest = v->end;
            due = part;
        }
    }
    return due;
}

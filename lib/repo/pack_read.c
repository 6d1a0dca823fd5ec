#include "repo/pack_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* A birth pack inside a compacted one, shown as the file it was, without its body. */
struct view {
    const struct object_source *file;
    uint64_t at; /* of its frames, in the file */
    uint32_t head_len;
    uint32_t tail_len;
    uint64_t size;
};

/* Copies the part of [from, from + n), found at `at` in the file, that a read asks for. */
static int view_part(const struct view *v, uint64_t from, uint64_t n, uint64_t at, uint64_t want,
                     uint8_t *buf, size_t len, struct err *e)
{
    uint64_t start = from > want ? from : want;
    uint64_t end = from + n < want + len ? from + n : want + len;

    if (start >= end)
        return 0;
    return v->file->read(v->file->arg, at + (start - from), buf + (start - want),
                         (size_t)(end - start), e);
}

static int view_read(void *arg, uint64_t at, void *buf, size_t len, struct err *e)
{
    const struct view *v = arg;

    memset(buf, 0, len);
    if (view_part(v, 0, v->head_len, v->at, at, buf, len, e) != 0)
        return -1;
    return view_part(v, v->size - v->tail_len, v->tail_len, v->at + v->head_len, at, buf, len, e);
}

static int unlock(struct pack *p, const struct repo *repo, unsigned need, struct object_reader *r,
                  struct err *e)
{
    if (!r->head.sealed || need == PACK_RAW)
        return 0;
    if (repo->has_secret && (need & PACK_DATA) != 0) {
        if (object_unlock(r, &repo->secret, e) != 0)
            return -1;
        secret_entry_key(p->key, r->content.key);
    }
    if ((need & PACK_DATA) != 0 && !r->has_content) {
        (void)err_set(e, ERR_KEY, "it is sealed, and no secret key is here");
        return err_hint(e, "Set secret_key to the recovery key.");
    }
    if ((need & PACK_META) == 0 || r->has_metadata)
        return 0;
    if (repo->has_host)
        return object_unlock_metadata(r, &repo->host, e);
    return repo->has_secret ? object_unlock(r, &repo->secret, e) : 0; /* reading them says it */
}

/* Takes over what an open object says. */
static int take(struct pack *p, const struct pack_set *set, unsigned need, struct object_reader *r,
                struct err *e)
{
    if (r->head.codec != CODEC_PACK)
        return err_set(e, ERR_DAMAGED, "pack is damaged: another codec than a pack has");
    p->sealed = r->head.sealed;
    p->system_id = r->head.system_id;
    p->keys = r->keys;
    if (pack_table_read(&p->table, r->tail.public_part, r->tail.public_len, p->sealed, e) != 0 ||
        unlock(p, set->repo, need, r, e) != 0)
        return -1;
    if (p->table.body != r->tail.body_size)
        return err_set(e, ERR_DAMAGED, "pack is damaged: its table does not cover its body");
    p->head_len = (uint32_t)r->body_at;
    p->tail_len = (uint32_t)(r->source->size - r->body_at - r->tail.body_size);
    p->size = r->source->size;
    if ((need & PACK_META) == 0)
        return 0;
    if (object_metadata(r, &p->metadata, &p->metadata_len, e) != 0)
        return -1;
    return pack_facts_find(p->metadata, p->metadata_len, p->table.pages, &p->facts, e);
}

static int open_direct(struct pack *p, const struct pack_set *set, unsigned need,
                       struct object_reader *scratch, struct err *e)
{
    char name[PACK_NAME_MAX];
    struct object_want want = {
        .kind = KIND_PACK, .name = name, .system_id = set->repo->where.system_id};
    int rc;

    pack_name(name, p->id, false);
    if (object_open(scratch, &p->file.source, &set->repo->trust, &want, e) != 0)
        return -1;
    rc = take(p, set, need, scratch, e);
    object_close(scratch);
    p->body_at = p->head_len;
    p->tail_at = p->size - p->tail_len;
    return rc == 0 ? 0 : err_context(e, "\"%s\"", p->file.shown);
}

/* What a plain file brings along is as genuine as the file, and that was judged when the set was
 * loaded (FORMAT.md section 6: by the digest of the whole). */
static enum trust_covered with_its_file(const void *arg, const struct frame_head *head,
                                        uint8_t digest[SECRET_KEY])
{
    (void)arg, (void)head, (void)digest;
    return TRUST_COVERED;
}

static int open_moved(struct pack *p, const struct pack_set *set, const struct pack_place *place,
                      unsigned need, struct object_reader *scratch, struct err *e)
{
    const struct pack_source *s = &place->source;
    const struct pack_holder *h = &set->holders.v[place->holder];
    struct view view = {&p->file.source, h->body_at + s->at, s->head_len, s->tail_len, s->size};
    struct object_source source = {view_read, &view, s->size, p->file.shown};
    char name[PACK_NAME_MAX];
    struct object_want want = {
        .kind = KIND_PACK, .name = name, .system_id = set->repo->where.system_id};
    struct trust trust = set->repo->trust;
    int rc;

    if (h->plain)
        trust.covers = with_its_file;
    pack_name(name, p->id, false);
    if (object_open(scratch, &source, &trust, &want, e) != 0)
        return -1;
    rc = take(p, set, need, scratch, e);
    object_close(scratch);
    if (rc == 0 && (p->head_len != s->head_len || p->tail_len != s->tail_len))
        rc = err_set(e, ERR_DAMAGED, "pack is damaged: frames of a source");
    p->body_at = h->body_at;
    p->head_at = view.at;
    p->tail_at = view.at + s->head_len;
    if (rc == 0)
        rc = pack_table_move(&p->table, s, e);
    return rc == 0 ? 0 : err_context(e, "\"%s\"", p->file.shown);
}

int pack_open_at(struct pack **out, const struct pack_set *set, const uint8_t id[PACK_ID],
                 const struct pack_place *place, unsigned need, struct object_reader *scratch,
                 struct err *e)
{
    struct pack *p = calloc(1, sizeof *p);
    char text[PACK_NAME_MAX];
    struct store_name name = {.kind = KIND_PACK, .name = text};
    int rc;

    *out = NULL;
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a pack");
    memcpy(p->id, id, PACK_ID);
    p->file.fd = -1;
    pack_name(text, place != NULL ? set->holders.v[place->holder].id : id, place != NULL);
    rc = store_get(&set->repo->store, &set->repo->where, &name, &p->file, e);
    if (rc > 0)
        rc = err_set(e, ERR_HOLE, "pack \"%s\" is missing", text);
    else if (rc == 0)
        rc = place == NULL ? open_direct(p, set, need, scratch, e)
                           : open_moved(p, set, place, need, scratch, e);
    if (rc == 0) {
        *out = p;
        return 0;
    }
    pack_close(p);
    return -1;
}

int pack_open(struct pack **p, const struct pack_set *set, const uint8_t id[PACK_ID], unsigned need,
              struct object_reader *scratch, struct err *e)
{
    size_t n;
    const struct pack_place *places = pack_set_places(set, id, &n);
    struct err first = {0};
    char name[PACK_NAME_MAX];

    if (pack_set_direct(set, id) != NULL &&
        pack_open_at(p, set, id, NULL, need, scratch, &first) == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct err next = {0};

        if (set->holders.v[places[i].holder].excluded)
            continue;
        if (pack_open_at(p, set, id, &places[i], need, scratch, &next) == 0)
            return 0;
        if (first.code == ERR_NONE)
            first = next;
    }
    if (first.code != ERR_NONE) {
        (void)err_set(e, first.code, "%s", first.msg);
        return first.hint[0] != '\0' ? err_hint(e, "%s", first.hint) : -1;
    }
    pack_name(name, id, false);
    return err_set(e, ERR_HOLE, "pack \"%s\" is missing, and no compacted pack holds it", name);
}

void pack_close(struct pack *p)
{
    if (p == NULL)
        return;
    store_release(&p->file);
    pack_table_fini(&p->table);
    free(p->metadata);
    secret_wipe(p->key, sizeof p->key);
    free(p);
}

int pack_read_raw(const struct pack *p, uint32_t ordinal, uint8_t *out, struct err *e)
{
    const struct pack_row *row = &p->table.row[ordinal];

    if (!pack_has(p, ordinal))
        return err_set(e, ERR_HOLE, "\"%s\" does not hold entry %u", p->file.shown,
                       (unsigned)ordinal);
    if (p->file.source.read(p->file.source.arg, p->body_at + row->at, out, row->len, e) != 0)
        return -1;
    if (crc32c_extend(0, out, row->len) != row->crc)
        return err_set(e, ERR_DAMAGED, "\"%s\": checksum of entry %u does not match", p->file.shown,
                       (unsigned)ordinal);
    return 0;
}

int pack_read(const struct pack *p, uint32_t ordinal, struct pack_scratch *scratch,
              uint8_t out[PAGES_ENTRY_BYTES], struct err *e)
{
    const struct pack_row *row = &p->table.row[ordinal];
    struct secret_entry at = {p->system_id, p->id, ordinal, row->plain_len};
    bool packed = row->codec == PACK_LZ4;
    uint8_t *stored = p->sealed || packed ? scratch->stored : out;
    const uint8_t *bytes = stored;
    size_t len = row->len;

    if (pack_read_raw(p, ordinal, stored, e) != 0)
        return -1;
    if (p->sealed) {
        uint8_t *opened = packed ? scratch->opened : out;

        if (secret_entry_open(opened, stored, len, p->key, &at, e) != 0)
            return err_context(e, "\"%s\": entry %u", p->file.shown, (unsigned)ordinal);
        bytes = opened;
        len -= SECRET_PART_EXTRA;
    }
    if (packed && !lz4_block_expand(bytes, len, out, row->plain_len))
        return err_set(e, ERR_DAMAGED, "\"%s\": entry %u does not expand", p->file.shown,
                       (unsigned)ordinal);
    return 0;
}

/* Are the pages of an entry what was noted of them? */
static int check_pages(const struct pack *p, const struct pages_judge *judge,
                       const struct pack_row *row, const uint8_t *bytes, struct err *e)
{
    for (uint32_t i = 0; i < pack_row_pages(row); i++) {
        size_t at = (size_t)i * PAGES_SIZE;
        size_t len = row->plain_len - at < PAGES_SIZE ? row->plain_len - at : (size_t)PAGES_SIZE;
        struct pages_facts want = pack_facts_get(p->facts, row->page + i);
        struct pages_facts found = pages_judge_page(judge, bytes + at, len);

        if (found.hash != want.hash || found.crc != want.crc)
            return err_set(e, ERR_DAMAGED, "\"%s\": a page is not what it was when it was stored",
                           p->file.shown);
    }
    return 0;
}

int pack_check(const struct pack *p, const struct pages_judge *judge, bool content,
               struct pack_scratch *scratch, pack_bad_fn bad, void *arg, uint64_t *bytes,
               struct err *e)
{
    uint8_t *plain = malloc(PAGES_ENTRY_BYTES);
    int rc = 0;

    if (plain == NULL)
        return err_set(e, ERR_NOMEM, "no memory to check a pack");
    for (uint32_t i = 0; rc == 0 && i < p->table.count; i++) {
        struct err why = {0};
        int found;

        if (!pack_has(p, i))
            continue;
        found = content ? pack_read(p, i, scratch, plain, &why)
                        : pack_read_raw(p, i, scratch->stored, &why);
        if (found == 0 && content && p->facts != NULL && judge != NULL)
            found = check_pages(p, judge, &p->table.row[i], plain, &why);
        *bytes += p->table.row[i].len;
        if (found != 0)
            rc = bad(arg, p, i, &why, e);
    }
    free(plain);
    return rc;
}

/* --- a file by itself --- */

struct proof {
    const struct object_source *file;
    const struct trust *trust;
    uint64_t system_id;
    struct object_reader *scratch;
    uint8_t *stored; /* PAGES_ENTRY_BYTES + SECRET_PART_EXTRA */
};

static int prove_rows(const struct proof *f, const struct pack_table *t, uint64_t body_at,
                      struct err *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct pack_row *row = &t->row[i];

        if (row->at == PACK_ELSEWHERE)
            continue;
        if (f->file->read(f->file->arg, body_at + row->at, f->stored, row->len, e) != 0)
            return -1;
        if (crc32c_extend(0, f->stored, row->len) != row->crc)
            return err_set(e, ERR_DAMAGED, "\"%s\": checksum of entry %u does not match",
                           f->file->name, (unsigned)i);
    }
    return 0;
}

static int prove_source(const struct proof *f, uint64_t body_at, bool plain,
                        const struct pack_source *s, struct err *e)
{
    struct view view = {f->file, body_at + s->at, s->head_len, s->tail_len, s->size};
    struct object_source source = {view_read, &view, s->size, f->file->name};
    char name[PACK_NAME_MAX];
    struct object_want want = {.kind = KIND_PACK, .name = name, .system_id = f->system_id};
    struct pack_table t = {.row = NULL};
    struct trust trust = *f->trust;
    int rc;

    if (plain)
        trust.covers = with_its_file;
    pack_name(name, s->id, false);
    if (object_open(f->scratch, &source, &trust, &want, e) != 0)
        return -1;
    rc = pack_table_read(&t, f->scratch->tail.public_part, f->scratch->tail.public_len,
                         f->scratch->head.sealed, e);
    object_close(f->scratch);
    if (rc == 0)
        rc = pack_table_move(&t, s, e);
    if (rc == 0)
        rc = prove_rows(f, &t, body_at, e);
    pack_table_fini(&t);
    return rc;
}

static int prove_moved(const struct proof *f, uint64_t body_at, bool plain, const struct buf *part,
                       struct err *e)
{
    struct cur c = cur_of(part->p, part->len);
    struct pack_source s;
    uint32_t generation;
    int rc;

    while ((rc = pack_source_next(&c, &s, &generation, e)) == 0)
        if (prove_source(f, body_at, plain, &s, e) != 0)
            return -1;
    return rc < 0 ? -1 : 0;
}

static int prove_file(const struct proof *f, const struct object_want *want, bool compacted,
                      struct err *e)
{
    struct object_reader *r = f->scratch;
    struct pack_table t = {.row = NULL};
    struct buf part;
    uint64_t body_at;
    bool plain;
    int rc;

    if (object_open(r, f->file, f->trust, want, e) != 0)
        return -1;
    buf_init(&part, PACK_PART_MAX);
    body_at = r->body_at;
    plain = !r->head.sealed;
    rc = compacted ? buf_add(&part, r->tail.public_part, r->tail.public_len, e)
                   : pack_table_read(&t, r->tail.public_part, r->tail.public_len, !plain, e);
    if (rc == 0 && !compacted && t.body != r->tail.body_size)
        rc = err_set(e, ERR_DAMAGED, "pack is damaged: its table does not cover its body");
    object_close(r);
    if (rc == 0)
        rc = compacted ? prove_moved(f, body_at, plain, &part, e) : prove_rows(f, &t, body_at, e);
    pack_table_fini(&t);
    buf_fini(&part);
    return rc;
}

int pack_prove(const struct object_source *file, const char *name, uint64_t system_id,
               const struct trust *trust, struct object_reader *scratch, struct err *e)
{
    const struct object_want want = {.kind = KIND_PACK, .name = name, .system_id = system_id};
    struct proof f = {file, trust, system_id, scratch, NULL};
    uint8_t id[PACK_ID];
    bool compacted;
    int rc;

    if (!pack_name_read(name, id, &compacted))
        return err_set(e, ERR_DAMAGED, "\"%s\" is no pack's name", name);
    f.stored = malloc(PAGES_ENTRY_BYTES + SECRET_PART_EXTRA);
    if (f.stored == NULL)
        return err_set(e, ERR_NOMEM, "no memory to check a pack");
    rc = prove_file(&f, &want, compacted, e);
    free(f.stored);
    return rc;
}

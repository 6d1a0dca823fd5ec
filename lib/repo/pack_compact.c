#include "repo/pack_compact.h"

#include <stdlib.h>
#include <string.h>

#include "repo/pack_read.h"

enum { TAG_GENERATION = 82, COPY = 256 * 1024 };

/* A birth pack whose needed entries go into the new file. */
struct pick {
    uint8_t id[PACK_ID];
    const struct pack_place *place; /* NULL: from its own file */
};

VEC_DECLARE(picks, struct pick);

struct job {
    const struct pack_use *use;
    const struct pack_set *set;
    struct object_reader *scratch;
    struct pack_compacted *done;
    struct picks picks;
    uint64_t body_max;
    uint64_t body; /* bytes of the new body so far (picking: planned) */
    uint64_t plain;
    uint32_t generation;
    struct store_put *put;
    struct buf public;
    uint8_t bytes[COPY];
};

static bool is_live(const struct pack *p, uint32_t ordinal, const struct manifest_bits *used)
{
    const struct pack_row *row = &p->table.row[ordinal];

    return used != NULL && manifest_bits_any(used, row->page, pack_row_pages(row));
}

/* Does a file of this set hold the birth pack's needed entries whole, and how many bytes are they?
 * 1: yes; 0: not, or one is damaged. */
static int measure(struct job *job, const struct pack *p, uint64_t *live, bool *damaged)
{
    const struct manifest_bits *used = pack_use_of(job->use, p->id);
    struct err why = {0};

    *live = (uint64_t)p->head_len + p->tail_len;
    for (uint32_t i = 0; i < p->table.count; i++) {
        if (!is_live(p, i, used))
            continue;
        if (!pack_has(p, i))
            return 0;
        if (pack_read_raw(p, i, job->bytes, &why) != 0) {
            *damaged = true;
            return 0;
        }
        *live += p->table.row[i].len;
    }
    return 1;
}

/* Notes the highest generation of all files that hold a pack; the new file must be above it. */
static void rise_above(struct job *job, const uint8_t id[PACK_ID])
{
    size_t n;
    const struct pack_place *places = pack_set_places(job->set, id, &n);

    for (size_t i = 0; i < n; i++) {
        const struct pack_holder *h = &job->set->holders.v[places[i].holder];

        if (h->generation >= job->generation)
            job->generation = h->generation + 1;
    }
}

static int pick_birth(struct job *job, const uint8_t id[PACK_ID], const struct pack_place *place,
                      struct err *e)
{
    struct pack *p = NULL;
    struct err why = {0};
    struct pick pick = {.place = place};
    bool damaged = false;
    uint64_t live = 0;
    int rc = 0;

    if (pack_use_of(job->use, id) == NULL)
        return 0;
    for (size_t i = 0; i < job->picks.n; i++)
        if (memcmp(job->picks.v[i].id, id, PACK_ID) == 0)
            return 0;
    if (pack_open_at(&p, job->set, id, place, PACK_RAW, job->scratch, &why) != 0)
        return 0;
    /* A plain pack in a sealed repository is trusted as a whole file only. */
    if ((p->sealed || repo_seal(job->set->repo) == NULL) && measure(job, p, &live, &damaged) == 1 &&
        job->body + live <= job->body_max) {
        memcpy(pick.id, id, PACK_ID);
        rc = picks_push(&job->picks, pick, e);
        job->body += live;
        rise_above(job, id);
    }
    job->done->damaged += damaged ? 1 : 0;
    pack_close(p);
    return rc;
}

/* Chooses among the files of the set. */
static int choose(struct job *job, unsigned below, struct err *e)
{
    const struct pack_set *set = job->set;

    for (uint32_t h = 0; h < set->holders.n; h++) {
        struct pack_worth worth;
        uint64_t before = job->body;

        if (set->holders.v[h].excluded)
            continue;
        if (pack_use_judge(job->use, set, h, &worth, job->scratch, e) != 0)
            return -1;
        if (worth.unknown || worth.needed == 0 || worth.needed * 100 >= worth.size * below)
            continue;
        if (!set->holders.v[h].compacted) {
            if (pick_birth(job, set->holders.v[h].id, NULL, e) != 0)
                return -1;
        } else {
            for (size_t i = 0; i < set->places.n; i++)
                if (set->places.v[i].holder == h &&
                    pick_birth(job, set->places.v[i].source.id, &set->places.v[i], e) != 0)
                    return -1;
        }
        if (job->body > before)
            job->done->freed += worth.size;
    }
    return 0;
}

/* Copies a stretch of the source's file into the new body. */
static int copy(struct job *job, const struct pack *p, uint64_t at, uint64_t len, struct err *e)
{
    while (len > 0) {
        size_t take = len < sizeof job->bytes ? (size_t)len : sizeof job->bytes;

        if (p->file.source.read(p->file.source.arg, at, job->bytes, take, e) != 0 ||
            sink_write(&job->put->sink, job->bytes, take, e) != 0)
            return -1;
        at += take;
        len -= take;
        job->body += take;
    }
    return 0;
}

static int copy_entries(struct job *job, const struct pack *p, struct buf *taken, struct err *e)
{
    const struct manifest_bits *used = pack_use_of(job->use, p->id);
    uint32_t pos = 0;

    for (uint32_t i = 0; i < p->table.count; i++) {
        uint32_t first = i;

        for (; i < p->table.count && is_live(p, i, used); i++) {
            const struct pack_row *row = &p->table.row[i];

            if (pack_read_raw(p, i, job->bytes, e) != 0 ||
                sink_write(&job->put->sink, job->bytes, row->len, e) != 0)
                return -1;
            job->body += row->len;
            job->plain += row->plain_len;
        }
        if (i == first)
            continue;
        if (buf_varint(taken, first - pos, e) != 0 || buf_varint(taken, i - first, e) != 0)
            return -1;
        pos = i;
    }
    return 0;
}

static int copy_pick(struct job *job, const struct pick *pick, struct err *e)
{
    struct pack_source source = {.at = job->body};
    struct pack *p = NULL;
    struct buf taken;
    int rc = -1;

    buf_init(&taken, PACK_PART_MAX);
    if (pack_open_at(&p, job->set, pick->id, pick->place, PACK_RAW, job->scratch, e) != 0)
        goto out;
    memcpy(source.id, p->id, PACK_ID);
    source.head_len = p->head_len;
    source.tail_len = p->tail_len;
    source.size = p->size;
    if (copy(job, p, p->head_at, p->head_len, e) != 0 ||
        copy(job, p, p->tail_at, p->tail_len, e) != 0 || copy_entries(job, p, &taken, e) != 0)
        goto out;
    source.taken = cur_of(taken.p, taken.len);
    rc = pack_source_add(&job->public, &source, e);
out:
    buf_fini(&taken);
    pack_close(p);
    return rc;
}

static int write_all(struct job *job, struct err *e)
{
    struct repo *repo = job->set->repo;
    const struct object_seal *with = repo_seal(repo);
    struct frame_head head = {
        .kind = KIND_PACK, .codec = CODEC_PACK, .system_id = repo->where.system_id};
    struct store_name name = {.kind = KIND_PACK, .name = head.name};
    struct frame_tail tail = {0};
    struct object_parts parts = {0};
    struct secret_content content;
    struct frame_keys keys;
    uint8_t frame[FRAME_HEAD_MAX + FRAME_KEYS_MAX];
    uint8_t digest[DIGEST_STRONG];
    uint8_t id[PACK_ID];
    size_t len;
    int rc = -1;

    secret_random(id, sizeof id);
    pack_name(head.name, id, true);
    repo_fill_head(repo, &head);
    head.sealed = with != NULL;
    if (with != NULL && object_seal_head(&content, with, &head, &keys, e) != 0)
        return -1;
    len = frame_head_encode(&head, frame);
    digest_strong(digest, frame + 8, len - 8);
    if (with != NULL)
        len += frame_keys_encode(&keys, frame + len);
    if (store_put_begin(&repo->writer, &repo->where, &name, job->put, e) != 0 ||
        sink_write(&job->put->sink, frame, len, e) != 0)
        goto out;
    for (size_t i = 0; i < job->picks.n; i++)
        if (copy_pick(job, &job->picks.v[i], e) != 0)
            goto out;
    tail.body_size = job->body;
    tail.plain_size = tail.kept_size = job->plain;
    parts.public_part = job->public.p;
    parts.public_len = job->public.len;
    if (object_write_tail(&tail, &parts, with, &content, digest, &job->put->sink, e) != 0)
        goto out;
    /* A crash before this leaves nothing, one behind it two copies of the same entries. */
    rc = store_put_commit(job->put, e);
    if (rc > 0)
        rc = err_set(e, ERR_INTERNAL, "\"%s\" exists already", job->put->shown);
    job->done->bytes = job->put->total;
out:
    secret_wipe(&content, sizeof content);
    store_put_abort(job->put);
    return rc;
}

static int write_generation(struct job *job, struct err *e)
{
    struct buf item;
    int rc = -1;

    buf_init(&item, VARINT_MAX);
    if (buf_varint(&item, job->generation, e) == 0)
        rc = pack_item(&job->public, TAG_GENERATION, &item, e);
    buf_fini(&item);
    return rc;
}

int pack_compact(struct pack_compacted *done, const struct pack_use *u, const struct pack_set *set,
                 unsigned below, uint64_t body_max, struct object_reader *scratch, struct err *e)
{
    struct job *job = calloc(1, sizeof *job);
    int rc = -1;

    memset(done, 0, sizeof *done);
    if (job == NULL || (job->put = calloc(1, sizeof *job->put)) == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to compact packs");
        goto out;
    }
    job->use = u;
    job->set = set;
    job->scratch = scratch;
    job->done = done;
    job->generation = 1;
    job->body_max = body_max < PACK_BODY_MAX ? body_max : (uint64_t)PACK_BODY_MAX;
    picks_init(&job->picks, PACK_HOLDERS_MAX);
    buf_init(&job->public, PACK_PART_MAX);
    if (choose(job, below, e) != 0)
        goto out;
    rc = 0;
    done->sources = (unsigned)job->picks.n;
    job->body = 0;
    if (done->sources > 0)
        rc = write_generation(job, e) == 0 ? write_all(job, e) : -1;
out:
    if (job != NULL) {
        picks_fini(&job->picks);
        buf_fini(&job->public);
        free(job->put);
    }
    free(job);
    return rc;
}

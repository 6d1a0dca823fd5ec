#include "repo/manifest_read.h"

#include <stdlib.h>
#include <string.h>

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "backup manifest is damaged: %s", what);
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The rest of c as a string of at most PAGES_PATH_MAX bytes, in place: a record's buffer has one
 * byte more than any record. */
static const char *rest_as_text(struct cur *c)
{
    const char *text = (const char *)c->p;

    if (c->left > PAGES_PATH_MAX || memchr(c->p, '\0', c->left) != NULL)
        return NULL;
    c->left = 0;
    return text;
}

static int take_pack(struct manifest_reader *m, struct cur *c, struct err *e)
{
    const uint8_t *id;

    if (!cur_bytes(c, PACK_ID, &id) || c->left != 0)
        return damaged(e, "impossible pack");
    if (manifest_nexts_push(&m->next, 0, e) != 0)
        return -1;
    return m->events->pack == NULL ? 0 : m->events->pack(m->arg, (uint32_t)m->next.n, id, e);
}

static int take_tablespace(struct manifest_reader *m, struct cur *c, struct err *e)
{
    uint32_t oid;
    const char *path;

    if (!cur_u32(c, &oid) || (path = rest_as_text(c)) == NULL)
        return damaged(e, "impossible tablespace");
    return m->events->tablespace == NULL ? 0 : m->events->tablespace(m->arg, oid, path, e);
}

static int take_dir(struct manifest_reader *m, struct cur *c, struct err *e)
{
    uint64_t mode;
    const char *path;

    if (!cur_varint(c, &mode) || mode > 07777 || (path = rest_as_text(c)) == NULL ||
        !manifest_path_ok(path, 0))
        return damaged(e, "impossible directory");
    return m->events->dir == NULL ? 0 : m->events->dir(m->arg, (uint32_t)mode, path, e);
}

static int take_link(struct manifest_reader *m, struct cur *c, struct err *e)
{
    const uint8_t *zero = memchr(c->p, '\0', c->left);
    const char *path = (const char *)c->p;
    const uint8_t *skipped;
    const char *target;

    if (zero == NULL || !cur_bytes(c, (size_t)(zero - c->p) + 1, &skipped) ||
        !manifest_path_ok(path, 0) || (target = rest_as_text(c)) == NULL)
        return damaged(e, "impossible link");
    return m->events->link == NULL ? 0 : m->events->link(m->arg, path, target, e);
}

static int take_file(struct manifest_reader *m, struct cur *c, struct err *e)
{
    uint64_t flags;
    uint64_t mode;
    uint64_t mtime;
    const char *path;

    if (!cur_varint(c, &flags) || flags > (MANIFEST_WAL | MANIFEST_OUTSIDE) ||
        !cur_varint(c, &mode) || mode > 07777 || !cur_varint(c, &mtime) ||
        (path = rest_as_text(c)) == NULL || !manifest_path_ok(path, (unsigned)flags))
        return damaged(e, "impossible file");
    memcpy(m->path, path, strlen(path) + 1);
    m->file = (struct manifest_file){.path = m->path,
                                     .flags = (unsigned)flags,
                                     .mode = (uint32_t)mode,
                                     .mtime = unzigzag(mtime)};
    m->in_file = true;
    m->pages = 0;
    return m->events->file == NULL ? 0 : m->events->file(m->arg, &m->file, e);
}

static int take_runs(struct manifest_reader *m, struct cur *c, struct err *e)
{
    while (c->left > 0) {
        struct pages_run run = {0};
        uint64_t pack;
        uint64_t delta = 0;
        uint64_t count;

        if (!cur_varint(c, &pack) || pack > m->next.n || (pack > 0 && !cur_varint(c, &delta)) ||
            !cur_varint(c, &count) || count < 1 || count > UINT32_MAX)
            return damaged(e, "impossible run");
        if (delta > 4 * (uint64_t)PACK_PAGES_MAX)
            return damaged(e, "a run lies beyond its pack");
        if (pack > 0) {
            int64_t page = (int64_t)m->next.v[pack - 1] + unzigzag(delta);

            if (page < 0 || (uint64_t)page + count > PACK_PAGES_MAX)
                return damaged(e, "a run lies beyond its pack");
            run.page = (uint32_t)page;
            m->next.v[pack - 1] = (uint32_t)((uint64_t)page + count);
        }
        run.pack = (uint32_t)pack;
        run.count = (uint32_t)count;
        m->pages += count;
        if (m->events->run != NULL && m->events->run(m->arg, &run, e) != 0)
            return -1;
    }
    return 0;
}

static int take_file_end(struct manifest_reader *m, struct cur *c, struct err *e)
{
    struct manifest_file *f = &m->file;

    if (!cur_varint(c, &f->size) || !cur_u32(c, &f->crc) || !cur_varint(c, &f->spread))
        return damaged(e, "impossible end of a file");
    if (take_runs(m, c, e) != 0)
        return -1;
    if (m->pages != f->size / PAGES_SIZE + (f->size % PAGES_SIZE != 0))
        return damaged(e, "a file's runs do not add up to its size");
    m->in_file = false;
    m->files++;
    return m->events->file_end == NULL ? 0 : m->events->file_end(m->arg, f, e);
}

static int take_end(struct manifest_reader *m, struct cur *c, struct err *e)
{
    uint64_t files;
    uint8_t one;

    if (!cur_varint(c, &files) || !cur_u8(c, &one) || one != 1 || c->left != 0 || files != m->files)
        return damaged(e, "its files are not as many as it says");
    m->ended = true;
    return 0;
}

static int take_record(struct manifest_reader *m, uint8_t type, struct cur *c, struct err *e)
{
    if (m->ended)
        return damaged(e, "it goes on after its end");
    if (m->in_file && type != MANIFEST_RUNS && type != MANIFEST_FILE_END && type != MANIFEST_PACK)
        return damaged(e, "a file does not end");
    if (!m->in_file && (type == MANIFEST_RUNS || type == MANIFEST_FILE_END))
        return damaged(e, "runs without a file");
    switch (type) {
    case MANIFEST_PACK:
        return take_pack(m, c, e);
    case MANIFEST_TABLESPACE:
        return take_tablespace(m, c, e);
    case MANIFEST_DIR:
        return take_dir(m, c, e);
    case MANIFEST_FILE:
        return take_file(m, c, e);
    case MANIFEST_LINK:
        return take_link(m, c, e);
    case MANIFEST_SERVER:
    case MANIFEST_LABEL:
    case MANIFEST_MAP:
    case MANIFEST_RELATIONS:
    case MANIFEST_COUNTS:
        return m->events->text == NULL
                   ? 0
                   : m->events->text(m->arg, (enum manifest_type)type, c->p, c->left, e);
    case MANIFEST_RUNS:
        return take_runs(m, c, e);
    case MANIFEST_FILE_END:
        return take_file_end(m, c, e);
    case MANIFEST_END:
        return take_end(m, c, e);
    default:
        return damaged(e, "a record of an unknown type");
    }
}

/* How many bytes complete the record at the start of `record`; 0 while that is not known. */
static int record_length(const struct manifest_reader *m, size_t *head, size_t *whole,
                         struct err *e)
{
    struct cur c = cur_of(m->record + 1, m->held > 0 ? m->held - 1 : 0);
    uint64_t len;
    size_t had = c.left;

    *whole = 0;
    if (!cur_varint(&c, &len))
        return m->held <= 4 ? 0 : damaged(e, "impossible length of a record");
    if (len > MANIFEST_RECORD_MAX)
        return damaged(e, "impossible length of a record");
    *head = 1 + had - c.left;
    *whole = *head + (size_t)len;
    return 0;
}

static int reader_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct manifest_reader *m = (struct manifest_reader *)s;
    size_t head = 0;
    size_t whole = 0;

    while (len > 0) {
        size_t take = 1;
        struct cur c;

        if (m->held > 0 && record_length(m, &head, &whole, e) != 0)
            return -1;
        if (whole > m->held)
            take = whole - m->held < len ? whole - m->held : len;
        memcpy(m->record + m->held, bytes, take);
        m->held += take;
        bytes += take;
        len -= take;
        if (whole == 0 && record_length(m, &head, &whole, e) != 0)
            return -1;
        if (whole == 0 || m->held < whole)
            continue;
        m->record[whole] = '\0';
        c = cur_of(m->record + head, whole - head);
        if (take_record(m, m->record[0], &c, e) != 0)
            return -1;
        m->held = 0;
        whole = 0;
    }
    return 0;
}

static int reader_finish(struct sink *s, struct err *e)
{
    const struct manifest_reader *m = (struct manifest_reader *)s;

    return m->held == 0 && m->ended ? 0 : damaged(e, "it is cut short");
}

static const struct sink_ops reader_ops = {"manifest", reader_write, reader_finish,
                                           sink_abort_next};

void manifest_reader_init(struct manifest_reader *m, const struct manifest_events *events,
                          void *arg)
{
    sink_init(&m->sink, &reader_ops, PHASE_DELIVER);
    m->events = events;
    m->arg = arg;
    manifest_nexts_init(&m->next, MANIFEST_PACKS_MAX);
    m->in_file = false;
    m->ended = false;
    m->files = 0;
    m->pages = 0;
    m->held = 0;
}

void manifest_reader_fini(struct manifest_reader *m)
{
    manifest_nexts_fini(&m->next);
}

int manifest_read(struct repo *repo, const char *label, const struct manifest_events *events,
                  void *arg, struct manifest_public *p, struct object_reader *scratch,
                  struct err *e)
{
    struct store_name name = {.kind = KIND_MANIFEST, .name = label};
    struct store_object o = {.fd = -1};
    struct manifest_reader *m;
    int rc = repo_get(repo, &name, &o, scratch, e);

    if (rc != 0)
        return rc;
    m = malloc(sizeof *m);
    if (m == NULL) {
        rc = err_set(e, ERR_NOMEM, "no memory to read a manifest");
        goto out;
    }
    manifest_reader_init(m, events, arg);
    if (p != NULL)
        rc = manifest_public_read(p, scratch->tail.public_part, scratch->tail.public_len, e);
    if (rc == 0)
        rc = object_content(scratch, &m->sink, e);
    manifest_reader_fini(m);
    free(m);
out:
    object_close(scratch);
    store_release(&o);
    return rc;
}

struct each {
    struct repo *repo;
    manifest_each_fn fn;
    void *arg;
    struct object_reader *scratch;
};

static int each_manifest(void *arg, const char *label, struct err *e)
{
    const struct each *each = arg;
    struct repo *repo = each->repo;
    struct store_name name = {.kind = KIND_MANIFEST, .name = label};
    struct object_want want = {
        .kind = KIND_MANIFEST, .name = label, .system_id = repo->where.system_id};
    struct store_object o = {.fd = -1};
    const struct frame_tail *tail = &each->scratch->tail;
    struct manifest_public p;
    struct err why = {0};
    int rc;

    if (strlen(label) > FRAME_NAME_MAX)
        return 0;
    rc = store_get(&repo->store, &repo->where, &name, &o, &why);
    if (rc > 0)
        return 0; /* removed since it was listed */
    if (rc == 0)
        rc = object_open(each->scratch, &o.source, &repo->trust, &want, &why);
    if (rc == 0) {
        if (manifest_public_read(&p, tail->public_part, tail->public_len, &why) == 0)
            rc = each->fn(each->arg, label, &p, tail->public_part, tail->public_len, NULL, e);
        else
            rc = each->fn(each->arg, label, NULL, NULL, 0, &why, e);
        object_close(each->scratch);
    } else {
        rc = each->fn(each->arg, label, NULL, NULL, 0, &why, e);
    }
    store_release(&o);
    return rc;
}

int manifest_each(struct repo *repo, manifest_each_fn fn, void *arg, struct object_reader *scratch,
                  struct err *e)
{
    struct each each = {repo, fn, arg, scratch};

    return store_each_object(&repo->store, &repo->where, KIND_MANIFEST, each_manifest, &each, e);
}

#include "repo/dump_put.h"

#include <stdio.h>
#include <string.h>

#include "os/time.h"

int dump_put_begin(struct dump_put *p, struct repo *repo, const char *job,
                   const struct dump_list *existing, bool compress, struct err *e)
{
    struct frame_head head = {.kind = KIND_DUMP};
    struct store_name name = {.kind = KIND_DUMP, .name = p->label, .job = job};

    memset(p, 0, sizeof *p);
    p->repo = repo;
    p->job = job;
    p->public.start = os_real_us();
    p->public.level = DUMP_LEVEL_WHOLE;
    dump_meta_init(&p->meta);
    dump_label(p->label, p->public.start, dump_list_counter(existing) + 1);
    (void)snprintf(head.name, sizeof head.name, "%.64s", p->label);
    repo_fill_head(repo, &head);
    repo_place(repo, &name, head.place);
    head.system_id = 0; /* dumps outlive the lineage */
    if (store_sweep_dumps(&repo->writer, &repo->where, job, e) != 0 ||
        store_put_begin(&repo->writer, &repo->where, &name, &p->put, e) != 0)
        return -1;
    digest_init_strong(&p->whole, PHASE_STORED);
    if (sink_link(&p->whole.sink, &p->put.sink, e) != 0)
        return -1;
    return object_writer_begin(&p->object, &head, compress, repo_seal(repo), &p->whole.sink, e);
}

int dump_put_stream(struct dump_put *p, enum dump_kind kind, const char *name, struct err *e)
{
    if (dump_meta_stream(&p->meta, kind, name, e) != 0)
        return -1;
    p->meta.streams.v[p->meta.streams.n - 1].offset = p->public.bytes;
    dump_check_init(&p->check);
    p->in_stream = true;
    return 0;
}

int dump_put_write(struct dump_put *p, const uint8_t *bytes, size_t len, struct err *e)
{
    p->public.bytes += len;
    if (sink_write(&p->check.sink, bytes, len, e) != 0)
        return -1;
    return object_writer_write(&p->object, bytes, len, e);
}

static int note_tables(struct dump_put *p, struct err *e)
{
    const struct dumpfile *f = &p->check.file;

    for (size_t i = 0; i < f->entries.n; i++) {
        const struct dumpfile_entry *en = &f->entries.v[i];

        if (!en->is_table)
            continue;
        if (dump_meta_table(&p->meta, dumpfile_name(f, en->schema), dumpfile_name(f, en->name),
                            en->rows, en->bytes, e) != 0)
            return -1;
        p->public.tables++;
        if (en->rows != DUMPFILE_NO_ROWS)
            p->public.rows += en->rows;
    }
    return 0;
}

int dump_put_stream_end(struct dump_put *p, struct err *e)
{
    struct dump_stream *s = &p->meta.streams.v[p->meta.streams.n - 1];
    enum dump_level level = dump_check_level(&p->check);
    int rc = sink_finish(&p->check.sink, e);

    s->size = p->public.bytes - s->offset;
    s->format = (uint8_t)p->check.file.format;
    s->codec = (uint8_t)p->check.file.codec;
    s->level = (uint8_t)level;
    if (rc == 0 && s->kind == DUMP_DATABASE) {
        p->public.databases++;
        p->public.format = s->format;
        p->public.codec = s->codec;
        rc = note_tables(p, e);
    } else if (rc == 0) {
        p->public.globals = true;
    }
    if (level < p->public.level)
        p->public.level = (uint8_t)level;
    dump_check_fini(&p->check);
    p->in_stream = false;
    return rc;
}

int dump_put_finish(struct dump_put *p, struct err *e)
{
    struct object_parts parts = {0};
    struct buf public_part;
    struct buf metadata;
    int rc = -1;

    buf_init(&public_part, 64 * 1024);
    buf_init(&metadata, DUMP_PART_MAX);
    p->public.stop = os_real_us();
    if (dump_public_write(&public_part, &p->public, e) != 0 ||
        dump_meta_write(&metadata, &p->meta, e) != 0)
        goto out;
    parts.public_part = public_part.p;
    parts.public_len = public_part.len;
    parts.metadata_part = metadata.p;
    parts.metadata_len = metadata.len;
    if (object_writer_finish(&p->object, &parts, e) != 0 || repo_still_plain(p->repo, e) != 0)
        goto out;
    p->stored = p->put.total;
    digest_get_strong(&p->whole, p->seen.digest);
    memcpy(p->seen.writer, p->public.head.writer, sizeof p->seen.writer);
    p->seen.sequence = p->public.head.sequence;
    rc = store_put_commit(&p->put, e);
    if (rc > 0)
        rc = err_set(e, ERR_REFUSED, "\"%s\" exists already", p->put.shown);
out:
    buf_fini(&public_part);
    buf_fini(&metadata);
    return rc;
}

void dump_put_fini(struct dump_put *p)
{
    if (p->in_stream)
        dump_check_fini(&p->check);
    p->in_stream = false;
    store_put_abort(&p->put);
    object_writer_wipe(&p->object);
    dump_meta_fini(&p->meta);
}

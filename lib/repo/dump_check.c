#include "repo/dump_check.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stream/inflate.h"
#include "stream/lz4.h"
#include "stream/zstd.h"

struct dump_decoder {
    struct inflate gzip;
    struct lz4_foreign lz4;
    struct zstd_shape zstd;
};

/* --- the data of one entry, in clear --- */

static struct dump_check *check_of(struct sink *counter)
{
    return (struct dump_check *)((char *)counter - offsetof(struct dump_check, counter));
}

static int counter_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct dump_check *c = check_of(s);
    size_t at;

    if (!c->copying)
        return 0;
    at = dumpfile_rows_feed(&c->rows, bytes, len);
    for (; at < len; at++)
        if (bytes[at] != '\n')
            return dumpfile_damaged(&c->file, e, "data behind the end of a COPY");
    return 0;
}

static int counter_finish(struct sink *s, struct err *e)
{
    (void)s, (void)e;
    return 0;
}

static void counter_abort(struct sink *s)
{
    (void)s; /* nothing is behind it */
}

static const struct sink_ops counter_ops = {"count", counter_write, counter_finish, counter_abort};

/* --- events of the reader --- */

static struct sink *decoder_of(struct dump_check *c)
{
    switch (c->file.codec) {
    case DUMPFILE_GZIP:
        return &c->decoder->gzip.sink;
    case DUMPFILE_LZ4:
        return &c->decoder->lz4.sink;
    case DUMPFILE_ZSTD:
        return &c->decoder->zstd.sink;
    case DUMPFILE_NONE:
        break;
    }
    return &c->counter;
}

static int begin(void *arg, struct dumpfile_entry *en, struct err *e)
{
    struct dump_check *c = arg;
    enum dumpfile_codec codec = c->file.codec;

    c->any = false;
    c->copying = en->is_copy && codec != DUMPFILE_ZSTD;
    dumpfile_rows_init(&c->rows);
    if (codec == DUMPFILE_NONE)
        return 0;
    if (c->decoder == NULL)
        c->decoder = calloc(1, sizeof *c->decoder);
    if (c->decoder == NULL)
        return err_set(e, ERR_NOMEM, "no memory to expand with");
    if (codec == DUMPFILE_GZIP)
        inflate_init(&c->decoder->gzip);
    else if (codec == DUMPFILE_LZ4)
        lz4_foreign_init(&c->decoder->lz4);
    else
        zstd_shape_init(&c->decoder->zstd);
    c->begun = true;
    return codec == DUMPFILE_ZSTD ? 0 : sink_link(decoder_of(c), &c->counter, e);
}

static int data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct dump_check *c = arg;

    c->any = true;
    return sink_write(decoder_of(c), bytes, len, e);
}

static int end(void *arg, struct dumpfile_entry *en, struct err *e)
{
    struct dump_check *c = arg;

    /* An empty large object has no frame at all. */
    if (c->begun && !c->any)
        sink_abort(decoder_of(c));
    else if (c->begun && sink_finish(decoder_of(c), e) != 0)
        return -1;
    c->begun = false;
    if (!c->copying)
        return 0;
    en->rows = c->rows.rows;
    return c->rows.ended ? 0 : dumpfile_damaged(&c->file, e, "the data of a COPY do not end");
}

static const struct dumpfile_events events = {begin, data, end};

static int in_entry(const struct dump_check *c, struct err *e)
{
    const struct dumpfile_entry *en = dumpfile_current(&c->file);

    if (en != NULL && c->file.format == DUMPFILE_CUSTOM && (c->begun || c->any))
        (void)err_context(e, "\"%.64s.%.64s\"", dumpfile_name(&c->file, en->schema),
                          dumpfile_name(&c->file, en->name));
    return -1;
}

/* --- the sink --- */

static int check_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct dump_check *c = (struct dump_check *)s;

    return dumpfile_feed(&c->file, bytes, len, e) == 0 ? 0 : in_entry(c, e);
}

static int check_finish(struct sink *s, struct err *e)
{
    return dumpfile_finish(&((struct dump_check *)s)->file, e);
}

static void check_abort(struct sink *s)
{
    (void)s; /* dump_check_fini frees */
}

static const struct sink_ops check_ops = {"check", check_write, check_finish, check_abort};

void dump_check_init(struct dump_check *c)
{
    memset(c, 0, sizeof *c);
    sink_init(&c->sink, &check_ops, PHASE_DELIVER);
    sink_init(&c->counter, &counter_ops, PHASE_CONTENT);
    dumpfile_init(&c->file, &events, c);
}

void dump_check_fini(struct dump_check *c)
{
    if (c->begun)
        sink_abort(decoder_of(c));
    c->begun = false;
    free(c->decoder);
    c->decoder = NULL;
    dumpfile_fini(&c->file);
}

enum dump_level dump_check_level(const struct dump_check *c)
{
    return c->file.codec == DUMPFILE_ZSTD ? DUMP_LEVEL_SHAPE : DUMP_LEVEL_WHOLE;
}

#include "repo/dump.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/dumpfile.h"
#include "pg/tlv.h"

enum {
    TAG_HEAD = 64,
    TAG_TAG = 70,
    TAG_STREAM = 80,
    TAG_FACT,
    TAG_TABLE,
    TAG_DUMP,
    TAG_VERSIONS,
    TAG_SCHEMA_VERSION,
    ITEM_MAX = 4096
};

enum { FLAG_GLOBALS = 1, FLAG_PASSWORDS = 2, FLAG_COUNTED = 4 };

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "dump: %s", what);
}

/* --- public --- */

static int put_item(struct buf *part, struct tlv_out *o, struct err *e)
{
    if (!tlv_end(o))
        return err_set(e, ERR_INTERNAL, "an item of a dump is too long");
    return buf_add(part, o->p, o->len, e);
}

static void put_head(struct tlv_out *o, const struct manifest_head *h)
{
    tlv_begin(o, TAG_HEAD);
    tlv_bytes(o, h->writer, sizeof h->writer);
    tlv_u64(o, h->sequence);
    tlv_bytes(o, h->previous, sizeof h->previous);
    tlv_u32(o, h->wal_timeline);
    tlv_u64(o, h->wal_lsn);
}

/* Nothing, when it is empty. */
static int put_text(struct buf *part, uint8_t tag, const char *text, struct err *e)
{
    uint8_t bytes[128];
    struct tlv_out o;

    if (*text == '\0')
        return 0;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, tag);
    tlv_bytes(&o, text, strlen(text));
    return put_item(part, &o, e);
}

int dump_public_write(struct buf *part, const struct dump_public *p, struct err *e)
{
    uint8_t bytes[256];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    put_head(&o, &p->head);
    if (put_item(part, &o, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_DUMP);
    tlv_u64(&o, (uint64_t)p->start);
    tlv_u64(&o, (uint64_t)p->stop);
    tlv_varint(&o, p->bytes);
    tlv_varint(&o, p->databases);
    tlv_varint(&o, p->tables);
    tlv_varint(&o, p->rows);
    tlv_u8(&o, p->format);
    tlv_u8(&o, p->codec);
    tlv_u8(&o, p->level);
    tlv_u8(&o, (uint8_t)((p->globals ? FLAG_GLOBALS : 0) | (p->passwords ? FLAG_PASSWORDS : 0) |
                         (p->counted ? FLAG_COUNTED : 0)));
    if (put_item(part, &o, e) != 0)
        return -1;
    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_VERSIONS);
    tlv_u32(&o, p->server_version);
    tlv_u32(&o, p->client_version);
    if (put_item(part, &o, e) != 0)
        return -1;
    return put_text(part, TAG_TAG, p->tag, e) == 0
               ? put_text(part, TAG_SCHEMA_VERSION, p->schema_version, e)
               : -1;
}

static bool read_dump(struct dump_public *p, struct cur *c)
{
    uint64_t start;
    uint64_t stop;
    uint8_t flags;

    if (!cur_u64(c, &start) || !cur_u64(c, &stop) || !cur_varint(c, &p->bytes) ||
        !tlv_get_u32(c, &p->databases) || !cur_varint(c, &p->tables) || !cur_varint(c, &p->rows) ||
        !cur_u8(c, &p->format) || !cur_u8(c, &p->codec) || !cur_u8(c, &p->level) ||
        !cur_u8(c, &flags))
        return false;
    p->start = (int64_t)start;
    p->stop = (int64_t)stop;
    p->globals = (flags & FLAG_GLOBALS) != 0;
    p->passwords = (flags & FLAG_PASSWORDS) != 0;
    p->counted = (flags & FLAG_COUNTED) != 0;
    return (p->format == DUMPFILE_CUSTOM || p->format == DUMPFILE_PLAIN) &&
           p->codec <= DUMPFILE_ZSTD;
}

static bool read_public_item(struct dump_public *p, uint8_t tag, struct cur *c)
{
    struct manifest_head *h = &p->head;
    size_t n = c->left;

    switch (tag) {
    case TAG_HEAD:
        return cur_copy(c, h->writer, sizeof h->writer) && cur_u64(c, &h->sequence) &&
               cur_copy(c, h->previous, sizeof h->previous) && cur_u32(c, &h->wal_timeline) &&
               cur_u64(c, &h->wal_lsn);
    case TAG_DUMP:
        return read_dump(p, c);
    case TAG_VERSIONS:
        return cur_u32(c, &p->server_version) && cur_u32(c, &p->client_version);
    case TAG_TAG:
        return n <= MANIFEST_TAG_MAX && memchr(c->p, '\0', n) == NULL && cur_copy(c, p->tag, n);
    case TAG_SCHEMA_VERSION:
        return n <= DUMP_VERSION_MAX && memchr(c->p, '\0', n) == NULL &&
               cur_copy(c, p->schema_version, n);
    default:
        return true;
    }
}

int dump_public_read(struct dump_public *p, const uint8_t *part, size_t len, struct err *e)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    unsigned seen = 0;
    uint8_t tag;
    int rc;

    memset(p, 0, sizeof *p);
    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (!read_public_item(p, tag, &item))
            return damaged(e, "impossible item in its public part");
        seen |= tag == TAG_HEAD ? 1U : (tag == TAG_DUMP ? 2U : (tag == TAG_VERSIONS ? 4U : 0));
    }
    if (rc < 0 || seen != 7)
        return damaged(e, "its public part is incomplete");
    return 0;
}

/* --- metadata --- */

void dump_meta_init(struct dump_meta *m)
{
    dump_streams_init(&m->streams, DUMP_STREAMS_MAX);
    dump_tables_init(&m->tables, DUMP_TABLES_MAX);
    dump_facts_init(&m->facts, DUMP_TEXTS_MAX);
    buf_init(&m->text, DUMP_PART_MAX);
}

void dump_meta_fini(struct dump_meta *m)
{
    dump_streams_fini(&m->streams);
    dump_tables_fini(&m->tables);
    dump_facts_fini(&m->facts);
    buf_fini(&m->text);
}

const char *dump_text(const struct dump_meta *m, uint32_t at)
{
    return at < m->text.len ? (const char *)m->text.p + at : "";
}

static int keep(struct dump_meta *m, const void *text, size_t n, uint32_t *at, struct err *e)
{
    *at = (uint32_t)m->text.len;
    return buf_add(&m->text, text, n, e) == 0 && buf_u8(&m->text, 0, e) == 0 ? 0 : -1;
}

int dump_meta_stream(struct dump_meta *m, enum dump_kind kind, const char *name, struct err *e)
{
    struct dump_stream *s;

    if (strlen(name) > DUMP_NAME_MAX)
        return err_set(e, ERR_REFUSED, "name \"%.80s\" is too long", name);
    s = dump_streams_add(&m->streams, e);
    if (s == NULL)
        return -1;
    s->kind = (uint8_t)kind;
    memcpy(s->name, name, strlen(name));
    return 0;
}

static uint32_t last_stream(const struct dump_meta *m)
{
    return (uint32_t)m->streams.n - 1;
}

int dump_meta_table(struct dump_meta *m, const char *schema, const char *name, uint64_t rows,
                    uint64_t bytes, struct err *e)
{
    struct dump_table *t = dump_tables_add(&m->tables, e);

    if (t == NULL)
        return -1;
    t->stream = last_stream(m);
    t->rows = rows;
    t->bytes = bytes;
    return keep(m, schema, strlen(schema), &t->schema, e) == 0 &&
                   keep(m, name, strlen(name), &t->name, e) == 0
               ? 0
               : -1;
}

int dump_meta_fact(struct dump_meta *m, const char *key, const char *value, struct err *e)
{
    struct dump_fact *f = dump_facts_add(&m->facts, e);

    if (f == NULL)
        return -1;
    f->stream = last_stream(m);
    return keep(m, key, strlen(key), &f->key, e) == 0 &&
                   keep(m, value, strlen(value), &f->value, e) == 0
               ? 0
               : -1;
}

const char *dump_fact(const struct dump_meta *m, uint32_t stream, const char *key, size_t *from)
{
    for (size_t i = from == NULL ? 0 : *from; i < m->facts.n; i++) {
        const struct dump_fact *f = &m->facts.v[i];

        if (f->stream != stream || strcmp(dump_text(m, f->key), key) != 0)
            continue;
        if (from != NULL)
            *from = i + 1;
        return dump_text(m, f->value);
    }
    return NULL;
}

static int name_streams(const struct dump_meta *m, struct err *e)
{
    char names[256] = "";
    size_t n = 0;

    for (size_t i = 0; i < m->streams.n && n + 70 < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%.64s", i == 0 ? "" : ", ",
                              m->streams.v[i].name);
    return err_hint(e, "Choose with --stream; there are: %s.", names);
}

int dump_find_stream(const struct dump_meta *m, const char *name, uint32_t *stream, struct err *e)
{
    unsigned found = 0;

    for (uint32_t i = 0; i < m->streams.n; i++) {
        const struct dump_stream *s = &m->streams.v[i];

        if (name == NULL ? s->kind != DUMP_DATABASE : strcmp(name, s->name) != 0)
            continue;
        if (found++ == 0)
            *stream = i;
        if (name != NULL)
            return 0;
    }
    if (found == 1)
        return 0;
    if (name != NULL)
        (void)err_set(e, ERR_USAGE, "the dump has no stream \"%.80s\"", name);
    else
        (void)err_set(e, ERR_USAGE, "the dump holds %u databases", found);
    return name_streams(m, e);
}

static int write_stream(struct buf *part, const struct dump_meta *m, uint32_t i, struct err *e)
{
    const struct dump_stream *s = &m->streams.v[i];
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;

    tlv_init(&o, bytes, sizeof bytes);
    tlv_begin(&o, TAG_STREAM);
    tlv_u8(&o, s->kind);
    tlv_u8(&o, s->format);
    tlv_u8(&o, s->codec);
    tlv_u8(&o, s->level);
    tlv_varint(&o, s->size);
    tlv_bytes(&o, s->name, strlen(s->name));
    return put_item(part, &o, e);
}

static int write_pair(struct buf *part, struct tlv_out *o, const char *a, const char *b,
                      struct err *e)
{
    tlv_bytes(o, a, strlen(a) + 1);
    tlv_bytes(o, b, strlen(b));
    return put_item(part, o, e);
}

int dump_meta_write(struct buf *part, const struct dump_meta *m, struct err *e)
{
    uint8_t bytes[ITEM_MAX];
    struct tlv_out o;
    size_t fact = 0;
    size_t table = 0;

    for (uint32_t i = 0; i < m->streams.n; i++) {
        if (write_stream(part, m, i, e) != 0)
            return -1;
        for (; fact < m->facts.n && m->facts.v[fact].stream == i; fact++) {
            tlv_init(&o, bytes, sizeof bytes);
            tlv_begin(&o, TAG_FACT);
            if (write_pair(part, &o, dump_text(m, m->facts.v[fact].key),
                           dump_text(m, m->facts.v[fact].value), e) != 0)
                return -1;
        }
        for (; table < m->tables.n && m->tables.v[table].stream == i; table++) {
            const struct dump_table *t = &m->tables.v[table];

            tlv_init(&o, bytes, sizeof bytes);
            tlv_begin(&o, TAG_TABLE);
            tlv_varint(&o, t->rows + 1); /* 0: not known */
            tlv_varint(&o, t->bytes);
            tlv_u8(&o, t->counted);
            if (write_pair(part, &o, dump_text(m, t->schema), dump_text(m, t->name), e) != 0)
                return -1;
        }
    }
    return 0;
}

static int read_stream(struct dump_meta *m, struct cur *c, struct err *e)
{
    struct dump_stream *s = dump_streams_add(&m->streams, e);
    const struct dump_stream *before = m->streams.n > 1 ? s - 1 : NULL;
    size_t n;

    if (s == NULL)
        return -1;
    if (!cur_u8(c, &s->kind) || !cur_u8(c, &s->format) || !cur_u8(c, &s->codec) ||
        !cur_u8(c, &s->level) || !cur_varint(c, &s->size) || c->left > DUMP_NAME_MAX ||
        memchr(c->p, '\0', c->left) != NULL)
        return damaged(e, "impossible stream");
    n = c->left;
    if (before != NULL && __builtin_add_overflow(before->offset, before->size, &s->offset))
        return damaged(e, "impossible size of a stream");
    return cur_copy(c, s->name, n) ? 0 : damaged(e, "impossible stream");
}

/* Text, 0, text to the item's end. */
static int read_pair(struct dump_meta *m, struct cur *c, uint32_t *a, uint32_t *b, struct err *e)
{
    const uint8_t *end = c->left == 0 ? NULL : memchr(c->p, '\0', c->left);
    size_t n;

    if (m->streams.n == 0 || end == NULL)
        return damaged(e, "impossible item in its metadata");
    n = (size_t)(end - c->p);
    if (memchr(end + 1, '\0', c->left - n - 1) != NULL)
        return damaged(e, "impossible text in its metadata");
    return keep(m, c->p, n, a, e) == 0 && keep(m, end + 1, c->left - n - 1, b, e) == 0 ? 0 : -1;
}

static int read_table(struct dump_meta *m, struct cur *c, struct err *e)
{
    struct dump_table *t = dump_tables_add(&m->tables, e);
    uint8_t counted;

    if (t == NULL)
        return -1;
    if (!cur_varint(c, &t->rows) || !cur_varint(c, &t->bytes) || !cur_u8(c, &counted))
        return damaged(e, "impossible table in its metadata");
    t->rows--;
    t->counted = counted != 0;
    t->stream = last_stream(m);
    return read_pair(m, c, &t->schema, &t->name, e);
}

int dump_meta_read(struct dump_meta *m, const uint8_t *part, size_t len, struct err *e)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        struct dump_fact *f;

        if (tag == TAG_STREAM && read_stream(m, &item, e) != 0)
            return -1;
        if (tag == TAG_TABLE && read_table(m, &item, e) != 0)
            return -1;
        if (tag != TAG_FACT)
            continue;
        f = dump_facts_add(&m->facts, e);
        if (f == NULL)
            return -1;
        f->stream = last_stream(m);
        if (read_pair(m, &item, &f->key, &f->value, e) != 0)
            return -1;
    }
    return rc < 0 ? damaged(e, "its metadata are no list of items") : 0;
}

/* --- labels --- */

void dump_label(char out[DUMP_LABEL_MAX], int64_t now, uint32_t counter)
{
    char t[TEXT_TIME_MAX];

    text_time(t, now, 0); /* 2026-02-21T03:00:00Z */
    (void)snprintf(out, DUMP_LABEL_MAX, "%.4s%.2s%.2sT%.2s%.2s%.2sZ-%u", t, t + 5, t + 8, t + 11,
                   t + 14, t + 17, (unsigned)counter);
}

bool dump_label_counter(const char *label, uint32_t *counter)
{
    struct err none = {0};

    if (strlen(label) < 18 || strspn(label, "0123456789") != 8 || label[8] != 'T' ||
        strspn(label + 9, "0123456789") != 6 || label[15] != 'Z' || label[16] != '-')
        return false;
    return parse_u32(label + 17, 1, UINT32_MAX - 1, counter, &none) == 0;
}

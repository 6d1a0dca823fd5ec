/*
 * Custom archives.  Layout, all of it one behind the other:
 *
 *   "PGDMP", version (3 bytes), size of an int, size of an offset, format (1)
 *   compression (1.15 and later: a byte; before: an int), seven ints of time, three texts
 *   an int: number of entries; the entries (see `entry_fields`)
 *   blocks: a byte (1 data, 3 large objects), an int: the entry;
 *           data: chunks; large objects: their oid (int, 0 ends), chunks
 *   a chunk is an int and so many bytes; a length of 0 ends them
 *
 * pg_dump 16 and later, when its output is a file that a shell opened, writes the entries a second
 * time behind the blocks (it means to go back and cannot); that is passed over.
 *
 * An int is a byte (1: negative) and its amount, least significant byte first.  A text is an int,
 * its length (-1: none), and its bytes.
 */
#include <string.h>

#include "pg/dumpfile.h"

enum want { WANT_BYTES, WANT_INT, WANT_TEXT, WANT_PASS };

/* What the value in hand is. */
enum state {
    S_HEAD,
    S_CODEC,
    S_LEVEL,
    S_TIME, /* seven of them */
    S_TIME_LAST = S_TIME + 6,
    S_DATABASE,
    S_SERVER,
    S_CLIENT,
    S_COUNT,
    S_ID,
    S_DUMPER,
    S_TABLE_OID,
    S_OID,
    S_TAG,
    S_DESC,
    S_SECTION,
    S_DEFN,
    S_DROP,
    S_COPY,
    S_SCHEMA,
    S_SPACE,
    S_METHOD,
    S_KIND,
    S_OWNER,
    S_OIDS,
    S_DEPENDENCY,
    S_OFFSET,
    S_BLOCK,
    S_BLOCK_ID,
    S_OBJECT,
    S_CHUNK,
    S_DATA
};

enum {
    HEAD_BYTES = 6,
    MINOR_MIN = 12,
    MINOR_MAX = 16,
    FORMAT_CUSTOM = 1,
    BLOCK_DATA = 1,
    BLOCK_OBJECTS = 3,
    OFFSET_NONE = 3,
    TEXT_MAX = 1 << 30
};

static void want_bytes(struct dumpfile *d, int state, size_t n)
{
    d->state = state;
    d->want = WANT_BYTES;
    d->need = n;
}

static void want_int(struct dumpfile *d, int state)
{
    d->state = state;
    d->want = WANT_INT;
    d->need = 1 + d->int_size;
}

static void want_text(struct dumpfile *d, int state)
{
    want_int(d, state);
    d->want = WANT_TEXT;
}

static int take_head(struct dumpfile *d, struct err *e)
{
    const uint8_t *p = d->small;

    if (p[0] != 1 || p[1] < MINOR_MIN || p[1] > MINOR_MAX)
        return err_set(e, ERR_DAMAGED,
                       "the dump is an archive of version %u.%u, which is not known here",
                       (unsigned)p[0], (unsigned)p[1]);
    if (p[3] < 1 || p[3] > 8 || p[4] < 1 || p[4] > 8)
        return dumpfile_damaged(d, e, "impossible sizes in the header");
    if (p[5] != FORMAT_CUSTOM)
        return err_set(e, ERR_DAMAGED, "the dump is no custom archive");
    d->minor = p[1];
    d->int_size = p[3];
    d->offset_size = p[4];
    if (d->minor >= 15)
        want_bytes(d, S_CODEC, 1);
    else
        want_int(d, S_LEVEL);
    return 0;
}

static int take_codec(struct dumpfile *d, struct err *e)
{
    if (d->state == S_LEVEL)
        d->codec = d->number == 0 ? DUMPFILE_NONE : DUMPFILE_GZIP;
    else if (d->small[0] <= DUMPFILE_ZSTD)
        d->codec = (enum dumpfile_codec)d->small[0];
    else
        return dumpfile_damaged(d, e, "unknown compression");
    want_int(d, S_TIME);
    return 0;
}

static void keep_word(const struct dumpfile *d, char *out, size_t cap)
{
    size_t n = d->word_len < cap - 1 ? d->word_len : cap - 1;

    memcpy(out, d->word, n);
    out[n] = '\0';
}

static int take_count(struct dumpfile *d, struct err *e)
{
    if (d->number < 0 || d->number > INT32_MAX)
        return dumpfile_damaged(d, e, "impossible number of entries");
    if (d->again && (uint64_t)d->number != d->total)
        return dumpfile_damaged(d, e, "a second table of contents, unlike the first");
    d->total = (uint32_t)d->number;
    d->left = (uint32_t)d->number;
    if (d->left > 0)
        want_int(d, S_ID);
    else
        want_bytes(d, S_BLOCK, 1);
    return 0;
}

/* Which value follows in an entry. */
static void next_field(struct dumpfile *d)
{
    int s = d->state + 1;

    if (s == S_METHOD && d->minor < 14)
        s++;
    if (s == S_KIND && d->minor < 16)
        s++;
    if (s == S_DUMPER || s == S_SECTION || s == S_KIND)
        want_int(d, s);
    else if (s == S_OFFSET)
        want_bytes(d, s, 1 + d->offset_size);
    else
        want_text(d, s);
}

static bool word_is(const struct dumpfile *d, const char *text)
{
    return d->word_len == strlen(text) && memcmp(d->word, text, d->word_len) == 0;
}

static int take_field(struct dumpfile *d, struct err *e)
{
    struct dumpfile_entry *en = &d->entry;
    size_t kept = d->word_len < DUMPFILE_WORD_MAX ? d->word_len : DUMPFILE_WORD_MAX;

    switch (d->state) {
    case S_ID:
        memset(en, 0, sizeof *en);
        en->rows = DUMPFILE_NO_ROWS;
        if (d->number < 1 || d->number > INT32_MAX)
            return dumpfile_damaged(d, e, "impossible number of an entry");
        en->id = (int32_t)d->number;
        break;
    case S_DUMPER:
        d->had_dumper = d->number != 0 && !d->again;
        break;
    case S_TAG:
        if (d->had_dumper && dumpfile_keep(d, d->word, kept, &en->name, e) != 0)
            return -1;
        break;
    case S_DESC:
        en->is_table = word_is(d, "TABLE DATA");
        break;
    case S_COPY:
        en->is_copy = d->number > 0;
        break;
    case S_SCHEMA:
        if (d->had_dumper && dumpfile_keep(d, d->word, kept, &en->schema, e) != 0)
            return -1;
        break;
    default:
        break;
    }
    next_field(d);
    return 0;
}

static int take_dependency(struct dumpfile *d)
{
    if (d->number < 0)
        want_bytes(d, S_OFFSET, 1 + d->offset_size);
    else
        want_text(d, S_DEPENDENCY);
    return 0;
}

static int take_offset(struct dumpfile *d, struct err *e)
{
    if (d->small[0] > OFFSET_NONE)
        return dumpfile_damaged(d, e, "impossible offset of an entry");
    if (d->had_dumper && d->small[0] != OFFSET_NONE &&
        dumpfile_entries_push(&d->entries, d->entry, e) != 0)
        return -1;
    d->current = d->entries.n;
    if (--d->left > 0)
        want_int(d, S_ID);
    else
        want_bytes(d, S_BLOCK, 1);
    return 0;
}

static bool all_seen(const struct dumpfile *d)
{
    for (size_t i = 0; i < d->entries.n; i++)
        if (!d->entries.v[i].seen)
            return false;
    return true;
}

static int take_block(struct dumpfile *d, struct err *e)
{
    if (d->small[0] == 0 && !d->again && all_seen(d)) {
        d->again = true;
        want_int(d, S_COUNT);
        d->held = 1; /* its sign */
        return 0;
    }
    if (d->small[0] != BLOCK_DATA && d->small[0] != BLOCK_OBJECTS)
        return dumpfile_damaged(d, e, "unknown kind of block");
    d->in_object = d->small[0] == BLOCK_OBJECTS;
    want_int(d, S_BLOCK_ID);
    return 0;
}

static int begin_part(struct dumpfile *d, struct err *e)
{
    want_int(d, S_CHUNK);
    if (d->events == NULL)
        return 0;
    return d->events->begin(d->arg, &d->entries.v[d->current], e);
}

/* Blocks come in the order of the entries, so the next one is nearly always the one. */
static int take_block_id(struct dumpfile *d, struct err *e)
{
    size_t n = d->entries.n;
    size_t start = d->current < n ? d->current + 1 : 0;

    for (size_t i = 0; i < n; i++) {
        struct dumpfile_entry *en = &d->entries.v[(start + i) % n];

        if (en->id != d->number)
            continue;
        if (en->seen)
            return dumpfile_damaged(d, e, "an entry has data twice");
        en->seen = true;
        d->current = (start + i) % n;
        if (d->in_object) {
            want_int(d, S_OBJECT);
            return 0;
        }
        return begin_part(d, e);
    }
    return dumpfile_damaged(d, e, "data of an entry that is not in the table of contents");
}

/* OIDs beyond 2^31 are written as negative ints. */
static int take_object(struct dumpfile *d, struct err *e)
{
    if (d->number != 0)
        return begin_part(d, e);
    want_bytes(d, S_BLOCK, 1);
    return 0;
}

static int take_chunk(struct dumpfile *d, struct err *e)
{
    if (d->number < 0 || d->number > INT32_MAX)
        return dumpfile_damaged(d, e, "impossible length of a chunk");
    if (d->number > 0) {
        d->state = S_DATA;
        d->want = WANT_PASS;
        d->pass = (uint64_t)d->number;
        d->entries.v[d->current].bytes += d->pass;
        return 0;
    }
    if (d->in_object)
        want_int(d, S_OBJECT);
    else
        want_bytes(d, S_BLOCK, 1);
    if (d->events == NULL)
        return 0;
    return d->events->end(d->arg, &d->entries.v[d->current], e);
}

/* A value is complete. */
static int take(struct dumpfile *d, struct err *e)
{
    switch (d->state) {
    case S_HEAD:
        return take_head(d, e);
    case S_CODEC:
    case S_LEVEL:
        return take_codec(d, e);
    case S_DATABASE:
        want_text(d, S_SERVER);
        return 0;
    case S_SERVER:
        keep_word(d, d->server, sizeof d->server);
        want_text(d, S_CLIENT);
        return 0;
    case S_CLIENT:
        keep_word(d, d->client, sizeof d->client);
        want_int(d, S_COUNT);
        return 0;
    case S_COUNT:
        return take_count(d, e);
    case S_DEPENDENCY:
        return take_dependency(d);
    case S_OFFSET:
        return take_offset(d, e);
    case S_BLOCK:
        return take_block(d, e);
    case S_BLOCK_ID:
        return take_block_id(d, e);
    case S_OBJECT:
        return take_object(d, e);
    case S_CHUNK:
        return take_chunk(d, e);
    case S_DATA:
        want_int(d, S_CHUNK);
        return 0;
    default:
        break;
    }
    if (d->state < S_TIME_LAST) {
        want_int(d, d->state + 1);
        return 0;
    }
    if (d->state == S_TIME_LAST) {
        want_text(d, S_DATABASE);
        return 0;
    }
    return take_field(d, e);
}

/* The bytes of a small value are there. */
static int take_small(struct dumpfile *d, struct err *e)
{
    uint64_t v = 0;

    d->held = 0;
    if (d->want == WANT_BYTES)
        return take(d, e);
    for (unsigned i = d->int_size; i > 0; i--)
        v = v << 8 | d->small[i];
    if (d->small[0] > 1 || v > UINT32_MAX)
        return dumpfile_damaged(d, e, "impossible number");
    d->number = d->small[0] == 1 ? -(int64_t)v : (int64_t)v;
    if (d->want == WANT_INT)
        return take(d, e);
    if (d->number > TEXT_MAX)
        return dumpfile_damaged(d, e, "impossible length of a text");
    d->word_len = 0;
    if (d->number <= 0)
        return take(d, e);
    d->pass = (uint64_t)d->number;
    d->want = WANT_PASS;
    return 0;
}

/* Bytes of a text or of a chunk. */
static int take_pass(struct dumpfile *d, const uint8_t *bytes, size_t n, struct err *e)
{
    size_t room = d->word_len < DUMPFILE_WORD_MAX ? DUMPFILE_WORD_MAX - d->word_len : 0;

    d->pass -= n;
    if (d->state == S_DATA) {
        if (d->events != NULL && d->events->data(d->arg, bytes, n, e) != 0)
            return -1;
    } else {
        memcpy(d->word + (DUMPFILE_WORD_MAX - room), bytes, n < room ? n : room);
        d->word_len += n;
    }
    return d->pass == 0 ? take(d, e) : 0;
}

int dumpfile_custom(struct dumpfile *d, const uint8_t *bytes, size_t len, struct err *e)
{
    int rc = 0;

    if (d->at == 5 && d->need == 0)
        want_bytes(d, S_HEAD, HEAD_BYTES);
    while (len > 0 && rc == 0) {
        size_t n = 1;

        if (d->want == WANT_PASS) {
            n = d->pass < len ? (size_t)d->pass : len;
            rc = take_pass(d, bytes, n, e);
        } else {
            d->small[d->held++] = *bytes;
            if (d->held == d->need)
                rc = take_small(d, e);
        }
        d->at += n;
        bytes += n;
        len -= n;
    }
    return rc;
}

int dumpfile_custom_end(struct dumpfile *d, struct err *e)
{
    if (d->state != S_BLOCK || d->held != 0)
        return dumpfile_damaged(d, e, "it is cut short");
    for (size_t i = 0; i < d->entries.n; i++) {
        const struct dumpfile_entry *en = &d->entries.v[i];

        if (!en->seen)
            return err_set(e, ERR_DAMAGED,
                           "the dump is cut short: the data of \"%.64s.%.64s\" are missing",
                           dumpfile_name(d, en->schema), dumpfile_name(d, en->name));
    }
    return 0;
}

/*
 * dumpfile: reads what pg_dump writes, as it flows by, and proves that it is all there.
 *
 * `pg_restore --list` looks at the table of contents only and passes an archive that was cut in
 * half.  This reader goes through every byte of a custom archive (versions 1.12 to 1.16, pg_dump
 * 10 to 18): each entry of the table of contents, each block of data with its chunks, each large
 * object, and at the end whether every entry that has data got them.  The data themselves are
 * handed out entry by entry, as they stand in the archive: perhaps compressed.  Of a plain dump it
 * reads the statements' shape: every COPY with its end, and the comment that pg_dump writes last.
 *
 * Memory is bounded and the input hostile: a name is kept only for what has data, everything else
 * is passed over.  What is wrong is ERR_DAMAGED and says where.
 */
#ifndef PG_DUMPFILE_H
#define PG_DUMPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

enum dumpfile_format { DUMPFILE_UNKNOWN, DUMPFILE_CUSTOM, DUMPFILE_PLAIN };

/* As in the archive's header. */
enum dumpfile_codec { DUMPFILE_NONE, DUMPFILE_GZIP, DUMPFILE_LZ4, DUMPFILE_ZSTD };

enum {
    DUMPFILE_ENTRIES_MAX = 1 << 21,
    DUMPFILE_NAMES_MAX = 128 * 1024 * 1024,
    DUMPFILE_WORD_MAX = 256, /* of a name that is kept; PostgreSQL's have at most 63 bytes */
    DUMPFILE_LINE_MAX = 1024,
    DUMPFILE_VERSION_MAX = 64
};

#define DUMPFILE_NO_ROWS UINT64_MAX

/* One thing that has data: a table, or large objects. */
struct dumpfile_entry {
    int32_t id;
    uint32_t schema; /* dumpfile_name; "" for large objects */
    uint32_t name;
    bool is_table;
    bool is_copy; /* the data are those of COPY; else INSERT statements */
    bool seen;
    uint64_t bytes; /* of data, as they stand in the dump */
    uint64_t rows;  /* plain dumps only; for archives whoever reads the data knows it */
};

VEC_DECLARE(dumpfile_entries, struct dumpfile_entry);

/* The data of an entry come between begin and end; large objects one by one, each with a begin and
 * an end of its own.  Only for archives.  Each answers 0 or -1. */
struct dumpfile_events {
    int (*begin)(void *arg, struct dumpfile_entry *entry, struct err *e);
    int (*data)(void *arg, const uint8_t *bytes, size_t len, struct err *e);
    int (*end)(void *arg, struct dumpfile_entry *entry, struct err *e);
};

struct dumpfile {
    const struct dumpfile_events *events;
    void *arg;
    enum dumpfile_format format;
    enum dumpfile_codec codec;
    char server[DUMPFILE_VERSION_MAX]; /* "17.6", of an archive */
    char client[DUMPFILE_VERSION_MAX];
    struct dumpfile_entries entries; /* those with data, in order */
    struct buf names;
    uint64_t at; /* bytes read */

    /* --- how far an archive was read --- */
    int state;
    unsigned minor; /* of the archive's version */
    unsigned int_size;
    unsigned offset_size;
    int want; /* which kind of value is being read */
    size_t need;
    size_t held;
    uint8_t small[16];
    uint64_t pass;  /* bytes of a text or of data still to come */
    int64_t number; /* the value that was read; a text: its length, or -1 for none */
    char word[DUMPFILE_WORD_MAX];
    size_t word_len;
    uint32_t total;
    bool again;    /* the second table of contents */
    uint32_t left; /* entries of the table of contents still to come */
    size_t current;
    bool in_object;
    struct dumpfile_entry entry;
    bool had_dumper;

    /* --- and a plain dump --- */
    bool in_copy;
    bool said_data; /* the comment in front of a COPY */
    bool complete;  /* the last comment, and nothing but its company behind it */
    bool cut_line;
    size_t line_len; /* of the line in hand, all of it */
    char line[DUMPFILE_LINE_MAX];
    char tail[16]; /* its last bytes */
};

/* events may be NULL. */
void dumpfile_init(struct dumpfile *d, const struct dumpfile_events *events, void *arg);
void dumpfile_fini(struct dumpfile *d);

int dumpfile_feed(struct dumpfile *d, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* There are no more: is everything there? */
int dumpfile_finish(struct dumpfile *d, struct err *e) __attribute__((warn_unused_result));

/* entry->schema or entry->name as text. */
const char *dumpfile_name(const struct dumpfile *d, uint32_t at);

/* What is being read now; NULL between entries. */
const struct dumpfile_entry *dumpfile_current(const struct dumpfile *d);

/* --- inside --- */

int dumpfile_custom(struct dumpfile *d, const uint8_t *bytes, size_t len, struct err *e);
int dumpfile_custom_end(struct dumpfile *d, struct err *e);
int dumpfile_plain(struct dumpfile *d, const uint8_t *bytes, size_t len, struct err *e);
int dumpfile_plain_end(struct dumpfile *d, struct err *e);
int dumpfile_keep(struct dumpfile *d, const char *text, size_t len, uint32_t *at, struct err *e);
int dumpfile_damaged(const struct dumpfile *d, struct err *e, const char *what);

/* --- rows of COPY --- */

/* Counts the rows in the data of one COPY, in whatever pieces; the end is "\." on a line of its
 * own. */
struct dumpfile_rows {
    uint64_t rows;
    bool ended;
    unsigned column; /* bytes of the line in hand, at most 3 */
    char first[2];
};

void dumpfile_rows_init(struct dumpfile_rows *r);
/* Answers how many of the bytes belong to the data, "\." and its newline included. */
size_t dumpfile_rows_feed(struct dumpfile_rows *r, const uint8_t *bytes, size_t len);

#endif

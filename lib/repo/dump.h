/*
 * dump: what a logical dump says about itself (FORMAT.md section 12): its public and its metadata
 * part as structs, and its label.
 *
 * The body of a dump is the output of pg_dump for each database and of pg_dumpall for the globals,
 * one behind the other: its streams.
 */
#ifndef REPO_DUMP_H
#define REPO_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "repo/manifest.h"

enum dump_kind { DUMP_DATABASE = 1, DUMP_GLOBALS = 2 };

enum {
    DUMP_STREAMS_MAX = 10000,
    DUMP_TABLES_MAX = 1 << 21,
    DUMP_TEXTS_MAX = 1 << 20,
    DUMP_PART_MAX = 48 * 1024 * 1024,
    DUMP_NAME_MAX = 255,
    DUMP_VERSION_MAX = 64,
    DUMP_LABEL_MAX = 36
};

#define DUMP_NO_ROWS UINT64_MAX

/* The public part: no names but the tag, and what the application calls its schema's version; the
 * latter in plain repositories only. */
struct dump_public {
    struct manifest_head head;
    int64_t start; /* the snapshot of the first database */
    int64_t stop;
    uint64_t bytes; /* of all streams */
    uint32_t databases;
    uint64_t tables;
    uint64_t rows;  /* of the tables whose rows are known */
    uint8_t format; /* enum dumpfile_format */
    uint8_t codec;  /* enum dumpfile_codec: what pg_dump itself compressed with */
    uint8_t level;  /* enum dump_level: how deep it was checked when it was taken */
    bool globals;
    bool passwords; /* the globals hold those of the roles */
    bool counted;   /* rows of chosen tables were counted in the snapshot, and agreed */
    uint32_t server_version;
    uint32_t client_version;
    char tag[MANIFEST_TAG_MAX + 1];
    char schema_version[DUMP_VERSION_MAX + 1]; /* "": not asked for, or not for everybody's eyes */
};

int dump_public_write(struct buf *part, const struct dump_public *p, struct err *e)
    __attribute__((warn_unused_result));
int dump_public_read(struct dump_public *p, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* --- metadata --- */

struct dump_stream {
    uint8_t kind;
    uint8_t format;
    uint8_t codec;
    uint8_t level;
    uint64_t offset;
    uint64_t size;
    char name[DUMP_NAME_MAX + 1]; /* the database's; "globals" */
};

struct dump_table {
    uint32_t stream;
    uint32_t schema; /* dump_text */
    uint32_t name;
    bool counted;
    uint64_t rows;
    uint64_t bytes;
};

/* Something that has to be known to make the database again: owner, encoding, collate ... */
struct dump_fact {
    uint32_t stream;
    uint32_t key;
    uint32_t value;
};

VEC_DECLARE(dump_streams, struct dump_stream);
VEC_DECLARE(dump_tables, struct dump_table);
VEC_DECLARE(dump_facts, struct dump_fact);

struct dump_meta {
    struct dump_streams streams;
    struct dump_tables tables;
    struct dump_facts facts;
    struct buf text;
};

void dump_meta_init(struct dump_meta *m);
void dump_meta_fini(struct dump_meta *m);
const char *dump_text(const struct dump_meta *m, uint32_t at);

/* All belong to the stream that was added last. */
int dump_meta_stream(struct dump_meta *m, enum dump_kind kind, const char *name, struct err *e);
int dump_meta_table(struct dump_meta *m, const char *schema, const char *name, uint64_t rows,
                    uint64_t bytes, struct err *e);
int dump_meta_fact(struct dump_meta *m, const char *key, const char *value, struct err *e);

/* The value of a fact about a stream; NULL when there is none.  For facts that come often (role),
 * *from is where to look from, and behind the one that was found; NULL: from the first. */
const char *dump_fact(const struct dump_meta *m, uint32_t stream, const char *key, size_t *from);

/* The stream of that name, of the only database for NULL; -1 with the names that there are. */
int dump_find_stream(const struct dump_meta *m, const char *name, uint32_t *stream, struct err *e)
    __attribute__((warn_unused_result));

int dump_meta_write(struct buf *part, const struct dump_meta *m, struct err *e)
    __attribute__((warn_unused_result));
int dump_meta_read(struct dump_meta *m, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* --- labels --- */

/* "<UTC time>-<counter>".  The counter grows over all dumps of a cluster, so it orders them also
 * where the clock lies. */
void dump_label(char out[DUMP_LABEL_MAX], int64_t now, uint32_t counter);
bool dump_label_counter(const char *label, uint32_t *counter);

#endif

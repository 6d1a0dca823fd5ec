/*
 * manifest: PostgreSQL's backup_manifest, read as it arrives and written as a server writes it.
 *
 * A JSON object that names each file of a backup with size and checksum, the WAL that the backup
 * needs, and at last the SHA-256 of all lines before the one that holds that sum.  Versions: 1
 * (servers 13 to 16), 2 (from 17 on: with the system identifier).
 *
 * The reader is fed in pieces and keeps no more than the file object in hand, or eight bytes per
 * file when it is also to see that no path is there twice.  What it calls back with is not yet
 * proved: only manifest_in_finish knows that the whole manifest has its checksum.
 *
 * The writer's bytes are those that a server would have written for the same content.
 *
 * SHA-256 comes from stream/digest, which stands on the same layer: hashing has one user.
 */
#ifndef PG_MANIFEST_H
#define PG_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/vec.h"
#include "pg/walname.h"
#include "stream/digest.h"

enum {
    MANIFEST_PATH_MAX = 1024, /* with the closing 0 */
    MANIFEST_SUM_MAX = 64,    /* bytes of the longest checksum */
    MANIFEST_FILES_MAX = 1 << 28
};

enum manifest_algorithm {
    MANIFEST_NONE,
    MANIFEST_CRC32C,
    MANIFEST_SHA224,
    MANIFEST_SHA256,
    MANIFEST_SHA384,
    MANIFEST_SHA512
};

struct manifest_file {
    char path[MANIFEST_PATH_MAX]; /* relative to the data directory; any bytes, decoded */
    uint64_t size;
    bool has_mtime; /* a server writes it always; nobody depends on it */
    int64_t mtime;  /* seconds since 1970 */
    enum manifest_algorithm algorithm;
    uint8_t sum[MANIFEST_SUM_MAX]; /* manifest_sum_size(algorithm) bytes */
};

struct manifest_range {
    tli_t tli;
    lsn_t start;
    lsn_t end;
};

/* Bytes of a checksum: 0, 4, 28, 32, 48 or 64. */
size_t manifest_sum_size(enum manifest_algorithm a);

/* The CRC-32C of a file whose algorithm is MANIFEST_CRC32C. */
uint32_t manifest_crc(const struct manifest_file *f);

/* ---- reading ---- */

/* Each may be NULL; returns 0, or -1 with *e filled, which ends the reading. */
struct manifest_events {
    /* Version 1 or 2 and, in version 2, the system identifier; before the first file. */
    int (*head)(void *arg, unsigned version, uint64_t system_id, struct err *e);
    int (*file)(void *arg, const struct manifest_file *f, struct err *e);
    int (*range)(void *arg, const struct manifest_range *r, struct err *e);
};

VEC_DECLARE(manifest_hashes, uint64_t);

struct manifest_in {
    const struct manifest_events *events;
    void *arg;
    struct json_in json;
    int place;        /* where in the document */
    unsigned field;   /* whose value comes next */
    uint32_t seen[3]; /* fields of the whole, of the file and of the range in hand */
    unsigned version;
    uint64_t system_id; /* 0 in version 1 */
    uint64_t files;
    struct manifest_file file;
    char sum_text[2 * MANIFEST_SUM_MAX + 1];
    struct manifest_range range;
    bool unique;
    struct manifest_hashes hashes;
    /* The checksum: of all that comes before the last line, which is known when it is over. */
    struct digest_sha256 sum;
    struct digest_sha256 sum_line; /* at the beginning of the line in hand */
    uint64_t at;                   /* bytes fed */
    uint64_t at_line;              /* of them before the line in hand */
    uint64_t at_key;               /* where the key Manifest-Checksum ends */
    bool ends_line;                /* the last byte fed was a newline */
    uint8_t said[DIGEST_SHA256];
};

/* unique: also refuse a path that is there twice. */
void manifest_in_init(struct manifest_in *m, const struct manifest_events *events, void *arg,
                      bool unique);
void manifest_in_fini(struct manifest_in *m);

/* The next piece.  -1 with ERR_DAMAGED and what is wrong. */
int manifest_in_feed(struct manifest_in *m, const void *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* No more comes.  -1 with ERR_DAMAGED when it is not whole or does not have its checksum. */
int manifest_in_finish(struct manifest_in *m, struct err *e) __attribute__((warn_unused_result));

/* ---- writing ---- */

/* Takes a piece of the output. */
typedef int manifest_write(void *arg, const void *bytes, size_t len, struct err *e);

struct manifest_out {
    manifest_write *write;
    void *arg;
    struct digest_sha256 sum;
    struct buf line;
    uint64_t files;
    uint64_t ranges;
};

/* Begins; version 2 has system_id in it.  Files are added, then ranges, newest timeline first. */
int manifest_out_begin(struct manifest_out *m, unsigned version, uint64_t system_id,
                       manifest_write *write, void *arg, struct err *e)
    __attribute__((warn_unused_result));
int manifest_out_file(struct manifest_out *m, const struct manifest_file *f, struct err *e)
    __attribute__((warn_unused_result));
int manifest_out_range(struct manifest_out *m, const struct manifest_range *r, struct err *e)
    __attribute__((warn_unused_result));
int manifest_out_end(struct manifest_out *m, struct err *e) __attribute__((warn_unused_result));
void manifest_out_fini(struct manifest_out *m);

#endif

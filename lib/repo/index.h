/*
 * index: what every object said when it was stored, in one place (FORMAT.md section 10).
 *
 * Opening a hundred thousand objects to learn where the holes are takes half a minute; a listing
 * with sizes and times takes a fraction of a second.  So whoever stores an object, or has opened
 * and proven one, appends its name, size, time and public part to the file of its host in index/. A
 * reader lists the objects, and opens only those that the index does not know in this size and
 * with this time.  What the index says of an object is what the object said; whether its bytes are
 * still sound is for `verify` to say, as it was before.
 *
 * All of it can be made again from the objects, with one exception: that an object was there.  What
 * the index knows, the listing does not show and no expire record explains is a finding, and such
 * a record is kept when the file is made again.
 *
 * In a sealed repository records are chained, and the host's signature stands under the chain: a
 * reader believes what lies before a valid signature.  Whoever can write to the storage can take
 * records away, which makes a reader slow and no more, but cannot make one.
 */
#ifndef REPO_INDEX_H
#define REPO_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "object/frame.h"
#include "object/secret.h"
#include "pg/walname.h"
#include "repo/repo.h"

enum {
    INDEX_CHAIN = 32,
    INDEX_HEAD = 25, /* up to the name */
    INDEX_PART_MAX = 2048,
    INDEX_SIGNED = INDEX_CHAIN + KEY_ID + FRAME_SIGNATURE,
    INDEX_BOXES_MAX = KEY_ID * FRAME_BOXES_MAX,
    INDEX_RECORD_MAX =
        INDEX_HEAD + FRAME_NAME_MAX + 2 + INDEX_PART_MAX + 1 + INDEX_BOXES_MAX + INDEX_SIGNED + 8,
    INDEX_SEED_MAX = 128,
    INDEX_SIGN_EVERY = 1024, /* of many records that are written at once */
    INDEX_ENTRIES_MAX = 1 << 27
};

/* ---- one record ---- */

enum index_flags {
    INDEX_CHAINED = 1,
    INDEX_IS_SIGNED = 2,
    INDEX_REVOKED = 4 /* reading back found it damaged: it is opened by everybody */
};

struct index_record {
    enum object_kind kind;
    unsigned flags;
    uint64_t size;
    uint64_t stamp;
    const char *name; /* not terminated in a decoded record */
    size_t name_len;
    const uint8_t *part; /* the object's public part; empty for kinds that are only remembered */
    size_t part_len;
    const uint8_t *boxes; /* ids of those to whom the object is addressed, 16 bytes each */
    unsigned n_boxes;     /* 0: it is plain */
    /* decoded records: */
    const uint8_t *chain;
    const uint8_t *signer;
    const uint8_t *signature;
    size_t hashed; /* so many of its bytes go into the chain */
    size_t len;
};

/* What binds records to a lineage. */
struct index_seed {
    uint8_t bytes[INDEX_SEED_MAX];
    size_t len;
    uint32_t crc;
    uint8_t chain[INDEX_CHAIN]; /* before the first record */
};

void index_seed_make(struct index_seed *seed, const uint8_t repo_id[16],
                     const struct store_lineage *where);

/* chain: that of the record before, and the new one (NULL: a plain repository); signer: NULL: not
 * signed.  Answers the length; 0 when the record is too large for the index. */
size_t index_encode(uint8_t out[INDEX_RECORD_MAX], const struct index_seed *seed,
                    const struct index_record *r, uint8_t *chain, const struct key_host *signer);

/* The record at p: false when there is none, or not a whole one. */
bool index_decode(struct index_record *r, const struct index_seed *seed, const uint8_t *p,
                  size_t left);

/* The last record of a file, from its last bytes. */
bool index_decode_last(struct index_record *r, const struct index_seed *seed, const uint8_t *p,
                       size_t len);

/* The chain behind a record; false: it is not the one that the record names. */
bool index_chain(uint8_t chain[INDEX_CHAIN], const struct index_record *r, const uint8_t *bytes);

bool index_is_signed_by(const struct index_record *r, const struct index_seed *seed,
                        const uint8_t public_key[SECRET_KEY]);

/* The name of this host's file. */
void index_file(char out[FRAME_NAME_MAX + 1], const struct repo *r);

/* ---- writing one ---- */

/* Appends a record for an object that was stored just now: nothing is flushed, nobody is waited
 * for, and when it cannot be done it is not done. */
void index_note(struct repo *r, const struct store_name *n, const struct store_seen *seen,
                const uint8_t *part, size_t len);

/* What a new record goes on from, in this host's open file.  False: leave the file alone; a reader
 * will make it again.  In a sealed repository the last record must be our own: to sign a chain is
 * to vouch for all of it. */
bool index_go_on(uint8_t chain[INDEX_CHAIN], const struct index_seed *seed, const struct repo *r,
                 int fd, uint64_t size);

/* ---- reading all ---- */

struct index_entry {
    const char *name;    /* not terminated */
    const uint8_t *part; /* all inside the file's bytes */
    const uint8_t *boxes;
    uint64_t size;
    uint64_t stamp;
    uint16_t part_len;
    uint8_t name_len;
    uint8_t kind;
    uint8_t n_boxes;
    bool seen; /* the listing has an object of this name */
    bool used; /* in this size and with this stamp */
    bool own;  /* from this host's file */
    bool revoked;
};
VEC_DECLARE(index_entries, struct index_entry);

struct index_bytes {
    uint8_t *p;
    size_t len;
};
VEC_DECLARE(index_files, struct index_bytes);

struct index {
    struct index_seed seed;
    struct index_files files;
    struct index_entries entries; /* by kind and name */
    size_t hint;
    bool revoked; /* index_find answered NULL because reading back found it damaged */
    char file[FRAME_NAME_MAX + 1]; /* this host's, */
    bool file_sound;               /* it may be gone on with; also when it is missing */
    bool damaged;                  /* some file is, or its signatures are not to be believed */
    struct buf fresh;              /* records to be added, encoded as plain ones */
    size_t fresh_n;
};

/* Reads every file of the current lineage: before the objects are listed, so that what it knows was
 * there.  What cannot be read or believed is left out.  -1: no memory. */
int index_load(struct index *x, struct repo *r, struct err *e) __attribute__((warn_unused_result));
void index_fini(struct index *x); /* accepts a zeroed struct */

/* The entry of an object that the listing shows; NULL: it must be opened.  Marks the name as
 * seen.  stamp 0: the listing told the name alone, which stands for what was stored last. */
const struct index_entry *index_find(struct index *x, enum object_kind kind, const char *name,
                                     uint64_t size, uint64_t stamp);

/* The newest stamp of a segment in that directory (timeline and second field of the name); 0:
 * nothing is known of it.  Changes nothing, so that threads may ask. */
uint64_t index_newest(const struct index *x, tli_t tli, uint32_t group);

/* Takes in an object that was opened and proven. */
int index_add(struct index *x, const struct index_record *r, struct err *e)
    __attribute__((warn_unused_result));

/* Appends what was added to this host's file, or makes the file again when it is damaged, as far
 * as this program may write.  Never fails in a way that matters. */
void index_keep(struct index *x, struct repo *r);

#endif

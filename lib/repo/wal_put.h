/*
 * wal_put: one WAL file goes into the repository: proven, summarised, durable.
 *
 * One pass over the file: each piece is read once, walked (lib/pg proves records and makes the
 * summary), compressed, sealed and written.  A file that is not what its name says is refused and
 * nothing stays; damage inside the right segment is stored, flagged and reported.  A name that is
 * there already is compared with what is offered: the same content is made durable again, other
 * content is refused and the old copy stays untouched.
 */
#ifndef REPO_WAL_PUT_H
#define REPO_WAL_PUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "object/reader.h"
#include "object/writer.h"
#include "pg/walwalk.h"
#include "repo/repo.h"
#include "repo/store.h"

enum { WAL_PUT_IO = 512 * 1024, WAL_PUT_TEXT_MAX = 1024 * 1024 };

enum wal_put_answer { WAL_PUT_STORED = 0, WAL_PUT_SAME = 1 };

struct wal_put_report {
    uint64_t plain_size;
    uint64_t stored_size;
    uint64_t damages;   /* in the records of the segment */
    uint64_t damage_at; /* LSN of the first */
    bool open_end;      /* no record behind it */
    uint32_t damage;    /* enum facts_damage of the first */
};

/* All memory of a put, about 3 MB of which a plain put touches a third.  Keep one static. */
struct wal_put {
    struct object_writer writer;
    struct object_reader reader; /* only when the name exists */
    struct store_put put;
    struct walwalk walk;
    struct digest digest; /* of what is compared; 64-byte aligned, which not every stack is */
    uint8_t public_part[FACTS_BYTES_MAX];
    uint8_t io[WAL_PUT_IO];
};

/*
 * Puts the file at `path`; its last component is the name.  WAL_PUT_STORED, WAL_PUT_SAME, or -1:
 * ERR_USAGE (no WAL name), ERR_REFUSED (not what it says, other content), ERR_IO and the rest.
 */
int wal_put(struct wal_put *w, struct repo *r, const char *path, bool compress,
            struct wal_put_report *report, struct err *e) __attribute__((warn_unused_result));

/* The same for the history of a timeline that lies in no file. */
int wal_put_history(struct wal_put *w, struct repo *r, tli_t tli, const char *text, size_t len,
                    bool compress, struct wal_put_report *report, struct err *e)
    __attribute__((warn_unused_result));

#endif

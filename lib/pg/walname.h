/*
 * walname: the names PostgreSQL gives to what it archives, and the arithmetic between a name, a
 * segment number and an LSN.
 *
 * Four kinds of name are ever offered to an archive command; everything else is refused:
 *
 *   TTTTTTTTHHHHHHHHLLLLLLLL                    a segment
 *   TTTTTTTTHHHHHHHHLLLLLLLL.partial            the unfinished last segment of a timeline
 *   TTTTTTTTHHHHHHHHLLLLLLLL.OOOOOOOO.backup    the note that a base backup leaves
 *   TTTTTTTT.history                            where a timeline comes from
 *
 * with upper-case hexadecimal digits.  A segment's number is H * (2^32 / segment size) + L, so a
 * name means something only together with a segment size.
 */
#ifndef PG_WALNAME_H
#define PG_WALNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t lsn_t;
typedef uint32_t tli_t;

enum {
    WALNAME_SEGMENT_LEN = 24,
    WALNAME_MAX = 41, /* the longest name, with its closing 0 */
    WALNAME_SEGSIZE_MIN = 1 << 20,
    WALNAME_SEGSIZE_MAX = 1 << 30
};

enum walname_kind { WALNAME_SEGMENT, WALNAME_PARTIAL, WALNAME_BACKUP, WALNAME_HISTORY };

struct walname {
    enum walname_kind kind;
    tli_t tli;
    uint32_t hi;     /* second field; 0 for a history */
    uint32_t lo;     /* third field; 0 for a history */
    uint32_t offset; /* WALNAME_BACKUP: where in its segment the backup starts */
};

/* Whether n is a segment size: a power of two from 1 MB to 1 GB. */
bool walname_is_segsize(uint64_t n);

/* Takes a name apart.  False when it is none of the four kinds or its timeline is 0. */
bool walname_parse(const char *s, struct walname *out);

/* The segment number of a segment, partial or backup name.  False when the third field is too
 * large for this segment size. */
bool walname_segno(const struct walname *n, uint32_t segsize, uint64_t *segno);

/* First LSN of a segment. */
lsn_t walname_start(uint64_t segno, uint32_t segsize);

/* The segment that contains the byte at lsn. */
uint64_t walname_segno_of(lsn_t lsn, uint32_t segsize);

/* The last segment that a range ending at lsn (exclusive) needs: an end on a boundary belongs to
 * the segment before it. */
uint64_t walname_segno_before(lsn_t lsn, uint32_t segsize);

/* Write a name with its closing 0. */
void walname_segment(char out[WALNAME_MAX], tli_t tli, uint64_t segno, uint32_t segsize);
void walname_partial(char out[WALNAME_MAX], tli_t tli, uint64_t segno, uint32_t segsize);
void walname_backup(char out[WALNAME_MAX], tli_t tli, lsn_t start, uint32_t segsize);
void walname_history(char out[WALNAME_MAX], tli_t tli);

#endif

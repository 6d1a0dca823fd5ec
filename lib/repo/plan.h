/*
 * plan: from which backup a moment can be reached, over which WAL, or why it cannot be.
 *
 * Pure: it is given what the repository holds (repo/inventory fills it in) and decides as the
 * server will: a recovery begins at a backup's start, reads the segments of one path of timelines
 * record by record, and must be consistent (past the backup's end) before it stops.
 *
 *   time       stops before the first commit or abort that is later (exclusive: not earlier) than
 *              the target, so such a record must be there, and not before the backup's end; and the
 *              last transaction that is in the backup must not be later itself
 *   lsn        stops at the first record that starts at the target or behind it
 *   xid, name  stop at the first such record behind the backup's start
 *   immediate  stops at the backup's end
 *   latest     reads to the end of the archive, which must be an end and not a hole
 *
 * Facts tell most of it.  Where a verdict hangs on the metadata or the records of a segment that
 * were not read yet, the plan says so (PLAN_DETAIL), the caller reads them, and plans again.
 *
 * Whatever is refused is refused with the reason per backup and the nearest moments that can be
 * reached.
 */
#ifndef REPO_PLAN_H
#define REPO_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "pg/walname.h"
#include "repo/coverage.h"

enum {
    PLAN_LABEL_MAX = 40,
    PLAN_NAME_MAX = 64,
    PLAN_PATH_MAX = 1024,
    PLAN_TEXT_MAX = 256,
    PLAN_BACKUPS_MAX = 1 << 20,
    PLAN_ENDS_MAX = 1 << 26
};

/* ---- what there is ---- */

/* The end of a transaction: a commit or abort record.  Times are microseconds since 1970. */
struct plan_end {
    lsn_t lsn;
    int64_t time;
    uint32_t xid;
    bool aborted;
};

enum plan_cross {
    PLAN_CROSS_NONE,   /* the record that comes over from the segment before ends no transaction */
    PLAN_CROSS_END,    /* it does: plan_segment.crossing */
    PLAN_CROSS_UNKNOWN /* it cannot be read with the keys here */
};

enum plan_detail { PLAN_UNREAD, PLAN_READ, PLAN_UNREADABLE };

/* One archived segment. */
struct plan_segment {
    uint64_t segno;
    uint64_t stored;
    tli_t tli;
    uint8_t state;        /* enum coverage_state */
    uint8_t join;         /* enum join_result with the segment before */
    uint8_t flags;        /* FACTS_* */
    uint8_t lost;         /* FACTS_LOST_* */
    uint8_t cross;        /* enum plan_cross */
    uint8_t detail;       /* enum plan_detail */
    bool closed;          /* its metadata was not read yet: of has_run, cross and what is found by
                             name nothing is known */
    bool named;           /* restore points or tablespaces are in it, perhaps */
    bool cut_point;       /* the record that goes on in the next segment is as long as a restore
                             point, so it may be one */
    bool has_run;         /* next and oldest are known */
    lsn_t first;          /* first record that starts in here; 0: none */
    lsn_t last;           /* last record that lies wholly in here; 0: none */
    lsn_t end;            /* of valid data */
    lsn_t tail;           /* the record that goes on in the next segment; 0: none */
    lsn_t damage;         /* first damage; 0: none */
    lsn_t minimal;        /* wal_level becomes minimal: no recovery gets past it; 0: never */
    lsn_t minimal_to;     /* the last time that it does */
    uint64_t ends;        /* commits and aborts that lie wholly in here, */
    int64_t last_time;    /* the time of the last of them, */
    int64_t least;        /* the least, */
    int64_t greatest;     /* and the greatest; */
    int64_t last_commit;  /* the time of the last commit, */
    lsn_t last_commit_at; /* and its place, when no abort is in here; 0: not known */
    struct plan_end crossing;
    lsn_t run;       /* the last list of running transactions: */
    uint32_t next;   /* the next transaction's number then, */
    uint32_t oldest; /* and the oldest that ran */
    /* PLAN_READ */
    size_t detail_at; /* in plan_input.ends: its transactions' ends, by LSN */
    size_t detail_n;
    lsn_t detail_last; /* its last record before `damage` and `minimal` */
};
VEC_DECLARE(plan_segments, struct plan_segment);
VEC_DECLARE(plan_ends, struct plan_end);

/* A timeline. */
struct plan_line {
    tli_t tli;
    tli_t parent; /* 0: none */
    lsn_t birth;  /* where it left its parent */
    bool known;   /* its history is there (or it is the first one) */
    bool inside;  /* no, and nothing else of it: but a backup along it brings all it needs */
};
VEC_DECLARE(plan_lines, struct plan_line);

/* A restore point, or a tablespace that was made; (tli, segno) is the file it was found in. */
struct plan_point {
    tli_t tli;
    uint64_t segno;
    lsn_t lsn;
    int64_t time;
    char name[PLAN_NAME_MAX];
};
VEC_DECLARE(plan_points, struct plan_point);

struct plan_space {
    tli_t tli;
    uint64_t segno;
    lsn_t lsn;
    uint32_t oid;
    char path[PLAN_PATH_MAX];
};
VEC_DECLARE(plan_spaces, struct plan_space);

struct plan_backup {
    char label[PLAN_LABEL_MAX];
    tli_t start_tli;
    tli_t stop_tli;
    lsn_t start;
    lsn_t stop;
    lsn_t last_record; /* of the WAL inside, where nothing is behind it; else 0 */
    int64_t start_time;
    int64_t stop_time;
    uint64_t bytes;
    uint64_t files;
    uint32_t version;
    bool inside;  /* the WAL from start to stop is in the backup */
    bool damaged; /* it cannot be restored: */
    char why[PLAN_TEXT_MAX];
};
VEC_DECLARE(plan_backups, struct plan_backup);

struct expired;

struct plan_input {
    uint32_t segsize;
    const struct expired *expired; /* what was removed on purpose; NULL: nothing */
    struct plan_backups backups;   /* any order */
    struct plan_segments segments; /* by timeline and number */
    struct plan_lines lines;       /* ascending */
    struct plan_points points;
    struct plan_spaces spaces;
    struct plan_ends ends;
};

void plan_input_init(struct plan_input *in, uint32_t segsize);
void plan_input_fini(struct plan_input *in);

/* The segment, or NULL. */
struct plan_segment *plan_segment(const struct plan_input *in, tli_t tli, uint64_t segno);
/* The place of the first segment that is not before it. */
size_t plan_place(const struct plan_input *in, tli_t tli, uint64_t segno);
const struct plan_line *plan_line(const struct plan_input *in, tli_t tli);

/* ---- what is wanted ---- */

enum plan_kind { PLAN_LATEST, PLAN_TIME, PLAN_LSN, PLAN_XID, PLAN_NAME, PLAN_IMMEDIATE };

struct plan_target {
    enum plan_kind kind;
    int64_t time;
    lsn_t lsn;
    uint32_t xid;
    const char *name;
    bool exclusive;
    tli_t timeline;     /* 0: the latest one */
    bool current;       /* instead: the timeline of the backup */
    const char *backup; /* this one only; NULL: the newest that will do */
};

/* ---- the answer ---- */

enum plan_verdict { PLAN_YES, PLAN_NO, PLAN_DETAIL };

/* Why a backup was not chosen, or a target cannot be reached. */
enum plan_why {
    PLAN_CHOSEN,
    PLAN_OLDER,        /* a newer one will do */
    PLAN_UNWANTED,     /* another one was named */
    PLAN_UNUSABLE,     /* it is damaged */
    PLAN_OTHER_BRANCH, /* it is not on the way to the timeline */
    PLAN_TOO_NEW,      /* it ends behind the target */
    PLAN_HOLE,         /* a segment is missing */
    PLAN_EXPIRED,      /* a segment was removed on purpose */
    PLAN_LOST,         /* a segment cannot be read */
    PLAN_DAMAGE,       /* the WAL is broken */
    PLAN_JOIN,         /* two segments do not belong together */
    PLAN_MINIMAL,      /* wal_level was minimal */
    PLAN_ENDS,         /* the archive ends before the target, or before the backup's end */
    PLAN_NOT_FOUND,    /* nothing on the way has that name or number */
    PLAN_DIVERGES,     /* the first segment of a timeline is not there, but its parent goes on */
    PLAN_UNSURE        /* cannot be told without a secret key */
};

struct plan_judged {
    enum plan_why why;
    lsn_t at;       /* where its way ends */
    tli_t tli;      /* and on which timeline, */
    uint64_t segno; /* or which segment is in the way */
};
VEC_DECLARE(plan_judgements, struct plan_judged);

/* A stretch of the WAL chain. */
struct plan_part {
    tli_t tli;
    lsn_t begin; /* where the timeline begins on this path, and where the next one goes on */
    lsn_t end;
    uint64_t first; /* segments first <= n < behind of it are read; equal: none */
    uint64_t behind;
};
VEC_DECLARE(plan_parts, struct plan_part);

/* A moment that can be reached. */
struct plan_near {
    bool is_set;
    bool at_backup; /* the end of a backup: --target-immediate --backup; else --target-lsn */
    size_t backup;
    lsn_t lsn;
    int64_t time; /* the last commit then; COVERAGE_NO_TIME when none is known */
};

struct plan {
    enum plan_verdict verdict;
    size_t detail; /* PLAN_DETAIL: index of the segment to be read, */
    size_t peek;   /* or from where on so many segments' metadata are to be; 0: its records */

    tli_t tli; /* the timeline that is recovered to; 0 with `current` until a backup is chosen */
    size_t backup;                 /* PLAN_YES: index */
    struct plan_judgements judged; /* one per backup, in the input's order */
    struct plan_parts parts;
    uint64_t segments; /* to be read, */
    uint64_t stored;   /* their bytes in the repository */
    uint64_t inside;   /* and how many come with the backup instead */
    lsn_t stop;        /* the record at which it stops; latest: the end of valid WAL */
    bool before;       /* it stops before that record, else behind it */
    int64_t stop_time; /* that record's time, when it ends a transaction or is a restore point */
    struct plan_end reached; /* the last commit that is in; lsn 0: not known exactly */
    int64_t reached_time;    /* its time, as far as summaries tell; COVERAGE_NO_TIME */
    bool unsure;             /* a record between two segments on the way could not be read */
    bool went_back;          /* the backup holds transactions later than the target: the clock was
                                set back */
    bool lost_names;         /* restore points or tablespaces may be missing from a summary */

    enum plan_why why; /* PLAN_NO: the reason that counts */
    lsn_t at;          /* where the way ends */
    tli_t at_tli;
    uint64_t at_segno;
    tli_t elsewhere; /* the name, number or LSN is on this timeline; 0: on none */
    struct plan_near before_target;
    struct plan_near after_target;
};

void plan_init(struct plan *p);
void plan_fini(struct plan *p);

/* Decides; p is initialised and may be used again.  0, or -1 for want of memory. */
int plan_make(struct plan *p, const struct plan_input *in, const struct plan_target *t,
              struct err *e) __attribute__((warn_unused_result));

/* Is what was found in that file, at lsn, replayed by the plan? */
bool plan_replays(const struct plan *p, const struct plan_input *in, tli_t tli, uint64_t segno,
                  lsn_t lsn);

/* The newest timeline that has a history, or the first one.  One that only a backup brings along
 * counts where nothing is archived: the backup of a copy that was opened somewhere else must not
 * become the way that a restore goes by itself. */
tli_t plan_latest(const struct plan_input *in);

/* In one phrase. */
const char *plan_why_text(enum plan_why why);

#endif

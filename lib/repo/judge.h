/*
 * judge: is all well?  Facts in, one verdict per question out.  Pure: whoever gathers the facts
 * (`walden check`) says what it could not see, and the verdict is then "unknown", never "ok".
 *
 * Ages are judged against a limit: beyond it is a warning, beyond twice the limit critical, unless
 * a function says otherwise.  Times are microseconds since 1970; JUDGE_NEVER where there is none.
 */
#ifndef REPO_JUDGE_H
#define REPO_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

enum judge_state { JUDGE_OK, JUDGE_WARNING, JUDGE_CRITICAL, JUDGE_UNKNOWN };

#define JUDGE_NEVER INT64_MIN

enum {
    JUDGE_TEXT_MAX = 512,
    JUDGE_NEXT_MAX = 400,
    JUDGE_NAME_MAX = 200,
    JUDGE_PATH_MAX = 1024,
    JUDGE_VERDICTS_MAX = 64,
    JUDGE_SLOTS_MAX = 64,
    JUDGE_KEYS_MAX = 4,
    JUDGE_COPIES_MAX = 16
};

/* One question: what is so, and what to type next ("": nothing). */
struct judge_verdict {
    const char *name; /* a stable word */
    enum judge_state state;
    char text[JUDGE_TEXT_MAX];
    char next[JUDGE_NEXT_MAX];
};

VEC_DECLARE(judge_verdicts, struct judge_verdict);

/* Each age in microseconds; 0: not judged. */
struct judge_limits {
    uint64_t wal_age;
    uint64_t backup_age;
    uint64_t dump_age;
    uint64_t verify_age;
    uint64_t drill_age;
    uint64_t space_percent; /* free space below this is a warning, below half of it critical */
    uint64_t full_within;   /* a disk that will be full sooner is a warning, in a sixth critical */
};

void judge_limits_init(struct judge_limits *l);

/* --- facts --- */

struct judge_space {
    bool known;
    uint64_t total;
    uint64_t free;
    uint64_t grows; /* bytes per day; 0: not known, or not at all */
};

enum judge_repository {
    JUDGE_REPO_OK,
    JUDGE_REPO_AWAY,  /* not there: unmounted, or the wrong path */
    JUDGE_REPO_WRONG, /* another repository, or no lineage for this server */
    JUDGE_REPO_ERROR  /* keys, rights, damage */
};

struct judge_repo {
    enum judge_repository state;
    char why[ERR_MSG_MAX];
    char hint[JUDGE_NEXT_MAX];
    char path[JUDGE_PATH_MAX];
    bool sealed;
    bool write_tried; /* by looking at owner and mode */
    struct judge_space space;
    bool same_device; /* as the data directory */
    bool inside_pgdata;
    char git[JUDGE_PATH_MAX]; /* the directory whose git tree holds it; "": none */
};

/* What is in the repository. */
struct judge_archive {
    bool read; /* the rest is known */
    char why[ERR_MSG_MAX];
    uint64_t segments;
    uint32_t timeline; /* of the newest segment; 0: there is none */
    uint64_t end;      /* its end, as an LSN */
    uint32_t segment_size;
    int64_t arrived;     /* when the newest segment was stored */
    int64_t last_commit; /* the newest commit in the archive */
    uint64_t holes;      /* missing ranges that matter for a backup or a later timeline */
    char hole[JUDGE_NAME_MAX];
    char hole_then[JUDGE_TEXT_MAX]; /* its consequence */
    uint64_t damaged;               /* other problems */
    char damage[JUDGE_NAME_MAX];
    char damage_then[JUDGE_TEXT_MAX];
    uint64_t backups;
    uint64_t restorable;
    int64_t backup_time; /* when the newest restorable one was finished */
    char backup[JUDGE_NAME_MAX];
    bool host_forgets;                /* no state_dir: no head is remembered */
    char rolled_back[JUDGE_TEXT_MAX]; /* how it is older than it was; "": it is not */
    uint64_t stored;                  /* bytes of WAL */
};

/* What is on record about reading it back. */
struct judge_proof {
    bool known;
    int64_t verified; /* the newest run */
    int64_t swept;    /* when everything had been read */
    bool content;     /* at least decoded, in the newest run */
    uint64_t findings;
    uint64_t good_backups;            /* of those that can be restored: proven sound */
    uint64_t bad_backups;             /* found damaged */
    int64_t drilled;                  /* the newest that succeeded */
    uint64_t drill_us;                /* and how long it took */
    int64_t drill_failed;             /* of what was last drilled without success, the newest */
    char drill_what[JUDGE_NAME_MAX];  /* and what that was; */
    char drill_label[JUDGE_NAME_MAX]; /* its record */
    int64_t since;                    /* the oldest backup or dump that could have been drilled */
    bool key_here;                    /* content could be read on this host */
};

struct judge_dumps {
    bool known;
    uint64_t dumps;
    uint64_t jobs;
    int64_t newest; /* of the job that is the furthest behind */
    char job[JUDGE_NAME_MAX];
};

struct judge_slot {
    char name[64];
    bool active;
    bool lost;         /* wal_status lost or unreserved */
    uint64_t retained; /* bytes of WAL that it keeps */
};

enum judge_server { JUDGE_SERVER_NONE, JUDGE_SERVER_AWAY, JUDGE_SERVER_OK };

struct judge_pg {
    enum judge_server state; /* NONE: it was not asked */
    char why[ERR_MSG_MAX];
    bool in_recovery;
    bool fsync;
    bool full_page_writes;
    bool wal_minimal;
    bool archives;        /* archive_mode on or always */
    bool archive_standby; /* always */
    bool checksums;
    bool pending_restart; /* archive_mode or wal_level was changed, and waits for a restart */
    char archive_command[JUDGE_NAME_MAX]; /* "" when empty or hidden */
    char archive_library[JUDGE_NAME_MAX];
    bool command_is_ours;
    uint64_t archive_timeout; /* microseconds */
    uint64_t lsn;             /* where WAL is written now; 0: not known */
    bool stats;
    uint64_t archived;
    uint64_t failed;
    int64_t last_archived;
    int64_t last_failed;
    char last_failed_wal[64];
    bool ready_known;
    uint64_t ready; /* files that wait */
    int64_t oldest_ready;
    bool wal_known;
    uint64_t wal_bytes; /* in pg_wal */
    struct judge_space wal_space;
    uint64_t wal_rate; /* bytes per day; 0: not known */
    unsigned slots;
    struct judge_slot slot[JUDGE_SLOTS_MAX];
    bool slots_known;
    bool slot_limit; /* max_slot_wal_keep_size is set */
};

struct judge_key {
    char path[JUDGE_PATH_MAX];
    bool missing;
    bool others; /* can be read by others */
    bool secret; /* opens data, without a passphrase */
};

struct judge_host {
    unsigned keys;
    struct judge_key key[JUDGE_KEYS_MAX];
    bool is_database_host;
    bool drops;       /* on_trouble = drop-and-record */
    uint64_t dropped; /* segments that were dropped behind the newest backup */
    char first_dropped[JUDGE_NAME_MAX];
    char dropped_history[JUDGE_NAME_MAX]; /* one that is not in the archive; empty: none */
    char config_error[ERR_MSG_MAX];       /* a mistake that the hooks pass over; "": none */
    char config_hint[JUDGE_NEXT_MAX];
};

/* A copy of the repository that the configuration names. */
struct judge_copy {
    char name[JUDGE_NAME_MAX];
    bool known; /* else why says what is wrong with what is on record of it */
    char why[ERR_MSG_MAX];
    int64_t time; /* of the last run; JUDGE_NEVER */
    bool whole;   /* that run copied everything */
    uint64_t limit;
};

/* The jobs of `walden run`, when it has any. */
struct judge_jobs {
    uint64_t jobs;
    uint64_t failed; /* their last try did not go well */
    char name[JUDGE_NAME_MAX];
    char result[32]; /* of the first of them */
    int64_t ended;
};

struct judge_facts {
    int64_t now;
    bool dumps_only; /* the server does not archive, and nothing was ever archived */
    struct judge_repo repo;
    struct judge_archive archive;
    struct judge_proof proof;
    struct judge_dumps dumps;
    struct judge_pg pg;
    struct judge_host host;
    struct judge_jobs jobs;
    unsigned copies;
    struct judge_copy copy[JUDGE_COPIES_MAX];
};

/* --- verdicts --- */

/* All questions that apply, in a fixed order.  -1: no memory. */
int judge_all(const struct judge_facts *f, const struct judge_limits *l, struct judge_verdicts *out,
              struct err *e) __attribute__((warn_unused_result));

/* The worst: critical, then warning, then unknown, then ok. */
enum judge_state judge_worst(const struct judge_verdicts *v);

/* "ok", "warning", "critical", "unknown". */
const char *judge_word(enum judge_state s);

/* How much is lost if the database host died now, as far as that is known: the time from the newest
 * restorable moment; false when not. */
bool judge_loss(const struct judge_facts *f, uint64_t *us);

enum { JUDGE_AGE_MAX = 32 };

/* "21 s", "14 min", "26 h", "9 days". */
void judge_age(char out[JUDGE_AGE_MAX], uint64_t us);
void judge_bytes(char out[JUDGE_AGE_MAX], uint64_t bytes);

#endif

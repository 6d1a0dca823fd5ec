/*
 * restore: what the parts of `walden restore` and `walden export` share.
 *
 *   restore_target   what was asked for: the options become a target; moments are shown
 *   restore_before   --before-drop and its like: the target just before an accident (finder)
 *   restore_plan     repository, inventory, plan; the refusal with what is near
 *   restore_show     the plan for people and programs
 *   restore_rate     how long it will take
 *   restore_place    the directories: empty, ours, half-done; whose; room enough
 *   restore_used     whose a tablespace is that is there already
 *   restore_conf     recovery settings, signal files, the key that the hook gets
 *   restore_start    the server, run until it has reached the target (restore_server)
 */
#ifndef CATALOG_RESTORE_H
#define CATALOG_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"
#include "cmd_key.h"
#include "lease.h"
#include "place.h"
#include "repo/hook.h"
#include "repo/inventory.h"
#include "repo/unpack.h"

#define RESTORE_MARK "walden-restore.plan"

enum { RESTORE_SCHEMA = 1, RESTORE_MAPS_MAX = 4096 };

enum restore_action { RESTORE_PAUSE, RESTORE_PROMOTE, RESTORE_SHUTDOWN };

struct restore_map {
    char *from;
    char *to; /* absolute */
};
VEC_DECLARE(restore_maps, struct restore_map);

struct restore_options {
    const char *directory;
    const char *time;
    const char *lsn;
    const char *xid;
    const char *name;
    const char *timeline;
    const char *backup;
    const char *owner;
    struct place_owner owner_default; /* where --owner is not given and change is true */
    const char *config_files;
    const char *key_dir;
    const char *passphrase_file;
    const char *wal;          /* export */
    const char *before_table; /* --before-drop and its like: just before that happened to it */
    const char *database;
    unsigned before_kinds; /* bits 1 << enum find_kind */
    int action;            /* enum restore_action, or -1 */
    bool immediate;
    bool exclusive;
    bool delta;
    bool yes;
    bool standby;
    bool become_primary;
    bool dry_run;
    bool accept_older;
    bool start;
    bool json;
    struct restore_maps maps;
};

/* Room that is needed on one filesystem. */
struct restore_room {
    dev_t device;
    uint64_t need;
    uint64_t free;
    char path[PLACE_MAX];
};
VEC_DECLARE(restore_rooms, struct restore_room);

/* Bytes of one tablespace; oid 0 is the data directory. */
struct restore_share {
    uint32_t oid;
    uint64_t bytes;
};
VEC_DECLARE(restore_shares, struct restore_share);

enum restore_state { RESTORE_ABSENT, RESTORE_EMPTY, RESTORE_HALF_DONE, RESTORE_COPY };

/* Large: on the heap. */
struct restore {
    const struct msg *m;
    struct settings *s;
    struct restore_options *o;
    struct repo repo;
    struct object_reader scratch;
    bool has_repo;
    struct inventory inventory;
    bool unseen; /* whether the repository is in its newest state cannot be told here */
    bool has_inventory;
    struct plan plan;
    struct plan_target target;
    bool assumed_zone;             /* the time was given without one */
    struct restore_before *before; /* NULL: no target of that kind */
    char dir[PLACE_MAX];
    char outside[PLACE_MAX];
    char wal[PLACE_MAX]; /* export: where WAL files go; "": restore */
    enum restore_state state;
    struct place_owner owner;
    uid_t uid; /* of the files, also when nothing is changed */
    gid_t gid;
    struct unpack unpack;
    bool has_unpack;
    struct restore_shares shares;
    struct restore_rooms rooms;
    uint64_t rate;        /* measured bytes per second of an earlier restore; 0: none */
    uint64_t replay_rate; /* the same of WAL */
    int64_t rate_time;    /* of the drill that measured; 0: it was none */
    struct lease lease;
    struct buf mark;
    char key[PLACE_MAX]; /* the key that the hook gets; "" */
    bool showed_progress;
    bool printed;          /* the plan is on standard output */
    bool unpacked;         /* the files are in place, with pg_control */
    struct hook_set hooks; /* empty when nothing that others use is changed */
    bool paused;           /* the pre hook was run */
    bool changed;          /* the directory is not what it was */
    int64_t started;
};

/* ---- target ---- */

/* Fills r->target and checks that the options go together. */
int restore_target(struct restore *r, struct err *e) __attribute__((warn_unused_result));

enum { RESTORE_TARGET_TEXT = 1024 };

/* "time 2026-... = ...", "the end of the archive". */
void restore_target_text(const struct restore *r, char out[RESTORE_TARGET_TEXT]);

/* The same as recovery settings, one "name = 'value'" a line, target and timeline only. */
int restore_target_settings(const struct restore *r, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));

/* ---- before ---- */

struct restore_server;
struct find_candidate;

/* Options for --before-drop, --before-truncate, --before-deletes. */
int restore_take_before(void *into, const struct opt *o, const char *text, struct err *e);

/* After restore_open: makes the target of what was asked for, when that was an accident. */
int restore_before(struct restore *r, struct err *e) __attribute__((warn_unused_result));
void restore_before_free(struct restore *r);
/* What it was; NULL without such a target. */
const struct find_candidate *restore_before_what(const struct restore *r);

/* "just before table public.orders of database app was dropped", and which moment that is. */
void restore_before_text(const struct restore *r, char *out, size_t cap);
int restore_before_show(const struct restore *r, struct buf *b, struct err *e)
    __attribute__((warn_unused_result));

enum { RESTORE_PROOF_TEXT = 640 };

/* Reads from the table on the running copy: 0 and what was proven (""; nothing was asked); -1 when
 * it cannot be read. */
int restore_before_prove(const struct restore *r, const struct restore_server *s,
                         char said[RESTORE_PROOF_TEXT], struct err *e)
    __attribute__((warn_unused_result));

/* ---- plan ---- */

/* Opens the repository and plans.  -1 also when the target cannot be reached (ERR_HOLE, with what
 * is near); p->verdict then says so. */
int restore_open(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Refuses an older state of the repository than this host has seen. */
int restore_heads(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Says that nobody can tell, where that is so; once it is clear that something is restored. */
void restore_tell_unseen(const struct restore *r);
int restore_plan(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Looks into the chosen backup. */
int restore_look(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Keeps the lease alive; to be called often. */
int restore_beat(struct restore *r, struct err *e) __attribute__((warn_unused_result));
void restore_close(struct restore *r);

const struct plan_backup *restore_backup(const struct restore *r);

/* Options that reach a near moment: "--target-lsn 0/3000028". */
void restore_near_text(const struct restore *r, const struct plan_near *n, char *out, size_t cap);

/* ---- show ---- */

int restore_show(struct restore *r, struct err *e) __attribute__((warn_unused_result));
int restore_json(struct restore *r, const struct err *refused, struct err *e)
    __attribute__((warn_unused_result));

/* ---- rate ---- */

/* What was measured: by the last drill of the lineage, else by the last restore of this host. */
void restore_rate_load(struct restore *r);
void restore_rate_keep(const struct restore *r, uint64_t bytes, int64_t us);

/* Seconds that the copy and the replay will take, by what was measured, else assumed. */
uint64_t restore_seconds(const struct restore *r);

enum { RESTORE_RATE_TEXT = 64 };
void restore_rate_text(const struct restore *r, char out[RESTORE_RATE_TEXT]);

/* ---- place ---- */

/* Who that is on this machine; ERR_USAGE when there is nobody of that name. */
int restore_find_user(const char *name, uid_t *uid, gid_t *gid, struct err *e)
    __attribute__((warn_unused_result));

/* r->dir, r->state, r->owner. */
int restore_place(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* After restore_look: mappings, tablespace directories, what would be replayed onto them, room. */
int restore_check(struct restore *r, struct err *e) __attribute__((warn_unused_result));
int restore_check_room(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Does another data directory have the tablespace?  who: it, for people. */
bool restore_space_used(const struct restore *r, const struct unpack_space *space,
                        char who[PLACE_MAX]);
/* After unpack_begin: nobody else is at work there. */
int restore_lock(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* The mark of a half-done restore. */
int restore_mark(struct restore *r, struct err *e) __attribute__((warn_unused_result));
int restore_unmark(struct restore *r, struct err *e) __attribute__((warn_unused_result));

/* ---- conf ---- */

int restore_key(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Removes the key that the hook of a copy in that directory was handed. */
void restore_key_forget(const char *dir);
/* Appends " --config ..." and what else another of our programs needs to see the same repository:
 * settings that this call was given; the rest stays in the configuration. */
int restore_settings_words(const struct settings *s, struct buf *b, struct err *e)
    __attribute__((warn_unused_result));
int restore_conf(struct restore *r, struct err *e) __attribute__((warn_unused_result));

/* ---- the copying itself (cmd_restore) ---- */

/* A zeroed struct with its options; NULL without memory. */
struct restore *restore_new(const struct msg *m, struct settings *s, struct restore_options *o,
                            struct err *e);
void restore_free(struct restore *r);

/* A run of restore or export with its options; returns the exit status. */
/* ---- restore_hook.c: [hook restore], around a copy that takes the original's place ---- */

/* Before anything is changed: -1 stops. */
int restore_pre(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* The files are complete; it may start the server and ask it.  -1 stops. */
int restore_gate(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* After all, unless the directory was left in pieces.  status is that of the work (-1: *e); the
 * value is that of all. */
int restore_post(struct restore *r, int status, struct err *e) __attribute__((warn_unused_result));

typedef int restore_run(struct restore *r, struct err *e);
int restore_main(const struct opt_program *program, const struct opt *options, size_t n,
                 restore_run *run, int argc, char **argv);

/* An opt_call for --tablespace-mapping. */
int restore_take_mapping(void *into, const struct opt *o, const char *text, struct err *e);

/* All files but pg_control; with the mark before. */
int restore_copy(struct restore *r, struct err *e) __attribute__((warn_unused_result));
/* Settings, flush, pg_control; the mark goes. */
int restore_finish(struct restore *r, struct err *e) __attribute__((warn_unused_result));

/* ---- start ---- */

/* Starts the server and waits for the target.  The exit status, or -1. */
int restore_start(struct restore *r, struct err *e) __attribute__((warn_unused_result));

#endif

/*
 * store: where objects are kept.  Today a directory; this header is what a driver for object
 * storage has to offer.
 *
 * The store speaks typed names: a kind, a timeline and a name, inside a lineage.  Only the driver
 * turns them into paths.  Reading needs a `struct store`, writing a `struct store_writer`, which
 * only programs that write make: a restore cannot change a repository by mistake.  An object
 * appears whole and durable or not at all (os/publish); putting a name that exists answers
 * STORE_EXISTS and changes nothing.
 */
#ifndef REPO_STORE_H
#define REPO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "object/frame.h"
#include "object/reader.h"
#include "os/publish.h"
#include "os/root.h"
#include "stream/sink.h"

/* Answers that are not errors. */
enum { STORE_ABSENT = 1, STORE_EXISTS = 2 };

enum {
    STORE_BUFFER = 1024 * 1024,
    STORE_PACK_BUFFER = 256 * 1024, /* packs are long, and a backup has several in hand */
    STORE_PATH_MAX = 256,
    STORE_TEXT_MAX = 16 * 1024 * 1024
};

struct store {
    struct os_root root;
};

/* Opens the place.  -1 with ERR_UNREACHABLE when it is not there. */
int store_open(struct store *s, const char *path, struct err *e)
    __attribute__((warn_unused_result));
void store_close(struct store *s);

/* One cluster of the repository. */
struct store_lineage {
    const char *cluster;
    uint64_t system_id;
};

struct store_name {
    enum object_kind kind;
    uint32_t timeline; /* WAL kinds */
    const char *name;  /* the object's name */
    const char *job;   /* dumps */
};

/* The path below the repository, for messages. */
void store_show(const struct store_lineage *l, const struct store_name *n,
                char out[STORE_PATH_MAX]);

/* --- reading --- */

struct store_object {
    int fd;
    uint64_t stamp; /* see struct store_seen */
    char shown[STORE_PATH_MAX];
    struct object_source source;
};

/* 0, STORE_ABSENT, -1.  The handle must stay where it is until store_release. */
int store_get(struct store *s, const struct store_lineage *l, const struct store_name *n,
              struct store_object *o, struct err *e) __attribute__((warn_unused_result));
void store_release(struct store_object *o);

/* 0, STORE_ABSENT, -1. */
int store_has(struct store *s, const struct store_lineage *l, const struct store_name *n,
              struct err *e) __attribute__((warn_unused_result));

/* When the place got it, by its own clock, in microseconds since 1970.  0, STORE_ABSENT, -1. */
int store_stored_at(struct store *s, const struct store_lineage *l, const struct store_name *n,
                    int64_t *time, struct err *e) __attribute__((warn_unused_result));

/* The small text files: the marker (l NULL), a lineage's `cluster` and `sealed`.  *text is freed
 * by the caller.  0, STORE_ABSENT, -1. */
int store_get_text(struct store *s, const struct store_lineage *l, const char *file, char **text,
                   size_t *len, struct err *e) __attribute__((warn_unused_result));

/* Tells one marker file from the one that replaced it. */
int store_marker_stamp(struct store *s, const char *file, uint64_t *stamp, struct err *e)
    __attribute__((warn_unused_result));

/* Listings.  fn gets each name; 0 goes on, positive stops and is returned, -1 is an error.  Absent
 * directories list nothing.  A listing may be expensive: ask for the narrowest. */
typedef int (*store_each_fn)(void *arg, const char *name, struct err *e);
int store_each_cluster(struct store *s, store_each_fn fn, void *arg, struct err *e);
int store_each_lineage(struct store *s, const char *cluster, store_each_fn fn, void *arg,
                       struct err *e);

/* Timelines and, inside one, the groups (second field of a segment name), as numbers ascending;
 * the names inside a group sorted.  tli with history files only still counts. */
typedef int (*store_number_fn)(void *arg, uint32_t number, struct err *e);
int store_each_timeline(struct store *s, const struct store_lineage *l, store_number_fn fn,
                        void *arg, struct err *e);
int store_each_group(struct store *s, const struct store_lineage *l, uint32_t timeline,
                     store_number_fn fn, void *arg, struct err *e);
/* 1: there is a place for WAL and no timeline in it, which no writer leaves: whoever makes the
 * place makes a timeline in it, and that stays.  0, -1. */
int store_wal_is_bare(struct store *s, const struct store_lineage *l, struct err *e);
/* The same with what a listing tells beside the name. */
struct store_seen {
    const char *name;
    uint64_t size;
    uint64_t stamp; /* changes with the content unless somebody sees to it that it does not: the
                       time of the last change, nanoseconds since 1970; 0: it was not looked at */
};
typedef int (*store_seen_fn)(void *arg, const struct store_seen *seen, struct err *e);
/* still: where the place can tell that since this moment no name came, went or was replaced, names
 * alone are told, which asks for nothing of each object.  0: all is wanted. */
int store_each_wal_seen(struct store *s, const struct store_lineage *l, uint32_t timeline,
                        uint32_t group, uint64_t still, store_seen_fn fn, void *arg, struct err *e);

/* One object's size and stamp.  0, STORE_ABSENT, -1. */
int store_look(struct store *s, const struct store_lineage *l, const struct store_name *n,
               struct store_seen *seen, struct err *e) __attribute__((warn_unused_result));

int store_each_wal(struct store *s, const struct store_lineage *l, uint32_t timeline,
                   uint32_t group, store_each_fn fn, void *arg, struct err *e);

/* The names in the directory of MANIFEST, PACK, VERIFIED, PIN, EXPIRE and CONDEMNED, INTENT and
 * LEASE objects (the last two pairs share one). */
int store_each_object(struct store *s, const struct store_lineage *l, enum object_kind kind,
                      store_each_fn fn, void *arg, struct err *e);

/* The jobs that have dumps, and the names in one job's directory. */
int store_each_job(struct store *s, const struct store_lineage *l, store_each_fn fn, void *arg,
                   struct err *e);
int store_each_dump(struct store *s, const struct store_lineage *l, const char *job,
                    store_each_fn fn, void *arg, struct err *e);

/* --- writing --- */

struct store_writer {
    struct store *store;
    bool group; /* modes, from the marker */
};

struct store_put {
    struct sink sink; /* PHASE_STORE: feed an object_writer into it */
    struct publish publish;
    char dir[STORE_PATH_MAX];
    char shown[STORE_PATH_MAX];
    uint64_t total;   /* bytes taken, */
    uint64_t flushed; /* and handed to the kernel */
    size_t held;
    size_t gather; /* bytes per write; what is behind them in the buffer is never touched */
    uint8_t buffer[STORE_BUFFER];
};

/* Begin, feed `put->sink`, commit: 0, STORE_EXISTS (nothing changed), -1.  abort accepts any state
 * after a zeroed struct and is what clean-up calls. */
int store_put_begin(struct store_writer *w, const struct store_lineage *l,
                    const struct store_name *n, struct store_put *put, struct err *e)
    __attribute__((warn_unused_result));
int store_put_commit(struct store_put *put, struct err *e) __attribute__((warn_unused_result));
/* What was fed so far, to be read back before the commit; *source is valid until then. */
int store_put_read(struct store_put *put, struct object_source *source, struct err *e)
    __attribute__((warn_unused_result));
/* Size and stamp of what was committed; false when they are not known. */
bool store_put_seen(const struct store_put *put, struct store_seen *seen);
void store_put_abort(struct store_put *put);

/* Makes sure that an object that was found is on stable storage, with its name. */
int store_confirm(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                  struct err *e) __attribute__((warn_unused_result));

/* Removes an object.  Not flushed: after a power cut it may be there again, and readers live with
 * that.  0, STORE_ABSENT, -1. */
int store_remove(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                 struct err *e) __attribute__((warn_unused_result));

/* Removes, of one group of WAL names, those that `take` answers 1 for (0: stays, -1: error), and
 * makes that durable with one flush.  drop_empty: removes the directory as well when nothing is
 * left; only where no archiver writes any more.  *removed is added to. */
int store_remove_wal(struct store_writer *w, const struct store_lineage *l, uint32_t timeline,
                     uint32_t group, bool drop_empty, store_each_fn take, void *arg,
                     uint64_t *removed, struct err *e) __attribute__((warn_unused_result));

/* Makes removals from the directory of a kind durable (see store_each_object; DUMP: of its job). */
int store_flush(struct store_writer *w, const struct store_lineage *l, const struct store_name *n,
                struct err *e) __attribute__((warn_unused_result));

/* Makes the directory of a kind and locks it among the programs of this host: 0 with *fd, to be
 * closed; 1 when another one holds it; -1. */
int store_lock_kind(struct store_writer *w, const struct store_lineage *l, enum object_kind kind,
                    int *fd, struct err *e) __attribute__((warn_unused_result));

/* Removes what dead writers left half-written in the directory of a kind (see store_each_object).
 */
int store_sweep(struct store_writer *w, const struct store_lineage *l, enum object_kind kind,
                struct err *e) __attribute__((warn_unused_result));
int store_sweep_dumps(struct store_writer *w, const struct store_lineage *l, const char *job,
                      struct err *e) __attribute__((warn_unused_result));

/* Small text files.  replace: the lineage file may be replaced (under store_lock). */
int store_put_text(struct store_writer *w, const struct store_lineage *l, const char *file,
                   const void *text, size_t len, bool replace, struct err *e)
    __attribute__((warn_unused_result));

/* Makes a lineage's directory and locks it for whoever changes its text files; close *fd to let
 * go. */
int store_lock(struct store_writer *w, const struct store_lineage *l, int *fd, struct err *e)
    __attribute__((warn_unused_result));

#endif

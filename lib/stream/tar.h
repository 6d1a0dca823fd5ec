/*
 * tar: reads the archives of a base backup, as input from a stranger.
 *
 * A server sends one archive per tablespace and one for the data directory: plain ustar, names of
 * at most 99 bytes, no extension records.  The reader takes exactly that and refuses the rest:
 * whatever writes files from what it hands on cannot be led outside its directory by a name, and
 * no header can make it wait or allocate.  It keeps one header and no content.
 *
 * The reader is the end of a chain (struct sink); members are handed on as they arrive.  That no
 * path comes twice is for the consumer to see, who has an index of them or a directory.
 */
#ifndef STREAM_TAR_H
#define STREAM_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stream/sink.h"

enum { TAR_BLOCK = 512, TAR_NAME_MAX = 100 /* with the closing 0 */ };

#define TAR_SIZE_MAX (UINT64_C(1) << 44) /* of one member: no filesystem here has larger files */

enum tar_type { TAR_FILE, TAR_DIR, TAR_LINK };

struct tar_member {
    char path[TAR_NAME_MAX]; /* relative: no leading "./", no closing slash, no "." or ".." */
    enum tar_type type;
    uint32_t mode;             /* permission bits, 07777 */
    uint64_t size;             /* of a file; else 0 */
    int64_t mtime;             /* seconds since 1970; negative where a clock was wrong */
    char target[TAR_NAME_MAX]; /* of a link: an absolute path; else "" */
};

/* What the reader calls.  Each returns 0, or -1 with *e filled, which ends the reading. */
struct tar_events {
    /* A member begins; m is valid until its end. */
    int (*begin)(void *arg, const struct tar_member *m, struct err *e);
    /* m->size bytes in all, in pieces as they arrived. */
    int (*data)(void *arg, const uint8_t *bytes, size_t len, struct err *e);
    int (*end)(void *arg, struct err *e);
    /* The archive is over, and whole as far as it can tell. */
    int (*archive_end)(void *arg, struct err *e);
    /* It was given up instead.  May be NULL. */
    void (*abort)(void *arg);
};

enum tar_flags {
    TAR_LINKS = 1,  /* links pg_tblspc/OID may be in it: the data directory's archive */
    TAR_NO_END = 2, /* the closing blocks may be missing: servers of 13 and 14 */
};

struct tar {
    struct sink sink;
    const struct tar_events *events;
    void *arg;
    unsigned flags;
    int state;
    size_t have;      /* bytes of the header in hand */
    uint64_t left;    /* content still to come */
    uint32_t padding; /* zeros still to come after it */
    uint64_t offset;  /* of the next byte in the archive, for messages */
    uint8_t header[TAR_BLOCK];
    struct tar_member member;
};

/*
 * A reader of one archive.  events and arg are borrowed.  sink_write fails with ERR_DAMAGED when
 * the bytes are no archive, with ERR_REFUSED when a member is of a kind or has a name that no
 * server sends; sink_finish with ERR_DAMAGED when the archive is cut off.
 */
void tar_init(struct tar *t, const struct tar_events *events, void *arg, unsigned flags,
              enum sink_phase phase);

#endif

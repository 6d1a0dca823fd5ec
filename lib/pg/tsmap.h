/*
 * tsmap: tablespace_map, the file that stands for a backup's links below pg_tblspc.
 *
 * One line per tablespace: its OID, a blank, the path.  A newline, carriage return or backslash in
 * the path has a backslash in front.
 */
#ifndef PG_TSMAP_H
#define PG_TSMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { TSMAP_PATH_MAX = 1024 /* with the closing 0 */ };

/* One line.  path is valid during the call.  0, or -1 with *e filled, which ends the reading. */
typedef int tsmap_line(void *arg, uint32_t oid, const char *path, struct err *e);

/* Calls fn for each line.  -1 with ERR_DAMAGED for what no server writes: an OID or path that is
 * none, a path that is not absolute, a last line without its end. */
int tsmap_parse(const char *text, size_t n, tsmap_line *fn, void *arg, struct err *e)
    __attribute__((warn_unused_result));

/* Appends a line. */
int tsmap_add(struct buf *b, uint32_t oid, const char *path, struct err *e)
    __attribute__((warn_unused_result));

#endif

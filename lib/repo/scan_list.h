/*
 * scan_list: lists the WAL of a timeline, several directories at once.
 *
 * A listing with sizes and times asks for one inode per segment.  When these are not in memory the
 * disk is waited for again and again, in which time nothing else happens; several threads that read
 * ahead keep it busy.  What is delivered, and in which order, is the same.
 */
#ifndef REPO_SCAN_LIST_H
#define REPO_SCAN_LIST_H

#include "repo/repo.h"

/* Until when all names of a directory are known, see store_each_wal_seen.  Called in any thread. */
typedef uint64_t (*scan_still_fn)(void *arg, uint32_t timeline, uint32_t group);

/* Calls fn with every name in the timeline's directories, by directory and name; it is called by
 * the caller's thread alone.  still: NULL: sizes and times are asked for everywhere; they are in
 * the timeline's last directory in any case.  0, or what fn answered, or -1. */
int scan_list(struct repo *r, uint32_t timeline, scan_still_fn still, store_seen_fn fn, void *arg,
              struct err *e) __attribute__((warn_unused_result));

#endif

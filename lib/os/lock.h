/*
 * lock: flock(2) on an open file or directory; it goes when the last descriptor does, so a crashed
 * holder leaves nothing behind.
 */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include <stdbool.h>

#include "base/err.h"
#include "os/sys.h"

enum os_lock_kind { OS_LOCK_SHARED, OS_LOCK_EXCLUSIVE };

/*
 * 0: held.  OS_BUSY: another holds it (only without wait).  OS_UNSUPPORTED: no locks on this
 * filesystem.  -1.
 */
int os_lock(int fd, enum os_lock_kind kind, bool wait, const char *what, struct err *err);

/* Lets go early; closing does it too. */
void os_unlock(int fd);

#endif

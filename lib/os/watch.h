/*
 * watch: runs the work of a hook in a child under a deadline that holds.
 *
 * A disk that is gone puts a process into uninterruptible sleep, where no signal and no timer
 * reaches it; a server that waits for such an archive_command cannot shut down.  So the work is
 * done in a child, and the parent, which holds no descriptor of the repository, gives up when the
 * time is over: it kills the child, waits a moment for it and returns even if the child cannot
 * die yet.  When the parent dies the kernel kills the child (PR_SET_PDEATHSIG).
 *
 * The result comes back through a pipe; the child's exit status is never passed on.
 *
 * Who has little patience for work that does not begin, but all the time for work that runs, sets
 * a limit for its sign of life as well (a standby: a repository that is away must not hold up
 * streaming, a slow one must not be taken for away).
 */
#ifndef OS_WATCH_H
#define OS_WATCH_H

#include <stdint.h>

#include "base/err.h"
#include "os/signal.h"

struct os_watch {
    /* The work, in the child.  Its return value (0 to 255) becomes *status.  It opens all it needs
       itself; stdout and stderr are the parent's. */
    int (*work)(void *arg, struct err *err);
    void *arg;
    int64_t deadline_us;         /* by os_mono_us(); 0: none */
    int64_t sign_us;             /* the same for os_watch_sign; 0: no sign is asked for */
    enum os_signal_mode signals; /* given to os_signal_hold; main calls that first as well */
};

/*
 * 0: the work ended; *status is what it returned and *err what it recorded (maybe nothing).
 * -1: it did not, and *err says why:
 *   ERR_TIMEOUT      the deadline passed, or the limit for the sign without one;
 *   ERR_INTERRUPTED  a signal reached us (the child is killed);
 *   ERR_INTERNAL     the child ended without a result (crashed, killed by somebody);
 *   ERR_IO, ERR_NOMEM  no child could be started.
 * The caller exits with a code of its own choice; err->sys holds the signal's number for
 * ERR_INTERRUPTED and for a child that died of one.
 */
int os_watch_run(const struct os_watch *watch, int *status, struct err *err);

/* In the child: the work is under way.  Does nothing where no sign was asked for, or anywhere else.
 */
void os_watch_sign(void);

#endif

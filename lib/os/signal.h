/*
 * signal: the signals that ask a program to stop.
 *
 * PostgreSQL restarts its archiver when an archive_command dies from a signal, so no hook may die
 * from one that it can avoid.  Two ways, one call first in main:
 *
 *   os_signal_hold    for a hook: blocks them all with one system call; os_watch_run collects them.
 *                     A held signal that nobody collects is simply forgotten at exit.
 *   os_signal_catch   for a command a person runs: a handler records the first one; blocking calls
 *                     of lib/os then end with ERR_INTERRUPTED, and long loops ask os_signal_check.
 */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

#include <signal.h>

#include "base/err.h"

enum os_signal_mode {
    OS_SIGNAL_ALL,     /* every signal that would end us and is no fault of our own */
    OS_SIGNAL_BUT_TERM /* SIGTERM keeps its default: restore_command's contract */
};

/*
 * Both leave SIGSEGV and its like alone, make SIGPIPE and SIGXFSZ ignored (the write fails instead)
 * and set SIGCHLD so that children can be waited for.  They cannot fail.
 */
void os_signal_hold(enum os_signal_mode mode);
void os_signal_catch(enum os_signal_mode mode); /* inherited SIG_IGN (nohup) stays ignored */

/* Fills *set with what os_signal_hold blocks, and SIGCHLD. */
void os_signal_held(enum os_signal_mode mode, sigset_t *set);

/* Default dispositions and an empty mask: for a new child. */
void os_signal_default(void);

/* Is it one of those whose default ends a process from outside (SIGTERM, not SIGSEGV)? */
int os_signal_is_stop(int sig);

/* The first signal caught by the handler, or 0. */
int os_signal_got(void);

/* -1 with ERR_INTERRUPTED (err->sys = signal) when one was caught, else 0. */
int os_signal_check(struct err *err);

/* Forgets the signal that was caught. */
void os_signal_forget(void);

/* Takes that back. */
void os_signal_again(void);

/* "SIGTERM" and so on; "SIG?" for one without a name here; never NULL. */
const char *os_signal_name(int sig);

#endif

/*
 * proc: runs another program: an argument vector, never a shell.
 *
 * The child gets default signal handlers, an empty signal mask, the three standard descriptors as
 * asked, and nothing else.  A program that cannot be executed is an error of os_proc_spawn, not an
 * exit status.
 */
#ifndef OS_PROC_H
#define OS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "os/sys.h"

/* For the descriptors of struct os_proc_spec; any value >= 0 is a descriptor that stays ours. */
enum { OS_PROC_INHERIT = -1, OS_PROC_NULL = -2, OS_PROC_PIPE = -3 };

struct os_proc_spec {
    const char *const *argv; /* argv[0] is looked up in PATH unless it has a slash */
    const char *const *env;  /* whole environment; NULL: ours */
    const char *cwd;         /* NULL: ours */
    int in, out, err;        /* OS_PROC_* or a descriptor */
    bool own_group;          /* a process group of its own: os_proc_kill reaches its children */
    bool die_with_us;        /* PR_SET_PDEATHSIG = SIGKILL */
    bool drop_user;          /* become uid and gid first */
    uid_t uid;
    gid_t gid;
};

#define OS_PROC_SPEC_INIT                                                                          \
    {                                                                                              \
        .in = OS_PROC_INHERIT, .out = OS_PROC_INHERIT, .err = OS_PROC_INHERIT                      \
    }

struct os_proc {
    pid_t pid;        /* 0: none */
    int in, out, err; /* our ends of the pipes that were asked for, else -1 */
    bool running;
    bool group;
    int exit_code; /* when done: exit status, or 128 + signal */
    int signal;    /* when done: the signal that ended it, or 0 */
};

#define OS_PROC_INIT                                                                               \
    {                                                                                              \
        .pid = 0, .in = -1, .out = -1, .err = -1                                                   \
    }

/* 0; -1 also when the program could not be executed (err->sys says why, ENOENT for "not found"). */
int os_proc_spawn(struct os_proc *proc, const struct os_proc_spec *spec, struct err *err);

/*
 * Waits until it ended or deadline_us (by os_mono_us(); 0: none; 1: only look) passed.
 * 0: ended, exit_code and signal are set.  OS_BUSY: still runs.  -1: ERR_INTERRUPTED when a
 * signal was caught (the child still runs), or a failed call.
 */
int os_proc_wait(struct os_proc *proc, int64_t deadline_us, struct err *err);

/* Sends a signal to a running child (its group with own_group); nothing when it has ended. */
void os_proc_kill(const struct os_proc *proc, int sig);

/* Closes the pipes; a child that still runs is killed and waited for a second at most. */
void os_proc_fini(struct os_proc *proc);

/*
 * Waits until fd is ready for events (POLLIN, POLLOUT) or the deadline (0: none) passed.
 * 0: ready (or closed by the other side).  OS_BUSY: the deadline passed.  -1: ERR_INTERRUPTED,
 * ERR_IO.
 */
int os_wait_fd(int fd, short events, int64_t deadline_us, struct err *err);

/* The same for several descriptors; fd -1 is passed over, ready is set.  0: at least one is ready.
 */
struct os_wait {
    int fd;
    short events;
    bool ready;
};

enum { OS_WAIT_MAX = 4 };

int os_wait_fds(struct os_wait *w, size_t n, int64_t deadline_us, struct err *err);

/* Takes the status of children that nobody waits for, which the kernel gave to us because we are
 * the first process of a container.  Only while no child of our own runs. */
void os_proc_reap(void);

/* Is there a process of that number (it may not be ours)? */
bool os_proc_alive(pid_t pid);

/* Gives up root for good: supplementary groups, group, user.  PR_SET_PDEATHSIG, which a change of
 * user clears, stays as it was. */
int os_become(uid_t uid, gid_t gid, struct err *err);

/* What root writes somewhere, the owner of that place could neither read nor replace: as root,
 * becomes the user whom `path` belongs to, unless that is root.  1 became, 0 nothing to do (also
 * when there is no such file), -1. */
int os_become_owner(const char *path, struct err *err);

/* For a process that will hold keys: no core dump.  Programs that it starts may dump core again.
 * os_hide_memory is for one that can open the backups: no other process of this user may look into
 * its memory, either (nor trace it, nor see its descriptors).  They cannot fail: without them the
 * process works the same. */
void os_keep_secrets(void);
void os_hide_memory(void);

#endif

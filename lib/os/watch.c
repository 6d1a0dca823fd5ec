#include "os/watch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "os/time.h"

/* How long a killed child is waited for before we return without it. */
enum { GRACE_US = 200 * 1000 };

enum { UNDER_WAY = -1 };

/* What the child sends through the pipe, each in one write that the kernel keeps whole: maybe a
   sign of life (UNDER_WAY), then the result. */
struct result {
    int status;
    struct err err;
};

_Static_assert(sizeof(struct result) <= 4096, "a result must fit into PIPE_BUF");

struct child {
    pid_t pid;
    int pipe;
    bool ended;
    int how; /* waitpid's status, when ended */
    bool sign;
    bool done; /* the result is here */
    struct result result;
};

/* In the child that was asked for a sign: the pipe. */
static int sign_pipe = -1;

void os_watch_sign(void)
{
    struct result sign;
    struct err none = {0};

    if (sign_pipe < 0)
        return;
    memset(&sign, 0, sizeof sign);
    sign.status = UNDER_WAY;
    /* A sign that is not heard costs an attempt, nothing more. */
    (void)os_write_full(sign_pipe, &sign, sizeof sign, "sign", &none);
    sign_pipe = -1;
}

static _Noreturn void be_child(const struct os_watch *watch, int out, pid_t parent)
{
    struct result result;
    struct err none = {0};
    sigset_t empty;

    /* If we are killed by SIGKILL the kernel kills the child; if we were already gone when it asked
       for that, it sees another parent and ends by itself. */
    (void)os_sys->prctl(PR_SET_PDEATHSIG, SIGKILL); /* the number is valid */
    if (os_sys->getppid() != parent)
        _exit(1);
    sigemptyset(&empty);
    (void)os_sys->sigprocmask(SIG_SETMASK, &empty, NULL); /* the arguments are valid */
    if (watch->sign_us != 0)
        sign_pipe = out;
    memset(&result, 0, sizeof result);
    result.status = watch->work(watch->arg, &result.err);
    /* A result that cannot be sent is a child without one: the parent reports that. */
    (void)os_write_full(out, &result, sizeof result, "result", &none);
    _exit(0);
}

/* Notes whether the child has ended; never blocks. */
static void look(struct child *child)
{
    pid_t pid;

    if (child->ended)
        return;
    do {
        pid = os_sys->waitpid(child->pid, &child->how, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid == child->pid)
        child->ended = true;
    if (pid < 0) { /* ECHILD: somebody else took it; the result tells all we need */
        child->ended = true;
        child->how = 0;
    }
}

/*
 * Sleeps until a held signal or the moment `until` (0: for ever).  Returns the signal, 0 when the
 * time is over.  SIGCHLD is a signal like any other here.
 */
static int next_signal(const sigset_t *held, int64_t until)
{
    for (;;) {
        int64_t left = until == 0 ? 0 : until - os_mono_us();
        struct timespec ts = {.tv_sec = 0, .tv_nsec = 0};
        int sig;

        if (left > 0) {
            ts.tv_sec = (time_t)(left / 1000000);
            ts.tv_nsec = (long)(left % 1000000) * 1000;
        }
        sig = os_sys->sigtimedwait(held, NULL, until == 0 ? NULL : &ts);
        if (sig > 0)
            return sig;
        if (errno == EINTR)
            continue; /* a stop and continue, or a debugger */
        if (until != 0 && os_mono_us() >= until)
            return 0;
        if (errno != EAGAIN)
            os_sleep_us(10000); /* cannot happen; must not become a busy loop */
    }
}

static bool is_ignored(int sig)
{
    struct sigaction old;

    return os_sys->sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

/* Waits for the end of the child: 0, ERR_TIMEOUT or ERR_INTERRUPTED in *why with the signal. */
static enum err_code wait_end(struct child *child, const sigset_t *held, int64_t until, int *sig)
{
    for (;;) {
        look(child);
        if (child->ended)
            return ERR_NONE;
        *sig = next_signal(held, until);
        if (*sig == 0)
            return ERR_TIMEOUT;
        if (*sig != SIGCHLD && !is_ignored(*sig))
            return ERR_INTERRUPTED;
    }
}

/* Kills the child and gives it a moment; it may sit in a call that cannot be interrupted. */
static void end_child(struct child *child, const sigset_t *held)
{
    int64_t until = os_mono_us() + GRACE_US;
    int sig;

    (void)os_sys->kill(child->pid, SIGKILL); /* it is ours and not yet waited for */
    while (wait_end(child, held, until, &sig) == ERR_INTERRUPTED)
        continue;
}

/* Takes what the child has sent; never blocks. */
static void hear(struct child *child)
{
    const struct timespec now = {.tv_sec = 0, .tv_nsec = 0};
    struct err none = {0};
    size_t got = 0;
    int n;

    while (!child->done) {
        struct pollfd ready = {.fd = child->pipe, .events = POLLIN};

        do {
            n = os_sys->ppoll(&ready, 1, &now, NULL);
        } while (n < 0 && errno == EINTR);
        if (n != 1 || (ready.revents & POLLIN) == 0)
            return;
        /* One read: what is sent was written in one piece, and a second could block. */
        if (os_read(child->pipe, &child->result, sizeof child->result, &got, "result", &none) < 0 ||
            got != sizeof child->result)
            return;
        child->sign = true;
        child->done = child->result.status != UNDER_WAY;
    }
}

/* Waits for the end of the work, first for its sign where one is asked for.  *limit: what passed.
 */
static enum err_code wait_work(const struct os_watch *watch, struct child *child,
                               const sigset_t *held, int64_t *limit, int *sig)
{
    enum err_code why;

    *limit = watch->sign_us;
    if (*limit != 0) {
        why = wait_end(child, held, *limit, sig);
        if (why != ERR_TIMEOUT)
            return why;
        hear(child);
        if (!child->sign)
            return why;
    }
    *limit = watch->deadline_us;
    return wait_end(child, held, *limit, sig);
}

static int explain_end(const struct child *child, struct err *err)
{
    int sig;

    if (child->ended && WIFSIGNALED(child->how)) {
        sig = WTERMSIG(child->how);
        (void)err_set(err, os_signal_is_stop(sig) ? ERR_INTERRUPTED : ERR_INTERNAL,
                      "worker process was ended by signal %s (%d)", os_signal_name(sig), sig);
        err->sys = sig;
        return -1;
    }
    return err_set(err, ERR_INTERNAL, "worker process ended without a result (exit status %d)",
                   child->ended && WIFEXITED(child->how) ? WEXITSTATUS(child->how) : -1);
}

int os_watch_run(const struct os_watch *watch, int *status, struct err *err)
{
    struct child child = {.pid = 0, .pipe = -1};
    sigset_t held;
    enum err_code why;
    int64_t began = os_mono_us();
    int64_t limit;
    pid_t self = os_sys->getpid();
    int fds[2];
    int sig = 0;

    os_signal_hold(watch->signals);
    os_signal_held(watch->signals, &held);
    if (os_signal_check(err) < 0) /* caught before, where main used os_signal_catch */
        return -1;
    if (os_sys->pipe2(fds, O_CLOEXEC) != 0)
        return err_sys(err, errno, "could not create a pipe");
    child.pipe = fds[0];
    child.pid = os_sys->fork();
    if (child.pid == 0)
        be_child(watch, fds[1], self);
    os_drop(&fds[1]);
    if (child.pid < 0) {
        (void)err_sys(err, errno, "could not start a worker process");
        (void)err_hint(err, "Check the limits on processes and memory of this user (ulimit -u).");
        os_drop(&fds[0]);
        return -1;
    }
    why = wait_work(watch, &child, &held, &limit, &sig);
    if (why != ERR_NONE)
        end_child(&child, &held);
    /* A result counts even when the end came too late: the work is done. */
    hear(&child);
    os_drop(&child.pipe);
    if (child.done) {
        *status = child.result.status & 0xff;
        child.result.err.msg[ERR_MSG_MAX - 1] = '\0';
        child.result.err.hint[ERR_HINT_MAX - 1] = '\0';
        if (err->code == ERR_NONE)
            *err = child.result.err;
        return 0;
    }
    if (why == ERR_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "gave up after %lld ms: the deadline passed",
                       (long long)((limit - began) / 1000));
    if (why == ERR_INTERRUPTED) {
        (void)err_set(err, ERR_INTERRUPTED, "interrupted by signal %s (%d)", os_signal_name(sig),
                      sig);
        err->sys = sig;
        return -1;
    }
    return explain_end(&child, err);
}

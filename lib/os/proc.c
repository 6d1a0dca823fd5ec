#include "os/proc.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "os/signal.h"
#include "os/time.h"

/* A leak checker is a process that looks into our memory. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECKED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECKED
#endif
#endif

/* No sleep is longer than this: a signal that comes just before it is then still seen soon. */
enum { LOOK_US = 500 * 1000, FINI_US = 1000 * 1000 };

/* Where the child failed before it became the program. */
enum stage { AT_DESCRIPTORS, AT_GROUP, AT_USER, AT_PARENT, AT_CWD, AT_EXEC };

struct failure {
    enum stage stage;
    int errnum;
};

/* The soft limit of core dumps from before os_keep_secrets. */
static uint64_t core_limit;
static bool keeps_secrets;

static _Noreturn void give_up(int report, enum stage stage)
{
    struct failure failure = {.stage = stage, .errnum = errno};
    struct err none = {0};

    (void)os_write_full(report, &failure, sizeof failure, "report", &none); /* or 127 tells it */
    _exit(127);
}

/* The descriptor that becomes standard descriptor `std`, above 2; -1 to inherit; -2 failed. */
static int source_of(int asked, int theirs, int std)
{
    int fd = asked;

    if (asked == OS_PROC_INHERIT)
        return -1;
    if (asked == OS_PROC_PIPE)
        fd = theirs;
    if (asked == OS_PROC_NULL)
        fd = os_sys->openat(AT_FDCWD, "/dev/null", (std == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC, 0);
    if (fd >= 0)
        fd = os_sys->dup_cloexec(fd); /* out of the way of 0 to 2 */
    return fd < 0 ? -2 : fd;
}

static _Noreturn void be_child(const struct os_proc_spec *spec, const int theirs[3], int report,
                               pid_t parent)
{
    const int asked[3] = {spec->in, spec->out, spec->err};
    int source[3];
    char *const *argv;
    char *const *env;

    os_signal_default();
    for (int i = 0; i < 3; i++) {
        source[i] = source_of(asked[i], theirs[i], i);
        if (source[i] == -2)
            give_up(report, AT_DESCRIPTORS);
    }
    for (int i = 0; i < 3; i++)
        if (source[i] >= 0 && os_sys->dup2(source[i], i) < 0)
            give_up(report, AT_DESCRIPTORS);
    /* Ours are all close-on-exec; these close what we inherited ourselves.  No harm without them.
     */
    if (report > 3)
        (void)os_sys->close_range(3, (unsigned)report - 1);
    (void)os_sys->close_range((unsigned)report + 1, UINT_MAX);
    if (spec->own_group && os_sys->setpgid(0, 0) != 0)
        give_up(report, AT_GROUP);
    if (spec->drop_user && os_sys->become(spec->uid, spec->gid) != 0)
        give_up(report, AT_USER);
    if (spec->die_with_us) { /* after the change of user, which would forget it */
        (void)os_sys->prctl(PR_SET_PDEATHSIG, SIGKILL); /* the number is valid */
        errno = ESRCH;
        if (os_sys->getppid() != parent)
            give_up(report, AT_PARENT);
    }
    if (spec->cwd != NULL && os_sys->chdir(spec->cwd) != 0)
        give_up(report, AT_CWD);
    if (keeps_secrets) /* ours, not the program's */
        (void)os_sys->core_limit(&core_limit, NULL);
    /* execvpe wants them without const, though it changes nothing. */
    memcpy(&argv, &spec->argv, sizeof argv);
    memcpy(&env, &spec->env, sizeof env);
    (void)os_sys->execvpe(argv[0], argv, env != NULL ? env : environ); /* returns only to fail */
    give_up(report, AT_EXEC);
}

static int explain(const struct os_proc_spec *spec, const struct failure *failure, struct err *err)
{
    const char *name = spec->argv[0];

    switch (failure->stage) {
    case AT_CWD:
        return err_sys(err, failure->errnum, "could not change directory to \"%s\" for \"%s\"",
                       spec->cwd, name);
    case AT_USER:
        return err_sys(err, failure->errnum, "could not become user %u to run \"%s\"",
                       (unsigned)spec->uid, name);
    case AT_EXEC:
        return err_sys(err, failure->errnum, "could not execute \"%s\"", name);
    case AT_DESCRIPTORS:
    case AT_GROUP:
    case AT_PARENT:
        break;
    }
    return err_sys(err, failure->errnum, "could not start \"%s\"", name);
}

/* Makes the pipes that were asked for: ours[i] stays here, theirs[i] goes to the child. */
static int make_pipes(const struct os_proc_spec *spec, int ours[3], int theirs[3], struct err *err)
{
    const int asked[3] = {spec->in, spec->out, spec->err};
    int fds[2];

    for (int i = 0; i < 3; i++) {
        if (asked[i] != OS_PROC_PIPE)
            continue;
        if (os_sys->pipe2(fds, O_CLOEXEC) != 0)
            return err_sys(err, errno, "could not create a pipe");
        ours[i] = fds[i == 0 ? 1 : 0];
        theirs[i] = fds[i == 0 ? 0 : 1];
    }
    return 0;
}

/* Reads what the child reports; the pipe closes silently when the program runs. */
static int started(struct os_proc *proc, const struct os_proc_spec *spec, int report,
                   struct err *err)
{
    struct failure failure;
    size_t got = 0;
    int ignored;

    if (os_read_full(report, &failure, sizeof failure, &got, "report", err) < 0)
        return -1;
    if (got == 0)
        return 0;
    while (os_sys->waitpid(proc->pid, &ignored, 0) < 0 && errno == EINTR)
        continue; /* it exits right after the report */
    proc->running = false;
    if (got != sizeof failure)
        return err_set(err, ERR_INTERNAL, "could not start \"%s\"", spec->argv[0]);
    return explain(spec, &failure, err);
}

int os_proc_spawn(struct os_proc *proc, const struct os_proc_spec *spec, struct err *err)
{
    int ours[3] = {-1, -1, -1};
    int theirs[3] = {-1, -1, -1};
    int report[2] = {-1, -1};
    pid_t self = os_sys->getpid();
    int high;
    int rc;

    memset(proc, 0, sizeof *proc);
    proc->in = proc->out = proc->err = -1;
    rc = make_pipes(spec, ours, theirs, err);
    if (rc == 0 && os_sys->pipe2(report, O_CLOEXEC) != 0)
        rc = err_sys(err, errno, "could not create a pipe");
    if (rc == 0) {
        high = os_sys->dup_cloexec(report[1]);
        os_drop(&report[1]);
        report[1] = high;
        if (high < 0)
            rc = err_sys(err, errno, "could not create a pipe");
    }
    if (rc == 0) {
        proc->pid = os_sys->fork();
        if (proc->pid == 0)
            be_child(spec, theirs, report[1], self);
        if (proc->pid < 0)
            rc = err_sys(err, errno, "could not start \"%s\"", spec->argv[0]);
    }
    for (int i = 0; i < 3; i++)
        os_drop(&theirs[i]);
    os_drop(&report[1]);
    proc->in = ours[0];
    proc->out = ours[1];
    proc->err = ours[2];
    if (rc == 0) {
        proc->running = true;
        proc->group = spec->own_group;
        rc = started(proc, spec, report[0], err);
    }
    os_drop(&report[0]);
    if (rc < 0)
        os_proc_fini(proc);
    return rc;
}

/* 0: ended and taken; OS_BUSY: still runs; -1. */
static int look(struct os_proc *proc, struct err *err)
{
    int how = 0;
    pid_t pid;

    do {
        pid = os_sys->waitpid(proc->pid, &how, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return OS_BUSY;
    if (pid < 0)
        return err_sys(err, errno, "could not wait for process %ld", (long)proc->pid);
    proc->running = false;
    proc->signal = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    proc->exit_code = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
    return 0;
}

/* Microseconds to sleep now; 0 when the deadline passed. */
static int64_t slice(int64_t deadline_us)
{
    int64_t left;

    if (deadline_us == 0)
        return LOOK_US;
    left = deadline_us - os_mono_us();
    if (left <= 0)
        return 0;
    return left < LOOK_US ? left : LOOK_US;
}

/* ppoll for at most us; what it returned. */
static int poll_for(int fd, short events, int64_t us, short *got)
{
    struct pollfd ready = {.fd = fd, .events = events};
    struct timespec ts = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    int n = os_sys->ppoll(&ready, 1, &ts, NULL);

    *got = ready.revents;
    return n;
}

static int wait_loop(struct os_proc *proc, int pidfd, int64_t deadline_us, bool signals,
                     struct err *err)
{
    int64_t nap = 1000;
    int64_t left;
    short got;
    int rc;

    for (;;) {
        rc = look(proc, err);
        if (rc != OS_BUSY)
            return rc;
        if (signals && os_signal_check(err) < 0)
            return -1;
        left = slice(deadline_us);
        if (left == 0)
            return OS_BUSY;
        if (pidfd >= 0) {
            (void)poll_for(pidfd, POLLIN, left, &got); /* whatever it says, we look */
        } else {
            os_sleep_us(nap < left ? nap : left);
            nap = nap < 32000 ? nap * 2 : nap;
        }
    }
}

int os_proc_wait(struct os_proc *proc, int64_t deadline_us, struct err *err)
{
    int pidfd;
    int rc;

    if (!proc->running)
        return 0;
    if (deadline_us == 1)
        return look(proc, err);
    pidfd = os_sys->pidfd_open(proc->pid); /* -1 on kernels before 5.3: short naps instead */
    rc = wait_loop(proc, pidfd, deadline_us, true, err);
    os_drop(&pidfd);
    return rc;
}

void os_proc_kill(const struct os_proc *proc, int sig)
{
    /* Not yet waited for, so the number is still its own. */
    if (proc->running)
        (void)os_sys->kill(proc->group ? -proc->pid : proc->pid, sig); /* it may just have ended */
}

void os_proc_fini(struct os_proc *proc)
{
    struct err none = {0};

    os_drop(&proc->in);
    os_drop(&proc->out);
    os_drop(&proc->err);
    if (!proc->running)
        return;
    os_proc_kill(proc, SIGKILL);
    /* In a clean-up: a child that cannot die is left to init. */
    (void)wait_loop(proc, -1, os_mono_us() + FINI_US, false, &none);
    proc->running = false;
}

int os_wait_fds(struct os_wait *w, size_t n, int64_t deadline_us, struct err *err)
{
    struct pollfd polled[OS_WAIT_MAX];
    struct timespec ts;
    int64_t left;
    bool any = false;
    int got;

    for (size_t i = 0; i < n && i < OS_WAIT_MAX; i++)
        polled[i] = (struct pollfd){.fd = w[i].fd, .events = w[i].events};
    while (!any) {
        if (os_signal_check(err) < 0)
            return -1;
        left = slice(deadline_us);
        ts = (struct timespec){.tv_sec = (time_t)(left / 1000000),
                               .tv_nsec = (long)(left % 1000000) * 1000};
        got = os_sys->ppoll(polled, (nfds_t)n, &ts, NULL);
        if (got < 0 && errno != EINTR)
            return err_sys(err, errno, "could not wait for a descriptor");
        for (size_t i = 0; i < n; i++) {
            w[i].ready = got > 0 && w[i].fd >= 0 && polled[i].revents != 0;
            any = any || w[i].ready;
            if (w[i].ready && (polled[i].revents & POLLNVAL) != 0)
                return err_sys(err, EBADF, "could not wait for a descriptor");
        }
        if (!any && left == 0)
            return OS_BUSY;
    }
    return 0;
}

int os_wait_fd(int fd, short events, int64_t deadline_us, struct err *err)
{
    struct os_wait one = {.fd = fd, .events = events};

    return os_wait_fds(&one, 1, deadline_us, err);
}

void os_proc_reap(void)
{
    int ignored;

    while (os_sys->waitpid(-1, &ignored, WNOHANG) > 0)
        continue;
}

bool os_proc_alive(pid_t pid)
{
    return os_sys->kill(pid, 0) == 0 || errno == EPERM;
}

int os_become(uid_t uid, gid_t gid, struct err *err)
{
    pid_t parent = os_sys->getppid();
    int death = 0;

    if (os_sys->prctl(PR_GET_PDEATHSIG, (unsigned long)(uintptr_t)&death) != 0)
        death = 0;
    if (os_sys->become(uid, gid) != 0)
        return err_sys(err, errno, "could not become user %u, group %u", (unsigned)uid,
                       (unsigned)gid);
    if (os_sys->geteuid() != uid || os_sys->getegid() != gid)
        return err_set(err, ERR_INTERNAL, "could not become user %u", (unsigned)uid);
    if (death == 0)
        return 0;
    (void)os_sys->prctl(PR_SET_PDEATHSIG, (unsigned long)death); /* it was valid before */
    if (os_sys->getppid() != parent)
        return err_set(err, ERR_INTERRUPTED, "the process that started this one is gone");
    return 0;
}

int os_become_owner(const char *path, struct err *err)
{
    struct stat st;
    int rc;

    if (os_sys->geteuid() != 0)
        return 0;
    rc = os_stat(path, &st, err);
    if (rc != 0 || st.st_uid == 0)
        return rc < 0 ? -1 : 0;
    return os_become(st.st_uid, st.st_gid, err) == 0 ? 1 : -1;
}

void os_keep_secrets(void)
{
    const uint64_t none = 0;

    if (!keeps_secrets)
        keeps_secrets = os_sys->core_limit(&none, &core_limit) == 0;
}

void os_hide_memory(void)
{
#ifndef LEAK_CHECKED
    (void)os_sys->prctl(PR_SET_DUMPABLE, 0); /* the number is valid */
#endif
}

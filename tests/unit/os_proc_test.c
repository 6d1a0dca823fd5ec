/*
 * Running programs: arguments, pipes, deadlines, what is inherited, failures.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "os/proc.h"
#include "os/signal.h"
#include "os/time.h"
#include "tap.h"

static struct os_sys table;

static int run(struct os_proc_spec *spec, const char *const *argv, char *out, size_t cap,
               struct os_proc *proc, struct err *err)
{
    size_t got = 0;

    err_clear(err);
    spec->argv = argv;
    if (os_proc_spawn(proc, spec, err) < 0)
        return -1;
    if (proc->out >= 0 && os_read_full(proc->out, out, cap - 1, &got, "out", err) < 0)
        return -1;
    out[got] = '\0';
    return os_proc_wait(proc, 0, err);
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return n;
}

static void test_plain(void)
{
    static const char *const echo[] = {"echo", "a b", "$HOME", "*", NULL};
    static const char *const env[] = {"ONLY=this", NULL};
    static const char *const show[] = {"env", NULL};
    static const char *const pwd[] = {"pwd", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct err err;
    char out[256];

    spec.out = OS_PROC_PIPE;
    OK(run(&spec, echo, out, sizeof out, &proc, &err) == 0 && proc.exit_code == 0, "runs %s",
       err.msg);
    IS_STR(out, "a b $HOME *\n", "no shell touches the arguments");
    OK(os_proc_wait(&proc, 0, &err) == 0 && proc.exit_code == 0, "waiting again is harmless");
    os_proc_fini(&proc);
    spec.env = env;
    OK(run(&spec, show, out, sizeof out, &proc, &err) == 0, "with an environment");
    IS_STR(out, "ONLY=this\n", "and nothing else in it");
    os_proc_fini(&proc);
    spec.env = NULL;
    spec.cwd = "/usr";
    OK(run(&spec, pwd, out, sizeof out, &proc, &err) == 0, "elsewhere");
    IS_STR(out, "/usr\n", "in that directory");
    os_proc_fini(&proc);
}

static void test_pipes(void)
{
    static const char *const sh[] = {"sh", "-c",
                                     "read a; echo \"out $a\"; echo \"err $a\" >&2; exit 3", NULL};
    static const char *const cat[] = {"cat", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct err err = {0};
    char out[64];
    char said[64];
    size_t got = 0;
    size_t got2 = 0;

    spec.in = spec.out = spec.err = OS_PROC_PIPE;
    spec.argv = sh;
    OK(os_proc_spawn(&proc, &spec, &err) == 0 && os_write_full(proc.in, "x\n", 2, "in", &err) == 0,
       "three pipes");
    OK(os_wait_fd(proc.out, POLLIN, os_mono_us() + 5000000, &err) == 0, "its output is waited for");
    OK(os_read_full(proc.out, out, sizeof out - 1, &got, "out", &err) == 0 &&
           os_read_full(proc.err, said, sizeof said - 1, &got2, "err", &err) == 0,
       "both are read to their ends");
    out[got] = said[got2] = '\0';
    OK(strcmp(out, "out x\n") == 0 && strcmp(said, "err x\n") == 0, "each its own");
    OK(os_proc_wait(&proc, os_mono_us() + 5000000, &err) == 0 && proc.exit_code == 3 &&
           proc.signal == 0,
       "its exit status");
    os_proc_fini(&proc);
    spec = (struct os_proc_spec)OS_PROC_SPEC_INIT;
    spec.in = OS_PROC_NULL;
    spec.out = OS_PROC_PIPE;
    OK(run(&spec, cat, out, sizeof out, &proc, &err) == 0 && out[0] == '\0', "no input");
    os_proc_fini(&proc);
    spec.out = OS_PROC_NULL;
    OK(run(&spec, cat, out, sizeof out, &proc, &err) == 0, "no output");
    os_proc_fini(&proc);
}

static void test_ends(void)
{
    static const char *const forever[] = {"sleep", "30", NULL};
    static const char *const family[] = {"sh", "-c", "sleep 30 & echo $!; wait", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct err err = {0};
    int64_t began = os_mono_us();
    char line[32] = "";
    size_t got;
    pid_t child = 0;

    spec.argv = forever;
    OK(os_proc_spawn(&proc, &spec, &err) == 0 && os_proc_wait(&proc, 1, &err) == OS_BUSY, "runs");
    OK(os_proc_wait(&proc, os_mono_us() + 100000, &err) == OS_BUSY &&
           os_mono_us() - began < 10000000,
       "a deadline ends the wait");
    os_proc_kill(&proc, SIGTERM);
    OK(os_proc_wait(&proc, os_mono_us() + 5000000, &err) == 0 && proc.signal == SIGTERM &&
           proc.exit_code == 143,
       "ended by a signal");
    os_proc_fini(&proc);
    OK(os_proc_spawn(&proc, &spec, &err) == 0, "another");
    child = proc.pid;
    os_proc_fini(&proc);
    OK(!os_proc_alive(child), "does not outlive its owner");
    spec.argv = family;
    spec.own_group = true;
    spec.out = OS_PROC_PIPE;
    OK(os_proc_spawn(&proc, &spec, &err) == 0 &&
           os_read(proc.out, line, sizeof line - 1, &got, "out", &err) == 0,
       "one with a child");
    for (const char *p = line; *p >= '0' && *p <= '9'; p++)
        child = (p == line ? 0 : child * 10) + (*p - '0');
    OK(os_proc_alive(child), "that lives");
    os_proc_kill(&proc, SIGKILL);
    OK(os_proc_wait(&proc, 0, &err) == 0 && proc.signal == SIGKILL, "the group is killed");
    got = 1;
    OK(os_read(proc.out, line, sizeof line, &got, "out", &err) == 0 && got == 0,
       "the child with it: nobody holds the pipe");
    os_proc_fini(&proc);
    OK(os_proc_alive(getpid()) && os_proc_alive(1), "we and init live");
}

static pid_t no_fork(void)
{
    errno = EAGAIN;
    return -1;
}

static int no_pidfd(pid_t pid)
{
    (void)pid;
    errno = ENOSYS;
    return -1;
}

static int pipes_left;

static int few_pipes(int fds[2], int flags)
{
    if (pipes_left-- > 0)
        return os_sys_real.pipe2(fds, flags);
    errno = EMFILE;
    return -1;
}

static void test_failures(void)
{
    static const char *const none[] = {"no-such-program-here", NULL};
    static const char *const dir[] = {"/", NULL};
    static const char *const yes[] = {"true", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct err err = {0};
    int fds = open_fds();
    char out[8];
    int failed = 0;

    spec.in = spec.out = spec.err = OS_PROC_PIPE;
    spec.argv = none;
    OK(os_proc_spawn(&proc, &spec, &err) < 0 && err.sys == ENOENT, "no program: %s", err.msg);
    spec.argv = dir;
    err_clear(&err);
    OK(os_proc_spawn(&proc, &spec, &err) < 0 && err.sys == EACCES, "a directory: %s", err.msg);
    spec.argv = yes;
    spec.cwd = "/no/such/place";
    err_clear(&err);
    OK(os_proc_spawn(&proc, &spec, &err) < 0 && err.sys == ENOENT, "no directory: %s", err.msg);
    spec.cwd = NULL;
    table = os_sys_real;
    table.fork = no_fork;
    os_sys = &table;
    err_clear(&err);
    OK(os_proc_spawn(&proc, &spec, &err) < 0 && err.sys == EAGAIN, "no child: %s", err.msg);
    table.fork = os_sys_real.fork;
    table.pipe2 = few_pipes;
    for (int n = 0; n < 4; n++) {
        pipes_left = n;
        err_clear(&err);
        failed += os_proc_spawn(&proc, &spec, &err) < 0 && err.sys == EMFILE ? 1 : 0;
    }
    OK(failed == 4, "no pipe");
    OK(open_fds() == fds && waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
       "and neither a descriptor nor a child is left");
    table = os_sys_real;
    table.pidfd_open = no_pidfd;
    spec = (struct os_proc_spec)OS_PROC_SPEC_INIT;
    OK(run(&spec, yes, out, sizeof out, &proc, &err) == 0 && proc.exit_code == 0,
       "old kernels: waits without pidfd_open");
    os_sys = &os_sys_real;
}

static void test_inherited(void)
{
    /* Signals 32 and 33 are the C library's own: what we inherited there cannot be changed. */
    static const char *const sh[] = {
        "sh", "-c",
        "ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status | "
        "sed 's/0000000180000000/0000000000000000/'",
        NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct err err;
    char out[256];
    int leak = open("/dev/null", O_RDONLY); /* not close-on-exec, as from a careless parent */
    int far = fcntl(leak, F_DUPFD, 200);

    os_signal_hold(OS_SIGNAL_ALL);
    spec.out = OS_PROC_PIPE;
    OK(run(&spec, sh, out, sizeof out, &proc, &err) == 0, "a look from inside");
    /* 0, 1, 2 and the one ls itself opens. */
    IS_STR(out, "4\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
           "three descriptors, no signal blocked or ignored");
    os_proc_fini(&proc);
    os_signal_default();
    (void)close(leak);
    (void)close(far);
}

static void test_closed_std(void)
{
    static const char *const cat[] = {"cat", NULL};
    int how;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct os_proc_spec spec = OS_PROC_SPEC_INIT;
        struct os_proc proc = OS_PROC_INIT;
        struct err err = {0};
        char out[8];
        size_t got = 0;

        (void)close(0);
        (void)close(1);
        (void)close(2);
        spec.in = spec.out = OS_PROC_PIPE;
        spec.err = OS_PROC_NULL;
        spec.argv = cat;
        if (os_proc_spawn(&proc, &spec, &err) < 0 ||
            os_write_full(proc.in, "abc", 3, "in", &err) < 0)
            _exit(1);
        os_drop(&proc.in);
        if (os_read_full(proc.out, out, sizeof out, &got, "out", &err) < 0 || got != 3 ||
            memcmp(out, "abc", 3) != 0)
            _exit(2);
        _exit(os_proc_wait(&proc, 0, &err) == 0 && proc.exit_code == 0 ? 0 : 3);
    }
    (void)waitpid(pid, &how, 0);
    OK(WIFEXITED(how) && WEXITSTATUS(how) == 0,
       "pipes that get the numbers 0 to 2 do not get mixed up (%d)",
       WIFEXITED(how) ? WEXITSTATUS(how) : -1);
}

static void test_interrupt(void)
{
    static const char *const forever[] = {"sleep", "30", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct err err = {0};
    int64_t began = os_mono_us();
    pid_t self = getpid();
    int pipe_fds[2];
    pid_t pid;

    os_signal_catch(OS_SIGNAL_ALL);
    spec.argv = forever;
    OK(os_proc_spawn(&proc, &spec, &err) == 0, "a long one");
    pid = fork();
    if (pid == 0) {
        (void)usleep(100000);
        (void)kill(self, SIGINT);
        _exit(0);
    }
    OK(os_proc_wait(&proc, 0, &err) < 0 && err.code == ERR_INTERRUPTED &&
           os_mono_us() - began < 10000000,
       "Ctrl-C ends the wait: %s", err.msg);
    os_proc_fini(&proc);
    err_clear(&err);
    if (pipe(pipe_fds) == 0)
        OK(os_wait_fd(pipe_fds[0], POLLIN, 0, &err) < 0 && err.code == ERR_INTERRUPTED,
           "and one for a descriptor");
    os_signal_forget();
    err_clear(&err);
    OK(os_wait_fd(pipe_fds[0], POLLIN, os_mono_us() + 50000, &err) == OS_BUSY,
       "whose deadline passes");
    (void)close(pipe_fds[1]);
    OK(os_wait_fd(pipe_fds[0], POLLIN, 0, &err) == 0, "and whose end is an event");
    OK(os_wait_fd(1000, POLLIN, 0, &err) < 0, "a wrong descriptor is an error");
    (void)close(pipe_fds[0]);
    (void)waitpid(pid, NULL, 0);
    os_signal_default();
}

/* As the kernel does on a change of user. */
static int fake_become(uid_t uid, gid_t gid)
{
    (void)uid, (void)gid;
    return prctl(PR_SET_PDEATHSIG, 0UL, 0UL, 0UL, 0UL);
}

static void test_become(void)
{
    struct os_sys before = table;
    struct err err = {0};
    int death = 0;

    table = os_sys_real;
    table.become = fake_become;
    (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    os_sys = &table;
    OK(os_become(geteuid(), getegid(), &err) == 0, "another user: %s", err.msg);
    os_sys = &os_sys_real;
    table = before;
    (void)prctl(PR_GET_PDEATHSIG, &death, 0UL, 0UL, 0UL);
    OK(death == SIGKILL, "still dies with the process that started it");
    (void)prctl(PR_SET_PDEATHSIG, 0UL, 0UL, 0UL, 0UL);
    if (geteuid() != 0)
        OK(os_become_owner("/", &err) == 0, "who is not root stays who he is");
    else
        OK(os_become_owner("/nowhere", &err) == 0, "the owner of nothing: nobody");
}

/* Last: it cannot be undone. */
static void test_secrets(void)
{
    const char *argv[] = {"/bin/sh", "-c", "ulimit -S -c", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    struct rlimit limit = {.rlim_cur = 0};
    struct err err = {0};
    char text[64] = "";
    size_t got = 0;

    (void)getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max < 512 * 7 ? limit.rlim_max : 512 * 7;
    (void)setrlimit(RLIMIT_CORE, &limit);
    os_keep_secrets();
    os_hide_memory();
    (void)getrlimit(RLIMIT_CORE, &limit);
    OK(limit.rlim_cur == 0, "who keeps secrets dumps no core");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
    OK(prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) == 0, "and shows its memory to nobody");
#endif
    spec.argv = argv;
    spec.out = OS_PROC_PIPE;
    OK(os_proc_spawn(&proc, &spec, &err) == 0 &&
           os_read_full(proc.out, text, sizeof text - 1, &got, "pipe", &err) == 0 &&
           os_proc_wait(&proc, 0, &err) == 0,
       "a program is started: %s", err.msg);
    IS_STR(text, limit.rlim_max < 512 * 7 ? "0\n" : "7\n", "which may dump core as before");
    os_proc_fini(&proc);
}

int main(void)
{
    test_plain();
    test_pipes();
    test_ends();
    test_failures();
    test_inherited();
    test_closed_std();
    test_interrupt();
    test_become();
    test_secrets();
    return tap_done();
}

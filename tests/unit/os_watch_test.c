/*
 * The deadline runner: results, deadlines with children that sleep, are stopped or ignore signals,
 * crashes, signals to the parent, and a parent that is killed.
 *
 * when: full
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/signal.h"
#include "os/sys.h"
#include "os/time.h"
#include "os/watch.h"
#include "tap.h"

static struct os_sys table;

/* Written by children, read by us. */
struct shared {
    volatile int started;
    volatile int finished;
    volatile pid_t pid;
};

static struct shared *sh;

static void begin(void)
{
    memset(sh, 0, sizeof *sh);
}

static int answer(void *arg, struct err *err)
{
    int status = *(const int *)arg;

    if (status != 0) {
        (void)err_set(err, ERR_REFUSED, "could not do it %d times", status);
        (void)err_hint(err, "Do it once.");
    }
    return status;
}

static int sleep_long(void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    sh->pid = getpid();
    sh->started = 1;
    (void)sleep(20);
    sh->finished = 1;
    return 0;
}

static int stop_self(void *arg, struct err *err)
{
    sh->pid = getpid();
    sh->started = 1;
    (void)raise(SIGSTOP);
    return answer(arg, err);
}

static int ignore_all(void *arg, struct err *err)
{
    for (int sig = 1; sig < 32; sig++)
        (void)signal(sig, SIG_IGN);
    return sleep_long(arg, err);
}

static int die_of(void *arg, struct err *err)
{
    (void)err;
    (void)signal(*(const int *)arg, SIG_DFL);
    (void)raise(*(const int *)arg);
    return 0;
}

static int exit_quietly(void *arg, struct err *err)
{
    (void)err;
    _exit(*(const int *)arg);
}

static int leave_late(void *arg, struct err *err)
{
    int rc = answer(arg, err);

    (void)usleep(150000);
    return rc;
}

static int run(int (*work)(void *, struct err *), int *arg, int64_t ms, int *status,
               struct err *err)
{
    struct os_watch watch = {.work = work,
                             .arg = arg,
                             .deadline_us = ms == 0 ? 0 : os_mono_us() + ms * 1000,
                             .signals = OS_SIGNAL_ALL};

    err_clear(err);
    *status = -1;
    return os_watch_run(&watch, status, err);
}

/* The sign, then so many milliseconds, then the result 7. */
static int sign_and_work(void *arg, struct err *err)
{
    (void)err;
    os_watch_sign();
    os_watch_sign(); /* one is as good as two */
    (void)usleep((useconds_t)(*(const int *)arg * 1000));
    return 7;
}

static int work_in_silence(void *arg, struct err *err)
{
    (void)err;
    (void)usleep((useconds_t)(*(const int *)arg * 1000));
    return 7;
}

static int run_signed(int (*work)(void *, struct err *), int takes_ms, int sign_ms, int64_t ms,
                      int *status, struct err *err)
{
    struct os_watch watch = {.work = work,
                             .arg = &takes_ms,
                             .sign_us = os_mono_us() + (int64_t)sign_ms * 1000,
                             .deadline_us = os_mono_us() + ms * 1000,
                             .signals = OS_SIGNAL_ALL};

    err_clear(err);
    *status = -1;
    return os_watch_run(&watch, status, err);
}

static bool gone(pid_t pid)
{
    for (int i = 0; i < 200; i++) {
        (void)waitpid(pid, NULL, WNOHANG); /* it may have become ours: see main */
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
        (void)usleep(10000);
    }
    return false;
}

static void test_results(void)
{
    struct err err;
    int status;
    int want = 0;

    OK(run(answer, &want, 5000, &status, &err) == 0 && status == 0 && err.code == ERR_NONE,
       "a result of 0");
    want = 3;
    OK(run(answer, &want, 5000, &status, &err) == 0 && status == 3, "a result of 3");
    IS_STR(err.msg, "could not do it 3 times", "with its message");
    IS_STR(err.hint, "Do it once.", "and its hint");
    OK(err.code == ERR_REFUSED, "and its code");
    want = 200;
    OK(run(answer, &want, 0, &status, &err) == 0 && status == 200, "above 125, without a deadline");
    want = 0;
    OK(run(leave_late, &want, 5000, &status, &err) == 0 && status == 0, "a slow one");
    OK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child is left");
}

static void test_deadlines(void)
{
    int64_t began = os_mono_us();
    struct err err;
    int status;
    int want = 0;

    begin();
    OK(run(sleep_long, &want, 1000, &status, &err) < 0 && err.code == ERR_TIMEOUT,
       "a sleeping child ends with the deadline: %s", err.msg);
    OK(os_mono_us() - began < 10000000 && os_mono_us() - began >= 1000000, "in time");
    OK(sh->started == 1 && sh->finished == 0 && gone(sh->pid), "and is gone");
    began = os_mono_us();
    begin();
    OK(run(stop_self, &want, 1000, &status, &err) < 0 && err.code == ERR_TIMEOUT,
       "a stopped child, too");
    OK(os_mono_us() - began < 10000000 && gone(sh->pid), "and is gone");
    begin();
    OK(run(ignore_all, &want, 1000, &status, &err) < 0 && err.code == ERR_TIMEOUT && gone(sh->pid),
       "one that ignores signals, too");
    OK(run(sleep_long, &want, -1, &status, &err) < 0 && err.code == ERR_TIMEOUT,
       "a deadline in the past ends at once");
}

static void test_sign(void)
{
    int64_t began = os_mono_us();
    struct err err;
    int status;
    int want = 3;

    OK(run_signed(work_in_silence, 20000, 1000, 15000, &status, &err) < 0 &&
           err.code == ERR_TIMEOUT && os_mono_us() - began < 10000000,
       "without a sign the end comes with its limit: %s", err.msg);
    OK(run_signed(sign_and_work, 2500, 1000, 20000, &status, &err) == 0 && status == 7,
       "with a sign there is time: %s", err.msg);
    began = os_mono_us();
    OK(run_signed(sign_and_work, 20000, 500, 1500, &status, &err) < 0 && err.code == ERR_TIMEOUT &&
           os_mono_us() - began >= 1500000 && os_mono_us() - began < 10000000,
       "until the deadline: %s", err.msg);
    OK(run_signed(sign_and_work, 0, 5000, 10000, &status, &err) == 0 && status == 7,
       "work that ends before its sign is asked for");
    OK(run_signed(work_in_silence, 0, 5000, 10000, &status, &err) == 0 && status == 7,
       "or that gives none");
    want = 0;
    OK(run(sign_and_work, &want, 5000, &status, &err) == 0 && status == 7,
       "a sign that nobody asked for changes nothing");
    os_watch_sign();
    OK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "nor one in no child");
}

/* A child in uninterruptible sleep: SIGKILL changes nothing for now. */
static int no_kill(pid_t pid, int sig)
{
    (void)pid;
    (void)sig;
    return 0;
}

static void test_unkillable(void)
{
    int64_t began = os_mono_us();
    struct err err;
    int status;
    int want = 0;

    table = os_sys_real;
    table.kill = no_kill;
    os_sys = &table;
    begin();
    OK(run(sleep_long, &want, 1000, &status, &err) < 0 && err.code == ERR_TIMEOUT,
       "a child that cannot die does not hold us");
    OK(os_mono_us() - began < 10000000, "beyond deadline and grace (%lld ms)",
       (long long)(os_mono_us() - began) / 1000);
    os_sys = &os_sys_real;
    (void)kill(sh->pid, SIGKILL);
    (void)waitpid(sh->pid, NULL, 0);
}

static void test_crashes(void)
{
    static const int faults[] = {SIGSEGV, SIGABRT, SIGKILL, SIGBUS};
    struct err err;
    int status;
    int arg;

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        arg = faults[i];
        OK(run(die_of, &arg, 5000, &status, &err) < 0 && err.code == ERR_INTERNAL && err.sys == arg,
           "a crash is told: %s", err.msg);
    }
    arg = SIGTERM;
    OK(run(die_of, &arg, 5000, &status, &err) < 0 && err.code == ERR_INTERRUPTED,
       "killed by somebody: %s", err.msg);
    arg = 0;
    OK(run(exit_quietly, &arg, 5000, &status, &err) < 0 && err.code == ERR_INTERNAL,
       "an exit of 0 without a result is no success: %s", err.msg);
    arg = 137;
    OK(run(exit_quietly, &arg, 5000, &status, &err) < 0 && err.code == ERR_INTERNAL && status == -1,
       "nor is an exit of 137 passed on: %s", err.msg);
}

static pid_t no_fork(void)
{
    errno = EAGAIN;
    return -1;
}

static int no_pipe(int fds[2], int flags)
{
    (void)fds;
    (void)flags;
    errno = EMFILE;
    return -1;
}

static void test_no_child(void)
{
    struct err err;
    int status;
    int want = 0;

    table = os_sys_real;
    table.fork = no_fork;
    os_sys = &table;
    OK(run(answer, &want, 1000, &status, &err) < 0 && err.sys == EAGAIN && err.hint[0] != '\0',
       "no child can be made: %s", err.msg);
    table.fork = os_sys_real.fork;
    table.pipe2 = no_pipe;
    OK(run(answer, &want, 1000, &status, &err) < 0 && err.sys == EMFILE, "no pipe: %s", err.msg);
    os_sys = &os_sys_real;
}

/* A process that runs the watch and exits as a hook would: 0 done, 1 an error, 9 interrupted. */
static pid_t start_hook(enum os_signal_mode mode, int (*work)(void *, struct err *))
{
    pid_t pid;

    begin();
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        static int want = 0;
        struct os_watch watch = {.work = work, .arg = &want, .signals = mode};
        struct err err = {0};
        int status = 0;

        watch.deadline_us = os_mono_us() + 10000000;
        os_signal_hold(mode);
        if (os_watch_run(&watch, &status, &err) == 0)
            _exit(status);
        _exit(err.code == ERR_INTERRUPTED ? 9 : 1);
    }
    for (int i = 0; i < 500 && !sh->started; i++)
        (void)usleep(10000);
    return pid;
}

static void test_signals(void)
{
    static const int sigs[] = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2,
                               SIGALRM, SIGPROF, SIGXCPU, SIGPWR, SIGIO,   SIGVTALRM};
    int how;
    pid_t pid;

    for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
        pid = start_hook(OS_SIGNAL_ALL, sleep_long);
        (void)kill(pid, sigs[i]);
        (void)waitpid(pid, &how, 0);
        OK(WIFEXITED(how) && WEXITSTATUS(how) == 9 && gone(sh->pid),
           "%s: ends by itself, the child is gone", os_signal_name(sigs[i]));
    }
    pid = start_hook(OS_SIGNAL_ALL, sleep_long);
    (void)kill(pid, SIGRTMIN + 2);
    (void)waitpid(pid, &how, 0);
    OK(WIFEXITED(how) && WEXITSTATUS(how) == 9, "a real-time signal, too");
    pid = start_hook(OS_SIGNAL_ALL, stop_self);
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, &how, 0);
    OK(WIFEXITED(how) && WEXITSTATUS(how) == 9 && gone(sh->pid), "SIGTERM beside a stopped child");
    pid = start_hook(OS_SIGNAL_ALL, sleep_long);
    (void)kill(pid, SIGPIPE);
    (void)kill(pid, SIGXFSZ);
    (void)kill(pid, SIGCHLD);
    (void)kill(pid, SIGSTOP);
    (void)kill(pid, SIGCONT);
    (void)usleep(50000);
    OK(waitpid(pid, &how, WNOHANG) == 0, "SIGPIPE, SIGXFSZ, SIGCHLD and a stop change nothing");
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &how, 0);
    OK(gone(sh->pid), "a parent killed by SIGKILL takes the child along");
    pid = start_hook(OS_SIGNAL_BUT_TERM, sleep_long);
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, &how, 0);
    OK(WIFSIGNALED(how) && WTERMSIG(how) == SIGTERM && gone(sh->pid),
       "where SIGTERM keeps its default it kills both");
    pid = start_hook(OS_SIGNAL_BUT_TERM, sleep_long);
    (void)kill(pid, SIGQUIT);
    (void)waitpid(pid, &how, 0);
    OK(WIFEXITED(how) && WEXITSTATUS(how) == 9, "and SIGQUIT is still held");
}

/* A storm of SIGTERM from before main's first call after fork until the end: never by a signal. */
static void test_storm(void)
{
    int by_signal = 0;
    int strange = 0;

    os_signal_hold(OS_SIGNAL_ALL); /* as a hook has done when it starts */
    for (int i = 0; i < 200; i++) {
        int how;
        pid_t pid = fork();

        if (pid == 0) {
            static int want = 0;
            struct os_watch watch = {.work = answer, .arg = &want, .signals = OS_SIGNAL_ALL};
            struct err err = {0};
            int status = 0;

            watch.deadline_us = os_mono_us() + 10000000;
            _exit(os_watch_run(&watch, &status, &err) == 0              ? status
                  : err.code == ERR_INTERRUPTED || err.code == ERR_NONE ? 9
                                                                        : 1);
        }
        (void)usleep((useconds_t)(i * 10));
        (void)kill(pid, i % 2 != 0 ? SIGTERM : SIGQUIT);
        (void)waitpid(pid, &how, 0);
        by_signal += WIFSIGNALED(how) ? 1 : 0;
        strange += WIFEXITED(how) && WEXITSTATUS(how) != 0 && WEXITSTATUS(how) != 9 ? 1 : 0;
    }
    OK(by_signal == 0 && strange == 0, "200 signals at random moments: %d by signal, %d strange",
       by_signal, strange);
}

static void test_inherited(void)
{
    struct err err;
    sigset_t all;
    int status;
    int want = 0;
    int how;
    pid_t pid;

    os_signal_default(); /* a new process holds nothing */
    (void)signal(SIGCHLD, SIG_IGN);
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    OK(run(answer, &want, 5000, &status, &err) == 0 && status == 0,
       "SIGCHLD inherited as ignored and all blocked");
    (void)signal(SIGHUP, SIG_IGN);
    pid = start_hook(OS_SIGNAL_ALL, sleep_long);
    (void)kill(pid, SIGHUP);
    (void)usleep(50000);
    OK(waitpid(pid, &how, WNOHANG) == 0, "SIGHUP inherited as ignored (nohup) stays ignored");
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, &how, 0);
    OK(WIFEXITED(how) && WEXITSTATUS(how) == 9, "and SIGTERM still ends it");
    (void)signal(SIGHUP, SIG_DFL);
    os_signal_default();
}

static void test_catch(void)
{
    struct err err = {0};
    int status;
    int want = 0;

    os_signal_catch(OS_SIGNAL_ALL);
    OK(os_signal_got() == 0 && os_signal_check(&err) == 0, "nothing caught yet");
    (void)raise(SIGINT);
    (void)raise(SIGTERM);
    OK(os_signal_got() == SIGINT && os_signal_check(&err) < 0 && err.code == ERR_INTERRUPTED,
       "the first one is kept: %s", err.msg);
    OK(run(answer, &want, 1000, &status, &err) < 0 && err.code == ERR_INTERRUPTED && status == -1,
       "no work is begun then");
    os_signal_forget();
    OK(os_signal_got() == 0, "and can be forgotten");
    os_signal_default();
}

int main(void)
{
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sh == MAP_FAILED)
        return 1;
    /* Children of killed hooks come to us, so that "gone" means dead and not somebody's zombie. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0UL, 0UL, 0UL, 0UL);
    test_results();
    test_deadlines();
    test_sign();
    test_unkillable();
    test_crashes();
    test_no_child();
    test_signals();
    test_storm();
    test_inherited();
    test_catch();
    return tap_done();
}

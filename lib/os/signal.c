#include "os/signal.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "os/sys.h"

static volatile sig_atomic_t caught;

static void remember(int sig)
{
    if (caught == 0)
        caught = sig;
}

static const struct named {
    int sig;
    bool stop; /* comes from outside and ends a process by default */
    const char *name;
} named[] = {
    {SIGHUP, true, "SIGHUP"},       {SIGINT, true, "SIGINT"},       {SIGQUIT, true, "SIGQUIT"},
    {SIGTERM, true, "SIGTERM"},     {SIGALRM, true, "SIGALRM"},     {SIGUSR1, true, "SIGUSR1"},
    {SIGUSR2, true, "SIGUSR2"},     {SIGVTALRM, true, "SIGVTALRM"}, {SIGPROF, true, "SIGPROF"},
    {SIGXCPU, true, "SIGXCPU"},     {SIGIO, true, "SIGIO"},         {SIGPWR, true, "SIGPWR"},
    {SIGSTKFLT, true, "SIGSTKFLT"}, {SIGKILL, false, "SIGKILL"},    {SIGSEGV, false, "SIGSEGV"},
    {SIGBUS, false, "SIGBUS"},      {SIGABRT, false, "SIGABRT"},    {SIGFPE, false, "SIGFPE"},
    {SIGILL, false, "SIGILL"},      {SIGPIPE, false, "SIGPIPE"},    {SIGXFSZ, false, "SIGXFSZ"},
    {SIGSYS, false, "SIGSYS"},      {SIGTRAP, false, "SIGTRAP"},
};

enum { NAMED = sizeof named / sizeof *named };

static void set(int sig, void (*handler)(int))
{
    struct sigaction now;

    memset(&now, 0, sizeof now);
    now.sa_handler = handler;
    sigemptyset(&now.sa_mask);
    /* No SA_RESTART: a blocking call must end, so that the flag is looked at.  And only once: where
     * a call is tried again and again (a disk that hangs), the second Ctrl-C ends us. */
    now.sa_flags = (int)SA_RESETHAND;
    (void)os_sys->sigaction(sig, &now, NULL); /* fails only for numbers that do not exist */
}

/* The mode of os_signal_hold while it is in force, or -1. */
static int holding = -1;

void os_signal_held(enum os_signal_mode mode, sigset_t *held)
{
    sigemptyset(held);
    for (size_t i = 0; i < NAMED; i++)
        if (named[i].stop)
            sigaddset(held, named[i].sig);
    for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
        sigaddset(held, sig);
    sigaddset(held, SIGCHLD);
    if (mode == OS_SIGNAL_BUT_TERM)
        sigdelset(held, SIGTERM);
}

void os_signal_hold(enum os_signal_mode mode)
{
    sigset_t held;

    if (holding == (int)mode) /* main did it: four calls less for each segment */
        return;
    holding = (int)mode;
    os_signal_held(mode, &held);
    /* SETMASK, not BLOCK: what our parent had blocked is not ours to hold. */
    (void)os_sys->sigprocmask(SIG_SETMASK, &held, NULL); /* the arguments are valid */
    set(SIGPIPE, SIG_IGN);
    set(SIGXFSZ, SIG_IGN);
    set(SIGCHLD, SIG_DFL); /* inherited SIG_IGN would take our children's status away */
}

void os_signal_catch(enum os_signal_mode mode)
{
    struct sigaction old;
    sigset_t none;

    holding = -1;
    for (size_t i = 0; i < NAMED; i++) {
        if (!named[i].stop || (named[i].sig == SIGTERM && mode == OS_SIGNAL_BUT_TERM))
            continue;
        if (os_sys->sigaction(named[i].sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        set(named[i].sig, remember);
    }
    set(SIGPIPE, SIG_IGN);
    set(SIGXFSZ, SIG_IGN);
    set(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    (void)os_sys->sigprocmask(SIG_SETMASK, &none, NULL); /* the arguments are valid */
}

void os_signal_default(void)
{
    sigset_t none;

    holding = -1;
    for (size_t i = 0; i < NAMED; i++)
        if (named[i].stop)
            set(named[i].sig, SIG_DFL);
    set(SIGPIPE, SIG_DFL);
    set(SIGXFSZ, SIG_DFL);
    set(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    (void)os_sys->sigprocmask(SIG_SETMASK, &none, NULL); /* the arguments are valid */
}

int os_signal_is_stop(int sig)
{
    for (size_t i = 0; i < NAMED; i++)
        if (named[i].sig == sig)
            return named[i].stop;
    return sig >= SIGRTMIN && sig <= SIGRTMAX;
}

int os_signal_got(void)
{
    return caught;
}

int os_signal_check(struct err *err)
{
    int sig = caught;

    if (sig == 0)
        return 0;
    (void)err_set(err, ERR_INTERRUPTED, "interrupted by signal %s", os_signal_name(sig));
    if (err->code == ERR_INTERRUPTED)
        err->sys = sig;
    return -1;
}

static int forgotten;

void os_signal_forget(void)
{
    if (caught != 0)
        forgotten = caught;
    caught = 0;
}

void os_signal_again(void)
{
    if (caught == 0)
        caught = forgotten;
}

const char *os_signal_name(int sig)
{
    for (size_t i = 0; i < NAMED; i++)
        if (named[i].sig == sig)
            return named[i].name;
    return "SIG?";
}

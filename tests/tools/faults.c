/*
 * faults: runs a program and lets one of its system calls go wrong.
 *
 *     faults -o REPORT PROGRAM ARGUMENT...                  lists the calls
 *     faults -o REPORT -w WHERE -a ACTION [-x COMMAND] PROGRAM ARGUMENT...
 *
 * WHERE   P.N      call N of process P; processes count from 1 in the order they are made, calls
 *                  from 1 after the program's exec.  So a point is the same in every run, whatever
 *                  the scheduler does.
 *         NAME     every call of that name, in all processes
 *         NAME:N   call N of that name, counted over all processes: for programs with threads, of
 *                  which nobody can say which one makes its calls when
 * ACTION  error=EIO      the call is not made and fails (any name of an error that is listed below)
 *         return=N       the call is not made and answers N: a lie
 *         short          a read or write really moves half of its bytes
 *         kill           SIGKILL for the process, instead of the call
 *         kill=all       SIGKILL for all processes
 *         signal=TERM    TERM, INT or QUIT for the process, as the call begins
 *         signal=TERM:all    for all processes, as PostgreSQL signals a whole process group
 *         exec=COMMAND   the shell runs the command, and then the call is made
 * -x COMMAND             the shell runs it when process 1 has ended
 *
 * The list has a line "P.N NAME" per call and ends in "end exit N" or "end signal N".  Otherwise
 * the report is one line: how many calls were hit, the name of the last ("-"), then "exit N" or
 * "signal N" for process 1, or "hang 0" when it took longer than 60 seconds.
 *
 * The exit status is 0 when a report was written, else 1.  Children that outlive process 1 are
 * waited for.  It works by ptrace, on x86_64 and aarch64.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After <sys/ptrace.h>; it has what glibc of that header lacks. */
#include <linux/ptrace.h>

enum { PROCESSES_MAX = 64, LIMIT_SECONDS = 60 };

enum action { ACT_LIST, ACT_RETURN, ACT_SHORT, ACT_SIGNAL, ACT_EXEC };

struct word {
    const char *name;
    long value;
};

#define CALL(x)                                                                                    \
    {                                                                                              \
#x, SYS_##x                                                                                \
    }

static const struct word calls[] = {
    CALL(brk),
    CALL(clock_gettime),
    CALL(clone),
    CALL(close),
    CALL(dup),
    CALL(dup3),
    CALL(execve),
    CALL(exit),
    CALL(exit_group),
    CALL(fallocate),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(fcntl),
    CALL(fdatasync),
    CALL(flock),
    CALL(fstat),
    CALL(fsync),
    CALL(ftruncate),
    CALL(getdents64),
    CALL(geteuid),
    CALL(getpid),
    CALL(getppid),
    CALL(getrandom),
    CALL(getuid),
    CALL(ioctl),
    CALL(kill),
    CALL(linkat),
    CALL(lseek),
    CALL(madvise),
    CALL(mkdirat),
    CALL(mlock),
    CALL(mmap),
    CALL(mprotect),
    CALL(mremap),
    CALL(munmap),
    CALL(nanosleep),
    CALL(openat),
    CALL(openat2),
    CALL(pipe2),
    CALL(ppoll),
    CALL(prctl),
    CALL(pread64),
    CALL(prlimit64),
    CALL(pwrite64),
    CALL(read),
    CALL(readv),
    CALL(renameat2),
    CALL(rseq),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(set_robust_list),
    CALL(set_tid_address),
    CALL(statfs),
    CALL(fstatfs),
    CALL(statx),
    CALL(sync_file_range),
    CALL(symlinkat),
    CALL(uname),
    CALL(unlinkat),
    CALL(wait4),
    CALL(write),
    CALL(writev),
#ifdef __x86_64__
    CALL(arch_prctl),
    CALL(fork),
    CALL(link),
    CALL(lstat),
    CALL(mkdir),
    CALL(newfstatat),
    CALL(open),
    CALL(poll),
    CALL(readlink),
    CALL(rename),
    CALL(stat),
    CALL(unlink),
    {"fadvise", SYS_fadvise64},
#else
    CALL(readlinkat),
    {"fadvise", SYS_fadvise64},
    {"newfstatat", SYS_newfstatat},
#endif
    {"renameat", SYS_renameat},
};

#define ERROR(x)                                                                                   \
    {                                                                                              \
#x, x                                                                                      \
    }

static const struct word errors[] = {
    ERROR(EACCES), ERROR(EAGAIN), ERROR(EBADF),  ERROR(EBUSY),  ERROR(EDQUOT), ERROR(EEXIST),
    ERROR(EINTR),  ERROR(EINVAL), ERROR(EIO),    ERROR(EMFILE), ERROR(ENFILE), ERROR(ENODEV),
    ERROR(ENOENT), ERROR(ENOLCK), ERROR(ENOMEM), ERROR(ENOSPC), ERROR(ENOSYS), ERROR(ENXIO),
    ERROR(EPERM),  ERROR(EROFS),  ERROR(ESTALE), {NULL, 0},
};

static const struct word stops[] = {
    {"TERM", SIGTERM}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"HUP", SIGHUP}, {NULL, 0}};

struct process {
    pid_t pid;
    long calls;  /* entered so far */
    bool inside; /* between entry and exit of a call */
    bool answer; /* the call was skipped; its result is to be set at its exit */
    bool gone;   /* ended and waited for */
};

struct run {
    FILE *report;
    enum action action;
    long value; /* result or signal */
    bool all;   /* the signal is for all */
    const char *command;
    const char *last_command;
    int at_process;
    long at_call; /* with a name 0: all */
    const char *at_name;
    long named;   /* calls of that name so far */
    bool started; /* exec is done */
    long hits;
    const char *hit_name;
    int n;
    struct process process[PROCESSES_MAX];
    int status; /* of process 1, by waitpid */
    int64_t began;
    int64_t ended; /* process 1 */
    bool hung;
};

static volatile sig_atomic_t late;

static void on_alarm(int sig)
{
    (void)sig;
    late = 1;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "faults: %s: %s\n", what, strerror(errno));
    exit(1);
}

static _Noreturn void usage(void)
{
    fputs("usage: faults -o REPORT [-w WHERE -a ACTION] PROGRAM [ARGUMENT]...\n", stderr);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Its own end is waited for by number, so that it is not taken for one of the processes. */
static void shell(const char *command)
{
    if (system(command) != 0)
        fprintf(stderr, "faults: \"%s\" failed\n", command);
}

static const char *call_name(uint64_t nr, char room[32])
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if ((uint64_t)calls[i].value == nr)
            return calls[i].name;
    (void)snprintf(room, 32, "call_%llu", (unsigned long long)nr);
    return room;
}

static long find_word(const struct word *list, const char *name)
{
    for (; list->name != NULL; list++)
        if (strcmp(list->name, name) == 0)
            return list->value;
    usage();
}

/* --- the two machines --- */

#if defined __x86_64__
static void skip_call(pid_t pid)
{
    if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L) != 0)
        give_up("could not skip a call");
}

static void set_result(pid_t pid, long value)
{
    if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), value) != 0)
        give_up("could not set a result");
}

static void halve_count(pid_t pid)
{
    size_t at = offsetof(struct user_regs_struct, rdx);
    long count = ptrace(PTRACE_PEEKUSER, pid, at, 0L);

    if (count > 1)
        (void)ptrace(PTRACE_POKEUSER, pid, at, count / 2);
}
#elif defined __aarch64__
static void skip_call(pid_t pid)
{
    int none = -1;
    struct iovec io = {&none, sizeof none};

    if (ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &io) != 0)
        give_up("could not skip a call");
}

static void change_register(pid_t pid, int reg, long value, bool halve)
{
    struct user_regs_struct regs;
    struct iovec io = {&regs, sizeof regs};

    if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0)
        give_up("could not read registers");
    if (!halve)
        regs.regs[reg] = (uint64_t)value;
    else if (regs.regs[reg] > 1)
        regs.regs[reg] /= 2;
    if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io) != 0)
        give_up("could not set registers");
}

static void set_result(pid_t pid, long value)
{
    change_register(pid, 0, value, false);
}

static void halve_count(pid_t pid)
{
    change_register(pid, 2, 0, true);
}
#else
#error "faults knows the registers of x86_64 and aarch64 only"
#endif

/* --- processes --- */

static struct process *find_process(struct run *r, pid_t pid)
{
    for (int i = 0; i < r->n; i++)
        if (r->process[i].pid == pid && !r->process[i].gone)
            return &r->process[i];
    return NULL;
}

static struct process *add_process(struct run *r, pid_t pid)
{
    struct process *p = &r->process[r->n];

    if (r->n == PROCESSES_MAX) {
        errno = E2BIG;
        give_up("too many processes");
    }
    memset(p, 0, sizeof *p);
    p->pid = pid;
    r->n++;
    return p;
}

static void send(struct run *r, const struct process *to, int sig)
{
    for (int i = 0; i < r->n; i++)
        if (!r->process[i].gone && (r->all || &r->process[i] == to))
            (void)kill(r->process[i].pid, sig); /* it may have ended meanwhile */
}

static bool is_hit(struct run *r, const struct process *p, const char *name)
{
    if (r->at_name != NULL)
        return strcmp(r->at_name, name) == 0 && (++r->named == r->at_call || r->at_call == 0);
    return p == &r->process[r->at_process - 1] && p->calls == r->at_call;
}

static void on_entry(struct run *r, struct process *p, uint64_t nr)
{
    char room[32];
    const char *name = call_name(nr, room);

    p->calls++;
    if (r->action == ACT_LIST) {
        fprintf(r->report, "%d.%ld %s\n", (int)(p - r->process) + 1, p->calls, name);
        return;
    }
    if (!is_hit(r, p, name))
        return;
    r->hits++;
    r->hit_name = name == room ? "other" : name;
    switch (r->action) {
    case ACT_RETURN:
        skip_call(p->pid);
        p->answer = true;
        break;
    case ACT_SHORT:
        if (nr == SYS_read || nr == SYS_write || nr == SYS_pread64 || nr == SYS_pwrite64)
            halve_count(p->pid);
        break;
    case ACT_SIGNAL:
        send(r, p, (int)r->value);
        break;
    case ACT_EXEC:
        shell(r->command);
        break;
    case ACT_LIST:
        break;
    }
}

/* A stop at the entry or the exit of a call. */
static void on_call(struct run *r, struct process *p)
{
    struct __ptrace_syscall_info info;

    if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, p->pid, sizeof info, &info) <= 0)
        return; /* killed while it was stopped */
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !p->inside) {
        p->inside = true;
        on_entry(r, p, info.entry.nr);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (p->answer)
            set_result(p->pid, r->value);
        p->answer = false;
        p->inside = false;
    }
}

/* What a stop is; answers the signal that the process gets when it goes on. */
static int on_stop(struct run *r, struct process *p, int status)
{
    int sig = WSTOPSIG(status);
    int event = status >> 16;
    unsigned long child = 0;

    if (event == PTRACE_EVENT_EXEC) {
        r->started = true;
        p->inside = true; /* the exit of its execve comes next */
        return 0;
    }
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        if (ptrace(PTRACE_GETEVENTMSG, p->pid, 0L, &child) == 0 &&
            find_process(r, (pid_t)child) == NULL)
            add_process(r, (pid_t)child);
        return 0;
    }
    if (event != 0)
        return 0;
    if (sig == (SIGTRAP | 0x80)) {
        if (r->started)
            on_call(r, p);
        return 0;
    }
    return sig;
}

/* Runs until all processes have ended. */
static void follow(struct run *r)
{
    int alive = 1;

    while (alive > 0) {
        int status;
        struct process *p;
        pid_t pid = waitpid(-1, &status, __WALL);

        if (pid < 0 && errno == EINTR) {
            if (late) {
                r->hung = true;
                r->all = true;
                send(r, NULL, SIGKILL);
            }
            continue;
        }
        if (pid < 0)
            break;
        p = find_process(r, pid);
        if (p == NULL)
            p = add_process(r, pid); /* its first stop, before the parent's event */
        if (WIFSTOPPED(status)) {
            int sig = on_stop(r, p, status);

            (void)ptrace(PTRACE_SYSCALL, pid, 0L, (long)sig); /* fails when it was killed */
        } else {
            p->gone = true;
            if (p == r->process) {
                r->status = status;
                r->ended = now_ms();
                if (r->last_command != NULL)
                    shell(r->last_command);
            }
        }
        alive = 0;
        for (int i = 0; i < r->n; i++)
            alive += !r->process[i].gone;
    }
}

static void start(struct run *r, char **argv)
{
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    char go = 0;
    int fds[2];
    pid_t pid;

    if (pipe(fds) != 0)
        give_up("pipe");
    pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0) {
        close(fds[1]);
        if (read(fds[0], &go, 1) != 1)
            _exit(127);
        close(fds[0]);
        fclose(r->report);
        execvp(argv[0], argv);
        fprintf(stderr, "faults: could not run \"%s\": %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    add_process(r, pid);
    if (ptrace(PTRACE_SEIZE, pid, 0L, options) != 0)
        give_up("could not trace");
    /* Stopped first, so that the calls are seen from here on. */
    if (ptrace((enum __ptrace_request)PTRACE_INTERRUPT, pid, 0L, 0L) != 0)
        give_up("could not interrupt");
    if (write(fds[1], &go, 1) != 1)
        give_up("pipe");
    close(fds[0]);
    close(fds[1]);
}

/* --- the command line --- */

static void parse_where(struct run *r, char *text)
{
    char *dot = strchr(text, '.');
    char *colon = strchr(text, ':');
    char *end;

    if (dot == NULL) {
        r->at_name = text;
        if (colon == NULL)
            return;
        *colon = '\0';
        r->at_call = strtol(colon + 1, &end, 10);
        if (*end != '\0' || r->at_call < 1)
            usage();
        return;
    }
    r->at_process = (int)strtol(text, &end, 10);
    if (end != dot || r->at_process < 1 || r->at_process > PROCESSES_MAX)
        usage();
    r->at_call = strtol(dot + 1, &end, 10);
    if (*end != '\0' || r->at_call < 1)
        usage();
}

static void parse_action(struct run *r, char *text)
{
    char *value = strchr(text, '=');
    char *colon;

    if (value != NULL)
        *value++ = '\0';
    if (strcmp(text, "kill") == 0) {
        r->action = ACT_SIGNAL;
        r->value = SIGKILL;
        r->all = value != NULL && strcmp(value, "all") == 0;
    } else if (strcmp(text, "short") == 0) {
        r->action = ACT_SHORT;
    } else if (value == NULL) {
        usage();
    } else if (strcmp(text, "signal") == 0) {
        r->action = ACT_SIGNAL;
        colon = strchr(value, ':');
        if (colon != NULL) {
            *colon = '\0';
            r->all = strcmp(colon + 1, "all") == 0;
        }
        r->value = find_word(stops, value);
    } else if (strcmp(text, "exec") == 0) {
        r->action = ACT_EXEC;
        r->command = value;
    } else if (strcmp(text, "error") == 0) {
        r->action = ACT_RETURN;
        r->value = -find_word(errors, value);
    } else if (strcmp(text, "return") == 0) {
        r->action = ACT_RETURN;
        r->value = strtol(value, NULL, 10);
    } else {
        usage();
    }
}

int main(int argc, char **argv)
{
    static struct run r;
    struct sigaction on = {.sa_handler = on_alarm};
    bool has_where = false;
    int c;

    while ((c = getopt(argc, argv, "+o:w:a:x:")) != -1) {
        if (c == 'o')
            r.report = fopen(optarg, "we");
        else if (c == 'w')
            parse_where(&r, optarg), has_where = true;
        else if (c == 'a')
            parse_action(&r, optarg);
        else if (c == 'x')
            r.last_command = optarg;
        else
            usage();
    }
    if (r.report == NULL || optind >= argc || has_where != (r.action != ACT_LIST))
        usage();
    (void)sigaction(SIGALRM, &on, NULL);
    r.began = now_ms();
    start(&r, argv + optind);
    (void)alarm(LIMIT_SECONDS);
    follow(&r);
    if (r.action == ACT_LIST)
        fputs("end", r.report);
    else
        fprintf(r.report, "%ld %s", r.hits, r.hit_name != NULL ? r.hit_name : "-");
    if (r.hung)
        fputs(" hang 0", r.report);
    else if (WIFSIGNALED(r.status))
        fprintf(r.report, " signal %d", WTERMSIG(r.status));
    else
        fprintf(r.report, " exit %d", WEXITSTATUS(r.status));
    if (r.action != ACT_LIST)
        fprintf(r.report, " %lld", (long long)(r.ended - r.began));
    fputc('\n', r.report);
    return fclose(r.report) == 0 ? 0 : 1;
}

/*
 * Publishing: every call of the sequence failing once or for good, lost answers, fallbacks, short
 * writes, stale temps and made directories.  Races between processes: os_publish_race_test.c.
 *
 * when: full
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/publish.h"
#include "tap.h"

enum { BODY = 5000 };

/* How the nth call of the table goes wrong. */
enum how {
    FAIL_ONCE,    /* not carried out */
    FAIL_ON,      /* not carried out, nor any later one: the disk is gone */
    DONE_BUT_SAID /* carried out, the answer lost (network filesystems) */
};

static struct {
    int at; /* 0: none */
    int errnum;
    enum how how;
    int seen;
    bool hit;
} fault;

/* What a run did: F file flushed, D directory flushed, R name made final. */
static char trace[256];
static struct os_sys table;
static size_t write_max; /* 0: no limit */
static int no_rename2, no_link, no_flock;

static void note(char what)
{
    size_t len = strlen(trace);

    if (len + 1 < sizeof trace) {
        trace[len] = what;
        trace[len + 1] = '\0';
    }
}

static bool fails(void)
{
    fault.seen++;
    if (fault.at == 0 || fault.how == DONE_BUT_SAID)
        return false;
    if (fault.seen != fault.at && !(fault.how == FAIL_ON && fault.seen > fault.at))
        return false;
    fault.hit = true;
    errno = fault.errnum;
    return true;
}

static bool lies(void)
{
    if (fault.at == 0 || fault.how != DONE_BUT_SAID || fault.seen != fault.at)
        return false;
    fault.hit = true;
    errno = fault.errnum;
    return true;
}

#define WRAP(type, name, params, args)                                                             \
    static type f_##name params                                                                    \
    {                                                                                              \
        type rc;                                                                                   \
                                                                                                   \
        if (fails())                                                                               \
            return -1;                                                                             \
        rc = os_sys_real.name args;                                                                \
        return rc;                                                                                 \
    }

WRAP(int, openat, (int d, const char *p, int f, mode_t m), (d, p, f, m))
WRAP(int, openat2, (int d, const char *p, const struct os_open_how *h), (d, p, h))
WRAP(int, dup_cloexec, (int fd), (fd))
WRAP(int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, fchmod, (int fd, mode_t m), (fd, m))
WRAP(int, fstatat, (int d, const char *p, struct stat *st, int f), (d, p, st, f))
WRAP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
WRAP(int, unlinkat, (int d, const char *p, int f), (d, p, f))
WRAP(ssize_t, getrandom, (void *b, size_t n, unsigned f), (b, n, f))

static int f_flock(int fd, int op)
{
    if (fails())
        return -1;
    if (no_flock != 0) {
        errno = no_flock;
        return -1;
    }
    return os_sys_real.flock(fd, op);
}

static ssize_t f_write(int fd, const void *buf, size_t len)
{
    if (fails())
        return -1;
    return os_sys_real.write(fd, buf, write_max != 0 && len > write_max ? write_max : len);
}

static int f_close(int fd)
{
    int rc = os_sys_real.close(fd); /* Linux closes even when it reports an error */

    return fails() ? -1 : rc;
}

static int f_fsync(int fd)
{
    struct stat st;

    if (fails())
        return -1;
    if (os_sys_real.fstat(fd, &st) == 0)
        note(S_ISDIR(st.st_mode) ? 'D' : 'F');
    return 0; /* the order is judged, the disk is spared */
}

static int f_renameat2(int fd, const char *from, int td, const char *to, unsigned flags)
{
    int rc;

    if (fails())
        return -1;
    if (no_rename2 != 0) {
        errno = no_rename2;
        return -1;
    }
    rc = os_sys_real.renameat2(fd, from, td, to, flags);
    if (rc == 0)
        note('R');
    return rc == 0 && lies() ? -1 : rc;
}

static int f_linkat(int fd, const char *from, int td, const char *to, int flags)
{
    int rc;

    if (fails())
        return -1;
    if (no_link != 0) {
        errno = no_link;
        return -1;
    }
    rc = os_sys_real.linkat(fd, from, td, to, flags);
    if (rc == 0)
        note('R');
    return rc == 0 && lies() ? -1 : rc;
}

static int f_renameat(int fd, const char *from, int td, const char *to)
{
    int rc;

    if (fails())
        return -1;
    rc = os_sys_real.renameat(fd, from, td, to);
    if (rc == 0)
        note('R');
    return rc == 0 && lies() ? -1 : rc;
}

static void arm(int at, int errnum, enum how how)
{
    fault.at = at;
    fault.errnum = errnum;
    fault.how = how;
    fault.seen = 0;
    fault.hit = false;
    trace[0] = '\0';
}

static void use_table(void)
{
    table = os_sys_real;
    table.openat = f_openat;
    table.openat2 = f_openat2;
    table.dup_cloexec = f_dup_cloexec;
    table.fstat = f_fstat;
    table.fchmod = f_fchmod;
    table.fstatat = f_fstatat;
    table.mkdirat = f_mkdirat;
    table.unlinkat = f_unlinkat;
    table.getrandom = f_getrandom;
    table.flock = f_flock;
    table.write = f_write;
    table.close = f_close;
    table.fsync = f_fsync;
    table.renameat2 = f_renameat2;
    table.linkat = f_linkat;
    table.renameat = f_renameat;
    os_sys = &table;
}

/* ---- helpers ---- */

static char base[64];
static struct os_root root = OS_ROOT_INIT;

static void make_body(uint8_t *body, uint8_t seed)
{
    for (int i = 0; i < BODY; i++)
        body[i] = (uint8_t)(seed + i % 251);
}

static int publish_body(const char *dir, const char *name, uint8_t seed,
                        const struct publish_opts *opts, bool *no_dir_sync, struct err *err)
{
    struct publish p = PUBLISH_INIT;
    uint8_t body[BODY];
    int rc;

    make_body(body, seed);
    rc = publish_begin(&p, &root, dir, name, opts, err);
    for (size_t at = 0; rc == 0 && at < BODY; at += 1000)
        rc = publish_write(&p, body + at, 1000, err);
    if (rc == 0)
        rc = publish_commit(&p, err);
    if (no_dir_sync != NULL)
        *no_dir_sync = p.no_dir_sync;
    publish_abort(&p);
    publish_abort(&p); /* twice must be harmless */
    return rc;
}

/* -1 absent, 0 wrong, 1 right; plain libc, so that no fault gets in. */
static int look_at(const char *dir, const char *name, uint8_t seed)
{
    char path[512];
    uint8_t want[BODY];
    uint8_t got[BODY + 1];
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof path, "%s/%s/%s", base, dir, name);
    f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    n = fread(got, 1, sizeof got, f);
    (void)fclose(f);
    make_body(want, seed);
    return n == BODY && memcmp(got, want, BODY) == 0;
}

static int count_temps(const char *dir)
{
    char path[512];
    struct dirent *e;
    int n = 0;
    DIR *d;

    (void)snprintf(path, sizeof path, "%s/%s", base, dir);
    d = opendir(path);
    while (d != NULL && (e = readdir(d)) != NULL)
        n += publish_is_temp(e->d_name) ? 1 : 0;
    if (d != NULL)
        (void)closedir(d);
    return n;
}

static int open_fds(void)
{
    struct dirent *e;
    int n = 0;
    DIR *d = opendir("/proc/self/fd");

    while (d != NULL && (e = readdir(d)) != NULL)
        n++;
    if (d != NULL)
        (void)closedir(d);
    return n;
}

static void wipe(const char *dir)
{
    arm(0, 0, FAIL_ONCE);
    (void)os_tree_remove(&root, dir, &(struct err){0});
}

/* ---- one call failing ---- */

struct sweep_case {
    const char *title;
    unsigned flags;
    int rename2, link, lock; /* errno of a missing call, or 0 */
    bool fresh;              /* the directory has to be made */
};

static const char *run_point(const struct sweep_case *c, int at, int errnum, enum how how,
                             bool *done)
{
    static int serial;
    struct publish_opts opts = {.flags = c->flags, .mode = 0640, .dir_mode = 0750};
    struct publish_swept swept;
    struct err err = {0};
    char dir[64];
    int fds = open_fds();
    bool no_dir_sync = false;
    bool whole;
    int rc;

    (void)snprintf(dir, sizeof dir, "s%d%s", serial++, c->fresh ? "/a/b" : "");
    if (!c->fresh) {
        int fd;

        arm(0, 0, FAIL_ONCE);
        if (os_root_mkdirs(&root, dir, 0700, &fd, &err) != 0)
            return "setup";
        os_drop(&fd);
    }
    no_rename2 = c->rename2;
    no_link = c->link;
    no_flock = c->lock;
    arm(at, errnum, how);
    rc = publish_body(dir, "name", 7, &opts, &no_dir_sync, &err);
    *done = !fault.hit;
    fault.at = 0;
    if (open_fds() != fds)
        return "descriptor leaked";
    whole = look_at(dir, "name", 7) == 1;
    if (look_at(dir, "name", 7) == 0)
        return "torn file visible";
    if (rc == 0 && !whole)
        return "success without the file";
    if (rc == 0) {
        const char *r = strchr(trace, 'R');

        if (r == NULL || memchr(trace, 'F', (size_t)(r - trace)) == NULL)
            return "renamed before the file's flush";
        if (strchr(r, 'D') == NULL && !no_dir_sync)
            return "success without the directory's flush";
        if (c->fresh && memchr(trace, 'D', (size_t)(r - trace)) == NULL && errnum != EINVAL &&
            errnum != ENOTSUP && errnum != ENOSYS)
            return "success without the parents' flush";
    }
    if (rc < 0 && (err.code == ERR_NONE || err.msg[0] == '\0'))
        return "error without a message";
    if (rc >= 0 && err.code != ERR_NONE && how != DONE_BUT_SAID)
        return "message without an error";
    if (how == DONE_BUT_SAID && !*done && rc != 0 &&
        (errnum == EIO || errnum == EINTR || errnum == EEXIST || errnum == ENOENT))
        return "a lost answer was taken for a failure";
    if (rc > 0 && rc != PUBLISH_EXISTS)
        return "strange answer";
    /* What is left must be reapable, and the next try must work. */
    if (c->lock == 0) {
        err_clear(&err);
        rc = os_sweep_temps(&root, dir, &swept, &err);
        if (rc < 0 || (rc == 0 && (swept.alive != 0 || swept.unknown != 0)))
            return "leftover is not reapable";
        if (count_temps(dir) != 0)
            return "leftover after the sweep";
    }
    err_clear(&err);
    rc = publish_body(dir, "name", 7,
                      &(struct publish_opts){.flags = c->flags | PUBLISH_MKDIRS, .mode = 0640},
                      NULL, &err);
    if (rc != 0 && !(rc == PUBLISH_EXISTS && whole))
        return "the next attempt failed";
    if (look_at(dir, "name", 7) != 1)
        return "the next attempt left no file";
    err_clear(&err);
    if (publish_make_durable(&root, dir, "name", &err) != 0)
        return "not to be made durable";
    wipe(dir);
    return NULL;
}

static void sweep_all(const struct sweep_case *c)
{
    static const int errs[] = {EIO,    ENOSPC,  EINTR,  EMFILE, ENOSYS, EPERM,
                               EINVAL, ENOTSUP, EEXIST, ENOENT, ENOLCK, EACCES};
    const char *bad = NULL;
    int points = 0;

    for (size_t e = 0; e < sizeof errs / sizeof *errs && bad == NULL; e++) {
        for (int how = FAIL_ONCE; how <= DONE_BUT_SAID && bad == NULL; how++) {
            bool done = false;
            int past = 0;

            /* FAIL_ON with EINTR would spin for ever in the loops that must retry it. */
            if (how == FAIL_ON && errs[e] == EINTR)
                continue;
            for (int at = 1; at < 200 && past < (how == DONE_BUT_SAID ? 30 : 1); at++) {
                bad = run_point(c, at, errs[e], (enum how)how, &done);
                past = done ? past + 1 : 0;
                points++;
                if (bad != NULL) {
                    printf("# %s: call %d, %s, how %d, trace %s\n", c->title, at, strerror(errs[e]),
                           how, trace);
                    break;
                }
            }
        }
    }
    OK(bad == NULL && points > 100, "every call failing, %s (%d points)%s%s", c->title, points,
       bad == NULL ? "" : ": ", bad == NULL ? "" : bad);
    no_rename2 = no_link = no_flock = 0;
}

static void test_faults(void)
{
    static const struct sweep_case cases[] = {
        {"plain rename", 0, 0, 0, 0, false},
        {"made directories", PUBLISH_MKDIRS, 0, 0, 0, true},
        {"link", 0, EINVAL, 0, 0, false},
        {"locked rename", PUBLISH_LOCKED_RENAME, ENOSYS, EPERM, 0, false},
        {"no locks", 0, 0, 0, ENOLCK, false},
        {"replace", PUBLISH_REPLACE, 0, 0, 0, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        sweep_all(&cases[i]);
}

/* ---- single behaviours ---- */

static void test_plain(void)
{
    struct publish_opts opts = {.flags = PUBLISH_MKDIRS, .mode = 0640, .dir_mode = 0750};
    struct err err = {0};
    struct stat st;
    char path[512];

    OK(publish_body("p/q", "one", 1, NULL, NULL, &err) < 0 && err.sys == ENOENT,
       "a missing directory is an error: %s", err.msg);
    err_clear(&err);
    arm(0, 0, FAIL_ONCE);
    OK(publish_body("p/q", "one", 1, &opts, NULL, &err) == 0, "published %s", err.msg);
    IS_STR(trace, "DDFRD", "two made directories, file, name, directory: in this order");
    (void)snprintf(path, sizeof path, "%s/p/q/one", base);
    OK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "the file has its mode");
    (void)snprintf(path, sizeof path, "%s/p/q", base);
    OK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0750, "the directory has its mode");
    arm(0, 0, FAIL_ONCE);
    OK(publish_body("p/q", "one", 2, &opts, NULL, &err) == PUBLISH_EXISTS, "a taken name is told");
    OK(look_at("p/q", "one", 1) == 1 && count_temps("p/q") == 0, "and nothing changed");
    arm(0, 0, FAIL_ONCE);
    OK(publish_make_durable(&root, "p/q", "one", &err) == 0, "made durable again");
    IS_STR(trace, "FD", "file and directory flushed, nothing else");
    OK(publish_make_durable(&root, "p/q", "none", &err) == OS_ABSENT, "an absent file is told");
    opts.flags = PUBLISH_REPLACE;
    OK(publish_body("p/q", "one", 2, &opts, NULL, &err) == 0 && look_at("p/q", "one", 2) == 1,
       "replaced on demand");
    opts.flags = PUBLISH_NO_FLUSH;
    arm(0, 0, FAIL_ONCE);
    OK(publish_body("p/q", "two", 2, &opts, NULL, &err) == 0, "published without flushing");
    IS_STR(trace, "R", "no flush at all");
    OK(publish_body("p/q", "a/b", 2, NULL, NULL, &err) < 0, "a slash in the name is refused");
    err_clear(&err);
    OK(publish_body("p/q", ".tmp.0.x", 2, NULL, NULL, &err) < 0, "a temp's name is refused");
    err_clear(&err);
    OK(publish_body("p/q", "", 2, NULL, NULL, &err) < 0, "an empty name is refused");
    err_clear(&err);
    OK(publish_body("p/../q", "x", 2, NULL, NULL, &err) < 0, "dots in the directory are refused");
}

static void test_limits_of_filesystems(void)
{
    struct publish_opts opts = {.flags = 0};
    struct err err = {0};

    no_rename2 = EINVAL;
    no_link = EPERM;
    OK(publish_body("p/q", "three", 3, &opts, NULL, &err) < 0 && err.code == ERR_REFUSED,
       "no way to publish safely is refused: %s", err.msg);
    OK(count_temps("p/q") == 0 && look_at("p/q", "three", 3) == -1, "and leaves nothing");
    err_clear(&err);
    opts.flags = PUBLISH_LOCKED_RENAME;
    OK(publish_body("p/q", "three", 3, &opts, NULL, &err) == 0, "unless the flag allows it");
    OK(publish_body("p/q", "three", 4, &opts, NULL, &err) == PUBLISH_EXISTS &&
           look_at("p/q", "three", 3) == 1,
       "which does not replace either");
    no_flock = ENOLCK;
    OK(publish_body("p/q", "four", 3, &opts, NULL, &err) < 0, "but needs locks: %s", err.msg);
    no_rename2 = no_link = 0;
    err_clear(&err);
    OK(publish_body("p/q", "four", 3, &opts, NULL, &err) == 0 && count_temps("p/q") == 0,
       "without locks a rename still publishes");
    no_flock = 0;
}

static void test_short_writes(void)
{
    struct err err = {0};
    bool same = true;

    for (size_t max = 1; max < 8; max++) {
        char name[16];

        (void)snprintf(name, sizeof name, "short%zu", max);
        write_max = max;
        same = publish_body("p/q", name, (uint8_t)max, NULL, NULL, &err) == 0 &&
               look_at("p/q", name, (uint8_t)max) == 1 && same;
    }
    write_max = 0;
    OK(same, "short writes are continued");
}

static void test_half_made_directory(void)
{
    struct err err = {0};
    struct stat st;
    char path[512];

    /* What a maker leaves that died between mkdir and the flush of the parent. */
    (void)snprintf(path, sizeof path, "%s/p/half", base);
    (void)mkdir(path, 0700);
    (void)chmod(path, 01700);
    arm(0, 0, FAIL_ONCE);
    OK(publish_body("p/half", "x", 1, NULL, NULL, &err) == 0, "published there");
    IS_STR(trace, "DFRD", "and the parent was flushed first");
    arm(0, 0, FAIL_ONCE);
    OK(publish_make_durable(&root, "p/half", "x", &err) == 0 && strcmp(trace, "DFD") == 0,
       "also when made durable again");
    OK(publish_body("p/half", "y", 1,
                    &(struct publish_opts){.flags = PUBLISH_MKDIRS, .dir_mode = 0750}, NULL,
                    &err) == 0 &&
           stat(path, &st) == 0 && (st.st_mode & 07777) == 0750,
       "who knows the mode takes the mark off");
    arm(0, 0, FAIL_ONCE);
    OK(publish_body("p/half", "z", 1, NULL, NULL, &err) == 0 && strcmp(trace, "FRD") == 0,
       "and then it costs no flush more");
}

/* ---- temps of the dead and of the living ---- */

static pid_t start_writer(const char *dir, const char *name)
{
    int ready[2];
    char byte = 0;
    pid_t pid;

    if (pipe(ready) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        struct publish p = PUBLISH_INIT;
        struct err err = {0};

        (void)close(ready[0]);
        if (publish_begin(&p, &root, dir, name, NULL, &err) == 0 &&
            publish_write(&p, "half", 4, &err) == 0 && write(ready[1], "x", 1) == 1)
            for (;;)
                (void)pause();
        _exit(1);
    }
    (void)close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        byte = 0;
    (void)close(ready[0]);
    return byte == 'x' ? pid : -1;
}

static void end_writer(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void test_temps(void)
{
    pid_t pids[PUBLISH_SLOTS];
    struct publish_swept swept;
    struct err err = {0};
    char path[512];
    bool all = true;
    pid_t pid;

    pid = start_writer("p/q", "stale");
    end_writer(pid);
    OK(count_temps("p/q") == 1, "a killed writer leaves its temp");
    OK(publish_body("p/q", "stale", 5, NULL, NULL, &err) == 0 && count_temps("p/q") == 0,
       "the next writer of that name takes the slot");
    pid = start_writer("p/q", "stale2");
    end_writer(pid);
    pid = start_writer("p/q", "live");
    OK(os_sweep_temps(&root, "p/q", &swept, &err) == 0 && swept.removed == 1 && swept.alive == 1 &&
           swept.unknown == 0,
       "a sweep removes the dead one and leaves the living");
    OK(publish_body("p/q", "live", 6, NULL, NULL, &err) == 0 && look_at("p/q", "live", 6) == 1,
       "a second writer beside a living one");
    end_writer(pid);
    for (int i = 0; i < PUBLISH_SLOTS; i++) {
        pids[i] = start_writer("p/q", "full");
        all = all && pids[i] > 0;
    }
    OK(all && publish_body("p/q", "full", 6, NULL, NULL, &err) < 0 && err.code == ERR_REFUSED,
       "eight living writers are the limit: %s", err.msg);
    for (int i = 0; i < PUBLISH_SLOTS; i++)
        end_writer(pids[i]);
    err_clear(&err);
    OK(publish_body("p/q", "full", 6, NULL, NULL, &err) == 0, "and no longer when they are dead");
    OK(os_sweep_temps(&root, "p/q", &swept, &err) == 0 && count_temps("p/q") == 0, "all swept");
    (void)snprintf(path, sizeof path, "%s/p/q/.tmp.0.odd", base);
    (void)mkfifo(path, 0600);
    (void)snprintf(path, sizeof path, "%s/p/q/.tmp.1.odd", base);
    (void)!symlink("one", path);
    (void)snprintf(path, sizeof path, "%s/p/q/.tmp.2.odd", base);
    (void)mkdir(path, 0700);
    OK(publish_body("p/q", "odd", 6, NULL, NULL, &err) == 0 && count_temps("p/q") == 3,
       "a FIFO, a link and a directory in the slots are passed by");
    OK(os_sweep_temps(&root, "p/q", &swept, &err) == 0 && swept.unknown == 3 && swept.removed == 0,
       "and never swept");
    OK(look_at("p/q", "one", 2) == 1, "nor followed");
    OK(os_sweep_temps(&root, "nowhere", &swept, &err) == OS_ABSENT, "no directory, no sweep");
}

int main(void)
{
    struct os_names names = OS_NAMES_INIT;
    struct err err = {0};

    (void)snprintf(base, sizeof base, "/tmp/os_publish_test.XXXXXX");
    if (mkdtemp(base) == NULL || os_root_open(&root, base, &err) != 0)
        return 1;
    use_table();
    test_plain();
    test_limits_of_filesystems();
    test_short_writes();
    test_half_made_directory();
    test_temps();
    test_faults();
    arm(0, 0, FAIL_ONCE);
    OK(os_dir_names(root.fd, &names, 100000, base, &err) == 0, "what is left");
    for (size_t i = 0; i < names.n; i++)
        wipe(os_name_at(&names, i));
    os_names_fini(&names);
    os_root_close(&root);
    OK(rmdir(base) == 0, "is cleaned up");
    return tap_done();
}

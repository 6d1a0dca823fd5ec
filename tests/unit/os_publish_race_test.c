/*
 * Publishing by four processes at once, with two that sweep and some that die in the middle: of
 * each name there is exactly one winner, and the file is the winner's and whole.
 *
 * WALDEN_LONG=1 in the environment runs ten times as many rounds.
 *
 * when: full
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/publish.h"
#include "tap.h"

enum { BODY = 5000, WRITERS = 4, SWEEPERS = 2, ROUNDS_MAX = 10000 };

static struct os_sys table;
static char base[64];
static struct os_root root = OS_ROOT_INIT;

static void make_body(uint8_t *body, uint8_t seed)
{
    for (int i = 0; i < BODY; i++)
        body[i] = (uint8_t)(seed + i % 251);
}

static int publish_body(const char *name, uint8_t seed, struct err *err)
{
    struct publish p = PUBLISH_INIT;
    uint8_t body[BODY];
    int rc;

    make_body(body, seed);
    rc = publish_begin(&p, &root, "race", name, NULL, err);
    for (size_t at = 0; rc == 0 && at < BODY; at += 1000)
        rc = publish_write(&p, body + at, 1000, err);
    if (rc == 0)
        rc = publish_commit(&p, err);
    publish_abort(&p);
    return rc;
}

static bool is_whole(const char *name, uint8_t seed)
{
    uint8_t want[BODY];
    uint8_t got[BODY + 1];
    char path[128];
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof path, "%s/race/%s", base, name);
    f = fopen(path, "rb");
    if (f == NULL)
        return false;
    n = fread(got, 1, sizeof got, f);
    (void)fclose(f);
    make_body(want, seed);
    return n == BODY && memcmp(got, want, BODY) == 0;
}

static int count_temp(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    (void)type;
    (void)err;
    *(int *)arg += publish_is_temp(name) ? 1 : 0;
    return 0;
}

static int temps_left(void)
{
    struct err err = {0};
    int n = 0;
    int fd;

    if (os_root_dir(&root, "race", &fd, &err) != 0 ||
        os_dir_each(fd, count_temp, &n, "race", &err) != 0)
        n = -1;
    os_drop(&fd);
    return n;
}

struct shared {
    atomic_int arrived;
    atomic_int stop;
    signed char answer[ROUNDS_MAX][WRITERS];
};

static unsigned dice(unsigned *state)
{
    *state = *state * 1103515245U + 12345U;
    return *state >> 16;
}

static unsigned race_state;

/* The gap between making a temp and locking it, made wide. */
static int slow_flock(int fd, int op)
{
    if (dice(&race_state) % 4 == 0)
        (void)sched_yield();
    if (dice(&race_state) % 32 == 0)
        (void)usleep(dice(&race_state) % 100);
    return os_sys_real.flock(fd, op);
}

static int no_rename2;

static int slow_renameat2(int fd, const char *from, int td, const char *to, unsigned flags)
{
    if (dice(&race_state) % 4 == 0)
        (void)sched_yield();
    if (no_rename2 != 0) {
        errno = no_rename2;
        return -1;
    }
    return os_sys_real.renameat2(fd, from, td, to, flags);
}

static int no_fsync(int fd)
{
    (void)fd;
    return 0;
}

static _Noreturn void race_writer(struct shared *sh, int me, int rounds)
{
    for (int r = 0; r < rounds; r++) {
        struct err err = {0};
        char name[32];

        (void)snprintf(name, sizeof name, "r%05d", r);
        atomic_fetch_add(&sh->arrived, 1);
        while (atomic_load(&sh->arrived) < (r + 1) * WRITERS)
            (void)sched_yield();
        if (dice(&race_state) % 8 == 0) { /* somebody dies over the same name */
            pid_t pid = fork();

            if (pid == 0) {
                struct publish p = PUBLISH_INIT;

                if (publish_begin(&p, &root, "race", name, NULL, &err) == 0)
                    (void)publish_write(&p, "dead", 4, &err);
                _exit(0);
            }
            (void)waitpid(pid, NULL, 0);
        }
        sh->answer[r][me] = (signed char)publish_body(name, (uint8_t)(me + 1), &err);
        if (sh->answer[r][me] < 0) {
            printf("# writer %d round %d: %s\n", me, r, err.msg);
            (void)fflush(stdout);
        }
    }
    _exit(0);
}

static _Noreturn void race_sweeper(struct shared *sh)
{
    struct publish_swept swept;
    struct err err = {0};

    while (atomic_load(&sh->stop) == 0) {
        if (os_sweep_temps(&root, "race", &swept, &err) < 0)
            _exit(1);
        (void)usleep(dice(&race_state) % 300); /* a listing of all rounds costs more than one */
    }
    _exit(0);
}

static void judge_race(const struct shared *sh, int rounds)
{
    int wrong_winners = 0;
    int failed = 0;
    int torn = 0;

    for (int r = 0; r < rounds; r++) {
        int winners = 0;
        char name[32];

        (void)snprintf(name, sizeof name, "r%05d", r);
        for (int w = 0; w < WRITERS; w++) {
            failed += sh->answer[r][w] < 0 ? 1 : 0;
            if (sh->answer[r][w] != 0)
                continue;
            winners++;
            torn += is_whole(name, (uint8_t)(w + 1)) ? 0 : 1;
        }
        wrong_winners += winners == 1 ? 0 : 1;
    }
    OK(wrong_winners == 0, "%d rounds: exactly one writer won each (%d not)", rounds,
       wrong_winners);
    OK(torn == 0, "each file is the winner's, whole (%d not)", torn);
    OK(failed == 0, "no writer failed (%d did)", failed);
}

static void test_race(const char *title, int rename2_errno)
{
    int rounds = getenv("WALDEN_LONG") != NULL ? ROUNDS_MAX : 1000;
    struct shared *sh =
        mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[WRITERS + SWEEPERS];
    struct publish_swept swept;
    struct err err = {0};
    bool clean = true;
    int fd;

    printf("# race: %s\n", title);
    OK(os_root_mkdirs(&root, "race", 0700, &fd, &err) == 0, "a directory to race in");
    os_drop(&fd);
    table = os_sys_real;
    table.flock = slow_flock;
    table.fsync = no_fsync;
    table.renameat2 = slow_renameat2;
    no_rename2 = rename2_errno;
    os_sys = &table;
    for (int i = 0; i < WRITERS + SWEEPERS; i++) {
        (void)fflush(stdout);
        pids[i] = fork();
        if (pids[i] == 0) {
            race_state = (unsigned)(i * 7919 + 1);
            if (i < WRITERS)
                race_writer(sh, i, rounds);
            race_sweeper(sh);
        }
    }
    for (int i = 0; i < WRITERS + SWEEPERS; i++) {
        int how = 0;

        if (i == WRITERS)
            atomic_store(&sh->stop, 1);
        (void)waitpid(pids[i], &how, 0);
        clean = clean && WIFEXITED(how) && WEXITSTATUS(how) == 0;
    }
    OK(clean, "all processes ended well");
    judge_race(sh, rounds);
    OK(os_sweep_temps(&root, "race", &swept, &err) == 0 && temps_left() == 0,
       "no temp is left after a last sweep");
    (void)munmap(sh, sizeof *sh);
    OK(os_tree_remove(&root, "race", &err) == 0, "cleaned up");
}

int main(void)
{
    struct err err = {0};

    (void)snprintf(base, sizeof base, "/tmp/os_publish_race.XXXXXX");
    if (mkdtemp(base) == NULL || os_root_open(&root, base, &err) != 0)
        return 1;
    test_race("rename", 0);
    test_race("link", EINVAL);
    os_root_close(&root);
    OK(rmdir(base) == 0, "all cleaned up");
    return tap_done();
}

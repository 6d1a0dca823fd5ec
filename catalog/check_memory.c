/* What one check leaves for the next, and who is told when the state changes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/words.h"
#include "check.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/publish.h"
#include "os/time.h"

enum {
    FILE_MAX = 4096,
    NOTIFY_S = 30,
    ENV_MAX = 256,
    SAMPLE_US =
        10 * 60 * 1000000 /* a WAL position is kept that long, so that a rate means something */
};

static void file_of(const struct check *c, char out[128])
{
    (void)snprintf(out, 128, "check-%.64s", c->cluster);
}

/* "state <word>", "lsn <number>", "time <microseconds>" */
static void take_line(struct check_memory *m, const char *line)
{
    struct err quiet = {0};

    if (strncmp(line, "state ", 6) == 0) {
        for (int s = JUDGE_OK; s <= JUDGE_UNKNOWN; s++)
            if (strcmp(line + 6, judge_word((enum judge_state)s)) == 0) {
                m->state = (enum judge_state)s;
                m->known = true;
            }
    } else if (strncmp(line, "lsn ", 4) == 0) {
        (void)!parse_u64(line + 4, 0, UINT64_MAX, &m->lsn, &quiet); /* stays 0: not known */
    } else if (strncmp(line, "time ", 5) == 0) {
        (void)!parse_i64(line + 5, 0, INT64_MAX, &m->time, &quiet);
    }
}

void check_remember(struct check *c)
{
    struct os_root root = OS_ROOT_INIT;
    struct err quiet = {0};
    char file[128];
    char *text = NULL;
    char *next;
    size_t len;
    int fd = -1;

    file_of(c, file);
    if (c->settings->state_dir != NULL &&
        os_root_open(&root, c->settings->state_dir, &quiet) == 0 &&
        os_root_at(&root, file, O_RDONLY, 0, &fd, &quiet) == 0 &&
        os_read_small_fd(fd, FILE_MAX, &text, &len, file, &quiet) == 0)
        for (char *line = text; *line != '\0'; line = next) {
            next = line + strcspn(line, "\n");
            if (*next == '\n')
                *next++ = '\0';
            take_line(&c->before, line);
        }
    free(text);
    os_drop(&fd);
    os_root_close(&root);
}

void check_keep(struct check *c, const struct msg *m)
{
    const struct check_memory *b = &c->before;
    bool fresh = b->lsn > 0 && b->time <= c->facts.now && c->facts.now - b->time < SAMPLE_US;
    struct publish_opts how = {.flags = PUBLISH_REPLACE | PUBLISH_NO_FLUSH, .mode = 0600};
    struct os_root root = OS_ROOT_INIT;
    struct publish p = PUBLISH_INIT;
    struct err why = {0};
    char file[128];
    char text[256];
    int rc;

    if (c->settings->state_dir == NULL)
        return;
    file_of(c, file);
    (void)snprintf(text, sizeof text, "state %s\nlsn %llu\ntime %lld\n", judge_word(c->worst),
                   (unsigned long long)(fresh || c->facts.pg.lsn == 0 ? b->lsn : c->facts.pg.lsn),
                   (long long)(fresh || c->facts.pg.lsn == 0 ? b->time : c->facts.now));
    rc = os_root_open(&root, c->settings->state_dir, &why);
    if (rc == 0)
        rc = publish_begin(&p, &root, ".", file, &how, &why);
    if (rc == 0)
        rc = publish_write(&p, text, strlen(text), &why);
    if (rc == 0) /* a crash before this leaves the state before, and tells once more */
        rc = publish_commit(&p, &why);
    publish_abort(&p);
    os_root_close(&root);
    if (rc > 0)
        msg_warn(m, "state_dir \"%s\" does not exist, so nothing is remembered from check to check",
                 c->settings->state_dir);
    else if (rc < 0)
        msg_warn_err(m, &why);
}

/* --- notify_command --- */

/* The child reads the text; one that does not, or hangs, holds nobody up for long. */
static int feed(struct os_proc *p, const char *text, int64_t deadline, struct err *e)
{
    size_t len = strlen(text);
    size_t done = 0;

    while (done < len && os_wait_fd(p->in, POLLOUT, deadline, e) == 0) {
        size_t piece = len - done < 512 ? len - done : 512; /* a pipe takes that much at once */

        if (os_write_full(p->in, text + done, piece, "notify_command", e) != 0)
            break; /* it closed its end: its exit status tells the rest */
        done += piece;
    }
    os_drop(&p->in);
    err_clear(e);
    return os_proc_wait(p, deadline, e);
}

static void run(const char *const *argv, const char *const *env, const char *text,
                const struct msg *m)
{
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc p = OS_PROC_INIT;
    struct err e = {0};
    int rc;

    spec.argv = argv;
    spec.env = env;
    spec.in = OS_PROC_PIPE;
    spec.out = OS_PROC_NULL;
    spec.own_group = true;
    rc = os_proc_spawn(&p, &spec, &e);
    if (rc == 0)
        rc = feed(&p, text, os_mono_us() + NOTIFY_S * INT64_C(1000000), &e);
    if (rc == OS_BUSY) {
        os_proc_kill(&p, SIGKILL);
        msg_warn(m, "notify_command did not end within %d s and was stopped", NOTIFY_S);
    } else if (rc != 0) {
        msg_warn_err(m, &e);
    } else if (p.exit_code != 0) {
        msg_warn(m, "notify_command ended with exit status %d; nobody may have been told",
                 p.exit_code);
    }
    os_proc_fini(&p);
}

extern char **environ;

void check_notify(const struct check *c, const char *text, const struct msg *m)
{
    static char state[64];
    static char before[64];
    static char cluster[128];
    struct words words;
    struct err why = {0};
    const char *env[ENV_MAX + 4] = {NULL};
    size_t k = 0;

    /* The first check of all has nothing to compare with: it speaks up unless all is well. */
    if (c->settings->notify_command == NULL ||
        (c->before.known ? c->before.state == c->worst : c->worst == JUDGE_OK))
        return;
    if (words_split(&words, c->settings->notify_command, WORDS_COMMAND, &why) != 0) {
        msg_warn_err(m, &why);
        return;
    }
    if (words.n == 0)
        return;
    (void)snprintf(state, sizeof state, "CHECK_STATE=%s", judge_word(c->worst));
    (void)snprintf(before, sizeof before, "CHECK_STATE_BEFORE=%s",
                   c->before.known ? judge_word(c->before.state) : "");
    (void)snprintf(cluster, sizeof cluster, "CHECK_CLUSTER=%s", c->cluster);
    for (; environ[k] != NULL && k < ENV_MAX; k++)
        env[k] = environ[k];
    env[k++] = state;
    env[k++] = before;
    env[k] = cluster;
    run(words.v, env, text, m);
}

/* What one check leaves for the next, and who is told when the state changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "check.h"
#include "os/file.h"
#include "os/publish.h"
#include "repo/hook_run.h"

enum {
    FILE_MAX = 4096,
    NOTIFY_S = 30,
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
        rc = os_root_give(&root, &why);
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

void check_notify(const struct check *c, const char *text, const struct msg *m)
{
    static struct hook_facts facts;
    static struct hook hook;
    struct err why = {0};

    /* The first check of all has nothing to compare with: it speaks up unless all is well. */
    if (c->settings->notify_command == NULL ||
        (c->before.known ? c->before.state == c->worst : c->worst == JUDGE_OK))
        return;
    hook.timeout = NOTIFY_S * UINT64_C(1000000);
    (void)hook_fact(&facts, "CHECK_STATE", judge_word(c->worst));
    (void)hook_fact(&facts, "CHECK_STATE_BEFORE",
                    c->before.known ? judge_word(c->before.state) : "");
    (void)hook_fact(&facts, "CHECK_CLUSTER", c->cluster);
    if (settings_may_run_key(c->settings, "notify_command", &why) != 0 ||
        words_split(&hook.command, c->settings->notify_command, WORDS_COMMAND, &why) != 0 ||
        hook_run(&hook, "notify_command", &facts, text, &why) != 0) {
        (void)err_context(&why, "nobody may have been told");
        msg_warn_err(m, &why);
    }
}

/* What is recorded between one job and the next, and who may run one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/parse.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/proc.h"
#include "os/publish.h"
#include "os/signal.h"
#include "os/time.h"
#include "run.h"

enum { FILE_MAX = 64 * 1024, NAP_US = 200 * 1000 };

int run_memory_open(struct run *r, struct err *e)
{
    int rc;

    (void)snprintf(r->file, sizeof r->file, "run-%.64s", r->settings->cluster);
    rc = os_root_open(&r->state, r->settings->state_dir, e);
    if (rc <= 0)
        return rc == 0 ? os_root_give(&r->state, e) : -1;
    (void)err_hint(e, "Make it, on a disk that outlives a restart, or correct state_dir.");
    return err_set(e, ERR_CONFIG, "state_dir \"%s\" does not exist", r->settings->state_dir);
}

void run_memory_close(struct run *r)
{
    run_turn_end(r);
    os_drop(&r->lock);
    os_root_close(&r->state);
}

/* --- reading --- */

static void take_number(const char *text, int64_t *out)
{
    struct err none = {0};

    if (parse_i64(text, INT64_MIN, INT64_MAX, out, &none) != 0)
        *out = 0;
}

/* "key=value"; what a later version has written is passed over. */
static void take_word(struct run_entry *en, const char *word)
{
    const char *value = strchr(word, '=');
    int64_t n = 0;
    struct {
        const char *name;
        int64_t *to;
    } const numbers[] = {{"since", &en->when.since},   {"taken", &en->when.taken},
                         {"trying", &en->when.trying}, {"tried", &en->when.tried},
                         {"began", &en->began},        {"ended", &en->ended}};

    if (value == NULL)
        return;
    value++;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strncmp(word, numbers[i].name, strlen(numbers[i].name)) == 0 &&
            word[strlen(numbers[i].name)] == '=')
            take_number(value, numbers[i].to);
    if (strncmp(word, "result=", 7) == 0)
        (void)snprintf(en->result, sizeof en->result, "%.15s", value);
    take_number(value, &n);
    if (strncmp(word, "tries=", 6) == 0)
        en->when.tries = (unsigned)n;
    else if (strncmp(word, "step=", 5) == 0)
        en->step = (size_t)n;
    else if (strncmp(word, "last=", 5) == 0)
        en->last = (size_t)n;
    else if (strncmp(word, "status=", 7) == 0)
        en->status = (int)n;
    else if (strncmp(word, "at=", 3) == 0)
        en->at_sum = (uint32_t)n;
}

/* "job NAME key=value ..." */
static void take_line(struct run *r, char *line)
{
    struct run_entry *en = NULL;
    char *save = NULL;
    char *word = strtok_r(line, " ", &save);

    if (word == NULL || strcmp(word, "job") != 0 || (word = strtok_r(NULL, " ", &save)) == NULL)
        return;
    for (size_t i = 0; i < r->entries.n; i++)
        if (strcmp(r->entries.v[i].job->name, word) == 0)
            en = &r->entries.v[i];
    if (en == NULL)
        return;
    while ((word = strtok_r(NULL, " ", &save)) != NULL)
        take_word(en, word);
}

/* A job that is new, or whose times are, has missed nothing. */
static bool begin_anew(struct run_entry *en, int64_t now)
{
    uint32_t sum = crc32c_extend(0, (const uint8_t *)en->job->at, strlen(en->job->at));

    if (en->when.since != 0 && en->at_sum == sum)
        return false;
    memset(&en->when, 0, sizeof en->when);
    en->when.since = now;
    en->at_sum = sum;
    en->step = 0;
    return true;
}

int run_memory_read(struct run *r, bool *changed, struct err *e)
{
    int64_t now = os_real_us();
    char *text = NULL;
    char *save = NULL;
    size_t len;
    int fd = -1;
    int rc = os_root_at(&r->state, r->file, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = os_read_small_fd(fd, FILE_MAX, &text, &len, r->file, e);
    os_drop(&fd);
    if (rc < 0)
        return -1;
    r->entries.n = 0;
    for (size_t i = 0; i < r->jobs.n; i++)
        if (run_entries_push(&r->entries, (struct run_entry){.job = &r->jobs.v[i]}, e) != 0)
            rc = -1;
    if (rc == 0)
        for (char *line = strtok_r(text, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save))
            take_line(r, line);
    free(text);
    *changed = false;
    for (size_t i = 0; i < r->entries.n; i++)
        *changed = begin_anew(&r->entries.v[i], now) || *changed;
    return rc < 0 ? -1 : 0;
}

/* --- writing --- */

static int put_line(struct buf *b, const struct run_entry *en, struct err *e)
{
    const struct schedule_memory *w = &en->when;

    return buf_fmt(
        b, e,
        "job %s at=%u since=%lld taken=%lld trying=%lld tries=%u tried=%lld step=%zu last=%zu "
        "began=%lld ended=%lld status=%d result=%s\n",
        en->job->name, (unsigned)en->at_sum, (long long)w->since, (long long)w->taken,
        (long long)w->trying, w->tries, (long long)w->tried, en->step, en->last,
        (long long)en->began, (long long)en->ended, en->status, en->result);
}

int run_memory_write(struct run *r, bool flush, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE | (flush ? 0 : PUBLISH_NO_FLUSH),
                               .mode = 0644};
    struct publish p = PUBLISH_INIT;
    struct buf b;
    int rc = 0;

    buf_init(&b, FILE_MAX);
    for (size_t i = 0; i < r->entries.n && rc == 0; i++)
        rc = put_line(&b, &r->entries.v[i], e);
    if (rc == 0)
        rc = publish_begin(&p, &r->state, ".", r->file, &how, e);
    if (rc == 0)
        rc = publish_write(&p, b.p, b.len, e);
    /* A crash before this leaves the record before: the try that was begun is not counted. */
    if (rc == 0)
        rc = publish_commit(&p, e);
    publish_abort(&p);
    buf_fini(&b);
    return rc == 0 ? 0 : err_context(e, "state_dir");
}

/* --- locks --- */

static int open_lock(struct run *r, const char *what, int *fd, struct err *e)
{
    char name[RUN_FILE_MAX + 8];
    int rc;

    (void)snprintf(name, sizeof name, "%s.%s", r->file, what);
    rc = os_root_at(&r->state, name, O_RDWR | O_CREAT, 0644, fd, e);
    return rc > 0 ? err_set(e, ERR_IO, "state_dir is gone") : rc;
}

int run_lock(struct run *r, struct err *e)
{
    int rc = open_lock(r, "lock", &r->lock, e);

    if (rc == 0)
        rc = os_lock(r->lock, OS_LOCK_EXCLUSIVE, false, "lock", e);
    if (rc != OS_BUSY)
        return rc < 0 ? -1 : 0;
    (void)err_hint(e, "Type \"walden run JOB\" to have one job done now.");
    return err_set(e, ERR_REFUSED, "another \"walden run\" waits for the clock already");
}

bool run_is_waiting(struct run *r)
{
    char name[RUN_FILE_MAX + 8];
    struct err none = {0};
    int fd = -1;
    bool busy;

    (void)snprintf(name, sizeof name, "%s.lock", r->file);
    busy = os_root_at(&r->state, name, O_RDONLY, 0, &fd, &none) == 0 &&
           os_lock(fd, OS_LOCK_SHARED, false, name, &none) == OS_BUSY;
    os_drop(&fd);
    return busy;
}

int run_turn_take(struct run *r, struct err *e)
{
    bool told = false;
    int rc = open_lock(r, "turn", &r->turn, e);

    while (rc == 0 && (rc = os_lock(r->turn, OS_LOCK_EXCLUSIVE, false, "turn", e)) == OS_BUSY) {
        if (!told)
            msg_note(r->msg, "another job is running; waiting for its end");
        told = true;
        rc = os_wait_fds(NULL, 0, os_mono_us() + NAP_US, e);
        if (rc == OS_BUSY)
            rc = 0;
    }
    if (rc < 0)
        run_turn_end(r);
    return rc < 0 ? -1 : 0;
}

void run_turn_end(struct run *r)
{
    os_drop(&r->turn);
}

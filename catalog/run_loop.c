/* Waiting for the clock. */
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/signal.h"
#include "os/time.h"
#include "run.h"

enum {
    /* A clock that is set, a machine that slept, a job that somebody did by hand: seen within that.
     */
    LOOK_US = 5 * 1000 * 1000
};

/* What is not run any more is said and recorded. */
static bool drop(struct run_entry *en, int64_t now, const struct schedule_next *next)
{
    char time[TEXT_TIME_MAX];

    if (next->dropped == 0)
        return false;
    text_time(time, next->dropped, 0);
    if (en->when.taken > now || en->when.since > now)
        run_log(en, "the record is of a time to come: the clock was wrong then, or is now");
    else
        run_log(en, "result=skipped due=%s do=\"%s\"", time, en->job->task);
    schedule_take(&en->when, next->dropped);
    en->step = 0;
    return true;
}

struct run_entry *run_next(struct run *r, struct schedule_next *next, struct err *e)
{
    struct run_entry *first = NULL;
    struct schedule_next n;
    int64_t now = os_real_us();
    bool changed = false;

    if (run_memory_read(r, &changed, e) != 0)
        return NULL;
    for (size_t i = 0; i < r->entries.n; i++) {
        struct run_entry *en = &r->entries.v[i];

        schedule_next(&en->job->rule, &en->when, r->up_since, now, &n);
        changed = drop(en, now, &n) || changed;
        if (n.at != SCHEDULE_NEVER && (first == NULL || n.at < next->at)) {
            first = en;
            *next = n;
        }
    }
    if (changed && run_memory_write(r, true, e) != 0)
        return NULL;
    return first;
}

static bool is_changed(struct run *r)
{
    struct stat seen = r->seen;

    run_look(r);
    return seen.st_ino != r->seen.st_ino || seen.st_mtim.tv_sec != r->seen.st_mtim.tv_sec ||
           seen.st_mtim.tv_nsec != r->seen.st_mtim.tv_nsec || seen.st_size != r->seen.st_size;
}

void run_look(struct run *r)
{
    struct err none = {0};
    struct stat st;

    if (r->settings->config != NULL && os_stat(r->settings->config, &st, &none) == 0)
        r->seen = st;
}

/* 1: a job was run; 0: nothing is due before *at. */
static int do_next(struct run *r, int64_t *at, int *status, struct err *e)
{
    struct schedule_next next = {.at = SCHEDULE_NEVER};
    struct run_outcome out;
    struct run_entry *en;
    int rc = 0;

    en = run_next(r, &next, e);
    if (en == NULL && e->code != ERR_NONE)
        return -1;
    *at = next.at;
    if (en == NULL || next.at > os_real_us())
        return 0;
    if (run_turn_take(r, e) != 0)
        return -1;
    /* Somebody may have done it while we waited for our turn. */
    en = run_next(r, &next, e);
    if (en == NULL && e->code != ERR_NONE)
        rc = -1;
    else if (en != NULL && next.at <= os_real_us()) {
        if (next.why == SCHEDULE_MISSED)
            run_log(en, "nobody was there at the time; made up for now");
        rc = run_work(r, en, next.time, &out, e) == 0 ? 1 : -1;
        if (rc > 0 && out.status > *status)
            *status = out.interrupted ? STATUS_INTERRUPTED : STATUS_PROBLEM;
        if (rc > 0 && out.interrupted)
            rc = err_set(e, ERR_INTERRUPTED, "the job was interrupted");
    }
    run_turn_end(r);
    return rc;
}

int run_loop(struct run *r, bool once, int *status, struct err *e)
{
    for (;;) {
        int64_t at = SCHEDULE_NEVER;
        int64_t left;
        int rc = do_next(r, &at, status, e);

        if (rc == 0)
            rc = os_signal_check(e);
        if (rc < 0)
            return -1;
        if (rc > 0)
            continue;
        if (once)
            return 0;
        if (is_changed(r))
            return 1;
        if (os_pid() == 1)
            os_proc_reap();
        left = at == SCHEDULE_NEVER ? LOOK_US : at - os_real_us();
        if (left > 0 &&
            os_wait_fds(NULL, 0, os_mono_us() + (left < LOOK_US ? left : LOOK_US), e) < 0)
            return -1;
    }
}

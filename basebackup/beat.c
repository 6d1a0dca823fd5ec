#include "basebackup/beat.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "os/host.h"
#include "os/time.h"

/* A beat that fails for another reason than being dead is tried again: the disk may be full for a
 * while, and the last look decides. */
static int work(void *arg, struct err *e)
{
    struct beat *b = arg;
    int64_t next = os_mono_us() + PAGES_BEAT_S * USEC_PER_SEC;

    (void)e;
    gate_lock(&b->gate);
    while (!b->closing && !b->lost) {
        int64_t now = os_mono_us();
        bool asked = b->asked;
        struct err err = {0};
        int rc;

        if (now < next && !asked) {
            gate_wait(&b->gate, next - now);
            continue;
        }
        gate_unlock(&b->gate);
        rc = asked ? pages_lease_check(&b->lease, &err) : pages_lease_beat(&b->lease, &err);
        if (!asked)
            next = os_mono_us() + PAGES_BEAT_S * USEC_PER_SEC;
        gate_lock(&b->gate);
        b->lost = rc != 0 && !b->lease.held;
        if (rc != 0 && (b->lost || asked))
            b->err = err;
        if (asked) {
            b->asked = false;
            b->answer = rc;
        }
        gate_tell(&b->gate);
    }
    gate_unlock(&b->gate);
    return 0;
}

int beat_start(struct beat *b, struct repo *repo, struct err *e)
{
    char host[OS_HOSTNAME_MAX + 1];
    char holder[128];

    memset(b, 0, sizeof *b);
    os_hostname(host, sizeof host);
    (void)snprintf(holder, sizeof holder, "walden-basebackup, process %ld on %s", (long)os_pid(),
                   host);
    if (gate_init(&b->gate, e) != 0)
        return -1;
    if (pages_lease_take(&b->lease, repo, KIND_INTENT, "", holder, e) == 0) {
        if (thread_start(&b->thread, work, b, e) == 0) {
            b->made = true;
            return 0;
        }
        pages_lease_drop(&b->lease);
    }
    gate_fini(&b->gate);
    return -1;
}

int beat_check(struct beat *b, struct err *e)
{
    int rc = 0;

    gate_lock(&b->gate);
    if (b->lost) {
        if (e->code == ERR_NONE)
            *e = b->err;
        rc = -1;
    }
    gate_unlock(&b->gate);
    return rc;
}

int beat_look(struct beat *b, struct err *e)
{
    int rc;

    gate_lock(&b->gate);
    b->asked = true;
    gate_tell(&b->gate);
    while (b->asked && !b->lost)
        gate_wait(&b->gate, USEC_PER_SEC);
    rc = b->lost ? -1 : b->answer;
    if (rc != 0)
        *e = b->err;
    gate_unlock(&b->gate);
    return rc;
}

static void end_thread(struct beat *b)
{
    struct err ignored = {0};

    gate_lock(&b->gate);
    b->closing = true;
    gate_tell(&b->gate);
    gate_unlock(&b->gate);
    (void)thread_join(&b->thread, &ignored); /* it returns 0 */
}

void beat_stop(struct beat *b)
{
    if (!b->made)
        return;
    end_thread(b);
    pages_lease_drop(&b->lease);
    gate_fini(&b->gate);
    b->made = false;
}

#include "restore_cmd/fetch.h"

#include <stdbool.h>
#include <string.h>

#include "object/secret.h"
#include "os/file.h"
#include "os/time.h"
#include "os/watch.h"
#include "repo/repo.h"
#include "repo/wal_get.h"

enum {
    STANDBY_PATIENCE_US = 5 * 1000 * 1000, /* how long a standby tries what may pass */
    STANDBY_PAUSE_US = 500 * 1000,
};

/* The segment size is not known before the repository was read: time for a large one. */
static const uint64_t LARGE_SEGMENT = 160ULL << 20;

struct task {
    const struct settings *settings;
    const char *name;
    const char *dest;
};

/* In the child: everything that touches the repository. */
static int work(void *arg, struct err *e)
{
    static struct repo repo;
    static struct wal_get get;
    const struct task *t = arg;
    int rc;

    /* Not as an initial value: that would put its buffers into the program's file. */
    get.begun = os_watch_sign;
    if (secret_start(e) != 0 || repo_open(&repo, t->settings, REPO_READ, e) != 0)
        return 2;
    rc = wal_get(&get, &repo, t->name, t->dest, e);
    repo_close(&repo);
    return rc < 0 ? 2 : rc;
}

/* sign_us: when content must have begun to come, for who has little patience; else 0. */
static int try_once(const struct task *t, int64_t sign_us, struct err *e)
{
    int64_t patience = (int64_t)settings_deadline(t->settings, LARGE_SEGMENT);
    struct os_watch watch = {.work = work,
                             .arg = (void *)(uintptr_t)t,
                             .deadline_us = os_mono_us() + patience,
                             .sign_us = sign_us,
                             .signals = OS_SIGNAL_BUT_TERM};
    int status = 2;

    if (os_watch_run(&watch, &status, e) != 0 || status == 2)
        return -1;
    return status == WAL_GET_ABSENT ? (int)FETCH_ABSENT : 0;
}

/* A history that is there and damaged comes by no stream; taken for missing, its number would be
 * given to another timeline at the next promotion. */
static bool is_history(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot != NULL && strcmp(dot, ".history") == 0;
}

/* Trouble that time, or streaming from the primary, may cure. */
static bool may_pass(const char *name, const struct err *e)
{
    switch (e->code) {
    case ERR_DAMAGED:
        return !is_history(name);
    case ERR_HOLE:
    case ERR_UNREACHABLE:
    case ERR_IO:
    case ERR_TIMEOUT:
        return true;
    case ERR_NONE:
    case ERR_USAGE:
    case ERR_CONFIG:
    case ERR_NOMEM:
    case ERR_REFUSED:
    case ERR_KEY:
    case ERR_INTERRUPTED:
    case ERR_INTERNAL:
        break;
    }
    return false;
}

static bool is_standby(void)
{
    struct stat st;
    struct err quiet = {0};

    return os_stat("standby.signal", &st, &quiet) == 0;
}

int fetch(const struct settings *s, const char *name, const char *dest, const struct msg *msg,
          struct err *e)
{
    struct task task = {s, name, dest};
    bool standby = is_standby();
    int64_t end = os_mono_us() + STANDBY_PATIENCE_US;
    int rc;

    for (;;) {
        err_clear(e);
        rc = try_once(&task, standby ? end : 0, e);
        if (rc >= 0 || !standby || !may_pass(name, e))
            return rc;
        if (os_mono_us() + STANDBY_PAUSE_US >= end)
            break;
        os_sleep_us(STANDBY_PAUSE_US);
    }
    msg_warn_err(msg, e);
    msg_warn(msg, "this is a standby: \"%s\" is reported as not there, so that streaming may go on",
             name);
    return FETCH_ABSENT;
}

int fetch_exit_status(const struct err *e)
{
    switch (e->code) {
    case ERR_HOLE:
        return 200;
    case ERR_DAMAGED:
        return 201;
    case ERR_KEY:
        return 202;
    case ERR_UNREACHABLE:
    case ERR_IO:
        return 203;
    case ERR_REFUSED:
        return 204;
    case ERR_USAGE:
    case ERR_CONFIG:
        return 205;
    case ERR_TIMEOUT:
        return 206;
    case ERR_NONE:
    case ERR_NOMEM:
    case ERR_INTERRUPTED:
    case ERR_INTERNAL:
        break;
    }
    return 207;
}

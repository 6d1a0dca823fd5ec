#include "archive_cmd/push.h"

#include "archive_cmd/drop.h"
#include "base/text.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/time.h"
#include "os/watch.h"
#include "repo/repo.h"
#include "repo/wal_put.h"

struct task {
    const struct settings *settings;
    const char *path;
    const struct msg *msg;
};

static void report_damage(const struct task *t, const struct wal_put_report *report)
{
    char at[TEXT_LSN_MAX];

    text_lsn(at, report->damage_at);
    msg_warn(
        t->msg,
        "\"%s\" was stored, but its WAL is damaged at %s (%s; %llu place%s): no recovery can go "
        "past it; take a new base backup now and look at this server's disk and memory%s",
        t->path, at, facts_damage_text(report->damage), (unsigned long long)report->damages,
        report->damages == 1 ? "" : "s",
        report->open_end ? " (not if this is a standby that went over to a new timeline there: "
                           "\"walden list\" tells)"
                         : "");
}

/* In the child: everything that touches the repository. */
static int work(void *arg, struct err *e)
{
    static struct repo repo;
    static struct wal_put put;
    const struct task *t = arg;
    struct wal_put_report report;
    int rc;

    /* Called by hand as root, it must leave nothing there that the server cannot use. */
    if (repo_become_owner(t->settings->repo, e) < 0 || secret_start(e) != 0 ||
        repo_open(&repo, t->settings, REPO_WRITE, e) != 0)
        return 1;
    rc = wal_put(&put, &repo, t->path, t->settings->compression == SETTINGS_LZ4, &report, e);
    repo_close(&repo);
    if (rc < 0)
        return 1;
    if (rc == WAL_PUT_STORED && report.damages > 0)
        report_damage(t, &report);
    return 0;
}

int push(const struct settings *s, const char *path, const struct msg *msg, struct err *e)
{
    struct task task = {s, path, msg};
    struct os_watch watch = {.work = work, .arg = &task, .signals = OS_SIGNAL_ALL};
    struct stat st;
    int status = 1;
    int rc;

    if (settings_need(s, "repo", e) != 0)
        return -1;
    rc = os_stat(path, &st, e);
    if (rc < 0)
        return -1;
    watch.deadline_us =
        os_mono_us() + (int64_t)settings_deadline(s, rc == 0 ? (uint64_t)st.st_size : 0);
    if (os_watch_run(&watch, &status, e) == 0 && status == 0)
        return 0;
    if (e->code == ERR_TIMEOUT)
        (void)err_hint(e, "Is the repository's disk or network gone?  The server tries again; set "
                          "deadline if the disk is merely slow.");
    return s->on_trouble == SETTINGS_DROP_AND_RECORD ? drop(s, path, msg, e) : -1;
}

int push_exit_status(const struct err *e)
{
    switch (e->code) {
    case ERR_USAGE:
    case ERR_CONFIG:
        return 2;
    case ERR_UNREACHABLE:
        return 3;
    case ERR_REFUSED:
    case ERR_HOLE:
        return 4;
    case ERR_KEY:
        return 5;
    case ERR_TIMEOUT:
        return 6;
    case ERR_INTERRUPTED:
        return 7;
    case ERR_DAMAGED:
        return 8;
    case ERR_INTERNAL:
    case ERR_NONE:
        return 9;
    case ERR_IO:
    case ERR_NOMEM:
        break;
    }
    return 1;
}

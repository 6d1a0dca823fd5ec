#include "archive_cmd/drop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/publish.h"
#include "os/time.h"
#include "pg/walname.h"

/* Only trouble with reaching or filling the repository is dropped.  A refusal, or a disk that
 * cannot be read (the server's own, perhaps), is a fault that must be seen. */
static bool may_drop(const struct err *e)
{
    if (e->code == ERR_UNREACHABLE || e->code == ERR_TIMEOUT)
        return true;
    return e->code == ERR_IO && (e->sys == ENOSPC || e->sys == EDQUOT || e->sys == EROFS ||
                                 e->sys == ESTALE || e->sys == ENOTCONN || e->sys == ETIMEDOUT);
}

/* What the server did not offer cannot be dropped: a wrong archive_command must stay an error. */
static bool is_offered(const char *path, const char *name, struct walname *parsed)
{
    struct err quiet = {0};
    struct stat st;

    return walname_parse(name, parsed) && os_stat(path, &st, &quiet) == 0 && S_ISREG(st.st_mode) &&
           st.st_size > 0;
}

static int record(const char *state_dir, const char *name, const char *why, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_MKDIRS | PUBLISH_REPLACE};
    struct publish p = PUBLISH_INIT;
    struct os_root root = OS_ROOT_INIT;
    char now[TEXT_TIME_MAX];
    char text[TEXT_TIME_MAX + ERR_MSG_MAX + 2];
    int rc = os_root_open(&root, state_dir, e);
    int len;

    text_time(now, os_real_us(), 0);
    len = snprintf(text, sizeof text, "%s %s\n", now, why);
    if (rc > 0)
        rc = err_set(e, ERR_CONFIG, "state_dir \"%s\" does not exist", state_dir);
    if (rc == 0)
        rc = publish_begin(&p, &root, "dropped", name, &how, e);
    if (rc == 0)
        rc = publish_write(&p, text, (size_t)len, e);
    if (rc == 0) /* a crash before this leaves no record, and no 0 was returned */
        rc = publish_commit(&p, e);
    publish_abort(&p);
    os_root_close(&root);
    return rc;
}

int drop(const struct settings *s, const char *path, const struct msg *msg, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    struct err trouble = *e;
    struct walname parsed;

    if (!may_drop(e) || !is_offered(path, name, &parsed))
        return -1;
    if (s->state_dir == NULL) {
        err_clear(e);
        (void)err_set(e, ERR_CONFIG, "on_trouble = drop-and-record needs state_dir (%s)",
                      trouble.msg);
        return -1;
    }
    err_clear(e);
    if (os_become_owner(s->state_dir, e) < 0 || record(s->state_dir, name, trouble.msg, e) != 0)
        return err_context(e, "could not record that \"%s\" is dropped (%s)", name, trouble.msg);
    msg_warn(msg, "\"%s\" was DROPPED, not archived (%s): %s as soon as the repository is back",
             name, trouble.msg,
             parsed.kind == WALNAME_HISTORY
                 ? "nothing of its timeline can be restored; archive it by hand"
                 : "the archive has a hole now; take a base backup");
    return 0;
}

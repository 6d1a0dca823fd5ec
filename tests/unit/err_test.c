/* base/err and base/msg: the record of a failure, and the lines it becomes. */
#include "base/err.h"
#include "base/msg.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/tap.h"

static void test_record(void)
{
    struct err e = {0};
    char longest[2 * ERR_MSG_MAX];

    OK(err_set(&e, ERR_DAMAGED, "page %d", 7) == -1 && e.code == ERR_DAMAGED,
       "a failure is recorded");
    OK(err_set(&e, ERR_IO, "later") == -1 && err_sys(&e, EIO, "later") == -1, "a second one");
    IS_STR(e.msg, "page 7", "does not replace the first");
    OK(err_hint(&e, "Do %s.", "this") == -1 && err_hint(&e, "Or that.") == -1, "hints");
    IS_STR(e.hint, "Do this.", "the first hint wins");
    OK(err_context(&e, "file \"%s\"", "x") == -1, "context");
    IS_STR(e.msg, "file \"x\": page 7", "stands in front");
    err_clear(&e);
    OK(e.code == ERR_NONE && e.msg[0] == '\0' && e.hint[0] == '\0', "a cleared record is empty");
    (void)err_sys(&e, ENOENT, "could not open \"%s\"", "x");
    IS_STR(e.msg, "could not open \"x\": No such file or directory",
           "a system error has its reason");
    OK(e.code == ERR_IO && e.sys == ENOENT, "and its number");
    err_clear(&e);
    (void)err_sys(&e, ENOMEM, "x");
    OK(e.code == ERR_NOMEM, "ENOMEM is out of memory");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    err_clear(&e);
    (void)err_sys(&e, EIO, "%s", longest);
    OK(strlen(e.msg) == ERR_MSG_MAX - 1, "a long message is cut");
    for (int i = 0; i < 10; i++)
        (void)err_context(&e, "%s", longest);
    OK(strlen(e.msg) == ERR_MSG_MAX - 1 && e.msg[255] == ':', "so is long context");
    (void)err_hint(&e, "%s", longest);
    OK(strlen(e.hint) == ERR_HINT_MAX - 1, "so is a long hint");
}

/* Standard error as a socket that keeps the borders of writes: one receive is one write. */
static int catch_stderr(int *saved)
{
    int pair[2];

    *saved = dup(STDERR_FILENO);
    if (*saved < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
        dup2(pair[1], STDERR_FILENO) < 0)
        return -1;
    (void)close(pair[1]);
    return pair[0];
}

static const char *next_write(int fd)
{
    static char got[8192];
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);

    got[n > 0 ? n : 0] = '\0';
    return got;
}

static void test_messages(void)
{
    const struct msg normal = {"walden-archive", MSG_NORMAL, false};
    const struct msg quiet = {"walden-archive", MSG_QUIET, false};
    const struct msg verbose = {"walden-archive", MSG_VERBOSE, false};
    struct err e = {0};
    char longest[8000];
    int saved;
    int fd = catch_stderr(&saved);

    if (!OK(fd >= 0, "standard error is caught"))
        return;
    (void)err_set(&e, ERR_IO, "could not open \"a\nb\x1b[2J\"");
    (void)err_hint(&e, "Look.");
    msg_error(&normal, &e);
    IS_STR(next_write(fd), "walden-archive: error: could not open \"a\\nb\\u{1B}[2J\"\n",
           "an error is one harmless line in one write");
    IS_STR(next_write(fd), "walden-archive: hint: Look.\n", "its hint is the next");
    IS_STR(next_write(fd), "", "and that is all");
    e.hint[0] = '\0';
    msg_warn_err(&quiet, &e);
    IS_STR(next_write(fd), "walden-archive: warning: could not open \"a\\nb\\u{1B}[2J\"\n",
           "a warning from a failure");
    IS_STR(next_write(fd), "", "has no hint when there is none");
    msg_warn(&quiet, "%d", 5);
    IS_STR(next_write(fd), "walden-archive: warning: 5\n", "quiet still warns");
    msg_note(&quiet, "x");
    msg_detail(&quiet, "x");
    msg_detail(&normal, "x");
    IS_STR(next_write(fd), "", "quiet keeps notes, normal keeps details");
    msg_note(&normal, "done %s", "it");
    IS_STR(next_write(fd), "walden-archive: done it\n", "a note");
    msg_detail(&verbose, "more");
    IS_STR(next_write(fd), "walden-archive: detail: more\n", "a detail");
    memset(longest, '\x01', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    msg_warn(&normal, "%s", longest);
    OK(strlen(next_write(fd)) <= 2048 && *next_write(fd) == '\0',
       "a long line is cut to one write");
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(fd);
}

int main(void)
{
    test_record();
    test_messages();
    return tap_done();
}

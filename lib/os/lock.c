#include "os/lock.h"

#include <errno.h>
#include <sys/file.h>

#include "os/signal.h"

int os_lock(int fd, enum os_lock_kind kind, bool wait, const char *what, struct err *err)
{
    int op = (kind == OS_LOCK_SHARED ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);

    for (;;) {
        if (os_sys->flock(fd, op) == 0)
            return 0;
        if (errno != EINTR)
            break;
        if (os_signal_check(err) < 0)
            return -1;
    }
    if (errno == EWOULDBLOCK)
        return OS_BUSY;
    if (errno == ENOLCK || errno == ENOSYS || errno == ENOTSUP || errno == EINVAL)
        return OS_UNSUPPORTED;
    return err_sys(err, errno, "could not lock \"%s\"", what);
}

void os_unlock(int fd)
{
    (void)os_sys->flock(fd, LOCK_UN); /* closing the descriptor does it as well */
}

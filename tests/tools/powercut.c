/*
 * powercut: takes a filesystem away as if the power had failed.
 *
 *     powercut [-j] DIR        the filesystem mounted at DIR
 *     powercut -f DIR          freezes it: whoever writes sleeps, and no signal wakes him
 *     powercut -t DIR          thaws it
 *
 * ext4 and xfs can be shut down: nothing reaches the device any more, neither dirty pages nor the
 * journal.  What can be read after the next mount is what was durable.  With -j the journal is
 * written first, as a timer or somebody else's fsync would have done a moment before; this shows
 * names that became durable before their content.
 *
 * The exit status is 0, 2 when the filesystem cannot do it, else 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The same number on ext4 and xfs. */
#define IOC_SHUTDOWN _IOR('X', 125, uint32_t)

enum { SHUTDOWN_LOGFLUSH = 1, SHUTDOWN_NOLOGFLUSH = 2 };

int main(int argc, char **argv)
{
    uint32_t how = SHUTDOWN_NOLOGFLUSH;
    unsigned long call = IOC_SHUTDOWN;
    int c;
    int fd;

    while ((c = getopt(argc, argv, "jft")) != -1) {
        if (c == 'j')
            how = SHUTDOWN_LOGFLUSH;
        else if (c == 'f')
            call = FIFREEZE;
        else if (c == 't')
            call = FITHAW;
        else
            return 1;
    }
    if (argc != optind + 1) {
        fputs("usage: powercut [-j | -f | -t] DIR\n", stderr);
        return 1;
    }
    fd = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, call, &how) != 0) {
        fprintf(stderr, "powercut: %s: %s\n", argv[optind], strerror(errno));
        return errno == ENOTTY || errno == EOPNOTSUPP || errno == EPERM ? 2 : 1;
    }
    return 0;
}

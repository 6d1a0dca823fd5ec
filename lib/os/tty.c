#include "os/tty.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "os/file.h"
#include "os/proc.h"
#include "os/signal.h"

#define TTY "/dev/tty"

/* One line, byte by byte, so that nothing behind it is taken away from the next reader. */
static int read_line(int fd, char *out, size_t cap, size_t *len, struct err *err)
{
    size_t got;
    char c;

    *len = 0;
    for (;;) {
        if (os_wait_fd(fd, POLLIN, 0, err) != 0 || os_signal_check(err) != 0 ||
            os_read(fd, &c, 1, &got, TTY, err) < 0)
            return -1;
        if (got == 0 || c == '\n')
            break;
        if (*len + 1 == cap)
            return err_set(err, ERR_USAGE, "the line is longer than %zu bytes", cap - 1);
        out[(*len)++] = c;
    }
    out[*len] = '\0';
    return 0;
}

int os_tty_secret(const char *prompt, char *out, size_t cap, size_t *len, struct err *err)
{
    struct err none = {0};
    struct termios shown;
    struct termios hidden;
    int fd;
    int rc;

    rc = os_open(TTY, O_RDWR | O_NOCTTY, 0, &fd, err);
    if (rc != 0 || tcgetattr(fd, &shown) != 0) {
        err_clear(err); /* ENXIO and ENOTTY say the same: nobody is there to ask */
        os_drop(&fd);
        return OS_ABSENT;
    }
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    hidden.c_lflag |= ICANON | ECHONL;
    if (tcsetattr(fd, TCSAFLUSH, &hidden) != 0)
        rc = err_sys(err, errno, "could not hide what is typed");
    else
        rc = os_write_full(fd, prompt, strlen(prompt), TTY, err);
    if (rc == 0)
        rc = read_line(fd, out, cap, len, err);
    (void)tcsetattr(fd, TCSAFLUSH, &shown); /* nothing better can be done */
    if (rc != 0)
        (void)os_write_full(fd, "\n", 1, TTY, &none);
    os_drop(&fd);
    return rc;
}

bool os_tty_is(int fd)
{
    struct termios mode;

    return tcgetattr(fd, &mode) == 0;
}

unsigned os_tty_width(int fd)
{
    struct winsize size = {0};

    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

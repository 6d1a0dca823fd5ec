#include "os/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"

void os_hostname(char *buf, size_t cap)
{
    if (cap == 0)
        return;
    if (os_sys->gethostname(buf, cap) != 0 && errno != ENAMETOOLONG)
        buf[0] = '\0';
    buf[cap - 1] = '\0'; /* a name that was cut may come without its NUL */
    if (buf[0] == '\0') {
        static const char none[] = "localhost";
        size_t len = sizeof none <= cap ? sizeof none - 1 : cap - 1;

        memcpy(buf, none, len);
        buf[len] = '\0';
    }
}

int os_boot_id(char out[OS_BOOT_ID_LEN + 1])
{
    struct err none = {0};
    size_t got = 0;
    int fd;

    out[0] = '\0';
    if (os_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0, &fd, &none) != 0)
        return OS_ABSENT;
    if (os_read_full(fd, out, OS_BOOT_ID_LEN, &got, "boot_id", &none) < 0)
        got = 0;
    os_drop(&fd);
    out[got] = '\0';
    return got == OS_BOOT_ID_LEN ? 0 : OS_ABSENT;
}

int os_random(void *buf, size_t len, struct err *err)
{
    uint8_t *to = buf;
    size_t done = 0;

    while (done < len) {
        ssize_t n = os_sys->getrandom(to + done, len - done, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "could not get random bytes");
        done += (size_t)n;
    }
    return 0;
}

pid_t os_pid(void)
{
    return os_sys->getpid();
}

uid_t os_uid(void)
{
    return os_sys->geteuid();
}

gid_t os_gid(void)
{
    return os_sys->getegid();
}

bool os_in_group(gid_t gid)
{
    gid_t list[256];
    int n;

    if (gid == os_sys->getegid())
        return true;
    n = os_sys->getgroups((int)(sizeof list / sizeof *list), list);
    for (int i = 0; i < n; i++)
        if (list[i] == gid)
            return true;
    return false;
}

const char *os_env(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool os_env_set(const char *name, const char *value)
{
    return (value != NULL ? setenv(name, value, 1) : unsetenv(name)) == 0;
}

#include "os/stray.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "os/file.h"
#include "os/sys.h"
#include "os/time.h"

enum { LOOK_US = 20 * 1000 };

static bool works_in(pid_t pid, const struct stat *dir)
{
    char path[40];
    struct stat st;
    struct err quiet = {0};

    (void)snprintf(path, sizeof path, "/proc/%ld/cwd", (long)pid);
    return os_stat(path, &st, &quiet) == 0 && st.st_dev == dir->st_dev && st.st_ino == dir->st_ino;
}

bool os_stray_end(pid_t pid, const char *dir, int64_t wait_us)
{
    int64_t until = os_mono_us() + wait_us;
    struct stat st;
    struct err quiet = {0};

    if (pid <= 1 || os_stat(dir, &st, &quiet) != 0)
        return true;
    while (works_in(pid, &st)) {
        if (os_sys->kill(pid, SIGKILL) != 0 || os_mono_us() > until)
            return false;
        os_sleep_us(LOOK_US);
    }
    return true;
}

void os_stray_forget_memory(int id, uint64_t key)
{
    struct shmid_ds ds;

    if (os_sys->shmctl(id, IPC_STAT, &ds) != 0 || ds.shm_nattch != 0 ||
        (uint32_t)ds.shm_perm.__key != (uint32_t)key || ds.shm_perm.cuid != os_sys->geteuid())
        return;
    (void)os_sys->shmctl(id, IPC_RMID, NULL); /* 56 bytes that stay harm nobody */
}

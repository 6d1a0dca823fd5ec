/*
 * space: how much a filesystem holds, and what it can do.
 */
#ifndef OS_SPACE_H
#define OS_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "os/root.h"

struct os_space {
    uint64_t total;
    uint64_t free;        /* for us, not for root */
    uint64_t free_inodes; /* UINT64_MAX where there is no limit */
    dev_t device;
    bool read_only;
};

/* For an open file or directory. */
int os_space(int fd, struct os_space *space, const char *what, struct err *err);

/* What was tried on a real directory; each is true when it worked. */
struct os_probe {
    bool rename_noreplace;
    bool link;
    bool dir_sync;
    bool lock;     /* flock */
    bool big_file; /* beyond 4 GiB */
    bool modes;    /* keeps 0600 */
    bool symlink;
    bool case_names; /* "a" and "A" are two names */
    bool openat2;
    unsigned long fs_type; /* f_type of statfs(2) */
};

/*
 * Tries them with short-lived files in the directory dir beneath root and removes these.  0; -1
 * when not even a file can be made, written and flushed there.
 */
int os_probe(struct os_root *root, const char *dir, struct os_probe *probe, struct err *err);

/* A name for fs_type ("ext4", "nfs", "exfat", ...); "unknown" when not in the table. */
const char *os_fs_name(unsigned long fs_type);

#endif

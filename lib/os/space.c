#include "os/space.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"

enum { NOREPLACE = 1, TEST_FILES = 5 };

static const uint64_t beyond_4g = UINT64_C(4294967296) + 1;

static const struct {
    unsigned long type;
    const char *name;
} fs_names[] = {
    {0xef53, "ext4"},         {0x58465342, "xfs"},      {0x9123683e, "btrfs"},
    {0xf2f52010, "f2fs"},     {0x01021994, "tmpfs"},    {0x794c7630, "overlay"},
    {0x2fc12fc1, "zfs"},      {0x6969, "nfs"},          {0xff534d42, "cifs"},
    {0xfe534d42, "smb2"},     {0x517b, "smb"},          {0x65735546, "fuse"},
    {0x2011bab0, "exfat"},    {0x4d44, "vfat"},         {0x7366746e, "ntfs3"},
    {0x5346544e, "ntfs"},     {0x01021997, "9p"},       {0x00c36400, "ceph"},
    {0x73717368, "squashfs"}, {0xca451a4e, "bcachefs"},
};

const char *os_fs_name(unsigned long fs_type)
{
    for (size_t i = 0; i < sizeof fs_names / sizeof *fs_names; i++)
        if (fs_names[i].type == (fs_type & 0xffffffffUL))
            return fs_names[i].name;
    return "unknown";
}

static uint64_t blocks(uint64_t n, uint64_t size)
{
    uint64_t bytes;

    return __builtin_mul_overflow(n, size, &bytes) ? UINT64_MAX : bytes;
}

int os_space(int fd, struct os_space *space, const char *what, struct err *err)
{
    struct statvfs fs;
    struct stat st;

    if (os_sys->fstatvfs(fd, &fs) != 0)
        return err_sys(err, errno, "could not ask for the free space of \"%s\"", what);
    if (os_stat_fd(fd, &st, what, err) < 0)
        return -1;
    space->total = blocks(fs.f_blocks, fs.f_frsize);
    space->free = blocks(fs.f_bavail, fs.f_frsize);
    space->free_inodes = fs.f_files == 0 ? UINT64_MAX : (uint64_t)fs.f_favail;
    space->device = st.st_dev;
    space->read_only = (fs.f_flag & ST_RDONLY) != 0;
    return 0;
}

/* The trial: names that a crash leaves behind look like temps, which every listing skips. */
struct trial {
    int dir;
    int fd;
    char name[TEST_FILES][48];
};

enum { A, B, MOVED, LINKED, SYMLINK };

static int begin_trial(struct trial *trial, const char *dir, struct err *err)
{
    uint64_t random;
    static const uint8_t byte[1] = {'x'};

    if (os_random(&random, sizeof random, err) < 0)
        return -1;
    for (int i = 0; i < TEST_FILES; i++)
        (void)snprintf(trial->name[i], sizeof trial->name[i], ".tmp.u%016llx.probe-%c",
                       (unsigned long long)random, 'a' + i);
    trial->fd =
        os_sys->openat(trial->dir, trial->name[A], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (trial->fd < 0)
        return err_sys(err, errno, "could not create a file in \"%s\"", dir);
    if (os_write_full(trial->fd, byte, sizeof byte, dir, err) < 0 ||
        os_sync(trial->fd, dir, err) < 0)
        return -1;
    return 0;
}

static void end_trial(struct trial *trial)
{
    os_drop(&trial->fd);
    for (int i = 0; i < TEST_FILES && trial->dir >= 0 && trial->name[i][0] != '\0'; i++)
        (void)os_sys->unlinkat(trial->dir, trial->name[i], 0); /* most are not there */
    os_drop(&trial->dir);
}

/* True when a second file b refuses to be replaced and a free name is taken. */
static bool try_noreplace(const struct trial *trial)
{
    int fd =
        os_sys->openat(trial->dir, trial->name[B], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    os_drop(&fd);
    if (os_sys->renameat2(trial->dir, trial->name[B], trial->dir, trial->name[A], NOREPLACE) == 0 ||
        errno != EEXIST)
        return false;
    return os_sys->renameat2(trial->dir, trial->name[B], trial->dir, trial->name[MOVED],
                             NOREPLACE) == 0;
}

static bool try_link(const struct trial *trial)
{
    struct stat st;

    return os_sys->linkat(trial->dir, trial->name[A], trial->dir, trial->name[LINKED], 0) == 0 &&
           os_sys->fstat(trial->fd, &st) == 0 && st.st_nlink == 2;
}

static bool try_case(const struct trial *trial)
{
    char upper[sizeof trial->name[A]];
    struct stat st;
    size_t len = strlen(trial->name[A]);

    memcpy(upper, trial->name[A], len + 1);
    upper[len - 1] = 'A';
    return os_sys->fstatat(trial->dir, upper, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

static bool try_modes(const struct trial *trial)
{
    struct stat st;

    return os_sys->fstat(trial->fd, &st) == 0 && (st.st_mode & 0777) == 0600 &&
           os_sys->fchmod(trial->fd, 0640) == 0 && os_sys->fstat(trial->fd, &st) == 0 &&
           (st.st_mode & 0777) == 0640;
}

/* By name where that tells, because a long file there would really be written; else by trying. */
static bool try_big(const struct trial *trial, unsigned long fs_type)
{
    const char *name = os_fs_name(fs_type);

    if (strcmp(name, "vfat") == 0)
        return false;
    if (strcmp(name, "exfat") == 0)
        return true;
    if (os_sys->ftruncate(trial->fd, (off_t)beyond_4g) == 0)
        return true;
    return errno != EFBIG && errno != EINVAL && errno != EOVERFLOW;
}

int os_probe(struct os_root *root, const char *dir, struct os_probe *probe, struct err *err)
{
    struct trial trial = {.dir = -1, .fd = -1};
    struct err none = {0};
    struct statfs fs;
    int rc;

    memset(probe, 0, sizeof *probe);
    rc = os_root_at(root, dir, O_RDONLY | O_DIRECTORY, 0, &trial.dir, err);
    if (rc == OS_ABSENT)
        return err_sys(err, ENOENT, "could not open directory \"%s/%s\"", root->path, dir);
    if (rc < 0)
        return -1;
    rc = begin_trial(&trial, dir, err);
    if (rc == 0) {
        if (os_sys->fstatfs(trial.dir, &fs) == 0)
            probe->fs_type = (unsigned long)fs.f_type;
        probe->openat2 = !root->walk;
        probe->case_names = try_case(&trial);
        probe->rename_noreplace = try_noreplace(&trial);
        probe->link = try_link(&trial);
        probe->symlink = os_sys->symlinkat("x", trial.dir, trial.name[SYMLINK]) == 0;
        probe->lock = os_lock(trial.fd, OS_LOCK_EXCLUSIVE, false, dir, &none) == 0;
        probe->modes = try_modes(&trial);
        probe->big_file = try_big(&trial, probe->fs_type);
        probe->dir_sync = os_sync_dir(trial.dir, dir, &none) == 0;
    }
    end_trial(&trial);
    return rc;
}

/*
 * vmanifest: the library's judgement of a plain data directory against the backup_manifest in it,
 * as pg_verifybackup -n judges it, so that a test can compare both.
 *
 *     vmanifest DIR [SYSTEM_ID]        exit status 0: it is right; 1: not, with one line that says
 * why
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "object/secret.h"
#include "repo/verify_server.h"

enum { PATH_CAP = 4096, PIECE = 4096 };

static const char *top;
static struct verify_server *judge;

static int fail(const char *path)
{
    fprintf(stderr, "vmanifest: %s: %s\n", path, strerror(errno));
    return -1;
}

/* What pg_verifybackup leaves out by itself, but for postgresql.auto.conf, in which it allows any
 * change: a backup has it as the server sent it. */
static int is_left_out(const char *path)
{
    static const char *const names[] = {"backup_manifest", "pg_wal", "recovery.signal",
                                        "standby.signal"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(path, names[i]) == 0)
            return 1;
    return 0;
}

/* Hands the bytes of a file on; returns its size through *size. */
static int read_file(const char *path, int manifest, uint64_t *size, uint32_t *crc, struct err *e)
{
    char full[PATH_CAP];
    uint8_t bytes[PIECE];
    ssize_t n;
    int fd;

    (void)snprintf(full, sizeof full, "%s/%s", top, path);
    fd = open(full, O_RDONLY);
    if (fd < 0)
        return fail(path);
    *size = 0;
    *crc = 0;
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        *size += (uint64_t)n;
        *crc = crc32c_extend(*crc, bytes, (size_t)n);
        if (manifest && verify_server_feed(judge, bytes, (size_t)n, e) != 0)
            break;
    }
    close(fd);
    return e->code != ERR_NONE || n < 0 ? -1 : 0;
}

static int walk(const char *dir, struct err *e)
{
    char full[PATH_CAP];
    struct dirent *d;
    DIR *all;
    int rc = 0;

    (void)snprintf(full, sizeof full, "%s/%s", top, dir);
    all = opendir(full);
    if (all == NULL)
        return fail(full);
    while (rc == 0 && (d = readdir(all)) != NULL) {
        char path[PATH_CAP];
        struct stat st;
        uint64_t size;
        uint32_t crc;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof path, "%s%s%s", dir, dir[0] == '\0' ? "" : "/", d->d_name);
        (void)snprintf(full, sizeof full, "%s/%s", top, path);
        if (is_left_out(path))
            continue;
        if (stat(full, &st) != 0)
            rc = fail(path);
        else if (S_ISDIR(st.st_mode))
            rc = walk(path, e);
        else if ((rc = read_file(path, 0, &size, &crc, e)) == 0)
            rc = verify_server_file(judge, path, size, crc, e);
    }
    closedir(all);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    uint64_t size;
    uint32_t crc;
    int rc;

    if (argc < 2 || secret_start(&e) != 0)
        return 2;
    top = argv[1];
    judge = verify_server_new(argc > 2 ? strtoull(argv[2], NULL, 10) : 0, &e);
    if (judge == NULL)
        return 2;
    rc = walk("", &e);
    if (rc == 0)
        rc = read_file("backup_manifest", 1, &size, &crc, &e);
    if (rc == 0 && size == 0)
        rc = verify_server_feed(judge, (const uint8_t *)"", 0, &e);
    if (rc == 0)
        rc = verify_server_end(judge, &e);
    verify_server_free(judge);
    if (rc != 0)
        printf("%s\n", e.msg);
    return rc == 0 ? 0 : 1;
}

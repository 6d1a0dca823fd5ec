/*
 * badstore: archivers that are broken on purpose, for the negative controls of the fault tests.
 *
 *     badstore HOW FILE DIR       stores a copy of FILE in DIR, under its name
 *
 * HOW   good        temporary file, fsync, rename, fsync of the directory: not broken, but for
 * races deaf        the same, but deaf to every error in-place    writes under the final name early
 * renames before it flushes no-flush    flushes nothing no-dir      does not flush the directory
 *       overwrite   replaces what is there
 *
 * All but overwrite refuse other content under the same name, and accept the same; but they look
 * first and rename later, so two at once can replace each other's file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool deaf;

static void check(bool ok, const char *what)
{
    if (ok || deaf)
        return;
    fprintf(stderr, "badstore: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *slurp(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes;

    *len = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0)
        exit(1);
    bytes = calloc(1, (size_t)st.st_size + 1);
    while (bytes != NULL && *len < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + *len, (size_t)st.st_size - *len);

        check(n > 0, "read");
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    close(fd);
    return bytes;
}

/* In pieces, so that a fault can fall between them. */
static void spill(int fd, const char *bytes, size_t len)
{
    size_t piece = len / 8 + 1;

    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;

        check(write(fd, bytes + at, n) == (ssize_t)n, "write");
    }
}

int main(int argc, char **argv)
{
    char final[4096];
    char temp[4096];
    const char *how = argc == 4 ? argv[1] : "";
    const char *name = argc == 4 ? strrchr(argv[2], '/') : NULL;
    bool in_place = strcmp(how, "in-place") == 0;
    bool early = strcmp(how, "early") == 0;
    bool flush = strcmp(how, "no-flush") != 0;
    bool flush_dir = flush && strcmp(how, "no-dir") != 0;
    bool replace = strcmp(how, "overwrite") == 0;
    size_t len;
    size_t old_len;
    char *bytes;
    char *old;
    int fd;
    int dir;

    if (name == NULL) {
        fputs("usage: badstore HOW DIR/FILE DIR\n", stderr);
        return 2;
    }
    deaf = strcmp(how, "deaf") == 0;
    (void)snprintf(final, sizeof final, "%s/%s", argv[3], name + 1);
    (void)snprintf(temp, sizeof temp, "%s/.tmp.%ld.%s", argv[3], (long)getpid(), name + 1);
    bytes = slurp(argv[2], &len);
    if (bytes == NULL)
        return 1;
    old = replace ? NULL : slurp(final, &old_len);
    if (old != NULL)
        return old_len == len && memcmp(old, bytes, len) == 0 ? 0 : 1;
    fd = open(in_place ? final : temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0, "open");
    spill(fd, bytes, len);
    if (early)
        check(rename(temp, final) == 0, "rename");
    if (flush)
        check(fsync(fd) == 0, "fsync");
    check(close(fd) == 0, "close");
    if (!early && !in_place)
        check(rename(temp, final) == 0, "rename");
    dir = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(dir >= 0 && (!flush_dir || fsync(dir) == 0), "fsync of the directory");
    return 0;
}

#include "repo/pages_spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/root.h"

static const char shown[] = "temporary file";

int pages_spool_open(struct pages_spool *s, const char *dir, struct err *e)
{
    struct os_root root = OS_ROOT_INIT;
    char name[64] = ".tmp.walden.";
    uint8_t random[12];
    int rc;

    s->fd = -1;
    s->len = 0;
    s->held = 0;
    rc = os_root_open(&root, dir, e);
    if (rc != 0)
        return rc > 0
                   ? err_set(e, ERR_IO, "directory \"%s\" for temporary files does not exist", dir)
                   : -1;
    secret_random(random, sizeof random);
    text_hex(name + strlen(name), random, sizeof random);
    rc = os_root_at(&root, name, O_RDWR | O_CREAT | O_EXCL, 0600, &s->fd, e);
    /* A crash before this leaves an empty file. */
    if (rc == 0)
        rc = os_root_unlink(&root, name, 0, e);
    os_root_close(&root);
    if (rc < 0)
        os_drop(&s->fd);
    return rc < 0 ? -1 : 0;
}

static int flush(struct pages_spool *s, struct err *e)
{
    size_t held = s->held;

    s->held = 0;
    return held == 0 ? 0 : os_pwrite_full(s->fd, s->buffer, held, s->len - held, shown, e);
}

int pages_spool_add(struct pages_spool *s, const void *bytes, size_t len, struct err *e)
{
    const uint8_t *p = bytes;

    while (len > 0) {
        size_t take = sizeof s->buffer - s->held < len ? sizeof s->buffer - s->held : len;

        memcpy(s->buffer + s->held, p, take);
        s->held += take;
        s->len += take;
        p += take;
        len -= take;
        if (s->held == sizeof s->buffer && flush(s, e) != 0)
            return -1;
    }
    return 0;
}

int pages_spool_read(struct pages_spool *s, uint64_t at, void *bytes, size_t len, struct err *e)
{
    if (at + len > s->len - s->held && flush(s, e) != 0)
        return -1;
    return os_pread_exact(s->fd, bytes, len, at, shown, e);
}

void pages_spool_empty(struct pages_spool *s)
{
    s->len = 0;
    s->held = 0;
}

void pages_spool_close(struct pages_spool *s)
{
    os_drop(&s->fd);
}

/*
 * Fuzz target for stream/tar.
 *
 * The first byte chooses flags and pieces; the rest is an archive whose header checksums are made
 * right first, so that the fuzzer gets behind them.  Whatever comes: no path leads elsewhere, sizes
 * are kept, and pieces do not matter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/root.h"
#include "stream/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

struct seen {
    unsigned flags;
    const struct tar_member *m;
    uint64_t left;
    uint64_t hash;
    bool ended;
};

static void mix(struct seen *s, const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++)
        s->hash = (s->hash ^ b[i]) * UINT64_C(1099511628211);
}

static int on_begin(void *arg, const struct tar_member *m, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    must(s->m == NULL && !s->ended);
    must(os_root_path_ok(m->path) && strcmp(m->path, ".") != 0);
    must(strlen(m->path) < TAR_NAME_MAX && strlen(m->target) < TAR_NAME_MAX);
    must(m->mode <= 07777 && m->size <= TAR_SIZE_MAX && (m->type == TAR_FILE || m->size == 0));
    must(m->type != TAR_LINK || ((s->flags & TAR_LINKS) != 0 && m->target[0] == '/' &&
                                 strncmp(m->path, "pg_tblspc/", 10) == 0));
    must(m->type == TAR_LINK || m->target[0] == '\0');
    s->m = m;
    s->left = m->size;
    mix(s, m->path, strlen(m->path) + 1);
    mix(s, m->target, strlen(m->target) + 1);
    mix(s, &m->mtime, sizeof m->mtime);
    return 0;
}

static int on_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    must(s->m != NULL && n > 0 && n <= s->left);
    s->left -= n;
    mix(s, p, n);
    return 0;
}

static int on_end(void *arg, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    must(s->m != NULL && s->left == 0);
    s->m = NULL;
    return 0;
}

static int on_archive_end(void *arg, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    must(s->m == NULL && !s->ended);
    s->ended = true;
    return 0;
}

static const struct tar_events events = {on_begin, on_data, on_end, on_archive_end, NULL};

static int read_archive(const uint8_t *p, size_t n, size_t piece, unsigned flags, uint64_t *hash)
{
    struct seen s = {.flags = flags, .hash = UINT64_C(14695981039346656037)};
    struct err e = {0};
    struct tar t;
    int rc = 0;

    tar_init(&t, &events, &s, flags, PHASE_PLAIN);
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = sink_write(&t.sink, p + at, n - at < piece ? n - at : piece, &e);
    if (rc == 0)
        rc = sink_finish(&t.sink, &e);
    must(rc == 0 ? s.ended : e.msg[0] != '\0' && (e.code == ERR_DAMAGED || e.code == ERR_REFUSED));
    *hash = s.hash;
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole;
    uint64_t cut;
    unsigned flags;
    uint8_t *p;
    int rc;

    if (size < 1)
        return 0;
    flags = data[0] & 3;
    size--;
    p = malloc(size + 1);
    must(p != NULL);
    memcpy(p, data + 1, size);
    for (size_t at = 0; (data[0] & 4) == 0 && at + TAR_BLOCK <= size; at += TAR_BLOCK) {
        unsigned sum = 8 * ' ';
        char text[16];

        if (memcmp(p + at + 257, "ustar", 5) != 0)
            continue;
        for (size_t i = 0; i < TAR_BLOCK; i++)
            sum += i >= 148 && i < 156 ? 0 : p[at + i];
        (void)snprintf(text, sizeof text, "%06o", sum);
        memcpy(p + at + 148, text, 7);
        p[at + 155] = ' ';
    }
    rc = read_archive(p, size, size > 0 ? size : 1, flags, &whole);
    must(read_archive(p, size, 1 + (data[0] >> 3) * 37u, flags, &cut) == rc && cut == whole);
    free(p);
    return 0;
}

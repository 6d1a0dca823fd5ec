#include "basebackup/compose.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"

enum { PIECE = 16 * 1024 };

/* ---- the manifest ---- */

/* Files come first in a manifest, so the text waits. */
static int take_text(void *arg, const void *bytes, size_t len, struct err *e)
{
    return pages_spool_add(&((struct compose *)arg)->text, bytes, len, e);
}

int compose_begin(struct compose *c, uint64_t system_id, uint32_t segment,
                  struct manifest_writer *manifest, struct pages_put *put, const char *dir,
                  struct err *e)
{
    c->manifest = manifest;
    c->put = put;
    if (visible_begin(&c->visible, segment, dir, e) != 0 || pages_spool_open(&c->text, dir, e) != 0)
        return -1;
    c->opened = true;
    c->own = own_new(system_id, take_text, c, e);
    c->on = c->own != NULL;
    return c->on ? 0 : -1;
}

void compose_fini(struct compose *c)
{
    own_free(c->own);
    c->own = NULL;
    increment_fini(&c->increment);
    visible_fini(&c->visible);
    if (c->opened)
        pages_spool_close(&c->text);
    c->opened = false;
    c->on = false;
    c->open = false;
}

int compose_whole(struct compose *c, const char *path, uint64_t size, int64_t mtime, uint32_t crc,
                  struct err *e)
{
    uint64_t before;

    if (!c->on)
        return 0;
    before = c->put->found.known ? c->put->found.size : 0;
    if (visible_file(&c->visible, path, c->came ? &c->increment : NULL, size, before, e) != 0)
        return -1;
    return own_file(c->own, path, size, mtime, crc, e);
}

/* Damage comes from what the two sides know of the prior backup: then all must be sent. */
static int failed(struct compose *c, struct err *e)
{
    c->unfit = e->code == ERR_DAMAGED;
    return err_context(e, "\"%s\"", c->put->path);
}

static int stored(void *arg, const char *path, uint64_t size, int64_t mtime, uint32_t crc,
                  struct err *e)
{
    struct compose *c = arg;

    c->late_files++;
    c->late_bytes += size;
    return own_file(c->own, path, size, mtime, crc, e);
}

int compose_finish(struct compose *c, const struct check *check, struct err *e)
{
    uint8_t piece[PIECE];

    if (!c->on)
        return 0;
    if (visible_store(&c->visible, c->put, stored, c, e) != 0)
        return failed(c, e);
    if (own_finish(c->own, check, e) != 0)
        return -1;
    for (uint64_t at = 0; at < c->text.len;) {
        uint64_t left = c->text.len - at;
        size_t take = left < sizeof piece ? (size_t)left : sizeof piece;

        if (pages_spool_read(&c->text, at, piece, take, e) != 0 ||
            manifest_text(c->manifest, MANIFEST_SERVER, piece, take, e) != 0)
            return -1;
        at += take;
    }
    return 0;
}

/* ---- increments ---- */

bool compose_name(struct compose *c, const char *path, char *full, size_t cap)
{
    size_t prefix = 0;

    c->came = c->on && increment_is_path(path, &prefix);
    if (c->came)
        (void)snprintf(full, cap, "%.*s%s", (int)prefix, path,
                       path + prefix + strlen(INCREMENT_WORD));
    else
        (void)snprintf(full, cap, "%s", path);
    c->waits = c->came && visible_is_map(full);
    return c->came;
}

int compose_wait(struct compose *c, const char *full, uint32_t mode, int64_t mtime, uint64_t size,
                 struct err *e)
{
    c->size = 0;
    c->crc = 0;
    return visible_wait(&c->visible, full, mode, mtime, size, e);
}

static int on_known(void *arg, uint64_t count, struct err *e)
{
    struct compose *c = arg;

    c->pages += count;
    return pages_put_known(c->put, count, e);
}

static int on_page(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    return pages_put_write(((struct compose *)arg)->put, bytes, len, e);
}

int compose_file(struct compose *c, struct err *e)
{
    static const struct increment_events events = {on_known, on_page};

    c->open = true;
    c->size = 0;
    c->crc = 0;
    increment_fini(&c->increment);
    increment_init(&c->increment, &events, c);
    if (c->put->found.known)
        return 0;
    (void)err_set(e, ERR_DAMAGED, "the prior backup does not have this file");
    return failed(c, e);
}

int compose_data(struct compose *c, const uint8_t *bytes, size_t len, struct err *e)
{
    c->size += len;
    c->crc = crc32c_extend(c->crc, bytes, len);
    if (c->waits)
        return visible_data(&c->visible, bytes, len, e);
    return increment_feed(&c->increment, bytes, len, e) == 0 ? 0 : failed(c, e);
}

int compose_end(struct compose *c, uint64_t *size, uint32_t *crc, struct err *e)
{
    c->open = false;
    *size = c->size;
    *crc = c->crc;
    if (c->waits)
        return 0;
    return increment_finish(&c->increment, e) == 0 ? 0 : failed(c, e);
}

#include "basebackup/visible.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "base/zeros.h"

enum {
    MARKS_MAX = 1 << 26,
    MAP_PAGE_BYTES = PAGES_SIZE - 24, /* behind the page's head */
    COVERED = MAP_PAGE_BYTES * 4,     /* pages of the table by a page of its map */
    HEADER = 26,                      /* u32 mode, i64 mtime, u64 size, u16 path length, u32 zero */
    PIECE = 16 * 1024
};

/* A file of a relation: DIR/NUMBER, DIR/NUMBER_vm, each with .SEGMENT or without. */
struct name {
    size_t stem; /* bytes of the path up to the number's end */
    uint64_t segment;
    bool map;
};

static bool read_name(const char *path, struct name *n)
{
    static const char map[] = "_vm";
    const char *slash = strrchr(path, '/');
    const char *at = slash == NULL ? path : slash + 1;
    size_t digits = strspn(at, "0123456789");
    struct err quiet = {0};

    if (slash == NULL || digits == 0)
        return false;
    at += digits;
    n->stem = (size_t)(at - path);
    n->segment = 0;
    n->map = strncmp(at, map, sizeof map - 1) == 0;
    if (n->map)
        at += sizeof map - 1;
    return *at == '\0' ||
           (*at == '.' && parse_u64(at + 1, 1, UINT32_MAX, &n->segment, &quiet) == 0);
}

bool visible_is_map(const char *path)
{
    struct name n;

    return read_name(path, &n) && n.map;
}

int visible_begin(struct visible *v, uint32_t segment, const char *dir, struct err *e)
{
    v->segment = segment;
    secret_random(v->key, sizeof v->key);
    visible_marks_init(&v->marks, MARKS_MAX);
    if (pages_spool_open(&v->later, dir, e) != 0)
        return -1;
    v->opened = true;
    return 0;
}

void visible_fini(struct visible *v)
{
    if (!v->opened)
        return;
    pages_spool_close(&v->later);
    visible_marks_fini(&v->marks);
    v->opened = false;
}

/* ---- what concerns a map ---- */

/* Stands for one page of one relation's map. */
static uint64_t mark_of(const struct visible *v, const char *path, size_t stem, uint64_t map_page)
{
    uint8_t bytes[PAGES_PATH_MAX + 8];

    put_u64(bytes, map_page);
    memcpy(bytes + 8, path, stem);
    return secret_table_hash(v->key, bytes, 8 + stem);
}

/* Of the pages from first on and before end of the relation's file. */
static int mark(struct visible *v, const char *path, const struct name *n, uint64_t first,
                uint64_t end, struct err *e)
{
    uint64_t base = n->segment * v->segment;

    if (first >= end)
        return 0;
    for (uint64_t p = (base + first) / COVERED; p <= (base + end - 1) / COVERED; p++)
        if (visible_marks_push(&v->marks, mark_of(v, path, n->stem, p), e) != 0)
            return -1;
    return 0;
}

static int mark_sent(struct visible *v, const char *path, const struct name *n,
                     const struct increment *sent, struct err *e)
{
    uint64_t base = n->segment * v->segment;
    uint64_t last = UINT64_MAX;

    for (uint32_t k = 0; k < sent->count; k++) {
        uint32_t page = increment_number(sent, k);

        if ((base + page) / COVERED == last)
            continue;
        last = (base + page) / COVERED;
        if (mark(v, path, n, page, (uint64_t)page + 1, e) != 0)
            return -1;
    }
    return 0;
}

static uint64_t pages_of(uint64_t size)
{
    return (size + PAGES_SIZE - 1) / PAGES_SIZE;
}

int visible_file(struct visible *v, const char *path, const struct increment *sent, uint64_t size,
                 uint64_t before, struct err *e)
{
    uint64_t now = pages_of(size);
    uint64_t then = pages_of(before);
    struct name n;

    if (!read_name(path, &n) || n.map)
        return 0;
    if (sent != NULL && mark_sent(v, path, &n, sent, e) != 0)
        return -1;
    /* What is gone may come again, as other pages. */
    return mark(v, path, &n, sent == NULL ? 0 : now, now > then ? now : then, e);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static bool is_marked(const struct visible *v, uint64_t mark)
{
    return v->marks.n > 0 &&
           bsearch(&mark, v->marks.v, v->marks.n, sizeof *v->marks.v, by_number) != NULL;
}

/* ---- maps that wait ---- */

int visible_wait(struct visible *v, const char *path, uint32_t mode, int64_t mtime, uint64_t size,
                 struct err *e)
{
    uint8_t header[HEADER] = {0};
    size_t len = strlen(path);

    put_u32(header, mode);
    put_u64(header + 4, (uint64_t)mtime);
    put_u64(header + 12, size);
    put_u16(header + 20, (uint16_t)len);
    if (len > PAGES_PATH_MAX)
        return err_set(e, ERR_REFUSED, "path \"%.200s\" cannot be in a backup", path);
    return pages_spool_add(&v->later, header, sizeof header, e) == 0 &&
                   pages_spool_add(&v->later, path, len, e) == 0
               ? 0
               : -1;
}

int visible_data(struct visible *v, const uint8_t *bytes, size_t len, struct err *e)
{
    return pages_spool_add(&v->later, bytes, len, e);
}

struct map {
    const struct visible *v;
    struct pages_put *put;
    const char *path;
    struct name name;
    uint64_t at; /* bytes of the file so far */
};

static int on_known(void *arg, uint64_t count, struct err *e)
{
    struct map *m = arg;

    for (; count > 0; count--) {
        uint64_t page = m->name.segment * m->v->segment + m->at / PAGES_SIZE;
        int rc;

        if (is_marked(m->v, mark_of(m->v, m->path, m->name.stem, page)))
            rc = pages_put_write(m->put, zeros(), PAGES_SIZE, e);
        else
            rc = pages_put_known(m->put, 1, e);
        if (rc != 0)
            return -1;
        m->at += PAGES_SIZE;
    }
    return 0;
}

static int on_page(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct map *m = arg;

    m->at += len;
    return pages_put_write(m->put, bytes, len, e);
}

static int feed(struct visible *v, struct map *m, uint64_t at, uint64_t size, struct err *e)
{
    static const struct increment_events events = {on_known, on_page};
    struct increment increment;
    uint8_t piece[PIECE];
    int rc = 0;

    increment_init(&increment, &events, m);
    while (rc == 0 && size > 0) {
        size_t take = size < sizeof piece ? (size_t)size : sizeof piece;

        if (pages_spool_read(&v->later, at, piece, take, e) != 0 ||
            increment_feed(&increment, piece, take, e) != 0)
            rc = -1;
        at += take;
        size -= take;
    }
    if (rc == 0)
        rc = increment_finish(&increment, e);
    increment_fini(&increment);
    return rc;
}

/* One map; *at is behind it then. */
static int store_map(struct visible *v, struct pages_put *put, uint64_t *at, visible_stored *stored,
                     void *arg, struct err *e)
{
    struct map m = {.v = v, .put = put};
    char path[PAGES_PATH_MAX + 1];
    uint8_t header[HEADER];
    uint64_t size;
    uint32_t crc;
    size_t len;

    if (pages_spool_read(&v->later, *at, header, sizeof header, e) != 0)
        return -1;
    len = get_u16(header + 20);
    if (pages_spool_read(&v->later, *at + sizeof header, path, len, e) != 0)
        return -1;
    path[len] = '\0';
    m.path = path;
    *at += sizeof header + len;
    size = get_u64(header + 12);
    if (!read_name(path, &m.name))
        return err_set(e, ERR_INTERNAL, "\"%s\" is no map", path);
    if (pages_put_file(put, path, 0, get_u32(header), (int64_t)get_u64(header + 4), e) != 0)
        return -1;
    if (!put->found.known)
        return err_set(e, ERR_DAMAGED, "the prior backup does not have this file");
    if (feed(v, &m, *at, size, e) != 0)
        return -1;
    *at += size;
    if (pages_put_end(put, &size, &crc, e) != 0)
        return -1;
    return stored(arg, path, size, (int64_t)get_u64(header + 4), crc, e);
}

int visible_store(struct visible *v, struct pages_put *put, visible_stored *stored, void *arg,
                  struct err *e)
{
    uint64_t end = v->later.len;

    if (v->marks.n > 1)
        qsort(v->marks.v, v->marks.n, sizeof *v->marks.v, by_number);
    for (uint64_t at = 0; at < end;)
        if (store_map(v, put, &at, stored, arg, e) != 0)
            return -1;
    return 0;
}

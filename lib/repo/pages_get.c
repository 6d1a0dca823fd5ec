#include "repo/pages_get.h"

#include "base/zeros.h"

#include <stdlib.h>
#include <string.h>

void pages_get_init(struct pages_get *g, const struct pack_set *set, struct object_reader *scratch)
{
    memset(g, 0, sizeof *g);
    g->set = set;
    g->scratch = scratch;
}

static void close_pack(struct pages_get *g, struct pages_open_pack *o)
{
    for (unsigned i = 0; i < PAGES_ENTRIES_OPEN; i++)
        if (g->entries[i].pack == o->pack)
            g->entries[i].pack = NULL;
    pack_close(o->pack);
    o->pack = NULL;
    o->used = 0;
}

void pages_get_fini(struct pages_get *g)
{
    for (unsigned i = 0; i < PAGES_PACKS_OPEN; i++)
        close_pack(g, &g->packs[i]);
    for (unsigned i = 0; i < PAGES_ENTRIES_OPEN; i++) {
        free(g->entries[i].bytes);
        g->entries[i].bytes = NULL;
    }
}

/* The pack that was not used for the longest time, or a free place. */
static struct pages_open_pack *oldest(struct pages_get *g, bool only_open)
{
    struct pages_open_pack *found = NULL;

    for (unsigned i = 0; i < PAGES_PACKS_OPEN; i++) {
        struct pages_open_pack *o = &g->packs[i];

        if ((o->pack != NULL || !only_open) && (found == NULL || o->used < found->used))
            found = o;
    }
    return found;
}

static int find_pack(struct pages_get *g, const uint8_t *id, struct pack **pack, struct err *e)
{
    struct pages_open_pack *o;
    uint64_t rows = 0;

    g->clock++;
    for (unsigned i = 0; i < PAGES_PACKS_OPEN; i++) {
        o = &g->packs[i];
        if (o->pack == NULL)
            continue;
        if (memcmp(o->pack->id, id, PACK_ID) == 0) {
            o->used = g->clock;
            *pack = o->pack;
            return 0;
        }
        rows += o->pack->table.count;
    }
    o = oldest(g, false);
    if (o->pack != NULL) {
        rows -= o->pack->table.count;
        close_pack(g, o);
    }
    if (pack_open(&o->pack, g->set, id, PACK_DATA, g->scratch, e) != 0)
        return -1;
    *pack = o->pack;
    rows += o->pack->table.count;
    o->used = g->clock;
    while (rows > PAGES_ROWS_OPEN && (o = oldest(g, true))->pack != *pack) {
        rows -= o->pack->table.count;
        close_pack(g, o);
    }
    return 0;
}

/* The expanded entry, from memory or read now.  When its last page is taken (its pages stand in the
 * file's order) it is the first to give its place to another. */
static int find_entry(struct pages_get *g, const struct pack *pack, uint32_t ordinal, bool last,
                      const uint8_t **bytes, struct err *e)
{
    struct pages_open_entry *o = &g->entries[0];

    for (unsigned i = 0; i < PAGES_ENTRIES_OPEN; i++) {
        struct pages_open_entry *entry = &g->entries[i];

        if (entry->pack == pack && entry->ordinal == ordinal) {
            entry->used = last ? 0 : g->clock;
            *bytes = entry->bytes;
            return 0;
        }
        if (entry->pack == NULL)
            entry->used = 0;
        if (entry->used < o->used)
            o = entry;
    }
    if (o->bytes == NULL && (o->bytes = malloc(PAGES_ENTRY_BYTES)) == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an entry");
    o->pack = NULL;
    if (pack_read(pack, ordinal, &g->work, o->bytes, e) != 0)
        return -1;
    g->expanded += pack_row_pages(&pack->table.row[ordinal]);
    o->pack = pack;
    o->ordinal = ordinal;
    o->used = last ? 0 : g->clock;
    *bytes = o->bytes;
    return 0;
}

_Static_assert((int)PAGES_ENTRY_BYTES <= (int)ZEROS_BYTES, "an entry of zeros at once");

static int put_zeros(uint32_t count, struct sink *out, struct err *e)
{
    while (count > 0) {
        uint32_t take = count < PAGES_ENTRY ? count : (uint32_t)PAGES_ENTRY;

        if (sink_write(out, zeros(), (size_t)take * PAGES_SIZE, e) != 0)
            return -1;
        count -= take;
    }
    return 0;
}

/* Pages [page, page + count) of one entry. */
static int from_entry(struct pages_get *g, const struct pack *pack, uint32_t ordinal, uint32_t page,
                      uint32_t count, struct sink *out, struct err *e)
{
    const struct pack_row *row = &pack->table.row[ordinal];
    size_t at = (size_t)(page - row->page) * PAGES_SIZE;
    size_t len = (size_t)count * PAGES_SIZE;
    const uint8_t *bytes = g->direct;

    if (len > row->plain_len - at)
        len = row->plain_len - at;
    if (len == row->plain_len) { /* nobody else of this file needs it */
        if (pack_read(pack, ordinal, &g->work, g->direct, e) != 0)
            return -1;
        g->expanded += pack_row_pages(row);
    } else if (find_entry(g, pack, ordinal, at + len == row->plain_len, &bytes, e) != 0) {
        return -1;
    }
    return sink_write(out, bytes + at, len, e);
}

int pages_get_run(struct pages_get *g, const uint8_t *id, const struct pages_run *run,
                  struct sink *out, struct err *e)
{
    struct pack *pack = NULL;
    uint32_t page = run->page;
    uint32_t end = run->page + run->count;
    uint32_t ordinal;

    if (id == NULL)
        return put_zeros(run->count, out, e);
    if (find_pack(g, id, &pack, e) != 0)
        return -1;
    if (end > pack->table.pages || end <= page)
        return err_set(e, ERR_DAMAGED, "\"%s\" has %u pages, and page %u is asked for",
                       pack->file.shown, (unsigned)pack->table.pages, (unsigned)end);
    for (ordinal = pack_table_find(&pack->table, page); page < end; ordinal++) {
        uint32_t behind = pack->table.row[ordinal].page + pack_row_pages(&pack->table.row[ordinal]);
        uint32_t stop = behind < end ? behind : end;

        if (from_entry(g, pack, ordinal, page, stop - page, out, e) != 0)
            return -1;
        page = stop;
    }
    return 0;
}

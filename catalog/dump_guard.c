/*
 * The guard: a dump of a database that somebody emptied must not push the good ones out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "dump.h"
#include "os/space.h"
#include "repo/dump_get.h"

enum { NOISE = 100, WARN_MAX = 10, GZIP_DEAR = 7, ZSTD_DEAR = 10, LZ4_DEAR = 4 };

static int refuse(struct err *e, const struct dump_run *r)
{
    return err_hint(e,
                    "Nothing was stored%s%s; if it is right, repeat with --accept, or set guard in "
                    "[dump %s].",
                    r->has_prior ? " and the last good dump stays " : "",
                    r->has_prior ? r->prior.label : "", r->job.name);
}

static uint64_t lost_percent(uint64_t before, uint64_t now)
{
    return now >= before ? 0 : (before - now) * 100 / before;
}

/* Rows that this table had in the prior dump; 0 when it was not in it. */
static uint64_t rows_before(const struct dump_meta *m, const char *schema, const char *name,
                            const char *database)
{
    for (size_t i = 0; i < m->tables.n; i++) {
        const struct dump_table *t = &m->tables.v[i];

        if (strcmp(dump_text(m, t->name), name) == 0 &&
            strcmp(dump_text(m, t->schema), schema) == 0 && t->rows != DUMP_NO_ROWS &&
            strcmp(m->streams.v[t->stream].name, database) == 0)
            return t->rows;
    }
    return 0;
}

/* Tables that had many rows more: worth a look, no reason to refuse. */
static void warn_shrunk(struct dump_run *r, const struct dump_meta *before)
{
    const struct dump_meta *m = &r->put.meta;
    unsigned warned = 0;

    for (size_t i = 0; i < m->tables.n && warned < WARN_MAX; i++) {
        const struct dump_table *t = &m->tables.v[i];
        const char *schema = dump_text(m, t->schema);
        const char *name = dump_text(m, t->name);
        uint64_t had;

        if (t->rows == DUMP_NO_ROWS)
            continue;
        had = rows_before(before, schema, name, m->streams.v[t->stream].name);
        if (t->rows == 0 && had > 0)
            msg_warn(r->msg, "table \"%s.%s\" has no rows; it had %llu in dump %s", schema, name,
                     (unsigned long long)had, r->prior.label);
        else if (r->job.shrink < 100 && had >= t->rows + NOISE &&
                 lost_percent(had, t->rows) >= r->job.shrink)
            msg_warn(r->msg, "table \"%s.%s\" has %llu rows; it had %llu in dump %s", schema, name,
                     (unsigned long long)t->rows, (unsigned long long)had, r->prior.label);
        else
            continue;
        warned++;
    }
}

static void look_at_tables(struct dump_run *r)
{
    struct dump_get *g = calloc(1, sizeof *g);
    struct err none = {0};

    if (g == NULL)
        return; /* only a warning is lost */
    if (dump_get_open(g, &r->repo, &r->prior, &r->reader, &none) == 0 && g->has_meta)
        warn_shrunk(r, &g->meta);
    dump_get_close(g);
    free(g);
}

int dump_room(struct dump_run *r, struct err *e)
{
    struct err quiet = {0};
    struct os_space space;
    char needed[TEXT_SIZE_MAX];
    char left[TEXT_SIZE_MAX];

    /* A filesystem that does not tell, or tells nonsense, is no reason not to try. */
    if (r->accept || !r->has_prior || r->prior.stored == 0 ||
        os_space(r->repo.store.root.fd, &space, r->repo.store.root.path, &quiet) != 0 ||
        space.total == 0 || space.free >= r->prior.stored)
        return 0;
    text_size(needed, r->prior.stored);
    text_size(left, space.free);
    (void)err_set(e, ERR_REFUSED, "the repository's disk has %s left, and dump %s took %s", left,
                  r->prior.label, needed);
    return err_hint(e, "Make room (\"walden expire\" says what could go), or try all the same with "
                       "--accept.");
}

void dump_warn_compression(const struct dump_run *r)
{
    const char *c = r->job.compress;
    const char *level = strchr(c, ':');
    struct err none = {0};
    uint32_t n = 0;

    if (level == NULL || parse_u32(level + 1, 1, 22, &n, &none) != 0 ||
        n < (c[0] == 'g' ? GZIP_DEAR : (c[0] == 'z' ? ZSTD_DEAR : LZ4_DEAR)))
        return;
    msg_warn(r->msg,
             "%s costs several times the processor time of its default for a few percent; write "
             "\"format = custom\" (walden compresses with LZ4) or \"custom zstd\"",
             c);
}

int dump_guard(struct dump_run *r, struct err *e)
{
    const struct dump_public *now = &r->put.public;
    const struct dump_public *before = &r->prior.public;
    uint64_t lost;

    if (r->accept)
        return 0;
    if (now->tables == 0) {
        (void)err_set(e, ERR_REFUSED, "the dump holds no table");
        return refuse(e, r);
    }
    if (now->bytes < r->job.min_size) {
        char want[TEXT_SIZE_MAX];

        text_size(want, r->job.min_size);
        (void)err_set(e, ERR_REFUSED, "the dump has %llu bytes, less than min_size, %s",
                      (unsigned long long)now->bytes, want);
        return refuse(e, r);
    }
    if (!r->has_prior)
        return 0;
    look_at_tables(r);
    lost = before->rows == 0 ? 0 : lost_percent(before->rows, now->rows);
    if (r->job.shrink < 100 && before->rows > 0 && now->codec == before->codec &&
        (now->rows == 0 || (lost >= r->job.shrink && before->rows - now->rows >= NOISE))) {
        (void)err_set(e, ERR_REFUSED, "the dump has %llu rows, %llu %% less than dump %s with %llu",
                      (unsigned long long)now->rows, (unsigned long long)lost, r->prior.label,
                      (unsigned long long)before->rows);
        return refuse(e, r);
    }
    return 0;
}

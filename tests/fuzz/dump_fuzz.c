/*
 * Fuzz target for what reads dumps: archives and plain dumps with all that may be compressed in
 * them, and the metadata of a dump's object.
 *
 * The first byte chooses.  Besides not crashing, properties must hold: input in pieces means the
 * same as input at once; what was read of metadata and written again reads as the same.
 */
#include <stdlib.h>

#include "repo/dump.h"
#include "repo/dump_check.h"
#include "stream/inflate.h"
#include "stream/lz4.h"
#include "stream/zstd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int feed(struct sink *s, const uint8_t *p, size_t n, size_t piece, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i += piece)
        rc = sink_write(s, p + i, n - i < piece ? n - i : piece, e);
    return rc == 0 ? sink_finish(s, e) : rc;
}

static void fuzz_dump(const uint8_t *p, size_t n)
{
    static struct dump_check c;
    struct err e = {0};
    uint64_t rows[2] = {0, 0};
    int rc[2];

    for (int i = 0; i < 2; i++) {
        dump_check_init(&c);
        rc[i] = feed(&c.sink, p, n, i == 0 ? n + 1 : 7, &e);
        for (size_t k = 0; rc[i] == 0 && k < c.file.entries.n; k++) {
            rows[i] += c.file.entries.v[k].rows;
            (void)dumpfile_name(&c.file, c.file.entries.v[k].name);
        }
        dump_check_fini(&c);
    }
    must(rc[0] == rc[1] && rows[0] == rows[1]);
}

static void fuzz_codec(const uint8_t *p, size_t n, int which)
{
    static struct inflate gzip;
    static struct lz4_foreign lz4;
    static struct zstd_shape zstd;
    struct sink end;
    struct sink *head = NULL;
    int rc[2];

    for (int i = 0; i < 2; i++) {
        struct err e = {0};

        sink_null(&end, PHASE_CONTENT);
        if (which == 0) {
            inflate_init(&gzip);
            head = &gzip.sink;
        } else if (which == 1) {
            lz4_foreign_init(&lz4);
            head = &lz4.sink;
        } else {
            zstd_shape_init(&zstd);
            head = &zstd.sink;
        }
        must(which == 2 || sink_link(head, &end, &e) == 0);
        rc[i] = feed(head, p, n, i == 0 ? n + 1 : 5, &e);
        if (rc[i] != 0)
            sink_abort(head);
    }
    must(rc[0] == rc[1]);
}

static void fuzz_meta(const uint8_t *p, size_t n)
{
    struct dump_public public;
    struct dump_meta m;
    struct dump_meta again;
    struct buf b;
    struct err e = {0};

    (void)!dump_public_read(&public, p, n, &e);
    err_clear(&e);
    dump_meta_init(&m);
    dump_meta_init(&again);
    buf_init(&b, DUMP_PART_MAX);
    if (dump_meta_read(&m, p, n, &e) == 0 && dump_meta_write(&b, &m, &e) == 0) {
        must(dump_meta_read(&again, b.p, b.len, &e) == 0);
        must(again.streams.n == m.streams.n && again.tables.n == m.tables.n &&
             again.facts.n == m.facts.n);
    }
    buf_fini(&b);
    dump_meta_fini(&m);
    dump_meta_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 5 == 0)
        fuzz_meta(data + 1, size - 1);
    else if (data[0] % 5 == 1)
        fuzz_dump(data + 1, size - 1);
    else
        fuzz_codec(data + 1, size - 1, data[0] % 5 - 2);
    return 0;
}

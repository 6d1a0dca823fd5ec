/* verify_server: a backup's files against the server's own manifest. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "pg/manifest.h"
#include "repo/verify_server.h"

static const uint64_t SYSTEM = 7001;

static int into(void *arg, const void *bytes, size_t len, struct err *e)
{
    return buf_add(arg, bytes, len, e);
}

/* A server's manifest of `n` files named f0, f1 ... of i bytes and CRC 100 + i. */
static void make(struct buf *b, unsigned version, uint64_t system, unsigned n)
{
    struct manifest_out m;
    struct manifest_range range = {1, 0x2000028, 0x2000100};
    struct err e = {0};

    buf_init(b, 1 << 20);
    OK(manifest_out_begin(&m, version, system, into, b, &e) == 0, "a manifest is begun");
    for (unsigned i = 0; i < n; i++) {
        struct manifest_file f = {.size = i, .has_mtime = true, .algorithm = MANIFEST_CRC32C};

        (void)snprintf(f.path, sizeof f.path, "base/1/f%u", i);
        put_u32(f.sum, 100 + i);
        if (manifest_crc(&f) != 100 + i) /* whichever order it is kept in */
            for (unsigned k = 0; k < 2; k++) {
                uint8_t byte = f.sum[k];

                f.sum[k] = f.sum[3 - k];
                f.sum[3 - k] = byte;
            }
        if (manifest_out_file(&m, &f, &e) != 0)
            abort();
    }
    OK(manifest_out_range(&m, &range, &e) == 0 && manifest_out_end(&m, &e) == 0, "and made");
    manifest_out_fini(&m);
}

struct change {
    int file; /* this one ... */
    int64_t size;
    uint32_t crc;
    unsigned files; /* so many are in the backup */
    size_t flip;    /* a byte of the manifest; 0: none */
};

/* What verify_server answers: 0, or -1 with *e. */
static int judge(const struct buf *b, const struct change *c, struct err *e)
{
    struct verify_server *v = verify_server_new(SYSTEM, e);
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < c->files; i++) {
        char path[32];
        bool changed = (int)i == c->file;

        (void)snprintf(path, sizeof path, "base/1/f%u", i);
        rc = verify_server_file(v, path, changed ? (uint64_t)c->size : i,
                                changed ? c->crc : 100 + i, e);
    }
    /* In small pieces, as they may come. */
    for (size_t at = 0; rc == 0 && at < b->len; at += 7) {
        uint8_t piece[7];
        size_t n = b->len - at < sizeof piece ? b->len - at : sizeof piece;

        memcpy(piece, b->p + at, n);
        if (c->flip >= at && c->flip < at + n && c->flip != 0)
            piece[c->flip - at] ^= 1;
        rc = verify_server_feed(v, piece, n, e);
    }
    if (rc == 0)
        rc = verify_server_end(v, e);
    verify_server_free(v);
    return rc;
}

static void refused(const struct buf *b, struct change c, const char *says, const char *what)
{
    struct err e = {0};

    OK(judge(b, &c, &e) == -1 && e.code == ERR_DAMAGED, "%s: damage", what);
    OK(strstr(e.msg, says) != NULL, "%s: it says \"%s\" (%s)", what, says, e.msg);
}

int main(void)
{
    struct change same = {.file = -1, .files = 20};
    struct buf b;
    struct err e = {0};
    struct verify_server *v;
    size_t silent = 0;

    for (unsigned version = 1; version <= 2; version++) {
        make(&b, version, SYSTEM, 20);
        err_clear(&e);
        OK(judge(&b, &same, &e) == 0, "version %u: the same files", version);
        refused(&b, (struct change){.file = 3, .size = 3, .crc = 99, .files = 20}, "\"base/1/f3\"",
                "another checksum");
        refused(&b, (struct change){.file = 3, .size = 4, .crc = 103, .files = 20}, "\"base/1/f3\"",
                "another size");
        refused(&b, (struct change){.file = -1, .files = 19}, "\"base/1/f19\"", "a file less");
        refused(&b, (struct change){.file = -1, .files = 22}, "2 of its files", "files more");
        for (size_t i = 1; i < b.len; i++) {
            struct change c = same;

            c.flip = i;
            err_clear(&e);
            silent += judge(&b, &c, &e) == 0 ? 1 : 0;
        }
        OK(silent == 0, "version %u: every flipped byte is found (%zu not)", version, silent);
        buf_fini(&b);
    }
    make(&b, 2, SYSTEM + 1, 20);
    refused(&b, same, "system identifier", "another cluster's");
    buf_fini(&b);

    err_clear(&e);
    v = verify_server_new(SYSTEM, &e);
    OK(verify_server_file(v, "a", 1, 1, &e) == 0 && verify_server_end(v, &e) == 0,
       "no manifest at all is no damage");
    verify_server_free(v);
    v = verify_server_new(SYSTEM, &e);
    OK(verify_server_feed(v, (const uint8_t *)"{", 1, &e) == 0 &&
           verify_server_file(v, "a", 1, 1, &e) == -1,
       "a file behind the manifest is damage");
    verify_server_free(v);
    return tap_done();
}

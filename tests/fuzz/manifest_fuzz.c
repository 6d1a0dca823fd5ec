/*
 * Fuzz target for pg/manifest and pg/tsmap.
 *
 * The first byte chooses the reader.  A manifest's last line is made right first (unless the byte
 * says otherwise), so that the fuzzer gets behind the checksum.  Whatever is accepted must be the
 * same in pieces, and must come back when it is written and read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "os/root.h"
#include "pg/label.h"
#include "pg/manifest.h"
#include "pg/tsmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

enum { OUT_MAX = 1 << 22 };

struct copy {
    struct manifest_out out;
    struct buf text;
    bool begun;
};

static int to_text(void *arg, const void *p, size_t n, struct err *e)
{
    return buf_add(&((struct copy *)arg)->text, p, n, e);
}

static int on_head(void *arg, unsigned version, uint64_t id, struct err *e)
{
    struct copy *c = arg;

    must(!c->begun && (version == 2 || (version == 1 && id == 0)));
    c->begun = true;
    return manifest_out_begin(&c->out, version, id, to_text, c, e);
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct copy *c = arg;

    must(c->begun && os_root_path_ok(f->path) && strlen(f->path) < MANIFEST_PATH_MAX);
    must(f->algorithm <= MANIFEST_SHA512 && f->size <= INT64_MAX);
    return manifest_out_file(&c->out, f, e);
}

static int on_range(void *arg, const struct manifest_range *r, struct err *e)
{
    struct copy *c = arg;

    must(r->tli > 0 && r->start <= r->end);
    /* Ranges may stand before the files; then there is no copy. */
    return c->begun ? manifest_out_range(&c->out, r, e) : 0;
}

static const struct manifest_events events = {on_head, on_file, on_range};

/* Reads; c->text becomes what was written again. */
static int read_text(const void *p, size_t n, size_t piece, struct copy *c)
{
    const uint8_t *b = p;
    struct manifest_in m;
    struct err e = {0};
    int rc = 0;

    memset(c, 0, sizeof *c);
    buf_init(&c->text, OUT_MAX);
    manifest_in_init(&m, &events, c, true);
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = manifest_in_feed(&m, b + at, n - at < piece ? n - at : piece, &e);
    if (rc == 0)
        rc = manifest_in_finish(&m, &e);
    must(rc == 0 || (e.msg[0] != '\0' && (e.code == ERR_DAMAGED || e.code == ERR_NOMEM)));
    if (rc == 0)
        must(manifest_out_end(&c->out, &e) == 0);
    if (c->begun)
        manifest_out_fini(&c->out);
    manifest_in_fini(&m);
    return rc;
}

static void fuzz_manifest(const uint8_t *p, size_t n, bool seal, size_t piece)
{
    struct copy whole;
    struct copy cut;
    struct digest_sha256 d;
    uint8_t sum[DIGEST_SHA256];
    char hex[2 * DIGEST_SHA256 + 1];
    struct err e = {0};
    struct buf text;
    int rc;

    buf_init(&text, OUT_MAX);
    must(buf_add(&text, p, n, &e) == 0);
    if (seal) {
        digest_sha256_init(&d);
        digest_sha256_add(&d, p, n);
        digest_sha256_get(&d, sum);
        text_hex(hex, sum, sizeof sum);
        must(buf_fmt(&text, &e, "\"Manifest-Checksum\": \"%s\"}\n", hex) == 0);
    }
    rc = read_text(text.p, text.len, text.len > 0 ? text.len : 1, &whole);
    must(read_text(text.p, text.len, piece, &cut) == rc);
    must(whole.text.len == cut.text.len &&
         (cut.text.len == 0 || memcmp(whole.text.p, cut.text.p, cut.text.len) == 0));
    buf_fini(&cut.text);
    if (rc == 0) {
        must(read_text(whole.text.p, whole.text.len, 4096, &cut) == 0);
        must(whole.text.len == cut.text.len && memcmp(whole.text.p, cut.text.p, cut.text.len) == 0);
        buf_fini(&cut.text);
    }
    buf_fini(&whole.text);
    buf_fini(&text);
}

static int on_line(void *arg, uint32_t oid, const char *path, struct err *e)
{
    must(oid > 0 && path[0] == '/' && strlen(path) < TSMAP_PATH_MAX);
    return tsmap_add(arg, oid, path, e);
}

static void fuzz_map(const char *p, size_t n)
{
    struct err e = {0};
    struct buf once;
    struct buf twice;

    buf_init(&once, OUT_MAX);
    buf_init(&twice, OUT_MAX);
    if (tsmap_parse(p, n, on_line, &once, &e) == 0 && once.len > 0) {
        must(tsmap_parse(buf_text(&once), once.len, on_line, &twice, &e) == 0);
        must(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
    }
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct label l;

    if (size < 1)
        return 0;
    if ((data[0] & 7) == 0)
        fuzz_map((const char *)data + 1, size - 1);
    else if ((data[0] & 7) == 1)
        (void)!label_parse((const char *)data + 1, size - 1, &l, &e);
    else
        fuzz_manifest(data + 1, size - 1, (data[0] & 7) > 2, 1 + (data[0] >> 3));
    return 0;
}

/*
 * Goal: a backup passes only when the files that came are exactly those of the server's manifest:
 * none missing, none more, none changed, none twice; and only a whole manifest of this cluster
 * counts.
 */
#include "tap.h"

#include <stdlib.h>

/* A program's files are in no library. */
#include "basebackup/check.c"

enum { FILES = 500, SYSTEM_ID = 4711 };

static struct buf text;

static int to_text(void *arg, const void *bytes, size_t len, struct err *e)
{
    (void)arg;
    return buf_add(&text, bytes, len, e);
}

static void name_of(char out[64], unsigned i)
{
    (void)snprintf(out, 64, i % 3 == 0 ? "pg_tblspc/%u/PG_18/%u" : "base/%u/%u", i % 7, i);
}

/* A manifest of files `from` up to `to`, in the way a server writes one. */
static void make_manifest(unsigned version, unsigned from, unsigned to,
                          enum manifest_algorithm algorithm)
{
    struct manifest_out out;
    struct manifest_range range = {.tli = 3, .start = 0x2000028, .end = 0x3000100};
    struct manifest_range older = {.tli = 2, .start = 0x1000028, .end = 0x2000028};
    struct err e = {0};
    bool ok;

    buf_clear(&text);
    ok = manifest_out_begin(&out, version, SYSTEM_ID, to_text, NULL, &e) == 0;
    for (unsigned i = from; i < to; i++) {
        struct manifest_file f = {.size = i * 8192U, .has_mtime = true, .algorithm = algorithm};

        name_of(f.path, i);
        put_u32(f.sum, i * 2654435761U);
        ok = ok && manifest_out_file(&out, &f, &e) == 0;
    }
    ok = ok && manifest_out_range(&out, &range, &e) == 0 &&
         manifest_out_range(&out, &older, &e) == 0 && manifest_out_end(&out, &e) == 0;
    manifest_out_fini(&out);
    if (!ok) {
        printf("Bail out! no manifest: %s\n", e.msg);
        exit(1);
    }
}

/* What a backup looks like that has files `from` up to `to`. */
struct came {
    unsigned from;
    unsigned to;
    unsigned twice;   /* this one once more */
    unsigned changed; /* another CRC */
    unsigned longer;  /* another size */
};

static int check_all(const struct came *came, uint64_t system_id, size_t piece, struct check **kept,
                     struct err *e)
{
    struct check *c = check_new(system_id, e);
    int rc = c == NULL ? -1 : 0;

    for (unsigned i = came->from; rc == 0 && i < came->to; i++) {
        /* Not in the order of the manifest. */
        unsigned k = came->from + (i - came->from) * 7 % (came->to - came->from);
        uint32_t crc = k * 2654435761U + (k == came->changed);
        char path[64];

        name_of(path, k);
        rc = check_file(c, path, k * 8192U + (k == came->longer), crc, e);
        if (rc == 0 && k == came->twice)
            rc = check_file(c, path, k * 8192U, crc, e);
    }
    for (size_t at = 0; rc == 0 && at < text.len; at += piece)
        rc = check_manifest(c, text.p + at, text.len - at < piece ? text.len - at : piece, e);
    if (rc == 0)
        rc = check_manifest_end(c, e);
    if (kept != NULL)
        *kept = c;
    else
        check_free(c);
    return rc;
}

static void refused(const char *what, const struct came *came, uint64_t system_id, const char *word)
{
    struct err e = {0};
    int rc = check_all(came, system_id, 777, NULL, &e);

    OK(rc == -1 && e.code == ERR_DAMAGED && strstr(e.msg, word) != NULL, "%s: refused (%s)", what,
       e.msg);
}

static void test_good(void)
{
    static const struct came all = {0, FILES, FILES, FILES, FILES};
    static const size_t pieces[] = {1, 100, 131072};
    struct check *c = NULL;
    struct err e = {0};
    lsn_t start = 0;
    lsn_t end = 0;

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        make_manifest(2, 0, FILES, MANIFEST_CRC32C);
        OK(check_all(&all, SYSTEM_ID, pieces[i], NULL, &e) == 0,
           "the same files, pieces of %zu: %s", pieces[i], e.msg);
    }
    make_manifest(1, 0, FILES, MANIFEST_CRC32C);
    OK(check_all(&all, 1, 131072, &c, &e) == 0, "a manifest of 13, without a system identifier");
    check_range_of(c, &start, &end);
    OK(start == 0x1000028 && end == 0x3000100, "the whole range of WAL");
    check_free(c);
}

static void test_bad(void)
{
    static const struct came all = {0, FILES, FILES, FILES, FILES};

    make_manifest(2, 0, FILES, MANIFEST_CRC32C);
    refused("a file is missing", &(struct came){0, FILES - 1, FILES, FILES, FILES}, SYSTEM_ID,
            "no such file came");
    refused("a file too many", &(struct came){0, FILES + 1, FILES + 1, FILES + 1, FILES + 1},
            SYSTEM_ID, "1 files that its manifest does not name");
    refused("a file came twice", &(struct came){0, FILES, 33, FILES, FILES}, SYSTEM_ID,
            "1 files that its manifest does not name");
    refused("another content", &(struct came){0, FILES, FILES, 100, FILES}, SYSTEM_ID,
            "base/2/100");
    refused("another size", &(struct came){0, FILES, FILES, FILES, 101}, SYSTEM_ID, "base/3/101");
    refused("another cluster", &all, SYSTEM_ID + 1, "system identifier 4711");
    text.p[text.len / 2] ^= 1;
    refused("a manifest with a wrong byte", &all, SYSTEM_ID, "");
    make_manifest(2, 0, FILES, MANIFEST_CRC32C);
    text.len -= 10;
    refused("a manifest that is cut off", &all, SYSTEM_ID, "");
    make_manifest(2, 0, FILES, MANIFEST_NONE);
    refused("a manifest without checksums", &all, SYSTEM_ID, "no CRC-32C");
}

int main(void)
{
    struct err e = {0};

    if (secret_start(&e) != 0)
        return 1;
    buf_init(&text, 16 * 1024 * 1024);
    test_good();
    test_bad();
    buf_fini(&text);
    return tap_done();
}

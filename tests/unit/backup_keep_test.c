/*
 * Goal: WAL that is kept in a backup comes back byte for byte: whole segments, segments that were
 * cut off and are filled up with zeros, runs of zeros inside, files that are no multiple of a page,
 * over several packs; and what is dropped is not there.
 */
#include "tap.h"

#include <stdlib.h>

#include "pages_kit.h"
/* A program's files are in no library. */
#include "basebackup/keep.c"

enum { SEGMENT = 1 << 20 };

static struct kit kit;

static uint8_t *bytes_of(size_t len, unsigned zeros)
{
    uint8_t *p = calloc(1, len + 1);

    for (size_t i = 0; p != NULL && i < len; i++)
        if (i / PAGES_SIZE % 5 >= zeros)
            p[i] = (uint8_t)(kit_random() | (i % 3 == 0));
    return p;
}

/* Hands over `have` bytes in pieces of odd sizes; the file is to have `len`. */
static int put_file(struct keep *k, const char *name, const uint8_t *p, size_t have, size_t len,
                    struct err *e)
{
    if (keep_begin(k, name, e) != 0)
        return -1;
    for (size_t at = 0; at < have;) {
        size_t piece = 1 + kit_random() % 50000;

        piece = piece < have - at ? piece : have - at;
        if (keep_write(k, p + at, piece, e) != 0)
            return -1;
        at += piece;
    }
    return keep_end(k, len, e);
}

static void add(struct kit_cluster *c, const char *name, const uint8_t *p, size_t have, size_t len)
{
    struct kit_file *f = &c->file[c->n++];

    memset(f, 0, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "pg_wal/%s", name);
    f->bytes = calloc(1, len + 1);
    f->len = len;
    if (f->bytes != NULL)
        memcpy(f->bytes, p, have);
}

static int write_all(struct keep *k, struct kit_cluster *want, struct err *e)
{
    static const size_t cuts[] = {SEGMENT, 1, PAGES_SIZE, PAGES_SIZE + 1, 70000, SEGMENT - 1};
    char name[WALNAME_MAX];
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < 24; i++) {
        size_t have = i % 4 == 3 ? cuts[i % 6] : SEGMENT;
        uint8_t *p = bytes_of(have, i % 3);

        walname_segment(name, 1, i + 1, SEGMENT);
        rc = put_file(k, name, p, have, SEGMENT, e);
        add(want, name, p, have, SEGMENT);
        if (rc == 0 && i % 7 == 2) { /* begun, and given up */
            rc = keep_begin(k, "000000010000000000000FFF", e);
            if (rc == 0)
                rc = keep_write(k, p, have < 30000 ? have : 30000, e);
            keep_drop(k);
        }
        free(p);
    }
    return rc;
}

static void try(bool sealed)
{
    static struct keep k;
    static struct manifest_writer m;
    struct kit_cluster want = {.n = 0};
    struct manifest_public public = {.start_timeline = 1,
                                     .stop_timeline = 1,
                                     .start_lsn = SEGMENT,
                                     .stop_lsn = 2 * SEGMENT,
                                     .checkpoint_lsn = SEGMENT,
                                     .server_version = 180000};
    const char *what = sealed ? "sealed" : "plain";
    char label[MANIFEST_LABEL_MAX];
    char names[64][48];
    struct err e = {0};
    struct pack_how how = {.compress = true, .limits = {4 * SEGMENT, 600}};

    kit_open(&kit, sealed);
    how.repo = &kit.repo;
    keep_init(&k, &how);
    manifest_label(label, 1, SEGMENT, (const uint8_t *)"abc");
    OK(write_all(&k, &want, &e) == 0 && keep_finish(&k, &e) == 0, "%s: stored %s", what, e.msg);
    OK(manifest_begin(&m, &kit.repo, label, 1, SEGMENT, &e) == 0 &&
           keep_list(&k, &m, 0600, SEGMENT - 5, &e) == 0 && manifest_finish(&m, &public, &e) == 0,
       "%s: listed %s", what, e.msg);
    OK(kit_list(&kit, "pack", names, 64) > 3, "%s: in several packs", what);
    OK(kit_restore(&kit, label, &want, NULL, &e) == 0, "%s: and back, byte for byte %s", what,
       e.msg);
    OK(m.files == want.n, "%s: nothing else", what);
    kit_cluster_free(&want);
    manifest_fini(&m);
    keep_fini(&k);
    kit_close(&kit);
}

int main(void)
{
    try(false);
    try(true);
    return tap_done();
}

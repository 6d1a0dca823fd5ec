/*
 * ceiling: stores a backup of a cluster that nobody has the room for, and says how much memory it
 * took; for the test of the promise about 100 GB and 1,000,000 files.
 *
 *     ceiling [SETTING...] PG_CONTROL START FILES PAGES EVERY
 *
 * It stands in the place of walden-basebackup's receiving thread and feeds the ring with what a
 * server would send: archive, label, FILES files of PAGES pages each, the control file of a real
 * server, and a manifest of all of them.  Every other byte of the way is the product's.  A page
 * holds its file's and its own number, so no two are the same, and EVERYth pages hold START (an
 * LSN, as a number) besides: those change from run to run (0: none).  Nothing here grows with the
 * files; their checksums wait in a temporary file.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/text.h"
#include "basebackup/flush.h"
#include "basebackup/intake.h"
#include "basebackup/publish.h"
#include "object/secret.h"
#include "repo/repo.h"
#include "repo/settings.h"
#include "stream/digest.h"

enum { LABEL_CAP = 512, FILES_PER_DIRECTORY = 1000, CONTROL_BYTES = 8192 };

static struct intake intake;
static struct flush flusher;
static struct object_reader scratch;
static uint8_t *content;
static uint64_t files, pages, every, start;
static FILE *sums;

static int send(const void *bytes, size_t len, struct err *e)
{
    return ring_data(&intake.ring, RING_DATA, bytes, len, e);
}

/* A member of the archive, as servers write them. */
static int member(const char *path, const void *bytes, size_t len, struct err *e)
{
    static const uint8_t padding[512];
    char head[512] = {0};
    unsigned sum = 0;

    (void)snprintf(head, 100, "%s", path);
    memcpy(head + 100, bytes == NULL ? "0000700" : "0000600", 8);
    memcpy(head + 108, "0000000", 8);
    memcpy(head + 116, "0000000", 8);
    (void)snprintf(head + 124, 12, "%011" PRIo64, (uint64_t)len);
    memcpy(head + 136, "14000000000", 12);
    memset(head + 148, ' ', 8);
    head[156] = bytes == NULL ? '5' : '0'; /* a directory, or a file */
    memcpy(head + 257, "ustar\00000", 8);
    for (unsigned i = 0; i < sizeof head; i++)
        sum += (uint8_t)head[i];
    (void)snprintf(head + 148, 8, "%06o", sum);
    return send(head, sizeof head, e) != 0 || (len > 0 && send(bytes, len, e) != 0) ||
                   send(padding, -len % 512, e) != 0
               ? -1
               : 0;
}

static void name_of(uint64_t file, char path[64])
{
    (void)snprintf(path, 64, "base/%" PRIu64 "/%" PRIu64, 16384 + file / FILES_PER_DIRECTORY,
                   100000 + file);
}

static int send_file(uint64_t file, struct err *e)
{
    char path[64];
    uint32_t crc;

    name_of(file, path);
    for (uint64_t k = 0; k < pages; k++) {
        uint8_t *page = content + k * PAGES_SIZE;
        bool changes = every > 0 && (file * pages + k) % every == 0;

        put_u64(page, file + 1);
        put_u64(page + 8, k);
        put_u64(page + 16, changes ? start : 0);
    }
    crc = crc32c_extend(0, content, pages * PAGES_SIZE);
    if (fwrite(&crc, sizeof crc, 1, sums) != 1)
        return err_set(e, ERR_IO, "temporary file");
    return member(path, content, pages * PAGES_SIZE, e);
}

/* A line of the manifest. */
static int line(struct digest_sha256 *sum, struct err *e, const char *form, ...)
{
    char text[512];
    va_list args;
    int n;

    va_start(args, form);
    n = vsnprintf(text, sizeof text, form, args);
    va_end(args);
    digest_sha256_add(sum, text, (size_t)n);
    return ring_data(&intake.ring, RING_MANIFEST_DATA, (const uint8_t *)text, (size_t)n, e);
}

static int list_file(struct digest_sha256 *sum, const char *path, uint64_t size, uint32_t crc,
                     bool last, struct err *e)
{
    return line(sum, e,
                "{ \"Path\": \"%s\", \"Size\": %" PRIu64
                ", \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \"Checksum-Algorithm\": "
                "\"CRC32C\", \"Checksum\": \"%08x\" }%s\n",
                path, size, __builtin_bswap32(crc), last ? "" : ",");
}

static int send_manifest(const char *label, const uint8_t *control, uint64_t system_id,
                         struct err *e)
{
    struct digest_sha256 sum;
    struct digest_sha256 rest;
    uint8_t digest[DIGEST_SHA256];
    char hex[2 * DIGEST_SHA256 + 1];
    char lsn[2][TEXT_LSN_MAX];
    char path[64];
    uint32_t crc;

    rewind(sums);
    digest_sha256_init(&sum);
    if (ring_mark(&intake.ring, RING_MANIFEST, 0, e) != 0 ||
        line(&sum, e,
             "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": %" PRIu64
             ",\n\"Files\": [\n",
             system_id) != 0 ||
        list_file(&sum, "backup_label", strlen(label),
                  crc32c_extend(0, (const uint8_t *)label, strlen(label)), false, e) != 0)
        return -1;
    for (uint64_t i = 0; i < files; i++) {
        name_of(i, path);
        if (fread(&crc, sizeof crc, 1, sums) != 1)
            return err_set(e, ERR_IO, "temporary file");
        if (list_file(&sum, path, pages * PAGES_SIZE, crc, false, e) != 0)
            return -1;
    }
    text_lsn(lsn[0], start);
    text_lsn(lsn[1], start + 256);
    if (list_file(&sum, "global/pg_control", CONTROL_BYTES,
                  crc32c_extend(0, control, CONTROL_BYTES), true, e) != 0 ||
        line(&sum, e,
             "],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"%s\", \"End-LSN\": "
             "\"%s\" }\n],\n",
             lsn[0], lsn[1]) != 0)
        return -1;
    digest_sha256_get(&sum, digest);
    text_hex(hex, digest, sizeof digest);
    digest_sha256_init(&rest);
    if (line(&rest, e, "\"Manifest-Checksum\": \"%s\"}\n", hex) != 0)
        return -1;
    return ring_mark(&intake.ring, RING_MANIFEST_END, 0, e);
}

static int send_all(const uint8_t *control, uint64_t system_id, struct err *e)
{
    static const uint8_t end[1024];
    char label[LABEL_CAP];
    char lsn[TEXT_LSN_MAX];

    text_lsn(lsn, start);
    (void)snprintf(label, sizeof label,
                   "START WAL LOCATION: %s (file 00000001%08X%08X)\nCHECKPOINT LOCATION: %s\n"
                   "BACKUP METHOD: streamed\nBACKUP FROM: primary\n"
                   "START TIME: 2026-01-01 00:00:00 UTC\nLABEL: walden\nSTART TIMELINE: 1\n",
                   lsn, (unsigned)(start >> 32), (unsigned)(start >> 24 & 0xff), lsn);
    intake.start = start;
    intake.tli = 1;
    if (ring_mark(&intake.ring, RING_START, 0, e) != 0 ||
        ring_mark(&intake.ring, RING_ARCHIVE, 0, e) != 0 ||
        member("backup_label", label, strlen(label), e) != 0)
        return -1;
    for (uint64_t i = 0; i < files; i++)
        if (send_file(i, e) != 0)
            return -1;
    if (member("global", NULL, 0, e) != 0 ||
        member("global/pg_control", control, CONTROL_BYTES, e) != 0 ||
        send(end, sizeof end, e) != 0 || ring_mark(&intake.ring, RING_ARCHIVE_END, 0, e) != 0 ||
        send_manifest(label, control, system_id, e) != 0)
        return -1;
    return ring_mark(&intake.ring, RING_END, 0, e);
}

static int store(struct repo *repo, const uint8_t *control, struct err *e)
{
    const struct intake_how how = {
        .repo = repo,
        .packs = {repo, true, PACK_LIMITS, flush_pack, &flusher},
        .system_id = repo->where.system_id,
        .segsize = repo->lineage.segment_size,
        .has_end = true,
    };
    struct manifest_public p = {.start_timeline = 1,
                                .start_lsn = start,
                                .checkpoint_lsn = start,
                                .stop_timeline = 1,
                                .stop_lsn = start + 256,
                                .start_time = 1767225600000000,
                                .stop_time = 1767225600000000,
                                .server_version = 170000,
                                .wal_inside = true};
    const struct msg msg = {0};
    struct beat beat;
    const struct publish_how publishing = {
        .label = intake.label, .beat = &beat, .msg = &msg, .scratch = &scratch};
    struct basebackup_space *base = calloc(1, sizeof *base);
    struct thread thread = {0};
    int rc;

    if (beat_start(&beat, repo, e) != 0 || flush_start(&flusher, repo, e) != 0 ||
        intake_init(&intake, &how, e) != 0)
        return -1;
    intake.n_spaces = 1;
    intake.spaces = base;
    if (base == NULL || (base->location = strdup("")) == NULL ||
        thread_start(&thread, intake_run, &intake, e) != 0)
        return -1;
    rc = send_all(control, repo->where.system_id, e);
    if (rc != 0)
        ring_give_up(&intake.ring);
    if (thread_join(&thread, e) != 0 || rc != 0 || pages_put_finish(&intake.put, e) != 0 ||
        flush_drain(&flusher, e) != 0)
        return -1;
    p.bytes = intake.bytes;
    p.stored = intake.put.packs.stored_bytes;
    rc = publish_manifest(repo, &intake.manifest, &p, &publishing, e);
    beat_stop(&beat);
    return rc;
}

static void report(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];

    printf("label %s\nbytes %" PRIu64 "\nfiles %" PRIu64 "\nstored %" PRIu64 "\nsame %" PRIu64 "\n",
           intake.label, intake.bytes, intake.files, intake.put.totals.stored,
           intake.put.totals.same);
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            printf("memory %lu\n", strtoul(line + 6, NULL, 10));
}

int main(int argc, char **argv)
{
    static const struct opt_program program = {.name = "ceiling",
                                               .operands = "PG_CONTROL START FILES PAGES EVERY",
                                               .summary = "store a backup of a huge cluster",
                                               .examples = "",
                                               .exits = "",
                                               .args_min = 5,
                                               .args_max = 5};
    static struct settings settings;
    static struct repo repo;
    static uint8_t control[CONTROL_BYTES];
    struct opt_set set;
    struct opt_args args;
    struct err e = {0};
    FILE *f;

    settings_init(&settings);
    set = settings_options(&settings);
    if (opt_parse(&program, &set, 1, argc, argv, &args, &e) != 0 ||
        settings_load(&settings, environ, SETTINGS_PROGRAM, &e) != 0 || secret_start(&e) != 0 ||
        repo_open(&repo, &settings, REPO_WRITE, &e) != 0)
        goto failed;
    start = strtoull(args.v[1], NULL, 0);
    files = strtoull(args.v[2], NULL, 0);
    pages = strtoull(args.v[3], NULL, 0);
    every = strtoull(args.v[4], NULL, 0);
    content = calloc(pages, PAGES_SIZE);
    sums = tmpfile();
    f = fopen(args.v[0], "rb");
    if (content == NULL || sums == NULL || f == NULL ||
        fread(control, 1, sizeof control, f) != sizeof control) {
        (void)err_set(&e, ERR_IO, "memory, temporary file or control file");
        goto failed;
    }
    memset(content, 'x', pages * PAGES_SIZE);
    if (store(&repo, control, &e) == 0) {
        report();
        return 0;
    }
failed:
    fprintf(stderr, "ceiling: error: %s\n", e.msg);
    return 1;
}

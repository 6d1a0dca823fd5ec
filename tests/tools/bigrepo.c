/*
 * bigrepo: fills a repository with as many segments as months of archiving make.
 *
 *     WALDEN_CONFIG=FILE bigrepo SEGMENTS TIMELINES BACKUP-EVERY FIRST-TIME SCRATCH [EVENTS]
 *
 * The repository is one that `walden init` made for a cluster with segments of 1 MB.  One segment a
 * minute from FIRST-TIME (seconds since 1970) on, each with a commit in its middle; every hundredth
 * is full, and a commit crosses its end.  The timelines follow each other, and each goes on for
 * three segments after the next has left it.  A base backup (of nothing) begins in every
 * BACKUP-EVERYth segment.  In each segment EVENTS tables that no backup knows are dropped.  All of
 * it goes through the code that archives: only the flushes are left out.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object/secret.h"
#include "os/sys.h"
#include "repo/manifest_write.h"
#include "repo/repo.h"
#include "repo/wal_put.h"
#include "unit/pg_wal_maker.h"

enum { LEFT_BEHIND = 3, FULL_EVERY = 100 };

static struct repo repo;
static struct wal_put put;
static struct settings settings;
static const char *scratch;
static int64_t first_time; /* PostgreSQL's epoch, microseconds */

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "bigrepo: %s: %s\n", what, e->msg);
    exit(1);
}

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static void put_file(const char *name, const void *bytes, size_t len, size_t size)
{
    struct wal_put_report report;
    struct err e = {0};
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s/%s", scratch, name);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || ftruncate(fd, (off_t)size) != 0 ||
        close(fd) != 0) {
        perror(path);
        exit(1);
    }
    if (wal_put(&put, &repo, path, true, &report, &e) != WAL_PUT_STORED)
        die(name, &e);
    if (report.damages > 0) {
        fprintf(stderr, "bigrepo: %s is damaged at %llX (%u)\n", name,
                (unsigned long long)report.damage_at, (unsigned)report.damage);
        exit(1);
    }
    unlink(path);
}

static int64_t minute(unsigned i)
{
    return first_time + (int64_t)i * 60 * 1000000;
}

/* A list of running transactions: none runs. */
static void make_running(struct maker *m, uint32_t next)
{
    uint8_t b[24] = {0};

    put_u32(b + 12, next);
    put_u32(b + 16, next);
    put_u32(b + 20, next - 1);
    (void)make_record(m, 8, 0x10, 0, b, sizeof b);
}

/* Puts the maker's first segment and goes on to the next. */
static void put_segment(struct maker *m, uint64_t segno)
{
    char name[WALNAME_MAX];
    size_t used = m->pos < MAKE_SEG ? m->pos : MAKE_SEG;

    put_u64(m->p + 24, repo.where.system_id);
    walname_segment(name, m->tli, segno, MAKE_SEG);
    while (used > 0 && m->p[used - 1] == 0)
        used--;
    put_file(name, m->p, used, MAKE_SEG);
    memset(m->p, 0, used);
    m->pos -= MAKE_SEG;
    if (m->pos > 0) {
        memcpy(m->p, m->p + MAKE_SEG, m->pos);
        memset(m->p + MAKE_SEG, 0, m->pos);
    }
    m->base += MAKE_SEG;
}

static void make_segment(struct maker *m, unsigned i, unsigned events)
{
    uint32_t step = 2 + events;

    make_running(m, 1000 + step * i);
    for (unsigned k = 0; k < events; k++) {
        uint32_t rel = 20000 + events * i + k;

        (void)make_end(m, 0x00, 1002 + step * i + k, minute(i) + k, NULL, 0, &rel, 1);
    }
    (void)make_end(m, 0x00, 1000 + step * i, minute(i) + 30 * 1000000, NULL, 0, NULL, 0);
    if (i % FULL_EVERY != FULL_EVERY - 1) {
        make_switch(m);
        return;
    }
    make_fill_to(m, 24);
    (void)make_end(m, 0x00, 1001 + step * i, minute(i) + 59 * 1000000, NULL, 0, NULL, 0);
}

static void put_backup(const struct maker *m, unsigned i, lsn_t start, lsn_t stop)
{
    static struct manifest_writer w;
    struct manifest_public p = {.start_timeline = m->tli,
                                .start_lsn = start,
                                .checkpoint_lsn = start,
                                .stop_timeline = m->tli,
                                .stop_lsn = stop,
                                .start_time = minute(i) + INT64_C(946684800000000),
                                .stop_time = minute(i) + INT64_C(946684820000000),
                                .server_version = repo.lineage.major * 10000 + 1,
                                .data_checksums = true};
    uint8_t random[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    static uint64_t sequence;
    char text[512];
    char label[MANIFEST_LABEL_MAX];
    struct err e = {0};

    p.head.sequence = ++sequence;
    manifest_label(label, m->tli, start, random);
    snprintf(
        text, sizeof text,
        "START WAL LOCATION: %X/%X (file x)\nCHECKPOINT LOCATION: %X/%X\nBACKUP METHOD: streamed\n"
        "BACKUP FROM: primary\nSTART TIME: 2026-08-01 00:00:00 UTC\nLABEL: x\n"
        "START TIMELINE: %u\n",
        (unsigned)(start >> 32), (unsigned)start, (unsigned)(start >> 32), (unsigned)start,
        (unsigned)m->tli);
    if (manifest_begin(&w, &repo, label, m->tli, start, &e) != 0 ||
        manifest_text(&w, MANIFEST_LABEL, text, strlen(text), &e) != 0 ||
        manifest_file(&w, "PG_VERSION", 0, 0600, p.start_time, &e) != 0 ||
        manifest_file_end(&w, 0, 0, 0, &e) != 0 || manifest_finish(&w, &p, &e) != 0)
        die(label, &e);
    manifest_fini(&w);
}

static void put_history(struct maker *m)
{
    static char text[4096];
    char name[WALNAME_MAX];

    snprintf(text + strlen(text), sizeof text - strlen(text), "%u\t%X/%X\tno recovery target\n",
             m->tli, (unsigned)(m->base >> 32), (unsigned)m->base);
    walname_history(name, m->tli + 1);
    put_file(name, text, strlen(text), strlen(text));
}

/* What the old timeline archives after the new one has left it. */
static void leave_behind(const struct maker *m, unsigned i)
{
    struct maker old = *m;

    old.p = calloc(1, MAKE_BYTES + WALPAGE_SIZE);
    if (old.p == NULL)
        abort();
    for (unsigned k = 0; k < LEFT_BEHIND; k++) {
        (void)make_end(&old, 0x00, 999, minute(i + k) + 1, NULL, 0, NULL, 0);
        make_switch(&old);
        put_segment(&old, old.base / MAKE_SEG);
    }
    free(old.p);
}

int main(int argc, char **argv)
{
    static struct os_sys sys;
    struct maker m;
    struct err e = {0};
    unsigned segments;
    unsigned timelines;
    unsigned every;
    unsigned events = 0;

    if (argc != 6 && argc != 7)
        return 2;
    if (argc == 7)
        events = (unsigned)strtoul(argv[6], NULL, 10);
    segments = (unsigned)strtoul(argv[1], NULL, 10);
    timelines = (unsigned)strtoul(argv[2], NULL, 10);
    every = (unsigned)strtoul(argv[3], NULL, 10);
    first_time = (strtoll(argv[4], NULL, 10) - INT64_C(946684800)) * 1000000;
    scratch = argv[5];
    sys = *os_sys;
    sys.fsync = no_sync;
    os_sys = &sys;
    settings_init(&settings);
    if (secret_start(&e) != 0 || settings_load(&settings, environ, SETTINGS_HOOK, &e) != 0 ||
        repo_open(&repo, &settings, REPO_WRITE, &e) != 0)
        die("repository", &e);
    make_init(&m, repo.lineage.major);
    for (unsigned i = 0; i < segments; i++) {
        lsn_t start;

        if (m.tli < timelines && i >= m.tli * (segments / timelines) && m.pos == 0) {
            put_history(&m);
            leave_behind(&m, i);
            m.tli++;
        }
        start = make_filler(&m, 32);
        make_segment(&m, i, events);
        put_segment(&m, m.base / MAKE_SEG);
        if (i % every == 0)
            put_backup(&m, i, start, start + 64);
    }
    make_fini(&m);
    repo_close(&repo);
    return 0;
}

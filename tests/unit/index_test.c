/*
 * Goal: an index file is believed as far as it is whole and, in a sealed repository, signed: every
 * byte of it is changed, every length cut, records are taken out, moved and forged, and no reader
 * ever learns what no writer wrote.  What is missing is added, and a damaged file is made again.
 */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pages_kit.h"
#include "repo/index.h"
#include "repo/store_index.h"

enum { OBJECTS = 24 };

static char file[FRAME_NAME_MAX + 1];

static void path_of(const struct kit *k, char path[512])
{
    snprintf(path, 512, "%s/%s/%llu/index/%s", k->dir, k->repo.where.cluster,
             (unsigned long long)k->repo.where.system_id, file);
}

static void name_of(char name[25], unsigned i)
{
    snprintf(name, 25, "0000000100000000%08X", i);
}

/* Objects of which the index is told as an archiver would. */
static void store_and_note(struct kit *k, unsigned i)
{
    static uint8_t part[1024];
    static struct store_put put;
    char name[25];
    struct store_name n = {.kind = KIND_SEGMENT, .timeline = 1, .name = name};
    struct err e = {0};
    struct store_seen seen;

    name_of(name, i);
    memset(part, (int)i + 1, 10 + i);
    if (store_put_begin(&k->repo.writer, &k->repo.where, &n, &put, &e) != 0 ||
        sink_write(&put.sink, part, 10 + i, &e) != 0 || store_put_commit(&put, &e) != 0 ||
        !store_put_seen(&put, &seen)) {
        printf("# %s\n", e.msg);
        exit(1);
    }
    store_put_abort(&put);
    index_note(&k->repo, &n, &seen, part, 10 + i);
}

/* How many of the objects an index knows; -1 when it knows something wrong. */
static int known(struct kit *k, bool *damaged)
{
    struct index x;
    struct err e = {0};
    int found = 0;

    if (index_load(&x, &k->repo, &e) != 0) {
        printf("# %s\n", e.msg);
        index_fini(&x);
        return -1;
    }
    if (damaged != NULL)
        *damaged = x.damaged;
    for (unsigned i = 0; i < OBJECTS; i++) {
        char name[25];
        struct store_name n = {.kind = KIND_SEGMENT, .timeline = 1, .name = name};
        const struct index_entry *entry;
        struct store_seen seen;

        name_of(name, i);
        if (store_look(&k->repo.store, &k->repo.where, &n, &seen, &e) != 0)
            continue;
        entry = index_find(&x, KIND_SEGMENT, name, seen.size, seen.stamp);
        if (entry == NULL)
            continue;
        found++;
        for (unsigned b = 0; b < entry->part_len; b++)
            if (entry->part_len != 10 + i || entry->part[b] != i + 1)
                found = -1000;
    }
    for (size_t i = 0; i < x.entries.n; i++)
        if (x.entries.v[i].name_len != 24 || x.entries.v[i].kind != KIND_SEGMENT)
            found = -1000;
    index_fini(&x);
    return found < 0 ? -1 : found;
}

static uint8_t *slurp(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *p;

    if (fd < 0 || fstat(fd, &st) != 0 || (p = malloc((size_t)st.st_size + 4096)) == NULL ||
        read(fd, p, (size_t)st.st_size) != st.st_size)
        exit(1);
    close(fd);
    *len = (size_t)st.st_size;
    return p;
}

static void spit(const char *path, const uint8_t *p, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, p, len) != (ssize_t)len)
        exit(1);
    close(fd);
}

/* One byte changed, at each place: nothing wrong is learned, and little is lost. */
static void every_byte(struct kit *k, const char *path, const uint8_t *good, size_t len)
{
    uint8_t *bad = malloc(len);
    unsigned wrong = 0;
    unsigned silent = 0;
    int least = OBJECTS;

    if (bad == NULL)
        exit(1);
    for (size_t i = 0; i < len; i++) {
        bool damaged;
        int n;

        memcpy(bad, good, len);
        bad[i] ^= (uint8_t)(1 << i % 8);
        spit(path, bad, len);
        n = known(k, &damaged);
        wrong += n < 0 ? 1 : 0;
        silent += n == OBJECTS || !damaged ? 1 : 0;
        least = n < least ? n : least;
    }
    OK(wrong == 0 && silent == 0, "%zu changed bytes: %u believed, %u not noticed", len, wrong,
       silent);
    OK(least >= OBJECTS - 2, "each costs at most two records (%d of %d are left)", least,
       (int)OBJECTS);
    wrong = 0;
    for (size_t i = 0; i < len; i++) {
        spit(path, good, i);
        wrong += known(k, NULL) < 0 ? 1 : 0;
    }
    OK(wrong == 0, "cut at every length: nothing wrong is learned");
    free(bad);
}

/* A signature stands under all records before it, so what an attacker does to them shows. */
static void forgeries(struct kit *k, const char *path, const uint8_t *good, size_t len)
{
    struct index_seed seed;
    struct index_record r;
    struct key_host other;
    uint8_t *bad = malloc(2 * len + INDEX_RECORD_MAX);
    uint8_t record[INDEX_RECORD_MAX];
    uint8_t chain[INDEX_CHAIN];
    size_t n;
    size_t cut;

    if (bad == NULL)
        exit(1);
    index_seed_make(&seed, k->repo.marker.id, &k->repo.where);
    /* The last signature is taken off: the record behind the one before it is not believed. */
    (void)index_decode_last(&r, &seed,
                            good + len - (len < INDEX_RECORD_MAX ? len : INDEX_RECORD_MAX),
                            len < INDEX_RECORD_MAX ? len : INDEX_RECORD_MAX);
    cut = len - r.len;
    spit(path, good, cut);
    OK(known(k, NULL) == OBJECTS - 1, "a record that is taken away is not known");

    /* A record of an unknown key that goes on with the chain. */
    key_host_new(&other, k->repo.marker.id, "other", k->repo.host.owner, NULL);
    memcpy(chain, r.chain, sizeof chain);
    r = (struct index_record){.kind = KIND_SEGMENT,
                              .name = "000000010000000000000000",
                              .name_len = 24,
                              .size = 1,
                              .stamp = 1};
    n = index_encode(record, &seed, &r, chain, &other);
    memcpy(bad, good, len);
    memcpy(bad + len, record, n);
    spit(path, bad, len + n);
    OK(known(k, NULL) == OBJECTS, "a forged record at the end does no harm to those before");
    {
        struct index x;
        struct err e = {0};
        bool there = true;

        if (index_load(&x, &k->repo, &e) == 0)
            there = x.entries.n != OBJECTS;
        OK(!there && x.damaged, "and is not believed");
        index_fini(&x);
    }
    store_and_note(k, OBJECTS); /* beyond the objects that are looked at */
    free(bad);
    bad = slurp(path, &cut);
    OK(cut == len + n, "nobody signs what stands behind a forged record");
    free(bad);

    /* Nor do unsigned ones get in, nor those of a plain repository. */
    bad = malloc(len + INDEX_RECORD_MAX);
    if (bad == NULL)
        exit(1);
    n = index_encode(record, &seed, &r, NULL, NULL);
    memcpy(bad, record, n);
    memcpy(bad + n, good, len);
    spit(path, bad, n + len);
    OK(known(k, NULL) == OBJECTS - 1, "a plain record before the others costs one of them");
    free(bad);
}

/* What is not known is added, in whatever state the file is. */
static void mending(struct kit *k, const char *path, const uint8_t *good, size_t len)
{
    const size_t at[] = {0, 5, len / 2, len - 1};
    uint8_t *bad = malloc(len);

    if (bad == NULL)
        exit(1);
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        struct index x;
        struct err e = {0};
        bool damaged = true;

        memcpy(bad, good, len);
        bad[at[i]] ^= 0x10;
        spit(path, bad, len);
        if (index_load(&x, &k->repo, &e) != 0)
            exit(1);
        for (unsigned o = 0; o < OBJECTS; o++) {
            char name[25];
            uint8_t part[64];
            struct store_name n = {.kind = KIND_SEGMENT, .timeline = 1, .name = name};
            struct index_record r = {.kind = KIND_SEGMENT, .name = name, .name_len = 24};
            struct store_seen seen;

            name_of(name, o);
            memset(part, (int)o + 1, sizeof part);
            if (store_look(&k->repo.store, &k->repo.where, &n, &seen, &e) != 0)
                exit(1);
            r.size = seen.size;
            r.stamp = seen.stamp;
            r.part = part;
            r.part_len = 10 + o;
            if (index_find(&x, KIND_SEGMENT, name, seen.size, seen.stamp) == NULL &&
                index_add(&x, &r, &e) != 0)
                exit(1);
        }
        index_keep(&x, &k->repo);
        index_fini(&x);
        OK(known(k, &damaged) == OBJECTS && !damaged, "damage at %zu is mended", at[i]);
    }
    free(bad);
}

/* Sparse files cost an attacker nothing: they cost a reader no more than what it takes in at most,
 * and nothing of what this host wrote. */
static void junk(struct kit *k, const char *path)
{
    const char *dir_end = strrchr(path, '/');
    char name[600];
    struct index x;
    struct err e = {0};

    for (int i = 0; i < 6; i++) {
        int fd;

        (void)snprintf(name, sizeof name, "%.*s/!%d", (int)(dir_end - path), path, i);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, i < 3 ? (off_t)STORE_INDEX_MAX + 1 : 100 << 20) != 0)
            exit(1);
        close(fd);
    }
    OK(index_load(&x, &k->repo, &e) == 0 && x.entries.n == OBJECTS && x.damaged && x.file_sound,
       "junk beside it takes nothing away: %s", e.msg);
    OK(x.files.n == 1, "and is not kept in memory");
    index_fini(&x);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "%.*s/!%d", (int)(dir_end - path), path, i);
        (void)unlink(name);
    }
}

static void all(bool sealed)
{
    struct kit k;
    char path[512];
    uint8_t *good;
    size_t len;
    bool damaged = true;

    kit_open(&k, sealed);
    k.repo.marker.sealed = sealed;
    index_file(file, &k.repo);
    OK(known(&k, &damaged) == 0 && !damaged, "%s: no index is an empty one",
       sealed ? "sealed" : "plain");
    for (unsigned i = 0; i < OBJECTS; i++)
        store_and_note(&k, i);
    OK(known(&k, &damaged) == OBJECTS && !damaged, "what was noted is known");
    path_of(&k, path);
    good = slurp(path, &len);
    every_byte(&k, path, good, len);
    if (sealed)
        forgeries(&k, path, good, len);
    spit(path, good, len);
    junk(&k, path);
    mending(&k, path, good, len);
    free(good);
    kit_close(&k);
}

int main(void)
{
    all(false);
    all(true);
    return tap_done();
}

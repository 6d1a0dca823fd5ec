#include "pages_kit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "os/dir.h"
#include "repo/pack_remove.h"
#include "repo/pages_get.h"

enum { SYSTEM_ID = 42 };

static void must(bool ok, const char *what, const struct err *e)
{
    if (ok)
        return;
    printf("Bail out! %s: %s\n", what, e != NULL ? e->msg : "");
    exit(1);
}

uint32_t kit_random(void)
{
    static uint64_t state = 88172645463325252ULL;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

void kit_open(struct kit *k, bool sealed)
{
    const char *tmp = getenv("TMPDIR");
    struct err e = {0};

    memset(k, 0, sizeof *k);
    must(secret_start(&e) == 0, "libsodium", &e);
    snprintf(k->dir, sizeof k->dir, "%.150s/walden-pages-XXXXXX", tmp != NULL ? tmp : "/tmp");
    must(mkdtemp(k->dir) != NULL, "mkdtemp", NULL);
    k->scratch = calloc(1, sizeof *k->scratch);
    must(k->scratch != NULL && store_open(&k->repo.store, k->dir, &e) == 0, "repository", &e);
    secret_random(k->repo.marker.id, 16);
    k->repo.writer.store = &k->repo.store;
    k->repo.where.cluster = "main";
    k->repo.where.system_id = SYSTEM_ID;
    k->repo.lineage.segment_size = 16 << 20;
    k->limits = PACK_LIMITS;
    trust_plain(&k->repo.trust, k->repo.marker.id);
    k->repo.marker.sealed = sealed;
    kit_spit(k, MARKER_FILE, (const uint8_t *)"test\n", 5);
    must(store_marker_stamp(&k->repo.store, MARKER_FILE, &k->repo.marker_stamp, &e) == 0, "marker",
         &e);
    if (!sealed)
        return;
    key_recovery_new(&k->recovery, k->repo.marker.id, "owner", NULL);
    key_recovery_new(&k->second, k->repo.marker.id, "second", k->recovery.owner);
    key_host_new(&k->host, k->repo.marker.id, "host", k->recovery.owner, NULL);
    k->repo.host = k->host;
    k->repo.has_host = true;
    k->repo.seal.host = &k->repo.host;
    k->repo.seal.count = 2;
    memcpy(k->repo.seal.recipient[0], k->recovery.box_public, SECRET_KEY);
    memcpy(k->repo.seal.recipient[1], k->second.box_public, SECRET_KEY);
    trust_sealed(&k->repo.trust, k->repo.marker.id, k->recovery.owner);
    trust_add_own(&k->repo.trust, k->host.sign_public);
    kit_secret(k, true);
}

void kit_secret(struct kit *k, bool has)
{
    if (k->repo.seal.host == NULL)
        return;
    k->repo.has_secret = has;
    k->repo.secret = k->recovery;
}

void kit_close(struct kit *k)
{
    struct err e = {0};
    struct os_root above = OS_ROOT_INIT;
    char *slash = strrchr(k->dir, '/');

    store_close(&k->repo.store);
    free(k->scratch);
    *slash = '\0';
    if (os_root_open(&above, k->dir, &e) == 0)
        (void)!os_tree_remove(&above, slash + 1, &e);
    os_root_close(&above);
    *slash = '/';
}

void kit_cluster_free(struct kit_cluster *c)
{
    for (unsigned i = 0; i < c->n; i++)
        free(c->file[i].bytes);
    c->n = 0;
}

void kit_cluster_copy(struct kit_cluster *to, const struct kit_cluster *from)
{
    *to = *from;
    for (unsigned i = 0; i < from->n; i++) {
        to->file[i].bytes = malloc(from->file[i].len + 1);
        must(to->file[i].bytes != NULL, "memory", NULL);
        memcpy(to->file[i].bytes, from->file[i].bytes, from->file[i].len);
    }
}

void kit_touch(struct kit_file *f, size_t page)
{
    size_t at = page * PAGES_SIZE;
    size_t end = at + PAGES_SIZE < f->len ? at + PAGES_SIZE : f->len;

    for (size_t i = at; i < end; i += 4 + kit_random() % 40)
        f->bytes[i] = (uint8_t)kit_random();
}

struct kit_file *kit_file_add(struct kit_cluster *c, const char *path, size_t len)
{
    struct kit_file *f = &c->file[c->n++];

    must(c->n <= KIT_FILES, "too many files", NULL);
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", path);
    f->bytes = calloc(1, len + 1);
    must(f->bytes != NULL, "memory", NULL);
    f->len = len;
    for (size_t page = 0; page * PAGES_SIZE < len; page++)
        if (kit_random() % 10 != 0) /* some pages are zeros */
            kit_touch(f, page);
    return f;
}

/* Sends one file in pieces of odd sizes. */
static int send_file(struct pages_put *put, const struct kit_file *f, struct err *e)
{
    size_t at = 0;

    while (at < f->len) {
        size_t piece = kit_random() % 3 == 0 ? 1 + kit_random() % 20000 : 65536;

        if (piece > f->len - at)
            piece = f->len - at;
        if (pages_put_write(put, f->bytes + at, piece, e) != 0)
            return -1;
        at += piece;
    }
    return 0;
}

/* As INCREMENTAL does: pages that are as they were are not sent. */
static int send_changes(struct pages_put *put, const struct kit_file *f,
                        const struct kit_cluster *before, struct err *e)
{
    const struct kit_file *old = NULL;

    for (unsigned i = 0; i < before->n; i++)
        if (!before->file[i].gone && strcmp(before->file[i].path, f->path) == 0)
            old = &before->file[i];
    if (old == NULL || f->len % PAGES_SIZE != 0)
        return send_file(put, f, e);
    for (size_t at = 0; at < f->len; at += PAGES_SIZE) {
        bool same =
            at + PAGES_SIZE <= old->len && memcmp(old->bytes + at, f->bytes + at, PAGES_SIZE) == 0;

        if ((same ? pages_put_known(put, 1, e)
                  : pages_put_write(put, f->bytes + at, PAGES_SIZE, e)) != 0)
            return -1;
    }
    return 0;
}

static int send_all(struct pages_put *put, const struct kit_cluster *c,
                    const struct kit_backup *how, struct err *e)
{
    unsigned done = 0;

    for (unsigned i = 0; i < c->n; i++) {
        const struct kit_file *f = &c->file[(i + how->rotate) % c->n];
        uint64_t size;
        uint32_t crc;

        if (f->gone)
            continue;
        if (how->fail_after > 0 && done++ == how->fail_after)
            return err_set(e, ERR_IO, "the connection was lost");
        if (pages_put_file(put, f->path, 0, 0600, -5 + (int64_t)f->len, e) != 0 ||
            (how->before != NULL ? send_changes(put, f, how->before, e) : send_file(put, f, e)) !=
                0 ||
            pages_put_end(put, &size, &crc, e) != 0)
            return -1;
        must(size == f->len && crc == crc32c_extend(0, f->bytes, f->len),
             "size and CRC of a file that was stored", NULL);
    }
    return 0;
}

static int open_prior(struct kit *k, struct prior *prior, const struct pack_set *set,
                      const struct kit_backup *how, struct err *e)
{
    struct manifest_public public;

    if (prior_open(prior, &k->repo, set, k->dir, k->scratch, e) != 0)
        return -1;
    if (how->prior != NULL && prior_add_manifest(prior, how->prior, &public, e) != 0)
        return -1;
    if (how->orphans && prior_add_orphans(prior, e) != 0)
        return -1;
    prior_ready(prior);
    return 0;
}

int kit_backup(struct kit *k, const struct kit_cluster *c, const struct kit_backup *how,
               char *label, struct pages_put_totals *totals, struct err *e)
{
    static struct prior prior;
    static struct pages_put put;
    static struct manifest_writer manifest;
    struct pack_how packs = {&k->repo, true, k->limits, NULL, NULL};
    struct manifest_public public = {.start_timeline = 1, .stop_timeline = 1};
    struct pack_set set;
    uint8_t random[3];
    int rc = -1;

    memset(&prior, 0, sizeof prior);
    memset(&manifest, 0, sizeof manifest);
    k->backups++;
    public.start_lsn = public.checkpoint_lsn = (uint64_t)k->backups << 24;
    public.stop_lsn = public.start_lsn + 1000;
    public.server_version = 170000;
    secret_random(random, sizeof random);
    manifest_label(label, 1, public.start_lsn, random);
    if (pack_set_load(&set, &k->repo, k->scratch, e) != 0)
        return -1;
    if (pack_remove_exclude(&set, k->scratch, e) != 0) {
        pack_set_fini(&set);
        return -1;
    }
    pages_put_init(&put, &packs, &manifest, &prior);
    if (open_prior(k, &prior, &set, how, e) != 0)
        goto out;
    if (manifest_begin(&manifest, &k->repo, label, 1, public.start_lsn, e) != 0)
        goto out;
    if (send_all(&put, c, how, e) != 0) {
        struct err second = {0};

        if (!how->killed && pages_put_finish(&put, &second) != 0)
            printf("# could not finish packs: %s\n", second.msg);
        goto out;
    }
    if (pages_put_finish(&put, e) != 0)
        goto out;
    rc = manifest_finish(&manifest, &public, e);
out:
    if (totals != NULL)
        *totals = put.totals;
    manifest_fini(&manifest);
    pages_put_fini(&put);
    prior_close(&prior);
    pack_set_fini(&set);
    return rc;
}

/* --- restore into memory --- */

struct restore {
    struct sink sink;
    struct pages_get *get;
    const struct kit_cluster *want;
    bool seen[KIT_FILES];
    unsigned current;
    size_t at;
    uint32_t crc;
    bool different;
    uint8_t ids[4096][PACK_ID];
    unsigned packs;
};

static int compare(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct restore *r = (struct restore *)s;
    const struct kit_file *f = &r->want->file[r->current];

    (void)e;
    if (len > f->len - r->at || memcmp(f->bytes + r->at, bytes, len) != 0)
        r->different = true;
    r->crc = crc32c_extend(r->crc, bytes, len);
    r->at += len;
    return 0;
}

static const struct sink_ops compare_ops = {"compare", compare, sink_finish_next, sink_abort_next};

static int on_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    struct restore *r = arg;

    (void)e;
    must(index == r->packs + 1 && index < 4096, "pack index", NULL);
    memcpy(r->ids[r->packs++], id, PACK_ID);
    return 0;
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct restore *r = arg;

    r->at = 0;
    r->crc = 0;
    for (r->current = 0; r->current < r->want->n; r->current++)
        if (!r->want->file[r->current].gone && strcmp(r->want->file[r->current].path, f->path) == 0)
            break;
    if (r->current == r->want->n || r->seen[r->current])
        return err_set(e, ERR_DAMAGED, "an unexpected file");
    r->seen[r->current] = true;
    return 0;
}

static int on_run(void *arg, const struct pages_run *run, struct err *e)
{
    struct restore *r = arg;

    return pages_get_run(r->get, run->pack == 0 ? NULL : r->ids[run->pack - 1], run, &r->sink, e);
}

static int on_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct restore *r = arg;

    if (r->different || r->at != f->size || r->at != r->want->file[r->current].len ||
        r->crc != f->crc || f->mode != 0600 || f->mtime != -5 + (int64_t)f->size)
        return err_set(e, ERR_DAMAGED, "file \"%s\" came back different", f->path);
    return 0;
}

int kit_restore(struct kit *k, const char *label, const struct kit_cluster *want,
                uint64_t *expanded, struct err *e)
{
    static const struct manifest_events events = {
        .pack = on_pack, .file = on_file, .run = on_run, .file_end = on_file_end};
    static struct restore r;
    struct object_reader *second = calloc(1, sizeof *second);
    struct pages_get *get = calloc(1, sizeof *get);
    struct manifest_public public;
    struct pack_set set;
    int rc;

    must(second != NULL && get != NULL, "memory", NULL);
    memset(&r, 0, sizeof r);
    sink_init(&r.sink, &compare_ops, PHASE_DELIVER);
    r.get = get;
    r.want = want;
    rc = pack_set_load(&set, &k->repo, k->scratch, e);
    if (rc == 0) {
        pages_get_init(get, &set, second);
        rc = manifest_read(&k->repo, label, &events, &r, &public, k->scratch, e);
        if (expanded != NULL)
            *expanded = get->expanded;
        pages_get_fini(get);
        pack_set_fini(&set);
    }
    for (unsigned i = 0; rc == 0 && i < want->n; i++)
        if (!want->file[i].gone && !r.seen[i])
            rc = err_set(e, ERR_DAMAGED, "file \"%s\" did not come back", want->file[i].path);
    if (rc > 0)
        rc = err_set(e, ERR_HOLE, "no such backup");
    free(get);
    free(second);
    return rc;
}

int kit_no_wait(void *arg, struct err *e)
{
    (void)arg, (void)e;
    return 0;
}

/* --- files --- */

void kit_path(char out[160], const char *sub, const char *name)
{
    snprintf(out, 160, "main/%d/%s/%s", SYSTEM_ID, sub, name);
}

uint8_t *kit_slurp(const struct kit *k, const char *rel, size_t *len)
{
    char path[400];
    uint8_t *bytes;
    struct stat st;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", k->dir, rel);
    f = fopen(path, "rb");
    must(f != NULL && fstat(fileno(f), &st) == 0, path, NULL);
    bytes = malloc((size_t)st.st_size + 1);
    must(bytes != NULL && fread(bytes, 1, (size_t)st.st_size, f) == (size_t)st.st_size, path, NULL);
    *len = (size_t)st.st_size;
    fclose(f);
    return bytes;
}

void kit_spit(const struct kit *k, const char *rel, const uint8_t *bytes, size_t len)
{
    char path[400];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", k->dir, rel);
    f = fopen(path, "wb");
    must(f != NULL && fwrite(bytes, 1, len, f) == len && fclose(f) == 0, path, NULL);
}

void kit_unlink(const struct kit *k, const char *rel)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", k->dir, rel);
    must(unlink(path) == 0, path, NULL);
}

unsigned kit_list(const struct kit *k, const char *sub, char names[][48], unsigned max)
{
    char path[400];
    struct dirent *d;
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/main/%d/%s", k->dir, SYSTEM_ID, sub);
    dir = opendir(path);
    if (dir == NULL)
        return 0;
    while ((d = readdir(dir)) != NULL)
        if (d->d_name[0] != '.' && n < max)
            snprintf(names[n++], 48, "%.47s", d->d_name);
    closedir(dir);
    return n;
}

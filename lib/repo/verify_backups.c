#include "repo/verify_backups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "os/signal.h"
#include "repo/manifest_read.h"
#include "repo/pages_get.h"
#include "repo/verified.h"
#include "repo/verify_packs.h"
#include "repo/verify_pool.h"
#include "repo/verify_server.h"

enum { SHOWN_FILES = 3, SHOWN_PATH = 160, INDEX_MAX = MANIFEST_PACKS_MAX };

/* A pack of the manifest in hand. */
struct named_pack {
    size_t index; /* in the list of packs */
    bool noted;   /* that the backup needs what is damaged in it */
};

VEC_DECLARE(pack_indexes, struct named_pack);

/* The end of the chain that puts a file together. */
struct crc_sink {
    struct sink sink;
    uint32_t crc;
    uint64_t size;
};

/* What all threads share.  Packs have a lock of their own, which serves for the rest as well. */
struct shared {
    const struct verify_backups_how *how;
    struct verify_packs packs;
    struct pack_set set;
    struct verified_backup *verdict; /* per backup; without a label it is gone */
    uint64_t bytes;                  /* put together so far */
};

/* A backup on its way, in one thread. */
struct work {
    struct shared *all;
    const struct verify_backups_how *how;
    struct verify_backups mine;
    struct verify_backups *total; /* &mine */
    struct object_reader *scratch;
    bool borrowed; /* the reader is the caller's */
    struct pages_get get;
    struct object_reader *second; /* opens packs while a manifest is being read */
    struct manifest_reader reader;
    bool content;
    /* the backup in hand */
    size_t number; /* its place in the list */
    const char *label;
    struct pack_indexes index; /* of the manifest's packs, in the list of packs */
    struct verify_server *server;
    struct crc_sink crc;
    uint64_t files;
    uint64_t bytes;
    uint64_t bad_files;
    bool spoiled; /* a problem of it was told */
    char shown[SHOWN_FILES * (SHOWN_PATH + 4)];
    char why[PROBLEM_TEXT_MAX / 2]; /* of the first bad file */
    char server_why[ERR_MSG_MAX];   /* what does not agree with the server's manifest */
    /* the file in hand */
    bool bad;
};

static int crc_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct crc_sink *c = (struct crc_sink *)s;

    (void)e;
    c->crc = crc32c_extend(c->crc, bytes, len);
    c->size += len;
    return 0;
}

static const struct sink_ops crc_ops = {"crc", crc_write, sink_finish_next, sink_abort_next};

/* --- what a manifest tells --- */

static void bad_file(struct work *w, const char *path, const char *why)
{
    size_t len = strlen(w->shown);

    if (w->bad)
        return;
    w->bad = true;
    if (w->bad_files++ == 0)
        (void)snprintf(w->why, sizeof w->why, "%.*s", (int)sizeof w->why - 1, why);
    if (w->bad_files <= SHOWN_FILES)
        (void)snprintf(w->shown + len, sizeof w->shown - len, "%s%.*s", len > 0 ? ", " : "",
                       SHOWN_PATH, path);
}

static int on_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    struct work *w = arg;
    struct named_pack named = {.noted = false};

    (void)index; /* they come in order, from 1 */
    if (verify_packs_find(&w->all->packs, id, &named.index, e) != 0)
        return -1;
    return pack_indexes_push(&w->index, named, e);
}

static int on_begin(void *arg, const struct manifest_file *f, struct err *e)
{
    struct work *w = arg;

    (void)f;
    w->bad = false;
    w->crc.crc = 0;
    w->crc.size = 0;
    return os_signal_check(e);
}

static int on_run(void *arg, const struct pages_run *run, struct err *e)
{
    struct work *w = arg;
    const char *path = w->reader.file.path;
    uint8_t bytes[PACK_ID];
    const uint8_t *id = NULL;
    struct err why = {0};

    if (run->pack != 0) {
        struct named_pack *named = &w->index.v[run->pack - 1];

        verify_packs_id(&w->all->packs, named->index, bytes);
        id = bytes;
        if (verify_packs_lost(&w->all->packs, named->index, run->page, run->count)) {
            if (!named->noted)
                verify_packs_used(&w->all->packs, named->index, w->number);
            named->noted = true;
            bad_file(w, path, "some of its pages are in a pack that is missing or damaged");
        }
    }
    if (w->bad || !w->content || pages_get_run(&w->get, id, run, &w->crc.sink, &why) == 0)
        return 0;
    if (!verify_goes_on(&why)) {
        *e = why;
        return -1;
    }
    bad_file(w, path, why.msg);
    return 0;
}

/* What does not agree with the server's manifest is noted once, and fails the backup. */
static int server_says(struct work *w, int rc, struct err *why, struct err *e)
{
    if (rc == 0)
        return 0;
    if (why->code == ERR_NOMEM) {
        *e = *why;
        return -1;
    }
    (void)snprintf(w->server_why, sizeof w->server_why, "%s", why->msg);
    return 0;
}

static int on_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct work *w = arg;
    struct err why = {0};

    w->files++;
    w->bytes += f->size;
    if (!w->bad && w->content && (w->crc.size != f->size || w->crc.crc != f->crc))
        bad_file(w, f->path, "its pages do not make the file: the checksum is another one");
    if ((f->flags & (MANIFEST_WAL | MANIFEST_OUTSIDE)) != 0 || w->server_why[0] != '\0')
        return 0;
    return server_says(w, verify_server_file(w->server, f->path, f->size, f->crc, &why), &why, e);
}

static int on_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                   struct err *e)
{
    struct work *w = arg;
    struct err why = {0};

    if (type != MANIFEST_SERVER || w->server_why[0] != '\0')
        return 0;
    return server_says(w, verify_server_feed(w->server, bytes, len, &why), &why, e);
}

static const struct manifest_events events = {
    .pack = on_pack,
    .text = on_text,
    .file = on_begin,
    .run = on_run,
    .file_end = on_end,
};

/* --- one backup --- */

static int put_problem(struct work *w, const struct problem *one, struct err *e)
{
    int rc;

    (void)pthread_mutex_lock(&w->all->packs.lock);
    rc = problems_tell(w->how->problems, one, e);
    (void)pthread_mutex_unlock(&w->all->packs.lock);
    return rc;
}

static int tell(struct work *w, enum problem_kind kind, const char *what, const char *then,
                struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char text[PROBLEM_TEXT_MAX];
    char consequence[PROBLEM_TEXT_MAX];
    struct problem one = {.kind = kind, .name = name, .what = text, .consequence = consequence};

    (void)snprintf(name, sizeof name, "backup/%s", w->label);
    (void)snprintf(text, sizeof text, "%s", what);
    (void)snprintf(consequence, sizeof consequence, "backup %s cannot be restored%s", w->label,
                   then);
    w->spoiled = true;
    return put_problem(w, &one, e);
}

/* What was found in a manifest that is sound itself. */
static int tell_findings(struct work *w, struct err *e)
{
    char what[PROBLEM_TEXT_MAX];
    char then[PROBLEM_TEXT_MAX];
    uint64_t more = w->bad_files > SHOWN_FILES ? w->bad_files - SHOWN_FILES : 0;
    char rest[40] = "";

    if (more > 0)
        (void)snprintf(rest, sizeof rest, " and %llu more", (unsigned long long)more);
    if (w->bad_files > 0) {
        (void)snprintf(what, sizeof what, "%llu of its %llu files cannot be rebuilt: %s",
                       (unsigned long long)w->bad_files, (unsigned long long)w->files, w->why);
        (void)snprintf(then, sizeof then, " whole: file%s %s%s", w->bad_files == 1 ? "" : "s",
                       w->shown, rest);
        return tell(w, PROBLEM_BACKUP, what, then, e);
    }
    if (w->server_why[0] != '\0')
        return tell(w, PROBLEM_BACKUP, w->server_why,
                    " with trust: its files are not those that the server sent", e);
    w->total->whole++;
    w->total->rebuilt += w->content ? 1 : 0;
    return 0;
}

static int read_body(struct work *w, struct err *e)
{
    struct err why = {0};
    struct err late = {0};
    int rc;

    w->server = verify_server_new(w->how->repo->where.system_id, e);
    if (w->server == NULL)
        return -1;
    manifest_reader_init(&w->reader, &events, w);
    rc = object_content(w->scratch, &w->reader.sink, &why);
    manifest_reader_fini(&w->reader);
    if (rc == 0 && w->server_why[0] == '\0')
        rc = server_says(w, verify_server_end(w->server, &late), &late, &why);
    verify_server_free(w->server);
    w->server = NULL;
    if (rc == 0) {
        w->total->files += w->content ? w->files - w->bad_files : 0;
        w->total->bytes += w->content ? w->bytes : 0;
        return tell_findings(w, e);
    }
    if (verify_goes_on(&why))
        return tell(w, PROBLEM_DAMAGED, why.msg, "; use another one", e);
    *e = why;
    return -1;
}

/* Does it need packs that are missing or damaged, by its public part?  1, 0, -1 with *why. */
static int is_lost(struct work *w, struct err *why)
{
    const struct frame_tail *tail = &w->scratch->tail;
    struct cur items = cur_of(tail->public_part, tail->public_len);
    struct manifest_in_use use;
    int lost = 0;
    int rc;

    while ((rc = manifest_in_use_next(&items, &use, why)) == 0) {
        uint64_t pos = 0;
        uint64_t first;
        uint64_t count;
        size_t index;

        if (verify_packs_find(&w->all->packs, use.pack, &index, why) != 0)
            return -1;
        while (pack_range_next(&use.ranges, &pos, &first, &count)) {
            if (first + count <= PACK_PAGES_MAX &&
                !verify_packs_lost(&w->all->packs, index, (uint32_t)first, (uint32_t)count))
                continue;
            lost = 1;
            verify_packs_used(&w->all->packs, index, w->number);
            break;
        }
    }
    return rc < 0 ? -1 : lost;
}

/* Without any key for the manifest: its digest, and the packs that it says are in use.  Of a backup
 * that is not due only the latter. */
static int read_outside(struct work *w, bool due, struct err *e)
{
    struct err why = {0};
    int rc = due ? object_check_stored(w->scratch, &why) : 0;

    if (rc == 0)
        rc = is_lost(w, &why);
    if (rc < 0 && !verify_goes_on(&why)) {
        *e = why;
        return -1;
    }
    if (rc < 0)
        return tell(w, PROBLEM_DAMAGED, why.msg, "; use another one", e);
    if (rc > 0)
        return tell(w, PROBLEM_BACKUP,
                    "pages that it needs are in packs that are missing or damaged",
                    " whole; which files it costs is told where host_key or secret_key is set", e);
    w->total->whole += due ? 1 : 0;
    return 0;
}

static void begin_backup(struct work *w, size_t i)
{
    w->number = i;
    w->label = w->how->list->items.v[i].label;
    w->index.n = 0;
    w->files = 0;
    w->bytes = 0;
    w->bad_files = 0;
    w->bad = false;
    w->spoiled = false;
    w->shown[0] = '\0';
    w->why[0] = '\0';
    w->server_why[0] = '\0';
}

/* The verdict, for the record. */
static void judge(struct work *w, size_t i, bool due)
{
    const struct backup_item *b = &w->how->list->items.v[i];
    struct verified_backup *v = &w->all->verdict[i];
    bool parts = w->how->part.parts > 1;

    (void)snprintf(v->label, sizeof v->label, "%s", b->label);
    v->damaged = w->spoiled || !b->restorable;
    v->part = parts && !(due && w->content);
    if (w->content)
        v->level = v->part ? VERIFIED_CONTENT : VERIFIED_RECORDS;
    else
        v->level = VERIFIED_STORED;
}

static int read_open(struct work *w, const struct backup_item *b, bool due, struct err *e)
{
    uint64_t bytes = w->total->bytes;
    uint64_t files;

    if (due && verify_log_has(w->how->log, 'b', b->label, &files)) {
        w->total->resumed++;
        w->total->whole++;
        w->total->rebuilt += w->content ? 1 : 0;
        w->total->bytes += files;
        return 0;
    }
    if ((due && object_can_read(w->scratch) ? read_body(w, e) : read_outside(w, due, e)) != 0)
        return -1;
    if (due && !w->spoiled)
        verify_log_add(w->how->log, 'b', b->label, w->total->bytes - bytes);
    return 0;
}

static int read_backup(struct work *w, size_t i, struct err *e)
{
    const struct backup_item *b = &w->how->list->items.v[i];
    struct repo *repo = w->how->repo;
    struct object_reader *r = w->scratch;
    struct store_name name = {.kind = KIND_MANIFEST, .name = b->label};
    bool due = verify_part_name(&w->how->part, b->label);
    struct store_object o = {.fd = -1};
    struct err why = {0};
    int rc;

    begin_backup(w, i);
    rc = repo_get(repo, &name, &o, r, &why);
    if (rc == STORE_ABSENT) /* expired since it was listed */
        return 0;
    w->total->backups += due ? 1 : 0;
    if (rc == 0) {
        rc = read_open(w, b, due, e);
        object_close(r);
        store_release(&o);
    } else if (!verify_goes_on(&why)) {
        *e = why;
    } else {
        rc = tell(w, why.code == ERR_KEY ? PROBLEM_KEY : PROBLEM_DAMAGED, why.msg,
                  "; use another one", e);
    }
    if (rc == 0)
        judge(w, i, due);
    return rc;
}

/* --- the list of damaged entries --- */

static void record(struct shared *all, struct verify_backups *v)
{
    const struct pack_bads *bads = &all->packs.bads;
    const char *why = verified_may_not(all->how->repo);
    struct err e = {0};

    v->bad_entries += all->packs.bad_entries;
    if (bads->n == 0)
        return;
    if (why == NULL && pack_damage_add(all->how->repo, bads, &e) == 0)
        v->recorded += bads->n;
    else
        (void)snprintf(v->unrecorded, sizeof v->unrecorded, "%s", why != NULL ? why : e.msg);
}

/* --- the threads --- */

static void work_free(struct work *w)
{
    if (w == NULL)
        return;
    pages_get_fini(&w->get);
    pack_indexes_fini(&w->index);
    if (w->scratch != NULL && !w->borrowed) {
        object_close(w->scratch);
        free(w->scratch);
    }
    if (w->second != NULL)
        object_close(w->second);
    free(w->second);
    free(w);
}

/* The first has the caller's reader. */
static struct work *work_new(struct shared *all, bool first)
{
    struct work *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->all = all;
    w->how = all->how;
    w->total = &w->mine;
    w->borrowed = first;
    w->scratch = first ? all->how->scratch : calloc(1, sizeof *w->scratch);
    w->second = calloc(1, sizeof *w->second);
    w->content = !all->how->repo->marker.sealed || all->how->repo->has_secret;
    pack_indexes_init(&w->index, INDEX_MAX);
    sink_init(&w->crc.sink, &crc_ops, PHASE_DELIVER);
    pages_get_init(&w->get, &all->set, w->second);
    if (w->scratch != NULL && w->second != NULL)
        return w;
    work_free(w);
    return NULL;
}

static int work_on(void *worker, size_t i, struct err *e)
{
    struct work *w = worker;
    const struct verify_backups_how *how = w->how;
    uint64_t before = w->total->bytes;
    int rc;

    if (how->progress != NULL) {
        (void)pthread_mutex_lock(&w->all->packs.lock);
        how->progress(how->arg, "backups", i, how->list->items.n, w->all->bytes);
        (void)pthread_mutex_unlock(&w->all->packs.lock);
    }
    if (os_signal_check(e) != 0)
        return -1;
    rc = read_backup(w, i, e);
    (void)pthread_mutex_lock(&w->all->packs.lock);
    w->all->bytes += w->total->bytes - before;
    (void)pthread_mutex_unlock(&w->all->packs.lock);
    return rc;
}

static void add(struct verify_backups *v, const struct verify_backups *mine)
{
    v->backups += mine->backups;
    v->whole += mine->whole;
    v->rebuilt += mine->rebuilt;
    v->files += mine->files;
    v->bytes += mine->bytes;
    v->resumed += mine->resumed;
}

static int read_backups(struct shared *all, struct verify_backups *v, struct err *e)
{
    void *workers[VERIFY_POOL_MAX];
    struct verify_pool pool = {
        .worker = workers, .objects = all->how->list->items.n, .work = work_on};
    unsigned jobs = all->how->jobs == 0 ? 1 : all->how->jobs;
    int rc = -1;

    while (pool.n < jobs && pool.n < VERIFY_POOL_MAX && (pool.n == 0 || pool.n < pool.objects)) {
        workers[pool.n] = work_new(all, pool.n == 0);
        if (workers[pool.n] == NULL)
            break;
        pool.n++;
    }
    if (pool.n == 0)
        (void)err_set(e, ERR_NOMEM, "no memory to read base backups");
    else
        rc = verify_pool_run(&pool, e);
    for (unsigned i = 0; i < pool.n; i++) {
        add(v, &((struct work *)workers[i])->mine);
        work_free(workers[i]);
    }
    return rc;
}

/* --- all --- */

static void tell_pack(void *arg, uint64_t done, uint64_t total, uint64_t bytes)
{
    const struct verify_backups_how *how = arg;

    if (how->progress != NULL)
        how->progress(how->arg, "packs", done, total, bytes);
}

static int give_verdicts(const struct shared *all, struct err *e)
{
    for (size_t i = 0; all->how->verdicts != NULL && i < all->how->list->items.n; i++)
        if (all->verdict[i].label[0] != '\0' &&
            verified_backups_push(all->how->verdicts, all->verdict[i], e) != 0)
            return -1;
    return 0;
}

static int read_all(struct shared *all, struct verify_backups *v, struct err *e)
{
    struct verify_backups_how how = *all->how;
    struct verify_packs_how packs = {.repo = how.repo,
                                     .set = &all->set,
                                     .scratch = how.scratch,
                                     .problems = how.problems,
                                     .jobs = how.jobs,
                                     .part = how.part,
                                     .log = how.log,
                                     .tell = tell_pack,
                                     .arg = &how};

    if (verify_packs_read(&all->packs, &packs, e) != 0 || read_backups(all, v, e) != 0 ||
        verify_packs_tell(&all->packs, how.list, how.problems, e) != 0)
        return -1;
    problems_sort(how.problems);
    record(all, v);
    v->packs_content += all->packs.content;
    v->packs_stored += all->packs.stored;
    v->pack_bytes += all->packs.bytes;
    v->resumed += all->packs.resumed;
    return give_verdicts(all, e);
}

int verify_backups(struct verify_backups *v, const struct verify_backups_how *how, struct err *e)
{
    struct shared *all = calloc(1, sizeof *all);
    int rc = -1;

    if (all == NULL ||
        (all->verdict = calloc(how->list->items.n + 1, sizeof *all->verdict)) == NULL) {
        free(all);
        return err_set(e, ERR_NOMEM, "no memory to read base backups");
    }
    all->how = how;
    if (verify_packs_init(&all->packs, e) == 0) {
        if (pack_set_load(&all->set, how->repo, how->scratch, e) == 0) {
            rc = read_all(all, v, e);
            pack_set_fini(&all->set);
        }
        verify_packs_fini(&all->packs);
    }
    free(all->verdict);
    free(all);
    return rc;
}

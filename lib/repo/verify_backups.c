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
#include "repo/verify_server.h"

enum { SHOWN_FILES = 3, SHOWN_PATH = 160, INDEX_MAX = MANIFEST_PACKS_MAX };

VEC_DECLARE(pack_indexes, size_t);

/* The end of the chain that puts a file together. */
struct crc_sink {
    struct sink sink;
    uint32_t crc;
    uint64_t size;
};

/* A backup on its way. */
struct work {
    const struct verify_backups_how *how;
    struct verify_backups *total;
    struct verify_packs packs;
    struct pack_set set;
    struct pages_get get;
    struct object_reader *second; /* opens packs while a manifest is being read */
    struct manifest_reader reader;
    bool content;
    /* the backup in hand */
    size_t number; /* counted from 1 */
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
    size_t at;

    (void)index; /* they come in order, from 1 */
    if (verify_packs_find(&w->packs, id, &at, e) != 0)
        return -1;
    return pack_indexes_push(&w->index, at, e);
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
    const uint8_t *id = NULL;
    struct err why = {0};

    if (run->pack != 0) {
        size_t index = w->index.v[run->pack - 1];

        id = w->packs.list.v[index].id;
        if (verify_packs_lost(&w->packs, index, run->page, run->count)) {
            verify_packs_used(&w->packs, index, w->number, w->label);
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
    return problems_tell(w->how->problems, &one, e);
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
    rc = object_content(w->how->scratch, &w->reader.sink, &why);
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
    const struct frame_tail *tail = &w->how->scratch->tail;
    struct cur items = cur_of(tail->public_part, tail->public_len);
    struct manifest_in_use use;
    int lost = 0;
    int rc;

    while ((rc = manifest_in_use_next(&items, &use, why)) == 0) {
        uint64_t pos = 0;
        uint64_t first;
        uint64_t count;
        size_t index;

        if (verify_packs_find(&w->packs, use.pack, &index, why) != 0)
            return -1;
        while (pack_range_next(&use.ranges, &pos, &first, &count)) {
            if (first + count <= PACK_PAGES_MAX &&
                !verify_packs_lost(&w->packs, index, (uint32_t)first, (uint32_t)count))
                continue;
            lost = 1;
            verify_packs_used(&w->packs, index, w->number, w->label);
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
    int rc = due ? object_check_stored(w->how->scratch, &why) : 0;

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
    w->number = i + 1;
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
static int judge(struct work *w, const struct backup_item *b, bool due, struct err *e)
{
    struct verified_backup *v;
    bool parts = w->how->part.parts > 1;

    if (w->how->verdicts == NULL)
        return 0;
    v = verified_backups_add(w->how->verdicts, e);
    if (v == NULL)
        return -1;
    (void)snprintf(v->label, sizeof v->label, "%s", b->label);
    v->damaged = w->spoiled || !b->restorable;
    v->part = parts && !(due && w->content);
    if (w->content)
        v->level = v->part ? VERIFIED_CONTENT : VERIFIED_RECORDS;
    else
        v->level = VERIFIED_STORED;
    return 0;
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
    if ((due && object_can_read(w->how->scratch) ? read_body(w, e) : read_outside(w, due, e)) != 0)
        return -1;
    if (due && !w->spoiled)
        verify_log_add(w->how->log, 'b', b->label, w->total->bytes - bytes);
    return 0;
}

static int read_backup(struct work *w, size_t i, struct err *e)
{
    const struct backup_item *b = &w->how->list->items.v[i];
    struct repo *repo = w->how->repo;
    struct object_reader *r = w->how->scratch;
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
    return rc == 0 ? judge(w, b, due, e) : -1;
}

/* --- the list of damaged entries --- */

static void record(struct work *w)
{
    const struct pack_bads *bads = &w->packs.bads;
    struct verify_backups *v = w->total;
    const char *why = verified_may_not(w->how->repo);
    struct err e = {0};

    v->bad_entries += w->packs.bad_entries;
    if (bads->n == 0)
        return;
    if (why == NULL && pack_damage_add(w->how->repo, bads, &e) == 0)
        v->recorded += bads->n;
    else
        (void)snprintf(v->unrecorded, sizeof v->unrecorded, "%s", why != NULL ? why : e.msg);
}

/* --- all --- */

static void tell_pack(void *arg, uint64_t done, uint64_t total, uint64_t bytes)
{
    const struct verify_backups_how *how = arg;

    if (how->progress != NULL)
        how->progress(how->arg, "packs", done, total, bytes);
}

static int read_all(struct work *w, struct err *e)
{
    struct repo *repo = w->how->repo;
    struct verify_packs_how packs = {.repo = repo,
                                     .set = &w->set,
                                     .scratch = w->how->scratch,
                                     .problems = w->how->problems,
                                     .part = w->how->part,
                                     .log = w->how->log,
                                     .tell = tell_pack};
    struct verify_backups_how how = *w->how;

    packs.arg = &how;
    if (verify_packs_read(&w->packs, &packs, e) != 0)
        return -1;
    for (size_t i = 0; i < how.list->items.n; i++) {
        if (how.progress != NULL)
            how.progress(how.arg, "backups", i, how.list->items.n, w->total->bytes);
        if (os_signal_check(e) != 0 || read_backup(w, i, e) != 0)
            return -1;
    }
    if (verify_packs_tell(&w->packs, how.problems, e) != 0)
        return -1;
    problems_sort(how.problems);
    record(w);
    w->total->packs_content += w->packs.content;
    w->total->packs_stored += w->packs.stored;
    w->total->pack_bytes += w->packs.bytes;
    w->total->resumed += w->packs.resumed;
    return 0;
}

int verify_backups(struct verify_backups *v, const struct verify_backups_how *how, struct err *e)
{
    struct work *w = calloc(1, sizeof *w);
    int rc = -1;

    if (w == NULL || (w->second = calloc(1, sizeof *w->second)) == NULL) {
        free(w);
        return err_set(e, ERR_NOMEM, "no memory to read base backups");
    }
    w->how = how;
    w->total = v;
    w->content = !how->repo->marker.sealed || how->repo->has_secret;
    verify_packs_init(&w->packs);
    pack_indexes_init(&w->index, INDEX_MAX);
    sink_init(&w->crc.sink, &crc_ops, PHASE_DELIVER);
    if (pack_set_load(&w->set, how->repo, how->scratch, e) == 0) {
        pages_get_init(&w->get, &w->set, w->second);
        rc = read_all(w, e);
        pages_get_fini(&w->get);
        pack_set_fini(&w->set);
    }
    pack_indexes_fini(&w->index);
    verify_packs_fini(&w->packs);
    object_close(w->second);
    free(w->second);
    free(w);
    return rc;
}

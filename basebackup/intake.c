#include "basebackup/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/text.h"
#include "os/host.h"
#include "repo/pack_remove.h"

/* Files that are looked into. */
enum { KEEP_NONE, KEEP_LABEL, KEEP_MAP, KEEP_CONTROL };

enum { KEPT_MAX = 32 * 1024 * 1024 /* tablespace_map with all the tablespaces there may be */ };

/* ---- what the repository holds already ---- */

struct newest {
    char labels[INTAKE_PRIORS][MANIFEST_LABEL_MAX]; /* newest first */
    struct intake_found *found;
};

/* They come in the order of their labels, which is that of timeline and LSN. */
static int note_manifest(void *arg, const char *label, const struct manifest_public *p,
                         const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    struct newest *n = arg;

    (void)part, (void)len, (void)e;
    if (p == NULL) {
        if (n->found->bad_manifests++ == 0)
            n->found->first_bad = *why;
        return 0;
    }
    memmove(n->labels[1], n->labels[0], sizeof n->labels - sizeof n->labels[0]);
    (void)snprintf(n->labels[0], sizeof n->labels[0], "%s", label);
    return 0;
}

/* Temporary files hold names and numbers of the cluster, so with sealing they stay off the
 * repository's disk. */
static int open_prior(struct intake *i, struct err *e)
{
    const struct repo *repo = i->how.repo;
    char here[4096];
    const char *dirs[] = {os_env("TMPDIR"), i->how.state_dir, NULL, "/var/tmp", "/tmp"};
    struct err first = {0};

    if (repo_seal(repo) == NULL &&
        (size_t)snprintf(here, sizeof here, "%s/%s/%" PRIu64, repo->store.root.path,
                         repo->where.cluster, repo->where.system_id) < sizeof here)
        dirs[2] = here;
    for (size_t k = 0; k < sizeof dirs / sizeof dirs[0]; k++) {
        struct err why = {0};

        if (dirs[k] == NULL)
            continue;
        if (prior_open(&i->prior, i->how.repo, &i->set, dirs[k], i->scratch, &why) == 0) {
            (void)snprintf(i->temp, sizeof i->temp, "%s", dirs[k]);
            if (i->how.offers)
                i->prior.server = &i->server;
            return i->how.offers ? pages_spool_open(&i->server, dirs[k], e) : 0;
        }
        if (why.code != ERR_IO && why.code != ERR_REFUSED) {
            *e = why;
            return -1;
        }
        if (first.code == ERR_NONE)
            first = why;
    }
    *e = first;
    return err_hint(e, "Set TMPDIR or state_dir to a directory that may be written to.");
}

/* The newest backup that can be read; one that cannot makes the backup larger, not impossible. */
static int add_newest(struct intake *i, struct err *e)
{
    struct newest n = {.found = &i->found};

    memset(n.labels, 0, sizeof n.labels);
    if (manifest_each(i->how.repo, note_manifest, &n, i->scratch, e) != 0)
        return -1;
    for (size_t k = 0; k < INTAKE_PRIORS && n.labels[k][0] != '\0'; k++) {
        struct err why = {0};
        int rc = prior_add_manifest(&i->prior, n.labels[k], &i->found.public, &why);

        if (rc == 0) {
            memcpy(i->found.label, n.labels[k], sizeof i->found.label);
            return 0;
        }
        if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED) {
            *e = why;
            return -1;
        }
        if (rc < 0 && i->found.bad_manifests++ == 0)
            i->found.first_bad = why;
    }
    return 0;
}

int intake_load(struct intake *i, struct err *e)
{
    i->loaded = true;
    if (pack_set_load(&i->set, i->how.repo, i->scratch, e) != 0)
        return -1;
    i->has_set = true;
    if (i->how.no_prior)
        return 0;
    if (pack_remove_exclude(&i->set, i->scratch, e) != 0 || open_prior(i, e) != 0 ||
        add_newest(i, e) != 0 || prior_add_orphans(&i->prior, e) != 0)
        return -1;
    prior_ready(&i->prior);
    return 0;
}

/* ---- files ---- */

static int take_label(struct intake *i, struct err *e)
{
    char want[TEXT_LSN_MAX];
    struct label *l = &i->backup_label;

    if (label_parse(buf_text(&i->kept), i->kept.len, l, e) != 0)
        return err_context(e, "backup_label");
    text_lsn(want, i->start);
    if (l->start != i->start || l->start_tli != i->tli)
        return err_set(e, ERR_DAMAGED,
                       "the server's backup_label does not begin at %s on timeline %" PRIu32
                       ", as the server said",
                       want, i->tli);
    i->has_label = true;
    return manifest_text(&i->manifest, MANIFEST_LABEL, i->kept.p, i->kept.len, e);
}

static int take_control(struct intake *i, struct err *e)
{
    struct control *c = &i->control;

    if (control_parse(i->kept.p, i->kept.len, c, e) != 0)
        return err_context(e, "global/pg_control");
    if (c->sysid != i->how.system_id || (c->is_known && c->segsize != i->how.segsize))
        return err_set(e, ERR_DAMAGED, "the server's pg_control is of another cluster");
    i->has_control = true;
    return 0;
}

static int on_begin(void *arg, const struct tar_member *m, struct err *e)
{
    struct intake *i = arg;

    (void)snprintf(i->path, sizeof i->path, "%s%s", i->prefix, m->path);
    if (m->type == TAR_DIR)
        return manifest_dir(&i->manifest, m->mode, i->path, e);
    if (m->type == TAR_LINK)
        return manifest_link(&i->manifest, i->path, m->target, e);
    i->keeping = KEEP_NONE;
    i->compose.open = compose_name(&i->compose, i->path, i->full, sizeof i->full);
    if (strcmp(i->path, "backup_label") == 0)
        i->keeping = KEEP_LABEL;
    else if (strcmp(i->path, "tablespace_map") == 0)
        i->keeping = KEEP_MAP;
    else if (strcmp(i->path, "global/pg_control") == 0)
        i->keeping = KEEP_CONTROL;
    else if (strcmp(i->path, "postgresql.conf") == 0)
        i->has_conf = true;
    buf_clear(&i->kept);
    if (i->compose.waits)
        return compose_wait(&i->compose, i->full, m->mode, m->mtime, m->size, e);
    if (pages_put_file(&i->put, i->full, 0, m->mode, m->mtime, e) != 0)
        return -1;
    return i->compose.open ? compose_file(&i->compose, e) : 0;
}

/* The label of an increment is made that of a full backup. */
static bool is_rewritten(const struct intake *i)
{
    return i->keeping == KEEP_LABEL && i->compose.on;
}

static int on_data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct intake *i = arg;

    if (i->keeping != KEEP_NONE && buf_add(&i->kept, bytes, len, e) != 0)
        return err_context(e, "\"%s\"", i->path);
    if (i->compose.open)
        return compose_data(&i->compose, bytes, len, e);
    return is_rewritten(i) ? 0 : pages_put_write(&i->put, bytes, len, e);
}

/* An increment's label, which must be of the one that was asked for. */
static int end_label(struct intake *i, uint64_t *size, uint32_t *crc, struct err *e)
{
    const struct manifest_public *prior = &i->found.public;
    struct label *l = &i->backup_label;

    *size = i->kept.len;
    *crc = crc32c_extend(0, i->kept.p, i->kept.len);
    if (label_parse(buf_text(&i->kept), i->kept.len, l, e) != 0)
        return err_context(e, "backup_label");
    if (l->incremental_lsn != prior->start_lsn || l->incremental_tli != prior->start_timeline)
        return err_set(e, ERR_DAMAGED, "the server's increment is not one to the backup %s",
                       i->found.label);
    i->kept.len = label_make_full((char *)i->kept.p, i->kept.len);
    return pages_put_write(&i->put, i->kept.p, i->kept.len, e);
}

/* Compares the file with the server's manifest as it was received, and stores it as it is. */
static int end_file(struct intake *i, struct err *e)
{
    bool composed = i->compose.open || is_rewritten(i);
    uint64_t received = 0;
    uint32_t received_crc = 0;
    uint64_t size;
    uint32_t crc;

    if (i->compose.open && compose_end(&i->compose, &received, &received_crc, e) != 0)
        return -1;
    if (i->compose.waits)
        return check_file(i->check, i->path, received, received_crc, e);
    if ((is_rewritten(i) && end_label(i, &received, &received_crc, e) != 0) ||
        pages_put_end(&i->put, &size, &crc, e) != 0)
        return -1;
    i->bytes += size;
    i->files++;
    if (!composed) {
        received = size;
        received_crc = crc;
    }
    if (check_file(i->check, i->path, received, received_crc, e) != 0)
        return -1;
    return compose_whole(&i->compose, i->full, size, i->tar.member.mtime, crc, e);
}

static int on_end(void *arg, struct err *e)
{
    struct intake *i = arg;

    if (i->tar.member.type != TAR_FILE)
        return 0;
    if (end_file(i, e) != 0)
        return -1;
    switch (i->keeping) {
    case KEEP_LABEL:
        return take_label(i, e);
    case KEEP_MAP:
        return manifest_text(&i->manifest, MANIFEST_MAP, i->kept.p, i->kept.len, e);
    case KEEP_CONTROL:
        return take_control(i, e);
    default:
        return 0;
    }
}

static int on_archive_end(void *arg, struct err *e)
{
    struct intake *i = arg;

    (void)e;
    i->in_tar = false;
    return 0;
}

static const struct tar_events tar_events = {
    .begin = on_begin, .data = on_data, .end = on_end, .archive_end = on_archive_end};

/* ---- the stream ---- */

static int begin_backup(struct intake *i, struct err *e)
{
    uint8_t random[3];

    secret_random(random, sizeof random);
    manifest_label(i->label, i->tli, i->start, random);
    if (manifest_begin(&i->manifest, i->how.repo, i->label, i->tli, i->start, e) != 0)
        return -1;
    for (size_t k = 0; k < i->n_spaces; k++)
        if (i->spaces[k].oid != 0 &&
            manifest_tablespace(&i->manifest, i->spaces[k].oid, i->spaces[k].location, e) != 0)
            return -1;
    return 0;
}

static void begin_archive(struct intake *i, size_t number)
{
    const struct basebackup_space *s = &i->spaces[number];
    unsigned flags = (s->oid == 0 ? TAR_LINKS : 0U) | (i->how.has_end ? 0U : TAR_NO_END);

    i->prefix[0] = '\0';
    if (s->oid != 0)
        (void)snprintf(i->prefix, sizeof i->prefix, "pg_tblspc/%" PRIu32 "/", s->oid);
    tar_init(&i->tar, &tar_events, i, flags, PHASE_DELIVER);
    i->in_tar = true;
}

static int end_manifest(struct intake *i, struct err *e)
{
    if (check_manifest_end(i->check, e) != 0 || compose_finish(&i->compose, i->check, e) != 0)
        return -1;
    i->files += i->compose.late_files;
    i->bytes += i->compose.late_bytes;
    return 0;
}

/* One block; *over after the last. */
static int take_block(struct intake *i, const struct ring_block *b, bool *over, struct err *e)
{
    switch (b->kind) {
    case RING_START:
        return begin_backup(i, e);
    case RING_ARCHIVE:
        begin_archive(i, b->number);
        return 0;
    case RING_DATA:
        return sink_write(&i->tar.sink, b->bytes, b->len, e);
    case RING_ARCHIVE_END:
        return sink_finish(&i->tar.sink, e);
    case RING_MANIFEST:
        return 0;
    case RING_MANIFEST_DATA:
        if (!i->compose.on &&
            manifest_text(&i->manifest, MANIFEST_SERVER, b->bytes, b->len, e) != 0)
            return -1;
        return check_manifest(i->check, b->bytes, b->len, e);
    case RING_MANIFEST_END:
        return end_manifest(i, e);
    case RING_END:
        *over = true;
        break;
    }
    return 0;
}

static int take_all(struct intake *i, struct err *e)
{
    bool over = false;
    int rc = 0;

    while (rc == 0 && !over) {
        struct ring_block *b = ring_next(&i->ring);

        if (b == NULL) { /* the receiver has the reason, unless it failed while it helped */
            *e = i->help_failed;
            return -1;
        }
        rc = take_block(i, b, &over, e);
        ring_done(&i->ring);
    }
    if (rc == 0 && !i->has_label)
        rc = err_set(e, ERR_DAMAGED, "the server sent no backup_label");
    if (rc == 0 && !i->has_control)
        rc = err_set(e, ERR_DAMAGED, "the server sent no pg_control");
    return rc;
}

int intake_help(struct intake *i)
{
    struct ring_block *b = ring_help(&i->ring);
    bool over;
    int rc;

    if (b == NULL)
        return 0;
    rc = take_block(i, b, &over, &i->help_failed);
    ring_done(&i->ring);
    if (rc == 0)
        return 1;
    ring_give_up(&i->ring);
    return -1;
}

int intake_run(void *arg, struct err *e)
{
    struct intake *i = arg;
    int rc = i->loaded ? 0 : intake_load(i, e);

    if (rc == 0) {
        pages_put_init(&i->put, &i->how.packs, &i->manifest, i->how.no_prior ? NULL : &i->prior);
        i->has_put = true;
        rc = take_all(i, e);
    }
    i->found.orphans = i->prior.orphans;
    i->found.packs_lost = i->prior.packs_lost;
    i->found.first_loss = i->prior.first_loss;
    if (rc != 0)
        ring_give_up(&i->ring);
    return rc;
}

int intake_init(struct intake *i, const struct intake_how *how, struct err *e)
{
    memset(i, 0, sizeof *i);
    i->how = *how;
    i->server.fd = -1;
    buf_init(&i->kept, KEPT_MAX);
    i->scratch = calloc(1, sizeof *i->scratch);
    i->check = check_new(how->system_id, e);
    if (i->scratch == NULL)
        (void)err_set(e, ERR_NOMEM, "no memory to read the repository with");
    if (i->scratch != NULL && i->check != NULL && ring_init(&i->ring, e) == 0)
        return 0;
    intake_fini(i);
    return -1;
}

void intake_fini(struct intake *i)
{
    if (i->has_put)
        pages_put_fini(&i->put);
    i->has_put = false;
    compose_fini(&i->compose);
    pages_spool_close(&i->server);
    manifest_fini(&i->manifest);
    prior_close(&i->prior);
    if (i->has_set)
        pack_set_fini(&i->set);
    i->has_set = false;
    for (size_t k = 0; k < i->n_spaces; k++)
        free(i->spaces[k].location);
    free(i->spaces);
    i->spaces = NULL;
    i->n_spaces = 0;
    check_free(i->check);
    i->check = NULL;
    free(i->scratch);
    i->scratch = NULL;
    buf_fini(&i->kept);
    ring_fini(&i->ring);
}

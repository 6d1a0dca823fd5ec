#include "basebackup/backup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "basebackup/archived.h"
#include "basebackup/beat.h"
#include "basebackup/extras.h"
#include "basebackup/flush.h"
#include "basebackup/incremental.h"
#include "basebackup/intake.h"
#include "basebackup/progress.h"
#include "basebackup/publish.h"
#include "basebackup/source.h"
#include "basebackup/tail.h"
#include "os/file.h"
#include "os/signal.h"
#include "os/time.h"

enum {
    TAR_LINK_MAX = 99, /* bytes of a link's target that an archive can hold */
    KEEP_BODY = 64 * 1024 * 1024,
    KEEP_PAGES = 8192
};

struct backup {
    struct settings *settings;
    const struct backup_options *o;
    const struct msg *msg;
    struct backup_result *result;
    struct source source;
    struct repo repo;
    bool has_repo;
    struct beat beat;
    struct flush flush;
    struct intake intake;
    struct thread storing;
    struct tail tail;
    bool streams; /* the WAL goes into the backup */
    bool use_map; /* TABLESPACE_MAP: a link is too long for an archive */
    bool too_long;
    bool tries;    /* an increment is asked for, */
    bool began;    /* the server began to send, */
    bool dead;     /* the refusal is not the server's: others took this backup for dead */
    bool declined; /* and here it is plain that everything must be sent */
    struct progress progress;
    int64_t begun; /* monotonic */
    int64_t checkpoint_since;
    struct basebackup_end end;
};

/* ---- what the server sends, in the receiving thread ---- */

static int copy_spaces(struct backup *b, const struct basebackup_start *s, struct err *e)
{
    struct intake *i = &b->intake;

    i->spaces = calloc(s->n, sizeof *i->spaces);
    if (i->spaces == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t k = 0; k < s->n; k++) {
        i->spaces[k] = s->spaces[k];
        i->spaces[k].location = strdup(s->spaces[k].location);
        i->n_spaces = k + 1;
        if (i->spaces[k].location == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        b->progress.want += s->spaces[k].size;
        if (strlen(s->spaces[k].location) > TAR_LINK_MAX && !b->use_map)
            b->too_long = true;
    }
    return 0;
}

static int on_start(void *arg, const struct basebackup_start *s, struct err *e)
{
    struct backup *b = arg;

    b->began = true;
    b->intake.start = s->lsn;
    b->intake.tli = s->tli;
    if (copy_spaces(b, s, e) != 0)
        return -1;
    if (b->too_long)
        return err_set(e, ERR_REFUSED, "a tablespace's path is too long for a link in an archive");
    if (b->streams && tail_start(&b->tail, s->tli, s->lsn, e) != 0)
        return source_failed(e);
    return ring_mark(&b->intake.ring, RING_START, 0, e);
}

static int on_archive(void *arg, const struct basebackup_space *s, struct err *e)
{
    struct backup *b = arg;

    for (size_t k = 0; k < b->intake.n_spaces; k++)
        if (b->intake.spaces[k].oid == s->oid)
            return ring_mark(&b->intake.ring, RING_ARCHIVE, k, e);
    return err_set(e, ERR_INTERNAL, "an archive of no tablespace");
}

static int on_data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    return ring_data(&((struct backup *)arg)->intake.ring, RING_DATA, bytes, len, e);
}

static int on_archive_end(void *arg, struct err *e)
{
    return ring_mark(&((struct backup *)arg)->intake.ring, RING_ARCHIVE_END, 0, e);
}

static int on_manifest(void *arg, struct err *e)
{
    return ring_mark(&((struct backup *)arg)->intake.ring, RING_MANIFEST, 0, e);
}

static int on_manifest_data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    return ring_data(&((struct backup *)arg)->intake.ring, RING_MANIFEST_DATA, bytes, len, e);
}

static int on_manifest_end(void *arg, struct err *e)
{
    return ring_mark(&((struct backup *)arg)->intake.ring, RING_MANIFEST_END, 0, e);
}

/* Also looks after the other threads. */
static int on_progress(void *arg, uint64_t bytes, struct err *e)
{
    struct backup *b = arg;

    if (bytes == 0)
        progress_checkpoint(&b->progress, os_mono_us() - b->checkpoint_since);
    else
        progress_bytes(&b->progress, bytes);
    b->result->received = bytes;
    if (b->streams && tail_failed(&b->tail))
        return -1; /* its error is taken when it is joined */
    if (ring_is_given_up(&b->intake.ring))
        return -1; /* likewise */
    b->dead = beat_check(&b->beat, e) != 0;
    return b->dead ? -1 : 0;
}

static int on_idle(void *arg, struct err *e)
{
    (void)e; /* a failure is taken when the thread is joined */
    return intake_help(&((struct backup *)arg)->intake);
}

static void on_warning(void *arg, const char *text)
{
    struct backup *b = arg;

    progress_clear(&b->progress);
    msg_warn(b->msg, "the server says: %s", text);
}

static const struct basebackup_events events = {
    .start = on_start,
    .archive_begin = on_archive,
    .archive_data = on_data,
    .archive_end = on_archive_end,
    .manifest_begin = on_manifest,
    .manifest_data = on_manifest_data,
    .manifest_end = on_manifest_end,
    .progress = on_progress,
    .idle = on_idle,
    .warning = on_warning,
};

/* ---- one attempt ---- */

static struct pack_how pack_how(struct backup *b)
{
    return (struct pack_how){
        .repo = &b->repo,
        .compress = b->settings->compression == SETTINGS_LZ4,
        .limits = PACK_LIMITS,
        .done = flush_pack,
        .done_arg = &b->flush,
    };
}

static int open_intake(struct backup *b, struct err *e)
{
    struct intake_how how = {
        .repo = &b->repo,
        .packs = pack_how(b),
        .state_dir = b->settings->state_dir,
        .system_id = b->source.who.system_id,
        .segsize = b->source.segsize,
        .has_end = basebackup_has_end(b->source.c),
        .no_prior = b->o->whole,
        .offers = b->tries,
    };

    return intake_init(&b->intake, &how, e);
}

static int open_tail(struct backup *b, struct err *e)
{
    struct pack_how how = pack_how(b);
    struct err no_slot = {0};

    how.limits = (struct pack_limits){KEEP_BODY, KEEP_PAGES};
    memset(&b->tail, 0, sizeof b->tail);
    if (tail_open(&b->tail, &b->source.conn, b->source.who.system_id, b->source.segsize, &how,
                  &no_slot, e) != 0)
        return source_failed(e);
    if (b->tail.slot[0] == '\0')
        msg_note(b->msg, "the backup's WAL is streamed without a slot: %s", no_slot.msg);
    return 0;
}

/* Everything must be sent, for this reason. */
static void decline(struct backup *b, const char *why)
{
    b->declined = true;
    (void)snprintf(b->result->why, sizeof b->result->why, "%s", why);
}

/* The server judges what it has of WAL summaries only when the backup begins. */
static int judge_refusal(struct backup *b, struct err *e)
{
    static const char not_in_state[] = "55000";

    if (b->dead)
        return -1;
    if (b->intake.compose.on && !b->began && e->code == ERR_REFUSED &&
        strcmp(pgconn_sqlstate(b->source.c), not_in_state) == 0)
        decline(b, e->msg);
    return source_failed(e);
}

/* Receives all, while the other threads store it. */
static int receive(struct backup *b, struct err *e)
{
    const struct basebackup_opts o = {
        .label = b->o->tag == NULL ? "walden" : b->o->tag,
        .fast = b->o->fast,
        .sizes = b->progress.on,
        .tablespace_map = b->use_map,
        .incremental = b->intake.compose.on,
        .max_rate = (uint32_t)(b->settings->max_rate / 1024),
    };
    int rc;

    if (thread_start(&b->storing, intake_run, &b->intake, e) != 0)
        return -1;
    b->checkpoint_since = os_mono_us();
    rc = basebackup_run(b->source.c, &o, &events, b, &b->end, e);
    if (rc == 0)
        rc = ring_mark(&b->intake.ring, RING_END, 0, e);
    else if (!b->too_long)
        (void)judge_refusal(b, e);
    if (rc != 0)
        ring_give_up(&b->intake.ring);
    /* The cause is where somebody failed first: who only noticed has no error. */
    if (thread_join(&b->storing, e) != 0)
        rc = -1;
    if (rc != 0 && b->intake.compose.unfit)
        decline(b, e->msg);
    if (rc != 0 && b->streams && tail_failed(&b->tail) && tail_end(&b->tail, b->end.lsn, e) != 0)
        (void)source_failed(e);
    progress_clear(&b->progress);
    return rc;
}

/* Stores what is complete, so that the next backup need not do it again. */
static void save_packs(struct backup *b)
{
    struct err quiet = {0};

    os_signal_forget(); /* the first signal ended the backup; a second one ends this */
    if (b->intake.has_put && pages_put_finish(&b->intake.put, &quiet) != 0)
        err_clear(&quiet); /* the backup has failed already, for a reason that is told */
}

/* Who insists on an increment gets no whole stream. */
static int insist(const struct backup *b, struct err *e)
{
    if (b->o->incremental != BACKUP_INCREMENTAL_ALWAYS || b->result->why[0] == '\0')
        return 0;
    (void)err_set(e, ERR_IO, "the server cannot send only what changed: %s", b->result->why);
    return err_hint(e, "With --incremental=auto it sends everything then; the backup is the same.");
}

static int offer(struct backup *b, struct err *e)
{
    int rc = incremental_offer(&b->source, b->o, &b->intake, b->result->why, e);

    return rc < 0 ? source_failed(e) : rc > 0 ? 0 : insist(b, e);
}

static int attempt(struct backup *b, struct err *e)
{
    b->progress.want = 0;
    b->began = false;
    if (open_intake(b, e) != 0 || (b->tries && offer(b, e) != 0))
        return -1;
    if (b->streams && open_tail(b, e) != 0)
        return -1;
    return receive(b, e);
}

static void end_attempt(struct backup *b)
{
    tail_close(&b->tail);
    intake_fini(&b->intake);
}

/* What was stored before it was plain is taken over. */
static int attempt_again(struct backup *b, struct err *e)
{
    if (b->declined && insist(b, e) != 0) {
        b->declined = false;
        return -1;
    }
    err_clear(e);
    if (b->declined && b->intake.has_put &&
        (pages_put_finish(&b->intake.put, e) != 0 || flush_drain(&b->flush, e) != 0))
        return -1;
    b->use_map = b->use_map || b->too_long;
    b->tries = b->tries && !b->declined;
    b->too_long = false;
    b->declined = false;
    end_attempt(b);
    return source_again(&b->source, e) != 0 ? -1 : attempt(b, e);
}

/* ---- the rest ---- */

static int check_range(const struct backup *b, struct err *e)
{
    lsn_t start;
    lsn_t end;

    check_range_of(b->intake.check, &start, &end);
    if (start <= b->intake.start && end == b->end.lsn)
        return 0;
    return err_set(e, ERR_DAMAGED, "the server's manifest is of another range of WAL");
}

/* How much WAL the backup needs.  A server told to stop at the end of the backup judges that only
 * when it sees the next record.  A primary writes one, which ends the segment, and sends it at
 * once; a standby cannot, so its last record is noted instead (tail_last). */
static lsn_t wal_end(const struct backup *b)
{
    lsn_t size = b->source.segsize;

    return b->intake.backup_label.from_standby ? b->end.lsn : (b->end.lsn + size - 1) / size * size;
}

static int take_wal(struct backup *b, struct err *e)
{
    if (tail_end(&b->tail, wal_end(b), e) != 0)
        return source_failed(e);
    if (keep_list(&b->tail.keep, &b->intake.manifest, b->source.dir_mode == 0750 ? 0640 : 0600,
                  os_real_us() / USEC_PER_SEC, e) != 0)
        return -1;
    b->result->wal_bytes = b->tail.keep.packs.stored_bytes;
    return 0;
}

static int take_extras(struct backup *b, struct extras *x, struct err *e)
{
    if (x->count_tables != NULL)
        progress_say(&b->progress, "counting rows");
    if (extras_count(x, &b->source.conn, e) != 0 || extras_config(x, &b->source.conn, e) != 0)
        return -1;
    progress_say(&b->progress, "making it durable");
    /* The disk works while the server is asked for names. */
    return pages_put_finish(&b->intake.put, e) != 0 ? -1 : extras_map(x, &b->source.conn, e);
}

static int take_rest(struct backup *b, struct err *e)
{
    struct extras x = {.msg = b->msg,
                       .system_id = b->source.who.system_id,
                       .manifest = &b->intake.manifest,
                       .put = &b->intake.put,
                       .conf_inside = b->intake.has_conf,
                       .names = !b->o->no_relation_map,
                       .count_tables = b->settings->count_tables};
    int rc = b->streams ? take_wal(b, e) : 0;

    if (rc == 0)
        rc = take_extras(b, &x, e);
    extras_close(&x);
    b->result->relations = x.relations;
    b->result->counted = x.counted;
    b->result->not_counted = x.not_counted;
    b->result->databases = x.databases;
    b->result->config_files = x.config_files;
    b->result->config_missing = x.config_missing;
    return rc == 0 ? flush_drain(&b->flush, e) : -1;
}

static int on_wait(void *arg, const char *segment, int64_t waited_us, struct err *e)
{
    enum { PATIENCE_US = 10 * 1000 * 1000 };
    struct backup *b = arg;

    progress_say(&b->progress, "waiting for WAL segment %s to be archived", segment);
    if (b->checkpoint_since == 0 || waited_us < PATIENCE_US)
        return beat_check(&b->beat, e);
    b->checkpoint_since = 0; /* said once */
    progress_clear(&b->progress);
    if (b->intake.backup_label.from_standby)
        msg_note(b->msg,
                 "waiting for WAL segment %s: a standby cannot end it; on the primary, run "
                 "\"select pg_switch_wal();\" if nothing is written there",
                 segment);
    else
        msg_note(b->msg,
                 "waiting for WAL segment %s to be archived; if the archiver fails, the "
                 "server's log says why",
                 segment);
    return beat_check(&b->beat, e);
}

static int wait_archived(struct backup *b, struct err *e)
{
    const struct archived_range range = {b->intake.tli, b->intake.start, b->end.tli, b->end.lsn};
    int64_t deadline = os_mono_us() + (int64_t)b->o->wal_timeout;
    int rc = archived_history(&b->repo, b->source.c, b->end.tli,
                              b->settings->compression == SETTINGS_LZ4, e);

    if (rc < 0)
        return source_failed(e);
    if (rc > 0)
        msg_note(b->msg, "the history of timeline %" PRIu32 " was not in the archive; it is now",
                 b->end.tli);
    rc = archived_wait(&b->repo, &range, deadline, on_wait, b, b->intake.scratch, e);
    progress_clear(&b->progress);
    if (rc == 0 || e->code != ERR_TIMEOUT)
        return rc;
    e->code = ERR_IO; /* the job failed; nothing is unknown about it */
    return err_hint(e, b->intake.backup_label.from_standby
                           ? "Run \"select pg_switch_wal();\" on the primary, or use --wal=stream; "
                             "what was stored is used by the next backup."
                           : "Does archive_command run \"walden-archive\" with this repository?  "
                             "Or use --wal=stream.  What was stored is used by the next backup.");
}

static void fill_public(const struct backup *b, struct manifest_public *p)
{
    const struct intake *i = &b->intake;

    p->start_timeline = i->tli;
    p->start_lsn = i->start;
    p->checkpoint_lsn = i->backup_label.checkpoint;
    p->stop_timeline = b->end.tli;
    p->stop_lsn = b->end.lsn;
    p->bytes = i->bytes;
    p->stored = i->put.packs.stored_bytes + b->result->wal_bytes;
    p->server_version = (uint32_t)pgconn_version(b->source.c);
    p->from_standby = i->backup_label.from_standby;
    p->data_checksums = i->control.is_known && i->control.checksums != 0;
    p->wal_inside = b->streams;
    p->last_record = b->streams && p->from_standby ? tail_last(&b->tail) : 0;
    if (b->o->tag != NULL)
        memcpy(p->tag, b->o->tag, strlen(b->o->tag) < sizeof p->tag ? strlen(b->o->tag) : 0);
}

static void fill_result(struct backup *b)
{
    struct backup_result *r = b->result;
    const struct intake *i = &b->intake;

    memcpy(r->label, i->label, sizeof r->label);
    memcpy(r->prior, i->found.label, sizeof r->prior);
    memcpy(r->head, i->manifest.digest, sizeof r->head);
    r->system_id = b->source.who.system_id;
    r->wal_archived = !b->streams;
    r->pages = i->put.totals.pages;
    r->pages_same = i->put.totals.same;
    r->pages_zero = i->put.totals.zeros;
    r->incremental = i->compose.on;
    r->orphans = i->found.orphans;
    r->took_us = os_mono_us() - b->begun;
}

static void tell_found(const struct backup *b)
{
    const struct intake_found *f = &b->intake.found;

    if (f->bad_manifests > 0) {
        msg_warn_err(b->msg, &f->first_bad);
        msg_warn(b->msg, "%u backup manifest%s in the repository cannot be read", f->bad_manifests,
                 f->bad_manifests == 1 ? "" : "s");
    }
    if (f->packs_lost > 0) {
        msg_warn_err(b->msg, &f->first_loss);
        msg_warn(b->msg,
                 "%u pack%s of earlier backups cannot be leaned on; their pages are stored "
                 "again",
                 f->packs_lost, f->packs_lost == 1 ? "" : "s");
    }
}

static int finish(struct backup *b, struct err *e)
{
    struct manifest_public *p = &b->result->public;
    const struct publish_how how = {.label = b->intake.label,
                                    .state_dir = b->settings->state_dir,
                                    .beat = &b->beat,
                                    .msg = b->msg,
                                    .scratch = b->intake.scratch};

    p->stop_time = os_real_us();
    if (check_range(b, e) != 0 || take_rest(b, e) != 0 || (!b->streams && wait_archived(b, e) != 0))
        return -1;
    tell_found(b);
    fill_public(b, p);
    progress_say(&b->progress, "publishing");
    if (publish_manifest(&b->repo, &b->intake.manifest, p, &how, e) != 0)
        return -1;
    fill_result(b);
    return 0;
}

/* ---- from the beginning ---- */

static int choose_wal(struct backup *b, struct err *e)
{
    int archived;

    b->streams = b->o->wal == BACKUP_WAL_STREAM;
    if (b->o->wal != BACKUP_WAL_AUTO)
        return 0;
    archived = source_is_archived(&b->source, &b->repo, e);
    b->streams = archived == 0;
    return archived < 0 ? -1 : 0;
}

/* Half-written files of the dead; who is alive keeps his. */
static int sweep(struct backup *b, struct err *e)
{
    static const enum object_kind kinds[] = {KIND_PACK, KIND_MANIFEST, KIND_INTENT};

    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        if (store_sweep(&b->repo.writer, &b->repo.where, kinds[k], e) != 0)
            return -1;
    return 0;
}

static int work(struct backup *b, struct err *e)
{
    int rc;

    if (source_open(&b->source, b->settings, b->o, e) != 0 ||
        source_open_repo(&b->source, b->settings, &b->repo, e) != 0)
        return -1;
    b->has_repo = true;
    if (archived_same_branch(&b->repo, b->source.c, b->source.who.tli, e) != 0 ||
        choose_wal(b, e) != 0 || sweep(b, e) != 0 || beat_start(&b->beat, &b->repo, e) != 0 ||
        flush_start(&b->flush, &b->repo, e) != 0)
        return -1;
    b->result->public.start_time = os_real_us();
    b->tries = incremental_is_wanted(&b->source, b->o, b->result->why);
    rc = insist(b, e);
    if (rc == 0)
        rc = attempt(b, e);
    while (rc != 0 && (b->too_long || b->declined))
        rc = attempt_again(b, e);
    if (rc == 0)
        rc = finish(b, e);
    if (rc != 0)
        save_packs(b);
    return rc;
}

int backup_run(struct settings *s, const struct backup_options *o, const struct msg *msg,
               struct backup_result *result, struct err *e)
{
    struct backup *b = calloc(1, sizeof *b);
    int rc;

    if (b == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a backup");
    memset(result, 0, sizeof *result);
    b->settings = s;
    b->o = o;
    b->msg = msg;
    b->result = result;
    b->begun = os_mono_us();
    progress_init(&b->progress, o->progress, o->fast);
    rc = work(b, e);
    progress_clear(&b->progress);
    flush_stop(&b->flush);
    end_attempt(b);
    beat_stop(&b->beat);
    if (b->has_repo)
        repo_close(&b->repo);
    source_close(&b->source);
    free(b);
    return rc;
}

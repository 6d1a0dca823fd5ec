#include "repo/wal_put.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "pg/history.h"
#include "pg/label.h"
#include "repo/index.h"
#include "repo/recipients.h"
#include "repo/wal.h"

/* One put on its way. */
struct job {
    struct wal_put *w;
    struct repo *r;
    const char *path;
    struct walname name;
    struct store_name object;
    uint64_t size;
    uint64_t kept;  /* what is behind is taken for zeros: walwalk_kept */
    uint64_t sound; /* what is behind is nobody's WAL: walwalk_sound */
    int fd;
    const char *text; /* the content, where there is no file */
};

/* Bytes of the file at `at`, without what does not count. */
static void cut_tail(uint64_t kept, uint8_t *bytes, size_t len, uint64_t at)
{
    uint64_t from = kept > at ? kept - at : 0;

    if (from < len)
        memset(bytes + from, 0, len - (size_t)from);
}

static int read_at(const struct job *j, void *out, size_t len, uint64_t at, struct err *e)
{
    if (j->text != NULL)
        memcpy(out, j->text + at, len);
    else if (os_pread_exact(j->fd, out, len, at, j->path, e) != 0)
        return -1;
    cut_tail(j->kept, out, len, at);
    return 0;
}

static bool holds_wal(const struct job *j)
{
    return j->name.kind == WALNAME_SEGMENT || j->name.kind == WALNAME_PARTIAL;
}

/*
 * Is this a segment that a server is still writing, or will write?  In its own directory the server
 * notes beside them which are finished; elsewhere nobody knows.
 */
static bool is_unfinished(const struct job *j)
{
    static const char *const marks[] = {"", ".ready", ".done"};
    const char *slash = strrchr(j->path, '/');
    int dir = slash == NULL ? 0 : (int)(slash - j->path) + 1;
    struct err none = {0};
    struct stat st;
    char path[4096];

    if (j->name.kind != WALNAME_SEGMENT)
        return false;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        int n = snprintf(path, sizeof path, "%.*sarchive_status/%s%s", dir, j->path,
                         i == 0 ? "." : j->object.name, marks[i]);

        if ((size_t)n >= sizeof path)
            return false;
        /* The directory must be there, and no mark; what cannot be looked at proves nothing. */
        if (os_stat(path, &st, &none) != (i == 0 ? 0 : (int)OS_ABSENT))
            return false;
    }
    return true;
}

static int not_what_it_says(const struct job *j, struct err *e)
{
    if (is_unfinished(j))
        (void)err_hint(e, "Nothing was stored.  The server has not finished this segment: it calls "
                          "walden-archive itself when it is full; \"select pg_switch_wal()\" ends "
                          "the current one.");
    (void)err_context(e, "refused to archive \"%s\"", j->path);
    return err_hint(e, "Nothing was stored.  If PostgreSQL's own file is wrong, take a new base "
                       "backup and look at the server's disk.");
}

static int check_size(const struct job *j, struct err *e)
{
    uint32_t segment_size = j->r->lineage.segment_size;

    if (holds_wal(j)) {
        if (j->size == segment_size)
            return 0;
        (void)err_set(e, ERR_REFUSED, "it has %llu bytes, but segments of this cluster have %u",
                      (unsigned long long)j->size, (unsigned)segment_size);
        if (walname_is_segsize(j->size))
            (void)err_hint(e,
                           "Nothing was stored.  If pg_resetwal changed the segment size, the WAL "
                           "does not go on from what is in the archive: give the server a cluster "
                           "of its own (\"walden init --cluster NAME\") and take a base backup.");
    } else if (j->size > 0 && j->size <= WAL_PUT_TEXT_MAX) {
        return 0;
    } else {
        (void)err_set(e, ERR_REFUSED, "%llu bytes are no size for such a file",
                      (unsigned long long)j->size);
    }
    return not_what_it_says(j, e);
}

static int open_source(struct job *j, struct err *e)
{
    /* A pipe of that name must not hold us up. */
    int rc = os_open(j->path, O_RDONLY | O_NONBLOCK, 0, &j->fd, e);

    if (rc > 0) {
        (void)err_set(e, ERR_USAGE, "file \"%s\" does not exist", j->path);
        return err_hint(e, "archive_command must pass %%p: archive_command = 'walden-archive %%p'");
    }
    if (rc != 0 || os_size(j->fd, &j->size, j->path, e) != 0)
        return -1;
    os_hint_sequential(j->fd);
    return check_size(j, e);
}

static void fill_head(const struct job *j, struct frame_head *head)
{
    uint64_t segno = 0;

    memset(head, 0, sizeof *head);
    head->kind = j->object.kind;
    (void)snprintf(head->name, sizeof head->name, "%s", j->object.name);
    repo_fill_head(j->r, head);
    head->timeline = j->name.tli;
    head->segment_size = j->r->lineage.segment_size;
    if (holds_wal(j)) {
        (void)walname_segno(&j->name, head->segment_size, &segno); /* walwalk_init checked it */
        head->lsn = walname_start(segno, head->segment_size);
    }
}

/* --- the content of each kind --- */

static int pass_segment(struct job *j, struct object_parts *parts, struct wal_put_report *report,
                        struct err *e)
{
    struct wal_put *w = j->w;
    struct wal_summary summary;
    uint64_t left = j->size;

    while (left > 0) {
        size_t take = left < WAL_PUT_IO ? (size_t)left : (size_t)WAL_PUT_IO;

        if (os_read_exact(j->fd, w->io, take, j->path, e) != 0)
            return -1;
        if (walwalk_feed(&w->walk, w->io, take, e) != 0)
            return not_what_it_says(j, e);
        cut_tail(walwalk_kept(&w->walk), w->io, take, j->size - left);
        if (object_writer_write(&w->writer, w->io, take, e) != 0)
            return -1;
        left -= take;
    }
    if (walwalk_finish(&w->walk, &summary, e) != 0)
        return not_what_it_says(j, e);
    if (summary.facts.damages > 0 && is_unfinished(j)) {
        /* Stored, it would stand in the way of the finished one. */
        (void)err_set(e, ERR_REFUSED, "its records end where the server has not finished it");
        return not_what_it_says(j, e);
    }
    report->damages = summary.facts.damages;
    report->damage = summary.facts.damage[0].reason;
    report->damage_at = summary.facts.damage[0].lsn;
    report->open_end = (summary.facts.flags & FACTS_OPEN_END) != 0;
    *parts = (struct object_parts){
        .damaged = summary.facts.damages > 0,
        .public_part = w->public_part,
        .public_len = walwalk_public(&summary, w->public_part),
        .metadata_part = summary.meta,
        .metadata_len = summary.meta_len,
        .data_part = summary.data,
        .data_len = summary.data_len,
    };
    return 0;
}

/* A history's branches go into the public part, so that holes can be judged without a key. */
static int judge_history(struct job *j, const char *text, size_t len, struct buf *public_part,
                         struct err *e)
{
    struct wal_branches branches;
    struct history history;
    int rc;

    wal_branches_init(&branches, WAL_BRANCHES_MAX);
    rc = history_parse(text, len, j->name.tli, &history, e);
    for (size_t i = 0; rc == 0 && i < history.n; i++)
        rc = wal_branches_push(&branches,
                               (struct wal_branch){history.entry[i].tli, history.entry[i].end}, e);
    if (rc == 0)
        rc = wal_branches_encode(&branches, public_part, e);
    else {
        if (e->code == ERR_DAMAGED) /* what is offered, not what is stored */
            e->code = ERR_REFUSED;
        (void)not_what_it_says(j, e);
    }
    wal_branches_fini(&branches);
    return rc;
}

/* A backup's note must be one, and of the segment and place that its name says. */
static int judge_backup_note(struct job *j, const char *text, size_t len, struct err *e)
{
    uint32_t segment_size = j->r->lineage.segment_size;
    char file[WALNAME_SEGMENT_LEN + 1];
    uint64_t segno;
    lsn_t start;

    if (label_check_note(text, len, &start, file, e) != 0) {
        e->code = ERR_REFUSED;
        return not_what_it_says(j, e);
    }
    if (strncmp(file, j->object.name, WALNAME_SEGMENT_LEN) == 0 &&
        walname_segno(&j->name, segment_size, &segno) &&
        start == walname_start(segno, segment_size) + j->name.offset)
        return 0;
    (void)err_set(e, ERR_REFUSED, "it is the note of another backup");
    return not_what_it_says(j, e);
}

static int pass_text(struct job *j, struct object_parts *parts, struct buf *public_part,
                     struct err *e)
{
    char *text = malloc((size_t)j->size + 1);
    int rc = -1;

    if (text == NULL)
        return err_set(e, ERR_NOMEM, "no memory for \"%s\"", j->path);
    text[j->size] = '\0';
    if (read_at(j, text, (size_t)j->size, 0, e) == 0) {
        rc = j->name.kind == WALNAME_HISTORY
                 ? judge_history(j, text, (size_t)j->size, public_part, e)
                 : judge_backup_note(j, text, (size_t)j->size, e);
        if (rc == 0)
            rc = object_writer_write(&j->w->writer, (const uint8_t *)text, (size_t)j->size, e);
    }
    free(text);
    *parts = (struct object_parts){.public_part = public_part->p, .public_len = public_part->len};
    return rc;
}

/* --- storing --- */

static int store_new(struct job *j, bool compress, struct wal_put_report *report, struct err *e)
{
    struct wal_put *w = j->w;
    struct object_parts parts = {0};
    struct store_seen seen;
    struct frame_head head;
    struct buf public_part;
    int rc = -1;

    buf_init(&public_part, FRAME_TAIL_SMALL - 4096);
    fill_head(j, &head);
    if (store_put_begin(&j->r->writer, &j->r->where, &j->object, &w->put, e) != 0 ||
        object_writer_begin(&w->writer, &head, compress, repo_seal(j->r), &w->put.sink, e) != 0)
        goto out;
    if ((holds_wal(j) ? pass_segment(j, &parts, report, e)
                      : pass_text(j, &parts, &public_part, e)) != 0)
        goto out;
    if (object_writer_finish(&w->writer, &parts, e) != 0 || repo_still_plain(j->r, e) != 0)
        goto out;
    report->stored_size = w->put.total;
    rc = store_put_commit(&w->put, e);
    if (rc == 0 && store_put_seen(&w->put, &seen)) /* stored, whatever becomes of the index */
        index_note(j->r, &j->object, &seen, parts.public_part, parts.public_len);
out:
    store_put_abort(&w->put);
    object_writer_wipe(&w->writer);
    buf_fini(&public_part);
    return rc;
}

/* --- comparing with what is there --- */

/* Compares content as it comes out of the stored object with the file. */
struct compare {
    struct sink sink;
    struct job *job;
    uint64_t at;
    bool different;
};

static int compare_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct compare *c = (struct compare *)s;
    struct job *j = c->job;

    while (len > 0 && !c->different && c->at < j->sound) {
        size_t take = len < WAL_PUT_IO ? len : (size_t)WAL_PUT_IO;

        if (c->at + take > j->size) {
            c->different = true;
            break;
        }
        if (take > j->sound - c->at)
            take = (size_t)(j->sound - c->at);
        if (read_at(j, j->w->io, take, c->at, e) != 0)
            return -1;
        c->different = memcmp(j->w->io, bytes, take) != 0;
        c->at += take;
        bytes += take;
        len -= take;
    }
    return 0;
}

static const struct sink_ops compare_ops = {"compare", compare_write, sink_finish_next,
                                            sink_abort_next};

/* Is the rest of the file, from c->at, zero? */
static int compare_rest(struct compare *c, struct err *e)
{
    struct job *j = c->job;
    uint64_t end = j->sound < j->size ? j->sound : j->size;

    while (c->at < end && !c->different) {
        uint64_t left = end - c->at;
        size_t take = left < WAL_PUT_IO ? (size_t)left : (size_t)WAL_PUT_IO;

        if (read_at(j, j->w->io, take, c->at, e) != 0)
            return -1;
        for (size_t i = 0; i < take && !c->different; i++)
            c->different = j->w->io[i] != 0;
        c->at += take;
    }
    return 0;
}

/*
 * What of the file counts.  Two servers may offer the same WAL with other bytes behind it: behind a
 * SWITCH record, and behind the point where a timeline was left (a .partial, or the copy of a
 * standby that follows another one), where each has what its recycled file held.
 */
static int find_tail(struct job *j, struct err *e)
{
    struct walwalk *walk = &j->w->walk;
    struct wal_summary summary;

    if (walwalk_init(walk, &j->name, j->r->lineage.segment_size, j->r->where.system_id, e) != 0)
        return not_what_it_says(j, e);
    walk->cuts = true;
    for (uint64_t at = 0; at < j->size;) {
        uint64_t left = j->size - at;
        size_t take = left < WAL_PUT_IO ? (size_t)left : (size_t)WAL_PUT_IO;

        if (read_at(j, j->w->io, take, at, e) != 0)
            return -1;
        if (walwalk_feed(walk, j->w->io, take, e) != 0)
            return not_what_it_says(j, e);
        at += take;
    }
    if (walwalk_finish(walk, &summary, e) != 0)
        return not_what_it_says(j, e);
    j->kept = walwalk_kept(walk);
    j->sound = walwalk_sound(walk);
    return 0;
}

/* 1 the same, 0 not, -1.  Byte by byte; where the file ends early, the stored copy may have more.
 */
static int same_content(struct job *j, struct object_reader *stored, struct err *e)
{
    struct compare c = {.job = j};

    sink_init(&c.sink, &compare_ops, PHASE_DELIVER);
    if (object_content(stored, &c.sink, e) != 0 || compare_rest(&c, e) != 0)
        return -1;
    return c.different ? 0 : 1;
}

/* 1 the same, 0 not, -1.  By the keyed digest of the plaintext, without any secret key; the stored
 * bytes are proven as well, since a rotten copy is no copy. */
static int same_digest(struct job *j, struct object_reader *stored, struct err *e)
{
    uint8_t key[DIGEST_FAST_KEY];
    uint8_t digest[DIGEST_FAST];
    struct digest *d = &j->w->digest;
    struct object_kept kept = {0};
    char who[RECIPIENTS_WHO];
    uint64_t kept_size;

    if (memcmp(stored->head.write_id, j->r->host.write_id, sizeof stored->head.write_id) != 0)
        return err_set(e, ERR_KEY,
                       "it was stored under another write key, so nobody can compare it");
    if (recipients_check(j->r, &stored->head, &stored->keys, who) == RECIPIENTS_NONE)
        return recipients_refuse(stored->source->name, e);
    if (object_check_stored(stored, e) != 0)
        return -1;
    secret_write_digest_key(key, j->r->host.write, j->r->marker.id);
    digest_init_fast(d, key, PHASE_PLAIN);
    secret_wipe(key, sizeof key);
    for (uint64_t at = 0; at < j->size;) {
        uint64_t left = j->size - at;
        size_t take = left < WAL_PUT_IO ? (size_t)left : (size_t)WAL_PUT_IO;

        if (read_at(j, j->w->io, take, at, e) != 0 ||
            object_kept_write(&kept, &d->sink, j->w->io, take, e) != 0)
            return -1;
        at += take;
    }
    if (object_kept_finish(&kept, &d->sink, &kept_size, e) != 0)
        return -1;
    digest_get_fast(d, j->size, kept_size, digest);
    return memcmp(digest, stored->tail.plain_digest, sizeof digest) == 0;
}

static const char *why_different(const struct job *j, bool damaged)
{
    if (j->name.kind == WALNAME_PARTIAL)
        return "The stored copy was not touched.  Another server left the timeline in this "
               "segment, "
               "too.  No recovery asks for a .partial: move the stored one out of the repository "
               "and "
               "keep it if its end matters; the server archives this one then.";
    if (damaged)
        return "The stored copy was not touched, but its WAL ends early or is damaged: a standby "
               "may "
               "have stored what it had.  Move it out of the repository, and the server archives "
               "this one.";
    return "The stored copy was not touched.  Two servers may archive into one cluster of the "
           "repository, or a copy of a server was started: give each its own (\"walden init "
           "--cluster NAME\").";
}

static int already_there(struct job *j, struct err *e)
{
    struct object_want want = {
        .kind = j->object.kind, .name = j->object.name, .system_id = j->r->where.system_id};
    struct object_reader *stored = &j->w->reader;
    struct store_object o;
    int rc;

    if (holds_wal(j) && find_tail(j, e) != 0)
        return -1;
    rc = store_get(&j->r->store, &j->r->where, &j->object, &o, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_UNREACHABLE, "\"%s\" vanished", o.shown);
    rc = object_open(stored, &o.source, &j->r->trust, &want, e);
    if (rc == 0) {
        /* What nobody could fetch must not be acknowledged. */
        rc = wal_check_object(stored, &j->name, j->r->lineage.segment_size, e);
        if (rc == 0 && stored->tail.plain_size == j->size)
            rc = stored->head.sealed ? same_digest(j, stored, e) : same_content(j, stored, e);
        object_close(stored);
    }
    store_release(&o);
    if (rc > 0)
        return store_confirm(&j->r->writer, &j->r->where, &j->object, e) == 0 ? WAL_PUT_SAME : -1;
    if (rc == 0) {
        (void)err_set(e, ERR_REFUSED, "\"%s\" is in the repository already, with other content",
                      o.shown);
        (void)err_hint(e, "%s", why_different(j, stored->tail.damaged));
    } else if (e->code == ERR_DAMAGED) {
        (void)err_hint(e,
                       "The stored copy was not touched.  If \"walden verify\" finds it damaged, "
                       "too, move it out of the repository: the server archives it again.");
    }
    return err_context(e, "refused to archive \"%s\"", j->path);
}

/* Stores what was opened, or compares it with what is there. */
static int put(struct job *j, bool compress, struct wal_put_report *report, struct err *e)
{
    int rc;

    report->plain_size = j->size;
    if (holds_wal(j)) {
        if (walwalk_init(&j->w->walk, &j->name, j->r->lineage.segment_size, j->r->where.system_id,
                         e) != 0)
            return not_what_it_says(j, e);
        j->w->walk.cuts = true;
    }
    rc = store_has(&j->r->store, &j->r->where, &j->object, e);
    if (rc == STORE_ABSENT)
        rc = store_new(j, compress, report, e);
    else if (rc == 0)
        rc = STORE_EXISTS;
    if (rc == STORE_EXISTS) /* now, or since another archiver was faster */
        rc = already_there(j, e);
    return rc;
}

int wal_put(struct wal_put *w, struct repo *r, const char *path, bool compress,
            struct wal_put_report *report, struct err *e)
{
    const char *slash = strrchr(path, '/');
    struct job j = {
        .w = w, .r = r, .path = path, .kept = UINT64_MAX, .sound = UINT64_MAX, .fd = -1};
    int rc = -1;

    memset(report, 0, sizeof *report);
    w->put.sink.ops = NULL;
    if (!wal_object_name(slash == NULL ? path : slash + 1, &j.name, &j.object)) {
        (void)err_set(e, ERR_USAGE, "\"%s\" is not the name of a WAL file", path);
        return err_hint(e, "archive_command must pass %%p: archive_command = 'walden-archive %%p'");
    }
    if (open_source(&j, e) == 0)
        rc = put(&j, compress, report, e);
    os_drop(&j.fd);
    return rc;
}

int wal_put_history(struct wal_put *w, struct repo *r, tli_t tli, const char *text, size_t len,
                    bool compress, struct wal_put_report *report, struct err *e)
{
    char name[WALNAME_MAX];
    struct job j = {.w = w,
                    .r = r,
                    .path = name,
                    .size = len,
                    .kept = UINT64_MAX,
                    .sound = UINT64_MAX,
                    .fd = -1,
                    .text = text};

    memset(report, 0, sizeof *report);
    w->put.sink.ops = NULL;
    walname_history(name, tli);
    if (!wal_object_name(name, &j.name, &j.object))
        return err_set(e, ERR_INTERNAL, "timeline %u has no history", (unsigned)tli);
    return check_size(&j, e) != 0 ? -1 : put(&j, compress, report, e);
}

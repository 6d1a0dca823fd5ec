/*
 * Switching encryption on in a repository that holds plain objects (FORMAT.md section 6).
 *
 * Order, and why:
 *   certificate  so that the record's signature can be judged;
 *   configuration (host_key, recipients)  from here on this host's hooks refuse, since the marker
 * is still plain; the server keeps its WAL and tries again; record       of what is there;
 *   configuration (sealed_from)  the record's digest;
 *   marker       from here on nobody can write plain objects.
 * Then the repository is looked at again: what a writer that was under way has published meanwhile
 * is added to the record.  A crash at any point before the marker leaves a plain repository and is
 * completed by the same command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "init.h"
#include "os/file.h"
#include "os/time.h"
#include "pg/walname.h"
#include "repo/wal.h"

/* How long a writer that is under way gets, and how often we look. */
enum { SETTLE_US = 1000000, ROUNDS = 60, RECORD_BYTES = STORE_TEXT_MAX, PIECE = 64 * 1024 };

/* ---- which lineage holds something ---- */

struct holders {
    struct store *store;
    const char *cluster;
    char name[KEY_NAME_MAX + 1]; /* of the cluster that holds something */
    uint64_t system_id;
    unsigned count;
};

static int any_timeline(void *arg, uint32_t number, struct err *e)
{
    (void)arg;
    (void)number;
    (void)e;
    return 1;
}

static int look_at_lineage(void *arg, const char *name, struct err *e)
{
    struct holders *h = arg;
    struct store_lineage where = {h->cluster, 0};
    struct err quiet = {0};
    int rc;

    if (parse_u64(name, 1, UINT64_MAX, &where.system_id, &quiet) != 0)
        return 0;
    rc = store_each_timeline(h->store, &where, any_timeline, NULL, e);
    if (rc > 0) {
        (void)snprintf(h->name, sizeof h->name, "%s", h->cluster);
        h->system_id = where.system_id;
        h->count++;
    }
    return rc < 0 ? -1 : 0;
}

static int look_at_cluster(void *arg, const char *name, struct err *e)
{
    struct holders *h = arg;
    struct err quiet = {0};

    if (parse_name(name, &quiet) != 0)
        return 0;
    h->cluster = name;
    return store_each_lineage(h->store, name, look_at_lineage, h, e);
}

/* ---- what it holds ---- */

struct scan {
    struct init *i;
    struct store_lineage where;
    uint32_t segment_size;
    struct sealed_from found;
    struct object_reader *reader;
    uint32_t timeline;
    uint64_t next; /* LSN behind the newest plain segment of this timeline, 0 for none */
};

static int digest_file(struct scan *s, const struct store_name *n, uint8_t out[DIGEST_STRONG],
                       struct err *e)
{
    struct store_object o;
    struct digest d;
    uint8_t piece[PIECE];
    int rc = store_get(&s->i->store, &s->where, n, &o, e);

    if (rc != 0)
        return rc;
    digest_init_strong(&d, PHASE_LOADED);
    for (uint64_t at = 0; rc == 0 && at < o.source.size;) {
        size_t len = o.source.size - at < PIECE ? (size_t)(o.source.size - at) : (size_t)PIECE;

        rc = o.source.read(o.source.arg, at, piece, len, e);
        if (rc == 0)
            rc = sink_write(&d.sink, piece, len, e);
        at += len;
    }
    digest_get_strong(&d, out);
    store_release(&o);
    return rc;
}

static int add_object(struct scan *s, enum object_kind kind, const char *name, struct err *e)
{
    const struct store_name n = {.kind = kind, .timeline = s->timeline, .name = name};
    struct sealed_from_object o = {.kind = (uint32_t)kind};
    int rc = digest_file(s, &n, o.digest, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0; /* absent: no history on timeline 1, say */
    (void)snprintf(o.name, sizeof o.name, "%s", name);
    return sealed_from_objects_push(&s->found.objects, o, e);
}

/* 1 when this is a whole plain object of that name, 0 when not, -1.  What merely has the name of a
 * segment must not move the place from which on all is sealed: every plain segment before that
 * place is believed from now on. */
static int is_plain(struct scan *s, const char *name, const struct walname *n, struct err *e)
{
    const struct store_name at = {.kind = KIND_SEGMENT, .timeline = s->timeline, .name = name};
    const struct object_want want = {
        .kind = KIND_SEGMENT, .name = name, .system_id = s->where.system_id};
    struct store_object o;
    struct err why = {0};
    struct trust t;
    int rc = store_get(&s->i->store, &s->where, &at, &o, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    trust_plain(&t, s->i->marker.id);
    rc = object_open(s->reader, &o.source, &t, &want, &why);
    if (rc == 0)
        rc = wal_check_object(s->reader, n, s->segment_size, &why);
    object_close(s->reader);
    store_release(&o);
    if (rc == 0)
        return 1;
    if (why.code != ERR_DAMAGED && why.code != ERR_REFUSED && why.code != ERR_KEY) {
        *e = why;
        return -1;
    }
    if (why.code != ERR_KEY) /* sealed, that is: a writer was faster */
        msg_warn(&s->i->msg, "not taken for a segment from before encryption: %s", why.msg);
    return 0;
}

static int scan_name(void *arg, const char *name, struct err *e)
{
    struct scan *s = arg;
    struct walname n;
    uint64_t number;
    int rc;

    if (!walname_parse(name, &n) || n.tli != s->timeline)
        return 0; /* none of ours */
    if (n.kind == WALNAME_PARTIAL)
        return add_object(s, KIND_PARTIAL, name, e);
    if (n.kind == WALNAME_BACKUP)
        return add_object(s, KIND_BACKUP_HISTORY, name, e);
    if (!walname_segno(&n, s->segment_size, &number) ||
        walname_start(number + 1, s->segment_size) <= s->next)
        return 0;
    rc = is_plain(s, name, &n, e);
    if (rc > 0)
        s->next = walname_start(number + 1, s->segment_size);
    return rc < 0 ? -1 : 0;
}

static int scan_group(void *arg, uint32_t group, struct err *e)
{
    struct scan *s = arg;

    return store_each_wal(&s->i->store, &s->where, s->timeline, group, scan_name, s, e);
}

static int scan_timeline(void *arg, uint32_t timeline, struct err *e)
{
    struct scan *s = arg;
    char history[WALNAME_MAX];

    s->timeline = timeline;
    s->next = 0;
    walname_history(history, timeline);
    if (add_object(s, KIND_HISTORY, history, e) != 0 ||
        store_each_group(&s->i->store, &s->where, timeline, scan_group, s, e) != 0)
        return -1;
    if (s->next == 0)
        return 0;
    return sealed_from_timelines_push(&s->found.timelines,
                                      (struct sealed_from_timeline){timeline, s->next}, e);
}

static int scan_all(struct scan *s, struct err *e)
{
    sealed_from_fini(&s->found);
    sealed_from_init(&s->found);
    return store_each_timeline(&s->i->store, &s->where, scan_timeline, s, e);
}

/* ---- record and pin ---- */

/* Makes the record of what is there now.  1 when it is the one that was written last, 0 when it was
 * written, -1. */
static int record(struct scan *s, const struct lineage *l, struct err *e)
{
    struct init *i = s->i;
    uint8_t digest[DIGEST_STRONG];
    struct init_config pins;
    struct buf b;
    int rc = scan_all(s, e);

    buf_init(&b, RECORD_BYTES);
    if (rc == 0)
        rc = sealed_from_write(&b, &s->found, l, &i->host, e);
    if (rc == 0)
        digest_strong(digest, b.p, b.len);
    if (rc == 0 && i->has_sealed_from && memcmp(digest, i->sealed_from, sizeof digest) == 0) {
        buf_fini(&b);
        return 1;
    }
    /* A crash behind it: a record that nobody asks for while the marker is plain. */
    if (rc == 0)
        rc = store_put_text(&i->writer, &s->where, LINEAGE_SEALED_FILE, b.p, b.len, true, e);
    buf_fini(&b);
    if (rc != 0)
        return -1;
    i->changes++;
    memcpy(i->sealed_from, digest, sizeof digest);
    i->has_sealed_from = true;
    pins = init_pins(i);
    pins.repin = true;
    /* A crash behind it: the next run makes record and pin anew while the marker is plain. */
    rc = init_config_write(i->config, &pins, &i->owner, e);
    if (rc == 0)
        i->changes++;
    return rc < 0 ? -1 : 0;
}

/* The lineage that holds something, certified; it may be another than this server's. */
static int target_lineage(struct init *i, const struct store_lineage *where, struct lineage *l,
                          struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = store_get_text(&i->store, where, LINEAGE_FILE, &text, &len, e);

    if (rc == STORE_ABSENT)
        rc = err_set(e, ERR_DAMAGED, "file \"%s/%llu/%s\" is missing", where->cluster,
                     (unsigned long long)where->system_id, LINEAGE_FILE);
    if (rc == 0)
        rc = lineage_read(l, text, len, LINEAGE_FILE, e);
    free(text);
    if (rc != 0)
        return -1;
    rc = init_repo_certify(i, l, e);
    if (rc == 0)
        rc = init_repo_put_lineage(i, l, true, e);
    return rc < 0 ? -1 : 0;
}

static int pin_keys(struct init *i, struct err *e)
{
    struct init_config pins = init_pins(i);
    int rc = init_config_write(i->config, &pins, &i->owner, e);

    if (rc == 0)
        i->changes++;
    return rc < 0 ? -1 : 0;
}

static int seal_lineage(struct init *i, struct scan *s, const struct lineage *l, struct err *e)
{
    int rc;

    os_sleep_us(SETTLE_US);
    if (record(s, l, e) < 0 || init_repo_mark(i, e) != 0)
        return -1;
    for (int round = 0; round < ROUNDS; round++) {
        os_sleep_us(SETTLE_US);
        rc = record(s, l, e);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
    return err_set(e, ERR_TIMEOUT, "plain objects keep coming in after the repository was sealed");
}

int init_seal(struct init *i, struct err *e)
{
    struct holders h = {.store = &i->store};
    struct scan s = {.i = i};
    struct lineage *l = NULL;
    int rc;

    if (store_each_cluster(&i->store, look_at_cluster, &h, e) < 0)
        return -1;
    if (h.count > 1) {
        (void)err_set(
            e, ERR_REFUSED,
            "repository \"%s\" holds %u lineages; encryption can be switched on later only "
            "for one",
            i->repo, h.count);
        return err_hint(e, "Make a new repository with --encrypt, and keep this one as long as its "
                           "backups are needed.");
    }
    if (h.count == 0)
        return pin_keys(i, e) != 0 ? -1 : init_repo_mark(i, e);
    sealed_from_init(&s.found);
    s.where = (struct store_lineage){h.name, h.system_id};
    l = calloc(1, sizeof *l);
    s.reader = calloc(1, sizeof *s.reader);
    rc = l == NULL || s.reader == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                                       : target_lineage(i, &s.where, l, e);
    if (rc == 0)
        rc = pin_keys(i, e);
    if (rc == 0) {
        s.segment_size = l->segment_size;
        rc = seal_lineage(i, &s, l, e);
    }
    sealed_from_fini(&s.found);
    free(s.reader);
    free(l);
    return rc;
}

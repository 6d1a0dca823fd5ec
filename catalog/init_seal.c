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

#include "base/text.h"
#include "init_seal.h"
#include "os/time.h"

/* How long a writer that is under way gets, and how often we look. */
enum { SETTLE_US = 1000000, ROUNDS = 60, RECORD_BYTES = STORE_TEXT_MAX };

/* ---- record and pin ---- */

/* Makes the record of what is there now.  1 when it is the one that was written last, 0 when it was
 * written, -1. */
static int record(struct seal_scan *s, const struct lineage *l, struct err *e)
{
    struct init *i = s->i;
    uint8_t digest[DIGEST_STRONG];
    struct init_config pins;
    struct buf b;
    int rc = seal_scan_all(s, e);

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

static int seal_lineage(struct init *i, struct seal_scan *s, const struct lineage *l, struct err *e)
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

static int several(const struct init *i, const struct seal_holders *h, struct err *e)
{
    (void)err_set(e, ERR_REFUSED,
                  "repository \"%s\" holds objects of %u lineages (%s); encryption can be switched "
                  "on later only for one",
                  i->repo, h->count, h->all);
    return err_hint(e, "Make a new, sealed one: \"walden init --repo NEWDIR --config NEWFILE "
                       "--encrypt\", and take a base backup into it; keep this one as long as its "
                       "backups are needed.  Or move the directories of lineages that nobody needs "
                       "out of the repository, then repeat.");
}

/* What is believed from now on, so that a person can see whether it may be. */
static int tell(struct init *i, const struct seal_scan *s, struct err *e)
{
    char at[TEXT_LSN_MAX];
    struct buf *b = &i->said;

    for (size_t k = 0; k < s->found.timelines.n; k++) {
        text_lsn(at, s->found.timelines.v[k].lsn);
        if (buf_fmt(b, e, "sealed from    %s on timeline %u; plain WAL before it stays readable\n",
                    at, (unsigned)s->found.timelines.v[k].timeline) != 0)
            return -1;
    }
    if (s->found.objects.n > 0 &&
        buf_fmt(b, e, "plain objects  %zu that were there stay readable\n", s->found.objects.n) !=
            0)
        return -1;
    if (s->where.system_id != i->server.system_id)
        msg_warn(&i->msg,
                 "these are of system identifier %llu, not of the server that was asked, "
                 "so nobody has compared where they end with a server: look at them",
                 (unsigned long long)s->where.system_id);
    return 0;
}

int init_seal(struct init *i, struct err *e)
{
    struct seal_holders h;
    struct seal_scan s;
    struct lineage *l = NULL;
    int rc;

    if (seal_holders_find(&h, i, e) != 0)
        return -1;
    if (h.count > 1 || (h.count == 1 && h.system_id == 0))
        return several(i, &h, e);
    if (h.count == 0)
        return pin_keys(i, e) != 0 ? -1 : init_repo_mark(i, e);
    seal_scan_init(&s);
    s.i = i;
    s.where = (struct store_lineage){h.name, h.system_id};
    l = calloc(1, sizeof *l);
    s.reader = calloc(1, sizeof *s.reader);
    rc = l == NULL || s.reader == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                                       : target_lineage(i, &s.where, l, e);
    if (rc == 0) {
        s.segment_size = l->segment_size;
        rc = seal_scan_all(&s, e); /* refuses, and reads packs, while the hooks still work */
    }
    s.begun = true;
    if (rc == 0)
        rc = pin_keys(i, e);
    if (rc == 0)
        rc = seal_lineage(i, &s, l, e);
    if (rc == 0)
        rc = tell(i, &s, e);
    seal_scan_fini(&s);
    free(l);
    return rc;
}

#include "basebackup/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/zeros.h"

static const lsn_t GIVE_UP = 1; /* as a stop: everything is behind it */

static int begin(void *arg, tli_t tli, uint64_t segno, struct err *e)
{
    struct tail *t = arg;
    char name[WALNAME_MAX];
    struct walname parts;

    walname_segment(name, tli, segno, t->segsize);
    if (!walname_parse(name, &parts))
        return err_set(e, ERR_INTERNAL, "\"%s\" is no segment", name);
    if (walwalk_init(&t->walk, &parts, t->segsize, t->system_id, e) != 0)
        return -1;
    return keep_begin(&t->keep, name, e);
}

static int data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct tail *t = arg;

    if (walwalk_feed(&t->walk, bytes, len, e) != 0)
        return err_context(e, "the WAL that the server sends");
    return keep_write(&t->keep, bytes, len, e);
}

static int judge(struct tail *t, struct err *e)
{
    struct wal_summary found;
    char at[TEXT_LSN_MAX];

    if (walwalk_finish(&t->walk, &found, e) != 0)
        return -1;
    if (found.facts.damages == 0)
        return 0;
    text_lsn(at, found.facts.damage[0].lsn);
    (void)err_set(e, ERR_DAMAGED, "the WAL that the server sends is damaged at %s: %s", at,
                  facts_damage_text(found.facts.damage[0].reason));
    return err_hint(e, "No recovery could go past it: look at this server's disk and memory, then "
                       "take the backup again.");
}

static lsn_t stop(void *arg)
{
    struct tail *t = arg;
    lsn_t at;

    gate_lock(&t->gate);
    at = t->stop;
    gate_unlock(&t->gate);
    return at;
}

/* The walk sees whole pages only: what is missing of the last one is given as zeros. */
static int note_last(struct tail *t, struct err *e)
{
    size_t missing = (size_t)(-stop(t) % WALPAGE_SIZE);

    if (walwalk_feed(&t->walk, zeros(), missing, e) != 0)
        return -1;
    t->last = t->walk.prev;
    return 0;
}

/* A segment that is cut off is the last one, or its timeline ends in it: then the next timeline
 * brings all of it again. */
static int end(void *arg, bool whole, struct err *e)
{
    struct tail *t = arg;

    if (whole && judge(t, e) != 0)
        return -1;
    if (!whole && stop(t) == 0) {
        keep_drop(&t->keep);
        return 0;
    }
    if (stop(t) > GIVE_UP && (!whole || stop(t) % t->segsize == 0) && note_last(t, e) != 0)
        return -1;
    return keep_end(&t->keep, t->segsize, e);
}

static int history(void *arg, tli_t tli, const char *text, size_t len, struct err *e)
{
    struct tail *t = arg;
    char name[WALNAME_MAX];

    walname_history(name, tli);
    if (keep_begin(&t->keep, name, e) != 0 ||
        keep_write(&t->keep, (const uint8_t *)text, len, e) != 0)
        return -1;
    return keep_end(&t->keep, len, e);
}

static int work(void *arg, struct err *e)
{
    static const struct walstream_events events = {
        .segment_begin = begin, .data = data, .segment_end = end, .history = history, .stop = stop};
    struct tail *t = arg;
    int rc = walstream_run(t->c, &t->stream, &events, t, &t->end, e);

    if (rc == 0 && stop(t) != GIVE_UP)
        rc = keep_finish(&t->keep, e);
    gate_lock(&t->gate);
    t->broken = rc != 0;
    gate_unlock(&t->gate);
    return rc;
}

int tail_open(struct tail *t, const struct pgconn_opts *o, uint64_t system_id, uint32_t segsize,
              const struct pack_how *how, struct err *no_slot, struct err *e)
{
    struct replication_system who;
    uint8_t random[6];
    char hex[2 * sizeof random + 1];

    t->system_id = system_id;
    t->segsize = segsize;
    if (gate_init(&t->gate, e) != 0)
        return -1;
    keep_init(&t->keep, how);
    t->made = true;
    if (replication_open(&t->c, o, REPLICATION_PHYSICAL, e) != 0)
        return err_context(e, "the second connection, for the backup's WAL");
    /* Of several hosts another one may have answered; and 13 wants to be asked before it streams.
     */
    if (replication_identify(t->c, &who, e) != 0)
        return -1;
    if (who.system_id != system_id)
        return err_set(e, ERR_REFUSED, "the second connection led to another server");
    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(t->slot, sizeof t->slot, "walden_%s", hex);
    if (replication_temporary_slot(t->c, t->slot, no_slot) == 0)
        return 0;
    t->slot[0] = '\0';
    if (no_slot->code == ERR_REFUSED)
        return 0;
    *e = *no_slot;
    return -1;
}

/* The history of the backup's own timeline, without which no server follows it. */
static int keep_history(struct tail *t, tli_t tli, struct err *e)
{
    struct buf text;
    int rc;

    if (tli == 1)
        return 0;
    buf_init(&text, REPLICATION_HISTORY_MAX);
    rc = replication_history(t->c, tli, &text, e);
    if (rc == 0)
        rc = history(t, tli, buf_text(&text), text.len, e);
    buf_fini(&text);
    return rc < 0 ? -1 : 0;
}

int tail_start(struct tail *t, tli_t tli, lsn_t start, struct err *e)
{
    t->stream = (struct walstream_opts){.tli = tli,
                                        .start = start,
                                        .segsize = t->segsize,
                                        .slot = t->slot[0] == '\0' ? NULL : t->slot};
    if (keep_history(t, tli, e) != 0)
        return -1;
    return thread_start(&t->thread, work, t, e);
}

bool tail_failed(struct tail *t)
{
    bool broken;

    gate_lock(&t->gate);
    broken = t->broken;
    gate_unlock(&t->gate);
    return broken;
}

static void set_stop(struct tail *t, lsn_t at)
{
    gate_lock(&t->gate);
    t->stop = at;
    gate_unlock(&t->gate);
}

int tail_end(struct tail *t, lsn_t at, struct err *e)
{
    if (!t->thread.running)
        return err_set(e, ERR_INTERNAL, "no WAL is being received");
    set_stop(t, at);
    return thread_join(&t->thread, e);
}

lsn_t tail_last(const struct tail *t)
{
    return t->last;
}

void tail_close(struct tail *t)
{
    struct err ignored = {0};

    if (!t->made)
        return;
    if (t->thread.running) {
        set_stop(t, GIVE_UP);
        (void)thread_join(&t->thread, &ignored); /* the backup has failed already */
    }
    keep_fini(&t->keep);
    pgconn_close(t->c);
    gate_fini(&t->gate);
    t->made = false;
}

#include "pgconn/walstream.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/parse.h"
#include "base/text.h"
#include "os/proc.h"
#include "os/signal.h"
#include "os/time.h"
#include "pgconn/inside.h"
#include "pgconn/replication.h"

/* Lengths of messages, their type included; times are microseconds since 2000. */
enum {
    LEN_DATA = 25,
    LEN_KEEPALIVE = 18,
    LEN_STATUS = 34,
    COMMAND_MAX = 200,
    ANSWER = 60,
    LOOK_US = 100 * 1000 /* a stop that became known meanwhile should not wait long */
};

#define EPOCH_2000 INT64_C(946684800000000)

struct stream {
    struct pgconn *c;
    const struct walstream_opts *o;
    const struct walstream_events *ev;
    void *arg;
    tli_t tli;
    lsn_t at;   /* next byte */
    lsn_t stop; /* 0: not known yet */
    bool in_segment;
    int64_t reported; /* when the server last heard from us, */
    int64_t heard;    /* and we from it */
};

static int strange(const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the server's WAL stream makes no sense: %s", what);
}

static bool is_over(struct stream *s)
{
    if (s->stop == 0)
        s->stop = s->ev->stop(s->arg);
    return s->stop != 0 && s->at >= s->stop;
}

/* ---- WAL ---- */

static int end_segment(struct stream *s, struct err *e)
{
    if (!s->in_segment)
        return 0;
    s->in_segment = false;
    return s->ev->segment_end(s->arg, s->at % s->o->segsize == 0, e);
}

static int take_wal(struct stream *s, const uint8_t *p, size_t n, struct err *e)
{
    while (n > 0 && !is_over(s)) {
        size_t room = s->o->segsize - (size_t)(s->at % s->o->segsize);
        size_t part = n < room ? n : room;

        if (s->stop != 0 && part > s->stop - s->at)
            part = (size_t)(s->stop - s->at);
        if (!s->in_segment &&
            s->ev->segment_begin(s->arg, s->tli, walname_segno_of(s->at, s->o->segsize), e) != 0)
            return -1;
        s->in_segment = true;
        if (s->ev->data(s->arg, p, part, e) != 0)
            return -1;
        s->at += part;
        if (s->at % s->o->segsize == 0 && end_segment(s, e) != 0)
            return -1;
        p += part;
        n -= part;
    }
    return 0;
}

/* ---- messages ---- */

static int report(struct stream *s, bool ask, struct err *e)
{
    uint8_t m[LEN_STATUS];
    lsn_t durable = s->ev->durable == NULL ? 0 : s->ev->durable(s->arg);
    int rc;

    m[0] = 'r';
    put_be64(m + 1, s->at);
    put_be64(m + 9, durable);
    put_be64(m + 17, 0); /* nothing is applied here */
    put_be64(m + 25, (uint64_t)(os_real_us() - EPOCH_2000));
    m[33] = ask ? 1 : 0;
    s->reported = os_mono_us();
    rc = PQputCopyData(s->c->pg, (const char *)m, sizeof m);
    if (rc < 0)
        return pgconn_lost(s->c, "could not talk to the server", e);
    /* What cannot be sent at once goes out with the next one. */
    return PQflush(s->c->pg) < 0 ? pgconn_lost(s->c, "the connection broke", e) : 0;
}

static int take_message(struct stream *s, const uint8_t *p, size_t n, struct err *e)
{
    if (p[0] == 'k') {
        if (n != LEN_KEEPALIVE)
            return strange("a keepalive", e);
        return p[17] != 0 ? report(s, false, e) : 0;
    }
    if (p[0] != 'w' || n < LEN_DATA || n > WALSTREAM_BYTES_MAX)
        return strange("a message of an unknown kind", e);
    if (get_be64(p + 1) != s->at)
        return strange("it goes on at another place", e);
    return take_wal(s, p + LEN_DATA, n - LEN_DATA, e);
}

/* Nothing came: tells the server that we are here, and asks whether it still is. */
static int keep_up(struct stream *s, struct err *e)
{
    int64_t now = os_mono_us();

    if (now - s->heard > WALSTREAM_SILENCE * USEC_PER_SEC)
        return err_set(e, ERR_TIMEOUT, "the server sent no WAL and no answer for %d s",
                       WALSTREAM_SILENCE);
    if (now - s->reported < WALSTREAM_STATUS * USEC_PER_SEC)
        return 0;
    return report(s, now - s->heard > WALSTREAM_STATUS * USEC_PER_SEC, e);
}

static int wait_a_little(const struct stream *s, struct err *e)
{
    if (os_wait_fd(PQsocket(s->c->pg), POLLIN, os_mono_us() + LOOK_US, e) < 0)
        return -1;
    /* Also when nothing came: a TLS library may hold bytes that the socket does not show. */
    return PQconsumeInput(s->c->pg) == 1 ? 0 : pgconn_lost(s->c, "the connection broke", e);
}

/* Receives until the end (0) or until the server ends the COPY (1). */
static int receive(struct stream *s, struct err *e)
{
    char *p;
    int n;
    int rc;

    s->heard = os_mono_us();
    while (!is_over(s)) {
        if (os_signal_check(e) != 0)
            return -1;
        n = PQgetCopyData(s->c->pg, &p, 1);
        if (n > 0) {
            s->heard = os_mono_us();
            rc = take_message(s, (const uint8_t *)p, (size_t)n, e);
            PQfreemem(p);
        } else if (n == 0) {
            rc = wait_a_little(s, e);
        } else {
            return 1; /* in good order or not: the next result tells */
        }
        if (rc != 0 || keep_up(s, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- timelines ---- */

static int64_t soon(void)
{
    return os_mono_us() + ANSWER * USEC_PER_SEC;
}

static int judge(struct stream *s, const PGresult *r, struct err *e)
{
    if (pgconn_judge(s->c, r, e) == 0)
        return 0;
    if (strcmp(s->c->sqlstate, "58P01") == 0) {
        e->code = ERR_HOLE;
        return err_hint(e, "Raise wal_keep_size, or take the backup at a quieter time.");
    }
    return -1;
}

/* Sends the command.  0: WAL comes.  1: there is none on this timeline, *r says what follows. */
static int start(struct stream *s, PGresult **r, struct err *e)
{
    char command[COMMAND_MAX];
    char lsn[TEXT_LSN_MAX];
    char slot[REPLICATION_SLOT_MAX + 16] = "";

    text_lsn(lsn, s->at);
    if (s->o->slot != NULL)
        (void)snprintf(slot, sizeof slot, "SLOT \"%s\" ", s->o->slot);
    (void)snprintf(command, sizeof command, "START_REPLICATION %sPHYSICAL %s TIMELINE %" PRIu32,
                   slot, lsn, s->tli);
    if (pgconn_send(s->c, command, e) != 0 || pgconn_result(s->c, soon(), r, e) != 0)
        return -1;
    if (*r == NULL)
        return strange("no answer", e);
    if (judge(s, *r, e) != 0) {
        PQclear(*r);
        return -1;
    }
    if (PQresultStatus(*r) != PGRES_COPY_BOTH)
        return 1;
    PQclear(*r);
    *r = NULL;
    return 0;
}

/* The server ended the COPY: we end it too and take what it says then. */
static int end_copy(struct stream *s, PGresult **r, struct err *e)
{
    if (pgconn_result(s->c, soon(), r, e) != 0)
        return -1;
    if (*r != NULL && PQresultStatus(*r) == PGRES_COPY_IN) {
        PQclear(*r);
        if (PQputCopyEnd(s->c->pg, NULL) != 1)
            return pgconn_lost(s->c, "could not talk to the server", e);
        if (pgconn_result(s->c, soon(), r, e) != 0)
            return -1;
    }
    if (*r == NULL)
        return strange("it ends without a reason", e);
    if (judge(s, *r, e) != 0) {
        PQclear(*r);
        return -1;
    }
    return 0;
}

/* Takes the row that names the next timeline, and the rest of the answer. */
static int read_next(struct stream *s, PGresult *r, tli_t *tli, lsn_t *from, struct err *e)
{
    struct err ignored = {0};
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 && PQnfields(r) >= 2 &&
              parse_u32(PQgetvalue(r, 0, 0), 1, UINT32_MAX, tli, &ignored) == 0 &&
              parse_lsn(PQgetvalue(r, 0, 1), from, &ignored) == 0;
    bool stopped = PQresultStatus(r) == PGRES_COMMAND_OK;

    PQclear(r);
    if (stopped)
        return err_set(e, ERR_UNREACHABLE, "the server ended the WAL stream; it is shutting down");
    if (!ok || *tli <= s->tli || *from != s->at)
        return strange("the next timeline does not begin where this one ends", e);
    return pgconn_end(s->c, soon(), e);
}

static int give_history(struct stream *s, struct err *e)
{
    struct buf text;
    int rc;

    if (s->ev->history == NULL)
        return 0;
    buf_init(&text, REPLICATION_HISTORY_MAX);
    rc = replication_history(s->c, s->tli, &text, e);
    if (rc > 0)
        rc = err_set(e, ERR_HOLE, "the server has no history of timeline %" PRIu32, s->tli);
    if (rc == 0)
        rc = s->ev->history(s->arg, s->tli, buf_text(&text), text.len, e);
    buf_fini(&text);
    return rc;
}

/* One timeline.  0: the end is reached; 1: s->tli and s->at say where it goes on. */
static int stream_timeline(struct stream *s, struct err *e)
{
    PGresult *r = NULL;
    tli_t tli = 0;
    lsn_t from = 0;
    int rc = start(s, &r, e);

    if (rc == 0) {
        rc = receive(s, e);
        if (rc == 1 && end_copy(s, &r, e) != 0)
            rc = -1;
    }
    if (rc != 1)
        return rc;
    if (read_next(s, r, &tli, &from, e) != 0 || end_segment(s, e) != 0)
        return -1;
    s->tli = tli;
    s->at = from - from % s->o->segsize;
    return give_history(s, e) != 0 ? -1 : 1;
}

int walstream_run(struct pgconn *c, const struct walstream_opts *o,
                  const struct walstream_events *events, void *arg, struct walstream_end *end,
                  struct err *e)
{
    struct stream s = {.c = c, .o = o, .ev = events, .arg = arg, .tli = o->tli};
    int rc;

    if (!walname_is_segsize(o->segsize) ||
        (o->slot != NULL && strlen(o->slot) >= REPLICATION_SLOT_MAX))
        return err_set(e, ERR_INTERNAL, "no WAL can be streamed so");
    s.at = o->start - o->start % o->segsize;
    s.reported = os_mono_us();
    do {
        rc = is_over(&s) ? 0 : stream_timeline(&s, e);
    } while (rc == 1);
    if (rc != 0 || end_segment(&s, e) != 0)
        return -1;
    end->lsn = s.at;
    end->tli = s.tli;
    return 0;
}

#include "pgconn/basebackup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "base/vec.h"
#include "os/signal.h"
#include "os/time.h"
#include "pgconn/inside.h"

VEC_DECLARE(space_vec, struct basebackup_space);

enum {
    COMMAND_MAX = 4096,
    UPLOAD_PIECE = 64 * 1024,
    NUMBER_LEN = 8,
    UPLOAD_SECONDS = 300,
    MESSAGE_MAX = 256 * 1024 /* servers send 32 kB at once */
};

/* Which stream is being received. */
enum open { OPEN_NONE, OPEN_ARCHIVE, OPEN_MANIFEST };

struct run {
    struct pgconn *c;
    const struct basebackup_opts *o;
    const struct basebackup_events *ev;
    void *arg;
    bool typed; /* one COPY of typed messages: 15 and later */
    struct space_vec spaces;
    size_t next; /* the space whose archive comes next */
    enum open open;
    uint64_t bytes;
    char warning[256]; /* the first one */
    char *message;     /* MESSAGE_MAX bytes */
};

bool basebackup_has_end(const struct pgconn *c)
{
    return pgconn_version(c) >= 150000;
}

static int64_t in_time(const struct run *r)
{
    uint32_t seconds = r->o->silence > 0 ? r->o->silence : BASEBACKUP_SILENCE;

    return os_mono_us() + (int64_t)seconds * USEC_PER_SEC;
}

static int strange(const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the server's answer to BASE_BACKUP makes no sense: %s", what);
}

static int tell(struct run *r, struct err *e)
{
    return r->ev->progress == NULL ? 0 : r->ev->progress(r->arg, r->bytes, e);
}

/* ---- the command ---- */

/* In single quotes, which is all that the replication protocol's grammar knows. */
static int add_label(struct buf *b, const char *label, struct err *e)
{
    size_t n = strlen(label);

    if (n == 0 || n > BASEBACKUP_LABEL_MAX)
        return err_set(e, ERR_CONFIG, "a backup's label has 1 to %d bytes", BASEBACKUP_LABEL_MAX);
    if (buf_str(b, "LABEL '", e) != 0)
        return -1;
    for (; *label != '\0'; label++) {
        if ((uint8_t)*label < ' ')
            return err_set(e, ERR_CONFIG, "a backup's label has no control characters");
        if ((*label == '\'' && buf_u8(b, '\'', e) != 0) || buf_u8(b, (uint8_t)*label, e) != 0)
            return -1;
    }
    return buf_u8(b, '\'', e);
}

/* One option in the words of both dialects. */
struct option {
    bool wanted;
    const char *flat;
    const char *typed;
};

static int check_opts(const struct run *r, struct err *e)
{
    const struct basebackup_opts *o = r->o;

    if (o->max_rate != 0 &&
        (o->max_rate < BASEBACKUP_RATE_MIN || o->max_rate > BASEBACKUP_RATE_MAX))
        return err_set(e, ERR_CONFIG, "a server limits its rate to %d to %d kB/s",
                       BASEBACKUP_RATE_MIN, BASEBACKUP_RATE_MAX);
    if (o->incremental && pgconn_version(r->c) < 170000)
        return err_set(e, ERR_REFUSED, "incremental backups need PostgreSQL 17");
    return 0;
}

static int make_command(const struct run *r, struct buf *b, struct err *e)
{
    const struct basebackup_opts *o = r->o;
    char rate[32];
    const struct option options[] = {
        {o->sizes, "PROGRESS", "PROGRESS"},
        {o->fast, "FAST", "CHECKPOINT 'fast'"},
        {true, "NOWAIT", "WAIT false"},
        {o->max_rate > 0, rate, rate},
        {o->tablespace_map, "TABLESPACE_MAP", "TABLESPACE_MAP"},
        {o->skip_checksums, "NOVERIFY_CHECKSUMS", "VERIFY_CHECKSUMS false"},
        {true, "MANIFEST 'yes'", "MANIFEST 'yes'"},
        {true, "MANIFEST_CHECKSUMS 'CRC32C'", "MANIFEST_CHECKSUMS 'CRC32C'"},
        {o->incremental, "INCREMENTAL", "INCREMENTAL"},
    };

    if (check_opts(r, e) != 0)
        return -1;
    (void)snprintf(rate, sizeof rate, "MAX_RATE %" PRIu32, o->max_rate);
    if (buf_str(b, r->typed ? "BASE_BACKUP (" : "BASE_BACKUP ", e) != 0 ||
        add_label(b, o->label, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].wanted && buf_fmt(b, e, "%s %s", r->typed ? "," : "",
                                         r->typed ? options[i].typed : options[i].flat) != 0)
            return -1;
    return r->typed ? buf_str(b, ")", e) : 0;
}

/* ---- results between the copies ---- */

/* What to do about the refusals that a command meets. */
static int refused(const struct run *r, struct err *e)
{
    const char *state = r->c->sqlstate;

    if (strcmp(state, "XX001") == 0) {
        e->code = ERR_DAMAGED;
        if (r->warning[0] != '\0')
            (void)err_context(e, "%s", r->warning);
        return err_hint(e, "The server's data files are damaged, and this backup is not kept.  The "
                           "server's log names each page; earlier backups may hold them intact.");
    }
    if (strcmp(state, "42501") == 0)
        return err_hint(e, "Run in the server, as a superuser: alter role \"%s\" replication;",
                        PQuser(r->c->pg));
    return -1;
}

/* The next result, which must be of that kind. */
static int expect(const struct run *r, ExecStatusType kind, int64_t deadline, PGresult **out,
                  struct err *e)
{
    if (pgconn_result(r->c, deadline, out, e) != 0)
        return -1;
    if (*out != NULL && pgconn_judge(r->c, *out, e) != 0) {
        PQclear(*out);
        return refused(r, e);
    }
    if (*out != NULL && PQresultStatus(*out) == kind)
        return 0;
    PQclear(*out);
    return strange("a result of another kind", e);
}

/* A row of an LSN and a timeline. */
static int expect_position(const struct run *r, int64_t deadline, lsn_t *lsn, tli_t *tli,
                           struct err *e)
{
    struct err ignored = {0};
    PGresult *res;
    bool ok;

    if (expect(r, PGRES_TUPLES_OK, deadline, &res, e) != 0)
        return -1;
    ok = PQntuples(res) == 1 && PQnfields(res) >= 2 &&
         parse_lsn(PQgetvalue(res, 0, 0), lsn, &ignored) == 0 &&
         parse_u32(PQgetvalue(res, 0, 1), 1, UINT32_MAX, tli, &ignored) == 0;
    PQclear(res);
    return ok ? 0 : strange("no position", e);
}

static int take_space(struct run *r, const PGresult *res, int row, struct err *e)
{
    struct basebackup_space *s = space_vec_add(&r->spaces, e);
    struct err ignored = {0};
    bool base = PQgetisnull(res, row, 0) == 1;
    uint64_t kb;

    if (s == NULL)
        return -1;
    if (base != (row == PQntuples(res) - 1))
        return strange("the data directory is not its last archive", e);
    if (!base && (parse_u32(PQgetvalue(res, row, 0), 1, UINT32_MAX, &s->oid, &ignored) != 0 ||
                  PQgetisnull(res, row, 1) == 1))
        return strange("a tablespace without an OID or a place", e);
    s->location = strdup(base ? "" : PQgetvalue(res, row, 1));
    if (s->location == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (PQgetisnull(res, row, 2) == 1)
        return 0;
    if (parse_u64(PQgetvalue(res, row, 2), 0, UINT64_MAX / 1024, &kb, &ignored) != 0)
        return strange("a tablespace's size", e);
    s->has_size = true;
    s->size = kb * 1024;
    return 0;
}

static int expect_spaces(struct run *r, struct err *e)
{
    PGresult *res;
    int rc = 0;

    if (expect(r, PGRES_TUPLES_OK, in_time(r), &res, e) != 0)
        return -1;
    if (PQntuples(res) < 1 || PQnfields(res) < 3)
        rc = strange("no list of tablespaces", e);
    for (int i = 0; rc == 0 && i < PQntuples(res); i++)
        rc = take_space(r, res, i, e);
    PQclear(res);
    return rc;
}

/* ---- streams ---- */

/* Ends the stream in hand.  Called when what comes behind it is there. */
static int end_open(struct run *r, struct err *e)
{
    enum open was = r->open;

    r->open = OPEN_NONE;
    if (was == OPEN_ARCHIVE && r->ev->archive_end != NULL)
        return r->ev->archive_end(r->arg, e);
    if (was == OPEN_MANIFEST && r->ev->manifest_end != NULL)
        return r->ev->manifest_end(r->arg, e);
    return 0;
}

static int begin_archive(struct run *r, struct err *e)
{
    const struct basebackup_space *s = &r->spaces.v[r->next++];

    r->open = OPEN_ARCHIVE;
    return r->ev->archive_begin == NULL ? 0 : r->ev->archive_begin(r->arg, s, e);
}

static int begin_manifest(struct run *r, struct err *e)
{
    r->open = OPEN_MANIFEST;
    return r->ev->manifest_begin == NULL ? 0 : r->ev->manifest_begin(r->arg, e);
}

static int take_data(struct run *r, const uint8_t *p, size_t n, struct err *e)
{
    if (r->open == OPEN_NONE)
        return strange("data of no archive", e);
    if (r->open == OPEN_MANIFEST)
        return r->ev->manifest_data == NULL ? 0 : r->ev->manifest_data(r->arg, p, n, e);
    r->bytes += n;
    if (r->ev->archive_data != NULL && r->ev->archive_data(r->arg, p, n, e) != 0)
        return -1;
    return tell(r, e);
}

/* 'n': a name and a path, each with a 0 behind, which must be those of the next archive. */
static int take_new(struct run *r, const char *p, size_t n, struct err *e)
{
    const struct basebackup_space *s;
    size_t name_len = strnlen(p, n);
    char want[32];

    if (r->next == r->spaces.n)
        return strange("an archive too many", e);
    s = &r->spaces.v[r->next];
    if (s->oid == 0)
        (void)snprintf(want, sizeof want, "base.tar");
    else
        (void)snprintf(want, sizeof want, "%" PRIu32 ".tar", s->oid);
    if (name_len == n || strcmp(p, want) != 0 ||
        strnlen(p + name_len + 1, n - name_len - 1) != n - name_len - 2 ||
        strcmp(p + name_len + 1, s->location) != 0)
        return strange("an archive that was not announced", e);
    return end_open(r, e) != 0 ? -1 : begin_archive(r, e);
}

static int take_message(struct run *r, const char *p, size_t n, struct err *e)
{
    if (n == 0)
        return strange("an empty message", e);
    switch (p[0]) {
    case 'd':
        return take_data(r, (const uint8_t *)p + 1, n - 1, e);
    case 'n':
        return take_new(r, p + 1, n - 1, e);
    case 'm':
        if (n != 1 || r->next != r->spaces.n || r->open == OPEN_MANIFEST)
            return strange("a manifest in the wrong place", e);
        return end_open(r, e) != 0 ? -1 : begin_manifest(r, e);
    case 'p':
        if (n != 1 + NUMBER_LEN)
            return strange("a report of progress", e);
        return tell(r, e);
    default:
        return strange("a message of an unknown type", e);
    }
}

/* Waits for more from the server, or uses the time. */
static int wait_for_more(struct run *r, int64_t deadline, struct err *e)
{
    int rc = r->ev->idle == NULL ? 0 : r->ev->idle(r->arg, e);

    if (rc > 0)
        return pgconn_take_now(r->c, e);
    return rc < 0 || pgconn_take(r->c, deadline, e) != 0 ? -1 : tell(r, e);
}

/* Receives one COPY up to its end. */
static int copy(struct run *r, struct err *e)
{
    int64_t deadline = in_time(r);
    int n;
    int rc;

    for (;;) {
        /* Like PQgetCopyData, but into memory of ours: that one allocates and frees each message,
         * which costs more than all else here does. */
        n = PQgetlineAsync(r->c->pg, r->message, MESSAGE_MAX);
        if (n == MESSAGE_MAX)
            return strange("a message of more than 256 kB", e);
        if (n > 0) {
            rc = r->typed ? take_message(r, r->message, (size_t)n, e)
                          : take_data(r, (const uint8_t *)r->message, (size_t)n, e);
            if (rc != 0 || os_signal_check(e) != 0)
                return -1;
            deadline = 0;
            continue;
        }
        if (n < 0) /* in good order or not: the next result tells */
            return 0;
        if (deadline == 0)
            deadline = in_time(r);
        if (wait_for_more(r, deadline, e) != 0)
            return -1;
    }
}

/* Begins a COPY; what came before it is then known to be whole. */
static int expect_copy(struct run *r, struct err *e)
{
    PGresult *res;

    if (expect(r, PGRES_COPY_OUT, in_time(r), &res, e) != 0)
        return -1;
    PQclear(res);
    return end_open(r, e);
}

static int receive(struct run *r, struct err *e)
{
    if (r->typed) {
        if (expect_copy(r, e) != 0 || copy(r, e) != 0)
            return -1;
    } else {
        while (r->next < r->spaces.n)
            if (expect_copy(r, e) != 0 || begin_archive(r, e) != 0 || copy(r, e) != 0)
                return -1;
        if (expect_copy(r, e) != 0 || begin_manifest(r, e) != 0 || copy(r, e) != 0)
            return -1;
    }
    return 0;
}

static void take_warning(void *arg, const char *text)
{
    struct run *r = arg;

    if (r->warning[0] == '\0')
        (void)snprintf(r->warning, sizeof r->warning, "%s", text);
    if (r->ev->warning != NULL)
        r->ev->warning(r->arg, text);
}

/* The first answer comes when the checkpoint is done, which may take many minutes: how many is for
 * the caller to say. */
static int wait_for_checkpoint(struct run *r, struct err *e)
{
    if (pgconn_flush(r->c, in_time(r), e) != 0)
        return -1;
    while (PQisBusy(r->c->pg))
        if (pgconn_take(r->c, 0, e) != 0 || tell(r, e) != 0)
            return -1;
    return 0;
}

static int run(struct run *r, const char *command, struct basebackup_end *end, struct err *e)
{
    struct basebackup_start start;
    PGresult *res;

    if (pgconn_send(r->c, command, e) != 0 || wait_for_checkpoint(r, e) != 0 ||
        expect_position(r, in_time(r), &start.lsn, &start.tli, e) != 0 || expect_spaces(r, e) != 0)
        return -1;
    start.n = r->spaces.n;
    start.spaces = r->spaces.v;
    if (r->ev->start != NULL && r->ev->start(r->arg, &start, e) != 0)
        return -1;
    if (receive(r, e) != 0 || expect_position(r, in_time(r), &end->lsn, &end->tli, e) != 0)
        return -1;
    if (r->open != OPEN_MANIFEST || r->next != r->spaces.n)
        return strange("archives or the manifest are missing", e);
    if (end_open(r, e) != 0)
        return -1;
    if (end->lsn < start.lsn || end->tli < start.tli)
        return strange("it ends before it begins", e);
    /* Only now does the server say whether all pages had their checksums. */
    if (expect(r, PGRES_COMMAND_OK, in_time(r), &res, e) != 0)
        return -1;
    PQclear(res);
    return pgconn_end(r->c, in_time(r), e);
}

int basebackup_run(struct pgconn *c, const struct basebackup_opts *o,
                   const struct basebackup_events *events, void *arg, struct basebackup_end *end,
                   struct err *e)
{
    struct run r = {.c = c, .o = o, .ev = events, .arg = arg, .typed = basebackup_has_end(c)};
    struct buf command;
    int rc;

    buf_init(&command, COMMAND_MAX);
    space_vec_init(&r.spaces, BASEBACKUP_SPACES_MAX);
    pgconn_on_notice(c, take_warning, &r);
    r.message = malloc(MESSAGE_MAX);
    rc = r.message == NULL ? err_set(e, ERR_NOMEM, "out of memory") : make_command(&r, &command, e);
    if (rc == 0)
        rc = run(&r, buf_text(&command), end, e);
    pgconn_on_notice(c, NULL, NULL);
    for (size_t i = 0; i < r.spaces.n; i++)
        free(r.spaces.v[i].location);
    space_vec_fini(&r.spaces);
    free(r.message);
    buf_fini(&command);
    return rc;
}

/* ---- UPLOAD_MANIFEST ---- */

static int upload_all(struct pgconn *c, basebackup_read *next, void *arg, uint8_t *piece,
                      struct err *e)
{
    size_t got = 1;

    while (got > 0) {
        if (next(arg, piece, UPLOAD_PIECE, &got, e) != 0)
            return -1;
        /* libpq never says "not now" to this, it grows: so each piece is sent before the next. */
        if (got > 0 && PQputCopyData(c->pg, (const char *)piece, (int)got) != 1)
            break; /* the server has something to say */
        if (pgconn_flush(c, os_mono_us() + UPLOAD_SECONDS * USEC_PER_SEC, e) != 0)
            return -1;
    }
    if (got == 0 && PQputCopyEnd(c->pg, NULL) == 1)
        return pgconn_end(c, os_mono_us() + UPLOAD_SECONDS * USEC_PER_SEC, e);
    return pgconn_end(c, os_mono_us() + USEC_PER_SEC, e) != 0
               ? -1
               : pgconn_lost(c, "could not send the manifest", e);
}

int basebackup_upload(struct pgconn *c, basebackup_read *next, void *arg, struct err *e)
{
    struct basebackup_opts o = {.silence = UPLOAD_SECONDS};
    struct run r = {.c = c, .o = &o};
    uint8_t *piece;
    PGresult *res;
    int rc;

    if (pgconn_version(c) < 170000)
        return err_set(e, ERR_REFUSED, "incremental backups need PostgreSQL 17");
    if (pgconn_send(c, "UPLOAD_MANIFEST", e) != 0 ||
        expect(&r, PGRES_COPY_IN, in_time(&r), &res, e) != 0)
        return -1;
    PQclear(res);
    piece = malloc(UPLOAD_PIECE);
    if (piece == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    rc = upload_all(c, next, arg, piece, e);
    free(piece);
    return rc;
}

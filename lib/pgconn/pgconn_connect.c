/* How a connection comes about, and what to do when it does not. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/host.h"
#include "os/proc.h"
#include "os/time.h"
#include "pgconn/inside.h"

/* Where connect_timeout is not set.  The time covers all addresses that are tried. */
enum { CONNECT_SECONDS = 15, CONNECT_MAX = 3600, PARAMS_MAX = 16, NAP_US = 500 * 1000 };

static bool is_conninfo(const char *dbname)
{
    return dbname != NULL &&
           (strchr(dbname, '=') != NULL || strncmp(dbname, "postgresql://", 13) == 0 ||
            strncmp(dbname, "postgres://", 11) == 0);
}

/* The connection string, if there is one. */
static const char *conninfo_of(const struct pgconn_opts *o)
{
    return is_conninfo(o->dbname) ? o->dbname : o->dsn;
}

struct params {
    const char *keys[PARAMS_MAX];
    const char *values[PARAMS_MAX];
    size_t n;
};

/* Later ones beat earlier ones. */
static void param(struct params *p, const char *key, const char *value)
{
    if (value == NULL)
        return;
    p->keys[p->n] = key;
    p->values[p->n++] = value;
}

static PGconn *start_with(const struct pgconn_opts *o, const char *replication, const char *sslmode,
                          bool look)
{
    const char *info = conninfo_of(o);
    const char *name = is_conninfo(o->dbname) ? NULL : o->dbname;
    struct params p = {.n = 0};

    /* As the maintenance programs of PostgreSQL do: there may be no database of the user's name. */
    if (info == NULL && name == NULL && os_env("PGDATABASE") == NULL && os_env("PGSERVICE") == NULL)
        param(&p, "dbname", "postgres");
    if (replication != NULL) {
        /* A backup must notice within two minutes that the other side is gone. */
        param(&p, "keepalives_idle", "30");
        param(&p, "keepalives_interval", "15");
        param(&p, "keepalives_count", "6");
    }
    param(&p, "dbname", info); /* the first dbname that holds a connection string is expanded */
    param(&p, "host", o->host);
    param(&p, "port", o->port);
    param(&p, "user", o->user);
    param(&p, "dbname", name);
    param(&p, "sslmode", sslmode);
    if (look)
        param(&p, "target_session_attrs", "none"); /* a wrong value, found before it connects */
    param(&p, "fallback_application_name", "walden");
    param(&p, "replication", replication);
    if (replication != NULL && strcmp(replication, "true") == 0)
        param(&p, "dbname", "replication"); /* no database, but the name ~/.pgpass knows it by */
    return PQconnectStartParams(p.keys, p.values, 1);
}

/*
 * look: only takes in all parameters; the connection is a bad one then.
 *
 * A library without TLS has "disable" as the default, so nobody could tell it from what a
 * connection string or a service file says; here the default is that of a library with TLS,
 * "prefer".
 */
static PGconn *start_connect(const struct pgconn_opts *o, const char *replication,
                             const char *sslmode, bool look)
{
    bool with = !pgconn_has_tls() && os_env("PGSSLMODE") == NULL && os_env("PGREQUIRESSL") == NULL;
    PGconn *pg;

    if (with && !os_env_set("PGSSLMODE", "prefer"))
        return NULL;
    pg = start_with(o, replication, sslmode, look);
    if (with)
        (void)os_env_set("PGSSLMODE", NULL);
    return pg;
}

/* The value in force of one parameter, in out; "" when it has none. */
static void setting(PGconn *pg, const char *key, char *out, size_t cap)
{
    PQconninfoOption *all = PQconninfo(pg);

    out[0] = '\0';
    for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, key) == 0 && o->val != NULL && strlen(o->val) < cap)
            memcpy(out, o->val, strlen(o->val) + 1);
    PQconninfoFree(all);
}

/* connect_timeout in microseconds, from the connection string, environment or service file. */
static int64_t connect_time(const struct pgconn *c)
{
    struct err none = {0};
    uint64_t seconds = CONNECT_SECONDS;
    char text[32];

    setting(c->pg, "connect_timeout", text, sizeof text);
    if (text[0] != '\0' && parse_u64(text, 1, CONNECT_MAX, &seconds, &none) != 0)
        seconds = CONNECT_MAX; /* 0 and less mean for ever */
    return (int64_t)seconds * USEC_PER_SEC;
}

/* ---- what went wrong ---- */

/* The place of "XXXXX: " (an SQLSTATE) behind a severity, or NULL. */
static char *find_state(char *text)
{
    for (char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  "))
        if (strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && p[8] == ':')
            return p + 3;
    return NULL;
}

/* Takes SQLSTATEs (the first into state) and lines about the server's source out of a message. */
static void tidy(char *text, char state[PGCONN_STATE_MAX])
{
    char *at;

    state[0] = '\0';
    while ((at = find_state(text)) != NULL) {
        if (state[0] == '\0') {
            memcpy(state, at, 5);
            state[5] = '\0';
        }
        memmove(at, at + 7, strlen(at + 7) + 1);
    }
    while ((at = strstr(text, "; LOCATION:")) != NULL) {
        size_t n = strcspn(at + 1, ";") + 1;

        memmove(at, at + n, strlen(at + n) + 1);
    }
}

static void hint(const struct pgconn *c, const char *text, const char *state, bool replication,
                 struct err *e)
{
    const char *user = PQuser(c->pg);

    if (user == NULL)
        user = "ROLE";
    if (strcmp(state, "28P01") == 0 || strstr(text, "no password supplied") != NULL)
        (void)err_hint(e, "Put the password of role \"%s\" into ~/.pgpass (mode 0600)%s.", user,
                       replication ? ", with \"replication\" as the database" : "");
    else if (strstr(text, "pg_hba.conf") != NULL && replication)
        (void)err_hint(
            e,
            "Add a line like \"host replication %s ADDRESS scram-sha-256\" (\"local "
            "replication %s peer\" for the socket) to pg_hba.conf and reload the server.",
            user, user);
    else if (strcmp(state, "42501") == 0 && replication)
        (void)err_hint(e, "Run in the server, as a superuser: alter role \"%s\" replication;",
                       user);
    else if (strcmp(state, "53300") == 0 && replication)
        (void)err_hint(e,
                       "Raise max_wal_senders (a backup needs 2 free ones, and wal_level at least "
                       "replica) and restart the server, or end another replication connection.");
    else if (strcmp(state, "57P03") == 0)
        (void)err_hint(e, "The server is starting, stopping or recovering: try again later.");
    else if (pgconn_tls_hint(text) != NULL)
        (void)err_hint(e, "%s", pgconn_tls_hint(text));
    else if (state[0] == '\0') /* nobody has answered */
        (void)err_hint(e, "Start the server, or say where it is: -h, -p, -U, PGHOST, PGPORT.");
}

static int failed(const struct pgconn *c, bool replication, struct err *e)
{
    char text[700];
    char state[PGCONN_STATE_MAX];

    pgconn_one_line(text, sizeof text, PQerrorMessage(c->pg));
    tidy(text, state);
    (void)err_set(e, strstr(text, "not compiled in") != NULL ? ERR_REFUSED : ERR_UNREACHABLE,
                  "could not connect to the server: %s", text);
    hint(c, text, state, replication, e);
    return -1;
}

/* Nobody listens yet, or it said itself that it is starting.  Whom it turned away it turns away
 * again. */
static bool is_starting(const struct pgconn *c)
{
    char text[700];
    char state[PGCONN_STATE_MAX];

    pgconn_one_line(text, sizeof text, PQerrorMessage(c->pg));
    tidy(text, state);
    return state[0] == '\0' || strcmp(state, "57P03") == 0;
}

static int finish_connect(const struct pgconn *c, bool replication, struct err *e)
{
    int64_t deadline = os_mono_us() + connect_time(c);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    (void)PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE); /* with the SQLSTATE, in any language */
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED)
            return failed(c, replication, e);
        if (pgconn_wait(c, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, e) != 0) {
            if (e->code == ERR_TIMEOUT)
                e->code = ERR_UNREACHABLE;
            return -1;
        }
        state = PQconnectPoll(c->pg);
    }
    (void)PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT); /* gives back the old one */
    return 0;
}

static void take_notice(void *arg, const char *message)
{
    const struct pgconn *c = arg;
    char text[700];

    if (c->notice == NULL)
        return;
    pgconn_one_line(text, sizeof text, message);
    c->notice(c->notice_arg, text);
}

/* Begins to connect, unless it would have to be in the clear over a network. */
static int begin(struct pgconn *c, const struct pgconn_opts *o, const char *replication,
                 struct err *e)
{
    PGconn *look = start_connect(o, replication, NULL, true);
    enum pgconn_tls tls = PGCONN_TLS_AS_IS;
    char host[128];

    if (look == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    tls = pgconn_choose_tls(look, host, sizeof host);
    PQfinish(look);
    if (tls == PGCONN_TLS_REFUSED) {
        (void)err_set(e, ERR_REFUSED,
                      "the connection to \"%s\" would not be encrypted: this build has no TLS",
                      host);
        return err_hint(
            e, "Use a socket, an SSH tunnel, a VPN, or the build with TLS (make TLS=1); if "
               "the network between is trusted, say sslmode=disable in the connection string "
               "or PGSSLMODE=disable.");
    }
    c->pg = start_connect(o, replication, tls == PGCONN_TLS_REQUIRE ? "require" : NULL, false);
    if (c->pg == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (PQstatus(c->pg) == CONNECTION_BAD)
        return failed(c, replication != NULL, e);
    (void)PQsetNoticeProcessor(c->pg, take_notice, c); /* libpq's own would print */
    return 0;
}

static int connect_once(struct pgconn **out, const struct pgconn_opts *o, const char *replication,
                        bool *later, struct err *e)
{
    struct pgconn *c = calloc(1, sizeof *c);

    *out = NULL;
    *later = false;
    if (c == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (begin(c, o, replication, e) != 0 || finish_connect(c, replication != NULL, e) != 0)
        goto fail;
    if (PQsetnonblocking(c->pg, 1) != 0) {
        (void)pgconn_lost(c, "could not set up the connection", e);
        goto fail;
    }
    *out = c;
    return 0;
fail:
    *later = c->pg != NULL && e->code == ERR_UNREACHABLE && is_starting(c);
    pgconn_close(c);
    return -1;
}

int pgconn_connect(struct pgconn **out, const struct pgconn_opts *o, const char *replication,
                   struct err *e)
{
    int64_t until = os_mono_us() + (int64_t)o->wait;
    bool later;

    while (connect_once(out, o, replication, &later, e) != 0) {
        if (!later || os_mono_us() >= until)
            return -1;
        err_clear(e);
        if (os_wait_fds(NULL, 0, os_mono_us() + NAP_US, e) < 0)
            return -1;
    }
    return 0;
}

/* ---- for other programs ---- */

static int put_param(struct buf *out, const char *key, const char *value, struct err *e)
{
    if (value == NULL)
        return 0;
    if (buf_fmt(out, e, "%s%s='", out->len == 0 ? "" : " ", key) != 0)
        return -1;
    for (const char *c = value; *c != '\0'; c++)
        if ((*c == '\'' || *c == '\\') ? buf_fmt(out, e, "\\%c", *c) != 0
                                       : buf_add(out, c, 1, e) != 0)
            return -1;
    return buf_str(out, "'", e);
}

/* The parameters of a connection string, but those that o sets itself. */
static int put_info(struct buf *out, const char *info, const struct pgconn_opts *o,
                    const char *dbname, bool *sslmode, struct err *e)
{
    char *why = NULL;
    PQconninfoOption *all = PQconninfoParse(info, &why);
    int rc = 0;

    if (all == NULL) {
        (void)err_set(e, ERR_CONFIG, "the connection string is wrong: %.200s",
                      why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return -1;
    }
    for (PQconninfoOption *i = all; rc == 0 && i->keyword != NULL; i++) {
        if (i->val == NULL || (dbname != NULL && strcmp(i->keyword, "dbname") == 0) ||
            (o->host != NULL && strcmp(i->keyword, "host") == 0) ||
            (o->port != NULL && strcmp(i->keyword, "port") == 0) ||
            (o->user != NULL && strcmp(i->keyword, "user") == 0))
            continue;
        *sslmode = *sslmode || strcmp(i->keyword, "sslmode") == 0;
        if (strcmp(i->keyword, "password") == 0) {
            (void)err_hint(e, "Put the password into ~/.pgpass, or name a file with passfile=.");
            rc = err_set(e, ERR_CONFIG, "a connection string must not hold a password");
        } else {
            rc = put_param(out, i->keyword, i->val, e);
        }
    }
    PQconninfoFree(all);
    return rc;
}

int pgconn_conninfo(struct buf *out, const struct pgconn_opts *o, const struct pgconn *c,
                    const char *dbname, struct err *e)
{
    const char *info = conninfo_of(o);
    char mode[16] = "";
    char host[2];
    bool sslmode = false;

    if (info != NULL && put_info(out, info, o, dbname, &sslmode, e) != 0)
        return -1;
    if (put_param(out, "host", o->host, e) != 0 || put_param(out, "port", o->port, e) != 0 ||
        put_param(out, "user", o->user, e) != 0 || put_param(out, "dbname", dbname, e) != 0)
        return -1;
    if (c == NULL || sslmode || os_env("PGSSLMODE") != NULL)
        return 0;
    (void)pgconn_choose_tls(c->pg, host, sizeof host);
    if (host[0] == '\0')
        return 0;
    setting(c->pg, "sslmode", mode, sizeof mode);
    return mode[0] == '\0' ? 0 : put_param(out, "sslmode", mode, e);
}

#include "pgtool.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"

enum {
    NEWEST_MAJOR = 30, /* how far to look for clients newer than the server */
    OLDEST_MAJOR = 13,
    STEP = 4096, /* what a pipe takes without blocking once it is writable */
    LAST_WORDS_US = 2 * 1000 * 1000,
    ASK_SECONDS = 60
};

/* --- arguments --- */

int pgtool_arg(struct pgtool_args *a, const char *text, struct err *e)
{
    if (a->n == PGTOOL_ARGS_MAX)
        return err_set(e, ERR_USAGE, "too many arguments for a program of PostgreSQL");
    a->v[a->n++] = text;
    a->v[a->n] = NULL;
    return 0;
}

int pgtool_begin(struct pgtool_args *a, const struct pgtool *t, const char *program, struct err *e)
{
    a->n = 0;
    a->env = NULL;
    a->as = NULL;
    for (size_t i = 0; t->runner != NULL && i < t->runner->n; i++)
        if (pgtool_arg(a, t->runner->v[i], e) != 0)
            return -1;
    if (t->bin[0] == '\0')
        return pgtool_arg(a, program, e);
    return place_join(a->path, t->bin, program, e) == 0 ? pgtool_arg(a, a->path, e) : -1;
}

/* --- a run --- */

int pgtool_start(struct pgtool_run *r, const struct pgtool_args *a, const char *program, int in,
                 int out, struct err *e)
{
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;

    r->proc = (struct os_proc)OS_PROC_INIT;
    r->program = program;
    r->deadline_us = 0;
    r->said_len = 0;
    r->said_more = false;
    r->said[0] = '\0';
    spec.argv = a->v;
    spec.env = a->env;
    spec.in = in;
    spec.out = out;
    spec.err = OS_PROC_PIPE;
    spec.die_with_us = true;
    if (a->as != NULL) {
        spec.drop_user = a->as->change;
        spec.uid = a->as->uid;
        spec.gid = a->as->gid;
    }
    spec.own_group = true; /* a terminal's ^C reaches it through us */
    if (os_proc_spawn(&r->proc, &spec, e) == 0)
        return 0;
    if (e->sys == ENOENT)
        (void)err_hint(e, "Install it, set pg_bin to its folder, or correct the runner.");
    return -1;
}

/* Keeps the last of what it says. */
static void keep_said(struct pgtool_run *r, const char *bytes, size_t n)
{
    size_t room = PGTOOL_SAID_MAX - r->said_len;

    if (n > room) {
        size_t drop = n - room;

        memmove(r->said, r->said + drop, r->said_len - drop);
        r->said_len -= drop;
        r->said_more = true;
    }
    memcpy(r->said + r->said_len, bytes, n);
    r->said_len += n;
    r->said[r->said_len] = '\0';
}

int pgtool_listen(struct pgtool_run *r, struct err *e)
{
    char piece[STEP];
    size_t got = 0;

    if (os_read(r->proc.err, piece, sizeof piece, &got, r->program, e) != 0)
        return -1;
    if (got == 0)
        os_drop(&r->proc.err);
    keep_said(r, piece, got);
    return 0;
}

int pgtool_read(struct pgtool_run *r, pgtool_take *fn, void *arg, struct err *e)
{
    static uint8_t piece[PGTOOL_PIECE];

    for (;;) {
        struct os_wait w[2] = {{r->proc.out, POLLIN, false}, {r->proc.err, POLLIN, false}};
        size_t got = 0;
        int rc = os_wait_fds(w, 2, r->deadline_us, e);

        if (rc == OS_BUSY)
            return err_set(e, ERR_TIMEOUT, "%s did not end in time", r->program);
        if (rc != 0 || (w[1].ready && pgtool_listen(r, e) != 0))
            return -1;
        if (!w[0].ready)
            continue;
        if (os_read(r->proc.out, piece, sizeof piece, &got, r->program, e) != 0)
            return -1;
        if (got == 0)
            break;
        if (fn(arg, piece, got, e) != 0)
            return -1;
    }
    os_drop(&r->proc.out);
    return 0;
}

int pgtool_write(struct pgtool_run *r, const uint8_t *bytes, size_t len, struct err *e)
{
    while (len > 0) {
        struct os_wait w[2] = {{r->proc.in, POLLOUT, false}, {r->proc.err, POLLIN, false}};
        size_t n = len < STEP ? len : (size_t)STEP;
        struct err why = {0};

        if (os_wait_fds(w, 2, 0, e) != 0 || (w[1].ready && pgtool_listen(r, e) != 0))
            return -1;
        if (!w[0].ready)
            continue;
        if (os_write_full(r->proc.in, bytes, n, r->program, &why) != 0) {
            if (why.sys == EPIPE)
                return 1;
            *e = why;
            return -1;
        }
        bytes += n;
        len -= n;
    }
    return 0;
}

int pgtool_close_input(struct pgtool_run *r, struct err *e)
{
    return r->proc.in < 0 ? 0 : os_close(&r->proc.in, r->program, e);
}

static bool said(const struct pgtool_run *r, const char *text)
{
    return strstr(r->said, text) != NULL;
}

static void hint_for(const struct pgtool_run *r, struct err *e)
{
    if (said(r, "server version mismatch"))
        (void)err_hint(e, "Use client programs of the server's version: set pg_bin, or a runner.");
    else if (said(r, "no password supplied") || said(r, "password authentication failed"))
        (void)err_hint(e,
                       "Put the password into ~/.pgpass (mode 0600) of the user that runs this.");
    else if (said(r, "the input device is not a TTY"))
        (void)err_hint(e, "Write exec -T (compose) or exec -i, without t, in the runner.");
    else if (said(r, "No such container") || said(r, "is not running") ||
             said(r, "no such service"))
        (void)err_hint(e, "Start the container, or correct the runner.");
    else if (said(r, "permission denied"))
        (void)err_hint(e, "Give the role the right to read, like membership in pg_read_all_data.");
    else if (said(r, "lock timeout"))
        (void)err_hint(e, "Something else holds a lock on that table; try again later.");
}

static int explain(const struct pgtool_run *r, struct err *e)
{
    bool unreachable = said(r, "connection to server") || said(r, "could not connect to server") ||
                       said(r, "Is the server running");
    char words[512];

    text_last_words(words, sizeof words, r->said);
    if (r->proc.signal != 0)
        (void)err_set(e, ERR_IO, "%s was killed by %s%s%s", r->program,
                      os_signal_name(r->proc.signal), words[0] == '\0' ? "" : "; it said: ", words);
    else
        (void)err_set(e, unreachable ? ERR_UNREACHABLE : ERR_IO,
                      "%s failed with exit status %d%s%s", r->program, r->proc.exit_code,
                      words[0] == '\0' ? "" : ": ", words);
    hint_for(r, e);
    return r->proc.exit_code == 0 ? 1 : r->proc.exit_code;
}

int pgtool_end(struct pgtool_run *r, int64_t deadline_us, struct err *e)
{
    int rc;

    os_drop(&r->proc.in);
    /* It may close its output long before its end, and go on talking. */
    while (r->proc.err >= 0) {
        rc = os_wait_fd(r->proc.err, POLLIN, deadline_us, e);
        if (rc == OS_BUSY)
            return err_set(e, ERR_TIMEOUT, "%s did not end in time", r->program);
        if (rc != 0 || pgtool_listen(r, e) != 0)
            return -1;
    }
    rc = os_proc_wait(&r->proc, deadline_us, e);
    if (rc == OS_BUSY)
        return err_set(e, ERR_TIMEOUT, "%s did not end in time", r->program);
    if (rc != 0)
        return -1;
    return r->proc.exit_code == 0 && r->proc.signal == 0 ? 0 : explain(r, e);
}

void pgtool_fini(struct pgtool_run *r)
{
    struct err none = {0};

    os_drop(&r->proc.in);
    os_drop(&r->proc.out);
    os_drop(&r->proc.err);
    if (r->proc.running) {
        os_proc_kill(&r->proc, SIGTERM); /* pg_dump then cancels its query */
        os_signal_forget();
        (void)!os_proc_wait(&r->proc, os_mono_us() + LAST_WORDS_US, &none);
    }
    os_proc_fini(&r->proc);
}

struct text {
    char *out;
    size_t cap;
    size_t len;
};

static int take_text(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct text *t = arg;
    size_t n = t->cap - 1 - t->len < len ? t->cap - 1 - t->len : len;

    (void)e;
    memcpy(t->out + t->len, bytes, n);
    t->len += n;
    t->out[t->len] = '\0';
    return 0;
}

int pgtool_capture(const struct pgtool_args *a, const char *program, char *out, size_t cap,
                   struct err *e)
{
    static struct pgtool_run r;
    struct text t = {out, cap, 0};
    int rc;

    out[0] = '\0';
    rc = pgtool_start(&r, a, program, OS_PROC_NULL, OS_PROC_PIPE, e);
    if (rc == 0)
        rc = pgtool_read(&r, take_text, &t, e);
    if (rc == 0)
        rc = pgtool_end(&r, os_mono_us() + ASK_SECONDS * USEC_PER_SEC, e);
    pgtool_fini(&r);
    return rc;
}

/* --- which one --- */

/* "pg_dump (PostgreSQL) 17.6 (Debian ...)": 0 when it says nothing of the kind. */
static bool take_version(struct pgtool *t, const char *text)
{
    const char *at = strstr(text, "(PostgreSQL) ");
    uint32_t part[2] = {0, 0};
    size_t n;

    if (at == NULL)
        return false;
    at += strlen("(PostgreSQL) ");
    n = strspn(at, "0123456789.");
    (void)snprintf(t->version_text, sizeof t->version_text, "%.*s", (int)(n < 31 ? n : 31), at);
    for (int i = 0; i < 2; i++) {
        for (; *at >= '0' && *at <= '9' && part[i] < 10000; at++)
            part[i] = part[i] * 10 + (uint32_t)(*at - '0');
        at += *at == '.' ? 1 : 0;
    }
    t->version = part[0] * 10000 + part[1];
    return part[0] != 0;
}

/* The version of the program that t would run: 0, 1 when there is none, -1. */
static int ask(struct pgtool *t, const char *program, struct err *e)
{
    struct pgtool_args a;
    char text[256];
    int rc;

    if (pgtool_begin(&a, t, program, e) != 0 || pgtool_arg(&a, "--version", e) != 0)
        return -1;
    rc = pgtool_capture(&a, program, text, sizeof text, e);
    if (rc != 0)
        return rc < 0 && e->sys == ENOENT ? 1 : -1;
    if (take_version(t, text))
        return 0;
    return err_set(e, ERR_CONFIG, "\"%s --version\" does not say which version it is: %.80s",
                   program, text);
}

static bool is_there(struct pgtool *t, const char *program)
{
    struct err none = {0};
    struct stat st;
    char path[PLACE_MAX];

    return place_join(path, t->bin, program, &none) == 0 && os_stat(path, &st, &none) == 0 &&
           ask(t, program, &none) == 0;
}

/* In the usual places: the server's own major first, then the next newer one. */
static bool find_usual(struct pgtool *t, const char *program, unsigned from)
{
    static const char *const usual[] = {"/usr/lib/postgresql/%u/bin", "/usr/pgsql-%u/bin",
                                        "/usr/local/pgsql-%u/bin"};

    for (unsigned major = from; major <= NEWEST_MAJOR; major++)
        for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
            const char *gap = strstr(usual[i], "%u");

            (void)snprintf(t->bin, sizeof t->bin, "%.*s%u%s", (int)(gap - usual[i]), usual[i],
                           major, gap + 2);
            if (is_there(t, program) && t->version / 10000 >= from)
                return true;
        }
    t->bin[0] = '\0';
    return false;
}

static int too_old(const struct pgtool *t, const char *program, uint32_t server, struct err *e)
{
    unsigned major = server / 10000;

    (void)err_set(e, ERR_CONFIG,
                  "%s%s%s is of PostgreSQL %s, the server is %u: it cannot dump a "
                  "newer server",
                  t->bin, t->bin[0] == '\0' ? "" : "/", program, t->version_text, major);
    if (t->runner != NULL && t->runner->n > 0)
        return err_hint(e,
                        "Let the runner run it where the client programs of %u are: in the "
                        "database's own container.",
                        major);
    return err_hint(e,
                    "Install the client programs of %u (postgresql-client-%u), set pg_bin to their "
                    "folder, or set a runner like \"docker compose exec -T db\".",
                    major, major);
}

/* The programs of the server may be in a folder of their own, which pg_bin names for their sake. */
static bool has_server(const char *dir)
{
    struct err none = {0};
    struct stat st;
    char path[PLACE_MAX];

    return place_join(path, dir, "postgres", &none) == 0 && os_stat(path, &st, &none) == 0;
}

int pgtool_find(struct pgtool *t, const struct words *runner, const char *pg_bin,
                const char *program, uint32_t server, struct err *e)
{
    unsigned major = server == 0 ? OLDEST_MAJOR : server / 10000;
    int rc;

    memset(t, 0, sizeof *t);
    t->runner = runner;
    if (runner != NULL && runner->n > 0) {
        rc = ask(t, program, e);
        if (rc > 0)
            rc = -1;
        return rc == 0 && t->version / 10000 < major ? too_old(t, program, server, e) : rc;
    }
    if (pg_bin != NULL) {
        (void)snprintf(t->bin, sizeof t->bin, "%s", pg_bin);
        rc = ask(t, program, e);
        if (rc == 0)
            return t->version / 10000 < major ? too_old(t, program, server, e) : 0;
        if (rc < 0 || !has_server(pg_bin))
            return -1;
        err_clear(e);
        t->bin[0] = '\0';
    }
    if (server != 0 && find_usual(t, program, major))
        return 0;
    rc = ask(t, program, e);
    if (rc == 0 && t->version / 10000 >= major)
        return 0;
    if (rc == 0)
        return too_old(t, program, server, e);
    if (find_usual(t, program, major)) {
        err_clear(e);
        return 0;
    }
    return -1;
}

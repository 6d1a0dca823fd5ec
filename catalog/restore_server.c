#include "restore_server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/signal.h"
#include "os/time.h"
#include "os/tty.h"

enum {
    VERSION_MAX = 128,
    LOOK_US = 50 * 1000,
    STOP_US = 60 * 1000 * 1000,
    CONF_MAX = 16 * 1024,
    ARGS_MAX = 64
};

void restore_server_init(struct restore_server *s)
{
    memset(s, 0, sizeof *s);
    s->root = (struct os_root)OS_ROOT_INIT;
    s->proc = (struct os_proc)OS_PROC_INIT;
    s->fd = -1;
}

/* --- the programs --- */

/* Is the program in this folder of such a major version? */
static bool is_major(const char *dir, const char *program, uint32_t least, uint32_t most)
{
    char path[PLACE_MAX];
    const char *argv[] = {path, "--version", NULL};
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    char text[VERSION_MAX] = "";
    size_t got = 0;
    struct stat st;
    struct err quiet = {0};
    uint64_t found = 0;
    const char *at;

    if (place_join(path, dir, program, &quiet) != 0 || os_stat(path, &st, &quiet) != 0)
        return false;
    spec.argv = argv;
    spec.in = spec.err = OS_PROC_NULL;
    spec.out = OS_PROC_PIPE;
    if (os_proc_spawn(&proc, &spec, &quiet) == 0 &&
        os_read_full(proc.out, text, sizeof text - 1, &got, path, &quiet) == 0)
        (void)!os_proc_wait(&proc, os_mono_us() + STOP_US, &quiet); /* its words are what counts */
    os_proc_fini(&proc);
    at = strstr(text, "(PostgreSQL) ");
    if (at == NULL)
        return false;
    for (at += strlen("(PostgreSQL) "); *at >= '0' && *at <= '9' && found < 1000; at++)
        found = 10 * found + (uint64_t)(*at - '0');
    return found >= least && found <= most;
}

static bool in_path(const char *path, const char *program, uint32_t least, uint32_t most,
                    char out[PLACE_MAX])
{
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");

        if (*path == '/' && len < PLACE_MAX) {
            memcpy(out, path, len);
            out[len] = '\0';
            if (is_major(out, program, least, most))
                return true;
        }
        path += len + (path[len] == ':' ? 1 : 0);
    }
    return false;
}

int restore_programs(const struct settings *s, const char *program, uint32_t least, uint32_t most,
                     char out[PLACE_MAX], struct err *e)
{
    static const char *const usual[] = {"/usr/lib/postgresql/%u/bin", "/usr/pgsql-%u/bin",
                                        "/usr/local/pgsql-%u/bin"};

    if (s->pg_bin != NULL) {
        (void)snprintf(out, PLACE_MAX, "%s", s->pg_bin);
        if (is_major(out, program, least, most))
            return 0;
    }
    if (in_path(os_env("PATH"), program, least, most, out))
        return 0;
    for (uint32_t major = least; major <= most; major++)
        for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
            const char *gap = strstr(usual[i], "%u");

            (void)snprintf(out, PLACE_MAX, "%.*s%u%s", (int)(gap - usual[i]), usual[i],
                           (unsigned)major, gap + 2);
            if (is_major(out, program, major, major))
                return 0;
        }
    (void)err_set(e, ERR_CONFIG, "no %s of PostgreSQL %u was found", program, (unsigned)least);
    return err_hint(e, "Install it, or set pg_bin to its folder.");
}

/* --- its own folder --- */

static int open_dir(struct restore_server *run, struct err *e)
{
    int rc = os_root_open(&run->root, run->dir, e);

    return rc > 0 ? err_set(e, ERR_IO, "directory \"%s\" does not exist", run->dir) : rc;
}

static int put(const struct restore_server *run, const char *name, const char *text, struct err *e)
{
    char path[PLACE_MAX];

    if (place_join(path, run->dir, name, e) != 0)
        return -1;
    return place_put(path, text, strlen(text), 0600, true, &run->owner, e) < 0 ? -1 : 0;
}

static unsigned at_least(uint32_t value, unsigned least)
{
    return value < least ? least : value;
}

static int read_control(const char *data, struct control *out, struct err *e)
{
    char path[PLACE_MAX];
    uint8_t bytes[CONTROL_SIZE];
    size_t got = 0;
    int fd = -1;
    int rc = place_join(path, data, UNPACK_CONTROL, e);

    if (rc == 0)
        rc = os_open(path, O_RDONLY, 0, &fd, e);
    if (rc == 0)
        rc = os_read_full(fd, bytes, sizeof bytes, &got, path, e);
    os_drop(&fd);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_IO, "\"%s\" is gone", path);
    return control_parse(bytes, got, out, e);
}

/* Recovery refuses to run with less than the original had. */
static int write_conf(const struct restore_server *run, struct err *e)
{
    const struct control *c = &run->control;
    char text[CONF_MAX];

    (void)snprintf(text, sizeof text,
                   "# What walden restore --start runs the copy with.\n"
                   "max_connections = %u\n"
                   "max_worker_processes = %u\n"
                   "max_wal_senders = %u\n"
                   "max_prepared_transactions = %u\n"
                   "max_locks_per_transaction = %u\n"
                   "shared_buffers = 64MB\n"
                   "wal_level = replica\n",
                   at_least(c->max_connections, 20), at_least(c->max_worker_processes, 8),
                   at_least(c->max_wal_senders, 4), at_least(c->max_prepared_xacts, 0),
                   at_least(c->max_locks_per_xact, 64));
    if (put(run, "postgresql.conf", text, e) != 0 ||
        put(run, "pg_hba.conf", "local all all trust\n", e) != 0)
        return -1;
    return put(run, "pg_ident.conf", "", e);
}

static int start_server(struct restore_server *run, struct err *e)
{
    /* On the command line, where postgresql.auto.conf does not beat it.  Whatever the original had
     * set, the copy reaches nobody: subscriptions would fetch in the original's place. */
    static const char *const fixed[] = {"listen_addresses=",
                                        ("port=" RESTORE_PORT),
                                        "unix_socket_permissions=0700",
                                        "archive_mode=off",
                                        "archive_command=",
                                        "primary_conninfo=",
                                        "primary_slot_name=",
                                        "max_logical_replication_workers=0",
                                        "hot_standby=on",
                                        "ssl=off",
                                        "shared_preload_libraries=",
                                        "session_preload_libraries=",
                                        "local_preload_libraries=",
                                        "logging_collector=off",
                                        "log_destination=stderr",
                                        "log_line_prefix=",
                                        "log_min_messages=warning",
                                        "log_timezone=UTC",
                                        "lc_messages=C"};
    char program[PLACE_MAX];
    char file[4][PLACE_MAX + 32];
    const char *argv[ARGS_MAX];
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    size_t n = 0;
    int fd = -1;
    int rc;

    (void)snprintf(file[0], sizeof file[0], "config_file=%s/postgresql.conf", run->dir);
    (void)snprintf(file[1], sizeof file[1], "hba_file=%s/pg_hba.conf", run->dir);
    (void)snprintf(file[2], sizeof file[2], "ident_file=%s/pg_ident.conf", run->dir);
    (void)snprintf(file[3], sizeof file[3], "unix_socket_directories=%s", run->dir);
    if (place_join(program, run->bin, "postgres", e) != 0 ||
        place_join(run->log, run->dir, "log", e) != 0)
        return -1;
    argv[n++] = program;
    argv[n++] = "-D";
    argv[n++] = run->data;
    for (size_t i = 0; i < 4; i++) {
        argv[n++] = "-c";
        argv[n++] = file[i];
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        argv[n++] = "-c";
        argv[n++] = fixed[i];
    }
    if (run->major >= 15) {
        argv[n++] = "-c";
        argv[n++] = "archive_library=";
    }
    argv[n] = NULL;
    rc = os_root_at(&run->root, "log.new", O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600, &fd, e);
    if (rc == 0) /* the server's processes hold it as long as they live: see restore_run.c */
        rc = os_lock(fd, OS_LOCK_EXCLUSIVE, false, run->log, e) < 0 ? -1 : 0;
    if (rc == 0 && run->owner.change)
        rc = os_chown(fd, run->owner.uid, run->owner.gid, run->log, e);
    if (rc == 0)
        rc = os_root_rename(&run->root, "log.new", "log", e);
    if (rc == 0)
        rc = os_root_at(&run->root, "log", O_RDONLY, 0, &run->fd, e);
    spec.argv = argv;
    spec.cwd = run->data;
    spec.in = OS_PROC_NULL;
    spec.out = spec.err = fd;
    spec.own_group = true; /* a Ctrl-C is ours to pass on */
    spec.die_with_us = run->ours;
    spec.drop_user = run->owner.change;
    spec.uid = run->owner.uid;
    spec.gid = run->owner.gid;
    if (rc == 0)
        rc = os_proc_spawn(&run->proc, &spec, e);
    os_drop(&fd);
    return rc == 0 ? 0 : -1;
}

/* --- what it says --- */

static bool says(const char *line, const char *what)
{
    return strstr(line, what) != NULL;
}

static void keep(char out[RESTORE_LOG_LINE], const char *line)
{
    const char *at = strstr(line, ":  ");

    (void)snprintf(out, RESTORE_LOG_LINE, "%s", at == NULL ? line : at + 3);
}

static void take_line(struct restore_server *run, const char *line)
{
    if (says(line, "recovery stopping ")) {
        keep(run->stop, line);
    } else if (says(line, "last completed transaction was at log time")) {
        keep(run->last, line);
    } else if (says(line, "restored log file ")) {
        run->segments++;
    } else if (says(line, "pausing at the end of recovery")) {
        run->reached = run->paused = true;
    } else if (says(line, "hot standby is not possible because")) {
        run->lacks = true;
        keep(run->fatal, line);
    } else if (run->lacks && says(line, "recovery has paused")) {
        run->stuck = true; /* somewhere on the way, not at the target */
    } else if (says(line, "database system is ready to accept connections")) {
        run->reached = run->promoted = true;
    } else if (says(line, "shutdown at recovery target")) {
        run->reached = run->shut_down = true;
    } else if (strncmp(line, "FATAL:", 6) == 0 || strncmp(line, "PANIC:", 6) == 0) {
        keep(run->fatal, line);
    } else if (says(line, "walden-restore: error: ") || says(line, "walden-restore: hint: ")) {
        if (run->fatal[0] == '\0')
            (void)snprintf(run->fatal, sizeof run->fatal, "%s", line);
    }
}

/* Reads what came since. */
static int read_log(struct restore_server *run, struct err *e)
{
    char piece[4096];
    size_t got;

    do {
        if (os_read(run->fd, piece, sizeof piece, &got, run->log, e) != 0)
            return -1;
        for (size_t i = 0; i < got; i++) {
            if (piece[i] == '\n') {
                run->line[run->held] = '\0';
                take_line(run, run->line);
                run->held = 0;
            } else if (run->held + 1 < sizeof run->line) {
                run->line[run->held++] = piece[i];
            }
        }
    } while (got > 0);
    return 0;
}

void restore_server_stop(struct restore_server *run)
{
    struct err quiet = {0};

    if (!run->proc.running)
        return;
    os_signal_forget();
    os_proc_kill(&run->proc, SIGINT);
    if (os_proc_wait(&run->proc, os_mono_us() + STOP_US, &quiet) != 0)
        os_proc_kill(&run->proc, SIGQUIT);
    os_proc_fini(&run->proc);
}

static int ended(const struct restore_server *run, struct err *e)
{
    char why[RESTORE_LOG_LINE];

    if (run->shut_down)
        return 0;
    (void)text_visible(why, 400, run->fatal, strlen(run->fatal));
    (void)err_set(e, ERR_IO, "the server ended (status %d) before it had reached the target: %s",
                  run->proc.exit_code, *why == '\0' ? "see its log" : why);
    if (run->ours)
        return -1;
    return err_hint(e, "Its log is %s; the copy is complete, and a start of it goes on.", run->log);
}

/* --- what recovery demands may grow on the way --- */

static bool is_more(const struct control *a, const struct control *b)
{
    return a->max_connections > b->max_connections ||
           a->max_worker_processes > b->max_worker_processes ||
           a->max_wal_senders > b->max_wal_senders ||
           a->max_prepared_xacts > b->max_prepared_xacts ||
           a->max_locks_per_xact > b->max_locks_per_xact;
}

static int end_server(struct restore_server *run, struct err *e)
{
    if (!run->proc.running)
        return 0;
    os_proc_kill(&run->proc, SIGINT);
    if (os_proc_wait(&run->proc, os_mono_us() + STOP_US, e) == 0)
        return 0;
    restore_server_stop(run);
    return err_set(e, ERR_IO, "the server does not stop");
}

/*
 * The WAL says that the original was given more of something after the backup: a server that can be
 * read ends there (13), or pauses for ever (14 and later).  It has written into pg_control what it
 * lacks, so the next start, which goes on near there, has enough.
 */
static int start_larger(struct restore_server *run, struct err *e)
{
    struct control now;
    char why[RESTORE_LOG_LINE];

    (void)text_visible(why, 400, run->fatal, strlen(run->fatal));
    if (end_server(run, e) != 0 || read_control(run->data, &now, e) != 0)
        return -1;
    if (!is_more(&now, &run->control))
        return err_set(e, ERR_IO, "recovery cannot go on: %s", why);
    run->control = now;
    return restore_server_run(run, e);
}

/* Until the target is reached, the server ends, or somebody interrupts. */
int restore_server_wait(struct restore_server *run, struct err *e)
{
    bool shows = os_tty_is(STDERR_FILENO);
    int rc = 0;

    while (!run->reached) {
        int gone;

        if (os_signal_check(e) != 0) {
            restore_server_stop(run);
            return err_context(e, "while recovery was running; the server was stopped");
        }
        if (run->beat != NULL && run->beat(run->arg, e) != 0) {
            /* The WAL may go under its feet: say so, and go on. */
            msg_warn_err(run->m, e);
            err_clear(e);
            run->beat = NULL;
        }
        gone = os_proc_wait(&run->proc, os_mono_us() + LOOK_US, e);
        if (gone < 0 && e->code == ERR_INTERRUPTED) {
            err_clear(e);
            continue;
        }
        if (read_log(run, e) != 0)
            return -1;
        if (shows && run->expected > 0)
            fprintf(stderr, "\rrecovery: %llu of %llu segments", (unsigned long long)run->segments,
                    (unsigned long long)run->expected);
        if (run->lacks && (gone == 0 || run->stuck)) {
            if (start_larger(run, e) != 0)
                return -1;
        } else if (gone == 0) {
            rc = ended(run, e);
            break;
        }
    }
    if (shows)
        fprintf(stderr, "\r%60s\r", "");
    return rc;
}

static int beat(void *arg, struct err *e)
{
    return restore_beat(arg, e);
}

/* What an earlier run on the same folder left. */
static void forget(struct restore_server *s)
{
    struct err quiet = {0};

    os_drop(&s->fd);
    s->held = 0;
    s->segments = 0;
    s->reached = s->paused = s->promoted = s->shut_down = s->lacks = s->stuck = false;
    s->stop[0] = s->last[0] = s->fatal[0] = '\0';
    if (s->root.fd < 0)
        return;
    /* What cannot be removed is in the way, and said so. */
    (void)os_root_unlink(&s->root, "log", 0, &quiet);
    (void)os_root_unlink(&s->root, "log.new", 0, &quiet);
}

int restore_server_run(struct restore_server *s, struct err *e)
{
    forget(s);
    if (restore_programs(s->settings, "postgres", s->major, s->major, s->bin, e) != 0 ||
        (s->dir[0] == '\0' && restore_run_make(s, e) != 0) ||
        (s->root.fd < 0 && open_dir(s, e) != 0) || write_conf(s, e) != 0)
        return -1;
    return start_server(s, e);
}

int restore_server_start(struct restore *r, struct restore_server *s, struct err *e)
{
    s->m = r->m;
    s->settings = r->s;
    s->owner = r->owner;
    s->major = restore_backup(r)->version / 10000;
    s->expected = r->plan.segments;
    s->beat = beat;
    s->arg = r;
    memcpy(s->data, r->dir, sizeof s->data);
    return read_control(s->data, &s->control, e) == 0 ? restore_server_run(s, e) : -1;
}

int restore_server_connect(const struct restore_server *s, const char *database, struct pgconn **c,
                           const char **user, struct err *e)
{
    const char *users[] = {os_env("PGUSER"), "postgres"};

    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        const struct pgconn_opts o = {
            .host = s->dir, .port = RESTORE_PORT, .user = users[i], .dbname = database};

        if (users[i] == NULL)
            continue;
        err_clear(e);
        if (pgconn_open(c, &o, e) == 0) {
            *user = users[i];
            return 0;
        }
    }
    return -1;
}

void restore_server_fini(struct restore_server *s)
{
    os_drop(&s->fd);
    os_root_close(&s->root);
}

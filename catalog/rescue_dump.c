#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "finder.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/time.h"
#include "rescue.h"
#include "survey.h"

enum { ASK_US = 60 * 1000 * 1000, PARTS_MAX = 4096, SQL_MAX = 1024, SAID_MAX = 4096 };

int rescue_output(struct rescue *x, struct err *e)
{
    struct stat st;
    int rc;

    if (place_absolute(x->out_path, x->o->output, e) != 0)
        return -1;
    x->out_name = place_split(x->out_dir, x->out_path);
    rc = os_root_open(&x->out, x->out_dir, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_USAGE, "directory \"%s\" does not exist", x->out_dir);
    rc = os_root_stat(&x->out, x->out_name, &st, e);
    if (rc == 0)
        return err_set(e, ERR_REFUSED, "\"%s\" exists", x->out_path);
    return rc < 0 ? -1 : 0;
}

/* --- which tables --- */

/* Quoted, so that no letter of a name is special. */
int rescue_tables(const struct rescue *x, struct pgconn_rows **rows, const char **user,
                  struct err *e)
{
    const struct find_candidate *c = restore_before_what(x->r);
    struct pgconn *conn = NULL;
    char sql[SQL_MAX];
    int rc;

    (void)snprintf(
        sql, sizeof sql,
        "with recursive t(oid) as (select %u::oid union select inhrelid from pg_inherits "
        "join t on inhparent = t.oid) select '\"' || replace(nspname, '\"', '\"\"') || "
        "'\".\"' || replace(relname, '\"', '\"\"') || '\"' from t join pg_class c on c.oid = t.oid "
        "join "
        "pg_namespace n on n.oid = relnamespace",
        (unsigned)c->oid);
    if (restore_server_connect(&x->server, c->database, &conn, user, e) != 0)
        return -1;
    rc = pgconn_query(conn, sql, os_mono_us() + ASK_US, rows, e);
    pgconn_close(conn);
    if (rc == 0 && pgconn_rows_count(*rows) == 0)
        rc = err_set(e, ERR_DAMAGED, "the table is not in the copy");
    if (rc == 0 && pgconn_rows_count(*rows) > PARTS_MAX)
        rc = err_set(e, ERR_REFUSED, "the table has more than %d partitions", (int)PARTS_MAX);
    return rc;
}

/* --- the programs --- */

/* The first lines that a program said, for the error. */
static void said(const struct rescue *x, char out[SAID_MAX])
{
    char path[PLACE_MAX];
    char *text = NULL;
    size_t len = 0;
    struct err quiet = {0};

    out[0] = '\0';
    if (place_join(path, x->scratch.run, "said", &quiet) == 0 &&
        os_read_small(path, SAID_MAX * 16, &text, &len, &quiet) == 0) {
        text[strcspn(text, "\n")] = '\0';
        (void)text_visible(out, ERR_MSG_MAX / 2, text, strlen(text));
    }
    free(text);
}

/* Runs a program to its end, its output into `out`. */
static int run(struct rescue *x, const char *const *argv, int out, struct err *e)
{
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    char text[SAID_MAX];
    int fd = -1;
    int rc = os_root_at(&x->server.root, "said", O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, e);

    spec.argv = argv;
    spec.in = OS_PROC_NULL;
    spec.out = out;
    spec.err = fd;
    spec.die_with_us = true;
    if (rc == 0)
        rc = os_proc_spawn(&proc, &spec, e);
    os_drop(&fd);
    if (rc == 0)
        rc = os_proc_wait(&proc, 0, e);
    if (rc == 0 && proc.exit_code != 0) {
        said(x, text);
        rc = err_set(e, ERR_IO, "\"%s\" failed (status %d): %s", argv[0], proc.exit_code, text);
    }
    os_proc_fini(&proc);
    return rc == 0 ? 0 : -1;
}

static int find_program(const struct rescue *x, const char *name, char out[PLACE_MAX],
                        struct err *e)
{
    enum { LATEST = 99 };
    uint32_t major = restore_backup(x->r)->version / 10000;
    struct err why = {0};
    char dir[PLACE_MAX];

    /* The server's own major where that is there: older pg_restore do not read newer dumps. */
    if (restore_programs(x->r->s, name, major, major, dir, &why) != 0) {
        if (restore_programs(x->r->s, name, major + 1, LATEST, dir, e) != 0) {
            *e = why;
            return -1;
        }
        msg_note(x->r->m, "there is no %s of PostgreSQL %u; the one in %s is newer", name,
                 (unsigned)major, dir);
    }
    return place_join(out, dir, name, e);
}

/* The name of a database, which may look like a connection string, as one that names it. */
static void connection(const char *name, char *out, size_t cap)
{
    size_t at = (size_t)snprintf(out, cap, "dbname='");

    for (; *name != '\0' && at + 4 < cap; name++) {
        if (*name == '\'' || *name == '\\')
            out[at++] = '\\';
        out[at++] = *name;
    }
    out[at++] = '\'';
    out[at] = '\0';
}

static int dump(struct rescue *x, struct pgconn_rows *rows, const char *user, int fd, struct err *e)
{
    const struct find_candidate *c = restore_before_what(x->r);
    size_t n = pgconn_rows_count(rows);
    const char **argv = calloc(2 * n + 16, sizeof *argv);
    char program[PLACE_MAX];
    char base[2 * FIND_IDENT_MAX + 16];
    size_t at = 0;
    int rc;

    connection(c->database, base, sizeof base);
    if (argv == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a command line");
    rc = find_program(x, "pg_dump", program, e);
    argv[at++] = program;
    argv[at++] = "-Fc";
    argv[at++] = "--no-password";
    argv[at++] = "-h";
    argv[at++] = x->server.dir;
    argv[at++] = "-p";
    argv[at++] = RESTORE_PORT;
    argv[at++] = "-U";
    argv[at++] = user;
    for (size_t i = 0; i < n; i++) {
        argv[at++] = "-t";
        argv[at++] = pgconn_value(rows, i, 0);
    }
    argv[at++] = base;
    if (rc == 0)
        rc = run(x, argv, fd, e);
    free(argv);
    return rc;
}

/* pg_restore reads all of it: the only proof that it can be put back. */
static int read_back(struct rescue *x, struct err *e)
{
    char program[PLACE_MAX];
    char copy[PLACE_MAX];
    const char *argv[] = {program, "-f", "/dev/null", copy, NULL};

    if (place_join(copy, x->scratch.run, "dump", e) != 0 ||
        find_program(x, "pg_restore", program, e) != 0)
        return -1;
    return run(x, argv, OS_PROC_NULL, e);
}

/* --- to its place --- */

/* Copies what was proven; a crash before the commit leaves a temporary file, a crash behind it the
 * whole dump. */
static int publish(struct rescue *x, uint64_t *size, struct err *e)
{
    const struct publish_opts how = {.mode = 0600};
    struct publish p = PUBLISH_INIT;
    uint8_t *piece = malloc(OBJECT_IO);
    size_t got = 1;
    int fd = -1;
    int rc = piece == NULL ? err_set(e, ERR_NOMEM, "no memory to copy the dump with") : 0;

    if (rc == 0)
        rc = os_root_at(&x->server.root, "dump", O_RDONLY, 0, &fd, e);
    if (rc == 0)
        rc = publish_begin(&p, &x->out, ".", x->out_name, &how, e);
    while (rc == 0 && got > 0) {
        rc = os_read(fd, piece, OBJECT_IO, &got, "dump", e);
        if (rc == 0 && got > 0)
            rc = publish_write(&p, piece, got, e);
        *size += rc == 0 ? got : 0;
    }
    if (rc == 0)
        rc = publish_commit(&p, e);
    if (rc == PUBLISH_EXISTS)
        rc = err_set(e, ERR_REFUSED, "\"%s\" exists", x->out_path);
    publish_abort(&p);
    os_drop(&fd);
    free(piece);
    return rc < 0 ? -1 : rc;
}

int rescue_dump(struct rescue *x, struct err *e)
{
    struct pgconn_rows *rows = NULL;
    const char *user = NULL;
    char shown[SURVEY_SIZE_MAX];
    uint64_t size = 0;
    int fd = -1;
    int rc = rescue_tables(x, &rows, &user, e);

    if (rc == 0)
        rc = os_root_at(&x->server.root, "dump", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, e);
    if (rc == 0)
        rc = dump(x, rows, user, fd, e);
    os_drop(&fd);
    if (rc == 0)
        rc = read_back(x, e);
    if (rc == 0)
        rc = publish(x, &size, e);
    if (rc == 0) {
        survey_size(shown, size);
        printf("rescued  %s, %s, read back whole\nput back pg_restore -d %s %s\n", x->out_path,
               shown, restore_before_what(x->r)->database, x->out_path);
        rc = fflush(stdout) == 0 ? 0 : err_set(e, ERR_IO, "could not write to standard output");
    }
    pgconn_rows_free(rows);
    return rc;
}

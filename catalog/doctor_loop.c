/* The loop, with a real segment: switched, archived, fetched back, compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "doctor.h"
#include "os/file.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/wal.h"

enum { QUERY_US = 20 * 1000 * 1000, LOOK_US = 200 * 1000, READ_BYTES = 256 * 1024 };

/* The digest of a whole file: 0, -1. */
static int digest_of(const char *path, uint8_t out[DIGEST_STRONG], struct err *e)
{
    uint8_t *bytes = malloc(READ_BYTES);
    struct digest d;
    size_t got = 1;
    int fd = -1;
    int rc = -1;

    if (bytes == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read a segment");
    digest_init_strong(&d, PHASE_LOADED);
    rc = os_open(path, O_RDONLY, 0, &fd, e);
    if (rc > 0)
        rc = err_set(e, ERR_IO, "\"%s\" is not there any more", path);
    while (rc == 0 && got > 0) {
        rc = os_read(fd, bytes, READ_BYTES, &got, path, e);
        if (rc == 0 && got > 0)
            rc = sink_write(&d.sink, bytes, got, e);
    }
    os_drop(&fd);
    digest_get_strong(&d, out);
    free(bytes);
    return rc;
}

/* --- 1: a segment --- */

static const char switch_sql[] =
    "select pg_catalog.pg_walfile_name(lsn), pg_catalog.pg_wal_lsn_diff(lsn, '0/0')::text"
    " from (select pg_catalog.pg_switch_wal() as lsn) s";

static bool ask(struct doctor *d, const char *sql, struct pgconn_rows **r, struct err *why)
{
    err_clear(why);
    return pgconn_query(d->conn, sql, os_mono_us() + QUERY_US, r, why) == 0;
}

static void take_digest(struct doctor *d)
{
    char path[PLACE_MAX + 64];
    struct err quiet = {0};

    if (d->check->data_dir[0] == '\0')
        return;
    (void)snprintf(path, sizeof path, "%s/pg_wal/%s", d->check->data_dir, d->segment);
    d->digest_known = digest_of(path, d->digest, &quiet) == 0;
}

/* Ends the current segment, with something in it.  False: told why not. */
static bool switch_wal(struct doctor *d)
{
    struct pgconn_rows *r = NULL;
    struct err why;
    const char *name;

    /* A role that may not write this leaves the segment as it is: then a switch may do nothing. */
    (void)!ask(d, "select pg_catalog.pg_logical_emit_message(false, 'walden', 'doctor')", NULL,
               &why);
    if (!ask(d, switch_sql, &r, &why)) {
        doctor_say(d, "loop", JUDGE_UNKNOWN,
                   "GRANT EXECUTE ON FUNCTION pg_switch_wal TO the role, or use a superuser",
                   "no segment can be switched with this role, so the loop is not proven: %s",
                   why.msg);
        return false;
    }
    name = pgconn_value(r, 0, 0);
    (void)snprintf(d->segment, sizeof d->segment, "%s", name == NULL ? "" : name);
    pgconn_rows_free(r);
    take_digest(d);
    return d->segment[0] != '\0';
}

/* --- 2: archived --- */

struct watch {
    bool archived;
    bool failed; /* the server counted a failure meanwhile */
    int64_t took;
};

static uint64_t failures(struct doctor *d)
{
    struct pgconn_rows *r = NULL;
    struct err why;
    uint64_t n = 0;
    const char *text;

    if (ask(d, "select failed_count from pg_catalog.pg_stat_archiver", &r, &why)) {
        text = pgconn_value(r, 0, 0);
        if (text != NULL)
            (void)!parse_u64(text, 0, UINT64_MAX, &n, &why); /* 0: nothing is told */
    }
    pgconn_rows_free(r);
    return n;
}

/* Is the object in the repository?  1, 0, -1. */
static int is_there(struct doctor *d, struct err *e)
{
    struct repo *repo = &d->check->survey.repo;
    struct walname name;
    struct store_name at;
    int rc;

    if (!wal_object_name(d->segment, &name, &at))
        return err_set(e, ERR_INTERNAL, "\"%s\" is no segment", d->segment);
    rc = store_has(&repo->store, &repo->where, &at, e);
    return rc < 0 ? -1 : rc == 0;
}

static int wait_for(struct doctor *d, uint64_t before, struct watch *w, struct err *e)
{
    int64_t began = os_mono_us();

    memset(w, 0, sizeof *w);
    for (;;) {
        int there = is_there(d, e);

        w->took = os_mono_us() - began;
        w->archived = there > 0;
        w->failed = failures(d) > before;
        if (there < 0 || there > 0 || w->failed || w->took >= d->patience)
            return there < 0 ? -1 : 0;
        os_sleep_us(LOOK_US);
        if (os_signal_check(e) != 0)
            return -1;
    }
}

/* --- why not --- */

static void tell_by_hand(struct doctor *d, const struct watch *w, const struct doctor_run *r)
{
    if (!r->ran)
        doctor_say(d, "archiver", JUDGE_CRITICAL, "mend that, then walden doctor",
                   "%s was not archived; its archive_command cannot be run by hand either: %s",
                   d->segment, r->said);
    else if (r->timeout)
        doctor_say(d, "archiver", JUDGE_CRITICAL,
                   "look at the repository's disk or mount: what hangs there, hangs the archiver",
                   "%s was not archived: archive_command hangs", d->segment);
    else if (r->exit_code == 0)
        doctor_say(d, "archiver", JUDGE_CRITICAL,
                   "look for a hanging child of the archiver (ps -ef --forest), and end that child",
                   "%s was not archived within %lld s, yet the same command by hand did it in %lld "
                   "ms: the server's archiver hangs, or waits before it tries again",
                   d->segment, (long long)(w->took / 1000000), (long long)(r->took / 1000));
    else
        doctor_say(d, "archiver", JUDGE_CRITICAL, "do what the hint says, then walden doctor",
                   "%s was not archived: archive_command ends with exit status %d: %s", d->segment,
                   r->exit_code, r->said[0] == '\0' ? "it does not say why" : r->said);
}

static void tell_why_not(struct doctor *d, const struct watch *w)
{
    struct doctor_run r;

    if (doctor_archive(d, d->segment, &r))
        tell_by_hand(d, w, &r);
    else if (w->failed)
        doctor_say(d, "archiver", JUDGE_CRITICAL,
                   "read the server's log; walden doctor as the "
                   "server's user, or as root, runs the command and "
                   "shows its words",
                   "%s was not archived: archive_command fails", d->segment);
    else
        doctor_say(
            d, "archiver", JUDGE_CRITICAL,
            "read the server's log; walden doctor as the server's user, or as root, runs the "
            "command and shows its words",
            "%s was not archived within %lld s, and the server counts no failure: the "
            "command cannot be run (exit 127), or it hangs",
            d->segment, (long long)(w->took / 1000000));
}

/* --- 3: back --- */

static void compare(struct doctor *d, const char *path)
{
    uint8_t digest[DIGEST_STRONG];
    struct err why = {0};

    if (digest_of(path, digest, &why) != 0)
        doctor_say(d, "fetched", JUDGE_UNKNOWN, NULL, "%s", why.msg);
    else if (!d->digest_known)
        doctor_say(d, "fetched", JUDGE_OK, NULL,
                   "%s came back whole, its records checked (the server's own file cannot be read "
                   "from here, so the two were not compared)",
                   d->segment);
    else if (memcmp(digest, d->digest, sizeof digest) != 0)
        doctor_say(d, "fetched", JUDGE_CRITICAL, "walden verify; and report this",
                   "%s came back, but its bytes are not those in pg_wal", d->segment);
    else
        doctor_say(d, "fetched", JUDGE_OK, NULL, "%s came back, byte for byte what is in pg_wal",
                   d->segment);
}

/* With the restore hook, as a recovery would. */
static void fetch(struct doctor *d)
{
    const struct settings *s = d->check->settings;
    char program[PLACE_MAX];
    char id[32];
    char path[PLACE_MAX];
    char dest[128];
    const char *argv[16] = {program, "--system-id", id, "--cluster", d->check->cluster};
    size_t n = 5;
    const char *dir = os_env("TMPDIR");
    struct os_root root = OS_ROOT_INIT;
    struct doctor_run r;
    struct err quiet = {0};

    (void)place_program(program, "walden-restore");
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)d->check->system_id);
    (void)snprintf(dest, sizeof dest, "walden-doctor-%ld", (long)os_pid());
    if (dir == NULL || *dir != '/')
        dir = "/tmp";
    if (place_join(path, dir, dest, &quiet) != 0)
        return;
    if (s->config != NULL) {
        argv[n++] = "--config";
        argv[n++] = s->config;
    }
    if (settings_is_explicit(s, "repo")) {
        argv[n++] = "--repo";
        argv[n++] = s->repo;
    }
    if (settings_is_explicit(s, "secret_key")) {
        argv[n++] = "--secret-key";
        argv[n++] = s->secret_key;
    }
    argv[n++] = d->segment;
    argv[n++] = path;
    doctor_run(d, argv, false, &r);
    if (!r.ran || r.timeout || r.exit_code != 0)
        doctor_say(d, "fetched", JUDGE_CRITICAL, "do what the hint says, then walden doctor",
                   "%s cannot be fetched back: %s", d->segment,
                   r.timeout           ? "walden-restore hangs"
                   : r.said[0] != '\0' ? r.said
                                       : "walden-restore does not say why");
    else
        compare(d, path);
    /* A crash before this leaves a copy of one segment there. */
    if (os_root_open(&root, dir, &quiet) == 0)
        (void)os_root_unlink(&root, dest, 0, &quiet);
    os_root_close(&root);
}

/* Without a secret key nobody can look inside: signature and digest of what is stored, and that
 * archiving the same file again finds the same content (a keyed digest tells). */
static void prove_sealed(struct doctor *d)
{
    struct check *c = d->check;
    struct repo *repo = &c->survey.repo;
    struct object_reader *reader = &c->survey.reader;
    struct store_object o = {.fd = -1};
    struct walname name;
    struct store_name at;
    struct doctor_run r;
    struct err why = {0};
    int rc = -1;

    if (wal_object_name(d->segment, &name, &at))
        rc = repo_get(repo, &at, &o, reader, &why);
    if (rc == 0) {
        rc = object_check_stored(reader, &why);
        object_close(reader);
        store_release(&o);
    }
    if (rc != 0)
        doctor_say(d, "fetched", JUDGE_CRITICAL, "walden verify", "%s was stored, but %s",
                   d->segment, rc > 0 ? "is gone again" : why.msg);
    else if (!doctor_archive(d, d->segment, &r))
        doctor_say(
            d, "fetched", JUDGE_OK, NULL,
            "%s is stored, sealed and signed; what is inside cannot be read without a secret "
            "key, and was not compared",
            d->segment);
    else if (r.ran && !r.timeout && r.exit_code == 0)
        doctor_say(d, "fetched", JUDGE_OK, NULL,
                   "%s is stored, sealed and signed, and holds what is in pg_wal (by its keyed "
                   "digest); no secret key is here, so it was not opened",
                   d->segment);
    else
        doctor_say(d, "fetched", JUDGE_CRITICAL, "do what the hint says, then walden doctor",
                   "%s is stored, but it is not what is in pg_wal: %s", d->segment, r.said);
}

int doctor_loop(struct doctor *d, struct err *e)
{
    const struct judge_facts *f = &d->check->facts;
    struct watch w;
    uint64_t before;

    if (f->pg.in_recovery && !f->pg.archive_standby) {
        doctor_say(d, "loop", JUDGE_OK, NULL,
                   "the server is in recovery and archives nothing, so there is no loop to prove");
        return 0;
    }
    before = failures(d);
    if (!switch_wal(d))
        return 0;
    if (wait_for(d, before, &w, e) != 0)
        return -1;
    if (!w.archived) {
        tell_why_not(d, &w);
        return 0;
    }
    doctor_say(d, "archived", JUDGE_OK, NULL, "%s was switched and archived after %lld.%lld s",
               d->segment, (long long)(w.took / 1000000), (long long)(w.took / 100000 % 10));
    if (d->check->survey.repo.marker.sealed && !d->check->survey.repo.has_secret)
        prove_sealed(d);
    else
        fetch(d);
    return 0;
}

/*
 * walden restore: a backup, and WAL up to a moment, become a data directory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"
#include "os/tty.h"
#include "restore.h"
#include "survey.h"

static const struct parse_word actions[] = {
    {"pause", RESTORE_PAUSE}, {"promote", RESTORE_PROMOTE}, {"shutdown", RESTORE_SHUTDOWN}, {0}};

int restore_take_mapping(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct restore_options *mine = into;
    struct restore_map map = {0};
    char to[PLACE_MAX];
    size_t at = 0;
    size_t n = 0;
    char *from = malloc(strlen(text) + 1);

    (void)o;
    if (from == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an option");
    /* As for pg_basebackup: \= is an equal sign of a path. */
    for (; text[at] != '\0' && text[at] != '='; at++) {
        if (text[at] == '\\' && text[at + 1] == '=')
            at++;
        from[n++] = text[at];
    }
    from[n] = '\0';
    map.from = from;
    if (text[at] != '=' || from[0] != '/' || text[at + 1] != '/' ||
        place_absolute(to, text + at + 1, e) != 0) {
        free(from);
        return err_set(e, ERR_USAGE, "expected OLD=NEW, two absolute paths");
    }
    map.to = malloc(strlen(to) + 1);
    if (map.to != NULL)
        memcpy(map.to, to, strlen(to) + 1);
    if (map.to == NULL || restore_maps_push(&mine->maps, map, e) != 0) {
        free(from);
        free(map.to);
        return err_set(e, ERR_NOMEM, "no memory for an option");
    }
    return 0;
}

#define MINE(field) .offset = offsetof(struct restore_options, field)

static const struct opt options[] = {
    {.name = "directory",
     .letter = 'D',
     .kind = OPT_TEXT,
     .arg = "DIR",
     MINE(directory),
     .help = "where the data directory goes: empty or absent"},
    {.name = "target_time",
     .kind = OPT_TEXT,
     .arg = "TIME",
     MINE(time),
     .help = "stop before the first commit that is later, like \"2026-11-20 06:21:45+01\"; without "
             "an offset it is local time"},
    {.name = "target_lsn",
     .kind = OPT_TEXT,
     .arg = "LSN",
     MINE(lsn),
     .help = "stop at this place in the WAL"},
    {.name = "target_xid",
     .kind = OPT_TEXT,
     .arg = "XID",
     MINE(xid),
     .help = "stop behind the end of this transaction"},
    {.name = "target_name",
     .kind = OPT_TEXT,
     .arg = "NAME",
     MINE(name),
     .help = "stop at this restore point"},
    {.name = "target_immediate",
     .kind = OPT_FLAG,
     MINE(immediate),
     .help = "stop at the end of the backup"},
    {.name = "before_drop",
     .kind = OPT_CALL,
     .arg = "TABLE",
     .call = restore_take_before,
     .help = "stop just before this table, or the database of this name, was dropped; it can be "
             "read at once"},
    {.name = "before_truncate",
     .kind = OPT_CALL,
     .arg = "TABLE",
     .call = restore_take_before,
     .help = "the same before it was truncated"},
    {.name = "before_deletes",
     .kind = OPT_CALL,
     .arg = "TABLE",
     .call = restore_take_before,
     .help = "the same before many of its rows were deleted or updated at once"},
    {.name = "database",
     .kind = OPT_TEXT,
     .arg = "NAME",
     MINE(database),
     .help = "the database that the table was in, where more than one has such a table"},
    {.name = "target_timeline",
     .kind = OPT_TEXT,
     .arg = "TLI",
     MINE(timeline),
     .help = "go along this timeline: a number, latest, or current for the backup's (default: "
             "latest)"},
    {.name = "target_exclusive",
     .kind = OPT_FLAG,
     MINE(exclusive),
     .help = "stop just before the target instead of just behind it"},
    {.name = "target_action",
     .kind = OPT_WORD,
     .arg = "ACTION",
     .words = actions,
     MINE(action),
     .help = "at the target: pause, promote or shutdown (default: pause; --before-drop promotes "
             "where pausing would lose commits)"},
    {.name = "backup",
     .kind = OPT_TEXT,
     .arg = "LABEL",
     MINE(backup),
     .help = "this backup and no other (default: the newest that can reach the target)"},
    {.name = "tablespace_mapping",
     .letter = 'T',
     .kind = OPT_CALL,
     .arg = "OLD=NEW",
     .call = restore_take_mapping,
     .help = "send the tablespace that was at OLD to NEW; may come often"},
    {.name = "delta",
     .kind = OPT_FLAG,
     MINE(delta),
     .help = "bring a stopped copy of this very cluster up to date: write what differs, remove "
             "what does not belong"},
    {.name = "yes", .letter = 'y', .kind = OPT_FLAG, MINE(yes), .help = "with --delta: do not ask"},
    {.name = "standby",
     .kind = OPT_FLAG,
     MINE(standby),
     .help = "make a standby, which follows the archive and does not end its recovery"},
    {.name = "become_primary",
     .kind = OPT_FLAG,
     MINE(become_primary),
     .help = "leave archiving on: the copy takes the original's place (default: archive_mode off)"},
    {.name = "key_dir",
     .kind = OPT_PATH,
     .arg = "DIR",
     MINE(key_dir),
     .help = "sealed: where the key lies that recovery needs, until it ends; for a server in "
             "another container (default: /dev/shm)"},
    {.name = "owner",
     .kind = OPT_TEXT,
     .arg = "USER",
     MINE(owner),
     .help = "as root: whose the files become (default: the directory's owner)"},
    {.name = "config_files",
     .kind = OPT_TEXT,
     .arg = "DIR",
     MINE(config_files),
     .help = "write configuration files that lay outside the data directory below DIR"},
    {.name = "dry_run",
     .letter = 'n',
     .kind = OPT_FLAG,
     MINE(dry_run),
     .help = "show backup, WAL, room, time and every file, and change nothing"},
    {.name = "accept_older",
     .kind = OPT_FLAG,
     MINE(accept_older),
     .help = "go on although the repository is in an older state than this host has seen"},
    {.name = "start",
     .kind = OPT_FLAG,
     MINE(start),
     .help = "start a server on the copy, on a private socket, and wait until it has reached the "
             "target"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
    {.name = "json",
     .kind = OPT_FLAG,
     MINE(json),
     .help = "print the plan as one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden restore",
    .operands = "",
    .summary = "bring a cluster back as it was at a moment",
    .examples =
        "walden restore -D /srv/copy --dry-run                         what would be done\n"
        "walden restore -D /srv/copy --target-time '2026-11-20 06:21:45+01' --start\n"
        "walden restore -D /srv/copy --before-drop public.orders --start\n"
        "walden restore -D /srv/copy --target-name before_upgrade --target-action promote\n"
        "walden restore -D /var/lib/postgresql/17/main --become-primary  the machine was lost\n"
        "walden restore -D /srv/standby --standby\n"
        "With [hook restore] in the configuration, --become-primary does its work between pre,\n"
        "gate and post:\n"
        "  [hook restore]\n"
        "  pre = timeout=5min docker compose stop app\n"
        "  gate = /usr/local/bin/start-migrate-test\n"
        "  post = docker compose start app\n",
    .exits = "0    done (with --start: the target was reached)\n"
             "1    the target cannot be reached, something is damaged, or the job failed\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety: a directory that is not empty, a running server, no room;\n"
             "     root, told by a file that others can write what to run (chown root it)\n"
             "130  interrupted; the same command completes it\n",
};

/* --- progress --- */

static int tell(void *arg, uint64_t bytes, struct err *e)
{
    struct restore *r = arg;
    uint64_t total = r->unpack.totals.bytes;
    int64_t now = os_mono_us();
    char size[SURVEY_SIZE_MAX];
    char rate[SURVEY_SIZE_MAX];
    uint64_t spent = (uint64_t)(now - r->started) / 1000 + 1;
    uint64_t done = bytes > total ? total : bytes;

    if (restore_beat(r, e) != 0)
        return -1;
    if (r->m->level == MSG_QUIET || !os_tty_is(STDERR_FILENO))
        return 0;
    survey_size(size, total);
    survey_size(rate, bytes * 1000 / spent);
    r->showed_progress = true;
    fprintf(stderr, "\rcopying: %u %% of %s, %s/s, %llu s left   ",
            (unsigned)(total == 0 ? 100 : done * 100 / total), size, rate,
            (unsigned long long)(bytes == 0 ? 0 : (total - done) * spent / bytes / 1000));
    return 0;
}

/* --- the work --- */

/* What is there is compared and kept, so the time that it took is not lost. */
static int no_room(struct err *e)
{
    if (e->sys == ENOSPC || e->sys == EDQUOT)
        return err_hint(e,
                        "Make room and give the same command again: it goes on where it stopped.");
    return -1;
}

int restore_copy(struct restore *r, struct err *e)
{
    struct unpack_how how = {.dir = r->dir,
                             .outside = r->outside[0] == '\0' ? NULL : r->outside,
                             .jobs = command_jobs(r->s, UNPACK_JOBS_MAX),
                             .existing = r->state == RESTORE_HALF_DONE || r->state == RESTORE_COPY,
                             .keep = RESTORE_MARK,
                             .own = r->owner.change,
                             .uid = r->owner.uid,
                             .gid = r->owner.gid,
                             .progress = tell,
                             .arg = r};
    int rc = -1;

    r->started = os_mono_us();
    if (unpack_begin(&r->unpack, &how, e) == 0 && restore_lock(r, e) == 0 &&
        restore_mark(r, e) == 0 && (!how.existing || unpack_disarm(&r->unpack, e) == 0) &&
        unpack_files(&r->unpack, e) == 0)
        rc = 0;
    if (r->showed_progress)
        fprintf(stderr, "\r%70s\r", "");
    return rc == 0 ? 0 : no_room(e);
}

int restore_finish(struct restore *r, struct err *e)
{
    if (restore_key(r, e) != 0 || restore_conf(r, e) != 0 || unpack_finish(&r->unpack, e) != 0 ||
        restore_unmark(r, e) != 0) {
        struct err quiet = {0};
        struct os_root root = OS_ROOT_INIT;
        char dir[PLACE_MAX];
        const char *name;

        (void)no_room(e);
        if (r->key[0] == '\0')
            return -1;
        /* The rerun makes another one. */
        name = place_split(dir, r->key);
        if (os_root_open(&root, dir, &quiet) == 0)
            (void)os_root_unlink(&root, name, 0, &quiet);
        os_root_close(&root);
        return -1;
    }
    restore_rate_keep(r, r->unpack.totals.bytes, os_mono_us() - r->started);
    return 0;
}

static void say_done(const struct restore *r)
{
    char size[SURVEY_SIZE_MAX];
    int64_t us = os_mono_us() - r->started;

    survey_size(size, r->unpack.totals.bytes);
    if (!r->o->json)
        printf("done: %llu files, %s in %lld.%lld s, flushed; %s is ready to be started\n",
               (unsigned long long)r->unpack.totals.files, size, (long long)(us / 1000000),
               (long long)(us / 100000 % 10), r->dir);
    if (r->unpack.totals.outside > 0 && r->outside[0] == '\0')
        msg_note(r->m,
                 "the backup holds %llu configuration files from outside the data directory; "
                 "--config-files DIR writes them",
                 (unsigned long long)r->unpack.totals.outside);
    if (!r->unpack.totals.has_conf)
        msg_note(r->m, "the data directory has no postgresql.conf: it lay elsewhere on the server");
    if (r->key[0] != '\0')
        msg_note(r->m,
                 "the hook's key is %s; the server removes it when recovery ends, else "
                 "remove it yourself",
                 r->key);
    if (r->o->standby && r->repo.marker.sealed)
        msg_note(r->m, "as long as it fetches from the archive a standby needs the secret key, "
                       "which its configuration must name");
}

/* The exit status, or -1. */
static int work(struct restore *r, struct err *e)
{
    r->changed = true;
    if (restore_copy(r, e) != 0 || restore_finish(r, e) != 0)
        return -1;
    say_done(r);
    if (fflush(stdout) != 0)
        return err_set(e, ERR_IO, "could not write to standard output");
    if (r->o->start)
        return restore_start(r, e);
    return restore_gate(r, e) == 0 ? STATUS_OK : -1;
}

/* The exit status, or -1. */
static int run(struct restore *r, struct err *e)
{
    if (restore_target(r, e) != 0 || restore_open(r, e) != 0 || restore_heads(r, e) != 0)
        return -1;
    if (r->assumed_zone && !r->o->json) {
        char target[RESTORE_TARGET_TEXT];

        restore_target_text(r, target);
        msg_note(r->m, "target: %s", target);
    }
    restore_rate_load(r);
    if (restore_before(r, e) != 0 || restore_plan(r, e) != 0 || restore_place(r, e) != 0 ||
        restore_look(r, e) != 0 || restore_check(r, e) != 0)
        return -1;
    restore_tell_unseen(r);
    if ((r->o->json ? restore_json(r, NULL, e) : restore_show(r, e)) != 0)
        return -1;
    r->printed = true;
    if (fflush(stdout) != 0)
        return err_set(e, ERR_IO, "could not write to standard output");
    if (restore_pre(r, e) != 0)
        return -1;
    return r->o->dry_run ? STATUS_OK : restore_post(r, work(r, e), e);
}

struct restore *restore_new(const struct msg *m, struct settings *s, struct restore_options *o,
                            struct err *e)
{
    struct restore *r = calloc(1, sizeof *r);

    if (r == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to restore with");
        return NULL;
    }
    r->m = m;
    r->s = s;
    r->o = o;
    plan_init(&r->plan);
    restore_shares_init(&r->shares, UNPACK_SPACES_MAX);
    restore_rooms_init(&r->rooms, UNPACK_SPACES_MAX);
    return r;
}

void restore_free(struct restore *r)
{
    restore_close(r);
    free(r);
}

static int with_options(const struct msg *m, struct settings *s, struct restore_options *o,
                        restore_run *go, struct err *e)
{
    struct restore *r;
    int status;

    if (o->directory == NULL) {
        (void)err_set(e, ERR_USAGE, "-D is missing: where shall the copy go?");
        return err_hint(e, "\"-D DIR --dry-run\" shows what would be done and writes nothing.");
    }
    r = restore_new(m, s, o, e);
    if (r == NULL)
        return -1;
    status = go(r, e);
    if (status < 0 && o->json && r->has_inventory) {
        struct err quiet = {0};

        /* One object on standard output, not a second one for the error. */
        if (r->printed || restore_json(r, e, &quiet) == 0) {
            msg_error(m, e);
            status = command_status(e);
        }
    }
    restore_free(r);
    return status;
}

struct line {
    struct restore_options mine; /* first: what a body gets */
    restore_run *go;
};

static int body(const struct command_call *c, struct err *e)
{
    struct line *l = c->mine;

    return with_options(c->m, c->s, &l->mine, l->go, e);
}

int restore_main(const struct opt_program *prog, const struct opt *opts, size_t n, restore_run *go,
                 int argc, char **argv)
{
    struct line l = {.mine.action = -1, .go = go};
    const struct opt_set own = {"Options", opts, n, &l, NULL, NULL};
    int status;

    restore_maps_init(&l.mine.maps, RESTORE_MAPS_MAX);
    status = command_run(prog, &own, 1, body, argc, argv);
    for (size_t i = 0; i < l.mine.maps.n; i++) {
        free(l.mine.maps.v[i].from);
        free(l.mine.maps.v[i].to);
    }
    restore_maps_fini(&l.mine.maps);
    return status;
}

int cmd_restore(int argc, char **argv)
{
    return restore_main(&program, options, sizeof options / sizeof options[0], run, argc, argv);
}

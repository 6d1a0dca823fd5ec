/*
 * walden export: a backup and its WAL as plain files, for a server without Walden.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/signal.h"
#include "repo/plan_walk.h"
#include "repo/wal_get.h"
#include "restore.h"
#include "survey.h"

#define MINE(field) .offset = offsetof(struct restore_options, field)

static const struct opt options[] = {
    {.name = "directory",
     .letter = 'D',
     .kind = OPT_TEXT,
     .arg = "DIR",
     MINE(directory),
     .help = "where the data directory goes: empty or absent"},
    {.name = "wal",
     .kind = OPT_TEXT,
     .arg = "DIR",
     MINE(wal),
     .help = "where WAL files go: empty or absent (default: the data directory's name and .wal)"},
    {.name = "backup",
     .kind = OPT_TEXT,
     .arg = "LABEL",
     MINE(backup),
     .help = "this backup (default: the newest)"},
    {.name = "target_timeline",
     .kind = OPT_TEXT,
     .arg = "TLI",
     MINE(timeline),
     .help = "WAL along this timeline: a number, latest, or current for the backup's (default: "
             "latest)"},
    {.name = "tablespace_mapping",
     .letter = 'T',
     .kind = OPT_CALL,
     .arg = "OLD=NEW",
     .call = restore_take_mapping,
     .help = "send the tablespace that was at OLD to NEW; may come often"},
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
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
};

static const struct opt_program program = {
    .name = "walden export",
    .operands = "",
    .summary = "write a backup as a plain data directory, and its WAL as plain files",
    .examples = "walden export -D /mnt/disk/data                    the newest backup and all WAL\n"
                "walden export -D /mnt/disk/data --wal /mnt/disk/wal --backup LABEL\n"
                "pg_ctl -D /mnt/disk/data start                     recovers with cp\n",
    .exits = "0    done\n"
             "1    something is missing or damaged, or the job failed\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety: a directory that is not empty, no room\n"
             "130  interrupted; the same command completes it\n",
};

/* --- WAL --- */

static int find_wal_dir(struct restore *r, struct err *e)
{
    struct os_root root = OS_ROOT_INIT;
    bool empty = true;
    int rc;

    if (r->o->wal != NULL) {
        if (place_absolute(r->wal, r->o->wal, e) != 0)
            return -1;
    } else if (snprintf(r->wal, sizeof r->wal, "%s.wal", r->dir) >= (int)sizeof r->wal) {
        return err_set(e, ERR_USAGE, "path \"%s\" is too long", r->dir);
    }
    if (strcmp(r->wal, r->dir) == 0 ||
        (strncmp(r->wal, r->dir, strlen(r->dir)) == 0 && r->wal[strlen(r->dir)] == '/'))
        return err_set(e, ERR_USAGE, "WAL files do not belong into the data directory");
    rc = os_root_open(&root, r->wal, e);
    if (rc == 0)
        rc = os_dir_is_empty(root.fd, &empty, r->wal, e);
    os_root_close(&root);
    if (rc < 0)
        return -1;
    /* A half-done export is completed: files there are written again. */
    if (!empty && r->state != RESTORE_HALF_DONE) {
        (void)err_set(e, ERR_REFUSED, "directory \"%s\" is not empty", r->wal);
        return err_hint(e, "Give an empty or a new directory with --wal.");
    }
    return 0;
}

/* One file: 0, 1 when it is not there, -1. */
static int fetch(struct restore *r, struct wal_get *get, const char *name, struct err *e)
{
    char path[PLACE_MAX];
    int fd = -1;
    int rc;

    if (os_signal_check(e) != 0 || place_join(path, r->wal, name, e) != 0)
        return -1;
    rc = wal_get(get, &r->repo, name, path, e);
    if (rc != 0 || !r->owner.change)
        return rc;
    rc = os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, e);
    if (rc == 0)
        rc = os_chown(fd, r->owner.uid, r->owner.gid, path, e);
    os_drop(&fd);
    return rc;
}

/* As far as one gets: *files; *why is not PLAN_ENDS when more is there that cannot be reached. */
static int fetch_all(struct restore *r, struct wal_get *get, struct plan_walk *w, uint64_t *files,
                     struct err *e)
{
    char name[WALNAME_MAX];

    for (size_t i = 0; i < r->plan.parts.n; i++) {
        const struct plan_line *line = plan_line(&r->inventory.in, r->plan.parts.v[i].tli);

        if (r->plan.parts.v[i].tli == 1 || line == NULL || !line->known)
            continue;
        walname_history(name, line->tli);
        if (fetch(r, get, name, e) != 0)
            return e->code != ERR_NONE ? -1 : err_set(e, ERR_HOLE, "\"%s\" is gone", name);
        (*files)++;
    }
    plan_walk_init(w, &r->inventory.in, &r->plan.parts, restore_backup(r));
    while (plan_walk_next(w)) {
        if (w->segment == NULL)
            continue;
        walname_segment(name, w->segment->tli, w->segment->segno, r->inventory.in.segsize);
        if (fetch(r, get, name, e) != 0)
            return e->code != ERR_NONE ? -1 : err_set(e, ERR_HOLE, "\"%s\" is gone", name);
        (*files)++;
    }
    return 0;
}

static int export_wal(struct restore *r, uint64_t *files, enum plan_why *why, lsn_t *end,
                      struct err *e)
{
    struct os_root root = OS_ROOT_INIT;
    struct wal_get *get = calloc(1, sizeof *get);
    struct plan_walk w;
    int rc = -1;

    if (get == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read WAL with");
    if (unpack_tree_open(&root, r->wal, 0700, &r->unpack, e) == 0 &&
        fetch_all(r, get, &w, files, e) == 0)
        rc = os_tree_sync(&root, ".", e);
    if (rc == 0) {
        *why = w.why;
        *end = w.reach;
    }
    os_root_close(&root);
    free(get);
    return rc;
}

/* --- all --- */

static int run(struct restore *r, struct err *e)
{
    enum plan_why why = PLAN_ENDS;
    uint64_t files = 0;
    lsn_t end = 0;
    char text[TEXT_LSN_MAX];

    /* The backup must be whole; how far its WAL goes is seen then. */
    r->o->immediate = true;
    if (restore_target(r, e) != 0 || restore_open(r, e) != 0 || restore_plan(r, e) != 0 ||
        restore_place(r, e) != 0 || find_wal_dir(r, e) != 0)
        return -1;
    r->target.kind = PLAN_LATEST;
    if (restore_look(r, e) != 0 || restore_check(r, e) != 0 || restore_copy(r, e) != 0 ||
        export_wal(r, &files, &why, &end, e) != 0 || restore_finish(r, e) != 0)
        return -1;
    text_lsn(text, end);
    printf("backup %s is in %s, %llu WAL files up to %s are in %s\n", restore_backup(r)->label,
           r->dir, (unsigned long long)files, text, r->wal);
    printf("a server that is started on it recovers with cp up to there and opens on a new "
           "timeline; restore_command in postgresql.auto.conf names the place of the WAL\n");
    if (fflush(stdout) != 0)
        return err_set(e, ERR_IO, "could not write to standard output");
    if (why == PLAN_ENDS)
        return STATUS_OK;
    (void)err_set(e, ERR_HOLE, "the WAL ends at %s: %s", text, plan_why_text(why));
    return err_hint(e, "\"walden list\" shows what is missing or damaged.");
}

int cmd_export(int argc, char **argv)
{
    return restore_main(&program, options, sizeof options / sizeof options[0], run, argc, argv);
}

/* Where the copy goes.  Nothing here is ever emptied: what is not empty is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/proc.h"
#include "os/publish.h"
#include "os/space.h"
#include "os/tty.h"
#include "restore.h"
#include "survey.h"

enum { MARK_MAX = 1024 * 1024, PID_MAX = 32, PASSWD_MAX = 4 * 1024 * 1024 };

/* --- whose --- */

/* Looks a name up where a static program can: in /etc/passwd. */
int restore_find_user(const char *name, uid_t *uid, gid_t *gid, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    size_t name_len = strlen(name);
    uint32_t ids[2];
    struct err quiet = {0};
    int rc = os_read_small("/etc/passwd", PASSWD_MAX, &text, &len, e);
    int found = -1;

    if (rc < 0)
        return -1;
    for (char *line = text; line != NULL && found != 0;) {
        char *end = strchr(line, '\n');
        char *at = line + name_len;

        if (end != NULL)
            *end = '\0';
        if (strncmp(line, name, name_len) == 0 && *at == ':' &&
            (at = strchr(at + 1, ':')) != NULL) {
            char *second = strchr(at + 1, ':');
            char *behind = second == NULL ? NULL : strchr(second + 1, ':');

            if (behind != NULL) {
                *second = *behind = '\0';
                if (parse_u32(at + 1, 0, UINT32_MAX - 1, &ids[0], &quiet) == 0 &&
                    parse_u32(second + 1, 0, UINT32_MAX - 1, &ids[1], &quiet) == 0)
                    found = 0;
            }
        }
        line = end == NULL ? NULL : end + 1;
    }
    free(text);
    if (found != 0)
        return err_set(e, ERR_USAGE, "--owner: there is no user \"%s\" on this machine", name);
    *uid = ids[0];
    *gid = ids[1];
    return 0;
}

static bool parent_owner(const char *path, struct stat *st)
{
    char at[PLACE_MAX];
    char dir[PLACE_MAX];
    struct err quiet = {0};

    (void)snprintf(at, sizeof at, "%s", path);
    do {
        (void)place_split(dir, at);
        memcpy(at, dir, strlen(dir) + 1);
        if (os_stat(at, st, &quiet) == 0)
            return true;
    } while (strcmp(at, "/") != 0);
    return false;
}

static int set_owner(struct restore *r, const struct stat *there, struct err *e)
{
    struct stat st;
    uid_t uid = 0;
    gid_t gid = 0;

    if (r->o->owner != NULL && restore_find_user(r->o->owner, &uid, &gid, e) != 0)
        return -1;
    r->uid = os_uid();
    r->gid = os_gid();
    if (os_uid() != 0) {
        if (r->o->owner != NULL && uid != os_uid())
            return err_set(e, ERR_USAGE, "--owner: only root can give files to \"%s\"",
                           r->o->owner);
        return 0;
    }
    if (r->o->owner == NULL && r->o->owner_default.change) {
        uid = r->o->owner_default.uid;
        gid = r->o->owner_default.gid;
    } else if (r->o->owner == NULL) {
        if (there != NULL)
            st = *there;
        else if (!parent_owner(r->dir, &st))
            memset(&st, 0, sizeof st);
        uid = st.st_uid;
        gid = st.st_gid;
    }
    if (uid == 0) {
        (void)err_set(e, ERR_USAGE,
                      "as root: \"%s\" would belong to root, and PostgreSQL refuses "
                      "to run as root",
                      r->dir);
        return err_hint(e, "Give --owner postgres, or make the directory for its owner first.");
    }
    r->owner = (struct place_owner){true, uid, gid};
    r->uid = uid;
    r->gid = gid;
    return 0;
}

/* --- what is there --- */

struct found {
    unsigned entries;
    bool mark;
    char name[256];
};

static int see(void *arg, const char *name, enum os_dir_type type, struct err *e)
{
    struct found *f = arg;

    (void)type, (void)e;
    if (strcmp(name, RESTORE_MARK) == 0) {
        f->mark = true;
        return 0;
    }
    /* What a run left that died while it wrote its mark. */
    if (publish_is_temp(name) && strstr(name, RESTORE_MARK) != NULL)
        return 0;
    if (f->entries++ == 0)
        (void)snprintf(f->name, sizeof f->name, "%s", name);
    return 0;
}

static int look_into(const char *path, struct found *f, struct stat *st, struct err *e)
{
    int fd = -1;
    int rc = os_stat(path, st, e);

    memset(f, 0, sizeof *f);
    if (rc != 0)
        return rc;
    if (!S_ISDIR(st->st_mode))
        return err_set(e, ERR_REFUSED, "\"%s\" exists and is not a directory", path);
    rc = os_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == 0)
        rc = os_dir_each(fd, see, f, path, e);
    os_drop(&fd);
    return rc;
}

/* Is a server running there?  Its lock file names its process. */
static int check_stopped(const char *dir, struct err *e)
{
    char path[PLACE_MAX];
    char line[PID_MAX] = "";
    uint32_t pid = 0;
    size_t got = 0;
    int fd = -1;
    struct err quiet = {0};
    int rc;

    if (place_join(path, dir, "postmaster.pid", e) != 0)
        return -1;
    rc = os_open(path, O_RDONLY, 0, &fd, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    rc = os_read_full(fd, line, sizeof line - 1, &got, path, e);
    os_drop(&fd);
    if (rc != 0)
        return -1;
    line[strcspn(line, "\n")] = '\0';
    if (parse_u32(line[0] == '-' ? line + 1 : line, 1, INT32_MAX, &pid, &quiet) == 0 &&
        !os_proc_alive((pid_t)pid))
        return 0;
    if (pid == 0)
        (void)err_set(e, ERR_REFUSED,
                      "a server may be running in \"%s\": its postmaster.pid cannot "
                      "be read",
                      dir);
    else
        (void)err_set(e, ERR_REFUSED, "a server is running in \"%s\" (process %u)", dir,
                      (unsigned)pid);
    return err_hint(e, "Stop it first, or give another directory.  Where no server runs, that file "
                       "was left by a crash: remove postmaster.pid.");
}

static int not_empty(const char *path, const struct found *f, struct err *e)
{
    char name[256];

    (void)text_visible(name, sizeof name, f->name, strlen(f->name));
    (void)err_set(e, ERR_REFUSED, "directory \"%s\" is not empty: it holds \"%s\"", path, name);
    return err_hint(e,
                    "Nothing is ever overwritten: give an empty or a new directory, or move that "
                    "away. --delta brings a stopped copy of this very cluster up to date.");
}

/* --delta: only what is a stopped copy of this cluster. */
static int check_copy(struct restore *r, const struct found *f, struct err *e)
{
    uint64_t system_id = 0;
    int rc = repo_local_system_id(r->dir, &system_id, e);

    if (rc > 0)
        return not_empty(r->dir, f, e);
    if (rc < 0)
        return -1;
    if (system_id != r->repo.where.system_id)
        return err_set(e, ERR_REFUSED, "\"%s\" is of another cluster (system identifier %llu)",
                       r->dir, (unsigned long long)system_id);
    r->state = RESTORE_COPY;
    return 0;
}

/* A mark that stayed behind (a crash between pg_control and its removal) says nothing about a copy
 * that has lived since: a server that was started left the file that names its options. */
static int has_lived(const char *dir, struct err *e)
{
    static const char *const names[] = {"postmaster.opts", UNPACK_CONTROL};
    char path[PLACE_MAX];
    struct stat st;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int rc = place_join(path, dir, names[i], e) == 0 ? os_stat(path, &st, e) : -1;

        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
    return 1;
}

static int check_half_done(struct restore *r, struct found *f, struct err *e)
{
    int rc = has_lived(r->dir, e);

    if (rc < 0)
        return -1;
    if (rc > 0 && r->o->delta)
        return check_copy(r, f, e);
    r->state = RESTORE_HALF_DONE;
    if (rc == 0)
        return 0;
    (void)err_set(e, ERR_REFUSED,
                  "a server was started in \"%s\" since it was restored; only the mark of that "
                  "restore, " RESTORE_MARK ", stayed behind",
                  r->dir);
    return err_hint(e, "Remove that file when the copy is in use; --delta makes it anew.");
}

/* The word of a person that this directory may be changed. */
static int confirm(const struct restore *r, struct err *e)
{
    char line[PLACE_MAX] = "";
    char dir[PLACE_MAX];
    const char *name = place_split(dir, r->dir);
    size_t got = 0;

    if (r->o->yes || r->o->dry_run)
        return 0;
    if (!os_tty_is(STDIN_FILENO)) {
        (void)err_set(e, ERR_REFUSED, "--delta would change \"%s\"", r->dir);
        return err_hint(e, "Say --yes when that is meant.");
    }
    fprintf(stderr,
            "All that is in %s becomes what it was in the backup. Type \"%s\" to go on: ", r->dir,
            name);
    fflush(stderr);
    if (os_read(STDIN_FILENO, line, sizeof line - 1, &got, "the terminal", e) != 0)
        return -1;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, name) == 0)
        return 0;
    return err_set(e, ERR_REFUSED, "not confirmed; nothing was changed");
}

/* Does the path lie in the directory, or would it?  Links may hide that where it exists. */
static int is_below(const char *path, const char *dir, struct err *e)
{
    size_t len = strlen(dir);

    if (strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0'))
        return 1;
    return place_inside(path, dir, e);
}

/* What a rerun would take for something that does not belong in the data directory. */
static int check_outside(struct restore *r, struct err *e)
{
    int rc;

    if (r->o->config_files == NULL)
        return 0;
    if (place_absolute(r->outside, r->o->config_files, e) != 0)
        return -1;
    rc = is_below(r->outside, r->dir, e);
    return rc > 0 ? err_set(e, ERR_USAGE, "--config-files: \"%s\" lies inside the data directory",
                            r->outside)
                  : rc;
}

int restore_place(struct restore *r, struct err *e)
{
    struct found f;
    struct stat st;
    int rc;

    if (place_absolute(r->dir, r->o->directory, e) != 0)
        return -1;
    if (strcmp(r->dir, "/") == 0)
        return err_set(e, ERR_USAGE, "\"/\" is no place for a data directory");
    if (check_outside(r, e) != 0)
        return -1;
    rc = place_inside(r->dir, r->s->repo, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_REFUSED, "\"%s\" lies inside the repository", r->dir);
    rc = look_into(r->dir, &f, &st, e);
    if (rc < 0 || set_owner(r, rc == 0 ? &st : NULL, e) != 0)
        return -1;
    r->state = rc > 0 ? RESTORE_ABSENT : RESTORE_EMPTY;
    if (rc > 0)
        return 0;
    if (check_stopped(r->dir, e) != 0)
        return -1;
    if (f.mark) {
        if (check_half_done(r, &f, e) != 0)
            return -1;
        return r->state == RESTORE_COPY ? confirm(r, e) : 0;
    }
    if (f.entries == 0)
        return 0;
    if (!r->o->delta)
        return not_empty(r->dir, &f, e);
    if (check_copy(r, &f, e) != 0)
        return -1;
    return confirm(r, e);
}

/* --- the mark --- */

static int write_mark(struct restore *r, struct err *e)
{
    char id[33];
    struct buf *b = &r->mark;

    buf_init(b, MARK_MAX);
    text_hex(id, r->repo.marker.id, 16);
    if (buf_fmt(b, e,
                "walden-restore 1\nrepo %s\ncluster %s\nsystem-id %llu\nbackup %s\nkind %s%s\n", id,
                r->repo.where.cluster, (unsigned long long)r->repo.where.system_id,
                restore_backup(r)->label, r->o->standby ? "standby" : "copy",
                r->o->become_primary ? " that archives" : "") != 0 ||
        restore_target_settings(r, b, e) != 0)
        return -1;
    for (size_t i = 0; i < r->unpack.spaces.n; i++)
        if (buf_fmt(b, e, "tablespace %u %s\n", (unsigned)r->unpack.spaces.v[i].oid,
                    r->unpack.spaces.v[i].target) != 0)
            return -1;
    return 0;
}

/* The value of a line of the mark, without quotes; "": it has none. */
static void of_mark(const char *text, const char *before, char out[64])
{
    const char *at = strstr(text, before);

    out[0] = '\0';
    if (at != NULL)
        (void)snprintf(out, 64, "%.*s", (int)strcspn(at + strlen(before), "'\n"),
                       at + strlen(before));
}

static int compare_mark(struct restore *r, struct err *e)
{
    char path[PLACE_MAX];
    char *text = NULL;
    size_t len = 0;
    bool same;
    int rc;

    if (place_join(path, r->dir, RESTORE_MARK, e) != 0)
        return -1;
    rc = os_read_small(path, MARK_MAX, &text, &len, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_IO, "\"%s\" is gone", path);
    same = len == r->mark.len && memcmp(text, r->mark.p, len) == 0;
    if (!same) {
        char label[64];
        char time[64]; /* "2 hours ago" is another moment by now */

        of_mark(text, "\nbackup ", label);
        of_mark(text, "\nrecovery_target_time = '", time);
        (void)err_set(e, ERR_REFUSED,
                      "\"%s\" holds a half-done restore of another plan (of backup %s)", r->dir,
                      label);
        if (inventory_backup(&r->inventory, label) == r->inventory.in.backups.n)
            (void)err_hint(e, "That backup is not in the repository any more, so nothing completes "
                              "it: remove the directory and the tablespaces that its "
                              "file " RESTORE_MARK " names, or use others.");
        else
            (void)err_hint(e,
                           "Give the same options again (and --backup %s%s%s%s) to complete it, or "
                           "use another directory; the plan is in its file " RESTORE_MARK ".",
                           label, time[0] != '\0' ? " --target-time '" : "", time,
                           time[0] != '\0' ? "'" : "");
    }
    free(text);
    return same ? 0 : -1;
}

/* Only one may be at work in a directory; whoever dies lets go.  What was seen before is looked at
 * again, for another may have been at work until now, or a server may have been started. */
int restore_lock(struct restore *r, struct err *e)
{
    struct found f;
    struct stat st;
    int rc = os_lock(r->unpack.tree.dir.fd, OS_LOCK_EXCLUSIVE, false, r->dir, e);

    if (rc == OS_BUSY) {
        (void)err_set(e, ERR_REFUSED, "another restore is at work in \"%s\"", r->dir);
        return err_hint(e, "Wait for its end, or end it; what it has done by then is kept.");
    }
    if (rc < 0 || look_into(r->dir, &f, &st, e) != 0 || check_stopped(r->dir, e) != 0)
        return -1;
    if ((r->state == RESTORE_ABSENT || r->state == RESTORE_EMPTY) && (f.mark || f.entries > 0))
        return f.mark ? err_set(e, ERR_REFUSED, "another restore was at work in \"%s\"", r->dir)
                      : not_empty(r->dir, &f, e);
    if (r->state == RESTORE_HALF_DONE && !f.mark)
        return err_set(e, ERR_REFUSED, "another restore has completed \"%s\"", r->dir);
    return 0;
}

int restore_mark(struct restore *r, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE, .mode = 0600};
    struct publish p = PUBLISH_INIT;
    struct publish_swept swept;
    struct os_root *root = &r->unpack.tree.dir;
    int rc;

    /* Who died may not have flushed it, and without it nobody could go on after the next crash. */
    if (r->state == RESTORE_HALF_DONE)
        return publish_make_durable(root, ".", RESTORE_MARK, e) < 0 ? -1 : 0;
    if (os_sweep_temps(root, ".", &swept, e) < 0)
        return -1;
    /* From here on a crash leaves a directory that says what it is. */
    rc = publish_begin(&p, root, ".", RESTORE_MARK, &how, e);
    if (rc == 0)
        rc = publish_write(&p, r->mark.p, r->mark.len, e);
    if (rc == 0 && r->owner.change)
        rc = os_chown(publish_fd(&p), r->owner.uid, r->owner.gid, RESTORE_MARK, e);
    if (rc == 0)
        rc = publish_commit(&p, e);
    publish_abort(&p);
    return rc;
}

int restore_unmark(struct restore *r, struct err *e)
{
    struct os_root *root = &r->unpack.tree.dir;
    struct err why = {0};

    /* A crash before the flush brings the mark back: the next run finds all in place. */
    if (os_root_unlink(root, RESTORE_MARK, 0, e) < 0)
        return -1;
    if (os_sync_dir(root->fd, r->dir, &why) < 0) /* all else is flushed: the copy is whole */
        msg_warn_err(r->m, &why);
    return 0;
}

/* --- tablespaces --- */

static int check_space(struct restore *r, const struct unpack_space *s, struct err *e)
{
    struct found f;
    struct stat st;
    int rc;

    rc = place_inside(s->target, r->s->repo, e);
    if (rc < 0)
        return -1;
    if (rc > 0)
        return err_set(e, ERR_REFUSED, "tablespace directory \"%s\" lies inside the repository",
                       s->target);
    rc = is_below(s->target, r->dir, e);
    if (rc < 0)
        return -1;
    if (rc > 0)
        return err_set(e, ERR_REFUSED, "tablespace directory \"%s\" lies inside the data directory",
                       s->target);
    rc = look_into(s->target, &f, &st, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (f.entries == 0 || r->state == RESTORE_HALF_DONE || r->state == RESTORE_COPY)
        return 0;
    (void)not_empty(s->target, &f, e);
    e->hint[0] = '\0';
    return err_hint(e,
                    "It is a tablespace of the backup: send it elsewhere with "
                    "--tablespace-mapping %s=NEW.",
                    s->path);
}

static int used_elsewhere(const struct unpack_space *s, const char *who, struct err *e)
{
    (void)err_set(e, ERR_REFUSED,
                  "tablespace directory \"%s\" is in use by %s: the copy's links lead to it",
                  s->target, who);
    return err_hint(e,
                    "Send the copy's tablespace to a directory of its own with "
                    "--tablespace-mapping %s=NEW.",
                    s->path);
}

/* For a copy that was there: it may only reuse tablespaces that are its own. */
static int check_links(struct restore *r, struct err *e)
{
    struct os_root root = OS_ROOT_INIT;
    int rc = r->state == RESTORE_COPY ? os_root_open(&root, r->dir, e) : 1;
    char now[PLACE_MAX];
    struct err quiet = {0};

    if (rc == 0 && os_root_readlink(&root, "pg_wal", now, sizeof now, &quiet) == 0)
        msg_warn(r->m, "\"%s/pg_wal\" is a link to \"%s\"; it becomes a directory", r->dir, now);
    for (size_t i = 0; rc == 0 && i < r->unpack.spaces.n; i++) {
        const struct unpack_space *s = &r->unpack.spaces.v[i];
        char name[32];
        struct found f;
        struct stat st;
        int there = look_into(s->target, &f, &st, e);

        (void)snprintf(name, sizeof name, "pg_tblspc/%u", (unsigned)s->oid);
        if (there < 0) {
            rc = -1;
        } else if (there == 0 && f.entries > 0 &&
                   (os_root_readlink(&root, name, now, sizeof now, e) != 0 ||
                    strcmp(now, s->target) != 0)) {
            err_clear(e);
            rc = not_empty(s->target, &f, e);
        } else if (there == 0 && f.entries > 0 && restore_space_used(r, s, now)) {
            rc = used_elsewhere(s, now, e);
        }
    }
    os_root_close(&root);
    return rc < 0 ? -1 : 0;
}

static bool same_place(const struct unpack_spaces *all, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(all->v[k].target, all->v[i].target) == 0)
            return true;
    return false;
}

/* A server replays CREATE TABLESPACE by emptying the place. */
static int check_made(const struct restore *r, const struct plan *way, struct err *e)
{
    const struct plan_spaces *made = &r->inventory.in.spaces;

    for (size_t i = 0; i < made->n; i++) {
        const struct plan_space *s = &made->v[i];
        struct stat st;
        int rc;

        if (s->path[0] != '/' || !plan_replays(way, &r->inventory.in, s->tli, s->segno, s->lsn))
            continue;
        rc = os_stat(s->path, &st, e);
        if (rc < 0)
            return -1;
        if (rc > 0)
            continue;
        (void)err_set(e, ERR_REFUSED,
                      "the WAL on the way holds CREATE TABLESPACE at \"%s\", and that path exists "
                      "here: the server would empty it",
                      s->path);
        return err_hint(e, "Restore on another machine, or to a moment before it, or with a backup "
                           "taken after it and --tablespace-mapping.");
    }
    if (way->lost_names)
        msg_warn(r->m, "a summary on the way is incomplete: a CREATE TABLESPACE may be in it");
    return 0;
}

/* What the WAL on the way would make.  A standby goes on from the moment that was planned, as far
 * as the archive goes. */
static int check_replayed(struct restore *r, struct err *e)
{
    struct plan_target on = r->target;
    struct plan way;
    int rc;

    if (!r->o->standby)
        return check_made(r, &r->plan, e);
    plan_init(&way);
    on.kind = PLAN_LATEST;
    on.backup = restore_backup(r)->label;
    rc = inventory_plan(&r->inventory, &r->repo, &on, &way, &r->scratch, e);
    if (rc == 0)
        rc = check_made(r, way.verdict == PLAN_YES ? &way : &r->plan, e);
    plan_fini(&way);
    return rc;
}

/* --- room --- */

static int add_room(struct restore *r, const char *path, uint64_t need, struct err *e)
{
    char at[PLACE_MAX];
    char dir[PLACE_MAX];
    struct os_space space;
    struct restore_room *room = NULL;
    struct stat st;
    int fd = -1;
    int rc;

    (void)snprintf(at, sizeof at, "%s", path);
    while ((rc = os_stat(at, &st, e)) > 0 && strcmp(at, "/") != 0) {
        (void)place_split(dir, at);
        memcpy(at, dir, strlen(dir) + 1);
    }
    if (rc == 0)
        rc = os_open(at, O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == 0)
        rc = os_space(fd, &space, at, e);
    os_drop(&fd);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < r->rooms.n; i++)
        if (r->rooms.v[i].device == space.device)
            room = &r->rooms.v[i];
    if (room == NULL) {
        room = restore_rooms_add(&r->rooms, e);
        if (room == NULL)
            return -1;
        room->device = space.device;
        room->free = space.free;
        (void)snprintf(room->path, sizeof room->path, "%s", path);
    }
    room->need += need;
    return 0;
}

int restore_check_room(struct restore *r, struct err *e)
{
    enum { SEGMENTS = 4 }; /* what recovery keeps of the WAL that it fetches, and makes new */
    uint64_t wal = (uint64_t)SEGMENTS * r->inventory.in.segsize;

    if (add_room(r, r->dir, wal, e) != 0)
        return -1;
    for (size_t i = 0; i < r->shares.n; i++) {
        const struct restore_share *s = &r->shares.v[i];
        const struct unpack_space *space = s->oid == 0 ? NULL : unpack_space(&r->unpack, s->oid);

        if (add_room(r, space == NULL ? r->dir : space->target, s->bytes, e) != 0)
            return -1;
    }
    /* What is there already is counted by nobody; a full disk ends the work, and a rerun goes on.
     */
    if (r->state == RESTORE_COPY || r->state == RESTORE_HALF_DONE)
        return 0;
    for (size_t i = 0; i < r->rooms.n; i++) {
        const struct restore_room *room = &r->rooms.v[i];
        char need[SURVEY_SIZE_MAX];
        char have[SURVEY_SIZE_MAX];

        if (room->need <= room->free)
            continue;
        survey_size(need, room->need);
        survey_size(have, room->free);
        (void)err_set(e, ERR_REFUSED, "\"%s\" has too little room: %s are needed, %s are free",
                      room->path, need, have);
        return err_hint(e, "Give another directory, or make room; nothing was written.");
    }
    return 0;
}

int restore_check(struct restore *r, struct err *e)
{
    for (size_t i = 0; i < r->o->maps.n; i++)
        if (unpack_map(&r->unpack, r->o->maps.v[i].from, r->o->maps.v[i].to, e) != 0)
            return err_context(e, "--tablespace-mapping");
    for (size_t i = 0; i < r->unpack.spaces.n; i++) {
        if (same_place(&r->unpack.spaces, i))
            return err_set(e, ERR_USAGE, "two tablespaces would go to \"%s\"",
                           r->unpack.spaces.v[i].target);
        if (check_space(r, &r->unpack.spaces.v[i], e) != 0)
            return -1;
    }
    if (check_links(r, e) != 0 || check_replayed(r, e) != 0 || write_mark(r, e) != 0)
        return -1;
    if (r->state == RESTORE_HALF_DONE && compare_mark(r, e) != 0)
        return -1;
    return restore_check_room(r, e);
}

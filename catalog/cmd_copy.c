/*
 * walden copy: keeps an off-site copy of the repository.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "command.h"
#include "lease.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/copy.h"
#include "repo/copy_place.h"
#include "repo/copy_target.h"
#include "survey.h"

struct options {
    bool json;
    bool make;
    bool check;
    bool adopt;
};

#define MINE(field) .offset = offsetof(struct options, field)

static const struct opt options[] = {
    {.name = "new",
     .kind = OPT_FLAG,
     MINE(make),
     .help = "make the copy: the directory is new or empty (without this an empty one is refused: "
             "its disk may not be mounted)"},
    {.name = "check",
     .kind = OPT_FLAG,
     MINE(check),
     .help = "read back what had been copied before, too, and mend what is damaged there"},
    {.name = "adopt",
     .kind = OPT_FLAG,
     MINE(adopt),
     .help = "the repository is lost: let the copy that --repo names take its place"},
    {.name = "json", .kind = OPT_FLAG, MINE(json), .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden copy",
    .operands = "[NAME|DIR]",
    .summary =
        "keep a copy of the repository on another disk: whole, proven, with rules of its own",
    .examples =
        "walden copy /mnt/usb/walden --new       make it\n"
        "walden copy /mnt/usb/walden             bring it up to date\n"
        "walden copy usb                         the same, when [repo usb] says path = ...\n"
        "walden copy                             all sections [repo NAME]\n"
        "walden copy usb --check                 read it back as well, and mend it\n"
        "walden copy usb --max-rate 5MB          leave the disk or the line to others, too\n"
        "walden expire --copy usb                by the rules of [repo usb]\n"
        "walden restore --repo /mnt/usb/walden -D /srv/copy --start\n"
        "The configuration:\n"
        "  [repo usb]\n"
        "  path = /mnt/usb/walden\n"
        "  keep_dumps = daily=30      what the copy keeps; nothing set: all\n"
        "  max_rate = 5MB             bytes per second\n"
        "  max_age = 2d               for walden check\n",
    .exits = "0    the copy has all that the repository has\n"
             "1    something could not be copied\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository or the copy is not there\n"
             "4    refused for safety: another repository, no copy, an empty directory\n"
             "130  interrupted; the next run goes on\n",
    .args_max = 1,
};

struct run {
    const struct msg *m;
    const struct settings *s;
    const struct options *o;
    const struct copy_target *target;
    struct settings there; /* the host's, as they are for the copy */
    struct repo from;
    struct repo to;
    struct lease lease;
    struct lease lease_there; /* in the copy */
    struct copy copy;
    int64_t began;
};

static void tell(void *arg, enum copy_what what, const char *name, const struct err *why)
{
    const struct run *r = arg;

    if (what == COPY_MENDED)
        msg_note(r->m, "%s was damaged in the copy and is whole again: %s", name, why->msg);
    else
        msg_warn(r->m, "%s was not copied: %s", name, why->msg);
}

static int step(void *arg, struct err *e)
{
    struct run *r = arg;

    return os_signal_check(e) != 0 || lease_beat(&r->lease, e) != 0
               ? -1
               : lease_beat(&r->lease_there, e);
}

static int copy_one(void *arg, const char *cluster, uint64_t system_id, bool last, struct err *e)
{
    struct run *r = arg;
    int fd = -1;
    int rc;

    if (repo_use_lineage(&r->from, r->s, cluster, system_id, e) != 0 ||
        repo_use_lineage(&r->to, &r->there, cluster, system_id, e) != 0)
        return -1;
    /* Packs come before the manifest that needs them: expire would take them for superfluous. */
    rc = store_lock_kind(&r->to.writer, &r->to.where, KIND_EXPIRE, &fd, e);
    if (rc > 0) {
        (void)err_set(e, ERR_REFUSED, "walden expire or another walden copy is at work on \"%s\"",
                      r->there.repo);
        return err_hint(e, "Wait until it has ended.");
    }
    if (rc < 0)
        return -1;
    /* While packs are listed and read, nobody compacts them away; nor there, from another host. */
    lease_take(&r->lease, &r->from, "", "copy", r->m);
    lease_take(&r->lease_there, &r->to, "", "copy", r->m);
    rc = copy_lineage(&r->copy, last, e);
    lease_drop(&r->lease_there);
    lease_drop(&r->lease);
    os_drop(&fd);
    return rc;
}

static void skip_one(void *arg, const char *cluster, uint64_t system_id, const struct err *why)
{
    struct run *r = arg;

    r->copy.done.problems++;
    msg_warn(r->m,
             "nothing of %s/%llu was copied: its file \"" LINEAGE_FILE "\" cannot be used: %s",
             cluster, (unsigned long long)system_id, why->msg);
}

/* Only the repository's owner leaves files there. */
static int is_owner(struct run *r, bool *owner, struct err *e)
{
    struct stat st;

    if (os_root_stat(&r->from.store.root, MARKER_FILE, &st, e) != 0)
        return -1;
    *owner =
        st.st_uid == os_uid() || (r->from.store.root.give && st.st_uid == r->from.store.root.uid);
    return 0;
}

/* What the copy has now, for walden expire. */
static int put_said(struct run *r, bool whole, struct err *e)
{
    struct copied *said = &r->copy.said;
    char file[COPIED_FILE_MAX];
    struct buf b;
    int rc = -1;

    (void)snprintf(said->name, sizeof said->name, "%s", r->target->name);
    said->time = os_real_us();
    said->whole = whole;
    copied_file(file, said->name);
    buf_init(&b, STORE_TEXT_MAX);
    if (copied_write(&b, said, e) == 0)
        rc = store_put_text(&r->from.writer, NULL, file, b.p, b.len, true, e);
    buf_fini(&b);
    return rc;
}

static int acknowledge(struct run *r, struct err *e)
{
    bool owner;

    if (r->target->name == NULL)
        return 0;
    if (is_owner(r, &owner, e) != 0)
        return -1;
    if (owner)
        return put_said(r, r->copy.done.problems == 0, e);
    msg_warn(r->m, "the repository belongs to another user: what was copied is not "
                   "acknowledged there, for require_copy and check");
    return 0;
}

/* Takes back what another copy acknowledged under this name, before this one, which does not have
 * it, is worked on: a run that is cut off must not leave it standing. */
static int take_back(struct run *r, struct err *e)
{
    char file[COPIED_FILE_MAX];
    struct err why = {0};
    struct copied was;
    char *text = NULL;
    size_t len = 0;
    bool owner = false;
    bool same;
    int rc;

    if (r->target->name == NULL)
        return 0;
    copied_file(file, r->target->name);
    rc = store_get_text(&r->from.store, NULL, file, &text, &len, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    copied_init(&was);
    same = copied_read(&was, text, len, file, &why) == 0 &&
           memcmp(was.copy, r->to.copy.id, sizeof was.copy) == 0;
    copied_fini(&was);
    free(text);
    if (same)
        return 0;
    rc = is_owner(r, &owner, e);
    return rc == 0 && owner ? put_said(r, false, e) : rc;
}

static void print_text(const struct run *r)
{
    const struct copy_done *d = &r->copy.done;
    char size[SURVEY_SIZE_MAX];
    char took[TEXT_SIZE_MAX];

    survey_size(size, d->bytes);
    text_duration(took, (uint64_t)(os_mono_us() - r->began));
    printf("copied to %s: %llu objects, %s, in %s\n", r->target->path,
           (unsigned long long)d->copied, size, took);
    printf("  new      %llu WAL segments, %llu base backups, %llu dumps, %llu packs\n",
           (unsigned long long)d->wal, (unsigned long long)d->backups, (unsigned long long)d->dumps,
           (unsigned long long)d->packs);
    printf("  before   %llu objects%s\n", (unsigned long long)d->there,
           r->o->check ? ", read back and found sound" : "");
    if (d->left > 0)
        printf("  left out %llu that its rules or the repository's removed\n",
               (unsigned long long)d->left);
    if (d->mended > 0)
        printf("  mended   %llu\n", (unsigned long long)d->mended);
    if (d->problems > 0)
        printf("  FAILED   %llu: see above; \"walden verify\" tells more\n",
               (unsigned long long)d->problems);
}

static void print_json(const struct run *r, struct json_out *j)
{
    const struct copy_done *d = &r->copy.done;

    json_object(j, NULL);
    if (r->target->name == NULL)
        json_null(j, "name");
    else
        json_str(j, "name", r->target->name);
    json_str(j, "path", r->target->path);
    json_num(j, "copied", d->copied);
    json_num(j, "bytes", d->bytes);
    json_num(j, "segments", d->wal);
    json_num(j, "backups", d->backups);
    json_num(j, "dumps", d->dumps);
    json_num(j, "packs", d->packs);
    json_num(j, "before", d->there);
    json_num(j, "left_out", d->left);
    json_num(j, "mended", d->mended);
    json_num(j, "failed", d->problems);
    json_object_end(j);
}

/* One copy: 0, or -1; the repository is open. */
static int copy_to(struct run *r, struct err *e)
{
    struct copy_how how = {.check = r->o->check, .tell = tell, .step = step, .arg = r};
    int rc;

    r->there = *r->s; /* borrows its texts */
    copy_target_use(r->target, &r->there);
    how.max_rate = r->there.max_rate;
    r->began = os_mono_us();
    if (copy_place_open(&r->to, &r->from, &r->there, r->o->make, &how, e) != 0)
        return -1;
    if (r->o->make && copy_place_is_near(&r->from, &r->to))
        msg_warn(r->m, "the copy lies on the same filesystem as the repository: what takes one "
                       "takes both");
    rc = copy_init(&r->copy, &r->from, &r->to, &how, e);
    if (rc == 0)
        rc = take_back(r, e);
    if (rc == 0)
        rc = copy_each_lineage(&r->from, copy_one, skip_one, r, e);
    if (rc == 0)
        rc = acknowledge(r, e);
    repo_close(&r->to);
    return rc;
}

/* The copies that are meant. */
static int choose(const struct run *r, struct copy_targets *all, const char *what, struct err *e)
{
    const struct copy_target *one;
    struct copy_target bare = {.path = what};

    if (copy_targets_load(all, r->s, e) != 0)
        return -1;
    if (what == NULL && all->n == 0) {
        (void)err_set(e, ERR_USAGE,
                      "no copy was named, and the configuration has no section "
                      "[repo NAME]");
        return err_hint(e, "Give a directory: walden copy /mnt/usb/walden --new");
    }
    if (what == NULL)
        return 0;
    if (strchr(what, '/') == NULL && copy_targets_find(all, what, e) == NULL)
        return -1;
    one = copy_targets_of(all, what);
    bare = one == NULL ? bare : *one;
    all->n = 0;
    return copy_targets_push(all, bare, e);
}

/* All that are meant; the failure of one does not keep the others from it. */
static int copy_each(struct run *r, const struct copy_targets *all, struct json_out *j,
                     struct err *e)
{
    int status = STATUS_OK;

    for (size_t i = 0; i < all->n; i++) {
        int rc;

        r->target = &all->v[i];
        err_clear(e);
        rc = copy_to(r, e);
        if (rc == 0 && r->copy.done.problems > 0)
            status = STATUS_PROBLEM;
        if (rc == 0 && r->o->json)
            print_json(r, j);
        else if (rc == 0)
            print_text(r);
        copy_fini(&r->copy);
        if (rc == 0)
            continue;
        if (all->n == 1 || e->code == ERR_INTERRUPTED || e->code == ERR_NOMEM)
            return -1;
        if (r->target->name != NULL)
            (void)err_context(e, "[repo %s]", r->target->name);
        msg_error(r->m, e);
        status = command_status(e);
    }
    return status;
}

static int run(struct run *r, const char *what, struct err *e)
{
    struct copy_targets all;
    struct json_out j;
    struct buf b;
    int rc = -1;

    copy_targets_init(&all, COPY_TARGETS_MAX);
    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, NULL, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", 1);
    json_array(&j, "copies");
    if (choose(r, &all, what, e) == 0 && secret_start(e) == 0 &&
        repo_open(&r->from, r->s, REPO_READ | REPO_ANY_LINEAGE, e) == 0) {
        rc = copy_each(r, &all, &j, e);
        repo_close(&r->from);
    }
    json_array_end(&j);
    json_object_end(&j);
    if (rc >= 0 && r->o->json &&
        (json_end(&j, e) != 0 || command_print(buf_text(&b), b.len, e) != 0))
        rc = -1;
    buf_fini(&b);
    copy_targets_fini(&all);
    return rc;
}

static int adopt(const struct run *r, struct err *e)
{
    int rc;

    if (!settings_is_explicit(r->s, "repo"))
        return err_set(e, ERR_USAGE, "--adopt goes with --repo and the copy's directory");
    rc = secret_start(e) != 0 ? -1 : copy_place_adopt(r->s, e);
    if (rc < 0)
        return -1;
    printf(rc > 0 ? "%s was adopted before\n"
                  : "%s is the repository now: set repo to it in the configuration.\n"
                    "Never let another host write to the old one again.\n",
           r->s->repo);
    return 0;
}

int cmd_copy(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings settings;
    struct options mine = {0};
    struct run *r = calloc(1, sizeof *r);
    struct opt_set sets[2];
    struct opt_args args = {.n = 0};
    struct err e = {0};
    int status;

    settings_init(&settings);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = settings_options(&settings);
    if (command_parse(&program, sets, 2, argc, argv, &args, &status) == 0) {
        status = command_settings(&settings, &m, &e);
        if (status == 0 && r == NULL)
            status = err_set(&e, ERR_NOMEM, "no memory to copy with");
        if (status == 0) {
            *r = (struct run){.m = &m, .s = &settings, .o = &mine};
            status = mine.adopt ? adopt(r, &e) : run(r, args.n > 0 ? args.v[0] : NULL, &e);
        }
        if (status < 0)
            status = command_fail(&m, &e);
    }
    free(r);
    settings_fini(&settings);
    return status;
}

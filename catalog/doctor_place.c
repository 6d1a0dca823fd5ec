/* The repository as the server's user finds it. */
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "os/file.h"
#include "os/host.h"
#include "os/space.h"

/* Looks at the repository and at the directories that archiving writes into. */
static bool look_at_rights(struct doctor *d)
{
    const struct check *c = d->check;
    char lineage[160];
    char wal[200];
    const char *const below[] = {"", lineage, wal};

    (void)snprintf(lineage, sizeof lineage, "/%.64s/%llu", c->cluster,
                   (unsigned long long)c->system_id);
    (void)snprintf(wal, sizeof wal, "%s/wal", lineage);
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        char path[PLACE_MAX + 256];
        char next[JUDGE_NEXT_MAX];
        struct err quiet = {0};
        struct stat st;

        (void)snprintf(path, sizeof path, "%s%s", c->settings->repo, below[i]);
        if (os_stat(path, &st, &quiet) != 0 || doctor_may(d, &st, 3))
            continue;
        (void)snprintf(next, sizeof next, "chown -R %lu:%lu %.200s", (unsigned long)d->uid,
                       (unsigned long)d->gid, c->settings->repo);
        doctor_say(d, "rights", JUDGE_CRITICAL, next,
                   "the server runs as uid %lu, which may not write into %s (owner uid %lu, mode "
                   "%04o)",
                   (unsigned long)d->uid, path, (unsigned long)st.st_uid,
                   (unsigned)st.st_mode & 07777U);
        return false;
    }
    doctor_say(d, "rights", JUDGE_OK, NULL, "the server's user (uid %lu) may write there",
               (unsigned long)d->uid);
    return true;
}

/* What lacks but can be lived with, as words; "" when nothing does. */
static void lacks(const struct os_probe *p, char *out, size_t cap)
{
    const struct {
        bool has;
        const char *what;
    } parts[] = {
        {p->dir_sync, "directories cannot be flushed, so a power cut can undo what was archived "
                      "last"},
        {p->lock, "files cannot be locked, so leftovers of killed programs stay"},
        {p->big_file, "files end at 4 GB"},
    };

    out[0] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!parts[i].has)
            (void)snprintf(out + strlen(out), cap - strlen(out), "%s%s", out[0] == '\0' ? "" : "; ",
                           parts[i].what);
}

static void look_at_filesystem(struct doctor *d)
{
    struct os_root *root = &d->check->survey.repo.store.root;
    struct os_probe probe;
    struct err why = {0};
    char missing[JUDGE_TEXT_MAX / 2];
    const char *name;

    if (os_probe(root, ".", &probe, &why) != 0) {
        /* As another user than the server's this says nothing about the server. */
        bool mine = d->owner_known && (os_uid() == d->uid || os_uid() == 0);

        doctor_say(d, "filesystem", mine ? JUDGE_CRITICAL : JUDGE_UNKNOWN,
                   mine ? "see the reason; it may be mounted read-only, or full"
                        : "run walden doctor as the server's user, or as root",
                   "no file can be made in the repository%s: %s", mine ? "" : " by this user",
                   why.msg);
        return;
    }
    name = os_fs_name(probe.fs_type);
    lacks(&probe, missing, sizeof missing);
    if (!probe.rename_noreplace && !probe.link)
        doctor_say(d, "filesystem", JUDGE_CRITICAL, "use ext4, xfs, btrfs or NFS",
                   "%s can neither rename without replacing nor link, so no file can be published "
                   "safely",
                   name);
    else if (missing[0] != '\0')
        doctor_say(d, "filesystem", JUDGE_WARNING, "ext4, xfs and btrfs lack nothing",
                   "%s can be used, but %s", name, missing);
    else if (strcmp(name, "nfs") == 0)
        doctor_say(
            d, "filesystem", JUDGE_WARNING,
            "mount it with hard,sync; and make sure that it is mounted before the server "
            "starts",
            "nfs does what is needed, but what it calls flushed is the word of another host");
    else
        doctor_say(
            d, "filesystem", JUDGE_OK, NULL, "%s does what is needed%s", name,
            probe.modes ? "" : " (it keeps no modes: all its files belong to whoever mounted it)");
}

void doctor_look_at_place(struct doctor *d)
{
    if (d->check->facts.repo.state == JUDGE_REPO_AWAY)
        return;
    if (d->owner_known && !look_at_rights(d))
        return;
    if (d->check->survey_open)
        look_at_filesystem(d);
}

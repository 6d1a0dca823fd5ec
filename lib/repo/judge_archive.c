/* The questions about the repository and what is in it. */
#include <stdio.h>

#include "repo/judge_inside.h"

/* --- the place --- */

static void place(struct judge *j)
{
    const struct judge_repo *r = &j->f->repo;

    if (r->inside_pgdata)
        judge_say(j, "placement", JUDGE_CRITICAL, "walden init --repo DIR_ON_ANOTHER_DISK",
                  "the repository lies inside the data directory: whatever takes the one takes the "
                  "other, and base backups contain it");
    else if (r->git[0] != '\0')
        judge_say(j, "placement", JUDGE_WARNING,
                  "move the repository, then set repo to its new place",
                  "the repository lies in a git tree (%s): a clean or a checkout there can delete "
                  "it, and a commit can publish it",
                  r->git);
    else if (r->same_device)
        judge_say(j, "placement", JUDGE_WARNING,
                  "put the repository on another disk, or copy it to another host",
                  "the repository is on the same disk as the data directory: one broken disk takes "
                  "both");
    else
        judge_say(j, "placement", JUDGE_OK, NULL,
                  "the repository is apart from the data directory%s",
                  j->f->host.is_database_host ? "" : ", as far as this host can see");
}

void judge_repository(struct judge *j)
{
    const struct judge_repo *r = &j->f->repo;
    enum judge_state state;
    char room[200];

    switch (r->state) {
    case JUDGE_REPO_OK:
        judge_say(j, "repository", JUDGE_OK, NULL, "%s is there and the right one (%s)", r->path,
                  r->sealed ? "sealed" : "not sealed");
        break;
    case JUDGE_REPO_AWAY:
        judge_say(j, "repository", JUDGE_CRITICAL,
                  r->hint[0] != '\0' ? r->hint : "mount it, or correct repo in the configuration",
                  "the repository is not there: %s", r->why);
        return;
    case JUDGE_REPO_WRONG:
    case JUDGE_REPO_ERROR:
        judge_say(j, "repository", JUDGE_CRITICAL, r->hint[0] != '\0' ? r->hint : "walden doctor",
                  "the repository cannot be used: %s", r->why);
        return;
    }
    if (r->space.known) {
        state = judge_room(j, &r->space, room, sizeof room);
        judge_say(j, "space", state,
                  state == JUDGE_OK ? NULL : "walden expire --dry-run; or a larger disk",
                  "the repository has %s", room);
    } else {
        judge_say(j, "space", JUDGE_UNKNOWN, NULL,
                  "the repository's disk does not tell how full it is");
    }
    place(j);
}

/* --- WAL --- */

/* Without the server only the age of the newest segment is known. */
static void wal_alone(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;
    uint64_t age = judge_since(j, a->arrived);
    enum judge_state state = judge_against(age, j->l->wal_age);
    char text[JUDGE_AGE_MAX];

    judge_age(text, age);
    if (state == JUDGE_OK)
        judge_say(j, "wal", JUDGE_OK, NULL, "the newest WAL was archived %s ago", text);
    else if (j->f->pg.ready_known && j->f->pg.ready == 0)
        judge_say(j, "wal", JUDGE_OK, NULL,
                  "the newest WAL was archived %s ago, and none waits in pg_wal", text);
    else
        judge_say(
            j, "wal", state, "walden doctor",
            "the newest WAL was archived %s ago, and the server does not answer, so whether it "
            "wrote more is not known",
            text);
}

static void wal(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;
    const struct judge_pg *pg = &j->f->pg;
    uint64_t age = judge_since(j, a->arrived);
    enum judge_state state = judge_against(age, j->l->wal_age);
    char text[JUDGE_AGE_MAX];
    char open[JUDGE_AGE_MAX];

    if (a->timeline == 0) {
        judge_say(j, "wal", JUDGE_CRITICAL, "walden doctor",
                  "no WAL was ever archived, so nothing newer than a base backup can be restored");
        return;
    }
    if (pg->state != JUDGE_SERVER_OK || pg->lsn == 0) {
        wal_alone(j);
        return;
    }
    judge_age(text, age);
    judge_bytes(open, pg->lsn > a->end ? pg->lsn - a->end : 0);
    if (pg->lsn <= a->end)
        judge_say(j, "wal", JUDGE_OK, NULL, "all WAL is archived, the newest %s ago", text);
    else if (pg->lsn - a->end < a->segment_size / 16)
        judge_say(j, "wal", JUDGE_OK, NULL,
                  "all WAL but the last %s is archived, the newest %s ago", open, text);
    else
        judge_say(j, "wal", state, state == JUDGE_OK ? NULL : "walden doctor",
                  "the newest WAL was archived %s ago; %s written since exist on the server only",
                  text, open);
}

static void holes(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;

    if (a->holes == 0)
        judge_say(j, "holes", JUDGE_OK, NULL, "no WAL is missing (%llu segments)",
                  (unsigned long long)a->segments);
    else
        judge_say(j, "holes", JUDGE_CRITICAL,
                  "walden backup (what comes after it is whole again); walden list shows all",
                  "%llu hole%s in the WAL: %s is missing; %s", (unsigned long long)a->holes,
                  a->holes == 1 ? "" : "s", a->hole, a->hole_then);
}

static void damage(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;
    const struct judge_proof *p = &j->f->proof;
    char age[JUDGE_AGE_MAX];

    if (a->damaged > 0) {
        judge_say(j, "damage", JUDGE_CRITICAL, "walden verify; then walden backup",
                  "%llu problem%s with what is stored: %s; %s", (unsigned long long)a->damaged,
                  a->damaged == 1 ? "" : "s", a->damage, a->damage_then);
    } else if (p->known && (p->findings > 0 || p->bad_backups > 0)) {
        judge_age(age, judge_since(j, p->verified));
        judge_say(
            j, "damage", JUDGE_CRITICAL, "walden verify",
            "the verification %s ago found damage (%llu findings, %llu backups that cannot be "
            "trusted), and no later one found it mended",
            age, (unsigned long long)p->findings, (unsigned long long)p->bad_backups);
    } else {
        judge_say(j, "damage", JUDGE_OK, NULL, "no damage is known");
    }
}

static void backups(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;
    uint64_t age = judge_since(j, a->backup_time);
    enum judge_state state = judge_against(age, j->l->backup_age);
    char text[JUDGE_AGE_MAX];

    judge_age(text, age);
    if (a->backups == 0)
        judge_say(j, "backups", JUDGE_CRITICAL, "walden backup",
                  "there is no base backup, so the WAL cannot be restored onto anything");
    else if (a->restorable == 0)
        judge_say(j, "backups", JUDGE_CRITICAL, "walden backup",
                  "none of the %llu base backups can be restored", (unsigned long long)a->backups);
    else if (state == JUDGE_OK)
        judge_say(j, "backups", a->restorable < a->backups ? JUDGE_WARNING : JUDGE_OK,
                  a->restorable < a->backups ? "walden list" : NULL,
                  "the newest base backup is %s old (%s); %llu of %llu can be restored", text,
                  a->backup, (unsigned long long)a->restorable, (unsigned long long)a->backups);
    else
        judge_say(j, "backups", state, "walden backup",
                  "the newest base backup that can be restored is %s old (%s)", text, a->backup);
}

/* --- proof --- */

static void verified(struct judge *j)
{
    const struct judge_proof *p = &j->f->proof;
    uint64_t age = judge_since(j, p->verified);
    char text[JUDGE_AGE_MAX];
    char swept[JUDGE_AGE_MAX + 64] = "";

    if (p->verified == JUDGE_NEVER) {
        judge_say(j, "verified", j->l->verify_age == 0 ? JUDGE_OK : JUDGE_WARNING, "walden verify",
                  "the repository was never read back");
        return;
    }
    judge_age(text, age);
    if (p->swept == JUDGE_NEVER) {
        (void)snprintf(swept, sizeof swept, "; not all parts have had their turn yet");
    } else if (p->swept != p->verified) {
        char since[JUDGE_AGE_MAX];

        judge_age(since, judge_since(j, p->swept));
        (void)snprintf(swept, sizeof swept, "; everything within %s", since);
    }
    /* An old proof is no danger by itself. */
    judge_say(j, "verified",
              judge_against(age, j->l->verify_age) == JUDGE_OK ? JUDGE_OK : JUDGE_WARNING,
              judge_against(age, j->l->verify_age) == JUDGE_OK ? NULL : "walden verify",
              "last read back %s ago, %s%s", text,
              p->content ? "content and all" : "by digest and signature (no secret key was there)",
              swept);
}

/* With none at all, the first backup is what it is too long since. */
static void never_drilled(struct judge *j)
{
    const struct judge_proof *p = &j->f->proof;
    uint64_t age = judge_since(j, p->since);
    bool late = p->since != JUDGE_NEVER && judge_against(age, j->l->drill_age) != JUDGE_OK;
    char text[JUDGE_AGE_MAX];
    char since[JUDGE_AGE_MAX + 64] = "";

    judge_age(text, age);
    if (late)
        (void)snprintf(since, sizeof since, ", and the oldest backup is %s old", text);
    judge_say(j, "drills", late ? JUDGE_WARNING : JUDGE_OK,
              !late         ? NULL
              : p->key_here ? "walden drill"
                            : "walden drill, on a host that has the recovery key",
              "no rehearsed restore is on record%s%s", since,
              p->key_here ? "" : "; no secret key is here, so it takes another host");
}

static void drilled(struct judge *j)
{
    const struct judge_proof *p = &j->f->proof;
    uint64_t age = judge_since(j, p->drilled);
    bool late = judge_against(age, j->l->drill_age) != JUDGE_OK;
    char text[JUDGE_AGE_MAX];
    char next[JUDGE_NEXT_MAX];

    if (p->drill_failed != JUDGE_NEVER) {
        judge_age(text, judge_since(j, p->drill_failed));
        (void)snprintf(next, sizeof next, "walden drill --show %s; then walden drill",
                       p->drill_label);
        judge_say(j, "drills", JUDGE_CRITICAL, next, "the newest drill of %s, %s ago, failed",
                  p->drill_what, text);
        return;
    }
    if (p->drilled == JUDGE_NEVER) {
        never_drilled(j);
        return;
    }
    judge_age(text, age);
    judge_say(j, "drills", late ? JUDGE_WARNING : JUDGE_OK,
              !late         ? NULL
              : p->key_here ? "walden drill"
                            : "walden drill, on a host that has the recovery key",
              "the last restore drill succeeded %s ago%s", text,
              late && !p->key_here ? "; no secret key is here, so the next takes another host"
                                   : "");
}

static void dumps(struct judge *j)
{
    const struct judge_dumps *d = &j->f->dumps;
    uint64_t age = judge_since(j, d->newest);
    enum judge_state state = judge_against(age, j->l->dump_age);
    char text[JUDGE_AGE_MAX];

    judge_age(text, age);
    if (!d->known)
        judge_say(j, "dumps", JUDGE_UNKNOWN, "walden list", "the dumps cannot be read");
    else if (d->dumps == 0 && !j->f->dumps_only)
        return; /* nobody asked for dumps */
    else if (d->dumps == 0)
        judge_say(j, "dumps", JUDGE_CRITICAL, "walden dump JOB, or walden init to archive WAL",
                  "the server does not archive WAL and there is no dump: nothing can be restored");
    else
        judge_say(j, "dumps", state, state == JUDGE_OK ? NULL : "walden dump",
                  "the newest dump%s%s is %s old%s%s", d->jobs > 1 ? " of job " : "",
                  d->jobs > 1 ? d->job : "", text,
                  j->f->dumps_only
                      ? "; the server archives no WAL, so all work since then would be "
                        "lost now"
                      : "",
                  d->jobs > 1 ? " (the job that is the furthest behind)" : "");
}

static void heads(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;

    if (a->rolled_back[0] != '\0')
        judge_say(j, "rollback", JUDGE_CRITICAL,
                  "find out who changed the storage; walden verify; walden backup", "%s",
                  a->rolled_back);
    else if (a->host_forgets)
        judge_say(j, "rollback", JUDGE_OK, NULL,
                  "this host remembers no head (state_dir is not set), so an older copy of the "
                  "repository would not be noticed");
    else
        judge_say(j, "rollback", JUDGE_OK, NULL, "nothing that this host remembers is gone");
}

void judge_contents(struct judge *j)
{
    const struct judge_archive *a = &j->f->archive;

    if (j->f->repo.state != JUDGE_REPO_OK)
        return;
    if (!a->read) {
        judge_say(j, "contents", JUDGE_UNKNOWN, "walden list",
                  "what is in the repository cannot be read: %s", a->why);
        return;
    }
    if (!j->f->dumps_only) {
        wal(j);
        holes(j);
        damage(j);
        backups(j);
    }
    dumps(j);
    if (j->f->proof.known) {
        if (!j->f->dumps_only)
            verified(j);
        drilled(j);
    }
    heads(j);
}

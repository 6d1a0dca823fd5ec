#include "repo/absence.h"

#include <string.h>

#include "repo/wal.h"

/* What stops a listing: something that needs the missing file. */
enum { FOUND = 1 };

struct search {
    struct repo *repo;
    const struct walname *name;
    struct object_reader *scratch;
    uint64_t segno; /* of the missing segment */
    uint32_t timeline;
    uint32_t group;
    bool segments; /* the timeline being looked at has one */
    char found[WALNAME_MAX];
};

static int hole(const struct search *s, struct err *e, const char *what)
{
    (void)err_set(e, ERR_HOLE, "it is missing from the archive, but %s \"%s\" %s", what, s->found,
                  "is there");
    (void)err_hint(e, "The archive has a hole; \"walden list\" shows it.  Recovery can only end "
                      "before it: set a recovery target there, or get the file back.");
    return ABSENCE_HOLE;
}

/* --- a later segment of the same timeline --- */

static int later_name(void *arg, const char *leaf, struct err *e)
{
    struct search *s = arg;
    struct walname n;
    uint64_t segno;

    (void)e;
    if (!walname_parse(leaf, &n) || n.kind != WALNAME_SEGMENT || n.tli != s->timeline ||
        !walname_segno(&n, s->repo->lineage.segment_size, &segno) || segno <= s->segno)
        return 0;
    memcpy(s->found, leaf, strlen(leaf) + 1);
    return FOUND;
}

static int later_group(void *arg, uint32_t group, struct err *e)
{
    struct search *s = arg;

    if (group < s->group)
        return 0;
    return store_each_wal(&s->repo->store, &s->repo->where, s->timeline, group, later_name, s, e);
}

/* --- timelines that descend from it --- */

static int any_name(void *arg, const char *leaf, struct err *e)
{
    struct walname n;

    (void)arg, (void)e;
    return walname_parse(leaf, &n) && n.kind == WALNAME_SEGMENT ? FOUND : 0;
}

static int any_segment(void *arg, uint32_t group, struct err *e)
{
    struct search *s = arg;

    return store_each_wal(&s->repo->store, &s->repo->where, s->timeline, group, any_name, s, e);
}

/* Does the timeline have a segment at all? */
static int has_segments(struct search *s, uint32_t timeline, struct err *e)
{
    s->timeline = timeline;
    return store_each_group(&s->repo->store, &s->repo->where, timeline, any_segment, s, e);
}

/* A timeline with segments but without its history: nobody can tell what it needs. */
static int unknown_branch(struct search *s, uint32_t timeline, struct err *e)
{
    int rc = has_segments(s, timeline, e);

    if (rc == FOUND) {
        walname_history(s->found, timeline);
        (void)err_set(e, ERR_HOLE,
                      "it is missing from the archive, and timeline %u may need it: its history "
                      "\"%s\" is missing, too",
                      (unsigned)timeline, s->found);
        return err_hint(e, "Archive the history file again from any server of that timeline.");
    }
    return rc;
}

static int child(void *arg, uint32_t timeline, struct err *e)
{
    struct search *s = arg;
    struct wal_branches b;
    lsn_t end;
    int rc;

    if (timeline <= s->name->tli)
        return 0;
    wal_branches_init(&b, WAL_BRANCHES_MAX);
    rc = wal_branches_load(s->repo, timeline, s->scratch, &b, e);
    if (rc == STORE_ABSENT)
        rc = unknown_branch(s, timeline, e);
    else if (rc == 0 && wal_branch_end(&b, s->name->tli, &end) &&
             walname_segno_of(end, s->repo->lineage.segment_size) > s->segno) {
        walname_history(s->found, timeline);
        rc = FOUND;
    }
    wal_branches_fini(&b);
    return rc;
}

/* Did the timeline begin after this segment?  1 yes, 0 no or not known, -1. */
static int before_birth(struct search *s, struct err *e)
{
    struct wal_branches b;
    int rc;

    wal_branches_init(&b, WAL_BRANCHES_MAX);
    rc = wal_branches_load(s->repo, s->name->tli, s->scratch, &b, e);
    if (rc == 0 && b.n > 0)
        rc = s->segno < walname_segno_of(b.v[b.n - 1].end, s->repo->lineage.segment_size);
    else if (rc == STORE_ABSENT)
        rc = 0; /* then any segment of the timeline makes it a hole */
    wal_branches_fini(&b);
    return rc;
}

static int judge_segment(struct search *s, struct err *e)
{
    struct repo *r = s->repo;
    int rc;

    if (!walname_segno(s->name, r->lineage.segment_size, &s->segno))
        return err_set(e, ERR_USAGE, "it is no segment name for segments of %u bytes",
                       (unsigned)r->lineage.segment_size);
    rc = before_birth(s, e);
    if (rc != 0)
        return rc < 0 ? -1 : ABSENCE_NORMAL;
    s->timeline = s->name->tli;
    s->group = s->name->hi;
    rc = store_each_group(&r->store, &r->where, s->name->tli, later_group, s, e);
    if (rc != 0)
        return rc < 0 ? -1 : hole(s, e, "the later segment");
    rc = store_each_timeline(&r->store, &r->where, child, s, e);
    if (rc == 0)
        return ABSENCE_NORMAL;
    return rc < 0 ? -1 : hole(s, e, "a timeline that needs it, with history");
}

/* --- histories --- */

static int higher(void *arg, uint32_t timeline, struct err *e)
{
    struct search *s = arg;
    struct store_name n = {.kind = KIND_HISTORY, .timeline = timeline, .name = s->found};
    int rc;

    if (timeline < s->name->tli)
        return 0;
    walname_history(s->found, timeline);
    rc = timeline == s->name->tli ? (int)STORE_ABSENT
                                  : store_has(&s->repo->store, &s->repo->where, &n, e);
    if (rc == STORE_ABSENT)
        return has_segments(s, timeline, e);
    return rc == 0 ? FOUND : rc;
}

static int judge_history(struct search *s, struct err *e)
{
    int rc;

    if (s->name->tli == 1) /* it has none, but the server asks when it leaves it */
        return ABSENCE_NORMAL;
    rc = store_each_timeline(&s->repo->store, &s->repo->where, higher, s, e);
    if (rc == 0)
        return ABSENCE_NORMAL;
    if (rc < 0)
        return -1;
    (void)err_set(e, ERR_HOLE,
                  "it is missing from the archive, but its timeline or a later one is there "
                  "(see \"%s\")",
                  s->found);
    (void)err_hint(e, "Archive the history file again from any server of that timeline; without it "
                      "the server would follow another branch.");
    return ABSENCE_HOLE;
}

/* A disk of its own for WAL that is not mounted leaves its mount point, which has nothing in it. */
static int check_mounted(struct repo *r, struct err *e)
{
    int rc = store_wal_is_bare(&r->store, &r->where, e);

    if (rc <= 0)
        return rc;
    (void)err_set(e, ERR_UNREACHABLE,
                  "the directory for WAL in \"%s/%s/%llu\" holds nothing, not even a timeline",
                  r->store.root.path, r->where.cluster, (unsigned long long)r->where.system_id);
    return err_hint(e,
                    "If it is a mount point, mount it.  If nothing was ever archived there, remove "
                    "the empty directory \"wal\".");
}

int absence_judge(struct repo *r, const struct walname *name, struct object_reader *scratch,
                  struct err *e)
{
    struct search s = {.repo = r, .name = name, .scratch = scratch};
    int rc = ABSENCE_NORMAL;

    if (name->kind == WALNAME_SEGMENT)
        rc = judge_segment(&s, e);
    else if (name->kind == WALNAME_HISTORY)
        rc = judge_history(&s, e);
    return rc == ABSENCE_NORMAL ? check_mounted(r, e) : rc;
}

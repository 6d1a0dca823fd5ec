#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "find.h"
#include "survey.h"

enum { TEXT_MAX = 64 * 1024 * 1024 };

/* --- text --- */

/* May this one share the lines of the one before it? */
static bool goes_with(const struct find_candidate *a, const struct find_candidate *b)
{
    return a->tli == b->tli && a->lsn == b->lsn && a->before == b->before && a->xid == b->xid;
}

static int show_aim(const struct find_run *f, const struct find_candidate *c, struct buf *b,
                    struct err *e)
{
    struct finder_aim aim;
    char time[SURVEY_TIME_MAX];

    if (finder_aim(f->r, c, -1, &aim, e) != 0)
        return -1;
    if (!aim.reachable)
        return buf_fmt(b, e, "  lost     %s\n", aim.why);
    if (aim.kept_time != COVERAGE_NO_TIME) {
        survey_time(time, aim.kept_time);
        if (buf_fmt(b, e, "  back to  %s, the last commit then\n", time) != 0)
            return -1;
    }
    if (aim.unproven && buf_str(b,
                                "           the exact place is told by the secret key only: there, "
                                "use --before-drop\n",
                                e) != 0)
        return -1;
    if (buf_str(b, "  type     ", e) != 0 || finder_command(f->r, &aim, b, e) != 0)
        return -1;
    return buf_str(b, "\n", e);
}

static int show_one(const struct find_candidate *c, struct buf *b, struct err *e)
{
    char what[FINDER_TEXT];
    char how[FINDER_TEXT];

    finder_what(c, what);
    finder_how(c, how);
    if (buf_fmt(b, e, "%s\n  %s\n", what, how) != 0)
        return -1;
    if (c->others > 0 && buf_fmt(b, e, "  and %u %s without a name: %s\n", (unsigned)c->others,
                                 c->others == 1 ? "other" : "others",
                                 "indexes, TOAST, or tables made after the backup") != 0)
        return -1;
    if (c->name == NULL && c->kind != FIND_COMMIT && c->kind != FIND_DROP_DATABASE &&
        buf_str(b, "  no backup's map knows it: it was made after the last one before that\n", e) !=
            0)
        return -1;
    if (c->later && buf_str(b, "  the name is from a later backup\n", e) != 0)
        return -1;
    return c->incomplete ? buf_str(b, "  more than is on record was done by that transaction\n", e)
                         : 0;
}

static int show_place(const struct find_candidate *c, struct buf *b, struct err *e)
{
    char time[SURVEY_TIME_MAX];
    char lsn[TEXT_LSN_MAX];

    text_lsn(lsn, c->lsn);
    if (c->time != COVERAGE_NO_TIME) {
        survey_time(time, c->time);
        if (buf_fmt(b, e, "  when     %s\n", time) != 0)
            return -1;
    }
    if (c->xid == 0)
        return buf_fmt(b, e, "  where    at %s on timeline %u\n", lsn, (unsigned)c->tli);
    return buf_fmt(b, e, "  where    transaction %u, ended at %s on timeline %u\n",
                   (unsigned)c->xid, lsn, (unsigned)c->tli);
}

static int show_none(const struct find_run *f, struct buf *b, struct err *e)
{
    char lsn[TEXT_LSN_MAX];
    char time[SURVEY_TIME_MAX] = "";

    if (f->aborted != 0) {
        text_lsn(lsn, f->aborted);
        if (f->aborted_time != COVERAGE_NO_TIME)
            survey_time(time, f->aborted_time);
        return buf_fmt(b, e, "transaction %u was rolled back at %s\n%s\n", (unsigned)f->xid, lsn,
                       time);
    }
    if (f->finder.read.segments + f->finder.read.sealed + f->finder.read.skipped == 0)
        return buf_str(
            b,
            "no WAL is archived here yet, so there is nothing to search; \"walden doctor\"\n"
            "says whether it arrives\n",
            e);
    if (f->finder.read.segments == 0 && f->finder.read.skipped > 0)
        return buf_str(
            b, "nothing is archived of that time; \"walden window\" shows what there is\n", e);
    if (f->xid != 0)
        return buf_fmt(b, e,
                       "no end of transaction %u is on record behind a base backup; one that only\n"
                       "read has no number, and a subtransaction goes by the number of the whole\n",
                       (unsigned)f->xid);
    if (buf_str(b, "nothing of what was asked for happened there\n", e) != 0)
        return -1;
    return finder_guess(&f->finder, b, e);
}

static int show_searched(const struct find_run *f, struct buf *b, struct err *e)
{
    const struct find_read *how = &f->finder.read;
    char first[SURVEY_TIME_MAX];
    char last[SURVEY_TIME_MAX];

    if (buf_fmt(b, e, "searched %llu segment%s of cluster %s\n", (unsigned long long)how->segments,
                how->segments == 1 ? "" : "s", f->r->repo.where.cluster) != 0)
        return -1;
    if (how->skipped > 0 &&
        buf_fmt(b, e, "  %llu others hold nothing of the time or transaction asked for\n",
                (unsigned long long)how->skipped) != 0)
        return -1;
    if (how->first == COVERAGE_NO_TIME)
        return buf_str(b, "  commits  none\n\n", e);
    survey_time(first, how->first);
    survey_time(last, how->last);
    return buf_fmt(b, e, "  commits  %s\n       to  %s\n\n", first, last);
}

/* A name was asked for, and all that is shown is what nobody can name. */
static int show_nameless(const struct find_run *f, struct buf *b, struct err *e)
{
    bool named = !f->finder.filter.table.is_set || f->finder.filter.table.oid != 0;

    for (size_t i = 0; i < f->shown.n && !named; i++)
        named = f->shown.v[i].name != NULL ||
                (f->shown.v[i].kind == FIND_DROP_DATABASE && f->shown.v[i].database != NULL);
    if (named || f->shown.n == 0)
        return 0;
    if (finder_guess(&f->finder, b, e) != 0)
        return -1;
    return buf_str(b,
                   "Nothing of that name was found. What follows has no name in any backup, so it\n"
                   "may be what you look for, or not:\n\n",
                   e);
}

int find_show(const struct find_run *f, struct err *e)
{
    const struct find_candidate *v = f->shown.v;
    struct buf b;
    int rc;

    buf_init(&b, TEXT_MAX);
    rc = show_searched(f, &b, e);
    if (rc == 0 && f->omitted > 0)
        rc = buf_fmt(&b, e, "%llu older ones are left out: --limit shows them\n\n",
                     (unsigned long long)f->omitted);
    if (rc == 0)
        rc = show_nameless(f, &b, e);
    for (size_t i = 0; rc == 0 && i < f->shown.n; i++) {
        rc = show_one(&v[i], &b, e);
        if (rc == 0 && (i + 1 == f->shown.n || !goes_with(&v[i], &v[i + 1]))) {
            rc = show_place(&v[i], &b, e);
            if (rc == 0)
                rc = show_aim(f, &v[i], &b, e);
            if (rc == 0)
                rc = buf_str(&b, "\n", e);
        }
    }
    if (rc == 0 && f->shown.n == 0)
        rc = show_none(f, &b, e);
    if (rc == 0 && f->no_ends)
        rc = buf_str(&b, "Commits are read with the secret key only, which is not here.\n", e);
    if (rc == 0)
        rc = finder_caveats(&f->finder, f->r, &b, e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

/* --- JSON --- */

static void json_number(struct json_out *j, const char *key, uint64_t n, bool known)
{
    if (known)
        json_num(j, key, n);
    else
        json_null(j, key);
}

static void json_lsn(struct json_out *j, const char *key, lsn_t lsn)
{
    if (lsn == 0)
        json_null(j, key);
    else
        survey_json_lsn(j, key, lsn);
}

static int json_restore(const struct find_run *f, const struct find_candidate *c,
                        struct json_out *j, struct err *e)
{
    struct finder_aim aim;
    struct buf b;
    int rc;

    if (finder_aim(f->r, c, -1, &aim, e) != 0)
        return -1;
    buf_init(&b, TEXT_MAX);
    rc = aim.reachable ? finder_command(f->r, &aim, &b, e) : 0;
    json_str(j, "restore", aim.reachable && rc == 0 ? buf_text(&b) : NULL);
    json_str(j, "refused", aim.reachable ? NULL : aim.why);
    json_lsn(j, "stop_lsn", aim.target.lsn);
    json_bool(j, "stops_before", aim.target.exclusive);
    survey_json_time(j, "last_commit", aim.kept_time);
    buf_fini(&b);
    return rc;
}

static int json_one(const struct find_run *f, const struct find_candidate *c, struct json_out *j,
                    struct err *e)
{
    bool is_point = c->kind == FIND_RESTORE_POINT;
    char name[FIND_NAME_MAX];
    int rc;

    json_object(j, NULL);
    json_str(j, "kind", find_kind_word(c->kind));
    survey_json_time(j, "time", c->time);
    json_number(j, "xid", c->xid, c->xid != 0);
    survey_json_lsn(j, "lsn", c->lsn);
    json_num(j, "timeline", c->tli);
    json_str(j, "database", c->database);
    json_number(j, "database_oid", c->db, c->db != 0);
    if (!is_point && c->name != NULL)
        find_relation_text(c->schema, c->name, name);
    json_str(j, "relation", is_point || c->name == NULL ? NULL : name);
    json_number(j, "oid", c->oid, c->oid != 0);
    json_number(j, "file", c->file, c->file != 0);
    json_number(j, "others", c->others, true);
    json_str(j, "restore_point", is_point ? c->name : NULL);
    json_number(j, "rows_deleted", c->deletes, c->kind == FIND_DELETE);
    json_number(j, "rows_updated", c->updates, c->kind == FIND_DELETE);
    json_bool(j, "at_least", c->at_least);
    json_bool(j, "unsure", c->unsure);
    json_bool(j, "incomplete", c->incomplete);
    json_bool(j, "name_from_later_backup", c->later);
    json_lsn(j, "lock_lsn", c->lock);
    rc = json_restore(f, c, j, e);
    json_object_end(j);
    return rc;
}

int find_json(const struct find_run *f, struct err *e)
{
    const struct find_read *how = &f->finder.read;
    struct json_out j;
    struct buf b;
    int rc = 0;

    buf_init(&b, TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", FIND_SCHEMA);
    json_str(&j, "cluster", f->r->repo.where.cluster);
    json_fmt(&j, "system_id", "%llu", (unsigned long long)f->r->repo.where.system_id);
    json_object(&j, "searched");
    json_num(&j, "segments", how->segments);
    json_num(&j, "skipped", how->skipped);
    survey_json_time(&j, "first_commit", how->first);
    survey_json_time(&j, "last_commit", how->last);
    json_num(&j, "sealed", how->sealed);
    json_num(&j, "sealed_commits", how->crossing);
    json_num(&j, "unreadable", how->broken);
    json_num(&j, "holes", how->holes);
    json_num(&j, "overflowed", f->finder.find.lost);
    json_num(&j, "maps", how->maps);
    json_object_end(&j);
    json_num(&j, "omitted", f->omitted);
    json_array(&j, "candidates");
    for (size_t i = 0; rc == 0 && i < f->shown.n; i++)
        rc = json_one(f, &f->shown.v[i], &j, e);
    json_array_end(&j);
    json_object_end(&j);
    if (rc == 0)
        rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

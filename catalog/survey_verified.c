/* What verify put on record, beside what is listed. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "survey.h"

static int tell(struct survey_lineage *l, const char *name, int64_t found, const char *consequence,
                struct err *e)
{
    char time[SURVEY_TIME_MAX];
    char what[SURVEY_TIME_MAX + 64];
    char copy[PROBLEM_PATH_MAX];
    char means[PROBLEM_TEXT_MAX];
    struct problem one = {
        .kind = PROBLEM_DAMAGED, .name = copy, .what = what, .consequence = means};

    survey_time(time, found);
    (void)snprintf(what, sizeof what, "\"walden verify\" found it damaged, %s", time);
    (void)snprintf(copy, sizeof copy, "%s", name);
    (void)snprintf(means, sizeof means,
                   "%s; \"walden verify\" says what it is, and whether it was mended", consequence);
    return problems_tell(&l->scan.problems, &one, e);
}

/* Did the look of now find something there, too?  Then that is told. */
static bool is_seen(const struct survey_lineage *l, tli_t tli, const char *name)
{
    const struct problem_list *p = &l->scan.problems.list;

    for (size_t i = 0; i < p->n; i++)
        if (!problem_is_note(&p->v[i]) &&
            ((tli != 0 && p->v[i].tli == tli) || strcmp(p->v[i].name, name) == 0))
            return true;
    return false;
}

static int tell_wal(struct survey_lineage *l, const struct coverage_timeline *t, struct err *e)
{
    struct verified_verdict one = verified_wal(&l->verified, t->tli, t->start);
    char name[PROBLEM_PATH_MAX];

    (void)snprintf(name, sizeof name, "WAL of timeline %u", (unsigned)t->tli);
    if (!one.damaged || is_seen(l, t->tli, name))
        return 0;
    return tell(l, name, one.damage, "recovery may not get past it", e);
}

int survey_verified(struct survey *s, struct survey_lineage *l, struct err *e)
{
    const struct coverage_timelines *t = &l->scan.cover.timelines;
    size_t before = l->scan.problems.list.n;
    char name[PROBLEM_PATH_MAX];
    int rc = 0;

    if (l->major == 0) /* it cannot be read */
        return 0;
    if (verified_read(&l->verified, &s->repo, &s->reader, e) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < l->backups.items.n; i++) {
        const struct backup_item *b = &l->backups.items.v[i];
        struct verified_verdict one = verified_of(&l->verified, b->label);

        (void)snprintf(name, sizeof name, "backup/%s", b->label);
        if (one.damaged && !is_seen(l, 0, name))
            rc = tell(l, name, one.damage, "it may not be restorable whole", e);
    }
    for (size_t i = 0; rc == 0 && i < l->dumps.n; i++) {
        const struct dump_item *d = &l->dumps.v[i];
        struct verified_verdict one = verified_dump(&l->verified, d->label);

        (void)snprintf(name, sizeof name, "dump/%s/%s", d->job, d->label);
        if (one.damaged && !is_seen(l, 0, name))
            rc = tell(l, name, one.damage, "it may not be restorable", e);
    }
    for (size_t i = 0; rc == 0 && i < t->n; i++)
        rc = tell_wal(l, &t->v[i], e);
    if (l->scan.problems.list.n > before)
        problems_sort(&l->scan.problems);
    return rc;
}

int survey_show_verified(const struct verified_verdict *v, struct buf *out, struct err *e)
{
    static const char *const how[] = {
        [VERIFIED_NONE] = "",
        [VERIFIED_STORED] = "as it is stored, for no key was there to open it",
        [VERIFIED_CONTENT] = "its content was read",
        [VERIFIED_RECORDS] = "all of it was read and checked",
    };
    char time[SURVEY_TIME_MAX];
    char text[2 * SURVEY_TIME_MAX];

    if (v->damaged) {
        survey_time(time, v->damage);
        (void)snprintf(text, sizeof text, "FOUND DAMAGED %s", time);
    } else if (v->level == VERIFIED_NONE) {
        (void)snprintf(text, sizeof text, "never");
    } else {
        survey_time(time, v->time);
        (void)snprintf(text, sizeof text, "%s: %s", time, how[v->level]);
    }
    return command_wrap_behind(out, "      verified ", text, e);
}

void survey_json_verified(const struct verified_verdict *v, struct json_out *j)
{
    json_object(j, "verified");
    json_str(j, "level", verified_word(v->level));
    survey_json_time(j, "time", v->level == VERIFIED_NONE ? COVERAGE_NO_TIME : v->time);
    survey_json_time(j, "damaged", v->damaged ? v->damage : COVERAGE_NO_TIME);
    json_object_end(j);
}

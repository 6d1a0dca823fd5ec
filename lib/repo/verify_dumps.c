#include "repo/verify_dumps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/signal.h"
#include "repo/dump_get.h"

static int tell(struct problems *p, const struct dump_item *d, const char *what, struct err *e)
{
    static char consequence[] = "this dump cannot be restored; the others are not affected";
    char name[PROBLEM_PATH_MAX];
    char text[PROBLEM_TEXT_MAX];
    struct problem one = {
        .kind = PROBLEM_DUMP, .name = name, .what = text, .consequence = consequence};

    (void)snprintf(name, sizeof name, "dump/%.64s/%.64s", d->job, d->label);
    (void)snprintf(text, sizeof text, "%.900s", what);
    return problems_tell(p, &one, e);
}

int verify_dumps_listed(const struct dump_list *list, struct problems *problems, struct err *e)
{
    for (size_t i = 0; i < list->n; i++)
        if (!list->v[i].readable && tell(problems, &list->v[i], list->v[i].why, e) != 0)
            return -1;
    return 0;
}

static int judge(const struct verify_dumps_how *how, const struct dump_item *d, uint8_t level,
                 struct err *e)
{
    struct verified_backup v = {.level = level, .damaged = level == VERIFIED_NONE};

    (void)snprintf(v.label, sizeof v.label, "%s", d->label);
    return how->verdicts == NULL ? 0 : verified_backups_push(how->verdicts, v, e);
}

static int verify_one(struct verify_dumps *v, const struct verify_dumps_how *how,
                      const struct dump_item *d, struct err *e)
{
    struct dump_get *g = calloc(1, sizeof *g);
    struct err why = {0};
    bool whole = false;
    int rc;

    if (g == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read a dump with");
    rc = dump_get_open(g, how->repo, d, how->scratch, &why);
    if (rc == 0)
        rc = dump_get_verify(g, &whole, &why);
    if (rc == 0) {
        v->whole += whole ? 1 : 0;
        v->stored += whole ? 0 : 1;
        v->bytes += whole ? g->public.bytes : 0;
    }
    dump_get_close(g);
    free(g);
    if (rc > 0)
        return 0; /* expired meanwhile */
    if (rc == 0)
        return judge(how, d, whole ? (uint8_t)VERIFIED_CONTENT : (uint8_t)VERIFIED_STORED, e);
    if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED || why.code == ERR_UNREACHABLE) {
        *e = why;
        return -1;
    }
    return judge(how, d, VERIFIED_NONE, e) == 0 ? tell(how->problems, d, why.msg, e) : -1;
}

int verify_dumps(struct verify_dumps *v, const struct verify_dumps_how *how, struct err *e)
{
    if (verify_dumps_listed(how->list, how->problems, e) != 0)
        return -1;
    for (size_t i = 0; i < how->list->n; i++) {
        const struct dump_item *d = &how->list->v[i];

        if (!verify_part_number(&how->part, d->counter))
            continue;
        if (how->progress != NULL)
            how->progress(how->arg, "dumps", i, how->list->n, v->bytes);
        v->looked_at++;
        if (os_signal_check(e) != 0 ||
            (d->readable ? verify_one(v, how, d, e) : judge(how, d, VERIFIED_NONE, e)) != 0)
            return -1;
    }
    problems_sort(how->problems);
    return 0;
}

#include "repo/dump_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

struct reading {
    struct dump_list *list;
    struct repo *repo;
    struct object_reader *reader;
    const char *only;
    const char *job;
};

static int read_one(struct reading *r, struct dump_item *d, struct err *e)
{
    const struct store_name name = {.kind = KIND_DUMP, .name = d->label, .job = d->job};
    struct object_want want = {.kind = KIND_DUMP, .name = d->label};
    struct store_object o;
    char place[FRAME_PLACE_MAX + 1];
    int rc = store_get(&r->repo->store, &r->repo->where, &name, &o, e);

    if (rc != 0)
        return rc;
    repo_place(r->repo, &name, place);
    want.place = place;
    d->stored = o.source.size;
    rc = object_open(r->reader, &o.source, &r->repo->trust, &want, e);
    if (rc == 0)
        rc = dump_public_read(&d->public, r->reader->tail.public_part, r->reader->tail.public_len,
                              e);
    object_close(r->reader);
    store_release(&o);
    return rc;
}

static int add_dump(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct dump_item d = {.counter = 0};
    struct err why = {0};
    int rc;

    if (strlen(name) >= DUMP_LABEL_MAX || !dump_label_counter(name, &d.counter))
        return 0;
    memcpy(d.label, name, strlen(name));
    (void)snprintf(d.job, sizeof d.job, "%s", r->job);
    rc = read_one(r, &d, &why);
    if (rc > 0)
        return 0; /* gone meanwhile */
    d.readable = rc == 0;
    if (rc != 0) {
        if (why.code == ERR_NOMEM) {
            *e = why;
            return -1;
        }
        memset(&d.public, 0, sizeof d.public);
        (void)snprintf(d.why, sizeof d.why, "%.127s", why.msg);
    }
    return dump_list_push(r->list, d, e);
}

static int add_job(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct err none = {0};

    if (parse_name(name, &none) != 0 || (r->only != NULL && strcmp(r->only, name) != 0))
        return 0;
    r->job = name;
    return store_each_dump(&r->repo->store, &r->repo->where, name, add_dump, r, e);
}

static int by_counter(const void *a, const void *b)
{
    const struct dump_item *x = a;
    const struct dump_item *y = b;

    if (x->counter != y->counter)
        return x->counter < y->counter ? -1 : 1;
    return strcmp(x->label, y->label) != 0 ? strcmp(x->label, y->label) : strcmp(x->job, y->job);
}

int dump_list_read(struct dump_list *l, struct repo *repo, const char *job,
                   struct object_reader *scratch, struct err *e)
{
    struct reading r = {l, repo, scratch, job, NULL};

    dump_list_init(l, DUMP_LIST_MAX);
    if (store_each_job(&repo->store, &repo->where, add_job, &r, e) < 0)
        return -1;
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, by_counter);
    return 0;
}

uint32_t dump_list_counter(const struct dump_list *l)
{
    return l->n == 0 ? 0 : l->v[l->n - 1].counter;
}

static const struct dump_item *newest(const struct dump_list *l, const char *job, int64_t at,
                                      bool tagged)
{
    for (size_t i = l->n; i > 0; i--) {
        const struct dump_item *d = &l->v[i - 1];

        if (d->readable && d->public.start <= at && (job == NULL || strcmp(d->job, job) == 0) &&
            (tagged || d->public.tag[0] == '\0'))
            return d;
    }
    return NULL;
}

const struct dump_item *dump_list_find(const struct dump_list *l, const char *text, int64_t at,
                                       struct err *e)
{
    const struct dump_item *found = NULL;
    const char *slash = strchr(text, '/');
    const char *label = slash == NULL ? text : slash + 1;
    unsigned n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct dump_item *d = &l->v[i];

        if (strcmp(d->label, label) != 0 ||
            (slash != NULL && (strlen(d->job) != (size_t)(slash - text) ||
                               memcmp(d->job, text, (size_t)(slash - text)) != 0)))
            continue;
        found = d;
        n++;
    }
    if (n > 1) {
        (void)err_set(e, ERR_USAGE, "there are %u dumps with the label %.64s", n, label);
        (void)err_hint(e, "Write the job in front: JOB/%.64s.", label);
        return NULL;
    }
    if (n == 0 && slash == NULL) {
        const char *job = strcmp(text, "latest") == 0 ? NULL : text;

        found = newest(l, job, at, false);
        if (found == NULL)
            found = newest(l, job, at, true);
        if (found == NULL && at != INT64_MAX && newest(l, job, INT64_MAX, true) != NULL) {
            (void)err_set(e, ERR_USAGE, "no dump of \"%.100s\" is as old as that", text);
            (void)err_hint(e, "\"walden list\" shows when each was taken.");
            return NULL;
        }
    } else if (found != NULL && at != INT64_MAX) {
        (void)err_set(e, ERR_USAGE, "--at chooses among the dumps of a job, and \"%.100s\" is one",
                      text);
        return NULL;
    }
    if (found == NULL) {
        (void)err_set(e, ERR_USAGE, "there is no dump \"%.100s\"", text);
        (void)err_hint(e, "\"walden list\" shows the labels; the name of a job means its newest.");
    } else if (!found->readable) {
        (void)err_set(e, ERR_DAMAGED, "dump %s/%s cannot be read: %s", found->job, found->label,
                      found->why);
        return NULL;
    }
    return found;
}

#include "survey.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "repo/verify_dumps.h"

/* Which lineages are wanted. */
struct choice {
    struct survey *survey;
    const char *cluster; /* NULL: all */
    uint64_t system_id;  /* 0: all */
    const char *now;     /* the cluster being listed */
};

static int add_lineage(void *arg, const char *name, struct err *e)
{
    const struct choice *choice = arg;
    struct survey_lineage *l;
    struct err quiet = {0};
    uint64_t system_id;

    /* dump and drill stand beside the lineages. */
    if (parse_u64(name, 1, UINT64_MAX, &system_id, &quiet) != 0 ||
        (choice->system_id != 0 && choice->system_id != system_id))
        return 0;
    l = survey_lineages_add(&choice->survey->lineages, e);
    if (l == NULL)
        return -1;
    (void)snprintf(l->cluster, sizeof l->cluster, "%s", choice->now);
    l->system_id = system_id;
    scan_init(&l->scan);
    backup_list_init(&l->backups);
    dump_list_init(&l->dumps, DUMP_LIST_MAX);
    drills_init(&l->drills.all, DRILL_LIST_MAX);
    return 0;
}

static int add_cluster(void *arg, const char *name, struct err *e)
{
    struct choice *choice = arg;
    struct err quiet = {0};

    /* lost+found and the like are none of ours. */
    if (parse_name(name, &quiet) != 0 ||
        (choice->cluster != NULL && strcmp(choice->cluster, name) != 0))
        return 0;
    choice->now = name;
    return store_each_lineage(&choice->survey->repo.store, name, add_lineage, choice, e);
}

static int nothing_chosen(const struct survey *s, const struct choice *choice, struct err *e)
{
    char id[32] = "";

    if (choice->system_id != 0)
        (void)snprintf(id, sizeof id, " %llu", (unsigned long long)choice->system_id);
    (void)err_set(e, ERR_USAGE, "repository \"%s\" has no %s%s%s%s", s->path,
                  choice->system_id != 0 ? "system identifier" : "cluster", id,
                  choice->cluster == NULL  ? ""
                  : choice->system_id != 0 ? " in cluster "
                                           : " ",
                  choice->cluster == NULL ? "" : choice->cluster);
    return err_hint(e,
                    "\"walden list\" without --cluster and --system-id shows all that is there.");
}

int survey_open(struct survey *s, const struct settings *settings, struct err *e)
{
    struct choice choice = {.survey = s};

    s->path = settings->repo;
    survey_lineages_init(&s->lineages, SURVEY_MAX);
    if (repo_open(&s->repo, settings, REPO_READ | REPO_ANY_LINEAGE, e) != 0)
        return -1;
    if (settings_is_explicit(settings, "cluster"))
        choice.cluster = settings->cluster;
    if (settings_is_explicit(settings, "system_id"))
        choice.system_id = settings->system_id;
    if (store_each_cluster(&s->repo.store, add_cluster, &choice, e) == 0 &&
        (s->lineages.n > 0 || (choice.cluster == NULL && choice.system_id == 0) ||
         nothing_chosen(s, &choice, e) == 0))
        return 0;
    survey_close(s);
    return -1;
}

void survey_close(struct survey *s)
{
    for (size_t i = 0; i < s->lineages.n; i++) {
        scan_fini(&s->lineages.v[i].scan);
        heads_fini(&s->lineages.v[i].heads);
        backup_list_fini(&s->lineages.v[i].backups);
        dump_list_fini(&s->lineages.v[i].dumps);
        drill_list_fini(&s->lineages.v[i].drills);
        verified_list_fini(&s->lineages.v[i].verified);
    }
    survey_lineages_fini(&s->lineages);
    repo_close(&s->repo);
}

/* A lineage that cannot be used is a problem; without memory or repository nothing can go on. */
static int cannot_use(struct survey_lineage *l, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    struct problem one = {.kind = PROBLEM_LINEAGE, .name = name, .what = e->msg};

    if (e->code != ERR_DAMAGED && e->code != ERR_REFUSED && e->code != ERR_IO && e->code != ERR_KEY)
        return -1;
    (void)snprintf(name, sizeof name, "%s/%llu", l->cluster, (unsigned long long)l->system_id);
    if (problems_add(&l->scan.problems, &one, e) != 0)
        return -1;
    err_clear(e);
    return problems_derive(&l->scan.problems, &l->scan.cover, 0, e);
}

/* Dumps and drills belong to the cluster: they are shown once, whatever its lineages. */
static int list_dumps(struct survey *s, struct survey_lineage *l, bool deep, struct err *e)
{
    for (const struct survey_lineage *k = s->lineages.v; k < l; k++)
        if (k->major != 0 && strcmp(k->cluster, l->cluster) == 0)
            return 0;
    if (dump_list_read(&l->dumps, &s->repo, NULL, &s->reader, e) != 0 ||
        drill_list_read(&l->drills, &s->repo, &s->reader, e) != 0)
        return -1;
    if (deep) /* whoever reads them back tells more */
        return 0;
    if (verify_dumps_listed(&l->dumps, &l->scan.problems, e) != 0)
        return -1;
    problems_sort(&l->scan.problems);
    return 0;
}

/* Is it an older state than this host has seen?  What cannot be compared is a problem as well. */
static int look_at_heads(struct survey *s, const struct settings *settings,
                         struct survey_lineage *l, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    struct err why = {0};
    struct problem one = {.kind = PROBLEM_HEAD, .name = name, .what = why.msg};

    heads_fini(&l->heads);
    if (heads_look(&l->heads, &s->repo, settings->state_dir, &s->reader, &why) == 0) {
        /* Whoever may not write into the state directory compares and no more. */
        if ((l->heads.state == HEADS_NEW || l->heads.state == HEADS_GOOD) &&
            heads_keep(&l->heads, &s->repo, settings->state_dir, &why) != 0)
            err_clear(&why);
        return heads_tell(&l->heads, &l->scan.problems, e);
    }
    if (why.code != ERR_DAMAGED && why.code != ERR_IO) {
        *e = why;
        return -1;
    }
    (void)snprintf(name, sizeof name, "%.400s/heads",
                   settings->state_dir == NULL ? "" : settings->state_dir);
    if (problems_tell(&l->scan.problems, &one, e) != 0)
        return -1;
    problems_sort(&l->scan.problems);
    return 0;
}

int survey_scan(struct survey *s, const struct settings *settings, struct survey_lineage *l,
                const struct scan_how *how, struct err *e)
{
    if (repo_use_lineage(&s->repo, settings, l->cluster, l->system_id, e) != 0)
        return cannot_use(l, e);
    l->major = s->repo.lineage.major;
    l->segment_size = s->repo.lineage.segment_size;
    if (backup_list_read(&l->backups, &s->repo, how->deep == NULL, &l->scan.problems, &s->reader,
                         e) != 0 ||
        scan_lineage(&l->scan, &s->repo, how, &s->reader, e) != 0 ||
        backup_list_judge(&l->backups, &l->scan.cover, &l->scan.problems, e) != 0)
        return -1;
    return list_dumps(s, l, how->deep != NULL, e) != 0 ? -1 : look_at_heads(s, settings, l, e);
}

int survey_inventory(struct survey *s, const struct settings *settings, struct survey_lineage *l,
                     struct inventory *v, struct err *e)
{
    memset(v, 0, sizeof *v);
    if (repo_use_lineage(&s->repo, settings, l->cluster, l->system_id, e) != 0)
        return cannot_use(l, e);
    l->major = s->repo.lineage.major;
    l->segment_size = s->repo.lineage.segment_size;
    if (inventory_read(v, &s->repo, true, &s->reader, e) != 0)
        return -1;
    scan_fini(&l->scan);
    backup_list_fini(&l->backups);
    l->scan = v->scan;
    l->backups = v->list;
    l->scan.cover.why = &l->scan.expired;
    v->in.expired = &l->scan.expired;
    scan_init(&v->scan);
    backup_list_init(&v->list);
    return look_at_heads(s, settings, l, e);
}

size_t survey_problems(const struct survey *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->lineages.n; i++)
        n += problems_count(&s->lineages.v[i].scan.problems);
    return n;
}

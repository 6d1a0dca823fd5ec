#include "repo/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/walname.h"
#include "repo/backup_list.h"

/* --- WAL --- */

struct wal {
    struct copy *copy;
    tli_t tli;
};

static int copy_wal_file(void *arg, const char *name, struct err *e)
{
    static const enum object_kind kinds[] = {
        [WALNAME_SEGMENT] = KIND_SEGMENT,
        [WALNAME_PARTIAL] = KIND_PARTIAL,
        [WALNAME_BACKUP] = KIND_BACKUP_HISTORY,
    };
    const struct wal *w = arg;
    struct copy *c = w->copy;
    uint32_t size = c->from->lineage.segment_size;
    struct walname n;
    uint64_t segno;
    int rc;

    if (!walname_parse(name, &n) || n.kind == WALNAME_HISTORY || n.tli != w->tli ||
        !walname_segno(&n, size, &segno))
        return 0; /* none of ours; verify tells of it */
    if (expired_segment(&c->gone_from, n.tli, segno, size)) {
        c->done.left++;
        return 0;
    }
    /* What the copy removed by its own rules it had: nobody has to wait for it. */
    if (expired_segment(&c->gone_to, n.tli, segno, size)) {
        c->done.left++;
        rc = COPY_IS_THERE;
    } else {
        rc = copy_object(
            c, &(struct store_name){.kind = kinds[n.kind], .timeline = n.tli, .name = name}, e);
    }
    if (rc == COPY_IS_THERE && n.kind == WALNAME_SEGMENT)
        rc = copied_add_wal(&c->said, c->place, n.tli, walname_start(segno, size),
                            walname_start(segno + 1, size), e);
    return rc < 0 ? -1 : 0;
}

static int copy_group(void *arg, uint32_t group, struct err *e)
{
    struct wal *w = arg;
    struct copy *c = w->copy;

    return store_each_wal(&c->from->store, &c->from->where, w->tli, group, copy_wal_file, w, e);
}

static int copy_timeline(void *arg, uint32_t tli, struct err *e)
{
    struct copy *c = arg;
    struct wal w = {c, tli};
    char name[WALNAME_MAX];
    const struct store_name n = {.kind = KIND_HISTORY, .timeline = tli, .name = name};
    int rc = 0;

    walname_history(name, tli);
    if (tli > 1)
        rc = copy_object(c, &n, e);
    return rc < 0 ? -1 : store_each_group(&c->from->store, &c->from->where, tli, copy_group, &w, e);
}

/* --- objects of a directory --- */

struct listing {
    struct copy *copy;
    enum object_kind kind;
    const char *job;
};

static bool is_ours(const struct listing *l, const char *name)
{
    if (l->kind == KIND_EXPIRE)
        return strncmp(name, "expire-", strlen("expire-")) == 0;
    return strlen(name) <= FRAME_NAME_MAX;
}

static int copy_listed(void *arg, const char *name, struct err *e)
{
    const struct listing *l = arg;
    struct copy *c = l->copy;
    const struct store_name n = {.kind = l->kind, .name = name, .job = l->job};
    char whole[EXPIRED_NAME_MAX];
    int rc;

    if (!is_ours(l, name))
        return 0;
    (void)snprintf(whole, sizeof whole, "%s%s%s", l->job == NULL ? "" : l->job,
                   l->job == NULL ? "" : "/", name);
    if (expired_find(&c->dumps_from, l->kind, whole) != NULL) {
        c->done.left++;
        return 0;
    }
    if (expired_find(&c->dumps_to, l->kind, whole) != NULL) {
        c->done.left++;
        rc = COPY_IS_THERE;
    } else {
        rc = copy_object(c, &n, e);
    }
    if (rc == COPY_IS_THERE && l->kind == KIND_DUMP)
        rc = copied_add_object(&c->said, KIND_DUMP, c->from->where.cluster, whole, e);
    return rc < 0 ? -1 : 0;
}

static int copy_job(void *arg, const char *job, struct err *e)
{
    struct copy *c = arg;
    struct listing l = {c, KIND_DUMP, job};

    if (store_sweep_dumps(&c->to->writer, &c->to->where, job, e) != 0)
        return -1;
    return store_each_dump(&c->from->store, &c->from->where, job, copy_listed, &l, e);
}

static int copy_kind(struct copy *c, enum object_kind kind, struct err *e)
{
    struct listing l = {c, kind, NULL};

    return store_each_object(&c->from->store, &c->from->where, kind, copy_listed, &l, e);
}

/* --- backups --- */

static int note_label(void *arg, const char *name, struct err *e)
{
    struct copy_labels *list = arg;
    struct copy_label l;

    if (!backup_list_is_label(name))
        return 0;
    (void)snprintf(l.text, sizeof l.text, "%s", name);
    return copy_labels_push(list, l, e);
}

static bool is_short_of_packs(const struct copy *c, const char *label)
{
    for (size_t i = 0; i < c->short_of.n; i++)
        if (strcmp(c->short_of.v[i].text, label) == 0)
            return true;
    return false;
}

static int copy_backups(struct copy *c, const struct copy_labels *list, struct err *e)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct store_name n = {.kind = KIND_MANIFEST, .name = list->v[i].text};
        int rc;

        if (expired_find(&c->gone_from, KIND_MANIFEST, n.name) != NULL) {
            c->done.left++;
            continue;
        }
        if (expired_find(&c->gone_to, KIND_MANIFEST, n.name) != NULL) {
            c->done.left++;
            rc = COPY_IS_THERE;
        } else {
            rc = is_short_of_packs(c, n.name) ? copy_refuse(c, &n, e) : copy_object(c, &n, e);
        }
        if (rc == COPY_IS_THERE)
            rc = copied_add_object(&c->said, KIND_MANIFEST, c->place, n.name, e);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* --- all --- */

/* What an earlier run left half-written. */
static int sweep(struct copy *c, struct err *e)
{
    static const enum object_kind kinds[] = {KIND_PACK, KIND_MANIFEST, KIND_EXPIRE, KIND_DRILL};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (store_sweep(&c->to->writer, &c->to->where, kinds[i], e) != 0)
            return -1;
    return 0;
}

static int note_dumps(struct expired *all, const struct expired *of, struct err *e)
{
    for (size_t i = 0; i < of->objects.n; i++)
        if (of->objects.v[i].kind == KIND_DUMP &&
            expired_objects_push(&all->objects, of->objects.v[i], e) != 0)
            return -1;
    return 0;
}

static int read_gone(struct copy *c, struct err *e)
{
    if (expired_read(&c->gone_from, c->from, NULL, c->reader, e) != 0 ||
        expired_read(&c->gone_to, c->to, NULL, c->reader, e) != 0 ||
        note_dumps(&c->dumps_from, &c->gone_from, e) != 0 ||
        note_dumps(&c->dumps_to, &c->gone_to, e) != 0)
        return -1;
    expired_finish(&c->dumps_from);
    expired_finish(&c->dumps_to);
    return 0;
}

static void forget_dumps(struct copy *c)
{
    expired_fini(&c->dumps_from);
    expired_fini(&c->dumps_to);
    expired_init(&c->dumps_from);
    expired_init(&c->dumps_to);
}

static int copy_all(struct copy *c, bool dumps, struct err *e)
{
    struct copy_labels list;
    int rc = -1;

    copy_labels_init(&list, COPY_LABELS_MAX);
    if (read_gone(c, e) == 0 && sweep(c, e) == 0 &&
        store_each_object(&c->from->store, &c->from->where, KIND_MANIFEST, note_label, &list, e) ==
            0 &&
        copy_kind(c, KIND_EXPIRE, e) == 0 && copy_packs(c, e) == 0 &&
        store_each_timeline(&c->from->store, &c->from->where, copy_timeline, c, e) == 0 &&
        (!dumps || (store_each_job(&c->from->store, &c->from->where, copy_job, c, e) == 0 &&
                    copy_kind(c, KIND_DRILL, e) == 0)))
        rc = copy_backups(c, &list, e);
    copy_labels_fini(&list);
    return rc;
}

int copy_lineage(struct copy *c, bool dumps, struct err *e)
{
    int rc;

    (void)snprintf(c->place, sizeof c->place, "%.64s/%llu", c->from->where.cluster,
                   (unsigned long long)c->from->where.system_id);
    expired_init(&c->gone_from);
    expired_init(&c->gone_to);
    copy_labels_init(&c->short_of, COPY_LABELS_MAX);
    rc = copy_all(c, dumps, e);
    expired_fini(&c->gone_from);
    expired_fini(&c->gone_to);
    copy_labels_fini(&c->short_of);
    if (dumps) /* the next lineage is of another cluster */
        forget_dumps(c);
    return rc;
}

int copy_init(struct copy *c, struct repo *from, struct repo *to, const struct copy_how *how,
              struct err *e)
{
    memset(c, 0, sizeof *c);
    c->from = from;
    c->to = to;
    c->how = how;
    copied_init(&c->said);
    expired_init(&c->dumps_from);
    expired_init(&c->dumps_to);
    memcpy(c->said.repo, from->marker.id, sizeof c->said.repo);
    memcpy(c->said.copy, to->copy.id, sizeof c->said.copy);
    c->reader = calloc(1, sizeof *c->reader);
    c->put = calloc(1, sizeof *c->put);
    if (c->reader == NULL || c->put == NULL)
        return err_set(e, ERR_NOMEM, "no memory to copy with");
    return 0;
}

void copy_fini(struct copy *c)
{
    copied_fini(&c->said);
    expired_fini(&c->dumps_from);
    expired_fini(&c->dumps_to);
    free(c->reader);
    free(c->put);
    c->reader = NULL; /* the next copy may not come as far as copy_init */
    c->put = NULL;
}

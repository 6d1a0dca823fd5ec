#include "repo/verify_packs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/signal.h"
#include "repo/pack_read.h"
#include "repo/recipients.h"
#include "repo/verify_pool.h"

int verify_packs_init(struct verify_packs *v, struct err *e)
{
    memset(v, 0, sizeof *v);
    verify_pack_list_init(&v->list, PACK_HOLDERS_MAX);
    verify_faults_init(&v->faults, VERIFY_FAULTS_MAX);
    pack_bads_init(&v->bads, PACK_BAD_MAX);
    if (pthread_mutex_init(&v->lock, NULL) != 0)
        return err_set(e, ERR_NOMEM, "no memory for a lock");
    return 0;
}

void verify_packs_fini(struct verify_packs *v)
{
    for (size_t i = 0; i < v->list.n; i++)
        manifest_bits_fini(&v->list.v[i].bad);
    verify_pack_list_fini(&v->list);
    verify_faults_fini(&v->faults);
    pack_bads_fini(&v->bads);
    (void)pthread_mutex_destroy(&v->lock);
}

bool verify_goes_on(const struct err *why)
{
    switch (why->code) {
    case ERR_NOMEM:
    case ERR_UNREACHABLE:
    case ERR_INTERRUPTED:
    case ERR_INTERNAL:
        return false;
    default:
        return true;
    }
}

/* --- faults --- */

static enum problem_kind kind_of(const struct err *why)
{
    if (why->code == ERR_HOLE)
        return PROBLEM_NO_PACK;
    if (why->code == ERR_KEY)
        return PROBLEM_KEY;
    return why->code == ERR_REFUSED ? PROBLEM_REFUSED : PROBLEM_DAMAGED;
}

/* The fault of a pack, made when it has none; NULL when there are too many. */
static struct verify_fault *fault_of(struct verify_packs *v, size_t index, const struct err *why)
{
    struct verify_pack *p = &v->list.v[index];
    struct verify_fault *f;
    struct err quiet = {0};

    if (p->fault == UINT32_MAX)
        return NULL;
    if (p->fault != 0)
        return &v->faults.v[p->fault - 1];
    f = verify_faults_add(&v->faults, &quiet);
    if (f == NULL) {
        p->fault = UINT32_MAX;
        return NULL;
    }
    p->fault = (uint32_t)v->faults.n;
    memcpy(f->id, p->id, PACK_ID);
    f->kind = kind_of(why);
    (void)snprintf(f->what, sizeof f->what, "%.*s", VERIFY_FAULT_TEXT - 1, why->msg);
    return f;
}

static const char elsewhere[] = "another file holds the same pages, and is the one that is read";

static void lock(struct verify_packs *v)
{
    (void)pthread_mutex_lock(&v->lock);
}

static void unlock(struct verify_packs *v)
{
    (void)pthread_mutex_unlock(&v->lock);
}

/* A file whose fault costs nothing that another file does not have. */
static int tell_copy(struct verify_packs *v, struct problems *p, const char *file,
                     const struct err *why, const char *then, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char what[PROBLEM_TEXT_MAX];
    char consequence[PROBLEM_TEXT_MAX];
    int rc;
    struct problem one = {
        .kind = kind_of(why), .name = name, .what = what, .consequence = consequence};

    (void)snprintf(name, sizeof name, "pack/%.400s", file);
    (void)snprintf(what, sizeof what, "%s", why->msg);
    (void)snprintf(consequence, sizeof consequence, "%s", then);
    lock(v);
    rc = problems_tell(p, &one, e);
    unlock(v);
    return rc;
}

/* --- one pack --- */

/* A pack on its way, in one thread. */
struct check {
    struct verify_packs *v;
    const struct verify_packs_how *how;
    struct object_reader *scratch;
    struct pages_judge judge[2]; /* for plain packs, and for sealed ones */
    struct pack_scratch work;
    size_t index;
    bool counts;    /* this is the file that a restore reads */
    bool found;     /* it was opened */
    bool spoiled;   /* one of its files is damaged, whichever */
    uint64_t bytes; /* of its files */
    uint64_t other_bad;
    struct err other_why;
    char unread[PACK_NAME_MAX]; /* the first file that could not be opened, */
    struct err unread_why;      /* and why */
};

static int note_bad(struct check *c, const struct pack *p, uint32_t ordinal, const struct err *why,
                    struct err *e)
{
    struct verify_packs *v = c->v;
    const struct pack_row *row = &p->table.row[ordinal];
    struct verify_fault *f = fault_of(v, c->index, why);
    struct pack_bad bad = {.ordinal = ordinal};

    if (f != NULL && f->entries < VERIFY_FAULT_ENTRIES)
        f->first[f->entries] = ordinal;
    if (f != NULL) {
        f->entries++;
        f->of = p->table.count;
    }
    v->bad_entries++;
    memcpy(bad.id, p->id, PACK_ID);
    if (v->bads.n < v->bads.max && pack_bads_push(&v->bads, bad, e) != 0)
        return -1;
    return manifest_bits_set(&v->list.v[c->index].bad, row->page, pack_row_pages(row), e);
}

static int on_bad(void *arg, const struct pack *p, uint32_t ordinal, const struct err *why,
                  struct err *e)
{
    struct check *c = arg;
    int rc;

    if (!verify_goes_on(why)) {
        *e = *why;
        return -1;
    }
    if (os_signal_check(e) != 0)
        return -1;
    if (c->counts) {
        lock(c->v);
        rc = note_bad(c, p, ordinal, why, e);
        unlock(c->v);
        return rc;
    }
    if (c->other_bad++ == 0)
        c->other_why = *why;
    return 0;
}

/* Takes over what the file that counts has, and what it has not. */
static int adopt(struct check *c, const struct pack *p, struct err *e)
{
    struct verify_pack *mine = &c->v->list.v[c->index];

    mine->pages = p->table.pages;
    for (uint32_t i = 0; i < p->table.count; i++)
        if (!pack_has(p, i) && manifest_bits_set(&mine->bad, p->table.row[i].page,
                                                 pack_row_pages(&p->table.row[i]), e) != 0)
            return -1;
    return 0;
}

/* To whom it is sealed. */
static int check_recipients(struct check *c, const struct pack *p, const char *file, struct err *e)
{
    const struct frame_head head = {.sealed = p->sealed};
    char who[RECIPIENTS_WHO];
    char name[PROBLEM_PATH_MAX];
    struct problem one = {.name = name};
    struct recipients_text said;
    struct err why = {0};
    int rc;
    enum recipients to = recipients_check(c->how->repo, &head, &p->keys, who);

    if (to == RECIPIENTS_ALL)
        return 0;
    (void)snprintf(name, sizeof name, "pack/%s", file);
    if (to != RECIPIENTS_NONE) {
        recipients_describe(&one, &said, to, who);
        c->spoiled = true;
        lock(c->v);
        rc = problems_tell(c->how->problems, &one, e);
        unlock(c->v);
        return rc;
    }
    (void)recipients_refuse(name, &why);
    for (uint32_t i = 0; i < p->table.count; i++)
        if (pack_has(p, i) && on_bad(c, p, i, &why, e) != 0)
            return -1;
    return 1;
}

static int read_file(struct check *c, const struct pack *p, const char *file, struct err *e)
{
    const struct repo *repo = c->how->repo;
    bool content = !p->sealed || repo->has_secret;
    bool judged = !p->sealed || repo->has_host;
    uint64_t bytes = 0;
    int rc;

    if (c->counts && adopt(c, p, e) != 0)
        return -1;
    rc = check_recipients(c, p, file, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    rc = pack_check(p, judged ? &c->judge[p->sealed ? 1 : 0] : NULL, content, &c->work, on_bad, c,
                    &bytes, e);
    c->bytes += bytes;
    lock(c->v);
    c->v->bytes += bytes;
    if (rc == 0 && c->counts) {
        c->v->content += content ? 1 : 0;
        c->v->stored += content ? 0 : 1;
    }
    unlock(c->v);
    return rc;
}

/* One file that holds the pack; place NULL: the one that is named after it. */
static int check_file(struct check *c, const struct pack_place *place, struct err *e)
{
    const struct pack_set *set = c->how->set;
    const uint8_t *id = c->v->list.v[c->index].id;
    unsigned need =
        c->how->repo->marker.sealed && !c->how->repo->has_secret ? PACK_RAW : PACK_DATA | PACK_META;
    struct pack *p = NULL;
    struct err why = {0};
    char file[PACK_NAME_MAX];
    int rc = 0;

    pack_name(file, place != NULL ? set->holders.v[place->holder].id : id, place != NULL);
    c->other_bad = 0;
    err_clear(&c->other_why);
    if (pack_open_at(&p, set, id, place, need, c->scratch, &why) != 0) {
        if (!verify_goes_on(&why)) {
            *e = why;
            return -1;
        }
        if (c->unread_why.code != ERR_NONE)
            return tell_copy(c->v, c->how->problems, file, &why, elsewhere, e);
        c->unread_why = why;
        memcpy(c->unread, file, sizeof file);
        return 0;
    }
    c->counts = !c->found;
    rc = read_file(c, p, file, e);
    c->found = true;
    c->spoiled = c->spoiled || c->other_bad > 0;
    if (rc == 0 && c->other_bad > 0)
        rc = tell_copy(c->v, c->how->problems, file, &c->other_why, elsewhere, e);
    pack_close(p);
    return rc;
}

static bool reads_content(const struct repo *repo)
{
    return !repo->marker.sealed || repo->has_secret;
}

static int check_pack(struct check *c, struct err *e)
{
    const struct pack_set *set = c->how->set;
    struct verify_pack *mine = &c->v->list.v[c->index];
    const uint8_t *id = mine->id;
    uint64_t bytes;
    char name[PACK_NAME_MAX];
    size_t n;
    const struct pack_place *places = pack_set_places(set, id, &n);

    pack_name(name, id, false);
    if (!verify_part_name(&c->how->part, name)) {
        mine->pages = UINT32_MAX;
        return 0;
    }
    if (verify_log_has(c->how->log, 'p', name, &bytes)) {
        mine->pages = UINT32_MAX;
        lock(c->v);
        c->v->resumed++;
        c->v->bytes += bytes;
        *(reads_content(c->how->repo) ? &c->v->content : &c->v->stored) += 1;
        unlock(c->v);
        return 0;
    }
    c->found = false;
    c->spoiled = false;
    c->bytes = 0;
    err_clear(&c->unread_why);
    if (os_signal_check(e) != 0 ||
        (pack_set_direct(set, id) != NULL && check_file(c, NULL, e) != 0))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!set->holders.v[places[i].holder].excluded && check_file(c, &places[i], e) != 0)
            return -1;
    if (!c->found) {
        lock(c->v);
        (void)fault_of(c->v, c->index, &c->unread_why);
        unlock(c->v);
        return 0;
    }
    if (mine->fault == 0 && c->unread_why.code == ERR_NONE && !c->spoiled)
        verify_log_add(c->how->log, 'p', name, c->bytes);
    /* A file that is gone, of which another holds the pages, was compacted meanwhile. */
    if (c->unread_why.code == ERR_NONE || c->unread_why.code == ERR_HOLE)
        return 0;
    return tell_copy(c->v, c->how->problems, c->unread, &c->unread_why, elsewhere, e);
}

/* --- all packs --- */

static int by_id(const void *a, const void *b)
{
    const struct verify_pack *x = a;
    const struct verify_pack *y = b;

    return memcmp(x->id, y->id, PACK_ID);
}

static int add_pack(struct verify_packs *v, const uint8_t id[PACK_ID], struct err *e)
{
    struct verify_pack *p = verify_pack_list_add(&v->list, e);

    if (p == NULL)
        return -1;
    memcpy(p->id, id, PACK_ID);
    return 0;
}

/* Every pack once, whichever files hold it. */
static int list_packs(struct verify_packs *v, const struct pack_set *set, struct err *e)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->holders.n; i++)
        if (!set->holders.v[i].compacted && add_pack(v, set->holders.v[i].id, e) != 0)
            return -1;
    for (size_t i = 0; i < set->places.n; i++)
        if (add_pack(v, set->places.v[i].source.id, e) != 0)
            return -1;
    if (v->list.n > 1)
        qsort(v->list.v, v->list.n, sizeof *v->list.v, by_id);
    for (size_t i = 0; i < v->list.n; i++)
        if (kept == 0 || by_id(&v->list.v[i], &v->list.v[kept - 1]) != 0)
            v->list.v[kept++] = v->list.v[i];
    v->list.n = kept;
    v->sorted = kept;
    return 0;
}

/* A compacted pack that cannot be opened says not even which packs it holds. */
static int tell_lost(struct verify_packs *v, const struct verify_packs_how *how,
                     const struct pack_holder *h, struct err *e)
{
    char text[PACK_NAME_MAX];
    struct store_name name = {.kind = KIND_PACK, .name = text};
    struct object_want want = {
        .kind = KIND_PACK, .name = text, .system_id = how->repo->where.system_id};
    struct store_object o = {.fd = -1};
    struct err why = {0};
    int rc;

    pack_name(text, h->id, true);
    rc = store_get(&how->repo->store, &how->repo->where, &name, &o, &why);
    if (rc == 0)
        rc = object_open(how->scratch, &o.source, &how->repo->trust, &want, &why);
    if (rc == 0) {
        object_close(how->scratch);
        rc = err_set(&why, ERR_DAMAGED, "\"%s\": its list of packs cannot be read", o.shown);
    }
    store_release(&o);
    if (rc > 0) /* removed meanwhile */
        return 0;
    if (!verify_goes_on(&why)) {
        *e = why;
        return -1;
    }
    return tell_copy(v, how->problems, text, &why,
                     "the packs that only it holds are missing; the backups that need them are "
                     "named",
                     e);
}

static int find_stray(void *arg, const char *name, struct err *e)
{
    uint8_t id[PACK_ID];
    bool compacted;
    char path[PROBLEM_PATH_MAX];
    char what[] = "no file or directory of this name belongs here";
    char then[] = "no restore uses it";
    struct problem one = {
        .kind = PROBLEM_MISPLACED, .name = path, .what = what, .consequence = then};

    if (pack_name_read(name, id, &compacted))
        return 0;
    (void)snprintf(path, sizeof path, "pack/%.400s", name);
    return problems_tell(arg, &one, e);
}

static int check_one(void *worker, size_t index, struct err *e)
{
    struct check *c = worker;

    c->index = index;
    if (c->how->tell != NULL) {
        lock(c->v);
        c->how->tell(c->how->arg, index, c->v->sorted, c->v->bytes);
        unlock(c->v);
    }
    return check_pack(c, e);
}

/* The first has the caller's reader. */
static struct check *new_check(struct verify_packs *v, const struct verify_packs_how *how,
                               bool first)
{
    struct repo *repo = how->repo;
    struct check *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->v = v;
    c->how = how;
    c->scratch = first ? how->scratch : calloc(1, sizeof *c->scratch);
    if (c->scratch == NULL) {
        free(c);
        return NULL;
    }
    pages_judge_init(&c->judge[0], NULL, repo->marker.id);
    if (repo->has_host)
        pages_judge_init(&c->judge[1], repo->host.write, repo->marker.id);
    return c;
}

static void free_check(struct check *c, bool first)
{
    if (!first) {
        object_close(c->scratch);
        free(c->scratch);
    }
    secret_wipe(c, sizeof *c);
    free(c);
}

static int check_packs(struct verify_packs *v, const struct verify_packs_how *how, struct err *e)
{
    void *workers[VERIFY_POOL_MAX];
    struct verify_pool pool = {.worker = workers, .objects = v->sorted, .work = check_one};
    unsigned jobs = how->jobs == 0 ? 1 : how->jobs;
    int rc = -1;

    while (pool.n < jobs && pool.n < VERIFY_POOL_MAX) {
        workers[pool.n] = new_check(v, how, pool.n == 0);
        if (workers[pool.n] == NULL)
            break;
        pool.n++;
    }
    if (pool.n == 0)
        (void)err_set(e, ERR_NOMEM, "no memory to read packs");
    else
        rc = verify_pool_run(&pool, e);
    for (unsigned i = 0; i < pool.n; i++)
        free_check(workers[i], i == 0);
    return rc;
}

int verify_packs_read(struct verify_packs *v, const struct verify_packs_how *how, struct err *e)
{
    struct repo *repo = how->repo;

    if (store_each_object(&repo->store, &repo->where, KIND_PACK, find_stray, how->problems, e) !=
            0 ||
        list_packs(v, how->set, e) != 0)
        return -1;
    for (size_t i = 0; i < how->set->holders.n; i++)
        if (how->set->holders.v[i].lost && tell_lost(v, how, &how->set->holders.v[i], e) != 0)
            return -1;
    return check_packs(v, how, e);
}

/* --- what it means for backups --- */

static int find(struct verify_packs *v, const uint8_t id[PACK_ID], size_t *index, struct err *e)
{
    struct verify_pack want = {.pages = 0};
    const struct verify_pack *at = NULL;
    struct err why = {0};

    memcpy(want.id, id, PACK_ID);
    if (v->sorted > 0)
        at = bsearch(&want, v->list.v, v->sorted, sizeof *v->list.v, by_id);
    if (at != NULL) {
        *index = (size_t)(at - v->list.v);
        return 0;
    }
    for (*index = v->sorted; *index < v->list.n; (*index)++)
        if (by_id(&v->list.v[*index], &want) == 0)
            return 0;
    if (add_pack(v, id, e) != 0)
        return -1;
    (void)err_set(&why, ERR_HOLE, "no file in the repository holds it");
    (void)fault_of(v, *index, &why);
    return 0;
}

int verify_packs_find(struct verify_packs *v, const uint8_t id[PACK_ID], size_t *index,
                      struct err *e)
{
    int rc;

    lock(v);
    rc = find(v, id, index, e);
    unlock(v);
    return rc;
}

void verify_packs_id(struct verify_packs *v, size_t index, uint8_t id[PACK_ID])
{
    lock(v);
    memcpy(id, v->list.v[index].id, PACK_ID);
    unlock(v);
}

bool verify_packs_lost(struct verify_packs *v, size_t index, uint32_t page, uint32_t count)
{
    const struct verify_pack *p;
    bool lost;

    lock(v);
    p = &v->list.v[index];
    lost = page + count > p->pages || manifest_bits_any(&p->bad, page, count);
    unlock(v);
    return lost;
}

/* Threads come in any order; what is told does not depend on it. */
static void used(struct verify_fault *f, size_t backup)
{
    uint32_t at = f->listed;

    f->users++;
    while (at > 0 && f->user[at - 1] > backup)
        at--;
    if (at == VERIFY_FAULT_USERS)
        return;
    if (f->listed < VERIFY_FAULT_USERS)
        f->listed++;
    memmove(&f->user[at + 1], &f->user[at], (f->listed - at - 1) * sizeof f->user[0]);
    f->user[at] = backup;
}

void verify_packs_used(struct verify_packs *v, size_t index, size_t backup)
{
    uint32_t fault;

    lock(v);
    fault = v->list.v[index].fault;
    if (fault != 0 && fault != UINT32_MAX)
        used(&v->faults.v[fault - 1], backup);
    unlock(v);
}

static void name_users(const struct verify_fault *f, const struct backup_list *list,
                       char out[PROBLEM_TEXT_MAX])
{
    (void)snprintf(out, PROBLEM_TEXT_MAX,
                   "%u backup%s cannot be restored whole: ", (unsigned)f->users,
                   f->users == 1 ? "" : "s");
    for (uint32_t i = 0; i < f->listed; i++)
        (void)snprintf(out + strlen(out), PROBLEM_TEXT_MAX - strlen(out), "%s%s", i > 0 ? ", " : "",
                       list->items.v[f->user[i]].label);
    if (f->users > f->listed)
        (void)snprintf(out + strlen(out), PROBLEM_TEXT_MAX - strlen(out), " ...");
}

static void describe(const struct verify_fault *f, char out[PROBLEM_TEXT_MAX])
{
    char list[VERIFY_FAULT_ENTRIES * 12] = "";
    uint32_t shown = f->entries < VERIFY_FAULT_ENTRIES ? f->entries : VERIFY_FAULT_ENTRIES;

    if (f->entries == 0) {
        (void)snprintf(out, PROBLEM_TEXT_MAX, "%s", f->what);
        return;
    }
    for (uint32_t i = 0; i < shown; i++)
        (void)snprintf(list + strlen(list), sizeof list - strlen(list), "%s%u", i > 0 ? ", " : "",
                       (unsigned)f->first[i]);
    (void)snprintf(out, PROBLEM_TEXT_MAX, "%u of its %u entries %s damaged (%s%s): %s",
                   (unsigned)f->entries, (unsigned)f->of, f->entries == 1 ? "is" : "are", list,
                   shown < f->entries ? " ..." : "", f->what);
}

int verify_packs_tell(const struct verify_packs *v, const struct backup_list *list,
                      struct problems *p, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char what[PROBLEM_TEXT_MAX];
    char then[PROBLEM_TEXT_MAX];
    char file[PACK_NAME_MAX];
    struct problem one = {.name = name, .what = what, .consequence = then};

    for (size_t i = 0; i < v->faults.n; i++) {
        const struct verify_fault *f = &v->faults.v[i];

        if (f->kind == PROBLEM_NO_PACK && f->users == 0) /* removed since it was listed */
            continue;
        one.kind = f->kind;
        pack_name(file, f->id, false);
        (void)snprintf(name, sizeof name, "pack/%s", file);
        describe(f, what);
        if (f->users == 0)
            (void)snprintf(then, sizeof then, "no backup needs what is damaged");
        else
            name_users(f, list, then);
        if (problems_tell(p, &one, e) != 0)
            return -1;
    }
    return 0;
}

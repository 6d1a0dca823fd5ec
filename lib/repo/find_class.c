/* What was it?  The rules are those of FORMAT.md, section 11. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "repo/find.h"

enum { FIRST_USER = 16384 };

/* One event on trial. */
struct trial {
    struct find *f;
    const struct find_filter *filter;
    struct find_candidates *out;
    const struct find_event *ev;
    bool transient;        /* it made a relation to fill and threw it away: a rewrite */
    bool made;             /* it made files */
    uint32_t tables;       /* known tables whose files it replaced */
    uint32_t replaced_oid; /* one of them */
    uint32_t unknown;      /* what it removed that no map knows */
    uint32_t least;        /* the least number of these */
    size_t first;          /* its candidates begin here */
    bool named;            /* it touched a known table */
};

static uint32_t number(const struct find *f, const struct find_list *l, uint32_t i)
{
    return f->pool.v[l->at + i];
}

static bool list_has(const struct find *f, const struct find_list *l, uint32_t x)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (number(f, l, i) == x)
            return true;
    return false;
}

static bool is_table(char kind)
{
    return kind == 'r' || kind == 'm' || kind == 'p' || kind == 'f' || kind == 0;
}

/* --- the filter --- */

static bool is_database(const struct find_filter *filter, uint32_t db, const char *name)
{
    struct err quiet = {0};
    uint32_t oid = 0;

    if (filter->database == NULL || (name != NULL && strcmp(filter->database, name) == 0))
        return true;
    return parse_u32(filter->database, 1, UINT32_MAX, &oid, &quiet) == 0 && oid == db;
}

/* A name that nobody knows may be the one; a number is known. */
static bool passes(const struct find_filter *filter, const struct find_candidate *c)
{
    const struct find_table *t = &filter->table;
    bool may_be_drop = filter->doubtful && c->kind == FIND_REWRITE && c->unsure &&
                       (filter->kinds & 1U << FIND_DROP) != 0;

    if ((filter->kinds & 1U << c->kind) == 0 && !may_be_drop)
        return false;
    if (c->kind == FIND_RESTORE_POINT || c->kind == FIND_COMMIT)
        return !t->is_set && filter->database == NULL;
    if (!is_database(filter, c->db, c->database) &&
        (c->database != NULL || filter->database == NULL))
        return false;
    if (!t->is_set)
        return is_table(c->relkind);
    if (t->oid != 0)
        return t->oid == c->oid || (c->oid == 0 && (c->file == 0 || c->file == t->oid)) ||
               (c->incomplete && c->name == NULL);
    return c->name == NULL || find_table_is(t, c->oid, c->schema, c->name);
}

static int push(struct trial *t, const struct find_candidate *c, struct err *e)
{
    return passes(t->filter, c) ? find_candidates_push(t->out, *c, e) : 0;
}

static void name_it(const struct find_known *k, struct find_candidate *c)
{
    if (k->rel == NULL)
        return;
    c->oid = k->rel->oid;
    c->relkind = k->rel->kind;
    c->schema = find_map_text(k->map, k->rel->schema);
    c->name = find_map_text(k->map, k->rel->name);
    c->later = k->later;
}

static struct find_candidate of_event(const struct trial *t, enum find_kind kind)
{
    const struct find_event *ev = t->ev;
    struct find_candidate c = {.kind = kind,
                               .lsn = ev->lsn,
                               .before = ev->lsn,
                               .lock = ev->lock,
                               .time = ev->time,
                               .tli = ev->tli,
                               .xid = ev->xid,
                               .db = ev->db,
                               .incomplete = ev->incomplete};

    c.database = find_database(&t->f->maps, ev->tli, ev->lsn, ev->db);
    return c;
}

/* --- one relation of an event --- */

static struct find_known ask(const struct trial *t, uint32_t oid)
{
    return find_by_oid(&t->f->maps, t->ev->tli, t->ev->lsn, t->ev->db, oid);
}

/* Was it told already? */
static bool is_told(const struct trial *t, uint32_t oid)
{
    for (size_t i = t->first; i < t->out->n; i++)
        if (t->out->v[i].oid == oid)
            return true;
    return false;
}

static int tell(struct trial *t, enum find_kind kind, const struct find_known *k, bool unsure,
                struct err *e)
{
    struct find_candidate c = of_event(t, kind);

    name_it(k, &c);
    c.unsure = unsure;
    t->named = t->named || is_table(c.relkind);
    return is_told(t, c.oid) ? 0 : push(t, &c, e);
}

/* A known relation lost its file, and it is not known to be gone. */
static int replaced(struct trial *t, const struct find_known *k, struct err *e)
{
    const struct find_event *ev = t->ev;
    bool logged = list_has(t->f, &ev->truncated, k->rel->oid);
    /* 13 and 14 do not say what is gone: another table made in its place looks the same. */
    bool unsure = !ev->has_stats && (t->transient || ev->created.total < ev->dropped.total);

    if (is_table(k->rel->kind)) {
        t->tables += t->replaced_oid == k->rel->oid ? 0 : 1;
        t->replaced_oid = k->rel->oid;
    }
    if (logged)
        return tell(t, FIND_TRUNCATE, k, false, e);
    if (!t->made)
        return tell(t, FIND_DROP, k, false, e);
    if (t->transient)
        return tell(t, FIND_REWRITE, k, unsure, e);
    return tell(t, FIND_TRUNCATE, k, unsure || ev->volume > FIND_VOLUME, e);
}

static void unknown(struct trial *t, uint32_t x)
{
    t->unknown++;
    if (t->least == 0 || x < t->least)
        t->least = x;
}

/* 15 and later: these are gone. */
static int by_stats(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;

    for (uint32_t i = 0; i < ev->stats.n; i++) {
        uint32_t oid = number(t->f, &ev->stats, i);
        struct find_known k = ask(t, oid);

        if (list_has(t->f, &ev->created, oid))
            continue;
        if (k.rel == NULL)
            unknown(t, oid);
        else if (is_table(k.rel->kind) || t->filter->table.is_set) {
            if (tell(t, FIND_DROP, &k, false, e) != 0)
                return -1;
        }
    }
    return 0;
}

static int by_files(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;

    for (uint32_t i = 0; i < ev->dropped.n; i++) {
        uint32_t file = number(t->f, &ev->dropped, i);
        struct find_known k = find_by_file(&t->f->maps, ev->tli, ev->lsn, ev->db, file);

        if (k.rel == NULL) {
            if (!ev->has_stats && file >= FIRST_USER)
                unknown(t, file);
            continue;
        }
        if (list_has(t->f, &ev->stats, k.rel->oid) || (!is_table(k.rel->kind) && t->made))
            continue; /* gone, as told; or an index or TOAST made anew */
        if (replaced(t, &k, e) != 0)
            return -1;
    }
    return 0;
}

/* wal_level logical names what was truncated. */
static int by_truncates(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;

    for (uint32_t i = 0; i < ev->truncated.n; i++) {
        uint32_t oid = number(t->f, &ev->truncated, i);
        struct find_known k = ask(t, oid);
        struct find_candidate c = of_event(t, FIND_TRUNCATE);

        if (is_told(t, oid) || list_has(t->f, &ev->stats, oid) || list_has(t->f, &ev->created, oid))
            continue; /* dropped as well, or made just before */
        c.oid = oid;
        name_it(&k, &c);
        if (is_table(c.relkind) && t->replaced_oid != oid) {
            t->tables++;
            t->replaced_oid = oid;
        }
        t->named = true;
        if (push(t, &c, e) != 0)
            return -1;
    }
    return 0;
}

/* Relations of 13 and 14 whose file is not known, or that have none of their own: all that is known
 * is that they were locked, and that the transaction removed files.  The latter, parents of
 * partitions, are so locked with each partition: they are told to those only who ask for them. */
static int by_locks(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;

    for (uint32_t i = 0; !ev->has_stats && !t->made && ev->dropped.total > 0 && i < ev->locked.n;
         i++) {
        uint32_t oid = number(t->f, &ev->locked, i);
        struct find_known k = ask(t, oid);

        if (k.rel == NULL || k.file != 0 || !list_has(t->f, &ev->invals, oid) ||
            (k.rel->file == 0 && !t->filter->table.is_set))
            continue;
        if (tell(t, FIND_DROP, &k, true, e) != 0)
            return -1;
    }
    return 0;
}

/* The relation that a rewrite or truncation of something unknown was about. */
static uint32_t guess(const struct trial *t)
{
    const struct find_event *ev = t->ev;
    uint32_t least = 0;

    for (uint32_t i = 0; i < ev->invals.n; i++) {
        uint32_t oid = number(t->f, &ev->invals, i);

        if (list_has(t->f, &ev->created, oid) || list_has(t->f, &ev->stats, oid) ||
            (ev->locked.n > 0 && !list_has(t->f, &ev->locked, oid)))
            continue;
        if (least == 0 || oid < least)
            least = oid;
    }
    return least;
}

/* Did it touch a known table without locking it?  Then it made indexes anew. */
static bool is_reindex(const struct trial *t)
{
    const struct find_event *ev = t->ev;

    for (uint32_t i = 0; ev->locked.n > 0 && i < ev->invals.n; i++) {
        uint32_t oid = number(t->f, &ev->invals, i);
        struct find_known k = ask(t, oid);

        if (k.rel != NULL && is_table(k.rel->kind) && !list_has(t->f, &ev->locked, oid))
            return true;
    }
    return false;
}

/* Nothing of the event has a name. */
static int nameless(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;
    struct find_candidate c = of_event(t, FIND_DROP);
    struct find_known k;

    if (!t->made || (ev->has_stats && !t->transient && t->unknown > 0)) {
        /* Temporary tables have statistics, but no files that the WAL knows of. */
        if (ev->dropped.total == 0 || (t->unknown == 0 && !ev->incomplete))
            return 0;
        c.oid = t->least;
        c.others = t->unknown > 0 ? t->unknown - 1 : 0;
        if (ev->incomplete && ev->dropped.total > ev->dropped.n)
            c.others += ev->dropped.total - ev->dropped.n;
        return push(t, &c, e);
    }
    if (is_reindex(t))
        return 0;
    c.kind = t->transient ? FIND_REWRITE : FIND_TRUNCATE;
    c.oid = guess(t);
    k = ask(t, c.oid);
    if (c.oid == 0 || k.rel != NULL || ev->dropped.total == 0)
        return 0; /* known, and not one of those told: an index was made anew, say */
    c.unsure = true;
    return push(t, &c, e);
}

/* Tells the others how many of an event's relations have no name. */
static void tell_others(struct trial *t)
{
    for (size_t i = t->first; i < t->out->n; i++)
        if (t->out->v[i].kind == FIND_DROP && t->out->v[i].name != NULL)
            t->out->v[i].others = t->unknown;
}

/*
 * The file that the rows are in now; 0: not known.  A truncation makes the heap's first.  A rewrite
 * fills a relation that is thrown away afterwards, made before its TOAST table and that one's
 * index; but ALTER TABLE may have made indexes before, which 13 and 14 do not tell from it.
 */
static uint32_t new_file(const struct trial *t)
{
    const struct find_event *ev = t->ev;
    const struct find_list *thrown = ev->has_stats ? &ev->stats : &ev->invals;
    uint32_t least = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < ev->created.n; i++) {
        uint32_t file = number(t->f, &ev->created, i);

        if (t->transient && !list_has(t->f, thrown, file))
            continue;
        n++;
        if (least == 0 || file < least)
            least = file;
    }
    return t->transient && !ev->has_stats && n != 1 && n != 3 ? 0 : least;
}

static int follow(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;

    if (!t->made || t->tables == 0)
        return 0;
    if (t->tables == 1)
        return find_moved(&t->f->maps, ev->tli, ev->lsn, ev->db, t->replaced_oid, new_file(t), e);
    for (uint32_t i = 0; i < ev->dropped.n; i++) {
        struct find_known k =
            find_by_file(&t->f->maps, ev->tli, ev->lsn, ev->db, number(t->f, &ev->dropped, i));

        if (k.rel != NULL && is_table(k.rel->kind) &&
            find_moved(&t->f->maps, ev->tli, ev->lsn, ev->db, k.rel->oid, 0, e) != 0)
            return -1;
    }
    return 0;
}

static int judge(struct trial *t, struct err *e)
{
    const struct find_event *ev = t->ev;
    const struct find_list *thrown = ev->has_stats ? &ev->stats : &ev->invals;

    t->first = t->out->n;
    t->made = ev->created.total > 0;
    t->transient = t->named = false;
    t->tables = t->replaced_oid = t->unknown = t->least = 0;
    for (uint32_t i = 0; i < ev->created.n && !t->transient; i++)
        t->transient = list_has(t->f, thrown, number(t->f, &ev->created, i));
    if (by_stats(t, e) != 0 || by_files(t, e) != 0 || by_truncates(t, e) != 0 ||
        by_locks(t, e) != 0)
        return -1;
    if ((!t->named || (ev->incomplete && t->filter->table.is_set && t->out->n == t->first)) &&
        nameless(t, e) != 0)
        return -1;
    tell_others(t);
    return follow(t, e);
}

/* --- rows --- */

static int take_change(struct trial *t, const struct find_change *c, struct err *e)
{
    struct find_known k = find_by_file(&t->f->maps, c->tli, c->lsn, c->rel.db, c->rel.rel);
    struct find_candidate x = {.kind = FIND_DELETE,
                               .lsn = c->lsn,
                               .before = c->lsn,
                               .time = c->time,
                               .tli = c->tli,
                               .xid = c->xid,
                               .db = c->rel.db,
                               .file = c->rel.rel,
                               .deletes = c->deletes,
                               .updates = c->updates,
                               .at_least = c->at_least};

    if (c->deletes + c->updates < t->filter->rows)
        return 0;
    x.database = find_database(&t->f->maps, c->tli, c->lsn, c->rel.db);
    name_it(&k, &x);
    if (x.relkind == 't' && !t->filter->table.is_set)
        return 0;
    return push(t, &x, e);
}

/* --- databases --- */

/* The relation of a dropped database that was asked for. */
static const struct find_rel *inside(const struct find_maps *m, const struct find_base *b,
                                     const struct find_table *table, const struct find_map **in)
{
    for (size_t i = m->list.n; i > 0; i--) {
        const struct find_map *map = &m->list.v[i - 1];

        if (map->lsn > b->lsn || !find_leads_to(m->lines, map->tli, map->lsn, b->tli))
            continue;
        for (size_t k = 0; k < map->rels.n; k++)
            if (map->rels.v[k].db == b->db &&
                find_table_is(table, map->rels.v[k].oid, find_map_text(map, map->rels.v[k].schema),
                              find_map_text(map, map->rels.v[k].name))) {
                *in = map;
                return &map->rels.v[k];
            }
    }
    return NULL;
}

static int take_base(struct trial *t, const struct find_base *b, struct err *e)
{
    const struct find_table *table = &t->filter->table;
    struct find_candidate c = {.kind = FIND_DROP_DATABASE,
                               .lsn = b->end != 0 ? b->end : b->lsn,
                               .before = b->lsn,
                               .time = b->time,
                               .tli = b->tli,
                               .xid = b->xid,
                               .db = b->db,
                               .unsure = b->end == 0};
    struct find_known k = {0};

    if (b->aborted || (t->filter->kinds & 1U << FIND_DROP_DATABASE) == 0)
        return 0;
    c.database = find_database(&t->f->maps, b->tli, b->lsn, b->db);
    if (!is_database(t->filter, b->db, c.database))
        return 0;
    if (table->is_set) {
        k.rel = inside(&t->f->maps, b, table, &k.map);
        name_it(&k, &c);
    }
    /* The name may be the database's own; one that is not known may be anybody's. */
    if (table->is_set && k.rel == NULL && c.database != NULL &&
        (table->schema[0] != '\0' || !find_table_is(table, b->db, NULL, c.database)))
        return 0;
    return find_candidates_push(t->out, c, e);
}

static int take_point(struct trial *t, const struct find_point *p, struct err *e)
{
    struct find_candidate c = {
        .kind = FIND_RESTORE_POINT, .lsn = p->lsn, .time = p->time, .tli = p->tli, .name = p->name};

    return push(t, &c, e);
}

/* --- all --- */

int find_order(const struct find_candidate *x, const struct find_candidate *y)
{
    if (x->tli != y->tli)
        return x->tli < y->tli ? -1 : 1;
    if (x->lsn != y->lsn)
        return x->lsn < y->lsn ? -1 : 1;
    if (x->kind != y->kind)
        return (int)x->kind - (int)y->kind;
    if (x->oid != y->oid)
        return x->oid < y->oid ? -1 : 1;
    return x->file < y->file ? -1 : x->file > y->file;
}

static int by_place(const void *a, const void *b)
{
    return find_order(a, b);
}

void find_sort(struct find_candidates *c)
{
    if (c->n > 0)
        qsort(c->v, c->n, sizeof c->v[0], by_place);
}

int find_judge(struct find *f, const struct find_filter *filter, struct find_candidates *out,
               struct err *e)
{
    struct trial t = {.f = f, .filter = filter, .out = out};

    /* Events in order, for each may give a relation another file; a change is looked up at its own
     * moment, when all moves are known. */
    for (size_t i = 0; i < f->events.n; i++) {
        t.ev = &f->events.v[i];
        if (judge(&t, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < f->changes.n; i++)
        if (take_change(&t, &f->changes.v[i], e) != 0)
            return -1;
    return 0;
}

int find_candidates(struct find *f, const struct find_filter *filter, struct find_candidates *out,
                    struct err *e)
{
    struct trial t = {.f = f, .filter = filter, .out = out};

    if (find_judge(f, filter, out, e) != 0)
        return -1;
    for (size_t i = 0; i < f->bases.n; i++)
        if (take_base(&t, &f->bases.v[i], e) != 0)
            return -1;
    for (size_t i = 0; i < f->points.n; i++)
        if (take_point(&t, &f->points.v[i], e) != 0)
            return -1;
    find_sort(out);
    return 0;
}

static bool is_plain(const char *name)
{
    if (!((*name >= 'a' && *name <= 'z') || *name == '_'))
        return false;
    for (; *name != '\0'; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') || *name == '_'))
            return false;
    return true;
}

static size_t add_ident(char *out, size_t at, size_t cap, const char *name)
{
    bool plain = is_plain(name);

    if (!plain && at + 1 < cap)
        out[at++] = '"';
    for (; *name != '\0' && at + 3 < cap; name++) {
        if (*name == '"')
            out[at++] = '"';
        out[at++] = *name;
    }
    if (!plain && at + 1 < cap)
        out[at++] = '"';
    return at;
}

void find_relation_text(const char *schema, const char *name, char out[FIND_NAME_MAX])
{
    size_t at = 0;

    if (schema != NULL) {
        at = add_ident(out, at, FIND_NAME_MAX / 2, schema);
        out[at++] = '.';
    }
    at = add_ident(out, at, FIND_NAME_MAX, name);
    out[at] = '\0';
}

const char *find_kind_word(enum find_kind kind)
{
    static const char *const words[FIND_KINDS] = {
        [FIND_DROP] = "drop",
        [FIND_TRUNCATE] = "truncate",
        [FIND_REWRITE] = "rewrite",
        [FIND_DELETE] = "delete",
        [FIND_DROP_DATABASE] = "drop-database",
        [FIND_RESTORE_POINT] = "restore-point",
        [FIND_COMMIT] = "commit",
    };

    return words[kind];
}

#include "repo/find_map.h"

#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/tlv.h"
#include "repo/find.h"

enum {
    GUESSES = 1 << 20, /* so many names are compared at most */
    ITEM_DATABASE = 1,
    ITEM_RELATION = 2,
    ITEM_MAX = 64 * 1024,
    MAPS_MAX = PLAN_BACKUPS_MAX,
    ROWS_MAX = 1 << 26
};

/* --- a table as a person names it --- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_ident(const char *typed, bool exact, const char *name)
{
    if (strcmp(typed, name) == 0)
        return true;
    if (exact)
        return false;
    while (*typed != '\0' && lower(*typed) == *name)
        typed++, name++;
    return *typed == '\0' && *name == '\0';
}

/* One part, quoted or not; *text moves behind it. */
static int parse_part(const char **text, char out[FIND_IDENT_MAX], bool *exact, struct err *e)
{
    const char *p = *text;
    size_t n = 0;

    *exact = *p == '"';
    if (*exact)
        p++;
    for (; *p != '\0'; p++) {
        if (*exact && *p == '"' && p[1] != '"')
            break;
        if (*exact && *p == '"')
            p++;
        if (!*exact && *p == '.')
            break;
        if (n + 1 >= FIND_IDENT_MAX)
            return err_set(e, ERR_USAGE, "no relation has such a long name");
        out[n++] = *p;
    }
    out[n] = '\0';
    if (*exact && *p != '"')
        return err_set(e, ERR_USAGE, "a quote is missing at the end");
    *text = *exact ? p + 1 : p;
    return n > 0 ? 0 : err_set(e, ERR_USAGE, "expected TABLE, SCHEMA.TABLE or a number");
}

int find_table_parse(struct find_table *t, const char *text, struct err *e)
{
    struct err quiet = {0};

    memset(t, 0, sizeof *t);
    t->is_set = true;
    if (parse_u32(text, 1, UINT32_MAX, &t->oid, &quiet) == 0)
        return 0;
    if (parse_part(&text, t->name, &t->exact_name, e) != 0)
        return -1;
    if (*text == '\0')
        return 0;
    memcpy(t->schema, t->name, sizeof t->schema);
    t->exact_schema = t->exact_name;
    if (*text++ != '.' || parse_part(&text, t->name, &t->exact_name, e) != 0 || *text != '\0') {
        (void)err_set(e, ERR_USAGE, "expected TABLE, SCHEMA.TABLE or a number");
        return err_hint(e, "The database goes into --database.");
    }
    return 0;
}

bool find_table_is(const struct find_table *t, uint32_t oid, const char *schema, const char *name)
{
    if (t->oid != 0)
        return t->oid == oid;
    return name != NULL && is_ident(t->name, t->exact_name, name) &&
           (t->schema[0] == '\0' ||
            (schema != NULL && is_ident(t->schema, t->exact_schema, schema)));
}

/* --- reading a map --- */

void find_maps_init(struct find_maps *m, const struct plan_lines *lines)
{
    memset(m, 0, sizeof *m);
    m->lines = lines;
    find_map_list_init(&m->list, MAPS_MAX);
    find_moves_init(&m->moves, FIND_MAX);
}

static void forget_list(struct find_maps *m)
{
    for (size_t i = 0; i < m->list.n; i++) {
        find_rels_fini(&m->list.v[i].rels);
        find_rels_fini(&m->list.v[i].files);
        find_dbs_fini(&m->list.v[i].dbs);
        buf_fini(&m->list.v[i].text);
        buf_fini(&m->list.v[i].held);
    }
    find_map_list_fini(&m->list);
}

void find_maps_fini(struct find_maps *m)
{
    forget_list(m);
    find_moves_fini(&m->moves);
}

struct find_map *find_maps_add(struct find_maps *m, size_t backup, tli_t tli, lsn_t lsn,
                               struct err *e)
{
    struct find_map *map = find_map_list_add(&m->list, e);

    if (map == NULL)
        return NULL;
    map->backup = backup;
    map->tli = tli;
    map->lsn = lsn;
    find_rels_init(&map->rels, ROWS_MAX);
    find_rels_init(&map->files, ROWS_MAX);
    find_dbs_init(&map->dbs, ROWS_MAX);
    buf_init(&map->text, FIND_MAP_TEXT);
    buf_init(&map->held, (size_t)2 * ITEM_MAX);
    return map;
}

static bool has(const uint32_t *v, size_t n, uint32_t x)
{
    size_t low = 0;

    while (n > 0) {
        size_t half = n / 2;

        if (v[low + half] == x)
            return true;
        if (v[low + half] < x) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return false;
}

/* A name of a map, at most FIND_IDENT_MAX - 1 bytes, with a 0 behind. */
static bool get_name(struct cur *c, char out[FIND_IDENT_MAX])
{
    uint32_t len;

    if (!tlv_get_u32(c, &len) || len >= FIND_IDENT_MAX || !cur_copy(c, out, len))
        return false;
    out[len] = '\0';
    return strlen(out) == len;
}

static int keep_name(struct find_map *m, const char *name, size_t *at, struct err *e)
{
    *at = m->text.len;
    return buf_add(&m->text, name, strlen(name) + 1, e);
}

static int keep_rel(struct find_map *m, struct find_rel *r, const char *schema, const char *name,
                    struct err *e)
{
    r->db = m->db;
    if (keep_name(m, schema, &r->schema, e) != 0 || keep_name(m, name, &r->name, e) != 0 ||
        find_rels_push(&m->rels, *r, e) != 0)
        return -1;
    return r->file == 0 ? 0 : find_rels_push(&m->files, *r, e);
}

/* For whoever has misspelt a name, or has not put capital letters into quotes. */
static void guess(struct find_guess *g, const struct find_table *t, char kind, const char *schema,
                  const char *name)
{
    struct text_closest near;

    if (g == NULL || !t->is_set || t->oid != 0 || g->known || g->tried >= GUESSES ||
        (kind != 'r' && kind != 'p' && kind != 'm'))
        return;
    g->tried++;
    g->known = find_table_is(t, 0, schema, name);
    text_closest_init(&near, t->name);
    near.distance = g->name[0] == '\0' ? SIZE_MAX : g->distance;
    text_closest_try(&near, name);
    if (near.best == NULL)
        return;
    g->distance = near.distance;
    (void)memcpy(g->name, name, strlen(name) + 1);
    (void)memcpy(g->schema, schema, strlen(schema) + 1);
}

enum { ITEM_TAKEN = 0, ITEM_CUT = 1, ITEM_BAD = 2 };

static int take_item(struct find_map *m, struct cur *c, const uint32_t *wanted, size_t n,
                     const struct find_table *table, struct err *e)
{
    char name[FIND_IDENT_MAX];
    char schema[FIND_IDENT_MAX];
    struct find_rel r = {0};
    struct find_db db = {0};
    uint32_t space;
    uint8_t type;
    uint8_t kind;

    if (!cur_u8(c, &type))
        return ITEM_CUT;
    if (type == ITEM_DATABASE) {
        if (!tlv_get_u32(c, &db.oid) || !get_name(c, name))
            return ITEM_CUT;
        m->db = db.oid;
        return keep_name(m, name, &db.name, e) == 0 ? find_dbs_push(&m->dbs, db, e) : -1;
    }
    if (type != ITEM_RELATION)
        return ITEM_BAD;
    if (!tlv_get_u32(c, &r.oid) || !tlv_get_u32(c, &r.file) || !tlv_get_u32(c, &space) ||
        !cur_u8(c, &kind) || !get_name(c, schema) || !get_name(c, name))
        return ITEM_CUT;
    r.kind = (char)kind;
    guess(m->guess, table, r.kind, schema, name);
    if (!has(wanted, n, r.oid) && !has(wanted, n, r.file) &&
        !(table->is_set && find_table_is(table, r.oid, schema, name)))
        return ITEM_TAKEN;
    return keep_rel(m, &r, schema, name, e);
}

int find_map_feed(struct find_map *m, const uint8_t *p, size_t n, const uint32_t *wanted,
                  size_t n_wanted, const struct find_table *table, struct err *e)
{
    struct cur c;
    size_t used = 0;
    int rc;

    if (buf_add(&m->held, p, n, e) != 0)
        return -1;
    c = cur_of(m->held.p, m->held.len);
    while ((rc = take_item(m, &c, wanted, n_wanted, table, e)) == ITEM_TAKEN)
        used = m->held.len - c.left;
    if (rc < 0)
        return -1;
    if (rc == ITEM_BAD || m->held.len - used > ITEM_MAX)
        return err_set(e, ERR_DAMAGED, "the relation map makes no sense");
    memmove(m->held.p, m->held.p + used, m->held.len - used);
    m->held.len -= used;
    return 0;
}

static int by_oid(const void *a, const void *b)
{
    const struct find_rel *x = a;
    const struct find_rel *y = b;

    if (x->db != y->db)
        return x->db < y->db ? -1 : 1;
    return x->oid < y->oid ? -1 : x->oid > y->oid;
}

static int by_file(const void *a, const void *b)
{
    const struct find_rel *x = a;
    const struct find_rel *y = b;

    if (x->db != y->db)
        return x->db < y->db ? -1 : 1;
    return x->file < y->file ? -1 : x->file > y->file;
}

int find_map_done(struct find_map *m, struct err *e)
{
    if (m->held.len > 0)
        return err_set(e, ERR_DAMAGED, "the relation map is cut off");
    buf_fini(&m->held);
    if (m->rels.n > 0)
        qsort(m->rels.v, m->rels.n, sizeof m->rels.v[0], by_oid);
    if (m->files.n > 0)
        qsort(m->files.v, m->files.n, sizeof m->files.v[0], by_file);
    m->read = true;
    return 0;
}

/* --- asking --- */

/* Was the map made before the moment, on its way? */
static bool is_before(const struct find_maps *m, const struct find_map *map, tli_t tli, lsn_t lsn)
{
    return map->lsn <= lsn && find_leads_to(m->lines, map->tli, map->lsn, tli);
}

static bool is_behind(const struct find_maps *m, const struct find_map *map, tli_t tli, lsn_t lsn)
{
    return map->lsn > lsn && find_leads_to(m->lines, tli, lsn, map->tli);
}

static const struct find_rel *look_up(const struct find_map *map, uint32_t db, uint32_t number,
                                      bool is_file)
{
    const struct find_rels *v = is_file ? &map->files : &map->rels;
    struct find_rel key = {.db = db, .oid = number, .file = number};

    return v->n == 0 ? NULL : bsearch(&key, v->v, v->n, sizeof v->v[0], is_file ? by_file : by_oid);
}

/* The last move of a relation (or to a file) up to the moment. */
static const struct find_move *last_move(const struct find_maps *m, tli_t tli, lsn_t lsn,
                                         uint32_t db, uint32_t number, bool is_file)
{
    size_t at = (is_file ? m->file_bucket : m->oid_bucket)[number % FIND_BUCKETS];

    while (at != 0) {
        const struct find_move *move = &m->moves.v[at - 1];

        if (move->db == db && (is_file ? move->file : move->oid) == number && move->lsn <= lsn &&
            find_leads_to(m->lines, move->tli, move->lsn, tli))
            return move;
        at = is_file ? move->by_file : move->by_oid;
    }
    return NULL;
}

/* The newest map before the moment that knows the number, else the first one behind it. */
static struct find_known ask_maps(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db,
                                  uint32_t number, bool is_file)
{
    struct find_known k = {0};

    for (size_t i = m->list.n; i > 0 && k.rel == NULL; i--)
        if (is_before(m, &m->list.v[i - 1], tli, lsn)) {
            k.map = &m->list.v[i - 1];
            k.rel = look_up(k.map, db, number, is_file);
        }
    for (size_t i = 0; i < m->list.n && k.rel == NULL; i++)
        if (is_behind(m, &m->list.v[i], tli, lsn)) {
            k.map = &m->list.v[i];
            k.rel = look_up(k.map, db, number, is_file);
            k.later = true;
        }
    if (k.rel == NULL)
        k.map = NULL;
    else if (!k.later)
        k.file = k.rel->file;
    return k;
}

/* Does a timeline leave another one between these? */
static bool branches(const struct find_maps *m, lsn_t from, lsn_t to)
{
    for (size_t i = 0; i < m->lines->n; i++)
        if (m->lines->v[i].birth > from && m->lines->v[i].birth <= to)
            return true;
    return false;
}

/* A relation that moved on has left its file; who goes another way from between must still know. */
static bool is_over(const struct find_maps *m, size_t i)
{
    const struct find_move *move = &m->moves.v[i];

    for (size_t at = m->oid_bucket[move->oid % FIND_BUCKETS]; at > i + 1;
         at = m->moves.v[at - 1].by_oid) {
        const struct find_move *later = &m->moves.v[at - 1];

        if (later->db == move->db && later->oid == move->oid && later->tli == move->tli &&
            later->lsn > move->lsn && !branches(m, move->lsn, later->lsn))
            return true;
    }
    return false;
}

static void link_move(struct find_maps *m, size_t i)
{
    struct find_move *move = &m->moves.v[i];
    size_t *of_oid = &m->oid_bucket[move->oid % FIND_BUCKETS];
    size_t *of_file = &m->file_bucket[move->file % FIND_BUCKETS];

    move->by_oid = *of_oid;
    move->by_file = *of_file;
    *of_oid = *of_file = i + 1;
}

void find_maps_forget(struct find_maps *m)
{
    size_t n = 0;

    forget_list(m);
    for (size_t i = 0; i < m->moves.n; i++)
        m->moves.v[i].over = is_over(m, i);
    memset(m->oid_bucket, 0, sizeof m->oid_bucket);
    memset(m->file_bucket, 0, sizeof m->file_bucket);
    for (size_t i = 0; i < m->moves.n; i++) {
        if (m->moves.v[i].over)
            continue;
        m->moves.v[n] = m->moves.v[i];
        link_move(m, n++);
    }
    m->moves.n = n;
}

struct find_known find_by_oid(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db,
                              uint32_t oid)
{
    struct find_known k = ask_maps(m, tli, lsn, db, oid, false);
    const struct find_move *move = last_move(m, tli, lsn, db, oid, false);

    if (k.rel != NULL && move != NULL && (k.later || move->lsn >= k.map->lsn))
        k.file = move->file;
    return k;
}

struct find_known find_by_file(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db,
                               uint32_t file)
{
    const struct find_move *move = last_move(m, tli, lsn, db, file, true);
    struct find_known k;

    if (move != NULL) {
        k = find_by_oid(m, tli, lsn, db, move->oid);
        if (k.rel != NULL)
            return k;
    }
    k = ask_maps(m, tli, lsn, db, file, true);
    if (k.rel != NULL)
        k.file = file;
    return k;
}

static const char *name_in(const struct find_map *map, uint32_t db)
{
    for (size_t i = 0; i < map->dbs.n; i++)
        if (map->dbs.v[i].oid == db)
            return find_map_text(map, map->dbs.v[i].name);
    return NULL;
}

const char *find_database(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db)
{
    const char *name = NULL;

    for (size_t i = m->list.n; i > 0 && name == NULL; i--)
        if (is_before(m, &m->list.v[i - 1], tli, lsn))
            name = name_in(&m->list.v[i - 1], db);
    for (size_t i = 0; i < m->list.n && name == NULL; i++)
        if (is_behind(m, &m->list.v[i], tli, lsn))
            name = name_in(&m->list.v[i], db);
    return name;
}

int find_moved(struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db, uint32_t oid, uint32_t file,
               struct err *e)
{
    const struct find_move move = {.lsn = lsn, .tli = tli, .db = db, .oid = oid, .file = file};

    if (find_moves_push(&m->moves, move, e) != 0)
        return -1;
    link_move(m, m->moves.n - 1);
    return 0;
}

/*
 * Goal: from items as a summary holds them find tells, for 13 and for 17, drops from truncations,
 * rewrites, indexes made anew and temporary tables, names relations by the right map, counts rows
 * over segments and savepoints exactly like an oracle, and tells nothing twice where timelines
 * part.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/parse.h"
#include "pg/facts.h"
#include "repo/find.h"

enum {
    DB = 5,
    A = 20000,
    B = 20010,
    PARENT = 20020,
    A_TOAST = 20001,
    A_INDEX = 20002,
    SEG = 1 << 20
};

static struct find f;
static struct plan_lines lines;
static struct find_candidates got;
static struct err e;
static bool stats = true;

static void must(bool ok)
{
    if (!ok) {
        printf("Bail out! the test itself failed: %s\n", e.msg);
        exit(1);
    }
}

static void begin(void)
{
    memset(&e, 0, sizeof e);
    plan_lines_init(&lines, 16);
    must(plan_lines_push(&lines, (struct plan_line){.tli = 1, .known = true}, &e) == 0);
    find_init(&f, &lines);
    find_candidates_init(&got, 10000);
}

static void end(void)
{
    find_candidates_fini(&got);
    find_fini(&f);
    plan_lines_fini(&lines);
}

static void segment(tli_t tli, uint64_t segno)
{
    const struct find_segment s = {.tli = tli, .segno = segno, .has_stats = stats};

    find_begin(&f, &s);
}

static void item(const struct meta_item *m)
{
    must(find_item(&f, m, &e) == 0);
}

static void done(void)
{
    must(find_end(&f, &e) == 0);
}

/* A list of numbers up to 0. */
static void list(struct meta_list *l, const uint32_t *v)
{
    for (; v != NULL && *v != 0; v++)
        meta_list_add(l, *v);
}

struct made {
    lsn_t lsn;
    lsn_t lock;
    uint32_t xid;
    uint64_t volume;
    const uint32_t *dropped, *created, *stats, *invals, *locked, *truncated;
    uint32_t more; /* dropped files that are not on record */
};
#define V(...) ((const uint32_t[]){__VA_ARGS__, 0})

static void event(const struct made *m)
{
    static struct meta_item it;
    struct meta_event *ev = &it.u.event;

    memset(&it, 0, sizeof it);
    it.tag = META_EVENT;
    ev->lsn = m->lsn;
    ev->lock = m->lock;
    ev->xid = m->xid == 0 ? 700 : m->xid;
    ev->db = DB;
    ev->volume = m->volume;
    for (const uint32_t *v = m->dropped; v != NULL && *v != 0; v++)
        ev->dropped.v[ev->dropped.n++] = (struct relnode){1663, DB, *v};
    ev->dropped.total = ev->dropped.n + m->more;
    list(&ev->created, m->created);
    list(&ev->stats, stats ? m->stats : NULL);
    list(&ev->invals, m->invals);
    list(&ev->locked, m->locked);
    list(&ev->truncated, m->truncated);
    item(&it);
}

static void put_name(struct buf *b, const char *name)
{
    must(buf_varint(b, strlen(name), &e) == 0 && buf_str(b, name, &e) == 0);
}

static void put_rel(struct buf *b, uint32_t oid, uint32_t file, char kind, const char *name)
{
    must(buf_u8(b, 2, &e) == 0 && buf_varint(b, oid, &e) == 0 && buf_varint(b, file, &e) == 0 &&
         buf_varint(b, 0, &e) == 0 && buf_u8(b, (uint8_t)kind, &e) == 0);
    put_name(b, "public");
    put_name(b, name);
}

/* The map of a backup that ended at lsn: tables a (with TOAST and index), b, and a parent. */
static void map(tli_t tli, lsn_t lsn, size_t piece, const struct find_table *table)
{
    const struct find_table none = {0};
    struct find_map *m = find_maps_add(&f.maps, 0, tli, lsn, &e);
    struct find_numbers wanted;
    struct buf b;

    must(m != NULL);
    buf_init(&b, 65536);
    find_numbers_init(&wanted, 65536);
    must(find_wanted(&f, &wanted, &e) == 0);
    must(buf_u8(&b, 1, &e) == 0 && buf_varint(&b, DB, &e) == 0);
    put_name(&b, "app");
    put_rel(&b, A, A, 'r', "a");
    put_rel(&b, A_TOAST, A_TOAST, 't', "pg_toast_20000");
    put_rel(&b, A_INDEX, A_INDEX, 'i', "a_pkey");
    put_rel(&b, B, 20510, 'r', "B x"); /* was rewritten before */
    put_rel(&b, PARENT, 0, 'p', "parent");
    for (size_t at = 0; at < b.len; at += piece)
        must(find_map_feed(m, b.p + at, b.len - at < piece ? b.len - at : piece, wanted.v, wanted.n,
                           table == NULL ? &none : table, &e) == 0);
    must(find_map_done(m, &e) == 0);
    find_numbers_fini(&wanted);
    buf_fini(&b);
}

/* Everything, as "drop public.a 100; ...". */
static const char *told(const char *table, unsigned kinds)
{
    static char text[4096];
    struct find_filter filter = {.kinds = kinds != 0 ? kinds : (1U << FIND_KINDS) - 1, .rows = 64};
    size_t at = 0;

    if (table != NULL)
        must(find_table_parse(&filter.table, table, &e) == 0);
    find_finish(&f);
    if (f.maps.list.n == 0)
        map(1, 100, 1 + (size_t)(f.events.n % 7), &filter.table);
    must(find_candidates(&f, &filter, &got, &e) == 0);
    text[0] = '\0';
    for (size_t i = 0; i < got.n && at < sizeof text - 200; i++) {
        const struct find_candidate *c = &got.v[i];
        char name[FIND_NAME_MAX] = "?";

        if (c->name != NULL)
            find_relation_text(c->schema, c->name, name);
        else if (c->oid != 0)
            (void)snprintf(name, sizeof name, "#%u", (unsigned)c->oid);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s%s", at == 0 ? "" : "; ",
                               find_kind_word(c->kind), name, c->unsure ? " perhaps" : "");
        if (c->others > 0)
            at += (size_t)snprintf(text + at, sizeof text - at, " +%u", (unsigned)c->others);
        if (c->kind == FIND_DELETE)
            at += (size_t)snprintf(text + at, sizeof text - at, " %s%llu", c->at_least ? ">=" : "",
                                   (unsigned long long)(c->deletes + c->updates));
    }
    return text;
}

/* One event by itself. */
static void one(const struct made *m, const char *table, const char *want, const char *what)
{
    begin();
    segment(1, 1);
    event(m);
    done();
    IS_STR(told(table, 0), want, "%s: %s", stats ? "17" : "13", what);
    end();
}

static void kinds(void)
{
    const char *perhaps = stats ? "" : " perhaps";
    char want[100];

    one(&(struct made){.lsn = 1000,
                       .dropped = V(A, A_TOAST, A_INDEX),
                       .stats = V(A, A_TOAST, A_INDEX),
                       .invals = V(A, A_TOAST, A_INDEX, B),
                       .locked = V(A, B)},
        NULL, "drop public.a", "a drop; who refers to it is not dropped");
    one(&(struct made){.lsn = 1000, .dropped = V(A, 20510), .stats = V(A, B), .invals = V(A, B)},
        NULL, "drop public.a; drop public.\"B x\"", "two, one with a file of another number");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A, A_TOAST, A_INDEX),
                       .created = V(30000, 30001, 30002),
                       .invals = V(A, A_TOAST, A_INDEX),
                       .locked = V(A),
                       .volume = 300},
        NULL, "truncate public.a", "a truncation");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A),
                       .created = V(30000),
                       .invals = V(A),
                       .truncated = V(A),
                       .volume = 1 << 20},
        NULL, "truncate public.a", "a truncation that says so, filled anew");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A),
                       .created = V(30000),
                       .invals = V(A),
                       .locked = V(A),
                       .volume = 1 << 20},
        NULL, "truncate public.a perhaps", "a new file with much in it");
    (void)snprintf(want, sizeof want, "rewrite public.a%s", perhaps);
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A, A_TOAST, A_INDEX),
                       .created = V(30000, 30001, 30002, 30005),
                       .stats = V(30000, 30001, 30002),
                       .invals = V(A, A_INDEX, 30000, 30001, 30002),
                       .locked = V(A, 30000)},
        NULL, want, "VACUUM FULL");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A, A_TOAST, A_INDEX),
                       .created = V(30000, 30010),
                       .stats = V(30010, A_TOAST, A_INDEX),
                       .invals = V(A, A_INDEX, 30000, 30010),
                       .locked = V(A)},
        NULL, want, "ALTER TABLE with an index of another number");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A_INDEX),
                       .created = V(30002),
                       .invals = V(A, A_INDEX),
                       .locked = V(A_INDEX)},
        NULL, "", "an index made anew");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(31000),
                       .created = V(30002),
                       .invals = V(A, 31000),
                       .locked = V(31000)},
        NULL, "", "an index that no map knows made anew");
    one(
        &(struct made){
            .lsn = 1000, .dropped = V(A_INDEX), .stats = V(A_INDEX), .invals = V(A, A_INDEX)},
        NULL, "", "an index dropped");
    one(
        &(struct made){
            .lsn = 1000, .dropped = V(A_INDEX), .stats = V(A_INDEX), .invals = V(A, A_INDEX)},
        "a_pkey", "drop public.a_pkey", "an index dropped, by name");
    one(&(struct made){.lsn = 1000, .created = V(30000), .invals = V(30000)}, NULL, "",
        "a new table");
    one(&(struct made){.lsn = 1000, .stats = V(40000, 40001)}, NULL, "", "a temporary table");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(40000, 40003),
                       .stats = V(40000, 40003),
                       .invals = V(40000, 40003)},
        NULL, "drop #40000 +1", "a drop of what no map knows");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(40000, 40003),
                       .stats = V(40000, 40003),
                       .invals = V(40000, 40003)},
        "a", "drop #40000 +1", "which may be any name");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(40000, 40003),
                       .stats = V(40000, 40003),
                       .invals = V(40000, 40003)},
        "20000", "", "but not any number");
    one(&(struct made){.lsn = 1000, .dropped = V(A), .stats = V(A), .invals = V(A), .more = 400},
        "b x", "drop ? +400", "a table of many, not all of which are on record");
    one(&(struct made){.lsn = 1000,
                       .dropped = V(40000),
                       .created = V(40100),
                       .invals = V(40000),
                       .locked = V(40000)},
        NULL, "truncate #40000 perhaps", "a truncation of what no map knows");
}

static void versions(void)
{
    stats = true;
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A),
                       .created = V(30000),
                       .stats = V(A),
                       .invals = V(A, 30000),
                       .locked = V(A)},
        NULL, "drop public.a", "dropped and made anew");
    one(&(struct made){.lsn = 1000, .dropped = V(A), .stats = V(A, PARENT), .invals = V(A, PARENT)},
        NULL, "drop public.a; drop public.parent", "a parent with its partition");
    stats = false;
    one(&(struct made){.lsn = 1000,
                       .dropped = V(A),
                       .created = V(30000),
                       .invals = V(A, 30000),
                       .locked = V(A)},
        NULL, "rewrite public.a perhaps", "dropped and made anew looks like a rewrite");
    one(
        &(struct made){
            .lsn = 1000, .dropped = V(A), .invals = V(A, PARENT), .locked = V(A, PARENT)},
        NULL, "drop public.a", "a partition; its parent is only locked");
    one(
        &(struct made){
            .lsn = 1000, .dropped = V(A), .invals = V(A, PARENT), .locked = V(A, PARENT)},
        "parent", "drop public.parent perhaps", "unless it is asked for");
}

/* --- rows --- */

static void change(lsn_t lsn, uint32_t xid, uint32_t file, uint32_t rows)
{
    item(&(struct meta_item){
        .tag = META_CHANGE,
        .u.change = {.lsn = lsn, .xid = xid, .rel = {1663, DB, file}, .deletes = rows}});
}

static void open_xact(uint32_t xid, uint32_t top, uint32_t file, uint32_t rows, lsn_t lock)
{
    static struct meta_item it;

    memset(&it, 0, sizeof it);
    it.tag = META_OPEN;
    it.u.open.xid = xid;
    it.u.open.top = top;
    it.u.open.lock = lock;
    it.u.open.counts_total = it.u.open.counts_n = rows > 0 ? 1 : 0;
    it.u.open.counts[0] = (struct meta_count){{1663, DB, file}, rows, 0};
    item(&it);
}

static void outcome(lsn_t lsn, uint32_t xid, bool aborted, uint32_t sub)
{
    static struct meta_item it;

    memset(&it, 0, sizeof it);
    it.tag = META_OUTCOME;
    it.u.outcome.lsn = lsn;
    it.u.outcome.xid = xid;
    it.u.outcome.flags = aborted ? META_ABORTED : 0;
    if (sub != 0)
        meta_list_add(&it.u.outcome.subs, sub);
    item(&it);
}

static void running(lsn_t lsn, uint32_t oldest)
{
    item(&(struct meta_item){.tag = META_RUNNING,
                             .u.running = {.lsn = lsn, .next = oldest + 100, .oldest = oldest}});
}

static void rows(void)
{
    stats = true;
    begin();
    segment(1, 1);
    open_xact(700, 0, A, 100, 0);
    open_xact(701, 0, A, 500, 0); /* will be a savepoint that is kept */
    open_xact(702, 0, A, 500, 0); /* and one that is rolled back */
    open_xact(703, 0, A, 900, 0); /* rolled back as a whole */
    open_xact(704, 0, A, 900, 0); /* ended in a crash */
    done();
    segment(1, 2);
    outcome(SEG * 2 + 8, 702, true, 0);
    open_xact(700, 0, A, 70, 0);
    open_xact(705, 700, A, 30, 0); /* its top is known */
    done();
    segment(1, 3);
    outcome(SEG * 3 + 8, 703, true, 0);
    outcome(SEG * 3 + 16, 700, false, 701);
    change(SEG * 3 + 16, 700, A, 65);
    change(SEG * 3 + 24, 706, 20510, 64);
    change(SEG * 3 + 32, 707, 20510, 63);
    running(SEG * 3 + 40, 706);
    done();
    OK(f.state.opens.n == 0 && f.state.counts.n == 0, "nothing stays open");
    IS_STR(told(NULL, 0), "delete public.a >=765; delete public.\"B x\" 64",
           "rows: over segments, without what was rolled back or crashed");
    end();

    begin(); /* the file changes its number, and the rows are still a's */
    segment(1, 1);
    event(&(struct made){.lsn = 1000,
                         .xid = 700,
                         .dropped = V(A),
                         .created = V(30000),
                         .stats = V(30000),
                         .invals = V(A, 30000)});
    event(&(struct made){.lsn = 2000,
                         .xid = 701,
                         .dropped = V(30000),
                         .created = V(30100),
                         .invals = V(A),
                         .locked = V(A)});
    event(&(struct made){
        .lsn = 4000, .xid = 703, .dropped = V(30100), .stats = V(A), .invals = V(A)});
    change(3000, 702, 30100, 100);
    change(500, 699, A, 100);
    change(3000, 702, 20510, 100);
    done();
    IS_STR(told(NULL, 0),
           "delete public.a 100; rewrite public.a; truncate public.a; delete public.a 100; "
           "delete public.\"B x\" 100; drop public.a",
           "a rewritten and truncated table keeps its name");
    end();

    begin(); /* the lock and the files of a transaction in two segments */
    segment(1, 1);
    open_xact(700, 0, A, 0, SEG + 100);
    done();
    segment(1, 2);
    event(&(struct made){.lsn = 2 * SEG + 500,
                         .lock = 2 * SEG + 100,
                         .xid = 700,
                         .dropped = V(A),
                         .stats = V(A),
                         .invals = V(A)});
    outcome(2 * SEG + 500, 700, false, 0);
    done();
    (void)told(NULL, 0);
    OK(got.n == 1 && got.v[0].lock == SEG + 100 && got.v[0].before == 2 * SEG + 500,
       "the first lock is in the first segment");
    end();
}

/* --- maps and timelines --- */

static void maps(void)
{
    struct find_table t;

    begin(); /* named by a map that was made later only */
    segment(1, 1);
    change(50, 700, A, 100);
    done();
    IS_STR(told(NULL, 0), "delete public.a 100", "a later map names it");
    OK(got.v[0].later, "and that is said");
    end();

    begin(); /* the map of another branch is none */
    must(plan_lines_push(&lines,
                         (struct plan_line){.tli = 2, .parent = 1, .birth = 200, .known = true},
                         &e) == 0);
    segment(1, 0);
    event(&(struct made){.lsn = 150, .xid = 700, .dropped = V(A), .stats = V(A), .invals = V(A)});
    event(
        &(struct made){.lsn = 500, .xid = 701, .dropped = V(20510), .stats = V(B), .invals = V(B)});
    done();
    segment(2, 0);
    event(&(struct made){.lsn = 150, .xid = 700, .dropped = V(A), .stats = V(A), .invals = V(A)});
    event(
        &(struct made){.lsn = 500, .xid = 702, .dropped = V(20510), .stats = V(B), .invals = V(B)});
    done();
    find_finish(&f);
    map(2, 300, 1000, NULL);
    IS_STR(told(NULL, 0), "drop public.a; drop #20010; drop public.\"B x\"",
           "what both files tell is told once, and each branch by its own map");
    OK(got.v[0].tli == 1 && got.v[1].tli == 1 && got.v[2].tli == 2, "on its own timeline");
    end();
    begin();
    must(plan_lines_push(&lines,
                         (struct plan_line){.tli = 2, .parent = 1, .birth = 200, .known = true},
                         &e) == 0);
    OK(find_leads_to(&lines, 1, 150, 2) && !find_leads_to(&lines, 1, 200, 2) &&
           find_leads_to(&lines, 2, 200, 2) && !find_leads_to(&lines, 2, 300, 1),
       "what leads to what");
    OK(find_maps_add(&f.maps, 0, 1, 1, &e) != NULL &&
           find_map_feed(&f.maps.list.v[0], (const uint8_t *)"\1\5\3ap", 5, NULL, 0,
                         &(struct find_table){0}, &e) == 0 &&
           find_map_done(&f.maps.list.v[0], &e) != 0 && e.code == ERR_DAMAGED,
       "half a map is refused");
    memset(&e, 0, sizeof e);
    OK(find_maps_add(&f.maps, 0, 1, 2, &e) != NULL &&
           find_map_feed(&f.maps.list.v[1], (const uint8_t *)"\7\5\3", 3, NULL, 0,
                         &(struct find_table){0}, &e) != 0 &&
           e.code == ERR_DAMAGED,
       "so is nonsense");
    end();

    memset(&e, 0, sizeof e);
    OK(find_table_parse(&t, "Orders", &e) == 0 && find_table_is(&t, 1, "x", "orders") &&
           find_table_is(&t, 1, "x", "Orders") && !find_table_is(&t, 1, "x", "order"),
       "letters of a name count as in SQL");
    OK(find_table_parse(&t, "\"Or.\"\"ders\"", &e) == 0 && find_table_is(&t, 1, "x", "Or.\"ders") &&
           !find_table_is(&t, 1, "x", "or.\"ders"),
       "a quoted name is exact");
    OK(find_table_parse(&t, "Sales.\"O\"", &e) == 0 && find_table_is(&t, 1, "sales", "O") &&
           !find_table_is(&t, 1, "other", "O"),
       "with its schema");
    OK(find_table_parse(&t, "16400", &e) == 0 && find_table_is(&t, 16400, NULL, NULL) &&
           !find_table_is(&t, 16401, "x", "16400"),
       "a number");
    OK(find_table_parse(&t, "a.b.c", &e) != 0 && find_table_parse(&t, "\"a", &e) != 0 &&
           find_table_parse(&t, "", &e) != 0 && find_table_parse(&t, "a.", &e) != 0,
       "nonsense is refused");
    memset(&e, 0, sizeof e);
}

static void others(void)
{
    struct meta_item p = {.tag = META_RESTORE_POINT,
                          .u.restore_point = {.lsn = 70, .name = "here"}};
    struct meta_item d = {.tag = META_DATABASE, .u.database = {.lsn = 2000, .xid = 800, .db = DB}};

    begin();
    segment(1, 1);
    item(&p);
    item(&d);
    d.u.database.lsn = 2500;
    d.u.database.xid = 801;
    item(&d);
    outcome(2100, 800, false, 0);
    outcome(2600, 801, true, 0);
    done();
    IS_STR(told("a", 0), "drop-database public.a",
           "a table goes with its database, if that is committed");
    OK(got.v[0].lsn == 2100 && got.v[0].before == 2000, "which is too late at its commit");
    end();
    begin();
    segment(1, 1);
    item(&p);
    item(&d);
    done();
    IS_STR(told("app", 0), "drop-database ? perhaps", "by its own name; its end was not seen");
    end();
}

/* --- savepoints at random, against an oracle --- */

static unsigned state = 7;
static unsigned roll(unsigned n)
{
    state = state * 1103515245 + 12345;
    return (state >> 16) % n;
}

/* One transaction, two savepoints, over up to five segments, in the way that walevent tells it. */
static bool random_rows(void)
{
    unsigned segs = 2 + roll(4);
    bool commits = roll(4) != 0;
    uint32_t want = 0;
    uint32_t here[3];
    uint32_t rolled_back[3] = {0, roll(2), roll(2)};
    unsigned ended[3] = {segs, rolled_back[1] ? 1 + roll(segs) : segs,
                         rolled_back[2] ? 1 + roll(segs) : segs};
    struct find_filter filter = {.kinds = 1U << FIND_DELETE, .rows = 64};
    bool ok;

    begin();
    for (unsigned s = 1; s <= segs; s++) {
        segment(1, s);
        for (unsigned x = 0; x < 3; x++) {
            here[x] = s <= ended[x] ? 64 + roll(100) : 0;
            want += rolled_back[x] ? 0 : here[x];
        }
        for (unsigned x = 1; x < 3; x++)
            if (rolled_back[x] && s == ended[x])
                outcome(s * SEG + x, 700 + x, true, 0);
        if (s == segs) {
            static struct meta_item it;

            memset(&it, 0, sizeof it);
            it.tag = META_OUTCOME;
            it.u.outcome.lsn = s * SEG + 10;
            it.u.outcome.xid = 700;
            it.u.outcome.flags = commits ? 0 : META_ABORTED;
            for (unsigned x = 1; x < 3; x++)
                if (!rolled_back[x])
                    meta_list_add(&it.u.outcome.subs, 700 + x);
            item(&it);
            if (commits)
                change(s * SEG + 10, 700, A,
                       here[0] + (rolled_back[1] ? 0 : here[1]) + (rolled_back[2] ? 0 : here[2]));
        } else {
            for (unsigned x = 0; x < 3; x++)
                if (here[x] > 0 && !(rolled_back[x] && s == ended[x]))
                    open_xact(700 + x, 0, A, here[x], 0);
        }
        done();
    }
    find_finish(&f);
    must(find_candidates(&f, &filter, &got, &e) == 0);
    ok = commits ? got.n == 1 && got.v[0].deletes == want : got.n == 0;
    ok = ok && f.state.opens.n == 0 && f.state.counts.n == 0;
    if (!ok)
        printf("# want %u, got %zu candidates, %llu\n", commits ? want : 0, got.n,
               got.n > 0 ? (unsigned long long)got.v[0].deletes : 0);
    end();
    return ok;
}

int main(void)
{
    bool all = true;

    stats = true;
    kinds();
    stats = false;
    kinds();
    versions();
    rows();
    maps();
    others();
    for (int i = 0; i < 2000 && all; i++)
        all = random_rows();
    OK(all, "2000 random transactions over segments are counted as the oracle counts them");
    return tap_done();
}

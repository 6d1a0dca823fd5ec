/*
 * Goal: names of tables are read by SQL's rules, and what is no list of them is refused; row counts
 * come back out of a manifest's metadata part as they went in, and what is cut or strange is
 * refused.
 */
#include "tap.h"

#include <stdlib.h>

#include "pg/tablename.h"
#include "repo/counts.h"

/* All names of a list as "[database|schema|table]". */
static void read_list(const char *list, char out[1000], struct err *e)
{
    struct tablename name;
    int rc;

    out[0] = '\0';
    err_clear(e);
    while ((rc = tablename_next(&list, &name, e)) > 0)
        (void)snprintf(out + strlen(out), 1000 - strlen(out), "[%s|%s|%s]", name.database,
                       name.schema, name.table);
    if (rc < 0)
        (void)snprintf(out, 1000, "refused");
}

static void test_names(void)
{
    static const char *const rows[][2] = {
        {"", ""},
        {" , ", ""},
        {"orders", "[||orders]"},
        {"Orders,  sales.ORDERS\tshop.sales.orders",
         "[||orders][|sales|orders][shop|sales|orders]"},
        {"\"My Shop\".sales.\"odd.name\"", "[My Shop|sales|odd.name]"},
        {"\"a \"\"quoted\"\", name\" b", "[||a \"quoted\", name][||b]"},
        {"a.b.c.d", "refused"},
        {"a.", "refused"},
        {".a", "refused"},
        {"a..b", "refused"},
        {"\"\"", "refused"},
        {"\"open", "refused"},
        {"a\"b", "refused"},
        {"\"a\"b", "refused"},
    };
    char out[1000];
    struct err e;

    memset(&e, 0, sizeof e);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_list(rows[i][0], out, &e);
        IS_STR(out, rows[i][1], "%s", rows[i][0]);
    }
}

static void test_sql(void)
{
    char long_name[TABLENAME_MAX + 1];
    char out[1000];
    char sql[TABLENAME_SQL];
    struct tablename name = {.schema = "s\"x", .table = "t"};
    struct err e;

    memset(&e, 0, sizeof e);
    tablename_sql(sql, &name);
    IS_STR(sql, "\"s\"\"x\".\"t\"", "quoted for SQL");
    memset(long_name, 'x', sizeof long_name);
    long_name[TABLENAME_MAX] = '\0';
    read_list(long_name, out, &e);
    IS_STR(out, "refused", "a name that is too long");
    long_name[TABLENAME_MAX - 1] = '\0';
    read_list(long_name, out, &e);
    OK(strlen(out) == TABLENAME_MAX + 3, "the longest one");
    memset(name.schema, '"', TABLENAME_MAX - 1);
    memset(name.table, '"', TABLENAME_MAX - 1);
    tablename_sql(sql, &name);
    OK(strlen(sql) == 4 * (TABLENAME_MAX - 1) + 5, "and all of it quoted");
}

static void test_counts(void)
{
    static const struct counts_row rows[] = {
        {"postgres", "public", "orders", 12345678901234, 1700000000000000, 0x16b374d48},
        {"", "s", "t", 0, 0, 0},
    };
    struct counts_row got;
    struct buf part;
    struct err e;
    struct cur c;
    bool same = true;
    bool ok = true;

    memset(&e, 0, sizeof e);
    buf_init(&part, COUNTS_MAX);
    for (size_t i = 0; i < 2; i++)
        ok = ok && counts_add(&part, &rows[i], &e) == 0 &&
             buf_add(&part, "\x7e\x03xyz", 5, &e) == 0; /* an item of a later version */
    OK(ok, "two counts are written");
    c = cur_of(part.p, part.len);
    for (size_t i = 0; i < 2; i++) {
        memset(&got, 0, sizeof got);
        same = same && counts_next(&c, &got, &e) == 0 && memcmp(&got, &rows[i], sizeof got) == 0;
    }
    OK(same && counts_next(&c, &got, &e) == 1, "and read, with what is not known passed");
    ok = true;
    for (size_t cut = 1; cut < 40; cut++) {
        int rc;

        err_clear(&e);
        c = cur_of(part.p, cut);
        rc = counts_next(&c, &got, &e);
        ok = ok && (rc == 0 || (rc < 0 && e.code == ERR_DAMAGED));
    }
    OK(ok, "cut off anywhere it is refused");
    part.p[2] = 255;
    c = cur_of(part.p, part.len);
    err_clear(&e);
    OK(counts_next(&c, &got, &e) < 0, "a name longer than the item");
    buf_fini(&part);
}

int main(void)
{
    test_names();
    test_sql();
    test_counts();
    return tap_done();
}

/*
 * tablename: names of tables as people write them in a list, by SQL's rules for names.
 *
 *     orders  sales.orders  shop.sales.orders  "My Shop".sales."odd.name"
 *
 * One to three parts (table; schema; database), separated from the next name by blanks or commas.
 * What is not in double quotes is folded to lower case.
 */
#ifndef PG_TABLENAME_H
#define PG_TABLENAME_H

#include <stddef.h>

#include "base/err.h"

enum { TABLENAME_MAX = 256, TABLENAME_LIST = 256 /* names in a list */ };

struct tablename {
    char database[TABLENAME_MAX]; /* "": not said */
    char schema[TABLENAME_MAX];   /* "": not said */
    char table[TABLENAME_MAX];
};

/* Takes the next name off *list: 1, 0 at the end, -1 with ERR_USAGE. */
int tablename_next(const char **list, struct tablename *out, struct err *e)
    __attribute__((warn_unused_result));

/* Schema and table in SQL's double quotes. */
enum { TABLENAME_SQL = 4 * TABLENAME_MAX + 8 };
void tablename_sql(char out[TABLENAME_SQL], const struct tablename *name);

#endif

/*
 * Databases that drills make on a server that is there are called walden_drill_<16 hex digits>, and
 * so is the session that makes them, as long as the drill lives.  A database of that name without
 * such a session is what a killed drill left.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "drill.h"
#include "object/secret.h"

#define PREFIX "walden_drill_"

static const char left_sql[] = "select d.datname from pg_catalog.pg_database d"
                               " where d.datname ~ '^" PREFIX "[0-9a-f]{16}(_[0-9]+)?$'"
                               " and pg_catalog.pg_has_role(d.datdba, 'MEMBER')"
                               " and not exists (select 1 from pg_catalog.pg_stat_activity a"
                               " where a.application_name = pg_catalog.substr(d.datname, 1, 29))";

int drill_left(struct drill_run *d, char mark[DRILL_MARK_MAX], struct err *e)
{
    struct sqlrows *rows = NULL;
    uint8_t random[8];
    char hex[17];

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(mark, DRILL_MARK_MAX, PREFIX "%s", hex);
    if (sqlrun_do(d->u->sql, e, "set application_name = '%s'", mark) != 0 ||
        sqlrun_query(d->u->sql, left_sql, &rows, e) != 0)
        return -1;
    for (size_t i = 0; i < sqlrun_count(rows); i++) {
        const char *name = sqlrun_value(rows, i, 0);
        struct err why = {0};

        if (undump_drop(d->u, name, &why) == 0)
            msg_note(d->m, "dropped database \"%s\", which a drill that was killed had left", name);
        else
            msg_warn_err(d->m, &why);
    }
    sqlrun_free(rows);
    return 0;
}

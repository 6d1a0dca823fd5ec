#include "pgconn/pgconn_flags.h"

#include <stddef.h>

#define AT(field) offsetof(struct pgconn_flags, field)

static const struct opt options[] = {
    {.name = "host",
     .letter = 'h',
     .kind = OPT_TEXT,
     .arg = "HOST",
     .offset = AT(host),
     .help = "server's host or socket directory"},
    {.name = "port",
     .letter = 'p',
     .kind = OPT_TEXT,
     .arg = "PORT",
     .offset = AT(port),
     .help = "server's port"},
    {.name = "username",
     .letter = 'U',
     .kind = OPT_TEXT,
     .arg = "NAME",
     .offset = AT(user),
     .help = "role to connect as"},
    {.name = "dbname",
     .letter = 'd',
     .kind = OPT_TEXT,
     .arg = "DBNAME",
     .offset = AT(dbname),
     .help = "database or connection string (default: postgres)"},
    {.name = "wait",
     .kind = OPT_DURATION,
     .arg = "TIME",
     .offset = AT(wait),
     .max = UINT64_C(86400) * 1000000,
     .flags = OPT_ZERO,
     .help = "wait so long for a server that is starting or not there yet (default: 0)"},
};

struct opt_set pgconn_flags_set(struct pgconn_flags *f)
{
    return (struct opt_set){"Connection",
                            options,
                            sizeof options / sizeof options[0],
                            f,
                            NULL,
                            "As in psql; what is not given libpq finds itself (PGHOST, service "
                            "files, .pgpass)."};
}

struct pgconn_opts pgconn_flags_to(const struct pgconn_flags *f, const char *dsn)
{
    return (struct pgconn_opts){dsn, f->host, f->port, f->user, f->dbname, f->wait};
}

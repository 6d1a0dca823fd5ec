#include "connect.h"

#include <stddef.h>

#define AT(field) offsetof(struct connect, field)

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
};

struct opt_set connect_options(struct connect *c)
{
    return (struct opt_set){"Connection", options, sizeof options / sizeof options[0], c,
                            NULL,         NULL};
}

struct pgconn_opts connect_to(const struct connect *c, const struct settings *s)
{
    return (struct pgconn_opts){s->dsn, c->host, c->port, c->user, c->dbname};
}

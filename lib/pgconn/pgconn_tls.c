/* Whether a connection may go out in the clear, and what a refused certificate means. */
#include <string.h>

#include "pgconn/inside.h"

bool pgconn_has_tls(void)
{
    return PQsslAttribute(NULL, "library") != NULL;
}

static const char *value(const PQconninfoOption *all, const char *key)
{
    for (const PQconninfoOption *o = all; o->keyword != NULL; o++)
        if (strcmp(o->keyword, key) == 0 && o->val != NULL)
            return o->val;
    return "";
}

/* Whether a name, an address or a socket's folder is on another machine.  Names that begin like a
 * loopback address are names, and any but localhost may lead anywhere. */
static bool is_remote(const char *host, size_t n)
{
    if (n == 0 || host[0] == '/' || host[0] == '@')
        return false;
    if (n >= 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n)
        return false;
    return (n != 9 || memcmp(host, "localhost", 9) != 0) && (n != 3 || memcmp(host, "::1", 3) != 0);
}

/* The first of the hosts that is another machine, put into out; false when there is none.  As
 * libpq pairs them: where there is an address, the name beside it is not looked up. */
static bool find_remote(const PQconninfoOption *all, char *out, size_t cap)
{
    const char *host = value(all, "host");
    const char *addr = value(all, "hostaddr");

    for (;;) {
        size_t nh = strcspn(host, ",");
        size_t na = strcspn(addr, ",");
        const char *used = na > 0 ? addr : host;
        size_t n = na > 0 ? na : nh;

        if (is_remote(used, n)) {
            n = n < cap ? n : cap - 1;
            memcpy(out, used, n);
            out[n] = '\0';
            return true;
        }
        if (host[nh] == '\0' && addr[na] == '\0')
            return false;
        host += nh + (host[nh] == ',');
        addr += na + (addr[na] == ',');
    }
}

enum pgconn_tls pgconn_choose_tls(PGconn *pg, char *host, size_t cap)
{
    PQconninfoOption *all = PQconninfo(pg);
    enum pgconn_tls tls = PGCONN_TLS_AS_IS;

    host[0] = '\0';
    if (all == NULL)
        return PGCONN_TLS_REFUSED;
    if (find_remote(all, host, cap)) {
        const char *mode = value(all, "sslmode");

        if (strcmp(mode, "allow") == 0 || strcmp(mode, "prefer") == 0)
            tls = pgconn_has_tls() ? PGCONN_TLS_REQUIRE : PGCONN_TLS_REFUSED;
    }
    PQconninfoFree(all);
    return tls;
}

const char *pgconn_tls_hint(const char *text)
{
    if (strstr(text, "not compiled in") != NULL)
        return "This build has no TLS: use a socket, an SSH tunnel or a VPN, or the build with it "
               "(make TLS=1).";
    if (strstr(text, "does not match host name") != NULL)
        return "Connect by a name that is in the certificate; where that name leads elsewhere, "
               "give it "
               "as host= and the address as hostaddr=.";
    if (strstr(text, "expired") != NULL || strstr(text, "not yet valid") != NULL)
        return "Compare the dates of the server's certificate (ssl_cert_file) with this machine's "
               "clock; a new one is read when the server is reloaded.";
    if (strstr(text, "verify failed") != NULL)
        return "Put the certificate of the authority that signed the server's into "
               "~/.postgresql/root.crt, or name its file: sslrootcert=FILE.";
    if (strstr(text, "server does not support SSL") != NULL)
        return "Set ssl = on in the server, with a certificate and a key; give sslmode=disable "
               "only "
               "if nobody can listen on the way there.";
    if (strstr(text, "channel binding required") != NULL && !pgconn_has_tls())
        return "Channel binding needs TLS, which this build lacks (make TLS=1 has it).";
    return NULL;
}

#include "object/trust.h"

#include <string.h>

#include "base/bytes.h"

void trust_plain(struct trust *t, const uint8_t repo_id[16])
{
    memset(t, 0, sizeof *t);
    memcpy(t->repo_id, repo_id, 16);
}

static void add_host(struct trust *t, const uint8_t sign[SECRET_KEY], unsigned depth)
{
    struct trust_host *h = &t->host[t->count++];

    memcpy(h->public_key, sign, SECRET_KEY);
    secret_key_id(h->id, sign);
    h->depth = depth;
}

void trust_sealed(struct trust *t, const uint8_t repo_id[16], const uint8_t owner[SECRET_KEY])
{
    trust_plain(t, repo_id);
    t->sealed = true;
    memcpy(t->owner, owner, SECRET_KEY);
    add_host(t, owner, 0);
}

static const struct trust_host *by_key(const struct trust *t, const uint8_t key[SECRET_KEY])
{
    for (unsigned i = 0; i < t->count; i++)
        if (memcmp(t->host[i].public_key, key, SECRET_KEY) == 0)
            return &t->host[i];
    return NULL;
}

enum { CERT_MAX = 14 + 16 + 8 + 32 + 65 + 65 };

/* The signed message; 0 when the names do not fit, which no valid name does. */
static size_t message(uint8_t m[CERT_MAX], const struct trust_certificate *c,
                      const uint8_t repo_id[16])
{
    size_t cluster = strlen(c->cluster);
    size_t host = strlen(c->host);
    uint8_t *p = m;

    if (cluster > 64 || host > 64)
        return 0;
    memcpy(p, "walden host 1\n", 14);
    memcpy(p + 14, repo_id, 16);
    put_u64(p + 30, c->system_id);
    memcpy(p + 38, c->sign, SECRET_KEY);
    p += 70;
    memcpy(p, c->cluster, cluster);
    p += cluster;
    *p++ = '\n';
    memcpy(p, c->host, host);
    return (size_t)(p + host - m);
}

void trust_certify(struct trust_certificate *c, const uint8_t repo_id[16],
                   const uint8_t issuer[SECRET_KEY], const uint8_t issuer_secret[SECRET_SIGN])
{
    uint8_t m[CERT_MAX];

    memcpy(c->issuer, issuer, SECRET_KEY);
    secret_sign(c->signature, m, message(m, c, repo_id), issuer_secret);
}

/* For this lineage, or (system identifier 0) for every lineage of the cluster. */
static bool is_genuine(const struct trust *t, const struct trust_certificate *c)
{
    struct trust_certificate any = *c;
    uint8_t m[CERT_MAX];
    size_t len = message(m, c, t->repo_id);

    if (len == 0)
        return false;
    if (secret_verify(c->signature, m, len, c->issuer))
        return true;
    any.system_id = 0;
    len = message(m, &any, t->repo_id);
    return secret_verify(c->signature, m, len, c->issuer);
}

bool trust_add(struct trust *t, const struct trust_certificate *c)
{
    const struct trust_host *issuer = by_key(t, c->issuer);

    if (issuer == NULL || issuer->depth >= TRUST_CHAIN_MAX || t->count == TRUST_HOSTS_MAX ||
        by_key(t, c->sign) != NULL || !is_genuine(t, c))
        return false;
    add_host(t, c->sign, issuer->depth + 1);
    return true;
}

void trust_add_own(struct trust *t, const uint8_t sign[SECRET_KEY])
{
    if (by_key(t, sign) == NULL && t->count < TRUST_HOSTS_MAX)
        add_host(t, sign, 1);
}

const uint8_t *trust_find(const struct trust *t, const uint8_t id[KEY_ID])
{
    for (unsigned i = 0; i < t->count; i++)
        if (memcmp(t->host[i].id, id, KEY_ID) == 0)
            return t->host[i].public_key;
    return NULL;
}

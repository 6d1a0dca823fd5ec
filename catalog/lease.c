#include "lease.h"

#include <stdio.h>

#include "base/parse.h"
#include "os/host.h"
#include "os/time.h"

void lease_take(struct lease *l, struct repo *repo, const char *label, const char *word,
                const struct msg *m)
{
    char host[OS_HOSTNAME_MAX + 1];
    char holder[128];
    struct err why = {0};

    if (repo->marker.sealed && !repo->has_host) {
        msg_detail(m, "no lease is taken: that needs the host key");
        return;
    }
    os_hostname(host, sizeof host);
    (void)snprintf(holder, sizeof holder, "%s %.20s %ld", host, word, (long)os_pid());
    if (pages_lease_take(&l->held, repo, KIND_LEASE, label, holder, &why) == 0) {
        l->is_held = true;
        l->beat = os_mono_us();
        return;
    }
    msg_warn_err(m, &why);
    msg_warn(m, "the %s goes on without a lease: nobody may expire backups meanwhile", word);
}

int lease_beat(struct lease *l, struct err *e)
{
    const int64_t every = (int64_t)PAGES_BEAT_S * USEC_PER_SEC;
    int64_t now = os_mono_us();

    if (!l->is_held || now - l->beat <= every)
        return 0;
    l->beat = now;
    return pages_lease_beat(&l->held, e);
}

void lease_drop(struct lease *l)
{
    if (l->is_held)
        pages_lease_drop(&l->held);
    l->is_held = false;
}

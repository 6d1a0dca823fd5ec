#include <string.h>

#include "os/signal.h"
#include "repo/expire.h"
#include "repo/pack_compact.h"

/* Gathers what mostly dead packs still hold.  A pack that is copied is superfluous afterwards, and
 * pack_remove condemns it. */
static int compact(struct expire *x, struct err *e)
{
    struct pack_use use = {.manifests = 0};
    struct pack_compacted one = {.sources = 1};
    int rc = pack_use_load(&use, x->repo, x->scratch, e);

    while (rc == 0 && one.sources > 0 && use.manifests > 0) {
        struct pack_set set;

        if (os_signal_check(e) != 0 || pack_set_load(&set, x->repo, x->scratch, e) != 0) {
            rc = -1;
            break;
        }
        rc = pack_compact(&one, &use, &set, PACK_COMPACT_BELOW, PACK_BODY_MAX, x->scratch, e);
        pack_set_fini(&set);
        if (rc == 0 && one.sources > 0) {
            x->done.compactions++;
            x->done.gained += one.freed;
        }
    }
    pack_use_fini(&use);
    return rc;
}

int expire_packs(struct expire *x, struct err *e)
{
    const struct pack_remove_how how = {.wait = x->how->wait, .arg = x->how->arg};
    struct err later = {0};
    bool compacted;

    if (x->done.packs.removed + x->done.packs.condemned > 0) /* once a run */
        return 0;
    compacted = compact(x, e) == 0;
    if (!compacted && (e->code == ERR_INTERRUPTED || e->code == ERR_NOMEM))
        return -1;
    /* Without room for a compacted pack, all the more what can go has to go. */
    if (pack_remove_run(&x->done.packs, x->repo, &how, x->scratch, &later) == 0)
        return compacted ? 0 : -1;
    if (compacted)
        *e = later;
    return -1;
}

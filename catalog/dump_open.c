#include "dump_open.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cmd_key.h"
#include "os/host.h"
#include "os/time.h"
#include "repo/moment.h"
#include "repo/verified.h"

static int first_lineage(void *arg, const char *name, struct err *e)
{
    uint64_t *system_id = arg;
    struct err none = {0};
    uint64_t id;

    (void)e;
    /* The newest lineage by nothing in particular: any of them trusts the cluster's hosts. */
    if (parse_u64(name, 1, UINT64_MAX, &id, &none) == 0)
        *system_id = id;
    return 0;
}

/* Dumps stand beside the lineages, so any lineage of the cluster will do where none is named. */
static int open_repo(struct dump_open *d, const struct settings *s, const char *pass_file,
                     struct err *e)
{
    uint64_t system_id = s->system_id;

    if (cmd_key_repo(&d->repo, s, REPO_READ | REPO_ANY_LINEAGE, pass_file, e) != 0)
        return -1;
    d->repo_open = true;
    if (system_id == 0 &&
        store_each_lineage(&d->repo.store, s->cluster, first_lineage, &system_id, e) < 0)
        return -1;
    if (system_id == 0) {
        (void)err_set(e, ERR_USAGE, "repository \"%s\" has no cluster \"%s\"", s->repo, s->cluster);
        return err_hint(e, "\"walden list\" shows what is there; choose with --cluster.");
    }
    return repo_use_lineage(&d->repo, s, s->cluster, system_id, e);
}

/* Nothing is removed while somebody reads it.  Who may not write goes on without: the file stays
 * readable as long as it is open, but for some network filesystems. */
static void hold(struct dump_open *d)
{
    char host[OS_HOSTNAME_MAX];
    char holder[PAGES_LEASE_HOLDER_MAX];
    struct err quiet = {0};

    if (verified_may_not(&d->repo) != NULL)
        return;
    os_hostname(host, sizeof host);
    (void)snprintf(holder, sizeof holder, "%.80s process %ld", host, (long)os_pid());
    if (dump_get_hold(&d->get, &d->repo, &d->item, holder, &quiet) != 0)
        err_clear(&quiet);
}

int dump_open(struct dump_open *d, const struct settings *s, const char *text, const char *at,
              const char *pass_file, struct err *e)
{
    int64_t moment = INT64_MAX;
    bool assumed;
    const struct dump_item *found = NULL;
    struct dump_list list;
    int rc = -1;

    if (at != NULL && moment_parse(at, MOMENT_DAY_ENDS, os_real_us(), &moment, &assumed, e) != 0)
        return err_context(e, "--at");
    dump_list_init(&list, DUMP_LIST_MAX);
    if (open_repo(d, s, pass_file, e) == 0 &&
        dump_list_read(&list, &d->repo, NULL, &d->reader, e) == 0)
        found = dump_list_find(&list, text, moment, e);
    if (found != NULL) {
        d->item = *found;
        hold(d);
        rc = dump_get_open(&d->get, &d->repo, &d->item, &d->reader, e);
        if (rc > 0)
            rc = err_set(e, ERR_HOLE, "dump %s vanished while it was looked at", d->item.label);
    }
    dump_list_fini(&list);
    return rc;
}

void dump_close(struct dump_open *d)
{
    if (d == NULL)
        return;
    dump_get_close(&d->get);
    if (d->repo_open)
        repo_close(&d->repo);
    d->repo_open = false;
}

int dump_open_stream(struct dump_open *d, const char *name, uint32_t *stream, struct err *e)
{
    if (!d->get.has_meta) {
        (void)err_set(e, ERR_KEY, "dump %s is sealed, and no key that opens it is here",
                      d->item.label);
        return err_hint(e, "Give --secret-key with the recovery key.");
    }
    return dump_find_stream(&d->get.meta, name, stream, e);
}

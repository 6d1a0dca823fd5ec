#include "basebackup/publish.h"

#include <string.h>

#include "basebackup/archived.h"
#include "os/file.h"
#include "os/host.h"
#include "repo/manifest_chain.h"

static bool is_there(const char *dir)
{
    struct err quiet = {0};
    struct stat st;

    return dir != NULL && os_stat(dir, &st, &quiet) == 0 && S_ISDIR(st.st_mode);
}

/* A crash in here leaves a manifest whose packs may be gone: verify tells of it. */
static int withdraw(struct repo *repo, const char *label, struct err *e)
{
    const struct store_name name = {.kind = KIND_MANIFEST, .name = label};
    struct err why = {0};

    if (store_remove(&repo->writer, &repo->where, &name, &why) >= 0 &&
        store_flush(&repo->writer, &repo->where, &name, &why) == 0)
        return -1;
    return err_hint(e, "Its manifest could not be removed (%s): do so, it cannot be restored.",
                    why.msg);
}

/* Two backups of one host at once must not take the same number: the lineage's lock is held. */
static int publish_locked(struct repo *repo, struct manifest_writer *m, struct manifest_public *p,
                          const struct publish_how *how, const char *state_dir, struct err *e)
{
    char host[OS_HOSTNAME_MAX + 1];
    tli_t tli;
    lsn_t lsn;

    os_hostname(host, sizeof host);
    if (archived_newest(repo, &tli, &lsn, e) != 0 ||
        manifest_chain_next(&p->head, repo, host, state_dir, how->scratch, e) != 0)
        return -1;
    p->head.wal_timeline = tli;
    p->head.wal_lsn = lsn;
    /* A crash before the manifest's rename leaves packs that no manifest names, which the next
     * backup uses; a crash behind it leaves the backup. */
    if (repo_still_plain(repo, e) != 0 || beat_look(how->beat, e) != 0 ||
        manifest_finish(m, p, e) != 0)
        return -1;
    return beat_look(how->beat, e) == 0 ? 0 : withdraw(repo, how->label, e);
}

int publish_manifest(struct repo *repo, struct manifest_writer *m, struct manifest_public *p,
                     const struct publish_how *how, struct err *e)
{
    const char *state = is_there(how->state_dir) ? how->state_dir : NULL;
    struct manifest_seen seen = {.sequence = 0};
    struct err why = {0};
    int lock = -1;
    int rc;

    if (store_lock(&repo->writer, &repo->where, &lock, e) != 0)
        return -1;
    rc = publish_locked(repo, m, p, how, state, e);
    if (rc == 0 && state != NULL) {
        memcpy(seen.writer, p->head.writer, sizeof seen.writer);
        manifest_seen_here(&seen, repo);
        seen.sequence = p->head.sequence;
        memcpy(seen.digest, m->digest, sizeof seen.digest);
        if (manifest_heads_keep(state, &seen, &why) != 0) /* the backup is whole all the same */
            msg_warn_err(how->msg, &why);
    }
    os_drop(&lock);
    return rc;
}

#include "repo/repo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/proc.h"
#include "pg/control.h"

static int read_marker(struct repo *r, const struct settings *s, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = 0;

    if (s->host_key == NULL) /* for repo_still_plain */
        rc = store_marker_stamp(&r->store, MARKER_FILE, &r->marker_stamp, e);
    if (rc == 0)
        rc = store_get_text(&r->store, NULL, MARKER_FILE, &text, &len, e);
    if (rc == STORE_ABSENT) {
        (void)err_set(e, ERR_UNREACHABLE, "no repository in \"%s\": file \"%s\" is missing",
                      s->repo, MARKER_FILE);
        (void)err_hint(e,
                       "If it is on a disk of its own, mount it; to make a new repository, run "
                       "\"walden init --repo %s\".",
                       s->repo);
        rc = -1;
    }
    if (rc == 0)
        rc = marker_read(&r->marker, text, len, MARKER_FILE, e);
    free(text);
    if (rc != 0)
        return -1;
    if (settings_is_set(s, "repo_id") && memcmp(s->repo_id, r->marker.id, sizeof s->repo_id) != 0) {
        char want[33];
        char found[33];

        text_hex(want, s->repo_id, 16);
        text_hex(found, r->marker.id, 16);
        (void)err_set(e, ERR_REFUSED, "\"%s\" is repository %s, not %s", s->repo, found, want);
        return err_hint(e, "Another disk is mounted there; if it is the right one, correct repo_id "
                           "in the configuration.");
    }
    return 0;
}

static int foreign_key(const char *path, struct err *e)
{
    (void)err_set(e, ERR_REFUSED, "key \"%s\" belongs to another repository", path);
    return err_hint(e, "Check host_key, secret_key and recipients against repo.");
}

static int load_keys(struct repo *r, const struct settings *s, const struct key_recovery *opened,
                     struct err *e)
{
    if (s->host_key != NULL) {
        if (key_host_load(&r->host, s->host_key, e) != 0)
            return -1;
        r->has_host = true;
        if (memcmp(r->host.repo_id, r->marker.id, 16) != 0)
            return foreign_key(s->host_key, e);
    }
    if (opened != NULL) {
        r->secret = *opened;
        r->has_secret = true;
    } else if (s->secret_key != NULL) {
        int rc = key_recovery_load(&r->secret, s->secret_key, e);

        if (rc == KEY_PROTECTED) {
            (void)err_set(e, ERR_KEY, "secret key \"%s\" is protected by a passphrase",
                          s->secret_key);
            return err_hint(
                e, "Open it with \"walden key open\"; commands that have --passphrase-file do "
                   "it themselves.");
        }
        if (rc != 0)
            return -1;
        r->has_secret = true;
    }
    if (r->has_secret && memcmp(r->secret.repo_id, r->marker.id, 16) != 0)
        return foreign_key(s->secret_key != NULL ? s->secret_key : r->secret.name, e);
    return 0;
}

/* Is it a copy of another repository, and may it be written? */
static int read_copy_mark(struct repo *r, const struct settings *s, unsigned use, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = store_get_text(&r->store, NULL, COPY_MARK_FILE, &text, &len, e);

    if (rc == 0)
        rc = copy_mark_read(&r->copy, text, len, e);
    free(text);
    if (rc < 0 || !r->copy.there)
        return rc < 0 ? -1 : 0;
    if (memcmp(r->copy.repo, r->marker.id, sizeof r->copy.repo) != 0)
        return err_set(e, ERR_DAMAGED, "file \"" COPY_MARK_FILE "\" is of another repository");
    if ((use & REPO_WRITE) == 0 || (use & REPO_COPY_TOO) != 0 || r->copy.adopted)
        return 0;
    (void)err_set(e, ERR_REFUSED,
                  "\"%s\" is a copy of a repository, and written by walden copy only", s->repo);
    return err_hint(
        e,
        "If the repository is lost and this copy shall take its place, run \"walden copy "
        "--adopt --repo %s\".",
        s->repo);
}

/* The recipients that this host pins: in the configuration, or in a public key file. */
static int pinned_recipients(struct repo *r, const struct settings *s, const uint8_t **owner,
                             struct key_public *file, struct err *e)
{
    r->seal.count = 0;
    if (s->recipients_file != NULL) {
        if (key_public_load(file, s->recipients_file, e) != 0)
            return -1;
        if (memcmp(file->repo_id, r->marker.id, 16) != 0)
            return foreign_key(s->recipients_file, e);
        memcpy(r->seal.recipient[r->seal.count++], file->box_public, SECRET_KEY);
        if (*owner == NULL)
            *owner = file->owner;
    }
    for (size_t i = 0; i < s->n_recipients && r->seal.count < FRAME_BOXES_MAX; i++)
        memcpy(r->seal.recipient[r->seal.count++], s->recipients[i], SECRET_KEY);
    return 0;
}

static bool is_recipient(const struct marker *m, const uint8_t key[SECRET_KEY])
{
    for (unsigned i = 0; i < m->count; i++)
        if (memcmp(m->recipient[i], key, SECRET_KEY) == 0)
            return true;
    return false;
}

static int check_recipients(const struct repo *r, struct err *e)
{
    bool same = r->seal.count == r->marker.count;

    for (unsigned i = 0; same && i < r->seal.count; i++)
        same = is_recipient(&r->marker, r->seal.recipient[i]);
    if (same)
        return 0;
    (void)err_set(e, ERR_REFUSED,
                  "the recipients that the repository names are not those that this host pins");
    return err_hint(e,
                    "Objects are sealed only to keys that both name; if the repository is right, "
                    "correct recipients in the configuration.");
}

/* Compares what the storage says with what this host knows, and makes the trust of it. */
static int establish_trust(struct repo *r, const struct settings *s, unsigned use, struct err *e)
{
    const uint8_t *owner = r->has_host ? r->host.owner : (r->has_secret ? r->secret.owner : NULL);
    struct key_public file = {0};

    if (pinned_recipients(r, s, &owner, &file, e) != 0)
        return -1;
    if (!r->marker.sealed) {
        if (owner == NULL && r->seal.count == 0) {
            trust_plain(&r->trust, r->marker.id);
            return 0;
        }
        (void)err_set(e, ERR_REFUSED,
                      "repository \"%s\" is not sealed, but keys are configured here", s->repo);
        return err_hint(e, "Somebody may have replaced its marker; to switch encryption on, run "
                           "\"walden init --encrypt\".");
    }
    if (owner == NULL) {
        (void)err_set(e, ERR_KEY,
                      "repository \"%s\" is sealed, and no key of it is configured here", s->repo);
        return err_hint(e, "Set host_key on a host that writes, secret_key to the recovery key to "
                           "read, or recipients to the file recovery.pub to look at it.");
    }
    if (memcmp(owner, r->marker.owner, SECRET_KEY) != 0 ||
        (r->has_secret && memcmp(r->secret.owner, r->marker.owner, SECRET_KEY) != 0))
        return err_set(e, ERR_REFUSED, "repository \"%s\" names another owner than the keys here",
                       s->repo);
    if ((use & REPO_WRITE) != 0) {
        if (!r->has_host) {
            (void)err_set(e, ERR_CONFIG, "writing into a sealed repository needs a host key");
            return err_hint(e, "Set host_key; \"walden init --encrypt\" makes one.");
        }
        if (check_recipients(r, e) != 0)
            return -1;
    }
    r->seal.host = r->has_host ? &r->host : NULL;
    return 0;
}

static void start_trust(struct repo *r)
{
    if (!r->marker.sealed) {
        trust_plain(&r->trust, r->marker.id);
        return;
    }
    trust_sealed(&r->trust, r->marker.id, r->marker.owner);
    if (r->has_host)
        trust_add_own(&r->trust, r->host.sign_public);
}

static enum trust_covered covers(const void *arg, const struct frame_head *head,
                                 uint8_t digest[SECRET_KEY])
{
    return sealed_from_covers(arg, head, digest);
}

/* Which plain objects are genuine, when encryption was switched on later. */
static int load_sealed_from(struct repo *r, const struct settings *s, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    uint8_t digest[DIGEST_STRONG];
    bool pinned = settings_is_set(s, "sealed_from");
    int rc;

    sealed_from_fini(&r->sealed_from);
    sealed_from_init(&r->sealed_from);
    if (!r->marker.sealed)
        return 0;
    rc = store_get_text(&r->store, &r->where, LINEAGE_SEALED_FILE, &text, &len, e);
    if (rc == 0) {
        digest_strong(digest, (const uint8_t *)text, len);
        if (pinned && memcmp(digest, s->sealed_from, sizeof digest) != 0)
            rc = err_set(e, ERR_REFUSED,
                         "the repository's sealed-from record is not the one this host pins");
        else
            rc = sealed_from_read(&r->sealed_from, &r->lineage, &r->trust, text, len,
                                  LINEAGE_SEALED_FILE, e);
        r->trust.covers = covers;
        r->trust.covers_arg = &r->sealed_from;
    }
    free(text);
    return rc < 0 ? -1 : 0; /* absent: everything must be sealed */
}

static int unknown_lineage(const char *cluster, uint64_t system_id, const struct settings *s,
                           struct err *e)
{
    (void)err_set(e, ERR_REFUSED,
                  "cluster \"%s\" of repository \"%s\" does not know system identifier %llu",
                  cluster, s->repo, (unsigned long long)system_id);
    return err_hint(e, "If this is a new or upgraded server, run \"walden init\" in its name.  If "
                       "not, another server's disk may be mounted here, or the configuration names "
                       "another server's repository or cluster.");
}

int repo_use_lineage(struct repo *r, const struct settings *s, const char *cluster,
                     uint64_t system_id, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc;

    r->where = (struct store_lineage){cluster, system_id};
    rc = store_get_text(&r->store, &r->where, LINEAGE_FILE, &text, &len, e);
    if (rc == STORE_ABSENT)
        rc = unknown_lineage(cluster, system_id, s, e);
    if (rc == 0)
        rc = lineage_read(&r->lineage, text, len, LINEAGE_FILE, e);
    free(text);
    if (rc != 0)
        return -1;
    if (memcmp(r->lineage.repo_id, r->marker.id, 16) != 0 ||
        strcmp(r->lineage.cluster, cluster) != 0 || r->lineage.system_id != system_id)
        return err_set(e, ERR_DAMAGED, "file \"%s/%llu/%s\" is of another cluster or repository",
                       cluster, (unsigned long long)system_id, LINEAGE_FILE);
    start_trust(r);
    r->trust.cluster = r->where.cluster;
    lineage_trust(&r->lineage, &r->trust);
    return load_sealed_from(r, s, e);
}

int repo_local_system_id(const char *dir, uint64_t *system_id, struct err *e)
{
    char path[4096];
    uint8_t bytes[CONTROL_SIZE];
    size_t got = 0;
    int fd = -1;
    int rc;

    (void)snprintf(path, sizeof path, "%s%sglobal/pg_control", dir == NULL ? "" : dir,
                   dir == NULL ? "" : "/");
    rc = os_open(path, O_RDONLY, 0, &fd, e);
    if (rc != 0)
        return rc;
    rc = os_read_full(fd, bytes, sizeof bytes, &got, path, e);
    os_drop(&fd);
    if (rc == 0)
        rc = control_system_id(bytes, got, system_id, e);
    return rc == 0 ? 0 : err_context(e, "\"%s\"", path);
}

/* Counts lineages and remembers the only one. */
struct only {
    unsigned count;
    uint64_t system_id;
};

static int count_lineage(void *arg, const char *name, struct err *e)
{
    struct only *o = arg;
    struct err quiet = {0};
    uint64_t id;

    (void)e;
    if (parse_u64(name, 1, UINT64_MAX, &id, &quiet) == 0) {
        o->count++;
        o->system_id = id;
    }
    return 0;
}

/* The order of DESIGN: named by flag or variable (restore writes it into restore_command), the
 * cluster we run in, the configuration, the only one there is. */
static int choose_lineage(struct repo *r, const struct settings *s, uint64_t *system_id,
                          struct err *e)
{
    struct only only = {0};
    int rc;

    if (s->system_id != 0 && settings_is_explicit(s, "system_id")) {
        *system_id = s->system_id;
        return 0;
    }
    rc = repo_local_system_id(NULL, system_id, e);
    if (rc <= 0)
        return rc;
    if (s->system_id != 0) {
        *system_id = s->system_id;
        return 0;
    }
    if (s->pgdata != NULL) {
        rc = repo_local_system_id(s->pgdata, system_id, e);
        if (rc <= 0)
            return rc;
    }
    if (store_each_lineage(&r->store, s->cluster, count_lineage, &only, e) < 0)
        return -1;
    *system_id = only.system_id;
    if (only.count == 1)
        return 0;
    if (only.count == 0) {
        (void)err_set(e, ERR_REFUSED, "repository \"%s\" has nothing of a cluster \"%s\"", s->repo,
                      s->cluster);
        return err_hint(e,
                        "\"walden list\" shows what is there, --cluster chooses; \"walden init\" "
                        "binds a server to it.");
    }
    (void)err_set(e, ERR_REFUSED,
                  "cannot tell which of %u system identifiers of cluster \"%s\" is meant",
                  only.count, s->cluster);
    return err_hint(e,
                    "Give --system-id (\"walden list\" shows them), or run in the data directory.");
}

int repo_open(struct repo *r, const struct settings *s, unsigned use, struct err *e)
{
    return repo_open_with(r, s, use, NULL, e);
}

/* What this host signs must be believed by others, who start from the owner and not from our key:
 * else we would acknowledge what nobody can restore. */
static int check_certified(const struct repo *r, struct err *e)
{
    struct trust t;

    if (!r->marker.sealed)
        return 0;
    trust_sealed(&t, r->marker.id, r->marker.owner);
    lineage_trust(&r->lineage, &t);
    if (trust_find(&t, r->host.id) != NULL)
        return 0;
    (void)err_set(e, ERR_KEY, "this host's key is not certified for cluster \"%s\"",
                  r->lineage.cluster);
    return err_hint(e,
                    "Run \"walden init\" here with --secret-key, or bring a key that \"walden key "
                    "new --host\" made on a host that is certified.");
}

int repo_open_with(struct repo *r, const struct settings *s, unsigned use,
                   const struct key_recovery *secret, struct err *e)
{
    uint64_t system_id = 0;

    memset(r, 0, sizeof *r);
    r->store.root = (struct os_root)OS_ROOT_INIT;
    sealed_from_init(&r->sealed_from);
    if (settings_need(s, "repo", e) != 0 || store_open(&r->store, s->repo, e) != 0 ||
        read_marker(r, s, e) != 0 || read_copy_mark(r, s, use, e) != 0 ||
        load_keys(r, s, secret, e) != 0 || establish_trust(r, s, use, e) != 0)
        goto fail;
    r->writer = (struct store_writer){&r->store, r->marker.group};
    start_trust(r);
    if ((use & REPO_ANY_LINEAGE) == 0 && (choose_lineage(r, s, &system_id, e) != 0 ||
                                          repo_use_lineage(r, s, s->cluster, system_id, e) != 0 ||
                                          ((use & REPO_WRITE) != 0 && check_certified(r, e) != 0)))
        goto fail;
    return 0;
fail:
    repo_close(r);
    return -1;
}

void repo_close(struct repo *r)
{
    sealed_from_fini(&r->sealed_from);
    store_close(&r->store);
    key_host_wipe(&r->host);
    key_recovery_wipe(&r->secret);
}

const struct object_seal *repo_seal(const struct repo *r)
{
    return r->seal.host == NULL ? NULL : &r->seal;
}

void repo_fill_head(const struct repo *r, struct frame_head *head)
{
    memcpy(head->repo_id, r->marker.id, sizeof head->repo_id);
    (void)snprintf(head->place, sizeof head->place, "%s", r->where.cluster);
    head->system_id = r->where.system_id;
}

void repo_place(const struct repo *r, const struct store_name *n, char out[FRAME_PLACE_MAX + 1])
{
    size_t cap = FRAME_PLACE_MAX + 1;

    if (n->kind == KIND_DUMP)
        (void)snprintf(out, cap, "%.64s/dump/%.64s", r->where.cluster, n->job);
    else if (n->kind == KIND_DRILL)
        (void)snprintf(out, cap, "%.64s/drill", r->where.cluster);
    else
        (void)snprintf(out, cap, "%.64s", r->where.cluster);
}

int repo_still_plain(struct repo *r, struct err *e)
{
    uint64_t stamp = 0;
    int rc;

    if (r->marker.sealed)
        return 0;
    rc = store_marker_stamp(&r->store, MARKER_FILE, &stamp, e);
    if (rc == 0 && stamp == r->marker_stamp)
        return 0;
    if (rc >= 0)
        (void)err_set(e, ERR_UNREACHABLE, "the repository's marker was replaced meanwhile");
    return err_hint(e, "Encryption is being switched on, or another disk was mounted; the server "
                       "tries again.");
}

int repo_unlock(const struct repo *r, struct object_reader *reader, struct err *e)
{
    if (r->has_secret)
        return object_unlock(reader, &r->secret, e);
    return r->has_host ? object_unlock_metadata(reader, &r->host, e) : 0;
}

int repo_get(struct repo *r, const struct store_name *n, struct store_object *o,
             struct object_reader *reader, struct err *e)
{
    struct object_want want = {.kind = n->kind, .name = n->name, .system_id = r->where.system_id};
    char place[FRAME_PLACE_MAX + 1];
    int rc;

    repo_place(r, n, place);
    want.place = place;
    if (n->kind == KIND_DUMP || n->kind == KIND_DRILL)
        want.system_id = 0;
    rc = store_get(&r->store, &r->where, n, o, e);
    if (rc != 0)
        return rc;
    if (object_open(reader, &o->source, &r->trust, &want, e) != 0)
        goto fail;
    if (repo_unlock(r, reader, e) == 0)
        return 0;
    object_close(reader);
fail:
    store_release(o);
    return -1;
}

int repo_become_owner(const char *path, struct err *e)
{
    char marker[4096];

    if ((size_t)snprintf(marker, sizeof marker, "%s/" MARKER_FILE, path) >= sizeof marker)
        return err_set(e, ERR_CONFIG, "the repository's path is too long");
    return os_become_owner(marker, e);
}

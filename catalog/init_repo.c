#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "init.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/space.h"

/* An empty file whose name holds the id of a repository that is being made: keys made for it
 * before a crash are recognised by it, and keys of another repository are not taken for its own.
 * Listings skip it like every name that starts with ".tmp.". */
#define NOTE     ".tmp.init."
#define NOTE_LEN (sizeof NOTE - 1)

/* ---- the directory ---- */

struct look {
    bool has_marker;
    bool has_note;
    char note[PUBLISH_NAME_MAX + 1];
    char stranger[PUBLISH_NAME_MAX + 1];
};

static int look_at(void *arg, const char *name, enum os_dir_type type, struct err *e)
{
    struct look *l = arg;

    (void)type;
    (void)e;
    if (strcmp(name, MARKER_FILE) == 0) {
        l->has_marker = true;
    } else if (strncmp(name, NOTE, NOTE_LEN) == 0 && strlen(name) == NOTE_LEN + 32) {
        l->has_note = true;
        (void)snprintf(l->note, sizeof l->note, "%s", name);
    } else if (!publish_is_temp(name) && strcmp(name, "lost+found") != 0) {
        (void)snprintf(l->stranger, sizeof l->stranger, "%s", name);
    }
    return 0;
}

static int read_marker(struct init *i, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = store_get_text(&i->store, NULL, MARKER_FILE, &text, &len, e);

    if (rc == 0)
        rc = marker_read(&i->marker, text, len, MARKER_FILE, e);
    free(text);
    if (rc != 0)
        return -1;
    i->sealed = i->marker.sealed || i->encrypt;
    if (i->group && !i->marker.group)
        return err_set(e, ERR_CONFIG,
                       "repository \"%s\" is private; --group is for a new repository", i->repo);
    if (settings_is_set(&i->s, "repo_id") &&
        memcmp(i->s.repo_id, i->marker.id, sizeof i->s.repo_id) != 0) {
        char found[33];

        text_hex(found, i->marker.id, 16);
        (void)err_set(e, ERR_REFUSED, "\"%s\" is repository %s, not the one that repo_id names",
                      i->repo, found);
        return err_hint(e, "Another disk is mounted there; if it is the right one, correct repo_id "
                           "in the configuration.");
    }
    return 0;
}

/* The id of a repository that is to be: from the note, else a new one with its note. */
static int settle_id(struct init *i, const struct look *l, struct err *e)
{
    char name[NOTE_LEN + 33];
    int fd = -1;
    int rc;

    if (l->has_note && parse_bytes(l->note + NOTE_LEN, i->marker.id, 16, e) == 0)
        return 0;
    secret_random(i->marker.id, 16);
    memcpy(name, NOTE, NOTE_LEN);
    text_hex(name + NOTE_LEN, i->marker.id, 16);
    /* A crash before the flush: no note and no keys.  After: the next run finds the id. */
    rc = os_root_at(&i->store.root, name, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, e);
    if (rc == 0)
        rc = os_close(&fd, name, e);
    if (rc == 0)
        rc = os_sync_dir(i->store.root.fd, i->repo, e);
    return rc < 0 ? -1 : 0;
}

/* What a probe that was killed has left; nobody else probes here, for we hold the lock. */
static int sweep_probe(void *arg, const char *name, enum os_dir_type type, struct err *e)
{
    struct init *i = arg;

    (void)type;
    if (!publish_is_temp(name) || strstr(name, ".probe-") == NULL)
        return 0;
    return os_root_unlink(&i->store.root, name, 0, e) < 0 ? -1 : 0;
}

static int new_repository(struct init *i, const struct look *l, struct err *e)
{
    if (l->stranger[0] != '\0') {
        (void)err_set(e, ERR_REFUSED, "\"%s\" is not empty (it holds \"%s\") and not a repository",
                      i->repo, l->stranger);
        return err_hint(e, "Give a directory that is empty or does not exist.");
    }
    if (settings_is_set(&i->s, "repo_id")) {
        (void)err_set(e, ERR_UNREACHABLE,
                      "\"%s\" holds no repository, but the configuration names one by repo_id",
                      i->repo);
        return err_hint(e,
                        "If it is on a disk of its own, mount it; to make a new repository, remove "
                        "repo_id from %s.",
                        i->config);
    }
    if (os_dir_each(i->store.root.fd, sweep_probe, i, i->repo, e) != 0)
        return -1;
    i->fresh = true;
    i->sealed = i->encrypt;
    i->marker.group = i->group;
    return settle_id(i, l, e);
}

static void warn_mode(const struct init *i)
{
    struct stat st;
    struct err none = {0};

    if (os_stat_fd(i->store.root.fd, &st, i->repo, &none) == 0 && (st.st_mode & 07U) != 0)
        msg_warn(&i->msg, "directory \"%s\" is open to every user (mode %04o); chmod %s it",
                 i->repo, (unsigned)st.st_mode & 07777U, i->group ? "0750" : "0700");
}

int init_repo_open(struct init *i, struct err *e)
{
    struct look l = {0};
    int rc = place_make_dir(i->repo, i->group ? 0750 : 0700, &i->owner, e);

    if (rc < 0)
        return err_context(e, "could not make the repository");
    if (store_open(&i->store, i->repo, e) != 0)
        return -1;
    i->writer = (struct store_writer){&i->store, i->group};
    if (store_lock(&i->writer, NULL, &i->lock, e) != 0 ||
        os_dir_each(i->store.root.fd, look_at, &l, i->repo, e) != 0)
        return -1;
    if (rc == 1)
        warn_mode(i);
    if (!l.has_marker)
        return new_repository(i, &l, e);
    if (read_marker(i, e) != 0)
        return -1;
    i->writer.group = i->marker.group;
    /* What a crash between marker and here left. */
    if (l.has_note && os_root_unlink(&i->store.root, l.note, 0, e) < 0)
        return -1;
    return 0;
}

void init_repo_close(struct init *i)
{
    os_drop(&i->lock);
    store_close(&i->store);
}

/* ---- the filesystem ---- */

int init_repo_probe(struct init *i, struct err *e)
{
    struct os_probe p;
    struct os_space space;
    const char *fs;

    if (os_probe(&i->store.root, ".", &p, e) != 0 ||
        os_space(i->store.root.fd, &space, i->repo, e) != 0)
        return -1;
    fs = os_fs_name(p.fs_type);
    if (!p.rename_noreplace && !p.link) {
        (void)err_set(e, ERR_REFUSED,
                      "the filesystem of \"%s\" (%s) can neither rename without replacing nor link",
                      i->repo, fs);
        return err_hint(e, "No file could be published there safely; use ext4, xfs, btrfs or NFS.");
    }
    if (!p.dir_sync)
        msg_warn(&i->msg,
                 "the filesystem (%s) cannot flush directories: a power cut may lose what "
                 "was archived last",
                 fs);
    if (!p.lock)
        msg_warn(&i->msg,
                 "the filesystem (%s) has no locks: leftovers of killed programs stay until "
                 "somebody removes them",
                 fs);
    if (!p.modes)
        msg_warn(&i->msg,
                 "the filesystem (%s) keeps no permissions: every user of this host can "
                 "read the repository",
                 fs);
    if (!p.big_file)
        msg_warn(&i->msg, "the filesystem (%s) holds no file beyond 4 GB: large dumps will fail",
                 fs);
    return 0;
}

/* ---- the marker ---- */

int init_repo_mark(struct init *i, struct err *e)
{
    struct marker m = i->marker;
    uint8_t owner[SECRET_KEY];
    uint8_t secret[SECRET_SIGN] = {0};
    char name[NOTE_LEN + 33];
    struct buf b;
    int rc;

    buf_init(&b, 64 * 1024);
    m.sealed = i->sealed;
    if (m.sealed) {
        memcpy(m.owner, i->recovery.owner, SECRET_KEY);
        m.count = 1;
        memcpy(m.recipient[0], i->recovery.box_public, SECRET_KEY);
        memcpy(m.name[0], i->recovery.name, sizeof m.name[0]);
        secret_sign_pair(owner, secret, i->recovery.owner_seed);
    }
    rc = marker_write(&b, &m, secret, e);
    secret_wipe(secret, sizeof secret);
    /* A crash before: no repository yet, and the next run goes on.  After: it is one. */
    if (rc == 0)
        rc = store_put_text(&i->writer, NULL, MARKER_FILE, b.p, b.len, !i->fresh, e);
    buf_fini(&b);
    if (rc == STORE_EXISTS)
        rc =
            err_set(e, ERR_REFUSED, "somebody else made a repository in \"%s\" meanwhile", i->repo);
    if (rc != 0)
        return -1;
    memcpy(name, NOTE, NOTE_LEN);
    text_hex(name + NOTE_LEN, m.id, 16);
    if (os_root_unlink(&i->store.root, name, 0, e) < 0)
        return -1;
    i->marker = m;
    i->fresh = false;
    i->changes++;
    return place_own(&i->store.root, MARKER_FILE, &i->owner, e);
}

/* ---- the lineage ---- */

int init_repo_put_lineage(struct init *i, const struct lineage *l, bool replace, struct err *e)
{
    const struct store_lineage where = {l->cluster, l->system_id};
    struct buf b;
    int lock = -1;
    int rc;

    buf_init(&b, 64 * 1024);
    rc = lineage_write(&b, l, e);
    if (rc == 0)
        rc = store_lock(&i->writer, &where, &lock, e);
    /* A crash leaves the old file, or none, or the new one. */
    if (rc == 0)
        rc = store_put_text(&i->writer, &where, LINEAGE_FILE, b.p, b.len, replace, e);
    os_drop(&lock);
    buf_fini(&b);
    if (rc == STORE_EXISTS)
        return err_set(e, ERR_REFUSED, "somebody else made this lineage meanwhile");
    i->changes++;
    return rc;
}

/* Collects the certificates of the cluster's other lineages. */
struct sibling {
    struct init *i;
    struct lineage *into;
};

static int take_sibling(void *arg, const char *name, struct err *e)
{
    struct sibling *s = arg;
    struct store_lineage where = {s->into->cluster, 0};
    struct lineage *other = NULL;
    struct trust *t = NULL;
    struct err quiet = {0};
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (parse_u64(name, 1, UINT64_MAX, &where.system_id, &quiet) != 0 ||
        where.system_id == s->into->system_id)
        return 0;
    rc = store_get_text(&s->i->store, &where, LINEAGE_FILE, &text, &len, e);
    if (rc == 0) {
        other = calloc(1, sizeof *other);
        t = calloc(1, sizeof *t);
        if (other == NULL || t == NULL)
            rc = err_set(e, ERR_NOMEM, "out of memory");
        else
            rc = lineage_read(other, text, len, LINEAGE_FILE, e);
    }
    if (rc == 0) {
        trust_sealed(t, s->i->marker.id, s->i->host.owner);
        lineage_trust(other, t);
        rc = lineage_adopt(s->into, other, t, e);
    }
    free(text);
    free(other);
    free(t);
    return rc < 0 ? -1 : 0;
}

static bool is_certified(const struct init *i, const struct lineage *l)
{
    struct trust t;

    trust_sealed(&t, i->marker.id, i->host.owner);
    lineage_trust(l, &t);
    return trust_find(&t, i->host.id) != NULL;
}

int init_repo_certify(struct init *i, struct lineage *l, struct err *e)
{
    struct sibling s = {i, l};
    uint8_t owner[SECRET_KEY];
    uint8_t secret[SECRET_SIGN];
    unsigned before = l->count;
    int rc;

    if (is_certified(i, l))
        return 1;
    if (store_each_lineage(&i->store, l->cluster, take_sibling, &s, e) < 0)
        return -1;
    if (is_certified(i, l))
        return l->count > before ? 0 : 1;
    if (!i->has_owner_key) {
        (void)err_set(e, ERR_KEY, "this host's key is not certified for cluster \"%s\"",
                      l->cluster);
        return err_hint(e, "Give --secret-key with the recovery key that was made first, or run "
                           "\"walden key new --host\" on a host of that cluster.");
    }
    secret_sign_pair(owner, secret, i->recovery.owner_seed);
    rc = lineage_certify(l, i->host.sign_public, i->host.name, owner, secret, e);
    secret_wipe(secret, sizeof secret);
    return rc < 0 ? -1 : 0;
}

static int check_lineage(const struct init *i, const struct lineage *l, struct err *e)
{
    if (memcmp(l->repo_id, i->marker.id, 16) != 0 || strcmp(l->cluster, i->s.cluster) != 0 ||
        l->system_id != i->server.system_id)
        return err_set(e, ERR_DAMAGED, "file \"%s/%llu/%s\" is of another cluster or repository",
                       i->s.cluster, (unsigned long long)i->server.system_id, LINEAGE_FILE);
    if (l->segment_size != i->server.segment_size || l->major != i->server.major) {
        (void)err_set(
            e, ERR_REFUSED,
            "the repository knows this cluster as PostgreSQL %u with segments of %u bytes, "
            "not %u with %u",
            (unsigned)l->major, (unsigned)l->segment_size, (unsigned)i->server.major,
            (unsigned)i->server.segment_size);
        return err_hint(e, "Give another name with --cluster: WAL of both cannot be kept as one.");
    }
    return 0;
}

int init_repo_lineage(struct init *i, struct err *e)
{
    const struct store_lineage where = {i->s.cluster, i->server.system_id};
    struct lineage *l = &i->lineage;
    char *text = NULL;
    size_t len = 0;
    int rc = store_get_text(&i->store, &where, LINEAGE_FILE, &text, &len, e);
    bool exists = rc == 0;
    bool changed = !exists;

    if (rc < 0)
        return -1;
    if (exists) {
        rc = lineage_read(l, text, len, LINEAGE_FILE, e);
        if (rc == 0)
            rc = check_lineage(i, l, e);
    } else {
        rc = 0;
        memset(l, 0, sizeof *l);
        memcpy(l->repo_id, i->marker.id, 16);
        (void)snprintf(l->cluster, sizeof l->cluster, "%s", i->s.cluster);
        l->system_id = i->server.system_id;
        l->major = i->server.major;
        l->segment_size = i->server.segment_size;
    }
    free(text);
    if (rc == 0 && i->sealed) {
        rc = init_repo_certify(i, l, e);
        changed = changed || rc == 0;
    }
    if (rc < 0)
        return -1;
    return changed ? init_repo_put_lineage(i, l, exists, e) : 0;
}

int init_repo_own(struct init *i, struct err *e)
{
    const char *const files[] = {"", "/" LINEAGE_FILE, "/" LINEAGE_SEALED_FILE};
    char path[STORE_PATH_MAX];

    if (place_own(&i->store.root, ".", &i->owner, e) != 0 ||
        place_own(&i->store.root, MARKER_FILE, &i->owner, e) != 0 ||
        place_own(&i->store.root, i->s.cluster, &i->owner, e) != 0)
        return -1;
    for (size_t n = 0; n < sizeof files / sizeof files[0]; n++) {
        (void)snprintf(path, sizeof path, "%s/%llu%s", i->s.cluster,
                       (unsigned long long)i->server.system_id, files[n]);
        if (place_own(&i->store.root, path, &i->owner, e) != 0)
            return -1;
    }
    return 0;
}

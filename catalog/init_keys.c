#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "init.h"
#include "os/file.h"
#include "os/host.h"

/* A host's name as the name of its key. */
static void host_name(char out[KEY_NAME_MAX + 1])
{
    struct err none = {0};

    os_hostname(out, KEY_NAME_MAX + 1);
    for (char *c = out; *c != '\0'; c++)
        if ((*c < 'a' || *c > 'z') && (*c < 'A' || *c > 'Z') && (*c < '0' || *c > '9') &&
            *c != '.' && *c != '_' && *c != '-')
            *c = '_';
    if (parse_name(out, &none) != 0)
        (void)snprintf(out, KEY_NAME_MAX + 1, "host");
}

static bool exists(const char *path)
{
    struct err none = {0};
    struct stat st;

    return os_stat(path, &st, &none) == 0;
}

static int put_secret(struct init *i, const char *path, struct buf *b, struct err *e)
{
    int rc = place_put(path, b->p, b->len, 0600, false, &i->owner, e);

    if (rc == 0)
        i->changes++;
    secret_wipe(b->p, b->len);
    buf_clear(b);
    return rc < 0 ? -1 : 0;
}

static int foreign(const char *path, struct err *e)
{
    (void)err_set(e, ERR_REFUSED, "key \"%s\" belongs to another repository", path);
    return err_hint(e, "Give another directory with --key-dir; keys are never overwritten.");
}

static int protected_key(const char *path, struct err *e)
{
    (void)err_set(e, ERR_KEY, "key \"%s\" is protected by a passphrase", path);
    return err_hint(e, "Open it with \"walden key open\" first, and remove the opened file "
                       "afterwards.");
}

/* The owner's key: found (from a run that was cut short, or given), else made when `make`. */
static int owner_key(struct init *i, bool make, struct err *e)
{
    const char *path = i->s.secret_key != NULL ? i->s.secret_key : i->recovery_path;
    struct buf b;
    int rc;

    if (exists(path)) {
        rc = key_recovery_load(&i->recovery, path, e);
        if (rc == KEY_PROTECTED && !make)
            return 0; /* perhaps it is not needed */
        if (rc != 0)
            return rc < 0 ? -1 : protected_key(path, e);
        if (memcmp(i->recovery.repo_id, i->marker.id, 16) != 0)
            return foreign(path, e);
        i->has_owner_key = i->recovery.is_owner;
        if (i->has_owner_key || !make)
            return 0;
        return err_set(e, ERR_KEY, "key \"%s\" is not the owner's: it cannot sign the marker",
                       path);
    }
    if (!make)
        return 0;
    key_recovery_new(&i->recovery, i->marker.id, "recovery", NULL);
    i->has_owner_key = true;
    buf_init(&b, KEY_FILE_MAX);
    rc = key_recovery_write(&b, &i->recovery, e);
    /* A crash after it: the next run finds the key, whose id is the repository's. */
    if (rc == 0)
        rc = put_secret(i, i->recovery_path, &b, e);
    buf_fini(&b);
    return rc;
}

static int make_public(struct init *i, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, KEY_FILE_MAX);
    key_recovery_public(&i->public_key, &i->recovery);
    rc = key_public_write(&b, &i->public_key, e);
    if (rc == 0)
        rc = place_put(i->public_path, b.p, b.len, 0644, false, &i->owner, e);
    if (rc == 0)
        i->changes++;
    buf_fini(&b);
    return rc < 0 ? -1 : 0;
}

static int make_host(struct init *i, struct err *e)
{
    char name[KEY_NAME_MAX + 1];
    struct buf b;
    int rc;

    if (exists(i->host_path)) {
        if (key_host_load(&i->host, i->host_path, e) != 0)
            return -1;
        return memcmp(i->host.repo_id, i->marker.id, 16) == 0 &&
                       memcmp(i->host.owner, i->recovery.owner, SECRET_KEY) == 0
                   ? 0
                   : foreign(i->host_path, e);
    }
    host_name(name);
    key_host_new(&i->host, i->marker.id, name, i->recovery.owner, NULL);
    buf_init(&b, KEY_FILE_MAX);
    rc = key_host_write(&b, &i->host, e);
    if (rc == 0)
        rc = put_secret(i, i->host_path, &b, e);
    buf_fini(&b);
    return rc;
}

/* The keys of a repository that is sealed already: this host must hold one. */
static int find_keys(struct init *i, struct err *e)
{
    if (!exists(i->host_path)) {
        (void)err_set(e, ERR_KEY,
                      "repository \"%s\" is sealed, and this host has no key: \"%s\" does "
                      "not exist",
                      i->repo, i->host_path);
        return err_hint(e,
                        "Run \"walden key new --host NAME --out FILE\" on a host that has one, and "
                        "bring the file here with recovery.pub.");
    }
    if (key_host_load(&i->host, i->host_path, e) != 0)
        return -1;
    if (memcmp(i->host.repo_id, i->marker.id, 16) != 0)
        return foreign(i->host_path, e);
    if (memcmp(i->host.owner, i->marker.owner, SECRET_KEY) != 0)
        return err_set(e, ERR_REFUSED, "repository \"%s\" names another owner than \"%s\"", i->repo,
                       i->host_path);
    if (owner_key(i, false, e) != 0)
        return -1;
    if (i->s.n_recipients > 0 && i->s.recipients_file == NULL)
        return 0; /* pinned by value */
    if (!exists(i->public_path)) {
        (void)err_set(e, ERR_KEY, "the recovery public key \"%s\" does not exist", i->public_path);
        return err_hint(e, "Copy recovery.pub from the host where the repository was made.");
    }
    if (key_public_load(&i->public_key, i->public_path, e) != 0)
        return -1;
    return memcmp(i->public_key.repo_id, i->marker.id, 16) == 0 &&
                   memcmp(i->public_key.owner, i->marker.owner, SECRET_KEY) == 0
               ? 0
               : foreign(i->public_path, e);
}

int init_keys(struct init *i, struct err *e)
{
    if (!i->sealed)
        return 0;
    if (!i->fresh && i->marker.sealed)
        return find_keys(i, e);
    /* A host key without a recovery key is somebody else's: ours is made after it. */
    if (exists(i->host_path) && !exists(i->recovery_path) && i->s.secret_key == NULL)
        return foreign(i->host_path, e);
    if (place_make_dir(i->key_dir, 0700, &i->owner, e) < 0 || owner_key(i, true, e) != 0 ||
        make_public(i, e) != 0)
        return -1;
    return make_host(i, e);
}

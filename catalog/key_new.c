/*
 * walden key new, walden key add-recipient: further hosts and further recovery keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "cmd_key.h"
#include "os/file.h"

struct options {
    const char *host;
    const char *recovery;
    const char *out;
    const char *passphrase_file;
};

static const struct opt new_options[] = {
    {.name = "host",
     .kind = OPT_NAME,
     .arg = "NAME",
     .offset = offsetof(struct options, host),
     .help = "make the key of another host that writes here, and certify it"},
    {.name = "recovery",
     .kind = OPT_NAME,
     .arg = "NAME",
     .offset = offsetof(struct options, recovery),
     .help = "make a further recovery key and its public half"},
    {.name = "out",
     .letter = 'o',
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = offsetof(struct options, out),
     .help = "file to write"},
};

static const struct opt add_options[] = {
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = offsetof(struct options, passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
};

static const struct opt_program new_program = {
    .name = "walden key new",
    .operands = "",
    .summary = "make a key for another host, or a further recovery key",
    .examples = "walden key new --host standby1 --out /root/standby1.key\n"
                "walden key new --recovery alice --out /media/usb/alice.key\n",
    .exits = COMMAND_EXITS,
    .args_min = 0,
    .args_max = 0,
};

static const struct opt_program add_program = {
    .name = "walden key add-recipient",
    .operands = "FILE.pub",
    .summary = "seal to a further recovery key from now on",
    .examples = "walden key add-recipient alice.pub --secret-key /media/usb/recovery.key\n",
    .exits = COMMAND_EXITS,
    .args_min = 1,
    .args_max = 1,
};

static int need_sealed(const struct repo *r, const struct settings *s, struct err *e)
{
    if (r->marker.sealed)
        return 0;
    (void)err_set(e, ERR_CONFIG, "repository \"%s\" is not sealed: it has no keys", s->repo);
    return err_hint(e, "Run \"walden init --encrypt\" first.");
}

/* ---- another host ---- */

/* The key in FILE: from a run that was cut short, or new. */
static int host_key(struct key_host *k, const struct repo *r, const struct options *o,
                    struct err *e)
{
    struct err none = {0};
    struct stat st;
    struct buf b;
    int rc;

    if (os_stat(o->out, &st, &none) == 0) {
        if (key_host_load(k, o->out, e) != 0)
            return -1;
        if (memcmp(k->repo_id, r->marker.id, 16) == 0 && strcmp(k->name, o->host) == 0 &&
            memcmp(k->write, r->host.write, SECRET_KEY) == 0)
            return 0;
        return err_set(e, ERR_REFUSED, "file \"%s\" exists and is another key", o->out);
    }
    key_host_new(k, r->marker.id, o->host, r->host.owner, r->host.write);
    buf_init(&b, KEY_FILE_MAX);
    rc = key_host_write(&b, k, e);
    /* A crash behind it: a key that nobody trusts; the same command certifies it. */
    if (rc == 0)
        rc = cmd_key_put(o->out, &b, 0600, e);
    if (b.p != NULL)
        secret_wipe(b.p, b.len);
    buf_fini(&b);
    return rc;
}

/* An issuer must be provable by others, who start from the owner. */
static int check_issuer(const struct repo *r, struct err *e)
{
    struct trust t;

    trust_sealed(&t, r->marker.id, r->marker.owner);
    lineage_trust(&r->lineage, &t);
    if (trust_find(&t, r->host.id) != NULL)
        return 0;
    (void)err_set(e, ERR_KEY, "this host's key is not certified for cluster \"%s\" itself",
                  r->lineage.cluster);
    return err_hint(e, "Run \"walden init\" here first.");
}

static int certify(struct repo *r, const struct settings *s, const struct key_host *k,
                   struct err *e)
{
    struct place_owner owner;
    char path[STORE_PATH_MAX];
    struct buf b;
    int lock = -1;
    int rc;

    buf_init(&b, 64 * 1024);
    rc = store_lock(&r->writer, &r->where, &lock, e);
    if (rc == 0) /* once more, now that nobody else changes it */
        rc = repo_use_lineage(r, s, s->cluster, r->where.system_id, e);
    if (rc == 0)
        rc = check_issuer(r, e);
    if (rc == 0)
        rc = lineage_certify(&r->lineage, k->sign_public, k->name, r->host.sign_public,
                             r->host.sign_secret, e);
    if (rc == 0)
        rc = lineage_write(&b, &r->lineage, e);
    else if (rc == 1)
        goto out; /* it has one */
    if (rc == 0)
        rc = store_put_text(&r->writer, &r->where, LINEAGE_FILE, b.p, b.len, true, e);
    if (rc == 0)
        rc = cmd_key_owner(r, &owner, e);
    (void)snprintf(path, sizeof path, "%s/%llu/%s", r->where.cluster,
                   (unsigned long long)r->where.system_id, LINEAGE_FILE);
    if (rc == 0)
        rc = place_own(&r->store.root, path, &owner, e);
out:
    os_drop(&lock);
    buf_fini(&b);
    return rc < 0 ? -1 : 0;
}

static int new_host(struct repo *r, const struct settings *s, const struct options *o,
                    const struct msg *m, struct err *e)
{
    struct key_host k;
    int rc;

    if (cmd_key_repo(r, s, REPO_WRITE, NULL, e) != 0)
        return -1;
    rc = need_sealed(r, s, e);
    if (rc == 0)
        rc = host_key(&k, r, o, e);
    if (rc == 0)
        rc = certify(r, s, &k, e);
    key_host_wipe(&k);
    repo_close(r);
    if (rc == 0)
        msg_note(m,
                 "\"%s\" is certified for cluster \"%s\"; bring the file and recovery.pub to host "
                 "\"%s\" as its host.key, run \"walden init\" there, and remove it here",
                 o->out, s->cluster, o->host);
    return rc;
}

/* ---- a further recovery key ---- */

static int public_path(char out[PLACE_MAX], const char *path, struct err *e)
{
    size_t len = strlen(path);

    if (len > 4 && strcmp(path + len - 4, ".key") == 0)
        len -= 4;
    if (len + 5 > PLACE_MAX)
        return err_set(e, ERR_USAGE, "path \"%.200s...\" is too long", path);
    (void)snprintf(out, PLACE_MAX, "%.*s.pub", (int)len, path);
    return 0;
}

static int recovery_key(struct key_recovery *k, const struct repo *r, const struct options *o,
                        struct err *e)
{
    struct err none = {0};
    struct stat st;
    struct buf b;
    int rc;

    if (os_stat(o->out, &st, &none) == 0) {
        rc = key_recovery_load(k, o->out, e);
        if (rc < 0)
            return -1;
        if (rc == 0 && memcmp(k->repo_id, r->marker.id, 16) == 0 &&
            strcmp(k->name, o->recovery) == 0)
            return 0;
        return err_set(e, ERR_REFUSED, "file \"%s\" exists and is another key", o->out);
    }
    key_recovery_new(k, r->marker.id, o->recovery, r->marker.owner);
    buf_init(&b, KEY_FILE_MAX);
    rc = key_recovery_write(&b, k, e);
    if (rc == 0)
        rc = cmd_key_put(o->out, &b, 0600, e);
    if (b.p != NULL)
        secret_wipe(b.p, b.len);
    buf_fini(&b);
    return rc;
}

static int new_recovery(struct repo *r, const struct settings *s, const struct options *o,
                        const struct msg *m, struct err *e)
{
    struct key_recovery k = {0};
    struct key_public p;
    char path[PLACE_MAX];
    struct buf b;
    int rc;

    if (public_path(path, o->out, e) != 0 ||
        cmd_key_repo(r, s, REPO_READ | REPO_ANY_LINEAGE, NULL, e) != 0)
        return -1;
    buf_init(&b, KEY_FILE_MAX);
    rc = need_sealed(r, s, e);
    if (rc == 0)
        rc = recovery_key(&k, r, o, e);
    if (rc == 0) {
        key_recovery_public(&p, &k);
        rc = key_public_write(&b, &p, e);
    }
    if (rc == 0)
        rc = cmd_key_put(path, &b, 0644, e);
    buf_fini(&b);
    key_recovery_wipe(&k);
    repo_close(r);
    if (rc == 0)
        msg_note(m,
                 "made; nothing is sealed to it yet: run \"walden key add-recipient %s "
                 "--secret-key OWNERS_KEY\"",
                 path);
    return rc;
}

int cmd_key_new(int argc, char **argv)
{
    const struct msg m = {new_program.name, MSG_NORMAL, false};
    struct settings s;
    struct options o = {0};
    struct opt_set sets[2] = {
        {"Options", new_options, sizeof new_options / sizeof new_options[0], &o, NULL, NULL}};
    struct opt_args args;
    struct repo *r = NULL;
    struct err e = {0};
    int status;
    int rc;

    settings_init(&s);
    sets[1] = settings_options(&s);
    if (command_parse(&new_program, sets, 2, argc, argv, &args, &status) != 0)
        goto out;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        rc = err_set(&e, ERR_NOMEM, "out of memory");
    else if ((o.host == NULL) == (o.recovery == NULL))
        rc = err_set(&e, ERR_USAGE, "give either --host or --recovery");
    else if (o.out == NULL)
        rc = err_set(&e, ERR_USAGE, "--out is missing");
    else if (command_settings(&s, &m, &e) != 0)
        rc = -1;
    else
        rc = o.host != NULL ? new_host(r, &s, &o, &m, &e) : new_recovery(r, &s, &o, &m, &e);
    status = rc == 0 ? STATUS_OK : command_fail(&m, &e);
out:
    free(r);
    settings_fini(&s);
    return status;
}

/* ---- add-recipient ---- */

static int add(struct marker *marker, const struct key_public *p, struct err *e)
{
    for (unsigned i = 0; i < marker->count; i++)
        if (memcmp(marker->recipient[i], p->box_public, SECRET_KEY) == 0)
            return 1;
    if (marker->count == MARKER_RECIPIENTS_MAX)
        return err_set(e, ERR_REFUSED, "there are %d recipients already", MARKER_RECIPIENTS_MAX);
    memcpy(marker->recipient[marker->count], p->box_public, SECRET_KEY);
    memcpy(marker->name[marker->count], p->name, sizeof p->name);
    marker->count++;
    return 0;
}

static int put_marker(struct repo *r, const struct marker *marker, struct err *e)
{
    uint8_t owner[SECRET_KEY];
    uint8_t secret[SECRET_SIGN];
    struct place_owner theirs;
    struct buf b;
    int rc;

    buf_init(&b, 64 * 1024);
    secret_sign_pair(owner, secret, r->secret.owner_seed);
    rc = marker_write(&b, marker, secret, e);
    secret_wipe(secret, sizeof secret);
    /* A crash leaves the old marker or the new one, each whole and signed. */
    if (rc == 0)
        rc = store_put_text(&r->writer, NULL, MARKER_FILE, b.p, b.len, true, e);
    if (rc == 0)
        rc = cmd_key_owner(r, &theirs, e);
    if (rc == 0)
        rc = place_own(&r->store.root, MARKER_FILE, &theirs, e);
    buf_fini(&b);
    return rc;
}

static int say_line(const struct marker *marker, struct err *e)
{
    char hex[2 * SECRET_KEY + 1];
    struct buf b;
    int rc;

    buf_init(&b, KEY_FILE_MAX);
    rc = buf_str(&b,
                 "Each host that writes pins its recipients; archiving waits until its "
                 "configuration says:\nrecipients =",
                 e);
    for (unsigned i = 0; rc == 0 && i < marker->count; i++) {
        text_hex(hex, marker->recipient[i], SECRET_KEY);
        rc = buf_fmt(&b, e, " %s", hex);
    }
    if (rc == 0)
        rc = buf_str(&b, "\n", e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static int add_recipient(struct repo *r, const struct settings *s, const char *file,
                         const char *pass_file, struct err *e)
{
    struct key_public p;
    struct marker marker;
    char *text = NULL;
    size_t len = 0;
    int lock = -1;
    int rc;

    if (key_public_load(&p, file, e) != 0 ||
        cmd_key_repo(r, s, REPO_READ | REPO_ANY_LINEAGE, pass_file, e) != 0)
        return -1;
    rc = need_sealed(r, s, e);
    if (rc == 0 && (!r->has_secret || !r->secret.is_owner)) {
        (void)err_set(e, ERR_KEY, "only the owner's key can change the recipients");
        rc = err_hint(e, "Give --secret-key with the recovery key that was made first.");
    }
    if (rc == 0 && (memcmp(p.repo_id, r->marker.id, 16) != 0 ||
                    memcmp(p.owner, r->marker.owner, SECRET_KEY) != 0))
        rc = err_set(e, ERR_REFUSED, "key \"%s\" belongs to another repository", file);
    if (rc == 0)
        rc = store_lock(&r->writer, NULL, &lock, e);
    if (rc == 0) /* once more, now that nobody else changes it */
        rc = store_get_text(&r->store, NULL, MARKER_FILE, &text, &len, e);
    if (rc > 0)
        rc = err_set(e, ERR_UNREACHABLE, "file \"%s\" vanished", MARKER_FILE);
    if (rc == 0)
        rc = marker_read(&marker, text, len, MARKER_FILE, e);
    free(text);
    if (rc == 0 && memcmp(marker.owner, r->secret.owner, SECRET_KEY) != 0)
        rc = err_set(e, ERR_REFUSED, "the repository changed its owner meanwhile");
    if (rc == 0)
        rc = add(&marker, &p, e);
    if (rc == 0)
        rc = put_marker(r, &marker, e);
    os_drop(&lock);
    repo_close(r);
    return rc < 0 ? -1 : say_line(&marker, e);
}

int cmd_key_add_recipient(int argc, char **argv)
{
    const struct msg m = {add_program.name, MSG_NORMAL, false};
    struct settings s;
    struct options o = {0};
    struct opt_set sets[2] = {
        {"Options", add_options, sizeof add_options / sizeof add_options[0], &o, NULL, NULL}};
    struct opt_args args;
    struct repo *r = NULL;
    struct err e = {0};
    int status;
    int rc;

    settings_init(&s);
    sets[1] = settings_options(&s);
    if (command_parse(&add_program, sets, 2, argc, argv, &args, &status) != 0)
        goto out;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        rc = err_set(&e, ERR_NOMEM, "out of memory");
    else
        rc = command_settings(&s, &m, &e) == 0
                 ? add_recipient(r, &s, args.v[0], o.passphrase_file, &e)
                 : -1;
    status = rc == 0 ? STATUS_OK : command_fail(&m, &e);
out:
    free(r);
    settings_fini(&s);
    return status;
}

/*
 * walden key show: what a key file is, and never a secret.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cmd_key.h"
#include "object/passphrase.h"
#include "os/file.h"

struct options {
    bool json;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "one JSON object"},
};

static const struct opt_program program = {
    .name = "walden key show",
    .operands = "FILE",
    .summary = "show what a key file is, without its secrets",
    .examples = "walden key show /etc/walden/host.key\n"
                "walden key show recovery.pub --json\n",
    .exits = COMMAND_EXITS,
    .args_min = 1,
    .args_max = 1,
};

struct shown {
    const char *kind;
    bool is_secret;
    char name[KEY_NAME_MAX + 1];
    uint8_t repo_id[16];
    uint8_t public_key[SECRET_KEY];
    uint8_t id[KEY_ID];
    uint8_t owner[SECRET_KEY];
    bool is_owner;     /* holds the owner's signing key */
    bool is_protected; /* then is_owner is not known */
};

static void set(struct shown *s, const char *name, const uint8_t *repo_id, const uint8_t *key,
                const uint8_t *id, const uint8_t *owner)
{
    memcpy(s->name, name, sizeof s->name);
    memcpy(s->repo_id, repo_id, sizeof s->repo_id);
    memcpy(s->public_key, key, sizeof s->public_key);
    memcpy(s->id, id, sizeof s->id);
    memcpy(s->owner, owner, sizeof s->owner);
}

static bool starts(const char *text, size_t len, const char *with)
{
    return len > strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static int read_host(struct shown *s, const char *text, size_t len, const char *what, struct err *e)
{
    struct key_host k;
    int rc = key_host_read(&k, text, len, what, e);

    if (rc == 0) {
        s->kind = "host key";
        s->is_secret = true;
        set(s, k.name, k.repo_id, k.sign_public, k.id, k.owner);
    }
    key_host_wipe(&k);
    return rc;
}

static int read_recovery(struct shown *s, const char *text, size_t len, const char *what,
                         struct err *e)
{
    struct key_recovery k;
    int rc = key_recovery_read(&k, text, len, what, e);

    if (rc == 0) {
        s->kind = "recovery key";
        s->is_secret = true;
        s->is_owner = k.is_owner;
        set(s, k.name, k.repo_id, k.box_public, k.id, k.owner);
    }
    key_recovery_wipe(&k);
    return rc;
}

static int read_public(struct shown *s, const char *text, size_t len, const char *what,
                       struct err *e)
{
    struct key_public k;
    bool locked = starts(text, len, "walden-protected-key ");

    if (locked ? passphrase_public(&k, text, len, what, e) != 0
               : key_public_read(&k, text, len, what, e) != 0)
        return -1;
    s->kind = locked ? "recovery key under a passphrase" : "recovery public key";
    s->is_protected = locked;
    s->is_secret = locked;
    set(s, k.name, k.repo_id, k.box_public, k.id, k.owner);
    return 0;
}

static int read_file(struct shown *s, const char *path, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = os_read_small(path, KEY_FILE_MAX, &text, &len, e);

    if (rc > 0)
        return err_set(e, ERR_USAGE, "file \"%s\" does not exist", path);
    if (rc < 0)
        return -1;
    if (starts(text, len, "walden-host-key "))
        rc = read_host(s, text, len, path, e);
    else if (starts(text, len, "walden-recovery-key "))
        rc = read_recovery(s, text, len, path, e);
    else if (starts(text, len, "walden-recovery-pub ") ||
             starts(text, len, "walden-protected-key "))
        rc = read_public(s, text, len, path, e);
    else
        rc = err_set(e, ERR_DAMAGED, "file \"%s\" is not a key of Walden", path);
    os_wipe_free(text, len);
    return rc;
}

static int print(const struct shown *s, bool json, struct err *e)
{
    char repo[33];
    char public_key[2 * SECRET_KEY + 1];
    char id[2 * KEY_ID + 1];
    char owner[2 * SECRET_KEY + 1];
    struct json_out j;
    struct buf b;
    int rc;

    text_hex(repo, s->repo_id, 16);
    text_hex(public_key, s->public_key, SECRET_KEY);
    text_hex(id, s->id, KEY_ID);
    text_hex(owner, s->owner, SECRET_KEY);
    buf_init(&b, KEY_FILE_MAX);
    if (json) {
        json_begin(&j, &b, NULL, NULL);
        json_object(&j, NULL);
        json_num(&j, "schema", 1);
        json_str(&j, "kind", s->kind);
        json_str(&j, "name", s->name);
        json_str(&j, "repository", repo);
        json_str(&j, "public_key", public_key);
        json_str(&j, "id", id);
        json_str(&j, "owner", owner);
        json_bool(&j, "protected", s->is_protected);
        if (!s->is_protected)
            json_bool(&j, "is_owner", s->is_owner);
        json_object_end(&j);
        rc = json_end(&j, e);
    } else {
        rc = buf_fmt(&b, e,
                     "kind        %s\nname        %s\nrepository  %s\npublic key  %s\nid          "
                     "%s\nowner       %s%s\n",
                     s->kind, s->name, repo, public_key, id, owner,
                     s->is_owner ? " (this key signs as the owner)" : "");
    }
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

/* A secret that others can read is worth a word, but no reason to hide what it is. */
static void check_mode(const char *path, const struct msg *m)
{
    struct err e = {0};
    char *text = NULL;
    size_t len = 0;

    if (os_read_secret(path, KEY_FILE_MAX, &text, &len, &e) < 0)
        msg_warn_err(m, &e);
    os_wipe_free(text, len);
}

int cmd_key_show(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct options o = {0};
    const struct opt_set set_of = {"Options", options, sizeof options / sizeof options[0],
                                   &o,        NULL,    NULL};
    struct opt_args args;
    struct shown s = {0};
    struct err e = {0};
    int status;

    if (command_parse(&program, &set_of, 1, argc, argv, &args, &status) != 0)
        return status;
    if (secret_start(&e) != 0 || read_file(&s, args.v[0], &e) != 0)
        return command_fail(&m, &e);
    if (s.is_secret)
        check_mode(args.v[0], &m);
    return print(&s, o.json, &e) == 0 ? STATUS_OK : command_fail(&m, &e);
}

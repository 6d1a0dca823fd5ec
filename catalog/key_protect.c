/*
 * walden key protect, walden key open.
 */
#include <stdio.h>

#include "cmd_key.h"
#include "object/passphrase.h"

struct options {
    const char *out;
    const char *passphrase_file;
};

static const struct opt options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = offsetof(struct options, out),
     .help = "file to write; it must not exist"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = offsetof(struct options, passphrase_file),
     .help = "file whose first line is the passphrase (default: asked at the terminal)"},
};

static const struct opt_program protect_program = {
    .name = "walden key protect",
    .operands = "FILE",
    .summary = "put a recovery key under a passphrase",
    .examples = "walden key protect recovery.key --out recovery.locked\n"
                "walden key protect recovery.key -o recovery.locked --passphrase-file /run/pass\n",
    .exits = COMMAND_EXITS,
    .args_min = 1,
    .args_max = 1,
};

static const struct opt_program open_program = {
    .name = "walden key open",
    .operands = "FILE",
    .summary = "take the passphrase off a recovery key",
    .examples = "walden key open recovery.locked --out /dev/shm/recovery.key\n",
    .exits = COMMAND_EXITS,
    .args_min = 1,
    .args_max = 1,
};

static int protect(struct buf *b, const char *from, const struct options *o, struct err *e)
{
    struct key_recovery k;
    char pass[PASSPHRASE_MAX + 1];
    size_t len = 0;
    int rc = key_recovery_load(&k, from, e);

    if (rc == KEY_PROTECTED)
        rc = err_set(e, ERR_USAGE, "\"%s\" is under a passphrase already", from);
    if (rc == 0)
        rc = cmd_key_passphrase(o->passphrase_file, true, pass, &len, e);
    if (rc == 0)
        rc = passphrase_protect(b, &k, pass, len, e);
    secret_wipe(pass, sizeof pass);
    key_recovery_wipe(&k);
    return rc;
}

static int unprotect(struct buf *b, const char *from, const struct options *o, struct err *e)
{
    struct key_recovery k;
    int rc = cmd_key_secret(&k, from, o->passphrase_file, e);

    if (rc == 0)
        rc = key_recovery_write(b, &k, e);
    key_recovery_wipe(&k);
    return rc;
}

static int run(const struct opt_program *program, int argc, char **argv,
               int (*convert)(struct buf *, const char *, const struct options *, struct err *),
               const char *advice)
{
    const struct msg m = {program->name, MSG_NORMAL, false};
    struct options o = {0};
    const struct opt_set set = {"Options", options, sizeof options / sizeof options[0],
                                &o,        NULL,    NULL};
    struct opt_args args;
    struct err e = {0};
    struct buf b;
    int status;
    int rc;

    if (command_parse(program, &set, 1, argc, argv, &args, &status) != 0)
        return status;
    buf_init(&b, KEY_FILE_MAX);
    if (o.out == NULL)
        rc = err_set(&e, ERR_USAGE, "--out is missing");
    else
        rc = secret_start(&e) == 0 ? convert(&b, args.v[0], &o, &e) : -1;
    if (rc == 0)
        rc = cmd_key_put(o.out, &b, 0600, &e);
    if (b.p != NULL)
        secret_wipe(b.p, b.len);
    buf_fini(&b);
    if (rc != 0)
        return command_fail(&m, &e);
    msg_note(&m, "%s", advice);
    return STATUS_OK;
}

int cmd_key_protect(int argc, char **argv)
{
    return run(
        &protect_program, argc, argv, protect,
        "done; without the passphrase nobody opens it, you neither. Try it with \"walden key "
        "check\", then remove the original");
}

int cmd_key_open(int argc, char **argv)
{
    return run(&open_program, argc, argv, unprotect,
               "done; remove the opened key when it is not needed any more");
}

/*
 * walden key: makes, shows, checks and protects keys.
 */
#include "cmd_key.h"

#include <string.h>

#include "object/passphrase.h"
#include "os/file.h"
#include "os/host.h"
#include "os/tty.h"

static const struct command table[] = {
    {"new", cmd_key_new, "make a key for another host, or a further recovery key"},
    {"show", cmd_key_show, "show what a key file is, without its secrets"},
    {"check", cmd_key_check, "do the keys belong together, and does the secret key open objects?"},
    {"protect", cmd_key_protect, "put a recovery key under a passphrase"},
    {"open", cmd_key_open, "take the passphrase off a recovery key"},
    {"add-recipient", cmd_key_add_recipient, "seal to a further recovery key from now on"},
};
enum { N_TABLE = sizeof table / sizeof table[0] };

static const struct opt_program program = {
    .name = "walden key",
    .operands = "COMMAND [ARGUMENT]...",
    .summary = "make, show, check and protect keys",
    .examples = "walden key check --secret-key /media/usb/recovery.key\n"
                "walden key show /etc/walden/host.key\n"
                "walden key new --host standby1 --out /root/standby1.key\n"
                "walden key protect recovery.key --out recovery.locked\n",
    .exits = COMMAND_EXITS,
    .args_min = 1,
    .args_max = OPT_ARGS_MAX,
    .stop_at_arg = true,
};

int cmd_key_passphrase(const char *pass_file, bool is_new, char *out, size_t *len, struct err *e)
{
    char again[PASSPHRASE_MAX + 1];
    size_t again_len = 0;
    char *text = NULL;
    int rc;

    if (pass_file != NULL) {
        rc = os_read_secret(pass_file, PASSPHRASE_MAX + 1, &text, len, e);
        if (rc > 0)
            return err_set(e, ERR_USAGE, "passphrase file \"%s\" does not exist", pass_file);
        if (rc < 0)
            return -1;
        *len = strcspn(text, "\r\n");
        if (*len > PASSPHRASE_MAX)
            *len = PASSPHRASE_MAX;
        memcpy(out, text, *len);
        out[*len] = '\0';
        os_wipe_free(text, strlen(text));
        return 0;
    }
    rc = os_tty_secret("Passphrase: ", out, PASSPHRASE_MAX + 1, len, e);
    if (rc == 0 && is_new)
        rc = os_tty_secret("The same again: ", again, sizeof again, &again_len, e);
    if (rc == OS_ABSENT) {
        (void)err_set(e, ERR_USAGE, "a passphrase is needed, and there is no terminal to ask at");
        return err_hint(e, "Give --passphrase-file.");
    }
    if (rc == 0 && is_new && (again_len != *len || memcmp(again, out, *len) != 0))
        rc = err_set(e, ERR_USAGE, "the two passphrases differ");
    secret_wipe(again, sizeof again);
    return rc;
}

int cmd_key_secret(struct key_recovery *k, const char *path, const char *pass_file, struct err *e)
{
    char pass[PASSPHRASE_MAX + 1];
    char *text = NULL;
    size_t len = 0;
    size_t pass_len = 0;
    int rc = os_read_secret(path, KEY_FILE_MAX, &text, &len, e);

    if (rc > 0)
        return err_set(e, ERR_KEY, "secret key \"%s\" does not exist", path);
    if (rc == 0)
        rc = key_recovery_read(k, text, len, path, e);
    if (rc == KEY_PROTECTED) {
        rc = cmd_key_passphrase(pass_file, false, pass, &pass_len, e);
        if (rc == 0)
            rc = passphrase_open(k, text, len, path, pass, pass_len, e);
        secret_wipe(pass, sizeof pass);
    }
    os_wipe_free(text, len);
    return rc;
}

int cmd_key_repo(struct repo *r, const struct settings *s, unsigned use, const char *pass_file,
                 struct err *e)
{
    struct key_recovery secret;
    int rc;

    if (secret_start(e) != 0)
        return -1;
    if (s->secret_key == NULL)
        return repo_open(r, s, use, e);
    if (cmd_key_secret(&secret, s->secret_key, pass_file, e) != 0)
        return -1;
    rc = repo_open_with(r, s, use, &secret, e);
    key_recovery_wipe(&secret);
    return rc;
}

int cmd_key_owner(const struct repo *r, struct place_owner *owner, struct err *e)
{
    struct stat st;

    *owner = (struct place_owner){0};
    if (os_uid() != 0)
        return 0;
    if (os_stat_fd(r->store.root.fd, &st, r->store.root.path, e) != 0)
        return -1;
    *owner = (struct place_owner){true, st.st_uid, st.st_gid};
    return 0;
}

int cmd_key_put(const char *path, struct buf *b, mode_t mode, struct err *e)
{
    const struct place_owner self = {0};
    char where[PLACE_MAX];
    int rc = place_absolute(where, path, e);

    if (rc == 0)
        rc = place_put(where, b->p, b->len, mode, false, &self, e);
    return rc < 0 ? -1 : 0;
}

int cmd_key(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    const struct command *command;
    struct opt_args args = {.next = argc};
    struct err e = {0};
    int status;

    if (argc == 2 && (strcmp(argv[1], "--man") == 0 || strcmp(argv[1], "--help") == 0 ||
                      strcmp(argv[1], "-?") == 0))
        return command_print_help(&program, NULL, 0, table, N_TABLE, argv[1][2] == 'm');
    if (command_parse(&program, NULL, 0, argc, argv, &args, &status) != 0)
        return status;
    command = command_find(table, N_TABLE, args.v[0], &e);
    if (command == NULL)
        return command_fail(&m, &e);
    return command->run(argc - args.next + 1, argv + args.next - 1);
}

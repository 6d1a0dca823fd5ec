/*
 * walden: the catalog and everything a person types.  Called walden-basebackup, it is that program.
 */
#include <string.h>

#include "base/version.h"
#include "basebackup/basebackup.h"
#include "command.h"
#include "os/harden.h"
#include "os/signal.h"

static const struct command commands[] = {
    {"init", cmd_init,
     "make a repository, bind a server to it, make keys, write the configuration"},
    {"backup", basebackup_main, "take a base backup of the running server now"},
    {"dump", cmd_dump, "dump databases with pg_dump into the repository"},
    {"get", cmd_get, "write a dump as a file for pg_restore or psql"},
    {"undump", cmd_undump, "restore a dump, into a new database or in the place of the old one"},
    {"key", cmd_key, "make, show, check and protect keys"},
    {"list", cmd_list, "show what the repository holds, with every hole and damage"},
    {"find", cmd_find, "show what happened to tables, and how to go back to just before it"},
    {"window", cmd_window, "show to which moments you can go back, with every gap"},
    {"restore", cmd_restore, "bring a cluster back as it was at a moment"},
    {"rescue", cmd_rescue, "get one table back as it was before an accident"},
    {"drill", cmd_drill, "rehearse a restore, check the copy, record what was found"},
    {"expire", cmd_expire, "remove backups and WAL that no rule keeps, with a reason for each"},
    {"keep", cmd_keep, "pin a backup, so that it never expires; list and release pins"},
    {"copy", cmd_copy, "keep a whole, proven copy of the repository on another disk"},
    {"export", cmd_export, "write a backup as plain files, for stock PostgreSQL"},
    {"check", cmd_check, "say whether all is well, what is not, and what to type next"},
    {"doctor", cmd_doctor, "prove that WAL is archived and comes back, and say what is wrong"},
    {"verify", cmd_verify, "read everything back and check every WAL record"},
    {"run", cmd_run, "do all of this by the clock, where there is no cron or systemd"},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

const struct command *command_table(size_t *n)
{
    *n = N_COMMANDS;
    return commands;
}

static const struct opt_program program = {
    .name = "walden",
    .operands = "COMMAND [ARGUMENT]...",
    .summary = "PostgreSQL archiving and point-in-time recovery: the catalog.",
    .examples = "walden init --repo /srv/backup --apply      then restart the server\n"
                "walden backup\n"
                "walden check                                is all well?\n"
                "walden window                               until when can I go back?\n"
                "walden find --drop orders                   what happened to it, and when?\n"
                "walden restore -D /srv/copy --before-drop orders --start\n"
                "walden restore --help                       more of one command\n",
    .exits = COMMAND_EXITS,
    .args_min = 1,
    .args_max = OPT_ARGS_MAX,
    .stop_at_arg = true,
};

/* By the last part of the name, as a link gives it. */
static bool is_called(const char *path, const char *name)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');

    return path != NULL && strcmp(slash == NULL ? path : slash + 1, name) == 0;
}

int main(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    const struct command *command;
    struct opt_args args = {.next = argc};
    struct err e = {0};
    int rc = -1;

    os_harden();
    os_signal_catch(OS_SIGNAL_ALL);
    if (is_called(argv[0], "walden-basebackup"))
        return basebackup_main(argc, argv);
    if (argc == 2 && strcmp(argv[1], "--man") == 0)
        return command_print_help(&program, NULL, 0, commands, N_COMMANDS, true);
    if (argc < 2)
        (void)err_set(&e, ERR_USAGE, "no command was given");
    else
        rc = opt_parse(&program, NULL, 0, argc, argv, &args, &e);
    if (rc == OPT_HELP)
        return command_print_help(&program, NULL, 0, commands, N_COMMANDS, false);
    if (rc == OPT_VERSION)
        return command_print("walden " WALDEN_VERSION "\n", strlen("walden " WALDEN_VERSION "\n"),
                             &e) == 0
                   ? STATUS_OK
                   : command_fail(&m, &e);
    if (rc != 0) {
        (void)err_hint(&e, "Try \"walden --help\" for a list of commands.");
        return command_fail(&m, &e);
    }
    command = command_find(commands, N_COMMANDS, args.v[0], &e);
    if (command == NULL)
        return command_fail(&m, &e);
    return command->run(argc - args.next + 1, argv + args.next - 1);
}

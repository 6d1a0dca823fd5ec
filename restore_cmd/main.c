/*
 * walden-restore: PostgreSQL's restore_command.  See DESIGN.md beside this file.
 *
 * The server takes exit status 1 to 125 for "there is no such file" and opens the database.  So 1
 * is said only for proven absence, and every kind of trouble is above 125.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/answer.h"
#include "base/msg.h"
#include "base/opt.h"
#include "os/harden.h"
#include "os/signal.h"
#include "repo/settings.h"
#include "restore_cmd/fetch.h"

static const struct opt_program program = {
    .name = "walden-restore",
    .operands = "NAME DEST",
    .summary = "fetch one WAL file from the repository, checked whole before it is visible",
    .examples = "restore_command = 'walden-restore %f \"%p\"'      in postgresql.conf\n"
                "walden-restore 000000010000000000000007 /tmp/seg  by hand\n",
    .exits =
        "0    the file is at DEST, proven whole\n"
        "1    the file is not in the archive, and nothing there needs it: the end of WAL\n"
        "200  a hole: the file is missing, but later ones are there\n"
        "201  the stored file is damaged\n"
        "202  a key is missing or wrong\n"
        "203  the repository is not there, or could not be read\n"
        "204  refused: another repository or cluster, or an object that is not to be trusted\n"
        "205  wrong usage or configuration\n"
        "206  the deadline passed\n"
        "207  interrupted, or an internal error\n"
        "On a standby (standby.signal in the working directory) what streaming may still cure\n"
        "(200, 201, 203, 206) becomes 1 after some tries, with a warning.\n",
    .args_min = 2,
    .args_max = 2,
    .shows = SETTINGS_RESTORE,
};

int main(int argc, char **argv)
{
    static struct settings settings;
    struct msg msg = {"walden-restore", MSG_NORMAL, false};
    struct opt_set sets[1];
    struct opt_args args;
    struct err e = {0};
    int rc;

    os_harden();
    os_signal_hold(OS_SIGNAL_BUT_TERM);
    settings_init(&settings);
    sets[0] = settings_options(&settings);
    rc = opt_parse(&program, sets, 1, argc, argv, &args, &e);
    if (rc > 0)
        return answer(&program, sets, 1, rc) == 0 ? 0 : 207; /* 1 would mean something */
    if (rc == 0)
        rc = settings_load(&settings, environ, SETTINGS_HOOK, &e);
    if (rc == 0) {
        for (size_t i = 0; i < settings.warnings.n; i++)
            msg_warn(&msg, "%s", settings.warnings.v[i]);
        rc = fetch(&settings, args.v[0], args.v[1], &msg, &e);
    }
    settings_fini(&settings);
    if (rc >= 0)
        return rc;
    msg_error(&msg, &e);
    return fetch_exit_status(&e);
}

/*
 * walden-archive: PostgreSQL's archive_command.  See DESIGN.md beside this file.
 *
 * Exit status 0 means that the file is on stable storage.  Everything else is 1 to 125: the server
 * takes more, or death by a signal, for a crash and restarts its archiver uncounted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive_cmd/push.h"
#include "base/answer.h"
#include "base/msg.h"
#include "base/opt.h"
#include "os/harden.h"
#include "os/signal.h"
#include "repo/settings.h"

static const struct opt_program program = {
    .name = "walden-archive",
    .operands = "PATH",
    .summary = "store one WAL file in the repository, proven and durable",
    .examples = "archive_command = 'walden-archive %p'          in postgresql.conf\n"
                "archive_command = 'walden-archive --config /etc/walden/db2.conf %p'\n"
                "walden-archive pg_wal/000000010000000000000007  by hand, in the data directory\n",
    .exits = "0    the file is on stable storage, or the same content already was\n"
             "1    an input or output error; the server tries again\n"
             "2    wrong usage or configuration\n"
             "3    the repository is not there (unmounted, no marker)\n"
             "4    refused: not the file its name says, other content, another cluster or\n"
             "     repository\n"
             "5    a key is missing or wrong\n"
             "6    the deadline passed\n"
             "7    interrupted by a signal\n"
             "8    the stored copy is damaged\n"
             "9    an internal error\n",
    .args_min = 1,
    .args_max = 1,
    .shows = SETTINGS_ARCHIVE,
};

int main(int argc, char **argv)
{
    static struct settings settings;
    struct msg msg = {"walden-archive", MSG_NORMAL, false};
    struct opt_set sets[1];
    struct opt_args args;
    struct err e = {0};
    int rc;

    os_harden();
    os_signal_hold(OS_SIGNAL_ALL);
    settings_init(&settings);
    sets[0] = settings_options(&settings);
    rc = opt_parse(&program, sets, 1, argc, argv, &args, &e);
    if (rc > 0)
        return answer(&program, sets, 1, rc);
    if (rc == 0)
        rc = settings_load(&settings, environ, SETTINGS_HOOK, &e);
    if (rc == 0) {
        for (size_t i = 0; i < settings.warnings.n; i++)
            msg_warn(&msg, "%s", settings.warnings.v[i]);
        rc = push(&settings, args.v[0], &msg, &e);
    }
    if (rc != 0)
        msg_error(&msg, &e);
    settings_fini(&settings);
    return rc == 0 ? 0 : push_exit_status(&e);
}

/*
 * walden backup: runs walden-basebackup, which lies beside this program.
 */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "os/proc.h"
#include "os/signal.h"
#include "place.h"

/* Waits for its end.  A terminal sends its signals to both; the others are passed on, since a
 * service manager may send them to us alone. */
static int wait_for(struct os_proc *proc, struct err *e)
{
    for (;;) {
        int sig;

        if (os_proc_wait(proc, 0, e) == 0)
            return proc->signal == 0 ? proc->exit_code : (int)STATUS_PROBLEM;
        sig = os_signal_got();
        if (e->code != ERR_INTERRUPTED || sig == 0)
            return -1;
        if (sig != SIGINT && sig != SIGQUIT)
            os_proc_kill(proc, sig);
        os_signal_forget();
        err_clear(e);
    }
}

static int run(int argc, char **argv, struct err *e)
{
    const char **args = calloc((size_t)argc + 1, sizeof *args);
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc proc = OS_PROC_INIT;
    char program[PLACE_MAX];
    int status = -1;

    if (args == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    (void)place_program(program, "walden-basebackup"); /* its bare name is looked up in PATH */
    args[0] = program;
    for (int i = 1; i < argc; i++)
        args[i] = argv[i];
    spec.argv = args;
    spec.die_with_us = true;
    if (os_proc_spawn(&proc, &spec, e) == 0) {
        status = wait_for(&proc, e);
        if (proc.signal != 0)
            status = err_set(e, ERR_INTERNAL, "%s was killed by %s", program,
                             os_signal_name(proc.signal));
        os_proc_fini(&proc);
    } else if (e->code == ERR_IO) {
        (void)err_hint(e, "walden-basebackup belongs beside walden.");
    }
    free(args);
    return status;
}

int cmd_backup(int argc, char **argv)
{
    const struct msg m = {"walden backup", MSG_NORMAL};
    struct err e = {0};
    int status = run(argc, argv, &e);

    return status >= 0 ? status : command_fail(&m, &e);
}

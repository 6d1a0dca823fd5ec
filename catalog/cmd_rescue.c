/*
 * walden rescue: one table as it was before an accident.
 *
 * The whole cluster is restored to just before it, into a scratch directory, with a server of its
 * own on a private socket; pg_dump takes the table out, and everything else is removed again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "finder.h"
#include "os/signal.h"
#include "rescue.h"
#include "restore_server.h"
#include "survey.h"

static int take_kind(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct rescue_options *mine = into;

    (void)text;
    if (mine->kinds != 0)
        return err_set(e, ERR_USAGE, "only one of --before-drop and its like can be given");
    if (strcmp(o->name, "before_truncate") == 0)
        mine->kinds = 1U << FIND_TRUNCATE;
    else if (strcmp(o->name, "before_deletes") == 0)
        mine->kinds = 1U << FIND_DELETE;
    else
        mine->kinds = 1U << FIND_DROP | 1U << FIND_DROP_DATABASE;
    return 0;
}

#define MINE(field) .offset = offsetof(struct rescue_options, field)

static const struct opt options[] = {
    {.name = "before_drop",
     .kind = OPT_CALL,
     .call = take_kind,
     .help = "the table as it was just before it, or its database, was dropped"},
    {.name = "before_truncate",
     .kind = OPT_CALL,
     .call = take_kind,
     .help = "the table as it was just before it was truncated"},
    {.name = "before_deletes",
     .kind = OPT_CALL,
     .call = take_kind,
     .help = "the table as it was before many of its rows were deleted or updated at once"},
    {.name = "database",
     .kind = OPT_TEXT,
     .arg = "NAME",
     MINE(database),
     .help = "the database that the table was in, where more than one has such a table"},
    {.name = "output",
     .letter = 'o',
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(output),
     .help =
         "write the dump there, for pg_restore, and not into the repository; it must not exist"},
    {.name = "scratch",
     .kind = OPT_TEXT,
     .arg = "DIR",
     MINE(scratch),
     .help = "a directory with room for the whole cluster, for a while (default: state_dir, else "
             "TMPDIR, else /tmp)"},
    {.name = "backup",
     .kind = OPT_TEXT,
     .arg = "LABEL",
     MINE(backup),
     .help = "this backup and no other (default: the newest that can reach the moment)"},
    {.name = "owner",
     .kind = OPT_TEXT,
     .arg = "USER",
     MINE(owner),
     .help = "as root: who runs the server (default: the owner of the scratch directory)"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
};

static const struct opt_program program = {
    .name = "walden rescue",
    .operands = "TABLE",
    .summary = "get one table back as it was before an accident",
    .examples =
        "walden rescue orders --before-drop         a dump in the repository: its label is shown\n"
        "walden get LABEL -o - | pg_restore -d shop   puts it back\n"
        "walden rescue sales.items --before-truncate --database shop -o items.dump\n",
    .exits = "0    done, the dump is there and can be read\n"
             "1    the moment cannot be reached, something is damaged, or the job failed\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety: more than one table is meant, FILE exists, no room\n"
             "130  interrupted; nothing is left\n",
    .args_min = 1,
    .args_max = 1,
};

/* --- the copy --- */

/* The copy of the cluster, up to the moment. */
static int copy(struct rescue *x, struct err *e)
{
    struct restore *r = x->r;

    if (restore_place(r, e) != 0 || restore_look(r, e) != 0)
        return -1;
    /* Tablespaces come into the scratch directory, too. */
    if (scratch_map_spaces(&x->scratch, &r->unpack, e) != 0 || restore_check(r, e) != 0 ||
        restore_show(r, e) != 0)
        return -1;
    r->printed = true;
    return restore_copy(r, e) == 0 && restore_finish(r, e) == 0 ? 0 : -1;
}

static int check(const struct find_candidate *c, struct err *e)
{
    if (c->database != NULL && (c->name != NULL || c->oid != 0))
        return 0;
    (void)err_set(e, ERR_REFUSED, "which table it was is not known");
    return err_hint(e, "Restore the cluster to that moment instead: walden restore --before-drop.");
}

/* With the scratch directory in hand. */
static int in_scratch(struct rescue *x, struct err *e)
{
    char proof[RESTORE_PROOF_TEXT];
    int rc;

    restore_server_init(&x->server);
    x->server.ours = true;
    (void)snprintf(x->server.dir, sizeof x->server.dir, "%s", x->scratch.run);
    rc = copy(x, e);
    if (rc == 0)
        rc = scratch_own_run(&x->scratch, &x->r->owner, e);
    if (rc == 0)
        rc = restore_server_start(x->r, &x->server, e);
    if (rc == 0)
        rc = restore_server_wait(&x->server, e);
    if (rc == 0)
        rc = restore_before_prove(x->r, &x->server, proof, e);
    if (rc == 0 && proof[0] != '\0')
        printf("proven   %s\n", proof);
    if (rc == 0)
        rc = x->o->output != NULL ? rescue_dump(x, e) : rescue_store(x, e);
    restore_server_stop(&x->server);
    restore_server_fini(&x->server);
    return rc;
}

/* The exit status, or -1. */
static int run(struct rescue *x, struct err *e)
{
    struct restore *r = x->r;
    struct err why = {0};
    int rc;

    if ((x->o->output != NULL && rescue_output(x, e) != 0) ||
        scratch_open(&x->scratch, x->o->scratch, r->s, e) != 0 || restore_target(r, e) != 0 ||
        restore_open(r, e) != 0 || (x->o->output == NULL && rescue_may_store(x, e) != 0) ||
        restore_before(r, e) != 0 || check(restore_before_what(r), e) != 0 ||
        restore_plan(r, e) != 0 || scratch_make(&x->scratch, "rescue", e) != 0)
        return -1;
    r->o->directory = x->scratch.data;
    rc = in_scratch(x, e);
    os_signal_forget(); /* also who is interrupted cleans up */
    if (scratch_remove(&x->scratch, &why) != 0)
        msg_warn_err(r->m, &why);
    return rc == 0 ? STATUS_OK : -1;
}

static int with_settings(const struct msg *m, struct settings *s, const struct rescue_options *o,
                         const char *table, struct err *e)
{
    struct restore_options mine = {.directory = "",
                                   .action = RESTORE_PROMOTE,
                                   .before_table = table,
                                   .before_kinds = o->kinds,
                                   .database = o->database,
                                   .backup = o->backup,
                                   .owner = o->owner,
                                   .passphrase_file = o->passphrase_file};
    struct rescue *x = calloc(1, sizeof *x);
    int status = -1;

    restore_maps_init(&mine.maps, RESTORE_MAPS_MAX);
    if (x == NULL)
        return err_set(e, ERR_NOMEM, "no memory to rescue with");
    x->o = o;
    x->r = restore_new(m, s, &mine, e);
    scratch_init(&x->scratch, m);
    restore_server_init(&x->server);
    x->out = (struct os_root)OS_ROOT_INIT;
    if (o->kinds == 0) {
        (void)err_set(e, ERR_USAGE,
                      "--before-drop, --before-truncate or --before-deletes is "
                      "missing: before what?");
        (void)err_hint(e,
                       "For example \"walden rescue %.100s --before-drop\"; \"walden find\" "
                       "shows what happened.",
                       table);
    } else if (x->r != NULL)
        status = run(x, e);
    scratch_fini(&x->scratch);
    os_root_close(&x->out);
    if (x->r != NULL)
        restore_free(x->r);
    free(x);
    for (size_t i = 0; i < mine.maps.n; i++) {
        free(mine.maps.v[i].from);
        free(mine.maps.v[i].to);
    }
    restore_maps_fini(&mine.maps);
    return status;
}

static int body(const struct command_call *c, struct err *e)
{
    return with_settings(c->m, c->s, c->mine, c->operand, e);
}

int cmd_rescue(int argc, char **argv)
{
    struct rescue_options mine = {0};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}

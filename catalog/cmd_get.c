/*
 * walden get: a dump as a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "dump_open.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/publish.h"
#include "os/root.h"
#include "pg/dumpfile.h"
#include "place.h"

struct options {
    const char *output;
    const char *stream;
    const char *at;
    const char *passphrase_file;
};

#define AT(field) offsetof(struct options, field)

static const struct opt options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = AT(output),
     .help = "where it goes, - for standard output (default: NAME.dump or .sql here)"},
    {.name = "stream",
     .kind = OPT_TEXT,
     .arg = "NAME",
     .offset = AT(stream),
     .help = "which database, or globals for roles and tablespaces"},
    {.name = "at",
     .kind = OPT_TEXT,
     .arg = "TIME",
     .offset = AT(at),
     .help = "the newest dump of the job that was taken at that time or before it; without an "
             "offset, the time of this host"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = AT(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
};

static const struct opt_program program = {
    .name = "walden get",
    .operands = "LABEL",
    .summary = "write a dump as a file that pg_restore or psql reads",
    .examples = "walden get shop                         the newest dump of the job, as shop.dump\n"
                "walden get 20260221T030000Z-17 -o - | pg_restore --list\n"
                "walden get shop --at '2026-02-21 03:00' as it was then\n"
                "walden get shop --stream globals -o -   roles and tablespaces\n",
    .exits = "0    written, and every byte proven\n"
             "1    the dump is damaged, or the file could not be written\n"
             "2    wrong command line or configuration, no such dump\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety: the file exists\n"
             "130  interrupted\n",
    .args_min = 1,
    .args_max = 1,
};

/* --- where it goes --- */

struct target {
    struct sink sink;
    bool is_stdout;
    struct os_root root;
    struct publish publish;
    char path[PLACE_MAX];
    char dir[PLACE_MAX];
};

static int target_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct target *t = (struct target *)s;

    if (t->is_stdout)
        return os_write_full(STDOUT_FILENO, bytes, len, "standard output", e);
    return publish_write(&t->publish, bytes, len, e);
}

static int target_finish(struct sink *s, struct err *e)
{
    struct target *t = (struct target *)s;
    int rc;

    if (t->is_stdout)
        return 0;
    rc = publish_commit(&t->publish, e);
    if (rc > 0) {
        (void)err_set(e, ERR_REFUSED, "file \"%s\" exists", t->path);
        return err_hint(e, "Give another name with -o.");
    }
    return rc;
}

static void target_abort(struct sink *s)
{
    publish_abort(&((struct target *)s)->publish);
}

static const struct sink_ops target_ops = {"file", target_write, target_finish, target_abort};

static int open_target(struct target *t, const char *output, const struct dump_stream *s,
                       const struct msg *m, struct err *e)
{
    char above[PLACE_MAX];
    struct publish_opts how = {.flags = PUBLISH_LOCKED_RENAME, .mode = 0600};
    struct stat st;
    const char *name;
    char made[DUMP_NAME_MAX + 8];

    sink_init(&t->sink, &target_ops, PHASE_DELIVER);
    if (output != NULL && strcmp(output, "-") == 0) {
        t->is_stdout = true;
        return 0;
    }
    if (output == NULL) {
        if (strchr(s->name, '/') != NULL || s->name[0] == '.')
            return err_set(e, ERR_USAGE, "give the file's name with -o");
        (void)snprintf(made, sizeof made, "%s.%s", s->name,
                       s->format == DUMPFILE_CUSTOM ? "dump" : "sql");
        output = made;
    }
    if (place_absolute(t->path, output, e) != 0)
        return -1;
    name = place_split(t->dir, t->path);
    if (os_stat(t->path, &st, e) == 0) {
        (void)err_set(e, ERR_REFUSED, "file \"%s\" exists", t->path);
        return err_hint(e, "Give another name with -o.");
    }
    if (os_root_open(&t->root, t->dir, e) != 0)
        return err_set(e, ERR_IO, "directory \"%s\" does not exist", t->dir);
    if (place_find_above(t->dir, ".git", above))
        msg_warn(m, "\"%s\" lies in the working tree of git \"%s\": a commit would publish it",
                 t->path, above);
    return publish_begin(&t->publish, &t->root, ".", name, &how, e);
}

static int get(const struct settings *s, const struct options *o, const char *label,
               const struct msg *m, struct err *e)
{
    struct dump_open *d = calloc(1, sizeof *d);
    struct target *t = calloc(1, sizeof *t);
    uint32_t stream = 0;
    int rc = -1;

    if (d == NULL || t == NULL) {
        (void)err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    t->root = (struct os_root)OS_ROOT_INIT;
    t->publish = (struct publish)PUBLISH_INIT;
    if (dump_open(d, s, label, o->at, o->passphrase_file, e) == 0 &&
        dump_open_stream(d, o->stream, &stream, e) == 0 &&
        open_target(t, o->output, &d->get.meta.streams.v[stream], m, e) == 0)
        rc = dump_get_stream(&d->get, stream, &t->sink, e);
    if (rc == 0 && !t->is_stdout)
        msg_note(m, "%s/%s: %s is in \"%s\"", d->item.job, d->item.label,
                 d->get.meta.streams.v[stream].name, t->path);
    if (rc != 0 && t->is_stdout)
        (void)err_hint(e, "What was written so far must not be used.");
    publish_abort(&t->publish);
    os_root_close(&t->root);
    dump_close(d);
out:
    free(t);
    free(d);
    return rc;
}

int cmd_get(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings settings;
    struct options mine = {0};
    struct opt_set sets[2];
    struct opt_args args;
    struct err e = {0};
    int status;

    settings_init(&settings);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = settings_options(&settings);
    if (command_parse(&program, sets, 2, argc, argv, &args, &status) == 0) {
        status = STATUS_OK;
        if (command_settings(&settings, &m, &e) != 0 || secret_start(&e) != 0 ||
            get(&settings, &mine, args.v[0], &m, &e) != 0)
            status = command_fail(&m, &e);
    }
    settings_fini(&settings);
    return status;
}

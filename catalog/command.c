#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "base/version.h"
#include "os/file.h"
#include "os/host.h"
#include "os/tty.h"

enum { HELP_MAX = 64 * 1024, JOBS_AUTO_MAX = 4 };

const struct command *command_find(const struct command *table, size_t n, const char *name,
                                   struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, name);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
        text_closest_try(&near, table[i].name);
    }
    (void)err_set(e, ERR_USAGE, "unknown command \"%.80s\"", name);
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean \"%s\"?", near.best);
    (void)err_hint(e, "Try \"walden --help\" for a list.");
    return NULL;
}

int command_list(const struct command *table, size_t n, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (buf_fmt(out, e, "  %-14s %s\n", table[i].name, table[i].summary) != 0)
            return -1;
    return 0;
}

int command_status(const struct err *e)
{
    switch (e->code) {
    case ERR_NONE:
        return STATUS_OK;
    case ERR_USAGE:
    case ERR_CONFIG:
        return STATUS_USAGE;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
        return STATUS_CANNOT_TELL;
    case ERR_REFUSED:
        return STATUS_REFUSED;
    case ERR_INTERRUPTED:
        return STATUS_INTERRUPTED;
    case ERR_IO:
    case ERR_NOMEM:
    case ERR_DAMAGED:
    case ERR_KEY:
    case ERR_HOLE:
    case ERR_INTERNAL:
        break;
    }
    return STATUS_PROBLEM;
}

struct msg command_msg(const struct opt_program *prog, int argc, char *const *argv)
{
    return (struct msg){prog->name, MSG_NORMAL, opt_is_given(argc, argv, "json")};
}

int command_fail(const struct msg *m, const struct err *e)
{
    msg_fail(m, e);
    return command_status(e);
}

int command_print(const char *text, size_t len, struct err *e)
{
    if (fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0)
        return 0;
    return err_set(e, ERR_IO, "could not write to standard output");
}

static int list_as_man(const struct command *table, size_t n, struct buf *out, struct err *e)
{
    if (buf_str(out, ".SH COMMANDS\n", e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (buf_fmt(out, e, ".TP\n\\fB%s\\fR\n%s.\n", table[i].name, table[i].summary) != 0)
            return -1;
    return buf_str(out, "Each has its own \\fB\\-\\-help\\fR.\n", e);
}

int command_print_help(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
                       const struct command *table, size_t n, bool man)
{
    const struct msg m = {prog->name, MSG_NORMAL, false};
    struct err e = {0};
    struct buf b;
    int rc;

    buf_init(&b, HELP_MAX);
    rc = man ? opt_man(prog, sets, n_sets, WALDEN_VERSION, WALDEN_DATE, &b, &e)
             : opt_help(prog, sets, n_sets, &b, &e);
    if (rc == 0 && table != NULL && man)
        rc = list_as_man(table, n, &b, &e);
    else if (rc == 0 && table != NULL)
        rc = buf_str(&b, "\nCommands (each has its own --help):\n", &e) == 0
                 ? command_list(table, n, &b, &e)
                 : -1;
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, &e);
    buf_fini(&b);
    return rc == 0 ? STATUS_OK : command_fail(&m, &e);
}

int command_parse(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
                  int argc, char **argv, struct opt_args *args, int *status)
{
    const struct msg m = command_msg(prog, argc, argv);
    struct err e = {0};
    int rc;

    /* Not for people, and in no help: how the manual pages are made. */
    if (argc == 2 && strcmp(argv[1], "--man") == 0) {
        *status = command_print_help(prog, sets, n_sets, NULL, 0, true);
        return 1;
    }
    rc = opt_parse(prog, sets, n_sets, argc, argv, args, &e);
    if (rc == 0)
        return 0;
    if (rc == OPT_HELP)
        *status = command_print_help(prog, sets, n_sets, NULL, 0, false);
    else if (rc == OPT_VERSION)
        *status = command_print("walden " WALDEN_VERSION "\n",
                                strlen("walden " WALDEN_VERSION "\n"), &e) == 0
                      ? STATUS_OK
                      : command_fail(&m, &e);
    else
        *status = command_fail(&m, &e);
    return 1;
}

int command_run(const struct opt_program *prog, const struct opt_set *own, size_t n_own,
                command_body *body, int argc, char **argv)
{
    const struct msg m = command_msg(prog, argc, argv);
    struct opt_set sets[COMMAND_SETS_MAX + 1];
    struct settings settings;
    struct opt_args args = {.n = 0};
    struct err e = {0};
    int status;

    settings_init(&settings);
    memcpy(sets, own, n_own * sizeof *sets);
    sets[n_own] = settings_options(&settings);
    if (command_parse(prog, sets, n_own + 1, argc, argv, &args, &status) == 0) {
        struct command_call c = {
            .m = &m, .s = &settings, .mine = own[0].into, .operand = args.n > 0 ? args.v[0] : NULL};

        status = command_settings(&settings, &m, &e);
        if (status == 0)
            status = body(&c, &e);
        if (status < 0)
            status = command_fail(&m, &e);
    }
    settings_fini(&settings);
    return status;
}

int command_settings(struct settings *s, const struct msg *m, struct err *e)
{
    return command_settings_as(s, SETTINGS_PROGRAM, m, e);
}

int command_settings_as(struct settings *s, enum settings_reader reader, const struct msg *m,
                        struct err *e)
{
    if (settings_load(s, environ, reader, e) != 0)
        return -1;
    for (size_t i = 0; i < s->warnings.n; i++)
        msg_warn(m, "%s", s->warnings.v[i]);
    return 0;
}

int command_set(struct settings *s, const char *key, const char *value, struct err *e)
{
    struct opt_set set = settings_options(s);

    for (size_t i = 0; i < set.n; i++) {
        if (strcmp(set.opts[i].name, key) != 0)
            continue;
        if (set.assign(s, &set.opts[i], value, e) == 0)
            return 0;
        return err_context(e, "--%s", key);
    }
    return err_set(e, ERR_INTERNAL, "there is no setting \"%s\"", key);
}

unsigned command_jobs(const struct settings *s, unsigned most)
{
    char *text = NULL;
    size_t len = 0;
    struct err quiet = {0};
    uint32_t last = 0;
    unsigned n;

    if (s->jobs == 0 &&
        os_read_small("/sys/devices/system/cpu/online", 4096, &text, &len, &quiet) == 0) {
        char *dash = strrchr(text, '-'); /* "0-3" */

        text[strcspn(text, "\n")] = '\0';
        if (dash == NULL || parse_u32(dash + 1, 0, 4096, &last, &quiet) != 0)
            last = 0;
    }
    free(text);
    n = s->jobs != 0 ? (unsigned)s->jobs : last + 1;
    if (s->jobs == 0 && n > JOBS_AUTO_MAX)
        n = JOBS_AUTO_MAX;
    return n < most ? n : most;
}

unsigned command_width(void)
{
    const char *columns = os_env("COLUMNS");
    struct err quiet = {0};
    uint32_t n = os_tty_width(STDOUT_FILENO);

    if (columns != NULL && parse_u32(columns, 1, 10000, &n, &quiet) != 0)
        n = 0;
    return n == 0 || n > COMMAND_WIDTH ? (unsigned)COMMAND_WIDTH : n;
}

int command_wrap_behind(struct buf *out, const char *lead, const char *text, struct err *e)
{
    size_t indent = strlen(lead);
    size_t column = indent;
    size_t width = command_width();

    if (buf_str(out, lead, e) != 0)
        return -1;
    /* A word that is longer than a line stays whole. */
    for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
        size_t len = strcspn(text, " ");
        bool is_first = column == indent;
        bool fits = is_first || column + 1 + len <= width;

        if ((!fits && buf_fmt(out, e, "\n%*s", (int)indent, "") != 0) ||
            (fits && !is_first && buf_str(out, " ", e) != 0) || buf_add(out, text, len, e) != 0)
            return -1;
        column = (fits ? column + (is_first ? 0 : 1) : indent) + len;
        text += len;
    }
    return buf_str(out, "\n", e);
}

int command_wrap(struct buf *out, unsigned indent, const char *text, struct err *e)
{
    char lead[COMMAND_WIDTH];

    if (*text == '\0')
        return 0;
    (void)snprintf(lead, sizeof lead, "%*s", (int)indent, "");
    return command_wrap_behind(out, lead, text, e);
}

/* The server's archive_command: taken apart, looked at, and run by hand. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "os/file.h"
#include "os/host.h"
#include "os/proc.h"
#include "os/time.h"

enum { COMMAND_US = 45 * 1000 * 1000 };

/* --- words of a shell --- */

static const char special[] = "|&;<>()$`*?[#~{}\n";

/* One word from *p into out, which has room for it: 1, 0 at the end, -1 when only a shell knows. */
static int take_word(const char **p, char **out)
{
    const char *s = *p + strspn(*p, " \t");
    char quote = '\0';
    char *o = *out;

    if (*s == '\0')
        return 0;
    for (; *s != '\0' && (quote != '\0' || (*s != ' ' && *s != '\t')); s++) {
        if (quote == '\0' && (*s == '\'' || *s == '"'))
            quote = *s;
        else if (*s == quote)
            quote = '\0';
        else if (quote == '\0' && strchr(special, *s) != NULL)
            return -1;
        else if (quote == '"' && (*s == '$' || *s == '`'))
            return -1;
        else if (*s == '\\' && quote != '\'' && s[1] != '\0')
            *o++ = *++s;
        else
            *o++ = *s;
    }
    *o++ = '\0';
    *out = o;
    *p = s;
    return quote == '\0' ? 1 : -1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0 && (n == m || text[n - m - 1] == '/');
}

static void find_parts(struct doctor_command *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->program == NULL && ends_with(c->word[i], "walden-archive"))
            c->program = c->word[i];
        else if (strcmp(c->word[i], "--config") == 0 && i + 1 < c->n)
            c->config = c->word[i + 1];
        else if (strncmp(c->word[i], "--config=", 9) == 0)
            c->config = c->word[i] + 9;
    }
    c->simple = c->simple && c->n > 0 && c->program == c->word[0];
}

int doctor_command_parse(struct doctor_command *c, const char *text, struct err *e)
{
    char *out;
    int rc = 0;

    memset(c, 0, sizeof *c);
    c->memory = out = malloc(strlen(text) + DOCTOR_WORDS_MAX + 1);
    if (out == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a command");
    while (c->n < DOCTOR_WORDS_MAX) {
        char *begin = out;

        rc = take_word(&text, &out);
        if (rc <= 0)
            break;
        c->word[c->n++] = begin;
    }
    c->simple = rc == 0;
    find_parts(c);
    return 0;
}

void doctor_command_free(struct doctor_command *c)
{
    free(c->memory);
    memset(c, 0, sizeof *c);
}

/* --- looking --- */

bool doctor_may(const struct doctor *d, const struct stat *st, unsigned bits)
{
    unsigned shift = 0;

    if (d->uid == 0)
        return true;
    if (st->st_uid == d->uid)
        shift = 6;
    else if (st->st_gid == d->gid)
        shift = 3;
    return ((unsigned)st->st_mode >> shift & bits) == bits;
}

static bool look_at_program(struct doctor *d)
{
    const char *path = d->command.program;
    struct err quiet = {0};
    struct stat st;

    if (path[0] != '/') {
        doctor_say(d, "program", JUDGE_WARNING,
                   "walden init --apply writes the command with its whole path",
                   "archive_command names \"%s\" without its place: it works only while the "
                   "server's PATH has it",
                   path);
        return true;
    }
    if (os_stat(path, &st, &quiet) != 0) {
        doctor_say(d, "program", JUDGE_CRITICAL,
                   "install it there (in a container: mount it), or walden init --apply",
                   "archive_command names %s, which is not there: the server cannot run it, and "
                   "does not count that as a failure",
                   path);
        return false;
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0 ||
        (d->owner_known && !doctor_may(d, &st, 1))) {
        doctor_say(d, "program", JUDGE_CRITICAL, "chmod 755 on that file",
                   "%s may not be run by the server's user (mode %04o, uid %lu)", path,
                   (unsigned)st.st_mode & 07777U, (unsigned long)st.st_uid);
        return false;
    }
    doctor_say(d, "program", JUDGE_OK, NULL, "archive_command runs %s, which is there", path);
    return true;
}

static void look_at_config(struct doctor *d)
{
    const char *theirs = d->command.config != NULL ? d->command.config : SETTINGS_FILE;
    const char *mine = d->check->settings->config;
    struct err quiet = {0};
    struct stat st;

    if (os_stat(theirs, &st, &quiet) != 0) {
        if (d->command.config == NULL && mine == NULL)
            return; /* all comes from somewhere else */
        doctor_say(d, "config", JUDGE_CRITICAL, "walden init --apply, or put the file there",
                   "archive_command uses the configuration %s, which is not there", theirs);
        return;
    }
    if (d->owner_known && !doctor_may(d, &st, 4)) {
        doctor_say(d, "config", JUDGE_CRITICAL, "chown or chmod it for the server's user",
                   "the server's user (uid %lu) cannot read the configuration %s (mode %04o, uid "
                   "%lu)",
                   (unsigned long)d->uid, theirs, (unsigned)st.st_mode & 07777U,
                   (unsigned long)st.st_uid);
        return;
    }
    if (mine != NULL && !place_is_same(theirs, mine))
        doctor_say(d, "config", JUDGE_WARNING, "walden doctor --config with the server's file",
                   "the server archives with %s, but this looks at %s", theirs, mine);
    else
        doctor_say(d, "config", JUDGE_OK, NULL, "the server's configuration is %s", theirs);
}

void doctor_look_at_command(struct doctor *d)
{
    if (d->command.program == NULL)
        return; /* "settings" tells it */
    if (d->check->data_dir[0] == '\0') {
        doctor_say(d, "program", JUDGE_UNKNOWN, "run walden doctor on the server's host",
                   "the server is on another host, or in a container: its programs cannot be seen "
                   "from here");
        return;
    }
    if (look_at_program(d))
        look_at_config(d);
}

/* --- running --- */

/* Keeps what a person needs: the lines that say "error:" and "hint:". */
static void keep_lines(char *text)
{
    char *out = text;
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *from = strstr(line, "error: ");
        size_t len;

        if (from == NULL)
            from = strstr(line, "hint: ");
        if (from == NULL)
            continue;
        len = strlen(from);
        if (out != text)
            *out++ = ' ';
        memmove(out, from, len);
        out += len;
    }
    *out = '\0';
}

static void read_all(struct os_proc *p, char *out, size_t cap, int64_t deadline)
{
    struct err quiet = {0};
    size_t used = 0;
    size_t got = 1;

    while (got > 0 && used + 1 < cap && os_wait_fd(p->err, POLLIN, deadline, &quiet) == 0)
        if (os_read(p->err, out + used, cap - 1 - used, &got, "the program", &quiet) != 0)
            break;
        else
            used += got;
    out[used] = '\0';
}

void doctor_run(struct doctor *d, const char *const *argv, bool as_server, struct doctor_run *r)
{
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct os_proc p = OS_PROC_INIT;
    struct err e = {0};
    int64_t began = os_mono_us();
    int64_t deadline = began + (d->patience < COMMAND_US ? d->patience : COMMAND_US);
    int rc;

    memset(r, 0, sizeof *r);
    spec.argv = argv;
    spec.cwd = as_server ? d->check->data_dir : NULL;
    spec.in = OS_PROC_NULL;
    spec.out = OS_PROC_NULL;
    spec.err = OS_PROC_PIPE;
    spec.own_group = true;
    spec.die_with_us = true;
    if (as_server && os_uid() == 0) {
        spec.drop_user = true;
        spec.uid = d->uid;
        spec.gid = d->gid;
    }
    if (os_proc_spawn(&p, &spec, &e) != 0) {
        (void)snprintf(r->said, sizeof r->said, "%s", e.msg);
        os_proc_fini(&p);
        return;
    }
    r->ran = true;
    read_all(&p, r->said, sizeof r->said, deadline);
    keep_lines(r->said);
    rc = os_proc_wait(&p, deadline, &e);
    r->timeout = rc != 0;
    r->exit_code = p.exit_code;
    r->took = os_mono_us() - began;
    if (rc != 0)
        os_proc_kill(&p, SIGKILL);
    os_proc_fini(&p);
}

/* %p and %f as the server replaces them. */
static int expand(struct buf *out, const char *word, const char *segment, struct err *e)
{
    for (; *word != '\0'; word++) {
        int rc;

        if (*word != '%' || word[1] == '\0')
            rc = buf_add(out, word, 1, e);
        else if (*++word == 'p')
            rc = buf_fmt(out, e, "pg_wal/%s", segment);
        else if (*word == 'f')
            rc = buf_str(out, segment, e);
        else
            rc = buf_add(out, word, 1, e);
        if (rc != 0)
            return -1;
    }
    return buf_add(out, "", 1, e);
}

bool doctor_archive(struct doctor *d, const char *segment, struct doctor_run *r)
{
    const char *argv[DOCTOR_WORDS_MAX + 1] = {NULL};
    size_t at[DOCTOR_WORDS_MAX];
    struct err e = {0};
    struct buf text;
    bool done = false;

    if (!d->command.simple || d->check->data_dir[0] == '\0' || !d->owner_known ||
        (os_uid() != 0 && os_uid() != d->uid))
        return false;
    buf_init(&text, 64 * 1024);
    for (size_t i = 0; i < d->command.n; i++) {
        at[i] = text.len;
        if (expand(&text, d->command.word[i], segment, &e) != 0)
            goto out;
    }
    for (size_t i = 0; i < d->command.n; i++)
        argv[i] = (const char *)text.p + at[i];
    doctor_run(d, argv, true, r);
    done = true;
out:
    buf_fini(&text);
    return done;
}

#include "repo/dump_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "repo/settings_value.h"

void dump_job_init(struct dump_job *j, const char *name)
{
    memset(j, 0, sizeof *j);
    j->name = name;
    j->format = DUMPFILE_CUSTOM;
    j->shrink = DUMP_JOB_SHRINK;
}

/* --- values --- */

static int set_databases(struct dump_job *j, const char *value, struct err *e)
{
    j->all = strcmp(value, "all") == 0;
    return words_split(&j->databases, j->all ? "" : value, WORDS_NAMES, e);
}

static int set_compress(struct dump_job *j, const char *text, struct err *e)
{
    static const char *const known[] = {"none", "gzip", "lz4", "zstd"};
    size_t n = strcspn(text, ":");
    uint64_t level;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i]) != n || memcmp(text, known[i], n) != 0)
            continue;
        if (i == 0 && text[n] == '\0')
            return 0;
        if (i == 0 || (text[n] == ':' && parse_u64(text + n + 1, 1, 22, &level, e) != 0) ||
            strlen(text) >= sizeof j->compress)
            break;
        (void)snprintf(j->compress, sizeof j->compress, "%s", text);
        return 0;
    }
    err_clear(e);
    return err_set(e, ERR_CONFIG,
                   "\"%.40s\" is no compression; there are gzip, lz4 and zstd, each "
                   "perhaps with a level, like zstd:3",
                   text);
}

static int set_format(struct dump_job *j, const char *value, struct err *e)
{
    struct words w;

    j->compress[0] = '\0';
    if (words_split(&w, value, WORDS_NAMES, e) != 0)
        return -1;
    if (w.n >= 1 && w.n <= 2 && strcmp(w.v[0], "custom") == 0) {
        j->format = DUMPFILE_CUSTOM;
        return w.n == 1 ? 0 : set_compress(j, w.v[1], e);
    }
    if (w.n == 1 && strcmp(w.v[0], "plain") == 0) {
        j->format = DUMPFILE_PLAIN;
        return 0;
    }
    if (w.n > 0 && (strcmp(w.v[0], "directory") == 0 || strcmp(w.v[0], "tar") == 0)) {
        (void)err_set(e, ERR_CONFIG, "format %s cannot be streamed", w.v[0]);
        return err_hint(e,
                        "pg_dump writes it through plain files on its own disk. Use custom, which "
                        "restores in parallel as well (walden undump --jobs).");
    }
    return err_set(e, ERR_CONFIG, "\"%.40s\" is no format; there are custom and plain", value);
}

static int set_guard(struct dump_job *j, const char *value, struct err *e)
{
    struct words w;

    if (strcmp(value, "off") == 0) {
        j->min_size = 0;
        j->shrink = 100;
        return 0;
    }
    if (words_split(&w, value, WORDS_NAMES, e) != 0)
        return -1;
    for (size_t i = 0; i < w.n; i++) {
        const char *text = strchr(w.v[i], '=');
        char number[16];
        size_t n = text == NULL ? 0 : strlen(text + 1);

        if (text != NULL && strncmp(w.v[i], "min_size=", 9) == 0) {
            if (parse_size(text + 1, 0, UINT64_MAX, &j->min_size, e) != 0)
                return -1;
            continue;
        }
        if (text == NULL || strncmp(w.v[i], "shrink=", 7) != 0 || n < 2 || n >= sizeof number ||
            text[n] != '%')
            return err_set(e, ERR_CONFIG,
                           "\"%.40s\" is no guard; write min_size=1MB or shrink=50%%", w.v[i]);
        memcpy(number, text + 1, n - 1);
        number[n - 1] = '\0';
        if (parse_u32(number, 1, 100, &j->shrink, e) != 0)
            return -1;
    }
    return 0;
}

static int set_runner(struct dump_job *j, const char *value, struct err *e)
{
    if (words_split(&j->runner, value, WORDS_COMMAND, e) != 0)
        return -1;
    return dump_job_check_runner(&j->runner, e);
}

static int set_dsn(struct dump_job *j, const char *value, struct err *e)
{
    static const struct opt o = {.name = "dsn", .offset = offsetof(struct dump_job, dsn)};

    return settings_value_dsn(j, &o, value, e);
}

static int set_query(struct dump_job *j, const char *value, struct err *e)
{
    if (strlen(value) > DUMP_JOB_QUERY_MAX)
        return err_set(e, ERR_CONFIG, "a query of more than %d bytes", DUMP_JOB_QUERY_MAX);
    j->schema_version = *value == '\0' ? NULL : value;
    return 0;
}

static const char *const keys[] = {"databases", "schemas", "tables", "exclude",
                                   "format",    "runner",  "dsn",    "counts",
                                   "guard",     "pre",     "post",   "schema_version"};

static int unknown_key(const char *key, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        text_closest_try(&near, keys[i]);
    (void)err_set(e, ERR_CONFIG, "unknown key \"%.60s\" in a section [dump ...]", key);
    return near.best == NULL ? -1 : err_hint(e, "Did you mean %s?", near.best);
}

int dump_job_set(struct dump_job *j, const char *key, const char *value, struct err *e)
{
    size_t i = 0;

    while (i < sizeof keys / sizeof keys[0] && strcmp(keys[i], key) != 0)
        i++;
    switch (i) {
    case 0:
        return set_databases(j, value, e);
    case 1:
        return words_split(&j->schemas, value, WORDS_NAMES, e);
    case 2:
        return words_split(&j->tables, value, WORDS_NAMES, e);
    case 3:
        return words_split(&j->exclude, value, WORDS_NAMES, e);
    case 4:
        return set_format(j, value, e);
    case 5:
        return set_runner(j, value, e);
    case 6:
        return set_dsn(j, value, e);
    case 7:
        return words_split(&j->counts, value, WORDS_NAMES, e);
    case 8:
        return set_guard(j, value, e);
    case 9:
        return hook_parse(&j->pre, value, e);
    case 10:
        return hook_parse(&j->post, value, e);
    case 11:
        return set_query(j, value, e);
    default:
        return unknown_key(key, e);
    }
}

int dump_job_load(struct dump_job *j, const struct settings *s, struct err *e)
{
    int found = 1;

    for (size_t i = 0; i < s->rows.n; i++) {
        const struct settings_row *row = &s->rows.v[i];

        if (strcmp(row->kind, "dump") != 0 || strcmp(row->name, j->name) != 0)
            continue;
        found = 0;
        if (row->key == NULL || dump_job_set(j, row->key, row->value, e) == 0)
            continue;
        if (e->code == ERR_USAGE)
            e->code = ERR_CONFIG;
        return err_context(e, "%s:%u: %s", s->config, row->line, row->key);
    }
    return found;
}

int dump_job_may_run(const struct dump_job *j, const struct settings *s, bool hooks,
                     bool runner_given, struct err *e)
{
    char what[100];

    (void)snprintf(what, sizeof what, "the command in [dump %.64s]", j->name);
    if ((hooks && (j->pre.command.n > 0 || j->post.command.n > 0)) ||
        (j->runner.n > 0 && !runner_given))
        return settings_may_run(s, what, e);
    return j->runner.n > 0 ? 0 : settings_may_run_key(s, "pg_bin", e);
}

const char *dump_job_name(const struct settings *s, size_t i)
{
    for (size_t k = 0; k < s->rows.n; k++)
        if (s->rows.v[k].key == NULL && strcmp(s->rows.v[k].kind, "dump") == 0 && i-- == 0)
            return s->rows.v[k].name;
    return NULL;
}

/* --- the runner --- */

static const char *program_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* Switches in one word, like -it: is that letter among them?  -upostgres is none of these. */
static bool has_letter(const char *word, char letter)
{
    return word[0] == '-' && word[1] != '\0' && strspn(word + 1, "itdTq") == strlen(word + 1) &&
           strchr(word + 1, letter) != NULL;
}

/* What the words of a container program's command line mean. */
struct runner_words {
    bool compose;
    bool exec;
    bool terminal;
    bool no_terminal;
    bool input;
};

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

static void take_runner_word(struct runner_words *r, const char *w)
{
    static const char *const no_tty[] = {"--no-TTY", "--no-tty", NULL};
    static const char *const input[] = {"--interactive", "--stdin", NULL};
    static const char *const runs[] = {"exec", "run", NULL};

    if (!r->exec) {
        r->compose = r->compose || strcmp(w, "compose") == 0;
        r->exec = is_one_of(w, runs);
        return;
    }
    r->terminal = r->terminal || has_letter(w, 't') || strcmp(w, "--tty") == 0;
    r->no_terminal = r->no_terminal || has_letter(w, 'T') || is_one_of(w, no_tty);
    r->input = r->input || has_letter(w, 'i') || is_one_of(w, input);
}

static int bad_runner(struct err *e, const char *what, const char *hint)
{
    (void)err_set(e, ERR_CONFIG, "the runner %s", what);
    return err_hint(e, "%s", hint);
}

int dump_job_check_runner(const struct words *runner, struct err *e)
{
    static const char *const compose[] = {"docker-compose", "podman-compose", NULL};
    static const char *const container[] = {"docker", "podman", "kubectl", "nerdctl", NULL};
    const char *program = runner->n == 0 ? "" : program_of(runner->v[0]);
    struct runner_words r = {.compose = is_one_of(program, compose)};

    if (strcmp(program, "ssh") == 0) /* everything behind it is options, host, command */
        r.exec = r.input = true;
    else if (!r.compose && !is_one_of(program, container))
        return 0;
    for (size_t i = 1; i < runner->n; i++)
        take_runner_word(&r, runner->v[i]);
    if (r.terminal)
        return bad_runner(e, "makes a terminal (-t), which changes the bytes of a dump",
                          r.compose ? "Write exec -T." : "Write exec -i, without t.");
    if (r.exec && r.compose && !r.no_terminal)
        return bad_runner(e, "may make a terminal, which changes the bytes of a dump",
                          "Write exec -T.");
    if (r.exec && !r.compose && !r.input)
        return bad_runner(e, "does not pass its input on", "Write exec -i.");
    return 0;
}

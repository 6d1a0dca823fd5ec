#include "repo/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "repo/settings_value.h"

#define FIELD(name) offsetof(struct settings, name)

static const struct parse_word compressions[] = {
    {"lz4", SETTINGS_LZ4}, {"none", SETTINGS_NO_COMPRESSION}, {NULL, 0}};

static const struct parse_word troubles[] = {
    {"fail", SETTINGS_FAIL}, {"drop-and-record", SETTINGS_DROP_AND_RECORD}, {NULL, 0}};

enum { HOOKS = SETTINGS_ARCHIVE | SETTINGS_RESTORE };

/* --config stands in front; the settings follow, so setting i is table[i + 1]. */
static const struct opt table[] = {
    {.name = "config",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = FIELD(config),
     .flags = HOOKS,
     .help = "configuration file (default: " SETTINGS_FILE ")"},
    {.name = "repo",
     .kind = OPT_PATH,
     .arg = "DIR",
     .offset = FIELD(repo),
     .flags = HOOKS,
     .help = "directory of the repository; the one setting that is always needed"},
    {.name = "repo_id",
     .kind = OPT_CALL,
     .arg = "HEX",
     .offset = FIELD(repo_id),
     .min = SETTINGS_ID_BYTES,
     .call = settings_value_hex,
     .flags = HOOKS,
     .help = "id that the repository must have, so that another disk is not taken for it"},
    {.name = "cluster",
     .kind = OPT_NAME,
     .arg = "NAME",
     .offset = FIELD(cluster),
     .flags = HOOKS,
     .help = "name of the cluster in the repository (default: main)"},
    {.name = "system_id",
     .kind = OPT_U64,
     .arg = "NUMBER",
     .offset = FIELD(system_id),
     .min = 1,
     .flags = HOOKS,
     .help = "system identifier of the server (default: read from its data directory)"},
    {.name = "pgdata",
     .kind = OPT_PATH,
     .arg = "DIR",
     .offset = FIELD(pgdata),
     .flags = HOOKS,
     .help = "data directory of the server (default: asked from the server)"},
    {.name = "pg_bin",
     .kind = OPT_PATH,
     .arg = "DIR",
     .offset = FIELD(pg_bin),
     .help = "directory of the PostgreSQL programs (default: PATH, then the usual places)"},
    {.name = "dsn",
     .kind = OPT_CALL,
     .arg = "CONNINFO",
     .offset = FIELD(dsn),
     .call = settings_value_dsn,
     .help = "connection string or URI, without a password (default: what libpq finds itself)"},
    {.name = "compression",
     .kind = OPT_WORD,
     .arg = "METHOD",
     .offset = FIELD(compression),
     .words = compressions,
     .flags = SETTINGS_ARCHIVE,
     .help = "lz4 or none (default: lz4)"},
    {.name = "deadline",
     .kind = OPT_DURATION,
     .arg = "TIME",
     .offset = FIELD(deadline),
     .min = 1000000,
     .max = 86400000000,
     .flags = HOOKS | OPT_ZERO,
     .help = "longest time to archive one file; 0 means 30s for 16MB, longer for larger segments "
             "(default: 0)"},
    {.name = "host_key",
     .kind = OPT_PATH,
     .arg = "FILE",
     .offset = FIELD(host_key),
     .flags = HOOKS,
     .help = "this host's key, which signs what it writes"},
    {.name = "secret_key",
     .kind = OPT_PATH,
     .arg = "FILE",
     .offset = FIELD(secret_key),
     .flags = SETTINGS_RESTORE,
     .help = "key that opens sealed data; keep it off the database host"},
    {.name = "recipients",
     .kind = OPT_CALL,
     .arg = "KEYS",
     .call = settings_value_recipients,
     .flags = HOOKS,
     .help = "public keys that data is sealed to, separated by blanks, or the path of a file "
             "that holds them"},
    {.name = "sealed_from",
     .kind = OPT_CALL,
     .arg = "HEX",
     .offset = FIELD(sealed_from),
     .min = SETTINGS_KEY_BYTES,
     .call = settings_value_hex,
     .flags = HOOKS,
     .help = "digest of the record of what was stored before encryption was switched on"},
    {.name = "state_dir",
     .kind = OPT_PATH,
     .arg = "DIR",
     .offset = FIELD(state_dir),
     .flags = SETTINGS_ARCHIVE,
     .help = "directory for what this host remembers about the repository"},
    {.name = "jobs",
     .kind = OPT_U64,
     .arg = "N",
     .offset = FIELD(jobs),
     .max = 64,
     .help = "parallel jobs; 0 means as many as the machine does well (default: 0)"},
    {.name = "max_rate",
     .kind = OPT_SIZE,
     .arg = "SIZE",
     .offset = FIELD(max_rate),
     .min = 32 * 1024,
     .max = UINT64_C(1) << 30,
     .flags = OPT_ZERO,
     .help = "most bytes per second that a base backup or a copy reads; 0 means no limit "
             "(default: 0)"},
    {.name = "count_tables",
     .kind = OPT_CALL,
     .arg = "TABLES",
     .offset = FIELD(count_tables),
     .call = settings_value_tables,
     .help = "tables whose rows are counted with each base backup, separated by blanks: TABLE, "
             "SCHEMA.TABLE or DATABASE.SCHEMA.TABLE (default: none)"},
    {.name = "keep_backups",
     .kind = OPT_CALL,
     .arg = "RULE",
     .offset = FIELD(keep_backups),
     .call = settings_value_keep,
     .help = "backups to keep, like \"daily=7 weekly=4 within=30d\" (default: all)"},
    {.name = "keep_dumps",
     .kind = OPT_CALL,
     .arg = "RULE",
     .offset = FIELD(keep_dumps),
     .call = settings_value_keep,
     .help = "the same for logical dumps (default: all)"},
    {.name = "wal_within",
     .kind = OPT_DURATION,
     .arg = "TIME",
     .offset = FIELD(wal_within),
     .min = 60000000,
     .flags = OPT_ZERO,
     .help = "how far back any moment can be restored; 0 means as far as the backups go "
             "(default: 0)"},
    {.name = "require_copy",
     .kind = OPT_CALL,
     .arg = "NAMES",
     .offset = FIELD(require_copy),
     .call = settings_value_names,
     .help = "[repo NAME] sections that must have a copy before anything is expired"},
    {.name = "on_trouble",
     .kind = OPT_WORD,
     .arg = "WHAT",
     .offset = FIELD(on_trouble),
     .words = troubles,
     .flags = SETTINGS_ARCHIVE,
     .help = "fail, or drop-and-record: give up WAL rather than let pg_wal fill the disk "
             "(default: fail)"},
    {.name = "notify_command",
     .kind = OPT_TEXT,
     .arg = "COMMAND",
     .offset = FIELD(notify_command),
     .help = "command to run when something needs attention"},
};

enum {
    TABLE_SIZE = sizeof table / sizeof table[0],
    N_KEYS = TABLE_SIZE - 1,
};
_Static_assert((int)N_KEYS <= (int)SETTINGS_MAX, "a setting too many");

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof *s);
    s->cluster = "main";
    settings_rows_init(&s->rows, SETTINGS_SECTIONS_MAX * (SETTINGS_SECTION_KEYS + 1));
    settings_texts_init(&s->warnings, 100);
    settings_texts_init(&s->texts, 10000);
}

void settings_fini(struct settings *s)
{
    for (size_t i = 0; i < s->texts.n; i++)
        free(s->texts.v[i]);
    settings_texts_fini(&s->texts);
    settings_texts_fini(&s->warnings); /* its strings are in texts */
    settings_rows_fini(&s->rows);
}

/* A copy that lives as long as s. */
static char *keep_text(struct settings *s, const char *text, struct err *e)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        (void)err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (settings_texts_push(&s->texts, copy, e) < 0) {
        free(copy);
        return NULL;
    }
    return copy;
}

/* The index of a key, or N_KEYS. */
static size_t find_key(const char *key)
{
    size_t i = 0;

    while (i < N_KEYS && strcmp(table[i + 1].name, key) != 0)
        i++;
    return i;
}

const char *settings_key(size_t i)
{
    return i < N_KEYS ? table[i + 1].name : NULL;
}

bool settings_is_set(const struct settings *s, const char *key)
{
    size_t i = find_key(key);

    return i < N_KEYS && s->origin[i].source != SETTINGS_DEFAULT;
}

bool settings_is_explicit(const struct settings *s, const char *key)
{
    size_t i = find_key(key);

    return i < N_KEYS && s->origin[i].source >= SETTINGS_FROM_ENV;
}

/* keep_backups: "WALDEN_KEEP_BACKUPS" */
static void variable_name(const char *key, char *out, size_t cap)
{
    (void)snprintf(out, cap, "WALDEN_%s", key);
    for (char *c = out; *c != '\0'; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
}

void settings_variable(size_t i, char *out, size_t cap)
{
    variable_name(table[i + 1].name, out, cap);
}

/* keep_backups: "--keep-backups" */
static void flag_name(const char *key, char *out, size_t cap)
{
    (void)snprintf(out, cap, "--%s", key);
    for (char *c = out; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
}

void settings_place(const struct settings *s, size_t i, char *out, size_t cap)
{
    switch (s->origin[i].source) {
    case SETTINGS_DEFAULT:
        (void)snprintf(out, cap, "default");
        return;
    case SETTINGS_FROM_FILE:
        (void)snprintf(out, cap, "%s:%u", s->config, s->origin[i].line);
        return;
    case SETTINGS_FROM_ENV:
        variable_name(table[i + 1].name, out, cap);
        return;
    case SETTINGS_FROM_FLAG:
        flag_name(table[i + 1].name, out, cap);
        return;
    }
}

/*
 * Sets setting i from a text that outlives s, unless a stronger source has set it: then the text
 * is only checked, on a copy that is thrown away.
 */
static int put_value(struct settings *s, size_t i, const char *text, enum settings_source source,
                     struct err *e)
{
    struct settings scratch;

    if (source < s->origin[i].source) {
        scratch = *s;
        return opt_assign(&scratch, &table[i + 1], text, e);
    }
    if (opt_assign(s, &table[i + 1], text, e) < 0)
        return -1;
    s->origin[i].source = source;
    s->origin[i].text = text;
    return 0;
}

static int put_flag(void *into, const struct opt *o, const char *text, struct err *e)
{
    if (o == &table[0])
        return opt_assign(into, o, text, e);
    return put_value(into, (size_t)(o - table) - 1, text, SETTINGS_FROM_FLAG, e);
}

struct opt_set settings_options(struct settings *s)
{
    struct opt_set set = {
        .title = "Settings",
        .opts = table,
        .n = TABLE_SIZE,
        .into = s,
        .assign = put_flag,
        .note = "Each is also a key of the configuration file (--repo-id is repo_id) and an "
                "environment variable (WALDEN_REPO_ID). A flag beats the environment, "
                "the environment beats the file.",
    };

    return set;
}

static void as_config(struct err *e)
{
    if (e->code == ERR_USAGE)
        e->code = ERR_CONFIG;
}

/* ---- environment ---- */

/* Unknown variables do not stop anything: they may belong to another version of Walden. */
static int warn_variable(struct settings *s, const char *name, struct err *e)
{
    struct text_closest near;
    char text[256];
    char meant[64];
    char *kept;

    if (s->warnings.n == s->warnings.max)
        return 0;
    text_closest_init(&near, name + strlen("WALDEN_"));
    for (size_t i = 0; i < TABLE_SIZE; i++)
        text_closest_try(&near, table[i].name);
    if (near.best != NULL) {
        variable_name(near.best, meant, sizeof meant);
        (void)snprintf(text, sizeof text,
                       "environment variable %s is not a setting and is ignored (did you mean %s?)",
                       name, meant);
    } else {
        (void)snprintf(text, sizeof text, "environment variable %s is not a setting and is ignored",
                       name);
    }
    kept = keep_text(s, text, e);
    return kept == NULL ? -1 : settings_texts_push(&s->warnings, kept, e);
}

/* One variable WALDEN_x.  An empty one counts as not set: compose files leave such behind. */
static int take_variable(struct settings *s, const char *name, const char *value,
                         const char **config, struct err *e)
{
    char known[64];

    for (size_t i = 0; i < TABLE_SIZE; i++) {
        variable_name(table[i].name, known, sizeof known);
        if (strcmp(known, name) != 0)
            continue;
        if (*value == '\0')
            return 0;
        if (i == 0) {
            *config = value;
            return 0;
        }
        if (put_value(s, i - 1, value, SETTINGS_FROM_ENV, e) < 0) {
            as_config(e);
            return err_context(e, "%s", name);
        }
        return 0;
    }
    return warn_variable(s, name, e);
}

static int load_environment(struct settings *s, char *const *env, const char **config,
                            struct err *e)
{
    for (; *env != NULL; env++) {
        const char *value = strchr(*env, '=');
        char name[80];

        if (strncmp(*env, "WALDEN_", 7) != 0 || value == NULL)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", value - *env > 79 ? 79 : (int)(value - *env),
                       *env);
        if (take_variable(s, name, value + 1, config, e) < 0)
            return -1;
    }
    return 0;
}

/* ---- file ---- */

struct loader {
    struct settings *s;
    struct settings_row head; /* of the section in hand; a copy, for rows move when they grow */
    size_t sections;
    size_t keys; /* in this section */
};

static int unknown_key(const char *key, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, key);
    for (size_t i = 0; i < N_KEYS; i++)
        text_closest_try(&near, table[i + 1].name);
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean \"%s\"?", near.best);
    return err_set(e, ERR_CONFIG, "unknown key \"%.80s\"", key);
}

static int take_main(struct settings *s, const struct conf_entry *entry, struct err *e)
{
    size_t i = find_key(entry->key);
    char *text;

    if (i == N_KEYS)
        return unknown_key(entry->key, e);
    if (s->origin[i].line != 0)
        return err_set(e, ERR_CONFIG, "%s is set twice, first in line %u", entry->key,
                       s->origin[i].line);
    text = keep_text(s, entry->value, e);
    if (text == NULL)
        return -1;
    if (put_value(s, i, text, SETTINGS_FROM_FILE, e) < 0)
        return err_context(e, "%s", entry->key);
    s->origin[i].line = entry->line;
    return 0;
}

static int check_section(const struct loader *l, const struct conf_entry *entry, struct err *e)
{
    static const char *const kinds[] = {"dump", "drill", "hook", "repo", "run"};
    const struct settings_rows *rows = &l->s->rows;
    struct text_closest near;
    bool known = false;

    text_closest_init(&near, entry->kind);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        text_closest_try(&near, kinds[i]);
        known = known || strcmp(kinds[i], entry->kind) == 0;
    }
    if (!known) {
        if (near.best != NULL)
            (void)err_hint(e, "Did you mean [%s %s]?", near.best, entry->name);
        return err_set(e, ERR_CONFIG,
                       "unknown section [%s %s]; there are dump, drill, hook, repo and run",
                       entry->kind, entry->name);
    }
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->v[i].key == NULL && strcmp(rows->v[i].kind, entry->kind) == 0 &&
            strcmp(rows->v[i].name, entry->name) == 0)
            return err_set(e, ERR_CONFIG, "section [%s %s] is there twice, first in line %u",
                           entry->kind, entry->name, rows->v[i].line);
    }
    if (l->sections == SETTINGS_SECTIONS_MAX)
        return err_set(e, ERR_CONFIG, "there are more than %d sections", SETTINGS_SECTIONS_MAX);
    return 0;
}

static int take_section(struct loader *l, const struct conf_entry *entry, struct err *e)
{
    if (check_section(l, entry, e) < 0)
        return -1;
    l->head = (struct settings_row){.kind = keep_text(l->s, entry->kind, e),
                                    .name = keep_text(l->s, entry->name, e),
                                    .line = entry->line};
    if (l->head.kind == NULL || l->head.name == NULL)
        return -1;
    l->sections++;
    l->keys = 0;
    return settings_rows_push(&l->s->rows, l->head, e);
}

static int take_row(struct loader *l, const struct conf_entry *entry, struct err *e)
{
    const struct settings_rows *rows = &l->s->rows;
    struct settings_row row = l->head;

    for (size_t i = rows->n - l->keys; i < rows->n; i++) {
        if (strcmp(rows->v[i].key, entry->key) == 0)
            return err_set(e, ERR_CONFIG, "%s is set twice in this section, first in line %u",
                           entry->key, rows->v[i].line);
    }
    if (l->keys == SETTINGS_SECTION_KEYS)
        return err_set(e, ERR_CONFIG, "section [%s %s] has more than %d keys", row.kind, row.name,
                       SETTINGS_SECTION_KEYS);
    row.key = keep_text(l->s, entry->key, e);
    row.value = keep_text(l->s, entry->value, e);
    row.line = entry->line;
    if (row.key == NULL || row.value == NULL)
        return -1;
    l->keys++;
    return settings_rows_push(&l->s->rows, row, e);
}

static int take_entry(void *arg, const struct conf_entry *entry, struct err *e)
{
    struct loader *l = arg;

    if (entry->key == NULL)
        return take_section(l, entry, e);
    if (entry->kind == NULL)
        return take_main(l->s, entry, e);
    return take_row(l, entry, e);
}

/* Its text, and whether root may do what it says: what was opened is what is looked at. */
static int read_judged(struct settings *s, char **text, size_t *len, struct err *e)
{
    struct stat st;
    int fd = -1;
    int rc = os_open(s->config, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = os_stat_fd(fd, &st, s->config, e);
    if (rc == 0)
        rc = os_read_small_fd(fd, CONF_FILE_MAX, text, len, s->config, e);
    if (rc == 0)
        s->foreign = os_uid() == 0 && (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0);
    os_drop(&fd);
    return rc;
}

static int load_file(struct settings *s, enum settings_reader reader, bool may_be_absent,
                     struct err *e)
{
    struct loader l = {.s = s};
    enum conf_flags flags = reader == SETTINGS_HOOK ? CONF_MAIN_ONLY : CONF_ALL;
    char *text = NULL;
    size_t len = 0;
    /* A hook runs nothing that the file names. */
    int rc = reader == SETTINGS_HOOK ? os_read_small(s->config, CONF_FILE_MAX, &text, &len, e)
                                     : read_judged(s, &text, &len, e);

    if (rc == OS_ABSENT && may_be_absent) {
        s->config = NULL;
        return 0;
    }
    if (rc == OS_ABSENT)
        return err_set(e, ERR_CONFIG, "configuration file \"%s\" does not exist", s->config);
    if (rc < 0) {
        if (e->code == ERR_IO || e->code == ERR_UNREACHABLE) /* not of the repository */
            e->code = ERR_CONFIG;
        return err_context(e, "configuration file");
    }
    rc = conf_parse(s->config, text, len, flags, take_entry, &l, e);
    free(text);
    return rc;
}

int settings_load(struct settings *s, char *const *env, enum settings_reader reader, struct err *e)
{
    const char *from_env = NULL;
    bool chosen;

    if (load_environment(s, env, &from_env, e) < 0)
        return -1;
    if (s->config == NULL)
        s->config = from_env;
    chosen = s->config != NULL;
    if (!chosen)
        s->config = SETTINGS_FILE;
    if (reader == SETTINGS_HOOK && *s->config != '/') {
        (void)err_hint(e, "Write the path from \"/\" on: the server runs hooks in its data "
                          "directory.");
        return err_set(e, ERR_CONFIG, "configuration file \"%s\" is not an absolute path",
                       s->config);
    }
    return load_file(s, reader, !chosen || reader == SETTINGS_AUTHOR, e);
}

int settings_need(const struct settings *s, const char *key, struct err *e)
{
    char variable[64];
    char flag[64];

    if (settings_is_set(s, key))
        return 0;
    variable_name(key, variable, sizeof variable);
    flag_name(key, flag, sizeof flag);
    (void)err_hint(e, "Write \"%s = ...\" into %s, set %s, or give %s%s.", key,
                   s->config != NULL ? s->config : SETTINGS_FILE, variable, flag,
                   strcmp(key, "repo") == 0
                       ? "; \"walden init --repo DIR\" makes a repository and the file"
                       : "");
    return err_set(e, ERR_CONFIG, "the setting \"%s\" is missing", key);
}

int settings_may_run(const struct settings *s, const char *what, struct err *e)
{
    /* Not because of a user that we no longer are. */
    if (!s->foreign || os_uid() != 0)
        return 0;
    (void)err_set(e, ERR_REFUSED, "%s would be run as root, and others than root can write \"%s\"",
                  what, s->config);
    return err_hint(e,
                    "Run it as the file's owner (sudo -u postgres ...), or make the file root's: "
                    "chown root %s; chmod go-w %s",
                    s->config, s->config);
}

int settings_may_run_key(const struct settings *s, const char *key, struct err *e)
{
    size_t i = find_key(key);

    return i < N_KEYS && s->origin[i].source == SETTINGS_FROM_FILE ? settings_may_run(s, key, e)
                                                                   : 0;
}

uint64_t settings_deadline(const struct settings *s, uint64_t segment_size)
{
    const uint64_t unit = UINT64_C(16) << 20;
    const uint64_t top = UINT64_C(1) << 30; /* no segment is larger */
    uint64_t units = ((segment_size < top ? segment_size : top) + unit - 1) / unit;

    if (s->deadline != 0)
        return s->deadline;
    return (units > 1 ? units : 1) * 30 * (uint64_t)USEC_PER_SEC;
}

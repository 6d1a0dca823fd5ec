#include "repo/hook.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"

int hook_parse(struct hook *h, const char *value, struct err *e)
{
    char text[64];
    size_t n;

    h->timeout = (uint64_t)HOOK_TIMEOUT_S * USEC_PER_SEC;
    if (strncmp(value, "timeout=", 8) == 0) {
        value += 8;
        n = strcspn(value, " \t");
        if (n >= sizeof text)
            return err_set(e, ERR_CONFIG, "too long");
        memcpy(text, value, n);
        text[n] = '\0';
        if (parse_duration(text, USEC_PER_SEC, (uint64_t)USEC_PER_DAY, &h->timeout, e) != 0)
            return -1;
        value += n;
    }
    return words_split(&h->command, value, WORDS_COMMAND, e);
}

static const char *const commands[] = {"undump", "restore", "backup"};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* A section that nobody reads is a hook that is never run. */
static int check_name(const struct settings_row *row, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, row->name);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i], row->name) == 0)
            return 0;
        text_closest_try(&near, commands[i]);
    }
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean [hook %s]?", near.best);
    return err_set(e, ERR_CONFIG,
                   "nothing reads a section [hook %.60s]; there are undump, restore "
                   "and backup",
                   row->name);
}

static int take_row(struct hook_set *set, const struct settings_row *row, struct err *e)
{
    static const char *const keys[] = {"pre", "gate", "post"};
    const char **to[] = {&set->pre, &set->gate, &set->post};
    struct text_closest near;
    struct hook h;

    text_closest_init(&near, row->key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        text_closest_try(&near, keys[i]);
        if (strcmp(keys[i], row->key) != 0)
            continue;
        if (i == 1 && strcmp(row->name, "backup") == 0)
            return err_set(e, ERR_CONFIG, "a backup has no gate; there are pre and post");
        if (hook_parse(&h, row->value, e) != 0)
            return -1;
        *to[i] = h.command.n == 0 ? NULL : row->value;
        return 0;
    }
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean %s?", near.best);
    return err_set(e, ERR_CONFIG, "unknown key in a section [hook ...]; there are pre, gate, post");
}

int hook_set_load(struct hook_set *set, const struct settings *s, const char *command,
                  struct err *e)
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < s->rows.n; i++) {
        const struct settings_row *row = &s->rows.v[i];

        if (strcmp(row->kind, "hook") != 0)
            continue;
        if (row->key == NULL ? check_name(row, e) == 0
                             : strcmp(row->name, command) != 0 || take_row(set, row, e) == 0)
            continue;
        if (e->code == ERR_USAGE)
            e->code = ERR_CONFIG;
        return err_context(e, "%s:%u%s%s", s->config, row->line, row->key == NULL ? "" : ": ",
                           row->key == NULL ? "" : row->key);
    }
    return 0;
}

int hook_set_may_run(const struct hook_set *set, const struct settings *s, const char *command,
                     struct err *e)
{
    char what[32];

    if (set->pre == NULL && set->gate == NULL && set->post == NULL)
        return 0;
    (void)snprintf(what, sizeof what, "[hook %.16s]", command);
    return settings_may_run(s, what, e);
}

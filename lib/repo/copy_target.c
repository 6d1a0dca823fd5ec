#include "repo/copy_target.h"

#include <stddef.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "repo/settings_value.h"

enum { MAX_AGE_H = 26, RATE_MIN = 1024 };

static int set_rule(struct settings_keep *keep, const char *value, struct err *e)
{
    static const struct opt o = {.name = "keep"};

    return settings_value_keep(keep, &o, value, e);
}

static const char *const keys[] = {"path",       "keep_backups", "keep_dumps",
                                   "wal_within", "max_age",      "max_rate"};

static int unknown_key(const char *key, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        text_closest_try(&near, keys[i]);
    (void)err_set(e, ERR_CONFIG, "unknown key \"%.60s\" in a section [repo ...]", key);
    return near.best == NULL ? -1 : err_hint(e, "Did you mean %s?", near.best);
}

static int set_path(struct copy_target *t, const char *value, struct err *e)
{
    t->path = value;
    if (value[0] == '/')
        return 0;
    return err_set(e, ERR_CONFIG, "\"%.60s\" is no absolute path", value);
}

static int set_rate(struct copy_target *t, const char *value, struct err *e)
{
    uint64_t rate;

    if (parse_size(value, 0, UINT64_C(1) << 40, &rate, e) != 0)
        return -1;
    if (rate > 0 && rate < RATE_MIN)
        return err_set(e, ERR_CONFIG, "\"%.40s\" is less than 1kB per second", value);
    t->max_rate = rate;
    return 0;
}

static int set_key(struct copy_target *t, const char *key, const char *value, struct err *e)
{
    size_t i = 0;

    while (i < sizeof keys / sizeof keys[0] && strcmp(keys[i], key) != 0)
        i++;
    switch (i) {
    case 0:
        return set_path(t, value, e);
    case 1:
        return set_rule(&t->keep_backups, value, e);
    case 2:
        return set_rule(&t->keep_dumps, value, e);
    case 3:
        return parse_duration(value, 0, UINT64_MAX, &t->wal_within, e);
    case 4:
        return parse_duration(value, 0, UINT64_MAX, &t->max_age, e);
    case 5:
        return set_rate(t, value, e);
    default:
        return unknown_key(key, e);
    }
}

int copy_targets_load(struct copy_targets *t, const struct settings *s, struct err *e)
{
    for (size_t i = 0; i < s->rows.n; i++) {
        const struct settings_row *row = &s->rows.v[i];
        int rc = 0;

        if (strcmp(row->kind, "repo") != 0)
            continue;
        if (row->key == NULL) {
            struct copy_target one = {.name = row->name,
                                      .line = row->line,
                                      .max_age = MAX_AGE_H * 3600 * USEC_PER_SEC,
                                      .max_rate = COPY_RATE_HOSTS};

            rc = copy_targets_push(t, one, e);
        } else {
            rc = set_key(&t->v[t->n - 1], row->key, row->value, e);
        }
        if (rc == 0)
            continue;
        if (e->code == ERR_USAGE)
            e->code = ERR_CONFIG;
        return err_context(e, "%s:%u: %s", s->config, row->line, row->key == NULL ? "" : row->key);
    }
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].path == NULL) {
            (void)err_set(e, ERR_CONFIG, "%s:%u: [repo %s] does not say \"path\"", s->config,
                          t->v[i].line, t->v[i].name);
            return err_hint(e, "Write for example path = /mnt/usb/walden.");
        }
    return 0;
}

const struct copy_target *copy_targets_of(const struct copy_targets *t, const char *text)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].name, text) == 0 || strcmp(t->v[i].path, text) == 0)
            return &t->v[i];
    return NULL;
}

const struct copy_target *copy_targets_find(const struct copy_targets *t, const char *name,
                                            struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, name);
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->v[i].name, name) == 0)
            return &t->v[i];
        text_closest_try(&near, t->v[i].name);
    }
    (void)err_set(e, ERR_CONFIG, "the configuration has no section [repo %.64s]", name);
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean %s?", near.best);
    else
        (void)err_hint(e, "Add it with \"path = DIR\", or give the directory with its slash.");
    return NULL;
}

/* As it was written, for who shows the rules. */
static void take_text(struct settings *s, const char *name, const char *key)
{
    const char *text = NULL;

    for (size_t i = 0; i < s->rows.n; i++) {
        const struct settings_row *row = &s->rows.v[i];

        if (row->key != NULL && strcmp(row->kind, "repo") == 0 && strcmp(row->name, name) == 0 &&
            strcmp(row->key, key) == 0)
            text = row->value;
    }
    for (size_t i = 0; settings_key(i) != NULL; i++)
        if (strcmp(settings_key(i), key) == 0)
            s->origin[i].text = text;
}

void copy_target_use(const struct copy_target *t, struct settings *s)
{
    s->repo = t->path;
    if (t->name != NULL && t->max_rate != COPY_RATE_HOSTS && !settings_is_explicit(s, "max_rate"))
        s->max_rate = t->max_rate;
    if (t->name == NULL) /* a bare directory: the host's rules are not meant for it */
        return;
    s->keep_backups = t->keep_backups;
    s->keep_dumps = t->keep_dumps;
    s->wal_within = t->wal_within;
    take_text(s, t->name, "keep_backups");
    take_text(s, t->name, "keep_dumps");
    take_text(s, t->name, "wal_within");
}

#include "init_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "repo/settings.h"

enum { KEYS = 6, ID_HEX = 2 * SETTINGS_ID_BYTES + 1, DIGEST_HEX = 2 * SETTINGS_KEY_BYTES + 1 };

/* One key of the file: what it must be, and how it is told from something else. */
struct pin {
    const char *key;
    const char *value; /* NULL: nothing is asked */
    bool is_path;
    const char *comment; /* above it in a new file */
};

struct pins {
    struct pin pin[KEYS];
    char id[ID_HEX];
    char digest[DIGEST_HEX];
};

static void make_pins(struct pins *p, const struct init_config *c)
{
    const struct pin all[KEYS] = {
        {"repo", c->repo, true, "Where the backups are."},
        {"repo_id", NULL, false,
         "The repository that must be there, so that an unmounted disk is never filled."},
        {"cluster", c->cluster, false, "The name of this cluster in the repository."},
        {"host_key", c->host_key, true, "Signs what this host writes; it opens no table data."},
        {"recipients", c->recipients, true,
         "Backups are sealed to this public key. Its secret half, recovery.key, belongs "
         "elsewhere:\n"
         "# leave secret_key unset on the database host."},
        {"sealed_from", NULL, false, "The record of what was stored before encryption came."}};

    memcpy(p->pin, all, sizeof all);
    if (c->repo_id != NULL) {
        text_hex(p->id, c->repo_id, SETTINGS_ID_BYTES);
        p->pin[1].value = p->id;
    }
    if (c->sealed_from != NULL) {
        text_hex(p->digest, c->sealed_from, SETTINGS_KEY_BYTES);
        p->pin[5].value = p->digest;
    }
}

/* ---- what is there ---- */

struct present {
    struct settings s;
    char *text;
    size_t len;
    bool exists;
};

static int load(struct present *f, const char *path, struct err *e)
{
    static char *const no_environment[] = {NULL};
    int rc;

    settings_init(&f->s);
    f->text = NULL;
    f->len = 0;
    f->exists = false;
    rc = os_read_small(path, PLACE_FILE_MAX, &f->text, &f->len, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    f->exists = true;
    f->s.config = path;
    return settings_load(&f->s, no_environment, SETTINGS_PROGRAM, e);
}

static void unload(struct present *f)
{
    settings_fini(&f->s);
    free(f->text);
}

static const struct settings_origin *origin_of(const struct present *f, const char *key)
{
    size_t i = 0;

    while (strcmp(settings_key(i), key) != 0)
        i++;
    return &f->s.origin[i];
}

static bool is_same_key(const struct present *f, const struct key_public *pub)
{
    struct key_public other;
    struct err none = {0};

    if (pub == NULL)
        return true;
    if (f->s.recipients_file != NULL)
        return key_public_load(&other, f->s.recipients_file, &none) == 0 &&
               memcmp(other.box_public, pub->box_public, SECRET_KEY) == 0;
    for (size_t i = 0; i < f->s.n_recipients; i++)
        if (memcmp(f->s.recipients[i], pub->box_public, SECRET_KEY) == 0)
            return true;
    return false;
}

static bool is_same_value(const struct present *f, const struct pin *p, const char *found,
                          const struct init_config *c)
{
    char path[PLACE_MAX];
    struct err none = {0};

    if (strcmp(found, p->value) == 0)
        return true;
    if (strcmp(p->key, "recipients") == 0)
        return is_same_key(f, c->pub);
    if (!p->is_path)
        return strcasecmp(found, p->value) == 0 && strcmp(p->key, "cluster") != 0;
    return place_is_same(found, p->value) ||
           (place_absolute(path, found, &none) == 0 && strcmp(path, p->value) == 0);
}

static int compare(const struct present *f, const char *path, const struct pins *pins,
                   const struct init_config *c, struct err *e)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct pin *p = &pins->pin[i];
        const struct settings_origin *o = origin_of(f, p->key);

        if (p->value == NULL || o->line == 0 || is_same_value(f, p, o->text, c) ||
            (c->repin && p->value == pins->digest))
            continue;
        (void)err_set(e, ERR_CONFIG, "%s:%u: %s is \"%s\", not \"%s\"", path, o->line, p->key,
                      o->text, p->value);
        return err_hint(e,
                        "Correct the line, or give the value that it has; for a second repository "
                        "use another --config and --key-dir.");
    }
    return 0;
}

int init_config_check(const char *path, const struct init_config *c, struct err *e)
{
    struct present f;
    struct pins pins;
    int rc;

    make_pins(&pins, c);
    rc = load(&f, path, e);
    if (rc == 0 && f.exists)
        rc = compare(&f, path, &pins, c, e);
    unload(&f);
    return rc;
}

/* ---- writing ---- */

static int add_line(struct buf *b, const char *key, const char *value, struct err *e)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+:,@";

    if (value[strspn(value, plain)] == '\0')
        return buf_fmt(b, e, "%s = %s\n", key, value);
    if (buf_fmt(b, e, "%s = '", key) != 0)
        return -1;
    for (; *value != '\0'; value++)
        if ((*value == '\'' ? buf_str(b, "''", e) : buf_add(b, value, 1, e)) != 0)
            return -1;
    return buf_str(b, "'\n", e);
}

static int write_new(struct buf *b, const struct pins *pins, struct err *e)
{
    if (buf_str(b,
                "# Walden's configuration, made by \"walden init\".\n"
                "# Each key is also a flag (--keep-backups) and a variable (WALDEN_KEEP_BACKUPS); "
                "\"walden init --help\"\n# and \"man walden\" tell more.\n",
                e) != 0)
        return -1;
    for (size_t i = 0; i < KEYS; i++) {
        const struct pin *p = &pins->pin[i];

        if (p->value != NULL &&
            (buf_fmt(b, e, "\n# %s\n", p->comment) != 0 || add_line(b, p->key, p->value, e) != 0))
            return -1;
    }
    return 0;
}

/* Where the main part ends: the offset of the first section's line. */
static size_t main_end(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t blanks = at;
        const char *nl = memchr(text + at, '\n', len - at);

        while (blanks < len && (text[blanks] == ' ' || text[blanks] == '\t'))
            blanks++;
        if (blanks < len && text[blanks] == '[')
            return at;
        if (nl == NULL)
            return len;
        at = (size_t)(nl - text) + 1;
    }
    return len;
}

/* Start and end of a line, counted from 1. */
static void find_line(const struct present *f, unsigned line, size_t *from, size_t *to)
{
    const char *nl = f->text;

    *from = 0;
    while (--line > 0) {
        nl = memchr(f->text + *from, '\n', f->len - *from);
        *from = nl == NULL ? f->len : (size_t)(nl - f->text) + 1;
    }
    nl = memchr(f->text + *from, '\n', f->len - *from);
    *to = nl == NULL ? f->len : (size_t)(nl - f->text) + 1;
}

/* The keys that are missing, as lines behind the main part. */
static int add_missing(struct buf *b, const struct present *f, const struct pins *pins,
                       unsigned *added, struct err *e)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct pin *p = &pins->pin[i];

        if (p->value == NULL || origin_of(f, p->key)->line != 0)
            continue;
        if (*added == 0 && buf_str(b, "\n# Added by \"walden init\".\n", e) != 0)
            return -1;
        if (add_line(b, p->key, p->value, e) != 0)
            return -1;
        (*added)++;
    }
    return 0;
}

/* The present file with what is missing in it; *added is the number of lines. */
static int complete(struct buf *b, const struct present *f, const struct pins *pins,
                    const struct init_config *c, unsigned *added, struct err *e)
{
    const struct settings_origin *sealed = origin_of(f, "sealed_from");
    const char *pin = pins->pin[5].value;
    size_t end = main_end(f->text, f->len);
    size_t from = end;
    size_t to = end;

    *added = 0;
    if (c->repin && sealed->line != 0 && pin != NULL && strcasecmp(sealed->text, pin) != 0) {
        find_line(f, sealed->line, &from, &to);
        (*added)++;
    }
    if (buf_add(b, f->text, from, e) != 0 ||
        (to > from && add_line(b, "sealed_from", pin, e) != 0) ||
        buf_add(b, f->text + to, end - to, e) != 0)
        return -1;
    if (b->len > 0 && b->p[b->len - 1] != '\n' && buf_str(b, "\n", e) != 0)
        return -1;
    if (add_missing(b, f, pins, added, e) != 0)
        return -1;
    if (*added > 0 && end < f->len && buf_str(b, "\n", e) != 0)
        return -1;
    return buf_add(b, f->text + end, f->len - end, e);
}

static int put(const char *path, const struct buf *b, bool exists, const struct place_owner *owner,
               struct err *e)
{
    struct place_owner keep = *owner;
    char target[PLACE_MAX];
    struct stat st;
    mode_t mode = 0644;

    (void)snprintf(target, sizeof target, "%s", path);
    if (exists) {
        /* Replacing must not change whose it is, who may read it, or that it is a link. */
        if (place_resolve(target, e) != 0 || os_stat(target, &st, e) != 0)
            return -1;
        mode = st.st_mode & 0777;
        keep = (struct place_owner){owner->change, st.st_uid, st.st_gid};
    }
    /* A crash leaves the old file or the new one. */
    return place_put(target, b->p, b->len, mode, exists, &keep, e);
}

int init_config_write(const char *path, const struct init_config *c,
                      const struct place_owner *owner, struct err *e)
{
    struct present f;
    struct pins pins;
    struct buf b;
    unsigned added = 1;
    int rc;

    buf_init(&b, PLACE_FILE_MAX);
    make_pins(&pins, c);
    rc = load(&f, path, e);
    if (rc == 0 && f.exists) {
        rc = compare(&f, path, &pins, c, e);
        if (rc == 0)
            rc = complete(&b, &f, &pins, c, &added, e);
    } else if (rc == 0) {
        rc = write_new(&b, &pins, e);
    }
    if (rc == 0)
        rc = added == 0 ? 1 : put(path, &b, f.exists, owner, e);
    buf_fini(&b);
    unload(&f);
    return rc;
}

#include "repo/settings_value.h"

#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/tablename.h"
#include "repo/settings.h"

enum { WORD_MAX = 160, KEEP_MAX = 10000 };

static void *field_of(void *into, const struct opt *o)
{
    return (char *)into + o->offset;
}

int settings_value_hex(void *into, const struct opt *o, const char *text, struct err *e)
{
    return parse_bytes(text, field_of(into, o), (size_t)o->min, e);
}

/* The next word of a list separated by blanks: 1, 0 at the end, -1 when it is too long. */
static int next_word(const char **s, char word[WORD_MAX], struct err *e)
{
    size_t n;

    *s += strspn(*s, " \t");
    n = strcspn(*s, " \t");
    if (n == 0)
        return 0;
    if (n >= WORD_MAX)
        return err_set(e, ERR_USAGE, "\"%.40s...\" is too long", *s);
    memcpy(word, *s, n);
    word[n] = '\0';
    *s += n;
    return 1;
}

/* Whether the connection string carries a password: "password =" or "sslpassword=" in either
 * form, or user:password@ in a URI. */
static bool has_password(const char *text)
{
    const char *at = text;
    const char *host = strstr(text, "://");

    while ((at = strstr(at, "password")) != NULL) {
        at += strlen("password");
        if (at[strspn(at, " \t")] == '=')
            return true;
    }
    if (host == NULL)
        return false;
    host += 3;
    at = strpbrk(host, "@/?:");
    return at != NULL && *at == ':' && strcspn(at, "@") < strcspn(at, "/?");
}

int settings_value_dsn(void *into, const struct opt *o, const char *text, struct err *e)
{
    const char **field = field_of(into, o);

    if (*text == '\0')
        return err_set(e, ERR_USAGE, "the value is empty");
    if (has_password(text)) {
        (void)err_hint(e, "Put the password into ~/.pgpass, or name a file with passfile=.");
        return err_set(e, ERR_USAGE, "a connection string must not hold a password");
    }
    *field = text;
    return 0;
}

int settings_value_recipients(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct settings *s = into;
    uint8_t keys[SETTINGS_RECIPIENTS_MAX][SETTINGS_KEY_BYTES];
    char word[WORD_MAX];
    size_t n = 0;
    int rc;

    (void)o;
    if (*text == '/') {
        s->recipients_file = text;
        s->n_recipients = 0;
        return 0;
    }
    while ((rc = next_word(&text, word, e)) > 0) {
        if (n == SETTINGS_RECIPIENTS_MAX)
            return err_set(e, ERR_USAGE, "there are more than %d keys", SETTINGS_RECIPIENTS_MAX);
        if (parse_bytes(word, keys[n], SETTINGS_KEY_BYTES, e) < 0)
            return err_context(e, "key %zu", n + 1);
        for (size_t i = 0; i < n; i++) {
            if (memcmp(keys[i], keys[n], SETTINGS_KEY_BYTES) == 0)
                return err_set(e, ERR_USAGE, "keys %zu and %zu are the same", i + 1, n + 1);
        }
        n++;
    }
    if (rc < 0)
        return -1;
    if (n == 0)
        return err_set(e, ERR_USAGE, "the value is empty");
    memcpy(s->recipients, keys, n * SETTINGS_KEY_BYTES);
    s->n_recipients = n;
    s->recipients_file = NULL;
    return 0;
}

/* One word of a rule, like "daily=7". */
static int keep_word(struct settings_rule *keep, char *word, struct err *e)
{
    const struct {
        const char *name;
        uint32_t *count;
    } counts[] = {{"last", &keep->last},
                  {"daily", &keep->daily},
                  {"weekly", &keep->weekly},
                  {"monthly", &keep->monthly},
                  {"yearly", &keep->yearly}};
    struct text_closest near;
    char *value = strchr(word, '=');

    if (value == NULL) {
        (void)err_hint(e, "A rule looks like \"last=3 daily=7 weekly=4 monthly=6 within=30d\".");
        return err_set(e, ERR_USAGE, "\"%s\" has no \"=\"", word);
    }
    *value++ = '\0';
    text_closest_init(&near, word);
    text_closest_try(&near, "within");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        text_closest_try(&near, counts[i].name);
        if (strcmp(word, counts[i].name) != 0)
            continue;
        if (*counts[i].count != 0)
            return err_set(e, ERR_USAGE, "\"%s\" is there twice", word);
        if (parse_u32(value, 1, KEEP_MAX, counts[i].count, e) < 0)
            return err_context(e, "%s", word);
        return 0;
    }
    if (strcmp(word, "within") == 0) {
        if (keep->within != 0)
            return err_set(e, ERR_USAGE, "\"%s\" is there twice", word);
        if (parse_duration(value, 1, INT64_MAX, &keep->within, e) < 0)
            return err_context(e, "%s", word);
        return 0;
    }
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean \"%s\"?", near.best);
    return err_set(e, ERR_USAGE,
                   "\"%s\" is not one of last, daily, weekly, monthly, yearly or within", word);
}

/* "NAME:daily=7" or "NAME:all": the rule of a tag or job. */
static int keep_named(struct settings_keep *keep, const char *name, char *word, struct err *e)
{
    struct settings_keep_named *named = NULL;
    static const struct settings_rule all;

    if (name[0] == '\0' || strlen(name) > SETTINGS_KEEP_NAME_MAX)
        return err_set(e, ERR_USAGE, "\"%s\" is no name of a tag or job", name);
    for (unsigned i = 0; i < keep->n; i++)
        if (strcmp(keep->named[i].name, name) == 0)
            named = &keep->named[i];
    if (named != NULL && (strcmp(word, "all") == 0 || memcmp(&named->rule, &all, sizeof all) == 0))
        return err_set(e, ERR_USAGE, "\"%s:all\" stands beside another rule for it", name);
    if (named == NULL) {
        if (keep->n == SETTINGS_KEEP_NAMED)
            return err_set(e, ERR_USAGE, "rules for more than %d names", (int)SETTINGS_KEEP_NAMED);
        named = &keep->named[keep->n++];
        memcpy(named->name, name, strlen(name) + 1);
    }
    return strcmp(word, "all") == 0 ? 0 : keep_word(&named->rule, word, e);
}

int settings_value_keep(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct settings_keep *field = field_of(into, o);
    struct settings_keep keep = {.n = 0};
    char word[WORD_MAX];
    bool any = false;
    int rc;

    while ((rc = next_word(&text, word, e)) > 0) {
        char *colon = strchr(word, ':');

        if (colon != NULL)
            *colon = '\0';
        if (strcmp(word, "all") == 0 && colon == NULL && !any &&
            text[strspn(text, " \t")] == '\0') {
            *field = keep; /* alone */
            return 0;
        }
        if ((colon == NULL ? keep_word(&keep.rule, word, e)
                           : keep_named(&keep, word, colon + 1, e)) < 0)
            return -1;
        any = true;
    }
    if (rc < 0)
        return -1;
    if (!any)
        return err_set(e, ERR_USAGE, "the value is empty");
    *field = keep;
    return 0;
}

int settings_value_names(void *into, const struct opt *o, const char *text, struct err *e)
{
    const char **field = field_of(into, o);
    const char *at = text;
    char word[WORD_MAX];
    bool any = false;
    int rc;

    while ((rc = next_word(&at, word, e)) > 0) {
        if (parse_name(word, e) < 0)
            return -1;
        any = true;
    }
    if (rc < 0)
        return -1;
    if (!any)
        return err_set(e, ERR_USAGE, "the value is empty");
    *field = text;
    return 0;
}

int settings_value_tables(void *into, const struct opt *o, const char *text, struct err *e)
{
    const char **field = field_of(into, o);
    struct tablename name;
    const char *at = text;
    unsigned n = 0;
    int rc;

    while ((rc = tablename_next(&at, &name, e)) > 0)
        if (n++ == TABLENAME_LIST)
            return err_set(e, ERR_USAGE, "more than %d tables", TABLENAME_LIST);
    if (rc < 0)
        return -1;
    if (n == 0)
        return err_set(e, ERR_USAGE, "the value is empty");
    *field = text;
    return 0;
}

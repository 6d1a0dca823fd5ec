#include "base/opt.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct parser {
    const struct opt_program *prog;
    const struct opt_set *sets;
    size_t n_sets;
    int argc;
    char *const *argv;
    int at; /* the word in hand */
};

static int see_help(const struct parser *p, struct err *e)
{
    return err_hint(e, "Try \"%s --help\" for more information.", p->prog->name);
}

static uint64_t top(const struct opt *o)
{
    return o->max == 0 ? UINT64_MAX : o->max;
}

static int assign_text(const struct opt *o, const char *text, const char **field, struct err *e)
{
    if (*text == '\0')
        return err_set(e, ERR_USAGE, "the value is empty");
    if (o->kind == OPT_NAME && parse_name(text, e) < 0)
        return -1;
    if (o->kind == OPT_PATH && *text != '/') {
        (void)err_hint(e, "Write the path from \"/\" on: programs run in changing directories.");
        return err_set(e, ERR_USAGE, "\"%.200s\" is not an absolute path", text);
    }
    *field = text;
    return 0;
}

static int assign_number(const struct opt *o, const char *text, uint64_t *field, struct err *e)
{
    uint64_t min = o->min;
    uint64_t max = top(o);

    if ((o->flags & OPT_ZERO) != 0 && strcmp(text, "0") == 0) {
        *field = 0;
        return 0;
    }
    if (o->kind == OPT_SIZE)
        return parse_size(text, min, max, field, e);
    if (o->kind == OPT_DURATION)
        return parse_duration(text, min, max, field, e);
    return parse_u64(text, min, max, field, e);
}

int opt_assign(void *into, const struct opt *o, const char *text, struct err *e)
{
    void *field = (char *)into + o->offset;

    switch (o->kind) {
    case OPT_FLAG:
        return parse_bool(text, field, e);
    case OPT_TEXT:
    case OPT_PATH:
    case OPT_NAME:
        return assign_text(o, text, field, e);
    case OPT_U64:
    case OPT_SIZE:
    case OPT_DURATION:
        return assign_number(o, text, field, e);
    case OPT_WORD:
        return parse_word(text, o->words, field, e);
    case OPT_CALL:
        return o->call(into, o, text, e);
    }
    return err_set(e, ERR_INTERNAL, "option \"%s\" has no kind", o->name);
}

static bool takes_value(const struct opt *o)
{
    return o->kind == OPT_CALL ? o->arg != NULL : o->kind != OPT_FLAG;
}

/* Compares a long name of n bytes, - and _ being the same. */
static bool same_name(const char *name, const char *s, size_t n)
{
    size_t i = 0;

    for (; i < n && name[i] != '\0'; i++) {
        char a = name[i] == '_' ? '-' : name[i];
        char b = s[i] == '_' ? '-' : s[i];

        if (a != b)
            return false;
    }
    return i == n && name[i] == '\0';
}

/* How a message names an option: "--keep-backups" or "-v".  The text goes to out. */
static const char *spell(const struct opt *o, bool as_letter, char *out, size_t cap)
{
    if (as_letter) {
        (void)snprintf(out, cap, "-%c", o->letter);
        return out;
    }
    (void)snprintf(out, cap, "--%s", o->name);
    for (char *c = out; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    return out;
}

static int give(const struct opt_set *set, const struct opt *o, bool as_letter, const char *text,
                struct err *e)
{
    opt_call *assign = set->assign != NULL ? set->assign : opt_assign;
    char name[80];

    if (assign(set->into, o, text, e) < 0)
        return err_context(e, "%s", spell(o, as_letter, name, sizeof name));
    return 0;
}

static const struct opt *find_long(const struct parser *p, const char *s, size_t n,
                                   const struct opt_set **set)
{
    for (size_t i = 0; i < p->n_sets; i++) {
        for (size_t j = 0; j < p->sets[i].n; j++) {
            if (same_name(p->sets[i].opts[j].name, s, n)) {
                *set = &p->sets[i];
                return &p->sets[i].opts[j];
            }
        }
    }
    return NULL;
}

static const struct opt *find_short(const struct parser *p, char c, const struct opt_set **set)
{
    for (size_t i = 0; i < p->n_sets; i++) {
        for (size_t j = 0; j < p->sets[i].n; j++) {
            if (p->sets[i].opts[j].letter == c) {
                *set = &p->sets[i];
                return &p->sets[i].opts[j];
            }
        }
    }
    return NULL;
}

static int unknown_long(const struct parser *p, const char *s, size_t n, struct err *e)
{
    char word[64];
    struct text_closest near;

    (void)snprintf(word, sizeof word, "%.*s", n > 63 ? 63 : (int)n, s);
    text_closest_init(&near, word);
    text_closest_try(&near, "help");
    text_closest_try(&near, "version");
    for (size_t i = 0; i < p->n_sets; i++) {
        for (size_t j = 0; j < p->sets[i].n; j++) {
            if ((p->sets[i].opts[j].flags & OPT_HIDDEN) == 0)
                text_closest_try(&near, p->sets[i].opts[j].name);
        }
    }
    if (near.best != NULL) {
        (void)snprintf(word, sizeof word, "%s", near.best);
        for (char *c = word; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        (void)err_hint(e, "Did you mean \"--%s\"?", word);
    }
    (void)see_help(p, e);
    return err_set(e, ERR_USAGE, "unknown option \"--%.*s\"", n > 80 ? 80 : (int)n, s);
}

static int no_value(const struct parser *p, const char *s, size_t n, struct err *e)
{
    (void)see_help(p, e);
    return err_set(e, ERR_USAGE, "option \"--%.*s\" takes no value", n > 80 ? 80 : (int)n, s);
}

/* The value of o: what followed "=" or the letter, else the next word. */
static int take_value(struct parser *p, const struct opt_set *set, const struct opt *o,
                      bool as_letter, const char *text, struct err *e)
{
    char name[80];

    if (text == NULL) {
        if (p->at + 1 >= p->argc) {
            (void)see_help(p, e);
            return err_set(e, ERR_USAGE, "option \"%s\" needs a value (%s)",
                           spell(o, as_letter, name, sizeof name), o->arg);
        }
        text = p->argv[++p->at];
    }
    return give(set, o, as_letter, text, e);
}

/* --no-x */
static int take_negation(struct parser *p, const char *s, size_t n, const char *text, struct err *e)
{
    const struct opt_set *set;
    const struct opt *o = NULL;

    if (n > 3 && memcmp(s, "no-", 3) == 0)
        o = find_long(p, s + 3, n - 3, &set);
    if (o == NULL || o->kind != OPT_FLAG || (o->flags & OPT_NO) == 0)
        return unknown_long(p, s, n, e);
    if (text != NULL)
        return no_value(p, s, n, e);
    return give(set, o, false, "off", e);
}

static int take_long(struct parser *p, const char *s, struct err *e)
{
    size_t n = strcspn(s, "=");
    const char *text = s[n] == '=' ? s + n + 1 : NULL;
    const struct opt_set *set;
    const struct opt *o = find_long(p, s, n, &set);

    if (o == NULL && text == NULL && same_name("help", s, n))
        return OPT_HELP;
    if (o == NULL && text == NULL && same_name("version", s, n))
        return OPT_VERSION;
    if (o == NULL && text == NULL && same_name("man", s, n))
        return OPT_MAN;
    if (o == NULL)
        return take_negation(p, s, n, text, e);
    if (takes_value(o))
        return take_value(p, set, o, false, text, e);
    if (o->kind == OPT_FLAG)
        return give(set, o, false, text != NULL ? text : "on", e);
    if (text != NULL)
        return no_value(p, s, n, e);
    return give(set, o, false, NULL, e);
}

/* "-vqDvalue": letters up to the first that takes a value. */
static int take_short(struct parser *p, const char *s, struct err *e)
{
    for (; *s != '\0'; s++) {
        const struct opt_set *set;
        const struct opt *o = find_short(p, *s, &set);

        if (o == NULL && *s == '?')
            return OPT_HELP;
        if (o == NULL && *s == 'V')
            return OPT_VERSION;
        if (o == NULL) {
            (void)see_help(p, e);
            return err_set(e, ERR_USAGE, "unknown option \"-%c\"", *s);
        }
        if (takes_value(o))
            return take_value(p, set, o, true, s[1] != '\0' ? s + 1 : NULL, e);
        if (give(set, o, true, o->kind == OPT_FLAG ? "on" : NULL, e) < 0)
            return -1;
    }
    return 0;
}

static int too_many(const struct parser *p, const char *word, struct err *e)
{
    (void)see_help(p, e);
    return err_set(e, ERR_USAGE, "too many arguments (first is \"%.200s\")", word);
}

bool opt_is_given(int argc, char *const *argv, const char *name)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
            return true;
    return false;
}

int opt_parse(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets, int argc,
              char *const *argv, struct opt_args *args, struct err *e)
{
    size_t most = prog->args_max < OPT_ARGS_MAX ? prog->args_max : OPT_ARGS_MAX;
    struct parser p = {prog, sets, n_sets, argc, argv, 1};
    bool over = false;

    args->n = 0;
    for (; p.at < argc; p.at++) {
        const char *s = argv[p.at];
        int rc = 0;

        if (!over && strcmp(s, "--") == 0) {
            over = true;
        } else if (!over && s[0] == '-' && s[1] == '-') {
            rc = take_long(&p, s + 2, e);
        } else if (!over && s[0] == '-' && s[1] != '\0') {
            rc = take_short(&p, s + 1, e);
        } else {
            if (args->n == most)
                return too_many(&p, s, e);
            args->v[args->n++] = s;
            if (prog->stop_at_arg) {
                p.at++;
                break;
            }
        }
        if (rc != 0)
            return rc;
    }
    args->next = p.at;
    if (args->n < prog->args_min) {
        (void)see_help(&p, e);
        return err_set(e, ERR_USAGE, "too few arguments: %s expected", prog->operands);
    }
    return 0;
}

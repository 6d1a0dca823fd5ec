/*
 * The explaining half of base/opt: what --help prints and the manual page, from the same table.
 */
#include "base/opt.h"

#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 30, HELP_WIDTH = 80 };

/* A sink with a sticky error, so that the layout reads as a sequence of texts. */
struct page {
    struct buf *out;
    struct err *e;
    int rc;
    unsigned shows;
};

static void put(struct page *p, const char *text, size_t n)
{
    if (p->rc == 0)
        p->rc = buf_add(p->out, text, n, p->e);
}

static void put_text(struct page *p, const char *text)
{
    put(p, text, strlen(text));
}

static void put_blanks(struct page *p, size_t n)
{
    while (n-- > 0)
        put(p, " ", 1);
}

/* "-D, --data-dir=DIR" to out; returns its length. */
static size_t spelled(const struct opt *o, char *out, size_t cap)
{
    bool no = (o->flags & OPT_NO) != 0;
    int n;

    if (o->letter != 0)
        n = snprintf(out, cap, "-%c, --%s%s", o->letter, no ? "[no-]" : "", o->name);
    else
        n = snprintf(out, cap, "    --%s%s", no ? "[no-]" : "", o->name);
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '_' ? '-' : out[i];
    if (o->arg != NULL)
        n += snprintf(out + n, cap - (size_t)n, "=%s", o->arg);
    return (size_t)n;
}

/* Writes text in words from column `at` on, wrapped at HELP_WIDTH with `indent` blanks. */
static void put_wrapped(struct page *p, const char *text, size_t at, size_t indent)
{
    bool first = true;

    while (*text != '\0') {
        size_t n = strcspn(text, " ");

        if (!first && at + 1 + n > HELP_WIDTH) {
            put_text(p, "\n");
            put_blanks(p, indent);
            at = indent;
        } else if (!first) {
            put_text(p, " ");
            at++;
        }
        put(p, text, n);
        at += n;
        text += n;
        text += strspn(text, " ");
        first = false;
    }
    put_text(p, "\n");
}

/* Lines of text, each with two blanks in front. */
static void put_lines(struct page *p, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");

        if (n > 0)
            put_blanks(p, 2);
        put(p, text, n);
        put_text(p, "\n");
        text += n;
        text += *text == '\n' ? 1 : 0;
    }
}

static bool is_shown(const struct page *p, const struct opt *o)
{
    return (o->flags & OPT_HIDDEN) == 0 && (p->shows == 0 || (o->flags & p->shows) != 0);
}

static void help_option(struct page *p, const struct opt *o)
{
    char left[96];
    size_t n = spelled(o, left, sizeof left);

    put_blanks(p, 2);
    put(p, left, n);
    if (n + 4 > HELP_COLUMN) {
        put_text(p, "\n");
        n = 0;
        put_blanks(p, HELP_COLUMN);
    } else {
        put_blanks(p, HELP_COLUMN - 2 - n);
    }
    put_wrapped(p, o->help, HELP_COLUMN, HELP_COLUMN);
}

/* What every program has. */
static const struct opt common[] = {
    {.name = "version", .letter = 'V', .kind = OPT_FLAG, .help = "show the version, then exit"},
    {.name = "help", .letter = '?', .kind = OPT_FLAG, .help = "show this help, then exit"},
};

static void help_set(struct page *p, const struct opt_set *set, bool first)
{
    put_text(p, "\n");
    put_text(p, set->title);
    put_text(p, ":\n");
    if (set->note != NULL) {
        put_blanks(p, 2);
        put_wrapped(p, set->note, 2, 2);
    }
    for (size_t i = 0; i < set->n; i++) {
        if (is_shown(p, &set->opts[i]))
            help_option(p, &set->opts[i]);
    }
    for (size_t i = 0; first && i < sizeof common / sizeof common[0]; i++)
        help_option(p, &common[i]);
}

int opt_help(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
             struct buf *out, struct err *e)
{
    struct page p = {out, e, 0, prog->shows};
    const struct opt_set none = {"Options", NULL, 0, NULL, NULL, NULL};

    put_text(&p, "Examples:\n");
    put_lines(&p, prog->examples);
    put_text(&p, "\nUsage:\n  ");
    put_text(&p, prog->name);
    put_text(&p, " [OPTION]...");
    if (prog->operands[0] != '\0')
        put_text(&p, " ");
    put_text(&p, prog->operands);
    put_text(&p, "\n\n");
    put_wrapped(&p, prog->summary, 0, 0);
    if (n_sets == 0)
        help_set(&p, &none, true);
    for (size_t i = 0; i < n_sets; i++)
        help_set(&p, &sets[i], i == 0);
    put_text(&p, "\nExit status:\n");
    put_lines(&p, prog->exits);
    return p.rc;
}

/* Text for troff: a backslash and a dash are spelled out, a dot or quote cannot start a request. */
static void put_roff(struct page *p, const char *text)
{
    bool line_start = true;

    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            put_text(p, "\\&");
        if (*text == '\\')
            put_text(p, "\\e");
        else if (*text == '-')
            put_text(p, "\\-");
        else
            put(p, text, 1);
        line_start = *text == '\n';
    }
}

static void man_option(struct page *p, const struct opt *o)
{
    char left[96];
    size_t n = spelled(o, left, sizeof left);

    left[n] = '\0';
    /* A comment, for who makes the shell's completion of the page. */
    if (o->kind == OPT_WORD) {
        put_text(p, ".\\\" one of");
        for (const struct parse_word *w = o->words; w->word != NULL; w++) {
            put_text(p, " ");
            put_text(p, w->word);
        }
        put_text(p, "\n");
    }
    put_text(p, ".TP\n\\fB");
    put_roff(p, left + strspn(left, " "));
    put_text(p, "\\fR\n");
    put_roff(p, o->help);
    put_text(p, ".\n");
}

static void man_set(struct page *p, const struct opt_set *set, bool first)
{
    put_text(p, ".SS ");
    put_roff(p, set->title);
    put_text(p, "\n");
    if (set->note != NULL) {
        put_roff(p, set->note);
        put_text(p, "\n");
    }
    for (size_t i = 0; i < set->n; i++) {
        if (is_shown(p, &set->opts[i]))
            man_option(p, &set->opts[i]);
    }
    for (size_t i = 0; first && i < sizeof common / sizeof common[0]; i++)
        man_option(p, &common[i]);
}

static void man_literal(struct page *p, const char *title, const char *text)
{
    put_text(p, ".SH ");
    put_text(p, title);
    put_text(p, "\n.nf\n");
    put_roff(p, text);
    put_text(p, ".fi\n");
}

int opt_man(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
            const char *version, const char *date, struct buf *out, struct err *e)
{
    struct page p = {out, e, 0, prog->shows};
    const struct opt_set none = {"Options", NULL, 0, NULL, NULL, NULL};
    char title[64];

    (void)snprintf(title, sizeof title, "%s", prog->name);
    for (char *c = title; *c != '\0'; c++) {
        *c = *c == ' ' ? '-' : *c;
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    }
    put_text(&p, ".TH ");
    put_text(&p, title);
    put_text(&p, " 1 \"");
    put_text(&p, date);
    put_text(&p, "\" \"Walden ");
    put_text(&p, version);
    put_text(&p, "\"\n.SH NAME\n");
    for (const char *c = prog->name; *c != '\0'; c++)
        put_roff(&p, (const char[2]){*c == ' ' ? '-' : *c, '\0'});
    put_text(&p, " \\- ");
    put_roff(&p, prog->summary);
    put_text(&p, "\n.SH SYNOPSIS\n\\fB");
    put_roff(&p, prog->name);
    put_text(&p, "\\fR [\\fIOPTION\\fR]...");
    if (prog->operands[0] != '\0')
        put_text(&p, " ");
    put_roff(&p, prog->operands);
    put_text(&p, "\n");
    man_literal(&p, "EXAMPLES", prog->examples);
    put_text(&p, ".SH OPTIONS\n");
    if (n_sets == 0)
        man_set(&p, &none, true);
    for (size_t i = 0; i < n_sets; i++)
        man_set(&p, &sets[i], i == 0);
    man_literal(&p, "EXIT STATUS", prog->exits);
    return p.rc;
}

#include "base/words.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* One word from *p on, to *out; false when a quote is not closed. */
static bool take_word(const char **p, char **out, bool command)
{
    const char *s = *p;
    char *o = *out;
    char quote = '\0';

    for (; *s != '\0' && (quote != '\0' || !is_blank(*s)); s++) {
        bool opens = quote == '\0' && (*s == '"' || (command && *s == '\''));

        if (command && *s == '\\' && quote != '\'' && s[1] != '\0')
            *o++ = *++s;
        else if (opens || *s == quote) {
            quote = opens ? *s : '\0';
            if (!command)
                *o++ = *s;
        } else {
            *o++ = *s;
        }
    }
    *o++ = '\0';
    *p = s;
    *out = o;
    return quote == '\0';
}

int words_split(struct words *w, const char *text, enum words_kind kind, struct err *e)
{
    const char *p = text == NULL ? "" : text;
    char *out = w->text;

    w->n = 0;
    w->v[0] = NULL;
    /* A word needs no more room than it takes here, but for its closing 0, for which there is the
     * blank behind it; the last one has the one extra. */
    if (strlen(p) + 1 > sizeof w->text)
        return err_set(e, ERR_CONFIG, "longer than %d bytes", WORDS_TEXT_MAX - 1);
    for (;;) {
        while (is_blank(*p))
            p++;
        if (*p == '\0')
            return 0;
        if (w->n == WORDS_MAX)
            return err_set(e, ERR_CONFIG, "more than %d words", WORDS_MAX);
        w->v[w->n++] = out;
        w->v[w->n] = NULL;
        if (!take_word(&p, &out, kind == WORDS_COMMAND))
            return err_set(e, ERR_CONFIG, "a quote is not closed");
    }
}

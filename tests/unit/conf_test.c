/* base/conf: the grammar of the configuration file, and the place in every message. */
#include "base/conf.h"

#include <stdlib.h>

#include "unit/tap.h"

/* Entries as text: "kind.name.key=value@line;". */
struct seen {
    char text[2048];
    const char *refuse;
};

static int record(void *arg, const struct conf_entry *en, struct err *e)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);

    if (s->refuse != NULL && en->key != NULL && strcmp(en->key, s->refuse) == 0)
        return err_set(e, ERR_USAGE, "no such key");
    if (en->key == NULL)
        (void)snprintf(s->text + n, sizeof s->text - n, "[%s %s]@%u;", en->kind, en->name,
                       en->line);
    else if (en->kind == NULL)
        (void)snprintf(s->text + n, sizeof s->text - n, "%s=%s@%u;", en->key, en->value, en->line);
    else
        (void)snprintf(s->text + n, sizeof s->text - n, "%s.%s.%s=%s@%u;", en->kind, en->name,
                       en->key, en->value, en->line);
    return 0;
}

static void test_good(void)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"", ""},
        {"\n\n", ""},
        {"# c\n  ; c\n\t\n", ""},
        {"a=1", "a=1@1;"},
        {"a = 1\r\nb\t=\t2 \n", "a=1@1;b=2@2;"},
        {"\xef\xbb\xbf"
         "a = 1",
         "a=1@1;"},
        {"a = x y  z  # comment", "a=x y  z@1;"},
        {"a = x#y;z", "a=x#y;z@1;"},
        {"a = x ; y", "a=x ; y@1;"},
        {"a = b = c", "a=b = c@1;"},
        {"a = '  x # y '  # comment", "a=  x # y @1;"},
        {"a = 'it''s'", "a=it's@1;"},
        {"a = ''''", "a='@1;"},
        {"a = ''", "a=@1;"},
        {"a = it's", "a=it's@1;"},
        {"a = 'b\\n'", "a=b\\n@1;"},
        {"A-b_9 = 1", "A-b_9=1@1;"},
        {"a=1\n[dump x.y]\nb=2\n[ drill\tz ] # c\nc=3", "a=1@1;[dump x.y]@2;dump.x.y.b=2@3;"
                                                        "[drill z]@4;drill.z.c=3@5;"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = {.text = ""};
        struct err e = {0};

        OK(conf_parse("f", cases[i].text, strlen(cases[i].text), CONF_ALL, record, &s, &e) == 0,
           "text %zu is read", i);
        IS_STR(s.text, cases[i].want, "text %zu has its entries", i);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"a", "f:1: expected \"key = value\", not \"a\""},
        {"\n\na 1", "f:3: expected \"key = value\", not \"a 1\""},
        {"= 1", "f:1: expected \"key = value\", not \"= 1\""},
        {"a.b = 1", "f:1: expected \"key = value\", not \"a.b = 1\""},
        {"a =", "f:1: a has no value"},
        {"a = # only a comment", "f:1: a has no value"},
        {"a = 'x", "f:1: a: the closing quote is missing"},
        {"a = 'x''", "f:1: a: the closing quote is missing"},
        {"a = 'x' y", "f:1: a: something follows the closing quote: \" y\""},
        {"a = x\x1b[31m", "f:1: the line holds a control character (byte 6)"},
        {"a = x\rb", "f:1: the line holds a control character (byte 6)"},
        {"[dump]", "f:1: section [dump] needs a name, like [dump main]"},
        {"[]", "f:1: a section line looks like [dump NAME]"},
        {"[", "f:1: a section line looks like [dump NAME]"},
        {"[dump x", "f:1: a section line looks like [dump NAME]"},
        {"[dump x y]", "f:1: a section line looks like [dump NAME]"},
        {"[dump x] y", "f:1: a section line looks like [dump NAME]"},
        {"[dump ../x]",
         "f:1: name \"../x\" holds other characters than letters, digits, . _ and -"},
        {"x=1\nbad = 1", "f:2: no such key"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = {.text = "", .refuse = "bad"};
        struct err e = {0};

        OK(conf_parse("f", cases[i].text, strlen(cases[i].text), CONF_ALL, record, &s, &e) == -1 &&
               e.code == ERR_CONFIG,
           "text %zu is refused", i);
        IS_STR(e.msg, cases[i].want, "text %zu: the message", i);
    }
}

static void test_limits(void)
{
    struct seen s = {.text = ""};
    struct err e = {0};
    char *big = malloc(CONF_FILE_MAX + 1);

    memset(big, '\n', CONF_FILE_MAX + 1);
    OK(conf_parse("f", big, CONF_FILE_MAX, CONF_ALL, record, &s, &e) == 0, "the largest file");
    OK(conf_parse("f", big, CONF_FILE_MAX + 1, CONF_ALL, record, &s, &e) == -1, "one byte more");
    IS_STR(e.msg, "f: the file is larger than 256 kB", "is named");
    err_clear(&e);
    memset(big, '#', CONF_LINE_MAX);
    OK(conf_parse("f", big, CONF_LINE_MAX, CONF_ALL, record, &s, &e) == 0, "the longest line");
    big[CONF_LINE_MAX] = '#';
    OK(conf_parse("f", big, CONF_LINE_MAX + 1, CONF_ALL, record, &s, &e) == -1, "one byte more");
    IS_STR(e.msg, "f:1: the line is longer than 4096 bytes", "is named");
    err_clear(&e);
    OK(conf_parse("f", "a=\0", 3, CONF_ALL, record, &s, &e) == -1, "a 0 byte is refused");
    free(big);
}

static void test_main_only(void)
{
    static const char text[] = "a=1\n  [dump\n\x01 garbage \xff\nb=2\n[repo x]\n";
    struct seen s = {.text = ""};
    struct err e = {0};

    OK(conf_parse("f", text, strlen(text), CONF_MAIN_ONLY, record, &s, &e) == 0,
       "mistakes behind the main part do not stop a hook");
    IS_STR(s.text, "a=1@1;", "which reads the main part");
    OK(conf_parse("f", text, strlen(text), CONF_ALL, record, &s, &e) == -1,
       "and stop everybody else");
    err_clear(&e);
    OK(conf_parse("f", "a\n[dump x]\n", 11, CONF_MAIN_ONLY, record, &s, &e) == -1,
       "a mistake in the main part stops a hook too");
}

int main(void)
{
    test_good();
    test_bad();
    test_limits();
    test_main_only();
    return tap_done();
}

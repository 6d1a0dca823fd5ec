/* base/opt: command lines, their mistakes, and the help made from the same table. */
#include "base/opt.h"

#include <stddef.h>

#include "unit/tap.h"

struct mine {
    bool json;
    bool fast;
    bool sure;
    const char *dir;
    const char *label;
    const char *path;
    uint64_t jobs;
    uint64_t rate;
    uint64_t wait;
    int mode;
    int calls;
    const char *call_text;
};

static int on_call(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct mine *m = into;

    (void)o;
    if (text != NULL && strcmp(text, "bad") == 0)
        return err_set(e, ERR_USAGE, "not that");
    m->calls++;
    m->call_text = text;
    return 0;
}

static const struct parse_word modes[] = {{"pause", 1}, {"promote", 2}, {NULL, 0}};

#define AT(field) offsetof(struct mine, field)

static const struct opt opts[] = {
    {.name = "json", .letter = 'j', .kind = OPT_FLAG, .offset = AT(json), .help = "write JSON"},
    {.name = "fast",
     .letter = 'f',
     .kind = OPT_FLAG,
     .offset = AT(fast),
     .flags = OPT_NO,
     .help = "do not wait"},
    {.name = "sure", .kind = OPT_FLAG, .offset = AT(sure), .flags = OPT_HIDDEN, .help = "hidden"},
    {.name = "data_dir",
     .letter = 'D',
     .kind = OPT_TEXT,
     .arg = "DIR",
     .offset = AT(dir),
     .help = "a directory whose description is long enough to be wrapped at the width of the page"},
    {.name = "path", .kind = OPT_PATH, .arg = "FILE", .offset = AT(path), .help = "a path"},
    {.name = "label", .kind = OPT_NAME, .arg = "NAME", .offset = AT(label), .help = "a label"},
    {.name = "jobs",
     .kind = OPT_U64,
     .arg = "N",
     .offset = AT(jobs),
     .min = 1,
     .max = 8,
     .help = "how many"},
    {.name = "max-rate",
     .kind = OPT_SIZE,
     .arg = "SIZE",
     .offset = AT(rate),
     .min = 32768,
     .flags = OPT_ZERO,
     .help = "a rate"},
    {.name = "wait",
     .letter = 'w',
     .kind = OPT_DURATION,
     .arg = "TIME",
     .offset = AT(wait),
     .help = "a time"},
    {.name = "target-action-of-the-restore",
     .kind = OPT_WORD,
     .arg = "ACTION",
     .offset = AT(mode),
     .words = modes,
     .help = "what to do"},
};

static const struct opt calls[] = {
    {.name = "tick", .letter = 't', .kind = OPT_CALL, .call = on_call, .help = "no value"},
    {.name = "map",
     .letter = 'T',
     .kind = OPT_CALL,
     .arg = "A=B",
     .call = on_call,
     .help = "with a value"},
};

static const struct opt_program prog = {
    .name = "walden test",
    .operands = "NAME DEST",
    .summary = "try a table",
    .examples = "walden test a b\nwalden test --json a b\n",
    .exits = "0  all is well\n1  it is not\n",
    .args_min = 2,
    .args_max = 2,
};

static int run(const struct opt_program *p, struct mine *m, struct opt_args *args, struct err *e,
               const char *const *words)
{
    const struct opt_set sets[] = {{"Options", opts, sizeof opts / sizeof opts[0], m, NULL, NULL},
                                   {"More", calls, 2, m, NULL, "A note."}};
    static char store[32][80]; /* values are borrowed from argv, so it outlives the call */
    char *argv[32] = {NULL};
    int argc = 1;

    argv[0] = store[0];
    (void)snprintf(store[0], sizeof store[0], "test");
    for (; *words != NULL; words++, argc++) {
        (void)snprintf(store[argc], sizeof store[argc], "%s", *words);
        argv[argc] = store[argc];
    }
    memset(m, 0, sizeof *m);
    err_clear(e);
    return opt_parse(p, sets, 2, argc, argv, args, e);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_good(void)
{
    struct mine m;
    struct opt_args a;
    struct err e = {0};

    OK(run(&prog, &m, &a, &e, WORDS("x", "y")) == 0 && a.n == 2, "operands alone");
    OK(strcmp(a.v[0], "x") == 0 && strcmp(a.v[1], "y") == 0 && a.next == 3, "in order");
    OK(run(&prog, &m, &a, &e, WORDS("--json", "x", "--data-dir=/a=b", "y", "--jobs", "8")) == 0 &&
           m.json && m.jobs == 8 && strcmp(m.dir, "/a=b") == 0,
       "long options between operands, with = and with a blank");
    OK(run(&prog, &m, &a, &e, WORDS("--data_dir", "-", "x", "y")) == 0 && strcmp(m.dir, "-") == 0,
       "- and _ are the same; a value may be a dash");
    OK(run(&prog, &m, &a, &e, WORDS("-jfD/d", "x", "y", "-w", "5min")) == 0 && m.json && m.fast &&
           strcmp(m.dir, "/d") == 0 && m.wait == UINT64_C(300000000),
       "short options in one word, the last with its value");
}

static void test_rules(void)
{
    struct mine m;
    struct opt_args a;
    struct err e = {0};

    OK(run(&prog, &m, &a, &e, WORDS("--fast", "--no-fast", "x", "y")) == 0 && !m.fast,
       "the last of a flag and its --no- form wins");
    OK(run(&prog, &m, &a, &e, WORDS("--json=off", "--fast=yes", "x", "y")) == 0 && !m.json &&
           m.fast,
       "a flag takes a boolean behind =");
    OK(run(&prog, &m, &a, &e, WORDS("--jobs=2", "--jobs=3", "x", "y")) == 0 && m.jobs == 3,
       "the last of a repeated option wins");
    OK(run(&prog, &m, &a, &e, WORDS("--", "--json", "-x")) == 0 && !m.json &&
           strcmp(a.v[0], "--json") == 0 && strcmp(a.v[1], "-x") == 0,
       "-- ends the options");
    OK(run(&prog, &m, &a, &e, WORDS("-", "")) == 0 && strcmp(a.v[0], "-") == 0 && a.v[1][0] == 0,
       "a lone dash and an empty word are operands");
}

static void test_kinds(void)
{
    struct mine m;
    struct opt_args a;
    struct err e = {0};

    OK(run(&prog, &m, &a, &e, WORDS("--max-rate=0", "x", "y")) == 0 && m.rate == 0,
       "0 below the least value where it means none");
    OK(run(&prog, &m, &a, &e, WORDS("--max-rate", "32kB", "x", "y")) == 0 && m.rate == 32768,
       "a size");
    OK(run(&prog, &m, &a, &e, WORDS("--target-action-of-the-restore=promote", "x", "y")) == 0 &&
           m.mode == 2,
       "a word");
    OK(run(&prog, &m, &a, &e, WORDS("--path=/p", "--label=l.1", "--sure", "x", "y")) == 0 &&
           strcmp(m.path, "/p") == 0 && strcmp(m.label, "l.1") == 0 && m.sure,
       "a path, a name, a hidden flag");
    OK(run(&prog, &m, &a, &e, WORDS("-tt", "--tick", "x", "y")) == 0 && m.calls == 3 &&
           m.call_text == NULL,
       "a callback without a value");
    OK(run(&prog, &m, &a, &e, WORDS("-Ta=b", "x", "y")) == 0 && m.calls == 1 &&
           strcmp(m.call_text, "a=b") == 0,
       "a callback with one");
}

static void test_common(void)
{
    struct mine m;
    struct opt_args a;
    struct err e = {0};

    OK(run(&prog, &m, &a, &e, WORDS("x", "--help", "--nonsense")) == OPT_HELP,
       "--help comes first");
    OK(run(&prog, &m, &a, &e, WORDS("-j?")) == OPT_HELP, "-?");
    OK(run(&prog, &m, &a, &e, WORDS("--version")) == OPT_VERSION, "--version");
    OK(run(&prog, &m, &a, &e, WORDS("-V")) == OPT_VERSION, "-V");
}

static void test_bad(void)
{
    static const struct {
        const char *words[4];
        const char *msg;
        const char *hint;
    } cases[] = {
        {{"x"},
         "too few arguments: NAME DEST expected",
         "Try \"walden test --help\" for more information."},
        {{"x", "y", "z"}, "too many arguments (first is \"z\")", NULL},
        {{"--jsno"}, "unknown option \"--jsno\"", "Did you mean \"--json\"?"},
        {{"--datadir=x"}, "unknown option \"--datadir\"", "Did you mean \"--data-dir\"?"},
        {{"--versoin"}, "unknown option \"--versoin\"", "Did you mean \"--version\"?"},
        {{"--js"}, "unknown option \"--js\"", NULL},
        {{"--sur"}, "unknown option \"--sur\"", "Try \"walden test --help\" for more information."},
        {{"--help=x"}, "unknown option \"--help\"", NULL},
        {{"-x"}, "unknown option \"-x\"", NULL},
        {{"-jx"}, "unknown option \"-x\"", NULL},
        {{"--no-json"}, "unknown option \"--no-json\"", NULL},
        {{"--no-fast=1"}, "option \"--no-fast\" takes no value", NULL},
        {{"--tick=1"}, "option \"--tick\" takes no value", NULL},
        {{"--jobs"}, "option \"--jobs\" needs a value (N)", NULL},
        {{"-D"}, "option \"-D\" needs a value (DIR)", NULL},
        {{"--jobs=9"}, "--jobs: 9 is outside the valid range (1 .. 8)", NULL},
        {{"--jobs=0"}, "--jobs: 0 is outside the valid range (1 .. 8)", NULL},
        {{"--jobs="}, "--jobs: \"\" is not a whole number", NULL},
        {{"--json=maybe"}, "--json: \"maybe\" is neither on nor off", NULL},
        {{"--data-dir="}, "--data-dir: the value is empty", NULL},
        {{"-D", ""}, "-D: the value is empty", NULL},
        {{"--path=a"}, "--path: \"a\" is not an absolute path", NULL},
        {{"--label=a/b"},
         "--label: name \"a/b\" holds other characters than letters, digits, . _ and -",
         NULL},
        {{"--target-action-of-the-restore", "promot"},
         "--target-action-of-the-restore: \"promot\" is not one of pause or promote",
         "Did you mean \"promote\"?"},
        {{"-w5"}, "-w: \"5\" has no unit; write us, ms, s, min, h or d behind it", NULL},
        {{"--map", "bad"}, "--map: not that", NULL},
        {{"--=x"}, "unknown option \"--\"", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mine m;
        struct opt_args a;
        struct err e = {0};

        OK(run(&prog, &m, &a, &e, cases[i].words) == -1 && e.code == ERR_USAGE, "refused: %s",
           cases[i].words[0]);
        IS_STR(e.msg, cases[i].msg, "its message");
        if (cases[i].hint != NULL)
            IS_STR(e.hint, cases[i].hint, "its hint");
    }
}

static void test_operands(void)
{
    struct opt_program p = prog;
    char words[OPT_ARGS_MAX + 2][16];
    char *argv[OPT_ARGS_MAX + 2];
    struct mine m;
    struct opt_args a;
    struct err e = {0};

    p.stop_at_arg = true;
    p.args_min = 0;
    p.args_max = 1;
    OK(run(&p, &m, &a, &e, WORDS("--json", "list", "--nonsense")) == 0 && m.json && a.n == 1 &&
           strcmp(a.v[0], "list") == 0 && a.next == 3,
       "a command ends the options of the program");
    OK(run(&p, &m, &a, &e, WORDS("--json")) == 0 && a.n == 0 && a.next == 2, "no command");
    p.stop_at_arg = false;
    p.args_max = SIZE_MAX;
    for (int i = 0; i < OPT_ARGS_MAX + 2; i++) {
        (void)snprintf(words[i], sizeof words[i], "w%d", i);
        argv[i] = words[i];
    }
    OK(opt_parse(&p, NULL, 0, OPT_ARGS_MAX + 1, argv, &a, &e) == 0 && a.n == OPT_ARGS_MAX,
       "as many operands as there is room for");
    OK(opt_parse(&p, NULL, 0, OPT_ARGS_MAX + 2, argv, &a, &e) == -1, "one more is refused");
}

static const char want_help[] =
    "Examples:\n"
    "  walden test a b\n"
    "  walden test --json a b\n"
    "\n"
    "Usage:\n"
    "  walden test [OPTION]... NAME DEST\n"
    "\n"
    "try a table\n"
    "\n"
    "Options:\n"
    "  -j, --json                  write JSON\n"
    "  -f, --[no-]fast             do not wait\n"
    "  -D, --data-dir=DIR          a directory whose description is long enough to be\n"
    "                              wrapped at the width of the page\n"
    "      --path=FILE             a path\n"
    "      --label=NAME            a label\n"
    "      --jobs=N                how many\n"
    "      --max-rate=SIZE         a rate\n"
    "  -w, --wait=TIME             a time\n"
    "      --target-action-of-the-restore=ACTION\n"
    "                              what to do\n"
    "  -V, --version               show the version, then exit\n"
    "  -?, --help                  show this help, then exit\n"
    "\n"
    "More:\n"
    "  A note.\n"
    "  -t, --tick                  no value\n"
    "  -T, --map=A=B               with a value\n"
    "\n"
    "Exit status:\n"
    "  0  all is well\n"
    "  1  it is not\n";

/* Two programs share a table, and each shows what it uses. */
static void test_shown(void)
{
    static const struct opt shared[] = {
        {.name = "mine", .kind = OPT_FLAG, .flags = OPT_FOR_A, .help = "of A"},
        {.name = "yours", .kind = OPT_FLAG, .flags = OPT_FOR_B, .help = "of B"},
        {.name = "ours", .kind = OPT_FLAG, .flags = OPT_FOR_A | OPT_FOR_B, .help = "of both"},
        {.name = "nobodys", .kind = OPT_FLAG, .help = "of others"}};
    const struct opt_set set = {"Settings", shared, 4, NULL, NULL, NULL};
    struct opt_program one = {.name = "walden-one",
                              .operands = "",
                              .summary = "s",
                              .examples = "",
                              .exits = "",
                              .shows = OPT_FOR_A};
    struct err e = {0};
    struct buf b;

    buf_init(&b, 16384);
    OK(opt_help(&one, &set, 1, &b, &e) == 0 && strstr(buf_text(&b), "--mine") != NULL &&
           strstr(buf_text(&b), "--ours") != NULL && strstr(buf_text(&b), "--yours") == NULL &&
           strstr(buf_text(&b), "--nobodys") == NULL,
       "help shows what this program uses");
    buf_clear(&b);
    one.shows = 0;
    OK(opt_man(&one, &set, 1, "1", "2026-11-20", &b, &e) == 0 &&
           strstr(buf_text(&b), "yours") != NULL && strstr(buf_text(&b), "nobodys") != NULL,
       "one that names none shows all");
    buf_fini(&b);
}

static void test_help(void)
{
    const struct opt_set sets[] = {
        {"Options", opts, sizeof opts / sizeof opts[0], NULL, NULL, NULL},
        {"More", calls, 2, NULL, NULL, "A note."}};
    struct err e = {0};
    struct buf b;

    buf_init(&b, 16384);
    OK(opt_help(&prog, sets, 2, &b, &e) == 0, "help is written");
    IS_STR(buf_text(&b), want_help, "as laid out");
    buf_clear(&b);
    OK(opt_man(&prog, sets, 2, "1.2", "2026-11-20", &b, &e) == 0, "the manual page is written");
    OK(strncmp(buf_text(&b),
               ".TH WALDEN-TEST 1 \"2026-11-20\" \"Walden 1.2\"\n.SH NAME\nwalden\\-test \\- try",
               70) == 0,
       "its head");
    OK(strstr(buf_text(&b), ".TP\n\\fB\\-D, \\-\\-data\\-dir=DIR\\fR\na directory") != NULL,
       "an option");
    OK(strstr(buf_text(&b), ".\n.\\\" one of pause promote\n.TP\n\\fB\\-\\-target") != NULL,
       "the words of one that takes words");
    OK(strstr(buf_text(&b), "sure") == NULL, "hidden options stay hidden");
    test_shown();
    OK(strstr(buf_text(&b), ".SH EXIT STATUS\n.nf\n0  all") != NULL, "the exit status");
    buf_fini(&b);
    buf_init(&b, 100);
    OK(opt_help(&prog, sets, 2, &b, &e) == -1 && e.code == ERR_NOMEM, "a failure is not swallowed");
    buf_fini(&b);
}

int main(void)
{
    test_good();
    test_rules();
    test_kinds();
    test_common();
    test_bad();
    test_operands();
    test_help();
    return tap_done();
}

/* repo/settings: where a value comes from, who wins, and what is refused. */
#include "repo/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "unit/tap.h"

static char dir[64];
static char file[96];

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");

    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        OK(false, "the configuration file is written");
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Flags and environment as a program would get them; --config is added unless the flags begin
 * with a NULL. */
static int load(struct settings *s, const char *const *flags, const char *const *env,
                enum settings_reader reader, struct err *e)
{
    static const struct opt_program prog = {
        .name = "walden", .operands = "", .summary = "", .examples = "", .exits = ""};
    static char store[40][1200]; /* values are borrowed from here */
    char *argv[20] = {store[0]};
    char *envp[20] = {NULL};
    struct opt_args args;
    struct opt_set set;
    int argc = 1;
    int n = 1;

    settings_init(s);
    err_clear(e);
    set = settings_options(s);
    if (flags != NULL) {
        (void)snprintf(store[n], sizeof store[0], "--config=%s", file);
        argv[argc++] = store[n++];
        for (; *flags != NULL; flags++) {
            (void)snprintf(store[n], sizeof store[0], "%s", *flags);
            argv[argc++] = store[n++];
        }
    }
    for (int i = 0; env != NULL && env[i] != NULL; i++) {
        (void)snprintf(store[n], sizeof store[0], "%s", env[i]);
        envp[i] = store[n++];
    }
    if (opt_parse(&prog, &set, 1, argc, argv, &args, e) != 0)
        return -1;
    return settings_load(s, envp, reader, e);
}

static const char *const no_words[] = {NULL};

static size_t index_of(const char *key)
{
    size_t i = 0;

    while (settings_key(i) != NULL && strcmp(settings_key(i), key) != 0)
        i++;
    return i;
}

static const char *place(const struct settings *s, const char *key)
{
    static char text[256];

    settings_place(s, index_of(key), text, sizeof text);
    return text;
}

static void test_repo_alone(void)
{
    struct settings s;
    struct err e = {0};
    size_t n = 0;

    write_file("repo = /srv/walden\n");
    OK(load(&s, no_words, NULL, SETTINGS_HOOK, &e) == 0, "repo alone suffices");
    IS_STR(s.repo, "/srv/walden", "repo");
    IS_STR(s.cluster, "main", "the default cluster");
    OK(s.compression == SETTINGS_LZ4 && s.on_trouble == SETTINGS_FAIL && s.system_id == 0 &&
           s.jobs == 0 && s.max_rate == 0 && s.n_recipients == 0 && s.recipients_file == NULL &&
           s.keep_backups.rule.daily == 0,
       "the other defaults");
    OK(settings_deadline(&s, 16 << 20) == 30000000 && settings_deadline(&s, 1 << 20) == 30000000 &&
           settings_deadline(&s, 64 << 20) == 120000000 &&
           settings_deadline(&s, UINT64_MAX) == UINT64_C(1920000000),
       "the deadline grows with the segment");
    OK(settings_need(&s, "repo", &e) == 0, "repo is there");
    OK(settings_need(&s, "host_key", &e) == -1 && e.code == ERR_CONFIG, "the host key is not");
    IS_STR(e.msg, "the setting \"host_key\" is missing", "and is asked for");
    OK(strstr(e.hint, "WALDEN_HOST_KEY") != NULL && strstr(e.hint, "--host-key") != NULL,
       "with every way to give it");
    while (settings_key(n) != NULL)
        n++;
    OK(n > 0 && n <= SETTINGS_MAX, "there are at most 25 settings (%zu)", n);
    settings_fini(&s);
}

static void test_precedence(void)
{
    struct settings s;
    struct err e = {0};
    char want[128];

    write_file("# head\nrepo = /f\njobs = 1\ncluster = 'f'\ndeadline = 5s\n");
    OK(load(&s, WORDS("--repo=/flag", "--deadline", "7s"),
            WORDS("WALDEN_REPO=/e", "WALDEN_JOBS=2", "HOME=/", "WALDEN_CLUSTER="), SETTINGS_PROGRAM,
            &e) == 0,
       "flags, environment and file together");
    IS_STR(s.repo, "/flag", "a flag beats both");
    OK(s.jobs == 2, "the environment beats the file");
    IS_STR(s.cluster, "f", "an empty variable counts as not set");
    OK(s.deadline == 7000000 && settings_deadline(&s, 1 << 30) == 7000000, "a flag beats the file");
    OK(s.warnings.n == 0, "nothing to warn of");
    IS_STR(place(&s, "repo"), "--repo", "the place of a flag");
    IS_STR(place(&s, "jobs"), "WALDEN_JOBS", "the place of a variable");
    (void)snprintf(want, sizeof want, "%s:4", file);
    IS_STR(place(&s, "cluster"), want, "the place of a line");
    IS_STR(place(&s, "pgdata"), "default", "the place of a default");
    IS_STR(s.origin[index_of("jobs")].text, "2", "the text as it was written");
    OK(s.origin[index_of("jobs")].line == 3, "the line that was beaten is known");
    settings_fini(&s);

    OK(load(&s, NULL, WORDS("WALDEN_CONFIG=/nowhere/walden.conf"), SETTINGS_HOOK, &e) == -1 &&
           e.code == ERR_CONFIG,
       "a chosen file must exist");
    IS_STR(e.msg, "configuration file \"/nowhere/walden.conf\" does not exist", "and is named");
    settings_fini(&s);
    (void)snprintf(want, sizeof want, "WALDEN_CONFIG=%s", file);
    OK(load(&s, NULL, WORDS(want), SETTINGS_HOOK, &e) == 0 && strcmp(s.repo, "/f") == 0,
       "WALDEN_CONFIG names the file");
    settings_fini(&s);
    OK(load(&s, no_words, WORDS("WALDEN_CONFIG=/nowhere/walden.conf"), SETTINGS_HOOK, &e) == 0,
       "--config beats WALDEN_CONFIG");
    settings_fini(&s);
    OK(load(&s, NULL, WORDS("WALDEN_CONFIG=w.conf"), SETTINGS_HOOK, &e) == -1 &&
           strstr(e.msg, "not an absolute path") != NULL,
       "a hook refuses a relative configuration file");
    settings_fini(&s);
}

static void test_default_file(void)
{
    struct settings s;
    struct err e = {0};

    if (access(SETTINGS_FILE, F_OK) == 0) {
        SKIP("this machine has one", "no configuration file at all");
        return;
    }
    OK(load(&s, NULL, WORDS("WALDEN_REPO=/e"), SETTINGS_HOOK, &e) == 0 && s.config == NULL &&
           strcmp(s.repo, "/e") == 0,
       "no configuration file at all");
    settings_fini(&s);
}

static void test_values(void)
{
    struct settings s;
    struct err e = {0};

    write_file("repo_id = 000102030405060708090a0b0c0d0e0f\n"
               "system_id = 7300000000000000001\n"
               "compression = none\n"
               "recipients = 00000000000000000000000000000000000000000000000000000000000000aa "
               "00000000000000000000000000000000000000000000000000000000000000bb\n"
               "sealed_from = ff000000000000000000000000000000000000000000000000000000000000ee\n"
               "max_rate = 32MB # per second\n"
               "keep_backups = last=3 daily=7 weekly=4 monthly=6 yearly=1 within=30d "
               "release:last=2 test:all release:within=2d\n"
               "keep_dumps = all\n"
               "wal_within = 14d\n"
               "require_copy = nas  cellar\n"
               "on_trouble = drop-and-record\n"
               "notify_command = 'mail -s ''walden'' root # not a comment'\n"
               "dsn = host=/run/x passfile=/etc/p require_auth=password\n");
    if (!OK(load(&s, no_words, NULL, SETTINGS_PROGRAM, &e) == 0, "every kind of value"))
        printf("# %s\n", e.msg);
    OK(settings_is_set(&s, "repo_id") && s.repo_id[0] == 0 && s.repo_id[15] == 15, "repo_id");
    OK(s.system_id == UINT64_C(7300000000000000001), "system_id");
    OK(s.compression == SETTINGS_NO_COMPRESSION, "compression");
    OK(s.n_recipients == 2 && s.recipients[0][31] == 0xaa && s.recipients[1][31] == 0xbb,
       "recipients");
    OK(s.sealed_from[0] == 0xff && s.sealed_from[31] == 0xee, "sealed_from");
    OK(s.max_rate == 32 << 20, "max_rate");
    OK(s.keep_backups.rule.last == 3 && s.keep_backups.rule.daily == 7 &&
           s.keep_backups.rule.weekly == 4 && s.keep_backups.rule.monthly == 6 &&
           s.keep_backups.rule.yearly == 1 && s.keep_backups.rule.within == UINT64_C(2592000000000),
       "keep_backups");
    OK(s.keep_backups.n == 2 && strcmp(s.keep_backups.named[0].name, "release") == 0 &&
           s.keep_backups.named[0].rule.last == 2 &&
           s.keep_backups.named[0].rule.within == UINT64_C(172800000000) &&
           strcmp(s.keep_backups.named[1].name, "test") == 0 &&
           s.keep_backups.named[1].rule.last == 0 && s.keep_dumps.n == 0,
       "rules of tags");
    OK(s.wal_within == UINT64_C(1209600000000), "wal_within");
    IS_STR(s.require_copy, "nas  cellar", "require_copy");
    OK(s.on_trouble == SETTINGS_DROP_AND_RECORD, "on_trouble");
    IS_STR(s.notify_command, "mail -s 'walden' root # not a comment", "notify_command");
    IS_STR(s.dsn, "host=/run/x passfile=/etc/p require_auth=password", "dsn");
    settings_fini(&s);

    write_file("recipients = /etc/walden/recovery.pub\n");
    OK(load(&s, no_words, NULL, SETTINGS_HOOK, &e) == 0 && s.n_recipients == 0 &&
           strcmp(s.recipients_file, "/etc/walden/recovery.pub") == 0,
       "recipients in a file");
    settings_fini(&s);
    OK(load(&s,
            WORDS("--recipients="
                  "00000000000000000000000000000000000000000000000000000000000000aa"),
            NULL, SETTINGS_HOOK, &e) == 0 &&
           s.n_recipients == 1 && s.recipients_file == NULL,
       "a flag with keys beats the file's path");
    settings_fini(&s);
}

#define K64 "00000000000000000000000000000000000000000000000000000000000000"

static void test_refused(void)
{
    static const struct {
        const char *text;
        const char *msg; /* behind FILE */
        const char *hint;
    } cases[] = {
        {"rpeo = /x\n", ":1: unknown key \"rpeo\"", "Did you mean \"repo\"?"},
        {"\nkeep-backups = daily=1\n", ":2: unknown key \"keep-backups\"",
         "Did you mean \"keep_backups\"?"},
        {"config = /x\n", ":1: unknown key \"config\"", NULL},
        {"repo = x\n", ":1: repo: \"x\" is not an absolute path", NULL},
        {"repo = ''\n", ":1: repo: the value is empty", NULL},
        {"repo = /a\nrepo = /b\n", ":2: repo is set twice, first in line 1", NULL},
        {"jobs = 65\n", ":1: jobs: 65 is outside the valid range (0 .. 64)", NULL},
        {"jobs = four\n", ":1: jobs: \"four\" is not a whole number", NULL},
        {"deadline = 30\n",
         ":1: deadline: \"30\" has no unit; write us, ms, s, min, h or d behind it", NULL},
        {"deadline = 2d\n", ":1: deadline: 2d is outside the valid range (1s .. 1d)", NULL},
        {"max_rate = 16mb\n",
         ":1: max_rate: \"16mb\" has an unknown unit; valid units are B, kB, MB, GB or TB",
         "Did you mean \"16MB\"? The case matters."},
        {"max_rate = 31kB\n", ":1: max_rate: 31kB is outside the valid range (32kB .. 1GB)", NULL},
        {"compression = lz\n", ":1: compression: \"lz\" is not one of lz4 or none",
         "Did you mean \"lz4\"?"},
        {"cluster = ../x\n",
         ":1: cluster: name \"../x\" holds other characters than letters, digits, . _ and -", NULL},
        {"system_id = 0\n",
         ":1: system_id: 0 is outside the valid range (1 .. 18446744073709551615)", NULL},
        {"repo_id = 12\n", ":1: repo_id: 32 hexadecimal digits expected, not 2", NULL},
        {"recipients = abc\n", ":1: recipients: key 1: 64 hexadecimal digits expected, not 3",
         NULL},
        {"recipients = " K64 "aa " K64 "AA\n", ":1: recipients: keys 1 and 2 are the same", NULL},
        {"keep_backups = dayly=7\n",
         ":1: keep_backups: \"dayly\" is not one of last, daily, weekly, monthly, yearly or within",
         "Did you mean \"daily\"?"},
        {"keep_backups = 7\n", ":1: keep_backups: \"7\" has no \"=\"", NULL},
        {"keep_backups = daily=0\n",
         ":1: keep_backups: daily: 0 is outside the valid range (1 .. 10000)", NULL},
        {"keep_dumps = last=1 last=2\n", ":1: keep_dumps: \"last\" is there twice", NULL},
        {"keep_dumps = within=30\n",
         ":1: keep_dumps: within: \"30\" has no unit; write us, ms, s, min, h or d behind it",
         NULL},
        {"keep_backups = a:daily\n", ":1: keep_backups: \"daily\" has no \"=\"", NULL},
        {"keep_backups = a:last=1 a:all\n",
         ":1: keep_backups: \"a:all\" stands beside another rule for it", NULL},
        {"keep_backups = :last=1\n", ":1: keep_backups: \"\" is no name of a tag or job", NULL},
        {"require_copy = a/b\n",
         ":1: require_copy: name \"a/b\" holds other characters than letters, digits, . _ and -",
         NULL},
        {"dsn = host=x password=y\n", ":1: dsn: a connection string must not hold a password",
         "Put the password into ~/.pgpass, or name a file with passfile=."},
        {"dsn = host=x sslpassword = y\n", ":1: dsn: a connection string must not hold a password",
         NULL},
        {"dsn = postgresql://u:p@h/db\n", ":1: dsn: a connection string must not hold a password",
         NULL},
        {"on_trouble = drop\n", ":1: on_trouble: \"drop\" is not one of fail or drop-and-record",
         NULL},
        {"repo = /a\n[dmup x]\n",
         ":2: unknown section [dmup x]; there are dump, drill, hook, repo and run",
         "Did you mean [dump x]?"},
        {"[dump x]\na = 1\na = 2\n", ":3: a is set twice in this section, first in line 2", NULL},
        {"[dump x]\n[repo x]\n[dump x]\n", ":3: section [dump x] is there twice, first in line 1",
         NULL},
        {"[dump x]\na=1\nb=1\nc=1\nd=1\ne=1\nf=1\ng=1\nh=1\ni=1\nj=1\nk=1\nl=1\nm=1\n",
         ":14: section [dump x] has more than 12 keys", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings s;
        struct err e = {0};
        char want[512];

        write_file(cases[i].text);
        OK(load(&s, no_words, NULL, SETTINGS_PROGRAM, &e) == -1 && e.code == ERR_CONFIG,
           "file %zu is refused", i);
        (void)snprintf(want, sizeof want, "%s%s", file, cases[i].msg);
        IS_STR(e.msg, want, "its message");
        if (cases[i].hint != NULL)
            IS_STR(e.hint, cases[i].hint, "its hint");
        settings_fini(&s);
    }
}

static void test_good_dsn(void)
{
    static const char *const good[] = {"postgresql://u@h:5432/db?passfile=/x",
                                       "postgresql://h:5432/db", "postgresql://h:1,g:2/db?x=a@b",
                                       "service=main"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct settings s;
        struct err e = {0};
        char flag[128];

        write_file("");
        (void)snprintf(flag, sizeof flag, "--dsn=%s", good[i]);
        OK(load(&s, WORDS(flag), NULL, SETTINGS_PROGRAM, &e) == 0, "no password in %s", good[i]);
        settings_fini(&s);
    }
}

static void test_beaten_is_checked(void)
{
    struct settings s;
    struct err e = {0};

    write_file("jobs = many\n");
    OK(load(&s, WORDS("--jobs=3"), NULL, SETTINGS_HOOK, &e) == -1 && s.jobs == 3,
       "a wrong value in the file is refused also where a flag beats it");
    settings_fini(&s);
    write_file("recipients = " K64 "aa\nkeep_backups = daily=9\n");
    OK(load(&s, WORDS("--keep-backups=last=2", "--recipients=" K64 "cc"), NULL, SETTINGS_HOOK,
            &e) == 0 &&
           s.keep_backups.rule.last == 2 && s.keep_backups.rule.daily == 0 &&
           s.recipients[0][31] == 0xcc,
       "a beaten value leaves no trace");
    settings_fini(&s);
    OK(load(&s, WORDS("--jobs=3"), WORDS("WALDEN_JOBS=-1"), SETTINGS_HOOK, &e) == -1 &&
           e.code == ERR_CONFIG,
       "so is a wrong variable");
    IS_STR(e.msg, "WALDEN_JOBS: \"-1\" is not a whole number", "which is named");
    settings_fini(&s);
    OK(load(&s, WORDS("--jobs=-1"), NULL, SETTINGS_HOOK, &e) == -1 && e.code == ERR_USAGE,
       "a wrong flag is a usage error");
    IS_STR(e.msg, "--jobs: \"-1\" is not a whole number", "and is named");
    settings_fini(&s);
}

static void test_hook(void)
{
    static const char text[] = "repo = /r\n[dmup x]\n\x01\nnonsense\n";
    struct settings s;
    struct err e = {0};

    write_file(text);
    OK(load(&s, no_words, NULL, SETTINGS_HOOK, &e) == 0 && s.rows.n == 0,
       "a hook is not stopped by a mistake in a section");
    settings_fini(&s);
    OK(load(&s, no_words, NULL, SETTINGS_PROGRAM, &e) == -1, "a program is");
    settings_fini(&s);
    write_file("nonsense\n[dump x]\n");
    OK(load(&s, no_words, NULL, SETTINGS_HOOK, &e) == -1,
       "a mistake in the main part stops a hook too");
    settings_fini(&s);
}

static void test_sections(void)
{
    struct settings s;
    struct err e = {0};
    char big[8000] = "";
    size_t n = 0;

    write_file(
        "repo = /r\n[dump night]\ntables = 'a b'\nat = 3h\n\n[repo nas]\n[dump day]\nat = 1h\n");
    OK(load(&s, no_words, NULL, SETTINGS_PROGRAM, &e) == 0 && s.rows.n == 6, "sections are kept");
    OK(s.rows.v[0].key == NULL && strcmp(s.rows.v[0].kind, "dump") == 0 &&
           strcmp(s.rows.v[0].name, "night") == 0 && s.rows.v[0].line == 2,
       "with their heads");
    OK(strcmp(s.rows.v[1].key, "tables") == 0 && strcmp(s.rows.v[1].value, "a b") == 0 &&
           s.rows.v[1].line == 3 && strcmp(s.rows.v[1].name, "night") == 0,
       "and their lines");
    OK(s.rows.v[3].key == NULL && strcmp(s.rows.v[3].kind, "repo") == 0, "also an empty one");
    OK(strcmp(s.rows.v[5].name, "day") == 0 && strcmp(s.rows.v[5].key, "at") == 0,
       "a key may come again in another section");
    settings_fini(&s);
    for (int i = 0; i < SETTINGS_SECTIONS_MAX + 1; i++)
        n += (size_t)snprintf(big + n, sizeof big - n, "[repo r%d]\n", i);
    write_file(big);
    OK(load(&s, no_words, NULL, SETTINGS_PROGRAM, &e) == -1 && e.code == ERR_CONFIG &&
           strstr(e.msg, ":257: there are more than 256 sections") != NULL,
       "too many sections are refused");
    settings_fini(&s);
}

static void test_warnings(void)
{
    struct settings s;
    struct err e = {0};

    write_file("");
    OK(load(&s, no_words, WORDS("WALDEN_RPEO=/x", "WALDEN_CONFG=/x", "WALDEN_ZZZZ=1", "WALDENX=1"),
            SETTINGS_HOOK, &e) == 0 &&
           s.warnings.n == 3,
       "unknown variables stop nothing");
    IS_STR(s.warnings.v[0],
           "environment variable WALDEN_RPEO is not a setting and is ignored (did you mean "
           "WALDEN_REPO?)",
           "the likely one is named");
    IS_STR(s.warnings.v[1],
           "environment variable WALDEN_CONFG is not a setting and is ignored (did you mean "
           "WALDEN_CONFIG?)",
           "also WALDEN_CONFIG");
    IS_STR(s.warnings.v[2], "environment variable WALDEN_ZZZZ is not a setting and is ignored",
           "or none");
    settings_fini(&s);
}

static void test_help(void)
{
    static const struct opt_program prog = {.name = "walden-x",
                                            .operands = "",
                                            .summary = "s",
                                            .examples = "walden-x\n",
                                            .exits = "0  ok\n"};
    struct settings s;
    struct opt_set set;
    struct err e = {0};
    struct buf b;
    bool all = true;
    bool narrow = true;
    size_t line = 0;

    settings_init(&s);
    set = settings_options(&s);
    buf_init(&b, 16384);
    OK(opt_help(&prog, &set, 1, &b, &e) == 0, "--help of the settings");
    for (size_t i = 0; settings_key(i) != NULL; i++) {
        char flag[64];

        (void)snprintf(flag, sizeof flag, " --%s=", settings_key(i));
        for (char *c = flag; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        all = all && strstr(buf_text(&b), flag) != NULL;
    }
    for (const char *c = buf_text(&b); *c != '\0'; c++) {
        line = *c == '\n' ? 0 : line + 1;
        narrow = narrow && line <= 80;
    }
    OK(all, "names every one");
    OK(narrow, "in 80 columns");
    buf_fini(&b);
    settings_fini(&s);
}

int main(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/settings_test.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 2;
    (void)snprintf(file, sizeof file, "%s/walden.conf", dir);
    test_repo_alone();
    test_precedence();
    test_default_file();
    test_values();
    test_refused();
    test_good_dsn();
    test_beaten_is_checked();
    test_hook();
    test_sections();
    test_warnings();
    test_help();
    (void)unlink(file);
    (void)rmdir(dir);
    return tap_done();
}

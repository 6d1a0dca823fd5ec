/*
 * walden verify: reads everything back, as deep as the keys that are here allow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "command.h"
#include "object/secret.h"
#include "os/time.h"
#include "os/tty.h"
#include "repo/verify.h"
#include "survey.h"

struct options {
    bool json;
    uint64_t timeline;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "print one JSON object instead of text"},
    {.name = "timeline",
     .kind = OPT_U64,
     .arg = "TLI",
     .min = 1,
     .max = UINT32_MAX,
     .offset = offsetof(struct options, timeline),
     .help = "read back this timeline only; of the others only names and histories are looked at"},
};

static const struct opt_program program = {
    .name = "walden verify",
    .operands = "",
    .summary = "read everything back: decrypt, expand, check digests and every WAL record",
    .examples =
        "walden verify                                 with the keys of the configuration\n"
        "walden verify --secret-key /mnt/stick/recovery.key   all the way, where it is sealed\n"
        "walden verify --timeline 3 --json\n",
    .exits = "0    all that could be read with the keys here is sound\n"
             "1    damage, a hole or another problem was found\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety\n"
             "130  interrupted\n",
};

/* --- progress, for a person who waits --- */

enum { PATIENCE_US = 2 * 1000 * 1000, EVERY_US = 200 * 1000 };

struct progress {
    int64_t next; /* on the monotonic clock */
    bool shown;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
    struct progress *p = arg;
    int64_t now = os_mono_us();

    if (now < p->next)
        return;
    p->next = now + EVERY_US;
    p->shown = true;
    fprintf(stderr, "\rwalden verify: %llu of %llu objects (%u %%)", (unsigned long long)done,
            (unsigned long long)total, (unsigned)(total == 0 ? 100 : done * 100 / total));
}

static void end_progress(const struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%60s\r", "");
}

/* --- the result --- */

static const char *level_of(const struct verify *v)
{
    if (v->only_stored == 0)
        return v->content == 0 ? "none" : "content";
    return v->content == 0 ? "stored" : "mixed";
}

static int show_level(const struct verify *v, struct buf *out, struct err *e)
{
    char size[SURVEY_SIZE_MAX];

    survey_size(size, v->bytes);
    if (v->content > 0 &&
        buf_fmt(out, e, "read back whole: %llu objects, %s; every WAL record was checked\n",
                (unsigned long long)v->content, size) != 0)
        return -1;
    if (v->only_stored == 0)
        return 0;
    return buf_fmt(out, e,
                   "proven by digest and signature only: %llu objects; without a secret key "
                   "nobody can look inside (--secret-key)\n",
                   (unsigned long long)v->only_stored);
}

static int print_text(const struct survey *s, const struct verify *v, struct err *e)
{
    size_t problems = survey_problems(s);
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    rc = survey_show_repo(s, &b, e);
    for (size_t i = 0; rc == 0 && i < s->lineages.n; i++) {
        rc = survey_show_lineage(&s->lineages.v[i], &b, e);
        if (rc == 0)
            rc = survey_show_problems(&s->lineages.v[i], &b, e);
    }
    if (rc == 0)
        rc = buf_str(&b, "\n", e);
    if (rc == 0)
        rc = show_level(v, &b, e);
    if (rc == 0)
        rc = problems == 0 ? buf_str(&b,
                                     v->content + v->only_stored == 0 ? "there is nothing to read\n"
                                                                      : "no problem was found\n",
                                     e)
                           : buf_fmt(&b, e, "%zu problem%s\n", problems, problems == 1 ? "" : "s");
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static int print_json(const struct survey *s, const struct verify *v, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    survey_json_repo(s, &j);
    json_str(&j, "level", level_of(v));
    json_num(&j, "proven_content", v->content);
    json_num(&j, "proven_stored", v->only_stored);
    json_num(&j, "content_bytes", v->bytes);
    survey_json_problems(s, &j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

static int read_all(struct survey *s, const struct settings *settings, const struct options *mine,
                    struct verify *v, struct err *e)
{
    struct progress progress = {.next = os_mono_us() + PATIENCE_US};
    struct scan_how how = {.timeline = (tli_t)mine->timeline,
                           .deep = verify_object,
                           .arg = v,
                           .progress_arg = &progress};
    int rc = 0;

    if (os_tty_is(STDERR_FILENO) && !mine->json)
        how.progress = show_progress;
    for (size_t i = 0; rc == 0 && i < s->lineages.n; i++) {
        v->system_id = s->lineages.v[i].system_id;
        rc = survey_scan(s, settings, &s->lineages.v[i], &how, e);
    }
    end_progress(&progress);
    if (rc == 0)
        rc = mine->json ? print_json(s, v, e) : print_text(s, v, e);
    return rc;
}

/* The exit status, or -1 with *e. */
static int verify(const struct settings *settings, const struct options *mine, struct err *e)
{
    struct survey *s = calloc(1, sizeof *s);
    struct verify *v = calloc(1, sizeof *v);
    int rc = -1;

    if (s == NULL || v == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to read the repository with");
    } else if (secret_start(e) == 0 && survey_open(s, settings, e) == 0) {
        verify_init(v, 0);
        rc = read_all(s, settings, mine, v, e);
        if (rc == 0)
            rc = survey_problems(s) == 0 ? STATUS_OK : STATUS_PROBLEM;
        verify_fini(v);
        survey_close(s);
    }
    free(v);
    free(s);
    return rc;
}

int cmd_verify(int argc, char **argv)
{
    const struct msg m = {program.name, MSG_NORMAL};
    struct settings settings;
    struct options mine = {0};
    struct opt_set sets[2];
    struct opt_args args;
    struct err e = {0};
    int status;

    settings_init(&settings);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &mine, NULL, NULL};
    sets[1] = settings_options(&settings);
    if (command_parse(&program, sets, 2, argc, argv, &args, &status) == 0) {
        status = command_settings(&settings, &m, &e);
        if (status == 0)
            status = verify(&settings, &mine, &e);
        if (status < 0)
            status = command_fail(&m, &e);
    }
    settings_fini(&settings);
    return status;
}

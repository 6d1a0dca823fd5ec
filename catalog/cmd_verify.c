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
#include "repo/verify_backups.h"
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
     .help = "read back the WAL of this timeline only, and no base backup"},
};

static const struct opt_program program = {
    .name = "walden verify",
    .operands = "",
    .summary =
        "read everything back: decrypt, expand, check every WAL record, rebuild every backup",
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

/* What was read back. */
struct result {
    struct verify wal;
    struct verify_backups backups;
};

static void show_share(struct progress *p, const char *what, uint64_t done, uint64_t total)
{
    int64_t now = os_mono_us();

    if (now < p->next)
        return;
    p->next = now + EVERY_US;
    p->shown = true;
    fprintf(stderr, "\rwalden verify: %llu of %llu %s (%u %%)    ", (unsigned long long)done,
            (unsigned long long)total, what, (unsigned)(total == 0 ? 100 : done * 100 / total));
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
    show_share(arg, "WAL objects", done, total);
}

static void show_backup_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    show_share(arg, what, done, total);
}

static void end_progress(const struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%60s\r", "");
}

/* --- the result --- */

/* Objects whose content was proven, and those of which only the stored bytes were. */
static uint64_t content_of(const struct result *r)
{
    return r->wal.content + r->backups.packs_content + r->backups.rebuilt;
}

static uint64_t stored_of(const struct result *r)
{
    return r->wal.only_stored + r->backups.packs_stored + r->backups.whole - r->backups.rebuilt;
}

static const char *level_of(const struct result *r)
{
    if (stored_of(r) == 0)
        return content_of(r) == 0 ? "none" : "content";
    return content_of(r) == 0 ? "stored" : "mixed";
}

static int show_backups(const struct verify_backups *v, struct buf *out, struct err *e)
{
    char size[SURVEY_SIZE_MAX];

    survey_size(size, v->bytes);
    if (v->rebuilt > 0 &&
        buf_fmt(
            out, e,
            "rebuilt: %llu base backup%s, %llu files, %s; every checksum is that of the server\n",
            (unsigned long long)v->rebuilt, v->rebuilt == 1 ? "" : "s",
            (unsigned long long)v->files, size) != 0)
        return -1;
    if (v->bad_entries == 0)
        return 0;
    if (v->unrecorded[0] == '\0')
        return buf_fmt(out, e,
                       "damaged pack entries: %llu; they are on record, and the next base backup "
                       "stores their pages afresh\n",
                       (unsigned long long)v->bad_entries);
    return buf_fmt(out, e,
                   "damaged pack entries: %llu, not put on record here: %s\n"
                   "run \"walden verify\" on the host that takes the backups, as the user who owns "
                   "the repository, so that the next one stores their pages afresh\n",
                   (unsigned long long)v->bad_entries, v->unrecorded);
}

static int show_level(const struct result *r, struct buf *out, struct err *e)
{
    char size[SURVEY_SIZE_MAX];

    survey_size(size, r->wal.bytes);
    if (r->wal.content > 0 &&
        buf_fmt(out, e, "read back whole: %llu objects, %s; every WAL record was checked\n",
                (unsigned long long)r->wal.content, size) != 0)
        return -1;
    if (show_backups(&r->backups, out, e) != 0)
        return -1;
    if (stored_of(r) == 0)
        return 0;
    return buf_fmt(out, e,
                   "proven by digest and signature only: %llu objects; without a secret key "
                   "nobody can look inside (--secret-key)\n",
                   (unsigned long long)stored_of(r));
}

static int print_text(const struct survey *s, const struct result *r, struct err *e)
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
        rc = show_level(r, &b, e);
    if (rc == 0)
        rc = problems == 0
                 ? buf_str(&b,
                           content_of(r) + stored_of(r) == 0 ? "there is nothing to read\n"
                                                             : "no problem was found\n",
                           e)
                 : buf_fmt(&b, e, "%zu problem%s\n", problems, problems == 1 ? "" : "s");
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static void json_backups(struct json_out *j, const struct verify_backups *v)
{
    json_object(j, "backups");
    json_num(j, "looked_at", v->backups);
    json_num(j, "whole", v->whole);
    json_num(j, "rebuilt", v->rebuilt);
    json_num(j, "files", v->files);
    json_num(j, "bytes", v->bytes);
    json_num(j, "packs", v->packs_content + v->packs_stored);
    json_num(j, "pack_bytes", v->pack_bytes);
    json_num(j, "damaged_entries", v->bad_entries);
    json_num(j, "recorded_entries", v->recorded);
    json_object_end(j);
}

static int print_json(const struct survey *s, const struct result *r, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    survey_json_repo(s, &j);
    json_str(&j, "level", level_of(r));
    json_num(&j, "proven_content", content_of(r));
    json_num(&j, "proven_stored", stored_of(r));
    json_num(&j, "content_bytes", r->wal.bytes + r->backups.bytes);
    json_backups(&j, &r->backups);
    survey_json_problems(s, &j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

static int read_lineage(struct survey *s, const struct settings *settings,
                        const struct options *mine, struct survey_lineage *l, struct result *r,
                        struct progress *progress, struct err *e)
{
    bool shown = os_tty_is(STDERR_FILENO) && !mine->json;
    struct scan_how wal = {.timeline = (tli_t)mine->timeline,
                           .deep = verify_object,
                           .arg = &r->wal,
                           .progress = shown ? show_progress : NULL,
                           .progress_arg = progress};
    struct verify_backups_how backups = {.repo = &s->repo,
                                         .list = &l->backups,
                                         .problems = &l->scan.problems,
                                         .scratch = &s->reader,
                                         .progress = shown ? show_backup_progress : NULL,
                                         .arg = progress};

    r->wal.system_id = l->system_id;
    if (survey_scan(s, settings, l, &wal, e) != 0)
        return -1;
    if (l->major == 0 || mine->timeline != 0)
        return 0;
    return verify_backups(&r->backups, &backups, e);
}

static int read_all(struct survey *s, const struct settings *settings, const struct options *mine,
                    struct result *r, struct err *e)
{
    struct progress progress = {.next = os_mono_us() + PATIENCE_US};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->lineages.n; i++)
        rc = read_lineage(s, settings, mine, &s->lineages.v[i], r, &progress, e);
    end_progress(&progress);
    if (rc == 0)
        rc = mine->json ? print_json(s, r, e) : print_text(s, r, e);
    return rc;
}

/* The exit status, or -1 with *e. */
static int verify(const struct settings *settings, const struct options *mine, struct err *e)
{
    struct survey *s = calloc(1, sizeof *s);
    struct result *r = calloc(1, sizeof *r);
    int rc = -1;

    if (s == NULL || r == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to read the repository with");
    } else if (secret_start(e) == 0 && survey_open(s, settings, e) == 0) {
        verify_init(&r->wal, 0);
        rc = read_all(s, settings, mine, r, e);
        if (rc == 0)
            rc = survey_problems(s) == 0 ? STATUS_OK : STATUS_PROBLEM;
        verify_fini(&r->wal);
        survey_close(s);
    }
    free(r);
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

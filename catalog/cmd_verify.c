/*
 * walden verify: reads everything back, as deep as the keys that are here allow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "command.h"
#include "object/secret.h"
#include "os/time.h"
#include "os/tty.h"
#include "repo/verify_drills.h"
#include "repo/verify_pool.h"
#include "verify.h"

struct options {
    bool json;
    bool fresh;
    uint64_t timeline;
    uint32_t parts;
};

/* "1/7", or a number of parts. */
static int take_sample(void *base, const struct opt *opt, const char *text, struct err *e)
{
    uint32_t *parts = &((struct options *)base)->parts;

    (void)opt;
    if (strncmp(text, "1/", 2) == 0)
        text += 2;
    if (parse_u32(text, 1, VERIFIED_PARTS_MAX, parts, e) == 0)
        return 0;
    return err_hint(e, "Write the part as 1/N, with N at most %d: 1/7 is a seventh.",
                    VERIFIED_PARTS_MAX);
}

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
     .help = "read back the WAL of this timeline only, no base backup and no dump"},
    {.name = "sample",
     .kind = OPT_CALL,
     .arg = "1/N",
     .offset = offsetof(struct options, parts),
     .call = take_sample,
     .help = "read one part of N, the one that was not read for the longest time: N runs read "
             "everything"},
    {.name = "fresh",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, fresh),
     .help = "begin anew also where an interrupted run could be gone on with"},
};

static const struct opt_program program = {
    .name = "walden verify",
    .operands = "",
    .summary =
        "read everything back: decrypt, expand, check every WAL record, rebuild every backup",
    .examples =
        "walden verify                                 with the keys of the configuration\n"
        "walden verify --secret-key /mnt/stick/recovery.key   all the way, where it is sealed\n"
        "walden verify --sample 1/7          a seventh, the part that is due: for a job\n"
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
    const struct verify_result *result;
    const char *what; /* the phase in hand */
    int64_t began;    /* of the phase, on the monotonic clock */
    uint64_t from;    /* done and bytes then */
    uint64_t from_bytes;
    int64_t next;
    bool shown;
};

/* "85.0 MB/s, about 2min left" */
static void show_rate(char *out, size_t cap, const struct progress *p, int64_t now, uint64_t done,
                      uint64_t total, uint64_t bytes)
{
    uint64_t took = (uint64_t)(now - p->began);
    char rate[SURVEY_SIZE_MAX];
    char left[TEXT_SIZE_MAX];

    out[0] = '\0';
    if (took < PATIENCE_US || done <= p->from)
        return;
    survey_size(rate, (bytes - p->from_bytes) * 1000 / (took / 1000));
    text_duration(left, took / 1000 * (total - done) / (done - p->from) / 1000 * 1000000 + 1000000);
    (void)snprintf(out, cap, ", %s/s, about %s left", rate, left);
}

static void show_share(struct progress *p, const char *what, uint64_t done, uint64_t total,
                       uint64_t bytes)
{
    int64_t now = os_mono_us();
    char rate[96];

    if (p->what == NULL || strcmp(p->what, what) != 0) {
        p->what = what;
        p->began = now;
        p->from = done;
        p->from_bytes = bytes;
    }
    if (now < p->next)
        return;
    p->next = now + EVERY_US;
    p->shown = true;
    show_rate(rate, sizeof rate, p, now, done, total, bytes);
    fprintf(stderr, "\rwalden verify: %llu of %llu %s (%u %%)%s    ", (unsigned long long)done,
            (unsigned long long)total, what, (unsigned)(total == 0 ? 100 : done * 100 / total),
            rate);
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
    struct progress *p = arg;

    show_share(p, "WAL objects", done, total, p->result->wal.bytes);
}

static void show_backup_progress(void *arg, const char *what, uint64_t done, uint64_t total,
                                 uint64_t bytes)
{
    show_share(arg, what, done, total, bytes);
}

static void end_progress(const struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%79s\r", "");
}

/* --- one lineage --- */

struct reading {
    struct survey *survey;
    const struct settings *settings;
    const struct options *mine;
    struct verify_result *result;
    struct progress progress;
};

/* The threads begin with the first segment and end with the last. */
static int begin_segments(void *arg, const struct coverage *c, struct err *e)
{
    struct reading *rd = arg;
    struct verify *v = &rd->result->wal;
    struct verify_ahead_how how = {.repo = &rd->survey->repo,
                                   .cover = c,
                                   .log = v->log,
                                   .part = v->part,
                                   .timeline = (tli_t)rd->mine->timeline,
                                   .jobs = command_jobs(rd->settings, VERIFY_AHEAD_MAX)};

    verify_ahead_stop(v->ahead);
    v->ahead = NULL;
    if (c == NULL || how.jobs < 2)
        return 0;
    v->ahead = verify_ahead_start(&how, e);
    return v->ahead == NULL ? -1 : 0;
}

static int deep(void *arg, const struct scan_object *o, struct wal_summary *found, struct err *e)
{
    return verify_object(&((struct reading *)arg)->result->wal, o, found, e);
}

/* What is read, and what a run before this one has read of it. */
static int prepare(struct reading *rd, struct survey_lineage *l, struct verify_run *run,
                   struct err *e)
{
    struct survey *s = rd->survey;
    struct verify_result *r = rd->result;
    bool content = !s->repo.marker.sealed || s->repo.has_secret;
    struct err why = {0};

    r->wal.system_id = l->system_id;
    r->wal.part = (struct verify_part){1, 1};
    r->wal.wal.n = 0;
    r->wal.log = NULL;
    /* What is wrong with the lineage is said by the survey. */
    if (repo_use_lineage(&s->repo, rd->settings, l->cluster, l->system_id, &why) != 0)
        return 0;
    if (verify_choose(run, s, rd->mine->parts, e) != 0)
        return -1;
    r->wal.part = (struct verify_part){run->record.part, run->record.parts};
    if (rd->mine->timeline != 0)
        return 0;
    r->wal.log = &r->log;
    return verify_log_open(&r->log, &s->repo, rd->settings->state_dir, &r->wal.part, content,
                           rd->mine->fresh, e);
}

static int read_packs(struct reading *rd, struct survey_lineage *l, struct verify_run *run,
                      struct err *e)
{
    struct verify_result *r = rd->result;
    bool shown = os_tty_is(STDERR_FILENO) && !rd->mine->json;
    struct verify_backups_how how = {.repo = &rd->survey->repo,
                                     .list = &l->backups,
                                     .problems = &l->scan.problems,
                                     .scratch = &rd->survey->reader,
                                     .jobs = command_jobs(rd->settings, VERIFY_POOL_MAX),
                                     .part = r->wal.part,
                                     .log = r->wal.log,
                                     .verdicts = &run->record.backups,
                                     .progress = shown ? show_backup_progress : NULL,
                                     .arg = &rd->progress};

    return verify_backups(&r->backups, &how, e);
}

static int read_dumps(struct reading *rd, struct survey_lineage *l, struct verify_run *run,
                      struct err *e)
{
    bool shown = os_tty_is(STDERR_FILENO) && !rd->mine->json;
    struct verify_dumps_how how = {.repo = &rd->survey->repo,
                                   .list = &l->dumps,
                                   .problems = &l->scan.problems,
                                   .scratch = &rd->survey->reader,
                                   .part = rd->result->wal.part,
                                   .verdicts = &run->record.dumps,
                                   .progress = shown ? show_backup_progress : NULL,
                                   .arg = &rd->progress};

    if (verify_dumps(&rd->result->dumps, &how, e) != 0)
        return -1;
    return verify_drills(&l->drills, &rd->survey->repo, &rd->result->wal.part, &l->scan.problems,
                         &rd->result->drills, &rd->survey->reader, e);
}

static int read_objects(struct reading *rd, struct survey_lineage *l, struct verify_run *run,
                        struct err *e)
{
    struct verify_result *r = rd->result;
    bool shown = os_tty_is(STDERR_FILENO) && !rd->mine->json;
    struct scan_how wal = {.timeline = (tli_t)rd->mine->timeline,
                           .deep = deep,
                           .arg = rd,
                           .begin = begin_segments,
                           .progress = shown ? show_progress : NULL,
                           .progress_arg = &rd->progress};
    struct verify_count before = verify_counted(r);
    uint64_t resumed = r->wal.resumed + r->backups.resumed;
    int rc = survey_scan(rd->survey, rd->settings, l, &wal, e);

    verify_ahead_stop(r->wal.ahead);
    r->wal.ahead = NULL;
    if (rc != 0 || l->major == 0)
        return rc;
    if (rd->mine->timeline != 0) {
        (void)snprintf(run->unrecorded, sizeof run->unrecorded, "only one timeline was read");
        return 0;
    }
    if (read_packs(rd, l, run, e) != 0 || read_dumps(rd, l, run, e) != 0)
        return -1;
    run->resumed = r->wal.resumed + r->backups.resumed - resumed;
    if (verify_record(run, rd->survey, l, &before, r, e) != 0)
        return -1;
    verify_log_done(&r->log);
    return 0;
}

static int read_lineage(struct reading *rd, struct survey_lineage *l, struct err *e)
{
    struct verify_result *r = rd->result;
    struct verify_run *run = verify_runs_add(&r->runs, e);
    int rc;

    if (run == NULL)
        return -1;
    verified_init(&run->record);
    (void)snprintf(run->cluster, sizeof run->cluster, "%s", l->cluster);
    (void)snprintf(run->unrecorded, sizeof run->unrecorded, "it cannot be read");
    run->system_id = l->system_id;
    run->record.start = run->record.end = os_real_us();
    rc = prepare(rd, l, run, e);
    if (rc == 0 && r->log.resumed)
        run->record.start = r->log.start;
    if (rc == 0)
        rc = read_objects(rd, l, run, e);
    if (rc != 0 && e->code == ERR_INTERRUPTED)
        (void)err_hint(e, r->log.open
                              ? "The same command goes on where this one stopped."
                              : "The next run begins anew; with a state_dir it would go on.");
    verify_log_close(&r->log);
    return rc;
}

static int read_all(struct reading *rd, struct err *e)
{
    struct survey *s = rd->survey;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->lineages.n; i++)
        rc = read_lineage(rd, &s->lineages.v[i], e);
    end_progress(&rd->progress);
    if (rc == 0)
        rc = rd->mine->json ? verify_print_json(s, rd->result, e) : verify_print(s, rd->result, e);
    return rc;
}

static void result_fini(struct verify_result *r)
{
    verify_fini(&r->wal);
    for (size_t i = 0; i < r->runs.n; i++)
        verified_fini(&r->runs.v[i].record);
    verify_runs_fini(&r->runs);
}

/* The exit status, or -1 with *e. */
static int verify(const struct settings *settings, const struct options *mine, struct err *e)
{
    struct reading rd = {.survey = calloc(1, sizeof *rd.survey),
                         .settings = settings,
                         .mine = mine,
                         .result = calloc(1, sizeof *rd.result)};
    int rc = -1;

    rd.progress = (struct progress){.result = rd.result, .next = os_mono_us() + PATIENCE_US};
    if (rd.survey == NULL || rd.result == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to read the repository with");
    } else if (secret_start(e) == 0 && survey_open(rd.survey, settings, e) == 0) {
        verify_init(&rd.result->wal, 0);
        verify_runs_init(&rd.result->runs, SURVEY_MAX);
        rc = read_all(&rd, e);
        if (rc == 0)
            rc = survey_problems(rd.survey) == 0 ? STATUS_OK : STATUS_PROBLEM;
        result_fini(rd.result);
        survey_close(rd.survey);
    }
    free(rd.result);
    free(rd.survey);
    return rc;
}

static int body(const struct command_call *c, struct err *e)
{
    return verify(c->s, c->mine, e);
}

int cmd_verify(int argc, char **argv)
{
    struct options mine = {.parts = 1};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}

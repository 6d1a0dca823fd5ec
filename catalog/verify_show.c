/* The result of walden verify, as text and as JSON. */
#include <stdio.h>

#include "base/text.h"
#include "command.h"
#include "verify.h"

struct verify_count verify_counted(const struct verify_result *r)
{
    const struct verify_backups *b = &r->backups;

    return (struct verify_count){
        .content = r->wal.content + b->packs_content + b->rebuilt + r->dumps.whole,
        .stored = r->wal.only_stored + b->packs_stored + b->whole - b->rebuilt + r->dumps.stored,
        .bytes = r->wal.bytes + b->bytes + b->pack_bytes + r->dumps.bytes,
    };
}

static const char *level_of(const struct verify_result *r)
{
    if (verify_counted(r).stored == 0)
        return verify_counted(r).content == 0 ? "none" : "content";
    return verify_counted(r).content == 0 ? "stored" : "mixed";
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

static int show_level(const struct verify_result *r, struct buf *out, struct err *e)
{
    char size[SURVEY_SIZE_MAX];

    survey_size(size, r->wal.bytes);
    if (r->wal.content > 0 &&
        buf_fmt(out, e, "read back whole: %llu objects, %s; every WAL record was checked\n",
                (unsigned long long)r->wal.content, size) != 0)
        return -1;
    if (show_backups(&r->backups, out, e) != 0)
        return -1;
    survey_size(size, r->dumps.bytes);
    if (r->dumps.whole > 0 &&
        buf_fmt(out, e, "decoded: %llu dump%s, %s; every table's data are there to their end\n",
                (unsigned long long)r->dumps.whole, r->dumps.whole == 1 ? "" : "s", size) != 0)
        return -1;
    if (verify_counted(r).stored == 0)
        return 0;
    return buf_fmt(out, e,
                   "proven by digest and signature only: %llu objects; without a secret key "
                   "nobody can look inside (--secret-key)\n",
                   (unsigned long long)verify_counted(r).stored);
}

/* What was read, if not everything, and what is on record of it. */
static int show_run(const struct survey *s, const struct verify_run *run, struct buf *out,
                    struct err *e)
{
    const struct verified *v = &run->record;

    if (s->lineages.n > 1 && buf_fmt(out, e, "cluster %s, system identifier %llu:\n", run->cluster,
                                     (unsigned long long)run->system_id) != 0)
        return -1;
    if (run->resumed > 0 &&
        buf_fmt(out, e, "gone on with an interrupted run, which had read %llu of these\n",
                (unsigned long long)run->resumed) != 0)
        return -1;
    if (v->parts > 1 &&
        buf_fmt(out, e, "this was part %u of %u%s\n", (unsigned)v->part, (unsigned)v->parts,
                run->by_chance ? ", drawn by chance, since no record of earlier runs is here"
                               : "; the same command reads the next part") != 0)
        return -1;
    if (run->recorded)
        return buf_str(out, "recorded in the repository for \"walden check\"\n", e);
    return buf_fmt(out, e, "not recorded in the repository: %s\n", run->unrecorded);
}

int verify_print(const struct survey *s, const struct verify_result *r, struct err *e)
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
    for (size_t i = 0; rc == 0 && i < r->runs.n; i++)
        rc = show_run(s, &r->runs.v[i], &b, e);
    if (rc == 0)
        rc = problems == 0 ? buf_str(&b,
                                     verify_counted(r).content + verify_counted(r).stored == 0
                                         ? "there is nothing to read\n"
                                         : "no problem was found\n",
                                     e)
                           : buf_fmt(&b, e, "%zu problem%s\n", problems, problems == 1 ? "" : "s");
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static void json_runs(struct json_out *j, const struct verify_result *r)
{
    json_array(j, "runs");
    for (size_t i = 0; i < r->runs.n; i++) {
        const struct verify_run *run = &r->runs.v[i];
        const struct verified *v = &run->record;

        json_object(j, NULL);
        json_str(j, "cluster", run->cluster);
        json_fmt(j, "system_id", "%llu", (unsigned long long)run->system_id);
        survey_json_time(j, "start", v->start);
        survey_json_time(j, "end", v->end);
        json_num(j, "part", v->part);
        json_num(j, "parts", v->parts);
        json_str(j, "level", verified_word(v->level));
        json_num(j, "objects", v->objects);
        json_num(j, "bytes", v->bytes);
        json_num(j, "findings", v->damaged);
        json_num(j, "resumed", run->resumed);
        json_bool(j, "recorded", run->recorded);
        json_object_end(j);
    }
    json_array_end(j);
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

static void json_dumps(struct json_out *j, const struct verify_dumps *v)
{
    json_object(j, "dumps");
    json_num(j, "looked_at", v->looked_at);
    json_num(j, "whole", v->whole);
    json_num(j, "stored", v->stored);
    json_num(j, "bytes", v->bytes);
    json_object_end(j);
}

int verify_print_json(const struct survey *s, const struct verify_result *r, struct err *e)
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
    json_num(&j, "proven_content", verify_counted(r).content);
    json_num(&j, "proven_stored", verify_counted(r).stored);
    json_num(&j, "content_bytes", r->wal.bytes + r->backups.bytes + r->dumps.bytes);
    json_backups(&j, &r->backups);
    json_dumps(&j, &r->dumps);
    json_num(&j, "drill_records", r->drills);
    json_runs(&j, r);
    survey_json_problems(s, &j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

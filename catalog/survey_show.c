#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "os/time.h"
#include "survey.h"

void survey_size(char out[SURVEY_SIZE_MAX], uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    uint64_t tenths = bytes; /* of the unit after the first division */
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(out, SURVEY_SIZE_MAX, "%u bytes", (unsigned)bytes);
        return;
    }
    while (tenths / 1024 >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        tenths /= 1024;
        unit++;
    }
    tenths = tenths * 10 / 1024;
    (void)snprintf(out, SURVEY_SIZE_MAX, "%llu.%u %s", (unsigned long long)(tenths / 10),
                   (unsigned)(tenths % 10), units[unit]);
}

void survey_time(char out[SURVEY_TIME_MAX], int64_t time)
{
    char local[OS_LOCAL_TIME_MAX];
    char utc[TEXT_TIME_MAX];

    os_local_time(time, 1, local, sizeof local);
    text_time(utc, time, 6);
    if (os_local_offset(time) == 0) /* the same twice helps nobody */
        (void)snprintf(out, SURVEY_TIME_MAX, "%s", utc);
    else
        (void)snprintf(out, SURVEY_TIME_MAX, "%s = %s", local, utc);
}

/* --- text --- */

int survey_show_repo(const struct survey *s, struct buf *out, struct err *e)
{
    char id[33];

    text_hex(id, s->repo.marker.id, 16);
    return buf_fmt(out, e, "repository %s, %s\n           id %s\n", s->path,
                   s->repo.marker.sealed ? "sealed" : "not sealed", id);
}

int survey_show_lineage(const struct survey_lineage *l, struct buf *out, struct err *e)
{
    char size[TEXT_SIZE_MAX];

    if (buf_fmt(out, e, "\ncluster %s, system identifier %llu\n", l->cluster,
                (unsigned long long)l->system_id) != 0)
        return -1;
    if (l->major == 0)
        return 0;
    text_size(size, l->segment_size);
    return buf_fmt(out, e, "  PostgreSQL %u, segments of %s\n", (unsigned)l->major, size);
}

static int show_problem(const struct problem *p, struct buf *out, struct err *e)
{
    static const char *const titles[PROBLEM_KINDS] = {
        [PROBLEM_HOLE] = "HOLE",
        [PROBLEM_NO_HISTORY] = "MISSING HISTORY",
        [PROBLEM_DAMAGED_WAL] = "DAMAGED WAL",
        [PROBLEM_DAMAGED] = "DAMAGED",
        [PROBLEM_REFUSED] = "REFUSED",
        [PROBLEM_KEY] = "KEY",
        [PROBLEM_BROKEN_CHAIN] = "BROKEN CHAIN",
        [PROBLEM_SUMMARY] = "WRONG SUMMARY",
        [PROBLEM_MISPLACED] = "MISPLACED",
        [PROBLEM_LINEAGE] = "LINEAGE",
        [PROBLEM_NO_PACK] = "MISSING PACK",
        [PROBLEM_GONE] = "GONE",
        [PROBLEM_HEAD] = "ROLLED BACK",
        [PROBLEM_BACKUP] = "BACKUP",
        [PROBLEM_RECIPIENT] = "RECIPIENT",
        [PROBLEM_LATER] = "note",
        [PROBLEM_DUMP] = "DUMP",
        [PROBLEM_TEMP] = "note",
    };
    char name[PROBLEM_PATH_MAX];
    char what[PROBLEM_TEXT_MAX];

    /* Names and messages may quote what somebody else put into the repository. */
    (void)text_visible(name, sizeof name, p->name, strlen(p->name));
    (void)text_visible(what, sizeof what, p->what, strlen(p->what));
    if (buf_fmt(out, e, "  %s %s\n", titles[p->kind], name) != 0 ||
        command_wrap(out, 6, what, e) != 0)
        return -1;
    return p->consequence == NULL ? 0 : command_wrap(out, 6, p->consequence, e);
}

int survey_show_problems(const struct survey_lineage *l, struct buf *out, struct err *e)
{
    const struct problems *p = &l->scan.problems;

    for (size_t i = 0; i < p->list.n; i++)
        if (show_problem(&p->list.v[i], out, e) != 0)
            return -1;
    return p->omitted == 0
               ? 0
               : buf_fmt(out, e, "  and %zu more problems that are not shown\n", p->omitted);
}

/* --- JSON --- */

int survey_flush(void *arg, const void *p, size_t n, struct err *e)
{
    (void)arg;
    return command_print(p, n, e);
}

void survey_json_lsn(struct json_out *j, const char *key, lsn_t lsn)
{
    char text[TEXT_LSN_MAX];

    text_lsn(text, lsn);
    json_str(j, key, text);
}

void survey_json_time(struct json_out *j, const char *key, int64_t time)
{
    char text[TEXT_TIME_MAX];

    if (time == COVERAGE_NO_TIME) {
        json_null(j, key);
        return;
    }
    text_time(text, time, 6);
    json_str(j, key, text);
}

void survey_json_repo(const struct survey *s, struct json_out *j)
{
    char id[33];

    text_hex(id, s->repo.marker.id, 16);
    json_object(j, "repository");
    json_str(j, "path", s->path);
    json_str(j, "id", id);
    json_bool(j, "sealed", s->repo.marker.sealed);
    json_object_end(j);
    json_array(j, "lineages");
    for (size_t i = 0; i < s->lineages.n; i++) {
        const struct survey_lineage *l = &s->lineages.v[i];

        json_object(j, NULL);
        json_str(j, "cluster", l->cluster);
        json_fmt(j, "system_id", "%llu", (unsigned long long)l->system_id);
        if (l->major == 0) {
            json_null(j, "major");
            json_null(j, "segment_size");
        } else {
            json_num(j, "major", l->major);
            json_num(j, "segment_size", l->segment_size);
        }
        json_num(j, "objects", l->scan.objects);
        json_num(j, "stored_bytes", l->scan.stored);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_problem(struct json_out *j, const struct survey_lineage *l,
                         const struct problem *p)
{
    bool placed = p->end > p->first;

    json_object(j, NULL);
    json_str(j, "kind", problem_word(p->kind));
    json_str(j, "cluster", l->cluster);
    json_fmt(j, "system_id", "%llu", (unsigned long long)l->system_id);
    if (p->tli == 0)
        json_null(j, "timeline");
    else
        json_num(j, "timeline", p->tli);
    json_str(j, "name", p->name);
    if (placed) {
        survey_json_lsn(j, "start", walname_start(p->first, l->segment_size));
        survey_json_lsn(j, "end", walname_start(p->end, l->segment_size));
    } else {
        json_null(j, "start");
        json_null(j, "end");
    }
    if (p->at == 0)
        json_null(j, "lsn");
    else
        survey_json_lsn(j, "lsn", p->at);
    survey_json_time(j, "last_commit", p->at == 0 ? COVERAGE_NO_TIME : p->seen);
    json_str(j, "what", p->what);
    json_str(j, "consequence", p->consequence);
    json_object_end(j);
}

void survey_json_problems(const struct survey *s, struct json_out *j)
{
    size_t omitted = 0;

    for (int notes = 0; notes < 2; notes++) {
        json_array(j, notes ? "notes" : "problems");
        for (size_t i = 0; i < s->lineages.n; i++) {
            const struct problem_list *p = &s->lineages.v[i].scan.problems.list;

            for (size_t k = 0; k < p->n; k++)
                if (problem_is_note(&p->v[k]) == (notes != 0))
                    json_problem(j, &s->lineages.v[i], &p->v[k]);
        }
        json_array_end(j);
    }
    for (size_t i = 0; i < s->lineages.n; i++)
        omitted += s->lineages.v[i].scan.problems.omitted;
    json_num(j, "problems_omitted", omitted);
}

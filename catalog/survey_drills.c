#include <stdio.h>

#include "survey.h"

static void seconds(char out[32], uint64_t us)
{
    (void)snprintf(out, 32, "%llu.%01llu s", (unsigned long long)(us / 1000000),
                   (unsigned long long)(us / 100000 % 10));
}

static int show_drill(const struct drill *d, struct buf *out, struct err *e)
{
    char time[SURVEY_TIME_MAX];
    char size[SURVEY_SIZE_MAX];
    char unpack[32];
    char replay[32];
    char total[32];
    bool backup = d->kind == DRILL_BACKUP;

    if (!d->readable)
        return buf_fmt(out, e, "  drill %s: its record cannot be read, or is not to be trusted\n",
                       d->label);
    survey_time(time, d->start);
    survey_size(size, d->bytes);
    seconds(unpack, d->unpack_us);
    seconds(replay, d->replay_us);
    seconds(total, d->total_us);
    return buf_fmt(out, e,
                   "  drill %s of %s %s%s%s: %s\n"
                   "      made     %s\n"
                   "      took     %s for %s%s%s%s, %s in all; on %s\n"
                   "      checks   %u passed, %u failed, %u skipped\n",
                   d->label, backup ? "backup" : "dump", d->job, backup ? "" : "/", d->what,
                   d->failed ? "FAILED" : "ok", time, unpack, size, backup ? ", " : "",
                   backup ? replay : "", backup ? " for WAL" : "", total, d->host,
                   (unsigned)d->passed, (unsigned)d->failures, (unsigned)d->skipped);
}

int survey_show_drills(const struct survey_lineage *l, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < l->drills.all.n; i++)
        if (show_drill(&l->drills.all.v[i], out, e) != 0)
            return -1;
    return 0;
}

static void json_drill(struct json_out *j, const char *cluster, const struct drill *d)
{
    json_object(j, NULL);
    json_str(j, "cluster", cluster);
    json_str(j, "label", d->label);
    json_bool(j, "readable", d->readable);
    if (d->readable) {
        json_str(j, "kind", d->kind == DRILL_BACKUP ? "backup" : "dump");
        json_str(j, "result", d->failed ? "failed" : "ok");
        json_str(j, "job", d->job[0] == '\0' ? NULL : d->job);
        json_str(j, "drilled", d->what);
        json_fmt(j, "system_id", "%llu", (unsigned long long)d->system_id);
        json_str(j, "host", d->host);
        survey_json_time(j, "started", d->start);
        survey_json_time(j, "stopped", d->end);
        json_fmt(j, "server_version", "%u.%u", (unsigned)(d->server_version / 10000),
                 (unsigned)(d->server_version % 10000));
        json_num(j, "bytes", d->bytes);
        json_num(j, "wal_bytes", d->wal);
        json_num(j, "unpack_ms", d->unpack_us / 1000);
        json_num(j, "replay_ms", d->replay_us / 1000);
        json_num(j, "total_ms", d->total_us / 1000);
        json_num(j, "passed", d->passed);
        json_num(j, "failed", d->failures);
        json_num(j, "skipped", d->skipped);
    }
    json_object_end(j);
}

void survey_json_drills(const struct survey_lineage *l, struct json_out *j)
{
    for (size_t i = 0; i < l->drills.all.n; i++)
        json_drill(j, l->cluster, &l->drills.all.v[i]);
}

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "pg/dumpfile.h"
#include "repo/dump_check.h"
#include "survey.h"

enum { VERSION_TEXT_MAX = 24 };

static void version_text(char out[VERSION_TEXT_MAX], uint32_t version)
{
    (void)snprintf(out, VERSION_TEXT_MAX, "%u.%u", (unsigned)(version / 10000),
                   (unsigned)(version % 10000));
}

static int show_dump(const struct dump_item *d, struct buf *out, struct err *e)
{
    const struct dump_public *p = &d->public;
    char time[SURVEY_TIME_MAX];
    char size[SURVEY_SIZE_MAX];
    char stored[SURVEY_SIZE_MAX];
    char tag[8 * MANIFEST_TAG_MAX];
    char version[VERSION_TEXT_MAX];
    char schema[DUMP_VERSION_MAX + 24] = "";

    if (p->schema_version[0] != '\0')
        (void)snprintf(schema, sizeof schema, ", schema %s", p->schema_version);
    if (!d->readable)
        return buf_fmt(out, e, "  dump %s of job %s: it cannot be read, see below\n", d->label,
                       d->job);
    survey_time(time, p->start);
    survey_size(size, p->bytes);
    survey_size(stored, d->stored);
    version_text(version, p->server_version);
    (void)text_visible(tag, sizeof tag, p->tag, strlen(p->tag));
    return buf_fmt(out, e,
                   "  dump %s of job %s%s%s%s\n"
                   "      taken    %s\n"
                   "      holds    %u database%s, %llu tables, %llu rows%s\n"
                   "      size     %s, %s stored; %s, server %s%s\n",
                   d->label, d->job, tag[0] == '\0' ? "" : ", \"", tag, tag[0] == '\0' ? "" : "\"",
                   time, (unsigned)p->databases, p->databases == 1 ? "" : "s",
                   (unsigned long long)p->tables, (unsigned long long)p->rows,
                   p->globals ? ", and the roles" : "", size, stored,
                   p->format == DUMPFILE_CUSTOM ? "custom" : "plain", version, schema);
}

int survey_show_dumps(const struct survey_lineage *l, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < l->dumps.n; i++) {
        struct verified_verdict one = verified_dump(&l->verified, l->dumps.v[i].label);

        if (show_dump(&l->dumps.v[i], out, e) != 0 ||
            (l->dumps.v[i].readable && survey_show_verified(&one, out, e) != 0))
            return -1;
    }
    return 0;
}

static void json_dump(struct json_out *j, const struct survey_lineage *l, const struct dump_item *d)
{
    const struct dump_public *p = &d->public;
    struct verified_verdict one = verified_dump(&l->verified, d->label);
    char version[VERSION_TEXT_MAX];

    json_object(j, NULL);
    json_str(j, "cluster", l->cluster);
    json_str(j, "job", d->job);
    json_str(j, "label", d->label);
    json_bool(j, "readable", d->readable);
    json_num(j, "stored_bytes", d->stored);
    if (d->readable) {
        json_str(j, "tag", p->tag[0] == '\0' ? NULL : p->tag);
        survey_json_time(j, "started", p->start);
        survey_json_time(j, "stopped", p->stop);
        json_str(j, "format", p->format == DUMPFILE_CUSTOM ? "custom" : "plain");
        json_num(j, "bytes", p->bytes);
        json_num(j, "databases", p->databases);
        json_num(j, "tables", p->tables);
        json_num(j, "rows", p->rows);
        json_bool(j, "globals", p->globals);
        json_bool(j, "counted", p->counted);
        json_str(j, "checked", p->level == DUMP_LEVEL_WHOLE ? "whole" : "shape");
        json_str(j, "schema_version", p->schema_version[0] == '\0' ? NULL : p->schema_version);
        version_text(version, p->server_version);
        json_str(j, "server_version", version);
        version_text(version, p->client_version);
        json_str(j, "pg_dump_version", version);
        survey_json_verified(&one, j);
    }
    json_object_end(j);
}

void survey_json_dumps(const struct survey_lineage *l, struct json_out *j)
{
    for (size_t i = 0; i < l->dumps.n; i++)
        json_dump(j, l, &l->dumps.v[i]);
}

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "repo/counts.h"
#include "survey.h"

enum { VERSION_TEXT_MAX = 24 };

/* 170002 is 17.2. */
static void version_text(char out[VERSION_TEXT_MAX], uint32_t version)
{
    (void)snprintf(out, VERSION_TEXT_MAX, "%u.%u", (unsigned)(version / 10000),
                   (unsigned)(version % 10000));
}

static const char *wal_text(const struct backup_item *b)
{
    if (b->public.wal_inside)
        return "its WAL is inside";
    return b->restorable ? "its WAL is archived" : "it cannot be restored by itself, see below";
}

static int show_range(const struct manifest_public *p, struct buf *out, struct err *e)
{
    char start[TEXT_LSN_MAX];
    char stop[TEXT_LSN_MAX];

    text_lsn(start, p->start_lsn);
    text_lsn(stop, p->stop_lsn);
    if (p->start_timeline == p->stop_timeline)
        return buf_fmt(out, e, "      WAL      %s to %s on timeline %u; ", start, stop,
                       (unsigned)p->start_timeline);
    return buf_fmt(out, e, "      WAL      %s on timeline %u to %s on timeline %u; ", start,
                   (unsigned)p->start_timeline, stop, (unsigned)p->stop_timeline);
}

static int show_backup(const struct backup_item *b, struct buf *out, struct err *e)
{
    const struct manifest_public *p = &b->public;
    char first[SURVEY_TIME_MAX];
    char last[SURVEY_TIME_MAX];
    char size[SURVEY_SIZE_MAX];
    char stored[SURVEY_SIZE_MAX];
    char version[VERSION_TEXT_MAX];
    char tag[8 * MANIFEST_TAG_MAX];

    survey_time(first, p->start_time);
    survey_time(last, p->stop_time);
    survey_size(size, p->bytes);
    survey_size(stored, p->stored);
    version_text(version, p->server_version);
    (void)text_visible(tag, sizeof tag, p->tag, strlen(p->tag));
    if (buf_fmt(out, e, "  backup %s%s%s%s\n      began    %s\n      ended    %s\n", b->label,
                tag[0] == '\0' ? "" : ", \"", tag, tag[0] == '\0' ? "" : "\"", first, last) != 0 ||
        show_range(p, out, e) != 0)
        return -1;
    return buf_fmt(out, e,
                   "%s\n      size     %s in %llu files, %s stored anew\n"
                   "      server   %s %s%s\n",
                   wal_text(b), size, (unsigned long long)p->files, stored, version,
                   p->from_standby ? "standby" : "primary",
                   p->data_checksums ? "" : ", without data checksums");
}

static int show_counts(const struct backup_item *b, struct buf *out, struct err *e)
{
    struct cur part = cur_of(b->counts, b->counts_len);
    char name[4 * COUNTS_NAME_MAX];
    char visible[8 * COUNTS_NAME_MAX];
    struct counts_row row;
    int rc;

    while ((rc = counts_next(&part, &row, e)) == 0) {
        (void)snprintf(name, sizeof name, "%s.%s.%s", row.database, row.schema, row.table);
        (void)text_visible(visible, sizeof visible, name, strlen(name));
        if (buf_fmt(out, e, "      rows     %llu in %s\n", (unsigned long long)row.rows, visible) !=
            0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

int survey_show_backups(const struct survey_lineage *l, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < l->backups.items.n; i++)
        if (show_backup(&l->backups.items.v[i], out, e) != 0 ||
            show_counts(&l->backups.items.v[i], out, e) != 0)
            return -1;
    return 0;
}

/* null where no key reads them. */
static void json_counts(const struct backup_item *b, struct json_out *j)
{
    struct cur part = cur_of(b->counts, b->counts_len);
    struct counts_row row;
    struct err quiet = {0};

    if (!b->counts_known) {
        json_null(j, "counts");
        return;
    }
    json_array(j, "counts");
    while (counts_next(&part, &row, &quiet) == 0) {
        json_object(j, NULL);
        json_str(j, "database", row.database);
        json_str(j, "schema", row.schema);
        json_str(j, "table", row.table);
        json_num(j, "rows", row.rows);
        survey_json_time(j, "time", row.time);
        survey_json_lsn(j, "lsn", row.lsn);
        json_object_end(j);
    }
    json_array_end(j);
}

void survey_json_backups(const struct survey_lineage *l, struct json_out *j)
{
    for (size_t i = 0; i < l->backups.items.n; i++) {
        const struct backup_item *b = &l->backups.items.v[i];
        const struct manifest_public *p = &b->public;

        json_object(j, NULL);
        json_str(j, "cluster", l->cluster);
        json_fmt(j, "system_id", "%llu", (unsigned long long)l->system_id);
        json_str(j, "label", b->label);
        if (p->tag[0] == '\0')
            json_null(j, "tag");
        else
            json_str(j, "tag", p->tag);
        survey_json_time(j, "start_time", p->start_time);
        survey_json_time(j, "stop_time", p->stop_time);
        json_num(j, "start_timeline", p->start_timeline);
        survey_json_lsn(j, "start", p->start_lsn);
        survey_json_lsn(j, "checkpoint", p->checkpoint_lsn);
        json_num(j, "stop_timeline", p->stop_timeline);
        survey_json_lsn(j, "stop", p->stop_lsn);
        json_num(j, "server_version", p->server_version);
        json_bool(j, "from_standby", p->from_standby);
        json_bool(j, "data_checksums", p->data_checksums);
        json_bool(j, "wal_inside", p->wal_inside);
        json_num(j, "files", p->files);
        json_num(j, "bytes", p->bytes);
        json_num(j, "stored_bytes", p->stored);
        json_bool(j, "restorable", b->restorable);
        json_counts(b, j);
        json_object_end(j);
    }
}

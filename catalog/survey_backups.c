#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
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
        return "; its WAL is inside";
    return b->restorable ? "; its WAL is archived" : "";
}

/* --- why one cannot be restored --- */

static bool is_about(const struct problem *p, const char *label)
{
    return !problem_is_note(p) && p->kind != PROBLEM_RECIPIENT &&
           strncmp(p->name, "backup/", 7) == 0 && strcmp(p->name + 7, label) == 0;
}

/* All that is known to be wrong with it, in one line. */
static int reason_text(const struct survey_lineage *l, const char *label, struct buf *out,
                       struct err *e)
{
    const struct problem_list *all = &l->scan.problems.list;
    char what[PROBLEM_TEXT_MAX];
    size_t before = out->len;

    for (size_t i = 0; i < all->n; i++) {
        if (!is_about(&all->v[i], label))
            continue;
        (void)text_visible(what, sizeof what, all->v[i].what, strlen(all->v[i].what));
        if (buf_fmt(out, e, "%s%s", out->len == before ? "" : "; ", what) != 0)
            return -1;
    }
    /* So many problems that this one is not among those that are kept. */
    return out->len > before ? 0 : buf_str(out, "\"walden verify\" tells why", e);
}

static int show_reason(const struct survey_lineage *l, const char *label, struct buf *out,
                       struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    rc = buf_str(&b, "CANNOT BE RESTORED: ", e);
    if (rc == 0)
        rc = reason_text(l, label, &b, e);
    if (rc == 0)
        rc = command_wrap(out, 6, buf_text(&b), e);
    buf_fini(&b);
    return rc;
}

static int json_reason(const struct survey_lineage *l, const char *label, struct json_out *j,
                       struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    rc = reason_text(l, label, &b, e);
    if (rc == 0)
        json_str(j, "reason", buf_text(&b));
    buf_fini(&b);
    return rc;
}

/* A backup of which a problem alone tells: its manifest cannot be read.  *at goes through them;
 * NULL behind the last. */
static const char *next_unreadable(const struct survey_lineage *l, size_t *at)
{
    const struct problem_list *all = &l->scan.problems.list;

    while (*at < all->n) {
        const struct problem *p = &all->v[(*at)++];
        const char *label = p->name + 7;
        size_t k = 0;

        if (strncmp(p->name, "backup/", 7) != 0 || !backup_list_is_label(label) ||
            !is_about(p, label))
            continue;
        while (k < l->backups.items.n && strcmp(l->backups.items.v[k].label, label) != 0)
            k++;
        if (k == l->backups.items.n)
            return label;
    }
    return NULL;
}

static int show_range(const struct manifest_public *p, struct buf *out, struct err *e)
{
    char start[TEXT_LSN_MAX];
    char stop[TEXT_LSN_MAX];

    text_lsn(start, p->start_lsn);
    text_lsn(stop, p->stop_lsn);
    if (p->start_timeline == p->stop_timeline)
        return buf_fmt(out, e, "      WAL      %s to %s on timeline %u", start, stop,
                       (unsigned)p->start_timeline);
    return buf_fmt(out, e, "      WAL      %s on timeline %u to %s on timeline %u", start,
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

static int show_verified(const struct survey_lineage *l, const char *label, struct buf *out,
                         struct err *e)
{
    struct verified_verdict one = verified_of(&l->verified, label);

    return survey_show_verified(&one, out, e);
}

int survey_show_backups(const struct survey_lineage *l, struct buf *out, struct err *e)
{
    const char *label;
    size_t at = 0;

    while ((label = next_unreadable(l, &at)) != NULL)
        if (buf_fmt(out, e, "  backup %s\n", label) != 0 || show_reason(l, label, out, e) != 0)
            return -1;
    for (size_t i = 0; i < l->backups.items.n; i++) {
        const struct backup_item *b = &l->backups.items.v[i];

        if (show_backup(b, out, e) != 0 || show_counts(b, out, e) != 0 ||
            show_verified(l, b->label, out, e) != 0 ||
            (!b->restorable && show_reason(l, b->label, out, e) != 0))
            return -1;
    }
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

static int json_backup(const struct survey_lineage *l, const struct backup_item *b,
                       struct json_out *j, struct err *e)
{
    const struct manifest_public *p = &b->public;
    struct verified_verdict one;
    int rc = 0;

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
    if (b->restorable)
        json_null(j, "reason");
    else
        rc = json_reason(l, b->label, j, e);
    json_counts(b, j);
    one = verified_of(&l->verified, b->label);
    survey_json_verified(&one, j);
    return rc;
}

static void json_begins(const struct survey_lineage *l, const char *label, struct json_out *j)
{
    json_object(j, NULL);
    json_str(j, "cluster", l->cluster);
    json_fmt(j, "system_id", "%llu", (unsigned long long)l->system_id);
    json_str(j, "label", label);
}

int survey_json_backups(const struct survey_lineage *l, struct json_out *j, struct err *e)
{
    const char *label;
    size_t at = 0;

    while ((label = next_unreadable(l, &at)) != NULL) {
        json_begins(l, label, j);
        json_bool(j, "restorable", false);
        if (json_reason(l, label, j, e) != 0)
            return -1;
        json_object_end(j);
    }
    for (size_t i = 0; i < l->backups.items.n; i++) {
        json_begins(l, l->backups.items.v[i].label, j);
        if (json_backup(l, &l->backups.items.v[i], j, e) != 0)
            return -1;
        json_object_end(j);
    }
    return 0;
}

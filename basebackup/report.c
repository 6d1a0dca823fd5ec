#include "basebackup/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "basebackup/progress.h"

enum { REPORT_MAX = 64 * 1024, PERMILLE = 1000 };

static int print(const struct buf *b, struct err *e)
{
    if (fwrite(b->p, 1, b->len, stdout) == b->len && fflush(stdout) == 0)
        return 0;
    return err_set(e, ERR_IO, "could not write to standard output");
}

static int text_wal(const struct backup_result *r, struct buf *b, struct err *e)
{
    char start[TEXT_LSN_MAX];
    char stop[TEXT_LSN_MAX];

    text_lsn(start, r->public.start_lsn);
    text_lsn(stop, r->public.stop_lsn);
    return buf_fmt(b, e, "WAL %s to %s, timeline %" PRIu32 ": %s\n", start, stop,
                   r->public.start_timeline,
                   r->wal_archived ? "in the archive, proven" : "kept in the backup");
}

static int text_sent(const struct backup_result *r, struct buf *b, struct err *e)
{
    char received[PROGRESS_SIZE_MAX];

    progress_size(received, r->received);
    if (r->incremental)
        return buf_fmt(b, e, "the server sent %s, only what changed\n", received);
    return buf_fmt(b, e, "the server sent %s, everything: %s\n", received, r->why);
}

int report_text(const struct backup_result *r, struct err *e)
{
    const struct manifest_public *p = &r->public;
    char all[PROGRESS_SIZE_MAX];
    char stored[PROGRESS_SIZE_MAX];
    char took[PROGRESS_TIME_MAX];
    struct buf b;
    int rc;

    progress_size(all, p->bytes);
    progress_size(stored, p->stored);
    progress_time(took, r->took_us);
    buf_init(&b, REPORT_MAX);
    rc = buf_fmt(&b, e, "backup %s is whole: %s in %" PRIu64 " files, %s stored, %s\n", r->label,
                 all, p->files, stored, took);
    if (rc == 0)
        rc = text_wal(r, &b, e);
    if (rc == 0 && r->prior[0] != '\0')
        rc = buf_fmt(&b, e, "unchanged since %s: %" PRIu64 " of %" PRIu64 " pages\n", r->prior,
                     r->pages_same + r->pages_zero, r->pages);
    if (rc == 0)
        rc = text_sent(r, &b, e);
    if (rc == 0)
        rc = print(&b, e);
    buf_fini(&b);
    return rc;
}

static void json_lsn(struct json_out *j, const char *key, uint64_t lsn)
{
    char text[TEXT_LSN_MAX];

    text_lsn(text, lsn);
    json_str(j, key, text);
}

static void json_time(struct json_out *j, const char *key, int64_t us)
{
    char text[TEXT_TIME_MAX];

    text_time(text, us, 6);
    json_str(j, key, text);
}

int report_json(const struct backup_result *r, struct err *e)
{
    const struct manifest_public *p = &r->public;
    char head[2 * MANIFEST_DIGEST + 1];
    struct json_out j;
    struct buf b;
    int rc;

    text_hex(head, r->head, sizeof r->head);
    buf_init(&b, REPORT_MAX);
    json_begin(&j, &b, NULL, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", REPORT_SCHEMA);
    json_str(&j, "label", r->label);
    json_str(&j, "tag", p->tag[0] == '\0' ? NULL : p->tag);
    json_fmt(&j, "system_id", "%" PRIu64, r->system_id);
    json_num(&j, "server_version", p->server_version);
    json_bool(&j, "from_standby", p->from_standby);
    json_bool(&j, "data_checksums", p->data_checksums);
    json_num(&j, "timeline", p->start_timeline);
    json_lsn(&j, "start_lsn", p->start_lsn);
    json_lsn(&j, "checkpoint_lsn", p->checkpoint_lsn);
    json_num(&j, "stop_timeline", p->stop_timeline);
    json_lsn(&j, "stop_lsn", p->stop_lsn);
    json_time(&j, "start_time", p->start_time);
    json_time(&j, "stop_time", p->stop_time);
    json_str(&j, "wal", r->wal_archived ? "archive" : "stream");
    json_num(&j, "wal_stored", r->wal_bytes);
    json_num(&j, "bytes", p->bytes);
    json_num(&j, "files", p->files);
    json_num(&j, "stored", p->stored);
    json_num(&j, "pages", r->pages);
    json_num(&j, "pages_unchanged", r->pages_same);
    json_num(&j, "pages_zero", r->pages_zero);
    json_str(&j, "prior", r->prior[0] == '\0' ? NULL : r->prior);
    json_str(&j, "transfer", r->incremental ? "incremental" : "full");
    json_str(&j, "transfer_reason", r->incremental ? NULL : r->why);
    json_num(&j, "received", r->received);
    json_num(&j, "packs_adopted", r->orphans);
    json_num(&j, "relations", r->relations);
    json_num(&j, "databases", r->databases);
    json_num(&j, "tables_counted", r->counted);
    json_num(&j, "tables_not_counted", r->not_counted);
    json_num(&j, "config_files", r->config_files);
    json_bool(&j, "config_missing", r->config_missing);
    json_num(&j, "sequence", p->head.sequence);
    json_str(&j, "head", head);
    json_num(&j, "milliseconds", (uint64_t)(r->took_us / PERMILLE));
    json_object_end(&j);
    rc = json_end(&j, e);
    if (rc == 0)
        rc = print(&b, e);
    buf_fini(&b);
    return rc;
}

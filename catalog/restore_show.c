#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "restore.h"
#include "survey.h"

enum { TEXT_MAX = 256 * 1024 * 1024 };

/* --- text --- */

static int show_wal(const struct restore *r, struct buf *b, struct err *e)
{
    const struct plan *p = &r->plan;
    char stored[SURVEY_SIZE_MAX];
    char whole[SURVEY_SIZE_MAX];

    survey_size(stored, p->stored);
    survey_size(whole, p->segments * r->inventory.in.segsize);
    if (buf_fmt(b, e, "  WAL      %llu segment%s, %s, %s stored\n", (unsigned long long)p->segments,
                p->segments == 1 ? "" : "s", whole, stored) != 0)
        return -1;
    for (size_t i = 0; i < p->parts.n; i++) {
        const struct plan_part *part = &p->parts.v[i];
        char first[WALNAME_MAX];
        char last[WALNAME_MAX];

        if (part->behind == part->first)
            continue;
        walname_segment(first, part->tli, part->first, r->inventory.in.segsize);
        walname_segment(last, part->tli, part->behind - 1, r->inventory.in.segsize);
        if (buf_fmt(b, e, "           timeline %u: %s to %s\n", (unsigned)part->tli, first, last) !=
            0)
            return -1;
    }
    if (p->inside > 0)
        return buf_fmt(b, e, "           and %llu segment%s in the backup\n",
                       (unsigned long long)p->inside, p->inside == 1 ? "" : "s");
    return 0;
}

static int show_stop(const struct restore *r, struct buf *b, struct err *e)
{
    const struct plan *p = &r->plan;
    char lsn[TEXT_LSN_MAX];
    char time[SURVEY_TIME_MAX];

    text_lsn(lsn, p->stop);
    if (r->target.kind == PLAN_LATEST) {
        if (buf_fmt(b, e, "  ends     at %s\n", lsn) != 0)
            return -1;
    } else if (p->stop_time == COVERAGE_NO_TIME) {
        if (buf_fmt(b, e, "  stops    %s %s\n", p->before ? "before" : "at", lsn) != 0)
            return -1;
    } else {
        survey_time(time, p->stop_time);
        if (buf_fmt(b, e, "  stops    %s the record at %s, of %s\n",
                    p->before ? "before" : "behind", lsn, time) != 0)
            return -1;
    }
    if (restore_before_show(r, b, e) != 0)
        return -1;
    if (p->reached_time != COVERAGE_NO_TIME) {
        survey_time(time, p->reached_time);
        if (buf_fmt(b, e, "           last commit then: %s\n", time) != 0)
            return -1;
    }
    if (p->went_back &&
        buf_str(b,
                "           caution: the backup holds commits with times later than the target: a "
                "clock was set back; an LSN or a transaction is an exact target\n",
                e) != 0)
        return -1;
    if (p->unsure)
        return buf_str(b,
                       "           a record between two segments could not be read without the "
                       "secret key: it may stop earlier\n",
                       e);
    return 0;
}

static int show_places(const struct restore *r, struct buf *b, struct err *e)
{
    static const char *const states[] = {"it will be made", "it is empty",
                                         "a half-done restore of this plan: it will be completed",
                                         "a copy of this cluster: it will be brought up to date"};

    if (buf_fmt(b, e, "  into     %s: %s\n", r->dir, states[r->state]) != 0)
        return -1;
    for (size_t i = 0; i < r->unpack.spaces.n; i++) {
        const struct unpack_space *s = &r->unpack.spaces.v[i];

        if (buf_fmt(b, e, "           tablespace %u: %s%s%s\n", (unsigned)s->oid, s->target,
                    s->moved ? ", was " : "", s->moved ? s->path : "") != 0)
            return -1;
    }
    for (size_t i = 0; i < r->rooms.n; i++) {
        char need[SURVEY_SIZE_MAX];
        char have[SURVEY_SIZE_MAX];

        survey_size(need, r->rooms.v[i].need);
        survey_size(have, r->rooms.v[i].free);
        if (buf_fmt(b, e, "  room     %s: %s needed, %s free\n", r->rooms.v[i].path, need, have) !=
            0)
            return -1;
    }
    return 0;
}

static int show_backup(const struct restore *r, struct buf *b, struct err *e)
{
    const struct plan_backup *backup = restore_backup(r);
    char size[SURVEY_SIZE_MAX];
    char time[SURVEY_TIME_MAX];
    char lsn[TEXT_LSN_MAX];

    survey_size(size, backup->bytes);
    survey_time(time, backup->stop_time);
    text_lsn(lsn, backup->stop);
    return buf_fmt(b, e, "  backup   %s: %s\n           ended %s at %s; %llu files, %s\n",
                   backup->label, plan_why_text(PLAN_CHOSEN), time, lsn,
                   (unsigned long long)backup->files, size);
}

/* The other backups, with their reasons. */
static int show_others(const struct restore *r, struct buf *b, struct err *e)
{
    bool any = false;

    for (size_t i = 0; i < r->plan.judged.n; i++) {
        const struct plan_backup *backup = &r->inventory.in.backups.v[i];

        if (i == r->plan.backup)
            continue;
        if (buf_fmt(b, e, "%s%s: %s%s%s\n", any ? "           " : "  others   ", backup->label,
                    plan_why_text(r->plan.judged.v[i].why), backup->damaged ? ": " : "",
                    backup->damaged ? backup->why : "") != 0)
            return -1;
        any = true;
    }
    return 0;
}

static int show_name(void *arg, enum unpack_kind kind, const char *path, const char *target,
                     uint64_t size, struct err *e)
{
    static const char *const kinds[] = {"file", "dir", "link", "wal", "config"};
    struct buf *b = arg;
    char from[2 * PAGES_PATH_MAX];
    char to[2 * PAGES_PATH_MAX] = "";

    (void)text_visible(from, sizeof from, path, strlen(path));
    if (target != NULL)
        (void)text_visible(to, sizeof to, target, strlen(target));
    if (buf_fmt(b, e, "  %-6s %12llu  %s%s%s\n", kinds[kind], (unsigned long long)size, from,
                *to == '\0' ? "" : " -> ", to) != 0)
        return -1;
    if (b->len <= 65536)
        return 0;
    if (command_print(buf_text(b), b->len, e) != 0)
        return -1;
    buf_clear(b);
    return 0;
}

static int show_names(struct restore *r, struct buf *b, struct err *e)
{
    if (buf_str(b, "\nit would write:\n", e) != 0 || unpack_names(&r->unpack, show_name, b, e) != 0)
        return -1;
    return buf_fmt(b, e, "  %-6s %12s  %s\n  %-6s %12s  %s\n  %-6s %12s  %s\n", "file", "",
                   "backup_manifest", "file", "", "postgresql.auto.conf (recovery settings added)",
                   "file", "", r->o->standby ? "standby.signal" : "recovery.signal");
}

int restore_show(struct restore *r, struct err *e)
{
    char target[RESTORE_TARGET_TEXT];
    struct buf b;
    uint64_t seconds = restore_seconds(r);
    char measured[RESTORE_RATE_TEXT];
    int rc = -1;

    buf_init(&b, TEXT_MAX);
    restore_target_text(r, target);
    restore_rate_text(r, measured);
    if (buf_fmt(&b, e, "restore of cluster %s, system identifier %llu, PostgreSQL %u\n",
                r->repo.where.cluster, (unsigned long long)r->repo.where.system_id,
                (unsigned)(restore_backup(r)->version / 10000)) != 0 ||
        buf_fmt(&b, e, "  target   %s, on timeline %u\n", target, (unsigned)r->plan.tli) != 0 ||
        show_backup(r, &b, e) != 0 || show_others(r, &b, e) != 0 || show_wal(r, &b, e) != 0 ||
        show_stop(r, &b, e) != 0 || show_places(r, &b, e) != 0 ||
        buf_fmt(&b, e, "  time     about %llu %s (%s)\n",
                (unsigned long long)(seconds < 120 ? seconds : seconds / 60),
                seconds < 120 ? "s" : "min", measured) != 0)
        goto out;
    if (r->o->dry_run && show_names(r, &b, e) != 0)
        goto out;
    rc = command_print(buf_text(&b), b.len, e);
out:
    buf_fini(&b);
    return rc;
}

/* --- JSON --- */

static const char *word_of(enum plan_why why)
{
    static const char *const words[] = {
        [PLAN_CHOSEN] = "chosen",
        [PLAN_OLDER] = "older",
        [PLAN_UNWANTED] = "unwanted",
        [PLAN_UNUSABLE] = "damaged",
        [PLAN_OTHER_BRANCH] = "other-branch",
        [PLAN_TOO_NEW] = "too-new",
        [PLAN_HOLE] = "hole",
        [PLAN_LOST] = "lost",
        [PLAN_DAMAGE] = "broken-wal",
        [PLAN_JOIN] = "broken-chain",
        [PLAN_MINIMAL] = "minimal",
        [PLAN_ENDS] = "archive-ends",
        [PLAN_NOT_FOUND] = "not-found",
        [PLAN_DIVERGES] = "diverges",
        [PLAN_UNSURE] = "unsure",
    };

    return words[why];
}

static void json_near(const struct restore *r, struct json_out *j, const char *key,
                      const struct plan_near *n)
{
    char options[96];

    if (!n->is_set) {
        json_null(j, key);
        return;
    }
    restore_near_text(r, n, options, sizeof options);
    json_object(j, key);
    survey_json_lsn(j, "lsn", n->lsn);
    survey_json_time(j, "last_commit", n->time);
    json_str(j, "options", options);
    json_object_end(j);
}

static void json_backups(const struct restore *r, struct json_out *j)
{
    json_array(j, "backups");
    for (size_t i = 0; i < r->plan.judged.n; i++) {
        const struct plan_backup *b = &r->inventory.in.backups.v[i];

        json_object(j, NULL);
        json_str(j, "label", b->label);
        json_str(j, "verdict", word_of(r->plan.judged.v[i].why));
        json_str(j, "reason", plan_why_text(r->plan.judged.v[i].why));
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_wal(const struct restore *r, struct json_out *j)
{
    json_array(j, "wal");
    for (size_t i = 0; i < r->plan.parts.n; i++) {
        const struct plan_part *p = &r->plan.parts.v[i];
        char name[WALNAME_MAX];

        if (p->behind == p->first)
            continue;
        json_object(j, NULL);
        json_num(j, "timeline", p->tli);
        walname_segment(name, p->tli, p->first, r->inventory.in.segsize);
        json_str(j, "first", name);
        walname_segment(name, p->tli, p->behind - 1, r->inventory.in.segsize);
        json_str(j, "last", name);
        json_num(j, "segments", p->behind - p->first);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_places(const struct restore *r, struct json_out *j)
{
    json_array(j, "tablespaces");
    for (size_t i = 0; i < r->unpack.spaces.n; i++) {
        json_object(j, NULL);
        json_num(j, "oid", r->unpack.spaces.v[i].oid);
        json_str(j, "path", r->unpack.spaces.v[i].path);
        json_str(j, "target", r->unpack.spaces.v[i].target);
        json_object_end(j);
    }
    json_array_end(j);
    json_array(j, "room");
    for (size_t i = 0; i < r->rooms.n; i++) {
        json_object(j, NULL);
        json_str(j, "path", r->rooms.v[i].path);
        json_num(j, "needed_bytes", r->rooms.v[i].need);
        json_num(j, "free_bytes", r->rooms.v[i].free);
        json_object_end(j);
    }
    json_array_end(j);
}

static int json_name(void *arg, enum unpack_kind kind, const char *path, const char *target,
                     uint64_t size, struct err *e)
{
    static const char *const kinds[] = {"file", "directory", "link", "wal", "configuration"};
    struct json_out *j = arg;

    (void)target, (void)e; /* what fails here, json_end says */
    json_object(j, NULL);
    json_str(j, "kind", kinds[kind]);
    json_str(j, "path", path);
    json_num(j, "bytes", size);
    json_object_end(j);
    return 0;
}

static void json_names(struct restore *r, struct json_out *j)
{
    struct err why = {0};

    json_array(j, "files");
    if (unpack_names(&r->unpack, json_name, j, &why) != 0 && j->rc == 0) {
        j->rc = -1;
        j->err = why;
    }
    json_array_end(j);
}

static void json_plan(struct restore *r, struct json_out *j)
{
    const struct plan *p = &r->plan;
    const struct plan_backup *b = restore_backup(r);

    json_object(j, "plan");
    json_str(j, "backup", b->label);
    json_num(j, "timeline", p->tli);
    json_num(j, "segments", p->segments);
    json_num(j, "segments_inside", p->inside);
    json_num(j, "wal_stored_bytes", p->stored);
    json_wal(r, j);
    survey_json_lsn(j, "stop_lsn", p->stop);
    json_bool(j, "stops_before", p->before);
    survey_json_time(j, "stop_time", p->stop_time);
    survey_json_time(j, "last_commit", p->reached_time);
    json_bool(j, "exact", p->reached.lsn != 0);
    json_bool(j, "unsure", p->unsure);
    json_bool(j, "clock_went_back", p->went_back);
    json_num(j, "bytes", b->bytes);
    json_num(j, "backup_files", b->files);
    json_num(j, "seconds", restore_seconds(r));
    json_bool(j, "measured", r->rate != 0);
    json_places(r, j);
    if (r->o->dry_run)
        json_names(r, j);
    json_object_end(j);
}

int restore_json(struct restore *r, const struct err *refused, struct err *e)
{
    struct json_out j;
    char target[RESTORE_TARGET_TEXT];
    struct buf b;
    int rc;

    restore_target_text(r, target);
    buf_init(&b, TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", RESTORE_SCHEMA);
    json_str(&j, "cluster", r->repo.where.cluster);
    json_fmt(&j, "system_id", "%llu", (unsigned long long)r->repo.where.system_id);
    json_str(&j, "directory", r->o->directory);
    json_str(&j, "target", target);
    json_bool(&j, "reachable", r->plan.verdict == PLAN_YES);
    json_str(&j, "refused", refused == NULL ? NULL : refused->msg);
    json_backups(r, &j);
    json_near(r, &j, "nearest_before", &r->plan.before_target);
    json_near(r, &j, "nearest_after", &r->plan.after_target);
    if (r->plan.verdict == PLAN_YES && r->has_unpack)
        json_plan(r, &j);
    else
        json_null(&j, "plan");
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

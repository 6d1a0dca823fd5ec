/*
 * The facts for Prometheus' textfile collector: base units, timestamps and not ages, no sample
 * times, one label for the cluster and no series per backup.
 */
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "check.h"

struct series {
    const char *name;
    const char *help;
    bool known;
    int64_t value;
};

static int64_t seconds(int64_t time)
{
    return time == JUDGE_NEVER ? 0 : time / 1000000;
}

static int put(const struct check *c, const struct series *s, struct buf *out, struct err *e)
{
    if (!s->known)
        return 0;
    return buf_fmt(out, e, "# HELP %s %s\n# TYPE %s gauge\n%s{cluster=\"%s\"} %lld\n", s->name,
                   s->help, s->name, s->name, c->cluster, (long long)s->value);
}

static int put_checks(const struct check *c, struct buf *out, struct err *e)
{
    if (buf_fmt(out, e,
                "# HELP walden_check_state 0 ok, 1 warning, 2 critical, 3 unknown.\n"
                "# TYPE walden_check_state gauge\n"
                "walden_check_state{cluster=\"%s\",check=\"all\"} %d\n",
                c->cluster, (int)c->worst) != 0)
        return -1;
    for (size_t i = 0; i < c->verdicts.n; i++)
        if (buf_fmt(out, e, "walden_check_state{cluster=\"%s\",check=\"%s\"} %d\n", c->cluster,
                    c->verdicts.v[i].name, (int)c->verdicts.v[i].state) != 0)
            return -1;
    return 0;
}

int check_prometheus(const struct check *c, struct buf *out, struct err *e)
{
    const struct judge_facts *f = &c->facts;
    const struct judge_archive *a = &f->archive;
    const struct judge_proof *p = &f->proof;
    const struct judge_pg *pg = &f->pg;
    const struct series all[] = {
        {"walden_check_timestamp_seconds", "When the check ran.", true, seconds(f->now)},
        {"walden_wal_newest_timestamp_seconds", "When the newest WAL was archived.",
         a->arrived != JUDGE_NEVER, seconds(a->arrived)},
        {"walden_window_end_timestamp_seconds", "The newest commit that can be restored.",
         a->last_commit != JUDGE_NEVER, seconds(a->last_commit)},
        {"walden_window_gaps", "Holes in the archived WAL.", a->read, (int64_t)a->holes},
        {"walden_damaged_objects", "Known problems other than holes.", a->read,
         (int64_t)a->damaged},
        {"walden_timeline", "Timeline of the newest WAL.", a->timeline != 0, a->timeline},
        {"walden_wal_segments", "Segments in the repository.", a->read, (int64_t)a->segments},
        {"walden_wal_stored_bytes", "What they take.", a->read, (int64_t)a->stored},
        {"walden_backups", "Base backups in the repository.", a->read, (int64_t)a->backups},
        {"walden_backups_restorable", "Those that can be restored.", a->read,
         (int64_t)a->restorable},
        {"walden_backup_last_success_timestamp_seconds",
         "When the newest base backup was finished.", a->backup_time != JUDGE_NEVER,
         seconds(a->backup_time)},
        {"walden_dumps", "Logical dumps.", f->dumps.known, (int64_t)f->dumps.dumps},
        {"walden_dump_last_success_timestamp_seconds",
         "The newest dump of the job furthest behind.", f->dumps.newest != JUDGE_NEVER,
         seconds(f->dumps.newest)},
        {"walden_verify_last_success_timestamp_seconds", "When the repository was last read back.",
         p->known && p->verified != JUDGE_NEVER, seconds(p->verified)},
        {"walden_verify_last_errors", "Findings that are still open.", p->known,
         (int64_t)p->findings},
        {"walden_drill_last_success_timestamp_seconds", "The last restore drill that succeeded.",
         p->known && p->drilled != JUDGE_NEVER, seconds(p->drilled)},
        {"walden_drill_last_duration_seconds", "How long it took.",
         p->known && p->drilled != JUDGE_NEVER, (int64_t)(p->drill_us / 1000000)},
        {"walden_drill_failed", "Whether the newest drill of anything failed.", p->known,
         p->drill_failed != JUDGE_NEVER},
        {"walden_repo_size_bytes", "Size of the repository's disk.", f->repo.space.known,
         (int64_t)f->repo.space.total},
        {"walden_repo_free_bytes", "Free on it.", f->repo.space.known, (int64_t)f->repo.space.free},
        {"walden_archive_ready_segments", "WAL files that wait to be archived.", pg->ready_known,
         (int64_t)pg->ready},
        {"walden_archive_last_success_timestamp_seconds", "By the server's statistics.",
         pg->stats && pg->last_archived != JUDGE_NEVER, seconds(pg->last_archived)},
        {"walden_archive_last_failure_timestamp_seconds", "By the server's statistics.",
         pg->stats && pg->last_failed != JUDGE_NEVER, seconds(pg->last_failed)},
        {"walden_pgwal_bytes", "What pg_wal holds.", pg->wal_known, (int64_t)pg->wal_bytes},
        {"walden_pgwal_free_bytes", "Free on its disk.", pg->wal_space.known,
         (int64_t)pg->wal_space.free},
        {"walden_server_up", "Whether the server answered.", pg->state != JUDGE_SERVER_NONE,
         pg->state == JUDGE_SERVER_OK},
        {"walden_dropped_segments", "Dropped instead of archived, without a base backup since.",
         true, (int64_t)f->host.dropped},
    };

    if (buf_fmt(out, e,
                "# HELP walden_build_info Version of Walden.\n# TYPE walden_build_info gauge\n"
                "walden_build_info{version=\"%s\"} 1\n",
                WALDEN_VERSION) != 0 ||
        put_checks(c, out, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (put(c, &all[i], out, e) != 0)
            return -1;
    return 0;
}

/* The verdicts as text, for Nagios, and as JSON. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check.h"
#include "command.h"
#include "os/time.h"

enum { INDENT = 12, SCHEMA = 1 };

static const char *title(enum judge_state s)
{
    static const char *const words[] = {
        [JUDGE_OK] = "ok",
        [JUDGE_WARNING] = "WARNING",
        [JUDGE_CRITICAL] = "CRITICAL",
        [JUDGE_UNKNOWN] = "UNKNOWN",
    };

    return words[s];
}

static unsigned count(const struct check *c, enum judge_state s)
{
    unsigned n = 0;

    for (size_t i = 0; i < c->verdicts.n; i++)
        n += c->verdicts.v[i].state == s ? 1 : 0;
    return n;
}

int check_verdict(const struct judge_verdict *v, struct buf *out, struct err *e)
{
    char lead[32];
    char text[JUDGE_TEXT_MAX + JUDGE_NAME_MAX];

    (void)snprintf(lead, sizeof lead, "%-*s", INDENT, title(v->state));
    (void)snprintf(text, sizeof text, "%s: %s", v->name, v->text);
    if (command_wrap_behind(out, lead, text, e) != 0)
        return -1;
    if (v->next[0] == '\0')
        return 0;
    (void)snprintf(lead, sizeof lead, "%*s", INDENT, "next: ");
    return command_wrap_behind(out, lead, v->next, e);
}

static int show_loss(const struct check *c, struct buf *out, struct err *e)
{
    char age[JUDGE_AGE_MAX];
    uint64_t us;

    if (!judge_loss(&c->facts, &us))
        return buf_str(out, "nothing can be restored\n", e);
    judge_age(age, us);
    return buf_fmt(out, e, "if the database host died now, at most the last %s would be lost\n",
                   age);
}

int check_text(const struct check *c, struct buf *out, struct err *e)
{
    static const enum judge_state order[] = {JUDGE_CRITICAL, JUDGE_WARNING, JUDGE_UNKNOWN,
                                             JUDGE_OK};
    char now[SURVEY_TIME_MAX];

    survey_time(now, c->facts.now / 1000000 * 1000000);
    if (buf_fmt(out, e, "cluster %s, %s\n\n", c->cluster, now) != 0)
        return -1;
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        for (size_t i = 0; i < c->verdicts.n; i++)
            if (c->verdicts.v[i].state == order[k] && check_verdict(&c->verdicts.v[i], out, e) != 0)
                return -1;
    if (buf_str(out, "\n", e) != 0 || show_loss(c, out, e) != 0)
        return -1;
    if (c->worst == JUDGE_OK)
        return buf_str(out, "all is well\n", e);
    return buf_fmt(out, e, "%u critical, %u warning%s, %u unknown\n", count(c, JUDGE_CRITICAL),
                   count(c, JUDGE_WARNING), count(c, JUDGE_WARNING) == 1 ? "" : "s",
                   count(c, JUDGE_UNKNOWN));
}

/* --- Nagios --- */

static int perf(struct buf *out, const char *label, uint64_t value, const char *unit,
                uint64_t limit, struct err *e)
{
    if (limit == 0)
        return buf_fmt(out, e, " %s=%llu%s;;;0", label, (unsigned long long)value, unit);
    return buf_fmt(out, e, " %s=%llu%s;%llu;%llu;0", label, (unsigned long long)value, unit,
                   (unsigned long long)limit, (unsigned long long)(2 * limit));
}

static int perf_age(const struct check *c, struct buf *out, const char *label, int64_t time,
                    uint64_t limit, struct err *e)
{
    uint64_t age;

    if (time == JUDGE_NEVER)
        return 0;
    age = time > c->facts.now ? 0 : (uint64_t)(c->facts.now - time);
    return perf(out, label, age / 1000000, "s", limit / 1000000, e);
}

/* A bar would end the text; everything else is ours. */
static int plain(struct buf *out, const char *text, struct err *e)
{
    for (; *text != '\0'; text++)
        if (buf_add(out, *text == '|' || *text == '\n' ? " " : text, 1, e) != 0)
            return -1;
    return 0;
}

static int perf_all(const struct check *c, struct buf *out, struct err *e)
{
    const struct judge_facts *f = &c->facts;
    int64_t verified = f->proof.known ? f->proof.verified : JUDGE_NEVER;
    const struct {
        bool known;
        const char *label;
        uint64_t value;
        const char *unit;
    } counts[] = {
        {f->archive.read, "holes", f->archive.holes, ""},
        {f->archive.read, "damaged", f->archive.damaged, ""},
        {f->pg.ready_known, "ready", f->pg.ready, ""},
        {f->repo.space.known, "repo_free", f->repo.space.free, "B"},
    };

    if (perf_age(c, out, "wal_age", f->archive.arrived, c->limits.wal_age, e) != 0 ||
        perf_age(c, out, "backup_age", f->archive.backup_time, c->limits.backup_age, e) != 0 ||
        perf_age(c, out, "verify_age", verified, 0, e) != 0 ||
        perf_age(c, out, "dump_age", f->dumps.newest, c->limits.dump_age, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].known &&
            perf(out, counts[i].label, counts[i].value, counts[i].unit, 0, e) != 0)
            return -1;
    return 0;
}

int check_nagios(const struct check *c, struct buf *out, struct err *e)
{
    const struct judge_verdict *first = NULL;

    if (c->worst == JUDGE_OK)
        return buf_str(out, "WALDEN OK - all is well |", e) == 0 && perf_all(c, out, e) == 0
                   ? buf_str(out, "\n", e)
                   : -1;
    for (size_t i = 0; first == NULL; i++)
        if (c->verdicts.v[i].state == c->worst)
            first = &c->verdicts.v[i];
    if (buf_fmt(out, e, "WALDEN %s - %s: ", title(c->worst), first->name) != 0 ||
        plain(out, first->text, e) != 0 ||
        buf_fmt(out, e, " (%u critical, %u warning%s, %u unknown) |", count(c, JUDGE_CRITICAL),
                count(c, JUDGE_WARNING), count(c, JUDGE_WARNING) == 1 ? "" : "s",
                count(c, JUDGE_UNKNOWN)) != 0 ||
        perf_all(c, out, e) != 0)
        return -1;
    return buf_str(out, "\n", e);
}

int check_nagios_failed(const struct err *why, struct buf *out, struct err *e)
{
    if (buf_str(out, "WALDEN UNKNOWN - ", e) != 0 ||
        plain(out, why->code == ERR_NONE ? "wrong command line" : why->msg, e) != 0)
        return -1;
    return buf_str(out, "\n", e);
}

/* --- JSON --- */

static void json_time(struct json_out *j, const char *key, int64_t time)
{
    survey_json_time(j, key, time == JUDGE_NEVER ? COVERAGE_NO_TIME : time);
}

void check_json_verdicts(const struct judge_verdicts *all, struct json_out *j, const char *key)
{
    json_array(j, key);
    for (size_t i = 0; i < all->n; i++) {
        const struct judge_verdict *v = &all->v[i];

        json_object(j, NULL);
        json_str(j, "name", v->name);
        json_str(j, "state", judge_word(v->state));
        json_str(j, "text", v->text);
        json_str(j, "next", v->next[0] == '\0' ? NULL : v->next);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_facts(struct json_out *j, const struct check *c)
{
    const struct judge_facts *f = &c->facts;
    uint64_t loss;

    json_object(j, "facts");
    if (f->archive.timeline == 0)
        json_null(j, "timeline");
    else
        json_num(j, "timeline", f->archive.timeline);
    survey_json_lsn(j, "wal_end", f->archive.end);
    json_time(j, "wal_archived", f->archive.arrived);
    json_time(j, "last_commit", f->archive.last_commit);
    json_num(j, "holes", f->archive.holes);
    json_num(j, "damaged", f->archive.damaged);
    json_num(j, "backups", f->archive.backups);
    json_num(j, "restorable", f->archive.restorable);
    json_time(j, "newest_backup", f->archive.backup_time);
    json_time(j, "verified", f->proof.verified);
    json_time(j, "swept", f->proof.swept);
    json_time(j, "drilled", f->proof.known ? f->proof.drilled : JUDGE_NEVER);
    json_num(j, "dumps", f->dumps.dumps);
    json_time(j, "newest_dump", f->dumps.newest);
    if (f->pg.ready_known)
        json_num(j, "ready", f->pg.ready);
    else
        json_null(j, "ready");
    if (f->repo.space.known)
        json_num(j, "repo_free", f->repo.space.free);
    else
        json_null(j, "repo_free");
    if (f->pg.wal_known)
        json_num(j, "pg_wal", f->pg.wal_bytes);
    else
        json_null(j, "pg_wal");
    if (judge_loss(f, &loss))
        json_num(j, "loss_seconds", loss / 1000000);
    else
        json_null(j, "loss_seconds");
    json_object_end(j);
}

int check_json(const struct check *c, struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SCHEMA);
    json_str(&j, "repository", c->settings->repo);
    json_str(&j, "cluster", c->cluster);
    if (c->system_id == 0)
        json_null(&j, "system_id");
    else
        json_fmt(&j, "system_id", "%llu", (unsigned long long)c->system_id);
    survey_json_time(&j, "time", c->facts.now);
    json_str(&j, "state", judge_word(c->worst));
    check_json_verdicts(&c->verdicts, &j, "checks");
    json_facts(&j, c);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

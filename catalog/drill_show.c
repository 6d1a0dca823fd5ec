/* The evidence of a drill, in four forms. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "drill.h"
#include "survey.h"

enum { SHOWN_MAX = 20, WIDTH = 34 };

static const char *result_of(const struct drill *r)
{
    return r->failed ? "failed" : "ok";
}

static void seconds(char out[32], uint64_t us)
{
    (void)snprintf(out, 32, "%llu.%01llu s", (unsigned long long)(us / 1000000),
                   (unsigned long long)(us / 100000 % 10));
}

static void version_text(char out[24], uint32_t version)
{
    (void)snprintf(out, 24, "%u.%u", (unsigned)(version / 10000), (unsigned)(version % 10000));
}

static void title(const struct drill *r, char out[DRILL_TEXT_MAX])
{
    (void)snprintf(out, DRILL_TEXT_MAX, "%s %s%s%s", r->kind == DRILL_BACKUP ? "backup" : "dump",
                   r->job, r->job[0] == '\0' ? "" : "/", r->what);
}

/* --- text --- */

static int show_check(const struct drill_check *c, struct buf *out, struct err *e)
{
    char name[2 * DRILL_NAME_MAX];
    int rc;

    (void)text_visible(name, sizeof name, c->name, strlen(c->name));
    if (c->state == DRILL_PASSED)
        rc = buf_fmt(out, e, "  passed   %-*s %s\n", WIDTH, name, c->found);
    else if (c->state == DRILL_FAILED)
        rc = buf_fmt(out, e, "  FAILED   %s\n           expected %s\n           found    %s\n",
                     name, c->asked, c->found);
    else
        rc = buf_fmt(out, e, "  skipped  %-*s %s\n", WIDTH, name, c->note);
    if (rc == 0 && c->state == DRILL_FAILED && c->note[0] != '\0')
        rc = buf_fmt(out, e, "           %s\n", c->note);
    return rc;
}

static int show_checks(const struct drill *r, struct buf *out, struct err *e)
{
    unsigned passed = 0;

    for (size_t i = 0; i < r->checks.n; i++) {
        const struct drill_check *c = &r->checks.v[i];

        if (c->state == DRILL_PASSED && passed++ >= SHOWN_MAX)
            continue;
        if (show_check(c, out, e) != 0)
            return -1;
    }
    return passed <= SHOWN_MAX ? 0
                               : buf_fmt(out, e, "  passed   and %u more\n", passed - SHOWN_MAX);
}

static int show_head(const struct drill *r, struct buf *out, struct err *e)
{
    char what[DRILL_TEXT_MAX];
    char time[SURVEY_TIME_MAX];
    char unpack[32];
    char replay[32];
    char total[32];
    char size[SURVEY_SIZE_MAX];

    title(r, what);
    survey_time(time, r->start);
    survey_size(size, r->bytes);
    seconds(unpack, r->unpack_us);
    seconds(replay, r->replay_us);
    seconds(total, r->total_us);
    if (buf_fmt(out, e, "drill of %s: %s\n  when     %s, on %s\n", what, result_of(r), time,
                r->host) != 0 ||
        (r->target[0] != '\0' && buf_fmt(out, e, "  asked    %s\n", r->target) != 0) ||
        (r->reached[0] != '\0' && buf_fmt(out, e, "  reached  %s\n", r->reached) != 0) ||
        (r->server[0] != '\0' && buf_fmt(out, e, "  into     %s\n", r->server) != 0))
        return -1;
    if (r->kind == DRILL_BACKUP)
        return buf_fmt(out, e, "  time     %s for %s, %s for WAL, %s in all\n", unpack, size,
                       replay, total);
    return buf_fmt(out, e, "  time     %s for %s, %s in all\n", unpack, size, total);
}

int drill_text(const struct drill_run *d, struct buf *out, struct err *e)
{
    const struct drill *r = &d->record;

    if (show_head(r, out, e) != 0 || show_checks(r, out, e) != 0 ||
        (r->why[0] != '\0' && buf_fmt(out, e, "  FAILED   %s\n", r->why) != 0) ||
        (r->cut && buf_str(out, "  not all checks that passed are on record\n", e) != 0))
        return -1;
    if (buf_fmt(out, e, "%u passed, %u failed, %u skipped\n", (unsigned)r->passed,
                (unsigned)r->failures, (unsigned)r->skipped) != 0)
        return -1;
    if (d->recorded)
        return buf_fmt(out, e, "recorded as %s; walden drill --show %s\n", r->label, r->label);
    return d->unrecorded[0] == '\0' ? 0 : buf_fmt(out, e, "not recorded: %s\n", d->unrecorded);
}

/* --- one line --- */

/* A value as it stands, or in quotes. */
static int add_value(struct buf *out, const char *text, struct err *e)
{
    bool plain = *text != '\0';

    for (const char *p = text; *p != '\0'; p++)
        plain = plain && isgraph((unsigned char)*p) && *p != '"' && *p != '=' && *p != '`';
    if (plain)
        return buf_str(out, text, e);
    if (buf_u8(out, '"', e) != 0)
        return -1;
    for (const char *p = text; *p != '\0'; p++)
        if (((*p == '"' || *p == '\\') && buf_u8(out, '\\', e) != 0) ||
            buf_u8(out, (uint8_t)((unsigned char)*p < 0x20 || *p == '`' ? ' ' : *p), e) != 0)
            return -1;
    return buf_u8(out, '"', e);
}

static int add_pair(struct buf *out, const char *key, const char *value, struct err *e)
{
    return buf_fmt(out, e, "%s%s=", out->len == 0 ? "" : " ", key) == 0 ? add_value(out, value, e)
                                                                        : -1;
}

static int add_number(struct buf *out, const char *key, uint64_t n, struct err *e)
{
    return buf_fmt(out, e, " %s=%llu", key, (unsigned long long)n);
}

/* A check's name as a key. */
static void key_of(const struct drill_check *c, char out[DRILL_NAME_MAX])
{
    size_t n = 0;

    for (const char *p = c->name; *p != '\0' && n + 1 < DRILL_NAME_MAX; p++)
        out[n++] = isalnum((unsigned char)*p) || *p == '-' ? *p : '_';
    out[n] = '\0';
}

static int line_head(const struct drill *r, struct buf *out, struct err *e)
{
    char time[TEXT_TIME_MAX];

    text_time(time, r->start, 0);
    if (add_pair(out, "drill", result_of(r), e) != 0 ||
        add_pair(out, "kind", r->kind == DRILL_BACKUP ? "backup" : "dump", e) != 0 ||
        (r->job[0] != '\0' && add_pair(out, "job", r->job, e) != 0) ||
        add_pair(out, "label", r->what, e) != 0 || add_pair(out, "time", time, e) != 0 ||
        add_number(out, "unpack_ms", r->unpack_us / 1000, e) != 0 ||
        (r->kind == DRILL_BACKUP && add_number(out, "replay_ms", r->replay_us / 1000, e) != 0) ||
        add_number(out, "total_ms", r->total_us / 1000, e) != 0)
        return -1;
    return 0;
}

int drill_line(const struct drill_run *d, struct buf *out, struct err *e)
{
    const struct drill *r = &d->record;
    char key[DRILL_NAME_MAX];
    int rc = 0;

    if (line_head(r, out, e) != 0 || add_number(out, "passed", r->passed, e) != 0 ||
        add_number(out, "failed", r->failures, e) != 0 ||
        add_number(out, "skipped", r->skipped, e) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < r->checks.n; i++) {
        const struct drill_check *c = &r->checks.v[i];

        key_of(c, key);
        rc = add_pair(out, key, c->state == DRILL_SKIPPED ? "skipped" : c->found, e);
    }
    if (rc == 0 && r->why[0] != '\0')
        rc = add_pair(out, "error", r->why, e);
    return rc == 0 && d->recorded ? add_pair(out, "record", r->label, e) : rc;
}

/* --- a block for a log --- */

/* A cell of a table must not end it. */
static int add_cell(struct buf *out, const char *text, struct err *e)
{
    if (buf_str(out, "| ", e) != 0)
        return -1;
    for (const char *p = text; *p != '\0'; p++)
        if ((*p == '|' && buf_u8(out, '\\', e) != 0) ||
            buf_u8(out, (uint8_t)((unsigned char)*p < 0x20 ? ' ' : *p), e) != 0)
            return -1;
    return buf_u8(out, ' ', e);
}

static int add_row(struct buf *out, const char *key, const char *value, struct err *e)
{
    if (*value == '\0')
        return 0;
    return add_cell(out, key, e) == 0 && add_cell(out, value, e) == 0 ? buf_str(out, "|\n", e) : -1;
}

static int add_facts(const struct drill_run *d, struct buf *out, struct err *e)
{
    const struct drill *r = &d->record;
    char what[DRILL_TEXT_MAX];
    char time[SURVEY_TIME_MAX];
    char times[128];
    char unpack[32];
    char replay[32];
    char total[32];
    char version[24];

    title(r, what);
    survey_time(time, r->start);
    seconds(unpack, r->unpack_us);
    seconds(replay, r->replay_us);
    seconds(total, r->total_us);
    version_text(version, r->server_version);
    if (r->kind == DRILL_BACKUP)
        (void)snprintf(times, sizeof times, "unpack %s, replay %s, total %s", unpack, replay,
                       total);
    else
        (void)snprintf(times, sizeof times, "unpack %s, total %s", unpack, total);
    if (add_row(out, "drilled", what, e) != 0 || add_row(out, "when", time, e) != 0 ||
        add_row(out, "host", r->host, e) != 0 || add_row(out, "PostgreSQL", version, e) != 0 ||
        add_row(out, "into", r->server, e) != 0 || add_row(out, "asked", r->target, e) != 0 ||
        add_row(out, "reached", r->reached, e) != 0 || add_row(out, "times", times, e) != 0 ||
        add_row(out, "error", r->why, e) != 0)
        return -1;
    return add_row(out, "record", d->recorded ? r->label : d->unrecorded, e);
}

int drill_markdown(const struct drill_run *d, struct buf *out, struct err *e)
{
    const struct drill *r = &d->record;
    char day[TEXT_TIME_MAX];

    text_time(day, r->start, 0);
    if (buf_fmt(out, e, "## DRILL-%.10s: %s\n\n| what | value |\n|---|---|\n", day, result_of(r)) !=
            0 ||
        add_facts(d, out, e) != 0)
        return -1;
    if (r->checks.n > 0 &&
        buf_str(out, "\n| check | result | expected | found | note |\n|---|---|---|---|---|\n",
                e) != 0)
        return -1;
    for (size_t i = 0; i < r->checks.n; i++) {
        const struct drill_check *c = &r->checks.v[i];

        if (add_cell(out, c->name, e) != 0 || add_cell(out, drill_word(c->state), e) != 0 ||
            add_cell(out, c->asked, e) != 0 || add_cell(out, c->found, e) != 0 ||
            add_cell(out, c->note, e) != 0 || buf_str(out, "|\n", e) != 0)
            return -1;
    }
    return 0;
}

/* --- JSON --- */

static void json_checks(struct json_out *j, const struct drill *r)
{
    json_array(j, "checks");
    for (size_t i = 0; i < r->checks.n; i++) {
        const struct drill_check *c = &r->checks.v[i];

        json_object(j, NULL);
        json_str(j, "name", c->name);
        json_str(j, "result", drill_word(c->state));
        json_str(j, "expected", c->asked);
        json_str(j, "found", c->found);
        json_str(j, "note", c->note[0] == '\0' ? NULL : c->note);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_text(struct json_out *j, const char *key, const char *text)
{
    json_str(j, key, *text == '\0' ? NULL : text);
}

int drill_json(const struct drill_run *d, struct err *e)
{
    const struct drill *r = &d->record;
    char version[24];
    struct json_out j;
    struct buf b;
    int rc;

    version_text(version, r->server_version);
    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    json_str(&j, "label", d->recorded ? r->label : NULL);
    json_str(&j, "kind", r->kind == DRILL_BACKUP ? "backup" : "dump");
    json_str(&j, "result", result_of(r));
    json_text(&j, "job", r->job);
    json_str(&j, "drilled", r->what);
    json_fmt(&j, "system_id", "%llu", (unsigned long long)r->system_id);
    json_str(&j, "host", r->host);
    survey_json_time(&j, "started", r->start);
    survey_json_time(&j, "stopped", r->end);
    json_str(&j, "server_version", version);
    json_text(&j, "asked", r->target);
    json_text(&j, "reached", r->reached);
    json_text(&j, "into", r->server);
    json_num(&j, "bytes", r->bytes);
    json_num(&j, "wal_bytes", r->wal);
    json_num(&j, "unpack_ms", r->unpack_us / 1000);
    json_num(&j, "replay_ms", r->replay_us / 1000);
    json_num(&j, "total_ms", r->total_us / 1000);
    json_num(&j, "passed", r->passed);
    json_num(&j, "failed", r->failures);
    json_num(&j, "skipped", r->skipped);
    json_checks(&j, r);
    json_text(&j, "error", r->why);
    json_text(&j, "unrecorded", d->unrecorded);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

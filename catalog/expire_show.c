#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "expire.h"
#include "repo/verified.h"
#include "survey.h"

/* --- words --- */

/* The text of a setting as it was written; "all" and the like when nobody wrote one. */
static const char *setting(const struct settings *s, const char *key, const char *otherwise)
{
    for (size_t i = 0; settings_key(i) != NULL; i++)
        if (strcmp(settings_key(i), key) == 0 && s->origin[i].text != NULL)
            return s->origin[i].text;
    return otherwise;
}

static const char *kind_word(enum object_kind kind)
{
    switch (kind) {
    case KIND_MANIFEST:
        return "backup";
    case KIND_DUMP:
        return "dump";
    case KIND_SEGMENT:
        return "wal";
    default:
        return "expire record";
    }
}

static void moment(char out[SURVEY_TIME_MAX], int64_t time)
{
    if (time == COVERAGE_NO_TIME)
        (void)snprintf(out, SURVEY_TIME_MAX, "a moment that no commit tells");
    else
        survey_time(out, time);
}

/* --- text --- */

static int show_doubts(const struct expire *x, struct buf *out, struct err *e)
{
    char said[SURVEY_TIME_MAX];
    char now[SURVEY_TIME_MAX];
    char propose[SURVEY_TIME_MAX];

    survey_time(now, x->in.now);
    if (x->r.doubts.n == 0)
        return 0;
    if (buf_fmt(out, e, "\nclocks (here it is %s)\n", now) != 0)
        return -1;
    for (size_t i = 0; i < x->r.doubts.n; i++) {
        const struct retention_doubt *d = &x->r.doubts.v[i];

        survey_time(said, d->time);
        survey_time(propose, d->propose);
        if (buf_fmt(out, e, "  %s %s\n      says      %s\n", kind_word(d->kind), d->name, said) !=
                0 ||
            (d->after[0] == '\0'
                 ? buf_str(out, "      but       that is in the future\n", e)
                 : buf_fmt(out, e,
                           "      but       by its place in the WAL it belongs beside\n"
                           "                %s\n",
                           d->after)) != 0 ||
            buf_fmt(out, e, "      %s %s\n", x->in.accept_clock ? "counts as" : "would be ",
                    propose) != 0)
            return -1;
    }
    return 0;
}

static int show_items(const struct expire *x, enum object_kind kind, struct buf *out, struct err *e)
{
    char time[SURVEY_TIME_MAX];
    bool any = false;

    for (size_t i = 0; i < x->in.items.n; i++) {
        const struct retention_item *item = &x->in.items.v[i];
        const struct retention_verdict *v = &x->r.verdicts.v[i];

        if (item->kind != kind)
            continue;
        if (!any && buf_fmt(out, e, "\n%ss\n", kind_word(kind)) != 0)
            return -1;
        any = true;
        survey_time(time, v->time);
        if (buf_fmt(out, e, "  %s %s%s%s%s\n", v->keep ? "keep  " : "REMOVE", item->name,
                    kind == KIND_MANIFEST && item->group[0] != '\0' ? ", \"" : "",
                    kind == KIND_MANIFEST ? item->group : "",
                    kind == KIND_MANIFEST && item->group[0] != '\0' ? "\"" : "") != 0 ||
            (item->readable && buf_fmt(out, e, "         ended   %s\n", time) != 0) ||
            buf_fmt(out, e, "         reason  %s\n", v->reason) != 0)
            return -1;
    }
    return 0;
}

static int show_wal(const struct expire *x, struct buf *out, struct err *e)
{
    uint32_t size = x->inventory.in.segsize;
    char a[TEXT_LSN_MAX];
    char b[TEXT_LSN_MAX];
    char bytes[SURVEY_SIZE_MAX];

    if (buf_str(out, "\nWAL\n", e) != 0)
        return -1;
    for (size_t i = 0; i < x->r.ranges.n; i++) {
        const struct retention_range *r = &x->r.ranges.v[i];

        text_lsn(a, walname_start(r->first, size));
        text_lsn(b, walname_start(r->behind, size));
        survey_size(bytes, r->bytes);
        if (buf_fmt(out, e, "  REMOVE timeline %u, %s to %s, %llu segment%s, %s\n",
                    (unsigned)r->tli, a, b, (unsigned long long)r->segments,
                    r->segments == 1 ? "" : "s", bytes) != 0)
            return -1;
    }
    return buf_fmt(out, e, "         reason  %s\n", x->r.wal);
}

static int show_losses(const struct expire *x, struct buf *out, struct err *e)
{
    char from[SURVEY_TIME_MAX];
    char to[SURVEY_TIME_MAX];
    char a[TEXT_LSN_MAX];
    char b[TEXT_LSN_MAX];

    if (x->r.losses.n == 0)
        return buf_str(out, "\nEvery moment that can be restored now can be restored then.\n", e);
    if (buf_str(out, "\nno longer restorable\n", e) != 0)
        return -1;
    for (size_t i = 0; i < x->r.losses.n; i++) {
        const struct retention_loss *l = &x->r.losses.v[i];

        moment(from, l->from_time);
        moment(to, l->to_time);
        text_lsn(a, l->from);
        text_lsn(b, l->to);
        if ((l->from == l->to
                 ? buf_fmt(out, e, "  the moment %s\n         on timeline %u, at %s\n", from,
                           (unsigned)l->tli, a)
                 : buf_fmt(out, e, "  from   %s\n  to     %s\n         on timeline %u, %s to %s\n",
                           from, to, (unsigned)l->tli, a, b)) != 0)
            return -1;
    }
    return 0;
}

int expire_show_decision(const struct expire *x, const struct settings *s, struct buf *out,
                         struct err *e)
{
    if (buf_fmt(out, e, "repository %s\ncluster %s, system identifier %llu\n\n", s->repo,
                x->repo->where.cluster, (unsigned long long)x->repo->where.system_id) != 0 ||
        buf_fmt(out, e, "keep_backups  %s\nkeep_dumps    %s\nwal_within    %s\n",
                setting(s, "keep_backups", "all"), setting(s, "keep_dumps", "all"),
                setting(s, "wal_within", "as long as a backup needs it")) != 0 ||
        show_doubts(x, out, e) != 0)
        return -1;
    if (retention_is_blocked(&x->r, &x->in))
        return 0;
    if (show_items(x, KIND_MANIFEST, out, e) != 0 || show_items(x, KIND_DUMP, out, e) != 0 ||
        show_wal(x, out, e) != 0)
        return -1;
    return show_losses(x, out, e);
}

static void planned(const struct expire *x, struct expire_done *p, uint64_t *bytes)
{
    memset(p, 0, sizeof *p);
    *bytes = 0;
    for (size_t i = 0; i < x->in.items.n; i++)
        if (!x->r.verdicts.v[i].keep) {
            p->backups += x->in.items.v[i].kind == KIND_MANIFEST ? 1 : 0;
            p->dumps += x->in.items.v[i].kind == KIND_DUMP ? 1 : 0;
            *bytes += x->in.items.v[i].bytes;
        }
    for (size_t i = 0; i < x->r.ranges.n; i++) {
        p->wal += x->r.ranges.v[i].segments;
        *bytes += x->r.ranges.v[i].bytes;
    }
}

static int show_counts(const struct expire_done *d, struct buf *out, struct err *e)
{
    return buf_fmt(out, e, "%u backup%s, %u dump%s and %llu WAL file%s", d->backups,
                   d->backups == 1 ? "" : "s", d->dumps, d->dumps == 1 ? "" : "s",
                   (unsigned long long)d->wal, d->wal == 1 ? "" : "s");
}

int expire_show_done(const struct expire *x, struct buf *out, struct err *e)
{
    const struct expire_done *d = &x->done;
    struct expire_done p;
    uint64_t bytes;
    char size[SURVEY_SIZE_MAX];

    if (x->how->dry_run) {
        planned(x, &p, &bytes);
        survey_size(size, bytes);
        if (buf_str(out, "\nNothing was removed; without --dry-run ", e) != 0 ||
            show_counts(&p, out, e) != 0)
            return -1;
        return buf_fmt(out, e, " go\n(%s, and in later runs what only these backups need).\n",
                       size);
    }
    if (buf_str(out, "\nremoved ", e) != 0 || show_counts(d, out, e) != 0 ||
        buf_str(out, "\n", e) != 0)
        return -1;
    if (d->spared > 0 &&
        buf_fmt(out, e, "%u of the above stayed: somebody took hold of it meanwhile\n",
                d->spared) != 0)
        return -1;
    survey_size(size, d->packs.bytes);
    if (d->packs.removed > 0 &&
        buf_fmt(out, e, "removed %u pack%s that no backup needs, %s\n", d->packs.removed,
                d->packs.removed == 1 ? "" : "s", size) != 0)
        return -1;
    survey_size(size, d->gained);
    if (d->compactions > 0 &&
        buf_fmt(out, e, "gathered what is needed of mostly empty packs; %s go with a later run\n",
                size) != 0)
        return -1;
    if (d->packs.busy > 0 &&
        buf_fmt(out, e, "%u backup%s or restore%s at work: packs wait for a later run\n",
                d->packs.busy, d->packs.busy == 1 ? "" : "s", d->packs.busy == 1 ? "" : "s") != 0)
        return -1;
    return d->packs.condemned == 0
               ? 0
               : buf_fmt(out, e, "%u pack%s that no backup needs will go with the next run\n",
                         d->packs.condemned, d->packs.condemned == 1 ? "" : "s");
}

/* --- JSON --- */

static const char *const why_words[] = {"all",    "last",       "daily",   "weekly", "monthly",
                                        "yearly", "within",     "base",    "floor",  "pinned",
                                        "held",   "unreadable", "uncopied"};

static void json_items(const struct expire *x, enum object_kind kind, struct json_out *j)
{
    for (size_t i = 0; i < x->r.verdicts.n; i++) {
        const struct retention_item *item = &x->in.items.v[i];
        const struct retention_verdict *v = &x->r.verdicts.v[i];

        if (item->kind != kind)
            continue;
        json_object(j, NULL);
        json_str(j, "label", item->name);
        if (kind == KIND_MANIFEST && item->group[0] == '\0')
            json_null(j, "tag");
        else
            json_str(j, kind == KIND_MANIFEST ? "tag" : "job", item->group);
        survey_json_time(j, "time", item->readable ? v->time : COVERAGE_NO_TIME);
        json_bool(j, "good", item->good);
        json_str(j, "verified", verified_word(item->verified));
        json_bool(j, "keep", v->keep);
        json_array(j, "why");
        for (size_t k = 0; k < sizeof why_words / sizeof why_words[0]; k++)
            if (v->why & 1U << k)
                json_str(j, NULL, why_words[k]);
        json_array_end(j);
        json_str(j, "reason", v->reason);
        json_object_end(j);
    }
}

static void json_doubts(const struct expire *x, struct json_out *j)
{
    json_array(j, "doubts");
    for (size_t i = 0; i < x->r.doubts.n; i++) {
        const struct retention_doubt *d = &x->r.doubts.v[i];

        json_object(j, NULL);
        json_str(j, "kind", kind_word(d->kind));
        json_str(j, "name", d->name);
        survey_json_time(j, "time", d->time);
        survey_json_time(j, "proposed", d->propose);
        json_str(j, "at_odds_with", d->after[0] == '\0' ? NULL : d->after);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_wal(const struct expire *x, struct json_out *j)
{
    uint32_t size = x->inventory.in.segsize;

    json_object(j, "wal");
    json_str(j, "reason", x->r.wal);
    json_array(j, "removed");
    for (size_t i = 0; i < x->r.ranges.n; i++) {
        const struct retention_range *r = &x->r.ranges.v[i];

        json_object(j, NULL);
        json_num(j, "timeline", r->tli);
        survey_json_lsn(j, "start", walname_start(r->first, size));
        survey_json_lsn(j, "end", walname_start(r->behind, size));
        json_num(j, "segments", r->segments);
        json_num(j, "bytes", r->bytes);
        json_object_end(j);
    }
    json_array_end(j);
    json_object_end(j);
    json_array(j, "lost");
    for (size_t i = 0; i < x->r.losses.n; i++) {
        const struct retention_loss *l = &x->r.losses.v[i];

        json_object(j, NULL);
        json_num(j, "timeline", l->tli);
        survey_json_lsn(j, "start", l->from);
        survey_json_lsn(j, "end", l->to);
        survey_json_time(j, "start_time", l->from_time);
        survey_json_time(j, "end_time", l->to_time);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_done(const struct expire *x, struct json_out *j)
{
    const struct expire_done *d = &x->done;

    json_object(j, "done");
    json_num(j, "records", d->records);
    json_num(j, "backups", d->backups);
    json_num(j, "dumps", d->dumps);
    json_num(j, "wal_files", d->wal);
    json_num(j, "spared", d->spared);
    json_num(j, "packs", d->packs.removed);
    json_num(j, "pack_bytes", d->packs.bytes);
    json_num(j, "packs_condemned", d->packs.condemned);
    json_num(j, "compacted", d->compactions);
    json_num(j, "busy", d->packs.busy);
    json_object_end(j);
}

int expire_print_json(const struct expire *x, const struct settings *s, bool finished,
                      struct err *e)
{
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", EXPIRE_SCHEMA);
    json_str(&j, "repository", s->repo);
    json_str(&j, "cluster", x->repo->where.cluster);
    json_fmt(&j, "system_id", "%llu", (unsigned long long)x->repo->where.system_id);
    json_str(&j, "keep_backups", setting(s, "keep_backups", "all"));
    json_str(&j, "keep_dumps", setting(s, "keep_dumps", "all"));
    json_str(&j, "wal_within", setting(s, "wal_within", NULL));
    json_bool(&j, "dry_run", x->how->dry_run);
    json_bool(&j, "clock_accepted", x->in.accept_clock);
    json_doubts(x, &j);
    json_array(&j, "backups");
    json_items(x, KIND_MANIFEST, &j);
    json_array_end(&j);
    json_array(&j, "dumps");
    json_items(x, KIND_DUMP, &j);
    json_array_end(&j);
    json_wal(x, &j);
    if (finished && !retention_is_blocked(&x->r, &x->in))
        json_done(x, &j);
    else
        json_null(&j, "done");
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

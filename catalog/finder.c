#include "finder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "os/tty.h"
#include "survey.h"

enum { COMMAND_MAX = 64 * 1024, LISTED = 20 };

/* --- reading --- */

static void tell(void *arg, uint64_t done, uint64_t total)
{
    const struct restore *r = arg;

    if (r->m->level != MSG_QUIET && os_tty_is(STDERR_FILENO) && (done % 256 == 0 || done == total))
        fprintf(stderr, "\rsearching: %llu of %llu segments%s", (unsigned long long)done,
                (unsigned long long)total, done == total ? "\r\033[K" : "");
}

void finder_init(struct finder *f)
{
    memset(f, 0, sizeof *f);
    f->bounds.since = f->bounds.until = COVERAGE_NO_TIME;
    f->most = FIND_MAX;
}

/* --- keeping --- */

static int keep_text(struct finder *f, const char **text, struct err *e)
{
    size_t n = f->texts.n;
    char *copy;

    if (*text == NULL)
        return 0;
    /* The names of databases and schemas come again and again. */
    for (size_t i = 0; i < 3 && i < n; i++)
        if (strcmp(f->texts.v[n - 1 - i], *text) == 0) {
            *text = f->texts.v[n - 1 - i];
            return 0;
        }
    copy = strdup(*text);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory to search the archive with");
    if (finder_texts_push(&f->texts, copy, e) != 0) {
        free(copy);
        return -1;
    }
    *text = copy;
    return 0;
}

/* The oldest go. */
static void trim(struct finder *f)
{
    size_t excess = f->all.n > f->most ? f->all.n - f->most : 0;
    size_t nameless = 0;
    size_t n = 0;

    for (size_t i = 0; i < f->all.n; i++)
        nameless += f->all.v[i].name == NULL ? 1 : 0;
    f->left_out += excess;
    for (size_t i = 0; i < f->all.n; i++) {
        bool stays = f->names_first && nameless > 0 && f->all.v[i].name != NULL;

        if (excess > 0 && !stays) {
            excess--;
            nameless -= f->all.v[i].name == NULL ? 1 : 0;
            continue;
        }
        f->all.v[n++] = f->all.v[i];
    }
    f->all.n = n;
}

static int keep(struct finder *f, const struct find_candidates *new, bool last, struct err *e)
{
    size_t had = f->all.n;
    size_t n = 0;

    for (size_t i = 0; i < new->n; i++)
        if ((f->fits == NULL || f->fits(f->fits_arg, &new->v[i])) &&
            find_candidates_push(&f->all, new->v[i], e) != 0)
            return -1;
    if (had > 0)
        find_sort(&f->all);
    trim(f);
    for (size_t i = 0; !last && i < f->all.n; i++)
        n += f->all.v[i].kept ? 0 : 1;
    for (size_t i = 0; n > 0 && i < f->all.n; i++) {
        struct find_candidate *c = &f->all.v[i];

        if (c->kept)
            continue;
        if (keep_text(f, &c->database, e) != 0 || keep_text(f, &c->schema, e) != 0 ||
            keep_text(f, &c->name, e) != 0)
            return -1;
        c->kept = true;
    }
    return 0;
}

/* A part of the archive was read: what is to be known of it, and no more. */
static int judge_part(void *arg, struct err *e)
{
    struct finder *f = arg;
    struct restore *r = f->r;
    struct find_candidates new;
    int rc;

    find_candidates_init(&new, FIND_MAX);
    find_finish(&f->find);
    rc = find_read_maps_near(&f->find, &r->inventory, &r->repo, &f->filter.table, &r->scratch,
                             &f->read, e);
    if (rc == 0)
        rc = find_judge(&f->find, &f->filter, &new, e);
    if (rc == 0)
        rc = keep(f, &new, false, e);
    if (rc == 0)
        rc = find_forget(&f->find, r->inventory.in.segsize, e);
    find_candidates_fini(&new);
    return rc;
}

static int judge_rest(struct finder *f, struct err *e)
{
    struct restore *r = f->r;
    struct find_candidates new;
    int rc;

    find_candidates_init(&new, FIND_MAX);
    rc = find_read_maps(&f->find, &r->inventory, &r->repo, &f->filter.table, &r->scratch, &f->read,
                        e);
    if (rc == 0)
        rc = find_candidates(&f->find, &f->filter, &new, e);
    if (rc == 0)
        rc = keep(f, &new, true, e);
    find_candidates_fini(&new);
    return rc;
}

/* --- running --- */

static int read_segments(struct finder *f, struct restore *r, struct err *e)
{
    struct inventory *v = &r->inventory;
    bool *want = NULL;
    int rc = 0;

    if (find_is_bounded(&f->bounds)) {
        want = calloc(v->in.segments.n + 1, sizeof *want);
        if (want == NULL)
            return err_set(e, ERR_NOMEM, "no memory to search the archive with");
        rc = find_choose(want, &f->bounds, v, &r->repo, &r->scratch, e);
    }
    f->read.want = want;
    if (rc == 0)
        rc = find_read_segments(&f->find, v, &r->repo, &r->scratch, &f->read, e);
    f->read.want = NULL;
    free(want);
    return rc;
}

int finder_run(struct finder *f, struct restore *r, struct err *e)
{
    find_init(&f->find, &r->inventory.in.lines);
    find_candidates_init(&f->all, FIND_MAX);
    finder_texts_init(&f->texts, (size_t)FIND_MAX * 3);
    f->r = r;
    f->read.progress = tell;
    f->read.progress_arg = r;
    f->read.judge = judge_part;
    f->read.judge_arg = f;
    if (read_segments(f, r, e) != 0 || judge_rest(f, e) != 0)
        return -1;
    for (size_t i = 0; i < f->all.n; i++)
        if (f->all.v[i].kind == FIND_DROP_DATABASE &&
            find_read_mark(&f->all.v[i], &r->inventory, &r->repo, &r->scratch, e) < 0)
            return -1;
    return 0;
}

void finder_fini(struct finder *f)
{
    if (f->find.lines == NULL)
        return;
    for (size_t i = 0; i < f->texts.n; i++)
        free(f->texts.v[i]);
    finder_texts_fini(&f->texts);
    find_candidates_fini(&f->all);
    find_fini(&f->find);
}

bool finder_has_trouble(const struct finder *f)
{
    return f->read.broken > 0 || f->read.holes > 0;
}

/* --- where to stop --- */

/* The latest timeline leads by the place, else its own must be named. */
static tli_t timeline_for(const struct restore *r, tli_t tli, lsn_t lsn)
{
    const struct plan_lines *lines = &r->inventory.in.lines;
    tli_t latest = tli;

    for (size_t i = 0; i < lines->n; i++)
        if (lines->v[i].tli > latest)
            latest = lines->v[i].tli;
    return find_leads_to(lines, tli, lsn, latest) ? 0 : tli;
}

static int try_target(struct restore *r, const struct plan_target *t, struct finder_aim *aim,
                      struct err *e)
{
    const struct plan *p = &r->plan;
    struct err why = {0};

    r->target = *t;
    aim->target = *t;
    aim->reachable = false;
    aim->kept = (struct plan_end){0};
    aim->kept_time = COVERAGE_NO_TIME;
    if (restore_plan(r, &why) != 0) {
        if (p->verdict != PLAN_NO) {
            *e = why;
            return -1;
        }
        (void)snprintf(aim->why, sizeof aim->why, "%s", why.msg);
        return 0;
    }
    aim->reachable = true;
    aim->kept = p->reached;
    aim->kept_time = p->reached.lsn != 0 ? p->reached.time : p->reached_time;
    return 0;
}

/* Does nothing commit between two stops? */
static bool is_same(const struct finder_aim *a, const struct finder_aim *b)
{
    return a->reachable && b->reachable && a->kept.lsn == b->kept.lsn &&
           a->kept_time == b->kept_time;
}

int finder_aim(struct restore *r, const struct find_candidate *c, int action,
               struct finder_aim *aim, struct err *e)
{
    struct plan_target t = {.kind = PLAN_LSN, .exclusive = true, .lsn = c->before};
    struct finder_aim lock;
    bool closed = r->repo.marker.sealed && !r->repo.has_secret;

    memset(aim, 0, sizeof *aim);
    aim->action = action >= 0 ? (enum restore_action)action : RESTORE_PAUSE;
    aim->unproven = c->kind == FIND_DROP_DATABASE && closed;
    if (c->kind == FIND_RESTORE_POINT) { /* right behind its record, whatever else has its name */
        t.lsn = c->lsn;
        t.exclusive = false;
    }
    t.timeline = timeline_for(r, c->tli, t.lsn);
    t.backup = r->o->backup;
    if (try_target(r, &t, aim, e) != 0)
        return -1;
    if (c->lock == 0 &&
        (c->kind == FIND_DROP || c->kind == FIND_TRUNCATE || c->kind == FIND_REWRITE) && action < 0)
        aim->action = RESTORE_PROMOTE; /* no lock is on record, but there was one */
    if (c->lock == 0 || c->lock >= c->before || action == RESTORE_PROMOTE)
        return 0;
    lock = *aim;
    t.lsn = c->lock;
    t.timeline = timeline_for(r, c->tli, t.lsn);
    if (try_target(r, &t, &lock, e) != 0)
        return -1;
    lock.at_lock = true;
    /* Who insists on a pause gets the place where the table can be read. */
    if (lock.reachable && (action >= 0 || (!closed && is_same(&lock, aim)))) {
        *aim = lock;
        aim->chosen = action < 0;
        return 0;
    }
    aim->action = action >= 0 ? (enum restore_action)action : RESTORE_PROMOTE;
    r->target = aim->target;
    return 0;
}

int finder_options(const struct finder_aim *aim, struct buf *b, struct err *e)
{
    char lsn[TEXT_LSN_MAX];

    text_lsn(lsn, aim->target.lsn);
    if (buf_fmt(b, e, "--target-lsn %s%s", lsn,
                aim->target.exclusive ? " --target-exclusive" : "") != 0)
        return -1;
    if (aim->action == RESTORE_PROMOTE && buf_str(b, " --target-action promote", e) != 0)
        return -1;
    return aim->target.timeline == 0
               ? 0
               : buf_fmt(b, e, " --target-timeline %u", (unsigned)aim->target.timeline);
}

int finder_command(const struct restore *r, const struct finder_aim *aim, struct buf *b,
                   struct err *e)
{
    if (buf_str(b, "walden restore", e) != 0 || restore_settings_words(r->s, b, e) != 0 ||
        buf_str(b, " -D DIR ", e) != 0)
        return -1;
    return finder_options(aim, b, e);
}

/* --- words --- */

static const char *noun(char relkind)
{
    switch (relkind) {
    case 'r':
    case 'p':
        return "table";
    case 'm':
        return "materialized view";
    case 'f':
        return "foreign table";
    case 'i':
    case 'I':
        return "index";
    case 'S':
        return "sequence";
    case 't':
        return "TOAST table";
    default:
        return "relation";
    }
}

void finder_what(const struct find_candidate *c, char out[FINDER_TEXT])
{
    char full[FIND_NAME_MAX];
    char shown[FINDER_TEXT / 2];
    char base[80];
    size_t n = 0;

    if (c->database != NULL)
        (void)text_visible(base, sizeof base, c->database, strlen(c->database));
    else
        (void)snprintf(base, sizeof base, "number %u", (unsigned)c->db);
    if (c->kind == FIND_RESTORE_POINT) {
        (void)text_visible(shown, sizeof shown, c->name, strlen(c->name));
        (void)snprintf(out, FINDER_TEXT, "restore point \"%s\"", shown);
        return;
    }
    if (c->kind == FIND_COMMIT) {
        (void)snprintf(out, FINDER_TEXT, "transaction %u", (unsigned)c->xid);
        return;
    }
    if (c->name != NULL) {
        find_relation_text(c->schema, c->name, full);
        (void)text_visible(shown, sizeof shown, full, strlen(full));
    }
    if (c->kind == FIND_DROP_DATABASE) {
        (void)snprintf(out, FINDER_TEXT, "database %s%s%s%s", base,
                       c->name == NULL ? "" : ", with ", c->name == NULL ? "" : noun(c->relkind),
                       c->name == NULL ? "" : " ");
        n = strlen(out);
        if (c->name != NULL)
            (void)snprintf(out + n, FINDER_TEXT - n, "%s", shown);
        return;
    }
    if (c->name != NULL)
        (void)snprintf(out, FINDER_TEXT, "%s %s of database %s", noun(c->relkind), shown, base);
    else if (c->oid != 0)
        (void)snprintf(out, FINDER_TEXT, "relation number %u of database %s", (unsigned)c->oid,
                       base);
    else if (c->file != 0)
        (void)snprintf(out, FINDER_TEXT, "the relation of file %u of database %s",
                       (unsigned)c->file, base);
    else
        (void)snprintf(out, FINDER_TEXT, "relations of database %s", base);
}

static void rows_text(const struct find_candidate *c, char out[FINDER_TEXT])
{
    const char *least = c->at_least ? "at least " : "";

    if (c->updates == 0)
        (void)snprintf(out, FINDER_TEXT, "%s%llu rows deleted", least,
                       (unsigned long long)c->deletes);
    else if (c->deletes == 0)
        (void)snprintf(out, FINDER_TEXT, "%s%llu rows updated", least,
                       (unsigned long long)c->updates);
    else
        (void)snprintf(out, FINDER_TEXT, "%s%llu rows deleted and %llu updated", least,
                       (unsigned long long)c->deletes, (unsigned long long)c->updates);
}

void finder_how(const struct find_candidate *c, char out[FINDER_TEXT])
{
    static const char *const words[FIND_KINDS][2] = {
        [FIND_DROP] = {"dropped", "dropped, perhaps"},
        [FIND_TRUNCATE] = {"truncated", "truncated, or moved, or dropped and made anew"},
        [FIND_REWRITE] = {"rewritten (VACUUM FULL, CLUSTER, ALTER TABLE)",
                          "rewritten, or dropped and made anew"},
        [FIND_DELETE] = {"", ""},
        [FIND_DROP_DATABASE] = {"dropped", "dropped, if that was committed"},
        [FIND_RESTORE_POINT] = {"made", "made"},
        [FIND_COMMIT] = {"committed", "committed"},
    };

    if (c->kind == FIND_DELETE)
        rows_text(c, out);
    else
        (void)snprintf(out, FINDER_TEXT, "%s", words[c->kind][c->unsure ? 1 : 0]);
}

/* --- what could not be searched --- */

static int keys_text(const struct finder *f, struct buf *b, struct err *e)
{
    const struct find_read *how = &f->read;

    if (how->sealed > 0 &&
        buf_fmt(b, e,
                "%llu segments are sealed: what happened in them opens with the host\n"
                "key or a secret key (host_key, secret_key), which are not here.\n",
                (unsigned long long)how->sealed) != 0)
        return -1;
    if (how->crossing > 0 &&
        buf_fmt(b, e,
                "%llu commits lie across two segments and open with the secret key only:\n"
                "one of them may be what you look for.\n",
                (unsigned long long)how->crossing) != 0)
        return -1;
    return 0;
}

int finder_caveats(const struct finder *f, const struct restore *r, struct buf *b, struct err *e)
{
    const struct find_read *how = &f->read;

    if (keys_text(f, b, e) != 0)
        return -1;
    if (how->holes > 0 &&
        buf_fmt(b, e,
                "Segments are missing at %llu place%s; what happened there is not known.\n"
                "\"walden list\" shows where.\n",
                (unsigned long long)how->holes, how->holes == 1 ? "" : "s") != 0)
        return -1;
    if (how->broken > 0 && buf_fmt(b, e, "%llu segments cannot be read, the first of them: %s.\n",
                                   (unsigned long long)how->broken, how->why.msg) != 0)
        return -1;
    if (f->find.lost > 0 &&
        buf_fmt(b, e,
                "%llu segments were so busy that not all that happened in them is on\n"
                "record.\n",
                (unsigned long long)f->find.lost) != 0)
        return -1;
    if (how->maps == 0 &&
        buf_str(
            b,
            r->inventory.in.backups.n == 0
                ? "There is no base backup, so nothing has a name.\n"
                : "No base backup has a map of relation names that can be read here: relations\n"
                  "have numbers only.\n",
            e) != 0)
        return -1;
    return 0;
}

int finder_guess(const struct finder *f, struct buf *b, struct err *e)
{
    const struct find_guess *g = &f->read.guess;
    char full[FIND_NAME_MAX];
    char shown[FINDER_TEXT / 2];

    if (!f->filter.table.is_set || f->filter.table.oid != 0 || g->known || f->read.maps == 0)
        return 0;
    if (g->name[0] == '\0')
        return buf_str(
            b,
            "No base backup knows a table of that name. One that was made and lost between\n"
            "two of them has no name: \"walden find\" without a name shows it. Of views,\n"
            "functions and other things without rows the WAL tells nothing.\n",
            e);
    find_relation_text(f->filter.table.schema[0] == '\0' ? NULL : g->schema, g->name, full);
    (void)text_visible(shown, sizeof shown, full, strlen(full));
    if (buf_fmt(b, e, "No base backup knows a table of that name. Did you mean %s%s%s?\n",
                strchr(shown, '"') == NULL ? "" : "'", shown,
                strchr(shown, '"') == NULL ? "" : "'") != 0)
        return -1;
    return strchr(shown, '"') == NULL
               ? 0
               : buf_str(b, "(Names with capital letters are written with both kinds of quotes.)\n",
                         e);
}

/* --- the one that is meant --- */

/* Is it what was asked for, and not something that nobody can name? */
static bool is_certain(const struct finder *f, const struct find_candidate *c)
{
    uint32_t asked = f->filter.table.oid;

    if (c->unsure)
        return false;
    return c->kind == FIND_DROP_DATABASE ? c->database != NULL
                                         : c->name != NULL || (asked != 0 && c->oid == asked);
}

static int list_them(const struct finder *f, struct restore *r, struct err *e)
{
    size_t first = f->all.n > LISTED ? f->all.n - LISTED : 0;
    struct buf b;
    int rc = 0;

    buf_init(&b, COMMAND_MAX);
    for (size_t i = first; rc == 0 && i < f->all.n; i++) {
        const struct find_candidate *c = &f->all.v[i];
        struct finder_aim aim;
        char what[FINDER_TEXT];
        char how[FINDER_TEXT];
        char time[SURVEY_TIME_MAX] = "at a time that is not known";

        finder_what(c, what);
        finder_how(c, how);
        if (c->time != COVERAGE_NO_TIME)
            survey_time(time, c->time);
        rc = finder_aim(r, c, r->o->action, &aim, e);
        if (rc == 0)
            rc = buf_fmt(&b, e, "%s: %s\n    %s\n    ", what, how, time);
        if (rc == 0 && aim.reachable)
            rc = finder_command(r, &aim, &b, e);
        else if (rc == 0)
            rc = buf_fmt(&b, e, "%s", aim.why);
        if (rc == 0)
            rc = buf_str(&b, "\n", e);
    }
    if (rc == 0)
        (void)fprintf(stderr, "%s", buf_text(&b));
    buf_fini(&b);
    return rc;
}

static int none(const struct finder *f, const struct restore *r, struct err *e)
{
    struct buf b;

    if (f->read.segments + f->read.sealed == 0) {
        (void)err_set(e, ERR_HOLE, "no WAL is archived here, so nothing can be found in it");
        return err_hint(e, "\"walden doctor\" says why none arrives.");
    }
    buf_init(&b, COMMAND_MAX);
    (void)err_set(e, ERR_HOLE,
                  "nothing of that kind happened to \"%s\" in the %llu segments that "
                  "could be read",
                  r->o->before_table, (unsigned long long)f->read.segments);
    if (finder_guess(f, &b, e) == 0 && finder_caveats(f, r, &b, e) == 0 && b.len > 0)
        (void)fprintf(stderr, "%s", buf_text(&b));
    buf_fini(&b);
    return err_hint(e, "\"walden find\" shows what happened; it takes names, numbers and times.");
}

/* Somebody may have made it anew, and lost it again: that is not chosen, but not hidden either. */
static void tell_later(const struct finder *f, const struct restore *r,
                       const struct find_candidate *one)
{
    unsigned later = 0;

    for (size_t i = 0; i < f->all.n; i++)
        later += !is_certain(f, &f->all.v[i]) && f->all.v[i].time > one->time ? 1 : 0;
    if (later > 0)
        msg_warn(r->m,
                 "%u later event%s of that kind ha%s no certain name and may be %s, made anew; "
                 "\"walden find\" shows %s",
                 later, later == 1 ? "" : "s", later == 1 ? "s" : "ve", r->o->before_table,
                 later == 1 ? "it" : "them");
}

/* None of them has the name: is it a name at all? */
static int tell_guess(const struct finder *f, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, COMMAND_MAX);
    rc = finder_guess(f, &b, e);
    if (rc == 0 && b.len > 0)
        (void)fprintf(stderr, "%s", buf_text(&b));
    buf_fini(&b);
    return rc;
}

int finder_pick(struct finder *f, struct restore *r, const struct find_candidate **out,
                struct err *e)
{
    const struct find_candidate *one = NULL;
    size_t certain = 0;

    for (size_t i = 0; i < f->all.n; i++)
        if (is_certain(f, &f->all.v[i])) {
            one = &f->all.v[i];
            certain++;
        }
    if (f->all.n == 0)
        return none(f, r, e);
    if (certain == 1) {
        tell_later(f, r, one);
        *out = one;
        return 0;
    }
    if (list_them(f, r, e) != 0 || (certain == 0 && tell_guess(f, e) != 0))
        return -1;
    if (certain == 0)
        (void)err_set(e, ERR_REFUSED, "it is not sure which of these is \"%s\"",
                      r->o->before_table);
    else
        (void)err_set(e, ERR_REFUSED, "\"%s\" may mean each of these", r->o->before_table);
    return err_hint(e, "Say which one: by SCHEMA.TABLE, --database, the relation's number, or the "
                       "command beside it.");
}

#include "repo/backup_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/signal.h"
#include "pg/join.h"
#include "repo/manifest_read.h"
#include "repo/pack_set.h"
#include "repo/recipients.h"

void backup_list_init(struct backup_list *l)
{
    backup_items_init(&l->items, BACKUP_LIST_MAX);
    l->unreadable = 0;
}

void backup_list_fini(struct backup_list *l)
{
    for (size_t i = 0; i < l->items.n; i++)
        free(l->items.v[i].counts);
    backup_items_fini(&l->items);
}

/* The next characters are n of this set, and, unless it is 0, one more. */
static bool takes(const char **name, size_t n, const char *set, char then)
{
    if (strspn(*name, set) < n || (*name)[n] != then)
        return false;
    *name += n + (then != '\0' ? 1 : 0);
    return true;
}

bool backup_list_is_label(const char *name)
{
    return takes(&name, 8, "0123456789ABCDEF", '-') && takes(&name, 16, "0123456789ABCDEF", '-') &&
           takes(&name, 6, "0123456789abcdef", '\0');
}

/* --- reading --- */

struct reading {
    struct backup_list *list;
    struct repo *repo;
    struct problems *problems;
    const struct pack_set *set;   /* NULL: packs are not looked for */
    struct object_reader *reader; /* where the manifest is open */
};

static int complain(struct reading *r, const char *label, enum problem_kind kind, const char *what,
                    const char *consequence, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char text[PROBLEM_TEXT_MAX];
    char then[PROBLEM_TEXT_MAX];
    struct problem one = {.kind = kind, .name = name, .what = text, .consequence = then};

    (void)snprintf(name, sizeof name, "backup/%.400s", label);
    (void)snprintf(text, sizeof text, "%s", what);
    (void)snprintf(then, sizeof then, "%s", consequence);
    return problems_add(r->problems, &one, e);
}

static int unreadable(struct reading *r, const char *label, const struct err *why, struct err *e)
{
    enum problem_kind kind = PROBLEM_DAMAGED;
    char text[PROBLEM_TEXT_MAX];

    switch (why->code) {
    case ERR_NOMEM:
    case ERR_UNREACHABLE:
    case ERR_INTERRUPTED:
    case ERR_INTERNAL:
        *e = *why;
        return -1;
    case ERR_REFUSED:
        kind = PROBLEM_REFUSED;
        break;
    case ERR_KEY:
        kind = PROBLEM_KEY;
        break;
    default:
        break;
    }
    r->list->unreadable++;
    (void)snprintf(text, sizeof text, "backup %s cannot be restored; use another one", label);
    return complain(r, label, kind, why->msg, text, e);
}

/* A pack is in the set, or has come since the set was made. */
static int has_pack(const struct reading *r, const uint8_t id[PACK_ID], struct err *e)
{
    char text[PACK_NAME_MAX];
    struct store_name name = {.kind = KIND_PACK, .name = text};
    size_t places;
    int rc;

    (void)pack_set_places(r->set, id, &places);
    if (places > 0 || pack_set_direct(r->set, id) != NULL)
        return 1;
    pack_name(text, id, false);
    rc = store_has(&r->repo->store, &r->repo->where, &name, e);
    return rc < 0 ? -1 : rc == 0;
}

static int look_for_packs(struct reading *r, struct backup_item *b, const uint8_t *part, size_t len,
                          struct err *e)
{
    struct cur items = cur_of(part, len);
    struct manifest_in_use use;
    struct err why = {0};
    char first[PACK_NAME_MAX];
    char what[PROBLEM_TEXT_MAX];
    char then[PROBLEM_TEXT_MAX];
    unsigned missing = 0;
    int rc;

    while ((rc = manifest_in_use_next(&items, &use, &why)) == 0) {
        int has = has_pack(r, use.pack, e);

        if (has < 0)
            return -1;
        if (has == 0 && missing++ == 0)
            pack_name(first, use.pack, false);
    }
    if (rc < 0) {
        b->restorable = false;
        return unreadable(r, b->label, &why, e);
    }
    if (missing == 0)
        return 0;
    b->restorable = false;
    (void)snprintf(what, sizeof what, "%u of the packs that it needs %s missing: %s%s", missing,
                   missing == 1 ? "is" : "are", first, missing == 1 ? "" : " and others");
    (void)snprintf(then, sizeof then,
                   "backup %s cannot be restored whole; \"walden verify\" tells which files",
                   b->label);
    return complain(r, b->label, PROBLEM_BACKUP, what, then, e);
}

/* 0 somebody can open it, 1 nobody can, -1. */
static int check_recipients(struct reading *r, const char *label, struct err *why, struct err *e)
{
    char who[RECIPIENTS_WHO];
    char name[PROBLEM_PATH_MAX];
    struct problem one = {.name = name};
    struct recipients_text said;
    enum recipients to = recipients_check(r->repo, &r->reader->head, &r->reader->keys, who);

    if (to == RECIPIENTS_ALL)
        return 0;
    (void)snprintf(name, sizeof name, "backup/%.400s", label);
    if (to != RECIPIENTS_NONE) {
        recipients_describe(&one, &said, to, who);
        return problems_add(r->problems, &one, e);
    }
    (void)recipients_refuse(name, why);
    return 1;
}

/* Row counts are metadata: without a key they stay unknown. */
static int take_counts(const struct reading *r, struct backup_item *b, struct err *e)
{
    struct err why = {0};

    b->counts_known = repo_unlock(r->repo, r->reader, &why) == 0 &&
                      object_metadata(r->reader, &b->counts, &b->counts_len, &why) == 0;
    if (why.code != ERR_NOMEM && why.code != ERR_INTERRUPTED)
        return 0;
    *e = why;
    return -1;
}

static int take(void *arg, const char *label, const struct manifest_public *p, const uint8_t *part,
                size_t len, const struct err *why, struct err *e)
{
    struct reading *r = arg;
    struct backup_item *b;
    struct err closed = {0};
    int rc;

    if (os_signal_check(e) != 0)
        return -1;
    if (!backup_list_is_label(label))
        return complain(r, label, PROBLEM_MISPLACED,
                        "no file or directory of this name belongs here", "no restore uses it", e);
    if (p == NULL)
        return unreadable(r, label, why, e);
    rc = check_recipients(r, label, &closed, e);
    if (rc != 0)
        return rc < 0 ? -1 : unreadable(r, label, &closed, e);
    b = backup_items_add(&r->list->items, e);
    if (b == NULL)
        return -1;
    (void)snprintf(b->label, sizeof b->label, "%s", label);
    b->public = *p;
    b->restorable = true;
    if (take_counts(r, b, e) != 0)
        return -1;
    return r->set == NULL ? 0 : look_for_packs(r, b, part, len, e);
}

static int by_age(const void *a, const void *b)
{
    const struct backup_item *x = a;
    const struct backup_item *y = b;

    if (x->public.start_time != y->public.start_time)
        return x->public.start_time < y->public.start_time ? -1 : 1;
    return strcmp(x->label, y->label);
}

int backup_list_read(struct backup_list *l, struct repo *repo, bool packs, struct problems *p,
                     struct object_reader *scratch, struct err *e)
{
    struct pack_set set;
    struct reading r = {l, repo, p, NULL, scratch};
    int rc;

    if (packs) {
        if (pack_set_load(&set, repo, scratch, e) != 0)
            return -1;
        r.set = &set;
    }
    rc = manifest_each(repo, take, &r, scratch, e);
    if (packs)
        pack_set_fini(&set);
    if (l->items.n > 1)
        qsort(l->items.v, l->items.n, sizeof *l->items.v, by_age);
    return rc < 0 ? -1 : 0;
}

/* --- the WAL of a backup --- */

/* What is wrong with a segment that a backup must read up to `stop`; NULL: nothing. */
static const char *segment_lack(const struct coverage_row *r, bool is_first, lsn_t stop)
{
    if (r == NULL)
        return "is missing";
    if (r->state == COVERAGE_LOST)
        return "cannot be read";
    if (r->state == COVERAGE_DAMAGED && r->at < stop)
        return "was damaged already when it was archived";
    if (is_first)
        return NULL;
    switch ((enum join_result)r->join) {
    case JOIN_FOREIGN:
    case JOIN_PREV:
    case JOIN_LENGTH:
    case JOIN_CRC:
        return "does not go on where the segment before it ends";
    case JOIN_OK:
    case JOIN_FIRST:
    case JOIN_GAP:
    case JOIN_UNPROVEN:
    case JOIN_GARBLED:
        break;
    }
    return NULL;
}

/* What recovery must read between start and stop, on the path to the timeline it stopped on. */
struct lack {
    const char *what; /* about the first such segment; NULL: nothing lacks */
    char segment[WALNAME_MAX];
    unsigned more;
};

static void find_lack(struct lack *lack, const struct coverage *c, const struct manifest_public *p)
{
    const struct coverage_timeline *t = coverage_find(c, p->stop_timeline);
    uint64_t first = walname_segno_of(p->start_lsn, c->segsize);
    uint64_t n = walname_segno_before(p->stop_lsn, c->segsize);
    tli_t tli = p->stop_timeline;

    lack->what = NULL;
    lack->more = 0;
    for (; n >= first; n--) {
        const struct coverage_row *r;
        const char *what;

        while (t != NULL && t->parent != 0 && n < coverage_birth(c, t)) {
            tli = t->parent;
            t = coverage_find(c, tli);
        }
        r = t == NULL ? NULL : coverage_row(c, t, n);
        what = segment_lack(r, n == first, p->stop_lsn);
        if (what != NULL) {
            lack->more += lack->what != NULL ? 1 : 0;
            lack->what = what;
            walname_segment(lack->segment, tli, n, c->segsize);
        }
        if (n == 0)
            break;
    }
}

int backup_list_judge(struct backup_list *l, const struct coverage *c, struct problems *p,
                      struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char what[PROBLEM_TEXT_MAX];
    char then[PROBLEM_TEXT_MAX];
    struct problem one = {.kind = PROBLEM_BACKUP, .name = name, .what = what, .consequence = then};
    bool told = false;

    for (size_t i = 0; i < l->items.n; i++) {
        struct backup_item *b = &l->items.v[i];
        char start[TEXT_LSN_MAX];
        char stop[TEXT_LSN_MAX];
        char more[48] = "";
        struct lack lack;

        if (b->public.wal_inside)
            continue;
        find_lack(&lack, c, &b->public);
        if (lack.what == NULL)
            continue;
        b->restorable = false;
        told = true;
        text_lsn(start, b->public.start_lsn);
        text_lsn(stop, b->public.stop_lsn);
        if (lack.more > 0)
            (void)snprintf(more, sizeof more, ", and %u more", lack.more);
        (void)snprintf(name, sizeof name, "backup/%s", b->label);
        (void)snprintf(what, sizeof what, "it needs the WAL from %s to %s, and segment %s %s%s",
                       start, stop, lack.segment, lack.what, more);
        (void)snprintf(then, sizeof then,
                       "backup %s cannot be restored: a recovery from it does not get to %s, where "
                       "it becomes consistent; take a new one with walden-basebackup",
                       b->label, stop);
        if (problems_tell(p, &one, e) != 0)
            return -1;
    }
    if (told)
        problems_sort(p);
    return 0;
}

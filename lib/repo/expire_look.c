/* What expire finds: everything that retention wants to know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "base/words.h"
#include "os/file.h"
#include "os/signal.h"
#include "repo/backup_list.h"
#include "repo/dump_list.h"
#include "repo/expire.h"
#include "repo/manifest_read.h"
#include "repo/verified.h"

enum { HOLDERS_MAX = 100 * 1000, PINS_MAX = 100 * 1000, COPIES_MAX = 64 };

/* --- backups --- */

/* A label says where the backup begins, whatever became of its manifest. */
static void take_label(struct retention_item *item, const char *label)
{
    char text[MANIFEST_LABEL_MAX];
    struct err quiet = {0};
    uint64_t n = 0;

    (void)snprintf(text, sizeof text, "%s", label);
    text[8] = text[25] = '\0';
    if (parse_hex(text, UINT32_MAX, &n, &quiet) == 0)
        item->start_tli = item->stop_tli = (tli_t)n;
    if (parse_hex(text + 9, UINT64_MAX, &n, &quiet) == 0)
        item->start = item->stop = n;
}

static int take_backup(void *arg, const char *label, const struct manifest_public *p,
                       const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    struct expire *x = arg;
    struct retention_item *item;
    struct expire_place *place;

    (void)part, (void)len;
    if (os_signal_check(e) != 0)
        return -1;
    if (!backup_list_is_label(label)) /* no restore uses it; list and verify tell of it */
        return 0;
    item = retention_items_add(&x->in.items, e);
    place = item == NULL ? NULL : expire_places_add(&x->places, e);
    if (place == NULL)
        return -1;
    item->kind = KIND_MANIFEST;
    (void)snprintf(item->name, sizeof item->name, "%s", label);
    take_label(item, label);
    if (p == NULL) {
        if (why->code == ERR_NOMEM || why->code == ERR_INTERRUPTED ||
            why->code == ERR_UNREACHABLE) {
            *e = *why;
            return -1;
        }
        return 0;
    }
    item->readable = true;
    item->start_tli = p->start_timeline;
    item->start = p->start_lsn;
    item->stop_tli = p->stop_timeline;
    item->stop = p->stop_lsn;
    item->time = p->stop_time;
    item->inside = p->wal_inside;
    memcpy(item->group, p->tag, sizeof item->group);
    memcpy(place->writer, p->head.writer, sizeof place->writer);
    place->sequence = p->head.sequence;
    place->is_known = true;
    return 0;
}

/* Good is what a plan can bring to consistency. */
static int judge_backup(struct expire *x, struct retention_item *item, struct err *e)
{
    const struct plan_target t = {.kind = PLAN_IMMEDIATE, .current = true, .backup = item->name};
    size_t at = inventory_backup(&x->inventory, item->name);
    struct plan p;
    int rc;

    if (at == x->inventory.in.backups.n || x->inventory.in.backups.v[at].damaged)
        return 0;
    plan_init(&p);
    rc = inventory_plan(&x->inventory, x->repo, &t, &p, x->scratch, e);
    item->good = rc == 0 && p.verdict == PLAN_YES;
    plan_fini(&p);
    return rc;
}

static int judge_backups(struct expire *x, struct err *e)
{
    struct verified_list known;
    int rc = 0;

    if (verified_read(&known, x->repo, x->scratch, e) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < x->in.items.n; i++) {
        struct retention_item *item = &x->in.items.v[i];
        struct verified_verdict v;

        if (item->kind != KIND_MANIFEST || !item->readable)
            continue;
        rc = judge_backup(x, item, e);
        v = verified_of(&known, item->name);
        item->verified = v.damaged ? (uint8_t)VERIFIED_NONE : v.level;
        if (v.damaged)
            item->good = false;
    }
    verified_list_fini(&known);
    return rc;
}

/* --- dumps --- */

/* One that can be read is good, unless verify found that it is not: it was decoded when it was
 * taken.  Tagged ones are a class of their own beside their job's. */
static int take_dump(struct expire *x, const struct verified_list *known, const struct dump_item *d,
                     struct err *e)
{
    struct verified_verdict v = verified_dump(known, d->label);
    struct retention_item *item = retention_items_add(&x->in.items, e);
    struct expire_place *place = item == NULL ? NULL : expire_places_add(&x->places, e);
    char group[2 * RETENTION_GROUP_MAX + 4];

    if (place == NULL)
        return -1;
    item->kind = KIND_DUMP;
    (void)snprintf(item->name, sizeof item->name, "%s/%s", d->job, d->label);
    (void)snprintf(group, sizeof group, "%s%s%s", d->job, d->public.tag[0] == '\0' ? "" : "/",
                   d->public.tag);
    group[RETENTION_GROUP_MAX] = '\0';
    memcpy(item->group, group, strlen(group) + 1);
    item->bytes = d->stored;
    item->readable = d->readable;
    item->good = d->readable && !v.damaged;
    item->verified = v.damaged ? (uint8_t)VERIFIED_NONE : v.level;
    if (!d->readable)
        return 0;
    item->time = d->public.stop;
    memcpy(place->writer, d->public.head.writer, sizeof place->writer);
    place->sequence = d->public.head.sequence;
    place->is_known = true;
    return 0;
}

static int take_dumps(struct expire *x, struct err *e)
{
    struct verified_list known;
    struct dump_list list;
    int rc = dump_list_read(&list, x->repo, NULL, x->scratch, e);

    if (rc == 0)
        rc = verified_read(&known, x->repo, x->scratch, e);
    else
        memset(&known, 0, sizeof known);
    for (size_t i = 0; rc == 0 && i < list.n; i++)
        rc = take_dump(x, &known, &list.v[i], e);
    verified_list_fini(&known);
    dump_list_fini(&list);
    return rc;
}

/* --- clocks --- */

static int add_mark(struct expire *x, enum object_kind kind, const char *name, int64_t time,
                    struct err *e)
{
    struct retention_mark *m;
    int64_t believed;

    if (time == COVERAGE_NO_TIME || expired_belief(&x->records, kind, name, &believed))
        return 0;
    m = retention_marks_add(&x->in.marks, e);
    if (m == NULL)
        return -1;
    m->kind = kind;
    m->time = time;
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    return 0;
}

/* What the newest commit of each timeline and the last run say of the time. */
static int add_marks(struct expire *x, struct err *e)
{
    const struct plan_segments *all = &x->inventory.in.segments;
    char name[WALNAME_MAX];

    if (x->records.run != INT64_MIN &&
        add_mark(x, KIND_EXPIRE, x->records.run_label, x->records.run, e) != 0)
        return -1;
    for (size_t i = 0; i < all->n; i++) {
        const struct plan_segment *s = &all->v[i];

        if (i + 1 < all->n && all->v[i + 1].tli == s->tli)
            continue;
        walname_segment(name, s->tli, s->segno, x->inventory.in.segsize);
        if (add_mark(x, KIND_SEGMENT, name, s->last_commit, e) != 0)
            return -1;
    }
    return 0;
}

static void take_records(struct expire *x)
{
    for (size_t i = 0; i < x->in.items.n; i++) {
        struct retention_item *item = &x->in.items.v[i];

        item->removed = expired_find(&x->records, item->kind, item->name) != NULL;
        item->believed = expired_belief(&x->records, item->kind, item->name, &item->time);
    }
}

/* --- who holds what --- */

/* A dump may be named with its job or without. */
static bool is_label_of(const struct retention_item *item, const char *label)
{
    const char *leaf = strchr(item->name, '/');

    return label[0] != '\0' &&
           (strcmp(item->name, label) == 0 || (leaf != NULL && strcmp(leaf + 1, label) == 0));
}

static void take_holds(struct expire *x, struct retention_item *item)
{
    const struct pin *pin = pins_find(&x->pins, item->kind, item->name, x->in.now);
    char until[TEXT_TIME_MAX];

    item->pinned = pin != NULL;
    item->held = false;
    if (pin != NULL) {
        text_time(until, pin->until, 0);
        (void)snprintf(item->note, sizeof item->note, "pinned %s%s%s%.80s",
                       pin->until == 0 ? "until it is released" : "until ",
                       pin->until == 0 ? "" : until, pin->reason[0] == '\0' ? "" : ": ",
                       pin->reason);
    }
    for (size_t i = 0; i < x->holders.n; i++) {
        const struct pages_holder *h = &x->holders.v[i];

        if (h->kind != KIND_LEASE || !is_label_of(item, h->label))
            continue;
        item->held = true;
        (void)snprintf(item->note, sizeof item->note, "%.100s is reading it", h->holder);
    }
}

/* Dumps outlive their lineage, and belong to the whole cluster: whoever holds one may have said so
 * in another lineage.  Backups of that are none of ours. */
static int add_other(void *arg, const char *name, struct err *e)
{
    struct expire *x = arg;
    uint64_t own = x->repo->where.system_id;
    struct pages_holders holders;
    struct pins pins;
    struct err quiet = {0};
    uint64_t id;
    int rc;

    if (parse_u64(name, 1, UINT64_MAX, &id, &quiet) != 0 || id == own)
        return 0;
    pages_holders_init(&holders, HOLDERS_MAX);
    pins_init(&pins, PINS_MAX);
    x->repo->where.system_id = id;
    rc = pages_lease_holders(&holders, x->repo, x->scratch, e);
    if (rc == 0)
        rc = pins_read(&pins, x->repo, x->scratch, e);
    x->repo->where.system_id = own;
    for (size_t i = 0; rc == 0 && i < pins.n; i++)
        if (pins.v[i].kind == KIND_DUMP)
            rc = pins_push(&x->pins, pins.v[i], e);
    for (size_t i = 0; rc == 0 && i < holders.n; i++)
        if (holders.v[i].kind == KIND_LEASE)
            rc = pages_holders_push(&x->holders, holders.v[i], e);
    pins_fini(&pins);
    pages_holders_fini(&holders);
    return rc;
}

int expire_holds(struct expire *x, struct err *e)
{
    unsigned intents = 0;

    x->pins.n = 0;
    x->holders.n = 0;
    if (pages_lease_holders(&x->holders, x->repo, x->scratch, e) != 0 ||
        pins_read(&x->pins, x->repo, x->scratch, e) != 0 ||
        store_each_lineage(&x->repo->store, x->repo->where.cluster, add_other, x, e) != 0)
        return -1;
    for (size_t i = 0; i < x->holders.n; i++)
        intents += x->holders.v[i].kind == KIND_INTENT ? 1 : 0;
    /* A backup that was seen counts to the end of the run, also when it has ended by now: its
     * manifest may be newer than the list that was read. */
    x->in.intents = intents > x->in.intents ? intents : x->in.intents;
    for (size_t i = 0; i < x->in.items.n; i++)
        take_holds(x, &x->in.items.v[i]);
    return 0;
}

/* --- all --- */

static void init(struct expire *x, struct repo *repo, const struct expire_how *how,
                 struct object_reader *scratch)
{
    const struct settings *s = how->settings;

    memset(x, 0, sizeof *x);
    x->repo = repo;
    x->how = how;
    x->scratch = scratch;
    x->lock = -1;
    retention_input_init(&x->in);
    retention_init(&x->r);
    expire_places_init(&x->places, RETENTION_ITEMS_MAX);
    expired_init(&x->records);
    pins_init(&x->pins, PINS_MAX);
    expire_copies_init(&x->copies, COPIES_MAX);
    pages_holders_init(&x->holders, HOLDERS_MAX);
    x->in.keep_backups = s->keep_backups;
    x->in.keep_dumps = s->keep_dumps;
    x->in.wal_within = s->wal_within;
    x->in.now = how->now;
    x->in.accept_clock = how->accept_clock;
}

/* The dead of the cluster's other lineages would hold their dumps for ever. */
static int look_at_other(void *arg, const char *name, struct err *e)
{
    struct expire *x = arg;
    uint64_t own = x->repo->where.system_id;
    struct err quiet = {0};
    unsigned alive;
    uint64_t id;
    int rc;

    if (parse_u64(name, 1, UINT64_MAX, &id, &quiet) != 0 || id == own)
        return 0;
    x->repo->where.system_id = id;
    rc = pages_lease_look(x->repo, x->how->wait, x->how->arg, &alive, e);
    x->repo->where.system_id = own;
    return rc;
}

/* Nobody else on this host, and all who stood still are known to be dead. */
static int begin(struct expire *x, struct err *e)
{
    static const enum object_kind kinds[] = {KIND_EXPIRE, KIND_PACK, KIND_LEASE, KIND_PIN};
    unsigned alive;
    int rc;

    if (x->how->dry_run)
        return 0;
    rc = store_lock_kind(&x->repo->writer, &x->repo->where, KIND_EXPIRE, &x->lock, e);
    if (rc > 0) {
        (void)err_set(e, ERR_REFUSED, "another walden expire%s is at work on this repository",
                      x->repo->copy.there ? ", or walden copy," : "");
        return err_hint(e, "Wait until it has ended.");
    }
    for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof kinds[0]; i++)
        rc = store_sweep(&x->repo->writer, &x->repo->where, kinds[i], e);
    if (rc != 0)
        return -1;
    if (pages_lease_look(x->repo, x->how->wait, x->how->arg, &alive, e) != 0)
        return -1;
    return store_each_lineage(&x->repo->store, x->repo->where.cluster, look_at_other, x, e);
}

/* What a copy that require_copy names has acknowledged: of one that never did, nothing. */
static int read_copy(struct expire *x, const char *name, struct err *e)
{
    struct copied *c = expire_copies_add(&x->copies, e);
    char file[COPIED_FILE_MAX];
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (c == NULL)
        return -1;
    copied_init(c);
    copied_file(file, name);
    rc = store_get_text(&x->repo->store, NULL, file, &text, &len, e);
    if (rc == 0)
        rc = copied_read(c, text, len, file, e);
    free(text);
    if (rc == 0 && memcmp(c->repo, x->repo->marker.id, sizeof c->repo) != 0)
        rc = err_set(e, ERR_DAMAGED, "file \"%s\" is of another repository", file);
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    return rc < 0 ? -1 : 0;
}

/* Before anything else is looked at: what comes later is not in them, and stays. */
static int read_copies(struct expire *x, struct err *e)
{
    struct words *names;
    int rc = 0;

    (void)snprintf(x->in.cluster, sizeof x->in.cluster, "%s", x->repo->where.cluster);
    (void)snprintf(x->in.place, sizeof x->in.place, "%.64s/%llu", x->repo->where.cluster,
                   (unsigned long long)x->repo->where.system_id);
    if (x->how->settings->require_copy == NULL || x->repo->copy.there)
        return 0;
    names = calloc(1, sizeof *names);
    if (names == NULL)
        return err_set(e, ERR_NOMEM, "no memory for names of copies");
    rc = words_split(names, x->how->settings->require_copy, WORDS_NAMES, e);
    for (size_t i = 0; rc == 0 && i < names->n; i++)
        rc = read_copy(x, names->v[i], e);
    free(names);
    x->in.copies = x->copies.v;
    x->in.n_copies = x->copies.n;
    return rc;
}

int expire_look(struct expire *x, struct repo *repo, const struct expire_how *how,
                struct object_reader *scratch, struct err *e)
{
    init(x, repo, how, scratch);
    /* In this order: a backup that is not at work any more has published its manifest, and one
     * that begins later needs no WAL that is there now. */
    if (begin(x, e) != 0 || read_copies(x, e) != 0 ||
        expired_read(&x->records, repo, NULL, scratch, e) != 0 || expire_holds(x, e) != 0 ||
        manifest_each(repo, take_backup, x, scratch, e) != 0 || take_dumps(x, e) != 0)
        return -1;
    x->has_inventory = true;
    if (inventory_read(&x->inventory, repo, false, scratch, e) != 0)
        return -1;
    x->in.wal = &x->inventory.in;
    take_records(x);
    if (judge_backups(x, e) != 0 || add_marks(x, e) != 0 || expire_holds(x, e) != 0)
        return -1;
    return retention_decide(&x->r, &x->in, e);
}

void expire_close(struct expire *x)
{
    if (x->has_inventory)
        inventory_fini(&x->inventory);
    retention_input_fini(&x->in);
    retention_fini(&x->r);
    expire_places_fini(&x->places);
    expired_fini(&x->records);
    pins_fini(&x->pins);
    for (size_t i = 0; i < x->copies.n; i++)
        copied_fini(&x->copies.v[i]);
    expire_copies_fini(&x->copies);
    pages_holders_fini(&x->holders);
    os_drop(&x->lock);
}

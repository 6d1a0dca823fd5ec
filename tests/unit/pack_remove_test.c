/*
 * Goal: however many packs nobody needs, one run condemns them all and the next removes them, but
 * for those that are needed by then; who begins in between treats all of them as absent; and a run
 * that finds somebody at work removes none and condemns as many.
 */
#include "tap.h"

#include <stdlib.h>

#include "pages_kit.h"
#include "repo/pack_remove.h"

enum { MANY = 10000, NAMES = MANY + 64 };

static struct kit kit;
static char names[NAMES][48];

/* Files that bear a pack's name; nothing of them can be used. */
static void add_many(void)
{
    static const uint8_t bytes[] = "of no use";

    for (unsigned i = 0; i < MANY; i++) {
        char name[48];
        char path[160];

        snprintf(name, sizeof name, "%08x%08x%016x", kit_random(), i, i);
        kit_path(path, "pack", name);
        kit_spit(&kit, path, bytes, sizeof bytes);
    }
}

static unsigned excluded(struct err *e)
{
    struct pack_set set;
    unsigned n = 0;

    if (pack_set_load(&set, &kit.repo, kit.scratch, e) != 0)
        return 0;
    if (pack_remove_exclude(&set, kit.scratch, e) == 0)
        for (size_t i = 0; i < set.holders.n; i++)
            n += set.holders.v[i].excluded;
    pack_set_fini(&set);
    return n;
}

static struct pages_lease *beating;

static int beat(void *arg, struct err *e)
{
    (void)arg;
    return pages_lease_beat(beating, e);
}

int main(void)
{
    const struct pack_remove_how sleeps = {kit_no_wait, NULL, NULL};
    const struct pack_remove_how beats = {beat, NULL, NULL};
    struct kit_cluster c = {.n = 0};
    struct pages_put_totals totals;
    struct pack_removed r;
    struct pages_lease l;
    struct err e = {0};
    char label[MANIFEST_LABEL_MAX];
    unsigned needed;
    unsigned lists;

    kit_open(&kit, false);
    kit_file_add(&c, "base/5/1", 50 * (size_t)PAGES_SIZE);
    OK(kit_backup(&kit, &c, &(struct kit_backup){0}, label, &totals, &e) == 0, "a backup: %s",
       e.msg);
    needed = kit_list(&kit, "pack", names, NAMES);
    add_many();
    OK(kit_list(&kit, "pack", names, NAMES) == needed + MANY, "and %d packs that nobody needs",
       MANY);

    OK(pages_lease_take(&l, &kit.repo, KIND_INTENT, "", "test 1", &e) == 0, "somebody is at work");
    beating = &l;
    for (unsigned i = 0; i < 2; i++)
        OK(pack_remove_run(&r, &kit.repo, &beats, kit.scratch, &e) == 0 && r.busy == 1 &&
               r.condemned == MANY && r.removed == 0 && excluded(&e) == MANY,
           "run %u: all are condemned (%u), none is removed (%u): %s", i + 1, r.condemned,
           r.removed, e.msg);
    lists = kit_list(&kit, "expire", names, NAMES);
    OK(lists > 1, "in %u lists", lists);
    pages_lease_drop(&l);

    OK(pack_remove_run(&r, &kit.repo, &sleeps, kit.scratch, &e) == 0 && r.removed == MANY &&
           r.condemned == 0,
       "when nobody is at work all go: %u: %s", r.removed, e.msg);
    OK(kit_list(&kit, "pack", names, NAMES) == needed &&
           kit_list(&kit, "expire", names, NAMES) == 0,
       "the needed ones stay, and no list");
    OK(kit_restore(&kit, label, &c, NULL, &e) == 0, "the backup is whole: %s", e.msg);
    kit_cluster_free(&c);
    kit_close(&kit);
    return tap_done();
}

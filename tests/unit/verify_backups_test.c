/*
 * Goal: verify_backups says of a backup that it cannot be restored exactly when a restore of it
 * fails: whatever byte is changed, cut off or taken away of packs, compacted ones among them, with
 * the secret key and without.
 *
 * when: full
 */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "pages_kit.h"
#include "repo/pack_compact.h"
#include "repo/pack_remove.h"
#include "repo/verify_backups.h"

enum { BACKUPS = 12, KEPT = 4, TRIALS = 60 };

static struct kit kit;
static struct made {
    char label[MANIFEST_LABEL_MAX];
    bool exists;
    struct kit_cluster was;
} made[BACKUPS + TRIALS];
static unsigned mades;
static unsigned compacted;

static const char *mode(void)
{
    return kit.repo.marker.sealed ? "sealed" : "plain";
}

static void expire(unsigned i)
{
    char path[160];

    kit_path(path, "backup", made[i].label);
    kit_unlink(&kit, path);
    kit_cluster_free(&made[i].was);
    made[i].exists = false;
}

static int take(const struct kit_cluster *c, struct err *e)
{
    struct kit_backup how = {.prior = mades > 0 ? made[mades - 1].label : NULL, .orphans = true};
    struct made *m = &made[mades];

    if (kit_backup(&kit, c, &how, m->label, NULL, e) != 0)
        return -1;
    m->exists = true;
    kit_cluster_copy(&m->was, c);
    mades++;
    return 0;
}

static int tidy(struct err *e)
{
    const struct pack_remove_how how = {kit_no_wait, NULL, NULL};
    struct pack_removed gone = {0};
    struct pack_compacted small = {0};
    struct pack_use use;
    struct pack_set set;
    int rc = -1;

    if (pack_use_load(&use, &kit.repo, kit.scratch, e) != 0)
        return -1;
    if (pack_set_load(&set, &kit.repo, kit.scratch, e) == 0) {
        rc = pack_compact(&small, &use, &set, 60, PACK_BODY_MAX, kit.scratch, e);
        pack_set_fini(&set);
    }
    pack_use_fini(&use);
    compacted += small.sources;
    return rc == 0 ? pack_remove_run(&gone, &kit.repo, &how, kit.scratch, e) : -1;
}

/* Verifies; the problems are left in *p.  Counts stay in *v. */
static int verify(struct verify_backups *v, struct problems *p, struct err *e)
{
    struct backup_list list;
    struct verify_backups_how how = {
        .repo = &kit.repo, .list = &list, .problems = p, .scratch = kit.scratch};
    int rc = -1;

    memset(v, 0, sizeof *v);
    problems_init(p);
    backup_list_init(&list);
    if (backup_list_read(&list, &kit.repo, false, p, kit.scratch, e) == 0)
        rc = verify_backups(v, &how, e);
    backup_list_fini(&list);
    return rc;
}

/* Is a backup named as one that cannot be restored? */
static bool named(const struct problems *p, const char *label)
{
    for (size_t i = 0; i < p->list.n; i++)
        if (strncmp(p->list.v[i].name, "backup/", 7) == 0 &&
            strcmp(p->list.v[i].name + 7, label) == 0)
            return true;
    return false;
}

/* Compares the verdicts with what restores say; how many differ. */
static unsigned differ(const struct problems *p, const char *what)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < mades; i++) {
        struct err e = {0};
        bool fails;

        if (!made[i].exists)
            continue;
        fails = kit_restore(&kit, made[i].label, &made[i].was, NULL, &e) != 0;
        if (fails == named(p, made[i].label))
            continue;
        printf("# %s: %s: restore says %s, verify %s\n", what, made[i].label,
               fails ? e.msg : "well", fails ? "nothing" : "damage");
        bad++;
    }
    return bad;
}

/* One kind of trouble with one pack file, judged with and without the secret key. */
static unsigned trial(unsigned kind, const char *file, unsigned *found)
{
    char path[160];
    size_t len = 0;
    uint8_t *bytes;
    uint8_t *changed;
    unsigned bad = 0;

    kit_path(path, "pack", file);
    bytes = kit_slurp(&kit, path, &len);
    changed = malloc(len);
    memcpy(changed, bytes, len);
    changed[kit_random() % len] ^= (uint8_t)(1U << kit_random() % 8);
    if (kind % 6 == 4)
        kit_unlink(&kit, path);
    else
        kit_spit(&kit, path, kind % 6 == 5 ? bytes : changed,
                 kind % 6 == 5 ? kit_random() % len : len);
    for (unsigned secret = 0; secret < 2; secret++) {
        struct verify_backups v;
        struct problems p;
        struct err e = {0};

        kit_secret(&kit, secret == 1);
        bad += verify(&v, &p, &e) == 0 ? 0 : 1;
        kit_secret(&kit, true);
        /* A pack that is gone is missed only where a backup needs it. */
        *found += problems_count(&p) > 0 || kind % 6 == 4 ? 1 : 0;
        bad += differ(&p, kind % 6 == 4 ? "gone" : kind % 6 == 5 ? "cut" : "flipped");
        problems_fini(&p);
    }
    kit_spit(&kit, path, bytes, len);
    free(changed);
    free(bytes);
    return bad;
}

static void forget_damage(void)
{
    char path[160];
    char names[4][48];

    if (kit_list(&kit, ".", names, 4) == 0)
        return;
    kit_path(path, ".", "damaged");
    kit_unlink(&kit, path);
}

static void test_verdicts(bool sealed)
{
    static char names[400][48];
    struct kit_cluster c = {.n = 0};
    unsigned bad = 0;
    unsigned found = 0;
    unsigned packs;
    struct verify_backups v;
    struct problems p;
    struct err e = {0};

    kit_open(&kit, sealed);
    kit.repo.marker.sealed = sealed;
    kit.limits = (struct pack_limits){600 * 1024, 100};
    compacted = 0;
    mades = 0;
    for (unsigned i = 0; i < 8; i++) {
        char path[64];

        (void)snprintf(path, sizeof path, "base/5/%u", 16384 + i);
        (void)kit_file_add(&c, path, 1 + (size_t)i * 70001);
    }
    kit_secret(&kit, true);
    for (unsigned n = 0; n < BACKUPS; n++) {
        bad += take(&c, &e) == 0 ? 0 : 1;
        if (n >= KEPT)
            expire(n - KEPT);
        bad += tidy(&e) == 0 ? 0 : 1;
        bad += verify(&v, &p, &e) == 0 && problems_count(&p) == 0 ? 0 : 1;
        bad += v.whole == (n < KEPT ? n + 1 : KEPT) && v.rebuilt == v.whole ? 0 : 1;
        problems_fini(&p);
        for (unsigned i = 0; i < c.n; i++)
            for (unsigned k = kit_random() % 12; k > 0 && c.file[i].len > 0; k--)
                kit_touch(&c.file[i], kit_random() % ((c.file[i].len + 8191) / 8192));
    }
    OK(bad == 0, "%s: backups verify while others are expired (%s)", mode(), e.msg);
    OK(compacted > 3, "%s: packs were compacted meanwhile (%u)", mode(), compacted);

    packs = kit_list(&kit, "pack", names, 400);
    for (unsigned i = 0; i < TRIALS; i++)
        bad += trial(i, names[kit_random() % packs], &found);
    OK(bad == 0, "%s: verify's verdict of each backup is a restore's, in %u trials", mode(),
       (unsigned)TRIALS);
    OK(found == 2 * TRIALS, "%s: nothing was missed, with the secret key or without (%u of %u)",
       mode(), found, 2 * (unsigned)TRIALS);
    forget_damage();
    for (unsigned i = 0; i < mades; i++)
        if (made[i].exists)
            kit_cluster_free(&made[i].was);
    kit_cluster_free(&c);
    kit_close(&kit);
}

int main(void)
{
    test_verdicts(false);
    test_verdicts(true);
    return tap_done();
}

/*
 * Goal: backups of a cluster that changes at random come back byte for byte, whatever was reused,
 * expired, compacted, removed, lost or damaged in between; what did not change is not stored
 * again; what is damaged is stored afresh; scattered files do not stay scattered.
 */
#include "tap.h"

#include <stdlib.h>

#include "pages_kit.h"
#include "repo/pack_compact.h"
#include "repo/pack_read.h"
#include "repo/pack_remove.h"

enum { LABELS = 64 };

static struct kit kit;

/* Backups that exist, and what the cluster was then. */
static struct made {
    char label[MANIFEST_LABEL_MAX];
    struct kit_cluster was;
    bool exists;
} made[LABELS];
static unsigned mades;

static void forget_all(void)
{
    for (unsigned i = 0; i < mades; i++)
        if (made[i].exists)
            kit_cluster_free(&made[i].was);
    memset(made, 0, sizeof made);
    mades = 0;
}

static const char *newest(void)
{
    for (unsigned i = mades; i > 0; i--)
        if (made[i - 1].exists)
            return made[i - 1].label;
    return NULL;
}

static int take(const struct kit_cluster *c, struct kit_backup how, struct pages_put_totals *totals,
                struct err *e)
{
    struct made *m = &made[mades];

    if (kit_backup(&kit, c, &how, m->label, totals, e) != 0)
        return -1;
    kit_cluster_copy(&m->was, c);
    m->exists = true;
    mades++;
    return 0;
}

/* Removes a manifest, as expire would. */
static void expire(unsigned i)
{
    char path[160];

    kit_path(path, "backup", made[i].label);
    kit_unlink(&kit, path);
    kit_cluster_free(&made[i].was);
    made[i].exists = false;
}

static unsigned bad_restores(void)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < mades; i++) {
        struct err e = {0};

        if (made[i].exists && kit_restore(&kit, made[i].label, &made[i].was, NULL, &e) != 0) {
            printf("# %s: %s\n", made[i].label, e.msg);
            bad++;
        }
    }
    return bad;
}

static void fill(struct kit_cluster *c)
{
    static const size_t lens[] = {0,     1,      8191,   8192,   8193,    65536,
                                  65537, 300000, 524288, 819200, 1000001, 24576};

    c->n = 0;
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        char path[64];

        snprintf(path, sizeof path, "base/5/%u", 16384 + i);
        (void)kit_file_add(c, path, lens[i]);
    }
    (void)kit_file_add(c, "PG_VERSION", 3);
    (void)kit_file_add(c, "odd name\n= x", 20000);
}

/* Changes, grows, cuts, adds and drops files. */
static void churn(struct kit_cluster *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        struct kit_file *f = &c->file[i];
        size_t pages = (f->len + PAGES_SIZE - 1) / PAGES_SIZE;

        if (kit_random() % 3 == 0 || f->gone)
            continue;
        for (size_t n = kit_random() % (pages / 4 + 2); n > 0 && pages > 0; n--)
            kit_touch(f, kit_random() % pages);
        if (kit_random() % 8 == 0) {
            size_t len = f->len + kit_random() % 60000;

            f->bytes = realloc(f->bytes, len + 1);
            memset(f->bytes + f->len, 0, len - f->len);
            f->len = len;
            if (len > 0)
                kit_touch(f, (len - 1) / PAGES_SIZE);
        } else if (kit_random() % 8 == 0 && f->len > 0) {
            f->len -= kit_random() % f->len;
        } else if (kit_random() % 30 == 0) {
            f->gone = true;
        }
    }
    if (c->n < KIT_FILES && kit_random() % 2 == 0) {
        char path[64];

        snprintf(path, sizeof path, "base/6/%u", kit_random());
        (void)kit_file_add(c, path, kit_random() % 200000);
    }
}

static int clean_up(struct err *e, struct pack_removed *removed)
{
    const struct pack_remove_how how = {kit_no_wait, NULL, NULL};

    return pack_remove_run(removed, &kit.repo, &how, kit.scratch, e);
}

static int compact(struct pack_compacted *done, struct err *e)
{
    struct pack_use use;
    struct pack_set set;
    int rc = -1;

    if (pack_use_load(&use, &kit.repo, kit.scratch, e) != 0)
        return -1;
    if (pack_set_load(&set, &kit.repo, kit.scratch, e) == 0) {
        rc = pack_compact(done, &use, &set, 60, PACK_BODY_MAX, kit.scratch, e);
        pack_set_fini(&set);
    }
    pack_use_fini(&use);
    return rc;
}

/* --- the long run --- */

static void test_churn(bool sealed)
{
    struct kit_cluster c;
    struct pages_put_totals t = {0};
    uint64_t pages = 0;
    uint64_t stored = 0;
    unsigned bad = 0;
    unsigned removed = 0;
    unsigned compacted = 0;

    kit_open(&kit, sealed);
    kit.limits = (struct pack_limits){600 * 1024, 100};
    fill(&c);
    for (unsigned round = 0; round < 40; round++) {
        struct err e = {0};
        struct kit_backup how = {.prior = newest(), .orphans = true, .rotate = round * 3};
        struct pack_removed gone = {0};
        struct pack_compacted small = {0};

        kit_secret(&kit, false);
        if (round % 7 == 3) { /* one that fails on the way */
            struct kit_backup fails = how;

            fails.fail_after = 5;
            fails.killed = round % 2 == 0;
            if (kit_backup(&kit, &c, &fails, made[mades].label, NULL, &e) == 0)
                bad++;
            err_clear(&e);
        }
        if (take(&c, how, &t, &e) != 0)
            bad++;
        pages += t.pages - t.zeros;
        stored += t.stored;
        if (mades >= 6 && made[mades - 6].exists)
            expire(mades - 6);
        if (round % 3 == 0 && compact(&small, &e) != 0)
            bad++;
        compacted += small.sources;
        if (clean_up(&e, &gone) != 0)
            bad++;
        removed += gone.removed;
        kit_secret(&kit, true);
        if (e.code != ERR_NONE)
            printf("# round %u: %s\n", round, e.msg);
        bad += bad_restores();
        churn(&c);
    }
    printf("# %llu pages, %llu stored, %u packs removed, %u compacted\n", (unsigned long long)pages,
           (unsigned long long)stored, removed, compacted);
    OK(bad == 0,
       "%s: 40 backups of a changing cluster come back exactly, without a secret key "
       "until then",
       sealed ? "sealed" : "plain");
    OK(stored < pages / 2, "%s: most pages were not stored again", sealed ? "sealed" : "plain");
    OK(removed > 10 && compacted > 3, "%s: packs were compacted and removed meanwhile",
       sealed ? "sealed" : "plain");
    forget_all();
    kit_cluster_free(&c);
    kit_close(&kit);
}

int main(void)
{
    test_churn(false);
    test_churn(true);
    return tap_done();
}

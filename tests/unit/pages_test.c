/*
 * Goal: backups of a cluster that changes at random come back byte for byte, whatever was reused,
 * expired, compacted, removed, lost or damaged in between; what did not change is not stored
 * again; what is damaged is stored afresh; scattered files do not stay scattered.
 *
 * when: full
 */
#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* --- reuse --- */

static const char *mode(bool sealed)
{
    return sealed ? "sealed" : "plain";
}

static void start(bool sealed, struct kit_cluster *c)
{
    kit_open(&kit, sealed);
    kit.limits = (struct pack_limits){600 * 1024, 100};
    fill(c);
}

static void stop(struct kit_cluster *c)
{
    forget_all();
    kit_cluster_free(c);
    kit_close(&kit);
}

static void test_orphans(bool sealed, bool killed)
{
    struct kit_cluster c;
    struct pages_put_totals first = {0};
    struct pages_put_totals t = {0};
    struct err e = {0};
    char label[MANIFEST_LABEL_MAX];
    char names[64][48];
    unsigned packs;

    start(sealed, &c);
    (void)!kit_backup(&kit, &c, &(struct kit_backup){.fail_after = 11, .killed = killed}, label,
                      &first, &e);
    err_clear(&e);
    packs = kit_list(&kit, "pack", names, 64);
    OK(kit_list(&kit, "backup", names, 64) == 0 && packs > 0,
       "%s: a backup that %s leaves packs and no backup", mode(sealed),
       killed ? "was killed" : "failed");
    OK(take(&c, (struct kit_backup){.orphans = true}, &t, &e) == 0 && t.same > 0 &&
           (killed ? t.same < first.stored : t.same == first.stored),
       "%s: the next one uses %s (%llu of %llu pages)", mode(sealed),
       killed ? "what was complete" : "all of it", (unsigned long long)t.same,
       (unsigned long long)first.stored);
    OK(bad_restores() == 0, "%s: and comes back exactly", mode(sealed));
    stop(&c);
}

static void test_rotten(bool sealed)
{
    static struct pack_scratch scratch;
    struct kit_cluster c;
    struct pages_put_totals t = {0};
    struct err e = {0};
    struct pack_bads bads;
    struct pack_set set;
    struct pack *p = NULL;
    char names[64][48];
    char path[160];
    uint8_t *bytes;
    size_t len;
    uint8_t id[PACK_ID];
    uint8_t out[PAGES_ENTRY_BYTES];
    bool compacted;
    unsigned n;

    start(sealed, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    n = kit_list(&kit, "pack", names, 64);
    kit_path(path, "pack", names[0]);
    bytes = kit_slurp(&kit, path, &len);
    (void)pack_name_read(names[0], id, &compacted);
    (void)!pack_set_load(&set, &kit.repo, kit.scratch, &e);
    (void)!pack_open(&p, &set, id, PACK_DATA, kit.scratch, &e);
    bytes[p->body_at + p->table.row[1].at + 3] ^= 1;
    kit_spit(&kit, path, bytes, len);
    OK(pack_read(p, 0, &scratch, out, &e) == 0 && pack_read(p, 1, &scratch, out, &e) != 0 &&
           e.code == ERR_DAMAGED,
       "%s: a rotten entry is noticed, its neighbour is fine", mode(sealed));
    err_clear(&e);
    pack_close(p);
    pack_set_fini(&set);
    OK(bad_restores() == 1, "%s: its backup cannot be restored", mode(sealed));
    pack_bads_init(&bads, 10);
    (void)!pack_bads_push(&bads, (struct pack_bad){.ordinal = 1}, &e);
    memcpy(bads.v[0].id, id, PACK_ID);
    OK(pack_damage_add(&kit.repo, &bads, &e) == 0 && pack_damage_add(&kit.repo, &bads, &e) == 0,
       "%s: what verify found is noted", mode(sealed));
    pack_bads_fini(&bads);
    OK(pack_damage_read(&bads, &kit.repo, &e) == 0 && bads.n == 1,
       "%s: once, however often it is found", mode(sealed));
    pack_bads_fini(&bads);
    kit_secret(&kit, false);
    OK(take(&c, (struct kit_backup){.prior = made[0].label}, &t, &e) == 0 && t.stored >= 1 &&
           t.stored <= PAGES_ENTRY,
       "%s: the next backup stores these pages afresh (%llu)", mode(sealed),
       (unsigned long long)t.stored);
    kit_secret(&kit, true);
    expire(0);
    OK(bad_restores() == 0, "%s: and heals the store", mode(sealed));
    kit_unlink(&kit, path);
    OK(n > 1 && bad_restores() == 1, "%s: a missing pack is noticed", mode(sealed));
    OK(take(&c, (struct kit_backup){.prior = made[1].label}, &t, &e) == 0 && t.stored > 0,
       "%s: its pages are stored afresh", mode(sealed));
    expire(1);
    OK(bad_restores() == 0, "%s: and the backup is whole", mode(sealed));
    kit_path(path, "pack", names[1]);
    free(bytes);
    bytes = kit_slurp(&kit, path, &len);
    kit_spit(&kit, path, bytes, len / 2);
    OK(bad_restores() == 1 && take(&c, (struct kit_backup){.prior = made[2].label}, &t, &e) == 0 &&
           t.stored > 0,
       "%s: so are those of a short pack", mode(sealed));
    expire(2);
    OK(bad_restores() == 0, "%s: whole again", mode(sealed));
    free(bytes);
    stop(&c);
}

static void test_known(bool sealed)
{
    struct kit_cluster c;
    struct pages_put_totals t = {0};
    struct err e = {0};
    char names[64][48];
    char path[160];

    start(sealed, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    churn(&c);
    kit_secret(&kit, false);
    OK(take(&c, (struct kit_backup){.prior = made[0].label, .before = &made[0].was}, &t, &e) == 0,
       "%s: an incremental stream, without a secret key: %s", mode(sealed), e.msg);
    kit_secret(&kit, true);
    OK(bad_restores() == 0, "%s: makes a full backup", mode(sealed));
    for (unsigned n = kit_list(&kit, "pack", names, 64); n > 0; n--) {
        kit_path(path, "pack", names[n - 1]);
        kit_unlink(&kit, path);
    }
    OK(kit_backup(&kit, &c, &(struct kit_backup){.prior = made[1].label, .before = &made[1].was},
                  made[2].label, &t, &e) != 0 &&
           e.code == ERR_DAMAGED,
       "%s: but not when a page it stands on is gone", mode(sealed));
    stop(&c);
}

/* Compacted packs are compacted in turn, and only the last of them stays. */
static void test_again(struct kit_cluster *c, const char *how)
{
    struct pack_compacted done = {0};
    struct pack_removed removed = {0};
    struct pages_put_totals t = {0};
    struct err e = {0};
    char names[64][48];
    unsigned bad = 0;
    unsigned sources = 0;

    for (unsigned round = 0; round < 5; round++) {
        unsigned compacted = 0;
        unsigned n;

        for (unsigned i = 0; i < c->n; i++) /* their beginnings stay, each time less */
            for (size_t page = 0; page < c->file[i].len / PAGES_SIZE; page++)
                if (page >= 64U >> round)
                    kit_touch(&c->file[i], page);
        bad += take(c, (struct kit_backup){.prior = newest()}, &t, &e) != 0;
        expire(mades - 2);
        do {
            bad += compact(&done, &e) != 0;
            sources += done.sources;
        } while (done.sources > 0);
        bad += clean_up(&e, &removed) != 0;
        bad += clean_up(&e, &removed) != 0;
        bad += bad_restores();
        n = kit_list(&kit, "pack", names, 64);
        for (unsigned i = 0; i < n; i++)
            compacted += strchr(names[i], '.') != NULL;
        bad += compacted > 3;
    }
    OK(bad == 0 && sources > 7, "%s: five rounds of it leave no more than is needed: %s", how,
       e.msg);
}

static void test_compaction(bool sealed)
{
    struct kit_cluster c;
    struct err e = {0};
    struct pages_put_totals t = {0};
    struct pack_compacted done = {0};
    struct pack_removed removed = {0};
    char names[64][48];
    unsigned before;
    unsigned plain = 0;
    unsigned n;

    start(sealed, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    for (unsigned i = 0; i < c.n; i++) /* most of it changes, a little stays in every pack */
        for (size_t page = 0; page < c.file[i].len / PAGES_SIZE; page++)
            if (page % 48 >= 16)
                kit_touch(&c.file[i], page);
    (void)!take(&c, (struct kit_backup){.prior = made[0].label}, &t, &e);
    expire(0);
    kit_secret(&kit, false);
    kit.repo.has_secret = false;
    before = kit_list(&kit, "pack", names, 64);
    OK(compact(&done, &e) == 0 && done.sources > 1, "%s: compaction without a secret key: %u packs",
       mode(sealed), done.sources);
    OK(compact(&done, &e) == 0 && done.sources == 0, "%s: nothing is left to compact",
       mode(sealed));
    OK(clean_up(&e, &removed) == 0 && removed.removed == 0 && removed.condemned >= 2,
       "%s: the first run condemns, and removes nothing", mode(sealed));
    OK(clean_up(&e, &removed) == 0 && removed.removed >= 2 && removed.bytes > 0,
       "%s: the second removes", mode(sealed));
    n = kit_list(&kit, "pack", names, 64);
    for (unsigned i = 0; i < n; i++)
        plain += strchr(names[i], '.') == NULL;
    OK(n < before && n == plain + 1, "%s: one compacted file stands for them", mode(sealed));
    kit_secret(&kit, true);
    OK(bad_restores() == 0, "%s: and the old manifest resolves to it", mode(sealed));
    kit_secret(&kit, false);
    OK(take(&c, (struct kit_backup){.prior = made[1].label}, &t, &e) == 0 && t.stored == 0,
       "%s: the next backup leans on it", mode(sealed));
    OK(clean_up(&e, &removed) == 0 && removed.condemned == 0 && removed.removed == 0 &&
           kit_list(&kit, "expire", names, 64) == 0,
       "%s: and nothing is condemned any more", mode(sealed));
    kit_secret(&kit, true);
    expire(1);
    OK(bad_restores() == 0, "%s: which comes back", mode(sealed));
    test_again(&c, mode(sealed));
    expire(mades - 1);
    (void)!clean_up(&e, &removed);
    OK(clean_up(&e, &removed) == 0 && kit_list(&kit, "pack", names, 64) == 0,
       "%s: without backups, no pack stays", mode(sealed));
    stop(&c);
}

/* --- who is at work --- */

static struct pages_lease *beating;

static int beat(void *arg, struct err *e)
{
    (void)arg;
    return pages_lease_beat(beating, e);
}

static void test_leases(bool sealed)
{
    struct kit_cluster c;
    struct err e = {0};
    struct pages_put_totals t = {0};
    struct pack_removed removed = {0};
    struct pages_lease l;
    const struct pack_remove_how beats = {beat, NULL, NULL};
    const struct pack_remove_how sleeps = {kit_no_wait, NULL, NULL};
    struct pack_set set;
    char names[64][48];
    unsigned excluded = 0;
    unsigned n;

    start(sealed, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    expire(0);
    kit_secret(&kit, false);
    OK(pages_lease_take(&l, &kit.repo, KIND_INTENT, "", "test 1", &e) == 0 &&
           kit_list(&kit, "lease", names, 64) == 1,
       "%s: an intent is there", mode(sealed));
    beating = &l;
    n = kit_list(&kit, "pack", names, 64);
    OK(pack_remove_run(&removed, &kit.repo, &beats, kit.scratch, &e) == 0 && removed.busy == 1 &&
           removed.condemned == n,
       "%s: while somebody works packs are condemned,", mode(sealed));
    OK(pack_remove_run(&removed, &kit.repo, &beats, kit.scratch, &e) == 0 && removed.busy == 1 &&
           removed.removed == 0 && kit_list(&kit, "pack", names, 64) == n,
       "%s: but never removed", mode(sealed));
    if (pack_set_load(&set, &kit.repo, kit.scratch, &e) == 0) {
        (void)!pack_remove_exclude(&set, kit.scratch, &e);
        for (size_t i = 0; i < set.holders.n; i++)
            excluded += set.holders.v[i].excluded;
        pack_set_fini(&set);
    }
    OK(excluded == n && take(&c, (struct kit_backup){.orphans = true}, &t, &e) == 0 && t.same == 0,
       "%s: who begins now treats them as absent", mode(sealed));
    expire(1);
    n = kit_list(&kit, "pack", names, 64);
    OK(pack_remove_run(&removed, &kit.repo, &beats, kit.scratch, &e) == 0 && removed.condemned == n,
       "%s: its packs are condemned with them", mode(sealed));
    OK(pack_remove_run(&removed, &kit.repo, &sleeps, kit.scratch, &e) == 0 && removed.busy == 0 &&
           removed.removed == n && kit_list(&kit, "lease", names, 64) == 0,
       "%s: who does not beat is dead", mode(sealed));
    OK(pages_lease_beat(&l, &e) != 0 && e.code == ERR_REFUSED && !l.held &&
           kit_list(&kit, "lease", names, 64) == 0,
       "%s: and learns it at the next beat", mode(sealed));
    err_clear(&e);
    OK(pages_lease_take(&l, &kit.repo, KIND_LEASE, "x", "test 1", &e) == 0 &&
           pages_lease_beat(&l, &e) == 0 && pages_lease_beat(&l, &e) == 0 &&
           kit_list(&kit, "lease", names, 64) == 1,
       "%s: beating leaves one mark", mode(sealed));
    pages_lease_drop(&l);
    OK(kit_list(&kit, "lease", names, 64) == 0, "%s: and dropping none", mode(sealed));
    stop(&c);
}

/* How many packs are taken for absent now. */
static unsigned excluded_now(struct err *e)
{
    struct pack_set set;
    unsigned excluded = 0;

    if (pack_set_load(&set, &kit.repo, kit.scratch, e) != 0)
        return 0;
    if (pack_remove_exclude(&set, kit.scratch, e) == 0)
        for (size_t i = 0; i < set.holders.n; i++)
            excluded += set.holders.v[i].excluded;
    pack_set_fini(&set);
    return excluded;
}

/* Another process puts new lists in place of old ones, as fast as it can; each names all packs. */
static void test_lists(void)
{
    enum { LOOKS = 3000 };
    const struct pack_remove_how beats = {beat, NULL, NULL};
    struct kit_cluster c;
    struct err e = {0};
    struct pages_put_totals t = {0};
    struct pack_removed removed = {0};
    struct pages_lease l;
    char names[64][48];
    unsigned missed = 0;
    unsigned n;
    pid_t child;

    start(false, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    expire(0);
    n = kit_list(&kit, "pack", names, 64);
    beating = &l;
    OK(pages_lease_take(&l, &kit.repo, KIND_INTENT, "", "test 1", &e) == 0 &&
           pack_remove_run(&removed, &kit.repo, &beats, kit.scratch, &e) == 0 && n > 0 &&
           removed.condemned == n && excluded_now(&e) == n,
       "all packs are condemned");
    child = fork();
    if (child == 0)
        while (pack_remove_run(&removed, &kit.repo, &beats, kit.scratch, &e) == 0)
            ;
    for (unsigned i = 0; child > 0 && i < LOOKS; i++)
        missed += excluded_now(&e) != n ? 1 : 0;
    if (child > 0) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    OK(child > 0 && missed == 0 && e.code == ERR_NONE,
       "and stay so while lists take the place of lists: missed %u times of %u %s", missed,
       (unsigned)LOOKS, e.msg);
    stop(&c);
}

/* What a manifest that cannot be read names must not be taken for dead. */
static void test_unreadable(void)
{
    struct kit_cluster c;
    struct err e = {0};
    struct pages_put_totals t = {0};
    struct pack_removed removed = {0};
    char path[160];
    uint8_t *bytes;
    size_t len;

    start(false, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    kit_path(path, "backup", made[0].label);
    bytes = kit_slurp(&kit, path, &len);
    bytes[len - 20] ^= 1;
    kit_spit(&kit, path, bytes, len);
    OK(clean_up(&e, &removed) != 0 && e.code == ERR_DAMAGED && strstr(e.msg, made[0].label) != NULL,
       "with an unreadable manifest nothing is cleaned up: %s", e.msg);
    free(bytes);
    stop(&c);
}

/* --- keys --- */

static void test_keys(void)
{
    struct kit_cluster c;
    struct err e = {0};
    struct pages_put_totals t = {0};
    struct key_recovery third;
    struct key_host other;

    start(true, &c);
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    kit_secret(&kit, false);
    OK(kit_restore(&kit, made[0].label, &made[0].was, NULL, &e) != 0 && e.code == ERR_KEY,
       "no restore without a secret key: %s", e.msg);
    err_clear(&e);
    kit_secret(&kit, true);
    key_recovery_new(&third, kit.repo.marker.id, "third", kit.recovery.owner);
    kit.repo.secret = third;
    OK(kit_restore(&kit, made[0].label, &made[0].was, NULL, &e) != 0 && e.code == ERR_KEY,
       "nor with another one: %s", e.msg);
    err_clear(&e);
    kit.repo.secret = kit.second;
    OK(kit_restore(&kit, made[0].label, &made[0].was, NULL, &e) == 0, "each recipient can");
    memcpy(kit.repo.seal.recipient[1], third.box_public, SECRET_KEY);
    kit_secret(&kit, false);
    OK(take(&c, (struct kit_backup){.prior = made[0].label}, &t, &e) == 0 && t.same == 0,
       "a new recipient: nothing is leaned on that he could not open");
    kit.repo.has_secret = true;
    kit.repo.secret = third;
    OK(kit_restore(&kit, made[1].label, &made[1].was, NULL, &e) == 0, "so he can restore it: %s",
       e.msg);
    key_host_new(&other, kit.repo.marker.id, "other", kit.recovery.owner, NULL);
    kit.repo.has_secret = false;
    kit.repo.host = other;
    OK(kit_backup(&kit, &c, &(struct kit_backup){.prior = made[1].label}, made[2].label, &t, &e) !=
               0 &&
           e.code == ERR_KEY,
       "a host with another write key cannot read a prior backup: %s", e.msg);
    stop(&c);
}

/* --- scattered --- */

/* Twelve backups of a file in which each page changes with a chance of one in so many.  A fresh
 * backup would expand each page once.  The second one finds nothing to judge by, so it is left out:
 * it expands the pages that changed besides all that were there. */
static void test_scattered(unsigned one_in, unsigned most_per_cent)
{
    struct kit_cluster c = {.n = 0};
    struct err e = {0};
    struct pages_put_totals t = {0};
    const uint64_t pages = 3000;
    uint64_t stored = 0;
    uint64_t changed = 0;
    uint64_t most = 0;
    uint64_t tenth = 0;
    uint64_t most_extra = 0;
    unsigned bad = 0;

    kit_open(&kit, false);
    kit_file_add(&c, "base/5/1", pages * PAGES_SIZE);
    for (size_t page = 0; page < pages; page++)
        kit_touch(&c.file[0], page); /* none of zeros */
    (void)!take(&c, (struct kit_backup){0}, &t, &e);
    for (unsigned round = 2; round <= 12; round++) {
        uint64_t expanded = 0;
        uint64_t now = 0;

        for (size_t page = 0; page < pages; page++)
            if (kit_random() % one_in == 0) {
                kit_touch(&c.file[0], page);
                now++;
            }
        if (take(&c, (struct kit_backup){.prior = newest()}, &t, &e) != 0 ||
            kit_restore(&kit, newest(), &c, &expanded, &e) != 0)
            bad++;
        if (round == 2)
            OK(t.stored == now, "one in %u: the second backup stores what changed", one_in);
        stored += t.stored;
        changed += now;
        most_extra = t.stored - now > most_extra ? t.stored - now : most_extra;
        if (round > 2)
            most = expanded > most ? expanded : most;
        if (round == 10)
            tenth = expanded;
        expire(mades - 2);
    }
    printf("# one in %u: at most %llu %% expanded, the tenth %llu %%; stored %llu %% of what "
           "changed, at most %llu %% of the file more\n",
           one_in, (unsigned long long)(most * 100 / pages),
           (unsigned long long)(tenth * 100 / pages), (unsigned long long)(stored * 100 / changed),
           (unsigned long long)(most_extra * 100 / pages));
    OK(bad == 0 && tenth * 100 <= pages * 130 && most * 100 <= pages * 135,
       "one in %u: reading one back stays cheap", one_in);
    OK(stored * 100 <= changed * most_per_cent, "one in %u: for at most %u %% of what changed",
       one_in, most_per_cent);
    OK(most_extra * 100 <= pages * 28, "one in %u: no backup pays for all", one_in);
    stop(&c);
}

/* --- judging pages --- */

static void test_pages(void)
{
    static const uint8_t id[16] = "0123456789abcde";
    static uint8_t bytes[3 * PAGES_SIZE + 100];
    static struct pages_judge j;
    struct pages_facts f;
    uint32_t crc = 0;
    bool same = true;

    pages_judge_init(&j, NULL, id);
    OK(pages_is_zero(bytes, PAGES_SIZE) && pages_is_zero(bytes, 3) && pages_is_zero(bytes, 0),
       "zeros are zeros");
    for (size_t at = 0; at < PAGES_SIZE; at += at < 20 ? 1 : 61) {
        bytes[at] = 1;
        same = same && !pages_is_zero(bytes, PAGES_SIZE);
        bytes[at] = 0;
    }
    bytes[PAGES_SIZE - 1] = 1;
    OK(same && !pages_is_zero(bytes, PAGES_SIZE), "a page with one bit is none of zeros");
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)kit_random();
    for (size_t at = 0; at < sizeof bytes; at += PAGES_SIZE) {
        size_t len = sizeof bytes - at < PAGES_SIZE ? sizeof bytes - at : (size_t)PAGES_SIZE;

        f = pages_judge_page(&j, bytes + at, len);
        crc = pages_crc_add(&j, crc, f.crc, len);
    }
    OK(crc == crc32c_tables(0, bytes, sizeof bytes), "a file's CRC is composed of its pages'");
}

int main(void)
{
    test_pages();
    for (int sealed = 0; sealed < 2; sealed++) {
        test_orphans(sealed, false);
        test_orphans(sealed, true);
        test_rotten(sealed);
        test_known(sealed);
        test_compaction(sealed);
        test_leases(sealed);
        test_churn(sealed);
    }
    test_lists();
    test_unreadable();
    test_keys();
    test_scattered(2, 150);
    test_scattered(4, 190);
    test_scattered(10, 200);
    test_scattered(30, 220);
    return tap_done();
}

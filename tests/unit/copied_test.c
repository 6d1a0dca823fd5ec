/* repo/copied, repo/copy_mark: what a copy is and has, as text and back. */
#include "repo/copied.h"

#include <stdio.h>
#include <string.h>

#include "tap.h"

static void test_mark(void)
{
    struct copy_mark m = {.there = true, .adopted = true};
    struct copy_mark back;
    struct err e = {0};
    struct buf b;

    memset(m.repo, 1, sizeof m.repo);
    memset(m.id, 2, sizeof m.id);
    buf_init(&b, 4096);
    OK(copy_mark_write(&b, &m, &e) == 0, "a mark is written");
    OK(copy_mark_read(&back, (const char *)b.p, b.len, &e) == 0, "and read");
    OK(memcmp(&m, &back, sizeof m) == 0, "as it was");
    b.p[b.len / 2] ^= 1;
    OK(copy_mark_read(&back, (const char *)b.p, b.len, &e) != 0 && !back.there,
       "a flipped bit is found");
    buf_fini(&b);
}

static void fill(struct copied *c, struct err *e)
{
    copied_init(c);
    memcpy(c->name, "usb", 4);
    c->time = 1700000000000000;
    c->whole = true;
    OK(copied_add_wal(c, "main/7", 1, 0x1000000, 0x2000000, e) == 0 &&
           copied_add_wal(c, "main/7", 1, 0x2000000, 0x3000000, e) == 0 &&
           copied_add_wal(c, "main/7", 1, 0x4000000, 0x5000000, e) == 0 &&
           copied_add_wal(c, "main/8", 1, 0x5000000, 0x6000000, e) == 0,
       "segments");
    OK(copied_add_object(c, KIND_MANIFEST, "main/7", "label", e) == 0 &&
           copied_add_object(c, KIND_DUMP, "main", "shop/label", e) == 0,
       "objects");
}

static void check(const struct copied *c, const char *when)
{
    printf("# %s\n", when);
    OK(c->ranges.n == 3, "neighbours are one range");
    OK(copied_has_wal(c, "main/7", 1, 0x1000000, 0x3000000), "over two segments");
    OK(!copied_has_wal(c, "main/7", 1, 0x3000000, 0x4000000), "not in the gap");
    OK(!copied_has_wal(c, "main/7", 1, 0x2000000, 0x5000000), "nor across it");
    OK(!copied_has_wal(c, "main/7", 2, 0x1000000, 0x2000000), "nor on another timeline");
    OK(!copied_has_wal(c, "main/8", 1, 0x1000000, 0x2000000), "nor of another lineage");
    OK(copied_has_object(c, KIND_MANIFEST, "main/7", "label"), "a backup");
    OK(!copied_has_object(c, KIND_MANIFEST, "main/8", "label"), "not of another lineage");
    OK(copied_has_object(c, KIND_DUMP, "main", "shop/label"), "a dump");
    OK(!copied_has_object(c, KIND_DUMP, "main", "shop/other"), "not another one");
}

static void test_copied(void)
{
    struct copied c;
    struct copied back;
    struct err e = {0};
    struct buf b;

    fill(&c, &e);
    check(&c, "as it was made");
    buf_init(&b, 1 << 20);
    copied_init(&back);
    OK(copied_write(&b, &c, &e) == 0, "written");
    OK(copied_read(&back, (const char *)b.p, b.len, "copied-usb", &e) == 0, "and read");
    check(&back, "as it was read");
    IS_STR(back.name, "usb", "its name");
    OK(back.time == c.time && back.whole, "when, and that it was whole");
    copied_fini(&back);
    copied_init(&back);
    b.p[b.len / 2] ^= 1;
    OK(copied_read(&back, (const char *)b.p, b.len, "copied-usb", &e) != 0,
       "a flipped bit is found");
    copied_fini(&back);
    copied_fini(&c);
    buf_fini(&b);
}

int main(void)
{
    test_mark();
    test_copied();
    return tap_done();
}

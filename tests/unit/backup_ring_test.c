/*
 * Goal: what one thread puts into the ring comes out in the other, whole and in order, however fast
 * either is; and when one gives up, the other learns it and does not hang.
 */
#include "tap.h"

#include <stdlib.h>

#include "os/time.h"
/* A program's files are in no library. */
#include "basebackup/ring.c"
#include "basebackup/thread.c"

enum { ROUNDS = 400, PIECE_MAX = 300 * 1000 };

static struct ring ring;

static uint8_t byte_of(uint64_t at)
{
    return (uint8_t)(at * 2654435761U >> 13);
}

struct taken {
    uint64_t bytes;
    uint64_t wrong;
    unsigned marks;
    unsigned late;  /* sleep so many microseconds per block */
    unsigned after; /* give up after so many blocks; 0: never */
    unsigned step;  /* between the numbers of marks */
    unsigned helped;
};

static void take(struct taken *t, const struct ring_block *b)
{
    if (b->kind == RING_DATA)
        for (size_t i = 0; i < b->len; i++)
            t->wrong += b->bytes[i] != byte_of(t->bytes++);
    else if (b->kind == RING_ARCHIVE)
        t->wrong += b->number != (size_t)(t->step * t->marks++);
}

static int take_all(void *arg, struct err *e)
{
    struct taken *t = arg;
    unsigned blocks = 0;

    for (;;) {
        struct ring_block *b = ring_next(&ring);
        bool last;

        if (b == NULL)
            return 1;
        last = b->kind == RING_END; /* behind ring_done the block is the putter's again */
        if (t->after > 0 && ++blocks > t->after) {
            ring_give_up(&ring);
            return err_set(e, ERR_DAMAGED, "enough");
        }
        if (t->late > 0)
            os_sleep_us(t->late);
        take(t, b);
        ring_done(&ring);
        if (last)
            return 0;
    }
}

/* Takes blocks in the putter's place; what it shares with the other thread has no lock but the
 * ring's. */
static void help(struct taken *t)
{
    struct ring_block *b;

    while ((b = ring_help(&ring)) != NULL) {
        t->helped++;
        take(t, b);
        ring_done(&ring);
    }
}

/* Puts ROUNDS pieces of odd sizes, each behind a mark.  Bytes put, or 0 when the other gave up. */
static uint64_t put_all(unsigned late, struct taken *helps, struct err *e)
{
    static uint8_t piece[PIECE_MAX];
    uint64_t at = 0;
    uint32_t state = 7;

    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t len;

        state = state * 1664525 + 1013904223;
        len = i % 5 == 0 ? state % 7 : state % PIECE_MAX;
        for (size_t k = 0; k < len; k++)
            piece[k] = byte_of(at + k);
        if (late > 0 && i % 16 == 0)
            os_sleep_us(late);
        if (helps != NULL)
            help(helps);
        if (((helps == NULL || i % 10 == 0) && ring_mark(&ring, RING_ARCHIVE, i, e) != 0) ||
            ring_data(&ring, RING_DATA, piece, len, e) != 0)
            return 0;
        at += len;
    }
    return ring_mark(&ring, RING_END, 0, e) == 0 ? at : 0;
}

static void try(const char *what, unsigned put_late, unsigned take_late, bool helps)
{
    struct taken t = {.late = take_late, .step = helps ? 10 : 1};
    struct thread thread;
    struct err e = {0};
    uint64_t put = 0;
    int rc = -1;

    if (ring_init(&ring, &e) == 0 && thread_start(&thread, take_all, &t, &e) == 0) {
        put = put_all(put_late, helps ? &t : NULL, &e);
        rc = thread_join(&thread, &e);
    }
    OK(rc == 0 && put > 0 && t.bytes == put, "%s: all %llu bytes came", what,
       (unsigned long long)put);
    OK(t.wrong == 0 && t.marks == (helps ? ROUNDS / 10 : ROUNDS),
       "%s: in order, marks where they belong", what);
    OK(helps == (t.helped > 0), "%s: %u blocks taken by who puts them", what, t.helped);
    ring_fini(&ring);
}

static void test_giving_up(void)
{
    struct taken t = {.after = 20, .step = 1};
    struct thread thread;
    struct err e = {0};
    struct err why = {0};
    int rc;

    rc = ring_init(&ring, &e) != 0 || thread_start(&thread, take_all, &t, &e) != 0;
    OK(rc == 0 && put_all(0, NULL, &e) == 0, "the taker gives up: the putter learns it");
    OK(e.code == ERR_NONE, "and has no error of its own");
    OK(thread_join(&thread, &why) == -1 && why.code == ERR_DAMAGED, "the reason comes by joining");
    OK(ring_is_given_up(&ring), "and it stays so");
    ring_fini(&ring);

    t = (struct taken){.step = 1};
    rc = ring_init(&ring, &e) != 0 || thread_start(&thread, take_all, &t, &e) != 0 ||
         ring_mark(&ring, RING_ARCHIVE, 0, &e) != 0;
    ring_give_up(&ring);
    OK(rc == 0 && thread_join(&thread, &e) == 1, "the putter gives up: the taker ends");
    ring_fini(&ring);
}

int main(void)
{
    try("as fast as both can", 0, 0, false);
    try("a slow taker", 0, 300, false);
    try("a slow putter", 3000, 0, false);
    try("a putter who helps", 0, 0, true);
    try("one who helps, and is slow", 3000, 0, true);
    test_giving_up();
    return tap_done();
}

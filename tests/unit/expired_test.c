/*
 * Goal: expire records explain exactly the segments and objects that they name: whole segments
 * only, however ranges overlap; a record that is cut, garbled or nobody's explains nothing at all.
 */
#include "tap.h"

#include "base/buf.h"
#include "repo/expired.h"

enum { SEGSIZE = 1 << 20, SEGMENTS = 40, ROUNDS = 3000 };

static uint64_t state = 7;

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((state >> 33) % n);
}

static int put_range(struct buf *b, tli_t tli, lsn_t from, lsn_t to, struct err *e)
{
    return buf_u8(b, EXPIRED_TAG_WAL, e) != 0 || buf_varint(b, 20, e) != 0 ||
                   buf_u32(b, tli, e) != 0 || buf_u64(b, from, e) != 0 || buf_u64(b, to, e) != 0
               ? -1
               : 0;
}

static int put_text(struct buf *b, const char *text, struct err *e)
{
    return buf_u8(b, EXPIRED_TAG_REMOVED, e) != 0 || buf_varint(b, strlen(text), e) != 0 ||
                   buf_str(b, text, e) != 0
               ? -1
               : 0;
}

/* Ranges of timeline 1 and 2, with every segment looked up in the obvious way. */
static bool round_is_right(void)
{
    static bool byte[3][2 * SEGMENTS]; /* half segments */
    struct manifest_head head = {.sequence = 1};
    struct expired x;
    struct buf b;
    struct err e = {0};
    bool right = true;
    unsigned n = below(6);

    memset(byte, 0, sizeof byte);
    expired_init(&x);
    buf_init(&b, 65536);
    for (unsigned i = 0; i < n; i++) {
        tli_t tli = 1 + below(2);
        unsigned from = below(2 * SEGMENTS - 1);
        unsigned to = from + 1 + below(2 * SEGMENTS - from);

        buf_clear(&b);
        for (unsigned k = from; k < to && k < 2 * SEGMENTS; k++)
            byte[tli][k] = true;
        if (manifest_head_write(&b, &head, &e) != 0 ||
            put_range(&b, tli, (lsn_t)from * SEGSIZE / 2, (lsn_t)to * SEGSIZE / 2, &e) != 0 ||
            expired_decode(&x, "label", b.p, b.len, &e) != 0)
            right = false;
    }
    expired_finish(&x);
    for (tli_t tli = 1; tli <= 2; tli++)
        for (unsigned s = 0; s < SEGMENTS; s++) {
            bool want = byte[tli][2 * s] && byte[tli][2 * s + 1];
            uint64_t until = expired_until(&x, tli, s, SEGSIZE);

            right = right && expired_segment(&x, tli, s, SEGSIZE) == want && until > s;
            for (unsigned k = s; k < until && k < SEGMENTS; k++)
                right = right && (byte[tli][2 * k] && byte[tli][2 * k + 1]) == want;
        }
    right = right && x.heads.n == n;
    expired_fini(&x);
    buf_fini(&b);
    return right;
}

static void ranges(void)
{
    bool right = true;

    for (unsigned i = 0; i < ROUNDS && right; i++)
        right = round_is_right();
    OK(right, "%d random sets of ranges explain whole segments and no others", (int)ROUNDS);
}

static void objects(void)
{
    struct manifest_head head = {.sequence = 9, .wal_lsn = 77};
    const struct expired_object *o;
    struct expired x;
    struct buf b;
    struct err e = {0};

    expired_init(&x);
    buf_init(&b, 65536);
    OK(manifest_head_write(&b, &head, &e) == 0 &&
           put_text(&b, "5 B older than the seventh day\n5 A the newest of its week is kept\n",
                    &e) == 0 &&
           put_range(&b, 1, 0, SEGSIZE, &e) == 0 && expired_decode(&x, "one", b.p, b.len, &e) == 0,
       "a record is read");
    expired_finish(&x);
    o = expired_find(&x, KIND_MANIFEST, "A");
    OK(o != NULL && strcmp(o->reason, "the newest of its week is kept") == 0,
       "an object is found, with its reason");
    OK(expired_find(&x, KIND_DUMP, "A") == NULL && expired_find(&x, KIND_MANIFEST, "C") == NULL,
       "another one is not");
    OK(x.heads.n == 1 && x.heads.v[0].head.sequence == 9 && x.heads.v[0].head.wal_lsn == 77,
       "its place in the chain is known");
    expired_fini(&x);

    /* Every cut, and every byte changed: all or nothing. */
    bool whole = true;
    size_t first = 0;

    for (size_t n = 0; n < b.len; n++) {
        expired_init(&x);
        err_clear(&e);
        if (expired_decode(&x, "cut", b.p, n, &e) != 0)
            whole = whole && e.code == ERR_DAMAGED && x.ranges.n == 0 && x.objects.n == 0 &&
                    x.heads.n == 0;
        else /* a whole number of items is a shorter record; the object's own checksum tells */
            first++;
        expired_fini(&x);
    }
    OK(whole && first == 2, "a record that is cut inside an item explains nothing");
    whole = true;
    for (size_t n = 0; n < b.len; n++) {
        expired_init(&x);
        err_clear(&e);
        b.p[n] ^= 0xa5;
        if (expired_decode(&x, "changed", b.p, b.len, &e) != 0)
            whole = whole && e.code == ERR_DAMAGED && x.ranges.n == 0 && x.objects.n == 0;
        b.p[n] ^= 0xa5;
        expired_fini(&x);
    }
    OK(whole, "nor does a garbled one");
    buf_fini(&b);
}

int main(void)
{
    ranges();
    objects();
    return tap_done();
}

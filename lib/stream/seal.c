#include "stream/seal.h"

#include <string.h>

static int push_piece(struct seal *s, const uint8_t *bytes, size_t len, bool last, struct err *e)
{
    uint8_t tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                       : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;

    if (crypto_secretstream_xchacha20poly1305_push(&s->state, s->out, NULL, bytes, len, s->bound,
                                                   SEAL_BOUND, tag) != 0)
        return err_set(e, ERR_INTERNAL, "could not encrypt");
    return sink_write(s->sink.next, s->out, len + SEAL_EXTRA, e);
}

/* A full piece is only written when more follows, since the last one must be marked. */
static int push_write(struct sink *sink, const uint8_t *bytes, size_t len, struct err *e)
{
    struct seal *s = (struct seal *)sink;

    while (len > 0) {
        size_t take = SEAL_PIECE - s->held;

        if (s->held == SEAL_PIECE) {
            s->held = 0;
            if (push_piece(s, s->in, SEAL_PIECE, false, e) != 0)
                return -1;
            continue;
        }
        if (s->held == 0 && len > SEAL_PIECE) {
            if (push_piece(s, bytes, SEAL_PIECE, false, e) != 0)
                return -1;
        } else {
            if (take > len)
                take = len;
            memcpy(s->in + s->held, bytes, take);
            s->held += take;
        }
        bytes += take;
        len -= take;
    }
    return 0;
}

static int push_finish(struct sink *sink, struct err *e)
{
    struct seal *s = (struct seal *)sink;

    if (push_piece(s, s->in, s->held, true, e) != 0)
        return -1;
    return sink_finish_next(sink, e);
}

static const struct sink_ops push_ops = {"seal", push_write, push_finish, sink_abort_next};

void seal_push_init(struct seal *s, const uint8_t key[SEAL_KEY], uint8_t header[SEAL_HEADER])
{
    sink_init(&s->sink, &push_ops, PHASE_SEAL);
    s->done = false;
    s->held = 0;
    (void)crypto_secretstream_xchacha20poly1305_init_push(&s->state, header, key); /* cannot fail */
}

void seal_bind(struct seal *s, const uint8_t bound[SEAL_BOUND])
{
    memcpy(s->bound, bound, SEAL_BOUND);
}

static int pull_piece(struct seal *s, const uint8_t *bytes, size_t len, struct err *e)
{
    uint8_t tag = 0;

    if (s->done)
        return err_set(e, ERR_DAMAGED, "sealed data goes on after its end");
    if (len < SEAL_EXTRA ||
        crypto_secretstream_xchacha20poly1305_pull(&s->state, s->out, NULL, &tag, bytes, len,
                                                   s->bound, SEAL_BOUND) != 0)
        return err_set(e, ERR_DAMAGED, "sealed data is damaged or was changed");
    if (tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL)
        s->done = true;
    else if (tag != crypto_secretstream_xchacha20poly1305_TAG_MESSAGE)
        return err_set(e, ERR_DAMAGED, "sealed data carries an unknown tag");
    return sink_write(s->sink.next, s->out, len - SEAL_EXTRA, e);
}

static int pull_write(struct sink *sink, const uint8_t *bytes, size_t len, struct err *e)
{
    struct seal *s = (struct seal *)sink;

    while (len > 0) {
        size_t take = SEAL_PIECE + SEAL_EXTRA - s->held;

        if (s->held == 0 && len >= take) {
            if (pull_piece(s, bytes, take, e) != 0)
                return -1;
        } else {
            if (take > len)
                take = len;
            memcpy(s->in + s->held, bytes, take);
            s->held += take;
            if (s->held == SEAL_PIECE + SEAL_EXTRA) {
                s->held = 0;
                if (pull_piece(s, s->in, SEAL_PIECE + SEAL_EXTRA, e) != 0)
                    return -1;
            }
        }
        bytes += take;
        len -= take;
    }
    return 0;
}

static int pull_finish(struct sink *sink, struct err *e)
{
    struct seal *s = (struct seal *)sink;

    if (s->held > 0 && pull_piece(s, s->in, s->held, e) != 0)
        return -1;
    if (!s->done)
        return err_set(e, ERR_DAMAGED, "sealed data is cut short");
    return sink_finish_next(sink, e);
}

static const struct sink_ops pull_ops = {"unseal", pull_write, pull_finish, sink_abort_next};

int seal_pull_init(struct seal *s, const uint8_t key[SEAL_KEY], const uint8_t header[SEAL_HEADER],
                   const uint8_t bound[SEAL_BOUND], struct err *e)
{
    sink_init(&s->sink, &pull_ops, PHASE_UNSEAL);
    s->done = false;
    s->held = 0;
    seal_bind(s, bound);
    if (crypto_secretstream_xchacha20poly1305_init_pull(&s->state, header, key) != 0)
        return err_set(e, ERR_DAMAGED, "sealed data has an impossible header");
    return 0;
}

void seal_wipe(struct seal *s)
{
    sodium_memzero(&s->state, sizeof s->state);
    sodium_memzero(s->in, sizeof s->in);
    sodium_memzero(s->out, sizeof s->out);
}

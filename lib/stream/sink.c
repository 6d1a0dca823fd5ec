#include "stream/sink.h"

void sink_init(struct sink *s, const struct sink_ops *ops, enum sink_phase phase)
{
    s->ops = ops;
    s->next = NULL;
    s->phase = phase;
}

int sink_link(struct sink *up, struct sink *down, struct err *e)
{
    if (up->phase > down->phase || (up->phase < PHASE_LOADED) != (down->phase < PHASE_LOADED))
        return err_set(e, ERR_INTERNAL, "stream \"%s\" cannot come before \"%s\"", up->ops->name,
                       down->ops->name);
    up->next = down;
    return 0;
}

int sink_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    return len == 0 ? 0 : s->ops->write(s, bytes, len, e);
}

int sink_finish(struct sink *s, struct err *e)
{
    return s->ops->finish(s, e);
}

void sink_abort(struct sink *s)
{
    if (s->ops != NULL)
        s->ops->abort(s);
}

int sink_finish_next(struct sink *s, struct err *e)
{
    return s->next == NULL ? 0 : sink_finish(s->next, e);
}

void sink_abort_next(struct sink *s)
{
    if (s->next != NULL)
        sink_abort(s->next);
}

static int null_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    (void)s, (void)bytes, (void)len, (void)e;
    return 0;
}

static const struct sink_ops null_ops = {"null", null_write, sink_finish_next, sink_abort_next};

void sink_null(struct sink *s, enum sink_phase phase)
{
    sink_init(s, &null_ops, phase);
}

#include "basebackup/ring.h"

#include <stdlib.h>
#include <string.h>

#include "os/signal.h"

enum { LOOK_US = 500 * 1000 };

int ring_init(struct ring *r, struct err *e)
{
    memset(r, 0, sizeof *r);
    r->blocks = calloc(RING_BLOCKS, sizeof *r->blocks);
    if (r->blocks == NULL)
        return err_set(e, ERR_NOMEM, "no memory to receive with");
    if (gate_init(&r->gate, e) == 0)
        return 0;
    free(r->blocks);
    r->blocks = NULL;
    return -1;
}

void ring_fini(struct ring *r)
{
    if (r->blocks != NULL)
        gate_fini(&r->gate);
    free(r->blocks);
    r->blocks = NULL;
}

/* The block to fill.  When all are full it waits until half of them are empty, so that the two
 * threads do not take turns block by block. */
static int take_empty(struct ring *r, struct err *e)
{
    int rc = 0;

    gate_lock(&r->gate);
    r->waits = r->full == RING_BLOCKS;
    while (r->waits && !r->given_up && rc == 0) {
        gate_wait(&r->gate, LOOK_US);
        rc = os_signal_check(e);
    }
    if (r->given_up)
        rc = -1;
    else if (rc == 0)
        r->open = &r->blocks[(r->first + r->full) % RING_BLOCKS];
    gate_unlock(&r->gate);
    return rc;
}

/* Hands the open block over; an urgent one, or enough of them, wakes the storer. */
static void push(struct ring *r, bool urgent)
{
    gate_lock(&r->gate);
    r->open = NULL;
    r->full++;
    if (r->wanted > 0 && (urgent || r->full >= r->wanted)) {
        r->wanted = 0;
        gate_tell(&r->gate);
    }
    gate_unlock(&r->gate);
}

int ring_data(struct ring *r, enum ring_kind kind, const uint8_t *bytes, size_t len, struct err *e)
{
    while (len > 0) {
        size_t part;

        if (r->open != NULL && r->open->kind != kind)
            push(r, false);
        if (r->open == NULL) {
            if (take_empty(r, e) != 0)
                return -1;
            r->open->kind = kind;
            r->open->len = 0;
        }
        part = RING_BYTES - r->open->len < len ? RING_BYTES - r->open->len : len;
        memcpy(r->open->bytes + r->open->len, bytes, part);
        r->open->len += part;
        bytes += part;
        len -= part;
        if (r->open->len == RING_BYTES)
            push(r, false);
    }
    return 0;
}

int ring_mark(struct ring *r, enum ring_kind kind, size_t number, struct err *e)
{
    if (r->open != NULL)
        push(r, false);
    if (take_empty(r, e) != 0)
        return -1;
    r->open->kind = kind;
    r->open->number = number;
    r->open->len = 0;
    push(r, true);
    return 0;
}

struct ring_block *ring_next(struct ring *r)
{
    struct ring_block *b = NULL;
    size_t enough;

    gate_lock(&r->gate);
    enough = r->full > 0 ? 1 : RING_BLOCKS / 2;
    while ((r->full < enough || r->helped) && !r->given_up) {
        r->wanted = enough;
        gate_wait(&r->gate, LOOK_US);
        enough = 1; /* told, or the server is slow: no use in gathering */
    }
    r->wanted = 0;
    if (!r->given_up)
        b = &r->blocks[r->first];
    gate_unlock(&r->gate);
    return b;
}

struct ring_block *ring_help(struct ring *r)
{
    struct ring_block *b = NULL;

    gate_lock(&r->gate);
    if (r->wanted > 0 && r->full > 0 && r->blocks[r->first].kind == RING_DATA && !r->given_up) {
        b = &r->blocks[r->first];
        r->helped = true;
    }
    gate_unlock(&r->gate);
    return b;
}

void ring_done(struct ring *r)
{
    gate_lock(&r->gate);
    r->first = (r->first + 1) % RING_BLOCKS;
    r->full--;
    r->helped = false;
    if (r->waits && r->full <= RING_BLOCKS / 2) {
        r->waits = false;
        gate_tell(&r->gate);
    }
    gate_unlock(&r->gate);
}

void ring_give_up(struct ring *r)
{
    gate_lock(&r->gate);
    r->given_up = true;
    gate_tell(&r->gate);
    gate_unlock(&r->gate);
}

bool ring_is_given_up(struct ring *r)
{
    bool given_up;

    gate_lock(&r->gate);
    given_up = r->given_up;
    gate_unlock(&r->gate);
    return given_up;
}

/*
 * progress: tells a person who waits what the backup does, how fast, and how long it will take.
 *
 * On a terminal one line that is written over and over, elsewhere (when asked for) a line now and
 * then.  Messages that come in between go through progress_clear first.
 */
#ifndef BASEBACKUP_PROGRESS_H
#define BASEBACKUP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_SIZE_MAX = 24, PROGRESS_TIME_MAX = 24 };

struct progress {
    bool on;
    bool terminal;
    bool fast;     /* the checkpoint was asked to be fast */
    uint64_t want; /* bytes that will come, estimated; 0: not known */
    int64_t begun; /* when the archives began to come */
    int64_t next;  /* when to say something again */
    size_t shown;  /* width of the line that stands there */
};

void progress_init(struct progress *p, bool wanted, bool fast);

/* While the server works on its checkpoint. */
void progress_checkpoint(struct progress *p, int64_t waited_us);

/* Bytes that came so far. */
void progress_bytes(struct progress *p, uint64_t bytes);

/* What else is going on. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes the line away. */
void progress_clear(struct progress *p);

/* "1.2 GB", "3 min 20 s" for people. */
void progress_size(char out[PROGRESS_SIZE_MAX], uint64_t bytes);
void progress_time(char out[PROGRESS_TIME_MAX], int64_t us);

#endif

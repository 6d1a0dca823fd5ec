/*
 * pgtool: the client programs of PostgreSQL (pg_dump, pg_dumpall, pg_restore, psql), here or behind
 * a runner like `docker compose exec -T db`.
 *
 * Here they are looked for in pg_bin, in Debian's and other usual places, and in PATH; behind a
 * runner they are what PATH says there.  A run keeps what the program says on standard error, and
 * never lets both sides wait for each other.
 */
#ifndef CATALOG_PGTOOL_H
#define CATALOG_PGTOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/words.h"
#include "os/proc.h"
#include "place.h"

enum { PGTOOL_ARGS_MAX = 512, PGTOOL_SAID_MAX = 64 * 1024, PGTOOL_PIECE = 64 * 1024 };

struct pgtool {
    const struct words *runner; /* NULL or empty: here */
    char bin[PLACE_MAX];        /* folder; "" behind a runner */
    uint32_t version;           /* like 170006 */
    char version_text[32];      /* "17.6" */
};

/*
 * Finds the programs for a server of that version number (0: any): `program` stands for all.
 * Clients older than the server are refused with what to do.  pg_bin may be NULL.
 */
int pgtool_find(struct pgtool *t, const struct words *runner, const char *pg_bin,
                const char *program, uint32_t server, struct err *e)
    __attribute__((warn_unused_result));

/* Arguments of a run. */
struct pgtool_args {
    const char *v[PGTOOL_ARGS_MAX + 1];
    size_t n;
    char path[PLACE_MAX];
    const char *const *env;       /* whole environment; NULL: ours */
    const struct place_owner *as; /* who runs it; NULL: we */
};

/* The program, behind its runner; then add arguments (borrowed). */
int pgtool_begin(struct pgtool_args *a, const struct pgtool *t, const char *program, struct err *e)
    __attribute__((warn_unused_result));
int pgtool_arg(struct pgtool_args *a, const char *text, struct err *e)
    __attribute__((warn_unused_result));

struct pgtool_run {
    struct os_proc proc;
    const char *program;
    int64_t deadline_us; /* of pgtool_read, by os_mono_us(); set after the start; 0: none */
    size_t said_len;
    bool said_more; /* the first bytes did not fit */
    char said[PGTOOL_SAID_MAX + 1];
};

/* Takes a piece of standard output. */
typedef int pgtool_take(void *arg, const uint8_t *bytes, size_t len, struct err *e);

/* in and out: OS_PROC_PIPE, OS_PROC_NULL or a descriptor. */
int pgtool_start(struct pgtool_run *r, const struct pgtool_args *a, const char *program, int in,
                 int out, struct err *e) __attribute__((warn_unused_result));

/* Reads standard output to its end. */
int pgtool_read(struct pgtool_run *r, pgtool_take *fn, void *arg, struct err *e)
    __attribute__((warn_unused_result));

/* Writes to standard input.  1 when the program does not read any more: pgtool_end tells why. */
int pgtool_write(struct pgtool_run *r, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int pgtool_close_input(struct pgtool_run *r, struct err *e) __attribute__((warn_unused_result));

/* Reads what it says on standard error, when os_wait_fds found something there. */
int pgtool_listen(struct pgtool_run *r, struct err *e) __attribute__((warn_unused_result));

/* Waits for the end and reads what it still says.  0 when the exit status was 0; else its status,
 * and *e says what it said (ERR_IO; ERR_UNREACHABLE when it could not connect).  -1 for a failure
 * of ours.  deadline_us by os_mono_us(); 0: none. */
int pgtool_end(struct pgtool_run *r, int64_t deadline_us, struct err *e)
    __attribute__((warn_unused_result));

/* Ends a program that still runs. */
void pgtool_fini(struct pgtool_run *r);

/* Runs it, gathers its output as a text (at most cap - 1 bytes) and waits. */
int pgtool_capture(const struct pgtool_args *a, const char *program, char *out, size_t cap,
                   struct err *e) __attribute__((warn_unused_result));

#endif

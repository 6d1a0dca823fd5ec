/*
 * tty: asks a person for a secret, and tells whether one is watching.
 */
#ifndef OS_TTY_H
#define OS_TTY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Writes the prompt to the controlling terminal and reads one line from it without echo; the line
 * goes to out without its newline and with a NUL.  0 and *len.  OS_ABSENT (1): there is no
 * terminal. -1: also when the line does not fit, and ERR_INTERRUPTED when a signal came; the
 * terminal shows again what is typed in every case.
 */
int os_tty_secret(const char *prompt, char *out, size_t cap, size_t *len, struct err *err);

/* Is the descriptor a terminal, so that progress may be shown on it? */
bool os_tty_is(int fd);

/* Its columns; 0: it is no terminal, or does not tell. */
unsigned os_tty_width(int fd);

#endif

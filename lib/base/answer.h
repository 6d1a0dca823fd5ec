/*
 * answer: --help, --version and --man, the same in every program.
 *
 * The one thing besides base/msg that prints, and on standard output.
 */
#ifndef BASE_ANSWER_H
#define BASE_ANSWER_H

#include "base/opt.h"

/* Prints what opt_parse found to be asked for (OPT_HELP, OPT_VERSION, OPT_MAN); the exit status. */
int answer(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets, int asked);

#endif

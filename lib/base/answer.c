#include "base/answer.h"

#include <stdio.h>

#include "base/version.h"

enum { ANSWER_MAX = 256 * 1024 };

int answer(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets, int asked)
{
    struct err e = {0};
    struct buf text;
    int rc;

    buf_init(&text, ANSWER_MAX);
    if (asked == OPT_HELP)
        rc = opt_help(prog, sets, n_sets, &text, &e);
    else if (asked == OPT_VERSION)
        rc = buf_fmt(&text, &e, "%s (Walden) %s\n", prog->name, WALDEN_VERSION);
    else
        rc = opt_man(prog, sets, n_sets, WALDEN_VERSION, WALDEN_DATE, &text, &e);
    if (rc == 0 &&
        (fwrite(buf_text(&text), 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        rc = -1;
    buf_fini(&text);
    return rc == 0 ? 0 : 1;
}

/*
 * lease: somebody who reads a backup, for tests: takes a lease (or, with "intent", a backup's
 * intent) as the programs do, says "held", and beats every second until its standard input ends.
 *
 *     lease [SETTING...] lease|intent LABEL
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "object/secret.h"
#include "repo/pages_lease.h"

extern char **environ;

static int hold(struct repo *repo, const char *kind, const char *label, struct err *e)
{
    struct pages_lease l;
    struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};

    if (pages_lease_take(&l, repo, strcmp(kind, "intent") == 0 ? KIND_INTENT : KIND_LEASE, label,
                         "test 1", e) != 0)
        return -1;
    puts("held");
    fflush(stdout);
    while (poll(&end, 1, 1000) == 0)
        if (pages_lease_beat(&l, e) != 0)
            return -1;
    pages_lease_drop(&l);
    return 0;
}

int main(int argc, char **argv)
{
    static struct repo repo;
    struct settings settings;
    struct opt_program program = {
        .name = "lease", .operands = "KIND LABEL", .args_min = 2, .args_max = 2};
    struct opt_set set;
    struct opt_args args;
    struct err e = {0};
    int rc = -1;

    settings_init(&settings);
    set = settings_options(&settings);
    if (opt_parse(&program, &set, 1, argc, argv, &args, &e) == 0 &&
        settings_load(&settings, environ, SETTINGS_PROGRAM, &e) == 0 && secret_start(&e) == 0 &&
        repo_open(&repo, &settings, REPO_WRITE, &e) == 0) {
        rc = hold(&repo, args.v[0], args.v[1], &e);
        repo_close(&repo);
    }
    if (rc != 0)
        fprintf(stderr, "lease: %s\n", e.msg);
    settings_fini(&settings);
    return rc == 0 ? 0 : 1;
}

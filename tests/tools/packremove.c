/*
 * packremove: one run that removes packs nobody needs, for tests, with a wait of their choice
 * between the two looks for holders of intents and leases.
 *
 *     packremove [SETTING...] SECONDS      prints "condemned N removed N busy N"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object/secret.h"
#include "repo/pack_remove.h"
#include "repo/repo.h"
#include "repo/settings.h"

static int pause_for(void *arg, struct err *e)
{
    (void)e;
    sleep(*(unsigned *)arg);
    return 0;
}

int main(int argc, char **argv)
{
    static struct object_reader scratch;
    static const struct opt_program program = {
        .name = "packremove", .operands = "SECONDS", .args_min = 1, .args_max = 1};
    struct settings settings;
    struct opt_set sets[1];
    struct opt_args args;
    struct pack_removed done;
    struct pack_remove_how how = {.wait = pause_for};
    struct err e = {0};
    struct repo repo;
    unsigned seconds;

    settings_init(&settings);
    sets[0] = settings_options(&settings);
    if (opt_parse(&program, sets, 1, argc, argv, &args, &e) != 0 ||
        settings_load(&settings, environ, SETTINGS_PROGRAM, &e) != 0 || secret_start(&e) != 0 ||
        repo_open(&repo, &settings, REPO_WRITE, &e) != 0) {
        fprintf(stderr, "packremove: %s\n", e.msg);
        return 2;
    }
    seconds = (unsigned)strtoul(args.v[0], NULL, 10);
    how.arg = &seconds;
    if (pack_remove_run(&done, &repo, &how, &scratch, &e) != 0) {
        fprintf(stderr, "packremove: %s\n", e.msg);
        return 1;
    }
    printf("condemned %u removed %u busy %u\n", done.condemned, done.removed, done.busy);
    repo_close(&repo);
    settings_fini(&settings);
    return 0;
}

#include "repo/verify_drills.h"

#include <stdio.h>
#include <string.h>

#include "os/signal.h"
#include "repo/dump.h"
#include "repo/verify_packs.h"

static enum problem_kind kind_of(const struct err *why)
{
    if (why->code == ERR_KEY)
        return PROBLEM_KEY;
    return why->code == ERR_REFUSED ? PROBLEM_REFUSED : PROBLEM_DAMAGED;
}

static int tell(struct problems *p, const char *label, struct err *why, struct err *e)
{
    char name[PROBLEM_PATH_MAX];
    char then[] = "what this drill found cannot be read; no backup and no dump is affected";
    struct problem one = {
        .kind = kind_of(why), .name = name, .what = why->msg, .consequence = then};

    (void)snprintf(name, sizeof name, "drill/%.64s", label);
    return problems_tell(p, &one, e);
}

int verify_drills(const struct drill_list *list, struct repo *repo, const struct verify_part *part,
                  struct problems *problems, uint64_t *looked_at, struct object_reader *scratch,
                  struct err *e)
{
    for (size_t i = 0; i < list->all.n; i++) {
        const char *label = list->all.v[i].label;
        struct err why = {0};
        struct drill d;
        uint32_t number;
        int rc;

        if (!dump_label_counter(label, &number) || !verify_part_number(part, number))
            continue;
        if (os_signal_check(e) != 0)
            return -1;
        drill_init(&d);
        rc = drill_read(&d, repo, label, scratch, &why);
        drill_fini(&d);
        *looked_at += rc <= 0 ? 1 : 0; /* else it was pruned since it was listed */
        if (rc >= 0)
            continue;
        if (!verify_goes_on(&why)) {
            *e = why;
            return -1;
        }
        if (tell(problems, label, &why, e) != 0)
            return -1;
    }
    problems_sort(problems);
    return 0;
}

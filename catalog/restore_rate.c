/* How long it will take, by how long it took. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "repo/drill.h"
#include "restore.h"

/* Where nothing was measured yet: what a small machine does. */
enum { COPY_RATE = 80 * 1024 * 1024, REPLAY_RATE = 40 * 1024 * 1024, RATE_MAX = 64 };

static bool rate_path(const struct restore *r, char out[PLACE_MAX])
{
    struct err quiet = {0};

    return r->s->state_dir != NULL && place_join(out, r->s->state_dir, "restore-rate", &quiet) == 0;
}

/* What the last restore on this host did. */
static void load_last(struct restore *r)
{
    char path[PLACE_MAX];
    char *text = NULL;
    size_t len = 0;
    struct err quiet = {0};

    if (rate_path(r, path) && os_read_small(path, RATE_MAX, &text, &len, &quiet) == 0) {
        text[strcspn(text, "\n")] = '\0';
        (void)!parse_u64(text, 1, UINT64_MAX / 2, &r->rate, &quiet); /* else it stays unknown */
    }
    free(text);
}

void restore_rate_load(struct restore *r)
{
    struct drill_list drills;
    const struct drill *last = NULL;
    struct err quiet = {0};

    if (drill_list_read(&drills, &r->repo, &r->scratch, &quiet) == 0)
        last = drill_rates(&drills, r->repo.where.system_id, &r->rate, &r->replay_rate);
    if (last != NULL)
        r->rate_time = last->start;
    drill_list_fini(&drills);
    if (r->rate == 0)
        load_last(r);
}

/* A hint for the next estimate: whether it can be kept does not matter. */
void restore_rate_keep(const struct restore *r, uint64_t bytes, int64_t us)
{
    const struct place_owner self = {0};
    char path[PLACE_MAX];
    char text[RATE_MAX];
    struct err quiet = {0};

    if (us < 1000 * 1000 || r->state == RESTORE_COPY || !rate_path(r, path))
        return;
    (void)snprintf(text, sizeof text, "%llu\n",
                   (unsigned long long)(bytes / ((uint64_t)us / 1000) * 1000));
    (void)!place_put(path, text, strlen(text), 0644, true, &self, &quiet);
}

uint64_t restore_seconds(const struct restore *r)
{
    uint64_t rate = r->rate != 0 ? r->rate : (uint64_t)COPY_RATE;
    uint64_t replay = r->replay_rate != 0 ? r->replay_rate : (uint64_t)REPLAY_RATE;
    uint64_t wal = r->plan.segments * r->inventory.in.segsize;

    return restore_backup(r)->bytes / rate + wal / replay + 1;
}

void restore_rate_text(const struct restore *r, char out[RESTORE_RATE_TEXT])
{
    char time[TEXT_TIME_MAX];

    text_time(time, r->rate_time, 0);
    if (r->rate_time != 0)
        (void)snprintf(out, RESTORE_RATE_TEXT, "as fast as the drill of %.10s", time);
    else
        (void)snprintf(out, RESTORE_RATE_TEXT, "%s",
                       r->rate != 0 ? "copying as fast as the last time"
                                    : "nothing was measured yet");
}

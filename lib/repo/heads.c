#include "repo/heads.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "os/file.h"

static const struct manifest_seen *find(const struct manifest_heads *h,
                                        const uint8_t writer[MANIFEST_WRITER])
{
    for (size_t i = 0; i < h->n; i++)
        if (memcmp(h->v[i].writer, writer, MANIFEST_WRITER) == 0)
            return &h->v[i];
    return NULL;
}

static bool is_there(const char *dir)
{
    struct err quiet = {0};
    struct stat st;

    return dir != NULL && os_stat(dir, &st, &quiet) == 0 && S_ISDIR(st.st_mode);
}

int heads_look(struct heads *h, struct repo *repo, const char *state_dir,
               struct object_reader *scratch, struct err *e)
{
    const struct manifest_seen *missing;

    memset(h, 0, sizeof *h);
    h->state = HEADS_FORGETS;
    manifest_heads_init(&h->known, MANIFEST_HEADS_MAX);
    if (manifest_heads_scan(&h->found, repo, scratch, e) != 0)
        return -1;
    if (!is_there(state_dir))
        return 0;
    if (manifest_heads_load(&h->known, state_dir, e) != 0)
        return -1;
    manifest_heads_here(&h->known, repo);
    missing = manifest_heads_missing(&h->known, &h->found);
    h->state = h->known.n == 0 ? HEADS_NEW : HEADS_GOOD;
    if (missing != NULL) {
        const struct manifest_seen *now = find(&h->found, missing->writer);

        h->state = HEADS_OLDER;
        h->missing = *missing;
        h->now = now == NULL ? 0 : now->sequence;
    }
    return 0;
}

void heads_fini(struct heads *h)
{
    manifest_heads_fini(&h->known);
    manifest_heads_fini(&h->found);
}

int heads_keep(struct heads *h, struct repo *repo, const char *state_dir, struct err *e)
{
    for (size_t i = 0; i < h->found.n; i++) {
        struct manifest_seen *seen = &h->found.v[i];
        const struct manifest_seen *known = find(&h->known, seen->writer);
        struct store_name name = {.kind = seen->kind, .name = seen->label, .job = seen->job};

        if ((known != NULL && known->sequence >= seen->sequence) || seen->label[0] == '\0')
            continue;
        manifest_seen_here(seen, repo);
        if (manifest_chain_digest(repo, &name, seen->digest, e) != 0 ||
            manifest_heads_keep(state_dir, seen, e) != 0)
            return -1;
    }
    return 0;
}

void heads_text(const struct heads *h, char out[HEADS_TEXT_MAX])
{
    char writer[2 * MANIFEST_WRITER + 1];

    text_hex(writer, h->missing.writer, MANIFEST_WRITER);
    if (h->now == 0)
        (void)snprintf(
            out, HEADS_TEXT_MAX,
            "this host has seen record %llu of writer %.8s, but the repository shows none "
            "of that writer",
            (unsigned long long)h->missing.sequence, writer);
    else
        (void)snprintf(out, HEADS_TEXT_MAX,
                       "this host has seen record %llu of writer %.8s, but the newest one that the "
                       "repository shows is %llu",
                       (unsigned long long)h->missing.sequence, writer, (unsigned long long)h->now);
}

int heads_tell(const struct heads *h, struct problems *p, struct err *e)
{
    char what[HEADS_TEXT_MAX];
    char name[] = "backup";
    char then[] =
        "an older state of the repository was put back, or its newest records were removed: "
        "what came since may be missing, and a restore is refused";
    struct problem one = {.kind = PROBLEM_HEAD, .name = name, .what = what, .consequence = then};

    if (h->state != HEADS_OLDER)
        return 0;
    heads_text(h, what);
    if (problems_tell(p, &one, e) != 0)
        return -1;
    problems_sort(p);
    return 0;
}

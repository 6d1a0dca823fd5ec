#include "repo/pack_remove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pg/tlv.h"
#include "repo/pages_note.h"

enum { TAG_CONDEMNED = 93, LIST_NAME_MAX = 40, LIST_MAX = 100 * 1024, LIST_ENOUGH = 90 * 1024 };

static const char list_prefix[] = "condemned-";

struct word {
    char text[LIST_NAME_MAX];
};

VEC_DECLARE(words, struct word);

struct lists {
    struct repo *repo;
    struct object_reader *scratch;
    struct words lists; /* names of the lists that were read, sorted */
    struct words names; /* what they condemn, sorted */
    bool vanished;      /* one that was listed was gone when it was to be read */
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

static int add_word(struct words *w, const char *text, size_t len, struct err *e)
{
    struct word *word;

    if (len >= LIST_NAME_MAX || memchr(text, '\0', len) != NULL)
        return err_set(e, ERR_DAMAGED, "condemned list is damaged: impossible name");
    word = words_add(w, e);
    if (word == NULL)
        return -1;
    memcpy(word->text, text, len);
    return 0;
}

/* The names in a list's public part. */
static int take_names(struct words *names, const uint8_t *part, size_t len, struct err *e)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    uint8_t tag;
    int rc;

    while ((rc = tlv_next(&c, &tag, &item)) == 0) {
        if (tag != TAG_CONDEMNED)
            continue;
        while (item.left > 0) {
            const uint8_t *text;
            uint64_t n;

            if (!cur_varint(&item, &n) || n >= LIST_NAME_MAX || !cur_bytes(&item, (size_t)n, &text))
                return err_set(e, ERR_DAMAGED, "condemned list is damaged");
            if (add_word(names, (const char *)text, (size_t)n, e) != 0)
                return -1;
        }
    }
    return rc < 0 ? err_set(e, ERR_DAMAGED, "condemned list is damaged") : 0;
}

static int read_list(void *arg, const char *name, struct err *e)
{
    struct lists *l = arg;
    struct repo *repo = l->repo;
    struct store_name where = {.kind = KIND_CONDEMNED, .name = name};
    struct object_want want = {
        .kind = KIND_CONDEMNED, .name = name, .system_id = repo->where.system_id};
    struct store_object o = {.fd = -1};
    int rc;

    if (strncmp(name, list_prefix, strlen(list_prefix)) != 0 || strlen(name) >= LIST_NAME_MAX)
        return 0;
    rc = store_get(&repo->store, &repo->where, &where, &o, e);
    l->vanished = l->vanished || rc > 0;
    if (rc != 0)
        return rc > 0 ? 0 : -1;
    rc = object_open(l->scratch, &o.source, &repo->trust, &want, e);
    if (rc == 0) {
        rc = add_word(&l->lists, name, strlen(name), e);
        if (rc == 0)
            rc =
                take_names(&l->names, l->scratch->tail.public_part, l->scratch->tail.public_len, e);
        object_close(l->scratch);
    }
    store_release(&o);
    return rc;
}

static void free_lists(struct lists *l)
{
    words_fini(&l->lists);
    words_fini(&l->names);
}

static void sort(struct words *w)
{
    if (w->n > 1)
        qsort(w->v, w->n, sizeof *w->v, by_text);
}

static int read_once(struct lists *l, struct repo *repo, struct object_reader *scratch,
                     struct err *e)
{
    *l = (struct lists){.repo = repo, .scratch = scratch};
    words_init(&l->lists, PACK_HOLDERS_MAX);
    words_init(&l->names, PACK_HOLDERS_MAX);
    if (store_each_object(&repo->store, &repo->where, KIND_CONDEMNED, read_list, l, e) != 0)
        return -1;
    sort(&l->lists);
    sort(&l->names);
    return 0;
}

static bool same_lists(const struct lists *a, const struct lists *b)
{
    for (size_t i = 0; i < a->lists.n && i < b->lists.n; i++)
        if (by_text(&a->lists.v[i], &b->lists.v[i]) != 0)
            return false;
    return a->lists.n == b->lists.n;
}

/*
 * A run that puts a new list in place of an old one may do so while we look: the old one is gone
 * when its turn comes, and the new one came behind the place where the listing was.  So we look
 * until twice the same is there.
 */
static int read_lists(struct lists *l, struct repo *repo, struct object_reader *scratch,
                      struct err *e)
{
    enum { LOOKS_MAX = 1000 };
    struct lists before;
    int rc = read_once(l, repo, scratch, e);

    for (unsigned looks = 0; rc == 0 && looks < LOOKS_MAX; looks++) {
        bool same;

        before = *l;
        rc = read_once(l, repo, scratch, e);
        same = rc == 0 && !l->vanished && same_lists(l, &before);
        free_lists(&before);
        if (same)
            return 0;
    }
    return rc != 0 ? -1 : err_set(e, ERR_IO, "the condemned lists change all the time");
}

int pack_remove_exclude(struct pack_set *set, struct object_reader *scratch, struct err *e)
{
    struct lists l;
    int rc = read_lists(&l, set->repo, scratch, e);

    for (size_t i = 0; rc == 0 && i < l.names.n; i++)
        pack_set_exclude(set, l.names.v[i].text);
    free_lists(&l);
    return rc;
}

struct run {
    struct repo *repo;
    const struct pack_remove_how *how;
    struct pack_removed *done;
    struct lists earlier;
    struct words condemned;
};

static int remove_file(struct run *run, const char *name, uint64_t bytes, struct err *e)
{
    struct store_name where = {.kind = KIND_PACK, .name = name};
    int rc = 0;

    if (run->how->before != NULL && run->how->before(run->how->arg, name, e) != 0)
        return -1;
    /* A power cut may bring it back; the next run condemns it again. */
    rc = store_remove(&run->repo->writer, &run->repo->where, &where, e);
    if (rc < 0)
        return -1;
    run->done->removed++;
    run->done->bytes += bytes;
    return 0;
}

/* Removes what may go, and notes what the next run may remove. */
static int sort_out(struct run *run, const struct pack_use *use, const struct pack_set *set,
                    struct object_reader *scratch, struct err *e)
{
    for (uint32_t i = 0; i < set->holders.n; i++) {
        const struct pack_holder *h = &set->holders.v[i];
        struct pack_worth worth;
        struct word word = {""};
        bool earlier;

        if (pack_use_judge(use, set, i, &worth, scratch, e) != 0)
            return -1;
        if (worth.unknown || worth.needed > 0)
            continue;
        pack_name(word.text, h->id, h->compacted);
        earlier =
            run->earlier.names.n > 0 && bsearch(&word, run->earlier.names.v, run->earlier.names.n,
                                                sizeof word, by_text) != NULL;
        if (earlier && run->done->busy == 0) {
            if (remove_file(run, word.text, worth.size, e) != 0)
                return -1;
        } else if (words_push(&run->condemned, word, e) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Publishes one list with what fits, from *at on. */
static int publish_list(struct run *run, size_t *at, struct err *e)
{
    char name[LIST_NAME_MAX];
    char hex[17];
    uint8_t random[8];
    struct buf part;
    struct buf item;
    int rc = -1;

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(name, sizeof name, "%s%s", list_prefix, hex);
    buf_init(&part, LIST_MAX);
    buf_init(&item, LIST_MAX);
    for (; *at < run->condemned.n && item.len < LIST_ENOUGH; (*at)++) {
        const char *text = run->condemned.v[*at].text;

        if (buf_varint(&item, strlen(text), e) != 0 || buf_str(&item, text, e) != 0)
            goto out;
        run->done->condemned++;
    }
    /* A crash between two lists leaves the earlier runs' lists, too: more is condemned, not less.
     */
    if (pack_item(&part, TAG_CONDEMNED, &item, e) == 0)
        rc = pages_note_put(run->repo, KIND_CONDEMNED, name, &part, e);
out:
    buf_fini(&part);
    buf_fini(&item);
    return rc;
}

static int publish_lists(struct run *run, struct err *e)
{
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && at < run->condemned.n)
        rc = publish_list(run, &at, e);
    return rc;
}

/* The lists of earlier runs, after the new one is there: nobody may miss what still stands. */
static int drop_lists(struct run *run, struct err *e)
{
    for (size_t i = 0; i < run->earlier.lists.n; i++) {
        struct store_name where = {.kind = KIND_CONDEMNED, .name = run->earlier.lists.v[i].text};

        if (store_remove(&run->repo->writer, &run->repo->where, &where, e) < 0)
            return -1;
    }
    return 0;
}

int pack_remove_run(struct pack_removed *done, struct repo *repo, const struct pack_remove_how *how,
                    struct object_reader *scratch, struct err *e)
{
    struct run run = {.repo = repo, .how = how, .done = done};
    struct pack_use use = {.manifests = 0};
    struct pack_set set = {.repo = NULL};
    int rc = -1;

    memset(done, 0, sizeof *done);
    words_init(&run.condemned, PACK_HOLDERS_MAX);
    /* In this order: whoever is not at work now has published its manifest, or begins after the
     * earlier lists were there to be read. */
    if (read_lists(&run.earlier, repo, scratch, e) != 0 ||
        pages_lease_look(repo, how->wait, how->arg, &done->busy, e) != 0 ||
        pack_use_load(&use, repo, scratch, e) != 0)
        goto out;
    if (pack_set_load(&set, repo, scratch, e) != 0)
        goto out;
    if (sort_out(&run, &use, &set, scratch, e) == 0 && publish_lists(&run, e) == 0)
        rc = drop_lists(&run, e);
out:
    if (set.repo != NULL)
        pack_set_fini(&set);
    pack_use_fini(&use);
    words_fini(&run.condemned);
    free_lists(&run.earlier);
    return rc;
}

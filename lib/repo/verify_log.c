#include "repo/verify_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/time.h"

enum { FILE_MAX = OS_SMALL_MAX, GATHER = 4096, GATHER_US = 1000 * 1000 };

static int by_name(const void *a, const void *b)
{
    const struct verify_log_item *x = a;
    const struct verify_log_item *y = b;

    return strcmp(x->name, y->name);
}

/* What must be equal for a run to go on with another. */
static void subject(char *out, size_t cap, const struct repo *repo, const struct verify_part *part,
                    bool content)
{
    char id[33];

    text_hex(id, repo->marker.id, sizeof repo->marker.id);
    (void)snprintf(out, cap, "walden-verify 1 %s %s %llu %s %u/%u", id, repo->where.cluster,
                   (unsigned long long)repo->where.system_id, content ? "content" : "stored",
                   (unsigned)part->part, (unsigned)part->parts);
}

/* "<letter><name> <bytes>" */
static int take_line(struct verify_log *l, char *line, struct err *e)
{
    char *number = strchr(line, ' ');
    struct verify_log_item *item;
    struct err quiet = {0};
    uint64_t bytes;

    if (number == NULL || (size_t)(number - line) >= sizeof item->name)
        return 0;
    *number++ = '\0';
    if (parse_u64(number, 0, UINT64_MAX, &bytes, &quiet) != 0)
        return 0;
    item = verify_log_items_add(&l->done, e);
    if (item == NULL)
        return -1;
    (void)snprintf(item->name, sizeof item->name, "%s", line);
    item->bytes = bytes;
    return 0;
}

/* Takes an earlier run's lines, when it was about the same and is not too old.  A line that was cut
 * by a crash has no end, and is left out. */
static int take_text(struct verify_log *l, char *text, const char *about, struct err *e)
{
    char *end = strchr(text, '\n');
    size_t len = strlen(about);
    int64_t now = os_real_us();
    struct err quiet = {0};
    uint64_t start;

    if (end == NULL || strncmp(text, about, len) != 0 || text[len] != ' ')
        return 0;
    *end = '\0';
    if (parse_u64(text + len + 1, 0, INT64_MAX, &start, &quiet) != 0 || (int64_t)start > now ||
        now - (int64_t)start > VERIFY_LOG_AGE_S * INT64_C(1000000))
        return 0;
    for (char *line = end + 1; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (take_line(l, line, e) != 0)
            return -1;
    }
    if (l->done.n > 1)
        qsort(l->done.v, l->done.n, sizeof *l->done.v, by_name);
    l->resumed = l->done.n > 0;
    l->start = (int64_t)start;
    return 0;
}

/* Reads what is there; what cannot be read is begun anew. */
static int resume(struct verify_log *l, const char *about, struct err *e)
{
    struct err quiet = {0};
    char *text = NULL;
    size_t len;
    int rc = 0;

    if (os_read_small_fd(l->fd, FILE_MAX, &text, &len, l->file, &quiet) == 0)
        rc = take_text(l, text, about, e);
    free(text);
    return rc;
}

/* The file as it is to go on: whole lines only. */
static int begin(struct verify_log *l, const char *about, struct err *e)
{
    l->line.len = 0;
    if (os_truncate(l->fd, 0, l->file, e) != 0 ||
        buf_fmt(&l->line, e, "%s %lld\n", about, (long long)l->start) != 0)
        return -1;
    for (size_t i = 0; i < l->done.n; i++)
        if (buf_fmt(&l->line, e, "%s %llu\n", l->done.v[i].name,
                    (unsigned long long)l->done.v[i].bytes) != 0)
            return -1;
    if (os_write_full(l->fd, l->line.p, l->line.len, l->file, e) != 0)
        return -1;
    l->line.len = 0;
    return 0;
}

int verify_log_open(struct verify_log *l, const struct repo *repo, const char *state_dir,
                    const struct verify_part *part, bool content, bool fresh, struct err *e)
{
    char about[256];
    struct err quiet = {0};
    int rc = 0;

    memset(l, 0, sizeof *l);
    l->root = (struct os_root)OS_ROOT_INIT;
    l->fd = -1;
    l->start = os_real_us();
    buf_init(&l->line, FILE_MAX);
    verify_log_items_init(&l->done, VERIFY_LOG_MAX);
    if (pthread_mutex_init(&l->lock, NULL) != 0)
        return err_set(e, ERR_NOMEM, "no memory for a lock");
    if (state_dir == NULL || os_root_open(&l->root, state_dir, &quiet) != 0 ||
        os_root_give(&l->root, &quiet) != 0)
        return 0;
    (void)snprintf(l->file, sizeof l->file, "verify-%.60s-%llu", repo->where.cluster,
                   (unsigned long long)repo->where.system_id);
    /* Appending: whoever of two got the lock writes, and what a crash leaves is a line cut short.
     */
    if (os_root_at(&l->root, l->file, O_RDWR | O_CREAT | O_APPEND, 0600, &l->fd, &quiet) != 0 ||
        os_lock(l->fd, OS_LOCK_EXCLUSIVE, false, l->file, &quiet) == OS_BUSY) {
        os_drop(&l->fd);
        return 0;
    }
    subject(about, sizeof about, repo, part, content);
    if (!fresh)
        rc = resume(l, about, e);
    l->open = rc == 0 && begin(l, about, &quiet) == 0;
    return rc;
}

bool verify_log_has(const struct verify_log *l, char kind, const char *name, uint64_t *bytes)
{
    struct verify_log_item want;
    const struct verify_log_item *item = NULL;

    (void)snprintf(want.name, sizeof want.name, "%c%s", kind, name);
    if (l != NULL && l->done.n > 0)
        item = bsearch(&want, l->done.v, l->done.n, sizeof want, by_name);
    if (item != NULL && bytes != NULL)
        *bytes = item->bytes;
    return item != NULL;
}

/* Called with the lock held.  A log that cannot be written is given up. */
static void put(struct verify_log *l)
{
    struct err quiet = {0};

    if (l->line.len > 0 && os_write_full(l->fd, l->line.p, l->line.len, l->file, &quiet) != 0)
        l->open = false;
    l->line.len = 0;
    l->written = os_mono_us();
}

void verify_log_add(struct verify_log *l, char kind, const char *name, uint64_t bytes)
{
    struct err quiet = {0};

    if (l == NULL || !l->open)
        return;
    (void)pthread_mutex_lock(&l->lock);
    if (buf_fmt(&l->line, &quiet, "%c%s %llu\n", kind, name, (unsigned long long)bytes) == 0 &&
        (l->line.len >= GATHER || os_mono_us() - l->written >= GATHER_US))
        put(l);
    (void)pthread_mutex_unlock(&l->lock);
}

void verify_log_done(struct verify_log *l)
{
    struct err quiet = {0};

    if (l->open) /* what a power cut brings back is too old, or harmless */
        (void)os_root_unlink(&l->root, l->file, 0, &quiet);
    l->open = false;
}

void verify_log_close(struct verify_log *l)
{
    if (l->root.path == NULL && l->line.max == 0)
        return;
    if (l->open)
        put(l);
    os_drop(&l->fd);
    os_root_close(&l->root);
    buf_fini(&l->line);
    verify_log_items_fini(&l->done);
    (void)pthread_mutex_destroy(&l->lock);
    memset(l, 0, sizeof *l);
}

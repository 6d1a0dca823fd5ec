#include "repo/manifest_chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "repo/dump_list.h"
#include "repo/expired.h"
#include "repo/manifest_read.h"

enum { HEADS_FILE_MAX = 1024 * 1024 };

static const char file_name[] = "heads";

void manifest_chain_id(uint8_t out[MANIFEST_WRITER], const struct repo *repo, const char *what,
                       const char *host)
{
    uint8_t digest[DIGEST_STRONG];
    char text[512];
    size_t len;

    (void)snprintf(text, sizeof text, "walden %.20s %.100s/%llu ", what, repo->where.cluster,
                   (unsigned long long)repo->where.system_id);
    len = strlen(text);
    if (repo->copy.there) { /* else the copy and the repository would give out the same numbers */
        text[len - 1] = '@';
        text_hex(text + len, repo->copy.id, COPY_ID);
        len += 2 * COPY_ID;
        text[len++] = ' ';
    }
    if (repo->has_host) {
        memcpy(text + len, repo->host.id, KEY_ID);
        len += KEY_ID;
    } else {
        (void)snprintf(text + len, sizeof text - len, "%s", host);
        len = strlen(text);
    }
    digest_strong(digest, (const uint8_t *)text, len);
    memcpy(out, digest, MANIFEST_WRITER);
}

void manifest_writer_id(uint8_t out[MANIFEST_WRITER], const struct repo *repo, const char *host)
{
    manifest_chain_id(out, repo, "writer", host);
}

/* A writer has a head in the repository and one in each copy.  where "": not known. */
static struct manifest_seen *find(const struct manifest_heads *h,
                                  const uint8_t writer[MANIFEST_WRITER], const char *where)
{
    for (size_t i = 0; i < h->n; i++)
        if (memcmp(h->v[i].writer, writer, MANIFEST_WRITER) == 0 &&
            (where[0] == '\0' || h->v[i].where[0] == '\0' || strcmp(h->v[i].where, where) == 0))
            return &h->v[i];
    return NULL;
}

/* Keeps the newer of two heads of one writer. */
static int take(struct manifest_heads *h, const struct manifest_seen *seen, struct err *e)
{
    struct manifest_seen *old = find(h, seen->writer, seen->where);

    if (old == NULL)
        return manifest_heads_push(h, *seen, e);
    if (seen->sequence > old->sequence)
        *old = *seen;
    return 0;
}

/* `<writer> <sequence> <digest> <lineage>`; old lines lack the last word. */
static int take_line(struct manifest_heads *h, char *line, struct err *e)
{
    struct manifest_seen seen = {.sequence = 0};
    char *number = strchr(line, ' ');
    char *digest = number == NULL ? NULL : strchr(number + 1, ' ');
    char *where;

    if (digest == NULL)
        return err_set(e, ERR_DAMAGED, "a line of it is incomplete");
    *number++ = '\0';
    *digest++ = '\0';
    where = strchr(digest, ' ');
    if (where != NULL) {
        *where++ = '\0';
        (void)snprintf(seen.where, sizeof seen.where, "%s", where);
    }
    if (parse_bytes(line, seen.writer, sizeof seen.writer, e) != 0 ||
        parse_u64(number, 1, UINT64_MAX - 1, &seen.sequence, e) != 0 ||
        parse_bytes(digest, seen.digest, sizeof seen.digest, e) != 0)
        return -1;
    return take(h, &seen, e);
}

static int load_at(struct manifest_heads *h, struct os_root *root, struct err *e)
{
    char *text = NULL;
    char *next;
    uint64_t size;
    size_t len = 0;
    int fd = -1;
    /* A pipe in its place must not hold us up, nor pass for a host that has seen nothing. */
    int rc = os_root_at(root, file_name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, e);

    if (rc == 0)
        rc = os_size(fd, &size, file_name, e);
    if (rc == 0)
        rc = os_read_small_fd(fd, HEADS_FILE_MAX, &text, &len, file_name, e);
    os_drop(&fd);
    for (char *line = text; rc == 0 && line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        rc = take_line(h, line, e);
    }
    free(text);
    if (rc < 0)
        (void)err_context(e, "file \"%s/%s\"", root->path, file_name);
    return rc < 0 ? -1 : 0;
}

int manifest_heads_load(struct manifest_heads *h, const char *state_dir, struct err *e)
{
    struct os_root root = OS_ROOT_INIT;
    int rc;

    manifest_heads_init(h, MANIFEST_HEADS_MAX);
    rc = os_root_open(&root, state_dir, e);
    if (rc == 0)
        rc = load_at(h, &root, e);
    os_root_close(&root);
    return rc < 0 ? -1 : 0;
}

/* What root writes must not be in the way of the directory's owner. */
static int give_away(const struct os_root *root, const struct publish *p, struct err *e)
{
    struct stat st;

    if (os_uid() != 0)
        return 0;
    if (os_stat_fd(root->fd, &st, root->path, e) != 0)
        return -1;
    return os_chown(publish_fd(p), st.st_uid, st.st_gid, file_name, e);
}

static int save(const struct manifest_heads *h, struct os_root *root, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE | PUBLISH_NO_FLUSH, .mode = 0600};
    struct publish p = PUBLISH_INIT;
    char writer[2 * MANIFEST_WRITER + 1];
    char digest[2 * MANIFEST_DIGEST + 1];
    struct buf b;
    int rc = -1;

    buf_init(&b, HEADS_FILE_MAX);
    for (size_t i = 0; i < h->n; i++) {
        text_hex(writer, h->v[i].writer, MANIFEST_WRITER);
        text_hex(digest, h->v[i].digest, MANIFEST_DIGEST);
        if (buf_fmt(&b, e, "%s %llu %s%s%s\n", writer, (unsigned long long)h->v[i].sequence, digest,
                    h->v[i].where[0] == '\0' ? "" : " ", h->v[i].where) != 0)
            goto out;
    }
    if (publish_begin(&p, root, ".", file_name, &how, e) == 0 &&
        publish_write(&p, b.p, b.len, e) == 0 && give_away(root, &p, e) == 0)
        rc = publish_commit(&p, e);
out:
    publish_abort(&p);
    buf_fini(&b);
    return rc;
}

void manifest_seen_here(struct manifest_seen *seen, const struct repo *repo)
{
    char id[2 * COPY_ID + 1];

    text_hex(id, repo->copy.id, COPY_ID);
    (void)snprintf(seen->where, sizeof seen->where, "%.64s/%llu%s%.8s", repo->where.cluster,
                   (unsigned long long)repo->where.system_id, repo->copy.there ? "@" : "",
                   repo->copy.there ? id : "");
}

void manifest_heads_here(struct manifest_heads *h, const struct repo *repo)
{
    struct manifest_seen here;
    size_t kept = 0;

    manifest_seen_here(&here, repo);
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->v[i].where, here.where) == 0 ||
            (h->v[i].where[0] == '\0' && !repo->copy.there))
            h->v[kept++] = h->v[i];
    h->n = kept;
}

int manifest_heads_keep(const char *state_dir, const struct manifest_seen *seen, struct err *e)
{
    struct manifest_heads h;
    struct os_root root = OS_ROOT_INIT;
    int rc;

    manifest_heads_init(&h, MANIFEST_HEADS_MAX);
    rc = os_root_open(&root, state_dir, e);
    if (rc > 0)
        rc = err_set(e, ERR_IO, "directory \"%s\" does not exist", state_dir);
    if (rc == 0)
        rc = os_root_give(&root, e);
    if (rc == 0 && load_at(&h, &root, e) == 0 && take(&h, seen, e) == 0)
        rc = save(&h, &root, e);
    else
        rc = -1;
    os_root_close(&root);
    manifest_heads_fini(&h);
    return rc;
}

static int scan_manifest(void *arg, const char *label, const struct manifest_public *p,
                         const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    struct manifest_seen seen = {.kind = KIND_MANIFEST};

    (void)part, (void)len, (void)why;
    if (p == NULL || strlen(label) >= sizeof seen.label)
        return 0; /* it counts as missing */
    memcpy(seen.writer, p->head.writer, MANIFEST_WRITER);
    seen.sequence = p->head.sequence;
    memcpy(seen.label, label, strlen(label));
    return take(arg, &seen, e);
}

/* What expire records say of themselves, and of the last records that went with them.  One that
 * cannot be read counts as missing. */
static int take_expired(struct manifest_heads *h, const struct expired *x, struct err *e)
{
    for (size_t i = 0; i < x->heads.n; i++) {
        const struct expired_head *one = &x->heads.v[i];
        struct manifest_seen seen = {.kind = KIND_EXPIRE, .sequence = one->head.sequence};

        if (strlen(one->label) >= sizeof seen.label)
            continue;
        memcpy(seen.writer, one->head.writer, sizeof seen.writer);
        memcpy(seen.label, one->label, strlen(one->label) + 1);
        if (take(h, &seen, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < x->lasts.n; i++) {
        struct manifest_seen gone = {.kind = KIND_MANIFEST, .sequence = x->lasts.v[i].sequence};

        memcpy(gone.writer, x->lasts.v[i].writer, sizeof gone.writer);
        memcpy(gone.digest, x->lasts.v[i].digest, sizeof gone.digest);
        if (take(h, &gone, e) != 0)
            return -1;
    }
    return 0;
}

static int scan_dumps(struct manifest_heads *h, struct repo *repo, struct object_reader *scratch,
                      struct err *e)
{
    struct dump_list dumps;
    int rc = dump_list_read(&dumps, repo, NULL, scratch, e);

    for (size_t i = 0; rc == 0 && i < dumps.n; i++) {
        const struct dump_item *d = &dumps.v[i];
        struct manifest_seen seen = {.kind = KIND_DUMP, .sequence = d->public.head.sequence};

        if (!d->readable)
            continue; /* it counts as missing */
        memcpy(seen.writer, d->public.head.writer, sizeof seen.writer);
        (void)snprintf(seen.label, sizeof seen.label, "%s", d->label);
        (void)snprintf(seen.job, sizeof seen.job, "%s", d->job);
        rc = take(h, &seen, e);
    }
    dump_list_fini(&dumps);
    return rc;
}

int manifest_heads_scan(struct manifest_heads *h, struct repo *repo, struct object_reader *scratch,
                        struct err *e)
{
    struct expired x;
    int rc;

    manifest_heads_init(h, MANIFEST_HEADS_MAX);
    if (manifest_each(repo, scan_manifest, h, scratch, e) != 0 ||
        scan_dumps(h, repo, scratch, e) != 0)
        return -1;
    expired_init(&x);
    rc = expired_read(&x, repo, NULL, scratch, e);
    if (rc == 0)
        rc = take_expired(h, &x, e);
    expired_fini(&x);
    return rc;
}

const struct manifest_seen *manifest_heads_missing(const struct manifest_heads *known,
                                                   const struct manifest_heads *found)
{
    for (size_t i = 0; i < known->n; i++) {
        const struct manifest_seen *seen = find(found, known->v[i].writer, "");

        /* A line without a lineage may be another one's. */
        if (seen == NULL ? known->v[i].where[0] != '\0' : seen->sequence < known->v[i].sequence)
            return &known->v[i];
    }
    return NULL;
}

int manifest_chain_digest(struct repo *repo, const struct store_name *name,
                          uint8_t out[MANIFEST_DIGEST], struct err *e)
{
    struct store_object o = {.fd = -1};
    struct digest d;
    uint8_t bytes[8192];
    int rc = store_get(&repo->store, &repo->where, name, &o, e);

    if (rc > 0)
        rc = err_set(e, ERR_HOLE, "\"%s\" vanished while it was looked at", o.shown);
    digest_init_strong(&d, PHASE_LOADED);
    for (uint64_t at = 0; rc == 0 && at < o.source.size; at += sizeof bytes) {
        uint64_t left = o.source.size - at;
        size_t take_now = left < sizeof bytes ? (size_t)left : sizeof bytes;

        rc = o.source.read(o.source.arg, at, bytes, take_now, e);
        if (rc == 0)
            rc = sink_write(&d.sink, bytes, take_now, e);
    }
    store_release(&o);
    digest_get_strong(&d, out);
    return rc;
}

int manifest_chain_published(const struct manifest_head *head, struct repo *repo,
                             const struct store_name *name, const char *state_dir, struct err *e)
{
    struct manifest_seen seen = {.kind = name->kind, .sequence = head->sequence};

    if (state_dir == NULL)
        return 0;
    memcpy(seen.writer, head->writer, sizeof seen.writer);
    manifest_seen_here(&seen, repo);
    if (manifest_chain_digest(repo, name, seen.digest, e) != 0)
        return -1;
    return manifest_heads_keep(state_dir, &seen, e);
}

int manifest_chain_next(struct manifest_head *head, struct repo *repo, const char *host,
                        const char *state_dir, struct object_reader *scratch, struct err *e)
{
    struct manifest_heads known;
    struct manifest_heads found;
    const struct manifest_seen *k = NULL;
    const struct manifest_seen *f;
    struct store_name name = {.name = NULL};
    int rc = -1;

    memset(head, 0, sizeof *head);
    manifest_writer_id(head->writer, repo, host);
    manifest_heads_init(&known, MANIFEST_HEADS_MAX);
    if (manifest_heads_scan(&found, repo, scratch, e) != 0 ||
        (state_dir != NULL && manifest_heads_load(&known, state_dir, e) != 0))
        goto out;
    manifest_heads_here(&known, repo);
    k = find(&known, head->writer, "");
    f = find(&found, head->writer, "");
    rc = 0;
    if (k != NULL && (f == NULL || k->sequence >= f->sequence)) {
        head->sequence = k->sequence;
        memcpy(head->previous, k->digest, sizeof head->previous);
    } else if (f != NULL) {
        head->sequence = f->sequence;
        name.kind = f->kind;
        name.name = f->label;
        name.job = f->job;
        if (f->label[0] == '\0')
            memcpy(head->previous, f->digest, sizeof head->previous);
        else
            rc = manifest_chain_digest(repo, &name, head->previous, e);
    }
    head->sequence++;
out:
    manifest_heads_fini(&known);
    manifest_heads_fini(&found);
    return rc;
}

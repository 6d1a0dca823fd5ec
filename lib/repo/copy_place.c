#include "repo/copy_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "object/secret.h"
#include "os/dir.h"
#include "os/file.h"

enum { NAMES_MAX = 10000, PATH_BYTES = 4096 };

/* --- lineages --- */

struct each {
    struct repo *from;
    copy_lineage_fn *fn;
    copy_unusable_fn *unusable;
    void *arg;
    const char *cluster;
    uint64_t held; /* the one that was seen before; 0: none */
};

static bool ends_all(const struct err *e)
{
    return e->code == ERR_NOMEM || e->code == ERR_INTERRUPTED || e->code == ERR_INTERNAL ||
           e->code == ERR_UNREACHABLE;
}

/* Can its file be used?  Without it nothing of the lineage can be proven. */
static int is_usable(const struct each *x, uint64_t id, struct err *e)
{
    const struct store_lineage where = {x->cluster, id};
    struct lineage *l = calloc(1, sizeof *l);
    char *text = NULL;
    size_t len = 0;
    int rc = l == NULL ? err_set(e, ERR_NOMEM, "no memory to read a lineage with") : 0;

    if (rc == 0)
        rc = store_get_text(&x->from->store, &where, LINEAGE_FILE, &text, &len, e);
    if (rc == STORE_ABSENT)
        rc = err_set(e, ERR_DAMAGED, "it is not there");
    if (rc == 0)
        rc = lineage_read(l, text, len, LINEAGE_FILE, e);
    if (rc == 0 && (memcmp(l->repo_id, x->from->marker.id, sizeof l->repo_id) != 0 ||
                    strcmp(l->cluster, x->cluster) != 0 || l->system_id != id))
        rc = err_set(e, ERR_DAMAGED, "it is of another cluster or repository");
    free(text);
    free(l);
    return rc;
}

static int each_lineage(void *arg, const char *name, struct err *e)
{
    struct each *x = arg;
    struct err why = {0};
    uint64_t id;

    if (parse_u64(name, 1, UINT64_MAX, &id, &why) != 0)
        return 0;
    if (is_usable(x, id, &why) != 0) {
        if (ends_all(&why)) {
            *e = why;
            return -1;
        }
        if (x->unusable != NULL)
            x->unusable(x->arg, x->cluster, id, &why);
        return 0;
    }
    if (x->held != 0 && x->fn(x->arg, x->cluster, x->held, false, e) != 0)
        return -1;
    x->held = id;
    return 0;
}

static int each_cluster(void *arg, const char *name, struct err *e)
{
    struct each *x = arg;
    struct err quiet = {0};

    if (parse_name(name, &quiet) != 0)
        return 0;
    x->cluster = name;
    x->held = 0;
    if (store_each_lineage(&x->from->store, name, each_lineage, x, e) != 0)
        return -1;
    return x->held == 0 ? 0 : x->fn(x->arg, x->cluster, x->held, true, e);
}

int copy_each_lineage(struct repo *from, copy_lineage_fn *fn, copy_unusable_fn *unusable, void *arg,
                      struct err *e)
{
    struct each x = {from, fn, unusable, arg, NULL, 0};

    return store_each_cluster(&from->store, each_cluster, &x, e);
}

/* --- text files --- */

struct texts {
    struct repo *from;
    struct store to;
    struct store_writer writer;
    const struct copy_how *how;
};

/* Replaced as a whole, so a crash leaves the old or the new one. */
static int put_text(struct texts *t, const struct store_lineage *l, const char *file,
                    const char *text, size_t len, struct err *e)
{
    char *old = NULL;
    size_t old_len = 0;
    int rc = store_get_text(&t->to, l, file, &old, &old_len, e);

    if (rc >= 0 && (rc == STORE_ABSENT || old_len != len || memcmp(old, text, len) != 0))
        rc = store_put_text(&t->writer, l, file, text, len, true, e);
    free(old);
    return rc < 0 ? -1 : 0;
}

static bool has_host(const struct lineage *l, const struct lineage_host *h)
{
    for (unsigned i = 0; i < l->count; i++)
        if (memcmp(l->host[i].sign, h->sign, SECRET_KEY) == 0)
            return true;
    return false;
}

/* One of the copy that cannot be read any more is replaced by the repository's. */
static int read_copys(struct texts *t, const struct store_lineage *l, struct lineage *out,
                      const char *text, size_t len, struct err *e)
{
    char name[COPIED_PLACE_MAX + sizeof LINEAGE_FILE + 1];
    struct err why = {0};

    if (lineage_read(out, text, len, LINEAGE_FILE, &why) == 0)
        return 0;
    if (ends_all(&why)) {
        *e = why;
        return -1;
    }
    (void)snprintf(name, sizeof name, "%.64s/%llu/" LINEAGE_FILE, l->cluster,
                   (unsigned long long)l->system_id);
    t->how->tell(t->how->arg, COPY_MENDED, name, &why);
    out->count = 0;
    return 0;
}

/* A repository that lost a certificate must not take it from the copy. */
static int keeps_hosts(struct texts *t, const struct store_lineage *l, const char *text, size_t len,
                       struct err *e)
{
    struct lineage *both = calloc(2, sizeof *both);
    char *old = NULL;
    size_t old_len = 0;
    int rc = both == NULL ? err_set(e, ERR_NOMEM, "no memory to compare certificates") : 0;

    if (rc == 0)
        rc = lineage_read(&both[0], text, len, LINEAGE_FILE, e);
    if (rc == 0)
        rc = store_get_text(&t->to, l, LINEAGE_FILE, &old, &old_len, e);
    if (rc == 0)
        rc = read_copys(t, l, &both[1], old, old_len, e);
    for (unsigned i = 0; rc == 0 && i < both[1].count; i++)
        if (!has_host(&both[0], &both[1].host[i])) {
            (void)err_set(
                e, ERR_REFUSED,
                "the copy knows host \"%s\" of cluster \"%s\", and the repository does not "
                "any more",
                both[1].host[i].name, l->cluster);
            rc = err_hint(e,
                          "An older state of the repository was put back, or its file \"%s\" was "
                          "tampered with. Nothing was copied.",
                          LINEAGE_FILE);
        }
    free(old);
    free(both);
    return rc < 0 ? -1 : 0;
}

static int bring_lineage(void *arg, const char *cluster, uint64_t system_id, bool last,
                         struct err *e)
{
    struct texts *t = arg;
    const struct store_lineage l = {cluster, system_id};
    char *text = NULL;
    char *sealed = NULL;
    size_t len = 0;
    size_t sealed_len = 0;
    int rc = store_get_text(&t->from->store, &l, LINEAGE_FILE, &text, &len, e);

    (void)last;
    if (rc == 0)
        rc = keeps_hosts(t, &l, text, len, e);
    if (rc == 0) {
        rc = store_get_text(&t->from->store, &l, LINEAGE_SEALED_FILE, &sealed, &sealed_len, e);
        if (rc == 0)
            rc = put_text(t, &l, LINEAGE_SEALED_FILE, sealed, sealed_len, e);
        if (rc >= 0)
            rc = put_text(t, &l, LINEAGE_FILE, text, len, e);
    }
    free(text);
    free(sealed);
    return rc < 0 ? -1 : 0; /* absent: a directory of somebody else's */
}

/* The marker comes last: before it, it is no repository. */
static int bring_texts(struct texts *t, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = copy_each_lineage(t->from, bring_lineage, NULL, t, e);

    if (rc == 0)
        rc = store_get_text(&t->from->store, NULL, MARKER_FILE, &text, &len, e);
    if (rc == STORE_ABSENT)
        rc = err_set(e, ERR_UNREACHABLE, "the repository's marker is not there any more");
    if (rc == 0)
        rc = put_text(t, NULL, MARKER_FILE, text, len, e);
    free(text);
    return rc;
}

/* --- the directory --- */

static int make_dir(const char *path, bool group, struct err *e)
{
    char above[PATH_BYTES];
    struct os_root root = OS_ROOT_INIT;
    size_t len = strlen(path);
    char *slash;
    int fd = -1;
    int rc;

    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len >= sizeof above)
        return err_set(e, ERR_CONFIG, "the path is too long");
    memcpy(above, path, len);
    above[len] = '\0';
    slash = strrchr(above, '/');
    if (slash == NULL || slash[1] == '\0')
        return 0;
    *slash = '\0';
    rc = os_root_open(&root, slash == above ? "/" : above, e);
    if (rc > 0)
        rc = err_set(e, ERR_UNREACHABLE, "directory \"%s\" does not exist", above);
    if (rc == 0)
        rc = os_root_mkdirs(&root, slash + 1, group ? 0750 : 0700, &fd, e);
    os_drop(&fd);
    os_root_close(&root);
    return rc;
}

static int is_free(struct store *s, const char *path, struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    int rc = os_dir_names(s->root.fd, &names, NAMES_MAX, path, e);

    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        const char *name = os_name_at(&names, i);

        /* What an earlier run came to, and what a filesystem is made with. */
        if (strcmp(name, COPY_MARK_FILE) == 0 || strcmp(name, "lost+found") == 0 ||
            publish_is_temp(name))
            continue;
        (void)err_set(e, ERR_REFUSED, "directory \"%s\" holds something already", path);
        rc = err_hint(e, "Give an empty or new directory for the copy.");
    }
    os_names_fini(&names);
    return rc;
}

static int put_mark(struct store_writer *w, const struct copy_mark *m, struct err *e)
{
    struct buf b;
    int rc = -1;

    buf_init(&b, 4096);
    if (copy_mark_write(&b, m, e) == 0)
        rc = store_put_text(w, NULL, COPY_MARK_FILE, b.p, b.len, true, e);
    buf_fini(&b);
    return rc;
}

static int read_mark(struct store *s, struct copy_mark *m, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = store_get_text(s, NULL, COPY_MARK_FILE, &text, &len, e);

    memset(m, 0, sizeof *m);
    if (rc == 0)
        rc = copy_mark_read(m, text, len, e);
    free(text);
    return rc < 0 ? -1 : 0;
}

static int begin(struct texts *t, const struct settings *s, bool make, struct err *e)
{
    struct err quiet = {0};
    struct copy_mark m;

    if (!make) {
        (void)err_set(e, ERR_REFUSED, "there is no copy in \"%s\"", s->repo);
        return err_hint(e, "If its disk is not mounted, mount it. To make a new copy there, add "
                           "--new.");
    }
    /* A crash behind the mark leaves one without a marker, and maybe lineages: ours to go on with.
     */
    if (read_mark(&t->to, &m, &quiet) == 0 && m.there && !m.adopted &&
        memcmp(m.repo, t->from->marker.id, sizeof m.repo) == 0)
        return 0;
    if (is_free(&t->to, s->repo, e) != 0)
        return -1;
    m = (struct copy_mark){.there = true};
    memcpy(m.repo, t->from->marker.id, sizeof m.repo);
    secret_random(m.id, sizeof m.id);
    return put_mark(&t->writer, &m, e);
}

/* It has a marker: is it a copy, and of this repository? */
static int recognise(struct texts *t, const struct settings *s, const char *text, size_t len,
                     struct err *e)
{
    struct marker *m = calloc(1, sizeof *m);
    struct copy_mark mark;
    int rc;

    if (m == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read a marker");
    rc = marker_read(m, text, len, MARKER_FILE, e);
    if (rc == 0)
        rc = read_mark(&t->to, &mark, e);
    if (rc == 0 && memcmp(m->id, t->from->marker.id, sizeof m->id) != 0) {
        (void)err_set(e, ERR_REFUSED, "\"%s\" is another repository", s->repo);
        rc = err_hint(e, "Each repository needs a copy of its own; give another directory.");
    } else if (rc == 0 && (!mark.there || mark.adopted)) {
        (void)err_set(e, ERR_REFUSED, "\"%s\" is %s, and is written by others", s->repo,
                      mark.there ? "a copy that was adopted" : "the repository itself, no copy");
        rc = err_hint(e, "Give another directory, with --new.");
    }
    free(m);
    return rc;
}

static int prepare(struct texts *t, const struct settings *s, bool make, struct err *e)
{
    struct stat a;
    struct stat b;
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (os_stat_fd(t->to.root.fd, &a, s->repo, e) != 0 ||
        os_stat_fd(t->from->store.root.fd, &b, t->from->store.root.path, e) != 0)
        return -1;
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return err_set(e, ERR_REFUSED, "\"%s\" is the repository itself", s->repo);
    rc = store_get_text(&t->to, NULL, MARKER_FILE, &text, &len, e);
    if (rc >= 0)
        rc = rc == STORE_ABSENT ? begin(t, s, make, e) : recognise(t, s, text, len, e);
    free(text);
    return rc == 0 ? bring_texts(t, e) : -1;
}

int copy_place_open(struct repo *to, struct repo *from, const struct settings *s, bool make,
                    const struct copy_how *how, struct err *e)
{
    struct texts t = {.from = from, .how = how};
    int rc;

    memset(to, 0, sizeof *to);
    to->store.root = (struct os_root)OS_ROOT_INIT;
    if (make && make_dir(s->repo, from->marker.group, e) != 0)
        return -1;
    rc = store_open(&t.to, s->repo, e);
    if (rc != 0 && e->code == ERR_UNREACHABLE && !make)
        (void)err_hint(e, "If it is on a disk of its own, mount it; to make a new copy there, add "
                          "--new.");
    t.writer = (struct store_writer){&t.to, from->marker.group};
    if (rc == 0)
        rc = prepare(&t, s, make, e);
    store_close(&t.to);
    return rc == 0 ? repo_open(to, s, REPO_READ | REPO_ANY_LINEAGE, e) : -1;
}

bool copy_place_is_near(const struct repo *a, const struct repo *b)
{
    struct err quiet = {0};
    struct stat x;
    struct stat y;

    return os_stat_fd(a->store.root.fd, &x, "", &quiet) == 0 &&
           os_stat_fd(b->store.root.fd, &y, "", &quiet) == 0 && x.st_dev == y.st_dev;
}

int copy_place_adopt(const struct settings *s, struct err *e)
{
    struct repo *r = calloc(1, sizeof *r);
    int rc;

    if (r == NULL)
        return err_set(e, ERR_NOMEM, "no memory to open the copy with");
    rc = repo_open(r, s, REPO_READ | REPO_ANY_LINEAGE, e);
    if (rc == 0 && !r->copy.there) {
        (void)err_set(e, ERR_REFUSED, "\"%s\" is no copy", s->repo);
        rc = err_hint(e, "It is a repository that can be written to.");
    }
    if (rc == 0 && r->copy.adopted) {
        rc = 1;
    } else if (rc == 0) {
        r->copy.adopted = true;
        rc = put_mark(&r->writer, &r->copy, e);
    }
    repo_close(r);
    free(r);
    return rc;
}

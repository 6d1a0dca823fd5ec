/*
 * walden key check: do the keys here belong together and to the repository, and does the secret key
 * open what is in it?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "cmd_key.h"
#include "os/file.h"
#include "pg/walname.h"
#include "repo/wal.h"

struct options {
    const char *passphrase_file;
};

static const struct opt options[] = {
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = offsetof(struct options, passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
};

static const struct opt_program program = {
    .name = "walden key check",
    .operands = "[OBJECT]...",
    .summary =
        "do the keys belong together, and does the secret key open objects? OBJECT is the name "
        "of a WAL file or the path of an object; without one the newest segment and a sample "
        "are tried.",
    .examples =
        "walden key check --secret-key /media/usb/recovery.key\n"
        "walden key check --secret-key /media/usb/recovery.key 0000000100000000000000A3\n"
        "walden key check                      without a secret key: the host's keys only\n",
    .exits = COMMAND_EXITS,
    .args_min = 0,
    .args_max = OPT_ARGS_MAX,
};

struct check {
    const struct msg *m;
    struct settings *s;
    struct repo *r;
    struct object_reader *reader;
    const struct opt_args *args;
    bool done[OPT_ARGS_MAX];
    struct err why[OPT_ARGS_MAX]; /* why an operand was not opened so far */
    unsigned lineages;
    unsigned opened;
    unsigned failed;
    /* the sample */
    char newest[WALNAME_MAX];
    char oldest[WALNAME_MAX];
    char some[WALNAME_MAX];
    uint32_t timeline;
    uint64_t seen;
};

static void good(const char *what, const char *detail)
{
    char shown[512];

    (void)text_visible(shown, sizeof shown, detail, strlen(detail));
    printf("ok      %s: %s\n", what, shown);
}

static void bad(struct check *c, const char *what, const struct err *e)
{
    char shown[ERR_MSG_MAX + 64];

    (void)text_visible(shown, sizeof shown, e->msg, strlen(e->msg));
    printf("FAILED  %s: %s\n", what, shown);
    c->failed++;
}

/* ---- one object ---- */

/* Reads it through: content with a secret key, else what can be proven without. */
static int prove(struct check *c, struct err *e)
{
    struct sink nothing;

    if (!object_can_read(c->reader))
        return object_check_stored(c->reader, e);
    sink_null(&nothing, PHASE_DELIVER);
    return object_content(c->reader, &nothing, e);
}

static void say_opened(struct check *c, const char *name)
{
    c->opened++;
    if (!c->reader->head.sealed)
        good(name, "plain, its content is intact");
    else if (object_can_read(c->reader))
        good(name, "opens, and its content is intact");
    else
        good(name, "signed and intact; whether it opens needs the secret key");
}

/* A WAL file of the current lineage.  0 judged, 1 it is not there, -1. */
static int try_name(struct check *c, const char *name, struct err *e)
{
    static const enum object_kind kinds[] = {[WALNAME_SEGMENT] = KIND_SEGMENT,
                                             [WALNAME_PARTIAL] = KIND_PARTIAL,
                                             [WALNAME_BACKUP] = KIND_BACKUP_HISTORY,
                                             [WALNAME_HISTORY] = KIND_HISTORY};
    struct store_name n = {.name = name};
    struct store_object o;
    struct walname w;
    int rc;

    if (!walname_parse(name, &w))
        return err_set(e, ERR_USAGE, "it is neither the name of a WAL file nor a path");
    n.kind = kinds[w.kind];
    n.timeline = w.tli;
    rc = repo_get(c->r, &n, &o, c->reader, e);
    if (rc != 0)
        return rc;
    rc = wal_check_object(c->reader, &w, c->r->lineage.segment_size, e);
    if (rc == 0)
        rc = prove(c, e);
    if (rc == 0)
        say_opened(c, name);
    object_close(c->reader);
    store_release(&o);
    return rc;
}

struct file {
    int fd;
    const char *path;
};

static int read_file(void *arg, uint64_t at, void *buf, size_t len, struct err *e)
{
    const struct file *f = arg;

    return os_pread_exact(f->fd, buf, len, at, f->path, e);
}

static int unlock(struct check *c, struct err *e)
{
    if (!c->reader->head.sealed)
        return 0;
    if (c->r->has_secret)
        return object_unlock(c->reader, &c->r->secret, e);
    return c->r->has_host ? object_unlock_metadata(c->reader, &c->r->host, e) : 0;
}

/* An object by its path, which may be a copy elsewhere. */
static int try_path(struct check *c, const char *path, struct err *e)
{
    const struct object_want want = {.kind = 0};
    struct object_source source = {.read = read_file, .name = path};
    struct file f = {-1, path};
    int rc = os_open(path, O_RDONLY, 0, &f.fd, e);

    source.arg = &f;
    if (rc > 0)
        return err_set(e, ERR_USAGE, "it does not exist");
    if (rc == 0)
        rc = os_size(f.fd, &source.size, path, e);
    if (rc == 0)
        rc = object_open(c->reader, &source, &c->r->trust, &want, e);
    if (rc == 0) {
        rc = unlock(c, e);
        if (rc == 0)
            rc = prove(c, e);
        if (rc == 0)
            say_opened(c, path);
    }
    object_close(c->reader);
    os_drop(&f.fd);
    return rc;
}

static void try_operands(struct check *c)
{
    for (size_t i = 0; i < c->args->n; i++) {
        const char *what = c->args->v[i];
        struct err e = {0};
        int rc;

        if (c->done[i])
            continue;
        rc = strchr(what, '/') != NULL ? try_path(c, what, &e) : try_name(c, what, &e);
        if (rc == 0)
            c->done[i] = true;
        else if (rc < 0)
            c->why[i] = e;
    }
}

/* ---- the sample ---- */

static void keep(char out[WALNAME_MAX], const char *name)
{
    (void)snprintf(out, WALNAME_MAX, "%s", name);
}

static int see_segment(void *arg, const char *name, struct err *e)
{
    struct check *c = arg;
    struct walname w;
    uint64_t dice;

    (void)e;
    if (!walname_parse(name, &w) || w.kind != WALNAME_SEGMENT)
        return 0;
    if (c->seen++ == 0)
        keep(c->oldest, name);
    keep(c->newest, name);
    /* Each has the same chance to be the one in the middle. */
    secret_random((uint8_t *)&dice, sizeof dice);
    if (dice % c->seen == 0)
        keep(c->some, name);
    return 0;
}

static int see_group(void *arg, uint32_t group, struct err *e)
{
    struct check *c = arg;

    return store_each_wal(&c->r->store, &c->r->where, c->timeline, group, see_segment, c, e);
}

static int see_timeline(void *arg, uint32_t timeline, struct err *e)
{
    struct check *c = arg;

    c->timeline = timeline;
    return store_each_group(&c->r->store, &c->r->where, timeline, see_group, c, e);
}

static int try_sample(struct check *c, struct err *e)
{
    const char *const sample[] = {c->newest, c->oldest, c->some};

    c->seen = 0;
    if (store_each_timeline(&c->r->store, &c->r->where, see_timeline, c, e) < 0)
        return -1;
    for (size_t i = 0; c->seen > 0 && i < sizeof sample / sizeof sample[0]; i++) {
        struct err why = {0};
        bool again = false;

        for (size_t k = 0; k < i; k++)
            again = again || strcmp(sample[i], sample[k]) == 0;
        if (!again && try_name(c, sample[i], &why) < 0)
            bad(c, sample[i], &why);
    }
    return 0;
}

/* ---- the keys ---- */

/* Others start from the owner and the certificates in the lineage, not from our host.key. */
static void check_certificate(struct check *c)
{
    struct trust t;
    struct err e = {0};

    if (!c->r->has_host)
        return;
    trust_sealed(&t, c->r->marker.id, c->r->marker.owner);
    lineage_trust(&c->r->lineage, &t);
    if (trust_find(&t, c->r->host.id) != NULL) {
        good("certificate", "this host's key is certified for the lineage");
        return;
    }
    (void)err_set(&e, ERR_KEY, "this host's key is not certified for system identifier %llu",
                  (unsigned long long)c->r->lineage.system_id);
    bad(c, "certificate", &e);
}

static int check_lineage(void *arg, const char *name, struct err *e)
{
    struct check *c = arg;
    struct err quiet = {0};
    struct err why = {0};
    uint64_t system_id;

    if (parse_u64(name, 1, UINT64_MAX, &system_id, &quiet) != 0 ||
        (c->s->system_id != 0 && c->s->system_id != system_id))
        return 0;
    c->lineages++;
    if (repo_use_lineage(c->r, c->s, c->s->cluster, system_id, &why) != 0) {
        bad(c, name, &why);
        return 0;
    }
    good("lineage", name);
    if (c->r->marker.sealed)
        check_certificate(c);
    if (c->args->n == 0)
        return try_sample(c, e);
    try_operands(c);
    return 0;
}

static void say_keys(const struct check *c)
{
    char id[33];

    text_hex(id, c->r->marker.id, 16);
    good("repository", id);
    if (!c->r->marker.sealed) {
        good("keys", "the repository is plain, nothing is sealed");
        return;
    }
    if (c->r->has_host)
        good("host key", "belongs to the repository, owner and recipients are those pinned here");
    if (c->r->has_secret)
        good("secret key", c->r->secret.is_owner ? "belongs to the repository, and is its owner's"
                                                 : "belongs to the repository");
}

static void check_secret(struct check *c)
{
    struct err e = {0};

    if (!c->r->marker.sealed || !c->r->has_secret)
        return;
    for (unsigned i = 0; i < c->r->marker.count; i++)
        if (memcmp(c->r->marker.recipient[i], c->r->secret.box_public, SECRET_KEY) == 0) {
            good("recipient", c->r->marker.name[i]);
            return;
        }
    (void)err_set(&e, ERR_KEY,
                  "the secret key is none of the repository's recipients: what is written "
                  "now cannot be opened with it");
    bad(c, "recipient", &e);
}

static int check_all(struct check *c, struct err *e)
{
    say_keys(c);
    check_secret(c);
    if (store_each_lineage(&c->r->store, c->s->cluster, check_lineage, c, e) < 0)
        return -1;
    for (size_t i = 0; i < c->args->n; i++) {
        if (c->done[i])
            continue;
        if (c->why[i].code == ERR_NONE)
            (void)err_set(&c->why[i], ERR_HOLE, "it is not in cluster \"%s\"", c->s->cluster);
        bad(c, c->args->v[i], &c->why[i]);
    }
    if (c->lineages == 0)
        msg_note(c->m, "cluster \"%s\" holds no lineage yet", c->s->cluster);
    else if (c->opened == 0 && c->failed == 0)
        msg_note(c->m, "nothing is archived yet, so nothing was opened");
    if (c->r->marker.sealed && !c->r->has_secret)
        msg_note(c->m, "no secret key was given: that the data can be opened stays unproven");
    return 0;
}

static int run(struct check *c, const char *pass_file, struct err *e)
{
    unsigned use = REPO_ANY_LINEAGE;
    int rc;

    c->r = calloc(1, sizeof *c->r);
    c->reader = calloc(1, sizeof *c->reader);
    if (c->r == NULL || c->reader == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (command_settings(c->s, c->m, e) != 0)
        return -1;
    /* As a writer where there is a host key: then the pinned recipients are compared too. */
    if (c->s->host_key != NULL)
        use |= REPO_WRITE;
    if (cmd_key_repo(c->r, c->s, use, pass_file, e) != 0)
        return -1;
    rc = check_all(c, e);
    repo_close(c->r);
    if (rc == 0 && fflush(stdout) != 0)
        rc = err_set(e, ERR_IO, "could not write to standard output");
    return rc;
}

int cmd_key_check(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct settings s;
    struct options o = {0};
    struct opt_set sets[2] = {
        {"Options", options, sizeof options / sizeof options[0], &o, NULL, NULL}};
    struct opt_args args;
    struct check *c;
    struct err e = {0};
    int status;

    settings_init(&s);
    sets[1] = settings_options(&s);
    if (command_parse(&program, sets, 2, argc, argv, &args, &status) != 0)
        return status;
    c = calloc(1, sizeof *c);
    if (c == NULL) {
        (void)err_set(&e, ERR_NOMEM, "out of memory");
        return command_fail(&m, &e);
    }
    c->m = &m;
    c->s = &s;
    c->args = &args;
    if (run(c, o.passphrase_file, &e) != 0)
        status = command_fail(&m, &e);
    else
        status = c->failed > 0 ? STATUS_PROBLEM : STATUS_OK;
    free(c->r);
    free(c->reader);
    free(c);
    settings_fini(&s);
    return status;
}

/*
 * Recovery settings go into postgresql.auto.conf, which lies in the data directory of every cluster
 * (the other files may not) and is read last.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/publish.h"
#include "repo/plan_walk.h"
#include "restore.h"

#define AUTO_CONF "postgresql.auto.conf"
#define BEGIN     "# walden restore: begin"
#define END       "# walden restore: end"

enum { CONF_MAX = 8 * 1024 * 1024 };

/* --- the key --- */

/* Only what opens objects: never the owner's signing key. */
static int key_text(const struct restore *r, struct buf *b, struct err *e)
{
    struct key_recovery k = r->repo.secret;
    int rc;

    k.is_owner = false;
    memset(k.owner_seed, 0, sizeof k.owner_seed);
    rc = key_recovery_write(b, &k, e);
    key_recovery_wipe(&k);
    return rc;
}

static const char *const places[] = {"/dev/shm", "/run", "/tmp"};

enum { KEY_NAME = 64 };

/* One name per directory: the rerun of a restore that was killed finds its key again. */
static void key_name(const char *dir, char out[KEY_NAME])
{
    char hex[17];
    uint8_t digest[DIGEST_STRONG];

    digest_strong(digest, (const uint8_t *)dir, strlen(dir));
    text_hex(hex, digest, sizeof hex / 2);
    (void)snprintf(out, KEY_NAME, "walden-key.%s", hex);
}

void restore_key_forget(const char *dir)
{
    struct os_root root = OS_ROOT_INIT;
    char name[KEY_NAME];
    struct err quiet = {0};

    key_name(dir, name);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        err_clear(&quiet);
        if (os_root_open(&root, places[i], &quiet) == 0)
            (void)os_root_unlink(&root, name, 0, &quiet); /* it need not be there */
        os_root_close(&root);
    }
}

int restore_key(struct restore *r, struct err *e)
{
    char name[KEY_NAME];
    struct buf b;
    int rc = -1;

    /* A standby needs it for ever, also after a reboot: it keeps to the configuration. */
    if (!r->repo.marker.sealed || !r->repo.has_secret || r->o->standby || r->wal[0] != '\0')
        return 0;
    key_name(r->dir, name);
    buf_init(&b, KEY_FILE_MAX);
    if (key_text(r, &b, e) != 0)
        goto out;
    for (size_t i = 0; rc != 0 && i < sizeof places / sizeof places[0]; i++) {
        const char *place = r->o->key_dir != NULL ? r->o->key_dir : places[i];

        err_clear(e);
        if (place_join(r->key, place, name, e) == 0)
            rc = place_put(r->key, b.p, b.len, 0600, true, &r->owner, e) < 0 ? -1 : 0;
    }
    if (rc != 0)
        r->key[0] = '\0';
out:
    if (b.p != NULL)
        secret_wipe(b.p, b.len);
    buf_fini(&b);
    return rc < 0 ? -1 : 0;
}

/* --- restore_command --- */

static int add_option(struct buf *b, const char *name, const char *value, struct err *e)
{
    return buf_fmt(b, e, " --%s ", name) == 0 ? place_shell_word(b, value, e) : -1;
}

static int add_path(struct buf *b, const char *name, const char *path, struct err *e)
{
    char where[PLACE_MAX];

    return place_absolute(where, path, e) == 0 ? add_option(b, name, where, e) : -1;
}

int restore_settings_words(const struct settings *s, struct buf *b, struct err *e)
{
    bool all = s->config == NULL;
    char id[33];

    if (s->config != NULL && add_path(b, "config", s->config, e) != 0)
        return -1;
    if ((all || settings_is_explicit(s, "repo")) && add_path(b, "repo", s->repo, e) != 0)
        return -1;
    if (settings_is_explicit(s, "repo_id")) {
        text_hex(id, s->repo_id, sizeof s->repo_id);
        if (add_option(b, "repo-id", id, e) != 0)
            return -1;
    }
    if ((all || settings_is_explicit(s, "cluster")) && add_option(b, "cluster", s->cluster, e) != 0)
        return -1;
    if (settings_is_explicit(s, "host_key") && add_path(b, "host-key", s->host_key, e) != 0)
        return -1;
    if (settings_is_explicit(s, "recipients") && s->recipients_file != NULL &&
        add_path(b, "recipients", s->recipients_file, e) != 0)
        return -1;
    return 0;
}

/* For a server without Walden: from the directory of exported files. */
static int copy_command(const struct restore *r, struct buf *b, struct err *e)
{
    char path[PLACE_MAX];

    /* place_shell_word quotes as a whole, so the name comes in it. */
    if (place_join(path, r->wal, "%f", e) != 0 || buf_str(b, "cp ", e) != 0)
        return -1;
    return place_shell_word(b, path, e);
}

static int walden_command(const struct restore *r, struct buf *b, struct err *e)
{
    char program[PLACE_MAX];
    char id[24];

    if (!place_program(program, "walden-restore"))
        msg_warn(r->m, "walden-restore is neither beside this program nor in PATH: correct "
                       "restore_command in " AUTO_CONF);
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)r->repo.where.system_id);
    if (place_shell_word(b, program, e) != 0 || restore_settings_words(r->s, b, e) != 0 ||
        add_option(b, "system-id", id, e) != 0 ||
        (r->key[0] != '\0' && add_option(b, "secret-key", r->key, e) != 0) ||
        (r->key[0] == '\0' && settings_is_explicit(r->s, "secret_key") &&
         add_path(b, "secret-key", r->s->secret_key, e) != 0))
        return -1;
    return 0;
}

/* A command within quotes: a % of a path is doubled for the server (but not that of %f at the end,
 * where one is), a quote and a backslash for its configuration. */
static int quote(struct buf *out, const struct buf *b, bool copies, struct err *e)
{
    for (size_t i = 0; i < b->len; i++) {
        bool is_name = copies && b->p[i] == '%' && strncmp((const char *)b->p + i, "%f", 2) == 0 &&
                       strspn((const char *)b->p + i + 2, "'") == b->len - i - 2;
        bool twice = (b->p[i] == '%' && !is_name) || b->p[i] == '\'' || b->p[i] == '\\';

        if (buf_add(out, b->p + i, 1, e) != 0 || (twice && buf_add(out, b->p + i, 1, e) != 0))
            return -1;
    }
    return 0;
}

static int restore_command(const struct restore *r, struct buf *out, struct err *e)
{
    bool copies = r->wal[0] != '\0';
    struct buf b;
    int rc = -1;

    buf_init(&b, CONF_MAX);
    if ((copies ? copy_command(r, &b, e) : walden_command(r, &b, e)) == 0 &&
        buf_str(out, "restore_command = '", e) == 0 && quote(out, &b, copies, e) == 0)
        rc = buf_str(out, copies ? " \"%p\"'\n" : " %f \"%p\"'\n", e);
    buf_fini(&b);
    return rc;
}

/* The key goes when recovery ends; without one nothing of the original's is run then. */
static int end_command(const struct restore *r, struct buf *out, struct err *e)
{
    struct buf b;
    int rc = 0;

    buf_init(&b, CONF_MAX);
    if (r->key[0] != '\0' &&
        (buf_str(&b, "rm -f -- ", e) != 0 || place_shell_word(&b, r->key, e) != 0))
        rc = -1;
    if (rc == 0 && (buf_str(out, "recovery_end_command = '", e) != 0 ||
                    quote(out, &b, false, e) != 0 || buf_str(out, "'\n", e) != 0))
        rc = -1;
    buf_fini(&b);
    return rc;
}

/* --- the block --- */

enum { PREFETCH_FROM = 150000 };

/* From 15 on the server reads ahead of what it replays.  Where a segment behind the target is
 * missing or damaged it would fail on that before it reaches the target. */
static bool must_not_read_ahead(const struct restore *r)
{
    const struct plan_backup *backup = restore_backup(r);
    struct plan_walk w;

    if (r->target.kind == PLAN_LATEST || backup->version < PREFETCH_FROM)
        return false;
    plan_walk_init(&w, &r->inventory.in, &r->plan.parts, backup);
    while (plan_walk_next(&w))
        continue;
    return w.why != PLAN_ENDS;
}

enum { TRIGGER_FILE_UNTIL = 160000 };

/*
 * What the original's other files may set that has its way in a recovery.  They are read first, so
 * emptied here: a delay would hold the target back for hours, an archive_cleanup_command removes
 * from an archive that is not the copy's, a trigger file that is there ends the pause, and commits
 * wait for standbys that the copy does not have.  A standby keeps what they say.
 */
static int add_neutral(const struct restore *r, struct buf *b, struct err *e)
{
    uint32_t version = restore_backup(r)->version;

    if (r->o->standby)
        return 0;
    if (buf_str(b, "recovery_min_apply_delay = '0'\narchive_cleanup_command = ''\n", e) != 0 ||
        (!r->o->become_primary && buf_str(b, "synchronous_standby_names = ''\n", e) != 0))
        return -1;
    return version < TRIGGER_FILE_UNTIL ? buf_str(b, "promote_trigger_file = ''\n", e) : 0;
}

static int add_block(const struct restore *r, struct buf *b, struct err *e)
{
    int action = r->o->action >= 0 ? r->o->action : RESTORE_PAUSE;
    char target[RESTORE_TARGET_TEXT];

    restore_target_text(r, target);
    if (buf_fmt(b, e, BEGIN " (backup %s; %s)\n", restore_backup(r)->label, target) != 0 ||
        restore_command(r, b, e) != 0 || restore_target_settings(r, b, e) != 0 ||
        add_neutral(r, b, e) != 0 ||
        (must_not_read_ahead(r) && buf_str(b, "recovery_prefetch = 'off'\n", e) != 0))
        return -1;
    if ((!r->o->standby || r->key[0] != '\0') && end_command(r, b, e) != 0)
        return -1;
    /* A copy must never archive into the place that it came from. */
    if (!r->o->become_primary && buf_str(b, "archive_mode = 'off'\n", e) != 0)
        return -1;
    /* Without it a pause becomes a shutdown. */
    if (r->target.kind != PLAN_LATEST && action == RESTORE_PAUSE &&
        buf_str(b, "hot_standby = 'on'\n", e) != 0)
        return -1;
    return buf_str(b, END "\n", e);
}

/* Does the line set one of these?  Case does not count, as for the server. */
static bool sets_recovery(const char *line, size_t len)
{
    static const char *const names[] = {
        "restore_command",        "recovery_end_command",     "archive_cleanup_command",
        "recovery_target",        "recovery_target_time",     "recovery_target_lsn",
        "recovery_target_xid",    "recovery_target_name",     "recovery_target_inclusive",
        "recovery_target_action", "recovery_target_timeline", "recovery_min_apply_delay",
        "promote_trigger_file",   "primary_slot_name"};
    size_t skip = 0;
    size_t n;

    while (skip < len && (line[skip] == ' ' || line[skip] == '\t' || line[skip] == '\r'))
        skip++;
    /* A quote may follow at once. */
    for (n = skip; n < len && (line[n] == '_' || isalnum((unsigned char)line[n])); n++)
        ;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n - skip && strncasecmp(names[i], line + skip, n - skip) == 0)
            return true;
    return false;
}

/* Copies what stays: all but recovery settings and blocks of earlier restores. */
static int keep_lines(const char *text, size_t len, struct buf *out, struct err *e)
{
    bool in_block = false;
    size_t at = 0;

    while (at < len) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', len - at);
        size_t n = end == NULL ? len - at : (size_t)(end - line) + 1;

        if (strncmp(line, BEGIN, strlen(BEGIN)) == 0)
            in_block = true;
        if (!in_block && !sets_recovery(line, n) &&
            (buf_add(out, line, n, e) != 0 || (end == NULL && buf_str(out, "\n", e) != 0)))
            return -1;
        if (strncmp(line, END, strlen(END)) == 0)
            in_block = false;
        at += n;
    }
    return 0;
}

static int publish(struct restore *r, const char *name, const void *text, size_t len, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE,
                               .mode = r->unpack.totals.group ? 0640 : 0600};
    struct publish p = PUBLISH_INIT;
    /* A crash here leaves the file as it was; the rerun, which the mark asks for, does it again. */
    int rc = publish_begin(&p, &r->unpack.tree.dir, ".", name, &how, e);

    if (rc == 0 && len > 0)
        rc = publish_write(&p, text, len, e);
    if (rc == 0 && r->owner.change)
        rc = os_chown(publish_fd(&p), r->owner.uid, r->owner.gid, name, e);
    if (rc == 0)
        rc = publish_commit(&p, e);
    publish_abort(&p);
    return rc;
}

static int read_auto_conf(struct restore *r, char **text, size_t *len, struct err *e)
{
    int fd = -1;
    int rc = os_root_at(&r->unpack.tree.dir, AUTO_CONF, O_RDONLY, 0, &fd, e);

    *text = NULL;
    *len = 0;
    if (rc == 0)
        rc = os_read_small_fd(fd, CONF_MAX, text, len, AUTO_CONF, e);
    os_drop(&fd);
    return rc < 0 ? -1 : 0;
}

/* What an earlier life of the cluster left: files that steer a recovery. */
static int remove_signals(struct restore *r, struct err *e)
{
    static const char *const names[] = {"recovery.signal", "standby.signal",   "recovery.conf",
                                        "promote",         "fallback_promote", "postmaster.pid",
                                        "postmaster.opts"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (os_tree_remove(&r->unpack.tree.dir, names[i], e) < 0)
            return -1;
    return 0;
}

int restore_conf(struct restore *r, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    struct buf b;
    int rc = -1;

    buf_init(&b, CONF_MAX);
    if (read_auto_conf(r, &text, &len, e) == 0 && keep_lines(text, len, &b, e) == 0 &&
        add_block(r, &b, e) == 0 && publish(r, AUTO_CONF, b.p, b.len, e) == 0 &&
        remove_signals(r, e) == 0)
        rc = publish(r, r->o->standby ? "standby.signal" : "recovery.signal", "", 0, e);
    free(text);
    buf_fini(&b);
    return rc;
}

#include "basebackup/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "basebackup/archived.h"

int source_failed(struct err *e)
{
    if (e->code == ERR_REFUSED)
        e->code = ERR_IO;
    return -1;
}

static int connect_again(struct source *s, struct err *e)
{
    return replication_open(&s->c, &s->conn, REPLICATION_PHYSICAL, e);
}

int source_again(struct source *s, struct err *e)
{
    pgconn_close(s->c);
    s->c = NULL;
    return connect_again(s, e);
}

static bool contains(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

/* Settings that not every version has, or not everybody may see. */
static void show(struct source *s, const char *name, char *out, size_t cap)
{
    struct err quiet = {0};

    if (replication_show(s->c, name, out, cap, &quiet) != 0)
        out[0] = '\0';
}

static void ask_archiving(struct source *s)
{
    static const char ours[] = "walden";
    char text[4096];

    show(s, "archive_mode", s->archive_mode, sizeof s->archive_mode);
    show(s, "archive_command", text, sizeof text);
    s->says_walden = contains(text, ours);
    if (pgconn_version(s->c) >= 150000) {
        show(s, "archive_library", text, sizeof text);
        s->says_walden = s->says_walden || contains(text, ours);
    }
}

int source_open(struct source *s, const struct settings *settings, const struct backup_options *o,
                struct err *e)
{
    memset(s, 0, sizeof *s);
    s->conn = pgconn_flags_to(&o->connection, settings->dsn);
    if (connect_again(s, e) != 0)
        return -1;
    if (replication_identify(s->c, &s->who, e) == 0 &&
        replication_segsize(s->c, &s->segsize, e) == 0 &&
        replication_dir_mode(s->c, &s->dir_mode, e) == 0) {
        ask_archiving(s);
        return 0;
    }
    source_close(s);
    return source_failed(e);
}

void source_close(struct source *s)
{
    pgconn_close(s->c);
    s->c = NULL;
}

/* The server decides which lineage it is; a flag or variable that names another one is a mistake,
 * the configuration may be older than an upgrade. */
static int choose_lineage(const struct source *s, struct settings *settings, struct err *e)
{
    struct opt_set set = settings_options(settings);
    char text[24];

    if (settings->system_id != s->who.system_id && settings_is_explicit(settings, "system_id")) {
        (void)err_set(e, ERR_REFUSED,
                      "this server has system identifier %" PRIu64 ", not %" PRIu64
                      ", which was asked for",
                      s->who.system_id, settings->system_id);
        return err_hint(e, "Look at the connection's host and port, or leave --system-id out.");
    }
    (void)snprintf(text, sizeof text, "%" PRIu64, s->who.system_id);
    for (size_t i = 0; i < set.n; i++)
        if (strcmp(set.opts[i].name, "system_id") == 0)
            return set.assign(settings, &set.opts[i], text, e);
    return err_set(e, ERR_INTERNAL, "there is no setting \"system_id\"");
}

int source_open_repo(const struct source *s, struct settings *settings, struct repo *repo,
                     struct err *e)
{
    const struct lineage *l = &repo->lineage;
    uint32_t major = (uint32_t)pgconn_version(s->c) / 10000;

    if (choose_lineage(s, settings, e) != 0 || repo_open(repo, settings, REPO_WRITE, e) != 0)
        return -1;
    if (l->segment_size != s->segsize)
        (void)err_set(e, ERR_REFUSED,
                      "the server's WAL segments have %" PRIu32
                      " bytes, those of the repository %" PRIu32,
                      s->segsize, l->segment_size);
    else if (l->major != 0 && l->major != major)
        (void)err_set(e, ERR_REFUSED,
                      "the server is PostgreSQL %" PRIu32 ", the repository knows its system "
                      "identifier as one of %" PRIu32,
                      major, l->major);
    else
        return 0;
    (void)err_hint(e, "Is this a copy of another server?  \"walden init\" tells what belongs to "
                      "whom.");
    repo_close(repo);
    return -1;
}

int source_is_archived(const struct source *s, struct repo *repo, struct err *e)
{
    if (strcmp(s->archive_mode, "on") != 0 && strcmp(s->archive_mode, "always") != 0)
        return 0;
    if (s->says_walden)
        return 1;
    /* A command of the user's own may end here all the same: then the newest WAL is here. */
    return archived_has(repo, s->who.tli, s->who.lsn, e);
}

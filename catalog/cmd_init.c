/*
 * walden init: makes a repository, binds a server to it, makes keys, writes the configuration.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "init.h"
#include "os/file.h"
#include "os/host.h"
#include "pgconn/pgconn_flags.h"
#include "repo/repo.h"

struct options {
    const char *repo;
    const char *config;
    const char *pgdata;
    const char *cluster;
    const char *secret_key;
    const char *dsn;
    const char *key_dir;
    struct pgconn_flags connection;
    bool encrypt;
    bool group;
    bool apply;
    bool accept_beyond;
};

enum { SAID_MAX = 64 * 1024 };

#define AT(field) offsetof(struct options, field)

static const struct opt options[] = {
    {.name = "repo",
     .kind = OPT_TEXT,
     .arg = "DIR",
     .offset = AT(repo),
     .help = "directory of the repository; it is made when it is not there"},
    {.name = "config",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = AT(config),
     .help = "configuration file to write or complete (default: " SETTINGS_FILE ")"},
    {.name = "pgdata",
     .letter = 'D',
     .kind = OPT_TEXT,
     .arg = "DIR",
     .offset = AT(pgdata),
     .help = "data directory; the server need not run then"},
    {.name = "cluster",
     .kind = OPT_NAME,
     .arg = "NAME",
     .offset = AT(cluster),
     .help = "name of the cluster in the repository (default: main)"},
    {.name = "encrypt",
     .kind = OPT_FLAG,
     .offset = AT(encrypt),
     .help = "seal all that is stored; makes host.key, recovery.key and recovery.pub"},
    {.name = "accept_beyond",
     .kind = OPT_FLAG,
     .offset = AT(accept_beyond),
     .help = "with --encrypt: believe plain WAL, too, that lies behind the server's own"},
    {.name = "key_dir",
     .kind = OPT_TEXT,
     .arg = "DIR",
     .offset = AT(key_dir),
     .help = "directory for the keys (default: that of the configuration file)"},
    {.name = "secret_key",
     .kind = OPT_TEXT,
     .arg = "FILE",
     .offset = AT(secret_key),
     .help = "recovery key of the repository's owner, to certify this host where nobody else can"},
    {.name = "group",
     .kind = OPT_FLAG,
     .offset = AT(group),
     .help = "let the group read the new repository (modes 0640 and 0750)"},
    {.name = "dsn",
     .kind = OPT_TEXT,
     .arg = "CONNINFO",
     .offset = AT(dsn),
     .help = "connection string or URI, without a password"},
    {.name = "apply",
     .kind = OPT_FLAG,
     .offset = AT(apply),
     .help = "set the server's settings with ALTER SYSTEM; nothing is restarted"},
};

static const struct opt_program program = {
    .name = "walden init",
    .operands = "",
    .summary = "make a repository, bind a server to it, make keys, write the configuration",
    .examples =
        "walden init --repo /srv/backup                    ask the running server\n"
        "walden init --repo /srv/backup --encrypt --apply  sealed; set up archiving\n"
        "walden init --repo /srv/backup -D /var/lib/postgresql/17/main   server is down\n"
        "walden init --encrypt                             seal from now on\n"
        "walden init                                       after pg_upgrade, and any time\n",
    .exits = COMMAND_EXITS,
    .args_min = 0,
    .args_max = 0,
};

struct init_config init_pins(const struct init *i)
{
    struct init_config c = {.repo = i->repo};

    c.repo_id = i->fresh ? NULL : i->marker.id;
    if (strcmp(i->s.cluster, "main") != 0)
        c.cluster = i->s.cluster;
    if (i->sealed) {
        c.host_key = i->host_path;
        if (i->s.n_recipients == 0) {
            c.recipients = i->public_path;
            c.pub = i->fresh ? NULL : &i->public_key;
        }
    }
    c.sealed_from = i->has_sealed_from ? i->sealed_from : NULL;
    return c;
}

/* ---- what was asked for ---- */

static int load_settings(struct init *i, const struct options *o, struct err *e)
{
    const char *config = o->config != NULL ? o->config : os_env("WALDEN_CONFIG");
    int rc;

    i->config_given = config;
    if (place_absolute(i->config, config != NULL ? config : SETTINGS_FILE, e) != 0)
        return -1;
    i->s.config = i->config;
    rc = command_settings_as(&i->s, SETTINGS_AUTHOR, &i->msg, e);
    i->s.config = i->config;
    return rc;
}

/* Flags that are settings; paths may be relative here. */
static int set_flags(struct init *i, const struct options *o, char repo[PLACE_MAX],
                     char secret[PLACE_MAX], struct err *e)
{
    if (o->repo != NULL &&
        (place_absolute(repo, o->repo, e) != 0 || command_set(&i->s, "repo", repo, e) != 0))
        return -1;
    if (o->secret_key != NULL && (place_absolute(secret, o->secret_key, e) != 0 ||
                                  command_set(&i->s, "secret_key", secret, e) != 0))
        return -1;
    if (o->cluster != NULL && command_set(&i->s, "cluster", o->cluster, e) != 0)
        return -1;
    return o->dsn != NULL ? command_set(&i->s, "dsn", o->dsn, e) : 0;
}

static int key_paths(struct init *i, struct err *e)
{
    const struct {
        char *out;
        const char *given;
        const char *name;
    } keys[] = {{i->host_path, i->s.host_key, "host.key"},
                {i->recovery_path, NULL, "recovery.key"},
                {i->public_path, i->s.recipients_file, "recovery.pub"}};

    if (i->key_dir_given == NULL)
        (void)place_split(i->key_dir, i->config);
    else if (place_absolute(i->key_dir, i->key_dir_given, e) != 0)
        return -1;
    for (size_t n = 0; n < sizeof keys / sizeof keys[0]; n++)
        if (keys[n].given != NULL)
            (void)snprintf(keys[n].out, PLACE_MAX, "%s", keys[n].given);
        else if (place_join(keys[n].out, i->key_dir, keys[n].name, e) != 0)
            return -1;
    return 0;
}

static int find_server(struct init *i, const struct options *o, struct err *e)
{
    const char *pgdata = o->pgdata != NULL ? o->pgdata : i->s.pgdata;
    const struct pgconn_flags *c = &o->connection;
    bool ask = c->host != NULL || c->port != NULL || c->user != NULL || c->dbname != NULL ||
               i->s.dsn != NULL || o->apply;

    i->connect = pgconn_flags_to(&o->connection, i->s.dsn);
    if (pgdata != NULL && init_server_offline(&i->server, pgdata, e) != 0)
        return -1;
    if (pgdata != NULL && !ask)
        return 0;
    return init_server_connect(&i->server, &i->connect, e);
}

/* As root, what we make belongs to whoever owns the data directory. */
static int find_owner(struct init *i, struct err *e)
{
    struct stat st;

    if (os_uid() != 0)
        return 0;
    if (i->server.data_dir[0] == '\0') {
        msg_warn(&i->msg,
                 "the data directory is not known here, so all that is made belongs to root; "
                 "give --pgdata, or run this as the server's user");
        return 0;
    }
    if (os_stat(i->server.data_dir, &st, e) != 0)
        return err_set(e, ERR_CONFIG, "data directory \"%s\" vanished", i->server.data_dir);
    i->owner = (struct place_owner){st.st_uid != 0, st.st_uid, st.st_gid};
    return 0;
}

static int check_places(struct init *i, struct err *e)
{
    char wal[PLACE_MAX + 8];
    char above[PLACE_MAX];
    int inside = 0;

    if (i->server.data_dir[0] != '\0') {
        (void)snprintf(wal, sizeof wal, "%s/pg_wal", i->server.data_dir);
        inside = place_inside(i->repo, i->server.data_dir, e);
        if (inside == 0)
            inside = place_inside(i->repo, wal, e);
    }
    if (inside > 0) {
        (void)err_set(e, ERR_REFUSED, "repository \"%s\" is inside the data directory \"%s\"",
                      i->repo, i->server.data_dir);
        return err_hint(e, "A backup there would be lost with the server; use another disk.");
    }
    if (inside < 0)
        return -1;
    if (i->sealed || i->encrypt) {
        struct stat st;

        if (os_stat(i->repo, &st, e) == 0 && place_inside(i->key_dir, i->repo, e) > 0)
            return err_set(e, ERR_REFUSED, "the keys must not lie in the repository (\"%s\")",
                           i->key_dir);
    }
    if (place_find_above(i->repo, ".git", above))
        msg_warn(&i->msg, "repository \"%s\" lies in the working tree of git \"%s\"", i->repo,
                 above);
    return 0;
}

/* Conflicts with what the file says are found before anything is made. */
static int prepare(struct init *i, const struct options *o, struct err *e)
{
    static char repo[PLACE_MAX];
    static char secret[PLACE_MAX];
    struct init_config pins;

    i->encrypt = o->encrypt;
    i->group = o->group;
    i->apply = o->apply;
    i->accept_beyond = o->accept_beyond;
    i->key_dir_given = o->key_dir;
    if (set_flags(i, o, repo, secret, e) != 0 || load_settings(i, o, e) != 0 ||
        settings_need(&i->s, "repo", e) != 0 || place_absolute(i->repo, i->s.repo, e) != 0 ||
        key_paths(i, e) != 0 || secret_start(e) != 0)
        return -1;
    pins = init_pins(i);
    pins.repo_id = NULL;
    if (init_config_check(i->config, &pins, e) != 0 || find_server(i, o, e) != 0 ||
        find_owner(i, e) != 0)
        return -1;
    return check_places(i, e);
}

/* ---- doing it ---- */

static int make_config_dir(struct init *i, struct err *e)
{
    char dir[PLACE_MAX];

    (void)place_split(dir, i->config);
    if (place_make_dir(dir, 0755, &i->owner, e) >= 0)
        return 0;
    if (e->sys == EACCES && i->config_given == NULL) {
        e->hint[0] = '\0'; /* this says more than who may do what */
        (void)err_hint(e, "Give --config with a file that the server's user may write, like "
                          "--config ~/walden.conf.");
    }
    return -1;
}

static int write_config(struct init *i, struct err *e)
{
    struct init_config pins = init_pins(i);
    int rc = init_config_write(i->config, &pins, &i->owner, e);

    if (rc == 0)
        i->changes++;
    return rc < 0 ? -1 : 0;
}

/* Opens the repository as a hook would: what was written must suffice. */
static int prove(struct init *i, struct err *e)
{
    static char *const no_environment[] = {NULL};
    struct settings s;
    struct repo *r = calloc(1, sizeof *r);
    int rc = -1;

    settings_init(&s);
    s.config = i->config;
    if (r == NULL)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    else if (settings_load(&s, no_environment, SETTINGS_HOOK, e) == 0 &&
             repo_open(r, &s, REPO_WRITE | REPO_ANY_LINEAGE, e) == 0) {
        rc = repo_use_lineage(r, &s, i->s.cluster, i->server.system_id, e);
        repo_close(r);
    }
    if (rc != 0)
        (void)err_context(e, "the repository cannot be used with \"%s\"", i->config);
    free(r);
    settings_fini(&s);
    return rc;
}

static int make(struct init *i, struct err *e)
{
    struct init_config pins;
    bool new_here;

    if (init_repo_open(i, e) != 0)
        return -1;
    new_here = i->fresh;
    pins = init_pins(i);
    if (init_config_check(i->config, &pins, e) != 0 || (i->fresh && init_repo_probe(i, e) != 0) ||
        make_config_dir(i, e) != 0 || init_keys(i, e) != 0)
        return -1;
    if (new_here && init_repo_mark(i, e) != 0)
        return -1;
    if (init_repo_lineage(i, e) != 0)
        return -1;
    if (i->sealed && !i->marker.sealed && init_seal(i, e) != 0)
        return -1;
    if (write_config(i, e) != 0 || init_repo_own(i, e) != 0)
        return -1;
    return prove(i, e);
}

/* ---- what is said ---- */

static int say_repository(const struct init *i, struct buf *b, struct err *e)
{
    char id[33];
    char size[TEXT_SIZE_MAX];

    text_hex(id, i->marker.id, 16);
    text_size(size, i->server.segment_size);
    if (buf_fmt(b, e,
                "repository     %s\n"
                "  id           %s%s\n"
                "cluster        %s\n"
                "  server       PostgreSQL %u, system identifier %llu, segments of %s\n"
                "configuration  %s\n",
                i->repo, id, i->sealed ? ", sealed" : "", i->s.cluster, (unsigned)i->server.major,
                (unsigned long long)i->server.system_id, size, i->config) != 0)
        return -1;
    if (i->sealed && (buf_fmt(b, e, "host key       %s\n", i->host_path) != 0 ||
                      buf_add(b, i->said.p, i->said.len, e) != 0))
        return -1;
    if (!i->server.checksums &&
        buf_str(b, "note           the server has no data checksums; pg_checksums can add them\n",
                e) != 0)
        return -1;
    return i->changes == 0 ? buf_str(b, "Nothing had to be changed.\n", e) : 0;
}

static int say_recovery_key(const struct init *i, struct buf *b, struct err *e)
{
    struct stat st;
    struct err none = {0};
    char id[2 * KEY_ID + 1];

    if (!i->has_owner_key || os_stat(i->recovery_path, &st, &none) != 0)
        return 0;
    text_hex(id, i->recovery.id, KEY_ID);
    return buf_fmt(
        b, e,
        "\nTAKE THE RECOVERY KEY AWAY FROM THIS HOST:\n"
        "  %s\n"
        "It alone opens the backups (key %.16s). Copy it to two safe places (a USB stick and a\n"
        "password manager, say; it is a text of six lines), try it with\n"
        "  walden key check --secret-key COPY\n"
        "and remove it here. Leave secret_key unset on this host: it only has to write.\n"
        "Recovery sheet: to restore elsewhere you need the repository, that key and Walden:\n"
        "  walden list --repo %s --secret-key COPY\n",
        i->recovery_path, id, i->repo);
}

static int say_settings(const struct init *i, const struct init_commands *c,
                        const struct init_change *changes, size_t n, struct buf *b, struct err *e)
{
    bool restart = false;

    if (n > 0 && buf_str(b,
                         i->apply ? "\nSet on the server:\n"
                                  : "\nThe server still needs (--apply does it):\n",
                         e) != 0)
        return -1;
    for (size_t k = 0; k < n; k++) {
        if (buf_str(b, "  ", e) != 0 || init_server_sql(&changes[k], b, e) != 0 ||
            buf_str(b, "\n", e) != 0)
            return -1;
        restart = restart || changes[k].restart;
    }
    if (restart && buf_str(b, "and then a restart, which is yours to do.\n", e) != 0)
        return -1;
    return buf_fmt(b, e, "%s\nIn a recovery by hand: restore_command = '%s'\n",
                   n > 0 && !restart && !i->apply ? "and then a reload.\n" : "",
                   buf_text(&c->restore));
}

static int report(struct init *i, struct err *e)
{
    const char *config = strcmp(i->config, SETTINGS_FILE) == 0 ? NULL : i->config;
    struct init_change changes[INIT_CHANGES_MAX];
    struct init_commands c;
    struct buf b;
    size_t n = 0;
    int rc;

    memset(&c, 0, sizeof c);
    buf_init(&b, 256 * 1024);
    rc = init_server_commands(&c, config, &i->msg, e);
    if (rc == 0) {
        n = init_server_changes(&i->server, &c, changes);
        rc = say_repository(i, &b, e);
    }
    if (rc == 0 && i->apply)
        rc = init_server_apply(&i->server, changes, n, e);
    if (rc == 0)
        rc = say_settings(i, &c, changes, n, &b, e);
    if (rc == 0)
        rc = say_recovery_key(i, &b, e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    init_server_commands_fini(&c);
    return rc;
}

int cmd_init(int argc, char **argv)
{
    struct options o = {0};
    const struct opt_set sets[] = {
        {"Options", options, sizeof options / sizeof options[0], &o, NULL, NULL},
        pgconn_flags_set(&o.connection)};
    struct opt_args args;
    struct init *i;
    struct err e = {0};
    int status;

    if (command_parse(&program, sets, 2, argc, argv, &args, &status) != 0)
        return status;
    i = calloc(1, sizeof *i);
    if (i == NULL)
        return STATUS_PROBLEM;
    i->msg = (struct msg){program.name, MSG_NORMAL, false};
    i->lock = -1;
    buf_init(&i->said, SAID_MAX);
    i->store.root = (struct os_root)OS_ROOT_INIT;
    settings_init(&i->s);
    status = prepare(i, &o, &e) == 0 && make(i, &e) == 0 && report(i, &e) == 0
                 ? STATUS_OK
                 : command_fail(&i->msg, &e);
    init_repo_close(i);
    init_server_close(&i->server);
    settings_fini(&i->s);
    key_host_wipe(&i->host);
    key_recovery_wipe(&i->recovery);
    buf_fini(&i->said);
    free(i);
    return status;
}

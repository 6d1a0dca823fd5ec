/* The questions about the server and this host. */
#include <stdio.h>
#include <string.h>

#include "repo/judge_inside.h"

/* --- settings --- */

static bool bad_setting(struct judge *j, const char *next, const char *text)
{
    judge_say(j, "settings", JUDGE_CRITICAL, next, "%s", text);
    return true;
}

/* The first that would break a recovery or the archive. */
static bool breaks(struct judge *j)
{
    const struct judge_pg *pg = &j->f->pg;

    if (!pg->fsync)
        return bad_setting(j, "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();",
                           "fsync is off: a power cut can ruin the database, and its WAL with it");
    if (!pg->full_page_writes)
        return bad_setting(j, "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();",
                           "full_page_writes is off: pages torn by a crash cannot be mended from "
                           "WAL");
    if (j->f->dumps_only)
        return false;
    if (pg->wal_minimal)
        return bad_setting(j, "walden init --apply, then restart the server",
                           "wal_level is minimal: the WAL cannot be used for a recovery");
    if (!pg->archives)
        return bad_setting(j, "walden init --apply, then restart the server",
                           pg->pending_restart
                               ? "archive_mode was switched on, but takes effect with a restart of "
                                 "the server only"
                               : "archive_mode is off: nothing more is archived");
    if (pg->archive_library[0] != '\0' ||
        (pg->archive_command[0] != '\0' && !pg->command_is_ours)) {
        judge_say(j, "settings", JUDGE_CRITICAL,
                  "walden init shows the right value; --apply sets it where nothing else is set",
                  "another program archives: %s is \"%s\"",
                  pg->archive_library[0] != '\0' ? "archive_library" : "archive_command",
                  pg->archive_library[0] != '\0' ? pg->archive_library : pg->archive_command);
        return true;
    }
    if (pg->archive_command[0] == '\0')
        return bad_setting(j, "walden init --apply",
                           "archive_command is empty: WAL piles up and is not archived");
    return false;
}

static void settings(struct judge *j)
{
    const struct judge_pg *pg = &j->f->pg;
    const char *sums = pg->checksums ? ""
                                     : "; data checksums are off, so silent damage of data pages "
                                       "shows late";

    if (breaks(j))
        return;
    if (!j->f->dumps_only && pg->archive_timeout == 0)
        judge_say(
            j, "settings", JUDGE_WARNING,
            "ALTER SYSTEM SET archive_timeout = '5min'; SELECT pg_reload_conf();",
            "archive_timeout is 0: a quiet server keeps its last segment to itself, for hours "
            "perhaps%s",
            sums);
    else if (pg->in_recovery && pg->archives && !pg->archive_standby && !j->f->dumps_only)
        judge_say(j, "settings", JUDGE_OK, NULL,
                  "this is a standby, which archives only once it is promoted%s", sums);
    else
        judge_say(j, "settings", JUDGE_OK, NULL, "the server is set up for archiving%s", sums);
}

/* --- the archiver --- */

/* failed_count is no evidence: an archive_command that cannot be executed, or ends by a signal, is
 * not counted.  What waits, and for how long, is. */
static void archiver(struct judge *j)
{
    const struct judge_pg *pg = &j->f->pg;
    uint64_t age = judge_since(j, pg->oldest_ready);
    bool fails = pg->stats && pg->last_failed != JUDGE_NEVER &&
                 (pg->last_archived == JUDGE_NEVER || pg->last_failed > pg->last_archived);
    enum judge_state state = judge_against(age, j->l->wal_age / 2);
    char text[JUDGE_AGE_MAX];
    char count[64];

    judge_age(text, age);
    if (!pg->ready_known && !fails) {
        judge_say(j, "archiver", JUDGE_UNKNOWN,
                  "GRANT pg_monitor to the role that checks, or run check as the server's user",
                  "how much WAL waits to be archived cannot be seen");
        return;
    }
    if (pg->ready == 0 && !fails) {
        judge_say(j, "archiver", JUDGE_OK, NULL, "no WAL waits to be archived");
        return;
    }
    (void)snprintf(count, sizeof count, "%llu file%s wait%s", (unsigned long long)pg->ready,
                   pg->ready == 1 ? "" : "s", pg->ready == 1 ? "s" : "");
    if (fails)
        judge_say(j, "archiver", judge_worse(JUDGE_WARNING, state), "walden doctor",
                  "archive_command fails, last for %s (%llu failures counted); %s, the oldest for "
                  "%s; the server's log says why",
                  pg->last_failed_wal, (unsigned long long)pg->failed, count, text);
    else if (state == JUDGE_OK)
        judge_say(j, "archiver", JUDGE_OK, NULL, "%s to be archived, the oldest for %s", count,
                  text);
    else
        judge_say(
            j, "archiver", state, "walden doctor",
            "the archiver is dead or hangs: %s, the oldest for %s, and the server counts no "
            "failure (that is what an archive_command looks like that cannot be run: exit 127)",
            count, text);
}

/* --- pg_wal and slots --- */

static void pg_wal(struct judge *j)
{
    const struct judge_pg *pg = &j->f->pg;
    struct judge_space s = pg->wal_space;
    enum judge_state state = JUDGE_OK;
    char size[JUDGE_AGE_MAX];
    char room[200] = "";

    if (!pg->wal_known && !s.known) {
        judge_say(j, "pg_wal", JUDGE_UNKNOWN,
                  "GRANT pg_monitor to the role that checks, or run check on the server's host",
                  "the size of pg_wal cannot be seen");
        return;
    }
    judge_bytes(size, pg->wal_bytes);
    /* WAL that is recycled takes no more room: it grows only while something keeps it. */
    s.grows = pg->ready > 2 || pg->slots > 0 ? pg->wal_rate : 0;
    if (s.known)
        state = judge_room(j, &s, room, sizeof room);
    judge_say(j, "pg_wal", state,
              state == JUDGE_OK ? NULL : "walden doctor; a full pg_wal stops the server",
              "pg_wal holds %s%s%s", pg->wal_known ? size : "an unknown amount",
              room[0] != '\0' ? "; " : "", room);
}

static void slots(struct judge *j)
{
    const struct judge_pg *pg = &j->f->pg;
    const struct judge_slot *worst = NULL;
    char size[JUDGE_AGE_MAX];

    if (!pg->slots_known || pg->slots == 0)
        return;
    for (unsigned i = 0; i < pg->slots; i++) {
        const struct judge_slot *s = &pg->slot[i];

        if (s->lost) {
            judge_say(j, "slots", JUDGE_WARNING,
                      "SELECT pg_drop_replication_slot('...') if nobody needs it",
                      "replication slot \"%s\" has lost WAL that its reader needs", s->name);
            return;
        }
        if (!s->active && (worst == NULL || s->retained > worst->retained))
            worst = s;
    }
    if (worst == NULL) {
        judge_say(j, "slots", JUDGE_OK, NULL, "all replication slots are in use");
        return;
    }
    judge_bytes(size, worst->retained);
    if (worst->retained < UINT64_C(1) << 30)
        judge_say(j, "slots", JUDGE_OK, NULL, "replication slot \"%s\" is idle and keeps %s of WAL",
                  worst->name, size);
    else
        judge_say(j, "slots", JUDGE_WARNING,
                  "start its reader, or SELECT pg_drop_replication_slot('...')",
                  "replication slot \"%s\" has no reader and keeps %s of WAL, %s", worst->name,
                  size, pg->slot_limit ? "up to max_slot_wal_keep_size" : "without a limit");
}

void judge_server(struct judge *j)
{
    const struct judge_pg *pg = &j->f->pg;

    if (pg->state == JUDGE_SERVER_NONE && !pg->ready_known)
        return;
    if (pg->state == JUDGE_SERVER_AWAY)
        judge_say(
            j, "server", JUDGE_UNKNOWN,
            "start the server, or say where it is: -h, -p, -U, PGHOST; --no-server leaves it out",
            "the server cannot be asked: %s", pg->why);
    if (pg->state == JUDGE_SERVER_OK) {
        judge_say(j, "server", JUDGE_OK, NULL, "the server answers%s",
                  pg->in_recovery ? " (in recovery)" : "");
        settings(j);
    }
    if (j->f->dumps_only)
        return;
    if (pg->state == JUDGE_SERVER_OK &&
        (!pg->archives || (pg->in_recovery && !pg->archive_standby)))
        return; /* nothing is handed to an archiver there */
    if (pg->ready_known || pg->state == JUDGE_SERVER_OK)
        archiver(j);
    if (pg->wal_known || pg->wal_space.known || pg->state == JUDGE_SERVER_OK)
        pg_wal(j);
    slots(j);
}

/* --- this host --- */

static void keys(struct judge *j)
{
    const struct judge_host *h = &j->f->host;

    if (h->keys == 0)
        return;
    for (unsigned i = 0; i < h->keys; i++) {
        const struct judge_key *k = &h->key[i];
        char next[JUDGE_NEXT_MAX];

        if (k->missing) {
            judge_say(j, "keys", JUDGE_CRITICAL, "bring it back, or correct the configuration",
                      "key file %s is not there", k->path);
            return;
        }
        if (k->others) {
            (void)snprintf(next, sizeof next, "chmod 600 %.300s; and think about a new key",
                           k->path);
            judge_say(j, "keys", JUDGE_CRITICAL, next, "key file %s can be read by others",
                      k->path);
            return;
        }
    }
    for (unsigned i = 0; i < h->keys; i++)
        if (h->key[i].secret && h->is_database_host) {
            judge_say(
                j, "keys", JUDGE_WARNING,
                "move it to a stick or another host, then take secret_key out of the configuration",
                "the secret key %s lies on the database host: who takes the host can read "
                "every backup",
                h->key[i].path);
            return;
        }
    judge_say(j, "keys", JUDGE_OK, NULL, "the keys are private%s",
              h->is_database_host ? ", and none here opens a backup by itself" : "");
}

void judge_this_host(struct judge *j)
{
    const struct judge_host *h = &j->f->host;

    keys(j);
    if (h->dropped_history[0] != '\0')
        judge_say(j, "dropped", JUDGE_CRITICAL,
                  "walden-archive on that file in pg_wal, in the data directory",
                  "%s was dropped instead of archived (on_trouble = drop-and-record): nothing of "
                  "its timeline can be restored without it, from no backup",
                  h->dropped_history);
    else if (h->dropped > 0)
        judge_say(j, "dropped", JUDGE_CRITICAL, "walden backup",
                  "%llu segment%s dropped instead of archived (on_trouble = drop-and-record), the "
                  "first %s: nothing after it can be restored until there is a new base backup",
                  (unsigned long long)h->dropped, h->dropped == 1 ? " was" : "s were",
                  h->first_dropped);
    else if (h->drops)
        judge_say(j, "dropped", JUDGE_OK, NULL, "on_trouble is drop-and-record; no gap is open");
    if (h->config_error[0] != '\0')
        judge_say(j, "configuration", JUDGE_WARNING,
                  h->config_hint[0] != '\0' ? h->config_hint : NULL,
                  "the hooks pass over a mistake in the configuration: %s", h->config_error);
}

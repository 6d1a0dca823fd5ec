/*
 * walden keep: pins.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "object/secret.h"
#include "os/time.h"
#include "repo/backup_list.h"
#include "repo/dump_list.h"
#include "repo/expired.h"
#include "repo/moment.h"
#include "repo/pin.h"
#include "repo/verified.h"
#include "restore.h"
#include "survey.h"

enum { KEEP_SCHEMA = 1, PINS_MAX = 100 * 1000 };

struct options {
    const char *until;
    const char *reason;
    bool release;
    bool json;
};

#define MINE(field) .offset = offsetof(struct options, field)

static const struct opt options[] = {
    {.name = "until",
     .kind = OPT_TEXT,
     .arg = "TIME",
     MINE(until),
     .help = "the pin holds until then: a day, and all of it, or a time (default: until it is "
             "released)"},
    {.name = "reason",
     .kind = OPT_TEXT,
     .arg = "TEXT",
     MINE(reason),
     .help = "why, for those who wonder later"},
    {.name = "release", .kind = OPT_FLAG, MINE(release), .help = "let go: the rules decide again"},
    {.name = "json", .kind = OPT_FLAG, MINE(json), .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden keep",
    .operands = "[LABEL]",
    .summary = "pin a backup or dump, so that it never expires; without LABEL, list the pins",
    .examples = "walden keep 00000001-000000000A000028-4f3a91 --reason 'before the upgrade'\n"
                "walden keep 00000001-000000000A000028-4f3a91 --until 2027-12-31\n"
                "walden keep shop/20260221T030000Z-17              a dump; shop alone: its newest\n"
                "walden keep                                       what is pinned\n"
                "walden keep --release 00000001-000000000A000028-4f3a91\n",
    .exits = "0    done\n"
             "1    there is no such backup or dump, or no such pin\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety\n"
             "130  interrupted\n",
    .args_max = 1,
};

struct run {
    const struct msg *m;
    const struct settings *s;
    const struct options *o;
    struct repo repo;
    struct object_reader scratch;
    struct pins pins;
};

/* --- showing --- */

static bool holds(const struct pin *p, int64_t now)
{
    return p->until == 0 || p->until > now;
}

static int show(const struct run *r, struct buf *out, struct err *e)
{
    int64_t now = os_real_us();
    char made[SURVEY_TIME_MAX];
    char until[SURVEY_TIME_MAX];

    if (r->pins.n == 0)
        return buf_str(out, "nothing is pinned\n", e);
    for (size_t i = 0; i < r->pins.n; i++) {
        const struct pin *p = &r->pins.v[i];

        survey_time(made, p->made);
        survey_time(until, p->until);
        if (buf_fmt(out, e, "%s %s\n    since   %s\n    until   %s%s\n",
                    p->kind == KIND_DUMP ? "dump" : "backup", p->label, made,
                    p->until == 0 ? "it is released" : until,
                    holds(p, now) ? "" : ": over, the rules decide") != 0 ||
            (p->reason[0] != '\0' && buf_fmt(out, e, "    reason  %s\n", p->reason) != 0))
            return -1;
    }
    return 0;
}

static int print_text(const struct run *r, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    rc = show(r, &b, e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static int print_json(const struct run *r, struct err *e)
{
    int64_t now = os_real_us();
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", KEEP_SCHEMA);
    json_str(&j, "repository", r->s->repo);
    json_str(&j, "cluster", r->repo.where.cluster);
    json_fmt(&j, "system_id", "%llu", (unsigned long long)r->repo.where.system_id);
    json_array(&j, "pins");
    for (size_t i = 0; i < r->pins.n; i++) {
        const struct pin *p = &r->pins.v[i];

        json_object(&j, NULL);
        json_str(&j, "kind", p->kind == KIND_DUMP ? "dump" : "backup");
        json_str(&j, "label", p->label);
        survey_json_time(&j, "since", p->made);
        survey_json_time(&j, "until", p->until == 0 ? COVERAGE_NO_TIME : p->until);
        json_str(&j, "reason", p->reason);
        json_bool(&j, "holds", holds(p, now));
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

/* --- pinning --- */

/* A day alone means all of it. */
static int take_until(const struct run *r, int64_t *until, struct err *e)
{
    bool assumed;

    *until = 0;
    if (r->o->until == NULL)
        return 0;
    if (moment_parse(r->o->until, MOMENT_DAY_ENDS, os_real_us(), until, &assumed, e) != 0)
        return err_context(e, "--until");
    if (*until <= os_real_us())
        return err_set(e, ERR_USAGE, "--until: that is over already");
    return 0;
}

struct guess {
    struct text_closest near;
    char best[MANIFEST_LABEL_MAX]; /* names are gone after the listing */
};

static int closest(void *arg, const char *name, struct err *e)
{
    struct guess *g = arg;

    (void)e;
    text_closest_try(&g->near, name);
    if (g->near.best == name)
        (void)snprintf(g->best, sizeof g->best, "%s", name);
    return 0;
}

static int no_such(struct run *r, const char *label, struct err *e)
{
    struct guess guess = {.best = ""};

    text_closest_init(&guess.near, label);
    if (store_each_object(&r->repo.store, &r->repo.where, KIND_MANIFEST, closest, &guess, e) != 0)
        return -1;
    (void)err_set(e, ERR_HOLE, "there is no backup or dump \"%s\"", label);
    return guess.best[0] == '\0' ? err_hint(e, "\"walden list\" shows what there is.")
                                 : err_hint(e, "Did you mean \"%s\"?", guess.best);
}

/* A dump, as get takes it: a label, JOB/LABEL, or a job for its newest. */
static int find_dump(struct run *r, const char *label, struct pin *p, struct err *e)
{
    const struct dump_item *found = NULL;
    struct dump_list list;
    struct err why = {0};
    int rc = dump_list_read(&list, &r->repo, NULL, &r->scratch, e);

    if (rc == 0)
        found = dump_list_find(&list, label, INT64_MAX, &why);
    if (found != NULL) {
        p->kind = KIND_DUMP;
        (void)snprintf(p->label, sizeof p->label, "%s/%s", found->job, found->label);
    } else if (rc == 0) {
        bool any = false;

        for (size_t i = 0; i < list.n && !any; i++)
            any = strcmp(list.v[i].label, label) == 0;
        rc = -1;
        if (any || why.code != ERR_USAGE) /* several, or it cannot be read */
            *e = why;
        else
            rc = no_such(r, label, e);
    }
    dump_list_fini(&list);
    return rc;
}

/* Is it there?  0 with its kind and full label, -1. */
static int find(struct run *r, const char *label, struct pin *p, struct err *e)
{
    struct store_name name = {.kind = KIND_MANIFEST, .name = label};
    int rc = STORE_ABSENT;

    p->kind = KIND_MANIFEST;
    if (strlen(label) < sizeof p->label)
        (void)snprintf(p->label, sizeof p->label, "%s", label);
    if (backup_list_is_label(label))
        rc = store_has(&r->repo.store, &r->repo.where, &name, e);
    if (rc <= 0)
        return rc;
    return find_dump(r, label, p, e);
}

/* Expire publishes what it condemns, then reads the pins; we published the pin, then read that. */
static int is_too_late(struct run *r, const struct pin *p, struct err *e)
{
    struct expired x;
    int rc;

    expired_init(&x);
    rc = expired_read_condemned(&x, &r->repo, &r->scratch, e);
    if (rc == 0 && expired_find(&x, p->kind, p->label) != NULL)
        rc = 1;
    expired_fini(&x);
    return rc;
}

static int pin(struct run *r, const char *label, struct err *e)
{
    struct pin p = {.made = os_real_us()};
    struct err quiet = {0};
    int rc;

    if (find(r, label, &p, e) != 0 || take_until(r, &p.until, e) != 0)
        return -1;
    if (r->o->reason != NULL)
        (void)text_visible(p.reason, sizeof p.reason, r->o->reason, strlen(r->o->reason));
    if (pin_put(&p, &r->repo, e) != 0)
        return -1;
    rc = is_too_late(r, &p, e);
    if (rc > 0) {
        (void)!pin_release(&p, &r->repo, &quiet); /* it would keep nothing */
        (void)err_set(e, ERR_HOLE, "\"%s\" is being removed by walden expire right now", p.label);
        return err_hint(e, "If \"walden list\" still shows it when that has ended, try again.");
    }
    if (rc == 0)
        printf("%s is pinned\n", p.label);
    return rc;
}

/* By the pin's own name: also one that cannot be read. */
static int release_pin(struct run *r, const char *name, struct err *e)
{
    struct pin p = {.made = 0};
    int rc;

    (void)snprintf(p.name, sizeof p.name, "%s", name);
    rc = pin_release(&p, &r->repo, e);
    if (rc == 0)
        printf("%s is gone; the rules decide about what it kept with the next walden expire\n",
               name);
    return rc <= 0 ? rc : err_set(e, ERR_HOLE, "there is no pin \"%s\"", name);
}

static bool is_meant(const struct pin *p, const char *label)
{
    const char *leaf = p->kind == KIND_DUMP ? strchr(p->label, '/') : NULL;

    return strcmp(p->label, label) == 0 || (leaf != NULL && strcmp(leaf + 1, label) == 0);
}

static int release(struct run *r, const char *label, struct err *e)
{
    unsigned n = 0;

    for (size_t i = 0; i < r->pins.n; i++)
        if (is_meant(&r->pins.v[i], label)) {
            if (pin_release(&r->pins.v[i], &r->repo, e) < 0)
                return -1;
            n++;
        }
    if (n == 0) {
        (void)err_set(e, ERR_HOLE, "\"%s\" is not pinned", label);
        return err_hint(e, "\"walden keep\" shows what is.");
    }
    printf("%s is released; the rules decide about it with the next walden expire\n", label);
    return 0;
}

static int check(struct run *r, const char *label, struct err *e)
{
    const char *why;

    if (label == NULL && (r->o->release || r->o->until != NULL || r->o->reason != NULL)) {
        (void)err_set(e, ERR_USAGE, "no label was given");
        return err_hint(e, "\"walden list\" shows the labels.");
    }
    if (r->o->release && (r->o->until != NULL || r->o->reason != NULL))
        return err_set(e, ERR_USAGE, "--release goes with neither --until nor --reason");
    if (label == NULL)
        return 0;
    if (r->o->json)
        return err_set(e, ERR_USAGE, "--json is for the list of pins, without a label");
    why = verified_may_not(&r->repo);
    if (why == NULL)
        return 0;
    (void)err_set(e, ERR_REFUSED, "nothing can be pinned: %s", why);
    return err_hint(e, "Run it as the user that the repository belongs to, on a host that writes "
                       "it.");
}

static int keep(struct run *r, const char *label, struct err *e)
{
    int rc;

    pins_init(&r->pins, PINS_MAX);
    if (secret_start(e) != 0 ||
        repo_open(&r->repo, r->s, label == NULL ? REPO_READ : REPO_WRITE | REPO_COPY_TOO, e) != 0)
        return -1;
    rc = check(r, label, e);
    if (rc == 0 && label != NULL && r->o->release && pin_is_name(label)) {
        rc = release_pin(r, label, e);
        goto out;
    }
    if (rc == 0 && (label == NULL || r->o->release))
        rc = pins_read(&r->pins, &r->repo, &r->scratch, e);
    if (rc == 0 && label == NULL)
        rc = r->o->json ? print_json(r, e) : print_text(r, e);
    else if (rc == 0)
        rc = r->o->release ? release(r, label, e) : pin(r, label, e);
out:
    pins_fini(&r->pins);
    repo_close(&r->repo);
    return rc;
}

static int body(const struct command_call *c, struct err *e)
{
    struct run *r = calloc(1, sizeof *r);
    int status;

    if (r == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the repository with");
    *r = (struct run){.m = c->m, .s = c->s, .o = c->mine};
    status = keep(r, c->operand, e);
    free(r);
    return status;
}

int cmd_keep(int argc, char **argv)
{
    struct options mine = {0};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}

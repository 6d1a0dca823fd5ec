#include "repo/copied.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "object/record.h"

void copied_init(struct copied *c)
{
    memset(c, 0, sizeof *c);
    copied_objects_init(&c->objects, COPIED_MAX);
    copied_ranges_init(&c->ranges, COPIED_MAX);
}

void copied_fini(struct copied *c)
{
    copied_objects_fini(&c->objects);
    copied_ranges_fini(&c->ranges);
}

void copied_file(char out[COPIED_FILE_MAX], const char *name)
{
    (void)snprintf(out, COPIED_FILE_MAX, "copied-%.64s", name);
}

int copied_add_object(struct copied *c, enum object_kind kind, const char *place, const char *name,
                      struct err *e)
{
    struct copied_object *o = copied_objects_add(&c->objects, e);

    if (o == NULL)
        return -1;
    o->kind = kind;
    (void)snprintf(o->place, sizeof o->place, "%s", place);
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    return 0;
}

int copied_add_wal(struct copied *c, const char *place, tli_t tli, lsn_t from, lsn_t to,
                   struct err *e)
{
    struct copied_range *last = c->ranges.n == 0 ? NULL : &c->ranges.v[c->ranges.n - 1];

    if (last == NULL || last->tli != tli || last->to != from || strcmp(last->place, place) != 0) {
        last = copied_ranges_add(&c->ranges, e);
        if (last == NULL)
            return -1;
        (void)snprintf(last->place, sizeof last->place, "%s", place);
        last->tli = tli;
        last->from = from;
    }
    last->to = to;
    return 0;
}

bool copied_has_object(const struct copied *c, enum object_kind kind, const char *place,
                       const char *name)
{
    for (size_t i = 0; i < c->objects.n; i++) {
        const struct copied_object *o = &c->objects.v[i];

        if (o->kind == kind && strcmp(o->name, name) == 0 && strcmp(o->place, place) == 0)
            return true;
    }
    return false;
}

bool copied_has_wal(const struct copied *c, const char *place, tli_t tli, lsn_t from, lsn_t to)
{
    for (size_t i = 0; i < c->ranges.n; i++) {
        const struct copied_range *r = &c->ranges.v[i];

        if (r->tli == tli && r->from <= from && r->to >= to && strcmp(r->place, place) == 0)
            return true;
    }
    return false;
}

/* --- as text --- */

static int take_wal(struct copied *c, const struct record *r, const struct record_line *l,
                    struct err *e)
{
    struct err bad = {0};
    uint64_t tli;
    uint64_t from;
    uint64_t to;

    if (record_expect(r, l, 5, e) != 0)
        return -1;
    if (parse_hex(l->word[2], UINT32_MAX, &tli, &bad) != 0 ||
        parse_lsn(l->word[3], &from, &bad) != 0 || parse_lsn(l->word[4], &to, &bad) != 0 ||
        from >= to || strlen(l->word[1]) >= COPIED_PLACE_MAX)
        return record_bad(r, "impossible range of WAL", e);
    return copied_add_wal(c, l->word[1], (tli_t)tli, from, to, e);
}

static int take_object(struct copied *c, enum object_kind kind, const struct record *r,
                       const struct record_line *l, struct err *e)
{
    if (record_expect(r, l, 3, e) != 0)
        return -1;
    if (strlen(l->word[1]) >= COPIED_PLACE_MAX || strlen(l->word[2]) >= EXPIRED_NAME_MAX)
        return record_bad(r, "a name is too long", e);
    return copied_add_object(c, kind, l->word[1], l->word[2], e);
}

static int take_fact(struct copied *c, const struct record *r, const struct record_line *l,
                     unsigned *seen, struct err *e)
{
    const char *word = l->word[0];
    struct err bad = {0};

    if (record_expect(r, l, 2, e) != 0)
        return -1;
    if (strcmp(word, "repo") == 0) {
        *seen |= 1;
        return record_bytes(r, l, 1, c->repo, sizeof c->repo, e);
    }
    if (strcmp(word, "name") == 0) {
        *seen |= 2;
        if (parse_name(l->word[1], &bad) != 0)
            return record_bad(r, "impossible name", e);
        (void)snprintf(c->name, sizeof c->name, "%s", l->word[1]);
        return 0;
    }
    if (strcmp(word, "copy") == 0) {
        *seen |= 4;
        return record_bytes(r, l, 1, c->copy, sizeof c->copy, e);
    }
    if (strcmp(word, "time") == 0) {
        *seen |= 8;
        return parse_i64(l->word[1], 0, INT64_MAX, &c->time, &bad) == 0
                   ? 0
                   : record_bad(r, "impossible time", e);
    }
    if (strcmp(word, "state") == 0) {
        c->whole = strcmp(l->word[1], "whole") == 0;
        return 0;
    }
    return record_bad(r, "it has a line of an unknown kind", e);
}

int copied_read(struct copied *c, const char *text, size_t len, const char *what, struct err *e)
{
    struct record r;
    struct record_line l;
    unsigned seen = 0;
    int rc;

    if (record_open(&r, "copied", text, len, what, e) != 0)
        return -1;
    while ((rc = record_next(&r, &l, e)) == 1) {
        const char *word = l.word[0];

        if (strcmp(word, "wal") == 0)
            rc = take_wal(c, &r, &l, e);
        else if (strcmp(word, "backup") == 0)
            rc = take_object(c, KIND_MANIFEST, &r, &l, e);
        else if (strcmp(word, "dump") == 0)
            rc = take_object(c, KIND_DUMP, &r, &l, e);
        else
            rc = take_fact(c, &r, &l, &seen, e);
        if (rc != 0)
            return -1;
    }
    if (rc == 0 && seen != 15)
        rc = record_bad(&r, "it lacks a line", e);
    return rc;
}

int copied_write(struct buf *b, const struct copied *c, struct err *e)
{
    if (record_begin(b, "copied", e) != 0 ||
        record_hex(b, "repo", c->repo, sizeof c->repo, "", e) != 0 ||
        buf_fmt(b, e, "name %s\n", c->name) != 0 ||
        record_hex(b, "copy", c->copy, sizeof c->copy, "", e) != 0 ||
        buf_fmt(b, e, "time %lld\nstate %s\n", (long long)c->time, c->whole ? "whole" : "part") !=
            0)
        return -1;
    for (size_t i = 0; i < c->ranges.n; i++) {
        const struct copied_range *r = &c->ranges.v[i];

        if (buf_fmt(b, e, "wal %s %08X %X/%X %X/%X\n", r->place, (unsigned)r->tli,
                    (unsigned)(r->from >> 32), (unsigned)r->from, (unsigned)(r->to >> 32),
                    (unsigned)r->to) != 0)
            return -1;
    }
    for (size_t i = 0; i < c->objects.n; i++) {
        const struct copied_object *o = &c->objects.v[i];

        if (buf_fmt(b, e, "%s %s %s\n", o->kind == KIND_DUMP ? "dump" : "backup", o->place,
                    o->name) != 0)
            return -1;
    }
    return record_end(b, e);
}

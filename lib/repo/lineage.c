#include "repo/lineage.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "object/record.h"
#include "pg/walname.h"

static int read_host(struct lineage *l, const struct record *r, const struct record_line *line,
                     struct err *e)
{
    struct lineage_host *h = &l->host[l->count];
    struct err bad = {0};

    if (record_expect(r, line, 5, e) != 0)
        return -1;
    if (l->count == LINEAGE_HOSTS_MAX || parse_name(line->word[4], &bad) != 0)
        return record_bad(r, "too many hosts, or one with an impossible name", e);
    (void)snprintf(h->name, sizeof h->name, "%s", line->word[4]);
    l->count++;
    if (record_bytes(r, line, 1, h->sign, SECRET_KEY, e) != 0 ||
        record_bytes(r, line, 2, h->issuer, SECRET_KEY, e) != 0)
        return -1;
    return record_bytes(r, line, 3, h->signature, FRAME_SIGNATURE, e);
}

static int read_line(struct lineage *l, const struct record *r, const struct record_line *line,
                     struct err *e)
{
    const char *word = line->word[0];
    struct err bad = {0};
    int rc;

    if (strcmp(word, "host") == 0)
        return read_host(l, r, line, e);
    if (record_expect(r, line, 2, e) != 0)
        return -1;
    if (strcmp(word, "repo") == 0)
        return record_bytes(r, line, 1, l->repo_id, sizeof l->repo_id, e);
    if (strcmp(word, "cluster") == 0) {
        rc = parse_name(line->word[1], &bad);
        (void)snprintf(l->cluster, sizeof l->cluster, "%s", line->word[1]);
    } else if (strcmp(word, "system-id") == 0) {
        rc = parse_u64(line->word[1], 1, UINT64_MAX, &l->system_id, &bad);
    } else if (strcmp(word, "major") == 0) {
        rc = parse_u32(line->word[1], 1, 1000, &l->major, &bad);
    } else if (strcmp(word, "segment-size") == 0) {
        rc = parse_u32(line->word[1], WALNAME_SEGSIZE_MIN, WALNAME_SEGSIZE_MAX, &l->segment_size,
                       &bad);
    } else {
        return record_bad(r, "it has a line of an unknown kind", e);
    }
    return rc == 0 ? 0 : record_bad(r, bad.msg, e);
}

int lineage_read(struct lineage *l, const char *text, size_t len, const char *what, struct err *e)
{
    struct record r;
    struct record_line line;
    int rc;

    memset(l, 0, sizeof *l);
    if (record_open(&r, "cluster", text, len, what, e) != 0)
        return -1;
    while ((rc = record_next(&r, &line, e)) == 1)
        if (read_line(l, &r, &line, e) != 0)
            return -1;
    if (rc != 0)
        return -1;
    if (l->cluster[0] == '\0' || l->system_id == 0 || l->major == 0 ||
        !walname_is_segsize(l->segment_size))
        return record_bad(&r, "a line is missing", e);
    return 0;
}

int lineage_write(struct buf *b, const struct lineage *l, struct err *e)
{
    if (record_begin(b, "cluster", e) != 0 ||
        record_hex(b, "repo", l->repo_id, sizeof l->repo_id, "", e) != 0 ||
        buf_fmt(b, e, "cluster %s\nsystem-id %llu\nmajor %u\nsegment-size %u\n", l->cluster,
                (unsigned long long)l->system_id, (unsigned)l->major,
                (unsigned)l->segment_size) != 0)
        return -1;
    for (unsigned i = 0; i < l->count; i++) {
        const struct lineage_host *h = &l->host[i];
        char issuer[2 * SECRET_KEY + 1];
        char signature[2 * FRAME_SIGNATURE + 1];
        char rest[sizeof issuer + sizeof signature + KEY_NAME_MAX + 2];

        text_hex(issuer, h->issuer, SECRET_KEY);
        text_hex(signature, h->signature, FRAME_SIGNATURE);
        (void)snprintf(rest, sizeof rest, "%s %s %s", issuer, signature, h->name);
        if (record_hex(b, "host", h->sign, SECRET_KEY, rest, e) != 0)
            return -1;
    }
    return record_end(b, e);
}

static struct trust_certificate certificate(const struct lineage *l, const struct lineage_host *h)
{
    struct trust_certificate c;

    memcpy(c.sign, h->sign, sizeof c.sign);
    memcpy(c.issuer, h->issuer, sizeof c.issuer);
    memcpy(c.signature, h->signature, sizeof c.signature);
    c.system_id = l->system_id;
    c.cluster = l->cluster;
    c.host = h->name;
    return c;
}

int lineage_certify(struct lineage *l, const uint8_t sign[SECRET_KEY], const char *host,
                    const uint8_t issuer[SECRET_KEY], const uint8_t issuer_secret[SECRET_SIGN],
                    struct err *e)
{
    struct lineage_host *h = &l->host[l->count];
    struct trust_certificate c;

    for (unsigned i = 0; i < l->count; i++)
        if (memcmp(l->host[i].sign, sign, SECRET_KEY) == 0)
            return 1;
    if (l->count == LINEAGE_HOSTS_MAX)
        return err_set(e, ERR_REFUSED, "cluster \"%s\" has %d host keys already", l->cluster,
                       LINEAGE_HOSTS_MAX);
    memcpy(h->sign, sign, SECRET_KEY);
    (void)snprintf(h->name, sizeof h->name, "%s", host);
    c = certificate(l, h);
    c.system_id = 0; /* so that the next lineage (after pg_upgrade) can take the line over */
    trust_certify(&c, l->repo_id, issuer, issuer_secret);
    memcpy(h->issuer, c.issuer, sizeof h->issuer);
    memcpy(h->signature, c.signature, sizeof h->signature);
    l->count++;
    return 0;
}

int lineage_adopt(struct lineage *l, const struct lineage *from, const struct trust *proven,
                  struct err *e)
{
    for (unsigned i = 0; i < from->count; i++) {
        uint8_t id[KEY_ID];
        bool here = false;

        secret_key_id(id, from->host[i].sign);
        for (unsigned k = 0; k < l->count; k++)
            here = here || memcmp(l->host[k].sign, from->host[i].sign, SECRET_KEY) == 0;
        if (here || trust_find(proven, id) == NULL)
            continue;
        if (l->count == LINEAGE_HOSTS_MAX)
            return err_set(e, ERR_REFUSED, "cluster \"%s\" has %d host keys already", l->cluster,
                           LINEAGE_HOSTS_MAX);
        l->host[l->count++] = from->host[i];
    }
    return 0;
}

void lineage_trust(const struct lineage *l, struct trust *t)
{
    bool more = true;

    while (more) {
        more = false;
        for (unsigned i = 0; i < l->count; i++) {
            struct trust_certificate c = certificate(l, &l->host[i]);

            if (trust_add(t, &c))
                more = true;
        }
    }
}

enum { TIMELINES_MAX = 100000, OBJECTS_MAX = 1000000 };

void sealed_from_init(struct sealed_from *s)
{
    s->segment_size = 0;
    sealed_from_timelines_init(&s->timelines, TIMELINES_MAX);
    sealed_from_objects_init(&s->objects, OBJECTS_MAX);
}

void sealed_from_fini(struct sealed_from *s)
{
    sealed_from_timelines_fini(&s->timelines);
    sealed_from_objects_fini(&s->objects);
}

static int read_from(struct sealed_from *s, const struct record *r, const struct record_line *line,
                     struct err *e)
{
    struct sealed_from_timeline *t = sealed_from_timelines_add(&s->timelines, e);
    struct err bad = {0};
    uint64_t timeline = 0;

    if (t == NULL || record_expect(r, line, 3, e) != 0)
        return -1;
    if (parse_hex(line->word[1], UINT32_MAX, &timeline, &bad) != 0 ||
        parse_lsn(line->word[2], &t->lsn, &bad) != 0)
        return record_bad(r, bad.msg, e);
    t->timeline = (uint32_t)timeline;
    return 0;
}

static int read_plain(struct sealed_from *s, const struct record *r, const struct record_line *line,
                      struct err *e)
{
    struct sealed_from_object *o = sealed_from_objects_add(&s->objects, e);
    struct err bad = {0};

    if (o == NULL || record_expect(r, line, 4, e) != 0)
        return -1;
    if (parse_u32(line->word[1], KIND_SEGMENT, KIND_LAST, &o->kind, &bad) != 0 ||
        strlen(line->word[2]) > SEALED_FROM_NAME)
        return record_bad(r, "an object of an impossible kind or name", e);
    (void)snprintf(o->name, sizeof o->name, "%s", line->word[2]);
    return record_bytes(r, line, 3, o->digest, sizeof o->digest, e);
}

/* A line that must name this lineage. */
static int check_word(const struct record *r, const struct record_line *line, const char *want,
                      struct err *e)
{
    if (record_expect(r, line, 2, e) != 0)
        return -1;
    return strcmp(line->word[1], want) == 0 ? 0 : record_bad(r, "it is of another cluster", e);
}

int sealed_from_read(struct sealed_from *s, const struct lineage *l, const struct trust *trust,
                     const char *text, size_t len, const char *what, struct err *e)
{
    struct record r;
    struct record_line line;
    char repo[33];
    char system_id[24];
    char segment_size[16];
    uint8_t id[KEY_ID];
    const uint8_t *key;
    int rc;

    text_hex(repo, l->repo_id, sizeof l->repo_id);
    (void)snprintf(system_id, sizeof system_id, "%llu", (unsigned long long)l->system_id);
    (void)snprintf(segment_size, sizeof segment_size, "%u", (unsigned)l->segment_size);
    s->segment_size = 0; /* until the record says it under its signature: no name is older */
    if (record_open(&r, "sealed", text, len, what, e) != 0)
        return -1;
    secret_key_id(id, r.signer);
    key = trust_find(trust, id);
    if (!r.has_signature || key == NULL ||
        !secret_verify(r.signature, (const uint8_t *)text, r.signed_len, key))
        return record_bad(&r, "it is not signed by a host of this cluster", e);
    while ((rc = record_next(&r, &line, e)) == 1) {
        const char *word = line.word[0];

        if (strcmp(word, "repo") == 0)
            rc = check_word(&r, &line, repo, e);
        else if (strcmp(word, "cluster") == 0)
            rc = check_word(&r, &line, l->cluster, e);
        else if (strcmp(word, "system-id") == 0)
            rc = check_word(&r, &line, system_id, e);
        else if (strcmp(word, "segment-size") == 0) {
            rc = check_word(&r, &line, segment_size, e);
            s->segment_size = l->segment_size;
        } else if (strcmp(word, "from") == 0)
            rc = read_from(s, &r, &line, e);
        else
            rc = strcmp(word, "plain") == 0 ? read_plain(s, &r, &line, e)
                                            : record_bad(&r, "a line of an unknown kind", e);
        if (rc != 0)
            return -1;
    }
    return rc;
}

int sealed_from_write(struct buf *b, const struct sealed_from *s, const struct lineage *l,
                      const struct key_host *signer, struct err *e)
{
    uint8_t signature[FRAME_SIGNATURE];
    char hex[2 * FRAME_SIGNATURE + 1];
    char lsn[TEXT_LSN_MAX];

    if (record_begin(b, "sealed", e) != 0 ||
        record_hex(b, "repo", l->repo_id, sizeof l->repo_id, "", e) != 0 ||
        buf_fmt(b, e, "cluster %s\nsystem-id %llu\nsegment-size %u\n", l->cluster,
                (unsigned long long)l->system_id, (unsigned)l->segment_size) != 0)
        return -1;
    for (size_t i = 0; i < s->timelines.n; i++) {
        text_lsn(lsn, s->timelines.v[i].lsn);
        if (buf_fmt(b, e, "from %08X %s\n", (unsigned)s->timelines.v[i].timeline, lsn) != 0)
            return -1;
    }
    for (size_t i = 0; i < s->objects.n; i++) {
        text_hex(hex, s->objects.v[i].digest, DIGEST_STRONG);
        if (buf_fmt(b, e, "plain %u %s %s\n", (unsigned)s->objects.v[i].kind, s->objects.v[i].name,
                    hex) != 0)
            return -1;
    }
    if (record_end(b, e) != 0)
        return -1;
    secret_sign(signature, b->p, b->len, signer->sign_secret);
    text_hex(hex, signature, sizeof signature);
    return record_hex(b, "signature", signer->sign_public, SECRET_KEY, hex, e);
}

/* A segment that starts before its timeline was sealed, by its name. */
static bool is_older(const struct sealed_from *s, const struct frame_head *head)
{
    struct walname n;
    uint64_t segno;

    if (head->kind != KIND_SEGMENT || !walname_is_segsize(s->segment_size) ||
        !walname_parse(head->name, &n) || n.kind != WALNAME_SEGMENT ||
        !walname_segno(&n, s->segment_size, &segno))
        return false;
    for (size_t i = 0; i < s->timelines.n; i++)
        if (s->timelines.v[i].timeline == n.tli &&
            walname_start(segno, s->segment_size) < s->timelines.v[i].lsn)
            return true;
    return false;
}

/* The name that the record knows an object by. */
static void recorded_name(const struct frame_head *head, char out[SEALED_FROM_NAME + 1])
{
    const char *job = head->kind == KIND_DUMP ? strrchr(head->place, '/') : NULL;

    (void)snprintf(out, SEALED_FROM_NAME + 1, "%.*s%s%s", FRAME_NAME_MAX,
                   job == NULL ? "" : job + 1, job == NULL ? "" : "/", head->name);
}

enum trust_covered sealed_from_covers(const struct sealed_from *s, const struct frame_head *head,
                                      uint8_t digest[DIGEST_STRONG])
{
    char name[SEALED_FROM_NAME + 1];

    if (is_older(s, head))
        return TRUST_COVERED;
    recorded_name(head, name);
    for (size_t i = 0; i < s->objects.n; i++)
        if (s->objects.v[i].kind == (uint32_t)head->kind &&
            strcmp(s->objects.v[i].name, name) == 0) {
            memcpy(digest, s->objects.v[i].digest, DIGEST_STRONG);
            return TRUST_BY_DIGEST;
        }
    return TRUST_NOT_COVERED;
}

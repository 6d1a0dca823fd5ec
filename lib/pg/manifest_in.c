/* The reading half of pg/manifest. */
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/root.h"
#include "pg/manifest.h"

enum {
    TEXT_MAX = 2 * MANIFEST_PATH_MAX, /* of a path that is written as hexadecimal digits */
    TIME_LEN = 23                     /* "2026-11-20 06:21:45 GMT" */
};

/* Where the next token stands. */
enum place {
    PLACE_START,
    PLACE_TOP, /* a key, or the end of the whole */
    PLACE_TOP_VALUE,
    PLACE_FILES, /* a file, or the end of their list */
    PLACE_FILE,
    PLACE_FILE_VALUE,
    PLACE_RANGES,
    PLACE_RANGE,
    PLACE_RANGE_VALUE,
    PLACE_DONE
};

enum group { GROUP_TOP, GROUP_FILE, GROUP_RANGE };

enum top { TOP_VERSION, TOP_SYSTEM, TOP_FILES, TOP_RANGES, TOP_SUM };
enum file { FILE_PATH, FILE_ENCODED, FILE_SIZE, FILE_TIME, FILE_ALGORITHM, FILE_SUM };
enum range { RANGE_TLI, RANGE_START, RANGE_END };

static const char *const names[][7] = {
    {"PostgreSQL-Backup-Manifest-Version", "System-Identifier", "Files", "WAL-Ranges",
     "Manifest-Checksum", NULL},
    {"Path", "Encoded-Path", "Size", "Last-Modified", "Checksum-Algorithm", "Checksum", NULL},
    {"Timeline", "Start-LSN", "End-LSN", NULL},
};

static const char *const objects[] = {"the backup manifest", "a file of the backup manifest",
                                      "a WAL range of the backup manifest"};

__attribute__((format(printf, 2, 3))) static int damaged(struct err *e, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_DAMAGED, "%s", text);
}

void manifest_in_init(struct manifest_in *m, const struct manifest_events *events, void *arg,
                      bool unique)
{
    memset(m, 0, sizeof *m);
    m->events = events;
    m->arg = arg;
    m->unique = unique;
    m->place = PLACE_START;
    json_in_init(&m->json, TEXT_MAX);
    manifest_hashes_init(&m->hashes, MANIFEST_FILES_MAX);
    digest_sha256_init(&m->sum);
    m->sum_line = m->sum;
}

void manifest_in_fini(struct manifest_in *m)
{
    json_in_fini(&m->json);
    manifest_hashes_fini(&m->hashes);
}

static bool has(const struct manifest_in *m, enum group g, unsigned field)
{
    return (m->seen[g] & 1u << field) != 0;
}

/* ---- files ---- */

static int take_path(struct manifest_in *m, const struct json_token *t, bool encoded, struct err *e)
{
    struct err ignored = {0};
    size_t n = encoded ? t->len / 2 : t->len;
    char *path = m->file.path;

    if (has(m, GROUP_FILE, encoded ? FILE_PATH : FILE_ENCODED))
        return damaged(e, "a file of the backup manifest has both a path and an encoded path");
    if (n >= MANIFEST_PATH_MAX)
        return damaged(e, "the backup manifest has a path of more than %d bytes",
                       MANIFEST_PATH_MAX - 1);
    path[n] = '\0';
    if (!encoded)
        memcpy(path, t->text, n);
    else if (t->len % 2 != 0 || parse_bytes(t->text, (uint8_t *)path, n, &ignored) != 0)
        return damaged(e, "the backup manifest has an encoded path that is not hexadecimal");
    if (strlen(path) != n || strcmp(path, ".") == 0 || !os_root_path_ok(path))
        return damaged(e, "the backup manifest has a path that leads elsewhere");
    return 0;
}

static bool digits(const char *s, size_t n, unsigned *out)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    *out = v;
    return true;
}

/* Years before 1970 are right where a clock was wrong, so base/parse cannot be asked. */
static void take_time(struct manifest_file *f, const struct json_token *t)
{
    static const struct {
        uint8_t at, len;
        unsigned min, max;
    } parts[] = {{0, 4, 1, 9999}, {5, 2, 1, 12},  {8, 2, 1, 31},
                 {11, 2, 0, 23},  {14, 2, 0, 59}, {17, 2, 0, 60}};
    static const char form[] = "0000-00-00 00:00:00 GMT";
    unsigned v[6];

    if (t->len != TIME_LEN)
        return;
    for (size_t i = 0; i < TIME_LEN; i++)
        if (form[i] != '0' && form[i] != t->text[i])
            return;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!digits(t->text + parts[i].at, parts[i].len, &v[i]) || v[i] < parts[i].min ||
            v[i] > parts[i].max)
            return;
    f->mtime = parse_days(v[0], v[1], v[2]) * 86400 + v[3] * 3600 + v[4] * 60 + v[5];
    f->has_mtime = true;
}

static int take_algorithm(struct manifest_file *f, const struct json_token *t, struct err *e)
{
    static const char *const words[] = {"NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"};
    char shown[64];

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(t->text, words[i]) == 0) {
            f->algorithm = (enum manifest_algorithm)i;
            return 0;
        }
    }
    (void)text_visible(shown, sizeof shown, t->text, t->len);
    return damaged(e, "the backup manifest has an unknown checksum algorithm \"%s\"", shown);
}

static int take_file_value(struct manifest_in *m, const struct json_token *t, struct err *e)
{
    struct manifest_file *f = &m->file;

    if (m->field == FILE_SIZE) {
        if (json_u64(t, INT64_MAX, &f->size, e) != 0)
            return err_context(e, "the size of a file of the backup manifest");
        return 0;
    }
    if (t->type != JSON_STRING)
        return damaged(e, "\"%s\" in the backup manifest is not a text",
                       names[GROUP_FILE][m->field]);
    switch ((enum file)m->field) {
    case FILE_PATH:
    case FILE_ENCODED:
        return take_path(m, t, m->field == FILE_ENCODED, e);
    case FILE_TIME:
        take_time(f, t);
        return 0;
    case FILE_ALGORITHM:
        return take_algorithm(f, t, e);
    default:
        break;
    }
    if (t->len > 2 * MANIFEST_SUM_MAX)
        return damaged(e, "the backup manifest has a checksum of %zu digits", t->len);
    memcpy(m->sum_text, t->text, t->len + 1); /* until the algorithm is known */
    return 0;
}

/* Equal paths have equal hashes, and others practically never. */
static uint64_t hash_of(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *s != '\0'; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static int end_file(struct manifest_in *m, struct err *e)
{
    struct manifest_file *f = &m->file;
    struct err ignored = {0};
    size_t size = manifest_sum_size(f->algorithm);
    char shown[256];

    if (!has(m, GROUP_FILE, FILE_PATH) && !has(m, GROUP_FILE, FILE_ENCODED))
        return damaged(e, "the backup manifest has a file without a path");
    (void)text_visible(shown, sizeof shown - 80, f->path, strlen(f->path));
    if (!has(m, GROUP_FILE, FILE_SIZE))
        return damaged(e, "the backup manifest has no size for \"%s\"", shown);
    if (has(m, GROUP_FILE, FILE_SUM) && !has(m, GROUP_FILE, FILE_ALGORITHM))
        return damaged(e, "the backup manifest has a checksum without its algorithm for \"%s\"",
                       shown);
    if (strlen(m->sum_text) != 2 * size || parse_bytes(m->sum_text, f->sum, size, &ignored) != 0)
        return damaged(e, "the backup manifest has an invalid checksum for \"%s\"", shown);
    m->files++;
    if (m->unique && manifest_hashes_push(&m->hashes, hash_of(f->path), e) != 0)
        return -1;
    m->place = PLACE_FILES;
    return m->events->file == NULL ? 0 : m->events->file(m->arg, f, e);
}

/* ---- WAL ranges ---- */

static int take_range_value(struct manifest_in *m, const struct json_token *t, struct err *e)
{
    struct err ignored = {0};
    uint64_t tli;

    if (m->field == RANGE_TLI) {
        if (json_u64(t, UINT32_MAX, &tli, e) != 0 || tli == 0) {
            (void)err_set(e, ERR_DAMAGED, "0 is no timeline");
            return err_context(e, "the timeline of a WAL range of the backup manifest");
        }
        m->range.tli = (tli_t)tli;
        return 0;
    }
    if (t->type != JSON_STRING ||
        parse_lsn(t->text, m->field == RANGE_START ? &m->range.start : &m->range.end, &ignored) !=
            0)
        return damaged(e, "\"%s\" in the backup manifest is not an LSN",
                       names[GROUP_RANGE][m->field]);
    return 0;
}

static int end_range(struct manifest_in *m, struct err *e)
{
    for (unsigned i = 0; names[GROUP_RANGE][i] != NULL; i++)
        if (!has(m, GROUP_RANGE, i))
            return damaged(e, "a WAL range of the backup manifest has no \"%s\"",
                           names[GROUP_RANGE][i]);
    if (m->range.end < m->range.start)
        return damaged(e, "a WAL range of the backup manifest ends before it begins");
    m->place = PLACE_RANGES;
    return m->events->range == NULL ? 0 : m->events->range(m->arg, &m->range, e);
}

/* ---- the whole ---- */

static int take_version(struct manifest_in *m, const struct json_token *t, struct err *e)
{
    uint64_t v;

    if (json_u64(t, UINT32_MAX, &v, e) != 0)
        return err_context(e, "the version of the backup manifest");
    if (v != 1 && v != 2)
        return damaged(e, "version %llu of backup manifests is not known", (unsigned long long)v);
    m->version = (unsigned)v;
    return 0;
}

/* What must be there before the list of files. */
static int check_head(struct manifest_in *m, struct err *e)
{
    if (m->version == 2 && !has(m, GROUP_TOP, TOP_SYSTEM))
        return damaged(e, "the backup manifest has no \"System-Identifier\"");
    return m->events->head == NULL ? 0 : m->events->head(m->arg, m->version, m->system_id, e);
}

static int take_top_value(struct manifest_in *m, const struct json_token *t, struct err *e)
{
    struct err ignored = {0};
    bool files = m->field == TOP_FILES;

    m->place = PLACE_TOP;
    switch ((enum top)m->field) {
    case TOP_VERSION:
        return take_version(m, t, e);
    case TOP_SYSTEM:
        if (json_u64(t, UINT64_MAX, &m->system_id, e) != 0)
            return err_context(e, "the system identifier of the backup manifest");
        return 0;
    case TOP_FILES:
    case TOP_RANGES:
        if (t->type != JSON_ARRAY)
            return damaged(e, "\"%s\" in the backup manifest is not a list",
                           names[GROUP_TOP][m->field]);
        m->place = files ? PLACE_FILES : PLACE_RANGES;
        return files ? check_head(m, e) : 0;
    case TOP_SUM:
        break;
    }
    if (t->type != JSON_STRING || t->len != 2 * sizeof m->said ||
        parse_bytes(t->text, m->said, sizeof m->said, &ignored) != 0)
        return damaged(e, "the backup manifest's own checksum is not 64 hexadecimal digits");
    return 0;
}

/* A key of one of the three kinds of object. */
static int take_key(struct manifest_in *m, enum group g, const struct json_token *t, struct err *e)
{
    char shown[64];
    unsigned i = 0;

    (void)text_visible(shown, sizeof shown, t->text, t->len);
    while (names[g][i] != NULL && !json_is(t, names[g][i]))
        i++;
    if (g == GROUP_TOP && m->version == 0 && i != TOP_VERSION)
        return damaged(e, "the backup manifest does not begin with its version");
    if (names[g][i] == NULL || (g == GROUP_TOP && i == TOP_SYSTEM && m->version < 2))
        return damaged(e, "%s has an unknown field \"%s\"", objects[g], shown);
    if (has(m, g, i))
        return damaged(e, "%s has \"%s\" twice", objects[g], shown);
    m->seen[g] |= 1u << i;
    m->field = i;
    m->place++; /* to the value */
    if (g == GROUP_TOP && i == TOP_SUM)
        m->at_key = m->json.offset;
    return 0;
}

static int unexpected(const struct manifest_in *m, struct err *e)
{
    return damaged(e, "the backup manifest makes no sense at byte %llu",
                   (unsigned long long)m->json.offset);
}

/* In a list of objects: the next one, or the end of the list. */
static int take_item(struct manifest_in *m, enum group g, const struct json_token *t, struct err *e)
{
    if (t->type == JSON_ARRAY_END) {
        m->place = PLACE_TOP;
        return 0;
    }
    if (t->type != JSON_OBJECT)
        return unexpected(m, e);
    m->seen[g] = 0;
    m->place++; /* into the object */
    if (g == GROUP_FILE) {
        memset(&m->file, 0, offsetof(struct manifest_file, sum));
        m->sum_text[0] = '\0';
    }
    return 0;
}

static int take_value(struct manifest_in *m, enum group g, const struct json_token *t,
                      struct err *e)
{
    if (g == GROUP_TOP)
        return take_top_value(m, t, e);
    m->place--; /* back to the keys */
    return g == GROUP_FILE ? take_file_value(m, t, e) : take_range_value(m, t, e);
}

static int end_object(struct manifest_in *m, enum group g, struct err *e)
{
    if (g == GROUP_FILE)
        return end_file(m, e);
    if (g == GROUP_RANGE)
        return end_range(m, e);
    for (unsigned i = 0; names[GROUP_TOP][i] != NULL; i++)
        if (!has(m, GROUP_TOP, i) && (i != TOP_SYSTEM || m->version > 1))
            return damaged(e, "the backup manifest has no \"%s\"", names[GROUP_TOP][i]);
    m->place = PLACE_DONE;
    return 0;
}

static int take_token(struct manifest_in *m, const struct json_token *t, struct err *e)
{
    enum group g = m->place >= PLACE_RANGES  ? GROUP_RANGE
                   : m->place >= PLACE_FILES ? GROUP_FILE
                                             : GROUP_TOP;

    switch ((enum place)m->place) {
    case PLACE_START:
        m->place = PLACE_TOP;
        return t->type == JSON_OBJECT ? 0 : unexpected(m, e);
    case PLACE_FILES:
    case PLACE_RANGES:
        return take_item(m, g, t, e);
    case PLACE_TOP:
    case PLACE_FILE:
    case PLACE_RANGE:
        return t->type == JSON_KEY ? take_key(m, g, t, e) : end_object(m, g, e);
    case PLACE_TOP_VALUE:
    case PLACE_FILE_VALUE:
    case PLACE_RANGE_VALUE:
        return take_value(m, g, t, e);
    case PLACE_DONE:
        break;
    }
    return unexpected(m, e);
}

static void add_to_sum(struct manifest_in *m, const uint8_t *p, size_t n)
{
    while (n > 0) {
        const uint8_t *newline = memchr(p, '\n', n);
        size_t len = newline == NULL ? n : (size_t)(newline - p) + 1;

        if (m->ends_line) {
            m->sum_line = m->sum;
            m->at_line = m->at;
        }
        digest_sha256_add(&m->sum, p, len);
        m->at += len;
        m->ends_line = newline != NULL;
        p += len;
        n -= len;
    }
}

static int take_all(struct manifest_in *m, struct err *e)
{
    struct json_token t;
    int rc;

    for (;;) {
        rc = json_next(&m->json, &t, e);
        if (rc == JSON_MORE)
            return 0;
        if (rc < 0)
            return err_context(e, "the backup manifest cannot be read");
        if (t.type == JSON_END)
            return 0;
        if (take_token(m, &t, e) != 0)
            return -1;
    }
}

int manifest_in_feed(struct manifest_in *m, const void *bytes, size_t len, struct err *e)
{
    add_to_sum(m, bytes, len);
    json_feed(&m->json, bytes, len, false);
    return take_all(m, e);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static int check_unique(struct manifest_in *m, struct err *e)
{
    struct manifest_hashes *h = &m->hashes;

    if (h->n > 1)
        qsort(h->v, h->n, sizeof *h->v, compare);
    for (size_t i = 1; i < h->n; i++)
        if (h->v[i] == h->v[i - 1])
            return damaged(e, "the backup manifest has a file twice");
    return 0;
}

int manifest_in_finish(struct manifest_in *m, struct err *e)
{
    uint8_t sum[DIGEST_SHA256];

    json_feed(&m->json, "", 0, true);
    if (take_all(m, e) != 0)
        return -1;
    if (!m->ends_line)
        return damaged(e, "the last line of the backup manifest does not end in a newline");
    if (m->at_line == 0)
        return damaged(e, "the backup manifest has less than two lines");
    if (m->at_key <= m->at_line)
        return damaged(e, "the backup manifest's checksum does not stand in its last line");
    digest_sha256_get(&m->sum_line, sum);
    if (memcmp(sum, m->said, sizeof sum) != 0)
        return damaged(e, "the backup manifest does not have its checksum");
    return m->unique ? check_unique(m, e) : 0;
}

/* The writing half of pg/manifest: the same bytes as a server's, blanks and newlines included. */
#include <inttypes.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/manifest.h"

enum { OUT_MAX = 8 * MANIFEST_PATH_MAX + 1024 }; /* a path of \uXXXX, and the rest */

/* The years 1 to 9999; a time outside them comes from damage alone. */
#define SECONDS_MIN (INT64_C(-719162) * 86400)
#define SECONDS_MAX (INT64_C(2932897) * 86400 - 1)

/* Passes on what stands in m->line. */
static int flush(struct manifest_out *m, struct err *e)
{
    if (m->line.len == 0)
        return 0;
    digest_sha256_add(&m->sum, m->line.p, m->line.len);
    if (m->write(m->arg, m->line.p, m->line.len, e) != 0)
        return -1;
    buf_clear(&m->line);
    return 0;
}

int manifest_out_begin(struct manifest_out *m, unsigned version, uint64_t system_id,
                       manifest_write *write, void *arg, struct err *e)
{
    memset(m, 0, sizeof *m);
    m->write = write;
    m->arg = arg;
    buf_init(&m->line, OUT_MAX);
    digest_sha256_init(&m->sum);
    if (buf_fmt(&m->line, e, "{ \"PostgreSQL-Backup-Manifest-Version\": %u,\n", version) != 0 ||
        (version > 1 &&
         buf_fmt(&m->line, e, "\"System-Identifier\": %" PRIu64 ",\n", system_id) != 0) ||
        buf_str(&m->line, "\"Files\": [", e) != 0)
        return -1;
    return flush(m, e);
}

static bool is_utf8(const char *s)
{
    size_t left = strlen(s);

    while (left > 0) {
        uint32_t code;
        size_t n = text_utf8((const uint8_t *)s, left, &code);

        if (n == 0)
            return false;
        s += n;
        left -= n;
    }
    return true;
}

static int add_char(struct buf *b, char c, struct err *e)
{
    static const char plain[] = "\b\f\n\r\t\"\\";
    static const char escaped[] = "bfnrt\"\\";
    const char *at = strchr(plain, c);

    if (at != NULL)
        return buf_fmt(b, e, "\\%c", escaped[at - plain]);
    if ((uint8_t)c < ' ')
        return buf_fmt(b, e, "\\u%04x", (unsigned)c);
    return buf_u8(b, (uint8_t)c, e);
}

static int add_path(struct buf *b, const char *path, struct err *e)
{
    char hex[3];

    if (is_utf8(path)) {
        if (buf_str(b, "{ \"Path\": \"", e) != 0)
            return -1;
        for (; *path != '\0'; path++)
            if (add_char(b, *path, e) != 0)
                return -1;
        return 0;
    }
    if (buf_str(b, "{ \"Encoded-Path\": \"", e) != 0)
        return -1;
    for (; *path != '\0'; path++) {
        text_hex(hex, (const uint8_t *)path, 1);
        if (buf_str(b, hex, e) != 0)
            return -1;
    }
    return 0;
}

/* Days since 1970 as a date, for all of them: the reverse of parse_days. */
static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t y = 1970 + days / 366; /* too early or right, in the direction of 1970 */

    while (y > 1 && parse_days(y, 1, 1) > days)
        y--;
    while (parse_days(y + 1, 1, 1) <= days)
        y++;
    *year = y;
    for (*month = 12; *month > 1 && parse_days(y, *month, 1) > days;)
        (*month)--;
    *day = (unsigned)(days - parse_days(y, *month, 1)) + 1;
}

static int add_time(struct buf *b, int64_t seconds, struct err *e)
{
    int64_t days;
    unsigned rest;
    int64_t year;
    unsigned month;
    unsigned day;

    if (seconds < SECONDS_MIN || seconds > SECONDS_MAX)
        seconds = seconds < 0 ? SECONDS_MIN : SECONDS_MAX;
    days = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0);
    rest = (unsigned)(seconds - days * 86400);
    date_of(days, &year, &month, &day);
    return buf_fmt(b, e, "%04" PRId64 "-%02u-%02u %02u:%02u:%02u GMT", year, month, day,
                   rest / 3600, rest / 60 % 60, rest % 60);
}

int manifest_out_file(struct manifest_out *m, const struct manifest_file *f, struct err *e)
{
    static const char *const words[] = {"", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"};
    char sum[2 * MANIFEST_SUM_MAX + 1];
    struct buf *b = &m->line;

    if (buf_str(b, m->files++ == 0 ? "\n" : ",\n", e) != 0 || add_path(b, f->path, e) != 0 ||
        buf_fmt(b, e, "\", \"Size\": %" PRIu64 ", \"Last-Modified\": \"", f->size) != 0 ||
        add_time(b, f->mtime, e) != 0 || buf_str(b, "\"", e) != 0)
        return -1;
    if (f->algorithm != MANIFEST_NONE) {
        text_hex(sum, f->sum, manifest_sum_size(f->algorithm));
        if (buf_fmt(b, e, ", \"Checksum-Algorithm\": \"%s\", \"Checksum\": \"%s\"",
                    words[f->algorithm], sum) != 0)
            return -1;
    }
    return buf_str(b, " }", e) != 0 ? -1 : flush(m, e);
}

static int begin_ranges(struct manifest_out *m, struct err *e)
{
    return buf_str(&m->line, "\n],\n\"WAL-Ranges\": [\n", e);
}

int manifest_out_range(struct manifest_out *m, const struct manifest_range *r, struct err *e)
{
    char start[TEXT_LSN_MAX];
    char end[TEXT_LSN_MAX];
    bool first = m->ranges++ == 0;

    text_lsn(start, r->start);
    text_lsn(end, r->end);
    if ((first && begin_ranges(m, e) != 0) ||
        buf_fmt(&m->line, e,
                "%s{ \"Timeline\": %" PRIu32 ", \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }",
                first ? "" : ",\n", r->tli, start, end) != 0)
        return -1;
    return flush(m, e);
}

int manifest_out_end(struct manifest_out *m, struct err *e)
{
    uint8_t sum[DIGEST_SHA256];
    char hex[2 * DIGEST_SHA256 + 1];

    if ((m->ranges == 0 && begin_ranges(m, e) != 0) || buf_str(&m->line, "\n],\n", e) != 0 ||
        flush(m, e) != 0)
        return -1;
    digest_sha256_get(&m->sum, sum);
    text_hex(hex, sum, sizeof sum);
    if (buf_fmt(&m->line, e, "\"Manifest-Checksum\": \"%s\"}\n", hex) != 0)
        return -1;
    return m->write(m->arg, m->line.p, m->line.len, e);
}

void manifest_out_fini(struct manifest_out *m)
{
    buf_fini(&m->line);
}

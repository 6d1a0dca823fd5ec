#include "object/record.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/parse.h"
#include "base/text.h"

int record_bad(const struct record *r, const char *why, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "file \"%s\" is damaged: %s", r->what, why);
}

/* Start of the line that ends just before `end` (which follows a newline). */
static const char *last_line(const char *bytes, const char *end)
{
    const char *p = end - 1;

    while (p > bytes && p[-1] != '\n')
        p--;
    return p;
}

/* Bytes have one spelling: n of them as lower-case digits. */
static bool read_hex(const char *text, uint8_t *out, size_t n)
{
    struct err quiet = {0};

    return strspn(text, "0123456789abcdef") == 2 * n && parse_bytes(text, out, n, &quiet) == 0;
}

static int parse_signature(struct record *r, const char *line, const char *end, struct err *e)
{
    char text[10 + 64 + 1 + 128 + 1];
    size_t len = (size_t)(end - line) - 1;

    if (len != sizeof text - 1 || line[10 + 64] != ' ')
        return record_bad(r, "its signature is cut", e);
    memcpy(text, line, len);
    text[len] = '\0';
    text[10 + 64] = '\0';
    if (!read_hex(text + 10, r->signer, 32) || !read_hex(text + 10 + 65, r->signature, 64))
        return record_bad(r, "its signature is not hexadecimal", e);
    r->has_signature = true;
    return 0;
}

/* "walden-TYPE N" with another number: who made it, if anybody can tell. */
static int other_version(const char *bytes, size_t len, const char *type, const char *what,
                         struct err *e)
{
    char first[64];
    size_t n = (size_t)snprintf(first, sizeof first, "walden-%s ", type);
    size_t digits = 0;

    while (n + digits < len && bytes[n + digits] >= '0' && bytes[n + digits] <= '9')
        digits++;
    if (len > n && memcmp(bytes, first, n) == 0 && digits > 0 && digits < 10 && n + digits < len &&
        bytes[n + digits] == '\n') {
        (void)err_set(e, ERR_REFUSED,
                      "file \"%s\" has format version %.*s, and this program knows version 1 only",
                      what, (int)digits, bytes + n);
        return err_hint(e, "A newer Walden made or changed it: install that version here, too.");
    }
    (void)err_set(e, ERR_REFUSED, "file \"%s\" is not a \"walden-%s\" file of version 1", what,
                  type);
    return err_hint(e, "It is another file, or a damaged one.");
}

int record_open(struct record *r, const char *type, const char *bytes, size_t len, const char *what,
                struct err *e)
{
    char first[64];
    char crc[16];
    const char *end = bytes + len;
    const char *line;
    size_t n;

    memset(r, 0, sizeof *r);
    r->what = what;
    n = (size_t)snprintf(first, sizeof first, "walden-%s 1\n", type);
    if (len < n || memcmp(bytes, first, n) != 0)
        return other_version(bytes, len, type, what, e);
    if (end[-1] != '\n' || memchr(bytes, '\0', len) != NULL)
        return record_bad(r, "it is cut short", e);
    line = last_line(bytes, end);
    r->signed_len = len;
    if (end - line > 10 && memcmp(line, "signature ", 10) == 0) {
        if (parse_signature(r, line, end, e) != 0)
            return -1;
        r->signed_len = (size_t)(line - bytes);
        end = line;
        line = last_line(bytes, end);
    }
    (void)snprintf(crc, sizeof crc, "crc %08x\n",
                   (unsigned)crc32c_extend(0, (const uint8_t *)bytes, (size_t)(line - bytes)));
    if ((size_t)(end - line) != strlen(crc) || memcmp(line, crc, strlen(crc)) != 0)
        return record_bad(r, "its checksum does not match", e);
    r->at = bytes + n;
    r->end = line;
    r->line = 1;
    return 0;
}

int record_next(struct record *r, struct record_line *l, struct err *e)
{
    const char *nl;
    size_t len;
    char *p;

    if (r->at == r->end)
        return 0;
    nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
    len = nl == NULL ? 0 : (size_t)(nl - r->at);
    r->line++;
    if (nl == NULL || len == 0 || len >= sizeof l->text)
        return record_bad(r, "a line is empty or too long", e);
    memcpy(l->text, r->at, len);
    l->text[len] = '\0';
    r->at = nl + 1;
    l->words = 0;
    for (p = l->text; p != NULL;) {
        char *blank = strchr(p, ' ');

        if (*p == '\0' || *p == ' ' || l->words == RECORD_WORDS_MAX)
            return record_bad(r, "a line has too many words or blanks", e);
        l->word[l->words++] = p;
        if (blank != NULL)
            *blank++ = '\0';
        p = blank;
    }
    return 1;
}

int record_expect(const struct record *r, const struct record_line *l, unsigned words,
                  struct err *e)
{
    if (l->words == words)
        return 0;
    return err_set(e, ERR_DAMAGED, "file \"%s\" is damaged: line %u (\"%s\") has %u words, not %u",
                   r->what, r->line, l->word[0], l->words, words);
}

int record_bytes(const struct record *r, const struct record_line *l, unsigned i, uint8_t *out,
                 size_t n, struct err *e)
{
    if (i < l->words && strlen(l->word[i]) == 2 * n && read_hex(l->word[i], out, n))
        return 0;
    return err_set(
        e, ERR_DAMAGED,
        "file \"%s\" is damaged: line %u (\"%s\") does not hold %zu bytes in hexadecimal", r->what,
        r->line, l->word[0], n);
}

int record_begin(struct buf *b, const char *type, struct err *e)
{
    return buf_fmt(b, e, "walden-%s 1\n", type);
}

int record_hex(struct buf *b, const char *word, const uint8_t *bytes, size_t n, const char *rest,
               struct err *e)
{
    char hex[2 * 128 + 1];

    if (n > 128)
        return err_set(e, ERR_INTERNAL, "record line \"%s\" is too long", word);
    text_hex(hex, bytes, n);
    return buf_fmt(b, e, "%s %s%s%s\n", word, hex, rest[0] == '\0' ? "" : " ", rest);
}

int record_end(struct buf *b, struct err *e)
{
    return buf_fmt(b, e, "crc %08x\n", (unsigned)crc32c_extend(0, b->p, b->len));
}

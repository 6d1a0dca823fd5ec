#include "pg/label.h"

#include <string.h>

#include "base/parse.h"

enum key {
    KEY_START,
    KEY_CHECKPOINT,
    KEY_FROM,
    KEY_START_TIME,
    KEY_LABEL,
    KEY_START_TLI,
    KEY_STOP,
    KEY_STOP_TIME,
    KEY_STOP_TLI,
    KEY_INCREMENTAL_LSN,
    KEY_INCREMENTAL_TLI,
    KEYS
};

static const char *const keys[KEYS] = {
    [KEY_START] = "START WAL LOCATION",
    [KEY_CHECKPOINT] = "CHECKPOINT LOCATION",
    [KEY_FROM] = "BACKUP FROM",
    [KEY_START_TIME] = "START TIME",
    [KEY_LABEL] = "LABEL",
    [KEY_START_TLI] = "START TIMELINE",
    [KEY_STOP] = "STOP WAL LOCATION",
    [KEY_STOP_TIME] = "STOP TIME",
    [KEY_STOP_TLI] = "STOP TIMELINE",
    [KEY_INCREMENTAL_LSN] = "INCREMENTAL FROM LSN",
    [KEY_INCREMENTAL_TLI] = "INCREMENTAL FROM TLI",
};

static bool copy_text(const char *s, char *out, size_t cap)
{
    size_t n = strlen(s);

    if (n >= cap)
        return false;
    memcpy(out, s, n + 1);
    return true;
}

static bool get_lsn(const char *s, lsn_t *lsn)
{
    struct err ignored = {0};

    return parse_lsn(s, lsn, &ignored) == 0;
}

static bool get_tli(const char *s, tli_t *tli)
{
    struct err ignored = {0};

    return parse_u32(s, 1, UINT32_MAX, tli, &ignored) == 0;
}

/* `X/X (file NAME)` */
static bool get_place(char *s, lsn_t *lsn, char file[WALNAME_SEGMENT_LEN + 1])
{
    static const char open[] = " (file ";
    char *paren = strstr(s, open);
    struct walname name;

    if (paren == NULL)
        return false;
    *paren = '\0';
    paren += sizeof open - 1;
    if (strlen(paren) != WALNAME_SEGMENT_LEN + 1 || paren[WALNAME_SEGMENT_LEN] != ')')
        return false;
    paren[WALNAME_SEGMENT_LEN] = '\0';
    return get_lsn(s, lsn) && walname_parse(paren, &name) &&
           copy_text(paren, file, WALNAME_SEGMENT_LEN + 1);
}

static bool set_value(enum key k, char *s, struct label *l)
{
    switch (k) {
    case KEY_START:
        return get_place(s, &l->start, l->start_file);
    case KEY_CHECKPOINT:
        return get_lsn(s, &l->checkpoint);
    case KEY_FROM:
        l->from_standby = strcmp(s, "standby") == 0;
        return true;
    case KEY_START_TIME:
        return copy_text(s, l->start_time, sizeof l->start_time);
    case KEY_LABEL:
        return copy_text(s, l->label, sizeof l->label);
    case KEY_START_TLI:
        return get_tli(s, &l->start_tli);
    case KEY_STOP:
        l->has_stop = true;
        return get_place(s, &l->stop, l->stop_file);
    case KEY_STOP_TIME:
        return copy_text(s, l->stop_time, sizeof l->stop_time);
    case KEY_STOP_TLI:
        return get_tli(s, &l->stop_tli);
    case KEY_INCREMENTAL_LSN:
        return get_lsn(s, &l->incremental_lsn);
    case KEY_INCREMENTAL_TLI:
        return get_tli(s, &l->incremental_tli);
    case KEYS:
        break;
    }
    return false;
}

/* One line, already a string of its own that may be changed. */
static int read_line(char *line, unsigned number, uint32_t *seen, struct label *out, struct err *e)
{
    for (unsigned k = 0; k < KEYS; k++) {
        size_t n = strlen(keys[k]);

        if (strncmp(line, keys[k], n) != 0 || line[n] != ':' || line[n + 1] != ' ')
            continue;
        if ((*seen & 1u << k) != 0)
            return err_set(e, ERR_DAMAGED, "the backup label has \"%s\" twice", keys[k]);
        *seen |= 1u << k;
        if (!set_value((enum key)k, line + n + 2, out))
            return err_set(e, ERR_DAMAGED, "line %u of the backup label makes no sense", number);
        return 0;
    }
    return 0;
}

int label_parse(const char *text, size_t n, struct label *out, struct err *e)
{
    const uint32_t needed = 1u << KEY_START | 1u << KEY_CHECKPOINT | 1u << KEY_START_TLI;
    char line[LABEL_TEXT_MAX + 64];
    const char *end = text + n;
    uint32_t seen = 0;

    memset(out, 0, sizeof *out);
    if (n > LABEL_BYTES_MAX || memchr(text, '\0', n) != NULL)
        return err_set(e, ERR_DAMAGED, "the backup label is not text that a server writes");
    for (unsigned number = 1; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t len;

        if (newline == NULL)
            return err_set(e, ERR_DAMAGED, "the backup label is cut off in line %u", number);
        len = (size_t)(newline - text);
        if (len >= sizeof line)
            return err_set(e, ERR_DAMAGED, "line %u of the backup label is too long", number);
        memcpy(line, text, len);
        line[len] = '\0';
        if (read_line(line, number, &seen, out, e) != 0)
            return -1;
        text = newline + 1;
    }
    if ((seen & needed) != needed)
        return err_set(e, ERR_DAMAGED, "the backup label lacks its start, checkpoint or timeline");
    if (out->has_stop && out->stop_tli == 0)
        return err_set(e, ERR_DAMAGED, "the backup label has a stop without a timeline");
    return 0;
}

/* Where the line begins that ends, with its newline, at `end`. */
static const char *line_before(const char *text, const char *end)
{
    const char *p = end - 1;

    while (p > text && p[-1] != '\n')
        p--;
    return p;
}

int label_check_note(const char *text, size_t n, lsn_t *start,
                     char start_file[WALNAME_SEGMENT_LEN + 1], struct err *e)
{
    const char *stop = keys[KEY_STOP_TLI];
    const char *first = keys[KEY_START];
    const char *newline = memchr(text, '\n', n);
    char line[128];
    const char *last;
    size_t len;

    if (newline == NULL || text[n - 1] != '\n' || memchr(text, '\0', n) != NULL)
        return err_set(e, ERR_DAMAGED, "the backup's note is cut off, or not text");
    /* An increment's goes on after that line, and a later version's may. */
    last = line_before(text, text + n);
    while (last > text && strncmp(last, stop, strlen(stop)) != 0)
        last = line_before(text, last);
    if (last == text)
        return err_set(e, ERR_DAMAGED, "the backup's note does not end as one does");
    len = (size_t)(newline - text);
    if (len < sizeof line) {
        memcpy(line, text, len);
        line[len] = '\0';
        if (strncmp(line, first, strlen(first)) == 0 &&
            strncmp(line + strlen(first), ": ", 2) == 0 &&
            get_place(line + strlen(first) + 2, start, start_file))
            return 0;
    }
    return err_set(e, ERR_DAMAGED, "the backup's note does not begin as one does");
}

static bool is_of_increment(const char *line, size_t len)
{
    for (unsigned k = KEY_INCREMENTAL_LSN; k <= KEY_INCREMENTAL_TLI; k++) {
        size_t n = strlen(keys[k]);

        if (len > n + 1 && memcmp(line, keys[k], n) == 0 && line[n] == ':' && line[n + 1] == ' ')
            return true;
    }
    return false;
}

size_t label_make_full(char *text, size_t n)
{
    const char *end = text + n;
    const char *in = text;
    char *out = text;

    while (in < end) {
        const char *newline = memchr(in, '\n', (size_t)(end - in));
        size_t len = newline == NULL ? (size_t)(end - in) : (size_t)(newline + 1 - in);

        if (!is_of_increment(in, len)) {
            memmove(out, in, len);
            out += len;
        }
        in += len;
    }
    return (size_t)(out - text);
}

#include "stream/tar.h"

#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/root.h"

enum state { STATE_HEADER, STATE_DATA, STATE_PADDING, STATE_LAST, STATE_AFTER };

/* Places in a header. */
enum {
    AT_MODE = 100,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_CHECKSUM = 148,
    AT_TYPE = 156,
    AT_LINK = 157,
    AT_MAGIC = 257,
    AT_PREFIX = 345,
    NUMBER_SHORT = 8,
    NUMBER_LONG = 12
};

static int damaged(const struct tar *t, const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the archive is damaged before byte %llu: %s",
                   (unsigned long long)t->offset, what);
}

/* The name as it stands in the header, fit for a message. */
static int refused(const struct tar *t, const char *what, struct err *e)
{
    char shown[4 * TAR_NAME_MAX];

    (void)text_visible(shown, sizeof shown, (const char *)t->header,
                       strnlen((const char *)t->header, TAR_NAME_MAX));
    return err_set(e, ERR_REFUSED, "archive member \"%s\" %s", shown, what);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* Octal digits, ended by a blank or 0 that fills the field; or base 256, marked by 0x80. */
static bool get_number(const uint8_t *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    if (p[0] == 0x80) {
        if (n > 9 && !is_zero(p + 1, n - 9))
            return false;
        for (i = n > 9 ? n - 8 : 1; i < n; i++)
            v = v << 8 | p[i];
        *out = v;
        return true;
    }
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0'); /* at most 12 digits: 36 bits */
    if (i == 0)
        return false;
    *out = v;
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != 0)
            return false;
    return true;
}

/* The sum of all bytes, with the field that holds it taken as blanks. */
static bool checksum_holds(const uint8_t *h)
{
    uint64_t said = 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= AT_CHECKSUM && i < AT_CHECKSUM + NUMBER_SHORT ? ' ' : h[i];
    return get_number(h + AT_CHECKSUM, NUMBER_SHORT, &said) && said == sum;
}

/* Copies a text of at most 99 bytes. */
static bool get_text(const uint8_t *p, char out[TAR_NAME_MAX])
{
    size_t n = strnlen((const char *)p, TAR_NAME_MAX);

    if (n == TAR_NAME_MAX)
        return false;
    memcpy(out, p, n);
    memset(out + n, 0, TAR_NAME_MAX - n);
    return true;
}

static int get_path(struct tar *t, struct err *e)
{
    struct tar_member *m = &t->member;
    size_t n;

    if (!get_text(t->header, m->path) || !is_zero(t->header + AT_PREFIX, TAR_BLOCK - AT_PREFIX))
        return refused(t, "has a name of more than 99 bytes", e);
    n = strlen(m->path);
    if (n > 0 && m->path[n - 1] == '/') {
        if (m->type == TAR_FILE)
            return refused(t, "is a file, but its name ends in a slash", e);
        m->path[--n] = '\0';
    }
    /* The server writes ./pg_wal/archive_status where all others have no dot. */
    if (n > 2 && m->path[0] == '.' && m->path[1] == '/')
        memmove(m->path, m->path + 2, n - 1);
    if (strcmp(m->path, ".") == 0 || !os_root_path_ok(m->path))
        return refused(t, "has a name that leads elsewhere", e);
    return 0;
}

/* The only links of a cluster: pg_tblspc/OID to an absolute path. */
static int get_link(struct tar *t, struct err *e)
{
    static const char folder[] = "pg_tblspc/";
    struct tar_member *m = &t->member;
    const char *oid = m->path + sizeof folder - 1;
    struct err ignored = {0};
    uint32_t number;

    if ((t->flags & TAR_LINKS) == 0 || strncmp(m->path, folder, sizeof folder - 1) != 0 ||
        oid[0] == '0' || parse_u32(oid, 1, UINT32_MAX, &number, &ignored) != 0)
        return refused(t, "is a link, but not that of a tablespace", e);
    if (!get_text(t->header + AT_LINK, m->target) || m->target[0] != '/')
        return refused(t, "is a link to something that is not an absolute path", e);
    return 0;
}

static int get_type(struct tar *t, struct err *e)
{
    switch (t->header[AT_TYPE]) {
    case '0':
        t->member.type = TAR_FILE;
        return 0;
    case '5':
        t->member.type = TAR_DIR;
        return 0;
    case '2':
        t->member.type = TAR_LINK;
        return 0;
    case '1':
        return refused(t, "is a hard link", e);
    case '3':
    case '4':
    case '6':
        return refused(t, "is a device or pipe", e);
    case 'x':
    case 'g':
    case 'L':
    case 'K':
        return refused(t, "is an extension record, which no server sends", e);
    default:
        return refused(t, "is of an unknown kind", e);
    }
}

/* A whole header that is not a closing block: becomes t->member. */
static int read_header(struct tar *t, struct err *e)
{
    const uint8_t *h = t->header;
    struct tar_member *m = &t->member;
    uint64_t mode;
    uint64_t mtime;

    memset(m, 0, sizeof *m);
    if (memcmp(h + AT_MAGIC,
               "ustar\0"
               "00",
               8) != 0)
        return damaged(t, "no header where one must be", e);
    if (!checksum_holds(h))
        return damaged(t, "a header has a wrong checksum", e);
    if (get_type(t, e) != 0 || get_path(t, e) != 0 || (m->type == TAR_LINK && get_link(t, e) != 0))
        return -1;
    if (!get_number(h + AT_SIZE, NUMBER_LONG, &m->size) || m->size > TAR_SIZE_MAX)
        return refused(t, "has a size that cannot be", e);
    if (m->type != TAR_FILE && m->size != 0)
        return refused(t, "is no file but has a size", e);
    if (!get_number(h + AT_MODE, NUMBER_SHORT, &mode) || mode > 07777)
        return refused(t, "has permissions that cannot be", e);
    if (!get_number(h + AT_MTIME, NUMBER_LONG, &mtime))
        return refused(t, "has a time that cannot be", e);
    m->mode = (uint32_t)mode;
    m->mtime = (int64_t)mtime; /* the server wrote a signed number as it lies in memory */
    return 0;
}

static int end_member(struct tar *t, struct err *e)
{
    t->state = STATE_HEADER;
    return t->events->end(t->arg, e);
}

static int begin_member(struct tar *t, struct err *e)
{
    if (read_header(t, e) != 0 || t->events->begin(t->arg, &t->member, e) != 0)
        return -1;
    t->left = t->member.size;
    t->padding = (uint32_t)(-t->left % TAR_BLOCK);
    t->state = STATE_DATA;
    return t->left > 0 ? 0 : end_member(t, e);
}

/* A block where a header may stand. */
static int take_block(struct tar *t, struct err *e)
{
    t->have = 0;
    if (!is_zero(t->header, TAR_BLOCK))
        return t->state == STATE_LAST ? damaged(t, "one closing block where two must be", e)
                                      : begin_member(t, e);
    t->state = t->state == STATE_LAST ? STATE_AFTER : STATE_LAST;
    return 0;
}

/* Each take_ uses the first *n bytes at most and says in *n how many. */
static int take_header(struct tar *t, const uint8_t *p, size_t *n, struct err *e)
{
    if (*n > TAR_BLOCK - t->have)
        *n = TAR_BLOCK - t->have;
    memcpy(t->header + t->have, p, *n);
    t->have += *n;
    t->offset += *n;
    return t->have == TAR_BLOCK ? take_block(t, e) : 0;
}

static int take_data(struct tar *t, const uint8_t *p, size_t *n, struct err *e)
{
    if (*n > t->left)
        *n = (size_t)t->left;
    t->left -= *n;
    t->offset += *n;
    if (t->events->data(t->arg, p, *n, e) != 0)
        return -1;
    if (t->left > 0)
        return 0;
    if (t->padding == 0)
        return end_member(t, e);
    t->state = STATE_PADDING;
    return 0;
}

static int take_padding(struct tar *t, const uint8_t *p, size_t *n, struct err *e)
{
    if (*n > t->padding)
        *n = t->padding;
    t->padding -= (uint32_t)*n;
    t->offset += *n;
    if (!is_zero(p, *n))
        return damaged(t, "a member does not end where its header says", e);
    return t->padding > 0 ? 0 : end_member(t, e);
}

static int tar_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct tar *t = (struct tar *)s;

    while (len > 0) {
        size_t n = len;
        int rc = 0;

        switch (t->state) {
        case STATE_DATA:
            rc = take_data(t, bytes, &n, e);
            break;
        case STATE_PADDING:
            rc = take_padding(t, bytes, &n, e);
            break;
        case STATE_AFTER:
            t->offset += n;
            if (!is_zero(bytes, n))
                rc = damaged(t, "bytes behind its end", e);
            break;
        default:
            rc = take_header(t, bytes, &n, e);
            break;
        }
        if (rc != 0)
            return -1;
        bytes += n;
        len -= n;
    }
    return 0;
}

static int tar_finish(struct sink *s, struct err *e)
{
    struct tar *t = (struct tar *)s;
    bool open = t->state == STATE_HEADER && t->have == 0 && (t->flags & TAR_NO_END) != 0;

    if (t->state != STATE_AFTER && !open)
        return damaged(t, "it is cut off", e);
    return t->events->archive_end(t->arg, e);
}

static void tar_abort(struct sink *s)
{
    struct tar *t = (struct tar *)s;

    if (t->events->abort != NULL)
        t->events->abort(t->arg);
}

static const struct sink_ops tar_ops = {"tar", tar_write, tar_finish, tar_abort};

void tar_init(struct tar *t, const struct tar_events *events, void *arg, unsigned flags,
              enum sink_phase phase)
{
    memset(t, 0, sizeof *t);
    sink_init(&t->sink, &tar_ops, phase);
    t->events = events;
    t->arg = arg;
    t->flags = flags;
    t->state = STATE_HEADER;
}

/*
 * Fuzz target for the text half of lib/base: conf, json, opt, parse, text, cursor.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/text_fuzz.c lib/base/(all).c
 *
 * The first byte chooses what reads the rest.  Besides not crashing, properties must hold: what
 * was read and written again reads as the same value, input in pieces means the same as input at
 * once, and nothing that is shown holds a control character.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/parse.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- conf ---- */

static int take_entry(void *arg, const struct conf_entry *en, struct err *e)
{
    unsigned *last = arg;

    must(en->line >= *last && (en->kind == NULL) == (en->name == NULL));
    *last = en->line;
    if (en->key != NULL) {
        must(en->key[0] != '\0' && strpbrk(en->key, " \t\r\n=") == NULL);
        must(strpbrk(en->value, "\r\n\x1b") == NULL);
    } else {
        must(parse_name(en->name, e) == 0);
    }
    return 0;
}

static void fuzz_conf(const char *text, size_t n)
{
    struct err all_err = {0};
    struct err main_err = {0};
    unsigned line = 0;
    unsigned main_line = 0;
    int all = conf_parse("f", text, n, CONF_ALL, take_entry, &line, &all_err);
    int head = conf_parse("f", text, n, CONF_MAIN_ONLY, take_entry, &main_line, &main_err);

    must(all == 0 || all_err.code == ERR_CONFIG);
    must(all != 0 || head == 0); /* what is right as a whole is right in its head */
    must(main_line <= line);
}

/* ---- json ---- */

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * UINT64_C(1099511628211);
    return h;
}

/* Reads the document in pieces of `step` bytes; *hash stands for the tokens. */
static int read_json(const char *text, size_t n, size_t step, uint64_t *hash, struct json_out *copy)
{
    struct json_in j;
    struct json_token t;
    struct err e = {0};
    char *key = NULL;
    size_t at = 0;
    int rc;

    *hash = UINT64_C(14695981039346656037);
    json_in_init(&j, 1 << 16);
    json_feed(&j, text, 0, n == 0);
    for (;;) {
        rc = json_next(&j, &t, &e);
        if (rc == JSON_MORE) {
            size_t piece = n - at < step ? n - at : step;

            must(at < n);
            json_feed(&j, text + at, piece, at + piece == n);
            at += piece;
            continue;
        }
        if (rc < 0 || t.type == JSON_END)
            break;
        must(t.text[t.len] == '\0' && strlen(t.text) == t.len && t.depth <= JSON_DEPTH_MAX);
        *hash = mix(*hash, &t.type, sizeof t.type);
        *hash = mix(*hash, &t.depth, sizeof t.depth);
        *hash = mix(*hash, t.text, t.len);
        if (copy == NULL)
            continue;
        if (t.type == JSON_KEY) {
            key = strdup(t.text);
            continue;
        }
        if (t.type == JSON_OBJECT)
            json_object(copy, key);
        else if (t.type == JSON_OBJECT_END)
            json_object_end(copy);
        else if (t.type == JSON_ARRAY)
            json_array(copy, key);
        else if (t.type == JSON_ARRAY_END)
            json_array_end(copy);
        else if (t.type == JSON_NULL)
            json_null(copy, key);
        else if (t.type == JSON_TRUE || t.type == JSON_FALSE)
            json_bool(copy, key, t.type == JSON_TRUE);
        else
            json_str(copy, key, t.text);
        free(key);
        key = NULL;
    }
    free(key);
    json_in_fini(&j);
    must(rc == 0 || e.code == ERR_DAMAGED || e.code == ERR_NOMEM);
    return rc;
}

static void fuzz_json(const char *text, size_t n)
{
    uint64_t whole;
    uint64_t cut;
    struct json_out copy;
    struct err e = {0};
    struct buf b;
    int rc;

    buf_init(&b, 1 << 22);
    json_begin(&copy, &b, NULL, NULL);
    rc = read_json(text, n, n, &whole, &copy);
    must(read_json(text, n, 1, &cut, NULL) == rc && cut == whole);
    must(read_json(text, n, 3, &cut, NULL) == rc && cut == whole);
    if (rc == 0) {
        must(json_end(&copy, &e) == 0);
        must(read_json(buf_text(&b), b.len, b.len, &cut, NULL) == 0);
    }
    buf_fini(&b);
}

/* ---- parse and text ---- */

static void fuzz_moment(const char *s)
{
    struct err e = {0};
    int64_t us;
    int64_t again;
    bool zoned;
    char text[TEXT_TIME_MAX];

    if (parse_time(s, &us, &zoned, &e) < 0)
        return;
    must(us >= 0 && us <= PARSE_TIME_MAX);
    text_time(text, us, 6);
    must(parse_time(text, &again, &zoned, &e) == 0 && again == us && zoned);
}

static void fuzz_values(const char *s)
{
    struct err e = {0};
    char text[TEXT_SIZE_MAX];
    uint64_t v;
    uint64_t again;
    int64_t i;
    bool b;
    uint8_t raw[8];

    if (parse_size(s, 0, UINT64_MAX, &v, &e) == 0) {
        text_size(text, v);
        must(parse_size(text, 0, UINT64_MAX, &again, &e) == 0 && again == v);
    }
    err_clear(&e);
    if (parse_duration(s, 0, UINT64_MAX, &v, &e) == 0) {
        text_duration(text, v);
        must(parse_duration(text, 0, UINT64_MAX, &again, &e) == 0 && again == v);
    }
    err_clear(&e);
    if (parse_lsn(s, &v, &e) == 0) {
        text_lsn(text, v);
        must(parse_lsn(text, &again, &e) == 0 && again == v);
    }
    err_clear(&e);
    if (parse_bytes(s, raw, sizeof raw, &e) == 0)
        must(parse_hex(s, UINT64_MAX, &v, &e) == 0 && get_be64(raw) == v);
    err_clear(&e);
    must(parse_u64(s, 5, 500, &v, &e) != 0 || (v >= 5 && v <= 500));
    err_clear(&e);
    must(parse_i64(s, -5, 5, &i, &e) != 0 || (i >= -5 && i <= 5));
    err_clear(&e);
    (void)!parse_bool(s, &b, &e);
    err_clear(&e);
    must(parse_name(s, &e) != 0 || (strlen(s) <= PARSE_NAME_MAX && strchr(s, '/') == NULL));
}

static void fuzz_shown(const char *s, size_t n)
{
    char *out;
    size_t cap;
    size_t len;
    struct text_closest c;

    if (n < 1)
        return;
    cap = 4 + (size_t)(uint8_t)s[0];
    out = malloc(cap);
    must(out != NULL);
    len = text_visible(out, cap, s, n);
    must(len < cap && out[len] == '\0' && strlen(out) == len);
    for (size_t i = 0; i < len;) {
        uint32_t code;
        size_t used = text_utf8((const uint8_t *)out + i, len - i, &code);

        must(used > 0 && !text_is_unsafe(code));
        i += used;
    }
    free(out);
    text_closest_init(&c, s);
    text_closest_try(&c, "keep_backups");
    text_closest_try(&c, s);
    must(c.best == NULL || c.distance < strlen(c.best));
}

/* ---- opt ---- */

struct values {
    bool flag;
    const char *path;
    uint64_t size;
    int word;
};

static void fuzz_opt(char *s)
{
    static const struct parse_word words[] = {{"one", 1}, {"two", 2}, {NULL, 0}};
    static const struct opt opts[] = {
        {.name = "flag", .letter = 'f', .kind = OPT_FLAG, .flags = OPT_NO},
        {.name = "some_path",
         .letter = 'D',
         .kind = OPT_PATH,
         .arg = "DIR",
         .offset = offsetof(struct values, path)},
        {.name = "size",
         .letter = 's',
         .kind = OPT_SIZE,
         .arg = "SIZE",
         .min = 10,
         .max = 1 << 20,
         .offset = offsetof(struct values, size)},
        {.name = "word",
         .kind = OPT_WORD,
         .arg = "WORD",
         .words = words,
         .offset = offsetof(struct values, word)},
    };
    static const struct opt_program prog = {
        .name = "fuzz", .operands = "X", .summary = "", .examples = "", .exits = "", .args_max = 3};
    struct values v = {.size = 10};
    const struct opt_set set = {"Options", opts, 4, &v, NULL, NULL};
    struct opt_args args;
    struct err e = {0};
    char *argv[20];
    int argc = 0;
    int rc;

    argv[argc++] = s;
    for (; *s != '\0' && argc < 20; s++) {
        if (*s == '\n') {
            *s = '\0';
            argv[argc++] = s + 1;
        }
    }
    rc = opt_parse(&prog, &set, 1, argc, argv, &args, &e);
    must(rc >= 0 || (e.code == ERR_USAGE && e.msg[0] != '\0'));
    must(rc != 0 || (args.n <= 3 && args.next == argc));
    must((v.path == NULL || v.path[0] == '/') && v.size >= 10 && v.size <= 1 << 20 && v.word <= 2);
}

/* ---- cursor ---- */

static void fuzz_cursor(const uint8_t *p, size_t n)
{
    struct cur c = cur_of(p, n);
    uint64_t v;

    while (c.left > 0) {
        size_t before = c.left;
        const uint8_t *at = c.p;
        struct err e = {0};
        struct buf b;

        if (!cur_varint(&c, &v)) {
            must(c.left == before);
            break;
        }
        buf_init(&b, VARINT_MAX);
        must(buf_varint(&b, v, &e) == 0 && b.len == before - c.left);
        must(memcmp(b.p, at, b.len) == 0); /* one value, one spelling */
        buf_fini(&b);
        if (!cur_bytes(&c, (size_t)(v & 15), &at))
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size); /* the rest and a closing 0 */
    must(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] & 7) {
    case 0:
        fuzz_conf(text, size - 1);
        break;
    case 1:
    case 2:
        fuzz_json(text, size - 1);
        break;
    case 3:
        fuzz_moment(text);
        break;
    case 4:
        fuzz_values(text);
        break;
    case 5:
        fuzz_shown(text, size - 1);
        break;
    case 6:
        fuzz_opt(text);
        break;
    default:
        fuzz_cursor(data + 1, size - 1);
        break;
    }
    free(text);
    return 0;
}

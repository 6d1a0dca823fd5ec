#include "repo/recipients.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static bool has_box(const struct frame_keys *keys, const uint8_t public_key[SECRET_KEY])
{
    uint8_t id[KEY_ID];

    secret_key_id(id, public_key);
    for (unsigned i = 0; i < keys->count; i++)
        if (memcmp(keys->recipient[i], id, KEY_ID) == 0)
            return true;
    return false;
}

static void add_who(char who[RECIPIENTS_WHO], const char *name)
{
    size_t len = strlen(who);

    (void)snprintf(who + len, RECIPIENTS_WHO - len, "%s%s", len == 0 ? "" : ", ", name);
}

/* Is this key pinned here?  Without pins all of the marker's are wanted. */
static bool is_wanted(const struct repo *r, const uint8_t public_key[SECRET_KEY])
{
    for (unsigned i = 0; i < r->seal.count; i++)
        if (memcmp(r->seal.recipient[i], public_key, SECRET_KEY) == 0)
            return true;
    return r->seal.count == 0;
}

static bool is_marked(const struct marker *m, const uint8_t public_key[SECRET_KEY])
{
    for (unsigned i = 0; i < m->count; i++)
        if (memcmp(m->recipient[i], public_key, SECRET_KEY) == 0)
            return true;
    return false;
}

enum recipients recipients_check(const struct repo *r, const struct frame_head *head,
                                 const struct frame_keys *keys, char who[RECIPIENTS_WHO])
{
    const struct marker *m = &r->marker;
    unsigned found = 0;
    unsigned lacking = 0;
    bool in_order = true; /* the marker names recipients in the order in which they were added */

    who[0] = '\0';
    if (!head->sealed || !m->sealed)
        return RECIPIENTS_ALL;
    for (unsigned i = 0; i < m->count; i++) {
        if (!is_wanted(r, m->recipient[i]))
            continue;
        if (has_box(keys, m->recipient[i])) {
            found++;
            in_order = in_order && lacking == 0;
        } else {
            lacking++;
            add_who(who, m->name[i]);
        }
    }
    /* Pinned, but not in the marker: an old marker was put back, perhaps. */
    for (unsigned i = 0; i < r->seal.count; i++) {
        char id[2 * KEY_ID + 1];
        uint8_t bytes[KEY_ID];

        if (is_marked(m, r->seal.recipient[i]))
            continue;
        if (has_box(keys, r->seal.recipient[i])) {
            found++;
            continue;
        }
        secret_key_id(bytes, r->seal.recipient[i]);
        text_hex(id, bytes, KEY_ID);
        add_who(who, id);
        lacking++;
        in_order = false;
    }
    if (lacking == 0)
        return RECIPIENTS_ALL;
    if (found == 0)
        return RECIPIENTS_NONE;
    return in_order ? RECIPIENTS_LATER : RECIPIENTS_SOME;
}

int recipients_refuse(const char *name, struct err *e)
{
    (void)err_set(e, ERR_KEY,
                  "\"%s\" is sealed to none of this repository's recipients: no key opens it",
                  name);
    return err_hint(e, "Somebody replaced its key boxes; only another copy of the file helps.");
}

void recipients_describe(struct problem *one, struct recipients_text *t, enum recipients to,
                         const char *who)
{
    bool later = to == RECIPIENTS_LATER;

    one->kind = later ? PROBLEM_LATER : PROBLEM_RECIPIENT;
    (void)snprintf(t->what, sizeof t->what, "not sealed to %s", who);
    (void)snprintf(t->then, sizeof t->then,
                   later
                       ? "stored before that recipient was added, perhaps: %s cannot open it; use "
                         "the key of another recipient"
                       : "key boxes were taken away or replaced: %s cannot open it, and a restore "
                         "needs the key of another recipient",
                   who);
    one->what = t->what;
    one->consequence = t->then;
}

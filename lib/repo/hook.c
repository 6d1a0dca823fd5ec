#include "repo/hook.h"

#include <string.h>

#include "base/parse.h"

int hook_parse(struct hook *h, const char *value, struct err *e)
{
    char text[64];
    size_t n;

    h->timeout = (uint64_t)HOOK_TIMEOUT_S * USEC_PER_SEC;
    if (strncmp(value, "timeout=", 8) == 0) {
        value += 8;
        n = strcspn(value, " \t");
        if (n >= sizeof text)
            return err_set(e, ERR_CONFIG, "too long");
        memcpy(text, value, n);
        text[n] = '\0';
        if (parse_duration(text, USEC_PER_SEC, (uint64_t)USEC_PER_DAY, &h->timeout, e) != 0)
            return -1;
        value += n;
    }
    return words_split(&h->command, value, WORDS_COMMAND, e);
}

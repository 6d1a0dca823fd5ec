#include "basebackup/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pg/manifest.h"

enum { VERSION = 2 /* of 17 and later, which alone send increments */ };

struct own {
    struct manifest_out out;
    struct manifest_file file;
};

struct own *own_new(uint64_t system_id, own_write *write, void *arg, struct err *e)
{
    struct own *o = calloc(1, sizeof *o);

    if (o == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory for a manifest");
        return NULL;
    }
    if (manifest_out_begin(&o->out, VERSION, system_id, write, arg, e) == 0)
        return o;
    own_free(o);
    return NULL;
}

void own_free(struct own *o)
{
    if (o == NULL)
        return;
    manifest_out_fini(&o->out);
    free(o);
}

int own_file(struct own *o, const char *path, uint64_t size, int64_t mtime, uint32_t crc,
             struct err *e)
{
    struct manifest_file *f = &o->file;

    if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
        return err_set(e, ERR_REFUSED, "path \"%.200s\" cannot be in a backup", path);
    f->size = size;
    f->has_mtime = true;
    f->mtime = mtime;
    f->algorithm = MANIFEST_CRC32C;
    put_u32(f->sum, crc);
    return manifest_out_file(&o->out, f, e);
}

static int add_range(void *arg, tli_t tli, lsn_t start, lsn_t end, struct err *e)
{
    struct own *o = arg;
    const struct manifest_range range = {.tli = tli, .start = start, .end = end};

    return manifest_out_range(&o->out, &range, e);
}

int own_finish(struct own *o, const struct check *c, struct err *e)
{
    return check_ranges(c, add_range, o, e) != 0 ? -1 : manifest_out_end(&o->out, e);
}

#include "repo/pages_note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pages_note_put(struct repo *repo, enum object_kind kind, const char *name,
                   const struct buf *part, struct err *e)
{
    struct object_parts parts = {.public_part = part->p, .public_len = part->len};

    return pages_note_put_parts(repo, kind, name, &parts, e);
}

int pages_note_put_parts(struct repo *repo, enum object_kind kind, const char *name,
                         const struct object_parts *parts, struct err *e)
{
    struct frame_head head = {.kind = kind};
    struct store_name where = {.kind = kind, .name = name};
    struct object_writer *w = calloc(1, sizeof *w);
    struct store_put *put = calloc(1, sizeof *put);
    int rc = -1;

    if (w == NULL || put == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to write \"%s\"", name);
        goto out;
    }
    (void)snprintf(head.name, sizeof head.name, "%s", name);
    repo_fill_head(repo, &head);
    repo_place(repo, &where, head.place);
    if (kind == KIND_DRILL)
        head.system_id = 0; /* drills outlive the lineage, like dumps */
    if (store_put_begin(&repo->writer, &repo->where, &where, put, e) != 0 ||
        object_writer_begin(w, &head, true, repo_seal(repo), &put->sink, e) != 0 ||
        object_writer_finish(w, parts, e) != 0)
        goto out;
    rc = store_put_commit(put, e);
    if (rc > 0)
        rc = err_set(e, ERR_REFUSED, "\"%s\" exists already", put->shown);
out:
    if (w != NULL)
        object_writer_wipe(w);
    if (put != NULL)
        store_put_abort(put);
    free(w);
    free(put);
    return rc;
}

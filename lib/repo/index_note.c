/*
 * Appending one record, on the path of every archived segment: five system calls, no flush.
 */
#include "base/bytes.h"
#include "os/file.h"
#include "repo/index.h"
#include "repo/store_index.h"

bool index_go_on(uint8_t chain[INDEX_CHAIN], const struct index_seed *seed, const struct repo *r,
                 int fd, uint64_t size)
{
    uint8_t end[INDEX_RECORD_MAX];
    size_t len = size < sizeof end ? (size_t)size : sizeof end;
    struct index_record last;
    struct err quiet = {0};

    memcpy(chain, seed->chain, INDEX_CHAIN);
    if (size == 0)
        return true;
    if (os_pread_exact(fd, end, len, size - len, "index", &quiet) != 0 ||
        !index_decode_last(&last, seed, end, len))
        return false;
    if (!r->marker.sealed)
        return last.chain == NULL;
    if (last.signer == NULL || memcmp(last.signer, r->host.id, KEY_ID) != 0 ||
        !index_is_signed_by(&last, seed, r->host.sign_public))
        return false;
    memcpy(chain, last.chain, INDEX_CHAIN);
    return true;
}

void index_note(struct repo *r, const struct store_name *n, const struct store_seen *seen,
                const uint8_t *part, size_t len)
{
    struct index_record record = {.kind = n->kind,
                                  .name = n->name,
                                  .name_len = strlen(n->name),
                                  .part = part,
                                  .part_len = len};
    uint8_t bytes[INDEX_RECORD_MAX];
    uint8_t boxes[FRAME_BOXES_MAX][KEY_ID];
    uint8_t chain[INDEX_CHAIN];
    char file[FRAME_NAME_MAX + 1];
    struct index_seed seed;
    struct err quiet = {0};
    uint64_t size = 0;
    size_t made;
    int fd = -1;

    if (r->marker.sealed && !r->has_host)
        return;
    if (r->marker.sealed) {
        record.boxes = boxes[0];
        record.n_boxes = r->seal.count;
        for (unsigned i = 0; i < r->seal.count; i++)
            secret_key_id(boxes[i], r->seal.recipient[i]);
    }
    index_seed_make(&seed, r->marker.id, &r->where);
    index_file(file, r);
    if (store_index_open(&r->writer, &r->where, file, &fd, &quiet) != 0)
        return;
    record.size = seen->size;
    record.stamp = seen->stamp;
    if (os_size(fd, &size, file, &quiet) == 0 && size < STORE_INDEX_MAX - INDEX_RECORD_MAX &&
        index_go_on(chain, &seed, r, fd, size)) {
        made = index_encode(bytes, &seed, &record, r->marker.sealed ? chain : NULL, &r->host);
        /* A crash leaves less of it, or none; readers open the object then. */
        if (made > 0)
            (void)os_pwrite_full(fd, bytes, made, size, file, &quiet);
    }
    os_drop(&fd);
}

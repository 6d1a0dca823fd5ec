/*
 * label: backup_label, and the .backup history file that repeats it with the end of the backup.
 *
 * Both are lines of `KEY: value`.  Keys that are not known are passed over, so that a newer
 * server's label can be read; a key that is there twice is refused, for a backup's name may contain
 * a newline and must not be able to speak for the server.
 */
#ifndef PG_LABEL_H
#define PG_LABEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "pg/walname.h"

enum { LABEL_TEXT_MAX = 1025, LABEL_TIME_MAX = 64, LABEL_BYTES_MAX = 64 * 1024 };

struct label {
    lsn_t start;
    char start_file[WALNAME_SEGMENT_LEN + 1];
    lsn_t checkpoint;
    tli_t start_tli;
    bool from_standby;
    char start_time[LABEL_TIME_MAX]; /* in the server's log_timezone, as it stands there */
    char label[LABEL_TEXT_MAX];
    lsn_t incremental_lsn; /* of the backup this one builds on; 0 in a full backup */
    tli_t incremental_tli;
    bool has_stop; /* the rest: only in a .backup file */
    lsn_t stop;
    char stop_file[WALNAME_SEGMENT_LEN + 1];
    tli_t stop_tli;
    char stop_time[LABEL_TIME_MAX];
};

/* Reads either kind.  -1 with ERR_DAMAGED when it is cut off, when a line contradicts its form, or
 * when start, checkpoint or timeline is missing. */
int label_parse(const char *text, size_t n, struct label *out, struct err *e)
    __attribute__((warn_unused_result));

/* For who only keeps a .backup file (n > 0): it is whole, with the line that says on which timeline
 * the backup ended, and its first line says where it began.  What a backup's name says in between
 * is not judged: whoever may take a backup could stop the archiver with it.  0; -1 with
 * ERR_DAMAGED. */
int label_check_note(const char *text, size_t n, lsn_t *start,
                     char start_file[WALNAME_SEGMENT_LEN + 1], struct err *e)
    __attribute__((warn_unused_result));

/* Takes out the lines by which a server says that a backup is an increment, and refuses to start
 * from it: what was made whole is none.  Returns the new length. */
size_t label_make_full(char *text, size_t n);

#endif

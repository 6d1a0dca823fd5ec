/*
 * moment: a moment as a person writes it; one parser for all commands.
 *
 *   2026-11-20 14:02:11+01   with a zone, as of parse_time
 *   2026-11-20 14:02         without: local time, and *assumed says so
 *   14:02                    today, where it is over; also "today 14:02", "yesterday 14:02"
 *   now, 90 s ago, 2 hours ago, 3 days ago
 *   2026-11-20, today, yesterday    the day alone, where that can be meant: its first or its last
 *                            moment, also where clocks are changed at midnight
 *
 * What may be meant in two ways is refused: an hour that came twice, a time alone that is still to
 * come, a time with a zone but no date where it is another day in that zone.
 */
#ifndef REPO_MOMENT_H
#define REPO_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* What a day alone means. */
enum moment_day { MOMENT_NO_DAY, MOMENT_DAY_BEGINS, MOMENT_DAY_ENDS };

/* now: microseconds since 1970, as *us.  0, or -1 with ERR_USAGE and mostly a hint. */
int moment_parse(const char *text, enum moment_day day, int64_t now, int64_t *us, bool *assumed,
                 struct err *e) __attribute__((warn_unused_result));

#endif

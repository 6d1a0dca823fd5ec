/*
 * banned: functions that have no place in this code, turned into compile errors.
 *
 * The header is force-included into every product source (-include base/banned.h), after the
 * system headers that declare them.  Each line names what to use instead.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Unbounded or ambiguous string handling: use base/buf, snprintf, memcpy with a checked length. */
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
/* Lenient number parsing: use base/parse. */
#pragma GCC poison atoi atol atoll strtol strtoul strtoll strtoull sscanf
/* Static buffers and implicit zones: use os/time. */
#pragma GCC poison gmtime localtime ctime asctime
/* Races and shells: use os/publish and os/proc. */
#pragma GCC poison mktemp tmpnam tempnam system popen

#endif

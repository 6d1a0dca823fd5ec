/*
 * host: who and where we are, and random bytes.
 */
#ifndef OS_HOST_H
#define OS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "os/sys.h"

enum { OS_HOSTNAME_MAX = 64, OS_BOOT_ID_LEN = 36 };

/* The host's name, cut at cap - 1 bytes; "localhost" when it has none. */
void os_hostname(char *buf, size_t cap);

/* The kernel's id of this boot (36 characters).  0; OS_ABSENT without /proc. */
int os_boot_id(char out[OS_BOOT_ID_LEN + 1]);

/* Fills buf from the kernel's generator. */
int os_random(void *buf, size_t len, struct err *err);

pid_t os_pid(void);
uid_t os_uid(void);
gid_t os_gid(void);

/* One of our groups (effective or supplementary)? */
bool os_in_group(gid_t gid);

/* An environment variable; NULL when unset or empty. */
const char *os_env(const char *name);

/* Sets it, or takes it away (NULL), for us and for what we start.  false: out of memory. */
bool os_env_set(const char *name, const char *value);

#endif

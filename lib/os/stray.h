/*
 * stray: what a killed program's children may have left: a process that works in a directory of
 * ours, and a piece of System V shared memory.  Each is touched only where it is provably that one.
 */
#ifndef OS_STRAY_H
#define OS_STRAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Kills a process whose working directory is `dir`, and waits at most so long until it is gone.
 * True when there is no such process any more; any other process of that number is left alone. */
bool os_stray_end(pid_t pid, const char *dir, int64_t wait_us);

/* Removes the segment of that id and key when this user made it and nobody is attached to it. */
void os_stray_forget_memory(int id, uint64_t key);

#endif

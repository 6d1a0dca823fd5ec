/*
 * harden: what a static program has to do for itself.
 */
#ifndef OS_HARDEN_H
#define OS_HARDEN_H

/*
 * Makes read-only what only the start had to write: tables of functions above all (RELRO).  In a
 * program with shared libraries the loader does it, in one without nobody.  The first call of main.
 */
void os_harden(void);

#endif

/*
 * basebackup: the program walden-basebackup, a base backup of a running server into the repository.
 * See DESIGN.md beside this file.
 *
 * It is one file with `walden`, which has libpq and the repository in it already: under the name
 * walden-basebackup, or as `walden backup`, it comes here.
 */
#ifndef BASEBACKUP_BASEBACKUP_H
#define BASEBACKUP_BASEBACKUP_H

/* The whole program, after the signals are caught; its exit status.  argv[0] is not looked at. */
int basebackup_main(int argc, char **argv);

#endif

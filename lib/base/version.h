/*
 * version: of the programs, not of any format (lib/FORMAT.md has those).
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define WALDEN_VERSION "0.1.0"
#define WALDEN_DATE    "2026-11-20" /* of the version, for the manual pages; not of the build */

#endif

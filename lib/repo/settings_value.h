/*
 * settings_value: the values of the configuration that are more than a number or a word.
 *
 * Each is an opt_call for one kind of setting; `into` is a struct settings.  None allocates, so a
 * value can be checked on a copy of the settings.
 */
#ifndef REPO_SETTINGS_VALUE_H
#define REPO_SETTINGS_VALUE_H

#include "base/opt.h"

/* o->min bytes in hexadecimal. */
int settings_value_hex(void *into, const struct opt *o, const char *text, struct err *e);

/* A conninfo or URI that holds no password. */
int settings_value_dsn(void *into, const struct opt *o, const char *text, struct err *e);

/* Public keys, or the absolute path of a file. */
int settings_value_recipients(void *into, const struct opt *o, const char *text, struct err *e);

/* A retention rule: "all", or words like daily=7 and TAG:last=2 (struct settings_keep). */
int settings_value_keep(void *into, const struct opt *o, const char *text, struct err *e);

/* Names separated by blanks; the text is kept as it is. */
int settings_value_names(void *into, const struct opt *o, const char *text, struct err *e);

/* Names of tables (pg/tablename.h); the text is kept as it is. */
int settings_value_tables(void *into, const struct opt *o, const char *text, struct err *e);

#endif

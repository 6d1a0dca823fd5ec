/*
 * report: tells what a backup did, to people and to programs.
 */
#ifndef BASEBACKUP_REPORT_H
#define BASEBACKUP_REPORT_H

#include "basebackup/backup.h"

enum { REPORT_SCHEMA = 1 };

int report_text(const struct backup_result *r, struct err *e) __attribute__((warn_unused_result));
int report_json(const struct backup_result *r, struct err *e) __attribute__((warn_unused_result));

#endif

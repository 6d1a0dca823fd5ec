/*
 * plan_sim: random histories of a cluster and its archive, told as the inventory would tell them,
 * and a simulated server that reads them record by record.
 */
#ifndef TESTS_UNIT_PLAN_SIM_H
#define TESTS_UNIT_PLAN_SIM_H

#include "repo/plan.h"

enum { SIM_SEG = 4096, SIM_TLIS = 6, SIM_RECS = 120, SIM_SEGS = 24, SIM_BACKUPS = 10 };

enum sim_kind { SIM_OTHER, SIM_COMMIT, SIM_ABORT, SIM_POINT, SIM_MINIMAL };

struct sim_rec {
    lsn_t lsn;
    lsn_t end;
    enum sim_kind kind;
    int64_t time;
    uint32_t xid;
    char name[8];
};

/* One timeline as its newest server sees it: the records of its ancestors, then its own. */
struct sim_line {
    tli_t parent;
    lsn_t birth;
    struct sim_rec rec[SIM_RECS * SIM_TLIS];
    unsigned n;
    unsigned own; /* index of its first own record */
    uint64_t last_seg;
};

/* What was done to one archived file. */
struct sim_file {
    bool there;
    bool lost;
    bool broken; /* does not join with the one before */
    lsn_t damage;
};

extern struct sim_line sim_line[SIM_TLIS + 1]; /* by timeline, from 1 */
extern unsigned sim_lines;
extern struct sim_file sim_file[SIM_TLIS + 1][SIM_SEGS];
extern struct plan_backup sim_backup[SIM_BACKUPS];
extern unsigned sim_backups;

void sim_must(bool ok);
uint32_t sim_random(uint32_t n); /* below n; the same row in every run */
uint64_t sim_segno(lsn_t lsn);
bool sim_is_end(const struct sim_rec *r);

/* Another history. */
void sim_make(void);

/* What the inventory knows of it; keys: records across segments, and details, can be read. */
void sim_fill(struct plan_input *in, bool keys);

/* Reads one segment, as a plan asks for it. */
void sim_read(struct plan_input *in, size_t index);

/* Would a recovery from this backup reach the target?  *stop: the record it stops at. */
bool sim_simulate(const struct plan_backup *b, const struct plan_target *t, tli_t tli, lsn_t *stop);

/* The backup that a careful person would take: the newest that gets there; -1. */
int sim_best(const struct plan_target *t, lsn_t *stop);

#endif

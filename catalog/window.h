/*
 * window: what `walden window` knows of each lineage, and how it is shown.
 */
#ifndef CATALOG_WINDOW_H
#define CATALOG_WINDOW_H

#include "command.h"
#include "repo/window.h"
#include "survey.h"

enum { WINDOW_NARROW = 60 };

/* What would be lost if the server's disk died now. */
struct window_loss {
    bool is_known;    /* the archive holds a commit */
    int64_t newest;   /* the last commit of the latest timeline that can be restored */
    int64_t now;      /* by the clock of this host, or the server's */
    bool has_server;  /* this lineage's server was asked: */
    bool in_recovery; /* it is a standby */
    lsn_t server_lsn; /* where it writes, */
    lsn_t archived;   /* and where what is archived of its timeline ends */
    bool asked;       /* else: it could not be reached, or is another one */
};

struct window_lineage {
    struct survey_lineage *l;
    struct inventory v;
    struct windows w;
    struct window_loss loss;
};

struct window_look {
    bool ascii;
    bool colour;
    unsigned width;
};

/* Asks the server that the configuration or libpq names, when it is that of the lineage.  Never
 * fails. */
void window_ask(struct window_lineage *x, const char *dsn, bool offline);

/* Lines of text for one lineage. */
int window_show(const struct window_lineage *x, const struct window_look *look, struct buf *out,
                struct err *e) __attribute__((warn_unused_result));

/* The picture: a bar per timeline, marks for backups. */
int window_picture(const struct window_lineage *x, const struct window_look *look, struct buf *out,
                   struct err *e) __attribute__((warn_unused_result));

/* Gaps in which something is missing or broken; what was expired, or never archived, is none. */
bool window_is_trouble(const struct window_gap *g);

#endif

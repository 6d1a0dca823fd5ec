/*
 * recipients: is a sealed object addressed to those who must be able to open it?
 *
 * The key boxes are outside the signature, so the storage may take boxes away or put others in
 * their place, and every digest still matches.  What a box holds only a secret key proves; to whom
 * it is addressed everybody can read, and that is compared here with the recipients that this host
 * pins, else with those of the marker, which the owner signed.
 */
#ifndef REPO_RECIPIENTS_H
#define REPO_RECIPIENTS_H

#include "object/frame.h"
#include "repo/problem.h"
#include "repo/repo.h"

enum recipients {
    RECIPIENTS_ALL,   /* or it is plain */
    RECIPIENTS_LATER, /* those who lack were added after the others: perhaps after the object */
    RECIPIENTS_SOME,
    RECIPIENTS_NONE
};

enum { RECIPIENTS_WHO = 160 };

/* The names of those who lack, comma between them, go into `who`. */
enum recipients recipients_check(const struct repo *r, const struct frame_head *head,
                                 const struct frame_keys *keys, char who[RECIPIENTS_WHO]);

/* For RECIPIENTS_NONE: ERR_KEY. */
int recipients_refuse(const char *name, struct err *e);

/* What is to be said of LATER and SOME: fills in kind, and texts that live in *t. */
struct recipients_text {
    char what[RECIPIENTS_WHO + 64];
    char then[RECIPIENTS_WHO + 160];
};
void recipients_describe(struct problem *one, struct recipients_text *t, enum recipients to,
                         const char *who);

#endif

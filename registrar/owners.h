/*
 * registrar/owners.h - whose endpoint lives at an address: an address is one
 * process, so when another app registers it, the one before is gone, whatever its
 * other routes say (spec registrar 3.2, rules 2 and 3).  Late messages of the one
 * before are told from a genuine return by the way they come and by the time at
 * which the instance was made.
 *
 * The app is the owner; of endpoints without one, the instance.  A component
 * without an app that starts anew under another instance id replaces itself, which
 * is no change of owner.  Who names neither owns nothing.
 *
 * 40 bytes an address; a decision is one lookup.
 */
#ifndef REGISTRAR_OWNERS_H
#define REGISTRAR_OWNERS_H

#include "registrar/identity.h"
#include "registrar/seen.h"

struct owners;
struct owners *owners_create(const struct seen *seen);
void owners_destroy(struct owners *owners);

enum ownership {
	OWNER_SAME,                   /* or the first at this address */
	OWNER_REPLACED,               /* another instance of the same */
	OWNER_CHANGED,                /* another app */
	OWNER_LATE,                   /* a message of an owner that is gone: to be ignored */
};

struct owner_claim {
	struct identity id;
	uint64_t updated_at_ns;       /* 0: the message does not say */
	unsigned source;
	uint32_t tick, cycle;
};

/* Fetches the memory that a question about it needs. */
void owners_fetch(const struct owners *owners, const struct identity *id);

/* What it would mean if the claim were granted; *row: of the owner now, unless
 * OWNER_SAME. */
enum ownership owners_judge(struct owners *owners, const struct owner_claim *claim,
			    uint32_t *row);

/* The claim was granted, `row` is the claimant's. */
void owners_grant(struct owners *owners, const struct owner_claim *claim, uint32_t row);

/* True, and the row, if the address is this very endpoint's now. */
bool owners_row(const struct owners *owners, const struct identity *id, uint32_t *row);

/* An endpoint found in the table: owns its address if nobody else does. */
void owners_learn(struct owners *owners, const struct identity *id, uint32_t row,
		  uint64_t updated_at_ns);

#endif

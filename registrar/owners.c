/*
 * registrar/owners.c - a map from addresses to owners, and a small memory of those
 * who lost one.
 */
#include "registrar/owners.h"

#include <stdlib.h>

#include "base/mem.h"

#define ROOM_MIN 1024u
#define SAMPLE 4096u
#define AHEAD 16u                     /* places, while all are moved */
#define GONE_SETS 2048u
#define GONE_WAYS 8
/* A late owner stays so for a few cycles after its last message. */
#define GONE_CYCLES 3

struct owner {
	uint64_t address;             /* 0: free */
	uint64_t updated_at_ns;
	uint32_t tag, owner, row;
	uint32_t since;               /* tick of the change */
	bool has_app;
};

struct gone {
	uint64_t address;
	uint64_t updated_at_ns;
	uint32_t tag;
	uint32_t tick;                /* of its last message */
};

struct owners {
	const struct seen *seen;      /* borrowed */
	struct owner *of;             /* owned */
	uint32_t used, room;
	struct gone gone[GONE_SETS * GONE_WAYS];
};

struct owners *owners_create(const struct seen *seen)
{
	struct owners *o = mem_zalloc(sizeof(*o));

	o->seen = seen;
	o->room = ROOM_MIN;
	o->of = mem_zalloc_table(o->room * sizeof(*o->of));
	return o;
}

void owners_destroy(struct owners *owners)
{
	if (!owners)
		return;
	free(owners->of);
	free(owners);
}

static uint32_t home_of(const struct owners *o, uint64_t address)
{
	return (uint32_t)(address >> 32) & (o->room - 1);
}

void owners_fetch(const struct owners *o, const struct identity *id)
{
	__builtin_prefetch(&o->of[home_of(o, id->address)], 1);
}

/* The owner's record, or the free place for one. */
static struct owner *place_of(const struct owners *o, uint64_t address)
{
	uint32_t at = home_of(o, address);

	while (o->of[at].address && o->of[at].address != address)
		at = (at + 1) & (o->room - 1);
	return &o->of[at];
}

/* The endpoint is still in the table, in the row that it had. */
static bool is_alive(const struct owners *o, const struct owner *owner)
{
	const struct row_note *note;

	if (owner->row >= seen_rows(o->seen))
		return false;
	note = seen_row((struct seen *)o->seen, owner->row);
	return note->tag == owner->tag && note->routes && !(note->marks & ROW_DISOWNED);
}

/* Places are taken in no order: the first of them stand for all. */
static bool is_half_alive(const struct owners *o)
{
	uint32_t sample = o->room < SAMPLE ? o->room : SAMPLE, alive = 0;

	for (uint32_t i = 0; i < sample; i++)
		alive += o->of[i].address && is_alive(o, &o->of[i]);
	return 4 * alive > sample;
}

static void prefetch_row(const struct owners *o, const struct owner *owner)
{
	if (owner->address && owner->row < seen_rows(o->seen))
		__builtin_prefetch(seen_row((struct seen *)o->seen, owner->row));
}

/* Twice the room, or the same if enough of them are no longer there. */
static void make_room(struct owners *o)
{
	struct owner *old = o->of;
	uint32_t old_room = o->room;

	if (3 * (o->used + 1) <= 2 * o->room)
		return;
	if (is_half_alive(o))
		o->room *= 2;
	o->of = mem_zalloc_table(o->room * sizeof(*o->of));
	o->used = 0;
	for (uint32_t i = 0; i < old_room; i++) {
		prefetch_row(o, &old[(i + AHEAD) & (old_room - 1)]);
		if (old[i].address && is_alive(o, &old[i])) {
			*place_of(o, old[i].address) = old[i];
			o->used++;
		}
	}
	free(old);
}

/* --- those who lost an address */

static struct gone *gone_set(struct owners *o, uint64_t address)
{
	return &o->gone[(address >> 40 & (GONE_SETS - 1)) * GONE_WAYS];
}

static struct gone *gone_find(struct owners *o, const struct owner_claim *claim)
{
	struct gone *set = gone_set(o, claim->id.address);

	for (unsigned i = 0; i < GONE_WAYS; i++)
		if (set[i].address == claim->id.address && set[i].tag == claim->id.tag &&
		    claim->tick - set[i].tick <= GONE_CYCLES * claim->cycle)
			return &set[i];
	return NULL;
}

static void gone_add(struct owners *o, const struct owner *owner, uint32_t tick)
{
	struct gone *set = gone_set(o, owner->address), *place = set;

	for (unsigned i = 0; i < GONE_WAYS; i++) {
		if (!set[i].address || (set[i].address == owner->address && set[i].tag == owner->tag)) {
			place = &set[i];
			break;
		}
		if (tick - set[i].tick > tick - place->tick)
			place = &set[i];
	}
	*place = (struct gone){ owner->address, owner->updated_at_ns, owner->tag, tick };
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The one that is heard now keeps the address against one that was made before it,
 * and against one that lost it and comes by a way on which the change has not been
 * heard of yet. */
static bool is_late(struct owners *o, const struct owner_claim *claim, const struct owner *owner)
{
	struct gone *gone = gone_find(o, claim);
	uint64_t made = larger(claim->updated_at_ns, gone ? gone->updated_at_ns : 0);

	if (claim->tick - seen_newest(o->seen, owner->row) > claim->cycle)
		return false;
	if (gone)
		gone->tick = claim->tick;
	if (made && owner->updated_at_ns && made != owner->updated_at_ns)
		return made < owner->updated_at_ns;
	return gone && seen_tick(o->seen, owner->row, claim->source) < owner->since;
}

enum ownership owners_judge(struct owners *o, const struct owner_claim *claim, uint32_t *row)
{
	const struct identity *id = &claim->id;
	const struct owner *owner = place_of(o, id->address);

	if (!owner->address || owner->tag == id->tag || !is_alive(o, owner))
		return OWNER_SAME;
	*row = owner->row;
	if (is_late(o, claim, owner))
		return OWNER_LATE;
	if (!owner->owner || !id->owner)
		return OWNER_SAME;
	return owner->owner == id->owner || (!owner->has_app && !id->has_app) ? OWNER_REPLACED
									       : OWNER_CHANGED;
}

void owners_grant(struct owners *o, const struct owner_claim *claim, uint32_t row)
{
	const struct identity *id = &claim->id;
	struct owner *owner;

	make_room(o);
	owner = place_of(o, id->address);
	if (owner->address && owner->tag == id->tag) {
		owner->row = row;
		owner->updated_at_ns = larger(owner->updated_at_ns, claim->updated_at_ns);
		return;
	}
	if (owner->address && !id->owner && is_alive(o, owner))
		return;               /* who owns nothing takes nothing */
	if (owner->address)
		gone_add(o, owner, claim->tick);
	else
		o->used++;
	*owner = (struct owner){ id->address, claim->updated_at_ns, id->tag, id->owner, row,
				 claim->tick ? claim->tick : 1, id->has_app };
}

bool owners_row(const struct owners *o, const struct identity *id, uint32_t *row)
{
	const struct owner *owner = place_of(o, id->address);

	*row = owner->row;
	return owner->address && owner->tag == id->tag && is_alive(o, owner);
}

void owners_learn(struct owners *o, const struct identity *id, uint32_t row,
		  uint64_t updated_at_ns)
{
	const struct owner_claim claim = { .id = *id, .updated_at_ns = updated_at_ns };

	make_room(o);
	if (!place_of(o, id->address)->address)
		owners_grant(o, &claim, row);
}

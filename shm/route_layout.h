/*
 * shm/route_layout.h - the table as it lies in memory.  Used by shm/ only.
 *
 * What must be true (DESIGN section 10):
 * 1. Only offsets and numbers; never pointers.  Every reference is
 *    bounds-checked where it is used.
 * 2. What is reachable is complete and never modified, except the words marked
 *    "changes" below; each is one aligned 64-bit word.
 * 3. One store makes a change visible; there is no half-done state to repair.
 * 4. What is unreachable belongs to the writer's private allocator.  After a
 *    writer died the next one copies what is reachable into the other arena and
 *    flips the root.
 * 5. The size is fixed.  Full means: refuse, count; never move.
 * 6. Every size and offset is asserted here, and TABLE_LAYOUT is checked on attach.
 */
#ifndef SHM_ROUTE_LAYOUT_H
#define SHM_ROUTE_LAYOUT_H

#include <stddef.h>

#include "endpoint.h"
#include "ref.h"
#include "route_hash.h"

#define TABLE_MAGIC  0x656c626174657957u      /* "Wyetable" */
#define TABLE_LAYOUT 7u

/* What the arena is that the root does not point into. */
enum spare { SPARE_CLEAN, SPARE_FILLING, SPARE_DRAINING };

struct table_head {
	uint64_t magic, layout, size, arena_bytes;
	struct route_hash_seed seed;
	uint64_t created_ms;          /* clock_ms(): tick 0 */
	uint64_t history_bytes;       /* behind both arenas (history_layout.h) */
	uint64_t unused_line0[8];
	uint64_t epoch;               /* changes: the grace-period counter, from 1 */
	uint64_t unused_line1[15];
	uint64_t root;                /* changes: index reference << 8 | log2 slots; 0 nothing yet */
	uint64_t spare;               /* changes: enum spare */
	uint64_t generation;          /* changes: incarnation of the writer */
	uint64_t rows_used;           /* changes: rows at and above were never handed out */
	uint64_t routes, entries;     /* change: informational */
	uint64_t unused_line2[10];
};
_Static_assert(offsetof(struct table_head, epoch) == 128, "the epoch has its own lines");
_Static_assert(offsetof(struct table_head, root) == 256, "the root has its own lines");
_Static_assert(sizeof(struct table_head) == 384, "table head");

/* Index word: upper half of the key's hash << 32 | reference to a route; 0 empty,
 * REF_TOMBSTONE erased.  A word's home is the top bits of its tag, so an index is
 * rebuilt from its own words, and its order is the order of the tags. */
static inline uint32_t index_tag(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline ref_t index_ref(uint64_t word)
{
	return (ref_t)word;
}

static inline uint64_t index_home(uint32_t tag, unsigned bits)
{
	return tag >> (32 - bits);
}

#define INDEX_BITS_MIN 10u
#define INDEX_BITS_MAX 30u

static inline uint64_t root_word(ref_t index, unsigned bits)
{
	return (uint64_t)index << 8 | bits;
}

/* A route pool, or only the record of a host that has routes with paths.  The
 * entry words are followed by the key: "host" or "host/a/b". */
struct route {
	uint64_t hash;
	uint64_t depths;              /* changes; bit d: routes with d path segments may lie below
	                                 this host; bit 63: with 63 or more */
	uint64_t state;               /* changes; empty since tick << 32 | enum endpoint_balancing */
	uint32_t id;
	uint32_t key_sum;
	uint16_t capacity;
	uint16_t key_len, host_len;
	uint16_t unused;
	uint64_t entries[];           /* change; last-seen tick << 32 | inst reference; 0 free */
};
_Static_assert(sizeof(struct route) == 40, "route");
_Static_assert(offsetof(struct route, entries) == 40, "route entries");

#define ROUTE_CAPACITY_MAX 65535u
#define ROUTE_ID_MAX (1u << 27)       /* ids at and above only occur in damaged tables */
#define DEPTH_LAST 63u

static inline uint32_t route_bytes(unsigned capacity, unsigned key_len)
{
	return (uint32_t)sizeof(struct route) + 8 * capacity + key_len;
}

static inline char *route_key_bytes(const struct route *route)
{
	return (char *)&route->entries[route->capacity];
}

static inline uint64_t entry_word(uint32_t tick, ref_t inst)
{
	return (uint64_t)tick << 32 | inst;
}

static inline ref_t entry_ref(uint64_t word)
{
	return (ref_t)word;
}

static inline uint32_t entry_tick(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline uint32_t state_empty_since(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

static inline uint64_t depth_bit(unsigned segments)
{
	return 1ull << (segments < DEPTH_LAST ? segments : DEPTH_LAST);
}

/* Texts of an endpoint, numbered in the order of ENDPOINT_TEXTS. */
enum inst_text {
#define X(name) INST_TEXT_##name,
	ENDPOINT_TEXTS(X)
#undef X
	INST_TEXTS
};

/* An endpoint's attributes; never modified.  From `bytes` on it is the same for
 * equal attributes, and in the last-known-good file: a change there is one of
 * SNAPSHOT_VERSION too. */
struct inst {
	uint64_t fingerprint;         /* of the packed tags and all from `bytes` on */
	uint64_t serial;
	uint32_t row;
	uint32_t sum;                 /* of all before `bytes`, with this word 0 */
	ref_t tags;                   /* packed (tags.h) */
	uint32_t unused;
	uint32_t bytes;               /* of this block */
	uint32_t tags_bytes;
	uint64_t updated_at_ns;
	uint8_t ip[16];
	uint32_t flags, stale_s;
	uint16_t port, balancing;
	uint16_t ends[INST_TEXTS];    /* text i is text[ends[i - 1]..ends[i]) */
	char text[];
};
_Static_assert(INST_TEXTS == 11, "a change of the texts is a change of TABLE_LAYOUT");
_Static_assert(offsetof(struct inst, bytes) == 32, "inst");
_Static_assert(offsetof(struct inst, flags) == 64, "inst");
_Static_assert(offsetof(struct inst, text) == 98, "inst");

#define INST_BYTES_MAX (offsetof(struct inst, text) + ENDPOINT_TEXT_MAX)

static inline struct str inst_text(const struct inst *inst, enum inst_text which)
{
	unsigned from = which ? inst->ends[which - 1] : 0, to = inst->ends[which];

	if (from > to || to + offsetof(struct inst, text) > inst->bytes)
		return STR_NONE;
	return (struct str){ inst->text + from, to - from };
}

static inline struct table_head *table_head(const struct table *table)
{
	return (struct table_head *)table->base;
}

/* The route or inst at a reference with all its bytes inside the table, or NULL. */
static inline struct route *route_at(const struct table *table, ref_t ref)
{
	struct route *route = shm_get(table, ref, sizeof(*route));

	if (!route || !shm_get(table, ref, route_bytes(route->capacity, route->key_len)))
		return NULL;
	return route;
}

static inline struct inst *inst_at(const struct table *table, ref_t ref)
{
	struct inst *inst = shm_get(table, ref, sizeof(*inst));

	if (!inst || inst->bytes < offsetof(struct inst, text) ||
	    inst->bytes > INST_BYTES_MAX || !shm_get(table, ref, inst->bytes))
		return NULL;
	return inst;
}

/* The index that a root word names, or NULL if it is outside. */
static inline uint64_t *index_at(const struct table *table, uint64_t root, unsigned *bits)
{
	*bits = (unsigned)(root & 0xff);
	if (*bits < INDEX_BITS_MIN || *bits > INDEX_BITS_MAX || root >> 40)
		return NULL;
	return shm_get(table, (ref_t)(root >> 8), 8ull << *bits);
}

struct route_reader;
const struct table *route_reader_table(const struct route_reader *reader);

/* What its two checksums should be; `sum` covers the fingerprint, which covers the rest. */
uint64_t inst_fingerprint(const struct route_hash_seed *seed, const struct inst *inst,
			  struct str packed_tags);
uint32_t inst_sum(const struct inst *inst);

/* True, and its packed tags, if both are right. */
bool inst_is_whole(const struct table *table, const struct inst *inst, struct str *tags);

/* What a key hashes to: its host alone, and all of it. */
struct key_hash {
	uint64_t host, whole;
};
struct key_hash route_key_hash(const struct route_hash_seed *seed, struct str host,
			       struct str path);

#endif

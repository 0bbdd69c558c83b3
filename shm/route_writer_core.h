/*
 * shm/route_writer_core.h - the writer's private state, and the steps that adding,
 * removing and recovery are made of.  Writer files of shm/ only.
 *
 * A space is everything that belongs to one arena: it is filled in private by
 * recovery and then published by one store, or it is the published one.
 */
#ifndef SHM_ROUTE_WRITER_CORE_H
#define SHM_ROUTE_WRITER_CORE_H

#include "alloc.h"
#include "base/hash.h"
#include "board_layout.h"
#include "epoch.h"
#include "intern.h"
#include "route_digest.h"
#include "route_layout.h"
#include "route_writer.h"
#include "route_writer_offer.h"
#include "tags.h"

struct space {
	struct alloc *alloc;          /* owned */
	struct intern insts;          /* fingerprint -> inst reference; count: entries */
	struct intern rows;           /* address -> row; count: inst blocks, retired ones included */
	struct intern depths;         /* host and depth -> depth; count: routes */
	uint64_t root;                /* as in the head */
	uint64_t *index;              /* in the table */
	unsigned bits;
	uint64_t live, dead;          /* index words: routes and tombstones */
	uint64_t routes, entries;     /* pools; live entries */
	ref_t *row_insts;             /* owned: newest inst of each row, REF_NONE: row is free */
	uint64_t row_insts_room;
	bool is_published;
	struct route_digest digest;   /* of its entries */
};

/* Rows that no block names any more, oldest first. */
struct row_queue {
	uint32_t *rows;
	uint64_t first, count, room;
};

/* A block for an endpoint, being put together. */
struct draft {
	struct str tags;              /* packed, here or in the table */
	char packed[TAGS_PACKED_MAX];
	uint64_t address;             /* key of its row */
	uint64_t serial;              /* to keep, or 0: a new one */
	uint32_t row;                 /* to keep, or NO_ROW */
	union {
		struct inst inst;
		char bytes[INST_BYTES_MAX];
	};
};
#define NO_ROW UINT32_MAX

struct route_writer {
	struct table *table;          /* borrowed */
	struct board *board;          /* borrowed */
	struct table_head *head;
	struct epoch *epoch;          /* owned */
	struct space space;
	struct row_queue row_queue;
	uint32_t *free_ids;           /* owned */
	uint32_t free_id_count, free_id_room, next_id;
	uint64_t next_serial;
	uint32_t keep_empty_ticks;
	uint32_t now_tick;
	bool is_draining;             /* readers may still be in the other arena */
	uint64_t drain_tag;
	bool was_full;                /* something was refused since the last compaction */
	uint64_t compacted_ms;
	uint64_t changes;             /* of entries; heartbeats are none */
	struct history *history;      /* owned */
	struct history_cause {
		enum history_what what;
		unsigned source;
		struct str why;       /* borrowed until the next one */
	} cause;
	struct draft draft;           /* scratch */
};

/* --- offers (route_writer_offer.c) --- */

/* Fills in all but key, inst and tags; and the hashes of the key, unless it has them. */
void offer_finish(const struct route_hash_seed *seed, struct route_offer *offer);

/* --- index (route_writer_index.c) --- */

/* The route of that hash (and key, unless NULL) and its place in the index. */
struct route *index_find(const struct route_writer *w, uint64_t hash, const struct str *key,
			 uint64_t *at);
/* Makes room for `n` more words; false: the table is full. */
bool index_reserve(struct route_writer *w, unsigned n);
void index_insert(struct route_writer *w, uint64_t hash, ref_t route);
void index_replace(struct route_writer *w, uint64_t at, ref_t route);
void index_erase(struct route_writer *w, uint64_t at);
bool index_rebuild(struct route_writer *w, uint64_t words);

/* --- blocks, rows (route_writer_blocks.c) --- */

void space_init(struct route_writer *w, struct space *space, unsigned arena, uint64_t endpoints);
void space_fini(struct space *space);
void row_queue_push(struct row_queue *queue, uint32_t row);

/* Frees after the grace period; at once in a space that nobody reads. */
void block_retire(struct route_writer *w, ref_t ref, uint32_t bytes, enum alloc_area area);
epoch_free_fn block_free;

/* Describes `endpoint` from the block's `bytes` on, its tags in `packed`; false: its text is
 * too long.  `inst` has room for INST_BYTES_MAX, or for what the texts of the endpoint need. */
bool inst_describe(struct inst *inst, const struct endpoint *endpoint, char packed[TAGS_PACKED_MAX],
		   struct str *tags);
/* Describes an existing block, keeping serial, row and its packed tags. */
void draft_copy(struct route_writer *w, const struct inst *inst, struct str tags);
/* What the writer's maps know a block by.  Reads nothing that ever changes: good in any thread. */
struct inst_hashes {
	uint64_t fingerprint, address;
};
struct inst_hashes inst_hash(const struct route_hash_seed *seed, const struct inst *inst,
			     struct str tags);
/* Describes a block from elsewhere, of which all from `bytes` on is right; `inst` may be the
 * draft's own. */
void draft_take(struct route_writer *w, const struct inst *inst, struct str tags,
		const struct inst_hashes *hashes);
/* The block for w->draft, shared or new, with one more entry counted; REF_NONE: full. */
ref_t inst_attach(struct route_writer *w);
void inst_detach(struct route_writer *w, ref_t ref);

/* A filled route block without entries, or REF_NONE. */
ref_t route_block_create(struct route_writer *w, uint64_t hash, struct str key, unsigned host_len,
			 unsigned capacity, uint32_t id);
void route_block_retire(struct route_writer *w, const struct route *route);
uint32_t route_id_acquire(struct route_writer *w);
void route_id_release(struct route_writer *w, uint32_t id);

static inline ref_t ref_of(const struct route_writer *w, const void *block)
{
	return (ref_t)((uint64_t)((const unsigned char *)block - w->table->base) / REF_UNIT);
}

static inline struct str route_text(const struct route *route)
{
	return (struct str){ route_key_bytes(route), route->key_len };
}

/* Memory that a sweep is about to look at: a route's, and nearer by its first endpoint's.
 * gcc takes a function that only prefetches for one without effect, unless it is inlined. */
#define INDEX_AHEAD 24u

static inline __attribute__((always_inline)) void
index_fetch_ahead(const struct route_writer *w, uint64_t at, uint64_t mask)
{
	ref_t far = index_ref(w->space.index[(at + INDEX_AHEAD) & mask]);
	ref_t near = index_ref(w->space.index[(at + INDEX_AHEAD / 2) & mask]);
	const struct route *route;
	const char *inst;

	if (far > REF_TOMBSTONE)
		__builtin_prefetch(shm_get(w->table, far, sizeof(struct route)));
	if (near <= REF_TOMBSTONE)
		return;
	route = shm_get(w->table, near, sizeof(*route));
	inst = route->capacity ? shm_get(w->table, entry_ref(route->entries[0]), 128) : NULL;
	if (!inst)
		return;
	__builtin_prefetch(inst);
	__builtin_prefetch(inst + 64);
	__builtin_prefetch(inst + 128);
}

/* What the digest counts: an entry of a route. */
static inline struct digest_entry digest_entry_of(struct str key, const struct inst *inst)
{
	return (struct digest_entry){
		.key = key, .host = inst_text(inst, INST_TEXT_host), .port = inst->port,
		.app_id = inst_text(inst, INST_TEXT_app_id),
	};
}

static inline struct str packed_tags_of(const struct route_writer *w, const struct inst *inst)
{
	const char *tags = inst->tags ? shm_get(w->table, inst->tags, inst->tags_bytes) : NULL;

	return tags ? (struct str){ tags, inst->tags_bytes } : STR_NONE;
}

static inline struct route_handle handle_of(const struct route_writer *w, uint64_t hash, ref_t ref)
{
	const struct inst *inst = shm_get(w->table, ref, sizeof(*inst));

	return (struct route_handle){ .route_hash = hash, .serial = inst->serial, .inst = ref,
				      .row = inst->row };
}

unsigned route_live_entries(const struct route *route);

/* --- entries (route_writer.c) --- */

/* Takes entry `i` out of the pool, which lies at `at` in the index.  True: the pool went
 * with it. */
bool entry_remove(struct route_writer *w, struct route *route, uint64_t at, unsigned i);
/* Takes the pool out, which has no entries. */
void pool_drop(struct route_writer *w, struct route *route, uint64_t at);

/* --- route with a path, below its host (route_writer.c) --- */

/* Puts a filled block into the index, together with its host's record. */
struct placing {
	struct key_hash hash;
	struct str host;
	unsigned segments;
};
int route_place(struct route_writer *w, const struct placing *where, ref_t block);

/* --- a table made aside (recovery.c): begin, place, then flip or abandon --- */

/* w->space becomes an empty one in the spare arena, which no reader may be in; what it
 * was goes to *old.  0, or -ENOSPC with all as it was. */
int recovery_begin(struct route_writer *w, uint64_t routes, uint64_t entries, struct space *old);
/* The same as route_place() for a key that is new, or has only the record of a host so far. */
int recovery_place(struct route_writer *w, const struct placing *where, ref_t block);
/* Rows that no block names any more are free again. */
void recovery_reclaim_rows(struct route_writer *w);
void recovery_flip(struct route_writer *w, struct space *old);
void recovery_abandon(struct route_writer *w, const struct space *old);

#endif

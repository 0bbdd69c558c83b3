/*
 * shm/route_writer_blocks.c - the blocks that a table is made of, and the board
 * rows that go with endpoints.
 *
 * An endpoint's block is shared by all routes that hold it (interned by
 * fingerprint, compared in full); a row is shared by all blocks of one address,
 * app and instance, so counts survive a change of attributes.
 */
#include "route_writer_core.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/must.h"
#include "endpoint_live.h"

#define ROWS_STEP 1024u               /* rows given memory at a time */
#define ROW_TRIES 8

void space_init(struct route_writer *w, struct space *space, unsigned arena, uint64_t endpoints)
{
	*space = (struct space){ .alloc = alloc_create(w->table, arena) };
	intern_init(&space->insts, endpoints);
	intern_init(&space->rows, endpoints);
	intern_init(&space->depths, 0);
}

void space_fini(struct space *space)
{
	alloc_destroy(space->alloc);
	intern_fini(&space->insts);
	intern_fini(&space->rows);
	intern_fini(&space->depths);
	free(space->row_insts);
	*space = (struct space){ 0 };
}

/* --- rows --- */

void row_queue_push(struct row_queue *queue, uint32_t row)
{
	if (queue->count == queue->room) {
		uint64_t room = queue->room ? 2 * queue->room : 1024;
		uint32_t *rows = mem_alloc(room * sizeof(*rows));

		for (uint64_t i = 0; i < queue->count; i++)
			rows[i] = queue->rows[(queue->first + i) & (queue->room - 1)];
		free(queue->rows);
		*queue = (struct row_queue){ rows, 0, queue->count, room };
	}
	queue->rows[(queue->first + queue->count++) & (queue->room - 1)] = row;
}

/* The oldest row with nothing in flight; a long WebSocket keeps its row. */
static uint32_t row_queue_pop_idle(struct route_writer *w)
{
	struct row_queue *queue = &w->row_queue;

	for (int i = 0; i < ROW_TRIES && queue->count; i++) {
		uint32_t row = queue->rows[queue->first & (queue->room - 1)];

		queue->first++;
		queue->count--;
		if (live_row_is_idle(w->board, row))
			return row;
		row_queue_push(queue, row);
	}
	return NO_ROW;
}

static uint32_t row_fresh(struct route_writer *w)
{
	uint64_t row = w->head->rows_used;
	uint64_t upto = (row / ROWS_STEP + 1) * ROWS_STEP;

	if (row >= w->board->rows)
		return NO_ROW;
	if (board_rows_use(w->board, upto < w->board->rows ? upto : w->board->rows))
		return NO_ROW;
	word_publish(&w->head->rows_used, row + 1);
	return (uint32_t)row;
}

static ref_t *row_inst(struct route_writer *w, uint32_t row)
{
	struct space *space = &w->space;

	if (row >= space->row_insts_room) {
		uint64_t room = space->row_insts_room ? 2 * space->row_insts_room : 1024;

		while (room <= row)
			room *= 2;
		space->row_insts = mem_resize(space->row_insts, room * sizeof(ref_t));
		memset(space->row_insts + space->row_insts_room, 0,
		       (room - space->row_insts_room) * sizeof(ref_t));
		space->row_insts_room = room;
	}
	return &space->row_insts[row];
}

/* A kept row must be one that was handed out and that nobody else has now. */
static bool row_can_be_kept(struct route_writer *w, uint32_t row)
{
	return row != NO_ROW && row < w->head->rows_used && row < w->board->rows &&
	       *row_inst(w, row) == REF_NONE;
}

static uint32_t row_acquire(struct route_writer *w, uint64_t address, uint32_t keep)
{
	struct intern_item *item = intern_find(&w->space.rows, address, NULL);
	uint32_t row = keep;

	if (item) {
		item->count++;
		return item->value;
	}
	if (!row_can_be_kept(w, keep)) {
		row = w->is_draining ? NO_ROW : row_queue_pop_idle(w);
		if (row == NO_ROW)
			row = row_fresh(w);
		if (row == NO_ROW)
			return NO_ROW;
		live_clear_marks(w->board, row);
	}
	intern_add(&w->space.rows, address, row);
	return row;
}

static void row_release(struct route_writer *w, uint64_t address, uint32_t row)
{
	struct intern_item *item = intern_find_value(&w->space.rows, address, row);

	if (!item || intern_drop(&w->space.rows, item))
		return;
	*row_inst(w, row) = REF_NONE;
	if (w->space.is_published)
		row_queue_push(&w->row_queue, row);
}

/* --- endpoint blocks --- */

static uint64_t text_hash(const struct route_hash_seed *seed, struct str text)
{
	return block_hash(seed, text.p, text.len);
}

static uint64_t address_of(const struct route_hash_seed *seed, const struct inst *inst)
{
	uint64_t host = text_hash(seed, inst_text(inst, INST_TEXT_host));
	uint64_t id = text_hash(seed, inst_text(inst, INST_TEXT_instance_id));
	uint64_t app = text_hash(seed, inst_text(inst, INST_TEXT_app_id));

	return route_hash_join(seed, host + inst->port, id + 3 * app);
}

static bool append_text(struct inst *inst, enum inst_text which, size_t *len, struct str text)
{
	if (text.len > ENDPOINT_TEXT_MAX - *len)
		return false;
	if (text.len)
		memcpy(inst->text + *len, text.p, text.len);
	*len += text.len;
	inst->ends[which] = (uint16_t)*len;
	return true;
}

struct inst_hashes inst_hash(const struct route_hash_seed *seed, const struct inst *inst,
			     struct str tags)
{
	return (struct inst_hashes){
		.fingerprint = inst_fingerprint(seed, inst, tags),
		.address = address_of(seed, inst),
	};
}

static void draft_finish(struct route_writer *w)
{
	struct draft *draft = &w->draft;
	struct inst_hashes hashes = inst_hash(&w->head->seed, &draft->inst, draft->tags);

	draft->inst.fingerprint = hashes.fingerprint;
	draft->address = hashes.address;
}

bool inst_describe(struct inst *inst, const struct endpoint *endpoint, char packed[TAGS_PACKED_MAX],
		   struct str *tags)
{
	size_t len = 0;

	memset(inst, 0, offsetof(struct inst, text));
	inst->updated_at_ns = endpoint->updated_at_ns;
	memcpy(inst->ip, endpoint->ip, sizeof(inst->ip));
	inst->flags = endpoint->flags;
	inst->stale_s = endpoint->stale_s;
	inst->port = endpoint->port;
	inst->balancing = endpoint->balancing;
#define X(name) \
	if (!append_text(inst, INST_TEXT_##name, &len, endpoint->name)) \
		return false;
	ENDPOINT_TEXTS(X)
#undef X
	if (endpoint->tags.len > ENDPOINT_TAGS_MAX)
		return false;
	inst->bytes = (uint32_t)(offsetof(struct inst, text) + len);
	*tags = (struct str){ packed, tags_pack(inst, endpoint->tags, packed) };
	inst->tags_bytes = (uint32_t)tags->len;
	return true;
}

void draft_copy(struct route_writer *w, const struct inst *inst, struct str tags)
{
	struct draft *draft = &w->draft;

	memcpy(draft->bytes, inst, inst->bytes);
	draft->tags = tags;
	draft->serial = inst->serial;
	draft->row = inst->row;
	draft_finish(w);
}

void draft_take(struct route_writer *w, const struct inst *inst, struct str tags,
		const struct inst_hashes *hashes)
{
	struct draft *draft = &w->draft;
	size_t from = offsetof(struct inst, bytes);

	if (inst != &draft->inst)
		memcpy(draft->bytes + from, (const char *)inst + from, inst->bytes - from);
	draft->inst.fingerprint = hashes->fingerprint;
	draft->address = hashes->address;
	draft->tags = tags;
	draft->serial = 0;
	draft->row = NO_ROW;
}

/* Fingerprints only suggest; attributes decide. */
static bool is_drafted(const struct route_writer *w, ref_t ref)
{
	const struct inst *inst = shm_get(w->table, ref, sizeof(*inst)), *draft = &w->draft.inst;
	size_t from = offsetof(struct inst, bytes);

	return inst->bytes == draft->bytes && inst->tags_bytes == draft->tags_bytes &&
	       memcmp((const char *)inst + from, (const char *)draft + from, draft->bytes - from) == 0 &&
	       (draft->tags_bytes == 0 ||
		memcmp(shm_get(w->table, inst->tags, inst->tags_bytes), w->draft.tags.p,
		       draft->tags_bytes) == 0);
}

/* Memory for the drafted block and its tags; false: full, nothing is taken. */
static bool draft_allocate(struct route_writer *w, ref_t *block, ref_t *tags)
{
	struct alloc *alloc = w->space.alloc;
	uint32_t tags_bytes = w->draft.inst.tags_bytes;

	*tags = REF_NONE;
	*block = alloc_block(alloc, w->draft.inst.bytes, ALLOC_ENDPOINTS);
	if (!*block)
		return false;
	if (!tags_bytes)
		return true;
	*tags = alloc_block(alloc, tags_bytes, ALLOC_TAGS);
	if (!*tags)
		alloc_free(alloc, *block, w->draft.inst.bytes, ALLOC_ENDPOINTS);
	return *tags != REF_NONE;
}

static ref_t inst_create(struct route_writer *w)
{
	struct inst *inst = &w->draft.inst;
	ref_t block, tags;

	if (!draft_allocate(w, &block, &tags))
		return REF_NONE;
	inst->row = row_acquire(w, w->draft.address, w->draft.row);
	if (inst->row == NO_ROW) {
		alloc_free(w->space.alloc, block, inst->bytes, ALLOC_ENDPOINTS);
		if (tags)
			alloc_free(w->space.alloc, tags, inst->tags_bytes, ALLOC_TAGS);
		return REF_NONE;
	}
	inst->serial = w->draft.serial ? w->draft.serial : w->next_serial++;
	inst->tags = tags;
	inst->unused = 0;
	inst->sum = inst_sum(inst);
	memcpy(shm_get(w->table, block, inst->bytes), inst, inst->bytes);
	if (tags)
		memcpy(shm_get(w->table, tags, inst->tags_bytes), w->draft.tags.p, inst->tags_bytes);
	*row_inst(w, inst->row) = block;
	intern_add(&w->space.insts, inst->fingerprint, block);
	return block;
}

ref_t inst_attach(struct route_writer *w)
{
	uint64_t fingerprint = w->draft.inst.fingerprint;
	struct intern_item *item = intern_find(&w->space.insts, fingerprint, NULL);

	for (; item; item = intern_find(&w->space.insts, fingerprint, item)) {
		if (!is_drafted(w, item->value))
			continue;
		item->count++;
		return item->value;
	}
	return inst_create(w);
}

void inst_detach(struct route_writer *w, ref_t ref)
{
	const struct inst *inst = shm_get(w->table, ref, sizeof(*inst));
	struct intern_item *item = intern_find_value(&w->space.insts, inst->fingerprint, ref);

	must(item != NULL);
	if (intern_drop(&w->space.insts, item))
		return;
	if (inst->tags)
		block_retire(w, inst->tags, inst->tags_bytes, ALLOC_TAGS);
	block_retire(w, ref, inst->bytes, ALLOC_ENDPOINTS);
}

/* --- freeing --- */

/* Sizes are multiples of 16: the area travels in the low bits. */
void block_retire(struct route_writer *w, ref_t ref, uint32_t bytes, enum alloc_area area)
{
	uint32_t size = alloc_size(bytes) | area;

	if (w->space.is_published)
		epoch_retire(w->epoch, ref, size);
	else
		block_free(w, ref, size);
}

/* A row is free once the blocks that name it are out of every reader's sight. */
void block_free(void *context, uint32_t ref, uint32_t size)
{
	struct route_writer *w = context;
	enum alloc_area area = size & (REF_UNIT - 1);

	if (area == ALLOC_ENDPOINTS) {
		const struct inst *inst = shm_get(w->table, ref, sizeof(*inst));

		row_release(w, address_of(&w->head->seed, inst), inst->row);
	}
	alloc_free(w->space.alloc, ref, size & ~(REF_UNIT - 1), area);
}

/* --- route blocks --- */

uint32_t route_id_acquire(struct route_writer *w)
{
	return w->free_id_count ? w->free_ids[--w->free_id_count] : w->next_id++;
}

void route_id_release(struct route_writer *w, uint32_t id)
{
	if (w->free_id_count == w->free_id_room) {
		w->free_id_room = w->free_id_room ? 2 * w->free_id_room : 1024;
		w->free_ids = mem_resize(w->free_ids, w->free_id_room * sizeof(*w->free_ids));
	}
	w->free_ids[w->free_id_count++] = id;
}

ref_t route_block_create(struct route_writer *w, uint64_t hash, struct str key, unsigned host_len,
			 unsigned capacity, uint32_t id)
{
	uint32_t bytes = route_bytes(capacity, (unsigned)key.len);
	ref_t ref = alloc_block(w->space.alloc, bytes, ALLOC_ROUTES);
	struct route *route;

	if (!ref)
		return REF_NONE;
	route = shm_get(w->table, ref, bytes);
	memset(route, 0, sizeof(*route) + 8 * capacity);
	route->hash = hash;
	route->id = id;
	route->capacity = (uint16_t)capacity;
	route->key_len = (uint16_t)key.len;
	route->host_len = (uint16_t)host_len;
	route->key_sum = block_sum(key.p, key.len);
	memcpy(route_key_bytes(route), key.p, key.len);
	return ref;
}

void route_block_retire(struct route_writer *w, const struct route *route)
{
	block_retire(w, ref_of(w, route), route_bytes(route->capacity, route->key_len), ALLOC_ROUTES);
}

unsigned route_live_entries(const struct route *route)
{
	unsigned live = 0;

	for (unsigned i = 0; i < route->capacity; i++)
		live += route->entries[i] != 0;
	return live;
}

/*
 * registrar/batch.c - the memory of messages.
 */
#include "registrar/batch.h"

#include <nats/nats.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SPARES_MOST 16
#define ROOM_LEAST  (SLAB_BYTES / 4)  /* less is not worth reading into */

/* --- slabs */

static struct slab *slab_create(struct batch_home *home)
{
	struct slab *slab = home->spare;

	if (slab) {
		home->spare = slab->next_spare;
		home->spares--;
	} else {
		slab = mem_alloc(sizeof(*slab));
	}
	slab->holders = 1;
	slab->taken = slab->filled = 0;
	return slab;
}

static void slab_drop(struct batch_home *home, struct slab *slab)
{
	if (--slab->holders > 0)
		return;
	if (home->spares == SPARES_MOST) {
		free(slab);
		return;
	}
	slab->next_spare = home->spare;
	home->spare = slab;
	home->spares++;
}

struct slab *batch_home_slab(struct batch_home *home)
{
	struct slab *old = home->slab, *slab;

	if (old && SLAB_BYTES - old->filled >= ROOM_LEAST)
		return old;
	home->slab = slab = slab_create(home);
	if (!old)
		return slab;
	slab->filled = old->filled - old->taken;
	memcpy(slab->bytes, old->bytes + old->taken, slab->filled);
	slab_drop(home, old);
	return slab;
}

void batch_home_restart(struct batch_home *home)
{
	if (home->slab)
		home->slab->taken = home->slab->filled;
}

void batch_home_trim(struct batch_home *home)
{
	while (home->spare) {
		struct slab *slab = home->spare;

		home->spare = slab->next_spare;
		free(slab);
	}
	home->spares = 0;
}

/* --- homes */

void batch_home_init(struct batch_home *home)
{
	atomic_init(&home->pending_bytes, 0);
	atomic_init(&home->returned_bytes, 0);
	atomic_init(&home->returned, NULL);
	home->slab = home->spare = NULL;
	home->spares = 0;
}

void batch_home_fini(struct batch_home *home)
{
	if (home->slab)
		slab_drop(home, home->slab);
	home->slab = NULL;
	batch_home_trim(home);
}

/* All of them are taken at once, so none can return meanwhile and be taken for another. */
void batch_home_clear(struct batch_home *home)
{
	struct batch *batch = atomic_exchange_explicit(&home->returned, NULL, memory_order_acquire);

	while (batch) {
		struct batch *next = batch->next_returned;

		atomic_fetch_sub_explicit(&home->returned_bytes, batch->bytes, memory_order_relaxed);
		batch_free(batch);
		batch = next;
	}
}

/* --- batches */

struct batch *batch_create(struct batch_home *home, struct slab *slab, unsigned most)
{
	struct batch *b = mem_alloc(offsetof(struct batch, items) + most * sizeof(b->items[0]));

	b->home = home;
	b->slab = slab;
	b->count = b->next = 0;
	b->bytes = 0;
	arena_init(&b->readings, NULL, 0);
	atomic_init(&b->holders, 1);
	atomic_init(&b->is_begun, false);
	if (slab)
		slab->holders++;
	return b;
}

static void give_back(struct batch *batch)
{
	struct batch_home *home = batch->home;

	atomic_fetch_sub_explicit(&home->pending_bytes, batch->bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&home->returned_bytes, batch->bytes, memory_order_relaxed);
	batch->next_returned = atomic_load_explicit(&home->returned, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&home->returned, &batch->next_returned, batch,
						      memory_order_release, memory_order_relaxed))
		;
}

void batch_release(struct batch *batch)
{
	if (atomic_fetch_sub_explicit(&batch->holders, 1, memory_order_acq_rel) == 1)
		give_back(batch);
}

void batch_free(struct batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++)
		if (batch->items[i].memory)
			natsMsg_Destroy(batch->items[i].memory);
	if (batch->slab)
		slab_drop(batch->home, batch->slab);
	arena_fini(&batch->readings);
	free(batch);
}

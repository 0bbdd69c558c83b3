/*
 * shm/epoch.c - the grace period across processes (design section 6; the model is
 * tests/torture/model/epoch.pml, change them together).
 *
 * Reader:  v = counter; slot := v, full fence ... loads ...; slot := 0 (release)
 * Writer:  unlink; retire(block, tag = counter)
 *          tick: counter++ if the newest tag equals it; fence; m = least slot
 *          value, each loaded once, 0 ignored; fence; free blocks with tag < m.
 *
 * A reader that got a block before its unlinking has posted a value <= tag that
 * the scan must see, or has left since; its leave is ordered after its loads.
 */
#include "epoch.h"

#include <stdlib.h>

#include "base/mem.h"
#include "board_layout.h"

#define FIFO_MIN 1024u
#define DEAD_TOOL_MS 1000

struct retired {
	uint64_t tag;
	uint32_t ref, size;
};

struct epoch {
	uint64_t *counter;            /* in the table's head */
	struct board *board;          /* borrowed */
	epoch_free_fn *free_block;
	void *context;
	struct retired *fifo;         /* ring of `room` places, oldest at `first` */
	uint64_t first, count, room;
	uint64_t deferred_bytes;
	int blocking_slot;            /* that kept the last tick from freeing all, or -1 */
	uint64_t blocking_value, blocking_since_ms;
};

/* A locked instruction is cheaper than mfence and orders the same here. */
static inline void full_fence(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lock; addl $0,-8(%%rsp)" ::: "memory", "cc");
#else
	__sync_synchronize();
#endif
}

void epoch_enter(struct epoch_reader *reader)
{
	uint64_t v = __atomic_load_n(reader->counter, __ATOMIC_ACQUIRE);

	__atomic_exchange_n(reader->slot_word, v, __ATOMIC_SEQ_CST);
#if !defined(__x86_64__)
	full_fence();                 /* an exchange alone may let later loads pass */
#endif
}

void epoch_leave(struct epoch_reader *reader)
{
	__atomic_store_n(reader->slot_word, 0, __ATOMIC_RELEASE);
}

struct epoch *epoch_create(uint64_t *counter, struct board *board, epoch_free_fn *free_block,
			   void *context)
{
	struct epoch *epoch = mem_zalloc(sizeof(*epoch));

	epoch->counter = counter;
	epoch->board = board;
	epoch->free_block = free_block;
	epoch->context = context;
	epoch->room = FIFO_MIN;
	epoch->fifo = mem_alloc(epoch->room * sizeof(*epoch->fifo));
	epoch->blocking_slot = -1;
	return epoch;
}

void epoch_destroy(struct epoch *epoch)
{
	if (!epoch)
		return;
	free(epoch->fifo);
	free(epoch);
}

void epoch_forget(struct epoch *epoch)
{
	epoch->first = epoch->count = epoch->deferred_bytes = 0;
}

static void fifo_grow(struct epoch *epoch)
{
	struct retired *fifo = mem_alloc(2 * epoch->room * sizeof(*fifo));

	for (uint64_t i = 0; i < epoch->count; i++)
		fifo[i] = epoch->fifo[(epoch->first + i) & (epoch->room - 1)];
	free(epoch->fifo);
	epoch->fifo = fifo;
	epoch->first = 0;
	epoch->room *= 2;
}

void epoch_retire(struct epoch *epoch, uint32_t ref, uint32_t size)
{
	if (epoch->count == epoch->room)
		fifo_grow(epoch);
	epoch->fifo[(epoch->first + epoch->count++) & (epoch->room - 1)] = (struct retired){
		.tag = *epoch->counter, .ref = ref, .size = size,
	};
	epoch->deferred_bytes += size;
}

uint64_t epoch_deferred(const struct epoch *epoch)
{
	return epoch->deferred_bytes;
}

uint64_t epoch_begin_grace(struct epoch *epoch)
{
	uint64_t tag = *epoch->counter;

	full_fence();
	__atomic_store_n(epoch->counter, tag + 1, __ATOMIC_RELEASE);
	return tag;
}

/* The least epoch that a reader is in, and whose slot that is.  Each slot is
 * loaded once: a second look could see another section. */
static uint64_t oldest_reader(const struct epoch *epoch, int *slot)
{
	uint64_t oldest = UINT64_MAX;

	*slot = -1;
	full_fence();
	for (unsigned i = 0; i < epoch->board->slots; i++) {
		uint64_t v = __atomic_load_n(&board_slot(epoch->board, i)->epoch, __ATOMIC_ACQUIRE);

		if (v && v < oldest) {
			oldest = v;
			*slot = (int)i;
		}
	}
	full_fence();
	return oldest;
}

/* Remembers who is in the way, and since when.  A tool that died in a section is
 * nobody's child: its lock tells that it is gone. */
static void note_blocking(struct epoch *epoch, int slot, uint64_t value, uint64_t now_ms)
{
	if (slot != epoch->blocking_slot || value != epoch->blocking_value) {
		epoch->blocking_slot = slot;
		epoch->blocking_value = value;
		epoch->blocking_since_ms = now_ms;
		return;
	}
	if (slot < SLOT_TOOL || slot >= SLOT_TOOL + SLOT_TOOLS ||
	    now_ms - epoch->blocking_since_ms < DEAD_TOOL_MS ||
	    epoch->board->claimed[slot] || board_slot_is_held(epoch->board, (unsigned)slot))
		return;
	__atomic_compare_exchange_n(&board_slot(epoch->board, (unsigned)slot)->epoch, &value, 0,
				    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

bool epoch_has_passed(struct epoch *epoch, uint64_t tag, uint64_t now_ms)
{
	int slot;
	uint64_t oldest = oldest_reader(epoch, &slot);

	if (tag < oldest) {
		epoch->blocking_slot = -1;
		return true;
	}
	note_blocking(epoch, slot, oldest, now_ms);
	return false;
}

uint64_t epoch_tick(struct epoch *epoch, uint64_t now_ms)
{
	uint64_t mask = epoch->room - 1, oldest;
	int slot;

	if (!epoch->count)
		return 0;
	if (epoch->fifo[(epoch->first + epoch->count - 1) & mask].tag == *epoch->counter)
		epoch_begin_grace(epoch);
	oldest = oldest_reader(epoch, &slot);
	while (epoch->count && epoch->fifo[epoch->first & mask].tag < oldest) {
		struct retired gone = epoch->fifo[epoch->first & mask];

		epoch->first++;
		epoch->count--;
		epoch->deferred_bytes -= gone.size;
		epoch->free_block(epoch->context, gone.ref, gone.size);
	}
	if (epoch->count)
		note_blocking(epoch, slot, oldest, now_ms);
	else
		epoch->blocking_slot = -1;
	return epoch->deferred_bytes;
}

int epoch_stuck_slot(const struct epoch *epoch, uint64_t now_ms, uint64_t ms)
{
	if (epoch->blocking_slot < 0 || now_ms - epoch->blocking_since_ms <= ms)
		return -1;
	return epoch->blocking_slot;
}

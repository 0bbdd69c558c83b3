/*
 * shm/ref.h - references inside the table and the words that may change while
 * readers look.  A reference is an offset in units of 16 bytes from the start of
 * the object, so nothing depends on where it is mapped.  Used by shm/ only.
 */
#ifndef SHM_REF_H
#define SHM_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REF_UNIT 16u
#define REF_NONE 0u
#define REF_TOMBSTONE 1u              /* in index words: was used, keep probing */

typedef uint32_t ref_t;

/* A mapped table.  Private memory of the process that mapped it. */
struct table {
	unsigned char *base;
	uint64_t size;                /* bytes mapped; every reference is checked against it */
	int fd;                       /* -1 once a read-only mapping is made */
	bool is_writable;
};

/* Bytes before the first block: the head, alone. */
#define TABLE_HEAD_SPAN (2u << 20)

static inline uint64_t ref_offset(ref_t ref)
{
	return (uint64_t)ref * REF_UNIT;
}

/* `bytes` bytes at `ref`, or NULL if they are not inside the table: a damaged
 * table yields nothing, never a crash. */
static inline void *shm_get(const struct table *table, ref_t ref, uint64_t bytes)
{
	uint64_t at = ref_offset(ref);

	if (at < TABLE_HEAD_SPAN || at > table->size || table->size - at < bytes)
		return NULL;
	return table->base + at;
}

/* A shared word is loaded once into a local, then used. */
static inline uint64_t word_get(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* For tests that stop or kill the writer between any two of its stores; NULL in
 * production. */
extern void (*word_published)(void);

/* Makes a change visible: everything stored before is complete when a reader
 * sees the word. */
static inline void word_publish(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	if (__builtin_expect(word_published != NULL, 0))
		word_published();
}

#endif

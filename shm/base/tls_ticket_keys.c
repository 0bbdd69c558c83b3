/*
 * base/tls_ticket_keys.c - a sequence lock around two keys.
 */
#include "base/tls_ticket_keys.h"

#include <string.h>

#include "base/hash.h"

#define TRIES 1000            /* a rotation copies 160 bytes; longer means that its writer is gone */

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
	uint32_t version = __atomic_load_n(&keys->version, __ATOMIC_RELAXED) & ~1u;
	bool is_first = version == 0;
	struct tls_ticket_key fresh;

	random_bytes(&fresh, sizeof(fresh));
	__atomic_store_n(&keys->version, version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	keys->previous = is_first ? fresh : keys->current;
	keys->current = fresh;
	version = version + 2 ? version + 2 : 2;      /* 0 is kept for "none" */
	__atomic_store_n(&keys->version, version, __ATOMIC_RELEASE);
	explicit_bzero(&fresh, sizeof(fresh));
}

bool tls_ticket_keys_read(const struct tls_ticket_keys *keys, struct tls_ticket_keys *copy)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t before = __atomic_load_n(&keys->version, __ATOMIC_ACQUIRE);

		if (!before)
			return false;
		memcpy(copy, keys, sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && __atomic_load_n(&keys->version, __ATOMIC_RELAXED) == before)
			return true;
	}
	return false;
}

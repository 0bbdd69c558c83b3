/*
 * base/tls_ticket_keys.c - a sequence lock around two keys.
 */
#include "base/tls_ticket_keys.h"

#include <string.h>

#include "base/hash.h"
#include "base/str.h"

#define TRIES 1000            /* a rotation copies 160 bytes; longer means that its writer is gone */

/* Word by word, because the other side may be reading or writing the same; in an
 * order that puts them all between both looks at the version. */
static void store_key(struct tls_ticket_key *to, const struct tls_ticket_key *from)
{
	uint32_t words[sizeof(*from) / sizeof(uint32_t)];

	memcpy(words, from, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		__atomic_store_n((uint32_t *)to + i, words[i], __ATOMIC_RELEASE);
	explicit_bzero(words, sizeof(words));
}

static void load_key(struct tls_ticket_key *to, const struct tls_ticket_key *from)
{
	uint32_t words[sizeof(*from) / sizeof(uint32_t)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = __atomic_load_n((const uint32_t *)from + i, __ATOMIC_ACQUIRE);
	memcpy(to, words, sizeof(words));
	explicit_bzero(words, sizeof(words));
}

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
	uint32_t version = __atomic_load_n(&keys->version, __ATOMIC_RELAXED) & ~1u;
	struct tls_ticket_key fresh, before;

	random_bytes(&fresh, sizeof(fresh));
	before = version ? keys->current : fresh;
	__atomic_store_n(&keys->version, version + 1, __ATOMIC_RELAXED);
	store_key(&keys->previous, &before);
	store_key(&keys->current, &fresh);
	version = version + 2 ? version + 2 : 2;      /* 0 is kept for "none" */
	__atomic_store_n(&keys->version, version, __ATOMIC_RELEASE);
	explicit_bzero(&fresh, sizeof(fresh));
	explicit_bzero(&before, sizeof(before));
}

bool tls_ticket_keys_read(const struct tls_ticket_keys *keys, struct tls_ticket_keys *copy)
{
	for (int i = 0; i < TRIES; i++) {
		copy->version = __atomic_load_n(&keys->version, __ATOMIC_ACQUIRE);
		if (!copy->version)
			return false;
		load_key(&copy->current, &keys->current);
		load_key(&copy->previous, &keys->previous);
		if (!(copy->version & 1) &&
		    __atomic_load_n(&keys->version, __ATOMIC_RELAXED) == copy->version)
			return true;
	}
	return false;
}

/*
 * shm/route_hash.c - hashing of route keys, and the checksum of blocks.
 */
#include "route_hash.h"

/* 64 x 64 -> 128 bits, folded: every input bit reaches every output bit. */
static inline uint64_t fold(uint64_t x, uint64_t y)
{
	unsigned __int128 product = (unsigned __int128)x * y;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Up to eight bytes; `mark` tells their number and whether the piece ends, so
 * that no two splits of a text meet. */
static inline uint64_t step(const struct route_hash_seed *seed, uint64_t state, uint64_t word,
			    unsigned mark)
{
	return fold(state ^ word, seed->b + (2 * mark + 1) * 0x9e3779b97f4a7c15u);
}

#define MARK_FULL 0u                  /* eight bytes, more may follow */
#define MARK_END(n) (1u + (n))        /* the last n bytes, 0 to 7 */

unsigned route_hash_host(const struct route_hash_seed *seed, struct str host,
			 uint64_t suffix[ROUTE_LABELS_MAX], uint16_t start[ROUTE_LABELS_MAX])
{
	uint64_t state = seed->a, word = 0;
	unsigned labels = 0, n = 0;

	for (size_t i = host.len; i-- > 0;) {
		if (host.p[i] == '.') {
			state = step(seed, state, word, MARK_END(n));
			suffix[labels] = state;
			start[labels++] = (uint16_t)(i + 1);
			word = n = 0;
			continue;
		}
		word = word << 8 | (unsigned char)host.p[i];
		if (++n == 8) {
			state = step(seed, state, word, MARK_FULL);
			word = n = 0;
		}
	}
	suffix[labels] = step(seed, state, word, MARK_END(n));
	start[labels++] = 0;
	return labels;
}

uint64_t route_hash_wildcard(const struct route_hash_seed *seed, uint64_t suffix)
{
	return step(seed, suffix, '*', MARK_END(1));
}

unsigned route_hash_path(const struct route_hash_seed *seed, struct str path,
			 uint64_t *state, uint16_t *end)
{
	uint64_t s = seed->a + seed->b, word = 0;
	unsigned segments = 0, n = 0;

	for (size_t i = 1; i <= path.len; i++) {
		if (i == path.len || path.p[i] == '/') {
			s = step(seed, s, word, MARK_END(n));
			state[segments] = s;
			end[segments++] = (uint16_t)i;
			word = n = 0;
			continue;
		}
		word = word << 8 | (unsigned char)path.p[i];
		if (++n == 8) {
			s = step(seed, s, word, MARK_FULL);
			word = n = 0;
		}
	}
	return segments;
}

uint64_t route_hash_join(const struct route_hash_seed *seed, uint64_t host, uint64_t path)
{
	return fold(host ^ seed->a, path ^ seed->b);
}

uint32_t block_sum(const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	uint64_t sum = 0x8ebc6af09c88c6e3u + len, word;

	for (; len >= 8; len -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum = fold(sum ^ word, 0xa0761d6478bd642fu) + 1;
	}
	word = 0;
	if (len)
		memcpy(&word, at, len);
	sum = fold(sum ^ word, 0xe7037ed1a0b428dbu);
	return (uint32_t)(sum ^ sum >> 32);
}

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

/* The up to eight bytes before `end`, the last of them on top; 0 where there are
 * none.  The text is read backwards, so that labels are met from the right. */
static inline uint64_t word_before(struct str text, size_t end)
{
	uint64_t word = 0;

	if (end >= 8) {
		memcpy(&word, text.p + end - 8, 8);
	} else if (text.len >= 8) {
		memcpy(&word, text.p, 8);
		word <<= 64 - 8 * end;
	} else {
		memcpy((char *)&word + 8 - end, text.p, end);
	}
	return word;
}

/* A one on top of each byte that is a dot. */
static inline uint64_t dots_in(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101u, low = 0x7f * ones;
	uint64_t others = word ^ '.' * ones;

	return ~(((others & low) + low) | others | low);
}

/* Its n highest bytes, 0 to 7. */
static inline uint64_t top_bytes(uint64_t word, size_t n)
{
	return n ? word >> (64 - 8 * n) : 0;
}

unsigned route_hash_host(const struct route_hash_seed *seed, struct str host,
			 uint64_t suffix[ROUTE_LABELS_MAX], uint16_t start[ROUTE_LABELS_MAX])
{
	uint64_t state = seed->a;
	size_t end = host.len, n;
	unsigned labels = 0;

	for (;;) {
		uint64_t word = end ? word_before(host, end) : 0, dots = dots_in(word);

		n = dots ? (size_t)__builtin_clzll(dots) / 8 : end < 8 ? end : 8;
		if (n == 8) {
			state = step(seed, state, word, MARK_FULL);
			end -= 8;
			continue;
		}
		state = step(seed, state, top_bytes(word, n), MARK_END((unsigned)n));
		end -= n;
		suffix[labels] = state;
		start[labels++] = (uint16_t)end;
		if (!end)
			return labels;
		end--;                /* the dot */
	}
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

/* Multiplications wait for one another, so four sums go side by side. */
#define LANES 4

static inline uint64_t word_at(const unsigned char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

uint64_t block_hash(const struct route_hash_seed *seed, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	uint64_t sums[LANES] = { seed->a + len, ~seed->a, seed->a ^ seed->b, seed->b }, word = 0;

	for (; len >= 8 * LANES; len -= 8 * LANES, at += 8 * LANES)
		for (unsigned i = 0; i < LANES; i++)
			sums[i] = fold(sums[i] ^ word_at(at + 8 * i), seed->b) + i + 1;
	sums[0] = fold(sums[0] ^ sums[1], seed->b + 2) ^ fold(sums[2] ^ sums[3], seed->b + 4);
	for (; len >= 8; len -= 8, at += 8)
		sums[0] = fold(sums[0] ^ word_at(at), seed->b) + 1;
	if (len)
		memcpy(&word, at, len);
	return fold(sums[0] ^ word, seed->b + 6);
}

uint32_t block_sum(const void *bytes, size_t len)
{
	static const struct route_hash_seed known = { 0x8ebc6af09c88c6e3u, 0xa0761d6478bd642fu };
	uint64_t hash = block_hash(&known, bytes, len);

	return (uint32_t)(hash ^ hash >> 32);
}

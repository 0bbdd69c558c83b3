/*
 * registrar/quotes.c - the quotes of a text as bits, and the bits as positions: without a
 * branch that depends on where they are, which a processor could not foretell.
 */
#include "registrar/quotes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct block {
	uint64_t quotes;              /* the first byte's is bit 0 */
	uint32_t count;
	bool is_odd;                  /* has a byte that no plain message has */
};

#ifdef __SSE2__
struct wide {
	uint64_t quotes;
	__m128i counts, odd;
};

static inline void read_sixteen(const char *p, unsigned at, struct wide *sum)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(p + at));
	__m128i next = _mm_add_epi8(bytes, _mm_set1_epi8(1));         /* 0x7f becomes negative */
	__m128i is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));

	sum->odd = _mm_or_si128(sum->odd, _mm_cmplt_epi8(next, _mm_set1_epi8(0x21)));
	sum->odd = _mm_or_si128(sum->odd, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
	sum->counts = _mm_sub_epi8(sum->counts, is_quote);
	sum->quotes |= (uint64_t)(uint32_t)_mm_movemask_epi8(is_quote) << at;
}

static inline struct block read_block(const char *p)
{
	struct wide sum = { 0, _mm_setzero_si128(), _mm_setzero_si128() };
	__m128i counts;

	read_sixteen(p, 0, &sum);
	read_sixteen(p, 16, &sum);
	read_sixteen(p, 32, &sum);
	read_sixteen(p, 48, &sum);
	counts = _mm_sad_epu8(sum.counts, _mm_setzero_si128());       /* of two halves */
	return (struct block){
		.quotes = sum.quotes,
		.count = (uint32_t)(_mm_cvtsi128_si32(counts) + _mm_extract_epi16(counts, 4)),
		.is_odd = _mm_movemask_epi8(sum.odd) != 0,
	};
}
#else
static struct block read_block(const char *p)
{
	struct block block = { 0, 0, false };

	for (unsigned i = 0; i < QUOTES_BLOCK; i++) {
		unsigned char c = (unsigned char)p[i];

		block.quotes |= (uint64_t)(c == '"') << i;
		block.count += c == '"';
		block.is_odd |= c < 0x20 || c > 0x7e || c == '\\';
	}
	return block;
}
#endif

/* The rest of a text, with blanks behind it if it is less than a block. */
static inline const char *whole_block(struct str rest, char room[QUOTES_BLOCK])
{
	if (rest.len >= QUOTES_BLOCK)
		return rest.p;
	memset(room, ' ', QUOTES_BLOCK);
	memcpy(room, rest.p, rest.len);
	return room;
}

/* Any number will do once there is none left. */
static inline uint32_t take_first(uint64_t *bits)
{
	uint32_t first = (uint32_t)__builtin_ctzll(*bits | 1ull << 63);

	*bits &= *bits - 1;
	return first;
}

/* Eight at a time, be there as many or not: how often that is hardly ever varies. */
static void put_positions(struct block block, uint32_t base, uint32_t *at)
{
	for (uint32_t *end = at + block.count; at < end; at += 8) {
		at[0] = base + take_first(&block.quotes);
		at[1] = base + take_first(&block.quotes);
		at[2] = base + take_first(&block.quotes);
		at[3] = base + take_first(&block.quotes);
		at[4] = base + take_first(&block.quotes);
		at[5] = base + take_first(&block.quotes);
		at[6] = base + take_first(&block.quotes);
		at[7] = base + take_first(&block.quotes);
	}
}

uint32_t quotes_find(struct str text, uint32_t *at, uint32_t most)
{
	char room[QUOTES_BLOCK];
	uint32_t count = 0;

	for (size_t i = 0; i < text.len; i += QUOTES_BLOCK) {
		struct str rest = { text.p + i, text.len - i };
		struct block block = read_block(whole_block(rest, room));

		if (block.is_odd || block.count > most - count)
			return QUOTES_ODD;
		put_positions(block, (uint32_t)i, at + count);
		count += block.count;
	}
	return count;
}

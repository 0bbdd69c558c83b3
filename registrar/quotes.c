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
/* Of sums in two halves of the register. */
static uint32_t sum_of(__m128i bytes)
{
	__m128i sums = _mm_sad_epu8(bytes, _mm_setzero_si128());

	return (uint32_t)(_mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4));
}

static struct block read_block(const char *p)
{
	__m128i odd = _mm_setzero_si128(), counts = _mm_setzero_si128();
	uint64_t quotes = 0;

	for (unsigned i = 0; i < QUOTES_BLOCK; i += sizeof(__m128i)) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(p + i));
		__m128i next = _mm_add_epi8(bytes, _mm_set1_epi8(1));  /* 0x7f becomes negative */
		__m128i is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));

		odd = _mm_or_si128(odd, _mm_cmplt_epi8(next, _mm_set1_epi8(0x21)));
		odd = _mm_or_si128(odd, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
		counts = _mm_sub_epi8(counts, is_quote);
		quotes |= (uint64_t)(uint32_t)_mm_movemask_epi8(is_quote) << i;
	}
	return (struct block){ quotes, sum_of(counts), _mm_movemask_epi8(odd) != 0 };
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

static struct block read_last(struct str rest)
{
	char bytes[QUOTES_BLOCK];

	memset(bytes, ' ', sizeof(bytes));
	memcpy(bytes, rest.p, rest.len);
	return read_block(bytes);
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
	uint32_t count = 0;

	for (size_t i = 0; i < text.len; i += QUOTES_BLOCK) {
		struct block block = text.len - i >= QUOTES_BLOCK ?
				     read_block(text.p + i) : read_last(str_sub(text, i, STR_REST));

		if (block.is_odd || block.count > most - count)
			return QUOTES_ODD;
		put_positions(block, (uint32_t)i, at + count);
		count += block.count;
	}
	return count;
}

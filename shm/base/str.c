/*
 * base/str.c - borrowed text.  No allocation here, and no locale.
 */
#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ASCII letters in lower case, eight bytes at once. */
static uint64_t lower_eight(const char *p)
{
	const uint64_t ones = 0x0101010101010101ull, tops = 0x80 * ones;
	uint64_t eight, rest, from_a, beyond_z;

	memcpy(&eight, p, sizeof(eight));
	rest = eight & ~tops;
	from_a = rest + (0x80 - 'A') * ones;
	beyond_z = rest + (0x7f - 'Z') * ones;
	return eight | (((from_a ^ beyond_z) & ~eight & tops) >> 2);
}

bool str_same_nocase(const char *a, const char *b, size_t len)
{
	if (len >= 8) {
		for (size_t i = 0; i + 8 < len; i += 8)
			if (lower_eight(a + i) != lower_eight(b + i))
				return false;
		return lower_eight(a + len - 8) == lower_eight(b + len - 8);
	}
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

size_t str_lower(struct str s, char *out)
{
	uint64_t eight;
	size_t i = 0;

	for (; i + sizeof(eight) <= s.len; i += sizeof(eight)) {
		eight = lower_eight(s.p + i);
		memcpy(out + i, &eight, sizeof(eight));
	}
	for (; i < s.len; i++)
		out[i] = ascii_lower(s.p[i]);
	return s.len;
}

bool str_has_prefix(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_equal(str_sub(s, 0, prefix.len), prefix);
}

bool str_has_prefix_nocase(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_equal_nocase(str_sub(s, 0, prefix.len), prefix);
}

bool str_has_suffix(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_equal(str_sub(s, s.len - suffix.len, STR_REST), suffix);
}

ssize_t str_find_char(struct str s, char c)
{
	const char *hit = s.len ? memchr(s.p, c, s.len) : NULL;

	return hit ? hit - s.p : -1;
}

ssize_t str_find(struct str haystack, struct str needle)
{
	const char *hit;

	if (needle.len == 0)
		return 0;
	if (haystack.len < needle.len)
		return -1;
	hit = memmem(haystack.p, haystack.len, needle.p, needle.len);
	return hit ? hit - haystack.p : -1;
}

struct str str_sub(struct str s, size_t from, size_t len)
{
	if (from > s.len)
		from = s.len;
	if (len > s.len - from)
		len = s.len - from;
	return (struct str){ s.p ? s.p + from : NULL, len };
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

bool str_next_item(struct str *rest, char separator, struct str *item)
{
	ssize_t cut;

	if (!rest->len)
		return false;
	cut = str_find_char(*rest, separator);
	if (cut < 0) {
		*item = str_trim(*rest);
		*rest = STR_NONE;
		return true;
	}
	*item = str_trim(str_sub(*rest, 0, (size_t)cut));
	*rest = str_sub(*rest, (size_t)cut + 1, STR_REST);
	return true;
}

bool str_list_has(struct str list, struct str token)
{
	struct str item;

	while (str_next_item(&list, ',', &item))
		if (str_equal_nocase(item, token))
			return true;
	return false;
}

bool str_parse_u64(struct str s, uint64_t *value)
{
	uint64_t n = 0;

	if (!s.len)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.p[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*value = n;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_parse_hex64(struct str s, uint64_t *value)
{
	uint64_t n = 0;

	if (!s.len || s.len > 16)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int digit = hex_digit(s.p[i]);

		if (digit < 0)
			return false;
		n = n << 4 | (unsigned)digit;
	}
	*value = n;
	return true;
}

#define TEN(tens) { tens, '0' }, { tens, '1' }, { tens, '2' }, { tens, '3' }, { tens, '4' }, \
		  { tens, '5' }, { tens, '6' }, { tens, '7' }, { tens, '8' }, { tens, '9' }

const char u64_digits[100][2] = {
	TEN('0'), TEN('1'), TEN('2'), TEN('3'), TEN('4'),
	TEN('5'), TEN('6'), TEN('7'), TEN('8'), TEN('9'),
};

/* log10(2) is a little more than 1233 / 4096. */
static size_t u64_digits_of(uint64_t value)
{
	static const uint64_t powers[20] = {
		0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
		10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
		1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000,
		10000000000000000000u,
	};
	unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1), least = bits * 1233 >> 12;

	return least + (value >= powers[least]);
}

#ifdef __SSE2__
#define STEP sizeof(__m128i)

/* How many of sixteen bytes are plain before the first that is not. */
static size_t plain_before(__m128i bytes)
{
	__m128i others = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));  /* 0x80 and above, too */

	others = _mm_or_si128(others, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
	others = _mm_or_si128(others, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
	others = _mm_or_si128(others, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
	return (size_t)__builtin_ctz((unsigned)_mm_movemask_epi8(others) | 1u << STEP);
}

/* Fewer than eight bytes: by loads of one size that overlap, the rest zero. */
static uint64_t load_up_to_7(const char *p, size_t len)
{
	uint32_t first, last;

	if (!len)
		return 0;
	if (len < 4)
		return (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[len / 2] << len / 2 * 8 |
		       (uint64_t)(uint8_t)p[len - 1] << (len - 1) * 8;
	memcpy(&first, p, 4);
	memcpy(&last, p + len - 4, 4);
	return first | (uint64_t)last << (len - 4) * 8;
}

static __m128i load_up_to_15(const char *p, size_t len)
{
	uint64_t first, last;

	if (len < 8)
		return _mm_set_epi64x(0, (long long)load_up_to_7(p, len));
	memcpy(&first, p, 8);
	memcpy(&last, p + len - 8, 8);
	return _mm_set_epi64x((long long)(last >> (15 - len) * 8 >> 8), (long long)first);
}

static inline __attribute__((always_inline)) size_t plain_at(__m128i bytes, char *out)
{
	if (out)
		_mm_storeu_si128((__m128i *)out, bytes);
	return plain_before(bytes);
}

/* The last step overlaps the one before it; a short text ends in zeros, not plain. */
static inline __attribute__((always_inline)) size_t plain_run(struct str s, char *out)
{
	size_t n = 0, run;

	if (s.len < STEP)
		return plain_at(load_up_to_15(s.p, s.len), out);
	for (; n < s.len; n += STEP) {
		if (s.len - n < STEP)
			n = s.len - STEP;
		run = plain_at(_mm_loadu_si128((const __m128i *)(s.p + n)), out ? out + n : NULL);
		if (run < STEP)
			return n + run;
	}
	return s.len;
}
#else
static inline size_t plain_run(struct str s, char *out)
{
	size_t n = 0;

	for (; n < s.len && s.p[n] >= 0x20 && s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\'; n++)
		if (out)
			out[n] = s.p[n];
	return n;
}
#endif

size_t str_plain_run(struct str s)
{
	return plain_run(s, NULL);
}

size_t str_copy_plain(struct str s, char *out)
{
	return plain_run(s, out);
}

size_t u64_format(uint64_t value, char *out)
{
	size_t len = u64_digits_of(value), at;

	for (at = len; at >= 2; value /= 100)
		memcpy(out + (at -= 2), u64_digits[value % 100], 2);
	if (at)
		out[0] = (char)('0' + value);
	return len;
}

void u64_format_nine(uint64_t value, char out[9])
{
	uint32_t first = (uint32_t)(value / 10000), last = (uint32_t)(value % 10000);

	out[0] = (char)('0' + first / 10000);
	memcpy(out + 1, u64_digits[first / 100 % 100], 2);
	memcpy(out + 3, u64_digits[first % 100], 2);
	memcpy(out + 5, u64_digits[last / 100], 2);
	memcpy(out + 7, u64_digits[last % 100], 2);
}

bool str_copy_z(struct str s, char *out, size_t cap)
{
	size_t n = s.len < cap ? s.len : cap - 1;

	if (n)
		memcpy(out, s.p, n);
	out[n] = '\0';
	return n == s.len;
}

unsigned str_distance(struct str a, struct str b)
{
	unsigned row[65];

	if (a.len > 64 || b.len > 64)
		return 64;
	for (unsigned j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			unsigned change = diagonal + (a.p[i - 1] != b.p[j - 1]);
			unsigned best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

			diagonal = row[j];
			row[j] = change < best ? change : best;
		}
	}
	return row[b.len];
}

size_t utf8_decode(struct str s, uint32_t *rune)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n;

	if (!s.len)
		return 0;
	*rune = p[0];
	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > s.len)
		return 0;
	*rune = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*rune = *rune << 6 | (p[i] & 0x3f);
	}
	if (*rune < least[n] || *rune > 0x10ffff || (*rune >= 0xd800 && *rune < 0xe000))
		return 0;
	return n;
}

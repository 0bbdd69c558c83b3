/*
 * proxy/quote.c - Go's quoting.  Runs of plain characters are copied; what has
 * to be escaped is rare, and slow.
 */
#include "proxy/quote.h"

/* What a byte needs: nothing, its own letter after a backslash, or a look. */
enum { PLAIN, BACKSLASH, HEX, MANY };

static const unsigned char need[256] = {
	[0 ... 6] = HEX, ['\a' ... '\r'] = BACKSLASH, [14 ... 31] = HEX, [127] = HEX,
	['"'] = BACKSLASH, ['\\'] = BACKSLASH, [128 ... 255] = MANY,
};

static const char letter[128] = {
	['"'] = '"', ['\\'] = '\\', ['\a'] = 'a', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n',
	['\r'] = 'r', ['\t'] = 't', ['\v'] = 'v',
};

static void put_hex(struct quoted *out, char kind, unsigned digits, uint32_t value)
{
	char text[10] = { '\\', kind };

	for (unsigned i = 0; i < digits; i++)
		text[2 + i] = "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
	quoted_put(out, (struct str){ text, 2 + digits });
}

/* Decodes the sequence at `s`; its length, or 0 if it is not UTF-8 (RFC 3629). */
static size_t rune_decode(const unsigned char *s, size_t left, uint32_t *rune)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	*rune = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*rune = *rune << 6 | (s[i] & 0x3f);
	}
	if (*rune < least[n] || *rune > 0x10ffff || (*rune >= 0xd800 && *rune < 0xe000))
		return 0;
	return n;
}

/* A character beyond ASCII; returns the bytes it took. */
static size_t put_rune(struct quoted *out, const char *p, size_t left)
{
	uint32_t rune;
	size_t n = rune_decode((const unsigned char *)p, left, &rune);

	if (n == 0) {
		put_hex(out, 'x', 2, (unsigned char)*p);
		return 1;
	}
	if (rune_is_printable(rune))
		quoted_put(out, (struct str){ p, n });
	else if (rune < 0x10000)
		put_hex(out, 'u', 4, rune);
	else
		put_hex(out, 'U', 8, rune);
	return n;
}

static size_t plain_run(const char *p, size_t left)
{
	size_t n = 0;

	while (n < left && need[(unsigned char)p[n]] == PLAIN)
		n++;
	return n;
}

/* A plain run may be cut anywhere. */
static void put_run(struct quoted *out, const char *p, size_t n)
{
	size_t room = (size_t)(out->end - out->next);

	if (n > room) {
		out->is_full = true;
		n = room;
	}
	memcpy(out->next, p, n);
	out->next += n;
}

/* Not zero if any of eight bytes is not plain. */
static inline uint64_t needs_care(uint64_t eight)
{
	const uint64_t ones = 0x0101010101010101ull, tops = 0x80 * ones;
	uint64_t quotes = eight ^ '"' * ones, slashes = eight ^ '\\' * ones;

	return ((eight - 0x20 * ones) | (quotes - ones) | (slashes - ones) | (eight + ones) |
		eight) & tops;
}

static inline uint64_t copy_eight(char *to, const char *from)
{
	uint64_t eight;

	memcpy(&eight, from, sizeof(eight));
	memcpy(to, &eight, sizeof(eight));
	return eight;
}

/* Up to seven bytes. */
static inline uint64_t copy_few(char *to, const char *from, size_t n)
{
	uint64_t few = 'a' * 0x0101010101010101ull;

	for (size_t i = 0; i < n; i++) {
		few = few << 8 | (unsigned char)from[i];
		to[i] = from[i];
	}
	return few;
}

/* True if all was plain; else what was copied is of no use. */
static bool copy_if_plain(char *to, const char *from, size_t n)
{
	uint64_t care = 0;

	if (n < 8)
		return !needs_care(copy_few(to, from, n));
	for (size_t i = 0; i + 8 < n; i += 8)
		care |= needs_care(copy_eight(to + i, from + i));
	care |= needs_care(copy_eight(to + n - 8, from + n - 8));
	return !care;
}

static __attribute__((cold, noinline)) void quote_with_care(struct quoted *out, struct str text)
{
	size_t at = 0;

	while (at < text.len && !out->is_full) {
		size_t run = plain_run(text.p + at, text.len - at);
		unsigned char c;

		put_run(out, text.p + at, run);
		at += run;
		if (at == text.len)
			return;
		c = (unsigned char)text.p[at];
		if (need[c] == MANY) {
			at += put_rune(out, text.p + at, text.len - at);
			continue;
		}
		if (need[c] == BACKSLASH)
			quoted_put(out, (struct str){ (char[]){ '\\', letter[c] }, 2 });
		else
			put_hex(out, 'x', 2, c);
		at++;
	}
}

void quote_text(struct quoted *out, struct str text)
{
	if (text.len <= (size_t)(out->end - out->next) && !out->is_full &&
	    copy_if_plain(out->next, text.p, text.len))
		out->next += text.len;
	else
		quote_with_care(out, text);
}

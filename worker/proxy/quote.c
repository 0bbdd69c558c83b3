/*
 * proxy/quote.c - Go's quoting, and JSON's.  Runs of plain characters are copied; what has
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

/* A character that JSON wants, or we want, escaped: in two parts if it is a large one. */
static void put_json_escape(struct quoted *out, uint32_t rune)
{
	char text[12];
	struct quoted pair = { text, text + sizeof(text), false, true };

	if (rune < 0x10000) {
		put_hex(out, 'u', 4, rune);
		return;
	}
	put_hex(&pair, 'u', 4, 0xd800 + ((rune - 0x10000) >> 10));
	put_hex(&pair, 'u', 4, 0xdc00 + ((rune - 0x10000) & 0x3ff));
	quoted_put(out, (struct str){ text, sizeof(text) });
}

/* A character beyond ASCII; returns the bytes it took. */
static size_t put_rune(struct quoted *out, const char *p, size_t left)
{
	uint32_t rune;
	size_t n = utf8_decode((struct str){ p, left }, &rune);

	if (n == 0) {
		if (out->is_json)
			quoted_put(out, STR("\357\277\275"));
		else
			put_hex(out, 'x', 2, (unsigned char)*p);
		return 1;
	}
	if (rune_is_printable(rune))
		quoted_put(out, (struct str){ p, n });
	else if (out->is_json)
		put_json_escape(out, rune);
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
		if (need[c] == BACKSLASH && !(out->is_json && (c == '\a' || c == '\v')))
			quoted_put(out, (struct str){ (char[]){ '\\', letter[c] }, 2 });
		else if (out->is_json)
			put_json_escape(out, c);
		else
			put_hex(out, 'x', 2, c);
		at++;
	}
}

bool quote_plain(struct quoted *out, struct str text)
{
	if (text.len > (size_t)(out->end - out->next) || out->is_full ||
	    !copy_if_plain(out->next, text.p, text.len))
		return false;
	out->next += text.len;
	return true;
}

void quote_text(struct quoted *out, struct str text)
{
	if (!quote_plain(out, text))
		quote_with_care(out, text);
}

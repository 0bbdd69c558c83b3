/*
 * registrar/json_text.c - U+FFFD for what is no Unicode.
 */
#include "registrar/json_text.h"

#define ESCAPE_LEN 6                  /* \uXXXX */

struct repair {
	struct str rest;              /* not yet copied */
	char *at;                     /* end of the copy */
	bool is_changed;
};

static void copy(struct repair *r, size_t len)
{
	memcpy(r->at, r->rest.p, len);
	r->at += len;
	r->rest = str_sub(r->rest, len, STR_REST);
}

static void replace(struct repair *r, size_t len, struct str with)
{
	memcpy(r->at, with.p, with.len);
	r->at += with.len;
	r->rest = str_sub(r->rest, len, STR_REST);
	r->is_changed = true;
}

/* Bytes of the character that the text begins with; 0: it is none (RFC 3629 section 4). */
static size_t utf8_length(struct str s)
{
	static const struct { uint8_t first, last, low, high; size_t len; } rows[] = {
		{ 0x00, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const uint8_t *p = (const uint8_t *)s.p;
	size_t row = 0;

	while (row < ARRAY_SIZE(rows) && (p[0] < rows[row].first || p[0] > rows[row].last))
		row++;
	if (row == ARRAY_SIZE(rows) || s.len < rows[row].len)
		return 0;
	for (size_t i = 1; i < rows[row].len; i++)
		if (p[i] < (i == 1 ? rows[row].low : 0x80) || p[i] > (i == 1 ? rows[row].high : 0xbf))
			return 0;
	return rows[row].len;
}

/* The escape \uXXXX at the start of the text is within these. */
static bool is_escape_in(struct str s, uint64_t least, uint64_t most)
{
	uint64_t value;

	return s.len >= ESCAPE_LEN && s.p[0] == '\\' && s.p[1] == 'u' &&
	       str_parse_hex64(str_sub(s, 2, 4), &value) && value >= least && value <= most;
}

static void repair_escape(struct repair *r)
{
	struct str next = str_sub(r->rest, ESCAPE_LEN, STR_REST);

	if (is_escape_in(r->rest, 0xd800, 0xdbff) && is_escape_in(next, 0xdc00, 0xdfff))
		copy(r, 2 * ESCAPE_LEN);
	else if (is_escape_in(r->rest, 0xd800, 0xdfff))
		replace(r, ESCAPE_LEN, STR("\\ufffd"));
	else
		copy(r, r->rest.len > 1 && r->rest.p[1] == '\\' ? 2 : 1);
}

bool json_text_repair(struct str json, struct arena *arena, struct str *out)
{
	struct repair r = { .rest = json };
	char *start = arena_alloc(arena, 3 * json.len + 1);     /* U+FFFD has three bytes */

	r.at = start;
	while (r.rest.len) {
		size_t len = utf8_length(r.rest);

		if (r.rest.p[0] == '\\')
			repair_escape(&r);
		else if (len)
			copy(&r, len);
		else
			replace(&r, 1, STR("\xef\xbf\xbd"));
	}
	*out = str_range(start, r.at);
	return r.is_changed;
}

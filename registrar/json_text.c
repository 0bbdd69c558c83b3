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
		uint32_t rune;
		size_t len = utf8_decode(r.rest, &rune);

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

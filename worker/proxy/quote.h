/*
 * proxy/quote.h - text between double quotes as Go's strconv.Quote writes it,
 * because that is what reads Gorouter's access log, or as JSON wants it.  Used by
 * the access log.
 */
#ifndef PROXY_QUOTE_H
#define PROXY_QUOTE_H

#include "base/str.h"

/* Text being written into a buffer that may be too small for it: the writing
 * stops where it no longer fits, never inside an escape or a character, and
 * is_full says so. */
struct quoted {
	char *next, *end;
	bool is_full;
	bool is_json;                 /* \u00XX for \xXX; what is not UTF-8 becomes U+FFFD */
};

/* Appends the bytes as they are, all or none. */
static inline void quoted_put(struct quoted *out, struct str bytes)
{
	if (__builtin_expect(out->is_full, 0) || bytes.len > (size_t)(out->end - out->next)) {
		out->is_full = true;
		return;
	}
	memcpy(out->next, bytes.p, bytes.len);
	out->next += bytes.len;
}

/* Appends the text if no byte of it needs an escape and it fits; else nothing. */
bool quote_plain(struct quoted *out, struct str text);

/* Appends the escaped text, without the quotes around it. */
void quote_text(struct quoted *out, struct str text);

/* True if Go prints the character as it is (strconv.IsPrint). */
bool rune_is_printable(uint32_t rune);

#endif

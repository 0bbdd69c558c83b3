/*
 * http/cookie.h - cookies of requests and of answers, taken and refused as Go's
 * net/http does it: what a client or an app sends means the same to us as it did
 * to Gorouter.  Texts that come out are parts of the text that went in; parsing
 * allocates nothing and looks at every byte at most a few times.
 */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include "base/mem.h"
#include "base/str.h"

struct cookie {
	struct str name, value;       /* quotes around the value are gone */
};

/* Takes the next cookie out of the value of a Cookie field; *rest moves past it.
 * Pairs that are none are passed over.  False: there is no more. */
bool cookie_next(struct str *rest, struct cookie *out);

enum same_site { SAME_SITE_UNSAID, SAME_SITE_LAX, SAME_SITE_STRICT, SAME_SITE_NONE };

/* One cookie of an answer: what the router reads and writes of it. */
struct set_cookie {
	struct str name, value;
	struct str path;              /* to be written only; empty: none */
	bool has_expires;
	int64_t expires_s;            /* since 1970, UTC */
	bool has_max_age;
	int max_age_s;                /* read: 0 for 0 and less, 1 for any more */
	bool is_http_only;            /* to be written only */
	bool is_secure, is_partitioned;
	enum same_site same_site;
};

/* Reads the value of one Set-Cookie field.  False: it sets none. */
bool set_cookie_parse(struct str line, struct set_cookie *out);

/* The value of a Set-Cookie field; bytes that must not be in it are left out. */
struct str set_cookie_format(struct arena *arena, const struct set_cookie *cookie);

/* True if a cookie can have this name (RFC 9110, token). */
bool cookie_is_name(struct str name);

#endif

/*
 * proxy/access_uri.c - the request's target as Go prints one that it has parsed.
 */
#include "proxy/access_line.h"

#include "net/sha1.h"

/* A path byte that Go leaves alone when it escapes a path itself, and one that
 * it accepts in a path that came escaped. */
enum { PATH_KEPT = 1, PATH_ACCEPTED = 2 };

static const unsigned char path_class[256] = {
	['a' ... 'z'] = 3, ['A' ... 'Z'] = 3, ['0' ... '9'] = 3,
	['-'] = 3, ['_'] = 3, ['.'] = 3, ['~'] = 3, ['$'] = 3, ['&'] = 3, ['+'] = 3, [','] = 3,
	['/'] = 3, [':'] = 3, [';'] = 3, ['='] = 3, ['@'] = 3,
	['!'] = 2, ['\''] = 2, ['('] = 2, [')'] = 2, ['*'] = 2, ['['] = 2, [']'] = 2,
};

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1;
}

static bool is_escape(struct str s, size_t at)
{
	return s.p[at] == '%' && s.len - at > 2 && hex_value(s.p[at + 1]) >= 0 &&
	       hex_value(s.p[at + 2]) >= 0;
}

static bool path_is_escaped_well(struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (!(path_class[(unsigned char)path.p[i]] & PATH_ACCEPTED) && !is_escape(path, i))
			return false;
	return true;
}

/* Every byte of the decoded path, escaped anew. */
static __attribute__((cold)) void put_path_anew(struct line *l, struct str path)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < path.len && !l->out.is_full; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if (is_escape(path, i)) {
			c = (unsigned char)(hex_value(path.p[i + 1]) << 4 | hex_value(path.p[i + 2]));
			i += 2;
		}
		if (path_class[c] & PATH_KEPT)
			put(l, (struct str){ (char *)&c, 1 });
		else
			put(l, (struct str){ (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3 });
	}
}

static void put_path(struct line *l, struct str path)
{
	if (str_is_empty(path))
		put(l, STR("/"));
	else if (path_is_escaped_well(path))
		quote_text(&l->out, path);      /* may be cut, as put() may not */
	else
		put_path_anew(l, path);
}

/* Length of "scheme:" at the start of the target; 0 if there is none. */
static size_t scheme_length(struct str target)
{
	for (size_t i = 0; i < target.len; i++) {
		char c = ascii_lower(target.p[i]);
		bool is_letter = c >= 'a' && c <= 'z';

		if (c == ':')
			return i ? i + 1 : 0;
		if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
			return 0;
	}
	return 0;
}

static struct str without_authority(struct str rest)
{
	size_t n = 0;

	while (n < rest.len && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	return str_sub(rest, n, STR_REST);
}

static void put_query(struct line *l, struct str query)
{
	char hash[SHA1_HEX_SIZE];

	if (__builtin_expect(l->redaction, ACCESS_REDACT_NONE) == ACCESS_REDACT_NONE ||
	    query.len < 2) {
		quote_text(&l->out, query);
	} else if (l->redaction == ACCESS_REDACT_HASH) {
		sha1_hex(str_sub(query, 1, STR_REST), hash);
		put(l, STR("?hash="));
		put(l, (struct str){ hash, sizeof(hash) });
	}
}

void put_uri(struct line *l, struct str target)
{
	ssize_t mark = str_find_char(target, '?');
	struct str query = mark < 0 ? STR_NONE : str_sub(target, (size_t)mark, STR_REST);
	struct str path = mark < 0 ? target : str_sub(target, 0, (size_t)mark);
	size_t scheme = path.len && path.p[0] != '/' ? scheme_length(path) : 0;

	path = str_sub(path, scheme, STR_REST);
	if (scheme && str_has_prefix(path, STR("//")))
		path = without_authority(str_sub(path, 2, STR_REST));
	if (scheme && path.len && path.p[0] != '/')
		quote_text(&l->out, path);      /* opaque, such as urn:isbn:1 */
	else
		put_path(l, path);
	put_query(l, query);
}

void put_connect_uri(struct line *l, struct str target)
{
	if (target.len && target.p[0] == '/')
		put_uri(l, target);
	else
		put_uri(l, without_authority(target));
}

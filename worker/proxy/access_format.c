/*
 * proxy/access_format.c - the text of an access-log line, byte for byte as
 * Gorouter writes it.  Runs for every request: no printf, no allocation.
 */
#include <time.h>

#include "proxy/access_log.h"

/* Room for each text as written; together below ACCESS_LINE_MAX. */
enum { URI_MAX = 20000, LONG_MAX_BYTES = 10000, SHORT_MAX = 1100 };

/* Where the line grows; callers keep within the budgets above. */
struct line {
	char *at;
};

static inline void put(struct line *l, struct str s)
{
	if (s.len)
		memcpy(l->at, s.p, s.len);
	l->at += s.len;
}

#define PUT(l, literal) put(l, STR(literal))

static void put_hex(struct line *l, const char *prefix, uint32_t value, int digits)
{
	static const char hex[] = "0123456789abcdef";

	*l->at++ = prefix[0];
	*l->at++ = prefix[1];
	for (int i = digits - 1; i >= 0; i--)
		*l->at++ = hex[value >> (4 * i) & 15];
}

/* What a byte may be, so that long texts are looked through at one load a byte. */
enum { QUOTED = 1, IN_PATH = 2, IN_ESCAPED_PATH = 4 };

static uint8_t classes[256];

__attribute__((constructor)) static void fill_classes(void)
{
	for (unsigned c = 0x20; c < 0x7f; c++) {
		bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
				(c >= 'a' && c <= 'z');

		if (c != '"' && c != '\\')
			classes[c] |= QUOTED;
		if (is_alnum || strchr("-_.~$&+,/:;=@", (int)c))
			classes[c] |= IN_PATH | IN_ESCAPED_PATH;
		else if (strchr("!'()*[]%", (int)c))
			classes[c] |= IN_ESCAPED_PATH;
	}
}

/* True if one of eight bytes is a control, a quote, a backslash or not ASCII. */
static bool has_special(uint64_t eight)
{
	const uint64_t ones = 0x0101010101010101ull, tops = 0x80 * ones;
	uint64_t quotes = eight ^ '"' * ones, slashes = eight ^ '\\' * ones;

	return ((eight - 0x20 * ones) | (quotes - ones) | (slashes - ones) | (eight + ones) |
		eight) & tops;
}

/* The length of the run of such bytes at the start. */
static size_t run_of(struct str s, uint8_t class)
{
	size_t n = 0;

	for (uint64_t eight; class == QUOTED && s.len - n >= sizeof(eight); n += sizeof(eight)) {
		memcpy(&eight, s.p + n, sizeof(eight));
		if (has_special(eight))
			break;
	}
	while (n < s.len && classes[(unsigned char)s.p[n]] & class)
		n++;
	return n;
}

/* Decodes one character; returns its bytes, 0 if they are not UTF-8. */
static unsigned decode_utf8(const unsigned char *p, size_t len, uint32_t *rune)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned n = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;

	if (p[0] >= 0xf5 || !n || n > len)
		return 0;
	*rune = p[0] & (0xffu >> (n + 1));
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*rune = *rune << 6 | (p[i] & 0x3f);
	}
	if (*rune < least[n] || *rune > 0x10ffff || (*rune >= 0xd800 && *rune <= 0xdfff))
		return 0;
	return n;
}

/* Controls, spaces, format characters, private use and noncharacters are not
 * printable to Go; what Unicode has not assigned yet we take for printable. */
static bool is_printable(uint32_t rune)
{
	static const struct { uint32_t from, to; } ranges[] = {
		{ 0x7f, 0xa0 }, { 0xad, 0xad }, { 0x600, 0x605 }, { 0x61c, 0x61c },
		{ 0x6dd, 0x6dd }, { 0x70f, 0x70f }, { 0x1680, 0x1680 }, { 0x180e, 0x180e },
		{ 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },
		{ 0xe000, 0xf8ff }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff },
		{ 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (rune >= ranges[i].from && rune <= ranges[i].to)
			return false;
	return true;
}

static void put_control(struct line *l, unsigned char c)
{
	static const char letters[] = "abtnvfr";      /* 7 to 13 */

	if (c == '"' || c == '\\') {
		*l->at++ = '\\';
		*l->at++ = (char)c;
	} else if (c >= 7 && c <= 13) {
		*l->at++ = '\\';
		*l->at++ = letters[c - 7];
	} else {
		put_hex(l, "\\x", c, 2);
	}
}

/* One character that is not plain; returns the bytes that were taken. */
static size_t put_special(struct line *l, const char *p, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)p;
	uint32_t rune;
	unsigned n;

	if (bytes[0] < 0x80) {
		put_control(l, bytes[0]);
		return 1;
	}
	n = decode_utf8(bytes, len, &rune);
	if (!n) {
		put_hex(l, "\\x", bytes[0], 2);
		return 1;
	}
	if (is_printable(rune))
		put(l, (struct str){ p, n });
	else if (rune < 0x10000)
		put_hex(l, "\\u", rune, 4);
	else
		put_hex(l, "\\U", rune, 8);
	return n;
}

/* The text as Go quotes it, without the quotes, in at most `most` bytes. */
static void put_escaped(struct line *l, struct str s, size_t most)
{
	const char *stop = l->at + most - 10; /* one more special character fits */

	while (s.len && l->at < stop) {
		size_t room = (size_t)(stop - l->at);
		size_t run = run_of(str_sub(s, 0, room), QUOTED);

		put(l, str_sub(s, 0, run));
		s = str_sub(s, run, STR_REST);
		if (s.len && run < room)
			s = str_sub(s, put_special(l, s.p, s.len), STR_REST);
	}
}

static void put_quoted(struct line *l, struct str s, size_t most)
{
	*l->at++ = '"';
	if (s.len)
		put_escaped(l, s, most);
	else
		*l->at++ = '-';
	*l->at++ = '"';
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(ascii_lower(c) - 'a' + 10);
}

/* A path that is not a valid escaping is decoded and escaped anew, as Go's URL
 * does; the parser has made sure that every '%' has two digits. */
static void put_path(struct line *l, struct str path)
{
	const char *stop = l->at + URI_MAX / 2;

	if (run_of(path, IN_ESCAPED_PATH) == path.len) {
		put(l, str_sub(path, 0, URI_MAX / 2));
		return;
	}
	for (size_t i = 0; i < path.len && l->at < stop; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if (c == '%' && i + 2 < path.len) {
			c = (unsigned char)(hex_digit(path.p[i + 1]) << 4 | hex_digit(path.p[i + 2]));
			i += 2;
		}
		if (classes[c] & IN_PATH) {
			*l->at++ = (char)c;
			continue;
		}
		*l->at++ = '%';
		*l->at++ = "0123456789ABCDEF"[c >> 4];
		*l->at++ = "0123456789ABCDEF"[c & 15];
	}
}

/* Path and query of a target, without scheme and authority. */
static void split_target(const struct access_record *r, struct str *path, struct str *query)
{
	struct str target = r->target;
	ssize_t mark;

	if (str_equal(r->method, STR("CONNECT")) && target.len && target.p[0] != '/')
		target = STR("/");
	mark = str_find(target, STR("://"));
	if (target.len && target.p[0] != '/' && mark > 0) {
		target = str_sub(target, (size_t)mark + 3, STR_REST);
		for (mark = 0; (size_t)mark < target.len && !strchr("/?", target.p[mark]); mark++)
			;
		target = str_sub(target, (size_t)mark, STR_REST);
	}
	mark = str_find_char(target, '?');
	*path = str_sub(target, 0, mark < 0 ? STR_REST : (size_t)mark);
	*query = mark < 0 ? STR_NONE : str_sub(target, (size_t)mark, STR_REST);
	if (!path->len)
		*path = STR("/");
}

static void put_request(struct line *l, const struct access_record *r)
{
	struct str path, query;

	if (!r->method.len) {
		PUT(l, "\"-\"");
		return;
	}
	split_target(r, &path, &query);
	*l->at++ = '"';
	put_escaped(l, r->method, SHORT_MAX);
	*l->at++ = ' ';
	put_path(l, path);
	put_escaped(l, query, URI_MAX / 2);
	PUT(l, " HTTP/1.");
	*l->at++ = (char)('0' + r->minor % 10);
	*l->at++ = '"';
}

static void put_number(struct line *l, uint64_t value)
{
	l->at += u64_format(value, l->at);
}

/* Exactly `digits` digits. */
static inline void put_digits(struct line *l, uint32_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		l->at[i] = (char)('0' + value % 10);
		value /= 10;
	}
	l->at += digits;
}

/* Seconds with six decimals, rounded. */
static void put_seconds(struct line *l, int64_t ns)
{
	uint64_t us;

	if (ns < 0) {
		PUT(l, "\"-\"");
		return;
	}
	us = ((uint64_t)ns + 500) / 1000;
	put_number(l, us / 1000000);
	*l->at++ = '.';
	put_digits(l, (uint32_t)(us % 1000000), 6);
}

/* "2026-11-21T10:00:00.123456789Z"; the part up to the second is kept. */
static void put_timestamp(struct line *l, uint64_t wall_ns)
{
	static time_t kept_s = -1;
	static char kept[20];
	time_t seconds = (time_t)(wall_ns / 1000000000u);
	struct tm tm;

	if (seconds != kept_s) {
		gmtime_r(&seconds, &tm);
		strftime(kept, sizeof(kept), "%Y-%m-%dT%H:%M:%S", &tm);
		kept_s = seconds;
	}
	put(l, (struct str){ kept, sizeof(kept) - 1 });
	*l->at++ = '.';
	put_digits(l, (uint32_t)(wall_ns % 1000000000u), 9);
	*l->at++ = 'Z';
}

static void put_status(struct line *l, unsigned status)
{
	if (status)
		put_number(l, status);
	else
		PUT(l, "\"-\"");
}

size_t access_log_format(const struct access_record *r, char out[ACCESS_LINE_MAX])
{
	struct line line = { out }, *l = &line;

	put(l, str_sub(r->host, 0, SHORT_MAX));
	PUT(l, " - [");
	put_timestamp(l, r->started_wall_ns);
	PUT(l, "] ");
	put_request(l, r);
	*l->at++ = ' ';
	put_status(l, r->status);
	*l->at++ = ' ';
	put_number(l, r->received_bytes);
	*l->at++ = ' ';
	put_number(l, r->sent_bytes);
	*l->at++ = ' ';
	put_quoted(l, r->referer, LONG_MAX_BYTES);
	*l->at++ = ' ';
	put_quoted(l, r->user_agent, LONG_MAX_BYTES);
	*l->at++ = ' ';
	put_quoted(l, r->remote, SHORT_MAX);
	*l->at++ = ' ';
	put_quoted(l, r->backend, SHORT_MAX);
	PUT(l, " x_forwarded_for:");
	put_quoted(l, r->forwarded_for, LONG_MAX_BYTES);
	PUT(l, " x_forwarded_proto:");
	put_quoted(l, r->forwarded_proto, SHORT_MAX);
	PUT(l, " vcap_request_id:");
	put_quoted(l, r->request_id, SHORT_MAX);
	PUT(l, " response_time:");
	put_seconds(l, (int64_t)r->elapsed_ns);
	PUT(l, " gorouter_time:");
	put_seconds(l, r->router_ns);
	PUT(l, " app_id:");
	put_quoted(l, r->app_id, SHORT_MAX);
	PUT(l, " app_index:");
	put_quoted(l, r->app_index, SHORT_MAX);
	PUT(l, " instance_id:");
	put_quoted(l, r->instance_id, SHORT_MAX);
	PUT(l, " x_cf_routererror:");
	put_quoted(l, r->router_error, SHORT_MAX);
	*l->at++ = '\n';
	return (size_t)(l->at - out);
}

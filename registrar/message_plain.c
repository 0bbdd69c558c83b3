/*
 * registrar/message_plain.c - a scanner for the plain form of registrations.  Steps from
 * quote to quote, which quotes.c has found.
 */
#include "registrar/message_plain.h"

#include <stddef.h>

#include "registrar/quotes.h"

#define TAGS_MAX   64u                /* names that are compared with one another */
#define FIELDS_MAX 15u
/* A plain message has no more: around names, and around texts. */
#define QUOTES_MAX ((MESSAGE_URIS_MAX + 2 * TAGS_MAX + 2 * FIELDS_MAX) * 2)

struct scan {
	const char *at, *end, *begin;
	const uint32_t *quote;        /* the next, as an offset from the begin */
	struct arena *arena;
	struct registration *out;
	struct plain_registration *ports;
	uint64_t seen;                /* fields, by row */
};

static inline bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* What is between two quotes is plain: quotes_find() has seen it. */
static inline bool take_text(struct scan *s, struct str *out)
{
	if (s->at != s->begin + s->quote[0])
		return false;
	*out = str_range(s->at + 1, s->begin + s->quote[1]);
	s->at = s->begin + s->quote[1] + 1;
	s->quote += 2;
	return true;
}

static inline uint64_t load8(const char *p)
{
	uint64_t eight;

	memcpy(&eight, p, sizeof(eight));
	return eight;
}

static inline uint32_t load4(const char *p)
{
	uint32_t four;

	memcpy(&four, p, sizeof(four));
	return four;
}

/* Without a call: names are short, and mostly the same. */
static inline bool is_same(const char *a, const char *b, size_t len)
{
	if (len >= 8) {
		for (size_t i = 0; i + 8 < len; i += 8)
			if (load8(a + i) != load8(b + i))
				return false;
		return load8(a + len - 8) == load8(b + len - 8);
	}
	if (len >= 4)
		return load4(a) == load4(b) && load4(a + len - 4) == load4(b + len - 4);
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static inline bool is_named(struct str name, struct str expected)
{
	return name.len == expected.len && is_same(name.p, expected.p, expected.len);
}

static bool take_number(struct scan *s, uint64_t most, uint64_t *out)
{
	const char *begin = s->at;
	uint64_t value = 0;

	while (s->at != s->end && *s->at >= '0' && *s->at <= '9' && s->at - begin < 19)
		value = value * 10 + (uint64_t)(*s->at++ - '0');
	*out = value;
	return s->at != begin && (*begin != '0' || s->at == begin + 1) && value <= most;
}

/* Texts with a comma after each but the last.  The message ends with another byte than a
 * quote. */
static unsigned count_texts(const struct scan *s)
{
	const uint32_t *quote = s->quote;
	unsigned count = 1;

	while (count <= MESSAGE_URIS_MAX && quote[0] != QUOTES_ODD &&
	       s->begin[quote[1] + 1] == ',') {
		quote += 2;
		count++;
	}
	return count;
}

static bool take_uris(struct scan *s)
{
	struct registration *out = s->out;
	unsigned most = count_texts(s);

	if (!take(s, '[') || most > MESSAGE_URIS_MAX)
		return false;
	out->uris = arena_alloc(s->arena, (most + 1) * sizeof(*out->uris));
	do {
		struct str *uri = &out->uris[out->uri_count];

		if (out->uri_count++ == most || !take_text(s, uri) || uri->len == 0)
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

/* Names of tags: of those with the same bit of `marks`, one may be the other. */
struct tag_names {
	uint64_t marks[4];
	unsigned count;
	struct str names[TAGS_MAX];
};

/* By the length and the last eight bytes.  Before a name of a tag there are more. */
static inline uint8_t mark_of(struct str name)
{
	uint64_t last = load8(name.p + name.len - 8);

	if (name.len < 8)
		last = name.len ? last >> (64 - 8 * name.len) : 0;
	return (uint8_t)((last + name.len * 0x01010101u) * 0x9e3779b97f4a7c15u >> 56);
}

static bool has_name(const struct tag_names *tags, struct str name)
{
	for (unsigned i = 0; i < tags->count; i++)
		if (is_named(name, tags->names[i]))
			return true;
	return false;
}

/* The last of two equal names would count: not plain. */
static inline bool add_name(struct tag_names *tags, struct str name)
{
	uint8_t mark = mark_of(name);
	uint64_t *marks = &tags->marks[mark / 64], bit = 1ull << mark % 64;

	if (tags->count == TAGS_MAX || (*marks & bit && has_name(tags, name)))
		return false;
	*marks |= bit;
	tags->names[tags->count++] = name;
	return true;
}

static inline bool take_tag(struct scan *s, struct tag_names *tags)
{
	struct endpoint *e = &s->out->endpoint;
	struct str name, value;

	if (!take_text(s, &name) || !take(s, ':') || !take_text(s, &value) ||
	    !add_name(tags, name))
		return false;
	if (is_named(name, STR("process_id")))
		e->process_id = value;
	else if (is_named(name, STR("component")))
		e->component = value;
	return true;
}

static bool take_tags(struct scan *s)
{
	struct endpoint *e = &s->out->endpoint;
	const char *begin = s->at;
	struct tag_names tags;

	memset(tags.marks, 0, sizeof(tags.marks));
	tags.count = 0;
	if (!take(s, '{'))
		return false;
	do {
		if (!take_tag(s, &tags))
			return false;
	} while (take(s, ','));
	e->tags = str_range(begin, s->at + 1);
	e->flags |= ENDPOINT_HAS_TAGS;
	return take(s, '}') && e->tags.len <= ENDPOINT_TAGS_MAX;
}

/* --- fields --- */

enum field_kind { FIELD_TEXT, FIELD_PORT, FIELD_TLS_PORT, FIELD_URIS, FIELD_TAGS, FIELD_STALE,
		  FIELD_UPDATED };

struct field {
	struct str name;
	enum field_kind kind;
	size_t offset;                /* of a text in struct endpoint */
};

/* Each field has a row of its own: the compiler tells if two had the same. */
#define ROWS 64u
#define ROW(first, len) (((len) + 2 * (first)) % ROWS)
#define FIELD(first, name, kind, offset) \
	[ROW(first, sizeof(name) - 1)] = { STR_INIT(name), kind, offset }
#define TEXT(first, name, member) \
	FIELD(first, name, FIELD_TEXT, offsetof(struct endpoint, member))

static const struct field fields[ROWS] = {
	TEXT('h', "host", host),
	TEXT('a', "app", app_id),
	TEXT('p', "protocol", protocol),
	TEXT('p', "private_instance_id", instance_id),
	TEXT('p', "private_instance_index", instance_index),
	TEXT('s', "server_cert_domain_san", san),
	TEXT('a', "availability_zone", zone),
	TEXT('i', "isolation_segment", isolation_segment),
	TEXT('r', "route_service_url", route_service_url),
	FIELD('p', "port", FIELD_PORT, 0),
	FIELD('t', "tls_port", FIELD_TLS_PORT, 0),
	FIELD('u', "uris", FIELD_URIS, 0),
	FIELD('t', "tags", FIELD_TAGS, 0),
	FIELD('s', "stale_threshold_in_seconds", FIELD_STALE, 0),
	FIELD('e', "endpoint_updated_at_ns", FIELD_UPDATED, 0),
};

static inline const struct field *find_field(struct str name)
{
	const struct field *field = &fields[ROW((size_t)(unsigned char)*name.p, name.len)];

	return name.len && is_named(name, field->name) ? field : NULL;
}

static bool take_value(struct scan *s, const struct field *field)
{
	struct endpoint *e = &s->out->endpoint;
	uint64_t number;

	switch (field->kind) {
	case FIELD_TEXT:
		return take_text(s, (struct str *)((char *)e + field->offset));
	case FIELD_PORT:
		return take_number(s, UINT16_MAX, &s->ports->port);
	case FIELD_TLS_PORT:
		return take_number(s, UINT16_MAX, &s->ports->tls_port);
	case FIELD_URIS:
		return take_uris(s);
	case FIELD_TAGS:
		return take_tags(s);
	case FIELD_STALE:
		if (!take_number(s, UINT32_MAX, &number))
			return false;
		e->stale_s = (uint32_t)number;
		return true;
	case FIELD_UPDATED:
		return take_number(s, INT64_MAX, &e->updated_at_ns);
	}
	return false;
}

static inline bool take_field(struct scan *s)
{
	const struct field *field;
	struct str name;
	uint64_t bit;

	if (!take_text(s, &name) || !take(s, ':') || !(field = find_field(name)))
		return false;
	bit = 1ull << (field - fields);
	if (s->seen & bit)
		return false;
	s->seen |= bit;
	return take_value(s, field);
}

static bool take_message(struct scan *s)
{
	if (!take(s, '{'))
		return false;
	do {
		if (!take_field(s))
			return false;
	} while (take(s, ','));
	return take(s, '}') && s->at == s->end && s->out->uri_count > 0;
}

bool message_read_plain(struct str payload, struct arena *arena, struct registration *out,
			struct plain_registration *ports)
{
	uint32_t quotes[QUOTES_MAX + QUOTES_BLOCK], count;
	struct scan s = { payload.p, payload.p + payload.len, payload.p, quotes, arena, out, ports, 0 };

	*ports = (struct plain_registration){ 0 };
	if (payload.len == 0 || payload.p[payload.len - 1] != '}')
		return false;
	count = quotes_find(payload, quotes, QUOTES_MAX);
	if (count == QUOTES_ODD || count % 2 != 0)
		return false;
	quotes[count] = QUOTES_ODD;   /* where no text begins */
	return take_message(&s);
}

/*
 * registrar/message_plain.c - a scanner for the plain form of registrations.
 */
#include "registrar/message_plain.h"

#include <stddef.h>

#define TAGS_MAX 64                   /* names that are compared with one another */

struct scan {
	const char *at, *end;
	struct arena *arena;
	struct registration *out;
	struct plain_registration *ports;
	uint32_t seen;                /* fields, by row */
};

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool take_text(struct scan *s, struct str *out)
{
	const char *begin = s->at + 1;

	if (!take(s, '"'))
		return false;
	s->at += str_plain_run(str_range(s->at, s->end));
	*out = (struct str){ begin, (size_t)(s->at - begin) };
	return take(s, '"');
}

static bool take_number(struct scan *s, uint64_t most, uint64_t *out)
{
	const char *begin = s->at;
	uint64_t value = 0;

	while (s->at != s->end && *s->at >= '0' && *s->at <= '9' && s->at - begin < 18)
		value = value * 10 + (uint64_t)(*s->at++ - '0');
	*out = value;
	return s->at != begin && (*begin != '0' || s->at == begin + 1) && value <= most;
}

static unsigned count_texts(const struct scan *s)
{
	unsigned count = 1;

	for (const char *p = s->at; p != s->end && *p != ']'; p++)
		count += *p == ',';
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

/* The last of two equal names would count: not plain. */
static bool is_new_name(const struct str *names, unsigned count, struct str name)
{
	for (unsigned i = 0; i < count; i++)
		if (names[i].len == name.len && memcmp(names[i].p, name.p, name.len) == 0)
			return false;
	return true;
}

static bool take_tag(struct scan *s, struct str *names, unsigned count)
{
	struct endpoint *e = &s->out->endpoint;
	struct str value, *name = &names[count];

	if (count == TAGS_MAX || !take_text(s, name) || !take(s, ':') || !take_text(s, &value) ||
	    !is_new_name(names, count, *name))
		return false;
	if (str_equal(*name, STR("process_id")))
		e->process_id = value;
	else if (str_equal(*name, STR("component")))
		e->component = value;
	return true;
}

static bool take_tags(struct scan *s)
{
	struct endpoint *e = &s->out->endpoint;
	const char *begin = s->at;
	struct str names[TAGS_MAX];
	unsigned count = 0;

	if (!take(s, '{'))
		return false;
	do {
		if (!take_tag(s, names, count++))
			return false;
	} while (take(s, ','));
	e->tags = (struct str){ begin, (size_t)(s->at + 1 - begin) };
	e->flags |= ENDPOINT_HAS_TAGS;
	return take(s, '}') && e->tags.len <= ENDPOINT_TAGS_MAX;
}

/* --- fields --- */

enum field_kind { FIELD_TEXT, FIELD_PORT, FIELD_TLS_PORT, FIELD_URIS, FIELD_TAGS, FIELD_STALE,
		  FIELD_UPDATED };

static const struct field {
	struct str name;
	enum field_kind kind;
	size_t offset;                /* of a text in struct endpoint */
} fields[] = {
#define TEXT(name, member) { STR_INIT(name), FIELD_TEXT, offsetof(struct endpoint, member) }
	TEXT("host", host), TEXT("app", app_id), TEXT("protocol", protocol),
	TEXT("private_instance_id", instance_id), TEXT("private_instance_index", instance_index),
	TEXT("server_cert_domain_san", san), TEXT("availability_zone", zone),
	TEXT("isolation_segment", isolation_segment),
	TEXT("route_service_url", route_service_url),
#undef TEXT
	{ STR_INIT("port"), FIELD_PORT, 0 }, { STR_INIT("tls_port"), FIELD_TLS_PORT, 0 },
	{ STR_INIT("uris"), FIELD_URIS, 0 }, { STR_INIT("tags"), FIELD_TAGS, 0 },
	{ STR_INIT("stale_threshold_in_seconds"), FIELD_STALE, 0 },
	{ STR_INIT("endpoint_updated_at_ns"), FIELD_UPDATED, 0 },
};

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

static bool take_field(struct scan *s)
{
	struct str name;

	if (!take_text(s, &name) || !take(s, ':'))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!str_equal(fields[i].name, name))
			continue;
		if (s->seen & 1u << i)
			return false;
		s->seen |= 1u << i;
		return take_value(s, &fields[i]);
	}
	return false;
}

bool message_read_plain(struct str payload, struct arena *arena, struct registration *out,
			struct plain_registration *ports)
{
	struct scan s = { payload.p, payload.p + payload.len, arena, out, ports, 0 };

	*ports = (struct plain_registration){ 0 };
	if (!take(&s, '{'))
		return false;
	do {
		if (!take_field(&s))
			return false;
	} while (take(&s, ','));
	return take(&s, '}') && s.at == s.end && out->uri_count > 0;
}

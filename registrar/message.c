/*
 * registrar/message.c - JSON registrations (spec control 1.3) through jansson.
 * Keys match whatever their case; null leaves the default; the last of several
 * equal keys wins.
 */
#include "registrar/message.h"

#include <errno.h>
#include <jansson.h>

struct reading {
	struct arena *arena;
	struct registration *out;
	uint16_t port, tls_port;
	struct str route_service_url;
};

static void drop_field(struct reading *r)
{
	r->out->dropped_fields++;
}

static struct str text_of(const json_t *value)
{
	return (struct str){ json_string_value(value), json_string_length(value) };
}

static bool has_control_bytes(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

static void read_text(struct reading *r, const json_t *value, struct str *out)
{
	struct str text = text_of(value);

	if (!json_is_string(value) || has_control_bytes(text))
		drop_field(r);
	else
		*out = arena_copy(r->arena, text);
}

static void read_index(struct reading *r, const json_t *value, struct str *out)
{
	if (json_is_integer(value))
		*out = arena_format(r->arena, "%lld", (long long)json_integer_value(value));
	else
		read_text(r, value, out);
}

/* A number, or a text that holds one. */
static bool read_number(struct reading *r, const json_t *value, uint64_t most, uint64_t *out)
{
	uint64_t number = 0;
	bool good = false;

	if (json_is_integer(value)) {
		good = json_integer_value(value) >= 0;
		number = (uint64_t)json_integer_value(value);
	} else if (json_is_string(value)) {
		good = str_parse_u64(text_of(value), &number);
	}
	if (good && number <= most)
		*out = number;
	else
		drop_field(r);
	return good && number <= most;
}

static void read_port(struct reading *r, const json_t *value, uint16_t *out)
{
	uint64_t port;

	if (read_number(r, value, UINT16_MAX, &port))
		*out = (uint16_t)port;
}

static void read_uris(struct reading *r, const json_t *value)
{
	struct registration *out = r->out;
	size_t count = json_array_size(value), i;
	json_t *item;

	if (!json_is_array(value) || count > MESSAGE_URIS_MAX) {
		drop_field(r);
		return;
	}
	out->uris = arena_alloc(r->arena, (count + 1) * sizeof(*out->uris));
	out->uri_count = 0;
	json_array_foreach(value, i, item) {
		if (json_is_string(item) && json_string_length(item))
			out->uris[out->uri_count++] = arena_copy(r->arena, text_of(item));
		else
			drop_field(r);
	}
}

static void read_tags(struct reading *r, json_t *value)
{
	struct endpoint *endpoint = &r->out->endpoint;
	json_t *kept, *tag;
	const char *name;
	char *text;

	if (!json_is_object(value)) {
		drop_field(r);
		return;
	}
	kept = json_object();
	json_object_foreach(value, name, tag) {
		if (json_is_string(tag))
			json_object_set(kept, name, tag);
		else if (json_is_null(tag))
			json_object_set_new(kept, name, json_string(""));
		else
			drop_field(r);
	}
	text = json_dumps(kept, JSON_COMPACT);
	if (text && strlen(text) <= ENDPOINT_TAGS_MAX) {
		endpoint->flags |= ENDPOINT_HAS_TAGS;
		endpoint->tags = arena_copy(r->arena, str_of(text));
		if ((tag = json_object_get(kept, "process_id")))
			read_text(r, tag, &endpoint->process_id);
		if ((tag = json_object_get(kept, "component")))
			read_text(r, tag, &endpoint->component);
	} else {
		drop_field(r);
	}
	free(text);
	json_decref(kept);
}

static void read_balancing(struct reading *r, const json_t *value)
{
	if (json_is_string(value) && str_equal(text_of(value), STR("round-robin")))
		r->out->endpoint.balancing = BALANCE_ROUND_ROBIN;
	else if (json_is_string(value) && str_equal(text_of(value), STR("least-connection")))
		r->out->endpoint.balancing = BALANCE_LEAST_CONNECTION;
	else if (!json_is_string(value) || json_string_length(value))
		drop_field(r);
}

static void read_options(struct reading *r, json_t *value)
{
	json_t *option;
	const char *name;

	if (!json_is_object(value)) {
		drop_field(r);
		return;
	}
	json_object_foreach(value, name, option)
		if (!json_is_null(option) &&
		    (str_equal_nocase(str_of(name), STR("loadbalancing")) ||
		     str_equal_nocase(str_of(name), STR("lb_algo"))))
			read_balancing(r, option);
}

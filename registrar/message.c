/*
 * registrar/message.c - JSON registrations (spec control 1.3) through jansson.
 * Keys match whatever their case; null leaves the default; the last of several
 * equal keys wins.
 */
#include "registrar/message.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "registrar/json_text.h"
#include "registrar/message_plain.h"

struct parsing {
	struct arena *arena;
	struct registration *out;
	uint16_t port, tls_port;
	bool is_unsafe;               /* a vital field is wrong */
	bool is_idle;                 /* an empty list of URIs */
};

static void drop_field(struct parsing *r)
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

/* Fields whose loss would make an app reachable in a way it was not meant to be:
 * without its route service, without TLS, from another segment. */
static bool is_vital(struct str name)
{
	return str_equal_nocase(name, STR("tls_port")) ||
	       str_equal_nocase(name, STR("route_service_url")) ||
	       str_equal_nocase(name, STR("server_cert_domain_san")) ||
	       str_equal_nocase(name, STR("isolation_segment"));
}

static void read_text(struct parsing *r, const json_t *value, struct str *out)
{
	struct str text = text_of(value);

	if (!json_is_string(value) || has_control_bytes(text))
		drop_field(r);
	else
		*out = arena_copy(r->arena, text);
}

static void read_index(struct parsing *r, const json_t *value, struct str *out)
{
	if (json_is_integer(value))
		*out = arena_format(r->arena, "%lld", (long long)json_integer_value(value));
	else
		read_text(r, value, out);
}

/* A number, or a text that holds one. */
static bool read_number(struct parsing *r, const json_t *value, uint64_t most, uint64_t *out)
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

static void read_port(struct parsing *r, const json_t *value, uint16_t *out)
{
	uint64_t port;

	if (read_number(r, value, UINT16_MAX, &port))
		*out = (uint16_t)port;
}

static void read_uris(struct parsing *r, const json_t *value)
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

static void read_tags(struct parsing *r, json_t *value)
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
		endpoint->process_id = endpoint->component = STR_NONE;
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

static void read_balancing(struct parsing *r, const json_t *value)
{
	if (json_is_string(value) && str_equal(text_of(value), STR("round-robin")))
		r->out->endpoint.balancing = BALANCE_ROUND_ROBIN;
	else if (json_is_string(value) && str_equal(text_of(value), STR("least-connection")))
		r->out->endpoint.balancing = BALANCE_LEAST_CONNECTION;
	else if (!json_is_string(value) || json_string_length(value))
		drop_field(r);
}

static void read_options(struct parsing *r, json_t *value)
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

static void read_texts(struct parsing *r, struct str name, json_t *value)
{
	struct endpoint *e = &r->out->endpoint;
	const struct { struct str name; struct str *out; } rows[] = {
		{ STR_INIT("host"), &e->host }, { STR_INIT("app"), &e->app_id },
		{ STR_INIT("protocol"), &e->protocol },
		{ STR_INIT("private_instance_id"), &e->instance_id },
		{ STR_INIT("isolation_segment"), &e->isolation_segment },
		{ STR_INIT("server_cert_domain_san"), &e->san },
		{ STR_INIT("route_service_url"), &e->route_service_url },
		{ STR_INIT("availability_zone"), &e->zone },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_equal_nocase(name, rows[i].name))
			read_text(r, value, rows[i].out);
}

static void read_field(struct parsing *r, struct str name, json_t *value)
{
	struct endpoint *e = &r->out->endpoint;
	uint64_t number;

	if (str_equal_nocase(name, STR("uris")))
		r->is_idle = json_is_null(value) || (json_is_array(value) && !json_array_size(value));
	if (json_is_null(value))
		return;
	if (str_equal_nocase(name, STR("port")))
		read_port(r, value, &r->port);
	else if (str_equal_nocase(name, STR("tls_port")))
		read_port(r, value, &r->tls_port);
	else if (str_equal_nocase(name, STR("uris")))
		read_uris(r, value);
	else if (str_equal_nocase(name, STR("tags")))
		read_tags(r, value);
	else if (str_equal_nocase(name, STR("options")))
		read_options(r, value);
	else if (str_equal_nocase(name, STR("private_instance_index")))
		read_index(r, value, &e->instance_index);
	else if (str_equal_nocase(name, STR("stale_threshold_in_seconds"))) {
		if (read_number(r, value, UINT32_MAX, &number))
			e->stale_s = (uint32_t)number;
	} else if (str_equal_nocase(name, STR("endpoint_updated_at_ns"))) {
		if (read_number(r, value, INT64_MAX, &number))
			e->updated_at_ns = number;
	} else
		read_texts(r, name, value);
}

static void settle_address(struct parsing *r)
{
	struct endpoint *e = &r->out->endpoint;
	struct addr addr;

	if (r->tls_port)
		e->flags |= ENDPOINT_TLS;
	e->port = r->tls_port ? r->tls_port : r->port;
	if (addr_from_ip(e->host, e->port, &addr))
		addr_to_bytes(&addr, e->ip);
	else
		e->flags |= ENDPOINT_HOST_IS_NAME;
	if (str_is_empty(e->protocol))
		e->protocol = STR("http1");
	if (str_equal(e->protocol, STR("http2")))
		e->flags |= ENDPOINT_HTTP2;
}

static size_t text_bytes(const struct endpoint *e)
{
	size_t sum = 0;

#define X(name) sum += e->name.len;
	ENDPOINT_TEXTS(X)
#undef X
	return sum;
}

static int check(struct parsing *r, struct reason *reason)
{
	struct endpoint *e = &r->out->endpoint;

	if (r->is_unsafe)
		return reason_set(reason, -EINVAL, "tls_port, route_service_url, "
				  "server_cert_domain_san or isolation_segment has a wrong type");
	if (!str_is_empty(e->route_service_url) &&
	    !str_has_prefix(e->route_service_url, STR("https")))
		return reason_set(reason, -EINVAL, "route_service_url must be https");
	if (r->out->uri_count == 0)
		return reason_set(reason, r->is_idle ? -ENODATA : -EINVAL, "no usable uris");
	if (str_is_empty(e->host))
		return reason_set(reason, -EINVAL, "no host");
	if (!r->port && !r->tls_port)
		return reason_set(reason, -EINVAL, "no usable port");
	settle_address(r);
	if (text_bytes(e) > ENDPOINT_TEXT_MAX)
		return reason_set(reason, -EINVAL, "texts of more than %u bytes",
				  (unsigned)ENDPOINT_TEXT_MAX);
	return 0;
}

static int refuse_root(const json_t *root, const json_error_t *fault, struct reason *reason)
{
	if (!root)
		return reason_set(reason, -EINVAL, "%s at byte %d", fault->text, fault->position);
	if (json_is_null(root))
		return reason_set(reason, -ENODATA, "null");
	return reason_set(reason, -EINVAL, "not a JSON object");
}

/* Text that is not quite Unicode costs a character, not the message. */
static json_t *load(struct str payload, struct arena *arena, json_error_t *fault)
{
	const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_ANY;
	json_t *root = json_loadb(payload.p, payload.len, flags, fault);
	struct str repaired;

	if (!root && json_text_repair(payload, arena, &repaired))
		root = json_loadb(repaired.p, repaired.len, flags, fault);
	return root;
}

static int read_any(struct parsing *r, struct str payload, struct reason *reason)
{
	json_error_t fault;
	const char *name;
	json_t *root = load(payload, r->arena, &fault), *value;
	int rc;

	if (!json_is_object(root)) {
		rc = refuse_root(root, &fault, reason);
		json_decref(root);
		return rc;
	}
	json_object_foreach(root, name, value) {
		unsigned dropped = r->out->dropped_fields;

		read_field(r, str_of(name), value);
		if (r->out->dropped_fields > dropped && is_vital(str_of(name)))
			r->is_unsafe = true;
	}
	json_decref(root);
	return check(r, reason);
}

/* All but the room for texts, which lie elsewhere. */
static void begin(struct registration *out)
{
	memset(&out->endpoint, 0, offsetof(struct endpoint, text));
	out->uris = NULL;
	out->uri_count = out->dropped_fields = 0;
}

int message_parse(struct str payload, struct arena *arena, struct registration *out,
		  struct reason *reason)
{
	struct parsing parsing = { .arena = arena, .out = out };
	struct plain_registration ports;

	begin(out);
	if (payload.len == 0 || payload.len > MESSAGE_BYTES_MAX)
		return reason_set(reason, -EINVAL, "%s",
				  payload.len ? "too long" : "empty payload");
	if (message_read_plain(payload, arena, out, &ports)) {
		parsing.port = (uint16_t)ports.port;
		parsing.tls_port = (uint16_t)ports.tls_port;
		return check(&parsing, reason);
	}
	begin(out);
	return read_any(&parsing, payload, reason);
}

int message_parse_json(struct str payload, struct arena *arena, struct registration *out,
		       struct reason *reason)
{
	struct parsing parsing = { .arena = arena, .out = out };

	begin(out);
	return read_any(&parsing, payload, reason);
}

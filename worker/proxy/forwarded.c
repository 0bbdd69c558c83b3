/*
 * proxy/forwarded.c - fields that belong to one connection, and fields that tell
 * the app who its client is (spec proxy sections 5.12, 5.13, 6.2, 12.1).
 */
#include "proxy/respond.h"
#include "proxy/steps.h"

#define LISTED_MAX 64                 /* names in Connection; each costs a walk over the fields */

/* Always removed: RFC 9110 section 7.6.1. */
static const struct str hop_by_hop[] = {
	STR_INIT("Connection"), STR_INIT("Proxy-Connection"), STR_INIT("Keep-Alive"),
	STR_INIT("Proxy-Authenticate"), STR_INIT("Proxy-Authorization"), STR_INIT("Te"),
	STR_INIT("Transfer-Encoding"), STR_INIT("Upgrade"),
};

/* Set by the router itself before it looks at Connection: a client must not be
 * able to take them out again (CVE-2023-34041). */
static const struct str own[] = {
	STR_INIT("X-Vcap-Request-Id"), STR_INIT("X-Forwarded-Client-Cert"), STR_INIT("B3"),
	STR_INIT("X-B3-Traceid"), STR_INIT("X-B3-Spanid"), STR_INIT("Traceparent"),
	STR_INIT("Tracestate"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_one_of(struct str name, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal_nocase(name, names[i]))
			return true;
	return false;
}

/* Nor those that the operator says the next hop trusts. */
static bool is_protected(struct str name, const struct texts *filtered)
{
	for (unsigned i = 0; i < filtered->count; i++)
		if (str_equal_nocase(name, str_of(filtered->items[i])))
			return true;
	return is_one_of(name, own, COUNT(own));
}

/* Removes the fields that Connection names; a request has those that it must
 * not.  False: it names too many. */
static bool remove_listed(struct http_head *head, const struct texts *filtered)
{
	unsigned count = 0;
	struct str list, name;

	if (!http_head_may_have(head, STR("Connection")))
		return true;
	list = http_head_join(head, STR("Connection"));
	while (str_next_item(&list, ',', &name)) {
		if (++count > LISTED_MAX)
			return false;
		if (name.len && !(filtered && is_protected(name, filtered)))
			http_head_remove(head, name);
	}
	return true;
}

static bool strip(struct http_head *head, const struct texts *filtered)
{
	if (!remove_listed(head, filtered))
		return false;
	for (size_t i = 0; i < COUNT(hop_by_hop); i++)
		http_head_remove(head, hop_by_hop[i]);
	if (head->body != BODY_CHUNKED)
		http_head_remove(head, STR("Trailer"));
	return true;
}

bool step_strip_hop_by_hop(struct exchange *x)
{
	bool takes_trailers = http_head_lists(&x->request, STR("Te"), STR("trailers"));

	if (!strip(&x->request, &x->proxy->settings->headers.hop_by_hop_headers_to_filter)) {
		respond_refusal(x, 400, STR("too many connection options"));
		return false;
	}
	if (takes_trailers)
		http_head_add(&x->request, STR("Te"), STR("trailers"));
	return true;
}

bool step_strip_response(struct http_head *head)
{
	return strip(head, NULL);
}

static void append_forwarded_for(struct exchange *x)
{
	struct str all = http_head_join(&x->request, STR("X-Forwarded-For"));

	if (all.p)
		http_head_set(&x->request, STR("X-Forwarded-For"),
			      arena_format(&x->arena, "%.*s, %.*s", STR_ARG(all),
					   STR_ARG(x->peer_ip)));
	else
		http_head_add(&x->request, STR("X-Forwarded-For"), x->peer_ip);
}

static void set_forwarded_proto(struct exchange *x)
{
	const struct proxy_settings *settings = x->proxy->settings;
	bool is_https = x->is_tls || settings->force_forwarded_proto_https;

	if (!settings->force_forwarded_proto_https && !settings->sanitize_forwarded_proto &&
	    http_head_find(&x->request, STR("X-Forwarded-Proto")).len)
		return;
	http_head_set(&x->request, STR("X-Forwarded-Proto"),
		      is_https ? STR("https") : STR("http"));
}

static void set_request_start(struct exchange *x)
{
	char *digits;

	if (http_head_has(&x->request, STR("X-Request-Start")))
		return;
	digits = arena_alloc(&x->arena, 20);
	http_head_add(&x->request, STR("X-Request-Start"),
		      (struct str){ digits, u64_format(x->began_wall_ns / 1000000, digits) });
}

void steps_forward(struct exchange *x)
{
	append_forwarded_for(x);
	set_forwarded_proto(x);
	set_request_start(x);
}

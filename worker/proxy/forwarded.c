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

/* Never removed because a client lists them in Connection: it must not be able
 * to hide what the next hop trusts (CVE-2023-34041). */
static const struct str protected[] = {
	STR_INIT("X-Forwarded-For"), STR_INIT("X-Forwarded-Proto"), STR_INIT("B3"),
	STR_INIT("X-B3"), STR_INIT("X-B3-SpanID"), STR_INIT("X-B3-TraceID"),
	STR_INIT("X-Request-Start"), STR_INIT("X-Forwarded-Client-Cert"),
	STR_INIT("X-Vcap-Request-Id"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_one_of(struct str name, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal_nocase(name, names[i]))
			return true;
	return false;
}

/* Removes the fields that Connection names.  False: it names too many. */
static bool remove_listed(struct http_head *head, bool is_request)
{
	struct str list = http_head_join(head, STR("Connection")), name;
	unsigned count = 0;

	while (str_next_item(&list, ',', &name)) {
		if (++count > LISTED_MAX)
			return false;
		if (name.len && !(is_request && is_one_of(name, protected, COUNT(protected))))
			http_head_remove(head, name);
	}
	return true;
}

static bool strip(struct http_head *head, bool is_request)
{
	if (!remove_listed(head, is_request))
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

	if (!strip(&x->request, true)) {
		respond_refusal(x, 400, STR("too many connection options"));
		return false;
	}
	if (takes_trailers)
		http_head_add(&x->request, STR("Te"), STR("trailers"));
	return true;
}

bool step_strip_response(struct http_head *head)
{
	return strip(head, false);
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
	struct str own = STR("http");         /* TLS listeners will say https */

	if (settings->force_forwarded_proto_https)
		own = STR("https");
	else if (!settings->sanitize_forwarded_proto &&
		 http_head_find(&x->request, STR("X-Forwarded-Proto")).len)
		return;
	http_head_set(&x->request, STR("X-Forwarded-Proto"), own);
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

bool step_set_forwarded(struct exchange *x)
{
	append_forwarded_for(x);
	set_forwarded_proto(x);
	set_request_start(x);
	return true;
}

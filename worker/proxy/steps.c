/*
 * proxy/steps.c - the order of policy, and the steps that fit on a few lines.
 */
#include "proxy/steps.h"

#include "base/log.h"
#include "http/status_text.h"
#include "proxy/respond.h"
#include "route_key.h"

static bool set_request_id(struct exchange *x)
{
	request_id_make(x->request_id);
	http_head_set(&x->request, STR("X-Vcap-Request-Id"), str_of(x->request_id));
	return true;
}

/* "OPTIONS *" is about the router itself, not about a route. */
static bool answer_options(struct exchange *x)
{
	if (!str_equal(x->request.target, STR("*")) ||
	    !str_equal(x->request.method, STR("OPTIONS")))
		return true;
	respond_text(x, 200, STR_NONE);
	return false;
}

/* Versions 1.2 to 1.9 get what clients of unknown versions can read. */
static bool check_protocol(struct exchange *x)
{
	if (x->request.minor <= 1)
		return true;
	respond_text(x, 400, STR_NONE);
	x->response.minor = 0;
	x->response.body = BODY_UNTIL_CLOSE;
	x->response.has_length = x->response.keeps_alive = false;
	x->response.count = 0;
	return false;
}

static bool check_host(struct exchange *x)
{
	struct str host = route_host_without_port(x->request.authority);

	if (host.len && !str_equal(host, x->peer_ip))
		return true;
	respond_error(x, 400, STR("empty_host"), STR("Request had empty Host header"));
	respond_add(x, STR("Cache-Control"), STR("public,max-age=2"));
	return false;
}

/* Counted as Gorouter counts it (spec proxy 5.10). */
static uint64_t request_size(const struct http_head *head)
{
	uint64_t size = head->method.len + head->target.len + 8 + 4 + head->authority.len + 8;

	for (unsigned i = 0; i < head->count; i++)
		size += head->fields[i].name.len + head->fields[i].value.len + 4;
	return size;
}

/* Before more fields are added; the answer comes after the lookup, as Gorouter's. */
static bool measure_size(struct exchange *x)
{
	const struct proxy_settings *settings = x->proxy->settings;

	x->is_too_large = request_size(&x->request) >= settings->max_request_header_bytes ||
			  (settings->max_request_headers &&
			   x->request.count > settings->max_request_headers);
	return true;
}

void steps_refuse_size(struct exchange *x)
{
	respond_text(x, 431, STR_NONE);
	respond_add(x, STR("X-Cf-Routererror"), STR("max-request-size-exceeded"));
}

/* Go adds what HTTP/1.0 caches understand (spec proxy section 2, last row). */
static bool mirror_pragma(struct exchange *x)
{
	if (str_equal(http_head_find(&x->request, STR("Pragma")), STR("no-cache")) &&
	    !http_head_has(&x->request, STR("Cache-Control")))
		http_head_add(&x->request, STR("Cache-Control"), STR("no-cache"));
	return true;
}

/* What has no body says so only where one is usual (spec proxy 6.3). */
static bool frame_empty_body(struct exchange *x)
{
	struct http_head *head = &x->request;

	if (head->body == BODY_LENGTH && !head->content_length)
		head->body = BODY_NONE;
	if (head->body != BODY_NONE)
		return true;
	head->has_length = str_equal(head->method, STR("POST")) ||
			   str_equal(head->method, STR("PUT")) ||
			   str_equal(head->method, STR("PATCH"));
	head->content_length = 0;
	return true;
}

static const struct {
	const char *name;             /* for the log */
	bool (*run)(struct exchange *x);
} request_steps[] = {
	{ "answer-status",     step_answer_status },
	{ "answer-options",    answer_options },
	{ "set-request-id",    set_request_id },
	{ "answer-monitor",    step_answer_monitor },
	{ "check-protocol",    check_protocol },
	{ "check-host",        check_host },
	{ "measure-size",      measure_size },
	{ "mirror-pragma",     mirror_pragma },
	{ "strip-hop-by-hop",  step_strip_hop_by_hop },
	{ "set-forwarded",     step_set_forwarded },
	{ "frame-empty-body",  frame_empty_body },
};

bool steps_request(struct exchange *x)
{
	for (size_t i = 0; i < sizeof(request_steps) / sizeof(request_steps[0]); i++)
		if (!request_steps[i].run(x)) {
			log_debug("request-answered", "step=%s status=%u", request_steps[i].name,
				  x->response.status);
			return false;
		}
	return true;
}

void steps_attempt(struct exchange *x)
{
	struct http_head *head = &x->request;
	struct str id = x->endpoint.instance_id;

	if (!id.len)
		id = arena_format(&x->arena, "%.*s:%u", STR_ARG(x->endpoint.host),
				  x->endpoint.port);
	http_head_set(head, STR("X-Cf-Applicationid"), x->endpoint.app_id);
	http_head_set(head, STR("X-Cf-Instanceid"), id);
	http_head_set(head, STR("X-Cf-Instanceindex"), x->endpoint.instance_index);
	http_head_remove(head, STR("X-Cf-App-Instance"));
	head->keeps_alive = true;     /* whatever the client wants of its own connection */
}

static void add_router_fields(struct exchange *x)
{
	struct http_head *head = &x->response;

	if (!http_head_has(head, STR("X-Vcap-Request-Id")))
		http_head_add(head, STR("X-Vcap-Request-Id"), str_of(x->request_id));
	if (!http_head_has(head, STR("Date")))
		http_head_add(head, STR("Date"), arena_copy(&x->arena, proxy_date(x->proxy)));
}

/* The framing fields of answers that have no body (spec proxy 12.3). */
static void frame_bodiless(struct http_head *head)
{
	if (head->status == 204 || head->status == 304)
		head->has_length = false;
	if (head->status == 304)
		http_head_remove(head, STR("Content-Type"));
}

bool steps_response(struct exchange *x, enum failure *failure)
{
	struct http_head *head = &x->response;

	if (!step_strip_response(head)) {
		*failure = FAIL_BAD_RESPONSE;
		return false;
	}
	http_head_remove(head, STR("X-Cf-Proxy-Signature"));
	frame_bodiless(head);
	add_router_fields(x);
	head->minor = 1;
	head->reason = http_status_text(head->status, &x->arena);
	head->keeps_alive = true;     /* how the endpoint keeps its connection is its matter */
	return true;
}

void steps_interim(struct exchange *x)
{
	if (!step_strip_response(&x->response))
		x->response.count = 0;        /* any of them may be the connection's own */
	http_head_remove(&x->response, STR("X-Cf-Proxy-Signature"));
	x->response.minor = 1;
	x->response.reason = http_status_text(x->response.status, &x->arena);
}

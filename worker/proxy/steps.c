/*
 * proxy/steps.c - the order of policy, and the steps that fit on a few lines.
 */
#include "proxy/steps.h"

#include "base/log.h"
#include "http/status_text.h"
#include "proxy/respond.h"
#include "proxy/sticky.h"
#include "proxy/trace.h"
#include "route_key.h"

static void add_date(struct exchange *x)
{
	if (!http_head_has(&x->response, STR("Date")))
		http_head_add(&x->response, STR("Date"),
			      arena_copy(&x->arena, proxy_date(x->proxy)));
}

/* "OPTIONS *" is about the router itself, not about a route: the server's own
 * answer, and no rule of http_rewrite holds for it. */
static bool answer_options(struct exchange *x)
{
	if (!str_equal(x->request.target, STR("*")) ||
	    !str_equal(x->request.method, STR("OPTIONS")))
		return true;
	respond_text(x, 200, STR_NONE);
	x->response.count = 0;
	add_date(x);
	return false;
}

/* They say who answered, so a client may not say them (handler 7 of spec proxy 4). */
static bool delete_instance_fields(struct exchange *x)
{
	if (!x->proxy->settings->headers.send_http_start_stop_server_event)
		return true;
	http_head_remove(&x->request, STR("X-Cf-Applicationid"));
	http_head_remove(&x->request, STR("X-Cf-Instanceid"));
	http_head_remove(&x->request, STR("X-Cf-Instanceindex"));
	return true;
}

/* Apps may take ';' for a separator of parameters, or not: worth a warning. */
static bool check_semicolons(struct exchange *x)
{
	static struct log_limit limit = { .per_second = 10 };
	uint64_t suppressed;
	struct trace_ids ids;

	if (!x->request.target.len || !memchr(x->request.target.p, ';', x->request.target.len) ||
	    !log_limit_allows(&limit, &suppressed))
		return true;
	trace_ids(x, &ids);
	log_warn("deprecated-semicolon-params",
		 "vcap_request_id=%s trace-id=%s span-id=%s suppressed=%llu", x->request_id,
		 ids.trace, ids.span, (unsigned long long)suppressed);
	return true;
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

/* By now the place in the index has come that was asked for at the begin. */
static bool expect_route(struct exchange *x)
{
	balancer_expect_more(&x->proxy->balancer);
	return true;
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
static void mirror_pragma(struct http_head *head)
{
	if (str_equal(http_head_find(head, STR("Pragma")), STR("no-cache")) &&
	    !http_head_has(head, STR("Cache-Control")))
		http_head_add(head, STR("Cache-Control"), STR("no-cache"));
}

static bool mirror_request_pragma(struct exchange *x)
{
	mirror_pragma(&x->request);
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
	{ "answer-status",           step_answer_status },
	{ "answer-options",          answer_options },
	{ "set-trace",               step_set_trace },
	{ "delete-instance-fields",  delete_instance_fields },
	{ "check-semicolons",        check_semicolons },
	{ "answer-monitor",          step_answer_monitor },
	{ "check-protocol",          check_protocol },
	{ "check-host",              check_host },
	{ "expect-route",            expect_route },
	{ "want-instance",           step_want_instance },
	{ "measure-size",            measure_size },
	{ "mirror-pragma",           mirror_request_pragma },
	{ "forward-client-cert",     step_forward_client_cert },
	{ "strip-hop-by-hop",        step_strip_hop_by_hop },
	{ "want-sticky",             step_want_sticky },
	{ "frame-empty-body",        frame_empty_body },
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

/* Where the client's connection ends at this router. */
static struct str own_ip(struct exchange *x)
{
	char text[ADDR_TEXT_SIZE];
	struct addr local;
	size_t len;

	conn_local(mux_conn(x->down->mux), &local);
	len = addr_format_ip(&local, text);
	return arena_copy(&x->arena, (struct str){ text, len });
}

/* For whoever knows the key: which way the request went. */
static void tell_the_way(struct exchange *x)
{
	struct str key = str_of(x->proxy->settings->headers.trace_key);
	char backend[272];
	struct str address;
	size_t len;

	if (!str_equal(http_head_find(&x->request, STR("X-Vcap-Trace")), key))
		return;
	len = endpoint_format_address(&x->endpoint, backend, sizeof(backend));
	address = arena_copy(&x->arena, (struct str){ backend, len });
	http_head_set(&x->response, STR("X-Vcap-Router"), own_ip(x));
	http_head_set(&x->response, STR("X-Vcap-Backend"), address);
	http_head_set(&x->response, STR("X-Cf-Routeendpoint"), address);
}

/* Gorouter's handlers and then its HTTP server, which adds the date last. */
static void add_router_fields(struct exchange *x)
{
	const struct header_settings *settings = &x->proxy->settings->headers;
	struct http_head *head = &x->response;

	mirror_pragma(head);
	if (!http_head_has(head, STR("X-Vcap-Request-Id")))
		http_head_add(head, STR("X-Vcap-Request-Id"), str_of(x->request_id));
	if (settings->trace_key[0])
		tell_the_way(x);
	if (settings->responses.count)
		rewrite_apply(&settings->responses, head);
	add_date(x);
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
	sticky_set_cookie(x);
	add_router_fields(x);
	frame_bodiless(head);
	head->minor = 1;
	head->reason = http_status_text(head->status, &x->arena);
	/* How the endpoint keeps its connection is its matter, unless it takes no more of
	 * the request.  What comes next from a client that was not told to continue may
	 * be its body, or not. */
	head->keeps_alive = !stream_body_left(x->down) ||
			    (head->keeps_alive && !x->expects_continue);
	return true;
}

void steps_interim(struct exchange *x)
{
	if (!step_strip_response(&x->response))
		x->response.count = 0;        /* any of them may be the connection's own */
	http_head_remove(&x->response, STR("X-Cf-Proxy-Signature"));
	if (x->proxy->settings->headers.responses.count)
		rewrite_apply(&x->proxy->settings->headers.responses, &x->response);
	x->response.minor = 1;
	x->response.reason = http_status_text(x->response.status, &x->arena);
}

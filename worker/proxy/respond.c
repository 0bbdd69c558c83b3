/*
 * proxy/respond.c - answers of our own.
 */
#include "proxy/respond.h"

#include "base/log.h"
#include "http/status_text.h"
#include "proxy/verdict.h"

/* Of a request body that nobody will read: so much is dropped to keep the
 * connection (spec proxy section 2). */
#define DROPPED_BODY_MAX 262144

/* The rest of the request is small enough to be read and dropped. */
static bool can_keep_connection(const struct exchange *x)
{
	uint64_t left = stream_body_left(x->down);

	if (x->failure == FAIL_CLIENT_TIMEOUT || x->failure == FAIL_DRAINED ||
	    x->failure == FAIL_OVERLOAD)
		return false;
	return !left || (!x->expects_continue && left <= DROPPED_BODY_MAX);
}

/* RFC 9209: our name, the kind of error, and our own code for it. */
static struct str proxy_status(struct exchange *x)
{
	return arena_format(&x->arena, "wye; error=%s; details=\"%s\"",
			    verdict_of(x->failure)->error, verdict_code(x->failure));
}

static void begin(struct exchange *x, unsigned status, struct str body)
{
	struct http_head *head = &x->response;

	http_head_init(head, &x->arena);
	head->status = status;
	head->reason = http_status_text(status, &x->arena);
	head->body = body.len && !str_equal(x->request.method, STR("HEAD")) ? BODY_LENGTH :
									      BODY_NONE;
	head->has_length = true;
	head->content_length = body.len;
	head->keeps_alive = can_keep_connection(x);
	x->local_body = body;
	x->state = X_RESPOND;
	if (x->failure && x->proxy->settings->proxy_status)
		respond_add(x, STR("Proxy-Status"), proxy_status(x));
}

/* http_rewrite is about what clients of apps see, not about a status port. */
static bool is_rewritten(const struct exchange *x)
{
	return x->proxy->settings->headers.responses.count && !x->is_monitor;
}

void respond_add(struct exchange *x, struct str name, struct str value)
{
	if (is_rewritten(x))
		rewrite_add(&x->proxy->settings->headers.responses, &x->response, name, value);
	else
		http_head_add(&x->response, name, value);
}

enum step respond_text(struct exchange *x, unsigned status, struct str body)
{
	begin(x, status, body);
	if (is_rewritten(x))
		rewrite_apply(&x->proxy->settings->headers.responses, &x->response);
	if (!http_head_has(&x->response, STR("Date")))        /* as a server does, after the rules */
		http_head_add(&x->response, STR("Date"),
			      arena_copy(&x->arena, proxy_date(x->proxy)));
	return ADVANCE;
}

enum step respond_failure(struct exchange *x, unsigned status, struct str router_error,
			  struct str body)
{
	respond_text(x, status, arena_format(&x->arena, "%.*s\n", STR_ARG(body)));
	respond_add(x, STR("Content-Type"), STR("text/plain; charset=utf-8"));
	respond_add(x, STR("X-Content-Type-Options"), STR("nosniff"));
	if (router_error.len)
		respond_add(x, STR("X-Cf-Routererror"), router_error);
	return ADVANCE;
}

static void log_status(const struct exchange *x, struct str body)
{
	static struct log_limit limit = { .per_second = 100 };
	uint64_t suppressed;

	if (log_limit_allows(&limit, &suppressed))
		log_info("status", "body=%.*s code=%s vcap_request_id=%s suppressed=%llu",
			 STR_ARG(body), verdict_code(x->failure), x->request_id,
			 (unsigned long long)suppressed);
}

enum step respond_error(struct exchange *x, unsigned status, struct str router_error,
			struct str message)
{
	struct str reason = http_status_text(status, &x->arena);
	struct str body = arena_format(&x->arena, "%u %.*s: %.*s", status, STR_ARG(reason),
				       STR_ARG(message));

	if (!x->failure)
		x->failure = verdict_of_refusal(router_error);
	if (status != 404)            /* scans would fill the log */
		log_status(x, body);
	return respond_failure(x, status, router_error, body);
}

enum step respond_refusal(struct exchange *x, unsigned status, struct str words)
{
	struct http_head *head = &x->response;
	struct str reason = http_status_text(status, &x->arena);
	struct str body;

	if (words.len && status != 501)
		reason = arena_format(&x->arena, "%.*s: %.*s", STR_ARG(reason), STR_ARG(words));
	body = status == 417 ? STR_NONE : status == 501 ? words :
	       arena_format(&x->arena, "%u %.*s", status, STR_ARG(reason));
	begin(x, status, body);
	head->reason = reason;
	head->body = BODY_UNTIL_CLOSE;
	head->has_length = head->keeps_alive = false;
	http_head_add(head, STR("Content-Type"), STR("text/plain; charset=utf-8"));
	return ADVANCE;
}

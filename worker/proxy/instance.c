/*
 * proxy/instance.c - requests for one instance of an app.
 */
#include "proxy/instance.h"

#include "base/log.h"
#include "proxy/respond.h"
#include "proxy/steps.h"
#include "proxy/trace.h"

#define LOGGED_MAX 1024               /* bytes of a value that make no sense */

/* 8-4-4-4-12 hexadecimal digits in lower case. */
static bool is_guid(struct str s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (s.len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool is_digit = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');

		if (form[i] == '-' ? s.p[i] != '-' : !is_digit)
			return false;
	}
	return true;
}

static bool is_number(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.len > 0;
}

/* "GUID:INDEX", or "GUID" where the index may be missing. */
static bool parse(struct str value, bool needs_index, struct wish *out)
{
	ssize_t colon = str_find_char(value, ':');

	out->guid = colon < 0 ? value : str_sub(value, 0, (size_t)colon);
	out->index = colon < 0 ? STR_NONE : str_sub(value, (size_t)colon + 1, STR_REST);
	return is_guid(out->guid) && (colon < 0 ? !needs_index : is_number(out->index));
}

/* Clients can provoke these lines. */
static void log_invalid(struct exchange *x, const char *event, const char *name, struct str value)
{
	static struct log_limit limit = { .per_second = 10 };
	uint64_t suppressed;
	struct trace_ids ids;
	struct str error;

	if (!log_limit_allows(&limit, &suppressed))
		return;
	trace_ids(x, &ids);
	error = arena_format(&x->arena, "Incorrect %s header : %.*s", name,
			     STR_ARG(str_sub(value, 0, LOGGED_MAX)));
	log_error(event, "error=%.*s vcap_request_id=%s trace-id=%s span-id=%s suppressed=%llu",
		  STR_ARG(error), x->request_id, ids.trace, ids.span,
		  (unsigned long long)suppressed);
}

/* All of these answers are alike. */
static enum step refuse(struct exchange *x, struct str router_error, struct str message)
{
	counter_add(x->proxy->counters, COUNTER_rejected_requests, 1);
	respond_error(x, 400, router_error, message);
	respond_add(x, STR("Cache-Control"), STR("no-cache, no-store"));
	return ADVANCE;
}

static bool want_app_instance(struct exchange *x, struct str value)
{
	x->wish.scope = SCOPE_APP_INSTANCE;
	if (parse(value, true, &x->wish))
		return true;
	log_invalid(x, "invalid-app-instance-header", "X-CF-APP-INSTANCE", value);
	refuse(x, STR("invalid_cf_app_instance_header"), STR("Invalid X-CF-App-Instance Header"));
	return false;
}

static bool want_process_instance(struct exchange *x, struct str value)
{
	x->wish.scope = SCOPE_PROCESS;
	if (parse(value, false, &x->wish))
		return true;
	log_invalid(x, "invalid-process-instance-header", "X-CF-PROCESS-INSTANCE", value);
	refuse(x, STR("invalid_cf_process_instance_header"),
	       STR("Invalid X-CF-Process-Instance Header"));
	return false;
}

bool step_want_instance(struct exchange *x)
{
	struct str app = http_head_find(&x->request, STR("X-Cf-App-Instance"));
	struct str process;

	if (app.len)
		return want_app_instance(x, app);
	process = http_head_find(&x->request, STR("X-Cf-Process-Instance"));
	return !process.len || want_process_instance(x, process);
}

enum step instance_reject(struct exchange *x)
{
	const struct wish *wish = &x->wish;
	const char *kind = wish->scope == SCOPE_PROCESS ? "process guid" : "guid";
	struct str index = wish->index.len ?
			   arena_format(&x->arena, "('%.*s') ", STR_ARG(wish->index)) : STR_NONE;

	x->failure = FAIL_NO_INSTANCE;
	return refuse(x, STR("unknown_route"),
		      arena_format(&x->arena, "Requested instance %.*swith %s ('%.*s') does not "
				   "exist for route ('%.*s')", STR_ARG(index), kind,
				   STR_ARG(wish->guid), STR_ARG(x->request.authority)));
}

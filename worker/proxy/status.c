/*
 * proxy/status.c - health answers: on the status port by path, on traffic ports
 * by User-Agent (spec control 6.3, spec proxy 5.7).
 */
#include "proxy/respond.h"
#include "proxy/steps.h"

static void add_no_cache(struct exchange *x)
{
	respond_add(x, STR("Cache-Control"), STR("private, max-age=0"));
	respond_add(x, STR("Expires"), STR("0"));
}

static void answer_health(struct exchange *x)
{
	if (proxy_is_healthy(x->proxy))
		respond_text(x, 200, STR("ok\n"));
	else
		respond_text(x, 503, STR_NONE);
	add_no_cache(x);
}

static struct str path_of(struct str target)
{
	ssize_t query = str_find_char(target, '?');

	return query < 0 ? target : str_sub(target, 0, (size_t)query);
}

bool step_answer_status(struct exchange *x)
{
	struct str path = path_of(x->request.target);

	if (!x->is_monitor)
		return true;
	if (str_equal(path, STR("/health"))) {
		answer_health(x);
	} else if (str_equal(path, STR("/is-process-alive-do-not-use-for-loadbalancing"))) {
		respond_text(x, 200, STR("ok\n"));
		add_no_cache(x);
	} else {
		respond_text(x, 404, STR("404 page not found\n"));
		respond_add(x, STR("Content-Type"), STR("text/plain; charset=utf-8"));
	}
	return false;
}

bool step_answer_monitor(struct exchange *x)
{
	struct str agent = http_head_find(&x->request, STR("User-Agent"));

	if (!str_equal(agent, str_of(x->proxy->settings->healthcheck_user_agent)))
		return true;
	answer_health(x);
	return false;
}

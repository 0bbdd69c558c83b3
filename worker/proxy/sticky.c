/*
 * proxy/sticky.c - sticky sessions.
 */
#include "proxy/sticky.h"

#include "base/log.h"
#include "http/cookie.h"
#include "proxy/steps.h"

#define VCAP_ID "__VCAP_ID__"
#define NEGOTIATE_S 60                /* a handshake takes no longer (spec proxy 13.2) */

static bool is_session_name(const struct exchange *x, struct str name)
{
	const struct texts *names = &x->proxy->settings->headers.sticky_session_cookie_names;

	for (unsigned i = 0; i < names->count; i++)
		if (str_equal(name, str_of(names->items[i])))
			return true;
	return false;
}

static bool negotiates(const struct exchange *x, const struct http_head *head, struct str name)
{
	return x->proxy->settings->headers.sticky_sessions_for_auth_negotiate &&
	       str_has_prefix_nocase(http_head_find(head, name), STR("negotiate"));
}

/* The first __VCAP_ID__ counts.  Returns whether there is a session with it. */
static bool read_cookies(const struct exchange *x, struct str *id)
{
	bool has_id = false, has_session = false;
	struct http_field *field;
	struct cookie cookie;
	unsigned at = 0;

	while ((field = http_head_next(&x->request, STR("Cookie"), &at)) != NULL) {
		struct str rest = field->value;

		while (!(has_id && has_session) && cookie_next(&rest, &cookie)) {
			if (!has_id && str_equal(cookie.name, STR(VCAP_ID))) {
				has_id = true;
				*id = cookie.value;
			}
			has_session = has_session || is_session_name(x, cookie.name);
		}
	}
	return has_session;
}

bool step_want_sticky(struct exchange *x)
{
	struct str id = STR_NONE;
	bool has_session;

	if (!http_head_may_have(&x->request, STR("Cookie")) || x->is_too_large)
		return true;          /* what is refused for its size needs no instance */
	has_session = read_cookies(x, &id);
	if (!id.len)
		return true;
	x->wish.must_stick = negotiates(x, &x->request, STR("Authorization"));
	if (x->wish.must_stick || has_session)
		x->wish.sticky_id = id;
	return true;
}

static void log_missed(const struct exchange *x, enum stuck stuck)
{
	const char *event = !x->wish.must_stick ? "endpoint-missing-choosing-alternate" :
			    stuck == STUCK_MISSING ? "endpoint-missing-but-request-must-be-sticky" :
			    "endpoint-overloaded-but-request-must-be-sticky";

	log_debug(event, "requested-endpoint=%.*s vcap_request_id=%s",
		  STR_ARG(str_sub(x->wish.sticky_id, 0, 256)), x->request_id);
}

void sticky_note_pick(struct exchange *x)
{
	const struct balancer *balancer = &x->proxy->balancer;

	x->path_len = balancer->path_len;
	if (balancer->stuck == STUCK_MISSING || balancer->stuck == STUCK_OVERLOADED)
		log_missed(x, balancer->stuck);
}

/* A route service's answer is not the app's (spec proxy 13.2). */
static bool went_to_route_service(const struct exchange *x)
{
	return http_head_find(&x->request, STR("X-Cf-Proxy-Signature")).len &&
	       http_head_find(&x->request, STR("X-Cf-Forwarded-Url")).len;
}

/* What the app sets itself.  False: a __VCAP_ID__ of its own. */
static bool read_answer(const struct exchange *x, struct set_cookie *session, bool *has_session)
{
	struct http_field *field;
	struct set_cookie cookie;
	unsigned at = 0;

	*has_session = false;
	while ((field = http_head_next(&x->response, STR("Set-Cookie"), &at)) != NULL) {
		if (!set_cookie_parse(field->value, &cookie))
			continue;
		if (str_equal(cookie.name, STR(VCAP_ID)))
			return false;
		if (*has_session || !is_session_name(x, cookie.name))
			continue;
		*has_session = true;
		*session = cookie;
	}
	return true;
}

/* The path that the route is registered with, in the letters that the client uses:
 * browsers compare it with theirs. */
static struct str route_path(const struct exchange *x)
{
	return x->path_len ? str_sub(exchange_path(x), 0, x->path_len) : STR("/");
}

/* The cookie lives as long as the session, but a Max-Age above zero is not copied,
 * as in Gorouter: it then ends with the browser. */
static void copy_lifetime(struct set_cookie *cookie, const struct set_cookie *session)
{
	cookie->has_expires = session->has_expires;
	cookie->expires_s = session->expires_s;
	cookie->has_max_age = session->has_max_age && session->max_age_s <= 0;
	cookie->is_secure = session->is_secure;
	cookie->same_site = session->same_site;
	cookie->is_partitioned = session->is_partitioned;
}

/* Fills in what depends on why the cookie is set; false: it is not. */
static bool is_to_be_set(const struct exchange *x, struct set_cookie *cookie)
{
	bool is_elsewhere = !str_equal(x->wish.sticky_id, x->endpoint.instance_id);
	struct set_cookie session;
	bool has_session;

	if (!read_answer(x, &session, &has_session))
		return false;
	if (negotiates(x, &x->response, STR("Www-Authenticate"))) {
		cookie->has_max_age = true;
		cookie->max_age_s = NEGOTIATE_S;
		cookie->same_site = SAME_SITE_STRICT;
		return is_elsewhere;
	}
	if (!has_session)
		return x->wish.sticky_id.len && is_elsewhere;
	copy_lifetime(cookie, &session);
	return true;
}

static bool may_concern_sessions(const struct exchange *x)
{
	return x->wish.sticky_id.len || http_head_may_have(&x->response, STR("Set-Cookie")) ||
	       x->proxy->settings->headers.sticky_sessions_for_auth_negotiate;
}

void sticky_set_cookie(struct exchange *x)
{
	struct set_cookie cookie = {
		.name = STR(VCAP_ID), .value = x->endpoint.instance_id, .is_http_only = true,
	};

	if (!may_concern_sessions(x) || !x->endpoint.instance_id.len ||
	    went_to_route_service(x) || !is_to_be_set(x, &cookie))
		return;
	cookie.path = route_path(x);
	cookie.is_secure |= x->proxy->settings->headers.secure_cookies;
	http_head_add(&x->response, STR("Set-Cookie"), set_cookie_format(&x->arena, &cookie));
}

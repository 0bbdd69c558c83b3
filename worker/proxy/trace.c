/*
 * proxy/trace.c - B3, trace context, request id.  What a client says is checked
 * and, where it must be passed on, written anew; a trace that cannot be read is
 * replaced by one of our own.
 */
#include "proxy/trace.h"

#include <stdio.h>

#include "base/log.h"
#include "proxy/steps.h"

#define TRACEPARENT_LEN 55            /* 00-<32 digits>-<16 digits>-01 */
#define TRACESTATE_MAX  2048          /* a longer one is discarded */

/* What B3 fields say. */
struct b3 {
	uint64_t high, low, span, parent;
	bool has_parent;
	char sampled;                 /* '0', '1', 'd', or 0: not said */
};

static struct str field(const struct exchange *x, struct str name)
{
	return http_head_find(&x->request, name);
}

static void set_field(struct exchange *x, struct str name, struct str value)
{
	http_head_set(&x->request, name, value);
}

/* --- the ids of this request */

static struct str hex16(struct exchange *x, uint64_t value)
{
	return arena_format(&x->arena, "%016llx", (unsigned long long)value);
}

static void adopt(struct exchange *x, struct str trace_id, struct str span_id)
{
	x->trace_id = trace_id;
	x->span_id = span_id;
}

/* A UUID without its dashes, and the end of it. */
static void begin_trace(struct exchange *x)
{
	struct trace_ids ids;

	request_id_make(x->request_id);
	trace_ids(x, &ids);
	adopt(x, arena_copy(&x->arena, str_of(ids.trace)), arena_copy(&x->arena, str_of(ids.span)));
}

/* So that the request id is found wherever the trace is: for ids that look like
 * a UUID of version 1 to 5. */
static bool take_id_of_trace(struct exchange *x)
{
	const char *id = x->trace_id.p;

	if (x->trace_id.len != 32 || id[12] < '1' || id[12] > '5')
		return false;
	snprintf(x->request_id, sizeof(x->request_id), "%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8,
		 id + 12, id + 16, id + 20);
	return true;
}

static void set_request_id(struct exchange *x)
{
	if (!take_id_of_trace(x))
		request_id_make(x->request_id);
	set_field(x, STR("X-Vcap-Request-Id"), str_of(x->request_id));
	log_debug("vcap-request-id-header-set", "VcapRequestIdHeader=%s", x->request_id);
}

void trace_ids(const struct exchange *x, struct trace_ids *out)
{
	char *to = out->trace;

	if (x->trace_id.len) {
		str_copy_z(x->trace_id, out->trace, sizeof(out->trace));
		str_copy_z(x->span_id, out->span, sizeof(out->span));
		return;
	}
	for (const char *from = x->request_id; *from; from++)
		if (*from != '-')
			*to++ = *from;
	*to = '\0';
	memcpy(out->span, out->trace + 16, sizeof(out->span));
}

/* --- Zipkin's B3 */

static bool parse_trace_id(struct str text, struct b3 *b3)
{
	size_t high = text.len > 16 ? text.len - 16 : 0;

	b3->high = 0;
	return (!high || str_parse_hex64(str_sub(text, 0, high), &b3->high)) &&
	       str_parse_hex64(str_sub(text, high, STR_REST), &b3->low);
}

static bool parse_sampled_char(struct str text, char *sampled)
{
	*sampled = text.len == 1 ? text.p[0] : 0;
	return *sampled == '0' || *sampled == '1' || *sampled == 'd';
}

/* Takes up to the next '-'; false: nothing is left. */
static bool next_part(struct str *rest, struct str *part)
{
	ssize_t dash = str_find_char(*rest, '-');

	if (!rest->p)
		return false;
	*part = str_sub(*rest, 0, dash < 0 ? STR_REST : (size_t)dash);
	*rest = dash < 0 ? STR_NONE : str_sub(*rest, (size_t)dash + 1, STR_REST);
	return true;
}

/* "trace-span", "trace-span-sampled", "trace-span-sampled-parent", or only
 * "sampled". */
static bool parse_b3(struct str text, struct b3 *b3)
{
	struct str part;

	*b3 = (struct b3){ .sampled = 0 };
	if (text.len == 1)
		return parse_sampled_char(text, &b3->sampled);
	if (!next_part(&text, &part) || (part.len != 16 && part.len != 32) ||
	    !parse_trace_id(part, b3) || !next_part(&text, &part) || part.len != 16 ||
	    !str_parse_hex64(part, &b3->span))
		return false;
	if (!next_part(&text, &part))
		return true;
	if (!parse_sampled_char(part, &b3->sampled))
		return false;
	if (!next_part(&text, &part))
		return true;
	b3->has_parent = true;
	return part.len == 16 && str_parse_hex64(part, &b3->parent) && !text.p;
}

static bool parse_sampled(struct str text, char *sampled)
{
	if (str_equal(text, STR("1")) || str_equal_nocase(text, STR("true")))
		*sampled = '1';
	else if (str_equal(text, STR("0")) || str_equal_nocase(text, STR("false")))
		*sampled = '0';
	return !text.len || *sampled;
}

/* The same from one field for each part. */
static bool parse_b3_fields(const struct exchange *x, struct b3 *b3)
{
	struct str parent = field(x, STR("X-B3-Parentspanid"));

	*b3 = (struct b3){ .has_parent = parent.len > 0 };
	if (!parse_sampled(field(x, STR("X-B3-Sampled")), &b3->sampled) ||
	    !parse_trace_id(field(x, STR("X-B3-Traceid")), b3) ||
	    !str_parse_hex64(field(x, STR("X-B3-Spanid")), &b3->span) ||
	    (b3->has_parent && !str_parse_hex64(parent, &b3->parent)))
		return false;
	if (str_equal(field(x, STR("X-B3-Flags")), STR("1")))
		b3->sampled = 'd';
	return true;
}

static void adopt_b3(struct exchange *x, const struct b3 *b3)
{
	struct str low = hex16(x, b3->low);

	adopt(x, b3->high ? arena_format(&x->arena, "%016llx%.*s", (unsigned long long)b3->high,
					 STR_ARG(low)) : low, hex16(x, b3->span));
}

/* Ids of zero are none: then only the sampling is said, if that. */
static struct str format_b3(struct exchange *x, const struct b3 *b3)
{
	char text[80], *to = text;

	if ((b3->high || b3->low) && b3->span)
		to += snprintf(to, 52, "%.*s-%.*s-", STR_ARG(x->trace_id), STR_ARG(x->span_id));
	if (b3->sampled) {
		*to++ = b3->sampled;
		*to++ = '-';
	}
	if (b3->has_parent)
		to += snprintf(to, 18, "%016llx-", (unsigned long long)b3->parent);
	return arena_copy(&x->arena, str_range(text, to > text ? to - 1 : to));
}

static void log_refused(const struct exchange *x, const char *name)
{
	static struct log_limit limit = { .per_second = 10 };
	uint64_t suppressed;

	if (log_limit_allows(&limit, &suppressed))
		log_info("trace-header-refused", "header=%s peer=%.*s suppressed=%llu", name,
			 STR_ARG(x->peer), (unsigned long long)suppressed);
}

static void set_own_b3(struct exchange *x)
{
	begin_trace(x);
	set_field(x, STR("X-B3-Traceid"), x->trace_id);
	set_field(x, STR("X-B3-Spanid"), x->span_id);
	set_field(x, STR("B3"), arena_format(&x->arena, "%.*s-%.*s", STR_ARG(x->trace_id),
					     STR_ARG(x->span_id)));
}

static void set_b3(struct exchange *x)
{
	struct str one = field(x, STR("B3"));
	struct b3 b3;

	if (one.len && parse_b3(one, &b3)) {
		adopt_b3(x, &b3);
		return;
	}
	if (one.len)
		log_refused(x, "b3");
	if (!field(x, STR("X-B3-Traceid")).len || !field(x, STR("X-B3-Spanid")).len) {
		set_own_b3(x);
	} else if (parse_b3_fields(x, &b3)) {
		adopt_b3(x, &b3);
		set_field(x, STR("B3"), format_b3(x, &b3));
	} else {
		log_refused(x, "x-b3");
	}
}

/* --- W3C trace context */

static bool is_hex_range(const char *text, unsigned from, unsigned to)
{
	for (; from < to; from++)
		if (!((text[from] >= '0' && text[from] <= '9') ||
		      (text[from] >= 'a' && text[from] <= 'f')))
			return false;
	return true;
}

/* Lower-cased into `out`.  As Gorouter reads it: what separates the parts, the
 * version and ids of zero are not looked at. */
static bool parse_traceparent(struct str text, char out[TRACEPARENT_LEN])
{
	text = str_trim(text);
	if (text.len != TRACEPARENT_LEN)
		return false;
	for (unsigned i = 0; i < TRACEPARENT_LEN; i++)
		out[i] = ascii_lower(text.p[i]);
	return is_hex_range(out, 0, 2) && is_hex_range(out, 3, 35) && is_hex_range(out, 36, 52) &&
	       is_hex_range(out, 53, 55);
}

static void set_traceparent(struct exchange *x, struct str trace, struct str parent,
			    struct str flags)
{
	set_field(x, STR("Traceparent"),
		  arena_format(&x->arena, "00-%.*s%.*s-%.*s-%.*s",
			       (int)(32 - trace.len), "00000000000000000000000000000000",
			       STR_ARG(trace), STR_ARG(parent), STR_ARG(flags)));
}

static struct str own_key(struct exchange *x)
{
	struct str tenant = str_of(x->proxy->settings->headers.w3c_tenant_id);

	return tenant.len ? arena_format(&x->arena, "%.*s@gorouter", STR_ARG(tenant)) :
			    STR("gorouter");
}

static char *append(char *to, struct str s)
{
	memcpy(to, s.p, s.len);
	return to + s.len;
}

/* Ours comes first; what others said stays, in their order. */
static void set_tracestate(struct exchange *x, struct str parent, struct str others)
{
	struct str key = own_key(x), item;
	char *text, *to;

	if (others.len > TRACESTATE_MAX)
		others = STR_NONE;
	text = arena_alloc(&x->arena, key.len + 1 + parent.len + 1 + others.len);
	to = append(append(append(text, key), STR("=")), parent);
	while (str_next_item(&others, ',', &item)) {
		ssize_t equals = str_find_char(item, '=');

		if (equals >= 0 && !str_equal(str_sub(item, 0, (size_t)equals), key))
			to = append(append(to, STR(",")), item);
	}
	set_field(x, STR("Tracestate"), str_range(text, to));
}

static void begin_trace_context(struct exchange *x)
{
	if (!x->trace_id.len)
		begin_trace(x);
	set_traceparent(x, x->trace_id, x->span_id, STR("01"));
	set_tracestate(x, x->span_id, STR_NONE);
}

static void continue_trace_context(struct exchange *x, const char *received)
{
	char *parent = arena_alloc(&x->arena, 16);
	struct str trace = { received + 3, 32 }, span = { parent, 16 };

	request_id_random_digits(parent);
	if (!x->trace_id.len)
		adopt(x, arena_copy(&x->arena, trace), span);
	set_traceparent(x, trace, span, (struct str){ received + 53, 2 });
	set_tracestate(x, span, field(x, STR("Tracestate")));
}

static void set_trace_context(struct exchange *x)
{
	char received[TRACEPARENT_LEN];

	if (parse_traceparent(field(x, STR("Traceparent")), received))
		continue_trace_context(x, received);
	else
		begin_trace_context(x);
}

bool step_set_trace(struct exchange *x)
{
	const struct header_settings *settings = &x->proxy->settings->headers;

	if (settings->enable_zipkin)
		set_b3(x);
	if (settings->enable_w3c)
		set_trace_context(x);
	set_request_id(x);
	return true;
}

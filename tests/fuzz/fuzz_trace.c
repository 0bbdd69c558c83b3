/*
 * tests/fuzz/fuzz_trace.c - any trace fields under any setting: what goes on to
 * the app is well formed, of bounded size, and agrees with the ids of our logs.
 * First byte: settings; then one field a line, its first byte says which.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/must.h"
#include "worker/proxy/steps.h"
#include "worker/proxy/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
	"b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags",
	"traceparent", "tracestate",
};

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isxdigit((unsigned char)s.p[i]) || isupper((unsigned char)s.p[i]))
			return false;
	return true;
}

static void fill(struct http_head *head, struct str lines)
{
	while (lines.len) {
		ssize_t end = str_find_char(lines, '\n');
		struct str line = str_sub(lines, 0, end < 0 ? STR_REST : (size_t)end);

		lines = end < 0 ? STR_NONE : str_sub(lines, (size_t)end + 1, STR_REST);
		if (line.len)
			http_head_add(head, str_of(names[(unsigned char)line.p[0] % 8]),
				      str_trim(str_sub(line, 1, STR_REST)));
	}
}

static void check_traceparent(struct exchange *x)
{
	struct str parent = http_head_find(&x->request, STR("Traceparent"));
	struct str state = http_head_find(&x->request, STR("Tracestate"));

	must(parent.len == 55 && str_has_prefix(parent, STR("00-")));
	must(is_hex(str_sub(parent, 3, 32)) && is_hex(str_sub(parent, 36, 16)) &&
	     is_hex(str_sub(parent, 53, 2)));
	must(str_has_prefix(state, STR("t@gorouter=")) && state.len <= 11 + 16 + 1 + 2048);
	must(str_equal(str_sub(state, 11, 16), str_sub(parent, 36, 16)));
}

static void check(struct exchange *x, const struct proxy_settings *settings)
{
	struct trace_ids ids;
	struct str trace, span;

	trace_ids(x, &ids);
	trace = str_of(ids.trace);
	span = str_of(ids.span);
	must((trace.len == 16 || trace.len == 32) && span.len == 16);
	must(is_hex(trace) && is_hex(span));
	must(strlen(x->request_id) == REQUEST_ID_SIZE - 1);
	if (settings->headers.enable_w3c)
		check_traceparent(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char tenant[] = "t", none[] = "";
	struct proxy_settings settings = { .headers = { .w3c_tenant_id = tenant, .trace_key = none } };
	struct proxy proxy = { .settings = &settings };
	struct exchange *x;

	if (!size)
		return 0;
	settings.headers.enable_zipkin = data[0] & 1;
	settings.headers.enable_w3c = data[0] & 2;
	x = mem_zalloc(sizeof(*x));
	x->proxy = &proxy;
	arena_init(&x->arena, x->block, sizeof(x->block));
	http_head_init(&x->request, &x->arena);
	fill(&x->request, (struct str){ (const char *)data + 1, size - 1 });
	must(step_set_trace(x));
	check(x, &settings);
	arena_fini(&x->arena);
	free(x);
	return 0;
}

/*
 * tests/fuzz/fuzz_cookie.c - any cookies of client and app under any setting: what
 * is taken for a cookie is one, our own is well formed, and reads back as written.
 * First byte: settings; then one field a line, its first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/must.h"
#include "worker/http/cookie.h"
#include "worker/proxy/steps.h"
#include "worker/proxy/sticky.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct str part, struct str whole)
{
	return !part.len || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static void check_texts(struct str name, struct str value, struct str whole)
{
	must(cookie_is_name(name) && is_within(name, whole) && is_within(value, whole));
	for (size_t i = 0; i < value.len; i++)
		must(value.p[i] >= 0x20 && value.p[i] < 0x7f && !strchr("\";\\", value.p[i]));
}

static void check_cookies(struct str field)
{
	struct str rest = field;
	struct cookie cookie;
	size_t left = rest.len;

	while (cookie_next(&rest, &cookie)) {
		check_texts(cookie.name, cookie.value, field);
		must(rest.len < left);
		left = rest.len;
	}
	must(!rest.len);
}

/* Printable, and no more attributes than were asked for. */
static void check_written(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		must(text.p[i] >= 0x20 && text.p[i] < 0x7f);
}

static void check_set_cookie(struct arena *arena, struct str field)
{
	struct set_cookie read, again;
	struct str written;

	if (!set_cookie_parse(field, &read))
		return;
	check_texts(read.name, read.value, field);
	written = set_cookie_format(arena, &read);
	check_written(written);
	must(set_cookie_parse(written, &again));
	must(str_equal(again.name, read.name) && str_equal(again.value, read.value));
	must(again.is_secure == read.is_secure && again.is_partitioned == read.is_partitioned);
	must(again.same_site == read.same_site);
	must(again.has_max_age == read.has_max_age && again.max_age_s == read.max_age_s);
	must(!again.has_expires || again.expires_s == read.expires_s);
}

static void add_line(struct exchange *x, struct str line)
{
	static const struct { const char *name; bool is_answer; } fields[] = {
		{ "Cookie", false }, { "Set-Cookie", true }, { "Authorization", false },
		{ "Www-Authenticate", true },
	};
	size_t i = line.len ? (unsigned char)line.p[0] % 4 : 0;
	struct str value = str_trim(str_sub(line, 1, STR_REST));

	if (!line.len)
		return;
	http_head_add(fields[i].is_answer ? &x->response : &x->request, str_of(fields[i].name), value);
	check_cookies(value);
	check_set_cookie(&x->arena, value);
}

static void fill(struct exchange *x, struct str lines)
{
	while (lines.len) {
		ssize_t end = str_find_char(lines, '\n');

		add_line(x, str_sub(lines, 0, end < 0 ? STR_REST : (size_t)end));
		lines = end < 0 ? STR_NONE : str_sub(lines, (size_t)end + 1, STR_REST);
	}
}

/* One cookie of ours at most, at the end, and it says who answered. */
static void check_answer(struct exchange *x, unsigned count_before)
{
	struct set_cookie cookie;

	must(x->response.count <= count_before + 1);
	if (x->response.count == count_before)
		return;
	check_written(x->response.fields[count_before].value);
	must(set_cookie_parse(x->response.fields[count_before].value, &cookie));
	must(str_equal(cookie.name, STR("__VCAP_ID__")) && str_equal(cookie.value, STR("here")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char session[] = "JSESSIONID", other[] = "s", *names[] = { session, other };
	struct proxy_settings settings = {
		.headers.sticky_session_cookie_names = { names, 2 },
	};
	struct proxy proxy = { .settings = &settings };
	struct exchange *x;
	unsigned count;

	if (!size)
		return 0;
	settings.headers.sticky_sessions_for_auth_negotiate = data[0] & 1;
	settings.headers.secure_cookies = data[0] & 2;
	x = mem_zalloc(sizeof(*x));
	x->proxy = &proxy;
	arena_init(&x->arena, x->block, sizeof(x->block));
	http_head_init(&x->request, &x->arena);
	http_head_init(&x->response, &x->arena);
	x->request.target = STR("/");
	x->endpoint.instance_id = STR("here");
	fill(x, (struct str){ (const char *)data + 1, size - 1 });
	must(step_want_sticky(x));
	must(!x->wish.must_stick || x->wish.sticky_id.len);
	count = x->response.count;
	sticky_set_cookie(x);
	check_answer(x, count);
	arena_fini(&x->arena);
	free(x);
	return 0;
}

/*
 * tests/fuzz/fuzz_hop_by_hop.c - any fields, whatever Connection says of them: no
 * field of one connection goes on, and none that the next hop trusts is lost.
 * One field a line, "name: value"; what the parser would refuse is left out.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/must.h"
#include "worker/proxy/steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const ended[] = {
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Transfer-Encoding", "Upgrade", "Trailer",
};
static char *trusted[] = { (char *)"X-Trusted", (char *)"X-Forwarded-For" };

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-')
			return false;
	return s.len > 0;
}

static void fill(struct http_head *head, struct str lines)
{
	struct str line;

	while (str_next_item(&lines, '\n', &line)) {
		ssize_t colon = str_find_char(line, ':');
		struct str name = colon < 0 ? STR_NONE : str_sub(line, 0, (size_t)colon);

		if (is_token(name))
			http_head_add(head, name, str_trim(str_sub(line, name.len + 1, STR_REST)));
	}
}

static unsigned count(const struct http_head *head, const char *name)
{
	unsigned at = 0, n = 0;

	while (http_head_next(head, str_of(name), &at))
		n++;
	return n;
}

static void check(const struct http_head *head, const unsigned *before)
{
	for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
		must(!count(head, ended[i]));
	for (size_t i = 0; i < ARRAY_SIZE(trusted); i++)
		must(count(head, trusted[i]) == before[i]);
	must(count(head, "Te") <= 1);
}

/* A request with more options than are looked at is answered, which needs a
 * connection; here it only has fewer. */
static bool has_few_options(const struct http_head *head)
{
	return http_head_join(head, STR("Connection")).len < 60;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_settings settings = { .headers.hop_by_hop_headers_to_filter = {
		trusted, ARRAY_SIZE(trusted) } };
	struct proxy proxy = { .settings = &settings };
	struct exchange *x = mem_zalloc(sizeof(*x));
	struct str lines = { (const char *)data, size };
	unsigned before[ARRAY_SIZE(trusted)];

	x->proxy = &proxy;
	arena_init(&x->arena, x->block, sizeof(x->block));
	http_head_init(&x->request, &x->arena);
	http_head_init(&x->response, &x->arena);
	fill(&x->request, lines);
	fill(&x->response, lines);
	for (size_t i = 0; i < ARRAY_SIZE(trusted); i++)
		before[i] = count(&x->request, trusted[i]);
	if (has_few_options(&x->request)) {
		must(step_strip_hop_by_hop(x));
		check(&x->request, before);
	}
	if (step_strip_response(&x->response))
		for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
			must(!count(&x->response, ended[i]));
	arena_fini(&x->arena);
	free(x);
	return 0;
}

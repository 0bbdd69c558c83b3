/*
 * tests/unit/proxy/test_verdict.c - what each failure means, and its words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "counters.h"
#include "proxy/verdict.h"

static void every_failure_has_a_name_of_its_own_an_answer_and_words(void **state)
{
	const struct failure_facts nothing = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, NULL, 0);
	for (int i = 0; i < FAIL_COUNT; i++) {
		const struct verdict *v = verdict_of((enum failure)i);

		assert_non_null(v->name);
		assert_true(v->status >= 400 && v->status < 600);
		assert_int_equal(atoi(v->body), v->status);
		assert_true(v->counter >= -1 && v->counter < COUNTER_COUNT);
		assert_true(verdict_describe(&arena, (enum failure)i, &nothing).len > 0);
		for (int other = 0; other < i; other++)
			assert_string_not_equal(v->name, verdict_of((enum failure)other)->name);
	}
	arena_fini(&arena);
}

static void only_what_cannot_have_been_acted_upon_is_always_tried_again(void **state)
{
	static const enum failure always[] = {
		FAIL_CONNECT, FAIL_CONNECT_TIMEOUT, FAIL_RESOLVE, FAIL_LOCAL,
	};
	static const enum failure if_replayable[] = {
		FAIL_STALE, FAIL_RESET_BEFORE_HEAD, FAIL_EOF_BEFORE_HEAD, FAIL_WRITE,
	};
	bool may[FAIL_COUNT] = { false };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
		assert_true(verdict_allows_retry(always[i], false));
		may[always[i]] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(if_replayable); i++) {
		assert_false(verdict_allows_retry(if_replayable[i], false));
		assert_true(verdict_allows_retry(if_replayable[i], true));
		may[if_replayable[i]] = true;
	}
	for (int i = 0; i < FAIL_COUNT; i++)
		assert_int_equal(verdict_allows_retry((enum failure)i, true), may[i]);
}

static void an_endpoint_is_blamed_for_what_it_did_only(void **state)
{
	static const enum failure its_own[] = {
		FAIL_CONNECT, FAIL_CONNECT_TIMEOUT, FAIL_RESOLVE, FAIL_RESET_BEFORE_HEAD,
	};

	(void)state;
	for (int i = 0; i < FAIL_COUNT; i++) {
		bool is_its_own = false;

		for (size_t k = 0; k < ARRAY_SIZE(its_own); k++)
			is_its_own |= its_own[k] == (enum failure)i;
		assert_int_equal(verdict_of((enum failure)i)->mark == MARK_FAILED, is_its_own);
	}
}

static void failures_are_described_in_the_words_operators_search_for(void **state)
{
	static const struct {
		enum failure failure;
		int error;
		const char *detail, *text;
	} cases[] = {
		{ FAIL_CONNECT, ECONNREFUSED, NULL,
		  "dial tcp 10.0.0.1:8080: connect: connection refused" },
		{ FAIL_CONNECT, EHOSTUNREACH, NULL, "dial tcp 10.0.0.1:8080: connect: no route to host" },
		{ FAIL_CONNECT, ENETUNREACH, NULL,
		  "dial tcp 10.0.0.1:8080: connect: network is unreachable" },
		{ FAIL_CONNECT, ETIMEDOUT, NULL, "dial tcp 10.0.0.1:8080: connect: connection timed out" },
		{ FAIL_LOCAL, EADDRNOTAVAIL, NULL,
		  "dial tcp 10.0.0.1:8080: connect: cannot assign requested address" },
		{ FAIL_LOCAL, EMFILE, NULL, "dial tcp 10.0.0.1:8080: socket: too many open files" },
		{ FAIL_CONNECT_TIMEOUT, 0, NULL, "dial tcp 10.0.0.1:8080: i/o timeout" },
		{ FAIL_RESOLVE, ENOENT, NULL, "dial tcp: lookup app.internal: no such host" },
		{ FAIL_RESOLVE, ETIMEDOUT, NULL, "dial tcp: lookup app.internal: i/o timeout" },
		{ FAIL_STALE, 0, NULL, "http: server closed idle connection" },
		{ FAIL_EOF_BEFORE_HEAD, 0, NULL, "EOF" },
		{ FAIL_RESET_BEFORE_HEAD, ECONNRESET, NULL,
		  "read tcp 127.0.0.1:4000->10.0.0.1:8080: read: connection reset by peer" },
		{ FAIL_WRITE, EPIPE, NULL,
		  "write tcp 127.0.0.1:4000->10.0.0.1:8080: write: broken pipe" },
		{ FAIL_TRUNCATED_HEAD, 0, NULL, "unexpected EOF" },
		{ FAIL_BAD_RESPONSE, 0, "malformed HTTP response \"x\"",
		  "net/http: HTTP/1.x transport connection broken: malformed HTTP response \"x\"" },
		{ FAIL_RESPONSE_TIMEOUT, 0, NULL, "context deadline exceeded" },
		{ FAIL_CLIENT_GONE, 0, NULL, "context canceled" },
		{ FAIL_NO_ENDPOINT, 0, NULL, "No endpoints available" },
	};
	struct addr local, remote;
	struct arena arena;

	(void)state;
	assert_true(addr_from_ip(STR("127.0.0.1"), 4000, &local));
	assert_true(addr_from_ip(STR("10.0.0.1"), 8080, &remote));
	arena_init(&arena, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct failure_facts facts = {
			.error = cases[i].error, .backend = "10.0.0.1:8080", .local = &local,
			.remote = &remote, .detail = cases[i].detail, .host_name = STR("app.internal"),
		};
		struct str text = verdict_describe(&arena, cases[i].failure, &facts);

		assert_int_equal(text.len, strlen(cases[i].text));
		assert_memory_equal(text.p, cases[i].text, text.len);
	}
	arena_fini(&arena);
}

static void a_description_is_short_and_printable_whatever_the_peer_sent(void **state)
{
	struct failure_facts facts = { 0 };
	char hostile[1000];
	struct arena arena;
	struct str text;

	(void)state;
	for (size_t i = 0; i < sizeof(hostile) - 1; i++)
		hostile[i] = (char)(i % 255 + 1);
	hostile[sizeof(hostile) - 1] = '\0';
	facts.detail = facts.backend = hostile;
	facts.host_name = str_of(hostile);
	arena_init(&arena, NULL, 0);
	for (int i = 0; i < FAIL_COUNT; i++) {
		text = verdict_describe(&arena, (enum failure)i, &facts);
		assert_true(text.len <= 256);
		for (size_t k = 0; k < text.len; k++)
			assert_true(text.p[k] >= ' ' && text.p[k] <= '~');
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_has_a_name_of_its_own_an_answer_and_words),
		cmocka_unit_test(only_what_cannot_have_been_acted_upon_is_always_tried_again),
		cmocka_unit_test(an_endpoint_is_blamed_for_what_it_did_only),
		cmocka_unit_test(failures_are_described_in_the_words_operators_search_for),
		cmocka_unit_test(a_description_is_short_and_printable_whatever_the_peer_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/proxy/test_verdict.c - what each failure means, and its words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
		if (v->body && v->body[0])
			assert_int_equal(atoi(v->body), v->status);
		/* whoever refuses writes the body; the header tells which row it is, but
		 * for an instance that its route does not have */
		if (!v->body && i != FAIL_NO_INSTANCE)
			assert_int_equal(verdict_of_refusal(str_of(v->router_error)), i);
		assert_true(v->counter >= -1 && v->counter < COUNTER_COUNT);
		assert_true(verdict_describe(&arena, (enum failure)i, &nothing).len > 0);
		for (int other = 0; other < i; other++)
			assert_string_not_equal(v->name, verdict_of((enum failure)other)->name);
	}
	arena_fini(&arena);
}

#define ALL_ON 0xffu

static void only_what_cannot_have_been_acted_upon_is_always_tried_again(void **state)
{
	static const enum failure always[] = {
		FAIL_CONNECT, FAIL_CONNECT_TIMEOUT, FAIL_RESOLVE, FAIL_LOCAL, FAIL_TLS_NOT_TLS,
		FAIL_TLS_NAME, FAIL_TLS_UNTRUSTED, FAIL_TLS_EXPIRED, FAIL_TLS_REFUSED_BY_PEER,
		FAIL_TLS_HANDSHAKE, FAIL_TLS_TIMEOUT, FAIL_TLS_RESET, FAIL_REFUSED_STREAM,
	};
	static const enum failure if_replayable[] = {
		FAIL_STALE, FAIL_RESET_BEFORE_HEAD, FAIL_EOF_BEFORE_HEAD, FAIL_WRITE,
		FAIL_TRY_TIMEOUT,
	};
	bool may[FAIL_COUNT] = { false };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
		assert_true(verdict_allows_retry(always[i], ALL_ON, false, false));
		may[always[i]] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(if_replayable); i++) {
		assert_false(verdict_allows_retry(if_replayable[i], ALL_ON, false, false));
		assert_true(verdict_allows_retry(if_replayable[i], ALL_ON, true, false));
		assert_true(verdict_allows_retry(if_replayable[i], ALL_ON, false, true));
		may[if_replayable[i]] = true;
	}
	for (int i = 0; i < FAIL_COUNT; i++) {
		assert_int_equal(verdict_allows_retry((enum failure)i, ALL_ON, true, true), may[i]);
		assert_false(verdict_allows_retry((enum failure)i, ON_NOTHING, true, true));
	}
}

/* What the words mean, in Envoy's manner: 5xx and gateway-error take in the rest. */
static void only_what_operators_allow_is_tried_again(void **state)
{
	static const struct {
		enum failure failure;
		unsigned on;
		bool is_untouched, allows;
	} cases[] = {
		{ FAIL_CONNECT,           ON_CONNECT_FAILURE,      false, true  },
		{ FAIL_CONNECT,           ON_TLS_FAILURE,          false, false },
		{ FAIL_CONNECT,           ON_RESET,                false, false },
		{ FAIL_CONNECT,           ON_5XX,                  false, true  },
		{ FAIL_CONNECT,           ON_GATEWAY_ERROR,        false, true  },
		{ FAIL_CONNECT,           ON_STATUS_CODES,         false, false },
		{ FAIL_TLS_NAME,          ON_TLS_FAILURE,          false, true  },
		{ FAIL_TLS_NAME,          ON_CONNECT_FAILURE,      false, false },
		{ FAIL_RESET_BEFORE_HEAD, ON_RESET,                false, true  },
		{ FAIL_RESET_BEFORE_HEAD, ON_RESET_BEFORE_REQUEST, false, false },
		{ FAIL_RESET_BEFORE_HEAD, ON_RESET_BEFORE_REQUEST, true,  true  },
		{ FAIL_WRITE,             ON_RESET_BEFORE_REQUEST, true,  true  },
		{ FAIL_REFUSED_STREAM,    ON_REFUSED_STREAM,       false, true  },
		{ FAIL_REFUSED_STREAM,    ON_RESET_BEFORE_REQUEST, true,  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (verdict_allows_retry(cases[i].failure, cases[i].on, cases[i].is_untouched,
					 true) != cases[i].allows)
			fail_msg("case %zu", i);
}

static void an_answer_is_tried_again_for_its_status_alone(void **state)
{
	static const uint16_t codes[] = { 429, 503 };
	static const struct { unsigned status, on; bool is_retriable; } cases[] = {
		{ 200, ALL_ON,           false }, { 404, ALL_ON,           false },
		{ 429, ON_STATUS_CODES,  true  }, { 429, ON_5XX,           false },
		{ 500, ON_5XX,           true  }, { 500, ON_GATEWAY_ERROR, false },
		{ 501, ON_GATEWAY_ERROR, false }, { 502, ON_GATEWAY_ERROR, true  },
		{ 504, ON_GATEWAY_ERROR, true  }, { 505, ON_GATEWAY_ERROR, false },
		{ 599, ON_5XX,           true  }, { 600, ON_5XX,           false },
		{ 503, ON_STATUS_CODES,  true  }, { 503, ON_RESET,         false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (verdict_is_retriable_status(cases[i].status, cases[i].on, codes, 2) !=
		    cases[i].is_retriable)
			fail_msg("case %zu", i);
}

/* Spec control W3: what may be our own fault removes nothing. */
static void an_endpoint_is_blamed_for_what_it_did_only(void **state)
{
	static const enum failure prunes[] = {
		FAIL_CONNECT, FAIL_CONNECT_TIMEOUT, FAIL_TLS_NOT_TLS, FAIL_TLS_NAME, FAIL_TLS_TIMEOUT,
	};
	static const enum failure marks[] = {
		FAIL_RESOLVE, FAIL_RESET_BEFORE_HEAD, FAIL_TLS_UNTRUSTED, FAIL_TLS_EXPIRED,
		FAIL_TLS_REFUSED_BY_PEER, FAIL_TLS_HANDSHAKE, FAIL_TLS_RESET,
	};
	enum verdict_mark expected[FAIL_COUNT] = { MARK_NONE };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(prunes); k++)
		expected[prunes[k]] = MARK_PRUNE;
	for (size_t k = 0; k < ARRAY_SIZE(marks); k++)
		expected[marks[k]] = MARK_FAILED;
	for (int i = 0; i < FAIL_COUNT; i++)
		assert_int_equal(verdict_of((enum failure)i)->mark, expected[i]);
}

/* Spec proxy section 9. */
static void failures_of_tls_have_gorouters_answers(void **state)
{
	static const struct { enum failure failure; const char *body; int counter; } cases[] = {
		{ FAIL_TLS_NOT_TLS,   "525 SSL Handshake Failed", COUNTER_backend_tls_handshake_failed },
		{ FAIL_TLS_NAME,      "503 Service Unavailable", COUNTER_backend_invalid_id },
		{ FAIL_TLS_UNTRUSTED, "526 Invalid SSL Certificate", COUNTER_backend_invalid_tls_cert },
		{ FAIL_TLS_EXPIRED,   "526 Invalid SSL Certificate", COUNTER_backend_invalid_tls_cert },
		{ FAIL_TLS_REFUSED_BY_PEER, "496 SSL Certificate Required", -1 },
		{ FAIL_TLS_HANDSHAKE, "525 SSL Handshake Failed", COUNTER_backend_tls_handshake_failed },
		{ FAIL_TLS_TIMEOUT,
		  "502 Bad Gateway: Registered endpoint failed to handle the request.",
		  COUNTER_bad_gateways },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(verdict_of(cases[i].failure)->body, cases[i].body);
		assert_int_equal(verdict_of(cases[i].failure)->counter, cases[i].counter);
	}
}

/* One line of the table in README.md, up to its free words. */
static void format_row(enum failure failure, char *out, size_t cap)
{
	static const char *const retries[] = { "never", "if safe", "yes" };
	static const char *const endpoint[] = { "-", "avoided", "removed" };
	const struct verdict *v = verdict_of(failure);

	snprintf(out, cap, "\n| `%s` | %u | %s | `%s` | %s | %s | %s | ", verdict_code(failure),
		 v->status, v->error,
		 !v->router_error ? "endpoint_failure (...)" :
		 v->router_error[0] ? v->router_error : "-",
		 retry_on_name((enum retry_on)v->on), retries[v->retry], endpoint[v->mark]);
}

static void the_table_that_operators_read_is_this_one(void **state)
{
	char *text = mem_zalloc(1 << 20), row[300];
	FILE *file = fopen("README.md", "r");
	int rows = 0;

	(void)state;
	assert_non_null(file);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	for (int i = 1; i < FAIL_COUNT; i++) {
		format_row((enum failure)i, row, sizeof(row));
		if (!strstr(text, row))
			fail_msg("README.md has no line%s", row);
	}
	for (char *at = text; (at = strstr(at, "\n| `")) != NULL; at++)
		rows += at[5] >= 'A' && at[5] <= 'Z';
	assert_int_equal(rows, FAIL_COUNT - 1);
	free(text);
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
		{ FAIL_TLS_NOT_TLS, 0, NULL, "tls: first record does not look like a TLS handshake" },
		{ FAIL_TLS_NAME, 0, "certificate is valid for a, not b",
		  "tls: failed to verify certificate: x509: certificate is valid for a, not b" },
		{ FAIL_TLS_UNTRUSTED, 0, NULL, "tls: failed to verify certificate: x509: "
		  "certificate signed by unknown authority" },
		{ FAIL_TLS_EXPIRED, 0, "tls: failed to verify certificate: x509: whole",
		  "tls: failed to verify certificate: x509: whole" },
		{ FAIL_TLS_REFUSED_BY_PEER, 0, "remote error: tls: certificate required",
		  "remote error: tls: certificate required" },
		{ FAIL_TLS_HANDSHAKE, 0, NULL, "remote error: tls: handshake failure" },
		{ FAIL_TLS_TIMEOUT, 0, NULL, "net/http: TLS handshake timeout" },
		{ FAIL_TLS_RESET, ECONNRESET, NULL,
		  "read tcp 127.0.0.1:4000->10.0.0.1:8080: read: connection reset by peer" },
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
		cmocka_unit_test(only_what_operators_allow_is_tried_again),
		cmocka_unit_test(an_answer_is_tried_again_for_its_status_alone),
		cmocka_unit_test(failures_of_tls_have_gorouters_answers),
		cmocka_unit_test(the_table_that_operators_read_is_this_one),
		cmocka_unit_test(an_endpoint_is_blamed_for_what_it_did_only),
		cmocka_unit_test(failures_are_described_in_the_words_operators_search_for),
		cmocka_unit_test(a_description_is_short_and_printable_whatever_the_peer_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

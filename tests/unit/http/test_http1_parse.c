/*
 * tests/unit/http/test_http1_parse.c - what the HTTP/1 parser accepts and
 * refuses, case by case (spec proxy sections 2 and 11.1).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "http/http1_parse.h"

#define HOST "Host: a.example\r\n"

/* A head parsed from a copy of its own, so that the sanitizer sees its ends. */
struct parsed {
	struct arena arena;
	struct http_head head;
	struct http1_fault fault;
	char *bytes;
	bool is_good;
};

static struct parsed *parse(const char *text, bool is_response, const char *method)
{
	struct parsed *p = calloc(1, sizeof(*p));
	size_t length = strlen(text), scanned = 0;

	assert_int_equal(http1_head_length(str_of(text), &scanned), length);
	arena_init(&p->arena, NULL, 0);
	http_head_init(&p->head, &p->arena);
	p->bytes = malloc(length);
	memcpy(p->bytes, text, length);
	if (is_response)
		p->is_good = http1_parse_response(p->bytes, length, str_of(method), &p->head,
						  &p->fault);
	else
		p->is_good = http1_parse_request(p->bytes, length, &p->head, &p->fault);
	return p;
}

static void done(struct parsed *p)
{
	arena_fini(&p->arena);
	free(p->bytes);
	free(p);
}

static void assert_str(struct str s, const char *expected)
{
	if (!str_equal(s, str_of(expected)))
		fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(s), expected);
}

static void requests_that_gorouter_accepts_are_accepted(void **state)
{
	static const struct { const char *text, *method, *target, *authority; } cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "a.example" },
		{ "GET / HTTP/1.1\nHost: a.example\n\n", "GET", "/", "a.example" },
		{ "FOO! /x?y HTTP/1.1\r\n" HOST "\r\n", "FOO!", "/x?y", "a.example" },
		{ "get / HTTP/1.0\r\n\r\n", "get", "/", "" },
		{ "GET / HTTP/1.7\r\n" HOST "\r\n", "GET", "/", "a.example" },
		{ "GET http://b.example/p HTTP/1.1\r\n" HOST "\r\n", "GET", "http://b.example/p", "b.example" },
		{ "GET ftp://u:p@b.example:8/p HTTP/1.1\r\n" HOST "\r\n",
		  "GET", "ftp://u:p@b.example:8/p", "b.example:8" },
		{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", "a.example" },
		{ "CONNECT b.example:443 HTTP/1.1\r\n\r\n", "CONNECT", "b.example:443", "b.example:443" },
		{ "PRI * HTTP/2.0\r\n\r\n", "PRI", "*", "" },
		{ "GET /\"^<|#\xe9 HTTP/1.1\r\n" HOST "\r\n", "GET", "/\"^<|#\xe9", "a.example" },
		{ "GET /a?%zz HTTP/1.1\r\n" HOST "\r\n", "GET", "/a?%zz", "a.example" },
		{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", "" },
		{ "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET", "/", "[::1]:80" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed *p = parse(cases[i].text, false, NULL);

		if (!p->is_good)
			fail_msg("refused: %s", cases[i].text);
		assert_str(p->head.method, cases[i].method);
		assert_str(p->head.target, cases[i].target);
		assert_str(p->head.authority, cases[i].authority);
		done(p);
	}
}

static void requests_that_are_malformed_get_their_status_and_words(void **state)
{
	static const struct { const char *text; unsigned status; const char *words; } cases[] = {
		{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "" },
		{ "GET /\r\n" HOST "\r\n", 400, "" },
		{ "GET / http/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET / HTTP/11\r\n" HOST "\r\n", 400, "" },
		{ "GET / HTTP/0.9\r\n" HOST "\r\n", 505, "unsupported protocol version" },
		{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505, "unsupported protocol version" },
		{ "G@T / HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET foo HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET /%zz HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET /%4 HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\n\r\n", 400, "missing required Host header" },
		{ "GET http://b/ HTTP/1.1\r\n\r\n", 400, "missing required Host header" },
		{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "malformed Host header" },
		{ "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "malformed Host header" },
		{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host header" },
		{ "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\n" HOST ": v\r\n\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\n" HOST "X-A : v\r\n\r\n", 400, "invalid header name" },
		{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", 400, "invalid header name" },
		{ "GET / HTTP/1.1\r\n" HOST "X\xe9: v\r\n\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\n X: v\r\n" HOST "\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\n" HOST "X: a\x0b\r\n\r\n", 400, "" },
		{ "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +4\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x4\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 4, 4\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n", 400, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
		  501, "Unsupported transfer encoding" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n", 501, "Unsupported transfer encoding" },
		{ "POST / HTTP/1.1\r\n" HOST "Trailer: X, Content-Length\r\n\r\n", 400, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed *p = parse(cases[i].text, false, NULL);

		if (p->is_good || p->fault.status != cases[i].status)
			fail_msg("good=%d status=%u: %s", p->is_good, p->fault.status, cases[i].text);
		assert_string_equal(p->fault.words.text, cases[i].words);
		done(p);
	}
}

static void the_body_of_a_request_is_framed_by_its_fields(void **state)
{
	static const struct { const char *fields; enum http_body body; uint64_t length; } cases[] = {
		{ "", BODY_NONE, 0 },
		{ "Content-Length: 007\r\n", BODY_LENGTH, 7 },
		{ "Content-Length: 0\r\n", BODY_LENGTH, 0 },
		{ "Content-Length: 4\r\nContent-Length: 4\r\n", BODY_LENGTH, 4 },
		{ "Transfer-Encoding: CHUNKED\r\n", BODY_CHUNKED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[256];
		struct parsed *p;

		snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST "%s\r\n", cases[i].fields);
		p = parse(text, false, NULL);
		assert_true(p->is_good);
		assert_int_equal(p->head.body, cases[i].body);
		assert_int_equal(p->head.content_length, cases[i].length);
		assert_false(http_head_has(&p->head, STR("content-length")));
		assert_false(http_head_has(&p->head, STR("transfer-encoding")));
		done(p);
	}
}

static void folded_lines_are_joined_with_one_space(void **state)
{
	struct parsed *p = parse("GET / HTTP/1.1\r\n" HOST "X: a \r\n \t b\r\n  c\r\nY: d\r\n\r\n",
				 false, NULL);

	(void)state;
	assert_true(p->is_good);
	assert_str(http_head_find(&p->head, STR("x")), "a b c");
	assert_str(http_head_find(&p->head, STR("y")), "d");
	done(p);
}

static void keep_alive_follows_version_and_connection(void **state)
{
	static const struct { const char *text; bool keeps; } cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", true },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
		{ "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed *p = parse(cases[i].text, false, NULL);

		assert_true(p->is_good);
		assert_int_equal(p->head.keeps_alive, cases[i].keeps);
		done(p);
	}
}

static void responses_are_read_as_gorouter_reads_them(void **state)
{
	static const struct { const char *text, *method; unsigned status; enum http_body body; } cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "GET", 200, BODY_LENGTH },
		{ "HTTP/1.0 200\n\n", "GET", 200, BODY_UNTIL_CLOSE },
		{ "HTTP/2.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", 200, BODY_CHUNKED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n", "GET", 200, BODY_CHUNKED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", 200, BODY_NONE },
		{ "HTTP/1.1 204 No\r\n\r\n", "GET", 204, BODY_NONE },
		{ "HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", "GET", 304, BODY_NONE },
		{ "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "GET", 103, BODY_NONE },
		{ "HTTP/1.1 999 odd\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n", "GET", 999, BODY_LENGTH },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed *p = parse(cases[i].text, true, cases[i].method);

		if (!p->is_good)
			fail_msg("refused (%s): %s", p->fault.words.text, cases[i].text);
		assert_int_equal(p->head.status, cases[i].status);
		assert_int_equal(p->head.body, cases[i].body);
		done(p);
	}
}

static void malformed_responses_say_what_was_wrong(void **state)
{
	static const struct { const char *text, *words; } cases[] = {
		{ "garbage\r\n\r\n", "malformed HTTP response \"garbage\"" },
		{ "HTTP/1.1 abc OK\r\n\r\n", "malformed HTTP status code \"abc\"" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "malformed HTTP status code \"2000\"" },
		{ "HTTP/1.1 099 OK\r\n\r\n", "malformed HTTP status code \"099\"" },
		{ "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed MIME header: missing colon: \"no colon\"" },
		{ "HTTP/1.1 200 OK\r\nX: a\x01\r\n\r\n", "malformed MIME header line: X: a\x01" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "unsupported transfer encoding: \"gzip\"" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		  "http: message cannot contain multiple Content-Length headers; got [\"1\" \"2\"]" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\nContent-Length: x\r\n\r\n",
		  "bad Content-Length \"x\"" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "too many transfer encodings: [\"chunked\" \"chunked\"]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed *p = parse(cases[i].text, true, "GET");

		assert_false(p->is_good);
		assert_string_equal(p->fault.words.text, cases[i].words);
		done(p);
	}
}

static void the_end_of_a_head_is_found_however_it_arrives(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
	size_t head = sizeof(text) - 1 - 4, scanned = 0;

	(void)state;
	for (size_t n = 0; n < head; n++)
		assert_int_equal(http1_head_length((struct str){ text, n }, &scanned), 0);
	assert_int_equal(http1_head_length((struct str){ text, sizeof(text) - 1 }, &scanned), head);
	scanned = 0;
	assert_int_equal(http1_head_length(STR("A\nB\n\nrest"), &scanned), 5);
}

static void chunk_framing_is_strict(void **state)
{
	static const struct { const char *text, *why; } bad[] = {
		{ "zz\r\n", "invalid byte in chunk length" },
		{ "0x3\r\n", "invalid byte in chunk length" },
		{ "-3\r\n", "invalid byte in chunk length" },
		{ " 3\r\n", "invalid byte in chunk length" },
		{ "\r\n", "empty hex number for chunk length" },
		{ "3\n", "malformed chunked encoding" },
		{ "00000000000000003\r\n", "http chunk length too large" },
	};
	struct http1_chunks chunks;
	struct reason why;
	size_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		chunks = (struct http1_chunks){ 0 };
		assert_int_equal(http1_parse_chunk(str_of(bad[i].text), &chunks, &used, &why), CHUNK_BAD);
		assert_string_equal(why.text, bad[i].why);
	}
	chunks = (struct http1_chunks){ 0 };
	assert_int_equal(http1_parse_chunk(STR("5 \t;ext=1"), &chunks, &used, &why), CHUNK_MORE);
	assert_int_equal(http1_parse_chunk(STR("5 ;ext=1\r\nhello"), &chunks, &used, &why), CHUNK_DATA);
	assert_int_equal(used, 10);
	assert_int_equal(chunks.left, 5);
	chunks.left = 0;              /* the caller passed the data on */
	assert_int_equal(http1_parse_chunk(STR("\r"), &chunks, &used, &why), CHUNK_MORE);
	assert_int_equal(http1_parse_chunk(STR("\r\n0\r\n\r\n"), &chunks, &used, &why), CHUNK_LAST);
	assert_int_equal(used, 5);
	chunks = (struct http1_chunks){ .needs_end_of_data = true };
	assert_int_equal(http1_parse_chunk(STR("xx"), &chunks, &used, &why), CHUNK_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_that_gorouter_accepts_are_accepted),
		cmocka_unit_test(requests_that_are_malformed_get_their_status_and_words),
		cmocka_unit_test(the_body_of_a_request_is_framed_by_its_fields),
		cmocka_unit_test(folded_lines_are_joined_with_one_space),
		cmocka_unit_test(keep_alive_follows_version_and_connection),
		cmocka_unit_test(responses_are_read_as_gorouter_reads_them),
		cmocka_unit_test(malformed_responses_say_what_was_wrong),
		cmocka_unit_test(the_end_of_a_head_is_found_however_it_arrives),
		cmocka_unit_test(chunk_framing_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

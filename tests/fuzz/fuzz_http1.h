/*
 * tests/fuzz/fuzz_http1.h - what the fuzzers of HTTP/1 heads have in common: a
 * head from a copy of its own, so that reading past its end is seen.
 */
#ifndef TESTS_FUZZ_HTTP1_H
#define TESTS_FUZZ_HTTP1_H

#include <stdlib.h>

#include "base/must.h"
#include "http/http1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef bool fuzz_parse_fn(char *bytes, size_t length, struct http_head *head,
			   struct http1_fault *fault);

/* Finds the head, parses it, and checks what holds for every accepted one. */
static inline void fuzz_head(const uint8_t *data, size_t size, fuzz_parse_fn *parse)
{
	struct str bytes = { (const char *)data, size };
	struct http1_fault fault = { 0 };
	struct http_head head;
	struct arena arena;
	size_t scanned = 0, length = http1_head_length(bytes, &scanned);
	char *copy;

	if (!length)
		return;
	must(length <= size);
	copy = malloc(length);
	memcpy(copy, data, length);
	arena_init(&arena, NULL, 0);
	http_head_init(&head, &arena);
	if (parse(copy, length, &head, &fault)) {
		for (unsigned i = 0; i < head.count; i++) {
			must(head.fields[i].name.len > 0);
			must(str_find_char(head.fields[i].value, '\n') < 0);
			must(str_find_char(head.fields[i].value, '\r') < 0);
		}
		must(!http_head_has(&head, STR("Transfer-Encoding")));
		must(!http_head_has(&head, STR("Content-Length")));
	} else {
		must(fault.status >= 400);
	}
	arena_fini(&arena);
	free(copy);
}

#endif

/*
 * tests/fuzz/fuzz_response_head.c - response heads as tenants may send them.
 */
#include "fuzz_http1.h"

static bool parse_get(char *bytes, size_t length, struct http_head *head,
		      struct http1_fault *fault)
{
	return http1_parse_response(bytes, length, STR("GET"), head, fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_head(data, size, parse_get);
	return 0;
}

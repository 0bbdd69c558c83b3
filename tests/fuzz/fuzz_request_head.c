/*
 * tests/fuzz/fuzz_request_head.c - request heads as clients may send them.
 */
#include "fuzz_http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_head(data, size, http1_parse_request);
	return 0;
}

/*
 * tests/fuzz/fuzz_chunked.c - chunk framing; the first byte of the input says in
 * how large pieces the rest arrives, which must make no difference.
 */
#include "fuzz_http1.h"

struct outcome {
	enum http1_chunk last;
	uint64_t data_bytes;
	size_t used;
};

/* Feeds the body as if `piece` more bytes arrived at a time. */
static struct outcome decode(struct str body, size_t piece)
{
	struct http1_chunks chunks = { 0 };
	struct outcome result = { CHUNK_MORE, 0, 0 };
	size_t arrived = 0;
	struct reason why;

	while (result.last != CHUNK_BAD && result.last != CHUNK_LAST) {
		struct str seen = str_sub(body, result.used, arrived - result.used);
		size_t used;

		result.last = http1_parse_chunk(seen, &chunks, &used, &why);
		must(used <= seen.len);
		result.used += used;
		if (result.last == CHUNK_DATA) {
			size_t n = seen.len - used;

			n = n < chunks.left ? n : (size_t)chunks.left;
			chunks.left -= n;
			result.data_bytes += n;
			result.used += n;
			if (!chunks.left)
				continue;
		}
		if (result.last == CHUNK_BAD || result.last == CHUNK_LAST || arrived == body.len)
			break;
		arrived = body.len - arrived > piece ? arrived + piece : body.len;
	}
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body;
	struct outcome whole, pieces;

	if (size < 1)
		return 0;
	body = (struct str){ (const char *)data + 1, size - 1 };
	whole = decode(body, body.len);
	pieces = decode(body, (size_t)data[0] % 7 + 1);
	must(whole.data_bytes == pieces.data_bytes);
	must((whole.last == CHUNK_LAST) == (pieces.last == CHUNK_LAST));
	return 0;
}

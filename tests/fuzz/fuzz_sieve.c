/*
 * tests/fuzz/fuzz_sieve.c - anything as what a NATS server sends: every byte is taken or
 * passed on once and in order, and where it is cut makes no difference.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/must.h"
#include "registrar/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	char *taken, *passed;
	size_t taken_len, passed_len;
};

/* What came lies in memory of its own, so that nothing beyond it can be read. */
static size_t next(struct sieve *sieve, struct str came, struct outcome *o)
{
	char *copy = mem_alloc(came.len);
	struct sieve_piece piece;
	size_t n;

	memcpy(copy, came.p, came.len);
	n = sieve_next(sieve, (struct str){ copy, came.len }, &piece);
	must(n <= came.len && (n == 0) == (piece.kind == SIEVE_MORE));
	if (piece.kind == SIEVE_TAKE) {
		must(piece.bytes.p > copy && piece.bytes.p + piece.bytes.len + 2 == copy + n);
		memcpy(o->taken + o->taken_len, copy, n);
		o->taken_len += n;
	} else if (piece.kind == SIEVE_PASS) {
		must(piece.bytes.p == copy && piece.bytes.len == n);
		memcpy(o->passed + o->passed_len, copy, n);
		o->passed_len += n;
	}
	free(copy);
	return n;
}

/* `step` bytes at a time; returns what is left. */
static size_t sift(struct str stream, size_t step, struct outcome *o)
{
	size_t done = 0, came = 0, n;
	struct sieve sieve;

	sieve_init(&sieve);
	sieve_follow(&sieve, 1);
	while (came < stream.len) {
		came = came + step < stream.len ? came + step : stream.len;
		while (done < came && (n = next(&sieve, str_sub(stream, done, came - done), o)))
			done += n;
	}
	return stream.len - done;
}

static struct outcome outcome_of(size_t most)
{
	return (struct outcome){ .taken = mem_alloc(most + 1), .passed = mem_alloc(most + 1) };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str stream = { (const char *)data, size };
	struct outcome whole = outcome_of(size), cut = outcome_of(size);
	size_t left;

	if (size > 4096)
		size = stream.len = 4096;
	left = sift(stream, size ? size : 1, &whole);
	must(left + whole.taken_len + whole.passed_len == size);
	must(sift(stream, 1 + (size ? data[0] % 16 : 0), &cut) == left);
	must(whole.taken_len == cut.taken_len && whole.passed_len == cut.passed_len);
	must(memcmp(whole.taken, cut.taken, cut.taken_len) == 0);
	must(memcmp(whole.passed, cut.passed, cut.passed_len) == 0);
	free(whole.taken);
	free(whole.passed);
	free(cut.taken);
	free(cut.passed);
	return 0;
}

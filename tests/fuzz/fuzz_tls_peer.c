/*
 * tests/fuzz/fuzz_tls_peer.c - any bytes from the peer of a TLS connection, on either
 * side of it, in the handshake or after it.  Whatever they are: no result but those
 * of the contract, no byte that the peer did not send, and an end when the peer ends.
 */
#include "fuzz_tls.h"

#define TURNS 4                       /* until an end has done all that it was woken for */

static void turn(struct loop *loop)
{
	for (int i = 0; i < TURNS; i++)
		loop_turn(loop, 0);
}

/* What our end says is read, so that its socket never fills. */
static void drain(int far)
{
	char bytes[8192];

	while (recv(far, bytes, sizeof(bytes), 0) > 0)
		;
}

static void pass_on(int from, int to)
{
	char bytes[16384];
	ssize_t got = recv(from, bytes, sizeof(bytes), 0);

	must(got <= 0 || send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got);
}

/* A real peer up to the end of the handshake; it goes without a word. */
static void shake_hands(struct loop *loop, struct fuzz_end *end, struct fuzz_kind kind)
{
	struct fuzz_end peer;

	fuzz_end_open(&peer, loop, end->seed ^ 1, kind);
	for (int i = 0; i < 40 && (end->shake == IO_AGAIN || peer.shake == IO_AGAIN); i++) {
		loop_turn(loop, 0);
		pass_on(peer.far, end->far);
		pass_on(end->far, peer.far);
	}
	must(end->shake == IO_OK && peer.shake == IO_OK);
	fuzz_end_close(&peer, loop);
	drain(end->far);
}

/* The first byte chooses the connection, the second how the bytes come. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_kind kind = fuzz_kind(size ? data[0] : 0);
	bool is_client = size && data[0] & 8, is_after = size && data[0] & 16;
	size_t piece = size > 1 && data[1] ? data[1] * 16u : size, at = 2;
	struct loop *loop = loop_create();
	struct fuzz_end end;

	fuzz_end_open(&end, loop, is_client, kind);
	if (is_after)
		shake_hands(loop, &end, kind);
	turn(loop);
	while (at < size) {
		size_t n = piece < size - at ? piece : size - at;

		must(send(end.far, data + at, n, MSG_NOSIGNAL) == (ssize_t)n || fuzz_is_over(&end));
		at += n;
		turn(loop);
		drain(end.far);
	}
	shutdown(end.far, SHUT_WR);
	turn(loop);
	must(fuzz_is_over(&end));
	fuzz_end_close(&end, loop);
	loop_destroy(loop);
	return 0;
}

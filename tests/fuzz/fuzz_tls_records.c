/*
 * tests/fuzz/fuzz_tls_records.c - two ends of ours and somebody on the wire who
 * knows records: he passes, changes, cuts, repeats, drops, swaps and splits them,
 * as the input says.  What arrives is a beginning of what was sent; where he did
 * nothing, all arrives and both ends end in order.
 */
#include "fuzz_tls.h"

#define HEADER 5
#define TURNS_MAX 4000

enum deed { PASS, FLIP, CUT, REPEAT, DROP, SWAP, SPLIT, RETYPE, RELENGTH, END, DEEDS };

struct wire {
	const uint8_t *next, *end;    /* of the input: what to do with the records to come */
	bool has_meddled;
};

/* One direction: bytes that came and make no record yet, and one held back. */
struct lane {
	uint8_t bytes[70000], held[20000];
	size_t len, held_len;
	bool has_ended;
};

static uint8_t take(struct wire *wire)
{
	return wire->next < wire->end ? *wire->next++ : 0;
}

static void deliver(int to, const uint8_t *bytes, size_t len)
{
	/* an end that is over reads no more */
	if (len)
		(void)!send(to, bytes, len, MSG_NOSIGNAL);
}

static void hang_up(struct lane *lane, int to)
{
	lane->has_ended = true;
	shutdown(to, SHUT_WR);
}

/* Does its deed to one record; true: it is passed on. */
static bool meddle(struct wire *wire, struct lane *lane, uint8_t *record, size_t len, int to)
{
	enum deed deed = (enum deed)(take(wire) % DEEDS);
	size_t at;

	wire->has_meddled |= deed != PASS && deed != SPLIT;
	switch (deed) {
	case FLIP:
		at = (size_t)take(wire) << 8 | take(wire);
		record[at % len] ^= (uint8_t)(1 + take(wire) % 255);
		return true;
	case CUT:
		deliver(to, record, take(wire) % len);
		return false;
	case REPEAT:
		deliver(to, record, len);
		return true;
	case SWAP:
		if (lane->held_len || len > sizeof(lane->held))
			return true;
		memcpy(lane->held, record, len);
		lane->held_len = len;
		return false;
	case SPLIT:
		for (at = 0; at + 1 < len && at < 20; at++)
			deliver(to, record + at, 1);
		deliver(to, record + at, len - at);
		return false;
	case RETYPE:
		record[0] = take(wire);
		return true;
	case RELENGTH:
		record[3] = take(wire);
		record[4] = take(wire);
		return true;
	case END:
		hang_up(lane, to);
		return false;
	default:
		return deed == PASS;
	}
}

static void pass_record(struct wire *wire, struct lane *lane, size_t len, int to)
{
	if (meddle(wire, lane, lane->bytes, len, to)) {
		deliver(to, lane->bytes, len);
		deliver(to, lane->held, lane->held_len);
		lane->held_len = 0;
	}
	lane->len -= len;
	memmove(lane->bytes, lane->bytes + len, lane->len);
}

/* Returns how much happened. */
static size_t pass_on(struct wire *wire, struct lane *lane, int from, int to)
{
	ssize_t got = recv(from, lane->bytes + lane->len, sizeof(lane->bytes) - lane->len, 0);
	size_t moved = got > 0 ? (size_t)got : 0;

	lane->len += moved;
	while (lane->len >= HEADER && !lane->has_ended) {
		size_t len = HEADER + ((size_t)lane->bytes[3] << 8 | lane->bytes[4]);

		if (lane->len < len)
			break;
		pass_record(wire, lane, len, to);
		moved += len;
	}
	if (got == 0 && !lane->has_ended)
		hang_up(lane, to);
	return moved + (size_t)(got == 0);
}

static void expect_all(const struct fuzz_end *end)
{
	must(end->shake == IO_OK && end->input == IO_EOF);
	must(end->sent == FUZZ_TO_SEND && end->received == FUZZ_TO_SEND);
	must(!conn_tls_is_truncated(&end->conn) && end->conn.error == 0);
}

static void run(struct loop *loop, struct wire *wire, struct fuzz_end *server,
		struct fuzz_end *client)
{
	static struct lane up, down;

	up.len = up.held_len = down.len = down.held_len = 0;
	up.has_ended = down.has_ended = false;
	for (int idle = 0, turns = 0; idle < 4; turns++) {
		size_t moved = pass_on(wire, &up, client->far, server->far);

		must(turns < TURNS_MAX);
		moved += pass_on(wire, &down, server->far, client->far);
		loop_turn(loop, 0);
		idle = moved && turns < TURNS_MAX / 2 ? 0 : idle + 1;
	}
}

/* The first byte chooses the connection, the rest what happens to its records. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_kind kind = fuzz_kind(size ? data[0] : 0);
	struct wire wire = { .next = data + (size > 0), .end = data + size };
	struct loop *loop = loop_create();
	struct fuzz_end server, client;

	fuzz_end_open(&server, loop, 0, kind);
	fuzz_end_open(&client, loop, 1, kind);
	run(loop, &wire, &server, &client);
	if (!wire.has_meddled) {
		expect_all(&server);
		expect_all(&client);
	}
	fuzz_end_close(&server, loop);
	fuzz_end_close(&client, loop);
	loop_destroy(loop);
	return 0;
}

/*
 * proxy/relay.c - moves a body one way.
 */
#include "proxy/relay.h"

#define TURN_BYTES (1u << 20)         /* then others have a turn */

/* Fields that a trailer section must not carry (RFC 9110 section 6.5.1) or that
 * belong to one connection. */
static const char *const forbidden[] = {
	"Connection", "Content-Length", "Host", "Keep-Alive", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
};

static enum io end_with_trailers(struct relay *relay, struct stream *from, struct stream *to,
				 struct arena *arena)
{
	struct http_head trailers;
	enum io io;

	http_head_init(&trailers, arena);
	io = stream_recv_trailers(from, &trailers);
	if (io != IO_OK)
		return io;
	if (relay->replay)
		replay_lose(relay->replay);   /* another attempt would go without them */
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		http_head_remove(&trailers, str_of(forbidden[i]));
	return stream_send_trailers(to, &trailers);
}

static enum relay_result result_of(enum io io)
{
	return io == IO_AGAIN ? RELAY_WAITS : RELAY_WRITE_FAILED;
}

/* All bytes of the sender are gone; its end must follow. */
static enum relay_result finish(struct relay *relay, struct stream *from, struct stream *to,
				struct arena *arena)
{
	size_t taken;
	enum io io;

	if (stream_has_trailers(from))
		io = end_with_trailers(relay, from, to, arena);
	else
		io = stream_send_body(to, STR_NONE, true, &taken);
	if (stream_failure(from))
		return RELAY_READ_FAILED;
	if (io != IO_OK)
		return result_of(io);
	relay->is_done = true;
	return RELAY_DONE;
}

/* What an earlier attempt took from the client goes first. */
static enum io send_record(struct replay *replay, struct stream *to)
{
	while (replay->sent < replay->len) {
		size_t taken;
		enum io io = stream_send_body(to, replay_unsent(replay), false, &taken);

		replay->sent += taken;
		if (io != IO_OK)
			return io;
	}
	return IO_OK;
}

/* One portion: IO_OK, all that was here was taken. */
static enum io move(struct relay *relay, struct stream *from, struct stream *to, struct str bytes,
		    bool end)
{
	size_t taken;
	enum io io = stream_send_body(to, bytes, end, &taken);

	if (relay->replay)
		replay_record(relay->replay, str_sub(bytes, 0, taken));
	if (taken) {
		relay->bytes += taken;
		relay->has_moved = true;
		stream_consume_body(from, taken);
	}
	return io;
}

enum relay_result relay_pump(struct relay *relay, struct stream *from, struct stream *to,
			     struct arena *arena)
{
	uint64_t until = relay->bytes + TURN_BYTES;
	struct str bytes;
	enum io io = IO_OK;
	bool is_last;

	if (relay->is_done || relay->is_stopped)
		return relay->is_done ? RELAY_DONE : RELAY_WAITS;
	if (relay->replay)
		io = send_record(relay->replay, to);
	if (io != IO_OK)
		return result_of(io);
	while (relay->bytes < until) {
		switch (stream_peek_body(from, &bytes, &is_last)) {
		case IO_OK:
			break;
		case IO_AGAIN:
			return stream_flush(to) == IO_ERROR ? RELAY_WRITE_FAILED : RELAY_WAITS;
		case IO_EOF:
			return finish(relay, from, to, arena);
		default:
			return RELAY_READ_FAILED;
		}
		is_last = is_last && !stream_has_trailers(from);
		io = move(relay, from, to, bytes, is_last);
		if (io != IO_OK)
			return result_of(io);
		if (is_last) {
			relay->is_done = true;
			return RELAY_DONE;
		}
	}
	task_wake(mux_conn(to->mux)->loop, to->task);
	return RELAY_WAITS;
}

/*
 * http/mux.h - a connection that carries streams, and a stream: one request
 * and its response.  The exchange asks, the mux never calls up: it wakes the
 * stream's task, or without a stream its owner's.  Nothing here decides what to
 * answer; a refused request is a failed stream with a status and a text.
 */
#ifndef HTTP_MUX_H
#define HTTP_MUX_H

#include "failure.h"
#include "http/head.h"
#include "net/buf.h"
#include "net/conn.h"

struct mux_settings {                 /* borrowed for the life of the mux */
	uint64_t line_limit;          /* bytes of one line of a head */
	uint64_t head_limit;          /* bytes of a head */
	uint64_t field_limit;         /* fields of a head; 0: any number */
};

enum stream_ready {
	STREAM_HEAD   = 1 << 0,       /* a head may be there: receive */
	STREAM_BODY   = 1 << 1,       /* body may be there: peek */
	STREAM_ROOM   = 1 << 2,       /* bytes would be taken */
	STREAM_ENDED  = 1 << 3,       /* the peer's message is complete */
	STREAM_FAILED = 1 << 4,       /* the connection is broken, or the stream failed */
};

struct mux;

struct stream {                       /* embedded in its mux, owned by it */
	struct mux *mux;
	struct task *task;            /* borrowed: the exchange's */
	uint16_t status;              /* what a refused request deserves, or 0 */
	uint8_t failure;              /* enum failure */
	char *detail;                 /* owned: words about the failure for the log, or NULL */
};

/* Takes over the descriptor.  NULL: errno says why, the descriptor is closed. */
struct mux *mux_create_downstream(struct loop *loop, struct buf_pool *pool, int fd,
				  struct task *owner, const struct mux_settings *settings);

/* Begins to connect; a stream may be opened at once, and waits until
 * mux_is_connecting() is false.  NULL: errno says why. */
struct mux *mux_create_upstream(struct loop *loop, struct buf_pool *pool, const struct addr *to,
				struct task *owner, const struct mux_settings *settings);

/* Closes; its stream is gone with it.  NULL is allowed. */
void mux_destroy(struct mux *mux);

/* Who is woken while there is no stream: the pool, the downstream. */
void mux_set_owner(struct mux *mux, struct task *owner);

/* Downstream: the next request whose head is complete or refused, or NULL.  One
 * that no buffer is left for is refused with FAIL_OVERLOAD and status 503. */
struct stream *mux_accept(struct mux *mux, struct task *task);

/* Upstream: a stream, or NULL without room. */
struct stream *mux_open(struct mux *mux, struct task *task);
unsigned mux_room(const struct mux *mux);

bool mux_is_connecting(const struct mux *mux);
bool mux_is_finished(const struct mux *mux);  /* no stream now, and never again */
bool mux_is_quiet(const struct mux *mux);     /* idle and nothing arrived: may be used again */
bool mux_was_used(const struct mux *mux);     /* this is not its first stream */

/* Downstream without a stream: a head has begun to arrive. */
bool mux_has_partial_head(const struct mux *mux);

/* Downstream, finished: the client sends what nobody will read, so that a close
 * now could destroy the last answer on its way. */
bool mux_must_linger(struct mux *mux);

/* No stream after this one; the answer says so if it is not on its way yet. */
void mux_drain(struct mux *mux);
struct conn *mux_conn(struct mux *mux);

/* IO_OK: the head is filled, text in the arena; a response may yield 1xx heads
 * first.  IO_ERROR: see stream_failure(). */
enum io stream_recv_head(struct stream *stream, struct arena *arena, struct http_head *head);

/* Body bytes that are here, borrowed until the next call on this stream, at
 * least one.  *is_last: the body ends with them (trailers may follow).
 * IO_EOF: the body is complete, none are left. */
enum io stream_peek_body(struct stream *stream, struct str *bytes, bool *is_last);
void stream_consume_body(struct stream *stream, size_t n);

/* Once the last bytes were peeked: fields of the trailer section, if any. */
bool stream_has_trailers(const struct stream *stream);
enum io stream_recv_trailers(struct stream *stream, struct http_head *trailers);

/* What BODY_LENGTH still holds; UINT64_MAX for other framings that have not ended. */
uint64_t stream_body_left(const struct stream *stream);

/* head->body says the framing; the peer's version may change it.  A response
 * with minor 0 is one of HTTP/1.0, for clients of unknown versions.  Without `end`
 * the head waits for the first body part or stream_flush(), to leave with it.
 * A 1xx head leaves at once.  IO_AGAIN: accepted, not all written yet; flush
 * when woken. */
enum io stream_send_head(struct stream *stream, const struct http_head *head, bool end);

/* *taken bytes are gone, the rest is offered again when woken.  IO_OK: all
 * bytes, and whatever waited before them, were written.  With `end` the message
 * is complete once IO_OK was returned; until then call again with what is left,
 * which may be nothing. */
enum io stream_send_body(struct stream *stream, struct str bytes, bool end, size_t *taken);

/* Ends a chunked body with these fields; other framings just end. */
enum io stream_send_trailers(struct stream *stream, const struct http_head *trailers);
enum io stream_flush(struct stream *stream);

/* Both directions are opaque bytes from here on; peek and send go on. */
void stream_upgrade(struct stream *stream);

/* Upgraded: no more output, input goes on. */
void stream_shutdown(struct stream *stream);

unsigned stream_ready(const struct stream *stream);

/* Words for the failure to come; copied. */
void stream_note(struct stream *stream, const char *words);

/* The first failure is the cause and stays. */
void stream_fail(struct stream *stream, enum failure failure);
enum failure stream_failure(const struct stream *stream);

/* On the wire since the stream began: "no byte seen yet" decides about retries. */
uint64_t stream_bytes_received(const struct stream *stream);
uint64_t stream_bytes_sent(const struct stream *stream);

/* True if closing the stream now leaves a connection for the next one. */
bool stream_is_complete(const struct stream *stream);

/* Who is woken from now on. */
void stream_set_task(struct stream *stream, struct task *task);

/* Closes so that the peer cannot take what it has for a whole message. */
void stream_abort(struct stream *stream);

/* Both peers mean to use the connection again. */
bool stream_keeps_connection(const struct stream *stream);

/* Last use.  A complete exchange leaves the connection for the next one;
 * otherwise it is finished.  The mux's owner is woken. */
void stream_close(struct stream *stream);

#endif

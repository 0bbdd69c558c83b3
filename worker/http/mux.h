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
	uint32_t line_limit;          /* bytes of one line of a head */
	uint32_t head_limit;          /* bytes of a head */
	uint32_t field_limit;         /* fields of a head */
};

enum stream_ready {
	STREAM_HEAD   = 1,            /* a head can be received */
	STREAM_BODY   = 2,            /* body may be there: peek */
	STREAM_ROOM   = 4,            /* bytes would be taken */
	STREAM_ENDED  = 8,            /* the peer's message is complete */
	STREAM_FAILED = 16,
};

struct mux;

struct stream {                       /* embedded in its mux, owned by it */
	struct mux *mux;
	struct task *task;            /* borrowed: the exchange's */
	const char *detail;           /* of the failure, static text or NULL */
	uint16_t status;              /* what a refused request deserves, or 0 */
	uint8_t failure;              /* enum failure */
};

/* Takes over the descriptor.  NULL: errno says why, the descriptor is closed. */
struct mux *mux_create_downstream(struct loop *loop, struct buf_pool *pool, int fd,
				  struct task *owner, const struct mux_settings *settings);

/* Begins to connect; a stream may be opened at once.  NULL: errno says why. */
struct mux *mux_create_upstream(struct loop *loop, struct buf_pool *pool, const struct addr *to,
				struct task *owner, const struct mux_settings *settings);
void mux_destroy(struct mux *mux);    /* NULL is allowed; its stream is gone with it */

/* Another owner for an idle mux: the pool's, the downstream's. */
void mux_set_owner(struct mux *mux, struct task *owner);

/* Downstream: the next request whose head is complete or refused, or NULL. */
struct stream *mux_accept(struct mux *mux, struct task *task);

/* Upstream: a stream, or NULL without room. */
struct stream *mux_open(struct mux *mux, struct task *task);
unsigned mux_room(const struct mux *mux);

bool mux_is_connecting(const struct mux *mux);
bool mux_is_finished(const struct mux *mux);  /* no stream now, and never again */
bool mux_is_usable(const struct mux *mux);    /* idle, quiet, alive: may be reused */
bool mux_has_partial_head(const struct mux *mux);     /* downstream: for the head's timeout */
void mux_drain(struct mux *mux);              /* no stream after this one */
struct conn *mux_conn(struct mux *mux);

/* IO_OK: the head is filled, text in the arena; a response may yield 1xx heads
 * first.  IO_ERROR: see stream_failure(). */
enum io stream_recv_head(struct stream *stream, struct arena *arena, struct http_head *head);

/* Body bytes that are here, borrowed until the next call on this stream.
 * IO_EOF: the body is complete. */
enum io stream_peek_body(struct stream *stream, struct str *bytes);
void stream_consume_body(struct stream *stream, size_t n);

/* After IO_EOF: fields of the trailer section, added to `trailers`. */
enum io stream_recv_trailers(struct stream *stream, struct http_head *trailers);

/* head->body says the framing.  Without `end` the head waits for the first body
 * part or stream_flush(), to leave with it.  1xx heads: end is false.  IO_AGAIN:
 * accepted, not all written yet; flush when woken. */
enum io stream_send_head(struct stream *stream, const struct http_head *head, bool end);

/* *taken bytes are gone, the rest is offered again when woken.  With `end`:
 * IO_OK when everything has left; IO_AGAIN: call again with what is left,
 * which may be nothing. */
enum io stream_send_body(struct stream *stream, struct str bytes, bool end, size_t *taken);
enum io stream_send_trailers(struct stream *stream, const struct http_head *trailers);
enum io stream_flush(struct stream *stream);

/* Both directions are opaque bytes from here on; peek and send go on. */
void stream_upgrade(struct stream *stream);

/* Upgraded: no more output, input goes on. */
void stream_shutdown(struct stream *stream);

unsigned stream_ready(const struct stream *stream);
void stream_fail(struct stream *stream, enum failure failure);
enum failure stream_failure(const struct stream *stream);

/* Since the stream began, on the wire: "no byte seen yet" decides about retries. */
uint64_t stream_bytes_received(const struct stream *stream);

/* Last use.  A complete exchange leaves the connection for the next one;
 * otherwise it is finished.  The mux's owner is woken. */
void stream_close(struct stream *stream);

#endif

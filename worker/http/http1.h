/*
 * http/http1.h - what the two halves of the HTTP/1 mux share: http1.c keeps the
 * connection and reads, http1_send.c writes.  Nobody else includes it.
 */
#ifndef HTTP_HTTP1_H
#define HTTP_HTTP1_H

#include "http/http1_parse.h"
#include "http/mux.h"

/* Where the input of the current stream stands. */
enum http1_input {
	INPUT_HEAD,
	INPUT_BODY,
	INPUT_TRAILERS,               /* chunked: the last chunk has been read */
	INPUT_DONE,
};

/* Kept small: an idle connection is a mux without buffers, and there are many. */
struct mux {
	struct conn conn;
	struct buf_pool *pool;        /* borrowed */
	const struct mux_settings *settings;
	struct task *owner;           /* borrowed: woken without a stream */
	struct stream stream;
	struct buf *in, *out;         /* owned; NULL when empty */
	uint64_t in_left;             /* BODY_LENGTH: bytes to come */
	uint64_t out_left;            /* of the chunk, or of the length, still to be sent */
	uint32_t decoded;             /* body bytes at the start of `in`, framing taken off */
	uint32_t scanned;             /* how far the end of a head was looked for */
	uint32_t pending;             /* bytes of a complete head or trailer section */
	uint8_t input;                /* enum http1_input */
	uint8_t in_body, out_body;    /* enum http_body */
	uint8_t peer_minor;
	bool has_stream : 1, is_upstream : 1, is_dead : 1, is_draining : 1, was_used : 1;
	bool keeps_alive : 1, is_upgraded : 1, is_head_request : 1;
	bool head_sent : 1, out_done : 1, out_broken : 1;
	bool wants_large : 1;         /* this message, or the one before, fills plain buffers */
	uint8_t blanks_left : 3;      /* CR and LF still tolerated: the last request was a POST */
	bool has_unread : 1;          /* input was left when the last stream closed */
	bool is_starved : 1;          /* no buffer was to be had for its input */
	uint64_t received, sent;      /* on the wire, since the stream began */
	struct http1_chunks chunks;
};

/* The same content and room for n more bytes; false at the pool's limit, and
 * the stream has failed. */
bool http1_need_out(struct mux *mux, size_t n);

#endif

/*
 * http/http1.h - what the two halves of the HTTP/1 mux share: http1.c reads and
 * keeps the connection, http1_send.c writes.  Nobody else includes it.
 */
#ifndef HTTP_HTTP1_H
#define HTTP_HTTP1_H

#include "http/http1_parse.h"

struct mux {
	struct conn conn;
	struct stream stream;
	struct buf_pool *pool;        /* borrowed */
	const struct mux_settings *settings;
	struct task *owner;           /* borrowed: woken without a stream */
	struct buf *in, *out;         /* owned; NULL when empty */
	struct http1_chunks chunks;
	uint64_t in_left;             /* BODY_LENGTH: bytes to come */
	uint64_t out_left;            /* of the chunk that is being sent */
	uint64_t received;
	uint32_t scanned;             /* of the head */
	uint32_t pending;             /* bytes of the complete head or trailers at in's start */
	uint8_t in_body, out_body;    /* enum http_body */
	uint8_t peer_version;
	bool is_upstream, has_stream, is_dead, is_draining, is_reused, keeps_alive, is_upgraded;
	bool to_head, head_sent, in_trailers, in_done, out_done;
};

#endif

/*
 * http/http1_parse.h - HTTP/1 bytes to heads and chunks.  Pure: no I/O, no
 * buffers.  Used by http1.c, tests and fuzzers.
 */
#ifndef HTTP_HTTP1_PARSE_H
#define HTTP_HTTP1_PARSE_H

#include "http/mux.h"

struct http1_fault {
	uint16_t status;              /* what a request deserves */
	const char *detail;           /* static text or NULL */
};

/* Length of the head with its empty line, or 0: not complete.  *scanned keeps
 * the place between calls and begins with 0. */
size_t http1_head_end(struct str bytes, uint32_t *scanned);

/* `bytes` is exactly one head, in memory that lives as long as the arena of
 * `head`, which was initialised.  False: *fault says why. */
bool http1_parse_request(struct str bytes, const struct mux_settings *settings,
			 struct http_head *head, struct http1_fault *fault);
/* The framing also depends on the request: `to_head` if its method was HEAD. */
bool http1_parse_response(struct str bytes, const struct mux_settings *settings, bool to_head,
			  struct http_head *head, struct http1_fault *fault);
/* Adds the fields of a trailer section that ends with its empty line. */
bool http1_parse_trailers(struct str bytes, const struct mux_settings *settings,
			  struct http_head *trailers, struct http1_fault *fault);

enum chunk { CHUNK_MORE, CHUNK_DATA, CHUNK_LAST, CHUNK_BAD };

struct http1_chunks {                 /* begins zeroed */
	uint64_t left;                /* data bytes before the chunk's end */
	int64_t excess;               /* framing bytes beyond what the data excuses */
	bool in_chunk;                /* the CRLF behind the data is still to come */
	const char *detail;           /* after CHUNK_BAD */
};

/* Eats framing; *used bytes of it.  DATA: `left` bytes follow; the caller counts
 * them down.  LAST: the trailer section follows. */
enum chunk http1_next_chunk(struct http1_chunks *chunks, struct str bytes, size_t *used);

#endif

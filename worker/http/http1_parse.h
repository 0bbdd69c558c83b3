/*
 * http/http1_parse.h - HTTP/1 heads and chunk framing from bytes; no I/O.  What
 * is accepted follows Gorouter (spec proxy sections 2 and 11.1), except where
 * two readers could disagree about where a message ends (19.18): Content-Length
 * together with Transfer-Encoding in a request, and a bare LF in chunk framing or
 * in trailers, are refused.  Fuzzed; used by http1.c only.
 */
#ifndef HTTP_HTTP1_PARSE_H
#define HTTP_HTTP1_PARSE_H

#include "base/reason.h"
#include "http/head.h"

/* Where a head ends: the length up to and including the empty line, or 0 if it
 * is not there yet.  *scanned remembers how far was looked, so that a head that
 * comes byte by byte costs linear time; start with 0. */
size_t http1_head_length(struct str bytes, size_t *scanned);

/* Why a message was refused: the status that answers a request, and the words
 * that follow it after a colon (may be empty).  For responses the words go into
 * the log and into X-Cf-RouterError. */
struct http1_fault {
	unsigned status;              /* 400, 501 or 505; 502 for responses */
	struct reason words;
};

/* Parses one complete head of `length` bytes, in place: the head keeps pointing
 * into `bytes`, which must live as long as it and may be written to (folded
 * lines are joined).  False: refused, *fault says why. */
bool http1_parse_request(char *bytes, size_t length, struct http_head *head,
			 struct http1_fault *fault);

/* `method` is that of the request: a HEAD has no body in its response. */
bool http1_parse_response(char *bytes, size_t length, struct str method, struct http_head *head,
			  struct http1_fault *fault);

/* Where a trailer section ends: the length up to and including the empty line, 0
 * if it is not there yet, -1 if a line of it ends with a bare LF. */
ssize_t http1_trailers_length(struct str bytes);

/* The length of a first line that is complete and malformed, else 0: its sender
 * need not be waited for.  Parsing that line gives the fault. */
size_t http1_bad_first_line(struct str bytes, bool is_response);

/* The fields of a trailer section that ends with an empty line. */
bool http1_parse_trailers(char *bytes, size_t length, struct http_head *trailers,
			  struct http1_fault *fault);

/* One step through chunk framing. */
struct http1_chunks {
	uint64_t left;                /* data bytes of this chunk still to come */
	uint64_t overhead;            /* extension bytes so far */
	bool needs_end_of_data;       /* the CRLF after the data comes next */
};

enum http1_chunk {
	CHUNK_MORE,                   /* the framing is not complete: more bytes */
	CHUNK_DATA,                   /* chunks->left data bytes follow */
	CHUNK_LAST,                   /* the trailer section follows */
	CHUNK_BAD,
};

/* Reads framing at the start of `bytes`; *used says how much of it was framing.
 * The caller takes data off by lowering chunks->left as it passes on. */
enum http1_chunk http1_parse_chunk(struct str bytes, struct http1_chunks *chunks, size_t *used,
				   struct reason *why);

#endif

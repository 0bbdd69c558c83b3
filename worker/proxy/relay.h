/*
 * proxy/relay.h - one direction of an exchange's body: from one stream to the
 * other, without collecting it.  The only place where body bytes move.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include "http/mux.h"
#include "proxy/replay.h"

enum relay_result {
	RELAY_WAITS,                  /* a stream will wake the exchange */
	RELAY_DONE,                   /* the whole body, with its end, was written */
	RELAY_READ_FAILED,            /* stream_failure(from) says why */
	RELAY_WRITE_FAILED,
};

struct relay {
	uint64_t bytes;               /* of body, taken from the sender */
	struct replay *replay;        /* borrowed; NULL: nothing is kept */
	bool is_done;
	bool is_stopped;              /* the receiver takes no more: nothing is moved */
	bool has_moved;               /* since the flag was last cleared: for idle timeouts */
};

/* Moves what can be moved now, in bounded portions: the task of a long turn is
 * woken again.  `arena` takes the text of trailers. */
enum relay_result relay_pump(struct relay *relay, struct stream *from, struct stream *to,
			     struct arena *arena);

#endif

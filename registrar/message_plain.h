/*
 * registrar/message_plain.h - registrations as emitters write them: one object of
 * known shape, without escapes, spaces or bytes beyond ASCII.  Reads those in one
 * pass without copying and gives up on everything else, which message.c then reads
 * with the JSON library: that alone decides what is right.  message.c only.
 */
#ifndef REGISTRAR_MESSAGE_PLAIN_H
#define REGISTRAR_MESSAGE_PLAIN_H

#include "registrar/message.h"

struct plain_registration {
	uint64_t port, tls_port;      /* 0..65535 */
};

/* True: *out (zeroed by the caller) and *ports hold exactly what the JSON library
 * would have given.  Texts point into the payload, the list of URIs into the arena.
 * False: *out is to be zeroed again. */
bool message_read_plain(struct str payload, struct arena *arena, struct registration *out,
			struct plain_registration *ports);

#endif

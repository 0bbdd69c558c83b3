/*
 * registrar/wire.h - the socket of a NATS server, with the client library at the end of
 * a pipe of our own: the library connects, and from then on finds the pipe under its
 * descriptor, so the reader sees every byte first.  Used by session.c and
 * session_reader.c, in the reader's thread unless said otherwise.
 */
#ifndef REGISTRAR_WIRE_H
#define REGISTRAR_WIRE_H

#include "base/str.h"

#define WIRE_OUT_BYTES 16384

struct wire {
	int server;                   /* -1: none, the library has the socket itself */
	int pipe;                     /* our end; the library has the other one */
	size_t out_from, out_to;
	char out[WIRE_OUT_BYTES];     /* of the library, not sent yet */
};

void wire_init(struct wire *wire);

/* Puts the pipe in the place of the connected socket `library`; any thread, before there is a
 * reader.  0 or -errno: nothing has changed. */
int wire_open(struct wire *wire, int library);
void wire_close(struct wire *wire);

/* What the server sent: bytes read; 0: it is over; -EAGAIN: nothing now. */
ssize_t wire_read(struct wire *wire, char *into, size_t room);

/* Offers bytes to the library; how many there was room for. */
size_t wire_pass(struct wire *wire, struct str bytes);
void wire_pass_end(struct wire *wire);

/* Sends what the library wrote.  True: some is left until the socket takes it. */
bool wire_flush(struct wire *wire);

#endif

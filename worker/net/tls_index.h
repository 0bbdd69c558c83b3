/*
 * net/tls_index.h - from a server name to the certificates that carry it, for
 * tls_server.c: with thousands of certificates a handshake must not walk them
 * all.  It knows names and numbers, no certificate and no connection.
 */
#ifndef NET_TLS_INDEX_H
#define NET_TLS_INDEX_H

#include "base/str.h"

/* One name, "a.example" or "*.example", of the certificate with that number. */
struct tls_named {
	struct str name;              /* borrowed, in any case */
	size_t certificate;
};

struct tls_index {
	struct tls_named *all;        /* owned; by name, of equal names the last certificate first */
	size_t count;
	uint64_t probes;              /* names that were compared; for tests */
};

/* Takes over an array from mem_alloc(); NULL with count 0 is allowed. */
void tls_index_init(struct tls_index *index, struct tls_named *all, size_t count);
void tls_index_fini(struct tls_index *index);

/* The entries with exactly this name, whatever its case, or if there are none those
 * with "*" for its first label: *count of them, of the last certificate first.
 * NULL: none.  A dot at its end counts for nothing. */
const struct tls_named *tls_index_find(struct tls_index *index, struct str name, size_t *count);

#endif

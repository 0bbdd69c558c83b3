/*
 * registrar/identity.h - who an endpoint is, as hashes: its address, the app that
 * owns it, and the instance.  Keyed once for each process, so nobody can aim at a
 * collision.
 */
#ifndef REGISTRAR_IDENTITY_H
#define REGISTRAR_IDENTITY_H

#include "base/hash.h"
#include "shm/endpoint.h"

struct identity {
	uint64_t address;             /* host and port */
	uint32_t tag;                 /* address, app and instance: never 0 */
	uint32_t host;                /* the host alone: a cell has one; never 0 */
	uint32_t owner;               /* the app; without one the instance; 0: neither is known */
	bool has_app;
};

struct identity identity_of(const struct hash_key *key, const struct endpoint *endpoint);
uint32_t identity_host(const struct hash_key *key, struct str host);

/* Of this instance under this route. */
uint64_t identity_under(const struct hash_key *key, const struct identity *identity,
			struct str route);

#endif

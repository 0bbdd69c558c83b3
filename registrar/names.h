/*
 * registrar/names.h - the configured NATS servers: their parts, and which address of a
 * name belongs to which source.  A name with several addresses serves one source an
 * address; each source asks again whenever it connects.  Resolving blocks: it is
 * called from the links' own threads only.  Credentials stay in here.
 */
#ifndef REGISTRAR_NAMES_H
#define REGISTRAR_NAMES_H

#include "base/addr.h"
#include "registrar/config.h"
#include "registrar/sources.h"

struct server_name {
	char *user, *password;        /* of the URL; NULL: none.  Without ':' it is a token */
	char *host;                   /* without brackets */
	uint16_t port;
	bool is_tls;                  /* "tls://" */
};

struct names;

/* The URLs must have passed the check of config.c. */
struct names *names_create(const struct texts *urls);
void names_destroy(struct names *names);
unsigned names_count(const struct names *names);
const struct server_name *names_server(const struct names *names, unsigned server);

/* The address for `source` now: the one it had, if the name still has it or nobody knows,
 * else one that no other source uses.  Looks the name up.  0, -ENOENT: none left
 * for it, or -EHOSTUNREACH with a reason. */
int names_claim(struct names *names, unsigned server, unsigned source, struct addr *out,
		struct reason *reason);

/* True, once for each, if the server's name has an address without a source: open one, which
 * then claims it. */
bool names_take_spare(struct names *names, unsigned *server);

#endif

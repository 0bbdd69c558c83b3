/*
 * registrar/names.c - servers' URLs taken apart, and their addresses dealt out.
 */
#include "registrar/names.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct names {
	unsigned count;
	struct server_name *servers;  /* owned */
	pthread_mutex_t lock;         /* guards what follows */
	struct {
		bool has_asked;       /* before that it is one of those who will */
		unsigned server;
		struct addr addr;     /* len 0: none */
	} of[SOURCES_MAX];            /* what each source claimed */
	/* Of each server.  Owned. */
	struct server_count {
		unsigned spare;       /* addresses that nobody claimed, nor will */
		unsigned coming;      /* sources that have not asked yet */
	} *counts;
};

/* The check of config.c left nothing else than SCHEME://[USER[:PASSWORD]@]HOST:PORT. */
static void take_apart(struct str url, struct server_name *out)
{
	struct str user = STR_NONE, host;
	ssize_t at, colon;
	uint64_t port = 0;

	out->is_tls = str_has_prefix(url, STR("tls://"));
	url = str_sub(url, (size_t)str_find(url, STR("://")) + 3, STR_REST);
	for (at = (ssize_t)url.len - 1; at >= 0 && url.p[at] != '@'; at--)
		;
	if (at >= 0) {
		user = str_sub(url, 0, (size_t)at);
		url = str_sub(url, (size_t)at + 1, STR_REST);
	}
	for (colon = (ssize_t)url.len - 1; url.p[colon] != ':'; colon--)
		;
	str_parse_u64(str_sub(url, (size_t)colon + 1, STR_REST), &port);
	out->port = (uint16_t)port;
	host = str_sub(url, 0, (size_t)colon);
	if (host.len > 2 && host.p[0] == '[')
		host = str_sub(host, 1, host.len - 2);
	out->host = mem_strdup(host);
	colon = str_find_char(user, ':');
	if (!str_is_empty(user))
		out->user = mem_strdup(colon >= 0 ? str_sub(user, 0, (size_t)colon) : user);
	if (colon >= 0)
		out->password = mem_strdup(str_sub(user, (size_t)colon + 1, STR_REST));
}

struct names *names_create(const struct texts *urls)
{
	struct names *names = mem_zalloc(sizeof(*names));

	names->count = urls->count;
	names->servers = mem_zalloc(urls->count * sizeof(*names->servers));
	names->counts = mem_zalloc(urls->count * sizeof(*names->counts));
	pthread_mutex_init(&names->lock, NULL);
	for (unsigned i = 0; i < urls->count; i++) {
		take_apart(str_of(urls->items[i]), &names->servers[i]);
		names->counts[i].coming = 1;
	}
	return names;
}

void names_destroy(struct names *names)
{
	if (!names)
		return;
	for (unsigned i = 0; i < names->count; i++) {
		free(names->servers[i].user);
		free(names->servers[i].password);
		free(names->servers[i].host);
	}
	pthread_mutex_destroy(&names->lock);
	free(names->counts);
	free(names->servers);
	free(names);
}

unsigned names_count(const struct names *names)
{
	return names->count;
}

const struct server_name *names_server(const struct names *names, unsigned server)
{
	return &names->servers[server];
}

static bool is_among(const struct addr *addr, const struct addr *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (addr_equal(addr, &all[i]))
			return true;
	return false;
}

/* All addresses of the name, each once; as many as there can be sources. */
static int resolve(const struct server_name *server, struct addr out[SOURCES_MAX], unsigned *count,
		   struct reason *reason)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int rc;

	*count = 1;
	if (addr_from_ip(str_of(server->host), server->port, &out[0]))
		return 0;
	*count = 0;
	rc = getaddrinfo(server->host, NULL, &hints, &list);
	if (rc)
		return reason_set(reason, -EHOSTUNREACH, "%s: %s", server->host,
				  gai_strerror(rc));
	for (struct addrinfo *a = list; a && *count < SOURCES_MAX; a = a->ai_next) {
		struct addr *to = &out[*count];

		if (a->ai_addrlen > sizeof(to->in6))
			continue;
		memcpy(&to->sa, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
		to->in.sin_port = htons(server->port);        /* the same place in both kinds */
		*count += !is_among(to, out, *count);
	}
	freeaddrinfo(list);
	return 0;
}

/* Who, other than `source`, uses the address; -1: nobody. */
static int owner_of(const struct names *names, unsigned server, unsigned source,
		    const struct addr *addr)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (i != source && names->of[i].addr.len && names->of[i].server == server &&
		    addr_equal(&names->of[i].addr, addr))
			return (int)i;
	return -1;
}

/* The one it had is as good as new; otherwise the first free one. */
static const struct addr *choose(const struct names *names, unsigned server, unsigned source,
				 const struct addr *all, unsigned count)
{
	const struct addr *had = &names->of[source].addr, *free_one = NULL;

	for (unsigned i = count; i-- > 0; ) {
		if (had->len && addr_equal(had, &all[i]))
			return &all[i];
		if (owner_of(names, server, source, &all[i]) < 0)
			free_one = &all[i];
	}
	return free_one;
}

/* Sources that will ask, now or again, and find what is free. */
static unsigned seekers(const struct names *names, unsigned server)
{
	unsigned seekers = names->counts[server].coming;

	for (unsigned i = 0; i < SOURCES_MAX; i++)
		seekers += names->of[i].has_asked && names->of[i].server == server &&
			   !names->of[i].addr.len;
	return seekers;
}

/* True if it had an address, which will do as long as nobody knows better. */
static bool keep_address(struct names *names, unsigned source, struct addr *out)
{
	pthread_mutex_lock(&names->lock);
	*out = names->of[source].addr;
	pthread_mutex_unlock(&names->lock);
	return out->len > 0;
}

int names_claim(struct names *names, unsigned server, unsigned source, struct addr *out,
		struct reason *reason)
{
	struct server_count *counts = &names->counts[server];
	struct addr all[SOURCES_MAX];
	const struct addr *mine;
	unsigned count, unowned = 0;
	int rc = resolve(&names->servers[server], all, &count, reason);

	if (rc < 0)
		return keep_address(names, source, out) ? 0 : rc;
	pthread_mutex_lock(&names->lock);
	mine = choose(names, server, source, all, count);
	counts->coming -= !names->of[source].has_asked && counts->coming;
	names->of[source].has_asked = true;
	names->of[source].server = server;
	names->of[source].addr = mine ? *mine : (struct addr){ .len = 0 };
	for (unsigned i = 0; i < count; i++)
		unowned += &all[i] != mine && owner_of(names, server, source, &all[i]) < 0;
	counts->spare = unowned > seekers(names, server) ? unowned - seekers(names, server) : 0;
	pthread_mutex_unlock(&names->lock);
	if (!mine)
		return -ENOENT;
	*out = *mine;
	return 0;
}

bool names_take_spare(struct names *names, unsigned *server)
{
	bool is_found = false;

	pthread_mutex_lock(&names->lock);
	for (*server = 0; *server < names->count && !is_found; )
		if (names->counts[*server].spare) {
			names->counts[*server].spare--;
			names->counts[*server].coming++;
			is_found = true;
		} else {
			++*server;
		}
	pthread_mutex_unlock(&names->lock);
	return is_found;
}

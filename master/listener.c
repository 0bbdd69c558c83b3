/*
 * master/listener.c - open, keep, compare and close listening sockets.
 */
#include "master/listener.h"

#include <errno.h>
#include <unistd.h>

/* Returns the descriptor, or -errno with nothing left open. */
static int listener_open(const struct addr *addr, unsigned backlog)
{
	int on = 1, off = 0, rc;
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		goto fail;
	if (addr->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		goto fail;
	if (bind(fd, &addr->sa, addr->len) < 0)
		goto fail;
	if (listen(fd, (int)backlog) < 0)
		goto fail;
	return fd;
fail:
	rc = -errno;                  /* before close() can change it */
	close(fd);
	return rc;
}

static const struct listener *find(const struct listeners *set, const struct addr *addr)
{
	for (unsigned i = 0; set && i < set->count; i++)
		if (addr_equal(&set->items[i].addr, addr))
			return &set->items[i];
	return NULL;
}

int listeners_open(const struct master_config *config, const struct listeners *old,
		   struct listeners *out, struct reason *reason)
{
	out->count = 0;
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct listener_setting *setting = &config->listeners[i];
		const struct listener *same = find(old, &setting->addr);
		struct listener *listener = &out->items[out->count];
		char text[ADDR_TEXT_SIZE];

		memcpy(listener->kind, setting->kind, sizeof(listener->kind));
		listener->addr = setting->addr;
		listener->fd = same ? same->fd : listener_open(&setting->addr, setting->backlog);
		if (listener->fd < 0) {
			int rc = listener->fd;

			addr_format(&setting->addr, text);
			listeners_close(out, old);
			return reason_set(reason, rc, "%s: cannot listen on %s: %s", setting->where,
					  text, strerror(-rc));
		}
		out->count++;
	}
	return 0;
}

void listeners_close(struct listeners *set, const struct listeners *keep)
{
	for (unsigned i = 0; i < set->count; i++)
		if (!find(keep, &set->items[i].addr))
			close(set->items[i].fd);
	set->count = 0;
}

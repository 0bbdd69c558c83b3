/*
 * net/resolver.c - c-ares on our loop, and a small cache.
 */
#include "net/resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"

#define SOCKETS_MAX   16
#define NAMES_MAX     1024
#define TTL_MIN_MS    1000
#define TTL_MAX_MS    60000
#define QUERY_MS      1000            /* for one try at one server */
#define QUERY_TRIES   3

struct waiter {
	struct cds_list_head in_name;
	struct task *task;            /* borrowed */
};

struct name {
	struct cds_list_head in_resolver;     /* last used first */
	struct resolver *resolver;
	struct cds_list_head waiters;         /* owned */
	bool is_pending;
	int error;                    /* 0: addr is good */
	uint64_t expires_ms;
	struct addr addr;             /* port 0 */
	char *text;                   /* owned */
};

struct socket {
	struct watch watch;           /* fd -1: unused */
	struct resolver *resolver;
	uint32_t events;              /* that happened */
};

struct resolver {
	struct loop *loop;            /* borrowed */
	struct task task;             /* woken by sockets and by c-ares's timeouts */
	ares_channel channel;         /* owned; NULL: names cannot be resolved here */
	struct socket sockets[SOCKETS_MAX];
	struct cds_list_head names;
	unsigned count;
};

static void on_socket(struct watch *watch, uint32_t events)
{
	struct socket *s = caa_container_of(watch, struct socket, watch);

	s->events |= events;
	task_wake(s->resolver->loop, &s->resolver->task);
}

static struct socket *socket_of(struct resolver *r, int fd)
{
	for (int i = 0; i < SOCKETS_MAX; i++)
		if (r->sockets[i].watch.fd == fd)
			return &r->sockets[i];
	return NULL;
}

/* c-ares says what it wants to know about a socket. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = context;
	struct socket *s = socket_of(r, fd);
	uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);

	if (s)
		loop_unwatch(r->loop, &s->watch);
	else
		s = socket_of(r, -1);
	if (!s)
		return;               /* that query will time out */
	s->events = 0;
	s->watch.fd = events ? fd : -1;
	if (events && loop_watch(r->loop, &s->watch, events) < 0)
		s->watch.fd = -1;
}

static void set_timeout(struct resolver *r)
{
	struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

	task_set_deadline(r->loop, &r->task,
			  next ? clock_ms() + (uint64_t)next->tv_sec * 1000 +
				 (uint64_t)next->tv_usec / 1000 + 1 : 0);
}

static void resolver_run(struct task *task)
{
	struct resolver *r = caa_container_of(task, struct resolver, task);

	for (int i = 0; i < SOCKETS_MAX; i++) {
		struct socket *s = &r->sockets[i];
		uint32_t events = s->events;
		int fd = s->watch.fd;

		s->events = 0;
		if (fd < 0 || !events)
			continue;
		ares_process_fd(r->channel, events & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
				events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	}
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timeout(r);
}

struct resolver *resolver_create(struct loop *loop)
{
	struct resolver *r = mem_zalloc(sizeof(*r));
	struct ares_options options = {
		.timeout = QUERY_MS, .tries = QUERY_TRIES,
		.sock_state_cb = on_socket_state, .sock_state_cb_data = r,
	};

	r->loop = loop;
	task_init(&r->task, resolver_run);
	CDS_INIT_LIST_HEAD(&r->names);
	for (int i = 0; i < SOCKETS_MAX; i++)
		r->sockets[i] = (struct socket){ { on_socket, -1 }, r, 0 };
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&r->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
			      ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		r->channel = NULL;
	return r;
}

int resolver_use_servers(struct resolver *resolver, const char *servers)
{
	return resolver->channel &&
	       ares_set_servers_ports_csv(resolver->channel, servers) == ARES_SUCCESS ? 0 : -EINVAL;
}

static void wake_all(struct name *name)
{
	struct waiter *waiter, *next;

	cds_list_for_each_entry_safe(waiter, next, &name->waiters, in_name) {
		task_wake(name->resolver->loop, waiter->task);
		cds_list_del(&waiter->in_name);
		free(waiter);
	}
}

static void forget_name(struct name *name)
{
	wake_all(name);
	cds_list_del(&name->in_resolver);
	name->resolver->count--;
	free(name->text);
	free(name);
}

void resolver_destroy(struct resolver *resolver)
{
	struct name *name, *next;

	if (!resolver)
		return;
	if (resolver->channel)
		ares_destroy(resolver->channel);      /* ends what is pending */
	ares_library_cleanup();
	cds_list_for_each_entry_safe(name, next, &resolver->names, in_resolver)
		forget_name(name);
	task_fini(resolver->loop, &resolver->task);
	free(resolver);
}

/* The first IPv4 address, else the first of IPv6. */
static const struct ares_addrinfo_node *best_of(const struct ares_addrinfo *answer)
{
	const struct ares_addrinfo_node *best = NULL;

	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		if (!best || (best->ai_family != AF_INET && node->ai_family == AF_INET))
			best = node;
	return best;
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct name *name = context;
	const struct ares_addrinfo_node *node = answer ? best_of(answer) : NULL;
	uint64_t ttl_ms = TTL_MIN_MS;

	(void)timeouts;
	name->is_pending = false;
	name->error = status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED ? ETIMEDOUT : ENOENT;
	if (status == ARES_SUCCESS && node) {
		memcpy(&name->addr.sa, node->ai_addr, node->ai_addrlen);
		name->addr.len = node->ai_addrlen;
		name->error = 0;
		ttl_ms = node->ai_ttl > 0 ? (uint64_t)node->ai_ttl * 1000 : TTL_MIN_MS;
	}
	name->expires_ms = clock_ms() + (ttl_ms > TTL_MAX_MS ? TTL_MAX_MS : ttl_ms);
	if (answer)
		ares_freeaddrinfo(answer);
	wake_all(name);
}

static struct name *find_name(struct resolver *r, struct str text)
{
	struct name *name;

	cds_list_for_each_entry(name, &r->names, in_resolver)
		if (str_equal_nocase(str_of(name->text), text))
			return name;
	return NULL;
}

/* Makes room by forgetting what was not asked for the longest. */
static bool make_room(struct resolver *r)
{
	struct name *name, *next;

	if (r->count < NAMES_MAX)
		return true;
	cds_list_for_each_entry_reverse(name, &r->names, in_resolver)
		if (!name->is_pending)
			break;
	if (&name->in_resolver == &r->names)
		return false;
	next = name;
	forget_name(next);
	return true;
}

static struct name *add_name(struct resolver *r, struct str text)
{
	struct name *name;

	if (!make_room(r))
		return NULL;
	name = mem_zalloc(sizeof(*name));
	name->resolver = r;
	name->text = mem_strdup(text);
	CDS_INIT_LIST_HEAD(&name->waiters);
	cds_list_add(&name->in_resolver, &r->names);
	r->count++;
	return name;
}

static void ask(struct resolver *r, struct name *name)
{
	struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
	};

	name->is_pending = true;
	ares_getaddrinfo(r->channel, name->text, NULL, &hints, on_answer, name);
	set_timeout(r);
}

static void set_port(struct addr *addr, uint16_t port)
{
	if (addr->sa.sa_family == AF_INET6)
		addr->in6.sin6_port = htons(port);
	else
		addr->in.sin_port = htons(port);
}

static enum io answer(struct name *name, uint16_t port, struct addr *out, int *error)
{
	*error = name->error;
	if (name->error)
		return IO_ERROR;
	*out = name->addr;
	set_port(out, port);
	return IO_OK;
}

static bool waits_already(const struct name *name, const struct task *task)
{
	struct waiter *waiter;

	cds_list_for_each_entry(waiter, &name->waiters, in_name)
		if (waiter->task == task)
			return true;
	return false;
}

static void add_waiter(struct name *name, struct task *task)
{
	struct waiter *waiter;

	if (waits_already(name, task))
		return;
	waiter = mem_alloc(sizeof(*waiter));
	waiter->task = task;
	cds_list_add_tail(&waiter->in_name, &name->waiters);
}

enum io resolver_find(struct resolver *r, struct str text, uint16_t port, struct task *task,
		      struct addr *out, int *error)
{
	struct name *name;

	if (addr_from_ip(text, port, out))
		return IO_OK;
	*error = ENOENT;
	name = find_name(r, text);
	if (!r->channel || (!name && !(name = add_name(r, text))))
		return IO_ERROR;
	cds_list_move(&name->in_resolver, &r->names);
	if (!name->is_pending && clock_ms() >= name->expires_ms)
		ask(r, name);         /* may answer at once, from /etc/hosts */
	if (!name->is_pending)
		return answer(name, port, out, error);
	add_waiter(name, task);
	return IO_AGAIN;
}

void resolver_forget(struct resolver *r, struct task *task)
{
	struct name *name;
	struct waiter *waiter, *next;

	cds_list_for_each_entry(name, &r->names, in_resolver)
		cds_list_for_each_entry_safe(waiter, next, &name->waiters, in_name)
			if (waiter->task == task) {
				cds_list_del(&waiter->in_name);
				free(waiter);
			}
}

/*
 * worker/worker.c - what one worker process owns, from attach to end.
 */
#include "worker/worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "proxy/downstream.h"

#define HEARTBEAT_MS 500

struct worker {
	const struct worker_config *config;   /* borrowed */
	struct process process;
	struct loop *loop;
	struct board *board;
	struct table *table;
	struct buf_pool *bufs;
	struct proxy proxy;
	struct listener *listeners[PROCESS_LISTENERS_MAX];    /* NULL once draining */
	struct watch signals, status;
	struct task heartbeat, control;
	uint64_t cut_at_ms;           /* when a drain without a master ends; 0: never */
	bool is_paused;               /* at the limit of connections */
	struct tls_server *tls_server;        /* NULL: no certificates */
	struct tls_client *tls_client;
	const struct tls_ticket_keys *ticket_keys;
};

/* While we may still read keys that only root can. */
static int make_tls(struct worker *w, struct reason *reason)
{
	int rc = tls_config_load(&w->config->tls, &w->tls_server, &w->tls_client, reason);

	if (rc < 0 || !process_has_fd(PROCESS_FD_TICKET_KEYS))
		return rc;
	rc = tls_ticket_keys_map(PROCESS_FD_TICKET_KEYS, &w->ticket_keys, reason);
	close(PROCESS_FD_TICKET_KEYS);
	if (rc == 0 && w->tls_server)
		tls_server_set_ticket_keys(w->tls_server, w->ticket_keys);
	return rc;
}

static int attach_shared(struct worker *w, struct reason *reason)
{
	int rc;

	if ((rc = process_attach(&w->process, reason)) < 0 ||
	    (rc = board_map(PROCESS_FD_BOARD, &w->board, reason)) < 0 ||
	    (rc = board_slot_claim(w->board, w->process.slot, reason)) < 0 ||
	    (rc = table_map(PROCESS_FD_TABLE, false, &w->table, reason)) < 0)
		return rc;
	close(PROCESS_FD_TABLE);      /* the mapping is all that we may have */
	if ((rc = make_tls(w, reason)) < 0)
		return rc;
	return process_drop_privileges(&w->process, reason);
}

static void make_proxy(struct worker *w)
{
	const struct worker_config *config = w->config;
	struct proxy *proxy = &w->proxy;
	unsigned slot = w->process.slot;

	w->bufs = buf_pool_create(config->proxy.buffer_limit_bytes);
	proxy->loop = w->loop;
	proxy->bufs = w->bufs;
	proxy->board = w->board;
	proxy->counters = counters_row(w->board, slot);
	proxy->settings = &config->proxy;
	proxy->connect_timeout_ms = config->upstream.connect_timeout_ms;
	proxy->handshake_timeout_ms = config->upstream.handshake_timeout_ms;
	proxy->tls = w->tls_server;
	proxy->upstream = upstream_create(w->loop, w->bufs, proxy->counters, &config->upstream,
					  w->tls_client);
	proxy->balancer = (struct balancer){
		.routes = route_reader_create(w->table, w->board, (int)slot),
		.table = w->table, .board = w->board, .slot = slot, .counters = proxy->counters,
		.settings = &config->balancer,
	};
	proxy->access_log = access_log_create(w->board, slot, proxy->counters,
					      &config->access_log);
	proxy_init(proxy);
}

static void pause_listeners(struct worker *w, bool pause)
{
	w->is_paused = pause;
	for (unsigned i = 0; i < w->process.listener_count; i++) {
		struct listener *listener = w->listeners[i];

		if (!listener || str_equal(str_of(listener_kind(listener)), STR("status")))
			continue;
		if (pause)
			listener_pause(listener);
		else
			listener_resume(listener);
	}
	log_warn(pause ? "client-limit-reached" : "client-limit-left", "limit=%llu",
		 (unsigned long long)w->config->proxy.max_connections);
}

static enum downstream_kind kind_of(const struct listener *listener)
{
	struct str kind = str_of(listener_kind(listener));

	return str_equal(kind, STR("status")) ? DOWNSTREAM_STATUS :
	       str_equal(kind, STR("https")) ? DOWNSTREAM_HTTPS : DOWNSTREAM_HTTP;
}

static void on_accept(void *context, struct listener *listener, int fd, const struct addr *peer)
{
	struct worker *w = context;

	downstream_create(&w->proxy, fd, peer, kind_of(listener));
	if (!w->is_paused && w->proxy.downstream_count >= w->config->proxy.max_connections)
		pause_listeners(w, true);
}

static int open_listeners(struct worker *w, struct reason *reason)
{
	for (unsigned i = 0; i < w->process.listener_count; i++) {
		const struct process_listener *listener = &w->process.listeners[i];

		w->listeners[i] = listener_create(w->loop, listener->fd, listener->kind, on_accept,
						  w);
		if (!w->listeners[i])
			return reason_set(reason, -EINVAL, "cannot watch listener \"%s\"",
					  listener->kind);
		if (kind_of(w->listeners[i]) == DOWNSTREAM_HTTPS && !w->tls_server)
			return reason_set(reason, -EINVAL, "a listener of kind \"https\" needs "
					  "\"worker.tls.certificates\"");
	}
	return 0;
}

static void drain(struct worker *w)
{
	struct downstream *d = NULL, *next;

	if (w->proxy.is_draining)
		return;
	log_info("worker-draining", "connections=%u", w->proxy.downstream_count);
	w->proxy.is_draining = true;
	process_notify(&w->process, PROCESS_DRAINING);
	for (unsigned i = 0; i < w->process.listener_count; i++) {
		listener_destroy(w->listeners[i]);
		w->listeners[i] = NULL;
	}
	for (d = downstream_next(&w->proxy, NULL); d; d = next) {
		next = downstream_next(&w->proxy, d);
		downstream_drain(d);
	}
}

/* Nobody else will end the drain of a worker whose master is gone. */
static void drain_alone(struct worker *w)
{
	log_warn("master-gone", LOG_NO_DATA);
	w->cut_at_ms = loop_now_ms(w->loop) + w->config->orphan_timeout_ms;
	drain(w);
}

static void take_signals(struct worker *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM)
			loop_stop(w->loop);
		else
			drain(w);
	}
}

static void take_orders(struct worker *w)
{
	for (;;)
		switch (process_next_order(&w->process)) {
		case PROCESS_ORDER_REOPENED:
			access_log_follow_descriptors(w->proxy.access_log);
			break;
		case PROCESS_ORDER_MASTER_GONE:
			loop_unwatch(w->loop, &w->status);
			drain_alone(w);
			return;
		default:
			return;
		}
}

static void control_run(struct task *task)
{
	struct worker *w = caa_container_of(task, struct worker, control);

	take_signals(w);
	if (!w->cut_at_ms)
		take_orders(w);
}

static void on_signals(struct watch *watch, uint32_t events)
{
	struct worker *w = caa_container_of(watch, struct worker, signals);

	(void)events;
	task_wake(w->loop, &w->control);
}

static void on_status(struct watch *watch, uint32_t events)
{
	struct worker *w = caa_container_of(watch, struct worker, status);

	(void)events;
	task_wake(w->loop, &w->control);
}

/* Keeps the loop turning, so that the watchdog sees a living worker. */
static void heartbeat_run(struct task *task)
{
	struct worker *w = caa_container_of(task, struct worker, heartbeat);

	task_set_deadline(w->loop, task, loop_now_ms(w->loop) + HEARTBEAT_MS);
}

static void on_turn(void *context)
{
	struct worker *w = context;
	uint64_t now_ms = loop_now_ms(w->loop);

	board_slot_beat(w->board, w->process.slot, now_ms);
	if (w->is_paused && w->proxy.downstream_count < w->config->proxy.max_connections)
		pause_listeners(w, false);
	if (w->proxy.is_draining && (!w->proxy.downstream_count ||
				     (w->cut_at_ms && now_ms >= w->cut_at_ms)))
		loop_stop(w->loop);
}

static int watch_control(struct worker *w, struct reason *reason)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	w->signals = (struct watch){ on_signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) };
	w->status = (struct watch){ on_status, PROCESS_FD_STATUS };
	task_init(&w->control, control_run);
	task_init(&w->heartbeat, heartbeat_run);
	if ((rc = loop_watch(w->loop, &w->signals, EPOLLIN)) < 0 ||
	    (rc = loop_watch(w->loop, &w->status, EPOLLIN)) < 0)
		return reason_set(reason, rc, "cannot watch signals and master");
	task_wake(w->loop, &w->heartbeat);
	return 0;
}

/* Otherwise the C library may give the buffers of large bodies back to the kernel
 * after every request and fault them in again. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

/* Before any thread is made: all threads inherit the mask. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* What is still open is cut, and has its access-log line. */
static void end(struct worker *w)
{
	struct downstream *d;

	for (unsigned i = 0; i < w->process.listener_count; i++)
		listener_destroy(w->listeners[i]);
	while ((d = downstream_next(&w->proxy, NULL)) != NULL)
		downstream_cut(d);
	upstream_destroy(w->proxy.upstream);
	tls_client_destroy(w->tls_client);
	tls_server_destroy(w->tls_server);
	tls_ticket_keys_unmap(w->ticket_keys);
	proxy_fini(&w->proxy);
	access_log_destroy(w->proxy.access_log);
	route_reader_destroy(w->proxy.balancer.routes);
	loop_set_turn_hook(w->loop, NULL, NULL);
	loop_turn(w->loop, 0);        /* frees what was given to it */
	loop_destroy(w->loop);
	buf_pool_destroy(w->bufs);
	table_unmap(w->table);
	board_unmap(w->board);
}

int worker_check(const struct worker_config *config, struct reason *reason)
{
	struct tls_server *server;
	struct tls_client *client;
	int rc = tls_config_load(&config->tls, &server, &client, reason);

	if (rc < 0)
		return rc;
	tls_client_destroy(client);
	tls_server_destroy(server);
	return 0;
}

int worker_run(const struct worker_config *config, struct reason *reason)
{
	struct worker w = { .config = config };
	int rc;

	block_signals();
	keep_memory();
	if ((rc = attach_shared(&w, reason)) < 0)
		return rc;
	w.loop = loop_create();
	make_proxy(&w);
	if ((rc = watch_control(&w, reason)) < 0 || (rc = open_listeners(&w, reason)) < 0)
		return rc;
	loop_set_turn_hook(w.loop, on_turn, &w);
	process_notify(&w.process, PROCESS_READY);
	log_info("worker-ready", "slot=%u generation=%u", w.process.slot, w.process.generation);
	loop_run(w.loop);
	end(&w);
	return 0;
}

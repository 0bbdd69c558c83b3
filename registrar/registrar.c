/*
 * registrar/registrar.c - one thread that owns the table: waits for messages,
 * worker reports, the master and the clock.
 */
#include "registrar/registrar.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "registrar/feed.h"
#include "registrar/prune.h"
#include "registrar/registry.h"
#include "shm/counters.h"
#include "shm/route_table.h"

#define TICK_MS 100
#define BATCH 64                      /* messages between two looks at the clock */
#define TURN_MS 10                    /* of registrations, before anything else is looked at */
#define EVENTS 2048

struct registrar {
	const struct registrar_config *config;
	struct process process;
	struct table *table;
	struct board *board;
	struct route_writer *writer;
	struct registry *registry;
	struct prune prune;
	struct feed feed;
	uint64_t *counters;
	uint64_t next_tick_ms;
	int signals;
};

static int attach(struct registrar *r, struct reason *reason)
{
	struct route_recovery recovery;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if ((rc = process_attach(&r->process, reason)) < 0 ||
	    (rc = board_map(PROCESS_FD_BOARD, &r->board, reason)) < 0 ||
	    (rc = board_slot_claim(r->board, SLOT_REGISTRAR, reason)) < 0 ||
	    (rc = table_map(PROCESS_FD_TABLE, true, &r->table, reason)) < 0 ||
	    (rc = route_writer_open(r->table, r->board, &r->writer, &recovery, reason)) < 0 ||
	    (rc = process_drop_privileges(&r->process, reason)) < 0)
		return rc;
	log_info("table-attached", "routes=%llu endpoints=%llu damaged=%llu took_ms=%llu",
		 (unsigned long long)recovery.routes, (unsigned long long)recovery.endpoints,
		 (unsigned long long)recovery.damaged, (unsigned long long)recovery.took_ms);
	r->counters = counters_row(r->board, SLOT_REGISTRAR);
	r->registry = registry_create(&r->config->settings, r->writer, r->board, r->counters);
	r->prune = (struct prune){ .is_suspended = true, .settings = &r->config->settings,
				   .sources = &r->feed.sources, .writer = r->writer,
				   .board = r->board, .counters = r->counters,
				   .failed_limit = { .per_second = 10 } };
	r->feed = (struct feed){ .config = r->config, .board = r->board, .counters = r->counters,
				 .is_patient = recovery.routes > 0 };
	return feed_open(&r->feed, reason);
}

static void handle(struct registrar *r, const struct bus_message *message, uint32_t tick)
{
	if (message->subject == BUS_REGISTER)
		registry_register(r->registry, message->source, message->payload, tick);
	else
		registry_unregister(r->registry, message->source, message->payload, tick);
}

/* Greets and probes first.  True if there may be more registrations. */
static bool take_messages(struct registrar *r)
{
	uint64_t began = clock_ms(), now = began;
	const struct bus_message *message = NULL;

	while (feed_take_urgent(&r->feed, now))
		;
	log_hold();
	do {
		uint32_t tick = table_tick(r->table, now);

		for (unsigned i = 0; i < BATCH && (message = feed_next(&r->feed)); i++)
			handle(r, message, tick);
		now = clock_ms();
	} while (message && now - began < TURN_MS);
	log_release();
	return message != NULL;
}

static void take_events(struct registrar *r)
{
	struct endpoint_event event;

	for (unsigned i = 0; i < EVENTS; i++) {
		struct pollfd ready = { .fd = PROCESS_FD_EVENTS, .events = POLLIN };

		if (poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLIN) ||
		    read(PROCESS_FD_EVENTS, &event, sizeof(event)) != sizeof(event))
			return;
		prune_event(&r->prune, &event);
	}
}

static void on_tick(struct registrar *r)
{
	uint64_t now = clock_ms();
	uint32_t tick = table_tick(r->table, now);

	if (now < r->next_tick_ms)
		return;
	r->next_tick_ms = now + TICK_MS;
	if (feed_tick(&r->feed, now, tick))
		prune_feed_gap(&r->prune, tick);
	prune_tick(&r->prune, tick);
	route_writer_tick(r->writer, now);
	board_slot_beat(r->board, SLOT_REGISTRAR, now);
}

static bool master_is_gone(const struct registrar *r)
{
	enum process_order order;

	while ((order = process_next_order(&r->process)) == PROCESS_ORDER_REOPENED)
		;
	return order == PROCESS_ORDER_MASTER_GONE;
}

static void loop(struct registrar *r)
{
	struct pollfd fds[] = {
		{ .fd = bus_fd(r->feed.bus), .events = POLLIN },
		{ .fd = PROCESS_FD_STATUS, .events = POLLIN },
		{ .fd = r->signals, .events = POLLIN },
		{ .fd = process_has_fd(PROCESS_FD_EVENTS) ? PROCESS_FD_EVENTS : -1,
		  .events = POLLIN },
	};
	bool more = false;

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), more ? 0 : TICK_MS) < 0 && errno != EINTR)
			return;
		if (fds[2].revents || (fds[1].revents && master_is_gone(r)))
			return;
		bus_acknowledge(r->feed.bus);
		more = take_messages(r);
		if (fds[3].revents & POLLIN)
			take_events(r);
		else if (fds[3].revents)
			fds[3].fd = -1;       /* no worker holds the other end */
		on_tick(r);
	}
}

int registrar_run(const struct registrar_config *config, struct reason *reason)
{
	struct registrar r = { .config = config };
	int rc;

	log_info("starting", LOG_NO_DATA);
	if (config->is_threshold_raised)
		log_warn("droplet-stale-threshold-raised", "milliseconds=%llu",
			 (unsigned long long)config->settings.droplet_stale_threshold_ms);
	log_at(LOG_LEVEL_INFO, "subscriber", "subscriber-starting", LOG_NO_DATA);
	rc = attach(&r, reason);

	if (rc < 0)
		return rc;
	log_at(LOG_LEVEL_INFO, "subscriber", "subscriber-started", LOG_NO_DATA);
	process_notify(&r.process, PROCESS_READY);
	loop(&r);
	log_at(LOG_LEVEL_INFO, "subscriber", "exited", LOG_NO_DATA);
	feed_close(&r.feed);
	registry_destroy(r.registry);
	route_writer_close(r.writer);
	table_unmap(r.table);
	board_unmap(r.board);
	log_info("exited", LOG_NO_DATA);
	return 0;
}

/*
 * registrar/registrar.c - one thread that owns the table: waits for messages,
 * worker reports, the master and the clock.
 */
#include "registrar/registrar.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "registrar/digest.h"
#include "registrar/feed.h"
#include "registrar/prune.h"
#include "registrar/readiness.h"
#include "registrar/registry.h"
#include "registrar/snapshot.h"
#include "shm/counters.h"
#include "shm/route_table.h"

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
	struct feed feed;
	struct trust trust;
	struct prune prune;
	struct digest *digest;
	struct snapshot *snapshot;    /* NULL: off */
	struct readiness readiness;
	uint64_t *counters;
	uint64_t next_tick_ms;
	int signals;
};

static void publish_readiness(const struct registrar *r)
{
	board_set_fact(r->board, FACT_CONVERGED_MS, r->readiness.converged_ms);
	board_set_fact(r->board, FACT_FEED_VOUCHED_MS, r->readiness.vouched_ms);
	board_set_fact(r->board, FACT_FEED_LOST_MS, r->readiness.lost_ms);
}

/* A table that is there wins over the file. */
static void load_snapshot(struct registrar *r, uint64_t endpoints)
{
	const struct readiness_legacy legacy = {
		.converged_ms = board_fact(r->board, FACT_CONVERGED_MS),
		.lost_ms = board_fact(r->board, FACT_FEED_LOST_MS),
		.vouched_ms = board_fact(r->board, FACT_FEED_VOUCHED_MS),
		.was_there = board_fact(r->board, FACT_NATS_CONFIGURED) > 0,
	};
	uint64_t now = clock_ms();

	r->snapshot = snapshot_open(r->config, r->writer, r->board, r->counters);
	if (!endpoints && r->snapshot) {
		board_set_fact(r->board, FACT_FEED_LOST_MS, FEED_LOST_EVER);  /* no host is unknown yet */
		endpoints = snapshot_load(r->snapshot, table_tick(r->table, now));
	}
	readiness_init(&r->readiness, r->config->settings.minimum_register_interval_ms, endpoints,
		       &legacy, now);
	publish_readiness(r);
}

/* For the sentence about a server that others do not hear. */
static uint64_t count_only_via(void *context, unsigned source)
{
	struct registrar *r = context;
	struct seen_census census;

	trust_census(&r->trust, table_tick(r->table, clock_ms()), &census);
	return census.only_via[source];
}

/* The loop alone goes back to where it was.  Who is not root has no choice. */
static int open_feed(struct registrar *r, struct reason *reason)
{
	int usual = getpriority(PRIO_PROCESS, 0), rc;

	setpriority(PRIO_PROCESS, 0, usual + BUS_NICE);
	rc = process_drop_privileges(&r->process, reason);
	if (rc == 0)
		rc = feed_open(&r->feed, r->trust.seen, r->trust.cycle, reason);
	setpriority(PRIO_PROCESS, 0, usual);
	return rc;
}

static int attach(struct registrar *r, struct reason *reason)
{
	struct route_recovery recovery;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if ((rc = process_attach(&r->process, reason)) < 0 ||
	    (rc = board_map(PROCESS_FD_BOARD, &r->board, reason)) < 0 ||
	    (rc = board_slot_claim(r->board, SLOT_REGISTRAR, reason)) < 0 ||
	    (rc = table_map(PROCESS_FD_TABLE, true, &r->table, reason)) < 0 ||
	    (rc = route_writer_open(r->table, r->board, &r->writer, &recovery, reason)) < 0)
		return rc;
	log_info("table-attached", "routes=%llu endpoints=%llu damaged=%llu took_ms=%llu",
		 (unsigned long long)recovery.routes, (unsigned long long)recovery.endpoints,
		 (unsigned long long)recovery.damaged, (unsigned long long)recovery.took_ms);
	r->counters = counters_row(r->board, SLOT_REGISTRAR);
	r->feed = (struct feed){ .config = r->config, .board = r->board, .counters = r->counters,
				 .is_patient = recovery.routes > 0,
				 .count_only_via = count_only_via, .context = r };
	trust_init(&r->trust, &r->config->settings, &r->feed.sources, r->board);
	load_snapshot(r, recovery.endpoints);
	r->registry = registry_create(&r->trust, r->writer, r->counters);
	prune_init(&r->prune, &r->trust, r->writer, r->counters);
	r->digest = digest_create(&r->config->settings, r->config->instance.name, r->board,
				  route_writer_digest(r->writer));
	return open_feed(r, reason);
}

/* Probes are noted on the way. */
static void take_urgent(struct registrar *r, uint64_t now)
{
	const struct bus_message *message;

	while ((message = feed_take_urgent(&r->feed, now)))
		if (message->subject == BUS_DIGEST)
			digest_receive(r->digest, message->payload, now);
}

static void take_run(struct registrar *r, const struct bus_message *run, unsigned count,
		     uint64_t now)
{
	unsigned source = run->source;

	registry_take(r->registry, run, count, table_tick(r->table, now));
	bus_set_rules(r->feed.bus, source, registry_read_ahead(r->registry, source));
}

/* What is urgent first.  True if there may be more registrations. */
static bool take_messages(struct registrar *r)
{
	uint64_t began = clock_ms(), now = began;
	const struct bus_message *run;
	unsigned count;

	take_urgent(r, now);
	log_hold();
	do {
		count = feed_next_run(&r->feed, &run, BATCH);
		if (count)
			take_run(r, run, count, now);
		now = clock_ms();
	} while (count && now - began < TURN_MS);
	log_release();
	return count > 0;
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

static void publish_digest(struct registrar *r, uint64_t now)
{
	unsigned char message[DIGEST_MESSAGE_BYTES];

	if (digest_tick(r->digest, now, message))
		bus_publish(r->feed.bus, BUS_ALL, DIGEST_SUBJECT,
			    (struct str){ (char *)message, sizeof(message) });
}

static void tick_readiness(struct registrar *r, uint64_t now, uint32_t tick)
{
	bool is_trusted = sources_any_hear(&r->feed.sources);
	bool had_converged = r->readiness.converged_ms != 0;
	struct table_usage usage;

	route_writer_usage(r->writer, &usage);
	readiness_tick(&r->readiness, is_trusted, usage.entries, now);
	if (!had_converged && r->readiness.converged_ms)
		log_info("registrations-converged", "endpoints=%llu",
			 (unsigned long long)usage.entries);
	publish_readiness(r);
	snapshot_tick(r->snapshot, now, tick, is_trusted && r->readiness.converged_ms);
}

/* So that the history can say who brought a change. */
static void name_sources(struct registrar *r)
{
	struct bus_source source;

	for (unsigned i = 0; i < r->feed.sources.count; i++) {
		bus_source(r->feed.bus, i, &source);
		history_name_source(route_writer_history(r->writer), i, str_of(source.name));
	}
}

static void on_tick(struct registrar *r)
{
	uint64_t now = clock_ms();
	uint32_t tick = table_tick(r->table, now);

	if (now < r->next_tick_ms)
		return;
	r->next_tick_ms = now + TICK_MS;
	feed_tick(&r->feed, now, tick);
	name_sources(r);
	prune_tick(&r->prune, tick);
	route_writer_tick(r->writer, now);
	publish_digest(r, now);
	tick_readiness(r, now, tick);
	board_slot_beat(r->board, SLOT_REGISTRAR, now);
}

static bool master_is_gone(const struct registrar *r)
{
	enum process_order order;

	while ((order = process_next_order(&r->process)) == PROCESS_ORDER_REOPENED)
		;
	return order == PROCESS_ORDER_MASTER_GONE;
}

/* True: to stop.  SIGUSR2 is the operator's lever of the brake. */
static bool take_signals(struct registrar *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGUSR2)
			return true;
		prune_release(&r->prune);
	}
	return false;
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

	on_tick(r);                   /* what is in the table is learned before it changes */
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), more ? 0 : TICK_MS) < 0 && errno != EINTR)
			return;
		if ((fds[2].revents && take_signals(r)) || (fds[1].revents && master_is_gone(r)))
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
	snapshot_close(r.snapshot);
	registry_destroy(r.registry);
	digest_destroy(r.digest);
	trust_fini(&r.trust);
	route_writer_close(r.writer);
	table_unmap(r.table);
	board_unmap(r.board);
	log_info("exited", LOG_NO_DATA);
	return 0;
}

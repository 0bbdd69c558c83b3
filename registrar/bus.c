/*
 * registrar/bus.c - links side by side, and one inbox.
 */
#include "registrar/bus.h"

#include <errno.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/link.h"
#include "registrar/read_ahead.h"

#define PROBE_SUBJECT_SIZE 128
#define WAITING_MOST 16               /* batches that are read ahead: enough for a while */

struct bus {
	struct names *names;          /* owned */
	struct inbox inbox;
	struct link_common common;    /* of all links */
	struct batch *urgent, *feed;  /* owned: being read */
	struct waiting {              /* owned: taken from the inbox to be read ahead */
		struct batch *first, **end;
		unsigned count;
	} waiting;
	struct read_ahead *ahead;     /* owned; NULL: nothing was to be read ahead yet */
	bool cannot_read_ahead;
	const struct reading_rules *rules[SOURCES_MAX];
	unsigned count;
	struct link *links[SOURCES_MAX];      /* owned */
	char probe_subject[PROBE_SUBJECT_SIZE];
};

/* Every message comes through all of them, so all have the same part. */
static uint64_t pending_share(const struct bus *bus)
{
	return bus->common.settings->pending_limit / bus->count;
}

static bool add_link(struct bus *bus, unsigned server)
{
	struct link *link;

	if (bus->count == SOURCES_MAX)
		return false;
	link = link_open(&bus->common, server, bus->count);
	if (!link)
		return false;
	bus->links[bus->count++] = link;
	for (unsigned i = 0; i < bus->count; i++)
		link_set_pending_limit(bus->links[i], pending_share(bus));
	return true;
}

static void on_interrupt(int signal)
{
	(void)signal;                 /* a blocking call was interrupted: that is all */
}

int bus_open(const struct nats_settings *settings, const char *id, struct greets *greets,
	     struct bus **out, struct reason *reason)
{
	struct bus *bus = mem_zalloc(sizeof(*bus));
	int rc = inbox_init(&bus->inbox);

	if (rc < 0) {
		free(bus);
		return reason_set(reason, rc, "eventfd: %s", strerror(-rc));
	}
	bus->names = names_create(&settings->servers);
	snprintf(bus->probe_subject, sizeof(bus->probe_subject), "_r.probe.%s.*", id);
	bus->common = (struct link_common){
		.settings = settings, .names = bus->names, .inbox = &bus->inbox, .greets = greets,
		.probe_subject = bus->probe_subject,
	};
	sigaction(SIGURG, &(struct sigaction){ .sa_handler = on_interrupt }, NULL);
	nats_Open(-1);
	for (unsigned i = 0; i < settings->servers.count; i++) {
		if (add_link(bus, i))
			continue;
		bus_close(bus);
		return reason_set(reason, -EAGAIN, "no thread for a NATS connection");
	}
	*out = bus;
	return 0;
}

static void drop(struct batch *batch)
{
	if (batch)
		batch_free(batch);
}

static void drop_waiting(struct waiting *waiting)
{
	while (waiting->first) {
		struct batch *batch = waiting->first;

		waiting->first = batch->next_waiting;
		batch_free(batch);
	}
}

void bus_close(struct bus *bus)
{
	bool is_quiet = true;

	for (unsigned i = 0; i < bus->count; i++)
		link_stop(bus->links[i]);
	read_ahead_destroy(bus->ahead);       /* we alone hold what waits */
	for (unsigned i = 0; i < bus->count; i++)
		is_quiet = link_close(bus->links[i]) && is_quiet;
	if (!is_quiet)
		return;               /* a thread still uses all of this */
	drop(bus->urgent);
	drop(bus->feed);
	drop_waiting(&bus->waiting);
	inbox_fini(&bus->inbox);      /* messages are freed with the library's help */
	nats_CloseAndWait(1000);      /* no callback runs after this */
	for (unsigned i = 0; i < bus->count; i++)
		link_destroy(bus->links[i]);
	names_destroy(bus->names);
	free(bus);
}

int bus_fd(const struct bus *bus)
{
	return bus->inbox.event;
}

void bus_acknowledge(struct bus *bus)
{
	eventfd_t ignored;

	eventfd_read(bus->inbox.event, &ignored);
}

/* The batch at hand, or the next if that is used up; NULL: there is none. */
static struct batch *at_hand(struct bus *bus, struct batch **batch,
			     struct batch *(*take)(struct bus *))
{
	while (!*batch || (*batch)->next == (*batch)->count) {
		if (*batch)
			batch_release(*batch);
		*batch = take(bus);
		if (!*batch)
			return NULL;
	}
	return *batch;
}

static struct batch *take_urgent(struct bus *bus)
{
	return inbox_take(&bus->inbox.urgent);
}

/* What is next is the loop's own; what is behind it may be read meanwhile. */
static void read_ahead(struct bus *bus, struct batch *batch)
{
	const struct reading_rules *rules = bus->rules[batch->items[0].source];

	if (!rules || bus->cannot_read_ahead)
		return;
	if (!bus->ahead)
		bus->ahead = read_ahead_create();
	bus->cannot_read_ahead = !bus->ahead;
	if (bus->ahead)
		read_ahead_give(bus->ahead, batch, rules);
}

static void fill_waiting(struct bus *bus)
{
	struct waiting *waiting = &bus->waiting;
	struct batch *batch;

	while (waiting->count < WAITING_MOST && (batch = inbox_take(&bus->inbox.feed))) {
		if (!waiting->count++)
			waiting->end = &waiting->first;
		else
			read_ahead(bus, batch);
		batch->next_waiting = NULL;
		*waiting->end = batch;
		waiting->end = &batch->next_waiting;
	}
}

static struct batch *take_feed(struct bus *bus)
{
	struct batch *batch;

	fill_waiting(bus);
	batch = bus->waiting.first;
	if (!batch)
		return NULL;
	bus->waiting.first = batch->next_waiting;
	bus->waiting.count--;
	atomic_store_explicit(&batch->is_begun, true, memory_order_relaxed);
	return batch;
}

const struct bus_message *bus_next_urgent(struct bus *bus)
{
	struct batch *batch = at_hand(bus, &bus->urgent, take_urgent);

	return batch ? &batch->items[batch->next++] : NULL;
}

unsigned bus_next_run(struct bus *bus, const struct bus_message **out, unsigned most)
{
	struct batch *batch = at_hand(bus, &bus->feed, take_feed);
	unsigned left = batch ? batch->count - batch->next : 0, n = left < most ? left : most;

	if (!n)
		return 0;
	*out = &batch->items[batch->next];
	batch->next += n;
	return n;
}

unsigned bus_sources(struct bus *bus)
{
	unsigned server;

	for (unsigned i = 0; i < bus->count; i++)
		link_watch(bus->links[i], clock_ms());
	while (bus->count < SOURCES_MAX && names_take_spare(bus->names, &server))
		if (!add_link(bus, server))
			break;
	return bus->count;
}

void bus_source(const struct bus *bus, unsigned source, struct bus_source *out)
{
	struct link_state state;

	link_state(bus->links[source], &state);
	*out = (struct bus_source){
		.name = link_name(bus->links[source]), .is_connected = state.is_connected,
		.is_lame = state.is_lame, .is_stray = state.is_stray, .connects = state.connects,
		.dropped = state.dropped, .refused = state.refused,
		.pending_bytes = state.pending_bytes, .pending_limit = pending_share(bus),
	};
}

unsigned bus_publish(struct bus *bus, unsigned source, const char *subject, struct str payload)
{
	unsigned done = 0;

	for (unsigned i = 0; i < bus->count; i++)
		if (source == BUS_ALL || source == i)
			done += link_publish(bus->links[i], subject, payload.p, payload.len);
	return done;
}

void bus_set_feed(struct bus *bus, unsigned source, bool is_wanted)
{
	link_set_feed(bus->links[source], is_wanted);
}

void bus_set_rules(struct bus *bus, unsigned source, const struct reading_rules *rules)
{
	bus->rules[source] = rules;
}

uint64_t bus_dropped(const struct bus *bus)
{
	struct bus_source source;
	uint64_t sum = 0;

	for (unsigned i = 0; i < bus->count; i++) {
		bus_source(bus, i, &source);
		sum += source.dropped;
	}
	return sum;
}

uint64_t bus_reconnects(const struct bus *bus)
{
	struct bus_source source;
	uint64_t sum = 0;

	for (unsigned i = 0; i < bus->count; i++) {
		bus_source(bus, i, &source);
		sum += source.connects ? source.connects - 1 : 0;
	}
	return sum;
}

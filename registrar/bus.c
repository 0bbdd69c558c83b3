/*
 * registrar/bus.c - links side by side, and one inbox.
 */
#include "registrar/bus.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/link.h"

#define PROBE_SUBJECT_SIZE 128

struct bus {
	const struct nats_settings *settings;
	struct names *names;          /* owned */
	struct inbox inbox;
	struct cursor {
		struct batch *batch;  /* owned: being read */
		struct bus_message message;
	} urgent, feed;
	unsigned count;
	struct link *links[SOURCES_MAX];      /* owned */
	char probe_subject[PROBE_SUBJECT_SIZE];
};

/* Every message comes through all of them, so all have the same part. */
static uint64_t pending_share(const struct bus *bus)
{
	return bus->settings->pending_limit / bus->count;
}

static bool add_link(struct bus *bus, unsigned server)
{
	struct link *link;

	if (bus->count == SOURCES_MAX)
		return false;
	link = link_open(bus->settings, bus->names, server, bus->count, bus->probe_subject,
			 &bus->inbox);
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

int bus_open(const struct nats_settings *settings, const char *id, struct bus **out,
	     struct reason *reason)
{
	struct bus *bus = mem_zalloc(sizeof(*bus));
	int rc = inbox_init(&bus->inbox);

	if (rc < 0) {
		free(bus);
		return reason_set(reason, rc, "eventfd: %s", strerror(-rc));
	}
	bus->settings = settings;
	bus->names = names_create(&settings->servers);
	snprintf(bus->probe_subject, sizeof(bus->probe_subject), "_r.probe.%s.*", id);
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

static void drop(struct cursor *c)
{
	if (c->batch)
		batch_free(c->batch);
	c->batch = NULL;
}

void bus_close(struct bus *bus)
{
	bool is_quiet = true;

	for (unsigned i = 0; i < bus->count; i++)
		link_stop(bus->links[i]);
	for (unsigned i = 0; i < bus->count; i++)
		is_quiet = link_close(bus->links[i]) && is_quiet;
	if (!is_quiet)
		return;               /* a thread still uses all of this */
	nats_CloseAndWait(1000);      /* no callback runs after this */
	drop(&bus->urgent);
	drop(&bus->feed);
	inbox_fini(&bus->inbox);
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

static enum bus_subject classify(const char *name)
{
	static const struct { const char *prefix; size_t len; enum bus_subject subject; } all[] = {
		{ "router.register",   16, BUS_REGISTER },        /* with its terminator: all of it */
		{ "router.unregister", 18, BUS_UNREGISTER },
		{ "router.greet",      13, BUS_GREET },
		{ "_r.probe.",          9, BUS_PROBE },
		{ "_r.digest",         10, BUS_DIGEST },
		{ "router.start",      13, BUS_START },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (strncmp(name, all[i].prefix, all[i].len) == 0)
			return all[i].subject;
	return BUS_OTHER;
}

/* Text lies in the library's message, which lives until the next call. */
static const struct bus_message *show(struct cursor *c, const natsMsg *message)
{
	const char *name = natsMsg_GetSubject(message);

	c->message = (struct bus_message){
		.subject = classify(name), .source = c->batch->source,
		.received_ms = c->batch->born_ms, .name = str_of(name),
		.payload = { natsMsg_GetData(message),
			     (size_t)natsMsg_GetDataLength(message) },
		.reply = str_of(natsMsg_GetReply(message)),
	};
	return &c->message;
}

/* Takes the next batch if this one is used up; false: there is none. */
static bool is_filled(struct cursor *c, struct inbox_queue *queue)
{
	while (!c->batch || c->batch->next == c->batch->count) {
		if (c->batch)
			batch_free(c->batch);
		c->batch = inbox_take(queue);
		if (!c->batch)
			return false;
	}
	return true;
}

const struct bus_message *bus_next_urgent(struct bus *bus)
{
	struct cursor *c = &bus->urgent;

	return is_filled(c, &bus->inbox.urgent) ? show(c, c->batch->items[c->batch->next++]) : NULL;
}

/* One wildcard carries all of router.*: what is not for us, or came as urgent, is passed by. */
static unsigned take_run(struct cursor *c, struct bus_message *out, unsigned most)
{
	unsigned n = 0;

	while (n < most && c->batch->next < c->batch->count) {
		out[n] = *show(c, c->batch->items[c->batch->next++]);
		n += out[n].subject <= BUS_UNREGISTER;
	}
	return n;
}

unsigned bus_next_run(struct bus *bus, struct bus_message *out, unsigned most)
{
	while (is_filled(&bus->feed, &bus->inbox.feed)) {
		unsigned n = take_run(&bus->feed, out, most);

		if (n)
			return n;
	}
	return 0;
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

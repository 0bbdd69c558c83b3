/*
 * registrar/session_reader.c - from the socket to the inbox.
 *
 * Without TLS the reader reads the socket, takes the registrations where they lie, and
 * passes the rest to the library through a pipe (wire.h, sieve.h).  With TLS the library
 * reads, and keeps each message in memory of its own.
 */
#include "registrar/session_reader.h"

#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define GATHER_BYTES (32 << 10)       /* less than that at once is not worth a wake-up, so */
#define GATHER_MS 4                   /* more is waited for so long */
#define LIBRARY_OVERHEAD 360          /* what the library and a batch keep beside the payload */
#define SLAB_OVERHEAD 130             /* what a slab and a batch do */
#define RETURNED_BYTES (2u << 20)     /* so many that were applied may wait to be freed */
#define BURST_BYTES (64u << 20)       /* so many that waited leave memory worth giving back */

static bool has_wire(const struct session *s)
{
	return s->wire.server >= 0;
}

static int socket_of(struct session *s)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = s->socket;
	pthread_mutex_unlock(&s->lock);
	return fd;
}

/* --- handing over */

/* Registrations beyond the limit are dropped and counted: a gap that is known. */
static bool is_beyond_limit(struct session_shared *shared, uint64_t bytes)
{
	uint64_t pending = atomic_load_explicit(&shared->batches.pending_bytes,
						memory_order_relaxed);

	return pending + bytes > atomic_load_explicit(&shared->pending_limit, memory_order_relaxed);
}

static void hand_over(struct session *s, struct batch *b, bool is_feed)
{
	struct session_shared *shared = s->shared;
	struct inbox *inbox = shared->inbox;
	bool is_lost = b->bytes && is_beyond_limit(shared, b->bytes);

	if (is_lost)
		atomic_fetch_add(&shared->dropped, b->count);
	if (is_lost || !b->count) {
		batch_free(b);
		return;
	}
	atomic_fetch_add(&shared->batches.pending_bytes, b->bytes);
	inbox_put(inbox, is_feed ? &inbox->feed : &inbox->urgent, b);
}

static void add(struct batch *b, struct session_shared *shared, const struct bus_message *message,
		unsigned overhead)
{
	struct bus_message *item = &b->items[b->count++];

	*item = *message;
	item->source = shared->source;
	if (item->subject == BUS_REGISTER)
		item->hash = hash_text(&shared->inbox->key, item->payload);
	b->bytes += overhead ? item->payload.len + overhead : 0;
}

/* --- what the library read */

static enum bus_subject classify(const char *name)
{
	static const struct { const char *prefix; size_t len; enum bus_subject subject; } all[] = {
		{ "router.register",   16, BUS_REGISTER },        /* with its terminator: all of it */
		{ "router.unregister", 18, BUS_UNREGISTER },
		{ "_r.probe.",          9, BUS_PROBE },
		{ "_r.digest",         10, BUS_DIGEST },
		{ "router.start",      13, BUS_START },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (strncmp(name, all[i].prefix, all[i].len) == 0)
			return all[i].subject;
	return BUS_OTHER;
}

/* One wildcard carries all of router.*: what is not for us, or came as urgent, is passed by. */
static bool is_wanted(enum bus_subject subject, enum link_subject via)
{
	return via == LINK_FEED ? subject <= BUS_UNREGISTER : subject != BUS_OTHER;
}

static void add_owned(struct batch *b, struct session_shared *shared, enum link_subject via,
		      natsMsg *message, uint64_t now_ms)
{
	const char *name = natsMsg_GetSubject(message);
	struct bus_message item = {
		.subject = classify(name), .received_ms = now_ms, .name = name,
		.payload = { natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message) },
		.memory = message,
	};

	if (is_wanted(item.subject, via))
		add(b, shared, &item, via == LINK_FEED ? LIBRARY_OVERHEAD : 0);
	else
		natsMsg_Destroy(message);
}

static struct batch *collect(struct session *s, enum link_subject via, unsigned most)
{
	struct batch *b = batch_create(&s->shared->batches, NULL, most);
	uint64_t now = clock_ms();
	natsMsg *message;

	while (most-- > 0 && natsSubscription_NextMsg(&message, s->subs[via], 1) == NATS_OK)
		add_owned(b, s->shared, via, message, now);
	return b;
}

/* How many wait, and their bytes. */
static unsigned count_waiting(struct session *s, enum link_subject which, uint64_t *bytes)
{
	int waiting = 0, size = 0;

	*bytes = 0;
	if (!s->subs[which] ||
	    natsSubscription_GetPending(s->subs[which], &waiting, &size) != NATS_OK)
		return 0;
	*bytes = size > 0 ? (uint64_t)size : 0;
	return waiting > 0 ? (unsigned)waiting : 0;
}

static void answer(struct session *s, const char *reply)
{
	struct session_shared *shared = s->shared;

	if (!reply || !*reply ||
	    !greets_is_new(shared->greets, str_of(reply), shared->source, clock_ms()))
		return;
	if (natsConnection_PublishString(s->nc, reply, shared->greets->answer) == NATS_OK)
		atomic_fetch_add(&shared->greets->answered, 1);
}

static void answer_greets(struct session *s)
{
	uint64_t bytes;

	for (unsigned n = count_waiting(s, LINK_GREET, &bytes); n > 0; n--) {
		natsMsg *greet;

		if (natsSubscription_NextMsg(&greet, s->subs[LINK_GREET], 1) != NATS_OK)
			return;
		answer(s, natsMsg_GetReply(greet));
		natsMsg_Destroy(greet);
	}
}

static uint64_t hand_over_subject(struct session *s, enum link_subject which)
{
	uint64_t bytes;
	unsigned waiting = count_waiting(s, which, &bytes);

	while (waiting > 0) {
		unsigned most = waiting > BATCH_MOST ? BATCH_MOST : waiting;

		hand_over(s, collect(s, which, most), which == LINK_FEED);
		waiting -= most;
	}
	return bytes;
}

/* The bytes of registrations that came. */
static uint64_t hand_over_all(struct session *s)
{
	uint64_t bytes;

	answer_greets(s);
	bytes = hand_over_subject(s, LINK_FEED);
	hand_over_subject(s, LINK_PROBE);
	hand_over_subject(s, LINK_DIGEST);
	hand_over_subject(s, LINK_START);
	return bytes;
}

/* --- what the reader read */

static bool is_readable(struct session *s)
{
	struct pollfd ready = { .fd = socket_of(s), .events = POLLIN };

	return ready.fd >= 0 && poll(&ready, 1, 0) > 0;
}

/* The library reads at once what it is given; doing so it may close. */
static void pass_on(struct session *s, struct str bytes)
{
	while (bytes.len && socket_of(s) >= 0) {
		bytes = str_sub(bytes, wire_pass(&s->wire, bytes), STR_REST);
		do
			natsConnection_ProcessReadEvent(s->nc);
		while (is_readable(s));
	}
}

static void hand_over_taken(struct session *s)
{
	struct batch *b = s->batch;

	s->batch = NULL;
	if (b && b->count < BATCH_MOST / 4)
		b = mem_resize(b, offsetof(struct batch, items) + b->count * sizeof(b->items[0]));
	if (b)
		hand_over(s, b, true);
}

static void take(struct session *s, struct slab *slab, const struct sieve_piece *piece,
		 uint64_t now_ms)
{
	struct bus_message item = {
		.subject = piece->subject, .received_ms = now_ms, .payload = piece->bytes,
		.name = piece->subject == BUS_REGISTER ? "router.register" : "router.unregister",
	};

	if (!s->batch)
		s->batch = batch_create(&s->shared->batches, slab, BATCH_MOST);
	add(s->batch, s->shared, &item, SLAB_OVERHEAD);
	s->fed_bytes += piece->bytes.len;
	if (s->batch->count == BATCH_MOST)
		hand_over_taken(s);
}

/* Neighbours pass together. */
static void sift(struct session *s, struct slab *slab, uint64_t now_ms)
{
	struct str passing = STR_NONE;
	struct sieve_piece piece;
	size_t len;

	while (slab->taken < slab->filled &&
	       (len = sieve_next(&s->sieve, str_range(slab->bytes + slab->taken,
						      slab->bytes + slab->filled), &piece))) {
		slab->taken += len;
		if (piece.kind == SIEVE_TAKE) {
			take(s, slab, &piece, now_ms);
		} else if (passing.len && passing.p + passing.len == piece.bytes.p) {
			passing.len += piece.bytes.len;
		} else {
			pass_on(s, passing);
			passing = piece.bytes;
		}
	}
	pass_on(s, passing);
}

/* The slab to read into; a batch holds only the one its messages lie in. */
static struct slab *choose_slab(struct session *s)
{
	struct slab *slab = batch_home_slab(&s->shared->batches);

	if (s->batch && s->batch->slab != slab)
		hand_over_taken(s);
	return slab;
}

static void read_wire(struct session *s)
{
	uint64_t now = clock_ms(), began = now;
	struct slab *slab;
	size_t room;
	ssize_t n;

	do {
		slab = choose_slab(s);
		room = SLAB_BYTES - slab->filled;
		n = wire_read(&s->wire, slab->bytes + slab->filled, room);
		if (n <= 0)
			break;
		slab->filled += (size_t)n;
		sift(s, slab, now);
		now = clock_ms();
	} while ((size_t)n == room && now - began < GATHER_MS);
	hand_over_taken(s);
	if (n == 0) {
		wire_pass_end(&s->wire);
		natsConnection_ProcessReadEvent(s->nc);
		atomic_store(&s->must_end, true);
	}
}

/* The library takes one TLS record at a time, and a record may be one small message. */
static void read_library(struct session *s)
{
	uint64_t began = clock_ms();

	do
		natsConnection_ProcessReadEvent(s->nc);
	while (is_readable(s) && clock_ms() - began < GATHER_MS);
}

/* --- memory */

/* For each message that is freed the library wakes its collector thread, unless that is
 * awake: so it is better many at once, or when there is nothing else to do. */
static void free_returned(struct batch_home *batches, bool is_idle)
{
	if (is_idle || atomic_load_explicit(&batches->returned_bytes, memory_order_relaxed) >
		       RETURNED_BYTES)
		batch_home_clear(batches);
}

/* The heap of a burst goes back to the machine once all of it was applied. */
static void give_back(struct session *s)
{
	struct batch_home *batches = &s->shared->batches;
	uint64_t pending = atomic_load_explicit(&batches->pending_bytes, memory_order_relaxed);

	if (pending > BURST_BYTES) {
		s->had_burst = true;
	} else if (s->had_burst && pending == 0) {
		s->had_burst = false;
		batch_home_trim(batches);
		malloc_trim(0);
	}
}

/* --- the thread */

/* A busy server sends a few messages at a time, and waking up costs more than they do. */
static void gather(struct session *s, uint64_t feed_bytes)
{
	struct timespec pause = { .tv_nsec = GATHER_MS * 1000000 };

	if (feed_bytes && feed_bytes < GATHER_BYTES && !atomic_load(&s->wants_write))
		nanosleep(&pause, NULL);
}

natsStatus session_subscribe(struct session *s, enum link_subject which)
{
	/* One subscription for all registrations keeps their order; only "router.*" can. */
	const char *const subjects[LINK_SUBJECTS] = {
		[LINK_FEED] = "router.*", [LINK_GREET] = "router.greet",
		[LINK_PROBE] = s->shared->probe_subject, [LINK_DIGEST] = "_r.digest",
		[LINK_START] = "router.start",
	};
	natsStatus rc = natsConnection_SubscribeSync(&s->subs[which], s->nc, subjects[which]);

	if (rc == NATS_OK)
		rc = natsSubscription_SetPendingLimits(s->subs[which], -1, -1);
	if (rc == NATS_OK && which == LINK_FEED)
		sieve_follow(&s->sieve, (uint64_t)natsSubscription_GetID(s->subs[which]));
	return rc;
}

static void follow_wishes(struct session *s)
{
	bool wants = atomic_load(&s->shared->wants_feed);

	if (wants && !s->subs[LINK_FEED]) {
		session_subscribe(s, LINK_FEED);
	} else if (!wants && s->subs[LINK_FEED]) {
		natsSubscription_Unsubscribe(s->subs[LINK_FEED]);
		natsSubscription_Destroy(s->subs[LINK_FEED]);
		s->subs[LINK_FEED] = NULL;
		sieve_follow(&s->sieve, 0);
	}
}

/* True: some is left until the socket takes it. */
static bool write_what_waits(struct session *s)
{
	bool is_left = false;

	while (!is_left && atomic_load(&s->wants_write) && socket_of(s) >= 0) {
		natsConnection_ProcessWriteEvent(s->nc);
		is_left = has_wire(s) ? wire_flush(&s->wire) : atomic_load(&s->wants_write);
	}
	return is_left || (has_wire(s) && wire_flush(&s->wire));
}

static bool wait_for_bytes(struct session *s, bool is_left)
{
	struct pollfd fds[] = { { .fd = has_wire(s) ? s->wire.server : socket_of(s),
				  .events = (short)(POLLIN | (is_left ? POLLOUT : 0)) },
				{ .fd = s->wake, .events = POLLIN } };
	eventfd_t ignored;

	if (poll(fds, 2, -1) < 0)
		return false;
	if (fds[1].revents)
		eventfd_read(s->wake, &ignored);
	return fds[0].revents & ~POLLOUT;
}

void *session_read_all(void *argument)
{
	struct session *s = argument;

	batch_home_restart(&s->shared->batches);
	while (socket_of(s) >= 0 && !atomic_load(&s->must_end)) {
		bool has_come = wait_for_bytes(s, write_what_waits(s));

		s->fed_bytes = 0;
		follow_wishes(s);
		if (has_come && has_wire(s))
			read_wire(s);
		else if (has_come)
			read_library(s);
		s->fed_bytes += hand_over_all(s);
		free_returned(&s->shared->batches, s->fed_bytes == 0);
		give_back(s);
		gather(s, s->fed_bytes);
	}
	if (has_wire(s))
		shutdown(s->wire.server, SHUT_RDWR);
	atomic_store(&s->is_over, true);
	eventfd_write(s->shared->keeper_event, 1);
	return NULL;
}

/*
 * registrar/session.h - one connection of nats.c from birth to death, used as a parser:
 * our own reader thread polls its socket, answers greets and hands the rest to the inbox.  The
 * library neither reconnects nor pings nor delivers by itself.  Opened, ended and
 * destroyed by the keeper of its link; only publishing may come from elsewhere.
 */
#ifndef REGISTRAR_SESSION_H
#define REGISTRAR_SESSION_H

#include "base/addr.h"
#include "registrar/config.h"
#include "registrar/greets.h"
#include "registrar/inbox.h"
#include "registrar/names.h"

enum link_subject { LINK_FEED, LINK_GREET, LINK_PROBE, LINK_DIGEST, LINK_START, LINK_SUBJECTS };

/* What all sessions of a link share; owned by the link. */
struct session_shared {
	const struct nats_settings *settings;
	const struct server_name *server;
	struct inbox *inbox;
	struct greets *greets;
	unsigned source;
	const char *probe_subject;
	int keeper_event;             /* rung when a session is over */
	atomic_uint_least64_t opening_ms;     /* since when session_open() runs; 0: it does not */
	atomic_bool wants_feed, is_lame, must_stop;
	atomic_uint_least64_t pending_limit, dropped, refused;
	struct batch_home batches;
};

struct session;

/* Connects (blocks; bounded by the connect timeout), subscribes, and begins to read.  NULL with
 * a reason. */
struct session *session_open(struct session_shared *shared, const struct addr *address,
			     struct reason *reason);

/* A round trip; blocks.  False: no answer in time, or over. */
bool session_confirm(struct session *session, uint64_t timeout_ms);
bool session_is_over(const struct session *session);
bool session_publish(struct session *session, const char *subject, const void *bytes, size_t len);

/* The reader looks again at shared->wants_feed. */
void session_wake(struct session *session);

/* Makes a blocked confirm return; any thread that may publish. */
void session_break(struct session *session);

/* Ends reader and connection; no publishing any more.  Then, a minute later, destroy. */
void session_end(struct session *session);
void session_destroy(struct session *session);

#endif

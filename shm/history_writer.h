/*
 * shm/history_writer.h - writing the history (history.h).  The registrar only; the
 * route writer notes what it changes by itself (route_writer_because()), others
 * note what happens to an endpoint without a change of the table.
 */
#ifndef SHM_HISTORY_WRITER_H
#define SHM_HISTORY_WRITER_H

#include "history.h"

struct history;

/* `table` is mapped writable; borrowed.  Never fails: a table without room for a
 * history gives one that forgets everything. */
struct history *history_open(struct table *table);
void history_close(struct history *history);

/* Says what server `source` of this process is called, without secrets; again when
 * it has another name.  Names are kept for the records that mention them. */
#define HISTORY_SOURCES_MAX 32
#define HISTORY_NO_SOURCE   UINT32_MAX
void history_name_source(struct history *history, unsigned source, struct str name);

struct history_change {
	enum history_what what;
	unsigned source;              /* which server brought it, or HISTORY_NO_SOURCE */
	struct str key;               /* of the route */
	struct str host, app_id;      /* of the endpoint */
	uint16_t port;
	struct str why;               /* in words; may be empty */
	uint64_t host_hash;           /* history_host_hash(); 0: not computed yet */
};
void history_note(struct history *history, const struct history_change *change);

/* Fetches the memory that a note about this host will look at. */
void history_fetch(const struct history *history, uint64_t host_hash);

#endif

/*
 * master/handover.h - what the master creates once and hands to every child:
 * the shared objects, the event pipe, the log files.  It outlives all
 * generations.  The master maps the board and never the table.
 */
#ifndef MASTER_HANDOVER_H
#define MASTER_HANDOVER_H

#include "base/tls_ticket_keys.h"
#include "master/config.h"
#include "master/log_files.h"
#include "master/slots.h"

struct handover {
	struct region_objects objects;
	struct board *board;
	struct slots slots;
	int events[2];                /* [0] read end, registrar; [1] write end, workers */
	struct tls_ticket_keys *ticket_keys;      /* owned; workers map ticket_keys_fd */
	int ticket_keys_fd;
	uint64_t tickets_rotate_ms;   /* when next; 0: not set yet */
	struct log_files logs;        /* opened before, by log_files_open() */
};

/* Opens the shared objects and the pipe.  0, or -errno with a reason and
 * nothing left open; the log files stay. */
int handover_open(struct handover *handover, const struct master_config *config,
		  struct reason *reason);

/* What is due: a new ticket key once every `ticket_key_ms`. */
void handover_tick(struct handover *handover, uint64_t ticket_key_ms, uint64_t now_ms);

/* Closes all but the log files; `remove` takes the shared objects' names away. */
void handover_close(struct handover *handover, const char *instance, bool remove);

#endif

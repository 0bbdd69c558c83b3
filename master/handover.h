/*
 * master/handover.h - what the master creates once and hands to every child:
 * the shared objects, the event pipe, the log files.  It outlives all
 * generations.  The master maps the board and never the table.
 */
#ifndef MASTER_HANDOVER_H
#define MASTER_HANDOVER_H

#include "master/config.h"
#include "master/log_files.h"
#include "master/slots.h"

struct handover {
	struct region_objects objects;
	struct board *board;
	struct slots slots;
	int events[2];                /* [0] read end, registrar; [1] write end, workers */
	struct log_files logs;        /* opened before, by log_files_open() */
};

/* Opens the shared objects and the pipe.  0, or -errno with a reason and
 * nothing left open; the log files stay. */
int handover_open(struct handover *handover, const struct master_config *config,
		  struct reason *reason);

/* Closes all but the log files; `remove` takes the shared objects' names away. */
void handover_close(struct handover *handover, const char *instance, bool remove);

#endif

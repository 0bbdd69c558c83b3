/*
 * master/master.h - the process that starts, watches and replaces all others.
 * It reads no request and no route.  One poll loop: take signals and notices,
 * then bring what is closer to what should be.  reload.c and departure.c hold
 * its two longer stories; main.c makes the one object.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "master/daemon.h"
#include "master/generation.h"
#include "master/pid_file.h"
#include "master/watchdog.h"

enum master_phase {
	PHASE_RUNNING,
	PHASE_WAITING,                /* drain asked for; still serving for drain_wait */
	PHASE_DRAINING,
	PHASE_STOPPING,
};

struct master {
	const char *config_path;      /* borrowed */
	struct handover handover;
	struct pid_file pid_file;
	struct daemon daemon;
	struct cds_list_head generations;       /* owns them; oldest first */
	struct generation *serving;   /* in the list; NULL until the first is ready */
	struct generation *next;      /* in the list; NULL unless one is starting */
	unsigned generation_count;    /* number of the newest */
	struct seat registrar;
	uint64_t registrar_deadline_ms;         /* told to stop: gone by then; 0: not told */
	struct watchdog watchdog;
	enum master_phase phase;
	uint64_t deadline_ms;         /* of WAITING and STOPPING */
	uint64_t healthy_at_ms;       /* at the latest; 0: the first generation is not ready */
	bool was_healthy;             /* the table was taken over, and had its start behind it */
	uint64_t swept_ms;
	bool reload_wanted, reload_waits;
	uint64_t *counters;           /* our row on the board */
	int signal_fd;
	int exit_code;
};

/* Signals that the master takes with signalfd; to be blocked before this. */
void master_block_signals(void);

/* Opens everything and prepares the first generation.  `master` holds the log
 * files (handover.logs), pid_file, daemon and config_path already; takes
 * ownership of `config`.  0, or -errno with a reason and nothing left open. */
int master_open(struct master *master, struct master_config *config, struct reason *reason);

/* Runs until it is told to end.  Returns the exit code. */
int master_run(struct master *master);
void master_close(struct master *master);

/* The configuration in force. */
const struct master_config *master_config_of(const struct master *master);

/* reload.c: starts the next generation if the file is good; it then becomes
 * ready (promote) or is given up (drop). */
void master_reload(struct master *master, uint64_t now_ms);
void master_promote(struct master *master, uint64_t now_ms);
void master_drop(struct master *master, const char *reason, uint64_t now_ms);

/* departure.c: SIGUSR1, SIGTERM, and what is due now.  master_depart() returns
 * true when all have gone. */
void master_drain(struct master *master, uint64_t now_ms);
void master_stop(struct master *master, uint64_t now_ms);
bool master_depart(struct master *master, uint64_t now_ms);

#endif

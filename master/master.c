/*
 * master/master.c - the loop, and what a death means.
 */
#include "master/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "counters.h"

#define SETTLED_TURN_MS 1000          /* nothing is changing: our heartbeat's pace */
#define UNSETTLED_TURN_MS 20
#define SWEEP_MS 100
#define TAKE_OVER_MS 5000

static const int handled_signals[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };

const struct master_config *master_config_of(const struct master *master)
{
	return master->serving ? master->serving->config : master->next->config;
}

/* The seats, one after the other: those of all generations, then the registrar. */
static struct seat *find_seat(struct master *master, pid_t pid, struct generation **generation)
{
	struct generation *g;

	cds_list_for_each_entry(g, &master->generations, node)
		for (unsigned i = 0; i < g->seat_count; i++)
			if (g->seats[i].child.pid == pid && !seat_is_empty(&g->seats[i])) {
				*generation = g;
				return &g->seats[i];
			}
	*generation = NULL;
	return master->registrar.child.pid == pid ? &master->registrar : NULL;
}

static void log_death(const struct child *child, int status, bool was_asked, uint64_t now_ms)
{
	bool is_clean = was_asked && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	enum log_level level = is_clean ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;
	unsigned long long lived_ms = now_ms - child->started_ms;

	if (WIFSIGNALED(status))
		log_at(level, NULL, "child-died",
		       "kind=%s pid=%d slot=%u generation=%u signal=%d lived_ms=%llu",
		       child_kind_name(child->kind), (int)child->pid, child->slot,
		       child->generation, WTERMSIG(status), lived_ms);
	else
		log_at(level, NULL, is_clean ? "child-exited" : "child-died",
		       "kind=%s pid=%d slot=%u generation=%u exit_code=%d lived_ms=%llu",
		       child_kind_name(child->kind), (int)child->pid, child->slot,
		       child->generation, WEXITSTATUS(status), lived_ms);
}

static bool is_wrong_config(const struct child *child, int status)
{
	return child->state == CHILD_STARTING && WIFEXITED(status) &&
	       WEXITSTATUS(status) == EXIT_CONFIG;
}

static void on_death(struct master *master, pid_t pid, int status, uint64_t now_ms)
{
	struct generation *generation;
	struct seat *seat = find_seat(master, pid, &generation);
	struct child *child;
	bool was_asked, is_wrong;

	if (!seat)
		return;
	child = &seat->child;
	was_asked = child->state == CHILD_STOPPING || child->state == CHILD_DRAINING;
	is_wrong = is_wrong_config(child, status);
	child_on_status(child);       /* it may have said DRAINING just before */
	log_death(child, status, was_asked, now_ms);
	if (!was_asked && master->phase == PHASE_RUNNING)
		counter_add(master->counters, child->kind == CHILD_WORKER
			    ? COUNTER_worker_restarts : COUNTER_registrar_restarts, 1);
	if (child->kind == CHILD_REGISTRAR)
		master->registrar_deadline_ms = 0;
	seat_vacate(seat, &master->handover, was_asked, now_ms);
	if (is_wrong && generation && generation->state == GENERATION_STARTING)
		generation->has_failed = true;
	else if (is_wrong && !master->serving && master->next)
		master->next->has_failed = true;
}

static void reap(struct master *master, uint64_t now_ms)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		on_death(master, pid, status, now_ms);
}

static void reopen_logs(struct master *master)
{
	struct handover *handover = &master->handover;
	struct generation *generation;
	struct reason reason;

	if (log_files_open(&handover->logs, &master_config_of(master)->instance, &reason) < 0) {
		log_error("log-not-reopened", "reason=%s", reason.text);
		return;
	}
	cds_list_for_each_entry(generation, &master->generations, node)
		for (unsigned i = 0; i < generation->seat_count; i++)
			child_reopen(&generation->seats[i].child, &handover->logs);
	child_reopen(&master->registrar.child, &handover->logs);
	log_info("logs-reopened", LOG_NO_DATA);
}

static void on_signal(struct master *master, unsigned number, uint64_t now_ms)
{
	switch (number) {
	case SIGHUP:
		master->reload_wanted = true;
		break;
	case SIGUSR1:
		master_drain(master, now_ms);
		break;
	case SIGUSR2:
		reopen_logs(master);
		break;
	case SIGINT:
	case SIGTERM:
		master_stop(master, now_ms);
		break;
	default:
		break;                /* SIGCHLD: every turn reaps */
	}
}

static void take_signals(struct master *master, uint64_t now_ms)
{
	struct signalfd_siginfo info;

	while (read(master->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(master, info.ssi_signo, now_ms);
}

static void take_notice(struct master *master, struct child *child)
{
	struct board *board = master->handover.board;

	if (child->state == CHILD_NONE || !child_on_status(child))
		return;
	board_slot_set_state(board, child->slot,
			     child->state == CHILD_READY ? SLOT_READY : SLOT_DRAINING);
	log_info(child->state == CHILD_READY ? "child-ready" : "child-draining",
		 "kind=%s pid=%d slot=%u generation=%u", child_kind_name(child->kind),
		 (int)child->pid, child->slot, child->generation);
}

static void take_notices(struct master *master)
{
	struct generation *generation;

	cds_list_for_each_entry(generation, &master->generations, node)
		for (unsigned i = 0; i < generation->seat_count; i++)
			take_notice(master, &generation->seats[i].child);
	take_notice(master, &master->registrar.child);
}

static void fill_seats(struct master *master, uint64_t now_ms)
{
	struct generation *newest = master->serving ? master->serving : master->next;
	struct generation *generation;
	struct child_spec registrar = {
		.kind = CHILD_REGISTRAR, .generation = newest->number, .config = newest->config,
	};

	if (master->phase != PHASE_RUNNING && master->phase != PHASE_WAITING)
		return;
	seat_fill(&master->registrar, &master->handover, &registrar, now_ms);
	cds_list_for_each_entry(generation, &master->generations, node)
		generation_fill(generation, &master->handover, now_ms);
}

static void watch(struct master *master, uint64_t now_ms)
{
	const struct master_config *config = master_config_of(master);
	struct board *board = master->handover.board;
	struct generation *generation;

	watchdog_look(&master->watchdog, now_ms);
	cds_list_for_each_entry(generation, &master->generations, node)
		for (unsigned i = 0; i < generation->seat_count; i++)
			watchdog_check(&master->watchdog, board, &generation->seats[i].child,
				       config, now_ms);
	watchdog_check(&master->watchdog, board, &master->registrar.child, config, now_ms);
	if (master->registrar_deadline_ms && now_ms >= master->registrar_deadline_ms)
		child_kill(&master->registrar.child);
}

/* The first generation is up: from here on the instance exists for others. */
static void on_started(struct master *master, uint64_t now_ms)
{
	bool is_fresh = master->handover.objects.is_fresh;

	if (pid_file_write(&master->pid_file) < 0)
		log_error("pid-file-not-written", "path=%s", master->pid_file.path);
	daemon_ready(&master->daemon);
	master->healthy_at_ms = now_ms + (is_fresh ? master_config_of(master)->start_delay_ms : 0);
	log_info("gorouter.started", "pid=%d table=%s", (int)getpid(),
		 is_fresh ? "new" : "taken over");
}

static void settle_next(struct master *master, uint64_t now_ms)
{
	bool is_first = !master->serving;

	if (!master->next || master->phase != PHASE_RUNNING)
		return;
	if (generation_is_ready(master->next)) {
		master_promote(master, now_ms);
		if (is_first)
			on_started(master, now_ms);
	} else if (master->next->has_failed && is_first) {
		log_error("start-failed", "reason=%s",
			  "a program refused its configuration; its reason is logged above");
		master->exit_code = EXIT_CONFIG;
		master_stop(master, now_ms);
	} else if (master->next->has_failed) {
		master_drop(master, "a program refused its configuration", now_ms);
	} else if (!is_first && now_ms >= master->next->deadline_ms) {
		master_drop(master, "not ready within start_timeout", now_ms);
	}
}

/* A worker that is told to stop still says to its clients what became of them. */
static void end_drain(struct generation *generation, uint64_t now_ms)
{
	if (generation->is_overdue) {
		generation_kill(generation);
		generation->deadline_ms = 0;
		return;
	}
	log_error("router.drain.timed-out", "generation=%u workers=%u", generation->number,
		  generation_alive(generation));
	generation_stop(generation);
	generation->is_overdue = true;
	generation->deadline_ms = now_ms + generation->config->stop_timeout_ms;
}

static void settle_drained(struct master *master, uint64_t now_ms)
{
	struct generation *generation, *after;

	cds_list_for_each_entry_safe(generation, after, &master->generations, node) {
		if (generation->state != GENERATION_DRAINING)
			continue;
		if (generation->deadline_ms && now_ms >= generation->deadline_ms)
			end_drain(generation, now_ms);
		if (!generation_is_empty(generation) || generation == master->serving ||
		    generation == master->next)
			continue;
		log_info("generation-gone", "generation=%u", generation->number);
		cds_list_del(&generation->node);
		generation_destroy(generation);
	}
}

static void sweep(struct master *master, uint64_t now_ms)
{
	unsigned buried;

	if (now_ms - master->swept_ms < SWEEP_MS)
		return;
	master->swept_ms = now_ms;
	buried = slots_sweep(&master->handover.slots, master->handover.logs.access_log);
	if (buried)
		log_info("slots-cleared", "count=%u", buried);
}

static void show_ourselves(struct master *master, uint64_t now_ms)
{
	struct board *board = master->handover.board;
	enum health health = HEALTH_INITIALIZING;

	if (master->phase != PHASE_RUNNING)
		health = HEALTH_DEGRADED;
	else if (master->healthy_at_ms && now_ms >= master->healthy_at_ms)
		health = HEALTH_HEALTHY;
	if (board_fact(board, FACT_HEALTH) != health)
		board_set_fact(board, FACT_HEALTH, health);
	board_slot_beat(board, SLOT_MASTER, now_ms);
}

static bool is_settled(const struct master *master)
{
	bool is_healthy = board_fact(master->handover.board, FACT_HEALTH) == HEALTH_HEALTHY;

	for (unsigned i = 0; master->serving && i < master->serving->seat_count; i++)
		if (seat_is_empty(&master->serving->seats[i]))
			return false;
	return is_healthy && !master->next && !master->reload_wanted &&
	       !seat_is_empty(&master->registrar) && !master->registrar_deadline_ms;
}

static void add_poll(struct pollfd *fds, unsigned *count, int fd)
{
	if (fd >= 0 && *count < SLOTS_MAX + 2)
		fds[(*count)++] = (struct pollfd){ fd, POLLIN, 0 };
}

static void wait_for_news(struct master *master)
{
	struct pollfd fds[SLOTS_MAX + 2];
	struct generation *generation;
	unsigned count = 0;

	add_poll(fds, &count, master->signal_fd);
	add_poll(fds, &count, master->registrar.child.status_fd);
	cds_list_for_each_entry(generation, &master->generations, node)
		for (unsigned i = 0; i < generation->seat_count; i++)
			add_poll(fds, &count, generation->seats[i].child.status_fd);
	poll(fds, count, is_settled(master) ? SETTLED_TURN_MS : UNSETTLED_TURN_MS);
}

int master_run(struct master *master)
{
	for (;;) {
		uint64_t now_ms = clock_ms();

		take_notices(master);
		take_signals(master, now_ms);
		reap(master, now_ms);
		settle_next(master, now_ms);
		settle_drained(master, now_ms);
		if (master_depart(master, now_ms))
			break;
		if (master->phase == PHASE_RUNNING)
			master_reload(master, now_ms);
		sweep(master, now_ms);
		fill_seats(master, now_ms);
		watch(master, now_ms);
		handover_tick(&master->handover, master_config_of(master)->ticket_key_ms, now_ms);
		show_ourselves(master, now_ms);
		wait_for_news(master);
	}
	log_info("gorouter.stopped", "exit_code=%d", master->exit_code);
	return master->exit_code;
}

static void handled_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(handled_signals); i++)
		sigaddset(set, handled_signals[i]);
}

void master_block_signals(void)
{
	sigset_t set;

	handled_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Beyond the hard limit if we may, else up to it. */
static void raise_open_files(uint64_t wanted)
{
	struct rlimit limit, more;

	if (!wanted || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	more = (struct rlimit){ wanted, limit.rlim_max < wanted ? wanted : limit.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	log_warn("open-files-limited", "limit=%llu wanted=%llu",
		 (unsigned long long)limit.rlim_max, (unsigned long long)wanted);
}

static void settle_rights(const struct master_config *config)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	raise_open_files(config->open_files);
	if (geteuid() != 0)
		log_warn("privileges-kept", "uid=%u reason=%s", (unsigned)geteuid(),
			 "not started as root: workers run as the same user and could reopen the table");
}

static void open_facts(struct master *master)
{
	struct board *board = master->handover.board;

	master->counters = counters_row(board, SLOT_MASTER);
	master->generation_count = (unsigned)board_fact(board, FACT_GENERATION);
	board_set_fact(board, FACT_STARTED_WALL_MS, clock_wall_ns() / 1000000u);
	board_set_fact(board, FACT_HEALTH, HEALTH_INITIALIZING);
}

/* After a crash the old workers close their listeners when they notice that
 * their master is gone, which may be a moment after we started. */
static int open_listeners(const struct master *master, const struct master_config *config,
			  struct listeners *out, struct reason *reason)
{
	uint64_t until_ms = clock_ms() + (master->handover.objects.is_fresh ? 0 : TAKE_OVER_MS);
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };

	for (;;) {
		int rc = listeners_open(config, NULL, out, reason);

		if (rc != -EADDRINUSE || clock_ms() >= until_ms)
			return rc;
		nanosleep(&pause, NULL);
	}
}

int master_open(struct master *master, struct master_config *config, struct reason *reason)
{
	struct listeners listeners;
	sigset_t set;
	int rc = handover_open(&master->handover, config, reason);

	if (rc < 0)
		goto fail_config;
	rc = open_listeners(master, config, &listeners, reason);
	if (rc < 0)
		goto fail_handover;
	handled_set(&set);
	master->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (master->signal_fd < 0) {
		rc = reason_set(reason, -errno, "signalfd: %s", strerror(errno));
		goto fail_listeners;
	}
	settle_rights(config);
	open_facts(master);
	CDS_INIT_LIST_HEAD(&master->generations);
	seat_init(&master->registrar, config);
	master->next = generation_create(++master->generation_count, config, &listeners, clock_ms());
	cds_list_add_tail(&master->next->node, &master->generations);
	return 0;
fail_listeners:
	listeners_close(&listeners, NULL);
fail_handover:
	handover_close(&master->handover, config->instance.name, master->handover.objects.is_fresh);
fail_config:
	master_config_free(config);
	return rc;
}

/* A table that was taken over is not given up because a start failed. */
static bool should_remove(const struct master *master)
{
	if (master_config_of(master)->keep_table)
		return false;
	return master->exit_code == 0 || master->handover.objects.is_fresh;
}

void master_close(struct master *master)
{
	struct generation *generation, *after;

	pid_file_remove(&master->pid_file);
	close(master->signal_fd);
	handover_close(&master->handover, master_config_of(master)->instance.name,
		       should_remove(master));
	cds_list_for_each_entry_safe(generation, after, &master->generations, node) {
		cds_list_del(&generation->node);
		generation_destroy(generation);
	}
}

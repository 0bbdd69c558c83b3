/*
 * tests/torture/fake_child.c - stands in for wye-worker and wye-registrar, so
 * that tests of the master can have children that misbehave on cue.  It keeps
 * the contract of base/process.h, except where $FAKE_DIR/worker or
 * $FAKE_DIR/registrar (by its own name) says otherwise, in one word:
 *    refuse        -t finds a fault           exit1      exits 1 at start
 *    crash         aborts at start            never      is never ready
 *    stuck         ready, then no heartbeat   stubborn   ignores SIGTERM, SIGUSR1
 *    slow          takes 500 ms to drain      late       ready after 300 ms
 * What happens to it is appended to $FAKE_DIR/events, one line each.  A worker
 * answers every connection on an "http" listener with its pid and generation,
 * and leaves one access-log line in its ring that only the master can save.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "board.h"
#include "counters.h"
#include "log_ring.h"

static volatile sig_atomic_t asked_to_stop, asked_to_drain;
static const char *kind;
static char behaviour[32];

static void on_signal(int number)
{
	if (number == SIGTERM)
		asked_to_stop = 1;
	else
		asked_to_drain = 1;
}

static const char *in_dir(const char *name)
{
	static char path[512];
	const char *dir = getenv("FAKE_DIR");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : ".", name);
	return path;
}

static void note(const char *format, ...)
{
	char line[256];
	int fd = open(in_dir("events"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	int n = snprintf(line, sizeof(line), "%s %d ", kind, (int)getpid());
	va_list args;

	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	va_end(args);
	line[n++] = '\n';
	if (fd >= 0 && write(fd, line, (size_t)n) < 0)
		abort();
	close(fd);
}

static bool is(const char *word)
{
	return strcmp(behaviour, word) == 0;
}

static void read_behaviour(const char *program)
{
	FILE *file;

	kind = strstr(program, "registrar") ? "registrar" : "worker";
	file = fopen(in_dir(kind), "re");
	if (!file)
		return;
	if (fscanf(file, "%31s", behaviour) != 1)
		behaviour[0] = '\0';
	fclose(file);
}

static void note_descriptors(const struct process *process)
{
	char open_ones[128] = "";
	size_t n = 0;

	for (int fd = 0; fd < 64; fd++)
		if (process_has_fd(fd))
			n += (size_t)snprintf(open_ones + n, sizeof(open_ones) - n, "%s%d", n ? "," : "", fd);
	note("start slot=%u generation=%u listeners=%u user=%d fds=%s", process->slot,
	     process->generation, process->listener_count, process->has_user, open_ones);
}

static void answer(const struct process *process, int listener)
{
	char text[160];
	int n, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		char request[2048];

		n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%d %u\n",
			     (int)getpid(), process->generation);
		if (read(fd, request, sizeof(request)) > 0 && write(fd, text, (size_t)n) < 0)
			note("write failed");
		close(fd);
	}
}

static int live(const struct process *process, struct board *board)
{
	uint64_t drain_until = 0;

	while (!asked_to_stop || is("stubborn")) {
		struct pollfd fds[1 + PROCESS_LISTENERS_MAX] = { { PROCESS_FD_STATUS, POLLIN, 0 } };
		unsigned count = 1;

		for (unsigned i = 0; !drain_until && i < process->listener_count; i++)
			fds[count++] = (struct pollfd){ process->listeners[i].fd, POLLIN, 0 };
		poll(fds, count, 20);
		if (!is("stuck"))
			board_slot_beat(board, process->slot, clock_ms());
		for (unsigned i = 1; i < count; i++)
			if (fds[i].revents)
				answer(process, fds[i].fd);
		switch (process_next_order(process)) {
		case PROCESS_ORDER_REOPENED:
			note("reopened");
			break;
		case PROCESS_ORDER_MASTER_GONE:
			note("master-gone");
			return 0;
		default:
			break;
		}
		if (asked_to_drain && !drain_until && !is("stubborn")) {
			note("drain");
			process_notify(process, PROCESS_DRAINING);
			drain_until = clock_ms() + (is("slow") ? 500 : 20);
		}
		if (drain_until && clock_ms() >= drain_until)
			return 0;
	}
	note("stop");
	return 0;
}

static int check(const char *config)
{
	if (!is("refuse"))
		return 0;
	fprintf(stderr, "%s:7: unknown setting \"%s.fake\"; did you mean \"real\"?\n", config, kind);
	return EXIT_CONFIG;
}

int main(int argc, char **argv)
{
	const char *config = "";
	struct process process;
	struct board *board;
	struct reason reason;
	bool only_check = false;

	read_behaviour(argv[0]);
	for (int i = 1; i < argc; i++) {
		only_check |= strcmp(argv[i], "-t") == 0;
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			config = argv[++i];
	}
	if (only_check)
		return check(config);
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	if (process_attach(&process, &reason) < 0 || board_map(PROCESS_FD_BOARD, &board, &reason) < 0 ||
	    board_slot_claim(board, process.slot, &reason) < 0) {
		fprintf(stderr, "%s\n", reason.text);
		return EXIT_CONFIG;
	}
	note_descriptors(&process);
	if (is("exit1"))
		return EXIT_CONFIG;
	if (is("crash"))
		abort();
	if (is("late"))
		usleep(300000);
	if (process.slot >= SLOT_WORKER) {
		char line[64];
		int n = snprintf(line, sizeof(line), "unwritten line of %d\n", (int)getpid());

		log_ring_append(log_ring_of(board, process.slot), (struct str){ line, (size_t)n });
		counter_add(counters_row(board, process.slot), COUNTER_requests, 1);
	}
	if (!is("never"))
		process_notify(&process, PROCESS_READY);
	return live(&process, board);
}

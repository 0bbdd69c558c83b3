/*
 * master/check.c - run `-t`, collect the verdict.
 */
#include "master/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define CHECK_TIMEOUT_MS 10000
#define CHECK_SLICE_MS 50

static const char *const programs[] = { "wye-worker", "wye-registrar" };

struct check {
	char path[4096];
	pid_t pid;
	int output;                   /* its standard error */
	char text[1024];
	size_t len;
	int status;                   /* of waitpid() */
};

static void run_program(const struct check *check, const char *config_path, int output)
{
	int null = open("/dev/null", O_RDWR);
	char *argv[] = { (char *)check->path, "-t", "-c", (char *)config_path, NULL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execv(check->path, argv);
	_exit(127);
}

static int check_begin(struct check *check, const struct master_config *config, const char *program,
		       struct reason *reason)
{
	int ends[2];

	*check = (struct check){ .pid = -1, .output = -1 };
	master_config_program(config, program, check->path, sizeof(check->path));
	if (access(check->path, X_OK) < 0)
		return reason_set(reason, -errno, "%s cannot be executed: %s (see master.programs)",
				  check->path, strerror(errno));
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return reason_set(reason, -errno, "pipe: %s", strerror(errno));
	check->pid = fork();
	if (check->pid == 0)
		run_program(check, config->path, ends[1]);
	close(ends[1]);
	check->output = ends[0];
	if (check->pid < 0)
		return reason_set(reason, -errno, "fork: %s", strerror(errno));
	return 0;
}

/* True at end of file.  What does not fit is dropped, so that a talkative
 * program does not wait for us. */
static bool read_output(struct check *check)
{
	for (;;) {
		size_t room = sizeof(check->text) - 1 - check->len;
		char bytes[512];
		ssize_t n = read(check->output, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0)
			return true;
		if ((size_t)n < room)
			room = (size_t)n;
		memcpy(check->text + check->len, bytes, room);
		check->len += room;
	}
}

static bool is_asked_to_stop(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT);
}

static int wait_for(struct check *check, uint64_t deadline_ms, struct reason *reason)
{
	struct pollfd poll_fd = { check->output, POLLIN, 0 };

	while (!read_output(check)) {
		if (is_asked_to_stop())
			return reason_set(reason, -EINTR, "asked to stop");
		if (clock_ms() >= deadline_ms)
			return reason_set(reason, -ETIMEDOUT, "%s -t gave no answer in %d s",
					  check->path, CHECK_TIMEOUT_MS / 1000);
		poll(&poll_fd, 1, CHECK_SLICE_MS);
	}
	waitpid(check->pid, &check->status, 0);
	check->pid = -1;
	return 0;
}

static int verdict(struct check *check, struct reason *reason)
{
	char *line = check->text + strspn(check->text, "\n");

	if (WIFEXITED(check->status) && WEXITSTATUS(check->status) == 0)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	if (*line)
		return reason_set(reason, -EINVAL, "%s", line);
	return reason_set(reason, -EINVAL, "%s -t failed with %s %d and no reason", check->path,
			  WIFSIGNALED(check->status) ? "signal" : "exit code",
			  WIFSIGNALED(check->status) ? WTERMSIG(check->status)
						     : WEXITSTATUS(check->status));
}

static void check_end(struct check *check)
{
	if (check->pid > 0) {
		kill(check->pid, SIGKILL);
		waitpid(check->pid, NULL, 0);
	}
	if (check->output >= 0)
		close(check->output);
}

int check_programs(const struct master_config *config, struct reason *reason)
{
	uint64_t deadline_ms = clock_ms() + CHECK_TIMEOUT_MS;
	struct check checks[ARRAY_SIZE(programs)];
	size_t begun = 0;
	int rc = 0;

	while (rc == 0 && begun < ARRAY_SIZE(programs)) {
		rc = check_begin(&checks[begun], config, programs[begun], reason);
		begun++;
	}
	for (size_t i = 0; rc == 0 && i < begun; i++) {
		rc = wait_for(&checks[i], deadline_ms, reason);
		if (rc == 0)
			rc = verdict(&checks[i], reason);
	}
	for (size_t i = 0; i < begun; i++)
		check_end(&checks[i]);
	return rc;
}

/*
 * master/main.c - the program wye: options, configuration, background, then
 * the master's loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "master/check.h"
#include "master/master.h"

#define DEFAULT_CONFIG "/etc/wye/wye.conf"

enum background { AS_CONFIGURED, ALWAYS, NEVER };

struct options {
	const char *config_path;
	enum background background;
	bool only_check;
};

static const char usage[] =
	"usage: wye [-c FILE] [-t] [-d | -f] [-V]\n"
	"  -c FILE   configuration, " DEFAULT_CONFIG " if not given\n"
	"  -t        check the configuration, say what is wrong, exit 0 or 1\n"
	"  -d        go to the background once everything is ready\n"
	"  -f        stay in the foreground, whatever master.daemonize says\n"
	"  -V        print the version\n"
	"signals: HUP reload, USR1 drain and exit, USR2 reopen logs, TERM or INT stop\n";

/* Returns false if the program should end with *code now. */
static bool read_options(int argc, char **argv, struct options *options, int *code)
{
	int option;

	*options = (struct options){ .config_path = DEFAULT_CONFIG };
	while ((option = getopt(argc, argv, "c:tdfVh")) != -1) {
		switch (option) {
		case 'c':
			options->config_path = optarg;
			break;
		case 't':
			options->only_check = true;
			break;
		case 'd':
			options->background = ALWAYS;
			break;
		case 'f':
			options->background = NEVER;
			break;
		case 'V':
			printf("wye %s\n", WYE_VERSION);
			*code = 0;
			return false;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			*code = option == 'h' ? 0 : EXIT_CONFIG;
			return false;
		}
	}
	if (optind == argc)
		return true;
	fprintf(stderr, "wye: unexpected argument \"%s\"\n%s", argv[optind], usage);
	*code = EXIT_CONFIG;
	return false;
}

static int check_all(const struct options *options, struct master_config **config,
		     struct reason *reason)
{
	int rc = master_config_load(options->config_path, config, reason);

	if (rc == 0 && (rc = check_programs(*config, reason)) < 0) {
		master_config_free(*config);
		*config = NULL;
	}
	return rc;
}

static int only_check(const struct options *options)
{
	struct master_config *config;
	struct reason reason;

	if (check_all(options, &config, &reason) < 0) {
		fprintf(stderr, "%s\n", reason.text);
		return EXIT_CONFIG;
	}
	printf("%s: the configuration is good\n", config->path);
	master_config_free(config);
	return 0;
}

/* Descriptor 0 is /dev/null for us and every child, and 1 and 2 are taken, so
 * that nothing opened later is mistaken for them. */
static void settle_standard_descriptors(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

static int go_to_background(const struct options *options, const struct master_config *config,
			    struct master *master, struct reason *reason)
{
	int rc;

	if (options->background == NEVER || (options->background == AS_CONFIGURED && !config->daemonize))
		return 0;
	if (!*config->instance.log_file)
		return reason_set(reason, -EINVAL,
				  "%s: -d needs \"log.file\": a daemon has no terminal", config->path);
	rc = daemon_begin(&master->daemon);
	return rc < 0 ? reason_set(reason, rc, "fork: %s", strerror(-rc)) : 0;
}

/* Takes ownership of `config`. */
static int open_all(const struct options *options, struct master *master,
		    struct master_config *config, struct reason *reason)
{
	int rc;

	if ((rc = go_to_background(options, config, master, reason)) < 0 ||
	    (rc = pid_file_open(&master->pid_file, config->pid_file, reason)) < 0 ||
	    (rc = log_files_open(&master->handover.logs, &config->instance, reason)) < 0) {
		master_config_free(config);
		return rc;
	}
	master_block_signals();
	instance_configure_log(&config->instance);
	return master_open(master, config, reason);
}

int main(int argc, char **argv)
{
	struct master master = {
		.handover.logs = LOG_FILES_NONE, .daemon = DAEMON_NONE, .pid_file.fd = -1,
	};
	struct master_config *config;
	struct options options;
	struct reason reason;
	int code, errors;

	if (!read_options(argc, argv, &options, &code))
		return code;
	if (options.only_check)
		return only_check(&options);
	settle_standard_descriptors();
	errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);    /* stderr before it is a log file */
	if (check_all(&options, &config, &reason) < 0 ||
	    open_all(&options, &master, config, &reason) < 0) {
		dprintf(errors, "wye: %s\n", reason.text);
		pid_file_remove(&master.pid_file);
		return EXIT_CONFIG;
	}
	close(errors);
	master.config_path = options.config_path;
	code = master_run(&master);
	master_close(&master);
	return code;
}

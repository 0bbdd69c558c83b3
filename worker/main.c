/*
 * worker/main.c - the program wye-worker: options and configuration.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/process.h"
#include "worker/worker.h"

int main(int argc, char **argv)
{
	struct worker_config config;
	const char *path = NULL;
	struct reason reason;
	bool only_check = false;
	int option, rc;

	while ((option = getopt(argc, argv, "c:t")) != -1) {
		if (option == 'c')
			path = optarg;
		else if (option == 't')
			only_check = true;
		else
			return EXIT_CONFIG;
	}
	if (!path || worker_config_read(path, &config, &reason) < 0) {
		fprintf(stderr, "%s\n", path ? reason.text : "usage: wye-worker -c FILE [-t]");
		return EXIT_CONFIG;
	}
	if (only_check) {
		rc = worker_check(&config, &reason);
		if (rc < 0)
			fprintf(stderr, "%s\n", reason.text);
		worker_config_free(&config);
		return rc < 0 ? EXIT_CONFIG : 0;
	}
	instance_configure_log(&config.instance);
	rc = worker_run(&config, &reason);
	if (rc < 0)
		log_error("worker-failed", "error=%s", reason.text);
	worker_config_free(&config);
	return rc < 0 ? EXIT_CONFIG : 0;
}

/*
 * registrar/main.c - the program wye-registrar: options and configuration.
 */
#include <stdio.h>
#include <unistd.h>

#include "registrar/registrar.h"

int main(int argc, char **argv)
{
	struct registrar_config config;
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
	if (!path || registrar_config_read(path, &config, &reason) < 0) {
		fprintf(stderr, "%s\n", path ? reason.text : "usage: wye-registrar -c FILE [-t]");
		return EXIT_CONFIG;
	}
	if (only_check) {
		registrar_config_free(&config);
		return 0;
	}
	instance_configure_log(&config.instance);
	rc = registrar_run(&config, &reason);
	if (rc < 0)
		log_error("registrar-failed", "error=%s", reason.text);
	registrar_config_free(&config);
	return rc < 0 ? EXIT_CONFIG : 0;
}

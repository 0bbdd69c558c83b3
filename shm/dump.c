/*
 * shm/dump.c - shm-dump: shows the shared memory of an instance, living or
 * dead, for operators, scripts and tests.  Options in, one view out.
 */
#include "dump.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "base/clock.h"

enum view {
	VIEW_SUMMARY, VIEW_ROUTES, VIEW_TABLE, VIEW_PROCESSES, VIEW_COUNTERS, VIEW_EXPLAIN, VIEW_CHECK,
	VIEW_WATCH, VIEW_HISTORY, VIEW_DIGEST, VIEW_DIGEST_DIFF, VIEW_BUCKET,
	VIEW_SOURCES,
};

struct options {
	const char *instance, *argument;
	enum view view;
	bool as_json, is_view_given;
	struct dump_watch watch;
};

static const char usage[] =
	"usage: shm-dump [-i INSTANCE] [VIEW] [--json]\n"
	"\n"
	"Shows the shared memory of a Wye instance, whether it runs or has died.\n"
	"\n"
	"  -i, --instance NAME  the instance as its configuration names it (default: wye)\n"
	"\n"
	"  (no view)            summary\n"
	"  --routes             all routes as JSON, in the schema of Gorouter's /routes\n"
	"  --table              all endpoints: last seen, in flight, failed, row\n"
	"  --processes          master, registrar, workers, tools; with --json as JSON\n"
	"  --counters           counters and facts; with --json as JSON\n"
	"  --sources            NATS servers and which hears which; with --json as JSON\n"
	"  --explain URL        where a request for URL would go, and why\n"
	"  --history HOST       the last changes of HOST, its paths and the wildcards that\n"
	"                       could serve it: what, when, which NATS server, why\n"
	"  --digest             how many routes, and their hash, in each of 256 buckets\n"
	"  --digest-diff OTHER  which buckets differ from those of instance OTHER, or of a\n"
	"                       file (a name with a '/') that --digest wrote elsewhere;\n"
	"                       exit 2 if any does\n"
	"  --bucket N           the routes of a bucket\n"
	"  --check              verify every block; exit 2 if there are faults\n"
	"  --watch              refresh like top; q ends it\n"
	"      --interval TIME  between refreshes (default: 1s)\n"
	"      --count N        end after N refreshes\n"
	"  -V, --version        print the version\n"
	"\n"
	"Exit status: 0 done; 1 refused (no such instance, damaged or foreign memory,\n"
	"wrong options); 2 --check found faults, --digest-diff a difference.\n";

enum { OPTION_JSON = 256, OPTION_INTERVAL, OPTION_COUNT, OPTION_VIEW };

static const struct option long_options[] = {
	{ "instance",  required_argument, NULL, 'i' },
	{ "routes",    no_argument,       NULL, OPTION_VIEW + VIEW_ROUTES },
	{ "table",     no_argument,       NULL, OPTION_VIEW + VIEW_TABLE },
	{ "processes", no_argument,       NULL, OPTION_VIEW + VIEW_PROCESSES },
	{ "counters",  no_argument,       NULL, OPTION_VIEW + VIEW_COUNTERS },
	{ "sources",   no_argument,       NULL, OPTION_VIEW + VIEW_SOURCES },
	{ "explain",   required_argument, NULL, OPTION_VIEW + VIEW_EXPLAIN },
	{ "history",   required_argument, NULL, OPTION_VIEW + VIEW_HISTORY },
	{ "digest",    no_argument,       NULL, OPTION_VIEW + VIEW_DIGEST },
	{ "digest-diff", required_argument, NULL, OPTION_VIEW + VIEW_DIGEST_DIFF },
	{ "bucket",    required_argument, NULL, OPTION_VIEW + VIEW_BUCKET },
	{ "check",     no_argument,       NULL, OPTION_VIEW + VIEW_CHECK },
	{ "watch",     no_argument,       NULL, OPTION_VIEW + VIEW_WATCH },
	{ "json",      no_argument,       NULL, OPTION_JSON },
	{ "interval",  required_argument, NULL, OPTION_INTERVAL },
	{ "count",     required_argument, NULL, OPTION_COUNT },
	{ "help",      no_argument,       NULL, 'h' },
	{ "version",   no_argument,       NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static bool complain(const char *text)
{
	fprintf(stderr, "shm-dump: %s (see --help)\n", text);
	return false;
}

static bool take_view(struct options *options, enum view view)
{
	if (options->is_view_given)
		return complain("one view at a time");
	options->is_view_given = true;
	options->view = view;
	options->argument = optarg;   /* NULL for a view without one */
	return true;
}

static bool take_interval(struct options *options)
{
	uint64_t ns;

	if (!duration_parse(str_of(optarg), &ns) || ns < 10000000 || ns > 86400000000000)
		return complain("--interval is a time such as 500ms or 2s, at most 1d");
	options->watch.interval_ms = ns / 1000000;
	return true;
}

static bool take_count(struct options *options)
{
	uint64_t count;

	if (!str_parse_u64(str_of(optarg), &count) || count < 1 || count > 1000000000)
		return complain("--count is a number from 1 on");
	options->watch.count = (unsigned)count;
	return true;
}

static bool take_option(struct options *options, int option)
{
	switch (option) {
	case 'i':
		options->instance = optarg;
		return true;
	case 'h':
		fputs(usage, stdout);
		exit(DUMP_OK);
	case 'V':
		puts("shm-dump " WYE_VERSION);
		exit(DUMP_OK);
	case OPTION_JSON:
		options->as_json = true;
		return true;
	case OPTION_INTERVAL:
		return take_interval(options);
	case OPTION_COUNT:
		return take_count(options);
	case '?':
		return complain("unknown or incomplete option");
	default:
		return take_view(options, (enum view)(option - OPTION_VIEW));
	}
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){ .instance = "wye", .watch = { .interval_ms = 1000 } };
	while ((option = getopt_long(argc, argv, "i:hV", long_options, NULL)) != -1)
		if (!take_option(options, option))
			return false;
	if (optind < argc)
		return complain("superfluous argument");
	if (options->as_json && options->view != VIEW_PROCESSES && options->view != VIEW_COUNTERS &&
	    options->view != VIEW_ROUTES && options->view != VIEW_HISTORY &&
	    options->view != VIEW_DIGEST && options->view != VIEW_SOURCES)
		return complain("--json goes with --processes, --counters, --sources, --history and "
				"--digest");
	return true;
}

static int show(const struct dump *dump, const struct options *options)
{
	switch (options->view) {
	case VIEW_ROUTES:
		return dump_routes(dump);
	case VIEW_TABLE:
		return dump_table(dump);
	case VIEW_PROCESSES:
		return dump_processes(dump);
	case VIEW_COUNTERS:
		return dump_counters(dump);
	case VIEW_SOURCES:
		return dump_sources(dump);
	case VIEW_EXPLAIN:
		return dump_explain(dump, options->argument);
	case VIEW_CHECK:
		return dump_check(dump);
	case VIEW_WATCH:
		return dump_watch(dump, &options->watch);
	case VIEW_HISTORY:
		return dump_history(dump, options->argument);
	case VIEW_DIGEST:
		return dump_digest(dump);
	case VIEW_DIGEST_DIFF:
		return dump_digest_diff(dump, options->argument);
	case VIEW_BUCKET:
		return dump_bucket(dump, options->argument);
	case VIEW_SUMMARY:
		break;
	}
	return dump_summary(dump);
}

int main(int argc, char **argv)
{
	struct options options;
	struct reason reason;
	struct dump dump;
	int rc;

	if (!parse_options(argc, argv, &options))
		return DUMP_REFUSED;
	if (dump_open(&dump, options.instance, stdout, &reason) < 0) {
		fprintf(stderr, "shm-dump: %s\n", reason.text);
		return DUMP_REFUSED;
	}
	dump.as_json = options.as_json;
	rc = show(&dump, &options);
	dump_close(&dump);
	if (fflush(stdout) != 0 && errno != EPIPE) {
		perror("shm-dump");
		return DUMP_REFUSED;
	}
	return rc;
}

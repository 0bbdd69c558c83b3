/*
 * base/clock.c - time and durations.
 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t kernel_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t kernel_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

static const struct clock_source kernel = { kernel_monotonic_ns, kernel_wall_ns };
static const struct clock_source *source = &kernel;

void clock_set_source(const struct clock_source *replacement)
{
	source = replacement ? replacement : &kernel;
}

uint64_t clock_ns(void)
{
	return source->monotonic_ns();
}

uint64_t clock_ms(void)
{
	return clock_ns() / 1000000u;
}

uint64_t clock_wall_ns(void)
{
	return source->wall_ns();
}

static const struct unit {
	struct str name;
	uint64_t ns;
} units[] = {               /* longest name first where one is a prefix of another */
	{ STR_INIT("d"),  86400000000000u },
	{ STR_INIT("h"),  3600000000000u },
	{ STR_INIT("ms"), 1000000u },
	{ STR_INIT("m"),  60000000000u },
	{ STR_INIT("s"),  1000000000u },
	{ STR_INIT("us"), 1000u },
	{ STR_INIT("ns"), 1u },
};

static const struct unit *take_unit(struct str *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!str_has_prefix(*text, units[i].name))
			continue;
		*text = str_sub(*text, units[i].name.len, STR_REST);
		return &units[i];
	}
	return NULL;
}

bool duration_parse(struct str text, uint64_t *ns)
{
	uint64_t total = 0;

	if (str_equal(text, STR("0"))) {
		*ns = 0;
		return true;
	}
	if (!text.len)
		return false;
	while (text.len) {
		const struct unit *unit;
		uint64_t count, part;
		size_t digits = 0;

		while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
			digits++;
		if (!str_parse_u64(str_sub(text, 0, digits), &count))
			return false;
		text = str_sub(text, digits, STR_REST);
		unit = take_unit(&text);
		if (!unit || __builtin_mul_overflow(count, unit->ns, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return false;
	}
	*ns = total;
	return true;
}

const char *duration_format(uint64_t ns, char *out, size_t cap)
{
	static const struct unit order[] = {
		{ STR_INIT("d"),  86400000000000u }, { STR_INIT("h"),  3600000000000u },
		{ STR_INIT("m"),  60000000000u },    { STR_INIT("s"),  1000000000u },
		{ STR_INIT("ms"), 1000000u },        { STR_INIT("us"), 1000u },
		{ STR_INIT("ns"), 1u },
	};
	size_t at = 0;

	if (!ns) {
		snprintf(out, cap, "0s");
		return out;
	}
	for (size_t i = 0; i < ARRAY_SIZE(order) && at < cap; i++) {
		uint64_t count = ns / order[i].ns;

		ns %= order[i].ns;
		if (count)
			at += (size_t)snprintf(out + at, cap - at, "%llu%s",
					       (unsigned long long)count, order[i].name.p);
	}
	return out;
}

void timestamp_format(uint64_t wall_ns, char out[TIMESTAMP_SIZE])
{
	static __thread time_t known = -1;    /* its date costs more than all the rest */
	static __thread char date[24];
	time_t seconds = (time_t)(wall_ns / 1000000000u);
	struct tm tm;

	if (seconds != known) {
		gmtime_r(&seconds, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		known = seconds;
	}
	memcpy(out, date, 19);
	out[19] = '.';
	u64_format_nine(wall_ns % 1000000000u, out + 20);
	memcpy(out + 29, "Z", 2);
}

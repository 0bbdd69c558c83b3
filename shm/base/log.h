/*
 * base/log.h - the component log: one JSON object per line on descriptor 1, in
 * Gorouter's form (spec control 8.1):
 *   {"log_level":1,"timestamp":"...","message":EVENT,"source":SOURCE,"data":{...}}
 *
 * An event is a name that never varies; everything else is `key=value` pairs in
 * a printf format that is read as such:
 *   log_warn("endpoint-failed", "endpoint=%s attempt=%u", name, attempt);
 * gives "data":{"endpoint":"...","attempt":3}.  %s and %.*s become JSON strings
 * (escaped; bytes that are not UTF-8 become U+FFFD), numbers stay numbers, and
 * a key written `key:=%s` takes its text as ready JSON.  Neighbours `group.a=`
 * and `group.b=` make one inner object.  Pairs are separated by one space.
 * Conversions: %s %.*s %c %f, and with h, l, ll or z: %d %i %u %x; at most 32 in a
 * format.  Component, event and format are literals: each is known by its address, and
 * what they mean is worked out once.  Never log secrets or whole headers.
 *
 * Levels: error - an operator must act; warn - we coped; info - state changed;
 * debug - per request.  A line is written with one write(2) and clipped to
 * LOG_LINE_MAX bytes (still valid JSON: the data object is dropped).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 16384

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_settings {
	enum log_level level;         /* lines below it are not written */
	bool epoch_timestamps;        /* seconds since the epoch instead of RFC 3339 UTC */
	const char *source;           /* prefix, "vcap.gorouter" style; borrowed for ever */
};

/* Before this call: level info, source "wye". */
void log_configure(const struct log_settings *settings);

/* The part after the prefix for this thread of work: "registry" makes
 * "vcap.gorouter.registry".  NULL: the bare prefix.  Borrowed for ever. */
void log_set_component(const char *component);

bool log_is_on(enum log_level level);

void log_line(enum log_level level, const char *component, const char *event,
	      const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_at(level, component, event, ...) \
	do { \
		if (log_is_on(level)) \
			log_line(level, component, event, __VA_ARGS__); \
	} while (0)

#define log_error(event, ...) log_at(LOG_LEVEL_ERROR, NULL, event, __VA_ARGS__)
#define log_warn(event, ...)  log_at(LOG_LEVEL_WARN, NULL, event, __VA_ARGS__)
#define log_info(event, ...)  log_at(LOG_LEVEL_INFO, NULL, event, __VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_LEVEL_DEBUG, NULL, event, __VA_ARGS__)
/* For an event without data: log_info("started", LOG_NO_DATA) */
#define LOG_NO_DATA "%s", ""

/* Between the two, lines of this thread are gathered and written together, as many
 * at once as no other process can tear apart; a kill -9 loses those not yet
 * written.  For a burst of lines within one turn of a loop. */
#define LOG_HOLD_MAX 65536
void log_hold(void);
void log_release(void);

/* For what a peer can provoke at will: at most `per_second` lines a second of
 * one kind; true if this one may be written, with *suppressed set to how many
 * were not since the last. */
struct log_limit {
	unsigned per_second;
	uint64_t second;
	unsigned used;
	uint64_t suppressed;
};
bool log_limit_allows(struct log_limit *limit, uint64_t *suppressed);

#endif

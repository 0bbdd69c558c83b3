/*
 * base/log.c - the component log.  A line is put together where it will be written
 * from: ready text and values in turn, as log_plan.c reads the format.
 */
#include "base/log.h"

#include <float.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_plan.h"
#include "base/must.h"
#include "base/str.h"

#define LINE_SLACK 64u

static struct log_settings settings = { LOG_LEVEL_INFO, false, "wye" };
static struct str source = STR_INIT("wye");
static __thread const char *default_component;

/* Lines of this thread that wait to be written together, and behind them the one that
 * is being put together. */
static __thread struct {
	bool is_on;
	size_t len, most;
	char text[LOG_HOLD_MAX + LOG_LINE_MAX + LINE_SLACK];
} held;

/* A line grows at `at`; `end` is where it is full.  Whoever puts may write LINE_SLACK
 * bytes more than he keeps. */
struct line {
	char *at, *end;
	bool is_full;
};

static size_t room(const struct line *l)
{
	return (size_t)(l->end - l->at);
}

/* Keeps n of the bytes that were written at `at`, if that many may be. */
static void keep(struct line *l, size_t n)
{
	if (n > room(l))
		l->is_full = true;
	else
		l->at += n;
}

static void put(struct line *l, const char *bytes, size_t n)
{
	if (n <= room(l) && n)
		memcpy(l->at, bytes, n);
	keep(l, n);
}

/* A literal of the program: shorter than the slack, so written before it is checked. */
#define put_literal(l, text) \
	do { \
		_Static_assert(sizeof(text) <= LINE_SLACK, "a literal for put()"); \
		memcpy((l)->at, text, sizeof(text) - 1); \
		keep(l, sizeof(text) - 1); \
	} while (0)

/* Ready text of a plan: short, so copied in steps without a call. */
static void put_ready(struct line *l, const char *text, size_t n)
{
	if (n <= room(l))
		for (size_t i = 0; i < n; i += LOG_TEXT_STEP)
			memcpy(l->at + i, text + i, LOG_TEXT_STEP);
	keep(l, n);
}

static void put_u64(struct line *l, uint64_t value)
{
	keep(l, u64_format(value, l->at));
}

static void put_hex(struct line *l, uint64_t value)
{
	unsigned digits = value ? (67u - (unsigned)__builtin_clzll(value)) / 4 : 1;

	for (unsigned i = digits; i-- > 0; value >>= 4)
		l->at[i] = "0123456789abcdef"[value & 15];
	keep(l, digits);
}

static __attribute__((noinline)) void put_double(struct line *l, double value)
{
	char number[DBL_MAX_10_EXP + 16];

	put(l, number, (size_t)snprintf(number, sizeof(number), "%.6f", value));
}

/* The one character that `s` begins with, which is not plain.  Returns its bytes. */
static size_t put_special(struct line *l, struct str s)
{
	unsigned char c = (unsigned char)*s.p;
	uint32_t rune;
	size_t n = utf8_decode(s, &rune);

	if (n == 0) {
		put_literal(l, "\\ufffd");
		return 1;
	}
	if (c == '"' || c == '\\') {
		put_literal(l, "\\");
	} else if (c < 0x20 || c == 0x7f) {
		put_literal(l, "\\u00");
		l->at[0] = "0123456789abcdef"[c >> 4];
		l->at[1] = "0123456789abcdef"[c & 15];
		keep(l, 2);
		return 1;
	}
	put(l, s.p, n);
	return n;
}

static __attribute__((noinline)) void put_rarely_plain(struct line *l, struct str s)
{
	while (s.len && s.len <= room(l)) {
		size_t n = put_special(l, s);

		s = str_range(s.p + n, s.p + s.len);
		n = str_plain_run(s);
		put(l, s.p, n);
		s = str_range(s.p + n, s.p + s.len);
	}
	l->is_full |= s.len > 0;
}

static void put_escaped(struct line *l, struct str s)
{
	size_t n;

	if (s.len > room(l)) {                /* no byte takes less than one */
		l->is_full = true;
		return;
	}
	n = str_copy_plain(s, l->at);
	l->at += n;
	if (n < s.len)
		put_rarely_plain(l, str_range(s.p + n, s.p + s.len));
}

static void put_signed(struct line *l, struct log_value v, va_list *args)
{
	long long value = v.size == 'L' ? va_arg(*args, long long) :
			  v.size == 'l' ? va_arg(*args, long) :
			  v.size == 'z' ? va_arg(*args, ssize_t) : va_arg(*args, int);

	if (value < 0)
		put_literal(l, "-");
	put_u64(l, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_unsigned(struct line *l, struct log_value v, va_list *args)
{
	uint64_t value = v.size == 'L' ? va_arg(*args, unsigned long long) :
			 v.size == 'l' ? va_arg(*args, unsigned long) :
			 v.size == 'z' ? va_arg(*args, size_t) : va_arg(*args, unsigned);

	if (v.letter == 'x')
		put_hex(l, value);
	else
		put_u64(l, value);
}

static void put_string(struct line *l, struct log_value v, va_list *args)
{
	int precision = v.has_precision ? va_arg(*args, int) : -1;
	const char *text = va_arg(*args, const char *);
	struct str s = { text, 0 };

	if (text)
		s.len = precision >= 0 ? (size_t)precision : strlen(text);
	if (v.is_json)
		put(l, s.p, s.len);
	else
		put_escaped(l, s);
}

static void put_value(struct line *l, struct log_value v, va_list *args)
{
	char byte;

	switch (v.letter) {
	case 's':
		put_string(l, v, args);
		break;
	case 'd':
	case 'i':
		put_signed(l, v, args);
		break;
	case 'u':
	case 'x':
		put_unsigned(l, v, args);
		break;
	case 'f':
		put_double(l, va_arg(*args, double));
		break;
	case 'c':
		byte = (char)va_arg(*args, int);
		put_escaped(l, (struct str){ &byte, 1 });
		break;
	}
}

/* What follows the source, step by step to the end of the line. */
static void put_steps(struct line *l, const struct log_step *step, const char *text,
		      va_list *args)
{
	for (;; step++) {
		put_ready(l, text, step->text_len);
		if (!step->value.letter)
			return;
		text += step->text_len;
		put_value(l, step->value, args);
	}
}

static void put_timestamp(struct line *l)
{
	uint64_t now = clock_wall_ns();

	if (settings.epoch_timestamps) {
		put_u64(l, now / 1000000000u);
		memcpy(l->at, ".", 1);
		u64_format_nine(now % 1000000000u, l->at + 1);
		keep(l, 10);
		return;
	}
	put_literal(l, "\"");
	timestamp_format(now, l->at);
	keep(l, TIMESTAMP_SIZE - 1);
	put_literal(l, "\"");
}

static void put_head(struct line *l, enum log_level level)
{
	put_literal(l, "{\"log_level\":");
	*l->at = (char)('0' + level);
	keep(l, 1);
	put_literal(l, ",\"timestamp\":");
	put_timestamp(l);
}

void log_configure(const struct log_settings *wanted)
{
	settings = *wanted;
	source = str_of(wanted->source);
}

void log_set_component(const char *component)
{
	default_component = component;
}

bool log_is_on(enum log_level level)
{
	return level >= settings.level;
}

static void write_all(const char *at, size_t left)
{
	while (left) {
		ssize_t n = write(STDOUT_FILENO, at, left);

		if (n <= 0)
			return;       /* nobody to tell */
		at += n;
		left -= (size_t)n;
	}
}

static void write_held(void)
{
	write_all(held.text, held.len);
	held.len = 0;
}

void log_hold(void)
{
	struct stat out;

	if (!held.most)       /* a pipe may have other writers: only this much stays together */
		held.most = fstat(STDOUT_FILENO, &out) == 0 && S_ISREG(out.st_mode) ? LOG_HOLD_MAX
										      : PIPE_BUF;
	held.is_on = true;
}

void log_release(void)
{
	held.is_on = false;
	write_held();
}

/* The line that was put together behind the held ones joins them or goes out. */
static void end_line(size_t len)
{
	const char *line = held.text + held.len;

	if (held.is_on && held.len + len <= held.most) {
		held.len += len;
		return;
	}
	write_held();
	if (!held.is_on || len > held.most) {
		write_all(line, len);
		return;
	}
	memmove(held.text, line, len);
	held.len = len;
}

void log_line(enum log_level level, const char *component, const char *event,
	      const char *format, ...)
{
	static const char bare[] = "\"}\n";   /* how a line without data ends */
	const struct log_plan *plan = log_plan_of(component ? component : default_component,
						  event, format);
	const char *after_source = plan->text + plan->steps[0].text_len;
	char *begin = held.text + held.len, *before_data;
	struct line l = { begin, begin + LOG_LINE_MAX / 2, false };  /* the rest is for data */
	va_list args;

	put_head(&l, level);
	put_ready(&l, plan->text, plan->steps[0].text_len);
	put_escaped(&l, source);
	before_data = l.at + plan->component_len;
	l.end = begin + LOG_LINE_MAX;
	va_start(args, format);
	put_steps(&l, plan->steps + 1, after_source, &args);
	va_end(args);
	if (l.is_full) {
		l.at = before_data;
		put_literal(&l, bare);
	}
	end_line((size_t)(l.at - begin));
}

bool log_limit_allows(struct log_limit *limit, uint64_t *suppressed)
{
	uint64_t second = clock_ms() / 1000;

	if (second != limit->second) {
		limit->second = second;
		limit->used = 0;
	}
	if (limit->used >= limit->per_second) {
		limit->suppressed++;
		return false;
	}
	limit->used++;
	*suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}

void must_fail(const char *condition, const char *file, int line)
{
	log_release();
	log_line(LOG_LEVEL_ERROR, NULL, "invariant-broken", "condition=%s file=%s line=%d",
		 condition, file, line);
	abort();
}

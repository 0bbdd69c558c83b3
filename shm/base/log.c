/*
 * base/log.c - the component log.  The format string is walked key by key, so
 * that values keep their type on the way into JSON.
 */
#include "base/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/str.h"

static struct log_settings settings = { LOG_LEVEL_INFO, false, "wye" };
static __thread const char *default_component;

/* Lines of this thread that wait to be written together. */
static __thread struct {
	bool is_on;
	size_t len, most;
	char text[LOG_HOLD_MAX];
} held;

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
	bool is_full;
};

static void put(struct line *l, const char *bytes, size_t n)
{
	if (n > sizeof(l->text) - l->len) {
		l->is_full = true;
		return;
	}
	memcpy(l->text + l->len, bytes, n);
	l->len += n;
}

#define put_literal(l, text) put(l, text, sizeof(text) - 1)

/* What the program itself writes needs no escape. */
static void put_word(struct line *l, struct str word)
{
	put_literal(l, "\"");
	put(l, word.p, word.len);
	put_literal(l, "\"");
}

static void put_number(struct line *l, const char *format, ...)
{
	char number[64];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(number, sizeof(number), format, args);
	va_end(args);
	put(l, number, n > 0 ? (size_t)n : 0);
}

static void put_u64(struct line *l, uint64_t value)
{
	char digits[20];

	put(l, digits, u64_format(value, digits));
}

static void put_escaped(struct line *l, struct str s)
{
	for (size_t i = 0; i < s.len && !l->is_full;) {
		size_t run = str_plain_run(str_sub(s, i, STR_REST)), n;
		unsigned char c;
		uint32_t rune;

		put(l, s.p + i, run);
		i += run;
		if (i == s.len)
			return;
		c = (unsigned char)s.p[i];
		n = utf8_decode(str_sub(s, i, STR_REST), &rune);
		if (n == 0) {
			put_literal(l, "\\ufffd");
			i++;
		} else if (c == '"' || c == '\\') {
			put(l, c == '"' ? "\\\"" : "\\\\", 2);
			i++;
		} else if (c < 0x20 || c == 0x7f) {
			put_number(l, "\\u%04x", c);
			i++;
		} else {
			put(l, s.p + i, n);
			i += n;
		}
	}
}

static void put_string(struct line *l, struct str s)
{
	put_literal(l, "\"");
	put_escaped(l, s);
	put_literal(l, "\"");
}

/* One conversion: its length modifier and letter.  *format moves past it. */
struct conversion {
	bool has_precision;
	char size;                    /* 0, 'l', 'L' for ll, 'z' */
	char letter;
};

static struct conversion take_conversion(const char **format)
{
	struct conversion c = { 0 };
	const char *f = *format + 1;          /* past '%' */

	if (f[0] == '.' && f[1] == '*') {
		c.has_precision = true;
		f += 2;
	} else {
		while ((*f >= '0' && *f <= '9') || *f == '.')
			f++;
	}
	if (f[0] == 'l' && f[1] == 'l') {
		c.size = 'L';
		f += 2;
	} else if (*f == 'l' || *f == 'z') {
		c.size = *f++;
	} else if (*f == 'h') {
		while (*f == 'h')
			f++;
	}
	c.letter = *f++;
	*format = f;
	return c;
}

static void put_signed(struct line *l, struct conversion c, va_list *args)
{
	long long value = c.size == 'L' ? va_arg(*args, long long) :
			  c.size == 'l' ? va_arg(*args, long) :
			  c.size == 'z' ? va_arg(*args, ssize_t) : va_arg(*args, int);

	put_number(l, "%lld", value);
}

static void put_unsigned(struct line *l, struct conversion c, va_list *args)
{
	unsigned long long value = c.size == 'L' ? va_arg(*args, unsigned long long) :
				   c.size == 'l' ? va_arg(*args, unsigned long) :
				   c.size == 'z' ? va_arg(*args, size_t) : va_arg(*args, unsigned);

	if (c.letter == 'x')
		put_number(l, "\"0x%llx\"", value);
	else
		put_u64(l, value);
}

static void put_value(struct line *l, struct conversion c, bool is_json, va_list *args)
{
	if (c.letter == 's') {
		int precision = c.has_precision ? va_arg(*args, int) : -1;
		const char *text = va_arg(*args, const char *);
		struct str s = { text ? text : "", 0 };

		s.len = precision >= 0 ? (size_t)precision : strlen(s.p);
		if (is_json)
			put(l, s.p, s.len);
		else
			put_string(l, s);
	} else if (c.letter == 'd' || c.letter == 'i') {
		put_signed(l, c, args);
	} else if (c.letter == 'u' || c.letter == 'x') {
		put_unsigned(l, c, args);
	} else if (c.letter == 'f') {
		put_number(l, "%.6f", va_arg(*args, double));
	} else if (c.letter == 'c') {
		char byte = (char)va_arg(*args, int);

		put_string(l, (struct str){ &byte, 1 });
	} else {
		must(!"log format has a conversion that log.c does not know");
	}
}

/* Members are being written; `group` is the inner object that is open, or empty. */
struct members {
	struct str group;
	bool is_first;
};

static void put_key(struct line *l, struct members *members, struct str key)
{
	ssize_t dot = str_find_char(key, '.');
	struct str group = dot < 0 ? STR_NONE : str_sub(key, 0, (size_t)dot);

	if (members->group.len && !str_equal(group, members->group))
		put_literal(l, "}");
	if (!members->is_first)
		put_literal(l, ",");
	if (group.len && !str_equal(group, members->group)) {
		put_word(l, group);           /* the comma, if any, is before the group */
		put_literal(l, ":{");
	}
	put_word(l, str_sub(key, (size_t)(dot + 1), STR_REST));
	put_literal(l, ":");
	*members = (struct members){ .group = group };
}

/* Walks "key=%s other:=%s group.inner=%s fixed=word" and writes {"key":...}. */
static void put_data(struct line *l, const char *format, va_list *args)
{
	struct members members = { .is_first = true };

	put_literal(l, ",\"data\":{");
	while (*format) {
		const char *equals = strchr(format, '=');
		bool is_json;

		must(equals != NULL);
		is_json = equals > format && equals[-1] == ':';
		put_key(l, &members, str_range(format, equals - is_json));
		format = equals + 1;
		if (*format == '%') {
			struct conversion c = take_conversion(&format);

			put_value(l, c, is_json, args);
		} else {
			size_t n = strcspn(format, " ");

			if (is_json)
				put(l, format, n);
			else
				put_word(l, (struct str){ format, n });
			format += n;
		}
		while (*format == ' ')
			format++;
	}
	if (members.group.len)
		put_literal(l, "}");
	put_literal(l, "}");
}

static void put_timestamp(struct line *l)
{
	uint64_t now = clock_wall_ns();
	char text[TIMESTAMP_SIZE];

	put_literal(l, ",\"timestamp\":");
	if (settings.epoch_timestamps) {
		put_number(l, "%llu.%09llu", (unsigned long long)(now / 1000000000u),
			   (unsigned long long)(now % 1000000000u));
		return;
	}
	timestamp_format(now, text);
	put_word(l, (struct str){ text, TIMESTAMP_SIZE - 1 });
}

void log_configure(const struct log_settings *wanted)
{
	settings = *wanted;
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

static void write_line(const char *text, size_t len)
{
	if (held.len + len > held.most)
		write_held();
	if (!held.is_on || len > held.most) {
		write_all(text, len);
		return;
	}
	memcpy(held.text + held.len, text, len);
	held.len += len;
}

void log_line(enum log_level level, const char *component, const char *event,
	      const char *format, ...)
{
	struct line l;
	size_t before_data;
	va_list args;

	l.len = 0;
	l.is_full = false;
	if (!component)
		component = default_component;
	put_literal(&l, "{\"log_level\":");
	put_u64(&l, (uint64_t)level);
	put_timestamp(&l);
	put_literal(&l, ",\"message\":");
	put_word(&l, str_of(event));
	put_literal(&l, ",\"source\":\"");
	put_escaped(&l, str_of(settings.source));
	if (component) {
		put_literal(&l, ".");
		put(&l, component, strlen(component));
	}
	put_literal(&l, "\"");
	before_data = l.len;
	if (strcmp(format, "%s") != 0) {
		va_start(args, format);
		put_data(&l, format, &args);
		va_end(args);
	}
	if (l.is_full || l.len > sizeof(l.text) - 2)
		l.len = before_data;
	l.text[l.len++] = '}';
	l.text[l.len++] = '\n';
	write_line(l.text, l.len);
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

/*
 * proxy/access_line.c - numbers, times and cut texts of access-log lines.
 */
#include "proxy/access_line.h"

#include "base/clock.h"

#define NS_PER_S 1000000000u

/* The last `width` digits of value. */
static inline void digits_format(char *out, unsigned width, uint32_t value)
{
	for (; width >= 2; value /= 100)
		memcpy(out + (width -= 2), u64_digits[value % 100], 2);
	if (width)
		out[0] = (char)('0' + value % 10);
}

void put_timestamp(struct line *l, uint64_t wall_ns)
{
	static __thread uint64_t cached_s = UINT64_MAX;
	static __thread char cached[20];
	uint64_t second = wall_ns / NS_PER_S;
	char *at = room_for_number(l);

	if (second != cached_s) {
		char stamp[TIMESTAMP_SIZE];

		timestamp_format(second * NS_PER_S, stamp);
		memcpy(cached, stamp, sizeof(cached));
		cached_s = second;
	}
	if (!at)
		return;
	memcpy(at, cached, sizeof(cached));
	digits_format(at + sizeof(cached), 9, (uint32_t)(wall_ns % NS_PER_S));
	at[29] = 'Z';
	l->out.next = at + 30;
}

void put_seconds(struct line *l, int64_t ns)
{
	uint64_t us = ((uint64_t)ns + 500) / 1000, whole = us / 1000000;
	char *at = room_for_number(l);

	if (ns < 0) {
		put_nothing(l);
	} else if (at) {
		at += whole ? u64_format(whole, at) : 1;
		if (!whole)
			at[-1] = '0';
		*at = '.';
		digits_format(at + 1, 6, (uint32_t)(us - whole * 1000000));
		l->out.next = at + 7;
	}
}

__attribute__((cold)) void put_nothing(struct line *l)
{
	put(l, l->out.is_json ? STR("null") : STR("\"-\""));
}

__attribute__((cold)) void put_cut(struct line *l, struct str name, size_t limit,
				   put_fn *put_it, struct str s)
{
	char *end = l->out.end;

	if ((size_t)(end - l->out.next) > limit)
		l->out.end = l->out.next + limit;
	put_it(l, s);
	l->out.end = end;
	if (!l->out.is_full)
		return;
	l->out.is_full = false;
	put(l, STR("..."));
	put(l, name);
	put(l, STR("-TOO-LONG-TO-LOG--TRUNCATED"));
}

void put_quoted(struct line *l, struct str s)
{
	quote_text(&l->out, s);
}

void put_value(struct line *l, struct str name, size_t limit, put_fn *put_it, struct str s)
{
	if (!s.len) {
		put_nothing(l);
		return;
	}
	put(l, STR("\""));
	if (l->is_cutting)
		put_cut(l, name, limit, put_it, s);
	else
		put_it(l, s);
	put(l, STR("\""));
}

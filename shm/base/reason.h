/*
 * base/reason.h - why something was refused, in one line for people.  Filled by
 * whoever finds the fault, shown by whoever decides what to do about it.
 */
#ifndef BASE_REASON_H
#define BASE_REASON_H

struct reason {
	char text[320];
};

/* Writes the text (clipped to fit) and returns `rc`, so that a check can end
 * with: return reason_set(reason, -EINVAL, "port %d is out of range", port);
 * `reason` may be NULL. */
int reason_set(struct reason *reason, int rc, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif

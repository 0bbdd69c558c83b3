/*
 * base/must.h - a broken invariant stops the process; the master starts a new
 * one.  For what cannot happen, never for what a peer or an operator can cause.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#define must(condition) \
	((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__))

/* Logs the broken condition and aborts. */
void must_fail(const char *condition, const char *file, int line) __attribute__((noreturn, cold));

#endif

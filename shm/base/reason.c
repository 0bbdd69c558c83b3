/*
 * base/reason.c - why something was refused, in one line for people.
 */
#include "base/reason.h"

#include <stdarg.h>
#include <stdio.h>

int reason_set(struct reason *reason, int rc, const char *format, ...)
{
	va_list args;

	if (!reason)
		return rc;
	va_start(args, format);
	vsnprintf(reason->text, sizeof(reason->text), format, args);
	va_end(args);
	return rc;
}

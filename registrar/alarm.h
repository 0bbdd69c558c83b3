/*
 * registrar/alarm.h - notices when endpoints that have nothing in common fail in
 * the same way at once: then the fault is likely this router's (its clock, its
 * certificates, its network), and healthy endpoints must not be removed for it
 * (spec control W3).  Used by prune.c only.
 */
#ifndef REGISTRAR_ALARM_H
#define REGISTRAR_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define ALARM_CLASSES 64              /* more than there are failures */
#define ALARM_APPS_MAX 16
#define ALARM_WINDOW_TICKS 100        /* ten seconds */

struct alarm {
	struct alarm_class {
		struct { uint32_t app, host; } seen[ALARM_APPS_MAX];
		unsigned count;               /* with nothing in common */
		uint32_t began, last;         /* ticks */
		bool is_raised;
	} classes[ALARM_CLASSES];
};

/* An endpoint failed.  Another app on another host than all of the last ten
 * seconds counts; with `most` of them the alarm is raised, which is logged once, and
 * stays until ten seconds pass without such a failure.  most 0: never.
 * True: the alarm of this class is raised. */
bool alarm_note(struct alarm *alarm, uint32_t failure, struct str code, struct str app,
		struct str host, uint32_t tick, unsigned most);

bool alarm_is_raised(struct alarm *alarm, uint32_t failure, uint32_t tick);

#endif

/*
 * registrar/alarm.c - failures of one class over many unrelated endpoints.
 */
#include "registrar/alarm.h"

#include "base/hash.h"
#include "base/log.h"

/* Only within one process and for a moment; nobody gains by a collision. */
static const struct hash_key key = { 0x6c6172, 0x6d };

static uint32_t hash_of(struct str text)
{
	return (uint32_t)hash_bytes(&key, text.p, text.len);
}

static struct alarm_class *class_of(struct alarm *alarm, uint32_t failure, uint32_t tick)
{
	struct alarm_class *class = &alarm->classes[failure % ALARM_CLASSES];
	uint32_t since = class->is_raised ? class->last : class->began;

	if (tick - since > ALARM_WINDOW_TICKS)
		*class = (struct alarm_class){ .began = tick };
	return class;
}

static bool has_nothing_in_common(const struct alarm_class *class, uint32_t app, uint32_t host)
{
	for (unsigned i = 0; i < class->count; i++)
		if (class->seen[i].app == app || class->seen[i].host == host)
			return false;
	return true;
}

bool alarm_note(struct alarm *alarm, uint32_t failure, struct str code, struct str app,
		struct str host, uint32_t tick, unsigned most)
{
	struct alarm_class *class = class_of(alarm, failure, tick);
	uint32_t app_hash = hash_of(app), host_hash = hash_of(host);

	class->last = tick;
	if (class->count < ALARM_APPS_MAX && has_nothing_in_common(class, app_hash, host_hash)) {
		class->seen[class->count].app = app_hash;
		class->seen[class->count++].host = host_hash;
	}
	if (!class->is_raised && most && class->count >= most) {
		class->is_raised = true;
		log_error("endpoints-fail-alike", "code=%.*s unrelated_endpoints=%u "
			  "consequence=%s", STR_ARG(code), class->count,
			  "none is removed for it");
	}
	return class->is_raised;
}

bool alarm_is_raised(struct alarm *alarm, uint32_t failure, uint32_t tick)
{
	return class_of(alarm, failure, tick)->is_raised;
}

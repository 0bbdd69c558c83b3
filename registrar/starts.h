/*
 * registrar/starts.h - through which servers router.start is published, and when: every
 * client that hears one answers with all of its routes, so each island is asked
 * once, not each connection.  Pure logic over the probe matrix.
 */
#ifndef REGISTRAR_STARTS_H
#define REGISTRAR_STARTS_H

#include "registrar/probe.h"

struct starts {
	uint64_t interval_ms;         /* least time between two for one island */
	uint64_t jitter_ms;
	struct {
		bool is_wanted;
		uint64_t since_ms;    /* one published since then will do */
		uint64_t due_ms;
		uint64_t last_ms;     /* published through this source; 0: never */
	} of[SOURCES_MAX];
};

void starts_init(struct starts *starts, uint64_t interval_ms, uint64_t jitter_ms);

/* The clients that this source reaches are to announce themselves, unless one that was published
 * after since_ms reached them already.  `random` spreads routers over the jitter. */
void starts_want(struct starts *starts, unsigned source, uint64_t since_ms, uint64_t now_ms,
		 uint32_t random);

/* The source to publish through now, or -1; it counts as published. */
int starts_next(struct starts *starts, const struct probe *probe, uint64_t now_ms);

#endif

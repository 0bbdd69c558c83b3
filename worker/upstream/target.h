/*
 * upstream/target.h - where to connect, and everything that makes two
 * connections interchangeable.  Later: TLS name, expected SAN, protocol.
 */
#ifndef UPSTREAM_TARGET_H
#define UPSTREAM_TARGET_H

#include "base/addr.h"

struct target {
	struct addr addr;
};

static inline bool target_equal(const struct target *a, const struct target *b)
{
	return addr_equal(&a->addr, &b->addr);
}

#endif

/*
 * upstream/target.h - where to connect, and everything that makes two
 * connections interchangeable.
 */
#ifndef UPSTREAM_TARGET_H
#define UPSTREAM_TARGET_H

#include "base/addr.h"

struct target {
	struct addr addr;
	bool is_tls;
	struct str name;              /* borrowed; what the certificate must name, empty: the IP */
};

static inline bool target_equal(const struct target *a, const struct target *b)
{
	return addr_equal(&a->addr, &b->addr) && a->is_tls == b->is_tls &&
	       str_equal(a->name, b->name);
}

#endif

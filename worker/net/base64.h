/*
 * net/base64.h - base64 with padding (RFC 4648 section 4), by OpenSSL.
 */
#ifndef NET_BASE64_H
#define NET_BASE64_H

#include "base/mem.h"
#include "base/str.h"

struct str base64_encode(struct arena *arena, struct str bytes);

#endif

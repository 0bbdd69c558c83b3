/*
 * net/base64.h - base64 with padding (RFC 4648 section 4), by OpenSSL.
 */
#ifndef NET_BASE64_H
#define NET_BASE64_H

#include "base/str.h"

/* A text on one line; the caller frees it. */
char *base64_encode(struct str bytes);

#endif

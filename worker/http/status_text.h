/*
 * http/status_text.h - the standard words for status codes, as Gorouter writes
 * them (spec proxy sections 9 and 11.1: a backend's own words are not kept).
 */
#ifndef HTTP_STATUS_TEXT_H
#define HTTP_STATUS_TEXT_H

#include "base/mem.h"
#include "base/str.h"

/* "Not Found"; "status code 599" for one that is not registered. */
struct str http_status_text(unsigned status, struct arena *arena);

#endif

/*
 * proxy/rewrite.h - http_rewrite.responses: fields that operators take out of
 * every answer, and fields that every answer has (spec proxy 5.6).  They hold for
 * what apps and the router's handlers answer, 1xx included, not for refusals of
 * the HTTP server itself.
 */
#ifndef PROXY_REWRITE_H
#define PROXY_REWRITE_H

#include "http/head.h"

struct rewrite_rule {
	char *name, *value;           /* owned by the settings; value NULL: remove */
};

struct rewrite_settings {
	struct rewrite_rule *rules;   /* owned; those that remove come first */
	unsigned remove_count, count;
};

/* Applies the rules to an answer whose other fields all stand. */
void rewrite_apply(const struct rewrite_settings *settings, struct http_head *head);

/* One more field for a head that the rules were applied to, as if it had been
 * there before.  No two fields of one name can be added so. */
void rewrite_add(const struct rewrite_settings *settings, struct http_head *head,
		 struct str name, struct str value);

#endif

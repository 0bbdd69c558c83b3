/*
 * proxy/rewrite.c - http_rewrite.responses.
 */
#include "proxy/rewrite.h"

void rewrite_apply(const struct rewrite_settings *settings, struct http_head *head)
{
	struct http_head before;

	for (unsigned i = 0; i < settings->remove_count; i++)
		http_head_remove(head, str_of(settings->rules[i].name));
	before = *head;               /* two rules of one name both add */
	for (unsigned i = settings->remove_count; i < settings->count; i++) {
		const struct rewrite_rule *rule = &settings->rules[i];

		if (!http_head_has(&before, str_of(rule->name)))
			http_head_add(head, str_of(rule->name), str_of(rule->value));
	}
}

void rewrite_add(const struct rewrite_settings *settings, struct http_head *head,
		 struct str name, struct str value)
{
	for (unsigned i = 0; i < settings->count; i++) {
		if (!str_equal_nocase(str_of(settings->rules[i].name), name))
			continue;
		if (i < settings->remove_count)
			return;
		http_head_remove(head, name);
		break;
	}
	http_head_add(head, name, value);
}

/*
 * http/head.c - message heads.
 */
#include "http/head.h"

#define FIRST_ROOM 32

void http_head_init(struct http_head *head, struct arena *arena)
{
	*head = (struct http_head){ .arena = arena, .minor = 1 };
}

__attribute__((noinline))             /* its callers are many, and mostly do without it */
struct http_field *http_head_scan(const struct http_head *head, struct str name, unsigned *at)
{
	while (*at < head->count) {
		struct http_field *field = &head->fields[(*at)++];

		if (str_equal_nocase(field->name, name))
			return field;
	}
	return NULL;
}

static char *append(char *to, struct str s)
{
	if (s.len)
		memcpy(to, s.p, s.len);
	return to + s.len;
}

struct str http_head_join(const struct http_head *head, struct str name)
{
	unsigned first = 0, rest;
	struct http_field *field = http_head_next(head, name, &first);
	struct str only = field ? field->value : STR_NONE;
	size_t size = only.len;
	char *all, *to;

	for (rest = first; (field = http_head_next(head, name, &rest)) != NULL;)
		size += 2 + field->value.len;
	if (size == only.len)
		return only;
	all = arena_alloc(head->arena, size);
	to = append(all, only);
	for (rest = first; (field = http_head_next(head, name, &rest)) != NULL;)
		to = append(append(to, STR(", ")), field->value);
	return (struct str){ all, size };
}

void http_head_add(struct http_head *head, struct str name, struct str value)
{
	if (head->count == head->room) {
		unsigned room = head->room ? 2 * head->room : FIRST_ROOM;
		struct http_field *fields = arena_alloc(head->arena, room * sizeof(*fields));

		if (head->count)
			memcpy(fields, head->fields, head->count * sizeof(*fields));
		head->fields = fields;
		head->room = room;
	}
	head->fields[head->count++] = (struct http_field){ name, value };
	head->names |= http_name_bit(name);
}

/* Takes out all fields of this name from index `from` on. */
static void remove_from(struct http_head *head, struct str name, unsigned from)
{
	unsigned kept = from;

	for (unsigned i = from; i < head->count; i++)
		if (!str_equal_nocase(head->fields[i].name, name))
			head->fields[kept++] = head->fields[i];
	head->count = kept;
}

void http_head_remove_all(struct http_head *head, struct str name)
{
	unsigned at = 0;

	if (http_head_next(head, name, &at))
		remove_from(head, name, at - 1);
}

void http_head_set(struct http_head *head, struct str name, struct str value)
{
	unsigned at = 0;
	struct http_field *field = http_head_next(head, name, &at);

	if (!field) {
		http_head_add(head, name, value);
		return;
	}
	*field = (struct http_field){ name, value };
	remove_from(head, name, at);
}

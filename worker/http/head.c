/*
 * http/head.c - the fields of a head.
 */
#include "http/head.h"

void http_head_init(struct http_head *head, struct arena *arena)
{
	*head = (struct http_head){ .arena = arena };
}

bool http_head_each(const struct http_head *head, uint32_t *at, struct http_field *field)
{
	while (*at < head->field_count) {
		*field = head->fields[(*at)++];
		if (field->name.p)
			return true;
	}
	return false;
}

bool http_head_find(const struct http_head *head, struct str name, struct str *value)
{
	for (uint32_t i = 0; i < head->field_count; i++) {
		if (head->fields[i].name.p && str_equal_nocase(head->fields[i].name, name)) {
			*value = head->fields[i].value;
			return true;
		}
	}
	return false;
}

void http_head_add(struct http_head *head, struct str name, struct str value)
{
	if (head->field_count == head->field_room) {
		uint32_t room = head->field_room ? 2 * head->field_room : 24;
		struct http_field *fields = arena_alloc(head->arena, room * sizeof(*fields));

		if (head->field_count)
			memcpy(fields, head->fields, head->field_count * sizeof(*fields));
		head->fields = fields;
		head->field_room = room;
	}
	head->fields[head->field_count++] = (struct http_field){ name, value };
}

void http_head_set(struct http_head *head, struct str name, struct str value)
{
	http_head_remove(head, name);
	http_head_add(head, name, value);
}

void http_head_remove(struct http_head *head, struct str name)
{
	for (uint32_t i = 0; i < head->field_count; i++)
		if (head->fields[i].name.p && str_equal_nocase(head->fields[i].name, name))
			head->fields[i].name = STR_NONE;
}

bool http_head_is_method(const struct http_head *head, const char *method)
{
	return str_equal(head->method, str_of(method));
}

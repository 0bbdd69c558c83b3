/*
 * net/tls_index.c - a sorted array and a binary search.
 */
#include "net/tls_index.h"

#include <stdlib.h>
#include <strings.h>

#define NAME_MAX_BYTES 255            /* of a DNS name in text */

static int compare(struct str a, struct str b)
{
	size_t both = a.len < b.len ? a.len : b.len;
	int order = both ? strncasecmp(a.p, b.p, both) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *left, const void *right)
{
	const struct tls_named *a = left, *b = right;
	int order = compare(a->name, b->name);

	return order ? order : (a->certificate < b->certificate) - (a->certificate > b->certificate);
}

void tls_index_init(struct tls_index *index, struct tls_named *all, size_t count)
{
	*index = (struct tls_index){ .all = all, .count = count };
	if (count)
		qsort(all, count, sizeof(*all), by_name);
}

void tls_index_fini(struct tls_index *index)
{
	free(index->all);
}

static bool is_at(struct tls_index *index, size_t i, struct str name)
{
	index->probes++;
	return compare(index->all[i].name, name) == 0;
}

static const struct tls_named *find_exact(struct tls_index *index, struct str name, size_t *count)
{
	size_t from = 0, to = index->count, end;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		index->probes++;
		if (compare(index->all[middle].name, name) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (end = from; end < index->count && is_at(index, end, name);)
		end++;
	*count = end - from;
	return *count ? &index->all[from] : NULL;
}

const struct tls_named *tls_index_find(struct tls_index *index, struct str name, size_t *count)
{
	const struct tls_named *found;
	char wild[NAME_MAX_BYTES + 2] = "*";
	ssize_t dot;

	*count = 0;
	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	if (!name.len || name.len > NAME_MAX_BYTES)
		return NULL;
	found = find_exact(index, name, count);
	dot = str_find_char(name, '.');
	if (found || dot <= 0)
		return found;
	str_copy_z(str_sub(name, (size_t)dot, STR_REST), wild + 1, sizeof(wild) - 1);
	return find_exact(index, str_of(wild), count);
}

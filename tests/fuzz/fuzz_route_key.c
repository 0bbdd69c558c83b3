/*
 * tests/fuzz/fuzz_route_key.c - any URI, any Host and path: a canonical key or a
 * refusal, and never a key that breaks what lookups rely on.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/must.h"
#include "shm/route_hash.h"
#include "shm/route_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct route_key *key)
{
	static const struct route_hash_seed seed = { 11, 22 };
	static uint64_t suffix[ROUTE_LABELS_MAX], state[ROUTE_KEY_MAX + 1];
	static uint16_t start[ROUTE_LABELS_MAX], end[ROUTE_KEY_MAX + 1];
	struct str host = str_sub(key->text, 0, key->host_len);
	struct str path = str_sub(key->text, key->host_len, STR_REST);

	must(key->text.len <= ROUTE_KEY_MAX && key->host_len <= ROUTE_HOST_MAX && key->host_len > 0);
	must(str_find_char(host, '/') < 0);
	must(path.len == 0 || path.p[0] == '/');
	for (size_t i = 0; i < key->text.len; i++)
		must(ascii_lower(key->text.p[i]) == key->text.p[i]);
	must(route_hash_host(&seed, host, suffix, start) <= ROUTE_LABELS_MAX);
	must((path.len ? route_hash_path(&seed, path, state, end) : 0) == key->segments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = { (const char *)data, size };
	ssize_t cut = str_find_char(all, '\n');
	struct str host = cut < 0 ? all : str_sub(all, 0, (size_t)cut);
	struct str path = cut < 0 ? STR_NONE : str_sub(all, (size_t)cut + 1, STR_REST);
	char *buffer = malloc(ROUTE_KEY_MAX);
	struct reason reason;
	struct route_key key, again;

	if (route_key_parse(all, buffer, &key, &reason) == 0) {
		check_key(&key);
		must(route_key_read(key.text, &again) && again.host_len == key.host_len &&
		     again.segments == key.segments);
	}
	if (route_key_read(all, &again))
		check_key(&again);
	if (route_key_from_request(host, path, buffer, &key))
		check_key(&key);
	free(buffer);
	return 0;
}

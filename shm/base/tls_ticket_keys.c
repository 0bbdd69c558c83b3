/*
 * base/tls_ticket_keys.c - a sequence lock around two keys, in a sealed memory file.
 */
#include "base/tls_ticket_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/str.h"

#define SPAN  4096u                   /* of the memory file */
_Static_assert(sizeof(struct tls_ticket_keys) <= SPAN, "a page holds them");

#define TRIES 1000            /* a rotation copies 160 bytes; longer means that its writer is gone */

/* Word by word, because the other side may be reading or writing the same; in an
 * order that puts them all between both looks at the version. */
static void store_key(struct tls_ticket_key *to, const struct tls_ticket_key *from)
{
	uint32_t words[sizeof(*from) / sizeof(uint32_t)];

	memcpy(words, from, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		__atomic_store_n((uint32_t *)to + i, words[i], __ATOMIC_RELEASE);
	explicit_bzero(words, sizeof(words));
}

static void load_key(struct tls_ticket_key *to, const struct tls_ticket_key *from)
{
	uint32_t words[sizeof(*from) / sizeof(uint32_t)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = __atomic_load_n((const uint32_t *)from + i, __ATOMIC_ACQUIRE);
	memcpy(to, words, sizeof(words));
	explicit_bzero(words, sizeof(words));
}

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
	uint32_t version = __atomic_load_n(&keys->version, __ATOMIC_RELAXED) & ~1u;
	struct tls_ticket_key fresh, before;

	random_bytes(&fresh, sizeof(fresh));
	before = version ? keys->current : fresh;
	__atomic_store_n(&keys->version, version + 1, __ATOMIC_RELAXED);
	store_key(&keys->previous, &before);
	store_key(&keys->current, &fresh);
	version = version + 2 ? version + 2 : 2;      /* 0 is kept for "none" */
	__atomic_store_n(&keys->version, version, __ATOMIC_RELEASE);
	explicit_bzero(&fresh, sizeof(fresh));
	explicit_bzero(&before, sizeof(before));
}

bool tls_ticket_keys_read(const struct tls_ticket_keys *keys, struct tls_ticket_keys *copy)
{
	for (int i = 0; i < TRIES; i++) {
		copy->version = __atomic_load_n(&keys->version, __ATOMIC_ACQUIRE);
		if (!copy->version)
			return false;
		load_key(&copy->current, &keys->current);
		load_key(&copy->previous, &keys->previous);
		if (!(copy->version & 1) &&
		    __atomic_load_n(&keys->version, __ATOMIC_RELAXED) == copy->version)
			return true;
	}
	return false;
}

static struct tls_ticket_keys *map(int fd, int protection)
{
	void *base = mmap(NULL, SPAN, protection, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return NULL;
	madvise(base, SPAN, MADV_DONTDUMP);
	return base;
}

int tls_ticket_keys_create(struct tls_ticket_keys **out, int *fd, struct reason *reason)
{
	int file = memfd_create("wye-ticket-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (file < 0)
		return reason_set(reason, -errno, "ticket keys: %s", strerror(errno));
	if (ftruncate(file, SPAN) < 0 || !(*out = map(file, PROT_READ | PROT_WRITE)) ||
	    fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0) {
		error = errno;
		close(file);
		return reason_set(reason, -error, "ticket keys: %s", strerror(error));
	}
	tls_ticket_keys_rotate(*out);
	*fd = file;
	return 0;
}

int tls_ticket_keys_map(int fd, const struct tls_ticket_keys **out, struct reason *reason)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size != SPAN || !(*out = map(fd, PROT_READ)))
		return reason_set(reason, -EINVAL, "these are no ticket keys");
	return 0;
}

void tls_ticket_keys_unmap(const struct tls_ticket_keys *keys)
{
	if (keys)
		munmap((void *)keys, SPAN);
}

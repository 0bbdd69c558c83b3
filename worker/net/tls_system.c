/*
 * net/tls_system.c - a place where OpenSSL looks for issuers; the first look fills the store.
 */
#include "net/tls_system.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/must.h"

#define FILE_MAX (64 << 20)

static const char *const places[] = {
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
};

/* A file's text, for free(); STR_NONE if there is none. */
static struct str read_whole(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct str text = STR_NONE;
	struct stat st;
	char *bytes;
	ssize_t n;

	if (fd < 0)
		return text;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < FILE_MAX) {
		bytes = mem_alloc((size_t)st.st_size);
		do
			n = read(fd, bytes, (size_t)st.st_size);
		while (n < 0 && errno == EINTR);
		if (n > 0)
			text = (struct str){ bytes, (size_t)n };
		else
			free(bytes);
	}
	close(fd);
	return text;
}

static struct str read_system(void)
{
	const char *chosen = getenv("SSL_CERT_FILE");
	struct str text = STR_NONE;

	if (chosen && *chosen)
		return read_whole(chosen);
	for (size_t i = 0; i < ARRAY_SIZE(places) && !text.len; i++)
		text = read_whole(places[i]);
	return text;
}

static void add_all(X509_STORE *store, struct str text)
{
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
	X509 *one;

	while ((one = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(store, one);
		X509_free(one);
	}
	BIO_free(bio);
	ERR_clear_error();            /* the end of the file is one */
}

static void forget(X509_LOOKUP *lookup)
{
	free(X509_LOOKUP_get_method_data(lookup));
	X509_LOOKUP_set_method_data(lookup, NULL);
}

/* OpenSSL has looked into the store before it asks here, so after the first time there is
 * nothing to add.  The answer is borrowed from the store. */
static int find(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name, X509_OBJECT *out)
{
	X509_STORE *store = X509_LOOKUP_get_store(lookup);
	struct str *text = X509_LOOKUP_get_method_data(lookup);
	X509_OBJECT *found;
	X509 *one;

	if (type != X509_LU_X509 || !text)
		return 0;
	add_all(store, *text);
	forget(lookup);
	X509_STORE_lock(store);
	found = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), type, name);
	one = found ? X509_OBJECT_get0_X509(found) : NULL;
	if (one && X509_OBJECT_set1_X509(out, one))
		X509_free(one);
	X509_STORE_unlock(store);
	return one != NULL;
}

/* One for the process: OpenSSL knows a place by it, and frees none. */
static X509_LOOKUP_METHOD *method(void)
{
	static X509_LOOKUP_METHOD *made;

	if (!made) {
		made = X509_LOOKUP_meth_new("the system's authorities");
		must(made != NULL);
		X509_LOOKUP_meth_set_get_by_subject(made, find);
		X509_LOOKUP_meth_set_free(made, forget);
	}
	return made;
}

void tls_trust_system(X509_STORE *store)
{
	struct str text = read_system();
	X509_LOOKUP *lookup;
	struct str *kept;

	if (!text.len)
		return;
	lookup = X509_STORE_add_lookup(store, method());
	must(lookup != NULL);
	kept = mem_alloc(sizeof(*kept) + text.len);
	*kept = (struct str){ (char *)(kept + 1), text.len };
	memcpy(kept + 1, text.p, text.len);
	free((char *)(uintptr_t)text.p);
	X509_LOOKUP_set_method_data(lookup, kept);
}

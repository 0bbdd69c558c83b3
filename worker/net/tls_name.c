/*
 * net/tls_name.c - does a certificate hold for a name or an address?
 */
#include "net/tls_name.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define NAMES_SHOWN 100

struct tls_names {
	GENERAL_NAMES *all;           /* owned; NULL: no such extension */
	const ASN1_STRING **dns;      /* owned; into all */
	size_t dns_count;
};

struct tls_names *tls_names_create(X509 *certificate)
{
	struct tls_names *names = mem_zalloc(sizeof(*names));
	int count;

	names->all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	count = names->all ? sk_GENERAL_NAME_num(names->all) : 0;
	names->dns = mem_zalloc(((size_t)count + 1) * sizeof(*names->dns));
	for (int i = 0; i < count; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names->all, i);

		if (name->type == GEN_DNS)
			names->dns[names->dns_count++] = name->d.dNSName;
	}
	return names;
}

void tls_names_destroy(struct tls_names *names)
{
	if (!names)
		return;
	GENERAL_NAMES_free(names->all);
	free(names->dns);
	free(names);
}

size_t tls_names_count(const struct tls_names *names)
{
	return names->dns_count;
}

static struct str text_of(const ASN1_STRING *string)
{
	return (struct str){ (const char *)ASN1_STRING_get0_data(string),
			     (size_t)ASN1_STRING_length(string) };
}

struct str tls_names_dns(const struct tls_names *names, size_t i)
{
	return text_of(names->dns[i]);
}

struct str tls_common_name(X509 *certificate)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at < 0 ? STR_NONE :
			text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

bool tls_name_matches(struct str pattern, struct str host)
{
	ssize_t dot;

	if (host.len && host.p[host.len - 1] == '.')
		host.len--;
	if (!host.len || !pattern.len || memchr(pattern.p, '\0', pattern.len))
		return false;
	if (str_equal_nocase(pattern, host))
		return true;
	dot = str_find_char(host, '.');
	return dot > 0 && str_has_prefix(pattern, STR("*.")) && pattern.len > 2 &&
	       str_equal_nocase(str_sub(pattern, 1, STR_REST), str_sub(host, (size_t)dot, STR_REST));
}

static bool has_ip(const struct tls_names *names, const struct addr *ip)
{
	bool is_v6 = ip->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&ip->in6.sin6_addr);
	uint8_t bytes[16];
	struct str wanted = is_v6 ? (struct str){ (char *)bytes, 16 } :
				    (struct str){ (char *)bytes + 12, 4 };

	addr_to_bytes(ip, bytes);
	for (int i = 0; names->all && i < sk_GENERAL_NAME_num(names->all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names->all, i);

		if (name->type == GEN_IPADD && str_equal(text_of(name->d.iPAddress), wanted))
			return true;
	}
	return false;
}

/* "10.0.0.1, ::1", as an arena text. */
static struct str ip_list(const struct tls_names *names, struct arena *arena)
{
	struct str list = STR("");
	char text[INET6_ADDRSTRLEN];

	for (int i = 0; names->all && i < sk_GENERAL_NAME_num(names->all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names->all, i);
		struct str ip;

		if (name->type != GEN_IPADD)
			continue;
		ip = text_of(name->d.iPAddress);
		if ((ip.len != 4 && ip.len != 16) ||
		    !inet_ntop(ip.len == 4 ? AF_INET : AF_INET6, ip.p, text, sizeof(text)))
			continue;
		list = arena_format(arena, "%.*s%s%s", STR_ARG(list), list.len ? ", " : "", text);
	}
	return list;
}

static struct str dns_list(const struct tls_names *names, struct arena *arena)
{
	struct str list = STR("");

	for (size_t i = 0; i < names->dns_count; i++) {
		struct str name = text_of(names->dns[i]);

		list = arena_format(arena, "%.*s%s%.*s", STR_ARG(list), list.len ? ", " : "",
				    STR_ARG(name));
	}
	return list;
}

static struct str why_not_ip(const struct tls_names *names, const char *ip, struct arena *arena)
{
	struct str list = ip_list(names, arena);

	return list.len ? arena_format(arena, "certificate is valid for %.*s, not %s",
				       STR_ARG(list), ip) :
			  arena_format(arena, "cannot validate certificate for %s because it "
				       "doesn't contain any IP SANs", ip);
}

static struct str why_not_name(const struct tls_names *names, X509 *certificate, struct str host,
			       struct arena *arena)
{
	struct str list;

	if (!names->all && tls_name_matches(tls_common_name(certificate), host))
		return STR("certificate relies on legacy Common Name field, use SANs instead");
	if (names->dns_count > NAMES_SHOWN)
		return arena_format(arena, "certificate is valid for %zu names, but none matched %.*s",
				    names->dns_count, STR_ARG(host));
	list = dns_list(names, arena);
	return list.len ? arena_format(arena, "certificate is valid for %.*s, not %.*s",
				       STR_ARG(list), STR_ARG(host)) :
			  arena_format(arena, "certificate is not valid for any names, but wanted "
				       "to match %.*s", STR_ARG(host));
}

static bool has_dns(const struct tls_names *names, struct str host)
{
	for (size_t i = 0; i < names->dns_count; i++)
		if (tls_name_matches(text_of(names->dns[i]), host))
			return true;
	return false;
}

bool tls_certificate_is_for(X509 *certificate, struct str name, const struct addr *ip,
			    char **why)
{
	struct tls_names *names = tls_names_create(certificate);
	struct addr from_name;
	bool is_ip = !name.len || addr_from_ip(name, 0, &from_name), is_good;

	if (name.len && is_ip)
		ip = &from_name;
	is_good = is_ip ? ip->len && has_ip(names, ip) : has_dns(names, name);
	if (!is_good) {
		char text[ADDR_TEXT_SIZE] = "an unknown address";
		struct arena arena;

		arena_init(&arena, NULL, 0);
		if (is_ip && ip->len)
			addr_format_ip(ip, text);
		*why = mem_strdup(is_ip ? why_not_ip(names, text, &arena) :
					  why_not_name(names, certificate, name, &arena));
		arena_fini(&arena);
	}
	tls_names_destroy(names);
	return is_good;
}

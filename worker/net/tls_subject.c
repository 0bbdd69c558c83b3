/*
 * net/tls_subject.c - rules about whom a client certificate may name, given who
 * stands in its chain.  Names are compared as sets of attribute and value, so
 * that the order in which somebody wrote them does not matter.
 */
#include <errno.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/tls_name.h"

#define PARTS_MAX 32

struct subject_rule {
	X509_NAME *issuer;            /* owned, sorted */
	X509_NAME **subjects;         /* owned */
	size_t count;
};

struct subject_rules {
	struct subject_rule *rules;   /* owned */
	size_t count;
};

/* Takes "TYPE=value" up to an unescaped comma or plus; backslashes go. */
static bool next_part(const char **at, char *out, size_t cap)
{
	size_t n = 0;
	const char *p = *at + strspn(*at, " ");

	while (*p && *p != ',' && *p != '+' && n + 1 < cap) {
		if (*p == '\\' && p[1])
			p++;
		out[n++] = *p++;
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	if (*p && *p != ',' && *p != '+')
		return false;
	*at = *p ? p + 1 : p;
	return true;
}

static int type_of(const char *name)
{
	static const struct { const char *name; int nid; } others[] = {
		{ "STREET", NID_streetAddress }, { "SERIALNUMBER", NID_serialNumber },
		{ "POSTALCODE", NID_postalCode },
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(name, others[i].name) == 0)
			return others[i].nid;
	return OBJ_txt2nid(name);
}

static X509_NAME *name_parse(const char *text)
{
	X509_NAME *name = X509_NAME_new();
	char part[512];

	while (name && *text) {
		char *value = NULL;
		bool is_good = next_part(&text, part, sizeof(part)) && (value = strchr(part, '='));

		if (is_good) {
			*value++ = '\0';
			is_good = X509_NAME_add_entry_by_NID(name, type_of(part), MBSTRING_UTF8,
							     (unsigned char *)value, -1, -1, 0);
		}
		if (!is_good) {
			X509_NAME_free(name);
			return NULL;
		}
	}
	return name;
}

static bool entries_equal(const X509_NAME_ENTRY *a, const X509_NAME_ENTRY *b)
{
	unsigned char *as = NULL, *bs = NULL;
	int alen, blen;
	bool is_equal;

	if (OBJ_cmp(X509_NAME_ENTRY_get_object(a), X509_NAME_ENTRY_get_object(b)) != 0)
		return false;
	alen = ASN1_STRING_to_UTF8(&as, X509_NAME_ENTRY_get_data(a));
	blen = ASN1_STRING_to_UTF8(&bs, X509_NAME_ENTRY_get_data(b));
	is_equal = alen >= 0 && alen == blen && memcmp(as, bs, (size_t)alen) == 0;
	OPENSSL_free(as);
	OPENSSL_free(bs);
	return is_equal;
}

/* Equal as multisets: each entry of `a` finds one of its own in `b`. */
static bool names_equal(const X509_NAME *a, const X509_NAME *b)
{
	int count = X509_NAME_entry_count(a);
	bool used[PARTS_MAX] = { false };

	if (count != X509_NAME_entry_count(b) || count > PARTS_MAX)
		return false;
	for (int i = 0; i < count; i++) {
		int j = 0;

		while (j < count && (used[j] || !entries_equal(X509_NAME_get_entry(a, i),
							       X509_NAME_get_entry(b, j))))
			j++;
		if (j == count)
			return false;
		used[j] = true;
	}
	return true;
}

static X509_NAME *name_or_reason(const char *text, struct reason *reason)
{
	X509_NAME *name = text && *text ? name_parse(text) : NULL;

	if (!name)
		reason_set(reason, -EINVAL, "\"%s\" is no distinguished name such as "
			   "\"CN=client,O=Org,C=US\"", text ? text : "");
	return name;
}

static bool rule_init(struct subject_rule *rule, const struct tls_subject_rule *from,
		      struct reason *reason)
{
	rule->subjects = mem_zalloc((from->subject_count + 1) * sizeof(*rule->subjects));
	rule->issuer = name_or_reason(from->issuer, reason);
	if (!rule->issuer)
		return false;
	for (; rule->count < from->subject_count; rule->count++) {
		X509_NAME *subject = name_or_reason(from->subjects[rule->count], reason);

		if (!subject)
			return false;
		rule->subjects[rule->count] = subject;
	}
	return true;
}

struct subject_rules *subject_rules_create(const struct tls_subject_rule *from, size_t count,
					   struct reason *reason)
{
	struct subject_rules *rules = mem_zalloc(sizeof(*rules));

	rules->rules = mem_zalloc((count + 1) * sizeof(*rules->rules));
	while (rules->count < count) {
		size_t i = rules->count++;

		if (!rule_init(&rules->rules[i], &from[i], reason)) {
			subject_rules_destroy(rules);
			return NULL;
		}
	}
	return rules;
}

void subject_rules_destroy(struct subject_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->count; i++) {
		for (size_t j = 0; j < rules->rules[i].count; j++)
			X509_NAME_free(rules->rules[i].subjects[j]);
		X509_NAME_free(rules->rules[i].issuer);
		free(rules->rules[i].subjects);
	}
	free(rules->rules);
	free(rules);
}

static bool is_authority(X509 *certificate)
{
	return X509_check_ca(certificate) > 0;
}

static bool has_issuer(const struct subject_rule *rule, STACK_OF(X509) *chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *certificate = sk_X509_value(chain, i);

		if (is_authority(certificate) &&
		    names_equal(rule->issuer, X509_get_subject_name(certificate)))
			return true;
	}
	return false;
}

int subject_rules_check(const struct subject_rules *rules, STACK_OF(X509) *authorities,
			struct reason *reason)
{
	for (size_t i = 0; i < rules->count; i++) {
		char text[200];

		if (has_issuer(&rules->rules[i], authorities))
			continue;
		X509_NAME_oneline(rules->rules[i].issuer, text, sizeof(text));
		return reason_set(reason, -EINVAL, "subject rule: no client CA has the subject %s",
				  text);
	}
	return 0;
}

static bool rule_allows(const struct subject_rule *rule, const X509_NAME *subject)
{
	for (size_t i = 0; i < rule->count; i++)
		if (names_equal(rule->subjects[i], subject))
			return true;
	return false;
}

bool subject_rules_allow(const struct subject_rules *rules, STACK_OF(X509) *chain)
{
	int at = 0;

	while (at < sk_X509_num(chain) && is_authority(sk_X509_value(chain, at)))
		at++;
	for (size_t i = 0; i < rules->count; i++) {
		if (!has_issuer(&rules->rules[i], chain))
			continue;
		if (at == sk_X509_num(chain) ||
		    !rule_allows(&rules->rules[i], X509_get_subject_name(sk_X509_value(chain, at))))
			return false;
	}
	return true;
}

/*
 * tests/unit/proxy/test_client_cert.c - what the app is told about the client's
 * certificate.
 */
#include "proxy/steps.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define PLAIN "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
#define SENT  "X-Forwarded-Client-Cert: sent\n"
#define TWICE "x-forwarded-client-cert: one\nX-FORWARDED-CLIENT-CERT: two\n"

/* Spec proxy 5.11, for requests without a route service. */
static void each_mode_says_what_may_be_believed(void **state)
{
	static const struct {
		enum forwarded_client_cert mode;
		bool is_tls;
		const char *certificate, *fields, *after;
	} cases[] = {
		{ CERT_ALWAYS_FORWARD, false, "",    "",    ""    },
		{ CERT_ALWAYS_FORWARD, false, "",    SENT,  SENT  },
		{ CERT_ALWAYS_FORWARD, true,  "",    SENT,  SENT  },
		{ CERT_ALWAYS_FORWARD, true,  "DER", SENT,  SENT  },
		{ CERT_ALWAYS_FORWARD, true,  "DER", TWICE, TWICE },
		{ CERT_FORWARD,        false, "",    "",    ""    },
		{ CERT_FORWARD,        false, "",    SENT,  ""    },
		{ CERT_FORWARD,        false, "",    TWICE, ""    },
		{ CERT_FORWARD,        true,  "",    SENT,  ""    },
		{ CERT_FORWARD,        true,  "DER", "",    ""    },
		{ CERT_FORWARD,        true,  "DER", SENT,  SENT  },
		{ CERT_SANITIZE_SET,   false, "",    SENT,  ""    },
		{ CERT_SANITIZE_SET,   true,  "",    SENT,  ""    },
		{ CERT_SANITIZE_SET,   true,  "DER", "",    "X-Forwarded-Client-Cert: REVS\n" },
		{ CERT_SANITIZE_SET,   true,  "DER", SENT,  "X-Forwarded-Client-Cert: REVS\n" },
		{ CERT_SANITIZE_SET,   true,  "DER", TWICE, "X-Forwarded-Client-Cert: REVS\n" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		t->settings.headers.forwarded_client_cert = cases[i].mode;
		x->is_tls = cases[i].is_tls;
		x->client_certificate = str_of(cases[i].certificate);
		fields_fill(&x->request, cases[i].fields);
		assert_true(step_forward_client_cert(x));
		fields_assert(&x->request, cases[i].after);
	}
}

/* RFC 4648 section 10, and every value of six bits. */
static void the_certificate_is_in_base64_on_one_line(void **state)
{
	static const char all[] =
		"\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96"
		"\x9b\x71\xd7\x9f\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3"
		"\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf";
	static const struct { struct str der; const char *text; } cases[] = {
		{ STR_INIT("f"),      "Zg=="     },
		{ STR_INIT("fo"),     "Zm8="     },
		{ STR_INIT("foo"),    "Zm9v"     },
		{ STR_INIT("foob"),   "Zm9vYg==" },
		{ STR_INIT("fooba"),  "Zm9vYmE=" },
		{ STR_INIT("foobar"), "Zm9vYmFy" },
		{ { all, 48 }, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	t->settings.headers.forwarded_client_cert = CERT_SANITIZE_SET;
	x->is_tls = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		x->client_certificate = cases[i].der;
		assert_true(step_forward_client_cert(x));
		assert_string_equal(fields_value(&x->request, "X-Forwarded-Client-Cert"),
				    cases[i].text);
	}
}

/* Large as a certificate with many names; the value is one line. */
static void a_large_certificate_has_no_line_ends(void **state)
{
	static char der[8192];
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	struct str value;

	memset(der, 0xff, sizeof(der));
	t->settings.headers.forwarded_client_cert = CERT_SANITIZE_SET;
	x->is_tls = true;
	x->client_certificate = (struct str){ der, sizeof(der) };
	assert_true(step_forward_client_cert(x));
	value = http_head_find(&x->request, STR("X-Forwarded-Client-Cert"));
	assert_int_equal(value.len, (sizeof(der) + 2) / 3 * 4);
	assert_int_equal(str_find_char(value, '\n'), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(each_mode_says_what_may_be_believed),
		ON_AN_EXCHANGE(the_certificate_is_in_base64_on_one_line),
		ON_AN_EXCHANGE(a_large_certificate_has_no_line_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

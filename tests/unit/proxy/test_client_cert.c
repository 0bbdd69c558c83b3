/*
 * tests/unit/proxy/test_client_cert.c - what the app is told about the client's
 * certificate, over real connections with and without one.
 */
#include "net/tls_conn.h"
#include "proxy/steps.h"
#include "tests/unit/fixture/net_certificates.h"
#include "tests/unit/fixture/net_tls_pair.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define PLAIN "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
#define FIELD "X-Forwarded-Client-Cert"
#define SENT  FIELD ": sent\n"
#define TWICE "x-forwarded-client-cert: one\nX-FORWARDED-CLIENT-CERT: two\n"
#define OURS  "ours"                  /* the certificate of the connection */

enum client { CLIENT_PLAIN, CLIENT_NAMELESS, CLIENT_NAMED };

/* A client at a TLS port that asks for certificates. */
static void connect_client(struct tls_pair *pair, bool is_named)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){
		.client_auth = TLS_CLIENT_AUTH_REQUEST, .client_ca_files = &example.authority_file,
		.client_ca_count = 1, .only_trust_client_ca_files = true });
	struct tls_client *client = tls_client_with((struct tls_client_settings){
		.certificate = is_named ? example.files : (struct tls_certificate_files){ 0 } });

	tls_pair_begin(pair, server, client, &a_example, 0);
	tls_server_destroy(server);
	tls_client_destroy(client);
	tls_pair_shake(pair);
}

/* Spec proxy 5.11, for requests without a route service. */
static const struct mode_case {
	enum forwarded_client_cert mode;
	enum client client;
	const char *fields, *after;
} mode_cases[] = {
	{ CERT_ALWAYS_FORWARD, CLIENT_PLAIN,    "",    ""    },
	{ CERT_ALWAYS_FORWARD, CLIENT_PLAIN,    SENT,  SENT  },
	{ CERT_ALWAYS_FORWARD, CLIENT_NAMELESS, SENT,  SENT  },
	{ CERT_ALWAYS_FORWARD, CLIENT_NAMED,    SENT,  SENT  },
	{ CERT_ALWAYS_FORWARD, CLIENT_NAMED,    TWICE, TWICE },
	{ CERT_FORWARD,        CLIENT_PLAIN,    "",    ""    },
	{ CERT_FORWARD,        CLIENT_PLAIN,    SENT,  ""    },
	{ CERT_FORWARD,        CLIENT_PLAIN,    TWICE, ""    },
	{ CERT_FORWARD,        CLIENT_NAMELESS, SENT,  ""    },
	{ CERT_FORWARD,        CLIENT_NAMED,    "",    ""    },
	{ CERT_FORWARD,        CLIENT_NAMED,    SENT,  SENT  },
	{ CERT_SANITIZE_SET,   CLIENT_PLAIN,    SENT,  ""    },
	{ CERT_SANITIZE_SET,   CLIENT_NAMELESS, SENT,  ""    },
	{ CERT_SANITIZE_SET,   CLIENT_NAMED,    "",    OURS  },
	{ CERT_SANITIZE_SET,   CLIENT_NAMED,    SENT,  OURS  },
	{ CERT_SANITIZE_SET,   CLIENT_NAMED,    TWICE, OURS  },
};

static void run_mode_case(struct exchange *x, const struct mode_case *c)
{
	struct tls_pair pair;

	if (c->client != CLIENT_PLAIN) {
		connect_client(&pair, c->client == CLIENT_NAMED);
		x->client_conn = &pair.server.conn;
		x->is_tls = true;
	}
	fields_fill(&x->request, c->fields);
	assert_true(step_forward_client_cert(x));
	if (strcmp(c->after, OURS) == 0) {
		struct str text = conn_peer_certificate(x->client_conn);

		assert_true(str_equal(http_head_join(&x->request, STR(FIELD)), text));
	} else {
		fields_assert(&x->request, c->after);
		/* nobody wanted it, so nobody paid for it */
		assert_true(!x->is_tls || !x->client_conn->tls->peer_text);
	}
	if (c->client != CLIENT_PLAIN)
		tls_pair_close(&pair);
}

static void each_mode_says_what_may_be_believed(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	const struct conn *own = x->client_conn;

	for (size_t i = 0; i < ARRAY_SIZE(mode_cases); i++) {
		t->settings.headers.forwarded_client_cert = mode_cases[i].mode;
		run_mode_case(x, &mode_cases[i]);
		x->client_conn = own;
		x->is_tls = false;
	}
}

/* The log of a request may be written after its client was cut off. */
static void what_the_app_was_told_outlives_the_connection(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	const struct conn *own = x->client_conn;
	struct tls_pair pair;

	t->settings.headers.forwarded_client_cert = CERT_SANITIZE_SET;
	connect_client(&pair, true);
	x->client_conn = &pair.server.conn;
	x->is_tls = true;
	assert_true(step_forward_client_cert(x));
	tls_pair_close(&pair);
	x->client_conn = own;
	x->is_tls = false;
	assert_true(str_has_prefix(http_head_find(&x->request, STR(FIELD)), STR("MII")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(each_mode_says_what_may_be_believed),
		ON_AN_EXCHANGE(what_the_app_was_told_outlives_the_connection),
	};

	return cmocka_run_group_tests(tests, example_set_up, example_tear_down);
}

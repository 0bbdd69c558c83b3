/*
 * tests/unit/registrar/test_message.c - what each field of a registration means
 * (spec control 1.3), and what it costs to write one wrongly.
 */
#include "tests/unit/fixture/registrar_message.h"

#include <stdio.h>

#include "shm/route_key.h"

#define UNSAFE "server_cert_domain_san or isolation_segment has a wrong type"

struct text_field {
	const char *key;
	size_t offset;                /* of the text in struct endpoint */
	const char *fallback;
	const char *without;          /* why a message with a wrong one is refused; or NULL */
};

#define FIELD(key, name, fallback, without) \
	{ key, offsetof(struct endpoint, name), fallback, without }
static const struct text_field text_fields[] = {
	FIELD("Host",                   host,              "10.0.0.1", NULL),    /* the second */
	FIELD("app",                    app_id,            "",         NULL),
	FIELD("private_instance_id",    instance_id,       "",         NULL),
	FIELD("private_instance_index", instance_index,    "",         NULL),
	FIELD("availability_zone",      zone,              "",         NULL),
	FIELD("protocol",               protocol,          "http1",    NULL),
	FIELD("server_cert_domain_san", san,               "",         UNSAFE),
	FIELD("isolation_segment",      isolation_segment, "",         UNSAFE),
	FIELD("route_service_url",      route_service_url, "",         UNSAFE),
};

static struct str field_of(const struct parsed *p, const struct text_field *field)
{
	return *(const struct str *)((const char *)&p->out.endpoint + field->offset);
}

static void parsed_field(struct parsed *p, char fields[128], const char *key, const char *value)
{
	snprintf(fields, 128, "'%s':%s", key, value);
	parsed_with(p, fields);
}

static void a_text_is_kept_as_it_was_sent(void **state)
{
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++) {
		parsed_field(&p, fields, text_fields[i].key, "'https Ab-1 \\u00e4'");
		assert_taken(&p, fields, 0);
		assert_text(fields, field_of(&p, &text_fields[i]), "https Ab-1 \xc3\xa4");
		parsed_free(&p);
	}
}

static void an_absent_text_or_null_leaves_the_default(void **state)
{
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++) {
		parsed_with(&p, "");
		assert_taken(&p, "without the field", 0);
		assert_text(text_fields[i].key, field_of(&p, &text_fields[i]), text_fields[i].fallback);
		parsed_free(&p);
		parsed_field(&p, fields, text_fields[i].key, "null");
		assert_taken(&p, fields, 0);
		assert_text(fields, field_of(&p, &text_fields[i]), text_fields[i].fallback);
		parsed_free(&p);
	}
}

/* Without TLS, its name, its segment or its route service an app would be open. */
static void a_wrong_text_costs_the_field_or_if_it_protects_the_app_the_message(void **state)
{
	static const char *const wrong[] = {
		"1.5", "true", "[]", "['a']", "{}", "'a\\u0000b'", "'a\\nb'", "'a\\u007fb'",
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++)
		for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
			parsed_field(&p, fields, text_fields[i].key, wrong[k]);
			if (text_fields[i].without) {
				assert_refused(&p, fields, text_fields[i].without);
			} else {
				assert_taken(&p, fields, 1);
				assert_text(fields, field_of(&p, &text_fields[i]),
					    text_fields[i].fallback);
			}
			parsed_free(&p);
		}
}

static void an_instance_index_may_be_a_number(void **state)
{
	static const struct { const char *value, *index; } cases[] = {
		{ "'0'", "0" }, { "7", "7" }, { "-1", "-1" }, { "'07'", "07" },
		{ "9223372036854775807", "9223372036854775807" },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_field(&p, fields, "private_instance_index", cases[i].value);
		assert_taken(&p, fields, 0);
		assert_text(fields, p.out.endpoint.instance_index, cases[i].index);
		parsed_free(&p);
	}
}

static void a_tls_port_is_preferred_and_makes_the_endpoint_tls(void **state)
{
	static const struct { const char *fields; uint16_t port; bool is_tls; unsigned dropped; }
	cases[] = {
		{ "'port':1",                       1,     false, 0 },
		{ "'port':65535",                   65535, false, 0 },
		{ "'port':'8080'",                  8080,  false, 0 },
		{ "'tls_port':8443",                8443,  true,  0 },
		{ "'tls_port':'8443'",              8443,  true,  0 },
		{ "'port':80,'tls_port':8443",      8443,  true,  0 },
		{ "'tls_port':80,'port':80",        80,    true,  0 },
		{ "'port':80,'tls_port':0",         80,    false, 0 },
		{ "'port':80,'tls_port':null",      80,    false, 0 },
		{ "'port':0,'tls_port':65535",      65535, true,  0 },
		{ "'port':null,'tls_port':1",       1,     true,  0 },
		{ "'port':65536,'tls_port':8443",   8443,  true,  1 },
		{ "'port':{},'tls_port':8443",      8443,  true,  1 },
	};
	struct parsed p;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "{'host':'h','uris':['a'],%s}", cases[i].fields);
		parsed_text(&p, text);
		assert_taken(&p, text, cases[i].dropped);
		assert_int_equal(p.out.endpoint.port, cases[i].port);
		assert_int_equal(!!(p.out.endpoint.flags & ENDPOINT_TLS), cases[i].is_tls);
		parsed_free(&p);
	}
}

static void a_port_that_is_none_is_never_guessed(void **state)
{
	static const char *const wrong[] = {
		"-1", "65536", "80.0", "8e1", "'80 '", "' 80'", "'+80'", "'0x50'", "''", "'http'",
		"true", "[80]", "9223372036854775807", "'18446744073709551696'",
	};
	struct parsed p;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "{'host':'h','uris':['a'],'port':%s}", wrong[i]);
		parsed_text(&p, text);
		assert_refused(&p, text, "no usable port");
		parsed_free(&p);
		parsed_field(&p, text, "tls_port", wrong[i]);
		assert_refused(&p, text, "tls_port");
		parsed_free(&p);
	}
}

static void numbers_out_of_range_are_left_out(void **state)
{
	static const struct { const char *value; uint32_t stale_s; uint64_t updated_at_ns; }
	cases[] = {
		{ "0",                     0,          0 },
		{ "null",                  0,          0 },
		{ "30",                    30,         30 },
		{ "'30'",                  30,         30 },
		{ "4294967295",            UINT32_MAX, UINT32_MAX },
		{ "4294967296",            0,          4294967296 },
		{ "1745923200000000001",   0,          1745923200000000001 },
		{ "9223372036854775807",   0,          INT64_MAX },
		{ "'9223372036854775808'", 0,          0 },
		{ "-1",                    0,          0 },
		{ "1.5",                   0,          0 },
		{ "'soon'",                0,          0 },
		{ "[1]",                   0,          0 },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool is_nothing = i < 2;

		parsed_field(&p, fields, "stale_threshold_in_seconds", cases[i].value);
		assert_taken(&p, fields, !is_nothing && !cases[i].stale_s);
		assert_int_equal(p.out.endpoint.stale_s, cases[i].stale_s);
		parsed_free(&p);
		parsed_field(&p, fields, "endpoint_updated_at_ns", cases[i].value);
		assert_taken(&p, fields, !is_nothing && !cases[i].updated_at_ns);
		assert_true(p.out.endpoint.updated_at_ns == cases[i].updated_at_ns);
		parsed_free(&p);
	}
}

/* Any other protocol is kept and treated as HTTP/1. */
static void only_http2_is_http2(void **state)
{
	static const struct { const char *value, *protocol; bool is_http2; } cases[] = {
		{ "'http1'", "http1", false }, { "'http2'", "http2", true },
		{ "'HTTP2'", "HTTP2", false }, { "'tcp'",   "tcp",   false },
		{ "''",      "http1", false }, { "2",       "http1", false },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_field(&p, fields, "protocol", cases[i].value);
		assert_text(fields, p.out.endpoint.protocol, cases[i].protocol);
		assert_int_equal(!!(p.out.endpoint.flags & ENDPOINT_HTTP2), cases[i].is_http2);
		parsed_free(&p);
	}
}

static void a_host_is_an_address_or_a_name(void **state)
{
	static const struct { const char *host; bool is_name; uint8_t ip[16]; } cases[] = {
		{ "10.0.0.1",  false, { [10] = 0xff, 0xff, 10, 0, 0, 1 } },
		{ "::1",       false, { [15] = 1 } },
		{ "[fd00::2]", false, { 0xfd, [15] = 2 } },
		{ "10.0.0",    true,  { 0 } },
		{ "10.0.0.01", true,  { 0 } },
		{ "h.example", true,  { 0 } },
		{ "[::1",      true,  { 0 } },
	};
	struct parsed p;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "{'host':'%s','port':80,'uris':['a']}", cases[i].host);
		parsed_text(&p, text);
		assert_taken(&p, text, 0);
		assert_text(text, p.out.endpoint.host, cases[i].host);
		assert_int_equal(!!(p.out.endpoint.flags & ENDPOINT_HOST_IS_NAME), cases[i].is_name);
		assert_memory_equal(p.out.endpoint.ip, cases[i].ip, 16);
		parsed_free(&p);
	}
}

static void tags_are_kept_as_json_without_what_is_no_text(void **state)
{
	static const struct { const char *tags, *kept, *process_id, *component; unsigned dropped; }
	cases[] = {
		{ "null",                         "",                            "", "", 0 },
		{ "{}",                           "{}",                          "", "", 0 },
		{ "{'process_id':'p'}",           "{\"process_id\":\"p\"}",      "p", "", 0 },
		{ "{'component':'c'}",            "{\"component\":\"c\"}",       "", "c", 0 },
		{ "{'COMPONENT':'c'}",            "{\"COMPONENT\":\"c\"}",       "", "", 0 },
		{ "{'process_id':null,'x':null}", "{\"process_id\":\"\",\"x\":\"\"}", "", "", 0 },
		{ "{'n':1,'process_id':'p'}",     "{\"process_id\":\"p\"}",      "p", "", 1 },
		{ "{'process_id':7,'a':[]}",      "{}",                          "", "", 2 },
		{ "{'a':'1','a':'2'}",            "{\"a\":\"2\"}",               "", "", 0 },
		{ "{'a':'\\u0000\\''}",           NULL,                          "", "", 0 },
		{ "[]",                           "",                            "", "", 1 },
		{ "'text'",                       "",                            "", "", 1 },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *kept = cases[i].kept ? cases[i].kept : "{\"a\":\"\\u0000\\\"\"}";

		parsed_field(&p, fields, "tags", cases[i].tags);
		assert_taken(&p, fields, cases[i].dropped);
		assert_text(fields, p.out.endpoint.tags, kept);
		assert_text(fields, p.out.endpoint.process_id, cases[i].process_id);
		assert_text(fields, p.out.endpoint.component, cases[i].component);
		assert_int_equal(!!(p.out.endpoint.flags & ENDPOINT_HAS_TAGS), *kept != '\0');
		parsed_free(&p);
	}
}

/* The key of older clients is taken too; a registration is never lost to an option. */
static void an_option_balances_as_it_says_or_by_default(void **state)
{
	static const struct { const char *options; int balancing; unsigned dropped; } cases[] = {
		{ "null",                                 BALANCE_DEFAULT,          0 },
		{ "{}",                                   BALANCE_DEFAULT,          0 },
		{ "{'loadbalancing':'round-robin'}",      BALANCE_ROUND_ROBIN,      0 },
		{ "{'loadbalancing':'least-connection'}", BALANCE_LEAST_CONNECTION, 0 },
		{ "{'lb_algo':'least-connection'}",       BALANCE_LEAST_CONNECTION, 0 },
		{ "{'LoadBalancing':'round-robin'}",      BALANCE_ROUND_ROBIN,      0 },
		{ "{'loadbalancing':''}",                 BALANCE_DEFAULT,          0 },
		{ "{'loadbalancing':null}",               BALANCE_DEFAULT,          0 },
		{ "{'loadbalancing':'Round-Robin'}",      BALANCE_DEFAULT,          1 },
		{ "{'loadbalancing':'hash','hash_header':'X','hash_balance':1.25}", BALANCE_DEFAULT, 1 },
		{ "{'loadbalancing':{}}",                 BALANCE_DEFAULT,          1 },
		{ "{'other':[{'deep':1}]}",               BALANCE_DEFAULT,          0 },
		{ "[]",                                   BALANCE_DEFAULT,          1 },
		{ "'round-robin'",                        BALANCE_DEFAULT,          1 },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_field(&p, fields, "options", cases[i].options);
		assert_taken(&p, fields, cases[i].dropped);
		assert_int_equal(p.out.endpoint.balancing, cases[i].balancing);
		parsed_free(&p);
	}
}

static void a_route_service_begins_with_https(void **state)
{
	static const struct { const char *url; bool is_taken; } cases[] = {
		{ "https://rs.example/path?x=y", true }, { "https", true }, { "", true },
		{ "http://rs.example", false }, { "HTTPS://rs.example", false },
		{ " https://rs.example", false }, { "rs.example", false }, { "http", false },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(fields, sizeof(fields), "'route_service_url':'%s'", cases[i].url);
		parsed_with(&p, fields);
		if (cases[i].is_taken) {
			assert_taken(&p, fields, 0);
			assert_text(fields, p.out.endpoint.route_service_url, cases[i].url);
		} else {
			assert_refused(&p, fields, "route_service_url must be https");
		}
		parsed_free(&p);
	}
}

static void each_uri_is_read_by_itself(void **state)
{
	static const struct { const char *uris; unsigned count, dropped; const char *last; }
	cases[] = {
		{ "['a.example']",                1, 0, "a.example" },
		{ "['A.example/Path?q','b','b']", 3, 0, "b" },
		{ "['x',null,'','y']",            2, 2, "y" },
		{ "[1,{},'only']",                1, 2, "only" },
		{ "['a\\u0001b']",                1, 0, "a\001b" },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_field(&p, fields, "uris", cases[i].uris);
		assert_taken(&p, fields, cases[i].dropped);
		assert_int_equal(p.out.uri_count, cases[i].count);
		assert_text(fields, p.out.uris[cases[i].count - 1], cases[i].last);
		parsed_free(&p);
	}
}

/* Spec control 2.1: lower case, no query, one '/' less at either end; nothing else. */
static void a_uri_of_a_message_names_one_route(void **state)
{
	static const struct { const char *uri, *key; } cases[] = {
		{ "A.Example",              "a.example" },
		{ "a.example/",             "a.example" },
		{ "/a.example",             "a.example" },
		{ "a.example.",             "a.example" },
		{ "a.example./V1/",         "a.example/v1" },
		{ "a.example/v1//",         "a.example/v1/" },
		{ "a.example/v1?x=/Y",      "a.example/v1" },
		{ "a.example?x",            "a.example" },
		{ "*.Example/a%2Fb/../c",   "*.example/a%2fb/../c" },
		{ "a.example:443",          "a.example:443" },
		{ "a.example\\u002fv1",     "a.example/v1" },
		{ "?",                      NULL },
		{ "/",                      NULL },
		{ "//path",                 NULL },
		{ "a\\u0000.example",       NULL },
		{ "a.example/\\r\\nx",      NULL },
	};
	char fields[128], buffer[ROUTE_KEY_MAX];
	struct route_key key;
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(fields, sizeof(fields), "'uris':['%s']", cases[i].uri);
		parsed_with(&p, fields);
		assert_taken(&p, fields, 0);
		if (route_key_parse(p.out.uris[0], buffer, &key, NULL) == 0)
			assert_text(fields, key.text, cases[i].key ? cases[i].key : "nothing");
		else
			assert_null(cases[i].key);
		parsed_free(&p);
	}
}

static void keys_match_in_any_case_and_unknown_ones_do_not_matter(void **state)
{
	struct parsed p;

	(void)state;
	parsed_text(&p, "{'HOST':'10.0.0.9','Port':81,'URIs':['a'],'App':'g','hosts':[1],"
		    "'port_':{'port':1},'modification_tag':{'guid':null,'index':1},"
		    "'':[[[]]],'OPTIONS':{'LB_ALGO':'round-robin'},'private_instance_Index':'4'}");
	assert_taken(&p, "any case", 0);
	assert_text("host", p.out.endpoint.host, "10.0.0.9");
	assert_text("app", p.out.endpoint.app_id, "g");
	assert_text("index", p.out.endpoint.instance_index, "4");
	assert_int_equal(p.out.endpoint.port, 81);
	assert_int_equal(p.out.endpoint.balancing, BALANCE_ROUND_ROBIN);
	parsed_free(&p);
}

/* A process id that is in no tags would steer requests by what shm-dump cannot show. */
static void the_last_of_equal_keys_wins_and_null_is_none(void **state)
{
	struct parsed p;

	(void)state;
	parsed_with(&p, "'app':'1','port':81,'APP':'2','app_':'3','uris':['b','c'],'URIS':['d'],"
		    "'uris':null,'Port':null,'tags':{'process_id':'p','component':'c'},"
		    "'TAGS':{'n':'1'}");
	assert_taken(&p, "twice", 0);
	assert_text("app", p.out.endpoint.app_id, "2");
	assert_int_equal(p.out.endpoint.port, 81);
	assert_int_equal(p.out.uri_count, 1);
	assert_text("uris", p.out.uris[0], "d");
	assert_text("tags", p.out.endpoint.tags, "{\"n\":\"1\"}");
	assert_text("process_id", p.out.endpoint.process_id, "");
	assert_text("component", p.out.endpoint.component, "");
	parsed_free(&p);
}

/* Spec control 11: a cell's emitter and a component's registrar. */
static void what_real_clients_send_is_read_whole(void **state)
{
	struct parsed p;

	(void)state;
	parsed_text(&p, "{'host':'10.0.4.5','port':61000,'uris':['a.apps.example'],'tls_port':61001,"
		    "'protocol':'http2','app':'guid','private_instance_id':'inst',"
		    "'private_instance_index':'2','server_cert_domain_san':'inst',"
		    "'isolation_segment':'gold','tags':{'component':'route-emitter','process_id':'p'},"
		    "'availability_zone':'z1','endpoint_updated_at_ns':1745923200000000001,"
		    "'options':{'loadbalancing':'least-connection'}}");
	assert_taken(&p, "emitter", 0);
	assert_int_equal(p.out.endpoint.flags, ENDPOINT_TLS | ENDPOINT_HTTP2 | ENDPOINT_HAS_TAGS);
	assert_int_equal(p.out.endpoint.port, 61001);
	assert_text("san", p.out.endpoint.san, "inst");
	assert_text("component", p.out.endpoint.component, "route-emitter");
	parsed_free(&p);
	parsed_text(&p, "{'uris':['api.example','*.uaa.example/x'],'host':'10.0.0.7','port':9022,"
		    "'tags':null,'private_instance_id':'uuid','route_service_url':'',"
		    "'options':{'loadbalancing':'round-robin'}}");
	assert_taken(&p, "registrar", 0);
	assert_int_equal(p.out.uri_count, 2);
	assert_int_equal(p.out.endpoint.flags, 0);
	parsed_free(&p);
}

/* The quick way may take or leave a message, but not read it differently. */
static void plain_and_unusual_spellings_of_a_message_are_read_alike(void **state)
{
	static const char *const same[] = {
		"{'host':'10.0.0.1','port':80,'uris':['a.example','b.example/c'],'app':'a1',"
		"'tags':{'component':'x','process_id':'p'},'stale_threshold_in_seconds':7}",
		"{ 'host' : '10.0.0.1', 'port' : 80, 'uris' : ['a.example', 'b.example/c'], 'app':'a1',"
		"'tags':{'component':'x', 'process_id':'p'}, 'stale_threshold_in_seconds':7}",
		"{'HOST':'10.0.0.1','port':'80','uris':['a.example','b.example/c'],'app':'\\u00611',"
		"'tags':{'component':'y','component':'x','process_id':'p'},"
		"'stale_threshold_in_seconds':9,'stale_threshold_in_seconds':7,'unknown':[1]}",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(same); i++) {
		struct parsed p;

		parsed_text(&p, same[i]);
		assert_taken(&p, same[i], 0);
		assert_text("host", p.out.endpoint.host, "10.0.0.1");
		assert_text("app", p.out.endpoint.app_id, "a1");
		assert_text("tags", p.out.endpoint.tags, "{\"component\":\"x\",\"process_id\":\"p\"}");
		assert_text("process", p.out.endpoint.process_id, "p");
		assert_int_equal(p.out.uri_count, 2);
		assert_text("uri", p.out.uris[1], "b.example/c");
		assert_int_equal(p.out.endpoint.stale_s, 7);
		assert_int_equal(p.out.endpoint.port, 80);
		parsed_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_and_unusual_spellings_of_a_message_are_read_alike),
		cmocka_unit_test(a_text_is_kept_as_it_was_sent),
		cmocka_unit_test(an_absent_text_or_null_leaves_the_default),
		cmocka_unit_test(a_wrong_text_costs_the_field_or_if_it_protects_the_app_the_message),
		cmocka_unit_test(an_instance_index_may_be_a_number),
		cmocka_unit_test(a_tls_port_is_preferred_and_makes_the_endpoint_tls),
		cmocka_unit_test(a_port_that_is_none_is_never_guessed),
		cmocka_unit_test(numbers_out_of_range_are_left_out),
		cmocka_unit_test(only_http2_is_http2),
		cmocka_unit_test(a_host_is_an_address_or_a_name),
		cmocka_unit_test(tags_are_kept_as_json_without_what_is_no_text),
		cmocka_unit_test(an_option_balances_as_it_says_or_by_default),
		cmocka_unit_test(a_route_service_begins_with_https),
		cmocka_unit_test(each_uri_is_read_by_itself),
		cmocka_unit_test(a_uri_of_a_message_names_one_route),
		cmocka_unit_test(keys_match_in_any_case_and_unknown_ones_do_not_matter),
		cmocka_unit_test(the_last_of_equal_keys_wins_and_null_is_none),
		cmocka_unit_test(what_real_clients_send_is_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/registrar/test_message_plain.c - which messages are plain: what emitters send
 * is, and nothing that only looks like it.
 */
#include "tests/unit/fixture/registrar_message.h"

#include <stdio.h>
#include <stdlib.h>

#include "registrar/message_plain.h"

#define HEAD "{'host':'h','uris':['a'],"

/* Of exactly these bytes, which nothing follows. */
static bool is_plain(const char *text, struct registration *out)
{
	struct plain_registration ports;
	struct arena arena;
	size_t len = strlen(text);
	char *payload = mem_alloc(len ? len : 1);
	bool plain;

	for (size_t i = 0; i < len; i++)
		payload[i] = text[i] == '\'' ? '"' : text[i];
	memset(out, 0, sizeof(*out));
	arena_init(&arena, NULL, 0);
	plain = message_read_plain((struct str){ payload, len }, &arena, out, &ports);
	arena_fini(&arena);
	free(payload);
	return plain;
}

static void all_that_emitters_send_is_plain(void **state)
{
	static const char *const texts[] = {
		"{'uris':['a']}",
		"{'host':'','uris':['a','b,c','d]']}",
		"{'host':'10.0.0.1','port':61000,'tls_port':61001,'uris':['a.example','b.example/c'],"
		"'app':'a1','private_instance_id':'i1','private_instance_index':'0',"
		"'server_cert_domain_san':'i1','availability_zone':'z1','protocol':'http2',"
		"'isolation_segment':'s','route_service_url':'https://r',"
		"'stale_threshold_in_seconds':120,'endpoint_updated_at_ns':1700000000123456789,"
		"'tags':{'app_id':'a1','component':'route-emitter','process_id':'p','':'','c':'d'}}",
		HEAD "'port':0}", HEAD "'endpoint_updated_at_ns':9223372036854775807}",
		HEAD "'tags':{'id':'a','i':'','d':'b','instance_id':'c','process_instance_id':'d'}}",
	};
	struct registration out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!is_plain(texts[i], &out))
			fail_msg("not plain: %s", texts[i]);
}

static void what_json_reads_with_care_is_not_plain(void **state)
{
	static const char *const texts[] = {
		"", "{", "}", "'", "''", "'}", "{}", "{'}", "{'uris'}", "{'uris':}", "{'uris':['a'}",
		"{'uris':[]}", "{'uris':['']}", "{'uris':['a',]}", "{'uris':['a' ]}", "{'uris':['a'",
		"{'uris':['a']", "{'uris':['a']} ", "{'uris':['a']}}", "{'uris':['a'],}", "{'host':'h'}",
		"{'':'','uris':['a']}", "{'uri':['a']}", "{'URIS':['a']}", "{'uris':['a'],'uris':['a']}",
		"{'uris':['a\\u0061']}", "{'uris':['a\t']}", "{'uris':['\x7f']}", "{'uris':['\xc3\xa4']}",
		"{'uris':'a'}", "{'uris':[1]}", "{'uris':null}", "{'uris':['a'],'hosT':'h'}",
		HEAD "}", HEAD "'port'}", HEAD "'port':}", HEAD "'port':-1}", HEAD "'port':65536}",
		HEAD "'port':01}", HEAD "'port':1.0}", HEAD "'port':'1'}", HEAD "'port':1,'port':1}",
		HEAD "'stale_threshold_in_seconds':4294967296}", HEAD "'options':{}}", HEAD "'app':1}",
		HEAD "'endpoint_updated_at_ns':1700000000000000000000}", HEAD "'app':null}",
		HEAD "'endpoint_updated_at_ns':9223372036854775808}",
		HEAD "'private_instance_index':0}", HEAD "'tags':{}}", HEAD "'tags':{'a':1}}",
		HEAD "'tags':{'a':'b','c':'d','a':'b'}}", HEAD "'tags':{'':'b','':'c'}}",
		HEAD "'tags':{'organization_name':'a','organization_name':'b'}}",
		HEAD "'tags':{'a':'b'}", HEAD "'tags':{'a':'b'", HEAD "'tags':{'a'}}", HEAD "'tags':{'}}",
	};
	struct registration out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (is_plain(texts[i], &out))
			fail_msg("plain: %s", texts[i]);
}

/* As many URIs and tags as there may be, and one more. */
static void lists_are_plain_up_to_their_limits(void **state)
{
	char *text = mem_alloc(65536);
	struct registration out;

	(void)state;
	for (unsigned uris = 1022; uris <= 1026; uris++)
		for (unsigned tags = 62; tags <= 66; tags++) {
			char *at = text + sprintf(text, "{'uris':['a'");

			for (unsigned i = 1; i < uris; i++)
				at += sprintf(at, ",'a%u'", i);
			at += sprintf(at, "],'tags':{'t0':''");
			for (unsigned i = 1; i < tags; i++)
				at += sprintf(at, ",'t%u':''", i);
			sprintf(at, "}}");
			assert_int_equal(is_plain(text, &out), uris <= MESSAGE_URIS_MAX && tags <= 64);
		}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_emitters_send_is_plain),
		cmocka_unit_test(what_json_reads_with_care_is_not_plain),
		cmocka_unit_test(lists_are_plain_up_to_their_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/registrar/test_quotes.c - the quotes of any text, found by whole blocks and, as
 * on processors without such instructions, byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "registrar/quotes.h"

#undef __SSE2__
#define quotes_find quotes_find_bytewise
uint32_t quotes_find_bytewise(struct str text, uint32_t *at, uint32_t most);
#include "registrar/quotes.c"
#undef quotes_find

#define LENGTH_MAX 300u

typedef uint32_t quotes_finder(struct str text, uint32_t *at, uint32_t most);
static quotes_finder *const finders[] = { quotes_find, quotes_find_bytewise };

/* Of exactly these bytes, which nothing follows, into exactly the room that is asked for. */
static uint32_t find_in(quotes_finder *find, struct str text, uint32_t most,
			uint32_t found[LENGTH_MAX])
{
	char *copy = mem_alloc(text.len ? text.len : 1);
	uint32_t *at = mem_alloc((most + QUOTES_BLOCK) * sizeof(*at)), count;

	memcpy(copy, text.p, text.len);
	count = find((struct str){ copy, text.len }, at, most);
	if (count != QUOTES_ODD)
		memcpy(found, at, count * sizeof(*at));
	free(at);
	free(copy);
	return count;
}

static void assert_all_found(quotes_finder *find, struct str text)
{
	uint32_t found[LENGTH_MAX], count = find_in(find, text, LENGTH_MAX, found), k = 0;

	for (uint32_t i = 0; i < text.len; i++)
		if (text.p[i] == '"') {
			assert_true(k < count);
			assert_int_equal(found[k++], i);
		}
	assert_int_equal(count, k);
}

static void every_quote_is_found_wherever_it_stands(void **state)
{
	char text[LENGTH_MAX];

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(finders); f++)
		for (unsigned len = 0; len <= LENGTH_MAX; len++)
			for (unsigned every = 1; every < 40; every += 3) {
				memset(text, 'x', len);
				for (unsigned i = every * 7 % 5; i < len; i += every)
					text[i] = '"';
				assert_all_found(finders[f], (struct str){ text, len });
			}
}

static bool is_odd(unsigned char c)
{
	return c < 0x20 || c > 0x7e || c == '\\';
}

static void a_byte_that_no_plain_message_has_is_seen_at_any_place(void **state)
{
	uint32_t found[LENGTH_MAX];
	char text[150];

	(void)state;
	memset(text, ' ', sizeof(text));
	for (size_t f = 0; f < ARRAY_SIZE(finders); f++)
		for (unsigned at = 0; at < sizeof(text); at++) {
			for (unsigned c = 0; c < 256; c++) {
				uint32_t count;

				text[at] = (char)c;
				count = find_in(finders[f], (struct str){ text, sizeof(text) }, 1, found);
				assert_int_equal(count == QUOTES_ODD, is_odd((unsigned char)c));
			}
			text[at] = ' ';
		}
}

static void more_quotes_than_there_is_room_for_are_refused(void **state)
{
	uint32_t found[LENGTH_MAX];
	char text[LENGTH_MAX];

	(void)state;
	memset(text, '"', sizeof(text));
	for (size_t f = 0; f < ARRAY_SIZE(finders); f++)
		for (unsigned len = 0; len < LENGTH_MAX; len++) {
			struct str quotes = { text, len };

			assert_int_equal(find_in(finders[f], quotes, len, found), len);
			if (len)
				assert_int_equal(find_in(finders[f], quotes, len - 1, found),
						 QUOTES_ODD);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_quote_is_found_wherever_it_stands),
		cmocka_unit_test(a_byte_that_no_plain_message_has_is_seen_at_any_place),
		cmocka_unit_test(more_quotes_than_there_is_room_for_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

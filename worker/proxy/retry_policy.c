/*
 * proxy/retry_policy.c - settings of retries, and the count of those in flight.
 */
#include "proxy/retry_policy.h"

#include "proxy/verdict.h"

static bool parse_code(struct retry_settings *settings, struct str item)
{
	uint64_t code;

	if (settings->code_count == RETRY_CODES_MAX || !str_parse_u64(item, &code) ||
	    code < 200 || code > 599)
		return false;
	settings->codes[settings->code_count++] = (uint16_t)code;
	return true;
}

bool retry_settings_parse(struct retry_settings *settings, struct str *fault)
{
	struct str rest = str_of(settings->on_words);
	enum retry_on on;

	settings->on = settings->code_count = 0;
	while (str_next_item(&rest, ',', fault)) {
		if (!(on = retry_on_find(*fault)))
			return false;
		settings->on |= on;
	}
	rest = str_of(settings->code_words);
	while (str_next_item(&rest, ',', fault))
		if (!parse_code(settings, *fault))
			return false;
	return true;
}

void retry_budget_begin(struct retry_budget *budget, uint32_t route)
{
	budget->cells[route % RETRY_CELLS].active++;
}

void retry_budget_end(struct retry_budget *budget, uint32_t route, bool was_retrying)
{
	budget->cells[route % RETRY_CELLS].active--;
	budget->cells[route % RETRY_CELLS].retrying -= was_retrying;
}

bool retry_budget_take(struct retry_budget *budget, uint32_t route,
		       const struct retry_settings *settings)
{
	uint32_t *retrying = &budget->cells[route % RETRY_CELLS].retrying;
	uint64_t most = budget->cells[route % RETRY_CELLS].active * settings->budget_percent / 100;

	if (most < settings->min_retry_concurrency)
		most = settings->min_retry_concurrency;
	if (*retrying >= most)
		return false;
	(*retrying)++;
	return true;
}

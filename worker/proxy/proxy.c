/*
 * proxy/proxy.c - what all exchanges of a worker share.
 */
#include "proxy/proxy.h"

#include <time.h>

#include "base/must.h"
#include "proxy/exchange.h"

void proxy_init(struct proxy *proxy)
{
	CDS_INIT_LIST_HEAD(&proxy->downstreams);
	proxy->downstream_count = 0;
	proxy->is_draining = false;
	proxy->spare = NULL;
	proxy->spare_count = 0;
	proxy->dated_s = 0;
}

void proxy_fini(struct proxy *proxy)
{
	must(cds_list_empty(&proxy->downstreams));
	exchange_free_spare(proxy);
}

struct str proxy_date(struct proxy *proxy)
{
	uint64_t now_s = loop_wall_ns(proxy->loop) / 1000000000u;

	if (now_s != proxy->dated_s) {
		time_t seconds = (time_t)now_s;
		struct tm tm;

		gmtime_r(&seconds, &tm);
		strftime(proxy->date, sizeof(proxy->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		proxy->dated_s = now_s;
	}
	return (struct str){ proxy->date, sizeof(proxy->date) - 1 };
}

bool proxy_is_table_untrusted(const struct proxy *proxy)
{
	uint64_t limit_ms = proxy->settings->registry_untrusted_ms;
	uint64_t now_ms = loop_now_ms(proxy->loop), lost_ms;

	if (!limit_ms)
		return false;
	lost_ms = board_feed_lost_ms(proxy->board, now_ms);
	return board_fact(proxy->board, FACT_HEALTH) == HEALTH_INITIALIZING ||
	       (lost_ms && now_ms >= lost_ms + limit_ms);
}

bool proxy_is_healthy(const struct proxy *proxy)
{
	return board_fact(proxy->board, FACT_HEALTH) == HEALTH_HEALTHY;
}

/*
 * registrar/prune.c - rounds of survey and sweep, and the verdict on each entry.
 */
#include "registrar/prune.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "registrar/prune_log.h"
#include "shm/counters.h"
#include "shm/route_table.h"

#define STEPS (2 * ROUTE_WRITER_SLICES)
/* A sweep for disowned entries: all at once in small tables, else so much a tick. */
#define SMALL_TABLE 20000u
#define DISOWNED_SLICES 8u

static uint32_t ticks_of(uint64_t ms)
{
	return ms / TICK_MS < UINT32_MAX / 2 ? (uint32_t)(ms / TICK_MS) : UINT32_MAX / 2;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Those who die together were heard last within one interval: all of them count
 * when the first is due, unless that is most of a lifetime. */
static uint32_t survey_ahead(const struct registrar_settings *s)
{
	uint32_t half_round = ticks_of(s->prune_interval_ms / 2);
	uint32_t together = least(ticks_of(s->minimum_register_interval_ms),
				  ticks_of(s->droplet_stale_threshold_ms / 4));

	return half_round > together ? half_round : together;
}

void prune_init(struct prune *p, struct trust *trust, struct route_writer *writer,
		uint64_t *counters)
{
	const struct registrar_settings *s = trust->settings;

	*p = (struct prune){
		.settings = s, .sources = trust->sources, .trust = trust, .writer = writer,
		.board = trust->board, .counters = counters, .is_suspended = true,
		.survey = { .trust = trust, .writer = writer, .ahead = survey_ahead(s) },
		.brake.limits = { s->brake_percent, s->brake_endpoints, s->brake_cell_percent },
		.disowned_slice = ROUTE_WRITER_SLICES,
		.failed_limit = { .per_second = 10 },
	};
}

/* --- silence */

static bool any_vouches(const struct prune *p, uint32_t since)
{
	for (unsigned i = 0; i < p->sources->count; i++)
		if (source_vouches(p->sources, i, since))
			return true;
	return false;
}

/* A failed request is a witness as well, though none that takes a route its last
 * endpoint; and so is time. */
static bool is_let_go(const struct prune *p, const struct row_note *note, bool is_last)
{
	uint32_t limit = ticks_of(p->settings->hold_limit_ms);

	return p->is_releasing || (note->failed_tick && !is_last) ||
	       (note->brake_tick && p->tick - note->brake_tick > limit);
}

static void hold(struct prune *p, const struct entry_view *entry, enum live_held why)
{
	if (trust_hold(p->trust, entry->row, why))
		route_writer_note(p->writer, HISTORY_HELD, entry, str_of(live_held_name(why)));
}

static void brake(struct prune *p, const struct entry_view *entry, uint32_t tick)
{
	struct row_note *note = trust_row(p->trust, entry->row);

	if (!note->brake_tick) {
		note->brake_tick = tick ? tick : 1;
		p->braked++;
	}
	hold(p, entry, LIVE_HELD_BRAKE);
}

static enum entry_verdict remove_entry(struct prune *p, const struct entry_view *entry)
{
	trust_discount_route(p->trust, &entry->handle);
	return ENTRY_REMOVE;
}

static enum entry_verdict judge_silence(struct prune *p, const struct entry_view *entry)
{
	uint32_t tick = p->tick, allowed = silence_allowed(p->settings, entry);
	uint32_t age = tick > entry->last_seen ? tick - entry->last_seen : 0;
	const struct row_note *note = trust_row(p->trust, entry->row);
	enum live_held why;
	bool is_braked;

	if (!allowed || age <= allowed)
		return ENTRY_KEEP;
	why = silence_evidence(p->trust, entry, allowed, tick);
	if (why && !(p->is_releasing && any_vouches(p, tick - least(allowed, tick)))) {
		hold(p, entry, why);
		return ENTRY_KEEP;
	}
	/* What the survey did not foresee waits for the next. */
	if (!(note->marks & ROW_EXPIRING) && !p->is_releasing)
		return ENTRY_KEEP;
	is_braked = note->brake_tick || brake_is_on(&p->brake) ||
		    brake_holds_cell(&p->brake, cells_find(p->trust->cells, note->host));
	if (is_braked && !is_let_go(p, note, entry->is_last)) {
		brake(p, entry, tick);
		return ENTRY_KEEP;
	}
	log_pruned(entry, age / (1000 / TICK_MS));
	return remove_entry(p, entry);
}

/* --- failures */

static void suspend(struct prune *p, uint32_t row, uint32_t tick, unsigned failure)
{
	struct row_note *note = trust_row(p->trust, row);

	if (note->marks & ROW_SUSPENDED)
		return;
	note->marks |= ROW_SUSPENDED;
	note->suspended_tick = tick;
	note->failure = (uint8_t)failure;
}

/* A mark whose report was lost: as if it had come, unless it is outdated. */
static void catch_up(struct prune *p, uint32_t row)
{
	uint32_t failed_at = live_failed_at(p->board, row);

	if (seen_newest(p->trust->seen, row) > failed_at)
		live_set_excluded(p->board, row, LIVE_NOT_EXCLUDED);
	else
		suspend(p, row, failed_at < p->tick ? failed_at : p->tick, 0);
}

/* Nobody has confirmed it for a whole cycle, and somebody was there to hear it. */
static bool is_forsaken(struct prune *p, const struct entry_view *entry)
{
	const struct row_note *note = trust_row(p->trust, entry->row);
	uint32_t cycle = p->trust->cycle;

	return !alarm_is_raised(&p->alarm, note->failure, p->tick) &&
	       p->tick - note->suspended_tick >= cycle &&
	       p->tick - least(entry->last_seen, p->tick) >= cycle &&
	       !silence_evidence(p->trust, entry, cycle, p->tick);
}

static struct str code_of(const char code[EVENT_CODE_SIZE])
{
	return (struct str){ code, strnlen(code, EVENT_CODE_SIZE) };
}

static char *code_text(struct prune *p, unsigned failure)
{
	return p->codes[failure % ALARM_CLASSES];
}

static enum entry_verdict remove_failed(struct prune *p, const struct entry_view *entry)
{
	unsigned failure = trust_row(p->trust, entry->row)->failure;
	char tags[ENDPOINT_TAGS_MAX];
	struct endpoint endpoint;

	if (route_writer_endpoint(p->writer, entry->row, entry->serial, &endpoint, tags))
		log_failure("prune-failed-endpoint", &endpoint, code_of(code_text(p, failure)), 0);
	route_writer_because(p->writer, HISTORY_PRUNED, HISTORY_NO_SOURCE,
			     code_of(code_text(p, failure)));
	return remove_entry(p, entry);
}

static enum entry_verdict remove_disowned(struct prune *p, const struct entry_view *entry)
{
	route_writer_because(p->writer, HISTORY_OWNER_CHANGED, HISTORY_NO_SOURCE,
			     STR("another app lives at its address"));
	return remove_entry(p, entry);
}

static enum entry_verdict judge(void *context, const struct entry_view *entry)
{
	const struct row_note *note = trust_row(((struct prune *)context)->trust, entry->row);
	struct prune *p = context;

	if (note->marks & ROW_DISOWNED)
		return remove_disowned(p, entry);
	if (!(note->marks & ROW_SUSPENDED) &&
	    live_excluded(p->board, entry->row) == LIVE_EXCLUDED_WRONG_ID)
		catch_up(p, entry->row);
	if (note->marks & ROW_SUSPENDED && !entry->is_last && is_forsaken(p, entry))
		return remove_failed(p, entry);
	return judge_silence(p, entry);
}

/* Plain endpoints are never removed for a failure (spec control 3.5). */
void prune_event(struct prune *p, const struct endpoint_event *event)
{
	char tags[ENDPOINT_TAGS_MAX];
	struct endpoint endpoint;
	uint64_t suppressed;
	bool is_alike;

	if (event->kind < EVENT_FAILED || event->kind > EVENT_WRONG_ID ||
	    !route_writer_endpoint(p->writer, event->row, event->serial, &endpoint, tags))
		return;
	memcpy(code_text(p, event->failure), event->code, EVENT_CODE_SIZE);
	is_alike = alarm_note(&p->alarm, event->failure, code_of(event->code), endpoint.app_id,
			      endpoint.host, p->tick, (unsigned)p->settings->prune_alarm_apps);
	trust_row(p->trust, event->row)->failed_tick = p->tick ? p->tick : 1;
	if (event->kind != EVENT_FAILED && endpoint.flags & ENDPOINT_TLS && !is_alike)
		suspend(p, event->row, p->tick, event->failure);
	if (log_limit_allows(&p->failed_limit, &suppressed))
		log_failure("endpoint-marked-as-ineligible", &endpoint, code_of(event->code),
			    event->error);
}

/* --- rounds */

static void sweep_slice(struct prune *p, unsigned slice)
{
	unsigned gone = route_writer_sweep(p->writer, slice, p->tick, judge, p);

	if (gone)
		counter_add(p->counters, COUNTER_routes_pruned, gone);
}

static void publish_facts(struct prune *p)
{
	struct seen_census census;

	trust_census(p->trust, p->tick, &census);
	board_set_fact(p->board, FACT_REGISTRY_COPIES_RATIO,
		       census.heard ? census.copies * 100 / census.heard : 0);
	board_set_fact(p->board, FACT_ENDPOINTS_HELD, p->trust->held);
}

static void end_round(struct prune *p)
{
	trust_end_sweep(p->trust);
	publish_facts(p);
	if (p->braked) {
		counter_add(p->counters, COUNTER_mass_expiry_held_total, p->braked);
		log_error("mass-expiry-held", "endpoints=%llu of=%llu meaning=%s",
			  (unsigned long long)p->braked, (unsigned long long)p->brake.endpoints,
			  "so many endpoints fell silent at once that the feed is suspected; "
			  "they are served until they fail, are unregistered or released");
	}
	p->braked = 0;
	log_at(LOG_LEVEL_DEBUG, "registry", "finished-pruning-routes", LOG_NO_DATA);
}

static void step(struct prune *p)
{
	if (p->step < ROUTE_WRITER_SLICES) {
		survey_slice(&p->survey, p->step, p->tick);
		if (p->step == ROUTE_WRITER_SLICES - 1)
			survey_end(&p->survey, &p->brake);
	} else {
		if (p->step == ROUTE_WRITER_SLICES)
			log_at(LOG_LEVEL_DEBUG, "registry", "start-pruning-routes", LOG_NO_DATA);
		sweep_slice(p, p->step - ROUTE_WRITER_SLICES);
	}
	p->step = (p->step + 1) % STEPS;
	if (p->step == 0)
		end_round(p);
}

static enum entry_verdict judge_disowned(void *context, const struct entry_view *entry)
{
	struct prune *p = context;

	return trust_is_disowned(p->trust, entry->row) ? remove_disowned(p, entry) : ENTRY_KEEP;
}

/* What belongs to somebody else now does not wait for its turn. */
static void sweep_disowned(struct prune *p)
{
	struct table_usage usage;
	unsigned slices;

	route_writer_usage(p->writer, &usage);
	slices = usage.routes < SMALL_TABLE ? ROUTE_WRITER_SLICES : DISOWNED_SLICES;
	if (p->disowned_slice == ROUTE_WRITER_SLICES && p->trust->has_disowned) {
		p->trust->has_disowned = false;
		p->disowned_slice = 0;
	}
	for (; slices && p->disowned_slice < ROUTE_WRITER_SLICES; slices--, p->disowned_slice++)
		route_writer_sweep(p->writer, p->disowned_slice, p->tick, judge_disowned, p);
}

/* Without any server nothing has a witness, so nothing goes; it is said, though. */
static void note_suspension(struct prune *p)
{
	bool is_suspended = p->settings->suspend_pruning_if_nats_unavailable &&
			    !sources_any_trusted(p->sources);

	if (is_suspended != p->is_suspended || !p->is_begun) {
		log_at(LOG_LEVEL_INFO, "registry",
		       is_suspended ? "prune-suspended" : "prune-unsuspended", LOG_NO_DATA);
		board_set_fact(p->board, FACT_PRUNE_SUSPENDED, is_suspended);
	}
	p->is_suspended = is_suspended;
}

/* A table that was taken over is learned before a message changes it. */
static void begin(struct prune *p)
{
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		survey_slice(&p->survey, slice, p->tick);
	survey_end(&p->survey, &p->brake);
	p->is_begun = true;
}

void prune_tick(struct prune *p, uint32_t tick)
{
	p->tick = tick;
	note_suspension(p);
	if (!p->is_begun)
		begin(p);
	sweep_disowned(p);
	p->credit += (uint64_t)STEPS * TICK_MS;
	while (p->credit >= p->settings->prune_interval_ms) {
		p->credit -= p->settings->prune_interval_ms;
		step(p);
	}
	board_set_fact(p->board, FACT_ENDPOINTS_HELD, p->trust->held);
}

void prune_release(struct prune *p)
{
	log_info("held-endpoints-released", "held=%llu", (unsigned long long)p->trust->held);
	p->trust->sweep++;
	p->is_releasing = true;
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		sweep_slice(p, slice);
	p->is_releasing = false;
	trust_end_sweep(p->trust);
	board_set_fact(p->board, FACT_ENDPOINTS_HELD, p->trust->held);
	p->step = 0;                  /* a new round */
}

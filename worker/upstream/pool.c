/*
 * upstream/pool.c - idle upstream connections: a hash of targets, and one list
 * in the order of last use.
 */
#include "upstream/pool.h"

#include <stdlib.h>

#include "base/hash.h"
#include "counters.h"
#include "upstream/idle_limits.h"

#define BUCKETS 1024                  /* a power of two */
#define LOOK_AGAIN_MS 20              /* idle so long: worth a system call */

struct idle {
	struct task task;             /* woken by its connection and by its deadline */
	struct pool *pool;            /* borrowed */
	struct mux *mux;              /* owned */
	struct target target;         /* its name lies behind us */
	uint64_t since_ms;
	struct cds_list_head in_bucket, in_use_order;
	char name[];
};

struct pool {
	struct loop *loop;            /* borrowed */
	uint64_t *counters;           /* borrowed: this worker's row */
	struct hash_key key;
	unsigned count, most;
	struct idle_limits limits;    /* of endpoints that do not tell theirs */
	struct cds_list_head use_order;       /* last used first */
	struct cds_list_head buckets[BUCKETS];        /* last used first */
};

struct pool *pool_create(struct loop *loop, uint64_t *counters, unsigned idle_max)
{
	struct pool *pool = mem_zalloc(sizeof(*pool));

	pool->loop = loop;
	pool->counters = counters;
	pool->key = pool->limits.key = hash_key_random();
	pool->most = idle_max;
	CDS_INIT_LIST_HEAD(&pool->use_order);
	for (unsigned i = 0; i < BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&pool->buckets[i]);
	return pool;
}

static struct cds_list_head *bucket_of(struct pool *pool, const struct target *target)
{
	uint8_t bytes[18];
	uint16_t port = addr_port(&target->addr);

	addr_to_bytes(&target->addr, bytes);
	memcpy(bytes + 16, &port, sizeof(port));
	return &pool->buckets[hash_bytes(&pool->key, bytes, sizeof(bytes)) % BUCKETS];
}

static void change_count(struct pool *pool, int by)
{
	pool->count += (unsigned)by;
	counter_add(pool->counters, COUNTER_upstream_idle, (uint64_t)by);
}

/* Out of the pool; its mux is the caller's. */
static struct mux *let_go(struct idle *idle)
{
	struct mux *mux = idle->mux;

	cds_list_del(&idle->in_bucket);
	cds_list_del(&idle->in_use_order);
	change_count(idle->pool, -1);
	task_fini(idle->pool->loop, &idle->task);
	mux_set_owner(mux, NULL);
	loop_defer_free(idle->pool->loop, idle);
	return mux;
}

/* If the endpoint was first to close. */
static void note_limit(struct idle *idle)
{
	uint64_t now_ms = loop_now_ms(idle->pool->loop);

	if (!(mux_conn(idle->mux)->ready & CONN_PEER_CLOSED))
		return;
	idle_limits_note(&idle->pool->limits, &idle->target.addr, now_ms - idle->since_ms, now_ms);
}

static void idle_run(struct task *task)
{
	struct idle *idle = caa_container_of(task, struct idle, task);

	if (!task_is_due(idle->pool->loop, task) && mux_is_quiet(idle->mux))
		return;
	note_limit(idle);
	mux_destroy(let_go(idle));
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	while (!cds_list_empty(&pool->use_order))
		mux_destroy(let_go(cds_list_first_entry(&pool->use_order, struct idle,
							in_use_order)));
	free(pool);
}

/* Not beyond its time, even if the loop is too busy to have ended it.  After a while the
 * endpoint may have closed just now: a request must not be sent after its FIN only
 * because the loop has not seen that yet. */
static bool is_usable(struct idle *idle)
{
	if (task_is_due(idle->pool->loop, &idle->task))
		return false;
	if (loop_now_ms(idle->pool->loop) - idle->since_ms >= LOOK_AGAIN_MS)
		conn_look(mux_conn(idle->mux));
	if (mux_is_quiet(idle->mux))
		return true;
	note_limit(idle);
	return false;
}

struct mux *pool_take(struct pool *pool, const struct target *target)
{
	struct cds_list_head *bucket = bucket_of(pool, target);
	struct idle *idle, *next;

	cds_list_for_each_entry_safe(idle, next, bucket, in_bucket) {
		bool can_be_used;
		struct mux *mux;

		if (!target_equal(&idle->target, target))
			continue;
		can_be_used = is_usable(idle);
		mux = let_go(idle);
		if (can_be_used)
			return mux;
		mux_destroy(mux);
	}
	return NULL;
}

void pool_add(struct pool *pool, const struct target *target, struct mux *mux, uint64_t idle_ms)
{
	struct idle *idle = mem_alloc(sizeof(*idle) + target->name.len);
	uint64_t now_ms = loop_now_ms(pool->loop);
	uint64_t learned_ms = idle_limits_find(&pool->limits, &target->addr, now_ms);

	if (pool->count >= pool->most && pool->count)
		mux_destroy(let_go(cds_list_entry(pool->use_order.prev, struct idle,
						  in_use_order)));
	*idle = (struct idle){ .pool = pool, .mux = mux, .target = *target,
			       .since_ms = now_ms };
	if (target->name.len)
		memcpy(idle->name, target->name.p, target->name.len);
	idle->target.name.p = idle->name;
	task_init(&idle->task, idle_run);
	cds_list_add(&idle->in_bucket, bucket_of(pool, target));
	cds_list_add(&idle->in_use_order, &pool->use_order);
	change_count(pool, 1);
	mux_set_owner(mux, &idle->task);
	task_set_deadline(pool->loop, &idle->task,
			  now_ms + (learned_ms < idle_ms ? learned_ms : idle_ms));
}

unsigned pool_count(const struct pool *pool)
{
	return pool->count;
}

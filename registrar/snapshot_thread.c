/*
 * registrar/snapshot_thread.c - one job, one lock.
 */
#include "registrar/snapshot_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/must.h"

enum job { JOB_NONE, JOB_BEGIN, JOB_WRITE, JOB_COMMIT, JOB_LEAVE };

struct snapshot_thread {
	pthread_t id;
	pthread_mutex_t lock;         /* over `job`; the rest belongs to who may look at it */
	pthread_cond_t changed;
	enum job job;
	struct snapshot_file *file;   /* borrowed, like the next three */
	const struct snapshot_buffer *records;
	struct snapshot_head *head;
	const char *instance;
	uint64_t written;             /* bytes behind the head */
	struct snapshot_sum sum;
	int result;
};

static int do_write(struct snapshot_thread *t)
{
	int rc = snapshot_file_write(t->file, sizeof(*t->head) + t->written, t->records->bytes,
				     t->records->used);

	if (rc < 0)
		return rc;
	snapshot_sum_add(&t->sum, t->records->bytes, t->records->used);
	t->written += t->records->used;
	return 0;
}

static int do_job(struct snapshot_thread *t)
{
	switch (t->job) {
	case JOB_BEGIN:
		t->written = 0;
		t->sum = (struct snapshot_sum){ 0 };
		return snapshot_file_begin(t->file);
	case JOB_WRITE:
		return t->records->used ? do_write(t) : 0;
	case JOB_COMMIT:
		t->head->body_bytes = t->written;
		t->head->body_sum = snapshot_sum_of(&t->sum);
		snapshot_seal(t->head, t->instance);
		return snapshot_file_commit(t->file, t->head);
	default:
		return 0;
	}
}

static void *run(void *context)
{
	struct snapshot_thread *t = context;

	pthread_mutex_lock(&t->lock);
	while (t->job != JOB_LEAVE) {
		if (t->job == JOB_NONE) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		if (t->result == 0)
			t->result = do_job(t);
		pthread_mutex_lock(&t->lock);
		t->job = JOB_NONE;
		pthread_cond_signal(&t->changed);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

struct snapshot_thread *snapshot_thread_create(void)
{
	struct snapshot_thread *t = mem_zalloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	must(pthread_create(&t->id, NULL, run, t) == 0);
	return t;
}

static void set_job(struct snapshot_thread *t, enum job job)
{
	pthread_mutex_lock(&t->lock);
	t->job = job;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void snapshot_thread_wait(struct snapshot_thread *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->job != JOB_NONE)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void snapshot_thread_destroy(struct snapshot_thread *t)
{
	if (!t)
		return;
	snapshot_thread_wait(t);
	set_job(t, JOB_LEAVE);
	pthread_join(t->id, NULL);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int snapshot_thread_result(struct snapshot_thread *t)
{
	int result;

	pthread_mutex_lock(&t->lock);
	result = t->job == JOB_NONE ? t->result : -EINPROGRESS;
	pthread_mutex_unlock(&t->lock);
	return result;
}

void snapshot_thread_begin(struct snapshot_thread *t, struct snapshot_file *file)
{
	t->file = file;
	t->result = 0;
	set_job(t, JOB_BEGIN);
}

void snapshot_thread_write(struct snapshot_thread *t, struct snapshot_file *file,
			   const struct snapshot_buffer *records)
{
	t->file = file;
	t->records = records;
	set_job(t, JOB_WRITE);
}

void snapshot_thread_commit(struct snapshot_thread *t, struct snapshot_file *file,
			    struct snapshot_head *head, const char *instance)
{
	t->file = file;
	t->head = head;
	t->instance = instance;
	set_job(t, JOB_COMMIT);
}

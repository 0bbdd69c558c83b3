/*
 * registrar/snapshot_thread.h - the thread that waits for the disk, so that the
 * registrar's loop never does.  It has one job at a time; between two jobs it touches
 * nothing.  Used by snapshot.c only, from one thread.
 */
#ifndef REGISTRAR_SNAPSHOT_THREAD_H
#define REGISTRAR_SNAPSHOT_THREAD_H

#include "registrar/snapshot_file.h"

struct snapshot_thread;

struct snapshot_thread *snapshot_thread_create(void);

/* Lets the job end first.  NULL is allowed. */
void snapshot_thread_destroy(struct snapshot_thread *thread);

/* How the jobs went since snapshot_thread_begin(): 0, -errno of the first that failed
 * (those after it are not done), or -EINPROGRESS. */
int snapshot_thread_result(struct snapshot_thread *thread);
void snapshot_thread_wait(struct snapshot_thread *thread);

/* Jobs, in this order, each only when no other is under way.  Everything pointed to
 * stays as it is until then.  Commit fills in size and checksum of `head`. */
void snapshot_thread_begin(struct snapshot_thread *thread, struct snapshot_file *file);
void snapshot_thread_write(struct snapshot_thread *thread, struct snapshot_file *file,
			   const struct snapshot_buffer *records);
void snapshot_thread_commit(struct snapshot_thread *thread, struct snapshot_file *file,
			    struct snapshot_head *head, const char *instance);

#endif

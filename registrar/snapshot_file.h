/*
 * registrar/snapshot_file.h - the two files of an instance that hold its last-known-
 * good table, DIRECTORY/INSTANCE.routes.0 and .1, written in turn: while one is
 * written, the other is whole.  A file is empty from the first byte that changes
 * until all of it is on the disk; its head is written last.
 *
 * Two files that stay open, rather than one that is replaced by rename: the
 * registrar gives up root, and a directory that it could still write would be one
 * that a broken-in worker, who is the same user, could write too.  So only root
 * ever opens them, and nobody else can forge routes.
 */
#ifndef REGISTRAR_SNAPSHOT_FILE_H
#define REGISTRAR_SNAPSHOT_FILE_H

#include "registrar/snapshot_format.h"

#define SNAPSHOT_FILES 2

struct snapshot_file {
	int fd;                       /* -1: none */
	char name[SNAPSHOT_INSTANCE_MAX + 32];        /* in the directory */
	char path[4096];              /* for the log */
	struct snapshot_head head;    /* as it was read; sequence 0: there is none */
};

struct snapshot_files {
	const char *instance;         /* borrowed */
	int directory;
	struct snapshot_file of[SNAPSHOT_FILES];
};

/* Opens or creates both, and reads their heads.  What cannot be trusted (writable by
 * others, a link, of another instance or version) is set aside and said.  Before
 * privileges are dropped.  0, or -errno with a reason and nothing left open. */
int snapshot_files_open(struct snapshot_files *files, const char *path, const char *instance,
			struct reason *reason);
void snapshot_files_close(struct snapshot_files *files);

/* The file with the newest head, or NULL.  And the one to be written next: never the newest;
 * NULL: no other can be used. */
struct snapshot_file *snapshot_files_newest(struct snapshot_files *files);
struct snapshot_file *snapshot_files_next(struct snapshot_files *files);

/* Renames the file to NAME.refused, logs why, and begins an empty one. */
void snapshot_file_refuse(struct snapshot_files *files, struct snapshot_file *file,
			  const struct reason *why);

/* All bytes of the file until snapshot_file_unmap(); what is written to them does not get
 * into the file.  0 or -errno. */
int snapshot_file_map(const struct snapshot_file *file, struct str *image);
void snapshot_file_unmap(struct str image);

/* Writing, from any one thread: begin, records at their offsets, then the sealed head.
 * 0 or -errno. */
int snapshot_file_begin(const struct snapshot_file *file);
int snapshot_file_write(const struct snapshot_file *file, uint64_t offset, const void *bytes,
			size_t len);
int snapshot_file_commit(const struct snapshot_file *file, const struct snapshot_head *head);

#endif

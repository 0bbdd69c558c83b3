/*
 * registrar/snapshot_file.c - opening with suspicion, writing in order.
 */
#include "registrar/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* Who else could have written it?  0, or -EPERM with a reason. */
static int check_trust(int fd, bool is_directory, struct reason *reason)
{
	struct stat st;
	mode_t others = S_IWGRP | S_IWOTH;

	if (fstat(fd, &st) < 0)
		return reason_set(reason, -errno, "%s", strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return reason_set(reason, -EPERM, "it belongs to the user %u", (unsigned)st.st_uid);
	if (st.st_mode & others && !(is_directory && st.st_mode & S_ISVTX))
		return reason_set(reason, -EPERM, "others may write it (mode %03o)",
				  (unsigned)st.st_mode & 07777);
	if (!is_directory && !S_ISREG(st.st_mode))
		return reason_set(reason, -EPERM, "it is no plain file");
	if (!is_directory && st.st_nlink != 1)
		return reason_set(reason, -EPERM, "it has %u names", (unsigned)st.st_nlink);
	return 0;
}

static int open_file(struct snapshot_files *files, struct snapshot_file *file, int more_flags,
		     struct reason *reason)
{
	int rc;

	file->head = (struct snapshot_head){ .sequence = 0 };
	file->fd = openat(files->directory, file->name, OPEN_FLAGS | O_CREAT | more_flags, 0600);
	if (file->fd < 0) {
		rc = -errno;
		return reason_set(reason, rc, "%s", rc == -ELOOP ? "it is a symbolic link"
								 : strerror(errno));
	}
	rc = check_trust(file->fd, false, reason);
	if (rc < 0) {
		close(file->fd);
		file->fd = -1;
	}
	return rc;
}

static int read_head(struct snapshot_files *files, struct snapshot_file *file,
		     struct reason *reason)
{
	struct snapshot_head head;
	ssize_t n = pread(file->fd, &head, sizeof(head), 0);
	int rc;

	if (n < 0)
		return reason_set(reason, -errno, "%s", strerror(errno));
	rc = snapshot_read_head((struct str){ (const char *)&head, (size_t)n }, files->instance,
				&file->head, reason);
	if (rc < 0)
		file->head.sequence = 0;
	return rc == -ENODATA ? 0 : rc;
}

void snapshot_file_refuse(struct snapshot_files *files, struct snapshot_file *file,
			  const struct reason *why)
{
	char aside[sizeof(file->name) + 16];
	struct reason reason;
	int rc;

	snprintf(aside, sizeof(aside), "%s.refused", file->name);
	rc = renameat(files->directory, file->name, files->directory, aside) < 0 ? -errno : 0;
	log_error("snapshot-refused", "file=%s reason=%s kept_as=%s", file->path,
		  why->text, rc ? strerror(-rc) : aside);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	file->head = (struct snapshot_head){ .sequence = 0 };
	if (rc == 0 && open_file(files, file, O_EXCL, &reason) < 0)
		log_error("snapshot-not-created", "file=%s reason=%s", file->path,
			  reason.text);
}

/* A fault of the machine is no fault of the file: it stays where it is, unused. */
static bool is_passing(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EACCES ||
	       error == -EIO || error == -EROFS || error == -ENOSPC || error == -EDQUOT;
}

static void open_or_refuse(struct snapshot_files *files, struct snapshot_file *file)
{
	struct reason why;
	int rc = open_file(files, file, 0, &why);

	if (rc == 0)
		rc = read_head(files, file, &why);
	if (is_passing(rc))
		log_error("snapshot-not-usable", "file=%s reason=%s", file->path, why.text);
	else if (rc < 0)
		snapshot_file_refuse(files, file, &why);
}

int snapshot_files_open(struct snapshot_files *files, const char *path, const char *instance,
			struct reason *reason)
{
	struct reason why;
	int rc;

	*files = (struct snapshot_files){ .instance = instance };
	files->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (files->directory < 0)
		return reason_set(reason, -errno, "%s: %s", path, strerror(errno));
	rc = check_trust(files->directory, true, &why);
	if (rc == 0 && faccessat(files->directory, ".", W_OK | X_OK, AT_EACCESS) < 0)
		rc = reason_set(&why, -errno, "%s", strerror(errno));
	if (rc < 0) {
		close(files->directory);
		return reason_set(reason, rc, "%s: %s", path, why.text);
	}
	for (unsigned i = 0; i < SNAPSHOT_FILES; i++) {
		snprintf(files->of[i].name, sizeof(files->of[i].name), "%s.routes.%u", instance, i);
		snprintf(files->of[i].path, sizeof(files->of[i].path), "%s/%s", path,
			 files->of[i].name);
		open_or_refuse(files, &files->of[i]);
	}
	fsync(files->directory);      /* the names of new files */
	return 0;
}

void snapshot_files_close(struct snapshot_files *files)
{
	for (unsigned i = 0; i < SNAPSHOT_FILES; i++)
		if (files->of[i].fd >= 0)
			close(files->of[i].fd);
	close(files->directory);
}

struct snapshot_file *snapshot_files_newest(struct snapshot_files *files)
{
	struct snapshot_file *newest = &files->of[0];

	if (files->of[1].head.sequence > newest->head.sequence)
		newest = &files->of[1];
	return newest->head.sequence ? newest : NULL;
}

struct snapshot_file *snapshot_files_next(struct snapshot_files *files)
{
	struct snapshot_file *newest = snapshot_files_newest(files);

	for (unsigned i = 0; i < SNAPSHOT_FILES; i++)
		if (&files->of[i] != newest && files->of[i].fd >= 0)
			return &files->of[i];
	return NULL;
}

int snapshot_file_map(const struct snapshot_file *file, struct str *image)
{
	struct stat st;
	void *bytes;

	*image = STR_NONE;
	if (fstat(file->fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 0;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file->fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	madvise(bytes, (size_t)st.st_size, MADV_SEQUENTIAL);
	*image = (struct str){ bytes, (size_t)st.st_size };
	return 0;
}

void snapshot_file_unmap(struct str image)
{
	if (image.len)
		munmap((void *)(uintptr_t)image.p, image.len);
}

int snapshot_file_begin(const struct snapshot_file *file)
{
	return ftruncate(file->fd, 0) < 0 ? -errno : 0;
}

int snapshot_file_write(const struct snapshot_file *file, uint64_t offset, const void *bytes,
			size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = pwrite(file->fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int snapshot_file_commit(const struct snapshot_file *file, const struct snapshot_head *head)
{
	int rc;

	if (fdatasync(file->fd) < 0)
		return -errno;
	rc = snapshot_file_write(file, 0, head, sizeof(*head));
	return rc == 0 && fdatasync(file->fd) < 0 ? -errno : rc;
}

/* SPDX-License-Identifier: MIT */
/* Opens and reads files of models, and tells the caller how far a load is. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "host-client/lib/ops/model_load.h"

int pst_model_read(int fd, const char *path, void *buf, uint64_t n,
		   uint64_t off, struct pst_error *err)
{
	uint64_t done = 0;
	ssize_t r;

	while (done < n) {
		r = pread(fd, (uint8_t *)buf + done, n - done,
			  (off_t)(off + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return pst_error_set_errno(err, errno, "%s", path);
		if (r == 0)
			return pst_error_set(err, -ENODATA,
					     "%s became shorter while it was "
					     "read",
					     path);
		done += (uint64_t)r;
	}
	return 0;
}

int pst_model_open_file(const char *path, int *ret_fd, uint64_t *ret_size,
			struct pst_error *err)
{
	struct stat st;
	int r = 0;
	/* A FIFO is not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		r = pst_error_set_errno(err, errno, "%s", path);
	else if (!S_ISREG(st.st_mode))
		r = pst_error_set(err, -EINVAL, "%s is not a regular file",
				  path);
	if (r < 0) {
		pst_close_fd(fd);
		return r;
	}
	*ret_fd = fd;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int pst_model_progress(const struct pst_model_job *j, uint64_t done,
		       uint64_t total, struct pst_error *err)
{
	if (!j->args.progress || !j->args.progress(j->args.arg, done, total))
		return 0;
	return pst_error_set(err, -ECANCELED,
			     "the load of model %.63s was given up",
			     j->args.name);
}

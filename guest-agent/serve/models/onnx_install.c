/* SPDX-License-Identifier: MIT */
/* Writes a model's files to the directory of models, on a thread of its own. */
#include "guest-agent/serve/models/onnx_install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/base/thread.h"
#include "transport/wire.h"

#define CHUNK (1U << 20)

struct pst_agent_install {
	pthread_t thread;
	int done; /* eventfd */
	const char *dir;
	char name[PST_WIRE_MODEL_NAME];
	const char *model; /* the name of the model's own file */
	uint32_t n;
	struct pst_ort_file files[PST_WIRE_MODEL_FILES];
	int status;
	struct pst_error err;
};

const char *pst_agent_install_name(uint32_t format)
{
	return format == PST_WIRE_ONNX ? "model.onnx" : "model.safetensors";
}

int pst_agent_install_check(const struct pst_ort_file *files, uint32_t n,
			    struct pst_error *err)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (strchr(files[i].name, '/') || files[i].name[0] == '.' ||
		    strcmp(files[i].name,
			   pst_agent_install_name(PST_WIRE_ONNX)) == 0 ||
		    strcmp(files[i].name,
			   pst_agent_install_name(PST_WIRE_SAFETENSORS)) == 0)
			return pst_error_set(err, -EINVAL,
					     "a file named %s cannot be "
					     "installed",
					     files[i].name);
	return 0;
}

static int copy(int from, uint64_t size, int to, uint8_t *buf)
{
	uint64_t at = 0;
	ssize_t n, k, put;

	while (at < size) {
		n = pread(from, buf, CHUNK, (off_t)at);
		if (n <= 0)
			return n ? -errno : -EIO;
		for (put = 0; put < n; put += k) {
			k = write(to, buf + put, (size_t)(n - put));
			if (k < 0)
				return -errno;
		}
		at += (uint64_t)n;
	}
	return fsync(to) < 0 ? -errno : 0;
}

static int write_file(int dir, const struct pst_ort_file *f, const char *model,
		      uint8_t *buf)
{
	const char *name = f->name[0] ? f->name : model;
	int fd = openat(dir, name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0640);
	int r;

	if (fd < 0)
		return -errno;
	r = copy(f->fd, f->size, fd, buf);
	close(fd);
	return r;
}

/* Removes a directory that has files only, or a file. */
static void sweep(int parent, const char *name)
{
	const struct dirent *e;
	DIR *d;
	int fd;

	if (unlinkat(parent, name, 0) == 0)
		return;
	fd = openat(parent, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	else
		pst_close_fd(fd);
	(void)unlinkat(parent, name, AT_REMOVEDIR);
}

static int write_all(const struct pst_agent_install *i, int parent,
		     const char *new)
{
	PST_CLEANUP_FREE uint8_t *buf = malloc(CHUNK);
	uint32_t k;
	int dir, r = 0;

	if (!buf)
		return -ENOMEM;
	sweep(parent, new);
	if (mkdirat(parent, new, 0750) < 0)
		return -errno;
	dir = openat(parent, new,
		     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	for (k = 0; r == 0 && k < i->n; k++)
		r = write_file(dir, &i->files[k], i->model, buf);
	if (r == 0 && fsync(dir) < 0)
		r = -errno;
	close(dir);
	return r;
}

/* Takes the name's place; what had it is swept away. */
static int put(const struct pst_agent_install *i, int parent, const char *new)
{
	char file[PST_WIRE_MODEL_NAME + 16];

	if (renameat2(parent, new, parent, i->name, RENAME_EXCHANGE) < 0 &&
	    (errno != ENOENT || renameat(parent, new, parent, i->name) < 0))
		return -errno;
	sweep(parent, new);
	snprintf(file, sizeof(file), "%s.onnx", i->name);
	(void)unlinkat(parent, file, 0);
	snprintf(file, sizeof(file), "%s.safetensors", i->name);
	(void)unlinkat(parent, file, 0);
	return fsync(parent) < 0 ? -errno : 0;
}

static void *run(void *arg)
{
	static const uint64_t one = 1;
	struct pst_agent_install *i = arg;
	char new[PST_WIRE_MODEL_NAME + 8];
	int parent, r;

	parent = open(i->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = parent < 0 ? -errno : 0;
	snprintf(new, sizeof(new), ".%s.new", i->name);
	if (r == 0)
		r = write_all(i, parent, new);
	if (r == 0)
		r = put(i, parent, new);
	else if (parent >= 0)
		sweep(parent, new);
	pst_close_fd(parent);
	if (r < 0)
		i->status = pst_error_set_errno(&i->err, -r,
						"cannot install in %s", i->dir);
	if (write(i->done, &one, sizeof(one)) < 0)
		abort();
	return NULL;
}

static void install_free(struct pst_agent_install *i)
{
	uint32_t k;

	for (k = 0; k < i->n; k++)
		pst_close_fd(i->files[k].fd);
	pst_close_fd(i->done);
	free(i);
}

int pst_agent_install_begin(const char *dir, const char *name, uint32_t format,
			    const struct pst_ort_file *files, uint32_t n,
			    struct pst_agent_install **ret,
			    struct pst_error *err)
{
	struct pst_agent_install *i = calloc(1, sizeof(*i));
	int r = 0;

	if (!i)
		return pst_oom(err);
	i->dir = dir;
	i->model = pst_agent_install_name(format);
	snprintf(i->name, sizeof(i->name), "%s", name);
	i->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (i->done < 0)
		r = -errno;
	for (; r == 0 && i->n < n; i->n++) {
		i->files[i->n] = files[i->n];
		i->files[i->n].fd = fcntl(files[i->n].fd, F_DUPFD_CLOEXEC, 0);
		if (i->files[i->n].fd < 0)
			r = -errno;
	}
	if (r == 0)
		r = pst_thread_start(&i->thread, NULL, run, i);
	if (r < 0) {
		install_free(i);
		return pst_error_set_errno(err, -r, "cannot install a model");
	}
	*ret = i;
	return 0;
}

int pst_agent_install_fd(const struct pst_agent_install *i)
{
	return i->done;
}

int pst_agent_install_end(struct pst_agent_install *i, struct pst_error *err)
{
	int r;

	pthread_join(i->thread, NULL);
	r = i->status;
	*err = i->err;
	install_free(i);
	return r;
}

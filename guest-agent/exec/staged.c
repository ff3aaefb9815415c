/* SPDX-License-Identifier: MIT */
/* Files of models on their way from a client: which session brings which. */
#include "guest-agent/exec/staged.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

static struct pst_agent_staged_file *find(struct pst_agent_staged *s,
					  uint64_t owner, uint64_t handle,
					  struct pst_error *err)
{
	uint32_t i;

	for (i = 0; handle && i < PST_AGENT_STAGED_MAX; i++)
		if (s->files[i].handle == handle && s->files[i].owner == owner)
			return &s->files[i];
	pst_error_set(err, -ENOENT,
		      "the session brings no file with handle %#" PRIx64,
		      handle);
	return NULL;
}

static int make_file(uint64_t size, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	int r;

	fd = memfd_create("penstock-model", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return pst_error_set_errno(err, errno, "cannot make a file");
	r = fd;
	fd = -1;
	return r;
}

int pst_agent_staged_add(struct pst_agent_staged *s, uint64_t owner,
			 uint64_t size, uint64_t *ret_handle,
			 struct pst_error *err)
{
	struct pst_agent_staged_file *f = NULL;
	uint32_t i, n = 0;
	int r;

	for (i = 0; i < PST_AGENT_STAGED_MAX; i++) {
		if (!s->files[i].handle)
			f = &s->files[i];
		else if (s->files[i].owner == owner)
			n++;
	}
	/* A full table: sessions without a lane, which serve/ refuses. */
	if (n >= PST_AGENT_STAGED_SHARE || !f)
		return pst_error_set(err, -ENOSPC,
				     "the session brings %u files of models "
				     "already; load or end those first",
				     n);
	if (size == 0)
		return pst_error_set(err, -EINVAL, "a file of 0 bytes");
	r = pst_agent_models_take_bytes(s->models, size, err);
	if (r < 0)
		return r;
	r = make_file(size, err);
	if (r < 0) {
		pst_agent_models_give_bytes(s->models, size);
		return r;
	}
	*f = (struct pst_agent_staged_file){
		.handle = ++s->last_handle,
		.owner = owner,
		.size = size,
		.fd = r,
	};
	*ret_handle = f->handle;
	return 0;
}

int pst_agent_staged_fill(struct pst_agent_staged *s, uint64_t owner,
			  uint64_t handle, uint64_t at, const uint8_t *base,
			  const struct pst_span *span, struct pst_error *err)
{
	const struct pst_agent_staged_file *f = find(s, owner, handle, err);
	uint64_t done = 0, end;
	ssize_t n;

	if (!f)
		return -ENOENT;
	if (pst_add_overflow(at, span->size, &end) || end > f->size)
		return pst_error_set(err, -EINVAL,
				     "%" PRIu64 " bytes at %" PRIu64
				     " of a file of %" PRIu64,
				     span->size, at, f->size);
	while (done < span->size) {
		n = pwrite(f->fd, base + span->off + done, span->size - done,
			   (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return pst_error_set_errno(err, n ? errno : EIO,
						   "cannot fill the file");
		done += (uint64_t)n;
	}
	return 0;
}

/* The file is no longer in the table. */
static void forget(struct pst_agent_staged *s, struct pst_agent_staged_file *f)
{
	pst_agent_models_give_bytes(s->models, f->size);
	*f = (struct pst_agent_staged_file){0};
}

int pst_agent_staged_take(struct pst_agent_staged *s, uint64_t owner,
			  uint64_t handle, int *ret_fd, uint64_t *ret_size,
			  struct pst_error *err)
{
	struct pst_agent_staged_file *f = find(s, owner, handle, err);

	if (!f)
		return -ENOENT;
	if (fcntl(f->fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return pst_error_set_errno(err, errno, "cannot seal a file");
	*ret_fd = f->fd;
	*ret_size = f->size;
	forget(s, f);
	return 0;
}

int pst_agent_staged_drop(struct pst_agent_staged *s, uint64_t owner,
			  uint64_t handle, struct pst_error *err)
{
	struct pst_agent_staged_file *f = find(s, owner, handle, err);

	if (!f)
		return -ENOENT;
	close(f->fd);
	forget(s, f);
	return 0;
}

void pst_agent_staged_release(struct pst_agent_staged *s, uint64_t owner)
{
	uint32_t i;

	for (i = 0; i < PST_AGENT_STAGED_MAX; i++) {
		if (!s->files[i].handle || s->files[i].owner != owner)
			continue;
		close(s->files[i].fd);
		forget(s, &s->files[i]);
	}
}

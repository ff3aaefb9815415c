/* SPDX-License-Identifier: MIT */
/* Reading .npy files: into the region, and into private memory, whole or some
 * rows at a time. */
#include "host-client/npyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* For O_DIRECT (transport/fileread.h); pst_alloc() gives 64. */
#define DIRECT_ALIGN 4096U

/* Reads n bytes of f at off; -ENODATA when it ends before. */
static int read_at(const struct pst_npyfile *f, void *buf, uint64_t n,
		   uint64_t off, struct pst_error *err)
{
	char *p = buf;
	ssize_t done;

	while (n) {
		done = pread(f->fd, p, n, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return pst_error_set_errno(err, errno, "%.200s",
						   f->path);
		if (done == 0)
			return pst_error_set(err, -ENODATA,
					     "%.200s shrank while it was read",
					     f->path);
		p += done;
		off += (uint64_t)done;
		n -= (uint64_t)done;
	}
	return 0;
}

static int check_size(const struct pst_npyfile *f, struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	uint64_t want = npy->data_off + npy->data_size;

	if (f->size < want)
		return pst_error_set(err, -ENODATA,
				     "%.160s is truncated: %" PRIu64
				     " bytes, but a header and %" PRIu64
				     " x %" PRIu64 " elements take %" PRIu64,
				     f->path, f->size, npy->rows, npy->cols,
				     want);
	if (f->size > want)
		return pst_error_set(
			err, -EMSGSIZE,
			"%.160s has %" PRIu64 " bytes behind its %" PRIu64
			" x %" PRIu64 " matrix; one matrix a file can be read",
			f->path, f->size - want, npy->rows, npy->cols);
	return 0;
}

static int read_header(struct pst_npyfile *f, struct pst_error *err)
{
	PST_CLEANUP_FREE uint8_t *buf = NULL;
	struct pst_error why = {0};
	struct stat st;
	uint64_t n;
	int rc;

	if (fstat(f->fd, &st) < 0)
		return pst_error_set_errno(err, errno, "%.200s", f->path);
	if (!S_ISREG(st.st_mode))
		return pst_error_set(err, -EINVAL,
				     "%.200s is not a regular file", f->path);
	f->size = (uint64_t)st.st_size;
	n = f->size < PST_NPY_MAX_HEADER ? f->size : PST_NPY_MAX_HEADER;
	buf = malloc(PST_NPY_MAX_HEADER);
	if (!buf)
		return pst_error_set(err, -ENOMEM, "out of memory");
	rc = read_at(f, buf, n, 0, err);
	if (rc < 0)
		return rc;
	rc = pst_npy_parse(buf, n, &f->npy, &why);
	if (rc < 0)
		return pst_error_set(err, rc, "%.160s: %s", f->path, why.text);
	return check_size(f, err);
}

int pst_npyfile_open(const char *path, struct pst_npyfile *ret,
		     struct pst_error *err)
{
	struct pst_npyfile f = {.path = path};
	int rc;

	*ret = (struct pst_npyfile){.fd = -1};
	/* Not blocked by a FIFO, which is refused. */
	f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f.fd < 0)
		return pst_error_set_errno(err, errno, "%.200s", path);
	rc = read_header(&f, err);
	if (rc < 0) {
		pst_close_fd(f.fd);
		return rc;
	}
	*ret = f;
	return 0;
}

void pst_npyfile_close(struct pst_npyfile *f)
{
	if (f->path)
		pst_close_fd(f->fd);
	*f = (struct pst_npyfile){.fd = -1};
}

uint64_t pst_npyfile_room(const struct pst_npyfile *f)
{
	return pst_fileread_room(f->size) + DIRECT_ALIGN;
}

int pst_npyfile_load(struct pst *c, const struct pst_npyfile *f,
		     struct pst_npyfile_data *ret, struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	struct pst_npyfile_data d = {0};
	struct pst_error why = {0};
	uint8_t *start;
	int rc;

	*ret = d;
	rc = pst_alloc(c, pst_npyfile_room(f), &d.buffer);
	if (rc < 0) {
		pst_last_error(c, why.text, sizeof(why.text));
		return pst_error_set(err, rc, "no memory for %.120s: %s",
				     f->path, why.text);
	}
	start = (uint8_t *)pst_round_up((uintptr_t)d.buffer, DIRECT_ALIGN);
	rc = pst_fileread(f->fd, start, f->size, PST_FILEREAD_AUTO, &d.how,
			  &why);
	if (rc < 0) {
		pst_free(c, d.buffer);
		return pst_error_set(err, rc, "%.160s: %s", f->path, why.text);
	}
	d.data = start + npy->data_off;
	/* numpy aligns its data to 64; other writers need not. */
	if (npy->data_off % npy->elem_size) {
		d.data = start;
		memmove(start, start + npy->data_off, npy->data_size);
	}
	if (npy->big_endian)
		pst_npy_swap(d.data, npy->data_size / npy->elem_size,
			     npy->elem_size);
	*ret = d;
	return 0;
}

int pst_npyfile_rows(const struct pst_npyfile *f, uint64_t row, uint64_t n,
		     void *buf, struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	/* All columns at once, when they are whole. */
	const bool pieces = npy->fortran && n < npy->rows;
	const uint64_t n_pieces = pieces ? npy->cols : 1;
	const uint64_t piece = (pieces ? 1 : npy->cols) * n * npy->elem_size;
	const uint64_t step = npy->rows * npy->elem_size;
	uint64_t off, i;
	int rc;

	off = npy->data_off + row * (pieces ? 1 : npy->cols) * npy->elem_size;
	for (i = 0; i < n_pieces; i++) {
		rc = read_at(f, (char *)buf + i * piece, piece, off + i * step,
			     err);
		if (rc < 0)
			return rc;
	}
	if (npy->big_endian)
		pst_npy_swap(buf, n * npy->cols, npy->elem_size);
	return 0;
}

int pst_npyfile_copy(const struct pst_npyfile *f, void **ret,
		     struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	PST_CLEANUP_FREE void *buf = NULL;
	int rc;

	/* One more, for an empty matrix. */
	buf = malloc(npy->data_size + 1);
	if (!buf)
		return pst_error_set(err, -ENOMEM,
				     "no memory for a copy of %.160s", f->path);
	rc = pst_npyfile_rows(f, 0, npy->rows, buf, err);
	if (rc < 0)
		return rc;
	*ret = buf;
	buf = NULL;
	return 0;
}

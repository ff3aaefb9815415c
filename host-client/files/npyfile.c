/* SPDX-License-Identifier: MIT */
/* Reads .npy files into the region or into private memory, whole or some rows
 * at a time. */
#include "host-client/files/npyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* For O_DIRECT (host-client/files/fileread.h); pst_alloc() gives 64. */
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

/* The next n bytes of a stream; *ret_n is less where it ends. */
static int read_stream(struct pst_npyfile *f, void *buf, uint64_t n,
		       uint64_t *ret_n, struct pst_error *err)
{
	uint64_t have = f->n_head - f->head_off;
	ssize_t done = 1;

	if (have > n)
		have = n;
	if (have)
		memcpy(buf, f->head + f->head_off, have);
	f->head_off += have;
	while (have < n && done) {
		done = read(f->fd, (char *)buf + have, n - have);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return pst_error_set_errno(err, errno, "%.200s",
						   f->path);
		have += (uint64_t)done;
	}
	*ret_n = have;
	return 0;
}

static int check_size(const struct pst_npyfile *f, struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	uint64_t want = npy->data_off + npy->data_size;

	if (f->size == PST_NPYFILE_ENDLESS)
		return 0;
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

static int parse(struct pst_npyfile *f, const uint8_t *buf, uint64_t n,
		 struct pst_error *err)
{
	struct pst_error why = {0};
	int r;

	r = pst_npy_parse(buf, n, &f->npy, &why);
	if (r < 0)
		return pst_error_set(err, r, "%.160s: %s", f->path, why.text);
	return check_size(f, err);
}

static int read_header(struct pst_npyfile *f, struct pst_error *err)
{
	PST_CLEANUP_FREE uint8_t *buf = NULL;
	struct stat st;
	uint64_t n;
	int r;

	if (fstat(f->fd, &st) < 0)
		return pst_error_set_errno(err, errno, "%.200s", f->path);
	if (!S_ISREG(st.st_mode))
		return pst_error_set(err, -EINVAL,
				     "%.200s is not a regular file", f->path);
	f->size = (uint64_t)st.st_size;
	n = f->size < PST_NPY_MAX_HEADER ? f->size : PST_NPY_MAX_HEADER;
	buf = malloc(PST_NPY_MAX_HEADER);
	if (!buf)
		return pst_oom(err);
	r = read_at(f, buf, n, 0, err);
	return r < 0 ? r : parse(f, buf, n, err);
}

int pst_npyfile_open(const char *path, struct pst_npyfile *ret,
		     struct pst_error *err)
{
	struct pst_npyfile f = {.path = path};
	int r;

	*ret = (struct pst_npyfile){.fd = -1};
	/* Not blocked by a FIFO, which is refused. */
	f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f.fd < 0)
		return pst_error_set_errno(err, errno, "%.200s", path);
	r = read_header(&f, err);
	if (r < 0) {
		pst_close_fd(f.fd);
		return r;
	}
	*ret = f;
	return 0;
}

static int read_head(struct pst_npyfile *f, struct pst_error *err)
{
	uint64_t n;
	int r;

	f->head = malloc(PST_NPY_MAX_HEADER);
	if (!f->head)
		return pst_oom(err);
	r = read_stream(f, f->head, PST_NPY_MAX_HEADER, &n, err);
	if (r < 0)
		return r;
	f->n_head = n;
	f->size = n < PST_NPY_MAX_HEADER ? n : PST_NPYFILE_ENDLESS;
	r = parse(f, f->head, n, err);
	if (r == 0 && f->npy.fortran)
		return pst_error_set(
			err, -EOPNOTSUPP,
			"%.160s: in Fortran order, of which only a "
			"file can be read row by row",
			f->path);
	f->head_off = f->npy.data_off;
	return r;
}

int pst_npyfile_open_stream(int fd, const char *name, struct pst_npyfile *ret,
			    struct pst_error *err)
{
	struct pst_npyfile f = {.path = name};
	int r;

	*ret = (struct pst_npyfile){.fd = -1};
	f.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (f.fd < 0)
		return pst_error_set_errno(err, errno, "%.200s", name);
	r = read_head(&f, err);
	if (r < 0)
		pst_npyfile_close(&f);
	else
		*ret = f;
	return r;
}

void pst_npyfile_close(struct pst_npyfile *f)
{
	if (f->path)
		pst_close_fd(f->fd);
	free(f->head);
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
	int r;

	*ret = d;
	r = pst_alloc(c, pst_npyfile_room(f), &d.buffer);
	if (r < 0) {
		pst_last_error(c, why.text, sizeof(why.text));
		return pst_error_set(err, r, "no memory for %.120s: %s",
				     f->path, why.text);
	}
	start = (uint8_t *)pst_round_up((uintptr_t)d.buffer, DIRECT_ALIGN);
	r = pst_fileread(f->fd, start, f->size, PST_FILEREAD_AUTO, &d.how,
			 &why);
	if (r < 0) {
		pst_free(c, d.buffer);
		return pst_error_set(err, r, "%.160s: %s", f->path, why.text);
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

static int stream_rows(struct pst_npyfile *f, uint64_t row, uint64_t n,
		       void *buf, struct pst_error *err)
{
	const uint64_t bytes = f->npy.cols * f->npy.elem_size;
	uint64_t got;
	int r;

	r = read_stream(f, buf, n * bytes, &got, err);
	if (r < 0 || got == n * bytes)
		return r;
	f->size = f->npy.data_off + row * bytes + got;
	return check_size(f, err);
}

/* A piece of each column, or all of them at once when they are whole. */
static int file_rows(const struct pst_npyfile *f, uint64_t row, uint64_t n,
		     void *buf, struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	const bool pieces = npy->fortran && n < npy->rows;
	const uint64_t n_pieces = pieces ? npy->cols : 1;
	const uint64_t piece = (pieces ? 1 : npy->cols) * n * npy->elem_size;
	const uint64_t step = npy->rows * npy->elem_size;
	uint64_t off, i;
	int r;

	off = npy->data_off + row * (pieces ? 1 : npy->cols) * npy->elem_size;
	for (i = 0; i < n_pieces; i++) {
		r = read_at(f, (char *)buf + i * piece, piece, off + i * step,
			    err);
		if (r < 0)
			return r;
	}
	return 0;
}

int pst_npyfile_rows(struct pst_npyfile *f, uint64_t row, uint64_t n, void *buf,
		     struct pst_error *err)
{
	int r = f->head ? stream_rows(f, row, n, buf, err)
			: file_rows(f, row, n, buf, err);

	if (r == 0 && f->npy.big_endian)
		pst_npy_swap(buf, n * f->npy.cols, f->npy.elem_size);
	return r;
}

int pst_npyfile_end(struct pst_npyfile *f, struct pst_error *err)
{
	uint64_t n = 0;
	uint8_t byte;
	int r = 0;

	if (f->size == PST_NPYFILE_ENDLESS)
		r = read_stream(f, &byte, 1, &n, err);
	if (r < 0 || n == 0)
		return r;
	return pst_error_set(err, -EMSGSIZE,
			     "%.160s goes on behind its %" PRIu64 " x %" PRIu64
			     " matrix; one matrix a file can be read",
			     f->path, f->npy.rows, f->npy.cols);
}

int pst_npyfile_copy(struct pst_npyfile *f, void **ret, struct pst_error *err)
{
	const struct pst_npy *npy = &f->npy;
	PST_CLEANUP_FREE void *buf = NULL;
	int r;

	/* One more, for an empty matrix. */
	buf = malloc(npy->data_size + 1);
	if (!buf)
		return pst_error_set(err, -ENOMEM,
				     "no memory for a copy of %.160s", f->path);
	r = pst_npyfile_rows(f, 0, npy->rows, buf, err);
	if (r < 0)
		return r;
	*ret = buf;
	buf = NULL;
	return 0;
}

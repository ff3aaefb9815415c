/* SPDX-License-Identifier: MIT */
/* Reads .npy files of tensors into the region, and writes them. */
#include "host-client/files/tensorfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "host-client/files/npy.h"
#include "host-client/files/outfile.h"
#include "transport/dtype.h"

/* Reads up to n bytes at off; *ret_n is less where the file ends. */
static int read_at(int fd, const char *path, void *buf, uint64_t n,
		   uint64_t off, uint64_t *ret_n, struct pst_error *err)
{
	uint64_t have = 0;
	ssize_t done = 1;

	while (have < n && done) {
		done = pread(fd, (char *)buf + have, n - have,
			     (off_t)(off + have));
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return pst_error_set_errno(err, errno, "%.200s", path);
		have += (uint64_t)done;
	}
	*ret_n = have;
	return 0;
}

static int read_head(int fd, const char *path, struct pst_npy_tensor *t,
		     struct pst_error *err)
{
	PST_CLEANUP_FREE uint8_t *head = malloc(PST_NPY_MAX_HEADER);
	struct pst_error why = {0};
	struct stat st;
	uint64_t n, want;
	int r;

	if (!head)
		return pst_oom(err);
	if (fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "%.200s", path);
	if (!S_ISREG(st.st_mode))
		return pst_error_set(err, -EINVAL,
				     "%.200s is not a regular file", path);
	r = read_at(fd, path, head, PST_NPY_MAX_HEADER, 0, &n, err);
	if (r < 0)
		return r;
	r = pst_npy_parse_tensor(head, n, t, &why);
	if (r < 0)
		return pst_error_set(err, r, "%.160s: %s", path, why.text);
	want = t->data_off + t->data_size;
	if ((uint64_t)st.st_size < want)
		return pst_error_set(err, -ENODATA,
				     "%.160s is truncated: %lld bytes, but its "
				     "header and tensor take %" PRIu64,
				     path, (long long)st.st_size, want);
	if ((uint64_t)st.st_size > want)
		return pst_error_set(err, -EMSGSIZE,
				     "%.160s has bytes behind its tensor; one "
				     "tensor a file can be read",
				     path);
	return 0;
}

/* From the first dimension the inner one to the last: dst gets the elements in
 * order. */
static void turn(uint8_t *dst, const uint8_t *src,
		 const struct pst_npy_tensor *t)
{
	const uint64_t n = t->data_size / t->elem_size;
	uint64_t step[PST_MAX_RANK], at[PST_MAX_RANK] = {0}, off = 0, i;
	uint32_t d;

	for (d = 0; d < t->rank; d++)
		step[d] = d ? step[d - 1] * (uint64_t)t->dim[d - 1]
			    : t->elem_size;
	for (i = 0; i < n; i++) {
		memcpy(dst + i * t->elem_size, src + off, t->elem_size);
		for (d = t->rank; d-- > 0;) {
			off += step[d];
			if (++at[d] < (uint64_t)t->dim[d])
				break;
			off -= at[d] * step[d];
			at[d] = 0;
		}
	}
}

static int read_data(int fd, const char *path, const struct pst_npy_tensor *t,
		     void *data, struct pst_error *err)
{
	const bool turned = t->fortran && t->rank > 1;
	PST_CLEANUP_FREE void *other = turned ? malloc(t->data_size + 1) : NULL;
	void *to = turned ? other : data;
	uint64_t n;
	int r;

	if (turned && !other)
		return pst_oom(err);
	r = read_at(fd, path, to, t->data_size, t->data_off, &n, err);
	if (r < 0)
		return r;
	if (n < t->data_size)
		return pst_error_set(err, -ENODATA,
				     "%.200s shrank while it was read", path);
	if (t->big_endian)
		pst_npy_swap(to, t->data_size / t->elem_size, t->elem_size);
	if (turned)
		turn(data, other, t);
	return 0;
}

int pst_tensorfile_read(struct pst *c, const char *path, struct pst_io *ret,
			struct pst_error *err)
{
	struct pst_npy_tensor t = {0};
	void *data = NULL;
	int fd, r;

	/* Not blocked by a FIFO, which is refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "%.200s", path);
	r = read_head(fd, path, &t, err);
	if (r == 0) {
		r = pst_alloc(c, t.data_size ? t.data_size : 1, &data);
		if (r < 0) {
			err->code = r;
			pst_last_error(c, err->text, sizeof(err->text));
			pst_error_prefix(err, path);
		}
	}
	if (r == 0)
		r = read_data(fd, path, &t, data, err);
	pst_close_fd(fd);
	if (r < 0) {
		(void)pst_free(c, data);
		return r;
	}
	ret->data = data;
	ret->bytes = t.data_size;
	ret->dtype = t.dtype;
	ret->rank = t.rank;
	memcpy(ret->dim, t.dim, sizeof(ret->dim));
	return 0;
}

int pst_tensorfile_write(const char *path, const struct pst_io *io,
			 const void *data, struct pst_error *err)
{
	uint8_t head[PST_NPY_TENSOR];
	struct pst_outfile o = {0};
	int r = pst_outfile_open(path, &o, err);

	if (r < 0)
		return r;
	pst_npy_format_tensor(io->dtype, io->rank, io->dim, head);
	if ((r = pst_outfile_write(&o, head, sizeof(head), err)) == 0 &&
	    (r = pst_outfile_write(&o, data, io->bytes, err)) == 0)
		return pst_outfile_commit(&o, err);
	pst_outfile_abandon(&o);
	return r;
}

double pst_tensor_get(const void *data, uint32_t dtype, uint64_t i)
{
	switch (dtype) {
	case PST_F64:
		return ((const double *)data)[i];
	case PST_F16:
		return (double)pst_f16_to_f32(((const uint16_t *)data)[i]);
	case PST_BF16:
		return (double)pst_bf16_to_f32(((const uint16_t *)data)[i]);
	case PST_I8:
		return ((const int8_t *)data)[i];
	case PST_I16:
		return ((const int16_t *)data)[i];
	case PST_I32:
		return ((const int32_t *)data)[i];
	case PST_I64:
		return (double)((const int64_t *)data)[i];
	case PST_U8:
	case PST_BOOL:
		return ((const uint8_t *)data)[i];
	case PST_U16:
		return ((const uint16_t *)data)[i];
	case PST_U32:
		return ((const uint32_t *)data)[i];
	case PST_U64:
		return (double)((const uint64_t *)data)[i];
	default:
		return (double)((const float *)data)[i];
	}
}

/* A number as one of an integer type. */
#define CLAMP(v, least, most)                                                  \
	((v) <= (double)(least)  ? (least)                                     \
	 : (v) >= (double)(most) ? (most)                                      \
				 : (v))

void pst_tensor_put(void *data, uint32_t dtype, uint64_t i, double v)
{
	switch (dtype) {
	case PST_F64:
		((double *)data)[i] = v;
		break;
	case PST_F16:
		((uint16_t *)data)[i] = pst_f16_from_f32((float)v);
		break;
	case PST_BF16:
		((uint16_t *)data)[i] = pst_bf16_from_f32((float)v);
		break;
	case PST_I8:
		((int8_t *)data)[i] = (int8_t)CLAMP(v, INT8_MIN, INT8_MAX);
		break;
	case PST_I16:
		((int16_t *)data)[i] = (int16_t)CLAMP(v, INT16_MIN, INT16_MAX);
		break;
	case PST_I32:
		((int32_t *)data)[i] = (int32_t)CLAMP(v, INT32_MIN, INT32_MAX);
		break;
	case PST_I64:
		((int64_t *)data)[i] = v >= 0x1p63    ? INT64_MAX
				       : v <= -0x1p63 ? INT64_MIN
						      : (int64_t)v;
		break;
	case PST_U8:
		((uint8_t *)data)[i] = (uint8_t)CLAMP(v, 0, UINT8_MAX);
		break;
	case PST_BOOL:
		((uint8_t *)data)[i] = v != 0;
		break;
	case PST_U16:
		((uint16_t *)data)[i] = (uint16_t)CLAMP(v, 0, UINT16_MAX);
		break;
	case PST_U32:
		((uint32_t *)data)[i] = (uint32_t)CLAMP(v, 0, UINT32_MAX);
		break;
	case PST_U64:
		((uint64_t *)data)[i] = v >= 0x1p64 ? UINT64_MAX
					: v <= 0    ? 0
						    : (uint64_t)v;
		break;
	default:
		((float *)data)[i] = (float)v;
	}
}

/* SPDX-License-Identifier: MIT */
/* Multiplies two .npy files, from the disk through the region to the disk.
 */
#include "host-client/files/gemmfile.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/files/outfile.h"
#include "transport/dtype.h"

/* Which file is which in the arrays below. */
enum { A, B, C, BIAS, N_FILES };

/* A job under way. */
struct run {
	struct pst *c;
	const struct pst_gemmfile *job;
	struct pst_npyfile file[N_FILES]; /* C: the input one, if any */
	struct pst_npyfile_data data[N_FILES];
	/* The matrices are in private memory: their data has no buffer. */
	bool foreign;
	struct pst_outfile out;
	struct pst_gemm_args g;
	uint64_t c_size; /* bytes of the result */
	void *c_copy;    /* the result in private memory, when verified */
};

static void forget_data(struct run *r, int i)
{
	if (r->foreign)
		free(r->data[i].data);
	else
		pst_free(r->c, r->data[i].buffer);
	r->data[i] = (struct pst_npyfile_data){0};
}

static void run_done(struct run *r)
{
	int i;

	pst_outfile_abandon(&r->out);
	for (i = 0; i < N_FILES; i++) {
		pst_npyfile_close(&r->file[i]);
		forget_data(r, i);
	}
	free(r->c_copy);
}

/* The library's sentence for its last failure rc. */
static int library_error(struct run *r, int rc, struct pst_error *err)
{
	char text[sizeof(err->text)];

	pst_last_error(r->c, text, sizeof(text));
	return pst_error_set(err, rc, "%s", *text ? text : pst_strerror(rc));
}

/* C's elements, for A's. */
static uint32_t dtype_c_of(const struct run *r)
{
	return pst_dtype_of_c(r->file[A].npy.dtype);
}

static int open_inputs(struct run *r, struct pst_error *err)
{
	const char *path[N_FILES] = {r->job->a, r->job->b, r->job->c0,
				     r->job->bias};
	uint32_t want;
	int i, rc;

	for (i = 0; i < N_FILES; i++) {
		if (!path[i])
			continue;
		rc = pst_npyfile_open(path[i], &r->file[i], err);
		if (rc < 0)
			return rc;
		want = i >= C ? dtype_c_of(r) : r->file[A].npy.dtype;
		if (want == PST_I32 && i < C)
			return pst_error_set(err, -EOPNOTSUPP,
					     "%.160s holds i32; integers "
					     "that are multiplied are i8",
					     path[i]);
		if (r->file[i].npy.dtype != want)
			return pst_error_set(
				err, -EINVAL,
				"%.100s holds %s, so %.100s has to hold %s, "
				"not %s: convert one of them with numpy's "
				"astype()",
				path[A], pst_dtype_name(r->file[A].npy.dtype),
				path[i], pst_dtype_name(want),
				pst_dtype_name(r->file[i].npy.dtype));
	}
	return 0;
}

/* Finds m, n, k and refuses shapes that do not fit together. */
static int check_shapes(struct run *r, struct pst_gemmfile_result *ret,
			struct pst_error *err)
{
	const struct pst_npy *a = &r->file[A].npy, *b = &r->file[B].npy;
	const struct pst_npy *c = &r->file[C].npy;
	const struct pst_npy *bias = &r->file[BIAS].npy;
	bool ta = r->job->transa, tb = r->job->transb;
	uint64_t k = tb ? b->cols : b->rows;

	ret->m = ta ? a->cols : a->rows;
	ret->k = ta ? a->rows : a->cols;
	ret->n = tb ? b->rows : b->cols;
	ret->dtype = a->dtype;
	ret->dtype_c = dtype_c_of(r);
	if (k != ret->k)
		return pst_error_set(
			err, -EINVAL,
			"shapes do not fit: A is %" PRIu64 " x %" PRIu64
			"%s, B is %" PRIu64 " x %" PRIu64 "%s",
			a->rows, a->cols, ta ? ", transposed" : "", b->rows,
			b->cols, tb ? ", transposed" : "");
	if (r->job->c0 && (c->rows != ret->m || c->cols != ret->n))
		return pst_error_set(
			err, -EINVAL,
			"shapes do not fit: the product is %" PRIu64
			" x %" PRIu64 ", the input C is %" PRIu64 " x %" PRIu64,
			ret->m, ret->n, c->rows, c->cols);
	if (r->job->bias && (bias->rows != 1 || bias->cols != ret->n))
		return pst_error_set(
			err, -EINVAL,
			"shapes do not fit: the product has %" PRIu64
			" columns, the bias is %" PRIu64 " x %" PRIu64
			" instead of 1 x %" PRIu64,
			ret->n, bias->rows, bias->cols, ret->n);
	return 0;
}

/* Whether the agent takes such a matrix whole. */
static bool is_within(const struct pst_info *info, uint64_t rows, uint64_t cols)
{
	uint64_t elems;

	return rows <= info->max_dim && cols <= info->max_dim &&
	       !pst_mul_overflow(rows, cols, &elems) &&
	       elems <= info->max_elems;
}

/* Whether all buffers together fit into the region. */
static bool has_room(const struct run *r, const struct pst_info *info)
{
	const uint64_t room = info->max_lease < info->arena_size
				      ? info->max_lease
				      : info->arena_size;
	uint64_t need = r->c_size, more;
	int i;

	for (i = 0; i < N_FILES; i++) {
		more = r->file[i].path ? pst_npyfile_room(&r->file[i]) : 0;
		if (pst_add_overflow(need, more, &need))
			return false;
	}
	return need <= room;
}

/* Decides where the matrices go. */
static int choose_place(struct run *r, const struct pst_gemmfile_result *ret,
			struct pst_error *err)
{
	const struct pst_npy *a = &r->file[A].npy, *b = &r->file[B].npy;
	struct pst_info info = {.size = sizeof(info)};
	uint64_t elems;
	int rc;

	rc = pst_get_info(r->c, &info);
	if (rc < 0)
		return library_error(r, rc, err);
	if (ret->m > UINT32_MAX || ret->n > UINT32_MAX || ret->k > UINT32_MAX)
		return pst_error_set(err, -EMSGSIZE,
				     "a product of %" PRIu64 " x %" PRIu64
				     " x %" PRIu64 "; sides are below 2^32",
				     ret->m, ret->n, ret->k);
	if (pst_mul_overflow(ret->m, ret->n, &elems) ||
	    pst_mul_overflow(elems, ret->dtype_c == PST_I32 ? 4 : a->elem_size,
			     &r->c_size) ||
	    r->c_size > INT64_MAX)
		return pst_error_set(err, -EOVERFLOW,
				     "C of %" PRIu64 " x %" PRIu64
				     " overflows the size of any file",
				     ret->m, ret->n);
	r->foreign = !is_within(&info, a->rows, a->cols) ||
		     !is_within(&info, b->rows, b->cols) ||
		     !is_within(&info, ret->m, ret->n) || !has_room(r, &info);
	return 0;
}

/*
 * A's or B's part of the call. A file in the other storage order than C's is
 * the transpose of a matrix in C's order: its bytes stay as they are.
 */
static uint32_t ld(const struct pst_npy *npy)
{
	uint64_t v = npy->fortran ? npy->rows : npy->cols;

	return v ? (uint32_t)v : 1;
}

static void describe(struct run *r, const struct pst_gemmfile_result *ret)
{
	const struct pst_npy *a = &r->file[A].npy, *b = &r->file[B].npy;
	bool col = r->job->c0 && r->file[C].npy.fortran;
	uint64_t ldc = col ? ret->m : ret->n;

	r->g = (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = ret->dtype,
		.dtype_c = ret->dtype_c,
		.compute = r->job->compute,
		.act = r->job->act,
		.bias = r->data[BIAS].data,
		.order = col ? PST_COL_MAJOR : PST_ROW_MAJOR,
		.transa = r->job->transa != (a->fortran != col),
		.transb = r->job->transb != (b->fortran != col),
		.m = (uint32_t)ret->m,
		.n = (uint32_t)ret->n,
		.k = (uint32_t)ret->k,
		.lda = ld(a),
		.ldb = ld(b),
		.ldc = ldc ? (uint32_t)ldc : 1,
		.alpha = r->job->alpha,
		.beta = r->job->c0 ? r->job->beta : 0,
		.a = r->data[A].data,
		.b = r->data[B].data,
		.c = r->data[C].data,
	};
}

/* Into the region. */
static int load_buffers(struct run *r, struct pst_error *err)
{
	int i, rc;

	for (i = 0; i < N_FILES; i++) {
		if (!r->file[i].path)
			continue;
		rc = pst_npyfile_load(r->c, &r->file[i], &r->data[i], err);
		if (rc < 0)
			return rc;
	}
	if (r->job->c0)
		return 0;
	/* An empty result still needs a place. */
	rc = pst_alloc(r->c, r->c_size ? r->c_size : 1, &r->data[C].buffer);
	if (rc < 0)
		return library_error(r, rc, err);
	r->data[C].data = r->data[C].buffer;
	return 0;
}

/* Into private memory. */
static int load_private(struct run *r, struct pst_error *err)
{
	int i, rc;

	for (i = 0; i < N_FILES; i++) {
		if (!r->file[i].path)
			continue;
		rc = pst_npyfile_copy(&r->file[i], &r->data[i].data, err);
		if (rc < 0)
			return rc;
		r->data[i].how = PST_FILEREAD_PREAD;
	}
	if (r->job->c0)
		return 0;
	r->data[C].data = malloc(r->c_size ? r->c_size : 1);
	if (!r->data[C].data)
		return pst_error_set(err, -ENOMEM,
				     "no memory for C, %" PRIu64 " bytes",
				     r->c_size);
	return 0;
}

static int load(struct run *r, struct pst_gemmfile_result *ret,
		struct pst_error *err)
{
	uint64_t start = pst_now_ns();
	int i, rc = -ENOSPC;

	if (!r->foreign)
		rc = load_buffers(r, err);
	if (rc == -ENOSPC) {
		/* Others may hold what the region has. */
		for (i = 0; i < N_FILES; i++)
			forget_data(r, i);
		r->foreign = true;
		rc = load_private(r, err);
	}
	ret->read_ns = pst_now_ns() - start;
	ret->how = r->data[A].how;
	ret->zero_copy = !r->foreign;
	return rc;
}

static int multiply(struct run *r, struct pst_gemmfile_result *ret,
		    struct pst_error *err)
{
	struct pst_completion done = {0};
	uint64_t start;
	int rc;

	describe(r, ret);
	start = pst_now_ns();
	rc = pst_gemm(r->c, &r->g, r->job->timeout_ns, &done);
	ret->call_ns = pst_now_ns() - start;
	ret->compute_ns = done.compute_ns;
	return rc < 0 ? library_error(r, rc, err) : 0;
}

/* The reference gets nothing that the guest could have touched but C. */
static int verify(struct run *r, struct pst_gemmfile_result *ret,
		  struct pst_error *err)
{
	PST_CLEANUP_FREE void *a = NULL, *b = NULL, *c0 = NULL, *bias = NULL;
	struct pst_gemm_args g = r->g;
	int rc;

	r->c_copy = malloc(r->c_size + 1);
	if (!r->c_copy)
		return pst_oom(err);
	if (r->foreign) {
		memcpy(r->c_copy, r->g.c, r->c_size);
	} else if (r->c_size) {
		rc = pst_take(r->c, r->c_copy, r->g.c, r->c_size);
		if (rc < 0)
			return library_error(r, rc, err);
	}
	rc = pst_npyfile_copy(&r->file[A], &a, err);
	if (rc == 0)
		rc = pst_npyfile_copy(&r->file[B], &b, err);
	if (rc == 0 && r->job->c0)
		rc = pst_npyfile_copy(&r->file[C], &c0, err);
	if (rc == 0 && r->job->bias)
		rc = pst_npyfile_copy(&r->file[BIAS], &bias, err);
	if (rc < 0)
		return rc;
	g.bias = bias;
	g.a = a;
	g.b = b;
	g.c = r->c_copy;
	rc = pst_reference_check(&g, c0, &ret->reference);
	return rc < 0 ? pst_error_set_errno(err, -rc, "the reference") : 0;
}

static int save(struct run *r, struct pst_error *err)
{
	uint8_t header[PST_NPY_HEADER];
	const void *data = r->c_copy ? r->c_copy : r->g.c;
	int rc;

	pst_npy_format(r->g.dtype_c, r->g.order == PST_COL_MAJOR, r->g.m,
		       r->g.n, header);
	rc = pst_outfile_write(&r->out, header, sizeof(header), err);
	if (rc == 0)
		rc = pst_outfile_write(&r->out, data, r->c_size, err);
	if (rc < 0)
		return rc;
	return pst_outfile_commit(&r->out, err);
}

static void say_step(const struct run *r, const char *what)
{
	if (r->job->step)
		r->job->step(r->job->arg, what);
}

static int steps(struct run *r, struct pst_gemmfile_result *ret,
		 struct pst_error *err)
{
	int rc;

	rc = open_inputs(r, err);
	if (rc == 0)
		rc = check_shapes(r, ret, err);
	if (rc == 0)
		rc = choose_place(r, ret, err);
	/* Before the work, so that none is done in vain. */
	if (rc == 0 && r->job->out)
		rc = pst_outfile_open(r->job->out, &r->out, err);
	say_step(r, "reading");
	if (rc == 0)
		rc = load(r, ret, err);
	say_step(r, "multiplying");
	if (rc == 0)
		rc = multiply(r, ret, err);
	say_step(r, "verifying");
	if (rc == 0 && r->job->verify)
		rc = verify(r, ret, err);
	if (rc < 0 || !r->job->out)
		return rc;
	if (r->job->verify && !ret->reference.verified)
		return 0;
	say_step(r, "writing");
	return save(r, err);
}

int pst_gemmfile_run(struct pst *c, const struct pst_gemmfile *job,
		     struct pst_gemmfile_result *ret, struct pst_error *err)
{
	struct run r = {.c = c, .job = job};
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = steps(&r, ret, err);
	run_done(&r);
	return rc;
}

double pst_gemmfile_gflops(const struct pst_gemmfile_result *r)
{
	if (!r->call_ns)
		return 0;
	return 2.0 * (double)r->m * (double)r->n * (double)r->k /
	       (double)r->call_ns;
}

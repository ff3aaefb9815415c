/* SPDX-License-Identifier: MIT */
/* Runs a model once on a shape that its callers will have. */
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/cmd_model.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/files/tensorfile.h"
#include "transport/base/util.h"

#define MOST 64U

/* The shape "2x1x128" at text, until the end or a comma; "": no dimension.
 * Returns what is behind it, or NULL. */
static const char *read_shape(const char *text, struct pst_io *io)
{
	char *end;

	io->rank = 0;
	while (*text && *text != ',') {
		if (io->rank == PST_MAX_RANK || *text < '0' || *text > '9')
			return NULL;
		io->dim[io->rank++] = (int64_t)strtoull(text, &end, 10);
		if (*end == 'x' && !end[1])
			return NULL;
		text = *end == 'x' ? end + 1 : end;
	}
	return text;
}

/* Takes "NAME=SHAPE,...", which may leave inputs out. */
static int read_shapes(const struct pst_cmd_ctx *ctx,
		       const struct pst_model_spec *m, const char *text,
		       struct pst_io *in)
{
	const char *p = text;
	size_t n;
	uint32_t i;

	do {
		n = strcspn(p, "=,");
		for (i = 0; i < m->n_in; i++)
			if (strlen(m->in[i].name) == n &&
			    memcmp(m->in[i].name, p, n) == 0)
				break;
		if (i == m->n_in)
			return pst_cmd_fail(ctx,
					    "--warm: model %s has no input "
					    "\"%.*s\"",
					    m->model.name,
					    (int)(n < 80 ? n : 80), p);
		p = p[n] == '=' ? read_shape(p + n + 1, &in[i]) : NULL;
		if (!p)
			return pst_cmd_usage(ctx,
					     "--warm: '%.80s' has no shapes "
					     "such as input_ids=1x32",
					     text);
	} while (*p && *++p);
	return PST_EXIT_OK;
}

static bool is_float(uint32_t dtype)
{
	return dtype == PST_F32 || dtype == PST_F64 || dtype == PST_F16 ||
	       dtype == PST_BF16;
}

/* Integers are 1, all else 0: some models divide by an integer. */
static int fill(const struct pst_cmd_ctx *ctx, struct pst *c, struct pst_io *io)
{
	uint64_t n = 1, i;
	uint32_t j;
	int r = 0;

	for (j = 0; j < io->rank; j++)
		if (pst_mul_overflow(n, (uint64_t)io->dim[j], &n))
			r = -EMSGSIZE;
	/* No element is wider than 8 bytes. */
	if (r == 0 && n <= SIZE_MAX / 8)
		r = pst_alloc(c, n ? 8 * n : 1, &io->data);
	if (r < 0 || !io->data)
		return pst_cmd_fail_call(ctx, c, r ? r : -EMSGSIZE);
	memset(io->data, 0, n ? 8 * n : 1);
	for (i = 0; !is_float(io->dtype) && i < n; i++)
		pst_tensor_put(io->data, io->dtype, i, 1);
	return PST_EXIT_OK;
}

static int warm(const struct pst_cmd_ctx *ctx, struct pst *c,
		const struct pst_model_spec *m, const char *shapes,
		uint64_t timeout_ns)
{
	struct pst_io in[MOST], out[MOST];
	struct pst_run_args a = PST_RUN_INIT;
	uint32_t i, j;
	int r, ran;

	if (m->n_in > MOST || m->n_out > MOST)
		return pst_cmd_fail(ctx, "model %s has too many tensors",
				    m->model.name);
	for (i = 0; i < m->n_in; i++) {
		in[i] = (struct pst_io)PST_IO_INIT;
		in[i].index = i;
		in[i].dtype = m->in[i].dtype;
		in[i].rank = m->in[i].rank;
		for (j = 0; j < in[i].rank; j++)
			in[i].dim[j] =
				m->in[i].dim[j] < 0 ? 1 : m->in[i].dim[j];
	}
	for (i = 0; i < m->n_out; i++) {
		out[i] = (struct pst_io)PST_IO_INIT;
		out[i].index = i;
	}
	r = read_shapes(ctx, m, shapes, in);
	for (i = 0; r == 0 && i < m->n_in; i++)
		r = fill(ctx, c, &in[i]);
	a.model = m;
	a.in = in;
	a.n_in = m->n_in;
	a.out = out;
	a.n_out = m->n_out;
	if (r == 0) {
		ran = pst_run(c, &a, timeout_ns, NULL);
		r = ran < 0 ? pst_cmd_fail_named(ctx, c, ran) : PST_EXIT_OK;
	}
	for (i = 0; i < m->n_in; i++)
		pst_free(c, in[i].data);
	for (i = 0; i < m->n_out; i++)
		pst_free(c, out[i].data);
	return r;
}

int pst_cmd_model_warm(const struct pst_cmd_ctx *ctx, struct pst *c,
		       const char *name, const char *shapes,
		       uint64_t timeout_ns)
{
	struct pst_model_spec *m;
	int r = pst_model_info(c, name, &m);

	if (r < 0)
		return pst_cmd_fail_named(ctx, c, r);
	r = warm(ctx, c, m, shapes, timeout_ns);
	free(m);
	return r;
}

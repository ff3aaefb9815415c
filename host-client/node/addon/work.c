/* SPDX-License-Identifier: MIT */
/*
 * Calls that wait: they run in threads of the event loop's pool, and call back.
 *
 * Memory of JavaScript that such a call uses is referenced until it ends. It
 * must not be transferred meanwhile, as for every asynchronous call of Node.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/node/addon/work.h"

#define KEPT PST_NODE_KEPT

struct work {
	struct pst_node_work w;
	int number; /* of what is asked, or of what is to be done */
	uint64_t tag;
	struct pst_gemm_args gemm;
	struct pst_infer_args infer;
	struct pst_model model;
	char *name, *path;
	/* Results: a text from malloc(), a number, or a model. */
	char *json;
	double value;
	bool is_model;
};

static void run(napi_env env, void *data)
{
	struct pst_node_work *w = data;

	(void)env;
	w->rc = w->run(w);
	if (w->rc < 0 && !w->text[0])
		pst_node.pst_last_error(w->conn->c, w->text, sizeof(w->text));
}

static napi_value result(napi_env env, struct pst_node_work *base)
{
	const struct work *w = (const struct work *)base;
	napi_value v = NULL;
	void *copy;

	if (w->json)
		napi_create_string_utf8(env, w->json, NAPI_AUTO_LENGTH, &v);
	else if (w->is_model && napi_create_arraybuffer(env, sizeof(w->model),
							&copy, &v) == napi_ok)
		memcpy(copy, &w->model, sizeof(w->model));
	else
		v = pst_node_number(env, w->value);
	return v;
}

static void end(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;

	free(w->json);
	free(w->name);
	free(w->path);
}

static void unkeep(napi_env env, struct pst_node_work *w)
{
	int i;

	for (i = 0; i < KEPT; i++)
		if (w->kept[i])
			napi_delete_reference(env, w->kept[i]);
	pst_node_release(w->lent);
}

static void done(napi_env env, napi_status status, void *data)
{
	struct pst_node_work *w = data;
	napi_value f = NULL, global, args[3], ignored;

	napi_get_undefined(env, &args[2]);
	if (w->rc >= 0)
		args[2] = w->result(env, w);
	args[0] = pst_node_number(env, w->rc);
	napi_create_string_utf8(env, w->text, NAPI_AUTO_LENGTH, &args[1]);
	napi_get_reference_value(env, w->callback, &f);
	napi_delete_reference(env, w->callback);
	unkeep(env, w);
	napi_delete_async_work(env, w->work);
	pst_node_release(w->uses);
	w->end(w);
	pst_node_unuse(w->conn);
	free(w);
	if (status == napi_ok && napi_get_global(env, &global) == napi_ok)
		napi_call_function(env, global, f, 3, args, &ignored);
}

struct pst_node_work *pst_node_work_begin(napi_env env, napi_value handle,
					  size_t size,
					  int (*f)(struct pst_node_work *w),
					  int *ret_rc)
{
	struct pst_node_conn *conn = pst_node_conn(env, handle);
	struct pst_node_work *w = conn ? calloc(1, size) : NULL;

	*ret_rc = conn ? -ENOMEM : -EBADF;
	if (!w)
		return NULL;
	w->conn = conn;
	w->run = f;
	w->result = result;
	w->end = end;
	return w;
}

napi_value pst_node_work_start(napi_env env, struct pst_node_work *w,
			       napi_value callback)
{
	double ms = w->conn->env->shared[PST_NODE_TIMEOUT];
	napi_value label;

	w->timeout_ns =
		ms > 0 && ms < 1e12 ? (uint64_t)(ms * 1e6) : PST_FOREVER;
	napi_create_reference(env, callback, 1, &w->callback);
	napi_create_string_utf8(env, "penstock", NAPI_AUTO_LENGTH, &label);
	napi_create_async_work(env, NULL, label, run, done, w, &w->work);
	pst_node_use(w->conn);
	napi_queue_async_work(env, w->work);
	return pst_node_number(env, 0);
}

void pst_node_work_drop(napi_env env, struct pst_node_work *w)
{
	unkeep(env, w);
	w->end(w);
	free(w);
}

/* A call of this file; NULL, with *ret_rc set, if it cannot be made. */
static struct work *begin(napi_env env, napi_value handle,
			  int (*f)(struct pst_node_work *w), int *ret_rc)
{
	return (struct work *)pst_node_work_begin(
		env, handle, sizeof(struct work), f, ret_rc);
}

static napi_value start(napi_env env, struct work *w, napi_value callback)
{
	return pst_node_work_start(env, &w->w, callback);
}

/* ---- Questions ------------------------------------------------------------
 */

static int run_query(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;
	return pst_node.pst_query(w->w.conn->c, (enum pst_topic)w->number,
				  &w->json);
}

/* query(connection, topic, callback): a text of JSON. */
napi_value pst_node_query(napi_env env, napi_callback_info info)
{
	struct work *w;
	napi_value args[3];
	int rc;

	pst_node_arguments(env, info, 3, args);
	w = begin(env, args[0], run_query, &rc);
	if (!w)
		return pst_node_number(env, rc);
	w->number = (int)pst_node_double(env, args[1]);
	return start(env, w, args[2]);
}

static int run_ping(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;
	uint64_t ns = 0;
	int rc = pst_node.pst_ping(w->w.conn->c, &ns);

	w->value = (double)ns;
	return rc;
}

/* ping(connection, callback): nanoseconds of the round trip. */
napi_value pst_node_ping(napi_env env, napi_callback_info info)
{
	struct work *w;
	napi_value args[2];
	int rc;

	pst_node_arguments(env, info, 2, args);
	w = begin(env, args[0], run_ping, &rc);
	return w ? start(env, w, args[1]) : pst_node_number(env, rc);
}

static int run_failure(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;
	w->json = calloc(1, PST_NODE_TEXT);
	if (!w->json)
		return -ENOMEM;
	return pst_node.pst_failure(w->w.conn->c, w->tag, w->json,
				    PST_NODE_TEXT);
}

/* failure(connection, slot, callback): why it failed. */
napi_value pst_node_failure(napi_env env, napi_callback_info info)
{
	struct work *w;
	napi_value args[3];
	double slot;
	int rc;

	pst_node_arguments(env, info, 3, args);
	w = begin(env, args[0], run_failure, &rc);
	if (!w)
		return pst_node_number(env, rc);
	slot = pst_node_double(env, args[1]);
	if (slot >= 0 && slot < w->w.conn->n_tags)
		w->tag = w->w.conn->tags[(uint32_t)slot];
	return start(env, w, args[2]);
}

/* ---- Operands anywhere -----------------------------------------------------
 */

/* Takes a typed array's memory, at least need bytes; keeps the array. */
static int foreign(napi_env env, struct work *w, int i, napi_value v,
		   double need, void **ret)
{
	napi_typedarray_type type;
	napi_value buffer;
	size_t n, off, size, each;
	bool is = false;
	void *p = NULL;

	if (napi_is_typedarray(env, v, &is) != napi_ok || !is)
		return 0;
	if (napi_get_typedarray_info(env, v, &type, &n, &p, &buffer, &off) !=
		    napi_ok ||
	    napi_get_arraybuffer_info(env, buffer, NULL, &size) != napi_ok)
		return -EFAULT;
	each = type == napi_float64_array                               ? 8
	       : type == napi_float32_array || type == napi_int32_array ? 4
	       : type == napi_uint16_array                              ? 2
									: 1;
	if (off > size || n > (size - off) / each ||
	    need > (double)n * (double)each)
		return -EFAULT;
	*ret = p;
	w->w.lent[i] = pst_node_lend(w->w.conn->env, p);
	return napi_create_reference(env, v, 1, &w->w.kept[i]) == napi_ok
		       ? 0
		       : -ENOMEM;
}

static double size_of(uint32_t dtype)
{
	return dtype == PST_F64                        ? 8
	       : dtype == PST_F16 || dtype == PST_BF16 ? 2
	       : dtype == PST_I8                       ? 1
						       : 4;
}

/* Bytes that batch matrices of rows x cols take, with their strides. */
static double extent(const struct pst_gemm_args *g, uint32_t rows,
		     uint32_t cols, int trans, uint32_t ld, uint64_t stride,
		     double each)
{
	double batch = g->batch ? g->batch : 1;
	uint32_t r = trans ? cols : rows, c = trans ? rows : cols, swap;
	double lead;

	if (g->order == PST_COL_MAJOR) {
		swap = r;
		r = c;
		c = swap;
	}
	if (!r || !c)
		return 0;
	lead = ld ? ld : c;
	return ((batch - 1) * (double)stride + (r - 1) * lead + c) * each;
}

static int run_gemm(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;
	return pst_node.pst_gemm(w->w.conn->c, &w->gemm, w->w.timeout_ns, NULL);
}

static int take_operands(napi_env env, struct work *w, const napi_value *v)
{
	struct pst_gemm_args *g = &w->gemm;
	uint32_t type_c = g->dtype_c           ? g->dtype_c
			  : g->dtype == PST_I8 ? (uint32_t)PST_I32
					       : g->dtype;
	double in = size_of(g->dtype), out = size_of(type_c);
	void *a = (void *)g->a, *b = (void *)g->b, *bias = (void *)g->bias;
	int rc;

	rc = foreign(
		env, w, 0, v[0],
		extent(g, g->m, g->k, g->transa != 0, g->lda, g->stride_a, in),
		&a);
	if (rc == 0)
		rc = foreign(env, w, 1, v[1],
			     extent(g, g->k, g->n, g->transb != 0, g->ldb,
				    g->stride_b, in),
			     &b);
	if (rc == 0)
		rc = foreign(env, w, 2, v[2],
			     extent(g, g->m, g->n, 0, g->ldc, g->stride_c, out),
			     &g->c);
	if (rc == 0)
		rc = foreign(env, w, 3, v[3], g->n * out, &bias);
	g->a = a;
	g->b = b;
	g->bias = bias;
	return rc;
}

/* gemmAny(connection, a, b, c, bias, callback): typed arrays, or undefined for
 * operands in buffers. */
napi_value pst_node_gemm_any(napi_env env, napi_callback_info info)
{
	struct work *w;
	napi_value args[6];
	int rc;

	pst_node_arguments(env, info, 6, args);
	w = begin(env, args[0], run_gemm, &rc);
	if (!w)
		return pst_node_number(env, rc);
	rc = pst_node_gemm_args(w->w.conn, &w->gemm);
	if (rc == 0)
		rc = take_operands(env, w, args + 1);
	if (rc < 0) {
		pst_node_work_drop(env, &w->w);
		return pst_node_number(env, rc);
	}
	pst_node_hold(w->w.conn, w->w.uses);
	return start(env, w, args[5]);
}

static int run_infer(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;
	w->infer.model = &w->model;
	return pst_node.pst_infer(w->w.conn->c, &w->infer, w->w.timeout_ns,
				  NULL);
}

/* inferAny(connection, model, in, out, rows, callback) */
napi_value pst_node_infer_any(napi_env env, napi_callback_info info)
{
	struct work *w;
	napi_value args[6];
	void *model = NULL, *in = NULL, *out = NULL;
	size_t size = 0;
	double rows;
	int rc;

	pst_node_arguments(env, info, 6, args);
	w = begin(env, args[0], run_infer, &rc);
	if (!w)
		return pst_node_number(env, rc);
	rows = pst_node_double(env, args[4]);
	rc = -EINVAL;
	if (napi_get_arraybuffer_info(env, args[1], &model, &size) == napi_ok &&
	    size == sizeof(w->model) && rows >= 1 && rows <= UINT32_MAX) {
		memcpy(&w->model, model, sizeof(w->model));
		rc = foreign(env, w, 0, args[2], rows * w->model.n_in * 4, &in);
	}
	if (rc == 0)
		rc = foreign(env, w, 1, args[3], rows * w->model.n_out * 4,
			     &out);
	if (rc < 0) {
		pst_node_work_drop(env, &w->w);
		return pst_node_number(env, rc);
	}
	w->infer = (struct pst_infer_args)PST_INFER_INIT;
	w->infer.in = in;
	w->infer.out = out;
	w->infer.rows = (uint32_t)rows;
	pst_node_hold(w->w.conn, w->w.uses);
	return start(env, w, args[5]);
}

/* ---- Models ----------------------------------------------------------------
 */

enum {
	MODEL_OPEN,
	MODEL_LOAD,
	MODEL_UNLOAD,
	MODEL_LIST,
};

static int run_model(struct pst_node_work *base)
{
	struct work *w = (struct work *)base;
	struct pst *c = w->w.conn->c;

	switch (w->number) {
	case MODEL_OPEN:
		w->is_model = true;
		return pst_node.pst_model_open(c, w->name ? w->name : "",
					       &w->model);
	case MODEL_LOAD:
		w->is_model = true;
		return pst_node.pst_model_load(c, w->name ? w->name : "",
					       w->path ? w->path : "",
					       w->w.timeout_ns, &w->model);
	case MODEL_UNLOAD:
		return pst_node.pst_model_unload(c, w->name ? w->name : "");
	default:
		return pst_node.pst_model_list(c, &w->json);
	}
}

/* model(connection, what, name, path, callback): a struct pst_model as an
 * ArrayBuffer, or a text of JSON. */
napi_value pst_node_model(napi_env env, napi_callback_info info)
{
	struct work *w;
	napi_value args[5];
	int rc;

	pst_node_arguments(env, info, 5, args);
	w = begin(env, args[0], run_model, &rc);
	if (!w)
		return pst_node_number(env, rc);
	w->number = (int)pst_node_double(env, args[1]);
	w->name = pst_node_string(env, args[2]);
	w->path = pst_node_string(env, args[3]);
	return start(env, w, args[4]);
}

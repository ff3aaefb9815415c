/* SPDX-License-Identifier: MIT */
/* Operations on memory of the region: in this call, or as a slot that completes
 * later. Their arguments are the shared numbers. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "host-client/node/addon/addon.h"

static uint32_t u32(double x)
{
	return x > 0 && x <= UINT32_MAX ? (uint32_t)x : 0;
}

static uint64_t u64(double x)
{
	return x > 0 && x < 18e18 ? (uint64_t)x : 0;
}

/* x: -1, or the number of a buffer; then bytes from its start. */
static int operand(struct pst_node_conn *conn, const double *x, void **ret)
{
	*ret = NULL;
	if (x[0] < 0)
		return 0;
	*ret = pst_node_address(conn, x[0], x[1]);
	return *ret ? 0 : -EFAULT;
}

int pst_node_gemm_args(struct pst_node_conn *conn, struct pst_gemm_args *g)
{
	const double *x = conn->env->shared;
	void *a, *b, *c, *bias;

	*g = (struct pst_gemm_args)PST_GEMM_INIT;
	g->dtype = u32(x[PST_NODE_DTYPE]);
	g->order = u32(x[PST_NODE_ORDER]);
	g->transa = u32(x[PST_NODE_TRANSA]);
	g->transb = u32(x[PST_NODE_TRANSB]);
	g->m = u32(x[PST_NODE_M]);
	g->n = u32(x[PST_NODE_N]);
	g->k = u32(x[PST_NODE_K]);
	g->lda = u32(x[PST_NODE_LDA]);
	g->ldb = u32(x[PST_NODE_LDB]);
	g->ldc = u32(x[PST_NODE_LDC]);
	g->alpha = x[PST_NODE_ALPHA];
	g->beta = x[PST_NODE_BETA];
	g->dtype_c = u32(x[PST_NODE_DTYPE_C]);
	g->compute = u32(x[PST_NODE_COMPUTE]);
	g->act = u32(x[PST_NODE_ACT]);
	g->batch = u32(x[PST_NODE_BATCH]);
	g->stride_a = u64(x[PST_NODE_STRIDE_A]);
	g->stride_b = u64(x[PST_NODE_STRIDE_B]);
	g->stride_c = u64(x[PST_NODE_STRIDE_C]);
	if (operand(conn, x + PST_NODE_A, &a) < 0 ||
	    operand(conn, x + PST_NODE_B, &b) < 0 ||
	    operand(conn, x + PST_NODE_C, &c) < 0 ||
	    operand(conn, x + PST_NODE_BIAS, &bias) < 0)
		return -EFAULT;
	g->a = a;
	g->b = b;
	g->c = c;
	g->bias = bias;
	return 0;
}

/* The connection and slot of a call; NULL with *ret_rc set if they are bad. */
static struct pst_node_conn *begin(napi_env env, const napi_value *args,
				   double *ret_slot, int *ret_rc)
{
	struct pst_node_conn *conn = pst_node_conn(env, args[0]);

	*ret_slot = pst_node_double(env, args[1]);
	*ret_rc = -EBADF;
	if (!conn)
		return NULL;
	*ret_rc = *ret_slot < 0 ? 0 : pst_node_slot(conn, *ret_slot);
	return *ret_rc < 0 ? NULL : conn;
}

static napi_value end(napi_env env, struct pst_node_conn *conn, double slot,
		      uint64_t tag, int rc)
{
	if (rc == 0 && slot >= 0)
		pst_node_submitted(conn, (uint32_t)slot, tag);
	return pst_node_number(env, pst_node_failed(conn, rc));
}

static uint64_t timeout_ns(const struct pst_node_conn *conn)
{
	double ms = conn->env->shared[PST_NODE_TIMEOUT];

	return ms > 0 && ms < 1e12 ? (uint64_t)(ms * 1e6) : PST_FOREVER;
}

/* gemm(connection, slot); slot -1: waits for it. */
napi_value pst_node_gemm(napi_env env, napi_callback_info info)
{
	struct pst_node_conn *conn;
	struct pst_gemm_args g;
	napi_value args[2];
	uint64_t tag = 0;
	double slot;
	int rc;

	pst_node_arguments(env, info, 2, args);
	conn = begin(env, args, &slot, &rc);
	if (!conn)
		return pst_node_number(env, rc);
	rc = pst_node_gemm_args(conn, &g);
	if (rc == 0 && slot >= 0)
		rc = pst_node.pst_submit_gemm(conn->c, &g, (uint64_t)slot,
					      &tag);
	else if (rc == 0)
		rc = pst_node.pst_gemm(conn->c, &g, timeout_ns(conn), NULL);
	return end(env, conn, slot, tag, rc);
}

/* infer(connection, slot, model): rows M of buffer A to buffer C. */
napi_value pst_node_infer(napi_env env, napi_callback_info info)
{
	struct pst_infer_args f = PST_INFER_INIT;
	struct pst_node_conn *conn;
	napi_value args[3];
	uint64_t tag = 0;
	const double *x;
	size_t size = 0;
	void *model = NULL, *in, *out;
	double slot;
	int rc;

	pst_node_arguments(env, info, 3, args);
	conn = begin(env, args, &slot, &rc);
	if (!conn)
		return pst_node_number(env, rc);
	x = conn->env->shared;
	if (napi_get_arraybuffer_info(env, args[2], &model, &size) != napi_ok ||
	    size != sizeof(*f.model) ||
	    operand(conn, x + PST_NODE_A, &in) < 0 ||
	    operand(conn, x + PST_NODE_C, &out) < 0)
		return pst_node_number(env, -EFAULT);
	f.model = model;
	f.in = in;
	f.out = out;
	f.rows = u32(x[PST_NODE_M]);
	if (slot >= 0)
		rc = pst_node.pst_submit_infer(conn->c, &f, (uint64_t)slot,
					       &tag);
	else
		rc = pst_node.pst_infer(conn->c, &f, timeout_ns(conn), NULL);
	return end(env, conn, slot, tag, rc);
}

/* nop(connection, slot) */
napi_value pst_node_nop(napi_env env, napi_callback_info info)
{
	struct pst_node_conn *conn;
	napi_value args[2];
	uint64_t tag = 0;
	double slot;
	int rc;

	pst_node_arguments(env, info, 2, args);
	conn = begin(env, args, &slot, &rc);
	if (!conn || slot < 0)
		return pst_node_number(env, conn ? -EINVAL : rc);
	rc = pst_node.pst_submit_nop(conn->c, (uint64_t)slot, &tag);
	return end(env, conn, slot, tag, rc);
}

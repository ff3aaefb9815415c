/* SPDX-License-Identifier: MIT */
/* Checks an operation of a session before it starts. */
#include "guest-agent/exec/check.h"

#include <errno.h>
#include <string.h>

/* seq and tag come first, and differ each time. */
#define BODY offsetof(struct pst_wire_sqe, op)

static_assert(offsetof(struct pst_wire_sqe, seq) < BODY &&
		      offsetof(struct pst_wire_sqe, tag) < BODY &&
		      BODY == 2 * sizeof(uint64_t),
	      "all else is compared");

struct holder {
	const struct pst_agent_executor_config *config;
	uint64_t owner;
};

static bool holds(void *arg, const struct pst_span *span)
{
	const struct holder *h = arg;

	return pst_agent_extents_holds(h->config->extents, h->owner, span);
}

static int find_tensor(void *arg, uint64_t handle, void **ret_mem,
		       uint64_t *ret_size)
{
	const struct holder *h = arg;

	return h->config->tensor(h->config->arg, h->owner, handle, ret_mem,
				 ret_size);
}

static int find_model(void *arg, uint64_t handle, struct pst_op_model *ret)
{
	const struct holder *h = arg;

	return h->config->model(h->config->arg, handle, ret);
}

static int find_run_model(void *arg, uint64_t handle,
			  struct pst_op_run_model *ret)
{
	const struct holder *h = arg;

	return h->config->run_model(h->config->arg, handle, ret);
}

/* Whether the backend has products of this kind at all. */
static int check_kind(const struct pst_agent_executor_config *config,
		      const struct pst_op *op, struct pst_error *err)
{
	struct pst_agent_gemm_kind kind;

	if (!config->ops->can || (op->op != PST_WIRE_OP_GEMM &&
				  op->op != PST_WIRE_OP_GEMM_STRIDED_BATCHED))
		return 0;
	kind = (struct pst_agent_gemm_kind){
		.dtype = op->dtype,
		.dtype_c = op->dtype_c,
		.compute = op->compute,
		.act = op->act,
		.has_bias = op->has_bias,
	};
	pst_backend_no_reason(err);
	return config->ops->can(config->backend, &kind, err) ? 0 : -EOPNOTSUPP;
}

static bool is_known(const struct pst_agent_check_memo *memo,
		     const struct pst_wire_sqe *sqe, uint64_t changes)
{
	return memo->valid && memo->changes == changes &&
	       memcmp((const char *)sqe + BODY, (const char *)&memo->sqe + BODY,
		      sizeof(*sqe) - BODY) == 0;
}

static void stash(struct pst_agent_check_memo *memo,
		  const struct pst_wire_sqe *sqe, uint64_t changes)
{
	/* flags say which operands are tensors. */
	memo->valid = sqe->op == PST_WIRE_OP_GEMM && sqe->flags == 0;
	if (!memo->valid)
		return;
	memo->changes = changes;
	memo->sqe = *sqe;
}

/* What is not known yet. */
static __attribute__((noinline)) int
check(const struct pst_agent_executor_config *config, uint64_t owner,
      const struct pst_wire_sqe *sqe, struct pst_op *ret, struct pst_run *run,
      struct pst_error *err)
{
	struct holder holder = {config, owner};
	const struct pst_op_env env = {
		.limits = &config->limits,
		.holds = holds,
		.tensor = config->tensor ? find_tensor : NULL,
		.model = config->model ? find_model : NULL,
		.run_model = config->run_model ? find_run_model : NULL,
		.base = config->base,
		.run = run,
		.max_run_bytes = config->max_run_bytes,
		.arg = &holder,
	};
	int r = pst_op_check(sqe, &env, ret, err);

	return r < 0 ? r : check_kind(config, ret, err);
}

int pst_agent_check(const struct pst_agent_executor_config *config,
		    uint64_t owner, struct pst_agent_check_memo *memo,
		    const struct pst_wire_sqe *sqe, struct pst_op *ret,
		    struct pst_run *run, struct pst_error *err)
{
	const uint64_t changes = pst_agent_extents_changes(config->extents);
	int r;

	if (is_known(memo, sqe, changes)) {
		ret->tag = sqe->tag;
		return 0;
	}
	memo->valid = false;
	r = check(config, owner, sqe, ret, run, err);
	if (r == 0)
		stash(memo, sqe, changes);
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Operations of lanes from begin to end: on a lane's stream one may follow the
 * other. */
#include "guest-agent/cuda/jobs.h"

#include <errno.h>
#include <stdlib.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/cuda/copyop.h"
#include "guest-agent/cuda/infer.h"
#include "transport/base/util.h"

/* Pinned memory of a lane whose region is not registered. */
#define LANE_STAGED (2ULL << 20)

void pst_cuda_lane_free(struct pst_cuda_lane *l)
{
	unsigned int i;

	if (!l)
		return;
	for (i = 0; i < PST_CUDA_JOBS; i++)
		pst_cuda_flight_done(&l->job[i].flight);
	pst_cuda_mover_done(&l->mover);
	if (l->stream)
		cudaStreamDestroy(l->stream);
	if (l->workspace)
		cudaFree(l->workspace);
	free(l);
}

static int jobs_init(struct pst_cuda_lane *l, struct pst_error *err)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < PST_CUDA_JOBS && r == 0; i++) {
		l->job[i].lane = l;
		r = pst_cuda_flight_init(&l->job[i].flight, err);
	}
	return r;
}

static int lane_get(struct pst_backend *b, uint32_t index,
		    struct pst_cuda_lane **ret, struct pst_error *err)
{
	struct pst_cuda_lane *l = b->lanes[index];
	int r;

	if (l) {
		*ret = l;
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return pst_oom(err);
	l->index = index;
	/* A small product does not wait behind another lane's tiles. From the
	 * pool the workspace comes without the device's waiting. */
	if ((r = pst_cuda_stream_first(&l->stream, err)) < 0 ||
	    (r = jobs_init(l, err)) < 0 ||
	    (r = pst_cuda_ok(
		     b->device.pools
			     ? cudaMallocAsync(&l->workspace, b->workspace_size,
					       l->stream)
			     : cudaMalloc(&l->workspace, b->workspace_size),
		     "allocating a workspace", err)) < 0) {
		pst_cuda_lane_free(l);
		return r;
	}
	pst_cuda_mover_init(&l->mover, &b->region, l->stream,
			    b->device.max_pitch, LANE_STAGED);
	b->lanes[index] = l;
	*ret = l;
	return 0;
}

int pst_cuda_idle(cudaStream_t s)
{
	cudaError_t e = cudaStreamQuery(s);

	if (e == cudaSuccess)
		return 1;
	if (e == cudaErrorNotReady)
		return 0;
	cudaGetLastError();
	return -EIO;
}

/* Whether the job cannot write any more. A lost context cannot. */
static bool job_idle(struct pst_backend *b, struct pst_cuda_job *j)
{
	const bool piped = b->pipe.owner == (int)j->lane->index;
	int r = pst_cuda_idle(j->lane->stream);

	if (r > 0 && j->other)
		r = pst_cuda_idle(j->other);
	if (r > 0 && piped)
		r = pst_cuda_idle(b->pipe.h2d);
	if (r > 0 && piped)
		r = pst_cuda_idle(b->pipe.compute);
	if (r > 0 && piped)
		r = pst_cuda_idle(b->pipe.d2h);
	if (r < 0)
		return pst_cuda_check_lost(b, NULL);
	return r > 0;
}

static void job_reset(struct pst_backend *b, struct pst_cuda_job *j)
{
	j->flight.n = 0;
	j->other = NULL;
	pst_cuda_pipe_release(&b->pipe, j->lane->index);
}

/* The oldest of its lane is over. */
static void job_end(struct pst_backend *b, struct pst_cuda_job *j)
{
	struct pst_cuda_lane *l = j->lane;

	job_reset(b, j);
	l->first = (l->first + 1) % PST_CUDA_JOBS;
	l->n--;
}

static bool uses_memory(const struct pst_op *op)
{
	return op->a.mem || op->b.mem || op->c.mem || op->bias.mem;
}

static int begin_pieces(struct pst_backend *b, struct pst_cuda_job *j,
			const struct pst_op *op, struct pst_error *err)
{
	switch (op->op) {
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		return pst_cuda_gemm_begin(b, j, op, &j->count, err);
	case PST_WIRE_OP_COPY:
		j->count = pst_cuda_copy_pieces(op);
		return 0;
	case PST_WIRE_OP_INFER:
		return pst_cuda_infer_begin(b, j, op, &j->count, err);
	default:
		return pst_error_set(err, -EOPNOTSUPP,
				     "the cuda backend has no such operation");
	}
}

static int issue_one(struct pst_backend *b, struct pst_cuda_job *j,
		     const struct pst_op *op, struct pst_error *err)
{
	switch (op->op) {
	case PST_WIRE_OP_COPY:
		return pst_cuda_copy_issue(b, j, op, j->next, err);
	case PST_WIRE_OP_INFER:
		return pst_cuda_infer_issue(b, j, op, j->next, err);
	default:
		return pst_cuda_gemm_issue(b, j, j->next, err);
	}
}

/* Issues pieces to the device, up to the limit. */
static int issue(struct pst_backend *b, struct pst_cuda_job *j,
		 const struct pst_op *op, struct pst_error *err)
{
	int r = 1;

	while (r > 0 && j->next < j->count &&
	       j->flight.n < PST_CUDA_FLIGHT_MAX) {
		r = issue_one(b, j, op, err);
		if (r > 0)
			j->next++;
	}
	return r < 0 ? r : 0;
}

/* The first failure is stored. The operation ends when the device has stopped
 * writing. */
static void fail(struct pst_backend *b, struct pst_cuda_job *j, int r,
		 const struct pst_error *why)
{
	j->failed = r;
	j->why = *why;
	if (pst_cuda_check_lost(b, why))
		j->failed = -EIO;
}

/* Whether all of a job is on its lane's stream, or will be with its begin: then
 * the stream keeps the order with the jobs beside it. */
static bool in_stream(const struct pst_cuda_job *j, uint64_t left)
{
	return !j->failed && !j->other && left <= PST_CUDA_FLIGHT_MAX &&
	       !j->gemm.piped;
}

static int job_begin(struct pst_backend *b, struct pst_cuda_job *j,
		     const struct pst_op *op, bool follows,
		     struct pst_error *err)
{
	int r;

	j->begun_ns = pst_now_ns();
	j->next = 0;
	j->count = 0;
	j->failed = 0;
	j->other = NULL;
	j->gemm.piped = false;
	r = begin_pieces(b, j, op, err);
	if (r == 0 && follows && !in_stream(j, j->count))
		r = -EAGAIN;
	/* A model's stream has waited by itself. */
	if (r == 0 && !j->other && uses_memory(op))
		r = pst_cuda_wait_memory(b, j->lane->stream, err);
	if (r < 0 || !follows)
		return r;
	r = issue(b, j, op, err);
	if (r < 0)
		fail(b, j, r, err);
	return 0;
}

/* Whether another operation may follow what the lane has on the device. */
static bool may_follow(const struct pst_cuda_lane *l)
{
	const struct pst_cuda_job *j;

	if (l->n == 0)
		return true;
	if (l->n == PST_CUDA_JOBS)
		return false;
	j = &l->job[(l->first + l->n - 1) % PST_CUDA_JOBS];
	return j->next == j->count && in_stream(j, 0);
}

int pst_cuda_begin(struct pst_backend *b, struct pst_backend_op *bop,
		   struct pst_error *err)
{
	struct pst_cuda_lane *l = b->lanes[bop->lane];
	const bool follows = l && l->n;
	struct pst_cuda_job *j;
	int r;

	if (b->lost)
		return pst_error_set(err, -EIO, "%s", b->why.text);
	if (follows && (pst_cuda_host_has(&bop->op) || !may_follow(l)))
		return -EAGAIN;
	if (pst_cuda_host_has(&bop->op))
		return pst_cuda_host_begin(bop, err);
	r = lane_get(b, bop->lane, &l, err);
	if (r < 0)
		goto failed;
	j = &l->job[(l->first + l->n) % PST_CUDA_JOBS];
	r = job_begin(b, j, &bop->op, follows, err);
	if (r == 0) {
		l->n++;
		bop->priv = j;
		return 0;
	}
	/* Nothing was issued; a model's stream may end with the model. */
	job_reset(b, j);
	if (r == -EAGAIN)
		return r;
failed:
	pst_cuda_check_lost(b, err);
	return r;
}

static int step_device(struct pst_backend *b, struct pst_backend_op *bop,
		       struct pst_error *err)
{
	struct pst_cuda_job *j = bop->priv;
	struct pst_cuda_lane *l = j->lane;
	uint64_t now;
	int r;

	if (!j->failed) {
		r = pst_cuda_flight_poll(&j->flight, err);
		if (r >= 0)
			r = issue(b, j, &bop->op, err);
		if (r < 0)
			fail(b, j, r, err);
	}
	if (j->failed) {
		if (!job_idle(b, j))
			return PST_AGENT_STEP_WAIT;
		*err = j->why;
		job_end(b, j);
		return j->failed;
	}
	if (j->next < j->count || j->flight.n)
		return PST_AGENT_STEP_WAIT;
	job_end(b, j);
	/* Behind another, its own time begins with the end of that. */
	now = pst_now_ns();
	bop->compute_ns +=
		now - (j->begun_ns > l->ended_ns ? j->begun_ns : l->ended_ns);
	l->ended_ns = now;
	return PST_AGENT_STEP_DONE;
}

int pst_cuda_step(struct pst_backend *b, struct pst_backend_op *bop,
		  struct pst_error *err)
{
	uint64_t start;
	int r;

	if (!pst_cuda_host_has(&bop->op))
		return step_device(b, bop, err);
	start = pst_now_ns();
	r = pst_cuda_host_step(b, bop);
	bop->compute_ns += pst_now_ns() - start;
	if (r == PST_AGENT_STEP_DONE)
		pst_cuda_host_end(bop);
	return r;
}

int pst_cuda_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	struct pst_cuda_job *j;

	if (pst_cuda_host_has(&bop->op)) {
		pst_cuda_host_end(bop);
		return 1;
	}
	j = bop->priv;
	if (!job_idle(b, j))
		return 0;
	job_end(b, j);
	return 1;
}

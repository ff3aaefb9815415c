/* SPDX-License-Identifier: MIT */
/* An executor over a backend whose every step the test decides. */
#ifndef PST_TESTS_UNIT_EXECUTOR_FIXTURE_H
#define PST_TESTS_UNIT_EXECUTOR_FIXTURE_H

#include <errno.h>
#include <string.h>

#include "guest-agent/exec/executor.h"
#include "tests/unit/unit.h"
#include "transport/base/util.h"
#include "transport/ring.h"

#define N_LANES 3
#define ARENA   (8ULL * PST_WIRE_UNIT)
#define STEP_NS (10 * PST_NS_PER_MS)
#define N_LOG   4096

/* An operation is a FILL; its pattern says how the backend behaves. */
#define STEPS(n)    ((uint64_t)(n))
#define FAIL_STEP   (1ULL << 32)
#define FAIL_BEGIN  (1ULL << 33)
#define DEVICE      (1ULL << 34)          /* steps wait for a device */
#define STUBBORN(n) ((uint64_t)(n) << 40) /* cancels refused */
#define RESULT      77
/* A bit of the tag: an operation without a pattern takes two steps. */
#define COPY_STEPS (1ULL << 63)

struct pst_backend {
	unsigned int n_log;
	uint64_t log[N_LOG]; /* tag of each step made */
	unsigned int cancels;
};

static struct pst_backend backend;
static struct pst_wire_lane shared[N_LANES] __attribute__((aligned(64)));
static struct pst_wire_word agent_word;
static struct pst_lane_client client[N_LANES];
static struct pst_extents *extents;
static struct pst_executor *ex;
static unsigned int wakes[N_LANES], broken[N_LANES], gone[N_LANES];
static char broken_text[128];

static inline int fake_begin(struct pst_backend *b, struct pst_backend_op *bop,
			     struct pst_error *err)
{
	ck_assert_ptr_null(bop->priv);
	ck_assert_uint_eq(bop->cursor[0], 0);
	if (bop->op.pattern & FAIL_BEGIN)
		return pst_error_set(err, -EOPNOTSUPP, "no such thing");
	return 0;
}

static inline int fake_step(struct pst_backend *b, struct pst_backend_op *bop,
			    struct pst_error *err)
{
	ck_assert_uint_lt(b->n_log, N_LOG);
	b->log[b->n_log++] = bop->op.tag;
	bop->compute_ns += STEP_NS;
	if (bop->op.pattern & FAIL_STEP)
		return pst_error_set(err, -EIO, "it burns");
	bop->result = RESULT;
	if (++bop->cursor[0] >=
	    (bop->op.tag & COPY_STEPS ? 2 : 0) + (bop->op.pattern & 0xffff))
		return PST_STEP_DONE;
	return bop->op.pattern & DEVICE ? PST_STEP_WAIT : PST_STEP_MORE;
}

static inline int fake_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	b->cancels++;
	return ++bop->cursor[1] > bop->op.pattern >> 40;
}

static const struct pst_backend_ops fake_ops = {
	.name = "fake",
	.begin = fake_begin,
	.step = fake_step,
	.cancel = fake_cancel,
};

/* 0: the real time; else what each look at the clock takes. */
static uint64_t look_ns, fake_now_ns, wake_ns;

static inline uint64_t fake_clock(void)
{
	if (!look_ns)
		return pst_now_ns();
	fake_now_ns += look_ns;
	return fake_now_ns;
}

static inline void on_wake(void *arg, uint32_t lane)
{
	fake_now_ns += wake_ns;
	wakes[lane]++;
}

static inline void on_broken(void *arg, uint32_t lane,
			     const struct pst_error *err)
{
	broken[lane]++;
	snprintf(broken_text, sizeof(broken_text), "%.100s", err->text);
	/* As a session does. */
	pst_executor_detach(ex, lane);
}

static inline void on_gone(void *arg, uint32_t lane)
{
	gone[lane]++;
}

static char tensor_mem[2];

/* Session 1 has tensors 7 and 8, of 4096 bytes each. */
static inline int find_tensor(void *arg, uint64_t owner, uint64_t handle,
			      void **ret_mem, uint64_t *ret_size)
{
	if (owner != 1 || (handle != 7 && handle != 8))
		return -ENOENT;
	*ret_mem = &tensor_mem[handle - 7];
	*ret_size = 4096;
	return 0;
}

static inline void setup(void)
{
	struct pst_executor_config config = {
		.tensor = find_tensor,
		.ops = &fake_ops,
		.backend = &backend,
		.limits = {.max_dim = 1000, .max_elems = 1000000},
		.hooks = {on_wake, on_broken, on_gone},
		.clock = fake_clock,
	};
	struct pst_span span;
	uint32_t i;

	memset(&backend, 0, sizeof(backend));
	look_ns = wake_ns = 0;
	fake_now_ns = PST_NS_PER_S;
	memset(wakes, 0, sizeof(wakes));
	memset(broken, 0, sizeof(broken));
	memset(gone, 0, sizeof(gone));
	ck_assert_int_eq(pst_extents_new(PST_WIRE_CTL_SIZE, ARENA, &extents),
			 0);
	config.extents = extents;
	ck_assert_int_eq(pst_executor_new(&config, &ex), 0);
	for (i = 0; i < N_LANES; i++) {
		/* Lane i is session i + 1 and holds unit i of the arena. */
		ck_assert_int_eq(pst_extents_lease(extents, i + 1, 1, &span),
				 0);
		pst_executor_attach(ex, i, &shared[i], i + 1);
		pst_lane_client_init(&client[i], &shared[i], &agent_word);
	}
}

static inline void teardown(void)
{
	pst_executor_free(ex);
	pst_extents_free(extents);
}

static inline uint64_t unit_off(uint32_t lane)
{
	return PST_WIRE_CTL_SIZE + (uint64_t)lane * PST_WIRE_UNIT;
}

static inline void submit_sqe(uint32_t lane, const struct pst_wire_sqe *sqe)
{
	ck_assert_int_eq(pst_lane_client_submit(&client[lane], sqe), 0);
}

static inline void submit(uint32_t lane, uint64_t tag, uint64_t behaviour)
{
	const struct pst_wire_sqe sqe = {
		.tag = tag,
		.op = PST_WIRE_OP_FILL,
		.dtype = PST_WIRE_F64,
		.off_a = unit_off(lane),
		.length = 4096,
		.alpha = behaviour,
	};

	submit_sqe(lane, &sqe);
}

static inline void submit_nop(uint32_t lane, uint64_t tag)
{
	const struct pst_wire_sqe sqe = {.tag = tag, .op = PST_WIRE_OP_NOP};

	submit_sqe(lane, &sqe);
}

/* Runs until there is nothing to do; bounded. */
static inline void run_all(void)
{
	int i;

	for (i = 0; i < 10000; i++)
		if (!pst_executor_run(ex))
			return;
	ck_abort_msg("the executor does not come to an end");
}

static inline void expect(uint32_t lane, uint64_t tag, uint32_t status)
{
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_lane_client_reap(&client[lane], &cqe), 1);
	ck_assert_uint_eq(cqe.tag, tag);
	ck_assert_uint_eq(cqe.status, status);
}

static inline void expect_none(uint32_t lane)
{
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_lane_client_reap(&client[lane], &cqe), 0);
}

#endif

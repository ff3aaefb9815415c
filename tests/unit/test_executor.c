/* SPDX-License-Identifier: MIT */
/* The executor over a backend whose every step the test decides: order,
 * shares, cancelling, draining, errors, impossible lanes. */
#include <errno.h>
#include <string.h>

#include "guest-agent/executor.h"
#include "tests/unit/unit.h"
#include "transport/ring.h"
#include "transport/util.h"

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

static int fake_begin(struct pst_backend *b, struct pst_backend_op *bop,
		      struct pst_error *err)
{
	ck_assert_ptr_null(bop->priv);
	ck_assert_uint_eq(bop->cursor[0], 0);
	if (bop->op.pattern & FAIL_BEGIN)
		return pst_error_set(err, -EOPNOTSUPP, "no such thing");
	return 0;
}

static int fake_step(struct pst_backend *b, struct pst_backend_op *bop,
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

static int fake_cancel(struct pst_backend *b, struct pst_backend_op *bop)
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

static void on_wake(void *arg, uint32_t lane)
{
	wakes[lane]++;
}

static void on_broken(void *arg, uint32_t lane, const struct pst_error *err)
{
	broken[lane]++;
	snprintf(broken_text, sizeof(broken_text), "%.100s", err->text);
	/* As a session does. */
	pst_executor_detach(ex, lane);
}

static void on_gone(void *arg, uint32_t lane)
{
	gone[lane]++;
}

static char tensor_mem[2];

/* Session 1 has tensors 7 and 8, of 4096 bytes each. */
static int find_tensor(void *arg, uint64_t owner, uint64_t handle,
		       void **ret_mem, uint64_t *ret_size)
{
	if (owner != 1 || (handle != 7 && handle != 8))
		return -ENOENT;
	*ret_mem = &tensor_mem[handle - 7];
	*ret_size = 4096;
	return 0;
}

static void setup(void)
{
	struct pst_executor_config config = {
		.tensor = find_tensor,
		.ops = &fake_ops,
		.backend = &backend,
		.limits = {.max_dim = 1000, .max_elems = 1000000},
		.hooks = {on_wake, on_broken, on_gone},
	};
	struct pst_span span;
	uint32_t i;

	memset(&backend, 0, sizeof(backend));
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

static void teardown(void)
{
	pst_executor_free(ex);
	pst_extents_free(extents);
}

static uint64_t unit_off(uint32_t lane)
{
	return PST_WIRE_CTL_SIZE + (uint64_t)lane * PST_WIRE_UNIT;
}

static void submit_sqe(uint32_t lane, const struct pst_wire_sqe *sqe)
{
	ck_assert_int_eq(pst_lane_client_submit(&client[lane], sqe), 0);
}

static void submit(uint32_t lane, uint64_t tag, uint64_t behaviour)
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

static void submit_nop(uint32_t lane, uint64_t tag)
{
	const struct pst_wire_sqe sqe = {.tag = tag, .op = PST_WIRE_OP_NOP};

	submit_sqe(lane, &sqe);
}

/* Runs until there is nothing to do; bounded. */
static void run_all(void)
{
	int i;

	for (i = 0; i < 10000; i++)
		if (!pst_executor_run(ex))
			return;
	ck_abort_msg("the executor does not come to an end");
}

static void expect(uint32_t lane, uint64_t tag, uint32_t status)
{
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_lane_client_reap(&client[lane], &cqe), 1);
	ck_assert_uint_eq(cqe.tag, tag);
	ck_assert_uint_eq(cqe.status, status);
}

static void expect_none(uint32_t lane)
{
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_lane_client_reap(&client[lane], &cqe), 0);
}

START_TEST(operations_of_a_lane_complete_in_order_over_many_laps)
{
	uint64_t i, done = 0;

	for (i = 0; i < 3 * PST_WIRE_SLOTS; i++) {
		if (i % 3 == 0)
			submit(0, i, STEPS(1 + i % 2));
		else
			submit_nop(0, i);
		if (i % PST_WIRE_SLOTS != PST_WIRE_SLOTS - 1)
			continue;
		run_all();
		for (; done <= i; done++)
			expect(0, done, PST_WIRE_OK);
	}
	expect_none(0);
}
END_TEST

START_TEST(a_long_operation_of_one_lane_does_not_let_its_next_one_start)
{
	submit(0, 1, STEPS(5));
	submit_nop(0, 2);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pst_executor_run(ex), 1);
	expect_none(0);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_completion_carries_the_backends_time_and_result)
{
	struct pst_wire_cqe cqe;

	submit(0, 9, STEPS(3));
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_eq(cqe.compute_ns, 3 * STEP_NS);
	ck_assert_uint_eq(cqe.result, RESULT);
	submit_nop(0, 10);
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_eq(cqe.compute_ns, 0);
	ck_assert_uint_eq(cqe.result, 0);
}
END_TEST

START_TEST(waiting_behind_another_lanes_operation_counts_as_queue_time)
{
	struct timespec ts = {.tv_nsec = 2000000};
	struct pst_wire_cqe cqe;

	submit(0, 1, STEPS(2));
	submit(0, 2, STEPS(1));
	/* Both are taken, the first is half done. */
	ck_assert_int_eq(pst_executor_run(ex), 1);
	nanosleep(&ts, NULL);
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_lt(cqe.queue_ns, 2000000);
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_ge(cqe.queue_ns, 2000000);
	ck_assert_uint_lt(cqe.queue_ns, 10 * PST_NS_PER_S);
}
END_TEST

START_TEST(idle_time_before_a_submission_is_no_queue_time)
{
	struct timespec ts = {.tv_nsec = 20000000};
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_executor_run(ex), 0);
	nanosleep(&ts, NULL);
	submit(0, 1, STEPS(1));
	run_all();
	ck_assert_int_eq(pst_lane_client_reap(&client[0], &cqe), 1);
	ck_assert_uint_lt(cqe.queue_ns, 10000000);
}
END_TEST

START_TEST(a_greedy_lane_leaves_every_second_slice_to_another)
{
	unsigned int i, mine = 0;

	submit(0, 100, STEPS(400));
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(pst_executor_run(ex), 1);
	submit(1, 200, STEPS(20));
	backend.n_log = 0;
	for (i = 0; i < 40; i++)
		ck_assert_int_eq(pst_executor_run(ex), 1);
	for (i = 0; i < backend.n_log; i++)
		mine += backend.log[i] == 200;
	ck_assert_uint_ge(mine, 19);
	ck_assert_uint_le(mine, 20);
}
END_TEST

START_TEST(a_short_operation_waits_for_one_slice_of_a_long_one_only)
{
	submit(0, 100, STEPS(1000));
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(pst_executor_run(ex), 1);
	submit(1, 1, STEPS(1));
	submit_nop(2, 2);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pst_executor_run(ex), 1);
	expect(1, 1, PST_WIRE_OK);
	expect(2, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(many_short_operations_do_not_starve_a_long_one)
{
	unsigned int i;

	submit(0, 100, STEPS(10));
	for (i = 0; i < 200; i++)
		submit(1, 1000 + i, STEPS(1));
	for (i = 0; i < 24; i++)
		ck_assert_int_eq(pst_executor_run(ex), 1);
	expect(0, 100, PST_WIRE_OK);
}
END_TEST

START_TEST(an_operation_outside_the_lease_completes_with_EBOUNDS)
{
	const struct pst_wire_sqe sqe = {
		.tag = 5,
		.op = PST_WIRE_OP_FILL,
		.dtype = PST_WIRE_F64,
		.off_a = unit_off(1),
		.length = 4096,
	};
	struct pst_lane_stats st;

	submit_sqe(0, &sqe);
	submit(0, 6, STEPS(1));
	run_all();
	expect(0, 5, PST_WIRE_EBOUNDS);
	expect(0, 6, PST_WIRE_OK);
	pst_executor_lane_stats(ex, 0, &st);
	ck_assert_uint_eq(st.ops, 2);
	ck_assert_uint_eq(st.errors, 1);
	ck_assert_ptr_nonnull(strstr(st.last_error, "outside"));
}
END_TEST

START_TEST(a_lease_released_before_an_operation_starts_is_out_of_bounds)
{
	submit(0, 1, STEPS(3));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	pst_extents_release_owner(extents, 1);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_EBOUNDS);
}
END_TEST

START_TEST(malformed_and_unknown_operations_get_their_status)
{
	struct pst_wire_sqe sqe = {.tag = 1, .op = 99};

	submit_sqe(0, &sqe);
	sqe = (struct pst_wire_sqe){
		.tag = 2, .op = PST_WIRE_OP_NOP, .flags = 1};
	submit_sqe(0, &sqe);
	run_all();
	expect(0, 1, PST_WIRE_ENOTSUP);
	expect(0, 2, PST_WIRE_EINVAL);
}
END_TEST

START_TEST(a_backend_that_fails_to_begin_or_to_step_is_reported)
{
	struct pst_lane_stats st;

	submit(0, 1, FAIL_BEGIN);
	submit(0, 2, FAIL_STEP);
	submit(0, 3, STEPS(1));
	run_all();
	expect(0, 1, PST_WIRE_ENOTSUP);
	expect(0, 2, PST_WIRE_EIO);
	expect(0, 3, PST_WIRE_OK);
	pst_executor_lane_stats(ex, 0, &st);
	ck_assert_str_eq(st.last_error, "it burns");
	ck_assert_uint_eq(st.errors, 2);
}
END_TEST

START_TEST(a_lane_that_waits_for_the_device_stops_nobody)
{
	submit(0, 1, DEVICE | STEPS(5));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert(pst_executor_waits(ex));
	submit(1, 3, STEPS(2));
	/* Lane 1 is served between looks at the device. */
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert_int_eq(pst_executor_run(ex), 1);
	expect(1, 3, PST_WIRE_OK);
	/* Nothing to do but to wait: the thread may sleep, although lane 0 has
	 * more. */
	ck_assert_int_eq(pst_executor_run(ex), 0);
	ck_assert(!pst_executor_ready(ex));
	ck_assert(!pst_executor_drained(ex));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert(!pst_executor_waits(ex));
	expect(0, 1, PST_WIRE_OK);
	run_all();
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(an_operation_that_waits_for_the_device_can_be_cancelled)
{
	submit(0, 1, DEVICE | STEPS(100) | STUBBORN(2));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert_int_eq(pst_executor_run(ex), 0);
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 1), 0);
	ck_assert(!pst_executor_waits(ex));
	run_all();
	ck_assert_uint_eq(backend.cancels, 3);
	expect(0, 1, PST_WIRE_ECANCELED);
}
END_TEST

START_TEST(a_running_operation_can_be_cancelled)
{
	submit(0, 1, STEPS(100));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 1), 0);
	run_all();
	ck_assert_uint_eq(backend.cancels, 1);
	expect(0, 1, PST_WIRE_ECANCELED);
	expect(0, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_backend_may_refuse_a_cancel_until_its_device_has_stopped)
{
	submit(0, 1, STEPS(100) | STUBBORN(3));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert_uint_eq(pst_executor_stuck_since(ex), 0);
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 1), 0);
	ck_assert_uint_ne(pst_executor_stuck_since(ex), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pst_executor_run(ex), 1);
		expect_none(0);
	}
	ck_assert_int_eq(pst_executor_run(ex), 1);
	expect(0, 1, PST_WIRE_ECANCELED);
	ck_assert_uint_eq(pst_executor_stuck_since(ex), 0);
}
END_TEST

START_TEST(a_waiting_operation_can_be_cancelled_without_running)
{
	submit(0, 1, STEPS(2));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 2), 0);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_ECANCELED);
	ck_assert_uint_eq(backend.n_log, 2);
}
END_TEST

START_TEST(an_operation_still_in_the_ring_can_be_cancelled)
{
	uint64_t i;

	/* More than the executor takes ahead. */
	for (i = 0; i < 100; i++)
		submit(0, i, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 90), 0);
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 90), 0);
	run_all();
	for (i = 0; i < 100; i++)
		expect(0, i, i == 90 ? PST_WIRE_ECANCELED : PST_WIRE_OK);
	/* The mark does not hit the slot's next entry. */
	for (i = 0; i < 2 * PST_WIRE_SLOTS; i++) {
		submit_nop(0, i);
		run_all();
		expect(0, i, PST_WIRE_OK);
	}
}
END_TEST

START_TEST(an_unknown_tag_cannot_be_cancelled)
{
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 1), -ENOENT);
	submit(0, 1, STEPS(1));
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 2), -ENOENT);
	/* Another lane's tags are not this one's. */
	ck_assert_int_eq(pst_executor_cancel(ex, 1, 1), -ENOENT);
	run_all();
	ck_assert_int_eq(pst_executor_cancel(ex, 0, 1), -ENOENT);
	expect(0, 1, PST_WIRE_OK);
}
END_TEST

static void submit_copy(uint32_t lane, uint64_t tag, uint64_t from, uint64_t to)
{
	const struct pst_wire_sqe sqe = {
		.tag = tag,
		.op = PST_WIRE_OP_COPY,
		.flags = PST_WIRE_A_TENSOR | PST_WIRE_C_TENSOR,
		.off_a = from,
		.off_c = to,
		.length = 4096,
	};

	submit_sqe(lane, &sqe);
}

START_TEST(a_handle_is_looked_up_for_the_session_of_its_lane)
{
	submit_copy(0, 1, 7, 8);
	submit_copy(0, 2, 7, 9);
	submit_copy(1, 3, 7, 8);
	run_all();
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_ENOENT);
	expect(1, 3, PST_WIRE_ENOENT);
}
END_TEST

START_TEST(a_running_operation_has_a_number_of_its_own)
{
	uint64_t first;

	ck_assert_uint_eq(pst_executor_running(ex, 0), 0);
	submit(0, 3, STEPS(2));
	submit(0, 4, STEPS(2));
	pst_executor_run(ex);
	first = pst_executor_running(ex, 0);
	ck_assert_uint_ne(first, 0);
	pst_executor_run(ex);
	pst_executor_run(ex);
	ck_assert_uint_ne(pst_executor_running(ex, 0), 0);
	ck_assert_uint_ne(pst_executor_running(ex, 0), first);
	run_all();
	ck_assert_uint_eq(pst_executor_running(ex, 0), 0);
}
END_TEST

START_TEST(what_a_running_operation_uses_is_known)
{
	submit_copy(0, 1 | COPY_STEPS, 7, 8);
	ck_assert(!pst_executor_uses(ex, &tensor_mem[0]));
	pst_executor_run(ex);
	ck_assert(pst_executor_uses(ex, &tensor_mem[0]));
	ck_assert(pst_executor_uses(ex, &tensor_mem[1]));
	ck_assert(!pst_executor_uses(ex, shared));
	run_all();
	ck_assert(!pst_executor_uses(ex, &tensor_mem[0]));
	expect(0, 1 | COPY_STEPS, PST_WIRE_OK);
}
END_TEST

START_TEST(the_sentences_of_the_last_failures_are_kept)
{
	uint64_t i;

	ck_assert_ptr_null(pst_executor_why(ex, 0, 0));
	for (i = 1; i <= PST_EXECUTOR_WHYS + 2; i++)
		submit(0, i, STEPS(1) | (i % 2 ? FAIL_STEP : FAIL_BEGIN));
	submit(0, 99, STEPS(1));
	submit(1, 5, STEPS(1) | FAIL_STEP);
	run_all();
	ck_assert_ptr_null(pst_executor_why(ex, 0, 1));
	ck_assert_ptr_null(pst_executor_why(ex, 0, 2));
	for (i = 3; i <= PST_EXECUTOR_WHYS + 2; i++)
		ck_assert_str_eq(pst_executor_why(ex, 0, i),
				 i % 2 ? "it burns" : "no such thing");
	ck_assert_ptr_null(pst_executor_why(ex, 0, 99));
	ck_assert_str_eq(pst_executor_why(ex, 1, 5), "it burns");
	ck_assert_ptr_null(pst_executor_why(ex, 1, 6));
}
END_TEST

START_TEST(a_tag_used_again_has_its_last_sentence)
{
	submit(0, 1, STEPS(1) | FAIL_STEP);
	submit(0, 1, STEPS(1) | FAIL_BEGIN);
	run_all();
	ck_assert_str_eq(pst_executor_why(ex, 0, 1), "no such thing");
}
END_TEST

START_TEST(draining_ends_what_runs_and_refuses_what_waits)
{
	submit(0, 1, STEPS(3));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	submit(1, 3, STEPS(1));
	submit(1, 4, STEPS(1));
	ck_assert(!pst_executor_drained(ex));
	pst_executor_drain(ex);
	run_all();
	ck_assert(pst_executor_drained(ex));
	expect(0, 1, PST_WIRE_OK);
	expect(0, 2, PST_WIRE_ESHUTDOWN);
	expect(1, 3, PST_WIRE_ESHUTDOWN);
	expect(1, 4, PST_WIRE_ESHUTDOWN);
	submit_nop(2, 5);
	run_all();
	expect(2, 5, PST_WIRE_ESHUTDOWN);
}
END_TEST

START_TEST(a_detached_lane_is_gone_at_once_when_nothing_runs)
{
	submit(0, 1, STEPS(1));
	pst_executor_detach(ex, 0);
	ck_assert_uint_eq(gone[0], 1);
	run_all();
	ck_assert_uint_eq(backend.n_log, 0);
	expect_none(0);
	/* The others go on. */
	submit(2, 2, STEPS(1));
	run_all();
	expect(2, 2, PST_WIRE_OK);
}
END_TEST

START_TEST(a_detached_lane_is_gone_when_the_backend_has_let_go)
{
	submit(0, 1, STEPS(100) | STUBBORN(3));
	submit(0, 2, STEPS(1));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert(pst_executor_running(ex, 0) != 0);
	pst_executor_detach(ex, 0);
	ck_assert_uint_eq(gone[0], 0);
	pst_executor_detach(ex, 0);
	run_all();
	ck_assert_uint_eq(gone[0], 1);
	ck_assert_uint_eq(pst_executor_running(ex, 0), 0);
	/* Nothing was posted into a lane that may be another's by now. */
	expect_none(0);
	pst_executor_attach(ex, 0, &shared[0], 1);
	pst_lane_client_init(&client[0], &shared[0], &agent_word);
	submit(0, 3, STEPS(1));
	run_all();
	expect(0, 3, PST_WIRE_OK);
}
END_TEST

START_TEST(a_lane_with_an_impossible_head_is_broken_and_others_go_on)
{
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++)
		submit_nop(0, i);
	run_all();
	for (i = 0; i < PST_WIRE_SLOTS; i++)
		expect(0, i, PST_WIRE_OK);
	shared[0].client_cq_head.value = 1ULL << 40;
	submit_nop(0, 0);
	submit_nop(1, 1);
	run_all();
	ck_assert_uint_eq(broken[0], 1);
	ck_assert_uint_eq(gone[0], 1);
	expect(1, 1, PST_WIRE_OK);
	ck_assert(!pst_executor_ready(ex));
}
END_TEST

START_TEST(more_submissions_than_slots_break_the_lane_and_do_not_spin)
{
	uint64_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++)
		submit_nop(0, i);
	run_all();
	/* As a client would that does not count what is outstanding. */
	client[0].cq_head = PST_WIRE_SLOTS;
	submit_nop(0, i);
	run_all();
	ck_assert_uint_eq(broken[0], 1);
	ck_assert_ptr_nonnull(strstr(broken_text, "outstanding"));
	ck_assert(!pst_executor_ready(ex));
}
END_TEST

START_TEST(a_sleeping_client_is_woken_once_for_several_completions)
{
	ck_assert(!pst_lane_client_arm(&client[0]));
	submit_nop(0, 1);
	submit_nop(0, 2);
	submit_nop(1, 3);
	run_all();
	ck_assert_uint_eq(wakes[0], 1);
	ck_assert_uint_eq(wakes[1], 0);
}
END_TEST

START_TEST(ready_tells_of_entries_and_of_operations_in_hand)
{
	ck_assert(!pst_executor_ready(ex));
	submit(0, 1, STEPS(2));
	ck_assert(pst_executor_ready(ex));
	ck_assert_int_eq(pst_executor_run(ex), 1);
	ck_assert(pst_executor_ready(ex));
	run_all();
	ck_assert(!pst_executor_ready(ex));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc,
		       operations_of_a_lane_complete_in_order_over_many_laps);
	tcase_add_test(
		tc,
		a_long_operation_of_one_lane_does_not_let_its_next_one_start);
	tcase_add_test(tc, a_completion_carries_the_backends_time_and_result);
	tcase_add_test(
		tc,
		waiting_behind_another_lanes_operation_counts_as_queue_time);
	tcase_add_test(tc, idle_time_before_a_submission_is_no_queue_time);
	tcase_add_test(tc, a_greedy_lane_leaves_every_second_slice_to_another);
	tcase_add_test(
		tc, a_short_operation_waits_for_one_slice_of_a_long_one_only);
	tcase_add_test(tc, many_short_operations_do_not_starve_a_long_one);
	tcase_add_test(tc,
		       an_operation_outside_the_lease_completes_with_EBOUNDS);
	tcase_add_test(
		tc,
		a_lease_released_before_an_operation_starts_is_out_of_bounds);
	tcase_add_test(tc, malformed_and_unknown_operations_get_their_status);
	tcase_add_test(tc,
		       a_backend_that_fails_to_begin_or_to_step_is_reported);
	tcase_add_test(tc, a_lane_that_waits_for_the_device_stops_nobody);
	tcase_add_test(tc,
		       an_operation_that_waits_for_the_device_can_be_cancelled);
	tcase_add_test(tc, a_running_operation_can_be_cancelled);
	tcase_add_test(
		tc, a_backend_may_refuse_a_cancel_until_its_device_has_stopped);
	tcase_add_test(tc,
		       a_waiting_operation_can_be_cancelled_without_running);
	tcase_add_test(tc, an_operation_still_in_the_ring_can_be_cancelled);
	tcase_add_test(tc, an_unknown_tag_cannot_be_cancelled);
	tcase_add_test(tc, a_handle_is_looked_up_for_the_session_of_its_lane);
	tcase_add_test(tc, a_running_operation_has_a_number_of_its_own);
	tcase_add_test(tc, what_a_running_operation_uses_is_known);
	tcase_add_test(tc, the_sentences_of_the_last_failures_are_kept);
	tcase_add_test(tc, a_tag_used_again_has_its_last_sentence);
	tcase_add_test(tc, draining_ends_what_runs_and_refuses_what_waits);
	tcase_add_test(tc, a_detached_lane_is_gone_at_once_when_nothing_runs);
	tcase_add_test(tc, a_detached_lane_is_gone_when_the_backend_has_let_go);
	tcase_add_test(
		tc, a_lane_with_an_impossible_head_is_broken_and_others_go_on);
	tcase_add_test(
		tc, more_submissions_than_slots_break_the_lane_and_do_not_spin);
	tcase_add_test(tc,
		       a_sleeping_client_is_woken_once_for_several_completions);
	tcase_add_test(tc, ready_tells_of_entries_and_of_operations_in_hand);
}

int main(void)
{
	return pst_unit_run("executor", add, 30);
}

/* SPDX-License-Identifier: MIT */
/* Tensors and failures of sessions without sockets: whose they are, and until
 * when. */
#include "tests/fixtures/session_fixture.h"

static void ask_tensor(unsigned int i, uint16_t type, uint64_t handle,
		       uint64_t size)
{
	const struct pst_wire_tensor t = {handle, size};

	fixture_feed(&peer[i], type, 9, &t, sizeof(t), S);
}

static uint64_t new_tensor(unsigned int i, uint64_t size)
{
	struct pst_wire_tensor t = {0};
	struct pst_frame f;

	ask_tensor(i, PST_WIRE_TENSOR_CREATE, 0, size);
	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_tensor(&f, &t, NULL), 0);
	ck_assert_uint_eq(t.size, size);
	return t.handle;
}

static unsigned int count_tensors(unsigned int i)
{
	static struct pst_wire_tensor t[PST_WIRE_LIST_MAX];
	struct pst_frame f;
	int n;

	ask_tensor(i, PST_WIRE_TENSOR_LIST, 0, 0);
	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	n = pst_frame_tensor_list(&f, 0, t, NULL);
	ck_assert_int_ge(n, 0);
	return (unsigned int)n;
}

/* A GEMM of so many steps whose result goes to a tensor. */
static void submit_into(unsigned int i, uint64_t off, uint64_t handle,
			uint32_t steps)
{
	const struct pst_wire_sqe sqe = {
		.tag = handle,
		.op = PST_WIRE_OP_GEMM,
		.flags = PST_WIRE_C_TENSOR,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = steps,
		.n = 1,
		.k = 1,
		.batch = 1,
		.lda = 1,
		.ldb = 1,
		.ldc = 1,
		.off_a = off,
		.off_b = off,
		.off_c = handle,
	};

	ck_assert_int_eq(pst_lane_client_submit(&lane[i], &sqe), 0);
}

START_TEST(tensors_are_made_listed_and_destroyed)
{
	uint64_t h[2];

	open_session(0, 0);
	open_session(1, 0);
	h[0] = new_tensor(0, 100);
	h[1] = new_tensor(0, 200);
	ck_assert_uint_eq(count_tensors(0), 2);
	ck_assert_uint_eq(count_tensors(1), 0);
	/* Another session's, one that never was, one twice. */
	ask_tensor(1, PST_WIRE_TENSOR_DESTROY, h[0], 0);
	expect_frame(1, PST_WIRE_TENSOR_DESTROY, PST_WIRE_ENOENT);
	ask_tensor(0, PST_WIRE_TENSOR_DESTROY, 0, 0);
	expect_frame(0, PST_WIRE_TENSOR_DESTROY, PST_WIRE_ENOENT);
	ask_tensor(0, PST_WIRE_TENSOR_DESTROY, h[0], 0);
	expect_frame(0, PST_WIRE_TENSOR_DESTROY, PST_WIRE_OK);
	ask_tensor(0, PST_WIRE_TENSOR_DESTROY, h[0], 0);
	expect_frame(0, PST_WIRE_TENSOR_DESTROY, PST_WIRE_ENOENT);
	ck_assert_uint_eq(count_tensors(0), 1);
	ck_assert_uint_eq(fix.backend.n_mem, 1);
	pst_agent_session_end(peer[0].session);
	pst_agent_session_end(peer[1].session);
	expect_empty();
}
END_TEST

START_TEST(quotas_of_tensors_are_each_sessions_own)
{
	unsigned int i;

	open_session(0, 0);
	open_session(1, 0);
	ask_tensor(0, PST_WIRE_TENSOR_CREATE, 0, FIXTURE_TENSOR_BYTES + 1);
	expect_frame(0, PST_WIRE_TENSOR_CREATE, PST_WIRE_ELIMIT);
	ask_tensor(0, PST_WIRE_TENSOR_CREATE, 0, 0);
	expect_frame(0, PST_WIRE_TENSOR_CREATE, PST_WIRE_EINVAL);
	for (i = 0; i < FIXTURE_TENSORS; i++)
		new_tensor(0, 1);
	ask_tensor(0, PST_WIRE_TENSOR_CREATE, 0, 1);
	expect_frame(0, PST_WIRE_TENSOR_CREATE, PST_WIRE_ENOSPC);
	new_tensor(1, FIXTURE_TENSOR_BYTES);
	pst_agent_session_end(peer[0].session);
	pst_agent_session_end(peer[1].session);
	expect_empty();
}
END_TEST

START_TEST(a_destroyed_tensor_stays_while_an_operation_writes_to_it)
{
	struct pst_wire_lease l;
	uint64_t h;

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	l = get_lease(0);
	h = new_tensor(0, 4000);
	submit_into(0, l.off, h, 3);
	submit_into(0, l.off, h, 3);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	ask_tensor(0, PST_WIRE_TENSOR_DESTROY, h, 0);
	expect_frame(0, PST_WIRE_TENSOR_DESTROY, PST_WIRE_OK);
	pst_agent_settle_late(&fix.agent);
	ck_assert_uint_eq(fix.backend.n_mem, 1);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	/* The second one found no such tensor any more. */
	ck_assert_ptr_nonnull(
		pst_agent_executor_failure(fix.agent.executor, 0, h));
	pst_agent_settle_late(&fix.agent);
	ck_assert_uint_eq(fix.backend.n_mem, 0);
}
END_TEST

START_TEST(a_lane_that_is_never_idle_gives_memory_back_all_the_same)
{
	struct pst_wire_lease l;
	uint64_t h, other;

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	l = get_lease(0);
	h = new_tensor(0, 4000);
	other = new_tensor(0, 4000);
	submit_into(0, l.off, h, 2);
	submit_into(0, l.off, other, 900);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	ask_tensor(0, PST_WIRE_TENSOR_DESTROY, h, 0);
	expect_frame(0, PST_WIRE_TENSOR_DESTROY, PST_WIRE_OK);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	ck_assert_uint_ne(pst_agent_executor_running(fix.agent.executor, 0), 0);
	pst_agent_settle_late(&fix.agent);
	ck_assert_uint_eq(fix.backend.n_mem, 1);
}
END_TEST

START_TEST(a_dead_sessions_tensors_stay_until_the_device_lets_go)
{
	struct pst_wire_lease l;
	uint64_t h;

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	l = get_lease(0);
	h = new_tensor(0, 4000);
	new_tensor(0, 1);
	submit_into(0, l.off, h, 900);
	/* Cancels of the fixture are refused k times: once. */
	ck_assert_int_eq(pst_agent_executor_run(fix.agent.executor), 1);
	pst_agent_session_end(peer[0].session);
	ck_assert_uint_eq(fix.backend.n_mem, 2);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	expect_empty();
}
END_TEST

START_TEST(a_session_without_a_lane_has_no_tensors_and_no_failures)
{
	const struct pst_wire_cancel tag = {1};

	open_session(0, PST_WIRE_HELLO_CONTROL_ONLY);
	ask_tensor(0, PST_WIRE_TENSOR_CREATE, 0, 1);
	expect_frame(0, PST_WIRE_TENSOR_CREATE, PST_WIRE_EINVAL);
	ask_tensor(0, PST_WIRE_TENSOR_LIST, 0, 0);
	expect_frame(0, PST_WIRE_TENSOR_LIST, PST_WIRE_EINVAL);
	fixture_feed(&peer[0], PST_WIRE_FAILURE, 1, &tag, sizeof(tag), S);
	expect_frame(0, PST_WIRE_FAILURE, PST_WIRE_EINVAL);
}
END_TEST

START_TEST(a_failed_operations_sentence_can_be_asked_for)
{
	struct pst_wire_cancel tag = {42};
	struct pst_wire_lease l;
	struct pst_frame f;
	char text[100];

	open_session(0, 0);
	ask_lease(0, 1, 1, S);
	l = get_lease(0);
	submit_into(0, l.off, 42, 1);
	while (pst_agent_executor_run(fix.agent.executor))
		;
	fixture_feed(&peer[0], PST_WIRE_FAILURE, 1, &tag, sizeof(tag), S);
	ck_assert_int_gt(fixture_recv(&peer[0], &f), 0);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	pst_frame_text(&f, text, sizeof(text));
	ck_assert_str_eq(text, "c: the session has no tensor 0x2a");
	tag.tag = 43;
	fixture_feed(&peer[0], PST_WIRE_FAILURE, 1, &tag, sizeof(tag), S);
	expect_frame(0, PST_WIRE_FAILURE, PST_WIRE_ENOENT);
}
END_TEST

START_TEST(a_bad_tensor_frame_ends_the_session)
{
	open_session(0, 0);
	ask_tensor(0, PST_WIRE_TENSOR_CREATE, 7, 1);
	expect_frame(0, PST_WIRE_ERROR, PST_WIRE_EPROTO);
	ck_assert_uint_eq(fix.agent.counters.broken, 1);
	expect_empty();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tensors_are_made_listed_and_destroyed);
	tcase_add_test(tc, quotas_of_tensors_are_each_sessions_own);
	tcase_add_test(
		tc, a_destroyed_tensor_stays_while_an_operation_writes_to_it);
	tcase_add_test(
		tc, a_lane_that_is_never_idle_gives_memory_back_all_the_same);
	tcase_add_test(tc,
		       a_dead_sessions_tensors_stay_until_the_device_lets_go);
	tcase_add_test(tc,
		       a_session_without_a_lane_has_no_tensors_and_no_failures);
	tcase_add_test(tc, a_failed_operations_sentence_can_be_asked_for);
	tcase_add_test(tc, a_bad_tensor_frame_ends_the_session);
}

int main(void)
{
	return pst_unit_run("session_tensor", add, 30);
}

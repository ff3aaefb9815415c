/* SPDX-License-Identifier: MIT */
/* The agent's check of an operation, and what it remembers of the last one. */
#include "guest-agent/exec/check.h"

#include <errno.h>
#include <string.h>

#include "guest-agent/exec/backend.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define ARENA (8ULL << 20)
#define OWNER 7U
#define N     16U

static struct pst_agent_extents *extents;
static struct pst_span span;
static struct pst_agent_check_memo memo;
static struct pst_agent_executor_config config;
static struct pst_op op;
static struct pst_error err;

static void setup(void)
{
	memset(&memo, 0, sizeof(memo));
	ck_assert_int_eq(
		pst_agent_extents_new(PST_WIRE_CTL_SIZE, ARENA, &extents), 0);
	ck_assert_int_eq(pst_agent_extents_lease(extents, OWNER, 1, &span), 0);
	config = (struct pst_agent_executor_config){
		.ops = &pst_backend_cpu,
		.extents = extents,
		.limits = {.max_dim = 1024, .max_elems = 1U << 20},
	};
}

static void teardown(void)
{
	pst_agent_extents_free(extents);
}

/* A product within the span. */
static struct pst_wire_sqe product(uint64_t tag)
{
	const double one = 1;
	struct pst_wire_sqe s = {
		.tag = tag,
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = N,
		.n = N,
		.k = N,
		.batch = 1,
		.lda = N,
		.ldb = N,
		.ldc = N,
		.off_a = span.off,
		.off_b = span.off + 4096,
		.off_c = span.off + 8192,
	};

	memcpy(&s.alpha, &one, sizeof(one));
	return s;
}

static int check(const struct pst_wire_sqe *s)
{
	/* What is known is left in it. */
	if (!memo.valid)
		memset(&op, 0xee, sizeof(op));
	return pst_agent_check(&config, OWNER, &memo, s, &op, NULL, &err);
}

START_TEST(the_same_product_again_comes_out_the_same_but_for_its_tag)
{
	struct pst_wire_sqe s = product(1);
	struct pst_op first;

	ck_assert_int_eq(check(&s), 0);
	ck_assert(memo.valid);
	first = op;
	s = product(2);
	s.seq = 99;
	ck_assert_int_eq(check(&s), 0);
	ck_assert_uint_eq(op.tag, 2);
	ck_assert_uint_eq(op.m, first.m);
	ck_assert_uint_eq(op.a.off, first.a.off);
	ck_assert_uint_eq(op.c.size, first.c.size);
	ck_assert_double_eq(op.alpha, first.alpha);
}
END_TEST

START_TEST(other_operations_in_between_do_not_change_what_comes_out)
{
	const struct pst_wire_sqe other[] = {
		{.op = PST_WIRE_OP_NOP, .tag = 7},
		{.op = PST_WIRE_OP_NOP, .tag = 7, .m = 1},
		{.op = PST_WIRE_OP_CHECKSUM, .off_a = span.off, .length = 8},
		{.op = PST_WIRE_OP_CHECKSUM, .off_a = 8, .length = 8},
		{.op = 99},
	};
	const int results[] = {0, -EINVAL, 0, -EFAULT, -EOPNOTSUPP};
	struct pst_wire_sqe s = product(1);
	struct pst_op first;
	size_t i;

	ck_assert_int_eq(check(&s), 0);
	first = op;
	for (i = 0; i < PST_ARRAY_SIZE(other); i++) {
		ck_assert_int_eq(check(&other[i]), results[i]);
		ck_assert_int_eq(check(&s), 0);
		ck_assert_mem_eq(&op, &first, sizeof(op));
	}
}
END_TEST

START_TEST(a_product_is_refused_once_its_memory_was_released)
{
	struct pst_wire_sqe s = product(1);

	ck_assert_int_eq(check(&s), 0);
	ck_assert_int_eq(pst_agent_extents_release(extents, OWNER, &span, 0),
			 0);
	ck_assert_int_eq(check(&s), -EFAULT);
	ck_assert_int_eq(check(&s), -EFAULT);
}
END_TEST

START_TEST(a_product_is_refused_once_its_owners_memory_was_taken)
{
	struct pst_wire_sqe s = product(1);

	ck_assert_int_eq(check(&s), 0);
	pst_agent_extents_release_owner(extents, OWNER);
	ck_assert_int_eq(check(&s), -EFAULT);
	pst_agent_extents_settle(extents, OWNER, UINT64_MAX);
	/* The same memory for somebody else. */
	ck_assert_int_eq(pst_agent_extents_lease(extents, OWNER + 1, 1, &span),
			 0);
	ck_assert_int_eq(check(&s), -EFAULT);
}
END_TEST

START_TEST(every_field_but_seq_and_tag_makes_another_product)
{
	struct pst_wire_sqe good = product(1), s;
	const size_t first = offsetof(struct pst_wire_sqe, op);
	size_t i;
	int r;

	for (i = first; i < sizeof(s); i++) {
		memset(&memo, 0, sizeof(memo));
		ck_assert_int_eq(check(&good), 0);
		s = good;
		((uint8_t *)&s)[i] ^= 0x80;
		r = check(&s);
		/* Whatever comes out is what a fresh check says. */
		memset(&memo, 0, sizeof(memo));
		ck_assert_int_eq(check(&s), r);
	}
}
END_TEST

START_TEST(what_was_refused_is_not_remembered)
{
	struct pst_wire_sqe s = product(1);

	s.off_c = s.off_a;
	ck_assert_int_eq(check(&s), -EINVAL);
	ck_assert(!memo.valid);
	ck_assert_int_eq(check(&s), -EINVAL);
}
END_TEST

START_TEST(changes_are_counted_when_something_is_taken)
{
	uint64_t before = pst_agent_extents_changes(extents);
	struct pst_span other;

	ck_assert_int_eq(pst_agent_extents_lease(extents, OWNER, 1, &other), 0);
	ck_assert_uint_eq(pst_agent_extents_changes(extents), before);
	ck_assert_int_eq(pst_agent_extents_release(extents, OWNER, &other, 0),
			 0);
	ck_assert_uint_gt(pst_agent_extents_changes(extents), before);
	before = pst_agent_extents_changes(extents);
	pst_agent_extents_release_owner(extents, OWNER);
	ck_assert_uint_gt(pst_agent_extents_changes(extents), before);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(
		tc, the_same_product_again_comes_out_the_same_but_for_its_tag);
	tcase_add_test(
		tc, other_operations_in_between_do_not_change_what_comes_out);
	tcase_add_test(tc, a_product_is_refused_once_its_memory_was_released);
	tcase_add_test(tc,
		       a_product_is_refused_once_its_owners_memory_was_taken);
	tcase_add_test(tc, every_field_but_seq_and_tag_makes_another_product);
	tcase_add_test(tc, what_was_refused_is_not_remembered);
	tcase_add_test(tc, changes_are_counted_when_something_is_taken);
}

int main(void)
{
	return pst_unit_run("check", add, 10);
}

/* SPDX-License-Identifier: MIT */
/* The cuda backend around its products: versions, registration, tensors,
 * copies, health, and every call of CUDA failing once or for good. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/cuda/nvml.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

static struct pst_error err;

static int open_with(const struct fakecuda_config *c)
{
	return fix_open(c, NULL, NULL, "512K", &err);
}

START_TEST(versions_that_do_not_go_together_are_both_named)
{
	ck_assert_int_eq(pst_cuda_check_versions(13000, 13000, "X", 9, 0, &err),
			 0);
	ck_assert_int_eq(
		pst_cuda_check_versions(13020, 13000, "X", 12, 0, &err), 0);
	ck_assert_int_eq(pst_cuda_check_versions(13000, 12080, "X", 5, 2, &err),
			 0);
	ck_assert_int_eq(pst_cuda_check_versions(12040, 13000, "X", 9, 0, &err),
			 -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "12.4"));
	ck_assert_ptr_nonnull(strstr(err.text, "13.0"));
	ck_assert_int_eq(pst_cuda_check_versions(13000, 13000,
						 "GeForce GTX TITAN X", 5, 2,
						 &err),
			 -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "GeForce GTX TITAN X"));
	ck_assert_ptr_nonnull(strstr(err.text, "5.2"));
	ck_assert_ptr_nonnull(strstr(err.text, "13.0"));
	ck_assert_ptr_nonnull(strstr(err.text, "CUDA 12 or older"));
}
END_TEST

START_TEST(a_machine_without_card_or_driver_is_told_so)
{
	struct fakecuda_config c = fakecuda_default();

	c.driver = 0;
	ck_assert_int_eq(open_with(&c), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "no NVIDIA driver"));
	c.driver = 12020;
	ck_assert_int_eq(open_with(&c), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "12.2"));
	c = fakecuda_default();
	c.n_devices = 0;
	ck_assert_int_eq(open_with(&c), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "sees no card"));
	/* With CUDA 11, whose every call looks for one. */
	c.runtime = 11080;
	ck_assert_int_eq(open_with(&c), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "sees no card"));
	c.driver = 0;
	ck_assert_int_eq(open_with(&c), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "no NVIDIA driver"));
	ck_assert_uint_eq(fakecuda_leaks(), 0);
}
END_TEST

START_TEST(options_that_are_none_are_refused)
{
	const struct fakecuda_config c = fakecuda_default();

	ck_assert_int_eq(fix_open(&c, "fast", NULL, NULL, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "PENSTOCK_CUDA_STRATEGY=fast"));
	ck_assert_int_eq(fix_open(&c, NULL, "best", NULL, &err), -EINVAL);
	ck_assert_int_eq(fix_open(&c, NULL, NULL, "17", &err), -EINVAL);
}
END_TEST

START_TEST(registration_goes_down_its_ladder)
{
	struct fakecuda_config c = fakecuda_default();

	ck_assert_int_eq(open_with(&c), 0);
	ck_assert_str_eq(fix_ops->registration(fix_backend), "plain");
	fix_close();
	c.refuse_plain = true;
	ck_assert_int_eq(open_with(&c), 0);
	ck_assert_str_eq(fix_ops->registration(fix_backend), "iomemory");
	ck_assert_ptr_nonnull(strstr(fix_backend->region.why, "plain: "));
	/* What the first try left behind does not fail a later call. */
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	fix_close();
	c.refuse_iomemory = true;
	ck_assert_int_eq(open_with(&c), 0);
	ck_assert_str_eq(fix_ops->registration(fix_backend), "staged");
	ck_assert_ptr_nonnull(strstr(fix_backend->region.why, "iomemory: "));
	fix_close();
	c = fakecuda_default();
	ck_assert_int_eq(fix_open(&c, NULL, "iomemory", NULL, &err), 0);
	ck_assert_str_eq(fix_ops->registration(fix_backend), "iomemory");
	fix_close();
}
END_TEST

START_TEST(what_the_card_cannot_is_refused_with_its_name)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_agent_gemm_kind k = {.dtype = PST_WIRE_F32,
					.dtype_c = PST_WIRE_F32};

	c.major = 7;
	c.minor = 5;
	ck_assert_int_eq(open_with(&c), 0);
	ck_assert(fix_ops->can(fix_backend, &k, &err));
	k.compute = PST_WIRE_COMPUTE_FAST_F16;
	ck_assert(fix_ops->can(fix_backend, &k, &err));
	k.compute = PST_WIRE_COMPUTE_TF32;
	ck_assert(!fix_ops->can(fix_backend, &k, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "Fake GPU 9000"));
	ck_assert_ptr_nonnull(strstr(err.text, "7.5"));
	/* By F32. */
	k = (struct pst_agent_gemm_kind){.dtype = PST_WIRE_BF16,
					 .dtype_c = PST_WIRE_F32};
	ck_assert(fix_ops->can(fix_backend, &k, &err));
	k = (struct pst_agent_gemm_kind){.dtype = PST_WIRE_I8,
					 .dtype_c = PST_WIRE_I32,
					 .act = PST_WIRE_ACT_GELU_ERF};
	ck_assert(!fix_ops->can(fix_backend, &k, NULL));
	fix_close();
}
END_TEST

START_TEST(the_card_is_described)
{
	const struct fakecuda_config c = fakecuda_default();
	struct pst_backend_device d = {0};
	char text[128];

	ck_assert_int_eq(open_with(&c), 0);
	fix_ops->describe(fix_backend, text, sizeof(text));
	ck_assert_str_eq(text, "cuda: Fake GPU 9000, cuBLAS 13.1.0, plain");
	ck_assert_int_eq(fix_ops->device_info(fix_backend, &d, &err), 0);
	ck_assert_str_eq(d.name, "Fake GPU 9000");
	ck_assert_str_eq(d.runtime, "13.0");
	ck_assert_str_eq(d.pci, "0000:01:00.0");
	ck_assert_uint_eq(d.sm_major, 9);
	ck_assert_uint_eq(d.multiprocessors, 4);
	ck_assert_uint_eq(d.mem_total, c.memory);
	/* No NVML here: that is no error. */
	ck_assert(!(d.known & PST_AGENT_DEVICE_TEMPERATURE));
	fix_close();
}
END_TEST

START_TEST(health_comes_from_nvml_where_it_is)
{
	const char *top = getenv("PST_TOP_BUILDDIR");
	struct pst_backend_device d = {0};
	struct pst_cuda_nvml *n;
	char path[4096];

	snprintf(path, sizeof(path), "%s/tests/fakecuda/.libs/fakenvml.so",
		 top ? top : ".");
	n = pst_cuda_nvml_open(path, "0000:01:00.0");
	ck_assert_ptr_nonnull(n);
	pst_cuda_nvml_read(n, &d);
	ck_assert_int_eq(d.temperature_c, 61);
	ck_assert_uint_eq(d.mem_free, 700 << 20);
	ck_assert_str_eq(d.driver, "580.95.05");
	/* Neither what the library lacks nor what the card does not tell. */
	ck_assert_uint_eq(d.known, PST_AGENT_DEVICE_MEM_FREE |
					   PST_AGENT_DEVICE_TEMPERATURE);
	pst_cuda_nvml_close(n);
	ck_assert_ptr_null(pst_cuda_nvml_open(path, "0000:02:00.0"));
	ck_assert_ptr_null(
		pst_cuda_nvml_open("libpst-none.so", "0000:01:00.0"));
	pst_cuda_nvml_read(NULL, &d);
	pst_cuda_nvml_close(NULL);
}
END_TEST

static struct pst_op copy_op(void *from, uint64_t from_off, void *to,
			     uint64_t to_off, uint64_t n)
{
	return (struct pst_op){
		.op = PST_WIRE_OP_COPY,
		.a = {.off = from_off, .size = n, .mem = from},
		.c = {.off = to_off, .size = n, .mem = to},
	};
}

static void run(const struct pst_op *op)
{
	ck_assert_msg(fix_run(op, &err) == 0, "%s", err.text);
}

/* 0: registered, 1: staged, 2: without pools of memory. */
START_TEST(tensors_begin_with_zeros_and_keep_what_is_copied)
{
	struct fakecuda_config c = fakecuda_default();
	const uint64_t n = (5 << 20) + 3;
	struct pst_op op;
	void *t, *u, *own;
	uint64_t i;

	c.refuse_plain = c.refuse_iomemory = _i == 1;
	c.no_pools = _i == 2;
	c.delay_us = 100;
	ck_assert_int_eq(open_with(&c), 0);
	ck_assert_int_eq(fix_ops->alloc(fix_backend, n + 256, &t, &err), 0);
	ck_assert_int_eq(fix_ops->alloc(fix_backend, n, &u, &err), 0);
	memset(fix_mem, 0x55, 8 << 20);
	op = copy_op(t, 100, NULL, 3, n);
	run(&op);
	for (i = 0; i < n && !fix_mem[3 + i]; i++)
		;
	ck_assert_uint_eq(i, n);
	ck_assert_uint_eq(fix_mem[2], 0x55);
	ck_assert_uint_eq(fix_mem[3 + n], 0x55);
	for (i = 0; i < n; i++)
		fix_mem[i] = (uint8_t)(i * 7 + i / 251);
	op = copy_op(NULL, 0, t, 5, n);
	run(&op);
	op = copy_op(t, 5, u, 0, n);
	run(&op);
	op = copy_op(u, 0, NULL, 16 << 20, n);
	run(&op);
	ck_assert_mem_eq(fix_mem, fix_mem + (16 << 20), n);
	op = copy_op(NULL, 0, NULL, 8 << 20, n);
	run(&op);
	ck_assert_mem_eq(fix_mem, fix_mem + (8 << 20), n);
	/* From memory of the agent's own. */
	own = malloc(n);
	ck_assert_ptr_nonnull(own);
	memcpy(own, fix_mem + 1, n);
	ck_assert_int_eq(fix_ops->upload(fix_backend, t, 9, own, n, &err), 0);
	op = copy_op(t, 9, NULL, 16 << 20, n);
	run(&op);
	ck_assert_mem_eq(own, fix_mem + (16 << 20), n);
	free(own);
	fix_ops->release(fix_backend, t);
	fix_ops->release(fix_backend, u);
	fix_close();
}
END_TEST

START_TEST(memory_that_is_not_there_is_told_with_what_is)
{
	struct fakecuda_config c = fakecuda_default();
	void *t = NULL;

	ck_assert_int_eq(open_with(&c), 0);
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 2ULL << 30, &t, &err),
			 -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.text, "Fake GPU 9000 has "));
	ck_assert_ptr_nonnull(strstr(err.text, "2048 MiB"));
	/* And the next one works. */
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 4096, &t, &err), 0);
	fix_ops->release(fix_backend, t);
	fix_close();
}
END_TEST

static struct pst_op square(uint32_t n)
{
	return fix_product(PST_WIRE_F32, PST_WIRE_F32, n, n, n);
}

/* Each set of operands that may be resident, mapped and staged. */
START_TEST(resident_operands_mix_with_those_in_the_region)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_op op = square(70), at, copy;
	double want[4900], bound[4900];
	struct pst_operand *x[3] = {&at.a, &at.b, &at.c};
	void *t[3];
	int v, i;

	c.refuse_plain = c.refuse_iomemory = _i == 1;
	c.delay_us = 50;
	ck_assert_int_eq(open_with(&c), 0);
	fix_fill(FIX_A, 4900, PST_WIRE_F32);
	fix_fill(FIX_B, 4900, PST_WIRE_F32);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(
			fix_ops->alloc(fix_backend, op.a.size, &t[i], &err), 0);
	for (v = 0; v < 8; v++) {
		fix_fill(FIX_C, 4900, PST_WIRE_F32);
		op.beta = 1;
		fix_expect(&op, want, bound);
		at = op;
		for (i = 0; i < 3; i++) {
			if (!(v >> i & 1))
				continue;
			copy = copy_op(NULL, x[i]->off, t[i], 0, x[i]->size);
			run(&copy);
			*x[i] = (struct pst_operand){.size = x[i]->size,
						     .mem = t[i]};
		}
		run(&at);
		if (at.c.mem) {
			copy = copy_op(t[2], 0, NULL, op.c.off, op.c.size);
			run(&copy);
		}
		fix_compare(&op, want, bound);
	}
	for (i = 0; i < 3; i++)
		fix_ops->release(fix_backend, t[i]);
	fix_close();
}
END_TEST

START_TEST(fill_and_checksum_are_the_cpus)
{
	const struct fakecuda_config c = fakecuda_default();
	struct pst_op op = {
		.op = PST_WIRE_OP_FILL,
		.a = {.off = 5, .size = (1 << 20) + 3},
		.pattern = 0x42,
		.pattern_size = 1,
	};
	struct pst_backend_op bop;

	ck_assert_int_eq(open_with(&c), 0);
	run(&op);
	ck_assert_uint_eq(fix_mem[4], 0);
	ck_assert_uint_eq(fix_mem[5], 0x42);
	ck_assert_uint_eq(fix_mem[7 + (1 << 20)], 0x42);
	ck_assert_uint_eq(fix_mem[8 + (1 << 20)], 0);
	op.op = PST_WIRE_OP_CHECKSUM;
	ck_assert_int_eq(fix_begin(&bop, 3, &op, &err), 0);
	ck_assert_int_eq(fix_finish(&bop, &err), 0);
	ck_assert_uint_eq(bop.result, XXH3_64bits(fix_mem + 5, op.a.size));
	ck_assert_int_eq(fix_begin(&bop, 3, &op, &err), 0);
	ck_assert_int_eq(fix_ops->cancel(fix_backend, &bop), 1);
	op.op = PST_WIRE_OP_NOP;
	ck_assert_int_eq(fix_run(&op, &err), -EOPNOTSUPP);
	fix_close();
}
END_TEST

static bool lose;
static cudaError_t lost_with = cudaErrorUnknown;

/* Opens, allocates, copies, multiplies in two ways, frees. The n-th call of
 * CUDA fails, 0: none; with lose, so do all after it. */
static void session(uint64_t n, struct fix_outcome *out)
{
	struct pst_op op = square(90), copy;
	struct fakecuda_config c = fakecuda_default();
	void *t = NULL;
	int r;

	/* Smaller workspaces, which the double fills. */
	c.major = 8;
	c.lost_with = lost_with;
	/* Not fix_open(): the failure may be in opening. */
	fakecuda_reset(&c);
	if (lose)
		fakecuda_lose(n);
	else
		fakecuda_fail(n, cudaErrorUnknown);
	fix_mem = calloc(1, FIX_SIZE);
	setenv("PENSTOCK_CUDA_MEMORY", "256K", 1);
	setenv("PENSTOCK_CUDA_STRATEGY", "pipelined", 1);
	unsetenv("PENSTOCK_CUDA_REGISTRATION");
	err.text[0] = '\0';
	out->closing_at = UINT64_MAX;
	out->r = fix_ops->open(fix_mem, FIX_SIZE, 0, &fix_backend, &err);
	if (out->r == 0) {
		op.act = PST_WIRE_ACT_RELU;
		op.beta = 1;
		out->r = fix_run(&op, &err);
		r = fix_ops->alloc(fix_backend, 1 << 16, &t, &err);
		if (r == 0) {
			/* Only the arena is memory of a device. */
			copy = copy_op(NULL, PST_WIRE_CTL_SIZE, t, 0, 1 << 16);
			r = fix_run(&copy, &err);
			if (!out->r)
				out->r = r;
			op.a = (struct pst_operand){.size = op.a.size,
						    .mem = t};
			r = fix_run(&op, &err);
		}
		if (!out->r)
			out->r = r;
		if (t)
			fix_ops->release(fix_backend, t);
		out->closing_at = fakecuda_calls();
		fix_ops->close(fix_backend);
	}
	memcpy(out->text, err.text, sizeof(out->text) - 1);
	out->left = fakecuda_leaks() != 0;
	out->calls = fakecuda_calls();
}

START_TEST(any_call_may_fail_once)
{
	/* How many calls a calibration makes depends on the clock. */
	fix_each_call_fails(session, 20);
}
END_TEST

START_TEST(a_card_may_be_lost_at_any_call)
{
	static const cudaError_t codes[] = {
		cudaErrorLaunchFailure,
		cudaErrorIllegalAddress,
		cudaErrorECCUncorrectable,
		cudaErrorUnknown,
	};
	const uint64_t n = fix_calls(session);
	struct fix_outcome out;
	uint64_t i;

	lose = true;
	for (i = 1; i <= n; i++) {
		lost_with = codes[i % PST_ARRAY_SIZE(codes)];
		fix_apart(session, i, &out);
		ck_assert_msg(out.r < 0 || i > out.closing_at || i > out.calls,
			      "call %" PRIu64 ": no error", i);
	}
}
END_TEST

START_TEST(a_lost_card_fails_everything_later_in_words)
{
	static struct pst_backend *left;
	const struct fakecuda_config c = fakecuda_default();
	struct pst_op op = square(64);
	struct pst_backend_device d = {0};
	void *t;

	ck_assert_int_eq(open_with(&c), 0);
	left = fix_backend;
	ck_assert(!fix_ops->lost(fix_backend, &err));
	fakecuda_lose(3);
	ck_assert_int_eq(fix_run(&op, &err), -EIO);
	ck_assert(fix_ops->lost(fix_backend, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "Fake GPU 9000 is lost"));
	ck_assert_int_eq(fix_run(&op, &err), -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, "is lost"));
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 4096, &t, &err), -EIO);
	ck_assert_int_eq(fix_ops->device_info(fix_backend, &d, &err), -EIO);
	ck_assert_str_eq(d.name, "Fake GPU 9000");
	fix_ops->close(fix_backend);
	ck_assert_ptr_nonnull(left);
	fix_unmap();
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, versions_that_do_not_go_together_are_both_named);
	tcase_add_test(tc, a_machine_without_card_or_driver_is_told_so);
	tcase_add_test(tc, options_that_are_none_are_refused);
	tcase_add_test(tc, registration_goes_down_its_ladder);
	tcase_add_test(tc, what_the_card_cannot_is_refused_with_its_name);
	tcase_add_test(tc, the_card_is_described);
	tcase_add_test(tc, health_comes_from_nvml_where_it_is);
	tcase_add_loop_test(
		tc, tensors_begin_with_zeros_and_keep_what_is_copied, 0, 3);
	tcase_add_test(tc, memory_that_is_not_there_is_told_with_what_is);
	tcase_add_loop_test(tc, resident_operands_mix_with_those_in_the_region,
			    0, 2);
	tcase_add_test(tc, fill_and_checksum_are_the_cpus);
	tcase_add_test(tc, any_call_may_fail_once);
	tcase_add_test(tc, a_card_may_be_lost_at_any_call);
	tcase_add_test(tc, a_lost_card_fails_everything_later_in_words);
}

int main(void)
{
	return pst_unit_run("cuda device", add_tests, 300);
}

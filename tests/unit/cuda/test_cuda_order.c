/* SPDX-License-Identifier: MIT */
/* The double itself: what it calls a problem, and what not. */
#include <string.h>

#include "tests/fakecuda/fakecuda.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define N 4096U

static cudaStream_t one, two;
static cudaEvent_t event;
static uint8_t *mem, *host;

static void begin(const struct fakecuda_card *card)
{
	struct fakecuda_config c = fakecuda_default();

	c.card = card;
	fakecuda_reset(&c);
	ck_assert_int_eq(cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking),
			 0);
	ck_assert_int_eq(cudaStreamCreateWithFlags(&two, cudaStreamNonBlocking),
			 0);
	ck_assert_int_eq(
		cudaEventCreateWithFlags(&event, cudaEventDisableTiming), 0);
	ck_assert_int_eq(cudaMalloc((void **)&mem, N), 0);
	ck_assert_int_eq(cudaHostAlloc((void **)&host, N, 0), 0);
}

static void end(unsigned int problems)
{
	ck_assert_msg(fakecuda_problems() == problems, "%u: %s",
		      fakecuda_problems(), fakecuda_problem());
	cudaStreamSynchronize(one);
	cudaStreamSynchronize(two);
	cudaFree(mem);
	cudaFreeHost(host);
	cudaEventDestroy(event);
	cudaStreamDestroy(one);
	cudaStreamDestroy(two);
	fakecuda_streams_join();
}

static void set(cudaStream_t s, uint64_t at, uint64_t n)
{
	ck_assert_int_eq(cudaMemsetAsync(mem + at, 1, n, s), 0);
}

/* However long the test waits between the two, so that it went well. */
START_TEST(work_in_no_order_is_a_problem_at_any_timing)
{
	begin(NULL);
	set(one, 0, 100);
	ck_assert_int_eq(cudaStreamSynchronize(two), 0);
	while (_i && cudaEventQuery(event) != cudaSuccess)
		;
	set(two, 99, 100);
	ck_assert_ptr_nonnull(strstr(fakecuda_problem(), "in no order"));
	end(1);
}
END_TEST

START_TEST(what_has_an_order_is_none)
{
	begin(NULL);
	set(one, 0, 100);
	/* Other bytes. */
	set(two, 100, 100);
	/* After an event. */
	ck_assert_int_eq(cudaEventRecord(event, one), 0);
	ck_assert_int_eq(cudaStreamWaitEvent(two, event, 0), 0);
	set(two, 0, 200);
	/* After the host has seen it. */
	ck_assert_int_eq(cudaStreamSynchronize(two), 0);
	set(one, 50, 100);
	end(0);
}
END_TEST

START_TEST(an_event_orders_what_came_before_it_only)
{
	begin(NULL);
	set(one, 0, 100);
	ck_assert_int_eq(cudaEventRecord(event, one), 0);
	set(one, 0, 100);
	ck_assert_int_eq(cudaStreamWaitEvent(two, event, 0), 0);
	set(two, 0, 100);
	end(1);
}
END_TEST

/* Two tiles of a matrix, whose lines alternate. */
START_TEST(lines_between_lines_do_not_touch)
{
	begin(NULL);
	ck_assert_int_eq(cudaMemcpy2DAsync(mem, 256, host, 128, 128, 8,
					   cudaMemcpyHostToDevice, one),
			 0);
	ck_assert_int_eq(cudaMemcpy2DAsync(mem + 128, 256, host + 1024, 128,
					   128, 8, cudaMemcpyHostToDevice, two),
			 0);
	ck_assert_uint_eq(fakecuda_problems(), 0);
	ck_assert_int_eq(cudaMemcpy2DAsync(mem + 255, 256, host + 3000, 2, 2, 4,
					   cudaMemcpyHostToDevice, one),
			 0);
	end(1);
}
END_TEST

START_TEST(memory_of_a_pool_is_there_in_its_streams_order)
{
	void *p;

	begin(NULL);
	ck_assert_int_eq(cudaMallocAsync(&p, 64, one), 0);
	ck_assert_int_eq(cudaMemsetAsync(p, 0, 64, two), 0);
	ck_assert_uint_eq(fakecuda_problems(), 1);
	/* Nor is it given back while another stream may use it. */
	ck_assert_int_eq(cudaFreeAsync(p, one), 0);
	end(2);
}
END_TEST

START_TEST(the_host_has_to_see_the_end_first)
{
	begin(NULL);
	ck_assert_int_eq(
		cudaMemcpyAsync(host, mem, 100, cudaMemcpyDeviceToHost, one),
		0);
	fakecuda_host_touch(host, 100, false);
	ck_assert_uint_eq(fakecuda_problems(), 1);
	while (cudaStreamQuery(one) != cudaSuccess)
		;
	fakecuda_host_touch(host, 100, false);
	end(1);
}
END_TEST

START_TEST(a_capture_is_broken_by_what_waits_and_by_what_asks)
{
	cudaGraph_t graph;
	void *p;

	begin(NULL);
	ck_assert_int_eq(
		cudaStreamBeginCapture(one, cudaStreamCaptureModeThreadLocal),
		0);
	switch (_i) {
	case 0:
		ck_assert_int_ne(cudaEventRecord(event, one), 0);
		break;
	case 1:
		ck_assert_int_ne(cudaEventQuery(event), 0);
		break;
	case 2:
		ck_assert_int_ne(cudaStreamQuery(two), 0);
		break;
	case 3:
		ck_assert_int_ne(cudaMalloc(&p, 64), 0);
		break;
	case 4:
		ck_assert_int_ne(cudaFree(mem), 0);
		break;
	case 5:
		ck_assert_int_ne(cudaFreeHost(host), 0);
		break;
	case 6:
		ck_assert_int_ne(
			cudaHostRegister(&p, 8, cudaHostRegisterMapped), 0);
		break;
	default:
		ck_assert_int_ne(cudaStreamSynchronize(one), 0);
	}
	ck_assert_int_eq(cudaStreamEndCapture(one, &graph),
			 cudaErrorStreamCaptureInvalidated);
	ck_assert_ptr_null(graph);
	end(0);
}
END_TEST

/* Copies both ways overlap, and the clock says when each is over. */
START_TEST(the_doubles_clock_counts_engines_and_streams)
{
	static const struct fakecuda_card card = {
		.h2d = 1e9,
		.d2h = 1e9,
		.device = 1e12,
		.flops = 1e12,
		.call_ns = 10,
		.query_ns = 1,
		.copy_ns = 100,
	};

	begin(&card);
	ck_assert_int_eq(
		cudaMemcpyAsync(mem, host, 1000, cudaMemcpyHostToDevice, one),
		0);
	ck_assert_int_eq(cudaMemcpyAsync(host + 2000, mem + 2000, 1000,
					 cudaMemcpyDeviceToHost, two),
			 0);
	ck_assert_int_eq(cudaStreamQuery(one), cudaErrorNotReady);
	fakecuda_pass(1095);
	ck_assert_int_eq(cudaStreamQuery(one), 0);
	ck_assert_int_eq(cudaStreamQuery(two), cudaErrorNotReady);
	ck_assert_int_eq(cudaStreamSynchronize(two), 0);
	ck_assert_uint_lt(fakecuda_now(), 1200);
	end(0);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, work_in_no_order_is_a_problem_at_any_timing, 0,
			    2);
	tcase_add_test(tc, what_has_an_order_is_none);
	tcase_add_test(tc, an_event_orders_what_came_before_it_only);
	tcase_add_test(tc, lines_between_lines_do_not_touch);
	tcase_add_test(tc, memory_of_a_pool_is_there_in_its_streams_order);
	tcase_add_test(tc, the_host_has_to_see_the_end_first);
	tcase_add_loop_test(
		tc, a_capture_is_broken_by_what_waits_and_by_what_asks, 0, 8);
	tcase_add_test(tc, the_doubles_clock_counts_engines_and_streams);
}

int main(void)
{
	return pst_unit_run("cuda order", add_tests, 60);
}

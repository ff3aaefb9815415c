/* SPDX-License-Identifier: MIT */
/* Registering a region that is mapped in one piece and in two. */
#include <string.h>
#include <sys/mman.h>

#include "guest-agent/cuda/registration.h"
#include "tests/fakecuda/fakecuda.h"
#include "tests/fixtures/unit.h"
#include "transport/wire.h"

#define SIZE ((uint64_t)PST_WIRE_CTL_SIZE * 3)

static uint8_t *mem;

/* As transport/region/region_ivshmem.c maps a BAR through sysfs: the control
 * area by one file and the arena by another. */
static void map(bool in_two)
{
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(mem, MAP_FAILED);
	/* The kernel joins mappings of the same kind. */
	if (in_two)
		ck_assert_int_eq(mprotect(mem, PST_WIRE_CTL_SIZE, PROT_READ),
				 0);
}

static void reset(bool refuse_plain, bool refuse_iomemory)
{
	struct fakecuda_config c = fakecuda_default();

	c.refuse_plain = refuse_plain;
	c.refuse_iomemory = refuse_iomemory;
	fakecuda_reset(&c);
}

static void end(struct pst_cuda_registration *r)
{
	pst_cuda_registration_close(r);
	ck_assert_uint_eq(fakecuda_leaks(), 0);
	ck_assert_msg(fakecuda_problems() == 0, "%s", fakecuda_problem());
	munmap(mem, SIZE);
}

START_TEST(pinned_pages_are_the_whole_region)
{
	struct pst_cuda_registration r;

	reset(false, true);
	map(_i);
	pst_cuda_registration_open(mem, SIZE, PST_CUDA_REGISTERED_PLAIN, &r);
	ck_assert_int_eq(r.how, PST_CUDA_REGISTERED_PLAIN);
	ck_assert_ptr_eq(r.mapped, mem);
	ck_assert_str_eq(r.why, "");
	ck_assert(fakecuda_touch(mem, SIZE, "the region"));
	end(&r);
}
END_TEST

START_TEST(a_devices_memory_is_the_arena_alone)
{
	struct pst_cuda_registration r;

	reset(true, false);
	map(_i);
	pst_cuda_registration_open(mem, SIZE, PST_CUDA_REGISTERED_PLAIN, &r);
	ck_assert_int_eq(r.how, PST_CUDA_REGISTERED_IOMEMORY);
	/* Addresses still count from wire offset 0. */
	ck_assert_ptr_eq(r.mapped, mem);
	ck_assert(fakecuda_touch(mem + PST_WIRE_CTL_SIZE,
				 SIZE - PST_WIRE_CTL_SIZE, "the arena"));
	end(&r);
}
END_TEST

START_TEST(what_failed_is_kept_in_words_and_cleared)
{
	struct pst_cuda_registration r;

	reset(true, true);
	map(_i);
	pst_cuda_registration_open(mem, SIZE, PST_CUDA_REGISTERED_PLAIN, &r);
	ck_assert_int_eq(r.how, PST_CUDA_REGISTERED_STAGED);
	ck_assert_ptr_null(r.mapped);
	ck_assert_str_eq(r.why,
			 "plain: operation not supported "
			 "(cudaErrorNotSupported); iomemory: invalid argument "
			 "(cudaErrorInvalidValue)");
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	end(&r);
}
END_TEST

static void nothing_wrong_but(const char *what)
{
	ck_assert_uint_eq(fakecuda_problems(), 1);
	ck_assert_ptr_nonnull(strstr(fakecuda_problem(), what));
}

/* Of the double: shared memory has one address for kernels and one for copies.
 */
START_TEST(an_address_of_the_wrong_side_is_a_fault)
{
	struct pst_cuda_registration r;
	cudaStream_t s;
	void *dev;

	reset(false, false);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(mem, MAP_FAILED);
	pst_cuda_registration_open(mem, SIZE,
				   _i % 2 ? PST_CUDA_REGISTERED_IOMEMORY
					  : PST_CUDA_REGISTERED_PLAIN,
				   &r);
	ck_assert_ptr_ne(r.mapped, mem);
	mem[PST_WIRE_CTL_SIZE + 5] = 7;
	ck_assert_uint_eq(r.mapped[PST_WIRE_CTL_SIZE + 5], 7);
	ck_assert_int_eq(cudaMalloc(&dev, 64), 0);
	ck_assert_int_eq(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking),
			 0);
	ck_assert(fakecuda_touch(r.mapped + PST_WIRE_CTL_SIZE, 64, "a kernel"));
	cudaMemcpyAsync(dev, mem + PST_WIRE_CTL_SIZE, 64,
			cudaMemcpyHostToDevice, s);
	ck_assert_int_eq(cudaStreamSynchronize(s), 0);
	ck_assert_uint_eq(fakecuda_problems(), 0);
	if (_i / 2) {
		ck_assert(!fakecuda_touch(mem + PST_WIRE_CTL_SIZE, 64, "one"));
		nothing_wrong_but("one: the host's address in a kernel");
	} else {
		cudaMemcpyAsync(dev, r.mapped + PST_WIRE_CTL_SIZE, 64,
				cudaMemcpyHostToDevice, s);
		ck_assert_int_ne(cudaStreamSynchronize(s), 0);
		nothing_wrong_but("the device's address");
	}
	cudaStreamDestroy(s);
	fakecuda_streams_join();
	munmap(mem, SIZE);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, an_address_of_the_wrong_side_is_a_fault, 0, 4);
	tcase_add_loop_test(tc, pinned_pages_are_the_whole_region, 0, 2);
	tcase_add_loop_test(tc, a_devices_memory_is_the_arena_alone, 0, 2);
	tcase_add_loop_test(tc, what_failed_is_kept_in_words_and_cleared, 0, 2);
}

int main(void)
{
	return pst_unit_run("cuda_registration", add, 30);
}

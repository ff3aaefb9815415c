/* SPDX-License-Identifier: MIT */
/* NVIDIA's device ids and what follows from them. */
#include <string.h>

#include "kernel-params/machine/gpu_arch.h"
#include "tests/fixtures/unit.h"

static const struct {
	uint16_t device;
	const char *name;
} known[] = {
	{0x1004, "Kepler"},       {0x1380, "Maxwell"},
	{0x13c2, "Maxwell"},      {0x17c2, "Maxwell"},
	{0x15f8, "Pascal"},       {0x1b80, "Pascal"},
	{0x1d81, "Volta"},        {0x1db6, "Volta"},
	{0x1e02, "Turing"},       {0x2184, "Turing"},
	{0x20b0, "Ampere"},       {0x2204, "Ampere"},
	{0x2331, "Hopper"},       {0x2335, "Hopper"},
	{0x2684, "Ada Lovelace"}, {0x28a0, "Ada Lovelace"},
	{0x2901, "Blackwell"},    {0x2b85, "Blackwell"},
	{0x2bb1, "Blackwell"},    {0x2c02, "Blackwell"},
	{0x2f04, "Blackwell"},
};

START_TEST(cards_are_known_by_their_ids)
{
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct pst_host_gpu_arch *a =
			pst_host_gpu_arch_find(0x10de, known[i].device);

		ck_assert_msg(a != NULL, "%04x is unknown", known[i].device);
		ck_assert_str_eq(a->name, known[i].name);
	}
}
END_TEST

START_TEST(limits_are_those_of_the_architecture)
{
	const struct pst_host_gpu_arch *a =
		pst_host_gpu_arch_find(0x10de, 0x17c2);

	ck_assert_uint_eq(a->last_branch, 580);
	ck_assert_str_eq(a->last_cuda, "12");
	ck_assert_uint_eq(a->dma_bits, 40);
	ck_assert(!a->open_possible);
	a = pst_host_gpu_arch_find(0x10de, 0x2bb1);
	ck_assert(a->open_only);
	ck_assert_uint_eq(a->first_branch, 570);
	ck_assert_str_eq(a->first_cuda, "12.8");
	a = pst_host_gpu_arch_find(0x10de, 0x1e02);
	ck_assert_uint_eq(a->last_branch, 0);
	ck_assert(!a->open_only && a->open_possible);
}
END_TEST

START_TEST(nothing_is_said_of_ids_that_are_not_in_the_table)
{
	ck_assert_ptr_null(pst_host_gpu_arch_find(0x10de, 0x0000));
	ck_assert_ptr_null(pst_host_gpu_arch_find(0x10de, 0x2a00));
	ck_assert_ptr_null(pst_host_gpu_arch_find(0x10de, 0xffff));
	ck_assert_ptr_null(pst_host_gpu_arch_find(0x1002, 0x17c2));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, cards_are_known_by_their_ids);
	tcase_add_test(tc, limits_are_those_of_the_architecture);
	tcase_add_test(tc, nothing_is_said_of_ids_that_are_not_in_the_table);
}

int main(void)
{
	return pst_unit_run("gpu_arch", add, 10);
}

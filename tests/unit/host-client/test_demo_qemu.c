/* SPDX-License-Identifier: MIT */
/* QEMU's command line for a region that is the guest's nvdimm. */
#include <string.h>

#include "host-client/cli/demo/demo.h"
#include "tests/fixtures/unit.h"

static const char *value_of(const struct pst_demo_argv *a, const char *option,
			    const char *containing)
{
	size_t i;

	for (i = 0; i + 1 < a->n; i++)
		if (strcmp(a->v[i], option) == 0 &&
		    strstr(a->v[i + 1], containing))
			return a->v[i + 1];
	return NULL;
}

START_TEST(an_nvdimm_gets_a_slot_and_room_above_the_memory)
{
	const struct pst_demo_qemu q = {
		.program = "qemu",
		.accel = PST_DEMO_TCG,
		.cpu = "max",
		.cpus = 2,
		.ram_size = 512ULL << 20,
		.kernel = "/i/vmlinuz",
		.initrd = "/i/initrd.img",
		.dir = "/run/d",
		.region_path = "/dev/shm/r",
		.region_size = 64ULL << 20,
		.via = PST_DEMO_NVDIMM,
	};
	struct pst_demo_argv a;

	ck_assert_int_eq(pst_demo_qemu_argv(&q, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-machine", ""),
			 "q35,accel=tcg,memory-backend=ram,nvdimm=on");
	ck_assert_str_eq(value_of(&a, "-m", ""), "512M,slots=1,maxmem=576M");
	ck_assert_str_eq(value_of(&a, "-object", "id=region"),
			 "memory-backend-file,id=region,mem-path=/dev/shm/r,"
			 "share=on,size=67108864,align=2M");
	ck_assert_str_eq(value_of(&a, "-device", "memdev=region"),
			 "nvdimm,memdev=region");
	ck_assert_ptr_null(value_of(&a, "-device", "ivshmem"));
	pst_demo_argv_done(&a);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, an_nvdimm_gets_a_slot_and_room_above_the_memory);
}

int main(void)
{
	return pst_unit_run("demo_qemu", add, 10);
}

/* SPDX-License-Identifier: MIT */
/* Whether the region lies where a GPU's DMA can reach it. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "guest-agent/region/dma_reach.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define GIB (1ULL << 30)

static char warning[PST_AGENT_REACH_WARNING];

static const char *warn(const struct pst_agent_reach *r)
{
	memset(warning, 'x', sizeof(warning));
	pst_agent_reach_warning(r, warning);
	return warning;
}

START_TEST(a_region_within_reach_needs_no_warning)
{
	struct pst_agent_reach r = {.phys = (1ULL << 40) - GIB,
				    .size = GIB,
				    .device_bits = 40,
				    .iommu_bits = 48};

	ck_assert_str_eq(warn(&r), "");
	r.phys = 1ULL << 46;
	r.device_bits = 47;
	ck_assert_str_eq(warn(&r), "");
	r.device_bits = 64;
	r.iommu_bits = 64;
	r.phys = UINT64_MAX - GIB;
	ck_assert_str_eq(warn(&r), "");
}
END_TEST

START_TEST(one_byte_above_the_gpus_width_is_too_high)
{
	const struct pst_agent_reach r = {.phys = (1ULL << 40) - GIB + 1,
					  .size = GIB,
					  .device_bits = 40,
					  .iommu_bits = 48};

	ck_assert_str_eq(
		warn(&r),
		"the region lies at 0xffc0000001 to 0x10000000000, above the "
		"40 bits that the GPU can address: give the guest the region "
		"as an nvdimm (dax), or addresses of 40 bits at most "
		"(<maxphysaddr limit='40' mode='passthrough'/>)");
}
END_TEST

START_TEST(the_iommus_width_counts_as_well)
{
	struct pst_agent_reach r = {.phys = 1ULL << 39,
				    .size = GIB,
				    .device_bits = 47,
				    .iommu_bits = 39};

	ck_assert_ptr_nonnull(
		strstr(warn(&r), "above the 39 bits that the IOMMU takes"));
	/* Too high for both: the remedy helps with both. */
	r.phys = 1ULL << 45;
	r.device_bits = 40;
	ck_assert_ptr_nonnull(
		strstr(warn(&r), "above the 40 bits that the GPU can"));
	ck_assert_ptr_nonnull(strstr(warning, "limit='39'"));
}
END_TEST

START_TEST(a_guess_is_called_one_and_device_dax_has_another_cure)
{
	const struct pst_agent_reach r = {.phys = 1ULL << 40,
					  .size = GIB,
					  .device_bits = 40,
					  .device_guessed = true,
					  .is_dax = true};

	ck_assert_ptr_nonnull(strstr(warn(&r), "by its compute capability"));
	ck_assert_ptr_nonnull(strstr(warning, "less memory"));
	ck_assert_ptr_null(strstr(warning, "nvdimm"));
}
END_TEST

START_TEST(what_is_not_known_gives_no_warning)
{
	struct pst_agent_reach r = {.phys = 1ULL << 50, .size = GIB};

	ck_assert_str_eq(warn(&r), "");
	r = (struct pst_agent_reach){.size = GIB, .device_bits = 40};
	ck_assert_str_eq(warn(&r), "");
	r = (struct pst_agent_reach){
		.phys = UINT64_MAX, .size = GIB, .device_bits = 40};
	ck_assert_str_eq(warn(&r), "");
}
END_TEST

START_TEST(the_drivers_text_is_read_by_its_line)
{
	ck_assert_uint_eq(pst_agent_reach_parse_nvidia(
				  "Model: \t\t Tesla K80\nIRQ:   \t\t 33\n"
				  "Bus Type: \t PCI\nDMA Size: \t 40 bits\n"
				  "DMA Mask: \t 0xffffffffff\n"),
			  40);
	ck_assert_uint_eq(pst_agent_reach_parse_nvidia("DMA Size: 47 bits"),
			  47);
	ck_assert_uint_eq(
		pst_agent_reach_parse_nvidia("Model: DMA Size: 40 bits\n"), 0);
	ck_assert_uint_eq(pst_agent_reach_parse_nvidia("DMA Size: \t bits\n"),
			  0);
	ck_assert_uint_eq(pst_agent_reach_parse_nvidia("DMA Size: 65 bits\n"),
			  0);
	ck_assert_uint_eq(pst_agent_reach_parse_nvidia("DMA Size: -1 bits\n"),
			  0);
	ck_assert_uint_eq(pst_agent_reach_parse_nvidia(""), 0);
}
END_TEST

START_TEST(the_capability_register_has_the_iommus_width)
{
	/* QEMU's intel-iommu with 39 and 48 bits, and a Skylake's. */
	ck_assert_uint_eq(pst_agent_reach_parse_cap("d2008c22260206"), 39);
	ck_assert_uint_eq(pst_agent_reach_parse_cap("d2008c222f0606"), 48);
	ck_assert_uint_eq(pst_agent_reach_parse_cap("1c0000c40660462"), 39);
	ck_assert_uint_eq(pst_agent_reach_parse_cap(""), 0);
	ck_assert_uint_eq(pst_agent_reach_parse_cap("0"), 0);
	ck_assert_uint_eq(pst_agent_reach_parse_cap("none"), 0);
	ck_assert_uint_eq(pst_agent_reach_parse_cap("d2008c22260206000"), 0);
}
END_TEST

/* ---- Trees -------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
	char dir[256], *slash;
	int fd;

	snprintf(dir, sizeof(dir), "%s", path);
	for (slash = strchr(dir, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(tmpdir_path(dir), 0700);
		*slash = '/';
	}
	fd = open(tmpdir_path(path), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC,
		  0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static const struct pst_region region = {.phys = 1ULL << 40, .size = GIB};
static struct pst_agent_reach reach;

static void check_reach(const char *pci, uint32_t sm_major)
{
	pst_agent_reach_read(tmpdir_path("sys"), tmpdir_path("proc"), &region,
			     pci, sm_major, &reach);
}

START_TEST(the_drivers_word_goes_before_a_guess)
{
	put("proc/driver/nvidia/gpus/0000:0a:00.0/information",
	    "Model: \t\t A card\nDMA Size: \t 49 bits\n");
	check_reach("0000:0A:00.0", 5);
	ck_assert_uint_eq(reach.device_bits, 49);
	ck_assert(!reach.device_guessed);
	ck_assert_uint_eq(reach.phys, region.phys);
	ck_assert_uint_eq(reach.size, region.size);
	check_reach("0000:0b:00.0", 5);
	ck_assert_uint_eq(reach.device_bits, 40);
	ck_assert(reach.device_guessed);
	check_reach("0000:0b:00.0", 6);
	ck_assert_uint_eq(reach.device_bits, 47);
}
END_TEST

START_TEST(an_address_that_is_none_leads_nowhere)
{
	put("proc/driver/nvidia/0000:0a:00.0/information",
	    "DMA Size: \t 49 bits\n");
	check_reach("../0000:0a:00.0", 0);
	ck_assert_uint_eq(reach.device_bits, 0);
	put("proc/driver/nvidia/information", "DMA Size: \t 49 bits\n");
	check_reach("..", 0);
	ck_assert_uint_eq(reach.device_bits, 0);
}
END_TEST

START_TEST(the_narrowest_iommu_counts)
{
	check_reach("", 9);
	ck_assert_uint_eq(reach.iommu_bits, 0);
	put("sys/class/iommu/dmar0/intel-iommu/cap", "d2008c222f0606\n");
	put("sys/class/iommu/dmar1/intel-iommu/cap", "d2008c22260206\n");
	put("sys/class/iommu/ivhd0/amd-iommu/cap", "0\n");
	check_reach("", 9);
	ck_assert_uint_eq(reach.iommu_bits, 39);
	ck_assert_ptr_nonnull(
		strstr(warn(&reach), "39 bits that the IOMMU takes"));
}
END_TEST

START_TEST(without_a_gpu_nothing_needs_to_reach)
{
	put("sys/class/iommu/dmar0/intel-iommu/cap", "d2008c22260206\n");
	check_reach("", 0);
	ck_assert_uint_eq(reach.iommu_bits, 0);
	ck_assert_uint_eq(reach.device_bits, 0);
	ck_assert_str_eq(warn(&reach), "");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, tmpdir_make, tmpdir_remove);
	tcase_add_test(tc, a_region_within_reach_needs_no_warning);
	tcase_add_test(tc, one_byte_above_the_gpus_width_is_too_high);
	tcase_add_test(tc, the_iommus_width_counts_as_well);
	tcase_add_test(tc,
		       a_guess_is_called_one_and_device_dax_has_another_cure);
	tcase_add_test(tc, what_is_not_known_gives_no_warning);
	tcase_add_test(tc, the_drivers_text_is_read_by_its_line);
	tcase_add_test(tc, the_capability_register_has_the_iommus_width);
	tcase_add_test(tc, the_drivers_word_goes_before_a_guess);
	tcase_add_test(tc, an_address_that_is_none_leads_nowhere);
	tcase_add_test(tc, the_narrowest_iommu_counts);
	tcase_add_test(tc, without_a_gpu_nothing_needs_to_reach);
}

int main(void)
{
	return pst_unit_run("dma_reach", add, 10);
}

/* SPDX-License-Identifier: MIT */
/* Kernel parameters brought into command lines, entries and cmdline files. */
#include "kernel-params/edit/edit_params.h"

#include <string.h>

#include "kernel-params/edit/edit_loader.h"
#include "kernel-params/syntax/loader_text.h"
#include "tests/fixtures/unit.h"

static struct pst_host_params want;

static void setup(void)
{
	want = (struct pst_host_params){.pool_node = -1, .n_nodes = 1};
}

static void teardown(void)
{
	pst_host_params_done(&want);
}

static void merged(const char *from, const char *to)
{
	struct pst_host_params_part part = {.text = strdup(from)};
	struct pst_error err = {0};
	int r = pst_host_params_merge(&part, 1, 0, &want, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_str_eq(part.text, to);
	ck_assert_int_eq(part.changed, strcmp(from, to) != 0);
	/* What it made, it leaves alone. */
	ck_assert_int_eq(pst_host_params_merge(&part, 1, 0, &want, &err), 0);
	ck_assert(!part.changed);
	free(part.text);
}

static void need(const char *word)
{
	ck_assert_int_eq(pst_host_params_add(&want, "%s", word), 0);
}

START_TEST(missing_words_come_at_the_end_and_nothing_else_changes)
{
	need("intel_iommu=on");
	need("iommu=pt");
	merged("", "intel_iommu=on iommu=pt");
	merged("  quiet  splash ", "  quiet  splash intel_iommu=on iommu=pt ");
	merged("dyndbg=\"file a +p; file b +p\" quiet",
	       "dyndbg=\"file a +p; file b +p\" quiet intel_iommu=on iommu=pt");
}
END_TEST

START_TEST(words_that_are_there_are_left_alone)
{
	need("intel_iommu=on");
	need("iommu=pt");
	merged("iommu=pt quiet intel_iommu=on",
	       "iommu=pt quiet intel_iommu=on");
	merged("intel_iommu=on,sm_on iommu=pt,force",
	       "intel_iommu=on,sm_on iommu=pt,force");
}
END_TEST

START_TEST(what_contradicts_is_corrected_where_it_stands)
{
	need("intel_iommu=on");
	need("iommu=pt");
	need("amd_iommu=");
	merged("intel_iommu=off quiet iommu=soft",
	       "intel_iommu=on quiet iommu=pt");
	merged("intel_iommu=igfx_off iommu=nopt,force",
	       "intel_iommu=on,igfx_off iommu=pt,force");
	merged("amd_iommu=off a", "a intel_iommu=on iommu=pt");
	merged("a amd_iommu=off,fullflush",
	       "a amd_iommu=fullflush intel_iommu=on iommu=pt");
	merged("intel_iommu=on intel_iommu=off", "intel_iommu=on iommu=pt");
}
END_TEST

START_TEST(lists_of_ids_grow_and_drivers_may_come_several_times)
{
	need("vfio-pci.ids=10de:17c2,10de:0fb0");
	need("rd.driver.pre=vfio-pci");
	merged("vfio_pci.ids=1af4:1110,10de:17c2 rd.driver.pre=nvme",
	       "vfio_pci.ids=1af4:1110,10de:17c2,10de:0fb0 rd.driver.pre=nvme "
	       "rd.driver.pre=vfio-pci");
	merged("rd.driver.pre=nvme,vfio_pci vfio-pci.ids=10de:17c2,10de:0fb0",
	       "rd.driver.pre=nvme,vfio_pci vfio-pci.ids=10de:17c2,10de:0fb0");
}
END_TEST

START_TEST(other_parameters_get_our_value)
{
	need("isolcpus=2-5");
	merged("isolcpus=1 quiet", "isolcpus=2-5 quiet");
	merged("isolcpus=1 isolcpus=2-5", "isolcpus=1 isolcpus=2-5");
	merged("isolcpus_x=1", "isolcpus_x=1 isolcpus=2-5");
}
END_TEST

START_TEST(what_is_behind_two_dashes_is_not_the_kernels)
{
	struct pst_host_params_part part[2] = {{.text = strdup("a -- b")},
					       {.text = strdup("c")}};
	struct pst_error err = {0};

	need("iommu=pt");
	merged("quiet -- iommu=pt", "quiet iommu=pt -- iommu=pt");
	merged("-- x", "iommu=pt -- x");
	ck_assert_int_eq(pst_host_params_merge(part, 2, 1, &want, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--"));
	free(part[0].text);
	free(part[1].text);
}
END_TEST

START_TEST(words_that_mean_nothing_to_the_kernel_are_replaced)
{
	need("intel_iommu=on");
	need("iommu=pt");
	merged("intel_iommu=On iommu=PT", "intel_iommu=on iommu=pt");
	merged("intel_iommu=1,sm_on iommu=yes",
	       "intel_iommu=on,sm_on iommu=pt");
	merged("intel_iommu=on,igfx_off iommu=force",
	       "intel_iommu=on,igfx_off iommu=pt,force");
}
END_TEST

START_TEST(the_pool_is_added_with_its_page_size)
{
	want.pool_pages = 512;
	merged("quiet", "quiet hugepagesz=2M hugepages=512");
	merged("hugepagesz=1G hugepages=4",
	       "hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=512");
	merged("hugepagesz=2M", "hugepagesz=2M hugepages=512");
	merged("default_hugepagesz=1G hugepages=4",
	       "default_hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=512");
}
END_TEST

START_TEST(a_pool_grows_but_never_shrinks)
{
	want.pool_pages = 512;
	merged("hugepages=100", "hugepages=512");
	merged("hugepages=1000", "hugepages=1000");
	merged("hugepagesz=2048k hugepages=9 hugepagesz=1G hugepages=2",
	       "hugepagesz=2048k hugepages=512 hugepagesz=1G hugepages=2");
	merged("hugepages=junk", "hugepages=512");
	merged("hugepages=0:600,junk", "hugepages=512");
	merged("hugepages=0:600", "hugepages=0:600");
	/* Behind a plain number the kernel reads nothing. */
	merged("hugepages=100,600", "hugepages=512");
	/* The kernel takes the first count of a size. */
	merged("hugepagesz=2M hugepages=9 hugepages=600",
	       "hugepagesz=2M hugepages=512 hugepages=600");
	merged("hugepages=600 hugepagesz=2M hugepages=9",
	       "hugepages=600 hugepagesz=2M hugepages=9");
}
END_TEST

START_TEST(on_several_nodes_the_cards_node_gets_the_pool)
{
	want.pool_pages = 512;
	want.pool_node = 1;
	want.n_nodes = 2;
	merged("", "hugepagesz=2M hugepages=1:512");
	merged("hugepages=600", "hugepages=1:512");
	merged("hugepages=1024", "hugepages=1024");
	merged("hugepages=0:64,1:100", "hugepages=0:64,1:512");
	merged("hugepages=0:64", "hugepages=0:64,1:512");
	merged("hugepages=0:64,1:512,2:8", "hugepages=0:64,1:512,2:8");
	merged("hugepages=0:64,1:512,8", "hugepages=1:512");
	want.pool_node = -1;
	merged("hugepages=0:256,1:256", "hugepages=0:256,1:256");
}
END_TEST

START_TEST(older_kernels_take_the_node_for_the_count)
{
	want.pool_pages = 512;
	want.plain_pool = true;
	merged("hugepages=0:2048", "hugepages=512");
	merged("hugepages=512:1", "hugepages=512:1");
	want.pool_node = 1;
	want.n_nodes = 2;
	merged("hugepages=0:64", "hugepages=0:64");
	merged("", "");
}
END_TEST

START_TEST(a_command_line_is_asked_word_by_word)
{
	need("intel_iommu=on");
	need("iommu=pt");
	want.pool_pages = 4;
	ck_assert_int_eq(pst_host_params_holds("iommu=pt", &want, 0), 0);
	ck_assert_int_eq(pst_host_params_holds("iommu=pt", &want, 1), 1);
	ck_assert_int_eq(pst_host_params_holds("hugepages=3", &want, 2), 0);
	ck_assert_int_eq(pst_host_params_holds("hugepages=4", &want, 2), 1);
}
END_TEST

/* Random command lines: a second merge changes nothing, no word is lost. */
START_TEST(any_command_line_is_merged_once)
{
	static const char *const bits[] = {
		"intel_iommu=off",
		"iommu=",
		"hugepages=1:",
		"hugepages=,",
		"hugepagesz=2M",
		"\"",
		"=",
		"amd_iommu=off",
		"intel_iommu",
		"quiet",
		"vfio-pci.ids=",
		" ",
		"--",
		"iommu=off,,pt",
	};
	unsigned int i, k;

	need("intel_iommu=on");
	need("iommu=pt");
	need("amd_iommu=");
	need("vfio-pci.ids=1:2");
	want.pool_pages = 7;
	srandom(5);
	for (i = 0; i < 3000; i++) {
		struct pst_host_params_part part;
		char line[512] = "", *p;
		int r;

		for (k = random() % 12; k > 0; k--)
			sprintf(line + strlen(line), "%s%s",
				bits[random() % PST_ARRAY_SIZE(bits)],
				random() % 3 ? " " : "");
		part.text = strdup(line);
		r = pst_host_params_merge(&part, 1, 0, &want, NULL);
		for (k = 0, p = line; *p; p++)
			k += *p == '"';
		/* An open quote behind "--" does not matter. */
		ck_assert(r == 0 || (r == -EINVAL && k % 2));
		if (r == 0)
			ck_assert_int_eq(
				pst_host_params_merge(&part, 1, 0, &want, NULL),
				0);
		ck_assert_msg(!part.changed, "'%s' -> '%s'", line, part.text);
		free(part.text);
	}
}
END_TEST

/* ---- Loader entries and cmdline files ------------------------------------ */

static void entry(const char *from, const char *to)
{
	struct pst_error err = {0};
	char *got;

	ck_assert_int_eq(pst_host_edit_entry(from, &want, &got, &err), 0);
	ck_assert_str_eq(got, to);
	free(got);
}

START_TEST(an_entrys_last_options_line_is_extended)
{
	need("iommu=pt");
	entry("title Arch\nlinux /vmlinuz\noptions root=/dev/x\noptions  quiet \n",
	      "title Arch\nlinux /vmlinuz\noptions root=/dev/x\n"
	      "options  quiet iommu=pt \n");
	entry("options iommu=off\noptions quiet",
	      "options iommu=pt\noptions quiet");
	entry("linux /v", "linux /v\noptions iommu=pt\n");
}
END_TEST

START_TEST(entries_of_other_systems_are_known)
{
	ck_assert(pst_host_entry_is_linux("title x\nlinux /vmlinuz\n"));
	ck_assert(
		pst_host_entry_is_linux("efi /vmlinuz.efi\noptions root=x\n"));
	ck_assert(
		!pst_host_entry_is_linux("title Windows\nefi /bootmgfw.efi\n"));
	ck_assert(!pst_host_entry_is_linux("# linux x\n"));
}
END_TEST

START_TEST(a_kernel_cmdline_keeps_its_comments_and_is_not_invented)
{
	struct pst_error err = {0};
	char *got;

	need("iommu=pt");
	ck_assert_int_eq(
		pst_host_edit_kernel_cmdline("# mine\nroot=x\n\nquiet\n", &want,
					     &got, &err),
		0);
	ck_assert_str_eq(got, "# mine\nroot=x\n\nquiet iommu=pt\n");
	free(got);
	ck_assert_int_eq(
		pst_host_edit_kernel_cmdline("# \n \n", &want, &got, &err),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "root="));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc,
		       missing_words_come_at_the_end_and_nothing_else_changes);
	tcase_add_test(tc, words_that_are_there_are_left_alone);
	tcase_add_test(tc, what_contradicts_is_corrected_where_it_stands);
	tcase_add_test(tc,
		       lists_of_ids_grow_and_drivers_may_come_several_times);
	tcase_add_test(tc, other_parameters_get_our_value);
	tcase_add_test(tc, what_is_behind_two_dashes_is_not_the_kernels);
	tcase_add_test(tc, words_that_mean_nothing_to_the_kernel_are_replaced);
	tcase_add_test(tc, the_pool_is_added_with_its_page_size);
	tcase_add_test(tc, a_pool_grows_but_never_shrinks);
	tcase_add_test(tc, on_several_nodes_the_cards_node_gets_the_pool);
	tcase_add_test(tc, older_kernels_take_the_node_for_the_count);
	tcase_add_test(tc, a_command_line_is_asked_word_by_word);
	tcase_add_test(tc, any_command_line_is_merged_once);
	tcase_add_test(tc, an_entrys_last_options_line_is_extended);
	tcase_add_test(tc, entries_of_other_systems_are_known);
	tcase_add_test(tc,
		       a_kernel_cmdline_keeps_its_comments_and_is_not_invented);
}

int main(void)
{
	return pst_unit_run("edit_params", add, 20);
}

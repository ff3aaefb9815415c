/* SPDX-License-Identifier: MIT */
/* The kernel's command line, by the kernel's rules. */
#include "kernel-params/syntax/cmdline.h"
#include "tests/fixtures/unit.h"

static struct pst_host_cmdline c;

static void parse(const char *text)
{
	pst_host_cmdline_done(&c);
	ck_assert_int_eq(pst_host_cmdline_parse(text, strlen(text), &c), 0);
}

static const char *value(const char *name)
{
	const struct pst_host_param *p = pst_host_cmdline_get(&c, name);

	return !p ? "(none)" : p->value ? p->value : "(no value)";
}

START_TEST(parameters_are_apart_by_blanks)
{
	parse("  quiet\troot=/dev/sda1  a=b=c \n");
	ck_assert_uint_eq(c.n, 3);
	ck_assert_str_eq(value("quiet"), "(no value)");
	ck_assert_str_eq(value("root"), "/dev/sda1");
	ck_assert_str_eq(value("a"), "b=c");
	ck_assert_str_eq(value("b"), "(none)");
	parse("");
	ck_assert_uint_eq(c.n, 0);
	pst_host_cmdline_done(&c);
}
END_TEST

START_TEST(quotes_keep_blanks_and_come_off_at_the_ends)
{
	parse("a=\"one two\" \"b=three four\" c=x\"y z\"w \"d\" e=\"open end");
	ck_assert_uint_eq(c.n, 5);
	ck_assert_str_eq(value("a"), "one two");
	ck_assert_str_eq(value("b"), "three four");
	ck_assert_str_eq(value("c"), "x\"y z\"w");
	ck_assert_str_eq(value("d"), "(no value)");
	ck_assert_str_eq(value("e"), "open end");
	parse("a=\" b=\"");
	ck_assert_str_eq(value("a"), " b=");
	parse("a=\"");
	ck_assert_str_eq(value("a"), "");
	pst_host_cmdline_done(&c);
}
END_TEST

START_TEST(the_last_one_counts_and_dash_is_underscore)
{
	parse("vfio-pci.ids=10de:1 vfio_pci.ids=10de:2 IOMMU=pt =x=y");
	ck_assert_str_eq(value("vfio-pci.ids"), "10de:2");
	ck_assert_str_eq(pst_host_cmdline_module(&c, "vfio_pci", "ids")->value,
			 "10de:2");
	ck_assert_str_eq(value("iommu"), "(none)");
	ck_assert_ptr_null(pst_host_cmdline_module(&c, "vfio", "ids"));
	/* The kernel takes no '=' at the beginning for one. */
	ck_assert_str_eq(value("=x"), "y");
	pst_host_cmdline_done(&c);
}
END_TEST

START_TEST(words_of_any_of_several_lists_are_found)
{
	parse("modprobe.blacklist=nouveau,nvidia_drm modprobe.blacklist=a "
	      "intel_iommu=on,sm_on quiet");
	ck_assert(pst_host_cmdline_has(&c, "modprobe.blacklist", "nouveau"));
	ck_assert(pst_host_cmdline_has(&c, "modprobe.blacklist", "nvidia-drm"));
	ck_assert(pst_host_cmdline_has(&c, "modprobe.blacklist", "a"));
	ck_assert(!pst_host_cmdline_has(&c, "modprobe.blacklist", "nvidia"));
	ck_assert(pst_host_cmdline_has(&c, "intel_iommu", "on"));
	ck_assert(!pst_host_cmdline_has(&c, "quiet", ""));
	ck_assert(!pst_host_list_has("", "a"));
	ck_assert(!pst_host_list_has(",,", ""));
	ck_assert(pst_host_list_has(",a", "a"));
	pst_host_cmdline_done(&c);
}
END_TEST

START_TEST(what_follows_two_dashes_is_not_the_kernels)
{
	parse("a=1 -- a=2 b=3");
	ck_assert_str_eq(value("a"), "1");
	ck_assert_str_eq(value("b"), "(none)");
	pst_host_cmdline_done(&c);
}
END_TEST

START_TEST(what_is_no_text_is_refused)
{
	char *big = malloc(PST_HOST_CMDLINE_MAX + 1);

	memset(big, 'a', PST_HOST_CMDLINE_MAX + 1);
	ck_assert_int_eq(pst_host_cmdline_parse("a\0b", 3, &c), -EPROTO);
	ck_assert_int_eq(
		pst_host_cmdline_parse(big, PST_HOST_CMDLINE_MAX + 1, &c),
		-EMSGSIZE);
	ck_assert_int_eq(pst_host_cmdline_parse(big, PST_HOST_CMDLINE_MAX, &c),
			 0);
	pst_host_cmdline_done(&c);
	free(big);
}
END_TEST

/* The counts of a value, as the kernel would be told them. */
static const char *counts(const char *value)
{
	struct pst_host_pool_count v[PST_HOST_POOL_COUNTS];
	static char text[1024];
	int n = pst_host_pool_counts(value, true, v), i;
	size_t len = 0;

	strcpy(text, n < 0 ? "dropped" : "");
	for (i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%d:%llu ", v[i].node,
					(unsigned long long)v[i].pages);
	return text;
}

START_TEST(counts_of_hugepages_are_read_as_the_kernel_does)
{
	struct pst_host_pool_count v[PST_HOST_POOL_COUNTS];
	char many[64 * 5 + 8] = "";
	int i;

	ck_assert_str_eq(counts("2048"), "-1:2048 ");
	ck_assert_str_eq(counts("0:1024,1:512"), "0:1024 1:512 ");
	ck_assert_str_eq(counts("3:1,"), "3:1 ");
	ck_assert_str_eq(counts("0:5x,1:6"), "0:5 ");
	/* Older kernels read no further than the node. */
	ck_assert_int_eq(pst_host_pool_counts("3:1,x", false, v), 1);
	ck_assert_int_eq(v[0].node, -1);
	ck_assert_uint_eq(v[0].pages, 3);
	ck_assert_str_eq(counts("100,600"), "-1:100 ");
	ck_assert_str_eq(counts("18446744073709551615"), "dropped");
	ck_assert_str_eq(counts(""), "dropped");
	ck_assert_str_eq(counts("x"), "dropped");
	ck_assert_str_eq(counts("1:"), "dropped");
	ck_assert_str_eq(counts("0:5,7"), "dropped");
	ck_assert_str_eq(counts("0:5,x"), "dropped");
	ck_assert_str_eq(counts("1024:5"), "dropped");
	for (i = 0; i < 65; i++)
		strcat(many, "1:1,");
	ck_assert_str_eq(counts(many), "dropped");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, parameters_are_apart_by_blanks);
	tcase_add_test(tc, quotes_keep_blanks_and_come_off_at_the_ends);
	tcase_add_test(tc, the_last_one_counts_and_dash_is_underscore);
	tcase_add_test(tc, words_of_any_of_several_lists_are_found);
	tcase_add_test(tc, what_follows_two_dashes_is_not_the_kernels);
	tcase_add_test(tc, what_is_no_text_is_refused);
	tcase_add_test(tc, counts_of_hugepages_are_read_as_the_kernel_does);
}

int main(void)
{
	return pst_unit_run("cmdline", add, 10);
}

/* SPDX-License-Identifier: MIT */
/* modprobe.d: lines, files, and what they mean for a module. */
#include "kernel-params/config/modprobe_conf.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_modconf c;

static void parse(const char *text)
{
	pst_host_modconf_done(&c);
	ck_assert_int_eq(pst_host_modconf_parse(text, strlen(text), "f", &c),
			 0);
}

START_TEST(lines_are_words_without_comments)
{
	parse("# options a b=1\n\n  options\tvfio-pci  ids=1:2 x=\"a b\" \n"
	      "blacklist nouveau\n#\nnonsense here\nalias pci:v000010DE* x");
	ck_assert_uint_eq(c.n, 4);
	ck_assert_int_eq(c.line[0].kind, PST_HOST_MODCONF_OPTIONS);
	ck_assert_str_eq(c.line[0].module, "vfio-pci");
	ck_assert_str_eq(c.line[0].text, "ids=1:2 x=\"a b\"");
	ck_assert_uint_eq(c.line[0].line, 3);
	ck_assert_int_eq(c.line[1].kind, PST_HOST_MODCONF_BLACKLIST);
	ck_assert_str_eq(c.line[1].text, "");
	ck_assert_int_eq(c.line[2].kind, PST_HOST_MODCONF_OTHER);
	ck_assert_str_eq(c.line[3].text, "x");
	pst_host_modconf_done(&c);
}
END_TEST

START_TEST(a_backslash_joins_lines)
{
	parse("options a \\\n x=1 \\\n y=2\nblacklist b\\");
	ck_assert_uint_eq(c.n, 2);
	ck_assert_str_eq(c.line[0].text, "x=1    y=2");
	ck_assert_uint_eq(c.line[1].line, 4);
	pst_host_modconf_done(&c);
}
END_TEST

START_TEST(questions_are_answered_by_name)
{
	char *v;

	parse("options vfio_pci ids=1:2 disable_vga=1\noptions vfio-pci "
	      "ids=3:4\noptions nvidia NVreg_A=\"a b\" flag\n"
	      "softdep nvidia post: a pre: vfio-pci b\n"
	      "softdep nouveau post: vfio-pci\nblacklist nvidia-drm\n"
	      "install nouveau /bin/false\ninstall nvidia /sbin/modprobe x\n"
	      "install nvidiafb /usr/bin/true; true\n");
	v = pst_host_modconf_option(&c, "vfio-pci", "ids");
	ck_assert_str_eq(v, "3:4");
	free(v);
	v = pst_host_modconf_option(&c, "vfio_pci", "disable_vga");
	ck_assert_str_eq(v, "1");
	free(v);
	v = pst_host_modconf_option(&c, "nvidia", "NVreg_A");
	ck_assert_str_eq(v, "a b");
	free(v);
	v = pst_host_modconf_option(&c, "nvidia", "flag");
	ck_assert_str_eq(v, "");
	free(v);
	ck_assert_ptr_null(pst_host_modconf_option(&c, "nvidia", "ids"));
	ck_assert(pst_host_modconf_softdep_pre(&c, "nvidia", "vfio_pci"));
	ck_assert(!pst_host_modconf_softdep_pre(&c, "nvidia", "a"));
	ck_assert(!pst_host_modconf_softdep_pre(&c, "nouveau", "vfio-pci"));
	ck_assert(pst_host_modconf_blacklisted(&c, "nvidia_drm"));
	ck_assert(!pst_host_modconf_blacklisted(&c, "nvidia"));
	ck_assert(pst_host_modconf_disabled(&c, "nouveau"));
	ck_assert(pst_host_modconf_disabled(&c, "nvidiafb"));
	ck_assert(!pst_host_modconf_disabled(&c, "nvidia"));
	pst_host_modconf_done(&c);
}
END_TEST

START_TEST(etc_overrides_usr_and_order_is_by_name)
{
	tree_make();
	tree_file("etc/modprobe.d/b.conf", "blacklist from_etc\n");
	tree_file("usr/lib/modprobe.d/b.conf", "blacklist hidden\n");
	tree_file("usr/lib/modprobe.d/a.conf", "blacklist first\n");
	tree_file("lib/modprobe.d/c.conf", "blacklist last\n");
	tree_file("etc/modprobe.d/d.conf.bak", "blacklist backup\n");
	tree_link("etc/modprobe.d/c.conf", "/dev/null");
	ck_assert_int_eq(pst_host_modconf_read(&tree, &c), 0);
	ck_assert_uint_eq(c.n, 2);
	ck_assert_str_eq(c.line[0].module, "first");
	ck_assert_str_eq(c.line[0].file, "usr/lib/modprobe.d/a.conf");
	ck_assert_str_eq(c.line[1].module, "from_etc");
	ck_assert_ptr_null(c.unread);
	pst_host_modconf_done(&c);
	tree_remove();
}
END_TEST

START_TEST(what_cannot_be_read_is_named)
{
	tree_make();
	tree_file("etc/modprobe.d/big.conf", "");
	ck_assert_int_eq(truncate(tmpdir_path("etc/modprobe.d/big.conf"),
				  PST_HOST_MODCONF_FILE_MAX + 1),
			 0);
	tree_bytes("etc/modprobe.d/nul.conf", "blacklist a\0b\n\0", 15);
	ck_assert_int_eq(pst_host_modconf_read(&tree, &c), 0);
	ck_assert_str_eq(c.unread, "etc/modprobe.d/big.conf");
	ck_assert_str_eq(c.line[0].module, "a?b");
	pst_host_modconf_done(&c);
	tree_remove();
}
END_TEST

START_TEST(no_file_makes_lines_without_end)
{
	size_t n = PST_HOST_MODCONF_MAX_LINES * 2;
	char *text = malloc(n * 4);
	size_t i;

	for (i = 0; i < n; i++)
		memcpy(text + i * 4, "a b\n", 4);
	ck_assert_int_eq(pst_host_modconf_parse(text, n * 4, "f", &c),
			 -EMSGSIZE);
	ck_assert_uint_eq(c.n, PST_HOST_MODCONF_MAX_LINES);
	pst_host_modconf_done(&c);
	free(text);
}
END_TEST

START_TEST(many_large_files_are_read_in_part)
{
	char name[64];
	int i;

	tree_make();
	tree_file("etc/modprobe.d/0.conf", "blacklist first\n");
	for (i = 1; i < 20; i++) {
		snprintf(name, sizeof(name), "etc/modprobe.d/%d.conf", i);
		tree_file(name, "blacklist x\n");
		ck_assert_int_eq(
			truncate(tmpdir_path(name), PST_HOST_MODCONF_FILE_MAX),
			0);
	}
	ck_assert_int_eq(pst_host_modconf_read(&tree, &c), 0);
	ck_assert(pst_host_modconf_blacklisted(&c, "first"));
	ck_assert_uint_lt(c.n_files, 10);
	ck_assert_ptr_nonnull(c.unread);
	pst_host_modconf_done(&c);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, lines_are_words_without_comments);
	tcase_add_test(tc, a_backslash_joins_lines);
	tcase_add_test(tc, questions_are_answered_by_name);
	tcase_add_test(tc, etc_overrides_usr_and_order_is_by_name);
	tcase_add_test(tc, what_cannot_be_read_is_named);
	tcase_add_test(tc, no_file_makes_lines_without_end);
	tcase_add_test(tc, many_large_files_are_read_in_part);
}

int main(void)
{
	return pst_unit_run("modprobe_conf", add, 10);
}

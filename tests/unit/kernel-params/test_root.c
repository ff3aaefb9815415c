/* SPDX-License-Identifier: MIT */
/* Reading below a root: nothing leads out, blocks, or is taken for text. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static char text[64];

/* Each case runs with openat2() and with the walk that stands in for it. */
static void setup(int own_walk)
{
	tree_make();
	tree.own_walk = own_walk;
}

START_TEST(a_text_is_read_without_its_newline)
{
	setup(_i);
	tree_file("sys/a/b", "value\n\n");
	ck_assert_int_eq(pst_host_root_read_text(&tree, "sys/a/b", text, 64),
			 5);
	ck_assert_str_eq(text, "value");
	ck_assert_int_eq(pst_host_root_read_text(&tree, "/sys/a/b", text, 64),
			 5);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "sys//a/./b", text, 64),
			 5);
	ck_assert(pst_host_root_exists(&tree, "/"));
	tree_remove();
}
END_TEST

START_TEST(missing_too_long_and_not_text_are_told_apart)
{
	setup(_i);
	tree_file("long", "0123456789");
	tree_bytes("nul", "a\0b", 3);
	tree_dir("dir");
	ck_assert_int_eq(pst_host_root_read_text(&tree, "none", text, 64),
			 -ENOENT);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "no/ne", text, 64),
			 -ENOENT);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "long", text, 10),
			 -EMSGSIZE);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "long", text, 11), 10);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "nul", text, 64),
			 -EPROTO);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "dir", text, 64),
			 -EINVAL);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "long/x", text, 64),
			 -ENOTDIR);
	tree_remove();
}
END_TEST

START_TEST(a_link_never_leads_out_of_the_root)
{
	setup(_i);
	tree_file("etc/passwd", "inside");
	tree_link("absolute", "/etc/passwd");
	tree_link("relative", "../../../../../../../../etc/passwd");
	tree_link("d/up", "../..");
	tree_link("self", "/proc/self/root/etc/passwd");
	ck_assert_int_gt(pst_host_root_read_text(&tree, "absolute", text, 64),
			 0);
	ck_assert_str_eq(text, "inside");
	ck_assert_int_gt(pst_host_root_read_text(&tree, "relative", text, 64),
			 0);
	ck_assert_str_eq(text, "inside");
	ck_assert_int_gt(
		pst_host_root_read_text(&tree, "d/up/etc/passwd", text, 64), 0);
	ck_assert_str_eq(text, "inside");
	ck_assert_int_gt(
		pst_host_root_read_text(&tree, "../../etc/passwd", text, 64),
		0);
	ck_assert_str_eq(text, "inside");
	ck_assert_int_eq(pst_host_root_read_text(&tree, "self", text, 64),
			 -ENOENT);
	tree_remove();
}
END_TEST

START_TEST(links_in_a_circle_end)
{
	char dir[64];

	setup(_i);
	tree_link("a", "b");
	tree_link("b", "a");
	tree_link("c", "c/c");
	ck_assert_int_eq(pst_host_root_read_text(&tree, "a", text, 64), -ELOOP);
	ck_assert_int_eq(pst_host_root_read_text(&tree, "c", text, 64), -ELOOP);
	/* The same of files that stand for links. */
	tree_file("x", "./y");
	tree_file("y", "./x");
	ck_assert_int_eq(pst_host_root_dir(&tree, "a", dir, sizeof(dir)),
			 -ELOOP);
	ck_assert_int_eq(pst_host_root_dir(&tree, "x", dir, sizeof(dir)),
			 -ELOOP);
	tree_remove();
}
END_TEST

START_TEST(a_fifo_in_the_tree_blocks_nobody)
{
	char *all;
	size_t len;

	setup(_i);
	ck_assert_int_eq(mkfifo(tmpdir_path("fifo"), 0600), 0);
	tree_link("zero", "fifo");
	ck_assert_int_eq(pst_host_root_read_text(&tree, "fifo", text, 64),
			 -EINVAL);
	ck_assert_int_eq(pst_host_root_read(&tree, "zero", 64, &all, &len),
			 -EINVAL);
	tree_remove();
}
END_TEST

START_TEST(a_whole_file_is_read_up_to_its_bound)
{
	char *all;
	size_t len;
	int fd;

	setup(_i);
	tree_file("empty", "");
	ck_assert_int_eq(pst_host_root_read(&tree, "empty", 10, &all, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(all, "");
	free(all);
	tree_file("big", "x");
	fd = open(tmpdir_path("big"), O_WRONLY);
	ck_assert_int_eq(ftruncate(fd, 1LL << 40), 0);
	close(fd);
	ck_assert_int_eq(pst_host_root_read(&tree, "big", 100000, &all, &len),
			 -EMSGSIZE);
	ck_assert_int_eq(truncate(tmpdir_path("big"), 100000), 0);
	ck_assert_int_eq(pst_host_root_read(&tree, "big", 100000, &all, &len),
			 0);
	ck_assert_uint_eq(len, 100000);
	ck_assert_int_eq(all[len], '\0');
	free(all);
	ck_assert_int_eq(pst_host_root_read(&tree, "big", 99999, &all, &len),
			 -EMSGSIZE);
	tree_remove();
}
END_TEST

START_TEST(a_number_is_the_whole_text)
{
	static const char *const bad[] = {
		"",    "x",   "-1",   "+1",
		"0x",  "1 2", "1\n2", "18446744073709551616",
		"0x1g"};
	uint64_t v = 7;
	size_t i;

	setup(_i);
	tree_file("n", "0x1f\n");
	ck_assert_int_eq(pst_host_root_read_u64(&tree, "n", 16, &v), 0);
	ck_assert_uint_eq(v, 31);
	ck_assert_int_eq(pst_host_root_read_u64(&tree, "n", 10, &v), -EPROTO);
	tree_file("n", "42");
	ck_assert_int_eq(pst_host_root_read_u64(&tree, "n", 10, &v), 0);
	ck_assert_uint_eq(v, 42);
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		tree_file("n", bad[i]);
		ck_assert_int_eq(pst_host_root_read_u64(&tree, "n", 0, &v),
				 -EPROTO);
	}
	ck_assert_uint_eq(v, 42);
	tree_remove();
}
END_TEST

START_TEST(a_file_with_a_path_stands_for_a_link)
{
	char dir[128];

	setup(_i);
	tree_dir("sys/devices/pci/0000:01:00.0");
	tree_dir("sys/bus/pci/drivers/vfio-pci");
	tree_file("sys/bus/pci/devices/0000:01:00.0",
		  "../../../devices/pci/0000:01:00.0");
	tree_file("sys/devices/pci/0000:01:00.0/driver",
		  "../../../bus/pci/drivers/vfio-pci");
	tree_link("sys/bus/pci/devices/0000:02:00.0",
		  "../../../devices/pci/0000:01:00.0");
	ck_assert_int_eq(pst_host_root_dir(&tree,
					   "sys/bus/pci/devices/0000:01:00.0",
					   dir, sizeof(dir)),
			 0);
	ck_assert_str_eq(dir, "sys/devices/pci/0000:01:00.0");
	ck_assert_int_eq(pst_host_root_dir(&tree,
					   "sys/bus/pci/devices/0000:02:00.0",
					   dir, sizeof(dir)),
			 0);
	ck_assert_str_eq(dir, "sys/devices/pci/0000:01:00.0");
	ck_assert_int_eq(pst_host_root_link_name(
				 &tree, "sys/devices/pci/0000:01:00.0/driver",
				 text, sizeof(text)),
			 8);
	ck_assert_str_eq(text, "vfio-pci");
	/* Other files do not. */
	tree_file("text", "two words/here\n");
	tree_file("abs", "/etc/passwd");
	ck_assert_int_eq(pst_host_root_readlink(&tree, "text", text, 64),
			 -EINVAL);
	ck_assert_int_eq(pst_host_root_readlink(&tree, "abs", text, 64),
			 -EINVAL);
	ck_assert_int_eq(pst_host_root_dir(&tree, "text", dir, 64), -ENOTDIR);
	ck_assert_int_eq(pst_host_root_link_name(&tree, "sys", text, 64),
			 -EINVAL);
	tree_remove();
}
END_TEST

START_TEST(a_directory_is_listed_in_order)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

	setup(_i);
	tree_file("d/b", "");
	tree_file("d/a", "");
	tree_file("d/10", "");
	ck_assert_int_eq(pst_host_root_list(&tree, "d", &names), 0);
	ck_assert_uint_eq(names.n, 3);
	ck_assert_str_eq(names.name[0], "10");
	ck_assert_str_eq(names.name[2], "b");
	ck_assert(!names.truncated);
	pst_host_names_done(&names);
	ck_assert_int_eq(pst_host_root_list(&tree, "d/a", &names), -ENOTDIR);
	ck_assert_int_eq(pst_host_root_list(&tree, "none", &names), -ENOENT);
	tree_remove();
}
END_TEST

START_TEST(an_endless_path_is_refused)
{
	char path[PST_HOST_ROOT_PATH_MAX + 10], dir[64];

	setup(_i);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(pst_host_root_read_text(&tree, path, text, 64),
			 -EMSGSIZE);
	ck_assert_int_eq(pst_host_root_dir(&tree, path, dir, 64), -EMSGSIZE);
	tree_remove();
}
END_TEST

START_TEST(only_slash_is_the_running_machine)
{
	struct pst_host_root r;
	struct pst_error err;

	tree_make();
	ck_assert(!tree.live);
	tree_remove();
	ck_assert_int_eq(pst_host_root_open("/", &r, &err), 0);
	ck_assert(r.live);
	pst_host_root_close(&r);
	ck_assert_int_eq(pst_host_root_open("/nonexistent", &r, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, a_text_is_read_without_its_newline, 0, 2);
	tcase_add_loop_test(tc, missing_too_long_and_not_text_are_told_apart, 0,
			    2);
	tcase_add_loop_test(tc, a_link_never_leads_out_of_the_root, 0, 2);
	tcase_add_loop_test(tc, links_in_a_circle_end, 0, 2);
	tcase_add_loop_test(tc, a_fifo_in_the_tree_blocks_nobody, 0, 2);
	tcase_add_loop_test(tc, a_whole_file_is_read_up_to_its_bound, 0, 2);
	tcase_add_loop_test(tc, a_number_is_the_whole_text, 0, 2);
	tcase_add_loop_test(tc, a_file_with_a_path_stands_for_a_link, 0, 2);
	tcase_add_loop_test(tc, a_directory_is_listed_in_order, 0, 2);
	tcase_add_loop_test(tc, an_endless_path_is_refused, 0, 2);
	tcase_add_test(tc, only_slash_is_the_running_machine);
}

int main(void)
{
	return pst_unit_run("root", add, 10);
}

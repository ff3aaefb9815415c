/* SPDX-License-Identifier: MIT */
/* Which hugetlbfs of a mount table a region may lie in. */
#include "kernel-params/machine/hugepages.h"
#include "kernel-params/machine/mounts.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_mounts m;

/* The path of the first one with pages of 2 MiB, "" for none. */
static const char *first(const char *table, uint64_t default_size)
{
	const struct pst_host_hugetlbfs *at;
	char text[1024];

	snprintf(text, sizeof(text), "%s", table);
	pst_host_mounts_parse(text, default_size, &m);
	ck_assert(m.seen);
	at = pst_host_mounts_2m(&m);
	return at ? at->path : "";
}

START_TEST(the_first_with_pages_of_2_mib_is_taken)
{
	ck_assert_str_eq(first("proc /proc proc rw 0 0\n"
			       "none /huge1G hugetlbfs rw,pagesize=1024M 0 0\n"
			       "none /huge hugetlbfs rw,pagesize=2M 0 0\n"
			       "none /other hugetlbfs rw,pagesize=2M 0 0\n",
			       PST_HOST_HUGE_1G),
			 "/huge");
	ck_assert_uint_eq(m.n, 3);
	ck_assert_uint_eq(m.mount[0].page_size, PST_HOST_HUGE_1G);
	ck_assert_str_eq(first("none /h hugetlbfs rw,pagesize=2048k 0 0\n", 0),
			 "/h");
	ck_assert_str_eq(first("none /h hugetlbfs rw,pagesize=20M 0 0\n", 0),
			 "");
}
END_TEST

START_TEST(without_an_option_pages_are_of_the_default_size)
{
	static const char table[] = "none /h hugetlbfs rw,relatime 0 0\n";

	ck_assert_str_eq(first(table, PST_HOST_HUGE_2M), "/h");
	ck_assert_str_eq(first(table, PST_HOST_HUGE_1G), "");
	ck_assert_str_eq(first(table, 0), "");
}
END_TEST

START_TEST(blanks_of_a_path_are_written_as_octal)
{
	ck_assert_str_eq(first("none /my\\040huge\\134 hugetlbfs "
			       "pagesize=2M 0 0\n",
			       0),
			 "/my huge\\");
}
END_TEST

START_TEST(a_later_mount_hides_what_was_there)
{
	ck_assert_str_eq(first("none /mnt/a hugetlbfs pagesize=2M 0 0\n"
			       "none /mnt/ab hugetlbfs pagesize=2M 0 0\n"
			       "none /mnt/a tmpfs rw 0 0\n",
			       0),
			 "/mnt/ab");
}
END_TEST

START_TEST(a_later_mount_hides_what_was_below)
{
	ck_assert_str_eq(first("none /mnt/a/b hugetlbfs pagesize=2M 0 0\n"
			       "none /mnt/c hugetlbfs pagesize=2M 0 0\n"
			       "none /mnt/a tmpfs rw 0 0\n",
			       0),
			 "/mnt/c");
	/* The root's line may stand behind those that an initramfs made. */
	ck_assert_str_eq(first("none /dev/hugepages hugetlbfs pagesize=2M\n"
			       "/dev/sda1 / ext4 rw 0 0\n",
			       0),
			 "/dev/hugepages");
}
END_TEST

START_TEST(a_long_path_is_left_out_and_none_other)
{
	char table[1024], path[300];

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[255] = '\0';
	snprintf(table, sizeof(table),
		 "none %s hugetlbfs pagesize=2M 0 0\n"
		 "none %sx hugetlbfs pagesize=2M 0 0\n",
		 path, path);
	ck_assert_str_eq(first(table, 0), path);
	ck_assert_uint_eq(m.n, 1);
}
END_TEST

START_TEST(a_tree_without_the_table_has_none)
{
	tree_make();
	pst_host_mounts_read(&tree, PST_HOST_HUGE_2M, &m);
	ck_assert(!m.seen);
	ck_assert_ptr_null(pst_host_mounts_2m(&m));
	tree_file("proc/mounts", "none /h hugetlbfs rw 0 0\n");
	pst_host_mounts_read(&tree, PST_HOST_HUGE_2M, &m);
	ck_assert_str_eq(pst_host_mounts_2m(&m)->path, "/h");
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, the_first_with_pages_of_2_mib_is_taken);
	tcase_add_test(tc, without_an_option_pages_are_of_the_default_size);
	tcase_add_test(tc, blanks_of_a_path_are_written_as_octal);
	tcase_add_test(tc, a_later_mount_hides_what_was_there);
	tcase_add_test(tc, a_later_mount_hides_what_was_below);
	tcase_add_test(tc, a_long_path_is_left_out_and_none_other);
	tcase_add_test(tc, a_tree_without_the_table_has_none);
}

int main(void)
{
	return pst_unit_run("mounts", add, 20);
}

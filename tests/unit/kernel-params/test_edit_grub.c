/* SPDX-License-Identifier: MIT */
/* /etc/default/grub edited in place and by a drop-in, read back by a shell. */
#include "kernel-params/edit/edit_grub.h"

#include <string.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static struct pst_host_params want;
static struct pst_host_edit_file file[3];

static void setup(void)
{
	tmpdir_make();
	want = (struct pst_host_params){.pool_node = -1, .n_nodes = 1};
	ck_assert_int_eq(pst_host_params_add(&want, "iommu=pt"), 0);
	file[0] = (struct pst_host_edit_file){"/etc/default/grub", NULL};
	file[1] =
		(struct pst_host_edit_file){"/etc/default/grub.d/50.cfg", NULL};
	file[2] =
		(struct pst_host_edit_file){"/etc/default/grub.d/zz.cfg", NULL};
}

static void teardown(void)
{
	size_t i;

	for (i = 0; i < 3; i++)
		free(file[i].text);
	pst_host_params_done(&want);
	tmpdir_remove();
}

static void set(size_t i, const char *text)
{
	free(file[i].text);
	file[i].text = text ? strdup(text) : NULL;
}

/* What a shell makes of the files; the words of both variables. */
static void shell_says(const char *words)
{
	char command[512], got[1024] = "";
	size_t i, n;
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd %s && sh -n all && . ./all && "
		 "echo $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT",
		 tmpdir);
	f = fopen(tmpdir_path("all"), "w");
	for (i = 0; i < 3; i++)
		fputs(file[i].text ? file[i].text : "", f);
	fclose(f);
	f = popen(command, "r");
	n = fread(got, 1, sizeof(got) - 1, f);
	got[n] = '\0';
	ck_assert_int_eq(pclose(f), 0);
	got[strcspn(got, "\n")] = '\0';
	ck_assert_str_eq(got, words);
}

static void in_place(const char *from, const char *to)
{
	struct pst_error err = {0};
	int r;

	set(0, from);
	r = pst_host_edit_grub(file, 1, SIZE_MAX, &want, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_str_eq(file[0].text, to);
	ck_assert_int_eq(pst_host_edit_grub(file, 1, SIZE_MAX, &want, &err), 0);
	ck_assert_str_eq(file[0].text, to);
}

static void refused(const char *from, const char *words)
{
	struct pst_error err = {0};

	set(0, from);
	ck_assert_int_eq(pst_host_edit_grub(file, 1, SIZE_MAX, &want, &err),
			 -EINVAL);
	ck_assert_msg(strstr(err.text, words), "%s", err.text);
	ck_assert_str_eq(file[0].text, from);
}

START_TEST(the_assignment_is_extended_whatever_its_quotes)
{
	in_place("# c\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\" # why\nX=1\n",
		 "# c\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet iommu=pt\" # why\n"
		 "X=1\n");
	shell_says("quiet iommu=pt");
	in_place("GRUB_CMDLINE_LINUX_DEFAULT='a \"b c\"'\n",
		 "GRUB_CMDLINE_LINUX_DEFAULT='a \"b c\" iommu=pt'\n");
	in_place("GRUB_CMDLINE_LINUX_DEFAULT=quiet\n",
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet iommu=pt\"\n");
	shell_says("quiet iommu=pt");
	in_place("export GRUB_CMDLINE_LINUX_DEFAULT=\n",
		 "export GRUB_CMDLINE_LINUX_DEFAULT=iommu=pt\n");
	in_place("GRUB_CMDLINE_LINUX_DEFAULT=\"\"",
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"");
}
END_TEST

START_TEST(without_an_assignment_there_will_be_one)
{
	in_place("GRUB_TIMEOUT=5",
		 "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"\n");
	in_place("#GRUB_CMDLINE_LINUX_DEFAULT=\"x\"\n",
		 "#GRUB_CMDLINE_LINUX_DEFAULT=\"x\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"\n");
}
END_TEST

START_TEST(the_last_assignment_counts_and_additions_with_it)
{
	in_place("GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT+=\" splash\"\n",
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT+=\" splash iommu=pt\"\n");
	in_place("GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=off\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"${GRUB_CMDLINE_LINUX_DEFAULT} "
		 "a\"\n",
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"iommu=pt\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"${GRUB_CMDLINE_LINUX_DEFAULT} "
		 "a\"\n");
	shell_says("iommu=pt a");
}
END_TEST

START_TEST(the_other_variable_is_corrected_and_believed)
{
	in_place("GRUB_CMDLINE_LINUX=\"iommu=off\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"a\"\n",
		 "GRUB_CMDLINE_LINUX=\"iommu=pt\"\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"a\"\n");
}
END_TEST

START_TEST(what_cannot_be_edited_safely_is_refused_with_its_line)
{
	refused("GRUB_CMDLINE_LINUX_DEFAULT=\"a \\\nb\"\n", "line 1");
	refused("# x\nGRUB_CMDLINE_LINUX_DEFAULT=\"a\nb\"\n", "line 2");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=\"a\"'b'\n", "by hand");
	refused("if true; then\n\tGRUB_CMDLINE_LINUX_DEFAULT=a\nfi\n",
		"line 2");
	refused("if true; then\nGRUB_CMDLINE_LINUX_DEFAULT=a\nfi\n",
		"(it stands behind a condition or a command)");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=a\nunset "
		"GRUB_CMDLINE_LINUX_DEFAULT\n",
		"line 2 sets GRUB_CMDLINE_LINUX_DEFAULT in a way that cannot be "
		"edited safely (a line unsets it)");
	in_place("if true; then\nX=1\nfi\nGRUB_CMDLINE_LINUX_DEFAULT=a\n",
		 "if true; then\nX=1\nfi\n"
		 "GRUB_CMDLINE_LINUX_DEFAULT=\"a iommu=pt\"\n");
	refused("true && GRUB_CMDLINE_LINUX_DEFAULT=a\n", "line 1");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=a; x\n", "line 1");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=$(cat /x)\n", "line 1");
	refused("X=1 \\", "last line");
	refused("X=1 \\\n", "last line");
	refused("if true; then\nX=1\n", "last line");
	refused("X=\"1\n", "last line");
}
END_TEST

START_TEST(what_is_wrong_with_a_line_is_said)
{
	refused("GRUB_CMDLINE_LINUX_DEFAULT=\xe2\x80\x9cquiet splash"
		"\xe2\x80\x9d\n",
		"line 1 sets GRUB_CMDLINE_LINUX_DEFAULT in a way that cannot be "
		"edited safely (it has typographic quotes)");
	refused("X=1\nGRUB_CMDLINE_LINUX_DEFAULT=\xe2\x80\x98quiet\xe2\x80\x99\n",
		"(it has typographic quotes)");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\" intel_iommu=on\n",
		"(\"intel_iommu=on\" stands behind the closing quote)");
	refused("GRUB_CMDLINE_LINUX_DEFAULT='a'b\n",
		"(\"b\" stands behind the closing quote)");
	refused("GRUB_TIMEOUT=5\r\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\r\n",
		"(it ends in CR LF, the line end of DOS)");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=\"a \\\nb\"\n",
		"(a backslash stands");
	refused("GRUB_CMDLINE_LINUX_DEFAULT=$(cat /x)\n",
		"(it does more than set one");
}
END_TEST

START_TEST(a_drop_in_takes_what_is_missing_and_only_that)
{
	struct pst_error err = {0};

	ck_assert_int_eq(pst_host_params_add(&want, "intel_iommu=on"), 0);
	set(0, "GRUB_CMDLINE_LINUX_DEFAULT=\"a \\\nb\"\n");
	set(1, "GRUB_CMDLINE_LINUX=\"iommu=pt\"\n");
	set(2, "something old\n");
	ck_assert_int_eq(pst_host_edit_grub(file, 3, 2, &want, &err), 0);
	ck_assert_str_eq(file[0].text,
			 "GRUB_CMDLINE_LINUX_DEFAULT=\"a \\\nb\"\n");
	ck_assert_str_eq(file[2].text, PST_HOST_EDIT_MARK
			 "; undo: penstock host undo\n"
			 "GRUB_CMDLINE_LINUX_DEFAULT="
			 "\"${GRUB_CMDLINE_LINUX_DEFAULT} intel_iommu=on\"\n");
	shell_says("iommu=pt a b intel_iommu=on");
	set(1, "GRUB_CMDLINE_LINUX=\"iommu=pt intel_iommu=on\"\n");
	ck_assert_int_eq(pst_host_edit_grub(file, 3, 2, &want, &err), 0);
	ck_assert_ptr_null(file[2].text);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_assignment_is_extended_whatever_its_quotes);
	tcase_add_test(tc, without_an_assignment_there_will_be_one);
	tcase_add_test(tc, the_last_assignment_counts_and_additions_with_it);
	tcase_add_test(tc, the_other_variable_is_corrected_and_believed);
	tcase_add_test(tc,
		       what_cannot_be_edited_safely_is_refused_with_its_line);
	tcase_add_test(tc, what_is_wrong_with_a_line_is_said);
	tcase_add_test(tc, a_drop_in_takes_what_is_missing_and_only_that);
}

int main(void)
{
	return pst_unit_run("edit_grub", add, 20);
}

/* SPDX-License-Identifier: MIT */
/* mkinitcpio.conf's arrays and initramfs-tools' list, with vfio first. */
#include "kernel-params/edit/edit_array.h"

#include <string.h>

#include "kernel-params/scan/rivals.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static const char *const vfio[] = {"vfio_pci", "vfio", NULL};

static void edited(const char *from, const char *to)
{
	struct pst_error err = {0};
	char *got, *again;
	int r = pst_host_edit_array(from, "/etc/mkinitcpio.conf", "MODULES",
				    vfio, pst_host_module_is_rival, &got, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_str_eq(got, to);
	r = pst_host_edit_array(got, "/etc/mkinitcpio.conf", "MODULES", vfio,
				pst_host_module_is_rival, &again, &err);
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(again, got);
	free(got);
	free(again);
}

/* What bash makes of MODULES in a text. */
static void bash_says(const char *text, const char *words)
{
	char command[256], got[512] = "";
	FILE *f = fopen(tmpdir_path("conf"), "w");
	size_t n;

	fputs(text, f);
	fclose(f);
	snprintf(command, sizeof(command),
		 "bash -euc '. ./%s/conf; echo ${MODULES[*]}'", tmpdir);
	f = popen(command, "r");
	n = fread(got, 1, sizeof(got) - 1, f);
	got[n] = '\0';
	ck_assert_int_eq(pclose(f), 0);
	got[strcspn(got, "\n")] = '\0';
	ck_assert_str_eq(got, words);
}

START_TEST(vfio_comes_before_everything_else)
{
	edited("MODULES=()\n", "MODULES=(vfio_pci vfio)\n");
	edited("# x\nMODULES=(nvidia nvidia_drm)\nHOOKS=(base)\n",
	       "# x\nMODULES=(vfio_pci vfio nvidia nvidia_drm)\nHOOKS=(base)\n");
	edited("MODULES=\"ext4 i915\"\n",
	       "MODULES=\"vfio_pci vfio ext4 i915\"\n");
	edited("MODULES=( btrfs )\n", "MODULES=(vfio_pci vfio btrfs )\n");
}
END_TEST

START_TEST(what_is_behind_a_driver_moves_before_it)
{
	edited("MODULES=(nvidia vfio_pci btrfs vfio)\n",
	       "MODULES=(vfio_pci vfio nvidia btrfs)\n");
	edited("MODULES=(vfio-pci btrfs vfio nvidia)\n",
	       "MODULES=(vfio-pci btrfs vfio nvidia)\n");
	edited("MODULES=(btrfs vfio_pci vfio)\n",
	       "MODULES=(btrfs vfio_pci vfio)\n");
}
END_TEST

START_TEST(comments_lines_and_quotes_stay)
{
	static const char text[] = "MODULES=(\n\t# mine (yes)\n\t\"nvidia\" "
				   "'ext4' # why\n)\nX=1\n";

	edited(text, "MODULES=(vfio_pci vfio\n\t# mine (yes)\n\t\"nvidia\" "
		     "'ext4' # why\n)\nX=1\n");
	bash_says("MODULES=(vfio_pci vfio\n\t# mine (yes)\n\t\"nvidia\" "
		  "'ext4' # why\n)\nX=1\n",
		  "vfio_pci vfio nvidia ext4");
}
END_TEST

START_TEST(the_last_assignment_counts_and_one_is_added_if_there_is_none)
{
	edited("MODULES=(a)\nMODULES=(b)\n",
	       "MODULES=(a)\nMODULES=(vfio_pci vfio b)\n");
	edited("#MODULES=(a)\nHOOKS=(b)",
	       "#MODULES=(a)\nHOOKS=(b)\nMODULES=(vfio_pci vfio)\n");
	/* What is added stays, and ours comes before it. */
	edited("# x\nMODULES+=(nvme dm_crypt)\nMODULES+=(c)\nHOOKS+=(e)\n",
	       "# x\nMODULES+=(vfio_pci vfio nvme dm_crypt)\nMODULES+=(c)\n"
	       "HOOKS+=(e)\n");
	edited("MODULES=(a)\nMODULES+=(nvme)\n",
	       "MODULES=(vfio_pci vfio a)\nMODULES+=(nvme)\n");
	edited("MODULES+=(a)\nMODULES=(b)\n",
	       "MODULES+=(a)\nMODULES=(vfio_pci vfio b)\n");
}
END_TEST

START_TEST(what_is_not_clear_is_refused)
{
	static const char *const bad[] = {
		"MODULES=(a",
		"MODULES=($(list))\n",
		"MODULES=(`list`)\n",
		"MODULES=(a \\\nb)\n",
		"if x; then\n MODULES=(a)\n",
		"if x; then\n\tMODULES+=(a)\nfi\n",
		"if x; then\nMODULES=(a)\nfi\n",
		"x &&\nMODULES=(a)\n",
		"MODULES=(a)\nunset MODULES\n",
		"f() {\nMODULES=(a)\n}\n",
		"MODULES=(a); x\n",
		"MODULES=a\n",
		"MODULES=(a 'b)\n",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		struct pst_error err = {0};
		char *got;

		ck_assert_int_eq(pst_host_edit_array(bad[i], "/etc/x",
						     "MODULES", vfio, NULL,
						     &got, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "by hand"));
	}
}
END_TEST

START_TEST(files_need_no_order)
{
	static const char *const rule[] = {"/etc/udev/rules.d/10-x.rules",
					   NULL};
	struct pst_error err = {0};
	char *got;

	ck_assert_int_eq(pst_host_edit_array("FILES=(/etc/y)\n", "x", "FILES",
					     rule, NULL, &got, &err),
			 0);
	ck_assert_str_eq(got, "FILES=(/etc/udev/rules.d/10-x.rules /etc/y)\n");
	free(got);
}
END_TEST

static void listed(const char *from, const char *to)
{
	char *got, *again;

	ck_assert_int_eq(pst_host_edit_module_list(
				 from, vfio, pst_host_module_is_rival, &got),
			 0);
	ck_assert_str_eq(got, to);
	ck_assert_int_eq(pst_host_edit_module_list(
				 got, vfio, pst_host_module_is_rival, &again),
			 0);
	ck_assert_str_eq(again, got);
	free(got);
	free(again);
}

START_TEST(the_list_of_initramfs_tools_has_vfio_before_a_driver)
{
	listed(NULL, "vfio_pci\nvfio\n");
	listed("# Examples:\n# raid1\next4", "# Examples:\n# raid1\next4\n"
					     "vfio_pci\nvfio\n");
	listed("ext4\nnouveau modeset=0\nvfio\n",
	       "ext4\nvfio_pci\nvfio\nnouveau modeset=0\nvfio\n");
	listed("vfio-pci ids=1:2\nvfio\nnouveau\n",
	       "vfio-pci ids=1:2\nvfio\nnouveau\n");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, tmpdir_make, tmpdir_remove);
	tcase_add_test(tc, vfio_comes_before_everything_else);
	tcase_add_test(tc, what_is_behind_a_driver_moves_before_it);
	tcase_add_test(tc, comments_lines_and_quotes_stay);
	tcase_add_test(
		tc,
		the_last_assignment_counts_and_one_is_added_if_there_is_none);
	tcase_add_test(tc, what_is_not_clear_is_refused);
	tcase_add_test(tc, files_need_no_order);
	tcase_add_test(tc,
		       the_list_of_initramfs_tools_has_vfio_before_a_driver);
}

int main(void)
{
	return pst_unit_run("edit_array", add, 20);
}

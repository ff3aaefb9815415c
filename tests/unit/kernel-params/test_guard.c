/* SPDX-License-Identifier: MIT */
/* Guards of a plan against an editor that loses what a host boots by. */
#include <string.h>

#include "kernel-params/plan/plan.h"
#include "tests/fixtures/hostgood.h"
#include "tests/fixtures/unit.h"

static struct pst_host_plan plan;

/* What the guard says of one file that becomes text. */
static int guard(const char *path, char *now, char *text)
{
	struct pst_host_plan_file f = {
		.path = (char *)path, .now = now, .text = text};

	plan = (struct pst_host_plan){.request = {.i_know = true},
				      .host = &host,
				      .file = &f,
				      .n_files = 1};
	err = (struct pst_error){0};
	return pst_host_plan_guard(&plan, &host, &err);
}

START_TEST(an_edit_that_loses_what_an_entry_boots_by_is_refused)
{
	static const char *const vital[] = {
		"root=UUID=1",       "rootflags=subvol=@",
		"rootfstype=ext4",   "cryptdevice=UUID=2:root",
		"rd.luks.uuid=3",    "rd.luks.name=4=root",
		"rd.lvm.lv=vg/root", "rd.md.uuid=5",
		"zfs=rpool/ROOT",
	};
	char now[256], text[256], want[128];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(vital); i++) {
		snprintf(now, sizeof(now),
			 "title Linux\nlinux /vmlinuz\noptions quiet %s ro\n",
			 vital[i]);
		snprintf(want, sizeof(want), "would lose %s, without which",
			 vital[i]);
		snprintf(text, sizeof(text),
			 "title Linux\nlinux /vmlinuz\noptions quiet %s2 ro\n",
			 vital[i]);
		ck_assert_int_eq(
			guard("/boot/loader/entries/a.conf", now, text),
			-EBUSY);
		ck_assert_msg(strstr(err.text, want) != NULL, "%s", err.text);
		ck_assert_int_eq(guard("/etc/kernel/cmdline", now, text),
				 -EBUSY);
		ck_assert_int_eq(guard("/boot/loader/entries/a.conf", now, now),
				 0);
		/* Nor does a file of other settings matter. */
		ck_assert_int_eq(guard("/etc/sysctl.d/a.conf", now, text), 0);
	}
}
END_TEST

START_TEST(an_edit_that_loses_the_kernel_of_an_entry_is_refused)
{
	char now[] = "linux /vmlinuz\ninitrd /initrd\noptions root=/dev/x\n",
	     no_initrd[] = "linux /vmlinuz\noptions root=/dev/x\n",
	     no_linux[] = "initrd /initrd\noptions root=/dev/x\n";

	ck_assert_int_eq(guard("/efi/loader/entries/a.conf", now, no_initrd),
			 -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "would lose initrd"));
	ck_assert_int_eq(guard("/efi/loader/entries/a.conf", now, no_linux),
			 -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "would lose linux"));
}
END_TEST

START_TEST(an_initramfs_that_loses_a_module_is_refused)
{
	struct pst_host after;
	int r;

	tree_file("usr/bin/mkinitcpio", "");
	tree_file("etc/mkinitcpio.conf",
		  "MODULES=(nvme vfio_pci)\nHOOKS=(base udev)\n");
	pst_host_done(&host);
	ck_assert_int_eq(pst_host_scan(&tree, &request, &host, &err), 0);
	tree_file("etc/mkinitcpio.conf",
		  "MODULES=(vfio_pci)\nHOOKS=(base udev)\n");
	ck_assert_int_eq(pst_host_scan(&tree, &request, &after, &err), 0);
	plan = (struct pst_host_plan){.request = {.i_know = true},
				      .host = &host};
	r = pst_host_plan_guard(&plan, &after, &err);
	ck_assert_int_eq(r, -EBUSY);
	ck_assert_msg(strstr(err.text, "would not have nvme in the initramfs"),
		      "%s", err.text);
	/* What makes it may change; vfio's own may go. */
	after.early.maker = PST_HOST_EARLY_DRACUT;
	ck_assert_int_eq(pst_host_plan_guard(&plan, &after, &err), 0);
	pst_host_done(&after);
}
END_TEST

static void set_up(void)
{
	make_good();
	ck_assert_int_eq(pst_host_scan(&tree, &request, &host, &err), 0);
}

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, set_up, done);
	tcase_add_test(tc,
		       an_edit_that_loses_what_an_entry_boots_by_is_refused);
	tcase_add_test(tc,
		       an_edit_that_loses_the_kernel_of_an_entry_is_refused);
	tcase_add_test(tc, an_initramfs_that_loses_a_module_is_refused);
}

int main(void)
{
	return pst_unit_run("guard", add, 30);
}

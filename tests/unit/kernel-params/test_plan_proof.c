/* SPDX-License-Identifier: MIT */
/* Plans over settings put together at random: what a plan claims, the check of
 * the changed tree finds; a second plan changes nothing; undo restores. */
#include <stdlib.h>

#include "kernel-params/journal/journal.h"
#include "kernel-params/plan/plan.h"
#include "tests/fixtures/hostgood.h"
#include "tests/fixtures/unit.h"

#define ROUNDS 64

static struct pst_host_plan *plan;
static struct pst_host_journal journal;

/* One of a list that NULL ends. */
static const char *any(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return list[(size_t)random() % n];
}

#define ANY(...) any((const char *const[]){__VA_ARGS__, NULL})

static void mkinitcpio(void)
{
	char text[512];

	tree_file("usr/bin/mkinitcpio", "");
	snprintf(text, sizeof(text), "%s\n%s\n%s\n",
		 ANY("MODULES=()", "MODULES=(nvme)", "MODULES+=(nvme dm_crypt)",
		     "MODULES=(nouveau)", "MODULES=(vfio_pci\n vfio # x\n)",
		     "MODULES=\"ext4\"", "MODULES=(nvidia? vfio_pci)", ""),
		 ANY("HOOKS=(base udev modconf kms)",
		     "HOOKS=(base udev autodetect block)",
		     "HOOKS=(systemd modconf kms keyboard)",
		     "HOOKS=(systemd autodetect)", "HOOKS+=(encrypt)"),
		 ANY("", "FILES=(/etc/x)", "FILES+=(/etc/modprobe.d/a.conf)"));
	tree_file("etc/mkinitcpio.conf", text);
	if (random() % 3 == 0)
		tree_file(ANY("etc/mkinitcpio.conf.d/m.conf",
			      "etc/mkinitcpio.conf.d/zzz.conf"),
			  ANY("MODULES+=(i915)\n", "MODULES=(nouveau)\n",
			      "FILES=()\n", "HOOKS=(base udev)\n"));
	if (random() % 4 == 0)
		tree_file("etc/mkinitcpio.d/linux.preset",
			  ANY("ALL_config='/etc/mkinitcpio.conf'\n",
			      "#ALL_config=/etc/x\n",
			      "default_options='-S modconf'\n",
			      "default_options=(-A kms,systemd)\n",
			      "PRESETS=(a b)\n"
			      "b_config=/etc/mkinitcpio.conf\n"));
}

static void dracut(void)
{
	tree_file("usr/bin/dracut", "");
	tree_file("etc/dracut.conf", ANY("", "hostonly=yes\n", "# x\n"));
	tree_file(ANY("etc/dracut.conf.d/m.conf", "etc/dracut.conf.d/z.conf"),
		  ANY("", "force_drivers=\"nouveau\"\n",
		      "add_drivers+=\" vfio_pci \"\n",
		      "force_drivers+=\" nouveau \"\n", "hostonly=\"no\"\n",
		      "omit_drivers+=\" vfio_pci \"\n",
		      "install_items+=\" /etc/modprobe.d/a.conf \"\n"));
	if (random() % 2)
		tree_file("usr/sbin/plymouthd", "");
	if (random() % 2)
		tree_file("usr/lib/dracut/dracut.conf.d/01.conf",
			  ANY("hostonly=\"yes\"\n", "compress=\"zstd\"\n"));
}

static void initramfs_tools(void)
{
	tree_file("usr/sbin/update-initramfs", "");
	tree_file("etc/initramfs-tools/modules",
		  ANY("", "# x\nnvme\n", "vfio_pci ids=10de:2204,10de:1aef\n",
		      "vfio_pci ids=1:2\nvfio\n", "nouveau\nvfio_pci\n"));
	if (random() % 2)
		tree_file("usr/share/initramfs-tools/hooks/plymouth", "");
}

static void grub(void)
{
	static const char name[] = "GRUB_CMDLINE_LINUX_DEFAULT";
	char text[512];

	snprintf(text, sizeof(text), "%s\n%s%s\n%s",
		 ANY("GRUB_CMDLINE_LINUX=\"iommu=off a\"",
		     "GRUB_CMDLINE_LINUX='intel_iommu=off'", "# x",
		     "GRUB_CMDLINE_LINUX=rd.driver.pre=vfio-pci"),
		 name,
		 ANY("=\"quiet\"", "='quiet vfio-pci.ids=10de:2204'", "=",
		     "+=\" iommu=pt\"", "=\"a\\\"b\\\"\" # c"),
		 ANY("", "GRUB_CMDLINE_LINUX_DEFAULT+=\" x\"\n",
		     "export GRUB_CMDLINE_LINUX=y\n",
		     "GRUB_CMDLINE_LINUX_DEFAULT=\""
		     "${GRUB_CMDLINE_LINUX_DEFAULT} intel_iommu=off\"\n"));
	tree_file("etc/default/grub", text);
	if (random() % 2)
		tree_file(ANY("etc/default/grub.d/50.cfg",
			      "etc/default/grub.d/zzz.cfg"),
			  ANY("GRUB_CMDLINE_LINUX_DEFAULT=\"splash\"\n",
			      "GRUB_CMDLINE_LINUX_DEFAULT="
			      "\"$GRUB_CMDLINE_LINUX_DEFAULT iommu=nopt\"\n",
			      "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX z\"\n",
			      "GRUB_TIMEOUT=3\n"));
}

static void settings(void)
{
	static void (*const makers[])(void) = {mkinitcpio, dracut,
					       initramfs_tools};
	size_t maker = (size_t)random() % 4;

	tree_file("proc/cmdline",
		  ANY("root=/dev/nvme0n1p2 rw iommu=pt\n",
		      "root=/dev/nvme0n1p2 vfio-pci.ids=10de:2204\n",
		      "root=/dev/nvme0n1p2 rd.driver.pre=vfio-pci\n",
		      "root=/dev/nvme0n1p2 vfio-pci.ids=1:2, 10de:1aef\n"));
	grub();
	tree_file("etc/modprobe.d/vfio.conf",
		  ANY("", "options vfio-pci ids=10de:2204,10de:1aef\n",
		      "options vfio-pci ids=10de:2204, 10de:1aef x=1\n",
		      "options vfio-pci ids=1:2 ids=10de:2204\r\n",
		      "\toptions\tvfio_pci  disable_vga=1\n",
		      "options vfio-pci.ids=10de:2204\n"));
	tree_file("etc/modprobe.d/a.conf",
		  ANY("", "softdep nouveau pre: vfio-pci\n",
		      "softdep nouveau post: x\nsoftdep nouveau pre: "
		      "vfio-pci\n",
		      "softdep n* pre: vfio_pci \\\n post: y\n",
		      "blacklist nouveau\n", "softdep drm pre: vfio-pci\r\n"));
	if (random() % 3 == 0)
		tree_file("usr/lib/modprobe.d/vfio.conf",
			  "options vfio-pci ids=9:9\n");
	if (random() % 3 == 0)
		tree_file("lib/modules/7.1.3-generic/modules.builtin",
			  ANY("kernel/drivers/vfio/pci/vfio-pci.ko\n",
			      "kernel/drivers/gpu/drm/drm.ko\n"));
	if (maker < PST_ARRAY_SIZE(makers))
		makers[maker]();
}

static int make_plan(struct pst_host_plan_request *r)
{
	pst_host_done(&host);
	ck_assert_int_eq(pst_host_scan(&tree, &request, &host, &err), 0);
	return pst_host_plan_make(plan, &host, &journal, r, &err);
}

/* The next boot, by a shell that reads GRUB's settings as grub-mkconfig does:
 * the command line has what the plan wants. */
static void boot_with_plan(void)
{
	char command[TREE_PATH * 2], line[1024] = "root=/dev/nvme0n1p2 ";
	size_t n = strlen(line), i;
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd %s && bash -c 'for f in default/grub default/grub.d/*.cfg;"
		 " do [ ! -e $f ] || . ./$f; done; "
		 "echo \"$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT\"'",
		 tmpdir_path("etc"));
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	line[n + fread(line + n, 1, sizeof(line) - n - 1, f)] = '\0';
	ck_assert_int_eq(pclose(f), 0);
	for (i = 0; i < plan->params.n; i++)
		ck_assert_msg(pst_host_params_holds(line, &plan->params, i) > 0,
			      "%s is not in %s", plan->params.word[i], line);
	tree_file("proc/cmdline", line);
}

static void apply(void)
{
	struct pst_host_journal_want want[64];
	PST_CLEANUP_FREE char *diff = NULL;
	size_t i, changed;

	ck_assert_uint_lt(plan->n_files, PST_ARRAY_SIZE(want));
	for (i = 0; i < plan->n_files; i++)
		want[i] = (struct pst_host_journal_want){plan->file[i].path,
							 plan->file[i].text,
							 plan->file[i].mode};
	ck_assert_msg(pst_host_journal_apply(&journal, "gpu=" GPU "\n", want,
					     plan->n_files, &changed, &diff,
					     &err) == 0,
		      "%s", err.text);
}

/* How many of the boot's findings do not pass now. */
static size_t n_open(void)
{
	size_t n = 0;

	check();
	n += find("vfio.ids")->status != PST_HOST_PASS;
	n += find("vfio.early")->status != PST_HOST_PASS;
	return n;
}

/* Every file of the plan has its former bytes. */
static void undone(const struct pst_host_plan_file *f, size_t n,
		   char *const *former)
{
	size_t i;

	for (i = 0; i < n; i++) {
		PST_CLEANUP_FREE char *now = NULL;

		ck_assert_int_eq(
			pst_host_journal_read(&tree, f[i].path, &now, &err), 0);
		ck_assert(!now == !former[i]);
		ck_assert_msg(!now || strcmp(now, former[i]) == 0, "%s",
			      f[i].path);
	}
}

static void copy_former(char *former[64])
{
	size_t i;

	for (i = 0; i < plan->n_files; i++)
		former[i] =
			plan->file[i].now ? strdup(plan->file[i].now) : NULL;
}

/* One host; whether the plan was one that reaches all. */
static bool one(void)
{
	struct pst_host_plan_request r = {.gpu = GPU};
	struct pst_host_plan_file *files;
	PST_CLEANUP_FREE char *diff = NULL;
	char *former[64] = {0};
	size_t i, open, changed, n;

	ck_assert_int_eq(pst_host_journal_open(&tree, true, &journal, &err), 0);
	if (make_plan(&r) < 0) {
		ck_assert_msg(*err.text, "a refusal without a sentence");
		ck_assert_int_eq(err.code, -EINVAL);
		pst_host_journal_close(&journal);
		return false;
	}
	open = plan->n_open;
	copy_former(former);
	apply();
	boot_with_plan();
	ck_assert_uint_eq(n_open(), open);
	files = plan->file;
	n = plan->n_files;
	plan->file = NULL;
	plan->n_files = 0;
	pst_host_plan_done(plan);
	ck_assert_msg(make_plan(&r) == 0, "%s", err.text);
	ck_assert_uint_eq(pst_host_plan_changes(plan), 0);
	ck_assert_uint_eq(plan->n_open, open);
	pst_host_plan_done(plan);
	ck_assert_int_eq(
		pst_host_journal_undo(&journal, false, &changed, &diff, &err),
		0);
	undone(files, n, former);
	for (i = 0; i < n; i++) {
		free(files[i].path);
		free(files[i].now);
		free(files[i].text);
		free(former[i]);
	}
	free(files);
	pst_host_journal_close(&journal);
	return open == 0;
}

START_TEST(a_plan_reaches_what_it_claims_over_any_settings)
{
	unsigned int seed, reached = 0, refused = 0;

	plan = calloc(1, sizeof(*plan));
	ck_assert_ptr_nonnull(plan);
	for (seed = 0; seed < ROUNDS; seed++) {
		srandom(seed);
		make_good();
		request = (struct pst_host_request){.gpu = GPU};
		tree_driver(GPU, "nouveau");
		tree_driver(AUDIO, "snd_hda_intel");
		tree_file("proc/modules", "nouveau 1 0 - Live 0x0\n"
					  "snd_hda_intel 1 0 - Live 0x0\n");
		settings();
		if (one())
			reached++;
		else
			refused++;
		done();
	}
	free(plan);
	/* Most settings can be put right, or this proves nothing. */
	ck_assert_uint_gt(reached, ROUNDS / 2);
	ck_assert_uint_gt(refused, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_plan_reaches_what_it_claims_over_any_settings);
}

int main(void)
{
	return pst_unit_run("plan_proof", add, 120);
}

/* SPDX-License-Identifier: MIT */
/* What gives a function to vfio-pci. */
#include "kernel-params/config/udev_rules.h"
#include "kernel-params/config/vfio_ids.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static const struct pst_host_pci_dev card = {
	.name = "0000:01:00.0",
	.vendor = 0x10de,
	.device = 0x17c2,
	.sub_vendor = 0x1043,
	.sub_device = 0x8536,
	.class = 0x030000,
};

START_TEST(ids_are_matched_field_by_field)
{
	static const char *const yes[] = {
		"10de:17c2",
		"10DE:17C2",
		"1:2,10de:17c2",
		"10de:17c2:1043:8536",
		"10de:17c2:ffffffff:ffffffff",
		"10de:17c2:1043",
		"10de:ffffffff",
		"10de:ffffffff:ffffffff:ffffffff:00030000:ffff00ff",
		"10de:17c2:ffffffff:ffffffff:30000:ff0000"};
	static const char *const no[] = {
		"",
		"10de",
		"10de:17c3",
		"1002:ffffffff",
		"10de:ffffffff:ffffffff:ffffffff:00040300:ffffffff",
		"10de:17c20",
		"10de:17c2:1",
		"10de:17c2x",
		":17c2",
		"10de:",
		"10de:17c2:ffffffff:ffffffff:40000:ff0000",
		",",
		"10de:17c2:1043:8536:30000:ff0000:1"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(yes); i++)
		ck_assert_msg(pst_host_vfio_ids_cover(yes[i], &card), "%s",
			      yes[i]);
	for (i = 0; i < PST_ARRAY_SIZE(no); i++)
		ck_assert_msg(!pst_host_vfio_ids_cover(no[i], &card), "%s",
			      no[i]);
}
END_TEST

static enum pst_host_vfio_how how(const char *cmdline)
{
	struct pst_host_cmdline line;
	struct pst_host_modconf conf;
	const struct pst_host_early early = {0};
	struct pst_host_vfio_conf c;
	enum pst_host_vfio_how r;

	ck_assert_int_eq(
		pst_host_cmdline_parse(cmdline, strlen(cmdline), &line), 0);
	ck_assert_int_eq(pst_host_modconf_read(&tree, &conf), 0);
	ck_assert_int_eq(
		pst_host_vfio_conf_scan(&tree, &line, &conf, &early, &c), 0);
	r = pst_host_vfio_conf_how(&c, &card);
	pst_host_vfio_conf_done(&c);
	pst_host_modconf_done(&conf);
	pst_host_cmdline_done(&line);
	return r;
}

START_TEST(every_way_of_configuring_it_is_seen)
{
	tree_make();
	ck_assert_int_eq(how("quiet"), PST_HOST_VFIO_NO);
	ck_assert_int_eq(how("vfio-pci.ids"), PST_HOST_VFIO_NO);
	ck_assert_int_eq(how("vfio-pci.ids=10de:17c2"),
			 PST_HOST_VFIO_IDS_CMDLINE);
	tree_file("etc/modprobe.d/a.conf", "options vfio_pci ids=10de:17c2\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_IDS_MODPROBE);
	tree_unlink("etc/modprobe.d/a.conf");
	tree_file("etc/driverctl.d/0000:01:00.0", "vfio-pci\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_OVERRIDE);
	tree_file("etc/driverctl.d/0000:01:00.0", "nvidia\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_NO);
	tree_file("etc/udev/rules.d/10.rules",
		  "#KERNEL==\"0000:01:00.0\" driver_override vfio-pci\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_NO);
	tree_file("etc/udev/rules.d/10.rules",
		  "KERNEL==\"0000:01:00.0\", ATTR{driver_override}="
		  "\"vfio-pci\"\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_OVERRIDE);
	tree_unlink("etc/udev/rules.d/10.rules");
	tree_file("etc/modprobe.d/b.conf",
		  "install vfio-pci /usr/local/bin/override.sh\n");
	tree_file("usr/local/bin/override.sh",
		  "for d in 0000:01:00.0; do\n echo vfio-pci > x; done\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_OVERRIDE);
	tree_remove();
}
END_TEST

START_TEST(nix_files_may_hold_ids)
{
	tree_make();
	tree_file("etc/nixos/gpu.nix",
		  "boot.extraModprobeConfig = ''\n options vfio-pci "
		  "ids=10de:17c2\n'';\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_IDS_MODPROBE);
	tree_remove();
}
END_TEST

START_TEST(rules_of_udev_are_evaluated)
{
	static const struct {
		bool gives;
		const char *rules;
	} rows[] = {
		{true, "KERNEL==\"0000:01:00.*\", "
		       "ATTR{driver_override}=\"vfio-pci\"\n"},
		{true, "ACTION==\"add\", SUBSYSTEM==\"pci\", "
		       "ATTR{vendor}==\"0x10de\", \\\n"
		       "  ATTR{class}==\"0x03*\", "
		       "ATTR{driver_override}=\"vfio-pci\"\n"},
		{true, "KERNEL==\"0000:0[2-9]:00.0|0000:01:00.?\", "
		       "ATTR{driver_override} = \"vfio-pci\"\n"},
		{true, "TEST==\"driver_override\", KERNEL==\"0000:01:00.0\", "
		       "ATTR{driver_override}=\"vfio-pci\"\n"},
		{true, "KERNEL==\"0000:01:00.0\", RUN+=\"/bin/sh -c 'echo %k "
		       "> /sys/bus/pci/drivers/vfio-pci/bind'\"\n"},
		{true, "ACTION!=\"add\", GOTO=\"end\"\n"
		       "KERNEL==\"0000:01:00.0\", "
		       "ATTR{driver_override}=\"vfio-pci\"\n"
		       "LABEL=\"end\"\n"},
		/* It compares, and sets nothing. */
		{false, "KERNEL==\"0000:01:00.0\", "
			"ATTR{driver_override}==\"vfio-pci\"\n"},
		{false, "KERNEL!=\"0000:01:00.0\", "
			"ATTR{driver_override}=\"vfio-pci\"\n"},
		{false, "KERNEL==\"0000:01:00.0\", ATTR{device}==\"0x0fb0\", "
			"ATTR{driver_override}=\"vfio-pci\"\n"},
		{false, "KERNEL==\"0000:01:00.0\", "
			"ATTR{driver_override}=\"vfio-pci\"\n"
			"KERNEL==\"0000:01:*\", ATTR{driver_override}=\"\"\n"},
		{false, "ATTR{vendor}==\"0x10de\", GOTO=\"end\"\n"
			"KERNEL==\"0000:01:00.0\", "
			"ATTR{driver_override}=\"vfio-pci\"\n"
			"LABEL=\"end\"\n"},
		/* udev ignores a rule whose syntax is wrong. */
		{false, "KERNEL==0000:01:00.0, "
			"ATTR{driver_override}=\"vfio-pci\"\n"},
		{false, "KERNEL==\"0000:01:00.0\", "
			"ATTR{driver_override}=\xe2\x80\x9dvfio-pci\"\n"},
		{false, "KERNEL==\"0000:01:00.0\" "
			"ATTR{driver_override}=\"vfio-pci\n"},
		{false, "KERNEL==\"0000:01:00.0\", "
			"RUN+=\"/sbin/modprobe vfio-pci\"\n"},
		{false,
		 "ENV{ID_X}==\"1\", ATTR{driver_override}=\"vfio-pci\"\n"},
		{false, "KERNEL[\"\\"},
		{false, "KERNEL==\"0000:01:00.[!0]\", "
			"ATTR{driver_override}=\"vfio-pci\""},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(rows); i++)
		ck_assert_msg(pst_host_udev_gives(rows[i].rules, &card,
						  false) == rows[i].gives,
			      "%s", rows[i].rules);
	/* What no rule decides stays. */
	ck_assert(pst_host_udev_gives("# x\n", &card, true));
	tree_make();
	tree_file("etc/udev/rules.d/10-vfio.rules",
		  "KERNEL==\"0000:01:00.0\", "
		  "ATTR{driver_override}=\"vfio-pci\"\n");
	tree_file("etc/udev/rules.d/20-no.rules",
		  "ATTR{vendor}==\"0x10de\", ATTR{driver_override}=\"\"\n");
	ck_assert_int_eq(how(""), PST_HOST_VFIO_NO);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, ids_are_matched_field_by_field);
	tcase_add_test(tc, every_way_of_configuring_it_is_seen);
	tcase_add_test(tc, nix_files_may_hold_ids);
	tcase_add_test(tc, rules_of_udev_are_evaluated);
}

int main(void)
{
	return pst_unit_run("vfio_ids", add, 10);
}

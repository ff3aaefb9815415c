/* SPDX-License-Identifier: MIT */
/* Tests of the checks whether a card comes back: answer, reset, power, link. */
#include <check.h>
#include <stdlib.h>

#include "kernel-params/check/reset.h"
#include "tests/fixtures/hostgood.h"
#include "tests/fixtures/unit.h"

START_TEST(a_card_that_cannot_be_reset_is_a_warning)
{
	make_good();
	finding("gpu.reset", PST_HOST_PASS, "methods: flr bus");
	tree_attr(GPU, "reset_method", "pm bus\n");
	finding("gpu.reset", PST_HOST_WARN, "by the bus");
	finding("gpu.reset", PST_HOST_WARN, "vendor-reset is for AMD");
	tree_attr(GPU, "reset_method", "device_specific\n");
	finding("gpu.reset", PST_HOST_PASS, "device_specific");
	tree_attr(GPU, "reset_method", "af_flr bus\n");
	finding("gpu.reset", PST_HOST_PASS, "af_flr");
	tree_attr(GPU, "reset_method", "\n");
	finding("gpu.reset", PST_HOST_WARN, "methods: none");
	tree_attr(GPU, "reset_method", "noflrs flrno\n");
	finding("gpu.reset", PST_HOST_WARN, "methods: noflrs flrno");
	tree_unlink("sys/devices/pci0000:00/" GPU "/reset_method");
	finding("gpu.reset", PST_HOST_WARN, "neither reset nor reset_method");
	tree_attr(GPU, "reset", "");
	finding("gpu.reset", PST_HOST_WARN, "before 5.15");
	finding("gpu.reset", PST_HOST_WARN,
		"penstock host gpu reset 0000:01:00.0");
	tree_attr(GPU, "vendor", "0x1002\n");
	finding("gpu.reset", PST_HOST_WARN, "for many AMD cards");
	done();
}
END_TEST

START_TEST(flr_of_a_gb202_is_no_way_back)
{
	static const char *const ids[] = {"0x2b85\n", "0x2b87\n", "0x2b8c\n",
					  "0x2bb1\n", "0x2bb4\n", "0x2bb5\n"};
	size_t i;

	make_good();
	for (i = 0; i < PST_ARRAY_SIZE(ids); i++) {
		tree_attr(GPU, "device", ids[i]);
		finding("gpu.reset", PST_HOST_WARN, "does not come back");
	}
	finding("gpu.reset", PST_HOST_WARN, "udev rule");
	tree_attr(GPU, "reset_method", "bus\n");
	finding("gpu.reset", PST_HOST_PASS, "methods: bus");
	tree_attr(GPU, "reset_method", "\n");
	finding("gpu.reset", PST_HOST_PASS, "vfio-pci resets its bus");
	tree_unlink("sys/devices/pci0000:00/" GPU "/reset_method");
	finding("gpu.reset", PST_HOST_WARN, "was not seen");
	/* Its neighbours GB203 and GB205, and the sound of a card. */
	tree_attr(GPU, "reset_method", "flr bus\n");
	tree_attr(GPU, "device", "0x2c05\n");
	finding("gpu.reset", PST_HOST_PASS, "flr");
	tree_attr(GPU, "device", "0x2b85\n");
	tree_attr(GPU, "class", "0x040300\n");
	request.gpu = GPU;
	finding("gpu.reset", PST_HOST_PASS, "flr");
	done();
}
END_TEST

START_TEST(a_card_in_d3cold_is_a_warning_and_is_not_woken)
{
	make_good();
	finding("gpu.power", PST_HOST_PASS, "is in D0");
	tree_attr(GPU, "power_state", "D3cold\n");
	/* What would answer has to be left alone. */
	finding("gpu.power", PST_HOST_WARN, "in D3cold under vfio-pci");
	finding("gpu.power", PST_HOST_WARN, "disable_idle_d3=1");
	finding("gpu.power", PST_HOST_WARN, "d3cold_allowed");
	finding("gpu.link", PST_HOST_WARN, "was not seen");
	ck_assert_int_eq(host.state.fn[0].config.answer,
			 PST_HOST_ANSWER_UNSEEN);
	ck_assert_int_eq(host.state.fn[1].config.answer, PST_HOST_ANSWER_YES);
	tree_file("etc/modprobe.d/idle.conf",
		  "options vfio-pci disable_idle_d3=1\n");
	finding("gpu.power", PST_HOST_WARN, "not in effect yet");
	done();
}
END_TEST

START_TEST(d3cold_of_a_card_without_flr_is_a_warning_where_it_is_allowed)
{
	make_good();
	tree_attr(GPU, "reset_method", "bus\n");
	finding("gpu.power", PST_HOST_WARN, "may go to D3cold");
	tree_file("sys/module/vfio_pci/parameters/disable_idle_d3", "Y\n");
	finding("gpu.power", PST_HOST_PASS, "D0");
	tree_file("sys/module/vfio_pci/parameters/disable_idle_d3", "N\n");
	finding("gpu.power", PST_HOST_WARN, "may go to D3cold");
	tree_attr(GPU, "d3cold_allowed", "0\n");
	tree_attr(AUDIO, "power/control", "on\n");
	finding("gpu.power", PST_HOST_PASS, "D0");
	tree_attr(AUDIO, "power/control", "auto\n");
	finding("gpu.power", PST_HOST_WARN, "may go to D3cold");
	tree_attr(GPU, "power_state", "\x1b[31mD3cold\n");
	tree_attr(AUDIO, "power_state", "unknown\n");
	finding("gpu.power", PST_HOST_WARN, "was not seen");
	done();
}
END_TEST

START_TEST(a_card_that_fell_off_the_bus_fails)
{
	static const char config[] = "sys/devices/pci0000:00/" GPU "/config";
	uint8_t gone[64];

	make_good();
	finding("gpu.answer", PST_HOST_PASS, "2 of 2 functions");
	memset(gone, 0xff, sizeof(gone));
	tree_bytes(config, gone, sizeof(gone));
	finding("gpu.answer", PST_HOST_FAIL, "header type 7f");
	gone[0] = 1;
	gone[1] = 0;
	tree_bytes(config, gone, sizeof(gone));
	finding("gpu.answer", PST_HOST_FAIL, "not ready after a reset");
	good_config(GPU, 0x10de, 0x2204);
	good_config(AUDIO, 0x8086, 0x1aef);
	finding("gpu.answer", PST_HOST_FAIL, "says that it is 8086:1aef");
	tree_unlink("sys/devices/pci0000:00/" AUDIO "/config");
	tree_bytes(config, gone, sizeof(gone) - 1);
	finding("gpu.answer", PST_HOST_WARN, "was not seen");
	done();
}
END_TEST

/* Moves the card below its root port, as sysfs has it. */
static void make_port(const char *width)
{
	static const char port[] = "0000:00:01.1";
	static const char card[] = "sys/devices/pci0000:00/0000:00:01.1/" GPU;
	char path[TREE_PATH];

	snprintf(path, sizeof(path), "%s",
		 tmpdir_path("sys/devices/pci0000:00/" GPU));
	ck_assert_int_eq(rename(path, tmpdir_path(card)), 0);
	tree_link("sys/bus/pci/devices/" GPU,
		  "../../../devices/pci0000:00/0000:00:01.1/" GPU);
	tree_attr(port, "max_link_width", width);
}

START_TEST(a_link_of_fewer_lanes_is_a_warning)
{
	make_good();
	finding("gpu.link", PST_HOST_PASS, "x16 of x16 at 2.5 of 16.0 GT/s");
	tree_attr(GPU, "current_link_width", "8\n");
	finding("gpu.link", PST_HOST_WARN, "seat the card");
	tree_attr(GPU, "current_link_width", "63\n");
	finding("gpu.link", PST_HOST_WARN, "was not seen");
	tree_attr(GPU, "current_link_width", "0\n");
	finding("gpu.link", PST_HOST_WARN, "was not seen");
	tree_attr(GPU, "current_link_width", "8\n");
	tree_attr(GPU, "current_link_speed", "Unknown\n");
	make_port("8\n");
	finding("gpu.link", PST_HOST_WARN, "slot with more lanes");
	ck_assert_ptr_nonnull(host.state.port);
	ck_assert_str_eq(host.state.port->name, "0000:00:01.1");
	done();
}
END_TEST

START_TEST(values_of_sysfs_are_checked)
{
	static const char *const speeds[] = {"-8.0 GT/s",    "8 GT/s",    "8.0",
					     "99999.0 GT/s", " 8.0 GT/s", ""};
	size_t i;

	make_good();
	for (i = 0; i < PST_ARRAY_SIZE(speeds); i++) {
		tree_attr(GPU, "current_link_speed", speeds[i]);
		check();
		ck_assert_uint_eq(host.state.fn[0].link.speed, 0);
	}
	tree_attr(GPU, "current_link_speed", "32.0 GT/s PCIe\n");
	tree_attr(GPU, "d3cold_allowed", "2\n");
	tree_attr(GPU, "power/control", "on auto\n");
	check();
	ck_assert_uint_eq(host.state.fn[0].link.speed, 32000);
	ck_assert_int_eq(host.state.fn[0].d3cold_allowed, -1);
	ck_assert_int_eq(host.state.fn[0].stays_on, -1);
	done();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_card_that_cannot_be_reset_is_a_warning);
	tcase_add_test(tc, flr_of_a_gb202_is_no_way_back);
	tcase_add_test(tc, a_card_in_d3cold_is_a_warning_and_is_not_woken);
	tcase_add_test(
		tc,
		d3cold_of_a_card_without_flr_is_a_warning_where_it_is_allowed);
	tcase_add_test(tc, a_card_that_fell_off_the_bus_fails);
	tcase_add_test(tc, a_link_of_fewer_lanes_is_a_warning);
	tcase_add_test(tc, values_of_sysfs_are_checked);
}

int main(void)
{
	return pst_unit_run("check_reset", add, 20);
}

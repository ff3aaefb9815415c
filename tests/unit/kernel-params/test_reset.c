/* SPDX-License-Identifier: MIT */
/* Tests of a reset's plan, of records, and of writing to attributes. */
#include <fcntl.h>
#include <unistd.h>

#include "kernel-params/device/act.h"
#include "kernel-params/device/reset.h"
#include "tests/fixtures/hostgood.h"
#include "tests/fixtures/unit.h"

#define ALL                                                                    \
	(PST_HOST_RESET_FUNCTION | PST_HOST_RESET_BUS | PST_HOST_RESET_RESCAN)
#define PORT "0000:00:01.1"

static struct pst_host_reset reset;

/* Puts a function below the port, as sysfs has it. */
static void below_port(const char *name)
{
	char from[TREE_PATH], to[TREE_PATH];

	snprintf(from, sizeof(from), "%s",
		 tmpdir_path("sys/devices/pci0000:00/"));
	strcat(from, name);
	snprintf(to, sizeof(to), "%s",
		 tmpdir_path("sys/devices/pci0000:00/" PORT "/"));
	strcat(to, name);
	ck_assert_int_eq(rename(from, to), 0);
	snprintf(from, sizeof(from), "sys/bus/pci/devices/%s", name);
	snprintf(to, sizeof(to), "../../../devices/pci0000:00/" PORT "/%s",
		 name);
	tree_link(from, to);
}

static void make_card(void)
{
	make_good();
	tree_attr(GPU, "reset", "");
	tree_attr(AUDIO, "reset", "");
	below_port(GPU);
	below_port(AUDIO);
	request.gpu = GPU;
}

static int plan(unsigned int ways)
{
	check();
	ck_assert_ptr_nonnull(host.gpu);
	return pst_host_reset_plan(&host, ways, &reset, &err);
}

START_TEST(a_free_card_has_three_ways)
{
	make_card();
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_eq(reset.ways, ALL);
	ck_assert_uint_eq(reset.n_touched, 2);
	ck_assert_uint_eq(reset.n_blockers, 0);
	ck_assert(!reset.subordinate);
	/* A tree is nobody's card. */
	ck_assert_int_eq(pst_host_reset_run(&reset, 0,
					    &(struct pst_host_reset_result){0},
					    &err),
			 -EOPNOTSUPP);
	tree_attr(PORT, "reset_subordinate", "");
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert(reset.subordinate);
	done();
}
END_TEST

START_TEST(flr_that_fails_and_a_missing_bridge_are_no_ways)
{
	make_card();
	tree_file("sys/devices/pci0000:00/" PORT "/" GPU "/device", "0x2bb1\n");
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_eq(reset.ways,
			  PST_HOST_RESET_BUS | PST_HOST_RESET_RESCAN);
	ck_assert_ptr_nonnull(strstr(reset.skipped[0], "GB202"));
	ck_assert_int_eq(plan(PST_HOST_RESET_FUNCTION), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "GB202"));
	done();
	make_good();
	request.gpu = GPU;
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_eq(reset.ways, PST_HOST_RESET_RESCAN);
	ck_assert_ptr_nonnull(strstr(reset.skipped[1], "no bridge"));
	ck_assert_int_eq(plan(PST_HOST_RESET_SUSPEND), -EOPNOTSUPP);
	tree_file("sys/power/state", "freeze mem\n");
	ck_assert_int_eq(plan(PST_HOST_RESET_SUSPEND), -EOPNOTSUPP);
	tree_file("sys/class/rtc/rtc0/wakealarm", "");
	ck_assert_int_eq(plan(PST_HOST_RESET_SUSPEND), 0);
	done();
}
END_TEST

static void blocked(const char *name, const char *words)
{
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_ge(reset.n_blockers, 1);
	ck_assert_str_eq(reset.blocker[0].dev->name, name);
	ck_assert_msg(strstr(reset.blocker[0].why, words), "%s",
		      reset.blocker[0].why);
}

START_TEST(whatever_uses_what_would_be_reset_blocks_it)
{
	static const char *const audio =
		"sys/devices/pci0000:00/" PORT "/" AUDIO "/driver";

	make_card();
	/* A driver of the host on the card's second function. */
	tree_link(audio, "../../../../bus/pci/drivers/snd_hda_intel");
	blocked(AUDIO, "snd_hda_intel of the host drives it");
	tree_link(audio, "../../../../bus/pci/drivers/pci-stub");
	blocked(AUDIO, "pci-stub");
	tree_link(audio, "../../../../bus/pci/drivers/vfio-pci");
	/* A disk behind the same bridge, and what is mounted from it. */
	below_port("0000:03:00.0");
	tree_file("sys/devices/pci0000:00/" PORT
		  "/0000:03:00.0/nvme/nvme0/nvme0n1/size",
		  "1\n");
	tree_link("sys/class/block/nvme0n1",
		  "../../devices/pci0000:00/" PORT
		  "/0000:03:00.0/nvme/nvme0/nvme0n1");
	tree_file("proc/mounts", "/dev/nvme0n1 /srv ext4 rw 0 0\n");
	blocked("0000:03:00.0", "nvme of the host drives it: /srv on nvme0n1");
	/* It is no function of the card's, and other ways leave it alone. */
	ck_assert_int_eq(plan(PST_HOST_RESET_FUNCTION | PST_HOST_RESET_RESCAN),
			 0);
	ck_assert_uint_eq(reset.n_blockers, 0);
	tree_file("proc/mounts", "");
	blocked("0000:03:00.0", "nvme of the host drives it");
	done();
}
END_TEST

START_TEST(virtual_machines_and_virtual_functions_block_it)
{
	make_card();
	tree_file("proc/77/comm", "qemu-system-x86\n");
	tree_link("proc/77/fd/5", "/dev/null");
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_eq(reset.n_blockers, 0);
	tree_link("proc/77/fd/31", "/dev/vfio/11");
	blocked(GPU, "process 77 (qemu-system-x86) has it open");
	tree_link("proc/77/fd/31", "/dev/vfio/111");
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_eq(reset.n_blockers, 0);
	/* By the device itself (iommufd). */
	tree_file("sys/devices/pci0000:00/" PORT "/" AUDIO
		  "/vfio-dev/vfio3/dev",
		  "511:3\n");
	tree_link("proc/77/fd/31", "/dev/vfio/devices/vfio3");
	blocked(AUDIO, "process 77");
	tree_link("proc/77/fd/31", "/dev/null");
	tree_file("sys/devices/pci0000:00/" PORT "/" GPU "/sriov_numvfs",
		  "2\n");
	blocked(GPU, "virtual functions");
	done();
}
END_TEST

/* Runs what was planned as if the tree were the machine. */
static int run_planned(struct pst_host_reset_result *ret)
{
	int r;

	tree.live = true;
	r = pst_host_reset_run(&reset, 0, ret, &err);
	tree.live = false;
	return r;
}

START_TEST(what_has_changed_since_it_was_planned_stops_it)
{
	struct pst_host_reset_result result;

	make_card();
	tree_file("dev/vfio/11", "");
	tree_file("proc/mounts", "");
	ck_assert_int_eq(plan(ALL), 0);
	ck_assert_uint_eq(reset.n_blockers, 0);
	/* A driver of the host has come. */
	tree_link("sys/devices/pci0000:00/" PORT "/" AUDIO "/driver",
		  "../../../../bus/pci/drivers/snd_hda_intel");
	ck_assert_int_eq(run_planned(&result), -EBUSY);
	ck_assert_msg(strstr(err.text, AUDIO " is in use now: snd_hda_intel") !=
			      NULL,
		      "%s", err.text);
	tree_link("sys/devices/pci0000:00/" PORT "/" AUDIO "/driver",
		  "../../../../bus/pci/drivers/vfio-pci");
	/* Another function has. */
	tree_pci(&(struct tree_pci){"0000:01:00.2", "0x10de", "0x1ad8",
				    "0x0c0330", "vfio-pci", 11, NULL});
	below_port("0000:01:00.2");
	ck_assert_int_eq(run_planned(&result), -EBUSY);
	ck_assert_msg(strstr(err.text, "0000:01:00.2 has come below") != NULL,
		      "%s", err.text);
	ck_assert_uint_eq(result.n, 0);
	/* The card is gone. */
	tree_unlink("sys/bus/pci/devices/0000:01:00.2");
	tree_unlink("sys/bus/pci/devices/" AUDIO);
	tree_unlink("sys/bus/pci/devices/" GPU);
	ck_assert_int_lt(run_planned(&result), 0);
	ck_assert_uint_eq(result.n, 0);
	done();
}
END_TEST

START_TEST(the_clock_is_set_before_the_machine_sleeps)
{
	struct pst_host_reset_result result;
	char text[32];

	make_card();
	tree_file("dev/vfio/11", "");
	tree_file("proc/mounts", "");
	tree_file("sys/power/state", "freeze mem\n");
	tree_file("sys/class/rtc/rtc0/wakealarm", "");
	ck_assert_int_eq(plan(PST_HOST_RESET_SUSPEND), 0);
	ck_assert_int_eq(run_planned(&result), 0);
	ck_assert_uint_eq(result.n, 1);
	ck_assert(result.back);
	ck_assert_int_gt(pst_host_root_read_text(&tree,
						 "sys/class/rtc/rtc0/wakealarm",
						 text, sizeof(text)),
			 0);
	ck_assert_str_eq(text, "+10");
	ck_assert_int_gt(pst_host_root_read_text(&tree, "sys/power/state", text,
						 sizeof(text)),
			 0);
	ck_assert_int_eq(strncmp(text, "mem", 3), 0);
	done();
}
END_TEST

static struct pst_host_record record(void)
{
	struct pst_host_record r = {0};
	size_t i;

	check();
	for (i = 0; i < host.state.n; i++)
		ck_assert(pst_host_record_add(&r, &host.state.fn[i]));
	return r;
}

static bool compares(const struct pst_host_record *r, const char *words)
{
	struct pst_host_text seen = {0};
	bool good;

	check();
	good = pst_host_record_compare(r, &tree, &host.pci, &seen);
	ck_assert_msg(*words ? strstr(seen.buf, words) != NULL : !seen.len,
		      "'%s' is not in '%s'", words, seen.buf);
	return good;
}

START_TEST(a_record_is_read_as_it_was_written)
{
	char text[PST_HOST_RECORD_MAX];
	struct pst_host_record r, again = {0};

	make_card();
	r = record();
	ck_assert_uint_eq(r.n, 2);
	ck_assert_int_eq(pst_host_record_format(&r, text), 0);
	ck_assert_int_eq(pst_host_record_parse(text, &again), 0);
	ck_assert_uint_eq(again.n, 2);
	ck_assert(compares(&again, ""));
	done();
}
END_TEST

START_TEST(a_record_that_somebody_else_wrote_is_refused)
{
	static const char *const bad[] = {
		"",
		"penstock-card 2\n",
		"penstock-card 1\nx\n",
		"penstock-card 1\n0000:01:00.0 10de 2204 1 1 16 0 0 flr",
		"penstock-card 1\n0000:01:00.0 10de 2204 9 1 16 0 0 flr\n",
		"penstock-card 1\n0000:01:00.0 10de 2204 1 9 16 0 0 flr\n",
		"penstock-card 1\n0000:01:00.0 10de 2204 1 1 33 0 0 flr\n",
		"penstock-card 1\n0000:01:00.9 10de 2204 1 1 16 0 0 flr\n",
		"penstock-card 1\n0000:01:00.0 10de 2204 1 1 16 0 0 flr\x1b\n",
		"penstock-card 1\n0000:01:00.0 10de 2204 1 1 16 0 0\n",
		"penstock-card 1\n\n",
	};
	static const char line[] =
		"0000:01:00.0 10de 2204 1 1 16 00000000 00000000 flr,bus\n";
	char many[PST_HOST_RECORD_MAX] = "penstock-card 1\n";
	struct pst_host_record r;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_host_record_parse(bad[i], &r) == -EPROTO,
			      "%zu", i);
	for (i = 0; i < PST_HOST_RECORD_FN; i++)
		strcat(many, line);
	ck_assert_int_eq(pst_host_record_parse(many, &r), 0);
	strcat(many, line);
	ck_assert_int_eq(pst_host_record_parse(many, &r), -EPROTO);
}
END_TEST

START_TEST(what_is_different_afterwards_is_said)
{
	static const char dir[] = "sys/devices/pci0000:00/" PORT "/" GPU "/";
	struct pst_host_record r;
	char path[TREE_PATH];
	uint8_t gone[64];

	make_card();
	r = record();
	snprintf(path, sizeof(path), "%scurrent_link_width", dir);
	tree_file(path, "8\n");
	ck_assert(compares(&r, GPU " has x8 lanes, and had x16"));
	snprintf(path, sizeof(path), "%sreset_method", dir);
	tree_file(path, "bus\n");
	ck_assert(compares(&r, "has reset methods bus, and had flr,bus"));
	snprintf(path, sizeof(path), "%sconfig", dir);
	memset(gone, 0, sizeof(gone));
	memcpy(gone, "\xde\x10\x04\x22", 4);
	gone[0x13] = 0xfb;
	tree_bytes(path, gone, sizeof(gone));
	ck_assert(compares(&r, "other base addresses"));
	gone[2] = 5;
	tree_bytes(path, gone, sizeof(gone));
	ck_assert(!compares(&r, "was 10de:2204, and is 10de:2205"));
	memset(gone, 0xff, sizeof(gone));
	tree_bytes(path, gone, sizeof(gone));
	ck_assert(!compares(&r, "does not answer"));
	memcpy(gone, "\x01\x00", 2);
	tree_bytes(path, gone, sizeof(gone));
	ck_assert(!compares(&r, "not ready yet"));
	tree_unlink("sys/bus/pci/devices/" AUDIO);
	ck_assert(!compares(&r, AUDIO " is gone"));
	done();
}
END_TEST

START_TEST(an_attribute_is_written_or_a_sentence_says_why_not)
{
	char text[8];

	tree_make();
	tree_file("sys/reset", "0");
	ck_assert_int_eq(pst_host_act_write(&tree, "sys/reset", "1", &err), 0);
	ck_assert_int_eq(
		pst_host_root_read_text(&tree, "sys/reset", text, sizeof(text)),
		1);
	ck_assert_str_eq(text, "1");
	ck_assert_int_eq(pst_host_act_write(&tree, "/sys/none", "1", &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot write to /sys/none"));
	tree_link("sys/link", "reset");
	ck_assert_int_eq(pst_host_act_write(&tree, "sys/link", "0", &err),
			 -ELOOP);
	/* One that the kernel is busy with for long: nobody reads a FIFO. */
	ck_assert_int_eq(mkfifo(tmpdir_path("sys/busy"), 0600), 0);
	ck_assert_int_eq(pst_host_act_bytes(&tree, "sys/busy", 0, "1", 1,
					    20 * PST_NS_PER_MS, &err),
			 -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "still busy"));
	/* The child goes on when somebody does. */
	{
		PST_CLEANUP_FD int fd = open(tmpdir_path("sys/busy"), O_RDONLY);

		ck_assert_int_eq(read(fd, text, 1), 1);
	}
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_free_card_has_three_ways);
	tcase_add_test(tc, flr_that_fails_and_a_missing_bridge_are_no_ways);
	tcase_add_test(tc, whatever_uses_what_would_be_reset_blocks_it);
	tcase_add_test(tc, virtual_machines_and_virtual_functions_block_it);
	tcase_add_test(tc, what_has_changed_since_it_was_planned_stops_it);
	tcase_add_test(tc, the_clock_is_set_before_the_machine_sleeps);
	tcase_add_test(tc, a_record_is_read_as_it_was_written);
	tcase_add_test(tc, a_record_that_somebody_else_wrote_is_refused);
	tcase_add_test(tc, what_is_different_afterwards_is_said);
	tcase_add_test(tc, an_attribute_is_written_or_a_sentence_says_why_not);
}

int main(void)
{
	return pst_unit_run("reset", add, 30);
}

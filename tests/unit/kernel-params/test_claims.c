/* SPDX-License-Identifier: MIT */
/* What others take of a host's memory: pools of all sizes, other guests. */
#include "kernel-params/config/claims.h"

#include <string.h>

#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static struct pst_host_claims c;
static struct pst_host_memory memory;
static char text[PST_HOST_CLAIM_TEXT];

static uint64_t of_cmdline(const char *line)
{
	c = (struct pst_host_claims){0};
	pst_host_claims_cmdline(&c, line, true);
	return pst_host_claims_others(&c, -1, 1, text);
}

START_TEST(a_command_line_gives_pages_of_several_sizes)
{
	ck_assert_uint_eq(of_cmdline("hugepagesz=1G hugepages=120 "
				     "hugepagesz=2M hugepages=10240"),
			  120 * GIB);
	ck_assert_str_eq(text, "120 pages of 1 GiB: 122880 MiB");
	ck_assert_uint_eq(of_cmdline("default_hugepagesz=1G hugepages=3"),
			  3 * GIB);
	ck_assert_uint_eq(of_cmdline("hugepages=3"), 0);
	/* The first count of a size is the one that the kernel takes. */
	ck_assert_uint_eq(of_cmdline("hugepagesz=1G hugepages=2 hugepagesz=2M "
				     "hugepages=1 hugepagesz=1G hugepages=9"),
			  2 * GIB);
	ck_assert_uint_eq(of_cmdline("hugepagesz=64K hugepages=16 "
				     "hugepagesz=32M hugepages=2"),
			  65 * MIB);
	ck_assert_uint_eq(of_cmdline("hugepagesz=1G hugepages=x"), 0);
	ck_assert_uint_eq(of_cmdline("hugepagesz=1G hugepages="
				     "9999999999999999999"),
			  UINT64_MAX);
}
END_TEST

START_TEST(counts_of_a_node_are_that_nodes)
{
	ck_assert_uint_eq(of_cmdline("hugepagesz=1G hugepages=0:8,1:4"),
			  12 * GIB);
	ck_assert_uint_eq(pst_host_claims_others(&c, 0, 2, text), 8 * GIB);
	ck_assert_uint_eq(pst_host_claims_others(&c, 1, 2, text), 4 * GIB);
	/* What has no node is spread over them. */
	ck_assert_uint_eq(of_cmdline("hugepagesz=1G hugepages=8"), 8 * GIB);
	ck_assert_uint_eq(pst_host_claims_others(&c, 1, 2, text), 4 * GIB);
}
END_TEST

START_TEST(words_are_found_in_the_files_of_loaders)
{
	c = (struct pst_host_claims){0};
	pst_host_claims_file(&c,
			     "# GRUB_CMDLINE=\"hugepagesz=1G hugepages=99\"\n"
			     "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet "
			     "hugepagesz=1G hugepages=7\"\r\n"
			     "options root=x hugepagesz=1G hugepages=5\n",
			     true);
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text), 7 * GIB);
}
END_TEST

static void scan(const struct pst_host_pci_dev *gpu)
{
	struct pst_error err;

	pst_host_memory_done(&memory);
	ck_assert_int_eq(pst_host_memory_scan(&tree, &memory, &err), 0);
	pst_host_claims_scan(&tree, &memory, gpu, &c);
}

START_TEST(settings_and_pools_that_are_there_count)
{
	tree_make();
	tree_file("etc/sysctl.d/50-db.conf",
		  "# vm.nr_hugepages = 9\n-vm/nr_hugepages=512 \r\n"
		  "vm.nr_hugepages_mempolicy = 4\n");
	tree_file("etc/sysctl.d/90-penstock.conf", "vm.nr_hugepages = 1\n");
	tree_file("etc/tmpfiles.d/x.conf",
		  "w /sys/kernel/mm/hugepages/hugepages-1048576kB/"
		  "nr_hugepages - - - - 4\n"
		  "w /sys/devices/system/node/node1/hugepages/"
		  "hugepages-1048576kB/nr_hugepages - - - - 2\n");
	scan(NULL);
	ck_assert_str_eq(c.later, "etc/sysctl.d/50-db.conf: "
				  "-vm/nr_hugepages=512");
	ck_assert_uint_eq(c.later_pages, 512);
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text), 6 * GIB);
	/* The last file counts, and the default size. */
	tree_file("etc/sysctl.conf", "vm.nr_hugepages = 3\n");
	scan(NULL);
	ck_assert_uint_eq(c.later_pages, 3);
	/* A line is no longer than it is. */
	tree_file("etc/sysctl.conf", "vm\nnr_hugepages = 4 \n");
	scan(NULL);
	ck_assert_uint_ne(c.later_pages, 4);
	tree_file("proc/meminfo", "Hugepagesize: 1048576 kB\n");
	tree_file("etc/tmpfiles.d/x.conf", "");
	scan(NULL);
	ck_assert_str_eq(c.later, "");
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text), 512 * GIB);
	/* A pool without a setting is there all the same. */
	tree_file("etc/sysctl.conf", "");
	tree_file("etc/sysctl.d/50-db.conf", "");
	tree_file("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
		  "5\n");
	tree_file("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages",
		  "0\n");
	scan(NULL);
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text), 5 * GIB);
	tree_remove();
}
END_TEST

#define DOMAIN(name, memory, more)                                             \
	"<!-- <domain><memory>1</memory></domain> -->\n<domain type='kvm'>"    \
	"<name>" name "</name>" memory more "</domain>\n"
#define HOSTDEV(bus)                                                           \
	"<devices><hostdev mode='subsystem' type='pci'><source>"               \
	"<address domain='0x0000' bus='" bus "' slot='0x00' function='0x1'/>"  \
	"</source></hostdev></devices>"

START_TEST(libvirts_guests_that_start_by_themselves_count)
{
	static const struct pst_host_pci_dev gpu = {.addr = {.bus = 1}};

	tree_make();
	tree_file("etc/libvirt/qemu/web.xml",
		  DOMAIN("web", "<memory unit='GiB'>8</memory>", ""));
	tree_file("etc/libvirt/qemu/db.xml",
		  DOMAIN("db", "<memory\n unit='KiB'>4194304</memory>",
			 "<memoryBacking><hugepages/></memoryBacking>"));
	tree_file("etc/libvirt/qemu/big.xml",
		  DOMAIN("big", "<memory unit='GiB'>16</memory>",
			 "<memoryBacking><hugepages><page size='1' unit='G'/>"
			 "</hugepages></memoryBacking>"));
	tree_file("etc/libvirt/qemu/win.xml",
		  DOMAIN("win", "<memory unit='GiB'>32</memory>",
			 HOSTDEV("0x01")));
	tree_file("etc/libvirt/qemu/other.xml",
		  DOMAIN("other", "<memory unit='GiB'>1</memory>",
			 HOSTDEV("0x02")));
	scan(&gpu);
	ck_assert_uint_eq(c.n, 0);
	tree_file("etc/libvirt/qemu/autostart/db.xml", "");
	tree_file("etc/libvirt/qemu/autostart/big.xml", "");
	tree_file("etc/libvirt/qemu/autostart/win.xml", "");
	tree_file("etc/libvirt/qemu/autostart/other.xml", "");
	tree_file("run/libvirt/qemu/web.xml", "");
	scan(&gpu);
	ck_assert_uint_eq(pst_host_claims_small(&c), 4 * GIB);
	/* db takes of the pool of 2 MiB, big of its own, win is ours. */
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text), 13 * GIB);
	ck_assert_ptr_nonnull(strstr(text, "guest web: 8192 MiB"));
	ck_assert_ptr_null(strstr(text, "guest win"));
	/* Where they run is not known. */
	ck_assert_uint_eq(pst_host_claims_others(&c, 0, 2, text), 0);
	tree_remove();
}
END_TEST

START_TEST(proxmoxs_guests_count_too)
{
	static const struct pst_host_pci_dev gpu = {.addr = {.bus = 1}};

	tree_make();
	tree_file("etc/pve/qemu-server/100.conf",
		  "#note: memory: 99999\nname: web\nmemory: 8192\nonboot: 1\n"
		  "[snap]\nmemory: 1\nonboot: 0\n");
	tree_file(
		"etc/pve/qemu-server/101.conf",
		"name: win\nmemory: 4096\nonboot: 1\nhostpci0: 01:00,pcie=1\n");
	tree_file("etc/pve/qemu-server/102.conf", "name: off\nmemory: 1024\n");
	tree_file("etc/pve/qemu-server/103.conf",
		  "memory: 2048\nonboot: 1\nhugepages: 2\n"
		  "hostpci0: 0000:02:00.0\n");
	tree_file("etc/pve/qemu-server/104.conf",
		  "memory: 2048\nonboot: 1\nhugepages: 1024\n");
	scan(&gpu);
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text), 10 * GIB);
	ck_assert_str_eq(text, "guest web: 8192 MiB, guest 103: 2048 MiB");
	ck_assert_uint_eq(pst_host_claims_small(&c), 2 * GIB);
	tree_remove();
}
END_TEST

static const char *const odd[] = {
	"",
	"<",
	"<domain",
	"<domain><memory>",
	"</domain></domain></domain>",
	"<domain><memory unit='EiB'>99999999999999999999</memory></domain>",
	"<domain><memory unit=>x</memory><!--",
	"<!DOCTYPE x [",
	"text",
};

START_TEST(what_is_no_domain_counts_nothing)
{
	tree_make();
	tree_file("etc/libvirt/qemu/x.xml", odd[_i]);
	tree_file("etc/libvirt/qemu/autostart/x.xml", "");
	scan(NULL);
	ck_assert_uint_eq(c.n, 0);
	tree_remove();
}
END_TEST

START_TEST(more_than_can_be_named_are_still_bounded)
{
	char path[64];
	int i;

	tree_make();
	for (i = 0; i < 2 * PST_HOST_CLAIMS; i++) {
		snprintf(path, sizeof(path), "etc/libvirt/qemu/%d.xml", i);
		tree_file(path, DOMAIN("a-guest-with-a-long-name-of-its-own",
				       "<memory unit='MiB'>1</memory>", ""));
		snprintf(path, sizeof(path), "run/libvirt/qemu/%d.xml", i);
		tree_file(path, "");
	}
	scan(NULL);
	ck_assert_uint_eq(c.n, PST_HOST_CLAIMS);
	ck_assert_uint_eq(pst_host_claims_others(&c, -1, 1, text),
			  2 * PST_HOST_CLAIMS * MIB);
	ck_assert_ptr_nonnull(strstr(text, ", ..."));
	ck_assert_str_eq(c.claim[PST_HOST_CLAIMS - 1].what, "further guests");
	tree_remove();
}
END_TEST

START_TEST(every_writer_of_the_default_pool_is_seen)
{
	static const struct {
		const char *file, *text;
		uint64_t pages;
	} writers[] = {
		{"usr/lib/sysctl.d/a.conf", "vm.nr_hugepages = 7\n", 7},
		{"run/sysctl.d/a.conf", "vm.nr_hugepages = 6\n", 6},
		{"usr/local/lib/tmpfiles.d/a.conf",
		 "w /proc/sys/vm/nr_hugepages - - - - 5\n", 5},
		{"etc/rc.local", "echo 4 > /proc/sys/vm/nr_hugepages\n", 4},
		{"etc/rc.local", "\tsysctl -w vm.nr_hugepages=3\n", 3},
		{"etc/rc.local", "# sysctl -w vm.nr_hugepages=3\n", 0},
		{"etc/rc.local", "echo $n > /proc/sys/vm/nr_hugepages\n", 0},
		{"etc/tmpfiles.d/a", "w /proc/sys/vm/nr_hugepages - - - - 2\n",
		 0},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(writers); i++) {
		tree_make();
		tree_file(writers[i].file, writers[i].text);
		scan(NULL);
		ck_assert_msg(c.later_pages == writers[i].pages, "%s: %s",
			      writers[i].file, writers[i].text);
		tree_remove();
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_writer_of_the_default_pool_is_seen);
	tcase_add_test(tc, a_command_line_gives_pages_of_several_sizes);
	tcase_add_test(tc, counts_of_a_node_are_that_nodes);
	tcase_add_test(tc, words_are_found_in_the_files_of_loaders);
	tcase_add_test(tc, settings_and_pools_that_are_there_count);
	tcase_add_test(tc, libvirts_guests_that_start_by_themselves_count);
	tcase_add_test(tc, proxmoxs_guests_count_too);
	tcase_add_loop_test(tc, what_is_no_domain_counts_nothing, 0,
			    PST_ARRAY_SIZE(odd));
	tcase_add_test(tc, more_than_can_be_named_are_still_bounded);
}

int main(void)
{
	return pst_unit_run("claims", add, 20);
}

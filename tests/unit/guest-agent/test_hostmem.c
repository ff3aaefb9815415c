/* SPDX-License-Identifier: MIT */
/* What memory there is, and pieces of it for tensors. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest-agent/cpu/hostmem.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/meminfo.h"
#include "transport/base/util.h"

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)

static struct pst_error err;

static void write_file(const char *name, const char *text)
{
	char path[PATH_MAX], *p;
	FILE *f;

	snprintf(path, sizeof(path), "%s", tmpdir_path(name));
	for (p = strchr(path + strlen(tmpdir) + 1, '/'); p;
	     p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0700) < 0)
			ck_assert_int_eq(errno, EEXIST);
		*p = '/';
	}
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void available(unsigned long long kib)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable:  %llu "
		 "kB\nBuffers: 3 kB\n",
		 kib);
	write_file("proc/meminfo", text);
}

static void resident(unsigned long long kib)
{
	char text[128];

	snprintf(text, sizeof(text), "VmRSS:\t77 kB\nRssAnon:\t%8llu kB\n",
		 kib);
	write_file("proc/self/status", text);
}

static void setup(void)
{
	tmpdir_make();
	available(GIB / KIB);
	resident(1000);
}

static uint64_t ask(void)
{
	uint64_t v = 0;

	ck_assert_int_eq(pst_meminfo_available(tmpdir, &v), 0);
	return v;
}

START_TEST(meminfo_and_status_are_read)
{
	uint64_t v;

	ck_assert_uint_eq(ask(), GIB);
	ck_assert_int_eq(pst_meminfo_resident(tmpdir, &v), 0);
	ck_assert_uint_eq(v, 1000 * KIB);
	write_file("proc/meminfo", "MemTotal: 5 kB\n");
	ck_assert_int_eq(pst_meminfo_available(tmpdir, &v), -EINVAL);
	unlink(tmpdir_path("proc/meminfo"));
	ck_assert_int_eq(pst_meminfo_available(tmpdir, &v), -ENOENT);
}
END_TEST

START_TEST(a_control_groups_limit_counts_without_its_page_cache)
{
	write_file("proc/self/cgroup", "3:cpuset:/x\n0::/a.slice/b.service\n");
	write_file("sys/fs/cgroup/a.slice/b.service/memory.max", "1000000\n");
	write_file("sys/fs/cgroup/a.slice/b.service/memory.current", "600000");
	ck_assert_uint_eq(ask(), 400000);
	write_file("sys/fs/cgroup/a.slice/b.service/memory.stat",
		   "anon 3\nworkingset_inactive_file 9999\ninactive_file "
		   "100000\nactive_file 50000\n");
	ck_assert_uint_eq(ask(), 550000);
	write_file("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	ck_assert_uint_eq(ask(), GIB);
}
END_TEST

START_TEST(the_limit_of_a_group_above_counts_too)
{
	write_file("proc/self/cgroup", "0::/a/b/c\n");
	write_file("sys/fs/cgroup/a/memory.max", "500000\n");
	write_file("sys/fs/cgroup/a/memory.current", "600000\n");
	write_file("sys/fs/cgroup/a/b/c/memory.max", "900000\n");
	write_file("sys/fs/cgroup/a/b/c/memory.current", "0\n");
	ck_assert_uint_eq(ask(), 0);
	write_file("sys/fs/cgroup/a/memory.current", "1\n");
	ck_assert_uint_eq(ask(), 499999);
	write_file("sys/fs/cgroup/memory.max", "77\n");
	write_file("sys/fs/cgroup/memory.current", "7\n");
	ck_assert_uint_eq(ask(), 70);
}
END_TEST

static bool is_zero(const uint8_t *p, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

START_TEST(pieces_of_every_size_are_zeroed_and_aligned)
{
	static const uint64_t sizes[] = {1,       255, 256,       4096,
					 MIB - 1, MIB, MIB + 257, 5 * MIB + 3};
	struct pst_agent_hostmem h;
	uint8_t *mem[2];
	void *p;
	size_t i, j;

	pst_agent_hostmem_init(&h, "");
	for (i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < 2; j++) {
			ck_assert_int_eq(
				pst_agent_hostmem_alloc(&h, sizes[i], &p, &err),
				0);
			mem[j] = p;
			ck_assert_uint_eq((uintptr_t)p % 256, 0);
			ck_assert(is_zero(mem[j], sizes[i]));
			memset(mem[j], 0xff, sizes[i]);
		}
		ck_assert_uint_eq(h.promised, 2 * sizes[i]);
		pst_agent_hostmem_release(&h, mem[0]);
		pst_agent_hostmem_release(&h, mem[1]);
		ck_assert_uint_eq(h.promised, 0);
	}
	pst_agent_hostmem_done(&h);
}
END_TEST

START_TEST(what_is_promised_but_not_touched_counts)
{
	struct pst_agent_hostmem h;
	void *a, *b;

	pst_agent_hostmem_init(&h, tmpdir);
	/* 7/8 of 1 GiB are 896 MiB. */
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 897 * MIB, &a, &err),
			 -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.text, "has 939524096 to give"));
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 500 * MIB, &a, &err), 0);
	/* The kernel still shows 1 GiB. */
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 397 * MIB, &b, &err),
			 -ENOMEM);
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 396 * MIB, &b, &err), 0);
	pst_agent_hostmem_release(&h, b);
	/* Now the first one is touched, and missing there. */
	resident(1000 + 500 * 1024);
	available(524 * 1024);
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 459 * MIB, &b, &err),
			 -ENOMEM);
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 458 * MIB, &b, &err), 0);
	pst_agent_hostmem_release(&h, b);
	pst_agent_hostmem_release(&h, a);
	pst_agent_hostmem_done(&h);
}
END_TEST

/* Whether an address is mapped. */
static bool is_mapped(void *p)
{
	unsigned char vec;

	return mincore((void *)((uintptr_t)p & ~(uintptr_t)4095), 1, &vec) == 0;
}

START_TEST(large_pieces_are_unmapped_behind_ones_back_and_at_last)
{
	struct pst_agent_hostmem h;
	void *mem[20];
	size_t i;

	pst_agent_hostmem_init(&h, "");
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(
			pst_agent_hostmem_alloc(&h, 64 * MIB, &mem[i], &err),
			0);
		*(char *)mem[i] = 1;
	}
	ck_assert_ptr_null(h.reaper);
	for (i = 0; i < 20; i++)
		pst_agent_hostmem_release(&h, mem[i]);
	ck_assert_ptr_nonnull(h.reaper);
	ck_assert_uint_eq(h.promised, 0);
	for (i = 0; i < 1000 && is_mapped(mem[0]); i++)
		usleep(10000);
	pst_agent_hostmem_done(&h);
	for (i = 0; i < 20; i++)
		ck_assert(!is_mapped(mem[i]));
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
	struct pst_agent_hostmem h;
	void *a;

	pst_agent_hostmem_init(&h, "");
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, UINT64_MAX, &a, &err),
			 -ENOMEM);
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 1ULL << 62, &a, &err),
			 -ENOMEM);
	/* Without figures the kernel says no. */
	pst_agent_hostmem_init(&h, "/nonexistent");
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, UINT64_MAX, &a, &err),
			 -ENOMEM);
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 1ULL << 62, &a, &err),
			 -ENOMEM);
	ck_assert_int_eq(pst_agent_hostmem_alloc(&h, 10, &a, &err), 0);
	pst_agent_hostmem_release(&h, a);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, tmpdir_remove);
	tcase_add_test(tc, meminfo_and_status_are_read);
	tcase_add_test(tc,
		       a_control_groups_limit_counts_without_its_page_cache);
	tcase_add_test(tc, the_limit_of_a_group_above_counts_too);
	tcase_add_test(tc, pieces_of_every_size_are_zeroed_and_aligned);
	tcase_add_test(tc, what_is_promised_but_not_touched_counts);
	tcase_add_test(tc,
		       large_pieces_are_unmapped_behind_ones_back_and_at_last);
	tcase_add_test(tc, impossible_sizes_are_refused);
}

int main(void)
{
	return pst_unit_run("hostmem", add, 30);
}

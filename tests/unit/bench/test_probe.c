/* SPDX-License-Identifier: MIT */
/* The probes of the machine, the ways to copy, and what a machine tells. */
#include "bench/probe.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench/clock.h"
#include "bench/copy.h"
#include "bench/machine.h"
#include "bench/mem.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

/* Bytes around a target that no copy may touch. */
#define GUARD 64

static struct pst_bench_hist h;

START_TEST(each_probe_makes_round_trips)
{
	struct pst_bench_probe *p;
	struct pst_bench_cpus cpus;

	ck_assert_int_eq(pst_bench_cpus_choose(&cpus), 0);
	if (_i == PST_BENCH_PROBE_LINES && cpus.client == cpus.peer)
		return; /* each look would cost a time slice */
	pst_bench_hist_reset(&h);
	ck_assert_int_eq(pst_bench_probe_open(_i, cpus.peer, &p), 0);
	ck_assert_int_eq(pst_bench_probe_run(p, 0, 100, &h), 0);
	ck_assert_int_eq(pst_bench_probe_run(p, PST_BENCH_MS, 1, &h), 0);
	pst_bench_probe_close(p);
	ck_assert_uint_gt(h.n, 100);
	ck_assert_uint_gt(h.min, 0);
	ck_assert_uint_le(pst_bench_hist_percentile(&h, 50), h.max);
	ck_assert_str_ne(pst_bench_probe_name(_i), "");
}
END_TEST

START_TEST(a_closed_probe_leaves_no_process)
{
	struct pst_bench_probe *p;

	ck_assert_int_eq(pst_bench_probe_open(PST_BENCH_PROBE_UNIX, -1, &p), 0);
	pst_bench_probe_close(p);
	pst_bench_probe_close(NULL);
	/* No child at all is left to wait for. */
	ck_assert_int_lt(waitpid(-1, NULL, WNOHANG), 0);
}
END_TEST

START_TEST(every_way_copies_every_byte_and_no_other)
{
	static const size_t sizes[] = {0,  1,  15,  16,   17,   63,
				       64, 65, 127, 4096, 4099, 100000};
	static uint8_t src[100000 + 3 * GUARD], dst[100000 + 3 * GUARD];
	size_t i, j, shift, n;

	for (i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 7 + i / 251);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (shift = 0; shift < 17; shift += 5) {
			n = sizes[i];
			memset(dst, 0xee, sizeof(dst));
			pst_bench_copy_by(_i, dst + GUARD + shift,
					  src + shift / 2, n);
			for (j = 0; j < GUARD + shift; j++)
				ck_assert_uint_eq(dst[j], 0xee);
			ck_assert_int_eq(
				memcmp(dst + GUARD + shift, src + shift / 2, n),
				0);
			for (j = 0; j < GUARD; j++)
				ck_assert_uint_eq(dst[GUARD + shift + n + j],
						  0xee);
		}
	}
}
END_TEST

START_TEST(memory_has_the_size_and_pages_it_says)
{
	struct pst_bench_mem m;

	ck_assert_int_eq(pst_bench_mem_alloc(&m, 3 * PST_BENCH_MEM_SMALL + 1,
					     PST_BENCH_MEM_SMALL),
			 0);
	ck_assert_uint_eq(m.page, PST_BENCH_MEM_SMALL);
	ck_assert_uint_eq(m.size, 3 * PST_BENCH_MEM_SMALL + 1);
	memset(m.ptr, 7, m.size);
	pst_bench_mem_free(&m);
	ck_assert_ptr_null(m.ptr);
	pst_bench_mem_free(&m);
	ck_assert_int_lt(pst_bench_mem_alloc(&m, 0, PST_BENCH_MEM_SMALL), 0);
	ck_assert_int_lt(pst_bench_mem_alloc(&m, SIZE_MAX, PST_BENCH_MEM_HUGE),
			 0);
	/* There may be no huge pages, but then it does not pretend. */
	if (pst_bench_mem_alloc(&m, PST_BENCH_MEM_HUGE, PST_BENCH_MEM_HUGE) ==
	    0)
		ck_assert_uint_eq((uintptr_t)m.ptr % PST_BENCH_MEM_HUGE, 0);
	pst_bench_mem_free(&m);
}
END_TEST

/* Writes root/path, with the folders on the way. */
static void put(const char *root, const char *path, const char *text)
{
	char full[256], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(a_machine_is_described_by_its_files)
{
	const struct pst_bench_cpus cpus = {.client = 3, .n_allowed = 2};
	const char *root = tmpdir;
	struct pst_bench_machine m;

	tmpdir_make();
	put(root, "/proc/cpuinfo",
	    "processor\t: 0\nmodel name\t: Zilog Z80  at 4 MHz\n"
	    "flags\t\t: fpu hypervisor sse\n");
	put(root, "/proc/meminfo", "MemTotal:  1024 kB\nMemFree: 1 kB\n");
	put(root, "/proc/loadavg", "0.25 0.5 1 1/2 3\n");
	put(root, "/sys/devices/system/node/node0/x", "");
	put(root, "/sys/devices/system/node/node1/x", "");
	put(root, "/sys/devices/system/node/possible", "0-1\n");
	put(root, "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
	    "powersave\n");
	put(root, "/sys/kernel/mm/transparent_hugepage/enabled",
	    "always [madvise] never\n");
	put(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
	    "8\n");
	put(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
	    "5\n");
	put(root,
	    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
	    "hpet\n");
	pst_bench_machine_read(&m, root, &cpus);
	tmpdir_remove();
	ck_assert_str_eq(m.clock, "hpet");
	/* Of the real one. */
	ck_assert_double_gt(m.clock_ns, 0);
	ck_assert_str_eq(m.cpu, "Zilog Z80  at 4 MHz");
	ck_assert(m.virtual);
	ck_assert_uint_eq(m.memory, 1U << 20);
	ck_assert_double_eq(m.load, 0.25);
	ck_assert_int_eq(m.n_nodes, 2);
	ck_assert_int_eq(m.n_allowed, 2);
	ck_assert_str_eq(m.governor, "powersave");
	ck_assert_str_eq(m.thp, "madvise");
	ck_assert_uint_eq(m.n_pools, 1);
	ck_assert_uint_eq(m.pools[0].page, 2U << 20);
	ck_assert_uint_eq(m.pools[0].total, 8);
	ck_assert_uint_eq(m.pools[0].free, 5);
	ck_assert_uint_eq(strlen(m.date), strlen("2026-01-01T00:00:00Z"));
}
END_TEST

START_TEST(what_a_machine_does_not_tell_is_unknown)
{
	const struct pst_bench_cpus cpus = {.client = -1};
	struct pst_bench_machine m;

	pst_bench_machine_read(&m, "/nonexistent", &cpus);
	ck_assert_str_eq(m.cpu, "unknown");
	ck_assert_str_eq(m.governor, "unknown");
	ck_assert_str_eq(m.thp, "unknown");
	ck_assert_str_eq(m.clock, "unknown");
	ck_assert_int_eq(m.n_nodes, 1);
	ck_assert_uint_eq(m.n_pools, 0);
	ck_assert(!m.virtual);
}
END_TEST

START_TEST(pinning_to_the_chosen_cpus_works_and_can_be_undone)
{
	struct pst_bench_cpus cpus, pinned;

	ck_assert_int_eq(pst_bench_cpus_choose(&cpus), 0);
	ck_assert_int_eq(pst_bench_cpus_pin(cpus.peer), 0);
	ck_assert_int_eq(pst_bench_cpus_choose(&pinned), 0);
	ck_assert_int_eq(pinned.n_allowed, 1);
	ck_assert_int_eq(pinned.client, cpus.peer);
	ck_assert_int_eq(pinned.peer, cpus.peer);
	ck_assert_int_eq(pst_bench_cpus_unpin(&cpus), 0);
	ck_assert_int_eq(pst_bench_cpus_choose(&pinned), 0);
	ck_assert_int_eq(pinned.n_allowed, cpus.n_allowed);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, each_probe_makes_round_trips, 0,
			    PST_BENCH_PROBE_N);
	tcase_add_test(tc, a_closed_probe_leaves_no_process);
	tcase_add_loop_test(tc, every_way_copies_every_byte_and_no_other, 0,
			    PST_BENCH_COPY_N);
	tcase_add_test(tc, memory_has_the_size_and_pages_it_says);
	tcase_add_test(tc, a_machine_is_described_by_its_files);
	tcase_add_test(tc, what_a_machine_does_not_tell_is_unknown);
	tcase_add_test(tc, pinning_to_the_chosen_cpus_works_and_can_be_undone);
}

int main(void)
{
	return pst_unit_run("probe", add, 30);
}

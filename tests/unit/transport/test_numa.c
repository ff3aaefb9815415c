/* SPDX-License-Identifier: MIT */
/* Binding memory and threads to NUMA nodes, on whatever nodes there are. */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fixtures/unit.h"
#include "transport/region/numa.h"

#define SIZE (1U << 20)

static void *fresh(void)
{
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

START_TEST(there_is_at_least_one_node)
{
	ck_assert_int_ge(pst_numa_nodes(), 1);
}
END_TEST

START_TEST(a_node_that_does_not_exist_is_refused_with_its_number)
{
	int want = pst_numa_available() ? -EINVAL : -EOPNOTSUPP;
	struct pst_error err;
	void *p = fresh();

	ck_assert_int_eq(pst_numa_bind_memory(p, SIZE, 4000, &err), want);
	ck_assert_int_eq(err.code, want);
	if (want == -EINVAL)
		ck_assert_ptr_nonnull(strstr(err.text, "4000"));
	ck_assert_int_eq(pst_numa_bind_memory(p, SIZE, -1, NULL), want);
	ck_assert_int_eq(pst_numa_bind_thread(0, 4000, NULL), want);
	ck_assert_int_eq(pst_numa_bind_thread(0, -1, NULL), want);
	munmap(p, SIZE);
}
END_TEST

START_TEST(a_threads_policy_is_bound_and_restored)
{
	struct pst_numa_policy before;
	int mode = -1;

	if (!pst_numa_available()) {
		ck_assert_int_eq(pst_numa_policy_bind(0, &before, NULL),
				 -EOPNOTSUPP);
		return;
	}
	ck_assert_int_eq(pst_numa_policy_bind(4000, &before, NULL), -EINVAL);
	pst_numa_policy_restore(&before);
	ck_assert_int_eq(pst_numa_policy_bind(0, &before, NULL), 0);
	ck_assert_int_eq(get_mempolicy(&mode, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(mode, MPOL_BIND);
	pst_numa_policy_restore(&before);
	ck_assert_int_eq(get_mempolicy(&mode, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(mode, MPOL_DEFAULT);
}
END_TEST

/* The node that holds the page at addr (touched), or -errno. */
static int node_of(const void *addr)
{
	void *page = (void *)(uintptr_t)addr;
	int status;

	/* move_pages(2) without target nodes only asks. */
	if (move_pages(0, 1, &page, NULL, &status, 0) < 0)
		return -errno;
	return status;
}

START_TEST(bound_memory_comes_from_its_node)
{
	struct pst_error err;
	uint8_t *p = fresh();
	int node, r;

	for (node = 0; node < pst_numa_nodes(); node++) {
		r = pst_numa_bind_memory(p, SIZE, node, &err);
		if (!pst_numa_available()) {
			ck_assert_int_eq(r, -EOPNOTSUPP);
			break;
		}
		/* A node may have CPUs and no memory, or not be allowed. */
		if (r == -EINVAL)
			continue;
		ck_assert_msg(r == 0, "%s", err.text);
		memset(p, 1, SIZE);
		ck_assert_int_eq(node_of(p), node);
		ck_assert_int_eq(node_of(p + SIZE - 1), node);
		munmap(p, SIZE);
		p = fresh();
	}
	munmap(p, SIZE);
}
END_TEST

START_TEST(a_bound_thread_runs_on_cpus_of_its_node)
{
	struct pst_error err;
	cpu_set_t before, after;
	int r;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	r = pst_numa_bind_thread(0, 0, &err);
	if (!pst_numa_available()) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert_int_ge(CPU_COUNT(&after), 1);
	/* With one node that is no restriction at all. */
	if (pst_numa_nodes() == 1)
		ck_assert_int_eq(CPU_COUNT(&after), CPU_COUNT(&before));
}
END_TEST

/* The only CPU that a thread runs on, or -1. */
static int only_cpu(pid_t tid)
{
	cpu_set_t set;
	int i, cpu = -1;

	ck_assert_int_eq(sched_getaffinity(tid, sizeof(set), &set), 0);
	for (i = 0; i < CPU_SETSIZE && CPU_COUNT(&set) == 1; i++)
		if (CPU_ISSET(i, &set))
			cpu = i;
	return cpu;
}

static sem_t begun, over;
static pid_t other_tid;

static void *other_thread(void *arg)
{
	other_tid = (pid_t)syscall(SYS_gettid);
	sem_post(&begun);
	sem_wait(&over);
	return NULL;
}

START_TEST(all_threads_are_bound_and_none_gets_a_cpu_it_was_denied)
{
	struct pst_error err;
	cpu_set_t all, one;
	pthread_t t;
	int cpu = 0, r;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	sem_init(&begun, 0, 0);
	sem_init(&over, 0, 0);
	ck_assert_int_eq(pthread_create(&t, NULL, other_thread, NULL), 0);
	sem_wait(&begun);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(other_tid, sizeof(one), &one), 0);
	r = pst_numa_bind_threads(
		pst_numa_available() ? numa_node_of_cpu(cpu) : 0, &err);
	if (pst_numa_available())
		ck_assert_msg(r == 0, "%s", err.text);
	else
		ck_assert_int_eq(r, -EOPNOTSUPP);
	ck_assert_int_eq(only_cpu(other_tid), cpu);
	sem_post(&over);
	pthread_join(t, NULL);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc,
		       all_threads_are_bound_and_none_gets_a_cpu_it_was_denied);
	tcase_add_test(tc, there_is_at_least_one_node);
	tcase_add_test(tc,
		       a_node_that_does_not_exist_is_refused_with_its_number);
	tcase_add_test(tc, a_threads_policy_is_bound_and_restored);
	tcase_add_test(tc, bound_memory_comes_from_its_node);
	tcase_add_test(tc, a_bound_thread_runs_on_cpus_of_its_node);
}

int main(void)
{
	return pst_unit_run("numa", add, 20);
}

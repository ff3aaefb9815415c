/* SPDX-License-Identifier: MIT */
/* Measuring a region's mapping, its remedy, and the end when it is taken away.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest-agent/region/fault.h"
#include "guest-agent/region/heartbeat.h"
#include "guest-agent/region/measure.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MIB (1ULL << 20)

static struct pst_error err;

START_TEST(both_directions_are_measured_and_the_arena_stays_as_it_was)
{
	const char *line = "left by somebody";
	struct pst_agent_measure m = {0};
	struct pst_region r;
	char *arena;

	ck_assert_int_eq(pst_region_open("memfd:8M", "/sys", &r, &err), 0);
	arena = (char *)r.base + PST_WIRE_CTL_SIZE;
	strcpy(arena + 4096, line);
	pst_agent_measure_region(&r, &m);
	ck_assert(m.read_gbps > 0);
	ck_assert(m.write_gbps > 0);
	ck_assert(m.plain_gbps > 0);
	ck_assert_str_eq(arena + 4096, line);
	ck_assert_int_eq(arena[0], 0);
	pst_region_close(&r);
}
END_TEST

static const char *remedy(enum pst_provider p, enum pst_caching c, double read,
			  double write)
{
	const struct pst_agent_measure m = {
		.read_gbps = read,
		.write_gbps = write,
		.plain_gbps = 10,
	};
	const struct pst_region r = {.provider = p, .caching = c};
	static char text[PST_AGENT_MEASURE_REMEDY];

	memset(text, 'x', sizeof(text));
	pst_agent_measure_remedy(&r, &m, text);
	return text;
}

START_TEST(a_slow_mapping_gets_the_cure_that_fits_it)
{
	const char *s;

	s = remedy(PST_PROVIDER_IVSHMEM, PST_CACHING_WC, 0.05, 1.5);
	ck_assert_ptr_nonnull(strstr(s, "WC"));
	ck_assert_ptr_nonnull(strstr(s, "0.05"));
	ck_assert_ptr_nonnull(strstr(s, "penstock_bar"));
	ck_assert_ptr_nonnull(strstr(s, "nvdimm"));
	/* Uncached is said even where KVM hides it. */
	s = remedy(PST_PROVIDER_IVSHMEM, PST_CACHING_UC, 10, 10);
	ck_assert_ptr_nonnull(strstr(s, "penstock_bar"));
	/* The module is there already. */
	s = remedy(PST_PROVIDER_IVSHMEM, PST_CACHING_WB, 0.05, 0.05);
	ck_assert_ptr_nonnull(strstr(s, "MTRR"));
	ck_assert_ptr_null(strstr(s, "penstock_bar"));
	/* Either direction counts. */
	s = remedy(PST_PROVIDER_DAX, PST_CACHING_WB, 10, 0.1);
	ck_assert_ptr_nonnull(strstr(s, "host"));
}
END_TEST

START_TEST(a_fast_mapping_needs_no_cure)
{
	ck_assert_str_eq(remedy(PST_PROVIDER_DAX, PST_CACHING_WB, 8, 5), "");
	ck_assert_str_eq(remedy(PST_PROVIDER_IVSHMEM, PST_CACHING_WB, 2, 2),
			 "");
}
END_TEST

/* Runs fn in a child that has lost its region; its status and stderr. */
static int in_child(void (*fn)(struct pst_region *r), char *text, size_t size)
{
	int pipe_fd[2], status;
	struct pst_region r;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(pipe_fd[1], STDERR_FILENO);
		if (pst_region_open("memfd:8M", "/sys", &r, &err) < 0 ||
		    pst_agent_fault_watch(&r, &err) < 0)
			_exit(99);
		fn(&r);
		_exit(98);
	}
	close(pipe_fd[1]);
	n = read(pipe_fd[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(pipe_fd[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* A page that is beyond the end of its file, as a device's that is gone. */
static void take_away(uint8_t *at)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);

	if (mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED)
		_exit(97);
}

static void touch_region(struct pst_region *r)
{
	take_away(r->base + 3 * MIB);
	*(volatile uint8_t *)(r->base + 3 * MIB) = 1;
}

/* The agent's other thread is often the first to find out. */
static void beat_in_region(struct pst_region *r)
{
	struct pst_agent_heartbeat *h;

	if (pst_agent_heartbeat_start(&pst_region_header(r)->heartbeat, 10, &h,
				      &err) < 0)
		_exit(96);
	take_away(r->base);
	sleep(5);
}

static void touch_other(struct pst_region *r)
{
	uint8_t *p =
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)r;
	take_away(p);
	*(volatile uint8_t *)p = 1;
}

START_TEST(a_region_that_is_taken_away_ends_the_process_with_a_sentence)
{
	char text[512];
	int status = in_child(touch_region, text, sizeof(text));

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	ck_assert_ptr_nonnull(
		strstr(text, "the region's memory is gone: memfd"));
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(the_heartbeats_thread_ends_the_process_likewise)
{
	char text[512];
	int status = in_child(beat_in_region, text, sizeof(text));

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	ck_assert_ptr_nonnull(strstr(text, "memory is gone"));
}
END_TEST

START_TEST(a_bus_error_elsewhere_kills_as_ever)
{
	char text[512];
	int status = in_child(touch_other, text, sizeof(text));

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGBUS);
	ck_assert_str_eq(text, "");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(
		tc, both_directions_are_measured_and_the_arena_stays_as_it_was);
	tcase_add_test(tc, a_slow_mapping_gets_the_cure_that_fits_it);
	tcase_add_test(tc, a_fast_mapping_needs_no_cure);
	tcase_add_test(
		tc,
		a_region_that_is_taken_away_ends_the_process_with_a_sentence);
	tcase_add_test(tc, the_heartbeats_thread_ends_the_process_likewise);
	tcase_add_test(tc, a_bus_error_elsewhere_kills_as_ever);
}

int main(void)
{
	return pst_unit_run("measure", add, 20);
}

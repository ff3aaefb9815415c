/* SPDX-License-Identifier: MIT */
/* The demo's processes: known again, tied to their maker, ended. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/cli/demo/demo.h"
#include "tests/fixtures/sleeper.h"
#include "tests/fixtures/unit.h"

#define FIELDS_4_TO_21 "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 "

START_TEST(stat_is_read_behind_any_name)
{
	static const char *const good[] = {
		"12 (qemu) S " FIELDS_4_TO_21 "4242 0 0",
		"12 (a) R 1 2 3) S " FIELDS_4_TO_21 "4242 0 0",
		"12 (x y (z) S " FIELDS_4_TO_21 "4242 0 0",
	};
	static const char *const bad[] = {
		"",
		"12 qemu S 1 2 3",
		"12 (qemu)",
		"12 (qemu) ",
		"12 (qemu) S 1 2 3",
		"12 (qemu) S " FIELDS_4_TO_21,
		"12 (qemu) S " FIELDS_4_TO_21 "x 0",
	};
	uint64_t start;
	char state;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(pst_demo_parse_stat(good[i], &state, &start),
				 0);
		ck_assert_int_eq(state, 'S');
		ck_assert_uint_eq(start, 4242);
	}
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_demo_parse_stat(bad[i], &state, &start) ==
				      -EPROTO,
			      "%s", bad[i]);
}
END_TEST

START_TEST(a_started_process_is_identified_and_ended)
{
	struct pst_demo_proc p;

	start_sleep(false, &p);
	ck_assert(pst_demo_proc_alive(&p));
	ck_assert(!pst_demo_proc_ended(&p));
	/* A session of its own: the terminal's signals do not reach it. */
	ck_assert_int_eq(getsid(p.pid), p.pid);
	ck_assert_int_eq(pst_demo_proc_end(&p, 0, 0), -ETIMEDOUT);
	ck_assert_int_eq(pst_demo_proc_end(&p, SIGKILL, 5 * PST_NS_PER_S), 0);
	ck_assert_int_eq(p.pid, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(pst_demo_proc_end(&p, SIGKILL, 0), 0);
}
END_TEST

START_TEST(a_process_of_another_start_time_is_not_killed)
{
	struct pst_demo_proc p, other;

	start_sleep(false, &p);
	other = p;
	other.start++;
	ck_assert(!pst_demo_proc_alive(&other));
	ck_assert_int_eq(pst_demo_proc_end(&other, SIGKILL, PST_NS_PER_S), 0);
	ck_assert(pst_demo_proc_alive(&p));
	ck_assert_int_eq(pst_demo_proc_end(&p, SIGKILL, 5 * PST_NS_PER_S), 0);
}
END_TEST

START_TEST(a_zombie_does_not_count_as_running)
{
	struct pst_demo_proc p;

	start_sleep(false, &p);
	kill(p.pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)p.pid, NULL, WEXITED | WNOWAIT),
			 0);
	ck_assert(!pst_demo_proc_alive(&p));
	ck_assert(pst_demo_proc_ended(&p));
	ck_assert_int_eq(p.pid, 0);
}
END_TEST

static void *sleep_long(void *unused)
{
	sleep(100);
	return unused;
}

/* A killed program whose first thread is over is no zombie of ours yet. */
START_TEST(ending_waits_for_all_threads_of_a_process)
{
	struct pst_demo_proc p = {0};
	pthread_t t;
	int gate[2];
	pid_t pid;
	char c;
	int i;

	ck_assert_int_eq(pipe(gate), 0);
	pid = fork();
	if (pid == 0) {
		/* Until it is identified. */
		if (read(gate[0], &c, 1) != 1)
			_exit(1);
		for (i = 0; i < 2; i++)
			pthread_create(&t, NULL, sleep_long, NULL);
		pthread_exit(NULL);
	}
	ck_assert_int_eq(pst_demo_proc_identify(pid, &p), 0);
	ck_assert_int_eq(write(gate[1], "", 1), 1);
	close(gate[0]);
	close(gate[1]);
	/* Its first thread ends, the others go on: state Z, not waitable. */
	for (i = 0; i < 500 && pst_demo_proc_alive(&p); i++)
		poll(NULL, 0, 10);
	ck_assert(!pst_demo_proc_alive(&p));
	ck_assert_int_eq(pst_demo_proc_end(&p, 0, PST_NS_PER_S / 10),
			 -ETIMEDOUT);
	kill(pid, SIGKILL);
	ck_assert_int_eq(pst_demo_proc_end(&p, 0, 5 * PST_NS_PER_S), 0);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
}
END_TEST

START_TEST(a_missing_program_is_named)
{
	char *argv[] = {(char *)"/nonexistent/qemu", NULL};
	struct pst_error err = {0};
	struct pst_demo_proc p;

	ck_assert_int_eq(pst_demo_proc_start(argv, "/dev/null", true, &p, &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/qemu"));
}
END_TEST

/* Whether a process starts that outlives (or not) its killed maker. */
static bool survives_its_maker(bool tied)
{
	struct pst_demo_proc p = {0};
	int pipefd[2], i;
	bool alive;
	pid_t maker;

	ck_assert_int_eq(pipe(pipefd), 0);
	maker = fork();
	if (maker == 0) {
		start_sleep(tied, &p);
		if (write(pipefd[1], &p, sizeof(p)) != sizeof(p))
			_exit(1);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(read(pipefd[0], &p, sizeof(p)), sizeof(p));
	ck_assert(pst_demo_proc_alive(&p));
	kill(maker, SIGKILL);
	ck_assert_int_eq(waitpid(maker, NULL, 0), maker);
	for (i = 0; i < (tied ? 500 : 20) && pst_demo_proc_alive(&p); i++)
		poll(NULL, 0, 10);
	alive = pst_demo_proc_alive(&p);
	ck_assert_int_eq(pst_demo_proc_end(&p, SIGKILL, 5 * PST_NS_PER_S), 0);
	close(pipefd[0]);
	close(pipefd[1]);
	return alive;
}

START_TEST(a_tied_process_dies_with_its_maker)
{
	ck_assert(!survives_its_maker(true));
}
END_TEST

START_TEST(a_kept_process_outlives_its_maker)
{
	ck_assert(survives_its_maker(false));
}
END_TEST

START_TEST(a_signal_kills_the_watched_child_and_is_remembered)
{
	struct pst_demo_proc p;
	uint64_t begin = pst_now_ns();

	start_sleep(false, &p);
	pst_demo_signals_init();
	pst_demo_signals_watch(p.pid);
	ck_assert_int_eq(pst_demo_signals_seen(), 0);
	raise(SIGTERM);
	ck_assert_int_eq(pst_demo_signals_seen(), SIGTERM);
	ck_assert(pst_demo_signals_sleep(100 * PST_NS_PER_S));
	ck_assert_int_eq(pst_demo_proc_end(&p, 0, 5 * PST_NS_PER_S), 0);
	ck_assert_uint_lt(pst_now_ns() - begin, 10 * PST_NS_PER_S);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, stat_is_read_behind_any_name);
	tcase_add_test(tc, a_started_process_is_identified_and_ended);
	tcase_add_test(tc, a_process_of_another_start_time_is_not_killed);
	tcase_add_test(tc, a_zombie_does_not_count_as_running);
	tcase_add_test(tc, ending_waits_for_all_threads_of_a_process);
	tcase_add_test(tc, a_missing_program_is_named);
	tcase_add_test(tc, a_tied_process_dies_with_its_maker);
	tcase_add_test(tc, a_kept_process_outlives_its_maker);
	tcase_add_test(tc, a_signal_kills_the_watched_child_and_is_remembered);
}

int main(void)
{
	return pst_unit_run("demo_proc", add, 30);
}

/* SPDX-License-Identifier: MIT */
/* The lock of a connection whose calls one thread makes. */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/lib/plain/mutex.h"
#include "tests/fixtures/unit.h"

#define CALLS  2000000
#define VISITS 2000

static struct pst_mutex lock;
static unsigned int by_thread, by_visitor; /* with the lock */
static bool busy;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void setup(void)
{
	ck_assert_int_eq(pst_mutex_init(&lock), 0);
}

static void teardown(void)
{
	pst_mutex_done(&lock);
}

static void alone(unsigned int *count)
{
	PST_MUST(!busy);
	busy = true;
	++*count;
	busy = false;
}

static void *visit(void *arg)
{
	int i;

	for (i = 0; i < VISITS; i++) {
		pst_mutex_foreign_acquire(&lock);
		alone(&by_visitor);
		pst_mutex_foreign_release(&lock);
	}
	return NULL;
}

START_TEST(nobody_is_inside_beside_a_visitor)
{
	pthread_t t;
	int i;

	if (_i)
		pst_mutex_promise(&lock);
	ck_assert_int_eq(pthread_create(&t, NULL, visit, NULL), 0);
	for (i = 0; i < CALLS; i++) {
		pst_mutex_acquire(&lock);
		alone(&by_thread);
		pst_mutex_release(&lock);
	}
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_uint_eq(by_thread, CALLS);
	ck_assert_uint_eq(by_visitor, VISITS);
}
END_TEST

START_TEST(who_waits_lets_a_visitor_in_and_has_the_lock_afterwards)
{
	struct timespec until;
	pthread_t t;
	int i;

	if (_i)
		pst_mutex_promise(&lock);
	pst_mutex_acquire(&lock);
	ck_assert_int_eq(pthread_create(&t, NULL, visit, NULL), 0);
	for (i = 0; by_visitor < VISITS && i < 100000; i++) {
		clock_gettime(CLOCK_REALTIME, &until);
		pst_mutex_wait(&lock, &cond, &until);
		alone(&by_thread);
	}
	ck_assert_uint_eq(by_visitor, VISITS);
	pst_mutex_release(&lock);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
}
END_TEST

#ifndef NDEBUG
static void *stray(void *arg)
{
	/* Its last words belong to the test's output no more than a core. */
	close(STDERR_FILENO);
	prctl(PR_SET_DUMPABLE, 0);
	pst_mutex_acquire(&lock);
	return NULL;
}

START_TEST(a_broken_promise_is_noticed)
{
	pthread_t t;
	pid_t child;
	int status;

	pst_mutex_promise(&lock);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		if (pthread_create(&t, NULL, stray, NULL) == 0)
			pthread_join(t, NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST
#endif

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, nobody_is_inside_beside_a_visitor, 0, 2);
	tcase_add_loop_test(
		tc, who_waits_lets_a_visitor_in_and_has_the_lock_afterwards, 0,
		2);
#ifndef NDEBUG
	tcase_add_test(tc, a_broken_promise_is_noticed);
#endif
}

int main(void)
{
	return pst_unit_run("mutex", add, 60);
}

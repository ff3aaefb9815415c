/* SPDX-License-Identifier: MIT */
/* A child that inherits a connection: clean errors, and no harm to anybody. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS
/* Of a child that hangs. */
#define GUARD_S 60U

static struct agent_proc agent;
static struct pst *c;

static struct pst *open_one(void)
{
	struct pst *p = NULL;
	char text[400] = "";
	int r = pst_open(agent.uri, NULL, &p, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
	return p;
}

/* The thread sleeps: a reader that sees it run may see so again. */
static bool sleeps(pid_t tid)
{
	char path[64], text[256] = "";
	const char *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

/* A sanitizer's allocator does not survive a fork in the middle of another
 * thread's allocation, and a thread that starts makes one: waits until all
 * others sleep. */
static void let_threads_start(void)
{
	uint64_t until = pst_now_ns() + GUARD_S * PST_NS_PER_S;
	struct dirent *entry;
	bool all;
	DIR *dir;

	do {
		dir = opendir("/proc/self/task");
		ck_assert_ptr_nonnull(dir);
		all = true;
		while ((entry = readdir(dir))) {
			pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

			all &= tid <= 0 || tid == gettid() || sleeps(tid);
		}
		closedir(dir);
	} while (!all && pst_now_ns() < until);
	ck_assert(all);
}

static void setup(void)
{
	agent_open(&agent, 32 << 20);
	c = open_one();
	let_threads_start();
}

static void teardown(void)
{
	pst_close(c);
	agent_close(&agent);
}

/* In the child: the place of the first call that answers otherwise, or 0. */
#define REFUSED(call)                                                          \
	do {                                                                   \
		if ((call) != -EBADF)                                          \
			return __LINE__;                                       \
	} while (0)

static int call_everything(uint8_t *in_region, uint64_t tag, uint64_t tensor)
{
	static float own[64];
	const struct pst_model m = {.n_in = 1, .n_out = 1, .max_batch = 1};
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .in = own,
				   .out = own,
				   .rows = 1};
	struct pst_gemm_args g = {.size = sizeof(struct pst_gemm_args),
				  .dtype = PST_F32,
				  .m = 4,
				  .n = 4,
				  .k = 4,
				  .lda = 4,
				  .ldb = 4,
				  .ldc = 4,
				  .alpha = 1,
				  .a = in_region,
				  .b = in_region,
				  .c = in_region};
	struct pst_copy_args copy = {.size = sizeof(struct pst_copy_args),
				     .src = in_region,
				     .dst = in_region,
				     .n = 1};
	struct pst_submission op = PST_SUBMISSION_INIT;
	struct pst_info info = {.size = sizeof(info)};
	struct pst_completion done;
	struct pst_tensor t;
	struct pst_model model;
	uint64_t n = 0;
	char text[200] = "";
	void *p = NULL;
	char *json = NULL;

	REFUSED(pst_alloc(c, 64, &p));
	REFUSED(pst_alloc(c, 8 << 20, &p));
	REFUSED(pst_free(c, in_region));
	REFUSED(pst_take(c, own, in_region, 4));
	REFUSED(pst_nop(c, PST_FOREVER, &done));
	pst_last_error(c, text, sizeof(text));
	if (!strstr(text, "forked"))
		return __LINE__;
	REFUSED(pst_gemm(c, &g, PST_FOREVER, &done));
	g.a = g.b = own;
	g.c = own + 32;
	REFUSED(pst_gemm(c, &g, PST_FOREVER, &done));
	REFUSED(pst_fill(c, in_region, 4, 1, 1, PST_FOREVER, &done));
	REFUSED(pst_checksum(c, in_region, 4, PST_FOREVER, &done));
	REFUSED(pst_copy(c, &copy, PST_FOREVER, &done));
	REFUSED(pst_infer(c, &f, PST_FOREVER, &done));
	REFUSED(pst_submit_nop(c, 0, &n));
	REFUSED(pst_submit(c, &op, 1, &n));
	REFUSED(pst_wait_any(c, &done, 1, 0));
	REFUSED(pst_wait_buffer(c, in_region, 0));
	REFUSED(pst_submit_gemm(c, &g, 0, &n));
	REFUSED(pst_submit_fill(c, in_region, 4, 1, 1, 0, &n));
	REFUSED(pst_submit_checksum(c, in_region, 4, 0, &n));
	REFUSED(pst_submit_copy(c, &copy, 0, &n));
	REFUSED(pst_submit_infer(c, &f, 0, &n));
	REFUSED(pst_poll(c, &done, 1));
	REFUSED(pst_wait(c, tag, PST_FOREVER, &done));
	REFUSED(pst_cancel(c, tag));
	REFUSED(pst_failure(c, tag, text, sizeof(text)));
	REFUSED(pst_fd(c));
	REFUSED(pst_arm(c));
	REFUSED(pst_tensor_create(c, 64, &n));
	REFUSED(pst_tensor_destroy(c, tensor));
	REFUSED(pst_tensor_list(c, &t, 1));
	REFUSED(pst_upload(c, tensor, 0, own, 4, PST_FOREVER));
	REFUSED(pst_download(c, own, tensor, 0, 4, PST_FOREVER));
	REFUSED(pst_model_load(c, "x", "/dev/null", PST_FOREVER, &model));
	REFUSED(pst_model_open(c, "x", &model));
	REFUSED(pst_model_unload(c, "x"));
	REFUSED(pst_model_list(c, &json));
	REFUSED(pst_get_info(c, &info));
	REFUSED(pst_query(c, PST_QUERY_STATS, &json));
	REFUSED(pst_ping(c, &n));
	if (json || p)
		return __LINE__;
	return 0;
}

/* fork() without its handlers, as clone() by hand is. */
static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void check_child(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "line %d (mod 256)",
		      WEXITSTATUS(status));
}

static atomic_bool stop;
static atomic_int result;

static void *keep_calling(void *arg)
{
	int r = 0;

	while (!atomic_load(&stop) && !r)
		r = pst_nop(c, 10000 * MS, NULL);
	atomic_store(&result, r);
	return NULL;
}

static void run_children(pid_t (*make)(void), bool close_it)
{
	uint64_t tag, tensor;
	pthread_t thread;
	void *mem = NULL;
	pid_t pid;
	int i, line;

	ck_assert_int_eq(pst_alloc(c, 4096, &mem), 0);
	ck_assert_int_eq(pst_tensor_create(c, 4096, &tensor), 0);
	ck_assert_int_ge(pst_fd(c), 0);
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	/* Its lock may be held in the child for ever. */
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_calling, NULL), 0);
	for (i = 0; i < 20; i++) {
		pid = make();
		if (pid == 0) {
			alarm(GUARD_S);
			line = call_everything(mem, tag, tensor);
			if (!line && close_it)
				pst_close(c);
			_exit(line & 0xff);
		}
		check_child(pid);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	ck_assert_int_eq(pst_fill(c, mem, 4096, 7, 1, 10000 * MS, NULL), 0);
	ck_assert_int_eq(((uint8_t *)mem)[4095], 7);
	ck_assert_int_eq(pst_wait(c, tag, 10000 * MS, NULL), 0);
	ck_assert_uint_eq(c->session.serial, 1);
}

START_TEST(a_forked_child_gets_an_error_from_every_call)
{
	run_children(fork, false);
}
END_TEST

START_TEST(a_forked_child_may_close_and_harms_nobody)
{
	run_children(fork, true);
}
END_TEST

START_TEST(a_child_that_was_made_past_the_c_library_is_noticed_too)
{
	run_children(raw_fork, false);
}
END_TEST

START_TEST(a_forked_child_opens_its_own_connection)
{
	struct pst *own;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(GUARD_S);
		own = open_one();
		if (pst_nop(own, 10000 * MS, NULL) != 0)
			_exit(1);
		if (pst_nop(c, 10000 * MS, NULL) != -EBADF)
			_exit(2);
		/* And so on for its own children. */
		let_threads_start();
		pid = fork();
		if (pid == 0)
			_exit(pst_nop(own, 0, NULL) == -EBADF &&
					      pst_nop(c, 0, NULL) == -EBADF
				      ? 0
				      : 3);
		check_child(pid);
		pst_close(own);
		_exit(0);
	}
	check_child(pid);
	ck_assert_int_eq(pst_nop(c, 10000 * MS, NULL), 0);
	ck_assert_int_eq(pst_after_fork(c), -EINVAL);
	ck_assert_int_eq(pst_nop(c, 10000 * MS, NULL), 0);
}
END_TEST

static bool refers(const char *link, const char *what)
{
	char text[256];
	ssize_t n = readlink(link, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, what) != NULL;
}

/* Descriptors above the standard ones that are sockets, regions or events. */
static int n_inherited(void)
{
	char path[64];
	int fd, n = 0;

	for (fd = 3; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n += refers(path, "socket:") || refers(path, "eventfd") ||
		     refers(path, "eventpoll") || refers(path, agent.region);
	}
	return n;
}

START_TEST(a_parents_death_is_seen_although_its_child_lives)
{
	uint64_t until = pst_now_ns() + GUARD_S * PST_NS_PER_S;
	pid_t parent, child;
	char *stats;
	int to[2], n;

	ck_assert_int_eq(pipe(to), 0);
	parent = fork();
	if (parent == 0) {
		struct pst *own = open_one();

		if (pst_fd(own) < 0 || pst_after_fork(c) < 0)
			_exit(1);
		let_threads_start();
		child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, 0);
			n = n_inherited();
			if (pst_after_fork(own) < 0 || n < 5 ||
			    n_inherited() != 0 || pst_after_fork(own) < 0)
				child = -1;
			else
				child = getpid();
			if (write(to[1], &child, sizeof(child)) < 0)
				_exit(1);
			alarm(GUARD_S);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(to[0], &child, sizeof(child)), sizeof(child));
	kill(parent, SIGKILL);
	ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
	ck_assert_int_gt(child, 0);
	do {
		ck_assert_int_eq(pst_query(c, PST_QUERY_STATS, &stats), 0);
		n = (int)json_number(stats, "sessions");
		free(stats);
	} while (n != 1 && pst_now_ns() < until);
	kill(child, SIGKILL);
	close(to[0]);
	close(to[1]);
	ck_assert_int_eq(n, 1);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_forked_child_gets_an_error_from_every_call);
	tcase_add_test(tc, a_forked_child_may_close_and_harms_nobody);
	tcase_add_test(tc,
		       a_child_that_was_made_past_the_c_library_is_noticed_too);
	tcase_add_test(tc, a_forked_child_opens_its_own_connection);
	tcase_add_test(tc, a_parents_death_is_seen_although_its_child_lives);
}

int main(void)
{
	return pst_unit_run("client_fork", add, 300);
}

/* SPDX-License-Identifier: MIT */
/* Models of ONNX Runtime, with the real runner and a real library: calls, the
 * end of the process at any moment, answers that cannot be.
 *
 * PENSTOCK_ORT names the library; without it the loader looks for one. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-agent/ort/ort_int.h"
#include "tests/fixtures/unit.h"

#define ARENA (8U << 20)
#define AT    4096U /* of the arena in its descriptor, and on the wire */

static struct pst_ort *ort;
static uint8_t *arena; /* AT bytes before it are there as well */
static int arena_fd;
static struct pst_error err;
static struct pst_run run;
static uint64_t deadline_ns; /* of begin_add() */
static uint64_t room;        /* of its output; 0: enough */
static struct pst_backend_op op;
static uint64_t loaded_id;
static int loaded_status;
static char loaded_text[384];
static unsigned int n_loaded;

static void on_loaded(void *arg, uint64_t id, int status, const char *sentence)
{
	(void)arg;
	loaded_id = id;
	loaded_status = status;
	snprintf(loaded_text, sizeof(loaded_text), "%s", sentence);
	n_loaded++;
}

static const char *library(void)
{
	const char *name = getenv("PENSTOCK_ORT");

	return name ? name : "";
}

static const char *program(void)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/guest-agent/penstock-runner-ort",
		 getenv("PST_TOP_BUILDDIR"));
	return path;
}

static struct pst_ort_config default_config(const char *exe)
{
	return (struct pst_ort_config){
		.program = exe,
		.library = library(),
		.arena_fd = arena_fd,
		.arena_off = AT,
		.arena_at = AT,
		.arena_size = ARENA,
		.threads = 1,
		.max_models = 4,
		.max_load_ns = PST_HANG_NS,
		.drain_ns = 200 * PST_NS_PER_MS,
		.loaded = on_loaded,
	};
}

static void open_ort(const char *exe)
{
	const struct pst_ort_config config = default_config(exe);

	ck_assert_int_eq(pst_ort_new(&config, &ort, &err), 0);
	n_loaded = 0;
	loaded_id = 0;
	loaded_status = 0;
}

static void setup(void)
{
	arena_fd = memfd_create("arena", MFD_CLOEXEC);
	ck_assert_int_ge(arena_fd, 0);
	ck_assert_int_eq(ftruncate(arena_fd, AT + ARENA), 0);
	arena = mmap(NULL, AT + ARENA, PROT_READ | PROT_WRITE, MAP_SHARED,
		     arena_fd, 0);
	ck_assert(arena != MAP_FAILED);
	open_ort(program());
}

static void teardown(void)
{
	pst_ort_free(ort);
	munmap(arena, AT + ARENA);
	close(arena_fd);
}

/* What the server's loop does once. */
static void turn(void)
{
	struct pollfd p = {.fd = pst_ort_fd(ort), .events = POLLIN};

	pst_ort_tick(ort, pst_now_ns());
	poll(&p, 1, 1);
	if (p.revents)
		pst_ort_serve(ort);
}

#define WAIT_UNTIL(x)                                                          \
	do {                                                                   \
		const uint64_t end_ = pst_now_ns() + PST_HANG_NS;              \
		while (!(x)) {                                                 \
			ck_assert(pst_now_ns() < end_);                        \
			turn();                                                \
		}                                                              \
	} while (0)

/* A model of the corpus; its end is waited for. */
static uint64_t load(const char *name)
{
	struct pst_ort_file file = {.name = ""};
	char path[4096];
	uint64_t id = 0;

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/onnx/%s",
		 getenv("PST_TOP_SRCDIR"), name);
	file.fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(file.fd, 0);
	file.size = (uint64_t)lseek(file.fd, 0, SEEK_END);
	ck_assert_int_eq(pst_ort_load(ort, &file, 1, 0, &id, &err), 0);
	WAIT_UNTIL(loaded_id == id);
	return id;
}

/* y = x + 1 for n floats at the arena's start, y behind them. */
static void begin_add(uint64_t id, uint32_t n)
{
	const uint64_t size = (uint64_t)n * 4;
	float *x = (float *)(arena + AT);
	uint32_t i;

	for (i = 0; i < n; i++)
		x[i] = (float)i;
	run = (struct pst_run){
		.n_in = 1, .n_out = 1, .deadline_ns = deadline_ns};
	run.io[0] = (struct pst_run_io){.dtype = PST_WIRE_F32,
					.rank = 1,
					.span = {AT, size},
					.dim = {n}};
	run.io[1] = (struct pst_run_io){
		.dtype = PST_WIRE_F32,
		.any = true,
		.span = {AT + pst_round_up(size, 64), room ? room : size}};
	op = (struct pst_backend_op){
		.op = {.op = PST_WIRE_OP_RUN, .run = &run, .run_model = id}};
	ck_assert_int_eq(
		pst_backend_ort.begin((struct pst_backend *)ort, &op, &err), 0);
}

static int step(void)
{
	return pst_backend_ort.step((struct pst_backend *)ort, &op, &err);
}

static int finish(void)
{
	int r;

	WAIT_UNTIL((r = step()) != PST_AGENT_STEP_WAIT);
	return r;
}

/* Nothing of the process runs any more when this returns. */
static pid_t halt(void)
{
	const pid_t pid = ort->process.pid;

	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
	return pid;
}

static void add_works(uint64_t id)
{
	const float *y = (float *)(arena + AT + 8192 * 4);

	begin_add(id, 8192);
	ck_assert_msg(finish() == PST_AGENT_STEP_DONE, "%s", err.text);
	ck_assert_uint_eq(run.io[1].rank, 1);
	ck_assert_uint_eq(run.io[1].dim[0], 8192);
	ck_assert_uint_eq(run.io[1].bytes, 8192 * 4);
	ck_assert_uint_eq(run.io[1].flags, PST_WIRE_IO_IN_PLACE);
	ck_assert_uint_gt(op.compute_ns, 0);
	ck_assert_float_eq(y[8191], 8192);
	ck_assert_float_eq(y[0], 1);
}

START_TEST(a_model_is_loaded_and_runs_in_place)
{
	const uint64_t id = load("plain");
	const struct pst_ort_model *m = pst_ort_find(ort, id);

	ck_assert_msg(loaded_status == 0, "%s", loaded_text);
	ck_assert_int_eq(m->state, PST_ORT_READY);
	ck_assert_str_eq(m->shape.io[0].name, "x");
	ck_assert_uint_eq(m->shape.io[0].dtype, PST_WIRE_F32);
	ck_assert_uint_gt(m->load_ns, 0);
	ck_assert(strstr(pst_ort_describe(ort), "ONNX Runtime 1."));
	add_works(id);
	add_works(id);
}
END_TEST

START_TEST(a_model_that_wants_a_file_is_refused)
{
	load("external");
	ck_assert_int_eq(loaded_status, -EPERM);
	ck_assert(strstr(loaded_text, "\"w\", which was not given"));
	ck_assert_ptr_null(pst_ort_find(ort, loaded_id));
	add_works(load("plain"));
}
END_TEST

START_TEST(the_process_may_end_at_any_moment)
{
	const uint64_t id = load("plain"), other = load("plain");
	pid_t pid = ort->process.pid;

	/* While it is idle. */
	kill(pid, SIGKILL);
	WAIT_UNTIL(ort->process.pid != pid &&
		   ort->process.state == PST_ORT_RUNNING);
	add_works(id);
	/* With a call: that one is lost, and no other. */
	pid = halt();
	begin_add(id, 8192);
	ck_assert_int_eq(step(), PST_AGENT_STEP_WAIT);
	kill(pid, SIGKILL);
	ck_assert_int_eq(finish(), -EIO);
	ck_assert_msg(strstr(err.text, "ended by signal 9"), "%s", err.text);
	add_works(other);
	add_works(id);
}
END_TEST

START_TEST(a_call_that_does_not_end_ends_the_process)
{
	const uint64_t id = load("plain");
	const pid_t pid = halt();

	begin_add(id, 8192);
	ck_assert_int_eq(step(), PST_AGENT_STEP_WAIT);
	WAIT_UNTIL(pst_backend_ort.cancel((struct pst_backend *)ort, &op) == 1);
	ck_assert_int_ne(ort->process.pid, 0);
	/* Nothing of it can write any more. */
	ck_assert(kill(pid, 0) < 0 && errno == ESRCH);
	add_works(id);
}
END_TEST

/* Whose call was lost is stepped at once, not when the next process starts. */
START_TEST(the_end_of_a_process_is_seen_to_at_once)
{
	const uint64_t id = load("plain");
	const pid_t pid = halt();
	uint64_t now_ns = 0, due_ns = 0;

	begin_add(id, 8192);
	ck_assert_int_eq(step(), PST_AGENT_STEP_WAIT);
	kill(pid, SIGKILL);
	WAIT_UNTIL(ort->process.state == PST_ORT_DYING);
	while (ort->process.state == PST_ORT_DYING) {
		now_ns = pst_now_ns();
		due_ns = pst_ort_tick(ort, now_ns);
	}
	ck_assert_uint_le(due_ns, now_ns);
	ck_assert_int_eq(finish(), -EIO);
}
END_TEST

START_TEST(a_deadline_is_the_calls_end)
{
	const uint64_t id = load("plain");

	halt();
	deadline_ns = 1;
	begin_add(id, 8192);
	WAIT_UNTIL(ort->flight.cancel_ns);
	kill(ort->process.pid, SIGCONT);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert(strstr(err.text, "its deadline has passed"));
	deadline_ns = PST_HANG_NS;
	add_works(id);
}
END_TEST

START_TEST(an_answer_that_cannot_be_ends_the_process)
{
	const uint64_t id = load("plain");
	static const int64_t lies[] = {-1, INT64_MAX, 9000};
	struct pst_runner_call *c;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(lies) + 2; i++) {
		const pid_t pid = ort->process.pid;

		begin_add(id, 8192);
		c = &ort->mailbox->call[ort->flight.number % PST_RUNNER_SLOTS];
		WAIT_UNTIL(ort->mailbox->done.value == ort->flight.number);
		if (i < PST_ARRAY_SIZE(lies))
			c->io[1].dim[0] = lies[i];
		else if (i == PST_ARRAY_SIZE(lies))
			c->io[1].rank = 9;
		else
			c->io[1].flags = PST_RUNNER_TOO_SMALL;
		ck_assert_int_eq(finish(), -EIO);
		ck_assert_msg(strstr(err.text, "impossible answer"), "%s",
			      err.text);
		WAIT_UNTIL(pst_ort_find(ort, id)->state == PST_ORT_READY);
		ck_assert_int_ne(ort->process.pid, pid);
	}
	add_works(id);
}
END_TEST

START_TEST(an_output_without_room_says_what_it_needs)
{
	const uint64_t id = load("plain");

	room = 64;
	begin_add(id, 8192);
	ck_assert_int_eq(finish(), -EMSGSIZE);
	ck_assert_uint_eq(run.io[1].bytes, 8192 * 4);
	ck_assert_uint_eq(run.io[1].flags, PST_WIRE_IO_TOO_SMALL);
	ck_assert_uint_eq(run.io[1].dim[0], 8192);
	room = 0;
	add_works(id);
}
END_TEST

START_TEST(there_is_a_bound_of_models)
{
	struct pst_ort_file file = {.name = ""};
	uint64_t id;
	unsigned int i;

	for (i = 0; i < 4; i++)
		load("plain");
	file.fd = dup(arena_fd);
	ck_assert_int_eq(pst_ort_load(ort, &file, 1, 0, &id, &err), -EMSGSIZE);
	pst_ort_unload(ort, loaded_id);
	add_works(load("plain"));
	file.fd = dup(arena_fd);
	strcpy(file.name, "w");
	ck_assert_int_eq(pst_ort_load(ort, &file, 1, 0, &id, &err), -EINVAL);
}
END_TEST

START_TEST(a_load_may_be_given_up)
{
	const uint64_t id = load("plain");
	struct pst_ort_file file = {
		.name = "", .fd = dup(arena_fd), .size = AT + ARENA};
	uint64_t other;

	halt();
	ck_assert_int_eq(pst_ort_load(ort, &file, 1, 0, &other, &err), 0);
	turn();
	ck_assert_int_eq(pst_ort_find(ort, other)->state, PST_ORT_LOADING);
	pst_ort_unload(ort, other);
	ck_assert_ptr_null(pst_ort_find(ort, other));
	add_works(id);
	ck_assert_uint_ne(loaded_id, other);
}
END_TEST

START_TEST(a_program_that_is_none_is_said)
{
	pst_ort_free(ort);
	open_ort("/nowhere/penstock-runner-ort");
	load("plain");
	ck_assert_int_eq(loaded_status, -ENOENT);
	ck_assert(strstr(loaded_text, "cannot start /nowhere/"));
	pst_ort_free(ort);
	/* It says nothing, and ends. */
	open_ort("/bin/true");
	load("plain");
	ck_assert_msg(loaded_status < 0, "%s", loaded_text);
}
END_TEST

START_TEST(a_call_that_waits_may_lose_its_model)
{
	const uint64_t id = load("plain"), other = load("plain");
	struct pst_backend *b = (struct pst_backend *)ort;
	struct pst_backend_op second;

	halt();
	begin_add(id, 8192);
	second = op;
	second.op.run_model = other;
	ck_assert_int_eq(pst_backend_ort.begin(b, &second, &err), 0);
	pst_ort_unload(ort, other);
	kill(ort->process.pid, SIGCONT);
	ck_assert_msg(finish() == PST_AGENT_STEP_DONE, "%s", err.text);
	ck_assert_int_eq(pst_backend_ort.step(b, &second, &err), -EIO);
	ck_assert_msg(strstr(err.text, "the model is gone"), "%s", err.text);
	add_works(id);
}
END_TEST

/* A runner that has been taken over holds the same eventfds. */
START_TEST(a_bell_that_is_full_stops_nobody)
{
	const uint64_t id = load("plain"), full = UINT64_MAX - 1;
	const pid_t pid = halt();

	ck_assert_int_eq(write(ort->door, &full, sizeof(full)), sizeof(full));
	ck_assert_int_eq(write(ort->stop, &full, sizeof(full)), sizeof(full));
	begin_add(id, 8192);
	ck_assert_int_eq(pst_backend_ort.cancel((struct pst_backend *)ort, &op),
			 0);
	kill(pid, SIGCONT);
	ck_assert_int_ne(finish(), PST_AGENT_STEP_WAIT);
	add_works(id);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_model_is_loaded_and_runs_in_place);
	tcase_add_test(tc, a_model_that_wants_a_file_is_refused);
	tcase_add_test(tc, the_process_may_end_at_any_moment);
	tcase_add_test(tc, a_call_that_does_not_end_ends_the_process);
	tcase_add_test(tc, the_end_of_a_process_is_seen_to_at_once);
	tcase_add_test(tc, a_deadline_is_the_calls_end);
	tcase_add_test(tc, an_answer_that_cannot_be_ends_the_process);
	tcase_add_test(tc, an_output_without_room_says_what_it_needs);
	tcase_add_test(tc, there_is_a_bound_of_models);
	tcase_add_test(tc, a_load_may_be_given_up);
	tcase_add_test(tc, a_program_that_is_none_is_said);
	tcase_add_test(tc, a_call_that_waits_may_lose_its_model);
	tcase_add_test(tc, a_bell_that_is_full_stops_nobody);
}

/* Whether there is a library to test with. Outside of a test nothing can be
 * asserted. */
static bool can_run(void)
{
	const uint64_t end_ns = pst_now_ns() + PST_HANG_NS;
	struct pst_ort_config config = default_config(program());
	struct pst_ort_file file = {.name = ""};
	uint64_t id;

	config.arena_fd = file.fd = memfd_create("arena", MFD_CLOEXEC);
	if (ftruncate(config.arena_fd, AT + ARENA) < 0 ||
	    pst_ort_new(&config, &ort, &err) < 0)
		return true;
	file.fd = dup(config.arena_fd);
	file.size = 1;
	if (pst_ort_load(ort, &file, 1, 0, &id, &err) == 0)
		while (n_loaded == 0 && pst_now_ns() < end_ns)
			turn();
	pst_ort_free(ort);
	close(config.arena_fd);
	if (loaded_status != -ENOENT)
		return true;
	printf("1..0 # SKIP %s\n", loaded_text);
	return false;
}

int main(void)
{
	return can_run() ? pst_unit_run("ort", add, 60) : 0;
}

/* SPDX-License-Identifier: MIT */
/* The gate's figures on models: what a run costs beside ONNX Runtime in this
 * process, and what it costs another client. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"
#include "bench/onnx.h"
#include "bench/onnxfile.h"

/* Both sides in turn, so often and so long in each pair. */
#define TURNS   4U
#define TURN_NS (60 * PST_BENCH_MS)
#define NOP_NS  (300 * PST_BENCH_MS)
#define TIMES   20000U
/* Of the runner: penstock-agent(8). */
#define RUNNER_NICE 5

struct state {
	struct pst_bench_agentproc agent;
	struct pst *c, *other;
	struct pst_bench_onnx model;
	bool pinned, stop;
	pthread_t thread;
	int result;
};

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;

	if (!s)
		return;
	if (s->c)
		pst_bench_onnx_close(&s->model);
	pst_close(s->c);
	pst_close(s->other);
	pst_bench_agentproc_stop(&s->agent);
	pst_bench_cpus_pin(g->cpus.client);
	free(s);
}

/* An agent with a model of layers convolutions, or 0: a perceptron. */
static int open_state(struct pst_bench_gate *g, bool pinned,
		      unsigned int layers, void **ret)
{
	struct pst_bench_onnxfile file = {0};
	struct state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	s->pinned = pinned;
	g->in_turn = true;
	if (!pst_bench_onnx_library())
		return pst_bench_gate_why(g, -ENOENT,
					  "there is no ONNX Runtime "
					  "(PENSTOCK_ORT)");
	r = pst_bench_gate_agent(g, &s->agent, pinned, 1, NULL, 0);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, 0, &s->c);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, 0, &s->other);
	if (!r)
		r = layers ? pst_bench_onnxfile_cnn(&file, layers)
			   : pst_bench_onnxfile_mlp(&file);
	if (!r) {
		r = pst_bench_onnx_open(&s->model, s->c, file.data, file.size,
					NULL, 0);
		if (r < 0)
			pst_bench_gate_why(g, r, "%.200s", s->model.error);
	}
	free(file.data);
	return r;
}

static int one_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, true, 0, ret);
}

static int free_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, false, 0, ret);
}

static int size_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, true, 8, ret);
}

static int nop_open(struct pst_bench_gate *g, void **ret)
{
	return open_state(g, false, 4, ret);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The median of calls for TURN_NS, in us. */
static int time_calls(struct pst_bench_onnx *m,
		      int (*call)(struct pst_bench_onnx *, uint64_t *),
		      double *ret)
{
	static uint32_t times[TIMES];
	const uint64_t begin = pst_bench_now_ns();
	uint64_t ns;
	size_t n = 0;
	int r = 0;

	while (!r && n < TIMES && pst_bench_now_ns() - begin < TURN_NS) {
		r = call(m, &ns);
		times[n++] = (uint32_t)ns;
	}
	qsort(times, n, sizeof(*times), by_value);
	*ret = (double)times[n / 2] / (double)PST_BENCH_US;
	return r;
}

/* The medians of both sides in turn, in us. */
static int time_both(struct pst_bench_gate *g, struct state *s, double *ret_run,
		     double *ret_direct)
{
	double run[TURNS], direct[TURNS];
	unsigned int i;
	int r = 0;

	if (!s->pinned)
		pst_bench_cpus_unpin(&g->cpus);
	for (i = 0; i < TURNS && !r; i++) {
		r = time_calls(&s->model, pst_bench_onnx_run, &run[i]);
		if (!r)
			r = time_calls(&s->model, pst_bench_onnx_direct,
				       &direct[i]);
	}
	pst_bench_cpus_pin(g->cpus.client);
	if (r < 0)
		return pst_bench_gate_why(g, r, "%.200s", s->model.error);
	*ret_run = pst_bench_median(run, TURNS);
	*ret_direct = pst_bench_median(direct, TURNS);
	return 0;
}

static int overhead_pair(struct pst_bench_gate *g, void *arg,
			 struct pst_bench_sample *ret)
{
	double run = 0, direct = 0;
	const int r = time_both(g, arg, &run, &direct);

	ret[0] = (struct pst_bench_sample){run - direct, 1};
	return r;
}

/* Beside the overhead of a small model nothing may depend on size. */
static int size_pair(struct pst_bench_gate *g, void *arg,
		     struct pst_bench_sample *ret)
{
	double run = 0, direct = 0;
	const int r = time_both(g, arg, &run, &direct);

	ret[0] = (struct pst_bench_sample){run - 15, direct};
	return r;
}

/* ---- Another client ----------------------------------------------------- */

static void *loop_model(void *arg)
{
	struct state *s = arg;
	uint64_t ns;
	int r = 0;

	while (!r && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
		r = pst_bench_onnx_run(&s->model, &ns);
	s->result = r;
	return NULL;
}

/* A program of somebody else's, with the runner's priority. */
static pid_t busy_loop(void)
{
	const struct sched_param param = {0};
	const pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_setscheduler(0, SCHED_BATCH, &param) ||
	    setpriority(PRIO_PROCESS, 0, RUNNER_NICE))
		_exit(1);
	for (;;)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static int nop_pair(struct pst_bench_gate *g, void *arg,
		    struct pst_bench_sample *ret)
{
	struct pst_bench_times beside_model, beside_loop = {0};
	struct state *s = arg;
	pid_t pid;
	int r;

	pst_bench_cpus_unpin(&g->cpus);
	s->stop = false;
	if (pthread_create(&s->thread, NULL, loop_model, s) != 0)
		return pst_bench_gate_why(g, -EAGAIN, "no thread");
	r = pst_bench_gate_nops(g, s->other, NOP_NS, &beside_model);
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	pthread_join(s->thread, NULL);
	if (!r && s->result)
		r = pst_bench_gate_why(g, s->result, "%.200s", s->model.error);
	pid = r ? 0 : busy_loop();
	if (pid < 0)
		r = pst_bench_gate_why(g, -errno, "no process");
	if (!r)
		r = pst_bench_gate_nops(g, s->other, NOP_NS, &beside_loop);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	pst_bench_cpus_pin(g->cpus.client);
	ret[0] = (struct pst_bench_sample){beside_model.p99, beside_loop.p99};
	return r;
}

const struct pst_bench_gate_group pst_bench_gate_run[] = {
	{"run",
	 7,
	 one_open,
	 overhead_pair,
	 close_state,
	 {{"ONNX MLP, agent and runner on one CPU: run - in process",
	   "us",
	   {15, false}}}},
	{"run-free",
	 9,
	 free_open,
	 overhead_pair,
	 close_state,
	 {{"ONNX MLP, nothing pinned: run - in process", "us", {40, false}}}},
	{"run-size",
	 5,
	 size_open,
	 size_pair,
	 close_state,
	 {{"ONNX convolution on 784 KiB: (run - 15 us) / in process",
	   "us",
	   {1.01, false}}}},
	{"run-nop",
	 7,
	 nop_open,
	 nop_pair,
	 close_state,
	 {{"NOP p99 while an ONNX CNN loops / beside a foreign busy loop",
	   "us",
	   {1.5, false}}}},
	{0},
};

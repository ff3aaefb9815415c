/* SPDX-License-Identifier: MIT */
/* penstock bench infer: a small network, on 1, 8 and 64 rows at a time. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/clock.h"

/* 784 inputs, two hidden layers of HIDDEN, 10 outputs: a classifier of small
 * pictures. */
#define N_IN    784U
#define HIDDEN  512U
#define N_OUT   10U
#define N_LAYER 3U
#define ROWS    64U

static const struct {
	uint32_t out, in;
} layers[N_LAYER] = {{HIDDEN, N_IN}, {HIDDEN, HIDDEN}, {N_OUT, HIDDEN}};

static const uint32_t batches[] = {1, 8, 64};
#define N_BATCHES (sizeof(batches) / sizeof(*batches))

struct infer {
	struct pst_model model;
	bool loaded;
	float *in, *out;
	struct pst_bench_task tasks[N_BATCHES];
};

/* One tensor of the header. */
static int describe(char *buf, size_t size, unsigned int i, bool bias,
		    uint64_t begin, uint64_t end)
{
	char shape[32];

	if (bias)
		snprintf(shape, sizeof(shape), "%u", layers[i].out);
	else
		snprintf(shape, sizeof(shape), "%u,%u", layers[i].out,
			 layers[i].in);
	return snprintf(buf, size,
			",\"%s%u\":{\"dtype\":\"F32\",\"shape\":[%s],"
			"\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
			bias ? "b" : "w", i, shape, begin, end);
}

/* Writes the network as a safetensors file. 0 or -EIO. */
static int write_model(FILE *f)
{
	static const char list[] =
		"{\"__metadata__\":{\"penstock.layers\":\"["
		"{\\\"type\\\":\\\"linear\\\",\\\"weight\\\":\\\"w0\\\","
		"\\\"bias\\\":\\\"b0\\\"},{\\\"type\\\":\\\"relu\\\"},"
		"{\\\"type\\\":\\\"linear\\\",\\\"weight\\\":\\\"w1\\\","
		"\\\"bias\\\":\\\"b1\\\"},{\\\"type\\\":\\\"relu\\\"},"
		"{\\\"type\\\":\\\"linear\\\",\\\"weight\\\":\\\"w2\\\","
		"\\\"bias\\\":\\\"b2\\\"}]\"}";
	uint64_t at = 0, bytes, i, n = 0, length;
	char header[2048];
	unsigned int l;
	float v;

	n += (uint64_t)snprintf(header, sizeof(header), "%s", list);
	for (l = 0; l < N_LAYER; l++) {
		bytes = 4ULL * layers[l].out * layers[l].in;
		n += (uint64_t)describe(header + n, sizeof(header) - n, l,
					false, at, at + bytes);
		at += bytes;
		bytes = 4ULL * layers[l].out;
		n += (uint64_t)describe(header + n, sizeof(header) - n, l, true,
					at, at + bytes);
		at += bytes;
	}
	header[n++] = '}';
	/* The data begins at a multiple of 8. */
	while (n % 8)
		header[n++] = ' ';
	length = n;
	fwrite(&length, sizeof(length), 1, f);
	fwrite(header, 1, n, f);
	for (i = 0; i < at / 4; i++) {
		v = ((float)(i % 13) - 6) / 64;
		fwrite(&v, sizeof(v), 1, f);
	}
	return fflush(f) != 0 || ferror(f) ? -EIO : 0;
}

/* Makes the file, removes its name, has the agent load it. */
static int load(struct pst_bench *b, struct infer *n)
{
	const char *dir = getenv("TMPDIR");
	char path[200], name[48];
	FILE *f = NULL;
	int fd, r;

	if (!dir || !*dir)
		dir = "/tmp";
	snprintf(path, sizeof(path), "%s/penstock-bench.XXXXXX", dir);
	fd = mkstemp(path);
	if (fd >= 0) {
		/* Nothing is left behind, whatever ends us. */
		unlink(path);
		f = fdopen(fd, "w");
	}
	if (!f || write_model(f) < 0) {
		snprintf(b->error, sizeof(b->error),
			 "cannot write a file in %.100s: %s", dir,
			 strerror(errno));
		if (f)
			fclose(f);
		else if (fd >= 0)
			close(fd);
		return -EIO;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(name, sizeof(name), "bench-%d", (int)getpid());
	r = pst_model_load(b->c, name, path, PST_BENCH_TIMEOUT_NS, &n->model);
	fclose(f);
	n->loaded = r == 0;
	return r;
}

/* Keeps what would end us until the model is unloaded. What is ignored must
 * not be blocked: it would then be pending. */
static void hold_signals(sigset_t *ret_before)
{
	static const int ending[] = {SIGHUP, SIGINT, SIGTERM};
	struct sigaction sa;
	sigset_t held;
	size_t i;

	sigemptyset(&held);
	for (i = 0; i < sizeof(ending) / sizeof(*ending); i++)
		if (sigaction(ending[i], NULL, &sa) == 0 &&
		    sa.sa_handler != SIG_IGN)
			sigaddset(&held, ending[i]);
	pthread_sigmask(SIG_BLOCK, &held, ret_before);
}

static bool is_interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGHUP) == 1 ||
	       sigismember(&pending, SIGINT) == 1 ||
	       sigismember(&pending, SIGTERM) == 1;
}

static int once(struct pst_bench_task *t, uint64_t *ret_ns,
		uint64_t *ret_extra_ns)
{
	const struct pst_infer_args f = {
		.size = sizeof(struct pst_infer_args),
		.model = t->src2,
		.in = t->src,
		.out = t->dst,
		.rows = (uint32_t)t->n,
	};
	struct pst_completion done;
	uint64_t start;
	int r;

	if (is_interrupted())
		return -ECANCELED;
	start = pst_bench_now_ns();
	r = pst_infer(t->c, &f, PST_BENCH_TIMEOUT_NS, &done);
	*ret_ns = pst_bench_now_ns() - start;
	if (r == 0)
		*ret_extra_ns = *ret_ns > done.compute_ns
					? *ret_ns - done.compute_ns
					: 0;
	return r;
}

static struct pst_bench_row *add_row(struct pst_bench *b, const char *name)
{
	return pst_bench_new_row(b, "infer", PST_BENCH_ROW_PENSTOCK,
				 PST_BENCH_ROW_US, name);
}

static int set_up(struct pst_bench *b, struct infer *n)
{
	void *in = NULL, *out = NULL;
	char name[48];
	size_t i;
	int r;

	r = pst_alloc(b->c, 4ULL * ROWS * N_IN, &in);
	if (!r)
		r = pst_alloc(b->c, 4ULL * ROWS * N_OUT, &out);
	n->in = in;
	n->out = out;
	if (r < 0)
		return pst_bench_failed(b, b->c, r);
	for (i = 0; i < (size_t)ROWS * N_IN; i++)
		n->in[i] = (float)(i % 11) / 11;
	for (i = 0; i < N_BATCHES; i++) {
		n->tasks[i] = (struct pst_bench_task){
			.once = once,
			.c = b->c,
			.src = n->in,
			.src2 = &n->model,
			.dst = n->out,
			.n = batches[i],
		};
		snprintf(name, sizeof(name), "batch of %u", batches[i]);
		n->tasks[i].row = add_row(b, name);
		snprintf(name, sizeof(name), "batch of %u, overhead",
			 batches[i]);
		n->tasks[i].extra = add_row(b, name);
		if (!n->tasks[i].row || !n->tasks[i].extra)
			return -ENOMEM;
	}
	return 0;
}

static int run(struct pst_bench *b)
{
	struct infer n = {0};
	struct pst_bench_row *row;
	int r;

	r = load(b, &n);
	if (r == -EOPNOTSUPP) {
		row = add_row(b, "all");
		if (!row)
			return -ENOMEM;
		snprintf(row->note, sizeof(row->note),
			 "the backend runs no models");
		return 0;
	}
	if (r < 0)
		return b->error[0] ? r : pst_bench_failed(b, b->c, r);
	r = set_up(b, &n);
	if (!r)
		r = pst_bench_rounds(b, "infer", n.tasks, N_BATCHES,
				     b->budget_ns);
	pst_free(b->c, n.in);
	pst_free(b->c, n.out);
	if (n.loaded)
		(void)pst_model_unload(b->c, n.model.name);
	return r;
}

int pst_bench_infer(struct pst_bench *b)
{
	sigset_t before;
	int r;

	hold_signals(&before);
	r = run(b);
	/* What was held ends us here. */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

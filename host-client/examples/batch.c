/* SPDX-License-Identifier: MIT */
/*
 * A batch job: eight threads on one connection multiply one matrix by a long
 * list of others. Each thread goes on with whichever product is over, whoever
 * began it. What was lost with a session is computed again in the next.
 *
 *	cc -pthread batch.c $(pkg-config --cflags --libs penstock) -o batch
 *	./batch ENDPOINT [N [COUNT]]
 */
#include <errno.h>
#include <penstock.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_THREADS   8
#define DEPTH       4 /* products of a thread under way */
#define N_TILES     (N_THREADS * DEPTH)
#define TRIES_MAX   100
#define PATIENCE_NS 30000000000ULL

/* A place for one product. It belongs to the thread that fills it in, then to
 * the agent, then to the thread that collects its completion. */
struct tile {
	unsigned int index; /* of the product */
	float *b, *c;
};

struct job {
	struct pst *c;
	uint32_t n;
	float *a;
	struct tile tiles[N_TILES];
	int n_tiles; /* for fewer the arena may have room */
	int error;   /* what ended this session's work */
	char sentence[256];
	pthread_mutex_t lock;
	unsigned int next, count, n_done; /* products */
	bool *done;
};

/* The first failure ends the work of all threads. */
static void fail(struct job *job, int error, const char *sentence)
{
	pthread_mutex_lock(&job->lock);
	if (!job->error) {
		job->error = error;
		snprintf(job->sentence, sizeof(job->sentence), "%s: %s",
			 pst_strerror(error), sentence);
	}
	pthread_mutex_unlock(&job->lock);
}

/* A call of this thread has failed. */
static void fail_call(struct job *job, int error)
{
	char sentence[256];

	pst_last_error(job->c, sentence, sizeof(sentence));
	fail(job, error, sentence);
}

/* ---- One product ------------------------------------------------------- */

static float a_at(uint32_t row, uint32_t col)
{
	return (float)((row + 2 * col) % 5);
}

static float b_at(unsigned int index, uint32_t row, uint32_t col)
{
	return (float)((index + 3 * row + col) % 7);
}

/* The next product that is to be computed. */
static bool take(struct job *job, struct tile *t)
{
	bool any = false;

	pthread_mutex_lock(&job->lock);
	while (job->next < job->count && job->done[job->next])
		job->next++;
	if (job->next < job->count && !job->error) {
		t->index = job->next++;
		any = true;
	}
	pthread_mutex_unlock(&job->lock);
	return any;
}

static void fill(const struct job *job, const struct tile *t)
{
	uint32_t i, j;

	for (i = 0; i < job->n; i++)
		for (j = 0; j < job->n; j++)
			t->b[(size_t)i * job->n + j] = b_at(t->index, i, j);
}

/* Small integers: sums are exact. One element for each product. */
static int check(const struct job *job, const struct tile *t)
{
	const uint32_t row = t->index % job->n, col = job->n - 1 - row;
	float sum = 0, got;
	uint32_t k;
	int r;

	r = pst_take(job->c, &got, &t->c[(size_t)row * job->n + col],
		     sizeof(got));
	if (r < 0)
		return r;
	for (k = 0; k < job->n; k++)
		sum += a_at(row, k) * b_at(t->index, k, col);
	if (got == sum)
		return 0;
	fprintf(stderr, "batch: product %u: %g, expected %g\n", t->index,
		(double)got, (double)sum);
	exit(1);
}

/* ---- Threads ----------------------------------------------------------- */

/* Begins new products in n tiles, all at once. */
static void start(struct job *job, struct tile *const *tiles, int n)
{
	struct pst_submission ops[DEPTH];
	struct pst_gemm_args args[DEPTH];
	int i, r, k = 0;

	while (k < n && take(job, tiles[k])) {
		fill(job, tiles[k]);
		args[k] = (struct pst_gemm_args)PST_GEMM_INIT;
		args[k].dtype = PST_F32;
		args[k].m = args[k].n = args[k].k = job->n;
		args[k].a = job->a;
		args[k].b = tiles[k]->b;
		args[k].c = tiles[k]->c;
		ops[k] = (struct pst_submission)PST_SUBMISSION_INIT;
		ops[k].op = PST_OP_GEMM;
		ops[k].args.gemm = &args[k];
		ops[k].user_data = (uintptr_t)tiles[k];
		k++;
	}
	for (i = 0; i < k; i += r) {
		r = pst_submit(job->c, ops + i, k - i, NULL);
		if (r < 0) {
			fail_call(job, r);
			return;
		}
	}
}

static void finish(struct job *job, const struct pst_completion *done)
{
	struct tile *t = (struct tile *)(uintptr_t)done->user_data;
	char sentence[256] = "";
	int r;

	if (done->status < 0) {
		/* The agent's own words, if it is still there. */
		pst_failure(job->c, done->tag, sentence, sizeof(sentence));
		fail(job, done->status, sentence);
		return;
	}
	r = check(job, t);
	if (r < 0) {
		fail_call(job, r);
		return;
	}
	pthread_mutex_lock(&job->lock);
	job->done[t->index] = true;
	job->n_done++;
	pthread_mutex_unlock(&job->lock);
}

static void *work(void *arg)
{
	struct pst_completion done[DEPTH];
	struct tile *tiles[DEPTH];
	struct job *job = arg;
	int i, n;

	/* Until nothing is under way any more: a session that is lost ends all
	 * operations. */
	while ((n = pst_wait_any(job->c, done, DEPTH, PATIENCE_NS)) > 0) {
		for (i = 0; i < n; i++) {
			tiles[i] = (struct tile *)(uintptr_t)done[i].user_data;
			finish(job, &done[i]);
		}
		start(job, tiles, n);
	}
	if (n != -ENOENT)
		fail_call(job, n);
	return NULL;
}

/* ---- The job ----------------------------------------------------------- */

static int alloc(struct job *job, float **ret)
{
	void *p;
	int r = pst_alloc(job->c, (size_t)job->n * job->n * sizeof(float), &p);

	*ret = r < 0 ? NULL : p;
	return r;
}

/* Buffers of this session; the first pst_alloc() opens it. */
static int begin(struct job *job)
{
	struct tile *t;
	uint32_t i, j;
	int r = alloc(job, &job->a);

	for (job->n_tiles = 0; !r && job->n_tiles < N_TILES; job->n_tiles++) {
		t = &job->tiles[job->n_tiles];
		if ((r = alloc(job, &t->b)) < 0 || (r = alloc(job, &t->c)) < 0)
			break;
	}
	/* Fewer tiles do as well. */
	if (r == -ENOSPC && job->n_tiles > 0)
		r = 0;
	for (i = 0; !r && i < job->n; i++)
		for (j = 0; j < job->n; j++)
			job->a[(size_t)i * job->n + j] = a_at(i, j);
	return r;
}

static void end(struct job *job)
{
	int i;

	for (i = 0; i < N_TILES; i++) {
		pst_free(job->c, job->tiles[i].b);
		pst_free(job->c, job->tiles[i].c);
		job->tiles[i].b = job->tiles[i].c = NULL;
	}
	pst_free(job->c, job->a);
	job->a = NULL;
}

/* Computes what is left, within one session. */
static void run(struct job *job)
{
	struct tile *tiles[N_TILES];
	pthread_t threads[N_THREADS];
	int i, n = 0, r = begin(job);

	if (r < 0)
		fail_call(job, r);
	for (i = 0; !job->error && i < job->n_tiles; i += DEPTH) {
		for (n = 0; n < DEPTH && i + n < job->n_tiles; n++)
			tiles[n] = &job->tiles[i + n];
		start(job, tiles, n);
	}
	for (n = 0; n < N_THREADS; n++)
		if (pthread_create(&threads[n], NULL, work, job))
			break;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	end(job);
}

/* The session is lost, or the next agent is not there yet. */
static bool may_go_on(int error)
{
	return error == -ECONNRESET || error == -ESTALE || error == -EPROTO ||
	       error == -ECONNREFUSED || error == -ENOENT;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
	struct pst_options options = PST_OPTIONS_INIT;
	struct job job = {.lock = PTHREAD_MUTEX_INITIALIZER};
	unsigned int tries = 0;
	int r;

	job.n = argc > 2 ? (uint32_t)atoi(argv[2]) : 256;
	job.count = argc > 3 ? (unsigned int)atoi(argv[3]) : 1000;
	job.done = calloc(job.count, sizeof(*job.done));
	if (argc < 2 || !job.n || !job.done) {
		fprintf(stderr, "usage: batch ENDPOINT [N [COUNT]]\n");
		return 2;
	}
	/* The agent may be on its way. */
	options.flags = PST_OPEN_WAIT;
	options.timeout_ns = PATIENCE_NS;
	r = pst_open(argv[1], &options, &job.c, job.sentence,
		     sizeof(job.sentence));
	if (r < 0) {
		fprintf(stderr, "batch: %s\n", job.sentence);
		return 1;
	}
	while (job.n_done < job.count) {
		job.next = 0;
		job.error = 0;
		run(&job);
		if (!job.error)
			continue;
		fprintf(stderr, "batch: %s\n", job.sentence);
		if (!may_go_on(job.error) || ++tries == TRIES_MAX)
			break;
		nanosleep(&pause, NULL);
	}
	printf("%u of %u products, %u failures\n", job.n_done, job.count,
	       tries);
	pst_close(job.c);
	r = job.n_done == job.count ? 0 : 1;
	free(job.done);
	return r;
}

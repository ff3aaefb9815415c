/* SPDX-License-Identifier: MIT */
/* The agent that computes: connects in the background, gives it products, and
 * leaves it alone for a while after a failure. */
#include "host-client/blas/agent.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host-client/blas/api.h"
#include "host-client/blas/clock.h"
#include "host-client/blas/config.h"
#include "host-client/blas/finish.h"
#include "host-client/blas/rates.h"
#include "host-client/blas/resident.h"
#include "host-client/penstock.h"

/* After a failure nothing is tried for so long, at first and at most. */
#define PAUSE_FIRST_NS (1ULL * 1000 * 1000 * 1000)
#define PAUSE_MOST_NS  (60 * PAUSE_FIRST_NS)
/* A product may take so long in all; an agent without a heartbeat is given up
 * much sooner. */
#define TIMEOUT_NS (600ULL * 1000 * 1000 * 1000)

enum state { IDLE, CONNECTING, READY, FAILED };

static atomic_int state;
static struct pst *_Atomic conn;
static atomic_uint_least64_t paused_until_ns;
static atomic_uint_least64_t pause_ns = PAUSE_FIRST_NS;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t connected = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- Pauses ------------------------------------------------------------ */

/* Of several threads after a pause one tries, and the others go on without. */
static bool may_try(void)
{
	uint64_t until =
		atomic_load_explicit(&paused_until_ns, memory_order_relaxed);
	uint64_t now;

	if (until == 0)
		return true;
	now = pst_blas_now_ns();
	if (now < until)
		return false;
	return atomic_compare_exchange_strong(
		&paused_until_ns, &until,
		now + atomic_load_explicit(&pause_ns, memory_order_relaxed));
}

static void failed(const char *what, const char *why)
{
	uint64_t pause = atomic_load(&pause_ns);

	atomic_store(&paused_until_ns, pst_blas_now_ns() + pause);
	atomic_store(&pause_ns,
		     2 * pause < PAUSE_MOST_NS ? 2 * pause : PAUSE_MOST_NS);
	pst_blas_trace("%s: %s; nothing is offloaded for %.0f s", what, why,
		       (double)pause / 1e9);
}

static void worked(void)
{
	if (atomic_load_explicit(&paused_until_ns, memory_order_relaxed) == 0)
		return;
	atomic_store(&pause_ns, PAUSE_FIRST_NS);
	atomic_store(&paused_until_ns, 0);
}

/* ---- Connecting -------------------------------------------------------- */

/* The child has no part in its parent's session, and opens its own when it
 * needs one. */
static void in_child(void)
{
	struct pst *c = atomic_exchange(&conn, NULL);

	if (c)
		pst_blas_api()->after_fork(c);
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&connected, NULL);
	atomic_store(&paused_until_ns, 0);
	atomic_store(&pause_ns, PAUSE_FIRST_NS);
	atomic_store(&state, IDLE);
	pst_blas_resident_forked();
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, in_child);
}

static void *connect_now(void *unused)
{
	const struct pst_blas_api *api = pst_blas_load_api();
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst *c = NULL;
	char text[400] = "libpenstock.so.0 is not there";
	int r = -ENOENT;

	if (api)
		r = api->open(pst_blas_config()->endpoint, &o, &c, text,
			      sizeof(text));
	if (r == 0)
		pst_blas_rates_find(c);
	else
		failed("cannot connect", text);
	pthread_mutex_lock(&lock);
	atomic_store(&conn, c);
	atomic_store(&state, r == 0 ? READY : FAILED);
	pthread_cond_broadcast(&connected);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void connect_in_background(void)
{
	int from = IDLE, again = FAILED;
	sigset_t all, old;
	pthread_t t;
	int r;

	if (!pst_blas_config()->endpoint[0])
		return;
	(void)pthread_once(&once, watch_forks);
	if (!atomic_compare_exchange_strong(&state, &from, CONNECTING) &&
	    (!may_try() ||
	     !atomic_compare_exchange_strong(&state, &again, CONNECTING)))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t, NULL, connect_now, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pthread_detach(t);
	else
		atomic_store(&state, FAILED);
}

bool pst_blas_agent_ready(bool wait)
{
	int now = atomic_load_explicit(&state, memory_order_acquire);

	if (now == READY)
		return may_try();
	if (now != CONNECTING)
		connect_in_background();
	if (!wait)
		return false;
	pthread_mutex_lock(&lock);
	while (atomic_load(&state) == CONNECTING)
		pthread_cond_wait(&connected, &lock);
	pthread_mutex_unlock(&lock);
	return atomic_load(&state) == READY;
}

/* ---- Products ---------------------------------------------------------- */

/* The connection in whose buffers operands lie; all: of each of them. */
static struct pst *owner(const struct pst_blas_args *x, bool *ret_all)
{
	const struct pst_blas_api *api = pst_blas_api();
	struct pst *a, *b, *c;

	*ret_all = false;
	if (!api)
		return NULL;
	c = api->owner(x->c);
	a = api->owner(x->a);
	b = api->owner(x->b);
	*ret_all = c && a == c && b == c;
	return c ? c : a ? a : b;
}

bool pst_blas_agent_owns(const struct pst_blas_args *x)
{
	bool all;

	return x->routine == PST_BLAS_GEMM && owner(x, &all) && all;
}

/* A piece that the agent did not complete. */
static int compute_piece(void *arg, const struct pst_gemm_args *g)
{
	const struct pst_blas_library *lib = arg;
	const struct pst_blas_args x = {
		.routine = PST_BLAS_GEMM,
		.type = lib->type,
		.transa = g->transa,
		.transb = g->transb,
		.m = g->m,
		.n = g->n,
		.k = g->k,
		.lda = g->lda,
		.ldb = g->ldb,
		.ldc = g->ldc,
		.alpha = g->alpha,
		.beta = g->beta,
		.a = g->a,
		.b = g->b,
		.c = g->c,
	};

	pst_blas_compute(lib, &x);
	return 0;
}

/* What other calls hold, or too many clients: no reason to stop asking. */
static bool is_passing(int error)
{
	return error == -ENOSPC || error == -EAGAIN || error == -EMSGSIZE ||
	       error == -EINVAL || error == -EFAULT || error == -EOVERFLOW;
}

/* With operands that the agent still has. On failure C is as it was, and the
 * product is to be computed in another way. */
static bool with_resident(struct pst *c, const struct pst_blas_args *x,
			  const struct pst_gemm_args *plain)
{
	const struct pst_blas_api *api = pst_blas_api();
	struct pst_gemm_args g = *plain;
	void *before;
	int r;

	if (!pst_blas_resident_use(c, x, &g))
		return false;
	before = pst_blas_keep(x);
	r = x->beta != 0 && !before ? -ENOMEM
				    : api->gemm(c, &g, TIMEOUT_NS, NULL);
	if (r < 0) {
		if (before && api->c_touched(c))
			pst_blas_put_back(x, before);
		pst_blas_trace("an operand that was kept is lost");
		pst_blas_resident_forget(c);
	}
	free(before);
	return r == 0;
}

enum pst_blas_end pst_blas_agent_gemm(const struct pst_blas_library *lib,
				      const struct pst_blas_args *x)
{
	const struct pst_blas_api *api = pst_blas_api();
	static const uint32_t dtypes[PST_BLAS_N_TYPES] = {
		[PST_BLAS_F32] = PST_F32,
		[PST_BLAS_F64] = PST_F64,
		[PST_BLAS_BF16] = PST_BF16,
	};
	struct pst_gemm_args g = PST_GEMM_INIT;
	struct pst_completion done = {0};
	bool all, touched;
	struct pst *c = owner(x, &all);
	const bool owned = c;
	void *before;
	char text[400];
	int r;

	if (!c)
		c = atomic_load(&conn);
	if (!c)
		return PST_BLAS_REFUSED;
	g.dtype = dtypes[x->type];
	g.dtype_c = x->type == PST_BLAS_BF16 ? PST_F32 : 0;
	g.order = PST_COL_MAJOR;
	g.compute = x->type == PST_BLAS_F32 ? pst_blas_config()->compute : 0;
	g.transa = x->transa;
	g.transb = x->transb;
	g.m = (uint32_t)x->m;
	g.n = (uint32_t)x->n;
	g.k = (uint32_t)x->k;
	g.lda = (uint32_t)x->lda;
	g.ldb = (uint32_t)x->ldb;
	g.ldc = (uint32_t)x->ldc;
	g.alpha = x->alpha;
	g.beta = x->beta;
	g.a = x->a;
	g.b = x->b;
	g.c = x->c;
	if (!owned && with_resident(c, x, &g)) {
		worked();
		return PST_BLAS_DONE;
	}
	before = owned ? pst_blas_keep(x) : NULL;
	r = api->gemm_or(c, &g, TIMEOUT_NS, compute_piece, (void *)lib, &done);
	if (r == 0) {
		free(before);
		worked();
		return PST_BLAS_DONE;
	}
	touched = r < 0 && api->c_touched(c);
	api->last_error(c, text, sizeof(text));
	if (!is_passing(r > 0 ? done.status : r))
		failed("a product", text);
	else
		pst_blas_trace("a product: %s", text);
	if (r < 0 && (owned || touched))
		pst_blas_finish(lib, x, before, touched);
	free(before);
	return r < 0 && !owned && !touched ? PST_BLAS_REFUSED
					   : PST_BLAS_FINISHED;
}

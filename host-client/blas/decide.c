/* SPDX-License-Identifier: MIT */
/* Whether a product is faster by the agent than here: measured rates, corrected
 * by every call. */
#include "host-client/blas/decide.h"

#include <math.h>
#include <stdatomic.h>

/* Calls of about one size share what was measured: by powers of two of their
 * terms, up to 2^63. */
#define N_SIZES 64
/* The weight of a new measurement. */
#define WEIGHT 0.25
/* The agent has to be so much faster: last bits differ by where it was. */
#define GAIN 1.1
/* A side that was slower is tried again after so many calls, then twice as
 * many, and so on: it may have been busy. */
#define RETRY_FIRST 64U
#define RETRY_MOST  (1U << 20)
/* Before anything is known: from this many terms on a GPU pays for F32, as
 * SCILIB-Accel has found, and never for F64, of which many cards have little.
 */
#define PLAIN_MIN_TERMS (500.0 * 500 * 500)
/* A BLAS has nearly its full speed from so many terms on (n = 128), and may
 * gain so much with larger ones: that is what it is taken for where it was not
 * measured. */
#define FULL_TERMS (1U << 21)
#define GROWTH     1.25
/* It is measured once: at once where the two are so close, else after so many
 * calls of a size, unless it would be so much slower. */
#define CLOSE      3.0
#define FIRST_LOOK 8U
#define HOPELESS   8.0

struct size_class {
	_Atomic double rate[PST_BLAS_N_SIDES]; /* terms/s as measured; 0: not */
	atomic_uint calls_since, retry;
};

static struct size_class classes[PST_BLAS_N_TYPES][N_SIZES];
static _Atomic double first_rate[PST_BLAS_N_TYPES][PST_BLAS_N_SIDES];
static _Atomic double way_rate = 6e9, way_call = 50e-6;

static double load(const _Atomic double *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic double *p, double v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static struct size_class *class_of(enum pst_blas_type type, double terms)
{
	int e = terms >= 1 ? ilogb(terms) : 0;

	return &classes[type][e < N_SIZES ? e : N_SIZES - 1];
}

void pst_blas_set_rate(enum pst_blas_type type, enum pst_blas_side side,
		       double flops_per_s)
{
	store(&first_rate[type][side], flops_per_s / 2);
}

void pst_blas_set_way(double bytes_per_s, double call_s)
{
	store(&way_rate, bytes_per_s);
	store(&way_call, call_s);
}

/* The best that was measured here of other sizes; 0: nothing was. */
static double rate_of_others(enum pst_blas_type type)
{
	const struct size_class *c = class_of(type, FULL_TERMS);
	double rate, best = 0;

	for (; c < classes[type] + N_SIZES; c++) {
		rate = load(&c->rate[PST_BLAS_HERE]);
		best = rate > best ? rate : best;
	}
	return GROWTH * best;
}

double pst_blas_expect(enum pst_blas_type type, enum pst_blas_side side,
		       double terms, double bytes)
{
	double rate = load(&class_of(type, terms)->rate[side]);
	double s;

	if (rate > 0)
		return terms / rate;
	rate = load(&first_rate[type][side]);
	if (side == PST_BLAS_HERE && !(rate > 0))
		rate = rate_of_others(type);
	if (!(rate > 0))
		return 0;
	s = terms / rate;
	if (side == PST_BLAS_AGENT)
		s += load(&way_call) + bytes / load(&way_rate);
	return s;
}

/* Whether it is time to see how the slower side does now; first: for the first
 * time at all. */
static bool is_retry(struct size_class *c, bool first)
{
	unsigned int after =
		atomic_load_explicit(&c->retry, memory_order_relaxed);

	if (first)
		after = FIRST_LOOK;
	else if (after == 0)
		after = RETRY_FIRST;
	if (atomic_fetch_add_explicit(&c->calls_since, 1,
				      memory_order_relaxed) +
		    1 <
	    after)
		return false;
	atomic_store_explicit(&c->calls_since, 0, memory_order_relaxed);
	if (!first && after < RETRY_MOST)
		atomic_store_explicit(&c->retry, 2 * after,
				      memory_order_relaxed);
	return true;
}

enum pst_blas_side pst_blas_decide(enum pst_blas_type type, double terms,
				   double bytes)
{
	struct size_class *c = class_of(type, terms);
	const double here = pst_blas_expect(type, PST_BLAS_HERE, terms, bytes);
	const double there =
		pst_blas_expect(type, PST_BLAS_AGENT, terms, bytes);
	const bool unseen = !(load(&c->rate[PST_BLAS_HERE]) > 0);
	const double far = unseen ? HOPELESS : CLOSE;
	enum pst_blas_side side;

	if (!(here > 0) || !(there > 0))
		return type != PST_BLAS_F64 && terms >= PLAIN_MIN_TERMS
			       ? PST_BLAS_AGENT
			       : PST_BLAS_HERE;
	side = here > GAIN * there ? PST_BLAS_AGENT : PST_BLAS_HERE;
	if (unseen && here < CLOSE * there)
		return PST_BLAS_HERE;
	/* Far apart it would only cost. */
	if (here < far * there && there < CLOSE * here &&
	    is_retry(c, unseen && side == PST_BLAS_AGENT))
		side = side == PST_BLAS_AGENT ? PST_BLAS_HERE : PST_BLAS_AGENT;
	return side;
}

void pst_blas_learn(enum pst_blas_type type, enum pst_blas_side side,
		    double terms, double seconds)
{
	_Atomic double *p = &class_of(type, terms)->rate[side];
	double rate, old = load(p);

	if (!(terms > 0) || !(seconds > 0))
		return;
	rate = terms / seconds;
	/* One slow call, of a machine that was busy, says little. */
	if (old > 0)
		rate = old + WEIGHT * (rate - old);
	store(p, rate);
}

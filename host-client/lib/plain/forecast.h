/* SPDX-License-Identifier: MIT */
/* Predicts the end of an operation from earlier ones of its shape. A waiter
 * sleeps through most of a long operation, and is awake at its end. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_FORECAST_H
#define PST_HOST_CLIENT_LIB_PLAIN_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/wire.h"

/* Durations remembered of each shape. */
#define PST_FORECAST_SEEN 16U
/* Shapes remembered at a time; one that comes again takes another's place. */
#define PST_FORECAST_SHAPES 64U

struct pst_forecast_shape {
	uint64_t key;                        /* 0: empty */
	uint64_t n;                          /* seen so far */
	uint64_t seen_ns[PST_FORECAST_SEEN]; /* the backend's time, the last
						ones */
	unsigned int faster; /* in a row that took far less than all before */
	unsigned int misses; /* plans in a row that came to nothing */
	unsigned int skip;   /* calls to come that are not planned for that */
};

/* All zero: no samples yet. Pure data; the caller serialises. */
struct pst_forecast {
	struct pst_forecast_shape shapes[PST_FORECAST_SHAPES];
	uint64_t
		late_ns; /* by which timed sleeps end late, and its deviation */
	uint64_t late_dev_ns;
	bool late_known;
	/* When what was submitted so far has ended, at the earliest and latest.
	 */
	uint64_t free_early_ns, free_late_ns;
	uint64_t seen_ns; /* when an operation was seen to have ended that
			     others wait behind; 0: none since all was idle */
};

/* When an operation starts. */
struct pst_forecast_start {
	uint64_t asked_ns; /* it was submitted */
	uint64_t early_ns, late_ns;
};

/*
 * How to wait: sleep until sleep_until_ns (0: not at all), then spin until
 * spin_until_ns. Both are 0 when nothing is known or it proved wrong lately.
 */
struct pst_forecast_plan {
	uint64_t sleep_until_ns;
	uint64_t spin_until_ns;
};

/* What operations of one duration have in common; 0 for one too short to be
 * worth it. */
uint64_t pst_forecast_key(const struct pst_wire_sqe *sqe);

/* Whether pst_forecast_start() is worth reading the clock for an operation that
 * is submitted now: it, or one that it waits behind, takes longer than the
 * spin. */
bool pst_forecast_matters(struct pst_forecast *p, uint64_t key,
			  uint64_t spin_ns);

/* For an operation that is submitted at now_ns: it starts behind what was
 * submitted before by this call. */
void pst_forecast_start(struct pst_forecast *p, uint64_t key, uint64_t now_ns,
			struct pst_forecast_start *ret);

/* What was submitted so far is over, was given up or is lost: the next one
 * starts at once. */
void pst_forecast_forget(struct pst_forecast *p);

/* Whether something started by pst_forecast_start() may wait behind others. */
static inline bool pst_forecast_waits(const struct pst_forecast *p)
{
	return p->free_late_ns != 0;
}

/* At now_ns an operation was seen to have ended that others wait behind. */
void pst_forecast_seen(struct pst_forecast *p, uint64_t now_ns);

/* Nothing is left of what was submitted before that operation: it started when
 * the last of it ended, as far as that was seen. */
void pst_forecast_next(const struct pst_forecast *p,
		       struct pst_forecast_start *start);

/* A plan for an operation of a connection that spins for spin_ns. */
void pst_forecast_plan(struct pst_forecast *p, uint64_t key,
		       const struct pst_forecast_start *start, uint64_t spin_ns,
		       struct pst_forecast_plan *ret);

/* An operation of that key took the backend so long. */
void pst_forecast_done(struct pst_forecast *p, uint64_t key,
		       uint64_t compute_ns);

/* Whether the end came within a plan's spin (or was slept past). */
void pst_forecast_met(struct pst_forecast *p, uint64_t key, bool met);

/* A sleep until until_ns ended at now_ns, by its timer. */
void pst_forecast_slept(struct pst_forecast *p, uint64_t until_ns,
			uint64_t now_ns);

#endif

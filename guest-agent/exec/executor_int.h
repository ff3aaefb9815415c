/* SPDX-License-Identifier: MIT */
/* Common declarations of the executor's files. */
#ifndef PST_GUEST_AGENT_EXEC_EXECUTOR_INT_H
#define PST_GUEST_AGENT_EXEC_EXECUTOR_INT_H

#include "guest-agent/exec/check.h"
#include "guest-agent/exec/executor.h"
#include "transport/ring.h"
#include "transport/run.h"

/* Operations taken ahead of their turn, so that queue_ns says how long an
 * operation waited for others. */
#define N_TAKEN 32U

struct taken {
	struct pst_wire_sqe sqe;
	uint64_t taken_ns;
	bool cancelled;
};

/* Why an operation failed. */
struct why {
	uint64_t tag;
	char text[sizeof(((struct pst_error *)NULL)->text)];
};

/* An operation that the backend took while the one before was on the device. */
struct follower {
	struct pst_backend_op bop;
	struct pst_agent_check_memo memo;
	bool cancelled;
	uint64_t queue_ns;
	uint64_t begun;
};

struct lane {
	bool attached;
	bool broken;    /* not scanned any more */
	bool running;   /* bop is in the backend */
	bool waiting;   /* for the device that runs bop; not for a turn */
	bool giving_up; /* bop is being cancelled */
	bool detached;  /* nothing is posted any more */
	uint32_t index;
	uint64_t owner;
	struct pst_lane_agent ring;
	int64_t deficit_ns;
	uint64_t queue_ns;    /* of the running operation */
	uint64_t give_up_ns;  /* when giving_up was set */
	unsigned int n_taken; /* of the queue below, from first on */
	unsigned int first;
	struct taken taken[N_TAKEN];
	struct pst_backend_use use; /* that runs bop */
	struct pst_run run;         /* of bop, if that is a RUN */
	uint64_t call_off;          /* where its block lies */
	struct pst_backend_op bop;
	unsigned int kind; /* of the operation that started last */
	uint64_t begun;    /* the number of bop, or of the last one */
	/* When the device began, and should have ended bop; 0: it has not. */
	uint64_t device_ns, due_ns;
	/* Behind bop, in the backend; see executor_ahead.c. */
	unsigned int n_ahead, first_ahead;
	bool no_ahead; /* until bop is done */
	struct follower ahead[PST_BACKEND_MAX_AHEAD];
	/* Entries still in the ring that were cancelled, by slot. */
	unsigned int n_marked;
	uint64_t marked[PST_WIRE_SLOTS / 64];
	struct pst_agent_check_memo memo;
	struct pst_agent_lane_stats stats;
	uint64_t n_whys; /* written so far, round and round */
	struct why whys[PST_AGENT_EXECUTOR_FAILURES];
};

struct pst_agent_executor {
	struct pst_agent_executor_config config;
	struct pst_backend_use compute; /* of config */
	bool draining;
	uint64_t now_ns;   /* of the last reading of the clock */
	uint64_t slice_ns; /* of the backend, in this run */
	bool fresh;        /* nothing that takes time was done since */
	bool woke;         /* a client, in this run: a system call */
	bool idle;         /* the last run found nothing */
	bool stepped;      /* just now: now_ns is the end of that operation */
	/* The lane whose client is owed a fenced look at whether it sleeps,
	 * since the last completion; NULL: none. */
	struct lane *owes;
	struct pst_agent_rates rates;
	struct pst_agent_meters meters;
	uint64_t n_started;
	uint64_t n_begun; /* operations that reached the backend */
	unsigned int n_active;
	unsigned int turn; /* index into active */
	uint64_t turn_ns;  /* used in this turn */
	bool shared;       /* more than one lane has work */
	struct lane *active[PST_WIRE_MAX_LANES];
	struct lane lanes[PST_WIRE_MAX_LANES];
};

/* Chooses what runs the lane's checked RUN. Returns 0, PST_AGENT_STEP_DONE
 * (nothing is left to do), or -EMSGSIZE with a sentence: an output does not fit
 * its room. */
int pst_agent_run_choose(const struct pst_agent_executor_config *config,
			 struct lane *l, struct pst_error *err);

/* Tells the client of the outputs of a RUN, before its completion. */
void pst_agent_run_answer(const struct pst_agent_executor_config *config,
			  const struct lane *l);

/* Whether the backend may take the lane's next operation behind those that are
 * on the device. */
bool pst_agent_ahead_may(const struct pst_agent_executor *ex,
			 const struct lane *l);

/* Gives the backend that operation, or finds that it has to wait. */
void pst_agent_ahead_begin(struct pst_agent_executor *ex, struct lane *l);

/* The lane's operation is over: the next one that the backend has takes its
 * place. Returns whether there is one. */
bool pst_agent_ahead_next(struct pst_agent_executor *ex, struct lane *l);

/* Gives up all that the backend has of the lane, which is not running any more
 * then. Returns false if some of it may still write. */
bool pst_agent_ahead_cancel(struct pst_agent_executor *ex, struct lane *l);

/* The operation with this tag, of those behind the first; NULL: none. */
struct follower *pst_agent_ahead_find(struct lane *l, uint64_t tag);

/* Stores the reason of a failed operation. */
void pst_agent_lane_stash_why(struct lane *l, uint64_t tag,
			      const struct pst_error *err);

/* Whether an entry was cancelled before it was taken; it is not any more. */
bool pst_agent_lane_take_mark(struct lane *l, uint64_t entry);

static inline bool pst_agent_lane_has_work(const struct pst_agent_executor *ex,
					   const struct lane *l)
{
	return l->running ? !l->waiting || pst_agent_ahead_may(ex, l)
			  : l->n_taken > 0;
}

/* The lane whose turn it is, NULL when no lane has work. A turn is much shorter
 * than a share: a lane with a short operation does not wait for shares. */
struct lane *pst_agent_executor_pick(struct pst_agent_executor *ex);

/* A lane has used time of its turn, and of its share. */
void pst_agent_executor_charge(struct pst_agent_executor *ex, struct lane *l,
			       uint64_t used_ns);

#endif

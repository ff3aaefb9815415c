/* SPDX-License-Identifier: MIT */
/* Common to all calls of one operation: operands, check, submit, wait. */
#ifndef PST_HOST_CLIENT_LIB_OPS_CALL_H
#define PST_HOST_CLIENT_LIB_OPS_CALL_H

#include <string.h>

#include "host-client/lib/session/wait.h"
#include "transport/op.h"

/* Operands, by their place in a call and in a record. */
enum pst_operand_slot {
	PST_SLOT_A,
	PST_SLOT_B,
	PST_SLOT_C,
	PST_SLOT_BIAS,
};
static_assert(PST_SLOT_BIAS + 1 == PST_RECORD_BLOCKS, "");

/* Zero at first; of a NOP pst_call_nop() sets what is read. */
struct pst_call {
	struct pst_wire_sqe sqe;
	/* Each operand's buffer, NULL when it is none. */
	struct pst_block *blocks[PST_RECORD_BLOCKS];
	/* Each operand's place in the table of tensors + 1, 0 when it is none.
	 */
	uint32_t tensors[PST_RECORD_BLOCKS];
	/* Of a RUN; the operation's own once it is submitted. */
	struct pst_run_use *run;
	uint64_t user_data;
	uint32_t queue; /* below conf.n_queues */
	bool writes;
};

/* A NOP uses neither the descriptor's second line nor operands, and to zero
 * those takes as long as all else. */
static inline void pst_call_nop(struct pst_call *call, uint32_t queue,
				uint64_t user_data)
{
	memset(&call->sqe, 0, PST_WIRE_LINE);
	call->sqe.op = PST_WIRE_OP_NOP;
	call->user_data = user_data;
	call->queue = queue;
	call->writes = false;
}

/* All with the lock held. */

/* Resolves an operand's pointer into its buffer and wire offset; the size is
 * checked by pst_call_check(). -EFAULT, -ESTALE. */
PST_MUST_USE int pst_call_operand(const struct pst_memory *m,
				  struct pst_call *call,
				  enum pst_operand_slot slot, const char *what,
				  const void *ptr, uint64_t *ret_off,
				  struct pst_error *err);

/* Resolves an operand's tensor into the agent's handle; id 0 does nothing.
 * -ENOENT (no such tensor, destroyed), -ESTALE (of a lost session). */
PST_MUST_USE int pst_call_tensor(const struct pst_memory *m,
				 struct pst_call *call,
				 enum pst_operand_slot slot, const char *what,
				 uint64_t id, uint64_t *ret_handle,
				 struct pst_error *err);

/* Where a pointer into a buffer lies in the region. */
static inline uint64_t pst_block_wire_off(const struct pst_block *b,
					  const void *ptr)
{
	return b->extent->off +
	       (uint64_t)((const uint8_t *)ptr - b->extent->addr);
}

/* Checks the descriptor as the agent will, and that each operand ends within
 * its buffer or tensor. Errors of pst_op_check(). */
PST_MUST_USE int pst_call_check(const struct pst_memory *m,
				const struct pst_call *call, struct pst_op *ret,
				struct pst_error *err);

/*
 * The same of a call that is larger than one operation: its operands that are
 * no tensors may lie in no buffer, so addresses are in the place of offsets,
 * and the agent's limits are those of its pieces.
 */
PST_MUST_USE int pst_call_check_whole(const struct pst_memory *m,
				      const struct pst_call *call,
				      struct pst_error *err);

/* Fills in a COPY's descriptor and checks it. */
PST_MUST_USE int pst_copy_prepare(const struct pst_memory *m,
				  const struct pst_copy_args *p,
				  struct pst_call *call, struct pst_error *err);

/* The queue of a call, in a session that is live: it may have fewer lanes than
 * the connection has queues. */
static inline struct pst_queue *pst_queue_at(struct pst *c, uint32_t queue)
{
	const uint32_t n = c->session.n_lanes;

	return &c->queue[queue < n ? queue : queue % n];
}

static inline struct pst_queue *pst_call_queue(struct pst *c,
					       const struct pst_call *call)
{
	return pst_queue_at(c, call->queue);
}

/*
 * Hands a prepared call to the agent. claimed: the caller will wait for *ret
 * with pst_call_finish(), and pst_poll() does not see it. -EAGAIN (too many
 * are outstanding), -ESTALE (no session), -EINVAL (a control-only connection).
 */
PST_MUST_USE int pst_call_submit(struct pst *c, struct pst_call *call,
				 bool claimed, struct pst_record **ret,
				 struct pst_error *err);

/* The same for one of n calls, without the look at whether the agent sleeps.
 * pst_call_tell() follows the last one that was handed over. */
PST_MUST_USE int pst_call_put(struct pst *c, struct pst_call *call,
			      bool claimed, struct pst_record **ret,
			      struct pst_error *err);
static inline void pst_call_tell(struct pst *c, struct pst_queue *q,
				 unsigned int n)
{
	/* Where others are outstanding the agent is likely to be awake. */
	if (q->lane.sq_tail - q->lane.cq_head <= n
		    ? pst_lane_client_must_wake(&q->lane)
		    : pst_lane_client_glance(&q->lane))
		pst_channel_wake(&c->channel);
}

/*
 * Puts a NOP straight into its slot. The processor holds some 60 stores until
 * the agent gives up their lines; with what a call saves and copies, each NOP
 * had as many. False where anything is in the way: pst_call_put() says what.
 */
PST_MUST_USE static inline bool pst_call_put_nop(struct pst *c, uint32_t queue,
						 uint64_t user_data,
						 uint64_t *ret_tag)
{
	struct pst_record *rec;
	struct pst_queue *q;

	if (c->conf.control_only || !c->session.live)
		return false;
	q = pst_queue_at(c, queue);
	rec = pst_pending_new(&q->ops, false);
	if (!rec)
		return false;
	if (pst_lane_client_submit_nop(&q->lane, rec->done.tag) < 0) {
		pst_pending_put(&q->ops, rec);
		return false;
	}
	rec->done.user_data = user_data;
	if (ret_tag)
		*ret_tag = rec->done.tag;
	return true;
}

/* Gives back a claimed record that is DONE (unlocks). Returns the operation's
 * own error; done may be NULL. */
PST_MUST_USE int pst_call_collect(struct pst *c, struct pst_record *rec,
				  const struct pst_waiter *w,
				  struct pst_completion *done,
				  struct pst_error *err);

/* Waits for a claimed record first. The same, or the transport's error. */
PST_MUST_USE int pst_call_finish(struct pst *c, struct pst_record *rec,
				 const struct pst_waiter *w,
				 struct pst_completion *done,
				 struct pst_error *err);

/* Submits a prepared call and waits for it (unlocks). The operation's own
 * error or the transport's. */
PST_MUST_USE int pst_call_run(struct pst *c, struct pst_call *call,
			      const struct pst_waiter *w,
			      struct pst_completion *done,
			      struct pst_error *err);

/* The same, within timeout_ns from when the agent has it: the clock is read
 * while that works. */
PST_MUST_USE int pst_call_run_for(struct pst *c, struct pst_call *call,
				  uint64_t timeout_ns,
				  struct pst_completion *done,
				  struct pst_error *err);

/* Submits it; *ret_tag (or NULL) names it from then on. claimed: see
 * pst_call_submit(). */
PST_MUST_USE int pst_call_run_async(struct pst *c, struct pst_call *call,
				    bool claimed, uint64_t *ret_tag,
				    struct pst_error *err);

/* The same with pst_call_put(). */
PST_MUST_USE int pst_call_put_async(struct pst *c, struct pst_call *call,
				    bool claimed, uint64_t *ret_tag,
				    struct pst_error *err);

/* Fills in a descriptor from a call's arguments and checks it; the lock is
 * held. */
typedef int pst_prepare_fn(struct pst *c, const void *arg,
			   struct pst_call *call, struct pst_error *err);

/* Of one operation, from a caller's structure. */
pst_prepare_fn pst_copy_prepare_args;
pst_prepare_fn pst_infer_prepare_args;
pst_prepare_fn pst_gemm_prepare_args;

/* Whole public calls of one operation, without the lock: prepare it, submit it,
 * and wait for it. */
int pst_call_sync(struct pst *c, pst_prepare_fn *prepare, const void *arg,
		  uint64_t timeout_ns, struct pst_completion *done);
int pst_call_async(struct pst *c, pst_prepare_fn *prepare, const void *arg,
		   uint64_t user_data, uint64_t *ret_tag);

/* A wait that begins now. */
static inline struct pst_waiter pst_waiter_new(uint64_t timeout_ns)
{
	uint64_t now = pst_now_ns();

	return (struct pst_waiter){
		.start_ns = now,
		.deadline_ns = pst_deadline(now, timeout_ns),
	};
}

#endif

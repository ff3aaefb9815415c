/* SPDX-License-Identifier: MIT */
/* What operations of each kind took and moved, for STATS. Of the serving
 * thread. */
#ifndef PST_GUEST_AGENT_EXEC_METERS_H
#define PST_GUEST_AGENT_EXEC_METERS_H

#include "transport/op.h"
#include "transport/wire.h"

/* By enum pst_wire_op; 0 stands for operations that are not known. */
#define PST_AGENT_METER_KINDS (PST_WIRE_OP_RUN + 1U)
/* Bucket i counts times of at most 2^(8+i) ns that are in no lower one; the
 * last one all that are longer: penstock-protocol(7) says so. */
#define PST_AGENT_METER_BUCKETS    30U
#define PST_AGENT_METER_FIRST_BITS 8

struct pst_agent_times {
	uint64_t sum_ns;
	uint64_t n[PST_AGENT_METER_BUCKETS];
};

struct pst_agent_meter {
	uint64_t results[PST_WIRE_N_STATUS]; /* by enum pst_wire_status */
	struct pst_agent_times queue, compute;
	/* Of the region, by operations that ended well. */
	uint64_t bytes_read, bytes_written;
};

struct pst_agent_meters {
	struct pst_agent_meter of[PST_AGENT_METER_KINDS];
};

static inline unsigned int pst_agent_meter_kind(unsigned int op)
{
	return op < PST_AGENT_METER_KINDS ? op : 0;
}

static inline unsigned int pst_agent_meter_bucket(uint64_t ns)
{
	const uint64_t least = (1U << PST_AGENT_METER_FIRST_BITS) - 1;
	const unsigned int bits =
		64 - (unsigned int)__builtin_clzll((ns - (ns > 0)) | least);
	const unsigned int i = bits - PST_AGENT_METER_FIRST_BITS;

	return i < PST_AGENT_METER_BUCKETS ? i : PST_AGENT_METER_BUCKETS - 1;
}

static inline void pst_agent_times_add(struct pst_agent_times *t, uint64_t ns)
{
	t->sum_ns += ns;
	t->n[pst_agent_meter_bucket(ns)]++;
}

/* Counts a completion. A NOP reaches no backend, and has no time there. */
static inline void pst_agent_meters_add(struct pst_agent_meters *m,
					unsigned int kind,
					const struct pst_wire_cqe *cqe)
{
	struct pst_agent_meter *x = &m->of[kind];

	x->results[cqe->status]++;
	pst_agent_times_add(&x->queue, cqe->queue_ns);
	if (kind != PST_WIRE_OP_NOP)
		pst_agent_times_add(&x->compute, cqe->compute_ns);
}

/* Counts what an operation with operands has read of the region, and written
 * there. */
void pst_agent_meters_moved(struct pst_agent_meters *m, unsigned int kind,
			    const struct pst_op *op);

#endif

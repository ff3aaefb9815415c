/* SPDX-License-Identifier: MIT */
/* Checks an operation of a session before it starts. */
#ifndef PST_GUEST_AGENT_EXEC_CHECK_H
#define PST_GUEST_AGENT_EXEC_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/executor.h"
#include "transport/op.h"
#include "transport/wire.h"

/*
 * The last descriptor of a lane that passed. A program that repeats a product
 * sends the same one again and again, and its check is a pure function of the
 * descriptor (our copy of it), of limits that do not change, and of what the
 * session holds: as long as nothing was taken from any session, the result is
 * the same. Only products with all operands in the arena are remembered, since
 * tensors end independently of leases. The result is left where it is, and not
 * copied. All zero: nothing remembered.
 */
struct pst_agent_check_memo {
	bool valid;
	uint64_t changes; /* pst_agent_extents_changes() when it was checked */
	struct pst_wire_sqe sqe;
};

/*
 * Checks sqe, a private copy, for the session owner, as pst_op_check() does,
 * and asks the backend whether it has such products. Fills ret, which goes with
 * the memo and which nobody else writes; a NOP leaves it as it is. run: room
 * for the call of a RUN. 0, or an errno of pst_op_check() and a sentence.
 */
int pst_agent_check(const struct pst_agent_executor_config *config,
		    uint64_t owner, struct pst_agent_check_memo *memo,
		    const struct pst_wire_sqe *sqe, struct pst_op *ret,
		    struct pst_run *run, struct pst_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The settings that a connection was opened with. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_CONF_H
#define PST_HOST_CLIENT_LIB_PLAIN_CONF_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/sock.h"

/* Written by pst_open() only, and read without the lock. */
struct pst_conf {
	uint64_t id; /* never reused, for pst_last_error() */
	/* *process is the process's number as long as it is process_number's:
	 * a forked child has another. */
	const atomic_uint_least64_t *process;
	uint64_t process_number;
	struct pst_endpoint ep;
	uint64_t timeout_ns;
	uint64_t open_ns;     /* timeout_ns, or what an agent of spawn: gets */
	uint64_t dead_opt_ns; /* as asked for, 0: by the agent's kind */
	uint64_t spin_ns;
	bool control_only;
	bool wait; /* for an agent that is about to come, when opening */
	uint32_t n_queues; /* 1 to PST_WIRE_SESSION_LANES */
	char name[32];
};

/* 0 on a connection that may have buffers, tensors and operations, or -EINVAL.
 */
PST_MUST_USE static inline int pst_conf_check_data(const struct pst_conf *conf,
						   struct pst_error *err)
{
	return conf->control_only
		       ? pst_error_set(err, -EINVAL,
				       "the connection was opened with "
				       "PST_OPEN_CONTROL_ONLY")
		       : 0;
}

#endif

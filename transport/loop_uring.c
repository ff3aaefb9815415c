/* SPDX-License-Identifier: MIT */
/* The event loop over io_uring: not built yet. */
#include <errno.h>

#include "transport/loop_impl.h"

static int uring_open(struct pst_loop *loop, struct pst_error *err)
{
	return pst_error_set(err, -EOPNOTSUPP, "io_uring is not built in");
}

const struct pst_loop_ops pst_loop_uring_ops = {
	.kind = PST_LOOP_URING,
	.open = uring_open,
};

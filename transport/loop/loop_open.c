/* SPDX-License-Identifier: MIT */
/* Chooses the event loop's implementation: io_uring where it works, else poll.
 */
#include "transport/loop/loop.h"

#include <errno.h>

#include "transport/base/util.h"
#include "transport/loop/loop_impl.h"

static int open_kind(struct pst_loop *loop, const struct pst_loop_ops *ops,
		     struct pst_error *err)
{
	int r = ops->open(loop, err);

	if (r == 0)
		loop->ops = ops;
	return r;
}

int pst_loop_open(enum pst_loop_kind kind, struct pst_loop **ret,
		  struct pst_error *err)
{
	struct pst_loop *loop = calloc(1, sizeof(*loop));
	struct pst_error why;
	int r;

	if (!loop)
		return pst_oom(err);
	pst_link_init(&loop->sources);
	pst_link_init(&loop->dead);
	if (kind == PST_LOOP_POLL) {
		r = open_kind(loop, &pst_loop_poll_ops, err);
	} else if (kind == PST_LOOP_URING) {
		r = open_kind(loop, &pst_loop_uring_ops, err);
	} else {
		r = open_kind(loop, &pst_loop_uring_ops, &why);
		if (r < 0) {
			snprintf(loop->why, sizeof(loop->why), "%.*s",
				 (int)sizeof(loop->why) - 1, why.text);
			r = open_kind(loop, &pst_loop_poll_ops, err);
		}
	}
	if (r < 0) {
		free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

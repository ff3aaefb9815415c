/* SPDX-License-Identifier: MIT */
/* Numbers from JSON and to JSON: of large tensors in a thread of their own, in
 * turns, so that they delay nobody. */
#include "host-client/gateway/oip/infer.h"

/* What is done at once in the serving thread: half a millisecond, about. */
#define SMALL (16ULL << 10)
/* Of a request, until it is the next one's turn. */
#define TURN_NS (8 * PST_NS_PER_MS)

static struct pst_gw_infer *of_job(struct pst_gw_job *j)
{
	return (void *)((char *)j - offsetof(struct pst_gw_infer, convert));
}

static int run(struct pst_gw_job *j, struct pst *c, struct pst_error *err)
{
	struct pst_gw_infer *i = of_job(j);
	const uint64_t until_ns = pst_now_ns() + TURN_NS;
	int r;

	(void)c;
	do
		r = i->step(i, err);
	while (r == -EAGAIN && pst_now_ns() < until_ns);
	return r;
}

/* What its reply takes by now is the client's. Returns false if that is too
 * much, which is answered. */
static bool hold(struct pst_gw_infer *i)
{
	const uint64_t more = i->reply.size - i->reply_held;

	if (!pst_gw_hold(i->request, more))
		return false;
	i->reply_held += more;
	return true;
}

static void turn_done(struct pst_gw_job *j)
{
	struct pst_gw_infer *i = of_job(j);

	if (j->error.code == -EAGAIN && pst_gw_is_left(i->request))
		pst_error_set(&j->error, -ECONNRESET, "the client went away");
	if (hold(i) && j->error.code == -EAGAIN)
		pst_gw_worker_give(&i->engines->converter, j);
	else
		pst_gw_go_on(i->request);
}

bool pst_gw_convert(struct pst_gw_infer *i,
		    int (*step)(struct pst_gw_infer *i, struct pst_error *err),
		    uint64_t bytes)
{
	struct pst_error *err = &i->convert.error;

	if (!i->step) {
		i->step = step;
		i->convert.run = run;
		i->convert.done = turn_done;
		i->convert.no_connection = true;
		if (bytes > SMALL) {
			pst_gw_worker_give(&i->engines->converter, &i->convert);
			pst_gw_wait(i->request);
			return false;
		}
		do
			err->code = step(i, err);
		while (err->code == -EAGAIN);
		if (!hold(i))
			return false;
	}
	i->step = NULL;
	if (err->code < 0)
		pst_gw_oip_failure(i->request, err);
	return err->code == 0;
}

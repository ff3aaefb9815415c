/* SPDX-License-Identifier: MIT */
/* Resident tensors: create, destroy, list. */
#include "host-client/lib/ops/tensor.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/lib/session/request.h"
#include "host-client/lib/session/session_open.h"
#include "host-client/lib/session/wait.h"

/* The agent has a destroyed tensor's memory back only once nothing can use
 * it: ask again, this often, this far apart. */
#define CREATE_RETRIES  5
#define CREATE_RETRY_NS (10 * PST_NS_PER_MS)

/* Asks the agent for a tensor, once (unlocks). */
static int ask_tensor(struct pst *c, uint64_t size, uint64_t deadline_ns,
		      uint64_t *ret_id, struct pst_error *err)
{
	struct pst_frame f = {.type = PST_WIRE_TENSOR_CREATE, .reply = true};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	struct pst_wire_tensor t = {.size = size};
	const uint64_t serial = c->session.serial;
	int r;

	r = pst_request(c, PST_WIRE_TENSOR_CREATE, &t, sizeof(t), deadline_ns,
			&payload, &f.length, err);
	if (r < 0)
		return r;
	if (!c->session.live || c->session.serial != serial)
		return pst_session_gone(&c->session, err);
	f.payload = payload;
	r = pst_frame_tensor(&f, &t, err);
	if (r < 0 || t.size != size ||
	    pst_tensor_table_by_handle(&c->mem.tensors, serial, t.handle)) {
		pst_channel_fail(
			&c->channel, -EPROTO,
			"the agent created a tensor of a wrong size or handle");
		return pst_error_set(err, -EPROTO, "%s",
				     c->channel.failure.text);
	}
	r = pst_tensor_table_add(&c->mem.tensors, serial, t.handle, size,
				 ret_id);
	if (r < 0) {
		t.size = 0;
		(void)pst_post(&c->channel, PST_WIRE_TENSOR_DESTROY, &t,
			       sizeof(t));
		return pst_oom(err);
	}
	return 0;
}

static int create(struct pst *c, uint64_t size, uint64_t deadline_ns,
		  uint64_t *ret_id, struct pst_error *err)
{
	const uint64_t max = pst_control_deadline(c);
	const uint64_t deadline = deadline_ns < max ? deadline_ns : max;
	int r, i;

	r = pst_conf_check_data(&c->conf, err);
	if (r < 0)
		return r;
	r = pst_session_ensure(c, deadline, err);
	if (r < 0)
		return r;
	r = ask_tensor(c, size, deadline, ret_id, err);
	for (i = 0; i < CREATE_RETRIES && r == -EBUSY; i++) {
		pst_sleep(c, CREATE_RETRY_NS);
		r = ask_tensor(c, size, deadline, ret_id, err);
	}
	return r;
}

int pst_tensor_create_until(struct pst *c, uint64_t size, uint64_t deadline_ns,
			    uint64_t *ret_tensor)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = create(c, size, deadline_ns, ret_tensor, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_tensor_create(struct pst *c, uint64_t size, uint64_t *ret_tensor)
{
	return pst_tensor_create_until(c, size, UINT64_MAX, ret_tensor);
}

int pst_tensor_destroy(struct pst *c, uint64_t tensor)
{
	struct pst_error err = {0};
	struct pst_tentry *e;
	int r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	e = pst_tensor_table_find(&c->mem.tensors, tensor);
	if (!e) {
		r = pst_error_set(&err, -ENOENT,
				  "the connection has no tensor %#" PRIx64,
				  tensor);
	} else {
		pst_tensor_free(&c->mem, e);
		/* A completion of long ago may be what keeps it. */
		pst_reap(c);
	}
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

/* The agent's tensors behind a handle, at most PST_WIRE_LIST_MAX, in t
 * (unlocks). Returns their number. */
static int ask_list(struct pst *c, uint64_t after, struct pst_wire_tensor *t,
		    struct pst_error *err)
{
	const struct pst_wire_tensor req = {.handle = after};
	struct pst_frame f = {.type = PST_WIRE_TENSOR_LIST, .reply = true};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	int r;

	r = pst_request(c, PST_WIRE_TENSOR_LIST, &req, sizeof(req),
			pst_deadline(pst_now_ns(), c->conf.timeout_ns),
			&payload, &f.length, err);
	if (r < 0)
		return r;
	f.payload = payload;
	r = pst_frame_tensor_list(&f, after, t, err);
	if (r < 0)
		pst_channel_fail(&c->channel, r, "%s", err->text);
	return r;
}

/* Appends what the application knows of n tensors of the agent. */
static int append(const struct pst_memory *m, uint64_t serial,
		  const struct pst_wire_tensor *t, int n,
		  struct pst_tensor *ret, int max, int have)
{
	const struct pst_tentry *e;
	int i;

	for (i = 0; i < n; i++) {
		e = pst_tensor_table_by_handle(&m->tensors, serial,
					       t[i].handle);
		if (!e || e->freed)
			continue;
		if (have < max)
			ret[have] = (struct pst_tensor){
				.tensor = e->id,
				.size = t[i].size,
			};
		have++;
	}
	return have;
}

static int list(struct pst *c, struct pst_tensor *ret, int max,
		struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_wire_tensor *t = NULL;
	const uint64_t serial = c->session.serial;
	uint64_t after = 0;
	uint32_t i, steps;
	int r, have = 0;

	if (!c->session.live)
		return pst_session_gone(&c->session, err);
	t = malloc(PST_WIRE_LIST_MAX * sizeof(*t));
	if (!t)
		return pst_oom(err);
	/* The agent's word on how many there can be bounds the questions. */
	steps = c->session.welcome.limits.max_tensors / PST_WIRE_LIST_MAX + 1;
	for (i = 0; i < steps; i++) {
		r = ask_list(c, after, t, err);
		if (r < 0)
			return r;
		if (!c->session.live || c->session.serial != serial)
			return pst_session_gone(&c->session, err);
		have = append(&c->mem, serial, t, r, ret, max, have);
		if (r < (int)PST_WIRE_LIST_MAX)
			break;
		after = t[r - 1].handle;
	}
	return have;
}

int pst_tensor_list(struct pst *c, struct pst_tensor *ret, int max)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = list(c, ret, max, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

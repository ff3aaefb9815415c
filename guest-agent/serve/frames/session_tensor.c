/* SPDX-License-Identifier: MIT */
/* Handles a session's frames about tensors, and about the reasons of
 * failures. */
#include "guest-agent/serve/state/session_int.h"

#include <inttypes.h>
#include <string.h>

#include "transport/status.h"

static const char no_lane[] = "a control-only session has no operations and "
			      "no tensors";

static void create(struct pst_agent_session *s, const struct pst_frame *f,
		   uint64_t size)
{
	struct pst_wire_tensor t = {.size = size};
	struct pst_error err;
	int r;

	r = pst_agent_tensor_create(s->agent->holdings.tensors, s->id, size,
				    &t.handle, &err);
	if (r < 0) {
		pst_agent_session_fail(s, f, pst_status_from_errno(r), "%s",
				       err.text);
		return;
	}
	s->agent->counters.tensors_created++;
	pst_agent_session_reply(s, f, &t, sizeof(t));
}

static void destroy(struct pst_agent_session *s, const struct pst_frame *f,
		    uint64_t handle)
{
	if (pst_agent_tensor_destroy(
		    s->agent->holdings.tensors, s->id, handle,
		    pst_agent_executor_begun(s->agent->executor)) < 0) {
		pst_agent_session_fail(s, f, PST_WIRE_ENOENT,
				       "the session has no tensor %#" PRIx64,
				       handle);
		return;
	}
	s->agent->counters.tensors_destroyed++;
	pst_agent_settle(s->agent, s->id);
	pst_agent_session_reply(s, f, NULL, 0);
}

static void list(struct pst_agent_session *s, const struct pst_frame *f,
		 uint64_t after)
{
	struct pst_wire_tensor t[PST_WIRE_LIST_MAX];
	const uint32_t n = pst_agent_tensor_list(
		s->agent->holdings.tensors, s->id, after, t, PST_WIRE_LIST_MAX);

	pst_agent_session_reply(s, f, t, n * sizeof(t[0]));
}

static void why(struct pst_agent_session *s, const struct pst_frame *f,
		uint64_t tag)
{
	const char *text = NULL;
	unsigned int i;

	for (i = 0; i < s->n_lanes && !text; i++)
		text = pst_agent_executor_failure(s->agent->executor,
						  s->lanes[i], tag);
	s->agent->counters.failures++;
	if (text)
		pst_agent_session_reply(s, f, text, strlen(text));
	else
		pst_agent_session_fail(
			s, f, PST_WIRE_ENOENT,
			"no reason is kept for an operation with tag %" PRIu64,
			tag);
}

int pst_agent_session_tensor(struct pst_agent_session *s,
			     const struct pst_frame *f, struct pst_error *err)
{
	struct pst_wire_cancel tag;
	struct pst_wire_tensor t;
	int r;

	if (f->type == PST_WIRE_FAILURE)
		r = pst_frame_cancel(f, &tag, err);
	else
		r = pst_frame_tensor(f, &t, err);
	if (r < 0)
		return r;
	if (s->n_lanes == 0)
		pst_agent_session_fail(s, f, PST_WIRE_EINVAL, "%s", no_lane);
	else if (f->type == PST_WIRE_FAILURE)
		why(s, f, tag.tag);
	else if (f->type == PST_WIRE_TENSOR_CREATE)
		create(s, f, t.size);
	else if (f->type == PST_WIRE_TENSOR_DESTROY)
		destroy(s, f, t.handle);
	else
		list(s, f, t.handle);
	return 0;
}

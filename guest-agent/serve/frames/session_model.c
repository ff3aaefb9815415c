/* SPDX-License-Identifier: MIT */
/* Handles a session's frames about models: load, list, unload. */
#include "guest-agent/serve/state/session_int.h"

#include <inttypes.h>
#include <string.h>

#include "guest-agent/model/safetensors.h"
#include "guest-agent/serve/report/report.h"
#include "guest-agent/service/log.h"
#include "transport/shm.h"
#include "transport/status.h"

/*
 * A header takes up to 10 ms to read, and the frame that asks for it is short:
 * many at once must not keep the thread from all other clients. After a load
 * the next one waits as after a costly frame, see PST_AGENT_TURNS_ALL_REST.
 */
static void fail(struct pst_agent_session *s, const struct pst_frame *f, int r,
		 const struct pst_error *err)
{
	/* A file that is cut short is a malformed argument here. */
	if (r == -ENODATA)
		r = -EINVAL;
	pst_agent_session_fail(s, f, pst_status_from_errno(r), "%s", err->text);
}

/*
 * A private copy of the header, which the caller frees: what is checked must
 * not change any more. Words beyond its end are the session's too, since
 * extents end at larger units.
 */
static int copy_header(struct pst_agent_session *s,
		       const struct pst_wire_model_load *l, uint8_t **ret,
		       struct pst_error *err)
{
	const struct pst_span span = {l->header_off,
				      pst_round_up(l->header_size, 8)};
	uint8_t *copy;

	if (l->header_size == 0)
		return pst_error_set(err, -EINVAL,
				     "a model's header of 0 bytes");

	if (!pst_agent_extents_holds(s->agent->holdings.extents, s->id, &span))
		return pst_error_set(err, -EFAULT,
				     "the model's header lies outside the "
				     "session's extents");
	copy = malloc(span.size);
	if (!copy)
		return pst_oom(err);
	pst_shm_read(copy, s->agent->region.base + span.off, span.size);
	*ret = copy;
	return 0;
}

/* The tensor's memory, which no operation under way may still write. */
static int find_data(struct pst_agent_session *s, uint64_t handle,
		     void **ret_mem, uint64_t *ret_size, struct pst_error *err)
{
	if (pst_agent_tensor_find(s->agent->holdings.tensors, s->id, handle,
				  ret_mem, ret_size) < 0)
		return pst_error_set(err, -ENOENT,
				     "the session has no tensor %#" PRIx64,
				     handle);
	if (pst_agent_executor_uses(s->agent->executor, *ret_mem))
		return pst_error_set(err, -EBUSY,
				     "an operation still uses the tensor of "
				     "the model's data");
	return 0;
}

static void load(struct pst_agent_session *s, const struct pst_frame *f,
		 const struct pst_wire_model_load *l)
{
	struct pst_agent *a = s->agent;
	PST_CLEANUP_FREE uint8_t *header = NULL;
	struct pst_wire_model model;
	struct pst_error err;
	uint64_t size;
	void *mem;
	int r;

	if ((r = find_data(s, l->data, &mem, &size, &err)) < 0 ||
	    (r = copy_header(s, l, &header, &err)) < 0 ||
	    (r = pst_agent_models_load(a->models, l->name, header,
				       l->header_size, mem, size, &model,
				       &err)) < 0) {
		fail(s, f, r, &err);
		return;
	}
	/* Found above, by this thread: it is there. */
	if (pst_agent_tensor_take(a->holdings.tensors, s->id, l->data, &mem,
				  &size) < 0)
		pst_agent_log(PST_AGENT_LOG_ERROR,
			      "a model's tensor was not there");
	a->counters.models_loaded++;
	pst_agent_report_models_changed(a);
	pst_agent_log_peer(PST_AGENT_LOG_INFO, NULL,
			   "session %" PRIu64
			   " loaded model %s: %u to %u elements, %u layers, "
			   "%" PRIu64 " bytes",
			   s->id, model.name, model.n_in, model.n_out,
			   model.n_layers, model.size);
	pst_agent_session_reply(s, f, &model, sizeof(model));
}

static void open_model(struct pst_agent_session *s, const struct pst_frame *f,
		       const char *name)
{
	struct pst_wire_model model;
	struct pst_error err;
	int r = pst_agent_models_open(s->agent->models, name, &model, &err);

	if (r < 0)
		fail(s, f, r, &err);
	else
		pst_agent_session_reply(s, f, &model, sizeof(model));
}

static void unload(struct pst_agent_session *s, const struct pst_frame *f,
		   const char *name)
{
	struct pst_error err;
	int r = pst_agent_models_unload(s->agent->models, name, &err);

	if (r < 0) {
		fail(s, f, r, &err);
		return;
	}
	s->agent->counters.models_unloaded++;
	pst_agent_report_models_changed(s->agent);
	pst_agent_log_peer(PST_AGENT_LOG_INFO, NULL,
			   "session %" PRIu64 " unloaded model %s", s->id,
			   name);
	pst_agent_session_reply(s, f, NULL, 0);
}

static void list(struct pst_agent_session *s, const struct pst_frame *f)
{
	PST_CLEANUP_FREE char *text = pst_agent_report_models(s->agent);

	if (!text || strlen(text) > PST_WIRE_MAX_PAYLOAD)
		pst_agent_session_fail(s, f, PST_WIRE_ENOMEM, "out of memory");
	else
		pst_agent_session_reply(s, f, text, strlen(text));
}

static bool may_load(const struct pst_agent_session *s, uint64_t now_ns)
{
	return now_ns >= s->load_due_ns && now_ns >= s->agent->load_due_ns;
}

static void load_now(struct pst_agent_session *s, const struct pst_frame *f,
		     const struct pst_wire_model_load *l, uint64_t now_ns)
{
	const uint64_t start_ns = pst_now_ns();
	uint64_t took_ns;

	load(s, f, l);
	took_ns = pst_now_ns() - start_ns;
	s->agent->load_due_ns = now_ns + took_ns * PST_AGENT_TURNS_ALL_REST;
	s->load_due_ns = now_ns + took_ns * PST_AGENT_TURNS_ONE_REST;
}

static void load_or_wait(struct pst_agent_session *s, const struct pst_frame *f,
			 const struct pst_wire_model_load *l, uint64_t now_ns)
{
	if (s->n_loads == 0 && may_load(s, now_ns))
		load_now(s, f, l, now_ns);
	else if (s->n_loads == N_LOADS)
		pst_agent_session_fail(s, f, PST_WIRE_EBUSY,
				       "%u models wait already to be loaded",
				       N_LOADS);
	else
		s->loads[s->n_loads++] = (struct held_load){f->seq, *l};
}

uint64_t pst_agent_session_model_tick(struct pst_agent_session *s,
				      uint64_t now_ns)
{
	const uint64_t *const all_ns = &s->agent->load_due_ns;
	struct pst_frame to = {.type = PST_WIRE_MODEL_LOAD};
	struct held_load next;

	if (s->n_loads && may_load(s, now_ns)) {
		next = s->loads[0];
		s->n_loads--;
		memmove(s->loads, s->loads + 1,
			s->n_loads * sizeof(s->loads[0]));
		to.seq = next.seq;
		load_now(s, &to, &next.load, now_ns);
	}
	if (s->n_loads == 0)
		return UINT64_MAX;
	return s->load_due_ns > *all_ns ? s->load_due_ns : *all_ns;
}

int pst_agent_session_model(struct pst_agent_session *s,
			    const struct pst_frame *f, uint64_t now_ns,
			    struct pst_error *err)
{
	struct pst_wire_model_load l;
	struct pst_wire_model m;
	int r = 0;

	if (f->type == PST_WIRE_MODEL_LOAD)
		r = pst_frame_model_load(f, &l, err);
	else if (f->type != PST_WIRE_MODEL_LIST)
		r = pst_frame_model(f, &m, err);
	if (r < 0)
		return r;
	if (f->type == PST_WIRE_MODEL_LIST)
		list(s, f);
	else if (f->type == PST_WIRE_MODEL_OPEN)
		open_model(s, f, m.name);
	else if (f->type == PST_WIRE_MODEL_UNLOAD)
		unload(s, f, m.name);
	else if (s->n_lanes == 0)
		pst_agent_session_fail(
			s, f, PST_WIRE_EINVAL,
			"a control-only session loads no models");
	else if (l.header_size > PST_AGENT_SAFETENSORS_MAX_HEADER)
		pst_agent_session_fail(
			s, f, PST_WIRE_ELIMIT,
			"a model's header of %" PRIu64 " bytes is above the "
			"limit of %u",
			l.header_size, PST_AGENT_SAFETENSORS_MAX_HEADER);
	else if (!pst_model_name_is_valid(l.name))
		pst_agent_session_fail(
			s, f, PST_WIRE_EINVAL,
			"a model's name is made of A-Z a-z 0-9 . _ "
			"and -");
	else
		load_or_wait(s, f, &l, now_ns);
	return 0;
}

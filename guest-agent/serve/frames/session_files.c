/* SPDX-License-Identifier: MIT */
/* Handles a session's frames about models of files: brought, loaded, described.
 */
#include <inttypes.h>
#include <string.h>

#include "guest-agent/serve/models/onnx.h"
#include "guest-agent/serve/state/session_int.h"
#include "transport/status.h"

static void fail(struct pst_agent_session *s, const struct pst_frame *f, int r,
		 const struct pst_error *err)
{
	pst_agent_session_fail(s, f, pst_status_from_errno(r), "%s", err->text);
}

static void stage(struct pst_agent_session *s, const struct pst_frame *f,
		  uint64_t size)
{
	struct pst_wire_tensor t = {.size = size};
	struct pst_error err;
	int r = pst_agent_staged_add(&s->agent->staged, s->id, size, &t.handle,
				     &err);

	if (r < 0)
		fail(s, f, r, &err);
	else
		pst_agent_session_reply(s, f, &t, sizeof(t));
}

static void unstage(struct pst_agent_session *s, const struct pst_frame *f,
		    uint64_t handle)
{
	struct pst_error err;
	int r = pst_agent_staged_drop(&s->agent->staged, s->id, handle, &err);

	if (r < 0)
		fail(s, f, r, &err);
	else
		pst_agent_session_reply(s, f, NULL, 0);
}

static void fill(struct pst_agent_session *s, const struct pst_frame *f,
		 const struct pst_wire_model_fill *l)
{
	const struct pst_span span = {l->off, l->size};
	struct pst_agent *a = s->agent;
	struct pst_error err;
	int r;

	if (pst_agent_extents_holds(a->holdings.extents, s->id, &span))
		r = pst_agent_staged_fill(&a->staged, s->id, l->handle,
					  l->file_off, a->region.base, &span,
					  &err);
	else
		r = pst_error_set(&err, -EFAULT,
				  "the piece lies outside the session's "
				  "extents");
	if (r < 0)
		fail(s, f, r, &err);
	else
		pst_agent_session_reply(s, f, NULL, 0);
}

static int take_files(struct pst_agent_session *s,
		      const struct pst_wire_model_files *w,
		      struct pst_agent_onnx_load *l, struct pst_error *err)
{
	struct pst_ort_file *file;
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < w->n_files; i++) {
		file = &l->files[l->n];
		r = pst_agent_staged_take(&s->agent->staged, s->id,
					  w->file[i].handle, &file->fd,
					  &file->size, err);
		memcpy(file->name, w->file[i].name, sizeof(file->name));
		l->n += r == 0;
	}
	return r;
}

static void load(struct pst_agent_session *s, const struct pst_frame *f,
		 const struct pst_wire_model_files *w)
{
	struct pst_agent_onnx_load l = {
		.name = w->name,
		.format = w->format,
		.provider = w->provider,
		.install = w->flags & PST_WIRE_MODEL_INSTALL,
		.waiter = s,
		.seq = f->seq,
	};
	struct pst_error err;
	uint32_t i;
	int r = take_files(s, w, &l, &err);

	if (r == 0 && !pst_model_name_is_valid(w->name))
		r = pst_error_set(&err, -EINVAL,
				  "a model's name is made of A-Z a-z 0-9 . _ "
				  "and -");
	if (r < 0)
		for (i = 0; i < l.n; i++)
			close(l.files[i].fd);
	else
		r = pst_agent_onnx_load(s->agent, &l, &err);
	if (r < 0)
		fail(s, f, r, &err);
}

static void show(struct pst_agent_session *s, const struct pst_frame *f,
		 const char *name)
{
	static uint8_t payload[PST_WIRE_MAX_PAYLOAD];
	static struct pst_model_info info;
	struct pst_error err;
	int r = pst_agent_onnx_describe(s->agent, name, &info, &err);

	if (r < 0)
		fail(s, f, r, &err);
	else
		pst_agent_session_reply(
			s, f, payload,
			pst_frame_model_info_encode(&info, payload));
}

int pst_agent_session_files(struct pst_agent_session *s,
			    const struct pst_frame *f, struct pst_error *err)
{
	union {
		struct pst_wire_tensor tensor;
		struct pst_wire_model_fill fill;
		struct pst_wire_model_files files;
		struct pst_wire_model model;
	} p;
	int r;

	if (!(s->features & PST_WIRE_FEATURE_RUN))
		return pst_error_set(err, -EPROTO,
				     "%s, of which HELLO said nothing",
				     pst_frame_name(f->type));
	if (f->type == PST_WIRE_MODEL_DESCRIBE)
		r = pst_frame_model(f, &p.model, err);
	else if (f->type == PST_WIRE_MODEL_FILL)
		r = pst_frame_model_fill(f, &p.fill, err);
	else if (f->type == PST_WIRE_MODEL_LOAD_FILES)
		r = pst_frame_model_files(f, &p.files, err);
	else
		r = pst_frame_tensor(f, &p.tensor, err);
	if (r < 0)
		return r;
	if (f->type == PST_WIRE_MODEL_DESCRIBE)
		show(s, f, p.model.name);
	else if (s->n_lanes == 0)
		pst_agent_session_fail(
			s, f, PST_WIRE_EINVAL,
			"a control-only session loads no models");
	else if (f->type == PST_WIRE_MODEL_STAGE)
		stage(s, f, p.tensor.size);
	else if (f->type == PST_WIRE_MODEL_UNSTAGE)
		unstage(s, f, p.tensor.handle);
	else if (f->type == PST_WIRE_MODEL_FILL)
		fill(s, f, &p.fill);
	else
		load(s, f, &p.files);
	return 0;
}

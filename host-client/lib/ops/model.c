/* SPDX-License-Identifier: MIT */
/* Opens, unloads and lists the agent's models. */
#include "host-client/lib/ops/model.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/ops/info.h"
#include "host-client/lib/session/request.h"
#include "host-client/lib/session/session_open.h"

int pst_model_name_check(const char *name, struct pst_error *err)
{
	if (name && pst_model_name_is_valid(name))
		return 0;
	return pst_error_set(err, -EINVAL,
			     "\"%.80s\" cannot be a model's name: that has 1 "
			     "to %u characters of A-Z a-z 0-9 . _ -",
			     name ? name : "", PST_WIRE_MODEL_NAME - 1);
}

int pst_model_reply(struct pst *c, uint16_t type, const char *name,
		    const uint8_t *payload, uint32_t n, struct pst_model *ret,
		    struct pst_error *err)
{
	const struct pst_frame f = {
		.type = type,
		.reply = true,
		.payload = payload,
		.length = n,
	};
	struct pst_wire_model m;
	int r = pst_frame_model(&f, &m, err);

	if (!r && strcmp(m.name, name) != 0)
		r = pst_error_set(err, -EPROTO,
				  "the agent answered with another model");
	if (r < 0) {
		pst_channel_fail(&c->channel, r, "%s", err->text);
		return r;
	}
	*ret = (struct pst_model){
		.handle = m.handle,
		.epoch = c->session.welcome.epoch,
		.bytes = m.size,
		.n_in = m.n_in,
		.n_out = m.n_out,
		.max_batch = m.max_batch,
		.n_layers = m.n_layers,
		.dtype = m.dtype,
	};
	memcpy(ret->name, m.name, sizeof(ret->name));
	return 0;
}

/* One request about a name, on a new session if need be (unlocks). */
static int ask(struct pst *c, uint16_t type, const char *name,
	       struct pst_model *ret, struct pst_error *err)
{
	const uint64_t deadline = pst_control_deadline(c);
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	struct pst_wire_model m = {0};
	uint64_t serial;
	uint32_t n = 0;
	int r;

	if ((r = pst_model_name_check(name, err)) < 0 ||
	    (r = pst_session_ensure(c, deadline, err)) < 0)
		return r;
	serial = c->session.serial;
	memcpy(m.name, name, strlen(name));
	r = pst_request(c, type, &m, sizeof(m), deadline, &payload, &n, err);
	if (r < 0 || !ret)
		return r;
	if (!c->session.live || c->session.serial != serial)
		return pst_session_gone(&c->session, err);
	return pst_model_reply(c, type, name, payload, n, ret, err);
}

int pst_model_open(struct pst *c, const char *name, struct pst_model *ret)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = ask(c, PST_WIRE_MODEL_OPEN, name, ret, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_model_unload(struct pst *c, const char *name)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = ask(c, PST_WIRE_MODEL_UNLOAD, name, NULL, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_model_list(struct pst *c, char **ret_json)
{
	if (pst_is_forked(c))
		return pst_forked(c);
	return pst_query_text(c, PST_WIRE_MODEL_LIST, ret_json);
}

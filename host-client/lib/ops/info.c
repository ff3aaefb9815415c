/* SPDX-License-Identifier: MIT */
/* Asks the agent for its description and its reports. */
#include "host-client/lib/ops/info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/lib/session/request.h"
#include "host-client/lib/session/session_open.h"
#include "host-client/lib/session/wait.h"

int pst_c_touched(struct pst *c)
{
	return pst_last_error_touched(c->conf.id);
}

void pst_last_error(struct pst *c, char *buf, size_t size)
{
	if (size)
		snprintf(buf, size, "%s", pst_last_error_text(c->conf.id));
}

/* A peer's text, NUL-terminated by the frame's check, into a field. */
static void copy_text(char *dst, size_t size, const char *src, size_t max)
{
	size_t n = strnlen(src, max);

	if (n >= size)
		n = size - 1;
	memcpy(dst, src, n);
	dst[n] = '\0';
}

#define COPY_TEXT(dst, src) copy_text(dst, sizeof(dst), src, sizeof(src))

static void fill_info(const struct pst *c, struct pst_info *i)
{
	const struct pst_wire_welcome *w = &c->session.welcome;

	i->size = sizeof(*i);
	i->epoch = w->epoch;
	i->session = w->session;
	i->arena_size = w->arena_size;
	i->region_size = w->file_size;
	i->max_elems = w->limits.max_elems;
	i->max_lease = w->limits.max_lease;
	i->max_dim = w->limits.max_dim;
	i->max_tensors = w->limits.max_tensors;
	i->max_tensor_bytes = w->limits.max_tensor_bytes;
	i->max_batch = w->limits.max_batch;
	i->n_slots = w->n_slots;
	i->emulated = w->emulated;
	i->page_size = (uint32_t)c->mem.map.page_size;
	i->queues = c->conf.n_queues;
	i->lanes = c->conf.control_only ? 0 : c->session.n_lanes;
	pst_uuid_format(w->vm_uuid, i->vm_uuid);
	pst_uuid_format(w->region_uuid, i->region_uuid);
	pst_uuid_format(w->boot_id, i->boot_id);
	COPY_TEXT(i->agent_version, w->agent_version);
	COPY_TEXT(i->provider, w->provider);
	COPY_TEXT(i->backend, w->backend);
	COPY_TEXT(i->driver, w->driver);
	COPY_TEXT(i->cuda, w->cuda);
	COPY_TEXT(i->cublas, w->cublas);
	copy_text(i->region_path, sizeof(i->region_path), c->conf.ep.region,
		  sizeof(c->conf.ep.region));
}

int pst_get_info(struct pst *c, struct pst_info *info)
{
	struct pst_error err = {0};
	struct pst_info i = {0};
	size_t size = info->size;
	int r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	if (size < sizeof(info->size) || size > 65536)
		return pst_fail(
			c, pst_error_set(&err, -EINVAL, "info.size is not set"),
			&err);
	pst_lock(c);
	if (c->session.live)
		fill_info(c, &i);
	else
		r = pst_session_gone(&c->session, &err);
	pst_unlock(c);
	if (r < 0)
		return pst_fail(c, r, &err);
	/* A newer header's fields, unknown here, read as zero. */
	memset(info, 0, size);
	memcpy(info, &i, size < sizeof(i) ? size : sizeof(i));
	info->size = size;
	return 0;
}

int pst_check(struct pst *c)
{
	struct pst_error err = {0};
	int r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	/* Elsewhere the watcher's thread reads the socket. */
	if (c->session.live && c->conf.control_only && !c->sleepers.leader)
		pst_socket_service(c);
	if (c->session.live)
		pst_session_check(c, pst_now_ns());
	if (!c->session.live)
		r = pst_session_gone(&c->session, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

/* One request, on a new session if need be (unlocks). */
static int ask(struct pst *c, uint16_t type, uint8_t **ret, uint32_t *ret_n,
	       struct pst_error *err)
{
	uint64_t deadline = pst_control_deadline(c);
	int r = pst_session_ensure(c, deadline, err);

	if (r < 0)
		return r;
	return pst_request(c, type, NULL, 0, deadline, ret, ret_n, err);
}

/* RFC 8259 allows no control character but these; a terminal would obey
 * others. */
static bool is_json_like(const uint8_t *p, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if ((p[i] < ' ' && p[i] != '\n' && p[i] != '\t' &&
		     p[i] != '\r') ||
		    p[i] == 0x7f)
			return false;
	return n >= 2 && p[0] == '{';
}

int pst_query_text(struct pst *c, uint16_t type, char **ret_json)
{
	struct pst_error err = {0};
	uint8_t *text = NULL;
	uint32_t n = 0;
	int r;

	pst_lock(c);
	r = ask(c, type, &text, &n, &err);
	pst_unlock(c);
	if (!r && !is_json_like(text, n))
		r = pst_error_set(&err, -EPROTO,
				  "the agent's answer is not a JSON object");
	if (r < 0) {
		free(text);
		return pst_fail(c, r, &err);
	}
	*ret_json = (char *)text;
	return 0;
}

int pst_query(struct pst *c, enum pst_topic what, char **ret_json)
{
	static const uint16_t types[] = {
		[PST_QUERY_INFO] = PST_WIRE_INFO,
		[PST_QUERY_HEALTH] = PST_WIRE_HEALTH,
		[PST_QUERY_STATS] = PST_WIRE_STATS,
	};
	struct pst_error err = {0};

	if (pst_is_forked(c))
		return pst_forked(c);
	if ((unsigned int)what >= PST_ARRAY_SIZE(types))
		return pst_fail(c,
				pst_error_set(&err, -EINVAL,
					      "query %d is unknown", (int)what),
				&err);
	return pst_query_text(c, types[what], ret_json);
}

int pst_ping(struct pst *c, uint64_t *ret_ns)
{
	struct pst_error err = {0};
	uint64_t start = 0;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = pst_session_ensure(c, pst_control_deadline(c), &err);
	if (!r) {
		start = pst_now_ns();
		r = ask(c, PST_WIRE_PING, NULL, NULL, &err);
	}
	pst_unlock(c);
	if (!r && ret_ns)
		*ret_ns = pst_now_ns() - start;
	return pst_fail(c, r, &err);
}

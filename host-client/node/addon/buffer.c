/* SPDX-License-Identifier: MIT */
/*
 * Memory of the region as external ArrayBuffers, detached before it goes.
 *
 * An ArrayBuffer may have been moved to another one by transfer(), which is not
 * told; then it cannot be detached, and its memory stays until that one is
 * collected.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/node/addon/addon.h"

/* Gives memory back, and forgets the buffer, as far as nothing needs them. */
static void settle(struct pst_node_buffer *b)
{
	struct pst_node_conn *conn = b->conn;

	if (b->users || b->queued)
		return;
	if (b->given_back && conn->buffers[b->number] == b) {
		conn->buffers[b->number] = NULL;
		pst_node.pst_free(conn->c, b->ptr);
	}
	if (!b->collected)
		return;
	free(b);
	pst_node_unuse(conn);
}

/* The memory's last ArrayBuffer is gone. */
static void collected(napi_env env, void *data, void *hint)
{
	struct pst_node_buffer *b = hint;

	(void)data;
	if (b->weak)
		napi_delete_reference(env, b->weak);
	b->given_back = b->collected = true;
	settle(b);
}

void pst_node_hold(struct pst_node_conn *conn, struct pst_node_buffer **ret)
{
	const double *x = conn->env->shared + PST_NODE_A;
	int i;

	for (i = 0; i < PST_NODE_OPERANDS; i++, x += 2) {
		ret[i] = x[0] >= 0 && x[0] < conn->n_buffers
				 ? conn->buffers[(uint32_t)x[0]]
				 : NULL;
		if (ret[i])
			ret[i]->users++;
	}
}

void pst_node_release(struct pst_node_buffer *const *uses)
{
	int i;

	for (i = 0; i < PST_NODE_OPERANDS; i++) {
		if (uses[i]) {
			uses[i]->users--;
			settle(uses[i]);
		}
	}
}

struct pst_node_buffer *pst_node_lend(struct pst_node_env *e, const void *p)
{
	const struct pst_node_conn *conn;
	struct pst_node_buffer *b;
	uint32_t i;

	for (conn = e->conns; conn; conn = conn->next) {
		for (i = 0; i < conn->n_buffers; i++) {
			b = conn->buffers[i];
			if (b && (uintptr_t)p - (uintptr_t)b->ptr < b->size) {
				b->users++;
				return b;
			}
		}
	}
	return NULL;
}

void pst_node_drop_queued(struct pst_node_conn *conn)
{
	struct pst_node_buffer *b;
	uint32_t i;

	for (i = 0; i < conn->n_buffers; i++) {
		b = conn->buffers[i];
		if (b && b->queued) {
			b->queued = 0;
			settle(b);
		}
	}
}

/* Detaches a buffer's ArrayBuffer. false: it was moved. */
static bool detach(struct pst_node_buffer *b)
{
	napi_env env = b->conn->js;
	napi_value array = NULL;
	bool detached = false;

	if (napi_get_reference_value(env, b->weak, &array) != napi_ok || !array)
		return true;
	if (napi_is_detached_arraybuffer(env, array, &detached) != napi_ok ||
	    detached)
		return false;
	return napi_detach_arraybuffer(env, array) == napi_ok;
}

void pst_node_detach_all(struct pst_node_conn *conn)
{
	napi_handle_scope scope;
	uint32_t i;

	napi_open_handle_scope(conn->js, &scope);
	for (i = 0; i < conn->n_buffers; i++)
		if (conn->buffers[i])
			detach(conn->buffers[i]);
	napi_close_handle_scope(conn->js, scope);
}

void *pst_node_address(struct pst_node_conn *conn, double number, double off)
{
	struct pst_node_buffer *b;

	if (!(number >= 0 && number < conn->n_buffers))
		return NULL;
	b = conn->buffers[(uint32_t)number];
	/* One that was freed is here for what was queued before. */
	if (!b || !(off >= 0 && off < (double)b->size))
		return NULL;
	return (char *)b->ptr + (size_t)off;
}

/* A free number; the table grows where there is none. */
static int take_number(struct pst_node_conn *conn, uint32_t *ret)
{
	uint32_t n = conn->n_buffers, grown = n ? n * 2 : 32, i;
	struct pst_node_buffer **t;

	for (i = 0; i < n; i++) {
		if (!conn->buffers[i]) {
			*ret = i;
			return 0;
		}
	}
	t = realloc(conn->buffers, grown * sizeof(struct pst_node_buffer *));
	if (!t)
		return -ENOMEM;
	memset(t + n, 0, (grown - n) * sizeof(*t));
	conn->buffers = t;
	conn->n_buffers = grown;
	*ret = n;
	return 0;
}

/* alloc(connection, bytes): an ArrayBuffer, whose number is shared[0]. */
napi_value pst_node_alloc(napi_env env, napi_callback_info info)
{
	struct pst_node_buffer *b = calloc(1, sizeof(*b));
	struct pst_node_conn *conn;
	napi_value args[2], array;
	napi_status status;
	double size;
	int rc;

	pst_node_arguments(env, info, 2, args);
	conn = pst_node_conn(env, args[0]);
	size = pst_node_double(env, args[1]);
	if (!b || !conn || !(size >= 0 && size < 9e15)) {
		free(b);
		return pst_node_number(env, !b      ? -ENOMEM
					    : !conn ? -EBADF
						    : -EMSGSIZE);
	}
	b->conn = conn;
	b->size = (size_t)size;
	rc = take_number(conn, &b->number);
	if (rc == 0)
		rc = pst_node.pst_alloc(conn->c, b->size, &b->ptr);
	if (rc < 0) {
		free(b);
		return pst_node_number(env, pst_node_failed(conn, rc));
	}
	status = napi_create_external_arraybuffer(env, b->ptr, b->size,
						  collected, b, &array);
	if (status != napi_ok) {
		pst_node.pst_free(conn->c, b->ptr);
		free(b);
		strcpy(conn->env->text,
		       "This JavaScript engine takes no memory from outside; "
		       "calls with arrays of its own work.");
		return pst_node_number(env, -EOPNOTSUPP);
	}
	pst_node_use(conn);
	conn->buffers[b->number] = b;
	napi_create_reference(env, array, 0, &b->weak);
	conn->env->shared[0] = b->number;
	return array;
}

/* free(connection, number) */
napi_value pst_node_free(napi_env env, napi_callback_info info)
{
	struct pst_node_buffer *b;
	struct pst_node_conn *conn;
	napi_value args[2];
	double number;

	pst_node_arguments(env, info, 2, args);
	conn = pst_node_conn(env, args[0]);
	number = pst_node_double(env, args[1]);
	if (!conn || !(number >= 0 && number < conn->n_buffers))
		return pst_node_number(env, -EBADF);
	b = conn->buffers[(uint32_t)number];
	if (!b || b->given_back)
		return pst_node_number(env, 0);
	if (!detach(b)) {
		strcpy(conn->env->text,
		       "The buffer was transferred; its memory is given back "
		       "when its new owner is collected.");
		return pst_node_number(env, -EBUSY);
	}
	b->given_back = true;
	settle(b);
	return pst_node_number(env, 0);
}

/* queued(connection, number, more): so many operations more wait for a slot. */
napi_value pst_node_queued(napi_env env, napi_callback_info info)
{
	struct pst_node_buffer *b;
	struct pst_node_conn *conn;
	napi_value args[3];
	double number;

	pst_node_arguments(env, info, 3, args);
	conn = pst_node_conn(env, args[0]);
	number = pst_node_double(env, args[1]);
	if (!conn || !(number >= 0 && number < conn->n_buffers))
		return pst_node_number(env, -EBADF);
	b = conn->buffers[(uint32_t)number];
	if (b && pst_node_double(env, args[2]) > 0) {
		b->queued++;
	} else if (b && b->queued) {
		b->queued--;
		settle(b);
	}
	return pst_node_number(env, 0);
}

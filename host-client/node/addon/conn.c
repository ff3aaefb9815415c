/* SPDX-License-Identifier: MIT */
/*
 * What a connection is and who uses it. pst_close() comes when nothing can
 * touch the region any more: all buffers have gone, no thread is in a call, and
 * the loop has let go of the descriptor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/node/addon/addon.h"

struct pst_node_env *pst_node_env(napi_env env)
{
	void *e = NULL;

	napi_get_instance_data(env, &e);
	return e;
}

struct pst_node_conn *pst_node_conn(napi_env env, napi_value handle)
{
	struct pst_node_conn *conn;
	void *p = NULL;

	if (napi_get_value_external(env, handle, &p) != napi_ok)
		return NULL;
	conn = p;
	return conn->open ? conn : NULL;
}

int pst_node_failed(struct pst_node_conn *conn, int rc)
{
	if (rc < 0)
		pst_node.pst_last_error(conn->c, conn->env->text,
					sizeof(conn->env->text));
	return rc;
}

void pst_node_env_unref(struct pst_node_env *e)
{
	if (--e->refs == 0)
		free(e);
}

void pst_node_destroy(struct pst_node_conn *conn)
{
	struct pst_node_conn **p = &conn->env->conns;

	if (conn->c || conn->handle_alive || conn->uses)
		return;
	while (*p && *p != conn)
		p = &(*p)->next;
	if (*p)
		*p = conn->next;
	pst_node_env_unref(conn->env);
	free(conn->tags);
	free(conn->buffers);
	free(conn);
}

void pst_node_use(struct pst_node_conn *conn)
{
	conn->uses++;
}

void pst_node_unuse(struct pst_node_conn *conn)
{
	if (--conn->uses)
		return;
	pst_node.pst_close(conn->c);
	conn->c = NULL;
	pst_node_destroy(conn);
}

int pst_node_slot(struct pst_node_conn *conn, double slot)
{
	uint32_t n = conn->n_tags ? conn->n_tags : 64;
	uint64_t *grown;

	if (!(slot >= 0 && slot < 1 << 20))
		return -EINVAL;
	while (n <= (uint32_t)slot)
		n *= 2;
	if (n == conn->n_tags)
		return 0;
	grown = realloc(conn->tags, n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + conn->n_tags, 0, (n - conn->n_tags) * sizeof(*grown));
	conn->tags = grown;
	conn->n_tags = n;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Connections are opened in a thread of Node's pool, and closed at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/node/addon/addon.h"

struct opening {
	napi_async_work work;
	struct pst_node_env *env;
	char *endpoint;
	char *name;
	struct pst_options options;
	napi_ref deliver;
	napi_ref callback;
	struct pst *c;
	int rc;
	char text[PST_NODE_TEXT];
};

static void open_free(struct opening *o)
{
	pst_node_env_unref(o->env);
	free(o->endpoint);
	free(o->name);
	free(o);
}

static void open_run(napi_env env, void *data)
{
	struct opening *o = data;

	(void)env;
	o->options.name = o->name;
	o->rc = pst_node.pst_open(o->endpoint, &o->options, &o->c, o->text,
				  sizeof(o->text));
}

static void handle_collected(napi_env env, void *data, void *hint)
{
	struct pst_node_conn *conn = data;

	(void)env;
	(void)hint;
	conn->handle_alive = false;
	if (conn->open)
		pst_node_stop(conn, false);
	else
		pst_node_destroy(conn);
}

/* Makes the object of an opened connection; NULL with o->rc set if not. */
static struct pst_node_conn *adopt(napi_env env, struct opening *o)
{
	struct pst_node_conn *conn = calloc(1, sizeof(*conn));
	napi_value resource, name;

	if (!conn) {
		o->rc = -ENOMEM;
		return NULL;
	}
	conn->env = o->env;
	conn->js = env;
	conn->c = o->c;
	conn->uses = 1;
	o->rc = pst_node_watch(conn);
	if (o->rc < 0) {
		free(conn);
		return NULL;
	}
	conn->open = true;
	conn->deliver = o->deliver;
	o->deliver = NULL;
	o->c = NULL;
	napi_create_object(env, &resource);
	napi_create_string_utf8(env, "penstock", NAPI_AUTO_LENGTH, &name);
	napi_async_init(env, resource, name, &conn->context);
	conn->env->refs++;
	conn->next = conn->env->conns;
	conn->env->conns = conn;
	return conn;
}

static void open_done(napi_env env, napi_status status, void *data)
{
	struct opening *o = data;
	struct pst_node_conn *conn = NULL;
	napi_value f, global, args[3], ignored;

	if (status != napi_ok)
		o->rc = -ECANCELED;
	else if (o->rc == 0)
		conn = adopt(env, o);
	if (o->c)
		pst_node.pst_close(o->c);
	napi_get_undefined(env, &args[2]);
	if (conn) {
		conn->handle_alive = true;
		if (napi_create_external(env, conn, handle_collected, NULL,
					 &args[2]) != napi_ok)
			handle_collected(env, conn, NULL);
	}
	if (o->rc < 0 && !o->text[0])
		memcpy(o->text, "The connection cannot be watched.", 34);
	args[0] = pst_node_number(env, o->rc);
	napi_create_string_utf8(env, o->text, NAPI_AUTO_LENGTH, &args[1]);
	napi_get_reference_value(env, o->callback, &f);
	napi_delete_reference(env, o->callback);
	if (o->deliver)
		napi_delete_reference(env, o->deliver);
	napi_delete_async_work(env, o->work);
	open_free(o);
	if (status == napi_ok && napi_get_global(env, &global) == napi_ok)
		napi_call_function(env, global, f, 3, args, &ignored);
}

/* open(endpoint, timeout_ms, flags, name, deliver, callback) */
napi_value pst_node_open(napi_env env, napi_callback_info info)
{
	struct opening *o = calloc(1, sizeof(*o));
	napi_value args[6], label;
	double ms;

	pst_node_arguments(env, info, 6, args);
	if (!o)
		return pst_node_number(env, -ENOMEM);
	o->env = pst_node_env(env);
	o->env->refs++;
	o->options = (struct pst_options)PST_OPTIONS_INIT;
	o->endpoint = pst_node_string(env, args[0]);
	ms = pst_node_double(env, args[1]);
	if (ms > 0)
		o->options.timeout_ns =
			(uint64_t)((ms < 1e12 ? ms : 1e12) * 1e6);
	o->options.flags = (uint32_t)pst_node_double(env, args[2]);
	o->name = pst_node_string(env, args[3]);
	napi_create_reference(env, args[4], 1, &o->deliver);
	napi_create_reference(env, args[5], 1, &o->callback);
	napi_create_string_utf8(env, "penstock.open", NAPI_AUTO_LENGTH, &label);
	napi_create_async_work(env, NULL, label, open_run, open_done, o,
			       &o->work);
	napi_queue_async_work(env, o->work);
	return pst_node_number(env, 0);
}

/* close(connection): detaches its buffers; nothing completes afterwards. */
napi_value pst_node_close(napi_env env, napi_callback_info info)
{
	struct pst_node_conn *conn;
	napi_value args[1];

	pst_node_arguments(env, info, 1, args);
	conn = pst_node_conn(env, args[0]);
	if (conn)
		pst_node_stop(conn, true);
	return pst_node_number(env, 0);
}

/* check(connection): 0, or -ESTALE after the session's loss. */
napi_value pst_node_check(napi_env env, napi_callback_info info)
{
	struct pst_node_conn *conn;
	napi_value args[1];

	pst_node_arguments(env, info, 1, args);
	conn = pst_node_conn(env, args[0]);
	return pst_node_number(env,
			       conn ? pst_node.pst_check(conn->c) : -EBADF);
}

napi_value pst_node_cancel(napi_env env, napi_callback_info info)
{
	struct pst_node_conn *conn;
	napi_value args[2];
	double slot;
	int rc;

	pst_node_arguments(env, info, 2, args);
	conn = pst_node_conn(env, args[0]);
	slot = pst_node_double(env, args[1]);
	if (!conn || !(slot >= 0 && slot < conn->n_tags))
		return pst_node_number(env, -EBADF);
	rc = pst_node.pst_cancel(conn->c, conn->tags[(uint32_t)slot]);
	return pst_node_number(env, pst_node_failed(conn, rc));
}

/* SPDX-License-Identifier: MIT */
/* What the addon exports, and its state in an environment of JavaScript. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/node/addon/addon.h"

/* text(): the sentence of the last failure; it is empty afterwards. */
static napi_value text(napi_env env, napi_callback_info info)
{
	struct pst_node_env *e = pst_node_env(env);
	napi_value v = NULL;

	(void)info;
	napi_create_string_utf8(env, e->text, NAPI_AUTO_LENGTH, &v);
	e->text[0] = 0;
	return v;
}

/* phrase(error): pst_strerror(). */
static napi_value phrase(napi_env env, napi_callback_info info)
{
	napi_value args[1], v = NULL;

	pst_node_arguments(env, info, 1, args);
	napi_create_string_utf8(
		env, pst_node.pst_strerror((int)pst_node_double(env, args[0])),
		NAPI_AUTO_LENGTH, &v);
	return v;
}

/* load(path): finds the library, at path or where the loader looks; returns its
 * version. Comes before all others. */
static napi_value load(napi_env env, napi_callback_info info)
{
	struct pst_node_env *e = pst_node_env(env);
	napi_value args[1], version = NULL;
	char *path;
	int r;

	pst_node_arguments(env, info, 1, args);
	path = pst_node_string(env, args[0]);
	r = pst_node_library_load(path, e->text, sizeof(e->text));
	free(path);
	if (r < 0)
		return pst_node_number(env, -ENOENT);
	napi_create_string_utf8(env, pst_node.pst_version(), NAPI_AUTO_LENGTH,
				&version);
	return version;
}

static void ended(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	pst_node_env_unref(data);
}

static void put(napi_env env, napi_value exports, const char *name,
		napi_callback f)
{
	napi_value v;

	if (napi_create_function(env, name, NAPI_AUTO_LENGTH, f, NULL, &v) ==
	    napi_ok)
		napi_set_named_property(env, exports, name, v);
}

static napi_value fail(napi_env env, const char *why)
{
	napi_throw_error(env, "ERR_DLOPEN_FAILED", why);
	return NULL;
}

/* The macro's functions have no prototypes in Node's headers. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
NAPI_MODULE_INIT()
{
	struct pst_node_env *e = calloc(1, sizeof(*e));
	napi_value buffer, array;
	void *memory;

	if (!e)
		return fail(env, "There is no memory for the addon.");
	e->refs = 1;
	if (napi_get_uv_event_loop(env, &e->loop) != napi_ok ||
	    napi_create_arraybuffer(env, PST_NODE_SHARED * sizeof(double),
				    &memory, &buffer) != napi_ok ||
	    napi_create_typedarray(env, napi_float64_array, PST_NODE_SHARED,
				   buffer, 0, &array) != napi_ok ||
	    napi_set_instance_data(env, e, ended, NULL) != napi_ok ||
	    napi_add_async_cleanup_hook(env, pst_node_end_env, e, NULL) !=
		    napi_ok)
		return fail(env, "JavaScript refuses the addon's state.");
	/* exports keeps it. */
	e->shared = memory;
	napi_set_named_property(env, exports, "shared", array);
	put(env, exports, "load", load);
	put(env, exports, "text", text);
	put(env, exports, "phrase", phrase);
	put(env, exports, "open", pst_node_open);
	put(env, exports, "close", pst_node_close);
	put(env, exports, "check", pst_node_check);
	put(env, exports, "cancel", pst_node_cancel);
	put(env, exports, "alloc", pst_node_alloc);
	put(env, exports, "free", pst_node_free);
	put(env, exports, "queued", pst_node_queued);
	put(env, exports, "gemm", pst_node_gemm);
	put(env, exports, "infer", pst_node_infer);
	put(env, exports, "nop", pst_node_nop);
	put(env, exports, "query", pst_node_query);
	put(env, exports, "ping", pst_node_ping);
	put(env, exports, "failure", pst_node_failure);
	put(env, exports, "gemmAny", pst_node_gemm_any);
	put(env, exports, "inferAny", pst_node_infer_any);
	put(env, exports, "model", pst_node_model);
	put(env, exports, "describe", pst_node_describe);
	put(env, exports, "run", pst_node_run);
	return exports;
}

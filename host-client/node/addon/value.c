/* SPDX-License-Identifier: MIT */
/* Values of JavaScript as C has them, and the other way round. */
#include <stdlib.h>

#include "host-client/node/addon/addon.h"

napi_value pst_node_number(napi_env env, double x)
{
	napi_value v = NULL;

	napi_create_double(env, x, &v);
	return v;
}

void pst_node_arguments(napi_env env, napi_callback_info info, size_t n,
			napi_value *args)
{
	/* Node fills in undefined for those that are missing. */
	napi_get_cb_info(env, info, &n, args, NULL, NULL);
}

double pst_node_double(napi_env env, napi_value v)
{
	double x;

	return napi_get_value_double(env, v, &x) == napi_ok ? x : -1;
}

char *pst_node_string(napi_env env, napi_value v)
{
	size_t n;
	char *s;

	if (napi_get_value_string_utf8(env, v, NULL, 0, &n) != napi_ok)
		return NULL;
	s = malloc(n + 1);
	if (s)
		napi_get_value_string_utf8(env, v, s, n + 1, &n);
	return s;
}

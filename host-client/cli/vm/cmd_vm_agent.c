/* SPDX-License-Identifier: MIT */
/* Asks for the health of the agent in a domain. */
#include "host-client/cli/vm/cmd_vm_agent.h"

#include "host-client/penstock.h"

int pst_cmd_vm_health(const char *uri, uint64_t timeout_ns, json_t **ret,
		      struct pst_error *err)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_CONTROL_ONLY,
		.timeout_ns = timeout_ns,
		.name = "penstock vm",
	};
	PST_CLEANUP_FREE char *answer = NULL;
	char text[300] = "";
	struct pst *c;
	int r;

	*ret = NULL;
	r = pst_open(uri, &o, &c, text, sizeof(text));
	if (r)
		return pst_error_set(err, r, "%s",
				     *text ? text : pst_strerror(r));
	r = pst_query(c, PST_QUERY_HEALTH, &answer);
	if (r < 0)
		pst_last_error(c, text, sizeof(text));
	pst_close(c);
	if (r < 0)
		return pst_error_set(err, r, "%s",
				     *text ? text : pst_strerror(r));
	*ret = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return pst_error_set(err, -EPROTO,
			     "the agent's answer is no JSON object");
}

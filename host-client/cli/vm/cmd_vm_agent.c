/* SPDX-License-Identifier: MIT */
/* Whether the agent in a domain is there, from its region and its socket. */
#include "host-client/cli/vm/cmd_vm_agent.h"

#include <string.h>
#include <sys/mman.h>

#include "host-client/penstock.h"
#include "transport/region/region.h"
#include "transport/shm.h"
#include "transport/wire.h"

static uint64_t beat(const struct pst_vm_pulse *p)
{
	const struct pst_wire_header *h = p->ctl;

	return pst_shm_load(&h->heartbeat.value);
}

int pst_vm_pulse_open(const char *region, struct pst_vm_pulse *ret,
		      struct pst_error *err)
{
	const struct pst_span span = {.off = 0, .size = PST_WIRE_CTL_SIZE};
	struct pst_region_map map;
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = pst_region_map_open(region, &map, err);
	if (rc)
		return rc;
	rc = pst_region_map_span(&map, &span, NULL, &ret->ctl, err);
	pst_region_map_close(&map);
	if (rc)
		return rc;
	ret->first = beat(ret);
	return 0;
}

void pst_vm_pulse_close(struct pst_vm_pulse *p)
{
	if (p->ctl)
		munmap(p->ctl, PST_WIRE_CTL_SIZE);
	p->ctl = NULL;
}

bool pst_vm_pulse_beats(struct pst_vm_pulse *p)
{
	if (!p->beats && p->ctl && beat(p) != p->first)
		p->beats = true;
	return p->beats;
}

int pst_vm_agent_health(const char *uri, uint64_t timeout_ns, json_t **ret,
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
	int rc;

	*ret = NULL;
	rc = pst_open(uri, &o, &c, text, sizeof(text));
	if (rc)
		return pst_error_set(err, rc, "%s",
				     *text ? text : pst_strerror(rc));
	rc = pst_query(c, PST_QUERY_HEALTH, &answer);
	if (rc < 0)
		pst_last_error(c, text, sizeof(text));
	pst_close(c);
	if (rc < 0)
		return pst_error_set(err, rc, "%s",
				     *text ? text : pst_strerror(rc));
	*ret = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return pst_error_set(err, -EPROTO,
			     "the agent's answer is no JSON object");
}

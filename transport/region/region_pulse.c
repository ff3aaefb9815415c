/* SPDX-License-Identifier: MIT */
/* Checks whether the heartbeat in a region's header moves. */
#include "transport/region/region_pulse.h"

#include <string.h>
#include <sys/mman.h>

#include "transport/region/region.h"
#include "transport/shm.h"

static uint64_t beat(const struct pst_region_pulse *p)
{
	const struct pst_wire_header *h = p->ctl;

	return pst_shm_load(&h->heartbeat.value);
}

int pst_region_pulse_open(const char *path, struct pst_region_pulse *ret,
			  struct pst_error *err)
{
	const struct pst_span span = {.off = 0, .size = PST_WIRE_CTL_SIZE};
	struct pst_region_map map;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = pst_region_map_open(path, &map, err);
	if (r)
		return r;
	r = pst_region_map_span(&map, &span, NULL, &ret->ctl, err);
	pst_region_map_close(&map);
	if (r == 0)
		ret->first = beat(ret);
	return r;
}

void pst_region_pulse_close(struct pst_region_pulse *p)
{
	if (p->ctl)
		munmap(p->ctl, PST_WIRE_CTL_SIZE);
	p->ctl = NULL;
}

bool pst_region_pulse_beats(struct pst_region_pulse *p)
{
	if (!p->beats && p->ctl && beat(p) != p->first)
		p->beats = true;
	return p->beats;
}

/* SPDX-License-Identifier: MIT */
/* Measures copies between the arena and ordinary memory. */
#include "guest-agent/region/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/util.h"
#include "transport/shm.h"

#define MEASURE_BYTES (1U << 20)
/* An uncached mapping must not delay the start. */
#define PASS_NS (10 * PST_NS_PER_MS)
#define CHUNK   (32U << 10)
/* So many times slower than ordinary memory is not write-back: uncached is
 * about a hundred times slower. A ratio, since an emulated processor is slow
 * with any memory. */
#define SLOW_TIMES 8

/* Nanoseconds of the fastest chunk. */
struct best {
	uint64_t read_ns;
	uint64_t write_ns;
};

static double gbps(uint64_t ns)
{
	return (double)CHUNK / (double)(ns ? ns : 1);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Copies in and out in turn, so that what is written is what was read just
 * before. */
static void run(uint8_t *at, struct best *ret)
{
	const uint64_t begin = pst_now_ns();
	uint64_t t0, t1, t2, n;
	uint8_t buf[CHUNK];
	int pass;

	*ret = (struct best){.read_ns = UINT64_MAX, .write_ns = UINT64_MAX};
	/* The first pass may fault pages in. */
	for (pass = 0; pass < 2; pass++) {
		for (n = 0; n < MEASURE_BYTES; n += sizeof(buf)) {
			t0 = pst_now_ns();
			memcpy(buf, at + n, sizeof(buf));
			/* Keeps the compiler from dropping the copy. */
			__asm__ volatile("" : : "r"(buf) : "memory");
			t1 = pst_now_ns();
			memcpy(at + n, buf, sizeof(buf));
			/* Drains write-combining buffers: pairs with
			 * nothing. */
			pst_shm_fence();
			t2 = pst_now_ns();
			ret->read_ns = least(ret->read_ns, t1 - t0);
			ret->write_ns = least(ret->write_ns, t2 - t1);
			if (t2 - begin > PASS_NS)
				return;
		}
	}
}

void pst_agent_measure_region(const struct pst_region *r,
			      struct pst_agent_measure *ret)
{
	PST_CLEANUP_FREE uint8_t *plain = calloc(1, MEASURE_BYTES);
	struct best b;

	*ret = (struct pst_agent_measure){0};
	run(r->base + PST_WIRE_CTL_SIZE, &b);
	ret->read_gbps = gbps(b.read_ns);
	ret->write_gbps = gbps(b.write_ns);
	if (!plain)
		return;
	run(plain, &b);
	ret->plain_gbps = gbps(least(b.read_ns, b.write_ns));
}

void pst_agent_measure_remedy(const struct pst_region *r,
			      const struct pst_agent_measure *m,
			      char ret[PST_AGENT_MEASURE_REMEDY])
{
	const bool uncached =
		r->caching == PST_CACHING_UC || r->caching == PST_CACHING_WC;
	const char *remedy = "see whether the host's file has its pages in "
			     "memory, on the guest's NUMA node";

	ret[0] = '\0';
	if (!uncached && m->read_gbps * SLOW_TIMES >= m->plain_gbps &&
	    m->write_gbps * SLOW_TIMES >= m->plain_gbps)
		return;
	if (uncached)
		remedy =
			"load the module penstock_bar in the guest, or give it "
			"the region as an nvdimm (dax)";
	else if (r->provider == PST_PROVIDER_IVSHMEM)
		remedy = "the processor obeys the firmware's MTRRs; give the "
			 "guest the region as an nvdimm (dax)";
	snprintf(ret, PST_AGENT_MEASURE_REMEDY,
		 "the region is mapped %s, read at %.2f GB/s and written at "
		 "%.2f, ordinary memory at %.2f: %s",
		 pst_caching_name(r->caching), m->read_gbps, m->write_gbps,
		 m->plain_gbps, remedy);
}

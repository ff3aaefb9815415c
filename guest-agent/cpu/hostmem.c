/* SPDX-License-Identifier: MIT */
/* Memory of resident tensors for a backend that computes on the CPU. */
#include "guest-agent/cpu/hostmem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "transport/base/meminfo.h"
#include "transport/base/util.h"

/* The alignment of operands, and room for the head. */
#define ALIGN 256U
/* Pieces of at least this size are mapped, smaller ones zeroed at once. */
#define MAP_FROM  (1U << 20)
#define HUGE_PAGE (2U << 20)
/* Pieces of at least this size are unmapped by another thread. */
#define REAP_FROM (64U << 20)
/* This fraction of the available memory is left to other processes. */
#define RESERVE_PART 8U

/* In front of each piece. */
struct head {
	uint64_t size;   /* as asked for */
	uint64_t mapped; /* bytes from the head on; 0: of aligned_alloc() */
};
static_assert(sizeof(struct head) <= ALIGN, "the head lies before the piece");

void pst_agent_hostmem_init(struct pst_agent_hostmem *h, const char *root)
{
	*h = (struct pst_agent_hostmem){.root = root};
	/* If unknown, 0: then more memory seems touched than is. The reserve
	 * covers the difference. */
	if (pst_meminfo_resident(root, &h->resident0) < 0)
		h->resident0 = 0;
}

/* Bytes that were allocated and not touched, so the kernel does not count them
 * yet. */
static uint64_t untouched(const struct pst_agent_hostmem *h)
{
	uint64_t resident, touched;

	if (pst_meminfo_resident(h->root, &resident) < 0)
		return h->promised;
	touched = resident > h->resident0 ? resident - h->resident0 : 0;
	return h->promised > touched ? h->promised - touched : 0;
}

static int check_room(const struct pst_agent_hostmem *h, uint64_t size,
		      struct pst_error *err)
{
	uint64_t available, taken;

	/* Without figures only the kernel can say no. */
	if (pst_meminfo_available(h->root, &available) < 0)
		return 0;
	available -= available / RESERVE_PART;
	taken = untouched(h);
	available = available > taken ? available - taken : 0;
	if (size <= available)
		return 0;
	return pst_error_set(err, -ENOMEM,
			     "no memory for a tensor of %" PRIu64
			     " bytes: the agent "
			     "has %" PRIu64 " to give",
			     size, available);
}

/* Aligned, so that the kernel can use huge pages. */
static struct head *map_piece(uint64_t size)
{
	const uint64_t need = pst_round_up(size + ALIGN, 4096);
	uint8_t *p = mmap(NULL, need + HUGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct head *head;
	uint64_t skip;

	if (p == MAP_FAILED)
		return NULL;
	skip = pst_round_up((uintptr_t)p, HUGE_PAGE) - (uintptr_t)p;
	if (skip)
		munmap(p, skip);
	if (skip < HUGE_PAGE)
		munmap(p + skip + need, HUGE_PAGE - skip);
	head = (struct head *)(p + skip);
	/* Only an optimisation: without huge pages it works as well. */
	(void)madvise(head, need, MADV_HUGEPAGE);
	head->mapped = need;
	return head;
}

int pst_agent_hostmem_alloc(struct pst_agent_hostmem *h, uint64_t size,
			    void **ret, struct pst_error *err)
{
	struct head *head = NULL;
	int r = check_room(h, size, err);

	if (r < 0)
		return r;
	if (size >= MAP_FROM && size <= INT64_MAX - ALIGN) {
		head = map_piece(size);
	} else if (size < MAP_FROM) {
		head = aligned_alloc(ALIGN, pst_round_up(size + ALIGN, ALIGN));
		if (head)
			memset(head, 0, size + ALIGN);
	}
	if (!head)
		return pst_error_set(err, -ENOMEM,
				     "the kernel has no memory for a tensor of "
				     "%" PRIu64 " bytes",
				     size);
	head->size = size;
	h->promised += size;
	*ret = (uint8_t *)head + ALIGN;
	return 0;
}

/* Whether another thread will unmap a piece. */
static bool hand_over(struct pst_agent_hostmem *h, struct head *head)
{
	if (head->mapped < REAP_FROM)
		return false;
	if (!h->reaper && pst_agent_reaper_start(&h->reaper) < 0)
		return false;
	return pst_agent_reaper_give(h->reaper, head, head->mapped) == 0;
}

void pst_agent_hostmem_release(struct pst_agent_hostmem *h, void *mem)
{
	struct head *head = (struct head *)((uint8_t *)mem - ALIGN);

	h->promised -= head->size;
	if (!head->mapped)
		free(head);
	else if (!hand_over(h, head))
		munmap(head, head->mapped);
}

void pst_agent_hostmem_done(struct pst_agent_hostmem *h)
{
	pst_agent_reaper_stop(h->reaper);
	h->reaper = NULL;
}

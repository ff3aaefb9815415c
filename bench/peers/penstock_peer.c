/* SPDX-License-Identifier: MIT */
/* Penstock itself, measured as its peers are: by the same program flow, with an
 * agent on the same kernel. */
#include "bench/copy.h"
#include "bench/cpus.h"
#include "bench/peers/peer.h"
#include "host-client/penstock.h"

struct client {
	struct pst *c;
	struct pst_gemm_args gemm;
	uint64_t size;
	void *region;
	char *own; /* what is written into the region */
	enum pst_bench_copy_how how;
	const char *test;
};

static bool once(void *arg)
{
	const struct client *c = arg;

	if (c->gemm.n)
		return pst_gemm(c->c, &c->gemm, PST_FOREVER, NULL) == 0;
	/* One way: into the region, where the agent has it when it is told. */
	if (c->own)
		pst_bench_copy_by(c->how, c->region, c->own, c->size);
	return pst_nop(c->c, PST_FOREVER, NULL) == 0;
}

/* The fastest way for that size. */
static enum pst_bench_copy_how best_way(const struct client *c)
{
	uint64_t start, ns, least = UINT64_MAX;
	int how, best = 0, i;

	for (i = 0; i < 3; i++) {
		for (how = 0; how < PST_BENCH_COPY_N; how++) {
			if (!pst_bench_copy_has(how))
				continue;
			start = peer_now_ns();
			pst_bench_copy_by(how, c->region, c->own, c->size);
			ns = peer_now_ns() - start;
			if (ns < least) {
				least = ns;
				best = how;
			}
		}
	}
	return best;
}

static bool set_up(struct client *c)
{
	const uint64_t bytes = 4 * c->size * c->size;
	void *p[3] = {NULL};
	int i;

	if (strcmp(c->test, "gemm") == 0) {
		for (i = 0; i < 3; i++) {
			if (pst_alloc(c->c, bytes, &p[i]) < 0)
				return false;
			memset(p[i], 0, bytes);
		}
		c->gemm = (struct pst_gemm_args){
			.size = sizeof(struct pst_gemm_args),
			.dtype = PST_F32,
			.m = (uint32_t)c->size,
			.n = (uint32_t)c->size,
			.k = (uint32_t)c->size,
			.lda = (uint32_t)c->size,
			.ldb = (uint32_t)c->size,
			.ldc = (uint32_t)c->size,
			.alpha = 1,
			.a = p[0],
			.b = p[1],
			.c = p[2],
		};
	} else if (strcmp(c->test, "bandwidth") == 0) {
		c->own = malloc(c->size);
		if (!c->own || pst_alloc(c->c, c->size, &c->region) < 0)
			return false;
		memset(c->own, 1, c->size);
		memset(c->region, 1, c->size);
		c->how = best_way(c);
	}
	return true;
}

/* penstock_peer latency|bandwidth|gemm SIZE SECONDS CLIENT-CPU SERVER-CPU */
int main(int argc, char **argv)
{
	char endpoint[64], text[256] = "";
	struct client c = {0};
	int r = 1;

	if (argc != 6)
		return 2;
	c.test = argv[1];
	c.size = strtoull(argv[2], NULL, 10);
	snprintf(endpoint, sizeof(endpoint), "spawn:?threads=1&size=%lluM",
		 strcmp(c.test, "bandwidth") == 0 && c.size > 16U << 20
			 ? 512ULL
			 : 64ULL);
	/* The agent inherits what this process is pinned to. */
	if (pst_bench_cpus_pin(atoi(argv[5])) < 0)
		return 1;
	if (pst_open(endpoint, NULL, &c.c, text, sizeof(text)) < 0) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	if (pst_bench_cpus_pin(atoi(argv[4])) == 0 && set_up(&c))
		r = peer_measure(c.test, c.size, atof(argv[3]), once, &c);
	pst_close(c.c);
	free(c.own);
	return r;
}
